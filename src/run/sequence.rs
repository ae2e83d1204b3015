//! The Sequencer: outcomes come from the workers in any order and leave in the order of the input, each with its place in
//! its member, and for a load with the rows whose keys came before. A thread of its own, because the writer has no time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::dedupe::{Deduplicator, Place};
use crate::error::Result;
use crate::run::reader::Layout;
use crate::run::reorder::Reorder;
use crate::run::worker::Outcome;

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
    /// For each row of a load that is de-duplicated: the place of the first record with its key, if that is another one.
    pub(super) firsts: Vec<Option<Place>>,
}

/// Puts outcomes into order.
pub(super) struct Sequencer {
    /// Tells keys apart that this load has seen; none where the table has no key, or rows with the same key replace each
    /// other.
    deduplicator: Option<Deduplicator>,
    position: Option<MemberPosition>,
}

/// Where the next outcome begins.
struct MemberPosition {
    layout: Arc<Layout>,
    member: u64,
    lines: u64,
    records: u64,
}

/// A place is the number of a member in the upper bits, and that of a record in so many lower ones.
const RECORD_BITS: u32 = 40;

/// The member and the record (from 1) of a place.
pub(super) fn member_and_record(place: Place) -> (usize, u64) {
    ((place >> RECORD_BITS) as usize, place & ((1 << RECORD_BITS) - 1))
}

impl Sequencer {
    /// A sequencer that has seen nothing yet.
    pub(super) fn new(deduplicator: Option<Deduplicator>) -> Self {
        Sequencer { deduplicator, position: None }
    }

    /// Hands on all outcomes, up to the first error, and returns the time that it took. When nobody wants them any more, it
    /// ends.
    pub(super) fn run(mut self, outcomes: &Receiver<Result<Outcome>>, ordered: &Sender<Result<Ordered>>) -> Duration {
        let mut reorder = Reorder::new();
        let mut busy = Duration::ZERO;
        for outcome in outcomes {
            match outcome {
                Ok(outcome) => reorder.push(outcome.seq, outcome),
                Err(error) => {
                    // The writer has gone only if it has failed itself, and then it says why.
                    let _ = ordered.send(Err(error));
                    return busy;
                }
            }
            while let Some(outcome) = reorder.pop() {
                let started = Instant::now();
                let next = self.place(outcome);
                busy += started.elapsed();
                let failed = next.is_err();
                if ordered.send(next).is_err() || failed {
                    return busy;
                }
            }
        }
        busy
    }

    fn place(&mut self, outcome: Outcome) -> Result<Ordered> {
        let position = match &mut self.position {
            Some(position) if Arc::ptr_eq(&position.layout, &outcome.layout) => position,
            position => {
                let member = position.as_ref().map_or(0, |position| position.member + 1);
                let layout = Arc::clone(&outcome.layout);
                position.insert(MemberPosition { member, lines: layout.header_lines, records: 0, layout })
            }
        };
        let MemberPosition { member, lines, records, .. } = *position;
        let mut firsts = Vec::new();
        if let Some(deduplicator) = &mut self.deduplicator {
            let place = |record: &u32| (member << RECORD_BITS) | (records + u64::from(*record) + 1);
            let places: Vec<Place> = outcome.sources.records.iter().map(place).collect();
            firsts.reserve(places.len());
            deduplicator.claim(&outcome.sources.keys, &places, &mut firsts)?;
        }
        position.lines += outcome.lines;
        position.records += outcome.records;
        Ok(Ordered { outcome, member, lines, records, firsts })
    }
}
