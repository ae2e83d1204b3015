//! SQL text to something that a chunk can be put through: parse (sqlparser), bind (names to nodes of a program), eval.
//! Knows no files and no groups.

mod lookup;
mod program;

pub use lookup::Lookup;
pub use program::{Comparison, DatePart, FaultKind, Function, Node, NodeId, Op, Program, TrimSide};
