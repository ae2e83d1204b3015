//! A run: keys and their places in a temporary file, in buckets that a directory in memory finds. Knows nothing of when
//! runs are written or merged.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::dedupe::{Fingerprint, Place};

/// A key and its place as they lie in a file: 16 and 8 bytes, little-endian.
pub(super) type Entry = [u8; ENTRY_BYTES];
const ENTRY_BYTES: usize = KEY_BYTES + size_of::<Place>();
const KEY_BYTES: usize = size_of::<Fingerprint>();

/// Entries in a file, never changed once written.
///
/// Fingerprints are uniform, so their first bits share them out evenly among buckets. The entries of a bucket stand in
/// no order: whoever looks for a key reads its bucket and looks at all of it. So nothing is ever sorted by comparing:
/// writing a run shares entries out, and merging runs shares the entries of each bucket out among finer buckets.
#[derive(Debug)]
pub(super) struct Run {
    file: File,
    /// The number of leading bits of a key that choose its bucket.
    bits: u32,
    /// The entry with which each bucket begins, and the number of entries behind the last one.
    starts: Vec<u32>,
}

/// Entries that a bucket has at most, on average: 1.5 kB, a read that is not much slower than a smaller one.
const BUCKET_ENTRIES: u64 = 64;
/// So that the directory of a run takes 4 MiB at most; past 67 million entries its buckets grow instead.
const BITS_MAX: u32 = 20;
/// Entries that a merge works on at once, about: 384 kB of them twice, which a second-level cache holds.
const MERGE_ENTRIES: u64 = 1 << 14;

impl Run {
    /// How many entries a run can have.
    pub(super) const LEN_MAX: u64 = u32::MAX as u64;

    /// Writes entries, which are gone through twice, to a file.
    pub(super) fn write<'a>(file: File, entries: impl ExactSizeIterator<Item = &'a Entry> + Clone) -> io::Result<Run> {
        let mut writer = RunWriter::new(file, entries.len() as u64);
        writer.append(entries, 0..1 << writer.run.bits)?;
        Ok(writer.run)
    }

    /// Writes the entries of runs, which have equal lengths, to a file.
    pub(super) fn merge(file: File, runs: &[Run]) -> io::Result<Run> {
        let entries = runs.iter().map(Run::len).sum();
        let mut writer = RunWriter::new(file, entries);
        let Some(bits) = runs.first().map(|run| run.bits) else { return Ok(writer.run) };
        debug_assert!(runs.iter().all(|run| run.bits == bits), "equal lengths have equal buckets");
        let finer = writer.run.bits - bits;
        let buckets = 1 << bits;
        let step = (MERGE_ENTRIES << bits).checked_div(entries).unwrap_or(1).clamp(1, buckets as u64) as usize;
        let mut together = Vec::new();
        for start in (0..buckets).step_by(step) {
            let end = buckets.min(start + step);
            together.clear();
            for run in runs {
                run.read(start..end, &mut together)?;
            }
            writer.append(together.iter(), start << finer..end << finer)?;
        }
        Ok(writer.run)
    }

    /// The place of a key, if the run has it; `bucket` is scratch space.
    pub(super) fn find(&self, key: Fingerprint, bucket: &mut Vec<Entry>) -> io::Result<Option<Place>> {
        let at = bucket_of(key, self.bits);
        bucket.clear();
        self.read(at..at + 1, bucket)?;
        Ok(bucket.iter().find(|entry| key_of(entry) == key).map(place_of))
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0).into()
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
        let mut file = &self.file;
        file.seek(SeekFrom::Start(u64::from(start) * ENTRY_BYTES as u64))?;
        file.read_exact(out[filled..].as_flattened_mut())
    }
}

/// A run that is being written.
struct RunWriter {
    run: Run,
    /// The entries last written, in order of their buckets; kept for its allocation.
    shared_out: Vec<Entry>,
    /// Where the next entry of each bucket goes; kept for its allocation.
    next: Vec<usize>,
}

impl RunWriter {
    fn new(file: File, entries: u64) -> Self {
        debug_assert!(entries <= Run::LEN_MAX, "a run is no longer than its directory can say");
        let bits = entries.div_ceil(BUCKET_ENTRIES).next_power_of_two().ilog2().min(BITS_MAX);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        starts.push(0);
        RunWriter { run: Run { file, bits, starts }, shared_out: Vec::new(), next: Vec::new() }
    }

    /// Writes the entries of the next buckets: all that there are. A counting sort: the first pass finds how many
    /// entries each bucket has, and so where it begins; the second one puts them there.
    fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry> + Clone,
        buckets: Range<usize>,
    ) -> io::Result<()> {
        let RunWriter { run, shared_out, next } = self;
        let bucket_of = |entry: &Entry| bucket_of(key_of(entry), run.bits) - buckets.start;
        next.clear();
        next.resize(buckets.len(), 0);
        entries.clone().for_each(|entry| next[bucket_of(entry)] += 1);
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

/// The entry of a key at a place.
#[inline]
pub(super) fn entry(key: Fingerprint, place: Place) -> Entry {
    let mut entry = [0; ENTRY_BYTES];
    entry[..KEY_BYTES].copy_from_slice(&key.to_le_bytes());
    entry[KEY_BYTES..].copy_from_slice(&place.to_le_bytes());
    entry
}

/// The key of an entry.
#[inline]
pub(super) fn key_of(entry: &Entry) -> Fingerprint {
    let (key, _) = entry.split_first_chunk().expect("an entry begins with a key");
    Fingerprint::from_le_bytes(*key)
}

/// The place of an entry.
#[inline]
pub(super) fn place_of(entry: &Entry) -> Place {
    let (_, place) = entry.split_last_chunk().expect("an entry ends with a place");
    Place::from_le_bytes(*place)
}

#[inline]
fn bucket_of(key: Fingerprint, bits: u32) -> usize {
    // In two steps, since no bits at all are a shift by the whole width.
    (key >> 1 >> (Fingerprint::BITS - 1 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::OpenOptions;

    use super::*;
    use crate::dedupe::tests::fingerprint;

    fn entries(numbers: Range<u64>) -> Vec<Entry> {
        numbers.map(|number| entry(fingerprint(number), number)).collect()
    }

    fn run_of(entries: &[Entry]) -> Run {
        Run::write(tempfile::tempfile().unwrap(), entries.iter()).unwrap()
    }

    /// Every entry is in its bucket, and the file has no others.
    fn assert_holds(run: &Run, entries: &[Entry]) {
        let mut found = BTreeSet::new();
        let mut bucket = Vec::new();
        for at in 0..1 << run.bits {
            bucket.clear();
            run.read(at..at + 1, &mut bucket).unwrap();
            assert!(bucket.iter().all(|entry| bucket_of(key_of(entry), run.bits) == at));
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
            let runs: Vec<Run> = (0..fan_out).map(|at| run_of(&entries(at * len..(at + 1) * len))).collect();
            assert_holds(&runs[0], &all[..len as usize]);
            assert_holds(&Run::merge(tempfile::tempfile().unwrap(), &runs).unwrap(), &all);
        }
    }

    #[test]
    fn keys_are_found_at_their_places_and_no_others() {
        let run = run_of(&entries(0..3000));
        assert!(run.bits >= 5, "more than one bucket");
        let mut bucket = Vec::new();
        for number in 0..6000 {
            let found = run.find(fingerprint(number), &mut bucket).unwrap();
            assert_eq!(found, (number < 3000).then_some(number));
        }
    }

    #[test]
    fn keys_that_differ_in_one_bit_are_told_apart() {
        let keys: Vec<Fingerprint> = [0, Fingerprint::MAX].into_iter().chain((0..128).map(|bit| 1 << bit)).collect();
        let run = run_of(&keys.iter().zip(0..).map(|(key, place)| entry(*key, place)).collect::<Vec<_>>());
        for (key, place) in keys.iter().zip(0..) {
            assert_eq!(run.find(*key, &mut Vec::new()).unwrap(), Some(place));
        }
    }

    #[test]
    fn the_first_bits_choose_the_bucket() {
        assert_eq!([0, Fingerprint::MAX].map(|key| bucket_of(key, 0)), [0, 0]);
        assert_eq!([0, 1 << 127, Fingerprint::MAX].map(|key| bucket_of(key, 2)), [0, 2, 3]);
        assert_eq!(bucket_of(Fingerprint::MAX, BITS_MAX), (1 << BITS_MAX) - 1);
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let runs = [run_of(&entries(0..100)), run_of(&entries(100..200))];
        runs[1].file.set_len(runs[1].bytes() - 1).unwrap();
        let find_all = || (100..200).try_for_each(|key| runs[1].find(fingerprint(key), &mut Vec::new()).map(drop));
        assert_eq!(find_all().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(Run::merge(tempfile::tempfile().unwrap(), &runs).is_err());
    }

    #[test]
    fn a_file_that_takes_nothing_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = || OpenOptions::new().read(true).open(file.path()).unwrap();
        assert!(Run::write(read_only(), entries(0..10).iter()).is_err());
        assert!(Run::merge(read_only(), &[run_of(&entries(0..10))]).is_err());
    }
}
