//! Values between columns and SQLite: cells to parameters, results to cells. Runs no statement.

use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::chunk::calendar;
use crate::chunk::decimal;
use crate::chunk::{Cell, Column, ColumnView, DataType, Values};

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
    for (nth, parameter) in parameters.enumerate() {
        let value = value_of(column, row_of(nth), data_type, scratch);
        insert.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// A value as SQLite stores it. Dates and timestamps are written into `scratch`.
#[inline]
fn value_of<'a>(column: &'a Column, row: usize, data_type: DataType, scratch: &'a mut Vec<u8>) -> ValueRef<'a> {
    if !column.is_valid(row) {
        return ValueRef::Null;
    }
    match (&column.values, data_type) {
        (Values::Int(values), DataType::Decimal { scale, .. }) => {
            ValueRef::Real(decimal::to_f64(i128::from(values[row]), scale))
        }
        (Values::Int(values), DataType::Date) => {
            scratch.clear();
            calendar::write_date(scratch, values[row]);
            ValueRef::Text(scratch)
        }
        (Values::Int(values), DataType::Timestamp) => {
            scratch.clear();
            calendar::write_timestamp(scratch, values[row]);
            ValueRef::Text(scratch)
        }
        (Values::Int(values), _) => ValueRef::Integer(values[row]),
        (Values::Double(values), _) => ValueRef::Real(values[row]),
        (Values::Bool(values), _) => ValueRef::Integer(i64::from(values[row])),
        (Values::Text(text), _) => ValueRef::Text(text.get(row)),
    }
}

pub(super) fn in_words(value: ValueRef<'_>) -> String {
    const MAX_CHARACTERS: usize = 60;
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            match text.char_indices().nth(MAX_CHARACTERS) {
                Some((end, _)) => format!("'{}...'", &text[..end]),
                None => format!("'{text}'"),
            }
        }
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
