//! Counts of rows, and exact sums of integers and decimals with the counts that go with them: what nearly every aggregation
//! has. All of a group lies together, so that a row touches one place in memory however many sums there are.

use ahash::RandomState;
use hashbrown::HashMap;

use crate::aggregate::accumulator::{DoesNotFit, collect, count, double};
use crate::aggregate::exact::Exact;
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::{Aggregate, AggregateFunction, rows};
use crate::chunk::{Cell, Column, ColumnView, DataType, Selection, decimal};

/// Words of all groups, by group number.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    slots: Vec<Slot>,
    /// Words of a group.
    stride: usize,
    words: Vec<u64>,
    /// What has left the 64 bits of a sum, in units of 2^64, by the place of the sum among all words. Few sums ever need it.
    carries: HashMap<usize, i64, RandomState>,
}

/// Where the words of a count or sum lie among those of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    offset: usize,
    kind: SlotKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotKind {
    /// One word: rows.
    Rows,
    /// Two words: the sum of an argument modulo 2^64, and how many values it is made of.
    Sum(usize),
}

impl Tally {
    /// The place of the count of rows, or of the sum and count of an argument, by its place among the arguments.
    pub(super) fn slot(&mut self, argument: Option<usize>) -> usize {
        let kind = argument.map_or(SlotKind::Rows, SlotKind::Sum);
        self.slots.iter().position(|slot| slot.kind == kind).unwrap_or_else(|| {
            self.slots.push(Slot { offset: self.stride, kind });
            self.stride += if kind == SlotKind::Rows { 1 } else { 2 };
            self.slots.len() - 1
        })
    }

    /// Makes room for so many groups, never fewer than before.
    pub(super) fn resize(&mut self, groups: usize) {
        self.words.resize(groups * self.stride, 0);
    }

    /// Takes the selected rows of a chunk, whose groups are `groups`.
    pub(super) fn update(&mut self, groups: &[u32], arguments: &[ColumnView<'_>], selection: &Selection) {
        match self.plain_sums(arguments, selection) {
            Some(sums) => self.update_plain(groups, &sums),
            None => self.update_any(groups, arguments, selection),
        }
    }

    /// Where the sums lie in a group, and their values, if every row has one.
    fn plain_sums<'a>(&self, arguments: &[ColumnView<'a>], selection: &Selection) -> Option<Vec<(usize, &'a [i64])>> {
        let Selection::All(len) = selection else { return None };
        let sums = self.slots.iter().filter_map(|slot| match slot.kind {
            SlotKind::Rows => None,
            SlotKind::Sum(argument) => Some((slot.offset, &arguments[argument])),
        });
        sums.map(|(offset, view)| match view {
            ColumnView::Rows(column) if column.validity.is_none() => Some((offset, &rows::ints(view)[..*len])),
            _ => None,
        })
        .collect()
    }

    /// A row at a time, so that what it costs to reach a group in memory is paid once.
    fn update_plain(&mut self, groups: &[u32], sums: &[(usize, &[i64])]) {
        let counted = self.slots.iter().find(|slot| slot.kind == SlotKind::Rows).map(|slot| slot.offset);
        for (row, group) in groups.iter().enumerate() {
            let start = *group as usize * self.stride;
            let words = &mut self.words[start..start + self.stride];
            if let Some(offset) = counted {
                words[offset] += 1;
            }
            for (offset, values) in sums {
                add(words, *offset, values[row], 1, |value| carry(&mut self.carries, start + offset, value));
            }
        }
    }

    fn update_any(&mut self, groups: &[u32], arguments: &[ColumnView<'_>], selection: &Selection) {
        let Tally { slots, stride, words, carries } = self;
        for Slot { offset, kind } in slots {
            match kind {
                SlotKind::Rows => groups.iter().for_each(|group| words[*group as usize * *stride + *offset] += 1),
                SlotKind::Sum(argument) => {
                    let view = &arguments[*argument];
                    let values = rows::ints(view);
                    rows::for_each_value(groups, view, selection, |group, place| {
                        let at = group * *stride + *offset;
                        add(words, at, values[place], 1, |value| carry(carries, at, value));
                    });
                }
            }
        }
    }

    /// Takes all of `other`, whose groups have the numbers `group_of_group` here.
    pub(super) fn merge(&mut self, other: Tally, group_of_group: &[u32]) {
        if self.stride == 0 {
            return;
        }
        for (from, group) in other.words.chunks_exact(self.stride).zip(group_of_group) {
            let into = *group as usize * self.stride;
            for Slot { offset, kind } in &self.slots {
                let at = into + offset;
                match kind {
                    SlotKind::Rows => self.words[at] += from[*offset],
                    SlotKind::Sum(_) => {
                        let carry = |value| carry(&mut self.carries, at, value);
                        add(&mut self.words, at, from[*offset] as i64, from[offset + 1], carry);
                    }
                }
            }
        }
        for (at, carry) in other.carries {
            let group = group_of_group[at / self.stride] as usize;
            *self.carries.entry(group * self.stride + at % self.stride).or_default() += carry;
        }
    }

    /// Writes what is known of a group, as `format` says.
    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        for (slot, Slot { kind, .. }) in self.slots.iter().enumerate() {
            let (sum, count) = self.get(group, slot);
            format::put(out, count);
            if *kind != SlotKind::Rows {
                format::put_signed(out, sum);
            }
        }
    }

    /// Takes in what `store` has written of a group.
    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for Slot { offset, kind } in &self.slots {
            let at = group as usize * self.stride + offset;
            let count = reader.number()?;
            if *kind == SlotKind::Rows {
                self.words[at] += count;
                continue;
            }
            let sum = reader.signed()?;
            let low = sum as i64;
            let carry = i64::try_from((sum - i128::from(low)) >> 64).map_err(|_| Damaged)?;
            add(&mut self.words, at, low, count, |value| self::carry(&mut self.carries, at, value));
            if carry != 0 {
                *self.carries.entry(at).or_default() += carry;
            }
        }
        Ok(())
    }

    /// The results for these groups, or the place of the first one among them whose result does not fit its type.
    pub(super) fn results(&self, slot: usize, aggregate: Aggregate, groups: &[u32]) -> Result<Column, usize> {
        let (data_type, scale) = (aggregate.result(), aggregate.argument.scale());
        if self.slots[slot].kind == SlotKind::Rows {
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
        self.words.capacity() * size_of::<u64>() + self.carries.allocation_size()
    }

    /// The sum and the count of a group.
    fn get(&self, group: u32, slot: usize) -> (i128, u64) {
        let Slot { offset, kind } = self.slots[slot];
        let at = group as usize * self.stride + offset;
        if kind == SlotKind::Rows {
            return (0, self.words[at]);
        }
        let carry = self.carries.get(&at).copied().unwrap_or(0);
        ((i128::from(carry) << 64) + i128::from(self.words[at] as i64), self.words[at + 1])
    }
}

/// Adds to a sum and its count, and says so if the sum leaves its 64 bits.
#[inline(always)]
fn add(words: &mut [u64], at: usize, value: i64, count: u64, overflow: impl FnOnce(i64)) {
    let (low, overflowed) = (words[at] as i64).overflowing_add(value);
    words[at] = low as u64;
    words[at + 1] += count;
    if overflowed {
        overflow(value.signum());
    }
}

/// Apart, so that the loops around `add` stay small.
#[cold]
#[inline(never)]
fn carry(carries: &mut HashMap<usize, i64, RandomState>, at: usize, carry: i64) {
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
