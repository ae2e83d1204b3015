//! Numbers of texts that differ in their last digits only, as the ids of most feeds do: `ST017` is found at place 17 of a table.
//! Such a text is not hashed, and not compared with any other.

use crate::chunk::decimal::{digit_pairs, number_of_pairs};
use crate::chunk::payoff::Payoff;
use crate::chunk::{Interner, Span, Text};

/// The numbers of some of the texts of an interner, as long as most of its texts are of a form that has digits at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Serials {
    /// By the length of the texts; none before the first of them.
    forms: Vec<Form>,
    payoff: Payoff,
}

/// What the texts of one length have in common: everything but their last digits, of which there are up to eight. A text is
/// looked at as the last sixteen bytes in front of its end, in two words of which the second has the digits.
#[derive(Debug, Clone, Copy, Default)]
struct Pattern {
    /// The bytes that belong to the text.
    text: [u64; 2],
    /// What these are, with zeros for the digits.
    fixed: [u64; 2],
    /// Six for each digit: what is added to find out that it is one.
    six: u64,
    /// What must not be set when the fixed bytes are taken off and the six are added.
    wrong: u64,
}

#[derive(Debug, Clone, Default)]
struct Form {
    pattern: Pattern,
    /// By what the digits say. Empty while no text of this length was met.
    numbers: Vec<u32>,
}

impl Serials {
    const LONGEST: usize = 16;
    /// So many places are a small table. A larger one has no more than so many of them for each text.
    const FEW_PLACES: usize = 1 << 16;
    const PLACES_PER_TEXT: usize = 4;

    /// Whether looking here first still pays.
    pub(super) fn pay(&self) -> bool {
        self.payoff.pays()
    }

    /// Appends the number of each row's text, `NO_NUMBER` for those that have none here.
    pub(super) fn find(&self, text: &Text, rows: impl Iterator<Item = usize>, numbers: &mut Vec<u32>) {
        numbers.extend(rows.map(|row| {
            let Span { start, len } = text.spans[row];
            let end = (start + len) as usize;
            let number = self.forms.get(len as usize).and_then(|form| {
                let serial = form.pattern.serial(text.bytes[..end].last_chunk()?)?;
                form.numbers.get(serial).copied()
            });
            number.unwrap_or(Interner::NO_NUMBER)
        }));
    }

    /// Notes the number of a text that was not found here, one of `texts`.
    pub(super) fn note(&mut self, text: &[u8], number: u32, texts: usize) {
        if !self.insert(text, number, texts) {
            self.payoff.miss();
        }
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
        *self = Serials::default();
        self.payoff.give_up();
    }

    /// Forgets all texts.
    pub(super) fn clear(&mut self) {
        let mut payoff = std::mem::take(&mut self.payoff);
        payoff.clear();
        *self = Serials { payoff, ..Serials::default() };
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let numbers: usize = self.forms.iter().map(|form| form.numbers.capacity()).sum();
        self.forms.capacity() * size_of::<Form>() + numbers * size_of::<u32>()
    }

    fn insert(&mut self, text: &[u8], number: u32, texts: usize) -> bool {
        self.forms.resize_with(Serials::LONGEST + 1, Form::default);
        let Some(form) = self.forms.get_mut(text.len()) else { return false };
        let mut bytes = [0; Serials::LONGEST];
        bytes[Serials::LONGEST - text.len()..].copy_from_slice(text);
        if form.numbers.is_empty() {
            let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            form.pattern = Pattern::new(&bytes, text.len(), digits.min(8));
        }
        let places = Serials::FEW_PLACES.max(texts * Serials::PLACES_PER_TEXT);
        let Some(serial) = form.pattern.serial(&bytes).filter(|serial| *serial < places) else { return false };
        if serial >= form.numbers.len() {
            form.numbers.resize(serial + 1, Interner::NO_NUMBER);
        }
        form.numbers[serial] = number;
        true
    }
}

impl Pattern {
    fn new(bytes: &[u8; Serials::LONGEST], len: usize, digits: usize) -> Self {
        // The last so many bytes.
        let last =
            |count: usize| words(&std::array::from_fn(|at| if at + count >= Serials::LONGEST { 0xFF } else { 0 }));
        let (text, [_, digits]) = (last(len), last(digits));
        let zeros = u64::from_ne_bytes([b'0'; 8]);
        let [first, second] = words(bytes);
        Pattern {
            text,
            fixed: [first, second & !digits | zeros & digits],
            six: u64::from_ne_bytes([6; 8]) & digits,
            wrong: !digits | u64::from_ne_bytes([0xF0; 8]),
        }
    }

    /// What the digits of a text say that ends with these bytes.
    #[inline(always)]
    fn serial(&self, bytes: &[u8; Serials::LONGEST]) -> Option<usize> {
        let [first, second] = words(bytes);
        let digits = second & self.text[1] ^ self.fixed[1];
        let wrong = (digits | digits.wrapping_add(self.six)) & self.wrong | first & self.text[0] ^ self.fixed[0];
        (wrong == 0).then_some(number_of_pairs(digit_pairs(digits)) as usize)
    }
}

fn words(bytes: &[u8; Serials::LONGEST]) -> [u64; 2] {
    let words = bytes.as_chunks::<8>().0;
    [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::TextBuilder;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn found(serials: &Serials, texts: &[impl AsRef<[u8]>]) -> Vec<u32> {
        let mut builder = TextBuilder::default();
        // No text stands so near the beginning of a buffer that it cannot be looked at.
        builder.push(&[b'9'; Serials::LONGEST]);
        texts.iter().for_each(|text| builder.push(text.as_ref()));
        let mut numbers = Vec::new();
        serials.find(&builder.finish(), 1..texts.len() + 1, &mut numbers);
        numbers
    }

    /// Texts of all lengths with digits, and with what is next to digits, at their ends.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let digits =
            proptest::collection::vec(prop_oneof![20 => b'0'..=b'9', 1 => b'/'..=b':', 1 => any::<u8>()], 0..10);
        (proptest::sample::select(vec!["ST", "ST", "", "T", "number: ", "0\0"]), digits)
            .prop_map(|(beginning, digits)| [beginning.as_bytes(), &digits].concat())
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_noted(
            noted in proptest::collection::vec(texts(), 0..60),
            others in proptest::collection::vec(texts(), 0..60),
        ) {
            let (mut serials, mut known) = (Serials::default(), HashMap::new());
            for (text, number) in noted.iter().zip(0..) {
                let number = *known.entry(text.clone()).or_insert(number);
                if found(&serials, &[text]) == [Interner::NO_NUMBER] {
                    let has_serial = serials.insert(text, number, known.len());
                    prop_assert_eq!(found(&serials, &[text]), [if has_serial { number } else { Interner::NO_NUMBER }]);
                }
            }
            for text in noted.iter().chain(&others) {
                let number = found(&serials, &[text])[0];
                prop_assert!(number == Interner::NO_NUMBER || known.get(text) == Some(&number), "{:?}", text);
            }
        }
    }

    #[test]
    fn texts_that_differ_in_their_last_digits_have_serials() {
        let texts: Vec<String> =
            (0..20_000).flat_map(|at| [format!("P{at:05}"), format!("article {at}"), at.to_string()]).collect();
        let mut serials = Serials::default();
        texts.iter().zip(0..).for_each(|(text, number)| serials.note(text.as_bytes(), number, texts.len()));
        serials.count(texts.len());
        assert!(serials.pay());
        let places: u32 =
            found(&serials, &texts).iter().zip(0..).map(|(found, number)| u32::from(*found == number)).sum();
        assert_eq!(places as usize, texts.len());
        assert!(serials.memory_bytes() < texts.len() * Serials::PLACES_PER_TEXT * size_of::<u32>());
        serials.clear();
        assert_eq!((serials.memory_bytes(), found(&serials, &["P00001"])), (0, vec![Interner::NO_NUMBER]));
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        let mut serials = Serials::default();
        serials.note(b"S7", 5, 1);
        let text = |bytes: &[u8], start| {
            let spans = vec![Span { start, len: 2 }];
            Text { bytes: std::sync::Arc::new(bytes.to_vec()), spans }
        };
        for (text, number) in [
            (text(b"S7", 0), Interner::NO_NUMBER),
            (text(b"S7 and more behind it", 0), Interner::NO_NUMBER),
            (text(b"9999999999999999S7", 16), 5),
            (text(b"99999999999999999S71", 17), 5),
        ] {
            let mut numbers = Vec::new();
            serials.find(&text, 0..1, &mut numbers);
            assert_eq!(numbers, [number]);
        }
    }

    #[test]
    fn a_text_that_differs_elsewhere_is_another() {
        for (noted, others) in [
            ("AB00004321", vec!["AC00004321", "BB00004321", "AB0000432", "AB000043210", "AB00004320"]),
            ("article 17", vec!["artikle 17", "Article 17", "article_17", "article 1:", "article 1/", "article 1w"]),
            ("ST017", vec!["SU017", "TS017", "ST0\u{1}7", "ST01\u{7}", "ST0q7", "017", "00017", "ST17", "ST017 "]),
            ("7", vec!["\u{7}", "G", "w", "8", "07", ""]),
        ] {
            let mut serials = Serials::default();
            serials.note(noted.as_bytes(), 5, 1);
            assert_eq!(found(&serials, &[noted]), [5]);
            assert_eq!(found(&serials, &others), vec![Interner::NO_NUMBER; others.len()], "beside {noted}");
        }
    }

    #[test]
    fn they_are_given_up_when_they_do_not_pay() {
        let (mut few, mut far) = (Serials::default(), Serials::default());
        for at in 0..Payoff::WINDOW_ROWS {
            let text = if at % 4 == 0 { "a name".to_owned() } else { format!("{at:04}") };
            few.note(text.as_bytes(), at as u32, at);
            far.note(format!("{}", 10_000_000 + at * 9973).as_bytes(), at as u32, at);
        }
        few.count(Payoff::WINDOW_ROWS);
        assert!(few.pay(), "a quarter of names is not too many");
        far.count(Payoff::WINDOW_ROWS);
        assert!(!far.pay(), "numbers that are far apart would need too many places");
        assert_eq!(far.memory_bytes(), 0);
        far.clear();
        assert!(!far.pay());
    }
}
