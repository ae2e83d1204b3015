//! Records: the values of a row as SQLite stores them (section 2.1). Knows nothing of pages.

use crate::sink::stored::Stored;

/// A record under construction.
#[derive(Debug, Default)]
pub(in crate::sink) struct Record {
    /// The header and the values, while all types have one byte: then the header is as long as was expected.
    bytes: Vec<u8>,
    /// Where the next type goes.
    types_end: usize,
    /// The types, where one of them is longer.
    long_types: Vec<u64>,
}

/// The greatest magnitude of a number of six bytes, which is shorter as an integer than as a double.
const SIX_BYTES_MAX: u64 = (1 << 47) - 1;

/// Types up to this one have one byte.
const SHORT_TYPE_MAX: u64 = 0x7f;

impl Record {
    /// Begins a record of so many values.
    #[inline]
    pub(in crate::sink) fn begin(&mut self, values: usize) {
        self.bytes.clear();
        self.bytes.resize(1 + values, 0);
        self.types_end = 1;
        self.long_types.clear();
    }

    /// Appends a value.
    #[inline]
    pub(in crate::sink) fn push(&mut self, value: Stored<'_>) {
        match value {
            Stored::Null => self.push_type(0),
            Stored::Integer(value) => self.push_integer(value),
            Stored::Real(value) => match whole(value) {
                Some(value) => self.push_integer(value),
                None => {
                    self.push_type(7);
                    self.bytes.extend_from_slice(&value.to_bits().to_be_bytes());
                }
            },
            Stored::Text(text) => {
                self.push_type(13 + 2 * text.len() as u64);
                self.bytes.extend_from_slice(text);
            }
        }
    }

    #[inline]
    fn push_integer(&mut self, value: i64) {
        let (serial_type, bytes) = match (value, magnitude(value)) {
            (0 | 1, _) => (8 + value as u64, 0),
            (_, ..=0x7f) => (1, 1),
            (_, ..=0x7fff) => (2, 2),
            (_, ..=0x7f_ffff) => (3, 3),
            (_, ..=0x7fff_ffff) => (4, 4),
            (_, ..=SIX_BYTES_MAX) => (5, 6),
            _ => (6, 8),
        };
        self.push_type(serial_type);
        self.bytes.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
    }

    #[inline]
    fn push_type(&mut self, serial_type: u64) {
        if serial_type > SHORT_TYPE_MAX && self.long_types.is_empty() {
            self.long_types.extend(self.bytes[1..self.types_end].iter().map(|short| u64::from(*short)));
            self.long_types.push(serial_type);
        } else if !self.long_types.is_empty() {
            self.long_types.push(serial_type);
        }
        self.bytes[self.types_end] = serial_type as u8;
        self.types_end += 1;
    }

    /// Ends it and returns its bytes.
    #[inline]
    pub(in crate::sink) fn finish(&mut self) -> &[u8] {
        let header = self.types_end as u64;
        if self.long_types.is_empty() && header <= SHORT_TYPE_MAX {
            self.bytes[0] = header as u8;
        } else {
            self.lengthen_header();
        }
        &self.bytes
    }

    /// Puts a header in front whose length or types have more than one byte.
    fn lengthen_header(&mut self) {
        let mut types = Vec::new();
        if self.long_types.is_empty() {
            types.extend_from_slice(&self.bytes[1..self.types_end]);
        }
        self.long_types.iter().for_each(|serial_type| write_varint(*serial_type, &mut types));
        // The length counts itself, which may make it longer.
        let types_bytes = types.len() as u64;
        let header_bytes = types_bytes + varint_bytes(types_bytes);
        let mut header = Vec::with_capacity(types.len() + 9);
        write_varint(types_bytes + varint_bytes(header_bytes), &mut header);
        header.extend_from_slice(&types);
        self.bytes.splice(..self.types_end, header);
    }
}

/// The integer that a number of a column with REAL affinity is stored as, if that is shorter.
#[inline]
fn whole(value: f64) -> Option<i64> {
    let integer = value as i64;
    (integer as f64 == value && magnitude(integer) <= SIX_BYTES_MAX).then_some(integer)
}

/// What decides how many bytes an integer needs, in two's complement.
#[inline]
fn magnitude(value: i64) -> u64 {
    (value ^ value >> 63) as u64
}

/// Appends a number in 1 to 9 bytes of 7 bits, the most significant first; the ninth has 8.
#[inline]
pub(super) fn write_varint(value: u64, out: &mut Vec<u8>) {
    if value <= 0x7f {
        out.push(value as u8);
        return;
    }
    let bytes = varint_bytes(value);
    if bytes == 9 {
        (0..8).rev().for_each(|nth| out.push((value >> (8 + 7 * nth)) as u8 | 0x80));
        out.push(value as u8);
    } else {
        (1..bytes).rev().for_each(|nth| out.push((value >> (7 * nth)) as u8 | 0x80));
        out.push(value as u8 & 0x7f);
    }
}

/// How many bytes a number takes.
#[inline]
pub(super) fn varint_bytes(value: u64) -> u64 {
    (u64::from(64 - (value | 1).leading_zeros())).div_ceil(7).min(9)
}
