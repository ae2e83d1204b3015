//! A stream of bytes, cut into blocks of whole records. Reads nothing itself: the caller fills the buffer.

use memchr::memchr;

use crate::csv::Dialect;
use crate::csv::header::{Header, read_header};
use crate::csv::machine::{Frames, Tail};
use crate::error::Result;

/// Whole records, and what is needed to parse them without their neighbours.
#[derive(Debug)]
pub struct Block {
    /// The records with their line ends.
    pub bytes: Vec<u8>,
    /// Where the first byte lies in the input.
    pub offset: u64,
    /// Where the byte behind the last one lies in the input.
    pub end: u64,
    /// `Some` when the block is a single record that is longer than the limit: its length without the line end. `bytes`
    /// then holds the part that is kept, with the line feed behind it.
    pub(super) too_long: Option<u64>,
    pub(super) tail: Tail,
}

impl Block {
    /// A whole input as one block.
    pub fn whole(bytes: Vec<u8>) -> Self {
        Block::at(0, bytes)
    }

    /// The rest of an input that begins there, as one block.
    pub fn at(offset: u64, bytes: Vec<u8>) -> Self {
        let tail = Tail::end_of_input(bytes.len());
        Block { offset, end: offset + bytes.len() as u64, bytes, too_long: None, tail }
    }

    /// Takes off the records in front of `offset`, which is where a record begins, as a block of their own.
    pub fn take_front(&mut self, offset: u64) -> Block {
        let len = usize::try_from(offset.saturating_sub(self.offset))
            .map_or(self.bytes.len(), |len| len.min(self.bytes.len()));
        let rest = self.bytes.split_off(len);
        let front = Block::at(self.offset, std::mem::replace(&mut self.bytes, rest));
        self.offset = front.end;
        self.tail = self.tail.behind(len);
        front
    }
}

/// Cuts a stream into blocks. Memory is bounded by `max_record_bytes` plus two blocks, whatever the input.
///
/// ```
/// # use std::io::Read;
/// # use feedmill::csv::{Blocks, Dialect};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut input = &b"a,b\n1,2\n3,4\n"[..];
/// let mut blocks = Blocks::new(Dialect::default(), 256 << 10);
/// let header = loop {
///     let read = input.read(blocks.space())?;
///     blocks.advance(read);
///     if let Some(header) = blocks.header()? {
///         break header;
///     }
/// };
/// while !blocks.is_done() {
///     let read = input.read(blocks.space())?;
///     blocks.advance(read);
///     while let Some(block) = blocks.take(Vec::new) {
///         assert_eq!((block.offset, block.bytes), (4, b"1,2\n3,4\n".to_vec()));
///     }
/// }
/// # assert_eq!(header.names, ["a", "b"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Blocks {
    dialect: Dialect,
    block_bytes: usize,
    /// All of it may be written to; what has been read is the first `filled` bytes.
    buffer: Vec<u8>,
    filled: usize,
    /// Where the buffer begins in the input.
    offset: u64,
    /// `Some` while the line feed of a record that is too long is looked for: how many bytes of it were left out.
    left_out: Option<u64>,
    ended: bool,
    ending: Ending,
}

/// Whether more input could change what was taken of an input that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It could not: the last record has its line end.
    Settled,
    /// It could not if it began with a line end, which the last record lacks.
    Open,
    /// It could.
    Undecided,
}

/// What the machine may have to look at behind a record that is as long as the limit: `\r\n`.
pub(super) const LOOKAHEAD_BYTES: usize = 2;

impl Blocks {
    /// Cuts into blocks of about `block_bytes`.
    pub fn new(dialect: Dialect, block_bytes: usize) -> Self {
        let block_bytes = block_bytes.max(1);
        let buffer = vec![0; block_bytes];
        let ending = Ending::Settled;
        Blocks { dialect, block_bytes, buffer, filled: 0, offset: 0, left_out: None, ended: false, ending }
    }

    /// The same behind the header, from `offset` on, which is where a record begins.
    #[must_use]
    pub fn starting_at(self, offset: u64) -> Self {
        Blocks { offset, ..self }
    }

    /// Where the next block begins in the input.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How the input has ended, when all of it was taken.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// Where to read to; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// Says how many bytes were read to `space`; 0 is the end of input.
    pub fn advance(&mut self, read: usize) {
        self.filled += read;
        self.ended |= read == 0;
    }

    /// Whether the input has ended and all of it was taken.
    pub fn is_done(&self) -> bool {
        self.ended && self.filled == 0
    }

    /// Takes the header, or only a byte order mark if the dialect has no header; `None` when more must be read first.
    /// To be called before the first `take`.
    ///
    /// # Errors
    /// When the input cannot be what the dialect says.
    pub fn header(&mut self) -> Result<Option<Header>> {
        let header = read_header(&self.buffer[..self.filled], self.ended, &self.dialect)?;
        match &header {
            Some(header) => {
                if self.dialect.header && self.buffer[header.bytes - 1] != b'\n' {
                    self.ending = Ending::Undecided;
                }
                self.buffer.copy_within(header.bytes..self.filled, 0);
                self.filled -= header.bytes;
                self.offset += header.bytes as u64;
            }
            None if self.filled == self.buffer.len() => self.grow(),
            None => {}
        }
        Ok(header)
    }

    /// The next block, if the buffer is full or the input at its end. `spare` gives a buffer to go on with, preferably
    /// one that was used before; its content does not matter.
    pub fn take(&mut self, spare: impl FnOnce() -> Vec<u8>) -> Option<Block> {
        if self.filled == 0 || self.filled < self.buffer.len() && !self.ended {
            return None;
        }
        if let Some(left_out) = self.left_out {
            return self.take_too_long(left_out, spare);
        }
        self.take_whole(spare)
    }

    /// The whole records that are there, if the buffer is to be filled no further.
    pub fn take_rest(&mut self) -> Option<Block> {
        if self.filled == 0 || self.left_out.is_some() { None } else { self.take_whole(Vec::new) }
    }

    fn take_whole(&mut self, spare: impl FnOnce() -> Vec<u8>) -> Option<Block> {
        if self.ended {
            self.ending = ending(&mut self.buffer, self.filled, &self.dialect);
        }
        let (len, tail) = split(&self.buffer[..self.filled], self.ended, &self.dialect);
        let block = (len > 0).then(|| self.cut(len, len, spare)).map(|(bytes, offset)| Block {
            offset,
            end: offset + bytes.len() as u64,
            bytes,
            too_long: None,
            tail,
        });
        self.make_room();
        block
    }

    fn take_too_long(&mut self, left_out: u64, spare: impl FnOnce() -> Vec<u8>) -> Option<Block> {
        let kept = self.dialect.record_limit();
        let line_feed = memchr(b'\n', &self.buffer[kept..self.filled]).map(|at| kept + at);
        if line_feed.is_none() && !self.ended {
            self.leave_out(left_out);
            self.grow();
            return None;
        }
        if line_feed.is_none() {
            self.ending = Ending::Undecided;
        }
        let carriage_return = |at: usize| usize::from(at > kept && self.buffer[at - 1] == b'\r');
        let end = line_feed.map_or(self.filled, |at| at - carriage_return(at));
        let next = line_feed.map_or(end, |at| at + 1);
        let (mut bytes, offset) = self.cut(kept, next, spare);
        if line_feed.is_some() {
            bytes.push(b'\n');
        }
        self.offset += left_out;
        self.left_out = None;
        self.grow();
        let length = end as u64 + left_out;
        Some(Block { tail: Tail::end_of_input(bytes.len()), bytes, offset, end: self.offset, too_long: Some(length) })
    }

    /// Hands out the first `len` bytes, and begins a buffer with what stands behind `next`.
    fn cut(&mut self, len: usize, next: usize, spare: impl FnOnce() -> Vec<u8>) -> (Vec<u8>, u64) {
        let mut buffer = spare();
        if buffer.capacity() > 4 * self.block_bytes {
            // It has held a long record; kept, such buffers would add up.
            buffer = Vec::new();
        }
        let rest = &self.buffer[next..self.filled];
        if buffer.len() < rest.len() {
            buffer.resize(rest.len(), 0);
        }
        buffer[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
        let mut bytes = std::mem::replace(&mut self.buffer, buffer);
        bytes.truncate(len);
        let offset = self.offset;
        self.offset += next as u64;
        (bytes, offset)
    }

    /// Makes `space` what is needed to go on behind the beginning of a record.
    fn make_room(&mut self) {
        let kept = self.dialect.record_limit();
        if self.filled >= kept + LOOKAHEAD_BYTES {
            // So many bytes decide everything about a record but where its line feed is.
            self.leave_out(0);
        }
        self.grow();
    }

    /// Forgets what stands behind the part of a record that is kept, where so many bytes of it are forgotten already. A
    /// carriage return stays, because it may be half of the line end.
    fn leave_out(&mut self, already: u64) {
        let kept = self.dialect.record_limit();
        let mut end = kept;
        if self.buffer[kept..self.filled].ends_with(b"\r") {
            self.buffer[kept] = b'\r';
            end += 1;
        }
        self.left_out = Some(already + (self.filled - end) as u64);
        self.filled = end;
    }

    fn grow(&mut self) {
        // Twice as much for a record that does not fit: what is looked at again adds up to no more than its length.
        let most = self.dialect.record_limit() + LOOKAHEAD_BYTES + self.block_bytes;
        let wanted = most.min(self.filled + self.filled.max(self.block_bytes));
        if wanted > self.buffer.len() {
            self.buffer.reserve_exact(wanted - self.buffer.len());
        }
        self.buffer.resize(wanted, 0);
    }
}

/// How an input has ended of which the last bytes stand in front of `filled`. Borrows a byte behind them.
fn ending(buffer: &mut Vec<u8>, filled: usize, dialect: &Dialect) -> Ending {
    let is_closed = buffer[..filled].ends_with(b"\n");
    if buffer[..filled].ends_with(b"\r") {
        // Half of a line end, perhaps.
        return Ending::Undecided;
    }
    let end = if is_closed { filled } else { filled + 1 };
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    if !is_closed {
        buffer[filled] = b'\n';
    }
    // The verdicts that the end of the input brings about, and those that hold whatever follows.
    let mut ended = Frames::new(&buffer[..filled], Some(Tail::end_of_input(filled)), dialect);
    let mut open = Frames::new(&buffer[..end], None, dialect);
    let is_same = ended.by_ref().eq(open.by_ref().map(|frame| frame.up_to(filled)));
    match is_same && open.position() == end {
        false => Ending::Undecided,
        true if is_closed => Ending::Settled,
        true => Ending::Open,
    }
}

/// How many bytes are whole records, and what becomes of quoted fields that are open behind them.
fn split(bytes: &[u8], ended: bool, dialect: &Dialect) -> (usize, Tail) {
    let mut frames = Frames::new(bytes, ended.then(|| Tail::end_of_input(bytes.len())), dialect);
    frames.by_ref().for_each(drop);
    (frames.position(), frames.tail())
}
