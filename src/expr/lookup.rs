//! A small table in memory, found by its primary key. Where its rows come from is the plan's business.

use hashbrown::HashTable;

use crate::chunk::{Cell, Column, Field};

/// A lookup: columns of equal length, one of which is the key, unique and never NULL.
#[derive(Debug)]
pub struct Lookup {
    fields: Vec<Field>,
    columns: Vec<Column>,
    key: usize,
    rows: HashTable<u32>,
    hasher: ahash::RandomState,
}

impl Lookup {
    /// A lookup over columns, by column `key`.
    ///
    /// # Errors
    /// The row whose key is NULL or a DOUBLE, or was seen before.
    pub fn new(fields: Vec<Field>, columns: Vec<Column>, key: usize) -> Result<Self, usize> {
        let hasher = ahash::RandomState::new();
        let keys = &columns[key];
        let mut rows = HashTable::with_capacity(keys.len());
        let hash_of_row = |row: &u32| hash(&hasher, keys.get(*row as usize)).unwrap_or_default();
        for row in 0..keys.len() {
            let value = keys.get(row);
            let hash = hash(&hasher, value).ok_or(row)?;
            if rows.find(hash, |other: &u32| keys.get(*other as usize) == value).is_some() {
                return Err(row);
            }
            rows.insert_unique(hash, row as u32, hash_of_row);
        }
        Ok(Lookup { fields, columns, key, rows, hasher })
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
    #[inline]
    pub fn find(&self, key: Cell<'_>) -> Option<u32> {
        let keys = &self.columns[self.key];
        self.rows.find(hash(&self.hasher, key)?, |row| keys.get(*row as usize) == key).copied()
    }
}

/// The hash of a value that can be a key.
#[inline]
fn hash(hasher: &ahash::RandomState, key: Cell<'_>) -> Option<u64> {
    match key {
        Cell::Int(value) => Some(hasher.hash_one(value)),
        Cell::Bool(value) => Some(hasher.hash_one(value)),
        Cell::Text(value) => Some(hasher.hash_one(value)),
        Cell::Null | Cell::Double(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ColumnBuilder, DataType, Physical, Scalar};

    fn lookup(keys: &[Scalar]) -> Result<Lookup, usize> {
        let physical = if matches!(keys[0], Scalar::Text(_)) { Physical::Text } else { Physical::Int };
        let mut column = ColumnBuilder::new(physical, keys.len());
        keys.iter().for_each(|key| column.push(key.as_cell()));
        Lookup::new(vec![Field::new("key", DataType::Text)], vec![column.finish()], 0)
    }

    #[test]
    fn every_key_finds_its_row_and_nothing_else_does() {
        let numbers: Vec<Scalar> = (0..1000).map(|value| Scalar::Int(value * 7)).collect();
        let found = lookup(&numbers).unwrap();
        assert_eq!(found.len(), 1000);
        for value in 0..7000 {
            assert_eq!(found.find(Cell::Int(value)), (value % 7 == 0).then_some((value / 7) as u32));
        }
        let texts = lookup(&[Scalar::Text(b"90210".as_slice().into()), Scalar::Text(b"".as_slice().into())]).unwrap();
        assert_eq!(texts.find(Cell::Text(b"90210")), Some(0));
        assert_eq!(texts.find(Cell::Text(b"")), Some(1));
        assert_eq!(texts.find(Cell::Text(b"9021")), None);
        assert_eq!(texts.find(Cell::Null), None);
    }

    #[test]
    fn null_and_repeated_keys_are_named_by_row() {
        assert_eq!(lookup(&[Scalar::Int(1), Scalar::Int(2), Scalar::Int(1)]).err(), Some(2));
        assert_eq!(lookup(&[Scalar::Int(1), Scalar::Null]).err(), Some(1));
    }
}
