//! Arithmetic and rounding of integers, decimals (as whole units of their scale) and doubles. Conversions between
//! them are in `cast`.

use crate::chunk::{DataType, Physical, Values, decimal};
use crate::expr::kernels::{Evaluated, Operand, checked, checked2, double, map, strict, try_each};
use crate::expr::program::FaultKind;

pub(super) fn add(a: Operand<'_>, b: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => doubles(a, b, len, |a, b| a + b),
        _ => ints(a, b, result, len, i64::overflowing_add),
    }
}

pub(super) fn subtract(a: Operand<'_>, b: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => doubles(a, b, len, |a, b| a - b),
        _ => ints(a, b, result, len, i64::overflowing_sub),
    }
}

pub(super) fn multiply(a: Operand<'_>, b: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => doubles(a, b, len, |a, b| a * b),
        _ => ints(a, b, result, len, i64::overflowing_mul),
    }
}

pub(super) fn divide(a: Operand<'_>, b: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    if result.physical() == Physical::Double {
        let (dividends, divisors) = (a.doubles(), b.doubles());
        return try_each(&[a, b], len, Values::Double, |row| match divisors.get(row) {
            0.0 => Ok(None),
            divisor => finite(dividends.get(row) / divisor).map(Some),
        });
    }
    let (dividends, divisors) = (a.ints(), b.ints());
    try_each(&[a, b], len, Values::Int, |row| match divisors.get(row) {
        0 => Ok(None),
        divisor => dividends.get(row).checked_div(divisor).ok_or(FaultKind::Overflow).map(Some),
    })
}

pub(super) fn modulo(a: Operand<'_>, b: Operand<'_>, len: usize) -> Evaluated {
    let (dividends, divisors) = (a.ints(), b.ints());
    try_each(&[a, b], len, Values::Int, |row| match divisors.get(row) {
        0 => Ok(None),
        divisor => Ok(Some(dividends.get(row).wrapping_rem(divisor))),
    })
}

pub(super) fn negate(a: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => rounded(a, len, |value| -value),
        _ => each_int(a, result, len, i64::overflowing_neg),
    }
}

pub(super) fn abs(a: Operand<'_>, result: DataType, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => rounded(a, len, f64::abs),
        _ => each_int(a, result, len, i64::overflowing_abs),
    }
}

pub(super) fn round(a: Operand<'_>, from: DataType, result: DataType, digits: u8, len: usize) -> Evaluated {
    match result.physical() {
        Physical::Double => rounded(a, len, |value| double::round(value, digits)),
        _ => rescale(a, from.scale(), result, len),
    }
}

pub(super) fn floor(a: Operand<'_>, from: DataType, result: DataType, len: usize) -> Evaluated {
    let one = decimal::pow10(from.scale()) as i64;
    match result.physical() {
        Physical::Double => rounded(a, len, f64::floor),
        _ => each_int(a, result, len, |units| (units.div_euclid(one), false)),
    }
}

pub(super) fn ceil(a: Operand<'_>, from: DataType, result: DataType, len: usize) -> Evaluated {
    let one = decimal::pow10(from.scale()) as i64;
    match result.physical() {
        Physical::Double => rounded(a, len, f64::ceil),
        _ => each_int(a, result, len, |units| (units.div_euclid(one) + i64::from(units.rem_euclid(one) != 0), false)),
    }
}

/// Units of one scale as units of the scale of the result, rounded half away from zero.
pub(super) fn rescale(a: Operand<'_>, scale: u8, result: DataType, len: usize) -> Evaluated {
    let to_scale = result.scale();
    if to_scale >= scale {
        let factor = decimal::pow10(to_scale - scale) as i64;
        return each_int(a, result, len, |units| units.overflowing_mul(factor));
    }
    let divisor = decimal::pow10(scale - to_scale);
    each_int(a, result, len, |units| (decimal::divide_rounded(i128::from(units), divisor) as i64, false))
}

/// A double that can be a value, negative zero as zero.
#[inline]
pub(super) fn finite(value: f64) -> Result<f64, FaultKind> {
    if value.is_finite() { Ok(value + 0.0) } else { Err(FaultKind::Overflow) }
}

#[inline]
fn ints(
    a: Operand<'_>,
    b: Operand<'_>,
    result: DataType,
    len: usize,
    compute: impl Fn(i64, i64) -> (i64, bool),
) -> Evaluated {
    let (least, greatest) = bounds(result);
    let validity = strict(&[a, b], len);
    let (values, faults) = checked2((a.ints(), b.ints()), &validity, len, |a, b| {
        let (value, overflow) = compute(a, b);
        (value, overflow | (value < least) | (value > greatest))
    });
    let mut computed = Evaluated::new(Values::Int(values), validity);
    computed.add_faults(&faults);
    computed
}

#[inline]
pub(super) fn each_int(
    a: Operand<'_>,
    result: DataType,
    len: usize,
    compute: impl Fn(i64) -> (i64, bool),
) -> Evaluated {
    let (least, greatest) = bounds(result);
    let validity = strict(&[a], len);
    let (values, faults) = checked(a.ints(), &validity, len, |a| {
        let (value, overflow) = compute(a);
        (value, overflow | (value < least) | (value > greatest))
    });
    let mut computed = Evaluated::new(Values::Int(values), validity);
    computed.add_faults(&faults);
    computed
}

#[inline]
fn doubles(a: Operand<'_>, b: Operand<'_>, len: usize, compute: impl Fn(f64, f64) -> f64) -> Evaluated {
    let validity = strict(&[a, b], len);
    let (values, faults) = checked2((a.doubles(), b.doubles()), &validity, len, |a, b| {
        let value = compute(a, b);
        // Whatever is computed next takes finite doubles only, and is computed for all rows.
        if value.is_finite() { (value + 0.0, false) } else { (0.0, true) }
    });
    let mut computed = Evaluated::new(Values::Double(values), validity);
    computed.add_faults(&faults);
    computed
}

/// A function that takes finite doubles to finite doubles. Adding zero turns -0.0 into 0.0.
#[inline]
fn rounded(a: Operand<'_>, len: usize, compute: impl Fn(f64) -> f64) -> Evaluated {
    Evaluated::new(Values::Double(map(a.doubles(), len, |value| compute(value) + 0.0)), strict(&[a], len))
}

/// The least and the greatest value of a type whose values are integers.
pub(super) fn bounds(data_type: DataType) -> (i64, i64) {
    match data_type {
        DataType::Decimal { precision, .. } => {
            let limit = decimal::pow10(precision) as i64 - 1;
            (-limit, limit)
        }
        _ => (i64::MIN, i64::MAX),
    }
}
