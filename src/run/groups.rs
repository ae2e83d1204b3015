//! The groups of an output: in memory as long as they fit their share of it, beyond that in sorted runs on the disk. What
//! comes out is the same, group by group and in the same order; what is computed for a group is `aggregate`'s business.
//!
//! A worker whose groups pass its share writes those of its largest output to a temporary file, in the order of their
//! keys and in the bytes that `aggregate` stores groups in, and begins anew. At the end all runs are merged: groups that
//! have come to lie in several runs meet, because equal keys come one after the other, and since groups are published in
//! the order of their keys, there is nothing left to sort. A few thousand groups are in memory then, or one that is large.

use std::path::PathBuf;

use crossbeam_channel::bounded;

use crate::aggregate::{AggregationState, Damaged, Groups, Overflow, StoredGroup};
use crate::chunk::Column;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{FeedOutput, OutputKind, Plan};
use crate::run::feed::{FeedRun, joined, spawn};
use crate::run::memory::GroupSpace;
use crate::run::worker::empty_state;
use crate::sort::{Merge, Run, RunFile};

/// What a worker does about groups that do not fit.
pub(super) struct Spiller<'a> {
    space: &'a GroupSpace,
    /// One for each output that makes groups.
    outputs: Vec<Option<SpilledGroups>>,
}

/// What a worker has of an output: groups in memory, and those that it has written.
pub(super) struct PartialGroups {
    state: AggregationState,
    spilled: SpilledGroups,
}

impl<'a> Spiller<'a> {
    /// One that has written nothing.
    pub(super) fn new(run: &FeedRun<'_>, space: &'a GroupSpace) -> Self {
        let outputs = run.feed.outputs.iter();
        let spilled =
            |output| Some(SpilledGroups::new(run.plan, output, empty_state(run.feed, output)?, run.temp_dir()));
        Spiller { space, outputs: outputs.map(spilled).collect() }
    }

    /// Writes groups to the disk until the others fit: those of the output that has most of them first.
    pub(super) fn relieve(&mut self, states: &mut [Option<AggregationState>]) -> Result<()> {
        let bytes = |state: &Option<AggregationState>| state.as_ref().map_or(0, AggregationState::memory_bytes);
        while states.iter().map(bytes).sum::<usize>() > self.space.worker_bytes {
            let Some((state, spilled)) = states.iter_mut().zip(&mut self.outputs).max_by_key(|(state, _)| bytes(state))
            else {
                break;
            };
            if let (Some(state), Some(spilled)) = (state, spilled) {
                spilled.write(state, self.space)?;
                spilled.bound_runs(self.space)?;
            }
        }
        Ok(())
    }

    /// The groups of all outputs, when there are no more rows.
    pub(super) fn finish(self, states: Vec<Option<AggregationState>>) -> Result<Vec<Option<PartialGroups>>> {
        let finish = |(state, spilled): (Option<AggregationState>, Option<SpilledGroups>)| {
            let Some((mut state, mut spilled)) = state.zip(spilled) else { return Ok(None) };
            if !spilled.runs.is_empty() {
                spilled.write(&mut state, self.space)?;
            }
            Ok(Some(PartialGroups { state, spilled }))
        };
        states.into_iter().zip(self.outputs).map(finish).collect()
    }
}

/// The groups of an output.
pub(super) enum FeedGroups {
    /// All of them.
    InMemory(AggregationState),
    /// Runs of them, to be merged.
    Spilled(SpilledGroups),
}

impl FeedGroups {
    /// The groups of all workers together. Nothing depends on which worker has which.
    pub(super) fn gather(parts: Vec<PartialGroups>, space: &GroupSpace) -> Result<Option<Self>> {
        let is_spilled = parts.iter().any(|part| !part.spilled.runs.is_empty());
        let mut parts = parts.into_iter();
        let Some(PartialGroups { mut state, mut spilled }) = parts.next() else { return Ok(None) };
        if !is_spilled {
            parts.for_each(|part| state.merge(part.state));
            return Ok(Some(FeedGroups::InMemory(state)));
        }
        // Those who have runs have nothing in memory; a run without groups does no harm.
        spilled.write(&mut state, space)?;
        for mut part in parts {
            part.spilled.write(&mut part.state, space)?;
            spilled.runs.append(&mut part.spilled.runs);
            spilled.groups += part.spilled.groups;
        }
        Ok(Some(FeedGroups::Spilled(spilled)))
    }

    /// How many groups were written to disk, each time that they were.
    pub(super) fn groups_spilled(&self) -> u64 {
        match self {
            FeedGroups::InMemory(_) => 0,
            FeedGroups::Spilled(spilled) => spilled.groups,
        }
    }

    /// Calls `visit` with the results of all groups, batch by batch and in the order of their keys. They are computed on a
    /// thread of its own.
    ///
    /// # Errors
    /// Like `for_each`.
    pub(super) fn for_each_batch(
        self,
        run: &FeedRun<'_>,
        space: &GroupSpace,
        visit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let finish = |send: &mut dyn FnMut(Batch) -> Result<()>| {
            self.for_each(run, space, &mut |state| state.finish().try_for_each(&mut *send))
        };
        ahead(run, "finish", finish, visit)
    }

    /// Calls `visit` with states of which each has the groups behind those of the one before, in the order of their keys.
    /// They are read and merged on a thread of its own.
    ///
    /// # Errors
    /// When what was written cannot be read back, when a group alone does not fit, and those of `visit`.
    pub(super) fn for_each(
        self,
        run: &FeedRun<'_>,
        space: &GroupSpace,
        visit: &mut dyn FnMut(AggregationState) -> Result<()>,
    ) -> Result<()> {
        let merge = |send: &mut dyn FnMut(AggregationState) -> Result<()>| match self {
            FeedGroups::InMemory(state) => send(state),
            FeedGroups::Spilled(spilled) => {
                let mut groups = spilled.merge(&spilled.runs, space)?;
                while let Some(state) = groups.next()? {
                    send(state)?;
                }
                Ok(())
            }
        };
        ahead(run, "merge", merge, visit)
    }
}

/// Makes items on a thread of its own, and visits them meanwhile on this one. `make` hands each of them on, which fails
/// when nobody wants it any more.
fn ahead<T: Send>(
    run: &FeedRun<'_>,
    name: &str,
    make: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<()> + Send,
    visit: &mut dyn FnMut(T) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (made, items) = bounded(ITEMS_AHEAD);
        // Whoever has gone away has failed, and says why; this error is not heard of.
        let making = spawn(scope, name, move || make(&mut |item| made.send(item).map_err(|_| run.interrupted())))?;
        let visited = items.iter().try_for_each(|item| {
            if run.options.shutdown.is_requested() { Err(run.interrupted()) } else { visit(item) }
        });
        // If visiting has failed, this is what stops the other.
        drop(items);
        let made = joined(making.join()).flatten();
        visited.and(made)
    })
}

/// Keys and results of some groups.
pub(super) type Batch = std::result::Result<Vec<Column>, Overflow>;

/// How much of what is made may wait.
const ITEMS_AHEAD: usize = 1;

/// Groups of an output in runs.
pub(super) struct SpilledGroups {
    table: String,
    /// The key columns, in the order in which groups are published.
    order: Vec<usize>,
    /// A state without groups.
    empty: AggregationState,
    temp_dir: PathBuf,
    file: Option<RunFile>,
    runs: Vec<Run>,
    /// How many groups were written.
    groups: u64,
}

impl SpilledGroups {
    fn new(plan: &Plan, output: &FeedOutput, empty: AggregationState, temp_dir: PathBuf) -> Self {
        let keys = match &output.kind {
            OutputKind::Groups { keys, .. } => keys.len(),
            OutputKind::Rows { .. } => 0,
        };
        let (table, order) = (plan.tables[output.table].name.clone(), (0..keys).collect());
        SpilledGroups { table, order, empty, temp_dir, file: None, runs: Vec::new(), groups: 0 }
    }

    /// Writes the groups of a state as a run, and leaves none in it.
    fn write(&mut self, state: &mut AggregationState, space: &GroupSpace) -> Result<()> {
        let mut groups = std::mem::replace(state, self.empty.clone());
        self.groups += groups.groups() as u64;
        self.write_run(space, |spilled, push| {
            let all = groups.groups();
            groups.store(&spilled.order, all, push)
        })
    }

    /// Sees to it that there are no more runs than can be merged at once, by making the shortest ones one.
    fn bound_runs(&mut self, space: &GroupSpace) -> Result<()> {
        if self.runs.len() <= space.runs_max {
            return Ok(());
        }
        self.runs.sort_by_key(|run| std::cmp::Reverse(run.bytes()));
        let short = self.runs.split_off(self.runs.len() / 2);
        self.write_run(space, |spilled, push| {
            let mut merged = spilled.merge(&short, space)?;
            while let Some(mut state) = merged.next()? {
                let all = state.groups();
                state.store(&spilled.order, all, &mut *push)?;
            }
            Ok(())
        })
    }

    /// Writes the groups that `write` hands on, in order, as a run.
    fn write_run(
        &mut self,
        space: &GroupSpace,
        write: impl FnOnce(&Self, &mut dyn FnMut(StoredGroup<'_>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let failed = |cause| Error::temporary_files("write groups to", &self.temp_dir, &cause);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => RunFile::create(&self.temp_dir).map_err(failed)?,
        };
        let mut writer = file.writer();
        write(self, &mut |StoredGroup { key, state }| {
            // What is too long to be merged is known before everything is read.
            if state.len() > space.merge_bytes {
                return Err(space.too_small_for_a_group(&self.table));
            }
            writer.push(key, state).map_err(failed)
        })?;
        let run = writer.finish().map_err(failed)?;
        file.add(&run);
        self.file = Some(file);
        self.runs.push(run);
        Ok(())
    }

    fn merge<'a>(&'a self, runs: &[Run], space: &'a GroupSpace) -> Result<MergedGroups<'a>> {
        let merge = Merge::new(runs, space.merge_bytes).map_err(|cause| self.cannot_read(&cause, space))?;
        Ok(MergedGroups { spilled: self, space, merge, last_key: Vec::new(), waiting: Waiting::default() })
    }

    fn cannot_read(&self, cause: &std::io::Error, space: &GroupSpace) -> Error {
        match cause.kind() {
            std::io::ErrorKind::OutOfMemory => space.too_small_for_a_group(&self.table),
            _ => Error::temporary_files("read groups from", &self.temp_dir, cause),
        }
    }
}

/// So many stored groups are taken into a state at once.
const TAKEN_AT_ONCE: usize = 128;

/// A state that takes one byte in so many of what it may take gets no further groups: the last one may be large.
const FULL_SHARE: usize = 4;

/// Runs as states, some groups at a time.
struct MergedGroups<'a> {
    spilled: &'a SpilledGroups,
    space: &'a GroupSpace,
    merge: Merge,
    last_key: Vec<u8>,
    waiting: Waiting,
}

/// Stored groups that wait to be taken into a state.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Where in the bytes the keys and the states end, in turn.
    ends: Vec<usize>,
}

impl MergedGroups<'_> {
    /// The next groups.
    fn next(&mut self) -> Result<Option<AggregationState>> {
        let mut state = self.spilled.empty.clone();
        let (mut groups, mut bytes, mut is_full) = (0, 0, false);
        loop {
            let next = self.merge.next().map_err(|cause| self.spilled.cannot_read(&cause, self.space))?;
            let Some((key, stored)) = next else { break };
            if groups == 0 || self.last_key != key {
                if groups == Groups::BATCH || is_full {
                    self.merge.unread();
                    break;
                }
                groups += 1;
                self.last_key.clear();
                self.last_key.extend_from_slice(key);
            }
            bytes += key.len() + stored.len();
            self.waiting.push(key, stored);
            if self.waiting.len() == TAKEN_AT_ONCE || self.waiting.bytes.len() > self.space.batch_bytes {
                self.take_waiting(&mut state)?;
                // How much groups grow when they are read is known only then.
                is_full = bytes > self.space.batch_bytes || state.memory_bytes() > self.space.merge_bytes / FULL_SHARE;
            }
        }
        self.take_waiting(&mut state)?;
        Ok((groups > 0).then_some(state))
    }

    fn take_waiting(&mut self, state: &mut AggregationState) -> Result<()> {
        let SpilledGroups { order, table, temp_dir, .. } = self.spilled;
        state.take_stored(order, &self.waiting.groups()).map_err(|Damaged| {
            let message = format!("what was written of the groups of `{table}` to {} is damaged", temp_dir.display());
            Error::new(ErrorKind::Output, message)
        })?;
        self.waiting.bytes.clear();
        self.waiting.ends.clear();
        if state.memory_bytes() > self.space.merge_bytes {
            return Err(self.space.too_small_for_a_group(table));
        }
        Ok(())
    }
}

impl Waiting {
    fn push(&mut self, key: &[u8], state: &[u8]) {
        for part in [key, state] {
            self.bytes.extend_from_slice(part);
            self.ends.push(self.bytes.len());
        }
    }

    fn len(&self) -> usize {
        self.ends.len() / 2
    }

    fn groups(&self) -> Vec<StoredGroup<'_>> {
        let mut start = 0;
        let group = |ends: &[usize]| {
            let (key, state) = (&self.bytes[start..ends[0]], &self.bytes[ends[0]..ends[1]]);
            start = ends[1];
            StoredGroup { key, state }
        };
        self.ends.chunks_exact(2).map(group).collect()
    }
}
