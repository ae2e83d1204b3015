//! A sink that fails at each of its calls in turn, and processes that end at each of them: the same run again ends as an
//! undisturbed one.

use std::fs;

use feedmill::plan::Plan;
use feedmill::run::{self, Options, sqlite_functions};
use feedmill::sink::{DeadLetterWriter, FailingSink, Mode, SqliteOptions, SqliteSink};

use crate::common::Folder;
use crate::job::{KEYED, assert_same};

/// How a run ends at the call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With an error.
    Failure,
    /// With the process, which leaves the dead letters as they are. SQLite undoes what was not committed either way.
    Kill,
}

const BOTH: [End; 2] = [End::Failure, End::Kill];

fn text(numbers: std::ops::Range<u32>) -> String {
    numbers.fold("k,n\n".to_owned(), |text, number| {
        let value = if number % 11 == 4 { "bad".to_owned() } else { number.to_string() };
        text + &format!("key {},{value}\n", if number % 5 == 3 { number / 3 } else { number })
    })
}

/// Runs a plan into the folder through a sink that fails; false when the run came to its end first.
fn fails_at(folder: &Folder, plan: &Plan, mode: Mode, call: u64, end: End) -> bool {
    let options = Options { block_bytes: 256, threads: 2, batch_rows: 40, ..Options::default() };
    let mut letters = DeadLetterWriter::new(&folder.errors(), &folder.database()).unwrap();
    let sqlite = SqliteOptions { functions: sqlite_functions(), mode, ..SqliteOptions::default() };
    let mut sink = FailingSink::new(SqliteSink::open(&folder.database(), &sqlite).unwrap(), call);
    let ran = run::run(plan, &options, &mut sink, &mut letters, &mut |_| ());
    let has_failed = ran.is_err();
    if let Err(error) = ran {
        assert!(error.to_string().contains("was told to fail at call"), "{error:?}");
    }
    drop(sink);
    match end {
        // A process that is killed right behind its last commit.
        End::Kill => std::mem::forget(letters),
        End::Failure if has_failed => drop(letters),
        End::Failure => drop(letters.publish().unwrap()),
    }
    has_failed
}

fn content(folder: &Folder) -> (String, String, Vec<String>) {
    let mut names: Vec<String> =
        fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    (folder.dump(), String::from_utf8(folder.letters()).unwrap(), names)
}

/// Lets every call fail in its turn, with both ends, in folders that are prepared alike.
fn every_call(mode: Mode, ends: &[End], pipeline: &str, prepare: impl Fn(&Folder)) {
    // Always the same one, because its name is in the dead letters, and their hash in the ledger.
    let folder = Folder::new();
    let begin = || {
        fs::remove_dir_all(folder.path("")).unwrap();
        fs::create_dir(folder.path("")).unwrap();
        prepare(&folder);
        folder.plan(pipeline)
    };
    let finish = |plan: &Plan| assert!(!fails_at(&folder, plan, mode, u64::MAX, End::Failure));
    finish(&begin());
    let expected = content(&folder);
    for &end in ends {
        let mut failed = 0;
        for call in 1.. {
            let plan = begin();
            let has_failed = fails_at(&folder, &plan, mode, call, end);
            // Another failure on the way to the end, somewhere else.
            if has_failed && call % 3 == 0 {
                fails_at(&folder, &plan, mode, call / 2 + 1, end);
            }
            finish(&plan);
            let found = content(&folder);
            let what = format!("{mode:?}, {end:?} at call {call}");
            assert_same(&found.1, &expected.1, &format!("{what}: errors.csv"));
            assert_same(&found.0, &expected.0, &format!("{what}: database"));
            assert_eq!(found.2, expected.2, "{what}");
            if !has_failed {
                break;
            }
            failed += 1;
        }
        assert!(failed > 15, "{failed} calls");
    }
}

fn one_file(folder: &Folder) {
    folder.write("a.csv", text(0..300));
}

#[test]
fn a_load_into_nothing() {
    for mode in [Mode::Create, Mode::Append, Mode::Replace, Mode::Upsert] {
        every_call(mode, &BOTH, KEYED, one_file);
    }
}

#[test]
fn a_load_of_rows_without_a_key() {
    every_call(Mode::Create, &BOTH, &KEYED.replace("primary_key = [\"k\"]\n", ""), one_file);
}

#[test]
fn a_load_of_several_files() {
    every_call(Mode::Create, &BOTH, &KEYED.replace("a.csv", "?.csv"), |folder| {
        folder.write("a.csv", text(0..150));
        folder.write("b.csv", text(100..101));
        folder.write("c.csv", "k,n\n");
        folder.write("d.csv", text(50..200));
    });
}

#[test]
fn a_load_into_a_table_that_has_rows() {
    for mode in [Mode::Append, Mode::Upsert] {
        every_call(mode, &BOTH, &KEYED.replace("a.csv", "?.csv"), |folder| {
            folder.write("a.csv", text(0..100));
            let plan = folder.plan(KEYED);
            assert!(!fails_at(folder, &plan, Mode::Create, u64::MAX, End::Failure));
            folder.write("b.csv", text(60..260));
        });
    }
}

#[test]
fn a_load_without_a_dead_letter_behind_one_with_some() {
    every_call(Mode::Append, &BOTH, &KEYED.replace("a.csv", "?.csv"), |folder| {
        folder.write("a.csv", text(0..100));
        let plan = folder.plan(KEYED);
        assert!(!fails_at(folder, &plan, Mode::Create, u64::MAX, End::Failure));
        let rows = (0..300).fold("k,n\n".to_owned(), |text, number| text + &format!("other {number},1\n"));
        folder.write("b.csv", rows);
    });
}

#[test]
fn two_loads_and_a_table_of_them() {
    let second = KEYED.replace("feed.f", "feed.g").replace("table.t", "table.u").replace("FROM f", "FROM g");
    let both = format!(
        "{KEYED}{}\n[table.sums]\nsql = \"SELECT count(*) AS rows, sum(n) AS n FROM u\"\n",
        second.replace("a.csv", "b.csv")
    );
    every_call(Mode::Create, &BOTH, &both, |folder| {
        folder.write("a.csv", text(0..200));
        folder.write("b.csv", text(150..350));
    });
}
