//! Entries shared out by their keys: each partition has the keys from its bound on up to the next one's, and one of them
//! after the other fits into memory, to be sorted there. Knows nothing of threads.
//!
//! A partition that has become too large is split in such a way that its entries are shared out evenly. So the partitions
//! adapt to keys of any distribution, in any order, much as the leaves of a b-tree do. Entries of one key cannot be
//! parted; where they are many, they have a partition for themselves, which needs no sorting and may be of any size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use crate::chunk::prefix;
use crate::sort::entry::{Arrival, Entries, Entry, LENGTHS_MAX, write_entry};

/// What is written of a partition at once, where there is memory for it.
const BUFFER_BYTES: usize = 8 << 10;

/// Stretches of the file begin at whole blocks of the disk, so that it can have them back.
const BLOCK_BYTES: u64 = 4096;

/// The most partitions in the beginning: the buffers of so many are in the second cache of a core.
const FIRST_PARTITIONS_MAX: usize = 256;

/// What becomes of a partition that is too large.
const PARTS: usize = 4;

/// The share of the memory that the buffers of all partitions take together: one byte in so many.
const BUFFERS_SHARE: usize = 8;

/// The share of the memory that the entries of a partition may take, in percent. Few partitions of many entries are split
/// seldom, and are sorted nearly as fast.
const PARTITION_PERCENT: usize = 75;

/// Entries in partitions, in a file that has no name: however the process ends, nothing is left of it.
#[derive(Debug)]
pub(super) struct Partitions {
    memory_bytes: usize,
    file: File,
    file_bytes: u64,
    /// The least key that each partition may have, ascending; and the first bytes of each, which mostly decide.
    bounds: Vec<Vec<u8>>,
    prefixes: Vec<u64>,
    partitions: Vec<Partition>,
    /// The place of the partition that had the latest entry.
    latest: usize,
    /// What is in the buffers of all partitions.
    buffered_bytes: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// What its entries would take in memory.
    memory_bytes: usize,
    /// Its entries on disk, and those behind them.
    stretches: Vec<Stretch>,
    buffer: Vec<u8>,
}

/// Whole entries in the file.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    at: u64,
    bytes: usize,
}

impl Partitions {
    /// Shares out entries, which are sorted. All of it takes so much memory, beside that of the entries, and a file in
    /// `temp_dir`.
    pub(super) fn of(entries: &Entries, memory_bytes: usize, temp_dir: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(temp_dir)?;
        let mut partitions = Partitions {
            memory_bytes,
            file,
            file_bytes: 0,
            bounds: vec![Vec::new()],
            prefixes: vec![0],
            partitions: vec![Partition::default()],
            latest: 0,
            buffered_bytes: 0,
        };
        // What lies before or behind all of these has partitions from the beginning, in which keys that descend or ascend
        // stay as they come.
        let (first, last) = (entries.iter().next(), entries.iter().next_back());
        partitions.insert(1, first.map_or(Vec::new(), |first| first.key.to_vec()));
        partitions.insert(2, last.map_or(Vec::new(), |last| successor(last.key)));
        let with_full_buffers = memory_bytes / BUFFERS_SHARE / BUFFER_BYTES;
        partitions.share_out(1, entries, with_full_buffers.clamp(PARTS, FIRST_PARTITIONS_MAX))?;
        Ok(partitions)
    }

    /// Takes an entry.
    #[inline(always)]
    pub(super) fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        let place = self.place_of(key);
        self.latest = place;
        self.append(place, key, payload)?;
        let is_too_large = self.partitions[place].memory_bytes > self.partition_bytes_max();
        if is_too_large && !self.has_one_key(place) { self.split(place) } else { Ok(()) }
    }

    /// Calls `take` with all entries in order, some at a time, until it says that it wants no more.
    pub(super) fn for_each(mut self, mut take: impl FnMut(&Entries) -> bool) -> io::Result<()> {
        self.flush_all()?;
        let mut entries = Entries::default();
        for place in 0..self.partitions.len() {
            let mut rest = &self.partitions[place].stretches[..];
            while !rest.is_empty() {
                // Those of one key came in order, and may be too many to be in memory at once.
                let count = if self.has_one_key(place) { self.fitting(rest) } else { rest.len() };
                let (next, behind) = rest.split_at(count);
                rest = behind;
                self.load(next, &mut entries)?;
                entries.sort();
                if !take(&entries) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The bytes of the file.
    #[cfg(test)]
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    #[inline]
    fn partition_bytes_max(&self) -> usize {
        self.memory_bytes / 100 * PARTITION_PERCENT
    }

    /// How many stretches may be in memory at once. The places of their entries take about twice as much as they do.
    fn fitting(&self, stretches: &[Stretch]) -> usize {
        let mut bytes = 0;
        let fits = |stretch: &&Stretch| {
            bytes += 3 * stretch.bytes;
            bytes <= self.partition_bytes_max()
        };
        stretches.iter().take_while(fits).count().max(1)
    }

    /// The place of the partition that a key belongs to.
    #[inline]
    fn place_of(&self, key: &[u8]) -> usize {
        let first = prefix(key);
        let place = self.prefixes.partition_point(|prefix| *prefix < first);
        match self.prefixes.get(place) {
            Some(prefix) if *prefix == first => self.place_behind(place, key),
            _ => place - 1,
        }
    }

    /// The place of a key that begins like the bound at a place.
    #[cold]
    fn place_behind(&self, place: usize, key: &[u8]) -> usize {
        // Where many keys begin in the same way, they often come in some order.
        if self.bounds[self.latest][..] <= *key && self.bounds.get(self.latest + 1).is_none_or(|next| *key < next[..]) {
            return self.latest;
        }
        place + self.bounds[place..].partition_point(|bound| &bound[..] <= key) - 1
    }

    /// Appends an entry to the partition at a place.
    #[inline(always)]
    fn append(&mut self, place: usize, key: &[u8], payload: &[u8]) -> io::Result<()> {
        let bytes_max = LENGTHS_MAX + key.len() + payload.len();
        if self.partitions[place].buffer.len() + bytes_max > BUFFER_BYTES {
            self.flush(place)?;
        }
        let partition = &mut self.partitions[place];
        let before = partition.buffer.len();
        write_entry(key, payload, &mut partition.buffer);
        let bytes = partition.buffer.len() - before;
        partition.memory_bytes += bytes + Entries::PLACE_BYTES;
        self.buffered_bytes += bytes;
        if self.buffered_bytes > self.memory_bytes / BUFFERS_SHARE { self.flush_all() } else { Ok(()) }
    }

    fn flush_all(&mut self) -> io::Result<()> {
        (0..self.partitions.len()).try_for_each(|place| self.flush(place))
    }

    /// Writes what is in the buffer of the partition at a place.
    fn flush(&mut self, place: usize) -> io::Result<()> {
        let partition = &mut self.partitions[place];
        let bytes = partition.buffer.len();
        if bytes == 0 {
            return Ok(());
        }
        let at = self.file_bytes;
        self.file_bytes += (bytes as u64).next_multiple_of(BLOCK_BYTES);
        self.file.write_all_at(&partition.buffer, at)?;
        partition.stretches.push(Stretch { at, bytes });
        partition.buffer.clear();
        self.buffered_bytes -= bytes;
        Ok(())
    }

    /// Reads entries.
    fn load(&self, stretches: &[Stretch], entries: &mut Entries) -> io::Result<()> {
        entries.refill(|bytes| {
            bytes.reserve_exact(stretches.iter().map(|stretch| stretch.bytes).sum());
            stretches.iter().try_for_each(|stretch| {
                let before = bytes.len();
                bytes.resize(before + stretch.bytes, 0);
                self.file.read_exact_at(&mut bytes[before..], stretch.at)
            })
        })
    }

    /// Makes several partitions of the one at a place.
    #[cold]
    fn split(&mut self, place: usize) -> io::Result<()> {
        self.flush(place)?;
        let mut entries = Entries::default();
        self.load(&self.partitions[place].stretches, &mut entries)?;
        let arrival = entries.sort();
        let (first, last) = (entries.iter().next(), entries.iter().next_back());
        match (arrival, first, last) {
            // Where keys ascend, all that is to come lies behind what is there, which can stay as it is.
            (Arrival::Ascending, _, Some(last)) if self.bounds.get(place + 1) != Some(&successor(last.key)) => {
                self.insert(place + 1, successor(last.key));
                return Ok(());
            }
            // Where they descend, before it.
            (Arrival::Descending, Some(first), _) if self.bounds[place] != first.key => {
                self.insert(place + 1, first.key.to_vec());
                self.partitions.swap(place, place + 1);
                return Ok(());
            }
            _ => {}
        }
        let Partition { stretches, .. } = std::mem::take(&mut self.partitions[place]);
        for Stretch { at, bytes } in stretches {
            let bytes = (bytes as u64).next_multiple_of(BLOCK_BYTES);
            // Not every system can do that; then the file takes more of the disk for a while.
            let _ = fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, bytes);
        }
        self.share_out(place, &entries, PARTS)
    }

    /// Makes so many partitions, if the keys differ enough, of the one at a place, which is empty, and shares out sorted
    /// entries among them.
    fn share_out(&mut self, place: usize, entries: &Entries, parts: usize) -> io::Result<()> {
        let (mut last, mut bytes, mut quantile) = (place, 0, 1);
        for Entry { key, bytes: entry, .. } in entries.iter() {
            bytes += entry.len() + Entries::PLACE_BYTES;
            while quantile < parts && bytes * parts >= entries.memory_bytes() * quantile {
                quantile += 1;
                // A key that is a quantile twice gets a partition for itself.
                let bound = if self.bounds[last] == key { successor(key) } else { key.to_vec() };
                if bound > self.bounds[last] && self.bounds.get(last + 1) != Some(&bound) {
                    last += 1;
                    self.insert(last, bound);
                }
            }
        }
        let mut place = place;
        for Entry { key, payload, .. } in entries.iter() {
            while self.bounds.get(place + 1).is_some_and(|bound| &bound[..] <= key) {
                place += 1;
            }
            self.append(place, key, payload)?;
        }
        Ok(())
    }

    /// Begins a partition at a place, with a bound between those of its neighbours.
    fn insert(&mut self, place: usize, bound: Vec<u8>) {
        self.prefixes.insert(place, prefix(&bound));
        self.bounds.insert(place, bound);
        self.partitions.insert(place, Partition::default());
    }

    /// Whether the bounds of the partition at a place leave room for no other key.
    fn has_one_key(&self, place: usize) -> bool {
        self.bounds.get(place + 1).and_then(|next| next.split_last()) == Some((&0, &self.bounds[place]))
    }
}

/// The least key that is greater.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
