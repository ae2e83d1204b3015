//! The beginning of an input: byte order marks, the record that names the columns, and signs that the input is not what
//! it should be. Matches no names with declared columns.

use std::ops::Range;

use memchr::memchr;

use crate::csv::Dialect;
use crate::csv::decode::unquote;
use crate::csv::machine::{Fault, Frame, Frames, Tail, without_carriage_return};
use crate::csv::parse::for_each_field;
use crate::csv::split::LOOKAHEAD_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// What stands in front of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The names of the columns, unquoted; none if the dialect has no header.
    pub names: Vec<String>,
    /// How many bytes it takes, a byte order mark and empty lines included.
    pub bytes: usize,
    /// How many physical lines it takes.
    pub lines: u64,
}

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// Reads the header from the first bytes of an input; `None` when more of them are needed. With the empty lines in
/// front of it, it may be as long as a record.
///
/// # Errors
/// When there is no header, or the input cannot be what the dialect says. The message does not name the input.
pub fn read_header(bytes: &[u8], ended: bool, dialect: &Dialect) -> Result<Option<Header>> {
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(error("the input is UTF-16, not UTF-8").help("set encoding = \"utf-16\" for the feed"));
    }
    if bytes.len() < UTF8_MARK.len() && !ended {
        return Ok(None);
    }
    let mark = if bytes.starts_with(UTF8_MARK) { UTF8_MARK.len() } else { 0 };
    if !dialect.header {
        return Ok(Some(Header { names: Vec::new(), bytes: mark, lines: 0 }));
    }
    let body = &bytes[mark..];
    let all_there = ended || body.len() >= dialect.record_limit() + LOOKAHEAD_BYTES;
    if all_there && has_bare_carriage_returns(body) {
        return Err(error("the lines end with a carriage return alone")
            .help("convert the input to lines that end with \\n or \\r\\n"));
    }
    let Some((record, next)) = first_record(body, ended, dialect)? else {
        return match (ended, all_there) {
            (true, _) => Err(error("there is no header: the input is empty")),
            (false, true) => Err(too_long(dialect)),
            (false, false) => Ok(None),
        };
    };
    if record.end > dialect.record_limit() {
        return Err(too_long(dialect));
    }
    let names = names(&body[record], dialect)?;
    let lines = memchr::memchr_iter(b'\n', &body[..next]).count() as u64;
    Ok(Some(Header { names, bytes: mark + next, lines }))
}

/// The first record that is not an empty line, without its line end, and the place behind it.
fn first_record(body: &[u8], ended: bool, dialect: &Dialect) -> Result<Option<(Range<usize>, usize)>> {
    let mut frames = Frames::new(body, ended.then(|| Tail::end_of_input(body.len())), dialect);
    loop {
        let mut start = frames.position();
        match frames.next() {
            None => return Ok(None),
            Some(Frame::Lines { next: stop }) => {
                while start < stop {
                    let line_feed = memchr(b'\n', &body[start..stop]).map_or(stop, |at| start + at);
                    let next = stop.min(line_feed + 1);
                    let end = without_carriage_return(body, start, line_feed, next);
                    if end > start {
                        return Ok(Some((start..end, next)));
                    }
                    start = next;
                }
            }
            Some(Frame::Record { end, next }) => return Ok(Some((start..end, next))),
            Some(Frame::TooLong { .. }) => return Err(too_long(dialect)),
            Some(Frame::Malformed { fault, .. }) => {
                let message = match fault {
                    Fault::TextAfterQuote => "the header has neither a delimiter nor a line end behind a closing quote",
                    Fault::UnclosedQuote | Fault::TooLongInQuotes => "the header has a quote that is never closed",
                };
                return Err(error(message).help("check delimiter and quote of the feed"));
            }
        }
    }
}

fn names(record: &[u8], dialect: &Dialect) -> Result<Vec<String>> {
    if memchr(0, record).is_some() {
        return Err(error("the header has a NUL byte").help("if the input is UTF-16, set encoding = \"utf-16\""));
    }
    let mut names = Vec::new();
    let mut valid = true;
    for_each_field(record, dialect, |start, end| {
        let mut name = Vec::new();
        unquote(&record[start..end], dialect.quote, &mut name);
        match String::from_utf8(name) {
            Ok(name) => names.push(name),
            Err(_) => valid = false,
        }
    });
    if !valid {
        return Err(error("the header is not UTF-8").help("set the encoding of the feed, such as \"windows-1252\""));
    }
    Ok(names)
}

fn has_bare_carriage_returns(body: &[u8]) -> bool {
    memchr(b'\n', body).is_none() && memchr(b'\r', body).is_some_and(|at| at + 1 < body.len())
}

fn too_long(dialect: &Dialect) -> Error {
    error(&format!("the header is longer than {} bytes", dialect.record_limit()))
        .help("check that the input is CSV, with lines that end with \\n or \\r\\n")
}

fn error(message: &str) -> Error {
    Error::new(ErrorKind::Input, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Header>> {
        let dialect = Dialect { max_record_bytes: 40, ..Dialect::default() };
        let all = read_header(bytes, true, &dialect);
        // With less of the input there is either no answer yet or the same one.
        for len in 0..bytes.len() {
            match (read_header(&bytes[..len], false, &dialect), &all) {
                (Ok(None), _) => {}
                (Ok(some), Ok(expected)) => assert_eq!(some, *expected),
                (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected.to_string()),
                (early, late) => panic!("{early:?} after {len} bytes, but {late:?} after all"),
            }
        }
        all
    }

    #[test]
    fn names_are_unquoted_and_marks_and_empty_lines_skipped() {
        for (bytes, names, len, lines) in [
            (&b"a,b\n1,2\n"[..], &["a", "b"][..], 4, 1),
            (b"\xEF\xBB\xBFa,b\r\n1,2\n", &["a", "b"], 8, 1),
            (b"\n\r\na\n", &["a"], 5, 3),
            (b"\"a\"\"\n,\",b\nx", &["a\"\n,", "b"], 10, 2),
            (b"\xEF\xBB\xBF\"a\"", &["a"], 6, 0),
            (b"a,,\n", &["a", "", ""], 4, 1),
            (b"a\rb\n", &["a\rb"], 4, 1),
        ] {
            let header = read(bytes).unwrap().unwrap();
            assert_eq!(
                (header.names.iter().map(String::as_str).collect::<Vec<_>>(), header.bytes, header.lines),
                (names.to_vec(), len, lines)
            );
        }
    }

    #[test]
    fn what_cannot_be_a_header_says_so() {
        for (bytes, message, help) in [
            (&b""[..], "empty", ""),
            (b"\xEF\xBB\xBF\n\n", "empty", ""),
            (b"\xFF\xFEa\0", "UTF-16", "encoding = \"utf-16\""),
            (b"\xFE\xFF\0a", "UTF-16", "encoding = \"utf-16\""),
            (b"a\0b\0\n\0", "NUL", "encoding = \"utf-16\""),
            (b"caf\xE9\n", "not UTF-8", "windows-1252"),
            (b"\"a\"b,c\nd\n", "closing quote", "delimiter"),
            (b"\"a,b\nd\n", "never closed", "delimiter"),
            (b"a,b\r1,2\r3,4", "carriage return", "\\r\\n"),
            (b"a,b\r1,2\r3,4 and so on, much longer than the limit", "carriage return", "\\r\\n"),
            (b"one name that is longer than the limit of forty\n", "longer than 40", "CSV"),
            (
                b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\na",
                "longer than 40",
                "CSV",
            ),
        ] {
            let error = match read(bytes) {
                Err(error) => error,
                Ok(header) => panic!("{header:?} from {}", bytes.escape_ascii()),
            };
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.help_text().unwrap_or_default().contains(help), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Input);
        }
    }

    #[test]
    fn without_a_header_only_the_mark_goes() {
        let dialect = Dialect { header: false, ..Dialect::default() };
        let bytes = |input: &[u8]| read_header(input, true, &dialect).unwrap().unwrap().bytes;
        assert_eq!((bytes(b"\xEF\xBB\xBF1,2\n"), bytes(b"1,2\n"), bytes(b"")), (3, 0, 0));
        assert_eq!(read_header(b"\xEF\xBB", false, &dialect).unwrap(), None);
    }
}
