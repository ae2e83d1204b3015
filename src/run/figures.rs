//! What a run did, in numbers. Plain data: how it is shown is the command's business.

use std::collections::BTreeMap;

use crate::chunk::{RejectCode, Scalar};
use crate::error::Position;
use crate::plan::FeedPlan;
use crate::run::worker::Outcome;

/// The figures of a run.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// One for each feed: those that are loaded, then the others, each in the order of the pipeline file.
    pub feeds: Vec<FeedFigures>,
    /// Names and rows of the tables, in the order in which they were made.
    pub tables: Vec<(String, u64)>,
    /// The results of the pipeline's reports.
    pub reports: Vec<Report>,
    /// Seconds that the stages took; `read` and `compute` run side by side, and `compute` adds up over the workers.
    pub stages: Vec<(&'static str, f64)>,
    /// Seconds from the start to the end of the run.
    pub elapsed_seconds: f64,
    /// The greatest resident memory of the process so far, in bytes, if the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// The limit that was asked for.
    pub memory_limit_bytes: u64,
    /// Worker threads.
    pub threads: usize,
    /// Where the dead letters went, if there are any.
    pub dead_letters: Option<String>,
}

/// The figures of a feed. `read = loaded + duplicate + filtered + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedFigures {
    /// Its name.
    pub name: String,
    /// The inputs that were read, in order.
    pub inputs: Vec<String>,
    /// Bytes of (decompressed) text.
    pub bytes_read: u64,
    /// Data records.
    pub read: u64,
    /// Records that at least one table took.
    pub loaded: u64,
    /// Records whose key was there before.
    pub duplicate: u64,
    /// Good records that the WHERE of every table left out.
    pub filtered: u64,
    /// Records in the dead letters.
    pub rejected: u64,
    /// Rejected records by code.
    pub rejected_by_code: BTreeMap<RejectCode, u64>,
    /// Records that an earlier run has loaded: they are counted nowhere else.
    pub resumed: u64,
    /// Whether all inputs were loaded by an earlier run, so that none was read.
    pub is_done: bool,
    /// Where reading stopped, if it was interrupted.
    pub interrupted_at: Option<Position>,
    /// Invalid values that became NULL, by column.
    pub nullified: Vec<(String, u64)>,
    /// The pipeline's counters, over records that were not rejected.
    pub counters: Vec<(String, u64)>,
}

/// The result of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its heading.
    pub title: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<Scalar>>,
}

impl Figures {
    /// Records that were rejected, over all feeds.
    pub fn rejected(&self) -> u64 {
        self.feeds.iter().map(|feed| feed.rejected).sum()
    }

    /// Records in the dead letters of this run that are duplicates, over all feeds.
    pub fn duplicate(&self) -> u64 {
        self.feeds.iter().map(|feed| feed.duplicate).sum()
    }

    /// Where the run was interrupted, if it was.
    pub fn interrupted_at(&self) -> Option<&Position> {
        self.feeds.iter().find_map(|feed| feed.interrupted_at.as_ref())
    }

    /// Whether the run kept to its memory limit, as far as the system tells.
    pub fn within_memory_limit(&self) -> bool {
        self.peak_rss_bytes.is_none_or(|peak| peak <= self.memory_limit_bytes)
    }
}

impl FeedFigures {
    /// Those of a feed of which nothing was read yet.
    pub(super) fn new(feed: &FeedPlan) -> Self {
        let nullified = feed.columns.iter().filter(|column| column.nullify);
        FeedFigures {
            name: feed.name.clone(),
            nullified: nullified.map(|column| (column.name.clone(), 0)).collect(),
            counters: feed.counters.iter().map(|(name, _)| (name.clone(), 0)).collect(),
            ..FeedFigures::default()
        }
    }

    /// Counts the records of a block, of whose rows so many are duplicates.
    pub(super) fn count(&mut self, outcome: &Outcome, duplicates: u64) {
        self.read += outcome.records;
        self.rejected += outcome.rejects.len() as u64;
        self.loaded += outcome.loaded - duplicates;
        self.duplicate += duplicates;
        self.filtered += outcome.filtered;
        for reject in &outcome.rejects {
            *self.rejected_by_code.entry(reject.code).or_default() += 1;
        }
        for (count, (_, total)) in outcome.counters.iter().zip(&mut self.counters) {
            *total += count;
        }
        for (count, column) in outcome.nullified.iter().zip(&outcome.layout.columns) {
            if let Some((_, total)) = self.nullified.iter_mut().find(|(name, _)| *name == column.name) {
                *total += count;
            }
        }
    }

    /// Whether every record that was read is accounted for.
    pub fn is_conserved(&self) -> bool {
        self.read == self.loaded + self.duplicate + self.filtered + self.rejected
    }
}
