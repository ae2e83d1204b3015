//! Tests of reading: every packing there and back, every kind of damage, every bound.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use ::zip::CompressionMethod;
use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use tempfile::TempDir;

use super::*;

const CSV: &[u8] = b"id,name\n1,one\n2,two\n3,three\n";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The pattern for a name in this folder.
    fn named(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn ignore() -> OnRead {
    Arc::new(|_| Ok(()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_frame(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// Changes the bytes of each central directory header at an offset in it.
fn patch_directory(zip: &mut [u8], at: usize, bytes: &[u8]) {
    let headers: Vec<usize> = (0..zip.len() - 4).filter(|start| zip[*start..].starts_with(b"PK\x01\x02")).collect();
    assert!(!headers.is_empty());
    for header in headers {
        zip[header + at..][..bytes.len()].copy_from_slice(bytes);
    }
}

/// Everything in an input: the labels and bytes of its members.
type Contents = Vec<(Option<String>, Vec<u8>)>;

fn drain(mut member: Member) -> Result<(Option<String>, Vec<u8>)> {
    let label = member.origin().member.as_deref().map(str::to_owned);
    let mut bytes = Vec::new();
    let mut buffer = [0; 7];
    loop {
        match member.fill(&mut buffer)? {
            0 => return Ok((label, bytes)),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn read(path: &Path) -> Result<Contents> {
    let [input] = expand(&[path.display().to_string()])?.try_into().unwrap();
    input.open(&ignore())?.map(|member| drain(member?)).collect()
}

fn read_stdin(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let origin = Origin { input: "-".into(), member: None };
    drain(compression::unpack(origin, None, Box::new(io::Cursor::new(bytes)))?).map(|(_, bytes)| bytes)
}

/// Asserts that something failed as an input does, with these words in message and help.
#[track_caller]
fn assert_fails<T>(result: Result<T>, words: &[&str]) {
    let error = result.err().expect("it did not fail");
    assert_eq!(error.kind(), ErrorKind::Input);
    let text = format!("{error:?}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

fn only(bytes: &[u8]) -> Contents {
    vec![(None, bytes.to_vec())]
}

#[test]
fn every_packing_gives_its_bytes_whatever_the_name() {
    let folder = Folder::new();
    let halves = CSV.split_at(10);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd_frame(CSV, 20)].concat();
    let streams = [
        CSV.to_vec(),
        Vec::new(),
        gzip(CSV),
        [gzip(halves.0), gzip(halves.1)].concat(),
        zstd_frame(CSV, 20),
        [zstd_frame(halves.0, 20), zstd_frame(halves.1, 20)].concat(),
        skippable,
    ];
    for bytes in streams {
        let expected = if bytes.is_empty() { b"" } else { CSV };
        assert_eq!(read(&folder.put("feed.csv", &bytes)).unwrap(), only(expected));
        assert_eq!(read_stdin(bytes).unwrap(), expected);
    }
    assert_eq!(read(&folder.put("feed.gz", CSV)).unwrap(), only(CSV));
}

#[test]
fn zip_members_come_in_order_and_noise_does_not() {
    let folder = Folder::new();
    let gz = gzip(b"packed twice");
    let members: [(&str, &[u8]); 9] = [
        ("z/", b""),
        ("z/2.csv", CSV),
        ("z/.DS_Store", b"noise"),
        ("__MACOSX/z/._2.csv", b"noise"),
        ("../../etc/1.csv", b"a\n"),
        ("/abs.csv", b"b\n"),
        ("red\u{1b}[31m\u{202e}.csv", b"c\n"),
        ("empty.csv", b""),
        ("inner.csv.gz", &gz),
    ];
    let label = |name: &str| Some(name.to_owned());
    let expected: Contents = vec![
        (label("z/2.csv"), CSV.to_vec()),
        (label("../../etc/1.csv"), b"a\n".to_vec()),
        (label("/abs.csv"), b"b\n".to_vec()),
        (label("red\\u{1b}[31m\\u{202e}.csv"), b"c\n".to_vec()),
        (label("empty.csv"), Vec::new()),
        (label("inner.csv.gz"), b"packed twice".to_vec()),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Zstd] {
        assert_eq!(read(&folder.put("feed", &zip_of(&members, method))).unwrap(), expected, "{method}");
    }
}

#[test]
fn zip64_is_read() {
    let folder = Folder::new();
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.start_file("a.csv", SimpleFileOptions::default().large_file(true)).unwrap();
    writer.write_all(CSV).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(read(&folder.put("feed.zip", &bytes)).unwrap()[0].1, CSV);
}

#[test]
fn reads_from_disk_are_told_and_sizes_are_known() {
    let folder = Folder::new();
    for (bytes, size) in [(CSV.to_vec(), None), (gzip(CSV), None), (zstd_frame(CSV, 20), None)]
        .into_iter()
        .chain([(zip_of(&[("a", CSV), ("b", CSV)], CompressionMethod::Stored), Some(CSV.len() as u64))])
    {
        let [input] = expand(&[folder.put("feed", &bytes).display().to_string()]).unwrap().try_into().unwrap();
        assert_eq!(input.size(), Some(bytes.len() as u64));
        let told = Arc::new(Mutex::new(0));
        let tell = Arc::clone(&told);
        for member in input
            .open(
                &(Arc::new(move |count| {
                    *tell.lock().unwrap() += count;
                    Ok(())
                }) as OnRead),
            )
            .unwrap()
        {
            let member = member.unwrap();
            assert_eq!(member.size(), size);
            drain(member).unwrap();
        }
        let told = *told.lock().unwrap();
        match size {
            None => assert_eq!(told, bytes.len() as u64),
            Some(size) => assert!((2 * size..=bytes.len() as u64).contains(&told), "{told}"),
        }
    }
}

#[test]
fn cut_off_at_any_length_is_an_error_and_never_short() {
    let folder = Folder::new();
    let files = [
        ("feed.gz", gzip(CSV), "gzip -t"),
        ("feed.zst", zstd_frame(CSV, 20), "zstd -t"),
        ("feed.zip", zip_of(&[("a.csv", CSV), ("b.csv", CSV)], CompressionMethod::Deflated), "unzip -t"),
    ];
    for (name, whole, test) in files {
        for length in 0..whole.len() {
            let result = read(&folder.put(name, &whole[..length]));
            assert_fails(result, &["truncated", name, test]);
        }
        assert!(read(&folder.put(name, &whole)).is_ok());
    }
}

#[test]
fn a_changed_byte_is_an_error_or_changes_no_data() {
    let folder = Folder::new();
    let files = [
        gzip(CSV),
        zstd_frame(CSV, 20),
        zip_of(&[("a.csv", CSV)], CompressionMethod::Deflated),
        zip_of(&[("a.csv", CSV)], CompressionMethod::Stored),
        zip_of(&[("a.csv", CSV)], CompressionMethod::Zstd),
    ];
    for whole in files {
        // The first bytes say what it is; without them it is another file, not a damaged one.
        for at in 4..whole.len() {
            for mask in [0x01, 0x08, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                if let Ok(contents) = read(&folder.put("feed", &bytes)) {
                    assert_eq!(contents[0].1, CSV, "byte {at} of {whole:x?}, changed by {mask:x}");
                }
            }
        }
    }
}

#[test]
fn a_wrong_crc_or_size_names_archive_and_member() {
    let folder = Folder::new();
    for (at, patch, word) in [
        (16, &[0; 4][..], "CRC-32 is"),
        (24, &[CSV.len() as u8 - 1], "more than the 27 bytes"),
        (24, &[CSV.len() as u8 + 1], "fewer than the 29 bytes"),
    ] {
        let mut bytes = zip_of(&[("in/a.csv", CSV)], CompressionMethod::Deflated);
        patch_directory(&mut bytes, at, patch);
        assert_fails(read(&folder.put("feed.zip", &bytes)), &["feed.zip!in/a.csv", word, "unzip -t"]);
    }
}

#[test]
fn archives_that_are_not_read_say_why() {
    let folder = Folder::new();
    let two: [(&str, &[u8]); 2] = [("a.csv", CSV), ("b.csv", CSV)];
    let patched = |at, bytes: &[u8]| {
        let mut zip = zip_of(&two, CompressionMethod::Deflated);
        patch_directory(&mut zip, at, bytes);
        zip
    };
    for (bytes, words) in [
        (patched(8, &[1]), ["a.csv: it is encrypted", "password"]),
        (patched(10, &[9]), ["a.csv: it is packed by Deflate64", "7z x"]),
        (patched(10, &[77]), ["a.csv: it is packed by method", "7z x"]),
        (patched(46, b"b"), ["two of its members have the same name", "feed.zip"]),
        (patched(20, &[0xff, 0xff, 0xff, 0x70]), ["feed.zip!a.csv", "truncated"]),
        (zip_of(&[], CompressionMethod::Stored), ["no file in it", "feed.zip"]),
        (zip_of(&[("d/", b"")], CompressionMethod::Stored), ["no file in it", "feed.zip"]),
        (zip_of(&[("xl/workbook.xml", b"<")], CompressionMethod::Stored), ["Excel workbook", "as CSV"]),
        (
            zip_of(&[("i.zip", &zip_of(&two, CompressionMethod::Stored))], CompressionMethod::Stored),
            ["!i.zip", "inner"],
        ),
    ] {
        assert_fails(read(&folder.put("feed.zip", &bytes)), &words);
    }
    assert_fails(read_stdin(zip_of(&two, CompressionMethod::Stored)), &["stdin", "the file's name"]);
}

/// An archive that has nothing but a Zip64 record that claims `members`.
fn zip64_claiming(members: u64) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend_from_slice(&[0; 46]);
    let record = bytes.len() as u64;
    bytes.extend_from_slice(b"PK\x06\x06");
    bytes.extend_from_slice(&44u64.to_le_bytes());
    bytes.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [members, members, 46, 4] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    bytes.extend_from_slice(&record.to_le_bytes());
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&[0xff; 12]);
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

#[test]
fn the_members_and_headers_of_an_archive_are_bounded() {
    let folder = Folder::new();
    assert_fails(read(&folder.put("many.zip", &zip64_claiming(65_537))), &["65537 members", "at most 65536"]);
    assert_fails(read(&folder.put("many.zip", &zip64_claiming(65_536))), &["truncated or corrupt"]);

    let long = |number: usize| format!("{number:0>65000}");
    for (members, fits) in [(120, true), (130, false)] {
        let names: Vec<String> = (0..members).map(long).collect();
        let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), CSV)).collect();
        let result = read(&folder.put("long.zip", &zip_of(&members, CompressionMethod::Stored)));
        match fits {
            true => assert_eq!(result.unwrap().len(), members.len()),
            false => assert_fails(result, &["more than 8388608 bytes of headers"]),
        }
    }
}

#[test]
fn the_zstd_window_is_bounded() {
    let folder = Folder::new();
    assert_eq!(read(&folder.put("feed.zst", &zstd_frame(CSV, 26))).unwrap(), only(CSV));
    let path = folder.put("feed.zst", &zstd_frame(CSV, 27));
    assert_fails(read(&path), &["larger than 64 MiB", "--long=31", "feed.zst | feedmill run PIPELINE -"]);
}

#[test]
fn other_formats_are_named_and_their_letters_alone_are_not() {
    let folder = Folder::new();
    for (magic, words) in [
        (&b"\xfd7zXZ\0\0\x04"[..], ["packed as xz", "xz -dc"]),
        (b"BZh91AY&SY", ["packed as bzip2", "bzip2 -dc"]),
        (b"7z\xbc\xaf\x27\x1c\0\x04", ["packed as 7z", "7z x -so"]),
        (b"Rar!\x1a\x07\x01\0", ["packed as rar", "unrar p"]),
        (b"\x04\x22\x4d\x18\x64", ["packed as lz4", "lz4 -dc"]),
        (b"\x1f\x9d\x90", ["compress (.Z)", "gzip -dc"]),
    ] {
        assert_fails(read(&folder.put("feed", magic)), &words);
        assert_fails(read(&folder.put("feed", magic)), &["feed | feedmill run PIPELINE -"]);
    }
    for text in ["BZh9,name\n1,2\n", "BZh", "7z,a\n", "Rar!,a\n", "PK,a\n1,2\n"] {
        assert_eq!(read(&folder.put("feed", text.as_bytes())).unwrap(), only(text.as_bytes()));
    }
}

/// Gives a byte at a time, each but the first behind an interruption, and fails after the last.
struct Stuttering {
    bytes: &'static [u8],
    interrupted: bool,
}

impl Read for Stuttering {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.bytes.split_first() {
            None => Err(io::Error::other("the cable was pulled")),
            Some((first, rest)) => {
                buffer[0] = *first;
                self.bytes = rest;
                Ok(1)
            }
        }
    }
}

#[test]
fn a_failing_stream_is_an_error_with_its_name_behind_the_bytes_that_came() {
    let origin = Origin { input: "a.zip".into(), member: Some("b.csv".into()) };
    let stream = Stuttering { bytes: CSV, interrupted: false };
    let mut member = Member::new(origin, Box::new(stream));
    let mut bytes = vec![0; CSV.len()];
    assert_eq!(member.fill(&mut bytes).unwrap(), CSV.len());
    assert_eq!(bytes, CSV);
    assert_fails(member.fill(&mut bytes), &["a.zip!b.csv: the cable was pulled"]);
}

/// Gives at most so many bytes at a time.
struct Slow(Vec<u8>, usize);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

#[test]
fn encodings_come_out_as_utf8_and_malformed_bytes_as_none() {
    let cases: [(&str, &[u8], &[u8]); 8] = [
        ("UTF-8", b"\xef\xbb\xbfa\xff", b"\xef\xbb\xbfa\xff"),
        ("latin1", b"caf\xe9,\x80", "caf\u{e9},\u{20ac}".as_bytes()),
        ("utf-16le", b"\xff\xfea\0,\0=\xd8\0\xde", "a,\u{1f600}".as_bytes()),
        ("utf-16be", b"\0a\0,", b"a,"),
        ("utf-16le", b"a\0=\xd8b\0,", b"a\xffb\xff"),
        ("shift_jis", b"\x83\x65,\x83\xff,\x81", "\u{30c6},\0,\0".as_bytes()),
        ("gbk", b"\xc4\xe3,\xff", "\u{4f60},\0".as_bytes()),
        ("windows-1252", b"", b""),
    ];
    for (label, bytes, expected) in cases {
        // No case has a NUL: it stands for what no text can hold.
        let expected: Vec<u8> = expected.iter().map(|byte| if *byte == 0 { 0xff } else { *byte }).collect();
        let encoding = Encoding::parse(label).unwrap();
        for step in [1, 2, 3, 100] {
            let origin = Origin { input: "-".into(), member: None };
            let member = Member::new(origin, Box::new(Slow(bytes.to_vec(), step))).decode(encoding);
            assert_eq!(drain(member).unwrap().1, expected, "{label}, {step} bytes at a time");
        }
    }
}

#[test]
fn long_texts_decode_as_in_one_piece() {
    let text: Vec<u8> = (0..200_000u32).flat_map(|n| [0x83, 0x40 + (n % 63) as u8, b',']).collect();
    let (expected, ..) = encoding_rs::SHIFT_JIS.decode(&text);
    let origin = Origin { input: "-".into(), member: None };
    let member = Member::new(origin, Box::new(Slow(text.clone(), 65_521)));
    let decoded = drain(member.decode(Encoding::parse("sjis").unwrap())).unwrap().1;
    assert!(decoded == expected.as_bytes());
}

#[test]
fn unknown_encodings_are_named_with_a_near_one() {
    let error = Encoding::parse("windos-1252").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pipeline);
    let text = format!("{error:?}");
    assert!(text.contains("`windos-1252`") && text.contains("did you mean `windows-1252`") && text.contains("gbk"));
}

#[test]
fn patterns_become_inputs_in_order() {
    let folder = Folder::new();
    for name in ["b2.csv", "b1.csv", "a.csv", ".hidden.csv", "[x]*.csv"] {
        folder.put(name, CSV);
    }
    fs::create_dir(folder.0.path().join("dir.csv")).unwrap();
    let names = |patterns: &[&str]| -> Result<Vec<String>> {
        let patterns: Vec<String> =
            patterns.iter().map(|name| if *name == "-" { "-".to_owned() } else { folder.named(name) }).collect();
        let short = |input: &Input| input.name().rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        Ok(expand(&patterns)?.iter().map(short).collect())
    };
    assert_eq!(names(&["b?.csv", "-", "a.csv"]).unwrap(), ["b1.csv", "b2.csv", "-", "a.csv"]);
    assert_eq!(names(&["*.csv"]).unwrap(), ["[x]*.csv", "a.csv", "b1.csv", "b2.csv"]);
    assert_eq!(names(&["[x]*.csv"]).unwrap(), ["[x]*.csv"]);
    assert_eq!(names(&[]).unwrap(), [""; 0]);

    assert_fails(names(&["b1.csv", "b*.csv"]), &["b1.csv is named twice, by", "b*.csv"]);
    assert_fails(names(&["a.csv", "dir.csv/../a.csv"]), &["named twice"]);
    assert_fails(names(&["-", "a.csv", "-"]), &["- is named twice"]);
    assert_fails(names(&["dir.csv"]), &["is a directory", "*.csv`"]);
    assert_fails(names(&["*.zip"]), &["no file matches", "*.zip"]);
    assert_fails(names(&["a[.csv"]), &["is not a glob", "a[.csv"]);
    assert_fails(names(&["aa.csv"]), &["cannot find", "did you mean `a.csv`?"]);
    assert_fails(names(&["nowhere/a.csv"]), &["there is no directory", "nowhere"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_a_stream() {
    let folder = Folder::new();
    let path = folder.0.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let [input] = expand(&[path.display().to_string()]).unwrap().try_into().unwrap();
    assert_eq!(input.size(), None);
    let mut writer =
        std::process::Command::new("sh").args(["-c", "printf 'a\\n1\\n' > \"$0\""]).arg(&path).spawn().unwrap();
    let contents: Contents = input.open(&ignore()).unwrap().map(|member| drain(member.unwrap()).unwrap()).collect();
    assert_eq!(contents, only(b"a\n1\n"));
    writer.wait().unwrap();
}

/// A zip archive of one member, deflated as one stream.
fn deflated(text: &[u8], level: i64) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file("day.csv", options.compression_level(Some(level))).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap().into_inner()
}

/// Text that can be packed, but not into nothing.
fn rows(bytes: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut text = Vec::new();
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend(format!("{},{},item {}\n", text.len() / 20, state >> 40, state >> 60).bytes());
    }
    text.truncate(bytes);
    text
}

/// Reads the only member from a checkpoint; returns where it began, its text from there on, and the next checkpoint.
fn read_from(folder: &Folder, archive: &[u8], checkpoint: &[u8]) -> Result<(u64, Vec<u8>, Vec<u8>)> {
    folder.put("day.zip", archive);
    let input = expand(&[folder.named("day.zip")]).unwrap().remove(0);
    let mut member = input.open(&ignore()).unwrap().next_from(checkpoint).unwrap()?;
    let mut hash = member.hash_in_front();
    let (start, mut text, mut buffer) = (hash.bytes(), Vec::new(), vec![0; 10_007]);
    loop {
        let read = member.fill(&mut buffer)?;
        if read == 0 {
            return Ok((start, text, member.checkpoint(&hash)));
        }
        hash.update(&buffer[..read]);
        text.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_member_is_taken_up_where_an_earlier_archive_of_it_has_a_checkpoint() {
    let (folder, whole) = (Folder::new(), rows(3_000_000));
    for (level, first, second) in [(6, 700_000, 900_000), (4, 2_000_000, 3_000_000), (9, 1_500_000, 1_600_001)] {
        let (start, text, checkpoint) = read_from(&folder, &deflated(&whole[..first], level), &[]).unwrap();
        assert_eq!((start, text.len()), (0, first));
        let longer = deflated(&whole[..second], level);
        let (start, text, next) = read_from(&folder, &longer, &checkpoint).unwrap();
        assert!(start as usize > first - 600_000 && (start as usize) < first, "{level}: from {start}");
        assert!(text == whole[start as usize..second], "{level}: other text");
        // From there on as well, and once more over the same archive.
        let (_, _, from_whole) = read_from(&folder, &longer, &[]).unwrap();
        assert!(next == from_whole, "{level}: another checkpoint");
        let (start, text, _) = read_from(&folder, &longer, &next).unwrap();
        assert!(start as usize > second - 600_000 && text == whole[start as usize..second]);
    }
}

#[test]
fn a_checkpoint_is_of_no_use_behind_other_packed_bytes() {
    let (folder, whole) = (Folder::new(), rows(1_000_000));
    let (_, _, checkpoint) = read_from(&folder, &deflated(&whole[..800_000], 6), &[]).unwrap();
    let mut other = whole.clone();
    other[100] ^= 1;
    for (archive, expected) in [
        (deflated(&other, 6), &other[..]),
        (deflated(&whole, 9), &whole[..]),
        (deflated(&whole[..1000], 6), &whole[..1000]),
        (zip_of(&[("day.csv", &whole)], CompressionMethod::Stored), &whole[..]),
    ] {
        let (start, text, _) = read_from(&folder, &archive, &checkpoint).unwrap();
        assert!(start == 0 && text == expected);
    }
    for damaged in [&checkpoint[..40], &[], &checkpoint[1..], &[&[2], &checkpoint[1..]].concat()] {
        assert_eq!(read_from(&folder, &deflated(&whole, 6), damaged).unwrap().0, 0);
    }
    let gzipped = gzip(CSV);
    let (_, text, none) = read_from(&folder, &deflated(&gzipped, 6), &[]).unwrap();
    assert!(text == CSV && none.is_empty(), "what is packed twice is read, and cannot be taken up");
}

#[test]
fn what_follows_a_checkpoint_is_checked() {
    let (folder, whole) = (Folder::new(), rows(1_000_000));
    let (_, _, checkpoint) = read_from(&folder, &deflated(&whole[..800_000], 6), &[]).unwrap();
    let archive = deflated(&whole, 6);
    let end = archive.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut wrong_sum = archive.clone();
    wrong_sum[end + 16] ^= 1;
    let error = read_from(&folder, &wrong_sum, &checkpoint).unwrap_err();
    assert!(error.to_string().contains("CRC-32"), "{error}");
    let mut damaged = archive.clone();
    damaged[end - 1000..end - 900].fill(0x55);
    assert!(read_from(&folder, &damaged, &checkpoint).is_err());
    let mut longer = archive;
    longer[end + 24] ^= 0x40;
    assert!(read_from(&folder, &longer, &checkpoint).is_err());
}
