//! Loads that are written as whole pages and published at once: killed, interrupted, on full disks, and beside others.
//! All of it is there or nothing, and nothing else stays.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rusqlite::Connection;

use crate::common::dump;
use crate::common::instants::Instants;
use crate::job::{Content, Job, KEYED, assert_same, lines, open, signal, wait};
use crate::kills::records;
use crate::troubles::on_a_full_disk;

/// More than are ever needed for the kills wanted, which may come too late for a process.
const ATTEMPTS_PER_KILL: u32 = 5;

/// What a run must leave in the end, and how long it takes when nothing disturbs it.
fn undisturbed(make: impl Fn() -> Job, code: i32) -> (Content, Duration) {
    let job = make();
    let started = Instant::now();
    job.run(&[code]);
    (job.content(), started.elapsed())
}

/// Kills runs of a job at instants spread over the time that they take. `look` says whether the run was
/// published before it was killed; then another one begins. The same command again ends every third time as if nothing
/// had happened.
fn kill_again_and_again(seed: u64, kills: u32, make: impl Fn() -> Job, look: impl Fn(&Job, &Content) -> bool) {
    let (expected, duration) = undisturbed(&make, 0);
    let mut instants = Instants::new(seed, duration);
    let (mut killed, mut in_the_middle) = (0, 0);
    let mut job = make();
    for attempt in 0..kills * ATTEMPTS_PER_KILL {
        let was_killed = instants.kill(&mut job.spawn()).is_none();
        killed += u32::from(was_killed);
        in_the_middle += u32::from(was_killed && job.dir.names().iter().any(|name| is_begun(name)));
        let is_published = look(&job, &expected);
        if is_published || killed % 3 == 0 {
            job.run(&[0]);
            job.content().assert_is(&expected, &format!("attempt {attempt}"));
            job = make();
        }
        if killed >= kills {
            break;
        }
    }
    assert!(killed * 5 >= kills * 3 && in_the_middle * 5 >= kills, "{killed} kills, {in_the_middle} in the middle");
    job.run(&[0]);
    job.content().assert_is(&expected, "at the end");
}

/// Whether a file is one that only a run that is not published has.
fn is_begun(name: &str) -> bool {
    name == ".out.db.building" || name == "out.db-journal" || name == "out.db-wal"
}

const EVERY_END: &str = "--json --allow-rejects --threads 1 --memory 64MB";

#[test]
fn a_database_is_there_as_a_whole_or_not_at_all_whenever_a_run_is_killed() {
    let records = records(0..60_000);
    let make = || {
        let job = Job::new(KEYED, EVERY_END);
        job.dir.write("a.csv", &records);
        job
    };
    kill_again_and_again(11, 50, make, |job, expected| {
        let is_published = job.dir.has("out.db");
        if is_published {
            assert_same(&job.content().database, &expected.database, "published");
        }
        is_published
    });
}

/// A database with a table of another pipeline, one of somebody else, and the one that is loaded next.
fn older(journal_mode: &str) -> Vec<u8> {
    let older = Job::new(&KEYED.replace("table.t", "table.older"), "--allow-rejects");
    older.dir.write("a.csv", records(0..4_000));
    older.run(&[0]);
    older.dir.write("p.toml", KEYED);
    older.run(&[0]);
    let theirs = open(&older.dir);
    let table = "CREATE TABLE theirs (a PRIMARY KEY, b); INSERT INTO theirs SELECT k, n FROM older LIMIT 500";
    theirs.execute_batch(&format!("{table}; PRAGMA journal_mode = {journal_mode}")).unwrap();
    drop(theirs);
    fs::read(older.dir.path("out.db")).unwrap()
}

/// A load into a database that holds older tables.
fn into_older(database: &[u8], records: &str, arguments: &str) -> Job {
    let job = Job::new(KEYED, &format!("{EVERY_END} {arguments}"));
    job.dir.write("out.db", database);
    job.dir.write("a.csv", records);
    job
}

/// Every table of somebody else, and the whole database, whatever stood beside it.
fn assert_old_or_new(job: &Job, old: &str, new: &str) -> bool {
    let database = job.content().database;
    let is_new = database == new;
    if !is_new {
        assert_same(&database, old, "neither old nor new");
    }
    is_new
}

#[test]
fn a_table_is_replaced_as_a_whole_or_not_at_all_whenever_a_run_is_killed() {
    let records = records(0..60_000);
    for (seed, kills, journal_mode) in [(12, 50, "DELETE"), (13, 15, "WAL")] {
        let database = older(journal_mode);
        let make = || into_older(&database, &records, "--mode replace");
        let old = make().content().database;
        kill_again_and_again(seed, kills, make, |job, expected| assert_old_or_new(job, &old, &expected.database));
    }
}

#[test]
fn a_table_is_added_as_a_whole_or_not_at_all_whenever_a_run_is_killed() {
    let records = records(0..60_000);
    let database = older("DELETE");
    let make = || {
        let job = into_older(&database, &records, "");
        job.dir.write("p.toml", KEYED.replace("table.t", "table.added"));
        job
    };
    let old = make().content().database;
    kill_again_and_again(14, 15, make, |job, expected| assert_old_or_new(job, &old, &expected.database));
}

/// Interrupts runs of a job once they have begun to write, until one of them has stopped in the middle.
fn interrupt(name: &str, seed: u64, make: impl Fn() -> Job, duration: Duration) -> Job {
    let mut instants = Instants::new(seed, duration);
    for _ in 0..50 {
        let job = make();
        let mut child = job.spawn();
        job.wait_for_file(".out.db.building", &mut child);
        instants.wait();
        let is_running = child.try_wait().unwrap().is_none();
        instants.note(is_running);
        if is_running {
            signal(&child, name);
        }
        match wait(&mut child) {
            Some(130) if job.summary()["feeds"]["incoming"]["loaded"] != 0 => return job,
            code => assert!(code == Some(3) || code == Some(130), "{code:?}: {}", job.stderr()),
        }
    }
    panic!("no signal came while a run was reading");
}

#[test]
fn what_was_read_is_published_when_interrupted_and_the_same_command_goes_on() {
    let make = || Job::orders("--rows 100000 --duplicates 0.05 --malformed 0.05", "--threads 1 --memory 64MB --json");
    let (expected, duration) = undisturbed(make, 3);
    for (seed, name) in [(21, "INT"), (22, "TERM")] {
        let job = interrupt(name, seed, make, duration);
        let summary = job.summary();
        assert_eq!(summary["status"], "interrupted");
        let feed = &summary["feeds"]["incoming"];
        let count = |name: &str| feed[name].as_u64().unwrap();
        assert!(0 < count("read") && count("read") < 100_000, "{feed}");
        assert_eq!(count("read"), count("loaded") + count("duplicate") + count("filtered") + count("rejected"));
        assert_eq!(job.count("SELECT count(*) FROM orders"), count("loaded"));
        let told = job.dir.query("out.db", "SELECT records, loaded, duplicate, rejected FROM _feedmill_inputs");
        let told_now = ["read", "loaded", "duplicate", "rejected"].map(|name| count(name).to_string()).join("|");
        assert_eq!(told, [told_now]);
        assert_eq!(job.dir.query("out.db", "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(job.dir.dead_letters().len() as u64, count("duplicate") + count("rejected"));
        let stderr = job.stderr();
        assert!(stderr.contains(&format!("in front of record {} of orders.csv", count("read") + 1)), "{stderr}");
        assert!(stderr.trim_end().ends_with(&job.command), "{stderr}");

        job.run(&[3]);
        let feed = &job.summary()["feeds"]["incoming"];
        assert_eq!(feed["resumed"], count("read"));
        job.content().assert_is(&expected, name);
    }
}

/// A run that waits for the end of its stdin, and has made its database file.
fn waiting(job: &Job, text: &str) -> (Child, ChildStdin) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("feedmill"));
    command.args(job.command.split_whitespace()).current_dir(job.dir.path("")).env("COLUMNS", "100");
    let out = |name: &str| File::create(job.dir.path(name)).unwrap();
    let mut child = command.stdin(Stdio::piped()).stdout(out("stdout.txt")).stderr(out("stderr.txt")).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    stdin.flush().unwrap();
    job.wait_for_file(".out.db.building", &mut child);
    (child, stdin)
}

const STDIN: &str = "- --allow-rejects";

#[test]
fn only_one_run_at_a_time_makes_a_database() {
    let text = lines(0..20_000, |number| format!("k{number}"));
    let job = Job::new(KEYED, STDIN);
    let (mut first, stdin) = waiting(&job, &text);
    job.dir.write("b.csv", "k,n\na,1\n");
    let others = ["", "--writer bulk", "--writer insert", "--batch-rows 10", "--mode replace", "--mode upsert"];
    for arguments in others {
        let second = format!("run p.toml b.csv --db out.db --errors b_errors.csv {arguments}");
        job.dir.feedmill(&second).fails(1, &["another run is making", "out.db", "wait until it is done"]);
    }
    assert!(!job.dir.has("out.db"));
    drop(stdin);
    assert_eq!(wait(&mut first), Some(0), "{}", job.stderr());
    assert_eq!(job.count("SELECT count(*) FROM t"), 20_000);
    assert_eq!(job.content().names, ["b.csv", "out.db", "p.toml"]);
}

#[test]
fn what_a_killed_run_has_left_is_removed_by_the_next_whatever_becomes_of_that() {
    for arguments in ["", "--writer insert", "--mode upsert", "--max-errors 0"] {
        let job = Job::new(KEYED, STDIN);
        let (mut first, _stdin) = waiting(&job, &lines(0..20_000, |number| format!("k{number}")));
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(job.dir.has(".out.db.building"));
        let text = if arguments == "--max-errors 0" { "k,n\na,x\n" } else { "k,n\na,1\n" };
        job.dir.write("b.csv", text);
        let second = job.dir.feedmill(&format!("run p.toml b.csv --db out.db {arguments}"));
        let is_good = second.code == Some(0);
        assert_eq!(is_good, arguments != "--max-errors 0", "{second:?}");
        let names: &[&str] = if is_good { &["b.csv", "out.db", "p.toml"] } else { &["b.csv", "p.toml"] };
        for name in ["stdout.txt", "stderr.txt"] {
            fs::remove_file(job.dir.path(name)).unwrap();
        }
        assert_eq!(job.dir.names(), names, "{arguments}");
    }
}

#[test]
fn a_database_that_appears_during_the_run_is_not_overwritten() {
    let job = Job::new(KEYED, STDIN);
    let (mut child, stdin) = waiting(&job, &lines(0..20_000, |number| format!("k{number}")));
    open(&job.dir).execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES ('precious')").unwrap();
    let before = fs::read(job.dir.path("out.db")).unwrap();
    drop(stdin);
    assert_eq!(wait(&mut child), Some(1), "{}", job.stderr());
    let stderr = job.stderr().split_whitespace().collect::<Vec<_>>().join(" ").replace(" | ", " ");
    assert!(stderr.contains("another program has made out.db during the run"), "{stderr}");
    assert!(fs::read(job.dir.path("out.db")).unwrap() == before, "the database of somebody else was written to");
    assert_eq!(job.content().names, ["out.db", "p.toml"]);
}

#[test]
fn a_journal_of_a_database_that_is_gone_does_not_get_into_the_new_one() {
    for (journal_mode, name) in [("DELETE", "out.db-journal"), ("WAL", "out.db-wal")] {
        let records = records(0..20_000);
        let database = older(journal_mode);
        let job = into_older(&database, &records, "");
        // A transaction that nobody ends, as a process that is killed leaves it.
        let copy = job.dir.path("copy");
        let theirs = open(&job.dir);
        let change = "PRAGMA cache_size = 1; BEGIN; UPDATE older SET n = n + 1; UPDATE theirs SET b = b + 1";
        theirs.execute_batch(change).unwrap();
        if journal_mode == "WAL" {
            theirs.execute_batch("COMMIT").unwrap();
        }
        fs::copy(job.dir.path(name), &copy).unwrap();
        drop(theirs);
        let make = |has_journal: bool| {
            let job = Job::new(KEYED, EVERY_END);
            job.dir.write("a.csv", &records);
            if has_journal {
                fs::copy(&copy, job.dir.path(name)).unwrap();
            }
            job.run(&[0]);
            job
        };
        let found = make(true).content();
        found.assert_is(&make(false).content(), name);
    }
}

/// Runs a job on disks that are full at random points, one of them with room for nearly all of it. `look` sees what a
/// failed run has left.
fn fill_up(seed: u64, make: impl Fn() -> Job, look: impl Fn(&Job)) {
    let (expected, _) = undisturbed(&make, 0);
    let length = |job: &Job| fs::metadata(job.dir.path("out.db")).map_or(0, |metadata| metadata.len());
    let (least, most) = (length(&make()) / 1024, {
        let job = make();
        job.run(&[0]);
        length(&job) / 1024
    });
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut failed = 0;
    for nth in 0..16 {
        let kibibytes = match nth {
            0 => least + 1,
            1 => most - 1,
            _ => least + random.next_u64() % (most - least),
        };
        let job = make();
        let before = job.dir.names();
        let (code, stderr) = on_a_full_disk(&job, kibibytes as u32);
        if code == Some(0) {
            // A write-ahead log is shorter than the database, and what it holds is committed.
            job.content().assert_is(&expected, &format!("{kibibytes} KiB"));
            continue;
        }
        assert_eq!(code, Some(1), "{kibibytes} KiB of {most}: {stderr}");
        let stderr = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(stderr.contains("cannot write") || stderr.contains("cannot create"), "{stderr}");
        assert!(["out.db", "errors.csv", "temporary files"].iter().any(|what| stderr.contains(what)), "{stderr}");
        assert_eq!(job.dir.names(), before, "{kibibytes} KiB: {stderr}");
        look(&job);
        failed += 1;
        job.run(&[0]);
        job.content().assert_is(&expected, &format!("{kibibytes} KiB"));
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn a_full_disk_leaves_no_database() {
    let records = records(0..60_000);
    let make = || {
        let job = Job::new(KEYED, EVERY_END);
        job.dir.write("a.csv", &records);
        job
    };
    fill_up(31, make, |_| ());
}

#[test]
fn a_full_disk_leaves_the_old_database() {
    let records = records(0..60_000);
    for (seed, journal_mode) in [(32, "DELETE"), (33, "WAL")] {
        let database = older(journal_mode);
        let make = || into_older(&database, &records, "--mode replace");
        let old = dump(&make().dir.path("out.db"));
        let look = |job: &Job| {
            let path = job.dir.path("out.db");
            assert_same(&dump(&path), &old, "the old database");
            assert_sound(&path);
        };
        fill_up(seed, make, look);
    }
}

fn assert_sound(path: &Path) {
    let said = Connection::open(path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_eq!(said.unwrap(), "ok");
}
