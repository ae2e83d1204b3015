//! Rejecting a record changes nothing about the others: a random, dirty feed gives the same tables as the same feed without
//! the bytes that the dead letters name. Says nothing of which records are bad; `engines` does.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/dirt.rs"]
mod dirt;

use common::Folder;
use dirt::{DECLARATION, feeds};
use feedmill::run::{Figures, Options};
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

/// Where the rejected records lie in the input, in order.
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
}
