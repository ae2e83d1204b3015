//! The types and names of columns. Says nothing about how values are read or stored in SQLite.

use std::fmt;

/// The type of a column or expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// UTF-8 text.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// An exact decimal: an i64 number of units of 10^-scale.
    Decimal {
        /// Digits in all, at most 18.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// A finite 64-bit floating-point number.
    Double,
    /// A proleptic Gregorian date, as days since 1970-01-01.
    Date,
    /// A point in time without a zone, as microseconds since 1970-01-01 00:00:00.
    Timestamp,
    /// True or false.
    Boolean,
}

/// How the values of a type lie in memory; kernels are chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Physical {
    /// Integers, decimals (in units of their scale), dates (days) and timestamps (microseconds).
    Int,
    /// Doubles.
    Double,
    /// Booleans.
    Bool,
    /// Text.
    Text,
}

impl DataType {
    /// The greatest number of digits of a DECIMAL: what fits an i64 whatever the digits.
    pub const MAX_PRECISION: u8 = 18;

    /// How values of this type lie in memory.
    pub fn physical(self) -> Physical {
        match self {
            DataType::Text => Physical::Text,
            DataType::Double => Physical::Double,
            DataType::Boolean => Physical::Bool,
            DataType::Integer | DataType::Decimal { .. } | DataType::Date | DataType::Timestamp => Physical::Int,
        }
    }

    /// Whether arithmetic is defined on it.
    pub fn is_numeric(self) -> bool {
        matches!(self, DataType::Integer | DataType::Decimal { .. } | DataType::Double)
    }

    /// Digits behind the point: the scale of a decimal, 0 for everything else.
    pub fn scale(self) -> u8 {
        match self {
            DataType::Decimal { scale, .. } => scale,
            _ => 0,
        }
    }

    /// The type in a CREATE TABLE of SQLite. Dates and timestamps are ISO 8601 text and decimals are REAL there.
    pub fn sqlite_name(self) -> &'static str {
        match self {
            DataType::Text | DataType::Date | DataType::Timestamp => "TEXT",
            DataType::Integer | DataType::Boolean => "INTEGER",
            DataType::Decimal { .. } | DataType::Double => "REAL",
        }
    }
}

/// A name as SQLite takes it, whatever it consists of.
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQLite takes it.
pub fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Text => f.write_str("TEXT"),
            DataType::Integer => f.write_str("INTEGER"),
            DataType::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            DataType::Double => f.write_str("DOUBLE"),
            DataType::Date => f.write_str("DATE"),
            DataType::Timestamp => f.write_str("TIMESTAMP"),
            DataType::Boolean => f.write_str("BOOLEAN"),
        }
    }
}

/// A named, typed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, as written in the pipeline file.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

impl Field {
    /// A field of that name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Field { name: name.into(), data_type }
    }
}
