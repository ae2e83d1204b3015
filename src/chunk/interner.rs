//! Distinct texts, numbered in order of first appearance. Knows nothing of NULL, and of what the numbers are for.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use hashbrown::{DefaultHashBuilder, HashTable};
use prefetch_index::prefetch_index;

use crate::chunk::column::{Span, Text};
use crate::chunk::serials::Serials;
use crate::chunk::shorts::Shorts;

/// Numbers texts, and keeps one copy of each.
///
/// Most texts of a feed have at most 24 bytes. These are hashed, compared and kept as three words.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    heads: Vec<Head>,
    /// The texts that their heads do not hold, one behind the other.
    long: Vec<u8>,
    /// Where each of them ends.
    long_ends: Vec<usize>,
    text_bytes: usize,
    table: HashTable<Entry>,
    serials: Serials,
    shorts: Shorts,
    /// Seeded anew each time, so that no input can be prepared to collide; numbers do not depend on it.
    hasher: DefaultHashBuilder,
}

/// As small as it can be, so that the table stays in the cache, but no smaller: with its hash, hardly another text is taken
/// for the right one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The lower half of the hash.
    hash: u32,
    number: u32,
}

/// Texts that are looked for together: as many as the first cache holds the heads of.
const BATCH: usize = 128;

/// Heads of so many later rows are asked for early, which fills the time that memory takes to answer.
const ROWS_AHEAD: usize = 32;

/// What a text begins with, so that few texts have to be looked at beyond it. In one line of the cache, of which it is half.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
struct Head {
    /// The first bytes, with zeros behind a shorter text.
    bytes: [u8; Head::BYTES],
    len: u32,
    /// Of a text with more bytes: its place among the long ones.
    long: u32,
}

impl Interner {
    /// The number of no text.
    pub const NO_NUMBER: u32 = u32::MAX;

    /// The number of value `row` of `text`, and whether it is new.
    ///
    /// # Panics
    /// If there are more distinct texts than 32 bits can number; the last two numbers are left for the callers' own use.
    #[inline]
    pub fn number(&mut self, text: &Text, row: usize) -> (u32, bool) {
        self.number_of(Head::new(&text.bytes, text.spans[row]), text.get(row))
    }

    /// Replaces `numbers` by the numbers of the values at `rows`.
    ///
    /// Where texts have no serials and are not few and short, batch by batch, and each in several passes, so that the processor
    /// has the cache misses of many rows under way at once: the first hashes, the second finds the number that is most probably
    /// the right one, the third brings what is known of its text into the cache, and the last looks at that.
    ///
    /// # Panics
    /// Like `number`.
    pub fn numbers(&mut self, text: &Text, mut rows: impl Iterator<Item = usize> + Clone, numbers: &mut Vec<u32>) {
        numbers.clear();
        if self.serials.pay() {
            self.serials.find(text, rows.clone(), numbers);
            for (number, row) in numbers.iter_mut().zip(rows).filter(|(number, _)| **number == Interner::NO_NUMBER) {
                *number = self.number(text, row).0;
                self.serials.note(text.get(row), *number, self.heads.len());
            }
            self.serials.count(numbers.len());
            return;
        }
        if self.shorts.pay() {
            self.shorts.find(text, rows.clone(), numbers);
            for (number, row) in numbers.iter_mut().zip(rows).filter(|(number, _)| **number == Interner::NO_NUMBER) {
                *number = self.number(text, row).0;
                self.shorts.note(text.get(row), *number);
            }
            self.shorts.count(numbers.len());
            return;
        }
        let (mut heads, mut hashes) = ([Head::default(); BATCH], [0; BATCH]);
        loop {
            let (batch, first) = (rows.clone(), numbers.len());
            let mut hashed = 0;
            for ((head, hash), row) in heads.iter_mut().zip(&mut hashes).zip(&mut rows) {
                *head = Head::new(&text.bytes, text.spans[row]);
                *hash = head.hash(&self.hasher, || text.get(row));
                hashed += 1;
            }
            let probable = |hash: &u64| self.table.find(*hash, |entry| entry.hash == *hash as u32);
            numbers.extend(
                hashes[..hashed].iter().map(|hash| probable(hash).map_or(Interner::NO_NUMBER, |entry| entry.number)),
            );
            let numbers = &mut numbers[first..];
            let len_of = |number: &u32| self.heads.get(*number as usize).map_or(0, |head| head.len);
            black_box(numbers.iter().fold(0, |all, number| all | len_of(number)));
            for ((number, head), row) in numbers.iter_mut().zip(&heads).zip(batch) {
                if *number == Interner::NO_NUMBER || !self.is(*number, *head, || text.get(row)) {
                    *number = self.number_of(*head, text.get(row)).0;
                }
            }
            if hashed < BATCH {
                return;
            }
        }
    }

    /// Replaces each number that is not the one of its row's text by `NO_NUMBER`, which stays as it is.
    pub fn reject_others(&self, text: &Text, rows: impl Iterator<Item = usize>, numbers: &mut [u32]) {
        for (at, row) in (0..numbers.len()).zip(rows) {
            if let Some(later) = numbers.get(at + ROWS_AHEAD) {
                prefetch_index(&self.heads, *later as usize);
            }
            let number = &mut numbers[at];
            let is_known = (*number as usize) < self.heads.len();
            if !is_known || !self.is(*number, Head::new(&text.bytes, text.spans[row]), || text.get(row)) {
                *number = Interner::NO_NUMBER;
            }
        }
    }

    /// The number of a text that is not in a column.
    ///
    /// # Panics
    /// Like `number`.
    pub fn number_of_text(&mut self, text: &[u8]) -> (u32, bool) {
        self.number_of(Head::new(text, Span { start: 0, len: text.len() as u32 }), text)
    }

    /// The text of a number.
    pub fn get(&self, number: u32) -> &[u8] {
        text_of(&self.heads[number as usize], &self.long, &self.long_ends)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The bytes of all texts together.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Forgets all texts, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.long.clear();
        self.long_ends.clear();
        self.text_bytes = 0;
        self.table.clear();
        self.serials.clear();
        self.shorts.clear();
    }

    /// The heap that it holds, in bytes, allocated capacity included.
    pub fn memory_bytes(&self) -> usize {
        self.heads.capacity() * size_of::<Head>()
            + self.long.capacity()
            + self.long_ends.capacity() * size_of::<usize>()
            + self.table.allocation_size()
            + self.serials.memory_bytes()
            + self.shorts.memory_bytes()
    }

    #[inline]
    fn number_of(&mut self, head: Head, text: &[u8]) -> (u32, bool) {
        let hash = head.hash(&self.hasher, || text);
        match self.table.find(hash, |entry| entry.hash == hash as u32 && self.is(entry.number, head, || text)) {
            Some(entry) => (entry.number, false),
            None => (self.insert(hash, head, text), true),
        }
    }

    #[inline(always)]
    fn is<'a>(&self, number: u32, head: Head, text: impl FnOnce() -> &'a [u8]) -> bool {
        let known = &self.heads[number as usize];
        known.len == head.len && known.bytes == head.bytes && (head.is_all() || self.get(number) == text())
    }

    #[cold]
    fn insert(&mut self, hash: u64, mut head: Head, text: &[u8]) -> u32 {
        let number = self.heads.len() as u32;
        assert!(number < u32::MAX - 2, "more distinct texts than 32 bits can number");
        if !head.is_all() {
            head.long = self.long_ends.len() as u32;
            self.long.extend_from_slice(text);
            self.long_ends.push(self.long.len());
        }
        self.text_bytes += text.len();
        self.heads.push(head);
        let Interner { heads, long, long_ends, table, hasher, .. } = self;
        let rehash = |entry: &Entry| {
            let head = &heads[entry.number as usize];
            head.hash(hasher, || text_of(head, long, long_ends))
        };
        table.insert_unique(hash, Entry { hash: hash as u32, number }, rehash);
        number
    }
}

impl Head {
    const BYTES: usize = 24;

    /// The head of a stretch of a buffer. Whatever stands behind a short text is read with it and cleared.
    #[inline(always)]
    fn new(bytes: &[u8], Span { start, len }: Span) -> Self {
        let from = &bytes[start as usize..];
        let mut words = match from.first_chunk::<{ Head::BYTES }>() {
            Some(chunk) => *chunk,
            None => {
                let mut chunk = [0; Head::BYTES];
                chunk[..from.len()].copy_from_slice(from);
                chunk
            }
        };
        let mask = &MASKS[(len as usize).min(Head::BYTES)];
        for (word, mask) in words.as_chunks_mut::<8>().0.iter_mut().zip(mask) {
            *word = (u64::from_le_bytes(*word) & mask).to_le_bytes();
        }
        Head { bytes: words, len, long: 0 }
    }

    /// Whether it has all bytes of the text.
    #[inline(always)]
    fn is_all(&self) -> bool {
        self.len as usize <= Head::BYTES
    }

    #[inline(always)]
    fn hash<'a>(&self, hasher: &DefaultHashBuilder, text: impl FnOnce() -> &'a [u8]) -> u64 {
        let mut state = hasher.build_hasher();
        // All words of every text: a branch by its length would often be mispredicted.
        let [first, second, third] = [0, 1, 2].map(|word| u64::from_le_bytes(self.bytes.as_chunks().0[word]));
        state.write_u128(u128::from(first) | u128::from(second) << 64);
        state.write_u64(third ^ u64::from(self.len) << 56);
        if !self.is_all() {
            state.write(&text()[Head::BYTES..]);
        }
        state.finish()
    }
}

const MASKS: [[u64; 3]; Head::BYTES + 1] = masks();

/// The lowest so many bytes of some words: of as many as there are masks, but for one.
pub(super) const fn masks<const WORDS: usize, const MASKS: usize>() -> [[u64; WORDS]; MASKS] {
    let mut masks = [[0; WORDS]; MASKS];
    let mut bytes = 1;
    while bytes < MASKS {
        masks[bytes] = masks[bytes - 1];
        masks[bytes][(bytes - 1) / 8] = masks[bytes][(bytes - 1) / 8] << 8 | 0xFF;
        bytes += 1;
    }
    masks
}

fn text_of<'a>(head: &'a Head, long: &'a [u8], long_ends: &[usize]) -> &'a [u8] {
    if head.is_all() {
        return &head.bytes[..head.len as usize];
    }
    let end = long_ends[head.long as usize];
    &long[end - head.len as usize..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::TextBuilder;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Texts of few letters and digits and all lengths around that of a head, zero bytes among them, with any bytes behind
        /// them.
        #[test]
        fn equal_texts_have_one_number_and_others_another(
            values in proptest::collection::vec(
                proptest::collection::vec(proptest::sample::select(b"\0\x0112".to_vec()), 0..28),
                0..200,
            ),
            has_serials in any::<bool>(),
            has_shorts in any::<bool>(),
        ) {
            let mut builder = TextBuilder::default();
            values.iter().for_each(|value| builder.push(value));
            let text = builder.finish();
            let (mut interner, mut known) = (Interner::default(), HashMap::new());
            for (row, value) in values.iter().enumerate() {
                let next = known.len() as u32;
                let expected = *known.entry(value.clone()).or_insert(next);
                let is_new = expected == next;
                let number = if row % 3 == 0 { interner.number_of_text(value) } else { interner.number(&text, row) };
                prop_assert_eq!(number, (expected, is_new));
                prop_assert_eq!(interner.get(expected), &value[..]);
            }
            prop_assert_eq!(interner.len(), known.len());
            let rows = (0..values.len()).filter(|row| row % 5 != 0);
            let mut numbers = vec![7];
            if !has_serials {
                interner.serials.give_up();
            }
            if !has_shorts {
                interner.shorts.give_up();
            }
            interner.numbers(&text, rows.clone(), &mut numbers);
            prop_assert_eq!(&numbers, &rows.clone().map(|row| known[&values[row]]).collect::<Vec<_>>());
            // Of guesses, only the right ones stay.
            for guess in 0..known.len() as u32 + 1 {
                let mut guesses = vec![guess; values.len()];
                interner.reject_others(&text, 0..values.len(), &mut guesses);
                let is_right = |value: &Vec<u8>| if known[value] == guess { guess } else { Interner::NO_NUMBER };
                prop_assert_eq!(guesses, values.iter().map(is_right).collect::<Vec<_>>());
            }
            let (mut anew, mut others) = (Interner::default(), Vec::new());
            if !has_serials {
                anew.serials.give_up();
            }
            if !has_shorts {
                anew.shorts.give_up();
            }
            anew.numbers(&text, rows.clone(), &mut others);
            let texts = rows.map(|row| &values[row][..]);
            prop_assert!(texts.eq(others.iter().map(|number| anew.get(*number))));
        }
    }

    #[test]
    fn cleared_it_begins_anew() {
        let mut interner = Interner::default();
        assert_eq!(interner.number_of_text(b"a"), (0, true));
        assert_eq!(interner.number_of_text(b""), (1, true));
        interner.clear();
        assert!(interner.is_empty());
        assert_eq!(interner.number_of_text(b""), (0, true));
        assert_eq!(interner.text_bytes(), 0);
    }
}
