//! Sequence numbers to order again: what comes early waits until its turn. A pure structure; how much can wait is bounded
//! by whoever hands out the numbers.

use std::collections::BTreeMap;

/// Gives items back in the order of their numbers, which start at 0 and have no gaps.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Reorder<T> {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Reorder { next: 0, waiting: BTreeMap::new() }
    }

    /// Takes an item.
    pub(super) fn push(&mut self, seq: u64, item: T) {
        self.waiting.insert(seq, item);
    }

    /// The item whose turn it is, if it has come.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_order_comes_back_sorted(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut reorder = Reorder::new();
            let mut out = Vec::new();
            for seq in order {
                reorder.push(seq, seq);
                while let Some(item) = reorder.pop() {
                    out.push(item);
                }
            }
            prop_assert_eq!(out, (0..40).collect::<Vec<_>>());
            prop_assert_eq!(reorder.pop(), None);
        }
    }
}
