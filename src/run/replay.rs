//! A replay: dead letters go the way of records once more, and those that are good now are added to the table that they
//! were meant for. One transaction, batch by batch: read, compute on all threads, write. Positions are those that the
//! letters say, whatever block a record comes to lie in.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use memchr::memchr2;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::chunk::{ColumnView, RejectCode, Selection};
use crate::csv::{Block, Dialect, Parser, Records};
use crate::dedupe::KeyHasher;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Position;
use crate::error::Result;
use crate::plan::{Plan, RulesPlan, TablePlan};
use crate::run::batch::KEY_IN_TABLE;
use crate::run::feed::{FeedRun, panicked};
use crate::run::figures::{FeedFigures, Figures, TableFigures};
use crate::run::load::origin_of;
use crate::run::memory::{block_bytes, peak_rss_bytes};
use crate::run::reader::{Layout, Work, header_names, layout};
use crate::run::tables::{Target, load_layout, select_tables};
use crate::run::validate::validate;
use crate::run::worker::{Outcome, Worker};
use crate::run::{Options, Progress};
use crate::sink::{DeadLetter, DeadLetterReader, DeadLetterWriter, Fingerprint, KeyState, LetterId, Sink, TableId};
use crate::source::{OnRead, Origin, expand};

/// Loads the dead letters of earlier runs that are good by now, and writes the others to `letters`. What an earlier replay
/// has loaded is skipped. The mode of the sink is `Append`.
///
/// # Errors
/// Whatever ends the replay; nothing is published then.
pub fn replay(
    plan: &Plan,
    options: &Options,
    from: &mut DeadLetterReader,
    sink: &mut dyn Sink,
    letters: &mut DeadLetterWriter,
    progress: &mut dyn FnMut(Progress),
) -> Result<Figures> {
    let started = Instant::now();
    validate(plan)?;
    refuse_temporary(plan)?;
    sink.begin()?;
    let mut replay = Replay::open(plan, options, sink, letters)?;
    let input = from.path().display().to_string();
    let mut records = 0;
    loop {
        if options.shutdown.is_requested() {
            return Err(Error::new(ErrorKind::Interrupted, format!("interrupted; nothing of {input} was loaded")));
        }
        let (bytes, bytes_total) = from.progress();
        let Some(letter) = from.read()? else { break };
        replay.take(&letter)?;
        records += 1;
        progress(Progress { bytes, bytes_total: Some(bytes_total), records });
    }
    replay.flush()?;
    let Replay { tables, figures: feeds, .. } = replay;
    let mut figures = Figures {
        feeds: feeds.into_iter().map(|feed| FeedFigures { inputs: vec![input.clone()], ..feed }).collect(),
        tables: tables.iter().map(LoadTable::figures).collect(),
        threads: options.threads,
        memory_limit_bytes: options.memory_limit_bytes,
        ..Figures::default()
    };
    figures.tables.extend(select_tables(plan, sink, &RulesPlan::sql)?);
    letters.flush()?;
    sink.commit()?;
    figures.elapsed_seconds = started.elapsed().as_secs_f64();
    figures.peak_rss_bytes = peak_rss_bytes();
    Ok(figures)
}

/// Complains about tables that would be needed to make those FROM other tables anew, and are gone.
fn refuse_temporary(plan: &Plan) -> Result<()> {
    let is_gone = |table: &&TablePlan| table.is_temporary && table.is_of_feed();
    match plan.tables.iter().find(is_gone) {
        Some(table) => {
            let message =
                format!("the temporary table `{}` is made of records that a replay does not read", table.name);
            Err(Error::new(ErrorKind::Pipeline, message).help("mend the input and run the pipeline again"))
        }
        None => Ok(()),
    }
}

/// A replay under way.
struct Replay<'a> {
    sink: &'a mut dyn Sink,
    letters: &'a mut DeadLetterWriter,
    /// The tables that records are loaded into.
    tables: Vec<LoadTable<'a>>,
    /// The inputs of feeds that are not loaded, with the place of the feed.
    other_inputs: HashMap<String, usize>,
    /// Where the letters of each member go.
    destinations: HashMap<Origin, Destination>,
    /// The same for the last letter: most have the member of the one before.
    last: Option<(Origin, Destination)>,
    probe: Option<Probe>,
    /// For each thread a worker for each of `tables`.
    workers: Vec<Mutex<Vec<Worker<'a>>>>,
    pool: ThreadPool,
    batch: Batch,
    /// For each feed of the plan.
    figures: Vec<FeedFigures>,
}

/// A table that records are loaded into.
struct LoadTable<'a> {
    name: String,
    run: FeedRun<'a>,
    /// The place of its feed in the plan.
    feed: usize,
    target: Target,
    key: KeyState,
    /// The headers of the members that were loaded.
    headers: HashMap<Origin, Vec<String>>,
}

impl LoadTable<'_> {
    fn figures(&self) -> TableFigures {
        TableFigures { name: self.name.clone(), rows: self.target.rows(), is_temporary: false }
    }
}

/// Where the letters of a member go.
#[derive(Debug, Clone)]
enum Destination {
    /// Into a table, with records of this layout.
    Table { table: usize, layout: Arc<Layout> },
    /// Nowhere: they are of a feed whose tables are made from all records. Its place in the plan.
    Nowhere { feed: usize },
}

/// Letters on their way, in order.
struct Batch {
    blocks: Vec<LetterBlock>,
    ids: HashSet<LetterId>,
    bytes: usize,
    /// The size of a block.
    block_bytes: usize,
    /// Full with so many bytes.
    bytes_max: usize,
}

/// Letters of one member, whose records lie behind one another.
struct LetterBlock {
    table: usize,
    layout: Arc<Layout>,
    bytes: Vec<u8>,
    letters: Vec<Letter>,
    /// Whether more can be put behind them.
    is_open: bool,
}

/// What a letter says, besides where its input is.
struct Letter {
    id: LetterId,
    line: u64,
    record: u64,
    byte_offset: u64,
    byte_length: u64,
    /// Where its record lies in the block.
    start: usize,
    len: usize,
}

/// So that no thread waits long for the others at the end of a batch.
const BLOCKS_PER_THREAD: usize = 4;

/// What a letter takes while it is under way, besides its record: it counts as so many bytes of it.
const LETTER_BYTES: usize = 16;

/// The same for a block.
const BLOCK_BYTES: usize = 1 << 10;

impl<'a> Replay<'a> {
    fn open(
        plan: &'a Plan,
        options: &'a Options,
        sink: &'a mut dyn Sink,
        letters: &'a mut DeadLetterWriter,
    ) -> Result<Self> {
        let mut tables = Vec::new();
        let mut other_inputs = HashMap::new();
        for (feed, plan_feed) in plan.feeds.iter().enumerate() {
            let Some(layout) = load_layout(plan, plan_feed) else {
                // Of inputs that are gone by now, the names as written are still known.
                let inputs = expand(&plan_feed.files).unwrap_or_default();
                let names = inputs.iter().map(|input| input.name().to_owned());
                other_inputs.extend(names.chain(plan_feed.files.iter().cloned()).map(|name| (name, feed)));
                continue;
            };
            let load = sink.open_load(&layout)?;
            let name = layout.name;
            let ledger = load.ledger.ok_or_else(|| {
                Error::new(ErrorKind::Output, format!("there is no table `{name}` that feedmill has loaded"))
                    .help("run the pipeline into this database first; a replay adds to what that has loaded")
            })?;
            if !ledger.is_finished {
                return Err(Error::new(ErrorKind::Output, format!("the load into `{name}` is not finished"))
                    .help("run the pipeline again with the same inputs, which goes on with it; then replay"));
            }
            tables.push(LoadTable {
                name,
                run: FeedRun { plan, feed: plan_feed, options, inputs: &[] },
                feed,
                target: Target::new(load.table),
                key: load.key,
                headers: ledger.members.into_iter().map(|entry| (origin_of(&entry), entry.header)).collect(),
            });
        }
        if tables.is_empty() {
            let message = format!("{} loads no records: all of its tables are aggregated", plan.path.display());
            return Err(Error::new(ErrorKind::Pipeline, message)
                .help("they are made from all records: run the pipeline again, over the inputs"));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|index| format!("worker-{index}"))
            .build()
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("cannot start the workers: {cause}")))?;
        let hasher = KeyHasher::new();
        let workers = || tables.iter().map(|table| Worker::new(plan, table.run.feed, hasher.clone(), None)).collect();
        let block_bytes = block_bytes(options.block_bytes, options.threads, options.memory_limit_bytes);
        Ok(Replay {
            sink,
            letters,
            workers: (0..options.threads).map(|_| Mutex::new(workers())).collect(),
            pool,
            tables,
            other_inputs,
            destinations: HashMap::new(),
            last: None,
            probe: None,
            batch: Batch {
                blocks: Vec::new(),
                ids: HashSet::new(),
                bytes: 0,
                block_bytes: block_bytes / BLOCKS_PER_THREAD,
                bytes_max: block_bytes * options.threads,
            },
            figures: plan.feeds.iter().map(FeedFigures::new).collect(),
        })
    }

    /// Takes the next letter.
    fn take(&mut self, letter: &DeadLetter<'_>) -> Result<()> {
        let (table, layout) = match self.destination(letter.position)? {
            Destination::Table { table, layout } => (table, layout),
            Destination::Nowhere { feed } => return self.keep(feed, letter),
        };
        let LoadTable { feed, run, target, .. } = &self.tables[table];
        let (feed, target) = (*feed, target.id);
        let is_whole = letter.raw.len() as u64 >= letter.byte_length;
        let shape =
            if is_whole { shape(letter.raw, &run.feed.dialect, &layout, &mut self.probe) } else { Shape::Other };
        if shape == Shape::Other {
            return self.keep(feed, letter);
        }
        let id = id(letter);
        if self.batch.ids.contains(&id) {
            // What becomes of the first of two equal letters decides about the second.
            self.flush()?;
        }
        if self.sink.is_replayed(target, &id)? {
            self.figures[feed].resumed += 1;
            return Ok(());
        }
        self.batch.push(table, layout, letter, id, shape);
        if self.batch.bytes >= self.batch.bytes_max { self.flush() } else { Ok(()) }
    }

    /// Writes a letter as it is, behind those in front of it.
    fn keep(&mut self, feed: usize, letter: &DeadLetter<'_>) -> Result<()> {
        self.flush()?;
        let figures = &mut self.figures[feed];
        figures.read += 1;
        match RejectCode::parse(letter.code) {
            Some(RejectCode::DuplicateKey) => figures.duplicate += 1,
            code => {
                figures.rejected += 1;
                code.into_iter().for_each(|code| *figures.rejected_by_code.entry(code).or_default() += 1);
            }
        }
        self.letters.write(letter)
    }

    /// Computes and writes what is under way.
    fn flush(&mut self) -> Result<()> {
        let blocks = self.batch.take();
        if blocks.is_empty() {
            return Ok(());
        }
        let (workers, pool) = (&self.workers, &self.pool);
        let process = |block: LetterBlock| {
            let thread = rayon::current_thread_index().unwrap_or(0);
            let mut workers = workers[thread].lock().unwrap_or_else(PoisonError::into_inner);
            let work = Work {
                member: 0,
                seq: 0,
                layout: block.layout,
                block: Block::at(0, block.bytes),
                fingerprint: Fingerprint::default(),
                is_last: false,
                is_known: false,
            };
            (block.table, block.letters, workers[block.table].process(work))
        };
        let compute = || pool.install(|| blocks.into_par_iter().map(process).collect::<Vec<_>>());
        let computed = catch_unwind(AssertUnwindSafe(compute)).map_err(|_| panicked())?;
        computed.into_iter().try_for_each(|(table, letters, outcome)| self.write(table, &letters, outcome))
    }

    /// Writes what has become of a block: rows, letters, and which of them a replay need not look at any more.
    fn write(&mut self, table: usize, letters: &[Letter], mut outcome: Outcome) -> Result<()> {
        let LoadTable { run, feed, target, key, .. } = &self.tables[table];
        if outcome.records != letters.len() as u64 {
            let message = format!("{} dead letters came to be {} records", letters.len(), outcome.records);
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let duplicates = match key {
            KeyState::Indexed => find_duplicates(&mut *self.sink, target.id, run.key(), &outcome)?,
            KeyState::Unkeyed | KeyState::Deferred => Vec::new(),
        };
        self.figures[*feed].count(&outcome, duplicates.len() as u64);
        let mut rejects = std::mem::take(&mut outcome.rejects);
        rejects.extend(duplicates.iter().map(|row| {
            let mut letter = run.duplicate_letter();
            run.address_duplicate(&outcome, *row, &mut letter);
            letter.reason.push_str(KEY_IN_TABLE);
            letter
        }));
        rejects.sort_by_key(|reject| reject.record);
        let mut is_loaded = vec![true; letters.len()];
        for reject in &rejects {
            let letter = &letters[reject.record as usize];
            is_loaded[reject.record as usize] = false;
            self.letters.write(&DeadLetter {
                position: &letter.position(&outcome.layout.origin),
                byte_length: letter.byte_length,
                code: reject.code.as_str(),
                column: &reject.column,
                value: &reject.value,
                reason: &reject.reason,
                raw: &outcome.bytes()[letter.start..letter.start + letter.len],
            })?;
        }
        for (_, columns) in &outcome.rows {
            let views: Vec<ColumnView<'_>> = columns.iter().map(ColumnView::Rows).collect();
            let rows = &outcome.sources.records;
            let flags: Vec<bool> = rows.iter().map(|record| is_loaded[*record as usize]).collect();
            let selection = Selection::from_flags(&flags);
            self.sink.rows(target.id, &views, &selection).map_err(|failed| {
                let row = match &selection {
                    Selection::All(_) => Some(failed.row),
                    Selection::Rows(rows) => rows.get(failed.row).map(|row| *row as usize),
                };
                match row.and_then(|row| rows.get(row)) {
                    Some(record) => failed.error.within(&letters[*record as usize].position(&outcome.layout.origin)),
                    None => failed.error,
                }
            })?;
            target.count(selection.len() as u64);
        }
        let done = letters.iter().zip(is_loaded).filter(|(_, is_loaded)| *is_loaded);
        self.sink.write_replayed(target.id, &done.map(|(letter, _)| letter.id).collect::<Vec<_>>())
    }

    /// Where a letter goes.
    fn destination(&mut self, position: &Position) -> Result<Destination> {
        let is_of = |origin: &Origin| {
            *origin.input == *position.input && origin.member.as_deref() == position.member.as_deref()
        };
        if let Some((origin, destination)) = &self.last
            && is_of(origin)
        {
            return Ok(destination.clone());
        }
        let origin =
            Origin { input: position.input.as_str().into(), member: position.member.as_deref().map(Into::into) };
        let destination = match self.destinations.get(&origin) {
            Some(destination) => destination.clone(),
            None => {
                let destination = self.find_destination(&origin)?;
                self.destinations.insert(origin.clone(), destination.clone());
                destination
            }
        };
        self.last = Some((origin, destination.clone()));
        Ok(destination)
    }

    fn find_destination(&self, origin: &Origin) -> Result<Destination> {
        let knows = |table: &usize| self.tables[*table].headers.contains_key(origin);
        let known: Vec<usize> = (0..self.tables.len()).filter(knows).collect();
        let table = match (&known[..], self.other_inputs.get(&*origin.input)) {
            ([table], None) => *table,
            ([], Some(feed)) => return Ok(Destination::Nowhere { feed: *feed }),
            ([], None) if self.figures.len() == 1 => 0,
            ([], None) => {
                let message = format!("no load into this database knows {origin}, and there are several feeds");
                return Err(Error::new(ErrorKind::Input, message)
                    .help("replay its dead letters with a pipeline that has only the feed that they are of"));
            }
            (_, _) => {
                let message = format!("{origin} is an input of several feeds: whose dead letters are these?");
                return Err(Error::new(ErrorKind::Input, message)
                    .help("replay them with a pipeline that has only the feed that they are of"));
            }
        };
        let LoadTable { run, headers, .. } = &self.tables[table];
        let names = match headers.get(origin) {
            Some(names) => names.clone(),
            None if !run.feed.dialect.header => Vec::new(),
            None => header_of(run, origin)?,
        };
        Ok(Destination::Table { table, layout: Arc::new(layout(run.feed, origin, &names)?) })
    }
}

/// The names of the columns of a member that no ledger knows: as the input itself says, if it can be read.
fn header_of(run: &FeedRun<'_>, origin: &Origin) -> Result<Vec<String>> {
    let on_read: OnRead = Arc::new(|_| Ok(()));
    let find = || -> Result<Option<Vec<String>>> {
        for input in expand(&[origin.input.to_string()])? {
            if !input.can_be_read_again() || input.name() != &*origin.input {
                continue;
            }
            for member in input.open(&on_read)? {
                let member = member?;
                if member.origin() == origin {
                    return header_names(run.feed, member).map(Some);
                }
            }
        }
        Ok(None)
    };
    let why = match find() {
        Ok(Some(names)) => return Ok(names),
        Ok(None) if &*origin.input == "-" => "it can be read only once".to_owned(),
        Ok(None) => "there is no such input".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("the header of {origin} is not known, so that its dead letters cannot be told into columns");
    Err(Error::new(ErrorKind::Input, format!("{message}: the database has no record of it, and {why}")).help(
        "write its header line, and below it the `raw` values, into a file; `feedmill run PIPELINE FILE --mode append` \
         loads that",
    ))
}

/// The rows of a block whose keys the table has, or an earlier row of the block.
fn find_duplicates(
    sink: &mut dyn Sink,
    table: TableId,
    key: &[(String, usize)],
    outcome: &Outcome,
) -> Result<Vec<usize>> {
    let Some((_, columns)) = outcome.rows.first() else { return Ok(Vec::new()) };
    let keys = &outcome.sources.keys;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let views: Vec<ColumnView<'_>> = key.iter().map(|(_, place)| ColumnView::Rows(&columns[*place])).collect();
    let found = sink.find_keys(table, &views, &Selection::All(keys.len()))?;
    let mut seen = HashSet::with_capacity(keys.len());
    Ok((0..keys.len()).filter(|row| found[*row] || !seen.insert(keys[*row])).collect())
}

/// What a letter is known by, in whatever file it comes.
fn id(letter: &DeadLetter<'_>) -> LetterId {
    let Position { input, member, byte_offset, .. } = letter.position;
    let mut origin = blake3::Hasher::new();
    for text in [input.as_str(), member.as_deref().unwrap_or("")] {
        origin.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    let mut id = LetterId::default();
    let (member, rest) = id.split_at_mut(8);
    let (offset, record) = rest.split_at_mut(8);
    origin.finalize_xof().fill(member);
    // With the greatest byte first, ids are in the order of offsets.
    offset.copy_from_slice(&byte_offset.to_be_bytes());
    blake3::Hasher::new().update(letter.raw).finalize_xof().fill(record);
    id
}

/// How a record can be put among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// With a line feed behind it, it is the same record, and the next one begins there.
    Line,
    /// It is one record if nothing comes behind it.
    Alone,
    /// It is not one record.
    Other,
}

/// Finds the records of a letter.
struct Probe {
    layout: Arc<Layout>,
    parser: Parser,
    records: Records,
    bytes: Vec<u8>,
}

fn shape(raw: &[u8], dialect: &Dialect, layout: &Arc<Layout>, probe: &mut Option<Probe>) -> Shape {
    // A carriage return at the end would become a part of the line end.
    let can_be_line = !raw.is_empty() && !raw.ends_with(b"\r");
    if can_be_line && memchr2(b'\n', dialect.quote.unwrap_or(b'\n'), raw).is_none() {
        return Shape::Line;
    }
    let probe = match probe {
        Some(probe) if Arc::ptr_eq(&probe.layout, layout) => probe,
        probe => probe.insert(Probe {
            layout: Arc::clone(layout),
            parser: Parser::new(*dialect, layout.fields),
            records: Records::default(),
            bytes: Vec::new(),
        }),
    };
    let mut bytes = std::mem::take(&mut probe.bytes);
    bytes.clear();
    bytes.extend_from_slice(raw);
    let block = Block::at(0, bytes);
    probe.parser.parse(&block, &mut probe.records);
    probe.bytes = block.bytes;
    match (probe.records.total(), probe.records.len()) {
        (1, 1) if can_be_line && probe.records.span(0).len as usize == raw.len() => Shape::Line,
        (1, _) => Shape::Alone,
        _ => Shape::Other,
    }
}

impl Batch {
    fn push(&mut self, table: usize, layout: Arc<Layout>, letter: &DeadLetter<'_>, id: LetterId, shape: Shape) {
        let is_line = shape == Shape::Line;
        let fits = |block: &LetterBlock| {
            is_line && block.is_open && block.bytes.len() < self.block_bytes && Arc::ptr_eq(&block.layout, &layout)
        };
        if !self.blocks.last().is_some_and(fits) {
            self.bytes += BLOCK_BYTES;
            self.blocks.push(LetterBlock { table, layout, bytes: Vec::new(), letters: Vec::new(), is_open: is_line });
        }
        if let Some(LetterBlock { bytes, letters, .. }) = self.blocks.last_mut() {
            let Position { line, record, byte_offset, .. } = *letter.position;
            let (start, len, byte_length) = (bytes.len(), letter.raw.len(), letter.byte_length);
            letters.push(Letter { id, line, record, byte_offset, byte_length, start, len });
            bytes.extend_from_slice(letter.raw);
            if is_line {
                bytes.push(b'\n');
            }
            self.ids.insert(id);
            self.bytes += len + LETTER_BYTES;
        }
    }

    fn take(&mut self) -> Vec<LetterBlock> {
        self.ids.clear();
        self.bytes = 0;
        std::mem::take(&mut self.blocks)
    }
}

impl Letter {
    fn position(&self, origin: &Origin) -> Position {
        origin.position(self.line, self.record, self.byte_offset)
    }
}
