//! Counts of rows, and exact sums of integers and decimals with the counts that go with them: what nearly every aggregation
//! has. All of a group lies together, so that a row touches one place in memory however many sums there are.

use hashbrown::HashMap;
use prefetch_index::prefetch_index;

use crate::aggregate::accumulator::{DoesNotFit, collect, count, double};
use crate::aggregate::exact::Exact;
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::{Aggregate, AggregateFunction, rows};
use crate::chunk::{Cell, Column, ColumnView, DataType, Selection, decimal};

/// Rows and sums of all groups, by group number.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// The arguments that are summed, by their places.
    summed: Vec<usize>,
    /// Words of a group: its rows, and behind them its sums modulo 2^64. None if nobody asks for any.
    stride: usize,
    words: Vec<u64>,
    /// For each group and sum the rows that have no value; nothing as long as all have one.
    nulls: Vec<u64>,
    /// What has left the 64 bits of a sum, in units of 2^64, by the place of the sum among all words. Few sums ever need it.
    carries: HashMap<usize, i64>,
    /// The values of arguments that are not there row by row, kept for their allocations.
    gathered: Vec<Vec<i64>>,
}

impl Tally {
    /// So many rows fill the time that memory takes to answer.
    const ROWS_AHEAD: usize = 32;

    /// The slot of the count of rows, or of the sum and count of an argument, by its place among the arguments.
    pub(super) fn slot(&mut self, argument: Option<usize>) -> usize {
        let slot = argument.map_or(0, |argument| {
            let known = self.summed.iter().position(|summed| *summed == argument);
            1 + known.unwrap_or_else(|| {
                self.summed.push(argument);
                self.gathered.push(Vec::new());
                self.summed.len() - 1
            })
        });
        self.stride = 1 + self.summed.len();
        slot
    }

    /// Makes room for so many groups, never fewer than before.
    pub(super) fn resize(&mut self, groups: usize) {
        self.words.resize(groups * self.stride, 0);
        if !self.nulls.is_empty() {
            self.nulls.resize(groups * self.summed.len(), 0);
        }
    }

    /// Takes the selected rows of a chunk, whose groups are `groups`.
    pub(super) fn update(&mut self, groups: &[u32], arguments: &[ColumnView<'_>], selection: &Selection) {
        if self.stride == 0 {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let mut sums = Vec::with_capacity(gathered.len());
        for (sum, values) in gathered.iter_mut().enumerate() {
            let view = &arguments[self.summed[sum]];
            sums.push(match (view, selection) {
                (ColumnView::Rows(column), Selection::All(len)) if column.validity.is_none() => {
                    &rows::ints(view)[..*len]
                }
                (ColumnView::Rows(column), Selection::Rows(rows)) if column.validity.is_none() => {
                    let ints = rows::ints(view);
                    values.clear();
                    values.extend(rows.iter().map(|row| ints[*row as usize]));
                    &values[..]
                }
                _ => {
                    self.gather(sum, groups, view, selection, values);
                    &values[..]
                }
            });
        }
        match sums[..] {
            [] => self.add(groups, []),
            [first] => self.add(groups, [first]),
            [first, second] => self.add(groups, [first, second]),
            [first, second, third] => self.add(groups, [first, second, third]),
            _ => self.add(groups, sums),
        }
        self.gathered = gathered;
    }

    /// Replaces `values` by those of the selected rows, zero for NULL, and counts the NULLs.
    fn gather(
        &mut self,
        sum: usize,
        groups: &[u32],
        view: &ColumnView<'_>,
        selection: &Selection,
        values: &mut Vec<i64>,
    ) {
        values.clear();
        let ints = rows::ints(view);
        rows::for_each_row(view, selection, |place| {
            values.push(place.map_or_else(
                || {
                    *self.nulls_mut(groups[values.len()], sum) += 1;
                    0
                },
                |place| ints[place],
            ));
        });
    }

    /// Takes rows with a value for each sum. Inlined, so that the number of sums is known. Where a later row will find its
    /// group is asked for early, because many groups are in no near cache.
    #[inline(always)]
    fn add<'a>(&mut self, groups: &[u32], sums: impl AsRef<[&'a [i64]]>) {
        let sums = sums.as_ref();
        let stride = 1 + sums.len();
        for (row, group) in groups.iter().enumerate() {
            if let Some(later) = groups.get(row + Tally::ROWS_AHEAD) {
                let start = *later as usize * stride;
                // It may lie across two lines of the cache.
                prefetch_index(&self.words, start);
                prefetch_index(&self.words, start + stride - 1);
            }
            let start = *group as usize * stride;
            let (rows, words) = self.words[start..start + stride].split_at_mut(1);
            rows[0] += 1;
            for (place, word) in words.iter_mut().enumerate() {
                add(word, sums[place][row], |value| carry(&mut self.carries, start + 1 + place, value));
            }
        }
    }

    /// Takes all of `other`, whose groups have the numbers `group_of_group` here.
    pub(super) fn merge(&mut self, other: Tally, group_of_group: &[u32]) {
        if self.stride == 0 {
            return;
        }
        for (from, group) in other.words.chunks_exact(self.stride).zip(group_of_group) {
            let start = *group as usize * self.stride;
            self.words[start] += from[0];
            for (at, value) in (start + 1..).zip(&from[1..]) {
                add(&mut self.words[at], *value as i64, |value| carry(&mut self.carries, at, value));
            }
        }
        for (from, group) in other.nulls.chunks_exact(self.summed.len().max(1)).zip(group_of_group) {
            for (sum, nulls) in from.iter().enumerate().filter(|(_, nulls)| **nulls > 0) {
                *self.nulls_mut(*group, sum) += nulls;
            }
        }
        for (at, carry) in other.carries {
            let group = group_of_group[at / self.stride] as usize;
            *self.carries.entry(group * self.stride + at % self.stride).or_default() += carry;
        }
    }

    /// Writes what is known of a group, as `format` says.
    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        if self.stride == 0 {
            return;
        }
        let rows = self.get(group, 0).1;
        format::put(out, rows);
        for slot in 1..self.stride {
            let (sum, count) = self.get(group, slot);
            format::put(out, rows - count);
            format::put_signed(out, sum);
        }
    }

    /// Takes in what `store` has written of a group.
    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        if self.stride == 0 {
            return Ok(());
        }
        let start = group as usize * self.stride;
        let rows = reader.number()?;
        self.words[start] += rows;
        for sum in 0..self.summed.len() {
            let nulls = reader.number()?;
            if nulls > rows {
                return Err(Damaged);
            }
            if nulls > 0 {
                *self.nulls_mut(group, sum) += nulls;
            }
            let (total, at) = (reader.signed()?, start + 1 + sum);
            let low = total as i64;
            let high = i64::try_from((total - i128::from(low)) >> 64).map_err(|_| Damaged)?;
            add(&mut self.words[at], low, |value| carry(&mut self.carries, at, value));
            if high != 0 {
                *self.carries.entry(at).or_default() += high;
            }
        }
        Ok(())
    }

    /// The results for these groups, or the place of the first one among them whose result does not fit its type.
    pub(super) fn results(&self, slot: usize, aggregate: Aggregate, groups: &[u32]) -> Result<Column, usize> {
        let (data_type, scale) = (aggregate.result(), aggregate.argument.scale());
        if slot == 0 {
            return collect(data_type, groups, |group| Ok(count(self.get(group, slot).1)));
        }
        collect(data_type, groups, |group| match self.get(group, slot) {
            (_, 0) => Ok(Cell::Null),
            (sum, count) if aggregate.function == AggregateFunction::Avg => double(mean(sum, count, scale)),
            (sum, _) if data_type == DataType::Integer => i64::try_from(sum).map(Cell::Int).map_err(|_| DoesNotFit),
            (sum, _) => double(decimal::to_f64(sum, scale)),
        })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let gathered: usize = self.gathered.iter().map(|values| values.capacity()).sum();
        (self.words.capacity() + self.nulls.capacity() + gathered) * size_of::<u64>() + self.carries.allocation_size()
    }

    /// The sum and the count of a group.
    fn get(&self, group: u32, slot: usize) -> (i128, u64) {
        let (group, sums) = (group as usize, self.summed.len());
        let (rows, at) = (self.words[group * self.stride], group * self.stride + slot);
        if slot == 0 {
            return (0, rows);
        }
        let nulls = self.nulls.get(group * sums + slot - 1).copied().unwrap_or(0);
        let carry = self.carries.get(&at).copied().unwrap_or(0);
        ((i128::from(carry) << 64) + i128::from(self.words[at] as i64), rows - nulls)
    }

    fn nulls_mut(&mut self, group: u32, sum: usize) -> &mut u64 {
        let sums = self.summed.len();
        if self.nulls.is_empty() {
            self.nulls.resize(self.words.len() / self.stride * sums, 0);
        }
        &mut self.nulls[group as usize * sums + sum]
    }
}

/// Adds to a sum, and says so if it leaves its 64 bits.
#[inline(always)]
fn add(sum: &mut u64, value: i64, overflow: impl FnOnce(i64)) {
    let (low, overflowed) = (*sum as i64).overflowing_add(value);
    *sum = low as u64;
    if overflowed {
        overflow(value.signum());
    }
}

/// Apart, so that the loops around `add` stay small.
#[cold]
#[inline(never)]
fn carry(carries: &mut HashMap<usize, i64>, at: usize, carry: i64) {
    *carries.entry(at).or_default() += carry;
}

/// The mean of `count` decimals of that scale with that sum, rounded once.
fn mean(sum: i128, count: u64, scale: u8) -> f64 {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let unit = 10u64.pow(u32::from(scale));
    match count.checked_mul(unit) {
        // Both are doubles as they stand, and IEEE division is correctly rounded.
        Some(divisor) if sum.unsigned_abs() <= EXACT && u128::from(divisor) <= EXACT => sum as f64 / divisor as f64,
        _ => Exact::from(sum).quotient(&[count, unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Values;

    fn tally_of(values: &[i64]) -> Tally {
        let mut tally = Tally::default();
        assert_eq!([tally.slot(None), tally.slot(Some(0)), tally.slot(None)], [0, 1, 0]);
        tally.resize(1);
        let column = Column::new(Values::Int(values.to_vec()));
        tally.update(&vec![0; values.len()], &[ColumnView::Rows(&column)], &Selection::All(values.len()));
        tally
    }

    #[test]
    fn sums_leave_64_bits_and_come_back() {
        for values in [
            vec![i64::MAX; 5],
            vec![i64::MIN; 5],
            vec![i64::MAX, 1, i64::MIN, -1],
            vec![i64::MIN, -1, i64::MAX, i64::MAX, i64::MAX],
            vec![i64::MIN, i64::MIN, 0],
        ] {
            let expected: i128 = values.iter().map(|value| i128::from(*value)).sum();
            let all = tally_of(&values);
            assert_eq!(all.get(0, 1), (expected, values.len() as u64), "{values:?}");
            assert_eq!(all.get(0, 0).1, values.len() as u64);
            let (left, right) = values.split_at(2);
            let mut merged = tally_of(left);
            merged.merge(tally_of(right), &[0]);
            assert_eq!(merged.get(0, 1), (expected, values.len() as u64), "{values:?} in two parts");
            let (mut bytes, mut read) = (Vec::new(), tally_of(left));
            tally_of(right).store(0, &mut bytes);
            read.take_stored(0, &mut Reader::new(&bytes)).unwrap();
            assert_eq!(read.get(0, 1), (expected, values.len() as u64), "{values:?}, a part of it as bytes");
        }
    }

    #[test]
    fn means_round_once() {
        assert_eq!(mean(10, 4, 0), 2.5);
        assert_eq!(mean(-1, 3, 2), -1.0 / 300.0);
        assert_eq!(mean(i128::from(i64::MAX) * 3, 3, 0), i64::MAX as f64);
        assert_eq!(mean(10i128.pow(30) + 1, 1, 18), decimal::to_f64(10i128.pow(30) + 1, 18));
    }
}
