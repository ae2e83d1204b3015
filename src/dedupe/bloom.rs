//! A Bloom filter whose bits of a key share one cache line, so that a question costs one cache miss. It answers
//! "certainly not" or "perhaps", and decides nothing.

use std::hint::black_box;

use crate::dedupe::Fingerprint;
use crate::dedupe::pages::Pages;

/// A set of keys that forgets none of them and takes some others for its own.
///
/// The filter is an array of blocks of 8 words. The first half of a fingerprint chooses the block, the second half a bit
/// in each of its words. Compared with bits spread over the whole array this costs about a third more false positives and
/// saves 7 of 8 cache misses (F. Putze, P. Sanders, J. Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007);
/// and one bit a word costs no more than bits anywhere in the block, while no word waits for another one.
#[derive(Debug)]
pub struct BloomFilter {
    /// The words of the blocks, little-endian. A page begins with a cache line.
    pages: Pages,
    blocks: usize,
}

const BLOCK_WORDS: usize = 8;
const BLOCK_BYTES: usize = BLOCK_WORDS * size_of::<u64>();
/// Bits of a fingerprint that choose one bit of a word.
const CHOICE_BITS: u32 = u64::BITS.ilog2();

impl BloomFilter {
    /// The number of keys that the usual size is made for.
    pub const CAPACITY: u64 = 100_000_000;

    /// The usual size: 128 MiB, with which 0.7 % of new keys are false positives at capacity.
    pub const BYTES: u64 = 1 << 27;

    /// An empty filter of that size, rounded down to whole blocks of 64 bytes, one at least.
    pub fn with_bytes(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).expect("a filter fits the address space");
        let blocks = (bytes / BLOCK_BYTES).max(1);
        BloomFilter { pages: Pages::zeroed(blocks * BLOCK_BYTES), blocks }
    }

    /// Adds a key and says whether it may have been there before; `false` is certain.
    #[inline]
    pub fn insert(&mut self, key: Fingerprint) -> bool {
        let at = self.block_of(key);
        let block = &mut self.pages.as_chunks_mut().0.as_chunks_mut::<BLOCK_WORDS>().0[at];
        // Without a branch a bit: nearly all keys would leave at another one.
        let mut choices = key as u64;
        let mut all = 1;
        for word in block {
            let bit = choices % u64::from(u64::BITS);
            choices >>= CHOICE_BITS;
            let old = u64::from_le_bytes(*word);
            all &= old >> bit;
            *word = (old | 1 << bit).to_le_bytes();
        }
        all == 1
    }

    /// Adds keys, in order, and appends the answer of `insert` for each to `out`.
    ///
    /// Twice as fast as one by one: a first pass only loads, so that many more cache misses are under way together.
    pub fn insert_each(&mut self, keys: &[Fingerprint], out: &mut Vec<bool>) {
        for batch in keys.chunks(BATCH) {
            black_box(batch.iter().fold(0, |all, key| all | self.pages[self.block_of(*key) * BLOCK_BYTES]));
            out.extend(batch.iter().map(|key| self.insert(*key)));
        }
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        (self.blocks * BLOCK_BYTES) as u64
    }

    /// The share of new keys that are taken for old ones once so many keys are in the filter.
    ///
    /// The number of keys in a block follows a Poisson distribution; the rate is the mean over it of the rate of a
    /// small Bloom filter with so many keys (Putze, Sanders, Singler 2007, section 3).
    pub fn false_positive_rate(&self, keys: u64) -> f64 {
        let mean = keys as f64 / self.blocks as f64;
        let rate_with = |keys: f64| {
            let unset = (1.0 - 1.0 / f64::from(u64::BITS)).powf(keys);
            (1.0 - unset).powf(BLOCK_WORDS as f64)
        };
        // Weights relative to the likeliest number, from there down and up until they vanish: no factorial overflows.
        let mode = mean.floor();
        let (mut weights, mut rates) = (0.0, 0.0);
        let mut add = |number: f64, weight: f64| {
            weights += weight;
            rates += weight * rate_with(number);
        };
        let (mut number, mut weight) = (mode, 1.0);
        while weight > NO_WEIGHT {
            add(number, weight);
            weight *= number / mean;
            number -= 1.0;
        }
        (number, weight) = (mode + 1.0, mean / (mode + 1.0));
        while weight > NO_WEIGHT {
            add(number, weight);
            number += 1.0;
            weight *= mean / number;
        }
        rates / weights
    }

    /// The number of a key's block. Multiplying and shifting shares fingerprints out evenly among any number of blocks.
    #[inline]
    fn block_of(&self, key: Fingerprint) -> usize {
        let first = key >> (Fingerprint::BITS - u64::BITS);
        ((first * self.blocks as u128) >> u64::BITS) as usize
    }
}

/// Below this a number of keys in a block adds nothing to a rate.
const NO_WEIGHT: f64 = 1e-18;

/// Keys whose blocks the first-level cache holds together.
const BATCH: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dedupe::tests::{MAX_KEY, fingerprint};

    proptest! {
        #[test]
        fn no_key_is_forgotten(bytes in 0u64..1000, keys in prop::collection::vec(0..=MAX_KEY, 1..200)) {
            let mut filter = BloomFilter::with_bytes(bytes);
            for key in &keys {
                filter.insert(*key);
            }
            for key in keys {
                prop_assert!(filter.insert(key));
            }
        }

        #[test]
        fn many_keys_are_answered_as_one_by_one(bytes in 0u64..9000, len in 0u64..1000, different in 1u64..1000) {
            let keys: Vec<_> = (0..len).map(|key| fingerprint(key % different)).collect();
            let mut single = BloomFilter::with_bytes(bytes);
            let mut many = BloomFilter::with_bytes(bytes);
            let mut answers = vec![true];
            many.insert_each(&keys, &mut answers);
            prop_assert!(answers[0]);
            prop_assert_eq!(&answers[1..], keys.iter().map(|key| single.insert(*key)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_block_is_used_and_none_beyond() {
        let mut filter = BloomFilter::with_bytes(3 * 64 + 63);
        assert_eq!(filter.bytes(), 3 * 64);
        for key in [0, MAX_KEY / 2, MAX_KEY] {
            assert!(!filter.insert(key));
        }
        let is_used = |block: &[u8]| block.iter().any(|byte| *byte != 0);
        assert_eq!(filter.pages.chunks(BLOCK_BYTES).map(is_used).collect::<Vec<_>>(), [true; 3]);
        assert_eq!(filter.pages.as_ptr().align_offset(BLOCK_BYTES), 0);
        assert_eq!(BloomFilter::with_bytes(0).bytes(), 64);
    }

    /// The layout at a hundredth of its size, with a number of blocks that is no power of two, filled to twice its
    /// capacity.
    #[test]
    fn false_positives_are_as_frequent_as_the_formula_says() {
        let capacity = BloomFilter::CAPACITY / 100;
        let mut filter = BloomFilter::with_bytes(BloomFilter::BYTES / 100);
        for (from, to) in [(0, capacity / 2), (capacity / 2, capacity), (capacity, capacity * 2)] {
            let mut expected = 0.0;
            let mut found = 0;
            let step = 1000;
            for start in (from..to).step_by(step) {
                expected += filter.false_positive_rate(start + step as u64 / 2) * step as f64;
                found += (start..start + step as u64).filter(|key| filter.insert(fingerprint(*key))).count();
            }
            let off = found as f64 / expected - 1.0;
            // Three deviations of a count, and what the formula takes for independent.
            assert!(off.abs() < 3.0 / expected.sqrt() + 0.02, "{from} to {to} keys: {found}, not {expected}");
        }
    }

    #[test]
    fn the_usual_size_suits_its_capacity() {
        let filter = BloomFilter::with_bytes(BloomFilter::BYTES);
        assert_eq!(filter.bytes(), BloomFilter::BYTES);
        let rate = filter.false_positive_rate(BloomFilter::CAPACITY);
        assert!((0.0065..0.0075).contains(&rate), "{rate}");
    }

    #[test]
    fn the_rate_is_a_rate_for_any_number_of_keys() {
        let filter = BloomFilter::with_bytes(64);
        assert_eq!(filter.false_positive_rate(0), 0.0);
        let rates: Vec<f64> = (0..40).map(|shift| filter.false_positive_rate(1 << shift)).collect();
        assert!(rates.is_sorted() && rates.iter().all(|rate| (0.0..=1.0).contains(rate)), "{rates:?}");
        assert!(rates[39] > 0.999_999);
    }
}
