//! The database file that a run creates: in its place, or beside it until the run has succeeded. Knows nothing of what is
//! in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::sink::direct_file::DirectFile;

/// A database file that this run has created. It is removed again unless the run succeeds.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    /// At its path, so that whatever is committed is there whatever becomes of the run.
    InPlace { is_published: bool },
    /// Beside its path, locked, and unseen by others until it is whole.
    Beside { building: PathBuf, file: DirectFile },
    /// It was beside its path and has been published.
    Published,
}

impl NewFile {
    /// Creates the file at its path unless there is one. SQLite would do so too, but not say whether it did or why it could
    /// not.
    pub(super) fn create(path: &Path) -> Result<Option<Self>> {
        match File::create_new(path) {
            Ok(_) => Ok(Some(NewFile { path: path.to_owned(), state: State::InPlace { is_published: false } })),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.is_dir() => Ok(None),
            Err(error) => Err(cannot_create(path, &error)),
        }
    }

    /// Creates a file beside the path, unless there is one at the path. What a killed run has left there is overwritten.
    pub(super) fn create_beside(path: &Path) -> Result<Option<Self>> {
        remove_abandoned(path)?;
        if fs::symlink_metadata(path).is_ok() {
            return if path.is_dir() {
                Err(cannot_create(path, &io::ErrorKind::AlreadyExists.into()))
            } else {
                Ok(None)
            };
        }
        let building = building_path(path);
        let file = match File::create_new(&building) {
            // Until it is locked, another run takes it for an abandoned one.
            Ok(file) if file.try_lock().is_ok() && is_at(&file, &building) => file,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(cannot_create(path, &error)),
            _ => return Err(in_use(path)),
        };
        let file = DirectFile::new(file, &building).map_err(|error| cannot_create(path, &error))?;
        let new_file = NewFile { path: path.to_owned(), state: State::Beside { building, file } };
        remove_orphans(path)?;
        Ok(Some(new_file))
    }

    /// Where the file is now.
    pub(super) fn location(&self) -> &Path {
        match &self.state {
            State::Beside { building, .. } => building,
            State::InPlace { .. } | State::Published => &self.path,
        }
    }

    /// The file, if nobody else sees it before it is published.
    pub(super) fn unseen(&mut self) -> Option<&mut DirectFile> {
        match &mut self.state {
            State::Beside { file, .. } => Some(file),
            State::InPlace { .. } | State::Published => None,
        }
    }

    /// Says that the content is whole: from here on the file stays, at its path. Its connection must not write any more
    /// if it was beside it.
    pub(super) fn publish(&mut self) -> Result<()> {
        let path = &self.path;
        let fail = |cause: &io::Error| Err(Error::io(ErrorKind::Output, "create the database", path, cause));
        match &mut self.state {
            State::InPlace { is_published } => *is_published = true,
            State::Beside { building, file } => {
                // The content is on the disk before the name is, and the name before anybody is told.
                let published = file.sync().and_then(|()| rename_to_new(building, path));
                match published {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let message = format!("another program has made {} during the run", path.display());
                        return Err(Error::new(ErrorKind::Output, message)
                            .help("nothing was written to it; give --db another path, or run again to add to it"));
                    }
                    Err(error) => return fail(&error),
                }
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let synced = File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
                self.state = State::Published;
                if let Err(error) = synced {
                    return fail(&error);
                }
            }
            State::Published => {}
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Failing to tidy up after a failure is not worth a second error.
        match &self.state {
            State::Beside { building, .. } => {
                let _ = fs::remove_file(building);
            }
            // Somebody else may have written to it between the rollback and now; then it is theirs.
            State::InPlace { is_published: false } if fs::metadata(&self.path).is_ok_and(|file| file.len() == 0) => {
                let _ = fs::remove_file(&self.path);
            }
            State::InPlace { .. } | State::Published => {}
        }
    }
}

/// Removes the file that a killed run has left beside a path.
pub(super) fn remove_abandoned(path: &Path) -> Result<()> {
    let building = building_path(path);
    let file = match File::options().write(true).open(&building) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(Error::io(ErrorKind::Output, "remove", &building, &error)),
    };
    match file.try_lock() {
        // Whoever held the lock until now may have published the file, and another run may have made the next one.
        Ok(()) if is_at(&file, &building) => remove(&building),
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(Error::io(ErrorKind::Output, "lock", &building, &error)),
    }
}

/// Removes what a database that is gone has left. SQLite does so for a file that it creates; for one that appears whole
/// it would take that for its journal, and write old pages over the new ones.
fn remove_orphans(path: &Path) -> Result<()> {
    for suffix in ["-journal", "-wal"] {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        remove(&path.with_file_name(name))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(ErrorKind::Output, "remove", path, &error))
        }
        _ => Ok(()),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(file), Ok(at)) if identity(&file) == identity(&at))
}

/// The name that a database has while it is built.
fn building_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".building");
    path.with_file_name(name)
}

/// Gives a file a name that no other file has.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do that in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

fn in_use(path: &Path) -> Error {
    let message = format!("another run is making the database {}", path.display());
    Error::new(ErrorKind::Output, message).help("wait until it is done, or give --db another path")
}

fn cannot_create(path: &Path, error: &io::Error) -> Error {
    let elsewhere = "give --db a path in a directory that you can write to";
    let (cause, help) = match error.kind() {
        io::ErrorKind::AlreadyExists => ("it is a directory", "give --db the path of a file"),
        io::ErrorKind::NotFound => ("its directory does not exist", "create the directory first"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ("its directory is not writable", elsewhere)
        }
        _ => (&*error.to_string(), elsewhere),
    };
    let message = format!("cannot create the database {}: {cause}", path.display());
    Error::new(ErrorKind::Output, message).help(help)
}
