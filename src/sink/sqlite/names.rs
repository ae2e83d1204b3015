//! The names of tables: what has one already, who made that, and whether another table may have it. Writes no rows.

use rusqlite::OptionalExtension;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::sqlite::{SqliteSink, published};
use crate::sink::{Mode, TableLayout, statements};

/// Something in the database with the name of a table.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) kind: String,
    pub(super) name: String,
    /// Whether feedmill made it, and nobody has altered it since.
    pub(super) is_ours: bool,
    /// Which rows feedmill has made it for, if not for all.
    part: Option<String>,
}

/// The ledger. Names compare as SQLite compares names of tables.
pub(super) const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS _feedmill_tables \
     (name TEXT PRIMARY KEY COLLATE NOCASE, created TEXT NOT NULL, definition TEXT NOT NULL)";

/// Names that begin so are feedmill's own.
pub(super) const RESERVED_PREFIX: &str = "_feedmill_";

/// What stands in front of the rows that a table was made for, if those are not all, in the last line of its definition.
const PART: &str = "\n-- only ";

impl SqliteSink {
    /// Makes sure that a table can be made. A temporary one takes the place of a published one that an earlier version of a
    /// pipeline has made, and hides somebody else's, which it leaves alone.
    pub(super) fn claim_name(&self, layout: &TableLayout) -> Result<()> {
        statements::check_layout(layout)?;
        self.check_name(&layout.name)?;
        let is_free = layout.is_temporary && self.existing(&layout.name)?.is_none_or(|existing| !existing.is_ours);
        if is_free { Ok(()) } else { self.make_room(layout) }
    }

    pub(super) fn check_name(&self, name: &str) -> Result<()> {
        if !name.to_ascii_lowercase().starts_with(RESERVED_PREFIX) {
            return Ok(());
        }
        let message = format!("table `{name}`: names that begin with {RESERVED_PREFIX} are feedmill's own");
        Err(Error::new(ErrorKind::Pipeline, message).help("give the table another name"))
    }

    /// Writes into the ledger that feedmill has made the table as it is now.
    pub(super) fn remember(&self, layout: &TableLayout) -> Result<()> {
        let TableLayout { name, definition, part, .. } = layout;
        let part = part.as_ref().map(|part| format!("{PART}{part}")).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO _feedmill_tables (name, created, definition) \
                   SELECT name, sql, ?2 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
        self.connection
            .execute(sql, [name, &format!("{definition}{part}")])
            .map(drop)
            .map_err(|error| self.fail(&error))
    }

    pub(super) fn existing(&self, name: &str) -> Result<Option<Existing>> {
        self.connection
            .query_row(
                "SELECT s.type, s.name, s.sql IS l.created, l.definition FROM main.sqlite_schema s \
                 LEFT JOIN _feedmill_tables l ON l.name = s.name \
                 WHERE s.name = ?1 COLLATE NOCASE AND s.type <> 'trigger'",
                [name],
                |row| {
                    let definition: Option<String> = row.get(3)?;
                    let part = definition.as_ref().and_then(|definition| definition.rsplit_once(PART));
                    let part = part.map(|(_, part)| part.to_owned());
                    Ok(Existing { kind: row.get(0)?, name: row.get(1)?, is_ours: row.get(2)?, part })
                },
            )
            .optional()
            .map_err(|error| self.fail(&error))
    }

    /// Drops the table of that name that an earlier run has made, and what the ledger knows of loads into it.
    pub(super) fn make_room(&self, layout: &TableLayout) -> Result<()> {
        let name = &layout.name;
        if let Some(existing) = self.existing(name)? {
            if !existing.is_ours && self.mode != Mode::Replace {
                return Err(self.not_ours(&existing));
            }
            if layout.part.is_some() {
                self.check_part(&existing, layout)?;
            }
            let Existing { kind, name, .. } = existing;
            let drop = format!("DROP {kind} {}", published(&name));
            self.connection.execute_batch(&drop).map_err(|error| self.fail(&error))?;
        }
        for forget in ["_feedmill_loads", "_feedmill_inputs", "_feedmill_replayed"] {
            let sql = format!("DELETE FROM main.{forget} WHERE table_name = ?1");
            self.connection.execute(&sql, [name]).map_err(|error| self.fail(&error))?;
        }
        self.forget_increments(name)
    }

    /// Makes sure that rows of some keys do not take the place of all, and are not put among them or those of others.
    pub(super) fn check_part(&self, existing: &Existing, layout: &TableLayout) -> Result<()> {
        if self.mode == Mode::Replace || existing.part == layout.part {
            return Ok(());
        }
        let (name, path) = (&existing.name, self.path.display());
        let (message, help) = match (&layout.part, &existing.part) {
            (Some(part), _) => (
                format!("the table `{name}` in {path} was not made for --only {part}"),
                "give --db a path of its own; --mode replace leaves nothing but these rows in it",
            ),
            (None, part) => (
                format!("the table `{name}` in {path} was made for --only {}", part.as_deref().unwrap_or_default()),
                "give --db another path, or let --mode replace make it anew, with all rows",
            ),
        };
        Err(Error::new(ErrorKind::Output, message).help(help))
    }

    pub(super) fn not_ours(&self, existing: &Existing) -> Error {
        let Existing { kind, name, .. } = existing;
        let message = format!(
            "cannot replace the {kind} `{name}` in {}: feedmill did not make it, or it was altered since",
            self.path.display()
        );
        Error::new(ErrorKind::Output, message)
            .help("rename it, give the table of the pipeline another name, or let --mode replace overwrite it")
    }
}
