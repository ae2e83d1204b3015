//! `feedmill generate`: what was typed as options of the generator, and its progress on the screen.

use crate::cli::arguments::{Generate, GenerateFeed, GenerateTransactions};
use crate::cli::progress::Bar;
use crate::cli::text::{bytes, count, counted, seconds};
use crate::cli::{Ending, Manner, print};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::generate::{self, transactions};

pub(super) fn generate(arguments: &Generate, manner: Manner) -> Result<Ending> {
    match &arguments.feed {
        GenerateFeed::Transactions(arguments) => {
            let out = arguments.out.display();
            let started = std::time::Instant::now();
            let summary = transactions(&options(arguments), manner)?;
            if manner.quiet {
                return Ok(Ending::Clean);
            }
            print(&format!(
                "{} in {out}: {} in all ({} different), {} of text in {} on disk, {}\n",
                counted(summary.files, "file"),
                counted(summary.rows_in_files, "row"),
                count(summary.rows),
                bytes(summary.text_bytes),
                bytes(summary.bytes),
                seconds(started.elapsed().as_secs_f64())
            ))
        }
    }
}

/// Generates the transactions feed with a progress bar.
pub(super) fn transactions(options: &transactions::Options, manner: Manner) -> Result<generate::Summary> {
    let bar = Bar::new(manner);
    let summary = transactions::generate(options, &mut |progress| {
        bar.update(progress.rows, Some(progress.rows_total), progress.files, "files");
    });
    bar.finish();
    summary.map_err(|error| match error {
        generate::Error::Option { option, reason } => {
            Error::new(ErrorKind::Usage, format!("--{}: {reason}", option.replace('_', "-")))
        }
        generate::Error::Write { path, source } => Error::io(ErrorKind::Output, "write", &path, &source),
    })
}

fn options(arguments: &GenerateTransactions) -> transactions::Options {
    transactions::Options {
        out: arguments.out.clone(),
        clients: arguments.clients,
        days: arguments.days,
        base_rows: arguments.base_rows,
        daily_rows: arguments.daily_rows,
        skus: arguments.skus,
        start_date: arguments.start_date,
        seed: arguments.seed,
        plain: arguments.plain,
        threads: arguments.threads.map_or(0, usize::from),
        ..transactions::Options::default()
    }
}
