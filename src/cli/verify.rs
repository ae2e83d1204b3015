//! `feedmill verify`: both engines on the same job, and their differences on the screen.

use crate::cli::arguments::Verify;
use crate::cli::progress::Bar;
use crate::cli::run::{load_only, options};
use crate::cli::text::counted;
use crate::cli::{Ending, Manner, print, temporary_folder};
use crate::error::Result;
use crate::run::Options;
use crate::verify;

pub(super) fn verify(arguments: &Verify, manner: Manner) -> Result<Ending> {
    let plan = load_only(&arguments.pipeline, &arguments.only, Some(arguments.resources.memory))?;
    let options = Options { sample: arguments.sample, ..options(&arguments.resources) };
    let dir = temporary_folder()?;
    let bar = Bar::new(manner);
    let verdict = verify::verify(&plan, &options, dir.path(), &mut |progress| {
        bar.update(progress.bytes, progress.bytes_total, progress.records, "records");
    });
    bar.finish();
    let verdict = verdict?;
    let mut out = String::new();
    for feed in &verdict.figures.feeds {
        out += &format!("{}: {} by both engines\n", feed.name, counted(feed.read, "record"));
    }
    for (table, rows) in &verdict.tables {
        out += &format!("{table}: {} compared\n", counted(*rows, "row"));
    }
    out += &format!("{} compared\n", counted(verdict.rejects, "dead letter"));
    for difference in &verdict.differences {
        out += &format!("DIFFERENT: {difference}\n");
    }
    out += &match verdict.differences.len() {
        0 => "no difference\n".to_owned(),
        number => format!("{}\n", counted(number as u64, "difference")),
    };
    print(&out)?;
    Ok(if verdict.differences.is_empty() { Ending::Clean } else { Ending::Differences })
}
