//! How many different values each group has: one set for all groups, not a set for each.

use hashbrown::HashSet;

use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::ordered;
use crate::aggregate::words::{NULL_WORD, TextWords};
use crate::chunk::{ColumnView, Physical, Selection};

/// The pairs of group and value seen so far.
#[derive(Debug, Clone)]
pub(super) struct Distinct {
    physical: Physical,
    /// Group, and the word of the value: one of `ordered`, or the dictionary's for text.
    pairs: HashSet<(u32, u64)>,
    counts: Vec<u64>,
    texts: TextWords,
    /// The pairs in order, as far as `store` has needed them.
    sorted: Vec<(u32, u64)>,
}

impl Distinct {
    pub(super) fn new(physical: Physical) -> Self {
        Distinct {
            physical,
            pairs: HashSet::default(),
            counts: Vec::new(),
            texts: TextWords::default(),
            sorted: Vec::new(),
        }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        let Distinct { physical, pairs, counts, texts, .. } = self;
        let mut add = |group: usize, word: u64| counts[group] += u64::from(pairs.insert((group as u32, word)));
        if *physical == Physical::Text {
            let mut groups = groups.iter();
            texts.for_each(view, selection, |word| {
                if let (Some(group), true) = (groups.next(), word != NULL_WORD) {
                    add(*group as usize, u64::from(word));
                }
            });
        } else {
            ordered::for_each_word(*physical, groups, view, selection, add);
        }
    }

    pub(super) fn merge(&mut self, other: Distinct, group_of_group: &[u32]) {
        let word_of_word = self.texts.merge(&other.texts);
        for (group, word) in other.pairs {
            let group = group_of_group[group as usize];
            let word = if self.physical == Physical::Text { word_of_word[word as usize].into() } else { word };
            self.counts[group as usize] += u64::from(self.pairs.insert((group, word)));
        }
    }

    /// How many different values a group has.
    pub(super) fn get(&self, group: u32) -> u64 {
        self.counts[group as usize]
    }

    pub(super) fn store(&mut self, group: u32, out: &mut Vec<u8>) {
        // Pairs are never taken out, so that as many are the same ones.
        if self.sorted.len() != self.pairs.len() {
            self.sorted.clear();
            self.sorted.extend(&self.pairs);
            self.sorted.sort_unstable();
        }
        let first = self.sorted.partition_point(|(other, _)| *other < group);
        let words = self.sorted[first..].iter().take_while(|(other, _)| *other == group).map(|(_, word)| *word);
        format::put(out, self.counts[group as usize]);
        if self.physical == Physical::Text {
            let mut texts: Vec<&[u8]> = words.map(|word| self.texts.get(word as u32)).collect();
            texts.sort_unstable();
            texts.iter().for_each(|text| format::put_text(out, text));
        } else {
            words.for_each(|word| format::put_word(out, word));
        }
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for _ in 0..reader.number()? {
            let word = match self.physical {
                Physical::Text => self.texts.word(reader.text()?).into(),
                _ => reader.word()?,
            };
            self.counts[group as usize] += u64::from(self.pairs.insert((group, word)));
        }
        Ok(())
    }

    pub(super) fn forget_encodings(&mut self) {
        self.texts.forget_encodings();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pairs.allocation_size()
            // Storing them takes a sorted copy, which has to have a place, too.
            + self.sorted.capacity().max(self.pairs.len()) * size_of::<(u32, u64)>()
            + self.counts.capacity() * size_of::<u64>()
            + self.texts.memory_bytes()
    }
}
