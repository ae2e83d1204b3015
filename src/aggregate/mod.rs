//! Map-reduce: partial results for groups, merged without loss. Knows no SQL and no files.
//!
//! Each worker updates a state of its own; states are merged in any order and any grouping, and the result is the same
//! to the last bit. What makes that hold for doubles is that nothing is rounded before the end (`exact`).

mod accumulator;
mod direct;
mod distinct;
mod exact;
mod extremes;
mod format;
mod groups;
mod guesses;
mod keys;
mod moments;
mod ordered;
mod rows;
mod spec;
mod stored;
mod sums;
mod tally;
#[cfg(test)]
mod tests;
mod values;
mod words;

use crate::aggregate::accumulator::{Accumulator, Kind};
use crate::aggregate::keys::GroupKeys;
use crate::aggregate::tally::Tally;
use crate::chunk::{ColumnView, DataType, Physical, Selection};

pub use format::{Damaged, STATE_VERSION};
pub use groups::{Groups, Overflow};
pub use spec::{Aggregate, AggregateFunction};
pub use stored::StoredGroup;

/// The groups met so far and what is known of each. A value: it holds no reference, no thread and no order of rows.
#[derive(Debug, Clone)]
pub struct AggregationState {
    keys: GroupKeys,
    aggregates: Vec<Planned>,
    tally: Tally,
    accumulators: Vec<Input>,
    /// The group of each selected row of the chunk at hand, kept for its allocation.
    group_of_row: Vec<u32>,
}

/// An aggregate and where its result is read from.
#[derive(Debug, Clone, Copy)]
struct Planned {
    aggregate: Aggregate,
    origin: Origin,
}

/// Where a result is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A place of the tally.
    Tally(usize),
    /// One of the accumulators.
    Accumulator(usize),
}

/// An accumulator and the argument that it takes.
#[derive(Debug, Clone)]
struct Input {
    kind: Kind,
    argument: usize,
    accumulator: Accumulator,
}

impl AggregationState {
    /// A state without rows, for keys of these types. Each aggregate comes with the place of its argument among the
    /// arguments of `update` (`None` for count(*)); aggregates of one argument share what they can: avg(x) costs
    /// nothing beside sum(x).
    ///
    /// # Panics
    /// If a function is not defined for the type of its argument, which the binder has seen to.
    pub fn new(keys: &[DataType], aggregates: &[(Aggregate, Option<usize>)]) -> Self {
        let (mut tally, mut accumulators) = (Tally::default(), Vec::new());
        let planned = |(aggregate, argument): &(Aggregate, Option<usize>)| {
            let origin = origin(*aggregate, *argument, &mut tally, &mut accumulators);
            Planned { aggregate: *aggregate, origin }
        };
        let aggregates = aggregates.iter().map(planned).collect();
        AggregationState { keys: GroupKeys::new(keys), aggregates, tally, accumulators, group_of_row: Vec::new() }
    }

    /// Takes the selected rows of a chunk: a view for each key and each argument.
    ///
    /// What an `Encoded` view stands for is remembered by its generation. So all updates of a state come from one
    /// evaluator, or from evaluators that never use the same generation.
    ///
    /// # Panics
    /// If a view is not of the type announced to `new`, or shorter than the selection.
    pub fn update(&mut self, keys: &[ColumnView<'_>], arguments: &[ColumnView<'_>], selection: &Selection) {
        self.keys.number(keys, selection, &mut self.group_of_row);
        self.resize();
        self.tally.update(&self.group_of_row, arguments, selection);
        for Input { argument, accumulator, .. } in &mut self.accumulators {
            accumulator.update(&self.group_of_row, &arguments[*argument], selection);
        }
    }

    /// Takes everything that `other`, a state for the same keys and aggregates, has taken.
    ///
    /// # Panics
    /// If `other` is a state for other keys or aggregates.
    pub fn merge(&mut self, mut other: AggregationState) {
        if other.groups() > self.groups() {
            // The smaller one moves. Merging is commutative to the last bit, so that nobody can tell.
            std::mem::swap(self, &mut other);
            self.forget_encodings();
        }
        let group_of_group = self.keys.merge(other.keys);
        assert_eq!(self.accumulators.len(), other.accumulators.len(), "states of one aggregation");
        self.resize();
        self.tally.merge(other.tally, &group_of_group);
        for (into, from) in self.accumulators.iter_mut().zip(other.accumulators) {
            into.accumulator.merge(from.accumulator, &group_of_group);
        }
    }

    /// The results, in the order of the keys. Without keys there is exactly one group, rows or not.
    pub fn finish(mut self) -> Groups {
        self.resize();
        Groups::new(self.keys.into_sorted(), self.aggregates, self.tally, self.accumulators)
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.keys.len()
    }

    /// The heap that the state holds, in bytes, allocated capacity included. The time it takes does not depend on the
    /// number of groups. `finish` gives the hash table back before it sorts the groups; it needs 24 bytes for each of them,
    /// and 20 for each distinct text among the keys.
    pub fn memory_bytes(&self) -> usize {
        let accumulators: usize = self.accumulators.iter().map(|input| input.accumulator.memory_bytes()).sum();
        self.keys.memory_bytes()
            + self.tally.memory_bytes()
            + accumulators
            + self.group_of_row.capacity() * size_of::<u32>()
    }

    /// Makes room for all groups.
    fn resize(&mut self) {
        self.tally.resize(self.keys.len());
        for input in &mut self.accumulators {
            input.accumulator.resize(self.keys.len());
        }
    }

    /// Forgets the entries of encoded views: whoever updates next may number them in another way.
    fn forget_encodings(&mut self) {
        self.keys.forget_encodings();
        for input in &mut self.accumulators {
            input.accumulator.forget_encodings();
        }
    }
}

/// Where the result of an aggregate is read from: what others have already, or something new.
fn origin(aggregate: Aggregate, argument: Option<usize>, tally: &mut Tally, accumulators: &mut Vec<Input>) -> Origin {
    use AggregateFunction::{Avg, Sum};
    let is_tallied = matches!(aggregate.function, Sum | Avg) && aggregate.argument.physical() == Physical::Int;
    let Some(argument) = argument.filter(|_| !is_tallied) else { return Origin::Tally(tally.slot(argument)) };
    let kind = Kind::of(aggregate.function);
    let equal = |input: &Input| input.kind == kind && input.argument == argument;
    Origin::Accumulator(accumulators.iter().position(equal).unwrap_or_else(|| {
        accumulators.push(Input { kind, argument, accumulator: Accumulator::new(kind, aggregate.argument) });
        accumulators.len() - 1
    }))
}
