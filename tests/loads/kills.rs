//! SIGKILL at any instant: the same command again, as often as it takes, ends as if nothing had happened.

use std::time::Instant;

use crate::common::instants::Instants;
use crate::common::zip_of;
use crate::job::{Job, KEYED, wait};

/// More than are ever needed for the kills wanted, which may come too late for a process.
const ATTEMPTS_PER_KILL: u32 = 5;

/// Kills runs of a job at instants spread over the time that they take, and compares the content whenever one came to its
/// end; then begins anew, until there were enough kills.
fn campaign(seed: u64, kills: u32, make: impl Fn() -> Job) {
    let undisturbed = make();
    let started = Instant::now();
    undisturbed.run(&[0]);
    let mut instants = Instants::new(seed, started.elapsed());
    let expected = undisturbed.content();
    let (mut killed, mut went_on) = (0, false);
    let mut job = make();
    for attempt in 0..kills * ATTEMPTS_PER_KILL {
        let Some(code) = instants.kill(&mut job.spawn()) else {
            killed += 1;
            if killed == kills {
                break;
            }
            continue;
        };
        assert_eq!(code, 0, "attempt {attempt}: {}", job.stderr());
        went_on |= has_gone_on(&job);
        job.content().assert_is(&expected, &format!("attempt {attempt}"));
        job = make();
    }
    let code = wait(&mut job.spawn());
    assert_eq!(code, Some(0), "{}", job.stderr());
    went_on |= has_gone_on(&job);
    job.content().assert_is(&expected, "at the end");
    assert!(killed * 5 >= kills * 3, "only {killed} kills");
    assert!(went_on || kills < 10, "no run has gone on with another");
}

/// Whether the last run has gone on where another one was killed.
fn has_gone_on(job: &Job) -> bool {
    !job.dir.read("stdout.txt").contains("\"resumed\": 0")
}

const EVERY_END: &str = "--json --allow-rejects --batch-rows 5000";

/// Records of which every 13th repeats an earlier key of the range and every 29th has no number.
pub(crate) fn records(numbers: std::ops::Range<u64>) -> String {
    let mut text = "k,n\n".to_owned();
    for number in numbers {
        let of = if number % 13 == 5 { number / 2 } else { number };
        let key = of.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let value = if number % 29 == 3 { "none".to_owned() } else { number.to_string() };
        text += &format!("{key:016x},{value}\n");
    }
    text
}

#[test]
fn one_file() {
    let orders = Job::orders("--rows 150000 --duplicates 0.05 --malformed 0.05", "");
    let orders = std::fs::read(orders.dir.path("orders.csv")).unwrap();
    campaign(1, 50, || {
        let text = feedmill::presets::find("orders").unwrap().text;
        let job = Job::new(text, &EVERY_END.replace("5000", "10000"));
        job.dir.write("orders.csv", &orders);
        job
    });
}

#[test]
fn an_archive_of_several_members() {
    let (first, second, last) = (records(0..90_000), records(60_000..100_000), records(10_000..80_000));
    let members = [("one.csv", first.as_bytes()), ("in/two.csv", second.as_bytes()), ("three.csv", last.as_bytes())];
    let archive = zip_of(&members);
    campaign(2, 12, || {
        let job = Job::new(KEYED, &format!("{EVERY_END} a.zip"));
        job.dir.write("a.zip", &archive);
        job
    });
}

#[test]
fn files_of_a_glob() {
    let (first, second) = (records(0..80_000), records(50_000..150_000));
    campaign(3, 12, || {
        let job = Job::new(&KEYED.replace("a.csv", "part_*.csv"), EVERY_END);
        job.dir.write("part_1.csv", &first);
        job.dir.write("part_2.csv", &second);
        job
    });
}

#[test]
fn a_table_that_has_rows_already() {
    let (first, second) = (records(0..15_000), records(10_000..90_000));
    campaign(4, 12, || {
        let mut job = Job::new(KEYED, EVERY_END);
        job.dir.write("a.csv", &first);
        job.run(&[0]);
        job.command = format!("run p.toml b.csv --db out.db --mode append {EVERY_END}");
        job.dir.write("b.csv", &second);
        job
    });
}

#[test]
fn upserts() {
    let (first, second) = (records(0..15_000), records(10_000..70_000));
    campaign(5, 8, || {
        let mut job = Job::new(KEYED, EVERY_END);
        job.dir.write("a.csv", &first);
        job.run(&[0]);
        job.command = format!("run p.toml b.csv --db out.db --mode upsert {EVERY_END}");
        job.dir.write("b.csv", &second);
        job
    });
}
