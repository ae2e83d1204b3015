//! Bytes from the world: what a user names (files, globs, stdin) becomes streams of plain bytes, whatever they are packed
//! in. Reads when it is asked to; knows nothing of CSV, starts no thread and writes nothing to disk.

mod checkpoint;
mod compression;
mod encoding;
mod expand;
mod inflate;
mod pipe;
mod prefix;
mod zip;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Position, Result};

use compression::Packing;

pub use encoding::Encoding;
pub use expand::expand;
pub use prefix::{PrefixHash, hash_section};

/// A stream of bytes that owns what it reads from.
pub type Stream = Box<dyn Read + Send>;

/// Is told of every read from an input how many bytes, as they lie on disk, it got: of each block, not of each byte.
/// Over all members these come to at most `Input::size`; the directory of a zip archive is not counted. While a pipe
/// has nothing to read, it is told of 0 bytes ten times a second. An error ends the reading with that error; the kind
/// `ConnectionAborted` says that it is no failure, so that what was read before it counts.
pub type OnRead = Arc<dyn Fn(u64) -> io::Result<()> + Send + Sync>;

/// Something to read: a file, a pipe or stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    name: Arc<str>,
    path: Option<PathBuf>,
    size: Option<u64>,
}

impl Input {
    /// The name in messages and dead letters: the path as written, or as a glob found it; `-` for stdin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies; `None` for stdin.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its bytes on disk; `None` for stdin and pipes, which can be opened only once.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether it can be read from its beginning again, in this run or another.
    pub fn can_be_read_again(&self) -> bool {
        self.size.is_some()
    }

    /// The file, if its bytes lie on the disk as they are; `None` for what is packed, or can be read only once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_plain(&self) -> Result<Option<PlainFile>> {
        let (Some(path), Some(_)) = (&self.path, self.size) else { return Ok(None) };
        let origin = Origin { input: Arc::clone(&self.name), member: None };
        let file = File::open(path).map_err(|cause| Error::io(ErrorKind::Input, "open", path, &cause))?;
        let size = file.metadata().map_err(|cause| origin.error(None, &cause))?.len();
        let plain = PlainFile { file, size, origin };
        Ok(if compression::is_plain(&plain)? { Some(plain) } else { None })
    }

    /// Learns from the first bytes how it is packed, and offers what is in it.
    ///
    /// The directory of a zip archive is checked as a whole, so that a member that cannot be read is known before the
    /// first row of the archive.
    pub fn open(&self, on_read: &OnRead) -> Result<Members> {
        let origin = Origin { input: Arc::clone(&self.name), member: None };
        let file = match &self.path {
            None => pipe::stdin().map_err(|cause| origin.error(None, &cause))?,
            Some(path) => File::open(path).map_err(|cause| Error::io(ErrorKind::Input, "open", path, &cause))?,
        };
        let stream: Stream = match self.size {
            Some(_) => Box::new(file),
            None => pipe::patient(file, on_read),
        };
        let (head, stream) = compression::peek(counted(stream, on_read)).map_err(|cause| origin.error(None, &cause))?;
        match (&self.path, self.size, Packing::of(&head)) {
            (Some(path), Some(_), Some(Packing::Zip)) => {
                Ok(Members(Rest::Archive(zip::Archive::open(path, origin, on_read)?)))
            }
            _ => compression::unpack(origin, None, stream).map(|member| Members(Rest::One(Some(member)))),
        }
    }
}

/// A file that can be read from anywhere, by several threads at once.
#[derive(Debug)]
pub struct PlainFile {
    file: File,
    size: u64,
    origin: Origin,
}

impl PlainFile {
    /// Where its bytes come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many bytes it had when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// When it has fewer bytes, or cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|cause| self.origin.error(None, &cause))
    }

    /// What stands from `offset` on.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn into_member(mut self, offset: u64, on_read: &OnRead) -> Result<Member> {
        self.file.seek(SeekFrom::Start(offset)).map_err(|cause| self.origin.error(None, &cause))?;
        Ok(Member::new(self.origin, counted(self.file, on_read)))
    }
}

/// The members of an input, in order; an input that is no archive is its own only member.
///
/// A zip archive opens each member when it is asked for, by a file handle of its own.
pub struct Members(Rest);

enum Rest {
    One(Option<Member>),
    Archive(zip::Archive),
}

impl Members {
    /// The next member, so that it can be taken up again where a checkpoint of this run says; from the checkpoint of an
    /// earlier one, if the packed bytes in front of that are still the same.
    pub fn next_from(&mut self, checkpoint: &[u8]) -> Option<Result<Member>> {
        match &mut self.0 {
            Rest::One(member) => member.take().map(Ok),
            Rest::Archive(archive) => archive.next_from(checkpoint),
        }
    }
}

impl Iterator for Members {
    type Item = Result<Member>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rest::One(member) => member.take().map(Ok),
            Rest::Archive(archive) => archive.next(),
        }
    }
}

/// A stream of bytes with its name. What is wrong with an archive shows only at its end, so a member is good only when
/// it was read until it had no more bytes.
pub struct Member {
    origin: Origin,
    size: Option<u64>,
    packing: Option<Packing>,
    needs_window: bool,
    stream: Stream,
    resumable: Option<Resumable>,
}

/// What a member knows that can be taken up in the middle.
struct Resumable {
    /// The hash of the text in front of where it begins.
    hash: PrefixHash,
    latest: inflate::Latest,
}

impl Member {
    /// A member that is read from `stream`.
    pub fn new(origin: Origin, stream: Stream) -> Self {
        Member { origin, size: None, packing: None, needs_window: false, stream, resumable: None }
    }

    fn packed(origin: Origin, packing: Packing, stream: Stream) -> Self {
        Member { packing: Some(packing), ..Member::new(origin, stream) }
    }

    /// Adds the hash of what stands in front of where it begins, and where it can be taken up again.
    fn resumable(self, hash: PrefixHash, latest: inflate::Latest) -> Self {
        Member { resumable: Some(Resumable { hash, latest }), ..self }
    }

    /// The hash of the text in front of where it begins; of nothing, unless `Members::next_from` could go on from a
    /// checkpoint.
    pub fn hash_in_front(&self) -> PrefixHash {
        self.resumable.as_ref().map(|resumable| resumable.hash.clone()).unwrap_or_default()
    }

    /// A checkpoint for `Members::next_from`, when all of it was read and `hash` is the hash of that; empty if there is
    /// none.
    pub fn checkpoint(&self, hash: &PrefixHash) -> Vec<u8> {
        let latest = self.resumable.as_ref().and_then(|resumable| resumable.latest.lock().ok()?.clone());
        let checkpoint = latest.filter(|checkpoint| checkpoint.crc.is_some()).and_then(|checkpoint| {
            let parts = hash.parts_at(checkpoint.text / PrefixHash::PIECE_BYTES as u64)?;
            Some(checkpoint::Checkpoint { parts, ..checkpoint })
        });
        checkpoint.map(|checkpoint| checkpoint.to_bytes()).unwrap_or_default()
    }

    /// Where its bytes come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many bytes it will give, where that is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether unpacking it may need many megabytes: zstd's window.
    pub fn needs_window(&self) -> bool {
        self.needs_window
    }

    /// The member as UTF-8. UTF-8 itself is handed through as it is, byte order mark and faults included.
    #[must_use]
    pub fn decode(self, encoding: Encoding) -> Self {
        let size = self.size.filter(|_| encoding == Encoding::UTF_8);
        Member { stream: encoding.decode(self.stream), size, ..self }
    }

    /// Reads until `buffer` is full or the member ends, and returns how many bytes it read.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionAborted && filled > 0 => break,
                Err(cause) => return Err(self.error(&cause)),
            }
        }
        Ok(filled)
    }

    /// What a failed `Read::read` of this member means, with the names of input and member and what to do.
    pub fn error(&self, cause: &io::Error) -> Error {
        self.origin.error(self.packing, cause)
    }
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The name of the input.
    pub input: Arc<str>,
    /// The member of the archive, if the input is one. Only ever a label: nothing is written under this name.
    pub member: Option<Arc<str>>,
}

impl Origin {
    /// The place of a record in it.
    pub fn position(&self, line: u64, record: u64, byte_offset: u64) -> Position {
        let member = self.member.as_ref().map(ToString::to_string);
        Position { input: self.input.to_string(), member, line, record, byte_offset }
    }

    fn error(&self, packing: Option<Packing>, cause: &io::Error) -> Error {
        // What decoders find wrong is never an error of the operating system.
        let Some(packing) = packing.filter(|_| cause.raw_os_error().is_none()) else {
            return Error::new(ErrorKind::Input, format!("cannot read {self}: {cause}"));
        };
        if compression::is_window_error(cause) {
            return compression::window_error(self);
        }
        let what = if cause.kind() == io::ErrorKind::UnexpectedEof { "truncated" } else { "truncated or corrupt" };
        let message = format!("cannot read {self}: the {} is {what}: {cause}", packing.noun());
        let help = match &*self.input {
            "-" => "what was piped in is incomplete or damaged".to_owned(),
            file => format!("test it with `{} {file}`, and fetch it again if that fails too", packing.test_command()),
        };
        Error::new(ErrorKind::Input, message).help(help)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if &*self.input == "-" { "stdin" } else { &self.input })?;
        match &self.member {
            Some(member) => write!(f, "!{member}"),
            None => Ok(()),
        }
    }
}

/// A name that can be shown: what would move the cursor, colour the terminal or turn the text around is escaped.
fn printable(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for char in name.chars() {
        let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if char.is_control() || turns { shown.extend(char.escape_unicode()) } else { shown.push(char) }
    }
    shown
}

struct Counted<R> {
    reader: R,
    on_read: OnRead,
}

/// A stream that tells `on_read` what it reads.
fn counted(reader: impl Read + Send + 'static, on_read: &OnRead) -> Stream {
    Box::new(Counted { reader, on_read: Arc::clone(on_read) })
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        (self.on_read)(count as u64)?;
        Ok(count)
    }
}
