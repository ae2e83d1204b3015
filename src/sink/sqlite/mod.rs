//! SQLite as a sink; its folder is the only place that names rusqlite. Decides nothing about what the tables mean.

mod bulk;
mod connection;
mod database;
mod increment;
mod load;
mod names;
mod pages;
mod values;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};

use crate::chunk::{ColumnView, DataType, Field, Selection, quoted_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::btree::page::PageBuffer;
use crate::sink::new_file::{self, NewFile};
use crate::sink::sqlite::bulk::{BulkTable, RowOrder, duplicate_key_error};
use crate::sink::sqlite::connection::{connect, database_error, is_about_the_database, run_error};
use crate::sink::sqlite::database::select_columns;
use crate::sink::sqlite::names::{CREATE_LEDGER, RESERVED_PREFIX};
use crate::sink::sqlite::values::{bind_rows, stored_value};
use crate::sink::statements;
use crate::sink::stored::StoredColumn;
use crate::sink::{
    GroupBytes, Increment, IncrementLedger, LetterId, Load, LoadLedger, Mode, Replaced, RowError, Sink, SqliteOptions,
    TableId, TableLayout, Writer,
};

pub use database::{Database, validate_sql};

/// A SQLite database that a run writes.
#[derive(Debug)]
pub struct SqliteSink {
    // In front of `new_file`, so that the connection is closed before the file is removed.
    connection: Connection,
    new_file: Option<NewFile>,
    path: PathBuf,
    mode: Mode,
    writer: Writer,
    cache_bytes: usize,
    sort_bytes: usize,
    temp_dir: PathBuf,
    /// Pages that are done, if the database takes whole pages; known from the first transaction on.
    pages: Option<PageBuffer>,
    /// What SQLite said at the last commit; it says something else once somebody else has written.
    data_version: Option<i64>,
    targets: Vec<Target>,
    unsorted: Vec<Unsorted>,
}

/// A table that takes rows.
#[derive(Debug)]
struct Target {
    types: Vec<DataType>,
    rows: RowWriter,
    /// For a table that rows are loaded into, or that is built as pages: what it is to be in the end.
    layout: Option<TableLayout>,
}

/// How a table takes rows.
#[derive(Debug)]
enum RowWriter {
    /// By statements.
    Insert(Inserts),
    /// As pages, until it is complete.
    Bulk(Option<Box<BulkTable>>),
}

/// The statements of a table.
#[derive(Debug)]
struct Inserts {
    batch: usize,
    insert_batch: String,
    insert_one: String,
    /// The SELECT that finds a key; empty without one.
    find_key: String,
}

/// A table with a key, and the temporary table (its name in SQL) in which rows wait for it.
#[derive(Debug)]
struct Unsorted {
    waiting: String,
    layout: TableLayout,
}

/// Each table has two INSERT statements; as many are kept compiled.
const STATEMENT_CACHE: usize = 64;

impl SqliteSink {
    /// Opens a database, or creates one. A file that did not exist before is removed again unless the run commits. Where
    /// new tables are written as pages, it is built beside its path and put there, whole, by the first commit, which is
    /// the last one then.
    ///
    /// # Errors
    /// Of kind Output, when the file cannot be created or written, is no SQLite database, or is locked by another
    /// process.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self> {
        // Upserts are committed in batches.
        let in_one_piece = options.mode != Mode::Upsert
            && (options.writer == Writer::Bulk || options.writer == Writer::Auto && pages::are_possible());
        let mut new_file = if in_one_piece {
            NewFile::create_beside(path)?
        } else {
            new_file::remove_abandoned(path)?;
            NewFile::create(path)?
        };
        let connection = connect(new_file.as_ref().map_or(path, NewFile::location), &options.functions)?;
        let fail = |error: rusqlite::Error| database_error("open", path, &error);
        connection.busy_timeout(options.busy_timeout).map_err(fail)?;
        if let Some(directory) = &options.temp_dir {
            let set = connection.pragma_update(None, "temp_store_directory", directory.to_string_lossy());
            set.map_err(|error| Error::io(ErrorKind::Output, "put temporary files into", directory, &error))?;
        }
        // The journal mode is left as it is: a rollback journal in new files, and both modes are atomic. FULL costs one
        // transaction hardly more than NORMAL, under which a power cut can corrupt the database. Foreign keys are off,
        // because replacing a table must not reach into somebody else's through ON DELETE CASCADE. Reading the schema
        // version finds out whether the file is a database.
        let settings = format!(
            "PRAGMA page_size = 16384; PRAGMA cache_size = -{}; PRAGMA temp_store = FILE; PRAGMA mmap_size = 0; \
             PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA schema_version;",
            options.cache_bytes / 1024
        );
        connection.execute_batch(&settings).map_err(fail)?;
        if new_file.as_mut().and_then(NewFile::unseen).is_some() {
            // Nobody reads the file if the process is killed, and it is on the disk before it gets its name.
            connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").map_err(fail)?;
        }
        if connection.is_readonly("main").map_err(fail)? {
            return Err(Error::new(ErrorKind::Output, format!("cannot write {}: it is read-only", path.display()))
                .help("make it writable, or give --db another path"));
        }
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        Ok(SqliteSink {
            connection,
            new_file,
            path: path.to_owned(),
            mode: options.mode,
            writer: options.writer,
            cache_bytes: options.cache_bytes,
            sort_bytes: options.sort_bytes,
            temp_dir: options.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
            pages: None,
            data_version: None,
            targets: Vec::new(),
            unsorted: Vec::new(),
        })
    }

    fn fail(&self, error: &rusqlite::Error) -> Error {
        database_error("write", &self.path, error)
    }

    /// The database as it is after the last commit, with the temporary tables that only this connection has.
    ///
    /// # Errors
    /// Of kind Output, when it cannot be read.
    pub fn into_database(self) -> Result<Database> {
        Database::of(self.connection, self.path)
    }

    fn create(&self, layout: &TableLayout) -> Result<()> {
        let create = statements::create_table(&name_of(layout), layout);
        self.connection
            .execute_batch(&create)
            .map_err(|error| if is_about_the_database(&error) { self.fail(&error) } else { refused(layout, &error) })?;
        if layout.is_temporary { Ok(()) } else { self.remember(layout) }
    }

    /// Takes the rows of a load into a table that exists.
    fn add_load_target(&mut self, layout: &TableLayout) -> Result<TableId> {
        let types = column_types(layout)?;
        let columns: Vec<String> = layout.columns.iter().map(|(name, _)| name.clone()).collect();
        let table = published(&layout.name);
        let mut inserts = Inserts::new(&format!("{table} ({})", statements::names(&columns)), types.len());
        if self.mode == Mode::Upsert {
            let conflict = statements::on_conflict(&columns, &layout.primary_key);
            inserts.insert_batch += &conflict;
            inserts.insert_one += &conflict;
        }
        inserts.find_key = statements::find_key(&table, &layout.primary_key);
        Ok(self.add_target(types, RowWriter::Insert(inserts), Some(layout)))
    }

    fn add_target(&mut self, types: Vec<DataType>, rows: RowWriter, layout: Option<&TableLayout>) -> TableId {
        self.targets.push(Target { types, rows, layout: layout.cloned() });
        TableId(self.targets.len() - 1)
    }

    fn load_layout(&self, table: TableId) -> Result<&TableLayout> {
        let layout = self.targets.get(table.0).and_then(|target| target.layout.as_ref());
        layout.ok_or_else(|| Error::new(ErrorKind::Internal, format!("{table:?} was not opened by open_load")))
    }

    fn insert_rows(
        &self,
        inserts: &Inserts,
        columns: &[StoredColumn<'_>],
        selection: &Selection,
    ) -> std::result::Result<(), RowError> {
        let failed = |row: usize, error: Error| RowError { row, error };
        let fail = |error: rusqlite::Error| database_error("write", &self.path, &error);
        let mut scratch = Vec::new();
        let row_of = row_of(selection);
        let mut nth = 0;
        while nth < selection.len() {
            let is_batch = selection.len() - nth >= inserts.batch;
            let (sql, rows) = if is_batch { (&inserts.insert_batch, inserts.batch) } else { (&inserts.insert_one, 1) };
            let mut insert = self.connection.prepare_cached(sql).map_err(|error| failed(nth, fail(error)))?;
            let last = if is_batch { selection.len() - rows } else { selection.len() - 1 };
            while nth <= last {
                bind_rows(&mut insert, columns, rows, |index| row_of(nth + index), &mut scratch)
                    .and_then(|()| insert.raw_execute())
                    .map_err(|error| {
                        let is_one = rows == 1 || is_about_the_database(&error);
                        let row = if is_one {
                            0
                        } else {
                            self.failing_row(&inserts.insert_one, columns, rows, &|index| row_of(nth + index))
                        };
                        failed(nth + row, fail(error))
                    })?;
                nth += rows;
            }
            // Bound texts are copies, which would live on in the cache of statements.
            insert.clear_bindings();
        }
        Ok(())
    }

    /// Which row of a statement that failed is at fault: the first one that fails alone.
    fn failing_row(
        &self,
        insert_one: &str,
        columns: &[StoredColumn<'_>],
        rows: usize,
        row_of: &dyn Fn(usize) -> usize,
    ) -> usize {
        let mut scratch = Vec::new();
        let fails = |row: &usize| {
            let inserted = self.connection.prepare_cached(insert_one).and_then(|mut insert| {
                bind_rows(&mut insert, columns, 1, |_| row_of(*row), &mut scratch)?;
                insert.raw_execute()
            });
            inserted.is_err()
        };
        (0..rows).find(fails).unwrap_or(0)
    }

    /// What changes whenever another connection commits; `None` if SQLite does not say.
    fn read_data_version(&self) -> Option<i64> {
        self.connection.query_row("PRAGMA main.data_version", [], |row| row.get(0)).ok()
    }

    /// Completes the tables that are built as pages, and moves the rows that wait for their table, in order of its key.
    fn settle(&mut self) -> Result<()> {
        (0..self.targets.len()).try_for_each(|table| self.complete(TableId(table), true))?;
        for Unsorted { waiting, layout } in &self.unsorted {
            let key = statements::names(&layout.primary_key);
            let sorted = format!("SELECT * FROM {waiting} ORDER BY {key}");
            self.connection
                .execute_batch(&format!("INSERT INTO {} {sorted}", name_of(layout)))
                .and_then(|()| self.connection.execute_batch(&format!("DELETE FROM {waiting}")))
                .map_err(|error| self.duplicate_key(layout, waiting, &error).unwrap_or_else(|| self.fail(&error)))?;
        }
        Ok(())
    }

    /// What to say when an INSERT found two rows with the same key; `rows` is what it read, as a FROM clause has it.
    fn duplicate_key(&self, layout: &TableLayout, rows: &str, error: &rusqlite::Error) -> Option<Error> {
        let codes = [ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ffi::SQLITE_CONSTRAINT_UNIQUE];
        error.sqlite_extended_error_code().filter(|code| codes.contains(code))?;
        let key = &layout.primary_key;
        // SQLite does not say which; where looking for it fails, the message does without the values.
        let value = self.connection.query_row(&statements::duplicate_keys(rows, key), [], |row| {
            let in_words = |index: usize| row.get_ref(index).map(|value| stored_value(value).in_words());
            (0..key.len()).map(|index| Ok(format!("{} = {}", key[index], in_words(index)?))).collect()
        });
        let value: Vec<String> = value.unwrap_or_else(|_| key.clone());
        Some(duplicate_key_error(&layout.name, &value))
    }
}

impl Sink for SqliteSink {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn begin(&mut self) -> Result<()> {
        // Exclusive and not immediate: with a reader about, SQLite cannot write back a page of a full cache. It would
        // wait out the timeout for each one and then keep the page, beyond the bound, only to fail at the commit. (With
        // a write-ahead log there is no difference.) The ledger is the first write: can the journal be created?
        let begin = self
            .connection
            .execute_batch("BEGIN EXCLUSIVE")
            .and_then(|()| self.connection.execute_batch(CREATE_LEDGER))
            .and_then(|()| self.connection.execute_batch(load::CREATE_LEDGER));
        begin.map_err(|error| self.fail(&error))?;
        if self.data_version.is_some_and(|known| self.read_data_version() != Some(known)) {
            let message = format!("another program has written to {} during the run", self.path.display());
            return Err(Error::new(ErrorKind::Output, message).help("what was committed is whole; run again to go on"));
        }
        self.find_page_format()
    }

    fn create_table(&mut self, layout: &TableLayout) -> Result<TableId> {
        let types = column_types(layout)?;
        self.write_pages()?;
        self.claim_name(layout)?;
        if !layout.is_temporary
            && let Some(table) = self.add_bulk_target(layout, RowOrder::Key)?
        {
            return Ok(table);
        }
        self.create(layout)?;
        if layout.primary_key.is_empty() {
            let inserts = Inserts::new(&name_of(layout), types.len());
            return Ok(self.add_target(types, RowWriter::Insert(inserts), None));
        }
        // Rows in any order would visit the pages of the key's index at random: ten times slower once the index is
        // larger than the cache. They wait in a temporary table until `settle` sorts them.
        let waiting = staged(&format!("{RESERVED_PREFIX}waiting_{}", layout.name));
        let plain = layout.without_key();
        let create = statements::create_table(&waiting, &plain);
        self.connection.execute_batch(&create).map_err(|error| self.fail(&error))?;
        let inserts = Inserts::new(&waiting, types.len());
        let table = self.add_target(types, RowWriter::Insert(inserts), None);
        self.unsorted.push(Unsorted { waiting, layout: layout.clone() });
        Ok(table)
    }

    fn stage(&mut self, name: &str, columns: &[Field]) -> Result<TableId> {
        let layout = TableLayout {
            name: name.to_owned(),
            columns: columns.iter().map(|field| (field.name.clone(), Some(field.data_type))).collect(),
            ..TableLayout::default()
        };
        statements::check_layout(&layout)?;
        let create = statements::create_table(&staged(name), &layout);
        self.connection.execute_batch(&create).map_err(|error| self.fail(&error))?;
        let types: Vec<DataType> = columns.iter().map(|field| field.data_type).collect();
        let inserts = Inserts::new(&staged(name), types.len());
        Ok(self.add_target(types, RowWriter::Insert(inserts), None))
    }

    fn rows(
        &mut self,
        table: TableId,
        columns: &[ColumnView<'_>],
        selection: &Selection,
    ) -> std::result::Result<(), RowError> {
        let failed = |error: Error| RowError { row: 0, error };
        let is_bulk = |target: &Target| matches!(target.rows, RowWriter::Bulk(_));
        if !self.targets.get(table.0).is_some_and(is_bulk) {
            self.write_pages().map_err(failed)?;
        }
        match self.targets.get(table.0).filter(|target| target.types.len() == columns.len()) {
            Some(Target { rows: RowWriter::Insert(inserts), types, .. }) => {
                self.insert_rows(inserts, &StoredColumn::all(columns, types), selection)
            }
            Some(_) => self.push_rows(table, columns, selection),
            None => {
                let message = format!("{table:?} does not have {} columns", columns.len());
                Err(failed(Error::new(ErrorKind::Internal, message)))
            }
        }
    }

    fn end_rows(&mut self, table: TableId) -> Result<()> {
        self.complete(table, true)
    }

    fn open_load(&mut self, layout: &TableLayout) -> Result<Load> {
        self.write_pages()?;
        self.open_table(layout)
    }

    fn find_keys(&mut self, table: TableId, key: &[ColumnView<'_>], selection: &Selection) -> Result<Vec<bool>> {
        let no_key = || Error::new(ErrorKind::Internal, format!("{table:?} has no key to look for"));
        let target = self.targets.get(table.0).ok_or_else(no_key)?;
        let RowWriter::Insert(Inserts { find_key, .. }) = &target.rows else { return Err(no_key()) };
        if find_key.is_empty() {
            return Err(no_key());
        }
        let fail = |error: rusqlite::Error| database_error("read", &self.path, &error);
        let key = StoredColumn::all(key, &target.key_types());
        let row_of = row_of(selection);
        let mut find = self.connection.prepare_cached(find_key).map_err(fail)?;
        let (mut found, mut scratch) = (Vec::with_capacity(selection.len()), Vec::new());
        for nth in 0..selection.len() {
            bind_rows(&mut find, &key, 1, |_| row_of(nth), &mut scratch).map_err(fail)?;
            found.push(find.raw_query().next().map_err(fail)?.is_some());
        }
        find.clear_bindings();
        Ok(found)
    }

    fn write_ledger(&mut self, table: TableId, ledger: &LoadLedger) -> Result<()> {
        self.complete(table, false)?;
        self.write_load_ledger(&self.load_layout(table)?.name, ledger)
    }

    fn is_replayed(&mut self, table: TableId, letter: &LetterId) -> Result<bool> {
        self.has_letter(&self.load_layout(table)?.name, letter)
    }

    fn write_replayed(&mut self, table: TableId, letters: &[LetterId]) -> Result<()> {
        self.write_letters(&self.load_layout(table)?.name, letters)
    }

    fn build_key(&mut self, table: TableId) -> Result<()> {
        if matches!(self.targets.get(table.0), Some(Target { rows: RowWriter::Bulk(_), .. })) {
            return self.complete(table, true);
        }
        self.build_key_of(self.load_layout(table)?)
    }

    fn select_into(&mut self, layout: &TableLayout, sql: &str) -> Result<u64> {
        self.settle()?;
        let layout = statements::resolve(layout, select_columns(&self.connection, &layout.name, sql)?)?;
        self.claim_name(&layout)?;
        self.create(&layout)?;
        let inserted = self.connection.execute(&format!("INSERT INTO {} {sql}", name_of(&layout)), []);
        inserted.map(|rows| rows as u64).map_err(|error| {
            self.duplicate_key(&layout, &format!("({sql}\n)"), &error)
                .unwrap_or_else(|| run_error("write", &self.path, &layout.name, sql, &error))
        })
    }

    fn open_increment(&mut self, layout: &TableLayout, owner: &str) -> Result<Increment> {
        self.find_increment(layout, owner)
    }

    fn make_table(&mut self, layout: &TableLayout) -> Result<()> {
        self.claim_name(layout)?;
        self.create(layout)
    }

    fn replace_rows(&mut self, layout: &TableLayout, replaced: &Replaced<'_>, sql: &str) -> Result<(u64, u64)> {
        self.replace_rows_of(layout, replaced, sql)
    }

    fn read_groups(
        &mut self,
        table: &str,
        owner: &str,
        prefixes: &[Vec<u8>],
        visit: &mut dyn FnMut(Vec<GroupBytes>) -> Result<()>,
    ) -> Result<()> {
        self.read_stored_groups(table, owner, prefixes, visit)
    }

    fn write_groups(&mut self, table: &str, owner: &str, groups: &[GroupBytes]) -> Result<()> {
        self.store_groups(table, owner, groups)
    }

    fn forget_groups(&mut self, table: &str, owner: &str) -> Result<()> {
        self.forget_groups_of(table, owner)
    }

    fn write_increment(&mut self, table: &str, owner: &str, ledger: &IncrementLedger) -> Result<()> {
        self.write_increment_ledger(table, owner, ledger)
    }

    fn commit(&mut self) -> Result<()> {
        self.settle()?;
        self.connection.execute_batch("COMMIT").map_err(|error| self.fail(&error))?;
        self.data_version = self.read_data_version();
        match &mut self.new_file {
            Some(new_file) => new_file.publish(),
            None => Ok(()),
        }
    }
}

impl Inserts {
    /// For a table (its name in SQL, with or without columns) and so many values a row.
    fn new(table: &str, columns: usize) -> Self {
        let batch = statements::rows_per_insert(columns);
        Inserts {
            batch,
            insert_batch: statements::insert(table, columns, batch),
            insert_one: statements::insert(table, columns, 1),
            find_key: String::new(),
        }
    }
}

impl Target {
    /// The types of the columns of its key.
    fn key_types(&self) -> Vec<DataType> {
        let places = self.layout.as_ref().map(TableLayout::key_places).unwrap_or_default();
        places.into_iter().map(|place| self.types[place]).collect()
    }
}

fn column_types(layout: &TableLayout) -> Result<Vec<DataType>> {
    let types: Option<Vec<DataType>> = layout.columns.iter().map(|(_, data_type)| *data_type).collect();
    types.ok_or_else(|| {
        let message = format!("table `{}` takes rows, but not all of its columns have a type", layout.name);
        Error::new(ErrorKind::Internal, message)
    })
}

/// What to say when SQLite does not make a table of that layout.
fn refused(layout: &TableLayout, error: &rusqlite::Error) -> Error {
    Error::new(ErrorKind::Pipeline, format!("cannot make the table `{}`: {error}", layout.name))
}

/// The row that stands at each place of a selection.
fn row_of(selection: &Selection) -> impl Fn(usize) -> usize {
    move |nth| match selection {
        Selection::All(_) => nth,
        Selection::Rows(rows) => rows[nth] as usize,
    }
}

/// The name of a table in SQL.
fn name_of(layout: &TableLayout) -> String {
    if layout.is_temporary { staged(&layout.name) } else { published(&layout.name) }
}

/// The name of a published table in SQL.
fn published(name: &str) -> String {
    format!("main.{}", quoted_name(name))
}

/// The name of a table in SQL that vanishes with the connection.
fn staged(name: &str) -> String {
    format!("temp.{}", quoted_name(name))
}
