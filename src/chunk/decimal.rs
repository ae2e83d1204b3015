//! Exact decimals as whole units of 10^-scale: reading, printing, rounding and the nearest double. No column in sight.

/// 10 to the power of `exponent`, for exponents up to 38.
pub const fn pow10(exponent: u8) -> i128 {
    10i128.pow(exponent as u32)
}

/// Why a text is not a decimal of the wanted scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// It is not a number.
    Invalid,
    /// It has non-zero digits behind the last one that the scale has room for.
    TooPrecise,
    /// It has more digits in front of the point than there is room for.
    OutOfRange,
}

/// Reads `[+-]digits[.digits][e[+-]digits]` as units of 10^-scale, exactly, with at most `precision` digits.
///
/// # Errors
/// When the text is no number, or the number cannot be written with that precision and scale.
pub fn parse(text: &[u8], precision: u8, scale: u8) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&digits[..at], parse_exponent(&digits[at + 1..])?),
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(DecimalError::Invalid);
    }
    // The place of a digit is its power of ten in units of the scale: 0 for the last digit that there is room for.
    let first_place = i64::from(scale) + exponent + whole.len() as i64 - 1;
    let limit = i64::from(precision);
    let mut units = 0i64;
    for (index, byte) in whole.iter().chain(fraction).enumerate() {
        let digit = i64::from(byte - b'0');
        let place = first_place - index as i64;
        if digit != 0 {
            if place >= limit {
                return Err(DecimalError::OutOfRange);
            }
            if place < 0 {
                return Err(DecimalError::TooPrecise);
            }
            units += digit * pow10(place as u8) as i64;
        }
    }
    Ok(if negative { -units } else { units })
}

fn parse_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Invalid);
    }
    let value = digits.iter().fold(0i64, |value, byte| (value * 10 + i64::from(byte - b'0')).min(1_000_000));
    Ok(if negative { -value } else { value })
}

/// Units of `scale` as units of `to_scale`, rounded half away from zero; `None` when the result does not fit an i64.
pub fn rescale(units: i64, scale: u8, to_scale: u8) -> Option<i64> {
    if to_scale >= scale {
        i64::try_from(i128::from(units) * pow10(to_scale - scale)).ok()
    } else {
        i64::try_from(divide_rounded(i128::from(units), pow10(scale - to_scale))).ok()
    }
}

/// The quotient, rounded half away from zero. The divisor is positive.
pub fn divide_rounded(dividend: i128, divisor: i128) -> i128 {
    let quotient = dividend / divisor;
    let rest = (dividend % divisor).abs();
    if rest >= divisor - rest { quotient + dividend.signum() } else { quotient }
}

/// The double nearest to `units / 10^scale`.
///
/// Where both fit 53 bits, one IEEE division is correctly rounded; everything else goes through the decimal text,
/// which the standard library rounds correctly.
pub fn to_f64(units: i128, scale: u8) -> f64 {
    match (i64::try_from(units), POWERS.get(usize::from(scale))) {
        (Ok(small), Some(power)) if small.unsigned_abs() < 1 << 53 => small as f64 / power,
        _ => format!("{units}e-{scale}").parse().unwrap_or(f64::NAN),
    }
}

/// The powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Writes `units / 10^scale` with exactly `scale` digits behind the point.
pub fn format(units: i128, scale: u8) -> String {
    let divisor = pow10(scale).unsigned_abs();
    let sign = if units < 0 { "-" } else { "" };
    let magnitude = units.unsigned_abs();
    if scale == 0 {
        return format!("{sign}{magnitude}");
    }
    format!("{sign}{}.{:0width$}", magnitude / divisor, magnitude % divisor, width = usize::from(scale))
}

/// Eight digits, one a byte and the first of them lowest, as four numbers of two in 16 bits each.
#[inline]
pub(crate) fn digit_pairs(digits: u64) -> u64 {
    digits.wrapping_mul((10 << 8) + 1) >> 8 & 0x00FF_00FF_00FF_00FF
}

/// The one number of eight digits that such pairs make: pairs join to fours, fours to all eight.
#[inline]
pub(crate) fn number_of_pairs(pairs: u64) -> u64 {
    let fours = pairs.wrapping_mul((100 << 16) + 1) >> 16 & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_fits_exactly_and_nothing_else() {
        for (text, expected) in [
            ("12.34", Ok(1234)),
            ("-0.05", Ok(-5)),
            ("+7", Ok(700)),
            (".5", Ok(50)),
            ("5.", Ok(500)),
            ("1.230000", Ok(123)),
            ("1.2e1", Ok(1200)),
            ("123e-2", Ok(123)),
            ("0e99", Ok(0)),
            ("1.005", Err(DecimalError::TooPrecise)),
            ("9999999999.99", Ok(999_999_999_999)),
            ("10000000000", Err(DecimalError::OutOfRange)),
            ("1e99999999999999999999", Err(DecimalError::OutOfRange)),
            ("", Err(DecimalError::Invalid)),
            (".", Err(DecimalError::Invalid)),
            ("1,5", Err(DecimalError::Invalid)),
            ("1e", Err(DecimalError::Invalid)),
            ("--1", Err(DecimalError::Invalid)),
            ("nan", Err(DecimalError::Invalid)),
        ] {
            assert_eq!(parse(text.as_bytes(), 12, 2), expected, "{text}");
        }
        assert_eq!(parse(b"999999999999999999", 18, 0), Ok(999_999_999_999_999_999));
        assert_eq!(parse(b"1000000000000000000", 18, 0), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        assert_eq!(rescale(125, 2, 1), Some(13));
        assert_eq!(rescale(-125, 2, 1), Some(-13));
        assert_eq!(rescale(124, 2, 1), Some(12));
        assert_eq!(rescale(i64::MAX, 0, 1), None);
    }

    #[test]
    fn the_nearest_double_is_the_one_that_the_text_gives() {
        for (units, scale) in
            [(1, 1), (12_345_678_901_234_567_890_123, 7), (-(1 << 53) - 1, 2), (i128::from(i64::MAX), 18)]
        {
            let expected: f64 = format(units, scale).parse().unwrap();
            assert_eq!(to_f64(units, scale).to_bits(), expected.to_bits());
        }
        assert_eq!(format(-5, 2), "-0.05");
        assert_eq!(format(1200, 0), "1200");
    }
}
