//! Incremental runs: whatever came before, the tables and the figures are those of a full run of the same content.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, which helpers do not have")]

mod changes;
mod content;
mod days;
mod kills;
mod pieces;
mod watermark;

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "a helper of the tests of loads, of which this needs a part")]
#[path = "../loads/job.rs"]
mod job;
#[allow(dead_code, reason = "a helper of the tests of the command, of which this needs a part")]
#[path = "../cli/workdir.rs"]
mod workdir;

use workdir::Workdir;

/// Sums by day and item, with a share that depends on all items of a day.
pub(crate) const SALES: &str = r#"
[params]
shop = "north"

[feed.sales]
files = ["day.csv"]
columns = "day DATE NOT NULL, item TEXT, amount DECIMAL(9,2) NOT NULL CHECK (amount >= 0), seen DATE"
nullify = ["seen"]

[feed.sales.count]
cheap = "amount < 1"

[incremental]
feed = "sales"
mode = "append"

[table.by_item]
primary_key = ["shop", "day", "item"]
sql = """
SELECT $shop AS shop, day, item, sum(amount) AS amount, count(*) AS sales, median(amount) AS middle,
       sum(amount) / sum(sum(amount)) OVER (PARTITION BY day) AS share
FROM sales WHERE item IS NULL OR item <> 'none' GROUP BY day, item
"""
"#;

/// A folder with the pipeline in `p.toml`.
pub(crate) fn folder(pipeline: &str) -> Workdir {
    Workdir::new().put("p.toml", pipeline)
}

/// The rows of a table, sorted, with all digits.
pub(crate) fn rows(dir: &Workdir, db: &str, table: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(dir.path(db)).unwrap();
    let mut rows: Vec<String> =
        common::rows(&database, &format!("SELECT * FROM \"{table}\"")).into_iter().map(|row| row.join(", ")).collect();
    rows.sort();
    rows
}

/// Asserts that `by_item` of `out.db` is that of a full run of some input.
#[track_caller]
pub(crate) fn assert_is_full(dir: &Workdir, arguments: &str) {
    let _ = std::fs::remove_file(dir.path("full.db"));
    dir.feedmill(&format!("run p.toml {arguments} --db full.db --no-incremental --allow-rejects -q --errors full.csv"))
        .exits(0);
    assert_eq!(rows(dir, "out.db", "by_item"), rows(dir, "full.db", "by_item"));
}

/// Runs the pipeline into `out.db` and returns its summary.
#[track_caller]
pub(crate) fn run(dir: &Workdir, arguments: &str) -> serde_json::Value {
    let outcome = dir.feedmill(&format!("run p.toml --db out.db --json --allow-rejects {arguments}")).exits(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// What a summary says was known of the feed.
pub(crate) fn known(summary: &serde_json::Value) -> (u64, Option<&str>) {
    let known = &summary["feeds"]["sales"]["known"];
    (known["records"].as_u64().unwrap(), known["why_full"].as_str())
}
