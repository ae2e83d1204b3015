//! Where the delimiters and line feeds of bytes without quotes are. The innermost loop of reading; says nothing about
//! what they delimit.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::csv::simd;

/// The structure of some bytes. Made to be used again for the next ones.
#[derive(Debug)]
pub(super) struct Structure {
    level: Level,
    /// Offsets of delimiters and line feeds, and behind them `SLACK` that mean nothing.
    positions: Vec<u32>,
    found: usize,
    /// The places of the line feeds among these positions.
    line_feeds: Vec<u32>,
}

/// How many bytes are looked at in one step: as many as a word has bits.
pub(super) const STEP: usize = 64;

/// What a step needs behind the last position that was found.
pub(super) const SLACK: usize = STEP;

/// Which instructions are used. All find the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Those that every machine has.
    Portable,
    /// 32 bytes at a time.
    Avx2,
    /// 64 bytes at a time, with VBMI2's way to make positions of bits.
    Avx512,
}

impl Level {
    /// The levels that this machine has, the fastest one last.
    pub(super) fn all() -> &'static [Level] {
        #[cfg(target_arch = "x86_64")]
        {
            if simd::has_avx512() {
                return &[Level::Portable, Level::Avx2, Level::Avx512];
            }
            if simd::has_avx2() {
                return &[Level::Portable, Level::Avx2];
            }
        }
        &[Level::Portable]
    }

    /// The fastest one, or none above what the environment variable `FEEDMILL_SIMD` says: `portable`, `avx2` or `avx512`.
    pub(super) fn best() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let most = match std::env::var("FEEDMILL_SIMD").as_deref() {
                Ok("portable") => Level::Portable,
                Ok("avx2") => Level::Avx2,
                _ => Level::Avx512,
            };
            Level::all().iter().rev().find(|level| **level <= most).copied().unwrap_or(Level::Portable)
        })
    }
}

impl Structure {
    pub(super) fn new(level: Level) -> Self {
        Structure { level, positions: Vec::new(), found: 0, line_feeds: Vec::new() }
    }

    /// Offsets of all delimiters and line feeds, ascending, and the places of the line feeds among them.
    pub(super) fn find(&mut self, bytes: &[u8], delimiter: u8) -> (&[u32], &[u32]) {
        if self.positions.len() < bytes.len() + SLACK {
            self.positions.resize(bytes.len() + SLACK, 0);
        }
        self.line_feeds.clear();
        let Structure { level, positions, found, line_feeds } = self;
        *found = match level {
            Level::Portable => find_portable(bytes, delimiter, positions, line_feeds),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => simd::find_avx2(bytes, delimiter, positions, line_feeds),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => simd::find_avx512(bytes, delimiter, positions, line_feeds),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => unreachable!("not a level of this machine"),
        };
        (&positions[..*found], line_feeds)
    }
}

fn find_portable(bytes: &[u8], delimiter: u8, positions: &mut [u32], line_feeds: &mut Vec<u32>) -> usize {
    let mut found = 0;
    for_each_step(bytes, |base, step, used| {
        let feeds = mask(step, b'\n') & used;
        let bits = mask(step, delimiter) & used | feeds;
        push_positions(bits, base, &mut positions[found..]);
        push_line_feeds(bits, feeds, found, line_feeds);
        found += bits.count_ones() as usize;
    });
    found
}

/// Calls `visit` with the offset of each step, its bytes, and a bit for each of them that counts.
#[inline(always)]
pub(super) fn for_each_step(bytes: &[u8], mut visit: impl FnMut(u32, &[u8; STEP], u64)) {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let mut last = [0; STEP];
    last[..rest.len()].copy_from_slice(rest);
    let last = (!rest.is_empty()).then_some(&last);
    // One call for all of them, so that a compiler puts what it does in its place.
    for (index, step) in steps.iter().chain(last).enumerate() {
        let used = if index < steps.len() { !0 } else { !(!0 << rest.len()) };
        visit((index * STEP) as u32, step, used);
    }
}

/// The positions of the bits. Eight at a time, some of them in vain: cheaper than a branch for each that is seldom
/// predicted.
#[inline(always)]
pub(super) fn push_positions(mut bits: u64, base: u32, positions: &mut [u32]) {
    let count = bits.count_ones() as usize;
    let mut written = 0;
    while written < count {
        for slot in &mut positions[written..][..8] {
            *slot = base + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        written += 8;
    }
}

/// The places of line feeds among the positions, of which `found` stand in front of these bits.
#[inline(always)]
pub(super) fn push_line_feeds(bits: u64, mut feeds: u64, found: usize, line_feeds: &mut Vec<u32>) {
    while feeds != 0 {
        let in_front = feeds.wrapping_sub(1) & !feeds;
        line_feeds.push((found + (bits & in_front).count_ones() as usize) as u32);
        feeds &= feeds - 1;
    }
}

/// Bit `i` says whether byte `i` is the wanted one.
#[inline(always)]
fn mask(step: &[u8; STEP], wanted: u8) -> u64 {
    let mut hits = [0u8; STEP];
    for (hit, byte) in hits.iter_mut().zip(step) {
        *hit = u8::from(*byte == wanted);
    }
    let (words, _) = hits.as_chunks::<8>();
    // The product brings the eight lowest bits of the bytes together in the highest byte.
    words
        .iter()
        .rev()
        .fold(0, |mask, word| (mask << 8) | (u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn assert_found(bytes: &[u8], delimiter: u8) {
        let expected: Vec<u32> =
            (0..bytes.len() as u32).filter(|at| [delimiter, b'\n'].contains(&bytes[*at as usize])).collect();
        let feeds: Vec<u32> =
            (0..expected.len() as u32).filter(|at| bytes[expected[*at as usize] as usize] == b'\n').collect();
        for level in Level::all() {
            let mut structure = Structure::new(*level);
            // What an earlier use has left behind does not matter.
            structure.find(&[b'\n'; 333], delimiter);
            assert_eq!(structure.find(bytes, delimiter), (&expected[..], &feeds[..]), "{level:?}, {bytes:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_level_finds_what_a_plain_loop_finds(
            bytes in proptest::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300),
            delimiter in prop_oneof![Just(b','), Just(0), Just(b'\t')],
        ) {
            assert_found(&bytes, delimiter);
        }
    }

    #[test]
    fn steps_are_full_empty_or_mixed() {
        let mixed = std::array::from_fn(|at| b",x\ny,"[at % 5]);
        let bytes = [[b','; STEP], [b'x'; STEP], [b'\n'; STEP], mixed].concat();
        for len in [0, 1, STEP - 1, STEP, STEP + 1, bytes.len() - 1, bytes.len()] {
            assert_found(&bytes[..len], b',');
        }
    }
}
