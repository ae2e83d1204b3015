//! The Sequencer: outcomes come from the workers in any order and leave in the order of the input, each with its place in
//! its member, and for a load with the rows whose keys came before. A thread of its own, because the writer has no time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::dedupe::{Deduplicator, Place};
use crate::error::{Error, Result};
use crate::run::reader::Layout;
use crate::run::reorder::Reorder;
use crate::run::worker::Outcome;

/// Where workers put outcomes for the Sequencer. Several are handed on together where nothing has to be written for them, because
/// each time wakes two threads.
pub(super) struct Outbox {
    outcomes: Sender<Result<Vec<Outcome>>>,
    waiting: Mutex<Vec<Outcome>>,
}

impl Outbox {
    const OUTCOMES_AT_ONCE: usize = 16;

    /// One that hands on to this channel.
    pub(super) fn new(outcomes: Sender<Result<Vec<Outcome>>>) -> Self {
        Outbox { outcomes, waiting: Mutex::default() }
    }

    /// Takes an outcome; false when nobody wants any more.
    pub(super) fn push(&self, outcome: Outcome) -> bool {
        // One with a buffer is waited for, because there are few buffers.
        let is_urgent = outcome.bytes.is_some();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(outcome);
        if !is_urgent && waiting.len() < Self::OUTCOMES_AT_ONCE {
            return true;
        }
        let outcomes = std::mem::take(&mut *waiting);
        drop(waiting);
        self.outcomes.send(Ok(outcomes)).is_ok()
    }

    /// Hands on what has come so far.
    pub(super) fn flush(&self) {
        let outcomes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // If nobody wants them, somebody has failed, and says why.
        let _ = self.outcomes.send(Ok(outcomes));
    }

    /// Hands on that a worker has failed.
    pub(super) fn fail(&self, error: Error) {
        let _ = self.outcomes.send(Err(error));
    }
}

/// An outcome whose turn it is.
pub(super) struct Ordered {
    /// What has become of the block.
    pub(super) outcome: Outcome,
    /// The number of its member, from 0.
    pub(super) member: u64,
    /// Physical lines of the member in front of it.
    pub(super) lines: u64,
    /// Records of the member in front of it.
    pub(super) records: u64,
    /// For each row of a load that is de-duplicated: the first record with its key, if that is another one, for
    /// `member_and_record`.
    pub(super) firsts: Vec<Option<Place>>,
}

/// Puts outcomes into order.
pub(super) struct Sequencer {
    /// Tells keys apart that this load has seen; none where the table has no key, or rows with the same key replace each
    /// other.
    deduplicator: Option<Deduplicator>,
    position: Option<MemberPosition>,
    /// The records in front of each member so far. Those of all members are numbered through for the deduplicator, whose
    /// places have fewer bits.
    starts: Vec<u64>,
}

/// Where the next outcome begins.
struct MemberPosition {
    layout: Arc<Layout>,
    member: u64,
    /// Records of all members in front of it.
    before: u64,
    lines: u64,
    records: u64,
}

/// A record is named by the number of its member in the upper bits, and its own in so many lower ones.
const RECORD_BITS: u32 = 40;

/// The member and the record (from 1) that is named so.
pub(super) fn member_and_record(place: Place) -> (usize, u64) {
    ((place >> RECORD_BITS) as usize, place & ((1 << RECORD_BITS) - 1))
}

impl Sequencer {
    /// A sequencer that has seen nothing yet.
    pub(super) fn new(deduplicator: Option<Deduplicator>) -> Self {
        Sequencer { deduplicator, position: None, starts: Vec::new() }
    }

    /// Hands on all outcomes, up to the first error, and returns the time that it took. When nobody wants them any more, it
    /// ends.
    pub(super) fn run(
        mut self,
        outcomes: &Receiver<Result<Vec<Outcome>>>,
        ordered: &Sender<Result<Vec<Ordered>>>,
    ) -> Duration {
        let mut reorder = Reorder::new();
        let mut busy = Duration::ZERO;
        for outcomes in outcomes {
            let next = outcomes.and_then(|outcomes| {
                for outcome in outcomes {
                    reorder.push(outcome.member, outcome.seq, outcome.is_last, outcome);
                }
                let started = Instant::now();
                let placed = std::iter::from_fn(|| reorder.pop()).map(|outcome| self.place(outcome)).collect();
                busy += started.elapsed();
                placed
            });
            if next.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            let failed = next.is_err();
            // The writer has gone only if it has failed itself, and then it says why.
            if ordered.send(next).is_err() || failed {
                return busy;
            }
        }
        busy
    }

    fn place(&mut self, outcome: Outcome) -> Result<Ordered> {
        let position = match &mut self.position {
            Some(position) if Arc::ptr_eq(&position.layout, &outcome.layout) => position,
            position => {
                let (member, before) =
                    position.as_ref().map_or((0, 0), |last| (last.member + 1, last.before + last.records));
                self.starts.push(before);
                let layout = Arc::clone(&outcome.layout);
                position.insert(MemberPosition { member, before, lines: layout.lines, records: layout.records, layout })
            }
        };
        let MemberPosition { member, before, lines, records, .. } = *position;
        let mut firsts = Vec::new();
        if let Some(deduplicator) = &mut self.deduplicator {
            let place = |record: &u32| before + records + u64::from(*record);
            let places: Vec<Place> = outcome.sources.records.iter().map(place).collect();
            deduplicator.claim(&outcome.sources.keys, &places, &mut firsts)?;
            for first in firsts.iter_mut().flatten() {
                // Of members with the same start, all but the last one are empty.
                let member = self.starts.partition_point(|start| start <= first) - 1;
                *first = ((member as u64) << RECORD_BITS) | (*first - self.starts[member] + 1);
            }
        }
        position.lines += outcome.lines;
        position.records += outcome.records;
        Ok(Ordered { outcome, member, lines, records, firsts })
    }
}
