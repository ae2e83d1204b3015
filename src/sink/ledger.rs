//! What the database itself knows of the loads into its tables: how far each input has come, and how long the dead-letter
//! file was then. Plain data; the sink writes it in the transaction that writes the rows.

use crate::sink::TableId;

/// What to do about a table that exists already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: only go on with a load that was interrupted. Tables that are made anew replace only what feedmill made.
    #[default]
    Create,
    /// Add rows to it; keys that it has are duplicates.
    Append,
    /// Drop it, whoever made it, and begin anew.
    Replace,
    /// Add rows to it; rows with keys that it has take the place of the old ones.
    Upsert,
}

/// A table that rows are loaded into.
#[derive(Debug)]
pub struct Load {
    /// The table, for `Sink::rows`.
    pub table: TableId,
    /// Who keeps its keys apart.
    pub key: KeyState,
    /// What is known of earlier loads; `None` for a table that had none.
    pub ledger: Option<LoadLedger>,
    /// Whether rows can be committed before the load has come to its end.
    pub in_batches: bool,
}

/// Who keeps the keys of a table apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// The table has no key.
    Unkeyed,
    /// The caller: the index of the key is built at the end of the load, over all rows at once.
    Deferred,
    /// SQLite: the table has its index.
    Indexed,
}

/// The loads into a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadLedger {
    /// What the rows were made from: the declarations of the feed, the SELECT, the parameters.
    pub definition: String,
    /// The number of the last load, from 1.
    pub load: u32,
    /// Whether it has come to its end.
    pub is_finished: bool,
    /// The dead letters of the last load.
    pub letters: LettersMark,
    /// The dead letters of the load before it, which those of the last load take the place of.
    pub letters_before: LettersMark,
    /// The members of inputs that were loaded, wholly or in part.
    pub members: Vec<MemberEntry>,
}

/// How long a dead-letter file was, and what stood in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LettersMark {
    /// Its length in bytes; 0 while there is no file.
    pub bytes: u64,
    /// The BLAKE3 hash of so many bytes.
    pub fingerprint: Fingerprint,
}

/// A BLAKE3 hash.
pub type Fingerprint = [u8; 32];

/// What a dead letter is known by: eight bytes each for its member, its place in that, and its record. Letters that lie
/// behind one another do so in an index, too, which is what keeps millions of them cheap.
pub type LetterId = [u8; 24];

/// How far a member of an input is loaded. `records = loaded + duplicate + filtered + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberEntry {
    /// The input, as it was named.
    pub input: String,
    /// The member of the archive; empty where the input is none.
    pub member: String,
    /// The names of its columns.
    pub header: Vec<String>,
    /// The load that has read it last.
    pub load: u32,
    /// Where the records end that are done, in its (decompressed) bytes.
    pub byte_offset: u64,
    /// The hash of the header and the records in front of `byte_offset`.
    pub fingerprint: Fingerprint,
    /// Whether the member ended there.
    pub is_complete: bool,
    /// Records that are done.
    pub records: u64,
    /// Those that became rows.
    pub loaded: u64,
    /// Those whose key was there before.
    pub duplicate: u64,
    /// Good ones that the WHERE left out.
    pub filtered: u64,
    /// Those in the dead letters.
    pub rejected: u64,
}
