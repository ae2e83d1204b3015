//! Archives and compressed files, whole and damaged, in every place: the same sales come out, or a clear error does.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

use crate::workdir::{THREE, Workdir};

pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zst(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Enough sales to make a long archive.
fn many() -> Vec<u8> {
    let sales: String = (1..=2000).map(|id| format!("{id},,item {},{}.25\n", id * 7919 % 1009, id % 50)).collect();
    format!("id,day,item,price\n{sales}").into_bytes()
}

#[test]
fn packed_sales_are_the_same_sales() {
    let sales = many();
    let dir = Workdir::with_sales(&sales);
    dir.run_sales("").succeeds();
    let plain = dir.query("out.db", "SELECT * FROM sold");
    assert_eq!(plain.len(), 2000);
    let packed = [("s.csv.gz", gz(&sales)), ("s.csv.zst", zst(&sales)), ("s.zip", zip(&[("s.csv", &sales)]))];
    for (name, bytes) in packed {
        dir.write(name, &bytes);
        dir.run_sales(&format!("--mode replace {name}")).succeeds();
        assert_eq!(dir.query("out.db", "SELECT * FROM sold"), plain, "{name}");
        dir.write("nameless", &bytes);
        dir.run_sales("--mode replace nameless").succeeds();
        assert_eq!(dir.query("out.db", "SELECT * FROM sold"), plain, "{name} by its content");
    }
    dir.feedmill_on("run sales.toml --db out.db --mode replace -", gz(&sales)).succeeds();
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), plain);
}

#[test]
fn members_are_read_in_the_order_of_the_archive_and_named_in_dead_letters() {
    let second = b"price,item,day,id\n1.50,tea,,9\n1.50,tea,,x\n";
    let archive = zip(&[("b.csv", THREE.as_bytes()), ("../a.csv", second), ("__MACOSX/b.csv", b"\0\x05")]);
    let dir = Workdir::with_sales("").put("s.zip", archive);
    dir.run_sales("s.zip").exits(3);
    assert_eq!(dir.sold(), "1 2 3 9");
    let [letter] = dir.dead_letters().try_into().unwrap();
    assert_eq!((letter.input.as_str(), letter.member.as_str()), ("s.zip", "../a.csv"));
    assert_eq!((letter.line, letter.record, letter.byte_offset), (3, 2, 30));
}

#[test]
fn members_that_are_no_csv_are_named() {
    let cases: [(&[u8], &[&str]); 3] = [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &["s.zip!logo.png"]),
        (b"", &["s.zip!logo.png", "the input is empty"]),
        (b"id,day\n1,\n", &["s.zip!logo.png", "lacks the declared column `item`"]),
    ];
    for (content, words) in cases {
        let archive = zip(&[("s.csv", THREE.as_bytes()), ("logo.png", content)]);
        let dir = Workdir::with_sales("").put("s.zip", archive);
        dir.run_sales("s.zip").fails(1, words);
        assert_eq!(dir.names(), ["s.zip", "sales.csv", "sales.toml"]);
    }
    let dir = Workdir::with_sales("").put("s.zip", zip(&[]));
    dir.run_sales("s.zip").fails(1, &["s.zip", "no file in it"]);
}

/// Runs a damaged file: nothing is loaded and nothing is left behind.
fn assert_refused(name: &str, what: &str, bytes: &[u8]) {
    let dir = Workdir::with_sales("").put(name, bytes);
    let outcome = dir.run_sales(name);
    assert_eq!(outcome.code, Some(1), "{name}, {what}: {outcome:#?}");
    outcome.says(&[name]);
    assert_eq!(dir.names().len(), 3, "{name}, {what}: {:?}", dir.names());
}

#[test]
fn truncated_files_are_refused_at_any_length() {
    let sales = many();
    for (name, packed) in [("s.zip", zip(&[("s.csv", &sales)])), ("s.gz", gz(&sales)), ("s.zst", zst(&sales))] {
        let whole = packed.len();
        for length in [1, 2, 5, 10, 18, 30, 40, whole / 4, whole / 2, whole - 100, whole - 22, whole - 5, whole - 1] {
            assert_refused(name, &format!("{length} of {whole} bytes"), &packed[..length]);
        }
    }
}

#[test]
fn flipped_bytes_are_found_by_their_checksum() {
    let sales = many();
    for (name, packed) in [("s.zip", zip(&[("s.csv", &sales)])), ("s.gz", gz(&sales)), ("s.zst", zst(&sales))] {
        for part in 1..8 {
            let mut bytes = packed.clone();
            let place = packed.len() * part / 8;
            bytes[place] ^= 0x55;
            assert_refused(name, &format!("byte {place} flipped"), &bytes);
        }
    }
    let mut stored = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    stored.start_file("s.csv", options).unwrap();
    stored.write_all(THREE.as_bytes()).unwrap();
    let mut bytes = stored.finish().unwrap().into_inner();
    let place = bytes.windows(4).position(|window| window == b"milk").unwrap();
    bytes[place] = b's';
    let dir = Workdir::with_sales("").put("s.zip", bytes);
    dir.run_sales("s.zip").fails(1, &["s.zip!s.csv", "CRC-32"]);
    assert!(!dir.has("out.db"));
}
