//! Single-thread speed of each stage of the hot path on the shipped sales pipeline, with the data in memory: rows and bytes
//! of input a second. `FEEDMILL_SIMD=portable|avx2|avx512` takes lesser instructions. Not a comparison with other tools.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feedmill::aggregate::AggregationState;
use feedmill::chunk::{Column, ColumnView, DataType, Selection};
use feedmill::csv::{Block, Blocks, DecodeColumn, Decoder, Dialect, Parser, Records, read_header};
use feedmill::expr::{Evaluator, NodeId, Results};
use feedmill::generate::sales;
use feedmill::plan::{FeedPlan, OutputKind, Plan, Settings};

const ROWS: u64 = 1_000_000;
const BLOCK_BYTES: usize = 256 << 10;
const ROUNDS: usize = 7;
/// The tables of the pipeline, in its order, are stages of their own.
const STAGES: [&str; 8] = ["split", "parse", "decode", "evaluate", "by segment", "by product", "by store", "all"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    sales::generate(
        &sales::Options { out: folder.path().to_owned(), rows: ROWS, ..sales::Options::default() },
        &mut |_| (),
    )?;
    let pipeline = folder.path().join("sales.toml");
    std::fs::write(&pipeline, include_str!("../src/presets/sales.toml"))?;
    let plan = Plan::load(&pipeline, &Settings::default())?;
    let input = std::fs::read(folder.path().join("sales.csv"))?;
    let header = read_header(&input, true, &Dialect::default())?.ok_or("no header")?;
    let records = &input[header.bytes..];

    let mut best = [Duration::MAX; STAGES.len()];
    for _ in 0..ROUNDS {
        let times = Stages::new(&plan.feeds[0]).run(records);
        for (best, time) in best.iter_mut().zip(times) {
            *best = (*best).min(time);
        }
    }
    for (stage, time) in STAGES.iter().zip(best) {
        let (rows, megabytes) = (ROWS as f64 / 1e6, records.len() as f64 / 1e6);
        let seconds = time.as_secs_f64();
        println!("{stage:10} {:7.1} million rows/s {:7.0} MB/s", rows / seconds, megabytes / seconds);
    }
    Ok(())
}

/// What a worker has.
struct Stages<'p> {
    feed: &'p FeedPlan,
    parser: Parser,
    records: Records,
    decoder: Decoder,
    /// The place of each decoded column among all columns.
    decoded: Vec<usize>,
    evaluator: Evaluator<'p>,
    tables: Vec<Table>,
}

/// A table of groups on its way.
struct Table {
    keys: Vec<NodeId>,
    arguments: Vec<NodeId>,
    state: AggregationState,
}

impl<'p> Stages<'p> {
    fn new(feed: &'p FeedPlan) -> Self {
        let used = || feed.columns.iter().enumerate().filter(|(_, column)| column.used);
        let column = |(field, column): (usize, &feedmill::plan::FeedColumn)| DecodeColumn {
            name: column.name.clone(),
            field,
            data_type: column.data_type,
            not_null: column.not_null,
            nullify: column.nullify,
        };
        let tables: Vec<Table> = feed.outputs.iter().filter_map(|output| Table::new(feed, &output.kind)).collect();
        let mut roots: Vec<NodeId> = feed.checks.iter().map(|check| check.predicate).collect();
        roots.extend(tables.iter().flat_map(|table| table.keys.iter().chain(&table.arguments)));
        roots.sort_unstable();
        roots.dedup();
        Stages {
            feed,
            parser: Parser::new(feed.dialect, feed.columns.len()),
            records: Records::default(),
            decoder: Decoder::new(used().map(column).collect(), &feed.nulls, &feed.dialect),
            decoded: used().map(|(place, _)| place).collect(),
            evaluator: Evaluator::new(&feed.program, Vec::new(), &roots),
            tables,
        }
    }

    /// The time that each stage takes for all records.
    fn run(mut self, input: &[u8]) -> [Duration; STAGES.len()] {
        let mut times = [Duration::ZERO; STAGES.len()];
        let mut blocks = Blocks::new(self.feed.dialect, BLOCK_BYTES);
        let (mut rest, mut spare) = (input, Vec::new());
        let started = Instant::now();
        while !blocks.is_done() {
            let mut watch = Watch(Instant::now());
            let space = blocks.space();
            let read = rest.len().min(space.len());
            space[..read].copy_from_slice(&rest[..read]);
            rest = &rest[read..];
            blocks.advance(read);
            while let Some(block) = blocks.take(|| std::mem::take(&mut spare)) {
                times[0] += watch.lap();
                spare = self.process(block, &mut watch, &mut times);
            }
            times[0] += watch.lap();
        }
        times[STAGES.len() - 1] = started.elapsed();
        black_box(self.tables.into_iter().map(|table| table.state.groups()).sum::<usize>());
        times
    }

    /// Takes a block through all stages but the first, and gives its buffer back.
    fn process(&mut self, block: Block, watch: &mut Watch, times: &mut [Duration; STAGES.len()]) -> Vec<u8> {
        self.parser.parse(&block, &mut self.records);
        times[1] += watch.lap();
        let decoded = self.decoder.decode(&mut self.records, block.bytes);
        assert!(self.records.rejects.is_empty() && decoded.rejects.is_empty(), "the feed has no bad records");
        times[2] += watch.lap();
        let mut inputs: Vec<Option<Column>> = self.feed.columns.iter().map(|_| None).collect();
        for (column, place) in decoded.columns.into_iter().zip(&self.decoded) {
            inputs[*place] = Some(column);
        }
        let results = self.evaluator.evaluate(&inputs, self.records.len());
        times[3] += watch.lap();
        for (table, time) in self.tables.iter_mut().zip(&mut times[4..]) {
            table.update(&results, self.records.len());
            *time += watch.lap();
        }
        self.evaluator.forget_chunk();
        drop(inputs);
        Arc::into_inner(decoded.bytes).unwrap_or_default()
    }
}

impl Table {
    fn new(feed: &FeedPlan, kind: &OutputKind) -> Option<Self> {
        let OutputKind::Groups { keys, aggregates, .. } = kind else { return None };
        let mut arguments: Vec<NodeId> = aggregates.iter().filter_map(|(_, node)| *node).collect();
        arguments.sort_unstable();
        arguments.dedup();
        let place = |node: NodeId| arguments.iter().position(|argument| *argument == node);
        let aggregates: Vec<_> =
            aggregates.iter().map(|(aggregate, node)| (*aggregate, node.and_then(place))).collect();
        let types: Vec<DataType> = keys.iter().map(|node| feed.program.data_type(*node)).collect();
        Some(Table { keys: keys.clone(), arguments, state: AggregationState::new(&types, &aggregates) })
    }

    fn update(&mut self, results: &Results<'_>, rows: usize) {
        let views =
            |nodes: &[NodeId]| -> Vec<ColumnView<'_>> { nodes.iter().map(|node| results.view(*node)).collect() };
        self.state.update(&views(&self.keys), &views(&self.arguments), &Selection::All(rows));
    }
}

/// Tells how long it is since it was last asked.
struct Watch(Instant);

impl Watch {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
