//! Days between dates, when one of them is an aggregate or both are: SQLite has dates as text.

use feedmill::plan::{Plan, Settings};
use feedmill::run::Options;
use rusqlite::Connection;

use crate::common::{Folder, rows};

fn pipeline(list: &str) -> String {
    format!(
        "[params]\nlast = 2026-03-01\n[feed.f]\nfiles = [\"f.csv\"]\ncolumns = \"k TEXT, d DATE, seen TIMESTAMP\"\n\
         [table.t]\nsql = \"SELECT k, {list} FROM f GROUP BY k, date_trunc('year', d)\"\n"
    )
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("f.csv", "k,d,seen\na,2026-01-31,2026-01-01 10:00\na,2026-02-10,\nb,2024-02-28,\nc,,\n");
    folder
}

fn first_column(list: &str) -> Vec<String> {
    let folder = folder();
    let plan = folder.plan(&pipeline(&format!("{list} AS days")));
    folder.run(&plan, &Options::default()).unwrap();
    let database = Connection::open(folder.database()).unwrap();
    rows(&database, "SELECT days FROM t ORDER BY k").concat()
}

#[test]
fn days_between_aggregates_keys_and_parameters() {
    assert_eq!(first_column("$last - min(d)"), ["29", "732", "NULL"]);
    assert_eq!(first_column("min(d) - $last"), ["-29", "-732", "NULL"]);
    assert_eq!(first_column("max(d) - min(d)"), ["10", "0", "NULL"]);
    assert_eq!(first_column("max(d) - date_trunc('year', d)"), ["40", "58", "NULL"]);
    assert_eq!(first_column("(DATE '2026-03-01' - min(d)) + count(*)"), ["31", "733", "NULL"]);
    assert_eq!(first_column("coalesce($last - coalesce(min(d), $last), -1)"), ["29", "732", "0"]);
    assert_eq!(first_column("rank() OVER (ORDER BY $last - min(d) DESC)"), ["2", "1", "3"]);
}

#[test]
fn other_arithmetic_on_dates_is_refused() {
    for list in ["min(d) + 3", "max(seen) - min(seen)", "max(d) - min(seen)", "min(d) * 2"] {
        let folder = folder();
        let path = folder.write("p.toml", pipeline(&format!("{list} AS x")));
        let error = Plan::load(&path, &Settings::default()).unwrap_err();
        assert!(error.to_string().contains("only the days between two dates"), "{list}: {error}");
        let excerpt = error.excerpt().unwrap();
        // The spans of calls end in front of their last parenthesis.
        assert_eq!(excerpt.text[excerpt.span.clone()].trim_end_matches(')'), list.trim_end_matches(')'));
    }
}
