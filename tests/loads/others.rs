//! Loads into tables that somebody else has made, with what they demand of a row.

use std::fs;

use crate::job::{Job, KEYED, lines, open};

/// A database with what this SQL makes, and the pipeline with a file of its own.
fn theirs(sql: &str, arguments: &str) -> Job {
    let job = Job::new(KEYED, arguments);
    open(&job.dir).execute_batch(sql).unwrap();
    job.dir.write("a.csv", "k,n\na,1\nb,2\na,3\n");
    job
}

#[track_caller]
fn refused(sql: &str, mode: &str, words: &[&str]) {
    let job = theirs(sql, mode);
    let before = fs::read(job.dir.path("out.db")).unwrap();
    job.run(&[1]);
    let said = job.stderr().split_whitespace().collect::<Vec<_>>().join(" ").replace(" | ", " ");
    for word in words {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    assert!(fs::read(job.dir.path("out.db")).unwrap() == before, "{mode}: the database was written to");
    assert_eq!(job.dir.names(), ["a.csv", "out.db", "p.toml", "stderr.txt", "stdout.txt"]);
}

const WITH_KEY: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, n INTEGER, note DEFAULT 'new')";

#[test]
fn create_refuses_a_table_that_it_did_not_make() {
    for mode in ["", "--mode create"] {
        refused(WITH_KEY, mode, &["there is a table `t`", "no load of feedmill made", "--mode append"]);
    }
    refused("CREATE TABLE u (k, n); CREATE VIEW t AS SELECT * FROM u", "", &["there is a view `t`"]);
}

#[test]
fn append_adds_to_a_table_with_the_columns_and_the_key() {
    let job = theirs(&format!("{WITH_KEY}; INSERT INTO t (k, n, note) VALUES ('b', 7, 'old')"), "--mode append");
    job.run(&[0]);
    assert_eq!(job.dir.query("out.db", "SELECT id, k, n, note FROM t"), ["1|b|7|old", "2|a|1|new"]);
    let letters = job.dir.dead_letters();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons, ["the table had this key before", "record 1 of a.csv has this key"]);
    let declared = job.dir.query("out.db", "SELECT sql FROM sqlite_schema WHERE name = 't'");
    assert_eq!(declared, [WITH_KEY], "their declaration has changed");
    let before = job.content();
    job.run(&[0]);
    job.content().assert_is(&before, "the same again");
}

#[test]
fn upsert_updates_a_table_with_the_columns_and_the_key() {
    let job = theirs(&format!("{WITH_KEY}; INSERT INTO t (k, n, note) VALUES ('b', 7, 'old')"), "--mode upsert");
    job.run(&[0]);
    assert_eq!(job.dir.query("out.db", "SELECT id, k, n, note FROM t"), ["1|b|2|old", "2|a|3|new"]);
}

#[test]
fn a_table_without_the_columns_or_the_key_is_refused() {
    for mode in ["--mode append", "--mode upsert"] {
        refused("CREATE TABLE t (k TEXT PRIMARY KEY, m INTEGER)", mode, &["has no column `n`"]);
        let no_key = ["no unique index on (\"k\")", "CREATE UNIQUE INDEX"];
        refused("CREATE TABLE t (k TEXT, n INTEGER)", mode, &no_key);
        refused("CREATE TABLE t (k TEXT, n INTEGER); CREATE INDEX i ON t (k)", mode, &no_key);
        refused("CREATE TABLE t (k TEXT, n INTEGER); CREATE UNIQUE INDEX i ON t (k, n)", mode, &no_key);
        refused("CREATE TABLE t (k TEXT, n INTEGER); CREATE UNIQUE INDEX i ON t (k) WHERE n > 0", mode, &no_key);
        refused("CREATE TABLE t (k TEXT, n INTEGER); CREATE UNIQUE INDEX i ON t (lower(k))", mode, &no_key);
        refused("CREATE TABLE u (k, n); CREATE VIEW t AS SELECT * FROM u", mode, &["view `t`"]);
    }
}

#[test]
fn replace_takes_the_place_of_any_table() {
    let job = theirs(&format!("{WITH_KEY}; INSERT INTO t (k) VALUES ('mine')"), "--mode replace");
    job.run(&[0]);
    assert_eq!(job.dir.query("out.db", "SELECT * FROM t"), ["a|1", "b|2"]);
}

#[test]
fn a_table_of_feedmill_that_was_altered_since_is_theirs() {
    let job = Job::new(KEYED, "");
    job.dir.write("a.csv", "k,n\na,1\n");
    job.run(&[0]);
    open(&job.dir).execute_batch("ALTER TABLE t ADD COLUMN note").unwrap();
    let before = job.content();
    job.run(&[1]);
    assert!(job.stderr().contains("altered since"), "{}", job.stderr());
    job.content().assert_is(&before, "create");
}

/// A load of 100,000 records into a table of theirs that does not want one in the middle; then they give way, and the same
/// command ends the load. `keeps_ledger`: whether the table is still the one that the ledger speaks of.
fn in_the_middle(wants: &str, gives_way: &str, says: &str, keeps_ledger: bool) {
    let text = lines(0..100_000, |number| match number {
        60_000 => "bad".to_owned(),
        number if number % 10 == 7 => format!("k{}", number - 1),
        number => format!("k{number}"),
    });
    let job = theirs(wants, "--mode append --batch-rows 1 --threads 1 --memory 64MB --json");
    job.dir.write("a.csv", text.replace("bad,60000", "bad,3"));
    job.run(&[1]);
    // Lines are wrapped anywhere.
    let stderr = job.stderr().replace("  | ", "").split_whitespace().collect::<String>();
    for words in ["a.csv:60002(record60001,", says] {
        assert!(stderr.contains(words), "no `{words}` in {stderr}");
    }
    let loaded = job.count("SELECT count(*) FROM t");
    let records = job.count("SELECT records FROM _feedmill_inputs");
    assert!(0 < loaded && loaded < records && records <= 60_000, "{loaded} of {records}");
    let told = job.dir.query("out.db", "SELECT loaded, duplicate FROM _feedmill_inputs");
    assert_eq!(told, [format!("{loaded}|{}", records - loaded)]);
    let letters = job.dir.dead_letters();
    assert_eq!(letters.len() as u64, records - loaded, "the dead letters are not those of what was committed");
    assert!(
        !fs::read_dir(job.dir.path(""))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with('.') })
    );

    open(&job.dir).execute_batch(gives_way).unwrap();
    job.run(&[0]);
    let feed = &job.summary()["feeds"]["f"];
    assert_eq!(feed["resumed"], if keeps_ledger { records } else { 0 });
    assert_eq!(job.count("SELECT count(*) FROM t"), 90_000);
    assert_eq!(job.dir.query("out.db", "SELECT n FROM t WHERE k = 'bad'"), ["3"]);
    let duplicates = if keeps_ledger { 10_000 } else { 10_000 + loaded };
    assert_eq!(job.dir.dead_letters().len() as u64, duplicates);
}

const PLAIN: &str = "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER)";

#[test]
fn a_row_that_their_check_forbids_ends_the_load_behind_the_last_batch() {
    let wants = PLAIN.replace("INTEGER)", "INTEGER CHECK (n <> 3 OR k = 'k3'))");
    let rebuild = format!("ALTER TABLE t RENAME TO old; {PLAIN}; INSERT INTO t SELECT * FROM old; DROP TABLE old");
    in_the_middle(&wants, &rebuild, "CHECKconstraintfailed:n<>3", false);
}

#[test]
fn a_row_that_another_index_of_theirs_forbids_ends_the_load_behind_the_last_batch() {
    let wants = format!("{PLAIN}; CREATE UNIQUE INDEX one ON t (n)");
    in_the_middle(&wants, "DROP INDEX one", "UNIQUEconstraintfailed:t.n", true);
}

#[test]
fn a_row_that_their_trigger_forbids_ends_the_load_behind_the_last_batch() {
    let wants = format!(
        "{PLAIN}; CREATE TRIGGER no BEFORE INSERT ON t WHEN new.k = 'bad' BEGIN SELECT raise(ABORT, 'not this'); END"
    );
    in_the_middle(&wants, "DROP TRIGGER no", "notthis", true);
}
