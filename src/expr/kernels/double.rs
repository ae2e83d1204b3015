//! Doubles in decimal digits, as SQLite (3.54) writes and rounds them. Knows no columns; reading is in `cast`.

use std::io::Write;

/// Digits that SQLite writes: enough to tell every two doubles apart.
const DIGITS: u32 = 17;

/// Appends a finite double as SQLite's `CAST(x AS TEXT)` has it: `1.0`, `0.1`, `1.0e+20`.
pub(super) fn write(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let shown = Decimal::shown(value.abs());
    let mut buffer = [0; 20];
    let digits = shown.text(&mut buffer);
    let point = shown.exponent + digits.len() as i32;
    let digits = &digits[..digits.len() - digits.iter().rev().take_while(|digit| **digit == b'0').count()];
    let (whole, fraction) = match point {
        // One digit in front of the point, and an exponent, where plain digits would get too long.
        ..=-4 | 18.. => digits.split_at(1),
        ..=0 => (&b"0"[..], digits),
        _ => digits.split_at(digits.len().min(point as usize)),
    };
    out.extend_from_slice(whole);
    match point {
        ..=-4 | 18.. => {}
        1.. => out.resize(out.len() + point as usize - whole.len(), b'0'),
        _ => {}
    }
    out.push(b'.');
    if (-3..=0).contains(&point) {
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
    }
    out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
    if !(-3..=17).contains(&point) {
        let sign = if point > 0 { '+' } else { '-' };
        // Writing to a vector cannot fail.
        let _ = write!(out, "e{sign}{:02}", (point - 1).unsigned_abs());
    }
}

/// SQLite's `round(value, digits)`.
pub(super) fn round(value: f64, digits: u8) -> f64 {
    /// From here on doubles have no fraction.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    if value == 0.0 || value.abs() > WHOLE {
        return value;
    }
    if digits == 0 {
        return (value + if value < 0.0 { -0.5 } else { 0.5 }) as i64 as f64;
    }
    let digits = i32::from(digits.min(30));
    let exact = Decimal::of(value.abs());
    let kept = exact.len() as i32 + exact.exponent + digits;
    if kept >= DIGITS as i32 {
        return value;
    }
    let rounded = if kept < 0 { 0 } else { exact.keep(kept as u32).units };
    // Both sides of the division are exact, so that its result is the nearest double.
    let rounded = if rounded < 1 << 53 && digits <= 22 {
        rounded as f64 / 10f64.powi(digits)
    } else {
        Decimal { units: rounded, exponent: -digits }.to_f64()
    };
    rounded.copysign(value)
}

/// A double as units of 10^-scale, rounded half away from zero; `None` from 10^18 units on.
pub(super) fn to_units(value: f64, scale: u8) -> Option<i64> {
    if value == 0.0 {
        return Some(0);
    }
    let exact = Decimal::of(value.abs());
    let kept = exact.len() as i32 + exact.exponent + i32::from(scale);
    let units = match kept {
        ..0 => 0,
        0..=18 => exact.keep(kept as u32).units as i64,
        _ => return None,
    };
    Some(if value < 0.0 { -units } else { units })
}

/// `units * 10^exponent`, positive.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    units: u64,
    exponent: i32,
}

impl Decimal {
    /// A positive double to 18 digits (19 when they begin with 1), rounded half up.
    fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
        let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
        let shift = mantissa.leading_zeros();
        let (mantissa, exponent) = (mantissa << shift, exponent - shift as i32);
        // The power of ten at or below the leading bit of the value: 78913 / 2^18 is the logarithm of 2.
        let power = 17 - (((exponent + 63) * 78_913) >> 18);
        // The same the other way round: the leading bit of that power of ten.
        let power_bit = (power * 108_853) >> 15;
        let product = u128::from(mantissa) * u128::from(POWERS_OF_TEN[(power - FIRST_POWER) as usize]);
        let with_half = (product >> 64) as u64 >> -(exponent + power_bit + 2);
        let units = (with_half >> 1) + (with_half & 1);
        Decimal { units, exponent: -power }
    }

    /// What is shown of a positive double: 17 digits, or fewer than 15 if they end in a run of zeros or nines without
    /// which the text is still read as the same double.
    fn shown(value: f64) -> Self {
        let exact = Decimal::of(value);
        let mut buffer = [0; 20];
        let digits = exact.text(&mut buffer);
        let last_of =
            |digit: u8, end: usize| digits[..end].iter().rposition(|other| *other != digit).map_or(0, |at| at + 1);
        let shorter = if digits[14..16] == *b"99" {
            let kept = last_of(b'9', 14);
            Some(Decimal { units: exact.first(kept).units + 1, ..exact.first(kept) })
        } else if digits[13..16] == *b"000" || exact.exponent >= 0 {
            Some(exact.first(last_of(b'0', 13)))
        } else {
            None
        };
        shorter.filter(|shorter| shorter.to_f64() == value).unwrap_or_else(|| exact.keep(DIGITS))
    }

    /// How many digits there are.
    fn len(self) -> u32 {
        self.units.checked_ilog10().map_or(1, |log| log + 1)
    }

    /// Rounded half up to so many leading digits, at most as many as there are.
    fn keep(self, digits: u32) -> Self {
        let dropped = self.len() - digits.min(self.len());
        let half = if dropped == 0 { 0 } else { 5 * 10u64.pow(dropped - 1) };
        Decimal { units: (self.units + half) / 10u64.pow(dropped), exponent: self.exponent + dropped as i32 }
    }

    /// Cut off behind so many leading digits.
    fn first(self, digits: usize) -> Self {
        let dropped = self.len() - digits as u32;
        Decimal { units: self.units / 10u64.pow(dropped), exponent: self.exponent + dropped as i32 }
    }

    fn text(self, buffer: &mut [u8; 20]) -> &[u8] {
        let mut rest = self.units;
        let mut at = buffer.len();
        while rest > 0 {
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &buffer[at..]
    }

    fn to_f64(self) -> f64 {
        format!("{}e{}", self.units, self.exponent).parse().unwrap_or(f64::INFINITY)
    }
}

/// The least power of ten by which a double is multiplied to get 18 digits of it.
const FIRST_POWER: i32 = -290;

/// The 64 leading bits of powers of ten, as many as SQLite multiplies with: its digits are to be met, also where
/// they are not the nearest ones.
static POWERS_OF_TEN: [u64; 632] = powers_of_ten();

const fn powers_of_ten() -> [u64; 632] {
    let one = FIRST_POWER.unsigned_abs() as usize;
    let mut powers = [0; 632];
    let mut bits = 1u128 << 127;
    let mut at = one;
    while at < powers.len() {
        powers[at] = (bits >> 64) as u64;
        bits = (bits >> 4) * 10;
        bits <<= bits.leading_zeros();
        at += 1;
    }
    bits = 1 << 127;
    at = one;
    while at > 0 {
        at -= 1;
        bits /= 10;
        bits <<= bits.leading_zeros();
        powers[at] = (bits >> 64) as u64;
    }
    powers
}
