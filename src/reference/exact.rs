//! Exact arithmetic for doubles and fractions with integers of any size; every result is rounded once, at the end.

use num_bigint::{BigInt, BigUint, Sign};

/// Every finite double is a whole number of units of 2^-1074.
pub(super) const DOUBLE_UNIT_BITS: u32 = 1074;

/// 10 to the power of `exponent`.
pub(super) fn power_of_ten(exponent: u32) -> BigUint {
    BigUint::from(10u8).pow(exponent)
}

/// A finite double in units of 2^-1074.
pub(super) fn double_units(value: f64) -> BigInt {
    let bits = value.abs().to_bits();
    let (exponent, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
    // Subnormal numbers have no hidden bit, and the exponent of the smallest normal ones.
    let magnitude =
        if exponent == 0 { BigInt::from(fraction) } else { BigInt::from(fraction | (1 << 52)) << (exponent - 1) };
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The double nearest to a fraction, ties to even; infinite where it is too large.
pub(super) fn ratio(numerator: &BigInt, denominator: &BigUint) -> f64 {
    // Enough bits in front of the point that the sticky bit lies far behind the last bit of a double.
    let shift = (66 + denominator.bits()).saturating_sub(numerator.bits());
    let shifted = numerator.magnitude() << shift;
    let quotient = &shifted / denominator;
    let exact = &quotient * denominator == shifted;
    with_sign(numerator, nearest(&with_sticky_bit(&quotient, exact), -(shift as i64) - 1))
}

/// The double nearest to the square root of a fraction that is not negative.
pub(super) fn root_of_ratio(numerator: &BigInt, denominator: &BigUint) -> f64 {
    let shift = (132 + denominator.bits()).saturating_sub(numerator.bits()).next_multiple_of(2);
    let shifted = numerator.magnitude() << shift;
    let quotient = &shifted / denominator;
    let root = quotient.sqrt();
    let exact = &root * &root * denominator == shifted;
    nearest(&with_sticky_bit(&root, exact), -(shift as i64) / 2 - 1)
}

/// A double times 10^places, rounded half away from zero to a whole number.
pub(super) fn scaled(value: f64, places: i32) -> BigInt {
    let power = power_of_ten(places.unsigned_abs());
    let one = BigUint::from(1u8) << DOUBLE_UNIT_BITS;
    let units = double_units(value);
    let (numerator, denominator) =
        if places >= 0 { (units.magnitude() * power, one) } else { (units.magnitude().clone(), one * power) };
    let rounded = (numerator * 2u8 + &denominator) / (denominator * 2u8);
    BigInt::from_biguint(units.sign(), rounded)
}

/// One bit more, which says whether something was cut off behind.
fn with_sticky_bit(value: &BigUint, exact: bool) -> BigUint {
    (value << 1u8) | BigUint::from(u8::from(!exact))
}

fn with_sign(of: &BigInt, magnitude: f64) -> f64 {
    if of.sign() == Sign::Minus { -magnitude } else { magnitude }
}

/// The double nearest to `value * 2^exponent`, ties to even.
fn nearest(value: &BigUint, exponent: i64) -> f64 {
    let unit = -i64::from(DOUBLE_UNIT_BITS);
    let surplus = (value.bits() as i64 - 53).max(unit - exponent).max(0);
    let half = (BigUint::from(1u8) << surplus) >> 1u8;
    let kept = value >> surplus;
    let rest = value - (&kept << surplus);
    let up = surplus > 0 && (rest > half || (rest == half && kept.bit(0)));
    let kept = u64::try_from(kept).unwrap_or(u64::MAX) + u64::from(up);
    // Two factors, since 2^-1074 cannot be had from `powi`; the first product is exact, and so is the second.
    let exponent = (exponent + surplus).clamp(-2200, 2200) as i32;
    kept as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(numerator: i64, denominator: u64) -> f64 {
        ratio(&BigInt::from(numerator), &BigUint::from(denominator))
    }

    #[test]
    fn fractions_are_rounded_once() {
        assert_eq!(fraction(1, 3), 1.0 / 3.0);
        assert_eq!(fraction(-22, 7), -22.0 / 7.0);
        assert_eq!(fraction(0, 7), 0.0);
        assert_eq!(fraction((1 << 53) + 1, 1), 9_007_199_254_740_992.0);
        assert_eq!(fraction((1 << 53) + 3, 1), 9_007_199_254_740_996.0);
        let tiny = BigUint::from(1u8) << 1074u32;
        assert_eq!(ratio(&BigInt::from(1), &tiny), f64::from_bits(1));
        assert_eq!(ratio(&BigInt::from(1), &(&tiny * 2u8)), 0.0);
        assert_eq!(ratio(&BigInt::from(3), &(&tiny * 4u8)), f64::from_bits(1));
        assert_eq!(ratio(&(BigInt::from(1) << 1024u32), &BigUint::from(1u8)), f64::INFINITY);
    }

    #[test]
    fn doubles_are_whole_units() {
        let one = BigUint::from(1u8) << DOUBLE_UNIT_BITS;
        for value in [0.0, 1.0, -0.1, 1e300, f64::MAX, f64::MIN_POSITIVE, -f64::from_bits(1), f64::from_bits(12345)] {
            assert_eq!(ratio(&double_units(value), &one).to_bits(), value.to_bits(), "{value}");
        }
        assert_eq!(scaled(2.5, 0), BigInt::from(3));
        assert_eq!(scaled(-2.5, 0), BigInt::from(-3));
        // 2.675 as a double lies below the tie.
        assert_eq!(scaled(2.675, 2), BigInt::from(267));
        assert_eq!(scaled(1234.0, -2), BigInt::from(12));
    }

    #[test]
    fn roots_are_rounded_once() {
        assert_eq!(root_of_ratio(&BigInt::from(9), &BigUint::from(4u8)), 1.5);
        assert_eq!(root_of_ratio(&BigInt::from(2), &BigUint::from(1u8)), 2f64.sqrt());
        assert_eq!(root_of_ratio(&BigInt::from(0), &BigUint::from(1u8)), 0.0);
    }
}
