//! The group that a row most probably belongs to, by its first key alone. Where the other keys follow from the first, as a
//! product's name and category do from its id, checking the guess is cheaper than looking for the group.

/// No group: there is no guess, or it was wrong.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// The last group of each word of the first key, as long as that is mostly the right one.
#[derive(Debug, Clone, Default)]
pub(super) struct Guesses {
    group_of_word: Vec<u32>,
    given_up: bool,
    rows: usize,
    missed: usize,
    first_window_is_over: bool,
}

impl Guesses {
    /// Rows after each of which guesses are given up if over a quarter of them was missed.
    const WINDOW_ROWS: usize = 1 << 15;

    /// Whether guessing still pays.
    pub(super) fn pay(&self) -> bool {
        !self.given_up
    }

    /// The guess for each word, or `NO_GROUP`.
    pub(super) fn guess(&self, words: &[u32], groups: &mut Vec<u32>) {
        let guess = |word: &u32| self.group_of_word.get(*word as usize).copied().unwrap_or(NO_GROUP);
        groups.clear();
        groups.extend(words.iter().map(guess));
    }

    /// Notes that the next row with this word probably belongs to the group, too.
    pub(super) fn correct(&mut self, word: u32, group: u32) {
        let word = word as usize;
        if word >= self.group_of_word.len() {
            self.group_of_word.resize(word + 1, NO_GROUP);
        }
        self.group_of_word[word] = group;
    }

    /// Counts rows, and those without a guess or with a wrong one. The first window does not count: in the beginning every
    /// key is new.
    pub(super) fn count(&mut self, rows: usize, missed: usize) {
        self.rows += rows;
        self.missed += missed;
        if self.rows < Guesses::WINDOW_ROWS {
            return;
        }
        if self.first_window_is_over && self.missed * 4 > self.rows {
            *self = Guesses { given_up: true, ..Guesses::default() };
        }
        (self.rows, self.missed, self.first_window_is_over) = (0, 0, true);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.group_of_word.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(guesses: &mut Guesses, rows: &[(u32, u32)]) -> usize {
        let mut missed = 0;
        for (word, group) in rows {
            let mut guess = Vec::new();
            guesses.guess(&[*word], &mut guess);
            if guess != [*group] {
                missed += 1;
                guesses.correct(*word, *group);
            }
        }
        missed
    }

    #[test]
    fn they_are_given_up_when_they_do_not_pay() {
        let mut guesses = Guesses::default();
        assert_eq!(missed(&mut guesses, &[(3, 0), (5, 1), (3, 0), (5, 1), (3, 2), (3, 2)]), 3);
        guesses.count(Guesses::WINDOW_ROWS, Guesses::WINDOW_ROWS);
        assert!(guesses.pay(), "the first window does not count");
        guesses.count(Guesses::WINDOW_ROWS, Guesses::WINDOW_ROWS / 4);
        assert!(guesses.pay());
        guesses.count(Guesses::WINDOW_ROWS, Guesses::WINDOW_ROWS / 4 + 1);
        assert!(!guesses.pay());
        assert_eq!(guesses.memory_bytes(), 0);
    }
}
