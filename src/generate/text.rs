//! Digits and dates as bytes, and a table of ready-made words. Not a formatter: `format!` costs more than a whole row.

use chrono::{Datelike, NaiveDate};

/// The longest that a u64 gets in decimal.
const MAX_DIGITS: usize = 20;

/// `YYYY-MM-DD`.
pub(super) type DateText = [u8; 10];

/// Appends `value` in decimal, with zeros in front up to `width` digits; a longer number stays whole.
pub(super) fn push_padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    debug_assert!((1..=MAX_DIGITS).contains(&width));
    let mut digits = [b'0'; MAX_DIGITS];
    let mut start = MAX_DIGITS;
    while value > 0 {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[start.min(MAX_DIGITS - width)..]);
}

/// Appends an amount of cents with its two decimals: 1205 is `12.05`.
pub(super) fn push_cents(out: &mut Vec<u8>, cents: u32) {
    push_padded(out, u64::from(cents / 100), 1);
    out.push(b'.');
    push_padded(out, u64::from(cents % 100), 2);
}

/// Appends a time of day as `HH:MM:SS`.
pub(super) fn push_time(out: &mut Vec<u8>, second_of_day: u32) {
    let (minutes, second) = (second_of_day / 60, second_of_day % 60);
    let digits = |value: u32| [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
    let ([h, hh], [m, mm], [s, ss]) = (digits(minutes / 60), digits(minutes % 60), digits(second));
    out.extend_from_slice(&[h, hh, b':', m, mm, b':', s, ss]);
}

/// Appends a number as 16 hexadecimal digits, in lower case.
pub(super) fn push_hex(out: &mut Vec<u8>, value: u64) {
    let nibbles: [u8; 16] = std::array::from_fn(|at| (value >> (60 - 4 * at)) as u8 & 0xF);
    out.extend_from_slice(&nibbles.map(|nibble| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }));
}

/// The text of a date whose year has four digits; the callers check the years once, for all their dates.
pub(super) fn date_text(date: NaiveDate) -> DateText {
    debug_assert!((0..=9999).contains(&date.year()));
    let mut text = Vec::with_capacity(10);
    push_padded(&mut text, u64::from(date.year().unsigned_abs()), 4);
    text.push(b'-');
    push_padded(&mut text, u64::from(date.month()), 2);
    text.push(b'-');
    push_padded(&mut text, u64::from(date.day()), 2);
    let mut array = DateText::default();
    array.copy_from_slice(&text);
    array
}

/// Many short words in one allocation, by number.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// Adds a word: whatever `write` appends.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Word `index`, in the order of adding, from 0.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = b"<".to_vec();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("<{expected}"));
    }

    #[test]
    fn numbers() {
        check("0", |out| push_padded(out, 0, 1));
        check("00000", |out| push_padded(out, 0, 5));
        check("00042", |out| push_padded(out, 42, 5));
        check("123456", |out| push_padded(out, 123_456, 5));
        check(&u64::MAX.to_string(), |out| push_padded(out, u64::MAX, 1));
        check("0.05", |out| push_cents(out, 5));
        check("5.00", |out| push_cents(out, 500));
        check("499.99", |out| push_cents(out, 49_999));
        check("00000000000000ff", |out| push_hex(out, 255));
        check("0123456789abcdef", |out| push_hex(out, 0x0123_4567_89AB_CDEF));
    }

    #[test]
    fn times() {
        check("00:00:00", |out| push_time(out, 0));
        check("12:34:56", |out| push_time(out, 45_296));
        check("23:59:59", |out| push_time(out, 86_399));
    }

    #[test]
    fn dates() {
        for (year, month, day) in [(2025, 10, 1), (1, 2, 3), (9999, 12, 31), (2024, 2, 29)] {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            assert_eq!(date_text(date), *date.format("%Y-%m-%d").to_string().as_bytes());
        }
    }

    #[test]
    fn words_come_back_by_number() {
        let mut words = Words::default();
        for word in ["first", "", "third"] {
            words.push_with(|out| out.extend_from_slice(word.as_bytes()));
        }
        assert_eq!([words.get(0), words.get(1), words.get(2)], [&b"first"[..], b"", b"third"]);
    }
}
