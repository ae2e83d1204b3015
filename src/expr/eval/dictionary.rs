//! Expressions of few distinct values, computed once for each of them: of a text, of a date, or of several of these. Which
//! nodes those are is decided in `domains`; how they are computed, in `kernels`.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::chunk::{Column, Interner, Span, Text, Values};
use crate::expr::eval::DictionaryLimits;
use crate::expr::eval::domains::{Distinct, Key};
use crate::expr::kernels::{Evaluated, Fault};
use crate::expr::program::NodeId;

/// The distinct values of its key, numbered in order of first appearance, and what nodes are for each of them.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) plan: Distinct,
    /// Whether it is still in use: what has few repeated values is better computed row by row.
    pub(super) active: bool,
    /// Counts the times that all entries were forgotten.
    pub(super) generation: u64,
    /// The entry of each row of the chunk at hand.
    pub(super) codes: Vec<u32>,
    /// What nodes are for each entry, for the nodes that are wanted outside.
    pub(super) memos: Vec<(NodeId, Evaluated)>,
    values: Numbered,
    /// The numbers of the texts at hand, kept for its allocation.
    numbers: Vec<u32>,
    /// For pairs: the generations of what they are made of.
    generations_of_parts: [u64; 2],
    null_code: Option<u32>,
    count: u32,
    limits: DictionaryLimits,
    window: Window,
}

/// How values are told apart.
#[derive(Debug)]
enum Numbered {
    /// The code of each number of the interner, and the texts.
    Texts(Interner, Vec<u32>),
    Days(Days),
    /// Entries of two other dictionaries.
    Pairs(Slots<(u32, u32)>),
}

/// A slot for the code of each key: at a place of its own for the keys that have one, which a table holds.
#[derive(Debug, Default)]
struct Slots<K> {
    near: Vec<u32>,
    far: HashMap<K, u32>,
}

/// Dates near the first one are found by their distance from it.
#[derive(Debug, Default)]
struct Days {
    /// The first day with a place.
    base: Option<i64>,
    slots: Slots<i64>,
}

const UNKNOWN: u32 = u32::MAX;

/// Rows since the last decision on whether the dictionary pays.
#[derive(Debug, Default)]
struct Window {
    rows: usize,
    new: usize,
    first_is_over: bool,
}

impl Dictionary {
    pub(super) fn new(plan: Distinct, memos: Vec<(NodeId, Evaluated)>, limits: DictionaryLimits) -> Self {
        Dictionary {
            values: Numbered::new(plan.key),
            plan,
            active: true,
            generation: 0,
            codes: Vec::new(),
            memos,
            numbers: Vec::new(),
            generations_of_parts: [0; 2],
            null_code: None,
            count: 0,
            limits,
            window: Window::default(),
        }
    }

    /// Finds the codes of a column's values, and returns the rows in which a value appears for the first time.
    pub(super) fn encode(&mut self, column: &Column) -> Vec<u32> {
        self.make_room();
        let mut fresh = Vec::new();
        let mut codes = std::mem::take(&mut self.codes);
        codes.clear();
        match (&mut self.values, &column.values) {
            (Numbered::Texts(interner, code_of), Values::Text(text)) => {
                let rows = 0..column.len();
                match &column.validity {
                    None => interner.numbers(text, rows.clone(), &mut self.numbers),
                    Some(valid) => interner.numbers(text, rows.clone().filter(|row| valid[*row]), &mut self.numbers),
                }
                code_of.resize(interner.len(), UNKNOWN);
                let mut numbers = self.numbers.iter();
                codes.extend(rows.map(|row| {
                    let number = if column.is_valid(row) { numbers.next() } else { None };
                    let known = match number {
                        Some(number) => &mut code_of[*number as usize],
                        None => self.null_code.get_or_insert(UNKNOWN),
                    };
                    code(known, &mut self.count, row, &mut fresh)
                }));
            }
            (Numbered::Days(days), Values::Int(values)) => {
                codes.extend(values.iter().enumerate().map(|(row, value)| {
                    let known =
                        if column.is_valid(row) { days.slot(*value) } else { self.null_code.get_or_insert(UNKNOWN) };
                    code(known, &mut self.count, row, &mut fresh)
                }));
            }
            (_, values) => unreachable!("no dictionary of this kind is made for {:?}", values.physical()),
        }
        self.codes = codes;
        self.count_rows(fresh.len());
        fresh
    }

    /// The same for pairs of the entries of two dictionaries, which have encoded the chunk already.
    pub(super) fn encode_pairs(&mut self, [left, right]: [&Dictionary; 2]) -> Vec<u32> {
        self.make_room();
        let now = [left.generation, right.generation];
        if self.generations_of_parts != now {
            self.forget();
            self.generations_of_parts = now;
        }
        let Numbered::Pairs(pairs) = &mut self.values else { unreachable!("its key is a pair") };
        let mut fresh = Vec::new();
        self.codes.clear();
        self.codes.extend(
            left.codes
                .iter()
                .zip(&right.codes)
                .enumerate()
                .map(|(row, (left, right))| code(pairs.of_pair(*left, *right), &mut self.count, row, &mut fresh)),
        );
        self.count_rows(fresh.len());
        fresh
    }

    /// Gives the dictionary up when over half of the rows of a window held new values. The first window does not count:
    /// in the beginning every value is new.
    pub(super) fn decide(&mut self) {
        if self.window.rows < self.limits.window_rows {
            return;
        }
        if self.window.first_is_over && self.window.new * 2 > self.window.rows {
            self.give_up();
        }
        self.window = Window { first_is_over: true, ..Window::default() };
    }

    /// Is not used any more, and needs no memory.
    pub(super) fn give_up(&mut self) {
        self.forget();
        self.active = false;
        self.codes = Vec::new();
        self.values = Numbered::new(self.plan.key);
    }

    /// What a node is for each entry, if that is kept.
    pub(super) fn memo(&self, node: NodeId) -> Option<&Evaluated> {
        self.memos.iter().find(|(id, _)| *id == node).map(|(_, memo)| memo)
    }

    /// What a node is for each row of the chunk at hand.
    pub(super) fn rows_of(&self, memo: &Evaluated) -> Evaluated {
        Evaluated { column: memo.column.gather(&self.codes), faults: self.faults_of(memo) }
    }

    /// The faults of the rows of the chunk at hand.
    pub(super) fn faults_of(&self, memo: &Evaluated) -> Vec<Fault> {
        if memo.faults.is_empty() {
            return Vec::new();
        }
        let fault = |(row, code): (usize, &u32)| {
            let at = memo.faults.binary_search_by_key(code, |(entry, _)| *entry).ok()?;
            Some((row as u32, memo.faults[at].1))
        };
        self.codes.iter().enumerate().filter_map(fault).collect()
    }

    /// Starts over past a limit.
    fn make_room(&mut self) {
        let texts = if let Numbered::Texts(interner, _) = &self.values { interner.text_bytes() } else { 0 };
        let used_bytes = texts + self.memos.iter().map(|(_, memo)| text_bytes(&memo.column)).sum::<usize>();
        if self.count as usize > self.limits.entries || used_bytes > self.limits.bytes {
            self.forget();
        }
    }

    fn count_rows(&mut self, new: usize) {
        self.window.rows += self.codes.len();
        self.window.new += new;
    }

    fn forget(&mut self) {
        match &mut self.values {
            Numbered::Texts(interner, code_of) => {
                interner.clear();
                code_of.clear();
            }
            Numbered::Days(days) => *days = Days::default(),
            Numbered::Pairs(pairs) => *pairs = Slots::default(),
        }
        self.null_code = None;
        self.count = 0;
        self.generation += 1;
        self.memos.iter_mut().for_each(|(_, memo)| clear(memo));
    }
}

impl Numbered {
    fn new(key: Key) -> Self {
        match key {
            Key::Text(_) => Numbered::Texts(Interner::default(), Vec::new()),
            Key::Date(_) => Numbered::Days(Days::default()),
            Key::Pair(_) => Numbered::Pairs(Slots::default()),
        }
    }
}

impl<K: Eq + Hash> Slots<K> {
    /// The slot of a key, `UNKNOWN` in the beginning. A key comes with the same place each time, or each time without one.
    #[inline]
    fn slot(&mut self, place: Option<usize>, key: K) -> &mut u32 {
        let Some(place) = place else { return self.far.entry(key).or_insert(UNKNOWN) };
        if place >= self.near.len() {
            self.near.resize(place + 1, UNKNOWN);
        }
        &mut self.near[place]
    }
}

impl Days {
    /// Days on either side of the first one: ninety years.
    const NEAR: i64 = 1 << 15;

    #[inline]
    fn slot(&mut self, day: i64) -> &mut u32 {
        let base = *self.base.get_or_insert(day - Days::NEAR);
        let place = usize::try_from(day - base).ok().filter(|place| *place < 2 * Days::NEAR as usize);
        self.slots.slot(place, day)
    }
}

impl Slots<(u32, u32)> {
    /// So many entries of each side have places: a table of no more than a quarter of a megabyte.
    const NEAR: u32 = 256;

    #[inline]
    fn of_pair(&mut self, left: u32, right: u32) -> &mut u32 {
        let is_near = left.max(right) < Self::NEAR;
        self.slot(is_near.then(|| (left * Self::NEAR + right) as usize), (left, right))
    }
}

/// The code in a slot, which is given the next one if it has none.
#[inline(always)]
fn code(slot: &mut u32, count: &mut u32, row: usize, fresh: &mut Vec<u32>) -> u32 {
    if *slot == UNKNOWN {
        fresh.push(row as u32);
        *slot = *count;
        *count += 1;
    }
    *slot
}

/// Appends what a node is for further entries.
pub(super) fn append(memo: &mut Evaluated, more: &Evaluated) {
    let (known, new) = (memo.column.len(), more.column.len());
    memo.faults.extend(more.faults.iter().map(|(entry, kind)| (entry + known as u32, *kind)));
    match (&mut memo.column.values, &more.column.values) {
        (Values::Int(values), Values::Int(more)) => values.extend_from_slice(more),
        (Values::Double(values), Values::Double(more)) => values.extend_from_slice(more),
        (Values::Bool(values), Values::Bool(more)) => values.extend_from_slice(more),
        (Values::Text(text), Values::Text(more)) => append_text(text, more),
        (values, more) => unreachable!("{:?} and {:?} are of one node", values.physical(), more.physical()),
    }
    match (&mut memo.column.validity, &more.column.validity) {
        (None, None) => {}
        (Some(flags), None) => flags.resize(known + new, true),
        (Some(flags), Some(more)) => flags.extend_from_slice(more),
        (validity, Some(more)) => {
            let mut flags = vec![true; known];
            flags.extend_from_slice(more);
            *validity = Some(flags);
        }
    }
}

/// Copies the bytes, since the memo outlives the chunk. Where somebody still holds the buffer, it is copied first.
fn append_text(text: &mut Text, more: &Text) {
    let bytes = Arc::make_mut(&mut text.bytes);
    for value in more.iter() {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(value);
        text.spans.push(Span { start, len: value.len() as u32 });
    }
}

fn clear(memo: &mut Evaluated) {
    memo.faults.clear();
    memo.column.validity = None;
    match &mut memo.column.values {
        Values::Int(values) => values.clear(),
        Values::Double(values) => values.clear(),
        Values::Bool(values) => values.clear(),
        Values::Text(text) => *text = Text::default(),
    }
}

fn text_bytes(column: &Column) -> usize {
    if let Values::Text(text) = &column.values { text.bytes.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_slot_of_its_own() {
        let mut pairs = Slots::default();
        let entries = [0, 1, 2, Slots::NEAR - 1, Slots::NEAR, Slots::NEAR + 1, 65_536, UNKNOWN];
        let all = entries.iter().flat_map(|left| entries.iter().map(move |right| (*left, *right)));
        for ((left, right), code) in all.clone().zip(0..) {
            assert_eq!(*pairs.of_pair(left, right), UNKNOWN);
            *pairs.of_pair(left, right) = code;
        }
        assert!(all.zip(0..).all(|((left, right), code)| *pairs.of_pair(left, right) == code));
    }
}
