//! A block of whole records to the bounds of their fields. Does not look at what the fields say.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::chunk::column::remove_rows;
use crate::chunk::{Reject, RejectCode, Span};
use crate::csv::Dialect;
use crate::csv::machine::{Fault, Frame, Frames, without_carriage_return};
use crate::csv::split::Block;
use crate::csv::structure::{Level, Structure};

/// The good records of a block, field by field, and the rejected ones. Made to be used again for the next block.
#[derive(Debug, Default)]
pub struct Records {
    /// Rejected records, ascending.
    pub rejects: Vec<Reject>,
    /// For each record that is not good, how many good ones stand in front of it. Ascending.
    good_ahead: Vec<u32>,
    fields: usize,
    /// For each good record the start of each field, then the end of the last plus one: every field ends one byte in
    /// front of the next bound, because its delimiter has one byte.
    bounds: Vec<u32>,
    /// The good records with quotes in them, ascending.
    quoted: Vec<u32>,
    lines: u32,
}

impl Records {
    /// How many good records there are.
    pub fn len(&self) -> usize {
        self.bounds.len() / (self.fields + 1)
    }

    /// Whether there is no good record.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// How many records there are, rejected ones included.
    pub fn total(&self) -> usize {
        self.len() + self.good_ahead.len()
    }

    /// How many physical lines end in the block.
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// The place of a good record among all records of the block.
    pub fn record(&self, row: usize) -> u32 {
        let row = row as u32;
        row + self.good_ahead.partition_point(|good| *good <= row) as u32
    }

    /// Where the bytes of a good record lie in the block, without the line end.
    pub fn span(&self, row: usize) -> Span {
        let bounds = &self.bounds[row * (self.fields + 1)..][..=self.fields];
        Span { start: bounds[0], len: bounds[self.fields] - 1 - bounds[0] }
    }

    /// A field of a good record as it stands in the block, with its quotes.
    pub fn field<'a>(&self, bytes: &'a [u8], row: usize, field: usize) -> &'a [u8] {
        &bytes[self.range(row, field)]
    }

    /// Where that lies in the block.
    pub(super) fn range(&self, row: usize, field: usize) -> Range<usize> {
        let at = row * (self.fields + 1) + field;
        self.bounds[at] as usize..self.bounds[at + 1] as usize - 1
    }

    /// Start and end of one field in some of the good records.
    pub(super) fn column(&self, field: usize, rows: Range<usize>) -> impl ExactSizeIterator<Item = (usize, usize)> {
        let stride = self.fields + 1;
        let rows = self.bounds[rows.start * stride..rows.end * stride].chunks_exact(stride);
        rows.map(move |bounds| (bounds[field] as usize, bounds[field + 1] as usize - 1))
    }

    /// The good records of which a field may be quoted, ascending.
    pub(super) fn quoted(&self) -> &[u32] {
        &self.quoted
    }

    /// Takes the good records at `rows`, ascending, from among the good ones.
    pub(super) fn remove(&mut self, rows: &[u32]) {
        let removed_ahead = |row: u32| rows.partition_point(|removed| *removed < row) as u32;
        self.good_ahead.iter_mut().for_each(|good| *good -= removed_ahead(*good));
        self.good_ahead.extend((0..).zip(rows).map(|(removed, row)| row - removed));
        self.good_ahead.sort_unstable();
        self.quoted.retain_mut(|row| {
            let is_kept = rows.binary_search(row).is_err();
            *row -= removed_ahead(*row);
            is_kept
        });
        remove_rows(&mut self.bounds, self.fields + 1, rows);
    }

    fn clear(&mut self, fields: usize) {
        self.rejects.clear();
        self.good_ahead.clear();
        self.bounds.clear();
        self.fields = fields;
        self.quoted.clear();
        self.lines = 0;
    }

    fn reject(&mut self, start: usize, end: usize, code: RejectCode, reason: String) {
        let span = Span { start: start as u32, len: (end - start) as u32 };
        let record = self.total() as u32;
        self.good_ahead.push(self.len() as u32);
        let byte_length = u64::from(span.len);
        self.rejects.push(Reject { record, span, byte_length, code, column: String::new(), value: Vec::new(), reason });
    }
}

/// Finds the fields of blocks.
#[derive(Debug)]
pub struct Parser {
    dialect: Dialect,
    fields: usize,
    /// Delimiters and line feeds of the lines in hand.
    structure: Structure,
}

/// How many bytes of lines are looked at in one go: their positions stay in the first cache.
const WINDOW_BYTES: usize = 16 << 10;

impl Parser {
    /// A parser for records of that many fields, at least one.
    pub fn new(dialect: Dialect, fields: usize) -> Self {
        Parser::with_level(dialect, fields, Level::best())
    }

    /// The same with these instructions, which change nothing about what is found.
    pub(super) fn with_level(dialect: Dialect, fields: usize, level: Level) -> Self {
        Parser { dialect, fields, structure: Structure::new(level) }
    }

    /// Replaces what `records` holds by the records of `block`.
    pub fn parse(&mut self, block: &Block, records: &mut Records) {
        let bytes = &block.bytes[..];
        records.clear(self.fields);
        records.lines = memchr_iter(b'\n', bytes).count() as u32;
        if let Some(length) = block.too_long {
            self.reject_too_long(0, length, records);
            return;
        }
        let mut soundness = Soundness::new(bytes);
        let mut frames = Frames::new(bytes, Some(block.tail), &self.dialect);
        loop {
            let start = frames.position();
            match frames.next() {
                None => break,
                Some(Frame::Lines { next }) => self.lines(bytes, start, next, &mut soundness, records),
                Some(Frame::Record { end, .. }) => {
                    let row = records.len();
                    self.record(bytes, start, end, &mut soundness, records);
                    if records.len() > row {
                        records.quoted.push(row as u32);
                    }
                }
                Some(Frame::Malformed { fault, end, .. }) => {
                    let (code, reason) = self.explain(fault);
                    records.reject(start, end, code, reason);
                }
                Some(Frame::TooLong { next }) => {
                    let line_feed = next - usize::from(bytes[..next].ends_with(b"\n"));
                    let end = without_carriage_return(bytes, start, line_feed, next);
                    self.reject_too_long(start, (end - start) as u64, records);
                }
            }
        }
    }

    /// Lines without quotes, from `start` up to `stop`.
    fn lines(
        &mut self,
        bytes: &[u8],
        mut start: usize,
        stop: usize,
        soundness: &mut Soundness<'_>,
        records: &mut Records,
    ) {
        while start < stop {
            let window = &bytes[start..stop.min(start + WINDOW_BYTES)];
            start = match memrchr(b'\n', window) {
                Some(last) => {
                    let next = start + last + 1;
                    self.window(bytes, start, next, soundness, records);
                    next
                }
                None => {
                    let line_feed = memchr(b'\n', &bytes[start..stop]).map_or(stop, |at| start + at);
                    let next = stop.min(line_feed + 1);
                    self.line(bytes, start, line_feed, next, soundness, records);
                    next
                }
            };
        }
    }

    /// Lines without quotes that all end with a line feed, no more than a window of them.
    fn window(
        &mut self,
        bytes: &[u8],
        start: usize,
        stop: usize,
        soundness: &mut Soundness<'_>,
        records: &mut Records,
    ) {
        let (fields, limit) = (self.fields, self.dialect.record_limit());
        let mut structure = std::mem::replace(&mut self.structure, Structure::new(Level::Portable));
        let (positions, line_feeds) = structure.find(&bytes[start..stop], self.dialect.delimiter);
        // A record that is too long or not sound takes the slow way, on which it is rejected.
        let all_slow = limit < WINDOW_BYTES;
        records.bounds.reserve(line_feeds.len() * (fields + 1));
        let (mut line, mut first) = (start, 0);
        for line_feed in line_feeds {
            let row = &positions[first..=*line_feed as usize];
            let at = start + positions[*line_feed as usize] as usize;
            let end = without_carriage_return(bytes, line, at, at + 1);
            if row.len() == fields && end > line && !all_slow && soundness.holds(line, end) {
                records.bounds.push(line as u32);
                records.bounds.extend(row[..fields - 1].iter().map(|at| start as u32 + at + 1));
                records.bounds.push(end as u32 + 1);
            } else {
                self.line(bytes, line, at, at + 1, soundness, records);
            }
            (line, first) = (at + 1, *line_feed as usize + 1);
        }
        self.structure = structure;
    }

    fn line(
        &self,
        bytes: &[u8],
        start: usize,
        line_feed: usize,
        next: usize,
        soundness: &mut Soundness<'_>,
        records: &mut Records,
    ) {
        let end = without_carriage_return(bytes, start, line_feed, next);
        if end - start > self.dialect.record_limit() {
            self.reject_too_long(start, (end - start) as u64, records);
        } else if end > start {
            self.record(bytes, start, end, soundness, records);
        }
    }

    /// One record with sound quoting that is not too long.
    fn record(&self, bytes: &[u8], start: usize, end: usize, soundness: &mut Soundness<'_>, records: &mut Records) {
        let record = &bytes[start..end];
        let sound = soundness.holds(start, end);
        if !sound && let Err(error) = std::str::from_utf8(record) {
            let reason = format!("not UTF-8 at byte {} of the record", error.valid_up_to() + 1);
            records.reject(start, end, RejectCode::InvalidUtf8, reason);
            return;
        }
        if !sound && let Some(at) = memchr(0, record) {
            let reason = format!("a NUL byte at byte {} of the record", at + 1);
            records.reject(start, end, RejectCode::NulByte, reason);
            return;
        }
        let before = records.bounds.len();
        let mut found = 0;
        records.bounds.push(start as u32);
        for_each_field(record, &self.dialect, |_, field_end| {
            found += 1;
            if found <= self.fields {
                records.bounds.push((start + field_end + 1) as u32);
            }
        });
        if found != self.fields {
            records.bounds.truncate(before);
            let code = if found < self.fields { RejectCode::TooFewFields } else { RejectCode::TooManyFields };
            let plural = if found == 1 { "" } else { "s" };
            records.reject(start, end, code, format!("{found} field{plural} instead of {}", self.fields));
        }
    }

    fn reject_too_long(&self, start: usize, length: u64, records: &mut Records) {
        let limit = self.dialect.record_limit();
        let reason = format!("{length} bytes long; the limit is {limit}, and what is behind it is not kept");
        records.reject(start, start + limit, RejectCode::RecordTooLong, reason);
        if let Some(reject) = records.rejects.last_mut() {
            reject.byte_length = length;
        }
    }

    fn explain(&self, fault: Fault) -> (RejectCode, String) {
        match fault {
            Fault::TextAfterQuote => {
                (RejectCode::TextAfterQuote, "neither a delimiter nor a line end behind a closing quote".to_owned())
            }
            Fault::UnclosedQuote => {
                (RejectCode::UnclosedQuote, "no closing quote before the end of the input".to_owned())
            }
            Fault::TooLongInQuotes => {
                let reason = format!("no closing quote within {} bytes", self.dialect.record_limit());
                (RejectCode::RecordTooLong, reason)
            }
        }
    }
}

/// Whether bytes are UTF-8 without a NUL. Asked for stretches in ascending order, so that all of a block is looked at once,
/// however many of its records are not.
struct Soundness<'a> {
    bytes: &'a [u8],
    /// The next byte that is not UTF-8; the end of the block if none is known.
    not_utf8: usize,
    /// The next NUL, likewise.
    nul: usize,
}

impl<'a> Soundness<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut soundness = Soundness { bytes, not_utf8: 0, nul: 0 };
        soundness.look_for_not_utf8(0);
        soundness.look_for_nul(0);
        soundness
    }

    /// Whether all bytes of a record are sound.
    #[inline]
    fn holds(&mut self, start: usize, end: usize) -> bool {
        if self.not_utf8 < start {
            self.look_for_not_utf8(start);
        }
        if self.nul < start {
            self.look_for_nul(start);
        }
        end <= self.not_utf8.min(self.nul)
    }

    /// No character reaches over the start of a record, so that none is cut in two.
    #[cold]
    fn look_for_not_utf8(&mut self, start: usize) {
        let rest = &self.bytes[start..];
        self.not_utf8 = start + simdutf8::compat::from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
    }

    #[cold]
    fn look_for_nul(&mut self, start: usize) {
        let rest = &self.bytes[start..];
        self.nul = start + memchr(0, rest).unwrap_or(rest.len());
    }
}

/// Calls `visit` with start and end of each field of a record with sound quoting.
pub(super) fn for_each_field(record: &[u8], dialect: &Dialect, mut visit: impl FnMut(usize, usize)) {
    let mut start = 0;
    loop {
        let behind_quotes = match dialect.quote {
            Some(quote) if record.get(start) == Some(&quote) => behind_quotes(record, start, quote),
            _ => start,
        };
        let end = memchr(dialect.delimiter, &record[behind_quotes..]).map_or(record.len(), |at| behind_quotes + at);
        visit(start, end);
        if end == record.len() {
            return;
        }
        start = end + 1;
    }
}

/// Behind the closing quote of the field that is opened at `start`.
fn behind_quotes(record: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr(quote, &record[at..]) {
        at += found + 1;
        if record.get(at) != Some(&quote) {
            return at;
        }
        at += 1;
    }
    record.len()
}

/// Counts physical lines up to places in a block, which are asked for in ascending order.
#[derive(Debug)]
pub struct LineCounter<'a> {
    bytes: &'a [u8],
    counted: usize,
    lines: u64,
}

impl<'a> LineCounter<'a> {
    /// A counter at the start of a block.
    pub fn new(bytes: &'a [u8]) -> Self {
        LineCounter { bytes, counted: 0, lines: 0 }
    }

    /// How many line feeds stand in front of `offset`, which is no smaller than the last one.
    pub fn lines_before(&mut self, offset: u32) -> u64 {
        let offset = offset as usize;
        self.lines += memchr_iter(b'\n', &self.bytes[self.counted..offset]).count() as u64;
        self.counted = offset;
        self.lines
    }
}
