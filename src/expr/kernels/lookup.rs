//! Values found in a lookup by its key. The lookup itself is elsewhere.

use crate::chunk::Cell;
use crate::chunk::{Column, Text, Values};
use crate::expr::Lookup;
use crate::expr::kernels::{Evaluated, Operand, Side};

/// The value of a column of the lookup in the row with each key, or (with no column) whether there is such a row.
pub(in crate::expr) fn lookup(key: Operand<'_>, lookup: &Lookup, column: Option<usize>, len: usize) -> Evaluated {
    let rows: Vec<Option<u32>> = match key {
        Operand::Scalar(key) => vec![lookup.find(key); len],
        Operand::Column(keys) => find_all(lookup, keys, key.validity()),
    };
    match column {
        None => Evaluated::new(Values::Bool(rows.iter().map(Option::is_some).collect()), None),
        Some(column) => gather(&lookup.columns()[column], &rows),
    }
}

fn find_all(lookup: &Lookup, keys: &Column, valid: Side<'_, bool>) -> Vec<Option<u32>> {
    let rows = 0..keys.len();
    match &keys.values {
        Values::Int(values) => rows.map(|row| find(lookup, valid, row, Cell::Int(values[row]))).collect(),
        Values::Text(text) => rows.map(|row| find(lookup, valid, row, Cell::Text(text.get(row)))).collect(),
        Values::Bool(values) => rows.map(|row| find(lookup, valid, row, Cell::Bool(values[row]))).collect(),
        Values::Double(_) => vec![None; keys.len()],
    }
}

#[inline]
fn find(lookup: &Lookup, valid: Side<'_, bool>, row: usize, key: Cell<'_>) -> Option<u32> {
    if valid.get(row) { lookup.find(key) } else { None }
}

fn gather(column: &Column, rows: &[Option<u32>]) -> Evaluated {
    let values = match &column.values {
        Values::Int(values) => Values::Int(gather_fixed(values, rows)),
        Values::Double(values) => Values::Double(gather_fixed(values, rows)),
        Values::Bool(values) => Values::Bool(gather_fixed(values, rows)),
        Values::Text(text) => Values::Text(Text { bytes: text.bytes.clone(), spans: gather_fixed(&text.spans, rows) }),
    };
    let validity: Vec<bool> = rows.iter().map(|row| row.is_some_and(|row| column.is_valid(row as usize))).collect();
    Evaluated::new(values, validity.contains(&false).then_some(validity))
}

fn gather_fixed<T: Copy + Default>(values: &[T], rows: &[Option<u32>]) -> Vec<T> {
    rows.iter().map(|row| row.map_or_else(T::default, |row| values[row as usize])).collect()
}
