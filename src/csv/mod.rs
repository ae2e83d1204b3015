//! Bytes to records to typed columns. No I/O, no threads.
//!
//! `Blocks` cuts a stream into blocks of whole records, `Parser` finds the fields of a block, `Decoder` makes columns
//! of them. Where a record ends and whether its quoting is sound is decided in one place, `machine`, that both the
//! first and the second ask.

mod decode;
mod header;
mod lanes;
mod machine;
mod number;
mod parse;
#[cfg(target_arch = "x86_64")]
mod simd;
mod split;
mod structure;
#[cfg(test)]
mod tests;

pub use decode::{DecodeColumn, Decoded, Decoder, unquote};
pub use header::{Header, read_header};
pub use parse::{LineCounter, Parser, Records};
pub use split::{Block, Blocks, Ending};

/// How bytes become records and fields.
///
/// Delimiter and quote are ASCII, differ from each other and are neither `\r` nor `\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields that hold delimiters, line ends or (doubled) quotes; `None` when quotes mean nothing.
    pub quote: Option<u8>,
    /// Whether the first record names the columns.
    pub header: bool,
    /// The longest record, in bytes without its line end; a longer one is rejected. From 1 to `MAX_RECORD_BYTES`.
    pub max_record_bytes: usize,
}

impl Dialect {
    /// The greatest `max_record_bytes`: offsets in a block, a block of other records included, have 32 bits.
    pub const MAX_RECORD_BYTES: usize = 1 << 30;

    fn record_limit(&self) -> usize {
        self.max_record_bytes.clamp(1, Dialect::MAX_RECORD_BYTES)
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect { delimiter: b',', quote: Some(b'"'), header: true, max_record_bytes: 1 << 20 }
    }
}
