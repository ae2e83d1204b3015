//! The engine's scalar functions for SQLite, under the same names: what a table FROM tables may call besides SQLite's
//! own functions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use regex::bytes::Regex;

use crate::chunk::{Cell, DataType, Scalar};
use crate::expr::{DatePart, Function, call_scalar};
use crate::sink::ScalarFunction;

type Call = Arc<dyn Fn(&[Cell<'_>]) -> Result<Scalar, String> + Send + Sync>;

/// The functions that SQLite lacks, by the names that DuckDB and PostgreSQL have for them.
pub fn sqlite_functions() -> Vec<ScalarFunction> {
    let patterns = Arc::new(Patterns::default());
    let mut functions = vec![
        function("starts_with", 2, Arc::new(|cells| text_call(&Function::StartsWith, cells, DataType::Boolean))),
        function("strpos", 2, Arc::new(|cells| text_call(&Function::StrPos, cells, DataType::Integer))),
        function("greatest", -1, Arc::new(|cells| Ok(extreme(cells, std::cmp::Ordering::Greater)))),
        function("least", -1, Arc::new(|cells| Ok(extreme(cells, std::cmp::Ordering::Less)))),
        function("floor", 1, Arc::new(|cells| Ok(whole(cells[0], f64::floor)))),
        function("ceil", 1, Arc::new(|cells| Ok(whole(cells[0], f64::ceil)))),
        function("ceiling", 1, Arc::new(|cells| Ok(whole(cells[0], f64::ceil)))),
        function("date_trunc", 2, Arc::new(date_trunc)),
        function("date_part", 2, Arc::new(date_part)),
    ];
    for arity in [2, 3] {
        let patterns = Arc::clone(&patterns);
        functions.push(function("regexp_extract", arity, Arc::new(move |cells| regexp_extract(&patterns, cells))));
    }
    let matches = Arc::clone(&patterns);
    functions.push(function("regexp_matches", 2, Arc::new(move |cells| regexp_matches(&matches, cells))));
    for arity in [3, 4] {
        let patterns = Arc::clone(&patterns);
        functions.push(function("regexp_replace", arity, Arc::new(move |cells| regexp_replace(&patterns, cells))));
    }
    functions
}

fn function(name: &str, arity: i32, call: Call) -> ScalarFunction {
    ScalarFunction { name: name.to_owned(), arity, call }
}

/// Calls a kernel that takes texts; what is no text is NULL to it.
fn text_call(function: &Function, cells: &[Cell<'_>], result: DataType) -> Result<Scalar, String> {
    let texts: Vec<Cell<'_>> =
        cells.iter().map(|cell| if matches!(cell, Cell::Text(_)) { *cell } else { Cell::Null }).collect();
    call_scalar(function, &texts, &vec![DataType::Text; texts.len()], result).map_err(|fault| format!("{fault:?}"))
}

/// FLOOR and CEIL of numbers as SQLite has them; what is no number is NULL to them.
fn whole(cell: Cell<'_>, round: fn(f64) -> f64) -> Scalar {
    match cell {
        Cell::Int(value) => Scalar::Int(value),
        Cell::Double(value) => Scalar::Double(round(value)),
        _ => Scalar::Null,
    }
}

/// The greatest or least of values as SQLite has them: numbers with numbers, texts with texts; NULLs do not count.
fn extreme(cells: &[Cell<'_>], wanted: std::cmp::Ordering) -> Scalar {
    let mut best = Cell::Null;
    for cell in cells.iter().filter(|cell| **cell != Cell::Null) {
        if best == Cell::Null || compare(cell, &best) == wanted {
            best = *cell;
        }
    }
    best.to_scalar()
}

fn compare(a: &Cell<'_>, b: &Cell<'_>) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
        (Cell::Double(a), Cell::Double(b)) => a.total_cmp(b),
        (Cell::Int(a), Cell::Double(b)) => (*a as f64).total_cmp(b),
        (Cell::Double(a), Cell::Int(b)) => a.total_cmp(&(*b as f64)),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Text(_), _) => Greater,
        (_, Cell::Text(_)) => Less,
        _ => Equal,
    }
}

/// Compiled patterns by their text. A pipeline has few of them; what SQL makes up row by row is not kept.
#[derive(Default)]
struct Patterns(Mutex<HashMap<Box<[u8]>, Regex>>);

/// How many patterns are kept.
const PATTERNS_KEPT: usize = 64;

impl Patterns {
    fn get(&self, pattern: &[u8]) -> Result<Regex, String> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let text = std::str::from_utf8(pattern).map_err(|error| error.to_string())?;
        let regex = Regex::new(text).map_err(|error| error.to_string())?;
        if known.len() < PATTERNS_KEPT {
            known.insert(pattern.into(), regex.clone());
        }
        Ok(regex)
    }
}

fn regexp_extract(patterns: &Patterns, cells: &[Cell<'_>]) -> Result<Scalar, String> {
    let (text, Cell::Text(pattern)) = (cells[0], cells[1]) else { return Ok(Scalar::Null) };
    let pattern = patterns.get(pattern)?;
    let group = match cells.get(2) {
        None => 0,
        Some(Cell::Int(group)) => usize::try_from(*group).unwrap_or(usize::MAX),
        Some(_) => return Ok(Scalar::Null),
    };
    if group >= pattern.captures_len() {
        return Err(format!("the pattern has no group {group}"));
    }
    text_call(&Function::RegexpExtract { pattern, group }, &[text], DataType::Text)
}

fn regexp_matches(patterns: &Patterns, cells: &[Cell<'_>]) -> Result<Scalar, String> {
    let (text, Cell::Text(pattern)) = (cells[0], cells[1]) else { return Ok(Scalar::Null) };
    text_call(&Function::RegexpMatches { pattern: patterns.get(pattern)? }, &[text], DataType::Boolean)
}

fn regexp_replace(patterns: &Patterns, cells: &[Cell<'_>]) -> Result<Scalar, String> {
    let (text, Cell::Text(pattern), Cell::Text(replacement)) = (cells[0], cells[1], cells[2]) else {
        return Ok(Scalar::Null);
    };
    let flags = match cells.get(3) {
        None => &b""[..],
        Some(Cell::Text(flags)) => flags,
        Some(_) => return Ok(Scalar::Null),
    };
    let replacement = crate::expr::bind::regex_replacement(&String::from_utf8_lossy(replacement));
    let function = Function::RegexpReplace {
        pattern: patterns.get(pattern)?,
        replacement: replacement.into_bytes().into(),
        all: flags.contains(&b'g'),
    };
    text_call(&function, &[text], DataType::Text)
}

/// Dates are text in SQLite: a date if there is nothing behind the day, else a timestamp.
fn moment(cell: Cell<'_>) -> Option<(Scalar, DataType)> {
    let Cell::Text(text) = cell else { return None };
    let data_type = if text.len() == "YYYY-MM-DD".len() { DataType::Date } else { DataType::Timestamp };
    Some((crate::chunk::parse::parse(text, data_type).ok()?, data_type))
}

fn part(cell: Cell<'_>) -> Result<DatePart, String> {
    let Cell::Text(name) = cell else { return Err("expected the name of a part of a date".to_owned()) };
    let name = String::from_utf8_lossy(name);
    DatePart::from_name(&name).ok_or_else(|| format!("a date has no part `{name}`"))
}

fn date_trunc(cells: &[Cell<'_>]) -> Result<Scalar, String> {
    let part = part(cells[0])?;
    let Some((value, data_type)) = moment(cells[1]) else { return Ok(Scalar::Null) };
    let fault = |fault| format!("{fault:?}");
    let start = call_scalar(&Function::DateTrunc(part), &[value.as_cell()], &[data_type], data_type).map_err(fault)?;
    call_scalar(&Function::Cast, &[start.as_cell()], &[data_type], DataType::Text).map_err(fault)
}

fn date_part(cells: &[Cell<'_>]) -> Result<Scalar, String> {
    let part = part(cells[0])?;
    let Some((value, data_type)) = moment(cells[1]) else { return Ok(Scalar::Null) };
    call_scalar(&Function::Extract(part), &[value.as_cell()], &[data_type], DataType::Integer)
        .map_err(|fault| format!("{fault:?}"))
}
