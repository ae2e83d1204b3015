//! One feed from its inputs to its groups and rows: the wiring of reader, workers and writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::aggregate::AggregationState;
use crate::chunk::{Column, ColumnView, Selection};
use crate::csv::LineCounter;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Position;
use crate::error::Result;
use crate::plan::{FeedPlan, Plan};
use crate::run::figures::FeedFigures;
use crate::run::memory::{GroupBudget, block_bytes};
use crate::run::reader::{Layout, StreamingReader, Work, inputs};
use crate::run::reorder::Reorder;
use crate::run::tables::Target;
use crate::run::worker::{Outcome, Worker};
use crate::run::{Options, Progress, Stages};
use crate::sink::{DeadLetter, DeadLetterWriter, Sink};
use crate::source::Input;

/// Two blocks a worker: one in hand, one waiting; and two more for the reader and the writer.
const BUFFERS_PER_WORKER: usize = 2;

/// A feed to run.
pub(super) struct FeedRun<'a> {
    pub(super) plan: &'a Plan,
    pub(super) feed: &'a FeedPlan,
    pub(super) options: &'a Options,
}

/// The merged groups of each output that makes groups.
type States = Vec<Option<AggregationState>>;

impl FeedRun<'_> {
    /// Reads the feed, writes its dead letters and the rows of its row tables, and returns the groups of the others.
    pub(super) fn run(
        &self,
        sink: &mut dyn Sink,
        targets: &[Target],
        letters: &mut DeadLetterWriter,
        progress: &mut dyn FnMut(Progress),
        stages: &mut Stages,
    ) -> Result<(FeedFigures, States)> {
        let inputs = inputs(self.feed)?;
        let buffer_count = self.options.threads * BUFFERS_PER_WORKER + 2;
        let (blocks_in, blocks_out) = bounded(buffer_count);
        let (outcomes_in, outcomes_out) = bounded(buffer_count);
        let (buffers_in, buffers_out) = bounded(buffer_count);
        for _ in 0..buffer_count {
            // The channel has room for all of them.
            let _ = buffers_in.send(Vec::new());
        }
        let on_disk = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&on_disk);
        let reader = StreamingReader {
            feed: self.feed,
            inputs: &inputs,
            block_bytes: block_bytes(self.options.block_bytes, buffer_count, self.options.memory_limit_bytes),
            sample: self.options.sample,
            on_read: Arc::new(move |bytes| {
                counter.fetch_add(bytes, Ordering::Relaxed);
            }),
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.threads)
            .thread_name(|index| format!("worker-{index}"))
            .build()
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("cannot start the workers: {cause}")))?;
        let budget = GroupBudget::new(self.options.memory_limit_bytes);

        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                // Moved in, so that the workers see the end when the reader is done.
                let (blocks_in, buffers_out) = (blocks_in, buffers_out);
                reader.run(&buffers_out, &blocks_in)
            });
            let working = scope.spawn(|| {
                let (blocks_out, outcomes_in) = (blocks_out, outcomes_in);
                pool.broadcast(|_| self.work(&budget, &blocks_out, &outcomes_in))
            });
            let total = inputs.iter().map(Input::size).sum();
            let report = |records| Progress { bytes: on_disk.load(Ordering::Relaxed), bytes_total: total, records };
            let mut writer = Writer::new(self, sink, targets, letters);
            let written = writer.write_all(&outcomes_out, &buffers_in, &mut |records| progress(report(records)));
            let (mut figures, compute, write) = writer.finish();
            // If writing has failed, this is what stops the others.
            drop((outcomes_out, buffers_in));
            let states = joined(working.join());
            let read = joined(reading.join()).and_then(|read| read);
            // What went wrong first is what the writer was told, unless it only saw the reader go.
            written?;
            let read = read?;
            figures.bytes_read = read.bytes;
            figures.inputs = inputs.iter().map(|input| input.name().to_owned()).collect();
            self.check_error_rate(&figures)?;
            stages.read += read.busy.as_secs_f64();
            stages.compute += compute;
            stages.write += write;
            let merging = Instant::now();
            let states = merge(states?);
            stages.merge += merging.elapsed().as_secs_f64();
            Ok((figures, states))
        })
    }

    /// What each worker does until there are no more blocks, or nobody wants their outcomes.
    fn work(&self, budget: &GroupBudget, blocks: &Receiver<Work>, outcomes: &Sender<Result<Outcome>>) -> States {
        let mut worker = Worker::new(self.plan, self.feed);
        let mut memory = 0;
        for work in blocks {
            // A block that is lost would be waited for; so a panic is handed on as the outcome.
            let outcome = catch_unwind(AssertUnwindSafe(|| worker.process(work))).map_err(|_| panicked());
            let now = worker.memory_bytes();
            let outcome = budget.update(memory, now).and(outcome);
            memory = now;
            let failed = outcome.is_err();
            if outcomes.send(outcome).is_err() || failed {
                break;
            }
        }
        worker.into_states()
    }

    fn check_error_rate(&self, figures: &FeedFigures) -> Result<()> {
        let Some(limit) = self.options.max_error_rate.or(self.plan.limits.max_error_rate) else { return Ok(()) };
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

fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "a worker has panicked; nothing was published")
        .help("this is a fault of feedmill: please report it with the message above")
}

fn joined<T>(result: std::thread::Result<T>) -> Result<T> {
    result.map_err(|_| panicked())
}

/// The groups of all workers together. Merging does not depend on the order.
fn merge(states: Vec<States>) -> States {
    let mut workers = states.into_iter();
    let mut merged = workers.next().unwrap_or_default();
    for states in workers {
        for (into, state) in merged.iter_mut().zip(states) {
            if let (Some(into), Some(state)) = (into, state) {
                into.merge(state);
            }
        }
    }
    merged
}

/// The writer's side: outcomes in input order to dead letters, row tables and figures.
struct Writer<'a> {
    run: &'a FeedRun<'a>,
    sink: &'a mut dyn Sink,
    targets: &'a [Target],
    letters: &'a mut DeadLetterWriter,
    figures: FeedFigures,
    /// Where the next outcome begins in its member.
    member: Option<MemberPosition>,
    compute_seconds: f64,
    write_seconds: f64,
}

struct MemberPosition {
    layout: Arc<Layout>,
    lines: u64,
    records: u64,
}

impl<'a> Writer<'a> {
    fn new(
        run: &'a FeedRun<'a>,
        sink: &'a mut dyn Sink,
        targets: &'a [Target],
        letters: &'a mut DeadLetterWriter,
    ) -> Self {
        let feed = run.feed;
        let nullified = feed.columns.iter().filter(|column| column.nullify);
        let figures = FeedFigures {
            name: feed.name.clone(),
            nullified: nullified.map(|column| (column.name.clone(), 0)).collect(),
            counters: feed.counters.iter().map(|(name, _)| (name.clone(), 0)).collect(),
            ..FeedFigures::default()
        };
        Writer { run, sink, targets, letters, figures, member: None, compute_seconds: 0.0, write_seconds: 0.0 }
    }

    fn write_all(
        &mut self,
        outcomes: &Receiver<Result<Outcome>>,
        buffers: &Sender<Vec<u8>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut reorder = Reorder::new();
        for outcome in outcomes {
            let outcome = outcome?;
            reorder.push(outcome.seq, outcome);
            while let Some(outcome) = reorder.pop() {
                let started = Instant::now();
                let bytes = self.write(outcome)?;
                self.write_seconds += started.elapsed().as_secs_f64();
                // A worker may hold on to the bytes until its next block. The reader still gets a buffer, or it would wait
                // for ever; and it may be done already.
                let _ = buffers.try_send(Arc::into_inner(bytes).unwrap_or_default());
                progress(self.figures.read);
            }
        }
        Ok(())
    }

    /// Takes an outcome whose turn it is, and gives back its bytes.
    fn write(&mut self, outcome: Outcome) -> Result<Arc<Vec<u8>>> {
        let layout = &outcome.layout;
        let member = match &mut self.member {
            Some(member) if Arc::ptr_eq(&member.layout, layout) => member,
            member => {
                member.insert(MemberPosition { layout: Arc::clone(layout), lines: layout.header_lines, records: 0 })
            }
        };
        let mut lines = LineCounter::new(&outcome.bytes);
        for reject in &outcome.rejects {
            let span = reject.span;
            let position = Position {
                input: layout.origin.input.to_string(),
                member: layout.origin.member.as_ref().map(ToString::to_string),
                line: member.lines + lines.lines_before(span.start) + 1,
                record: member.records + u64::from(reject.record) + 1,
                byte_offset: outcome.offset + u64::from(span.start),
            };
            self.letters.write(&DeadLetter {
                position: &position,
                byte_length: reject.byte_length,
                code: reject.code.as_str(),
                column: &reject.column,
                value: &reject.value,
                reason: &reject.reason,
                raw: &outcome.bytes[span.start as usize..(span.start + span.len) as usize],
            })?;
            *self.figures.rejected_by_code.entry(reject.code).or_default() += 1;
        }
        member.lines += outcome.lines;
        member.records += outcome.records;

        let figures = &mut self.figures;
        figures.read += outcome.records;
        figures.rejected += outcome.rejects.len() as u64;
        figures.loaded += outcome.loaded;
        figures.filtered += outcome.filtered;
        for (count, (_, total)) in outcome.counters.iter().zip(&mut figures.counters) {
            *total += count;
        }
        for (count, column) in outcome.nullified.iter().zip(&layout.columns) {
            if let Some((_, total)) = figures.nullified.iter_mut().find(|(name, _)| *name == column.name) {
                *total += count;
            }
        }
        self.compute_seconds += outcome.busy.as_secs_f64();
        if let Some(limit) = self.run.options.max_errors.or(self.run.plan.limits.max_errors)
            && figures.rejected > limit
        {
            let message = format!("more than --max-errors {limit} records of `{}` were rejected", figures.name);
            return Err(Error::new(ErrorKind::Limit, format!("{message}; nothing was published")));
        }
        for (place, columns) in &outcome.rows {
            write_rows(self.sink, &self.targets[*place], columns)?;
        }
        drop(outcome.rows);
        Ok(outcome.bytes)
    }

    /// The figures, and the seconds of the workers and of the writer.
    fn finish(self) -> (FeedFigures, f64, f64) {
        (self.figures, self.compute_seconds, self.write_seconds)
    }
}

fn write_rows(sink: &mut dyn Sink, target: &Target, columns: &[Column]) -> Result<()> {
    let len = columns.first().map_or(0, Column::len);
    let views: Vec<ColumnView<'_>> = columns.iter().map(ColumnView::Rows).collect();
    target.count(len as u64);
    sink.rows(target.id, &views, &Selection::All(len))
}
