//! Dates and timestamps by chrono: reading, writing, fields and shifts. Days and microseconds since 1970-01-01 outside.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::chunk::calendar::Interval;
use crate::chunk::{DataType, RejectCode};
use crate::expr::DatePart;

/// Reads `YYYY-MM-DD`, and only a day that exists.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    has_shape(text, "0000-00-00").then(|| text.parse::<NaiveDate>().ok()).flatten().map(days_of)
}

/// Reads `YYYY-MM-DD[T| ]HH:MM[:SS[.f{1,6}]][Z|(+|-)HH:MM]`, or a bare date as its midnight, as UTC.
pub(super) fn parse_timestamp(text: &str) -> Result<i64, RejectCode> {
    let local_and_offset = parse_local(text).ok_or(RejectCode::InvalidTimestamp)?;
    let (local, offset) = local_and_offset;
    local.checked_sub_signed(offset).and_then(micros_of).ok_or(RejectCode::InvalidTimestamp)
}

/// A date as `YYYY-MM-DD`.
pub(super) fn date_text(days: i64) -> String {
    date_of(days).map(|date| date.format("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// A timestamp as `YYYY-MM-DD HH:MM:SS`, with six digits of fraction when there is one.
pub(super) fn timestamp_text(micros: i64) -> String {
    let Some(datetime) = datetime_of(micros) else { return String::new() };
    let format = if datetime.nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    datetime.format(format).to_string()
}

/// A DATE or TIMESTAMP as the start of its day or as it is; `None` outside the years 0 to 9999.
pub(super) fn moment(value: i64, data_type: DataType) -> Option<NaiveDateTime> {
    match data_type {
        DataType::Timestamp => datetime_of(value),
        _ => Some(date_of(value)?.and_time(NaiveTime::MIN)),
    }
}

/// The DATE or TIMESTAMP of a moment; `None` outside the years 0 to 9999.
pub(super) fn value_of(moment: NaiveDateTime, data_type: DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp => micros_of(moment),
        _ => micros_of(moment).map(|_| days_of(moment.date())),
    }
}

/// A moment moved by months (a day past the end of the month becomes its last), then days, then, unless it is a DATE,
/// microseconds.
pub(super) fn shift(moment: NaiveDateTime, data_type: DataType, by: Interval) -> Option<NaiveDateTime> {
    let months = Months::new(by.months.unsigned_abs());
    let moved = if by.months < 0 { moment.checked_sub_months(months) } else { moment.checked_add_months(months) };
    let moved = add_days(moved?, by.days)?;
    if data_type == DataType::Date { Some(moved) } else { moved.checked_add_signed(TimeDelta::microseconds(by.micros)) }
}

/// A moment moved by days.
pub(super) fn add_days(moment: NaiveDateTime, days: i64) -> Option<NaiveDateTime> {
    moment.checked_add_signed(TimeDelta::try_days(days)?)
}

/// EXTRACT(part FROM moment).
pub(super) fn extract(part: DatePart, moment: NaiveDateTime) -> i64 {
    let number = match part {
        DatePart::Year => return i64::from(moment.year()),
        DatePart::Epoch => return moment.and_utc().timestamp(),
        DatePart::Quarter => moment.quarter(),
        DatePart::Month => moment.month(),
        DatePart::Week => moment.iso_week().week(),
        DatePart::Day => moment.day(),
        DatePart::DayOfWeek => moment.weekday().num_days_from_sunday(),
        DatePart::IsoDayOfWeek => moment.weekday().number_from_monday(),
        DatePart::DayOfYear => moment.ordinal(),
        DatePart::Hour => moment.hour(),
        DatePart::Minute => moment.minute(),
        DatePart::Second => moment.second(),
    };
    i64::from(number)
}

/// The start of the part of time that holds the moment; the moment itself for what is no such part.
pub(super) fn truncate(part: DatePart, moment: NaiveDateTime) -> Option<NaiveDateTime> {
    let midnight = |year, month, day| Some(NaiveDate::from_ymd_opt(year, month, day)?.and_time(NaiveTime::MIN));
    let date = moment.date();
    match part {
        DatePart::Year => midnight(date.year(), 1, 1),
        DatePart::Quarter => midnight(date.year(), (date.quarter() - 1) * 3 + 1, 1),
        DatePart::Month => midnight(date.year(), date.month(), 1),
        DatePart::Week => {
            let since_monday = u64::from(date.weekday().num_days_from_monday());
            Some(date.checked_sub_days(Days::new(since_monday))?.and_time(NaiveTime::MIN))
        }
        DatePart::Day => Some(date.and_time(NaiveTime::MIN)),
        DatePart::Hour => date.and_hms_opt(moment.hour(), 0, 0),
        DatePart::Minute => date.and_hms_opt(moment.hour(), moment.minute(), 0),
        DatePart::Second => date.and_hms_opt(moment.hour(), moment.minute(), moment.second()),
        DatePart::DayOfWeek | DatePart::IsoDayOfWeek | DatePart::DayOfYear | DatePart::Epoch => Some(moment),
    }
}

/// Whether the text has digits where the shape has zeros, and is equal to it elsewhere.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn parse_local(text: &str) -> Option<(NaiveDateTime, TimeDelta)> {
    let (date, rest) = text.split_at_checked(10)?;
    parse_date(date)?;
    let date: NaiveDate = date.parse().ok()?;
    if rest.is_empty() {
        return Some((date.and_time(NaiveTime::MIN), TimeDelta::zero()));
    }
    let time = rest.strip_prefix([' ', 'T'])?;
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], parse_offset(&time[at..])?),
        None => (time, TimeDelta::zero()),
    };
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let has_seconds = has_shape(seconds, "00:00:00");
    if !has_seconds && (!has_shape(seconds, "00:00") || clock.contains('.')) {
        return None;
    }
    if !(1..=6).contains(&fraction.len()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| seconds[range].parse().ok();
    let second = if has_seconds { part(6..8)? } else { 0 };
    let micros = format!("{fraction:0<6}").parse().ok()?;
    Some((date.and_hms_micro_opt(part(0..2)?, part(3..5)?, second, micros)?, offset)).filter(|_| second < 60)
}

fn parse_offset(text: &str) -> Option<TimeDelta> {
    if text == "Z" {
        return Some(TimeDelta::zero());
    }
    let time = text.strip_prefix(['+', '-'])?;
    if !has_shape(time, "00:00") {
        return None;
    }
    let (hours, minutes): (i64, i64) = (time[..2].parse().ok()?, time[3..].parse().ok()?);
    let offset = TimeDelta::minutes(hours * 60 + minutes);
    (hours < 24 && minutes < 60).then_some(if text.starts_with('-') { -offset } else { offset })
}

fn has_four_digits(year: i32) -> bool {
    (0..=9999).contains(&year)
}

fn days_of(date: NaiveDate) -> i64 {
    (date - NaiveDate::default()).num_days()
}

fn date_of(days: i64) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(days)?).filter(|date| has_four_digits(date.year()))
}

fn datetime_of(micros: i64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_micros(micros)?.naive_utc()).filter(|datetime| has_four_digits(datetime.year()))
}

fn micros_of(datetime: NaiveDateTime) -> Option<i64> {
    has_four_digits(datetime.year()).then(|| datetime.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_that_exist() {
        for text in ["1970-01-01", "2000-02-29", "0000-01-01", "9999-12-31"] {
            assert_eq!(parse_date(text).map(date_text).as_deref(), Some(text));
        }
        for text in ["2025-02-29", "2025-13-01", "2025-1-01", "20251001", "2025-10-01 ", "+025-10-01", ""] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn timestamps_take_iso_forms_and_offsets() {
        for (text, expected) in [
            ("2025-10-01T12:34:56Z", Ok("2025-10-01 12:34:56")),
            ("2025-10-01 12:34", Ok("2025-10-01 12:34:00")),
            ("2025-10-01 12:34-01:30", Ok("2025-10-01 14:04:00")),
            ("2025-10-01 00:30:00+01:00", Ok("2025-09-30 23:30:00")),
            ("2025-10-01 12:34:56.5", Ok("2025-10-01 12:34:56.500000")),
            ("1969-12-31 23:59:59.000001", Ok("1969-12-31 23:59:59.000001")),
            ("2025-10-01", Ok("2025-10-01 00:00:00")),
            ("2025-10-01Z", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01T", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 24:00:00", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:60", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34.5", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:56.", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:56.1234567", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:56+1:00", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:56+24:00", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-01 12:34:56ZZ", Err(RejectCode::InvalidTimestamp)),
            ("2025-10-0\u{e9}", Err(RejectCode::InvalidTimestamp)),
            ("9999-12-31 23:59:59-00:01", Err(RejectCode::InvalidTimestamp)),
        ] {
            assert_eq!(parse_timestamp(text).map(timestamp_text), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn shifts_keep_to_the_calendar() {
        let shifted = |text: &str, months, days, micros| {
            let moment = moment(parse_timestamp(text).ok()?, DataType::Timestamp)?;
            let shifted = shift(moment, DataType::Timestamp, Interval { months, days, micros })?;
            value_of(shifted, DataType::Timestamp).map(timestamp_text)
        };
        assert_eq!(shifted("2025-01-31", 1, 0, 0).as_deref(), Some("2025-02-28 00:00:00"));
        assert_eq!(shifted("2024-03-31 10:00", -1, 0, 0).as_deref(), Some("2024-02-29 10:00:00"));
        assert_eq!(shifted("2024-12-31 23:59:59", 0, 1, 1_000_000).as_deref(), Some("2025-01-02 00:00:00"));
        assert_eq!(shifted("9999-12-31", 0, 1, 0), None);
        assert_eq!(shifted("2024-12-31", 0, i64::MAX, 0), None);
    }

    #[test]
    fn parts_are_extracted_and_cut_off() {
        let at = moment(parse_timestamp("2024-12-31 23:59:58.5").unwrap(), DataType::Timestamp).unwrap();
        for (part, number, start) in [
            (DatePart::Year, 2024, "2024-01-01 00:00:00"),
            (DatePart::Quarter, 4, "2024-10-01 00:00:00"),
            (DatePart::Month, 12, "2024-12-01 00:00:00"),
            // The last day of 2024 is a Tuesday, in the first week of 2025.
            (DatePart::Week, 1, "2024-12-30 00:00:00"),
            (DatePart::Day, 31, "2024-12-31 00:00:00"),
            (DatePart::Hour, 23, "2024-12-31 23:00:00"),
            (DatePart::Minute, 59, "2024-12-31 23:59:00"),
            (DatePart::Second, 58, "2024-12-31 23:59:58"),
        ] {
            assert_eq!(extract(part, at), number, "{part:?}");
            let cut = truncate(part, at).and_then(|cut| value_of(cut, DataType::Timestamp)).unwrap();
            assert_eq!(timestamp_text(cut), start, "{part:?}");
        }
        assert_eq!(extract(DatePart::DayOfWeek, at), 2);
        assert_eq!(extract(DatePart::IsoDayOfWeek, at), 2);
        assert_eq!(extract(DatePart::DayOfYear, at), 366);
        assert_eq!(extract(DatePart::Epoch, at), 1_735_689_598);
    }
}
