//! The slow, obvious engine: one record at a time, std collections, the csv crate. The oracle of the tests and of
//! `feedmill verify`. It shares with the fast engine what a plan means, and nothing of how it is computed; rows and
//! rejects are held in memory, however many they are.

mod cast;
mod dates;
mod doubles;
mod eval;
mod exact;
mod groups;
mod keys;
mod order;
mod records;
mod rules;
mod text;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::chunk::{Reject, RejectCode, Scalar};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::FaultKind;
use crate::plan::{FeedColumn, FeedOutput, FeedPlan, GroupColumn, OutputKind, Plan};
use crate::reference::eval::{Lookups, Row};
use crate::reference::groups::Groups;
use crate::reference::keys::Key;
use crate::reference::records::{Record, Records, Splitter};

pub use rules::{Assignment, assign};

/// Everything that comes of a feed.
#[derive(Debug, Default)]
pub struct FeedResult {
    /// Data records: all of them are loaded, duplicates, filtered or rejected.
    pub read: u64,
    /// Records that at least one table has taken.
    pub loaded: u64,
    /// Records whose key an earlier record has.
    pub duplicate: u64,
    /// Records that are not rejected and that the WHERE of every table leaves out.
    pub filtered: u64,
    /// Records that are rejected.
    pub rejected: u64,
    /// The rejected records and the duplicates, in input order.
    pub rejects: Vec<ReferenceReject>,
    /// Invalid values that became NULL, by column, for columns with any. Those of rejected records count as well.
    pub nullified: BTreeMap<String, u64>,
    /// The data-quality counters, in the order of the plan.
    pub counters: Vec<(String, u64)>,
    /// What goes to each table that is made FROM the feed.
    pub tables: Vec<ReferenceTable>,
}

/// What a feed contributes to a table: the values of `Origin::Feed::staging`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceTable {
    /// The table, by its place in `Plan::tables`.
    pub table: usize,
    /// Rows in input order, or groups in the order of their keys (NULL first, numbers by value, text by bytes, false
    /// before true).
    pub rows: Vec<Vec<Scalar>>,
}

/// A record that is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceReject {
    /// The input, as it was named to `read`.
    pub input: String,
    /// The archive member, as it was named to `read`.
    pub member: String,
    /// The physical line on which the record starts, from 1, the header counted.
    pub line: u64,
    /// Its place among the data records of the member, from 1.
    pub record: u64,
    /// Where its first byte lies in the member.
    pub byte_offset: u64,
    /// Its length without the line end.
    pub byte_length: u64,
    /// What is wrong, in a word.
    pub code: RejectCode,
    /// The column at fault, or those of a duplicate's key; empty for the record as a whole and for what is computed.
    pub column: String,
    /// The first `Reject::MAX_VALUE_BYTES` of the invalid text, of the text in the column of a CHECK, or of the key of a
    /// duplicate; else empty.
    pub value: Vec<u8>,
    /// Its bytes without the line end; no more than the longest record has.
    pub raw: Vec<u8>,
}

/// The engine for one feed.
pub struct Reference<'a> {
    plan: &'a Plan,
    feed: &'a FeedPlan,
    lookups: Lookups<'a>,
    splitter: Splitter,
    outputs: Vec<Taken>,
    /// The keys of the rows so far.
    keys: BTreeSet<Key>,
    result: FeedResult,
}

/// What an output has taken so far.
enum Taken {
    Rows(Vec<Vec<Scalar>>),
    Groups(Groups),
}

/// What an output takes of one row.
enum Part {
    Row(Vec<Scalar>),
    Group { keys: Vec<Scalar>, arguments: Vec<Scalar> },
}

/// What a record comes to.
type Outcome<T> = std::result::Result<T, Fault>;

/// What an expression comes to.
type Evaluated<T> = std::result::Result<T, FaultKind>;

/// Why a record is rejected.
struct Fault {
    code: RejectCode,
    column: String,
    value: Vec<u8>,
}

impl<'a> Reference<'a> {
    /// The engine for a feed, by its place in the plan.
    pub fn new(plan: &'a Plan, feed: usize) -> Self {
        let feed = &plan.feeds[feed];
        let outputs = feed.outputs.iter().map(|output| match &output.kind {
            OutputKind::Rows { .. } => Taken::Rows(Vec::new()),
            OutputKind::Groups { keys, aggregates, .. } => {
                Taken::Groups(Groups::new(aggregates.iter().map(|(aggregate, _)| *aggregate).collect(), keys.len()))
            }
        });
        let outputs = outputs.collect();
        let counters = feed.counters.iter().map(|(name, _)| (name.clone(), 0)).collect();
        let result = FeedResult { counters, ..FeedResult::default() };
        Reference {
            plan,
            feed,
            lookups: Lookups::new(&plan.lookups),
            splitter: Splitter::new(&feed.dialect),
            outputs,
            keys: BTreeSet::new(),
            result,
        }
    }

    /// Reads one member of an input, unpacked and in UTF-8, to its end. The names appear in rejects and errors.
    ///
    /// # Errors
    /// When the stream fails, or its header is not what the plan says.
    pub fn read(&mut self, input: &str, member: &str, stream: impl Read) -> Result<()> {
        let name = if member.is_empty() { input.to_owned() } else { format!("{input} ({member})") };
        let error = |message: String| Error::new(ErrorKind::Input, format!("{name}: {message}"));
        let failed = |cause| error(format!("cannot read it: {cause}"));
        let dialect = self.feed.dialect;
        let mut records = Records::new(stream, dialect).map_err(failed)?;
        let header = if dialect.header {
            let record = records.next().map_err(failed)?.ok_or_else(|| error("there is no header".to_owned()))?;
            let Ok(names) = self.fields(&record, None) else { return Err(error("the header is malformed".to_owned())) };
            names
        } else {
            self.feed.columns.iter().map(|column| column.name.clone()).collect()
        };
        let positions = positions(self.feed, &header).map_err(error)?;
        let mut number = 0;
        while let Some(record) = records.next().map_err(failed)? {
            number += 1;
            self.result.read += 1;
            let fields = self.fields(&record, Some(header.len()));
            if let Err(fault) = fields.and_then(|fields| self.take(&fields, &positions)) {
                match fault.code {
                    RejectCode::DuplicateKey => self.result.duplicate += 1,
                    _ => self.result.rejected += 1,
                }
                self.result.rejects.push(ReferenceReject {
                    input: input.to_owned(),
                    member: member.to_owned(),
                    line: record.line,
                    record: number,
                    byte_offset: record.byte_offset,
                    byte_length: record.byte_length,
                    code: fault.code,
                    column: fault.column,
                    value: fault.value,
                    raw: record.bytes,
                });
            }
        }
        Ok(())
    }

    /// The rows and groups of all tables, and the figures.
    ///
    /// # Errors
    /// When a result of a group does not fit its type.
    pub fn finish(mut self) -> Result<FeedResult> {
        for (output, taken) in self.feed.outputs.iter().zip(std::mem::take(&mut self.outputs)) {
            let rows = match taken {
                Taken::Rows(rows) => rows,
                Taken::Groups(groups) => self.group_rows(output, groups)?,
            };
            self.result.tables.push(ReferenceTable { table: output.table, rows });
        }
        Ok(self.result)
    }

    /// The fields of a record, of which there must be so many.
    fn fields(&mut self, record: &Record, count: Option<usize>) -> Outcome<Vec<String>> {
        if let Some(code) = record.fault {
            return Err(Fault::of_record(code));
        }
        let Ok(text) = std::str::from_utf8(&record.bytes) else {
            return Err(Fault::of_record(RejectCode::InvalidUtf8));
        };
        if text.contains('\0') {
            return Err(Fault::of_record(RejectCode::NulByte));
        }
        let fields = self.splitter.split(text).map_err(|_| Fault::of_record(RejectCode::InvalidUtf8))?;
        match count {
            Some(count) if fields.len() < count => Err(Fault::of_record(RejectCode::TooFewFields)),
            Some(count) if fields.len() > count => Err(Fault::of_record(RejectCode::TooManyFields)),
            _ => Ok(fields),
        }
    }

    /// Computes all that the row is needed for, and only then, if nothing was wrong, takes it.
    fn take(&mut self, fields: &[String], positions: &[Option<usize>]) -> Outcome<()> {
        let inputs = self.decode(fields, positions)?;
        let mut row = Row::new(&self.feed.program, &self.lookups, &inputs);
        for check in &self.feed.checks {
            if row.value(check.predicate)? == Scalar::Bool(false) {
                let place = self.feed.columns.iter().position(|column| column.name == check.column);
                let text = place.and_then(|place| positions[place]).map_or("", |position| &fields[position]);
                return Err(Fault::of_value(RejectCode::CheckFailed, &check.column, text));
            }
        }
        let mut parts = Vec::new();
        for output in &self.feed.outputs {
            parts.push(part(&mut row, output)?);
        }
        let key = self.key(&parts)?;
        let mut counted = Vec::new();
        for (_, predicate) in &self.feed.counters {
            counted.push(row.is_true(*predicate)?);
        }

        for ((_, count), counted) in self.result.counters.iter_mut().zip(counted) {
            *count += u64::from(counted);
        }
        if let Some((key, duplicate)) = key
            && !self.keys.insert(key)
        {
            return Err(duplicate);
        }
        if parts.iter().any(Option::is_some) {
            self.result.loaded += 1;
        } else {
            self.result.filtered += 1;
        }
        for (taken, part) in self.outputs.iter_mut().zip(parts) {
            match (taken, part) {
                (Taken::Rows(rows), Some(Part::Row(row))) => rows.push(row),
                (Taken::Groups(groups), Some(Part::Group { keys, arguments })) => groups.add(keys, &arguments),
                _ => {}
            }
        }
        Ok(())
    }

    /// The key of a row that is loaded, and what is to be said if it is a duplicate; `None` where there is no key.
    fn key(&self, parts: &[Option<Part>]) -> Outcome<Option<(Key, Fault)>> {
        let (Some(load), [FeedOutput { kind: OutputKind::Rows { columns }, .. }], [Some(Part::Row(row))]) =
            (&self.feed.load, self.feed.outputs.as_slice(), parts)
        else {
            return Ok(None);
        };
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for (name, place) in &load.key {
            if row[*place] == Scalar::Null {
                return Err(Fault::of_value(RejectCode::NullValue, name, ""));
            }
            values.push((&row[*place], self.feed.program.data_type(columns[*place])));
            names.push(name.as_str());
        }
        let duplicate = Fault::of_value(RejectCode::DuplicateKey, &names.join(","), &keys::to_text(&values));
        Ok((!values.is_empty()).then(|| (Key::new(&values), duplicate)))
    }

    /// The values of the declared columns; of those that nothing reads, NULL. The first fault is the one that counts,
    /// but later columns are looked at nevertheless, for the sake of what is nullified.
    fn decode(&mut self, fields: &[String], positions: &[Option<usize>]) -> Outcome<Vec<Scalar>> {
        let mut values = Vec::new();
        let mut first_fault = None;
        for (column, position) in self.feed.columns.iter().zip(positions) {
            let Some(position) = position else {
                values.push(Scalar::Null);
                continue;
            };
            let text = &fields[*position];
            let value = if self.feed.nulls.contains(text) {
                Ok(Scalar::Null)
            } else {
                match values::parse(text, column.data_type) {
                    Err(_) if column.nullify => {
                        *self.result.nullified.entry(column.name.clone()).or_default() += 1;
                        Ok(Scalar::Null)
                    }
                    result => result.map_err(|code| Fault::of_value(code, &column.name, text)),
                }
            };
            match value {
                Ok(Scalar::Null) if column.not_null => {
                    first_fault.get_or_insert(Fault::of_value(RejectCode::NullValue, &column.name, ""));
                }
                Ok(value) => values.push(value),
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        first_fault.map_or(Ok(values), Err)
    }

    fn group_rows(&self, output: &FeedOutput, groups: Groups) -> Result<Vec<Vec<Scalar>>> {
        let OutputKind::Groups { program, columns, .. } = &output.kind else { return Ok(Vec::new()) };
        let table = &self.plan.tables[output.table].name;
        let mut rows = Vec::new();
        for (keys, results) in groups.finish() {
            let too_large = |what: &str| {
                Error::new(ErrorKind::Input, format!("{what} of table {table} does not fit its type in group {keys:?}"))
            };
            let mut row = Row::new(program, &self.lookups, &keys);
            let values = columns.iter().map(|column| match column {
                GroupColumn::Key(node) => row.value(*node).map_err(|_| too_large("an expression over the keys")),
                GroupColumn::Aggregate(place) => results[*place].clone().ok_or_else(|| too_large("an aggregate")),
            });
            rows.push(values.collect::<Result<_>>()?);
        }
        Ok(rows)
    }
}

/// What an output takes of a row; `None` if its WHERE leaves the row out.
fn part(row: &mut Row<'_>, output: &FeedOutput) -> Outcome<Option<Part>> {
    if let Some(filter) = output.filter
        && !row.is_true(filter)?
    {
        return Ok(None);
    }
    Ok(Some(match &output.kind {
        OutputKind::Rows { columns } => {
            Part::Row(columns.iter().map(|node| row.value(*node)).collect::<Evaluated<_>>()?)
        }
        OutputKind::Groups { keys, aggregates, .. } => {
            let keys = keys.iter().map(|node| row.value(*node)).collect::<Evaluated<_>>()?;
            // count(*) counts what is not NULL, too: the row.
            let argument = |argument: &Option<_>| argument.map_or(Ok(Scalar::Bool(true)), |node| row.value(node));
            let arguments = aggregates.iter().map(|(_, node)| node).map(argument);
            Part::Group { keys, arguments: arguments.collect::<Evaluated<_>>()? }
        }
    }))
}

/// Where each declared column lies among the fields; `None` for one that nothing reads.
fn positions(feed: &FeedPlan, header: &[String]) -> std::result::Result<Vec<Option<usize>>, String> {
    let position = |column: &FeedColumn| {
        let places: Vec<usize> = (0..header.len()).filter(|place| header[*place] == column.name).collect();
        match places.as_slice() {
            [] => Err(format!("there is no column {}", column.name)),
            [_, _, ..] => Err(format!("there are {} columns {}", places.len(), column.name)),
            [place] => Ok(column.used.then_some(*place)),
        }
    };
    feed.columns.iter().map(position).collect()
}

impl Fault {
    fn of_record(code: RejectCode) -> Self {
        Fault::of_value(code, "", "")
    }

    fn of_value(code: RejectCode, column: &str, text: &str) -> Self {
        let value = text.bytes().take(Reject::MAX_VALUE_BYTES).collect();
        Fault { code, column: column.to_owned(), value }
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Fault::of_record(match kind {
            FaultKind::Overflow => RejectCode::Overflow,
            FaultKind::InvalidCast => RejectCode::InvalidCast,
        })
    }
}

#[cfg(test)]
mod tests;
