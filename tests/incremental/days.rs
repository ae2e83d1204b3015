//! The shipped pipeline over its generated days: both clients in one database, one day after the other, against full runs.

use std::fs;
use std::path::Path;

use crate::rows;
use crate::workdir::Workdir;

const DAYS: usize = 10;

/// A folder with the preset in `p.toml` and small feeds in `data`.
fn generated(arguments: &str) -> Workdir {
    let dir = Workdir::new().put("p.toml", feedmill::presets::find("transactions").unwrap().text);
    dir.feedmill(&format!("generate transactions --out data -q --base-rows 4000 --daily-rows 700 {arguments}"))
        .succeeds();
    dir
}

fn file(client: usize, day: usize, extension: &str) -> String {
    format!("data/client_{client}/transactions_day_{day}.{extension}")
}

fn processed(dir: &Workdir, db: &str, client: usize) -> Vec<String> {
    let owner = format!("'client_{client}'");
    rows(dir, db, "processed_sales").into_iter().filter(|row| row.starts_with(&owner)).collect()
}

#[track_caller]
fn assert_days(dir: &Workdir, extension: &str, threads: impl Fn(usize) -> usize) {
    for day in 1..=DAYS {
        for client in [1, 2] {
            let file = file(client, day, extension);
            let run = format!("run p.toml {file} --dir data --param client_id=client_{client} --json");
            let outcome = dir.feedmill(&format!("{run} --db out.db --threads {}", threads(day + client))).succeeds();
            let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
            let known = &summary["feeds"]["transactions"]["known"];
            let expected = if day == 1 { 0 } else { 4000 + 700 * (day as u64 - 2) };
            assert_eq!(known["records"].as_u64(), Some(expected), "{summary}");
            if day % 3 == 1 {
                let _ = fs::remove_file(dir.path("full.db"));
                dir.feedmill(&format!("{run} --db full.db --no-incremental")).succeeds();
                let (left, right) = (processed(dir, "out.db", client), processed(dir, "full.db", client));
                assert!(left == right, "client {client} day {day}");
                assert!(left.len() > 100);
            }
        }
    }
    assert_eq!(dir.query("out.db", "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn days_one_to_ten_are_day_ten() {
    assert_days(&generated(""), "zip", |_| 2);
}

#[test]
fn plain_days_by_any_number_of_threads() {
    assert_days(&generated("--plain"), "csv", |number| number % 8 + 1);
}

#[test]
fn late_rows_for_old_days_are_in_their_old_groups() {
    let dir = generated("--plain");
    let run = |db: &str, more: &str| {
        dir.feedmill(&format!("run p.toml late.csv --dir data -q --db {db} {more}")).succeeds();
    };
    let mut content = fs::read_to_string(dir.path(&file(1, 3, "csv"))).unwrap();
    dir.write("late.csv", &content);
    run("out.db", "");
    let old: Vec<String> = content.lines().skip(1).step_by(37).map(|line| format!("{line}\n")).collect();
    for part in old.chunks(60) {
        content.push_str(&part.concat());
        dir.write("late.csv", &content);
        run("out.db", "");
    }
    run("full.db", "--no-incremental");
    assert_eq!(processed(&dir, "out.db", 1), processed(&dir, "full.db", 1));
    assert!(Path::new(&dir.path("out.db")).exists());
}
