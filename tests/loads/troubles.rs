//! Databases and disks that do not take a load: a clear error, nothing altered, and the same command later goes on.

use std::fs;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

use crate::job::{Job, KEYED, lines, open, wait};

fn job(arguments: &str) -> Job {
    let job = Job::new(KEYED, arguments);
    job.dir.write("a.csv", lines(0..2_000, |number| format!("k{}", number / 2)));
    job
}

#[test]
fn a_locked_database_stays_as_it_is_and_takes_the_load_later() {
    let undisturbed = job("");
    open(&undisturbed.dir).execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)").unwrap();
    undisturbed.run(&[0]);
    let expected = undisturbed.content();

    let job = job("");
    let holder = open(&job.dir);
    holder.execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)").unwrap();
    // Not while the lock is held: a process that closes a file gives all of its locks on it away.
    let before = fs::read(job.dir.path("out.db")).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    job.run(&[1]);
    assert!(job.stderr().contains("locked by another process"), "{}", job.stderr());
    assert!(!job.dir.has("errors.csv"));
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    assert!(fs::read(job.dir.path("out.db")).unwrap() == before);
    job.run(&[0]);
    job.content().assert_is(&expected, "after the lock is gone");
}

#[test]
fn a_lock_in_the_middle_ends_the_load_behind_a_batch() {
    let make = || {
        let job = Job::new(KEYED, "--batch-rows 1 --threads 1 --memory 64MB");
        job.dir.write("a.csv", lines(0..200_000, |number| format!("k{}", number / 2)));
        job
    };
    let undisturbed = make();
    undisturbed.run(&[0]);
    let expected = undisturbed.content();

    let job = make();
    let mut child = job.spawn();
    job.wait_for_bytes(200_000, &mut child);
    let holder = open(&job.dir);
    holder.busy_timeout(std::time::Duration::from_secs(100)).unwrap();
    // Between two batches the lock is free for a moment, which is not the load's to keep.
    let got = (0..).find_map(|_| match child.try_wait().unwrap() {
        Some(_) => Some(false),
        None => holder.execute_batch("BEGIN IMMEDIATE").is_ok().then_some(true),
    });
    let code = wait(&mut child);
    if got == Some(true) && code == Some(1) {
        assert!(job.stderr().contains("locked") || job.stderr().contains("another program"), "{}", job.stderr());
        holder.execute_batch("ROLLBACK").unwrap();
    } else {
        assert_eq!(code, Some(0), "{}", job.stderr());
    }
    drop(holder);
    job.run(&[0]);
    job.content().assert_is(&expected, "after the lock is gone");
}

#[test]
fn what_is_no_database_is_not_touched() {
    let letter = "this is a letter to a friend, not a database\n".repeat(999);
    for (content, words) in [(letter.as_str(), "not a SQLite database"), ("SQLite format 3\0 and then nothing", "")] {
        for mode in ["create", "append", "replace", "upsert"] {
            let job = job(&format!("--mode {mode}"));
            job.dir.write("out.db", content);
            job.run(&[1]);
            assert!(job.stderr().contains(words), "{}", job.stderr());
            assert_eq!(job.dir.read("out.db"), content, "{mode}");
            assert_eq!(job.dir.names(), ["a.csv", "out.db", "p.toml", "stderr.txt", "stdout.txt"]);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_database_that_is_read_only_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let job = job("");
    job.run(&[0]);
    let path = job.dir.path("out.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // The superuser may write whatever the permissions say.
        return;
    }
    let before = fs::read(&path).unwrap();
    job.dir.write("a.csv", "k,n\nz,1\n");
    job.run(&[1]);
    assert!(job.stderr().contains("read-only"), "{}", job.stderr());
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_an_error() {
    let job = job("--temp-dir nowhere");
    job.run(&[1]);
    assert!(job.stderr().contains("nowhere"), "{}", job.stderr());
    assert_eq!(job.dir.names(), ["a.csv", "p.toml", "stderr.txt", "stdout.txt"]);
}

/// Runs a job while no file may be longer than so many KiB, which stands for a disk that is full. The signal that comes
/// with it is not the point.
pub(crate) fn on_a_full_disk(job: &Job, kibibytes: u32) -> (Option<i32>, String) {
    let program = cargo_bin!("feedmill").display().to_string();
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec '{program}' {} -q --color never", job.command);
    let output = Command::new("bash").args(["-c", &script]).current_dir(job.dir.path("")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), stderr)
}

#[test]
fn when_the_disk_has_room_again_the_load_goes_on() {
    // Rows with many dead letters fill their file first, rows with few the database.
    for keys in [1, 10] {
        let make = || {
            let job = Job::new(KEYED, "--batch-rows 1 --threads 1 --memory 64MB --allow-rejects");
            job.dir.write("a.csv", lines(0..60_000, |number| format!("k{}", number / keys)));
            job
        };
        let undisturbed = make();
        undisturbed.run(&[0]);
        let expected = undisturbed.content();
        let (mut failed, mut begun) = (0, 0);
        for kibibytes in [8, 64, 300, 500, 700, 900, 1000, 1100, 1300, 1500, 1700, 2000, 3000] {
            let job = make();
            let (code, stderr) = on_a_full_disk(&job, kibibytes);
            if code != Some(0) {
                failed += 1;
                assert_eq!(code, Some(1), "{stderr}");
                assert!(stderr.contains("cannot write") || stderr.contains("disk"), "{stderr}");
            }
            if job.dir.has("out.db") {
                let rows = job.count("SELECT count(*) FROM t");
                let told = "SELECT loaded, duplicate FROM _feedmill_inputs";
                let letters = if job.dir.has("errors.csv") { job.dir.dead_letters().len() } else { 0 };
                assert_eq!(job.dir.query("out.db", told), [format!("{rows}|{letters}")], "{kibibytes} KiB: {stderr}");
                begun += u32::from(code != Some(0));
            }
            job.run(&[0]);
            job.content().assert_is(&expected, &format!("{kibibytes} KiB"));
        }
        assert!(failed > 3 && begun > 0, "{failed} failed, {begun} of them behind a batch");
    }
}

#[test]
fn when_the_disk_is_full_a_table_stays_and_takes_the_rest_later() {
    let make = || {
        let mut job = job("");
        job.run(&[0]);
        job.dir.write("b.csv", lines(0..60_000, |number| format!("k{}", number / 3)));
        job.command = "run p.toml b.csv --db out.db --mode append --max-errors 0".to_owned();
        job
    };
    let undisturbed = make();
    undisturbed.run(&[0]);
    let expected = undisturbed.content();
    let job = make();
    let before = job.content();
    let (code, stderr) = on_a_full_disk(&job, 300);
    assert_eq!(code, Some(1), "{stderr}");
    job.content().assert_is(&before, "in one transaction");
    job.run(&[0]);
    job.content().assert_is(&expected, "later");
}
