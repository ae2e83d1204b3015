//! What the next file may be: the same, longer, shorter, changed, out of order, somebody else's, several, a pipe.

use std::fmt::Write as _;

use crate::common::zip_of;
use crate::workdir::Workdir;
use crate::{SALES, assert_is_full, folder, known, rows, run};

const FIRST: &str =
    "day,item,amount,seen\n2026-01-01,tea,1.50,\n2026-01-01,milk,0.80,never\n2026-01-02,,3.00,2026-01-01\n";
const MORE: &str = "2026-01-03,tea,2.25,\n2026-01-01,tea,0.10,\n2026-01-02,none,9.99,\nbad,tea,1,\n";

fn started() -> Workdir {
    let dir = folder(SALES).put("day.csv", FIRST);
    assert_eq!(known(&run(&dir, "")), (0, None));
    dir
}

#[test]
fn late_rows_are_right_and_only_what_is_new_is_read() {
    let dir = started().put("next.csv", format!("{FIRST}{MORE}"));
    let summary = run(&dir, "next.csv");
    assert_eq!(known(&summary), (3, None));
    let feed = &summary["feeds"]["sales"];
    assert_eq!((feed["read"].as_u64(), feed["loaded"].as_u64()), (Some(7), Some(5)));
    assert_eq!((feed["filtered"].as_u64(), feed["rejected"].as_u64()), (Some(1), Some(1)));
    assert_eq!(feed["counters"]["cheap"].as_u64(), Some(2));
    assert_eq!(feed["nullified"]["seen"].as_u64(), Some(1));
    assert_eq!(feed["bytes_read"].as_u64(), Some(MORE.len() as u64));
    assert_eq!(summary["tables"]["by_item"]["rows"].as_u64(), Some(4));
    let letters = dir.dead_letters();
    assert_eq!(letters.len(), 1, "dead letters are those of the new part");
    assert_eq!((letters[0].line, letters[0].record, letters[0].byte_offset), (8, 7, FIRST.len() + MORE.len() - 11));
    assert_is_full(&dir, "next.csv");
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let dir = started();
    let before = std::fs::read(dir.path("out.db")).unwrap();
    let summary = run(&dir, "");
    assert_eq!(known(&summary), (3, None));
    assert_eq!(summary["feeds"]["sales"]["read"].as_u64(), Some(3));
    assert_eq!(summary["tables"]["by_item"]["rows"].as_u64(), Some(3));
    assert!(std::fs::read(dir.path("out.db")).unwrap() == before, "the database was written to");
}

#[test]
fn rejects_of_earlier_runs_are_counted_and_no_reason_to_exit_with_3() {
    let dir = folder(SALES).put("day.csv", format!("{FIRST}bad,tea,1,\n"));
    dir.feedmill("run p.toml --db out.db -q").exits(3);
    dir.write("day.csv", format!("{FIRST}bad,tea,1,\n2026-01-03,tea,1,\n"));
    dir.feedmill("run p.toml --db out.db -q").succeeds();
    assert!(!dir.has("errors.csv"), "dead letters are those of the new part");
    dir.write("day.csv", format!("{FIRST}bad,tea,1,\n2026-01-03,tea,1,\nbad,x,1,\n"));
    // The limit is one of the whole, as it is for a full run.
    dir.feedmill("run p.toml --db out.db -q --max-errors 1").exits(4);
    dir.feedmill("run p.toml --db out.db -q --max-errors 2").exits(3);
    assert_is_full(&dir, "");
}

/// A file that does not go on with what is known is processed as a whole, and named; or refused, and nothing changes.
#[track_caller]
fn changed(content: impl AsRef<[u8]>, words: &[&str]) {
    let dir = started().put("next.csv", content);
    let before = rows(&dir, "out.db", "by_item");
    dir.feedmill("run p.toml next.csv --db out.db --allow-rejects --on-changed-prefix fail")
        .fails(1, words)
        .says(&["nothing was changed"]);
    assert_eq!(rows(&dir, "out.db", "by_item"), before);
    let outcome = dir.feedmill("run p.toml next.csv --db out.db --allow-rejects").exits(0);
    outcome.says(&["warning: processed as a whole"]).says(words);
    assert_is_full(&dir, "next.csv");
    // And from there on it goes on.
    let summary = run(&dir, "next.csv");
    assert_eq!(known(&summary).1, None);
    assert!(known(&summary).0 > 0);
}

#[test]
fn a_shorter_file_is_another_one() {
    changed(&FIRST[..FIRST.len() - 22], &["next.csv is shorter than what was processed of", "day.csv: 3 records"]);
    changed(zip_of(&[("x.csv", &FIRST.as_bytes()[..43])]), &["next.csv!x.csv is shorter than"]);
}

#[test]
fn a_byte_that_has_changed_is_seen_wherever_it_is() {
    for at in [21, 40, FIRST.len() - 2] {
        let mut bytes = format!("{FIRST}{MORE}").into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'0' } else { b'1' };
        changed(&bytes, &["next.csv does not begin with what was processed of", "day.csv: 3 records"]);
    }
    changed(
        format!("{FIRST}{MORE}").replace("seen", "SEEN").replace("SEEN", "seen,new").replace(",\n", ",,\n"),
        &["does not begin"],
    );
}

#[test]
fn a_record_without_a_line_end_may_be_the_beginning_of_a_longer_one() {
    for (before, after, is_known) in [
        ("2026-01-05,tea,1,", "2026-01-05,tea,1,\n2026-01-05,tea,2,\n", true),
        ("2026-01-05,tea,1,", "2026-01-05,tea,1,\r\n2026-01-05,tea,2,", true),
        ("2026-01-05,tea,1,", "2026-01-05,tea,1,2026-01-01\n", false),
        ("2026-01-05,tea,1,", "2026-01-05,tea,1,\n", true),
        ("2026-01-05,\"tea\",1,\"", "2026-01-05,\"tea\",1,\"\n\"\n", false),
        ("2026-01-05,\"tea", "2026-01-05,\"tea\",1,\n", false),
        ("2026-01-05,tea,1,\r", "2026-01-05,tea,1,\r\n", false),
    ] {
        let dir = folder(SALES).put("day.csv", format!("{FIRST}{before}"));
        run(&dir, "");
        dir.write("day.csv", format!("{FIRST}{after}"));
        let summary = run(&dir, "");
        assert_eq!(known(&summary).1.is_none(), is_known, "{before:?} {after:?}");
        assert_is_full(&dir, "");
        dir.write("day.csv", format!("{FIRST}{after}{MORE}"));
        run(&dir, "");
        assert_is_full(&dir, "");
    }
}

#[test]
fn days_out_of_order_and_days_that_are_missing() {
    let days: Vec<String> = (1..=4).map(|day| format!("{FIRST}{}", MORE.repeat(day))).collect();
    let dir = started();
    for (day, is_known) in [(1, true), (3, true), (0, false), (2, true), (1, false), (3, true)] {
        dir.write("day.csv", &days[day]);
        assert_eq!(known(&run(&dir, "")).1.is_none(), is_known, "day {day}");
        assert_is_full(&dir, "");
    }
}

#[test]
fn several_files_and_members_grow_by_files_members_and_rows() {
    let dir = folder(&SALES.replace("day.csv", "in_*"));
    let header = "day,item,amount,seen\n";
    let member = |rows: &str| format!("{header}{rows}");
    dir.write("in_1.csv", member("2026-01-01,tea,1,\n"));
    dir.write("in_2.zip", zip_of(&[("a", member("2026-01-01,tea,2,\n").as_bytes())]));
    assert_eq!(known(&run(&dir, "")), (0, None));
    assert_is_full(&dir, "");
    // A new file, a new member, and more rows in an old one.
    dir.write("in_1.csv", member("2026-01-01,tea,1,\n2026-01-02,milk,4,\nbad,,,\n"));
    let members = [member("2026-01-01,tea,2,\n"), member("2026-01-02,tea,8,\n")];
    dir.write("in_2.zip", zip_of(&[("a", members[0].as_bytes()), ("b", members[1].as_bytes())]));
    dir.write("in_3.csv", member("2026-01-03,tea,16,\n"));
    let summary = run(&dir, "");
    assert_eq!(known(&summary), (2, None));
    assert_eq!(summary["feeds"]["sales"]["read"].as_u64(), Some(6));
    assert_is_full(&dir, "");
    std::fs::remove_file(dir.path("in_3.csv")).unwrap();
    assert_eq!(known(&run(&dir, "")).1, Some("in_3.csv is not among the inputs any more"));
    assert_is_full(&dir, "");
}

#[test]
fn pipes_go_on_but_are_not_read_twice() {
    let dir = started();
    let outcome = dir.feedmill_on("run p.toml - --db out.db --json --allow-rejects", format!("{FIRST}{MORE}")).exits(0);
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(known(&summary), (3, None));
    dir.write("day.csv", format!("{FIRST}{MORE}"));
    assert_is_full(&dir, "");
    let other = format!("{FIRST}{MORE}").replace("tea", "tee");
    dir.feedmill_on("run p.toml - --db out.db", other.clone()).fails(1, &["stdin does not begin", "--full-refresh"]);
    dir.feedmill_on("run p.toml - --db out.db --full-refresh --allow-rejects -q", other.clone()).exits(0);
    dir.write("day.csv", other);
    assert_is_full(&dir, "");
}

#[test]
fn other_encodings_go_on_too() {
    let latin = |text: &str| text.chars().map(|char| char as u8).collect::<Vec<u8>>();
    let dir = folder(&SALES.replace("nullify", "encoding = \"latin1\"\nnullify"));
    dir.write("day.csv", latin(&FIRST.replace("tea", "th\u{e9}")));
    run(&dir, "");
    dir.write("day.csv", latin(&format!("{FIRST}{MORE}").replace("tea", "th\u{e9}")));
    assert_eq!(known(&run(&dir, "")), (3, None));
    assert_is_full(&dir, "");
}

#[test]
fn a_prefix_of_many_sections_is_hashed_by_all_threads() {
    let mut text = "day,item,amount,seen\n".to_owned();
    for number in 0..200_000 {
        writeln!(text, "2026-01-{:02},item {},{}.25,", number % 28 + 1, number % 11, number % 97).unwrap();
    }
    for threads in [1, 2, 8] {
        let dir = folder(SALES).put("day.csv", &text);
        let first = run(&dir, &format!("--threads {threads}"));
        dir.write("day.csv", format!("{text}{MORE}"));
        let second = run(&dir, &format!("--threads {threads}"));
        assert_eq!((known(&first), known(&second)), ((0, None), (200_000, None)));
        assert_is_full(&dir, "");
    }
}
