//! The StreamingReader: one thread that reads the inputs of a feed in order and hands out blocks of whole records.
//! Never holds more than the blocks that it was given buffers for.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use memchr::memchr_iter;

use crate::csv::{Block, Blocks, DecodeColumn, Dialect, Header};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::plan::FeedPlan;
use crate::source::{Encoding, Input, Member, OnRead, Origin, expand};

/// What all blocks of a member have in common.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where the blocks come from.
    pub(super) origin: Origin,
    /// Physical lines in front of the first record.
    pub(super) header_lines: u64,
    /// Fields of a record.
    pub(super) fields: usize,
    /// The columns to decode, in the order of their declaration.
    pub(super) columns: Vec<DecodeColumn>,
    /// The declared column that each of `columns` is.
    pub(super) declared: Vec<usize>,
}

/// A block on its way to a worker.
pub(super) struct Work {
    /// Its place in the feed.
    pub(super) seq: u64,
    /// Its member.
    pub(super) layout: Arc<Layout>,
    /// Its records.
    pub(super) block: Block,
}

/// What the reader did.
#[derive(Debug, Default)]
pub(super) struct ReadFigures {
    /// Bytes of text.
    pub(super) bytes: u64,
    /// Time spent reading, unpacking and splitting.
    pub(super) busy: Duration,
}

/// Reads a feed.
pub(super) struct StreamingReader<'a> {
    pub(super) feed: &'a FeedPlan,
    pub(super) inputs: &'a [Input],
    /// The size of blocks.
    pub(super) block_bytes: usize,
    /// Read only so many lines behind the header of each member.
    pub(super) sample: Option<u64>,
    /// Is told of bytes read from disk.
    pub(super) on_read: OnRead,
}

impl StreamingReader<'_> {
    /// Reads everything. `buffers` gives the buffers that blocks are read to; when the other side of either channel is
    /// gone, nobody wants more and reading ends.
    pub(super) fn run(&self, buffers: &Receiver<Vec<u8>>, blocks: &Sender<Work>) -> Result<ReadFigures> {
        let mut figures = ReadFigures::default();
        let mut seq = 0;
        for input in self.inputs {
            for member in input.open(&self.on_read)? {
                if !self.read_member(open(self.feed, self.sample, member?)?, &mut seq, &mut figures, buffers, blocks)? {
                    return Ok(figures);
                }
            }
        }
        Ok(figures)
    }

    /// Reads a member; false when nobody wants more.
    fn read_member(
        &self,
        mut member: Member,
        seq: &mut u64,
        figures: &mut ReadFigures,
        buffers: &Receiver<Vec<u8>>,
        out: &Sender<Work>,
    ) -> Result<bool> {
        let mut blocks = Blocks::new(self.feed.dialect, self.block_bytes);
        let mut started = Instant::now();
        let header = read_header(&mut member, &mut blocks, figures)?;
        let layout = Arc::new(layout(self.feed, member.origin(), &header)?);
        loop {
            while let Some(block) = blocks.take(|| {
                figures.busy += started.elapsed();
                let buffer = buffers.recv().unwrap_or_default();
                started = Instant::now();
                buffer
            }) {
                figures.busy += started.elapsed();
                let work = Work { seq: *seq, layout: Arc::clone(&layout), block };
                *seq += 1;
                if out.send(work).is_err() {
                    return Ok(false);
                }
                started = Instant::now();
            }
            if blocks.is_done() {
                figures.busy += started.elapsed();
                return Ok(true);
            }
            let read = member.fill(blocks.space())?;
            blocks.advance(read);
            figures.bytes += read as u64;
        }
    }
}

/// The header of a member.
#[derive(Debug)]
pub struct MemberHeader {
    /// The member.
    pub origin: Origin,
    /// The names of its columns; none if the feed has no headers.
    pub names: Vec<String>,
}

/// Reads the header of each member of each input of a feed, and checks that the declared columns are there.
///
/// # Errors
/// When an input cannot be read or a column is missing.
pub fn headers(feed: &FeedPlan) -> Result<Vec<MemberHeader>> {
    let on_read: OnRead = Arc::new(|_| ());
    let mut headers = Vec::new();
    for input in inputs(feed)? {
        if input.size().is_none() {
            // What can be read only once is left for the run.
            continue;
        }
        for member in input.open(&on_read)? {
            let mut member = open(feed, None, member?)?;
            let mut blocks = Blocks::new(feed.dialect, HEADER_BYTES);
            let header = read_header(&mut member, &mut blocks, &mut ReadFigures::default())?;
            layout(feed, member.origin(), &header)?;
            headers.push(MemberHeader { origin: member.origin().clone(), names: header.names });
        }
    }
    Ok(headers)
}

/// As much as a header usually needs.
const HEADER_BYTES: usize = 64 << 10;

/// The inputs of a feed.
pub(super) fn inputs(feed: &FeedPlan) -> Result<Vec<Input>> {
    if feed.files.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("the feed `{}` has no files", feed.name))
            .help(format!("name them behind the pipeline file, or with --input {}=PATH", feed.name)));
    }
    expand(&feed.files)
}

fn read_header(member: &mut Member, blocks: &mut Blocks, figures: &mut ReadFigures) -> Result<Header> {
    loop {
        let read = member.fill(blocks.space())?;
        blocks.advance(read);
        figures.bytes += read as u64;
        if let Some(header) = blocks.header().map_err(|error| error.within(member.origin()))? {
            return Ok(header);
        }
    }
}

/// A member as the feed declares it: decoded, and cut short for a sample.
pub fn open(feed: &FeedPlan, sample: Option<u64>, member: Member) -> Result<Member> {
    let member = match &feed.encoding {
        Some(label) => member.decode(Encoding::parse(label)?),
        None => member,
    };
    Ok(match sample {
        Some(lines) => {
            let origin = member.origin().clone();
            let left = lines.saturating_add(u64::from(feed.dialect.header));
            Member::new(origin, Box::new(FirstLines { inner: member, left }))
        }
        None => member,
    })
}

/// The first lines of a stream.
struct FirstLines<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for FirstLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        match memchr_iter(b'\n', &buffer[..read]).nth(self.left as usize - 1) {
            Some(last) => {
                self.left = 0;
                Ok(last + 1)
            }
            None => {
                self.left -= memchr_iter(b'\n', &buffer[..read]).count() as u64;
                Ok(read)
            }
        }
    }
}

/// Finds the declared columns in a header.
fn layout(feed: &FeedPlan, origin: &Origin, header: &Header) -> Result<Layout> {
    let Dialect { header: named, .. } = feed.dialect;
    let mut columns = Vec::new();
    let mut declared = Vec::new();
    for (index, column) in feed.columns.iter().enumerate() {
        let field = if named { find(&header.names, &column.name, origin)? } else { index };
        if column.used {
            columns.push(DecodeColumn {
                name: column.name.clone(),
                field,
                data_type: column.data_type,
                not_null: column.not_null,
                nullify: column.nullify,
            });
            declared.push(index);
        }
    }
    let fields = if named { header.names.len() } else { feed.columns.len() };
    Ok(Layout { origin: origin.clone(), header_lines: header.lines, fields, columns, declared })
}

fn find(names: &[String], wanted: &str, origin: &Origin) -> Result<usize> {
    let mut places = names.iter().enumerate().filter(|(_, name)| name.as_str() == wanted).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => {
            Err(Error::new(ErrorKind::Input, format!("{origin}: the header has the column `{wanted}` twice")))
        }
        (None, _) => {
            let error =
                Error::new(ErrorKind::Input, format!("{origin}: the header lacks the declared column `{wanted}`"));
            let shown: Vec<String> = names.iter().take(SHOWN_NAMES).map(|name| shorten(name)).collect();
            let header = format!("the header is: {}", shown.join(", "));
            Err(match did_you_mean(wanted, names.iter().map(String::as_str)) {
                Some(help) => error.help(format!("{help} {header}")),
                None => error.help(header),
            })
        }
    }
}

/// How much of a header is shown in an error.
const SHOWN_NAMES: usize = 20;

fn shorten(name: &str) -> String {
    let mut short: String = name.chars().filter(|character| !character.is_control()).take(40).collect();
    if short.len() < name.len() {
        short.push_str("...");
    }
    short
}
