//! Distinct texts, numbered in order of first appearance. Knows nothing of NULL, and of what the numbers are for.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;
use hashbrown::HashTable;

use crate::chunk::column::{Span, Text};

/// Numbers texts, and keeps one copy of each.
///
/// Most texts of a feed have at most 16 bytes. These are hashed and compared as two words.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    heads: Vec<Head>,
    table: HashTable<Entry>,
    /// Seeded at random, so that no input can be made to collide; numbers do not depend on it.
    hasher: RandomState,
}

/// As small as it can be, so that the table stays in the cache.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The lower half of the hash.
    hash: u32,
    number: u32,
}

/// The length of a text and its first bytes, with zeros behind a shorter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    words: [u64; 2],
    len: u32,
}

impl Interner {
    /// The number of value `row` of `text`, and whether it is new.
    ///
    /// # Panics
    /// If there are more distinct texts than 32 bits can number; the last two numbers are left for the callers' own use.
    #[inline]
    pub fn number(&mut self, text: &Text, row: usize) -> (u32, bool) {
        let span = text.spans[row];
        self.number_of(Head::new(&text.bytes, span), text.get(row))
    }

    /// Replaces `numbers` by the numbers of the values at `rows`.
    ///
    /// In two passes, so that the processor has the cache misses of many rows under way at once: the first finds the number
    /// that is most probably the right one, the second looks at the text.
    ///
    /// # Panics
    /// Like `number`.
    pub fn numbers(&mut self, text: &Text, rows: impl Iterator<Item = usize> + Clone, numbers: &mut Vec<u32>) {
        numbers.clear();
        numbers.extend(rows.clone().map(|row| {
            let hash = Head::new(&text.bytes, text.spans[row]).hash(&self.hasher, || text.get(row));
            self.table.find(hash, |entry| entry.hash == hash as u32).map_or(UNKNOWN, |entry| entry.number)
        }));
        for (row, number) in rows.zip(numbers) {
            if *number == UNKNOWN || !self.is_number_of(*number, text, row) {
                *number = self.number(text, row).0;
            }
        }
    }

    /// Whether value `row` of `text` is the text of a number.
    #[inline(always)]
    pub fn is_number_of(&self, number: u32, text: &Text, row: usize) -> bool {
        self.is(number, Head::new(&text.bytes, text.spans[row]), || text.get(row))
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
        text_of(&self.bytes, &self.ends, number)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all texts together.
    pub fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all texts, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.heads.clear();
        self.table.clear();
    }

    /// The heap that it holds, in bytes, allocated capacity included.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.heads.capacity() * size_of::<Head>()
            + self.table.allocation_size()
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
        self.heads[number as usize] == head && (head.is_all() || self.get(number) == text())
    }

    #[cold]
    fn insert(&mut self, hash: u64, head: Head, text: &[u8]) -> u32 {
        let number = self.ends.len() as u32;
        assert!(number < u32::MAX - 2, "more distinct texts than 32 bits can number");
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.heads.push(head);
        let Interner { bytes, ends, heads, table, hasher } = self;
        let rehash = |entry: &Entry| heads[entry.number as usize].hash(hasher, || text_of(bytes, ends, entry.number));
        table.insert_unique(hash, Entry { hash: hash as u32, number }, rehash);
        number
    }
}

impl Head {
    const BYTES: usize = 16;

    /// The head of a stretch of a buffer. Whatever stands behind a short text is read with it and cleared.
    #[inline(always)]
    fn new(bytes: &[u8], Span { start, len }: Span) -> Self {
        let from = &bytes[start as usize..];
        let word = match from.first_chunk::<{ Head::BYTES }>() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => {
                let mut chunk = [0; Head::BYTES];
                chunk[..from.len()].copy_from_slice(from);
                u128::from_le_bytes(chunk)
            }
        };
        let word = word & MASKS[(len as usize).min(Head::BYTES)];
        Head { words: [word as u64, (word >> 64) as u64], len }
    }

    /// Whether it has all bytes of the text.
    #[inline(always)]
    fn is_all(self) -> bool {
        self.len as usize <= Head::BYTES
    }

    #[inline(always)]
    fn hash<'a>(self, hasher: &RandomState, text: impl FnOnce() -> &'a [u8]) -> u64 {
        let mut state = hasher.build_hasher();
        state.write_u64(self.words[0] ^ u64::from(self.len) << 56);
        state.write_u64(self.words[1]);
        if !self.is_all() {
            state.write(&text()[Head::BYTES..]);
        }
        state.finish()
    }
}

/// The lowest so many bytes of a word.
const MASKS: [u128; Head::BYTES + 1] = {
    let mut masks = [0; Head::BYTES + 1];
    let mut bytes = 1;
    while bytes < masks.len() {
        masks[bytes] = masks[bytes - 1] << 8 | 0xFF;
        bytes += 1;
    }
    masks
};

/// No number: no text with the hash is known.
const UNKNOWN: u32 = u32::MAX;

fn text_of<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::TextBuilder;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Texts of few letters and all lengths around that of a head, zero bytes among them, with any bytes behind them.
        #[test]
        fn equal_texts_have_one_number_and_others_another(
            values in proptest::collection::vec(proptest::collection::vec(0u8..2, 0..20), 0..200),
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
            interner.numbers(&text, rows.clone(), &mut numbers);
            prop_assert_eq!(&numbers, &rows.clone().map(|row| known[&values[row]]).collect::<Vec<_>>());
            let (mut anew, mut others) = (Interner::default(), Vec::new());
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
