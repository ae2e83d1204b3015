//! What a load begins with: what the database knows of its inputs, and whether to go on, to begin, or to do nothing.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::FeedPlan;
use crate::run::reader::{Recognised, recognise};
use crate::sink::{DeadLetterWriter, KeyState, LoadLedger, MemberEntry, Mode, Sink, TableId, TableLayout};
use crate::source::{Input, OnRead, Origin};

/// How far a member of an input is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Not at all.
    New,
    /// Up to this offset; it is read again for the sake of its keys.
    Until(u64),
    /// Wholly, and nothing of it is needed any more.
    Done,
}

/// What is known of the members of all inputs.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownMembers(HashMap<Origin, Known>);

impl KnownMembers {
    /// What is known of a member.
    pub(super) fn of(&self, origin: &Origin) -> Known {
        self.0.get(origin).copied().unwrap_or(Known::New)
    }
}

/// A load, ready to read its inputs.
#[derive(Debug)]
pub(super) struct OpenLoad {
    /// Its table.
    pub(super) table: TableId,
    /// Its table's key.
    pub(super) key: KeyState,
    /// Its state so far.
    pub(super) ledger: LoadLedger,
    /// What is known of its inputs.
    pub(super) known: KnownMembers,
    /// Whether the rows are committed in batches, each with its entry in the ledger.
    pub(super) in_batches: bool,
    /// Whether it goes on with a load that was interrupted.
    pub(super) is_resumed: bool,
    /// Whether all inputs are loaded already.
    pub(super) is_done: bool,
}

/// Opens the table of a feed that makes one table of rows, and finds out what is left to do.
pub(super) fn open(
    feed: &FeedPlan,
    layout: &TableLayout,
    inputs: &[Input],
    has_limit: bool,
    sink: &mut dyn Sink,
) -> Result<OpenLoad> {
    let load = sink.open_load(layout)?;
    let mode = sink.mode();
    // Rows of an input that can be read only once, rows that a limit may still take back, and rows in the place of a table
    // that is to stay until it can be replaced, are committed all at once.
    let can_be_repeated = inputs.iter().all(|input| input.size().is_some());
    let mut open = OpenLoad {
        table: load.table,
        key: load.key,
        ledger: LoadLedger { definition: layout.definition.clone(), load: 1, ..LoadLedger::default() },
        known: KnownMembers::default(),
        in_batches: can_be_repeated && !has_limit && mode != Mode::Replace,
        is_resumed: false,
        is_done: false,
    };
    let Some(ledger) = load.ledger else { return Ok(open) };
    let is_same = ledger.definition == layout.definition;
    let members = members(feed, inputs, &ledger)?;
    let count = |wanted: Recognised| members.iter().filter(|(_, known)| *known == Some(wanted)).count();
    let unfinished = || ledger.members.iter().filter(|entry| entry.load == ledger.load);
    let is_covered = unfinished().all(|entry| {
        let is_it = |(origin, known): &(Origin, Option<Recognised>)| {
            *origin.input == *entry.input
                && origin.member.as_deref().unwrap_or("") == entry.member
                && !matches!(known, None | Some(Recognised::Changed))
        };
        members.iter().any(is_it)
    });
    if !ledger.is_finished && is_same && is_covered {
        open.is_resumed = true;
    } else if mode == Mode::Create {
        refuse_to_add(
            layout,
            &ledger,
            is_same,
            count(Recognised::Changed),
            members.len() - count(Recognised::Complete),
        )?;
        open.is_done = true;
    } else {
        if !ledger.is_finished && open.key == KeyState::Deferred {
            sink.build_key(open.table)?;
            open.key = KeyState::Indexed;
        }
        open.is_done = can_be_repeated && count(Recognised::Complete) == members.len();
    }
    let last = ledger.load;
    open.ledger = LoadLedger { definition: layout.definition.clone(), ..ledger };
    if !open.is_resumed && !open.is_done {
        open.ledger.load += 1;
        open.ledger.is_finished = false;
        open.ledger.letters = Default::default();
    }
    for (origin, known) in members {
        let entry = open.ledger.member(&origin.input, origin.member.as_deref().unwrap_or(""));
        let known = match (known, entry) {
            (Some(Recognised::Complete), Some(entry)) if !open.is_resumed || entry.load != last => Known::Done,
            (Some(Recognised::Complete | Recognised::Partial), Some(entry)) => Known::Until(entry.byte_offset),
            _ => Known::New,
        };
        open.known.0.insert(origin, known);
    }
    Ok(open)
}

/// In the mode that only makes tables: complains unless there is nothing to add.
fn refuse_to_add(layout: &TableLayout, ledger: &LoadLedger, is_same: bool, changed: usize, new: usize) -> Result<()> {
    let table = &layout.name;
    let (message, help) = if !is_same {
        let message = format!("the table `{table}` was loaded by another version of this pipeline");
        (message, "--mode append adds to it what is new, replace makes it anew, upsert updates it")
    } else if !ledger.is_finished {
        let inputs: Vec<&str> = ledger.members.iter().map(|entry| entry.input.as_str()).collect();
        let message = format!("the load of {} into `{table}` is not finished", inputs.join(", "));
        (
            message,
            "run it with the same inputs to go on; --mode append adds others to it as it is, replace makes it anew",
        )
    } else if changed > 0 {
        let message = format!("{changed} of the inputs that `{table}` was loaded from have changed since");
        (message, "--mode append adds their records, replace makes the table anew, upsert updates it")
    } else if new > 0 {
        let message = format!("the table `{table}` is there already, and there are records to add to it");
        (message, "--mode append adds them, replace makes the table anew, upsert updates it")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Output, message).help(help))
}

/// The members of the inputs, with what has become of those that the ledger knows.
fn members(feed: &FeedPlan, inputs: &[Input], ledger: &LoadLedger) -> Result<Vec<(Origin, Option<Recognised>)>> {
    let on_read: OnRead = Arc::new(|_| Ok(()));
    let mut members = Vec::new();
    for input in inputs {
        if input.size().is_none() {
            // It can be read only once, and that is what the load does.
            members.push((Origin { input: input.name().into(), member: None }, None));
            continue;
        }
        for member in input.open(&on_read)? {
            let member = member?;
            let origin = member.origin().clone();
            let entry = ledger.member(&origin.input, origin.member.as_deref().unwrap_or(""));
            let recognised = entry.map(|entry| recognise(feed, member, entry)).transpose()?;
            members.push((origin, recognised));
        }
    }
    Ok(members)
}

impl OpenLoad {
    /// What the ledger says of a member before the next record of it is loaded.
    pub(super) fn entry_of(&self, origin: &Origin, header: &[String]) -> MemberEntry {
        let member = origin.member.as_deref().unwrap_or("");
        let entry = match self.known.of(origin) {
            Known::Until(_) => self.ledger.member(&origin.input, member).cloned(),
            Known::New | Known::Done => None,
        };
        let fresh = || {
            let load = self.ledger.members.iter().find(|entry| entry.input == *origin.input && entry.member == member);
            match load {
                Some(entry) if entry.load == self.ledger.load => entry.clone(),
                _ => {
                    MemberEntry { input: origin.input.to_string(), member: member.to_owned(), ..MemberEntry::default() }
                }
            }
        };
        MemberEntry { header: header.to_vec(), load: self.ledger.load, ..entry.unwrap_or_else(fresh) }
    }

    /// Takes in how far members have come, and returns what the ledger of the table has to learn.
    pub(super) fn remember(&mut self, entries: Vec<MemberEntry>) -> LoadLedger {
        for entry in &entries {
            let known =
                self.ledger.members.iter_mut().find(|known| known.input == entry.input && known.member == entry.member);
            match known {
                Some(known) => known.clone_from(entry),
                None => self.ledger.members.push(entry.clone()),
            }
        }
        let LoadLedger { definition, load, is_finished, letters, .. } = &self.ledger;
        let (definition, load, is_finished, letters) = (definition.clone(), *load, *is_finished, *letters);
        LoadLedger { definition, load, is_finished, letters, members: entries }
    }

    /// Lets the dead letters go on where those of the interrupted load ended.
    pub(super) fn resume_letters(&self, letters: &mut DeadLetterWriter) -> Result<()> {
        if self.is_resumed { letters.resume(&self.ledger.letters) } else { Ok(()) }
    }
}
