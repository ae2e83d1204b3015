//! `feedmill check`: everything short of running: the pipeline, its SQL, its files, and a sample of their records.

use crate::cli::arguments::Check;
use crate::cli::run::{load, show_warnings};
use crate::cli::text::counted;
use crate::cli::{Ending, Manner, print, temporary_folder};
use crate::error::Result;
use crate::plan::{FeedPlan, Plan};
use crate::run::{self, Options, sqlite_functions};
use crate::sink::{DeadLetterWriter, SqliteOptions, SqliteSink};

pub(super) fn check(arguments: &Check, manner: Manner) -> Result<Ending> {
    let mut plan = load(&arguments.pipeline, None)?;
    let warnings = std::mem::take(&mut plan.warnings);
    if !manner.quiet {
        show_warnings(warnings);
    }
    run::validate(&plan)?;
    let mut out = format!("{}: the pipeline is sound\n", plan.path.display());
    for feed in &plan.feeds {
        out += &check_columns(feed)?;
    }
    out += &check_sample(&plan, arguments.sample)?;
    print(&out)
}

/// Opens each member of each input and compares its header with the declarations.
fn check_columns(feed: &FeedPlan) -> Result<String> {
    let mut out = String::new();
    for header in run::headers(feed)? {
        let declared = |name: &&String| feed.columns.iter().any(|column| column.name == **name);
        let (known, extra): (Vec<&String>, Vec<&String>) = header.names.iter().partition(declared);
        out += &format!("{}: has the {} of `{}`", header.origin, counted(known.len() as u64, "column"), feed.name);
        if !extra.is_empty() {
            let extra: Vec<&str> = extra.into_iter().map(String::as_str).collect();
            out += &format!("; not declared, so not read: {}", extra.join(", "));
        }
        out += "\n";
    }
    Ok(out)
}

/// Runs the first lines of each feed into a database that is thrown away.
fn check_sample(plan: &Plan, lines: u64) -> Result<String> {
    let dir = temporary_folder()?;
    let functions = SqliteOptions { functions: sqlite_functions(), ..SqliteOptions::default() };
    let mut sink = SqliteSink::open(&dir.path().join("check.db"), &functions)?;
    let mut letters = DeadLetterWriter::new(&dir.path().join("errors.csv"), &dir.path().join("check.db"))?;
    let options = Options { sample: Some(lines), ..Options::default() };
    let figures = run::run(plan, &options, &mut sink, &mut letters, &mut |_| {})?;
    let mut out = String::new();
    for feed in &figures.feeds {
        out += &format!(
            "{}: of the first {}, {} would be rejected",
            feed.name,
            counted(feed.read, "record"),
            counted(feed.rejected, "record")
        );
        let codes: Vec<String> =
            feed.rejected_by_code.iter().map(|(code, number)| format!("{code} {number}")).collect();
        if !codes.is_empty() {
            out += &format!(" ({})", codes.join(", "));
        }
        out += "\n";
    }
    for table in &figures.tables {
        out += &format!("{}: {} from this sample\n", table.name, counted(table.rows, "row"));
    }
    Ok(out)
}
