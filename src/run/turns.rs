//! Turns at reading: each worker reads the next block of a member that no other one reads from, and works on it while its
//! bytes are in the cache of its core. The members that are open come in order, so that a worker goes on with a later one
//! only while others read from all the earlier ones. Knows nothing of what is read, and starts no thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::run::reader::{MemberReader, ReadFigures, ReadMember, StreamingReader, Work};

/// What may wait for members whose turn it is, and some more, since it is looked at before the next block is read.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// The members of a feed, one after the other or several at once.
pub(super) struct Turns<'a> {
    /// How many members are open at once, unless one of them needs a large window to be unpacked: then no further one is.
    members_at_once: usize,
    state: Mutex<State<'a>>,
    /// Notified whenever a worker that waits may have something to do.
    changed: Condvar,
}

struct State<'a> {
    /// Opens the next member; none while a worker does so, and when there is none any more or nobody wants it.
    reader: Option<StreamingReader<'a>>,
    /// The number of the next member.
    next: u64,
    /// Open members that nobody reads from right now, by their numbers.
    idle: BTreeMap<u64, MemberReader>,
    /// The numbers of those that somebody reads from, or opens.
    taken: BTreeSet<u64>,
    /// Open members that need a large window.
    large: usize,
    /// For members whose turn has not come: what has to wait for that, in bytes.
    waiting: BTreeMap<u64, usize>,
    /// Members that were read to their end, as the next run has to know them.
    read: BTreeMap<u64, ReadMember>,
    figures: ReadFigures,
    /// What is wrong with the first member that is not as it should be. Those in front of it are read to their ends.
    failure: Option<(u64, Error)>,
    is_stopped: bool,
}

impl<'a> Turns<'a> {
    /// All members are still to be read, so many at once.
    pub(super) fn new(reader: StreamingReader<'a>, members_at_once: usize) -> Self {
        let state = State {
            reader: Some(reader),
            next: 0,
            idle: BTreeMap::new(),
            taken: BTreeSet::new(),
            large: 0,
            waiting: BTreeMap::new(),
            read: BTreeMap::new(),
            figures: ReadFigures::default(),
            failure: None,
            is_stopped: false,
        };
        Turns { members_at_once, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next block; `None` when there is none, or reading has come to an early end. `buffer` is taken to read on to, if
    /// one is needed.
    pub(super) fn next(&self, buffer: &mut Vec<u8>) -> Option<Work> {
        loop {
            let (number, mut member) = self.take()?;
            let started = Instant::now();
            let mut figures = ReadFigures::default();
            let work = member.read(number, buffer, &mut figures);
            figures.busy = started.elapsed();
            let mut state = self.lock();
            state.figures.add(&figures);
            let is_idle = state.put_back(number, member, &work);
            match work {
                Ok(Some(work)) => {
                    // Of those who wait for one member only one can have it.
                    if is_idle {
                        self.changed.notify_one()
                    } else {
                        self.changed.notify_all()
                    }
                    return Some(work);
                }
                Ok(None) => state.stop(),
                Err(error) => state.fail(number, error),
            }
            self.changed.notify_all();
        }
    }

    /// Notes that so many bytes of what has become of a block will wait until all members in front of its own were read.
    pub(super) fn note(&self, number: u64, bytes: usize) {
        let mut state = self.lock();
        if state.first().is_some_and(|first| first < number) {
            let waiting = state.waiting.entry(number).or_default();
            *waiting = waiting.saturating_add(bytes);
        }
    }

    /// Nobody wants more.
    pub(super) fn stop(&self) {
        self.lock().stop();
        self.changed.notify_all();
    }

    /// What was read, or why not all of it.
    pub(super) fn finish(self) -> Result<ReadFigures> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let figures = ReadFigures { members: state.read.into_values().collect(), ..state.figures };
        match state.failure {
            Some((_, error)) if !figures.is_interrupted => Err(error),
            _ => Ok(figures),
        }
    }

    /// The first member that nobody reads from.
    fn take(&self) -> Option<(u64, MemberReader)> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            let may_go_ahead = state.may_go_ahead();
            let is_idle = |(number, _): &(&u64, &MemberReader)| may_go_ahead || state.first() == Some(**number);
            if state.idle.first_key_value().filter(is_idle).is_some()
                && let Some((number, member)) = state.idle.pop_first()
            {
                state.taken.insert(number);
                return Some((number, member));
            }
            let is_room = state.taken.len() < self.members_at_once && state.large == 0 && may_go_ahead;
            if is_room && let Some(reader) = state.reader.take() {
                let number = state.next;
                state.next += 1;
                state.taken.insert(number);
                drop(state);
                let opened = self.open(number, reader);
                self.changed.notify_all();
                if opened.is_some() {
                    return opened;
                }
                state = self.lock();
            } else if state.taken.is_empty() {
                return None;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Opens the next member, if there is one, while others read.
    fn open(&self, number: u64, mut reader: StreamingReader<'a>) -> Option<(u64, MemberReader)> {
        let started = Instant::now();
        let mut figures = ReadFigures::default();
        let opened = reader.next_member(&mut figures);
        figures.busy = started.elapsed();
        let mut state = self.lock();
        state.figures.add(&figures);
        match opened {
            Ok(Some(member)) if !state.is_stopped => {
                state.large += usize::from(member.needs_window());
                if state.failure.is_none() {
                    state.reader = Some(reader);
                }
                return Some((number, member));
            }
            Ok(_) => {}
            Err(error) => state.fail(number, error),
        }
        state.taken.remove(&number);
        None
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<'_> {
    /// Takes back a member that was read from; whether somebody else may read from it now.
    fn put_back(&mut self, number: u64, member: MemberReader, read: &Result<Option<Work>>) -> bool {
        self.taken.remove(&number);
        let is_wanted = !self.is_stopped && self.failure.as_ref().is_none_or(|(failed, _)| *failed > number);
        let is_last = matches!(read, Ok(Some(work)) if work.is_last);
        if is_wanted && !is_last && matches!(read, Ok(Some(_))) {
            self.idle.insert(number, member);
            return true;
        }
        self.large -= usize::from(member.needs_window());
        if is_last {
            self.read.extend(member.finish().map(|read| (number, read)));
        }
        // What waited for those that are read now waits no more.
        self.waiting = self.waiting.split_off(&self.first().unwrap_or(self.next));
        false
    }

    /// The first member that is not read to its end.
    fn first(&self) -> Option<u64> {
        self.idle.keys().chain(&self.taken).min().copied()
    }

    /// Whether there is room for what would have to wait.
    fn may_go_ahead(&self) -> bool {
        let Some(first) = self.first() else { return true };
        self.waiting.range(first + 1..).fold(0usize, |all, (_, bytes)| all.saturating_add(*bytes)) < WAITING_BYTES_MAX
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.reader = None;
        self.idle.clear();
    }

    /// Sees to it that no later member is read.
    fn fail(&mut self, number: u64, error: Error) {
        self.reader = None;
        self.idle.retain(|idle, _| *idle < number);
        if self.failure.as_ref().is_none_or(|(first, _)| number < *first) {
            self.failure = Some((number, error));
        }
    }
}
