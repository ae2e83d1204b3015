//! SQL text to something that a chunk can be put through: parse (sqlparser), bind (names to nodes of a program), eval.
//! Knows no files and no groups.

pub mod bind;
mod lookup;
mod program;
pub mod sql;

pub use lookup::Lookup;
pub use program::{Comparison, DatePart, FaultKind, Function, Node, NodeId, Op, Program, TrimSide};

/// Whether strftime knows every conversion of a format.
pub fn check_strftime(format: &str) -> bool {
    !chrono::format::StrftimeItems::new(format).any(|item| item == chrono::format::Item::Error)
}
