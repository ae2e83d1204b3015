//! `feedmill generate`: what was typed as options of a generator, and its progress on the screen.

use std::path::Path;
use std::time::Instant;

use crate::cli::arguments::{
    Generate, GenerateFeed, GenerateOrders, GenerateSales, GenerateSpendsense, GenerateTransactions,
};
use crate::cli::progress::Bar;
use crate::cli::text::{bytes, count, counted, seconds};
use crate::cli::{Ending, Manner, print};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::generate::{self, Counts, Progress, Summary, orders, sales, spendsense, transactions};

pub(super) fn generate(arguments: &Generate, manner: Manner) -> Result<Ending> {
    let started = Instant::now();
    let line = match &arguments.feed {
        GenerateFeed::Transactions(arguments) => {
            let summary = transactions(&transactions_options(arguments), manner)?;
            format!(
                "{} in {}: {} in all ({} different), {} of text in {} on disk",
                counted(summary.files, "file"),
                arguments.feed.out.display(),
                counted(summary.rows_in_files, "row"),
                count(summary.rows),
                bytes(summary.text_bytes),
                bytes(summary.bytes)
            )
        }
        GenerateFeed::Orders(arguments) => {
            let options = orders_options(arguments);
            let counts = options.counts().map_err(error)?;
            let summary = with_bar(manner, |progress| orders::generate(&options, progress))?;
            counted_feed(summary, &arguments.feed.out, &counts)
        }
        GenerateFeed::Sales(arguments) => {
            let options = sales_options(arguments);
            let counts = options.counts().map_err(error)?;
            let summary = with_bar(manner, |progress| sales::generate(&options, progress))?;
            counted_feed(summary, &arguments.feed.out, &counts)
        }
        GenerateFeed::Spendsense(arguments) => {
            let options = spendsense_options(arguments);
            let summary = with_bar(manner, |progress| spendsense::generate(&options, progress))?;
            format!(
                "{} in {}: {} of {}, {} on disk",
                counted(summary.files, "file"),
                arguments.feed.out.display(),
                counted(summary.rows, "row"),
                counted(options.users, "user"),
                bytes(summary.bytes)
            )
        }
    };
    if manner.quiet {
        return Ok(Ending::Clean);
    }
    print(&format!("{line}, {}\n", seconds(started.elapsed().as_secs_f64())))
}

/// What was made of a feed that has its counts beside it.
fn counted_feed(summary: Summary, out: &Path, counts: &Counts) -> String {
    format!(
        "{} in {}: {} ({} to load, {} duplicate, {} malformed), {} on disk",
        counted(summary.files, "file"),
        out.display(),
        counted(counts.rows, "row"),
        count(counts.loaded),
        count(counts.duplicate),
        count(counts.rejected),
        bytes(summary.bytes)
    )
}

/// Generates the transactions feed with a progress bar.
pub(super) fn transactions(options: &transactions::Options, manner: Manner) -> Result<Summary> {
    with_bar(manner, |progress| transactions::generate(options, progress))
}

fn with_bar(
    manner: Manner,
    generate: impl FnOnce(&mut dyn FnMut(Progress)) -> std::result::Result<Summary, generate::Error>,
) -> Result<Summary> {
    let bar = Bar::new(manner);
    let summary = generate(&mut |progress| {
        bar.update(progress.rows, Some(progress.rows_total), progress.files, "files");
    });
    bar.finish();
    summary.map_err(error)
}

fn error(error: generate::Error) -> Error {
    match error {
        generate::Error::Option { option, reason } => {
            Error::new(ErrorKind::Usage, format!("--{}: {reason}", option.replace('_', "-")))
        }
        generate::Error::Write { path, source } => Error::io(ErrorKind::Output, "write", &path, &source),
    }
}

fn transactions_options(arguments: &GenerateTransactions) -> transactions::Options {
    transactions::Options {
        out: arguments.feed.out.clone(),
        clients: arguments.clients,
        days: arguments.days,
        base_rows: arguments.base_rows,
        daily_rows: arguments.daily_rows,
        skus: arguments.skus,
        start_date: arguments.start_date,
        seed: arguments.feed.seed,
        plain: arguments.plain,
        threads: arguments.feed.threads.map_or(0, usize::from),
        ..transactions::Options::default()
    }
}

fn orders_options(arguments: &GenerateOrders) -> orders::Options {
    orders::Options {
        out: arguments.feed.out.clone(),
        rows: arguments.rows,
        duplicates: arguments.duplicates,
        malformed: arguments.malformed,
        seed: arguments.feed.seed,
        threads: arguments.feed.threads.map_or(0, usize::from),
    }
}

fn sales_options(arguments: &GenerateSales) -> sales::Options {
    sales::Options {
        out: arguments.feed.out.clone(),
        rows: arguments.rows,
        malformed: arguments.malformed,
        seed: arguments.feed.seed,
        threads: arguments.feed.threads.map_or(0, usize::from),
    }
}

fn spendsense_options(arguments: &GenerateSpendsense) -> spendsense::Options {
    spendsense::Options {
        out: arguments.feed.out.clone(),
        users: arguments.users,
        reference_date: arguments.reference_date,
        seed: arguments.feed.seed,
        threads: arguments.feed.threads.map_or(0, usize::from),
    }
}
