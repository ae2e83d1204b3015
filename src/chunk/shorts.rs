//! Numbers of short texts of which there are few, as names of regions and kinds are: one place to look, by two words of the text.
//! What is not there is not known to be new; that is for the interner to say.

use crate::chunk::interner::masks;
use crate::chunk::payoff::Payoff;
use crate::chunk::{Interner, Text};

/// The numbers of some of the texts of an interner, as long as most rows have one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shorts {
    /// By a hash of the text: the last text that was noted there. Empty until the first is.
    slots: Vec<Slot>,
    payoff: Payoff,
}

/// A text of up to `LONGEST` bytes, with zeros behind it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    words: [u64; 2],
    len: u32,
    number: u32,
}

/// What is in a slot where nothing was noted: the length of no short text.
const NOTHING: Slot = Slot { words: [0; 2], len: u32::MAX, number: Interner::NO_NUMBER };

impl Shorts {
    const LONGEST: usize = 16;
    /// So many that texts seldom share a slot. Only those in use get into a cache.
    const SLOT_BITS: u32 = 12;

    /// Whether looking here first still pays.
    pub(super) fn pay(&self) -> bool {
        self.payoff.pays()
    }

    /// Appends the number of each row's text, `NO_NUMBER` for those that have none here.
    pub(super) fn find(&self, text: &Text, rows: impl Iterator<Item = usize>, numbers: &mut Vec<u32>) {
        let Ok(slots) = <&[Slot; 1 << Shorts::SLOT_BITS]>::try_from(&self.slots[..]) else {
            numbers.extend(rows.map(|_| Interner::NO_NUMBER));
            return;
        };
        numbers.extend(rows.map(|row| {
            let span = text.spans[row];
            let Some(bytes) = text.bytes[span.start as usize..].first_chunk() else { return Interner::NO_NUMBER };
            let words = words(bytes, span.len as usize);
            let slot = &slots[place(words, span.len)];
            let differ = (slot.words[0] ^ words[0]) | (slot.words[1] ^ words[1]) | u64::from(slot.len ^ span.len);
            if differ == 0 { slot.number } else { Interner::NO_NUMBER }
        }));
    }

    /// Notes the number of a text that was not found here, at least not when it was looked for.
    pub(super) fn note(&mut self, text: &[u8], number: u32) {
        let mut bytes = [0; Shorts::LONGEST];
        let Some(front) = bytes.get_mut(..text.len()) else {
            self.payoff.miss();
            return;
        };
        front.copy_from_slice(text);
        let (words, len) = (words(&bytes, text.len()), text.len() as u32);
        self.slots.resize(1 << Shorts::SLOT_BITS, NOTHING);
        let slot = &mut self.slots[place(words, len)];
        if slot.number != number {
            self.payoff.miss();
        }
        *slot = Slot { words, len, number };
    }

    /// Counts rows that were looked for.
    pub(super) fn count(&mut self, rows: usize) {
        self.payoff.count(rows);
        if !self.pay() {
            self.give_up();
        }
    }

    /// Forgets all texts, and never finds any.
    pub(super) fn give_up(&mut self) {
        *self = Shorts::default();
        self.payoff.give_up();
    }

    /// Forgets all texts.
    pub(super) fn clear(&mut self) {
        let mut payoff = std::mem::take(&mut self.payoff);
        payoff.clear();
        *self = Shorts { payoff, ..Shorts::default() };
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

/// The bytes of a text, with zeros behind it; of a longer one the first.
#[inline(always)]
fn words(bytes: &[u8; Shorts::LONGEST], len: usize) -> [u64; 2] {
    let words = bytes.as_chunks::<8>().0;
    let masks = &MASKS[len.min(Shorts::LONGEST)];
    [u64::from_le_bytes(words[0]) & masks[0], u64::from_le_bytes(words[1]) & masks[1]]
}

const MASKS: [[u64; 2]; Shorts::LONGEST + 1] = masks();

/// Multiplicative hashing (Knuth, The Art of Computer Programming 6.4), with the golden ratio. Texts that share a slot are
/// slower, not wrong.
#[inline(always)]
fn place(words: [u64; 2], len: u32) -> usize {
    const RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = words[0] ^ words[1].rotate_left(29) ^ u64::from(len);
    (mixed.wrapping_mul(RATIO) >> (u64::BITS - Shorts::SLOT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::TextBuilder;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn found(shorts: &Shorts, texts: &[impl AsRef<[u8]>]) -> Vec<u32> {
        let mut builder = TextBuilder::default();
        texts.iter().for_each(|text| builder.push(text.as_ref()));
        // No text stands so near the end of a buffer that it cannot be looked at.
        builder.push(&[b'a'; Shorts::LONGEST]);
        let mut numbers = Vec::new();
        shorts.find(&builder.finish(), 0..texts.len(), &mut numbers);
        numbers
    }

    proptest! {
        /// Texts of few letters and all lengths around the longest, zero bytes among them.
        #[test]
        fn what_is_found_is_what_was_noted(
            noted in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(b"\0a".to_vec()), 0..20), 0..60),
            others in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(b"\0a".to_vec()), 0..20), 0..60),
        ) {
            let (mut shorts, mut known) = (Shorts::default(), HashMap::new());
            for (text, number) in noted.iter().zip(0..) {
                let number = *known.entry(text.clone()).or_insert(number);
                shorts.note(text, number);
                let expected = if text.len() <= Shorts::LONGEST { number } else { Interner::NO_NUMBER };
                prop_assert_eq!(found(&shorts, &[text]), [expected]);
            }
            for text in noted.iter().chain(&others) {
                let number = found(&shorts, &[text])[0];
                prop_assert!(number == Interner::NO_NUMBER || known.get(text) == Some(&number), "{:?}", text);
            }
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_stands_but_at_the_end_of_a_buffer() {
        let mut shorts = Shorts::default();
        shorts.note(b"Asia", 5);
        for (bytes, start, number) in [
            (&b"Asia,Toys,0000000"[..], 0, 5),
            (b"x,Asia,Toys,0000000", 2, 5),
            (b"Asia", 0, Interner::NO_NUMBER),
            (b"Asie,Toys,0000000", 0, Interner::NO_NUMBER),
        ] {
            let spans = vec![crate::chunk::Span { start, len: 4 }];
            let mut numbers = Vec::new();
            shorts.find(&Text { bytes: std::sync::Arc::new(bytes.to_vec()), spans }, 0..1, &mut numbers);
            assert_eq!(numbers, [number], "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn texts_that_share_a_slot_are_told_apart() {
        let texts = (0..20_000).flat_map(|number| [format!("{number}"), format!("kind of {number}")]);
        let (mut latest, mut differing) = (HashMap::new(), [0; 2]);
        for text in texts {
            let mut bytes = [0; Shorts::LONGEST];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let words = words(&bytes, text.len());
            if let Some((other, others)) = latest.insert(place(words, text.len() as u32), (text.clone(), words)) {
                // In their second words only, or in their first ones.
                differing[usize::from(others[0] != words[0])] += 1;
                let mut shorts = Shorts::default();
                shorts.note(other.as_bytes(), 1);
                assert_eq!(found(&shorts, &[&other, &text]), [1, Interner::NO_NUMBER], "{other:?} and {text:?}");
                shorts.note(text.as_bytes(), 2);
                assert_eq!(found(&shorts, &[&other, &text]), [Interner::NO_NUMBER, 2], "{other:?} and {text:?}");
            }
            if differing.iter().all(|pairs| *pairs > 3) {
                return;
            }
        }
        panic!("too few pairs: {differing:?}");
    }

    #[test]
    fn they_are_given_up_when_they_do_not_pay() {
        let (mut few, mut many, mut long) = (Shorts::default(), Shorts::default(), Shorts::default());
        for row in 0..Payoff::WINDOW_ROWS as u32 {
            // Those of one block are all looked for before the first is noted.
            few.note(format!("kind {}", row % 10).as_bytes(), row % 10);
            many.note(format!("{row}").as_bytes(), row);
            long.note(format!("a long name of kind {}", row % 10).as_bytes(), row % 10);
        }
        for shorts in [&mut few, &mut many, &mut long] {
            shorts.count(Payoff::WINDOW_ROWS);
        }
        assert!(few.pay() && few.memory_bytes() > 0);
        assert!(!many.pay() && !long.pay());
        assert_eq!(many.memory_bytes(), 0);
        few.clear();
        many.clear();
        assert!(few.pay() && !many.pay());
        assert_eq!(found(&few, &["kind 1"]), [Interner::NO_NUMBER]);
    }
}
