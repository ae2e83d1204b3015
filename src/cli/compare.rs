//! `feedmill compare`: the latest file as a whole against the latest file on top of its history, each run in a process of
//! its own, and a report. Judges by the rows of the tables; what a run does is the run's business.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::chunk::{Cell, quoted_name};
use crate::cli::arguments::{Compare, PipelineArguments};
use crate::cli::run::{load, reports};
use crate::cli::text::{count, counted, seconds};
use crate::cli::{Ending, Manner, print, temporary_folder};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::Plan;
use crate::report::{Comparison, Cost};
use crate::run::sqlite_functions;
use crate::sink::Database;

pub(super) fn compare(arguments: &Compare, manner: Manner) -> Result<Ending> {
    let pipeline = PipelineArguments {
        pipeline: arguments.pipeline.clone(),
        files: vec![arguments.latest.clone()],
        bindings: arguments.bindings.clone(),
    };
    let plan = load(&pipeline, Some(arguments.resources.memory))?;
    if plan.feeds.iter().all(|feed| feed.incremental.is_none()) {
        return Err(Error::new(
            ErrorKind::Usage,
            "the pipeline has no [incremental], so that there is nothing to compare",
        )
        .help("add it: feed = \"NAME\", mode = \"append\""));
    }
    let temporary = temporary_folder()?;
    let dir = arguments.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir).map_err(|cause| Error::io(ErrorKind::Output, "create", dir, &cause))?;
    let databases = Databases { dir };
    databases.clear()?;
    let say = |text: String| if manner.quiet { Ok(Ending::Clean) } else { print(&text) };

    for file in &arguments.history {
        let run = Measured::run(arguments, file, &databases.path(HISTORY), &[])?;
        say(format!("history: {file}: {}\n", seconds(run.cost.seconds)))?;
    }
    let (mut full, mut incremental) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        databases.remove(FULL)?;
        full.push(Measured::run(arguments, &arguments.latest, &databases.path(FULL), &["--no-incremental"])?);
        databases.copy(HISTORY, INCREMENTAL)?;
        incremental.push(Measured::run(arguments, &arguments.latest, &databases.path(INCREMENTAL), &[])?);
    }
    let (full, incremental) = (median(full), median(incremental));

    let mut comparison = Comparison { runs: arguments.runs.into(), ..Comparison::default() };
    comparison.conditions = conditions(&plan, arguments, &incremental);
    comparison.differences = count_differences(&full.cost, &incremental.cost);
    let database = Database::open(&databases.path(INCREMENTAL), &sqlite_functions())?;
    database.attach(&databases.path(FULL), "full_run")?;
    for table in plan.tables.iter().filter(|table| !table.is_temporary) {
        let rows = row_differences(&database, &table.name, &mut comparison.differences)?;
        comparison.tables.push((table.name.clone(), rows));
    }
    comparison.reports = reports(plan.reports.iter().filter(|report| !report.reads_temporary), &database)?;
    (comparison.full, comparison.incremental) = (full.cost, incremental.cost);

    if let Some(path) = &arguments.report {
        let written = std::fs::write(path, comparison.to_markdown());
        written.map_err(|cause| Error::io(ErrorKind::Output, "write", path, &cause))?;
    }
    say(summary(&comparison))?;
    if comparison.differences.is_empty() {
        return Ok(Ending::Clean);
    }
    for difference in &comparison.differences {
        print(&format!("DIFFERENT: {difference}\n"))?;
    }
    Ok(Ending::Differences)
}

fn summary(comparison: &Comparison) -> String {
    let Comparison { full, incremental, tables, differences, .. } = comparison;
    let mut out = format!(
        "full: {}  incremental: {}  ratio {:.2}\n",
        seconds(full.seconds),
        seconds(incremental.seconds),
        incremental.seconds / full.seconds
    );
    for (table, rows) in tables {
        out += &format!("{table}: {} compared\n", counted(*rows, "row"));
    }
    out += &match differences.len() {
        0 => "no difference\n".to_owned(),
        number => format!("{}\n", counted(number as u64, "difference")),
    };
    out
}

/// The databases of a comparison, by their names in a folder.
struct Databases<'a> {
    dir: &'a Path,
}

const HISTORY: &str = "history.db";
const FULL: &str = "full.db";
const INCREMENTAL: &str = "incremental.db";

impl Databases<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn clear(&self) -> Result<()> {
        [HISTORY, FULL, INCREMENTAL].iter().try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(ErrorKind::Output, "remove", &path, &cause))
            }
            _ => Ok(()),
        }
    }

    /// Copies a database, which nobody writes to now, onto the disk.
    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(from), self.path(to));
        if !from.exists() {
            return Ok(());
        }
        let copied = std::fs::copy(&from, &to).and_then(|_| std::fs::File::open(&to)?.sync_all());
        copied.map_err(|cause| Error::io(ErrorKind::Output, "write", &to, &cause))
    }
}

/// A run in a process of its own.
struct Measured {
    cost: Cost,
    summary: Value,
}

impl Measured {
    fn run(arguments: &Compare, file: &str, db: &Path, more: &[&str]) -> Result<Measured> {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Internal, format!("cannot run feedmill over {file}: {cause}"))
        };
        let program = std::env::current_exe().map_err(|cause| failed(&cause))?;
        let mut command = Command::new(program);
        command.arg("run").arg(&arguments.pipeline).arg(file).arg("--db").arg(db);
        command.args(["--json", "--allow-rejects", "--progress", "never"]).args(more);
        command.arg("--errors").arg(db.with_extension("errors.csv"));
        let pairs = |name: &str, pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().flat_map(|(key, value)| [name.to_owned(), format!("{key}={value}")]).collect()
        };
        let bindings = &arguments.bindings;
        command.args(pairs("--param", &bindings.parameters)).args(pairs("--input", &bindings.inputs));
        if let Some(dir) = &bindings.dir {
            command.arg("--dir").arg(dir);
        }
        if let Some(threads) = arguments.resources.threads {
            command.arg("--threads").arg(threads.to_string());
        }
        command.arg("--memory").arg(format!("{}B", arguments.resources.memory));
        let started = Instant::now();
        let output = command.output().map_err(|cause| failed(&cause))?;
        let elapsed = started.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed(&format!("{}\n{said}", output.status)));
        }
        let summary: Value = serde_json::from_slice(&output.stdout).map_err(|cause| failed(&cause))?;
        Ok(Measured { cost: cost(&summary, elapsed), summary })
    }
}

/// The one in the middle, by time.
fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|left, right| left.cost.seconds.total_cmp(&right.cost.seconds));
    let middle = runs.len() / 2;
    runs.swap_remove(middle)
}

/// The stages of a run, in the order of the data.
const STAGES: [&str; 7] = ["verify", "read", "compute", "sequence", "merge", "write", "publish"];

fn cost(summary: &Value, seconds: f64) -> Cost {
    let pairs = |value: &Value| -> Vec<(String, Value)> {
        value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut counts = Vec::new();
    for (feed, figures) in pairs(&summary["feeds"]) {
        let count = |name: &str, value: &Value| (format!("{feed}: {name}"), value.as_u64().unwrap_or(0));
        counts.extend(["read", "loaded", "duplicate", "filtered", "rejected"].map(|name| count(name, &figures[name])));
        for kind in ["rejected_by_code", "nullified", "counters"] {
            let kinds = pairs(&figures[kind]);
            let prefix = if kind == "counters" { "counted" } else { kind };
            counts.extend(
                kinds.iter().map(|(name, value)| count(&format!("{} {name}", prefix.replace('_', " ")), value)),
            );
        }
    }
    let stages = STAGES.into_iter().filter_map(|name| Some((name.to_owned(), summary["stages"][name].as_f64()?)));
    Cost { seconds, peak_bytes: summary["peak_rss_bytes"].as_u64().unwrap_or(0), stages: stages.collect(), counts }
}

fn conditions(plan: &Plan, arguments: &Compare, incremental: &Measured) -> Vec<(String, String)> {
    let mut conditions = vec![("pipeline".to_owned(), plan.path.display().to_string())];
    for (name, parameter) in &plan.parameters {
        conditions.push((name.clone(), crate::cli::summary::cell(&parameter.value).text));
    }
    conditions.push(("latest file".to_owned(), arguments.latest.clone()));
    conditions.push(("history".to_owned(), counted(arguments.history.len() as u64, "file")));
    for (feed, figures) in incremental.summary["feeds"].as_object().into_iter().flatten() {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (read, known) = (number(&figures["read"]), number(&figures["known"]["records"]));
        let skipped = number(&figures["skipped"]);
        let new = count(read - known - skipped);
        conditions.push((format!("records of {feed}"), format!("{}, of which {new} are new", count(read))));
        if let Some(why) = figures["known"]["why_full"].as_str() {
            conditions.push(("processed as a whole".to_owned(), why.to_owned()));
        }
    }
    let threads = incremental.summary["threads"].as_u64().unwrap_or(0);
    conditions.push(("threads".to_owned(), threads.to_string()));
    conditions.push(("feedmill".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    conditions
}

/// What the two runs have counted differently. Below a watermark rows are not taken again.
fn count_differences(full: &Cost, incremental: &Cost) -> Vec<String> {
    let mut differences = Vec::new();
    let find = |cost: &Cost, name: &str| cost.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
    let names = full.counts.iter().chain(&incremental.counts).map(|(name, _)| name);
    for name in names {
        let (left, right) = (find(full, name), find(incremental, name));
        let difference = format!("{name}: full {}, incremental {}", left.unwrap_or(0), right.unwrap_or(0));
        if left != right && !name.ends_with(": loaded") && !differences.contains(&difference) {
            differences.push(difference);
        }
    }
    differences
}

fn words(value: Cell<'_>) -> String {
    crate::cli::summary::cell(&value.to_scalar()).text
}

/// Compares a table of a database with that of the attached one, as bags of rows; returns how many rows it has.
fn row_differences(database: &Database, table: &str, differences: &mut Vec<String>) -> Result<u64> {
    let name = quoted_name(table);
    let columns = database.query(table, &format!("SELECT * FROM {name} LIMIT 0"), |_| Ok(ControlFlow::Continue(())))?;
    let quoted: Vec<String> = columns.iter().map(|column| quoted_name(column)).collect();
    let (list, types) = (quoted.join(", "), quoted.iter().map(|column| format!("typeof({column})")));
    let types = types.collect::<Vec<_>>().join(", ");
    let bag = |schema: &str| format!("SELECT {list}, {types}, count(*) FROM {schema}.{name} GROUP BY {list}, {types}");
    for (here, there, whose) in [("main", "full_run", "incremental"), ("full_run", "main", "full")] {
        let sql = format!("{} EXCEPT {}", bag(here), bag(there));
        database.query(table, &sql, |cells| {
            let values: Vec<String> = cells[..columns.len()].iter().map(|value| words(*value)).collect();
            let times = words(cells[cells.len() - 1]);
            differences.push(format!("{table}: only in the {whose} run, {times} times: {}", values.join(", ")));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let mut rows = 0;
    database.query(table, &format!("SELECT count(*) FROM main.{name}"), |cells| {
        rows = words(cells[0]).parse().unwrap_or(0);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(rows)
}
