//! Whether a shortcut still pays, by how often it has led nowhere lately. Knows nothing of the shortcut.

/// Rows that were looked for by a shortcut, until too many of them were not found.
#[derive(Debug, Clone, Default)]
pub(super) struct Payoff {
    given_up: bool,
    rows: usize,
    missed: usize,
}

impl Payoff {
    /// Rows after each of which the shortcut is given up if over a quarter of them was missed.
    pub(super) const WINDOW_ROWS: usize = 1 << 12;

    /// Whether it is still to be taken.
    pub(super) fn pays(&self) -> bool {
        !self.given_up
    }

    /// Counts a row that was missed, among those that `count` will count.
    pub(super) fn miss(&mut self) {
        self.missed += 1;
    }

    /// Counts rows.
    pub(super) fn count(&mut self, rows: usize) {
        self.rows += rows;
        if self.rows >= Payoff::WINDOW_ROWS {
            self.given_up |= self.missed * 4 > self.rows;
            (self.rows, self.missed) = (0, 0);
        }
    }

    /// It is not to be taken any more.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Forgets what was counted, but not what that has led to.
    pub(super) fn clear(&mut self) {
        (self.rows, self.missed) = (0, 0);
    }
}
