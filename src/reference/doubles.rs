//! Doubles to decimal digits as SQLite does it, for text and for round(). Everything else about doubles is plain IEEE.

use crate::reference::exact;

/// A double as SQLite writes it: 17 digits, or fewer where those read back as the same number.
pub(super) fn to_text(value: f64) -> String {
    if value == 0.0 {
        return "0.0".to_owned();
    }
    let mut decimal = Decimal::of(value);
    decimal.shorten(value.abs());
    let Decimal { digits, point } = decimal;
    let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        significant => significant,
    };
    let sign = if value < 0.0 { "-" } else { "" };
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    let exponent = point - 1;
    if !(-4..=16).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{}.{}e{exponent_sign}{:02}", &digits[..1], or_zero(&digits[1..]), exponent.abs());
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    }
    let padded = format!("{digits:0<width$}", width = point as usize);
    let (whole, fraction) = padded.split_at(point as usize);
    format!("{sign}{whole}.{}", or_zero(fraction))
}

/// round(value, places) as SQLite computes it.
pub(super) fn round(value: f64, places: u8) -> f64 {
    // Beyond 2^52 a double has no fraction.
    if value.abs() > 4_503_599_627_370_496.0 || value == 0.0 {
        return value;
    }
    if places == 0 {
        return (value + 0.5f64.copysign(value)).trunc();
    }
    let mut decimal = Decimal::of(value);
    decimal.round_to(decimal.point + i32::from(places.min(30)));
    let magnitude = decimal.value();
    if value < 0.0 { -magnitude } else { magnitude }
}

/// A double as units of 10^-scale, rounded as `round` rounds; `None` for more units than an i128 has.
pub(super) fn to_units(value: f64, scale: u8) -> Option<i128> {
    if value == 0.0 {
        return Some(0);
    }
    let mut decimal = Decimal::of(value);
    decimal.round_to(decimal.point + i32::from(scale));
    let missing = decimal.point + i32::from(scale) - decimal.digits.len() as i32;
    let digits =
        decimal.digits.iter().try_fold(0i128, |units, digit| units.checked_mul(10)?.checked_add(i128::from(*digit)))?;
    // Rounding to nothing leaves no digits, wherever the point is.
    let units = if digits == 0 { 0 } else { digits.checked_mul(10i128.checked_pow(u32::try_from(missing).ok()?)?)? };
    Some(if value < 0.0 { -units } else { units })
}

/// The number 0.digits * 10^point.
struct Decimal {
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    /// The first 18 or 19 digits of the magnitude of a double that is not zero.
    fn of(value: f64) -> Decimal {
        // The number of digits follows from the power of two, so that it is one more where that lies just below a
        // power of ten.
        let places = 17 - (f64::from(power_of_two(value)) * std::f64::consts::LOG10_2).floor() as i32;
        let digits = exact::scaled(value.abs(), places).magnitude().to_radix_be(10);
        let point = digits.len() as i32 - places;
        Decimal { digits, point }
    }

    /// Rounds half up to so many digits in front; to nothing for a negative number of them.
    fn round_to(&mut self, count: i32) {
        if count >= self.digits.len() as i32 {
            return;
        }
        let Ok(count) = usize::try_from(count) else {
            self.digits.clear();
            return;
        };
        let up = self.digits[count] >= 5;
        self.digits.truncate(count);
        if up {
            self.increment();
        }
    }

    /// Adds one to the last digit.
    fn increment(&mut self) {
        for digit in self.digits.iter_mut().rev() {
            if *digit < 9 {
                *digit += 1;
                return;
            }
            *digit = 0;
        }
        self.digits.insert(0, 1);
        self.point += 1;
    }

    /// Rounds to 17 digits, or, where these end as if they had been meant shorter, to the shorter ones if they are the
    /// same double.
    fn shorten(&mut self, value: f64) {
        let kept = if self.digits[14..16] == [9, 9] {
            self.digits[..14].iter().rposition(|digit| *digit != 9).map_or(0, |last| last + 1)
        } else if self.point >= self.digits.len() as i32 || self.digits[13..16] == [0, 0, 0] {
            self.digits[..13].iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1)
        } else {
            17
        };
        let mut shorter = Decimal { digits: self.digits[..kept].to_vec(), point: self.point };
        if self.digits[14..16] == [9, 9] {
            shorter.increment();
        }
        if kept < 17 && shorter.value() == value {
            *self = shorter;
        } else {
            self.round_to(17);
        }
    }

    fn value(&self) -> f64 {
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        format!("0.{digits}e{}", self.point).parse().unwrap_or(f64::NAN)
    }
}

/// The greatest power of two that is not above the magnitude.
fn power_of_two(value: f64) -> i32 {
    exact::double_units(value).bits() as i32 - 1 - exact::DOUBLE_UNIT_BITS as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sqlite() -> rusqlite::Connection {
        rusqlite::Connection::open_in_memory().unwrap()
    }

    #[test]
    fn text_is_what_sqlite_writes() {
        for (value, expected) in [
            (0.1, "0.1"),
            (-1.0, "-1.0"),
            (49.47, "49.47"),
            (1e16, "10000000000000000.0"),
            (1e17, "1.0e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0e-05"),
            (-1.5e300, "-1.5e+300"),
        ] {
            assert_eq!(to_text(value), expected);
        }
    }

    /// For other numbers SQLite calculates with rounded powers of ten, and the last digit is not always right.
    fn moderate() -> impl Strategy<Value = f64> {
        prop_oneof![
            (any::<f64>(), -33..60i32).prop_map(|(value, power)| {
                let (mantissa, exponent) = (value.to_bits() & ((1 << 52) - 1), (1023 + power) as u64);
                f64::from_bits(mantissa | (exponent << 52)).copysign(value)
            }),
            (any::<i64>(), 0..9i32).prop_map(|(units, scale)| units as f64 / 10f64.powi(scale)),
            (-1_000_000..1_000_000i64, 0..7i32).prop_map(|(units, scale)| units as f64 / 10f64.powi(scale)),
        ]
    }

    proptest! {
        #[test]
        fn text_agrees_with_sqlite(value in moderate()) {
            let expected: String =
                sqlite().query_row("SELECT CAST(? AS TEXT)", [value], |row| row.get(0)).unwrap();
            prop_assert_eq!(to_text(value), expected);
        }

        #[test]
        fn rounding_agrees_with_sqlite(value in moderate(), places in 0..32u8) {
            let expected: f64 =
                sqlite().query_row("SELECT round(?, ?)", (value, places), |row| row.get(0)).unwrap();
            prop_assert_eq!(round(value, places), expected, "{} {}", value, places);
        }
    }
}
