//! What SQLite stores for a value of a column. Knows nothing of statements and pages.

use crate::chunk::calendar;
use crate::chunk::decimal;
use crate::chunk::{ColumnView, DataType, Text, Values};

/// A value as SQLite stores it. Dates and timestamps are text, decimals are doubles, booleans are 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stored<'a> {
    /// SQL's NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A number of a column with REAL affinity, never a NaN.
    Real(f64),
    /// Text in UTF-8.
    Text(&'a [u8]),
}

impl Stored<'_> {
    /// The value for a message: text in quotes, and not too much of it.
    pub(super) fn in_words(self) -> String {
        const MAX_CHARACTERS: usize = 60;
        match self {
            Stored::Null => "NULL".to_owned(),
            Stored::Integer(value) => value.to_string(),
            Stored::Real(value) => value.to_string(),
            Stored::Text(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                match text.char_indices().nth(MAX_CHARACTERS) {
                    Some((end, _)) => format!("'{}...'", &text[..end]),
                    None => format!("'{text}'"),
                }
            }
        }
    }
}

/// Takes the values of some rows. A trait and no closure, because its method can be inlined for every kind of column, where
/// a compiler leaves a call of the closure for each value.
pub(super) trait Visitor {
    /// Takes the value of a row, by its number among the rows.
    fn visit(&mut self, nth: usize, value: Stored<'_>);
}

/// A column whose shape and type have been told apart.
#[derive(Debug)]
pub(super) struct StoredColumn<'a> {
    values: StoredValues<'a>,
    validity: Option<&'a [bool]>,
    codes: Option<&'a [u32]>,
}

#[derive(Debug)]
enum StoredValues<'a> {
    Integer(&'a [i64]),
    Decimal(&'a [i64], u8),
    Date(&'a [i64]),
    Timestamp(&'a [i64]),
    Real(&'a [f64]),
    Boolean(&'a [bool]),
    Text(&'a Text),
}

impl<'a> StoredColumn<'a> {
    /// Tells them apart.
    pub(super) fn new(view: &ColumnView<'a>, data_type: DataType) -> Self {
        let (column, codes) = match *view {
            ColumnView::Rows(column) => (column, None),
            ColumnView::Encoded { codes, entries, .. } => (entries, Some(codes)),
        };
        let values = match (&column.values, data_type) {
            (Values::Int(units), DataType::Decimal { scale, .. }) => StoredValues::Decimal(units, scale),
            (Values::Int(days), DataType::Date) => StoredValues::Date(days),
            (Values::Int(micros), DataType::Timestamp) => StoredValues::Timestamp(micros),
            (Values::Int(values), _) => StoredValues::Integer(values),
            (Values::Double(values), _) => StoredValues::Real(values),
            (Values::Bool(values), _) => StoredValues::Boolean(values),
            (Values::Text(text), _) => StoredValues::Text(text),
        };
        StoredColumn { values, validity: column.validity.as_deref(), codes }
    }

    /// All columns of some rows.
    pub(super) fn all(views: &[ColumnView<'a>], types: &[DataType]) -> Vec<Self> {
        views.iter().zip(types).map(|(view, data_type)| StoredColumn::new(view, *data_type)).collect()
    }

    /// Lets `visitor` have the value of each of some rows. What kind of values the column has is asked once. Dates and
    /// timestamps are written into `scratch`.
    #[inline]
    pub(super) fn for_each(&self, rows: &[u32], scratch: &mut Vec<u8>, visitor: impl Visitor) {
        match self.values {
            StoredValues::Integer(values) => self.each(rows, visitor, |at| Stored::Integer(values[at])),
            StoredValues::Decimal(units, scale) => {
                self.each(rows, visitor, |at| Stored::Real(decimal::to_f64(i128::from(units[at]), scale)));
            }
            StoredValues::Real(values) => self.each(rows, visitor, |at| Stored::Real(values[at])),
            StoredValues::Boolean(values) => self.each(rows, visitor, |at| Stored::Integer(i64::from(values[at]))),
            StoredValues::Text(text) => self.each(rows, visitor, |at| Stored::Text(text.get(at))),
            StoredValues::Date(days) => {
                self.each_text(rows, visitor, scratch, |at, out| calendar::write_date(out, days[at]));
            }
            StoredValues::Timestamp(micros) => {
                self.each_text(rows, visitor, scratch, |at, out| calendar::write_timestamp(out, micros[at]));
            }
        }
    }

    #[inline]
    fn each<'v>(&self, rows: &[u32], mut visitor: impl Visitor, value: impl Fn(usize) -> Stored<'v>) {
        for (nth, row) in rows.iter().enumerate() {
            match self.place_of(*row as usize) {
                Some(at) => visitor.visit(nth, value(at)),
                None => visitor.visit(nth, Stored::Null),
            }
        }
    }

    /// As `each`, for values that are written as text. All of them are written before the first is visited: the processor
    /// is slow to read as a whole what it has just written in parts.
    #[inline]
    fn each_text(
        &self,
        rows: &[u32],
        mut visitor: impl Visitor,
        texts: &mut Vec<u8>,
        write: impl Fn(usize, &mut Vec<u8>),
    ) {
        texts.clear();
        let mut ends = Vec::with_capacity(rows.len());
        for row in rows {
            ends.push(self.place_of(*row as usize).map(|at| {
                write(at, texts);
                texts.len()
            }));
        }
        let mut start = 0;
        for (nth, end) in ends.into_iter().enumerate() {
            match end {
                Some(end) => {
                    visitor.visit(nth, Stored::Text(&texts[start..end]));
                    start = end;
                }
                None => visitor.visit(nth, Stored::Null),
            }
        }
    }

    /// Where the value of a row is; `None` if it is NULL.
    #[inline]
    fn place_of(&self, row: usize) -> Option<usize> {
        let at = self.codes.map_or(row, |codes| codes[row] as usize);
        self.validity.is_none_or(|validity| validity[at]).then_some(at)
    }

    /// The value of a row. Dates and timestamps are written into `scratch`.
    #[inline]
    pub(super) fn get<'v>(&'v self, row: usize, scratch: &'v mut Vec<u8>) -> Stored<'v> {
        let Some(row) = self.place_of(row) else { return Stored::Null };
        match self.values {
            StoredValues::Integer(values) => Stored::Integer(values[row]),
            StoredValues::Decimal(units, scale) => Stored::Real(decimal::to_f64(i128::from(units[row]), scale)),
            StoredValues::Date(days) => {
                scratch.clear();
                calendar::write_date(scratch, days[row]);
                Stored::Text(scratch)
            }
            StoredValues::Timestamp(micros) => {
                scratch.clear();
                calendar::write_timestamp(scratch, micros[row]);
                Stored::Text(scratch)
            }
            StoredValues::Real(values) => Stored::Real(values[row]),
            StoredValues::Boolean(values) => Stored::Integer(i64::from(values[row])),
            StoredValues::Text(text) => Stored::Text(text.get(row)),
        }
    }
}
