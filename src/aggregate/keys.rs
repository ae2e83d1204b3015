//! Keys to dense group numbers, and back to key columns in the order of the keys. Knows nothing of what is aggregated.
//!
//! A key tuple is a fixed number of 32-bit words, made so that the words compare as the keys do, NULL first. Text is
//! the one exception: its words are numbers of a dictionary, exchanged for ranks before the groups are sorted.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::aggregate::direct::DirectIndex;
use crate::aggregate::guesses::{Guesses, NO_GROUP};
use crate::aggregate::words::{NULL_WORD, TextWords};
use crate::aggregate::{ordered, rows};
use crate::chunk::calendar;
use crate::chunk::decimal;
use crate::chunk::{Cell, Column, ColumnBuilder, ColumnView, DataType, Selection};

/// The keys of all groups, and the way from a key to its group.
#[derive(Debug, Clone)]
pub(super) struct GroupKeys {
    columns: Vec<KeyColumn>,
    /// Words of a key tuple.
    stride: usize,
    /// The key tuples of the groups, one behind the other.
    words: Vec<u32>,
    table: HashTable<u32>,
    /// Seeded anew each time, so that no input can be prepared to collide; results do not depend on it.
    hasher: DefaultHashBuilder,
    direct: DirectIndex,
    guesses: Guesses,
    /// The key tuples of the rows at hand, kept for its allocation.
    row_words: Vec<u32>,
    /// The words of their first keys, likewise.
    first_words: Vec<u32>,
}

#[derive(Debug, Clone)]
struct KeyColumn {
    data_type: DataType,
    encoding: Encoding,
}

/// How the values of a key become words.
#[derive(Debug, Clone)]
enum Encoding {
    /// One word: days, shifted so that they count up from 1. A date has four digits of year, so that there is room.
    Date,
    /// One word: 0 for NULL, 1 for false, 2 for true.
    Bool,
    /// Three words: 1 (0 for NULL), then the upper and lower half of a word of `ordered`.
    Number,
    /// One word of a dictionary.
    Text(Box<TextWords>),
}

impl GroupKeys {
    pub(super) fn new(types: &[DataType]) -> Self {
        let columns: Vec<_> = types.iter().copied().map(KeyColumn::new).collect();
        GroupKeys {
            stride: columns.iter().map(KeyColumn::width).sum(),
            columns,
            words: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            direct: DirectIndex::default(),
            guesses: Guesses::default(),
            row_words: Vec::new(),
            first_words: Vec::new(),
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.words.len().checked_div(self.stride).unwrap_or(1)
    }

    /// Puts the group of each selected row into `group_of_row`. New keys become new groups, numbered on.
    pub(super) fn number(&mut self, keys: &[ColumnView<'_>], selection: &Selection, group_of_row: &mut Vec<u32>) {
        assert_eq!(keys.len(), self.columns.len(), "a view for each key");
        if self.columns.len() > 1 && self.guesses.pay() && matches!(self.columns[0].encoding, Encoding::Text(_)) {
            self.guess(keys, selection, group_of_row);
        } else {
            self.look_up(keys, selection, group_of_row);
        }
    }

    /// `number` by looking for the key of every row.
    fn look_up(&mut self, keys: &[ColumnView<'_>], selection: &Selection, group_of_row: &mut Vec<u32>) {
        let mut row_words = std::mem::take(&mut self.row_words);
        row_words.clear();
        row_words.resize(selection.len() * self.stride, 0);
        let mut offset = 0;
        for (column, view) in self.columns.iter_mut().zip(keys) {
            column.encode(view, selection, &mut row_words, offset, self.stride);
            offset += column.width();
        }
        group_of_row.clear();
        group_of_row.resize(selection.len(), 0);
        self.find_or_add(&row_words, group_of_row);
        self.row_words = row_words;
    }

    /// `number` by guesses, which are checked; only what was guessed wrong is looked for.
    fn guess(&mut self, keys: &[ColumnView<'_>], selection: &Selection, group_of_row: &mut Vec<u32>) {
        let mut first_words = std::mem::take(&mut self.first_words);
        first_words.clear();
        first_words.resize(selection.len(), NULL_WORD);
        self.columns[0].encode(&keys[0], selection, &mut first_words, 0, 1);
        self.guesses.guess(&first_words, group_of_row);
        let mut offset = self.columns[0].width();
        for (column, view) in self.columns.iter_mut().zip(keys).skip(1) {
            column.check(view, selection, group_of_row, &self.words, offset, self.stride);
            offset += column.width();
        }
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        for (place, row) in selection.rows().enumerate() {
            if group_of_row[place] == NO_GROUP {
                places.push(place);
                rows.push(row as u32);
            }
        }
        if !rows.is_empty() {
            let mut groups = Vec::new();
            self.look_up(keys, &Selection::Rows(rows), &mut groups);
            for (place, group) in places.iter().zip(groups) {
                group_of_row[*place] = group;
                self.guesses.correct(first_words[*place], group);
            }
        }
        self.guesses.count(first_words.len(), places.len());
        self.first_words = first_words;
    }

    /// Takes the groups of `other`; the result has the group here for each group there.
    pub(super) fn merge(&mut self, other: GroupKeys) -> Vec<u32> {
        let mut group_of_group = vec![0; other.len()];
        let mut words = other.words;
        let mut offset = 0;
        for (column, from) in self.columns.iter_mut().zip(&other.columns) {
            if let (Encoding::Text(texts), Encoding::Text(from)) = (&mut column.encoding, &from.encoding) {
                let word_of_word = texts.merge(from);
                words
                    .iter_mut()
                    .skip(offset)
                    .step_by(self.stride)
                    .for_each(|word| *word = word_of_word[*word as usize]);
            }
            offset += column.width();
        }
        self.find_or_add(&words, &mut group_of_group);
        group_of_group
    }

    /// The groups in the order of their keys.
    pub(super) fn into_sorted(self) -> SortedKeys {
        let groups = self.len();
        let GroupKeys { columns, stride, mut words, table, row_words, first_words, direct, guesses, .. } = self;
        // Sorting needs memory; what is of no more use makes room for it.
        drop((table, row_words, first_words, direct, guesses));
        let mut offset = 0;
        let columns = columns
            .into_iter()
            .map(|column| {
                let mut word_of_rank = Vec::new();
                if let Encoding::Text(texts) = &column.encoding {
                    word_of_rank = texts.sorted();
                    let rank_of_word = ranks(&word_of_rank);
                    words.iter_mut().skip(offset).step_by(stride).for_each(|word| *word = rank_of_word[*word as usize]);
                }
                offset += column.width();
                SortedColumn { column, word_of_rank }
            })
            .collect();
        let tuple = |group: u32| tuple_of(&words, stride, group);
        let order = sorted_groups(
            groups,
            |group| lead(tuple(group).iter().copied()),
            |left, right| tuple(left).cmp(tuple(right)),
        );
        SortedKeys { columns, stride, words, order }
    }

    /// The types of the keys.
    pub(super) fn types(&self) -> Vec<DataType> {
        self.columns.iter().map(|column| column.data_type).collect()
    }

    /// A key of a group.
    pub(super) fn cell(&self, group: u32, column: usize) -> Cell<'_> {
        let offset: usize = self.columns[..column].iter().map(KeyColumn::width).sum();
        self.columns[column].decode(&self.words[group as usize * self.stride + offset..])
    }

    /// The first so many groups in the order of these key columns.
    pub(super) fn sorted(&self, order: &[usize], groups: usize) -> Vec<u32> {
        struct Part {
            words: Range<usize>,
            rank_of_word: Vec<u32>,
        }
        let part = |column: &usize| {
            let start: usize = self.columns[..*column].iter().map(KeyColumn::width).sum();
            let rank_of_word = match &self.columns[*column].encoding {
                Encoding::Text(texts) => ranks(&texts.sorted()),
                Encoding::Date | Encoding::Bool | Encoding::Number => Vec::new(),
            };
            Part { words: start..start + self.columns[*column].width(), rank_of_word }
        };
        let parts: Vec<Part> = order.iter().map(part).collect();
        let ranked = |group: u32| {
            let tuple = tuple_of(&self.words, self.stride, group);
            parts.iter().flat_map(move |Part { words, rank_of_word }| {
                let rank = |word: &u32| rank_of_word.get(*word as usize).copied().unwrap_or(*word);
                tuple[words.clone()].iter().map(rank)
            })
        };
        sorted_groups(groups, |group| lead(ranked(group)), |left, right| ranked(left).cmp(ranked(right)))
    }

    pub(super) fn forget_encodings(&mut self) {
        for column in &mut self.columns {
            if let Encoding::Text(texts) = &mut column.encoding {
                texts.forget_encodings();
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let texts: usize = self.columns.iter().map(KeyColumn::memory_bytes).sum();
        let words = self.words.capacity() + self.row_words.capacity() + self.first_words.capacity();
        texts
            + words * size_of::<u32>()
            + self.table.allocation_size()
            + self.direct.memory_bytes()
            + self.guesses.memory_bytes()
    }

    /// The group of each key tuple. Few words are the common case, and worth a loop that knows their number.
    fn find_or_add(&mut self, tuples: &[u32], groups: &mut [u32]) {
        match self.stride {
            0 => {}
            1 => self.find_or_add_words::<1>(tuples, groups),
            2 => self.find_or_add_words::<2>(tuples, groups),
            3 => self.find_or_add_words::<3>(tuples, groups),
            4 => self.find_or_add_words::<4>(tuples, groups),
            stride => {
                let tuples = tuples.chunks_exact(stride);
                self.find(tuples.clone(), groups, |words, group| tuple_of(words, stride, group));
                self.add_missing(tuples, groups);
            }
        }
    }

    fn find_or_add_words<const N: usize>(&mut self, tuples: &[u32], groups: &mut [u32]) {
        let (tuples, _) = tuples.as_chunks::<N>();
        if self.direct.is_used() {
            self.direct.find(tuples, groups);
        } else {
            self.find(tuples.iter(), groups, |words, group| &words.as_chunks::<N>().0[group as usize]);
        }
        self.add_missing(tuples.iter().map(|tuple| &tuple[..]), groups);
        self.direct.adapt(&self.words, N);
    }

    /// In two passes, so that the processor has the cache misses of many rows under way at once (1.5 times as fast,
    /// measured): the first finds the group that is most probably the right one, the second looks at its key. Where that
    /// is another, there is `NO_GROUP`.
    #[inline(always)]
    fn find<'t, T: AsRef<[u32]> + PartialEq + ?Sized + 't>(
        &self,
        tuples: impl Iterator<Item = &'t T> + Clone,
        groups: &mut [u32],
        key_of: impl Fn(&[u32], u32) -> &T,
    ) {
        for (tuple, group) in tuples.clone().zip(&mut *groups) {
            *group = self.table.find(hash_of(&self.hasher, tuple.as_ref()), |_| true).copied().unwrap_or(NO_GROUP);
        }
        for (tuple, group) in tuples.zip(groups) {
            if *group != NO_GROUP && key_of(&self.words, *group) != tuple {
                *group = NO_GROUP;
            }
        }
    }

    /// Looks for the groups that are missing, and makes those that do not exist.
    fn add_missing<'t>(&mut self, tuples: impl Iterator<Item = &'t [u32]>, groups: &mut [u32]) {
        let GroupKeys { words, table, hasher, stride, direct, .. } = self;
        for (tuple, group) in tuples.zip(groups).filter(|(_, group)| **group == NO_GROUP) {
            let hash = hash_of(hasher, tuple);
            let found = table.find(hash, |group| tuple_of(words, *stride, *group) == tuple).copied();
            *group = found.unwrap_or_else(|| {
                let group = u32::try_from(words.len() / *stride).ok();
                let group = group.filter(|group| *group != NO_GROUP).expect("more groups than 32 bits can number");
                words.extend_from_slice(tuple);
                table.insert_unique(hash, group, |group| hash_of(hasher, tuple_of(words, *stride, *group)));
                group
            });
            direct.insert(tuple, *group);
        }
    }
}

/// The key tuple of a group.
#[inline(always)]
fn tuple_of(words: &[u32], stride: usize, group: u32) -> &[u32] {
    &words[group as usize * stride..][..stride]
}

/// The first so many groups in an order that their leads mostly decide.
fn sorted_groups(groups: usize, lead: impl Fn(u32) -> [u64; 2], compare: impl Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut sorted: Vec<([u64; 2], u32)> = (0..groups as u32).map(|group| (lead(group), group)).collect();
    sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0).then_with(|| compare(left.1, right.1)));
    sorted.into_iter().map(|(_, group)| group).collect()
}

/// The first four words of a tuple.
fn lead(mut words: impl Iterator<Item = u32>) -> [u64; 2] {
    [(); 2].map(|()| (0..2).fold(0, |lead, _| lead << 32 | u64::from(words.next().unwrap_or(0))))
}

/// The rank of each word.
fn ranks(word_of_rank: &[u32]) -> Vec<u32> {
    let mut rank_of_word = vec![0; word_of_rank.len()];
    (0..).zip(word_of_rank).for_each(|(rank, word)| rank_of_word[*word as usize] = rank);
    rank_of_word
}

#[inline(always)]
fn hash_of(hasher: &DefaultHashBuilder, words: &[u32]) -> u64 {
    let mut state = hasher.build_hasher();
    for pair in words.chunks(2) {
        state.write_u64(pair.iter().fold(0, |pair, word| pair << 32 | u64::from(*word)));
    }
    state.finish()
}

impl KeyColumn {
    fn new(data_type: DataType) -> Self {
        let encoding = match data_type {
            DataType::Date => Encoding::Date,
            DataType::Boolean => Encoding::Bool,
            DataType::Text => Encoding::Text(Box::default()),
            DataType::Integer | DataType::Decimal { .. } | DataType::Double | DataType::Timestamp => Encoding::Number,
        };
        KeyColumn { data_type, encoding }
    }

    fn width(&self) -> usize {
        match self.encoding {
            Encoding::Date | Encoding::Bool | Encoding::Text(_) => 1,
            Encoding::Number => 3,
        }
    }

    /// Writes the words of each selected row to `out`, the first one at `offset`, the next one `stride` words on.
    fn encode(&mut self, view: &ColumnView<'_>, selection: &Selection, out: &mut [u32], offset: usize, stride: usize) {
        let mut at = offset;
        // The word of NULL is zero, which is there already.
        match &mut self.encoding {
            Encoding::Date => {
                let values = rows::ints(view);
                rows::for_each_row(view, selection, |place| {
                    if let Some(place) = place {
                        out[at] = word_of_date(values[place]);
                    }
                    at += stride;
                });
            }
            Encoding::Bool => {
                let values = rows::bools(view);
                rows::for_each_row(view, selection, |place| {
                    if let Some(place) = place {
                        out[at] = 1 + u32::from(values[place]);
                    }
                    at += stride;
                });
            }
            Encoding::Text(texts) => texts.for_each(view, selection, |word| {
                out[at] = word;
                at += stride;
            }),
            Encoding::Number => {
                let mut write = |word: Option<u64>| {
                    if let Some(word) = word {
                        out[at..at + 3].copy_from_slice(&[1, (word >> 32) as u32, word as u32]);
                    }
                    at += stride;
                };
                if self.data_type == DataType::Double {
                    let values = rows::doubles(view);
                    rows::for_each_row(view, selection, |place| {
                        write(place.map(|at| ordered::from_double(values[at])))
                    });
                } else {
                    let values = rows::ints(view);
                    rows::for_each_row(view, selection, |place| write(place.map(|at| ordered::from_int(values[at]))));
                }
            }
        }
    }

    /// Forgets the groups, named in order of the selected rows, whose words at `offset` are not those of the row.
    fn check(
        &mut self,
        view: &ColumnView<'_>,
        selection: &Selection,
        groups: &mut [u32],
        words: &[u32],
        offset: usize,
        stride: usize,
    ) {
        if let Encoding::Text(texts) = &mut self.encoding {
            texts.check(view, selection, groups, |group| words[group as usize * stride + offset]);
            return;
        }
        let width = self.width();
        let mut own = vec![0; selection.len() * width];
        self.encode(view, selection, &mut own, 0, width);
        for (group, own) in groups.iter_mut().zip(own.chunks_exact(width)) {
            if *group != NO_GROUP && words[*group as usize * stride + offset..][..width] != *own {
                *group = NO_GROUP;
            }
        }
    }

    /// The value of words.
    fn decode(&self, words: &[u32]) -> Cell<'_> {
        if words[0] == NULL_WORD {
            return Cell::Null;
        }
        match &self.encoding {
            Encoding::Date => Cell::Int(date_of_word(words[0])),
            Encoding::Bool => Cell::Bool(words[0] == 2),
            Encoding::Number => {
                ordered::to_cell(u64::from(words[1]) << 32 | u64::from(words[2]), self.data_type.physical())
            }
            Encoding::Text(texts) => Cell::Text(texts.get(words[0])),
        }
    }

    fn memory_bytes(&self) -> usize {
        match &self.encoding {
            Encoding::Text(texts) => texts.memory_bytes(),
            Encoding::Date | Encoding::Bool | Encoding::Number => 0,
        }
    }
}

/// The sign bit is flipped, so that the order of words is that of days, and i32::MIN, which is no date, stands for
/// NULL.
fn word_of_date(days: i64) -> u32 {
    debug_assert!(calendar::date_of(days).is_some(), "a date has four digits of year");
    days as u32 ^ 1 << 31
}

fn date_of_word(word: u32) -> i64 {
    i64::from((word ^ 1 << 31) as i32)
}

/// The keys of all groups, sorted.
#[derive(Debug)]
pub(super) struct SortedKeys {
    columns: Vec<SortedColumn>,
    stride: usize,
    words: Vec<u32>,
    order: Vec<u32>,
}

#[derive(Debug)]
struct SortedColumn {
    column: KeyColumn,
    /// For text: the dictionary's words, in the order of their texts.
    word_of_rank: Vec<u32>,
}

impl SortedKeys {
    /// The groups, by number, in the order of their keys.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The key columns of these groups.
    pub(super) fn columns(&self, groups: &[u32]) -> Vec<Column> {
        let mut offset = 0;
        self.columns
            .iter()
            .map(|column| {
                let mut builder = ColumnBuilder::new(column.column.data_type.physical(), groups.len());
                for group in groups {
                    builder.push(column.decode(&self.words[*group as usize * self.stride + offset..]));
                }
                offset += column.column.width();
                builder.finish()
            })
            .collect()
    }

    /// The key of a group, for people.
    pub(super) fn describe(&self, group: u32) -> String {
        let columns = self.columns(&[group]);
        let keys: Vec<_> = columns
            .iter()
            .zip(&self.columns)
            .map(|(column, key)| display(column.get(0), key.column.data_type))
            .collect();
        format!("({})", keys.join(", "))
    }
}

impl SortedColumn {
    fn decode(&self, words: &[u32]) -> Cell<'_> {
        match &self.column.encoding {
            Encoding::Text(_) => self.column.decode(&[self.word_of_rank[words[0] as usize]]),
            Encoding::Date | Encoding::Bool | Encoding::Number => self.column.decode(words),
        }
    }
}

fn display(cell: Cell<'_>, data_type: DataType) -> String {
    let mut bytes = Vec::new();
    match (cell, data_type) {
        (Cell::Null, _) => return "NULL".to_owned(),
        (Cell::Int(days), DataType::Date) => calendar::write_date(&mut bytes, days),
        (Cell::Int(micros), DataType::Timestamp) => calendar::write_timestamp(&mut bytes, micros),
        (Cell::Int(units), _) => return decimal::format(units.into(), data_type.scale()),
        (Cell::Double(value), _) => return value.to_string(),
        (Cell::Bool(value), _) => return value.to_string(),
        (Cell::Text(text), _) => return format!("'{}'", String::from_utf8_lossy(text)),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
