//! The database file that a run creates, and removes again when the run fails. Knows nothing of what is in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// A database file that this run has created.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    is_published: bool,
}

impl NewFile {
    /// Creates the file unless there is one. SQLite would do so too, but not say whether it did or why it could not.
    pub(super) fn create(path: &Path) -> Result<Option<Self>> {
        let error = match File::create_new(path) {
            Ok(_) => return Ok(Some(NewFile { path: path.to_owned(), is_published: false })),
            Err(error) => error,
        };
        let fail = |cause: &str, help: &str| {
            let message = format!("cannot create the database {}: {cause}", path.display());
            Err(Error::new(ErrorKind::Output, message).help(help))
        };
        match error.kind() {
            io::ErrorKind::AlreadyExists if path.is_dir() => fail("it is a directory", "give --db the path of a file"),
            io::ErrorKind::AlreadyExists => Ok(None),
            io::ErrorKind::NotFound => fail("its directory does not exist", "create the directory first"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                fail("its directory is not writable", "give --db a path in a directory that you can write to")
            }
            _ => fail(&error.to_string(), "give --db a path in a directory that you can write to"),
        }
    }

    /// Says that the run has succeeded.
    pub(super) fn keep(&mut self) {
        self.is_published = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Somebody else may have written to it between the rollback and now; then it is theirs.
        if !self.is_published && fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == 0) {
            // Failing to tidy up after a failure is not worth a second error.
            let _ = fs::remove_file(&self.path);
        }
    }
}
