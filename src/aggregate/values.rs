//! Functions that need all values of a group at once: the median, and the gaps between dates.

use crate::aggregate::exact::Exact;
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::moments::Deviation;
use crate::aggregate::ordered;
use crate::chunk::{ColumnView, DataType, Physical, Selection, decimal};

/// What an allocation costs beside its bytes, about.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// The values of each group, as words of `ordered`.
#[derive(Debug, Clone)]
pub(super) struct ValueLists {
    data_type: DataType,
    lists: Vec<Vec<u64>>,
    /// Allocated by the lists, in words.
    capacity: usize,
}

impl ValueLists {
    pub(super) fn new(data_type: DataType) -> Self {
        ValueLists { data_type, lists: Vec::new(), capacity: 0 }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.lists.resize(groups, Vec::new());
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let ValueLists { data_type, lists, capacity } = self;
        ordered::for_each_word(data_type.physical(), groups, view, selection, |group, word| {
            let list = &mut lists[group];
            let before = list.capacity();
            list.push(word);
            *capacity += list.capacity() - before;
        });
    }

    pub(super) fn merge(&mut self, other: ValueLists, group_of_group: &[u32]) {
        for (mut from, group) in other.lists.into_iter().zip(group_of_group) {
            let list = &mut self.lists[*group as usize];
            self.capacity -= list.capacity();
            if list.len() < from.len() {
                std::mem::swap(list, &mut from);
            }
            list.extend_from_slice(&from);
            self.capacity += list.capacity();
        }
    }

    /// The median of a group of numbers, NULL without one.
    pub(super) fn median(&mut self, group: u32) -> Option<f64> {
        let words = self.sorted(group);
        let (lower, upper) = middle(words)?;
        Some(match self.data_type.physical() {
            Physical::Double => ordered::to_double(lower).midpoint(ordered::to_double(upper)),
            _ => half(ordered::to_int(lower), ordered::to_int(upper), self.data_type.scale()),
        })
    }

    /// The median of the days between neighbours of a group of dates, NULL without neighbours.
    pub(super) fn median_gap(&mut self, group: u32) -> Option<f64> {
        let gaps = gaps(self.sorted(group));
        let (lower, upper) = middle(&gaps)?;
        Some(half(lower as i64, upper as i64, 0))
    }

    /// The population deviation of the days between neighbours of a group of dates, NULL without neighbours.
    pub(super) fn stddev_gap(&mut self, group: u32) -> Option<f64> {
        let gaps = gaps(self.sorted(group));
        let sum: i128 = gaps.iter().map(|gap| i128::from(*gap)).sum();
        // Days fit 22 bits, so that no number of squares leaves 128.
        let squares: i128 = gaps.iter().map(|gap| i128::from(*gap) * i128::from(*gap)).sum();
        Deviation::Population.of(gaps.len() as u64, &Exact::from(sum), &Exact::from(squares), 0)
    }

    pub(super) fn store(&mut self, group: u32, out: &mut Vec<u8>) {
        let words = self.sorted(group);
        format::put(out, words.len() as u64);
        let mut before = 0;
        for word in words {
            format::put(out, *word - before);
            before = *word;
        }
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let count = reader.number()?;
        let list = &mut self.lists[group as usize];
        self.capacity -= list.capacity();
        let mut word = 0u64;
        for _ in 0..count {
            word = word.checked_add(reader.number()?).ok_or(Damaged)?;
            list.push(word);
        }
        self.capacity += list.capacity();
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lists.capacity() * (size_of::<Vec<u64>>() + ALLOCATION_BYTES) + self.capacity * size_of::<u64>()
    }

    fn sorted(&mut self, group: u32) -> &[u64] {
        let list = &mut self.lists[group as usize];
        list.sort_unstable();
        list
    }
}

/// The days between neighbours, sorted.
fn gaps(sorted: &[u64]) -> Vec<u64> {
    let mut gaps: Vec<u64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps
}

/// The two values in the middle, which are one for an odd number.
fn middle(sorted: &[u64]) -> Option<(u64, u64)> {
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2], sorted[last.div_ceil(2)]))
}

/// The mean of two decimals of a scale, rounded once.
fn half(lower: i64, upper: i64, scale: u8) -> f64 {
    decimal::to_f64((i128::from(lower) + i128::from(upper)) * 5, scale + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Column, Values};

    fn lists(data_type: DataType, values: Values) -> ValueLists {
        let mut lists = ValueLists::new(data_type);
        lists.resize(1);
        let column = Column::new(values);
        lists.update(&vec![0; column.len()], &ColumnView::Rows(&column), &Selection::All(column.len()));
        lists
    }

    #[test]
    fn medians_are_middles() {
        let decimal = DataType::Decimal { precision: 18, scale: 2 };
        for (data_type, values, expected) in [
            (DataType::Integer, Values::Int(vec![]), None),
            (DataType::Integer, Values::Int(vec![3]), Some(3.0)),
            (DataType::Integer, Values::Int(vec![4, -1, 3, 2]), Some(2.5)),
            (DataType::Integer, Values::Int(vec![i64::MAX, i64::MAX - 2]), Some(i64::MAX as f64)),
            (decimal, Values::Int(vec![1, 2]), Some(0.015)),
            (decimal, Values::Int(vec![110, 33, 7]), Some(0.33)),
            (DataType::Double, Values::Double(vec![f64::MAX, f64::MAX]), Some(f64::MAX)),
            (DataType::Double, Values::Double(vec![-2.0, 1.0]), Some(-0.5)),
        ] {
            let shown = format!("{values:?}");
            assert_eq!(lists(data_type, values).median(0), expected, "{shown}");
        }
    }

    #[test]
    fn gaps_are_days_between_sorted_dates() {
        for (dates, median, deviation) in [
            (vec![], None, None),
            (vec![5], None, None),
            (vec![5, 5], Some(0.0), Some(0.0)),
            (vec![10, 0, 40], Some(20.0), Some(10.0)),
            (vec![-3, 4, 11, 18], Some(7.0), Some(0.0)),
        ] {
            let mut lists = lists(DataType::Date, Values::Int(dates.clone()));
            assert_eq!((lists.median_gap(0), lists.stddev_gap(0)), (median, deviation), "{dates:?}");
        }
    }
}
