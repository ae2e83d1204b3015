//! The same job by both engines, and every difference between the results. Judges neither of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::chunk::{Cell, Scalar, quoted_name};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::{Origin, Plan, RulesPlan, TablePlan};
use crate::reference::{Assignment, FeedResult, Reference, ReferenceReject, assign};
use crate::run::{self, FeedFigures, Figures, Options, Progress, sqlite_functions};
use crate::sink::{Database, DeadLetterWriter, ScalarFunction, Sink, SqliteOptions, SqliteSink};
use crate::source::expand;

/// What came of comparing the two engines.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The figures of the fast engine.
    pub figures: Figures,
    /// Rows compared, by table.
    pub tables: Vec<(String, u64)>,
    /// Rejected records and duplicates compared.
    pub rejects: u64,
    /// What differs, a line each; at most `Verdict::MAX_DIFFERENCES` of a kind.
    pub differences: Vec<String>,
}

impl Verdict {
    /// How many differences of one table, or of one feed's rejects, are listed.
    pub const MAX_DIFFERENCES: usize = 20;
}

/// Runs a plan by both engines in `dir`, a folder for databases that nobody else uses, and compares everything.
///
/// # Errors
/// When either engine cannot run at all; a difference is no error.
pub fn verify(plan: &Plan, options: &Options, dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Verdict> {
    let fast_db = dir.join("engine.db");
    let letters_path = dir.join("engine-errors.csv");
    let sqlite = SqliteOptions { functions: sqlite_functions(), ..SqliteOptions::default() };
    let mut letters = DeadLetterWriter::new(&letters_path, &fast_db)?;
    let mut sink = SqliteSink::open(&fast_db, &sqlite)?;
    let figures = run::run(plan, options, &mut sink, &mut letters, progress)?;
    let fast = sink.into_database()?;
    letters.publish()?;

    let slow_db = dir.join("reference.db");
    let mut functions = sqlite_functions();
    functions.extend(rules_of(plan).enumerate().flat_map(|(place, rules)| rule_functions(place, rules)));
    let mut sink = SqliteSink::open(&slow_db, &SqliteOptions { functions, ..SqliteOptions::default() })?;
    sink.begin()?;
    let mut results = Vec::new();
    // The order of the engine, in its figures and in its dead letters.
    let is_load = |feed: &usize| plan.feeds[*feed].load.is_some();
    let (loads, others): (Vec<usize>, Vec<usize>) = (0..plan.feeds.len()).partition(is_load);
    for feed in loads.into_iter().chain(others) {
        let result = reference(plan, feed, options.sample)?;
        for table in &result.tables {
            run::publish_rows(plan, table.table, &table.rows, &mut sink)?;
        }
        results.push(result);
    }
    let place = |rules: &RulesPlan| rules_of(plan).position(|other| std::ptr::eq(other, rules)).unwrap_or_default();
    run::select_tables(plan, &mut sink, &|rules| rules_sql(place(rules), rules))?;
    sink.commit()?;
    let slow = sink.into_database()?;

    let mut verdict = Verdict::default();
    for (result, feed) in results.iter().zip(&figures.feeds) {
        compare_figures(result, feed, &mut verdict.differences);
    }
    verdict.rejects = compare_rejects(&letters_path, &results, &mut verdict.differences)?;
    for table in &plan.tables {
        let rows = compare_table(table, &fast, &slow, &mut verdict.differences)?;
        verdict.tables.push((table.name.clone(), rows));
    }
    verdict.figures = figures;
    Ok(verdict)
}

/// A feed by the reference engine.
fn reference(plan: &Plan, feed: usize, sample: Option<u64>) -> Result<FeedResult> {
    let mut reference = Reference::new(plan, feed);
    for input in expand(&plan.feeds[feed].files)? {
        for member in input.open(&(Arc::new(|_| Ok(())) as _))? {
            let mut member = run::open(&plan.feeds[feed], sample, member?)?;
            let origin = member.origin().clone();
            reference.read(&origin.input, origin.member.as_deref().unwrap_or(""), &mut member)?;
        }
    }
    reference.finish()
}

/// The tables of rules of a plan.
fn rules_of(plan: &Plan) -> impl Iterator<Item = &RulesPlan> {
    plan.tables.iter().filter_map(|table| match &table.origin {
        Origin::Rules(rules) => Some(rules),
        Origin::Feed { .. } | Origin::Sql { .. } => None,
    })
}

/// The SELECT of a table of rules by the reference engine: SQLite reads the values and writes the results, no more.
fn rules_sql(place: usize, rules: &RulesPlan) -> String {
    let key: Vec<String> = rules.key.iter().map(|name| quoted_name(name)).collect();
    let values = rules.signals.iter().map(|name| quoted_name(name));
    let in_json = values.clone().map(|value| format!("json_quote({value})"));
    let arguments = values.chain(in_json).collect::<Vec<_>>().join(", ");
    let calls = PARTS.map(|(part, _)| format!("{}({arguments})", function_name(place, part))).join(", ");
    let key = key.join(", ");
    format!("SELECT {key}, {calls} FROM {} ORDER BY {key}", quoted_name(&rules.from))
}

/// A column that rules make, and its value.
type Part = (&'static str, fn(Assignment) -> String);

const PARTS: [Part; 3] = [
    ("winner", |assignment| assignment.winner),
    ("matched", |assignment| assignment.matched),
    ("evidence", |assignment| assignment.evidence),
];

/// A function of SQL for each column that the rules make, of the signals and of the same in JSON.
fn rule_functions(place: usize, rules: &RulesPlan) -> Vec<ScalarFunction> {
    let rules = Arc::new(rules.clone());
    let function = |(part, take): Part| {
        let (name, rules) = (function_name(place, part), Arc::clone(&rules));
        let call = move |arguments: &[Cell<'_>]| {
            let (values, in_json) = arguments.split_at(rules.signals.len());
            let values: Vec<Scalar> = values.iter().map(|cell| cell.to_scalar()).collect();
            let in_json: Vec<String> = in_json.iter().map(json_of).collect();
            Ok(Scalar::Text(take(assign(&rules, &values, &in_json)).into_bytes().into()))
        };
        ScalarFunction { name, arity: -1, call: Arc::new(call) }
    };
    PARTS.into_iter().map(function).collect()
}

/// What json_quote has made of a value: always a text.
fn json_of(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(json) => String::from_utf8_lossy(json).into_owned(),
        _ => String::new(),
    }
}

fn function_name(place: usize, part: &str) -> String {
    format!("_feedmill_rules_{place}_{part}")
}

fn compare_figures(slow: &FeedResult, fast: &FeedFigures, differences: &mut Vec<String>) {
    let mut compare = |what: &str, fast_value: u64, slow_value: u64| {
        if fast_value != slow_value {
            differences.push(format!("{}: {what}: engine {fast_value}, reference {slow_value}", fast.name));
        }
    };
    compare("read", fast.read, slow.read);
    compare("loaded", fast.loaded, slow.loaded);
    compare("duplicate", fast.duplicate, slow.duplicate);
    compare("filtered", fast.filtered, slow.filtered);
    compare("rejected", fast.rejected, slow.rejected);
    for ((name, fast_count), (_, slow_count)) in fast.counters.iter().zip(&slow.counters) {
        compare(&format!("counter {name}"), *fast_count, *slow_count);
    }
    for (column, fast_count) in &fast.nullified {
        compare(&format!("nullified {column}"), *fast_count, slow.nullified.get(column).copied().unwrap_or(0));
    }
}

/// The columns of a dead letter that both engines have to agree on; the reason is for people.
const COMPARED: [&str; 10] =
    ["input", "member", "line", "record", "byte_offset", "byte_length", "code", "column", "value", "raw"];

fn compare_rejects(path: &Path, results: &[FeedResult], differences: &mut Vec<String>) -> Result<u64> {
    let slow: Vec<Vec<Vec<u8>>> = results.iter().flat_map(|result| &result.rejects).map(letter).collect();
    let mut fast: Vec<Vec<Vec<u8>>> = Vec::new();
    if path.exists() {
        let failed = |cause: ::csv::Error| Error::io(ErrorKind::Internal, "read", path, &cause);
        let mut reader = ::csv::Reader::from_path(path).map_err(failed)?;
        let header: BTreeMap<String, usize> = reader
            .headers()
            .map_err(failed)?
            .iter()
            .enumerate()
            .map(|(place, name)| (name.to_owned(), place))
            .collect();
        for record in reader.byte_records() {
            let record = record.map_err(failed)?;
            let field =
                |name: &&str| header.get(*name).and_then(|place| record.get(*place)).unwrap_or_default().to_vec();
            fast.push(COMPARED.iter().map(field).collect());
        }
    }
    let show = |letter: Option<&Vec<Vec<u8>>>| match letter {
        None => "nothing".to_owned(),
        Some(fields) => {
            let fields: Vec<String> = fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
            format!("({})", fields.join(", "))
        }
    };
    let rows = fast.len().max(slow.len());
    (0..rows).filter(|row| fast.get(*row) != slow.get(*row)).take(Verdict::MAX_DIFFERENCES).for_each(|row| {
        let (fast, slow) = (show(fast.get(row)), show(slow.get(row)));
        differences.push(format!("dead letter {}: engine {fast}, reference {slow}", row + 1));
    });
    Ok(rows as u64)
}

fn letter(reject: &ReferenceReject) -> Vec<Vec<u8>> {
    let numbers = [reject.line, reject.record, reject.byte_offset, reject.byte_length];
    let mut fields = vec![reject.input.clone().into_bytes(), reject.member.clone().into_bytes()];
    fields.extend(numbers.iter().map(|number| number.to_string().into_bytes()));
    fields.extend([
        reject.code.as_str().as_bytes().to_vec(),
        reject.column.clone().into_bytes(),
        reject.value.clone(),
        reject.raw.clone(),
    ]);
    fields
}

/// Rows are fetched in pages, by rowid if there is one: it counts from 1 in tables that were just made.
const PAGE_ROWS: usize = 10_000;

fn compare_table(table: &TablePlan, fast: &Database, slow: &Database, differences: &mut Vec<String>) -> Result<u64> {
    let name = &table.name;
    let quoted = quoted_name(name);
    let mut compared = 0u64;
    let mut listed = 0;
    loop {
        let last = compared + PAGE_ROWS as u64;
        let page = if table.without_rowid {
            format!("LIMIT {PAGE_ROWS} OFFSET {compared}")
        } else {
            format!("WHERE rowid > {compared} AND rowid <= {last} ORDER BY rowid")
        };
        let sql = format!("SELECT * FROM {quoted} {page}");
        let fast_page = fast.query_rows(name, &sql, PAGE_ROWS)?;
        let slow_page = slow.query_rows(name, &sql, PAGE_ROWS)?;
        for row in 0..fast_page.rows.len().max(slow_page.rows.len()) {
            let (fast_row, slow_row) = (fast_page.rows.get(row), slow_page.rows.get(row));
            if fast_row != slow_row && listed < Verdict::MAX_DIFFERENCES {
                listed += 1;
                let number = compared + row as u64 + 1;
                differences.push(difference(name, number, &fast_page.columns, fast_row, slow_row));
            }
        }
        compared += fast_page.rows.len() as u64;
        if fast_page.rows.len() < PAGE_ROWS || slow_page.rows.len() < PAGE_ROWS {
            return Ok(compared);
        }
    }
}

fn difference(
    table: &str,
    number: u64,
    columns: &[String],
    fast: Option<&Vec<Scalar>>,
    slow: Option<&Vec<Scalar>>,
) -> String {
    let (Some(fast), Some(slow)) = (fast, slow) else {
        let who = if fast.is_some() { "engine" } else { "reference" };
        return format!("{table}: row {number}: only the {who} has it");
    };
    let cells: Vec<String> = columns
        .iter()
        .zip(fast.iter().zip(slow))
        .filter(|(_, (fast, slow))| fast != slow)
        .map(|(column, (fast, slow))| format!("{column}: engine {fast:?}, reference {slow:?}"))
        .collect();
    format!("{table}: row {number}: {}", cells.join("; "))
}
