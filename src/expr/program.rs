//! A bound expression: a list of nodes, each computed from earlier ones. Names, types and options are settled here;
//! what remains is to compute. This is the meaning that the fast engine and the reference engine share, and all of it.

use std::collections::HashMap;

use crate::chunk::calendar::Interval;
use crate::chunk::{DataType, Scalar};

/// The place of a node in its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Nodes in an order in which every argument comes before its use. Equal nodes are one node.
#[derive(Debug, Clone, Default)]
pub struct Program {
    nodes: Vec<Node>,
    ids: HashMap<String, NodeId>,
}

/// One step: what is computed, and the type of the result.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// The type of the result.
    pub data_type: DataType,
}

/// What a node computes.
#[derive(Debug, Clone)]
pub enum Op {
    /// A column of the input chunk, by its place.
    Input(usize),
    /// The same value for every row.
    Literal(Scalar),
    /// A column of the row of a lookup whose primary key equals `key`; NULL where `key` is NULL or there is no such
    /// row. With `column` of `None`: whether there is such a row, as a BOOLEAN.
    Lookup {
        /// Which lookup, by its place in the plan.
        lookup: usize,
        /// Which of its columns.
        column: Option<usize>,
        /// The key.
        key: NodeId,
    },
    /// A function of the arguments.
    Call(Function, Vec<NodeId>),
    /// CASE WHEN: the value of the first branch whose condition is true, or else `otherwise`. Faults of branches that
    /// are not taken do not count.
    Case {
        /// Conditions and values.
        branches: Vec<(NodeId, NodeId)>,
        /// The value of ELSE, or a NULL literal.
        otherwise: NodeId,
    },
}

/// A comparison of two values of the same type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparison {
    /// Whether the comparison holds for two values in that order.
    #[inline]
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Lt => order.is_lt(),
            Comparison::Le => order.is_le(),
            Comparison::Gt => order.is_gt(),
            Comparison::Ge => order.is_ge(),
        }
    }
}

/// Which ends TRIM works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimSide {
    /// Both ends.
    Both,
    /// The start (LEADING, ltrim).
    Start,
    /// The end (TRAILING, rtrim).
    End,
}

/// A part of a date or timestamp, for EXTRACT and DATE_TRUNC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatePart {
    /// The year.
    Year,
    /// The quarter, 1 to 4.
    Quarter,
    /// The month, 1 to 12.
    Month,
    /// The ISO 8601 week, 1 to 53; weeks start on Monday.
    Week,
    /// The day of the month.
    Day,
    /// The day of the week, 0 (Sunday) to 6, as in PostgreSQL and DuckDB. EXTRACT only.
    DayOfWeek,
    /// The day of the week, 1 (Monday) to 7. EXTRACT only.
    IsoDayOfWeek,
    /// The day of the year, from 1. EXTRACT only.
    DayOfYear,
    /// The hour.
    Hour,
    /// The minute.
    Minute,
    /// The second, without its fraction.
    Second,
    /// Whole seconds since 1970-01-01. EXTRACT only.
    Epoch,
}

impl DatePart {
    /// The part of that name, in any case.
    pub fn from_name(name: &str) -> Option<DatePart> {
        Some(match name.to_lowercase().as_str() {
            "year" => DatePart::Year,
            "quarter" => DatePart::Quarter,
            "month" => DatePart::Month,
            "week" => DatePart::Week,
            "day" => DatePart::Day,
            "dow" | "dayofweek" => DatePart::DayOfWeek,
            "isodow" => DatePart::IsoDayOfWeek,
            "doy" | "dayofyear" => DatePart::DayOfYear,
            "hour" => DatePart::Hour,
            "minute" => DatePart::Minute,
            "second" => DatePart::Second,
            "epoch" => DatePart::Epoch,
            _ => return None,
        })
    }
}

/// What a call computes. "Strict" functions give NULL when an argument is NULL. Unless said otherwise a function is
/// strict and means what SQLite says it means. Where an argument has to be of a certain kind, the binder has seen to it:
/// numbers that meet are of one type (and decimals of one scale) wherever "same type" is said.
#[derive(Debug, Clone)]
pub enum Function {
    /// Three-valued AND of booleans; false AND NULL is false. Not strict.
    And,
    /// Three-valued OR of booleans; true OR NULL is true. Not strict.
    Or,
    /// NOT of a boolean.
    Not,
    /// Whether the argument is NULL; never NULL itself.
    IsNull,
    /// Comparison of two values of the same type. Text compares by bytes.
    Compare(Comparison),
    /// IS DISTINCT FROM: whether two values of the same type differ, NULL being equal to NULL; never NULL itself.
    IsDistinctFrom,
    /// Sum of two numbers of the same type. Overflow is a fault; so is a DOUBLE that is not finite.
    Add,
    /// Difference, like `Add`.
    Subtract,
    /// Product of two INTEGERs, two DOUBLEs, or two DECIMALs, whose scales add up to the scale of the result.
    Multiply,
    /// Quotient of two INTEGERs (truncated) or two DOUBLEs. Division by zero is NULL.
    Divide,
    /// Remainder of two INTEGERs, with the sign of the dividend; NULL for a divisor of zero.
    Modulo,
    /// The negative of a number.
    Negate,
    /// The absolute value of a number. Overflow is a fault.
    Abs,
    /// Rounding half away from zero to so many digits behind the point: DOUBLE to DOUBLE, DECIMAL to a DECIMAL of the
    /// node's scale.
    Round {
        /// Digits behind the point that are kept, 0 or more.
        digits: u8,
    },
    /// The greatest whole number not above: DOUBLE to DOUBLE, DECIMAL to a DECIMAL of scale 0, INTEGER to itself.
    Floor,
    /// The least whole number not below, like `Floor`.
    Ceil,
    /// The first argument that is not NULL. All of the same type. Faults behind it do not count. Not strict.
    Coalesce,
    /// NULL if both arguments are equal, else the first. Not strict: a NULL second argument gives the first.
    NullIf,
    /// The greatest of the arguments that are not NULL; NULL if all are. As in PostgreSQL and DuckDB. Not strict.
    Greatest,
    /// The least, like `Greatest`.
    Least,
    /// The argument as the node's type. From DECIMAL to a smaller scale it rounds half away from zero, and so does DOUBLE
    /// to DECIMAL, of the digits that SQLite's round() sees; DOUBLE and DECIMAL to INTEGER truncate toward zero; TEXT to
    /// INTEGER or DOUBLE takes the longest numeric prefix, 0 if there is none (SQLite); DATE to TIMESTAMP is midnight;
    /// TIMESTAMP to DATE drops the time; numbers to BOOLEAN say whether they are not 0, and BOOLEAN to a number is 1 or 0;
    /// anything to TEXT writes it as SQLite would, booleans as 1 or 0, decimals with all digits of their scale, dates and
    /// timestamps in ISO 8601. TEXT to DECIMAL, DATE, TIMESTAMP or BOOLEAN reads what a feed column of that type reads.
    /// What cannot be read (`InvalidCast`) or does not fit (`Overflow`, where SQLite takes the nearest number) is a fault.
    Cast,
    /// Like `Cast`, but NULL instead of a fault, and TEXT to INTEGER or DOUBLE must be a number as a whole.
    TryCast,
    /// `||` of two texts.
    Concat,
    /// concat(): the texts one after the other, NULL as nothing. Not strict.
    ConcatSkippingNull,
    /// ASCII letters to lower case; others stay, as in SQLite.
    Lower,
    /// ASCII letters to upper case; others stay, as in SQLite.
    Upper,
    /// trim(text [, characters]): without these characters, or spaces, at the ends.
    Trim(TrimSide),
    /// replace(text, from, to): every occurrence; text itself if `from` is empty. A text longer than 16 MiB is a fault,
    /// here and wherever else texts are made.
    Replace,
    /// substr(text, start [, length]) in characters, with SQLite's rules for zero and negative numbers.
    Substr,
    /// The number of characters of a text.
    Length,
    /// strpos(text, part): the place of the first occurrence in characters from 1, 0 without one (SQLite's instr).
    StrPos,
    /// starts_with(text, prefix), by bytes.
    StartsWith,
    /// text LIKE pattern, with % and _, ASCII letters of either case being equal, as in SQLite.
    Like {
        /// The ESCAPE character.
        escape: Option<char>,
    },
    /// The part of the text that the group of the first match takes; NULL without a match.
    RegexpExtract {
        /// The compiled pattern.
        pattern: regex::bytes::Regex,
        /// The group; 0 is the whole match.
        group: usize,
    },
    /// The text with the first match, or every match, replaced; `$1` or `\1` in the replacement stand for groups.
    RegexpReplace {
        /// The compiled pattern.
        pattern: regex::bytes::Regex,
        /// The replacement, in the regex crate's notation.
        replacement: Box<[u8]>,
        /// Whether every match is replaced.
        all: bool,
    },
    /// Whether the pattern matches somewhere (regexp_matches).
    RegexpMatches {
        /// The compiled pattern.
        pattern: regex::bytes::Regex,
    },
    /// strftime(format, DATE or TIMESTAMP), with chrono's conversions of the same letters.
    Strftime {
        /// The format.
        format: Box<str>,
    },
    /// date_trunc(part, DATE or TIMESTAMP): the start of the year, month, ... ; the type stays.
    DateTrunc(DatePart),
    /// EXTRACT(part FROM DATE or TIMESTAMP) as an INTEGER.
    Extract(DatePart),
    /// A DATE or TIMESTAMP moved by an interval; leaving the years 0 to 9999 is a fault.
    Shift(Interval),
    /// DATE + INTEGER: that many days later; leaving the years 0 to 9999 is a fault.
    AddDays,
    /// DATE - DATE: the days between, as an INTEGER.
    DaysBetween,
}

/// Why an expression has no value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The result does not fit its type.
    Overflow,
    /// A CAST of a value without meaning in the wanted type.
    InvalidCast,
}

impl Program {
    /// The nodes, arguments before uses.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The type of a node.
    pub fn data_type(&self, id: NodeId) -> DataType {
        self.node(id).data_type
    }

    /// Adds a node, or finds the equal one that is there already.
    pub fn add(&mut self, op: Op, data_type: DataType) -> NodeId {
        // Debug output spells out every field of an op, compiled patterns as their text: a key for equality.
        let key = format!("{data_type} {op:?}");
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { op, data_type });
        self.ids.insert(key, id);
        id
    }

    /// Adds a literal.
    pub fn literal(&mut self, value: Scalar, data_type: DataType) -> NodeId {
        self.add(Op::Literal(value), data_type)
    }

    /// Adds a call.
    pub fn call(&mut self, function: Function, arguments: Vec<NodeId>, data_type: DataType) -> NodeId {
        self.add(Op::Call(function, arguments), data_type)
    }

    /// The value of a node that is a literal.
    pub fn as_literal(&self, id: NodeId) -> Option<&Scalar> {
        match &self.node(id).op {
            Op::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Op {
    /// The nodes that this one is computed from.
    pub fn arguments(&self) -> Vec<NodeId> {
        match self {
            Op::Input(_) | Op::Literal(_) => Vec::new(),
            Op::Lookup { key, .. } => vec![*key],
            Op::Call(_, arguments) => arguments.clone(),
            Op::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [*when, *then]).chain([*otherwise]).collect()
            }
        }
    }
}
