//! Which keys have come before: exact de-duplication of any number of keys in bounded memory. Knows nothing of threads,
//! and of records only their places.
//!
//! A key is a [`Fingerprint`], a hash of 128 bits under a key that nobody knows ([`KeyHasher`]); a record is a
//! [`Place`], a number that means something to the caller. [`Deduplicator::claim`] gives every key to the place that
//! claims it first.
//!
//! ```text
//! key -> latest keys, in memory -> BloomFilter of all keys -> runs on disk
//!          known: duplicate           certainly not: new      found: duplicate, else new
//! ```
//!
//! All keys are kept, the latest ones in a table of fixed size. When it is full, its keys go to a temporary file, a
//! run. A key that is not in the table is new if the [`BloomFilter`] says so, which it does for more than 99 of 100 new
//! keys; for the others the runs are asked. So the filter only ever saves a look at the disk, and a record is a
//! duplicate only if its key was really found. Until the table is full, there is neither a filter nor a file.
//!
//! Runs are merged so that few exist, and a look at one is a single read of about 1.5 kB. Temporary files have no name:
//! however the process ends, nothing is left of them.
//!
//! Memory, for 100 million keys: 128 MiB of filter; 25 bytes for each slot of the table, and 24 more for each entry while
//! it is written; 4 bytes for every 32 to 64 keys on disk. Disk: 24 bytes a key, and as much again while all runs become
//! one.

mod bloom;
mod keys;
mod runs;
mod store;

use std::path::PathBuf;

pub use crate::dedupe::bloom::BloomFilter;
pub use crate::dedupe::keys::KeyHasher;

use crate::dedupe::store::ExactStore;
use crate::error::Result;

/// What stands for a key: equal for equal keys, and as good as never for others.
pub type Fingerprint = u128;

/// Where a record lies, as the caller numbers places.
pub type Place = u64;

/// How much memory may be used, and where the disk is.
#[derive(Debug, Clone)]
pub struct DedupeOptions {
    /// The size of the filter, [`BloomFilter::BYTES`] for 100 million keys. A smaller one is as right and slower.
    pub filter_bytes: u64,
    /// How many keys are held in memory. The table has a power of two of slots, of which 7 in 8 are used: `7 << 16`
    /// keys make the best of 13 MB, and one more key would double that.
    pub store_entries: usize,
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

/// Keys that go through the filter before they go on to the store.
const BATCH: usize = 1024;

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
        firsts.reserve(keys.len());
        while !keys.is_empty() {
            if self.store.room() == 0 {
                self.spill()?;
            }
            let batch = keys.len().min(BATCH).min(self.store.room());
            let (batch_keys, batch_places);
            (batch_keys, keys) = keys.split_at(batch);
            (batch_places, places) = places.split_at(batch);
            self.suspects.clear();
            match &mut self.filter {
                Some(filter) => filter.insert_each(batch_keys, &mut self.suspects),
                None => self.suspects.resize(batch, false),
            }
            for ((key, place), suspect) in batch_keys.iter().zip(batch_places).zip(&self.suspects) {
                firsts.push(self.store.claim(*key, *place, *suspect)?);
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        if self.filter.is_none() {
            let mut filter = BloomFilter::with_bytes(self.filter_bytes);
            self.store.recent_keys().for_each(|key| {
                filter.insert(key);
            });
            self.filter = Some(filter);
        }
        self.store.spill()
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

    fn options(filter_bytes: u64, store_entries: usize, directory: &TempDir) -> DedupeOptions {
        DedupeOptions { filter_bytes, store_entries, temp_dir: Some(directory.path().to_owned()) }
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
            4 => (0u64..200).prop_map(fingerprint),
            1 => (0u32..128).prop_map(|bit| 1 << bit),
            1 => prop::sample::select(vec![0, Fingerprint::MAX]),
        ]
    }

    proptest! {
        #[test]
        fn the_first_place_wins_whatever_spills(
            claims in prop::collection::vec((key(), any::<Place>()), 0..300),
            calls in prop::collection::vec(0usize..50, 0..10),
            filter_bytes in 0u64..256,
            store_entries in 0usize..9,
            fan_out in 2usize..5,
        ) {
            let directory = TempDir::new().unwrap();
            let mut dedupe = Deduplicator::with_fan_out(&options(filter_bytes, store_entries, &directory), fan_out);
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
            let in_memory = store_entries.max(1) as u64;
            prop_assert!(new.saturating_sub(in_memory) <= stats.runs_spilled * in_memory);
            prop_assert!(stats.runs_spilled * in_memory <= new);
            prop_assert!(stats.bytes_spilled >= stats.runs_spilled * in_memory * 24);
            prop_assert!(stats.false_positives <= stats.filter_positives);
            prop_assert!(stats.filter_positives - stats.false_positives <= keys.len() as u64 - new);
        }
    }

    #[test]
    fn many_keys_are_claimed_once() {
        let directory = TempDir::new().unwrap();
        let keys = 400_000;
        let mut dedupe =
            Deduplicator::new(&options(BloomFilter::BYTES * keys / BloomFilter::CAPACITY, 5000, &directory));
        let prints: Vec<_> = (0..keys).map(fingerprint).collect();
        let places: Vec<_> = (0..keys).collect();
        let mut firsts = Vec::new();
        dedupe.claim(&prints, &places, &mut firsts).unwrap();
        assert!(firsts.iter().all(Option::is_none));
        let stats = dedupe.stats();
        assert_eq!((stats.keys, stats.runs_spilled), (keys, 79));
        assert!((1..keys / 100).contains(&stats.false_positives), "{stats:?}");
        assert_eq!(stats.filter_positives, stats.false_positives);

        let again: Vec<_> = prints.iter().copied().step_by(41).collect();
        firsts.clear();
        dedupe.claim(&again, &vec![u64::MAX; again.len()], &mut firsts).unwrap();
        assert_eq!(firsts, places.iter().copied().step_by(41).map(Some).collect::<Vec<_>>());
        assert_eq!(dedupe.stats().keys, keys);
    }

    #[test]
    fn until_memory_is_full_there_is_neither_filter_nor_file() {
        let directory = TempDir::new().unwrap();
        let mut dedupe = Deduplicator::new(&DedupeOptions {
            temp_dir: Some(directory.path().join("missing")),
            ..options(BloomFilter::BYTES, 11, &directory)
        });
        let keys: Vec<_> = (0..20).map(|number| fingerprint(number % 10)).collect();
        let places: Vec<_> = (0..20).collect();
        let mut firsts = Vec::new();
        dedupe.claim(&keys, &places, &mut firsts).unwrap();
        assert_eq!(firsts, expected(&keys, &places));
        assert!(dedupe.filter.is_none());
        assert_eq!(dedupe.stats(), DedupeStats { keys: 10, ..DedupeStats::default() });
        dedupe.claim(&[fingerprint(10)], &[20], &mut firsts).unwrap();
        assert!(dedupe.claim(&[fingerprint(11)], &[21], &mut firsts).is_err());
        assert_eq!(firsts.len(), 21, "a claim that fails has no answer");
    }
}
