//! A small table in memory, found by its primary key. Where its rows come from is the plan's business.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::chunk::{Cell, Column, Field};

/// A lookup: columns of equal length, one of which is the key, unique and never NULL.
#[derive(Debug)]
pub struct Lookup {
    fields: Vec<Field>,
    columns: Vec<Column>,
    key: usize,
    rows: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Lookup {
    /// What finding rows takes for each of them, in bytes, at the most.
    pub const BYTES_PER_ROW: usize = 12;

    /// A lookup over columns, by column `key`.
    ///
    /// # Errors
    /// The row whose key is NULL or a DOUBLE, or was seen before.
    pub fn new(fields: Vec<Field>, mut columns: Vec<Column>, key: usize) -> Result<Self, usize> {
        columns.iter_mut().for_each(Column::shrink_to_fit);
        let hasher = DefaultHashBuilder::default();
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

    /// The heap that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.columns.iter().map(Column::memory_bytes).sum::<usize>() + self.rows.allocation_size()
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
fn hash(hasher: &DefaultHashBuilder, key: Cell<'_>) -> Option<u64> {
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
    fn a_row_takes_little_more_than_its_values() {
        for rows in [1000, 57_345, 100_000] {
            let mut columns =
                [Physical::Text, Physical::Text, Physical::Text, Physical::Int].map(ColumnBuilder::compact);
            for row in 0..rows {
                columns[0].push(Cell::Text(format!("A{row:07}").as_bytes()));
                // Three rows each, a handful of them all, and all different.
                columns[1].push(Cell::Text(format!("U{:06}", row / 3).as_bytes()));
                columns[2].push(Cell::Text([&b"savings"[..], b"checking"][row % 2]));
                columns[3].push(Cell::Int(row as i64));
            }
            let building: usize = columns.iter().map(ColumnBuilder::memory_bytes).sum();
            let columns = columns.map(ColumnBuilder::finish).into();
            let lookup = Lookup::new(vec![Field::new("any", DataType::Text); 4], columns, 0).unwrap();
            // Spans of eight bytes, the bytes of what is different, and the way to the row.
            let least = rows * (3 * 8 + 8 + 7 / 3 + 8);
            let most = rows * (3 * 8 + 8 + 3 + 8 + Lookup::BYTES_PER_ROW) + 1000;
            assert!((least..most).contains(&lookup.memory_bytes()), "{rows} rows: {}", lookup.memory_bytes());
            assert!(building + rows * Lookup::BYTES_PER_ROW >= lookup.memory_bytes());
            for row in (0..rows).step_by(97) {
                let found = lookup.find(Cell::Text(format!("A{row:07}").as_bytes())).unwrap() as usize;
                assert_eq!(found, row);
                assert_eq!(lookup.columns()[1].get(found), Cell::Text(format!("U{:06}", row / 3).as_bytes()));
                assert_eq!(lookup.columns()[2].get(found), Cell::Text([&b"savings"[..], b"checking"][row % 2]));
            }
        }
    }

    #[test]
    fn null_and_repeated_keys_are_named_by_row() {
        assert_eq!(lookup(&[Scalar::Int(1), Scalar::Int(2), Scalar::Int(1)]).err(), Some(2));
        assert_eq!(lookup(&[Scalar::Int(1), Scalar::Null]).err(), Some(1));
    }
}
