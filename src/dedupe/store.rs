//! The exact set of keys: the latest ones in memory, the others in runs on disk. Knows nothing of filters.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::dedupe::pages::Pages;
use crate::dedupe::runs::{self, ENTRY_BYTES, Entry, Run};
use crate::dedupe::{DedupeOptions, DedupeStats, Fingerprint, Place};
use crate::error::{Error, Result, joined};

/// A map from keys to places that holds a bounded number of them in memory.
///
/// Keys come into memory. When there is no room for one, all of them are written to disk as a run; when `fan_out` runs of
/// one tier have come together, they become one of the next tier. So a key is written once for each power of `fan_out`
/// in the number of runs, and few runs of each tier exist. Every key is in one place only, so the order of looking does
/// not matter for what is found: the oldest runs are the longest and most probably have a key, so they are asked first.
///
/// Merging has a thread of its own, because whoever asks has no time: as long as it takes, its runs are looked into as
/// before. It is waited for when the next one is due, so that there is never more than one.
#[derive(Debug)]
pub(super) struct ExactStore {
    recent: Recent,
    /// Oldest first, and so longest first.
    runs: Vec<Arc<Run>>,
    merging: Option<Merging>,
    fan_out: usize,
    temp_dir: PathBuf,
    /// The bucket last looked at, kept for its allocation.
    bucket: Vec<Entry>,
    stats: DedupeStats,
}

/// A merge that is under way.
#[derive(Debug)]
struct Merging {
    /// The places of its runs. Others come behind them only.
    runs: Range<usize>,
    thread: JoinHandle<io::Result<Run>>,
    /// Without it the thread gives up.
    wanted: Arc<()>,
}

/// The keys in memory: in buckets, as they are going to lie on disk.
///
/// Most keys are known to be new before they come here. Nobody looks for those, so all that there is to do is to append
/// them; and while a hash table would have to read a slot first, nobody waits for what is only written.
#[derive(Debug)]
struct Recent {
    /// How many entries each bucket has.
    lens: Vec<u8>,
    /// `SLOTS` for each bucket.
    entries: Pages,
}

/// Entries of a bucket in memory. The first bucket is full when the average one has 40: more slots would be used to a
/// greater part, and take longer to look through.
const SLOTS: usize = 64;

/// The memory of a bucket.
const BUCKET_BYTES: usize = SLOTS * ENTRY_BYTES + size_of::<u8>();

/// Runs of one tier that are merged into one: few enough that a key is looked for in few of them, and enough that it
/// is not written often.
pub(super) const FAN_OUT: usize = 8;

impl ExactStore {
    pub(super) fn new(options: &DedupeOptions, fan_out: usize) -> Self {
        ExactStore {
            recent: Recent::with_bytes(options.store_bytes),
            runs: Vec::new(),
            merging: None,
            fan_out,
            temp_dir: options.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
            bucket: Vec::new(),
            stats: DedupeStats::default(),
        }
    }

    /// The place of a key, if it is known.
    pub(super) fn find(&mut self, key: Fingerprint) -> Result<Option<Place>> {
        let recent = runs::find(key, self.recent.bucket(self.recent.bucket_of(key)));
        if recent.is_some() || self.runs.is_empty() {
            return Ok(recent);
        }
        self.stats.filter_positives += 1;
        for run in &self.runs {
            let found = run.find(key, &mut self.bucket);
            if let Some(first) = found.map_err(|cause| Error::temporary_files("read", &self.temp_dir, &cause))? {
                return Ok(Some(first));
            }
        }
        self.stats.false_positives += 1;
        Ok(None)
    }

    /// Whether there is room in memory for a key.
    #[inline]
    pub(super) fn has_room(&self, key: Fingerprint) -> bool {
        usize::from(self.recent.lens[self.recent.bucket_of(key)]) < SLOTS
    }

    /// Remembers a key that is not known; there must be room.
    #[inline]
    pub(super) fn insert(&mut self, key: Fingerprint, place: Place) {
        self.stats.keys += 1;
        self.recent.push(runs::entry(key, place), self.recent.bucket_of(key));
    }

    /// The keys in memory.
    pub(super) fn recent_keys(&self) -> impl Iterator<Item = Fingerprint> {
        self.recent.buckets().flatten().map(runs::key_of)
    }

    /// Writes all keys in memory to disk.
    pub(super) fn spill(&mut self) -> Result<()> {
        let run = write_run(&self.temp_dir, |file| Run::write(file, self.recent.buckets()))?;
        self.stats.runs_spilled += 1;
        self.stats.bytes_spilled += run.bytes();
        self.runs.push(Arc::new(run));
        self.recent.lens.fill(0);
        self.merge_runs()
    }

    pub(super) fn stats(&self) -> DedupeStats {
        self.stats
    }

    /// Ends a merge that is done, or in the way of the next one, and begins that.
    fn merge_runs(&mut self) -> Result<()> {
        loop {
            let due = self.due();
            match (&self.merging, due) {
                (Some(merging), due) if due.is_some() || merging.thread.is_finished() => self.finish_merge()?,
                (None, Some(due)) => self.begin_merge(due)?,
                _ => return Ok(()),
            }
        }
    }

    /// The runs to merge next: `fan_out` of one tier that fit one run.
    fn due(&self) -> Option<Range<usize>> {
        // Those in front of a merge are fewer.
        let from = self.merging.as_ref().map_or(0, |merging| merging.runs.end);
        let is_due = |runs: &[Arc<Run>]| {
            let len: u64 = runs.iter().map(|run| run.len()).sum();
            runs.iter().all(|run| run.tier() == runs[0].tier()) && len <= Run::LEN_MAX
        };
        let start = from + self.runs[from..].windows(self.fan_out).rposition(is_due)?;
        Some(start..start + self.fan_out)
    }

    fn begin_merge(&mut self, due: Range<usize>) -> Result<()> {
        let file = tempfile::tempfile_in(&self.temp_dir)
            .map_err(|cause| Error::temporary_files("write", &self.temp_dir, &cause))?;
        let runs = self.runs[due.clone()].to_vec();
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let thread = std::thread::spawn(move || Run::merge(file, &runs, || Weak::strong_count(&is_wanted) > 0));
        self.merging = Some(Merging { runs: due, thread, wanted });
        Ok(())
    }

    /// Waits for the merge that is under way, if there is one, and puts its run in the place of those that it was made of.
    fn finish_merge(&mut self) -> Result<()> {
        let Some(Merging { runs, thread, wanted }) = self.merging.take() else { return Ok(()) };
        let merged = joined(thread.join()).map_err(|cause| Error::temporary_files("write", &self.temp_dir, &cause))?;
        drop(wanted);
        self.stats.bytes_spilled += merged.bytes();
        self.runs.splice(runs, [Arc::new(merged)]);
        Ok(())
    }
}

impl Drop for ExactStore {
    fn drop(&mut self) {
        // The run would be of no use any more, and a thread that nobody waits for could outlive the process's other work.
        if let Some(Merging { thread, wanted, .. }) = self.merging.take() {
            drop(wanted);
            let _ = thread.join();
        }
    }
}

impl Recent {
    /// As many buckets as fit, one at least.
    fn with_bytes(bytes: u64) -> Self {
        let buckets = usize::try_from(bytes / BUCKET_BYTES as u64).expect("the store fits the address space").max(1);
        Recent { lens: vec![0; buckets], entries: Pages::zeroed(buckets * SLOTS * ENTRY_BYTES) }
    }

    #[inline]
    fn bucket_of(&self, key: Fingerprint) -> usize {
        runs::bucket_of(key, self.lens.len())
    }

    fn bucket(&self, at: usize) -> &[Entry] {
        &self.entries.as_chunks().0[at * SLOTS..][..self.lens[at].into()]
    }

    fn buckets(&self) -> impl ExactSizeIterator<Item = &[Entry]> {
        (0..self.lens.len()).map(|at| self.bucket(at))
    }

    #[inline]
    fn push(&mut self, entry: Entry, at: usize) {
        let len = &mut self.lens[at];
        self.entries.as_chunks_mut().0[at * SLOTS..][..SLOTS][usize::from(*len)] = entry;
        *len += 1;
    }
}

/// A run in a temporary file without a name, of which nothing is left however the process ends.
fn write_run(temp_dir: &Path, write: impl FnOnce(File) -> io::Result<Run>) -> Result<Run> {
    tempfile::tempfile_in(temp_dir).and_then(write).map_err(|cause| Error::temporary_files("write", temp_dir, &cause))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::dedupe::tests::fingerprint;
    use crate::error::ErrorKind;

    /// A store whose memory is one bucket: full with `SLOTS` keys, whichever they are.
    fn store(temp_dir: &Path) -> ExactStore {
        let options = DedupeOptions { filter_bytes: 0, store_bytes: 0, temp_dir: Some(temp_dir.to_owned()) };
        ExactStore::new(&options, 3)
    }

    /// Inserts keys, each at the place of its number, and spills whenever memory is full.
    fn fill(store: &mut ExactStore, keys: Range<u64>) -> Result<()> {
        keys.into_iter().try_for_each(|key| {
            if !store.has_room(fingerprint(key)) {
                store.spill()?;
            }
            store.insert(fingerprint(key), key);
            Ok(())
        })
    }

    fn finish_merges(store: &mut ExactStore) {
        while store.merging.is_some() {
            store.finish_merge().unwrap();
            store.merge_runs().unwrap();
        }
    }

    #[test]
    fn keys_are_found_while_and_after_their_runs_are_merged() {
        let directory = TempDir::new().unwrap();
        let mut store = store(directory.path());
        let slots = SLOTS as u64;
        for runs in 0..20 {
            fill(&mut store, runs * slots..(runs + 1) * slots).unwrap();
            // Those of a merge under way are there until it is done, and fewer than would be due otherwise.
            assert!(store.runs.len() <= 3 * 3 + 3, "{}", store.runs.len());
            for key in (0..(runs + 1) * slots).step_by(7) {
                assert_eq!(store.find(fingerprint(key)).unwrap(), Some(key));
            }
        }
    }

    #[test]
    fn a_merge_that_nobody_wants_any_more_is_given_up() {
        let directory = TempDir::new().unwrap();
        let mut store = store(directory.path());
        fill(&mut store, 0..4 * SLOTS as u64).unwrap();
        let runs = store.runs.clone();
        let merged = Run::merge(tempfile::tempfile().unwrap(), &runs, || false);
        assert_eq!(merged.unwrap_err().kind(), io::ErrorKind::Interrupted);
        drop(store);
        assert!(runs.iter().all(|run| Arc::strong_count(run) == 1), "its thread is gone");
    }

    #[test]
    fn runs_merge_in_tiers_and_memory_stays_as_it_is() {
        let directory = TempDir::new().unwrap();
        let mut store = store(directory.path());
        let allocated = store.recent.entries.len();
        let slots = SLOTS as u64;
        let mut lengths = Vec::new();
        for runs in 0..=9 {
            fill(&mut store, runs * slots..(runs + 1) * slots).unwrap();
            finish_merges(&mut store);
            lengths.push(store.runs.iter().map(|run| run.len() / slots).collect::<Vec<_>>());
        }
        assert_eq!(lengths[2..5], [vec![1, 1], vec![3], vec![3, 1]]);
        assert_eq!(lengths[8..], [vec![3, 3, 1, 1], vec![9]]);
        assert_eq!(store.recent.entries.len(), allocated);
        let stats = store.stats();
        assert!(store.merging.is_none());
        let bytes = ENTRY_BYTES as u64 * 3 * 9 * slots;
        assert_eq!((stats.keys, stats.runs_spilled, stats.bytes_spilled), (10 * slots, 9, bytes));
        for key in 0..10 * slots {
            assert_eq!(store.find(fingerprint(key)).unwrap(), Some(key));
        }
        assert_eq!(store.find(fingerprint(10 * slots)).unwrap(), None);
        assert_eq!(store.stats(), DedupeStats { filter_positives: 9 * slots + 1, false_positives: 1, ..stats });
    }

    #[test]
    fn memory_is_used_to_the_half_at_least() {
        let directory = TempDir::new().unwrap();
        let options =
            DedupeOptions { filter_bytes: 0, store_bytes: 1 << 20, temp_dir: Some(directory.path().to_owned()) };
        let mut store = ExactStore::new(&options, 3);
        assert!(store.recent.entries.len() + store.recent.lens.len() <= 1 << 20);
        let slots = (SLOTS * store.recent.lens.len()) as u64;
        fill(&mut store, 0..slots).unwrap();
        assert_eq!(store.stats().runs_spilled, 1, "{slots} slots");
    }

    #[cfg(unix)]
    #[test]
    fn temporary_files_have_no_names() {
        let directory = TempDir::new().unwrap();
        let mut store = store(directory.path());
        fill(&mut store, 0..5 * SLOTS as u64).unwrap();
        finish_merges(&mut store);
        assert_eq!(store.runs.len(), 2);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_once_it_is_needed() {
        let directory = TempDir::new().unwrap();
        let missing = directory.path().join("missing");
        let mut store = store(&missing);
        fill(&mut store, 0..SLOTS as u64).unwrap();
        let error = store.spill().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        let start = format!("cannot write temporary files in {}: ", missing.display());
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.help_text().unwrap().contains("--temp-dir"));
        assert_eq!(store.find(fingerprint(1)).unwrap(), Some(1), "nothing is forgotten");
    }

    #[test]
    fn a_damaged_run_is_an_error() {
        let directory = TempDir::new().unwrap();
        let mut store = store(directory.path());
        fill(&mut store, 0..3).unwrap();
        let file = tempfile::tempfile().unwrap();
        let other_handle = file.try_clone().unwrap();
        store.runs.push(Arc::new(Run::write(file, store.recent.buckets()).unwrap()));
        store.recent.lens.fill(0);
        assert_eq!(store.find(fingerprint(1)).unwrap(), Some(1));
        other_handle.set_len(0).unwrap();
        let error = store.find(fingerprint(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
        assert!(error.to_string().starts_with("cannot read temporary files in "), "{error}");
    }
}
