//! Keys as bytes whose order is that of the values in an index of SQLite: NULL, numbers, text by its bytes. Equal keys have
//! equal bytes, and the values can be read back.

use crate::sink::stored::{Stored, StoredColumn};

/// The keys of some rows.
#[derive(Debug, Default)]
pub(in crate::sink) struct Keys {
    /// One behind the other.
    bytes: Vec<u8>,
    /// Where each of them begins, and where the last one ends.
    bounds: Vec<usize>,
}

/// Where a key has a NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sink) struct NullInKey {
    /// The number of the row.
    pub(in crate::sink) nth: usize,
    /// Which value of the key.
    pub(in crate::sink) value: usize,
}

impl Keys {
    /// Makes the keys of some rows, of the columns at these places; whether they may have a NULL is for the caller to say.
    pub(in crate::sink) fn build(
        &mut self,
        columns: &[StoredColumn<'_>],
        places: &[usize],
        may_be_null: bool,
        rows: &[u32],
        scratch: &mut Vec<u8>,
    ) -> Result<(), NullInKey> {
        self.bytes.clear();
        self.bounds.clear();
        self.bounds.push(0);
        for (nth, row) in rows.iter().enumerate() {
            for (value, place) in places.iter().enumerate() {
                let stored = columns[*place].get(*row as usize, scratch);
                if !may_be_null && stored == Stored::Null {
                    return Err(NullInKey { nth, value });
                }
                write(stored, value + 1 == places.len(), &mut self.bytes);
            }
            self.bounds.push(self.bytes.len());
        }
        Ok(())
    }

    /// The keys, in the order of the rows.
    pub(in crate::sink) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bounds.array_windows().map(|[start, end]| &self.bytes[*start..*end])
    }
}

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;

/// Ends a text that is not the last value; it stands for a zero byte if 0xff follows.
const TEXT_END: u8 = 0;
const ESCAPED: u8 = 0xff;

/// Appends the key of some values. The values at one place of all keys are NULL or of one type; `is_last` says for each
/// whether it ends the key.
#[inline]
pub(in crate::sink) fn write(value: Stored<'_>, is_last: bool, out: &mut Vec<u8>) {
    match value {
        Stored::Null => out.push(NULL),
        Stored::Integer(value) => {
            out.push(INTEGER);
            out.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes());
        }
        Stored::Real(value) => {
            // Zero has one sign only. Negative numbers come first, the greater ones in front.
            let bits = if value == 0.0 { 0 } else { value.to_bits() };
            let ordered = if bits >> 63 == 0 { bits ^ 1 << 63 } else { !bits };
            out.push(REAL);
            out.extend_from_slice(&ordered.to_be_bytes());
        }
        Stored::Text(text) if is_last => {
            out.push(TEXT);
            out.extend_from_slice(text);
        }
        Stored::Text(text) => {
            out.push(TEXT);
            for byte in text {
                out.push(*byte);
                if *byte == TEXT_END {
                    out.push(ESCAPED);
                }
            }
            out.extend_from_slice(&[TEXT_END, TEXT_END]);
        }
    }
}

/// Calls `visit` with each of the `values` values of a key. Texts with zero bytes are put together in `scratch`.
#[inline]
pub(in crate::sink) fn read(mut key: &[u8], values: usize, scratch: &mut Vec<u8>, mut visit: impl FnMut(Stored<'_>)) {
    for _ in 1..values {
        let bytes = match fixed_value(key) {
            Some((value, bytes)) => {
                visit(value);
                bytes
            }
            None => {
                let bytes = unescape(key, scratch);
                visit(Stored::Text(scratch));
                bytes
            }
        };
        key = key.get(bytes..).unwrap_or_default();
    }
    visit(last(key));
}

/// The last value of a key, given what there is of it from there on.
#[inline]
pub(in crate::sink) fn last(key: &[u8]) -> Stored<'_> {
    fixed_value(key).map_or_else(|| Stored::Text(&key[1..]), |(value, _)| value)
}

/// The value that a key begins with, and how many bytes of the key it takes; `None` if it is a text, which has any number.
#[inline]
fn fixed_value(key: &[u8]) -> Option<(Stored<'static>, usize)> {
    let word = || key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    match key.first() {
        None | Some(&NULL) => Some((Stored::Null, 1)),
        Some(&INTEGER) => Some((Stored::Integer((word() ^ 1 << 63) as i64), 9)),
        Some(&REAL) => {
            let ordered = word();
            let bits = if ordered >> 63 == 1 { ordered ^ 1 << 63 } else { !ordered };
            Some((Stored::Real(f64::from_bits(bits)), 9))
        }
        Some(_) => None,
    }
}

/// Puts the text that a key begins with, and that is not its last value, together, and returns how many bytes of the key it
/// takes.
fn unescape(key: &[u8], text: &mut Vec<u8>) -> usize {
    text.clear();
    let mut bytes = key[1..].iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == TEXT_END && bytes.next() != Some(ESCAPED) {
            break;
        }
        text.push(byte);
    }
    key.len() - bytes.len()
}

/// Whether one of the values of a key is NULL: such a key equals no other.
pub(in crate::sink) fn has_null(key: &[u8], values: usize) -> bool {
    let mut found = false;
    read(key, values, &mut Vec::new(), |value| found |= value == Stored::Null);
    found
}
