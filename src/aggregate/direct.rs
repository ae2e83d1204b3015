//! Groups by place: where the words of all keys are numbers from small ranges, as those of dictionaries, dates and codes
//! are, a key tuple is the number of a slot. One load finds the group of a row, and nothing has to be compared.

use crate::aggregate::guesses::NO_GROUP;

/// A slot for each combination of words in ranges that hold those of most groups.
#[derive(Debug, Clone, Default)]
pub(super) struct DirectIndex {
    /// A range for each word of a key tuple.
    ranges: Vec<WordRange>,
    /// The group of each slot, or `NO_GROUP`. Empty while the index is not in use.
    groups: Vec<u32>,
    /// Rows without a slot since the index was made.
    missed: usize,
    /// Fewer groups than these have no use for the slots that their keys would need, which only become more.
    fewest_groups: usize,
}

#[derive(Debug, Clone, Copy)]
struct WordRange {
    first: u32,
    len: u32,
}

impl DirectIndex {
    /// The index is in use as long as there are no more slots for a group, and some more. All of them have numbers other
    /// than `NO_GROUP`.
    const SLOTS_PER_GROUP: u64 = 4;
    const MORE_SLOTS: u64 = 4096;
    const MOST_SLOTS: u64 = 1 << 31;
    /// Ranges have room for one word more for each so many that there are.
    const ROOM_SHARE: u64 = 8;

    /// Whether there is an index at all.
    pub(super) fn is_used(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The group of each key tuple of `N` words, or `NO_GROUP` for those that have none here. In two passes, of which the
    /// second does nothing but load, so that the processor has many loads under way at once.
    pub(super) fn find<const N: usize>(&self, tuples: &[[u32; N]], groups: &mut [u32]) {
        let ranges: [WordRange; N] = std::array::from_fn(|word| self.ranges[word]);
        for (tuple, group) in tuples.iter().zip(&mut *groups) {
            *group = place(tuple, &ranges).unwrap_or(NO_GROUP);
        }
        for group in groups {
            *group = self.groups.get(*group as usize).copied().unwrap_or(NO_GROUP);
        }
    }

    /// Notes a group that was found without the index.
    pub(super) fn insert(&mut self, tuple: &[u32], group: u32) {
        match place(tuple, &self.ranges).filter(|_| self.is_used()) {
            Some(place) => self.groups[place as usize] = group,
            None => self.missed += 1,
        }
    }

    /// Makes the index anew when a quarter as many rows had no slot as there are groups: then that costs no more than looking
    /// for these rows did. `words` are the key tuples of all groups, one behind the other.
    pub(super) fn adapt(&mut self, words: &[u32], stride: usize) {
        let groups = words.len() / stride;
        if self.missed == 0 || self.missed * 4 < groups || groups < self.fewest_groups {
            return;
        }
        *self = DirectIndex::default();
        let mut bounds = vec![(u32::MAX, 0); stride];
        for tuple in words.chunks_exact(stride) {
            for (word, (least, greatest)) in tuple.iter().zip(&mut bounds) {
                (*least, *greatest) = ((*word).min(*least), (*word).max(*greatest));
            }
        }
        // With some room for what is yet to come.
        let len = |(least, greatest): &(u32, u32)| {
            let len = u64::from(greatest - least) + 1;
            len + len / DirectIndex::ROOM_SHARE
        };
        let slots = bounds.iter().fold(1u64, |slots, bounds| slots.saturating_mul(len(bounds)));
        self.fewest_groups = match slots {
            ..=DirectIndex::MOST_SLOTS => {
                slots.saturating_sub(DirectIndex::MORE_SLOTS).div_ceil(DirectIndex::SLOTS_PER_GROUP) as usize
            }
            _ => usize::MAX,
        };
        if groups < self.fewest_groups {
            return;
        }
        // No range is longer than all slots together.
        self.ranges = bounds.iter().map(|bounds| WordRange { first: bounds.0, len: len(bounds) as u32 }).collect();
        self.groups = vec![NO_GROUP; slots as usize];
        for (group, tuple) in (0..).zip(words.chunks_exact(stride)) {
            if let Some(place) = place(tuple, &self.ranges) {
                self.groups[place as usize] = group;
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<u32>() + self.ranges.capacity() * size_of::<WordRange>()
    }
}

/// The slot of a key tuple, if its words lie in the ranges.
#[inline(always)]
fn place(tuple: &[u32], ranges: &[WordRange]) -> Option<u32> {
    let (mut place, mut is_inside) = (0u32, true);
    for (word, WordRange { first, len }) in tuple.iter().zip(ranges) {
        let offset = word.wrapping_sub(*first);
        is_inside &= offset < *len;
        place = place.wrapping_mul(*len).wrapping_add(offset);
    }
    is_inside.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_found_is_right_and_what_is_noted_is_found(
            tuples in proptest::collection::vec(prop_oneof![9 => [0u32..40, 900u32..930], 1 => any::<[u32; 2]>()], 0..400),
        ) {
            let mut index = DirectIndex::default();
            let mut words: Vec<u32> = Vec::new();
            for tuple in &tuples {
                let known = words.as_chunks::<2>().0.iter().position(|other| other == tuple);
                let mut found = [7];
                if index.is_used() {
                    index.find(&[*tuple], &mut found);
                    prop_assert!(found[0] == NO_GROUP || Some(found[0] as usize) == known);
                }
                let group = known.unwrap_or(words.len() / 2);
                if known.is_none() {
                    words.extend_from_slice(tuple);
                }
                index.insert(tuple, group as u32);
                if index.is_used() && place(tuple, &index.ranges).is_some() {
                    index.find(&[*tuple], &mut found);
                    prop_assert_eq!(found, [group as u32]);
                }
                index.adapt(&words, 2);
            }
        }
    }

    #[test]
    fn it_is_used_while_there_are_no_more_slots_than_groups_need() {
        let (mut index, mut words) = (DirectIndex::default(), Vec::new());
        for group in 0..5000 {
            words.extend([group, 7]);
            index.insert(&[group, 7], group);
        }
        index.adapt(&words, 2);
        assert_eq!(index.memory_bytes(), (5000 + 5000 / 8) * 4 + 2 * 8);
        index.insert(&[5000, 8], 5000);
        words.extend([5000, 8]);
        index.adapt(&words, 2);
        assert!(index.is_used(), "one row is no reason to make it anew");
        words.extend([u32::MAX, 8]);
        for _ in 0..1252 {
            index.insert(&[u32::MAX, 8], 5001);
        }
        index.adapt(&words, 2);
        assert!(!index.is_used());
        assert_eq!(index.memory_bytes(), 0);
    }
}
