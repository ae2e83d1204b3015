//! A run: keys and their places in a temporary file, in buckets that a directory in memory finds. Knows nothing of when
//! runs are written or merged.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::dedupe::{Fingerprint, PLACE_BITS, Place};

/// A key and its place as they lie in memory and in files, little-endian: 16 and 5 bytes.
pub(super) type Entry = [u8; ENTRY_BYTES];
pub(super) const ENTRY_BYTES: usize = KEY_BYTES + PLACE_BYTES;
const KEY_BYTES: usize = size_of::<Fingerprint>();
const PLACE_BYTES: usize = PLACE_BITS as usize / 8;

/// Entries in a file, never changed once written.
///
/// Fingerprints are uniform, so their first bits share them out evenly among buckets. The entries of a bucket stand in
/// no order: whoever looks for a key reads its bucket and looks at all of it. So nothing is ever sorted by comparing:
/// merging runs shares the entries of each bucket out among finer buckets.
#[derive(Debug)]
pub(super) struct Run {
    file: File,
    /// How many times its entries have been merged.
    tier: u32,
    /// The entry with which each bucket begins, and the number of entries behind the last one.
    starts: Vec<u32>,
}

/// So that the directory of a run takes 4 MiB at most; from there on the buckets grow instead.
const BUCKETS_MAX: usize = 1 << 20;
/// Entries that a merge works on at once, about: 320 kB of them twice, which a second-level cache holds.
const MERGE_ENTRIES: u64 = 1 << 14;
/// What is written to a file at once.
const WRITE_BYTES: usize = 128 << 10;

impl Run {
    /// How many entries a run can have.
    pub(super) const LEN_MAX: u64 = u32::MAX as u64;

    /// Writes entries, which are in buckets already, to a file.
    pub(super) fn write<'a>(file: File, buckets: impl ExactSizeIterator<Item = &'a [Entry]>) -> io::Result<Run> {
        let mut starts = Vec::with_capacity(buckets.len() + 1);
        starts.push(0);
        let mut writer = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut len = 0;
        for bucket in buckets {
            writer.write_all(bucket.as_flattened())?;
            len += bucket.len();
            starts.push(len as u32);
        }
        Ok(Run { file: writer.into_inner()?, tier: 0, starts })
    }

    /// Writes the entries of runs, which have one tier and so the same buckets, to a file.
    ///
    /// # Errors
    /// Of kind `Interrupted` as soon as `is_wanted` says no.
    pub(super) fn merge(file: File, runs: &[Arc<Run>], is_wanted: impl Fn() -> bool) -> io::Result<Run> {
        let (tier, buckets) = (runs[0].tier, runs[0].buckets());
        debug_assert!(runs.iter().all(|run| run.buckets() == buckets), "runs of one tier have the same buckets");
        // As many times more buckets as there are runs, so that a bucket stays as long as it is.
        let finer = (BUCKETS_MAX / buckets).clamp(1, runs.len());
        let entries: u64 = runs.iter().map(|run| run.len()).sum();
        let mut merged = RunWriter::new(file, tier + 1, buckets * finer);
        let step = (MERGE_ENTRIES * buckets as u64).checked_div(entries).unwrap_or(1).clamp(1, buckets as u64) as usize;
        let mut together = Vec::new();
        for start in (0..buckets).step_by(step) {
            if !is_wanted() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let end = buckets.min(start + step);
            together.clear();
            for run in runs {
                run.read(start..end, &mut together)?;
            }
            merged.append(&together, start * finer..end * finer)?;
        }
        Ok(merged.run)
    }

    /// The place of a key, if the run has it; `bucket` is scratch space.
    pub(super) fn find(&self, key: Fingerprint, bucket: &mut Vec<Entry>) -> io::Result<Option<Place>> {
        let at = bucket_of(key, self.buckets());
        bucket.clear();
        self.read(at..at + 1, bucket)?;
        Ok(find(key, bucket))
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0).into()
    }

    /// How many times its entries have been merged.
    pub(super) fn tier(&self) -> u32 {
        self.tier
    }

    fn buckets(&self) -> usize {
        self.starts.len() - 1
    }

    /// The length of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.len() * ENTRY_BYTES as u64
    }

    /// Appends the entries of some buckets to `out`.
    fn read(&self, buckets: Range<usize>, out: &mut Vec<Entry>) -> io::Result<()> {
        let (start, end) = (self.starts[buckets.start], self.starts[buckets.end]);
        if start == end {
            return Ok(());
        }
        let filled = out.len();
        out.resize(filled + (end - start) as usize, [0; ENTRY_BYTES]);
        self.file.read_exact_at(out[filled..].as_flattened_mut(), u64::from(start) * ENTRY_BYTES as u64)
    }
}

/// A run that is being merged from others.
struct RunWriter {
    run: Run,
    /// How many buckets it is going to have.
    buckets: usize,
    /// The entries last written, in order of their buckets; kept for its allocation.
    shared_out: Vec<Entry>,
    /// Where the next entry of each bucket goes; kept for its allocation.
    next: Vec<usize>,
}

impl RunWriter {
    fn new(file: File, tier: u32, buckets: usize) -> Self {
        let mut starts = Vec::with_capacity(buckets + 1);
        starts.push(0);
        RunWriter { run: Run { file, tier, starts }, buckets, shared_out: Vec::new(), next: Vec::new() }
    }

    /// Writes the entries of the next buckets: all that there are. A counting sort: the first pass finds how many
    /// entries each bucket has, and so where it begins; the second one puts them there.
    fn append(&mut self, entries: &[Entry], buckets: Range<usize>) -> io::Result<()> {
        let RunWriter { run, buckets: all, shared_out, next } = self;
        let bucket_of = |entry: &Entry| bucket_of(key_of(entry), *all) - buckets.start;
        next.clear();
        next.resize(buckets.len(), 0);
        entries.iter().for_each(|entry| next[bucket_of(entry)] += 1);
        let written = run.starts.last().copied().unwrap_or(0);
        let mut filled = 0;
        for next in &mut *next {
            let count = std::mem::replace(next, filled);
            filled += count;
            run.starts.push(written + filled as u32);
        }
        // What an earlier call has left there is overwritten, entry for entry.
        shared_out.resize(filled, [0; ENTRY_BYTES]);
        for entry in entries {
            let next = &mut next[bucket_of(entry)];
            shared_out[*next] = *entry;
            *next += 1;
        }
        run.file.write_all(shared_out.as_flattened())
    }
}

/// The place of a key among the entries of its bucket.
#[inline]
pub(super) fn find(key: Fingerprint, bucket: &[Entry]) -> Option<Place> {
    bucket.iter().find(|entry| key_of(entry) == key).map(place_of)
}

/// The entry of a key at a place.
#[inline]
pub(super) fn entry(key: Fingerprint, place: Place) -> Entry {
    let mut entry = [0; ENTRY_BYTES];
    entry[..KEY_BYTES].copy_from_slice(&key.to_le_bytes());
    entry[KEY_BYTES..].copy_from_slice(&place.to_le_bytes()[..PLACE_BYTES]);
    entry
}

/// The key of an entry.
#[inline]
pub(super) fn key_of(entry: &Entry) -> Fingerprint {
    let (bytes, _) = entry.split_first_chunk().expect("an entry is longer than a number of 128 bits");
    Fingerprint::from_le_bytes(*bytes)
}

/// The place of an entry.
#[inline]
fn place_of(entry: &Entry) -> Place {
    let (_, bytes) = entry.split_last_chunk().expect("an entry is longer than a place");
    Place::from_le_bytes(*bytes) >> (Place::BITS - PLACE_BITS)
}

/// The bucket of a key, of so many. Multiplying and shifting shares fingerprints out evenly among any number of buckets,
/// and with a multiple of that number each bucket is shared out among the same number of finer ones.
#[inline]
pub(super) fn bucket_of(key: Fingerprint, buckets: usize) -> usize {
    let first = key >> (Fingerprint::BITS - u64::BITS);
    ((first * buckets as u128) >> u64::BITS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::OpenOptions;

    use super::*;
    use crate::dedupe::tests::{MAX_KEY, fingerprint};

    fn entries(numbers: Range<u64>) -> Vec<Entry> {
        numbers.map(|number| entry(fingerprint(number), number)).collect()
    }

    /// A run with so many buckets.
    fn run_of(entries: &[Entry], buckets: usize) -> Run {
        let mut shared_out = vec![Vec::new(); buckets];
        entries.iter().for_each(|entry| shared_out[bucket_of(key_of(entry), buckets)].push(*entry));
        Run::write(tempfile::tempfile().unwrap(), shared_out.iter().map(Vec::as_slice)).unwrap()
    }

    /// Every entry is in its bucket, and the file has no others.
    fn assert_holds(run: &Run, entries: &[Entry]) {
        let mut found = BTreeSet::new();
        let mut bucket = Vec::new();
        for at in 0..run.buckets() {
            bucket.clear();
            run.read(at..at + 1, &mut bucket).unwrap();
            assert!(bucket.iter().all(|entry| bucket_of(key_of(entry), run.buckets()) == at));
            found.extend(bucket.iter().copied());
        }
        assert_eq!(found, entries.iter().copied().collect());
        assert_eq!(run.len(), entries.len() as u64);
        assert_eq!(run.file.metadata().unwrap().len(), run.bytes());
    }

    #[test]
    fn runs_and_merged_runs_hold_all_their_entries() {
        for (len, fan_out) in [(0, 2), (1, 2), (1, 8), (63, 3), (65, 2), (1000, 16), (10 * MERGE_ENTRIES, 3)] {
            let all = entries(0..len * fan_out);
            for buckets in [1, 7, 32] {
                let runs: Vec<Arc<Run>> =
                    (0..fan_out).map(|at| Arc::new(run_of(&entries(at * len..(at + 1) * len), buckets))).collect();
                assert_holds(&runs[0], &all[..len as usize]);
                let merged = Run::merge(tempfile::tempfile().unwrap(), &runs, || true).unwrap();
                assert_holds(&merged, &all);
                assert_eq!((merged.tier(), merged.buckets()), (1, buckets * fan_out as usize));
            }
        }
    }

    #[test]
    fn keys_are_found_at_their_places_and_no_others() {
        let run = run_of(&entries(0..3000), 60);
        let mut bucket = Vec::new();
        for number in 0..6000 {
            let found = run.find(fingerprint(number), &mut bucket).unwrap();
            assert_eq!(found, (number < 3000).then_some(number));
        }
    }

    #[test]
    fn keys_that_differ_in_one_bit_are_told_apart() {
        let keys: Vec<Fingerprint> =
            [0, MAX_KEY].into_iter().chain((0..Fingerprint::BITS).map(|bit| 1 << bit)).collect();
        let run = run_of(&keys.iter().zip(0..).map(|(key, place)| entry(*key, place)).collect::<Vec<_>>(), 3);
        for (key, place) in keys.iter().zip(0..) {
            assert_eq!(run.find(*key, &mut Vec::new()).unwrap(), Some(place));
        }
    }

    #[test]
    fn the_first_bits_choose_the_bucket() {
        assert_eq!([0, MAX_KEY].map(|key| bucket_of(key, 1)), [0, 0]);
        assert_eq!([0, 1 << (Fingerprint::BITS - 1), MAX_KEY].map(|key| bucket_of(key, 4)), [0, 2, 3]);
        assert_eq!(bucket_of(MAX_KEY, BUCKETS_MAX), BUCKETS_MAX - 1);
        for key in (0..1000).map(fingerprint) {
            assert_eq!(bucket_of(key, 3 * 7) / 7, bucket_of(key, 3));
        }
    }

    #[test]
    fn an_entry_is_its_key_and_its_place() {
        for key in [0, 1, MAX_KEY] {
            for place in [0, 1, (1 << PLACE_BITS) - 1] {
                let entry = entry(key, place);
                assert_eq!((key_of(&entry), place_of(&entry)), (key, place));
            }
        }
    }

    #[test]
    fn past_the_largest_directory_buckets_grow() {
        let runs = [0, 100].map(|start| Arc::new(run_of(&entries(start..start + 100), BUCKETS_MAX / 2 + 1)));
        let merged = Run::merge(tempfile::tempfile().unwrap(), &runs, || true).unwrap();
        assert_eq!((merged.tier(), merged.buckets(), merged.len()), (1, BUCKETS_MAX / 2 + 1, 200));
        assert_eq!(merged.find(fingerprint(150), &mut Vec::new()).unwrap(), Some(150));
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let runs = [run_of(&entries(0..100), 1), run_of(&entries(100..200), 1)].map(Arc::new);
        runs[1].file.set_len(runs[1].bytes() - 1).unwrap();
        let find_all = || (100..200).try_for_each(|key| runs[1].find(fingerprint(key), &mut Vec::new()).map(drop));
        assert_eq!(find_all().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(Run::merge(tempfile::tempfile().unwrap(), &runs, || true).is_err());
    }

    #[test]
    fn a_file_that_takes_nothing_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = || OpenOptions::new().read(true).open(file.path()).unwrap();
        assert!(Run::write(read_only(), [&entries(0..10)[..]].into_iter()).is_err());
        assert!(Run::merge(read_only(), &[Arc::new(run_of(&entries(0..10), 1))], || true).is_err());
    }
}
