//! feedmill.

pub mod aggregate;
pub mod chunk;
pub mod csv;
pub mod error;
pub mod expr;
pub mod generate;
pub mod plan;
