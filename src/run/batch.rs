//! The BatchWriter: outcomes in input order to dead letters, rows and figures, and for a load to commits in batches, each
//! with its entry in the ledger. One thread, the one that called `run`, and the only one that writes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::chunk::{Column, ColumnView, Reject, Selection, Span};
use crate::dedupe::Place;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Position;
use crate::error::Result;
use crate::run::feed::FeedRun;
use crate::run::figures::FeedFigures;
use crate::run::load::OpenLoad;
use crate::run::reader::Layout;
use crate::run::sequence::{Ordered, member_and_record};
use crate::run::tables::Target;
use crate::run::worker::{Excerpt, Outcome, RecordLines};
use crate::sink::{DeadLetter, DeadLetterWriter, KeyState, MemberEntry, Sink};

/// The writer's side of a feed.
pub(super) struct BatchWriter<'a> {
    run: &'a FeedRun<'a>,
    sink: &'a mut dyn Sink,
    targets: &'a [Target],
    letters: &'a mut DeadLetterWriter,
    load: Option<Load>,
    /// The members so far, which places of records are numbered by.
    members: Vec<Arc<Layout>>,
    /// Lines and records of each member so far, those that stand in front of what is read included.
    lengths: Vec<(u64, u64)>,
    figures: FeedFigures,
    /// The greatest value of the column of the watermark so far.
    greatest: Option<i64>,
    /// Where the next outcome begins, if it is of the same member.
    next: Option<Position>,
    compute_seconds: f64,
    write_seconds: f64,
}

/// Why a record is a duplicate whose key was in the table before.
pub(super) const KEY_IN_TABLE: &str = "the table had this key before";

/// What only a load needs.
struct Load {
    open: OpenLoad,
    /// What the ledger does not know yet.
    entries: Vec<MemberEntry>,
    records_in_batch: u64,
}

/// What a writer has written.
pub(super) struct Written {
    pub(super) figures: FeedFigures,
    /// Lines and records of each member.
    pub(super) lengths: Vec<(u64, u64)>,
    /// The greatest value of the column of the watermark.
    pub(super) greatest: Option<i64>,
    /// Time that the workers took.
    pub(super) compute_seconds: f64,
    /// Time that writing took.
    pub(super) write_seconds: f64,
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

impl<'a> BatchWriter<'a> {
    /// A writer that has written nothing yet.
    pub(super) fn new(
        run: &'a FeedRun<'a>,
        sink: &'a mut dyn Sink,
        targets: &'a [Target],
        letters: &'a mut DeadLetterWriter,
        load: Option<OpenLoad>,
        figures: FeedFigures,
    ) -> Self {
        let load = load.map(|open| Load { open, entries: Vec::new(), records_in_batch: 0 });
        BatchWriter {
            run,
            sink,
            targets,
            letters,
            load,
            members: Vec::new(),
            lengths: Vec::new(),
            figures,
            greatest: None,
            next: None,
            compute_seconds: 0.0,
            write_seconds: 0.0,
        }
    }

    /// Writes all outcomes in the order of their blocks, and gives their buffers back.
    pub(super) fn write_all(
        &mut self,
        outcomes: &Receiver<Result<Vec<Ordered>>>,
        buffers: &Sender<Vec<u8>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        for outcomes in outcomes {
            let started = Instant::now();
            for ordered in outcomes? {
                if let Some(bytes) = self.write(ordered)? {
                    // A worker may hold on to the bytes until its next block. There is a buffer in their place, or all would
                    // wait for ever; and the workers may be done already.
                    let _ = buffers.try_send(Arc::into_inner(bytes).unwrap_or_default());
                }
            }
            self.write_seconds += started.elapsed().as_secs_f64();
            progress(self.figures.read + self.figures.resumed);
        }
        Ok(())
    }

    /// Takes an outcome whose turn it is, and gives back its bytes.
    fn write(&mut self, ordered: Ordered) -> Result<Option<Arc<Vec<u8>>>> {
        let outcome = &ordered.outcome;
        if ordered.member == self.members.len() as u64 {
            self.members.push(Arc::clone(&outcome.layout));
            self.lengths.push((0, 0));
        }
        if let Some(length) = self.lengths.last_mut() {
            *length = (ordered.lines + outcome.lines, ordered.records + outcome.records);
        }
        self.greatest = self.greatest.max(outcome.greatest);
        if outcome.is_known {
            self.figures.resumed += outcome.records;
        } else {
            let duplicates = self.duplicates(&ordered)?;
            self.write_letters(&ordered, &duplicates)?;
            self.count(outcome, duplicates.len() as u64)?;
            self.write_rows(&ordered, &duplicates)?;
            self.note_progress(outcome, duplicates.len() as u64);
        }
        let origin = &outcome.layout.origin;
        let (line, record) = (ordered.lines + outcome.lines + 1, ordered.records + outcome.records + 1);
        self.next = Some(origin.position(line, record, outcome.end));
        self.compute_seconds += outcome.busy.as_secs_f64();
        let is_full = |load: &Load| load.open.in_batches && load.records_in_batch >= self.run.options.batch_rows;
        if self.load.as_ref().is_some_and(is_full) {
            self.commit_batch()?;
        }
        drop(ordered.outcome.rows);
        Ok(ordered.outcome.bytes)
    }

    /// The rows of a load whose keys were there before.
    fn duplicates(&mut self, ordered: &Ordered) -> Result<Vec<Duplicate>> {
        let Ordered { outcome, firsts, .. } = ordered;
        let mut duplicates: Vec<Duplicate> = Vec::new();
        for (row, first) in firsts.iter().enumerate() {
            duplicates.extend(first.map(|place| Duplicate { row, first: First::Record(place) }));
        }
        let Some(table) =
            self.load.as_ref().filter(|load| load.open.key == KeyState::Indexed).map(|load| load.open.table)
        else {
            return Ok(duplicates);
        };
        let rows: Vec<u32> = (0..firsts.len() as u32).filter(|row| firsts[*row as usize].is_none()).collect();
        if !rows.is_empty() {
            let (_, columns) = &outcome.rows[0];
            let key: Vec<ColumnView<'_>> =
                self.run.key().iter().map(|(_, place)| ColumnView::Rows(&columns[*place])).collect();
            let found = self.sink.find_keys(table, &key, &Selection::Rows(rows.clone()))?;
            let known = rows.iter().zip(found).filter(|(_, found)| *found);
            duplicates.extend(known.map(|(row, _)| Duplicate { row: *row as usize, first: First::InTable }));
            duplicates.sort_unstable_by_key(|duplicate| duplicate.row);
        }
        Ok(duplicates)
    }

    /// Writes the rejected records and the duplicates of an outcome, in the order of the records.
    fn write_letters(&mut self, ordered: &Ordered, duplicates: &[Duplicate]) -> Result<()> {
        let outcome = &ordered.outcome;
        for (reject, Excerpt { lines_before, raw }) in outcome.rejects.iter().zip(&outcome.excerpts) {
            self.write_letter(ordered, reject, *lines_before, raw)?;
        }
        let mut lines = outcome.line_counter();
        let mut rejects = outcome.rejects[outcome.excerpts.len()..].iter().peekable();
        let report = self.run.options.report_duplicates;
        // One for all of them, because there may be many.
        let mut letter = self.run.duplicate_letter();
        for duplicate in duplicates.iter().filter(|_| report) {
            self.run.address_duplicate(outcome, duplicate.row, &mut letter);
            self.give_reason(duplicate.first, &mut letter.reason);
            while let Some(earlier) = rejects.next_if(|earlier| earlier.record < letter.record) {
                self.write_letter_of_block(ordered, earlier, &mut lines)?;
            }
            self.write_letter_of_block(ordered, &letter, &mut lines)?;
        }
        for reject in rejects {
            self.write_letter_of_block(ordered, reject, &mut lines)?;
        }
        Ok(())
    }

    /// A letter of which lines and bytes are to be found in the block.
    fn write_letter_of_block(&mut self, ordered: &Ordered, reject: &Reject, lines: &mut RecordLines<'_>) -> Result<()> {
        let lines_before = lines.before(reject.record, reject.span);
        self.write_letter(ordered, reject, lines_before, &ordered.outcome.bytes()[reject.span.range()])
    }

    fn write_letter(&mut self, ordered: &Ordered, reject: &Reject, lines_before: u64, raw: &[u8]) -> Result<()> {
        let position = position(ordered, reject.record, reject.span, lines_before);
        self.letters.write(&DeadLetter {
            position: &position,
            byte_length: reject.byte_length,
            code: reject.code.as_str(),
            column: &reject.column,
            value: &reject.value,
            reason: &reject.reason,
            raw,
        })
    }

    fn give_reason(&self, first: First, reason: &mut String) {
        reason.clear();
        let First::Record(place) = first else { return reason.push_str(KEY_IN_TABLE) };
        let (member, record) = member_and_record(place);
        // A string takes whatever is written to it.
        let _ = write!(reason, "record {record} of {} has this key", self.members[member].origin);
    }

    fn count(&mut self, outcome: &Outcome, duplicates: u64) -> Result<()> {
        let figures = &mut self.figures;
        figures.count(outcome, duplicates);
        if let Some(limit) = self.run.max_errors()
            && figures.rejected > limit
        {
            let message = format!("more than --max-errors {limit} records of `{}` were rejected", figures.name);
            return Err(Error::new(ErrorKind::Limit, format!("{message}; nothing was published")));
        }
        Ok(())
    }

    fn write_rows(&mut self, ordered: &Ordered, duplicates: &[Duplicate]) -> Result<()> {
        let outcome = &ordered.outcome;
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
                        let record = outcome.sources.records[row];
                        let lines_before = outcome.line_counter().before(record, *span);
                        failed.error.within(&position(ordered, record, *span, lines_before))
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
        let member = origin.member.as_deref().unwrap_or("");
        // Members come one after the other.
        let is_it = |entry: &MemberEntry| *entry.input == *origin.input && entry.member == member;
        if !load.entries.last().is_some_and(is_it) {
            if !self.run.can_be_read_again(&origin.input) {
                return;
            }
            load.entries.push(load.open.entry_of(origin, &outcome.layout.names));
        }
        let Some(entry) = load.entries.last_mut() else { return };
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
            let start = || Position {
                input: self.run.inputs.first().map(|input| input.name().to_owned()).unwrap_or_default(),
                member: None,
                line: 1,
                record: 1,
                byte_offset: 0,
            };
            self.figures.interrupted_at = Some(self.next.take().unwrap_or_else(start));
        }
        let Some(load) = &self.load else { return Ok(()) };
        if is_interrupted && load.open.can_be_repeated {
            return self.write_ledger();
        }
        if load.open.in_batches && load.records_in_batch > 0 {
            self.commit_batch()?;
        }
        if let Some(load) = &mut self.load {
            load.open.build_key(self.sink)?;
            load.open.ledger.is_finished = true;
        }
        self.write_ledger()
    }

    /// What was written.
    pub(super) fn into_written(self) -> Written {
        let BatchWriter { figures, lengths, greatest, compute_seconds, write_seconds, .. } = self;
        Written { figures, lengths, greatest, compute_seconds, write_seconds }
    }
}

/// Where a record of a block lies.
fn position(ordered: &Ordered, record: u32, span: Span, lines_before: u64) -> Position {
    let line = ordered.lines + lines_before + 1;
    let record = ordered.records + u64::from(record) + 1;
    ordered.outcome.layout.origin.position(line, record, ordered.outcome.offset + u64::from(span.start))
}
