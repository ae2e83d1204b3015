//! Which keys are the same: the bytes of texts, the values of everything else, over all columns of the key.

use crate::common::zip_of;
use crate::job::Job;

/// Loads records with the columns `a` and `b` of these types under a key, and returns `code:value:reason` of each dead
/// letter behind the number of rows.
fn load(types: [&str; 2], key: &str, more: &str, text: &str) -> (u64, Vec<String>) {
    let job = Job::new(&pipeline(types, key, more), "");
    job.dir.write("a.csv", text);
    job.run(&[0, 3]);
    let rows = job.count("SELECT count(*) FROM t");
    if !job.dir.has("errors.csv") {
        return (rows, Vec::new());
    }
    (rows, reasons(&job))
}

fn pipeline([a, b]: [&str; 2], key: &str, more: &str) -> String {
    format!(
        "[feed.f]\nfiles = [\"a.csv\"]\ncolumns = \"a {a}, b {b}\"\n{more}\n\
         [table.t]\nprimary_key = [{key}]\nsql = \"SELECT a, b FROM f\"\n"
    )
}

fn reasons(job: &Job) -> Vec<String> {
    let letters = job.dir.dead_letters();
    let text = |letter: &crate::workdir::DeadLetter| {
        format!("{}:{}:{}", letter.column, String::from_utf8_lossy(&letter.value), letter.reason)
    };
    letters.iter().map(text).collect()
}

const TEXTS: [&str; 2] = ["TEXT", "TEXT"];

#[test]
fn case_and_spaces_tell_texts_apart() {
    let text = "a,b\nx,1\nX,2\nx ,3\n x,4\nX ,5\n\u{e4},6\na\u{308},7\n\"x\",8\n";
    let (rows, letters) = load(TEXTS, "\"a\"", "", text);
    assert_eq!((rows, letters), (7, vec!["a:x:record 1 of a.csv has this key".to_owned()]));
}

#[test]
fn a_key_of_two_columns_has_a_border_between_them() {
    let text = "a,b\na,bc\nab,c\nabc,\n\"a,b\",c\na,\"b,c\"\nab,c\n";
    let (rows, letters) = load(TEXTS, "\"a\", \"b\"", "null = []", text);
    assert_eq!((rows, letters), (5, vec!["a,b:ab,c:record 2 of a.csv has this key".to_owned()]));
}

#[test]
fn the_order_of_the_key_columns_is_that_of_the_declaration_of_the_key() {
    let (rows, letters) = load(["TEXT", "INTEGER"], "\"b\", \"a\"", "", "a,b\nx,1\nx,2\nx,01\n");
    assert_eq!((rows, letters), (2, vec!["b,a:1,x:record 1 of a.csv has this key".to_owned()]));
}

#[test]
fn an_empty_text_is_a_key_where_it_is_no_null() {
    let (rows, letters) = load(TEXTS, "\"a\"", "null = []", "a,b\n,1\nx,2\n,3\n");
    assert_eq!((rows, letters), (2, vec!["a::record 1 of a.csv has this key".to_owned()]));
}

#[test]
fn a_null_is_no_key() {
    for (key, types) in [("\"a\"", TEXTS), ("\"b\", \"a\"", TEXTS), ("\"a\"", ["TEXT NOT NULL", "TEXT"])] {
        let job = Job::new(&pipeline(types, key, ""), "");
        job.dir.write("a.csv", "a,b\n,1\nx,2\n,3\n");
        job.run(&[3]);
        assert_eq!(job.dir.query("out.db", "SELECT a, b FROM t"), ["x|2"]);
        let letters = job.dir.dead_letters();
        let told: Vec<_> = letters.iter().map(|l| (l.code.as_str(), l.column.as_str(), l.line, l.record)).collect();
        assert_eq!(told, [("null_value", "a", 2, 1), ("null_value", "a", 4, 3)], "{key} {types:?}");
    }
}

#[test]
fn numbers_and_dates_are_compared_by_value() {
    let record = |record: u32| format!("record {record} of a.csv has this key");
    let cases = [
        ("DECIMAL(8,2)", "1.50\n1.5\n1.51\n-0\n0.00\n", 3, vec![("1.5", 1), ("0", 4)]),
        ("INTEGER", "1\n01\n-1\n+1\n9223372036854775807\n9223372036854775806\n", 4, vec![("1", 1), ("1", 1)]),
        ("DATE", "2026-01-02\n2026-01-03\n2026-01-02\n", 2, vec![("2026-01-02", 1)]),
        ("DOUBLE", "0.1\n1e-1\n0.10000000000000001\n0.2\n-0.0\n0\n", 3, vec![("0.1", 1), ("0.1", 1), ("0", 5)]),
        ("BOOLEAN", "true\nfalse\nTRUE\n", 2, vec![("1", 1)]),
    ];
    for (of_type, values, rows, expected) in cases {
        let text = values.lines().fold("a,b\n".to_owned(), |text, value| text + value + ",x\n");
        let (found, letters) = load([of_type, "TEXT"], "\"a\"", "", &text);
        let firsts: Vec<&str> = letters.iter().map(|letter| letter.rsplit(':').next().unwrap()).collect();
        let wanted: Vec<String> = expected.iter().map(|(_, first)| record(*first)).collect();
        assert_eq!((found, firsts), (rows, wanted.iter().map(String::as_str).collect()), "{of_type}: {letters:?}");
    }
}

#[test]
fn all_keys_may_be_the_same() {
    let text = (0..20_000).fold("a,b\n".to_owned(), |text, number| text + &format!("x,{number}\n"));
    let (rows, letters) = load(TEXTS, "\"a\"", "", &text);
    assert_eq!((rows, letters.len()), (1, 19_999));
    assert!(letters.iter().all(|letter| letter == "a:x:record 1 of a.csv has this key"));
}

#[test]
fn a_key_is_known_in_the_next_file() {
    let job = Job::new(&pipeline(TEXTS, "\"a\"", ""), "--dir . one.csv two.csv");
    job.dir.write("one.csv", "a,b\nx,1\n\"y\nz\",2\nbad\n");
    job.dir.write("two.csv", "b,a\n3,w\n4,x\n5,w\n6,\"y\nz\"\n");
    job.run(&[3]);
    assert_eq!(job.dir.query("out.db", "SELECT b FROM t ORDER BY rowid"), ["1", "2", "3"]);
    let letters = job.dir.dead_letters();
    let told: Vec<_> = letters.iter().map(|l| (l.input.as_str(), l.line, l.record, l.reason.as_str())).collect();
    assert_eq!(told[0].0, "one.csv");
    assert_eq!(
        told[1..],
        [
            ("two.csv", 3, 2, "record 1 of one.csv has this key"),
            ("two.csv", 4, 3, "record 1 of two.csv has this key"),
            ("two.csv", 5, 4, "record 2 of one.csv has this key"),
        ]
    );
}

#[test]
fn a_key_is_known_in_the_next_member() {
    let job = Job::new(&pipeline(TEXTS, "\"a\"", ""), "a.zip");
    job.dir.write("a.zip", zip_of(&[("one.csv", b"a,b\nx,1\n"), ("in/two.csv", b"a,b\ny,2\nx,3\ny,4\n")]));
    job.run(&[0]);
    assert_eq!(job.dir.query("out.db", "SELECT b FROM t ORDER BY rowid"), ["1", "2"]);
    let letters = job.dir.dead_letters();
    let told: Vec<_> = letters.iter().map(|l| (l.member.as_str(), l.line, l.record, l.reason.as_str())).collect();
    assert_eq!(
        told,
        [
            ("in/two.csv", 3, 2, "record 1 of a.zip!one.csv has this key"),
            ("in/two.csv", 4, 3, "record 1 of a.zip!in/two.csv has this key")
        ]
    );
}

#[test]
fn a_rejected_or_filtered_record_does_not_take_its_key() {
    let pipeline = pipeline(["TEXT", "INTEGER"], "\"a\"", "").replace("FROM f", "FROM f WHERE b <> 0");
    let job = Job::new(&pipeline, "--json");
    job.dir.write("a.csv", "a,b\nx,bad\nx,0\nx,1\nx,0\nx,2\n");
    job.run(&[3]);
    assert_eq!(job.dir.query("out.db", "SELECT a, b FROM t"), ["x|1"]);
    let feed = &job.summary()["feeds"]["f"];
    let counts = ["read", "loaded", "duplicate", "filtered", "rejected"].map(|name| feed[name].as_u64().unwrap());
    assert_eq!(counts, [5, 1, 1, 2, 1]);
}
