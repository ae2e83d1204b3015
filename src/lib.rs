//! feedmill turns very large CSV and zipped-CSV feeds into a clean, de-duplicated, aggregated SQLite database: exact numbers, under a
//! memory limit, as fast as the disk and the cores allow. This page is the map; the README says how to use the command.
//!
//! # How data flows
//!
//! ```text
//! source -> csv::split -> [blocks] -> csv::parse, csv::decode -> expr -> aggregate, or rows
//!        -> [outcomes] -> input order, dedupe -> [in order] -> one writer -> sink: SQLite, dead letters, ledger
//! ```
//!
//! A pool of workers does everything up to the outcomes: each reads a block when its turn has come ([`run`]'s StreamingReader,
//! which unpacks and splits), and works on it while the others read. One thread puts the outcomes into order and finds
//! duplicates, and the thread that called [`run::run`] writes. At the end of a feed its groups are merged by one thread and
//! finished by another, while that one writes. The folders stand in data order:
//!
//! | layer | module | what it is | what it knows nothing of |
//! |---|---|---|---|
//! | nouns | [`error`] | what ends a run | rows |
//! | | [`chunk`] | rows in columns, decimals, dates, rejects | files, SQL, threads |
//! | cores | [`source`] | files, globs, archives, stdin as bytes | CSV |
//! | | [`csv`] | bytes to records to typed columns | I/O, SQL |
//! | | [`expr`] | SQL text to a bound program to values | files, groups |
//! | | [`dedupe`] | which keys have come before, exactly | what a key is made of |
//! | | [`sort`] | entries in the order of their keys, beyond memory | what a key means |
//! | | [`aggregate`] | groups and exact partial results | SQL, files |
//! | | [`sink`] | columns to pages and rows of SQLite, its ledger of loads, the dead-letter file | what a table means |
//! | plan | [`plan`] | what a pipeline file means, decided once | how it is computed |
//! | move | [`run`] | threads, channels, order, memory limit | how a value is computed |
//! | apart | [`reference`] | the slow, obvious engine | the fast one |
//! | | [`verify`](mod@verify) | both engines and their differences | |
//! | | [`generate`] | seeded synthetic feeds | everything else |
//! | | [`report`] | figures as Markdown | runs and databases |
//! | | [`presets`] | the shipped pipelines | everything else |
//! | edge | [`cli`] | arguments, progress, summaries | |
//!
//! Plan decides, run moves, the rest computes. Who may import whom is a table in `tests/tidy.rs`, checked on every run.
//!
//! # What it promises
//!
//! 1. **Bounded.** The process keeps to its memory limit whatever the size of the input. What is in flight is bounded by the
//!    number of buffers, records by their greatest length; groups and keys that do not fit their share go through temporary
//!    files. A lookup, or a single group, that does not fit ends the run with an error and publishes nothing.
//! 2. **Nothing lost.** `read = loaded + duplicate + filtered + rejected` for every feed, checked at the end of every run.
//!    Every rejected or duplicate record is in the dead-letter file, and rejecting it changes nothing about its neighbours.
//! 3. **Exact.** Sums of integers, decimals and doubles are exact until they are rounded once, at the end. A record is a
//!    duplicate only if an exact check says so.
//! 4. **Deterministic.** The same input gives the same tables and the same dead letters for any number of threads and any
//!    size of blocks.
//! 5. **Atomic.** New tables are published whole or not at all. Rows for tables that exist are committed in batches, each
//!    with its entry in the ledger, so that the same command goes on where it was killed.
//! 6. **Incremental.** Where a feed is processed for what is new, work is proportional to that, and the tables are those of a
//!    full run, exactly: the ledger has the hash of the content that is known and the partial results of its groups.
//!
//! # Where to add what
//!
//! - A scalar function: its meaning in [`expr::Function`], its name and types in `expr/bind/functions.rs`, its kernel in
//!   `expr/kernels/`, its slow twin in `reference/eval.rs`. `tests/` compares the two, and SQLite where it has the function.
//! - An aggregate: [`aggregate::AggregateFunction`], an accumulator beside the others, its bytes in `aggregate/format.rs`, its
//!   name in `plan/staging.rs`, its slow twin in `reference/groups.rs`. The laws of merging, and of storing and taking back,
//!   are tested for every function.
//! - An operator in rules: [`plan::Condition`], its SQL in `plan/condition.rs`, its slow twin in `reference/rules.rs`.
//! - A reject code: [`chunk::RejectCode`]; the word is part of the dead-letter format.
//! - A shipped pipeline: a `.toml` in `presets/` and a line in `presets/mod.rs`.

pub mod aggregate;
pub mod chunk;
pub mod cli;
pub mod csv;
pub mod dedupe;
pub mod error;
pub mod expr;
pub mod generate;
pub mod plan;
pub mod presets;
pub mod reference;
pub mod report;
pub mod run;
pub mod sink;
pub mod sort;
pub mod source;
pub mod verify;
