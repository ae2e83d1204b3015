//! Dates as days and timestamps as microseconds since 1970-01-01: reading and writing ISO 8601, fields, shifting.
//! The calendar itself is chrono's; time zones beyond a fixed offset in a text do not exist here.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime};

/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days from 0001-01-01 (chrono's day 1) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

/// The years that ISO 8601 writes with four digits; a date outside them is out of range.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;

/// The day number of a calendar date.
pub fn days_of(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce() - EPOCH_FROM_CE)
}

/// The calendar date of a day number, if its year has four digits.
pub fn date_of(days: i64) -> Option<NaiveDate> {
    let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(days).ok()?.checked_add(EPOCH_FROM_CE)?)?;
    YEARS.contains(&date.year()).then_some(date)
}

/// The calendar date and time of a timestamp, if its year has four digits.
pub fn datetime_of(micros: i64) -> Option<NaiveDateTime> {
    let datetime = DateTime::from_timestamp_micros(micros)?.naive_utc();
    YEARS.contains(&datetime.year()).then_some(datetime)
}

/// The timestamp of a calendar date and time.
pub fn micros_of(datetime: NaiveDateTime) -> i64 {
    datetime.and_utc().timestamp_micros()
}

fn two_digits(text: &[u8]) -> Option<u32> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => None,
    }
}

/// Reads `YYYY-MM-DD`, and only a day that exists.
pub fn parse_date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = two_digits(&[*y1, *y2])? * 100 + two_digits(&[*y3, *y4])?;
    let date = NaiveDate::from_ymd_opt(year as i32, two_digits(&[*m1, *m2])?, two_digits(&[*d1, *d2])?)?;
    Some(days_of(date))
}

/// Reads `YYYY-MM-DD[T| ]HH:MM[:SS[.f{1,6}]][Z|(+|-)HH:MM]`, or a bare date as its midnight; an offset is applied, so
/// that the result is in UTC.
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = parse_date(date)? * MICROS_PER_DAY;
    if rest.is_empty() {
        return Some(midnight);
    }
    let [b' ' | b'T', time @ ..] = rest else { return None };
    let (time, offset_minutes) = split_offset(time)?;
    let (clock, fraction) = match time.iter().position(|byte| *byte == b'.') {
        Some(at) => (&time[..at], Some(&time[at + 1..])),
        None => (time, None),
    };
    let (hour, minute, second) = match clock {
        [h1, h2, b':', m1, m2] if fraction.is_none() => (two_digits(&[*h1, *h2])?, two_digits(&[*m1, *m2])?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => {
            (two_digits(&[*h1, *h2])?, two_digits(&[*m1, *m2])?, two_digits(&[*s1, *s2])?)
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        None => 0,
        Some(digits) if (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let value = digits.iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
            value * 10i64.pow(6 - digits.len() as u32)
        }
        Some(_) => return None,
    };
    let seconds = i64::from(hour * 3600 + minute * 60 + second) - offset_minutes * 60;
    let timestamp = midnight + seconds * 1_000_000 + micros;
    // An offset can move it out of the years that can be written.
    datetime_of(timestamp).map(|_| timestamp)
}

fn split_offset(time: &[u8]) -> Option<(&[u8], i64)> {
    if let [clock @ .., b'Z'] = time {
        return Some((clock, 0));
    }
    match time.iter().position(|byte| matches!(byte, b'+' | b'-')) {
        None => Some((time, 0)),
        Some(at) => {
            let [sign, h1, h2, b':', m1, m2] = &time[at..] else { return None };
            let (hours, minutes) = (two_digits(&[*h1, *h2])?, two_digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = i64::from(hours * 60 + minutes);
            Some((&time[..at], if *sign == b'-' { -minutes } else { minutes }))
        }
    }
}

/// The first and the last day that has a year of four digits.
const WRITABLE_DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// A day as `YYYYMMDD`, the first letter in the lowest byte; it must be one of `WRITABLE_DAYS`.
///
/// The calendar is that of Cassio Neri and Lorenz Schneider, "Euclidean affine functions and their application to calendar
/// algorithms" (2022), section 6: years begin in March, so that the day of a leap year is the last one, and no division
/// is by anything but a constant. chrono's takes three times as long.
fn date_letters(days: i64) -> u64 {
    // Days since March of the year -400, of which 400 years are taken off again.
    let days = (days + 719_468 + 146_097) as u32;
    let centuries = 4 * days + 3;
    let (century, day_of_century) = (centuries / 146_097, centuries % 146_097 / 4);
    let years = 2_939_745 * u64::from(4 * day_of_century + 3);
    let (year_of_century, day_of_year) = ((years >> 32) as u32, years as u32 / 2_939_745 / 4);
    let months = 2_141 * day_of_year + 197_913;
    let (shifted_month, day) = (months >> 16, (months & 0xffff) / 2_141 + 1);
    let is_next_year = day_of_year >= 306;
    let month = if is_next_year { shifted_month - 12 } else { shifted_month };
    let year = 100 * century + year_of_century + u32::from(is_next_year) - 400;
    letters([year / 100, year % 100, month, day])
}

/// Numbers below 100 as text, two letters each, the first letter in the lowest byte.
fn letters(numbers: [u32; 4]) -> u64 {
    const ONES: u64 = u64::MAX / 0xffff;
    let lanes = numbers.iter().rev().fold(0, |lanes, number| lanes << 16 | u64::from(*number));
    // 103 / 1024 is near enough to a tenth.
    let tens = ((lanes * 103) >> 10) & (0xf * ONES);
    (tens | (lanes - 10 * tens) << 8) + u64::from_le_bytes([b'0'; 8])
}

/// `YYYY-MM-` and `DD` of what `date_letters` returns.
fn with_dashes(date: u64) -> (u64, u64) {
    let (year, month, day) = (date & 0xffff_ffff, date >> 32 & 0xffff, date >> 48);
    (year | DASH << 32 | month << 40 | DASH << 56, day)
}

const DASH: u64 = b'-' as u64;
const COLON: u64 = b':' as u64;
const SPACE: u64 = b' ' as u64;

/// Appends a date as `YYYY-MM-DD`; nothing when it is out of range, which no date that was read or computed is.
pub fn write_date(out: &mut Vec<u8>, days: i64) {
    if WRITABLE_DAYS.contains(&days) {
        let (year_and_month, day) = with_dashes(date_letters(days));
        out.extend_from_slice(&year_and_month.to_le_bytes());
        out.extend_from_slice(&day.to_le_bytes()[..2]);
    }
}

/// Appends a timestamp as `YYYY-MM-DD HH:MM:SS`, with six digits of fraction when there is one.
pub fn write_timestamp(out: &mut Vec<u8>, micros: i64) {
    let days = micros.div_euclid(MICROS_PER_DAY);
    if !WRITABLE_DAYS.contains(&days) {
        return;
    }
    let micros = micros - days * MICROS_PER_DAY;
    let (seconds, fraction) = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
    let (year_and_month, day) = with_dashes(date_letters(days));
    let time = letters([seconds / 3600, seconds / 60 % 60, seconds % 60, 0]);
    let (hour, minute, second) = (time & 0xffff, time >> 16 & 0xffff, time >> 32 & 0xffff);
    let words = [year_and_month, day | SPACE << 16 | hour << 24 | COLON << 40 | minute << 48, COLON | second << 8];
    let end = out.len() + "yyyy-mm-dd hh:mm:ss".len();
    // As whole words, the end of which is taken back.
    out.extend_from_slice(words.map(u64::to_le_bytes).as_flattened());
    out.truncate(end);
    if fraction != 0 {
        let digits = letters([fraction / 10_000, fraction / 100 % 100, fraction % 100, 0]);
        out.push(b'.');
        out.extend_from_slice(&digits.to_le_bytes()[..6]);
    }
}

/// An INTERVAL: months and microseconds are added one after the other, as SQL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Whole months; a day past the end of the month becomes its last day.
    pub months: i32,
    /// Whole days.
    pub days: i64,
    /// Microseconds.
    pub micros: i64,
}

/// A date moved by months and days; `None` when it leaves the years 0 to 9999. Microseconds do not apply to dates.
pub fn shift_date(days: i64, interval: Interval) -> Option<i64> {
    if interval.months == 0 {
        let shifted = days.checked_add(interval.days)?;
        return date_of(shifted).map(|_| shifted);
    }
    let date = shift_months(date_of(days)?, interval.months)?;
    let date = if interval.days >= 0 {
        date.checked_add_days(Days::new(interval.days.unsigned_abs()))?
    } else {
        date.checked_sub_days(Days::new(interval.days.unsigned_abs()))?
    };
    YEARS.contains(&date.year()).then(|| days_of(date))
}

/// A timestamp moved by an interval; `None` when it leaves the years 0 to 9999.
pub fn shift_timestamp(micros: i64, interval: Interval) -> Option<i64> {
    let datetime = datetime_of(micros)?;
    let date = shift_months(datetime.date(), interval.months)?;
    let within_day = micros.rem_euclid(MICROS_PER_DAY);
    let shifted = days_of(date)
        .checked_add(interval.days)?
        .checked_mul(MICROS_PER_DAY)?
        .checked_add(within_day)?
        .checked_add(interval.micros)?;
    datetime_of(shifted).map(|_| shifted)
}

fn shift_months(date: NaiveDate, months: i32) -> Option<NaiveDate> {
    if months >= 0 {
        date.checked_add_months(Months::new(months.unsigned_abs()))
    } else {
        date.checked_sub_months(Months::new(months.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(days: i64) -> String {
        let mut out = Vec::new();
        write_date(&mut out, days);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_second_of_a_day_and_its_fractions_are_written() {
        for second in 0..86_400 {
            let micros = second * 1_000_000;
            let clock = format!("2024-02-29 {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
            let mut out = Vec::new();
            write_timestamp(&mut out, 19_782 * MICROS_PER_DAY + micros);
            assert_eq!(String::from_utf8_lossy(&out), clock);
            let fraction = (second * 7_919 + 1) % 1_000_000;
            out.clear();
            write_timestamp(&mut out, 19_782 * MICROS_PER_DAY + micros + fraction);
            assert_eq!(String::from_utf8_lossy(&out), format!("{clock}.{fraction:06}"));
        }
    }

    #[test]
    fn every_day_is_written_as_in_chronos_calendar() {
        for days in WRITABLE_DAYS {
            let text = written(days);
            let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else { panic!("{text}") };
            let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
            let date = date_of(days).unwrap();
            let expected = (date.year().unsigned_abs(), date.month(), date.day());
            assert_eq!((number(&[y1, y2, y3, y4]), number(&[m1, m2]), number(&[d1, d2])), expected, "{days}");
        }
        for days in [*WRITABLE_DAYS.start() - 1, *WRITABLE_DAYS.end() + 1] {
            assert_eq!((date_of(days), written(days)), (None, String::new()));
        }
    }

    fn timestamp_text(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write_timestamp(&mut out, parse_timestamp(text.as_bytes())?);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn dates_go_there_and_back() {
        for text in ["1970-01-01", "2000-02-29", "0000-01-01", "9999-12-31", "2025-10-01"] {
            assert_eq!(written(parse_date(text.as_bytes()).unwrap()), text);
        }
        assert_eq!(parse_date(b"1970-01-02"), Some(1));
        for text in ["2025-02-29", "2025-13-01", "2025-1-01", "20251001", "2025-10-01 ", "2025-10-0x", ""] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn timestamps_take_iso_forms_and_offsets() {
        for (text, expected) in [
            ("2025-10-01T12:34:56Z", Some("2025-10-01 12:34:56")),
            ("2025-10-01 12:34", Some("2025-10-01 12:34:00")),
            ("2025-10-01 00:30:00+01:00", Some("2025-09-30 23:30:00")),
            ("2025-10-01 12:34:56.5", Some("2025-10-01 12:34:56.500000")),
            ("1969-12-31 23:59:59.000001", Some("1969-12-31 23:59:59.000001")),
            ("2025-10-01", Some("2025-10-01 00:00:00")),
            ("2025-10-01 24:00:00", None),
            ("2025-10-01 12:34.5", None),
            ("2025-10-01 12:34:56.1234567", None),
            ("2025-10-01 12:34:56+1:00", None),
            ("0000-01-01 00:00+01:00", None),
            ("9999-12-31 23:59:59-00:01", None),
            ("2025-10-01\u{e9}", None),
        ] {
            assert_eq!(timestamp_text(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn intervals_keep_to_the_calendar() {
        let shift = |text: &str, months, days| {
            shift_date(parse_date(text.as_bytes()).unwrap(), Interval { months, days, micros: 0 }).map(written)
        };
        assert_eq!(shift("2025-01-31", 1, 0).as_deref(), Some("2025-02-28"));
        assert_eq!(shift("2024-03-31", -1, 0).as_deref(), Some("2024-02-29"));
        assert_eq!(shift("2025-10-01", 0, 3).as_deref(), Some("2025-10-04"));
        assert_eq!(shift("9999-12-31", 0, 1), None);
        assert_eq!(shift("9999-12-31", 1, -31).as_deref(), Some("9999-12-31"));
        assert_eq!(shift("9999-12-31", 1, 0), None);
    }
}
