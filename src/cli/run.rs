//! `feedmill run`: a pipeline into a database, and what came of it on the screen.

use std::path::Path;
use std::time::Instant;

use crate::cli::arguments::{OnDuplicate, OnlyArguments, PipelineArguments, ResourceArguments, Run};
use crate::cli::progress::Bar;
use crate::cli::{Ending, Manner, summary};
use crate::error::Error;
use crate::error::Position;
use crate::error::Result;
use crate::plan::{Plan, ReportPlan, Settings};
use crate::run::{self, Figures, Options, Report, Shutdown, sqlite_functions};
use crate::sink::{Database, DeadLetterWriter, SqliteOptions, SqliteSink};

/// How many rows of a report are shown.
const REPORT_ROWS: usize = 50;

pub(super) fn run(arguments: &Run, manner: Manner) -> Result<Ending> {
    let started = Instant::now();
    let mut plan = load_only(&arguments.pipeline, &arguments.only, Some(arguments.resources.memory))?;
    let warnings = std::mem::take(&mut plan.warnings);
    if manner.verbose {
        show_warnings(warnings);
    }
    if arguments.no_incremental {
        plan.feeds.iter_mut().for_each(|feed| feed.incremental = None);
    }
    let resources = options(&arguments.resources);
    let options = Options {
        max_errors: arguments.max_errors,
        max_error_rate: arguments.max_error_rate,
        batch_rows: arguments.batch_rows.unwrap_or(resources.batch_rows),
        full_refresh: arguments.full_refresh,
        on_changed_prefix: arguments.on_changed_prefix.into(),
        report_duplicates: arguments.on_duplicate == OnDuplicate::Report,
        temp_dir: arguments.output.temp_dir.clone(),
        shutdown: Shutdown::on_signals()?,
        ..resources
    };
    let sqlite = SqliteOptions {
        mode: arguments.mode.into(),
        writer: arguments.writer(),
        cache_bytes: run::cache_bytes(options.memory_limit_bytes),
        sort_bytes: run::sort_bytes(options.memory_limit_bytes),
        temp_dir: arguments.output.temp_dir.clone(),
        ..SqliteOptions::default()
    };
    let mut figures = into_database(&plan, &options, &arguments.db, sqlite, &arguments.errors, manner)?;
    if arguments.check_database {
        Database::open(&arguments.db, &[])?.check()?;
    }
    figures.elapsed_seconds = started.elapsed().as_secs_f64();
    summary::show(&figures, &arguments.output, manner, &summary::text(&figures, &arguments.db))?;
    let reasons = figures.feeds.iter().filter_map(|feed| feed.increment.as_ref()?.why_full.as_ref());
    if !arguments.full_refresh && !manner.quiet {
        reasons.for_each(|why| eprintln!("warning: processed as a whole: {why}"));
    }
    if !figures.within_memory_limit() && !manner.quiet {
        eprintln!("warning: the peak memory was above --memory");
    }
    if let Some(position) = figures.interrupted_at() {
        eprintln!("{}", interrupted(position));
        return Ok(Ending::Interrupted);
    }
    Ok(if figures.newly_rejected() > 0 && !arguments.allow_rejects { Ending::Rejects } else { Ending::Clean })
}

/// Where a load has stopped, and how it goes on.
fn interrupted(position: &Position) -> String {
    let typed: Vec<String> = std::env::args().collect();
    let command = shlex::try_join(typed.iter().map(String::as_str)).unwrap_or_else(|_| typed.join(" "));
    let (name, record) = (&position.input, position.record);
    match position.input.as_str() {
        "-" => {
            format!("interrupted: what stands in front of record {record} of stdin is in the database, the rest is not")
        }
        _ => format!(
            "interrupted: what stands in front of record {record} of {name} is in the database; to go on:\n  {command}"
        ),
    }
}

/// Says on stderr what is allowed but may surprise.
pub(super) fn show_warnings(warnings: Vec<Error>) {
    for warning in warnings {
        eprintln!("{:?}", miette::Report::new(warning));
    }
}

/// Reads the pipeline that was typed.
pub(super) fn load(arguments: &PipelineArguments, memory: Option<u64>) -> Result<Plan> {
    load_only(arguments, &OnlyArguments { only: Vec::new() }, memory)
}

/// Reads the pipeline that was typed, for some of the rows.
pub(super) fn load_only(arguments: &PipelineArguments, only: &OnlyArguments, memory: Option<u64>) -> Result<Plan> {
    Plan::load(
        &arguments.pipeline,
        &Settings {
            parameters: arguments.bindings.parameters.clone(),
            inputs: arguments.bindings.inputs.clone(),
            files: arguments.files.clone(),
            dir: arguments.bindings.dir.clone(),
            memory_limit_bytes: memory,
            only: only.only.clone(),
        },
    )
}

/// How much of the machine a run may take.
pub(super) fn options(resources: &ResourceArguments) -> Options {
    let default = Options::default();
    Options {
        threads: resources.threads.map_or(default.threads, usize::from),
        memory_limit_bytes: resources.memory,
        ..default
    }
}

/// Runs a plan into a database and reads its reports.
pub(super) fn into_database(
    plan: &Plan,
    options: &Options,
    db: &Path,
    sqlite: SqliteOptions,
    errors: &Path,
    manner: Manner,
) -> Result<Figures> {
    let mut letters = DeadLetterWriter::new(errors, db)?;
    let sqlite = SqliteOptions { functions: sqlite_functions(), ..sqlite };
    let mut sink = SqliteSink::open(db, &sqlite)?;
    let bar = Bar::new(manner);
    let figures = run::run(plan, options, &mut sink, &mut letters, &mut |progress| {
        bar.update(progress.bytes, progress.bytes_total, progress.records, "records");
    });
    bar.finish();
    let mut figures = figures?;
    let database = sink.into_database()?;
    figures.dead_letters = letters.publish()?.map(|_| errors.display().to_string());
    if figures.interrupted_at().is_none() {
        figures.reports = reports(plan.reports.iter(), &database)?;
    }
    Ok(figures)
}

/// The results of a pipeline's reports.
pub(super) fn reports<'a>(reports: impl Iterator<Item = &'a ReportPlan>, database: &Database) -> Result<Vec<Report>> {
    let result = |report: &ReportPlan| {
        let table = database.query_rows(&report.title, &report.sql, REPORT_ROWS)?;
        Ok(Report { title: report.title.clone(), columns: table.columns, rows: table.rows })
    };
    reports.map(result).collect()
}
