//! Texts as small integers: a dictionary that only grows, and the memory of what an encoder calls the same texts.

use crate::aggregate::guesses::NO_GROUP;
use crate::aggregate::rows;
use crate::chunk::{ColumnView, Interner, Selection, prefix};

/// The word of NULL; text number n has the word n + 1, so that `NO_NUMBER` is what NULL would be the number of.
pub(super) const NULL_WORD: u32 = 0;

/// An entry of an encoded column that no row has used yet.
const UNKNOWN: u32 = u32::MAX;

/// Numbers the texts of a column.
#[derive(Debug, Clone, Default)]
pub(super) struct TextWords {
    interner: Interner,
    /// The word of each entry of an encoded column, as far as rows have used it.
    remembered: Vec<u32>,
    generation: Option<u64>,
    /// The numbers of the values at hand, kept for its allocation.
    numbers: Vec<u32>,
}

impl TextWords {
    /// Calls `visit` with the word of each selected row, in order.
    #[inline(always)]
    pub(super) fn for_each(&mut self, view: &ColumnView<'_>, selection: &Selection, mut visit: impl FnMut(u32)) {
        let texts = rows::texts(view);
        let TextWords { interner, remembered, generation: known, numbers } = self;
        match view {
            ColumnView::Rows(column) => {
                match (&column.validity, selection) {
                    (None, Selection::All(len)) => interner.numbers(texts, 0..*len, numbers),
                    (None, Selection::Rows(rows)) => {
                        interner.numbers(texts, rows.iter().map(|row| *row as usize), numbers);
                    }
                    (Some(valid), _) => interner.numbers(texts, selection.rows().filter(|row| valid[*row]), numbers),
                }
                let mut words = numbers.iter().map(|number| number + 1);
                match &column.validity {
                    None => words.for_each(visit),
                    Some(valid) => selection.for_each(|row| {
                        let word = if valid[row] { words.next() } else { None };
                        visit(word.unwrap_or(NULL_WORD));
                    }),
                }
            }
            ColumnView::Encoded { codes, entries, generation } => {
                if *known != Some(*generation) {
                    remembered.clear();
                    *known = Some(*generation);
                }
                remembered.resize(entries.len(), UNKNOWN);
                selection.for_each(|row| {
                    let code = codes[row] as usize;
                    let mut word = remembered[code];
                    if word == UNKNOWN {
                        word = if entries.is_valid(code) { interner.number(texts, code).0 + 1 } else { NULL_WORD };
                        remembered[code] = word;
                    }
                    visit(word);
                });
            }
        }
    }

    /// Forgets the groups, named in order of the selected rows, whose word at `word_of` is not that of the row. A group that
    /// is forgotten in vain is found again.
    pub(super) fn check(
        &mut self,
        view: &ColumnView<'_>,
        selection: &Selection,
        groups: &mut [u32],
        word_of: impl Fn(u32) -> u32,
    ) {
        let TextWords { interner, remembered, generation: known, numbers } = self;
        match view {
            ColumnView::Rows(column) => {
                let word = |group: &u32| if *group == NO_GROUP { NULL_WORD } else { word_of(*group) };
                numbers.clear();
                numbers.extend(groups.iter().map(|group| word(group).wrapping_sub(1)));
                interner.reject_others(rows::texts(view), selection.rows(), numbers);
                for ((group, number), row) in groups.iter_mut().zip(numbers).zip(selection.rows()) {
                    let is_right = match &column.validity {
                        Some(valid) if !valid[row] => *group != NO_GROUP && word_of(*group) == NULL_WORD,
                        _ => *number != Interner::NO_NUMBER,
                    };
                    if !is_right {
                        *group = NO_GROUP;
                    }
                }
            }
            ColumnView::Encoded { codes, generation, .. } => {
                let remembered = if *known == Some(*generation) { &remembered[..] } else { &[] };
                let mut groups = groups.iter_mut();
                selection.for_each(|row| {
                    let Some(group) = groups.next().filter(|group| **group != NO_GROUP) else { return };
                    if remembered.get(codes[row] as usize) != Some(&word_of(*group)) {
                        *group = NO_GROUP;
                    }
                });
            }
        }
    }

    /// The word of a text.
    pub(super) fn word(&mut self, text: &[u8]) -> u32 {
        self.interner.number_of_text(text).0 + 1
    }

    /// Forgets the entries of encoded columns, but no text.
    pub(super) fn forget_encodings(&mut self) {
        self.remembered = Vec::new();
        self.generation = None;
    }

    /// Numbers the texts of `other` too; the result has the word here for each word there.
    pub(super) fn merge(&mut self, other: &TextWords) -> Vec<u32> {
        let texts = (0..other.interner.len() as u32).map(|number| other.interner.get(number));
        std::iter::once(NULL_WORD).chain(texts.map(|text| self.word(text))).collect()
    }

    /// The text of a word that is not NULL's.
    pub(super) fn get(&self, word: u32) -> &[u8] {
        self.interner.get(word - 1)
    }

    /// All words, NULL's first, then in the order of their texts by bytes.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let words = 1..=self.interner.len() as u32;
        let first = words.clone().next().map_or(&[][..], |word| self.get(word));
        let shared = |text: &[u8]| first.iter().zip(text).take_while(|(one, other)| one == other).count();
        let skipped = words.clone().map(|word| shared(self.get(word))).min().unwrap_or(0);
        // What comes first behind the bytes that all texts begin with mostly decides, without a look at the texts.
        let mut sorted: Vec<(u64, u32)> = words.map(|word| (prefix(&self.get(word)[skipped..]), word)).collect();
        sorted
            .sort_unstable_by(|left, right| left.0.cmp(&right.0).then_with(|| self.get(left.1).cmp(self.get(right.1))));
        std::iter::once(NULL_WORD).chain(sorted.into_iter().map(|(_, word)| word)).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.interner.memory_bytes() + (self.remembered.capacity() + self.numbers.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Cell, Column, ColumnBuilder, Physical};

    fn column(values: &[Option<&str>]) -> Column {
        let mut builder = ColumnBuilder::new(Physical::Text, values.len());
        values.iter().for_each(|value| builder.push(value.map_or(Cell::Null, |text| Cell::Text(text.as_bytes()))));
        builder.finish()
    }

    fn words(texts: &mut TextWords, codes: &[u32], entries: &Column, generation: u64) -> Vec<u32> {
        let mut out = Vec::new();
        let view = ColumnView::Encoded { codes, entries, generation };
        texts.for_each(&view, &Selection::All(codes.len()), |word| out.push(word));
        out
    }

    #[test]
    fn equal_texts_have_one_word_however_they_come() {
        let mut texts = TextWords::default();
        let entries = column(&[Some("b"), None, Some("a"), Some("b"), Some("")]);
        assert_eq!(words(&mut texts, &[0, 1, 2, 3, 4, 2], &entries, 7), [1, 0, 2, 1, 3, 2]);
        let mut out = Vec::new();
        let rows = column(&[Some(""), Some("a"), None, Some("c")]);
        texts.for_each(&ColumnView::Rows(&rows), &Selection::All(4), |word| out.push(word));
        assert_eq!(out, [3, 2, 0, 4]);
        assert_eq!(texts.sorted(), [0, 3, 2, 1, 4]);
    }

    #[test]
    fn texts_are_sorted_by_bytes_whatever_they_begin_with() {
        for beginning in ["", "x", "order number "] {
            let ends = ["", "\0", "\0\0", "a", "a\0", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaaab", "aaaaaaab", "b", "\u{e9}"];
            let expected: Vec<String> = ends.iter().map(|end| format!("{beginning}{end}")).collect();
            let mut texts = TextWords::default();
            for text in expected.iter().rev() {
                texts.word(text.as_bytes());
            }
            let sorted: Vec<&[u8]> = texts.sorted()[1..].iter().map(|word| texts.get(*word)).collect();
            assert_eq!(sorted, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }
        assert_eq!(TextWords::default().sorted(), [NULL_WORD]);
    }

    #[test]
    fn a_new_generation_gives_codes_a_new_meaning() {
        let mut texts = TextWords::default();
        assert_eq!(words(&mut texts, &[0, 1], &column(&[Some("a"), Some("b")]), 1), [1, 2]);
        assert_eq!(words(&mut texts, &[0, 2], &column(&[Some("a"), Some("b"), Some("c")]), 1), [1, 3]);
        assert_eq!(words(&mut texts, &[0, 1], &column(&[Some("c"), Some("a")]), 2), [3, 1]);
    }

    #[test]
    fn entries_that_no_row_uses_are_not_kept() {
        let mut texts = TextWords::default();
        words(&mut texts, &[1], &column(&[Some("unused"), Some("b")]), 1);
        assert_eq!(texts.sorted(), [0, 1]);
    }
}
