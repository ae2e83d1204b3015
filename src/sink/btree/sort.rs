//! An external sort: keys with what belongs to them, in the order of the keys' bytes, in bounded memory. Equal keys keep the
//! order in which they came.
//!
//! Entries collect in memory until their share of it is full; then they are sorted, on all cores, and written to a
//! temporary file as a run. At the end all runs are merged. A run needs a buffer to be merged through, so when there are
//! as many as memory has room for, they become one. The last merge runs on a thread of its own.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use rayon::slice::ParallelSliceMut;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::btree::record::{read_varint, write_varint};

/// Sorts entries.
#[derive(Debug)]
pub(in crate::sink) struct Sorter {
    memory_bytes: usize,
    temp_dir: PathBuf,
    /// The entries in memory, one behind the other: the lengths of key and payload, key, payload.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    file: Option<File>,
    /// In the order in which they were written.
    runs: Vec<Run>,
}

/// An entry in memory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The first bytes of its key, which mostly decide.
    prefix: u64,
    /// Where it lies.
    at: u32,
}

/// Sorted entries in the temporary file.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    end: u64,
}

/// What is read of a run at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What is merged in one go, and how many such batches may wait.
const BATCH_BYTES: usize = 256 << 10;
const BATCHES_AHEAD: usize = 2;

/// So many runs can always be merged. More take all of the memory for their buffers, since nothing else is held then.
const RUNS_MIN: usize = 2;

impl Sorter {
    /// A sorter that holds so many bytes at once, and puts the others into files in `temp_dir`.
    pub(in crate::sink) fn new(memory_bytes: usize, temp_dir: &Path) -> Self {
        Sorter {
            memory_bytes: memory_bytes.min(u32::MAX as usize),
            temp_dir: temp_dir.to_owned(),
            arena: Vec::new(),
            entries: Vec::new(),
            file: None,
            runs: Vec::new(),
        }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// When temporary files cannot be written.
    #[inline]
    pub(in crate::sink) fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let held = self.arena.len() + size_of::<Entry>() * (self.entries.len() + 1);
        if held + key.len() + payload.len() > self.memory_bytes && !self.entries.is_empty() {
            self.spill().map_err(|cause| self.fail(&cause))?;
        }
        self.entries.push(Entry { prefix: prefix(key), at: self.arena.len() as u32 });
        write_entry(key, payload, &mut self.arena);
        Ok(())
    }

    /// Calls `visit` with the key and the payload of each entry, in order.
    ///
    /// # Errors
    /// When temporary files cannot be written or read, and those of `visit`.
    pub(in crate::sink) fn for_each(mut self, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        self.sort();
        if self.runs.is_empty() {
            return self.entries.iter().try_for_each(|entry| {
                let (key, payload, _) = parse(&self.arena[entry.at as usize..]).unwrap_or_default();
                visit(key, payload)
            });
        }
        self.spill().map_err(|cause| self.fail(&cause))?;
        (self.arena, self.entries) = (Vec::new(), Vec::new());
        // What is merged is visited meanwhile, on this thread.
        std::thread::scope(|scope| {
            let (full, batches) = sync_channel(BATCHES_AHEAD);
            let sorter = &self;
            let merging = scope.spawn(move || sorter.merge_into(&full));
            for batch in batches {
                let batch: Vec<u8> = batch;
                let mut rest = &batch[..];
                while let Some((key, payload, len)) = parse(rest) {
                    visit(key, payload)?;
                    rest = &rest[len..];
                }
            }
            let merged = merging.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            merged.map_err(|cause| self.fail(&cause))
        })
    }

    /// Merges all runs and hands the entries on in batches, until nobody wants them any more.
    fn merge_into(&self, full: &SyncSender<Vec<u8>>) -> std::io::Result<()> {
        let mut merge = self.merge()?;
        let mut batch = Vec::new();
        while let Some((key, payload)) = merge.next()? {
            if batch.len() + key.len() + payload.len() > BATCH_BYTES && full.send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
            write_entry(key, payload, &mut batch);
        }
        let _ = full.send(batch);
        Ok(())
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        let key = |entry: &Entry| parse(&arena[entry.at as usize..]).unwrap_or_default().0;
        self.entries.par_sort_unstable_by(|left, right| {
            let by_prefix = left.prefix.cmp(&right.prefix);
            by_prefix.then_with(|| key(left).cmp(key(right)).then(left.at.cmp(&right.at)))
        });
    }

    /// Writes the entries in memory as a run.
    fn spill(&mut self) -> std::io::Result<()> {
        if self.runs.len() >= (self.memory_bytes / BUFFER_BYTES).max(RUNS_MIN) {
            self.merge_runs()?;
        }
        self.sort();
        let mut writer = RunWriter::new(&mut self.file, &self.temp_dir)?;
        for entry in &self.entries {
            let from = &self.arena[entry.at as usize..];
            let (_, _, len) = parse(from).unwrap_or_default();
            writer.write(&from[..len])?;
        }
        self.runs.push(writer.finish()?);
        self.arena.clear();
        self.entries.clear();
        Ok(())
    }

    /// Makes all runs one, in a file of its own.
    fn merge_runs(&mut self) -> std::io::Result<()> {
        let mut file = None;
        let mut writer = RunWriter::new(&mut file, &self.temp_dir)?;
        let mut merge = self.merge()?;
        let mut entry = Vec::new();
        while let Some((key, payload)) = merge.next()? {
            entry.clear();
            write_entry(key, payload, &mut entry);
            writer.write(&entry)?;
        }
        let run = writer.finish()?;
        drop(merge);
        (self.file, self.runs) = (file, vec![run]);
        Ok(())
    }

    fn merge(&self) -> std::io::Result<Merge<'_>> {
        let Some(file) = &self.file else { return Ok(Merge { cursors: Vec::new(), heap: Vec::new(), is_fresh: true }) };
        Merge::new(self.runs.iter().map(|run| Cursor::new(file, *run)).collect())
    }

    fn fail(&self, cause: &std::io::Error) -> Error {
        let help = "make room there, or give --temp-dir a directory on another disk";
        Error::io(ErrorKind::Output, "sort keys in temporary files in", &self.temp_dir, cause).help(help)
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

/// Appends a run to the temporary file.
struct RunWriter<'a> {
    writer: BufWriter<&'a File>,
    start: u64,
    written: u64,
}

impl<'a> RunWriter<'a> {
    fn new(file: &'a mut Option<File>, temp_dir: &Path) -> std::io::Result<Self> {
        let mut file = match file {
            Some(file) => &*file,
            none => none.insert(tempfile::tempfile_in(temp_dir)?),
        };
        let start = file.seek(SeekFrom::End(0))?;
        Ok(RunWriter { writer: BufWriter::with_capacity(BUFFER_BYTES, file), start, written: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.written += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    fn finish(mut self) -> std::io::Result<Run> {
        self.writer.flush()?;
        Ok(Run { start: self.start, end: self.start + self.written })
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
    fn advance(&mut self) -> std::io::Result<bool> {
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
    fn fill(&mut self) -> std::io::Result<()> {
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
    fn new(mut cursors: Vec<Cursor<'a>>) -> std::io::Result<Self> {
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
    fn next(&mut self) -> std::io::Result<Option<(&[u8], &[u8])>> {
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
