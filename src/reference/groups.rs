//! Groups and their aggregates: everything is kept exactly and rounded once at the end. Knows no records.

use std::collections::BTreeMap;

use num_bigint::{BigInt, BigUint};

use crate::aggregate::{Aggregate, AggregateFunction};
use crate::chunk::{DataType, Scalar};
use crate::reference::exact;
use crate::reference::order::Ordered;

/// The groups of one output, by their keys.
pub(super) struct Groups {
    aggregates: Vec<Aggregate>,
    groups: BTreeMap<Vec<Ordered>, Vec<Accumulator>>,
}

/// What is known of the arguments of one aggregate in one group.
#[derive(Clone)]
struct Accumulator {
    aggregate: Aggregate,
    /// Rows, or values that are not NULL.
    count: u64,
    /// The sums of the values and of their squares, in units.
    sum: BigInt,
    squares: BigInt,
    /// All values and how often each occurred, for functions that need them.
    values: BTreeMap<Ordered, u64>,
}

impl Groups {
    /// No groups yet; without keys there is always one.
    pub(super) fn new(aggregates: Vec<Aggregate>, keys: usize) -> Self {
        let mut groups = Groups { aggregates, groups: BTreeMap::new() };
        if keys == 0 {
            groups.add(Vec::new(), &[]);
        }
        groups
    }

    /// Adds a row: its keys and the argument of each aggregate (anything but NULL for count(*)).
    pub(super) fn add(&mut self, keys: Vec<Scalar>, arguments: &[Scalar]) {
        let keys = keys.into_iter().map(Ordered).collect();
        let new_group = || self.aggregates.iter().map(|aggregate| Accumulator::new(*aggregate)).collect();
        let group: &mut Vec<Accumulator> = self.groups.entry(keys).or_insert_with(new_group);
        for (accumulator, argument) in group.iter_mut().zip(arguments) {
            accumulator.add(argument);
        }
    }

    /// Keys and results of all groups, in the order of the keys. A result of `None` does not fit its type.
    pub(super) fn finish(self) -> impl Iterator<Item = (Vec<Scalar>, Vec<Option<Scalar>>)> {
        self.groups.into_iter().map(|(keys, accumulators)| {
            let keys = keys.into_iter().map(|Ordered(key)| key).collect();
            (keys, accumulators.iter().map(Accumulator::result).collect())
        })
    }
}

impl Accumulator {
    fn new(aggregate: Aggregate) -> Self {
        Accumulator { aggregate, count: 0, sum: BigInt::ZERO, squares: BigInt::ZERO, values: BTreeMap::new() }
    }

    fn add(&mut self, argument: &Scalar) {
        use AggregateFunction::{
            Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
        };
        if *argument == Scalar::Null {
            return;
        }
        self.count += 1;
        match self.aggregate.function {
            CountRows | Count => {}
            Sum | Avg => self.sum += units(argument),
            StddevSamp | StddevPop => {
                let units = units(argument);
                self.squares += &units * &units;
                self.sum += units;
            }
            Min | Max | CountDistinct | Median | MedianGap | StddevGap => {
                *self.values.entry(Ordered(argument.clone())).or_default() += 1;
            }
        }
        if self.aggregate.function == Min && self.values.len() > 1 {
            self.values.pop_last();
        }
        if self.aggregate.function == Max && self.values.len() > 1 {
            self.values.pop_first();
        }
    }

    /// The result; `None` if it does not fit its type.
    fn result(&self) -> Option<Scalar> {
        use AggregateFunction::{
            Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
        };
        let unit = units_of_one(self.aggregate.argument);
        match self.aggregate.function {
            CountRows | Count => i64::try_from(self.count).ok().map(Scalar::Int),
            CountDistinct => i64::try_from(self.values.len()).ok().map(Scalar::Int),
            Min | Max => Some(self.values.keys().next().map_or(Scalar::Null, |Ordered(value)| value.clone())),
            _ if self.count == 0 => Some(Scalar::Null),
            Sum if self.aggregate.result() == DataType::Integer => i64::try_from(&self.sum).ok().map(Scalar::Int),
            Sum => finite(exact::ratio(&self.sum, &unit)),
            Avg => finite(exact::ratio(&self.sum, &(unit * self.count))),
            StddevSamp | MedianGap | StddevGap if self.count < 2 => Some(Scalar::Null),
            StddevSamp => finite(deviation(self.count, &self.sum, &self.squares, self.count - 1, &unit)),
            StddevPop => finite(deviation(self.count, &self.sum, &self.squares, self.count, &unit)),
            Median => finite(median(&self.sorted(), &unit)),
            MedianGap => finite(median(&self.gaps(), &unit)),
            StddevGap => {
                let gaps = self.gaps();
                let squares = gaps.iter().map(|gap| gap * gap).sum();
                finite(deviation(gaps.len() as u64, &gaps.iter().sum(), &squares, gaps.len() as u64, &unit))
            }
        }
    }

    fn sorted(&self) -> Vec<BigInt> {
        let repeated = |(value, count): (&Ordered, &u64)| std::iter::repeat_n(units(&value.0), *count as usize);
        self.values.iter().flat_map(repeated).collect()
    }

    fn gaps(&self) -> Vec<BigInt> {
        let mut gaps: Vec<BigInt> = self.sorted().windows(2).map(|pair| &pair[1] - &pair[0]).collect();
        gaps.sort();
        gaps
    }
}

/// A number as a whole number of units.
fn units(value: &Scalar) -> BigInt {
    match value {
        Scalar::Int(units) => BigInt::from(*units),
        Scalar::Bool(flag) => BigInt::from(u8::from(*flag)),
        Scalar::Double(number) => exact::double_units(*number),
        Scalar::Null | Scalar::Text(_) => panic!("{value:?} is no number, which the binder should have seen to"),
    }
}

/// How many units make 1, or a day.
fn units_of_one(data_type: DataType) -> BigUint {
    match data_type {
        DataType::Double => BigUint::from(1u8) << exact::DOUBLE_UNIT_BITS,
        DataType::Timestamp => BigUint::from(86_400_000_000u64),
        _ => exact::power_of_ten(data_type.scale().into()),
    }
}

/// The mean of the two values in the middle, or of the one value there twice.
fn median(sorted: &[BigInt], unit: &BigUint) -> f64 {
    exact::ratio(&(&sorted[(sorted.len() - 1) / 2] + &sorted[sorted.len() / 2]), &(unit * 2u8))
}

/// The root of the sum of the squared deviations by `divisor`.
fn deviation(count: u64, sum: &BigInt, squares: &BigInt, divisor: u64, unit: &BigUint) -> f64 {
    // The sum of the squared deviations is squares - sum^2 / count.
    let numerator = squares * count - sum * sum;
    exact::root_of_ratio(&numerator, &(unit * unit * count * divisor))
}

fn finite(value: f64) -> Option<Scalar> {
    value.is_finite().then_some(Scalar::Double(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(function: AggregateFunction, argument: DataType, values: &[Scalar]) -> Option<Scalar> {
        let mut groups = Groups::new(vec![Aggregate { function, argument }], 0);
        for value in values {
            groups.add(Vec::new(), std::slice::from_ref(value));
        }
        groups.finish().next().unwrap().1.remove(0)
    }

    fn ints(values: &[i64]) -> Vec<Scalar> {
        values.iter().map(|value| Scalar::Int(*value)).collect()
    }

    #[test]
    fn results_are_exact() {
        use AggregateFunction::*;
        let cents = DataType::Decimal { precision: 18, scale: 2 };
        let doubles = |values: &[f64]| values.iter().map(|value| Scalar::Double(*value)).collect::<Vec<_>>();
        let double = |value| Some(Scalar::Double(value));
        for (function, argument, values, expected) in [
            (Sum, DataType::Integer, ints(&[i64::MAX, 1, -1]), Some(Scalar::Int(i64::MAX))),
            (Sum, DataType::Integer, ints(&[i64::MAX, 1]), None),
            (Sum, DataType::Integer, vec![Scalar::Null], Some(Scalar::Null)),
            (Sum, cents, ints(&[10, 20]), double(0.3)),
            (Sum, DataType::Double, doubles(&[1e300, 1.0, -1e300, 0.1]), double(1.1)),
            (Sum, DataType::Double, doubles(&[f64::MAX, f64::MAX]), None),
            (Avg, DataType::Double, doubles(&[f64::MAX, f64::MAX]), double(f64::MAX)),
            (Avg, DataType::Integer, ints(&[1, 2, 2]), double(5.0 / 3.0)),
            (Count, DataType::Integer, vec![Scalar::Null, Scalar::Int(1)], Some(Scalar::Int(1))),
            (CountDistinct, DataType::Integer, ints(&[3, 1, 3]), Some(Scalar::Int(2))),
            (CountDistinct, DataType::Double, doubles(&[0.0, -0.0]), Some(Scalar::Int(1))),
            (Min, DataType::Integer, ints(&[3, 1, 3]), Some(Scalar::Int(1))),
            (Max, DataType::Integer, ints(&[3, 1, 3]), Some(Scalar::Int(3))),
            (Max, DataType::Integer, vec![], Some(Scalar::Null)),
            (StddevPop, DataType::Integer, ints(&[2, 4, 4, 4, 5, 5, 7, 9]), double(2.0)),
            (StddevPop, DataType::Double, doubles(&[1e200, -1e200]), double(1e200)),
            (StddevSamp, cents, ints(&[100, 300, 500]), double(2.0)),
            (StddevSamp, DataType::Integer, ints(&[1]), Some(Scalar::Null)),
            (StddevPop, DataType::Integer, ints(&[1]), double(0.0)),
            (Median, DataType::Integer, ints(&[9, 1, 5]), double(5.0)),
            (Median, cents, ints(&[100, 105]), double(1.025)),
            // Gaps of 0, 7, 1 and 30 days.
            (MedianGap, DataType::Date, ints(&[8, 0, 0, 7, 38]), double(4.0)),
            (StddevGap, DataType::Date, ints(&[8, 0, 0, 7, 38]), double(147.25f64.sqrt())),
            (MedianGap, DataType::Date, ints(&[8]), Some(Scalar::Null)),
        ] {
            assert_eq!(results(function, argument, &values), expected, "{function:?} of {values:?}");
        }
    }

    #[test]
    fn groups_come_in_the_order_of_their_keys() {
        let count = Aggregate { function: AggregateFunction::CountRows, argument: DataType::Integer };
        let mut groups = Groups::new(vec![count], 1);
        assert_eq!(groups.groups.len(), 0);
        for key in [Scalar::Double(1.0), Scalar::Null, Scalar::Double(-2.0), Scalar::Double(-0.0), Scalar::Double(0.0)]
        {
            groups.add(vec![key], &[Scalar::Bool(true)]);
        }
        let found: Vec<_> = groups.finish().map(|(keys, results)| (keys[0].clone(), results[0].clone())).collect();
        assert_eq!(
            found,
            [
                (Scalar::Null, Some(Scalar::Int(1))),
                (Scalar::Double(-2.0), Some(Scalar::Int(1))),
                (Scalar::Double(0.0), Some(Scalar::Int(2))),
                (Scalar::Double(1.0), Some(Scalar::Int(1))),
            ]
        );
    }
}
