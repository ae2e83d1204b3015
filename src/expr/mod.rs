//! SQL text to something that a chunk can be put through: parse (sqlparser), bind (names to nodes of a program), eval.
//! Knows no files and no groups.

pub mod bind;
mod eval;
mod kernels;
mod lookup;
mod program;
pub mod sql;

pub use eval::{DictionaryLimits, Evaluator, Results, call_scalar};
pub use kernels::{Fault, check_strftime};
pub use lookup::Lookup;
pub use program::{Comparison, DatePart, FaultKind, Function, Node, NodeId, Op, Program, TrimSide};
