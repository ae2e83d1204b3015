//! The StreamingReader: the members of the inputs of a feed in order, each as blocks of whole records. Reads when it is asked
//! for the next one, and never holds more than what it was given buffers for. What a load knows already ends where a block ends, so
//! that whoever takes a block has to do all of it or nothing.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;

use crate::csv::{Block, Blocks, DecodeColumn, Dialect, Ending};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::plan::FeedPlan;
use crate::run::load::{Known, KnownMembers};
use crate::run::shutdown::Shutdown;
use crate::sink::{Fingerprint, MemberEntry, PrefixEntry};
use crate::source::{Encoding, Input, Member, Members, OnRead, Origin, PrefixHash, expand};

/// What all blocks of a member have in common.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where the blocks come from.
    pub(super) origin: Origin,
    /// Physical lines in front of the first record that is read.
    pub(super) lines: u64,
    /// Records in front of it.
    pub(super) records: u64,
    /// The names of its columns; none if the feed has no headers.
    pub(super) names: Vec<String>,
    /// Fields of a record.
    pub(super) fields: usize,
    /// The columns to decode, in the order of their declaration.
    pub(super) columns: Vec<DecodeColumn>,
    /// The declared column that each of `columns` is.
    pub(super) declared: Vec<usize>,
}

/// A block on its way to a worker.
pub(super) struct Work {
    /// The number of its member.
    pub(super) member: u64,
    /// Its place in it.
    pub(super) seq: u64,
    /// What all blocks of the member have in common.
    pub(super) layout: Arc<Layout>,
    /// Its records; none in the block behind the last one of a member.
    pub(super) block: Block,
    /// For a load: what the member is known by up to the end of the block.
    pub(super) fingerprint: Fingerprint,
    /// Whether the member ends here.
    pub(super) is_last: bool,
    /// Whether an earlier run has loaded it, so that only its keys count.
    pub(super) is_known: bool,
}

/// What the reader did.
#[derive(Debug, Default)]
pub(super) struct ReadFigures {
    /// Bytes of text.
    pub(super) bytes: u64,
    /// Time spent reading, unpacking and splitting.
    pub(super) busy: Duration,
    /// Whether reading ended because somebody wanted it to.
    pub(super) is_interrupted: bool,
    /// For a feed that is processed incrementally: the members that were read, in order.
    pub(super) members: Vec<ReadMember>,
}

impl ReadFigures {
    /// Adds those of a block, which have no members.
    pub(super) fn add(&mut self, more: &ReadFigures) {
        self.bytes += more.bytes;
        self.busy += more.busy;
        self.is_interrupted |= more.is_interrupted;
    }
}

/// What the next run has to know of a member that was read to its end.
#[derive(Debug)]
pub(super) struct ReadMember {
    pub(super) origin: Origin,
    pub(super) names: Vec<String>,
    /// All of its bytes.
    pub(super) hash: PrefixHash,
    pub(super) ending: Ending,
    /// Where unpacking it can go on.
    pub(super) checkpoint: Vec<u8>,
}

/// Where reading a member begins.
pub(super) enum MemberStart {
    /// Nowhere: all of it is known.
    Known(PrefixEntry),
    /// Behind what is known of it.
    Behind(Box<Opened>),
    /// At its beginning.
    New,
}

/// A member that is open behind its header, or further on.
pub(super) struct Opened {
    pub(super) member: Member,
    pub(super) blocks: Blocks,
    /// The names of its columns.
    pub(super) names: Vec<String>,
    /// Physical lines in front of what is read next.
    pub(super) lines: u64,
    /// Records in front of it.
    pub(super) records: u64,
    /// The bytes in front of what is read next, if anybody wants to know.
    pub(super) hash: Option<PrefixHash>,
}

impl Opened {
    /// Reads until the space of the blocks is full or the member ends; returns how many bytes.
    pub(super) fn fill(&mut self) -> Result<usize> {
        let space = self.blocks.space();
        let read = self.member.fill(space)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&space[..read]);
        }
        self.blocks.advance(read);
        Ok(read)
    }
}

/// What a member is known by: the hash of its header and of its records.
struct Identity(blake3::Hasher);

impl Identity {
    fn new(names: &[String]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
        Identity(hasher)
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn fingerprint(&self) -> Fingerprint {
        *self.0.finalize().as_bytes()
    }
}

/// What to read of a feed, and how.
pub(super) struct ReadPlan<'a> {
    pub(super) feed: &'a FeedPlan,
    pub(super) inputs: &'a [Input],
    /// The size of blocks.
    pub(super) block_bytes: usize,
    /// Read only so many lines behind the header of each member.
    pub(super) sample: Option<u64>,
    /// Is told of bytes read from disk.
    pub(super) on_read: OnRead,
    /// For a load: what is known of the members.
    pub(super) known: Option<&'a KnownMembers>,
    /// Whether the next run wants to know what was read.
    pub(super) is_hashed: bool,
    /// Whether to come to an early end.
    pub(super) shutdown: &'a Shutdown,
}

/// Opens the members of a feed, in order.
pub(super) struct StreamingReader<'a> {
    plan: ReadPlan<'a>,
    /// The inputs that are not open yet.
    inputs: std::slice::Iter<'a, Input>,
    /// Where their members begin; nothing for a feed that is read as a whole.
    starts: std::vec::IntoIter<VecDeque<MemberStart>>,
    /// The members of the input at hand that are not open yet, and where they begin.
    members: Option<(Members, VecDeque<MemberStart>)>,
}

/// Reads a member block by block.
pub(super) struct MemberReader {
    opened: Opened,
    layout: Arc<Layout>,
    known: Known,
    /// For a load.
    identity: Option<Identity>,
    /// What is left of a block that was cut in two, where what is known ends.
    rest: Option<Block>,
    /// Blocks so far.
    blocks: u64,
    /// Where the last one ends.
    end: u64,
    shutdown: Shutdown,
    is_interrupted: bool,
}

impl<'a> StreamingReader<'a> {
    /// A reader that has read nothing yet. `starts` says for each input where its members begin; nothing for a feed that is
    /// read as a whole.
    pub(super) fn new(plan: ReadPlan<'a>, starts: Vec<VecDeque<MemberStart>>) -> Self {
        StreamingReader { inputs: plan.inputs.iter(), plan, starts: starts.into_iter(), members: None }
    }

    /// Opens the next member that has something to read.
    pub(super) fn next_member(&mut self, figures: &mut ReadFigures) -> Result<Option<MemberReader>> {
        match self.open_next(figures) {
            Err(_) if self.plan.shutdown.is_requested() => {
                figures.is_interrupted = true;
                Ok(None)
            }
            opened => opened,
        }
    }

    fn open_next(&mut self, figures: &mut ReadFigures) -> Result<Option<MemberReader>> {
        loop {
            let Some((members, starts)) = &mut self.members else {
                let Some(input) = self.inputs.next() else { return Ok(None) };
                let mut starts = self.starts.next().unwrap_or_default();
                if !input.can_be_read_again()
                    && let Some(MemberStart::Behind(opened)) = starts.pop_front()
                {
                    return self.begin(*opened, Known::New).map(Some);
                }
                self.members = Some((input.open(&self.plan.on_read)?, starts));
                continue;
            };
            let is_resumable = self.plan.is_hashed && self.plan.feed.encoding.is_none();
            let Some(member) = (if is_resumable { members.next_from(&[]) } else { members.next() }) else {
                self.members = None;
                continue;
            };
            let member = member?;
            let known = self.plan.known.map_or(Known::New, |known| known.of(member.origin()));
            let opened = match starts.pop_front() {
                Some(MemberStart::Known(_)) => continue,
                Some(MemberStart::Behind(opened)) => *opened,
                Some(MemberStart::New) | None if known == Known::Done => continue,
                Some(MemberStart::New) | None => {
                    let hash = self.plan.is_hashed.then(PrefixHash::default);
                    let ReadPlan { feed, sample, block_bytes, .. } = self.plan;
                    open_behind_header(feed, sample, block_bytes, hash, member, figures)?
                }
            };
            return self.begin(opened, known).map(Some);
        }
    }

    fn begin(&self, opened: Opened, known: Known) -> Result<MemberReader> {
        let found = layout(self.plan.feed, opened.member.origin(), &opened.names)?;
        let layout = Arc::new(Layout { lines: opened.lines, records: opened.records, ..found });
        let identity = self.plan.known.map(|_| Identity::new(&opened.names));
        let end = opened.blocks.offset();
        let shutdown = self.plan.shutdown.clone();
        Ok(MemberReader {
            opened,
            layout,
            known,
            identity,
            rest: None,
            blocks: 0,
            end,
            shutdown,
            is_interrupted: false,
        })
    }
}

impl MemberReader {
    /// The next block, as one of the member of that number; `None` when reading is to come to an early end. The one behind
    /// the last one has no records. `buffer` is taken to read on to, if one is needed.
    pub(super) fn read(
        &mut self,
        number: u64,
        buffer: &mut Vec<u8>,
        figures: &mut ReadFigures,
    ) -> Result<Option<Work>> {
        let read = match self.next(number, buffer, figures) {
            // A pipe that nobody writes to any more fails when reading is to end.
            Err(_) if self.shutdown.is_requested() => {
                self.is_interrupted = true;
                Ok(None)
            }
            read => read,
        };
        figures.is_interrupted = self.is_interrupted;
        read
    }

    /// Whether unpacking it may need many megabytes.
    pub(super) fn needs_window(&self) -> bool {
        self.opened.member.needs_window()
    }

    fn next(&mut self, number: u64, buffer: &mut Vec<u8>, figures: &mut ReadFigures) -> Result<Option<Work>> {
        loop {
            if let Some(rest) = self.rest.take() {
                return Ok(Some(self.work(number, rest, false)));
            }
            if self.is_interrupted {
                return Ok(None);
            }
            self.is_interrupted = self.shutdown.is_requested();
            let blocks = &mut self.opened.blocks;
            let block = if self.is_interrupted { blocks.take_rest() } else { blocks.take(|| std::mem::take(buffer)) };
            if let Some(block) = block {
                return Ok(Some(self.hand_on(number, block)));
            }
            if blocks.is_done() {
                let end = Block::at(self.end, Vec::new());
                return Ok(Some(self.work(number, end, true)));
            }
            if !self.is_interrupted {
                figures.bytes += self.opened.fill()? as u64;
            }
        }
    }

    /// A block, or if what is known ends within it, the first part of it.
    fn hand_on(&mut self, number: u64, mut block: Block) -> Work {
        self.end = block.end;
        let front = match self.known {
            Known::Until(known) if block.offset < known && known < block.end => {
                let front = block.take_front(known);
                self.rest = Some(block);
                front
            }
            _ => block,
        };
        self.work(number, front, false)
    }

    fn work(&mut self, member: u64, block: Block, is_last: bool) -> Work {
        let fingerprint = self.identity.as_mut().map_or_else(Fingerprint::default, |identity| {
            identity.update(&block.bytes);
            identity.fingerprint()
        });
        // That the member ends is news to a ledger that was written just in front of its end.
        let is_known = !is_last && matches!(self.known, Known::Until(end) if block.end <= end);
        let (seq, layout) = (self.blocks, Arc::clone(&self.layout));
        self.blocks += 1;
        Work { member, seq, layout, block, fingerprint, is_last, is_known }
    }

    /// What the next run has to know of it, when all of it was read.
    pub(super) fn finish(self) -> Option<ReadMember> {
        let Opened { member, blocks, names, hash, .. } = self.opened;
        let hash = hash?;
        let (origin, ending, checkpoint) = (member.origin().clone(), blocks.ending(), member.checkpoint(&hash));
        Some(ReadMember { origin, names, hash, ending, checkpoint })
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
    let on_read: OnRead = Arc::new(|_| Ok(()));
    let mut headers = Vec::new();
    for input in inputs(feed)? {
        if !input.can_be_read_again() {
            // What can be read only once is left for the run.
            continue;
        }
        for member in input.open(&on_read)? {
            let member = member?;
            let origin = member.origin().clone();
            let names = header_names(feed, member)?;
            layout(feed, &origin, &names)?;
            headers.push(MemberHeader { origin, names });
        }
    }
    Ok(headers)
}

/// The names of the columns of a member.
pub(super) fn header_names(feed: &FeedPlan, member: Member) -> Result<Vec<String>> {
    Ok(open_behind_header(feed, None, HEADER_BYTES, None, member, &mut ReadFigures::default())?.names)
}

/// As much as a header usually needs.
const HEADER_BYTES: usize = 64 << 10;

/// Whether a member still begins with what is known of it, and, if that was all of it, whether it still is.
pub(super) fn recognise(feed: &FeedPlan, member: Member, entry: &MemberEntry) -> Result<Recognised> {
    let opened = open_behind_header(feed, None, RECOGNISE_BYTES, None, member, &mut ReadFigures::default())?;
    let Opened { mut member, mut blocks, names, .. } = opened;
    let (mut identity, mut end, mut spare) = (Identity::new(&names), blocks.offset(), Vec::new());
    let (mut last_byte, mut is_longer) = (b'\n', false);
    while end < entry.byte_offset {
        let Some(mut block) = blocks.take(|| std::mem::take(&mut spare)) else {
            if blocks.is_done() {
                return Ok(Recognised::Changed);
            }
            let read = member.fill(blocks.space())?;
            blocks.advance(read);
            continue;
        };
        is_longer = block.end > entry.byte_offset;
        let known = if is_longer { block.take_front(entry.byte_offset) } else { block };
        identity.update(&known.bytes);
        end = known.end;
        last_byte = known.bytes.last().copied().unwrap_or(last_byte);
        spare = known.bytes;
    }
    if end != entry.byte_offset || identity.fingerprint() != entry.fingerprint {
        return Ok(Recognised::Changed);
    }
    let read = member.fill(blocks.space())?;
    blocks.advance(read);
    Ok(match (entry.is_complete, blocks.is_done() && !is_longer) {
        (true, true) => Recognised::Complete,
        // What was a whole record without a line end is the beginning of another one now.
        (true, false) if last_byte != b'\n' => Recognised::Changed,
        _ => Recognised::Partial,
    })
}

/// What has become of a member that was loaded, wholly or in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognised {
    /// It is the same, and all of it was loaded.
    Complete,
    /// It begins with what was loaded.
    Partial,
    /// It is another one.
    Changed,
}

/// The more, the less there is to copy from one block to the next.
const RECOGNISE_BYTES: usize = 1 << 20;

/// The inputs of a feed.
pub(super) fn inputs(feed: &FeedPlan) -> Result<Vec<Input>> {
    if feed.files.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("the feed `{}` has no files", feed.name))
            .help(format!("name them behind the pipeline file, or with --input {}=PATH", feed.name)));
    }
    expand(&feed.files)
}

/// Reads the header of a member.
fn open_behind_header(
    feed: &FeedPlan,
    sample: Option<u64>,
    block_bytes: usize,
    hash: Option<PrefixHash>,
    member: Member,
    figures: &mut ReadFigures,
) -> Result<Opened> {
    let (member, blocks) = (open(feed, sample, member)?, Blocks::new(feed.dialect, block_bytes));
    let mut opened = Opened { member, blocks, names: Vec::new(), lines: 0, records: 0, hash };
    loop {
        figures.bytes += opened.fill()? as u64;
        if let Some(header) = opened.blocks.header().map_err(|error| error.within(opened.member.origin()))? {
            return Ok(Opened { names: header.names, lines: header.lines, ..opened });
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

/// Finds the declared columns in a header; nothing stands in front of the records yet.
pub(super) fn layout(feed: &FeedPlan, origin: &Origin, names: &[String]) -> Result<Layout> {
    let Dialect { header: named, .. } = feed.dialect;
    let mut columns = Vec::new();
    let mut declared = Vec::new();
    for (index, column) in feed.columns.iter().enumerate() {
        let field = if named { find(names, &column.name, origin)? } else { index };
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
    let fields = if named { names.len() } else { feed.columns.len() };
    let (origin, names) = (origin.clone(), names.to_vec());
    Ok(Layout { origin, lines: 0, records: 0, names, fields, columns, declared })
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
