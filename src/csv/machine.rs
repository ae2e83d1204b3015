//! Where records begin and end, and whether their quoting is sound: the one place that decides it. Knows nothing of
//! fields, buffers or reasons.
//!
//! A record whose quoting is malformed loses only its first physical line; reading resumes at the next one. Two things
//! follow from that rule. First, many lines may be condemned by one and the same byte far behind them; `Doom` remembers
//! it, so that it is searched once and not once a line. Second, a block may end between a condemned line and what
//! condemns it; `Tail` carries the verdict over the border, so that it does not depend on where blocks end.

use memchr::{memchr, memchr2, memrchr};

use crate::csv::Dialect;

/// The next piece of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Whole lines without a quote, each a record (of any length) or empty; the last may lack its line feed.
    Lines {
        /// Behind the last of them.
        next: usize,
    },
    /// A record with quotes in it, well-formed.
    Record {
        /// Behind its last byte, without the line end.
        end: usize,
        /// Behind its line end.
        next: usize,
    },
    /// The first physical line of a record with malformed quoting.
    Malformed {
        /// What is wrong with it.
        fault: Fault,
        /// Behind its last byte, without the line end.
        end: usize,
        /// Behind its line end.
        next: usize,
    },
    /// A record, or the first physical line of a malformed one, that is longer than the limit.
    TooLong {
        /// Behind its line end.
        next: usize,
    },
}

impl Frame {
    /// The frame of an input that ends there, and lacks the line end behind it.
    pub(super) fn up_to(mut self, end: usize) -> Self {
        let (Frame::Lines { next }
        | Frame::Record { next, .. }
        | Frame::Malformed { next, .. }
        | Frame::TooLong { next }) = &mut self;
        *next = end.min(*next);
        self
    }
}

/// What is wrong with the quoting of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something else than a delimiter or line end behind a closing quote.
    TextAfterQuote,
    /// The input ends within a quoted field.
    UnclosedQuote,
    /// A quoted field that the limit for records ends within.
    TooLongInQuotes,
}

/// What becomes of a quoted field that is still open where a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// How far from the start of the block the fault becomes apparent.
    at: usize,
    fault: Fault,
}

impl Tail {
    /// The input ends where the block does.
    pub(super) fn end_of_input(block_bytes: usize) -> Self {
        Tail { at: block_bytes, fault: Fault::UnclosedQuote }
    }

    /// The same for what is left of the block behind its first `len` bytes.
    pub(super) fn behind(self, len: usize) -> Self {
        // A fault that is apparent already means that no field is open at the end.
        Tail { at: self.at.saturating_sub(len), ..self }
    }
}

/// Iterates over the frames of bytes that start with a record.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    next: usize,
    delimiter: u8,
    quote: Option<u8>,
    limit: usize,
    /// `None` while more input may come.
    tail: Option<Tail>,
    doom: Option<Doom>,
}

/// A malformed record, remembered: it was inside quotes at every line feed in `from..at`, so that any later record that
/// is inside quotes at one of them goes the same way from there.
#[derive(Debug, Clone, Copy)]
struct Doom {
    from: usize,
    at: usize,
    fault: Fault,
}

/// How a quoted field ends.
enum Closing {
    /// Here, with a delimiter, line end or the end of input behind it.
    At(usize),
    /// Not properly.
    Malformed(Doom),
    /// Behind the bytes that are there.
    Unknown,
}

impl<'a> Frames<'a> {
    /// The frames of a block, or with a `tail` of `None`, of the beginning of more.
    pub(super) fn new(bytes: &'a [u8], tail: Option<Tail>, dialect: &Dialect) -> Self {
        let Dialect { delimiter, quote, .. } = *dialect;
        Frames { bytes, next: 0, delimiter, quote, limit: dialect.record_limit(), tail, doom: None }
    }

    /// How far the frames reach that were returned so far.
    pub(super) fn position(&self) -> usize {
        self.next
    }

    /// What becomes of quoted fields that are open at `position`.
    pub(super) fn tail(&self) -> Tail {
        match (self.tail, self.doom) {
            (Some(tail), _) => tail,
            (None, Some(Doom { at, fault, .. })) => Tail { at, fault },
            // No quoted field is open.
            (None, None) => Tail::end_of_input(self.next),
        }
    }

    fn lines_end(&self, start: usize) -> Option<usize> {
        let bytes = self.bytes;
        let quote_at = self.quote.and_then(|quote| memchr(quote, &bytes[start..])).map(|at| start + at);
        match (quote_at, self.tail) {
            (None, Some(_)) => Some(bytes.len()),
            (None, None) => memrchr(b'\n', &bytes[start..]).map(|at| start + at + 1),
            (Some(quote_at), _) => memrchr(b'\n', &bytes[start..quote_at]).map(|at| start + at + 1),
        }
    }

    fn record(&mut self, start: usize, quote: u8) -> Option<Frame> {
        let bytes = self.bytes;
        let mut at = start;
        loop {
            let Some(found) = memchr2(quote, b'\n', &bytes[at..]).map(|found| at + found) else {
                return self.tail.map(|_| self.ended_record(start, bytes.len(), bytes.len()));
            };
            if bytes[found] == b'\n' {
                return Some(self.ended_record(start, found, found + 1));
            }
            if found - start >= self.limit {
                // The quotes in the rest of a record that is too long already mean nothing any more.
                return self.line_feed(found).map(|(_, next)| Frame::TooLong { next });
            }
            if found > start && bytes[found - 1] != self.delimiter {
                at = found + 1;
                continue;
            }
            match self.closing(start, found + 1, quote) {
                Closing::At(end) => at = end,
                Closing::Malformed(doom) => return self.malformed(start, doom),
                Closing::Unknown => return None,
            }
        }
    }

    fn ended_record(&self, start: usize, line_feed: usize, next: usize) -> Frame {
        let end = without_carriage_return(self.bytes, start, line_feed, next);
        if end - start > self.limit { Frame::TooLong { next } } else { Frame::Record { end, next } }
    }

    /// The end of the quoted field whose content begins at `at`, in the record that begins at `start`.
    fn closing(&self, start: usize, mut at: usize, quote: u8) -> Closing {
        let bytes = self.bytes;
        let malformed = |at, fault| Closing::Malformed(Doom { from: start, at, fault });
        let stop = bytes.len().min(start + self.limit);
        let mut doom = self.doom;
        loop {
            let rest = bytes.get(at..stop).unwrap_or_default();
            let found = match doom {
                Some(doom) if at < doom.at => memchr2(quote, b'\n', rest),
                _ => memchr(quote, rest),
            };
            let Some(found) = found.map(|found| at + found) else {
                return match self.tail {
                    _ if start + self.limit < bytes.len() => malformed(at.max(stop), Fault::TooLongInQuotes),
                    Some(tail) if tail.at > start + self.limit => malformed(tail.at, Fault::TooLongInQuotes),
                    Some(tail) => malformed(tail.at, tail.fault),
                    None => Closing::Unknown,
                };
            };
            if bytes[found] == b'\n' {
                at = found + 1;
                if let Some(known) = doom.filter(|doom| (doom.from..doom.at).contains(&found)) {
                    if known.fault != Fault::TooLongInQuotes {
                        return malformed(known.at, known.fault);
                    }
                    // The limit of this record lies further on.
                    at = known.at;
                    doom = None;
                }
                continue;
            }
            match (bytes.get(found + 1), bytes.get(found + 2)) {
                (Some(b'\n'), _) | (Some(b'\r'), Some(b'\n')) => return Closing::At(found + 1),
                (Some(next), _) if *next == self.delimiter => return Closing::At(found + 1),
                (Some(next), _) if *next == quote => at = found + 2,
                (None | Some(b'\r'), None) if self.tail.is_none() => return Closing::Unknown,
                (None, _) => return Closing::At(found + 1),
                _ => return malformed(found + 1, Fault::TextAfterQuote),
            }
        }
    }

    fn malformed(&mut self, start: usize, doom: Doom) -> Option<Frame> {
        let (line_feed, next) = self.line_feed(start)?;
        if line_feed < doom.at {
            self.doom = Some(doom);
        }
        let end = without_carriage_return(self.bytes, start, line_feed, next);
        if end - start > self.limit {
            return Some(Frame::TooLong { next });
        }
        Some(Frame::Malformed { fault: doom.fault, end, next })
    }

    /// The next line feed, and the place behind it; the end of input is one, too.
    fn line_feed(&self, start: usize) -> Option<(usize, usize)> {
        match memchr(b'\n', &self.bytes[start..]) {
            Some(found) => Some((start + found, start + found + 1)),
            None => self.tail.map(|_| (self.bytes.len(), self.bytes.len())),
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    /// The next frame; `None` when nothing is left, or what is left is not all of it.
    fn next(&mut self) -> Option<Frame> {
        let start = self.next;
        if start == self.bytes.len() {
            return None;
        }
        let frame = match (self.lines_end(start), self.quote) {
            (Some(next), _) => Frame::Lines { next },
            (None, Some(quote)) => self.record(start, quote)?,
            (None, None) => return None,
        };
        self.next = match frame {
            Frame::Lines { next }
            | Frame::Record { next, .. }
            | Frame::Malformed { next, .. }
            | Frame::TooLong { next } => next,
        };
        Some(frame)
    }
}

/// The end of a line without its line end. A `\r` at the end of input has no line feed behind it, and is data.
pub(super) fn without_carriage_return(bytes: &[u8], start: usize, line_feed: usize, next: usize) -> usize {
    let carriage_return = line_feed < next && line_feed > start && bytes[line_feed - 1] == b'\r';
    line_feed - usize::from(carriage_return)
}
