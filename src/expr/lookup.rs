//! A small table in memory, found by its primary key. Where its rows come from is the plan's business.

use std::collections::HashMap;

use crate::chunk::{Cell, Column, Field, Scalar};

/// A lookup: columns of equal length, one of which is the key, unique and never NULL.
#[derive(Debug)]
pub struct Lookup {
    fields: Vec<Field>,
    columns: Vec<Column>,
    key: usize,
    rows: HashMap<Key, u32, ahash::RandomState>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Int(i64),
    Bool(bool),
    Text(Box<[u8]>),
}

impl Lookup {
    /// A lookup over columns, by column `key`.
    ///
    /// # Errors
    /// The row whose key is NULL or a DOUBLE, or was seen before.
    pub fn new(fields: Vec<Field>, columns: Vec<Column>, key: usize) -> Result<Self, usize> {
        let mut rows = HashMap::default();
        for row in 0..columns[key].len() {
            let value = match columns[key].get(row) {
                Cell::Int(value) => Key::Int(value),
                Cell::Bool(value) => Key::Bool(value),
                Cell::Text(value) => Key::Text(value.into()),
                Cell::Null | Cell::Double(_) => return Err(row),
            };
            if rows.insert(value, row as u32).is_some() {
                return Err(row);
            }
        }
        Ok(Lookup { fields, columns, key, rows })
    }

    /// Names and types of the columns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Which column is the key.
    pub fn key(&self) -> usize {
        self.key
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row with that key.
    pub fn find(&self, key: &Scalar) -> Option<u32> {
        let key = match key {
            Scalar::Int(value) => Key::Int(*value),
            Scalar::Bool(value) => Key::Bool(*value),
            Scalar::Text(value) => Key::Text(value.clone()),
            Scalar::Null | Scalar::Double(_) => return None,
        };
        self.rows.get(&key).copied()
    }
}
