//! `feedmill replay`: dead letters into the database after a fix, and what came of it on the screen.

use std::path::{Path, PathBuf};

use crate::cli::arguments::Replay;
use crate::cli::progress::Bar;
use crate::cli::run::{load, options, show_warnings};
use crate::cli::text::{bytes, count, counted, seconds};
use crate::cli::{Ending, Manner, summary};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::Plan;
use crate::run::{self, FeedFigures, Figures, Options, Shutdown, sqlite_functions};
use crate::sink::{DeadLetterReader, DeadLetterWriter, Mode, SqliteOptions, SqliteSink};

pub(super) fn replay(arguments: &Replay, manner: Manner) -> Result<Ending> {
    if let Some(file) = arguments.pipeline.files.first() {
        let message = format!("`{file}` is not read: the records of a replay are in {}", arguments.letters.display());
        return Err(Error::new(ErrorKind::Usage, message).help("`feedmill run --mode append` adds files to a table"));
    }
    let mut plan = load(&arguments.pipeline, Some(arguments.resources.memory))?;
    let warnings = std::mem::take(&mut plan.warnings);
    if manner.verbose {
        show_warnings(warnings);
    }
    let options = Options {
        temp_dir: arguments.output.temp_dir.clone(),
        shutdown: Shutdown::on_signals()?,
        ..options(&arguments.resources)
    };
    let errors = errors(arguments)?;
    let figures = into_database(&plan, &options, arguments, &errors, manner)?;
    summary::show(&figures, &arguments.output, manner, &text(&figures, &arguments.letters, &arguments.db))?;
    Ok(if figures.rejected() > 0 && !arguments.allow_rejects { Ending::Rejects } else { Ending::Clean })
}

/// Where the letters go that are left: never into the file that they come from.
fn errors(arguments: &Replay) -> Result<PathBuf> {
    let letters = &arguments.letters;
    let errors = arguments.errors.clone().unwrap_or_else(|| letters.with_extension("replay.csv"));
    match (letters.canonicalize(), errors.canonicalize()) {
        (Ok(from), Ok(to)) if from == to => {
            let message = format!("{} is read, so --errors cannot be the same file", letters.display());
            Err(Error::new(ErrorKind::Usage, message).help("give --errors another path, or leave it out"))
        }
        _ => Ok(errors),
    }
}

fn into_database(plan: &Plan, options: &Options, arguments: &Replay, errors: &Path, manner: Manner) -> Result<Figures> {
    let record_bytes = plan.feeds.iter().map(|feed| feed.dialect.max_record_bytes).max().unwrap_or_default();
    let mut from = DeadLetterReader::open(&arguments.letters, record_bytes)?;
    let mut letters = DeadLetterWriter::new(errors, &arguments.db)?;
    let sqlite = SqliteOptions {
        mode: Mode::Append,
        temp_dir: arguments.output.temp_dir.clone(),
        functions: sqlite_functions(),
        ..SqliteOptions::default()
    };
    let mut sink = SqliteSink::open(&arguments.db, &sqlite)?;
    let bar = Bar::new(manner);
    let figures = run::replay(plan, options, &mut from, &mut sink, &mut letters, &mut |progress| {
        bar.update(progress.bytes, progress.bytes_total, progress.records, "dead letters");
    });
    bar.finish();
    let mut figures = figures?;
    drop(sink);
    figures.dead_letters = letters.publish()?.map(|_| errors.display().to_string());
    Ok(figures)
}

/// The summary for people.
fn text(figures: &Figures, letters: &Path, db: &Path) -> String {
    let has_letters = |feed: &&FeedFigures| feed.read + feed.resumed > 0;
    let mut out: String = figures.feeds.iter().filter(has_letters).map(|feed| feed_text(feed, letters)).collect();
    if out.is_empty() {
        out = format!("{} has no dead letters\n", letters.display());
    }
    for table in &figures.tables {
        out += &summary::table_text(table, db);
    }
    if let Some(path) = &figures.dead_letters {
        out += &format!("\nwhat is left is in {path}\n");
    }
    let peak = figures.peak_rss_bytes.map_or_else(|| "not known here".to_owned(), bytes);
    out += &format!(
        "\n{} with {}  peak memory {peak} of {}\n",
        seconds(figures.elapsed_seconds),
        counted(figures.threads as u64, "thread"),
        bytes(figures.memory_limit_bytes)
    );
    out
}

fn feed_text(feed: &FeedFigures, letters: &Path) -> String {
    let mut out =
        format!("{}  {} in {}\n", feed.name, counted(feed.read + feed.resumed, "dead letter"), letters.display());
    if feed.resumed > 0 {
        out += &format!("  {} were loaded by an earlier replay\n", count(feed.resumed));
    }
    out += &format!(
        "  {} read = {} loaded + {} duplicate + {} filtered + {} rejected again\n",
        count(feed.read),
        count(feed.loaded),
        count(feed.duplicate),
        count(feed.filtered),
        count(feed.rejected)
    );
    let by_code = feed.rejected_by_code.iter();
    let by_code: Vec<String> = by_code.map(|(code, number)| format!("{} {}", code.as_str(), count(*number))).collect();
    if !by_code.is_empty() {
        out += &format!("  rejected again: {}\n", by_code.join(", "));
    }
    out
}
