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

/// What became of a run under the limit: the exit code, the greatest resident memory, and what was said.
struct Ending {
    code: Option<i32>,
    peak: u64,
    summary: serde_json::Value,
    stderr: String,
}

/// Runs a pipeline with inputs, writing to stdin what `feed` writes.
fn run(folder: &Folder, pipeline: &str, files: &[&str], feed: impl FnOnce(&mut dyn Write)) -> Ending {
    folder.write("p.toml", pipeline);
    let mut child = feedmill()
        .current_dir(folder.path(""))
        .args(["run", "p.toml", "--db", "out.db", "--json", "--memory", "128MB", "--color", "never"])
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
        code: output.status.code(),
        peak: watch.join().unwrap(),
        summary: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn assert_within(ending: &Ending) {
    let reported = ending.summary["peak_rss_bytes"].as_u64().unwrap_or(0);
    let peak = ending.peak.max(reported);
    assert!(peak > 4_000_000 && peak <= LIMIT, "peak {peak}, exit {:?}: {}", ending.code, ending.stderr);
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
fn more_groups_than_fit_end_the_run_and_publish_nothing() {
    let pipeline = PIPELINE.replace("b % 10", "b");
    let groups = |count: u32| {
        let folder = Folder::new();
        let ending = run(&folder, &pipeline, &[], |out| {
            let _ = writeln!(out, "a,b");
            // The process may be gone before it has read everything.
            let _ = (0..count).try_for_each(|row| writeln!(out, "x,{row}"));
        });
        (ending, folder.database().exists())
    };
    let (few, published) = groups(200_000);
    assert_eq!((few.code, published), (Some(0), true), "{}", few.stderr);
    assert_within(&few);
    let (many, published) = groups(5_000_000);
    assert_eq!((many.code, published), (Some(4), false), "{}", many.stderr);
    assert!(many.stderr.contains("--memory"), "{}", many.stderr);
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
