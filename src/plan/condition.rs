//! What a rule asks of the columns of a table: comparisons, put together by AND, OR and NOT. Computes nothing: SQLite gets
//! it as SQL, and the reference engine has code of its own for it.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned, UnaryOperator, Value};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use crate::chunk::{DataType, Scalar, quoted_name, quoted_text};
use crate::error::{Error, Result, did_you_mean};
use crate::expr::Comparison;
use crate::expr::bind::Parameters;
use crate::expr::sql::SqlText;

/// A condition, or an operand of one. It means what SQLite says: three-valued, numbers come before texts, and a value by
/// itself is true if it is a number other than 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A column of the table, by its place among the signals.
    Signal(usize),
    /// A value as SQLite has it: NULL, a 64-bit integer, a double or a text.
    Literal(Scalar),
    /// NOT
    Not(Box<Condition>),
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// One of the two.
    Or(Box<Condition>, Box<Condition>),
    /// A comparison of two values.
    Compare(Comparison, Box<Condition>, Box<Condition>),
    /// IS NULL, which is never NULL itself.
    IsNull(Box<Condition>),
    /// Whether a value is one of several.
    In(Box<Condition>, Vec<Condition>),
}

/// What the SQL of a rule names and compares, for checks against the columns of its table.
#[derive(Debug, Clone, Default)]
pub(super) struct Mentions {
    /// Signals and where they stand.
    pub(super) signals: Vec<(usize, Span)>,
    comparisons: Vec<(Operand, Operand, Span)>,
}

/// What one side of a comparison is.
#[derive(Debug, Clone, Copy)]
enum Operand {
    Signal(usize),
    Number,
    Text,
    Any,
}

/// What a rule can consist of.
const SUPPORTED: &str = "a rule consists of columns, values and $parameters with =, <>, <, <=, >, >=, BETWEEN, IN (...), IS NULL, \
                         AND, OR and NOT; compute anything else as a column of the table that it reads";

impl Condition {
    /// Reads a rule. Columns that it names are added to `signals`.
    pub(super) fn parse(
        text: &SqlText,
        parameters: &Parameters,
        signals: &mut Vec<String>,
    ) -> Result<(Condition, Mentions)> {
        let expr = text.parse_expr()?;
        let mut reader = Reader { text, parameters, signals, mentions: Mentions::default() };
        let condition = reader.read(&expr)?;
        Ok((condition, reader.mentions))
    }

    /// The condition as SQL, in which every precedence is spelled out.
    pub(super) fn sql(&self, signals: &[String]) -> String {
        let operand = |condition: &Condition| condition.operand(signals, Condition::is_value);
        match self {
            Condition::Signal(place) => quoted_name(&signals[*place]),
            Condition::Literal(value) => literal(value),
            Condition::Not(negated) => format!("NOT {}", operand(negated)),
            Condition::And(left, right) => {
                let part = |part: &Condition| {
                    part.operand(signals, |part| matches!(part, Condition::And(..)) || part.is_flat())
                };
                format!("{} AND {}", part(left), part(right))
            }
            Condition::Or(left, right) => {
                let part = |part: &Condition| {
                    part.operand(signals, |part| matches!(part, Condition::Or(..)) || part.is_flat())
                };
                format!("{} OR {}", part(left), part(right))
            }
            Condition::Compare(comparison, left, right) => {
                format!("{} {} {}", operand(left), sign(*comparison), operand(right))
            }
            Condition::IsNull(value) => format!("{} IS NULL", operand(value)),
            Condition::In(value, list) => {
                let list: Vec<String> = list.iter().map(operand).collect();
                format!("{} IN ({})", operand(value), list.join(", "))
            }
        }
    }

    fn operand(&self, signals: &[String], stands_alone: impl Fn(&Condition) -> bool) -> String {
        let sql = self.sql(signals);
        if stands_alone(self) { sql } else { format!("({sql})") }
    }

    fn is_value(&self) -> bool {
        matches!(self, Condition::Signal(_) | Condition::Literal(_))
    }

    /// Whether it binds more tightly than AND and OR.
    fn is_flat(&self) -> bool {
        !matches!(self, Condition::And(..) | Condition::Or(..))
    }
}

impl Mentions {
    /// Complains where a number is compared with a text, as far as the types of the signals are known. SQLite would convert
    /// one of the two, or find every text greater than any number.
    pub(super) fn check_types(&self, text: &SqlText, types: &[Option<DataType>]) -> Result<()> {
        let is_text = |operand: &Operand| match operand {
            Operand::Number => Some(false),
            Operand::Text => Some(true),
            Operand::Any => None,
            Operand::Signal(place) => types[*place].map(|data_type| data_type.sqlite_name() == "TEXT"),
        };
        let is_mixed =
            |left, right| matches!((is_text(left), is_text(right)), (Some(left), Some(right)) if left != right);
        match self.comparisons.iter().find(|(left, right, _)| is_mixed(left, right)) {
            Some((.., span)) => {
                let error = text.error(*span, "a comparison of a number and a text is not defined");
                Err(error.help("dates are text, 'YYYY-MM-DD'; numbers stand without quotes"))
            }
            None => Ok(()),
        }
    }
}

struct Reader<'a> {
    text: &'a SqlText,
    parameters: &'a Parameters,
    signals: &'a mut Vec<String>,
    mentions: Mentions,
}

impl Reader<'_> {
    fn read(&mut self, expr: &Expr) -> Result<Condition> {
        match expr {
            Expr::Nested(inner) => self.read(inner),
            Expr::Identifier(name) => Ok(self.signal(name)),
            Expr::Value(value) => self.value(expr, &value.value),
            Expr::UnaryOp { op: UnaryOperator::Not, expr: negated } => Ok(not(self.read(negated)?)),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: number } => match number.as_ref() {
                Expr::Value(value) => match &value.value {
                    Value::Number(digits, _) => self.number(expr, &format!("-{digits}")),
                    _ => Err(self.unsupported(expr)),
                },
                _ => Err(self.unsupported(expr)),
            },
            Expr::BinaryOp { left, op, right } => {
                let (left_side, right_side) = (self.read(left)?, self.read(right)?);
                match (op, comparison(op)) {
                    (_, Some(comparison)) => Ok(self.compare(comparison, left_side, right_side, expr)),
                    (BinaryOperator::And, _) => Ok(Condition::And(Box::new(left_side), Box::new(right_side))),
                    (BinaryOperator::Or, _) => Ok(Condition::Or(Box::new(left_side), Box::new(right_side))),
                    _ => Err(self.unsupported(expr)),
                }
            }
            Expr::Between { expr: value, negated, low, high } => {
                let value = self.read(value)?;
                let (low, high) = (self.read(low)?, self.read(high)?);
                let above = self.compare(Comparison::Ge, value.clone(), low, expr);
                let below = self.compare(Comparison::Le, value, high, expr);
                Ok(not_if(*negated, Condition::And(Box::new(above), Box::new(below))))
            }
            Expr::InList { expr: value, list, negated } => {
                let value = self.read(value)?;
                let list = list.iter().map(|item| self.read(item)).collect::<Result<Vec<_>>>()?;
                for item in &list {
                    self.mentions.comparisons.push((operand(&value), operand(item), expr.span()));
                }
                Ok(not_if(*negated, Condition::In(Box::new(value), list)))
            }
            Expr::IsNull(value) => Ok(Condition::IsNull(Box::new(self.read(value)?))),
            Expr::IsNotNull(value) => Ok(not(Condition::IsNull(Box::new(self.read(value)?)))),
            _ => Err(self.unsupported(expr)),
        }
    }

    fn signal(&mut self, name: &Ident) -> Condition {
        let known = self.signals.iter().position(|known| known.eq_ignore_ascii_case(&name.value));
        let place = known.unwrap_or_else(|| {
            self.signals.push(name.value.clone());
            self.signals.len() - 1
        });
        self.mentions.signals.push((place, name.span));
        Condition::Signal(place)
    }

    fn compare(&mut self, comparison: Comparison, left: Condition, right: Condition, whole: &Expr) -> Condition {
        self.mentions.comparisons.push((operand(&left), operand(&right), whole.span()));
        Condition::Compare(comparison, Box::new(left), Box::new(right))
    }

    fn value(&mut self, expr: &Expr, value: &Value) -> Result<Condition> {
        match value {
            Value::Number(digits, _) => self.number(expr, digits),
            Value::SingleQuotedString(text) => Ok(Condition::Literal(Scalar::Text(text.as_bytes().into()))),
            Value::Boolean(value) => Ok(Condition::Literal(Scalar::Int(i64::from(*value)))),
            Value::Null => Ok(Condition::Literal(Scalar::Null)),
            Value::Placeholder(name) => self.parameter(expr, name),
            _ => Err(self.unsupported(expr)),
        }
    }

    fn number(&self, expr: &Expr, digits: &str) -> Result<Condition> {
        let double =
            || digits.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| Scalar::Double(value + 0.0));
        match digits.parse().map(Scalar::Int).ok().or_else(double) {
            Some(value) => Ok(Condition::Literal(value)),
            None => Err(self.text.error(expr.span(), format!("`{digits}` is not a number that SQLite has"))),
        }
    }

    /// The value of a parameter as tables hold it, which is what its literal in SQL means.
    fn parameter(&mut self, expr: &Expr, name: &str) -> Result<Condition> {
        let name = name.trim_start_matches('$');
        let Some(parameter) = self.parameters.get(name) else {
            let error = self.text.error(expr.span(), format!("there is no parameter `{name}` in [params]"));
            return Err(match did_you_mean(name, self.parameters.keys().map(String::as_str)) {
                Some(help) => error.help(help),
                None => error.help(format!("add `{name} = ...` to [params]")),
            });
        };
        let sql = parameter.to_sqlite();
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&sql).and_then(|mut parser| parser.parse_expr());
        match parsed {
            Ok(value) => self.read(&value),
            Err(error) => Err(self.text.error(expr.span(), format!("this cannot be handed to SQLite: {error}"))),
        }
    }

    fn unsupported(&self, expr: &Expr) -> Error {
        self.text.error(expr.span(), "this is not supported in a rule").help(SUPPORTED)
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    match op {
        BinaryOperator::Eq => Some(Comparison::Eq),
        BinaryOperator::NotEq => Some(Comparison::Ne),
        BinaryOperator::Lt => Some(Comparison::Lt),
        BinaryOperator::LtEq => Some(Comparison::Le),
        BinaryOperator::Gt => Some(Comparison::Gt),
        BinaryOperator::GtEq => Some(Comparison::Ge),
        _ => None,
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "=",
        Comparison::Ne => "<>",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
    }
}

fn operand(condition: &Condition) -> Operand {
    match condition {
        Condition::Signal(place) => Operand::Signal(*place),
        Condition::Literal(Scalar::Null) => Operand::Any,
        Condition::Literal(Scalar::Text(_)) => Operand::Text,
        _ => Operand::Number,
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn not_if(negated: bool, condition: Condition) -> Condition {
    if negated { not(condition) } else { condition }
}

fn literal(value: &Scalar) -> String {
    match value {
        Scalar::Null => "NULL".to_owned(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Double(value) => format!("{value:?}"),
        Scalar::Bool(value) => u8::from(*value).to_string(),
        Scalar::Text(text) => quoted_text(&String::from_utf8_lossy(text)),
    }
}
