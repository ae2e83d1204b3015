//! The bytes of partial results: how numbers, keys and exact sums are written down and read back. Knows no groups.
//!
//! A group is a key and a state, each a string of bytes. The format is stable: a change of it is a new
//! [`STATE_VERSION`]. It holds no pointer, no size of this machine and nothing of the order of rows: the same rows give the
//! same bytes, whatever they were split into, merged from and read back from.
//!
//! A **key** has its values one behind the other, each `00` for NULL, or `01` and then: a BOOLEAN as one byte, 0 or 1;
//! INTEGER, DECIMAL (its units), DATE (days) and TIMESTAMP (microseconds) as eight bytes, the most significant first, with
//! the sign bit turned over; a DOUBLE as eight bytes, its IEEE 754 bits with the sign bit turned over, or all bits if it is
//! negative; a TEXT as its bytes, each `00` in it followed by `ff`, and `00` behind the last one. So keys compare as bytes
//! like their values do, NULL first, and all keys that begin with the same values lie together: they are those from the
//! bytes of these values on, below the same bytes with `ff` behind them.
//!
//! A **state** has in front, where there is a count(*), sum or avg of integers or decimals, how many rows there are, and for
//! each argument that is summed how many of them have none and the signed sum (up to 128 bits) in units; then the other
//! accumulators, one behind the other, each in the order of the aggregates. Numbers are LEB128; signed ones are
//! zigzag-coded before.
//!
//! | accumulator | bytes |
//! |---|---|
//! | count(x) | how many |
//! | sum, avg of doubles | how many, the exact sum |
//! | deviations | how many, the exact sum, the exact sum of squares |
//! | min, max | 0 without a value; or 1 and a word (eight bytes as in a key), or 1 + the length of a text and the text |
//! | count(DISTINCT x) | how many, then in ascending order the words, or lengths and texts |
//! | median, gaps | how many, then the words in ascending order, each as the distance from the one before |
//!
//! An **exact sum** is twice the number of its digits, plus one if it is negative; if it has digits, the signed place of the
//! least one, and the digits in base 2^32, the least first, four bytes each, the least significant first. Neither the
//! first nor the last digit is zero. Digit d at place p stands for d * 2^(32 * p).

use memchr::memchr;

use crate::aggregate::ordered;
use crate::chunk::{Cell, Physical};

/// The version of the format.
pub const STATE_VERSION: u32 = 3;

/// Bytes that no state of this aggregation has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

const NULL: u8 = 0;
const VALUE: u8 = 1;
const TEXT_END: u8 = 0;
const TEXT_ZERO: u8 = 0xff;

/// Writes a number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a signed number.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i128) {
    let mut zigzag = (number << 1) as u128 ^ (number >> 127) as u128;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

/// Writes a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Writes a word of `ordered`.
pub(super) fn put_word(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_be_bytes());
}

/// Writes a value of a key.
pub(super) fn put_key(out: &mut Vec<u8>, cell: Cell<'_>) {
    let word = match cell {
        Cell::Null => return out.push(NULL),
        Cell::Bool(value) => return out.extend_from_slice(&[VALUE, u8::from(value)]),
        Cell::Text(text) => {
            out.push(VALUE);
            let mut rest = text;
            while let Some(zero) = memchr(TEXT_END, rest) {
                out.extend_from_slice(&rest[..=zero]);
                out.push(TEXT_ZERO);
                rest = &rest[zero + 1..];
            }
            out.extend_from_slice(rest);
            return out.push(TEXT_END);
        }
        Cell::Int(value) => ordered::from_int(value),
        Cell::Double(value) => ordered::from_double(value),
    };
    out.push(VALUE);
    put_word(out, word);
}

/// What is left to be read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(self.bytes(1)?[0])
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        u64::try_from(self.wide_number()?).map_err(|_| Damaged)
    }

    /// A signed number.
    pub(super) fn signed(&mut self) -> Result<i128, Damaged> {
        let zigzag = self.wide_number()?;
        Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128))
    }

    fn wide_number(&mut self) -> Result<u128, Damaged> {
        let (mut number, mut shift) = (0u128, 0);
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits).ok_or(Damaged)?;
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    /// A text with its length.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Damaged> {
        let len = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        self.bytes(len)
    }

    /// A word of `ordered`.
    pub(super) fn word(&mut self) -> Result<u64, Damaged> {
        self.bytes(8)?.try_into().map(u64::from_be_bytes).map_err(|_| Damaged)
    }

    /// A value of a key; `scratch` is room for a text.
    pub(super) fn key<'v>(&mut self, physical: Physical, scratch: &'v mut Vec<u8>) -> Result<Cell<'v>, Damaged> {
        match self.byte()? {
            NULL => return Ok(Cell::Null),
            VALUE => {}
            _ => return Err(Damaged),
        }
        if physical == Physical::Text {
            scratch.clear();
            loop {
                scratch.extend_from_slice(self.bytes(memchr(TEXT_END, self.0).ok_or(Damaged)?)?);
                self.byte()?;
                if self.0.first() != Some(&TEXT_ZERO) {
                    return Ok(Cell::Text(scratch));
                }
                self.byte()?;
                scratch.push(TEXT_END);
            }
        }
        let word = if physical == Physical::Bool { u64::from(self.byte()?) } else { self.word()? };
        Ok(ordered::to_cell(word, physical))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_bytes_that_stay_as_they_are() {
        let key = |cell| {
            let mut out = Vec::new();
            put_key(&mut out, cell);
            out
        };
        assert_eq!(key(Cell::Null), [0]);
        assert_eq!(key(Cell::Bool(true)), [1, 1]);
        assert_eq!(key(Cell::Int(-2)), [1, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(key(Cell::Double(1.5)), [1, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(key(Cell::Double(-1.5)), [1, 0x40, 0x07, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(key(Cell::Text(b"a\0b")), [1, b'a', 0, 0xff, b'b', 0]);
    }

    #[test]
    fn numbers_that_are_too_long_are_damage() {
        assert_eq!(Reader::new(&[0xff; 19]).signed(), Err(Damaged));
        assert_eq!(Reader::new(&[0x80; 40]).signed(), Err(Damaged));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number(), Err(Damaged));
        assert_eq!(Reader::new(&[5, b'a']).text(), Err(Damaged));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), signed in any::<i128>(), shift in 0..127u32) {
            let mut out = Vec::new();
            put(&mut out, number >> (shift / 2));
            put_signed(&mut out, signed >> shift);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number(), Ok(number >> (shift / 2)));
            prop_assert_eq!(reader.signed(), Ok(signed >> shift));
            prop_assert!(reader.is_done());
        }

        #[test]
        fn keys_come_back_and_compare_like_their_values(
            left in prop::collection::vec(prop::collection::vec(0..3u8, 0..4), 2),
            right in prop::collection::vec(prop::collection::vec(0..3u8, 0..4), 2),
        ) {
            let key = |texts: &[Vec<u8>]| {
                let mut out = Vec::new();
                texts.iter().for_each(|text| put_key(&mut out, Cell::Text(text)));
                out
            };
            prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
            let bytes = key(&left);
            let (mut reader, mut scratch) = (Reader::new(&bytes), Vec::new());
            for text in &left {
                prop_assert_eq!(reader.key(Physical::Text, &mut scratch), Ok(Cell::Text(text)));
            }
            prop_assert!(reader.is_done());
            let first = key(&left[..1]);
            let above: Vec<u8> = first.iter().copied().chain([0xff]).collect();
            let among = key(&right) >= first && key(&right) < above;
            prop_assert_eq!(among, left[0] == right[0], "those with the same first value lie together");
        }
    }
}
