//! Tables that are made incrementally: their ledger, the stored groups, and rows that others take the place of. What is
//! new, and what follows from it, is the caller's business.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use crate::chunk::{Column, ColumnView, DataType, Scalar, quoted_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::increment::{
    GroupBytes, INCREMENT_VERSION, Increment, IncrementLedger, PrefixEntry, Replaced, ReplacedRows,
};
use crate::sink::sqlite::connection::{database_error, run_error};
use crate::sink::sqlite::load::{fingerprint, hex, signed, unsigned};
use crate::sink::sqlite::{SqliteSink, published, staged};
use crate::sink::stored::{Stored, StoredColumn};
use crate::sink::{Mode, TableLayout, statements};

/// One row for each table and owner of rows in it; one for each member of its inputs, in order; one for each count of the
/// summary; and one for each group.
const CREATE_LEDGER: &str = "
    CREATE TABLE IF NOT EXISTS main._feedmill_increments (
        id INTEGER PRIMARY KEY, table_name TEXT NOT NULL COLLATE NOCASE, owner TEXT NOT NULL, version INTEGER NOT NULL,
        definition TEXT, parameters TEXT, watermark INTEGER, rows INTEGER, created TEXT, UNIQUE (table_name, owner));
    CREATE TABLE IF NOT EXISTS main._feedmill_prefixes (
        increment INTEGER, place INTEGER, input TEXT NOT NULL, member TEXT NOT NULL, header TEXT NOT NULL,
        byte_offset INTEGER NOT NULL, blake3 TEXT NOT NULL, lines INTEGER NOT NULL, records INTEGER NOT NULL,
        is_complete INTEGER NOT NULL, is_settled INTEGER NOT NULL, checkpoint BLOB NOT NULL,
        PRIMARY KEY (increment, place));
    CREATE TABLE IF NOT EXISTS main._feedmill_counts (
        increment INTEGER, kind TEXT, name TEXT, number INTEGER NOT NULL, PRIMARY KEY (increment, kind, name));
    CREATE TABLE IF NOT EXISTS main._feedmill_groups (
        increment INTEGER, key BLOB, state BLOB NOT NULL, PRIMARY KEY (increment, key)) WITHOUT ROWID";

/// How many groups are read in one go.
const READ_GROUPS: usize = 4096;

impl SqliteSink {
    /// Finds out what is known of a table.
    pub(super) fn find_increment(&self, layout: &TableLayout, owner: &str) -> Result<Increment> {
        statements::check_layout(layout)?;
        self.check_name(&layout.name)?;
        self.connection.execute_batch(CREATE_LEDGER).map_err(|error| self.fail(&error))?;
        let Some(existing) = self.existing(&layout.name)? else { return Ok(Increment::default()) };
        if self.mode == Mode::Replace {
            return Ok(Increment { is_there: true, ..Increment::default() });
        }
        if !existing.is_ours {
            return Err(self.not_ours(&existing));
        }
        let newest = "SELECT max(version) FROM main._feedmill_increments WHERE table_name = ?1";
        let newest: Option<u32> =
            self.connection.query_row(newest, [&layout.name], |row| row.get(0)).map_err(|error| self.fail(&error))?;
        if newest.is_some_and(|version| version > INCREMENT_VERSION) {
            let message = format!(
                "the table `{}` in {} was made by a newer version of feedmill",
                layout.name,
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Output, message)
                .help("run that version, or give --db another path; --mode replace makes the table anew"));
        }
        self.read_increment(&layout.name, owner).map_err(|error| self.fail(&error))
    }

    fn read_increment(&self, table: &str, owner: &str) -> rusqlite::Result<Increment> {
        let known = "FROM main._feedmill_increments JOIN main.sqlite_schema ON name = table_name COLLATE NOCASE AND sql = created \
                     WHERE type = 'table' AND table_name = ?1";
        let mut others = self
            .connection
            .prepare(&format!("SELECT definition {known} AND owner <> ?2 AND definition IS NOT NULL"))?;
        let others = others.query_map([table, owner], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let sql = format!("SELECT id, definition, parameters, watermark, rows {known} AND owner = ?2");
        let found = self.connection.query_row(&sql, [table, owner], |row| {
            let ledger = IncrementLedger {
                definition: row.get(1)?,
                parameters: row.get(2)?,
                watermark: row.get(3)?,
                rows: unsigned(row, 4)?,
                ..IncrementLedger::default()
            };
            Ok((row.get::<_, i64>(0)?, ledger))
        });
        let Some((id, mut ledger)) = found.optional()? else {
            return Ok(Increment { is_there: true, ledger: None, others });
        };
        let sql = "SELECT input, member, header, byte_offset, blake3, lines, records, is_complete, is_settled, checkpoint \
                   FROM main._feedmill_prefixes WHERE increment = ?1 ORDER BY place";
        let mut prefixes = self.connection.prepare(sql)?;
        let prefixes = prefixes.query_map([id], |row| {
            Ok(PrefixEntry {
                input: row.get(0)?,
                member: row.get(1)?,
                header: statements::csv_fields(&row.get::<_, String>(2)?),
                byte_offset: unsigned(row, 3)?,
                fingerprint: fingerprint(row, 4)?,
                lines: unsigned(row, 5)?,
                records: unsigned(row, 6)?,
                is_complete: row.get(7)?,
                is_settled: row.get(8)?,
                checkpoint: row.get(9)?,
            })
        })?;
        ledger.prefixes = prefixes.collect::<rusqlite::Result<_>>()?;
        let sql = "SELECT kind, name, number FROM main._feedmill_counts WHERE increment = ?1 ORDER BY kind, name";
        let mut counts = self.connection.prepare(sql)?;
        let counts = counts.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, unsigned(row, 2)?)))?;
        ledger.counts = counts.collect::<rusqlite::Result<_>>()?;
        Ok(Increment { is_there: true, ledger: Some(ledger), others })
    }

    /// Forgets everything about a table's increments; there may be no ledger of any.
    pub(super) fn forget_increments(&self, table: &str) -> Result<()> {
        let forget = || -> rusqlite::Result<()> {
            if !self.connection.table_exists(Some("main"), "_feedmill_increments")? {
                return Ok(());
            }
            for ledger in ["_feedmill_prefixes", "_feedmill_counts", "_feedmill_groups"] {
                let sql = format!(
                    "DELETE FROM main.{ledger} WHERE increment IN \
                     (SELECT id FROM main._feedmill_increments WHERE table_name = ?1)"
                );
                self.connection.execute(&sql, [table])?;
            }
            self.connection.execute("DELETE FROM main._feedmill_increments WHERE table_name = ?1", [table])?;
            Ok(())
        };
        forget().map_err(|error| self.fail(&error))
    }

    pub(super) fn forget_groups_of(&self, table: &str, owner: &str) -> Result<()> {
        let sql = "DELETE FROM main._feedmill_groups WHERE increment = ?1";
        let forgotten = self.increment_id(table, owner).and_then(|id| self.connection.execute(sql, [id]));
        forgotten.map(drop).map_err(|error| self.fail(&error))
    }

    /// The stored groups whose keys begin with one of the prefixes, some at a time.
    pub(super) fn read_stored_groups(
        &self,
        table: &str,
        owner: &str,
        prefixes: &[Vec<u8>],
        visit: &mut dyn FnMut(Vec<GroupBytes>) -> Result<()>,
    ) -> Result<()> {
        let fail = |error: rusqlite::Error| database_error("read", &self.path, &error);
        let id = self.increment_id(table, owner).map_err(fail)?;
        let sql = "SELECT key, state FROM main._feedmill_groups WHERE increment = ?1 AND key >= ?2 AND key < ?3";
        let mut select = self.connection.prepare_cached(sql).map_err(fail)?;
        let mut batch = Vec::new();
        for prefix in prefixes {
            // No value of a key begins with this byte.
            let above: Vec<u8> = prefix.iter().copied().chain([u8::MAX]).collect();
            let mut rows = select.query(params![id, prefix, above]).map_err(fail)?;
            while let Some(row) = rows.next().map_err(fail)? {
                batch.push((row.get(0).map_err(fail)?, row.get(1).map_err(fail)?));
                if batch.len() == READ_GROUPS {
                    visit(std::mem::take(&mut batch))?;
                }
            }
        }
        visit(batch)
    }

    /// Stores groups, in the place of those with the same keys.
    pub(super) fn store_groups(&self, table: &str, owner: &str, groups: &[GroupBytes]) -> Result<()> {
        let store = || -> rusqlite::Result<()> {
            let id = self.increment_id(table, owner)?;
            let sql = "INSERT OR REPLACE INTO main._feedmill_groups VALUES (?1, ?2, ?3)";
            let mut insert = self.connection.prepare_cached(sql)?;
            groups.iter().try_for_each(|(key, state)| insert.execute(params![id, key, state]).map(drop))
        };
        store().map_err(|error| self.fail(&error))
    }

    /// Writes what the rows of an owner were made of, all of which have been written.
    pub(super) fn write_increment_ledger(&mut self, table: &str, owner: &str, ledger: &IncrementLedger) -> Result<()> {
        // The schema has to know the table as it will be.
        self.settle()?;
        let write = || -> rusqlite::Result<()> {
            let IncrementLedger { definition, parameters, watermark, rows, prefixes, counts } = ledger;
            let id = self.increment_id(table, owner)?;
            self.connection.execute(
                "UPDATE main._feedmill_increments SET version = ?2, definition = ?3, parameters = ?4, watermark = ?5, rows = ?6, \
                 created = (SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?7 COLLATE NOCASE) WHERE id = ?1",
                params![id, INCREMENT_VERSION, definition, parameters, watermark, signed(*rows), table],
            )?;
            self.connection.execute("DELETE FROM main._feedmill_prefixes WHERE increment = ?1", [id])?;
            let sql = "INSERT INTO main._feedmill_prefixes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
            let mut insert = self.connection.prepare_cached(sql)?;
            for (place, prefix) in prefixes.iter().enumerate() {
                insert.execute(params![
                    id,
                    place as i64,
                    prefix.input,
                    prefix.member,
                    statements::csv_line(&prefix.header),
                    signed(prefix.byte_offset),
                    hex(&prefix.fingerprint),
                    signed(prefix.lines),
                    signed(prefix.records),
                    prefix.is_complete,
                    prefix.is_settled,
                    prefix.checkpoint
                ])?;
            }
            let sql = "INSERT OR REPLACE INTO main._feedmill_counts VALUES (?1, ?2, ?3, ?4)";
            let mut insert = self.connection.prepare_cached(sql)?;
            counts
                .iter()
                .try_for_each(|(kind, name, number)| insert.execute(params![id, kind, name, signed(*number)]).map(drop))
        };
        write().map_err(|error| self.fail(&error))
    }

    /// Removes rows and inserts those of a SELECT in their place; returns how many.
    pub(super) fn replace_rows_of(
        &mut self,
        layout: &TableLayout,
        replaced: &Replaced<'_>,
        sql: &str,
    ) -> Result<(u64, u64)> {
        self.settle()?;
        let removed = self.remove(&layout.name, replaced).map_err(|error| self.fail(&error))?;
        let inserted = self.connection.execute(&format!("INSERT INTO {} {sql}", published(&layout.name)), []);
        let inserted = inserted.map_err(|error| {
            self.duplicate_key(layout, &format!("({sql}\n)"), &error)
                .unwrap_or_else(|| run_error("write", &self.path, &layout.name, sql, &error))
        })?;
        Ok((removed as u64, inserted as u64))
    }

    fn remove(&self, table: &str, replaced: &Replaced<'_>) -> rusqlite::Result<usize> {
        let owner = replaced.owner.iter().map(|(column, value)| format!("{} = {value}", quoted_name(column)));
        let mut conditions: Vec<String> = owner.collect();
        let delete = |conditions: &[String]| {
            let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
            format!("DELETE FROM {} WHERE {condition}", published(table))
        };
        match replaced.rows {
            ReplacedRows::All => self.connection.execute(&delete(&conditions), []),
            ReplacedRows::Above { column, value, data_type } => {
                conditions.push(format!("{} > ?1", quoted_name(column)));
                self.connection.execute(&delete(&conditions), [stored_scalar(value, data_type)])
            }
            ReplacedRows::Matching { staged: source, columns } => {
                let source_columns: Vec<String> = columns.iter().map(|(_, staged)| quoted_name(staged)).collect();
                let distinct = format!("SELECT DISTINCT {} FROM {}", source_columns.join(", "), staged(source));
                let matches = columns.iter().map(|(column, _)| format!("{} IS ?", quoted_name(column)));
                conditions.extend(matches);
                remove_matching(&self.connection, &distinct, &delete(&conditions), columns.len())
            }
        }
    }

    /// The number under which the ledger knows an owner's rows of a table; it gets one if it has none.
    fn increment_id(&self, table: &str, owner: &str) -> rusqlite::Result<i64> {
        let find = "SELECT id FROM main._feedmill_increments WHERE table_name = ?1 AND owner = ?2";
        let find = || self.connection.prepare_cached(find)?.query_row([table, owner], |row| row.get(0)).optional();
        if let Some(id) = find()? {
            return Ok(id);
        }
        let add = "INSERT INTO main._feedmill_increments (table_name, owner, version) VALUES (?1, ?2, ?3)";
        self.connection.execute(add, params![table, owner, INCREMENT_VERSION])?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// Runs a DELETE for each row of a SELECT, which has its parameters.
fn remove_matching(connection: &Connection, select: &str, delete: &str, columns: usize) -> rusqlite::Result<usize> {
    let (mut select, mut delete) = (connection.prepare(select)?, connection.prepare(delete)?);
    let mut rows = select.query([])?;
    let mut removed = 0;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            let value: ValueRef<'_> = row.get_ref(column)?;
            delete.raw_bind_parameter(column + 1, rusqlite::types::ToSqlOutput::Borrowed(value))?;
        }
        removed += delete.raw_execute()?;
    }
    Ok(removed)
}

/// A value as a table has it.
fn stored_scalar(value: &Scalar, data_type: DataType) -> Value {
    let column = Column::repeat(value, data_type.physical(), 1);
    match StoredColumn::new(&ColumnView::Rows(&column), data_type).get(0, &mut Vec::new()) {
        Stored::Null => Value::Null,
        Stored::Integer(value) => Value::Integer(value),
        Stored::Real(value) => Value::Real(value),
        Stored::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}
