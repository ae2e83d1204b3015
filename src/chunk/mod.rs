//! The one noun that everything speaks: a chunk of rows in columns, where it came from, and what was wrong with the
//! rows that are not in it. No I/O, no SQL, no threads.

pub mod calendar;
pub mod column;
pub mod decimal;
pub mod interner;
pub mod parse;
mod payoff;
pub mod schema;
mod serials;
mod shorts;

use std::fmt;

pub use column::{Cell, Column, ColumnBuilder, Scalar, Span, Text, TextBuilder, Values};
pub use interner::Interner;
pub use schema::{DataType, Field, Physical, quoted_name, quoted_text};

/// The first eight bytes of a text or key, as a number of the same order.
#[inline]
pub fn prefix(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(first)
        }
    }
}

/// A batch of rows in columns. All columns have `len` rows.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its place in the input: chunks of a feed are numbered from 0 without gaps.
    pub seq: u64,
    /// How many rows it has.
    pub len: usize,
    /// Its columns, in the order of the schema that the two sides have agreed upon.
    pub columns: Vec<Column>,
}

/// Which rows of a chunk are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The first so many rows: all of them.
    All(usize),
    /// These rows, ascending.
    Rows(Vec<u32>),
}

impl Selection {
    /// The rows whose flag is set.
    pub fn from_flags(flags: &[bool]) -> Self {
        let set = flags.iter().filter(|flag| **flag).count();
        if set == flags.len() {
            return Selection::All(set);
        }
        // Without a branch: every row is written, and stays if its flag is set.
        let mut rows = vec![0; set + 1];
        let mut kept = 0;
        for (row, flag) in (0..).zip(flags) {
            rows[kept] = row;
            kept += usize::from(*flag);
        }
        rows.truncate(set);
        Selection::Rows(rows)
    }

    /// How many rows are meant.
    pub fn len(&self) -> usize {
        match self {
            Selection::All(len) => *len,
            Selection::Rows(rows) => rows.len(),
        }
    }

    /// Whether no row is meant.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, in order. Where it matters that the two shapes are told apart once, and not for each row, `for_each` does.
    pub fn rows(&self) -> impl Iterator<Item = usize> + Clone {
        let (len, rows) = match self {
            Selection::All(len) => (*len, None),
            Selection::Rows(rows) => (rows.len(), Some(rows)),
        };
        (0..len).map(move |at| rows.map_or(at, |rows| rows[at] as usize))
    }

    /// Calls `visit` with each row, in order; the two shapes are told apart once, not per row.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize)) {
        match self {
            Selection::All(len) => (0..*len).for_each(visit),
            Selection::Rows(rows) => rows.iter().for_each(|row| visit(*row as usize)),
        }
    }
}

/// A column of group keys or arguments as an evaluator hands it on.
///
/// `Encoded` says the same as the column of `entries[codes[row]]`, but lets the taker do its work once an entry.
/// Entries of one `generation` are only ever appended to; a new generation has forgotten all of them.
#[derive(Debug, Clone, Copy)]
pub enum ColumnView<'a> {
    /// A value for each row.
    Rows(&'a Column),
    /// A number for each row, and the values that the numbers stand for.
    Encoded {
        /// One index into `entries` for each row.
        codes: &'a [u32],
        /// The distinct values, in order of first appearance; two entries may be equal.
        entries: &'a Column,
        /// Changes whenever entries have been forgotten.
        generation: u64,
    },
}

impl<'a> ColumnView<'a> {
    /// The value of `row`.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<'a> {
        match self {
            ColumnView::Rows(column) => column.get(row),
            ColumnView::Encoded { codes, entries, .. } => entries.get(codes[row] as usize),
        }
    }

    /// Whether any value may be NULL.
    pub fn may_be_null(&self) -> bool {
        match self {
            ColumnView::Rows(column) => column.validity.is_some(),
            ColumnView::Encoded { entries, .. } => entries.validity.is_some(),
        }
    }

    /// A flag for each of the first `len` rows: whether it is that BOOLEAN, and not NULL.
    pub fn rows_that_are(&self, wanted: bool, len: usize) -> Vec<bool> {
        let flags_of = |column: &Column| -> Vec<bool> {
            match (&column.values, &column.validity) {
                (Values::Bool(values), None) => values.iter().map(|value| *value == wanted).collect(),
                (Values::Bool(values), Some(validity)) => {
                    values.iter().zip(validity).map(|(value, valid)| *valid && *value == wanted).collect()
                }
                _ => vec![false; column.len()],
            }
        };
        match self {
            ColumnView::Rows(column) => flags_of(column),
            ColumnView::Encoded { codes, entries, .. } => {
                let flags = flags_of(entries);
                codes[..len].iter().map(|code| flags[*code as usize]).collect()
            }
        }
    }

    /// The values of the rows at `rows`, one each.
    pub fn gather(&self, rows: &[u32]) -> Column {
        match self {
            ColumnView::Rows(column) => column.gather(rows),
            ColumnView::Encoded { codes, entries, .. } => {
                let codes: Vec<u32> = rows.iter().map(|row| codes[*row as usize]).collect();
                // The entries are still growing, which sharing their buffer would make a copy of all of it.
                entries.gather(&codes).with_own_text()
            }
        }
    }
}

/// Why a record was not loaded. The words are part of the dead-letter format and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectCode {
    /// Fewer fields than the header has.
    TooFewFields,
    /// More fields than the header has.
    TooManyFields,
    /// A quoted field that the input, or the longest record allowed, ends within.
    UnclosedQuote,
    /// Something else than a delimiter or line end behind a closing quote.
    TextAfterQuote,
    /// A record longer than the limit.
    RecordTooLong,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A NUL byte, at which SQLite's text functions would stop.
    NulByte,
    /// Not an INTEGER.
    InvalidInteger,
    /// Not a DECIMAL, or with more digits behind the point than it has.
    InvalidDecimal,
    /// Not a finite DOUBLE.
    InvalidDouble,
    /// Not a DATE as YYYY-MM-DD, or a day that does not exist.
    InvalidDate,
    /// Not a TIMESTAMP in ISO 8601.
    InvalidTimestamp,
    /// Not a BOOLEAN.
    InvalidBoolean,
    /// A number too large for its type.
    OutOfRange,
    /// NULL in a column that is NOT NULL.
    NullValue,
    /// A CHECK that is false.
    CheckFailed,
    /// An integer, decimal or date computed by an expression that does not fit its type.
    Overflow,
    /// A CAST of a value that has no meaning in the wanted type.
    InvalidCast,
    /// A key that an earlier record has.
    DuplicateKey,
}

impl RejectCode {
    /// All codes.
    pub const ALL: [RejectCode; 19] = [
        RejectCode::TooFewFields,
        RejectCode::TooManyFields,
        RejectCode::UnclosedQuote,
        RejectCode::TextAfterQuote,
        RejectCode::RecordTooLong,
        RejectCode::InvalidUtf8,
        RejectCode::NulByte,
        RejectCode::InvalidInteger,
        RejectCode::InvalidDecimal,
        RejectCode::InvalidDouble,
        RejectCode::InvalidDate,
        RejectCode::InvalidTimestamp,
        RejectCode::InvalidBoolean,
        RejectCode::OutOfRange,
        RejectCode::NullValue,
        RejectCode::CheckFailed,
        RejectCode::Overflow,
        RejectCode::InvalidCast,
        RejectCode::DuplicateKey,
    ];

    /// The code as the dead-letter file has it.
    pub fn as_str(self) -> &'static str {
        match self {
            RejectCode::TooFewFields => "too_few_fields",
            RejectCode::TooManyFields => "too_many_fields",
            RejectCode::UnclosedQuote => "unclosed_quote",
            RejectCode::TextAfterQuote => "text_after_quote",
            RejectCode::RecordTooLong => "record_too_long",
            RejectCode::InvalidUtf8 => "invalid_utf8",
            RejectCode::NulByte => "nul_byte",
            RejectCode::InvalidInteger => "invalid_integer",
            RejectCode::InvalidDecimal => "invalid_decimal",
            RejectCode::InvalidDouble => "invalid_double",
            RejectCode::InvalidDate => "invalid_date",
            RejectCode::InvalidTimestamp => "invalid_timestamp",
            RejectCode::InvalidBoolean => "invalid_boolean",
            RejectCode::OutOfRange => "out_of_range",
            RejectCode::NullValue => "null_value",
            RejectCode::CheckFailed => "check_failed",
            RejectCode::Overflow => "overflow",
            RejectCode::InvalidCast => "invalid_cast",
            RejectCode::DuplicateKey => "duplicate_key",
        }
    }

    /// The code that the dead-letter file has so.
    pub fn parse(text: &str) -> Option<Self> {
        RejectCode::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record that was not loaded, placed within its block; the run adds where the block lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Records of the block in front of this one.
    pub record: u32,
    /// Where its bytes lie in the block, without the line end; of a record that is too long, the beginning.
    pub span: Span,
    /// How long it is, however much of it the span has.
    pub byte_length: u64,
    /// What is wrong, in a word.
    pub code: RejectCode,
    /// The column at fault; empty when it is the record as a whole.
    pub column: String,
    /// The value at fault, at most `Reject::MAX_VALUE_BYTES` of it; empty when there is none.
    pub value: Vec<u8>,
    /// What is wrong, in a sentence.
    pub reason: String,
}

impl Reject {
    /// How much of an offending value is kept.
    pub const MAX_VALUE_BYTES: usize = 1024;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_selection_has_the_rows_whose_flags_are_set(flags in proptest::collection::vec(any::<bool>(), 0..20)) {
            let selection = Selection::from_flags(&flags);
            let expected: Vec<usize> = (0..flags.len()).filter(|row| flags[*row]).collect();
            prop_assert_eq!(selection.rows().collect::<Vec<_>>(), &expected[..]);
            prop_assert_eq!(matches!(selection, Selection::All(_)), expected.len() == flags.len());
        }
    }

    #[test]
    fn every_code_is_read_as_it_is_written() {
        assert_eq!(RejectCode::ALL.len(), RejectCode::DuplicateKey as usize + 1, "ALL lacks a code");
        for code in RejectCode::ALL {
            assert_eq!(RejectCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(RejectCode::parse("no_such_code"), None);
    }
}
