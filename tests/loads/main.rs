//! Process tests of loads: what is in the table, in the dead letters and in the ledger, whatever interrupts, whatever was
//! there before, and whatever cannot be written. How a run looks on the screen is tested with the command.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, which helpers do not have")]

mod counts;
mod interrupts;
mod job;
mod keys;
mod kills;
mod limits;
mod modes;
mod others;
mod sinks;
mod troubles;
mod whole;

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "a helper of the tests of the command, of which this needs a part")]
#[path = "../cli/workdir.rs"]
mod workdir;
