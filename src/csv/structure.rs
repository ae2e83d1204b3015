//! Where the delimiters and line feeds of bytes without quotes are. The innermost loop of reading; says nothing about
//! what they delimit.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::csv::simd;

/// What was found in some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Delimiters and line feeds together.
    pub(super) all: usize,
    /// Line feeds.
    pub(super) line_feeds: usize,
}

/// How many bytes are looked at in one step: as many as a word has bits.
pub(super) const STEP: usize = 64;

/// What a step needs behind the last place that was found.
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

    /// Puts the offset of each delimiter and line feed, plus `first`, into `places`, ascending. Behind them there must be room
    /// for `SLACK` more, which mean nothing then.
    pub(super) fn find(self, bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
        match self {
            Level::Portable => find_portable(bytes, delimiter, first, places),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => simd::find_avx2(bytes, delimiter, first, places),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => simd::find_avx512(bytes, delimiter, first, places),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => unreachable!("not a level of this machine"),
        }
    }
}

impl Found {
    pub(super) const NOTHING: Found = Found { all: 0, line_feeds: 0 };

    /// Counts the bits of a step.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u64, line_feeds: u64) {
        self.all += bits.count_ones() as usize;
        self.line_feeds += line_feeds.count_ones() as usize;
    }
}

fn find_portable(bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
    let mut found = Found::NOTHING;
    for_each_step(bytes, |base, step, used| {
        let feeds = mask(step, b'\n') & used;
        let bits = mask(step, delimiter) & used | feeds;
        push_places(bits, first + base, &mut places[found.all..]);
        found.add(bits, feeds);
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

/// The places of the bits. Eight at a time, some of them in vain: cheaper than a branch for each that is seldom predicted.
#[inline(always)]
pub(super) fn push_places(mut bits: u64, base: u32, places: &mut [u32]) {
    let count = bits.count_ones() as usize;
    let mut written = 0;
    while written < count {
        for slot in &mut places[written..][..8] {
            *slot = base + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        written += 8;
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
        let all = (0..bytes.len() as u32).filter(|at| [delimiter, b'\n'].contains(&bytes[*at as usize]));
        let (first, expected): (u32, Vec<u32>) = (1000, all.map(|at| 1000 + at).collect());
        let line_feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
        for level in Level::all() {
            let mut places = vec![7; bytes.len() + SLACK];
            let found = level.find(bytes, delimiter, first, &mut places);
            assert_eq!(found, Found { all: expected.len(), line_feeds }, "{level:?}, {bytes:?}");
            assert_eq!(places[..found.all], expected, "{level:?}, {bytes:?}");
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
