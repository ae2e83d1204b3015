//! `feedmill demo`: the whole of feedmill on a small feed that it makes itself.

use std::path::Path;

use crate::cli::arguments::Demo;
use crate::cli::{Ending, Manner, generate, print, run, summary};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::generate::transactions;
use crate::plan::{Plan, Settings};
use crate::run::Options;

/// Large enough to see a rate, small enough to be over in a blink.
const BASE_ROWS: u64 = 100_000;
const DAILY_ROWS: u64 = 10_000;
const DAYS: u32 = 3;

pub(super) fn demo(arguments: &Demo, manner: Manner) -> Result<Ending> {
    let temporary = tempfile::tempdir()
        .map_err(|cause| Error::new(ErrorKind::Output, format!("cannot make a temporary folder: {cause}")))?;
    let dir = arguments.keep.as_deref().unwrap_or(temporary.path());
    print("A feed of sales, zipped, with noisy ZIP codes and missing dates, is generated ...\n\n")?;
    let options = transactions::Options {
        out: dir.to_owned(),
        clients: 1,
        days: DAYS,
        base_rows: BASE_ROWS,
        daily_rows: DAILY_ROWS,
        ..transactions::Options::default()
    };
    generate::transactions(&options, manner)?;
    let pipeline = write_pipeline(dir)?;
    let archive = dir.join(format!("client_1/transactions_day_{DAYS}.zip"));
    let plan = Plan::load(&pipeline, &Settings { files: vec![archive.display().to_string()], ..Settings::default() })?;
    let db = dir.join("sales.db");
    let figures = run::into_database(&plan, &Options::default(), &db, &dir.join("errors.csv"), false, manner)?;
    print(&summary::text(&figures, &db))?;
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
        None => "\nThe same at full size:\n  feedmill generate transactions --out data\n  \
                 feedmill init --preset transactions > transactions.toml\n  \
                 feedmill run transactions.toml --dir data --db sales.db\n"
            .to_owned(),
    }
}
