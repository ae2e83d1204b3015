//! Integers and decimals of up to 18 digits, one at a time: what `lanes` leaves because it is longer. What is written otherwise
//! gives `None` and is left to `chunk::parse`, which alone decides what a value is; whatever is read here it reads in the
//! same way.

use crate::chunk::DataType;

/// Reads a value of a type.
pub(super) fn read(text: &[u8], data_type: DataType) -> Option<i64> {
    match data_type {
        DataType::Integer => integer(text),
        DataType::Decimal { precision, scale } => decimal(text, precision, scale),
        _ => None,
    }
}

/// `-?digits`.
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let mut value = 0i64;
    let mut wrong = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        wrong |= u8::from(digit > 9);
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    (wrong == 0).then_some(if negative { -value } else { value })
}

/// `-?digits[.digits]`, with no more of them behind the point than the scale has.
fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i64> {
    let (negative, number) = sign(text);
    if !(2..=19).contains(&number.len()) {
        // A point alone is no number.
        return None;
    }
    let (digits, behind_point) = digits_and_point(number)?;
    let missing = usize::from(scale).checked_sub(behind_point)?;
    let units = digits.checked_mul(*POWERS_OF_TEN.get(missing)?)?;
    (units < *POWERS_OF_TEN.get(usize::from(precision))?).then_some(if negative { -units } else { units })
}

pub(super) const POWERS_OF_TEN: [i64; 19] = {
    let mut powers = [1; 19];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, text),
    }
}

/// The digits as one number, and how many of them stand behind the point.
fn digits_and_point(text: &[u8]) -> Option<(i64, usize)> {
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
    use crate::chunk::{Scalar, parse};
    use proptest::prelude::*;

    fn definition(text: &str, data_type: DataType) -> Option<i64> {
        match parse::parse(text.as_bytes(), data_type) {
            Ok(Scalar::Int(value)) => Some(value),
            _ => None,
        }
    }

    #[track_caller]
    fn assert_read(text: &str, data_type: DataType) {
        assert_eq!(read(text.as_bytes(), data_type), definition(text, data_type), "{text} as {data_type}");
        assert!(read(text.as_bytes(), data_type).is_some(), "{text} as {data_type}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_read_is_what_the_definition_says(
            text in prop_oneof![
                "[+-]?[0-9]{0,20}",
                "-?[0-9]{0,10}\\.[0-9]{0,10}",
                "[0-9.e+-]{0,12}",
                "[0-9]{0,7}[^0-9][0-9]{0,7}",
                "\\PC{0,10}",
            ],
            precision in 1u8..=18, scale in 0u8..=18,
        ) {
            let decimal = DataType::Decimal { precision, scale: scale.min(precision) };
            for data_type in [DataType::Integer, decimal] {
                if let Some(value) = read(text.as_bytes(), data_type) {
                    prop_assert_eq!(Some(value), definition(&text, data_type), "{} as {}", text, data_type);
                }
            }
        }

        #[test]
        fn plain_numbers_are_read(value in 1 - 10i64.pow(18)..10i64.pow(18), shift in 0u32..18) {
            let value = value / 10i64.pow(shift);
            assert_read(&value.to_string(), DataType::Integer);
            let (whole, fraction) = (value / 100, value.abs() % 100);
            assert_read(&format!("{whole}.{fraction:02}"), DataType::Decimal { precision: 18, scale: 2 });
        }
    }

    #[test]
    fn numbers_of_every_length_are_read() {
        for digits in 1..=18 {
            let text = "123456789123456789";
            assert_read(&text[..digits], DataType::Integer);
            assert_read(&format!("-{}", &text[..digits]), DataType::Integer);
            for point in 0..=digits {
                let scale = (digits - point) as u8;
                let text = format!("{}.{}", &text[..point], &text[point..digits]);
                assert_read(&text, DataType::Decimal { precision: 18, scale });
                assert_read(&format!("-{text}"), DataType::Decimal { precision: digits as u8, scale });
            }
        }
    }
}
