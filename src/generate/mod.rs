//! Seeded synthetic feeds, one submodule for each kind. Not a fake-data library: every generator writes the one layout
//! that its pipeline reads, and the same options always give the same bytes.
//!
//! Nothing here comes from the rest of the crate, so the data shares no bug with the engine that it tests. Nothing here
//! knows of a terminal either: progress goes to a callback.
//!
//! ```text
//! transactions   options -> the files of every client and day
//!   rows         (client, day, batch) -> CSV text         reference   the lookup tables' CSV text
//! orders         options -> one file, and what a loader must make of it
//! sales          likewise
//! spendsense     options -> users, their accounts and transactions, side by side
//!   households   (user) -> what they earn, own and buy        names       of invented people
//!
//! random         seeded draws, choices, permutations     text        digits and dates into a byte buffer
//! workers        batches on many threads, results in order
//! files          numbered things -> plain files side by side         counts      what a loader must count in them
//! archive        CSV text -> deflate segments -> zip archives that share them
//! ```

mod archive;
mod counts;
mod files;
mod households;
mod names;
pub mod orders;
mod random;
mod reference;
mod rows;
pub mod sales;
pub mod spendsense;
mod text;
pub mod transactions;
mod workers;

use std::io;
use std::path::{Path, PathBuf};

pub use counts::Counts;

/// How far a generator has come. Handed to the caller's callback after every batch of rows, on the calling thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Distinct rows made so far. A row that later archives repeat counts once: making it is the work.
    pub rows: u64,
    /// What `rows` will be at the end.
    pub rows_total: u64,
    /// Files published so far, lookup tables included.
    pub files: u64,
    /// What `files` will be at the end.
    pub files_total: u64,
    /// Bytes of the files published so far, repeated rows included.
    pub bytes: u64,
}

/// What a generator made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files published, lookup tables included.
    pub files: u64,
    /// Distinct rows made.
    pub rows: u64,
    /// Rows in all the feed files together, each counted as often as a file holds it.
    pub rows_in_files: u64,
    /// Bytes of all the files, as they stand on disk.
    pub bytes: u64,
    /// Bytes of the text in all the files, which is what a reader gets to see.
    pub text_bytes: u64,
}

/// Why a generator stopped. Files that were published before stay; no file is ever left half written under its name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option cannot be honoured; nothing was written.
    #[error("{option}: {reason}")]
    Option {
        /// The field of the options that is at fault.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names the file that an I/O error belongs to.
    fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Write { path: path.to_owned(), source }
    }
}
