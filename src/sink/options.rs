//! How the database is used: waiting, memory, files, functions. Opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::sink::{Mode, ScalarFunction};

/// How SQLite is used.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// How long to wait for another process that holds the database.
    pub busy_timeout: Duration,
    /// Most bytes of the page cache. A sort may take as much again; what does not fit goes to files.
    pub cache_bytes: usize,
    /// Where these files lie. SQLite has one such place for the whole process; `None` leaves it to the environment.
    pub temp_dir: Option<PathBuf>,
    /// What to do about tables that exist.
    pub mode: Mode,
    /// The functions that SELECTs can call besides those of SQLite.
    pub functions: Vec<ScalarFunction>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            busy_timeout: Duration::from_secs(5),
            cache_bytes: 16 << 20,
            temp_dir: None,
            mode: Mode::Create,
            functions: Vec::new(),
        }
    }
}
