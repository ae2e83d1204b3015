//! The memory limit holds for whole processes, whatever the input looks like.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Folder, feedmill, gzip, zip_of};

const LIMIT: u64 = 128_000_000;

const PIPELINE: &str = r#"
[feed.f]
files = ["-"]
columns = "a TEXT NOT NULL, b INTEGER"
[table.t]
sql = "SELECT b % 10 AS k, count(*) AS n FROM f GROUP BY b % 10"
"#;

/// What became of a run under a limit: the exit code, the greatest resident memory, and what was said.
struct Ending {
    limit: u64,
    code: Option<i32>,
    peak: u64,
    summary: serde_json::Value,
    stderr: String,
}

/// Runs a pipeline with inputs, writing to stdin what `feed` writes.
fn run(folder: &Folder, pipeline: &str, files: &[&str], feed: impl FnOnce(&mut dyn Write)) -> Ending {
    run_within(LIMIT, folder, pipeline, files, feed)
}

fn run_within(
    limit: u64,
    folder: &Folder,
    pipeline: &str,
    files: &[&str],
    feed: impl FnOnce(&mut dyn Write),
) -> Ending {
    folder.write("p.toml", pipeline);
    let mut child = feedmill()
        .current_dir(folder.path(""))
        .args(["run", "p.toml", "--db", "out.db", "--json", "--memory", &limit.to_string(), "--color", "never"])
        .args(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // The process is a zombie without memory once it has ended; until then the highest mark can only grow.
        while let Ok(text) = std::fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            peak = peak.max(kilobytes * 1024);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        peak
    });
    feed(&mut std::io::BufWriter::new(child.stdin.take().unwrap()));
    let output = child.wait_with_output().unwrap();
    Ending {
        limit,
        code: output.status.code(),
        peak: watch.join().unwrap(),
        summary: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn assert_within(ending: &Ending) {
    let reported = ending.summary["peak_rss_bytes"].as_u64().unwrap_or(0);
    let peak = ending.peak.max(reported);
    assert!(peak > 4_000_000 && peak <= ending.limit, "peak {peak}, exit {:?}: {}", ending.code, ending.stderr);
}

#[test]
fn many_rows() {
    let ending = run(&Folder::new(), PIPELINE, &[], |out| {
        writeln!(out, "a,b").unwrap();
        (0..2_000_000).for_each(|row| writeln!(out, "text {row},{row}").unwrap());
    });
    assert_eq!(ending.code, Some(0), "{}", ending.stderr);
    assert_eq!(ending.summary["feeds"]["f"]["read"], 2_000_000);
    assert_within(&ending);
}

#[test]
fn more_groups_than_fit() {
    const RECORDS: u64 = 3_000_000;
    let pipeline = r#"
[feed.f]
files = ["-"]
columns = "k TEXT NOT NULL, n INTEGER NOT NULL"
[table.keyed]
primary_key = ["k"]
sql = "SELECT k, sum(n) AS s, count(*) AS c, avg(n) AS a FROM f GROUP BY k"
[table.unkeyed]
sql = "SELECT n % 1000000 AS r, max(k) AS k, median(n) AS m FROM f GROUP BY n % 1000000"
"#;
    let folder = Folder::new();
    let ending = run_within(LEAST, &folder, pipeline, &["--threads", "2"], |out| write_keys(RECORDS, out));
    assert_eq!(ending.code, Some(0), "{}", ending.stderr);
    assert!(ending.summary["feeds"]["f"]["groups_spilled"].as_u64().unwrap() >= RECORDS, "{}", ending.summary);
    assert_within(&ending);
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let of = |sql: &str| common::rows(&database, sql).remove(0).join(", ");
    assert_eq!(
        of("SELECT count(*), sum(c), sum(s) FROM keyed"),
        format!("{}, {RECORDS}, {}", RECORDS / 100 * 99, RECORDS * (RECORDS - 1) / 2)
    );
    assert_eq!(of("SELECT count(*), min(m - r), max(m - r) FROM unkeyed"), "1000000, 1000000.0, 1000000.0");
    for table in ["keyed", "unkeyed"] {
        let column = if table == "keyed" { "k" } else { "r" };
        let unsorted = format!(
            "SELECT count(*) FROM {table} a JOIN {table} b ON b.rowid = a.rowid + 1 WHERE b.{column} <= a.{column}"
        );
        assert_eq!(of(&unsorted), "0", "{table} is in the order of its groups");
    }
}

#[test]
fn one_group_that_does_not_fit_ends_the_run_and_publishes_nothing() {
    let (pipeline, _) = PIPELINE.split_once("sql =").unwrap();
    let pipeline = format!("{pipeline}sql = \"SELECT median(b) AS n FROM f\"\n");
    let groups = |count: u32| {
        let folder = Folder::new();
        let ending = run_within(LEAST, &folder, &pipeline, &[], |out| {
            let _ = writeln!(out, "a,b");
            // The process may be gone before it has read everything.
            let _ = (0..count).try_for_each(|row| writeln!(out, "x,{}", row.wrapping_mul(2_654_435_769)));
        });
        (ending, folder.database().exists())
    };
    let (few, published) = groups(200_000);
    assert_eq!((few.code, published), (Some(0), true), "{}", few.stderr);
    assert_within(&few);
    let (many, published) = groups(5_000_000);
    assert_eq!((many.code, published), (Some(4), false), "{}", many.stderr);
    assert!(many.stderr.contains("a group of table `t`") && many.stderr.contains("--memory"), "{}", many.stderr);
    assert_within(&many);
}

#[test]
fn a_lookup_takes_its_share_of_memory_and_no_more() {
    let pipeline = r#"
[feed.f]
files = ["-"]
columns = "k TEXT NOT NULL, n INTEGER"
[lookup.owners]
file = "owners.csv"
columns = "k TEXT PRIMARY KEY, owner TEXT"
[table.t]
sql = "SELECT owner, count(*) AS n FROM f JOIN owners USING (k) GROUP BY owner"
"#;
    let looked_up = |rows: u32| {
        let folder = Folder::new();
        let lines: String = (0..rows).map(|row| format!("K{row:07},O{:06}\n", row / 3)).collect();
        folder.write("owners.csv", format!("k,owner\n{lines}"));
        let ending = run_within(LEAST, &folder, pipeline, &[], |out| {
            let _ = writeln!(out, "k,n");
            let _ = (0..300_000).try_for_each(|row| writeln!(out, "K{row:07},1"));
        });
        (ending, folder.database().exists())
    };
    let (fits, published) = looked_up(300_000);
    assert_eq!((fits.code, published), (Some(0), true), "{}", fits.stderr);
    assert_eq!(fits.summary["tables"]["t"]["rows"], 100_000);
    assert_within(&fits);
    let (many, published) = looked_up(2_000_000);
    assert_eq!((many.code, published), (Some(4), false), "{}", many.stderr);
    assert!(many.stderr.contains("the lookup `owners` needs more than the 32 MB"), "{}", many.stderr);
    assert_within(&many);
}

#[test]
fn one_enormous_record() {
    for quote in ["", "\""] {
        let ending = run(&Folder::new(), PIPELINE, &[], |out| {
            write!(out, "a,b\n1,1\n{quote}").unwrap();
            (0..150).for_each(|_| out.write_all(&[b'x'; 1_000_000]).unwrap());
            write!(out, "\n2,2\n").unwrap();
        });
        assert_eq!(ending.code, Some(3), "{}", ending.stderr);
        assert_eq!(ending.summary["feeds"]["f"]["rejected_by_code"]["record_too_long"], 1);
        assert_eq!(ending.summary["feeds"]["f"]["loaded"], 2);
        assert_within(&ending);
    }
}

#[test]
fn a_zip_bomb() {
    let folder = Folder::new();
    let mut text = b"a,b\n".to_vec();
    text.resize(100_000_000, b'\n');
    folder.write("bomb.zip", zip_of(&[("bomb.csv", &text)]));
    let ending = run(&folder, PIPELINE, &["bomb.zip"], |_| ());
    assert_eq!((ending.code, &ending.summary["feeds"]["f"]["read"]), (Some(0), &0.into()), "{}", ending.stderr);
    assert_within(&ending);
}

#[test]
fn nothing_but_rejects_and_many_threads() {
    for (line, code) in [("x\n", "too_few_fields"), ("1,x\n", "invalid_integer")] {
        let ending = run(&Folder::new(), PIPELINE, &["--threads", "8"], |out| {
            writeln!(out, "a,b").unwrap();
            (0..10).for_each(|_| out.write_all(line.repeat(100_000).as_bytes()).unwrap());
        });
        assert_eq!(ending.code, Some(3), "{}", ending.stderr);
        assert_eq!(ending.summary["feeds"]["f"]["rejected_by_code"][code], 1_000_000);
        assert_within(&ending);
    }
}

#[test]
fn many_files() {
    let folder = Folder::new();
    for file in 0..200 {
        let rows: String = (0..500).map(|row| format!("{file},{row}\n")).collect();
        folder.write(&format!("part_{file:03}.csv.gz"), gzip(format!("a,b\n{rows}").as_bytes()));
    }
    let ending = run(&folder, PIPELINE, &["part_*.csv.gz"], |_| ());
    assert_eq!(ending.code, Some(0), "{}", ending.stderr);
    assert_eq!(ending.summary["feeds"]["f"]["read"], 100_000);
    assert_within(&ending);
}

const KEYED: &str = r#"
[feed.f]
files = ["-"]
columns = "k TEXT NOT NULL, n INTEGER"
[table.t]
primary_key = ["k"]
sql = "SELECT k, n FROM f"
"#;

/// The least limit that there is.
const LEAST: u64 = 64_000_000;

/// Records of which all have a key of their own, but for every hundredth, which has that of an earlier one.
fn write_keys(records: u64, out: &mut dyn Write) {
    writeln!(out, "k,n").unwrap();
    for record in 0..records {
        let of = if record % 100 == 99 { record / 200 * 100 } else { record };
        writeln!(out, "{:016x}-{of},{record}", of.wrapping_mul(0x9E37_79B9_7F4A_7C15)).unwrap();
    }
}

#[test]
fn many_keys() {
    const RECORDS: u64 = 2_000_000;
    let written = || {
        let mut text = Vec::new();
        write_keys(RECORDS, &mut text);
        text
    };
    for file in [None, Some("a.csv"), Some("a.csv.gz")] {
        let folder = Folder::new();
        match file {
            Some("a.csv") => drop(folder.write("a.csv", written())),
            Some(name) => drop(folder.write(name, gzip(&written()))),
            None => {}
        }
        let files: Vec<&str> = file.into_iter().collect();
        let ending = run_within(LEAST, &folder, KEYED, &files, |out| {
            if file.is_none() {
                write_keys(RECORDS, out);
            }
        });
        assert_eq!(ending.code, Some(0), "{}", ending.stderr);
        let feed = &ending.summary["feeds"]["f"];
        assert_eq!([&feed["loaded"], &feed["duplicate"]], [RECORDS * 99 / 100, RECORDS / 100], "{file:?}");
        assert_within(&ending);
    }
}

#[test]
fn many_keys_in_a_table_that_has_many() {
    let folder = Folder::new();
    for (file, first) in [("a.csv", 0), ("b.csv", 300_000)] {
        let rows: String = (first..first + 600_000u64)
            .map(|row| format!("{:016x},{row}\n", row.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .collect();
        folder.write(file, format!("k,n\n{rows}"));
    }
    let first = run_within(LEAST, &folder, KEYED, &["a.csv"], |_| ());
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_within(&first);
    for mode in ["append", "upsert"] {
        let ending = run_within(LEAST, &folder, KEYED, &["b.csv", "--mode", mode], |_| ());
        assert_eq!(ending.code, Some(0), "{}", ending.stderr);
        assert_within(&ending);
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        let rows: i64 = database.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 900_000, "{mode}");
    }
}

#[test]
fn nothing_but_duplicates() {
    let folder = Folder::new();
    let ending = run_within(LEAST, &folder, KEYED, &["--threads", "8"], |out| {
        writeln!(out, "k,n").unwrap();
        (0..1_000_000).for_each(|_| out.write_all(b"k,1\n").unwrap());
    });
    assert_eq!(ending.code, Some(0), "{}", ending.stderr);
    assert_eq!(ending.summary["feeds"]["f"]["duplicate"], 999_999);
    assert_within(&ending);
}
