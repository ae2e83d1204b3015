//! Tables that rows are added to: opening them, their ledger, and their keys. What is loaded when is the caller's business.

use rusqlite::{OptionalExtension, Row, params};

use crate::chunk::{DataType, quoted_name};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::sink::sqlite::bulk::RowOrder;
use crate::sink::sqlite::names::Existing;
use crate::sink::sqlite::pages;
use crate::sink::sqlite::pages::declaration;
use crate::sink::sqlite::{SqliteSink, published};
use crate::sink::{
    Fingerprint, KeyState, LetterId, LettersMark, Load, LoadLedger, MemberEntry, Mode, TableLayout, statements,
};

/// One row for each table that is loaded, one for each member of its inputs, and one for each dead letter of these that a
/// replay has loaded. Paths are as the user wrote them.
pub(super) const CREATE_LEDGER: &str = "
    CREATE TABLE IF NOT EXISTS _feedmill_loads (
        table_name TEXT PRIMARY KEY COLLATE NOCASE, definition TEXT NOT NULL, load INTEGER NOT NULL,
        is_finished INTEGER NOT NULL, letters_bytes INTEGER NOT NULL, letters_blake3 TEXT NOT NULL,
        letters_before_bytes INTEGER NOT NULL, letters_before_blake3 TEXT NOT NULL, created TEXT);
    CREATE TABLE IF NOT EXISTS _feedmill_inputs (
        table_name TEXT COLLATE NOCASE, input TEXT, member TEXT, header TEXT NOT NULL, load INTEGER NOT NULL,
        byte_offset INTEGER NOT NULL, blake3 TEXT NOT NULL, is_complete INTEGER NOT NULL, records INTEGER NOT NULL,
        loaded INTEGER NOT NULL, duplicate INTEGER NOT NULL, filtered INTEGER NOT NULL, rejected INTEGER NOT NULL,
        PRIMARY KEY (table_name, input, member));
    CREATE TABLE IF NOT EXISTS _feedmill_replayed (
        table_name TEXT COLLATE NOCASE, letter BLOB, PRIMARY KEY (table_name, letter))";

/// The index of a key while it is built. SQLite's own indexes of keys have names that no statement can give.
const KEY_INDEX: &str = "_feedmill_key";

/// SQLite sorts as many bytes at once as its cache has, in lists: what fits the second cache of a core is sorted two or
/// three times faster than what does not, and merging more files costs less than that.
const SORT_BYTES: usize = 4 << 20;

impl SqliteSink {
    /// Opens a table for rows, or makes it.
    pub(super) fn open_table(&mut self, layout: &TableLayout) -> Result<Load> {
        statements::check_layout(layout)?;
        self.check_name(&layout.name)?;
        let existing = self.existing(&layout.name)?;
        if let Some(existing) = &existing {
            self.check_part(existing, layout)?;
        }
        let ledger = self.ledger(&layout.name)?;
        let key = match (&existing, self.mode) {
            (Some(existing), Mode::Create) if ledger.is_none() || !existing.is_ours => {
                return Err(self.foreign(existing));
            }
            (None, _) | (Some(_), Mode::Replace) => {
                self.make_room(layout)?;
                return self.make_table(layout);
            }
            (Some(existing), _) if existing.kind != "table" => return Err(self.foreign(existing)),
            (Some(existing), _) => {
                self.check_columns(existing, layout)?;
                self.check_key_columns(existing, layout)?;
                match &ledger {
                    _ if layout.primary_key.is_empty() => KeyState::Unkeyed,
                    Some(ledger) if !ledger.is_finished && !self.has_key(&existing.name, &layout.primary_key)? => {
                        KeyState::Deferred
                    }
                    _ if self.has_key(&existing.name, &layout.primary_key)? => KeyState::Indexed,
                    _ => return Err(self.lacks_key(existing, layout)),
                }
            }
        };
        Ok(Load { table: self.add_load_target(layout)?, key, ledger, in_batches: true })
    }

    /// Makes the table. Its key is added at the end, by `build_key`: rows in any order would visit the pages of the key's
    /// index at random, which is ten times slower once it is larger than the cache. Upserts need it from the start.
    fn make_table(&mut self, layout: &TableLayout) -> Result<Load> {
        let key = match (layout.primary_key.is_empty(), self.mode) {
            (true, _) => KeyState::Unkeyed,
            (false, Mode::Upsert) => KeyState::Indexed,
            (false, _) => KeyState::Deferred,
        };
        let order = if layout.without_rowid { RowOrder::Key } else { RowOrder::Input };
        if self.mode != Mode::Upsert
            && let Some(table) = self.add_bulk_target(layout, order)?
        {
            return Ok(Load { table, key, ledger: None, in_batches: false });
        }
        // The rows of such a table lie in its key, so that it cannot come later.
        let key = if layout.without_rowid { KeyState::Indexed } else { key };
        let unkeyed = layout.without_key();
        let made = if key == KeyState::Deferred { &unkeyed } else { layout };
        self.create(made)?;
        Ok(Load { table: self.add_load_target(layout)?, key, ledger: None, in_batches: true })
    }

    fn foreign(&self, existing: &Existing) -> Error {
        let Existing { kind, name, .. } = existing;
        let message = format!(
            "there is a {kind} `{name}` in {} already, which no load of feedmill made, or it was altered since",
            self.path.display()
        );
        Error::new(ErrorKind::Output, message).help(
            "--mode append adds rows to a table, upsert updates it, replace drops it; or give the table another name",
        )
    }

    fn lacks_key(&self, existing: &Existing, layout: &TableLayout) -> Error {
        let key = statements::names(&layout.primary_key);
        let name = quoted_name(&existing.name);
        Error::new(
            ErrorKind::Output,
            format!("the table `{}` in {} has no unique index on ({key})", existing.name, self.path.display()),
        )
        .help(format!("CREATE UNIQUE INDEX any_name ON {name} ({key}), or take the key out of the pipeline"))
    }

    /// Whether the table has a unique index on exactly these columns.
    fn has_key(&self, table: &str, key: &[String]) -> Result<bool> {
        let sql = "SELECT group_concat(name, char(0)) FROM (\
                       SELECT 0 AS place, lower(name) AS name FROM pragma_table_info(?1) WHERE pk > 0 \
                       UNION ALL \
                       SELECT l.seq + 1, lower(i.name) FROM pragma_index_list(?1) l, pragma_index_info(l.name) i \
                       WHERE l.\"unique\" AND NOT l.partial) GROUP BY place HAVING count(*) = count(name)";
        let mut wanted: Vec<String> = key.iter().map(|name| name.to_lowercase()).collect();
        wanted.sort();
        let mut statement = self.connection.prepare(sql).map_err(|error| self.fail(&error))?;
        let keys = statement.query_map([table], |row| row.get::<_, Option<String>>(0));
        let keys: rusqlite::Result<Vec<_>> = keys.and_then(Iterator::collect);
        Ok(keys.map_err(|error| self.fail(&error))?.into_iter().flatten().any(|names| {
            let mut names: Vec<&str> = names.split('\0').collect();
            names.sort_unstable();
            names == wanted
        }))
    }

    fn check_columns(&self, existing: &Existing, layout: &TableLayout) -> Result<()> {
        let mut statement =
            self.connection.prepare("SELECT name FROM pragma_table_info(?1)").map_err(|error| self.fail(&error))?;
        let names = statement.query_map([&existing.name], |row| row.get(0));
        let names: Vec<String> = names.and_then(Iterator::collect).map_err(|error| self.fail(&error))?;
        let lacks = |column: &&(String, _)| !names.iter().any(|name| name.eq_ignore_ascii_case(&column.0));
        let Some((missing, _)) = layout.columns.iter().find(lacks) else { return Ok(()) };
        let message = format!("the table `{}` in {} has no column `{missing}`", existing.name, self.path.display());
        let help = did_you_mean(missing, names.iter().map(String::as_str));
        Err(Error::new(ErrorKind::Output, message).help(
            help.unwrap_or_else(|| format!("its columns are {}; --mode replace makes it anew", names.join(", "))),
        ))
    }

    /// Refuses a key that the table compares in another way than the pipeline does: some keys would be duplicates or not
    /// by where they stand in the input.
    fn check_key_columns(&self, existing: &Existing, layout: &TableLayout) -> Result<()> {
        if self.mode == Mode::Upsert {
            return Ok(());
        }
        // The affinities of SQLite: https://www.sqlite.org/datatype3.html, section 3.1.
        let sql = "SELECT upper(t.type) LIKE '%INT%' OR NOT (upper(t.type) LIKE '%CHAR%' OR upper(t.type) LIKE '%CLOB%' OR \
                       upper(t.type) LIKE '%TEXT%'), \
                   (upper(t.type) LIKE '%CHAR%' OR upper(t.type) LIKE '%CLOB%' OR upper(t.type) LIKE '%TEXT%' OR \
                       upper(t.type) LIKE '%BLOB%' OR t.type = '') AND upper(t.type) NOT LIKE '%INT%', \
                   NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) i \
                       WHERE l.\"unique\" AND i.key AND i.name = t.name AND i.coll <> 'BINARY') \
                   FROM pragma_table_info(?1) t WHERE t.name = ?2 COLLATE NOCASE";
        for key in &layout.primary_key {
            let column = layout.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            let stored = column.and_then(|(_, data_type)| *data_type).map_or("", DataType::sqlite_name);
            let kept = self.connection.query_row(sql, [&existing.name, key], |row| {
                let (as_number, as_text, is_binary): (bool, bool, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(is_binary && if stored == "TEXT" { as_text } else { stored == "INTEGER" || as_number })
            });
            if !kept.map_err(|error| self.fail(&error))? {
                let (table, path) = (&existing.name, self.path.display());
                let message =
                    format!("the key column `{key}` of the table `{table}` in {path} takes different keys for equal");
                return Err(Error::new(ErrorKind::Output, message)
                    .help(format!("declare it as {stored} without a collation, or use --mode upsert")));
            }
        }
        Ok(())
    }

    /// Builds the index of the key over all rows at once, and makes it the PRIMARY KEY of the table.
    ///
    /// SQLite builds a sorted index ten times faster than a growing one, but only for CREATE INDEX. So the index is made
    /// by that statement, and then the schema is rewritten to what CREATE TABLE with a PRIMARY KEY would have put there.
    pub(super) fn build_key_of(&self, layout: &TableLayout) -> Result<()> {
        let (table, key) = (published(&layout.name), statements::names(&layout.primary_key));
        let kibibytes = |bytes: usize| bytes / 1024;
        let build = format!(
            "PRAGMA main.cache_size = -{}; PRAGMA threads = 2; \
             CREATE UNIQUE INDEX main.{KEY_INDEX} ON {} ({key}); PRAGMA main.cache_size = -{}",
            kibibytes(SORT_BYTES),
            quoted_name(&layout.name),
            kibibytes(self.cache_bytes)
        );
        self.connection
            .execute_batch(&build)
            .map_err(|error| self.duplicate_key(layout, &table, &error).unwrap_or_else(|| self.fail(&error)))?;
        let adopted = pages::adopt_index(&self.connection, &layout.name, KEY_INDEX, &declaration(layout));
        adopted.map_err(|error| self.fail(&error))?;
        self.remember(layout)
    }

    fn ledger(&self, table: &str) -> Result<Option<LoadLedger>> {
        let read = || -> rusqlite::Result<Option<LoadLedger>> {
            let sql = "SELECT definition, load, is_finished, letters_bytes, letters_blake3, letters_before_bytes, \
                       letters_before_blake3 \
                       FROM main._feedmill_loads JOIN main.sqlite_schema ON name = table_name COLLATE NOCASE AND sql = created \
                       WHERE table_name = ?1";
            let ledger = self.connection.query_row(sql, [table], |row| {
                Ok(LoadLedger {
                    definition: row.get(0)?,
                    load: row.get(1)?,
                    is_finished: row.get(2)?,
                    letters: LettersMark { bytes: unsigned(row, 3)?, fingerprint: fingerprint(row, 4)? },
                    letters_before: LettersMark { bytes: unsigned(row, 5)?, fingerprint: fingerprint(row, 6)? },
                    members: Vec::new(),
                })
            });
            let Some(mut ledger) = ledger.optional()? else { return Ok(None) };
            let sql = "SELECT input, member, header, load, byte_offset, blake3, is_complete, records, loaded, duplicate, \
                       filtered, rejected FROM main._feedmill_inputs WHERE table_name = ?1 ORDER BY rowid";
            let mut statement = self.connection.prepare(sql)?;
            ledger.members = statement.query_map([table], entry)?.collect::<rusqlite::Result<_>>()?;
            Ok(Some(ledger))
        };
        read().map_err(|error| self.fail(&error))
    }

    /// Writes what has changed in the ledger of a table: the load, and the given members.
    pub(super) fn write_load_ledger(&self, table: &str, ledger: &LoadLedger) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let LoadLedger { definition, load, is_finished, letters, letters_before, members } = ledger;
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO main._feedmill_loads \
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, sql FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'table' \
                 ON CONFLICT DO UPDATE SET definition = ?2, load = ?3, is_finished = ?4, letters_bytes = ?5, \
                 letters_blake3 = ?6, letters_before_bytes = ?7, letters_before_blake3 = ?8, created = excluded.created",
            )?;
            statement.execute(params![
                table,
                definition,
                load,
                is_finished,
                signed(letters.bytes),
                hex(&letters.fingerprint),
                signed(letters_before.bytes),
                hex(&letters_before.fingerprint)
            ])?;
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO main._feedmill_inputs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
                 ON CONFLICT DO UPDATE SET header = ?4, load = ?5, byte_offset = ?6, blake3 = ?7, is_complete = ?8, \
                 records = ?9, loaded = ?10, duplicate = ?11, filtered = ?12, rejected = ?13",
            )?;
            for entry in members {
                statement.execute(params![
                    table,
                    entry.input,
                    entry.member,
                    statements::csv_line(&entry.header),
                    entry.load,
                    signed(entry.byte_offset),
                    hex(&entry.fingerprint),
                    entry.is_complete,
                    signed(entry.records),
                    signed(entry.loaded),
                    signed(entry.duplicate),
                    signed(entry.filtered),
                    signed(entry.rejected)
                ])?;
            }
            Ok(())
        };
        write().map_err(|error| self.fail(&error))
    }

    /// Whether a replay has loaded a dead letter.
    pub(super) fn has_letter(&self, table: &str, letter: &LetterId) -> Result<bool> {
        let sql = "SELECT 1 FROM main._feedmill_replayed WHERE table_name = ?1 AND letter = ?2";
        let found = self.connection.prepare_cached(sql).and_then(|mut find| find.exists(params![table, letter]));
        found.map_err(|error| self.fail(&error))
    }

    /// Writes that a replay has loaded dead letters.
    pub(super) fn write_letters(&self, table: &str, letters: &[LetterId]) -> Result<()> {
        let sql = "INSERT INTO main._feedmill_replayed VALUES (?1, ?2)";
        let write = || -> rusqlite::Result<()> {
            let mut insert = self.connection.prepare_cached(sql)?;
            letters.iter().try_for_each(|letter| insert.execute(params![table, letter]).map(drop))
        };
        write().map_err(|error| self.fail(&error))
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<MemberEntry> {
    Ok(MemberEntry {
        input: row.get(0)?,
        member: row.get(1)?,
        header: statements::csv_fields(&row.get::<_, String>(2)?),
        load: row.get(3)?,
        byte_offset: unsigned(row, 4)?,
        fingerprint: fingerprint(row, 5)?,
        is_complete: row.get(6)?,
        records: unsigned(row, 7)?,
        loaded: unsigned(row, 8)?,
        duplicate: unsigned(row, 9)?,
        filtered: unsigned(row, 10)?,
        rejected: unsigned(row, 11)?,
    })
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn hex(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A fingerprint from its text; a text that is none matches nothing.
pub(super) fn fingerprint(row: &Row<'_>, column: usize) -> rusqlite::Result<Fingerprint> {
    let text: String = row.get(column)?;
    let mut fingerprint = [0; 32];
    for (byte, digits) in fingerprint.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    }
    Ok(fingerprint)
}
