//! Which keys have come before: exact de-duplication of any number of keys in bounded memory. Knows nothing of threads,
//! and of records only their places.
//!
//! A key is a [`Fingerprint`], a hash of 128 bits under a key that nobody knows ([`KeyHasher`]); a record is a
//! [`Place`], a number that means something to the caller. [`Deduplicator::claim`] gives every key to the place that
//! claims it first.
//!
//! ```text
//! key -> BloomFilter of all keys -> latest keys, in memory -> runs on disk
//!          certainly not: new         found: duplicate          found: duplicate, else new
//! ```
//!
//! All keys are kept, the latest ones in memory. When there is no room for another one, they go to a temporary file, a
//! run. A key is new if the [`BloomFilter`] says so, which it does for more than 99 of 100 new keys; the others are looked
//! for. So the filter only ever saves a look, and a record is a duplicate only if its key was really found. For few keys
//! there is neither a filter nor a file, and each of them is looked for in memory.
//!
//! Runs are merged so that few exist, and a look at one is a single read of about 840 bytes. Temporary files have no name:
//! however the process ends, nothing is left of them.
//!
//! Memory, for 100 million keys: 128 MiB of filter; the latest keys; 4 bytes for every 40 keys on disk. Disk: 21 bytes a
//! key, and as much again while all runs become one.

mod bloom;
mod keys;
mod pages;
mod runs;
mod store;

use std::path::PathBuf;

pub use crate::dedupe::bloom::BloomFilter;
pub use crate::dedupe::keys::KeyHasher;

use crate::dedupe::store::ExactStore;
use crate::error::Result;

/// What stands for a key: equal for equal keys, and as good as never for others.
pub type Fingerprint = u128;

/// Where a record lies, as the caller numbers places. Less than 2 to the power of `PLACE_BITS`.
pub type Place = u64;

/// The bits of a place.
pub const PLACE_BITS: u32 = 40;

/// How much memory may be used, and where the disk is.
#[derive(Debug, Clone)]
pub struct DedupeOptions {
    /// The size of the filter, [`BloomFilter::BYTES`] for 100 million keys. A smaller one is as right and slower.
    pub filter_bytes: u64,
    /// The memory for the latest keys. A key takes about 32 bytes.
    pub store_bytes: u64,
    /// Where temporary files go; the system's directory for them if `None`. On a tmpfs they would be memory.
    pub temp_dir: Option<PathBuf>,
}

/// Gives each key to the place that claims it first.
#[derive(Debug)]
pub struct Deduplicator {
    store: ExactStore,
    /// All keys, once some are on disk.
    filter: Option<BloomFilter>,
    filter_bytes: u64,
    /// Whether each key of a batch may be on disk, kept for its allocation.
    suspects: Vec<bool>,
}

/// What a [`Deduplicator`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DedupeStats {
    /// Different keys seen.
    pub keys: u64,
    /// Keys that were looked for on disk, being neither in memory nor certainly new.
    pub filter_positives: u64,
    /// Those of them that were not there.
    pub false_positives: u64,
    /// How often the keys in memory were written to disk.
    pub runs_spilled: u64,
    /// Bytes written to disk, those of merges included.
    pub bytes_spilled: u64,
}

/// Keys that go through the filter before the first of them goes on to the store.
const BATCH: usize = 1024;

/// So many keys do without a filter: a small input touches less memory, and the buckets to look through are short.
const UNFILTERED_KEYS: u64 = 1 << 16;

impl Deduplicator {
    /// One that has seen no key.
    pub fn new(options: &DedupeOptions) -> Self {
        Deduplicator::with_fan_out(options, store::FAN_OUT)
    }

    fn with_fan_out(options: &DedupeOptions, fan_out: usize) -> Self {
        Deduplicator {
            store: ExactStore::new(options, fan_out),
            filter: None,
            filter_bytes: options.filter_bytes,
            suspects: Vec::new(),
        }
    }

    /// Appends one answer for each key, in order, to `firsts`: the place of the equal key that came first, or `None` if
    /// none has, and then `places` of the same index is the key's place from now on.
    ///
    /// # Errors
    /// If temporary files cannot be written or read; what has been appended until then is right.
    pub fn claim(
        &mut self,
        mut keys: &[Fingerprint],
        mut places: &[Place],
        firsts: &mut Vec<Option<Place>>,
    ) -> Result<()> {
        assert_eq!(keys.len(), places.len(), "a place for each key");
        assert!(places.iter().all(|place| *place >> PLACE_BITS == 0), "places have {PLACE_BITS} bits");
        firsts.reserve(keys.len());
        while let Some(next) = keys.first() {
            if self.filter.is_none() && (self.store.stats().keys >= UNFILTERED_KEYS || !self.store.has_room(*next)) {
                self.filter = Some(self.filter_of_all());
            }
            self.suspects.clear();
            match &mut self.filter {
                Some(filter) => filter.insert_each(&keys[..keys.len().min(BATCH)], &mut self.suspects),
                // One by one, since the next one may need a filter.
                None => self.suspects.push(true),
            }
            let (batch_keys, batch_places);
            (batch_keys, keys) = keys.split_at(self.suspects.len());
            (batch_places, places) = places.split_at(self.suspects.len());
            for ((key, place), suspect) in batch_keys.iter().zip(batch_places).zip(&self.suspects) {
                let first = if *suspect { self.store.find(*key)? } else { None };
                if first.is_none() {
                    if !self.store.has_room(*key) {
                        self.store.spill()?;
                    }
                    self.store.insert(*key, *place);
                }
                firsts.push(first);
            }
        }
        Ok(())
    }

    /// A filter with all keys so far, which are in memory.
    fn filter_of_all(&self) -> BloomFilter {
        let mut filter = BloomFilter::with_bytes(self.filter_bytes);
        self.store.recent_keys().for_each(|key| {
            filter.insert(key);
        });
        filter
    }

    /// What has been done so far.
    pub fn stats(&self) -> DedupeStats {
        self.store.stats()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    pub(super) const MAX_KEY: Fingerprint = Fingerprint::MAX;

    /// A fingerprint like those of keys: uniform, and another one for every number.
    pub(super) fn fingerprint(number: u64) -> Fingerprint {
        let mix = |number: u64| {
            let number = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let number = (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number ^ number >> 32
        };
        let low = mix(number.wrapping_add(1));
        Fingerprint::from(mix(!low)) << 64 | Fingerprint::from(low)
    }

    fn options(filter_bytes: u64, store_bytes: u64, directory: &TempDir) -> DedupeOptions {
        DedupeOptions { filter_bytes, store_bytes, temp_dir: Some(directory.path().to_owned()) }
    }

    /// What std's map says of the same claims.
    fn expected(keys: &[Fingerprint], places: &[Place]) -> Vec<Option<Place>> {
        let mut seen = HashMap::new();
        let mut claim = |(key, place): (&Fingerprint, &Place)| match seen.entry(*key) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(slot) => {
                slot.insert(*place);
                None
            }
        };
        keys.iter().zip(places).map(&mut claim).collect()
    }

    /// Keys of a small domain, so that many come again; some differ in their first or last bits only.
    fn key() -> impl Strategy<Value = Fingerprint> {
        prop_oneof![
            12 => (0u64..1000).prop_map(fingerprint),
            1 => (0..Fingerprint::BITS).prop_map(|bit| 1 << bit),
            1 => prop::sample::select(vec![0, MAX_KEY]),
        ]
    }

    proptest! {
        #[test]
        fn the_first_place_wins_whatever_spills(
            claims in prop::collection::vec((key(), 0..1u64 << PLACE_BITS), 0..1500),
            calls in prop::collection::vec(0usize..200, 0..10),
            filter_bytes in 0u64..1024,
            store_bytes in 0u64..6000,
            fan_out in 2usize..5,
        ) {
            let directory = TempDir::new().unwrap();
            let mut dedupe = Deduplicator::with_fan_out(&options(filter_bytes, store_bytes, &directory), fan_out);
            let (keys, places): (Vec<_>, Vec<_>) = claims.into_iter().unzip();
            let mut firsts = Vec::new();
            let mut start = 0;
            for len in calls.into_iter().chain([keys.len()]) {
                let end = keys.len().min(start + len);
                dedupe.claim(&keys[start..end], &places[start..end], &mut firsts).unwrap();
                start = end;
            }
            let expected = expected(&keys, &places);
            prop_assert_eq!(&firsts, &expected);
            let stats = dedupe.stats();
            let new = expected.iter().filter(|first| first.is_none()).count() as u64;
            prop_assert_eq!(stats.keys, new);
            // At most four buckets of 64 are held in memory, and one of them is full when they are written.
            prop_assert!(new <= (stats.runs_spilled + 1) * 4 * 64);
            prop_assert!(stats.runs_spilled * 64 <= new);
            prop_assert!(stats.bytes_spilled >= stats.runs_spilled * 64 * 20);
            prop_assert!(stats.false_positives <= stats.filter_positives);
            prop_assert!(stats.filter_positives - stats.false_positives <= keys.len() as u64 - new);
        }
    }

    #[test]
    fn many_keys_are_claimed_once() {
        let directory = TempDir::new().unwrap();
        let keys = 400_000;
        for (store_bytes, runs) in [(200 << 10, 40..80), (4 << 20, 2..5), (40 << 20, 0..1)] {
            let mut dedupe =
                Deduplicator::new(&options(BloomFilter::BYTES * keys / BloomFilter::CAPACITY, store_bytes, &directory));
            let prints: Vec<_> = (0..keys).map(fingerprint).collect();
            let places: Vec<_> = (0..keys).collect();
            let mut firsts = Vec::new();
            dedupe.claim(&prints, &places, &mut firsts).unwrap();
            assert!(firsts.iter().all(Option::is_none));
            let stats = dedupe.stats();
            assert_eq!(stats.keys, keys);
            assert!(runs.contains(&stats.runs_spilled), "{stats:?}");
            assert!((u64::from(runs.start > 0)..keys / 100).contains(&stats.false_positives), "{stats:?}");
            assert_eq!(stats.filter_positives, stats.false_positives);

            let again: Vec<_> = prints.iter().copied().step_by(41).collect();
            firsts.clear();
            dedupe.claim(&again, &vec![0; again.len()], &mut firsts).unwrap();
            assert_eq!(firsts, places.iter().copied().step_by(41).map(Some).collect::<Vec<_>>());
            assert_eq!(dedupe.stats().keys, keys);
        }
    }

    #[test]
    fn few_keys_need_neither_filter_nor_file() {
        let directory = TempDir::new().unwrap();
        let mut dedupe = Deduplicator::new(&DedupeOptions {
            temp_dir: Some(directory.path().join("missing")),
            ..options(BloomFilter::BYTES, 0, &directory)
        });
        let keys: Vec<_> = (0..126).map(|number| fingerprint(number % 63)).collect();
        let places: Vec<_> = (0..126).collect();
        let mut firsts = Vec::new();
        dedupe.claim(&keys, &places, &mut firsts).unwrap();
        assert_eq!(firsts, expected(&keys, &places));
        assert!(dedupe.filter.is_none());
        assert_eq!(dedupe.stats(), DedupeStats { keys: 63, ..DedupeStats::default() });
        dedupe.claim(&[fingerprint(63)], &[126], &mut firsts).unwrap();
        assert!(dedupe.claim(&[fingerprint(64)], &[127], &mut firsts).is_err());
        assert_eq!(firsts.len(), 127, "a claim that fails has no answer");
    }
}
