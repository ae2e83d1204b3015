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
#[derive(Debug, Default)]
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
    /// Its state so far, without the members.
    pub(super) ledger: LoadLedger,
    /// What the ledger knows of members.
    members: HashMap<Origin, MemberEntry>,
    /// What is known of its inputs.
    pub(super) known: KnownMembers,
    /// Whether all inputs can be read again, so that an interrupted load can go on.
    pub(super) can_be_repeated: bool,
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
    let mode = sink.mode();
    if mode == Mode::Upsert && layout.primary_key.is_empty() {
        let message = format!("the table `{}` has no key to update rows by", layout.name);
        return Err(Error::new(ErrorKind::Output, message).help("give it a primary_key, or use --mode append"));
    }
    let load = sink.open_load(layout)?;
    // Rows of an input that can be read only once, rows that a limit may still take back, and rows in the place of a table
    // that is to stay until it can be replaced, are committed all at once.
    let can_be_repeated = inputs.iter().all(Input::can_be_read_again);
    let mut open = OpenLoad {
        table: load.table,
        key: load.key,
        ledger: LoadLedger { definition: layout.definition.clone(), load: 1, ..LoadLedger::default() },
        members: HashMap::new(),
        known: KnownMembers::default(),
        can_be_repeated,
        in_batches: load.in_batches && can_be_repeated && !has_limit && mode != Mode::Replace,
        is_resumed: false,
        is_done: false,
    };
    let Some(mut ledger) = load.ledger else { return Ok(open) };
    open.members = std::mem::take(&mut ledger.members).into_iter().map(|entry| (origin_of(&entry), entry)).collect();
    let is_same = ledger.definition == layout.definition;
    let recognised = recognise_all(feed, inputs, &open.members)?;
    let count = |wanted: Recognised| recognised.values().filter(|known| **known == Some(wanted)).count();
    let is_there =
        |origin: &Origin| matches!(recognised.get(origin), Some(Some(Recognised::Complete | Recognised::Partial)));
    let is_covered = open.members.iter().all(|(origin, entry)| entry.load != ledger.load || is_there(origin));
    let last = ledger.load;
    if !ledger.is_finished && is_same && is_covered {
        open.is_resumed = true;
        if mode == Mode::Upsert {
            open.build_key(sink)?;
        }
    } else if mode == Mode::Create {
        let new = recognised.len() - count(Recognised::Complete);
        refuse_to_add(layout, &ledger, &open.members, is_same, count(Recognised::Changed), new)?;
        open.is_done = true;
    } else {
        open.build_key(sink)?;
        open.is_done = can_be_repeated && count(Recognised::Complete) == recognised.len();
        if !ledger.is_finished {
            ledger.is_finished = true;
            sink.write_ledger(open.table, &ledger)?;
        }
    }
    open.ledger = LoadLedger { definition: layout.definition.clone(), ..ledger };
    if !open.is_resumed && !open.is_done {
        open.ledger.load += 1;
        open.ledger.is_finished = false;
        open.ledger.letters_before = std::mem::take(&mut open.ledger.letters);
    }
    for (origin, recognised) in recognised {
        let known = match (recognised, open.members.get(&origin)) {
            (Some(Recognised::Complete), Some(entry)) if !open.is_resumed || entry.load != last => Known::Done,
            (Some(Recognised::Complete | Recognised::Partial), Some(entry)) => Known::Until(entry.byte_offset),
            _ => {
                open.members.remove(&origin);
                Known::New
            }
        };
        open.known.0.insert(origin, known);
    }
    Ok(open)
}

pub(super) fn origin_of(entry: &MemberEntry) -> Origin {
    let member = (!entry.member.is_empty()).then(|| entry.member.as_str().into());
    Origin { input: entry.input.as_str().into(), member }
}

/// In the mode that only makes tables: complains unless there is nothing to add.
fn refuse_to_add(
    layout: &TableLayout,
    ledger: &LoadLedger,
    members: &HashMap<Origin, MemberEntry>,
    is_same: bool,
    changed: usize,
    new: usize,
) -> Result<()> {
    let table = &layout.name;
    let (message, help) = if !is_same {
        let message = format!("the table `{table}` was loaded by another version of this pipeline");
        (message, "--mode append adds to it what is new, replace makes it anew, upsert updates it")
    } else if !ledger.is_finished {
        let mut inputs: Vec<&str> = members.values().map(|entry| entry.input.as_str()).collect();
        inputs.sort_unstable();
        inputs.dedup();
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
fn recognise_all(
    feed: &FeedPlan,
    inputs: &[Input],
    known: &HashMap<Origin, MemberEntry>,
) -> Result<HashMap<Origin, Option<Recognised>>> {
    let on_read: OnRead = Arc::new(|_| Ok(()));
    let mut members = HashMap::new();
    for input in inputs {
        if !input.can_be_read_again() {
            // It can be read only once, and that is what the load does.
            members.insert(Origin { input: input.name().into(), member: None }, None);
            continue;
        }
        for member in input.open(&on_read)? {
            let member = member?;
            let origin = member.origin().clone();
            let recognised = known.get(&origin).map(|entry| recognise(feed, member, entry)).transpose()?;
            members.insert(origin, recognised);
        }
    }
    Ok(members)
}

impl OpenLoad {
    /// Gives the table its key, where that was left for later.
    pub(super) fn build_key(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.key == KeyState::Deferred {
            sink.build_key(self.table)?;
            self.key = KeyState::Indexed;
        }
        Ok(())
    }

    /// What the ledger says of a member before the next record of it is loaded.
    pub(super) fn entry_of(&self, origin: &Origin, header: &[String]) -> MemberEntry {
        let known = self.members.get(origin).cloned().unwrap_or_else(|| MemberEntry {
            input: origin.input.to_string(),
            member: origin.member.as_deref().unwrap_or("").to_owned(),
            ..MemberEntry::default()
        });
        MemberEntry { header: header.to_vec(), load: self.ledger.load, ..known }
    }

    /// Takes in how far members have come, and returns what the ledger of the table has to learn.
    pub(super) fn remember(&mut self, members: Vec<MemberEntry>) -> LoadLedger {
        self.members.extend(members.iter().map(|entry| (origin_of(entry), entry.clone())));
        LoadLedger { members, ..self.ledger.clone() }
    }

    /// Lets the dead letters go on where those of the interrupted load ended.
    pub(super) fn resume_letters(&self, letters: &mut DeadLetterWriter) -> Result<()> {
        if self.is_resumed { letters.resume(&self.ledger.letters) } else { Ok(()) }
    }
}
