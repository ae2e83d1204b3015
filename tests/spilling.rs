//! Groups that go through temporary files: the tables are those of groups that stay in memory, row by row, and what goes
//! wrong leaves no trace.

#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Write as _;

use common::Folder;
use feedmill::error::ErrorKind;
use feedmill::run::Options;

/// Tables that are written as they come, with a key and without one, and such as SQLite finishes; few groups and many.
const PIPELINE: &str = r#"
[feed.f]
files = ["f.csv"]
columns = "k TEXT, n INTEGER NOT NULL, x DOUBLE, d DATE, b BOOLEAN"
[table.keyed]
primary_key = ["x", "k"]
sql = """
SELECT k, x, b, count(*) AS rows, sum(n) AS total, avg(x) AS mean, stddev_samp(x) AS deviation, min(k) AS least,
       max(d) AS last
FROM f GROUP BY k, x, b, n, d
"""
[table.unkeyed]
sql = """
SELECT n % 37 AS r, k, sum(x / 7) AS s, median(x) AS middle, count(DISTINCT k) AS keys, count(DISTINCT n) AS numbers,
       median_gap(d) AS gap, stddev_gap(d) AS gaps, stddev_pop(n) AS deviation, max(k) AS greatest
FROM f GROUP BY n % 37, k
"""
[table.finished]
sql = """
SELECT d, sum(x) / count(*) AS mean, rank() OVER (ORDER BY sum(n) DESC, d) AS place
FROM f GROUP BY d HAVING count(*) > 1 ORDER BY place
"""
[table.whole]
sql = "SELECT count(*) AS rows, median(n) AS middle, count(DISTINCT k) AS keys, sum(x) AS s FROM f"
"#;

/// Records with keys that come again soon, late or never; some are NULL, and some records are bad.
fn records(count: u64) -> String {
    let mut text = "k,n,x,d,b\n".to_owned();
    for number in 0..count {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let key = match number % 11 {
            0 => String::new(),
            1..4 => format!("often {}", mixed % 7),
            4..8 => format!("\u{e9}{}", mixed % 500),
            _ => format!("{mixed:x}"),
        };
        let x = if number % 13 == 5 { String::new() } else { format!("{}e-3", mixed % 9_999_999) };
        let n = if number % 101 == 50 { "bad".to_owned() } else { (mixed % 1_000_000).to_string() };
        let day =
            if number % 17 == 0 { String::new() } else { format!("2025-{:02}-{:02}", 1 + mixed % 12, 1 + mixed % 28) };
        writeln!(text, "{key},{n},{x},{day},{}", number % 2).unwrap();
    }
    text
}

#[test]
fn neither_memory_nor_threads_nor_blocks_can_be_seen_in_the_tables() {
    let folder = Folder::new();
    folder.write("f.csv", records(20_000));
    let plan = folder.plan(PIPELINE);
    let content = |options: &Options| {
        let run = Folder::new();
        let figures = run.run(&plan, options).unwrap();
        assert!(figures.feeds[0].is_conserved());
        ((run.dump(), run.letters()), figures.feeds[0].groups_spilled)
    };
    let (expected, spilled) = content(&Options::default());
    assert_eq!(spilled, 0);
    // With little memory there may be few runs, so that some are merged before the end.
    for memory_limit_bytes in [64_000_000, 256_000_000] {
        for (threads, block_bytes, group_bytes) in
            [(1, 4096, 0), (2, 100_000, 0), (3, 300, 100_000), (8, 4096, 400_000), (1, 1 << 20, 1_000_000)]
        {
            let options = Options {
                threads,
                block_bytes,
                group_bytes: Some(group_bytes),
                memory_limit_bytes,
                ..Options::default()
            };
            let (found, spilled) = content(&options);
            assert!(found == expected, "{options:?}");
            assert!(spilled > 20_000, "{spilled} groups spilled: {options:?}");
        }
    }
}

#[test]
fn what_is_too_large_for_a_type_is_named_like_in_memory() {
    let folder = Folder::new();
    let rows: String = (0..3000).map(|row| format!("{},{}\n", row % 3, i64::MAX - i64::from(row))).collect();
    folder.write("f.csv", format!("k,n\n{rows}"));
    let plan = folder.plan(
        r#"
[feed.f]
files = ["f.csv"]
columns = "k INTEGER NOT NULL, n INTEGER NOT NULL"
[table.sums]
sql = "SELECT k, sum(n) AS total FROM f GROUP BY k"
"#,
    );
    let error = |group_bytes| {
        let options = Options { group_bytes, block_bytes: 300, ..Options::default() };
        folder.run(&plan, &options).unwrap_err().to_string()
    };
    assert_eq!(error(Some(0)), error(None));
    assert!(error(Some(0)).contains("in the group (0)"), "{}", error(Some(0)));
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    folder.write("f.csv", records(1000));
    let plan = folder.plan(PIPELINE);
    let temp_dir = Some(folder.path("nowhere"));
    folder.run(&plan, &Options { temp_dir: temp_dir.clone(), ..Options::default() }).unwrap();
    let before = folder.dump();
    folder.write("f.csv", records(2000));
    let options = Options { temp_dir, group_bytes: Some(0), ..Options::default() };
    let error = folder.run(&plan, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(error.help_text().unwrap().contains("--temp-dir"));
    assert!(folder.dump() == before, "nothing was changed");
}

#[test]
fn runs_leave_no_file_behind() {
    let folder = Folder::new();
    folder.write("f.csv", records(3000));
    let temp_dir = folder.path("temporary");
    std::fs::create_dir(&temp_dir).unwrap();
    let options = Options { group_bytes: Some(0), block_bytes: 4096, ..Options::default() };
    folder.run(&folder.plan(PIPELINE), &Options { temp_dir: Some(temp_dir.clone()), ..options }).unwrap();
    assert_eq!(temp_dir.read_dir().unwrap().count(), 0);
}

const INCREMENTAL: &str = r#"
[incremental]
feed = "f"
mode = "append"
[feed.f]
files = ["f.csv"]
columns = "k TEXT, n INTEGER NOT NULL, x DOUBLE, d DATE, b BOOLEAN"
[table.by_key]
primary_key = ["k", "d"]
sql = "SELECT k, d, count(*) AS rows, sum(x) AS s, median(n) AS middle FROM f GROUP BY k, d"
[table.shares]
primary_key = ["d", "b"]
sql = "SELECT d, b, sum(n) AS n, sum(n) / sum(sum(n)) OVER (PARTITION BY d) AS share FROM f GROUP BY d, b"
"#;

#[test]
fn what_was_spilled_is_stored_for_the_next_run() {
    let (days, content) = ([records(4000), records(6000)], |folder: &Folder| {
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        ["SELECT * FROM by_key ORDER BY k, d", "SELECT * FROM shares ORDER BY d, b"]
            .map(|sql| common::rows(&database, sql))
    });
    let expected = Folder::new();
    expected.write("f.csv", &days[1]);
    expected.run(&expected.plan(INCREMENTAL), &Options::default()).unwrap();

    let folder = Folder::new();
    folder.write("f.csv", &days[0]);
    let spilling = Options { group_bytes: Some(0), block_bytes: 4096, ..Options::default() };
    assert!(folder.run(&folder.plan(INCREMENTAL), &spilling).unwrap().feeds[0].groups_spilled > 4000);
    folder.write("f.csv", &days[1]);
    let before = folder.dump();
    // All groups with new rows have to be known before those that stand beside them are read back.
    let error = folder.run(&folder.plan(INCREMENTAL), &spilling).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("table `by_key`"), "{error}");
    assert!(folder.dump() == before, "nothing was changed");
    folder.run(&folder.plan(INCREMENTAL), &Options::default()).unwrap();
    assert_eq!(content(&folder), content(&expected));
    // And a full run that spills makes the same of everything.
    let again = Options { full_refresh: true, ..spilling };
    folder.run(&folder.plan(INCREMENTAL), &again).unwrap();
    assert_eq!(content(&folder), content(&expected));
}
