//! One feed from its inputs to its groups and rows: the wiring of reader, workers and writer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};

use crate::chunk::{DataType, Reject, RejectCode, Span};
use crate::dedupe::{Deduplicator, KeyHasher};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::{FeedPlan, IncrementalMode, OutputKind, Plan};
use crate::run::batch::{BatchWriter, Written};
use crate::run::figures::FeedFigures;
use crate::run::groups::{FeedGroups, PartialGroups, Spiller};
use crate::run::load;
use crate::run::load::OpenLoad;
use crate::run::memory::{GroupSpace, block_bytes, buffers_of_groups, buffers_of_rows, dedupe_options};
use crate::run::reader::{MemberStart, ReadMember, ReadPlan, StreamingReader};
use crate::run::sequence::{Outbox, Sequencer};
use crate::run::tables::{Target, load_layout};
use crate::run::turns::Turns;
use crate::run::worker::{Outcome, WatermarkFilter, Worker};
use crate::run::{Options, Progress, Stages};
use crate::sink::{DeadLetterWriter, KeyState, Mode, Sink};
use crate::source::Input;

/// A feed to run.
pub(super) struct FeedRun<'a> {
    pub(super) plan: &'a Plan,
    pub(super) feed: &'a FeedPlan,
    pub(super) options: &'a Options,
    pub(super) inputs: &'a [Input],
}

/// Where a feed is taken up.
#[derive(Default)]
pub(super) struct FeedStart {
    /// For a table of rows: what is to be done.
    pub(super) load: Option<OpenLoad>,
    /// What is known of the members of each input; nothing for a feed that is read as a whole.
    pub(super) members: Vec<VecDeque<MemberStart>>,
    /// Which rows count, if there is a watermark.
    pub(super) watermark: Option<WatermarkFilter>,
    /// The figures so far.
    pub(super) figures: FeedFigures,
}

/// What has come of a feed.
pub(super) struct FeedOutcome {
    pub(super) figures: FeedFigures,
    /// Those of each output that makes groups, and the memory for them.
    pub(super) groups: Vec<Option<FeedGroups>>,
    pub(super) space: GroupSpace,
    /// For a feed that is processed incrementally: the members that were read, each with its lines and records.
    pub(super) members: Vec<(ReadMember, (u64, u64))>,
    /// The greatest value of the column of the watermark.
    pub(super) greatest: Option<i64>,
}

impl FeedRun<'_> {
    /// Reads the feed, writes its dead letters and the rows of its row tables, and returns the groups of the others.
    pub(super) fn run(
        &self,
        sink: &mut dyn Sink,
        targets: &[Target],
        letters: &mut DeadLetterWriter,
        start: FeedStart,
        progress: &mut dyn FnMut(Progress),
        stages: &mut Stages,
    ) -> Result<FeedOutcome> {
        let FeedStart { mut load, members, watermark, figures } = start;
        let (inputs, mode) = (self.inputs, sink.mode());
        let on_disk = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&on_disk);
        let shutdown = self.options.shutdown.clone();
        let dedupe = load.as_ref().filter(|load| load.key != KeyState::Unkeyed && mode != Mode::Upsert);
        let dedupe = dedupe.map(|_| dedupe_options(inputs, self.options));
        let dedupe_bytes = dedupe.as_ref().map_or(0, |(_, bytes)| *bytes);
        let (buffer_count, block_bytes) = self.buffers(dedupe_bytes);
        let (outcomes_in, outcomes_out) = bounded(buffer_count);
        let (ordered_in, ordered_out) = bounded(buffer_count);
        let (buffers_in, buffers_out) = bounded(buffer_count);
        for _ in 0..buffer_count {
            // The channel has room for all of them.
            let _ = buffers_in.send(Vec::new());
        }
        let deduplicator = dedupe.map(|(options, _)| Deduplicator::new(&options));
        let known = load.as_mut().map(|load| std::mem::take(&mut load.known));
        let hasher = KeyHasher::new();
        let is_hashed =
            self.feed.incremental.as_ref().is_some_and(|incremental| incremental.mode == IncrementalMode::Append);
        let plan = ReadPlan {
            feed: self.feed,
            inputs,
            block_bytes,
            sample: self.options.sample,
            on_read: Arc::new(move |bytes| {
                counter.fetch_add(bytes, Ordering::Relaxed);
                if shutdown.is_requested() { Err(std::io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
            }),
            known: known.as_ref(),
            is_hashed,
            shutdown: &self.options.shutdown,
        };
        let turns = Turns::new(StreamingReader::new(plan, members), self.members_at_once());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.threads)
            .thread_name(|index| format!("worker-{index}"))
            .build()
            .map_err(|cause| cannot_start(&cause))?;
        let space = GroupSpace::new(self.options);

        std::thread::scope(|scope| {
            let (hasher, space) = (&hasher, &space);
            // The sequencer sees the end when the workers, and with them their end of its channel, are gone.
            let working = spawn(scope, "workers", move || {
                let outbox = Outbox::new(outcomes_in);
                let channels = (&buffers_out, &outbox);
                let groups = pool.broadcast(|_| self.work(hasher, watermark, space, &turns, channels));
                (groups, turns.finish())
            })?;
            let total = inputs.iter().map(Input::size).sum();
            let report = |records| Progress { bytes: on_disk.load(Ordering::Relaxed), bytes_total: total, records };
            let sequencing = spawn(scope, "sequencer", || {
                let (outcomes_out, ordered_in) = (outcomes_out, ordered_in);
                Sequencer::new(deduplicator).run(&outcomes_out, &ordered_in)
            })?;
            let mut writer = BatchWriter::new(self, sink, targets, letters, load, figures);
            let written = writer.write_all(&ordered_out, &buffers_in, &mut |records| progress(report(records)));
            // If writing has failed, this is what stops the others.
            drop((ordered_out, buffers_in));
            let worked = joined(working.join());
            let sequence = joined(sequencing.join());
            // What went wrong first is what the writer was told, unless it only saw the workers go.
            written?;
            let ((groups, read), sequence) = (worked?, sequence?);
            let read = read?;
            if read.is_interrupted && (self.feed.load.is_none() || mode == Mode::Replace) {
                return Err(self.interrupted());
            }
            writer.finish(read.is_interrupted)?;
            let Written { mut figures, lengths, greatest, compute_seconds, write_seconds } = writer.into_written();
            figures.bytes_read = read.bytes;
            figures.inputs = inputs.iter().map(|input| input.name().to_owned()).collect();
            self.check_error_rate(&figures)?;
            stages.read += read.busy.as_secs_f64();
            stages.compute += compute_seconds;
            stages.sequence += sequence.as_secs_f64();
            stages.write += write_seconds;
            let merging = Instant::now();
            let groups = gather(groups.into_iter().collect::<Result<_>>()?, space)?;
            figures.groups_spilled = groups.iter().flatten().map(FeedGroups::groups_spilled).sum();
            stages.merge += merging.elapsed().as_secs_f64();
            let members = read.members.into_iter().zip(lengths).collect();
            Ok(FeedOutcome { figures, groups, space: space.clone(), members, greatest })
        })
    }

    /// What each worker does until there are no more blocks, or nobody wants their outcomes: it reads the next block when the
    /// others have read theirs, and works on it while they read.
    fn work(
        &self,
        hasher: &KeyHasher,
        watermark: Option<WatermarkFilter>,
        space: &GroupSpace,
        turns: &Turns<'_>,
        (buffers, outbox): (&Receiver<Vec<u8>>, &Outbox),
    ) -> Result<Vec<Option<PartialGroups>>> {
        let mut worker = Worker::new(self.plan, self.feed, hasher.clone(), watermark);
        let mut spiller = Spiller::new(self, space);
        let mut kept = None;
        while let Some(mut buffer) = kept.take().or_else(|| buffers.recv().ok()) {
            // A block that is lost would be waited for; so a panic is handed on as the outcome.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let Some(work) = turns.next(&mut buffer) else { return Ok(None) };
                let mut outcome = worker.process(work);
                spiller.relieve(worker.states_mut())?;
                kept = outcome.take_buffer();
                Ok(Some(outcome))
            }));
            let is_wanted = match outcome.unwrap_or_else(|_| Err(panicked())) {
                Ok(Some(outcome)) => {
                    turns.note(outcome.member, outcome.waiting_bytes());
                    outbox.push(outcome)
                }
                Ok(None) => false,
                Err(error) => {
                    outbox.fail(error);
                    false
                }
            };
            if !is_wanted {
                break;
            }
        }
        outbox.flush();
        turns.stop();
        spiller.finish(worker.into_states())
    }

    /// How many members of the inputs are read at once. Rows are loaded in the order of the input, and which one is the first
    /// with its key is decided in that order.
    fn members_at_once(&self) -> usize {
        if self.has_rows() { 1 } else { self.options.threads }
    }

    fn has_rows(&self) -> bool {
        self.feed.outputs.iter().any(|output| matches!(output.kind, OutputKind::Rows { .. }))
    }

    /// Where temporary files go.
    pub(super) fn temp_dir(&self) -> PathBuf {
        self.options.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// How many buffers there are for blocks, and how large blocks are, when so many bytes are taken by something else than
    /// lookups.
    pub(super) fn buffers(&self, taken: u64) -> (usize, usize) {
        let lookups: usize = self.plan.lookups.iter().map(|lookup| lookup.data.memory_bytes()).sum();
        let free = self.options.memory_limit_bytes.saturating_sub(taken + lookups as u64);
        let threads = self.options.threads;
        let count = if self.has_rows() { buffers_of_rows(threads, free) } else { buffers_of_groups(threads) };
        (count, block_bytes(self.options.block_bytes, count, free))
    }

    /// Opens the table of a feed that is loaded, and finds out what is left to do.
    pub(super) fn open_load(&self, sink: &mut dyn Sink) -> Result<Option<OpenLoad>> {
        let Some(layout) = load_layout(self.plan, self.feed) else { return Ok(None) };
        let has_limit = self.max_errors().is_some() || self.max_error_rate().is_some();
        load::open(self.feed, &layout, self.inputs, has_limit, sink).map(Some)
    }

    /// The figures of a load that an earlier run has finished.
    pub(super) fn nothing_to_do(&self) -> FeedFigures {
        let inputs = self.inputs.iter().map(|input| input.name().to_owned()).collect();
        FeedFigures { name: self.feed.name.clone(), inputs, is_done: true, ..FeedFigures::default() }
    }

    fn max_error_rate(&self) -> Option<f64> {
        self.options.max_error_rate.or(self.plan.limits.max_error_rate)
    }

    /// The key of a load: names of columns and their places in the row.
    pub(super) fn key(&self) -> &[(String, usize)] {
        self.feed.load.as_ref().map_or(&[], |load| &load.key)
    }

    /// A dead letter for rows of a load whose keys were there before; which row, `address_duplicate` says, and why, the
    /// caller.
    pub(super) fn duplicate_letter(&self) -> Reject {
        let names: Vec<&str> = self.key().iter().map(|(name, _)| name.as_str()).collect();
        Reject {
            record: 0,
            span: Span::default(),
            byte_length: 0,
            code: RejectCode::DuplicateKey,
            column: names.join(","),
            value: Vec::new(),
            reason: String::new(),
        }
    }

    /// Makes such a dead letter that of a row.
    pub(super) fn address_duplicate(&self, outcome: &Outcome, row: usize, letter: &mut Reject) {
        letter.record = outcome.sources.records[row];
        letter.span = outcome.sources.spans[row];
        letter.byte_length = u64::from(letter.span.len);
        letter.value.clear();
        if let Some((_, columns)) = outcome.rows.first() {
            for (index, (_, place)) in self.key().iter().enumerate() {
                if index > 0 {
                    letter.value.push(b',');
                }
                columns[*place].get(row).write_text(self.row_type(*place), &mut letter.value);
            }
        }
        letter.value.truncate(Reject::MAX_VALUE_BYTES);
    }

    /// The type of a column of the rows of a load.
    fn row_type(&self, place: usize) -> DataType {
        match self.feed.outputs.first().map(|output| &output.kind) {
            Some(OutputKind::Rows { columns }) => self.feed.program.data_type(columns[place]),
            _ => DataType::Text,
        }
    }

    /// Whether an input can be read from its beginning in a later run.
    pub(super) fn can_be_read_again(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name() == name && input.can_be_read_again())
    }

    pub(super) fn max_errors(&self) -> Option<u64> {
        self.options.max_errors.or(self.plan.limits.max_errors)
    }

    pub(super) fn interrupted(&self) -> Error {
        let message = format!("interrupted while reading `{}`; none of its tables was touched", self.feed.name);
        Error::new(ErrorKind::Interrupted, message).help("run the same command again: these tables need all records")
    }

    fn check_error_rate(&self, figures: &FeedFigures) -> Result<()> {
        let Some(limit) = self.max_error_rate() else { return Ok(()) };
        let rate = figures.rejected as f64 / figures.read.max(1) as f64;
        if rate <= limit {
            return Ok(());
        }
        let FeedFigures { name, read, rejected, .. } = figures;
        let message =
            format!("{rejected} of {read} records of `{name}` were rejected, more than --max-error-rate {limit}");
        Err(Error::new(ErrorKind::Limit, format!("{message}; nothing was published")))
    }
}

/// Starts a thread that has a name.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let thread = Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, work).map_err(|cause| cannot_start(&cause))
}

fn cannot_start(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot start a thread: {cause}"))
}

pub(super) fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "a worker has panicked; nothing was published")
        .help("this is a fault of feedmill: please report it with the message above")
}

/// What a thread has returned, or that it has panicked.
pub(super) fn joined<T>(result: std::thread::Result<T>) -> Result<T> {
    result.map_err(|_| panicked())
}

/// The groups of each output, from all workers.
fn gather(workers: Vec<Vec<Option<PartialGroups>>>, space: &GroupSpace) -> Result<Vec<Option<FeedGroups>>> {
    let outputs = workers.iter().map(Vec::len).max().unwrap_or(0);
    let mut parts: Vec<Vec<PartialGroups>> = (0..outputs).map(|_| Vec::new()).collect();
    for groups in workers {
        parts.iter_mut().zip(groups).for_each(|(parts, groups)| parts.extend(groups));
    }
    parts.into_iter().map(|parts| FeedGroups::gather(parts, space)).collect()
}
