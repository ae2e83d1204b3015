//! What was typed: the command line as clap reads it. Validates single values; resolves nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::run::OnChangedPrefix;
use crate::sink::{Mode, Writer};

/// Very large CSV and zipped-CSV feeds to a clean, de-duplicated, aggregated SQLite database: exact numbers, bounded memory.
#[derive(Debug, Parser)]
#[command(
    name = "feedmill",
    version,
    about,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(super) color: When,
    /// When to draw a progress bar (auto: only on a terminal)
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(super) progress: When,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a pipeline: feeds in, SQLite tables out
    Run(Run),
    /// Check everything short of running: types, names, files, a sample of the records
    Check(Check),
    /// Show the plan: what is read, what the engine runs, what SQLite runs
    Explain(Explain),
    /// Run the same job by the slow, obvious reference engine too, and list every difference
    Verify(Verify),
    /// Run the latest file as a whole and on top of its history, and compare tables, time and memory
    Compare(Compare),
    /// Load dead letters again, after a fix; repeated, it adds nothing
    Replay(Replay),
    /// Write a starting pipeline to stdout
    Init(Init),
    /// Write seeded synthetic feeds
    Generate(Generate),
    /// Generate a small feed, run its pipeline and show the result; no arguments, no files needed
    Demo(Demo),
}

/// Which pipeline, with which inputs.
#[derive(Debug, Args)]
pub(super) struct PipelineArguments {
    /// The pipeline file (TOML)
    pub(super) pipeline: PathBuf,
    /// Files of the only feed, instead of those in the pipeline file; `-` is stdin
    pub(super) files: Vec<String>,
    /// What its names stand for.
    #[command(flatten)]
    pub(super) bindings: BindingArguments,
}

/// What the names in a pipeline stand for.
#[derive(Debug, Clone, Args)]
pub(super) struct BindingArguments {
    /// Files of a feed or the file of a lookup, by its name (repeatable)
    #[arg(long = "input", value_name = "NAME=PATH", value_parser = key_value)]
    pub(super) inputs: Vec<(String, String)>,
    /// The value of a parameter of the pipeline (repeatable)
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(super) parameters: Vec<(String, String)>,
    /// Where relative paths in the pipeline file start from [default: the folder of the pipeline file]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// Which rows.
#[derive(Debug, Args)]
pub(super) struct OnlyArguments {
    /// Take only rows with one of these values in a column of every feed, its own or one that a lookup brings in: the
    /// batch of one (repeatable). Ranks and windows are then over these rows; they go into a database of their own
    #[arg(long = "only", value_name = "COLUMN=VALUE,...", value_parser = key_value)]
    pub(super) only: Vec<(String, String)>,
}

/// How much of the machine.
#[derive(Debug, Args)]
pub(super) struct ResourceArguments {
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
    /// The most memory that the process may use
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = byte_size)]
    pub(super) memory: u64,
}

/// What is written besides the database and the dead letters.
#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// Where temporary files go [default: what the system says]
    #[arg(long, value_name = "DIR")]
    pub(super) temp_dir: Option<PathBuf>,
    /// Write the summary to a JSON file, too
    #[arg(long, value_name = "FILE.json")]
    pub(super) summary: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `feedmill run`
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Which pipeline.
    #[command(flatten)]
    pub(super) pipeline: PipelineArguments,
    /// Which rows.
    #[command(flatten)]
    pub(super) only: OnlyArguments,
    /// The SQLite database to write
    #[arg(long, value_name = "OUT.db")]
    pub(super) db: PathBuf,
    /// How much of the machine.
    #[command(flatten)]
    pub(super) resources: ResourceArguments,
    /// Where rejected and duplicate records go, with position, code and reason
    #[arg(long, value_name = "FILE", default_value = "errors.csv")]
    pub(super) errors: PathBuf,
    /// Stop and publish nothing past this many rejected records (a load is then one transaction)
    #[arg(long, value_name = "N")]
    pub(super) max_errors: Option<u64>,
    /// Stop and publish nothing past this share of rejected records (a load is then one transaction)
    #[arg(long, value_name = "P", value_parser = rate)]
    pub(super) max_error_rate: Option<f64>,
    /// Exit with 0 instead of 3 when records were rejected
    #[arg(long)]
    pub(super) allow_rejects: bool,
    /// What to do about tables that are there already
    #[arg(long, value_enum, default_value_t = TableMode::Create, value_name = "MODE")]
    pub(super) mode: TableMode,
    /// Process the feed of [incremental] as a whole, and forget what was known of it
    #[arg(long, conflicts_with = "only")]
    pub(super) full_refresh: bool,
    /// What to do when the content of the feed of [incremental] no longer begins with what is known of it
    #[arg(long, value_enum, default_value_t = ChangedPrefix::Full, value_name = "WHAT", conflicts_with = "only")]
    pub(super) on_changed_prefix: ChangedPrefix,
    /// Run as if the pipeline had no [incremental]: nothing is kept for the next run
    #[arg(long, conflicts_with_all = ["full_refresh", "on_changed_prefix"])]
    pub(super) no_incremental: bool,
    /// How new tables are written: as whole pages, published all at once, or by INSERT, committed in batches
    #[arg(long, value_enum, default_value_t = WriterName::Auto, value_name = "HOW")]
    pub(super) writer: WriterName,
    /// Have SQLite check the whole database at the end
    #[arg(long)]
    pub(super) check_database: bool,
    /// Commit rows that are inserted after so many records [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) batch_rows: Option<u64>,
    /// Whether records whose key was there before go to the dead letters
    #[arg(long, value_enum, default_value_t = OnDuplicate::Report, value_name = "WHAT")]
    pub(super) on_duplicate: OnDuplicate,
    /// Besides the database.
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// What to do when a prefix has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ChangedPrefix {
    /// Say so, and process the feed as a whole
    Full,
    /// Fail, and change nothing
    Fail,
}

impl From<ChangedPrefix> for OnChangedPrefix {
    fn from(changed: ChangedPrefix) -> Self {
        match changed {
            ChangedPrefix::Full => OnChangedPrefix::Full,
            ChangedPrefix::Fail => OnChangedPrefix::Fail,
        }
    }
}

/// `feedmill check`
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Which pipeline.
    #[command(flatten)]
    pub(super) pipeline: PipelineArguments,
    /// How many records of each feed to try
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(super) sample: u64,
}

/// `feedmill explain`
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Which pipeline.
    #[command(flatten)]
    pub(super) pipeline: PipelineArguments,
    /// Which rows.
    #[command(flatten)]
    pub(super) only: OnlyArguments,
}

/// `feedmill verify`
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Which pipeline.
    #[command(flatten)]
    pub(super) pipeline: PipelineArguments,
    /// Which rows.
    #[command(flatten)]
    pub(super) only: OnlyArguments,
    /// How much of the machine.
    #[command(flatten)]
    pub(super) resources: ResourceArguments,
    /// Compare the first N records of each feed only
    #[arg(long, value_name = "N")]
    pub(super) sample: Option<u64>,
}

/// `feedmill replay`
#[derive(Debug, Args)]
#[command(mut_arg("files", |files| files.hide(true)))]
pub(super) struct Replay {
    /// The dead-letter file of a run
    #[arg(value_name = "ERRORS.csv")]
    pub(super) letters: PathBuf,
    /// Which pipeline.
    #[command(flatten)]
    pub(super) pipeline: PipelineArguments,
    /// The SQLite database that the run has written
    #[arg(long, value_name = "OUT.db")]
    pub(super) db: PathBuf,
    /// How much of the machine.
    #[command(flatten)]
    pub(super) resources: ResourceArguments,
    /// Where records go that are rejected again [default: beside ERRORS.csv, as ERRORS.replay.csv]
    #[arg(long, value_name = "FILE")]
    pub(super) errors: Option<PathBuf>,
    /// Exit with 0 instead of 3 when records were rejected
    #[arg(long)]
    pub(super) allow_rejects: bool,
    /// Besides the database.
    #[command(flatten)]
    pub(super) output: OutputArguments,
}

/// `feedmill compare`
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The pipeline file (TOML), with [incremental]
    pub(super) pipeline: PathBuf,
    /// Earlier files of the feed, in their order
    #[arg(long, value_name = "FILES", num_args = 1.., required = true)]
    pub(super) history: Vec<String>,
    /// The file to compare the runs by
    #[arg(long, value_name = "FILE")]
    pub(super) latest: String,
    /// What its names stand for.
    #[command(flatten)]
    pub(super) bindings: BindingArguments,
    /// How often each of the two is run, in turn; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(super) runs: u16,
    /// Write a report in Markdown
    #[arg(long, value_name = "results.md")]
    pub(super) report: Option<PathBuf>,
    /// Keep the databases in this folder, in the place of those of an earlier comparison
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// How much of the machine.
    #[command(flatten)]
    pub(super) resources: ResourceArguments,
}

/// `feedmill init`
#[derive(Debug, Args)]
pub(super) struct Init {
    /// One of the shipped pipelines
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub(super) preset: &'static crate::presets::Preset,
}

/// `feedmill generate`
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// Which feed.
    #[command(subcommand)]
    pub(super) feed: GenerateFeed,
}

/// The feeds that can be generated.
#[derive(Debug, Subcommand)]
pub(super) enum GenerateFeed {
    /// Daily, cumulative archives of sales of several clients, with two lookup tables
    Transactions(GenerateTransactions),
    /// Orders, some of them malformed or with a repeated key, and what a loader must count
    Orders(GenerateOrders),
    /// Sales of two years, some of them malformed, and what a loader must count
    Sales(GenerateSales),
    /// People with their bank accounts and a year of transactions, in three files
    Spendsense(GenerateSpendsense),
}

/// What every generator has.
#[derive(Debug, Args)]
pub(super) struct FeedArguments {
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// The same seed and sizes give the same bytes
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(super) seed: u64,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<u16>,
}

/// `feedmill generate transactions`
#[derive(Debug, Args)]
pub(super) struct GenerateTransactions {
    #[command(flatten)]
    pub(super) feed: FeedArguments,
    /// Clients, each in a folder of its own
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) clients: u32,
    /// Days; the archive of a day holds all days before it, too
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) days: u32,
    /// Rows of the first day
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) base_rows: u64,
    /// New rows of each later day
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(super) daily_rows: u64,
    /// Products; a fifth of them makes four fifths of the sales
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(super) skus: u32,
    /// The first day
    #[arg(long, value_name = "DATE", default_value = "2025-10-01")]
    pub(super) start_date: chrono::NaiveDate,
    /// Write plain .csv files instead of .zip archives
    #[arg(long)]
    pub(super) plain: bool,
}

/// `feedmill generate orders`
#[derive(Debug, Args)]
pub(super) struct GenerateOrders {
    #[command(flatten)]
    pub(super) feed: FeedArguments,
    /// Rows, bad ones included
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) rows: u64,
    /// The share of rows that repeat the id of an earlier one, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = rate)]
    pub(super) duplicates: f64,
    /// The share of rows that are malformed, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = rate)]
    pub(super) malformed: f64,
}

/// `feedmill generate sales`
#[derive(Debug, Args)]
pub(super) struct GenerateSales {
    #[command(flatten)]
    pub(super) feed: FeedArguments,
    /// Rows, bad ones included; about 100 bytes each
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) rows: u64,
    /// The share of rows that are malformed, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = rate)]
    pub(super) malformed: f64,
}

/// `feedmill generate spendsense`
#[derive(Debug, Args)]
pub(super) struct GenerateSpendsense {
    #[command(flatten)]
    pub(super) feed: FeedArguments,
    /// Users; about 200 transactions each
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(super) users: u64,
    /// The day of the last transactions
    #[arg(long, value_name = "DATE", default_value = "2025-11-04")]
    pub(super) reference_date: chrono::NaiveDate,
}

/// `feedmill demo`
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// A feed of full size: 1.9 million records
    #[arg(long)]
    pub(super) full: bool,
    /// Where to leave the feed, the pipeline and the database [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

/// What to do about tables that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableMode {
    /// Go on with what this pipeline has begun; add to and overwrite nothing else
    Create,
    /// Add the records of new inputs to tables of rows
    Append,
    /// Make every table anew, whoever made the one that is there
    Replace,
    /// Let rows take the place of rows with the same primary key
    Upsert,
}

impl From<TableMode> for Mode {
    fn from(mode: TableMode) -> Self {
        match mode {
            TableMode::Create => Mode::Create,
            TableMode::Append => Mode::Append,
            TableMode::Replace => Mode::Replace,
            TableMode::Upsert => Mode::Upsert,
        }
    }
}

/// How new tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WriterName {
    /// As pages where the database takes them, unless --batch-rows is given
    Auto,
    /// By INSERT; a load that was killed goes on behind its last batch
    Insert,
    /// As pages; a database that does not take them is refused
    Bulk,
}

impl Run {
    /// How new tables are written. Whoever gives the size of batches wants batches.
    pub(super) fn writer(&self) -> Writer {
        match self.writer {
            WriterName::Auto if self.batch_rows.is_some() => Writer::Insert,
            WriterName::Auto => Writer::Auto,
            WriterName::Insert => Writer::Insert,
            WriterName::Bulk => Writer::Bulk,
        }
    }
}

/// What happens to records whose key was there before, besides being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDuplicate {
    /// They go to the dead letters
    Report,
    /// Nothing
    Drop,
}

/// When to do something that depends on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=1.0).contains(rate))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn preset(name: &str) -> Result<&'static crate::presets::Preset, String> {
    crate::presets::find(name).ok_or_else(|| {
        let names: Vec<&str> = crate::presets::PRESETS.iter().map(|preset| preset.name).collect();
        format!("there is no such pipeline; there is: {}", names.join(", "))
    })
}

/// The least memory that a run can be held to: what the process needs whatever the input.
const LEAST_MEMORY: u64 = 64_000_000;

/// Reads a size: a number with B, KB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024) behind it.
fn byte_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("expected a size such as 256MB or 1GiB".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a size such as 256MB or 1GiB".to_owned())?;
    let bytes = (number * factor) as u64;
    if bytes < LEAST_MEMORY {
        return Err(format!("the least is {}MB", LEAST_MEMORY / 1_000_000));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(byte_size("256MB"), Ok(256_000_000));
        assert_eq!(byte_size("1.5 GiB"), Ok(1_610_612_736));
        assert!(byte_size("1MB").is_err());
        assert!(byte_size("much").is_err());
    }
}
