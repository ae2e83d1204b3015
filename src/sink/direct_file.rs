//! A file that is written by a thread of its own, past the page cache of the system where that is possible. Knows nothing
//! of what is written.
//!
//! What is written once, in large pieces, and not read again soon gains nothing from the cache. It only costs memory that
//! the system has to find, to clear and to copy into: a third of the time of a bulk load, on a virtual machine.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use aligned_vec::{AVec, ConstAlign};
use rustix::fs::OFlags;

/// What the memory, the place in the file and the length have to be multiples of to go past the cache. Some disks ask for
/// less, none for more.
const ALIGNMENT: usize = 4096;

/// Bytes that can go past the cache.
pub(super) type AlignedBytes = AVec<u8, ConstAlign<ALIGNMENT>>;

/// No bytes yet.
pub(super) fn aligned_bytes() -> AlignedBytes {
    AVec::new(ALIGNMENT)
}

/// A piece of some bytes, and its place in the file.
pub(super) type Piece = (Range<usize>, u64);

/// A file that is written. Of the bytes that are handed over some may not be written yet; `finish` waits for all of them.
#[derive(Debug)]
pub(super) struct DirectFile {
    file: File,
    writer: Option<Writer>,
}

/// The thread, and what goes there and comes back.
#[derive(Debug)]
struct Writer {
    jobs: SyncSender<(AlignedBytes, Vec<Piece>)>,
    written: Receiver<io::Result<AlignedBytes>>,
    is_writing: bool,
    thread: JoinHandle<()>,
}

impl DirectFile {
    /// For a file that is open for writing, and its path.
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let direct = File::options().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path).ok();
        let (jobs, received) = sync_channel::<(AlignedBytes, Vec<Piece>)>(1);
        let (done, written) = sync_channel(1);
        let cached = file.try_clone()?;
        let thread = std::thread::spawn(move || {
            for (mut bytes, pieces) in received {
                let write = |(piece, at): Piece| write_all_at(direct.as_ref(), &cached, &bytes[piece], at);
                let result = pieces.into_iter().try_for_each(write);
                bytes.clear();
                if done.send(result.map(|()| bytes)).is_err() {
                    return;
                }
            }
        });
        Ok(DirectFile { file, writer: Some(Writer { jobs, written, is_writing: false, thread }) })
    }

    /// Has pieces of some bytes written, and leaves an empty buffer in their place.
    ///
    /// # Errors
    /// When those that were handed over before could not be written.
    pub(super) fn write(&mut self, bytes: &mut AlignedBytes, pieces: Vec<Piece>) -> io::Result<()> {
        let spare = self.wait()?.unwrap_or_else(aligned_bytes);
        if let Some(writer) = &mut self.writer {
            writer.is_writing = writer.jobs.send((std::mem::replace(bytes, spare), pieces)).is_ok();
        }
        Ok(())
    }

    /// Waits until all bytes are written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.wait().map(drop)
    }

    /// Waits until all bytes are on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.finish()?;
        self.file.sync_all()
    }

    fn wait(&mut self) -> io::Result<Option<AlignedBytes>> {
        let Some(writer) = self.writer.as_mut().filter(|writer| writer.is_writing) else { return Ok(None) };
        writer.is_writing = false;
        writer.written.recv().unwrap_or_else(|_| Err(io::Error::other("its thread is gone"))).map(Some)
    }
}

impl Drop for DirectFile {
    fn drop(&mut self) {
        let Some(Writer { jobs, written, thread, .. }) = self.writer.take() else { return };
        drop((jobs, written));
        // What it could not write was of no use to anybody.
        let _ = thread.join();
    }
}

/// Writes bytes at a place: past the cache where they are aligned, and otherwise like any others.
fn write_all_at(direct: Option<&File>, cached: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let is_aligned = bytes.as_ptr().align_offset(ALIGNMENT) == 0
        && bytes.len().is_multiple_of(ALIGNMENT)
        && at.is_multiple_of(ALIGNMENT as u64);
    match direct.filter(|_| is_aligned).map(|direct| direct.write_all_at(bytes, at)) {
        // A disk with larger sectors, or a piece that was written in part.
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {}
        Some(written) => return written,
        None => {}
    }
    cached.write_all_at(bytes, at)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn opened(directory: &TempDir) -> DirectFile {
        let path = directory.path().join("file");
        DirectFile::new(File::create_new(&path).unwrap(), &path).unwrap()
    }

    proptest! {
        #[test]
        fn pieces_are_written_whether_they_are_aligned_or_not(
            writes in prop::collection::vec((any::<u8>(), 0usize..6, 0usize..2, 0u64..3, 0u64..2), 0..6),
        ) {
            let directory = TempDir::new().unwrap();
            let mut file = opened(&directory);
            let (mut expected, mut end) = (Vec::new(), 0);
            for (fill, blocks, odd_bytes, gap_blocks, odd_gap) in writes {
                let mut bytes = aligned_bytes();
                bytes.resize(blocks * ALIGNMENT + odd_bytes, fill);
                let at = end + gap_blocks * ALIGNMENT as u64 + odd_gap;
                end = at + bytes.len() as u64;
                if !bytes.is_empty() {
                    expected.resize(at as usize, 0);
                    expected.extend_from_slice(&bytes);
                }
                // In two pieces, of which the second one is aligned only if the first one has whole blocks.
                let middle = bytes.len() / 2;
                let pieces = vec![(0..middle, at), (middle..bytes.len(), at + middle as u64)];
                file.write(&mut bytes, pieces).unwrap();
                prop_assert!(bytes.is_empty());
            }
            file.sync().unwrap();
            prop_assert_eq!(fs::read(directory.path().join("file")).unwrap(), expected);
        }
    }

    #[test]
    fn what_could_not_be_written_is_told_by_the_next_call() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        File::create_new(&path).unwrap();
        let mut file = DirectFile::new(File::open(&path).unwrap(), &directory.path().join("none")).unwrap();
        let mut bytes = aligned_bytes();
        bytes.resize(1, 7);
        file.write(&mut bytes, vec![(0..1, 0)]).unwrap();
        assert!(file.finish().is_err());
        file.finish().unwrap();
    }
}
