//! Replays through the library, over random, dirty feeds: what a strict load has rejected and a loose pipeline takes ends up
//! in the table as if it had been loaded loosely at once. The command's own side of it is tested with the command.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/dirt.rs"]
mod dirt;

use std::path::Path;

use common::Folder;
use dirt::{DECLARATION, feeds};
use feedmill::error::Result;
use feedmill::plan::Plan;
use feedmill::run::{self, Figures, Options, sqlite_functions};
use feedmill::sink::{DeadLetterReader, DeadLetterWriter, FailingSink, Mode, Sink, SqliteOptions, SqliteSink};
use proptest::prelude::*;
use proptest::sample::select;

fn plan(folder: &Folder, declaration: &str, key: &str, max_record_bytes: usize) -> Plan {
    let mut plan = folder.plan(&format!(
        r#"
[feed.feed]
files = ["feed.csv"]
columns = """{declaration}"""
[table.rows]
primary_key = [{key}]
sql = "SELECT *, i + 1 AS next FROM feed WHERE b IS NOT FALSE"
"#
    ));
    plan.feeds[0].dialect.max_record_bytes = max_record_bytes;
    plan
}

/// The declaration without its constraints.
fn loose() -> String {
    let loose = DECLARATION.replace(" NOT NULL CHECK (i <> 2)", "").replace(", CHECK (d < 5000)", "");
    assert!(!loose.contains("CHECK"), "{loose}");
    loose
}

/// What `feedmill replay errors.csv` does, with what is left in `left.csv`.
fn replay_into<S: Sink>(
    folder: &Folder,
    plan: &Plan,
    options: &Options,
    sink: impl FnOnce(SqliteSink) -> S,
) -> Result<Figures> {
    let mut from = DeadLetterReader::open(&folder.errors(), plan.feeds[0].dialect.max_record_bytes)?;
    let mut letters = DeadLetterWriter::new(&folder.path("left.csv"), &folder.database())?;
    let sqlite = SqliteOptions { functions: sqlite_functions(), mode: Mode::Append, ..SqliteOptions::default() };
    let mut sink = sink(SqliteSink::open(&folder.database(), &sqlite)?);
    let figures = run::replay(plan, options, &mut from, &mut sink, &mut letters, &mut |_| ())?;
    drop(sink);
    letters.publish()?;
    Ok(figures)
}

fn replay(folder: &Folder, plan: &Plan, options: &Options) -> Figures {
    let figures = replay_into(folder, plan, options, |sink| sink).unwrap();
    assert!(figures.feeds.iter().all(|feed| feed.is_conserved()), "{figures:?}");
    figures
}

fn rows(folder: &Folder, sql: &str) -> Vec<Vec<String>> {
    common::rows(&rusqlite::Connection::open(folder.database()).unwrap(), sql)
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort();
    rows
}

/// Positions, lengths and raws of dead letters.
fn places(path: &Path) -> Vec<Vec<Vec<u8>>> {
    let Ok(mut reader) = csv::Reader::from_path(path) else { return Vec::new() };
    let place = |letter: csv::ByteRecord| [2, 3, 4, 5, 10].map(|field| letter[field].to_vec()).to_vec();
    reader.byte_records().map(|letter| place(letter.unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_makes_up_for_what_was_too_strict(
        feed in feeds(60),
        block_bytes in select(vec![1, 20, 500, 1 << 18]),
        threads in 1usize..4,
        max_record_bytes in select(vec![60, 200, 1 << 20]),
    ) {
        let (folder, fresh) = (Folder::new(), Folder::new());
        for folder in [&folder, &fresh] {
            folder.write("feed.csv", feed.to_bytes());
        }
        let options = Options { block_bytes, threads, ..Options::default() };
        let strict = plan(&folder, DECLARATION, "", max_record_bytes);
        let rejected = folder.run(&strict, &options).unwrap().rejected();
        if rejected == 0 {
            return Ok(());
        }
        let first = fresh.run(&plan(&fresh, &loose(), "", max_record_bytes), &options).unwrap();
        let loose = plan(&folder, &loose(), "", max_record_bytes);
        let replayed = replay(&folder, &loose, &options);
        prop_assert_eq!(replayed.feeds[0].read, rejected);
        prop_assert_eq!(replayed.rejected(), first.rejected());
        prop_assert_eq!(sorted(rows(&folder, "SELECT * FROM rows")), sorted(rows(&fresh, "SELECT * FROM rows")));
        prop_assert_eq!(places(&folder.path("left.csv")), places(&fresh.errors()));

        let (table, left) = (rows(&folder, "SELECT * FROM rows"), std::fs::read(folder.path("left.csv")).ok());
        let others = Options { block_bytes: 1 << 18, threads: 2, ..Options::default() };
        let again = replay(&folder, &loose, &others);
        prop_assert_eq!(again.feeds[0].resumed, replayed.feeds[0].loaded + replayed.feeds[0].filtered);
        prop_assert_eq!(again.feeds[0].loaded + again.feeds[0].filtered, 0);
        prop_assert_eq!(rows(&folder, "SELECT * FROM rows"), table);
        prop_assert_eq!(std::fs::read(folder.path("left.csv")).ok(), left);
    }

    #[test]
    fn the_keys_after_a_replay_are_those_of_all_good_records(
        feed in feeds(60),
        block_bytes in select(vec![1, 500, 1 << 18]),
    ) {
        let (folder, fresh) = (Folder::new(), Folder::new());
        for folder in [&folder, &fresh] {
            folder.write("feed.csv", feed.to_bytes());
        }
        let options = Options { block_bytes, threads: 2, ..Options::default() };
        folder.run(&plan(&folder, DECLARATION, "'i', 't'", 200), &options).unwrap();
        if !folder.errors().exists() {
            return Ok(());
        }
        let first = fresh.run(&plan(&fresh, &loose(), "'i', 't'", 200), &options).unwrap();
        let loose = plan(&folder, &loose(), "'i', 't'", 200);
        let replayed = replay(&folder, &loose, &options);
        let keys = "SELECT i, t FROM rows ORDER BY i, t";
        prop_assert_eq!(rows(&folder, keys), rows(&fresh, keys));
        prop_assert_eq!(replayed.rejected(), first.rejected());
        prop_assert_eq!(replayed.feeds[0].duplicate, first.feeds[0].duplicate);
        let again = replay(&folder, &loose, &options);
        prop_assert_eq!(again.feeds[0].loaded, 0);
        prop_assert_eq!(again.feeds[0].duplicate, replayed.feeds[0].duplicate);
    }
}

/// Ids that a CHECK rejects for the greater part, some of them in more than one line, with many others between them.
fn many(folder: &Folder) {
    let line = |id: u32| match id % 10 {
        0..3 => format!("{id},plain,,,,,\n"),
        3..5 => format!("{id},\"quoted, with\n\"\"lines\"\"\",,,,,\n"),
        5 => format!("{id},\"open,,,,,\n"),
        6 => format!("{id}\n"),
        _ => format!("{id},,-1.00,,,,\n"),
    };
    let feed: String = (0..20_000).map(line).collect();
    folder.write("feed.csv", format!("i,t,d,f,dd,ts,b\n{feed}"));
}

const STRICT: &str =
    "i INTEGER CHECK (i < 3000), t TEXT, d DECIMAL(8,2), f DOUBLE, dd DATE, ts TIMESTAMP, b BOOLEAN CHECK (d > 0)";

#[test]
fn threads_and_blocks_change_nothing() {
    let folder = Folder::new();
    many(&folder);
    let mut expected = None;
    for (threads, block_bytes) in [(1, 64), (2, 4096), (3, 1 << 18), (8, 1000)] {
        let _ = std::fs::remove_file(folder.database());
        let options = Options { threads, block_bytes, ..Options::default() };
        folder.run(&plan(&folder, STRICT, "", 1 << 20), &options).unwrap();
        let replayed = replay(&folder, &plan(&folder, &loose(), "", 1 << 20), &options);
        assert!(replayed.feeds[0].loaded > 10_000 && replayed.rejected() == 4_000, "{replayed:?}");
        let now = (folder.dump(), std::fs::read(folder.path("left.csv")).unwrap());
        assert!(*expected.get_or_insert_with(|| now.clone()) == now, "{threads} threads, {block_bytes} bytes");
    }
}

#[test]
fn a_replay_that_fails_has_done_nothing() {
    let folder = Folder::new();
    many(&folder);
    let options = Options { block_bytes: 4096, threads: 2, ..Options::default() };
    folder.run(&plan(&folder, STRICT, "'i'", 1 << 20), &options).unwrap();
    let loose = plan(&folder, &loose(), "'i'", 1 << 20);
    let (before, letters) = (folder.dump(), folder.letters());
    for call in [1, 2, 3, 4, 5, 20, 1000] {
        replay_into(&folder, &loose, &options, |sink| FailingSink::new(sink, call)).unwrap_err();
        assert!(folder.dump() == before && folder.letters() == letters, "call {call}");
        assert!(!folder.path("left.csv").exists());
    }
    options.shutdown.request();
    replay_into(&folder, &loose, &options, |sink| sink).unwrap_err();
    assert!(folder.dump() == before);
    assert!(replay(&folder, &loose, &Options::default()).feeds[0].loaded > 10_000);
}
