//! What `--mode` does about tables that loads have made: add, refuse, go on, or make anew.

use std::fs;

use crate::job::{Content, Job, KEYED};

const FIRST: &str = "k,n\na,1\nb,2\nc,3\n";
const SECOND: &str = "k,n\nb,20\nd,4\nd,40\ne,5\n";

/// A table that was loaded from `a.csv`.
fn loaded() -> Job {
    let job = Job::new(KEYED, "");
    job.dir.write("a.csv", FIRST);
    job.dir.write("b.csv", SECOND);
    job.run(&[0]);
    job
}

impl Job {
    fn rows(&self) -> String {
        self.dir.query("out.db", "SELECT k, n FROM t ORDER BY rowid").join(" ")
    }

    /// The same folder with other arguments, run to an end with this exit code. Returns what it says.
    #[track_caller]
    fn then(&mut self, arguments: &str, code: i32) -> String {
        self.command = format!("run p.toml --db out.db {arguments}");
        self.run(&[code]);
        self.dir.read("stdout.txt") + &self.stderr()
    }

    #[track_caller]
    fn then_refuses(&mut self, arguments: &str, words: &[&str]) {
        let before = (fs::read(self.dir.path("out.db")).unwrap(), self.content());
        let said = self.then(arguments, 1).split_whitespace().collect::<Vec<_>>().join(" ").replace(" | ", " ");
        for word in words {
            assert!(said.contains(word), "no `{word}` in {said}");
        }
        assert!(fs::read(self.dir.path("out.db")).unwrap() == before.0, "the database was written to");
        self.content().assert_is(&before.1, arguments);
    }

    /// Asserts that another run changes no byte of the database and of the dead letters.
    #[track_caller]
    fn then_adds_nothing(&mut self, arguments: &str) {
        let before = (fs::read(self.dir.path("out.db")).unwrap(), self.content());
        let said = self.then(arguments, 0);
        assert!(said.contains("nothing to add"), "{said}");
        assert!(fs::read(self.dir.path("out.db")).unwrap() == before.0, "the database was written to");
        self.content().assert_is(&before.1, arguments);
    }

    /// The dead letters as `k:reason`.
    fn reasons(&self) -> Vec<String> {
        let letters = self.dir.dead_letters();
        let value = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        letters.iter().map(|letter| format!("{}:{}", value(&letter.value), letter.reason)).collect()
    }
}

#[test]
fn the_same_load_again_adds_nothing() {
    let mut job = Job::orders("--rows 5000 --duplicates 0.1 --malformed 0.1", "");
    job.run(&[3]);
    for mode in ["create", "append", "upsert"] {
        job.then_adds_nothing(&format!("--mode {mode}"));
    }
}

#[test]
fn create_refuses_other_inputs() {
    let mut job = loaded();
    job.then_refuses("b.csv", &["the table `t` is there already", "--mode append"]);
    job.then_refuses("a.csv b.csv", &["the table `t` is there already", "--mode append"]);
    assert_eq!(job.rows(), "a|1 b|2 c|3");
}

#[test]
fn create_refuses_another_version_of_the_pipeline() {
    let mut job = loaded();
    job.dir.write("p.toml", KEYED.replace("SELECT k, n", "SELECT k, n + 1 AS n"));
    job.then_refuses("", &["another version of this pipeline", "--mode append"]);
    job.dir.write("p.toml", KEYED.replace("n INTEGER", "n INTEGER CHECK (n < 3)"));
    job.then_refuses("", &["another version of this pipeline"]);
    // What does not matter for a row does not matter.
    job.dir.write("p.toml", format!("# a comment\n{KEYED}"));
    job.then_adds_nothing("");
}

#[test]
fn append_makes_the_union_and_the_first_wins() {
    let mut job = loaded();
    job.then("b.csv --mode append", 0);
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4 e|5");
    assert_eq!(job.reasons(), ["b:the table had this key before", "d:record 2 of b.csv has this key"]);
    job.then_adds_nothing("b.csv --mode append");
    job.then_adds_nothing("a.csv --mode append");
    job.then_adds_nothing("a.csv b.csv --mode append");
    job.then_adds_nothing("a.csv b.csv");
}

#[test]
fn append_takes_of_several_inputs_what_is_new() {
    let mut job = loaded();
    job.then("a.csv b.csv --mode append --json", 0);
    assert_eq!(job.summary()["feeds"]["f"]["read"], 4);
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4 e|5");
    assert_eq!(job.reasons(), ["b:the table had this key before", "d:record 2 of b.csv has this key"]);
}

#[test]
fn append_to_nothing_is_create() {
    let content = |mode: &str| {
        let job = Job::new(KEYED, mode);
        job.dir.write("a.csv", FIRST.to_owned() + &SECOND[4..]);
        job.run(&[0]);
        job.content()
    };
    let created = content("");
    content("--mode append").assert_is(&created, "append");
    content("--mode replace").assert_is(&created, "replace");
}

#[test]
fn of_a_file_that_has_grown_append_loads_the_new_lines() {
    let mut job = loaded();
    job.dir.write("a.csv", format!("{FIRST}c,30\nd,4\nx,bad\n"));
    job.then_refuses("", &["there are records to add", "--mode append"]);
    job.then("--mode append --json", 3);
    let feed = &job.summary()["feeds"]["f"];
    assert_eq!([&feed["read"], &feed["loaded"], &feed["duplicate"]], [3, 1, 1], "{feed}");
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4");
    let letters = job.dir.dead_letters();
    assert_eq!(letters.iter().map(|letter| (letter.line, letter.record)).collect::<Vec<_>>(), [(5, 4), (7, 6)]);
    job.then_adds_nothing("--mode append");
    job.then_adds_nothing("");
    job.dir.write("a.csv", format!("{FIRST}c,30\nd,4\nx,bad\ne,5\n"));
    job.then("--mode append", 0);
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4 e|5");
}

#[test]
fn a_last_line_that_has_grown_is_no_new_line() {
    let mut job = Job::new(KEYED, "");
    job.dir.write("a.csv", "k,n\na,1\nb,2");
    job.run(&[0]);
    job.dir.write("a.csv", "k,n\na,1\nb,23\nc,3\n");
    job.then_refuses("", &["have changed since"]);
    job.then("--mode append", 0);
    assert_eq!(job.rows(), "a|1 b|2 c|3");
    assert_eq!(job.reasons(), ["a:the table had this key before", "b:the table had this key before"]);
}

#[test]
fn a_file_with_other_content_under_the_same_name_is_another() {
    for changed in ["k,n\nz,1\ny,2\nx,3\nw,4\n", "k,n\nz,1\n", "k,n\n", "n,k\n1,z\n"] {
        let mut job = loaded();
        job.dir.write("a.csv", changed);
        job.then_refuses("", &["have changed since", "--mode append"]);
        job.then("--mode append --json", 0);
        let added = job.summary()["feeds"]["f"]["read"].as_u64().unwrap();
        assert_eq!(added as usize, changed.lines().count() - 1);
        assert_eq!(job.count("SELECT count(*) FROM t"), 3 + added);
        job.then_adds_nothing("--mode append");
    }
}

#[test]
fn replace_is_a_load_into_nothing() {
    let mut job = loaded();
    job.then("b.csv --mode append", 0);
    job.then("b.csv --mode replace", 0);
    assert_eq!(job.rows(), "b|20 d|4 e|5");
    let replaced = job.content();
    let fresh = Job::new(KEYED, "b.csv");
    fresh.dir.write("a.csv", FIRST);
    fresh.dir.write("b.csv", SECOND);
    fresh.run(&[0]);
    let expected = fresh.content();
    assert_eq!(replaced.letters, expected.letters);
    assert_eq!(sorted(&replaced), sorted(&expected));
}

/// What is in the database, whatever the order of its tables.
fn sorted(content: &Content) -> Vec<&str> {
    let mut lines: Vec<&str> = content.database.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn upsert_lets_the_last_win() {
    let mut job = loaded();
    job.then("b.csv --mode upsert --json", 0);
    assert_eq!(job.rows(), "a|1 b|20 c|3 d|40 e|5");
    let feed = &job.summary()["feeds"]["f"];
    assert_eq!([&feed["read"], &feed["loaded"], &feed["duplicate"]], [4, 4, 0], "{feed}");
    assert!(!job.dir.has("errors.csv"));
    // What was loaded last was loaded.
    job.then_adds_nothing("b.csv --mode upsert");
    job.dir.write("c.csv", "k,n\na,\nf,6\n");
    job.then("c.csv --mode upsert", 0);
    assert_eq!(job.rows(), "a|NULL b|20 c|3 d|40 e|5 f|6");

    let mut fresh = Job::new(KEYED, "");
    fresh.dir.write("b.csv", SECOND);
    fresh.then("b.csv --mode upsert", 0);
    assert_eq!(fresh.rows(), "b|20 d|40 e|5");
    fresh.then_adds_nothing("b.csv");
}

#[test]
fn upsert_goes_on_with_a_load_that_create_has_begun() {
    let job = Job::new(KEYED, "--batch-rows 1 --threads 1 --memory 64MB");
    let text: String = (0..300_000).fold("k,n\n".to_owned(), |text, number| text + &format!("k{number},{number}\n"));
    job.dir.write("a.csv", text);
    let mut child = job.spawn();
    job.wait_for_bytes(200_000, &mut child);
    crate::job::signal(&child, "INT");
    assert_eq!(crate::job::wait(&mut child), Some(130), "{}", job.stderr());
    for mode in ["upsert", "append", "replace"] {
        let mut other = Job::new(KEYED, "");
        fs::copy(job.dir.path("out.db"), other.dir.path("out.db")).unwrap();
        fs::copy(job.dir.path("a.csv"), other.dir.path("a.csv")).unwrap();
        other.then(&format!("--mode {mode}"), 0);
        assert_eq!(other.count("SELECT count(*) FROM t"), 300_000, "{mode}");
        assert_eq!(other.dir.query("out.db", "PRAGMA integrity_check"), ["ok"]);
        other.then_adds_nothing("");
    }
}

#[test]
fn upsert_into_a_table_without_a_key_is_refused() {
    let mut job = Job::new(&KEYED.replace("primary_key = [\"k\"]\n", ""), "");
    job.dir.write("a.csv", FIRST);
    job.then("--mode upsert", 1);
    assert!(!job.dir.has("out.db"), "made a table");
    assert!(job.stderr().contains("primary_key"), "{}", job.stderr());
}

#[test]
fn rows_without_a_key_are_all_loaded_once() {
    let mut job = Job::new(&KEYED.replace("primary_key = [\"k\"]\n", ""), "");
    job.dir.write("a.csv", FIRST.to_owned() + &FIRST[4..]);
    job.dir.write("b.csv", SECOND);
    job.run(&[0]);
    job.then_adds_nothing("");
    job.then("b.csv --mode append", 0);
    assert_eq!(job.rows(), "a|1 b|2 c|3 a|1 b|2 c|3 b|20 d|4 d|40 e|5");
    job.then_adds_nothing("b.csv --mode append");
    assert!(!job.dir.has("errors.csv"));
}

#[test]
fn a_stdin_is_new_every_time() {
    let mut job = loaded();
    let said = job.dir.feedmill_on("run p.toml - --db out.db", SECOND).exits(1).stderr;
    assert!(said.contains("there already"), "{said}");
    job.dir.feedmill_on("run p.toml - --db out.db --mode append -q", SECOND).exits(0);
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4 e|5");
    job.dir.feedmill_on("run p.toml - --db out.db --mode append -q", "k,n\na,9\nz,26\n").exits(0);
    assert_eq!(job.rows(), "a|1 b|2 c|3 d|4 e|5 z|26");
    assert_eq!(job.reasons(), ["a:the table had this key before"]);
    job.then_adds_nothing("a.csv --mode append");
}
