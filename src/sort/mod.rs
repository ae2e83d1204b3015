//! Sorting beyond memory: keys with what belongs to them, in the order of the keys' bytes.
//!
//! ```text
//! Sorter: entries in any order -> Partitions, shared out by their keys -> each sorted in memory, one after the other
//! Merge:  sorted runs          -> one sequence
//! ```
//!
//! [`Sorter`] is a sort by distribution (D. Knuth, The Art of Computer Programming, volume 3, section 5.2.5): what is sorted
//! at once fits the caches, and an entry goes to the disk and back once, and once more for each time its partition is split.

mod entry;
mod partitions;
mod radix;
mod runs;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::chunk::prefix;
use crate::error::{Error, Result, joined};
use crate::sort::entry::{Entries, Entry};
use crate::sort::partitions::Partitions;

pub use runs::{Merge, Run, RunFile, RunWriter};

/// Sorts entries of a key and a payload. Equal keys keep the order in which they came.
#[derive(Debug)]
pub struct Sorter {
    memory_bytes: usize,
    temp_dir: PathBuf,
    /// The entries, as long as they are few.
    few: Entries,
    partitions: Option<Partitions>,
}

/// The share of the memory for the first entries, which are there still while they are shared out: one byte in so many.
const FEW_SHARE: usize = 2;

/// What is handed on in one go when it is sorted.
const BATCH_BYTES: usize = 256 << 10;

/// The share of the memory for what is sorted and waits, so that there is enough of it while a partition is being sorted:
/// one byte in so many.
const WAITING_SHARE: usize = 8;

impl Sorter {
    /// A sorter that holds so many bytes at once, and puts the others into a file in `temp_dir`.
    pub fn new(memory_bytes: usize, temp_dir: &Path) -> Self {
        Sorter {
            memory_bytes: memory_bytes.min(u32::MAX as usize),
            temp_dir: temp_dir.to_owned(),
            few: Entries::default(),
            partitions: None,
        }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read.
    #[inline(always)]
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        if let Some(partitions) = &mut self.partitions {
            return partitions.push(key, payload).map_err(|cause| failed(&self.temp_dir, &cause));
        }
        self.few.push(key, payload);
        if self.few.memory_bytes() > self.memory_bytes / FEW_SHARE { self.share_out() } else { Ok(()) }
    }

    fn share_out(&mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.few);
        entries.sort();
        let partitions = Partitions::of(&entries, self.memory_bytes, &self.temp_dir);
        self.partitions = Some(partitions.map_err(|cause| failed(&self.temp_dir, &cause))?);
        Ok(())
    }

    /// Calls `visit` with the key and the payload of each entry, in order, and whether the key is that of the entry before.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read, and those of `visit`.
    pub fn for_each(self, mut visit: impl FnMut(&[u8], &[u8], bool) -> Result<()>) -> Result<()> {
        let Sorter { memory_bytes, temp_dir, mut few, partitions } = self;
        let Some(partitions) = partitions else {
            few.sort();
            let mut before = None;
            return few
                .iter()
                .try_for_each(|Entry { key, payload, .. }| visit(key, payload, before.replace(key) == Some(key)));
        };
        // What is sorted is visited meanwhile, on this thread.
        std::thread::scope(|scope| {
            let (full, batches) = sync_channel(memory_bytes / WAITING_SHARE / BATCH_BYTES);
            let sorting = scope.spawn(move || sort_into(&full, partitions));
            let mut last_of_batch: Option<Vec<u8>> = None;
            for batch in batches {
                let mut before = last_of_batch.as_deref();
                let mut prefix_before = before.map(prefix);
                for Entry { key, payload, .. } in Entry::all_of(&batch) {
                    // The prefixes mostly decide.
                    let prefix = Some(prefix(key));
                    let repeats = prefix_before == prefix && before == Some(key);
                    (before, prefix_before) = (Some(key), prefix);
                    visit(key, payload, repeats)?;
                }
                last_of_batch = before.map(<[u8]>::to_vec);
            }
            joined(sorting.join()).map_err(|cause| failed(&temp_dir, &cause))
        })
    }
}

/// Hands on entries in order and in batches, until nobody wants them any more.
fn sort_into(full: &SyncSender<Vec<u8>>, partitions: Partitions) -> io::Result<()> {
    let mut batch = Vec::new();
    partitions.for_each(|entries| {
        entries.iter().all(|Entry { bytes, .. }| {
            if batch.len() + bytes.len() > BATCH_BYTES
                && full.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_BYTES))).is_err()
            {
                return false;
            }
            batch.extend_from_slice(bytes);
            true
        })
    })?;
    // Whoever has gone away has failed, and says why.
    let _ = full.send(batch);
    Ok(())
}

fn failed(temp_dir: &Path, cause: &io::Error) -> Error {
    Error::temporary_files("sort keys in", temp_dir, cause)
}
