//! Syntax tree to program: names become nodes, types are checked and brought together, literals are folded.
//! Row expressions only: aggregates and windows are the plan's business, and refused here.

mod functions;
mod literals;

use indexmap::IndexMap;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType as SqlType, ExactNumberInfo, Expr, Ident, Spanned, UnaryOperator,
};
use sqlparser::tokenizer::Span;

use crate::chunk::{DataType, Scalar};
use crate::error::Error;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::program::{Comparison, Function, NodeId, Op, Program};
use crate::expr::sql::SqlText;

pub use functions::{is_aggregate, regex_replacement};
pub use literals::interval;

/// A value for a `$name` in SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its value.
    pub value: Scalar,
    /// Its type.
    pub data_type: DataType,
}

/// The parameters of a pipeline, by name without the `$`.
pub type Parameters = IndexMap<String, Parameter>;

/// The names that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    columns: Vec<ScopeColumn>,
}

#[derive(Debug, Clone)]
struct ScopeColumn {
    relation: String,
    name: String,
    node: NodeId,
    /// Whether the name alone means another relation's column (USING makes the two one).
    hidden: bool,
}

impl Scope {
    /// Adds a column of a relation.
    pub fn add(&mut self, relation: &str, name: &str, node: NodeId) {
        self.columns.push(ScopeColumn { relation: relation.to_owned(), name: name.to_owned(), node, hidden: false });
    }

    /// Adds a column that only its relation's name makes visible.
    pub fn add_hidden(&mut self, relation: &str, name: &str, node: NodeId) {
        self.columns.push(ScopeColumn { relation: relation.to_owned(), name: name.to_owned(), node, hidden: true });
    }

    /// The columns that `*` means, in order: their relations and names.
    pub fn visible(&self) -> impl Iterator<Item = (&str, &str)> {
        let visible = self.columns.iter().filter(|column| !column.hidden);
        visible.map(|column| (column.relation.as_str(), column.name.as_str()))
    }

    /// Whether a bare name means a column.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| !column.hidden && column.name.eq_ignore_ascii_case(name))
    }

    fn resolve(&self, relation: Option<&str>, name: &str) -> std::result::Result<NodeId, String> {
        let matches: Vec<&ScopeColumn> = self
            .columns
            .iter()
            .filter(|column| match relation {
                Some(relation) => column.relation.eq_ignore_ascii_case(relation),
                None => !column.hidden,
            })
            .filter(|column| column.name.eq_ignore_ascii_case(name))
            .collect();
        // Names that differ only in case are told apart by an exact match.
        let exact: Vec<&&ScopeColumn> = matches.iter().filter(|column| column.name == name).collect();
        match (exact.as_slice(), matches.as_slice()) {
            ([column], _) => Ok(column.node),
            (_, [column]) => Ok(column.node),
            (_, []) => Err(match relation {
                Some(relation) if !self.columns.iter().any(|column| column.relation.eq_ignore_ascii_case(relation)) => {
                    format!("there is no relation `{relation}` here")
                }
                _ => format!("there is no column `{name}`"),
            }),
            (_, several) => {
                let relations: Vec<&str> = several.iter().map(|column| column.relation.as_str()).collect();
                Err(format!("`{name}` is ambiguous: it is a column of {}", relations.join(" and of ")))
            }
        }
    }
}

/// Binds expressions of one piece of SQL into a program.
pub struct Binder<'a> {
    /// Where nodes are added.
    pub program: &'a mut Program,
    /// What names mean.
    pub scope: &'a Scope,
    /// What `$names` mean.
    pub parameters: &'a Parameters,
    /// Where the SQL stands, for errors.
    pub text: &'a SqlText,
    /// Where a word goes on what is allowed but may surprise.
    pub warnings: &'a mut Vec<Error>,
}

impl Binder<'_> {
    /// Binds an expression.
    ///
    /// # Errors
    /// When a name is unknown, types do not go together, or the engine has no such operation.
    pub fn bind(&mut self, expr: &Expr) -> Result<NodeId> {
        match expr {
            Expr::Nested(inner) => self.bind(inner),
            Expr::Identifier(ident) => self.column(None, ident),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] => self.column(Some(relation), column),
                _ => Err(self.unsupported(expr, "a name of more than two parts")),
            },
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => self.typed_string(typed),
            Expr::UnaryOp { op, expr: operand } => self.unary(expr, op, operand),
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::IsNull(operand) => self.is_null(operand),
            Expr::IsNotNull(operand) => {
                let is_null = self.is_null(operand)?;
                Ok(self.not(is_null))
            }
            Expr::IsTrue(operand) => self.is_boolean(operand, true, false),
            Expr::IsNotTrue(operand) => self.is_boolean(operand, true, true),
            Expr::IsFalse(operand) => self.is_boolean(operand, false, false),
            Expr::IsNotFalse(operand) => self.is_boolean(operand, false, true),
            Expr::IsDistinctFrom(left, right) => self.is_distinct(expr, left, right),
            Expr::IsNotDistinctFrom(left, right) => {
                let distinct = self.is_distinct(expr, left, right)?;
                Ok(self.not(distinct))
            }
            Expr::InList { expr: operand, list, negated } => {
                let found = self.in_list(operand, list)?;
                Ok(if *negated { self.not(found) } else { found })
            }
            Expr::Between { expr: operand, negated, low, high } => {
                let above = self.comparison(operand, Comparison::Ge, low)?;
                let below = self.comparison(operand, Comparison::Le, high)?;
                let between = self.program.call(Function::And, vec![above, below], DataType::Boolean);
                Ok(if *negated { self.not(between) } else { between })
            }
            Expr::Like { negated, any: false, expr: operand, pattern, escape_char } => {
                let like = self.like(operand, pattern, escape_char.as_deref())?;
                Ok(if *negated { self.not(like) } else { like })
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(expr, operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { kind, expr: operand, data_type, format: None } => self.cast(expr, kind, operand, data_type),
            Expr::Function(call) => self.function(expr, call),
            Expr::Substring { expr: text, substring_from, substring_for, .. } => {
                let arguments: Vec<&Expr> = [Some(text), substring_from.as_ref(), substring_for.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|e| &**e)
                    .collect();
                self.substr(expr, &arguments)
            }
            Expr::Trim { trim_where, trim_what, expr: operand, trim_characters } => {
                self.trim(*trim_where, trim_what.as_deref(), operand, trim_characters.as_deref())
            }
            Expr::Position { expr: part, r#in: text } => self.strpos(text, part),
            Expr::Extract { field, expr: operand, .. } => self.extract(expr, &field.to_string(), operand),
            Expr::Ceil { expr: operand, .. } => self.whole(operand, Function::Ceil),
            Expr::Floor { expr: operand, .. } => self.whole(operand, Function::Floor),
            Expr::Interval(_) => Err(self
                .text
                .error(expr.span(), "an INTERVAL can only be added to or subtracted from a DATE or TIMESTAMP")),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => Err(self
                .unsupported(expr, "a subquery over a feed")
                .help("aggregate the feed to a table, then select FROM that table in a second [table]")),
            Expr::ILike { .. } => {
                Err(self.unsupported(expr, "ILIKE").help("LIKE does not tell ASCII letters of either case apart"))
            }
            _ => Err(self.unsupported(expr, "this expression")),
        }
    }

    /// Binds an expression that has to be true or false: WHERE, CHECK, a counter, a condition.
    ///
    /// # Errors
    /// As `bind`, and when it is neither a BOOLEAN nor an INTEGER.
    pub fn bind_predicate(&mut self, expr: &Expr) -> Result<NodeId> {
        let node = self.bind(expr)?;
        self.as_boolean(expr, node)
    }

    fn as_boolean(&mut self, expr: &Expr, node: NodeId) -> Result<NodeId> {
        match self.program.data_type(node) {
            DataType::Boolean => Ok(node),
            DataType::Integer => Ok(self.coerce(node, DataType::Boolean)),
            other => Err(self.text.error(expr.span(), format!("expected a condition, not a {other}"))),
        }
    }

    fn unsupported(&self, expr: &Expr, what: &str) -> Error {
        self.text.error(expr.span(), format!("{what} is not supported by the engine"))
    }

    fn mismatch(&self, span: Span, what: &str, left: DataType, right: DataType) -> Error {
        self.text
            .error(span, format!("{what} of {left} and {right} is not defined"))
            .help("write what is meant with CAST(... AS ...)")
    }

    fn column(&mut self, relation: Option<&Ident>, column: &Ident) -> Result<NodeId> {
        self.scope.resolve(relation.map(|ident| ident.value.as_str()), &column.value).map_err(|message| {
            let error = self.text.error(column.span, message);
            let known = self.scope.columns.iter().map(|known| known.name.as_str());
            match did_you_mean(&column.value, known) {
                Some(help) => error.help(help),
                None => error,
            }
        })
    }

    fn not(&mut self, node: NodeId) -> NodeId {
        self.program.call(Function::Not, vec![node], DataType::Boolean)
    }

    fn is_null(&mut self, operand: &Expr) -> Result<NodeId> {
        let operand = self.bind(operand)?;
        Ok(self.program.call(Function::IsNull, vec![operand], DataType::Boolean))
    }

    /// IS TRUE, IS FALSE and their negations: never NULL, which is what IS DISTINCT FROM a literal is.
    fn is_boolean(&mut self, operand: &Expr, value: bool, negated: bool) -> Result<NodeId> {
        let operand = self.bind_predicate(operand)?;
        let literal = self.program.literal(Scalar::Bool(value), DataType::Boolean);
        let distinct = self.program.call(Function::IsDistinctFrom, vec![operand, literal], DataType::Boolean);
        Ok(if negated { distinct } else { self.not(distinct) })
    }

    fn is_distinct(&mut self, whole: &Expr, left: &Expr, right: &Expr) -> Result<NodeId> {
        let arguments = self.same_type(whole, "comparison", &[left, right])?.0;
        Ok(self.program.call(Function::IsDistinctFrom, arguments, DataType::Boolean))
    }

    fn comparison(&mut self, left: &Expr, comparison: Comparison, right: &Expr) -> Result<NodeId> {
        let (arguments, _) = self.same_type(right, "comparison", &[left, right])?;
        Ok(self.program.call(Function::Compare(comparison), arguments, DataType::Boolean))
    }

    /// `x IN (a, b)` is `x = a OR x = b`, NULLs included.
    fn in_list(&mut self, operand: &Expr, list: &[Expr]) -> Result<NodeId> {
        let mut found = None;
        for item in list {
            let equal = self.comparison(operand, Comparison::Eq, item)?;
            found = Some(match found {
                None => equal,
                Some(found) => self.program.call(Function::Or, vec![found, equal], DataType::Boolean),
            });
        }
        Ok(found.unwrap_or_else(|| self.program.literal(Scalar::Bool(false), DataType::Boolean)))
    }

    fn unary(&mut self, whole: &Expr, op: &UnaryOperator, operand: &Expr) -> Result<NodeId> {
        match op {
            UnaryOperator::Not => {
                let operand = self.bind_predicate(operand)?;
                Ok(self.not(operand))
            }
            UnaryOperator::Minus => {
                // -9223372036854775808 is one literal; its positive half would not fit.
                if let Some(node) = self.negative_literal(operand) {
                    return Ok(node);
                }
                let node = self.numeric(operand)?;
                Ok(self.program.call(Function::Negate, vec![node], self.program.data_type(node)))
            }
            UnaryOperator::Plus => self.numeric(operand),
            _ => Err(self.unsupported(whole, &format!("the operator {op}"))),
        }
    }

    fn numeric(&mut self, expr: &Expr) -> Result<NodeId> {
        let node = self.bind(expr)?;
        let data_type = self.program.data_type(node);
        if data_type.is_numeric() || self.is_null_literal(node) {
            Ok(node)
        } else {
            Err(self.text.error(expr.span(), format!("expected a number, not a {data_type}")))
        }
    }

    /// Binds an expression that has to be text. Numbers and dates are no text here: that takes a CAST.
    fn text_argument(&mut self, expr: &Expr) -> Result<NodeId> {
        let node = self.bind(expr)?;
        let data_type = self.program.data_type(node);
        if data_type == DataType::Text {
            Ok(node)
        } else if self.is_null_literal(node) {
            Ok(self.coerce(node, DataType::Text))
        } else {
            let error = self.text.error(expr.span(), format!("expected TEXT, not {data_type}"));
            Err(error.help(format!("CAST({expr} AS TEXT)")))
        }
    }

    fn binary(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<NodeId> {
        use BinaryOperator as B;
        let comparison = match op {
            B::Eq => Some(Comparison::Eq),
            B::NotEq => Some(Comparison::Ne),
            B::Lt => Some(Comparison::Lt),
            B::LtEq => Some(Comparison::Le),
            B::Gt => Some(Comparison::Gt),
            B::GtEq => Some(Comparison::Ge),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let (arguments, _) = self.same_type(whole, "comparison", &[left, right])?;
            return Ok(self.program.call(Function::Compare(comparison), arguments, DataType::Boolean));
        }
        match op {
            B::And | B::Or => {
                let function = if *op == B::And { Function::And } else { Function::Or };
                let arguments = vec![self.bind_predicate(left)?, self.bind_predicate(right)?];
                Ok(self.program.call(function, arguments, DataType::Boolean))
            }
            B::StringConcat => {
                let arguments = vec![self.text_argument(left)?, self.text_argument(right)?];
                Ok(self.program.call(Function::Concat, arguments, DataType::Text))
            }
            B::Plus | B::Minus => self.sum(whole, left, op, right),
            B::Multiply => self.product(whole, left, right),
            B::Divide => self.quotient(whole, left, right),
            B::Modulo => {
                let arguments = vec![self.numeric(left)?, self.numeric(right)?];
                if arguments.iter().any(|node| self.program.data_type(*node) != DataType::Integer) {
                    return Err(self.text.error(whole.span(), "% is defined for two INTEGERs"));
                }
                Ok(self.program.call(Function::Modulo, arguments, DataType::Integer))
            }
            _ => Err(self.unsupported(whole, &format!("the operator {op}"))),
        }
    }

    fn sum(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<NodeId> {
        let minus = *op == BinaryOperator::Minus;
        if let Expr::Interval(written) = right {
            let shift = interval(self.text, right, written, minus)?;
            return self.shift(left, shift);
        }
        if let (Expr::Interval(written), false) = (left, minus) {
            let shift = interval(self.text, left, written, false)?;
            return self.shift(right, shift);
        }
        let (a, b) = (self.bind(left)?, self.bind(right)?);
        match (self.program.data_type(a), self.program.data_type(b), minus) {
            (DataType::Date, DataType::Date, true) => {
                Ok(self.program.call(Function::DaysBetween, vec![a, b], DataType::Integer))
            }
            (DataType::Date, DataType::Integer, false) => {
                Ok(self.program.call(Function::AddDays, vec![a, b], DataType::Date))
            }
            (DataType::Integer, DataType::Date, false) => {
                Ok(self.program.call(Function::AddDays, vec![b, a], DataType::Date))
            }
            (DataType::Date, DataType::Integer, true) => {
                let b = self.program.call(Function::Negate, vec![b], DataType::Integer);
                Ok(self.program.call(Function::AddDays, vec![a, b], DataType::Date))
            }
            (x, y, _) => {
                let function = if minus { Function::Subtract } else { Function::Add };
                let data_type = self.unify(a, b).filter(|data_type| data_type.is_numeric()).ok_or_else(|| {
                    self.mismatch(whole.span(), if minus { "the difference" } else { "the sum" }, x, y)
                })?;
                let data_type = widest(data_type);
                let arguments = vec![self.coerce(a, data_type), self.coerce(b, data_type)];
                Ok(self.program.call(function, arguments, data_type))
            }
        }
    }

    fn product(&mut self, whole: &Expr, left: &Expr, right: &Expr) -> Result<NodeId> {
        let (a, b) = (self.numeric(left)?, self.numeric(right)?);
        let (x, y) = (self.program.data_type(a), self.program.data_type(b));
        let data_type = match (x, y) {
            (DataType::Double, _) | (_, DataType::Double) => DataType::Double,
            (DataType::Integer, DataType::Integer) => DataType::Integer,
            _ => {
                let scale = x.scale() + y.scale();
                if scale > DataType::MAX_PRECISION {
                    return Err(self
                        .text
                        .error(whole.span(), format!("the product has {scale} decimals; there is room for 18"))
                        .help("round(x, n) or CAST(x AS DECIMAL(p,s)) one of the factors first"));
                }
                let as_decimal = |data_type: DataType| DataType::Decimal {
                    precision: DataType::MAX_PRECISION,
                    scale: data_type.scale(),
                };
                let arguments = vec![self.coerce(a, as_decimal(x)), self.coerce(b, as_decimal(y))];
                let data_type = DataType::Decimal { precision: DataType::MAX_PRECISION, scale };
                return Ok(self.program.call(Function::Multiply, arguments, data_type));
            }
        };
        let arguments = vec![self.coerce(a, data_type), self.coerce(b, data_type)];
        Ok(self.program.call(Function::Multiply, arguments, data_type))
    }

    fn quotient(&mut self, whole: &Expr, left: &Expr, right: &Expr) -> Result<NodeId> {
        let (a, b) = (self.numeric(left)?, self.numeric(right)?);
        let integers = [a, b].iter().all(|node| self.program.data_type(*node) == DataType::Integer);
        if integers {
            self.warnings.push(integer_division(self.text, whole));
        }
        let data_type = if integers { DataType::Integer } else { DataType::Double };
        let arguments = vec![self.coerce(a, data_type), self.coerce(b, data_type)];
        Ok(self.program.call(Function::Divide, arguments, data_type))
    }

    fn case(
        &mut self,
        whole: &Expr,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Result<NodeId> {
        let mut whens = Vec::new();
        for branch in conditions {
            whens.push(match operand {
                Some(operand) => self.comparison(operand, Comparison::Eq, &branch.condition)?,
                None => self.bind_predicate(&branch.condition)?,
            });
        }
        let results: Vec<&Expr> = conditions.iter().map(|branch| &branch.result).chain(otherwise).collect();
        let (mut values, data_type) = self.same_type(whole, "CASE", &results)?;
        let otherwise = match otherwise.and_then(|_| values.pop()) {
            Some(value) => value,
            None => self.program.literal(Scalar::Null, data_type),
        };
        let branches = whens.into_iter().zip(values).collect();
        Ok(self.program.add(Op::Case { branches, otherwise }, data_type))
    }

    fn cast(&mut self, whole: &Expr, kind: &CastKind, operand: &Expr, data_type: &SqlType) -> Result<NodeId> {
        let to = data_type_of(data_type).map_err(|message| self.text.error(whole.span(), message))?;
        let node = self.bind(operand)?;
        let from = self.program.data_type(node);
        if from == to || self.is_null_literal(node) {
            return Ok(self.coerce(node, to));
        }
        if !can_cast(from, to) {
            return Err(self.text.error(whole.span(), format!("a {from} cannot be cast to {to}")));
        }
        let function = match kind {
            CastKind::Cast | CastKind::DoubleColon => Function::Cast,
            CastKind::TryCast | CastKind::SafeCast => Function::TryCast,
        };
        Ok(self.program.call(function, vec![node], to))
    }

    /// Binds expressions and brings them to one type.
    fn same_type(&mut self, whole: &Expr, what: &str, exprs: &[&Expr]) -> Result<(Vec<NodeId>, DataType)> {
        let nodes = exprs.iter().map(|expr| self.bind(expr)).collect::<Result<Vec<_>>>()?;
        // Text literals take the type of what they stand beside: transaction_date >= '2025-10-01'.
        let nodes = self.adapt_text_literals(exprs, nodes)?;
        let mut common = nodes[0];
        let mut data_type = self.program.data_type(common);
        for node in &nodes[1..] {
            let other = self.program.data_type(*node);
            data_type = match self.unify(common, *node) {
                Some(unified) => unified,
                None => return Err(self.mismatch(whole.span(), &format!("the {what}"), data_type, other)),
            };
            common = self.program.literal(Scalar::Bool(false), data_type);
        }
        Ok((nodes.into_iter().map(|node| self.coerce(node, data_type)).collect(), data_type))
    }

    /// The type that holds the values of both, if there is one. A NULL literal takes any type.
    fn unify(&self, a: NodeId, b: NodeId) -> Option<DataType> {
        let (x, y) = (self.program.data_type(a), self.program.data_type(b));
        if self.is_null_literal(a) {
            return Some(y);
        }
        if self.is_null_literal(b) {
            return Some(x);
        }
        unify_types(x, y)
    }

    fn is_null_literal(&self, node: NodeId) -> bool {
        self.program.as_literal(node) == Some(&Scalar::Null)
    }
}

/// The warning about a division of whole numbers.
pub fn integer_division(text: &SqlText, division: &Expr) -> Error {
    text.error(division.span(), "INTEGER / INTEGER drops the fraction, as in SQLite")
        .help("CAST(... AS DOUBLE) one side to keep it")
}

/// The type that holds the values of both, if there is one.
pub fn unify_types(x: DataType, y: DataType) -> Option<DataType> {
    use DataType::{Boolean, Date, Decimal, Double, Integer, Timestamp};
    match (x, y) {
        (x, y) if x == y => Some(x),
        (Double, other) | (other, Double) if other.is_numeric() => Some(Double),
        (Decimal { .. } | Integer, Decimal { .. } | Integer) => {
            Some(Decimal { precision: DataType::MAX_PRECISION, scale: x.scale().max(y.scale()) })
        }
        (Boolean, Integer) | (Integer, Boolean) => Some(Integer),
        (Date, Timestamp) | (Timestamp, Date) => Some(Timestamp),
        _ => None,
    }
}

/// The type of sums and differences of values of a type: a decimal may grow into all digits.
fn widest(data_type: DataType) -> DataType {
    match data_type {
        DataType::Decimal { scale, .. } => DataType::Decimal { precision: DataType::MAX_PRECISION, scale },
        other => other,
    }
}

fn can_cast(from: DataType, to: DataType) -> bool {
    use DataType::{Boolean, Date, Integer, Text, Timestamp};
    match (from, to) {
        (Text, _) | (_, Text) => true,
        (Date | Timestamp, Date | Timestamp) => true,
        (Boolean, Integer) | (Integer, Boolean) => true,
        (from, to) => from.is_numeric() && to.is_numeric(),
    }
}

/// feedmill's type for a type in SQL.
///
/// # Errors
/// The sentence to say when there is none.
pub fn data_type_of(sql: &SqlType) -> std::result::Result<DataType, String> {
    match sql {
        SqlType::Text | SqlType::Varchar(_) | SqlType::String(_) | SqlType::Char(_) => Ok(DataType::Text),
        SqlType::Integer(None) | SqlType::BigInt(None) | SqlType::Int(None) | SqlType::Int64 => Ok(DataType::Integer),
        SqlType::Double(_) | SqlType::DoublePrecision | SqlType::Real | SqlType::Float(_) => Ok(DataType::Double),
        SqlType::Date => Ok(DataType::Date),
        SqlType::Timestamp(..) | SqlType::Datetime(_) => Ok(DataType::Timestamp),
        SqlType::Boolean | SqlType::Bool => Ok(DataType::Boolean),
        SqlType::Decimal(info) | SqlType::Numeric(info) => {
            let (precision, scale) = match info {
                ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
                ExactNumberInfo::Precision(precision) => (*precision, 0),
                ExactNumberInfo::None => return Err(format!("`{sql}` needs a precision and scale: DECIMAL(12,2)")),
            };
            match (u8::try_from(precision), u8::try_from(scale)) {
                (Ok(precision), Ok(scale))
                    if (1..=DataType::MAX_PRECISION).contains(&precision) && scale <= precision =>
                {
                    Ok(DataType::Decimal { precision, scale })
                }
                _ => Err(format!("`{sql}`: the precision goes from 1 to 18, the scale from 0 to the precision")),
            }
        }
        _ => Err(format!(
            "there is no type `{sql}`; the types are TEXT, INTEGER, DECIMAL(p,s), DOUBLE, DATE, TIMESTAMP, BOOLEAN"
        )),
    }
}
