//! Process tests of the command: exit codes, both streams and what is left on the disk. What the engine computes is
//! tested where it is computed, and by `verify` and the parity script.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, which helpers do not have")]

mod compare;
mod databases;
mod helps;
mod inputs;
mod jobs;
mod packed;
mod pipelines;
mod replay;
mod workdir;
