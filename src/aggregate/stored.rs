//! States as bytes, a group at a time, and back into a state: what a run leaves for the next one. The bytes themselves are
//! described in `format`.

use crate::aggregate::AggregationState;
use crate::aggregate::format::{Damaged, Reader, put_key};
use crate::chunk::{Column, ColumnBuilder, ColumnView, DataType, Selection};

/// A group as bytes.
#[derive(Debug, Clone, Copy)]
pub struct StoredGroup<'a> {
    /// Its key, in the order of columns that was asked for.
    pub key: &'a [u8],
    /// Its partial results.
    pub state: &'a [u8],
}

impl AggregationState {
    /// Calls `visit` with each of the first `groups` groups, in the order of their bytes. `order` says in which order the
    /// key columns stand in the bytes, each of them once.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn store<E>(
        &mut self,
        order: &[usize],
        groups: usize,
        mut visit: impl FnMut(StoredGroup<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sorted = self.keys.sorted(order, groups.min(self.groups()));
        self.resize();
        let (mut key, mut state) = (Vec::new(), Vec::new());
        for group in sorted {
            key.clear();
            state.clear();
            order.iter().for_each(|column| put_key(&mut key, self.keys.cell(group, *column)));
            self.tally.store(group, &mut state);
            self.accumulators.iter_mut().for_each(|input| input.accumulator.store(group, &mut state));
            visit(StoredGroup { key: &key, state: &state })?;
        }
        Ok(())
    }

    /// The different beginnings of the groups' keys: the first `columns` columns of `order`, as bytes, ascending.
    pub fn key_prefixes(&self, order: &[usize], columns: usize) -> Vec<Vec<u8>> {
        let mut prefixes: Vec<Vec<u8>> = Vec::new();
        for group in self.keys.sorted(&order[..columns], self.groups()) {
            let mut prefix = Vec::new();
            order[..columns].iter().for_each(|column| put_key(&mut prefix, self.keys.cell(group, *column)));
            if prefixes.last() != Some(&prefix) {
                prefixes.push(prefix);
            }
        }
        prefixes
    }

    /// Takes what the rows of a stored group have come to. New groups are numbered behind those that there are.
    ///
    /// # Errors
    /// When the bytes were not written by a state of this aggregation; the state is of no use then.
    pub fn take_stored(&mut self, order: &[usize], groups: &[StoredGroup<'_>]) -> Result<(), Damaged> {
        let types = self.keys.types();
        let keys = read_keys(&types, order, groups)?;
        let views: Vec<ColumnView<'_>> = keys.iter().map(ColumnView::Rows).collect();
        let mut numbers = std::mem::take(&mut self.group_of_row);
        self.keys.number(&views, &Selection::All(groups.len()), &mut numbers);
        self.resize();
        for (stored, number) in groups.iter().zip(&numbers) {
            let mut reader = Reader::new(stored.state);
            self.tally.take_stored(*number, &mut reader)?;
            self.accumulators.iter_mut().try_for_each(|input| input.accumulator.take_stored(*number, &mut reader))?;
            if !reader.is_done() {
                return Err(Damaged);
            }
        }
        self.group_of_row = numbers;
        Ok(())
    }
}

/// The key columns of stored groups, in the order of the aggregation.
fn read_keys(types: &[DataType], order: &[usize], groups: &[StoredGroup<'_>]) -> Result<Vec<Column>, Damaged> {
    let mut builders: Vec<ColumnBuilder> =
        types.iter().map(|data_type| ColumnBuilder::new(data_type.physical(), groups.len())).collect();
    let mut scratch = Vec::new();
    for group in groups {
        let mut reader = Reader::new(group.key);
        for column in order {
            builders[*column].push(reader.key(types[*column].physical(), &mut scratch)?);
        }
        if !reader.is_done() {
            return Err(Damaged);
        }
    }
    Ok(builders.into_iter().map(ColumnBuilder::finish).collect())
}
