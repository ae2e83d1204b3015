//! `feedmill demo`: the whole of feedmill on a small feed that it makes itself.

use std::path::Path;

use crate::cli::arguments::Demo;
use crate::cli::{Ending, Manner, generate, print, run, summary, temporary_folder};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::generate::transactions;
use crate::plan::{Plan, Settings};
use crate::run::Options;
use crate::sink::SqliteOptions;

/// The usual feed, or a tenth of it in a third of its days: enough to see a rate, and over in a blink.
fn options(dir: &Path, full: bool) -> transactions::Options {
    let usual = transactions::Options { out: dir.to_owned(), clients: 1, ..transactions::Options::default() };
    if full { usual } else { transactions::Options { days: 3, base_rows: 100_000, daily_rows: 10_000, ..usual } }
}

pub(super) fn demo(arguments: &Demo, manner: Manner) -> Result<Ending> {
    let temporary = temporary_folder()?;
    let dir = arguments.keep.as_deref().unwrap_or(temporary.path());
    if !manner.quiet {
        print("A feed of sales, zipped, with noisy ZIP codes and missing dates, is generated ...\n\n")?;
    }
    let options = options(dir, arguments.full);
    generate::transactions(&options, manner)?;
    let pipeline = write_pipeline(dir)?;
    let archive = dir.join(format!("client_1/transactions_day_{}.zip", options.days));
    let plan = Plan::load(&pipeline, &Settings { files: vec![archive.display().to_string()], ..Settings::default() })?;
    let db = dir.join("sales.db");
    let figures =
        run::into_database(&plan, &Options::default(), &db, SqliteOptions::default(), &dir.join("errors.csv"), manner)?;
    if manner.quiet {
        return Ok(Ending::Clean);
    }
    let shown = if arguments.keep.is_some() { db.as_path() } else { Path::new("a temporary database") };
    print(&summary::text(&figures, shown))?;
    print(&next_steps(arguments.keep.as_deref()))
}

fn write_pipeline(dir: &Path) -> Result<std::path::PathBuf> {
    let preset = crate::presets::find("transactions")
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the pipeline `transactions` does not ship"))?;
    let path = dir.join("transactions.toml");
    std::fs::write(&path, preset.text).map_err(|cause| Error::io(ErrorKind::Output, "write", &path, &cause))?;
    Ok(path)
}

fn next_steps(kept: Option<&Path>) -> String {
    match kept {
        Some(dir) => format!("\nThe feed, the pipeline and the database are in {}.\n", dir.display()),
        None => "\nThe same step by step, at full size:\n  feedmill generate transactions --out data\n  \
                 feedmill init --preset transactions > transactions.toml\n  \
                 feedmill run transactions.toml --dir data --db sales.db\n"
            .to_owned(),
    }
}
