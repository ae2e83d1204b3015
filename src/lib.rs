//! feedmill turns very large CSV and zipped-CSV feeds into a clean, aggregated SQLite database: exact numbers, bounded
//! memory.

pub mod aggregate;
pub mod chunk;
pub mod cli;
pub mod csv;
pub mod error;
pub mod expr;
pub mod generate;
pub mod plan;
pub mod presets;
pub mod reference;
pub mod run;
pub mod sink;
pub mod source;
pub mod verify;
