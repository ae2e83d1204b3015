//! Zip archives: the directory, checked as a whole, and each member as a stream that owns its file handle. Extracts
//! nothing to disk; the directory is read by the zip crate, whose own member streams borrow the archive.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;
use zip::CompressionMethod;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, ErrorKind, Result};
use crate::source::checkpoint::Checkpoint;
use crate::source::compression::Packing;
use crate::source::compression::READ_BYTES;
use crate::source::inflate::{Inflater, Latest};
use crate::source::prefix::PrefixHash;
use crate::source::{Member, OnRead, Origin, Stream, compression, counted, printable};

/// The most members of an archive, those that are passed over included. With the next bound it keeps the directory,
/// which is in memory while it is checked, to some tens of MiB.
const MEMBERS_MAX: u64 = 65_536;

/// The most bytes of headers in an archive: 128 for each of the most members.
const HEADER_BYTES_MAX: u64 = 8 << 20;

/// The members of an archive that are still to be read, in the archive's order.
pub(super) struct Archive {
    path: PathBuf,
    input: Arc<str>,
    entries: vec::IntoIter<Entry>,
    on_read: OnRead,
}

/// A member as the directory describes it.
struct Entry {
    label: Arc<str>,
    method: Method,
    /// Where its packed bytes begin in the file, and how many they are.
    start: u64,
    packed: u64,
    /// What they must unpack to.
    size: u64,
    crc: u32,
}

#[derive(Clone, Copy)]
enum Method {
    Stored,
    Deflate,
    Zstd,
}

impl Archive {
    /// Reads the directory and checks that every member can be unpacked.
    pub(super) fn open(path: &Path, origin: Origin, on_read: &OnRead) -> Result<Self> {
        let entries = list(path, &origin)?;
        Ok(Archive {
            path: path.to_owned(),
            input: origin.input,
            entries: entries.into_iter(),
            on_read: Arc::clone(on_read),
        })
    }

    fn member(&self, entry: &Entry) -> Result<Member> {
        let origin = self.origin(entry);
        match self.stream(entry) {
            Ok(stream) => {
                let member = compression::unpack(origin, Some(entry.size), stream)?;
                let needs_window = member.needs_window || matches!(entry.method, Method::Zstd);
                Ok(Member { needs_window, ..member })
            }
            Err(cause) => Err(origin.error(Some(Packing::Zip), &cause)),
        }
    }

    fn origin(&self, entry: &Entry) -> Origin {
        Origin { input: Arc::clone(&self.input), member: Some(Arc::clone(&entry.label)) }
    }

    /// The next member, from a checkpoint if it is still one, and in any case so that it can be taken up again.
    pub(super) fn next_from(&mut self, checkpoint: &[u8]) -> Option<Result<Member>> {
        let entry = self.entries.next()?;
        if !matches!(entry.method, Method::Deflate) {
            return Some(self.member(&entry));
        }
        let resumed = Checkpoint::parse(checkpoint).map(|checkpoint| self.resume(&entry, &checkpoint));
        Some(match resumed {
            Some(Ok(Some(member))) => Ok(member),
            Some(Err(cause)) => Err(self.origin(&entry).error(Some(Packing::Zip), &cause)),
            Some(Ok(None)) | None => {
                let latest = Latest::default();
                let stream = self.packed(&entry).map(|packed| {
                    let inflater = Inflater::new(packed, entry.size, Arc::clone(&latest));
                    Box::new(Checked::new(inflater, &entry).telling(&latest))
                });
                match stream {
                    Ok(stream) => compression::unpack(self.origin(&entry), Some(entry.size), stream).map(|member| {
                        match member.size {
                            Some(_) => member.resumable(PrefixHash::default(), latest),
                            // What is packed once more is unpacked behind what could be taken up.
                            None => member,
                        }
                    }),
                    Err(cause) => Err(self.origin(&entry).error(Some(Packing::Zip), &cause)),
                }
            }
        })
    }

    /// A member from a checkpoint on; `None` if the packed bytes in front of it are others.
    fn resume(&self, entry: &Entry, checkpoint: &Checkpoint) -> io::Result<Option<Member>> {
        let (Some(text_hash), Some(crc)) = (checkpoint.text_hash(), checkpoint.crc) else { return Ok(None) };
        if checkpoint.packed >= entry.packed || checkpoint.text > entry.size {
            return Ok(None);
        }
        let mut packed = self.packed(entry)?;
        let mut packed_hash = PrefixHash::default();
        while packed_hash.bytes() < checkpoint.packed {
            let left = usize::try_from(checkpoint.packed - packed_hash.bytes()).unwrap_or(usize::MAX);
            let buffer = packed.fill_buf()?;
            let taken = left.min(buffer.len());
            if taken == 0 {
                return Ok(None);
            }
            packed_hash.update(&buffer[..taken]);
            packed.consume(taken);
        }
        let mut byte = [0];
        packed.read_exact(&mut byte)?;
        let [byte] = byte;
        let is_same = packed_hash.finish() == checkpoint.packed_hash
            && Checkpoint::low_bits_of(byte, checkpoint.bits) == checkpoint.low_bits;
        if !is_same {
            return Ok(None);
        }
        let latest = Latest::default();
        let inflater = Inflater::resume(packed, entry.size, Arc::clone(&latest), checkpoint, packed_hash, byte);
        let checked = Checked {
            crc: Hasher::new_with_initial_len(crc, checkpoint.text),
            count: checkpoint.text,
            ..Checked::new(inflater, entry)
        };
        let member = Member::packed(self.origin(entry), Packing::Zip, Box::new(checked.telling(&latest)));
        Ok(Some(member.resumable(text_hash, latest)))
    }

    /// The packed bytes of a member.
    fn packed(&self, entry: &Entry) -> io::Result<BufReader<Stream>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(entry.start))?;
        Ok(BufReader::with_capacity(READ_BYTES, counted(file.take(entry.packed), &self.on_read)))
    }

    fn stream(&self, entry: &Entry) -> io::Result<Stream> {
        let packed = self.packed(entry)?;
        Ok(match entry.method {
            Method::Stored => Box::new(Checked::new(packed, entry)),
            Method::Deflate => Box::new(Checked::new(DeflateDecoder::new(packed), entry)),
            Method::Zstd => Box::new(Checked::new(compression::zstd(packed)?, entry)),
        })
    }
}

impl Iterator for Archive {
    type Item = Result<Member>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(self.member(&entry))
    }
}

/// A member's bytes, of which there must be as many, with the CRC-32, as the directory says.
struct Checked<R> {
    reader: R,
    crc: Hasher,
    count: u64,
    /// Where unpacking can go on, which lacks the check sum.
    latest: Option<Latest>,
    expected_crc: u32,
    expected_count: u64,
}

impl<R: Read> Checked<R> {
    fn new(reader: R, entry: &Entry) -> Self {
        let (crc, latest) = (Hasher::new(), None);
        Checked { reader, crc, count: 0, latest, expected_crc: entry.crc, expected_count: entry.size }
    }

    /// Adds the check sum to places to go on from.
    fn telling(self, latest: &Latest) -> Self {
        Checked { latest: Some(Arc::clone(latest)), ..self }
    }

    fn tell(&self) {
        if let Some(Ok(mut latest)) = self.latest.as_ref().map(|latest| latest.lock())
            && let Some(checkpoint) = latest.as_mut().filter(|checkpoint| checkpoint.text == self.count)
        {
            checkpoint.crc = Some(self.crc.clone().finalize());
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.crc.update(&buffer[..count]);
        self.count += count as u64;
        self.tell();
        let ended = count == 0 && !buffer.is_empty();
        let wrong = if self.count > self.expected_count || (ended && self.count < self.expected_count) {
            let side = if ended { "fewer" } else { "more" };
            format!("it has {side} than the {} bytes that the archive's directory says", self.expected_count)
        } else if ended && self.crc.clone().finalize() != self.expected_crc {
            format!(
                "its CRC-32 is {:08x}, the archive's directory says {:08x}",
                self.crc.clone().finalize(),
                self.expected_crc
            )
        } else {
            return Ok(count);
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, wrong))
    }
}

fn list(path: &Path, origin: &Origin) -> Result<Vec<Entry>> {
    let damaged = |cause: &io::Error| origin.error(Some(Packing::Zip), cause);
    let refused = |what: String| Error::new(ErrorKind::Input, format!("cannot read {origin}: {what}"));
    let mut file = File::open(path).map_err(|cause| Error::io(ErrorKind::Input, "open", path, &cause))?;
    let length = file.seek(SeekFrom::End(0)).map_err(|cause| damaged(&cause))?;
    let members = members_claimed(&mut file, length).map_err(|cause| damaged(&cause))?;
    if members > MEMBERS_MAX {
        return Err(refused(format!("it says that it has {members} members, and at most {MEMBERS_MAX} are read")));
    }
    let headers = Headers { reader: BufReader::new(file), left: HEADER_BYTES_MAX };
    // The archive begins where the file does, as its first bytes have told.
    let config = zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, headers).map_err(|cause| damaged(&io_error(cause)))?;
    if archive.has_duplicate_names() {
        return Err(refused("two of its members have the same name".to_owned()).help("pack it again"));
    }
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(|cause| damaged(&io_error(cause)))?;
        let name = file.name().map_err(|cause| damaged(&io_error(cause)))?;
        if file.is_dir() || is_noise(&name) {
            continue;
        }
        if name == "xl/workbook.xml" {
            return Err(refused("it is an Excel workbook".to_owned()).help("save its sheets as CSV"));
        }
        let member = Origin { member: Some(printable(&name).into()), ..origin.clone() };
        if file.encrypted() {
            let help = format!("unpack it with its password first: `7z x {}`", origin.input);
            return Err(Error::new(ErrorKind::Input, format!("cannot read {member}: it is encrypted")).help(help));
        }
        let method = match file.compression() {
            CompressionMethod::Stored => Method::Stored,
            CompressionMethod::Deflated => Method::Deflate,
            CompressionMethod::Zstd => Method::Zstd,
            other => {
                let message =
                    format!("cannot read {member}: it is packed by {}, which is not read", method_name(other));
                let help = format!("unpack it with another program first: `7z x {}`", origin.input);
                return Err(Error::new(ErrorKind::Input, message).help(help));
            }
        };
        let (packed, size, crc) = (file.compressed_size(), file.size(), file.crc32());
        let within = |start: &u64| start.checked_add(packed).is_some_and(|end| end <= length);
        let Some(start) = file.data_start().filter(within) else {
            return Err(member.error(Some(Packing::Zip), &io::ErrorKind::UnexpectedEof.into()));
        };
        let label = printable(&name).into();
        entries.push(Entry { label, method, start, packed, size, crc });
    }
    if entries.is_empty() {
        return Err(refused("the archive has no file in it".to_owned()));
    }
    Ok(entries)
}

/// What file managers leave in archives unasked.
fn is_noise(name: &str) -> bool {
    name.starts_with("__MACOSX/") || name.rsplit('/').next() == Some(".DS_Store")
}

fn method_name(method: CompressionMethod) -> String {
    match method {
        CompressionMethod::DEFLATE64 => "Deflate64".to_owned(),
        CompressionMethod::BZIP2 => "bzip2".to_owned(),
        CompressionMethod::LZMA => "LZMA".to_owned(),
        CompressionMethod::XZ => "xz".to_owned(),
        CompressionMethod::PPMD => "PPMd".to_owned(),
        other => format!("method {other}"),
    }
}

fn io_error(cause: ZipError) -> io::Error {
    match cause {
        ZipError::Io(cause) => cause,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// The headers of an archive, of which no more than so many bytes are read.
struct Headers {
    reader: BufReader<File>,
    left: u64,
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("more than {HEADER_BYTES_MAX} bytes of headers"))
        })?;
        Ok(count)
    }
}

impl Seek for Headers {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

/// The greatest number of members that a Zip64 record at the end of a file claims; without one it is below 65,536.
///
/// The zip crate takes memory for as many entries as are claimed before it reads the first.
fn members_claimed(file: &mut File, length: u64) -> io::Result<u64> {
    const LOCATOR: [u8; 4] = *b"PK\x06\x07";
    const LOCATOR_BYTES: usize = 20;
    /// Where the number lies in the record that the locator points to.
    const MEMBERS_AT: u64 = 32;
    /// The locator, the last record and the longest comment, with some bytes to spare.
    const TAIL_BYTES_MAX: u64 = 0x1_0000 + 64;

    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
    let mut tail = Vec::new();
    file.by_ref().take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let mut members = 0;
    for locator in tail.windows(LOCATOR_BYTES).filter(|window| window.starts_with(&LOCATOR)) {
        let mut number = [0; 8];
        number.copy_from_slice(&locator[8..16]);
        let at = u64::from_le_bytes(number).saturating_add(MEMBERS_AT);
        // A locator that points past the end is not one.
        if at < length && file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut number)).is_ok() {
            members = members.max(u64::from_le_bytes(number));
        }
    }
    Ok(members)
}
