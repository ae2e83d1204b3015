//! What the database itself knows of tables that are made incrementally: what of the feed's content is in them, and what
//! the rows of each group have come to. Plain data; the sink writes it in the transaction that writes the rows.

use crate::chunk::{DataType, Scalar};
use crate::sink::Fingerprint;

/// The version of the ledger. A database with a newer one is left alone.
pub(super) const INCREMENT_VERSION: u32 = 1;

/// A key and a state, as bytes that only the aggregation reads.
pub type GroupBytes = (Vec<u8>, Vec<u8>);

/// A table that may have been made incrementally before.
#[derive(Debug, Default)]
pub struct Increment {
    /// Whether it exists.
    pub is_there: bool,
    /// What is known of the rows of this owner.
    pub ledger: Option<IncrementLedger>,
    /// The definitions by which the rows of other owners were made.
    pub others: Vec<String>,
}

/// What an owner's rows of a table were made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncrementLedger {
    /// Everything that they depend on but the parameters and the content of the feed.
    pub definition: String,
    /// The parameters.
    pub parameters: String,
    /// The greatest value of the column of the watermark.
    pub watermark: Option<i64>,
    /// How many rows there are.
    pub rows: u64,
    /// The members of the inputs, in their order.
    pub prefixes: Vec<PrefixEntry>,
    /// What was counted, under a kind and a name.
    pub counts: Vec<(String, String, u64)>,
}

/// How far a member of an input was processed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixEntry {
    /// The input, as it was named last.
    pub input: String,
    /// The member of the archive; empty where the input is none.
    pub member: String,
    /// The names of its columns.
    pub header: Vec<String>,
    /// How many bytes, decompressed, the header included.
    pub byte_offset: u64,
    /// The BLAKE3 hash of these bytes.
    pub fingerprint: Fingerprint,
    /// How many physical lines end in them.
    pub lines: u64,
    /// How many records they have.
    pub records: u64,
    /// Whether the last record has its line end.
    pub is_complete: bool,
    /// Whether all records stay as they are whatever follows; behind one without its line end, whatever follows that.
    pub is_settled: bool,
    /// Where unpacking can go on, as bytes that only the source reads; empty if it has to begin at the beginning.
    pub checkpoint: Vec<u8>,
}

/// Rows of a table that others take the place of.
#[derive(Debug, Clone, Copy)]
pub struct Replaced<'a> {
    /// Columns and their values, in SQL, that all of these rows have.
    pub owner: &'a [(String, String)],
    /// Which of the rows with these values.
    pub rows: ReplacedRows<'a>,
}

/// Which rows others take the place of.
#[derive(Debug, Clone, Copy)]
pub enum ReplacedRows<'a> {
    /// All.
    All,
    /// Those that have in these columns the same values as some row of a staged table in those.
    Matching {
        /// The staged table.
        staged: &'a str,
        /// Columns of the table, and of the staged one.
        columns: &'a [(String, String)],
    },
    /// Those with a greater value in a column.
    Above {
        /// The column.
        column: &'a str,
        /// The value.
        value: &'a Scalar,
        /// Its type.
        data_type: DataType,
    },
}
