//! Files whose content grows from one to the next: plain text, or zip archives of one member that share their
//! compressed bytes. Not a general zip writer (the zip crate is one, but it cannot take data that is deflated already).
//!
//! A deflate stream may be cut wherever a sync flush has brought it to a byte boundary. So text is compressed in
//! segments that end with such a flush and refer to nothing before their own start; segments can be made on any thread,
//! and an archive is segments one after another, closed by an empty last block. The next archive begins with a copy of
//! the segments of this one, and nothing is ever compressed twice. Check sums are combined, not computed again.
//!
//! Section numbers below are those of PKWARE's APPNOTE.TXT 6.3.10, the definition of the zip format.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// How text is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// As it is.
    Plain,
    /// As the one member of a zip archive, deflated at this level (0 to 9).
    Zip { level: u32 },
}

/// Some whole rows of text, packed: ready to be appended to any file of the same packing.
pub(super) struct Segment {
    packed: Vec<u8>,
    text_bytes: u64,
    crc: Crc,
}

/// Packs segments. Keeps the compressor's tables from one to the next, and nothing of their content.
pub(super) struct Packer {
    compressor: Option<Compress>,
}

impl Packer {
    pub(super) fn new(packing: Packing) -> Self {
        let compressor = match packing {
            Packing::Plain => None,
            Packing::Zip { level } => Some(Compress::new(Compression::new(level), false)),
        };
        Packer { compressor }
    }

    pub(super) fn pack(&mut self, text: &[u8]) -> io::Result<Segment> {
        let mut crc = Crc::new();
        let packed = match &mut self.compressor {
            None => text.to_vec(),
            Some(compressor) => {
                crc.update(text);
                deflate_segment(compressor, text)?
            }
        };
        Ok(Segment { packed, text_bytes: text.len() as u64, crc })
    }
}

/// Raw deflate blocks holding `text`, none of them the last of the stream, ending at a byte boundary.
fn deflate_segment(compressor: &mut Compress, text: &[u8]) -> io::Result<Vec<u8>> {
    compressor.reset();
    let mut packed = Vec::with_capacity(text.len() / 2 + 1024);
    loop {
        let taken = compressor.total_in() as usize;
        let status =
            compressor.compress_vec(&text[taken..], &mut packed, FlushCompress::Sync).map_err(io::Error::other)?;
        // Room left over means that the flush is complete; without any, there may be more to come.
        if packed.len() < packed.capacity() {
            debug_assert!(status != Status::StreamEnd && compressor.total_in() as usize == text.len());
            return Ok(packed);
        }
        packed.reserve(packed.len() / 2);
    }
}

/// A finished file, as the next one needs to know it.
pub(super) struct Published {
    path: PathBuf,
    content: Content,
    file_bytes: u64,
}

impl Published {
    /// The size of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The size of the text in it.
    pub(super) fn text_bytes(&self) -> u64 {
        self.content.text_bytes
    }
}

/// The segments in a file, taken together.
#[derive(Default)]
struct Content {
    /// Where the first of them starts.
    start: u64,
    packed_bytes: u64,
    text_bytes: u64,
    crc: Crc,
}

/// A file being written under a passing name. Published whole, or removed.
pub(super) struct Draft {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    member: Option<Member>,
    content: Content,
    published: bool,
}

impl Draft {
    /// Starts the file at `path`. In an archive, the member is called `member`; `text_limit` is a size that its text is
    /// sure not to pass, for the choice between the small header and the large one has to be made now.
    pub(super) fn create(path: &Path, packing: Packing, member: &str, text_limit: u64) -> io::Result<Self> {
        let partial = path.with_added_extension("partial");
        let mut file = File::create(&partial)?;
        let mut content = Content::default();
        let member = match packing {
            Packing::Plain => None,
            Packing::Zip { .. } => {
                // Deflate makes incompressible data larger by less than 1 in 1,000.
                let large = text_limit.saturating_add(text_limit / 1000 + 1024) >= u64::from(u32::MAX);
                let member = Member { name: member.to_owned(), large };
                // Sizes and check sum are known at the end; this holds their place.
                let header = member.local_header(&content)?;
                file.write_all(&header)?;
                content.start = header.len() as u64;
                Some(member)
            }
        };
        Ok(Draft { path: path.to_owned(), partial, file, member, content, published: false })
    }

    /// Appends everything that `earlier`, a file of the same packing, holds. A copy within the kernel, where it can do
    /// that.
    pub(super) fn append_published(&mut self, earlier: &Published) -> io::Result<()> {
        let mut source = File::open(&earlier.path)?;
        source.seek(SeekFrom::Start(earlier.content.start))?;
        let copied = io::copy(&mut source.take(earlier.content.packed_bytes), &mut self.file)?;
        if copied != earlier.content.packed_bytes {
            return Err(io::Error::other(format!("{} was changed meanwhile", earlier.path.display())));
        }
        self.content.packed_bytes += copied;
        self.content.text_bytes += earlier.content.text_bytes;
        self.content.crc.combine(&earlier.content.crc);
        Ok(())
    }

    /// Appends a segment.
    pub(super) fn append(&mut self, segment: &Segment) -> io::Result<()> {
        self.file.write_all(&segment.packed)?;
        self.content.packed_bytes += segment.packed.len() as u64;
        self.content.text_bytes += segment.text_bytes;
        self.content.crc.combine(&segment.crc);
        Ok(())
    }

    /// Appends text to a plain file.
    pub(super) fn append_text(&mut self, text: &[u8]) -> io::Result<()> {
        debug_assert!(self.member.is_none());
        self.file.write_all(text)?;
        self.content.packed_bytes += text.len() as u64;
        self.content.text_bytes += text.len() as u64;
        Ok(())
    }

    /// Completes the file and gives it its name.
    pub(super) fn publish(mut self) -> io::Result<Published> {
        if let Some(member) = &self.member {
            let trailer_start = self.content.start + self.content.packed_bytes + LAST_BLOCK.len() as u64;
            let mut trailer = LAST_BLOCK.to_vec();
            trailer.extend(member.central_directory(&self.content, trailer_start)?);
            self.file.write_all(&trailer)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&member.local_header(&self.content)?)?;
        }
        let file_bytes = self.file.metadata()?.len();
        fs::rename(&self.partial, &self.path)?;
        self.published = true;
        Ok(Published { path: self.path.clone(), content: std::mem::take(&mut self.content), file_bytes })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here is the one to report; a `.partial` that stays is overwritten by the next run.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The end of a deflate stream: a last block with fixed codes that holds nothing but its own end (RFC 1951, 3.2.3 and
/// 3.2.6).
const LAST_BLOCK: [u8; 2] = [0b011, 0];

const DEFLATED: u16 = 8;
const VERSION_DEFLATE: u16 = 20;
const VERSION_ZIP64: u16 = 45;
const MADE_BY_UNIX: u16 = 3 << 8;
/// `-rw-r--r--`, a regular file, where a Unix puts it.
const FILE_MODE: u32 = 0o100_644 << 16;
/// Midnight of 1980-01-01, the first moment that the format knows (4.4.6). A real time would make every run's bytes
/// differ.
const DOS_TIME: u16 = 0;
const DOS_DATE: u16 = (1 << 5) | 1;
/// In the place of a size: the real one is in the zip64 field (4.4.8).
const SEE_ZIP64: u32 = u32::MAX;

/// The one member of an archive.
struct Member {
    name: String,
    /// Sizes take 64 bits: the member may pass 4 GiB.
    large: bool,
}

impl Member {
    /// 4.3.7, local file header; with 4.5.3, the zip64 field, where the sizes need it.
    fn local_header(&self, content: &Content) -> io::Result<Vec<u8>> {
        let mut out = LittleEndian::default();
        out.u32(0x0403_4b50);
        self.put_common_fields(&mut out, content)?;
        out.bytes(self.name.as_bytes());
        self.put_zip64_field(&mut out, content);
        Ok(out.0)
    }

    /// 4.3.12, the one header of the central directory, at offset `start`; then the records that end the archive.
    fn central_directory(&self, content: &Content, start: u64) -> io::Result<Vec<u8>> {
        let mut out = LittleEndian::default();
        out.u32(0x0201_4b50);
        out.u16(MADE_BY_UNIX | self.version());
        self.put_common_fields(&mut out, content)?;
        out.u16(0); // length of the comment
        out.u16(0); // number of this disk
        out.u16(0); // internal attributes
        out.u32(FILE_MODE);
        out.u32(0); // offset of the local header
        out.bytes(self.name.as_bytes());
        self.put_zip64_field(&mut out, content);
        let length = out.0.len() as u64;

        if self.large {
            // 4.3.14, zip64 end of central directory record.
            out.u32(0x0606_4b50);
            out.u64(44); // length of the rest of this record
            out.u16(MADE_BY_UNIX | VERSION_ZIP64);
            out.u16(VERSION_ZIP64);
            out.u32(0); // number of this disk
            out.u32(0); // disk of the central directory
            out.u64(1); // entries on this disk
            out.u64(1); // entries
            out.u64(length);
            out.u64(start);
            // 4.3.15, its locator.
            out.u32(0x0706_4b50);
            out.u32(0); // disk of that record
            out.u64(start + length);
            out.u32(1); // disks
        }

        // 4.3.16, end of central directory record.
        out.u32(0x0605_4b50);
        out.u16(0); // number of this disk
        out.u16(0); // disk of the central directory
        out.u16(1); // entries on this disk
        out.u16(1); // entries
        out.u32(length as u32); // one header: far below 4 GiB
        out.u32(if self.large { SEE_ZIP64 } else { small(start)? });
        out.u16(0); // length of the comment
        Ok(out.0)
    }

    /// What both headers have in common, from "version needed to extract" to "extra field length".
    fn put_common_fields(&self, out: &mut LittleEndian, content: &Content) -> io::Result<()> {
        out.u16(self.version());
        out.u16(0); // flags: sizes are in the header, the name is ASCII
        out.u16(DEFLATED);
        out.u16(DOS_TIME);
        out.u16(DOS_DATE);
        out.u32(content.crc.sum());
        if self.large {
            out.u32(SEE_ZIP64);
            out.u32(SEE_ZIP64);
        } else {
            out.u32(small(content.packed_bytes + LAST_BLOCK.len() as u64)?);
            out.u32(small(content.text_bytes)?);
        }
        out.u16(self.name.len() as u16);
        out.u16(if self.large { 20 } else { 0 });
        Ok(())
    }

    fn put_zip64_field(&self, out: &mut LittleEndian, content: &Content) {
        if self.large {
            out.u16(0x0001);
            out.u16(16); // length of the rest of this field
            out.u64(content.text_bytes);
            out.u64(content.packed_bytes + LAST_BLOCK.len() as u64);
        }
    }

    fn version(&self) -> u16 {
        if self.large { VERSION_ZIP64 } else { VERSION_DEFLATE }
    }
}

/// A size for a field of 32 bits. That one does not fit means a `text_limit` that was wrong: better no archive than a
/// bad one.
fn small(size: u64) -> io::Result<u32> {
    match u32::try_from(size) {
        Ok(small) if small != SEE_ZIP64 => Ok(small),
        _ => Err(io::Error::other("the archive grew past the size that it was announced with")),
    }
}

/// Fields of a record, least significant byte first (4.1.1).
#[derive(Default)]
struct LittleEndian(Vec<u8>);

impl LittleEndian {
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const PACKINGS: [Packing; 4] =
        [Packing::Plain, Packing::Zip { level: 0 }, Packing::Zip { level: 1 }, Packing::Zip { level: 6 }];

    /// Text that neither repeats itself soon nor resists compression.
    fn text(bytes: usize) -> Vec<u8> {
        (0u64..).flat_map(|number| (number * number % 1_000_003).to_string().into_bytes()).take(bytes).collect()
    }

    /// A file of `parts`, each a segment, after what `earlier` holds.
    fn publish(
        path: &Path,
        packing: Packing,
        earlier: Option<&Published>,
        parts: &[&[u8]],
        text_limit: u64,
    ) -> Published {
        let mut packer = Packer::new(packing);
        let mut draft = Draft::create(path, packing, "member.csv", text_limit).unwrap();
        if let Some(earlier) = earlier {
            draft.append_published(earlier).unwrap();
        }
        for part in parts {
            draft.append(&packer.pack(part).unwrap()).unwrap();
        }
        draft.publish().unwrap()
    }

    fn read(path: &Path, packing: Packing) -> Vec<u8> {
        if packing == Packing::Plain {
            return fs::read(path).unwrap();
        }
        let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        assert_eq!(archive.len(), 1);
        let mut member = archive.by_name("member.csv").unwrap();
        let mut text = Vec::new();
        // Reading to the end verifies the check sum.
        member.read_to_end(&mut text).unwrap();
        assert_eq!(member.size(), text.len() as u64);
        text
    }

    #[test]
    fn what_goes_in_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        let long = text(700_000);
        let cases: [Vec<&[u8]>; 5] =
            [vec![], vec![b""], vec![b"a"], vec![b"a", b"", b"b"], vec![&long, b"a", &long[5..]]];
        for packing in PACKINGS {
            for text_limit in [GIB, 5 * GIB] {
                for parts in &cases {
                    let path = folder.path().join("file");
                    let published = publish(&path, packing, None, parts, text_limit);
                    assert_eq!(read(&path, packing), parts.concat());
                    assert_eq!(published.text_bytes(), parts.concat().len() as u64);
                    assert_eq!(published.file_bytes(), fs::metadata(&path).unwrap().len());
                }
            }
        }
    }

    #[test]
    fn a_file_goes_on_where_another_ends() {
        let folder = tempfile::tempdir().unwrap();
        for packing in PACKINGS {
            let paths = [1, 2, 3].map(|number| folder.path().join(number.to_string()));
            let first = publish(&paths[0], packing, None, &[&text(90_000)], GIB);
            // The copied segments do not care how large the headers around them are.
            let second = publish(&paths[1], packing, Some(&first), &[b"more"], 5 * GIB);
            publish(&paths[2], packing, Some(&second), &[b" and ", b"more"], GIB);
            assert_eq!(read(&paths[2], packing), [&text(90_000)[..], b"more and more"].concat());
        }
    }

    #[test]
    fn a_draft_leaves_no_trace_and_no_half_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.zip");
        let mut draft = Draft::create(&path, Packing::Zip { level: 6 }, "member.csv", GIB).unwrap();
        draft.append(&Packer::new(Packing::Zip { level: 6 }).pack(b"text").unwrap()).unwrap();
        assert!(!path.exists());
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_wrong_limit_is_an_error() {
        assert_eq!(small(u64::from(SEE_ZIP64) - 1).unwrap(), SEE_ZIP64 - 1);
        assert!(small(u64::from(SEE_ZIP64)).is_err());
        assert!(small(u64::from(SEE_ZIP64) + 1).is_err());
    }
}
