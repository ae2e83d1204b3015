//! Typed vectors with validity: what a chunk is made of. Knows nothing of files, SQL or SQLite.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::chunk::schema::{DataType, Physical};
use crate::chunk::{calendar, decimal};

/// Text values as spans of one shared buffer, so that fields of a block are never copied.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The bytes that the spans point into; valid UTF-8 within every span.
    pub bytes: Arc<Vec<u8>>,
    /// Start and length of each value.
    pub spans: Vec<Span>,
}

/// A stretch of a buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// Its places among the bytes of the buffer.
    #[inline]
    pub fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// The stretch of these bytes.
    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }
}

impl Text {
    /// The bytes of value `row`.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        self.spans[row].of(&self.bytes)
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|span| span.of(&self.bytes))
    }
}

/// Builds a `Text` by appending values to a buffer of its own.
#[derive(Debug, Default)]
pub struct TextBuilder {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl TextBuilder {
    /// A builder with room for `rows` values.
    pub fn with_capacity(rows: usize) -> Self {
        TextBuilder { bytes: Vec::with_capacity(rows * 8), spans: Vec::with_capacity(rows) }
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(value));
    }

    /// Appends the value that `write` appends to the buffer.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.spans.push(Span { start: start as u32, len: (self.bytes.len() - start) as u32 });
    }

    /// The values as a `Text`.
    pub fn finish(self) -> Text {
        Text { bytes: Arc::new(self.bytes), spans: self.spans }
    }
}

/// Builds a `Text` in which equal values share their bytes, as long as many are equal.
#[derive(Debug, Default)]
struct SharedTexts {
    text: TextBuilder,
    known: HashTable<Span>,
    hasher: DefaultHashBuilder,
    is_over: bool,
}

impl SharedTexts {
    /// So many values are looked at before it is decided whether sharing pays.
    const FIRST: usize = 4096;

    fn push(&mut self, value: &[u8]) {
        let SharedTexts { text, known, hasher, is_over } = self;
        if text.spans.len() >= Self::FIRST && known.len() > text.spans.len() / 2 {
            (*known, *is_over) = (HashTable::new(), true);
        }
        if *is_over {
            return text.push(value);
        }
        let hash = hasher.hash_one(value);
        if let Some(span) = known.find(hash, |span| span.of(&text.bytes) == value) {
            return text.spans.push(*span);
        }
        text.push(value);
        let span = text.spans[text.spans.len() - 1];
        known.insert_unique(hash, span, |span| hasher.hash_one(span.of(&text.bytes)));
    }
}

/// The values of a column, by physical type. A NULL has some value here too; it means nothing.
#[derive(Debug, Clone)]
pub enum Values {
    /// Integers, decimals, dates, timestamps.
    Int(Vec<i64>),
    /// Doubles, always finite.
    Double(Vec<f64>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Text.
    Text(Text),
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Int(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::Text(text) => text.spans.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they lie in memory.
    pub fn physical(&self) -> Physical {
        match self {
            Values::Int(_) => Physical::Int,
            Values::Double(_) => Physical::Double,
            Values::Bool(_) => Physical::Bool,
            Values::Text(_) => Physical::Text,
        }
    }
}

/// A column of a chunk: values and, where some are NULL, which ones are not.
#[derive(Debug, Clone)]
pub struct Column {
    /// The values.
    pub values: Values,
    /// One flag a row, false for NULL; `None` when no row is NULL.
    pub validity: Option<Vec<bool>>,
}

/// One value, borrowed from a column. Its meaning follows from the column's `DataType`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL's NULL.
    Null,
    /// An integer, decimal, date or timestamp.
    Int(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Text.
    Text(&'a [u8]),
}

/// One value that owns its bytes: literals, parameters, expected results.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// SQL's NULL.
    Null,
    /// An integer, decimal, date or timestamp.
    Int(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Text.
    Text(Box<[u8]>),
}

impl Scalar {
    /// The same value, borrowed.
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            Scalar::Null => Cell::Null,
            Scalar::Int(value) => Cell::Int(*value),
            Scalar::Double(value) => Cell::Double(*value),
            Scalar::Bool(value) => Cell::Bool(*value),
            Scalar::Text(value) => Cell::Text(value),
        }
    }
}

impl Cell<'_> {
    /// Appends the value as text, decimals with all digits of their scale and booleans as 0 or 1; NULL is nothing.
    pub fn write_text(self, data_type: DataType, out: &mut Vec<u8>) {
        match (self, data_type) {
            (Cell::Null, _) => {}
            (Cell::Text(text), _) => out.extend_from_slice(text),
            (Cell::Int(days), DataType::Date) => calendar::write_date(out, days),
            (Cell::Int(micros), DataType::Timestamp) => calendar::write_timestamp(out, micros),
            (Cell::Int(units), _) => out.extend(decimal::format(i128::from(units), data_type.scale()).into_bytes()),
            (Cell::Double(value), _) => out.extend(value.to_string().into_bytes()),
            (Cell::Bool(value), _) => out.push(if value { b'1' } else { b'0' }),
        }
    }

    /// The same value, owned.
    pub fn to_scalar(self) -> Scalar {
        match self {
            Cell::Null => Scalar::Null,
            Cell::Int(value) => Scalar::Int(value),
            Cell::Double(value) => Scalar::Double(value),
            Cell::Bool(value) => Scalar::Bool(value),
            Cell::Text(value) => Scalar::Text(value.into()),
        }
    }
}

impl Column {
    /// A column without NULLs.
    pub fn new(values: Values) -> Self {
        Column { values, validity: None }
    }

    /// A column with a flag for each row; all-true flags are dropped.
    pub fn with_validity(values: Values, validity: Vec<bool>) -> Self {
        let validity = if validity.iter().all(|valid| *valid) { None } else { Some(validity) };
        Column { values, validity }
    }

    /// A column of `len` equal values.
    pub fn repeat(value: &Scalar, physical: Physical, len: usize) -> Self {
        let mut builder = ColumnBuilder::new(physical, len);
        for _ in 0..len {
            builder.push(value.as_cell());
        }
        builder.finish()
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value of `row` is not NULL.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity[row])
    }

    /// The value of `row`.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<'_> {
        if !self.is_valid(row) {
            return Cell::Null;
        }
        match &self.values {
            Values::Int(values) => Cell::Int(values[row]),
            Values::Double(values) => Cell::Double(values[row]),
            Values::Bool(values) => Cell::Bool(values[row]),
            Values::Text(text) => Cell::Text(text.get(row)),
        }
    }

    /// Takes out the rows at `rows`, ascending.
    pub fn remove(&mut self, rows: &[u32]) {
        match &mut self.values {
            Values::Int(values) => remove_rows(values, 1, rows),
            Values::Double(values) => remove_rows(values, 1, rows),
            Values::Bool(values) => remove_rows(values, 1, rows),
            Values::Text(text) => remove_rows(&mut text.spans, 1, rows),
        }
        if let Some(mut validity) = self.validity.take() {
            remove_rows(&mut validity, 1, rows);
            self.validity = Some(validity).filter(|validity| validity.contains(&false));
        }
    }

    /// Gives back what was allocated to grow into.
    pub fn shrink_to_fit(&mut self) {
        match &mut self.values {
            Values::Int(values) => values.shrink_to_fit(),
            Values::Double(values) => values.shrink_to_fit(),
            Values::Bool(values) => values.shrink_to_fit(),
            Values::Text(text) => {
                text.spans.shrink_to_fit();
                if let Some(bytes) = Arc::get_mut(&mut text.bytes) {
                    bytes.shrink_to_fit();
                }
            }
        }
    }

    /// The heap that the column takes, in bytes; of bytes that several columns share, all of it.
    pub fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Int(values) => values.capacity() * size_of::<i64>(),
            Values::Double(values) => values.capacity() * size_of::<f64>(),
            Values::Bool(values) => values.capacity(),
            Values::Text(text) => text.bytes.capacity() + text.spans.capacity() * size_of::<Span>(),
        };
        values + self.validity.as_ref().map_or(0, Vec::capacity)
    }

    /// The same column with its texts in a buffer of their own.
    #[must_use]
    pub fn with_own_text(self) -> Column {
        let values = match self.values {
            Values::Text(text) => {
                let mut builder = TextBuilder::with_capacity(text.spans.len());
                text.iter().for_each(|value| builder.push(value));
                Values::Text(builder.finish())
            }
            values => values,
        };
        Column { values, validity: self.validity }
    }

    /// The column of the values at `rows`, in that order.
    pub fn gather(&self, rows: &[u32]) -> Column {
        let values = match &self.values {
            Values::Int(values) => Values::Int(rows.iter().map(|row| values[*row as usize]).collect()),
            Values::Double(values) => Values::Double(rows.iter().map(|row| values[*row as usize]).collect()),
            Values::Bool(values) => Values::Bool(rows.iter().map(|row| values[*row as usize]).collect()),
            Values::Text(text) => Values::Text(Text {
                bytes: Arc::clone(&text.bytes),
                spans: rows.iter().map(|row| text.spans[*row as usize]).collect(),
            }),
        };
        match &self.validity {
            None => Column::new(values),
            Some(validity) => Column::with_validity(values, rows.iter().map(|row| validity[*row as usize]).collect()),
        }
    }
}

/// Takes the rows at `rows`, ascending, out of rows of so many values each. What lies between two of them moves as a whole.
pub fn remove_rows<T: Copy>(values: &mut Vec<T>, width: usize, rows: &[u32]) {
    let Some(first) = rows.first() else { return };
    let mut kept = *first as usize * width;
    let ends = rows[1..].iter().map(|next| *next as usize * width).chain([values.len()]);
    for (row, end) in rows.iter().zip(ends) {
        let start = (*row as usize + 1) * width;
        values.copy_within(start..end, kept);
        kept += end - start;
    }
    values.truncate(kept);
}

/// Builds a column value by value: for the places where rows come one at a time.
#[derive(Debug)]
pub struct ColumnBuilder {
    values: Building,
    validity: Vec<bool>,
}

#[derive(Debug)]
enum Building {
    Int(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    Text(TextBuilder),
    Shared(SharedTexts),
}

impl ColumnBuilder {
    /// A builder for a column that is kept: texts of which many are equal share their bytes.
    pub fn compact(physical: Physical) -> Self {
        match physical {
            Physical::Text => ColumnBuilder { values: Building::Shared(SharedTexts::default()), validity: Vec::new() },
            physical => ColumnBuilder::new(physical, 0),
        }
    }

    /// A builder for values of that physical type with room for `rows` of them.
    pub fn new(physical: Physical, rows: usize) -> Self {
        let values = match physical {
            Physical::Int => Building::Int(Vec::with_capacity(rows)),
            Physical::Double => Building::Double(Vec::with_capacity(rows)),
            Physical::Bool => Building::Bool(Vec::with_capacity(rows)),
            Physical::Text => Building::Text(TextBuilder::with_capacity(rows)),
        };
        ColumnBuilder { values, validity: Vec::with_capacity(rows) }
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the value is of another physical type, which is a mistake of the caller.
    pub fn push(&mut self, cell: Cell<'_>) {
        self.validity.push(cell != Cell::Null);
        match (&mut self.values, cell) {
            (Building::Int(values), Cell::Int(value)) => values.push(value),
            (Building::Int(values), Cell::Null) => values.push(0),
            (Building::Double(values), Cell::Double(value)) => values.push(value),
            (Building::Double(values), Cell::Null) => values.push(0.0),
            (Building::Bool(values), Cell::Bool(value)) => values.push(value),
            (Building::Bool(values), Cell::Null) => values.push(false),
            (Building::Text(text), Cell::Text(value)) => text.push(value),
            (Building::Text(text), Cell::Null) => text.push(b""),
            (Building::Shared(text), Cell::Text(value)) => text.push(value),
            (Building::Shared(text), Cell::Null) => text.push(b""),
            (building, cell) => panic!("{cell:?} does not belong into {building:?}"),
        }
    }

    /// The heap that the column takes so far, in bytes, what it may still grow by left out.
    pub fn memory_bytes(&self) -> usize {
        let text = |text: &TextBuilder| text.bytes.len() + text.spans.len() * size_of::<Span>();
        let values = match &self.values {
            Building::Int(values) => values.len() * size_of::<i64>(),
            Building::Double(values) => values.len() * size_of::<f64>(),
            Building::Bool(values) => values.len(),
            Building::Text(builder) => text(builder),
            Building::Shared(shared) => text(&shared.text) + shared.known.allocation_size(),
        };
        values + self.validity.len()
    }

    /// The column.
    pub fn finish(self) -> Column {
        let values = match self.values {
            Building::Int(values) => Values::Int(values),
            Building::Double(values) => Values::Double(values),
            Building::Bool(values) => Values::Bool(values),
            Building::Text(text) => Values::Text(text.finish()),
            Building::Shared(shared) => Values::Text(shared.text.finish()),
        };
        Column::with_validity(values, self.validity)
    }
}
