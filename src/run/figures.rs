//! What a run did, in numbers. Plain data: how it is shown is the command's business.

use std::collections::BTreeMap;

use crate::chunk::{RejectCode, Scalar};
use crate::error::Position;
use crate::plan::FeedPlan;
use crate::plan::TablePlan;
use crate::run::worker::Outcome;

/// The figures of a run.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// One for each feed: those that are loaded, then the others, each in the order of the pipeline file.
    pub feeds: Vec<FeedFigures>,
    /// The tables, in the order in which they were made.
    pub tables: Vec<TableFigures>,
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

/// The figures of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFigures {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Whether it was a step on the way and is not in the database.
    pub is_temporary: bool,
}

/// The figures of a feed. `read = loaded + duplicate + filtered + rejected + skipped`.
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
    /// Good records that are not above the watermark: an earlier run has taken them.
    pub skipped: u64,
    /// For a feed that is processed incrementally: what was known of it. All other figures are about the whole.
    pub increment: Option<IncrementFigures>,
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
    /// Groups that were written to temporary files, since they did not fit into memory; one may have been more than once.
    pub groups_spilled: u64,
    /// The pipeline's counters, over records that were not rejected.
    pub counters: Vec<(String, u64)>,
}

/// What earlier runs have left to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncrementFigures {
    /// Records that were not read again, or, below a watermark, not taken again.
    pub known_records: u64,
    /// Those of them that were rejected: their dead letters are those of earlier runs.
    pub known_rejected: u64,
    /// Bytes that are known and were not read again, or only to see that they are the same.
    pub known_bytes: u64,
    /// Why nothing was used of what was there, if so.
    pub why_full: Option<String>,
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

/// The kinds of counts in the ledger.
const RECORDS: &str = "records";
const REJECTED: &str = "rejected";
const NULLIFIED: &str = "nullified";
const COUNTER: &str = "counter";

impl Figures {
    /// Records that were rejected, over all feeds.
    pub fn rejected(&self) -> u64 {
        self.feeds.iter().map(|feed| feed.rejected).sum()
    }

    /// Records that this run has rejected, over all feeds: those in its dead letters.
    pub fn newly_rejected(&self) -> u64 {
        let known = self.feeds.iter().filter_map(|feed| feed.increment.as_ref()).map(|known| known.known_rejected);
        self.rejected() - known.sum::<u64>()
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

impl TableFigures {
    /// Those of a table with so many rows.
    pub(super) fn new(table: &TablePlan, rows: u64) -> Self {
        TableFigures { name: table.name.clone(), rows, is_temporary: table.is_temporary }
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
        self.skipped += outcome.skipped;
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

    /// The counts that the next run goes on from, under a kind and a name, in order.
    pub(super) fn counts(&self) -> Vec<(String, String, u64)> {
        let of = |kind: &str, name: &str, number: u64| (kind.to_owned(), name.to_owned(), number);
        let records = [("read", self.read), ("loaded", self.loaded), ("filtered", self.filtered)];
        let mut counts: Vec<_> = records.into_iter().map(|(name, number)| of(RECORDS, name, number)).collect();
        counts.extend(self.rejected_by_code.iter().map(|(code, number)| of(REJECTED, code.as_str(), *number)));
        counts.extend(self.nullified.iter().map(|(name, number)| of(NULLIFIED, name, *number)));
        counts.extend(self.counters.iter().map(|(name, number)| of(COUNTER, name, *number)));
        counts.sort();
        counts
    }

    /// Goes on from the counts of an earlier run.
    pub(super) fn go_on_from(&mut self, counts: &[(String, String, u64)]) {
        for (kind, name, number) in counts {
            let add = |pairs: &mut Vec<(String, u64)>| {
                pairs.iter_mut().filter(|(known, _)| known == name).for_each(|(_, total)| *total += number);
            };
            match (kind.as_str(), name.as_str()) {
                (RECORDS, "read") => self.read += number,
                (RECORDS, "loaded") => self.loaded += number,
                (RECORDS, "filtered") => self.filtered += number,
                (REJECTED, code) => {
                    self.rejected += number;
                    if let Some(code) = RejectCode::parse(code) {
                        *self.rejected_by_code.entry(code).or_default() += number;
                    }
                }
                (NULLIFIED, _) => add(&mut self.nullified),
                (COUNTER, _) => add(&mut self.counters),
                _ => {}
            }
        }
    }

    /// Whether every record that was read is accounted for.
    pub fn is_conserved(&self) -> bool {
        self.read == self.loaded + self.duplicate + self.filtered + self.rejected + self.skipped
    }
}
