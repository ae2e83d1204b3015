//! What several test files need: a folder with a pipeline and its inputs, packed inputs, and the content of a database as
//! text. No test stands here.

// Every test file is a crate of its own and uses only a part of this.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod instants;

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use feedmill::error::Result;
use feedmill::plan::{Plan, Settings};
use feedmill::run::{self, Figures, Options, sqlite_functions};
use feedmill::sink::{DeadLetterWriter, Sink, SqliteOptions, SqliteSink};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// A folder that is removed at the end, with the pipeline `p.toml`, the database `out.db` and `errors.csv`.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("out.db")
    }

    pub(crate) fn errors(&self) -> PathBuf {
        self.path("errors.csv")
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a pipeline file and loads it.
    pub(crate) fn plan(&self, pipeline: &str) -> Plan {
        let path = self.write("p.toml", pipeline);
        Plan::load(&path, &Settings::default()).unwrap_or_else(|error| panic!("{error:?}\n{pipeline}"))
    }

    /// What `feedmill run` does, through a sink of the caller's making.
    pub(crate) fn run_into<S: Sink>(
        &self,
        plan: &Plan,
        options: &Options,
        sink: impl FnOnce(SqliteSink) -> S,
    ) -> Result<Figures> {
        let mut letters = DeadLetterWriter::new(&self.errors(), &self.database())?;
        let sqlite = SqliteOptions { functions: sqlite_functions(), ..SqliteOptions::default() };
        let mut sink = sink(SqliteSink::open(&self.database(), &sqlite)?);
        let figures = run::run(plan, options, &mut sink, &mut letters, &mut |_| ())?;
        drop(sink);
        letters.publish()?;
        Ok(figures)
    }

    pub(crate) fn run(&self, plan: &Plan, options: &Options) -> Result<Figures> {
        self.run_into(plan, options, |sink| sink)
    }

    /// The tables of the database, as text.
    pub(crate) fn dump(&self) -> String {
        dump(&self.database())
    }

    /// The bytes of the dead-letter file; none without one.
    pub(crate) fn letters(&self) -> Vec<u8> {
        fs::read(self.errors()).unwrap_or_default()
    }
}

/// Every table of a database with its declaration and all rows in the order in which they are stored.
pub(crate) fn dump(path: &Path) -> String {
    let database = Connection::open(path).unwrap();
    let mut tables =
        database.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<(String, String)> =
        tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect();
    let mut text = String::new();
    for (name, declaration) in tables {
        writeln!(text, "{declaration}").unwrap();
        for row in rows(&database, &format!("SELECT * FROM \"{name}\"")) {
            writeln!(text, "{}", row.join(", ")).unwrap();
        }
    }
    text
}

/// The rows of a SELECT, with every value as text that tells types and all digits.
pub(crate) fn rows(database: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = database.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column).map(show)).collect());
    rows.unwrap().map(|row| row.unwrap()).collect()
}

fn show(value: Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(value) => format!("'{}'", value.replace('\'', "''")),
        Value::Blob(value) => format!("x'{value:02x?}'"),
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(crate) fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The pipeline and the command, ready for more arguments.
pub(crate) fn feedmill() -> std::process::Command {
    std::process::Command::new(env!("CARGO_BIN_EXE_feedmill"))
}
