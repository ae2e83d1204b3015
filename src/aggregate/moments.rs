//! Standard deviations from exact sums of values and squares: no value is lost in another, and the root rounds once.

use crate::aggregate::exact::{Exact, ExactSums};
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::rows;
use crate::chunk::{ColumnView, Physical, Selection};

/// How many values, their sum and the sum of their squares, for each group.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    physical: Physical,
    counts: Vec<u64>,
    sums: ExactSums,
    squares: ExactSums,
}

/// What the squares of the deviations are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deviation {
    /// One less than the number of values; needs two.
    Sample,
    /// The number of values; needs one.
    Population,
}

impl Moments {
    pub(super) fn new(physical: Physical) -> Self {
        Moments { physical, counts: Vec::new(), sums: ExactSums::default(), squares: ExactSums::default() }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.sums.resize(groups);
        self.squares.resize(groups);
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let Moments { physical, counts, sums, squares } = self;
        if *physical == Physical::Double {
            let values = rows::doubles(view);
            rows::for_each_value(groups, view, selection, |group, place| {
                counts[group] += 1;
                sums.add_double(group, values[place]);
                squares.add_square(group, values[place]);
            });
        } else {
            let values = rows::ints(view);
            rows::for_each_value(groups, view, selection, |group, place| {
                let magnitude = values[place].unsigned_abs();
                counts[group] += 1;
                sums.add(group, magnitude, 0, values[place] < 0);
                squares.add_product(group, magnitude, magnitude, 0, false);
            });
        }
    }

    pub(super) fn merge(&mut self, other: Moments, group_of_group: &[u32]) {
        other.counts.iter().zip(group_of_group).for_each(|(count, group)| self.counts[*group as usize] += count);
        self.sums.merge(other.sums, group_of_group);
        self.squares.merge(other.squares, group_of_group);
    }

    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        let group = group as usize;
        format::put(out, self.counts[group]);
        self.sums.get(group).store(out);
        self.squares.get(group).store(out);
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let group = group as usize;
        self.counts[group] += reader.number()?;
        self.sums.take_stored(group, reader)?;
        self.squares.take_stored(group, reader)
    }

    /// The deviation of a group of numbers with so many digits behind the point, NULL with too few of them.
    pub(super) fn get(&self, group: u32, deviation: Deviation, scale: u8) -> Option<f64> {
        let group = group as usize;
        deviation.of(self.counts[group], &self.sums.get(group), &self.squares.get(group), scale)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>() + self.sums.memory_bytes() + self.squares.memory_bytes()
    }
}

impl Deviation {
    /// The deviation of `count` decimals of a scale with that sum, in units, and that sum of squares.
    pub(super) fn of(self, count: u64, sum: &Exact, squares: &Exact, scale: u8) -> Option<f64> {
        let divisor = match self {
            Deviation::Sample => count.checked_sub(1)?,
            Deviation::Population => count,
        };
        if divisor == 0 {
            return None;
        }
        let unit = 10u64.pow(u32::from(scale));
        Some(Exact::scaled_variance(count, sum, squares).root_of_quotient(&[count, divisor, unit, unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Column, Values};

    fn deviations(values: Values, scale: u8) -> [Option<f64>; 2] {
        let mut moments = Moments::new(values.physical());
        moments.resize(1);
        let column = Column::new(values);
        moments.update(&vec![0; column.len()], &ColumnView::Rows(&column), &Selection::All(column.len()));
        [Deviation::Sample, Deviation::Population].map(|deviation| moments.get(0, deviation, scale))
    }

    #[test]
    fn deviations_of_few_values_and_of_far_ones() {
        assert_eq!(deviations(Values::Int(vec![]), 0), [None, None]);
        assert_eq!(deviations(Values::Int(vec![7]), 0), [None, Some(0.0)]);
        assert_eq!(deviations(Values::Int(vec![2, 4, 4, 4, 5, 5, 7, 9]), 0)[1], Some(2.0));
        assert_eq!(deviations(Values::Int(vec![100, 300, 500]), 2), [Some(2.0), Some((8.0f64 / 3.0).sqrt())]);
        assert_eq!(deviations(Values::Int(vec![i64::MIN, i64::MAX]), 0)[1], Some(2f64.powi(63)));
        // Where the textbook formula in doubles gives 0 or a negative variance.
        assert_eq!(
            deviations(Values::Double(vec![1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]), 0)[1],
            Some(22.5f64.sqrt())
        );
        assert_eq!(deviations(Values::Double(vec![0.1; 3]), 0), [Some(0.0), Some(0.0)]);
        // Where squares leave the range of doubles at either end.
        assert_eq!(deviations(Values::Double(vec![1e300, -1e300]), 0)[1], Some(1e300));
        assert_eq!(deviations(Values::Double(vec![1e-310, -1e-310]), 0)[1], Some(1e-310));
        assert_eq!(deviations(Values::Double(vec![f64::MAX, f64::MIN]), 0), [Some(f64::INFINITY), Some(f64::MAX)]);
    }
}
