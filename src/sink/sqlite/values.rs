//! Values between columns and SQLite: cells to parameters, results to cells. Runs no statement.

use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::chunk::Cell;
use crate::sink::stored::{Stored, StoredColumn};

/// Binds `rows` rows to the parameters of an INSERT, column by column.
pub(super) fn bind_rows(
    insert: &mut Statement<'_>,
    columns: &[StoredColumn<'_>],
    rows: usize,
    row_of: impl Fn(usize) -> usize,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    for (index, column) in columns.iter().enumerate() {
        for (nth, number) in (index + 1..).step_by(columns.len()).take(rows).enumerate() {
            let value = column.get(row_of(nth), scratch);
            insert.raw_bind_parameter(number, ToSqlOutput::Borrowed(parameter(value)))?;
        }
    }
    Ok(())
}

/// A stored value as a parameter.
#[inline]
fn parameter(value: Stored<'_>) -> ValueRef<'_> {
    match value {
        Stored::Null => ValueRef::Null,
        Stored::Integer(value) => ValueRef::Integer(value),
        Stored::Real(value) => ValueRef::Real(value),
        Stored::Text(text) => ValueRef::Text(text),
    }
}

/// A result of a statement as a stored value; a blob is taken for text.
pub(super) fn stored_value(value: ValueRef<'_>) -> Stored<'_> {
    match value {
        ValueRef::Null => Stored::Null,
        ValueRef::Integer(value) => Stored::Integer(value),
        ValueRef::Real(value) => Stored::Real(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Stored::Text(bytes),
    }
}

pub(super) fn cell_of(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Double(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cell::Text(bytes),
    }
}
