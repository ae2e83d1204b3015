//! Pipelines, lookups, parameters and databases that have changed since the last run.

use rusqlite::Connection;

use crate::workdir::Workdir;
use crate::{SALES, assert_is_full, folder, known, rows, run};

const FIRST: &str = "day,item,amount,seen\n2026-01-01,tea,1.50,\n2026-01-01,milk,0.80,\n";
const BOTH: &str = "day,item,amount,seen\n2026-01-01,tea,1.50,\n2026-01-01,milk,0.80,\n2026-01-02,tea,4,\n";

fn started() -> Workdir {
    let dir = folder(SALES).put("day.csv", FIRST);
    run(&dir, "");
    dir.put("day.csv", BOTH)
}

#[test]
fn a_changed_pipeline_is_processed_as_a_whole() {
    for (old, new) in [
        ("count(*) AS sales", "count(*) AS sales, max(amount) AS most"),
        ("sum(amount) AS amount", "sum(amount) * 2 AS amount"),
        ("amount < 1", "amount < 2"),
        ("amount >= 0", "amount >= 1"),
        ("nullify = [\"seen\"]", "nullify = []"),
        ("item <> 'none'", "item <> 'milk'"),
        ("[\"shop\", \"day\", \"item\"]", "[\"shop\", \"item\", \"day\"]"),
    ] {
        let dir = started().put("p.toml", SALES.replace(old, new));
        let summary = run(&dir, "");
        assert_eq!(known(&summary), (0, Some("the pipeline or a lookup has changed")), "{new}");
        assert_is_full(&dir, "");
        assert_eq!(known(&run(&dir, "")).1, None, "and from there on it goes on");
    }
}

#[test]
fn a_changed_lookup_changes_old_rows() {
    let joined = SALES
        .replace(
            "[table",
            "[lookup.kinds]\nfile = \"kinds.csv\"\ncolumns = \"item TEXT PRIMARY KEY, kind TEXT\"\n\n[table",
        )
        .replace("count(*) AS sales", "count(kind) AS sales")
        .replace("FROM sales", "FROM sales LEFT JOIN kinds USING (item)");
    let dir = folder(&joined).put("kinds.csv", "item,kind\ntea,drink\n").put("day.csv", FIRST);
    run(&dir, "");
    dir.write("day.csv", BOTH);
    assert_eq!(known(&run(&dir, "")), (2, None));
    dir.write("kinds.csv", "item,kind\ntea,drink\nmilk,drink\n");
    assert_eq!(known(&run(&dir, "")).1, Some("the pipeline or a lookup has changed"));
    assert_is_full(&dir, "");
}

#[test]
fn a_full_refresh_starts_over() {
    let dir = started();
    let summary = run(&dir, "--full-refresh");
    assert_eq!(known(&summary), (0, Some("--full-refresh")));
    assert_is_full(&dir, "");
    assert_eq!(known(&run(&dir, "")), (3, None));
}

#[test]
fn a_run_without_increments_leaves_nothing_to_go_on_from() {
    let dir = started();
    dir.feedmill("run p.toml --db out.db --no-incremental -q").succeeds();
    assert_is_full(&dir, "");
    assert_eq!(known(&run(&dir, "")), (0, None));
    assert_is_full(&dir, "");
}

#[test]
fn clients_live_side_by_side() {
    let dir = started().put("south.csv", BOTH.replace("tea", "coffee"));
    let south = "--param shop=south south.csv";
    assert_eq!(known(&run(&dir, south)), (0, None));
    assert_eq!(known(&run(&dir, "")), (2, None));
    assert_eq!(dir.query("out.db", "SELECT shop, count(*) FROM by_item GROUP BY shop"), ["north|3", "south|3"]);
    dir.write("south.csv", format!("{}2026-01-02,cake,1,\n", BOTH.replace("tea", "coffee")));
    let summary = run(&dir, south);
    assert_eq!((known(&summary), summary["tables"]["by_item"]["rows"].as_u64()), ((3, None), Some(4)));
    // What one of them starts over leaves the other one alone.
    assert_eq!(known(&run(&dir, "--full-refresh")).1, Some("--full-refresh"));
    assert_eq!(known(&run(&dir, south)), (4, None));
    let all = rows(&dir, "out.db", "by_item");
    dir.feedmill("run p.toml --db north.db -q --no-incremental").succeeds();
    dir.feedmill(&format!("run p.toml --db south.db -q --no-incremental {south}")).succeeds();
    let mut alone = [rows(&dir, "north.db", "by_item"), rows(&dir, "south.db", "by_item")].concat();
    alone.sort();
    assert_eq!(all, alone);
    // Another client's file under this client's parameters is another content.
    let summary = run(&dir, "south.csv");
    assert!(known(&summary).1.unwrap().contains("south.csv does not begin with"), "{summary}");
    assert_eq!(dir.query("out.db", "SELECT count(*) FROM by_item WHERE item = 'tea'"), ["0"]);
}

#[test]
fn rows_of_two_versions_are_never_mixed() {
    let dir = started().put("south.csv", BOTH);
    run(&dir, "--param shop=south south.csv");
    dir.write("p.toml", SALES.replace("sum(amount) AS amount", "sum(amount) * 2 AS amount"));
    let before = rows(&dir, "out.db", "by_item");
    dir.feedmill("run p.toml --db out.db").fails(1, &["rows of other parameters", "another version", "--full-refresh"]);
    assert_eq!(rows(&dir, "out.db", "by_item"), before);
    let summary = run(&dir, "--full-refresh");
    assert!(known(&summary).1.unwrap().contains("those of other parameters too"), "{summary}");
    assert_is_full(&dir, "");
    assert_eq!(known(&run(&dir, "--param shop=south south.csv")), (0, None));
}

#[test]
fn parameters_that_are_not_in_the_key_are_refused() {
    let pipeline = SALES.replace("[\"shop\", \"day\", \"item\"]", "[\"day\", \"item\"]");
    let dir = folder(&pipeline).put("day.csv", FIRST);
    run(&dir, "");
    let refused = &["was made with other parameters", "another --db", "primary key", "--full-refresh"];
    dir.feedmill("run p.toml --db out.db --param shop=south").fails(1, refused);
    run(&dir, "--param shop=south --full-refresh");
    assert_eq!(dir.query("out.db", "SELECT DISTINCT shop FROM by_item"), ["south"]);
}

#[test]
fn databases_that_others_have_changed() {
    let edit = |sql: &str| {
        let dir = started();
        Connection::open(dir.path("out.db")).unwrap().execute_batch(sql).unwrap();
        dir
    };
    let newer = edit("UPDATE _feedmill_increments SET version = 99");
    newer.feedmill("run p.toml --db out.db").fails(1, &["a newer version of feedmill"]);

    let altered = edit("ALTER TABLE by_item ADD COLUMN note TEXT");
    altered.feedmill("run p.toml --db out.db").fails(1, &["cannot replace the table `by_item`", "altered"]);
    run(&altered, "--mode replace");
    assert_is_full(&altered, "");

    let dropped = edit("DROP TABLE by_item");
    assert_eq!(known(&run(&dropped, "")).0, 0);
    assert_is_full(&dropped, "");

    let damaged = edit("UPDATE _feedmill_groups SET state = x'00'");
    damaged.write("day.csv", format!("{BOTH}2026-01-01,tea,1,\n"));
    damaged.feedmill("run p.toml --db out.db").fails(1, &["damaged", "--full-refresh"]);
    run(&damaged, "--full-refresh");
    assert_is_full(&damaged, "");

    let moved = edit("VACUUM");
    assert_eq!(known(&run(&moved, "")), (2, None));
    assert_is_full(&moved, "");
}

#[test]
fn a_database_in_use_is_waited_for_and_left_alone() {
    let dir = started();
    let other = Connection::open(dir.path("out.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = rows(&dir, "out.db", "by_item");
    dir.feedmill("run p.toml --db out.db").fails(1, &["locked by another process"]);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(rows(&dir, "out.db", "by_item"), before);
    assert_eq!(known(&run(&dir, "")), (2, None));
    assert_is_full(&dir, "");
}

#[test]
fn what_cannot_be_incremental_is_refused() {
    for (old, new, words) in [
        ("feed = \"sales\"\nmode", "feed = \"salse\"\nmode", "there is no feed `salse`"),
        ("mode = \"append\"", "mode = \"apend\"", "there is no mode `apend`"),
        ("mode = \"append\"", "mode = \"append\"\nlag = 2", "only mode = \"watermark\" has this"),
        ("mode = \"append\"", "mode = \"watermark\"", "a watermark needs the column"),
        ("mode = \"append\"", "mode = \"watermark\"\ncolumn = \"dya\"", "no column `dya`"),
        ("mode = \"append\"", "mode = \"watermark\"\ncolumn = \"item\"", "may be NULL"),
        ("mode = \"append\"", "mode = \"watermark\"\ncolumn = \"amount\"", "not a DECIMAL"),
        (
            "GROUP BY day, item",
            "GROUP BY day, item LIMIT 3\"\"\"\n[table.rows]\nsql = \"\"\"SELECT day FROM sales",
            "a table of rows",
        ),
    ] {
        let dir = folder(&SALES.replace(old, new)).put("day.csv", FIRST);
        dir.feedmill("check p.toml").fails(2, &[words]);
    }
}
