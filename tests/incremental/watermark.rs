//! `mode = "watermark"`: what is above it is made anew, ties are counted once, and the state does not grow.

use crate::workdir::Workdir;
use crate::{SALES, assert_is_full, folder, known, rows};

const HEADER: &str = "day,item,amount,seen\n";

fn pipeline(options: &str) -> String {
    SALES.replace("mode = \"append\"", &format!("mode = \"watermark\"\ncolumn = \"day\"\n{options}"))
}

fn sales(days: std::ops::RangeInclusive<u32>, each: u32) -> String {
    let line = |(day, sale): (u32, u32)| format!("2026-01-{day:02},item {},{}.50,\n", sale % 3, sale + day);
    days.flat_map(|day| (0..each).map(move |sale| (day, sale))).map(line).collect()
}

#[track_caller]
fn run(dir: &Workdir, content: &str) -> serde_json::Value {
    dir.write("day.csv", content);
    crate::run(dir, "")
}

#[test]
fn days_above_the_watermark_are_all_that_is_taken() {
    let dir = folder(&pipeline(""));
    let first = format!("{HEADER}{}", sales(1..=3, 5));
    assert_eq!(known(&run(&dir, &first)), (0, None));
    let both = format!("{first}{}", sales(4..=6, 5));
    let summary = run(&dir, &both);
    let feed = &summary["feeds"]["sales"];
    assert_eq!(
        (feed["read"].as_u64(), feed["skipped"].as_u64(), feed["loaded"].as_u64()),
        (Some(30), Some(15), Some(15))
    );
    assert_eq!(summary["tables"]["by_item"]["rows"].as_u64(), Some(18));
    assert_is_full(&dir, "");
    assert_eq!(dir.query("out.db", "SELECT count(*) FROM _feedmill_groups"), ["0"], "the state grows with the rows");
    assert_eq!(dir.query("out.db", "SELECT count(*) FROM _feedmill_prefixes"), ["0"]);
}

#[test]
fn ties_on_the_watermark_are_counted_once() {
    // Without a lag, what comes later on the day of the watermark is late, like everything below it.
    let dir = folder(&pipeline(""));
    let first = format!("{HEADER}{}", sales(1..=3, 5));
    run(&dir, &first);
    let before = rows(&dir, "out.db", "by_item");
    run(&dir, &format!("{first}2026-01-03,tea,1,\n2026-01-01,tea,1,\n"));
    assert_eq!(rows(&dir, "out.db", "by_item"), before);

    // With a lag, the days within it are deleted and inserted again, and nothing is counted twice.
    let dir = folder(&pipeline("lag = 2"));
    run(&dir, &first);
    let mut content = first;
    for more in
        ["2026-01-03,tea,1,\n", "2026-01-02,tea,1,\n2026-01-04,milk,2,\n", "2026-01-03,milk,1,\n2026-01-05,x,1,\n"]
    {
        content.push_str(more);
        run(&dir, &content);
        assert_is_full(&dir, "");
    }
    let before = rows(&dir, "out.db", "by_item");
    run(&dir, &content);
    assert_eq!(rows(&dir, "out.db", "by_item"), before, "the same file again");
    content.push_str("2026-01-01,tea,1,\n");
    run(&dir, &content);
    assert_eq!(
        rows(&dir, "out.db", "by_item"),
        before,
        "what is later than the lag is missed: append does not miss it"
    );
}

#[test]
fn numbers_and_timestamps_have_watermarks_too() {
    for (declared, values, lag) in [
        ("day INTEGER NOT NULL", ["9", "10", "11"], "lag = 1"),
        ("day TIMESTAMP NOT NULL", ["2026-01-09 23:00:00", "2026-01-10 22:00:00.5", "2026-01-11 00:00:00"], "lag = 1"),
        ("day TIMESTAMP NOT NULL", ["2026-01-09 23:00:00", "2026-01-10 22:00:00", "2026-01-10 22:00:00.5"], ""),
    ] {
        let dir = folder(&pipeline(lag).replace("day DATE NOT NULL", declared));
        let line = |value: &str| format!("{value},tea,1,\n");
        let mut content = format!("{HEADER}{}{}", line(values[0]), line(values[1]));
        run(&dir, &content);
        content += &line(values[2]);
        run(&dir, &content);
        assert_is_full(&dir, "");
    }
}

#[test]
fn what_has_changed_is_refused_because_old_rows_are_not_read() {
    let dir = folder(&pipeline(""));
    let first = format!("{HEADER}{}", sales(1..=3, 5));
    run(&dir, &first);
    dir.write("p.toml", pipeline("").replace("sum(amount) AS amount", "sum(amount) * 2 AS amount"));
    dir.feedmill("run p.toml --db out.db").fails(1, &["another version of this pipeline", "--full-refresh"]);
    dir.feedmill("run p.toml --db out.db --full-refresh -q").succeeds();
    assert_is_full(&dir, "");
}

#[test]
fn clients_have_watermarks_of_their_own() {
    let dir = folder(&pipeline(""));
    let first = format!("{HEADER}{}", sales(1..=3, 5));
    run(&dir, &first);
    dir.feedmill("run p.toml --db out.db -q --param shop=south").succeeds();
    run(&dir, &format!("{first}{}", sales(4..=5, 2)));
    assert_eq!(
        dir.query("out.db", "SELECT shop, count(DISTINCT day) FROM by_item GROUP BY shop"),
        ["north|5", "south|3"]
    );
}

#[test]
fn tables_and_windows_have_to_go_by_the_column() {
    for (old, new) in [
        ("AS shop, day,", "AS shop, day + 0 AS day,"),
        ("PARTITION BY day", "PARTITION BY item"),
        ("PARTITION BY day", "ORDER BY day"),
    ] {
        let pipeline = pipeline("").replace(old, new);
        let dir = folder(&pipeline).put("day.csv", HEADER);
        dir.feedmill("check p.toml").fails(2, &["group by the column of the watermark", "mode = \"append\""]);
    }
}
