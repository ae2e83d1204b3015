//! Tables that are steps on the way: made, read by later tables and reports, and not in the database.

use std::process::Output;

use feedmill::plan::{Plan, Settings};
use feedmill::run::{Options, TableFigures};
use rusqlite::Connection;

use crate::common::{Folder, feedmill, rows};

const PIPELINE: &str = r#"
[feed.sales]
files   = ["sales.csv"]
columns = "item TEXT NOT NULL, day DATE NOT NULL, price DECIMAL(8,2) NOT NULL"

[table.days]
temporary   = true
primary_key = ["day", "item"]
sql         = "SELECT item, day, sum(price) AS revenue, rank() OVER (ORDER BY sum(price)) AS place FROM sales GROUP BY day, item"

[table.items]
temporary   = true
primary_key = ["item"]
sql         = "SELECT item, count(*) AS sold FROM sales GROUP BY item"

[table.dear]
temporary = true
sql       = "SELECT item, price FROM sales WHERE price > 5"

[table.steps]
temporary   = true
primary_key = ["item"]
sql         = "SELECT item, max(place) AS place FROM days GROUP BY item"

[table.result]
primary_key = ["item"]
sql = """
SELECT item, sold, place, (SELECT count(*) FROM dear WHERE dear.item = items.item) AS dear
FROM items JOIN steps USING (item) ORDER BY item
"""

[[report]]
title = "Steps"
sql   = "SELECT item, place, sold FROM steps JOIN items USING (item) JOIN result USING (item, sold, place) ORDER BY item"
"#;

const SALES: &str = "item,day,price\ntea,2026-01-02,1.50\njam,2026-01-01,6.00\ntea,2026-01-01,7.25\njam,2026-01-01,x\n";

fn folder(pipeline: &str) -> Folder {
    let folder = Folder::new();
    folder.write("sales.csv", SALES);
    folder.write("p.toml", pipeline);
    folder
}

fn command(folder: &Folder, words: &[&str]) -> Output {
    feedmill().args(words).current_dir(folder.path("")).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the schema of the database has, but for feedmill's own.
fn names(folder: &Folder) -> Vec<String> {
    let database = Connection::open(folder.database()).unwrap();
    rows(&database, "SELECT name FROM sqlite_schema WHERE name NOT LIKE '%_feedmill%' ORDER BY name").concat()
}

const RUN: [&str; 5] = ["run", "p.toml", "--db", "out.db", "--allow-rejects"];

#[test]
fn steps_are_read_and_not_published() {
    let folder = folder(PIPELINE);
    for (writer, again) in [("auto", false), ("auto", true), ("insert", false), ("insert", true)] {
        if !again {
            let _ = std::fs::remove_file(folder.database());
        }
        let output = command(&folder, &[&RUN[..], &["--writer", writer]].concat());
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(shown.contains("days  3 rows, temporary\n"), "{shown}");
        assert!(shown.contains("result  2 rows into out.db\n"), "{shown}");
        assert!(shown.contains("jam       2     1\n"), "{shown}");
        assert_eq!(names(&folder), ["'result'", "'sqlite_autoindex_result_1'"]);
        let database = Connection::open(folder.database()).unwrap();
        assert_eq!(
            rows(&database, "SELECT * FROM result"),
            [["'jam'", "1", "2", "1"], ["'tea'", "2", "3", "1"]].map(|row| row.map(str::to_owned).to_vec())
        );
        let unused = rows(&database, "PRAGMA freelist_count").concat();
        assert!(again || unused == ["0"], "{unused:?} pages of garbage, {writer}");
    }
}

#[test]
fn all_is_as_if_the_steps_were_published() {
    let temporary = folder(PIPELINE);
    temporary.run(&temporary.plan(PIPELINE), &Options::default()).unwrap();
    let published = folder(PIPELINE);
    let figures =
        published.run(&published.plan(&PIPELINE.replace("temporary", "#")), &Options::default()).unwrap().tables;
    assert!(figures.contains(&TableFigures { name: "dear".to_owned(), rows: 2, is_temporary: false }));
    let result = |folder: &Folder| rows(&Connection::open(folder.database()).unwrap(), "SELECT * FROM result");
    assert_eq!(result(&temporary), result(&published));
    assert_eq!(names(&published).len(), 9);
    // Once they are temporary, what was published of them would only grow old.
    published.run(&published.plan(PIPELINE), &Options::default()).unwrap();
    assert_eq!(names(&published), ["'result'", "'sqlite_autoindex_result_1'"]);
}

#[test]
fn tables_of_others_are_hidden_and_left_alone() {
    let folder = folder(PIPELINE);
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch("CREATE TABLE steps (theirs); INSERT INTO steps VALUES (1)").unwrap();
    let output = command(&folder, &RUN);
    assert!(text(&output.stdout).contains("jam       2     1\n"), "{}", text(&output.stderr));
    assert_eq!(rows(&database, "SELECT * FROM steps"), [["1"]]);
}

#[test]
fn they_are_explained_checked_and_verified() {
    let folder = folder(PIPELINE);
    let explained = text(&command(&folder, &["explain", "p.toml"]).stdout);
    assert!(explained.contains("\ntable steps, temporary, primary key (item): made by SQLite"), "{explained}");
    assert!(text(&command(&folder, &["check", "p.toml"]).stdout).contains("dear: 2 rows from this sample"));
    let verified = command(&folder, &["verify", "p.toml"]);
    assert_eq!(
        text(&verified.stdout),
        "sales: 4 records by both engines\ndays: 3 rows compared\nitems: 2 rows compared\ndear: 2 rows compared\n\
         steps: 2 rows compared\nresult: 2 rows compared\n1 dead letter compared\nno difference\n"
    );
    let json = text(&command(&folder, &[&RUN[..], &["--json"]].concat()).stdout);
    assert!(json.contains("\"steps\": {\n      \"rows\": 2,\n      \"temporary\": true\n    }"), "{json}");
}

#[test]
fn two_rows_with_one_key_are_an_error() {
    let folder = folder(&PIPELINE.replace("max(place) AS place FROM days GROUP BY item", "place FROM days"));
    let output = command(&folder, &RUN);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("two rows of table `steps` have the same primary key (item = 'tea')"), "{said}");
    assert!(!folder.database().exists());
}

#[test]
fn what_cannot_be_temporary_is_underlined() {
    let incremental = "[incremental]\nfeed = \"sales\"\nmode = \"append\"\n";
    let all = PIPELINE.replace("[table.result]", "[table.result]\ntemporary = true");
    let keyed = PIPELINE.replace("[table.dear]", "[table.dear]\nprimary_key = [\"item\"]");
    let grouped = PIPELINE.replace("SELECT item, price FROM sales WHERE price > 5", "SELECT item FROM steps");
    for (pipeline, message, underlined) in [
        (all, "all tables are temporary, so that nothing would be published", "true"),
        (grouped + incremental, "the tables of the feed of [incremental] are kept for the next run", "true"),
        (keyed, "and this one is temporary", "dear"),
        (PIPELINE.replace("= true", "= 1"), "invalid type: integer `1`, expected a boolean", "1"),
    ] {
        let folder = folder(&pipeline);
        let error = Plan::load(&folder.path("p.toml"), &Settings::default()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let excerpt = error.excerpt().unwrap();
        assert_eq!(&excerpt.text[excerpt.span.clone()], underlined, "{error}");
    }
}

#[test]
fn a_replay_needs_more_than_the_database_has() {
    let loaded = "[feed.more]\nfiles = [\"sales.csv\"]\ncolumns = \"item TEXT, day DATE, price DECIMAL(8,2)\"\n\
                  [table.loaded]\nsql = \"SELECT item, day FROM more\"\n";
    let folder = folder(&format!("{PIPELINE}\n{loaded}"));
    assert!(command(&folder, &RUN).status.success());
    let output = command(&folder, &["replay", "errors.csv", "p.toml", "--db", "out.db"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the temporary table `days` is made of records that a replay does not read"), "{said}");
}
