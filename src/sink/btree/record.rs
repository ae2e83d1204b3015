//! Records: the values of a row as SQLite stores them (section 2.1). Knows nothing of pages.

use crate::sink::btree::bytes::put;
use crate::sink::stored::Stored;

/// A record under construction.
#[derive(Debug, Default)]
pub(in crate::sink) struct Record {
    /// The header and the values, while all types have one byte: then the header is as long as was expected. What lies
    /// behind `end` is of an earlier record.
    bytes: Vec<u8>,
    /// Where the next value goes.
    end: usize,
    /// Where the next type goes.
    types_end: usize,
    /// The types, where one of them is longer.
    long_types: Vec<u64>,
}

/// The greatest magnitude of a number of six bytes, which is shorter as an integer than as a double.
const SIX_BYTES_MAX: u64 = (1 << 47) - 1;

/// The room that is made at once.
const ROOM_BYTES: usize = 256;

/// Types up to this one have one byte.
pub(super) const SHORT_TYPE_MAX: u64 = 0x7f;

impl Record {
    /// Begins a record of so many values.
    #[inline]
    pub(in crate::sink) fn begin(&mut self, values: usize) {
        self.end = 0;
        self.make_room(1 + values);
        self.end = 1 + values;
        self.types_end = 1;
        self.long_types.clear();
    }

    /// Appends a value.
    #[inline]
    pub(in crate::sink) fn push(&mut self, value: Stored<'_>) {
        let (serial_type, body) = encode(value);
        self.push_type(serial_type);
        self.make_room(body.room());
        self.end += body.put(&mut self.bytes[self.end..]);
    }

    /// Lets so many bytes be written behind the end.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() < self.end + bytes {
            self.bytes.resize(self.end + bytes.max(ROOM_BYTES), 0);
        }
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
        &self.bytes[..self.end]
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
        self.bytes.truncate(self.end);
        self.bytes.splice(..self.types_end, header);
        self.end = self.bytes.len();
    }
}

/// What is stored of a value behind the header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// The first so many bytes of a number, the most significant first.
    Word(u64, usize),
    /// A text.
    Text(&'a [u8]),
}

impl Body<'_> {
    /// How many bytes `put` may write.
    #[inline]
    fn room(self) -> usize {
        match self {
            Body::Word(..) => size_of::<u64>(),
            Body::Text(text) => text.len(),
        }
    }

    /// Its bytes, which may need some room.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, room: &'a mut [u8; size_of::<u64>()]) -> &'a [u8] {
        match self {
            Body::Word(word, bytes) => {
                *room = word.to_be_bytes();
                &room[..*bytes]
            }
            Body::Text(text) => text,
        }
    }

    /// Writes it to the beginning of `out`, and returns how many bytes it has.
    #[inline]
    pub(super) fn put(self, out: &mut [u8]) -> usize {
        match self {
            Body::Word(word, bytes) => {
                // All of them, which is one instruction.
                out[..size_of::<u64>()].copy_from_slice(&word.to_be_bytes());
                bytes
            }
            Body::Text(text) => {
                put(text, out);
                text.len()
            }
        }
    }
}

/// The type of a value, and its body.
#[inline]
pub(super) fn encode(value: Stored<'_>) -> (u64, Body<'_>) {
    match value {
        Stored::Null => (0, Body::Word(0, 0)),
        Stored::Integer(value) => encode_integer(value),
        Stored::Real(value) => match whole(value) {
            Some(value) => encode_integer(value),
            None => (7, Body::Word(value.to_bits(), 8)),
        },
        Stored::Text(text) => (13 + 2 * text.len() as u64, Body::Text(text)),
    }
}

#[inline]
fn encode_integer(value: i64) -> (u64, Body<'static>) {
    let (serial_type, bytes) = match (value, magnitude(value)) {
        (0 | 1, _) => (8 + value as u64, 0),
        (_, ..=0x7f) => (1, 1),
        (_, ..=0x7fff) => (2, 2),
        (_, ..=0x7f_ffff) => (3, 3),
        (_, ..=0x7fff_ffff) => (4, 4),
        (_, ..=SIX_BYTES_MAX) => (5, 6),
        _ => (6, 8),
    };
    // Without bytes it is shifted by all of its 64 bits.
    (serial_type, Body::Word((value as u64).unbounded_shl(64 - 8 * bytes as u32), bytes))
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
    let mut bytes = [0; VARINT_MAX];
    let len = put_varint(value, &mut bytes);
    out.extend_from_slice(&bytes[..len]);
}

/// The most bytes of a number that `put_varint` writes.
pub(super) const VARINT_MAX: usize = 9;

/// Writes a number as `write_varint` does, and returns how many bytes it has.
#[inline]
pub(super) fn put_varint(value: u64, out: &mut [u8]) -> usize {
    if value <= 0x7f {
        out[0] = value as u8;
        return 1;
    }
    let len = varint_bytes(value) as usize;
    let mut rest = value;
    if len == VARINT_MAX {
        out[len - 1] = rest as u8;
        rest >>= 8;
    } else {
        out[len - 1] = rest as u8 & 0x7f;
        rest >>= 7;
    }
    for byte in out[..len - 1].iter_mut().rev() {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    len
}

/// How many bytes a number takes.
#[inline]
pub(super) fn varint_bytes(value: u64) -> u64 {
    (u64::from(64 - (value | 1).leading_zeros())).div_ceil(7).min(9)
}
