//! How the database is used: waiting, memory, files, functions. Opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::sink::{Mode, ScalarFunction};

/// How SQLite is used.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// How long to wait for another process that holds the database.
    pub busy_timeout: Duration,
    /// Most bytes of the page cache. A sort of SQLite's may take as much again; what does not fit goes to files.
    pub cache_bytes: usize,
    /// Most bytes that the keys of a table take while they are sorted for its pages; what does not fit goes to files.
    pub sort_bytes: usize,
    /// Where these files lie. SQLite has one such place for the whole process; `None` leaves it to the environment.
    pub temp_dir: Option<PathBuf>,
    /// What to do about tables that exist.
    pub mode: Mode,
    /// How new tables are written.
    pub writer: Writer,
    /// The functions that SELECTs can call besides those of SQLite.
    pub functions: Vec<ScalarFunction>,
}

/// How the rows of new tables are written. Rows that are added to a table that exists are always inserted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Writer {
    /// As pages where the database takes them, and by INSERT where it does not.
    #[default]
    Auto,
    /// By INSERT; a load is committed in batches, and goes on where it was killed.
    Insert,
    /// As pages; a database that does not take them is refused.
    Bulk,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            busy_timeout: Duration::from_secs(5),
            cache_bytes: 16 << 20,
            sort_bytes: 32 << 20,
            temp_dir: None,
            mode: Mode::Create,
            writer: Writer::Auto,
            functions: Vec::new(),
        }
    }
}
