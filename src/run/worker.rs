//! The WorkerPool's work: a block to columns, to values, to groups and rows. Each worker has its own state; nothing here
//! waits for another worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::aggregate::{Aggregate, AggregationState};
use crate::chunk::{Cell, Column, ColumnView, DataType, Reject, RejectCode, Selection, Span, Values};
use crate::csv::{Block, Decoded, Decoder, LineCounter, Parser, Records, unquote};
use crate::dedupe;
use crate::dedupe::KeyHasher;
use crate::expr::{Evaluator, FaultKind, NodeId, Results};
use crate::plan::{FeedOutput, FeedPlan, OutputKind, Plan};
use crate::run::reader::{Layout, Work};
use crate::sink::Fingerprint;

/// What has become of a block.
pub(super) struct Outcome {
    /// The number of its member.
    pub(super) member: u64,
    /// Its place in it.
    pub(super) seq: u64,
    /// What all blocks of the member have in common.
    pub(super) layout: Arc<Layout>,
    /// Where its first byte lies in the member.
    pub(super) offset: u64,
    /// Where the byte behind its last one lies in the member.
    pub(super) end: u64,
    /// For a load: what the member is known by up to there.
    pub(super) fingerprint: Fingerprint,
    /// Whether the member ends there.
    pub(super) is_last: bool,
    /// Whether an earlier run has loaded it, so that only its keys count.
    pub(super) is_known: bool,
    /// Its bytes, to be read once more for dead letters and then to be used again; none if the worker has kept them.
    pub(super) bytes: Option<Arc<Vec<u8>>>,
    /// Its records.
    pub(super) records: u64,
    /// Its physical lines.
    pub(super) lines: u64,
    /// Its rejected records, ascending.
    pub(super) rejects: Vec<Reject>,
    /// What dead letters need of the bytes for each of them, if the worker has kept these.
    pub(super) excerpts: Vec<Excerpt>,
    /// Good records that at least one table took.
    pub(super) loaded: u64,
    /// Good records that no table took.
    pub(super) filtered: u64,
    /// Good records that are not above the watermark.
    pub(super) skipped: u64,
    /// The greatest value of the column of the watermark among good records.
    pub(super) greatest: Option<i64>,
    /// Invalid values that became NULL, for each of the layout's columns.
    pub(super) nullified: Vec<u64>,
    /// Rows for which each counter holds.
    pub(super) counters: Vec<u64>,
    /// Rows for row tables: the place among the feed's outputs, and the columns.
    pub(super) rows: Vec<(usize, Vec<Column>)>,
    /// For a load: where the rows come from, and their keys.
    pub(super) sources: RowSources,
    /// Time spent on it.
    pub(super) busy: Duration,
}

impl Outcome {
    /// Its bytes; none if the worker has kept them.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().map_or(&[], Vec::as_slice)
    }

    /// What it takes while it waits for its turn, in bytes. One with a buffer is more than any bound: without the buffer the
    /// others would be read more slowly, or not at all.
    pub(super) fn waiting_bytes(&self) -> usize {
        let counts = (self.nullified.len() + self.counters.len()) * size_of::<u64>();
        let raw = self.excerpts.iter().map(|excerpt| excerpt.raw.len()).sum::<usize>();
        let rejects = self.rejects.len() * BYTES_PER_REJECT + raw;
        if self.bytes.is_some() { usize::MAX } else { size_of::<Outcome>() + counts + rejects }
    }

    /// Takes its buffer away if few of its bytes are needed any more, so that the next block is read to where this one was: into
    /// the cache of the same core.
    pub(super) fn take_buffer(&mut self) -> Option<Vec<u8>> {
        let raw: usize = self.rejects.iter().map(|reject| reject.span.len as usize).sum();
        let has_rows = !self.rows.is_empty() || !self.sources.records.is_empty();
        if has_rows || self.rejects.len() > EXCERPTS_MAX || raw > EXCERPT_BYTES_MAX {
            return None;
        }
        let mut lines = self.line_counter();
        let excerpt = |reject: &Reject| Excerpt {
            lines_before: lines.before(reject.record, reject.span),
            raw: self.bytes()[reject.span.range()].into(),
        };
        self.excerpts = self.rejects.iter().map(excerpt).collect();
        self.bytes.take().and_then(Arc::into_inner)
    }

    /// Counts its lines.
    pub(super) fn line_counter(&self) -> RecordLines<'_> {
        // Mostly each record ends with the only line feed that it has.
        let records_are_lines = self.lines == self.records && self.bytes().ends_with(b"\n");
        RecordLines { records_are_lines, lines: LineCounter::new(self.bytes()) }
    }
}

/// What a dead letter needs of the bytes of a block.
pub(super) struct Excerpt {
    /// Lines of the block in front of the record.
    pub(super) lines_before: u64,
    /// The record.
    pub(super) raw: Box<[u8]>,
}

/// Of so many rejected records excerpts are made, if they have no more than so many bytes.
const EXCERPTS_MAX: usize = 64;
const EXCERPT_BYTES_MAX: usize = 16 << 10;

/// About what a rejected record takes, besides its bytes.
const BYTES_PER_REJECT: usize = 512;

/// Lines of a block in front of its records, which are asked for in ascending order.
pub(super) struct RecordLines<'a> {
    records_are_lines: bool,
    lines: LineCounter<'a>,
}

impl RecordLines<'_> {
    /// Lines in front of a record, by its place among the records and its bytes.
    pub(super) fn before(&mut self, record: u32, span: Span) -> u64 {
        if self.records_are_lines { record.into() } else { self.lines.lines_before(span.start) }
    }
}

/// The records that became the rows of a load, one for each row.
#[derive(Debug, Default)]
pub(super) struct RowSources {
    /// The places of the records in the block.
    pub(super) records: Vec<u32>,
    /// Where their bytes lie in the block, without the line end.
    pub(super) spans: Vec<Span>,
    /// What stands for their keys; nothing without one.
    pub(super) keys: Vec<dedupe::Fingerprint>,
}

/// A worker.
pub(super) struct Worker<'p> {
    feed: &'p FeedPlan,
    hasher: KeyHasher,
    watermark: Option<WatermarkFilter>,
    evaluator: Evaluator<'p>,
    member: Option<OpenMember>,
    records: Records,
    /// A state for each output that makes groups.
    states: Vec<Option<AggregationState>>,
}

/// Which rows lie above the watermark.
#[derive(Debug, Clone, Copy)]
pub(super) struct WatermarkFilter {
    /// The place of the column.
    pub(super) column: usize,
    /// Rows up to this value are known; none are without it.
    pub(super) known: Option<i64>,
}

impl WatermarkFilter {
    /// Takes the flags off good rows that are known; returns how many those are, and the greatest value of a good row.
    fn apply(&self, inputs: &[Option<Column>], live: &mut [bool]) -> (u64, Option<i64>) {
        let Some(Column { values: Values::Int(values), .. }) = &inputs[self.column] else { return (0, None) };
        let (mut skipped, mut greatest) = (0, None);
        for (value, live) in values.iter().zip(live).filter(|(_, live)| **live) {
            greatest = greatest.max(Some(*value));
            if self.known.is_some_and(|known| *value <= known) {
                *live = false;
                skipped += 1;
            }
        }
        (skipped, greatest)
    }
}

/// What depends on the header of a member.
struct OpenMember {
    layout: Arc<Layout>,
    parser: Parser,
    decoder: Decoder,
}

impl<'p> Worker<'p> {
    /// A worker for a feed of a plan.
    pub(super) fn new(
        plan: &'p Plan,
        feed: &'p FeedPlan,
        hasher: KeyHasher,
        watermark: Option<WatermarkFilter>,
    ) -> Self {
        let lookups = plan.lookups.iter().map(|lookup| &lookup.data).collect();
        Worker {
            feed,
            hasher,
            watermark,
            evaluator: Evaluator::new(&feed.program, lookups, &roots(feed)),
            member: None,
            records: Records::default(),
            states: feed.outputs.iter().map(|output| empty_state(feed, output)).collect(),
        }
    }

    /// The groups so far: a state for each output that makes groups.
    pub(super) fn into_states(self) -> Vec<Option<AggregationState>> {
        self.states
    }

    /// The groups so far, to make room among them.
    pub(super) fn states_mut(&mut self) -> &mut [Option<AggregationState>] {
        &mut self.states
    }

    /// Works through a block.
    pub(super) fn process(&mut self, work: Work) -> Outcome {
        let started = Instant::now();
        let Work { member, seq, layout, block, fingerprint, is_last, is_known } = work;
        let (feed, offset, end) = (self.feed, block.offset, block.end);
        let decoded = self.decode(&layout, block);
        let mut inputs: Vec<Option<Column>> = feed.columns.iter().map(|_| None).collect();
        for (column, place) in decoded.columns.into_iter().zip(&layout.declared) {
            inputs[*place] = Some(column);
        }
        let results = self.evaluator.evaluate(&inputs, self.records.len());

        let mut rows = Rows::new(self.records.len());
        rows.check(feed, &results, &|row, column| {
            field_text(&self.records, &decoded.bytes, row, column, &layout, feed)
        });
        let taken: Vec<Vec<bool>> = feed.outputs.iter().map(|output| rows.taken_by(output, &results)).collect();
        for (place, output) in feed.outputs.iter().enumerate() {
            rows.reject_null_keys(feed, output, &results, &taken[place]);
        }
        for (name, node) in &feed.counters {
            rows.reject_faults(&results, *node, &format!("counter {name}"), None);
        }

        let counters = feed.counters.iter().map(|(_, node)| rows.count(results.view(*node))).collect();
        let (mut skipped, mut greatest) = (0, None);
        if let Some(watermark) = &self.watermark {
            (skipped, greatest) = watermark.apply(&inputs, &mut rows.live);
        }
        let live_rows = Selection::from_flags(&rows.live);
        let loaded = rows.count_taken(&taken);
        let mut row_tables = Vec::new();
        let mut sources = RowSources::default();
        for (place, output) in feed.outputs.iter().enumerate() {
            let filtered = output.filter.map(|_| rows.selection(&taken[place]));
            let selection = filtered.as_ref().unwrap_or(&live_rows);
            match (&output.kind, &mut self.states[place]) {
                (OutputKind::Groups { keys, aggregates, .. }, Some(state)) => {
                    let views = |nodes: &[NodeId]| -> Vec<ColumnView<'_>> {
                        nodes.iter().map(|node| results.view(*node)).collect()
                    };
                    state.update(&views(keys), &views(&distinct_arguments(aggregates)), selection);
                }
                (OutputKind::Rows { columns }, _) => {
                    let selected = selected_rows(selection);
                    if let Some(load) = &feed.load {
                        let key: Vec<NodeId> = load.key.iter().map(|(_, place)| columns[*place]).collect();
                        sources = row_sources(&self.records, &selected);
                        let views: Vec<ColumnView<'_>> = key.iter().map(|node| results.view(*node)).collect();
                        let types: Vec<DataType> = key.iter().map(|node| feed.program.data_type(*node)).collect();
                        if !key.is_empty() {
                            self.hasher.fingerprints(&views, &types, selection, &mut sources.keys);
                        }
                    }
                    if !is_known {
                        row_tables
                            .push((place, columns.iter().map(|node| results.view(*node).gather(&selected)).collect()));
                    }
                }
                (OutputKind::Groups { .. }, None) => {}
            }
        }
        self.evaluator.forget_chunk();
        Outcome {
            member,
            seq,
            layout,
            offset,
            end,
            fingerprint,
            is_last,
            is_known,
            records: self.records.total() as u64,
            lines: u64::from(self.records.lines()),
            rejects: rows.into_rejects(&mut self.records, decoded.rejects),
            excerpts: Vec::new(),
            loaded: loaded as u64,
            filtered: (live_rows.len() - loaded) as u64,
            skipped,
            greatest,
            nullified: decoded.nullified,
            counters,
            rows: row_tables,
            sources,
            bytes: Some(decoded.bytes),
            busy: started.elapsed(),
        }
    }

    /// A block to its records and columns.
    fn decode(&mut self, layout: &Arc<Layout>, block: Block) -> Decoded {
        let feed = self.feed;
        let member = match &mut self.member {
            Some(member) if Arc::ptr_eq(&member.layout, layout) => member,
            member => member.insert(OpenMember {
                parser: Parser::new(feed.dialect, layout.fields),
                decoder: Decoder::new(layout.columns.clone(), &feed.nulls, &feed.dialect),
                layout: Arc::clone(layout),
            }),
        };
        member.parser.parse(&block, &mut self.records);
        member.decoder.decode(&mut self.records, block.bytes)
    }
}

/// What a declared column says in a row, as text; nothing for a column that is not decoded.
fn field_text(records: &Records, bytes: &[u8], row: usize, column: usize, layout: &Layout, feed: &FeedPlan) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(place) = layout.declared.iter().position(|declared| *declared == column) {
        unquote(records.field(bytes, row, layout.columns[place].field), feed.dialect.quote, &mut text);
    }
    text
}

/// Which rows of a block are still good, and what was wrong with the others.
struct Rows {
    live: Vec<bool>,
    /// By row; record and span are filled in at the end.
    rejects: Vec<(usize, Reject)>,
}

impl Rows {
    fn new(len: usize) -> Self {
        Rows { live: vec![true; len], rejects: Vec::new() }
    }

    fn reject(&mut self, row: usize, code: RejectCode, column: &str, value: Vec<u8>, reason: String) {
        if std::mem::replace(&mut self.live[row], false) {
            let (record, span, byte_length) = (0, Span::default(), 0);
            let reject = Reject { record, span, byte_length, code, column: column.to_owned(), value, reason };
            self.rejects.push((row, reject));
        }
    }

    /// The good rows among those that an output takes.
    fn selection(&self, taken: &[bool]) -> Selection {
        let flags: Vec<bool> = taken.iter().zip(&self.live).map(|(taken, live)| *taken && *live).collect();
        Selection::from_flags(&flags)
    }

    /// How many good rows at least one output takes.
    fn count_taken(&self, taken: &[Vec<bool>]) -> usize {
        let mut is_taken = vec![false; self.live.len()];
        for taken in taken {
            is_taken.iter_mut().zip(taken).for_each(|(is_taken, taken)| *is_taken |= taken);
        }
        self.live.iter().zip(&is_taken).filter(|(live, is_taken)| **live & **is_taken).count()
    }

    /// Rejects rows for which a CHECK is false.
    fn check(&mut self, feed: &FeedPlan, results: &Results<'_>, value: &dyn Fn(usize, usize) -> Vec<u8>) {
        for check in &feed.checks {
            let place = format!("CHECK ({})", check.text);
            self.reject_faults(results, check.predicate, &place, None);
            let failed = results.view(check.predicate).rows_that_are(false, self.live.len());
            if !failed.contains(&true) {
                continue;
            }
            let column = feed.columns.iter().position(|column| column.name == check.column);
            for row in (0..failed.len()).filter(|row| failed[*row]) {
                if self.live[row] {
                    let mut value = column.map(|column| value(row, column)).unwrap_or_default();
                    value.truncate(Reject::MAX_VALUE_BYTES);
                    let reason = format!("{place} is false");
                    self.reject(row, RejectCode::CheckFailed, &check.column, value, reason);
                }
            }
        }
    }

    /// The rows that an output takes; rejects those for which something that it needs has no value.
    fn taken_by(&mut self, output: &FeedOutput, results: &Results<'_>) -> Vec<bool> {
        let taken = match output.filter {
            None => vec![true; self.live.len()],
            Some(filter) => {
                self.reject_faults(results, filter, "WHERE", None);
                results.view(filter).rows_that_are(true, self.live.len())
            }
        };
        for node in output_nodes(output) {
            self.reject_faults(results, node, "a column of a table", Some(&taken));
        }
        taken
    }

    /// Rejects rows that lack a part of the key that their table is de-duplicated by.
    fn reject_null_keys(&mut self, feed: &FeedPlan, output: &FeedOutput, results: &Results<'_>, taken: &[bool]) {
        let (Some(load), OutputKind::Rows { columns }) = (&feed.load, &output.kind) else { return };
        for (name, place) in &load.key {
            let view = results.view(columns[*place]);
            if !view.may_be_null() {
                continue;
            }
            for row in (0..self.live.len()).filter(|row| taken[*row] && view.get(*row) == Cell::Null) {
                let reason = "a part of the primary key is NULL".to_owned();
                self.reject(row, RejectCode::NullValue, name, Vec::new(), reason);
            }
        }
    }

    fn reject_faults(&mut self, results: &Results<'_>, node: NodeId, place: &str, among: Option<&[bool]>) {
        for (row, kind) in results.faults(node) {
            let row = *row as usize;
            if among.is_none_or(|among| among[row]) {
                let (code, what) = match kind {
                    FaultKind::Overflow => (RejectCode::Overflow, "a result does not fit its type"),
                    FaultKind::InvalidCast => (RejectCode::InvalidCast, "a value cannot be cast"),
                };
                self.reject(row, code, "", Vec::new(), format!("{what}, in {place}"));
            }
        }
    }

    /// All rejected records of the block, ascending: those of the parser, of the decoder, and these.
    fn into_rejects(self, records: &mut Records, decoded: Vec<Reject>) -> Vec<Reject> {
        let mut rejects = std::mem::take(&mut records.rejects);
        rejects.extend(decoded);
        rejects.extend(self.rejects.into_iter().map(|(row, reject)| {
            let span = records.span(row);
            Reject { record: records.record(row), span, byte_length: u64::from(span.len), ..reject }
        }));
        rejects.sort_by_key(|reject| reject.record);
        rejects
    }

    /// Good rows for which a predicate is true.
    fn count(&self, view: ColumnView<'_>) -> u64 {
        let holds = view.rows_that_are(true, self.live.len());
        holds.iter().zip(&self.live).filter(|(holds, live)| **holds && **live).count() as u64
    }
}

/// Where selected good records come from.
fn row_sources(records: &Records, rows: &[u32]) -> RowSources {
    RowSources {
        records: rows.iter().map(|row| records.record(*row as usize)).collect(),
        spans: rows.iter().map(|row| records.span(*row as usize)).collect(),
        keys: Vec::with_capacity(rows.len()),
    }
}

fn selected_rows(selection: &Selection) -> Vec<u32> {
    match selection {
        Selection::All(len) => (0..*len as u32).collect(),
        Selection::Rows(rows) => rows.clone(),
    }
}

/// Everything that is evaluated for the rows of a feed.
fn roots(feed: &FeedPlan) -> Vec<NodeId> {
    let checks = feed.checks.iter().map(|check| check.predicate);
    let counters = feed.counters.iter().map(|(_, node)| *node);
    let outputs = feed.outputs.iter().flat_map(|output| output.filter.into_iter().chain(output_nodes(output)));
    let mut roots: Vec<NodeId> = checks.chain(counters).chain(outputs).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn output_nodes(output: &FeedOutput) -> Vec<NodeId> {
    match &output.kind {
        OutputKind::Rows { columns } => columns.clone(),
        OutputKind::Groups { keys, aggregates, .. } => {
            keys.iter().copied().chain(aggregates.iter().filter_map(|(_, node)| *node)).collect()
        }
    }
}

/// The arguments of aggregates, each once: aggregates of one argument share their work.
fn distinct_arguments(aggregates: &[(Aggregate, Option<NodeId>)]) -> Vec<NodeId> {
    let mut arguments = Vec::new();
    for node in aggregates.iter().filter_map(|(_, node)| *node) {
        if !arguments.contains(&node) {
            arguments.push(node);
        }
    }
    arguments
}

/// The state of an output that makes groups, before the first row.
pub(super) fn empty_state(feed: &FeedPlan, output: &FeedOutput) -> Option<AggregationState> {
    match &output.kind {
        OutputKind::Rows { .. } => None,
        OutputKind::Groups { keys, aggregates, .. } => {
            let keys: Vec<_> = keys.iter().map(|node| feed.program.data_type(*node)).collect();
            let arguments = distinct_arguments(aggregates);
            let place = |node: &NodeId| arguments.iter().position(|argument| argument == node);
            let aggregates: Vec<_> =
                aggregates.iter().map(|(aggregate, node)| (*aggregate, node.as_ref().and_then(place))).collect();
            Some(AggregationState::new(&keys, &aggregates))
        }
    }
}
