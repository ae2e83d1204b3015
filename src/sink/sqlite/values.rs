//! Values between columns and SQLite: cells to parameters, results to cells. Runs no statement.

use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::chunk::{Cell, Column, ColumnView, DataType};
use crate::sink::stored::{Stored, stored};

/// Binds `rows` rows to the parameters of an INSERT, column by column.
pub(super) fn bind_rows(
    insert: &mut Statement<'_>,
    types: &[DataType],
    columns: &[ColumnView<'_>],
    rows: usize,
    row_of: impl Fn(usize) -> usize,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    for (index, (view, data_type)) in columns.iter().zip(types).enumerate() {
        let parameters = (index + 1..).step_by(columns.len()).take(rows);
        match *view {
            ColumnView::Rows(column) => bind_column(insert, parameters, column, *data_type, &row_of, scratch)?,
            ColumnView::Encoded { codes, entries, .. } => {
                let entry_of = |nth| codes[row_of(nth)] as usize;
                bind_column(insert, parameters, entries, *data_type, entry_of, scratch)?;
            }
        }
    }
    Ok(())
}

/// Binds one row of a column to each of the parameters.
fn bind_column(
    insert: &mut Statement<'_>,
    parameters: impl Iterator<Item = usize>,
    column: &Column,
    data_type: DataType,
    row_of: impl Fn(usize) -> usize,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    for (nth, number) in parameters.enumerate() {
        let value = stored(column, row_of(nth), data_type, scratch);
        insert.raw_bind_parameter(number, ToSqlOutput::Borrowed(parameter(value)))?;
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
