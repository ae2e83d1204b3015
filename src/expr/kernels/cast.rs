//! CAST and TRY_CAST between all types. What a text must look like for a type is decided in `chunk::parse`.

use std::io::Write;

use crate::chunk::calendar::{MICROS_PER_DAY, write_date, write_timestamp};
use crate::chunk::{DataType, RejectCode, Scalar, Values, decimal, parse};
use crate::expr::kernels::numeric::{bounds, each_int, finite, rescale};
use crate::expr::kernels::{Evaluated, Operand, build, double, map, strict, try_each};
use crate::expr::program::FaultKind;

/// What becomes of a value without meaning in the wanted type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// CAST.
    Fault,
    /// TRY_CAST, for which a number must also be one as a whole.
    Null,
}

pub(super) fn cast(a: Operand<'_>, from: DataType, to: DataType, on_failure: OnFailure, len: usize) -> Evaluated {
    use DataType::{Boolean, Date, Decimal, Double, Integer, Text, Timestamp};
    let mut result = match (from, to) {
        (Text, Integer) if on_failure == OnFailure::Fault => {
            let texts = a.texts();
            try_each(&[a], len, Values::Int, |row| integer_prefix(texts.get(row)).map(Some))
        }
        (Text, Double) if on_failure == OnFailure::Fault => {
            let texts = a.texts();
            try_each(&[a], len, Values::Double, |row| double_prefix(texts.get(row)).map(Some))
        }
        (_, Text) => to_text(a, from, len),
        (Text, _) => from_text(a, to, len),
        (Integer | Decimal { .. }, Integer) => {
            let one = decimal::pow10(from.scale()) as i64;
            each_int(a, to, len, |units| (units / one, false))
        }
        (Integer | Decimal { .. }, Decimal { .. }) => rescale(a, from.scale(), to, len),
        (Integer, Double) => unchecked(Values::Double(map(a.ints(), len, |value| value as f64)), a, len),
        (Decimal { scale, .. }, Double) => {
            unchecked(Values::Double(map(a.ints(), len, |units| decimal::to_f64(i128::from(units), scale))), a, len)
        }
        (Integer | Decimal { .. }, Boolean) => unchecked(Values::Bool(map(a.ints(), len, |value| value != 0)), a, len),
        (Double, Integer) => {
            let values = a.doubles();
            try_each(&[a], len, Values::Int, |row| truncated(values.get(row)).map(Some))
        }
        (Double, Decimal { scale, .. }) => {
            let (values, (least, greatest)) = (a.doubles(), bounds(to));
            try_each(&[a], len, Values::Int, |row| {
                let units = double::to_units(values.get(row), scale);
                units.filter(|units| (least..=greatest).contains(units)).ok_or(FaultKind::Overflow).map(Some)
            })
        }
        (Double, Boolean) => unchecked(Values::Bool(map(a.doubles(), len, |value| value != 0.0)), a, len),
        (Boolean, Integer) => unchecked(Values::Int(map(a.bools(), len, i64::from)), a, len),
        (Boolean, Double) => unchecked(Values::Double(map(a.bools(), len, |value| f64::from(u8::from(value)))), a, len),
        (Date, Timestamp) => each_int(a, to, len, |days| days.overflowing_mul(MICROS_PER_DAY)),
        (Timestamp, Date) => each_int(a, to, len, |micros| (micros.div_euclid(MICROS_PER_DAY), false)),
        (Double, Double) => unchecked(a.to_values(to.physical(), len), a, len),
        (Boolean, Boolean) => unchecked(a.to_values(to.physical(), len), a, len),
        (Date, Date) | (Timestamp, Timestamp) => unchecked(a.to_values(to.physical(), len), a, len),
        (Boolean, _) | (_, Date | Timestamp) | (Date | Timestamp, _) => {
            unreachable!("the binder refuses a CAST of {from} to {to}")
        }
    };
    if on_failure == OnFailure::Null {
        result.faults.clear();
    }
    result
}

/// A conversion of which nothing can go wrong.
fn unchecked(values: Values, a: Operand<'_>, len: usize) -> Evaluated {
    Evaluated::new(values, strict(&[a], len))
}

fn truncated(value: f64) -> Result<i64, FaultKind> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { Ok(value as i64) } else { Err(FaultKind::Overflow) }
}

fn to_text(a: Operand<'_>, from: DataType, len: usize) -> Evaluated {
    let validity = strict(&[a], len);
    match from {
        DataType::Text => unchecked(a.to_values(from.physical(), len), a, len),
        DataType::Double => {
            let values = a.doubles();
            build(validity, len, |row, bytes| {
                double::write(bytes, values.get(row));
                Ok(())
            })
        }
        DataType::Boolean => {
            let values = a.bools();
            build(validity, len, |row, bytes| {
                bytes.push(b'0' + u8::from(values.get(row)));
                Ok(())
            })
        }
        DataType::Date => text_of_ints(a, len, write_date),
        DataType::Timestamp => text_of_ints(a, len, write_timestamp),
        DataType::Integer | DataType::Decimal { .. } => {
            let one = decimal::pow10(from.scale()) as u64;
            let width = usize::from(from.scale());
            text_of_ints(a, len, |bytes, units| {
                let sign = if units < 0 { "-" } else { "" };
                let magnitude = units.unsigned_abs();
                // Writing to a vector cannot fail.
                let _ = if width == 0 {
                    write!(bytes, "{sign}{magnitude}")
                } else {
                    write!(bytes, "{sign}{}.{:0width$}", magnitude / one, magnitude % one)
                };
            })
        }
    }
}

fn text_of_ints(a: Operand<'_>, len: usize, write: impl Fn(&mut Vec<u8>, i64)) -> Evaluated {
    let values = a.ints();
    build(strict(&[a], len), len, |row, bytes| {
        write(bytes, values.get(row));
        Ok(())
    })
}

fn from_text(a: Operand<'_>, to: DataType, len: usize) -> Evaluated {
    let texts = a.texts();
    let read = |row| {
        parse::parse(texts.get(row), to).map_err(|code| match code {
            RejectCode::OutOfRange => FaultKind::Overflow,
            _ => FaultKind::InvalidCast,
        })
    };
    match to {
        DataType::Double => try_each(&[a], len, Values::Double, |row| {
            read(row).map(|value| if let Scalar::Double(value) = value { Some(value) } else { None })
        }),
        DataType::Boolean => try_each(&[a], len, Values::Bool, |row| {
            read(row).map(|value| if let Scalar::Bool(value) = value { Some(value) } else { None })
        }),
        _ => try_each(&[a], len, Values::Int, |row| {
            read(row).map(|value| if let Scalar::Int(value) = value { Some(value) } else { None })
        }),
    }
}

/// The text behind SQLite's white space at its start.
fn after_space(text: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    &text[text.iter().take_while(|byte| space(byte)).count()..]
}

fn sign_len(text: &[u8]) -> usize {
    usize::from(matches!(text.first(), Some(b'-' | b'+')))
}

fn digits_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn integer_prefix(text: &[u8]) -> Result<i64, FaultKind> {
    let text = after_space(text);
    let sign = sign_len(text);
    match digits_len(&text[sign..]) {
        0 => Ok(0),
        digits => parse::integer(&text[..sign + digits]).map_err(|_| FaultKind::Overflow),
    }
}

fn double_prefix(text: &[u8]) -> Result<f64, FaultKind> {
    let text = after_space(text);
    let whole_start = sign_len(text);
    let mut end = whole_start + digits_len(&text[whole_start..]);
    let mut digits = end - whole_start;
    if text.get(end) == Some(&b'.') {
        let fraction = digits_len(&text[end + 1..]);
        digits += fraction;
        end += 1 + fraction;
    }
    if digits == 0 {
        return Ok(0.0);
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let exponent_start = end + 1 + sign_len(&text[end + 1..]);
        let exponent = digits_len(&text[exponent_start..]);
        if exponent > 0 {
            end = exponent_start + exponent;
        }
    }
    let number = std::str::from_utf8(&text[..end]).ok().and_then(|number| number.parse().ok());
    number.map_or(Ok(0.0), finite)
}
