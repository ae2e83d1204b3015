//! The summary of a run: as text for people and as JSON for programs.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::chunk::Scalar;
use crate::cli::arguments::OutputArguments;
use crate::cli::text::{Cell, bytes, count, counted, seconds, table};
use crate::cli::{Manner, print};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::run::{FeedFigures, Figures, TableFigures};

/// Writes the summary to the file that it was asked for, and prints it as JSON or as `text`.
pub(super) fn show(figures: &Figures, output: &OutputArguments, manner: Manner, text: &str) -> Result<()> {
    let json = json(figures);
    if let Some(path) = &output.summary {
        std::fs::write(path, &json).map_err(|cause| Error::io(ErrorKind::Output, "write", path, &cause))?;
    }
    if output.json {
        print(&json)?;
    } else if !manner.quiet {
        print(text)?;
    }
    Ok(())
}

/// The summary as a JSON document.
fn json(figures: &Figures) -> String {
    let feeds: Map<String, Value> = figures.feeds.iter().map(|feed| (feed.name.clone(), feed_json(feed))).collect();
    let tables: Map<String, Value> = figures.tables.iter().map(table_json).collect();
    let stages: Map<String, Value> =
        figures.stages.iter().map(|(name, seconds)| ((*name).to_owned(), json!(seconds))).collect();
    let document = json!({
        "status": status(figures),
        "elapsed_seconds": figures.elapsed_seconds,
        "peak_rss_bytes": figures.peak_rss_bytes,
        "memory_limit_bytes": figures.memory_limit_bytes,
        "threads": figures.threads,
        "feeds": feeds,
        "tables": tables,
        "stages": stages,
        "dead_letters": figures.dead_letters,
    });
    format!("{document:#}\n")
}

fn status(figures: &Figures) -> &'static str {
    match figures.interrupted_at() {
        Some(_) => "interrupted",
        None if figures.newly_rejected() == 0 => "ok",
        None => "rejects",
    }
}

fn feed_json(feed: &FeedFigures) -> Value {
    let by_code: Map<String, Value> =
        feed.rejected_by_code.iter().map(|(code, records)| (code.as_str().to_owned(), json!(records))).collect();
    let counts = |pairs: &[(String, u64)]| -> Map<String, Value> {
        pairs.iter().map(|(name, number)| (name.clone(), json!(number))).collect()
    };
    json!({
        "inputs": feed.inputs,
        "bytes_read": feed.bytes_read,
        "read": feed.read,
        "loaded": feed.loaded,
        "duplicate": feed.duplicate,
        "filtered": feed.filtered,
        "rejected": feed.rejected,
        "skipped": feed.skipped,
        "known": feed.increment.as_ref().map(|known| json!({
            "records": known.known_records,
            "rejected": known.known_rejected,
            "bytes": known.known_bytes,
            "why_full": known.why_full,
        })),
        "resumed": feed.resumed,
        "interrupted_at": feed.interrupted_at.as_ref().map(ToString::to_string),
        "rejected_by_code": by_code,
        "groups_spilled": feed.groups_spilled,
        "nullified": counts(&feed.nullified),
        "counters": counts(&feed.counters),
    })
}

fn table_json(table: &TableFigures) -> (String, Value) {
    (table.name.clone(), json!({ "rows": table.rows, "temporary": table.is_temporary }))
}

/// How many rows a table has got, and where it is.
pub(super) fn table_text(table: &TableFigures, db: &Path) -> String {
    let TableFigures { name, rows, is_temporary } = table;
    let rows = counted(*rows, "row");
    if *is_temporary {
        format!("{name}  {rows}, temporary\n")
    } else {
        format!("{name}  {rows} into {}\n", db.display())
    }
}

/// The summary for people.
pub(super) fn text(figures: &Figures, db: &Path) -> String {
    let mut out = String::new();
    for feed in &figures.feeds {
        out += &feed_text(feed, figures.elapsed_seconds);
    }
    for table in &figures.tables {
        out += &table_text(table, db);
    }
    for report in &figures.reports {
        let rows: Vec<Vec<Cell>> = report.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        out += &format!("\n{}\n{}", report.title, table(&report.columns, &rows));
    }
    if let Some(path) = &figures.dead_letters {
        let duplicates = match figures.duplicate() {
            0 => String::new(),
            number => format!(" and {}", counted(number, "duplicate")),
        };
        out += &format!("\n{}{duplicates} in {path}\n", counted(figures.newly_rejected(), "rejected record"));
    }
    let stages: Vec<String> = figures.stages.iter().map(|(name, time)| format!("{name} {}", seconds(*time))).collect();
    let peak = match figures.peak_rss_bytes {
        Some(peak) => format!("{} of {}", bytes(peak), bytes(figures.memory_limit_bytes)),
        None => "not known here".to_owned(),
    };
    let over = if figures.within_memory_limit() { "" } else { " - over the limit" };
    out += &format!(
        "\n{} with {}  peak memory {peak}{over}\n",
        seconds(figures.elapsed_seconds),
        counted(figures.threads as u64, "thread")
    );
    out += &format!("stages: {} (read and compute run side by side)\n", stages.join(", "));
    out
}

fn inputs_in_words(inputs: &[String]) -> String {
    match inputs {
        [one] => format!("{one} is"),
        inputs => format!("all {} are", counted(inputs.len() as u64, "input")),
    }
}

fn feed_text<'a>(feed: &'a FeedFigures, elapsed: f64) -> String {
    if feed.is_done {
        return format!("{}  nothing to add: {} loaded already\n", feed.name, inputs_in_words(&feed.inputs));
    }
    let elapsed = elapsed.max(1e-9);
    let known = feed.increment.as_ref().map_or(0, |known| known.known_records);
    let new = feed.read - known;
    let mut out = format!(
        "{}  {}{} read ({} of text): {} rows/s, {}/s\n",
        feed.name,
        if known > 0 { "new: " } else { "" },
        counted(new, "record"),
        bytes(feed.bytes_read),
        count((new as f64 / elapsed) as u64),
        bytes((feed.bytes_read as f64 / elapsed) as u64)
    );
    if let Some(increment) = feed.increment.as_ref().filter(|increment| increment.known_records > 0) {
        out += &format!(
            "  known: {} ({} of text, unchanged); all together:\n",
            counted(increment.known_records, "record"),
            bytes(increment.known_bytes)
        );
    }
    out += &format!(
        "  {} read = {} loaded + {} duplicate + {} filtered + {} rejected{}\n",
        count(feed.read),
        count(feed.loaded),
        count(feed.duplicate),
        count(feed.filtered),
        count(feed.rejected),
        if feed.skipped > 0 { format!(" + {} below the watermark", count(feed.skipped)) } else { String::new() }
    );
    if feed.resumed > 0 {
        out += &format!("  {} more were loaded by the run that was interrupted\n", count(feed.resumed));
    }
    if feed.groups_spilled > 0 {
        out += &format!("  {} written to temporary files and merged\n", counted(feed.groups_spilled, "group"));
    }
    let mut list = |heading: &str, pairs: Vec<(&str, u64)>| {
        if !pairs.is_empty() {
            let pairs: Vec<String> = pairs.iter().map(|(name, number)| format!("{name} {}", count(*number))).collect();
            out += &format!("  {heading}: {}\n", pairs.join(", "));
        }
    };
    list("rejected", feed.rejected_by_code.iter().map(|(code, number)| (code.as_str(), *number)).collect());
    let named = |(name, number): &'a (String, u64)| (name.as_str(), *number);
    list("invalid values made NULL", feed.nullified.iter().map(named).filter(|(_, number)| *number > 0).collect());
    list("counted", feed.counters.iter().map(named).collect());
    out
}

/// A value as SQLite has it.
pub(super) fn cell(value: &Scalar) -> Cell {
    let (text, is_number) = match value {
        Scalar::Null => ("NULL".to_owned(), false),
        Scalar::Int(value) => (value.to_string(), true),
        Scalar::Double(value) => (format!("{value}"), true),
        Scalar::Bool(value) => (u8::from(*value).to_string(), true),
        Scalar::Text(text) => (String::from_utf8_lossy(text).into_owned(), false),
    };
    Cell { text, is_number }
}
