//! Ctrl-C and SIGTERM: what was read is loaded and told of, and the same command goes on.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use assert_cmd::cargo::cargo_bin;

use crate::job::{Job, KEYED, lines, signal, wait, wait_until};

/// Many small batches, so that a run has a second or two in which a signal can reach it.
const SLOW: &str = "--batch-rows 1 --threads 1 --memory 64MB --json";

fn interrupt(name: &str) {
    let generate = "--rows 100000 --duplicates 0.05 --malformed 0.05";
    let undisturbed = Job::orders(generate, SLOW);
    undisturbed.run(&[3]);
    let expected = undisturbed.content();

    let job = Job::orders(generate, SLOW);
    let mut child = job.spawn();
    job.wait_for_bytes(200_000, &mut child);
    signal(&child, name);
    assert_eq!(wait(&mut child), Some(130), "{}", job.stderr());

    let summary = job.summary();
    assert_eq!(summary["status"], "interrupted");
    let feed = &summary["feeds"]["incoming"];
    let count = |name: &str| feed[name].as_u64().unwrap();
    assert!(0 < count("read") && count("read") < 100_000, "{feed}");
    assert_eq!(count("read"), count("loaded") + count("duplicate") + count("filtered") + count("rejected"));
    assert_eq!(job.count("SELECT count(*) FROM orders"), count("loaded"));
    let letters = job.dir.dead_letters();
    let duplicates = letters.iter().filter(|letter| letter.code == "duplicate_key").count() as u64;
    assert_eq!(duplicates, count("duplicate"));
    assert_eq!(letters.len() as u64, count("duplicate") + count("rejected"));

    let stderr = job.stderr();
    let next = format!("in front of record {} of orders.csv", count("read") + 1);
    assert!(stderr.contains(&next), "no `{next}` in {stderr}");
    assert!(stderr.trim_end().ends_with(&job.command), "{stderr}");

    job.run(&[3]);
    let feed = &job.summary()["feeds"]["incoming"];
    assert_eq!(feed["resumed"], count("read"));
    assert_eq!(feed["read"], 100_000 - count("read"));
    job.content().assert_is(&expected, name);
}

#[test]
fn ctrl_c_stops_between_records_and_the_same_command_goes_on() {
    interrupt("INT");
}

#[test]
fn sigterm_does_the_same() {
    interrupt("TERM");
}

#[test]
fn a_load_may_be_interrupted_again_and_again() {
    let generate = "--rows 60000 --duplicates 0.05 --malformed 0.05";
    let undisturbed = Job::orders(generate, SLOW);
    undisturbed.run(&[3]);
    let expected = undisturbed.content();
    let job = Job::orders(generate, SLOW);
    for bytes in [100_000, 1_000_000, 2_000_000, 3_000_000] {
        let mut child = job.spawn();
        job.wait_for_bytes(bytes, &mut child);
        signal(&child, "INT");
        assert_eq!(wait(&mut child), Some(130), "{}", job.stderr());
    }
    job.run(&[3]);
    job.content().assert_is(&expected, "after four interrupts");
}

/// Waits until a process catches SIGINT, which would end it before.
fn wait_for_handler(child: &Child) {
    const SIGINT_BIT: u64 = 1 << (2 - 1);
    wait_until("handler", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & SIGINT_BIT != 0
    });
}

/// Runs a pipeline on a stdin that stays open after these bytes, and interrupts it.
fn stdin_stays_open(bytes: &str, pipeline: &str) -> (Job, Option<i32>) {
    let job = Job::new(pipeline, "");
    let mut child = Command::new(cargo_bin!("feedmill"))
        .args(["run", "p.toml", "-", "--db", "out.db", "--json"])
        .current_dir(job.dir.path(""))
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(job.dir.path("stdout.txt")).unwrap())
        .stderr(std::fs::File::create(job.dir.path("stderr.txt")).unwrap())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(bytes.as_bytes()).unwrap();
    stdin.flush().unwrap();
    wait_for_handler(&child);
    signal(&child, "INT");
    let code = wait(&mut child);
    drop(stdin);
    (job, code)
}

#[test]
fn a_stdin_that_stays_open_can_be_interrupted() {
    let (job, code) = stdin_stays_open(&lines(0..50_000, |number| format!("k{number}")), KEYED);
    assert_eq!(code, Some(130), "{}", job.stderr());
    let loaded = job.summary()["feeds"]["f"]["loaded"].as_u64().unwrap();
    assert_eq!(job.count("SELECT count(*) FROM t"), loaded);
    assert!(loaded > 0, "what came was not loaded");
    let told = format!("in front of record {} of stdin is in the database, the rest is not", loaded + 1);
    assert!(job.stderr().contains(&told), "{}", job.stderr());
}

#[test]
fn a_stdin_without_a_record_can_be_interrupted() {
    for bytes in ["k,n\n", ""] {
        let (job, code) = stdin_stays_open(bytes, KEYED);
        assert_eq!(code, Some(130), "after {bytes:?}: {}", job.stderr());
    }
}

const GROUPS: &str = r#"
[feed.f]
files = ["a.csv"]
columns = "k TEXT NOT NULL, n INTEGER"

[table.t]
sql = "SELECT k, sum(n) AS n FROM f GROUP BY k"
"#;

#[test]
fn groups_are_not_published_when_interrupted() {
    let text = lines(0..50_000, |number| format!("k{}", number % 7));
    let (job, code) = stdin_stays_open(&text, GROUPS);
    assert_eq!(code, Some(130), "{}", job.stderr());
    assert!(job.stderr().contains("interrupted"), "{}", job.stderr());
    assert_eq!(job.dir.names(), ["p.toml", "stderr.txt", "stdout.txt"]);
}
