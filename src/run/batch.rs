//! The BatchWriter: outcomes in input order to dead letters, rows and figures, and for a load to commits in batches, each
//! with its entry in the ledger. One thread, the one that called `run`; decides which rows are duplicates, and nothing else.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::chunk::{Column, ColumnView, Reject, RejectCode, Selection, Span};
use crate::csv::LineCounter;
use crate::dedupe::{Deduplicator, Place};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Position;
use crate::error::Result;
use crate::run::feed::FeedRun;
use crate::run::figures::FeedFigures;
use crate::run::load::OpenLoad;
use crate::run::reader::Layout;
use crate::run::reorder::Reorder;
use crate::run::tables::Target;
use crate::run::worker::Outcome;
use crate::sink::{DeadLetter, DeadLetterWriter, KeyState, MemberEntry, Sink};

/// The writer's side of a feed.
pub(super) struct BatchWriter<'a> {
    run: &'a FeedRun<'a>,
    sink: &'a mut dyn Sink,
    targets: &'a [Target],
    letters: &'a mut DeadLetterWriter,
    load: Option<Load>,
    figures: FeedFigures,
    /// Where the next outcome begins.
    member: Option<MemberPosition>,
    compute_seconds: f64,
    write_seconds: f64,
}

/// What only a load needs.
struct Load {
    open: OpenLoad,
    /// Tells keys apart that this load has seen; none where the table has no key, or rows with the same key replace each
    /// other.
    deduplicator: Option<Deduplicator>,
    /// The members so far, which places of records are numbered by.
    members: Vec<Arc<Layout>>,
    /// What the ledger does not know yet.
    entries: Vec<MemberEntry>,
    records_in_batch: u64,
}

struct MemberPosition {
    layout: Arc<Layout>,
    lines: u64,
    records: u64,
    end: u64,
}

/// Why a row is a duplicate.
#[derive(Debug, Clone, Copy)]
enum First {
    /// An earlier record of this load has its key.
    Record(Place),
    /// The table had its key before this load.
    InTable,
}

/// A row that is a duplicate, by its number among the rows of a block.
struct Duplicate {
    row: usize,
    first: First,
}

/// A place is the number of a member in the upper bits, and that of a record in so many lower ones.
const RECORD_BITS: u32 = 40;

impl<'a> BatchWriter<'a> {
    /// A writer that has written nothing yet.
    pub(super) fn new(
        run: &'a FeedRun<'a>,
        sink: &'a mut dyn Sink,
        targets: &'a [Target],
        letters: &'a mut DeadLetterWriter,
        load: Option<(OpenLoad, Option<Deduplicator>)>,
    ) -> Self {
        let feed = run.feed;
        let nullified = feed.columns.iter().filter(|column| column.nullify);
        let figures = FeedFigures {
            name: feed.name.clone(),
            nullified: nullified.map(|column| (column.name.clone(), 0)).collect(),
            counters: feed.counters.iter().map(|(name, _)| (name.clone(), 0)).collect(),
            ..FeedFigures::default()
        };
        let load = load.map(|(open, deduplicator)| Load {
            open,
            deduplicator,
            members: Vec::new(),
            entries: Vec::new(),
            records_in_batch: 0,
        });
        BatchWriter {
            run,
            sink,
            targets,
            letters,
            load,
            figures,
            member: None,
            compute_seconds: 0.0,
            write_seconds: 0.0,
        }
    }

    /// Writes all outcomes in the order of their blocks, and gives their buffers back.
    pub(super) fn write_all(
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
                progress(self.figures.read + self.figures.resumed);
            }
        }
        Ok(())
    }

    /// Takes an outcome whose turn it is, and gives back its bytes.
    fn write(&mut self, outcome: Outcome) -> Result<Arc<Vec<u8>>> {
        self.enter(&outcome.layout);
        let duplicates = self.duplicates(&outcome)?;
        if outcome.is_known {
            self.figures.resumed += outcome.records;
        } else {
            self.write_letters(&outcome, &duplicates)?;
            self.count(&outcome, duplicates.len() as u64)?;
            self.write_rows(&outcome, &duplicates)?;
            self.note_progress(&outcome, duplicates.len() as u64);
        }
        if let Some(member) = &mut self.member {
            member.lines += outcome.lines;
            member.records += outcome.records;
            member.end = outcome.end;
        }
        self.compute_seconds += outcome.busy.as_secs_f64();
        let is_full = |load: &Load| load.open.in_batches && load.records_in_batch >= self.run.options.batch_rows;
        if self.load.as_ref().is_some_and(is_full) {
            self.commit_batch()?;
        }
        drop(outcome.rows);
        Ok(outcome.bytes)
    }

    /// Begins a member where an outcome is the first of one.
    fn enter(&mut self, layout: &Arc<Layout>) {
        if self.member.as_ref().is_some_and(|member| Arc::ptr_eq(&member.layout, layout)) {
            return;
        }
        self.member =
            Some(MemberPosition { layout: Arc::clone(layout), lines: layout.header_lines, records: 0, end: 0 });
        if let Some(load) = &mut self.load {
            load.members.push(Arc::clone(layout));
        }
    }

    /// The rows of a load whose keys were there before.
    fn duplicates(&mut self, outcome: &Outcome) -> Result<Vec<Duplicate>> {
        let (Some(load), Some(member)) = (&mut self.load, &self.member) else { return Ok(Vec::new()) };
        let Some(deduplicator) = &mut load.deduplicator else { return Ok(Vec::new()) };
        let number = (load.members.len() as u64 - 1) << RECORD_BITS;
        let place = |record: &u32| number | (member.records + u64::from(*record) + 1);
        let places: Vec<Place> = outcome.sources.records.iter().map(place).collect();
        let mut firsts = Vec::with_capacity(places.len());
        deduplicator.claim(&outcome.sources.keys, &places, &mut firsts)?;
        let mut duplicates: Vec<Duplicate> = Vec::new();
        for (row, first) in firsts.iter().enumerate() {
            duplicates.extend(first.map(|place| Duplicate { row, first: First::Record(place) }));
        }
        if load.open.key == KeyState::Indexed && !outcome.is_known {
            let (_, columns) = &outcome.rows[0];
            let key: Vec<ColumnView<'_>> =
                self.run.key().iter().map(|(_, place)| ColumnView::Rows(&columns[*place])).collect();
            let rows: Vec<u32> = (0..firsts.len() as u32).filter(|row| firsts[*row as usize].is_none()).collect();
            let found = self.sink.find_keys(load.open.table, &key, &Selection::Rows(rows.clone()))?;
            let known = rows.iter().zip(found).filter(|(_, found)| *found);
            duplicates.extend(known.map(|(row, _)| Duplicate { row: *row as usize, first: First::InTable }));
            duplicates.sort_unstable_by_key(|duplicate| duplicate.row);
        }
        Ok(duplicates)
    }

    /// Writes the rejected records and the duplicates of an outcome, in the order of the records.
    fn write_letters(&mut self, outcome: &Outcome, duplicates: &[Duplicate]) -> Result<()> {
        let mut lines = LineCounter::new(&outcome.bytes);
        let mut rejects = outcome.rejects.iter().peekable();
        let report = self.run.options.report_duplicates;
        for duplicate in duplicates.iter().filter(|_| report) {
            let reject = self.duplicate_letter(outcome, duplicate);
            while let Some(earlier) = rejects.next_if(|earlier| earlier.record < reject.record) {
                self.write_letter(outcome, earlier, &mut lines)?;
            }
            self.write_letter(outcome, &reject, &mut lines)?;
        }
        for reject in rejects {
            self.write_letter(outcome, reject, &mut lines)?;
        }
        Ok(())
    }

    fn write_letter(&mut self, outcome: &Outcome, reject: &Reject, lines: &mut LineCounter<'_>) -> Result<()> {
        let span = reject.span;
        let position = self.position(outcome, reject.record, span, lines);
        self.letters.write(&DeadLetter {
            position: &position,
            byte_length: reject.byte_length,
            code: reject.code.as_str(),
            column: &reject.column,
            value: &reject.value,
            reason: &reject.reason,
            raw: &outcome.bytes[span.start as usize..(span.start + span.len) as usize],
        })
    }

    fn position(&self, outcome: &Outcome, record: u32, span: Span, lines: &mut LineCounter<'_>) -> Position {
        let (lines_ahead, records_ahead) = self.member.as_ref().map_or((0, 0), |member| (member.lines, member.records));
        let origin = &outcome.layout.origin;
        Position {
            input: origin.input.to_string(),
            member: origin.member.as_ref().map(ToString::to_string),
            line: lines_ahead + lines.lines_before(span.start) + 1,
            record: records_ahead + u64::from(record) + 1,
            byte_offset: outcome.offset + u64::from(span.start),
        }
    }

    fn duplicate_letter(&self, outcome: &Outcome, duplicate: &Duplicate) -> Reject {
        let row = duplicate.row;
        let span = outcome.sources.spans[row];
        let mut value = Vec::new();
        if let Some((_, columns)) = outcome.rows.first() {
            for (index, (_, place)) in self.run.key().iter().enumerate() {
                if index > 0 {
                    value.push(b',');
                }
                columns[*place].get(row).write_text(self.run.row_type(*place), &mut value);
            }
        }
        value.truncate(Reject::MAX_VALUE_BYTES);
        let names: Vec<&str> = self.run.key().iter().map(|(name, _)| name.as_str()).collect();
        Reject {
            record: outcome.sources.records[row],
            span,
            byte_length: u64::from(span.len),
            code: RejectCode::DuplicateKey,
            column: names.join(","),
            value,
            reason: self.reason(duplicate.first),
        }
    }

    fn reason(&self, first: First) -> String {
        let First::Record(place) = first else { return "the table had this key before".to_owned() };
        let record = place & ((1 << RECORD_BITS) - 1);
        let layout = self.load.as_ref().and_then(|load| load.members.get((place >> RECORD_BITS) as usize));
        let origin = layout.map(|layout| layout.origin.to_string()).unwrap_or_default();
        format!("record {record} of {origin} has this key")
    }

    fn count(&mut self, outcome: &Outcome, duplicates: u64) -> Result<()> {
        let figures = &mut self.figures;
        figures.read += outcome.records;
        figures.rejected += outcome.rejects.len() as u64;
        figures.loaded += outcome.loaded - duplicates;
        figures.duplicate += duplicates;
        figures.filtered += outcome.filtered;
        for reject in &outcome.rejects {
            *figures.rejected_by_code.entry(reject.code).or_default() += 1;
        }
        for (count, (_, total)) in outcome.counters.iter().zip(&mut figures.counters) {
            *total += count;
        }
        for (count, column) in outcome.nullified.iter().zip(&outcome.layout.columns) {
            if let Some((_, total)) = figures.nullified.iter_mut().find(|(name, _)| *name == column.name) {
                *total += count;
            }
        }
        if let Some(limit) = self.run.max_errors()
            && figures.rejected > limit
        {
            let message = format!("more than --max-errors {limit} records of `{}` were rejected", figures.name);
            return Err(Error::new(ErrorKind::Limit, format!("{message}; nothing was published")));
        }
        Ok(())
    }

    fn write_rows(&mut self, outcome: &Outcome, duplicates: &[Duplicate]) -> Result<()> {
        for (place, columns) in &outcome.rows {
            let len = columns.first().map_or(0, Column::len);
            let views: Vec<ColumnView<'_>> = columns.iter().map(ColumnView::Rows).collect();
            let selection = if duplicates.is_empty() {
                Selection::All(len)
            } else {
                let mut flags = vec![true; len];
                duplicates.iter().for_each(|duplicate| flags[duplicate.row] = false);
                Selection::from_flags(&flags)
            };
            let target = &self.targets[*place];
            self.sink.rows(target.id, &views, &selection).map_err(|failed| {
                let row = match &selection {
                    Selection::All(_) => failed.row,
                    Selection::Rows(rows) => rows.get(failed.row).map_or(0, |row| *row as usize),
                };
                match outcome.sources.spans.get(row) {
                    Some(span) => {
                        let mut lines = LineCounter::new(&outcome.bytes);
                        let position = self.position(outcome, outcome.sources.records[row], *span, &mut lines);
                        failed.error.within(&position)
                    }
                    None => failed.error,
                }
            })?;
            target.count(selection.len() as u64);
        }
        Ok(())
    }

    /// Says in the ledger's words how far the member has come.
    fn note_progress(&mut self, outcome: &Outcome, duplicates: u64) {
        let Some(load) = &mut self.load else { return };
        load.records_in_batch += outcome.records;
        let origin = &outcome.layout.origin;
        if !self.run.can_be_read_again(&origin.input) {
            return;
        }
        let member = origin.member.as_deref().unwrap_or("");
        let place = load.entries.iter().position(|entry| *entry.input == *origin.input && entry.member == member);
        let place = place.unwrap_or_else(|| {
            load.entries.push(load.open.entry_of(origin, &outcome.layout.names));
            load.entries.len() - 1
        });
        let entry = &mut load.entries[place];
        entry.byte_offset = outcome.end;
        entry.fingerprint = outcome.fingerprint;
        entry.is_complete = outcome.is_last;
        entry.records += outcome.records;
        entry.loaded += outcome.loaded - duplicates;
        entry.duplicate += duplicates;
        entry.filtered += outcome.filtered;
        entry.rejected += outcome.rejects.len() as u64;
    }

    /// Commits what there is, and begins the next batch.
    fn commit_batch(&mut self) -> Result<()> {
        self.write_ledger()?;
        self.sink.commit()?;
        self.sink.begin()
    }

    /// Brings the ledger up to date, dead letters first: they are on the disk when it says so.
    fn write_ledger(&mut self) -> Result<()> {
        let Some(load) = &mut self.load else { return Ok(()) };
        load.open.ledger.letters = if load.open.in_batches { self.letters.mark()? } else { self.letters.flush()? };
        load.records_in_batch = 0;
        let changed = load.open.remember(std::mem::take(&mut load.entries));
        self.sink.write_ledger(load.open.table, &changed)
    }

    /// Brings a load to its end, or leaves it so that it can go on, where it was interrupted.
    pub(super) fn finish(&mut self, is_interrupted: bool) -> Result<()> {
        if is_interrupted {
            self.figures.interrupted_at = self.next_position();
        }
        let Some(load) = &mut self.load else { return Ok(()) };
        // What is no longer needed leaves its memory to the index.
        load.deduplicator = None;
        let goes_on = is_interrupted && self.run.all_can_be_read_again();
        if goes_on {
            return self.write_ledger();
        }
        let (table, key, in_batches) = (load.open.table, load.open.key, load.open.in_batches);
        if in_batches && load.records_in_batch > 0 {
            self.commit_batch()?;
        }
        if key == KeyState::Deferred {
            self.sink.build_key(table)?;
        }
        if let Some(load) = &mut self.load {
            load.open.ledger.is_finished = true;
        }
        self.write_ledger()
    }

    /// Where the next record would be.
    fn next_position(&self) -> Option<Position> {
        let member = self.member.as_ref()?;
        let origin = &member.layout.origin;
        Some(Position {
            input: origin.input.to_string(),
            member: origin.member.as_ref().map(ToString::to_string),
            line: member.lines + 1,
            record: member.records + 1,
            byte_offset: member.end,
        })
    }

    /// The figures, and the seconds of the workers and of the writer.
    pub(super) fn into_figures(self) -> (FeedFigures, f64, f64) {
        (self.figures, self.compute_seconds, self.write_seconds)
    }
}
