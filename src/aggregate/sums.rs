//! Exact sums, and the counts that go with them: integers and decimals as i128, doubles without rounding.

use ahash::RandomState;
use hashbrown::HashMap;

use crate::aggregate::exact::{Exact, ExactSums};
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::rows;
use crate::chunk::{ColumnView, Selection};

/// Sums of integers or decimals.
#[derive(Debug, Clone, Default)]
pub(super) struct IntSums {
    sums: Vec<IntSum>,
    /// What has left the 64 bits of a sum, in units of 2^64. Few sums ever need it.
    carries: HashMap<u32, i64, RandomState>,
}

/// A sum modulo 2^64, and how many values it is made of.
#[derive(Debug, Clone, Copy, Default)]
struct IntSum {
    low: i64,
    count: u64,
}

impl IntSums {
    pub(super) fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, IntSum::default());
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let values = rows::ints(view);
        rows::for_each_value(groups, view, selection, |group, place| self.add(group, values[place], 1));
    }

    pub(super) fn merge(&mut self, other: IntSums, group_of_group: &[u32]) {
        for (sum, group) in other.sums.iter().zip(group_of_group) {
            self.add(*group as usize, sum.low, sum.count);
        }
        for (group, carry) in other.carries {
            *self.carries.entry(group_of_group[group as usize]).or_default() += carry;
        }
    }

    /// The sum and the count of a group.
    pub(super) fn get(&self, group: u32) -> (i128, u64) {
        let IntSum { low, count } = self.sums[group as usize];
        let carry = self.carries.get(&group).copied().unwrap_or(0);
        ((i128::from(carry) << 64) + i128::from(low), count)
    }

    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        let (sum, count) = self.get(group);
        format::put(out, count);
        format::put_signed(out, sum);
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let (count, sum) = (reader.number()?, reader.signed()?);
        let low = sum as i64;
        let carry = i64::try_from((sum - i128::from(low)) >> 64).map_err(|_| Damaged)?;
        self.add(group as usize, low, count);
        if carry != 0 {
            *self.carries.entry(group).or_default() += carry;
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<IntSum>() + self.carries.allocation_size()
    }

    #[inline(always)]
    fn add(&mut self, group: usize, value: i64, count: u64) {
        let sum = &mut self.sums[group];
        let (low, overflowed) = sum.low.overflowing_add(value);
        *sum = IntSum { low, count: sum.count + count };
        if overflowed {
            self.carry(group, value.signum());
        }
    }

    /// Apart, so that the loop around `add` stays small.
    #[cold]
    #[inline(never)]
    fn carry(&mut self, group: usize, carry: i64) {
        *self.carries.entry(group as u32).or_default() += carry;
    }
}

/// The mean of `count` decimals of that scale with that sum, rounded once.
pub(super) fn mean(sum: i128, count: u64, scale: u8) -> f64 {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let unit = 10u64.pow(u32::from(scale));
    match count.checked_mul(unit) {
        // Both are doubles as they stand, and IEEE division is correctly rounded.
        Some(divisor) if sum.unsigned_abs() <= EXACT && u128::from(divisor) <= EXACT => sum as f64 / divisor as f64,
        _ => Exact::from(sum).quotient(&[count, unit]),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Column, Values, decimal};

    fn sums_of(values: &[i64]) -> IntSums {
        let mut sums = IntSums::default();
        sums.resize(1);
        let column = Column::new(Values::Int(values.to_vec()));
        sums.update(&vec![0; values.len()], &ColumnView::Rows(&column), &Selection::All(values.len()));
        sums
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
            assert_eq!(sums_of(&values).get(0), (expected, values.len() as u64), "{values:?}");
            let (left, right) = values.split_at(2);
            let mut merged = sums_of(left);
            merged.merge(sums_of(right), &[0]);
            assert_eq!(merged.get(0), (expected, values.len() as u64), "{values:?} in two parts");
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
