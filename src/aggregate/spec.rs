//! What is to be computed for each group: the functions and the types of their results.

use crate::chunk::DataType;

/// What is computed for each group. NULL arguments do not count anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// count(*): rows.
    CountRows,
    /// count(x): rows whose x is not NULL.
    Count,
    /// count(DISTINCT x).
    CountDistinct,
    /// Exact sum; NULL without a value.
    Sum,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Exact sum by count, rounded once.
    Avg,
    /// Sample standard deviation: NULL below two values.
    StddevSamp,
    /// Population standard deviation.
    StddevPop,
    /// The middle value, or the mean of the two in the middle.
    Median,
    /// Median of the days between neighbours in the sorted dates of the group; NULL below two dates.
    MedianGap,
    /// Population standard deviation of the days between neighbours in the sorted dates; NULL below two dates.
    StddevGap,
}

/// An aggregate: its function and the type of its argument (for count(*), any).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// The function.
    pub function: AggregateFunction,
    /// The type of the argument.
    pub argument: DataType,
}

impl Aggregate {
    /// The type of the result. Sums of decimals leave as the nearest DOUBLE of the exact sum.
    pub fn result(self) -> DataType {
        use AggregateFunction::{
            Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
        };
        match self.function {
            CountRows | Count | CountDistinct => DataType::Integer,
            Min | Max => self.argument,
            Sum if self.argument == DataType::Integer => DataType::Integer,
            Sum | Avg | StddevSamp | StddevPop | Median | MedianGap | StddevGap => DataType::Double,
        }
    }
}
