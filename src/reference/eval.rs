//! Evaluates a bound expression for one row, recursively and lazily. What single functions do with texts, dates and
//! doubles stands in files of their own.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::chunk::{DataType, Scalar};
use crate::expr::{FaultKind, Function, NodeId, Op, Program, TrimSide};
use crate::plan::LookupPlan;
use crate::reference::order::{Ordered, compare};
use crate::reference::{cast, dates, doubles, text};

/// The value of an expression in a row, or why it has none.
pub(super) type Value = Result<Scalar, FaultKind>;

/// The longest text that an expression may make.
const LONGEST_TEXT_BYTES: usize = 1 << 24;

/// The rows of all lookups by their keys.
pub(super) struct Lookups<'a> {
    plans: &'a [LookupPlan],
    rows: Vec<BTreeMap<Ordered, usize>>,
}

/// A row and the expressions over it; each is computed once.
pub(super) struct Row<'a> {
    program: &'a Program,
    lookups: &'a Lookups<'a>,
    inputs: &'a [Scalar],
    known: BTreeMap<NodeId, Value>,
}

impl<'a> Lookups<'a> {
    /// Finds the rows of lookups by their keys.
    pub(super) fn new(plans: &'a [LookupPlan]) -> Self {
        let rows = plans.iter().map(|plan| {
            let keys = &plan.data.columns()[plan.data.key()];
            (0..keys.len()).map(|row| (Ordered(keys.get(row).to_scalar()), row)).collect()
        });
        Lookups { plans, rows: rows.collect() }
    }

    fn find(&self, lookup: usize, column: Option<usize>, key: Scalar) -> Scalar {
        let row = if key == Scalar::Null { None } else { self.rows[lookup].get(&Ordered(key)) };
        match (column, row) {
            (None, row) => Scalar::Bool(row.is_some()),
            (Some(_), None) => Scalar::Null,
            (Some(column), Some(row)) => self.plans[lookup].data.columns()[column].get(*row).to_scalar(),
        }
    }
}

impl<'a> Row<'a> {
    /// A row of these inputs.
    pub(super) fn new(program: &'a Program, lookups: &'a Lookups<'a>, inputs: &'a [Scalar]) -> Self {
        Row { program, lookups, inputs, known: BTreeMap::new() }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, id: NodeId) -> Value {
        if let Some(value) = self.known.get(&id) {
            return value.clone();
        }
        let value = self.compute(id);
        self.known.insert(id, value.clone());
        value
    }

    /// Whether a node is true: neither false nor NULL.
    pub(super) fn is_true(&mut self, id: NodeId) -> Result<bool, FaultKind> {
        Ok(self.value(id)? == Scalar::Bool(true))
    }

    fn compute(&mut self, id: NodeId) -> Value {
        let node = self.program.node(id);
        match &node.op {
            Op::Input(column) => Ok(self.inputs[*column].clone()),
            Op::Literal(value) => Ok(value.clone()),
            Op::Lookup { lookup, column, key } => Ok(self.lookups.find(*lookup, *column, self.value(*key)?)),
            Op::Case { branches, otherwise } => {
                for (when, then) in branches {
                    if self.is_true(*when)? {
                        return self.value(*then);
                    }
                }
                self.value(*otherwise)
            }
            Op::Call(Function::And, arguments) => self.first_or_null(arguments, false),
            Op::Call(Function::Or, arguments) => self.first_or_null(arguments, true),
            Op::Call(Function::Coalesce, arguments) => {
                for argument in arguments {
                    let value = self.value(*argument)?;
                    if value != Scalar::Null {
                        return Ok(value);
                    }
                }
                Ok(Scalar::Null)
            }
            Op::Call(function, arguments) => {
                let types: Vec<DataType> = arguments.iter().map(|id| self.program.data_type(*id)).collect();
                let values = arguments.iter().map(|id| self.value(*id)).collect::<Result<Vec<_>, _>>()?;
                match call(function, &values, &types, node.data_type)? {
                    Scalar::Text(text) if text.len() > LONGEST_TEXT_BYTES => Err(FaultKind::Overflow),
                    value => Ok(value),
                }
            }
        }
    }

    /// AND and OR: the deciding value as soon as it appears, else NULL if there is one among the arguments.
    fn first_or_null(&mut self, arguments: &[NodeId], deciding: bool) -> Value {
        let mut result = Scalar::Bool(!deciding);
        for argument in arguments {
            match self.value(*argument)? {
                Scalar::Bool(value) if value == deciding => return Ok(Scalar::Bool(deciding)),
                Scalar::Null => result = Scalar::Null,
                _ => {}
            }
        }
        Ok(result)
    }
}

/// A function of arguments that have all been computed.
fn call(function: &Function, values: &[Scalar], types: &[DataType], result: DataType) -> Value {
    let not_null = || values.iter().filter(|value| **value != Scalar::Null);
    match (function, values) {
        (Function::IsNull, [value]) => return Ok(Scalar::Bool(*value == Scalar::Null)),
        (Function::IsDistinctFrom, [a, b]) => return Ok(Scalar::Bool(compare(a, b).is_ne())),
        (Function::NullIf, [a, b]) => return Ok(if compare(a, b).is_eq() { Scalar::Null } else { a.clone() }),
        (Function::Greatest, _) => return Ok(not_null().max_by(|a, b| compare(a, b)).cloned().unwrap_or(Scalar::Null)),
        (Function::Least, _) => return Ok(not_null().min_by(|a, b| compare(a, b)).cloned().unwrap_or(Scalar::Null)),
        (Function::ConcatSkippingNull, _) => return Ok(text_value(&not_null().map(text_of).collect::<String>())),
        _ => {}
    }
    if not_null().count() < values.len() {
        return Ok(Scalar::Null);
    }
    match function {
        Function::Not => Ok(Scalar::Bool(values == [Scalar::Bool(false)])),
        Function::Compare(comparison) => Ok(Scalar::Bool(comparison.holds(compare(&values[0], &values[1])))),
        Function::Cast => cast::cast(&values[0], types[0], result),
        Function::TryCast => Ok(cast::try_cast(&values[0], types[0], result)),
        Function::Add
        | Function::Subtract
        | Function::Multiply
        | Function::Divide
        | Function::Modulo
        | Function::Negate
        | Function::Abs
        | Function::Round { .. }
        | Function::Floor
        | Function::Ceil => match values {
            [Scalar::Double(_), ..] => of_doubles(function, values),
            _ => of_integers(function, values, types[0].scale(), result),
        },
        Function::Strftime { .. }
        | Function::DateTrunc(_)
        | Function::Extract(_)
        | Function::Shift(_)
        | Function::AddDays
        | Function::DaysBetween => of_dates(function, values, types[0]),
        _ => of_texts(function, values),
    }
}

/// A number of units as a value of a type that is made of whole units.
pub(super) fn fit(units: i128, data_type: DataType) -> Value {
    let fits = match data_type {
        DataType::Decimal { precision, .. } => units.unsigned_abs() < 10u128.pow(u32::from(precision)),
        _ => true,
    };
    i64::try_from(units).ok().filter(|_| fits).map(Scalar::Int).ok_or(FaultKind::Overflow)
}

/// A double as a value: never infinite, and never -0.
pub(super) fn finite(value: f64) -> Value {
    if value.is_finite() { Ok(Scalar::Double(value + 0.0)) } else { Err(FaultKind::Overflow) }
}

/// Units of one scale as units of another, rounded half away from zero.
pub(super) fn rescale(units: i128, scale: u8, to_scale: u8) -> i128 {
    if to_scale >= scale {
        return units * 10i128.pow(u32::from(to_scale - scale));
    }
    let divisor = 10i128.pow(u32::from(scale - to_scale));
    (units + units.signum() * (divisor / 2)) / divisor
}

/// Arithmetic on whole numbers, or on the units of decimals of one scale.
fn of_integers(function: &Function, values: &[Scalar], scale: u8, result: DataType) -> Value {
    let numbers: Vec<i128> = values.iter().map(int_of).collect();
    let one = 10i128.pow(u32::from(scale));
    let units = match (function, numbers.as_slice()) {
        (Function::Add, [a, b]) => a + b,
        (Function::Subtract, [a, b]) => a - b,
        (Function::Multiply, [a, b]) => a * b,
        (Function::Divide | Function::Modulo, [_, 0]) => return Ok(Scalar::Null),
        (Function::Divide, [a, b]) => a / b,
        (Function::Modulo, [a, b]) => a % b,
        (Function::Negate, [a]) => -a,
        (Function::Abs, [a]) => a.abs(),
        (Function::Round { .. }, [a]) => rescale(*a, scale, result.scale()),
        (Function::Floor, [a]) => a.div_euclid(one),
        (Function::Ceil, [a]) => -(-a).div_euclid(one),
        _ => unbound(function, values),
    };
    fit(units, result)
}

fn of_doubles(function: &Function, values: &[Scalar]) -> Value {
    let numbers: Vec<f64> = values.iter().map(double_of).collect();
    finite(match (function, numbers.as_slice()) {
        (Function::Add, [a, b]) => a + b,
        (Function::Subtract, [a, b]) => a - b,
        (Function::Multiply, [a, b]) => a * b,
        (Function::Divide, [_, 0.0]) => return Ok(Scalar::Null),
        (Function::Divide, [a, b]) => a / b,
        (Function::Negate, [a]) => -a,
        (Function::Abs, [a]) => a.abs(),
        (Function::Round { digits }, [a]) => doubles::round(*a, *digits),
        (Function::Floor, [a]) => a.floor(),
        (Function::Ceil, [a]) => a.ceil(),
        _ => unbound(function, values),
    })
}

fn of_dates(function: &Function, values: &[Scalar], data_type: DataType) -> Value {
    let first = i64_of(&values[0]);
    let moment = dates::moment(first, data_type).ok_or(FaultKind::Overflow)?;
    let value = match (function, values) {
        (Function::Strftime { format }, _) => {
            let mut formatted = String::new();
            write!(formatted, "{}", moment.format(format)).map_err(|_| FaultKind::InvalidCast)?;
            return Ok(text_value(&formatted));
        }
        (Function::Extract(part), _) => return Ok(Scalar::Int(dates::extract(*part, moment))),
        (Function::DaysBetween, [_, other]) => return Ok(Scalar::Int(first - i64_of(other))),
        (Function::DateTrunc(part), _) => dates::truncate(*part, moment),
        (Function::Shift(interval), _) => dates::shift(moment, data_type, *interval),
        (Function::AddDays, [_, days]) => dates::add_days(moment, i64_of(days)),
        _ => unbound(function, values),
    };
    value.and_then(|moment| dates::value_of(moment, data_type)).map(Scalar::Int).ok_or(FaultKind::Overflow)
}

fn of_texts(function: &Function, values: &[Scalar]) -> Value {
    let texts: Vec<String> = values.iter().filter(|value| matches!(value, Scalar::Text(_))).map(text_of).collect();
    let subject = texts[0].as_str();
    let second = texts.get(1).map(String::as_str);
    let captured = |bytes: &[u8]| Scalar::Text(bytes.into());
    Ok(match (function, values) {
        (Function::Concat, _) => text_value(&texts.concat()),
        (Function::Lower, _) => text_value(&subject.to_ascii_lowercase()),
        (Function::Upper, _) => text_value(&subject.to_ascii_uppercase()),
        (Function::Trim(side), _) => {
            let characters = second.unwrap_or(" ");
            let trimmed = if *side == TrimSide::End { subject } else { text::trim_start(subject, characters) };
            text_value(if *side == TrimSide::Start { trimmed } else { text::trim_end(trimmed, characters) })
        }
        (Function::Replace, _) => {
            let replaced = text::replace(subject, &texts[1], &texts[2], LONGEST_TEXT_BYTES);
            text_value(&replaced.ok_or(FaultKind::Overflow)?)
        }
        (Function::Substr, [_, start]) => text_value(&text::substr(subject, i64_of(start), None)),
        (Function::Substr, [_, start, length]) => {
            text_value(&text::substr(subject, i64_of(start), Some(i64_of(length))))
        }
        (Function::Length, _) => Scalar::Int(subject.chars().count() as i64),
        (Function::StrPos, _) => Scalar::Int(text::position(subject, &texts[1])),
        (Function::StartsWith, _) => Scalar::Bool(subject.starts_with(&texts[1])),
        (Function::Like { escape }, _) => Scalar::Bool(text::like(subject, &texts[1], *escape)),
        (Function::RegexpMatches { pattern }, _) => Scalar::Bool(pattern.is_match(subject.as_bytes())),
        (Function::RegexpExtract { pattern, group }, _) => {
            let captures = pattern.captures(subject.as_bytes());
            captures.and_then(|captures| captures.get(*group)).map_or(Scalar::Null, |part| captured(part.as_bytes()))
        }
        (Function::RegexpReplace { pattern, replacement, all }, _) => {
            let limit = usize::from(!all);
            captured(&pattern.replacen(subject.as_bytes(), limit, replacement.as_ref()))
        }
        _ => unbound(function, values),
    })
}

fn int_of(value: &Scalar) -> i128 {
    i128::from(i64_of(value))
}

fn i64_of(value: &Scalar) -> i64 {
    match value {
        Scalar::Int(value) => *value,
        other => panic!("{other:?} is no whole number, which the binder should have seen to"),
    }
}

fn double_of(value: &Scalar) -> f64 {
    match value {
        Scalar::Double(value) => *value,
        other => panic!("{other:?} is no double, which the binder should have seen to"),
    }
}

/// The text of a text.
pub(super) fn text_of(value: &Scalar) -> String {
    match value {
        Scalar::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?} is no text, which the binder should have seen to"),
    }
}

/// A text as a value.
pub(super) fn text_value(text: &str) -> Scalar {
    Scalar::Text(text.as_bytes().into())
}

fn unbound(function: &Function, values: &[Scalar]) -> ! {
    panic!("{function:?} of {values:?}, which the binder should have refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Column, DataType as T, Field, Values};
    use crate::expr::{Comparison, DatePart, Lookup};
    use std::path::PathBuf;

    const DECIMAL: T = T::Decimal { precision: 6, scale: 2 };

    fn text(value: &str) -> Scalar {
        text_value(value)
    }

    /// A function of literals; arguments of type TEXT where they are NULL.
    fn evaluate(function: Function, arguments: &[Scalar], types: &[T], result: T) -> Value {
        let mut program = Program::default();
        let nodes = arguments.iter().zip(types).map(|(value, data_type)| program.literal(value.clone(), *data_type));
        let nodes = nodes.collect();
        let node = program.call(function, nodes, result);
        Row::new(&program, &Lookups::new(&[]), &[]).value(node)
    }

    fn sqlite(sql: &str, arguments: &[Scalar]) -> rusqlite::types::Value {
        use rusqlite::types::Value::{Integer, Null, Real, Text};
        let parameters = arguments.iter().map(|argument| match argument {
            Scalar::Null => Null,
            Scalar::Int(value) => Integer(*value),
            Scalar::Double(value) => Real(*value),
            Scalar::Bool(value) => Integer(i64::from(*value)),
            Scalar::Text(value) => Text(String::from_utf8(value.to_vec()).unwrap()),
        });
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let parameters = rusqlite::params_from_iter(parameters);
        connection.query_row(&format!("SELECT {sql}"), parameters, |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_sqlite_has_means_what_it_means_there() {
        use rusqlite::types::Value as V;
        let booleans = [Scalar::Bool(false), Scalar::Bool(true), Scalar::Null];
        let integers = [0, 1, -1, 7, -7, i64::MAX].map(Scalar::Int);
        let doubles = [0.0, 1.5, -2.5, 1e10].map(Scalar::Double);
        let texts = ["", "aB", "b", "\u{e9}a", "12.5x", " -3e2"].map(text);
        for (function, sql, types, result) in [
            (Function::And, "?1 AND ?2", vec![T::Boolean; 2], T::Boolean),
            (Function::Or, "?1 OR ?2", vec![T::Boolean; 2], T::Boolean),
            (Function::Not, "NOT ?1", vec![T::Boolean], T::Boolean),
            (Function::IsNull, "?1 IS NULL", vec![T::Integer], T::Boolean),
            (Function::IsDistinctFrom, "?1 IS NOT ?2", vec![T::Integer; 2], T::Boolean),
            (Function::Compare(Comparison::Lt), "?1 < ?2", vec![T::Text; 2], T::Boolean),
            (Function::Compare(Comparison::Ge), "?1 >= ?2", vec![T::Double; 2], T::Boolean),
            (Function::Compare(Comparison::Ne), "?1 <> ?2", vec![T::Integer; 2], T::Boolean),
            (Function::Divide, "?1 / ?2", vec![T::Integer; 2], T::Integer),
            (Function::Modulo, "?1 % ?2", vec![T::Integer; 2], T::Integer),
            (Function::Negate, "-?1", vec![T::Integer], T::Integer),
            (Function::Abs, "abs(?1)", vec![T::Double], T::Double),
            (Function::Subtract, "?1 - ?2", vec![T::Double; 2], T::Double),
            (Function::Multiply, "?1 * ?2", vec![T::Double; 2], T::Double),
            (Function::Divide, "?1 / ?2", vec![T::Double; 2], T::Double),
            (Function::Round { digits: 0 }, "round(?1)", vec![T::Double], T::Double),
            (Function::Coalesce, "coalesce(?1, ?2)", vec![T::Text; 2], T::Text),
            (Function::NullIf, "nullif(?1, ?2)", vec![T::Text; 2], T::Text),
            (Function::Concat, "?1 || ?2", vec![T::Text; 2], T::Text),
            (Function::Lower, "lower(?1)", vec![T::Text], T::Text),
            (Function::Upper, "upper(?1)", vec![T::Text], T::Text),
            (Function::Length, "length(?1)", vec![T::Text], T::Integer),
            (Function::StrPos, "instr(?1, ?2)", vec![T::Text; 2], T::Integer),
            (Function::Trim(TrimSide::Both), "trim(?1, ?2)", vec![T::Text; 2], T::Text),
            (Function::Trim(TrimSide::Start), "ltrim(?1, ?2)", vec![T::Text; 2], T::Text),
            (Function::Trim(TrimSide::End), "rtrim(?1, ?2)", vec![T::Text; 2], T::Text),
            (Function::Substr, "substr(?1, ?2)", vec![T::Text, T::Integer], T::Text),
            (Function::Cast, "CAST(?1 AS INTEGER)", vec![T::Text], T::Integer),
            (Function::Cast, "CAST(?1 AS REAL)", vec![T::Text], T::Double),
            (Function::Cast, "CAST(?1 AS TEXT)", vec![T::Double], T::Text),
            (Function::Cast, "CAST(?1 AS INTEGER)", vec![T::Double], T::Integer),
            (Function::Cast, "CAST(?1 AS TEXT)", vec![T::Boolean], T::Text),
        ] {
            let values = |data_type| -> Vec<Scalar> {
                let values: &[Scalar] = match data_type {
                    T::Boolean => &booleans,
                    T::Integer => &integers,
                    T::Double => &doubles,
                    _ => &texts,
                };
                values.iter().cloned().chain([Scalar::Null]).collect()
            };
            for first in values(types[0]) {
                for second in values(*types.last().unwrap()) {
                    let arguments = &[first.clone(), second][..types.len()];
                    let expected = match (sqlite(sql, arguments), result) {
                        (V::Null, _) => Scalar::Null,
                        (V::Integer(value), T::Boolean) => Scalar::Bool(value != 0),
                        (V::Integer(value), _) => Scalar::Int(value),
                        (V::Real(value), _) => Scalar::Double(value),
                        (V::Text(value), _) => text(&value),
                        (V::Blob(_), _) => unreachable!(),
                    };
                    assert_eq!(
                        evaluate(function.clone(), arguments, &types, result),
                        Ok(expected),
                        "{sql} of {arguments:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_sqlite_lacks_is_computed_by_hand() {
        let integer = |value| Ok(Scalar::Int(value));
        let tenths = T::Decimal { precision: 6, scale: 1 };
        let whole = T::Decimal { precision: 6, scale: 0 };
        let wide = T::Decimal { precision: 12, scale: 4 };
        let (overflow, invalid) = (Err(FaultKind::Overflow), Err(FaultKind::InvalidCast));
        let pattern = || regex::bytes::Regex::new("([a-z]+)([0-9])?").unwrap();
        let replace = |all| Function::RegexpReplace { pattern: pattern(), replacement: b"<$1>".as_slice().into(), all };
        for (function, arguments, types, result, expected) in [
            (
                Function::Add,
                vec![Scalar::Int(i64::MAX), Scalar::Int(1)],
                vec![T::Integer; 2],
                T::Integer,
                overflow.clone(),
            ),
            (Function::Add, vec![Scalar::Int(999_999), Scalar::Int(1)], vec![DECIMAL; 2], DECIMAL, overflow.clone()),
            (Function::Multiply, vec![Scalar::Int(-150), Scalar::Int(205)], vec![DECIMAL; 2], wide, integer(-30_750)),
            (Function::Multiply, vec![Scalar::Double(1e200); 2], vec![T::Double; 2], T::Double, overflow.clone()),
            (
                Function::Divide,
                vec![Scalar::Int(i64::MIN), Scalar::Int(-1)],
                vec![T::Integer; 2],
                T::Integer,
                overflow.clone(),
            ),
            (
                Function::Modulo,
                vec![Scalar::Int(i64::MIN), Scalar::Int(-1)],
                vec![T::Integer; 2],
                T::Integer,
                integer(0),
            ),
            (Function::Abs, vec![Scalar::Int(i64::MIN)], vec![T::Integer], T::Integer, overflow.clone()),
            (Function::Round { digits: 1 }, vec![Scalar::Int(-125)], vec![DECIMAL], tenths, integer(-13)),
            (Function::Floor, vec![Scalar::Int(-101)], vec![DECIMAL], whole, integer(-2)),
            (Function::Ceil, vec![Scalar::Int(-101)], vec![DECIMAL], whole, integer(-1)),
            (Function::Ceil, vec![Scalar::Int(101)], vec![DECIMAL], whole, integer(2)),
            (Function::Ceil, vec![Scalar::Double(-0.5)], vec![T::Double], T::Double, Ok(Scalar::Double(0.0))),
            (Function::Cast, vec![Scalar::Int(-199)], vec![DECIMAL], T::Integer, integer(-1)),
            (Function::Cast, vec![Scalar::Int(-155)], vec![DECIMAL], tenths, integer(-16)),
            (Function::Cast, vec![Scalar::Int(10_000)], vec![T::Integer], DECIMAL, overflow.clone()),
            (Function::Cast, vec![Scalar::Int(-5)], vec![DECIMAL], T::Text, Ok(text("-0.05"))),
            (Function::Cast, vec![Scalar::Int(110)], vec![DECIMAL], T::Double, Ok(Scalar::Double(1.1))),
            (Function::Cast, vec![Scalar::Double(-1.125)], vec![T::Double], DECIMAL, integer(-113)),
            (Function::Cast, vec![Scalar::Double(0.004)], vec![T::Double], DECIMAL, integer(0)),
            (Function::Cast, vec![Scalar::Double(1e9)], vec![T::Double], DECIMAL, overflow.clone()),
            (Function::Cast, vec![Scalar::Double(1e300)], vec![T::Double], DECIMAL, overflow.clone()),
            (Function::Cast, vec![Scalar::Double(1e19)], vec![T::Double], T::Integer, overflow.clone()),
            (Function::Cast, vec![Scalar::Double(1e-300)], vec![T::Double], DECIMAL, integer(0)),
            (Function::Cast, vec![text("99999999999999999999")], vec![T::Text], T::Integer, overflow.clone()),
            (Function::Cast, vec![text("1e999")], vec![T::Text], T::Double, overflow.clone()),
            (Function::Cast, vec![text("12.345")], vec![T::Text], DECIMAL, invalid.clone()),
            (Function::Cast, vec![text("12345")], vec![T::Text], DECIMAL, overflow.clone()),
            (Function::Cast, vec![text("no")], vec![T::Text], T::Boolean, Ok(Scalar::Bool(false))),
            (Function::Cast, vec![text("1970-01-02")], vec![T::Text], T::Date, integer(1)),
            (Function::Cast, vec![text("1970-01-32")], vec![T::Text], T::Date, invalid.clone()),
            (Function::Cast, vec![Scalar::Int(-1)], vec![T::Date], T::Timestamp, integer(-86_400_000_000)),
            (Function::Cast, vec![Scalar::Int(-1)], vec![T::Timestamp], T::Date, integer(-1)),
            (Function::TryCast, vec![text("12x")], vec![T::Text], T::Integer, Ok(Scalar::Null)),
            (Function::TryCast, vec![text(" 12 ")], vec![T::Text], T::Integer, integer(12)),
            (Function::TryCast, vec![Scalar::Double(1e19)], vec![T::Double], T::Integer, Ok(Scalar::Null)),
            (Function::Greatest, vec![Scalar::Null, text("a"), text("b")], vec![T::Text; 3], T::Text, Ok(text("b"))),
            (Function::Least, vec![Scalar::Null, Scalar::Null], vec![T::Text; 2], T::Text, Ok(Scalar::Null)),
            (
                Function::ConcatSkippingNull,
                vec![text("a"), Scalar::Null, text("b")],
                vec![T::Text; 3],
                T::Text,
                Ok(text("ab")),
            ),
            (Function::StartsWith, vec![text("abc"), text("ab")], vec![T::Text; 2], T::Boolean, Ok(Scalar::Bool(true))),
            (
                Function::RegexpExtract { pattern: pattern(), group: 1 },
                vec![text("1ab2")],
                vec![T::Text],
                T::Text,
                Ok(text("ab")),
            ),
            (
                Function::RegexpExtract { pattern: pattern(), group: 2 },
                vec![text("ab")],
                vec![T::Text],
                T::Text,
                Ok(Scalar::Null),
            ),
            (
                Function::RegexpExtract { pattern: pattern(), group: 0 },
                vec![text("12")],
                vec![T::Text],
                T::Text,
                Ok(Scalar::Null),
            ),
            (replace(true), vec![text("a1b2")], vec![T::Text], T::Text, Ok(text("<a><b>"))),
            (replace(false), vec![text("a1b2")], vec![T::Text], T::Text, Ok(text("<a>b2"))),
            (
                Function::Strftime { format: "%d/%H".into() },
                vec![Scalar::Int(1)],
                vec![T::Date],
                T::Text,
                Ok(text("02/00")),
            ),
            (Function::Strftime { format: "%z".into() }, vec![Scalar::Int(1)], vec![T::Date], T::Text, invalid),
            (Function::DateTrunc(DatePart::Week), vec![Scalar::Int(0)], vec![T::Date], T::Date, integer(-3)),
            (
                Function::DateTrunc(DatePart::Week),
                vec![Scalar::Int(-719_528)],
                vec![T::Date],
                T::Date,
                overflow.clone(),
            ),
            (Function::Extract(DatePart::Epoch), vec![Scalar::Int(-1)], vec![T::Timestamp], T::Integer, integer(-1)),
            (
                Function::AddDays,
                vec![Scalar::Int(2_932_896), Scalar::Int(1)],
                vec![T::Date, T::Integer],
                T::Date,
                overflow,
            ),
            (Function::DaysBetween, vec![Scalar::Int(3), Scalar::Int(5)], vec![T::Date; 2], T::Integer, integer(-2)),
        ] {
            let shown = format!("{function:?} of {arguments:?}");
            assert_eq!(evaluate(function, &arguments, &types, result), expected, "{shown}");
        }
    }

    #[test]
    fn texts_have_a_greatest_length() {
        let half = text(&"x".repeat(LONGEST_TEXT_BYTES / 2));
        let double = |function, more: Vec<Scalar>| {
            let arguments = [vec![half.clone()], more].concat();
            let length = |value| if let Scalar::Text(text) = value { text.len() } else { 0 };
            evaluate(function, &arguments, &vec![T::Text; arguments.len()], T::Text).map(length)
        };
        assert_eq!(double(Function::Concat, vec![half.clone()]), Ok(LONGEST_TEXT_BYTES));
        assert_eq!(double(Function::Concat, vec![half.clone(), text("x")]), Err(FaultKind::Overflow));
        assert_eq!(double(Function::Replace, vec![text("x"), text("yy")]), Ok(LONGEST_TEXT_BYTES));
        assert_eq!(double(Function::Replace, vec![text("x"), half.clone()]), Err(FaultKind::Overflow));
    }

    #[test]
    fn faults_count_only_where_they_are_reached() {
        let mut program = Program::default();
        let most = program.literal(Scalar::Int(i64::MAX), T::Integer);
        let sum = program.call(Function::Add, vec![most, most], T::Integer);
        let fault = program.call(Function::IsNull, vec![sum], T::Boolean);
        let [yes, no, null] =
            [Scalar::Bool(true), Scalar::Bool(false), Scalar::Null].map(|value| program.literal(value, T::Boolean));
        for (op, expected) in [
            (Op::Call(Function::And, vec![no, fault]), Ok(Scalar::Bool(false))),
            (Op::Call(Function::And, vec![fault, no]), Err(FaultKind::Overflow)),
            (Op::Call(Function::And, vec![null, fault]), Err(FaultKind::Overflow)),
            (Op::Call(Function::Or, vec![null, yes, fault]), Ok(Scalar::Bool(true))),
            (Op::Call(Function::Coalesce, vec![null, yes, fault]), Ok(Scalar::Bool(true))),
            (Op::Call(Function::Coalesce, vec![null, fault]), Err(FaultKind::Overflow)),
            (
                Op::Case { branches: vec![(null, fault), (yes, no), (fault, fault)], otherwise: fault },
                Ok(Scalar::Bool(false)),
            ),
            (Op::Case { branches: vec![(no, yes)], otherwise: null }, Ok(Scalar::Null)),
            (Op::Call(Function::TryCast, vec![fault]), Err(FaultKind::Overflow)),
        ] {
            let node = program.add(op, T::Boolean);
            assert_eq!(Row::new(&program, &Lookups::new(&[]), &[]).value(node), expected, "{:?}", program.node(node));
        }
    }

    #[test]
    fn lookups_are_joined_by_key() {
        let fields = vec![Field::new("id", T::Integer), Field::new("flag", T::Boolean)];
        let flags = Column::with_validity(Values::Bool(vec![true, false]), vec![true, false]);
        let columns = vec![Column::new(Values::Int(vec![5, 6])), flags];
        let data = Lookup::new(fields, columns, 0).unwrap();
        let plans = [LookupPlan { name: "l".to_owned(), path: PathBuf::new(), data, fingerprint: String::new() }];
        let mut program = Program::default();
        let key = program.add(Op::Input(0), T::Integer);
        let flag = program.add(Op::Lookup { lookup: 0, column: Some(1), key }, T::Boolean);
        let found = program.add(Op::Lookup { lookup: 0, column: None, key }, T::Boolean);
        for (key, expected) in [
            (Scalar::Int(5), [Scalar::Bool(true), Scalar::Bool(true)]),
            (Scalar::Int(6), [Scalar::Null, Scalar::Bool(true)]),
            (Scalar::Int(7), [Scalar::Null, Scalar::Bool(false)]),
            (Scalar::Null, [Scalar::Null, Scalar::Bool(false)]),
        ] {
            let (lookups, inputs) = (Lookups::new(&plans), [key]);
            let mut row = Row::new(&program, &lookups, &inputs);
            assert_eq!([flag, found].map(|node| row.value(node).unwrap()), expected, "{inputs:?}");
        }
    }
}
