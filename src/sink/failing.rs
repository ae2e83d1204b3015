//! A sink that fails on command: what tests of atomicity run against. Holds no data itself.

use crate::chunk::{ColumnView, Field, Selection};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::{
    GroupBytes, Increment, IncrementLedger, LetterId, Load, LoadLedger, Mode, Replaced, RowError, Sink, TableId,
    TableLayout,
};

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
    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn begin(&mut self) -> Result<()> {
        self.next()?.begin()
    }

    fn create_table(&mut self, layout: &TableLayout) -> Result<TableId> {
        self.next()?.create_table(layout)
    }

    fn stage(&mut self, name: &str, columns: &[Field]) -> Result<TableId> {
        self.next()?.stage(name, columns)
    }

    fn rows(
        &mut self,
        table: TableId,
        columns: &[ColumnView<'_>],
        selection: &Selection,
    ) -> std::result::Result<(), RowError> {
        self.next().map_err(|error| RowError { row: 0, error })?.rows(table, columns, selection)
    }

    fn end_rows(&mut self, table: TableId) -> Result<()> {
        self.next()?.end_rows(table)
    }

    fn open_load(&mut self, layout: &TableLayout) -> Result<Load> {
        self.next()?.open_load(layout)
    }

    fn find_keys(&mut self, table: TableId, key: &[ColumnView<'_>], selection: &Selection) -> Result<Vec<bool>> {
        self.next()?.find_keys(table, key, selection)
    }

    fn write_ledger(&mut self, table: TableId, ledger: &LoadLedger) -> Result<()> {
        self.next()?.write_ledger(table, ledger)
    }

    fn is_replayed(&mut self, table: TableId, letter: &LetterId) -> Result<bool> {
        self.next()?.is_replayed(table, letter)
    }

    fn write_replayed(&mut self, table: TableId, letters: &[LetterId]) -> Result<()> {
        self.next()?.write_replayed(table, letters)
    }

    fn build_key(&mut self, table: TableId) -> Result<()> {
        self.next()?.build_key(table)
    }

    fn select_into(&mut self, layout: &TableLayout, sql: &str) -> Result<u64> {
        self.next()?.select_into(layout, sql)
    }

    fn open_increment(&mut self, layout: &TableLayout, owner: &str) -> Result<Increment> {
        self.next()?.open_increment(layout, owner)
    }

    fn make_table(&mut self, layout: &TableLayout) -> Result<()> {
        self.next()?.make_table(layout)
    }

    fn replace_rows(&mut self, layout: &TableLayout, replaced: &Replaced<'_>, sql: &str) -> Result<(u64, u64)> {
        self.next()?.replace_rows(layout, replaced, sql)
    }

    fn read_groups(
        &mut self,
        table: &str,
        owner: &str,
        prefixes: &[Vec<u8>],
        visit: &mut dyn FnMut(Vec<GroupBytes>) -> Result<()>,
    ) -> Result<()> {
        self.next()?.read_groups(table, owner, prefixes, visit)
    }

    fn write_groups(&mut self, table: &str, owner: &str, groups: &[GroupBytes]) -> Result<()> {
        self.next()?.write_groups(table, owner, groups)
    }

    fn forget_groups(&mut self, table: &str, owner: &str) -> Result<()> {
        self.next()?.forget_groups(table, owner)
    }

    fn write_increment(&mut self, table: &str, owner: &str, ledger: &IncrementLedger) -> Result<()> {
        self.next()?.write_increment(table, owner, ledger)
    }

    fn commit(&mut self) -> Result<()> {
        self.next()?.commit()
    }
}
