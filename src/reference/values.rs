//! Text to typed value, and typed value to text: what a field of each type accepts. Knows no records and no NULL.

use crate::chunk::{DataType, RejectCode, Scalar};
use crate::reference::{dates, doubles};

/// Reads a value of a type.
///
/// # Errors
/// The code for a text that is none.
pub(super) fn parse(text: &str, data_type: DataType) -> Result<Scalar, RejectCode> {
    let trimmed = text.trim_matches([' ', '\t']);
    match data_type {
        DataType::Text => Ok(Scalar::Text(text.as_bytes().into())),
        DataType::Integer => parse_integer(trimmed).map(Scalar::Int),
        DataType::Decimal { precision, scale } => parse_decimal(trimmed, precision, scale).map(Scalar::Int),
        DataType::Double => parse_double(trimmed).map(Scalar::Double),
        DataType::Date => dates::parse_date(trimmed).map(Scalar::Int).ok_or(RejectCode::InvalidDate),
        DataType::Timestamp => dates::parse_timestamp(trimmed).map(Scalar::Int),
        DataType::Boolean => parse_boolean(trimmed).map(Scalar::Bool).ok_or(RejectCode::InvalidBoolean),
    }
}

/// Writes a value of a type; nothing for NULL.
pub(super) fn to_text(value: &Scalar, data_type: DataType) -> String {
    match (value, data_type) {
        (Scalar::Null, _) => String::new(),
        (Scalar::Text(text), _) => String::from_utf8_lossy(text).into_owned(),
        (Scalar::Int(units), DataType::Decimal { scale, .. }) => decimal_text(*units, usize::from(scale)),
        (Scalar::Int(days), DataType::Date) => dates::date_text(*days),
        (Scalar::Int(micros), DataType::Timestamp) => dates::timestamp_text(*micros),
        (Scalar::Int(number), _) => number.to_string(),
        (Scalar::Double(number), _) => doubles::to_text(*number),
        (Scalar::Bool(flag), _) => u8::from(*flag).to_string(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_sign(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn parse_integer(text: &str) -> Result<i64, RejectCode> {
    if !is_digits(without_sign(text)) {
        return Err(RejectCode::InvalidInteger);
    }
    text.parse().map_err(|_| RejectCode::OutOfRange)
}

fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<i64, RejectCode> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) if is_digits(without_sign(exponent)) => (mantissa, exponent),
        Some(_) => return Err(RejectCode::InvalidDecimal),
        None => (text, "0"),
    };
    let (whole, fraction) = without_sign(mantissa).split_once('.').unwrap_or((without_sign(mantissa), ""));
    let digits = format!("{whole}{fraction}");
    if !is_digits(&digits) {
        return Err(RejectCode::InvalidDecimal);
    }
    // An exponent with more digits than an i128 has is as good as the greatest.
    let exponent = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        -i128::from(i64::MAX)
    } else {
        i128::from(i64::MAX)
    });
    let mut units = 0;
    for (index, byte) in digits.bytes().enumerate().filter(|(_, byte)| *byte != b'0') {
        // How many digits of the result stand behind this one.
        let place = whole.len() as i128 + exponent + i128::from(scale) - 1 - index as i128;
        if place >= i128::from(precision) {
            return Err(RejectCode::OutOfRange);
        }
        if place < 0 {
            return Err(RejectCode::InvalidDecimal);
        }
        units += i64::from(byte - b'0') * 10i64.pow(place as u32);
    }
    Ok(if mantissa.starts_with('-') { -units } else { units })
}

fn parse_double(text: &str) -> Result<f64, RejectCode> {
    let is_number_character = |character: char| character.is_ascii_digit() || "+-.eE".contains(character);
    match text.parse::<f64>() {
        Ok(value) if text.chars().all(is_number_character) => {
            // Adding zero makes -0 a 0.
            if value.is_finite() { Ok(value + 0.0) } else { Err(RejectCode::OutOfRange) }
        }
        _ => Err(RejectCode::InvalidDouble),
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn decimal_text(units: i64, scale: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_its_own_and_names_the_rest() {
        let decimal = DataType::Decimal { precision: 5, scale: 2 };
        let int = |value| Ok(Scalar::Int(value));
        let seconds = 1_000_000;
        for (text, data_type, expected) in [
            (" a ", DataType::Text, Ok(Scalar::Text(b" a ".as_slice().into()))),
            ("\t+42 ", DataType::Integer, int(42)),
            ("-9223372036854775808", DataType::Integer, int(i64::MIN)),
            ("9223372036854775808", DataType::Integer, Err(RejectCode::OutOfRange)),
            ("4.0", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("+-1", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("1 2", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("12.3", decimal, int(1230)),
            ("-.05", decimal, int(-5)),
            ("7.", decimal, int(700)),
            ("1.2e1", decimal, int(1200)),
            ("12300E-2", decimal, int(12300)),
            ("1.2300000", decimal, int(123)),
            ("0e999999999999999999999999999999999999999999", decimal, int(0)),
            ("1e999999999999999999999999999999999999999999", decimal, Err(RejectCode::OutOfRange)),
            ("1e-99999999999999999999999999999999999999999", decimal, Err(RejectCode::InvalidDecimal)),
            ("1000", decimal, Err(RejectCode::OutOfRange)),
            ("1000.001", decimal, Err(RejectCode::OutOfRange)),
            ("0.001", decimal, Err(RejectCode::InvalidDecimal)),
            (".", decimal, Err(RejectCode::InvalidDecimal)),
            ("1e", decimal, Err(RejectCode::InvalidDecimal)),
            ("1e5.0", decimal, Err(RejectCode::InvalidDecimal)),
            ("1,5", decimal, Err(RejectCode::InvalidDecimal)),
            ("-1.5e3", DataType::Double, Ok(Scalar::Double(-1500.0))),
            ("1e400", DataType::Double, Err(RejectCode::OutOfRange)),
            ("inf", DataType::Double, Err(RejectCode::InvalidDouble)),
            ("nan", DataType::Double, Err(RejectCode::InvalidDouble)),
            ("1e", DataType::Double, Err(RejectCode::InvalidDouble)),
            ("1970-01-03", DataType::Date, int(2)),
            ("2025-02-30", DataType::Date, Err(RejectCode::InvalidDate)),
            ("1970-01-01T00:00:01+00:01", DataType::Timestamp, int(-59 * seconds)),
            ("YES", DataType::Boolean, Ok(Scalar::Bool(true))),
            ("0", DataType::Boolean, Ok(Scalar::Bool(false))),
            ("2", DataType::Boolean, Err(RejectCode::InvalidBoolean)),
        ] {
            assert_eq!(parse(text, data_type), expected, "{text} as {data_type}");
        }
        assert_eq!(parse_double("-0.0").map(f64::is_sign_negative), Ok(false));
    }

    #[test]
    fn values_are_written_with_all_their_digits() {
        let decimal = DataType::Decimal { precision: 5, scale: 2 };
        assert_eq!(to_text(&Scalar::Int(-5), decimal), "-0.05");
        assert_eq!(to_text(&Scalar::Int(1200), decimal), "12.00");
        assert_eq!(to_text(&Scalar::Int(-5), DataType::Decimal { precision: 5, scale: 0 }), "-5");
        assert_eq!(to_text(&Scalar::Bool(true), DataType::Boolean), "1");
    }
}
