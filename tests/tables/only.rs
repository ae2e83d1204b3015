//! `--only`: a pipeline for a few keys gives the rows that the whole run gives for them, and stays out of its tables.

use std::process::Output;

use rusqlite::Connection;

use crate::common::{Folder, feedmill, rows};

fn command(folder: &Folder, line: &str) -> Output {
    feedmill().args(line.split_whitespace()).current_dir(folder.path("")).output().unwrap()
}

fn succeeds(folder: &Folder, line: &str) -> String {
    let output = command(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that fails says.
fn fails(folder: &Folder, line: &str, code: i32) -> String {
    let output = command(folder, line);
    assert_eq!(output.status.code(), Some(code), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn select(folder: &Folder, db: &str, sql: &str) -> Vec<Vec<String>> {
    rows(&Connection::open(folder.path(db)).unwrap(), sql)
}

#[test]
fn one_user_is_as_in_the_run_of_all() {
    let folder = Folder::new();
    succeeds(&folder, "generate spendsense --users 40 --out . -q");
    folder.write("p.toml", succeeds(&folder, "init --preset spendsense"));
    succeeds(&folder, "run p.toml --db all.db");
    for (db, only, users) in [
        ("a.db", "--only user_id=U000003", vec!["U000003"]),
        ("b.db", "--only user_id=U000040", vec!["U000040"]),
        (
            "c.db",
            "--only user_id=U000017,U000002 --only USER_ID=U000030,U000002",
            vec!["U000002", "U000017", "U000030"],
        ),
    ] {
        let summary = succeeds(&folder, &format!("run p.toml --db {db} {only} --json"));
        for table in ["user_signals", "persona_assignments"] {
            let list = users.iter().map(|user| format!("'{user}'")).collect::<Vec<_>>().join(", ");
            let all = select(&folder, "all.db", &format!("SELECT * FROM {table} WHERE user_id IN ({list})"));
            assert_eq!(select(&folder, db, &format!("SELECT * FROM {table}")), all, "{only}");
            assert!(all.len() >= users.len());
        }
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        let feeds = summary["feeds"].as_object().unwrap();
        assert_eq!(feeds.len(), 3);
        for figures in feeds.values() {
            let [read, loaded, filtered] = ["read", "loaded", "filtered"].map(|name| figures[name].as_u64().unwrap());
            assert_eq!(read, loaded + filtered);
            assert!(loaded > 0 && filtered > loaded);
        }
    }
    let verified = succeeds(&folder, "verify p.toml --only user_id=U000005");
    assert!(verified.contains("persona_assignments: 1 row compared"), "{verified}");
    assert!(verified.ends_with("no difference\n"), "{verified}");
    assert!(succeeds(&folder, "explain p.toml --only user_id=U000005").starts_with("only rows with user_id=U000005\n"));
}

const PIPELINE: &str = r#"
[feed.sales]
files   = ["sales.csv"]
columns = "id INTEGER NOT NULL, shop TEXT NOT NULL, day DATE NOT NULL, price DECIMAL(8,2) NOT NULL"

[feed.visits]
files   = ["visits.csv"]
columns = "door TEXT, day DATE"

[feed.kept]
files   = ["sales.csv"]
columns = "id INTEGER PRIMARY KEY, shop TEXT"

[lookup.doors]
file    = "doors.csv"
columns = "door TEXT PRIMARY KEY, shop TEXT"

[table.sold]
sql = "SELECT shop, sum(price) AS revenue, rank() OVER (ORDER BY sum(price) DESC) AS place FROM sales GROUP BY shop"

[table.seen]
sql = "SELECT shop, count(*) AS visits FROM visits JOIN doors USING (door) GROUP BY shop"

[table.ids]
sql = "SELECT id, shop FROM kept"

[table.report]
sql = "SELECT shop, revenue, visits, (SELECT count(*) FROM doors) AS doors FROM sold LEFT JOIN seen USING (shop) ORDER BY shop"
"#;

fn shops() -> Folder {
    let folder = Folder::new();
    folder.write("p.toml", PIPELINE);
    folder.write(
        "sales.csv",
        "id,shop,day,price\n1,north,2026-01-01,2.50\n2,south,2026-01-01,9.00\n3,\"a, b\",2026-01-02,1.00\n4,north,2026-01-02,x\n5,north,2026-01-03,1.50\n",
    );
    folder.write("visits.csv", "door,day\nd1,2026-01-01\nd2,2026-01-01\nd9,2026-01-01\nd1,2026-01-02\n");
    folder.write("doors.csv", "door,shop\nd1,north\nd2,south\nd3,north\n");
    folder
}

const RUN: &str = "run p.toml --allow-rejects --db";

#[test]
fn every_feed_and_lookup_is_filtered() {
    let folder = shops();
    succeeds(&folder, &format!("{RUN} out.db --only shop=north"));
    assert_eq!(select(&folder, "out.db", "SELECT * FROM report"), [["'north'", "4.0", "2", "2"]]);
    assert_eq!(select(&folder, "out.db", "SELECT id FROM ids"), [["1"], ["4"], ["5"]]);
    assert_eq!(select(&folder, "out.db", "SELECT place FROM sold"), [["1"]], "a rank among these rows, not of all");
    let letters = String::from_utf8(folder.letters()).unwrap();
    assert!(letters.contains("invalid_decimal"), "bad records are bad whatever is taken");
    let mut quoted = feedmill();
    let line = format!("{RUN} two.db --only");
    quoted.args(line.split_whitespace()).arg("shop=\"a, b\",south").current_dir(folder.path(""));
    assert!(quoted.output().unwrap().status.success());
    assert_eq!(select(&folder, "two.db", "SELECT shop FROM report"), [["'a, b'"], ["'south'"]]);
    succeeds(&folder, &format!("{RUN} none.db --only shop=nowhere"));
    assert_eq!(select(&folder, "none.db", "SELECT count(*) FROM report"), [["0"]]);
}

#[test]
fn such_rows_are_not_mixed_with_others() {
    let folder = shops();
    let content = |db: &str| ["report", "ids"].map(|table| select(&folder, db, &format!("SELECT * FROM {table}")));
    succeeds(&folder, &format!("{RUN} all.db"));
    let all = content("all.db");
    for mode in ["", "--mode append", "--mode upsert"] {
        let said = fails(&folder, &format!("{RUN} all.db --only shop=north {mode}"), 1);
        assert!(said.contains("in all.db was not made for --only shop=north"), "{mode}: {said}");
        assert_eq!(content("all.db"), all);
    }
    succeeds(&folder, &format!("{RUN} part.db --only shop=south,north"));
    let part = content("part.db");
    assert_eq!((part[0].len(), part[1].len()), (2, 4));
    // The same again is the same; other keys, and all of them, are others.
    succeeds(&folder, &format!("{RUN} part.db --only shop=north,south"));
    assert_eq!(content("part.db"), part);
    let said = fails(&folder, &format!("{RUN} part.db --only shop=north"), 1);
    assert!(said.contains("was not made for --only shop=north"), "{said}");
    for mode in ["", "--mode append"] {
        let said = fails(&folder, &format!("{RUN} part.db {mode}"), 1);
        assert!(said.contains("the table `ids` in part.db was made for --only shop=north,south"), "{said}");
    }
    let said = fails(&folder, "replay errors.csv p.toml --db part.db", 1);
    assert!(said.contains("was made for --only"), "{said}");
    assert_eq!(content("part.db"), part);
    succeeds(&folder, &format!("{RUN} part.db --only shop=north --mode replace"));
    assert_eq!(content("part.db")[1].len(), 3);
    succeeds(&folder, &format!("{RUN} part.db --mode replace"));
    assert_eq!(content("part.db"), all);
}

#[test]
fn groups_for_the_next_run_are_those_of_all_rows() {
    let folder = shops();
    folder.write("p.toml", format!("{PIPELINE}\n[incremental]\nfeed = \"sales\"\nmode = \"append\"\n"));
    succeeds(&folder, &format!("{RUN} part.db --only shop=north"));
    assert_eq!(
        select(&folder, "part.db", "SELECT name FROM sqlite_schema WHERE name = '_feedmill_groups'"),
        [[""; 0]; 0]
    );
    let folder = shops();
    folder.write("p.toml", format!("{PIPELINE}\n[incremental]\nfeed = \"sales\"\nmode = \"append\"\n"));
    succeeds(&folder, &format!("{RUN} all.db"));
    let said = fails(&folder, &format!("{RUN} all.db --only shop=north"), 1);
    assert!(said.contains("in all.db was not made for --only shop=north"), "{said}");
}

#[test]
fn what_cannot_be_is_told() {
    let folder = shops();
    for (only, message) in [
        ("--only shp=north", "--only shp: neither the feed `sales` nor a lookup joined here has that column"),
        ("--only shp=north", "did you mean `shop`?"),
        ("--only zzzzzz=1", "join a lookup that has it"),
        ("--only id=one", "--only id: `one` is not an INTEGER"),
        ("--only shop=north --only day=2026-01-01", "--only takes one column, and there are `shop` and `day`"),
        ("--only shop=", "--only shop: a value is missing"),
        ("--only shop=north,,south", "--only shop: a value is missing"),
        ("--only shop", "expected NAME=VALUE"),
        ("--only shop=north --full-refresh", "cannot be used with"),
    ] {
        let output = command(&folder, &format!("{RUN} out.db {only}"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{only}: {said}");
        assert!(said.contains(message), "{only}: {said}");
        assert!(!folder.path("out.db").exists());
    }
}
