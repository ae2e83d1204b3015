//! Map-reduce: partial results for groups, merged without loss. Knows no SQL and no files.

mod spec;

pub use spec::{Aggregate, AggregateFunction};
