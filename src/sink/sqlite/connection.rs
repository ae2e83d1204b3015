//! Opening databases, registering functions, and what SQLite's errors mean to people. Reads and writes no table.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

use crate::chunk::{Cell, Scalar};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::ScalarFunction;
use crate::sink::sqlite::values::cell_of;
use crate::sink::statements;

pub(super) fn connect(path: &Path, functions: &[ScalarFunction]) -> Result<Connection> {
    // An absolute path is a path: SQLite takes ":memory:", "" and "file:..." for something else.
    let absolute = std::path::absolute(path).map_err(|error| Error::io(ErrorKind::Output, "open", path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(absolute, flags)
        .and_then(|connection| prepare_for_selects(&connection, functions).map(|()| connection))
        .map_err(|error| database_error("open", path, &error))
}

/// Registers functions, and makes a misspelt name in double quotes an error instead of a text.
pub(super) fn prepare_for_selects(connection: &Connection, functions: &[ScalarFunction]) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for function in functions {
        let call = function.call.clone();
        connection.create_scalar_function(function.name.as_str(), function.arity, flags, move |context| {
            let arguments: std::result::Result<Vec<_>, String> =
                (0..context.len()).map(|index| argument(context.get_raw(index))).collect();
            arguments
                .and_then(|arguments| call(&arguments))
                .map(SqlScalar)
                .map_err(|message| rusqlite::Error::UserFunctionError(message.into()))
        })?;
    }
    Ok(())
}

/// An argument of a function: text must be UTF-8, which in a database of somebody else it may not be.
fn argument(value: ValueRef<'_>) -> std::result::Result<Cell<'_>, String> {
    let cell = cell_of(value);
    match cell {
        Cell::Text(text) if std::str::from_utf8(text).is_err() => Err("a text that is not UTF-8".to_owned()),
        cell => Ok(cell),
    }
}

struct SqlScalar(Scalar);

impl ToSql for SqlScalar {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0.as_cell() {
            Cell::Null => ValueRef::Null,
            Cell::Int(value) => ValueRef::Integer(value),
            Cell::Double(value) => ValueRef::Real(value),
            Cell::Bool(value) => ValueRef::Integer(i64::from(value)),
            Cell::Text(value) => ValueRef::Text(value),
        }))
    }
}

/// What went wrong while a SELECT ran: with the database, or with the SELECT.
pub(super) fn run_error(verb: &str, path: &Path, title: &str, sql: &str, error: &rusqlite::Error) -> Error {
    if is_about_the_database(error) { database_error(verb, path, error) } else { select_error(title, sql, error) }
}

/// What is wrong with a SELECT; the whole of it is underlined where SQLite does not say which part.
pub(super) fn select_error(title: &str, sql: &str, error: &rusqlite::Error) -> Error {
    let (message, span) = match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => (msg.clone(), statements::token_at(sql, *offset)),
        other => (other.to_string(), 0..sql.len()),
    };
    Error::new(ErrorKind::Pipeline, format!("the SELECT of `{title}`: {message}"))
        .at(statements::excerpt(title, sql, span))
}

/// Whether the failure says something about files and locks, and nothing about SQL.
pub(super) fn is_about_the_database(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ConstraintViolation, TooBig, TypeMismatch, Unknown};
    error.sqlite_error_code().is_some_and(|code| !matches!(code, Unknown | ConstraintViolation | TypeMismatch | TooBig))
}

pub(super) fn database_error(verb: &str, path: &Path, error: &rusqlite::Error) -> Error {
    let sqlite = error.to_string();
    let (cause, help) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => {
            ("the database is locked by another process", "wait until the other program is done, or close it")
        }
        Some(ErrorCode::NotADatabase) => {
            ("this is not a SQLite database", "feedmill does not overwrite other files; give --db another path")
        }
        Some(ErrorCode::ReadOnly) => {
            ("the database is read-only", "make the file and its directory writable, or give --db another path")
        }
        Some(ErrorCode::CannotOpen) => {
            (&*sqlite, "the file must be readable, and its directory writable for SQLite's journal")
        }
        Some(ErrorCode::DiskFull) => {
            ("the disk is full", "make room there, or give --temp-dir a directory on another disk")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            ("the database is corrupt", "restore it from a copy, or give --db another path and run again")
        }
        _ => return Error::io(ErrorKind::Output, verb, path, error),
    };
    Error::io(ErrorKind::Output, verb, path, &cause).help(help)
}
