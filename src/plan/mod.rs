//! What a pipeline file means, decided once: feeds, lookups and tables with every name resolved and every expression
//! bound. Reads the pipeline file and the lookups; opens no feed and no database.

mod condition;
mod feed;
mod incremental;
mod join;
mod load;
mod lookup;
mod only;
mod rowload;
mod rules;
mod select;
mod spec;
mod staging;
mod tables;

use std::path::PathBuf;

use crate::aggregate::Aggregate;
use crate::chunk::{DataType, Field};
use crate::error::Error;
use crate::expr::bind::Parameters;
use crate::expr::sql::SqlText;
use crate::expr::{Lookup, NodeId, Program};

pub use crate::csv::Dialect;
pub use condition::Condition;
pub use load::Settings;
pub use only::Only;
pub use rules::{EVIDENCE, MATCHED, RulePlan, RulesPlan};

/// The name under which SQLite finds the rows that the engine hands over for a table, by its place in `Plan::tables`.
pub fn staging_table(table: usize) -> String {
    format!("_feedmill_staging_{table}")
}

/// A pipeline, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline file, for messages.
    pub path: PathBuf,
    /// What `$names` stand for.
    pub parameters: Parameters,
    /// The lookups, loaded. `Op::Lookup` numbers point here.
    pub lookups: Vec<LookupPlan>,
    /// The streamed inputs.
    pub feeds: Vec<FeedPlan>,
    /// The tables, in an order in which a table comes behind the tables that it is made FROM.
    pub tables: Vec<TablePlan>,
    /// Lookups that tables FROM tables read, by their place in `lookups`: SQLite needs them as tables, too.
    pub sql_lookups: Vec<usize>,
    /// Queries to show at the end of a run.
    pub reports: Vec<ReportPlan>,
    /// The limits on rejected records.
    pub limits: Limits,
    /// Which rows are taken, if not all. The filters of the feeds see to it.
    pub only: Option<Only>,
    /// What is allowed but may surprise.
    pub warnings: Vec<Error>,
}

/// A query over the tables.
#[derive(Debug)]
pub struct ReportPlan {
    /// Its heading.
    pub title: String,
    /// The SELECT, for SQLite.
    pub sql: String,
    /// The SELECT as it stands in the pipeline file, for messages.
    pub text: SqlText,
    /// Whether it reads a temporary table, so that it can be run only where the tables are made.
    pub reads_temporary: bool,
}

/// When to stop and publish nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Stop past this many rejected records.
    pub max_errors: Option<u64>,
    /// Stop past this share of rejected records, from 0 to 1, over the records read at the end of a feed.
    pub max_error_rate: Option<f64>,
}

/// A lookup: a small table in memory, joined by its primary key.
#[derive(Debug)]
pub struct LookupPlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// The file that it came from.
    pub path: PathBuf,
    /// Its rows.
    pub data: Lookup,
    /// The BLAKE3 hash of its declaration and its file.
    pub fingerprint: String,
}

/// A streamed input and everything that is computed from it in one pass.
#[derive(Debug)]
pub struct FeedPlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// The files, as written: relative paths resolved, globs not yet expanded; `-` is stdin.
    pub files: Vec<String>,
    /// How its bytes become records and fields.
    pub dialect: Dialect,
    /// The label of the character encoding (WHATWG), when it is not UTF-8.
    pub encoding: Option<String>,
    /// The texts that mean NULL, quoted or not.
    pub nulls: Vec<String>,
    /// All declared columns, in the order of the pipeline file. `Op::Input(i)` of `program` is column i.
    pub columns: Vec<FeedColumn>,
    /// Everything that is computed for a row: constraints, derived columns, counters and the parts of tables.
    pub program: Program,
    /// Names of derived columns and their nodes, in order.
    pub derived: Vec<(String, NodeId)>,
    /// CHECK constraints: a row for which one is false is rejected (NULL passes).
    pub checks: Vec<Check>,
    /// Data-quality counters: rows for which the predicate is true, among rows that are not rejected. Rows that WHERE
    /// leaves out and duplicates count as well.
    pub counters: Vec<(String, NodeId)>,
    /// The columns that PRIMARY KEY was declared on; the table of the feed is keyed by them.
    pub primary_key: Vec<String>,
    /// The tables that are made FROM this feed.
    pub outputs: Vec<FeedOutput>,
    /// How the table is loaded, when the feed makes one table of rows and nothing else.
    pub load: Option<RowLoad>,
    /// How it is processed when only a part of it is new.
    pub incremental: Option<Incremental>,
    /// The declarations as written and the parameters: what decides which records are good, and what becomes of them.
    pub definition: String,
}

/// One table of rows, loaded on top of what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLoad {
    /// The columns of the table's primary key and their places in it: rows are de-duplicated by them. None without one.
    pub key: Vec<(String, usize)>,
}

/// How a feed is processed when only a part of it is new.
#[derive(Debug, Clone)]
pub struct Incremental {
    /// How what is new is told from what is known.
    pub mode: IncrementalMode,
    /// Its tables, one for each of the feed's outputs.
    pub tables: Vec<IncrementalTable>,
}

/// How what is new is told from what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncrementalMode {
    /// What is known is the beginning of the content, and it is still there.
    Append,
    /// What is known has a value in a column that is not above the watermark.
    Watermark(Watermark),
}

/// The greatest value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The column, by its place among the feed's columns. Its values are integers, days or microseconds.
    pub column: usize,
    /// How far below the watermark a value is not known yet, in the column's unit.
    pub lag: i64,
}

/// A table that is made incrementally.
#[derive(Debug, Clone)]
pub struct IncrementalTable {
    /// Everything that its rows depend on but the parameters and the feed's content.
    pub definition: String,
    /// The parameters and their values.
    pub parameters: String,
    /// The columns of its key that show a constant, usually a parameter, and its values in SQL: rows with other values
    /// belong to runs with other parameters.
    pub owner: Vec<(String, String)>,
    /// All group keys, by their places, in the order in which they stand in stored keys: those of the scope first.
    pub order: Vec<usize>,
    /// The columns whose values say which rows are made anew together; none if that is all rows.
    pub scope: Vec<ScopeColumn>,
    /// The SELECT that makes its rows of staged groups.
    pub sql: String,
    /// The column that shows the column of the watermark, if there is one.
    pub watermark: Option<String>,
}

/// A column of a table that shows a group key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeColumn {
    /// Its name in the table.
    pub column: String,
    /// Its name in the staging table.
    pub staged: String,
}

/// A declared column of a feed.
#[derive(Debug, Clone)]
pub struct FeedColumn {
    /// Its name, as in the header of the files.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether a NULL rejects the record.
    pub not_null: bool,
    /// Whether an invalid value becomes NULL and is counted, instead of a reject.
    pub nullify: bool,
    /// Whether it has to be decoded: something reads it, or its type or NOT NULL can reject a record. Which records
    /// are good follows from the declarations alone, not from what the tables happen to use.
    pub used: bool,
}

/// A CHECK constraint.
#[derive(Debug, Clone)]
pub struct Check {
    /// The column that it was declared on; empty for a constraint of the table.
    pub column: String,
    /// The predicate.
    pub predicate: NodeId,
    /// The predicate as written, for the reason of a reject.
    pub text: String,
}

/// What a feed contributes to one table.
#[derive(Debug)]
pub struct FeedOutput {
    /// The table, by its place in `Plan::tables`.
    pub table: usize,
    /// WHERE: rows for which it is not true are left out.
    pub filter: Option<NodeId>,
    /// What leaves the engine for each row or group.
    pub kind: OutputKind,
}

/// Rows as they come, or groups.
#[derive(Debug)]
pub enum OutputKind {
    /// A SELECT without aggregates: a row for each row.
    Rows {
        /// The values of `TablePlan::staging`, in order.
        columns: Vec<NodeId>,
    },
    /// A SELECT with aggregates: a row for each group.
    Groups {
        /// The group keys.
        keys: Vec<NodeId>,
        /// The aggregates and their arguments (`None` for count(*)).
        aggregates: Vec<(Aggregate, Option<NodeId>)>,
        /// What is computed from the keys of a group: `Op::Input(i)` is key i.
        program: Program,
        /// The values of `TablePlan::staging`, in order.
        columns: Vec<GroupColumn>,
    },
}

/// Where a column of a group's row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupColumn {
    /// A node of the group program, computed from the keys.
    Key(NodeId),
    /// An aggregate, by its place.
    Aggregate(usize),
}

/// A table to make.
#[derive(Debug)]
pub struct TablePlan {
    /// Its name.
    pub name: String,
    /// The columns of its PRIMARY KEY; empty without one.
    pub primary_key: Vec<String>,
    /// Whether it is a WITHOUT ROWID table: <https://www.sqlite.org/withoutrowid.html>.
    pub without_rowid: bool,
    /// Whether it is a step that later tables and reports read, and that is not published.
    pub is_temporary: bool,
    /// Which rows it is made for, if not for all: `Plan::only` in words.
    pub part: Option<String>,
    /// Where its rows come from.
    pub origin: Origin,
}

impl TablePlan {
    /// Whether its rows come from a feed.
    pub fn is_of_feed(&self) -> bool {
        matches!(self.origin, Origin::Feed { .. })
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name.
    pub name: String,
    /// Its type, where it is known; values of other columns are as SQLite computes them.
    pub data_type: Option<DataType>,
}

/// Where the rows of a table come from.
#[derive(Debug)]
pub enum Origin {
    /// A feed.
    Feed {
        /// The columns of the table.
        columns: Vec<OutputColumn>,
        /// The columns that the engine hands over for each row or group.
        staging: Vec<Field>,
        /// `None`: the handed-over columns are the table's columns. Otherwise the SELECT that SQLite runs over them
        /// to make the table; it reads them FROM `staging_table`.
        finish: Option<String>,
        /// The SELECT as it stands in the pipeline file.
        text: SqlText,
    },
    /// Rules over another table.
    Rules(RulesPlan),
    /// Other tables: the SELECT that SQLite runs.
    Sql {
        /// The SELECT, with the parameters put in.
        sql: String,
        /// The SELECT as it stands in the pipeline file, for messages.
        text: SqlText,
    },
}
