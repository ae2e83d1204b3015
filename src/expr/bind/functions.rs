//! Function calls by name: which kernel a name means, with which arguments, and the type of the result.

use regex::bytes::{Regex, RegexBuilder};
use sqlparser::ast::{
    Expr, Function as Call, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, TrimWhereField,
};

use crate::chunk::calendar::Interval;
use crate::chunk::{DataType, Scalar};
use crate::error::Error;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::bind::Binder;
use crate::expr::check_strftime;
use crate::expr::program::{DatePart, Function, NodeId, TrimSide};

/// The scalar functions, by the names that DuckDB and PostgreSQL have for them.
const NAMES: &[&str] = &[
    "abs",
    "ceil",
    "ceiling",
    "coalesce",
    "concat",
    "date_part",
    "date_trunc",
    "extract",
    "floor",
    "greatest",
    "least",
    "length",
    "lower",
    "ltrim",
    "nullif",
    "regexp_extract",
    "regexp_matches",
    "regexp_replace",
    "replace",
    "round",
    "rtrim",
    "starts_with",
    "strftime",
    "strpos",
    "substr",
    "substring",
    "trim",
    "upper",
];

/// Names of other systems, and what to write instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ifnull", "coalesce(x, y)"),
    ("nvl", "coalesce(x, y)"),
    ("iif", "CASE WHEN ... THEN ... ELSE ... END"),
    ("if", "CASE WHEN ... THEN ... ELSE ... END"),
    ("instr", "strpos(text, part)"),
    ("len", "length(text)"),
    ("char_length", "length(text)"),
    ("to_char", "strftime('%Y-%m', date)"),
    ("year", "extract(year FROM date)"),
    ("month", "extract(month FROM date)"),
    ("day", "extract(day FROM date)"),
    ("datediff", "a - b, for the days between two dates"),
    ("date_diff", "a - b, for the days between two dates"),
    ("date_add", "date + INTERVAL 3 DAY"),
    ("regexp_substr", "regexp_extract(text, pattern)"),
    ("regexp_like", "regexp_matches(text, pattern)"),
];

const AGGREGATES: &[&str] =
    &["count", "sum", "min", "max", "avg", "stddev_samp", "stddev_pop", "stddev", "median", "median_gap", "stddev_gap"];

/// Whether a function of that name is an aggregate.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|aggregate| aggregate.eq_ignore_ascii_case(name))
}

impl Binder<'_> {
    pub(super) fn function(&mut self, whole: &Expr, call: &Call) -> Result<NodeId> {
        let name = call.name.to_string().to_lowercase();
        if call.over.is_some() || is_aggregate(&name) {
            return Err(self
                .text
                .error(whole.span(), format!("`{name}` is computed over groups; here is only one row"))
                .help("aggregates and windows belong into the SELECT of a table"));
        }
        let arguments = plain_arguments(call).ok_or_else(|| self.unsupported(whole, "this form of call"))?;
        match (name.as_str(), arguments.as_slice()) {
            ("coalesce", [_, ..]) => self.of_same_type(whole, Function::Coalesce, &arguments),
            ("nullif", [_, _]) => self.of_same_type(whole, Function::NullIf, &arguments),
            ("greatest", [_, ..]) => self.of_same_type(whole, Function::Greatest, &arguments),
            ("least", [_, ..]) => self.of_same_type(whole, Function::Least, &arguments),
            ("abs", [operand]) => {
                let node = self.numeric(operand)?;
                Ok(self.program.call(Function::Abs, vec![node], self.program.data_type(node)))
            }
            ("floor", [operand]) => self.whole(operand, Function::Floor),
            ("ceil" | "ceiling", [operand]) => self.whole(operand, Function::Ceil),
            ("round", [operand]) => self.round(operand, 0),
            ("round", [operand, digits]) => match self.integer_literal(digits)? {
                digits @ 0..=18 => self.round(operand, digits as u8),
                _ => Err(self.text.error(digits.span(), "round() takes 0 to 18 decimals")),
            },
            ("lower", [text]) => self.of_text(Function::Lower, &[text], DataType::Text),
            ("upper", [text]) => self.of_text(Function::Upper, &[text], DataType::Text),
            ("length", [text]) => self.of_text(Function::Length, &[text], DataType::Integer),
            ("replace", [text, from, to]) => self.of_text(Function::Replace, &[text, from, to], DataType::Text),
            ("strpos", [text, part]) => self.strpos(text, part),
            ("starts_with", [text, prefix]) => self.of_text(Function::StartsWith, &[text, prefix], DataType::Boolean),
            ("concat", [_, ..]) => self.of_text(Function::ConcatSkippingNull, &arguments, DataType::Text),
            ("substr" | "substring", [_, _] | [_, _, _]) => self.substr(whole, &arguments),
            ("trim", [_] | [_, _]) => self.trim_call(TrimSide::Both, &arguments),
            ("ltrim", [_] | [_, _]) => self.trim_call(TrimSide::Start, &arguments),
            ("rtrim", [_] | [_, _]) => self.trim_call(TrimSide::End, &arguments),
            ("regexp_extract", [text, pattern, group @ ..]) if group.len() <= 1 => {
                self.regexp_extract(text, pattern, group.first().copied())
            }
            ("regexp_matches", [text, pattern]) => {
                let pattern = self.pattern(pattern, "")?;
                self.of_text(Function::RegexpMatches { pattern }, &[text], DataType::Boolean)
            }
            ("regexp_replace", [text, pattern, replacement, flags @ ..]) if flags.len() <= 1 => {
                self.regexp_replace(text, pattern, replacement, flags.first().copied())
            }
            ("strftime", [a, b]) => self.strftime(a, b),
            ("date_trunc", [part, operand]) => self.date_trunc(part, operand),
            ("date_part", [part, operand]) => {
                let part = self.text_literal(part)?;
                self.extract(whole, &part, operand)
            }
            (name, _) if NAMES.contains(&name) => {
                Err(self.text.error(whole.span(), format!("{name}() does not take {} arguments", arguments.len())))
            }
            (name, _) => Err(self.unknown_function(whole, name)),
        }
    }

    fn unknown_function(&self, whole: &Expr, name: &str) -> Error {
        let error = self.text.error(whole.span(), format!("there is no function `{name}`"));
        if let Some((_, instead)) = ELSEWHERE.iter().find(|(other, _)| *other == name) {
            return error.help(format!("write {instead}"));
        }
        match did_you_mean(name, NAMES.iter().copied()) {
            Some(help) => error.help(help),
            None => error.help(format!("the functions are {}", NAMES.join(", "))),
        }
    }

    fn of_same_type(&mut self, whole: &Expr, function: Function, arguments: &[&Expr]) -> Result<NodeId> {
        let (nodes, data_type) = self.same_type(whole, "common type", arguments)?;
        Ok(self.program.call(function, nodes, data_type))
    }

    fn of_text(&mut self, function: Function, arguments: &[&Expr], result: DataType) -> Result<NodeId> {
        let nodes = arguments.iter().map(|argument| self.text_argument(argument)).collect::<Result<_>>()?;
        Ok(self.program.call(function, nodes, result))
    }

    pub(super) fn strpos(&mut self, text: &Expr, part: &Expr) -> Result<NodeId> {
        self.of_text(Function::StrPos, &[text, part], DataType::Integer)
    }

    /// FLOOR and CEIL.
    pub(super) fn whole(&mut self, operand: &Expr, function: Function) -> Result<NodeId> {
        let node = self.numeric(operand)?;
        let data_type = match self.program.data_type(node) {
            DataType::Decimal { precision, .. } => DataType::Decimal { precision, scale: 0 },
            other => other,
        };
        Ok(self.program.call(function, vec![node], data_type))
    }

    /// SQLite's round() gives a REAL, also for an INTEGER; a DECIMAL stays exact.
    fn round(&mut self, operand: &Expr, digits: u8) -> Result<NodeId> {
        let node = self.numeric(operand)?;
        match self.program.data_type(node) {
            DataType::Decimal { precision, scale } => {
                let data_type = DataType::Decimal { precision, scale: scale.min(digits) };
                Ok(self.program.call(Function::Round { digits: scale.min(digits) }, vec![node], data_type))
            }
            _ => {
                let node = self.coerce(node, DataType::Double);
                Ok(self.program.call(Function::Round { digits }, vec![node], DataType::Double))
            }
        }
    }

    pub(super) fn substr(&mut self, whole: &Expr, arguments: &[&Expr]) -> Result<NodeId> {
        let [text, bounds @ ..] = arguments else { return Err(self.unsupported(whole, "this form of substr")) };
        if bounds.is_empty() {
            return Err(self.text.error(whole.span(), "substr(text, start [, length]) needs a start"));
        }
        let mut nodes = vec![self.text_argument(text)?];
        for bound in bounds {
            let node = self.bind(bound)?;
            if self.program.data_type(node) != DataType::Integer {
                return Err(self.text.error(bound.span(), "expected an INTEGER"));
            }
            nodes.push(node);
        }
        Ok(self.program.call(Function::Substr, nodes, DataType::Text))
    }

    pub(super) fn trim(
        &mut self,
        side: Option<TrimWhereField>,
        what: Option<&Expr>,
        operand: &Expr,
        characters: Option<&[Expr]>,
    ) -> Result<NodeId> {
        let side = match side {
            None | Some(TrimWhereField::Both) => TrimSide::Both,
            Some(TrimWhereField::Leading) => TrimSide::Start,
            Some(TrimWhereField::Trailing) => TrimSide::End,
        };
        let what = what.or_else(|| characters.and_then(<[Expr]>::first));
        self.trim_call(side, &[operand].into_iter().chain(what).collect::<Vec<_>>())
    }

    fn trim_call(&mut self, side: TrimSide, arguments: &[&Expr]) -> Result<NodeId> {
        let mut nodes = arguments.iter().map(|argument| self.text_argument(argument)).collect::<Result<Vec<_>>>()?;
        if nodes.len() == 1 {
            nodes.push(self.program.literal(Scalar::Text(b" ".as_slice().into()), DataType::Text));
        }
        Ok(self.program.call(Function::Trim(side), nodes, DataType::Text))
    }

    pub(super) fn like(&mut self, operand: &Expr, pattern: &Expr, escape: Option<&Expr>) -> Result<NodeId> {
        let escape = match escape {
            None => None,
            Some(written) => {
                let text = self.text_literal(written)?;
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => Some(character),
                    _ => return Err(self.text.error(written.span(), "ESCAPE takes one character")),
                }
            }
        };
        self.of_text(Function::Like { escape }, &[operand, pattern], DataType::Boolean)
    }

    fn regexp_extract(&mut self, text: &Expr, pattern: &Expr, group: Option<&Expr>) -> Result<NodeId> {
        let regex = self.pattern(pattern, "")?;
        let group = match group {
            None => 0,
            Some(written) => match usize::try_from(self.integer_literal(written)?) {
                Ok(group) if group < regex.captures_len() => group,
                _ => {
                    let groups = regex.captures_len() - 1;
                    return Err(self.text.error(written.span(), format!("the pattern has {groups} groups")));
                }
            },
        };
        self.of_text(Function::RegexpExtract { pattern: regex, group }, &[text], DataType::Text)
    }

    fn regexp_replace(
        &mut self,
        text: &Expr,
        pattern: &Expr,
        replacement: &Expr,
        flags: Option<&Expr>,
    ) -> Result<NodeId> {
        let flags = flags.map(|flags| self.text_literal(flags)).transpose()?.unwrap_or_default();
        let pattern = self.pattern(pattern, &flags.replace('g', ""))?;
        let replacement = regex_replacement(&self.text_literal(replacement)?);
        let function =
            Function::RegexpReplace { pattern, replacement: replacement.into_bytes().into(), all: flags.contains('g') };
        self.of_text(function, &[text], DataType::Text)
    }

    fn pattern(&mut self, pattern: &Expr, flags: &str) -> Result<Regex> {
        let text = self.text_literal(pattern)?;
        let mut builder = RegexBuilder::new(&text);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                's' => builder.dot_matches_new_line(true),
                'm' => builder.multi_line(true),
                _ => {
                    return Err(self
                        .text
                        .error(pattern.span(), format!("there is no regular expression flag `{flag}`")));
                }
            };
        }
        builder.build().map_err(|error| self.text.error(pattern.span(), format!("not a regular expression: {error}")))
    }

    fn strftime(&mut self, a: &Expr, b: &Expr) -> Result<NodeId> {
        // DuckDB takes the two in either order; the format is the one that is a literal.
        let (format, operand) = if matches!(a, Expr::Value(_)) { (a, b) } else { (b, a) };
        let text = self.text_literal(format)?;
        if !check_strftime(&text) {
            return Err(self.text.error(format.span(), format!("'{text}' is not a format for strftime")));
        }
        let node = self.moment(operand)?;
        Ok(self.program.call(Function::Strftime { format: text.into() }, vec![node], DataType::Text))
    }

    fn date_trunc(&mut self, part: &Expr, operand: &Expr) -> Result<NodeId> {
        let name = self.text_literal(part)?;
        let node = self.moment(operand)?;
        let data_type = self.program.data_type(node);
        let known = DatePart::from_name(&name).filter(|part| {
            use DatePart::{Day, Hour, Minute, Month, Quarter, Second, Week, Year};
            matches!(part, Year | Quarter | Month | Week | Day)
                || matches!(part, Hour | Minute | Second) && data_type == DataType::Timestamp
        });
        match known {
            Some(part) => Ok(self.program.call(Function::DateTrunc(part), vec![node], data_type)),
            None => Err(self.text.error(part.span(), format!("a {data_type} cannot be truncated to '{name}'"))),
        }
    }

    pub(super) fn extract(&mut self, whole: &Expr, part: &str, operand: &Expr) -> Result<NodeId> {
        let node = self.moment(operand)?;
        match DatePart::from_name(part) {
            Some(part) => Ok(self.program.call(Function::Extract(part), vec![node], DataType::Integer)),
            None => Err(self.text.error(whole.span(), format!("a date has no part `{part}`"))),
        }
    }

    /// A DATE or TIMESTAMP moved by an interval; a date that is moved by hours becomes a timestamp.
    pub(super) fn shift(&mut self, operand: &Expr, interval: Interval) -> Result<NodeId> {
        let node = self.moment(operand)?;
        let node = if interval.micros == 0 { node } else { self.coerce(node, DataType::Timestamp) };
        Ok(self.program.call(Function::Shift(interval), vec![node], self.program.data_type(node)))
    }

    fn moment(&mut self, expr: &Expr) -> Result<NodeId> {
        let node = self.bind(expr)?;
        match self.program.data_type(node) {
            DataType::Date | DataType::Timestamp => Ok(node),
            other => Err(self
                .text
                .error(expr.span(), format!("expected a DATE or TIMESTAMP, not {other}"))
                .help(format!("CAST({expr} AS DATE)"))),
        }
    }

    fn text_literal(&mut self, expr: &Expr) -> Result<String> {
        let node = self.bind(expr)?;
        match self.program.as_literal(node) {
            Some(Scalar::Text(text)) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err(self.text.error(expr.span(), "expected text in single quotes")),
        }
    }

    fn integer_literal(&mut self, expr: &Expr) -> Result<i64> {
        let node = self.bind(expr)?;
        match (self.program.as_literal(node), self.program.data_type(node)) {
            (Some(Scalar::Int(value)), DataType::Integer) => Ok(*value),
            _ => Err(self.text.error(expr.span(), "expected a whole number")),
        }
    }
}

/// The arguments of a call, if they are plain expressions.
pub(super) fn plain_arguments(call: &Call) -> Option<Vec<&Expr>> {
    match &call.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// `\1` to `${1}`, and dollars to themselves: PostgreSQL's and DuckDB's notation to the regex crate's.
pub fn regex_replacement(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek().copied()) {
            ('\\', Some(digit @ '0'..='9')) => {
                characters.next();
                out.push_str(&format!("${{{digit}}}"));
            }
            ('\\', Some('\\')) => {
                characters.next();
                out.push('\\');
            }
            ('$', _) => out.push_str("$$"),
            _ => out.push(character),
        }
    }
    out
}
