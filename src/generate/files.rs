//! Plain files of numbered things (rows, users), written side by side: batches of them are made on many threads, each
//! batch a piece of every file. Knows nothing of what is in a row.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Error;
use super::archive::{Draft, Packing, Published};
use super::workers::in_order;

/// The numbers `0..count` in batches of `size`, the last of them shorter; at least one, if of no numbers, because the
/// first batch has the headers.
pub(super) fn batches(count: u64, size: u64) -> Vec<Range<u64>> {
    (0..count.div_ceil(size).max(1)).map(|index| index * size..count.min((index + 1) * size)).collect()
}

/// Writes the files at `paths` and gives them with the number of rows in them. `push` appends to each text what its
/// file gets from a batch, and returns how many rows that were; `written` hears of every batch, in order.
///
/// # Errors
/// The file system refuses; then none of the files is there, and those of the same names stay as they were.
pub(super) fn write<const FILES: usize>(
    paths: &[PathBuf; FILES],
    batches: &[Range<u64>],
    threads: usize,
    push: impl Fn(&Range<u64>, &mut [Vec<u8>; FILES]) -> u64 + Sync,
    written: &mut dyn FnMut(&Range<u64>),
) -> Result<([Published; FILES], u64), Error> {
    let create = |path: &PathBuf| Draft::create(path, Packing::Plain, "", 0).map_err(Error::writing(path));
    let mut drafts = paths.iter().map(create).collect::<Result<Vec<_>, _>>()?;
    // Texts go from a worker to the file and back to any worker: memory that is new costs more than the rows in it.
    let spare = Mutex::new(Vec::new());
    let lock = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let new_worker = || {
        |batch: &Range<u64>| {
            let mut texts = lock().pop().unwrap_or_else(|| [(); FILES].map(|()| Vec::new()));
            let rows = push(batch, &mut texts);
            (texts, rows)
        }
    };
    let rows = in_order(batches, threads, new_worker, |results| {
        let mut rows = 0;
        for batch in batches {
            let (mut texts, rows_of_batch) = results.next().map_err(Error::writing(&paths[0]))?;
            for ((draft, text), path) in drafts.iter_mut().zip(&mut texts).zip(paths) {
                draft.append_text(text).map_err(Error::writing(path))?;
                text.clear();
            }
            lock().push(texts);
            rows += rows_of_batch;
            written(batch);
        }
        Ok(rows)
    })?;
    let publish = |(draft, path): (Draft, &PathBuf)| draft.publish().map_err(Error::writing(path));
    let published = drafts.into_iter().zip(paths).map(publish).collect::<Result<Vec<_>, _>>()?;
    match published.try_into() {
        Ok(files) => Ok((files, rows)),
        Err(_) => unreachable!("there is a draft for each path"),
    }
}

/// Writes a short file in one go.
pub(super) fn write_text(path: &Path, text: &str) -> Result<Published, Error> {
    let write = || {
        let mut draft = Draft::create(path, Packing::Plain, "", 0)?;
        draft.append_text(text.as_bytes())?;
        draft.publish()
    };
    write().map_err(Error::writing(path))
}

/// Makes a folder, and those it is in.
pub(super) fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::writing(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_everything_once() {
        assert_eq!(batches(0, 10), vec![0..0; 1]);
        assert_eq!(batches(10, 10), vec![0..10; 1]);
        assert_eq!(batches(21, 10), [0..10, 10..20, 20..21]);
    }

    #[test]
    fn every_file_gets_its_piece_of_every_batch_in_order() {
        let out = tempfile::tempdir().unwrap();
        let paths = ["all", "even"].map(|name| out.path().join(name));
        let push = |batch: &Range<u64>, [all, even]: &mut [Vec<u8>; 2]| {
            for number in batch.clone() {
                all.extend_from_slice(format!("{number} ").as_bytes());
                if number % 2 == 0 {
                    even.extend_from_slice(format!("{number} ").as_bytes());
                }
            }
            batch.end - batch.start
        };
        for threads in [1, 2, 5] {
            let mut seen = Vec::new();
            let batches = batches(7, 2);
            let (files, rows) = write(&paths, &batches, threads, push, &mut |batch| seen.push(batch.clone())).unwrap();
            assert_eq!((files.map(|file| file.text_bytes()), rows, seen), ([14, 8], 7, batches));
            assert_eq!(paths.each_ref().map(|path| fs::read_to_string(path).unwrap()), ["0 1 2 3 4 5 6 ", "0 2 4 6 "]);
        }
    }

    #[test]
    fn the_file_that_cannot_be_is_named_and_none_is_left() {
        let out = tempfile::tempdir().unwrap();
        let paths = [out.path().join("a"), out.path().join("no/b")];
        let Err(error) = write(&paths, &batches(1, 1), 1, |_, _| 1, &mut |_| {}) else { panic!("b is written") };
        assert!(error.to_string().ends_with("b"), "{error}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
}
