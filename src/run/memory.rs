//! The memory limit: what the system says the process has used, and the share of it that groups may take.

use crate::dedupe::{BloomFilter, DedupeOptions};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::run::Options;
use crate::sort::Merge;
use crate::source::Input;

/// What SQLite, the blocks in flight and the allocator may need on top of what is resident when a run starts.
const RESERVED_BYTES: u64 = 32 << 20;

/// While two states of different groups are merged, one grows to the size of both, and its largest tables are there twice for a
/// moment; before groups are written to disk, they are sorted: together no more than as much again. And what many small
/// allocations have left behind is not always found again: as much once more.
const MERGE_FACTOR: u64 = 3;

/// What a byte of a block may turn into while it is in flight: the most that was measured, with lines of a few bytes that
/// are all rejected, and some more.
const BYTES_PER_BLOCK_BYTE: u64 = 96;

/// The share of the limit that blocks in flight may take at the worst: one in so many.
const BLOCK_SHARE: u64 = 3;

/// Smaller blocks cost more to hand around than to work on.
const LEAST_BLOCK_BYTES: u64 = 4 << 10;

/// Smaller blocks cost more than further ones gain.
const SMALL_BLOCK_BYTES: u64 = 64 << 10;

/// Where rows leave with the blocks that they are in, a worker has one block in hand, and another one is on its way to be
/// written. Further ones are for the time that writing waits for a processor while all of them are busy with workers.
const BUFFERS_PER_WORKER: [usize; 2] = [2, 6];

/// Blocks with rejected records that are on their way to be written.
const OTHER_BUFFERS: usize = 2;

/// How many blocks there are at once where rows leave with them. As many as do any good, unless they have to be small for that.
pub(super) fn buffers_of_rows(threads: usize, limit: u64) -> usize {
    let [fewest, most] = BUFFERS_PER_WORKER.map(|buffers| threads * buffers + OTHER_BUFFERS);
    ((fitting_bytes(limit) / SMALL_BLOCK_BYTES) as usize).clamp(fewest, most)
}

/// How many blocks there are at once where all comes to groups: a worker reads the next one to where the last one was.
pub(super) fn buffers_of_groups(threads: usize) -> usize {
    threads + OTHER_BUFFERS
}

/// The size of blocks, so that as many as there are buffers fit into their share of the limit, whatever is in them.
pub(super) fn block_bytes(wanted: usize, buffers: usize, limit: u64) -> usize {
    wanted.min((fitting_bytes(limit) / buffers as u64).max(LEAST_BLOCK_BYTES) as usize)
}

fn fitting_bytes(limit: u64) -> u64 {
    limit / BLOCK_SHARE / BYTES_PER_BLOCK_BYTE
}

/// The share of what is not reserved that the Bloom filter of a load may take, in percent: all of its usual size when the
/// limit is the usual one.
const FILTER_PERCENT: u64 = 61;

/// The share of what is not reserved that the filter and the exact check may take together, in percent.
const DEDUPE_PERCENT: u64 = 71;

/// The share of the limit that sorting the keys of a new table may take: one byte in so many. More than the most makes it
/// no faster.
const SORT_SHARE: u64 = 8;
const SORT_BYTES_MAX: u64 = 64 << 20;

/// The share of a memory limit that keys take while they are sorted.
pub fn sort_bytes(limit: u64) -> usize {
    (limit / SORT_SHARE).min(SORT_BYTES_MAX) as usize
}

/// The share of the limit that the page cache of the database may take: one byte in so many.
const CACHE_SHARE: u64 = 16;
const CACHE_BYTES_MAX: u64 = 16 << 20;

/// The share of a memory limit that the page cache of the database takes.
pub fn cache_bytes(limit: u64) -> usize {
    (limit / CACHE_SHARE).min(CACHE_BYTES_MAX) as usize
}

/// A record with a key usually has at least so many bytes.
const BYTES_PER_RECORD: u64 = 32;

/// How much larger than a packed input its text may be, usually.
const UNPACKED_FACTOR: u64 = 12;

/// The most memory for the exact check: 1.5 million keys before any go to disk. With more of it, new keys are further from
/// the caches, and that costs as much as it saves.
const STORE_BYTES: u64 = 64 << 20;

/// What the exact check takes for a key that is in memory, with some more.
const BYTES_PER_KEY: u64 = 48;

/// The share of its memory for the latest keys, in percent. The directory of the keys on disk needs the rest.
const RECENT_PERCENT: u64 = 80;

/// How a load finds duplicates within its share of the memory, and how many bytes that share has. A filter that is too
/// small for the keys is no less exact; it only sends more of them to the exact check.
pub(super) fn dedupe_options(inputs: &[Input], options: &Options) -> (DedupeOptions, u64) {
    let text: Option<u64> = inputs.iter().map(text_bytes).sum();
    let keys = text.map_or(BloomFilter::CAPACITY, |bytes| bytes / BYTES_PER_RECORD).clamp(1, BloomFilter::CAPACITY);
    let wanted = keys * BloomFilter::BYTES / BloomFilter::CAPACITY;
    let free = options.memory_limit_bytes.saturating_sub(RESERVED_BYTES);
    let filter_bytes = wanted.min(free * FILTER_PERCENT / 100).max(LEAST_FILTER_BYTES);
    let left = (free * DEDUPE_PERCENT / 100).saturating_sub(filter_bytes);
    let bytes = (keys * BYTES_PER_KEY).min(left).clamp(LEAST_STORE_BYTES, STORE_BYTES);
    let (store_bytes, temp_dir) = (bytes * RECENT_PERCENT / 100, options.temp_dir.clone());
    (DedupeOptions { filter_bytes, store_bytes, temp_dir }, filter_bytes + bytes)
}

/// About how much text an input has, by its size and name.
fn text_bytes(input: &Input) -> Option<u64> {
    let is_packed = [".gz", ".zst", ".zip"].iter().any(|suffix| input.name().ends_with(suffix));
    Some(input.size()?.saturating_mul(if is_packed { UNPACKED_FACTOR } else { 1 }))
}

/// The filter for the smallest inputs.
const LEAST_FILTER_BYTES: u64 = 64 << 10;

/// Fewer would make too many files.
const LEAST_STORE_BYTES: u64 = 256 << 10;

/// The greatest resident memory of the process so far (VmHWM of proc(5)), where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// How groups share the memory that is there for them.
#[derive(Debug, Clone)]
pub(super) struct GroupSpace {
    /// What all groups together may take.
    pub(super) bytes: usize,
    /// What the groups of a worker may take before some of them are written to disk.
    pub(super) worker_bytes: usize,
    /// What groups that are merged may take at once.
    pub(super) merge_bytes: usize,
    /// What is merged at once, in stored bytes, where that is several groups.
    pub(super) batch_bytes: usize,
    /// How many runs a worker may have of an output.
    pub(super) runs_max: usize,
    limit: u64,
}

/// Groups have so much of the limit at least, whatever is resident: one byte in so many. What that leads to is said at the end
/// of the run; less would make a file of every block.
const LEAST_GROUP_SHARE: u64 = 16;

/// Of what groups may take, merging has one byte in so many for a state, of which three are there at once, and as much for
/// entries that are long.
const MERGE_SHARE: usize = 2;

/// Stored groups grow when they are read: a number of one byte to a list of its own. So what is merged at once has one byte
/// in so many of what it may take, and no more than does any good.
const BATCH_SHARE: usize = 32;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Of what groups may take when they are merged, reading the runs may take one byte in so many.
const RUNS_SHARE: usize = 2;

/// Fewer runs would be merged again and again.
const RUNS_MIN: usize = 8;

impl GroupSpace {
    /// The share of groups in the memory limit, given what is resident now.
    pub(super) fn new(options: &Options) -> Self {
        let limit = options.memory_limit_bytes;
        let resident = status_bytes("VmRSS:").unwrap_or(0);
        let free = limit.saturating_sub(resident + RESERVED_BYTES) / MERGE_FACTOR;
        let bytes = free.max(limit / LEAST_GROUP_SHARE) as usize;
        let (merge_bytes, threads) = (bytes / MERGE_SHARE, options.threads.max(1));
        GroupSpace {
            bytes,
            worker_bytes: options.group_bytes.map_or(bytes, |bytes| bytes as usize) / threads,
            merge_bytes,
            batch_bytes: (merge_bytes / BATCH_SHARE).min(BATCH_BYTES_MAX),
            runs_max: (merge_bytes / RUNS_SHARE / Merge::memory_bytes(1) / threads).max(RUNS_MIN),
            limit,
        }
    }

    /// What to say when a group alone does not fit.
    pub(super) fn too_small_for_a_group(&self, table: &str) -> Error {
        self.too_small(&format!("a group of table `{table}` needs"), self.merge_bytes).help(
            "median, count(DISTINCT) and gaps keep all values of a group: give --memory more, or group by more columns",
        )
    }

    /// What to say when groups that have to be in memory together do not fit.
    pub(super) fn too_small_for_stored_groups(&self, table: &str) -> Error {
        self.too_small(&format!("the groups of table `{table}` that change with the new rows need"), self.bytes)
            .help("give --memory more; --full-refresh and --no-incremental do not need all of them at once")
    }

    fn too_small(&self, what: &str, bytes: usize) -> Error {
        let [megabytes, limit] = [bytes as u64, self.limit].map(|bytes| bytes.div_ceil(1_000_000));
        let message = format!("{what} more than the {megabytes} MB that --memory {limit}MB leaves for that");
        Error::new(ErrorKind::Limit, format!("{message}; nothing was published"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_known_and_never_below_what_is_held() {
        let held = vec![1u8; 64 << 20];
        assert!(peak_rss_bytes().unwrap() >= held.len() as u64);
    }

    #[test]
    fn blocks_shrink_with_the_limit_and_the_number_of_buffers() {
        assert_eq!(block_bytes(7, 6, 256_000_000), 7);
        assert_eq!(block_bytes(256 << 10, 6, 1_000_000_000), 256 << 10);
        assert_eq!(block_bytes(256 << 10, 6, 256_000_000), 148_148);
        assert_eq!(block_bytes(256 << 10, 1000, 64_000_000), 4096);
    }

    #[test]
    fn there_are_more_buffers_where_they_need_not_be_small() {
        assert_eq!(buffers_of_rows(2, 16_000_000), 6);
        assert_eq!(buffers_of_rows(2, 256_000_000), 13);
        assert_eq!(buffers_of_rows(2, 64_000_000_000), 14);
        assert_eq!(buffers_of_rows(64, 256_000_000), 130);
    }

    #[test]
    fn groups_always_have_some_room() {
        let space = |memory_limit_bytes, threads, group_bytes| {
            GroupSpace::new(&Options { memory_limit_bytes, threads, group_bytes, ..Options::default() })
        };
        let tiny = space(16_000_000, 4, None);
        assert_eq!((tiny.worker_bytes, tiny.merge_bytes, tiny.runs_max), (250_000, 500_000, RUNS_MIN));
        let large = space(64_000_000_000, 4, None);
        assert!(large.worker_bytes > 5_000_000_000 && large.runs_max > 10_000 && large.batch_bytes == BATCH_BYTES_MAX);
        assert_eq!(space(16_000_000, 4, Some(1)).worker_bytes, 0);
    }
}
