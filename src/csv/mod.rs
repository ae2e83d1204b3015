//! Bytes to records to typed columns. No I/O, no threads.

/// How bytes become records and fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields that hold delimiters, line ends or (doubled) quotes; `None` when quotes mean nothing.
    pub quote: Option<u8>,
    /// Whether the first record names the columns.
    pub header: bool,
    /// The longest record, in bytes; a longer one is rejected.
    pub max_record_bytes: usize,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect { delimiter: b',', quote: Some(b'"'), header: true, max_record_bytes: 1 << 20 }
    }
}
