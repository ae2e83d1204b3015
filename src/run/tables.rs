//! Tables on their way to the sink: where rows go, groups to rows, and what SQLite makes of them.

use std::cell::Cell;

use crate::aggregate::Aggregate;
use crate::chunk::{Column, ColumnView, Field, Scalar, Selection};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::expr::{Evaluator, NodeId, Program};
use crate::plan::{FeedOutput, FeedPlan, GroupColumn, Origin, OutputKind, Plan, RulesPlan, TablePlan, staging_table};
use crate::run::figures::TableFigures;
use crate::run::groups::Batch;
use crate::sink::{KeyState, Sink, TableId, TableLayout};

/// Where the rows of a feed's output go: its table, or the staging table from which SQLite makes it.
pub(super) struct Target {
    /// The table in the sink.
    pub(super) id: TableId,
    rows: Cell<u64>,
}

impl Target {
    /// A table without rows yet.
    pub(super) fn new(id: TableId) -> Self {
        Target { id, rows: Cell::new(0) }
    }

    /// Counts rows that were written.
    pub(super) fn count(&self, rows: u64) {
        self.rows.set(self.rows.get() + rows);
    }

    /// How many were written.
    pub(super) fn rows(&self) -> u64 {
        self.rows.get()
    }
}

/// Makes the tables that the outputs of a feed write to, one for each.
pub(super) fn targets(plan: &Plan, feed: &FeedPlan, sink: &mut dyn Sink) -> Result<Vec<Target>> {
    let target = |table: usize| {
        let id = match &plan.tables[table].origin {
            Origin::Feed { finish: Some(_), staging, .. } => sink.stage(&staging_table(table), staging)?,
            _ => sink.create_table(&layout(&plan.tables[table]))?,
        };
        Ok(Target::new(id))
    };
    feed.outputs.iter().map(|output| output.table).map(target).collect()
}

/// Writes the groups of an output to its table, or to the one that they are staged in.
pub(super) struct GroupWriter<'a> {
    table: &'a str,
    aggregates: &'a [(Aggregate, Option<NodeId>)],
    program: &'a Program,
    columns: &'a [GroupColumn],
    keys: usize,
    /// What is computed from the keys.
    roots: Vec<NodeId>,
    evaluator: Evaluator<'a>,
    target: &'a Target,
}

impl<'a> GroupWriter<'a> {
    /// A writer that has written nothing; `None` for an output that makes no groups.
    pub(super) fn new(plan: &'a Plan, output: &'a FeedOutput, target: &'a Target) -> Option<Self> {
        let OutputKind::Groups { keys, aggregates, program, columns } = &output.kind else { return None };
        let root = |column: &GroupColumn| match column {
            GroupColumn::Key(node) => Some(*node),
            GroupColumn::Aggregate(_) => None,
        };
        let roots: Vec<NodeId> = columns.iter().filter_map(root).collect();
        let lookups = plan.lookups.iter().map(|lookup| &lookup.data).collect();
        let evaluator = Evaluator::new(program, lookups, &roots);
        let table = plan.tables[output.table].name.as_str();
        Some(GroupWriter { table, aggregates, program, columns, keys: keys.len(), roots, evaluator, target })
    }

    /// Writes groups.
    pub(super) fn write(&mut self, batch: Batch, sink: &mut dyn Sink) -> Result<()> {
        let GroupWriter { table, aggregates, program, columns, keys, roots, evaluator, target } = self;
        let mut key_columns = batch.map_err(|overflow| {
            let function = aggregates[overflow.aggregate].0.function;
            overflow.named(&format!("{function:?} in table `{table}`"))
        })?;
        let results = key_columns.split_off(*keys);
        let len = key_columns.iter().chain(&results).next().map_or(0, Column::len);
        let inputs: Vec<Option<Column>> = key_columns.into_iter().map(Some).collect();
        let computed = evaluator.evaluate(&inputs, len);
        if let Some(node) = roots.iter().find(|node| !computed.faults(**node).is_empty()) {
            let data_type = program.data_type(*node);
            let message = format!("table `{table}`: a {data_type} computed from the keys of a group does not fit");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let view = |column: &GroupColumn| match column {
            GroupColumn::Key(node) => computed.view(*node),
            GroupColumn::Aggregate(place) => ColumnView::Rows(&results[*place]),
        };
        let views: Vec<ColumnView<'_>> = columns.iter().map(view).collect();
        sink.rows(target.id, &views, &Selection::All(len))?;
        target.count(len as u64);
        Ok(())
    }
}

/// Lets SQLite make the tables of a feed that are not complete yet; returns the figures of all of them.
pub(super) fn finish(
    plan: &Plan,
    feed: &FeedPlan,
    sink: &mut dyn Sink,
    targets: &[Target],
) -> Result<Vec<TableFigures>> {
    let mut made = Vec::new();
    for (output, target) in feed.outputs.iter().zip(targets) {
        let table = &plan.tables[output.table];
        let rows = match &table.origin {
            Origin::Feed { finish: Some(sql), .. } => sink.select_into(&layout(table), sql)?,
            _ => target.rows(),
        };
        made.push(TableFigures::new(table, rows));
    }
    Ok(made)
}

/// Makes the tables FROM other tables, those of rules by the SELECT that `rules_sql` gives for them; returns their
/// figures.
pub fn select_tables(
    plan: &Plan,
    sink: &mut dyn Sink,
    rules_sql: &dyn Fn(&RulesPlan) -> String,
) -> Result<Vec<TableFigures>> {
    for place in &plan.sql_lookups {
        let lookup = &plan.lookups[*place];
        let id = sink.stage(&lookup.name, lookup.data.fields())?;
        let views: Vec<ColumnView<'_>> = lookup.data.columns().iter().map(ColumnView::Rows).collect();
        let selection = match &plan.only {
            Some(only) => only.rows_of(&lookup.data),
            None => Selection::All(lookup.data.len()),
        };
        sink.rows(id, &views, &selection)?;
    }
    let mut made = Vec::new();
    for table in &plan.tables {
        let rows = match &table.origin {
            Origin::Feed { .. } => continue,
            Origin::Sql { sql, .. } => sink.select_into(&layout(table), sql)?,
            Origin::Rules(rules) => sink.select_into(&layout(table), &rules_sql(rules))?,
        };
        made.push(TableFigures::new(table, rows));
    }
    Ok(made)
}

/// Writes finished rows, as the reference engine has them, to the table of an output and lets SQLite do its part.
pub fn publish_rows(plan: &Plan, table: usize, rows: &[Vec<Scalar>], sink: &mut dyn Sink) -> Result<u64> {
    let Origin::Feed { staging, finish, .. } = &plan.tables[table].origin else { return Ok(0) };
    let is_load = |feed: &FeedPlan| feed.load.is_some() && feed.outputs.iter().any(|output| output.table == table);
    let mut key = KeyState::Unkeyed;
    let id = match finish {
        Some(_) => sink.stage(&staging_table(table), staging)?,
        None if plan.feeds.iter().any(is_load) => {
            let load = sink.open_load(&layout(&plan.tables[table]))?;
            key = load.key;
            load.table
        }
        None => sink.create_table(&layout(&plan.tables[table]))?,
    };
    for batch in rows.chunks(ROWS_PER_BATCH) {
        let columns = columns_of(staging, batch);
        let views: Vec<ColumnView<'_>> = columns.iter().map(ColumnView::Rows).collect();
        sink.rows(id, &views, &Selection::All(batch.len()))?;
    }
    if key == KeyState::Deferred {
        sink.build_key(id)?;
    }
    match finish {
        Some(sql) => sink.select_into(&layout(&plan.tables[table]), sql),
        None => Ok(rows.len() as u64),
    }
}

/// As many as a batch of groups has.
const ROWS_PER_BATCH: usize = 4096;

fn columns_of(fields: &[Field], rows: &[Vec<Scalar>]) -> Vec<Column> {
    let column = |(place, field): (usize, &Field)| {
        let mut builder = crate::chunk::ColumnBuilder::new(field.data_type.physical(), rows.len());
        rows.iter().for_each(|row| builder.push(row[place].as_cell()));
        builder.finish()
    };
    fields.iter().enumerate().map(column).collect()
}

/// What the sink has to know of a table.
pub(super) fn layout(table: &TablePlan) -> TableLayout {
    let rules_sql;
    let (columns, definition) = match &table.origin {
        Origin::Feed { columns, text, .. } => {
            (columns.iter().map(|column| (column.name.clone(), column.data_type)).collect(), text.as_str())
        }
        Origin::Sql { text, .. } => (Vec::new(), text.as_str()),
        Origin::Rules(rules) => {
            rules_sql = rules.sql();
            (rules.columns(), rules_sql.as_str())
        }
    };
    TableLayout {
        name: table.name.clone(),
        columns,
        primary_key: table.primary_key.clone(),
        without_rowid: table.without_rowid,
        is_temporary: table.is_temporary,
        definition: definition.to_owned(),
        part: table.part.clone(),
    }
}

/// The layout of the table that a feed's rows are loaded into; its definition says all that its content depends on.
pub(super) fn load_layout(plan: &Plan, feed: &FeedPlan) -> Option<TableLayout> {
    let output = feed.outputs.first().filter(|_| feed.load.is_some())?;
    let layout = layout(&plan.tables[output.table]);
    let definition = format!("{}\nkey {:?}\n{}", layout.definition.trim(), layout.primary_key, feed.definition);
    Some(TableLayout { definition, ..layout })
}
