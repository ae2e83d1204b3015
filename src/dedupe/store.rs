//! The exact set of keys: the latest ones in memory, the others in runs on disk. Knows nothing of filters.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::dedupe::runs::{self, Entry, Run};
use crate::dedupe::{DedupeOptions, DedupeStats, Fingerprint, Place};
use crate::error::{Error, ErrorKind, Result};

/// A map from keys to places that holds a bounded number of them in memory.
///
/// Keys come into memory. When it is full, all of them are written to disk as a run; when `fan_out` runs of one length
/// have come together, they become one. So a key is written once for each power of `fan_out` in the number of runs, and
/// fewer than `fan_out` runs of each length exist. Every key is in one place only, so the order of looking does not
/// matter for what is found: the oldest runs are the longest and most probably have a key, so they are asked first.
#[derive(Debug)]
pub(super) struct ExactStore {
    /// Made once, since a table that grows needs room for two.
    recent: HashTable<Entry>,
    recent_max: usize,
    /// Oldest first, and so longest first.
    runs: Vec<Run>,
    fan_out: usize,
    temp_dir: PathBuf,
    /// The bucket last looked at, kept for its allocation.
    bucket: Vec<Entry>,
    stats: DedupeStats,
}

/// Runs of one length that are merged into one: few enough that a key is looked for in few of them, and enough that it
/// is not written often.
pub(super) const FAN_OUT: usize = 8;

impl ExactStore {
    pub(super) fn new(options: &DedupeOptions, fan_out: usize) -> Self {
        let recent_max = options.store_entries.clamp(1, Run::LEN_MAX as usize);
        ExactStore {
            recent: HashTable::with_capacity(recent_max),
            recent_max,
            runs: Vec::new(),
            fan_out,
            temp_dir: options.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
            bucket: Vec::new(),
            stats: DedupeStats::default(),
        }
    }

    /// How many more keys there is room for in memory.
    pub(super) fn room(&self) -> usize {
        self.recent_max - self.recent.len()
    }

    /// The place of a key, or `None` for a new one, which is remembered at `place`; there must be room. The disk is
    /// asked only if `may_be_on_disk`.
    #[inline]
    pub(super) fn claim(&mut self, key: Fingerprint, place: Place, may_be_on_disk: bool) -> Result<Option<Place>> {
        let is_key = |entry: &Entry| runs::key_of(entry) == key;
        let slot = match self.recent.entry(hash(key), is_key, |entry| hash(runs::key_of(entry))) {
            Slot::Occupied(slot) => return Ok(Some(runs::place_of(slot.get()))),
            Slot::Vacant(slot) => slot,
        };
        if may_be_on_disk {
            self.stats.filter_positives += 1;
            for run in &self.runs {
                let found = run.find(key, &mut self.bucket);
                if let Some(first) = found.map_err(|cause| io_error("read", &self.temp_dir, &cause))? {
                    return Ok(Some(first));
                }
            }
            self.stats.false_positives += 1;
        }
        self.stats.keys += 1;
        slot.insert(runs::entry(key, place));
        Ok(None)
    }

    /// The keys in memory.
    pub(super) fn recent_keys(&self) -> impl Iterator<Item = Fingerprint> {
        self.recent.iter().map(runs::key_of)
    }

    /// Writes all keys in memory to disk.
    pub(super) fn spill(&mut self) -> Result<()> {
        let run = write_run(&self.temp_dir, |file| Run::write(file, self.recent.iter()))?;
        self.stats.runs_spilled += 1;
        self.stats.bytes_spilled += run.bytes();
        self.runs.push(run);
        self.recent.clear();
        self.merge_runs()
    }

    pub(super) fn stats(&self) -> DedupeStats {
        self.stats
    }

    /// Merges the latest runs for as long as `fan_out` of them have one length and fit one run.
    fn merge_runs(&mut self) -> Result<()> {
        while let Some(start) = self.runs.len().checked_sub(self.fan_out) {
            let latest = &self.runs[start..];
            let len = latest[0].len();
            if latest.iter().any(|run| run.len() != len) || len * self.fan_out as u64 > Run::LEN_MAX {
                break;
            }
            let merged = write_run(&self.temp_dir, |file| Run::merge(file, latest))?;
            self.stats.bytes_spilled += merged.bytes();
            self.runs.truncate(start);
            self.runs.push(merged);
        }
        Ok(())
    }
}

/// A run in a temporary file without a name, of which nothing is left however the process ends.
fn write_run(temp_dir: &Path, write: impl FnOnce(File) -> io::Result<Run>) -> Result<Run> {
    tempfile::tempfile_in(temp_dir).and_then(write).map_err(|cause| io_error("write", temp_dir, &cause))
}

fn io_error(verb: &str, temp_dir: &Path, cause: &io::Error) -> Error {
    Error::io(ErrorKind::Output, &format!("{verb} temporary files in"), temp_dir, cause)
        .help("make room there, or give --temp-dir a directory on another disk")
}

/// Fingerprints are hashes already. The filter and the runs go by the upper half, the table by the lower one.
#[inline]
fn hash(key: Fingerprint) -> u64 {
    key as u64
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::dedupe::tests::fingerprint;

    fn store(store_entries: usize, temp_dir: &Path) -> ExactStore {
        let options = DedupeOptions { filter_bytes: 0, store_entries, temp_dir: Some(temp_dir.to_owned()) };
        ExactStore::new(&options, 3)
    }

    /// Claims keys up to the one of that number, each at the place of its number, and spills whenever memory is full.
    fn fill(store: &mut ExactStore, keys: u64) -> Result<()> {
        (0..keys).try_for_each(|key| {
            if store.room() == 0 {
                store.spill()?;
            }
            assert_eq!(store.claim(fingerprint(key), key, false)?, None);
            Ok(())
        })
    }

    #[test]
    fn runs_merge_in_tiers_and_the_table_stays_as_it_is() {
        let directory = TempDir::new().unwrap();
        let mut store = store(7, directory.path());
        let allocated = store.recent.allocation_size();
        let mut lengths = Vec::new();
        for runs in 0..=9 {
            if runs > 0 {
                store.spill().unwrap();
            }
            lengths.push(store.runs.iter().map(Run::len).collect::<Vec<_>>());
            for key in runs * 7..(runs + 1) * 7 {
                assert_eq!(store.claim(fingerprint(key), key, false).unwrap(), None);
            }
        }
        assert_eq!(lengths[2..5], [vec![7, 7], vec![21], vec![21, 7]]);
        assert_eq!(lengths[8..], [vec![21, 21, 7, 7], vec![63]]);
        assert_eq!(store.recent.allocation_size(), allocated);
        let stats = store.stats();
        assert_eq!((stats.keys, stats.runs_spilled, stats.bytes_spilled), (70, 9, 24 * 3 * 63));
        for key in 0..70 {
            assert_eq!(store.claim(fingerprint(key), 1000, true).unwrap(), Some(key));
        }
        assert_eq!(store.stats(), DedupeStats { filter_positives: 63, ..stats });
    }

    #[cfg(unix)]
    #[test]
    fn temporary_files_have_no_names() {
        let directory = TempDir::new().unwrap();
        let mut store = store(2, directory.path());
        fill(&mut store, 9).unwrap();
        assert_eq!(store.runs.len(), 2);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_once_it_is_needed() {
        let directory = TempDir::new().unwrap();
        let missing = directory.path().join("missing");
        let mut store = store(3, &missing);
        fill(&mut store, 3).unwrap();
        let error = store.spill().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        let start = format!("cannot write temporary files in {}: ", missing.display());
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.help_text().unwrap().contains("--temp-dir"));
        assert_eq!(store.claim(fingerprint(1), 9, false).unwrap(), Some(1), "nothing is forgotten");
    }

    #[test]
    fn a_damaged_run_is_an_error() {
        let directory = TempDir::new().unwrap();
        let mut store = store(3, directory.path());
        fill(&mut store, 3).unwrap();
        let file = tempfile::tempfile().unwrap();
        let other_handle = file.try_clone().unwrap();
        store.runs.push(Run::write(file, store.recent.iter()).unwrap());
        store.recent.clear();
        assert_eq!(store.claim(fingerprint(1), 9, true).unwrap(), Some(1));
        other_handle.set_len(0).unwrap();
        let error = store.claim(fingerprint(1), 9, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        assert!(error.to_string().starts_with("cannot read temporary files in "), "{error}");
    }
}
