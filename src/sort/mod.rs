//! An external sort: keys with what belongs to them, in the order of the keys' bytes, in bounded memory. Equal keys keep the
//! order in which they came.
//!
//! Entries collect in memory until their share of it is full; then they are sorted and written to a temporary file as a
//! run, on a thread of its own, while others collect. At the end all runs are merged, on a thread of its own as well. A
//! run needs a buffer to be merged through, so when there are as many as memory has room for, they become one.

mod runs;
#[cfg(test)]
mod tests;

use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::chunk::prefix;
use crate::error::{Error, Result, joined};
use crate::sort::runs::{BUFFER_BYTES, parse, write_entry};

pub use runs::{Merge, Run, RunFile, RunWriter};

/// Sorts entries.
#[derive(Debug)]
pub struct Sorter {
    memory_bytes: usize,
    temp_dir: PathBuf,
    collecting: Entries,
    /// The run that is being written, and its entries, whose memory comes next.
    spilling: Option<JoinHandle<io::Result<(Run, Entries)>>>,
    file: Option<RunFile>,
    /// In the order in which they were written.
    runs: Vec<Run>,
}

/// What is merged in one go, and how many such batches may wait.
const BATCH_BYTES: usize = 256 << 10;
const BATCHES_AHEAD: usize = 2;

/// So many runs can always be merged. More take all of the memory for their buffers, since nothing else is held then.
const RUNS_MIN: usize = 2;

/// Entries are in memory twice: those that are collected, and those that are written.
const COPIES: usize = 2;

impl Sorter {
    /// A sorter that holds so many bytes at once, and puts the others into files in `temp_dir`.
    pub fn new(memory_bytes: usize, temp_dir: &Path) -> Self {
        Sorter {
            memory_bytes: memory_bytes.min(u32::MAX as usize),
            temp_dir: temp_dir.to_owned(),
            collecting: Entries::default(),
            spilling: None,
            file: None,
            runs: Vec::new(),
        }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// When temporary files cannot be written.
    #[inline]
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let bytes = self.collecting.bytes() + key.len() + payload.len();
        if bytes > self.memory_bytes / COPIES && !self.collecting.places.is_empty() {
            self.spill().map_err(|cause| self.fail(&cause))?;
        }
        self.collecting.push(key, payload);
        Ok(())
    }

    /// Calls `visit` with the key and the payload of each entry, in order, and whether the key is that of the entry before.
    ///
    /// # Errors
    /// When temporary files cannot be written or read, and those of `visit`.
    pub fn for_each(mut self, mut visit: impl FnMut(&[u8], &[u8], bool) -> Result<()>) -> Result<()> {
        if self.file.is_none() {
            self.collecting.sort();
            let mut before = None;
            return self.collecting.iter().try_for_each(|entry| {
                let (key, payload, _) = parse(entry).unwrap_or_default();
                visit(key, payload, before.replace(key) == Some(key))
            });
        }
        self.spill().and_then(|()| self.wait()).map_err(|cause| self.fail(&cause))?;
        self.collecting = Entries::default();
        // What is merged is visited meanwhile, on this thread.
        std::thread::scope(|scope| {
            let (full, batches) = sync_channel::<Vec<u8>>(BATCHES_AHEAD);
            let sorter = &self;
            let merging = scope.spawn(move || sorter.merge_into(&full));
            let mut last_of_batch: Option<Vec<u8>> = None;
            for batch in batches {
                let mut before = last_of_batch.as_deref();
                let mut rest = &batch[..];
                while let Some((key, payload, len)) = parse(rest) {
                    visit(key, payload, before.replace(key) == Some(key))?;
                    rest = &rest[len..];
                }
                last_of_batch = before.map(<[u8]>::to_vec);
            }
            joined(merging.join()).map_err(|cause| self.fail(&cause))
        })
    }

    /// Begins to write the collected entries as a run.
    fn spill(&mut self) -> io::Result<()> {
        let spare = self.wait()?;
        if self.runs.len() >= (self.memory_bytes / COPIES / BUFFER_BYTES).max(RUNS_MIN) {
            self.merge_runs()?;
        }
        let mut writer = match &self.file {
            Some(file) => file.writer(),
            None => self.file.insert(RunFile::create(&self.temp_dir)?).writer(),
        };
        let mut entries = std::mem::replace(&mut self.collecting, spare);
        self.spilling = Some(std::thread::spawn(move || {
            entries.sort();
            entries.iter().try_for_each(|entry| writer.push_whole(entry))?;
            let run = writer.finish()?;
            entries.clear();
            Ok((run, entries))
        }));
        Ok(())
    }

    /// Waits until the run that is being written is complete, and returns the memory of its entries.
    fn wait(&mut self) -> io::Result<Entries> {
        let Some(spilling) = self.spilling.take() else { return Ok(Entries::default()) };
        let (run, entries) = joined(spilling.join())?;
        if let Some(file) = &mut self.file {
            file.add(&run);
        }
        self.runs.push(run);
        Ok(entries)
    }

    /// Makes all runs one, in a file of its own.
    fn merge_runs(&mut self) -> io::Result<()> {
        let mut file = RunFile::create(&self.temp_dir)?;
        let mut writer = file.writer();
        let mut merge = self.merge()?;
        while let Some((key, payload)) = merge.next()? {
            writer.push(key, payload)?;
        }
        let run = writer.finish()?;
        file.add(&run);
        (self.file, self.runs) = (Some(file), vec![run]);
        Ok(())
    }

    /// Merges all runs and hands the entries on in batches, until nobody wants them any more.
    fn merge_into(&self, full: &SyncSender<Vec<u8>>) -> io::Result<()> {
        let mut merge = self.merge()?;
        let mut batch = Vec::new();
        while let Some((key, payload)) = merge.next()? {
            if batch.len() + key.len() + payload.len() > BATCH_BYTES
                && full.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_BYTES))).is_err()
            {
                return Ok(());
            }
            write_entry(key, payload, &mut batch);
        }
        // Whoever has gone away has failed, and says why.
        let _ = full.send(batch);
        Ok(())
    }

    fn merge(&self) -> io::Result<Merge> {
        Merge::new(&self.runs, usize::MAX)
    }

    fn fail(&self, cause: &io::Error) -> Error {
        Error::temporary_files("sort keys in", &self.temp_dir, cause)
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        // A thread that nobody waits for could outlive the run. What it has written is of no use any more.
        let _ = self.wait();
    }
}

/// Entries in memory.
#[derive(Debug, Default)]
struct Entries {
    /// One behind the other: the lengths of key and payload, key, payload.
    arena: Vec<u8>,
    places: Vec<EntryPlace>,
}

#[derive(Debug, Clone, Copy)]
struct EntryPlace {
    /// The first bytes of its key, which mostly decide.
    prefix: u64,
    /// Where it lies in the arena.
    at: u32,
}

impl Entries {
    #[inline]
    fn push(&mut self, key: &[u8], payload: &[u8]) {
        self.places.push(EntryPlace { prefix: prefix(key), at: self.arena.len() as u32 });
        write_entry(key, payload, &mut self.arena);
    }

    /// The memory that they take, with one more.
    #[inline]
    fn bytes(&self) -> usize {
        self.arena.len() + size_of::<EntryPlace>() * (self.places.len() + 1)
    }

    fn sort(&mut self) {
        let key = |place: &EntryPlace| parse(&self.arena[place.at as usize..]).unwrap_or_default().0;
        self.places.sort_unstable_by(|left, right| {
            let by_prefix = left.prefix.cmp(&right.prefix);
            by_prefix.then_with(|| key(left).cmp(key(right)).then(left.at.cmp(&right.at)))
        });
    }

    /// The entries, whole.
    ///
    /// Batch by batch: before one is handed out, a pass over it only loads, so that the processor has many cache misses
    /// under way at once.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        const BATCH: usize = 64;
        self.places.chunks(BATCH).flat_map(|places| {
            black_box(places.iter().fold(0, |all, place| all | self.arena[place.at as usize]));
            places.iter().map(|place| {
                let from = &self.arena[place.at as usize..];
                let (_, _, len) = parse(from).unwrap_or_default();
                &from[..len]
            })
        })
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.places.clear();
    }
}
