//! Seeded draws that never change: the same seed gives the same numbers on every machine. Not for secrets.
//!
//! Only the generator itself comes from a crate (xoshiro256++, a published algorithm with published test vectors). The
//! distributions are spelled out here, because crates reserve the right to improve theirs, and with them every byte of
//! the output.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A stream of random numbers for one piece of work.
pub(super) struct Dice {
    generator: Xoshiro256PlusPlus,
}

impl Dice {
    /// The stream that belongs to `path` (say, client 2, day 3, batch 0) under `seed`. Streams of different paths are
    /// unrelated, so any thread may make any piece.
    pub(super) fn new(seed: u64, path: &[u64]) -> Self {
        let seed = path.iter().fold(seed, |state, &step| scramble(scramble(state) ^ step));
        Dice { generator: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Uniform in `0..limit`. Lemire's multiply-and-shift without its rejection step: a number's odds are off by less
    /// than limit / 2^32, which no test of this data can see.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        high_product(self.generator.next_u64() >> 32, limit)
    }

    /// Uniform in `0..limit`, likewise, for limits that do not fit 32 bits.
    pub(super) fn below_long(&mut self, limit: u64) -> u64 {
        ((u128::from(self.generator.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// Uniform in `first..=last`.
    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }

    /// Puts `items` into a random order (Fisher-Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// A random order of the numbers `0..len` that takes no memory: the place of any number is computed by itself.
///
/// A round adds, multiplies with an odd number and folds the upper half of the bits onto the lower one. Each step can
/// be undone, so a round moves the numbers of so many bits without ever putting two on one place. Places beyond `len`
/// are moved on until they fall within it (cycle walking), which keeps that true; fewer than half are beyond it.
pub(super) struct Permutation {
    len: u64,
    mask: u64,
    half: u32,
    rounds: [(u64, u64); 3],
}

impl Permutation {
    pub(super) fn new(dice: &mut Dice, len: u64) -> Self {
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(1);
        let mut word = || dice.generator.next_u64();
        let rounds = [(); 3].map(|()| (word(), word() | 1));
        Permutation { len, mask: u64::MAX >> (u64::BITS - bits), half: bits.div_ceil(2), rounds }
    }

    /// The place of `number`, which must be below `len`.
    pub(super) fn place(&self, number: u64) -> u64 {
        debug_assert!(number < self.len);
        let mut place = number;
        loop {
            for (add, factor) in self.rounds {
                place = place.wrapping_add(add).wrapping_mul(factor) & self.mask;
                place ^= place >> self.half;
            }
            if place < self.len {
                return place;
            }
        }
    }
}

/// A weighted choice in constant time: Vose's alias method ("A linear algorithm for generating random numbers with a
/// given distribution", 1991). Every column of the table holds at most two items; a draw picks a column, then a side.
#[derive(Debug)]
pub(super) struct WeightedChoice {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    /// The odds of the column's own item, in units of 2^-32. A column that is all its own has itself as `other`.
    own_odds: u32,
    other: u32,
}

impl WeightedChoice {
    /// Item `i` will be drawn in proportion to `weights[i]`; there must be some weight.
    pub(super) fn new(weights: &[f64]) -> Self {
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        let mut left: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut columns: Vec<Column> =
            (0..weights.len() as u32).map(|item| Column { own_odds: 0, other: item }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|&item| left[item] < 1.0);
        // Each small item gets a column and a large one fills it up. What rounding leaves over keeps its own column.
        while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
            columns[taker] = Column { own_odds: (left[taker] * 2f64.powi(32)) as u32, other: giver as u32 };
            left[giver] -= 1.0 - left[taker];
            if left[giver] < 1.0 {
                large.pop();
                small.push(giver);
            }
        }
        WeightedChoice { columns }
    }

    /// The number of an item.
    pub(super) fn draw(&self, dice: &mut Dice) -> usize {
        let word = dice.generator.next_u64();
        let item = high_product(word >> 32, self.columns.len() as u32);
        let column = &self.columns[item as usize];
        if (word as u32) < column.own_odds { item as usize } else { column.other as usize }
    }
}

/// The weights of `count` items, best first, of which the top fifth has four fifths of the total: the 80/20 rule.
///
/// Sorted by rank, Pareto-distributed quantities follow rank^-(1/a) with the Pareto shape a; the rule of 80/20 is the
/// shape a = ln 5 / ln 4 = 1.161 (M. E. J. Newman, "Power laws, Pareto distributions and Zipf's law", Contemporary
/// Physics 46, 2005, "Top-heavy distributions and the 80/20 rule", and the appendix on rank plots). That shape holds
/// for infinitely many items; among a finite number it gives the top fifth less (0.72 of the total at 5,000), so the
/// exponent is solved for the number at hand: 0.966 at 5,000 items.
pub(super) fn eighty_twenty(count: u32) -> Vec<f64> {
    let weights_with = |exponent: f64| (1..=count).map(move |rank| f64::from(rank).powf(-exponent));
    let top_share = |exponent: f64| {
        weights_with(exponent).take(count.div_ceil(5) as usize).sum::<f64>() / weights_with(exponent).sum::<f64>()
    };
    // The share grows with the exponent; 32 halvings of this range settle it far below what a sample can show.
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..32 {
        let middle = (low + high) / 2.0;
        if top_share(middle) < 0.8 { low = middle } else { high = middle }
    }
    weights_with(high).collect()
}

/// `limit * word / 2^32` for a 32-bit `word`: spreads the words evenly over `0..limit`.
fn high_product(word: u64, limit: u32) -> u32 {
    ((word * u64::from(limit)) >> 32) as u32
}

/// The output function of SplitMix64: neighbouring numbers in, unrelated numbers out, no two the same.
fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_every_step_and_its_place() {
        let first = |seed, path: &[u64]| Dice::new(seed, path).generator.next_u64();
        let streams = [first(7, &[1, 2]), first(7, &[2, 1]), first(7, &[1, 3]), first(7, &[1]), first(8, &[1, 2])];
        for (index, stream) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(stream));
        }
        assert_eq!(first(7, &[1, 2]), streams[0]);
    }

    #[test]
    fn draws_never_change() {
        // Computed apart, from the authors' descriptions of SplitMix64 and xoshiro256++. If this fails, feeds made from
        // now on differ from those made before.
        let mut dice = Dice::new(42, &[1, 2, 3]);
        let draws: Vec<u32> = (0..6).map(|_| dice.below(1000)).collect();
        assert_eq!(draws, [234, 60, 959, 87, 865, 289]);
    }

    #[test]
    fn between_reaches_both_ends() {
        let mut dice = Dice::new(1, &[]);
        let draws: Vec<u32> = (0..500).map(|_| dice.between(3, 7)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&3), Some(&7)));
    }

    #[test]
    fn long_draws_reach_everywhere() {
        let mut dice = Dice::new(1, &[]);
        let limit = 5 << 40;
        let mut counts = [0; 5];
        for _ in 0..5_000 {
            counts[(dice.below_long(limit) >> 40) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!(dice.below_long(1), 0);
    }

    #[test]
    fn a_permutation_uses_every_place_once() {
        for seed in 0..20 {
            for len in [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1_000] {
                let permutation = Permutation::new(&mut Dice::new(seed, &[]), len);
                let mut places: Vec<u64> = (0..len).map(|number| permutation.place(number)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..len), "{len}");
            }
        }
    }

    #[test]
    fn a_permutation_leaves_no_pattern() {
        for len in [100_000, 1 << 17, u64::MAX] {
            let permutation = Permutation::new(&mut Dice::new(1, &[]), len);
            // Numbers of every tenth of the input go to every tenth of the places, about equally often.
            let mut counts = [[0u32; 10]; 10];
            for number in 0..100_000u64 {
                let place = u128::from(permutation.place(number));
                counts[(number / 10_000) as usize][(place * 10 / u128::from(len)) as usize] += 1;
            }
            assert!(counts.iter().flatten().all(|count| count.abs_diff(1_000) < 150), "{len}: {counts:?}");
        }
    }

    #[test]
    fn choices_follow_their_weights() {
        let weights = [5.0, 0.0, 1.0, 14.0];
        let choice = WeightedChoice::new(&weights);
        let mut dice = Dice::new(1, &[]);
        let mut counts = [0u32; 4];
        for _ in 0..200_000 {
            counts[choice.draw(&mut dice)] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!((f64::from(*count) / 200_000.0 - weight / 20.0).abs() < 0.005, "{counts:?}");
        }
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn a_fifth_has_four_fifths() {
        for count in [5, 7, 100, 5_000] {
            let weights = eighty_twenty(count);
            let top: f64 = weights.iter().take(count.div_ceil(5) as usize).sum();
            assert!((top / weights.iter().sum::<f64>() - 0.8).abs() < 1e-6);
        }
        assert_eq!(eighty_twenty(1).len(), 1);
    }
}
