//! Functions that need all values of a group at once: the median, and the gaps between dates.

use std::ops::Range;

use crate::aggregate::exact::Exact;
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::moments::Deviation;
use crate::aggregate::ordered;
use crate::chunk::{ColumnView, DataType, Physical, Selection, decimal};

/// The values of all groups, as words of `ordered`. Those that come are noted one behind the other, whatever their groups
/// are, and put in the order of the groups when a group is looked at.
#[derive(Debug, Clone)]
pub(super) struct ValueLists {
    data_type: DataType,
    words: Vec<u64>,
    /// Where the words of each group end that are in order: those in front.
    ends: Vec<usize>,
    /// The group of each of the other words.
    groups_behind: Vec<u32>,
    /// The gaps of the group at hand, kept for its allocation.
    gaps: Vec<u64>,
}

impl ValueLists {
    pub(super) fn new(data_type: DataType) -> Self {
        let (words, ends, groups_behind, gaps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        ValueLists { data_type, words, ends, groups_behind, gaps }
    }

    /// A group needs no room before it has values.
    pub(super) fn resize(&mut self, _groups: usize) {}

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let ValueLists { data_type, words, groups_behind, .. } = self;
        ordered::for_each_word(data_type.physical(), groups, view, selection, |group, word| {
            push(words, word);
            push(groups_behind, group as u32);
        });
    }

    pub(super) fn merge(&mut self, other: ValueLists, group_of_group: &[u32]) {
        for (list, group) in lists(&other.ends).zip(group_of_group) {
            self.groups_behind.extend(std::iter::repeat_n(*group, list.len()));
        }
        self.groups_behind.extend(other.groups_behind.iter().map(|group| group_of_group[*group as usize]));
        self.words.extend(other.words);
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
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.clear();
        gaps.extend(self.gaps(group));
        gaps.sort_unstable();
        let median = middle(&gaps).map(|(lower, upper)| half(lower as i64, upper as i64, 0));
        self.gaps = gaps;
        median
    }

    /// The population deviation of the days between neighbours of a group of dates, NULL without neighbours.
    pub(super) fn stddev_gap(&mut self, group: u32) -> Option<f64> {
        // Days fit 22 bits, so that no number of squares leaves 128.
        let (mut count, mut sum, mut squares) = (0, 0, 0);
        for gap in self.gaps(group).map(i128::from) {
            (count, sum, squares) = (count + 1, sum + gap, squares + gap * gap);
        }
        Deviation::Population.of(count, &Exact::from(sum), &Exact::from(squares), 0)
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
        // Groups that are read back come in order, mostly.
        let is_in_order = self.groups_behind.is_empty() && group as usize + 1 >= self.ends.len();
        let mut word = 0u64;
        for _ in 0..count {
            word = word.checked_add(reader.number()?).ok_or(Damaged)?;
            push(&mut self.words, word);
            if !is_in_order {
                push(&mut self.groups_behind, group);
            }
        }
        if is_in_order {
            let start = self.ends.last().copied().unwrap_or(0);
            self.ends.resize(group as usize + 1, start);
            self.ends[group as usize] = self.words.len();
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<u64>() * (self.words.capacity() + self.gaps.capacity())
            + size_of::<usize>() * self.ends.capacity()
            + size_of::<u32>() * self.groups_behind.capacity()
    }

    /// The days between neighbours.
    fn gaps(&mut self, group: u32) -> impl Iterator<Item = u64> {
        self.sorted(group).windows(2).map(|pair| pair[1] - pair[0])
    }

    fn sorted(&mut self, group: u32) -> &[u64] {
        if !self.groups_behind.is_empty() {
            self.arrange();
        }
        // Groups behind the last one that has a value have none.
        let end = |group: usize| self.ends.get(group).copied().unwrap_or(self.words.len());
        let list = group.checked_sub(1).map_or(0, |before| end(before as usize))..end(group as usize);
        let words = &mut self.words[list];
        words.sort_unstable();
        words
    }

    /// Puts all words in the order of their groups: a counting sort.
    fn arrange(&mut self) {
        let ValueLists { words, ends, groups_behind, .. } = self;
        let last = groups_behind.iter().max().map_or(0, |last| *last as usize);
        // First how many words each group has, then where they begin, and, when all are there, where they end.
        let mut next = vec![0; ends.len().max(last + 1)];
        next.iter_mut().zip(lists(ends)).for_each(|(next, list)| *next = list.len());
        groups_behind.iter().for_each(|group| next[*group as usize] += 1);
        let mut filled = 0;
        next.iter_mut().for_each(|next| filled += std::mem::replace(next, filled));
        let mut arranged = vec![0; words.len()];
        for (next, list) in next.iter_mut().zip(lists(ends)) {
            arranged[*next..*next + list.len()].copy_from_slice(&words[list.clone()]);
            *next += list.len();
        }
        let behind = &words[words.len() - groups_behind.len()..];
        for (word, group) in behind.iter().zip(&*groups_behind) {
            let next = &mut next[*group as usize];
            arranged[*next] = *word;
            *next += 1;
        }
        (*words, *ends, *groups_behind) = (arranged, next, Vec::new());
    }
}

/// Where the words of each group lie, given where they end.
fn lists(ends: &[usize]) -> impl Iterator<Item = Range<usize>> {
    std::iter::once(0).chain(ends.iter().copied()).zip(ends).map(|(start, end)| start..*end)
}

/// `Vec::push` that leaves room for an eighth more at most: room counts as memory, and a group has only so much of it.
#[inline]
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 64);
    }
    list.push(item);
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

    fn list_of(data_type: DataType, values: Values) -> ValueLists {
        let mut lists = ValueLists::new(data_type);
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
            assert_eq!(list_of(data_type, values).median(0), expected, "{shown}");
        }
    }

    #[test]
    fn lists_take_values_in_any_order_and_stay_apart() {
        let data_type = DataType::Integer;
        let stored = |lists: &mut ValueLists, group: u32| {
            let mut out = Vec::new();
            lists.store(group, &mut out);
            out
        };
        let expected = |values: &[i64]| stored(&mut list_of(data_type, Values::Int(values.to_vec())), 0);
        let update = |lists: &mut ValueLists, groups: &[u32], values: &[i64]| {
            let column = Column::new(Values::Int(values.to_vec()));
            lists.update(groups, &ColumnView::Rows(&column), &Selection::All(values.len()));
        };
        let mut lists = ValueLists::new(data_type);
        update(&mut lists, &[3, 1, 3, 0], &[7, 5, -2, 9]);
        assert_eq!(lists.median(1), Some(5.0));
        // Behind those that are in order now, of a group that has some, and of one that has none.
        update(&mut lists, &[1, 2], &[6, 4]);
        lists.take_stored(3, &mut Reader::new(&expected(&[1, 1]))).unwrap();
        let mut other = ValueLists::new(data_type);
        for group in [0, 2, 2] {
            other.take_stored(group, &mut Reader::new(&expected(&[-8, 8]))).unwrap();
        }
        update(&mut other, &[1], &[3]);
        lists.merge(other, &[5, 3, 1]);
        let all: [&[i64]; 7] = [&[9], &[-8, -8, 5, 6, 8, 8], &[4], &[-2, 1, 1, 3, 7], &[], &[-8, 8], &[]];
        for (group, values) in (0..).zip(all) {
            assert_eq!(stored(&mut lists, group), expected(values), "group {group}");
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
            let mut lists = list_of(DataType::Date, Values::Int(dates.clone()));
            assert_eq!((lists.median_gap(0), lists.stddev_gap(0)), (median, deviation), "{dates:?}");
        }
    }
}
