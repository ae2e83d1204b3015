//! Fingerprints of keys: rows of key columns to 128-bit hashes. Knows nothing of what they are compared with.

use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::chunk::decimal;
use crate::chunk::{Column, ColumnView, DataType, Selection, Text, Values};
use crate::dedupe::Fingerprint;

/// Turns keys into fingerprints, always the same one for the same key.
///
/// The hash is SipHash-1-3 with 128 bits. Its own key is drawn at random for each hasher, so that no input can be made
/// to collide: of 100 million keys, two have the same fingerprint with a probability of 1.5e-23.
///
/// What is hashed is an encoding in which keys differ if and only if their rows do: a text is its length as 8 bytes and
/// then itself, anything else is 8 bytes. So the rows `("a", "bc")` and `("ab", "c")`, which have the same letters, are
/// `1 a 2 bc` and `2 ab 1 c`. Values are equal when SQLite takes what is stored for equal: it compares texts byte by
/// byte, 0.0 equals -0.0, and decimals are stored as doubles, so that two decimals with the same nearest double are one
/// key.
#[derive(Debug, Clone)]
pub struct KeyHasher {
    hasher: SipHasher13,
}

impl KeyHasher {
    /// A hasher of its own, with which only its clones agree.
    pub fn new() -> Self {
        let random = RandomState::new();
        KeyHasher { hasher: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)) }
    }

    /// A hasher that agrees with all of the same seed: for tests, since an input may be made to collide under it.
    pub fn with_seed(seed: u64) -> Self {
        KeyHasher { hasher: SipHasher13::new_with_keys(seed, 0) }
    }

    /// Appends the fingerprint of each selected row's key to `out`. `columns` are the key columns and `types` their
    /// types; no selected row may have a NULL among them.
    pub fn fingerprints(
        &self,
        columns: &[ColumnView<'_>],
        types: &[DataType],
        selection: &Selection,
        out: &mut Vec<Fingerprint>,
    ) {
        assert_eq!(columns.len(), types.len(), "a type for each column");
        let columns: Vec<_> = columns.iter().zip(types).map(|(view, kind)| KeyColumn::new(view, *kind)).collect();
        out.reserve(selection.len());
        selection.for_each(|row| {
            let mut hasher = self.hasher;
            columns.iter().for_each(|column| column.hash(row, &mut hasher));
            out.push(hasher.finish128().into());
        });
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        KeyHasher::new()
    }
}

/// A key column whose shape and type have been told apart.
struct KeyColumn<'a> {
    column: &'a Column,
    codes: Option<&'a [u32]>,
    values: KeyValues<'a>,
}

enum KeyValues<'a> {
    Text(&'a Text),
    Int(&'a [i64]),
    Decimal(&'a [i64], u8),
    Double(&'a [f64]),
    Bool(&'a [bool]),
}

impl<'a> KeyColumn<'a> {
    fn new(view: &ColumnView<'a>, data_type: DataType) -> Self {
        let (column, codes) = match *view {
            ColumnView::Rows(column) => (column, None),
            ColumnView::Encoded { codes, entries, .. } => (entries, Some(codes)),
        };
        let values = match (&column.values, data_type) {
            (Values::Text(text), _) => KeyValues::Text(text),
            (Values::Int(units), DataType::Decimal { scale, .. }) => KeyValues::Decimal(units, scale),
            (Values::Int(values), _) => KeyValues::Int(values),
            (Values::Double(values), _) => KeyValues::Double(values),
            (Values::Bool(values), _) => KeyValues::Bool(values),
        };
        KeyColumn { column, codes, values }
    }

    /// Hashes the encoding of the value of `row`.
    #[inline]
    fn hash(&self, row: usize, hasher: &mut SipHasher13) {
        let at = self.codes.map_or(row, |codes| codes[row] as usize);
        debug_assert!(self.column.is_valid(at), "a key has no NULL");
        let word = match self.values {
            KeyValues::Text(text) => {
                let text = text.get(at);
                hasher.write_u64(text.len() as u64);
                hasher.write(text);
                return;
            }
            KeyValues::Int(values) => values[at] as u64,
            KeyValues::Decimal(units, scale) => word_of_double(decimal::to_f64(units[at].into(), scale)),
            KeyValues::Double(values) => word_of_double(values[at]),
            KeyValues::Bool(values) => values[at].into(),
        };
        hasher.write_u64(word);
    }
}

/// The bits of a double; zero has one sign only.
fn word_of_double(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Cell, ColumnBuilder};

    const DECIMAL: DataType = DataType::Decimal { precision: 18, scale: 2 };
    const TYPES: [DataType; 6] =
        [DataType::Text, DataType::Text, DataType::Integer, DECIMAL, DataType::Double, DataType::Boolean];

    type Row = (Vec<u8>, Vec<u8>, i64, i64, f64, bool);

    /// Few values, many of them like others or like the lengths in front of them.
    fn row() -> impl Strategy<Value = Row> {
        let text = || prop::collection::vec(prop::sample::select(vec![0, 1, 2, 8, b'a', b' ']), 0..10);
        let double = prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 5e-324, f64::MAX]);
        (text(), text(), -2i64..2, -2i64..2, double, any::<bool>())
    }

    fn column(data_type: DataType, cells: &[Cell<'_>]) -> Column {
        let mut builder = ColumnBuilder::new(data_type.physical(), cells.len());
        cells.iter().for_each(|cell| builder.push(*cell));
        builder.finish()
    }

    fn columns(rows: &[Row]) -> Vec<Column> {
        let cells = |row: &'_ Row, at: usize| match at {
            0 => Cell::Text(&row.0).to_scalar(),
            1 => Cell::Text(&row.1).to_scalar(),
            2 => Cell::Int(row.2).to_scalar(),
            3 => Cell::Int(row.3).to_scalar(),
            4 => Cell::Double(row.4).to_scalar(),
            _ => Cell::Bool(row.5).to_scalar(),
        };
        let column = |at: usize| {
            let cells: Vec<_> = rows.iter().map(|row| cells(row, at)).collect();
            column(TYPES[at], &cells.iter().map(|cell| cell.as_cell()).collect::<Vec<_>>())
        };
        (0..TYPES.len()).map(column).collect()
    }

    fn fingerprints(columns: &[Column], types: &[DataType], selection: &Selection) -> Vec<Fingerprint> {
        let views: Vec<_> = columns.iter().map(ColumnView::Rows).collect();
        let mut out = Vec::new();
        KeyHasher::with_seed(7).fingerprints(&views, types, selection, &mut out);
        out
    }

    fn fingerprints_of(data_type: DataType, cells: &[Cell<'_>]) -> Vec<Fingerprint> {
        fingerprints(&[column(data_type, cells)], &[data_type], &Selection::All(cells.len()))
    }

    proptest! {
        #[test]
        fn keys_are_equal_if_and_only_if_their_rows_are(rows in prop::collection::vec(row(), 2..30)) {
            let found = fingerprints(&columns(&rows), &TYPES, &Selection::All(rows.len()));
            for (first, left) in rows.iter().zip(&found) {
                for (second, right) in rows.iter().zip(&found) {
                    prop_assert_eq!(first == second, left == right, "{:?} {:?}", first, second);
                }
            }
        }

        #[test]
        fn texts_run_together_are_told_apart(
            text in prop::collection::vec(0u8..3, 1..40),
            cuts in (0usize..40, 0usize..40),
        ) {
            let (first, second) = (cuts.0.min(text.len()), cuts.1.min(text.len()));
            let column_of = |left: &[u8], right: &[u8]| column(DataType::Text, &[Cell::Text(left), Cell::Text(right)]);
            let columns = [column_of(&text[..first], &text[..second]), column_of(&text[first..], &text[second..])];
            let found = fingerprints(&columns, &[DataType::Text; 2], &Selection::All(2));
            prop_assert_eq!(first == second, found[0] == found[1]);
        }

        #[test]
        fn every_shape_of_column_and_selection_gives_the_same(
            rows in prop::collection::vec(row(), 1..20),
            codes in prop::collection::vec(0u32..20, 1..40),
            flags in prop::collection::vec(any::<bool>(), 40),
        ) {
            let codes: Vec<u32> = codes.iter().map(|code| code % rows.len() as u32).collect();
            let entries = columns(&rows);
            let plain: Vec<Column> = entries.iter().map(|column| column.gather(&codes)).collect();
            let all = fingerprints(&plain, &TYPES, &Selection::All(codes.len()));
            let views = entries.iter().map(|entries| ColumnView::Encoded { codes: &codes, entries, generation: 0 });
            let flags = &flags[..codes.len()];
            let mut out = vec![1];
            let selection = Selection::from_flags(flags);
            KeyHasher::with_seed(7).fingerprints(&views.collect::<Vec<_>>(), &TYPES, &selection, &mut out);
            let selected = all.iter().zip(flags).filter(|(_, flag)| **flag).map(|(found, _)| *found);
            prop_assert_eq!(out, [1].into_iter().chain(selected).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_encoding_is_as_documented() {
        let columns = [column(DataType::Text, &[Cell::Text(b"ab")]), column(DataType::Date, &[Cell::Int(-1)])];
        let encoded = b"\x02\0\0\0\0\0\0\0ab\xff\xff\xff\xff\xff\xff\xff\xff";
        let expected = u128::from(SipHasher13::new_with_keys(7, 0).hash(encoded));
        assert_eq!(fingerprints(&columns, &[DataType::Text, DataType::Date], &Selection::All(1)), [expected]);
    }

    #[test]
    fn case_and_spaces_matter() {
        let texts = ["a", "A", "a ", " a", "", " "].map(|text| Cell::Text(text.as_bytes()));
        let found: std::collections::HashSet<_> = fingerprints_of(DataType::Text, &texts).into_iter().collect();
        assert_eq!(found.len(), texts.len());
    }

    #[test]
    fn decimals_with_one_double_are_one_key_and_integers_are_not() {
        let neighbours = [Cell::Int((1 << 53) + 1), Cell::Int(1 << 53)];
        let found = fingerprints_of(DataType::Decimal { precision: 18, scale: 0 }, &neighbours);
        assert_eq!(found[0], found[1]);
        let found = fingerprints_of(DataType::Integer, &neighbours);
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn a_null_that_is_not_selected_does_not_matter() {
        let column = column(DataType::Integer, &[Cell::Null, Cell::Int(3)]);
        let found = fingerprints(&[column], &[DataType::Integer], &Selection::Rows(vec![1]));
        assert_eq!(found, fingerprints_of(DataType::Integer, &[Cell::Int(3)]));
    }

    #[test]
    fn only_clones_agree() {
        let column = column(DataType::Integer, &[Cell::Int(3)]);
        let of = |hasher: &KeyHasher| {
            let mut out = Vec::new();
            hasher.fingerprints(&[ColumnView::Rows(&column)], &[DataType::Integer], &Selection::All(1), &mut out);
            out[0]
        };
        let (one, other) = (KeyHasher::new(), KeyHasher::new());
        assert_eq!(of(&one), of(&one.clone()));
        assert_ne!(of(&one), of(&other));
        assert_ne!(of(&KeyHasher::with_seed(1)), of(&KeyHasher::with_seed(2)));
    }
}
