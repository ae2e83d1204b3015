//! Literals, parameters, intervals, and bringing values to a type: folded at once where the value is known.

use sqlparser::ast::{DateTimeField, Expr, Interval as SqlInterval, Spanned, TypedString, Value, ValueWithSpan};

use crate::chunk::calendar::Interval;
use crate::chunk::{Cell, DataType, Scalar, calendar, decimal, parse, quoted_text};
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::bind::{Binder, Parameter, data_type_of};
use crate::expr::program::{Function, NodeId};
use crate::expr::sql::SqlText;

impl Parameter {
    /// The value as a literal of SQLite, in the form in which tables hold it: dates as text, booleans as 0 and 1.
    pub fn to_sqlite(&self) -> String {
        let quoted = |text: &[u8]| quoted_text(&String::from_utf8_lossy(text));
        let written = |write: fn(&mut Vec<u8>, i64), value: i64| {
            let mut text = Vec::new();
            write(&mut text, value);
            quoted(&text)
        };
        match (&self.value, self.data_type) {
            (Scalar::Null, _) => "NULL".to_owned(),
            (Scalar::Text(text), _) => quoted(text),
            (Scalar::Bool(value), _) => u8::from(*value).to_string(),
            (Scalar::Double(value), _) => format!("{value:?}"),
            (Scalar::Int(days), DataType::Date) => written(calendar::write_date, *days),
            (Scalar::Int(micros), DataType::Timestamp) => written(calendar::write_timestamp, *micros),
            (Scalar::Int(units), DataType::Decimal { scale, .. }) => decimal::format(i128::from(*units), scale),
            (Scalar::Int(value), _) => value.to_string(),
        }
    }
}

impl Binder<'_> {
    pub(super) fn literal(&mut self, value: &ValueWithSpan) -> Result<NodeId> {
        match &value.value {
            Value::Number(digits, _) => Ok(self.number(digits, false)),
            Value::SingleQuotedString(text) => {
                Ok(self.program.literal(Scalar::Text(text.as_bytes().into()), DataType::Text))
            }
            Value::Boolean(value) => Ok(self.program.literal(Scalar::Bool(*value), DataType::Boolean)),
            Value::Null => Ok(self.program.literal(Scalar::Null, DataType::Integer)),
            Value::Placeholder(name) => {
                let name = name.trim_start_matches(['$', ':', '@']);
                match self.parameters.get(name) {
                    Some(parameter) => Ok(self.program.literal(parameter.value.clone(), parameter.data_type)),
                    None => {
                        let error = self.text.error(value.span, format!("there is no parameter `{name}` in [params]"));
                        let known = self.parameters.keys().map(String::as_str);
                        Err(match did_you_mean(name, known) {
                            Some(help) => error.help(help),
                            None => error.help(format!("add `{name} = ...` to [params]")),
                        })
                    }
                }
            }
            Value::DoubleQuotedString(text) => Err(self
                .text
                .error(value.span, "double quotes are for names")
                .help(format!("text is written in single quotes: '{text}'"))),
            other => Err(self.text.error(value.span, format!("the literal {other} is not supported"))),
        }
    }

    /// DATE '2025-10-01' and the like.
    pub(super) fn typed_string(&mut self, typed: &TypedString) -> Result<NodeId> {
        let data_type = data_type_of(&typed.data_type).map_err(|message| self.text.error(typed.value.span, message))?;
        match &typed.value.value {
            Value::SingleQuotedString(text) => self.text_as(text.as_bytes(), data_type, &typed.value),
            other => Err(self.text.error(typed.value.span, format!("the literal {other} is not supported"))),
        }
    }

    fn text_as(&mut self, text: &[u8], data_type: DataType, place: &impl Spanned) -> Result<NodeId> {
        match parse::parse(text, data_type) {
            Ok(value) => Ok(self.program.literal(value, data_type)),
            Err(code) => {
                let text = String::from_utf8_lossy(text);
                Err(self.text.error(place.span(), format!("'{text}' is {}", parse::reason(code, data_type))))
            }
        }
    }

    /// Whole numbers are INTEGER, numbers with a point DECIMAL (exact), and numbers with an exponent, or with more digits than
    /// either holds, DOUBLE.
    fn number(&mut self, digits: &str, negative: bool) -> NodeId {
        let text = if negative { format!("-{digits}") } else { digits.to_owned() };
        if let Ok(value) = parse::integer(text.as_bytes()) {
            return self.program.literal(Scalar::Int(value), DataType::Integer);
        }
        let has_exponent = digits.contains(['e', 'E']);
        let scale = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let significant = digits.len() - usize::from(digits.contains('.'));
        if !has_exponent && significant <= usize::from(DataType::MAX_PRECISION) {
            let data_type = DataType::Decimal { precision: DataType::MAX_PRECISION, scale: scale as u8 };
            if let Ok(value) = parse::parse(text.as_bytes(), data_type) {
                return self.program.literal(value, data_type);
            }
        }
        let value = text.parse().unwrap_or(f64::MAX);
        self.program.literal(Scalar::Double(value), DataType::Double)
    }

    pub(super) fn negative_literal(&mut self, operand: &Expr) -> Option<NodeId> {
        match operand {
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => Some(self.number(digits, true)),
            _ => None,
        }
    }

    /// A node that has the value of `node` in another type: itself where it is a DECIMAL of that scale already, a literal where
    /// it is one and the type is wider, else a cast.
    pub fn coerce(&mut self, node: NodeId, to: DataType) -> NodeId {
        let from = self.program.data_type(node);
        let is_wider = match (from, to) {
            (DataType::Decimal { precision, scale }, DataType::Decimal { precision: most, scale: same }) => {
                scale == same && precision <= most
            }
            _ => from == to,
        };
        if is_wider {
            return node;
        }
        let folded = self.program.as_literal(node).and_then(|value| widen(value.as_cell(), from, to));
        match folded {
            Some(value) => self.program.literal(value, to),
            None => self.program.call(Function::Cast, vec![node], to),
        }
    }

    /// Turns text literals beside values of another type into that type.
    pub(super) fn adapt_text_literals(&mut self, exprs: &[&Expr], mut nodes: Vec<NodeId>) -> Result<Vec<NodeId>> {
        let other =
            nodes.iter().map(|node| self.program.data_type(*node)).find(|data_type| *data_type != DataType::Text);
        let Some(other) = other.filter(|other| matches!(other, DataType::Date | DataType::Timestamp)) else {
            return Ok(nodes);
        };
        for (expr, node) in exprs.iter().zip(&mut nodes) {
            if let Some(Scalar::Text(text)) = self.program.as_literal(*node) {
                *node = self.text_as(&text.clone(), other, *expr)?;
            }
        }
        Ok(nodes)
    }
}

fn widen(value: Cell<'_>, from: DataType, to: DataType) -> Option<Scalar> {
    match (value, to) {
        (Cell::Null, _) => Some(Scalar::Null),
        (Cell::Int(units), DataType::Double) if from.is_numeric() => {
            Some(Scalar::Double(decimal::to_f64(i128::from(units), from.scale())))
        }
        (Cell::Int(units), DataType::Decimal { precision, scale }) if from.is_numeric() && scale >= from.scale() => {
            let units = decimal::rescale(units, from.scale(), scale)?;
            (i128::from(units).abs() < decimal::pow10(precision)).then_some(Scalar::Int(units))
        }
        _ => None,
    }
}

/// The interval that INTERVAL 3 DAY, INTERVAL '3' DAY or INTERVAL '3 days' means, or its negative.
///
/// # Errors
/// When it is none of these forms.
pub fn interval(text: &SqlText, place: &Expr, written: &SqlInterval, negative: bool) -> Result<Interval> {
    let invalid = || {
        text.error(place.span(), "this INTERVAL is not understood")
            .help("write INTERVAL 3 DAY; units are SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER and YEAR")
    };
    let value = match &*written.value {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.clone(),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(quoted), .. }) => quoted.clone(),
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => format!("-{expr}"),
        _ => return Err(invalid()),
    };
    let (amount, unit) = match &written.leading_field {
        Some(field) => (value.trim().to_owned(), unit_name(field)),
        None => match value.trim().split_once(char::is_whitespace) {
            Some((amount, unit)) => (amount.to_owned(), unit.trim().to_lowercase()),
            None => return Err(invalid()),
        },
    };
    let amount: i64 = amount.parse().map_err(|_| invalid())?;
    let amount = if negative { -amount } else { amount };
    let (months, days, micros) = match unit.trim_end_matches('s') {
        "year" => (12, 0, 0),
        "quarter" => (3, 0, 0),
        "month" => (1, 0, 0),
        "week" => (0, 7, 0),
        "day" => (0, 1, 0),
        "hour" => (0, 0, 3_600_000_000),
        "minute" => (0, 0, 60_000_000),
        "second" => (0, 0, 1_000_000),
        _ => return Err(invalid()),
    };
    let months = i32::try_from(amount.checked_mul(months).ok_or_else(invalid)?).map_err(|_| invalid())?;
    let days = amount.checked_mul(days).ok_or_else(invalid)?;
    let micros = amount.checked_mul(micros).ok_or_else(invalid)?;
    Ok(Interval { months, days, micros })
}

fn unit_name(field: &DateTimeField) -> String {
    field.to_string().to_lowercase()
}
