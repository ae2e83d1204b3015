//! Columns to the world: a SQLite database that is published whole or not at all, and the dead-letter file. No
//! opinion on what a table means, and no threads but those that sort keys and wait for the disk.
//!
//! # What is published when
//!
//! Tables that are made anew are written in one transaction: `begin`, then `create_table`, `stage`, `rows` and
//! `select_into`, then `commit`; a table takes no more rows once a `select_into` may have read it. Tables that rows are
//! loaded into (`open_load`) may see many transactions, each with an entry in the ledger that says how far the load has
//! come. Nobody sees a part of a transaction: who reads the database meanwhile has to wait, or, where the database has a
//! write-ahead log, sees what was committed before.
//!
//! A database that exists keeps its old content in the journal (or the new one in an unfinished log) until the commit: if
//! the process is killed, the next program that opens the database, feedmill or not, puts the old content back before it
//! reads a byte. A database that does not exist yet is built in a file beside its path, which gets its name when
//! everything is on the disk; what a killed process leaves of it is overwritten by the next run. So there is no state
//! that could disagree with the tables.
//!
//! # Rows to tables
//!
//! Rows of a table that does not exist yet become whole pages of the database, formatted here (`btree`) and written
//! through SQLite's own pager; rows for a table that exists are inserted. [`Writer`] says what the user has a say in.
//!
//! # The ledger
//!
//! `_feedmill_loads` and `_feedmill_inputs` say how far loads have come: [`LoadLedger`]; `_feedmill_replayed` says which
//! dead letters were loaded after all. `_feedmill_increments`, `_feedmill_prefixes`, `_feedmill_counts` and
//! `_feedmill_groups` say what tables that are made incrementally were made of: [`IncrementLedger`]. The table `_feedmill_tables` has a row for each table that feedmill has made: its
//! `name`, the CREATE TABLE statement as SQLite had it then (`created`), and what the caller says that it was made from
//! (`definition`). A run replaces a table only if the ledger has its name and its CREATE TABLE statement is still the
//! recorded one; a table that somebody else made, or dropped and made anew, or altered, is not touched unless the user
//! asks for it. The ledger is written in the transaction that writes the tables, so that it is right about them at any
//! instant. It holds no times and no paths but those that the user wrote, so that equal runs leave equal databases.
//! Replacing a table drops the indexes and triggers that others have put on it; views stay.

mod btree;
mod dead_letter;
mod dead_letter_reader;
mod direct_file;
mod failing;
mod increment;
mod ledger;
mod new_file;
mod options;
mod sqlite;
mod statements;
mod stored;

pub use dead_letter::{DeadLetter, DeadLetterWriter};
pub use dead_letter_reader::DeadLetterReader;
pub use failing::FailingSink;
pub use increment::{GroupBytes, Increment, IncrementLedger, PrefixEntry, Replaced, ReplacedRows};
pub use ledger::{Fingerprint, KeyState, LetterId, LettersMark, Load, LoadLedger, MemberEntry, Mode};
pub use options::{SqliteOptions, Writer};
pub use sqlite::{Database, SqliteSink, validate_sql};

use std::fmt;
use std::sync::Arc;

use crate::chunk::{Cell, ColumnView, DataType, Field, Scalar, Selection};
use crate::error::{Error, Result};

/// Where the tables of a run go. Nothing is visible to others before `commit`; dropping a sink before that undoes
/// everything, and is all that may be done with it after an error.
pub trait Sink {
    /// What to do about tables that exist.
    fn mode(&self) -> Mode;

    /// Starts a transaction: from here on nobody else can write. After `commit` another may follow.
    ///
    /// # Errors
    /// When the target is locked or cannot be written, or when somebody else has written since the last commit.
    fn begin(&mut self) -> Result<()>;

    /// Makes an empty table, in the place of one that an earlier run has made.
    ///
    /// # Errors
    /// When there is a table of that name that feedmill did not make, or the layout is wrong.
    fn create_table(&mut self, layout: &TableLayout) -> Result<TableId>;

    /// Makes an empty table that only `select_into` can read and that is never published.
    ///
    /// # Errors
    /// When it exists, or cannot be written.
    fn stage(&mut self, name: &str, columns: &[Field]) -> Result<TableId>;

    /// Appends the selected rows, with one view for each column of the table. Rows of a table with a primary key may
    /// come in any order; they end up in the order of the key.
    ///
    /// # Errors
    /// When the target cannot be written. Two rows with the same primary key are found by the next `select_into` or
    /// `commit`.
    fn rows(
        &mut self,
        table: TableId,
        columns: &[ColumnView<'_>],
        selection: &Selection,
    ) -> std::result::Result<(), RowError>;

    /// Says that a table that `create_table` or `stage` has made takes no more rows, so that nothing of it has to stay in
    /// memory until the commit.
    ///
    /// # Errors
    /// When two rows have the same primary key, or the target cannot be written.
    fn end_rows(&mut self, table: TableId) -> Result<()>;

    /// Opens a table to load rows into, or makes it. Rows come as they are to lie in it, with `rows`, and no two of
    /// them may have the same key while that is `KeyState::Deferred`.
    ///
    /// # Errors
    /// When there is a table that the mode does not allow to add rows to, or it is not as the layout says.
    fn open_load(&mut self, layout: &TableLayout) -> Result<Load>;

    /// Which of the selected rows have a key that a table with `KeyState::Indexed` has already: a flag for each row. The
    /// views are those of the key's columns, in the order of the layout's primary key.
    ///
    /// # Errors
    /// When the target cannot be read.
    fn find_keys(&mut self, table: TableId, key: &[ColumnView<'_>], selection: &Selection) -> Result<Vec<bool>>;

    /// Writes the state of a load: everything but `members` as it is now, and of those the ones that have changed.
    ///
    /// # Errors
    /// When the target cannot be written.
    fn write_ledger(&mut self, table: TableId, ledger: &LoadLedger) -> Result<()>;

    /// Whether an earlier replay, or this one, has loaded a dead letter into a table.
    ///
    /// # Errors
    /// When the target cannot be read.
    fn is_replayed(&mut self, table: TableId, letter: &LetterId) -> Result<bool>;

    /// Remembers dead letters that are loaded into a table now, so that no replay loads them again.
    ///
    /// # Errors
    /// When the target cannot be written.
    fn write_replayed(&mut self, table: TableId, letters: &[LetterId]) -> Result<()>;

    /// Gives a table with `KeyState::Deferred` its key.
    ///
    /// # Errors
    /// When two rows have the same key, or the target cannot be written.
    fn build_key(&mut self, table: TableId) -> Result<()>;

    /// Makes a table of the rows of a SELECT over published and staged tables, in its order, and says how many there
    /// are. A layout without columns takes the names from the SELECT and declares no types.
    ///
    /// # Errors
    /// As `create_table` and `rows`; what is wrong with the SELECT comes with the place in `sql`.
    fn select_into(&mut self, layout: &TableLayout, sql: &str) -> Result<u64>;

    /// What is known of a table that is made incrementally, and of this owner's rows in it.
    ///
    /// # Errors
    /// When there is a table of that name that feedmill did not make, or a newer version has made.
    fn open_increment(&mut self, layout: &TableLayout, owner: &str) -> Result<Increment>;

    /// Makes an empty table for `replace_rows`, in the place of one that an earlier run has made.
    ///
    /// # Errors
    /// As `create_table`.
    fn make_table(&mut self, layout: &TableLayout) -> Result<()>;

    /// Removes rows of a table and puts those of a SELECT over staged tables in their place; returns how many it removed and
    /// how many it inserted.
    ///
    /// # Errors
    /// As `select_into`.
    fn replace_rows(&mut self, layout: &TableLayout, replaced: &Replaced<'_>, sql: &str) -> Result<(u64, u64)>;

    /// Calls `visit` with the stored groups of an owner whose keys begin with one of the prefixes, some at a time.
    ///
    /// # Errors
    /// When the target cannot be read, and the first error of `visit`.
    fn read_groups(
        &mut self,
        table: &str,
        owner: &str,
        prefixes: &[Vec<u8>],
        visit: &mut dyn FnMut(Vec<GroupBytes>) -> Result<()>,
    ) -> Result<()>;

    /// Stores groups of an owner, in the place of those with the same keys.
    ///
    /// # Errors
    /// When the target cannot be written.
    fn write_groups(&mut self, table: &str, owner: &str, groups: &[GroupBytes]) -> Result<()>;

    /// Forgets the stored groups of an owner.
    ///
    /// # Errors
    /// When the target cannot be written.
    fn forget_groups(&mut self, table: &str, owner: &str) -> Result<()>;

    /// Writes what an owner's rows of a table, which takes no more of them, were made of.
    ///
    /// # Errors
    /// When the target cannot be written.
    fn write_increment(&mut self, table: &str, owner: &str, ledger: &IncrementLedger) -> Result<()>;

    /// Publishes everything at once.
    ///
    /// # Errors
    /// When two rows have the same primary key, or when it fails; then nothing is published.
    fn commit(&mut self) -> Result<()>;
}

/// Why a row was not written.
#[derive(Debug)]
pub struct RowError {
    /// The first row that was not, counted among the selected ones.
    pub row: usize,
    /// What is wrong.
    pub error: Error,
}

impl From<RowError> for Error {
    fn from(failed: RowError) -> Self {
        failed.error
    }
}

/// A table of a sink, for `rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableId(usize);

/// What a table to publish looks like.
#[derive(Debug, Clone, Default)]
pub struct TableLayout {
    /// Its name.
    pub name: String,
    /// Names and types of its columns; a type of `None` leaves the values as SQLite computes them.
    pub columns: Vec<(String, Option<DataType>)>,
    /// The columns of its PRIMARY KEY; empty without one. As in SQLite, rows with a NULL in the key are never equal.
    pub primary_key: Vec<String>,
    /// Whether it is a WITHOUT ROWID table, which needs a primary key without NULLs and has its rows in the order of it.
    pub without_rowid: bool,
    /// Whether it is never published: `select_into` and whoever reads through the sink's own connection see it, as SQLite's
    /// TEMP tables (<https://www.sqlite.org/lang_createtable.html>), and it vanishes with that.
    pub is_temporary: bool,
    /// What the ledger says that the table was made from: the text of its SELECT, or a fingerprint.
    pub definition: String,
    /// Which rows these are, if not all: such a table takes no place of one with others, and no rows of those, unless the mode
    /// is to replace.
    pub part: Option<String>,
}

impl TableLayout {
    /// The places of the columns of its primary key, in the order of the key.
    fn key_places(&self) -> Vec<usize> {
        let place = |key: &String| self.columns.iter().position(|(name, _)| name.eq_ignore_ascii_case(key));
        self.primary_key.iter().filter_map(place).collect()
    }

    /// The layout without its primary key.
    fn without_key(&self) -> Self {
        TableLayout { primary_key: Vec::new(), without_rowid: false, ..self.clone() }
    }
}

/// Some rows of a SELECT.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultTable {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values. SQLite has integers, doubles and text (blobs are given as text) and no other types.
    pub rows: Vec<Vec<Scalar>>,
    /// Whether there were more rows.
    pub is_truncated: bool,
}

/// A function of the arguments' values; the error is a sentence without position.
pub type ScalarCall = Arc<dyn Fn(&[Cell<'_>]) -> std::result::Result<Scalar, String> + Send + Sync>;

/// A scalar function that SQL can call. Its result must depend on nothing but its arguments.
#[derive(Clone)]
pub struct ScalarFunction {
    /// Its name in SQL; it takes the place of a function of SQLite with that name and arity.
    pub name: String,
    /// How many arguments it takes; -1 for any number.
    pub arity: i32,
    /// What it computes. Dates and timestamps arrive as text and booleans as integers, which is how SQLite has them.
    pub call: ScalarCall,
}

impl fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.arity)
    }
}
