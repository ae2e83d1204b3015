//! Dates (days) and timestamps (microseconds): shifting, parts, truncation, formatting. The calendar is
//! `chunk::calendar`'s.

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::chunk::calendar::{Interval, date_of, datetime_of, days_of, micros_of, shift_date, shift_timestamp};
use crate::chunk::{Cell, DataType, Values};
use crate::expr::kernels::numeric::each_int;
use crate::expr::kernels::{Evaluated, Operand, build, checked2, map2, strict, try_each};
use crate::expr::program::{DatePart, FaultKind};

/// 0000-01-01 and 9999-12-31, the first and the last day that there is.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

/// Whether strftime can be called with that format.
pub fn check_strftime(format: &str) -> bool {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let epoch = NaiveDateTime::default();
    // What a value without a time zone has no answer for shows only when it is asked.
    !items.contains(&Item::Error) && write!(String::new(), "{}", epoch.format_with_items(items.iter())).is_ok()
}

pub(super) fn strftime(a: Operand<'_>, data_type: DataType, format: &str, len: usize) -> Evaluated {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let values = a.ints();
    let mut text = String::new();
    build(strict(&[a], len), len, |row, bytes| {
        text.clear();
        let datetime = datetime(values.get(row), data_type).ok_or(FaultKind::Overflow)?;
        write!(text, "{}", datetime.format_with_items(items.iter())).map_err(|_| FaultKind::InvalidCast)?;
        bytes.extend_from_slice(text.as_bytes());
        Ok(())
    })
}

pub(super) fn shift(a: Operand<'_>, data_type: DataType, interval: Interval, len: usize) -> Evaluated {
    match data_type {
        DataType::Date if interval.months == 0 => add_days(a, Operand::Scalar(Cell::Int(interval.days)), len),
        DataType::Date => each_int(a, data_type, len, |days| or_fault(shift_date(days, interval))),
        _ => each_int(a, data_type, len, |micros| or_fault(shift_timestamp(micros, interval))),
    }
}

pub(super) fn add_days(a: Operand<'_>, days: Operand<'_>, len: usize) -> Evaluated {
    let validity = strict(&[a, days], len);
    let (values, faults) = checked2((a.ints(), days.ints()), &validity, len, |date, days| {
        let (moved, overflow) = date.overflowing_add(days);
        (moved, overflow | !(FIRST_DAY..=LAST_DAY).contains(&moved))
    });
    let mut result = Evaluated::new(Values::Int(values), validity);
    result.add_faults(&faults);
    result
}

pub(super) fn days_between(a: Operand<'_>, b: Operand<'_>, len: usize) -> Evaluated {
    Evaluated::new(Values::Int(map2(a.ints(), b.ints(), len, i64::wrapping_sub)), strict(&[a, b], len))
}

pub(super) fn extract(a: Operand<'_>, data_type: DataType, part: DatePart, len: usize) -> Evaluated {
    let values = a.ints();
    try_each(&[a], len, Values::Int, |row| {
        let datetime = datetime(values.get(row), data_type).ok_or(FaultKind::Overflow)?;
        Ok(Some(part_of(datetime, part)))
    })
}

pub(super) fn truncate(a: Operand<'_>, data_type: DataType, part: DatePart, len: usize) -> Evaluated {
    let values = a.ints();
    try_each(&[a], len, Values::Int, |row| {
        let start = datetime(values.get(row), data_type).and_then(|datetime| start_of(datetime, part));
        let start = start.filter(|start| (FIRST_DAY..=LAST_DAY).contains(&days_of(start.date())));
        start.map(|start| Some(value_of(start, data_type))).ok_or(FaultKind::Overflow)
    })
}

fn or_fault(value: Option<i64>) -> (i64, bool) {
    (value.unwrap_or(0), value.is_none())
}

fn datetime(value: i64, data_type: DataType) -> Option<NaiveDateTime> {
    match data_type {
        DataType::Date => date_of(value).map(|date| date.and_time(NaiveTime::MIN)),
        _ => datetime_of(value),
    }
}

fn value_of(datetime: NaiveDateTime, data_type: DataType) -> i64 {
    match data_type {
        DataType::Date => days_of(datetime.date()),
        _ => micros_of(datetime),
    }
}

fn part_of(datetime: NaiveDateTime, part: DatePart) -> i64 {
    i64::from(match part {
        DatePart::Year => return i64::from(datetime.year()),
        DatePart::Epoch => return datetime.and_utc().timestamp(),
        DatePart::Quarter => datetime.quarter(),
        DatePart::Month => datetime.month(),
        DatePart::Week => datetime.iso_week().week(),
        DatePart::Day => datetime.day(),
        DatePart::DayOfWeek => datetime.weekday().num_days_from_sunday(),
        DatePart::IsoDayOfWeek => datetime.weekday().number_from_monday(),
        DatePart::DayOfYear => datetime.ordinal(),
        DatePart::Hour => datetime.hour(),
        DatePart::Minute => datetime.minute(),
        DatePart::Second => datetime.second(),
    })
}

fn start_of(datetime: NaiveDateTime, part: DatePart) -> Option<NaiveDateTime> {
    let date = datetime.date();
    let first = |month| NaiveDate::from_ymd_opt(date.year(), month, 1);
    let date = match part {
        DatePart::Year => first(1)?,
        DatePart::Quarter => first(date.quarter() * 3 - 2)?,
        DatePart::Month => first(date.month())?,
        DatePart::Week => date.week(chrono::Weekday::Mon).checked_first_day()?,
        DatePart::Hour => return date.and_hms_opt(datetime.hour(), 0, 0),
        DatePart::Minute => return date.and_hms_opt(datetime.hour(), datetime.minute(), 0),
        DatePart::Second => return date.and_hms_opt(datetime.hour(), datetime.minute(), datetime.second()),
        DatePart::Day | DatePart::DayOfWeek | DatePart::IsoDayOfWeek | DatePart::DayOfYear | DatePart::Epoch => date,
    };
    Some(date.and_time(NaiveTime::MIN))
}
