//! Whole pages into the database, through SQLite's own pager, and what the schema says of the trees on them. Knows
//! nothing of rows.
//!
//! Pages are written by the virtual table `sqlite_dbpage` (<https://www.sqlite.org/dbpage.html>). They are part of the
//! transaction like anything that a statement writes: in the journal or the write-ahead log, taken back by a rollback or
//! by whoever opens the database after a crash, and bounded by the page cache. They come behind the last page, so no page
//! that SQLite has parsed changes under it, but for the count of pages in the header of the file (section 1.3.7 of
//! <https://www.sqlite.org/fileformat2.html>). SQLite reads that again at the end of a savepoint.

use std::io;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ffi, params};

use crate::chunk::quoted_name;
use crate::sink::btree::Format;
use crate::sink::btree::page::PageBuffer;
use crate::sink::direct_file::DirectFile;
use crate::sink::{TableLayout, statements};

const WRITE_PAGE: &str = "INSERT INTO sqlite_dbpage (pgno, data) VALUES (?1, ?2)";
const READ_HEADER: &str = "SELECT data FROM sqlite_dbpage('main') WHERE pgno = 1";

/// The number of pages, in the header of the file.
const PAGE_COUNT: std::ops::Range<usize> = 28..32;
/// The bytes that are reserved at the end of each page.
const RESERVED: usize = 20;
/// The format of the schema (section 1.3.11), and the one that has integers without bytes.
const SCHEMA_FORMAT: std::ops::Range<usize> = 44..48;
const NEWEST_SCHEMA_FORMAT: u32 = 4;

/// Whether this build of SQLite can write pages.
pub(super) fn are_possible() -> bool {
    Connection::open_in_memory().is_ok_and(|connection| connection.prepare(WRITE_PAGE).is_ok())
}

/// The sizes of the pages of a database that takes whole pages, or why it takes none.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<Result<Format, &'static str>> {
    if connection.prepare(WRITE_PAGE).is_err() {
        return Ok(Err("this build of SQLite has no sqlite_dbpage"));
    }
    let encoding: String = connection.query_row("PRAGMA main.encoding", [], |row| row.get(0))?;
    if encoding != "UTF-8" {
        return Ok(Err("its text is not UTF-8"));
    }
    if connection.query_row("PRAGMA main.auto_vacuum", [], |row| row.get::<_, i64>(0))? != 0 {
        return Ok(Err("it has auto_vacuum"));
    }
    let header = header(connection)?;
    let schema_format = header[SCHEMA_FORMAT].try_into().map_or(0, u32::from_be_bytes);
    if schema_format != NEWEST_SCHEMA_FORMAT {
        return Ok(Err("its schema has an old format"));
    }
    Ok(Ok(Format { page_size: header.len(), usable: header.len() - usize::from(header[RESERVED]) }))
}

/// Writes the pages of a buffer, and empties it: its next pages come behind those that the database has now, and until
/// they are written no statement may add others. Into a file that nobody else knows they are written directly, which costs
/// a third; only the last one tells the pager how long the file is.
pub(super) fn write(
    connection: &Connection,
    pages: &mut PageBuffer,
    direct: Option<&mut DirectFile>,
) -> rusqlite::Result<()> {
    let page_count = || connection.prepare_cached("PRAGMA main.page_count")?.query_row([], |row| row.get(0));
    if pages.bytes() > 0 {
        debug_assert_eq!(page_count(), Ok(pages.behind()), "pages are added in between");
        write_stretches(connection, pages, direct)?;
    }
    pages.restart_behind(page_count()?);
    Ok(())
}

fn write_stretches(
    connection: &Connection,
    pages: &mut PageBuffer,
    direct: Option<&mut DirectFile>,
) -> rusqlite::Result<()> {
    let page_size = pages.format().page_size;
    connection.prepare_cached("SAVEPOINT _feedmill_pages")?.execute([])?;
    let mut write = connection.prepare_cached(WRITE_PAGE)?;
    let mut directly = Vec::new();
    for (first, stretch) in pages.stretches() {
        let through_pager = if direct.is_some() { stretch.end - page_size } else { stretch.start };
        directly.push((stretch.start..through_pager, u64::from(first - 1) * page_size as u64));
        let numbers = first + ((through_pager - stretch.start) / page_size) as u32..;
        for (number, image) in numbers.zip(pages.images()[through_pager..stretch.end].chunks(page_size)) {
            write.raw_bind_parameter(1, number)?;
            write.raw_bind_parameter(2, ToSqlOutput::Borrowed(ValueRef::Blob(image)))?;
            write.raw_execute()?;
        }
    }
    if let Some(file) = direct {
        file.write(pages.images(), directly).map_err(|cause| disk_error(&cause))?;
    }
    let mut first = header(connection)?;
    first[PAGE_COUNT].copy_from_slice(&pages.page_count().to_be_bytes());
    write.execute(params![1, first])?;
    write.clear_bindings();
    connection.prepare_cached("RELEASE _feedmill_pages")?.execute([])?;
    Ok(())
}

/// A failure of the system as SQLite would tell it.
pub(super) fn disk_error(cause: &io::Error) -> rusqlite::Error {
    let code = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ffi::SQLITE_FULL,
        _ => ffi::SQLITE_IOERR_WRITE,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(cause.to_string()))
}

/// The first page.
fn header(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    connection.prepare_cached(READ_HEADER)?.query_row([], |row| row.get(0))
}

/// A table whose pages are written.
pub(super) struct BuiltTable<'a> {
    pub(super) name: &'a str,
    /// Its CREATE TABLE statement.
    pub(super) declaration: &'a str,
    pub(super) root: u32,
    /// The root of the index of its primary key.
    pub(super) key_root: Option<u32>,
}

/// Writes into the schema what CREATE TABLE would have written there, with other roots (section 2.6).
pub(super) fn add_to_schema(connection: &Connection, table: &BuiltTable<'_>) -> rusqlite::Result<()> {
    rewrite_schema(connection, |connection| {
        let sql = "INSERT INTO main.sqlite_schema VALUES (?1, ?2, ?3, ?4, ?5)";
        connection.execute(sql, params!["table", table.name, table.name, table.root, table.declaration])?;
        if let Some(root) = table.key_root {
            let none: Option<&str> = None;
            connection.execute(sql, params!["index", key_index_name(table.name), table.name, root, none])?;
        }
        Ok(())
    })
}

/// Makes an index the one that belongs to the PRIMARY KEY of a table, which gets a new declaration.
pub(super) fn adopt_index(
    connection: &Connection,
    table: &str,
    index: &str,
    declaration: &str,
) -> rusqlite::Result<()> {
    rewrite_schema(connection, |connection| {
        let sql = "UPDATE main.sqlite_schema SET sql = ?2 WHERE type = 'table' AND name = ?1";
        connection.execute(sql, [table, declaration])?;
        let sql = "UPDATE main.sqlite_schema SET name = ?2, sql = NULL WHERE type = 'index' AND name = ?1";
        connection.execute(sql, [index, &key_index_name(table)])?;
        Ok(())
    })
}

/// Changes the schema in the way that <https://www.sqlite.org/lang_altertable.html> (section 7) gives for changes that
/// leave the content alone. SQLite reads it again when its version changes.
fn rewrite_schema(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let version: i64 = connection.query_row("PRAGMA main.schema_version", [], |row| row.get(0))?;
    connection.execute_batch("PRAGMA writable_schema = ON")?;
    let changed = change(connection)
        .and_then(|()| connection.execute_batch(&format!("PRAGMA main.schema_version = {}", version + 1)));
    connection.execute_batch("PRAGMA writable_schema = OFF")?;
    changed
}

/// The name of the index that belongs to a PRIMARY KEY (section 2.6.1). It has no SQL text.
fn key_index_name(table: &str) -> String {
    format!("sqlite_autoindex_{table}_1")
}

/// Whether SQLite would make a table of this declaration.
pub(super) fn try_declaration(declaration: &str) -> rusqlite::Result<()> {
    Connection::open_in_memory()?.execute_batch(declaration)
}

/// The declaration as the schema has it.
pub(super) fn declaration(layout: &TableLayout) -> String {
    statements::create_table(&quoted_name(&layout.name), layout)
}
