//! A sink that fails on command: what tests of atomicity run against. Holds no data itself.

use crate::chunk::{ColumnView, Field, Selection};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::{Sink, TableId, TableLayout};

/// Hands calls on to another sink, except the one that it was told to fail at; that one never gets there.
#[derive(Debug)]
pub struct FailingSink<S> {
    inner: S,
    fail_at: u64,
    calls: u64,
}

impl<S> FailingSink<S> {
    /// Fails at call number `fail_at`, counted from 1 over all methods, and at no other.
    pub fn new(inner: S, fail_at: u64) -> Self {
        FailingSink { inner, fail_at, calls: 0 }
    }

    fn next(&mut self) -> Result<&mut S> {
        self.calls += 1;
        if self.calls == self.fail_at {
            let message = format!("the sink was told to fail at call {}", self.calls);
            return Err(Error::new(ErrorKind::Output, message));
        }
        Ok(&mut self.inner)
    }
}

impl<S: Sink> Sink for FailingSink<S> {
    fn begin(&mut self) -> Result<()> {
        self.next()?.begin()
    }

    fn create_table(&mut self, layout: &TableLayout) -> Result<TableId> {
        self.next()?.create_table(layout)
    }

    fn stage(&mut self, name: &str, columns: &[Field]) -> Result<TableId> {
        self.next()?.stage(name, columns)
    }

    fn rows(&mut self, table: TableId, columns: &[ColumnView<'_>], selection: &Selection) -> Result<()> {
        self.next()?.rows(table, columns, selection)
    }

    fn select_into(&mut self, layout: &TableLayout, sql: &str) -> Result<u64> {
        self.next()?.select_into(layout, sql)
    }

    fn commit(&mut self) -> Result<()> {
        self.next()?.commit()
    }
}
