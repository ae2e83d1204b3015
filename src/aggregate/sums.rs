//! Exact sums of doubles, and the counts that go with them.

use crate::aggregate::exact::{Exact, ExactSums};
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::rows;
use crate::chunk::{ColumnView, Selection};

/// Sums of doubles.
#[derive(Debug, Clone, Default)]
pub(super) struct DoubleSums {
    sums: ExactSums,
    counts: Vec<u64>,
}

impl DoubleSums {
    pub(super) fn resize(&mut self, groups: usize) {
        self.sums.resize(groups);
        self.counts.resize(groups, 0);
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let values = rows::doubles(view);
        rows::for_each_value(groups, view, selection, |group, place| {
            self.sums.add_double(group, values[place]);
            self.counts[group] += 1;
        });
    }

    pub(super) fn merge(&mut self, other: DoubleSums, group_of_group: &[u32]) {
        self.sums.merge(other.sums, group_of_group);
        other.counts.iter().zip(group_of_group).for_each(|(count, group)| self.counts[*group as usize] += count);
    }

    /// The sum and the count of a group.
    pub(super) fn get(&self, group: u32) -> (Exact, u64) {
        (self.sums.get(group as usize), self.counts[group as usize])
    }

    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        let (sum, count) = self.get(group);
        format::put(out, count);
        sum.store(out);
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        self.counts[group as usize] += reader.number()?;
        self.sums.take_stored(group as usize, reader)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.sums.memory_bytes() + self.counts.capacity() * size_of::<u64>()
    }
}
