//! A radix sort by the first bits in which words differ (D. Knuth, The Art of Computer Programming, volume 3, section
//! 5.2.5, algorithm R). Knows nothing of entries.

use std::cmp::Ordering;

/// So many digits are sorted by, in one pass each: they tell nearly all of even millions of random words apart.
const DIGITS: usize = 3;

/// The bits of a digit. The counts of all values that the digits may have are in the first cache of a core.
const DIGIT_BITS: u32 = 11;

/// Sorts items by their words, and those of one word by `compare`, which must put the lesser words first. `spare` is where
/// they are moved to and fro.
pub(super) fn sort_by<T: Copy + Default>(
    items: &mut Vec<T>,
    spare: &mut Vec<T>,
    word_of: impl Fn(&T) -> u64,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    if items.len() < 1 << DIGIT_BITS {
        return items.sort_unstable_by(&compare);
    }
    let first = items.first().map_or(0, &word_of);
    let differing = items.iter().fold(0, |differing, item| differing | (word_of(item) ^ first));
    let shift = (u64::BITS - differing.leading_zeros()).saturating_sub(DIGITS as u32 * DIGIT_BITS);
    let first_bits = |item: &T| word_of(item) >> shift;
    let value = |item: &T, digit: usize| (first_bits(item) >> (digit as u32 * DIGIT_BITS)) as usize % (1 << DIGIT_BITS);
    // How many items have each value, and then where the next one of them goes.
    let mut counts = [[0; 1 << DIGIT_BITS]; DIGITS];
    for item in &*items {
        counts.iter_mut().enumerate().for_each(|(digit, counts)| counts[value(item, digit)] += 1_u32);
    }
    // No more than that, since memory is counted.
    spare.reserve_exact(items.len().saturating_sub(spare.len()));
    spare.resize(items.len(), T::default());
    // From the last digit to the first: items of the same value keep the order that they have by those behind it.
    for (digit, next) in counts.iter_mut().enumerate() {
        let mut filled = 0;
        next.iter_mut().for_each(|next| filled += std::mem::replace(next, filled));
        for item in &*items {
            let next = &mut next[value(item, digit)];
            spare[*next as usize] = *item;
            *next += 1;
        }
        std::mem::swap(items, spare);
    }
    items
        .chunk_by_mut(|left, right| first_bits(left) == first_bits(right))
        .for_each(|alike| alike.sort_unstable_by(&compare));
}
