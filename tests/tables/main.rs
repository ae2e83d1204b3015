//! What becomes of groups and tables in SQLite: expressions over aggregates, temporary tables, rules, a few keys only, the
//! order of rows. The engine's own part is tested elsewhere.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod dates;
mod only;
mod order;
mod rules;
mod temporary;
