//! Text to typed value: what every type of a declared column accepts, and which code a value gets that it does not.

use crate::chunk::{DataType, RejectCode, Scalar, calendar, decimal};

/// Reads a value of a type. Spaces and tabs around anything but TEXT do not count.
///
/// # Errors
/// The code for a value that is not of the type.
pub fn parse(text: &[u8], data_type: DataType) -> Result<Scalar, RejectCode> {
    match data_type {
        DataType::Text => Ok(Scalar::Text(text.into())),
        DataType::Integer => integer(trim(text)).map(Scalar::Int),
        DataType::Decimal { precision, scale } => {
            decimal::parse(trim(text), precision, scale).map(Scalar::Int).map_err(|error| match error {
                decimal::DecimalError::OutOfRange => RejectCode::OutOfRange,
                decimal::DecimalError::Invalid | decimal::DecimalError::TooPrecise => RejectCode::InvalidDecimal,
            })
        }
        DataType::Double => double(trim(text)).map(Scalar::Double),
        DataType::Date => calendar::parse_date(trim(text)).map(Scalar::Int).ok_or(RejectCode::InvalidDate),
        DataType::Timestamp => {
            calendar::parse_timestamp(trim(text)).map(Scalar::Int).ok_or(RejectCode::InvalidTimestamp)
        }
        DataType::Boolean => boolean(trim(text)).map(Scalar::Bool).ok_or(RejectCode::InvalidBoolean),
    }
}

/// Without the spaces and tabs at both ends.
pub fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &text[start..end]
}

/// Reads `[+-]digits` that fit an i64.
///
/// # Errors
/// `InvalidInteger` for anything else, `OutOfRange` for digits that do not fit.
pub fn integer(text: &[u8]) -> Result<i64, RejectCode> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(RejectCode::InvalidInteger);
    }
    // Only digits and a sign are left, so that what the standard library refuses is out of range.
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(RejectCode::OutOfRange)
}

/// Reads a finite double in decimal notation, negative zero as zero.
///
/// # Errors
/// `InvalidDouble` for anything else (also for nan and infinity), `OutOfRange` for what rounds to infinity.
pub fn double(text: &[u8]) -> Result<f64, RejectCode> {
    if !text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return Err(RejectCode::InvalidDouble);
    }
    let value: f64 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(RejectCode::InvalidDouble)?;
    // Adding zero turns -0.0 into 0.0, which SQLite would do when storing it.
    if value.is_finite() { Ok(value + 0.0) } else { Err(RejectCode::OutOfRange) }
}

/// Reads true, t, yes, y, 1 and false, f, no, n, 0 in any case.
pub fn boolean(text: &[u8]) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word.as_bytes());
    if ["true", "t", "1", "yes", "y"].iter().any(is) {
        Some(true)
    } else if ["false", "f", "0", "no", "n"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// The sentence for a value that is not of its type.
pub fn reason(code: RejectCode, data_type: DataType) -> String {
    match (code, data_type) {
        (RejectCode::OutOfRange, _) => format!("too large for {data_type}"),
        (_, DataType::Decimal { scale, .. }) => format!("not a {data_type}: a number with at most {scale} decimals"),
        (_, DataType::Date) => "not a DATE: a day that exists, as YYYY-MM-DD".to_owned(),
        (_, DataType::Timestamp) => "not a TIMESTAMP: YYYY-MM-DD HH:MM:SS, in ISO 8601".to_owned(),
        (_, DataType::Boolean) => "not a BOOLEAN: true, false, t, f, yes, no, y, n, 1 or 0".to_owned(),
        (_, DataType::Integer) => "not an INTEGER".to_owned(),
        _ => format!("not a {data_type}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_its_own_and_names_the_rest() {
        let decimal = DataType::Decimal { precision: 4, scale: 2 };
        for (text, data_type, expected) in [
            (" 42\t", DataType::Integer, Ok(Scalar::Int(42))),
            ("-9223372036854775808", DataType::Integer, Ok(Scalar::Int(i64::MIN))),
            ("9223372036854775808", DataType::Integer, Err(RejectCode::OutOfRange)),
            ("4.0", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("-", DataType::Integer, Err(RejectCode::InvalidInteger)),
            ("12.3", decimal, Ok(Scalar::Int(1230))),
            ("123.4", decimal, Err(RejectCode::OutOfRange)),
            ("1.234", decimal, Err(RejectCode::InvalidDecimal)),
            ("1e400", DataType::Double, Err(RejectCode::OutOfRange)),
            ("nan", DataType::Double, Err(RejectCode::InvalidDouble)),
            ("inf", DataType::Double, Err(RejectCode::InvalidDouble)),
            ("-1.5e3", DataType::Double, Ok(Scalar::Double(-1500.0))),
            ("Yes", DataType::Boolean, Ok(Scalar::Bool(true))),
            ("2", DataType::Boolean, Err(RejectCode::InvalidBoolean)),
            ("2025-02-30", DataType::Date, Err(RejectCode::InvalidDate)),
            ("1970-01-03", DataType::Date, Ok(Scalar::Int(2))),
            (" a ", DataType::Text, Ok(Scalar::Text(b" a ".as_slice().into()))),
        ] {
            assert_eq!(parse(text.as_bytes(), data_type), expected, "{text} as {data_type}");
        }
        let zero = double(b"-0.0").unwrap();
        assert!(zero.is_sign_positive());
    }
}
