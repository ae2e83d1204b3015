//! A block of whole records to the bounds of their fields. Does not look at what the fields say.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::chunk::column::remove_rows;
use crate::chunk::{Reject, RejectCode, Span};
use crate::csv::Dialect;
use crate::csv::machine::{Fault, Frame, Frames, without_carriage_return};
use crate::csv::split::Block;
use crate::csv::structure::{Found, Level, SLACK};

/// The good records of a block, field by field, and the rejected ones. Made to be used again for the next block.
#[derive(Debug, Default)]
pub struct Records {
    /// Rejected records, ascending.
    pub rejects: Vec<Reject>,
    /// For each record that is not good, how many good ones stand in front of it. Ascending.
    good_ahead: Vec<u32>,
    fields: usize,
    /// For each good record where its fields begin: behind the start of the record, and behind each of its delimiters, which
    /// have one byte. What stands behind the last record means nothing.
    starts: Vec<u32>,
    /// Where each good record ends, in front of its line end.
    ends: Vec<u32>,
    /// The good records with quotes in them, ascending.
    quoted: Vec<u32>,
    lines: u32,
}

impl Records {
    /// How many good records there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no good record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
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
        let start = self.starts[row * self.fields];
        Span { start, len: self.ends[row] - start }
    }

    /// A field of a good record as it stands in the block, with its quotes.
    pub fn field<'a>(&self, bytes: &'a [u8], row: usize, field: usize) -> &'a [u8] {
        &bytes[self.range(row, field)]
    }

    /// Where that lies in the block.
    pub(super) fn range(&self, row: usize, field: usize) -> Range<usize> {
        let at = row * self.fields + field;
        let end = if field + 1 == self.fields { self.ends[row] } else { self.starts[at + 1] - 1 };
        self.starts[at] as usize..end as usize
    }

    /// Start and end of one field in some of the good records.
    pub(super) fn column(&self, field: usize, rows: Range<usize>) -> impl ExactSizeIterator<Item = (usize, usize)> {
        let (stride, first) = (self.fields, rows.start * self.fields + field);
        // A field ends where the record does, or a delimiter in front of the next one.
        let (ends, end_stride, delimiter) =
            if field + 1 == stride { (&self.ends[rows.start..], 1, 0) } else { (&self.starts[first + 1..], stride, 1) };
        let starts = &self.starts[first..];
        (0..rows.len()).map(move |row| (starts[row * stride] as usize, (ends[row * end_stride] - delimiter) as usize))
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
        self.starts.truncate(self.ends.len() * self.fields);
        remove_rows(&mut self.starts, self.fields, rows);
        remove_rows(&mut self.ends, 1, rows);
    }

    fn clear(&mut self, fields: usize) {
        self.rejects.clear();
        self.good_ahead.clear();
        self.ends.clear();
        self.fields = fields;
        self.quoted.clear();
        self.lines = 0;
    }

    /// Where the next good record is to be noted; there is room for it, and so much more behind it.
    fn next(&mut self, more: usize) -> &mut [u32] {
        let at = self.ends.len() * self.fields;
        let needed = at + self.fields + more;
        if self.starts.len() < needed {
            self.starts.resize(needed, 0);
        }
        &mut self.starts[at..]
    }

    /// Takes lines of which all delimiters and line feeds were noted behind the start of the first one. False, and nothing is
    /// taken, if one of them is no record.
    fn take_lines(&mut self, bytes: &[u8], found: Found) -> bool {
        let (fields, rows) = (self.fields, self.ends.len());
        if found.all != found.line_feeds * fields {
            return false;
        }
        let first = rows * fields;
        let mut are_records = true;
        self.ends.extend(self.starts[first..first + found.all + 1].windows(fields + 1).step_by(fields).map(|bounds| {
            // As many line feeds as records: if each record has one at its end, no other place is one.
            let line_feed = bounds[fields] as usize - 1;
            let end = line_feed - usize::from(bytes[line_feed.saturating_sub(1)] == b'\r');
            are_records &= bytes[line_feed] == b'\n' && end > bounds[0] as usize;
            end as u32
        }));
        if !are_records {
            self.ends.truncate(rows);
        }
        are_records
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
    level: Level,
}

/// How many bytes of lines are looked at in one go: they and what is found in them stay in the first cache.
const WINDOW_BYTES: usize = 16 << 10;

impl Parser {
    /// A parser for records of that many fields, at least one.
    pub fn new(dialect: Dialect, fields: usize) -> Self {
        Parser::with_level(dialect, fields, Level::best())
    }

    /// The same with these instructions, which change nothing about what is found.
    pub(super) fn with_level(dialect: Dialect, fields: usize, level: Level) -> Self {
        Parser { dialect, fields, level }
    }

    /// Replaces what `records` holds by the records of `block`.
    pub fn parse(&self, block: &Block, records: &mut Records) {
        let bytes = &block.bytes[..];
        records.clear(self.fields);
        if let Some(length) = block.too_long {
            records.lines = count_lines(bytes);
            self.reject_too_long(0, length, records);
            return;
        }
        let mut soundness = Soundness::new(bytes);
        let mut frames = Frames::new(bytes, Some(block.tail), &self.dialect);
        loop {
            let start = frames.position();
            let frame = frames.next();
            if !matches!(frame, Some(Frame::Lines { .. })) {
                records.lines += count_lines(&bytes[start..frames.position()]);
            }
            match frame {
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
    fn lines(&self, bytes: &[u8], mut start: usize, stop: usize, soundness: &mut Soundness<'_>, records: &mut Records) {
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
                    records.lines += u32::from(line_feed < next);
                    self.line(bytes, start, line_feed, next, soundness, records);
                    next
                }
            };
        }
    }

    /// Lines without quotes that all end with a line feed, no more than a window of them.
    fn window(&self, bytes: &[u8], start: usize, stop: usize, soundness: &mut Soundness<'_>, records: &mut Records) {
        let window = &bytes[start..stop];
        // Behind the start of the first record, what is found is where all other fields begin, as long as each line is a record.
        let places = records.next(1 + window.len() + SLACK);
        places[0] = start as u32;
        let found = self.level.find(window, self.dialect.delimiter, start as u32 + 1, &mut places[1..]);
        records.lines += found.line_feeds as u32;
        // A record that is too long or not sound takes the slow way, on which it is rejected.
        let is_usual = self.dialect.record_limit() >= WINDOW_BYTES && soundness.holds(start, stop);
        if !is_usual || !records.take_lines(bytes, found) {
            let places = records.next(1)[1..][..found.all].to_vec();
            self.some_lines(bytes, start..stop, &places, soundness, records);
        }
    }

    /// Lines of which some are not as they should be; `places` are those behind their delimiters and line feeds.
    fn some_lines(
        &self,
        bytes: &[u8],
        window: Range<usize>,
        places: &[u32],
        soundness: &mut Soundness<'_>,
        records: &mut Records,
    ) {
        let is_usual = self.dialect.record_limit() >= WINDOW_BYTES;
        let (mut line, mut first) = (window.start, 0);
        for line_feed in memchr_iter(b'\n', &bytes[window.clone()]).map(|at| window.start + at) {
            let (next, last) = (line_feed + 1, first + self.fields - 1);
            let end = without_carriage_return(bytes, line, line_feed, next);
            let has_all_fields = places.get(last).is_some_and(|place| *place as usize == next);
            if has_all_fields && end > line && is_usual && soundness.holds(line, end) {
                let starts = records.next(0);
                starts[0] = line as u32;
                starts[1..self.fields].copy_from_slice(&places[first..last]);
                records.ends.push(end as u32);
            } else {
                self.line(bytes, line, line_feed, next, soundness, records);
            }
            if has_all_fields {
                first = last + 1;
            } else {
                first += places[first..].iter().take_while(|place| **place as usize <= next).count();
            }
            line = next;
        }
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
        let starts = records.next(0);
        let mut found = 0;
        for_each_field(record, &self.dialect, |field_start, _| {
            if let Some(slot) = starts[..self.fields].get_mut(found) {
                *slot = (start + field_start) as u32;
            }
            found += 1;
        });
        if found == self.fields {
            records.ends.push(end as u32);
        } else {
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

fn count_lines(bytes: &[u8]) -> u32 {
    memchr_iter(b'\n', bytes).count() as u32
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
