//! Sorted runs: entries of a key and a payload in temporary files, and several runs merged into one sequence. Knows nothing
//! of when runs are written.
//!
//! A run is read through a buffer, so that merging takes as much memory as there are runs, however long they are.

use std::fs::File;
use std::hint::select_unpredictable;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::chunk::prefix;
use crate::sort::entry::{Shape, write_entry, write_lengths};

/// What is read and written of a run at once: little enough that hundreds of runs are merged in one go.
const BUFFER_BYTES: usize = 32 << 10;

/// A file for runs that lie in it one behind the other. It has no name: however the process ends, nothing is left of it.
#[derive(Debug)]
pub struct RunFile {
    file: Arc<File>,
    end: u64,
}

impl RunFile {
    /// An empty file.
    ///
    /// # Errors
    /// When there can be no file in `temp_dir`.
    pub fn create(temp_dir: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(temp_dir).map(RunFile::of)
    }

    pub(super) fn of(file: File) -> Self {
        RunFile { file: Arc::new(file), end: 0 }
    }

    /// A writer for the next run. Another one can be had when this one's run is given to `add`.
    pub fn writer(&self) -> RunWriter {
        let file = Arc::clone(&self.file);
        RunWriter { file, start: self.end, at: self.end, buffer: Vec::with_capacity(2 * BUFFER_BYTES) }
    }

    /// Goes on behind a run that `writer` has written.
    pub fn add(&mut self, run: &Run) {
        self.end = run.end;
    }
}

/// Sorted entries in a file.
#[derive(Debug, Clone)]
pub struct Run {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl Run {
    /// How many bytes it has on the disk.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// Writes a run. The entries have to come in order.
#[derive(Debug)]
pub struct RunWriter {
    file: Arc<File>,
    start: u64,
    /// Where the buffer goes.
    at: u64,
    buffer: Vec<u8>,
}

impl RunWriter {
    /// Appends an entry.
    ///
    /// # Errors
    /// When the disk takes no more.
    #[inline]
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        if payload.len() <= BUFFER_BYTES {
            write_entry(key, payload, &mut self.buffer);
            return self.flush_when_full();
        }
        // A long payload is not copied.
        write_lengths(key, payload, &mut self.buffer);
        self.buffer.extend_from_slice(key);
        self.flush()?;
        self.file.write_all_at(payload, self.at)?;
        self.at += payload.len() as u64;
        Ok(())
    }

    #[inline]
    fn flush_when_full(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The run.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn finish(mut self) -> io::Result<Run> {
        self.flush()?;
        Ok(Run { file: self.file, start: self.start, end: self.at })
    }
}

/// Reads a run.
#[derive(Debug)]
struct Cursor {
    run: Run,
    /// Where in the file the buffer ends.
    at: u64,
    buffer: Vec<u8>,
    /// Where the current entry begins in the buffer, and its parts.
    start: usize,
    shape: Shape,
}

/// Room for a part of an entry and what is read next.
const CURSOR_BYTES: usize = 2 * BUFFER_BYTES;

impl Cursor {
    fn new(run: &Run) -> Self {
        Cursor { at: run.start, run: run.clone(), buffer: Vec::new(), start: 0, shape: Shape::default() }
    }

    /// Goes on to the next entry; false at the end of the run. `room` is what buffers may still grow by.
    #[inline]
    fn advance(&mut self, room: &mut usize) -> io::Result<bool> {
        self.start += self.shape.end;
        self.shape = Shape::default();
        loop {
            let have = &self.buffer[self.start..];
            let shape = Shape::of(have);
            if let Some(shape) = shape.filter(|shape| shape.end <= have.len()) {
                self.shape = shape;
                return Ok(true);
            }
            if self.at == self.run.end {
                return Ok(false);
            }
            let lacking = shape.map_or(0, |shape| shape.end - have.len());
            self.fill(lacking, room)?;
        }
    }

    /// Reads on, so many bytes at least; an entry that is longer than the buffer makes it longer for a while.
    #[cold]
    fn fill(&mut self, least: usize, room: &mut usize) -> io::Result<()> {
        let have = self.buffer.len() - self.start;
        let wanted = (self.run.end - self.at).min(BUFFER_BYTES.max(least) as u64) as usize;
        let (needed, has) = ((have + wanted).max(CURSOR_BYTES), self.buffer.capacity());
        if needed > has || has > CURSOR_BYTES && needed == CURSOR_BYTES {
            *room = (*room + has).checked_sub(needed).ok_or(io::ErrorKind::OutOfMemory)?;
            let mut other = Vec::with_capacity(needed);
            other.extend_from_slice(&self.buffer[self.start..]);
            self.buffer = other;
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        self.buffer.resize(have + wanted, 0);
        self.run.file.read_exact_at(&mut self.buffer[have..], self.at)?;
        self.at += wanted as u64;
        Ok(())
    }

    /// Goes on to the next entry, and returns the head for it.
    #[inline]
    fn next_head(&mut self, index: usize, room: &mut usize) -> io::Result<Head> {
        Ok(if self.advance(room)? { Head::from(prefix(self.key())) << u64::BITS | index as Head } else { END })
    }

    fn key(&self) -> &[u8] {
        &self.buffer[self.start + self.shape.key_at..self.start + self.shape.payload_at]
    }

    fn payload(&self) -> &[u8] {
        &self.buffer[self.start + self.shape.payload_at..self.start + self.shape.end]
    }
}

/// Merges runs: their entries in the order of the keys; of equal keys, those of the earlier run first.
///
/// A tree of losers (D. Knuth, The Art of Computer Programming, volume 3, section 5.4.1), in which the next entry of a run has
/// to be compared only with those that stand on its way to the top, one a level.
#[derive(Debug)]
pub struct Merge {
    cursors: Vec<Cursor>,
    /// From place 1 on: the entry that lost where those of the places `2 n` and `2 n + 1` met. The entries of the cursors
    /// themselves would be at the places behind.
    losers: Vec<Head>,
    /// The entry that lost nowhere.
    winner: Head,
    /// Whether that is still to be given out.
    is_fresh: bool,
    /// What buffers may still grow by.
    room: usize,
}

/// The current entry of a run, as far as it mostly decides: the first bytes of its key, and behind them the number of the
/// run's cursor.
type Head = u128;

/// The end of a run: no cursor has this number. It comes behind all entries.
const END: Head = Head::MAX;

/// The number of a head's cursor.
fn cursor_of(head: Head) -> usize {
    head as u64 as usize
}

impl Merge {
    /// The memory that merging so many runs takes, where no entry is long.
    pub fn memory_bytes(runs: usize) -> usize {
        runs * CURSOR_BYTES
    }

    /// Merges runs. `long_bytes` is the memory that entries which are longer than a buffer may take, all together.
    ///
    /// # Errors
    /// When a run cannot be read, and, of the kind `OutOfMemory`, when `long_bytes` are not enough.
    pub fn new(runs: &[Run], long_bytes: usize) -> io::Result<Self> {
        let mut room = long_bytes.saturating_add(Merge::memory_bytes(runs.len()));
        let mut cursors: Vec<Cursor> = runs.iter().map(Cursor::new).collect();
        let leaves = cursors.len().next_power_of_two();
        let mut heads = vec![END; leaves];
        for (index, (cursor, head)) in cursors.iter_mut().zip(&mut heads).enumerate() {
            *head = cursor.next_head(index, &mut room)?;
        }
        let mut merge = Merge { cursors, losers: vec![END; leaves], winner: END, is_fresh: true, room };
        // Round by round, from the leaves up: of each pair one loses at its place, and the other one goes on.
        while heads.len() > 1 {
            let places = heads.len() / 2;
            for place in 0..places {
                let (winner, loser) = merge.played(heads[2 * place], heads[2 * place + 1]);
                (heads[place], merge.losers[places + place]) = (winner, loser);
            }
            heads.truncate(places);
        }
        merge.winner = heads.first().copied().unwrap_or(END);
        Ok(merge)
    }

    /// The key and the payload of the next entry.
    ///
    /// # Errors
    /// As `new`.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from the merge")]
    pub fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        let index = cursor_of(self.winner);
        if !std::mem::take(&mut self.is_fresh)
            && let Some(cursor) = self.cursors.get_mut(index)
        {
            let mut head = cursor.next_head(index, &mut self.room)?;
            let mut place = (self.losers.len() + index) / 2;
            while place > 0 {
                (head, self.losers[place]) = self.played(self.losers[place], head);
                place /= 2;
            }
            self.winner = head;
        }
        Ok(self.cursors.get(cursor_of(self.winner)).map(|cursor| (cursor.key(), cursor.payload())))
    }

    /// Lets `next` give out once more what it has given out last.
    pub fn unread(&mut self) {
        self.is_fresh = true;
    }

    /// Which of two entries comes first, and the other one; of equal keys that of the earlier run.
    #[inline]
    fn played(&self, one: Head, other: Head) -> (Head, Head) {
        let is_less =
            if one >> u64::BITS == other >> u64::BITS { self.is_less_behind(one, other) } else { one < other };
        select_unpredictable(is_less, (one, other), (other, one))
    }

    /// Whether one entry comes before another one that begins in the same way.
    #[cold]
    fn is_less_behind(&self, one: Head, other: Head) -> bool {
        match (self.cursors.get(cursor_of(one)), self.cursors.get(cursor_of(other))) {
            (Some(left), Some(right)) => left.key().cmp(right.key()).then(one.cmp(&other)).is_lt(),
            (left, _) => left.is_some(),
        }
    }
}
