//! Whether inputs still begin with what an earlier run has processed, and reading them from there on. Decides nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::csv::Blocks;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::FeedPlan;
use crate::run::feed::panicked;
use crate::run::reader::{MemberStart, Opened, open};
use crate::run::shutdown::Shutdown;
use crate::sink::PrefixEntry;
use crate::source::{Input, Member, OnRead, PlainFile, PrefixHash, hash_section};

/// What has become of the members that an earlier run has processed.
pub(super) enum Verdict {
    /// They begin with what was processed: where each member of each input goes on.
    Same(Vec<VecDeque<MemberStart>>),
    /// One of them does not: why.
    Changed(String),
}

/// Looks at inputs, and at what is known of their members.
pub(super) struct Verifier<'a> {
    pub(super) feed: &'a FeedPlan,
    pub(super) threads: usize,
    pub(super) block_bytes: usize,
    pub(super) shutdown: &'a Shutdown,
}

/// What has become of a member: where it goes on, or why it does not.
type MemberVerdict = std::result::Result<MemberStart, String>;

impl Verifier<'_> {
    /// Compares the members of the inputs, in their order, with what is known.
    pub(super) fn verify(&self, inputs: &[Input], prefixes: &[PrefixEntry]) -> Result<Verdict> {
        let mut known = prefixes.iter();
        let mut starts = Vec::new();
        for input in inputs {
            let mut of_input = VecDeque::new();
            let plain = if self.feed.encoding.is_none() { input.open_plain()? } else { None };
            let verdicts: Vec<MemberVerdict> = match plain {
                Some(file) => vec![match known.next() {
                    Some(prefix) => self.plain(file, prefix)?,
                    None => Ok(MemberStart::New),
                }],
                // Without a prefix there is nothing to look at, and what can be read only once is left alone.
                None if known.len() == 0 => Vec::new(),
                None => {
                    let mut verdicts = Vec::new();
                    let mut members = input.open(&self.on_read())?;
                    let is_resumable = self.feed.encoding.is_none();
                    loop {
                        let prefix = known.as_slice().first();
                        let checkpoint = prefix.filter(|_| is_resumable).map_or(&[][..], |prefix| &prefix.checkpoint);
                        let Some(member) = (if is_resumable { members.next_from(checkpoint) } else { members.next() })
                        else {
                            break;
                        };
                        verdicts.push(match known.next() {
                            Some(prefix) => self.stream(member?, prefix)?,
                            None => Ok(MemberStart::New),
                        });
                        if verdicts.last().is_some_and(std::result::Result::is_err) {
                            break;
                        }
                    }
                    verdicts
                }
            };
            for verdict in verdicts {
                match verdict {
                    Ok(start) => of_input.push_back(start),
                    Err(why) => return Ok(Verdict::Changed(why)),
                }
            }
            starts.push(of_input);
        }
        match known.next() {
            Some(missing) => Ok(Verdict::Changed(format!("{} is not among the inputs any more", named(missing)))),
            None => Ok(Verdict::Same(starts)),
        }
    }

    fn on_read(&self) -> OnRead {
        let shutdown = self.shutdown.clone();
        Arc::new(
            move |_| {
                if shutdown.is_requested() { Err(std::io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
            },
        )
    }

    /// A file of which any part can be read at any time: its prefix is hashed on all cores.
    fn plain(&self, file: PlainFile, prefix: &PrefixEntry) -> Result<MemberVerdict> {
        let name = file.origin().to_string();
        if file.size() < prefix.byte_offset {
            return Ok(Err(format!("{name} is shorter than {}", processed(prefix))));
        }
        let mut hash = self.hash(&file, prefix.byte_offset)?;
        if hash.finish() != prefix.fingerprint {
            return Ok(Err(differs(&name, prefix)));
        }
        let rest = file.size() - prefix.byte_offset;
        let mut next = [0; MAX_LINE_END];
        let next = &mut next[..MAX_LINE_END.min(usize::try_from(rest).unwrap_or(MAX_LINE_END))];
        file.read_at(next, prefix.byte_offset)?;
        let line_end = match line_end(prefix, next) {
            Ok(line_end) => line_end,
            Err(why) => return Ok(Err(format!("{name} {why}"))),
        };
        hash.update(&next[..line_end]);
        let offset = prefix.byte_offset + line_end as u64;
        if offset == file.size() {
            return Ok(Ok(MemberStart::Known(behind_line_end(prefix, &hash, line_end))));
        }
        let member = file.into_member(offset, &self.on_read())?;
        Ok(Ok(self.behind(member, prefix, hash, line_end, &[])))
    }

    /// The hash of the beginning of a file.
    fn hash(&self, file: &PlainFile, bytes: u64) -> Result<PrefixHash> {
        const SECTION: u64 = PrefixHash::SECTION_BYTES as u64;
        // A section is handed on only with more behind it.
        let sections = bytes.saturating_sub(1) / SECTION;
        let hashed = Mutex::new(vec![None; sections as usize]);
        let next = AtomicU64::new(0);
        let work = || -> Result<()> {
            let mut buffer = vec![0; PrefixHash::SECTION_BYTES];
            loop {
                let section = next.fetch_add(1, Ordering::Relaxed);
                if section >= sections {
                    return Ok(());
                }
                self.check_shutdown()?;
                file.read_at(&mut buffer, section * SECTION)?;
                let hash = hash_section(section * SECTION, &buffer);
                if let Ok(mut hashed) = hashed.lock() {
                    hashed[section as usize] = Some(hash);
                }
            }
        };
        std::thread::scope(|scope| {
            let helpers = self.threads.min(sections as usize).saturating_sub(1);
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            work()?;
            helpers.into_iter().try_for_each(|helper| helper.join().unwrap_or_else(|_| Err(panicked())))
        })?;
        let mut hash = PrefixHash::default();
        let hashed = hashed.into_inner().unwrap_or_default();
        hashed.iter().flatten().for_each(|section| hash.update_section(section));
        let mut rest = vec![0; (bytes - sections * SECTION) as usize];
        file.read_at(&mut rest, sections * SECTION)?;
        hash.update(&rest);
        Ok(hash)
    }

    /// A stream, of which everything in front of what is new has to be read, from the last checkpoint on.
    fn stream(&self, member: Member, prefix: &PrefixEntry) -> Result<MemberVerdict> {
        let mut member = open(self.feed, None, member)?;
        let name = member.origin().to_string();
        let mut hash = member.hash_in_front();
        let mut buffer = vec![0; PrefixHash::SECTION_BYTES];
        while hash.bytes() < prefix.byte_offset {
            self.check_shutdown()?;
            let wanted = usize::try_from(prefix.byte_offset - hash.bytes()).unwrap_or(buffer.len()).min(buffer.len());
            let read = member.fill(&mut buffer[..wanted])?;
            hash.update(&buffer[..read]);
            if read == 0 {
                return Ok(Err(format!("{name} is shorter than {}", processed(prefix))));
            }
        }
        if hash.finish() != prefix.fingerprint {
            return Ok(Err(differs(&name, prefix)));
        }
        let read = member.fill(&mut buffer[..MAX_LINE_END])?;
        let next = &buffer[..read];
        let line_end = match line_end(prefix, next) {
            Ok(line_end) => line_end,
            Err(why) => return Ok(Err(format!("{name} {why}"))),
        };
        hash.update(&next[..line_end]);
        if next.len() == line_end {
            let mut more = [0];
            if member.fill(&mut more)? == 0 {
                return Ok(Ok(MemberStart::Known(behind_line_end(prefix, &hash, line_end))));
            }
            return Ok(Ok(self.behind(member, prefix, hash, line_end, &more)));
        }
        Ok(Ok(self.behind(member, prefix, hash, line_end, &next[line_end..])))
    }

    /// A member that goes on behind a prefix and its line end, with bytes that were read already.
    fn behind(
        &self,
        member: Member,
        prefix: &PrefixEntry,
        mut hash: PrefixHash,
        line_end: usize,
        read: &[u8],
    ) -> MemberStart {
        let mut blocks = Blocks::new(self.feed.dialect, self.block_bytes.max(read.len())).starting_at(hash.bytes());
        blocks.space()[..read.len()].copy_from_slice(read);
        if !read.is_empty() {
            blocks.advance(read.len());
            hash.update(read);
        }
        MemberStart::Behind(Box::new(Opened {
            member,
            blocks,
            names: prefix.header.clone(),
            lines: prefix.lines + u64::from(line_end > 0),
            records: prefix.records,
            hash: Some(hash),
        }))
    }

    fn check_shutdown(&self) -> Result<()> {
        if self.shutdown.is_requested() {
            let message = format!("interrupted while looking at `{}`; none of its tables was touched", self.feed.name);
            return Err(Error::new(ErrorKind::Interrupted, message).help("run the same command again"));
        }
        Ok(())
    }
}

/// The longest line end: `\r\n`.
const MAX_LINE_END: usize = 2;

/// How many of the bytes behind a prefix are the line end that its last record lacks, or why it cannot go on.
fn line_end(prefix: &PrefixEntry, next: &[u8]) -> std::result::Result<usize, &'static str> {
    if next.is_empty() || (prefix.is_complete && prefix.is_settled) {
        return Ok(0);
    }
    if !prefix.is_settled {
        return Err("goes on behind a last record that was not whole");
    }
    match next {
        [b'\n', ..] => Ok(1),
        [b'\r', b'\n'] => Ok(2),
        _ => Err("goes on within its last record, which had no line end"),
    }
}

/// What is known of a member when nothing but a line end has come.
fn behind_line_end(prefix: &PrefixEntry, hash: &PrefixHash, line_end: usize) -> PrefixEntry {
    if line_end == 0 {
        return prefix.clone();
    }
    let (byte_offset, fingerprint) = (hash.bytes(), hash.finish());
    PrefixEntry { byte_offset, fingerprint, lines: prefix.lines + 1, is_complete: true, ..prefix.clone() }
}

fn differs(name: &str, prefix: &PrefixEntry) -> String {
    format!("{name} does not begin with {}", processed(prefix))
}

fn processed(prefix: &PrefixEntry) -> String {
    let PrefixEntry { byte_offset, records, .. } = prefix;
    format!("what was processed of {}: {records} records, {byte_offset} bytes", named(prefix))
}

fn named(prefix: &PrefixEntry) -> String {
    match prefix.member.as_str() {
        "" => prefix.input.clone(),
        member => format!("{}!{member}", prefix.input),
    }
}
