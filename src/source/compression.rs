//! How a stream is packed, told by its first bytes, and its unpacking: gzip and zstd. Archives of several members are not
//! unpacked here: they need more than a stream.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, ErrorKind, Result};
use crate::source::{Member, Origin, PlainFile, Stream};

/// How much is asked of a file at a time when a decoder stands behind it.
pub(super) const READ_BYTES: usize = 256 << 10;

/// The largest zstd window, as a power of two: 64 MiB of memory, a quarter of the default cap, for all levels up to 21.
/// Only `--ultra -22` and `--long` use more.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// As many first bytes as the longest mark of a format needs.
const HEAD_BYTES: usize = 10;

/// Packings that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Zip,
}

impl Packing {
    /// The packing that begins with these bytes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            // The second is a skippable frame, with which parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
            // The second is an archive without members.
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Packing::Zip),
            _ => None,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        [("gz", Packing::Gzip), ("zst", Packing::Zstd), ("zip", Packing::Zip)]
            .into_iter()
            .find_map(|(known, packing)| extension.eq_ignore_ascii_case(known).then_some(packing))
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip file",
            Packing::Zstd => "zstd file",
            Packing::Zip => "zip archive",
        }
    }

    pub(super) fn test_command(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip -t",
            Packing::Zstd => "zstd -t",
            Packing::Zip => "unzip -t",
        }
    }
}

/// Formats that are told apart from CSV but not read: the name, and what unpacks them to stdout.
fn foreign(head: &[u8]) -> Option<(&'static str, &'static str)> {
    match head {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(("xz", "xz -dc")),
        // A level and the mark of a block; the letters `BZh` alone could be a header.
        [b'B', b'Z', b'h', _, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(("bzip2", "bzip2 -dc")),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(("7z", "7z x -so")),
        [b'R', b'a', b'r', b'!', 0x1a, 0x07, ..] => Some(("rar", "unrar p -inul")),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(("lz4", "lz4 -dc")),
        [0x1f, 0x9d, ..] => Some(("compress (.Z)", "gzip -dc")),
        _ => None,
    }
}

/// Whether a file is nothing but text, as far as its first bytes and its name tell.
pub(super) fn is_plain(file: &PlainFile) -> Result<bool> {
    let mut head = [0; HEAD_BYTES];
    let head = &mut head[..HEAD_BYTES.min(usize::try_from(file.size()).unwrap_or(HEAD_BYTES))];
    file.read_at(head, 0)?;
    Ok(Packing::of(head).is_none() && foreign(head).is_none() && Packing::of_name(&file.origin().input).is_none())
}

/// The first bytes of a stream, and the stream with nothing taken from it.
pub(super) fn peek(mut stream: Stream) -> io::Result<(Vec<u8>, Stream)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    stream.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(stream);
    Ok((head, Box::new(whole)))
}

/// The one member that a stream is, unpacked; `size` is the length of the stream as it comes.
pub(super) fn unpack(origin: Origin, size: Option<u64>, stream: Stream) -> Result<Member> {
    let outer = origin.member.as_ref().map(|_| Packing::Zip);
    let (head, stream) = peek(stream).map_err(|cause| origin.error(outer, &cause))?;
    let name = origin.member.as_deref().unwrap_or(&origin.input);
    if let Some((format, command)) = foreign(&head) {
        let message = format!("cannot read {origin}: it is packed as {format}, which feedmill does not unpack");
        return Err(Error::new(ErrorKind::Input, message).help(unpack_yourself(&origin, command)));
    }
    let packing = match Packing::of(&head) {
        // A stub of a packed file has no mark to go by.
        None if head.len() < 4 => match Packing::of_name(name) {
            Some(packing) => return Err(origin.error(Some(packing), &io::ErrorKind::UnexpectedEof.into())),
            None => None,
        },
        packing => packing,
    };
    let stream: Stream = match packing {
        None => return Ok(Member { size, packing: outer, ..Member::new(origin, stream) }),
        Some(Packing::Gzip) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, stream))),
        Some(Packing::Zstd) => {
            let decoder = zstd(BufReader::with_capacity(READ_BYTES, stream));
            Box::new(decoder.map_err(|cause| origin.error(packing, &cause))?)
        }
        Some(Packing::Zip) => {
            let message = format!("cannot read {origin}: a zip archive must be a file of its own, not a stream");
            let help = match origin.member {
                None => "give the file's name instead of piping it in",
                Some(_) => "unpack the outer archive and give the names of the inner ones",
            };
            return Err(Error::new(ErrorKind::Input, message).help(help));
        }
    };
    let needs_window = packing == Some(Packing::Zstd);
    Ok(Member { packing: outer.or(packing), needs_window, ..Member::new(origin, stream) })
}

/// The frames of a zstd stream, one behind the other.
pub(super) fn zstd<R: BufRead>(reader: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(reader)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Whether this is how zstd says that a window is larger than allowed. It has no code that could be asked for.
pub(super) fn is_window_error(cause: &io::Error) -> bool {
    cause.to_string().contains("too much memory")
}

pub(super) fn window_error(origin: &Origin) -> Error {
    let mib = (1u64 << ZSTD_WINDOW_LOG_MAX) >> 20;
    let message =
        format!("cannot read {origin}: its zstd window is larger than {mib} MiB and would break the memory cap");
    let help = format!(
        "{}, or compress it again without --long and --ultra -22",
        unpack_yourself(origin, "zstd -dc --long=31")
    );
    Error::new(ErrorKind::Input, message).help(help)
}

/// How to pipe an input that is unpacked by another program.
fn unpack_yourself(origin: &Origin, command: &str) -> String {
    match (&*origin.input, &origin.member) {
        ("-", _) => format!("unpack it on the way: `... | {command} | feedmill run PIPELINE -`"),
        (file, None) => format!("unpack it on the way: `{command} {file} | feedmill run PIPELINE -`"),
        (file, Some(member)) => {
            format!("unpack it on the way: `unzip -p {file} {member} | {command} | feedmill run PIPELINE -`")
        }
    }
}
