//! The usual ways to write integers, decimals, dates and timestamps, read fast. What is written otherwise gives `None` and is left
//! to `chunk::parse`, which alone decides what a value is; whatever is read here it reads in the same way.

use std::ops::Range;

use crate::chunk::DataType;
use crate::chunk::calendar::MICROS_PER_DAY;
use crate::chunk::decimal::{digit_pairs, number_of_pairs};

/// Reads a field of a type.
#[inline]
pub(super) fn read(bytes: &[u8], field: &Range<usize>, data_type: DataType) -> Option<i64> {
    match data_type {
        DataType::Integer => integer(bytes, field.clone()),
        DataType::Decimal { precision, scale } => decimal(bytes, field.clone(), precision, scale),
        DataType::Date => date(bytes, field.clone()),
        DataType::Timestamp => timestamp(bytes, field.clone()),
        DataType::Double | DataType::Boolean | DataType::Text => None,
    }
}

/// `-?digits`, up to 18 of them.
#[inline]
fn integer(bytes: &[u8], field: Range<usize>) -> Option<i64> {
    let (negative, digits) = sign(bytes, field);
    let magnitude = match digits.len() {
        1..=8 => eight_digits(last_eight(bytes, &digits)?)?,
        9..=18 => {
            let mut value = 0i64;
            let mut wrong = 0;
            for byte in &bytes[digits] {
                let digit = byte.wrapping_sub(b'0');
                wrong |= u8::from(digit > 9);
                value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            }
            (wrong == 0).then_some(value)?
        }
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `-?digits[.digits]` with up to 18 digits, and no more of them behind the point than the scale has.
#[inline]
fn decimal(bytes: &[u8], field: Range<usize>, precision: u8, scale: u8) -> Option<i64> {
    let (negative, number) = sign(bytes, field);
    let (digits, behind_point) = match number.len() {
        1..=8 => short_decimal(last_eight(bytes, &number)?, number.len())?,
        9..=19 => long_decimal(&bytes[number])?,
        _ => return None,
    };
    let missing = usize::from(scale).checked_sub(behind_point)?;
    let units = digits.checked_mul(*POWERS_OF_TEN.get(missing)?)?;
    (units < *POWERS_OF_TEN.get(usize::from(precision))?).then_some(if negative { -units } else { units })
}

/// `YYYY-MM-DD`, a day that exists, as days since 1970-01-01.
#[inline]
fn date(bytes: &[u8], field: Range<usize>) -> Option<i64> {
    let text: &[u8; 10] = bytes[field].try_into().ok()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let pairs = four_pairs(u64::from_le_bytes([y1, y2, y3, y4, m1, m2, d1, d2]))?;
    let [century, year_of_century, month, day] = [0, 16, 32, 48].map(|lane| (pairs >> lane) as u32 & 0xFFFF);
    let year = century * 100 + year_of_century;
    let leap = if year_of_century == 0 { century } else { year_of_century }.is_multiple_of(4);
    let last = *DAYS_OF_MONTH.get(month as usize)? + u32::from(leap && month == 2);
    if day == 0 || day > last {
        return None;
    }
    // Years that begin in March, counted from 400 years before year 0 so that nothing is negative; the leap day is
    // then the last day of its year.
    let (year, month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(i64::from(days) - DAYS_TO_1970)
}

/// `YYYY-MM-DD HH:MM:SS`, also with a `T` between the two or a `Z` behind them, as microseconds since 1970-01-01.
#[inline]
fn timestamp(bytes: &[u8], field: Range<usize>) -> Option<i64> {
    let text = bytes[field.clone()].first_chunk::<19>()?;
    if field.len() > 20 || field.len() == 20 && bytes[field.end - 1] != b'Z' {
        return None;
    }
    let digit = |at: usize| i64::from(text[at].wrapping_sub(b'0'));
    let wrong = [11, 12, 14, 15, 17, 18].iter().fold(false, |wrong, at| wrong | (digit(*at) > 9));
    if wrong || !matches!(text[10], b' ' | b'T') || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (digit(11) * 10 + digit(12), digit(14) * 10 + digit(15), digit(17) * 10 + digit(18));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = date(bytes, field.start..field.start + 10)?;
    Some(days * MICROS_PER_DAY + (hour * 3600 + minute * 60 + second) * 1_000_000)
}

/// Days of March of the year -400 to 1970-01-01.
pub(super) const DAYS_TO_1970: i64 = 719_468 + 146_097;

/// Months count from 1; month 0 has no day.
const DAYS_OF_MONTH: [u32; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

pub(super) const POWERS_OF_TEN: [i64; 19] = {
    let mut powers = [1; 19];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Every byte of a word the same.
pub(super) const fn bytes_of(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[inline]
fn sign(bytes: &[u8], field: Range<usize>) -> (bool, Range<usize>) {
    let negative = !field.is_empty() && bytes[field.start] == b'-';
    (negative, field.start + usize::from(negative)..field.end)
}

/// A text of one to eight bytes with zeros in front of it, its last byte the highest; `None` where fewer than eight
/// bytes stand in front of its end.
#[inline]
fn last_eight(bytes: &[u8], text: &Range<usize>) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes[..text.end].last_chunk::<8>()?);
    let text_mask = !0 << (64 - 8 * text.len());
    Some(word & text_mask | bytes_of(b'0') & !text_mask)
}

/// Eight digits as four numbers of two, in 16 bits each, and something else than zero if not all of them are digits.
#[inline(always)]
pub(super) fn pairs_of_digits(word: u64) -> (u64, u64) {
    // High nibbles are 3 for digits and some more, and still are with six added only for digits.
    let high = bytes_of(0xF0);
    let wrong = (word & high | (word.wrapping_add(bytes_of(6)) & high) >> 4) ^ bytes_of(0x33);
    (digit_pairs(word & bytes_of(0x0F)), wrong)
}

#[inline]
fn four_pairs(word: u64) -> Option<u64> {
    let (pairs, wrong) = pairs_of_digits(word);
    (wrong == 0).then_some(pairs)
}

#[inline]
fn eight_digits(word: u64) -> Option<i64> {
    Some(number_of_pairs(four_pairs(word)?) as i64)
}

/// The digits as one number, and how many of them stand behind the point.
#[inline]
fn short_decimal(word: u64, length: usize) -> Option<(i64, usize)> {
    let points = word ^ bytes_of(b'.');
    let found = points.wrapping_sub(bytes_of(1)) & !points & bytes_of(0x80);
    if found == 0 {
        return Some((eight_digits(word)?, 0));
    }
    if length == 1 {
        return None;
    }
    // The digits in front of the point move up by one byte, over it.
    let point_bits = found.trailing_zeros() - 7;
    let in_front = (1 << point_bits) - 1;
    let up_to_point = (in_front << 8) | 0xFF;
    let digits = word & !up_to_point | (word & in_front) << 8 | u64::from(b'0');
    Some((eight_digits(digits)?, 7 - point_bits as usize / 8))
}

fn long_decimal(text: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0i64;
    let mut point = None;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
            b'.' if point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    match point {
        Some(point) => Some((value, text.len() - 1 - point)),
        // Nineteen digits may have been too many for an i64.
        None => (text.len() <= 18).then_some((value, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Scalar, calendar, parse};
    use proptest::prelude::*;

    /// Reads a text in the middle of other bytes, as it stands in a block.
    fn fast(text: &str, data_type: DataType) -> Option<i64> {
        let bytes = format!("9.-12345{text}678");
        read(bytes.as_bytes(), &(8..8 + text.len()), data_type)
    }

    fn slow(text: &str, data_type: DataType) -> Option<i64> {
        match parse::parse(text.as_bytes(), data_type) {
            Ok(Scalar::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// A text that the fast way has to manage.
    #[track_caller]
    fn managed(text: &str, data_type: DataType) {
        assert_eq!(fast(text, data_type), slow(text, data_type), "{text} as {data_type}");
        assert!(fast(text, data_type).is_some(), "{text} as {data_type}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_read_fast_is_what_is_read_slowly(
            text in prop_oneof![
                "[+-]?[0-9]{0,20}",
                "-?[0-9]{0,10}\\.[0-9]{0,10}",
                "[0-9.e+-]{0,12}",
                "[0-9/:;.-]{1,10}",
                "[0-9]{4}-[01][0-9]-[0-3][0-9]",
                "[0-9]{4}-[01][0-9]-[0-3][0-9][ T_][0-2][0-9]:[0-6][0-9]:[0-6][0-9][Z0.]{0,2}",
                "[0-9]{0,7}[^0-9][0-9]{0,7}",
                "\\PC{0,10}",
            ],
            precision in 1u8..=18, scale in 0u8..=18,
        ) {
            let decimal = DataType::Decimal { precision, scale: scale.min(precision) };
            for data_type in [DataType::Integer, decimal, DataType::Date, DataType::Timestamp] {
                if let Some(value) = fast(&text, data_type) {
                    prop_assert_eq!(Some(value), slow(&text, data_type), "{} as {}", text, data_type);
                }
            }
        }

        #[test]
        fn plain_numbers_are_read_fast(value in 1 - 10i64.pow(18)..10i64.pow(18), shift in 0u32..18) {
            let value = value / 10i64.pow(shift);
            managed(&value.to_string(), DataType::Integer);
            let (whole, fraction) = (value / 100, value.abs() % 100);
            managed(&format!("{whole}.{fraction:02}"), DataType::Decimal { precision: 18, scale: 2 });
        }
    }

    #[test]
    fn numbers_of_every_length_are_read_fast() {
        for digits in 1..=18 {
            let text = "123456789123456789";
            managed(&text[..digits], DataType::Integer);
            managed(&format!("-{}", &text[..digits]), DataType::Integer);
            for point in 0..=digits {
                let scale = (digits - point) as u8;
                let text = format!("{}.{}", &text[..point], &text[point..digits]);
                managed(&text, DataType::Decimal { precision: 18, scale });
                managed(&format!("-{text}"), DataType::Decimal { precision: digits as u8, scale });
            }
        }
    }

    #[test]
    fn every_day_is_read_fast_and_no_other() {
        for year in [0, 1, 4, 99, 100, 400, 1582, 1600, 1899, 1900, 1970, 1999, 2000, 2023, 2024, 9999] {
            for month in 0..100 {
                for day in 0..100 {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    assert_eq!(fast(&text, DataType::Date), slow(&text, DataType::Date), "{text}");
                }
            }
        }
        let first = slow("0000-01-01", DataType::Date).unwrap();
        let last = slow("9999-12-31", DataType::Date).unwrap();
        for days in (first..=last).step_by(11) {
            let mut text = Vec::new();
            calendar::write_date(&mut text, days);
            assert_eq!(date(&text, 0..text.len()), Some(days));
        }
    }

    #[test]
    fn every_second_of_a_day_is_read_fast_and_no_other() {
        for hour in 0..100 {
            for minute in 0..100 {
                for second in [0, 1, 9, 10, 59, 60, 99] {
                    let text = format!("2024-02-29T{hour:02}:{minute:02}:{second:02}");
                    assert_eq!(fast(&text, DataType::Timestamp), slow(&text, DataType::Timestamp), "{text}");
                }
            }
        }
        for text in ["0000-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31T23:59:59Z", "2023-01-31 10:20:30Z"] {
            managed(text, DataType::Timestamp);
        }
    }
}
