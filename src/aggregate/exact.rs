//! Sums of doubles, integers and their squares without any rounding, and the one rounding at the end. Knows no columns.
//!
//! A finite double is an integer of 53 bits times a power of two, so that a sum of doubles is an integer times a power
//! of two as well, and integers can be added exactly in any order. The sums are kept as fixed-point numbers in base
//! 2^32 with digits ("limbs") of 64 bits, whose upper halves take up the carries of a billion additions before they
//! have to be propagated: the small superaccumulator of R. M. Neal, "Fast Exact Summation Using Small and Large
//! Superaccumulators" (2015). Only the limbs between the least and the greatest exponent that occurred are there: for
//! prices, three or four. Nothing overflows, however large the intermediate sums are, and squares need no care of their
//! own. (The other exact method, the expansions of J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and
//! Fast Robust Geometric Predicates" (1997), loses bits where a partial sum passes 2^1024 or a product falls below
//! 2^-1074.)

use smallvec::SmallVec;

use crate::aggregate::format::{self, Damaged, Reader};

/// Bits of a limb that belong to it; what is above them is carry.
const LIMB_BITS: i32 = 32;

/// How many limbs one addition touches: 64 bits, shifted by up to 31.
const SPREAD: usize = 3;

/// Additions before carries are propagated, so that a limb stays below (2 + 2^30) * 2^32 < 2^63.
const MAX_PENDING: u32 = 1 << 30;

/// No sum of doubles or squares has a digit this far from the point: 2^(32 * 100) is more than 2^64 times the square of the
/// greatest double.
const MAX_PLACE: i32 = 100;

/// An exact sum for each group.
#[derive(Debug, Clone, Default)]
pub(super) struct ExactSums {
    /// Limb i of a group stands for a multiple of 2^(32 * (low + i)).
    low: i32,
    /// Limbs of a group.
    width: usize,
    groups: usize,
    limbs: Vec<i64>,
    /// Every limb is within (pending + 2) * 2^32 of zero.
    pending: u32,
}

impl ExactSums {
    /// Makes room for so many groups.
    pub(super) fn resize(&mut self, groups: usize) {
        self.groups = groups;
        self.limbs.resize(groups * self.width, 0);
    }

    /// Adds a finite double to the sum of a group.
    #[inline]
    pub(super) fn add_double(&mut self, group: usize, value: f64) {
        let (magnitude, exponent) = split(value);
        self.add(group, magnitude, exponent, value < 0.0);
    }

    /// Adds the square of a finite double to the sum of a group.
    #[inline]
    pub(super) fn add_square(&mut self, group: usize, value: f64) {
        let (magnitude, exponent) = split(value);
        self.add_product(group, magnitude, magnitude, 2 * exponent, false);
    }

    /// Adds `a * b * 2^exponent`, or subtracts it if `negative`.
    #[inline]
    pub(super) fn add_product(&mut self, group: usize, a: u64, b: u64, exponent: i32, negative: bool) {
        let product = u128::from(a) * u128::from(b);
        self.add(group, product as u64, exponent, negative);
        self.add(group, (product >> 64) as u64, exponent + 64, negative);
    }

    /// Adds `magnitude * 2^exponent`, or subtracts it if `negative`.
    #[inline]
    pub(super) fn add(&mut self, group: usize, magnitude: u64, exponent: i32, negative: bool) {
        if magnitude == 0 {
            return;
        }
        let position = exponent.div_euclid(LIMB_BITS);
        if position < self.low || position as i64 + SPREAD as i64 > self.low as i64 + self.width as i64 {
            self.widen(position, position + SPREAD as i32);
        }
        if self.pending == MAX_PENDING {
            self.propagate();
        }
        self.pending += 1;
        let digits = u128::from(magnitude) << exponent.rem_euclid(LIMB_BITS);
        let at = group * self.width + (position - self.low) as usize;
        for (index, limb) in self.limbs[at..at + SPREAD].iter_mut().enumerate() {
            let digit = i64::from((digits >> (32 * index)) as u32);
            *limb += if negative { -digit } else { digit };
        }
    }

    /// Adds the sum of each group of `other` to that of its group here.
    pub(super) fn merge(&mut self, mut other: ExactSums, group_of_group: &[u32]) {
        if other.width == 0 {
            return;
        }
        self.widen(other.low, other.low + other.width as i32);
        if self.pending + other.pending > MAX_PENDING {
            self.propagate();
            other.propagate();
            self.widen(other.low, other.low + other.width as i32);
        }
        self.pending += other.pending + 2;
        let offset = (other.low - self.low) as usize;
        for (from, group) in other.limbs.chunks_exact(other.width).zip(group_of_group) {
            let at = *group as usize * self.width + offset;
            self.limbs[at..at + other.width].iter_mut().zip(from).for_each(|(limb, from)| *limb += from);
        }
    }

    /// The sum of a group.
    pub(super) fn get(&self, group: usize) -> Exact {
        let limbs = &self.limbs[group * self.width..][..self.width];
        let mut digits = Digits::with_capacity(self.width + 2);
        let mut carry = 0i64;
        for limb in limbs {
            let value = i128::from(*limb) + i128::from(carry);
            digits.push(value as u32);
            carry = (value >> LIMB_BITS) as i64;
        }
        digits.extend([carry as u32, (carry >> LIMB_BITS) as u32]);
        let negative = carry < 0;
        if negative {
            // The digits are a two's complement; its negative is the magnitude.
            let mut one = 1;
            for digit in &mut digits {
                let value = u64::from(!*digit) + one;
                *digit = value as u32;
                one = value >> LIMB_BITS;
            }
        }
        Exact { negative, digits, exponent: self.low * LIMB_BITS }
    }

    /// Adds a sum that `Exact::store` has written.
    pub(super) fn take_stored(&mut self, group: usize, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let header = reader.number()?;
        if header < 2 {
            return if header == 0 { Ok(()) } else { Err(Damaged) };
        }
        let (digits, negative) = (header / 2, header % 2 == 1);
        let place = i32::try_from(reader.signed()?).map_err(|_| Damaged)?;
        let last = i32::try_from(digits).ok().and_then(|digits| place.checked_add(digits)).ok_or(Damaged)?;
        if place < -MAX_PLACE || last > MAX_PLACE {
            return Err(Damaged);
        }
        for place in place..last {
            let digit: [u8; 4] = reader.bytes(4)?.try_into().map_err(|_| Damaged)?;
            self.add(group, u32::from_le_bytes(digit).into(), place * LIMB_BITS, negative);
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<i64>()
    }

    /// Sees to it that there are limbs from position `low` up to, not including, `high`.
    #[cold]
    fn widen(&mut self, low: i32, high: i32) {
        let (low, high) = match self.width {
            0 => (low, high),
            width => (low.min(self.low), high.max(self.low + width as i32)),
        };
        let width = (high - low) as usize;
        if width == self.width {
            return;
        }
        let (old_width, offset) = (self.width, if self.width == 0 { 0 } else { (self.low - low) as usize });
        self.limbs.resize(self.groups * width, 0);
        // In place, from the last group down, so that nothing is overwritten that still has to move.
        for group in (0..self.groups).rev() {
            let (from, to) = (group * old_width, group * width);
            self.limbs.copy_within(from..from + old_width, to + offset);
            self.limbs[to..to + offset].fill(0);
            self.limbs[to + offset + old_width..to + width].fill(0);
        }
        (self.low, self.width) = (low, width);
    }

    /// Propagates all carries: limbs are digits afterwards, the uppermost one with the sign.
    #[cold]
    fn propagate(&mut self) {
        self.pending = 0;
        let uppermost = |limbs: &[i64]| limbs.last().is_some_and(|limb| limb.unsigned_abs() >> LIMB_BITS != 0);
        if self.limbs.chunks_exact(self.width.max(1)).any(uppermost) {
            self.widen(self.low, self.low + self.width as i32 + 1);
        }
        for limbs in self.limbs.chunks_exact_mut(self.width.max(1)) {
            for index in 1..limbs.len() {
                limbs[index] += limbs[index - 1] >> LIMB_BITS;
                limbs[index - 1] &= i64::from(u32::MAX);
            }
        }
    }
}

/// The magnitude of a finite double as an integer and a power of two.
fn split(value: f64) -> (u64, i32) {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let fraction = value.to_bits() & ((1 << FRACTION_BITS) - 1);
    match (value.to_bits() >> FRACTION_BITS & 0x7ff) as i32 {
        0 => (fraction, LEAST_EXPONENT),
        biased => (fraction | 1 << FRACTION_BITS, biased - 1 + LEAST_EXPONENT),
    }
}

/// The exponent of the least positive double.
const LEAST_EXPONENT: i32 = -1074;

/// Digits of a number, which take no allocation for sums of decimals and of their squares.
type Digits = SmallVec<[u32; 8]>;

/// An exact number: digits in base 2^32, the least first, times 2^exponent.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    negative: bool,
    digits: Digits,
    exponent: i32,
}

impl From<i128> for Exact {
    fn from(value: i128) -> Self {
        let magnitude = value.unsigned_abs();
        let digits = (0..4).map(|index| (magnitude >> (32 * index)) as u32).collect();
        Exact { negative: value < 0, digits, exponent: 0 }
    }
}

impl Exact {
    /// `count * squares - sum * sum`: the square of `count` times the variance of `count` numbers.
    pub(super) fn scaled_variance(count: u64, sum: &Exact, squares: &Exact) -> Exact {
        let mut result = ExactSums::default();
        result.resize(1);
        for (exponent, digit) in squares.terms() {
            result.add_product(0, count, digit, exponent, squares.negative);
        }
        for (exponent, digit) in sum.terms() {
            for (other_exponent, other) in sum.terms() {
                result.add_product(0, digit, other, exponent + other_exponent, true);
            }
        }
        result.get(0)
    }

    /// Writes the number in the one way that `format` has for it.
    pub(super) fn store(&self, out: &mut Vec<u8>) {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        let digits = &self.digits[zeros..];
        let len = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        format::put(out, 2 * len as u64 + u64::from(self.negative && len > 0));
        if len > 0 {
            format::put_signed(out, i128::from(self.exponent / LIMB_BITS) + zeros as i128);
            digits[..len].iter().for_each(|digit| out.extend_from_slice(&digit.to_le_bytes()));
        }
    }

    /// The double nearest to the number divided by all of the divisors, which are not zero.
    pub(super) fn quotient(&self, divisors: &[u64]) -> f64 {
        let magnitude = self.divide(divisors).map_or(0.0, Leading::round);
        if self.negative { -magnitude } else { magnitude }
    }

    /// The double nearest to the square root of the magnitude divided by all of the divisors, which are not zero.
    pub(super) fn root_of_quotient(&self, divisors: &[u64]) -> f64 {
        self.divide(divisors).map_or(0.0, |leading| leading.root().round())
    }

    fn terms(&self) -> impl Iterator<Item = (i32, u64)> {
        let exponents = (0..).map(|index| self.exponent + index * LIMB_BITS);
        exponents
            .zip(&self.digits)
            .filter(|(_, digit)| **digit != 0)
            .map(|(exponent, digit)| (exponent, u64::from(*digit)))
    }

    /// The leading bits of the magnitude divided by all of the divisors; `None` for zero.
    fn divide(&self, divisors: &[u64]) -> Option<Leading> {
        let last = self.digits.iter().rposition(|digit| *digit != 0)?;
        let divisors = joined(divisors);
        // So many more digits that a quotient by the greatest divisors still has the bits asked for.
        let more = 2 * divisors.len() + 4;
        let mut digits: SmallVec<[u32; 24]> = SmallVec::from_elem(0, more);
        digits.extend_from_slice(&self.digits[..=last]);
        let mut inexact = false;
        // The floor of a floor is the floor of the whole quotient, and exact only if every step is.
        for divisor in divisors {
            let mut rest = 0u64;
            for digit in digits.iter_mut().rev() {
                // Several times as fast, and nearly always possible.
                if divisor <= u32::MAX.into() {
                    let dividend = rest << LIMB_BITS | u64::from(*digit);
                    (*digit, rest) = ((dividend / divisor) as u32, dividend % divisor);
                } else {
                    let (dividend, divisor) = (u128::from(rest) << LIMB_BITS | u128::from(*digit), u128::from(divisor));
                    (*digit, rest) = ((dividend / divisor) as u32, (dividend % divisor) as u64);
                }
            }
            inexact |= rest != 0;
        }
        let top = digits.iter().rposition(|digit| *digit != 0)?;
        // Five digits hold 128 bits whatever the zeros in front; the first of them is kept apart.
        let window = &digits[top - 4..=top];
        let lower = window[..4].iter().rev().fold(0u128, |bits, digit| bits << LIMB_BITS | u128::from(*digit));
        let zeros = window[4].leading_zeros();
        let upper_bits = LIMB_BITS as u32 - zeros;
        let bits = u128::from(window[4]) << (128 - upper_bits) | lower >> upper_bits;
        inexact |= lower << zeros << (128 - LIMB_BITS as u32) != 0 || digits[..top - 4].iter().any(|digit| *digit != 0);
        let exponent = self.exponent + (top as i32 - 4 - more as i32) * LIMB_BITS + upper_bits as i32;
        Some(Leading { bits, exponent, inexact })
    }
}

/// Fewer divisors with the same product: neighbours as one, as long as that has no more bits than a digit.
fn joined(divisors: &[u64]) -> SmallVec<[u64; 4]> {
    let mut joined: SmallVec<[u64; 4]> = SmallVec::new();
    for divisor in divisors {
        let product = joined.last().and_then(|last| last.checked_mul(*divisor)).filter(|all| *all <= u32::MAX.into());
        match (joined.last_mut(), product) {
            (Some(last), Some(product)) => *last = product,
            _ => joined.push(*divisor),
        }
    }
    joined
}

/// A positive number by its first 128 bits: `bits * 2^exponent`, and a little more if `inexact`.
struct Leading {
    /// The uppermost bit is set.
    bits: u128,
    exponent: i32,
    inexact: bool,
}

impl Leading {
    /// The square root, of which 64 bits are known.
    fn root(self) -> Leading {
        let odd = self.exponent.rem_euclid(2) as u32;
        let bits = self.bits >> odd;
        let root = bits.isqrt();
        let inexact = self.inexact || bits << odd != self.bits || root * root != bits;
        Leading { bits: root << 64, exponent: (self.exponent + odd as i32) / 2 - 64, inexact }
    }

    /// The nearest double, ties to even; infinity for what is too large.
    fn round(self) -> f64 {
        let top = self.exponent + 127;
        let last = (top - (f64::MANTISSA_DIGITS as i32 - 1)).max(LEAST_EXPONENT);
        let dropped = last - self.exponent;
        if last > 971 {
            return f64::INFINITY;
        }
        if dropped > 128 {
            return 0.0;
        }
        let mantissa = self.bits.checked_shr(dropped as u32).unwrap_or(0) as u64;
        let rest = self.bits << (128 - dropped);
        let half = 1 << 127;
        let up = rest > half || rest == half && (self.inexact || mantissa & 1 == 1);
        // The leading bit of the mantissa counts as one more in the exponent, and so does one that rounding up made.
        f64::from_bits((((last - LEAST_EXPONENT) as u64) << (f64::MANTISSA_DIGITS - 1)) + mantissa + u64::from(up))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::decimal;

    fn sum(values: &[f64]) -> f64 {
        let mut sums = ExactSums::default();
        sums.resize(1);
        values.iter().for_each(|value| sums.add_double(0, *value));
        sums.get(0).quotient(&[])
    }

    /// The other exact method: Shewchuk's expansions with a correctly rounded end, as in Python's math.fsum.
    fn expansion_sum(values: &[f64]) -> f64 {
        let mut partials: Vec<f64> = Vec::new();
        for value in values {
            let mut carried = *value;
            let mut kept = Vec::new();
            for partial in partials {
                let (large, small) =
                    if carried.abs() < partial.abs() { (partial, carried) } else { (carried, partial) };
                let high = large + small;
                let low = small - (high - large);
                if low != 0.0 {
                    kept.push(low);
                }
                carried = high;
            }
            kept.push(carried);
            partials = kept;
        }
        let mut high = partials.pop().unwrap_or(0.0);
        let mut low = 0.0;
        while let Some(next) = partials.pop() {
            let before = high;
            high = before + next;
            low = next - (high - before);
            if low != 0.0 {
                break;
            }
        }
        let tie_broken = partials.last().is_some_and(|next| low != 0.0 && (*next < 0.0) == (low < 0.0));
        let doubled = low * 2.0;
        if tie_broken && doubled == (high + doubled) - high { high + doubled } else { high }
    }

    #[test]
    fn sums_that_plain_addition_gets_wrong() {
        for (values, expected) in [
            (vec![], 0.0),
            (vec![-0.0], 0.0),
            (vec![1e16, 1.0, -1e16], 1.0),
            (vec![0.1; 10], 1.0),
            (vec![1e308, 1e308, -1e308, -1e308, 0.5], 0.5),
            (vec![f64::MAX, f64::MAX, f64::MIN], f64::MAX),
            (vec![f64::MAX, f64::MAX], f64::INFINITY),
            (vec![f64::MIN, f64::MIN], f64::NEG_INFINITY),
            (vec![f64::from_bits(1); 3], f64::from_bits(3)),
            (vec![1e300, 1e-300, -1e300], 1e-300),
            (vec![f64::MIN_POSITIVE, -f64::from_bits(1)], f64::MIN_POSITIVE - f64::from_bits(1)),
            // Halfway between two doubles, and just above and below it.
            (vec![9007199254740992.0, 1.0], 9007199254740992.0),
            (vec![9007199254740994.0, 1.0], 9007199254740996.0),
            (vec![9007199254740992.0, 1.0, 1e-300], 9007199254740994.0),
            (vec![9007199254740994.0, 1.0, -1e-300], 9007199254740994.0),
            // The greatest double and half a unit in its last place, and a little less than that.
            (vec![f64::MAX, 2f64.powi(969), 2f64.powi(969)], f64::INFINITY),
            (vec![f64::MAX, 2f64.powi(969), 2f64.powi(969), -1.0], f64::MAX),
        ] {
            assert_eq!(sum(&values).to_bits(), expected.to_bits(), "{values:?}");
        }
    }

    #[test]
    fn carries_are_propagated_before_they_overflow() {
        let mut sums = ExactSums::default();
        sums.resize(3);
        let mut expected = 0i128;
        for round in 0..100 {
            sums.pending = MAX_PENDING;
            for (group, negative) in [(0, false), (1, true)] {
                sums.add(group, u64::MAX, 0, negative);
            }
            sums.add(2, u64::MAX, 0, round % 2 == 0);
            expected += i128::from(u64::MAX);
        }
        let value = |group| sums.get(group).quotient(&[]);
        assert_eq!(value(0), expected as f64);
        assert_eq!(value(1), -expected as f64);
        assert_eq!(value(2), 0.0);
    }

    #[test]
    fn full_limbs_are_propagated_into_one_more() {
        let mut sums = ExactSums { width: 3, groups: 2, limbs: vec![i64::MAX - (1 << 33); 6], ..Default::default() };
        sums.pending = MAX_PENDING;
        let whole = |sums: &ExactSums| sums.get(1).divide(&[]).map(|leading| (leading.bits, leading.exponent));
        let before = whole(&sums);
        sums.propagate();
        assert_eq!((whole(&sums), sums.width), (before, 4));
        assert!(sums.limbs.iter().all(|limb| limb.unsigned_abs() <= 1 << 32));
    }

    #[test]
    fn roots_round_once() {
        for (value, divisors, expected) in [
            (0, [1, 1], 0.0),
            (2, [1, 1], 2f64.sqrt()),
            (1 << 100, [1, 1], 2f64.powi(50)),
            (9, [2, 2], 1.5),
            (1, [3, 1], 0.577_350_269_189_625_7),
            (i128::MAX, [1, 1], 13_043_817_825_332_782_212.349_571_806_252_508),
        ] {
            assert_eq!(Exact::from(value).root_of_quotient(&divisors), expected, "{value} {divisors:?}");
        }
    }

    fn any_finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
            (-1e6..1e6f64),
            (-1_000_000..1_000_000i64).prop_map(|cents| cents as f64 / 100.0),
            (0..200u64).prop_map(f64::from_bits),
        ]
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_other_exact_method(
            values in prop::collection::vec(any_finite().prop_map(|value| value.clamp(-1e300, 1e300)), 0..40)
        ) {
            prop_assert_eq!(sum(&values), expansion_sum(&values));
        }

        #[test]
        fn merging_parts_is_summing_the_whole(
            values in prop::collection::vec((0..3u32, any_finite()), 0..60),
            cut in 0..60usize,
        ) {
            let of = |values: &[(u32, f64)]| {
                let mut sums = ExactSums::default();
                sums.resize(3);
                values.iter().for_each(|(group, value)| sums.add_double(*group as usize, *value));
                sums
            };
            let (left, right) = values.split_at(cut.min(values.len()));
            let (mut merged, whole) = (of(left), of(&values));
            merged.merge(of(right), &[0, 1, 2]);
            for group in 0..3 {
                prop_assert_eq!(merged.get(group).quotient(&[]).to_bits(), whole.get(group).quotient(&[]).to_bits());
            }
        }

        #[test]
        fn quotients_by_powers_of_ten_are_the_nearest_doubles(
            units in any::<i128>(),
            shift in 0..127u32,
            scale in 0..18u8,
        ) {
            let units = units >> shift;
            let expected = decimal::to_f64(units, scale);
            prop_assert_eq!(Exact::from(units).quotient(&[decimal::pow10(scale) as u64]), expected);
            let (half, rest) = (10u64.pow(u32::from(scale / 2)), 10u64.pow(u32::from(scale - scale / 2)));
            prop_assert_eq!(Exact::from(units).quotient(&[half, rest]), expected);
        }

        #[test]
        fn quotients_and_roots_of_doubles_round_once(value in any_finite(), divisor in 1..1u64 << 53) {
            let mut sums = ExactSums::default();
            sums.resize(1);
            sums.add_double(0, value);
            prop_assert_eq!(sums.get(0).quotient(&[divisor]), value / divisor as f64);
            prop_assert_eq!(sums.get(0).root_of_quotient(&[]), value.abs().sqrt());
            let mut squares = ExactSums::default();
            squares.resize(1);
            squares.add_square(0, value);
            prop_assert_eq!(squares.get(0).root_of_quotient(&[]), value.abs());
        }

        #[test]
        fn the_scaled_variance_is_exact(values in prop::collection::vec(-1_000_000_000..1_000_000_000i64, 0..20)) {
            let mut sums = ExactSums::default();
            let mut squares = ExactSums::default();
            sums.resize(1);
            squares.resize(1);
            for value in &values {
                sums.add_double(0, *value as f64);
                squares.add_square(0, *value as f64);
            }
            let count = values.len() as u64;
            let total: i128 = values.iter().map(|value| i128::from(*value)).sum();
            let of_squares: i128 = values.iter().map(|value| i128::from(*value).pow(2)).sum();
            let expected = i128::from(count) * of_squares - total * total;
            let actual = Exact::scaled_variance(count, &sums.get(0), &squares.get(0));
            prop_assert_eq!(actual.quotient(&[]), expected as f64);
        }
    }
}
