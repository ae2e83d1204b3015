//! What becomes of groups and tables in SQLite: expressions over aggregates, temporary tables, rules, a few keys only. The engine's own part is
//! tested elsewhere.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod dates;
mod only;
mod rules;
mod temporary;
