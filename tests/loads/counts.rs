//! Generated orders of which every count is known: what is loaded, what is not, and where the dead letters say that is.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::job::Job;

/// Runs orders and compares everything that is told of them with `orders.counts.json` and with the file itself.
fn check(generate: &str, code: i32, expected: [u64; 3]) {
    let job = Job::orders(generate, "--json --batch-rows 7000");
    job.run(&[code]);
    let summary = job.summary();
    let counts: Value = serde_json::from_str(&job.dir.read("orders.counts.json")).unwrap();
    let feed = &summary["feeds"]["incoming"];
    for (told, counted) in [("read", "rows"), ("loaded", "loaded"), ("duplicate", "duplicate")] {
        assert_eq!(feed[told], counts[counted], "{told}");
    }
    for same in ["rejected", "rejected_by_code"] {
        assert_eq!(feed[same], counts[same], "{same}");
    }
    let [loaded, duplicate, rejected] = expected;
    assert_eq!((&feed["loaded"], &feed["duplicate"]), (&loaded.into(), &duplicate.into()));
    assert_eq!((&feed["rejected"], &feed["filtered"]), (&rejected.into(), &0.into()));
    assert_eq!(summary["tables"]["orders"]["rows"], loaded);
    assert_eq!(job.count("SELECT count(*) FROM orders"), loaded);
    assert_eq!(job.count("SELECT count(DISTINCT id) FROM orders"), loaded);

    let file = fs::read(job.dir.path("orders.csv")).unwrap();
    let starts: Vec<usize> = std::iter::once(0).chain(memchr::memchr_iter(b'\n', &file).map(|end| end + 1)).collect();
    let letters = job.dir.dead_letters();
    assert_eq!(letters.len() as u64, duplicate + rejected);
    let mut by_code = BTreeMap::new();
    for letter in &letters {
        let at = letter.byte_offset;
        assert_eq!(&file[at..at + letter.byte_length], letter.raw, "{letter:?}");
        assert_eq!(starts[letter.line - 1], at, "line {} does not begin at byte {at}", letter.line);
        assert_eq!((letter.input.as_str(), letter.member.as_str()), ("orders.csv", ""));
        *by_code.entry(letter.code.clone()).or_insert(0u64) += 1;
        if letter.code == "duplicate_key" {
            let id = letter.raw.split(|byte| *byte == b',').next().unwrap();
            assert_eq!((letter.column.as_str(), letter.value.as_slice()), ("id", id), "{letter:?}");
        }
    }
    assert!(letters.windows(2).all(|pair| pair[0].byte_offset < pair[1].byte_offset), "not in the order of the file");
    assert_eq!(by_code.remove("duplicate_key").unwrap_or(0), duplicate);
    assert_eq!(serde_json::to_value(by_code).unwrap(), counts["rejected_by_code"]);
    assert_first_win(&job, &file, &letters);
}

/// A duplicate is behind the record that its reason names; that one has the same id, and is the one in the table.
fn assert_first_win(job: &Job, file: &[u8], letters: &[crate::workdir::DeadLetter]) {
    let records: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
    for letter in letters.iter().filter(|letter| letter.code == "duplicate_key").step_by(97) {
        let first: usize = letter.reason.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(letter.reason, format!("record {first} of orders.csv has this key"));
        assert!(first < letter.record, "{letter:?}");
        let first = std::str::from_utf8(records[first]).unwrap();
        let id = std::str::from_utf8(&letter.value).unwrap();
        let row = job.dir.query("out.db", &format!("SELECT id, created_at, email FROM orders WHERE id = '{id}'"));
        assert!(first.starts_with(&row[0].replace('|', ",")), "{first} is not {row:?}");
    }
}

#[test]
fn of_100_000_rows_with_1_000_malformed_99_000_are_loaded() {
    check("--rows 100000 --duplicates 0 --malformed 0.01", 3, [99_000, 0, 1_000]);
}

#[test]
fn duplicates_and_rejects_are_counted_apart() {
    check("--rows 100000 --duplicates 0.05 --malformed 0.1", 3, [85_000, 5_000, 10_000]);
}

#[test]
fn duplicates_alone_are_no_rejects() {
    check("--rows 50000 --duplicates 0.1 --malformed 0", 0, [45_000, 5_000, 0]);
}

#[test]
fn batches_and_threads_change_nothing() {
    let generate = "--rows 30000 --duplicates 0.05 --malformed 0.05 --seed 7";
    let content = |arguments: &str| {
        let job = Job::orders(generate, arguments);
        job.run(&[3]);
        job.content()
    };
    let expected = content("");
    for arguments in ["--batch-rows 1", "--batch-rows 333 --threads 1", "--batch-rows 5000 --threads 7"] {
        if arguments != "--batch-rows 1" {
            content(arguments).assert_is(&expected, arguments);
        }
    }
    let dropped = Job::orders(generate, "--on-duplicate drop");
    dropped.run(&[3]);
    let mut rejects = dropped.dir.dead_letters();
    assert_eq!(rejects.len(), 1_500);
    rejects.retain(|letter| letter.code == "duplicate_key");
    assert!(rejects.is_empty());
    assert_eq!(dropped.count("SELECT duplicate FROM _feedmill_inputs"), 1_500);
}
