//! Frames the records of a stream, byte by byte, and splits them with the csv crate. Knows nothing of types.

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::chunk::RejectCode;
use crate::plan::Dialect;

/// The records of one stream, read with a look-ahead of at most one record.
pub(super) struct Records<R> {
    stream: R,
    dialect: Dialect,
    buffer: Vec<u8>,
    /// Where the unread bytes of `buffer` start.
    start: usize,
    ended: bool,
    line: u64,
    byte_offset: u64,
}

/// A record as it lies in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The physical line on which it starts, from 1.
    pub(super) line: u64,
    /// The offset of its first byte.
    pub(super) byte_offset: u64,
    /// Its length without the line end.
    pub(super) byte_length: u64,
    /// Its bytes without the line end; of a faulty one, no more than the longest record has.
    pub(super) bytes: Vec<u8>,
    /// What is wrong with its shape; then these bytes are not a record but what is skipped in its place.
    pub(super) fault: Option<RejectCode>,
}

/// How far a record goes that starts at the first unread byte.
enum Extent {
    /// A record of so many bytes.
    Whole(usize),
    /// Outside quotes, so many bytes are the most that a record may have, and it goes on.
    TooLong(usize),
    /// The quotes are so wrong that only the first physical line is given up; it may be too long as well.
    Broken(RejectCode),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quote in a quoted field: the closing one, or the first of two.
    Closed,
}

impl<R: Read> Records<R> {
    /// The records behind the byte order mark, if there is one.
    pub(super) fn new(stream: R, dialect: Dialect) -> io::Result<Self> {
        let mut records =
            Records { stream, dialect, buffer: Vec::new(), start: 0, ended: false, line: 1, byte_offset: 0 };
        if records.peek(0)? == Some(0xEF) && records.peek(1)? == Some(0xBB) && records.peek(2)? == Some(0xBF) {
            records.consume(3);
        }
        Ok(records)
    }

    /// The next record, the header included; empty lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        while let Some(line_end @ 1..) = self.line_end_at(0)? {
            self.consume(line_end);
        }
        if self.peek(0)?.is_none() {
            return Ok(None);
        }
        let (line, byte_offset) = (self.line, self.byte_offset);
        let (bytes, byte_length, fault) = match self.extent()? {
            Extent::Whole(length) => (self.consume(length), length as u64, None),
            Extent::TooLong(length) => {
                let bytes = self.consume(length);
                let (_, rest) = self.skip_line()?;
                (bytes, length as u64 + rest, Some(RejectCode::RecordTooLong))
            }
            Extent::Broken(code) => {
                let (bytes, length) = self.skip_line()?;
                let too_long = length > self.dialect.max_record_bytes as u64;
                (bytes, length, Some(if too_long { RejectCode::RecordTooLong } else { code }))
            }
        };
        if let Some(line_end) = self.line_end_at(0)? {
            self.consume(line_end);
        }
        Ok(Some(Record { line, byte_offset, byte_length, bytes, fault }))
    }

    fn extent(&mut self) -> io::Result<Extent> {
        let Dialect { delimiter, quote, max_record_bytes: limit, .. } = self.dialect;
        let is_quote = |byte| quote == Some(byte);
        let mut state = State::FieldStart;
        let mut length = 0;
        loop {
            if state != State::Quoted && self.line_end_at(length)?.is_some() {
                return Ok(Extent::Whole(length));
            }
            let Some(byte) = self.peek(length)? else { return Ok(Extent::Broken(RejectCode::UnclosedQuote)) };
            let next = match state {
                State::FieldStart if is_quote(byte) => State::Quoted,
                State::Quoted if is_quote(byte) => State::Closed,
                State::Quoted => State::Quoted,
                State::Closed if is_quote(byte) => State::Quoted,
                _ if byte == delimiter => State::FieldStart,
                State::Closed => return Ok(Extent::Broken(RejectCode::TextAfterQuote)),
                State::FieldStart | State::Unquoted => State::Unquoted,
            };
            if length == limit {
                let inside_quotes = state == State::Quoted || (state == State::Closed && next == State::Quoted);
                return Ok(if inside_quotes {
                    Extent::Broken(RejectCode::RecordTooLong)
                } else {
                    Extent::TooLong(length)
                });
            }
            state = next;
            length += 1;
        }
    }

    /// The length of the line end that starts at an unread byte; 0 for the end of the stream.
    fn line_end_at(&mut self, index: usize) -> io::Result<Option<usize>> {
        Ok(match self.peek(index)? {
            None => Some(0),
            Some(b'\n') => Some(1),
            Some(b'\r') if self.peek(index + 1)? == Some(b'\n') => Some(2),
            Some(_) => None,
        })
    }

    /// Skips to the next line end, and says what was skipped: its first bytes, and how many there were.
    fn skip_line(&mut self) -> io::Result<(Vec<u8>, u64)> {
        let mut bytes = Vec::new();
        let mut length = 0;
        while self.line_end_at(0)?.is_none() {
            let byte = self.consume(1);
            if bytes.len() < self.dialect.max_record_bytes {
                bytes.extend(byte);
            }
            length += 1;
        }
        Ok((bytes, length))
    }

    fn peek(&mut self, index: usize) -> io::Result<Option<u8>> {
        while self.start + index >= self.buffer.len() && !self.ended {
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut more = vec![0; 1 << 16];
            let length = match self.stream.read(&mut more) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            self.buffer.extend_from_slice(&more[..length]);
            self.ended = length == 0;
        }
        Ok(self.buffer.get(self.start + index).copied())
    }

    fn consume(&mut self, length: usize) -> Vec<u8> {
        let bytes = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        self.byte_offset += length as u64;
        self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes
    }
}

/// Splits whole records with the csv crate. One reader for all of them, since making one takes longer than splitting.
pub(super) struct Splitter(::csv::Reader<VecDeque<u8>>);

impl Splitter {
    /// A splitter for records of a dialect.
    pub(super) fn new(dialect: &Dialect) -> Self {
        let reader = ::csv::ReaderBuilder::new()
            .delimiter(dialect.delimiter)
            .quoting(dialect.quote.is_some())
            .quote(dialect.quote.unwrap_or(b'"'))
            .terminator(::csv::Terminator::Any(b'\n'))
            .has_headers(false)
            .flexible(true)
            // The csv crate drops a byte order mark at the start of its input, and empty lines: behind one, U+FEFF is data.
            .from_reader(VecDeque::from([b'\n']));
        Splitter(reader)
    }

    /// The fields of a whole record, without their quotes.
    ///
    /// # Errors
    /// None that a record of valid UTF-8 can cause.
    pub(super) fn split(&mut self, record: &str) -> ::csv::Result<Vec<String>> {
        self.0.get_mut().extend(record.bytes().chain([b'\n']));
        let mut fields = ::csv::StringRecord::new();
        self.0.read_record(&mut fields)?;
        Ok(fields.iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives one byte a read, so that every look-ahead crosses a refill.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.0.len()).min(1);
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn frame(input: &[u8], dialect: Dialect) -> Vec<Record> {
        let read_all = |stream: &mut dyn Read| {
            let mut records = Records::new(stream, dialect).unwrap();
            std::iter::from_fn(|| records.next().unwrap()).collect::<Vec<_>>()
        };
        let all = read_all(&mut &input[..]);
        assert_eq!(read_all(&mut Trickle(input)), all);
        all
    }

    /// With line ends and the like spelled out, but quotes as they are.
    fn shown(text: &str) -> String {
        text.escape_debug().to_string().replace("\\\"", "\"")
    }

    /// Line, offset, length and fields of each record, fields in brackets, or the code of its fault.
    fn shapes(input: &[u8], limit: usize) -> Vec<String> {
        let dialect = Dialect { max_record_bytes: limit, ..Dialect::default() };
        let mut splitter = Splitter::new(&dialect);
        frame(input, dialect)
            .iter()
            .map(|record| {
                let what = match record.fault {
                    Some(code) => format!("{code} {}", shown(&String::from_utf8_lossy(&record.bytes))),
                    None => splitter
                        .split(std::str::from_utf8(&record.bytes).unwrap())
                        .unwrap()
                        .iter()
                        .map(|field| format!("[{}]", shown(field)))
                        .collect(),
                };
                format!("{} {}+{} {what}", record.line, record.byte_offset, record.byte_length)
            })
            .collect()
    }

    #[test]
    fn hostile_streams_are_framed_as_documented() {
        for (input, expected) in [
            ("", vec![]),
            ("\n\r\n\n", vec![]),
            ("a,b\nc\n", vec!["1 0+3 [a][b]", "2 4+1 [c]"]),
            ("a\r\n\r\n\nb", vec!["1 0+1 [a]", "4 6+1 [b]"]),
            ("\u{feff}a\n\u{feff}b", vec!["1 3+1 [a]", "2 5+4 [\\u{feff}b]"]),
            ("\u{feff}\u{feff}a", vec!["1 3+4 [\\u{feff}a]"]),
            ("a\rb\nc\r", vec!["1 0+3 [a\\rb]", "2 4+2 [c\\r]"]),
            ("\r\r\na", vec!["1 0+1 [\\r]", "2 3+1 [a]"]),
            (",\n\"\"\n", vec!["1 0+1 [][]", "2 2+2 []"]),
            ("\"x\ny\",z\nw", vec!["1 0+7 [x\\ny][z]", "3 8+1 [w]"]),
            ("\"x\r\ny\"\r\nw", vec!["1 0+6 [x\\r\\ny]", "3 8+1 [w]"]),
            ("\"a\"\"b\",c\"d\"\n", vec!["1 0+11 [a\"b][c\"d\"]"]),
            ("\"a\"x,b\nc\n", vec!["1 0+6 text_after_quote \"a\"x,b", "2 7+1 [c]"]),
            ("\"a\nb\"x\r\nc\n", vec!["1 0+2 text_after_quote \"a", "2 3+3 [b\"x]", "3 8+1 [c]"]),
            ("\"a\"\rb\nc", vec!["1 0+5 text_after_quote \"a\"\\rb", "2 6+1 [c]"]),
            ("\"a\"\r", vec!["1 0+4 text_after_quote \"a\"\\r"]),
            ("\"a\r\nb\n", vec!["1 0+2 unclosed_quote \"a", "2 4+1 [b]"]),
            ("\"", vec!["1 0+1 unclosed_quote \""]),
            ("a\n\"b\"", vec!["1 0+1 [a]", "2 2+3 [b]"]),
            (" \"a\n", vec!["1 0+3 [ \"a]"]),
            ("\0\n", vec!["1 0+1 [\\0]"]),
        ] {
            assert_eq!(shapes(input.as_bytes(), 100), expected, "{input:?}");
        }
    }

    #[test]
    fn the_longest_record_is_as_long_as_the_limit() {
        for (input, expected) in [
            ("abcd\nabcde\nf", vec!["1 0+4 [abcd]", "2 5+5 record_too_long abcd", "3 11+1 [f]"]),
            ("abcd\r\nf", vec!["1 0+4 [abcd]", "2 6+1 [f]"]),
            ("abcd\rf\n", vec!["1 0+6 record_too_long abcd"]),
            ("\"ab\"\nf", vec!["1 0+4 [ab]", "2 5+1 [f]"]),
            ("\"a\n\"\nf", vec!["1 0+4 [a\\n]", "3 5+1 [f]"]),
            // The fifth byte is inside quotes: only the first line goes.
            ("\"abc\"\nf", vec!["1 0+5 record_too_long \"abc", "2 6+1 [f]"]),
            ("\"a\nb\"\nf", vec!["1 0+2 record_too_long \"a", "2 3+2 [b\"]", "3 6+1 [f]"]),
            ("\"ab\"\"\nf", vec!["1 0+5 record_too_long \"ab\"", "2 6+1 [f]"]),
            // The fifth byte is outside quotes: the whole record goes.
            ("\"\n\",b\"\nf", vec!["1 0+6 record_too_long \"\\n\",", "3 7+1 [f]"]),
            ("\"a\"c\nf", vec!["1 0+4 text_after_quote \"a\"c", "2 5+1 [f]"]),
            ("\"ab\"c\nf", vec!["1 0+5 record_too_long \"ab\"", "2 6+1 [f]"]),
        ] {
            assert_eq!(shapes(input.as_bytes(), 4), expected, "{input:?}");
        }
    }

    #[test]
    fn without_a_quote_character_quotes_are_data() {
        let dialect = Dialect { delimiter: b';', quote: None, ..Dialect::default() };
        let records = frame(b"\"a;b\"\n", dialect);
        assert_eq!(records.len(), 1);
        assert_eq!(
            Splitter::new(&dialect).split(std::str::from_utf8(&records[0].bytes).unwrap()).unwrap(),
            ["\"a", "b\""]
        );
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read_back(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\r\n\u{e9}]{0,4}", 1..4), 0..5),
            crlf in any::<bool>(),
        ) {
            let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
            let mut writer = ::csv::WriterBuilder::new().flexible(true).terminator(terminator).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let input = writer.into_inner().unwrap();
            let mut splitter = Splitter::new(&Dialect::default());
            let found: Vec<_> = frame(&input, Dialect::default())
                .iter()
                .map(|record| splitter.split(std::str::from_utf8(&record.bytes).unwrap()).unwrap())
                .collect();
            prop_assert_eq!(found, rows);
        }

        /// Whatever the bytes are, each of them is in a record or its line end, or in a line end between records, and
        /// no rejected record takes a line with it that follows on its own.
        #[test]
        fn no_byte_is_lost(input in "[a,\"\r\n]{0,30}", limit in 1..8usize) {
            let records = frame(input.as_bytes(), Dialect { max_record_bytes: limit, ..Dialect::default() });
            let mut end = 0;
            for record in &records {
                let start = record.byte_offset as usize;
                prop_assert!(input[end..start].chars().all(|character| "\r\n".contains(character)));
                end = start + record.byte_length as usize;
                let line_feeds = input[..start].matches('\n').count() as u64;
                prop_assert_eq!(record.line, line_feeds + 1);
                if record.fault.is_none() {
                    prop_assert_eq!(&record.bytes, &input.as_bytes()[start..end]);
                    prop_assert!(record.bytes.len() <= limit);
                } else {
                    prop_assert!(input.as_bytes()[start..end].starts_with(&record.bytes));
                }
            }
            prop_assert!(input[end..].chars().all(|character| "\r\n".contains(character)));
        }
    }
}
