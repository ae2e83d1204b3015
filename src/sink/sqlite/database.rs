//! A database that is only read, and SELECTs that are only compiled. Writes nothing.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::chunk::{Cell, Scalar, quoted_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::sqlite::connection::{connect, database_error, prepare_for_selects, run_error, select_error};
use crate::sink::sqlite::published;
use crate::sink::sqlite::values::cell_of;
use crate::sink::{ResultTable, ScalarFunction, TableLayout, statements};

/// A database that is only read: results, reports, comparisons.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens a database that exists.
    ///
    /// # Errors
    /// Of kind Output, when it does not exist, is none, or is locked by another process.
    pub fn open(path: &Path, functions: &[ScalarFunction]) -> Result<Self> {
        // Opened for writing, because the journal of a killed process has to be rolled back before anything is read.
        Database::of(connect(path, functions)?, path.to_owned())
    }

    /// The database of a connection.
    pub(super) fn of(connection: Connection, path: PathBuf) -> Result<Self> {
        let settings = "PRAGMA query_only = ON; PRAGMA temp_store = FILE; PRAGMA mmap_size = 0; PRAGMA schema_version;";
        connection.execute_batch(settings).map_err(|error| database_error("read", &path, &error))?;
        Ok(Database { connection, path })
    }

    /// Lets SELECTs read another database, too, under a name in front of its tables.
    ///
    /// # Errors
    /// Of kind Output, when it cannot be read.
    pub fn attach(&self, other: &Path, name: &str) -> Result<()> {
        let absolute =
            std::path::absolute(other).map_err(|error| Error::io(ErrorKind::Output, "open", other, &error))?;
        let sql = format!("ATTACH ?1 AS {}", quoted_name(name));
        let attached = self.connection.execute(&sql, [absolute.to_string_lossy()]);
        attached.map(drop).map_err(|error| database_error("read", other, &error))
    }

    /// Runs a SELECT, shows each row to `visit` until that breaks, and returns the names of the columns. `title` is
    /// what errors call the SELECT.
    ///
    /// # Errors
    /// What is wrong with the SELECT, with its place; or the first error of `visit`.
    pub fn query(
        &self,
        title: &str,
        sql: &str,
        mut visit: impl FnMut(&[Cell<'_>]) -> Result<ControlFlow<()>>,
    ) -> Result<Vec<String>> {
        let names = select_columns(&self.connection, title, sql)?;
        let fail = |error: rusqlite::Error| run_error("read", &self.path, title, sql, &error);
        let mut statement = self.connection.prepare(sql).map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let mut cells = Vec::with_capacity(names.len());
            for index in 0..names.len() {
                cells.push(cell_of(row.get_ref(index).map_err(fail)?));
            }
            if visit(&cells)?.is_break() {
                break;
            }
        }
        Ok(names)
    }

    /// Has SQLite look at every page, row and index of the database.
    ///
    /// # Errors
    /// Of kind Output, with the first things that SQLite finds wrong.
    pub fn check(&self) -> Result<()> {
        let check = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.connection.prepare("PRAGMA integrity_check(10)")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let found = check().map_err(|error| database_error("check", &self.path, &error))?;
        if found == ["ok"] {
            return Ok(());
        }
        let message = format!("{} is damaged: {}", self.path.display(), found.join("; "));
        Err(Error::new(ErrorKind::Output, message).help("restore it from a copy, or remove it and run again"))
    }

    /// The first `limit` rows of a SELECT.
    ///
    /// # Errors
    /// What is wrong with the SELECT, with its place.
    pub fn query_rows(&self, title: &str, sql: &str, limit: usize) -> Result<ResultTable> {
        let mut rows: Vec<Vec<Scalar>> = Vec::new();
        let mut is_truncated = false;
        let columns = self.query(title, sql, |cells| {
            if rows.len() == limit {
                is_truncated = true;
                return Ok(ControlFlow::Break(()));
            }
            rows.push(cells.iter().map(|cell| cell.to_scalar()).collect());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(ResultTable { columns, rows, is_truncated })
    }
}

/// Compiles the SELECT of a table against empty tables of these names and columns, and returns the names of the
/// columns that `select_into` would give the table.
///
/// # Errors
/// What is wrong with the SELECT, with its place, or with the layout.
pub fn validate_sql(
    layout: &TableLayout,
    sql: &str,
    readable: &[(&str, &[String])],
    functions: &[ScalarFunction],
) -> Result<Vec<String>> {
    let fail = |error: rusqlite::Error| select_error(&layout.name, sql, &error);
    let connection = Connection::open_in_memory().map_err(fail)?;
    prepare_for_selects(&connection, functions).map_err(fail)?;
    for (name, columns) in readable {
        let empty = TableLayout {
            name: (*name).to_owned(),
            columns: columns.iter().map(|column| (column.clone(), None)).collect(),
            ..TableLayout::default()
        };
        connection.execute_batch(&statements::create_table(&published(name), &empty)).map_err(fail)?;
    }
    let resolved = statements::resolve(layout, select_columns(&connection, &layout.name, sql)?)?;
    Ok(resolved.columns.into_iter().map(|(name, _)| name).collect())
}

/// The names of the columns of a SELECT; anything else than one SELECT without parameters is refused.
pub(super) fn select_columns(connection: &Connection, title: &str, sql: &str) -> Result<Vec<String>> {
    let statement = connection.prepare(sql).map_err(|error| select_error(title, sql, &error))?;
    let refuse = |what: &str| {
        let message = format!("the SELECT of `{title}`: {what}");
        Err(Error::new(ErrorKind::Pipeline, message).at(statements::excerpt(title, sql, 0..sql.len())))
    };
    // PRAGMA and EXPLAIN return rows too, but tables are made only of a SELECT. The probe is compiled and never run.
    if connection.prepare(&format!("CREATE TEMP TABLE _feedmill_probe AS {sql}")).is_err() {
        return refuse("this is not a SELECT");
    }
    if statement.parameter_count() > 0 {
        return refuse(&format!("{} has no value", statement.parameter_name(1).unwrap_or("?")));
    }
    Ok(statement.column_names().map(str::to_owned).collect())
}
