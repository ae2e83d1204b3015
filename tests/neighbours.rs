//! Rejecting a record changes nothing about the others: a random, dirty feed gives the same tables as the same feed without
//! the bytes that the dead letters name. Says nothing of which records are bad; `engines` does.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/dirt.rs"]
mod dirt;

use common::{Folder, rows};
use dirt::{DECLARATION, feeds};
use feedmill::run::{FeedFigures, Figures, Options};
use proptest::prelude::*;
use proptest::sample::select;

/// Rows of which each comes from one record, and groups of all of them.
fn pipeline() -> String {
    format!(
        r#"
[feed.feed]
files = ["feed.csv"]
columns = """{DECLARATION}"""
nullify = ["dd"]
[table.of_rows]
sql = "SELECT *, i * i AS square, CAST(t AS DATE) AS day FROM feed WHERE b IS NOT FALSE"
[table.of_groups]
sql = "SELECT b, count(*) AS n, sum(f) AS s, max(t) AS t FROM feed GROUP BY b"
"#
    )
}

/// Rows of which only the first with each key stays.
fn load_pipeline() -> String {
    format!(
        r#"
[feed.feed]
files = ["feed.csv"]
columns = """{DECLARATION}"""
nullify = ["dd"]
[table.loaded]
primary_key = ["parity", "t"]
sql = "SELECT t, d, f, dd, ts, b, i % 2 AS parity, i * i AS square FROM feed WHERE b IS NOT FALSE"
"#
    )
}

/// Where the dead letters' records lie in the input, in order.
fn places(letters: &[u8]) -> Vec<(usize, usize)> {
    let mut reader = csv::Reader::from_reader(letters);
    let number = |field: &[u8]| std::str::from_utf8(field).unwrap().parse().unwrap();
    reader.byte_records().map(|record| record.unwrap()).map(|letter| (number(&letter[4]), number(&letter[5]))).collect()
}

/// A feed without these records and without their line ends.
fn without(bytes: &[u8], places: &[(usize, usize)]) -> Vec<u8> {
    let mut rest = bytes.to_vec();
    for (offset, length) in places.iter().rev() {
        let mut end = offset + length;
        // A record ends with `\n`, `\r\n` or the input.
        end += usize::from(rest[end..].starts_with(b"\r\n"));
        end += usize::from(rest[end..].starts_with(b"\n"));
        rest.drain(*offset..end);
    }
    rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn good_records_do_not_depend_on_bad_ones(
        feed in feeds(60),
        block_bytes in select(vec![1, 20, 500, 1 << 18]),
        max_record_bytes in select(vec![60, 200, 1 << 20]),
    ) {
        let folder = Folder::new();
        let bytes = feed.to_bytes();
        let run = |bytes: &[u8]| -> (Figures, String) {
            folder.write("feed.csv", bytes);
            let mut plan = folder.plan(&pipeline());
            plan.feeds[0].dialect.max_record_bytes = max_record_bytes;
            let figures = folder.run(&plan, &Options { block_bytes, threads: 2, ..Options::default() }).unwrap();
            (figures, folder.dump())
        };
        let (with, dirty) = run(&bytes);
        let rejected = places(&folder.letters());
        prop_assert_eq!(rejected.len() as u64, with.rejected());
        let (without, clean) = run(&without(&bytes, &rejected));
        prop_assert_eq!(without.rejected(), 0);
        prop_assert_eq!(dirty, clean);
        for figures in [&with.feeds[0], &without.feeds[0]] {
            prop_assert_eq!(figures.read, figures.loaded + figures.filtered + figures.rejected);
        }
        prop_assert_eq!(with.feeds[0].read - with.rejected(), without.feeds[0].read);
        prop_assert_eq!(&with.feeds[0].counters, &without.feeds[0].counters);
    }

    #[test]
    fn first_records_do_not_depend_on_their_duplicates(
        feed in feeds(60),
        block_bytes in select(vec![1, 20, 500, 1 << 18]),
    ) {
        let run = |bytes: &[u8]| -> (FeedFigures, Vec<Vec<String>>, Vec<u8>) {
            let folder = Folder::new();
            folder.write("feed.csv", bytes);
            let plan = folder.plan(&load_pipeline());
            let options = Options { block_bytes, threads: 2, ..Options::default() };
            let mut figures = folder.run(&plan, &options).unwrap();
            let table = rusqlite::Connection::open(folder.database()).unwrap();
            (figures.feeds.remove(0), rows(&table, "SELECT rowid, * FROM loaded ORDER BY rowid"), folder.letters())
        };
        let bytes = feed.to_bytes();
        let (with, table, letters) = run(&bytes);
        let places = places(&letters);
        prop_assert_eq!(places.len() as u64, with.rejected + with.duplicate);
        let (clean, clean_table, clean_letters) = run(&without(&bytes, &places));
        prop_assert_eq!((clean.rejected, clean.duplicate, clean_letters), (0, 0, Vec::new()));
        prop_assert_eq!((clean.loaded, clean.filtered), (with.loaded, with.filtered));
        prop_assert_eq!(clean_table, table);
    }
}
