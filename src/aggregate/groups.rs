//! What a state has come to: the groups in the order of their keys, handed out batch by batch.

use crate::aggregate::keys::SortedKeys;
use crate::aggregate::tally::Tally;
use crate::aggregate::{Input, Origin, Planned};
use crate::chunk::{Column, DataType};
use crate::error::{Error, ErrorKind};

/// Keys and results of all groups, ordered by the keys: NULL first, numbers by value, text by bytes, false before true.
///
/// An iterator over batches of columns, the keys in front, then the aggregates.
#[derive(Debug)]
pub struct Groups {
    keys: SortedKeys,
    aggregates: Vec<Planned>,
    tally: Tally,
    accumulators: Vec<Input>,
    /// How many groups have been handed out.
    done: usize,
}

impl Groups {
    /// How many groups a batch has, unless it is the last one.
    pub const BATCH: usize = 4096;

    pub(super) fn new(keys: SortedKeys, aggregates: Vec<Planned>, tally: Tally, accumulators: Vec<Input>) -> Self {
        Groups { keys, aggregates, tally, accumulators, done: 0 }
    }

    /// How many groups there are, those that have been handed out included.
    pub fn total(&self) -> usize {
        self.keys.order().len()
    }
}

impl Iterator for Groups {
    type Item = Result<Vec<Column>, Overflow>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.keys.order()[self.done..];
        let groups = &rest[..rest.len().min(Groups::BATCH)];
        if groups.is_empty() {
            return None;
        }
        let mut columns = self.keys.columns(groups);
        for (index, Planned { aggregate, origin }) in self.aggregates.iter().enumerate() {
            let results = match origin {
                Origin::Tally(slot) => self.tally.results(*slot, *aggregate, groups),
                Origin::Accumulator(place) => self.accumulators[*place].accumulator.results(*aggregate, groups),
            };
            match results {
                Ok(column) => columns.push(column),
                Err(place) => {
                    let (group, data_type) = (self.keys.describe(groups[place]), aggregate.result());
                    self.done = self.keys.order().len();
                    return Some(Err(Overflow { aggregate: index, data_type, group }));
                }
            }
        }
        self.done += groups.len();
        Some(Ok(columns))
    }
}

/// A result that is too large for its type. The groups end with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overflow {
    /// Which aggregate, by its place in `AggregationState::new`.
    pub aggregate: usize,
    /// The type that the result should have had.
    pub data_type: DataType,
    /// The key of the group, for people.
    pub group: String,
}

impl Overflow {
    /// The error that ends the run, with the aggregate's name as the user knows it.
    pub fn named(&self, aggregate: &str) -> Error {
        let Overflow { data_type, group, .. } = self;
        Error::new(ErrorKind::Input, format!("{aggregate} is too large for {data_type} in the group {group}"))
            .help("sum a DECIMAL or DOUBLE instead, or leave the offending rows out with WHERE")
    }
}
