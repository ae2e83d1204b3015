//! An external sort: keys with what belongs to them, in the order of the keys' bytes, in bounded memory. Equal keys keep the
//! order in which they came.
//!
//! Entries collect in memory until their share of it is full; then they are sorted and written to a temporary file as a
//! run, on a thread of its own, while others collect. At the end all runs are merged, on a thread of its own as well. A
//! run needs a buffer to be merged through, so when there are as many as memory has room for, they become one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::btree::record::{read_varint, write_varint};

/// Sorts entries.
#[derive(Debug)]
pub(in crate::sink) struct Sorter {
    memory_bytes: usize,
    temp_dir: PathBuf,
    collecting: Entries,
    /// The run that is being written, and its entries, whose memory comes next.
    spilling: Option<JoinHandle<io::Result<(Run, Entries)>>>,
    file: Option<Arc<File>>,
    /// Where the next run begins in the file.
    file_end: u64,
    /// In the order in which they were written.
    runs: Vec<Run>,
}

/// Sorted entries in the temporary file.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

/// What is read and written of a run at once: little enough that hundreds of runs, and so some hundred million keys, are
/// merged in one go.
const BUFFER_BYTES: usize = 32 << 10;

/// What is merged in one go, and how many such batches may wait.
const BATCH_BYTES: usize = 256 << 10;
const BATCHES_AHEAD: usize = 2;

/// So many runs can always be merged. More take all of the memory for their buffers, since nothing else is held then.
const RUNS_MIN: usize = 2;

/// Entries are in memory twice: those that are collected, and those that are written.
const COPIES: usize = 2;

impl Sorter {
    /// A sorter that holds so many bytes at once, and puts the others into files in `temp_dir`.
    pub(in crate::sink) fn new(memory_bytes: usize, temp_dir: &Path) -> Self {
        Sorter {
            memory_bytes: memory_bytes.min(u32::MAX as usize),
            temp_dir: temp_dir.to_owned(),
            collecting: Entries::default(),
            spilling: None,
            file: None,
            file_end: 0,
            runs: Vec::new(),
        }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// When temporary files cannot be written.
    #[inline]
    pub(in crate::sink) fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
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
    pub(in crate::sink) fn for_each(mut self, mut visit: impl FnMut(&[u8], &[u8], bool) -> Result<()>) -> Result<()> {
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
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(Arc::new(tempfile::tempfile_in(&self.temp_dir)?))),
        };
        let start = self.file_end;
        let mut entries = std::mem::replace(&mut self.collecting, spare);
        self.spilling = Some(std::thread::spawn(move || {
            entries.sort();
            let mut writer = RunWriter::new(&file, start);
            entries.iter().try_for_each(|entry| writer.write(|out| out.extend_from_slice(entry)))?;
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
        self.file_end = run.end;
        self.runs.push(run);
        Ok(entries)
    }

    /// Makes all runs one, in a file of its own.
    fn merge_runs(&mut self) -> io::Result<()> {
        let file = tempfile::tempfile_in(&self.temp_dir)?;
        let mut writer = RunWriter::new(&file, 0);
        let mut merge = self.merge()?;
        while let Some((key, payload)) = merge.next()? {
            writer.write(|out| write_entry(key, payload, out))?;
        }
        let run = writer.finish()?;
        drop(merge);
        (self.file, self.file_end, self.runs) = (Some(Arc::new(file)), run.end, vec![run]);
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

    fn merge(&self) -> io::Result<Merge<'_>> {
        let cursors = self.file.iter().flat_map(|file| self.runs.iter().map(|run| Cursor::new(file, *run)));
        Merge::new(cursors.collect())
    }

    fn fail(&self, cause: &io::Error) -> Error {
        let help = "make room there, or give --temp-dir a directory on another disk";
        Error::io(ErrorKind::Output, "sort keys in temporary files in", &self.temp_dir, cause).help(help)
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        // A thread that nobody waits for could outlive the run. What it has written is of no use any more.
        let _ = self.wait();
    }
}

/// What a thread has returned; its panic goes on here.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| {
            let from = &self.arena[place.at as usize..];
            let (_, _, len) = parse(from).unwrap_or_default();
            &from[..len]
        })
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.places.clear();
    }
}

/// The first eight bytes, as a number of the same order.
#[inline]
fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(first)
        }
    }
}

/// Appends an entry: the lengths of its parts, then these.
#[inline]
fn write_entry(key: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    write_varint(key.len() as u64, out);
    write_varint(payload.len() as u64, out);
    out.extend_from_slice(key);
    out.extend_from_slice(payload);
}

/// The key and the payload of the entry at the beginning of `bytes`, and its length; `None` if it is not there as a whole.
#[inline]
fn parse(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let (key_len, key_len_bytes) = read_varint(bytes)?;
    let (payload_len, payload_len_bytes) = read_varint(&bytes[key_len_bytes..])?;
    let key_at = key_len_bytes + payload_len_bytes;
    let payload_at = key_at + key_len as usize;
    let end = payload_at + payload_len as usize;
    (end <= bytes.len()).then(|| (&bytes[key_at..payload_at], &bytes[payload_at..end], end))
}

/// Writes a run to a file.
struct RunWriter<'a> {
    file: &'a File,
    start: u64,
    /// Where the buffer goes.
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    fn new(file: &'a File, start: u64) -> Self {
        RunWriter { file, start, at: start, buffer: Vec::with_capacity(2 * BUFFER_BYTES) }
    }

    /// Takes what `append` appends.
    #[inline]
    fn write(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        append(&mut self.buffer);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Run> {
        self.flush()?;
        Ok(Run { start: self.start, end: self.at })
    }
}

/// Reads a run.
struct Cursor<'a> {
    file: &'a File,
    /// Where in the file the buffer ends, and where the run does.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where the current entry begins in the buffer, where its key lies, and its length.
    start: usize,
    key: (usize, usize),
    len: usize,
}

impl<'a> Cursor<'a> {
    fn new(file: &'a File, run: Run) -> Self {
        Cursor { file, at: run.start, end: run.end, buffer: Vec::new(), start: 0, key: (0, 0), len: 0 }
    }

    /// Goes on to the next entry; false at the end of the run.
    #[inline]
    fn advance(&mut self) -> io::Result<bool> {
        self.start += self.len;
        self.len = 0;
        loop {
            if let Some((key, payload, len)) = parse(&self.buffer[self.start..]) {
                let payload_at = self.start + len - payload.len();
                self.key = (payload_at - key.len(), payload_at);
                self.len = len;
                return Ok(true);
            }
            if self.at == self.end {
                return Ok(false);
            }
            self.fill()?;
        }
    }

    /// Reads on; an entry that is longer than the buffer makes it longer.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let have = self.buffer.len();
        let wanted = (self.end - self.at).min(BUFFER_BYTES.max(have) as u64) as usize;
        self.buffer.resize(have + wanted, 0);
        self.file.read_exact_at(&mut self.buffer[have..], self.at)?;
        self.at += wanted as u64;
        Ok(())
    }

    fn key(&self) -> &[u8] {
        &self.buffer[self.key.0..self.key.1]
    }

    fn payload(&self) -> &[u8] {
        &self.buffer[self.key.1..self.start + self.len]
    }
}

/// Merges runs.
struct Merge<'a> {
    cursors: Vec<Cursor<'a>>,
    /// Cursors as a heap, the one with the least key on top; of equal keys that of the earlier run.
    heap: Vec<Head>,
    /// Whether the entry on top is still to be given out.
    is_fresh: bool,
}

/// The current entry of a cursor, as far as it mostly decides.
#[derive(Clone, Copy)]
struct Head {
    prefix: u64,
    cursor: usize,
}

impl<'a> Merge<'a> {
    fn new(mut cursors: Vec<Cursor<'a>>) -> io::Result<Self> {
        let mut heap = Vec::new();
        for (index, cursor) in cursors.iter_mut().enumerate() {
            if cursor.advance()? {
                heap.push(Head { prefix: prefix(cursor.key()), cursor: index });
            }
        }
        let mut merge = Merge { cursors, heap, is_fresh: true };
        (0..merge.heap.len() / 2).rev().for_each(|place| merge.sift_down(place));
        Ok(merge)
    }

    /// The next entry.
    #[inline]
    fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if !std::mem::take(&mut self.is_fresh)
            && let Some(top) = self.heap.first_mut()
        {
            let cursor = &mut self.cursors[top.cursor];
            if cursor.advance()? {
                top.prefix = prefix(cursor.key());
            } else {
                self.heap.swap_remove(0);
            }
            self.sift_down(0);
        }
        Ok(self.heap.first().map(|top| (self.cursors[top.cursor].key(), self.cursors[top.cursor].payload())))
    }

    /// Whether one entry comes before another one.
    #[inline]
    fn is_less(&self, left: Head, right: Head) -> bool {
        if left.prefix != right.prefix {
            return left.prefix < right.prefix;
        }
        let (one, other) = (&self.cursors[left.cursor], &self.cursors[right.cursor]);
        one.key().cmp(other.key()).then(left.cursor.cmp(&right.cursor)).is_lt()
    }

    /// Lets the entry at a place sink below those that come before it.
    #[inline]
    fn sift_down(&mut self, mut place: usize) {
        let Some(sinking) = self.heap.get(place).copied() else { return };
        loop {
            let mut child = 2 * place + 1;
            let Some(left) = self.heap.get(child) else { break };
            let mut least = *left;
            if let Some(right) = self.heap.get(child + 1)
                && self.is_less(*right, least)
            {
                (child, least) = (child + 1, *right);
            }
            if !self.is_less(least, sinking) {
                break;
            }
            self.heap[place] = least;
            place = child;
        }
        self.heap[place] = sinking;
    }
}
