//! Three-valued logic and comparisons. Which of several values is taken is in `choice`.

use crate::chunk::{Physical, Span, Text, Values};
use crate::expr::kernels::{Argument, Evaluated, Operand, Side, TextSide, map, map2, merge_faults, strict};
use crate::expr::program::Comparison;

/// AND or OR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::expr) enum Connective {
    And,
    Or,
}

/// AND or OR of all arguments, from left to right. A fault counts only where no argument to its left has decided.
pub(in crate::expr) fn connect(connective: Connective, arguments: &[Argument<'_>], len: usize) -> Evaluated {
    let is_known = |argument: &Argument<'_>| {
        argument.faults.is_empty() && matches!(argument.operand.validity(), Side::Scalar(true))
    };
    if arguments.iter().all(is_known) {
        return connect_known(connective, arguments, len);
    }
    let start = connective == Connective::And;
    let (mut yes, mut no) = (vec![start; len], vec![!start; len]);
    let mut faults = Vec::new();
    for argument in arguments {
        let decided = if connective == Connective::And { &no } else { &yes };
        let counting: Vec<_> = argument.faults.iter().filter(|(row, _)| !decided[*row as usize]).copied().collect();
        merge_faults(&mut faults, &counting);
        let (is_true, is_false) = (truth(argument.operand, len), falsity(argument.operand, len));
        match connective {
            Connective::And => {
                yes.iter_mut().zip(&is_true).for_each(|(yes, is_true)| *yes &= is_true);
                no.iter_mut().zip(&is_false).for_each(|(no, is_false)| *no |= is_false);
            }
            Connective::Or => {
                yes.iter_mut().zip(&is_true).for_each(|(yes, is_true)| *yes |= is_true);
                no.iter_mut().zip(&is_false).for_each(|(no, is_false)| *no &= is_false);
            }
        }
    }
    let known = map2(Side::Column(&yes), Side::Column(&no), len, |yes, no| yes | no);
    let validity = known.contains(&false).then_some(known);
    let mut result = Evaluated::new(Values::Bool(yes), validity);
    result.add_faults(&faults);
    result
}

/// The same where no argument is NULL or has a fault.
fn connect_known(connective: Connective, arguments: &[Argument<'_>], len: usize) -> Evaluated {
    let connected = |all: Vec<bool>, argument: &Argument<'_>| {
        let (all, more) = (Side::Column(&all[..]), argument.operand.bools());
        match connective {
            Connective::And => map2(all, more, len, |all, more| all & more),
            Connective::Or => map2(all, more, len, |all, more| all | more),
        }
    };
    let start = vec![connective == Connective::And; len];
    Evaluated::new(Values::Bool(arguments.iter().fold(start, connected)), None)
}

/// Where a condition is true, and not NULL.
pub(super) fn truth(condition: Operand<'_>, len: usize) -> Vec<bool> {
    map2(condition.bools(), condition.validity(), len, |value, valid| value & valid)
}

fn falsity(condition: Operand<'_>, len: usize) -> Vec<bool> {
    map2(condition.bools(), condition.validity(), len, |value, valid| !value & valid)
}

pub(super) fn not(a: Operand<'_>, len: usize) -> Evaluated {
    Evaluated::new(Values::Bool(map(a.bools(), len, |value| !value)), strict(&[a], len))
}

pub(super) fn is_null(a: Operand<'_>, len: usize) -> Evaluated {
    Evaluated::new(Values::Bool(map(a.validity(), len, |valid| !valid)), None)
}

pub(super) fn compare(
    comparison: Comparison,
    a: Operand<'_>,
    b: Operand<'_>,
    physical: Physical,
    len: usize,
) -> Evaluated {
    Evaluated::new(Values::Bool(holds(comparison, a, b, physical, len)), strict(&[a, b], len))
}

pub(super) fn is_distinct(a: Operand<'_>, b: Operand<'_>, physical: Physical, len: usize) -> Evaluated {
    let differ = holds(Comparison::Ne, a, b, physical, len);
    let both = map2(a.validity(), b.validity(), len, |a, b| a & b);
    let one = map2(a.validity(), b.validity(), len, |a, b| a ^ b);
    let values = differ.iter().zip(&both).zip(&one).map(|((differ, both), one)| (differ & both) | one).collect();
    Evaluated::new(Values::Bool(values), None)
}

/// Where the comparison holds; rows with a NULL on either side say nothing.
pub(super) fn holds(
    comparison: Comparison,
    a: Operand<'_>,
    b: Operand<'_>,
    physical: Physical,
    len: usize,
) -> Vec<bool> {
    match physical {
        Physical::Int => holds_fixed(comparison, a.ints(), b.ints(), len),
        Physical::Double => holds_fixed(comparison, a.doubles(), b.doubles(), len),
        Physical::Bool => holds_fixed(comparison, a.bools(), b.bools(), len),
        Physical::Text => holds_text(comparison, a.texts(), b.texts(), len),
    }
}

fn holds_fixed<T: Copy + PartialOrd>(comparison: Comparison, a: Side<'_, T>, b: Side<'_, T>, len: usize) -> Vec<bool> {
    match comparison {
        Comparison::Eq => map2(a, b, len, |a, b| a == b),
        Comparison::Ne => map2(a, b, len, |a, b| a != b),
        Comparison::Lt => map2(a, b, len, |a, b| a < b),
        Comparison::Le => map2(a, b, len, |a, b| a <= b),
        Comparison::Gt => map2(a, b, len, |a, b| a > b),
        Comparison::Ge => map2(a, b, len, |a, b| a >= b),
    }
}

fn holds_text(comparison: Comparison, a: TextSide<'_>, b: TextSide<'_>, len: usize) -> Vec<bool> {
    match (comparison, a, b) {
        (Comparison::Eq, TextSide::Column(text), TextSide::Scalar(value)) if value.len() <= size_of::<u64>() => {
            equals_short(text, value)
        }
        (Comparison::Eq, ..) => (0..len).map(|row| a.get(row) == b.get(row)).collect(),
        (Comparison::Ne, ..) => (0..len).map(|row| a.get(row) != b.get(row)).collect(),
        _ => (0..len).map(|row| comparison.holds(a.get(row).cmp(b.get(row)))).collect(),
    }
}

/// Where a text is a value of up to eight bytes, which are compared in one go.
fn equals_short(text: &Text, value: &[u8]) -> Vec<bool> {
    let mut bytes = [0; size_of::<u64>()];
    bytes[..value.len()].copy_from_slice(value);
    let wanted = u64::from_le_bytes(bytes);
    let used_bits = u64::MAX.checked_shr(u64::BITS - 8 * value.len() as u32).unwrap_or(0);
    let equals = |span: &Span| {
        let start = span.start as usize;
        span.len as usize == value.len()
            && match text.bytes.get(start..).and_then(<[u8]>::first_chunk) {
                Some(word) => u64::from_le_bytes(*word) & used_bits == wanted,
                None => &text.bytes[start..start + value.len()] == value,
            }
    };
    text.spans.iter().map(equals).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::TextBuilder;

    #[test]
    fn short_texts_are_compared_like_all_others() {
        let values = ["", "a", "b", "ab", "abc", "abcdefg", "abcdefgh", "abcdefgi", "abcdefghi", "\u{e9}", "a\0"];
        let mut builder = TextBuilder::default();
        values.iter().for_each(|value| builder.push(value.as_bytes()));
        // Nothing stands behind the last value.
        let text = builder.finish();
        for value in values {
            let found =
                holds_text(Comparison::Eq, TextSide::Column(&text), TextSide::Scalar(value.as_bytes()), values.len());
            assert_eq!(found, values.map(|other| other == value), "{value:?}");
        }
    }
}
