//! What SQLite stores for a value of a column. Knows nothing of statements and pages.

use crate::chunk::calendar;
use crate::chunk::decimal;
use crate::chunk::{Column, ColumnView, DataType, Values};

/// A value as SQLite stores it. Dates and timestamps are text, decimals are doubles, booleans are 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stored<'a> {
    /// SQL's NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A number of a column with REAL affinity, never a NaN.
    Real(f64),
    /// Text in UTF-8.
    Text(&'a [u8]),
}

impl Stored<'_> {
    /// The value for a message: text in quotes, and not too much of it.
    pub(super) fn in_words(self) -> String {
        const MAX_CHARACTERS: usize = 60;
        match self {
            Stored::Null => "NULL".to_owned(),
            Stored::Integer(value) => value.to_string(),
            Stored::Real(value) => value.to_string(),
            Stored::Text(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                match text.char_indices().nth(MAX_CHARACTERS) {
                    Some((end, _)) => format!("'{}...'", &text[..end]),
                    None => format!("'{text}'"),
                }
            }
        }
    }
}

/// A value of a column as SQLite stores it. Dates and timestamps are written into `scratch`.
#[inline]
pub(super) fn stored<'a>(column: &'a Column, row: usize, data_type: DataType, scratch: &'a mut Vec<u8>) -> Stored<'a> {
    if !column.is_valid(row) {
        return Stored::Null;
    }
    match (&column.values, data_type) {
        (Values::Int(values), DataType::Decimal { scale, .. }) => {
            Stored::Real(decimal::to_f64(i128::from(values[row]), scale))
        }
        (Values::Int(values), DataType::Date) => {
            scratch.clear();
            calendar::write_date(scratch, values[row]);
            Stored::Text(scratch)
        }
        (Values::Int(values), DataType::Timestamp) => {
            scratch.clear();
            calendar::write_timestamp(scratch, values[row]);
            Stored::Text(scratch)
        }
        (Values::Int(values), _) => Stored::Integer(values[row]),
        (Values::Double(values), _) => Stored::Real(values[row]),
        (Values::Bool(values), _) => Stored::Integer(i64::from(values[row])),
        (Values::Text(text), _) => Stored::Text(text.get(row)),
    }
}

/// The column that a view reads, and which of its rows a row of the view is.
#[inline]
pub(super) fn resolve<'a>(view: &ColumnView<'a>, row: usize) -> (&'a Column, usize) {
    match *view {
        ColumnView::Rows(column) => (column, row),
        ColumnView::Encoded { codes, entries, .. } => (entries, codes[row] as usize),
    }
}
