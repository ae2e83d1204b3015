//! The dead-letter file: one CSV row for each record that was not loaded. Does not decide which records these are.
//!
//! The file appears at the end of a run, whole: rows go to a partial file beside it, made at the first dead letter, which
//! then takes its place. A run without dead letters removes the file of an earlier run, so that none is left that speaks
//! of other data. A file that does not begin with the header of a dead-letter file is somebody else's: the run refuses it
//! before it reads anything.
//!
//! A load in batches asks for a `mark` before each commit and puts it into the ledger of the database. Whoever goes on
//! with the load after a kill gives the mark back (`resume`): the file, partial or published, is cut to that length, if
//! it is the one. The name of the partial file follows from the path of the database, so that it is found again, and that
//! loads into two databases do not meet.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Position, Result};
use crate::sink::LettersMark;

/// Writes dead letters. Dropping it before `publish` leaves the file of the earlier run as it is, unless `mark` was
/// called: then what was marked last is published.
#[derive(Debug)]
pub struct DeadLetterWriter {
    path: PathBuf,
    partial: PathBuf,
    letters: Option<Letters>,
    /// What was said to be written, to the ledger.
    marked: Option<LettersMark>,
    /// The dead letters of a load that an earlier run has finished, which stay in front of any that this run has, and
    /// those that they took the place of.
    settled: Option<(LettersMark, LettersMark)>,
    written: u64,
}

/// The file that is written, under its present name.
#[derive(Debug)]
struct Letters {
    at: PathBuf,
    writer: ::csv::Writer<HashedFile>,
}

/// A file with the hash of all that stands in it.
#[derive(Debug)]
struct HashedFile {
    file: File,
    hasher: blake3::Hasher,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A record that was not loaded.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Where it lies.
    pub position: &'a Position,
    /// How long it is, without its line end, however much of it `raw` has.
    pub byte_length: u64,
    /// What is wrong, in a stable snake_case word.
    pub code: &'a str,
    /// The column at fault; empty when it is the record as a whole.
    pub column: &'a str,
    /// The value at fault; empty when there is none.
    pub value: &'a [u8],
    /// What is wrong, in a sentence.
    pub reason: &'a str,
    /// The bytes of the record, up to the longest record allowed. They need not be UTF-8.
    pub raw: &'a [u8],
}

/// The first line of every dead-letter file.
pub(super) const HEADER: [&str; 11] =
    ["input", "member", "line", "record", "byte_offset", "byte_length", "code", "column", "value", "reason", "raw"];

impl DeadLetterWriter {
    /// A writer to `path` for a run into `database`. Creates nothing yet.
    ///
    /// # Errors
    /// When there is something at `path` that is no dead-letter file, or no directory to put one into.
    pub fn new(path: &Path, database: &Path) -> Result<Self> {
        // Links are followed now, because taking the place of a file would replace the link instead.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        check_replaceable(&path)?;
        let directory = directory_of(&path);
        if !directory.is_dir() {
            let cause = format!("{} is not a directory", directory.display());
            return Err(Error::io(ErrorKind::Output, "write", &path, &cause).help("create the directory first"));
        }
        let partial = partial_of(&path, database);
        Ok(DeadLetterWriter { path, partial, letters: None, marked: None, settled: None, written: 0 })
    }

    /// Goes on with the dead letters of a load that was interrupted, from where the ledger says that they ended.
    ///
    /// # Errors
    /// When there is no file with these dead letters.
    pub fn resume(&mut self, mark: &LettersMark) -> Result<()> {
        if mark.bytes == 0 {
            return Ok(());
        }
        for at in [&self.partial, &self.path] {
            let fail = |error: io::Error| Error::io(ErrorKind::Output, "go on with", at, &error);
            if let Some(file) = open_marked(at, mark).map_err(fail)? {
                self.letters = Some(Letters { at: at.clone(), writer: ::csv::Writer::from_writer(file) });
                self.marked = Some(*mark);
                return Ok(());
            }
        }
        let message = format!(
            "{} is not the dead-letter file of the load that was interrupted: its first {} bytes are others",
            self.path.display(),
            mark.bytes
        );
        Err(Error::new(ErrorKind::Output, message)
            .help("name that file with --errors, or make everything anew with --mode replace"))
    }

    /// Says that an earlier run has finished a load with these dead letters, in the place of those `before`. Unless others
    /// come, the file stays as it is; but a run that was killed between its last commit and `publish` is made good for.
    pub fn settle(&mut self, mark: &LettersMark, before: &LettersMark) {
        self.settled = Some((*mark, *before));
    }

    /// Appends a dead letter.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()> {
        if let (None, Some((mark, _))) = (&self.letters, self.settled.take()) {
            // Where the user has put the old ones elsewhere, the new ones stand alone.
            let _ = self.resume(&mark);
        }
        let DeadLetterWriter { path, partial, letters, .. } = self;
        let fail = |error: &dyn std::fmt::Display| Error::io(ErrorKind::Output, "write", path, error);
        let writer = match letters {
            Some(letters) => &mut letters.writer,
            None => {
                let file =
                    HashedFile { file: create(partial).map_err(|error| fail(&error))?, hasher: blake3::Hasher::new() };
                let mut writer = ::csv::Writer::from_writer(file);
                writer.write_record(HEADER).map_err(|error| fail(&error))?;
                &mut letters.insert(Letters { at: partial.clone(), writer }).writer
            }
        };
        let position = letter.position;
        let mut buffers = [itoa::Buffer::new(); 4];
        let [line, record, byte_offset, byte_length] = &mut buffers;
        let fields: [&[u8]; HEADER.len()] = [
            position.input.as_bytes(),
            position.member.as_deref().unwrap_or("").as_bytes(),
            line.format(position.line).as_bytes(),
            record.format(position.record).as_bytes(),
            byte_offset.format(position.byte_offset).as_bytes(),
            byte_length.format(letter.byte_length).as_bytes(),
            letter.code.as_bytes(),
            letter.column.as_bytes(),
            letter.value,
            letter.reason.as_bytes(),
            letter.raw,
        ];
        writer.write_record(fields).map_err(|error| fail(&error))?;
        self.written += 1;
        Ok(())
    }

    /// How many dead letters were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes sure that everything is on the disk, and says what that is. Call it before the database commits: a full disk
    /// then ends the run while nothing is published.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn mark(&mut self) -> Result<LettersMark> {
        let mark = self.flush()?;
        self.marked = Some(mark);
        Ok(mark)
    }

    /// The same without a promise that anybody will go on from there.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn flush(&mut self) -> Result<LettersMark> {
        let Some(Letters { writer, .. }) = &mut self.letters else { return Ok(LettersMark::default()) };
        let flushed = writer.flush().and_then(|()| {
            let HashedFile { file, hasher } = writer.get_ref();
            file.sync_data()?;
            Ok(LettersMark { bytes: hasher.count(), fingerprint: *hasher.finalize().as_bytes() })
        });
        flushed.map_err(|error| Error::io(ErrorKind::Output, "write", &self.path, &error))
    }

    /// Puts the file in its place, or removes the one of an earlier run when there was no dead letter. Returns the path
    /// of the file if there is one. Call it right after the database has committed.
    ///
    /// # Errors
    /// When that fails, or when something that is no dead-letter file has appeared at its path.
    pub fn publish(mut self) -> Result<Option<PathBuf>> {
        self.flush()?;
        self.marked = None;
        let existed = check_replaceable(&self.path)?;
        let fail = |verb: &str, error: &io::Error| Error::io(ErrorKind::Output, verb, &self.path, error);
        match (self.letters.take(), self.settled.take()) {
            (Some(letters), _) => {
                if letters.at != self.path {
                    fs::rename(&letters.at, &self.path).map_err(|error| fail("write", &error))?;
                }
                Ok(Some(self.path.clone()))
            }
            (None, Some((mark, before))) => {
                let made_good = match mark.bytes {
                    0 if is_marked(&self.path, &before) => fs::remove_file(&self.path),
                    1.. if is_marked(&self.partial, &mark) => fs::rename(&self.partial, &self.path),
                    _ => Ok(()),
                };
                made_good.map(|()| None).map_err(|error| fail("write", &error))
            }
            (None, None) if existed => {
                fs::remove_file(&self.path).map_err(|error| fail("remove the stale", &error))?;
                Ok(None)
            }
            (None, None) => Ok(None),
        }
    }
}

impl Drop for DeadLetterWriter {
    fn drop(&mut self) {
        // An error is under way already, and one about tidying up would hide it.
        match (self.letters.take(), self.marked.filter(|mark| mark.bytes > 0)) {
            (Some(Letters { at, writer }), Some(mark)) => {
                // First, because it writes what it still holds.
                drop(writer);
                let cut = File::options().write(true).open(&at).and_then(|file| file.set_len(mark.bytes));
                if cut.is_ok() && at != self.path && check_replaceable(&self.path).is_ok() {
                    let _ = fs::rename(&at, &self.path);
                }
            }
            (Some(letters), None) if letters.at == self.partial => {
                let _ = fs::remove_file(&letters.at);
            }
            _ => {}
        }
    }
}

/// Whether a file is the marked one, and no longer; one that cannot be read is not.
fn is_marked(path: &Path, mark: &LettersMark) -> bool {
    let is_as_long = fs::metadata(path).is_ok_and(|metadata| mark.bytes > 0 && metadata.len() == mark.bytes);
    is_as_long && open_marked(path, mark).is_ok_and(|file| file.is_some())
}

/// Opens a file to go on behind its first bytes, if these are the marked ones; what stands behind them is cut off.
fn open_marked(path: &Path, mark: &LettersMark) -> io::Result<Option<HashedFile>> {
    let mut file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut Read::by_ref(&mut file).take(mark.bytes), &mut hasher)?;
    if hasher.count() != mark.bytes || *hasher.finalize().as_bytes() != mark.fingerprint {
        return Ok(None);
    }
    file.set_len(mark.bytes)?;
    file.seek(SeekFrom::Start(mark.bytes))?;
    Ok(Some(HashedFile { file, hasher }))
}

/// Whether there is a dead-letter file of an earlier run; an error for anything else that must not be overwritten,
/// which an empty file is not.
fn check_replaceable(path: &Path) -> Result<bool> {
    let fail = |error: io::Error| Error::io(ErrorKind::Output, "read", path, &error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fail(error)),
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => return Ok(false),
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => {
            return Err(Error::io(ErrorKind::Output, "write dead letters to", path, &"it is not a regular file")
                .help("give --errors the path of a file"));
        }
    }
    let header = HEADER.join(",");
    let mut start = Vec::with_capacity(header.len() + 1);
    File::open(path).and_then(|file| file.take(header.len() as u64 + 1).read_to_end(&mut start)).map_err(fail)?;
    match start.strip_prefix(header.as_bytes()) {
        Some(b"\n" | b"\r") => Ok(true),
        _ => Err(Error::io(ErrorKind::Output, "write dead letters to", path, &"it is some other file")
            .help("feedmill does not overwrite other files; give --errors another path")),
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(path)
}

fn partial_of(path: &Path, database: &Path) -> PathBuf {
    // The database may not exist yet, and is to have the same name when it does.
    let directory = fs::canonicalize(directory_of(database)).unwrap_or_default();
    let database = directory.join(database.file_name().unwrap_or_default());
    let hash = blake3::hash(database.as_os_str().as_encoded_bytes());
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", &hash.to_hex()[..8]));
    directory_of(path).join(name)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    use tempfile::TempDir;

    fn open(path: &Path) -> Result<DeadLetterWriter> {
        DeadLetterWriter::new(path, Path::new("out.db"))
    }

    fn position(record: u64) -> Position {
        let input = "in,put.zip".to_owned();
        Position { input, member: Some("day \"1\".csv".to_owned()), line: record + 1, record, byte_offset: record * 10 }
    }

    fn write(writer: &mut DeadLetterWriter, record: u64, value: &[u8], raw: &[u8]) {
        let (position, code, column, reason) = (position(record), "invalid_date", "day", "not a DATE, really");
        writer
            .write(&DeadLetter { position: &position, byte_length: 7_000, code, column, value, reason, raw })
            .unwrap();
    }

    fn rows(path: &Path) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
        reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
    }

    fn files(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn any_bytes_come_back_as_they_were() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        let raws: [&[u8]; 7] = [b"a,b", b"\"a\nb\",\"c\"\"d\"", b"\xff\xfe,\x80", b"a\r\nb", b"\r", b"\0 nul ", b""];
        let mut writer = open(&path).unwrap();
        for (record, raw) in (1..).zip(raws) {
            write(&mut writer, record, raw, raw);
        }
        assert_eq!(writer.written(), 7);
        writer.flush().unwrap();
        assert!(!path.exists(), "nothing is published before the end");
        assert_eq!(writer.publish().unwrap(), Some(fs::canonicalize(directory.path()).unwrap().join("errors.csv")));

        let found = rows(&path);
        assert_eq!(found[0], HEADER.map(|name| name.as_bytes().to_vec()));
        assert_eq!(found.len(), raws.len() + 1);
        for ((record, raw), row) in (1u64..).zip(raws).zip(&found[1..]) {
            let places = [record + 1, record, record * 10, 7000].map(|number| number.to_string());
            let mut wanted: Vec<&[u8]> = vec![b"in,put.zip", b"day \"1\".csv"];
            wanted.extend(places.iter().map(String::as_bytes));
            wanted.extend([&b"invalid_date"[..], b"day", raw, b"not a DATE, really", raw]);
            assert_eq!(row, &wanted);
        }
        assert_eq!(files(&directory), ["errors.csv"]);
    }

    #[test]
    fn only_a_successful_run_touches_the_file_of_the_last_one() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        let run = |raws: &[&[u8]]| {
            let mut writer = open(&path).unwrap();
            raws.iter().for_each(|raw| write(&mut writer, 1, b"", raw));
            writer
        };
        assert_eq!(run(&[]).publish().unwrap(), None);
        assert!(files(&directory).is_empty(), "no dead letter, no file");
        run(&[b"first"]).publish().unwrap();
        drop(run(&[b"second"]));
        assert_eq!(rows(&path)[1][10], b"first");
        assert_eq!(files(&directory), ["errors.csv"], "nothing is left of the failed run");
        run(&[b"third"]).publish().unwrap();
        assert_eq!((rows(&path).len(), rows(&path)[1][10].as_slice()), (2, &b"third"[..]));
        assert_eq!(run(&[]).publish().unwrap(), None);
        assert!(files(&directory).is_empty(), "the stale file is gone");
    }

    #[test]
    fn files_of_others_are_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        let header = HEADER.join(",");
        for content in ["id,name\n1,x\n", &header[..20], &format!("{header},more\n"), &header] {
            fs::write(&path, content).unwrap();
            let error = open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Output);
            assert!(error.to_string().contains("it is some other file"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        // One that appears while the run is under way is safe too.
        fs::remove_file(&path).unwrap();
        let mut writer = open(&path).unwrap();
        write(&mut writer, 1, b"", b"x");
        fs::write(&path, "mine").unwrap();
        assert!(writer.publish().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

        let error = open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let error = open(&directory.path().join("no/errors.csv")).unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }

    #[test]
    fn an_empty_file_is_filled_but_not_removed() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        fs::write(&path, "").unwrap();
        assert_eq!(open(&path).unwrap().publish().unwrap(), None);
        assert_eq!(files(&directory), ["errors.csv"]);
        let mut writer = open(&path).unwrap();
        write(&mut writer, 1, b"", b"x");
        writer.publish().unwrap();
        assert_eq!(rows(&path).len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_others_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;

        let directory = TempDir::new().unwrap();
        let (target, link) = (directory.path().join("target.csv"), directory.path().join("link.csv"));
        fs::write(&target, "").unwrap();
        let ordinary = fs::metadata(&target).unwrap().permissions().mode();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut writer = open(&link).unwrap();
        write(&mut writer, 1, b"", b"x");
        writer.publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(rows(&target).len(), 2);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode(), ordinary);
    }

    #[test]
    fn marked_letters_survive_and_are_gone_on_with() {
        let expected = TempDir::new().unwrap();
        let mut writer = open(&expected.path().join("errors.csv")).unwrap();
        (1..=4).for_each(|record| write(&mut writer, record, b"v", b"raw"));
        writer.publish().unwrap();
        let expected = fs::read(expected.path().join("errors.csv")).unwrap();

        // Whether the process was killed (the partial file stays) or failed (what is marked is published): the same.
        for is_killed in [true, false] {
            let directory = TempDir::new().unwrap();
            let path = directory.path().join("errors.csv");
            let mut writer = open(&path).unwrap();
            write(&mut writer, 1, b"v", b"raw");
            write(&mut writer, 2, b"v", b"raw");
            let mark = writer.mark().unwrap();
            write(&mut writer, 9, b"v", b"not in the ledger");
            writer.letters.as_mut().unwrap().writer.flush().unwrap();
            if is_killed {
                std::mem::forget(writer);
                assert!(!path.exists());
            } else {
                drop(writer);
                assert_eq!(files(&directory), ["errors.csv"]);
                assert_eq!(rows(&path).len(), 3);
            }
            let mut writer = open(&path).unwrap();
            writer.resume(&mark).unwrap();
            write(&mut writer, 3, b"v", b"raw");
            write(&mut writer, 4, b"v", b"raw");
            writer.publish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), expected);
            assert_eq!(files(&directory), ["errors.csv"]);

            let mut other = open(&path).unwrap();
            let error = other.resume(&LettersMark { fingerprint: [7; 32], ..mark }).unwrap_err();
            assert!(error.to_string().contains("is not the dead-letter file of the load"), "{error}");
            drop(other);
            assert_eq!(fs::read(&path).unwrap(), expected, "a file that is not the one is not cut");
        }
    }
}
