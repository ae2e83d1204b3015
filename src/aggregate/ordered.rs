//! Numbers as 64-bit words whose order is the order of the numbers. No column in sight.

use crate::aggregate::rows;
use crate::chunk::{Cell, ColumnView, Physical, Selection};

const SIGN: u64 = 1 << 63;

/// The word of an integer.
#[inline]
pub(super) fn from_int(value: i64) -> u64 {
    value as u64 ^ SIGN
}

/// The integer of a word.
#[inline]
pub(super) fn to_int(word: u64) -> i64 {
    (word ^ SIGN) as i64
}

/// The word of a finite double; the two zeros, being equal, have one word.
#[inline]
pub(super) fn from_double(value: f64) -> u64 {
    // Adding zero turns -0.0 into 0.0. Magnitudes of negative numbers count the other way round.
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The double of a word.
#[inline]
pub(super) fn to_double(word: u64) -> f64 {
    f64::from_bits(if word & SIGN == 0 { !word } else { word ^ SIGN })
}

/// The value of a word, for anything but text.
pub(super) fn to_cell(word: u64, physical: Physical) -> Cell<'static> {
    match physical {
        Physical::Double => Cell::Double(to_double(word)),
        Physical::Bool => Cell::Bool(word != 0),
        Physical::Int => Cell::Int(to_int(word)),
        Physical::Text => panic!("text has no word"),
    }
}

/// Calls `visit` with group and word of each selected row that is not NULL, for anything but text.
#[inline(always)]
pub(super) fn for_each_word(
    physical: Physical,
    groups: &[u32],
    view: &ColumnView<'_>,
    selection: &Selection,
    mut visit: impl FnMut(usize, u64),
) {
    match physical {
        Physical::Int => {
            let values = rows::ints(view);
            rows::for_each_value(groups, view, selection, |group, place| visit(group, from_int(values[place])));
        }
        Physical::Double => {
            let values = rows::doubles(view);
            rows::for_each_value(groups, view, selection, |group, place| visit(group, from_double(values[place])));
        }
        Physical::Bool => {
            let values = rows::bools(view);
            rows::for_each_value(groups, view, selection, |group, place| visit(group, u64::from(values[place])));
        }
        Physical::Text => panic!("text has no word"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_value_and_order() {
        let ints = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(ints.map(from_int).is_sorted());
        assert_eq!(ints.map(|value| to_int(from_int(value))), ints);

        let doubles = [f64::MIN, -1.5, -f64::from_bits(1), 0.0, f64::from_bits(1), 1.5, f64::MAX];
        assert!(doubles.map(from_double).is_sorted());
        assert_eq!(doubles.map(|value| to_double(from_double(value))), doubles);
        assert_eq!(from_double(-0.0), from_double(0.0));
        assert!(to_double(from_double(-0.0)).is_sign_positive());
    }
}
