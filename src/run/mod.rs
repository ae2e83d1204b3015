//! The data plane: the threads, channels and atomics (but for those that sort). The workers of the WorkerPool take turns at the
//! StreamingReader, the Sequencer puts what they make of the blocks back into input order, and one thread writes, the one that
//! calls `run`.
//!
//! ```text
//! reader --turns--> workers --outcomes--> sequencer --in order--> writer (dead letters, rows, ledger)
//!                   ^  (any order)     (order, duplicates)           |
//!                   +---------------------buffers--------------------+
//! ```
//!
//! A block needs a buffer. Where nothing has to be written for a block, the worker keeps its buffer; else it comes back only
//! when the writer has done with it. So the number of buffers bounds everything in flight, and a slow disk slows the reading.
//! Whoever stops drops its ends of the channels, and the others stop at their next send or receive.

mod batch;
mod feed;
mod figures;
mod functions;
mod groups;
mod increment;
mod load;
mod memory;
mod prefix;
mod reader;
mod reorder;
mod replay;
mod sequence;
mod shutdown;
mod tables;
mod turns;
mod validate;
mod worker;

use std::path::PathBuf;
use std::time::Instant;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::{FeedPlan, Plan, RulesPlan};
use crate::run::feed::FeedStart;
use crate::sink::{DeadLetterWriter, Sink};

pub use figures::{FeedFigures, Figures, IncrementFigures, Report, TableFigures};
pub use functions::sqlite_functions;
pub use memory::{cache_bytes, peak_rss_bytes, sort_bytes};
pub use reader::{MemberHeader, headers, open};
pub use replay::replay;
pub use shutdown::Shutdown;
pub use tables::{publish_rows, select_tables};
pub use validate::validate;

/// How a run goes about it. The result does not depend on any of this, but for `sample` and the limits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads.
    pub threads: usize,
    /// The most memory that the process may use, in bytes.
    pub memory_limit_bytes: u64,
    /// What groups may take of it before some are written to disk, in bytes; what the limit leaves for them if not given.
    pub group_bytes: Option<u64>,
    /// The size of the blocks that inputs are cut into, in bytes; smaller ones if the memory limit asks for them.
    pub block_bytes: usize,
    /// Read only so many lines behind the header of each member of each input.
    pub sample: Option<u64>,
    /// Stop and publish nothing past this many rejected records.
    pub max_errors: Option<u64>,
    /// Stop and publish nothing past this share of rejected records.
    pub max_error_rate: Option<f64>,
    /// Commit a load after so many records.
    pub batch_rows: u64,
    /// Whether duplicates go to the dead letters; they are counted in any case.
    pub report_duplicates: bool,
    /// Process a feed as a whole, although a part of it is known.
    pub full_refresh: bool,
    /// What to do when what is known of a feed is no longer its beginning.
    pub on_changed_prefix: OnChangedPrefix,
    /// Where temporary files go; `None` leaves it to the system.
    pub temp_dir: Option<PathBuf>,
    /// How to ask the run to stop.
    pub shutdown: Shutdown,
}

/// What to do when what is known of a feed is no longer its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChangedPrefix {
    /// Process it as a whole, and say so.
    Full,
    /// End with an error.
    Fail,
}

/// Enough that the two or three writes to disk of a commit cost little, and a second's work at most is lost.
const BATCH_ROWS: u64 = 1_000_000;

/// Fits the second cache of a core with room to spare for the columns that are made of it.
const BLOCK_BYTES: usize = 256 << 10;

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit_bytes: 256_000_000,
            group_bytes: None,
            block_bytes: BLOCK_BYTES,
            sample: None,
            max_errors: None,
            max_error_rate: None,
            batch_rows: BATCH_ROWS,
            report_duplicates: true,
            full_refresh: false,
            on_changed_prefix: OnChangedPrefix::Full,
            temp_dir: None,
            shutdown: Shutdown::default(),
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read from disk.
    pub bytes: u64,
    /// Bytes on disk in all, where that is known.
    pub bytes_total: Option<u64>,
    /// Records that have gone all the way.
    pub records: u64,
}

/// Runs a pipeline into a sink and publishes the result.
///
/// # Errors
/// Whatever ends the run; nothing is published then but the batches of loads that are committed already.
pub fn run(
    plan: &Plan,
    options: &Options,
    sink: &mut dyn Sink,
    letters: &mut DeadLetterWriter,
    progress: &mut dyn FnMut(Progress),
) -> Result<Figures> {
    let started = Instant::now();
    let mut figures =
        Figures { threads: options.threads, memory_limit_bytes: options.memory_limit_bytes, ..Figures::default() };
    validate(plan)?;
    sink.begin()?;
    let mut stages = Stages::default();
    // Loads commit as they go, so they come first: what is published all at once is not published too early.
    let (loads, others): (Vec<&FeedPlan>, Vec<&FeedPlan>) = plan.feeds.iter().partition(|feed| feed.load.is_some());
    for feed in loads.into_iter().chain(others) {
        let inputs = reader::inputs(feed)?;
        let run = feed::FeedRun { plan, feed, options, inputs: &inputs };
        let load = run.open_load(sink)?;
        if let Some(load) = load.as_ref().filter(|load| load.is_done) {
            letters.settle(&load.ledger.letters, &load.ledger.letters_before);
            figures.feeds.push(run.nothing_to_do());
            continue;
        }
        let verifying = Instant::now();
        let mut increment = increment::open(&run, sink)?;
        if increment.is_some() {
            stages.verify += verifying.elapsed().as_secs_f64();
        }
        let targets = match (&load, &increment) {
            (Some(load), _) => {
                load.resume_letters(letters)?;
                vec![tables::Target::new(load.table)]
            }
            (None, Some(increment)) => increment.targets(&run, sink)?,
            (None, None) => tables::targets(plan, feed, sink)?,
        };
        let start = match &mut increment {
            Some(increment) => increment.start(feed),
            None => FeedStart { load, figures: FeedFigures::new(feed), ..FeedStart::default() },
        };
        let outcome = run.run(sink, &targets, letters, start, progress, &mut stages)?;
        let feed_figures = outcome.figures.clone();
        if !feed_figures.is_conserved() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("the records of `{}` do not add up: {feed_figures:?}", feed.name),
            ));
        }
        let finishing = Instant::now();
        match increment {
            Some(increment) => figures.tables.extend(increment.finish(&run, outcome, sink, &targets)?),
            None => {
                for ((output, groups), target) in feed.outputs.iter().zip(outcome.groups).zip(&targets) {
                    if let (Some(groups), Some(mut writer)) = (groups, tables::GroupWriter::new(plan, output, target)) {
                        groups.for_each_batch(&run, &outcome.space, &mut |batch| writer.write(batch, sink))?;
                        sink.end_rows(target.id)?;
                    }
                }
                figures.tables.extend(tables::finish(plan, feed, sink, &targets)?);
            }
        }
        stages.write += finishing.elapsed().as_secs_f64();
        let is_interrupted = feed_figures.interrupted_at.is_some();
        figures.feeds.push(feed_figures);
        if is_interrupted {
            break;
        }
    }
    let selecting = Instant::now();
    if figures.interrupted_at().is_none() {
        figures.tables.extend(select_tables(plan, sink, &RulesPlan::sql)?);
    }
    stages.write += selecting.elapsed().as_secs_f64();
    let publishing = Instant::now();
    letters.flush()?;
    sink.commit()?;
    stages.publish = publishing.elapsed().as_secs_f64();
    figures.stages = stages.list();
    figures.elapsed_seconds = started.elapsed().as_secs_f64();
    figures.peak_rss_bytes = peak_rss_bytes();
    Ok(figures)
}

/// Seconds that the stages took.
#[derive(Debug, Default)]
struct Stages {
    verify: f64,
    read: f64,
    compute: f64,
    sequence: f64,
    merge: f64,
    write: f64,
    publish: f64,
}

impl Stages {
    fn list(&self) -> Vec<(&'static str, f64)> {
        let verify = (self.verify > 0.0).then_some(("verify", self.verify));
        let others = [
            ("read", self.read),
            ("compute", self.compute),
            ("sequence", self.sequence),
            ("merge", self.merge),
            ("write", self.write),
            ("publish", self.publish),
        ];
        verify.into_iter().chain(others).collect()
    }
}
