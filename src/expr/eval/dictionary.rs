//! Expressions of one text column, computed once for each distinct value of it. Which nodes those are is decided in
//! `domains`; how they are computed, in `kernels`.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::chunk::{Column, Span, Text, Values};
use crate::expr::eval::DictionaryLimits;
use crate::expr::kernels::{Evaluated, Fault};
use crate::expr::program::NodeId;

/// The distinct values of a column, numbered in order of first appearance, and what nodes are for each of them.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The column, by its place in the input.
    pub(super) input: usize,
    /// Whether it is still in use: a column with few repeated values is better computed row by row.
    pub(super) active: bool,
    /// Counts the times that all entries were forgotten.
    pub(super) generation: u64,
    /// The entry of each row of the chunk at hand.
    pub(super) codes: Vec<u32>,
    /// What nodes are for each entry, for the nodes that are wanted outside.
    pub(super) memos: Vec<(NodeId, Evaluated)>,
    entries: HashTable<Entry>,
    null_code: Option<u32>,
    count: u32,
    bytes: Vec<u8>,
    hasher: ahash::RandomState,
    limits: DictionaryLimits,
    window: Window,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    start: u32,
    len: u32,
    code: u32,
}

/// Rows since the last decision on whether the dictionary pays.
#[derive(Debug, Default)]
struct Window {
    rows: usize,
    new: usize,
    first_is_over: bool,
}

impl Dictionary {
    pub(super) fn new(input: usize, memos: Vec<(NodeId, Evaluated)>, limits: DictionaryLimits) -> Self {
        Dictionary {
            input,
            active: true,
            generation: 0,
            codes: Vec::new(),
            memos,
            entries: HashTable::new(),
            null_code: None,
            count: 0,
            bytes: Vec::new(),
            hasher: ahash::RandomState::new(),
            limits,
            window: Window::default(),
        }
    }

    /// Finds the codes of a chunk's values, and returns the rows in which a value appears for the first time.
    pub(super) fn encode(&mut self, column: &Column) -> Vec<u32> {
        let used_bytes = self.bytes.len() + self.memos.iter().map(|(_, memo)| text_bytes(&memo.column)).sum::<usize>();
        if self.count as usize > self.limits.entries || used_bytes > self.limits.bytes {
            self.forget();
        }
        let Values::Text(text) = &column.values else { unreachable!("dictionaries are made for text") };
        let mut fresh = Vec::new();
        let mut codes = std::mem::take(&mut self.codes);
        codes.clear();
        match &column.validity {
            None => codes.extend(text.iter().enumerate().map(|(row, value)| self.code(value, row as u32, &mut fresh))),
            Some(flags) => codes.extend(text.iter().zip(flags).enumerate().map(|(row, (value, valid))| {
                if *valid {
                    self.code(value, row as u32, &mut fresh)
                } else {
                    self.code_of_null(row as u32, &mut fresh)
                }
            })),
        }
        self.codes = codes;
        self.window.rows += column.len();
        self.window.new += fresh.len();
        fresh
    }

    /// Gives the dictionary up when over half of the rows of a window held new values. The first window does not count:
    /// in the beginning every value is new.
    pub(super) fn decide(&mut self) {
        if self.window.rows < self.limits.window_rows {
            return;
        }
        if self.window.first_is_over && self.window.new * 2 > self.window.rows {
            self.forget();
            self.active = false;
            self.entries = HashTable::new();
            self.bytes = Vec::new();
            self.codes = Vec::new();
        }
        self.window = Window { first_is_over: true, ..Window::default() };
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

    #[inline]
    fn code(&mut self, value: &[u8], row: u32, fresh: &mut Vec<u32>) -> u32 {
        let hash = self.hasher.hash_one(value);
        let bytes = &self.bytes;
        let is_value = |entry: &Entry| {
            entry.hash == hash && &bytes[entry.start as usize..entry.start as usize + entry.len as usize] == value
        };
        match self.entries.find(hash, is_value) {
            Some(entry) => entry.code,
            None => {
                fresh.push(row);
                self.insert(hash, value)
            }
        }
    }

    fn insert(&mut self, hash: u64, value: &[u8]) -> u32 {
        let code = self.count;
        let entry = Entry { hash, start: self.bytes.len() as u32, len: value.len() as u32, code };
        self.bytes.extend_from_slice(value);
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
        self.count += 1;
        code
    }

    fn code_of_null(&mut self, row: u32, fresh: &mut Vec<u32>) -> u32 {
        if let Some(code) = self.null_code {
            return code;
        }
        fresh.push(row);
        self.null_code = Some(self.count);
        self.count += 1;
        self.count - 1
    }

    fn forget(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.null_code = None;
        self.count = 0;
        self.generation += 1;
        self.memos.iter_mut().for_each(|(_, memo)| clear(memo));
    }
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
