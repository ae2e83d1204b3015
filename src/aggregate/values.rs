//! Functions that need all values of a group at once: the median, and the gaps between dates.

use crate::aggregate::exact::Exact;
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::moments::Deviation;
use crate::aggregate::ordered;
use crate::chunk::{ColumnView, DataType, Physical, Selection, decimal};

/// The values of all groups, as words of `ordered`, in the order in which they came: noting one is only ever an append. They
/// are put in the order of their groups when those are looked at.
#[derive(Debug, Clone)]
pub(super) struct ValueLists {
    data_type: DataType,
    words: Vec<u64>,
    /// The group of each word.
    group_of_word: Vec<u32>,
    groups: usize,
    /// Where the words of each group begin, and where the last ones end. Empty until they are in order.
    starts: Vec<usize>,
    /// The gaps of the group at hand, kept for its allocation.
    gaps: Vec<u64>,
}

impl ValueLists {
    pub(super) fn new(data_type: DataType) -> Self {
        ValueLists {
            data_type,
            words: Vec::new(),
            group_of_word: Vec::new(),
            groups: 0,
            starts: Vec::new(),
            gaps: Vec::new(),
        }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.groups = groups;
        self.starts.clear();
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        self.starts.clear();
        let ValueLists { data_type, words, group_of_word, .. } = self;
        ordered::for_each_word(data_type.physical(), groups, view, selection, |group, word| {
            words.push(word);
            group_of_word.push(group as u32);
        });
    }

    pub(super) fn merge(&mut self, other: ValueLists, group_of_group: &[u32]) {
        self.starts.clear();
        self.words.extend(other.words);
        self.group_of_word.extend(other.group_of_word.iter().map(|group| group_of_group[*group as usize]));
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
        self.starts.clear();
        let count = reader.number()?;
        let mut word = 0u64;
        for _ in 0..count {
            word = word.checked_add(reader.number()?).ok_or(Damaged)?;
            self.words.push(word);
            self.group_of_word.push(group);
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<u64>() * (self.words.capacity() + self.gaps.capacity())
            + size_of::<u32>() * self.group_of_word.capacity()
            + size_of::<usize>() * self.starts.capacity()
    }

    /// The days between neighbours.
    fn gaps(&mut self, group: u32) -> impl Iterator<Item = u64> {
        self.sorted(group).windows(2).map(|pair| pair[1] - pair[0])
    }

    fn sorted(&mut self, group: u32) -> &[u64] {
        if self.starts.is_empty() {
            self.arrange();
        }
        let words = &mut self.words[self.starts[group as usize]..self.starts[group as usize + 1]];
        words.sort_unstable();
        words
    }

    /// Puts the words in the order of their groups: a counting sort.
    fn arrange(&mut self) {
        let ValueLists { words, group_of_word, groups, starts, .. } = self;
        starts.resize(*groups + 1, 0);
        group_of_word.iter().for_each(|group| starts[*group as usize + 1] += 1);
        for group in 0..*groups {
            starts[group + 1] += starts[group];
        }
        // What has been read back is in order as it came.
        if group_of_word.is_sorted() {
            return;
        }
        let (mut next, mut arranged) = (starts.clone(), vec![0; words.len()]);
        for (word, group) in words.iter().zip(&*group_of_word) {
            let next = &mut next[*group as usize];
            arranged[*next] = *word;
            *next += 1;
        }
        *words = arranged;
        for (group, list) in (0..).zip(starts.windows(2)) {
            group_of_word[list[0]..list[1]].fill(group);
        }
    }
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
