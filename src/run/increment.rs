//! Tables that are made incrementally: what of the feed is known, whether it can be used, and what follows for the tables.
//!
//! Only new rows are aggregated. The groups that they fall into, and those that share a scope with these, are read back
//! from the ledger and merged in; what new rows have touched is stored again, and the rows of the scopes are made anew by
//! the same statement that a full run makes all rows by. So the answer is that of a full run.

use std::collections::VecDeque;

use crate::aggregate::{AggregationState, Damaged, STATE_VERSION, StoredGroup};
use crate::chunk::{DataType, Scalar};
use crate::csv::Ending;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::plan::{
    FeedOutput, FeedPlan, Incremental, IncrementalMode, IncrementalTable, Origin, Watermark, staging_table,
};
use crate::run::OnChangedPrefix;
use crate::run::feed::{FeedOutcome, FeedRun, FeedStart};
use crate::run::figures::{FeedFigures, IncrementFigures, TableFigures};
use crate::run::groups::FeedGroups;
use crate::run::memory::GroupSpace;
use crate::run::prefix::{Verdict, Verifier};
use crate::run::reader::{MemberStart, ReadMember};
use crate::run::tables::{self, GroupWriter, Target};
use crate::run::worker::WatermarkFilter;
use crate::sink::{GroupBytes, IncrementLedger, Mode, PrefixEntry, Replaced, ReplacedRows, Sink, TableLayout};
use crate::source::Input;

/// A feed that is processed incrementally, ready to be read.
pub(super) struct OpenIncrement<'a> {
    incremental: &'a Incremental,
    tables: Vec<OpenTable>,
    start: Start,
    /// Why nothing is used of what is there.
    why_full: Option<String>,
}

/// A table of the feed.
struct OpenTable {
    layout: TableLayout,
    /// Whose rows these are.
    owner: String,
    /// Whether it stays as it is but for the rows of this owner.
    is_kept: bool,
    known: IncrementLedger,
}

/// Where the feed is taken up.
enum Start {
    /// At its beginning.
    Full,
    /// Behind what is known of each member of each input.
    Behind(Vec<VecDeque<MemberStart>>),
    /// Above this value of a column.
    Above(i64),
}

/// How many groups are stored in one go.
const STORED_GROUPS: usize = 4096;

/// Finds out what is known of a feed, and whether it can be used; `None` for a feed that is not processed incrementally.
pub(super) fn open<'a>(run: &FeedRun<'a>, sink: &mut dyn Sink) -> Result<Option<OpenIncrement<'a>>> {
    let Some(incremental) = &run.feed.incremental else { return Ok(None) };
    let mut open = OpenIncrement { incremental, tables: Vec::new(), start: Start::Full, why_full: None };
    let mut ledgers = Vec::new();
    for (output, table) in run.feed.outputs.iter().zip(&incremental.tables) {
        let plan = &run.plan.tables[output.table];
        let layout = TableLayout { definition: definition(table), ..tables::layout(plan) };
        let owner: Vec<String> = table.owner.iter().map(|(column, value)| format!("{column} = {value}")).collect();
        let owner = owner.join(", ");
        let found = sink.open_increment(&layout, &owner)?;
        let others_differ = found.others.iter().any(|other| *other != layout.definition);
        if !run.options.full_refresh {
            refuse_to_mix(table, &layout, found.ledger.as_ref(), others_differ, &incremental.mode)?;
        }
        let is_kept = found.is_there && !found.others.is_empty() && !others_differ && sink.mode() != Mode::Replace;
        if found.is_there && !found.others.is_empty() && others_differ {
            open.why_full = Some(format!("all rows of `{}` are dropped, those of other parameters too", layout.name));
        }
        ledgers.push(found.ledger);
        open.tables.push(OpenTable { layout, owner, is_kept, known: IncrementLedger::default() });
    }
    if run.options.full_refresh {
        open.why_full.get_or_insert_with(|| "--full-refresh".to_owned());
        return Ok(Some(open));
    }
    let Some(known) = ledgers.into_iter().collect::<Option<Vec<IncrementLedger>>>() else { return Ok(Some(open)) };
    if known.iter().zip(&open.tables).any(|(known, table)| known.definition != table.layout.definition) {
        open.why_full = Some("the pipeline or a lookup has changed".to_owned());
        return Ok(Some(open));
    }
    let first = &known[0];
    let is_alike = |other: &IncrementLedger| other.prefixes == first.prefixes && other.watermark == first.watermark;
    if !known.iter().all(is_alike) {
        open.why_full = Some("its tables were not made of the same content".to_owned());
        return Ok(Some(open));
    }
    match (&incremental.mode, first.watermark) {
        (IncrementalMode::Watermark(Watermark { lag, .. }), Some(watermark)) => {
            open.start = Start::Above(watermark.saturating_sub(*lag));
        }
        (IncrementalMode::Watermark(_), None) => {}
        (IncrementalMode::Append, _) => match verify(run, &first.prefixes)? {
            Verdict::Same(starts) => open.start = Start::Behind(starts),
            Verdict::Changed(why) => {
                refuse_changed(run, &why)?;
                open.why_full = Some(why);
            }
        },
    }
    if !matches!(open.start, Start::Full) {
        open.tables.iter_mut().zip(known).for_each(|(table, known)| table.known = known);
    }
    Ok(Some(open))
}

/// Everything that stored groups depend on.
fn definition(table: &IncrementalTable) -> String {
    format!("{}\nstate {STATE_VERSION}", table.definition)
}

/// Complains where a run would leave rows side by side that were made in different ways, or take the place of rows that
/// other parameters have made.
fn refuse_to_mix(
    table: &IncrementalTable,
    layout: &TableLayout,
    known: Option<&IncrementLedger>,
    others_differ: bool,
    mode: &IncrementalMode,
) -> Result<()> {
    let name = &layout.name;
    let (message, help) = if others_differ {
        let message =
            format!("the table `{name}` has rows of other parameters, made by another version of this pipeline");
        (message, "--full-refresh drops all of them and makes the table anew; then run the other parameters again")
    } else if known.is_some_and(|known| known.parameters != table.parameters) {
        let message = format!("the table `{name}` was made with other parameters");
        (
            message,
            "give these another --db, or keep them apart by a column of its primary key, such as `$name AS name`; \
             --full-refresh makes it anew",
        )
    } else if *mode != IncrementalMode::Append && known.is_some_and(|known| known.definition != layout.definition) {
        let message = format!("the table `{name}` was made by another version of this pipeline or its lookups");
        (message, "rows below the watermark cannot be made anew from what is above it: --full-refresh makes all anew")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Output, message).help(help))
}

fn verify(run: &FeedRun<'_>, prefixes: &[PrefixEntry]) -> Result<Verdict> {
    let (_, block_bytes) = run.buffers(0);
    let verifier =
        Verifier { feed: run.feed, threads: run.options.threads, block_bytes, shutdown: &run.options.shutdown };
    verifier.verify(run.inputs, prefixes)
}

/// Complains when a changed prefix is to end the run, or the content cannot be read a second time.
fn refuse_changed(run: &FeedRun<'_>, why: &str) -> Result<()> {
    if !run.inputs.iter().all(Input::can_be_read_again) {
        return Err(Error::new(ErrorKind::Input, why.to_owned())
            .help("what is piped in cannot be read a second time: use --full-refresh to process it as a whole"));
    }
    match run.options.on_changed_prefix {
        OnChangedPrefix::Full => Ok(()),
        OnChangedPrefix::Fail => Err(Error::new(ErrorKind::Input, why.to_owned())
            .help("--on-changed-prefix full processes it as a whole; nothing was changed")),
    }
}

impl OpenIncrement<'_> {
    /// Makes the tables that the groups are written to: the published ones, where nothing is left of what they had before,
    /// or staging tables.
    pub(super) fn targets(&self, run: &FeedRun<'_>, sink: &mut dyn Sink) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        for (output, table) in run.feed.outputs.iter().zip(&self.tables) {
            let Origin::Feed { staging, finish, .. } = &run.plan.tables[output.table].origin else { continue };
            if self.makes_anew(table) && finish.is_none() {
                targets.push(Target::new(sink.create_table(&table.layout)?));
                continue;
            }
            if self.makes_anew(table) {
                sink.make_table(&table.layout)?;
            }
            targets.push(Target::new(sink.stage(&staging_table(output.table), staging)?));
        }
        Ok(targets)
    }

    /// Whether a table is dropped and made anew.
    fn makes_anew(&self, table: &OpenTable) -> bool {
        matches!(self.start, Start::Full) && !table.is_kept
    }

    /// Where reading begins, and the figures so far.
    pub(super) fn start(&mut self, feed: &FeedPlan) -> FeedStart {
        let mut figures = FeedFigures::new(feed);
        let mut known = IncrementFigures { why_full: self.why_full.clone(), ..IncrementFigures::default() };
        let mut members = Vec::new();
        if let Start::Behind(starts) = &mut self.start {
            members = starts.iter_mut().map(|starts| starts.iter_mut().map(take_start).collect()).collect();
            let ledger = &self.tables[0].known;
            figures.go_on_from(&ledger.counts);
            known.known_bytes = ledger.prefixes.iter().map(|prefix| prefix.byte_offset).sum();
            (known.known_records, known.known_rejected) = (figures.read, figures.rejected);
        }
        figures.increment = Some(known);
        let watermark = match (&self.incremental.mode, &self.start) {
            (IncrementalMode::Append, _) => None,
            (IncrementalMode::Watermark(Watermark { column, .. }), start) => Some(WatermarkFilter {
                column: *column,
                known: if let Start::Above(value) = start { Some(*value) } else { None },
            }),
        };
        FeedStart { load: None, members, watermark, figures }
    }

    /// Brings the tables up to date, and what is stored for the next run; returns their figures.
    pub(super) fn finish(
        self,
        run: &FeedRun<'_>,
        outcome: FeedOutcome,
        sink: &mut dyn Sink,
        targets: &[Target],
    ) -> Result<Vec<TableFigures>> {
        let FeedOutcome { figures, groups, space, members, greatest } = outcome;
        let has_news = !members.is_empty() || !matches!(self.start, Start::Behind(_));
        let prefixes = self.prefixes(members);
        let jobs = run.feed.outputs.iter().zip(&self.tables).zip(targets).zip(&self.incremental.tables);
        let jobs: Vec<TableJob<'_>> = jobs
            .map(|(((output, table), target), plan)| TableJob {
                run,
                output,
                plan,
                table,
                target,
                start: &self.start,
                space: &space,
            })
            .collect();
        // All groups come before the first statement that reads some of them: it completes the tables that take them.
        let mut changed = Vec::new();
        for (job, groups) in jobs.iter().zip(groups.into_iter().flatten()) {
            changed.push(has_news && job.write(groups, sink)?);
        }
        let mut made = Vec::new();
        for (job, changed) in jobs.iter().zip(changed) {
            let TableJob { plan, table, .. } = job;
            let rows = if changed { job.publish(sink)? } else { table.known.rows };
            let ledger = IncrementLedger {
                definition: table.layout.definition.clone(),
                parameters: plan.parameters.clone(),
                watermark: greatest.max(table.known.watermark),
                rows,
                prefixes: prefixes.clone(),
                counts: figures.counts(),
            };
            if ledger != table.known {
                sink.write_increment(&table.layout.name, &table.owner, &ledger)?;
            }
            made.push(TableFigures::new(&run.plan.tables[job.output.table], rows));
        }
        Ok(made)
    }

    /// What is known of all members now.
    fn prefixes(&self, members: Vec<(ReadMember, (u64, u64))>) -> Vec<PrefixEntry> {
        let mut read = members.into_iter().map(|(member, (lines, records))| {
            let ReadMember { origin, names, hash, ending, checkpoint } = member;
            PrefixEntry {
                input: origin.input.to_string(),
                member: origin.member.as_deref().unwrap_or("").to_owned(),
                header: names,
                byte_offset: hash.bytes(),
                fingerprint: hash.finish(),
                lines,
                records,
                is_complete: ending != Ending::Open,
                is_settled: ending != Ending::Undecided,
                checkpoint,
            }
        });
        let Start::Behind(starts) = &self.start else { return read.collect() };
        let mut prefixes: Vec<PrefixEntry> = Vec::new();
        for start in starts.iter().flatten() {
            match start {
                MemberStart::Known(prefix) => prefixes.push(prefix.clone()),
                MemberStart::Behind(_) | MemberStart::New => prefixes.extend(read.next()),
            }
        }
        prefixes.extend(read);
        prefixes
    }
}

/// Takes a start to be read from, and leaves what has to be known of it later.
fn take_start(start: &mut MemberStart) -> MemberStart {
    match start {
        MemberStart::Known(prefix) => MemberStart::Known(prefix.clone()),
        MemberStart::Behind(_) | MemberStart::New => std::mem::replace(start, MemberStart::New),
    }
}

/// One table and its groups.
struct TableJob<'a> {
    run: &'a FeedRun<'a>,
    output: &'a FeedOutput,
    plan: &'a IncrementalTable,
    table: &'a OpenTable,
    target: &'a Target,
    start: &'a Start,
    space: &'a GroupSpace,
}

impl TableJob<'_> {
    /// Stores the groups of new rows and writes those that the table has to learn of; false if there are none.
    fn write(&self, groups: FeedGroups, sink: &mut dyn Sink) -> Result<bool> {
        let TableJob { run, output, table, target, start, .. } = self;
        let Some(mut writer) = GroupWriter::new(run.plan, output, target) else { return Ok(false) };
        if let Start::Behind(_) = start {
            // What has to be read back follows from all new groups.
            let FeedGroups::InMemory(mut state) = groups else {
                return Err(self.space.too_small_for_stored_groups(&table.layout.name));
            };
            let touched = state.groups();
            if touched == 0 {
                return Ok(false);
            }
            self.take_stored(&mut state, sink)?;
            self.store(&mut state, touched, sink)?;
            state.finish().try_for_each(|batch| writer.write(batch, sink))?;
            return Ok(true);
        }
        if matches!(start, Start::Full) && table.is_kept {
            sink.forget_groups(&table.layout.name, &table.owner)?;
        }
        groups.for_each(run, self.space, &mut |mut state| {
            if self.plan.watermark.is_none() {
                let all = state.groups();
                self.store(&mut state, all, sink)?;
            }
            state.finish().try_for_each(|batch| writer.write(batch, sink))
        })?;
        Ok(true)
    }

    /// Makes rows of the groups that were written; returns how many this owner has in the table.
    fn publish(&self, sink: &mut dyn Sink) -> Result<u64> {
        let TableJob { run, output, plan, table, target, start, .. } = self;
        let is_direct = matches!(&run.plan.tables[output.table].origin, Origin::Feed { finish: None, .. });
        if matches!(start, Start::Full) && !table.is_kept && is_direct {
            return Ok(target.rows());
        }
        let staged = staging_table(output.table);
        let columns: Vec<(String, String)> =
            plan.scope.iter().map(|scope| (scope.column.clone(), scope.staged.clone())).collect();
        let value;
        let rows = match (start, &plan.watermark) {
            (Start::Above(known), Some(column)) => {
                value = Scalar::Int(*known);
                ReplacedRows::Above { column, value: &value, data_type: self.watermark_type() }
            }
            (Start::Behind(_), _) if !columns.is_empty() => {
                ReplacedRows::Matching { staged: &staged, columns: &columns }
            }
            _ => ReplacedRows::All,
        };
        let (removed, inserted) =
            sink.replace_rows(&table.layout, &Replaced { owner: &plan.owner, rows }, &plan.sql)?;
        let before = if matches!(start, Start::Full) { removed } else { table.known.rows };
        Ok((before + inserted).saturating_sub(removed))
    }

    /// Merges in what is stored of all groups that share a scope with one that is there.
    fn take_stored(&self, state: &mut AggregationState, sink: &mut dyn Sink) -> Result<()> {
        let IncrementalTable { order, scope, .. } = self.plan;
        let OpenTable { layout: TableLayout { name, .. }, owner, .. } = self.table;
        let prefixes = state.key_prefixes(order, scope.len());
        let (space, most) = (self.space, self.space.bytes);
        sink.read_groups(name, owner, &prefixes, &mut |groups| {
            let groups: Vec<StoredGroup<'_>> = groups.iter().map(|(key, state)| StoredGroup { key, state }).collect();
            state.take_stored(order, &groups).map_err(|Damaged| {
                let message = format!("what is stored of the groups of `{name}` is damaged");
                Error::new(ErrorKind::Output, message).help("--full-refresh makes the table and its groups anew")
            })?;
            if state.memory_bytes() > most { Err(space.too_small_for_stored_groups(name)) } else { Ok(()) }
        })
    }

    /// Stores the first so many groups for the next run.
    fn store(&self, state: &mut AggregationState, groups: usize, sink: &mut dyn Sink) -> Result<()> {
        let OpenTable { layout: TableLayout { name, .. }, owner, .. } = self.table;
        let mut batch: Vec<GroupBytes> = Vec::new();
        state.store(&self.plan.order, groups, |group| {
            batch.push((group.key.to_vec(), group.state.to_vec()));
            if batch.len() < STORED_GROUPS {
                return Ok(());
            }
            sink.write_groups(name, owner, &std::mem::take(&mut batch))
        })?;
        sink.write_groups(name, owner, &batch)
    }

    fn watermark_type(&self) -> DataType {
        match self.run.feed.incremental.as_ref().map(|incremental| &incremental.mode) {
            Some(IncrementalMode::Watermark(watermark)) => self.run.feed.columns[watermark.column].data_type,
            _ => DataType::Integer,
        }
    }
}
