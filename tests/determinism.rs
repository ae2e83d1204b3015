//! The same input gives the same database and the same dead letters, byte for byte, for any threads and any blocks.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Folder, zip_of};
use feedmill::generate::transactions;
use feedmill::run::Options;

const PIPELINE: &str = r#"
[feed.sales]
files = ["day_2.zip"]
columns = """
  transaction_id TEXT NOT NULL, transaction_date DATE NOT NULL, sku_id TEXT NOT NULL,
  quantity_sold INTEGER NOT NULL CHECK (quantity_sold > 0), revenue_usd DOUBLE NOT NULL, maturity_date DATE,
  zip_code_raw TEXT
"""
nullify = ["maturity_date"]
[feed.sales.derive]
zip = "coalesce(regexp_extract(replace(zip_code_raw, ' ', ''), '^(?:US-)?([0-9]{5})', 1), '00000')"
[feed.sales.count]
unknown = "zip = '00000'"
[table.of_rows]
sql = "SELECT transaction_id, zip, revenue_usd / 3 AS third FROM sales WHERE quantity_sold > 5"
[table.of_groups]
primary_key = ["sku_id", "zip"]
sql = """
SELECT sku_id, zip, sum(revenue_usd / 7) AS s, avg(revenue_usd) AS a, stddev_samp(revenue_usd) AS d, median(revenue_usd) AS m,
       count(DISTINCT transaction_date) AS days
FROM sales GROUP BY sku_id, zip
"""
[table.ranked]
sql = """
SELECT transaction_date, sum(revenue_usd * 0.1) AS s, rank() OVER (ORDER BY sum(revenue_usd) DESC) AS r
FROM sales GROUP BY transaction_date ORDER BY r
"""
"#;

/// The same feed, loaded into one table with a key that many of its records share.
fn load_pipeline() -> String {
    let (feed, _) = PIPELINE.split_once("[table.of_rows]").unwrap();
    format!(
        r#"{feed}
[table.sold]
primary_key = ["state", "transaction_date", "quantity_sold"]
sql = """
SELECT transaction_date, quantity_sold, nullif(substr(zip, 1, 1), '7') AS state, transaction_id, revenue_usd
FROM sales WHERE quantity_sold > 2
"""
[table.days]
sql = "SELECT transaction_date, sum(revenue_usd) AS s FROM sold GROUP BY transaction_date"
"#
    )
}

/// A generated feed.
fn clean_feed(folder: &Folder, rows: u64) -> String {
    let out = folder.path("feed");
    let options = transactions::Options {
        out: out.clone(),
        clients: 1,
        days: 2,
        base_rows: rows,
        daily_rows: rows / 6,
        plain: true,
        ..transactions::Options::default()
    };
    transactions::generate(&options, &mut |_| ()).unwrap();
    std::fs::read_to_string(out.join("client_1/transactions_day_2.csv")).unwrap()
}

/// One in which every 50th line is broken in one of several ways.
fn dirty_feed(folder: &Folder, rows: u64) -> Vec<u8> {
    let mut dirty = Vec::new();
    for (number, line) in clean_feed(folder, rows).lines().enumerate() {
        let broken = match number % 50 {
            10 => format!("{line},surplus"),
            20 => line.replace("2025", "20x5"),
            30 => format!("\"{line}"),
            40 => format!("\"quoted, \"\"id\"\"\n{number}\"{}", &line[line.find(',').unwrap()..]),
            _ => line.to_owned(),
        };
        dirty.extend_from_slice(broken.as_bytes());
        dirty.extend_from_slice(if number % 7 == 0 { b"\r\n" } else { b"\n" });
    }
    dirty
}

#[test]
fn threads_and_blocks_change_nothing() {
    let folder = Folder::new();
    folder.write("day_2.zip", zip_of(&[("a.csv", &dirty_feed(&folder, 3_000))]));
    let plan = folder.plan(PIPELINE);
    let mut expected = None;
    for threads in [1, 2, 3, 8] {
        for block_bytes in [1, 7, 64, 4096, 1 << 20] {
            let run = Folder::new();
            let figures = run.run(&plan, &Options { threads, block_bytes, ..Options::default() }).unwrap();
            assert!(figures.feeds[0].is_conserved());
            assert!(figures.rejected() > 100, "{}", figures.rejected());
            let result = (run.dump(), run.letters(), figures.feeds);
            match &expected {
                None => expected = Some(result),
                Some(expected) => assert!(*expected == result, "{threads} threads, blocks of {block_bytes} bytes"),
            }
        }
    }
}

/// The tables of groups alone: their feed is read several members at once.
fn groups_pipeline(files: &str) -> String {
    let (feed, tables) = PIPELINE.split_once("[table.of_rows]").unwrap();
    let (_, groups) = tables.split_once("[table.of_groups]").unwrap();
    format!("{}[table.of_groups]{groups}", feed.replace(r#"["day_2.zip"]"#, files))
}

#[test]
fn members_that_are_read_side_by_side_stay_in_order() {
    let folder = Folder::new();
    let (clean, dirty) = (clean_feed(&folder, 2_000), dirty_feed(&folder, 400));
    let header = &clean.as_bytes()[..=clean.find('\n').unwrap()];
    // Small ones behind large ones, so that they are done first, with and without records that are rejected.
    let members = [("a.csv", clean.as_bytes()), ("b.csv", &dirty), ("c.csv", header), ("d.csv", &dirty)];
    folder.write("first.zip", zip_of(&members));
    folder.write("second.csv", &dirty);
    folder.write("third.zip", zip_of(&[("a.csv", clean.as_bytes()), ("b.csv", header), ("c.csv", &dirty)]));
    let plan = folder.plan(&groups_pipeline(r#"["first.zip", "second.csv", "third.zip"]"#));
    let mut expected = None;
    for threads in [1, 2, 3, 8] {
        for block_bytes in [7, 4096, 1 << 20] {
            let run = Folder::new();
            let figures = run.run(&plan, &Options { threads, block_bytes, ..Options::default() }).unwrap();
            assert!(figures.feeds[0].is_conserved());
            let result = (run.dump(), run.letters(), figures.feeds);
            match &expected {
                None => expected = Some(result),
                Some(expected) => assert!(*expected == result, "{threads} threads, blocks of {block_bytes} bytes"),
            }
        }
    }
    let (_, letters, _) = expected.unwrap();
    let mut reader = csv::Reader::from_reader(&letters[..]);
    let mut origins: Vec<String> =
        reader.records().map(|record| record.unwrap()).map(|record| format!("{}!{}", &record[0], &record[1])).collect();
    assert!(origins.len() > 100);
    origins.dedup();
    let names: Vec<&str> = origins.iter().map(|origin| origin.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["first.zip!b.csv", "first.zip!d.csv", "second.csv!", "third.zip!c.csv"]);
}

#[test]
fn of_several_damaged_inputs_the_first_is_named() {
    let folder = Folder::new();
    let dirty = dirty_feed(&folder, 400);
    let zipped = zip_of(&[("a.csv", &dirty)]);
    for name in ["a.zip", "c.zip"] {
        folder.write(name, &zipped);
    }
    // The directory is sound, and what it describes is not.
    for name in ["b.zip", "d.zip"] {
        let mut damaged = zipped.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 9].fill(0xFF);
        folder.write(name, &damaged);
    }
    for files in [r#"["a.zip", "b.zip", "c.zip", "d.zip"]"#, r#"["b.zip", "d.zip", "a.zip"]"#] {
        let plan = folder.plan(&groups_pipeline(files));
        for threads in [1, 2, 3, 8] {
            for block_bytes in [512, 1 << 20] {
                let run = Folder::new();
                let options = Options { threads, block_bytes, ..Options::default() };
                let error = run.run(&plan, &options).unwrap_err().to_string();
                assert!(error.contains("b.zip"), "{error}, with {threads} threads, blocks of {block_bytes} bytes");
            }
        }
    }
}

#[test]
fn threads_blocks_and_batches_change_nothing_about_a_load() {
    let folder = Folder::new();
    let dirty = dirty_feed(&folder, 300);
    // The second member begins with other records, so that it has firsts of its own, and ends with duplicates.
    let text = String::from_utf8(dirty_feed(&folder, 200)).unwrap();
    let (header, records) = text.split_once('\n').unwrap();
    let first = String::from_utf8(dirty).unwrap();
    let second = format!("{header}\n{}\n{}", records.replace("2025-", "2026-"), &first[header.len() + 1..]);
    folder.write("day_2.zip", zip_of(&[("a.csv", first.as_bytes()), ("b.csv", second.as_bytes())]));
    let plan = folder.plan(&load_pipeline());
    let mut expected = None;
    for threads in [1, 2, 3, 8] {
        for block_bytes in [1, 7, 64, 4096, 1 << 20] {
            for batch_rows in [1, 7, 1000, 1_000_000] {
                let run = Folder::new();
                let options = Options { threads, block_bytes, batch_rows, ..Options::default() };
                let figures = run.run(&plan, &options).unwrap();
                let feed = &figures.feeds[0];
                assert!(feed.is_conserved());
                assert!(feed.loaded > 100 && feed.duplicate > 100 && feed.rejected > 50, "{feed:?}");
                // The dump has the ledger in it.
                let result = (run.dump(), run.letters(), figures.feeds);
                match &expected {
                    None => expected = Some(result),
                    Some(expected) => assert!(
                        *expected == result,
                        "{threads} threads, blocks of {block_bytes} bytes, batches of {batch_rows} rows"
                    ),
                }
            }
        }
    }
    let (dump, _, _) = expected.unwrap();
    assert!(dump.contains("_feedmill_inputs") && dump.contains("'b.csv'"), "{dump}");
}

#[test]
fn the_instructions_of_the_machine_change_nothing() {
    let folder = Folder::new();
    folder.write("lines.csv", dirty_feed(&folder, 3_000));
    let pipeline = folder.write("p.toml", PIPELINE.replace("day_2.zip", "lines.csv"));
    let run = |level: &str| {
        let run = Folder::new();
        let mut command = common::feedmill();
        command.env("FEEDMILL_SIMD", level).arg("run").arg(&pipeline).arg("--allow-rejects").arg("--quiet");
        command.arg("--db").arg(run.database()).arg("--errors").arg(run.errors());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (run.dump(), run.letters())
    };
    let (dump, letters) = run("portable");
    assert!(dump.len() > 10_000 && letters.len() > 10_000);
    for level in ["avx2", "avx512"] {
        assert!(run(level) == (dump.clone(), letters.clone()), "{level}");
    }
}

#[test]
fn the_order_of_rows_does_not_matter_to_groups() {
    let folder = Folder::new();
    let dirty = dirty_feed(&folder, 3_000);
    let text = String::from_utf8_lossy(&dirty).replace("\r\n", "\n");
    // Only lines that stand alone can change places.
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.contains('"')).collect();
    let pipeline = PIPELINE.replace("day_2.zip", "lines.csv");
    let mut dumps = Vec::new();
    for _ in 0..2 {
        folder.write("lines.csv", lines.join("\n"));
        let run = Folder::new();
        run.run(&folder.plan(&pipeline), &Options::default()).unwrap();
        let tables = rusqlite::Connection::open(run.database()).unwrap();
        dumps.push([common::rows(&tables, "SELECT * FROM of_groups"), common::rows(&tables, "SELECT * FROM ranked")]);
        lines[1..].reverse();
    }
    assert!(dumps[0][0].len() > 1000);
    assert_eq!(dumps[0], dumps[1]);
}

#[test]
fn rejecting_a_record_changes_nothing_about_its_neighbours() {
    let folder = Folder::new();
    let dirty = dirty_feed(&folder, 3_000);
    let pipeline = PIPELINE.replace("day_2.zip", "lines.csv");
    folder.write("lines.csv", &dirty);
    folder.run(&folder.plan(&pipeline), &Options::default()).unwrap();
    let with = folder.dump();

    let mut clean = dirty;
    let letters = folder.letters();
    let mut reader = csv::Reader::from_reader(&letters[..]);
    let places: Vec<(usize, usize)> = reader
        .byte_records()
        .map(|record| {
            let number = |field: usize| String::from_utf8_lossy(&record.as_ref().unwrap()[field]).parse().unwrap();
            (number(4), number(5))
        })
        .collect();
    assert!(places.len() > 100);
    for (offset, length) in places.into_iter().rev() {
        let line_end = clean[offset + length..].iter().position(|byte| *byte == b'\n').unwrap();
        clean.drain(offset..=offset + length + line_end);
    }
    folder.write("lines.csv", &clean);
    let figures = folder.run(&folder.plan(&pipeline), &Options::default()).unwrap();
    assert_eq!(figures.rejected(), 0);
    assert!(folder.dump() == with);
    assert_eq!(folder.letters(), b"");
}
