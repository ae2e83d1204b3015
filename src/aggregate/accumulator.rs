//! The accumulators behind one face: which of them an aggregate needs, and how its result is read. Knows no keys.

use crate::aggregate::distinct::Distinct;
use crate::aggregate::extremes::{End, Extremes};
use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::moments::{Deviation, Moments};
use crate::aggregate::rows;
use crate::aggregate::sums::DoubleSums;
use crate::aggregate::values::ValueLists;
use crate::aggregate::{Aggregate, AggregateFunction};
use crate::chunk::{Cell, Column, ColumnBuilder, ColumnView, DataType, Physical, Selection};

/// What is accumulated. Functions of one kind and one argument share an accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values that are not NULL.
    Count,
    Distinct,
    Sum,
    Extreme(End),
    Moments,
    Values,
}

impl Kind {
    pub(super) fn of(function: AggregateFunction) -> Self {
        use AggregateFunction::{
            Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
        };
        match function {
            Count => Kind::Count,
            CountRows => panic!("a tally counts rows"),
            CountDistinct => Kind::Distinct,
            Sum | Avg => Kind::Sum,
            Min => Kind::Extreme(End::Least),
            Max => Kind::Extreme(End::Greatest),
            StddevSamp | StddevPop => Kind::Moments,
            Median | MedianGap | StddevGap => Kind::Values,
        }
    }
}

/// Partial results of one kind for all groups, indexed by group number.
#[derive(Debug, Clone)]
pub(super) enum Accumulator {
    Counts(Vec<u64>),
    Distinct(Box<Distinct>),
    DoubleSums(DoubleSums),
    Extremes(Extremes),
    Moments(Moments),
    Values(ValueLists),
}

/// Calls the method of that name of whichever accumulator it is; counts have an expression of their own.
macro_rules! delegate {
    ($self:expr, $counts:ident => $expression:expr, $method:ident($($argument:expr),*)) => {
        match $self {
            Accumulator::Counts($counts) => $expression,
            Accumulator::Distinct(inner) => inner.$method($($argument),*),
            Accumulator::DoubleSums(inner) => inner.$method($($argument),*),
            Accumulator::Extremes(inner) => inner.$method($($argument),*),
            Accumulator::Moments(inner) => inner.$method($($argument),*),
            Accumulator::Values(inner) => inner.$method($($argument),*),
        }
    };
}

impl Accumulator {
    pub(super) fn new(kind: Kind, argument: DataType) -> Self {
        let physical = argument.physical();
        match (kind, physical) {
            (Kind::Count, _) => Accumulator::Counts(Vec::new()),
            (Kind::Distinct, _) => Accumulator::Distinct(Box::new(Distinct::new(physical))),
            (Kind::Extreme(end), _) => Accumulator::Extremes(Extremes::new(end, physical)),
            (Kind::Sum, Physical::Double) => Accumulator::DoubleSums(DoubleSums::default()),
            (Kind::Moments, Physical::Int | Physical::Double) => Accumulator::Moments(Moments::new(physical)),
            (Kind::Values, Physical::Int | Physical::Double) => Accumulator::Values(ValueLists::new(argument)),
            (Kind::Sum | Kind::Moments | Kind::Values, _) => panic!("{kind:?} is not defined for {argument}"),
        }
    }

    /// Makes room for so many groups, never fewer than before.
    pub(super) fn resize(&mut self, groups: usize) {
        delegate!(self, counts => counts.resize(groups, 0), resize(groups));
    }

    /// Takes the selected rows of a chunk, whose groups are `groups`.
    pub(super) fn update(&mut self, groups: &[u32], argument: &ColumnView<'_>, selection: &Selection) {
        delegate!(
            self,
            counts => rows::for_each_value(groups, argument, selection, |group, _| counts[group] += 1),
            update(groups, argument, selection)
        );
    }

    /// Takes all of `other`, whose groups have the numbers `group_of_group` here.
    pub(super) fn merge(&mut self, other: Accumulator, group_of_group: &[u32]) {
        match (self, other) {
            (Accumulator::Counts(counts), Accumulator::Counts(from)) => {
                group_of_group.iter().zip(from).for_each(|(group, count)| counts[*group as usize] += count);
            }
            (Accumulator::Distinct(into), Accumulator::Distinct(from)) => into.merge(*from, group_of_group),
            (Accumulator::DoubleSums(into), Accumulator::DoubleSums(from)) => into.merge(from, group_of_group),
            (Accumulator::Extremes(into), Accumulator::Extremes(from)) => into.merge(from, group_of_group),
            (Accumulator::Moments(into), Accumulator::Moments(from)) => into.merge(from, group_of_group),
            (Accumulator::Values(into), Accumulator::Values(from)) => into.merge(from, group_of_group),
            _ => panic!("states of one aggregation"),
        }
    }

    /// Writes what is known of a group, as `format` says.
    pub(super) fn store(&mut self, group: u32, out: &mut Vec<u8>) {
        delegate!(self, counts => format::put(out, counts[group as usize]), store(group, out));
    }

    /// Takes in what `store` has written of a group.
    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        delegate!(self, counts => {
            counts[group as usize] += reader.number()?;
            Ok(())
        }, take_stored(group, reader))
    }

    /// The results for these groups, or the place of the first one among them whose result does not fit its type.
    pub(super) fn results(&mut self, aggregate: Aggregate, groups: &[u32]) -> Result<Column, usize> {
        use AggregateFunction::{MedianGap, StddevGap, StddevSamp, Sum};
        let function = aggregate.function;
        let scale = aggregate.argument.scale();
        let data_type = aggregate.result();
        match self {
            Accumulator::Counts(counts) => collect(data_type, groups, |group| Ok(count(counts[group as usize]))),
            Accumulator::Distinct(distinct) => collect(data_type, groups, |group| Ok(count(distinct.get(group)))),
            Accumulator::Extremes(extremes) => collect(data_type, groups, |group| Ok(extremes.get(group))),
            Accumulator::DoubleSums(sums) => collect(data_type, groups, |group| match sums.get(group) {
                (_, 0) => Ok(Cell::Null),
                (sum, _) if function == Sum => double(sum.quotient(&[])),
                (sum, count) => double(sum.quotient(&[count])),
            }),
            Accumulator::Moments(moments) => {
                let deviation = if function == StddevSamp { Deviation::Sample } else { Deviation::Population };
                collect(data_type, groups, |group| nullable(moments.get(group, deviation, scale)))
            }
            Accumulator::Values(lists) => collect(data_type, groups, |group| {
                nullable(match function {
                    MedianGap => lists.median_gap(group),
                    StddevGap => lists.stddev_gap(group),
                    _ => lists.median(group),
                })
            }),
        }
    }

    pub(super) fn forget_encodings(&mut self) {
        if let Accumulator::Distinct(distinct) = self {
            distinct.forget_encodings();
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        delegate!(self, counts => counts.capacity() * size_of::<u64>(), memory_bytes())
    }
}

pub(super) struct DoesNotFit;

pub(super) fn collect<'a>(
    data_type: DataType,
    groups: &[u32],
    mut result: impl FnMut(u32) -> Result<Cell<'a>, DoesNotFit>,
) -> Result<Column, usize> {
    let mut builder = ColumnBuilder::new(data_type.physical(), groups.len());
    for (place, group) in groups.iter().enumerate() {
        builder.push(result(*group).map_err(|DoesNotFit| place)?);
    }
    Ok(builder.finish())
}

/// A count as an INTEGER; 2^63 rows are out of reach.
pub(super) fn count(count: u64) -> Cell<'static> {
    Cell::Int(count as i64)
}

pub(super) fn double(value: f64) -> Result<Cell<'static>, DoesNotFit> {
    if value.is_finite() { Ok(Cell::Double(value)) } else { Err(DoesNotFit) }
}

fn nullable(value: Option<f64>) -> Result<Cell<'static>, DoesNotFit> {
    value.map_or(Ok(Cell::Null), double)
}
