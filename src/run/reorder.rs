//! Blocks of members in order again: what comes early waits until its turn. A pure structure; how much can wait is bounded
//! by whoever hands out the numbers.

use std::collections::BTreeMap;

/// Gives items back in the order of their members, and within a member of their numbers. Both start at 0 and have no gaps.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    /// Member and number of the next item.
    next: (u64, u64),
    /// With each item whether it is the last one of its member.
    waiting: BTreeMap<(u64, u64), (bool, T)>,
}

impl<T> Reorder<T> {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Reorder { next: (0, 0), waiting: BTreeMap::new() }
    }

    /// Takes an item.
    pub(super) fn push(&mut self, member: u64, seq: u64, is_last: bool, item: T) {
        self.waiting.insert((member, seq), (is_last, item));
    }

    /// The item whose turn it is, if it has come.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (is_last, item) = self.waiting.remove(&self.next)?;
        let (member, seq) = self.next;
        self.next = if is_last { (member + 1, 0) } else { (member, seq + 1) };
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_order_comes_back_sorted(
            order in Just((0..10u64).flat_map(|member| (0..=member % 4).map(move |seq| (member, seq))).collect::<Vec<_>>())
                .prop_shuffle(),
        ) {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            let mut reorder = Reorder::new();
            let mut out = Vec::new();
            for (member, seq) in order {
                reorder.push(member, seq, seq == member % 4, (member, seq));
                while let Some(item) = reorder.pop() {
                    out.push(item);
                }
            }
            prop_assert_eq!(out, sorted);
            prop_assert_eq!(reorder.pop(), None);
        }
    }
}
