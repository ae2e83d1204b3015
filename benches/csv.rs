//! Single-thread speed of splitting, parsing and decoding, in MB/s of input. Not a comparison with other tools.

use std::hint::black_box;
use std::time::{Duration, Instant};

use feedmill::chunk::DataType;
use feedmill::csv::{Block, Blocks, DecodeColumn, Decoder, Dialect, Parser, Records};

const INPUT_BYTES: usize = 64 << 20;
const BLOCK_BYTES: usize = 256 << 10;
const ROUNDS: usize = 7;

fn main() {
    for (name, quoted_percent) in [("no quotes", 0), ("1% of fields quoted", 1), ("all text quoted", 100)] {
        measure(name, &rows(quoted_percent));
    }
}

/// Rows of about 60 bytes with seven fields, of which some texts are quoted.
fn rows(quoted_percent: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(INPUT_BYTES + 256);
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut row = 0u64;
    while out.len() < INPUT_BYTES {
        row += 1;
        let date = format!("2025-{:02}-{:02}", 1 + random(12), 1 + random(28));
        let maturity =
            if random(10) == 0 { String::new() } else { format!("2025-{:02}-{:02}", 1 + random(12), 1 + random(28)) };
        let mut text =
            |text: String| if random(100) < quoted_percent { format!("\"{text}, \"\"x\"\"\n\"") } else { text };
        let (id, sku) = (text(format!("T{row:09}")), text(format!("SKU{:05}", row * 7919 % 5000)));
        let zip = format!("{:05}", random(100_000));
        let line =
            format!("{id},{date},{sku},{},{}.{:02},{maturity},{zip}\n", 1 + random(20), random(500), random(100));
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn cut(input: &[u8], mut visit: impl FnMut(Block) -> Vec<u8>) {
    let dialect = Dialect::default();
    let mut blocks = Blocks::new(dialect, BLOCK_BYTES);
    let mut rest = input;
    let mut spare = Vec::new();
    while !blocks.is_done() {
        let space = blocks.space();
        let read = rest.len().min(space.len());
        space[..read].copy_from_slice(&rest[..read]);
        rest = &rest[read..];
        blocks.advance(read);
        while let Some(block) = blocks.take(|| std::mem::take(&mut spare)) {
            spare = visit(block);
        }
    }
}

fn measure(name: &str, input: &[u8]) {
    let dialect = Dialect::default();
    let types = [
        DataType::Text,
        DataType::Date,
        DataType::Text,
        DataType::Integer,
        DataType::Decimal { precision: 12, scale: 2 },
        DataType::Date,
        DataType::Text,
    ];
    let columns = types
        .iter()
        .enumerate()
        .map(|(field, data_type)| DecodeColumn {
            name: String::new(),
            field,
            data_type: *data_type,
            not_null: false,
            nullify: false,
        })
        .collect();
    let parser = Parser::new(dialect, types.len());
    let mut decoder = Decoder::new(columns, &[String::new()], &dialect);
    let mut records = Records::default();
    // The least time of each block over all rounds: what else the machine does then hardly counts.
    let blocks = input.len() / BLOCK_BYTES + 2;
    let mut best = [vec![Duration::MAX; blocks], vec![Duration::MAX; blocks], vec![Duration::MAX; blocks]];
    let mut note = |what: usize, block: usize, time: Duration| best[what][block] = best[what][block].min(time);
    let mut rows = 0;
    for _ in 0..ROUNDS {
        let mut block = 0;
        let mut started = Instant::now();
        cut(input, |cut| {
            note(0, block, started.elapsed());
            block += 1;
            started = Instant::now();
            black_box(cut).bytes
        });
        block = 0;
        rows = 0;
        cut(input, |cut| {
            let started = Instant::now();
            parser.parse(black_box(&cut), &mut records);
            note(1, block, started.elapsed());
            assert!(records.rejects.is_empty());
            rows += records.len();
            let started = Instant::now();
            let decoded = decoder.decode(&mut records, cut.bytes);
            note(2, block, started.elapsed());
            assert!(decoded.rejects.is_empty());
            block += 1;
            drop(black_box(decoded.columns));
            std::sync::Arc::into_inner(decoded.bytes).unwrap_or_default()
        });
    }
    let speed = |times: &[Duration]| {
        let taken: Duration = times.iter().filter(|time| **time < Duration::MAX).sum();
        input.len() as f64 / 1e6 / taken.as_secs_f64()
    };
    println!(
        "{name}: {:.0} bytes a row; split (with the copy into the buffer) {:.0}, parse {:.0}, decode {:.0} MB/s",
        input.len() as f64 / rows as f64,
        speed(&best[0]),
        speed(&best[1]),
        speed(&best[2]),
    );
}
