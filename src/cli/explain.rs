//! `feedmill explain`: the plan in words: what is read, what the engine runs, what SQLite runs. Opens no feed.

use crate::chunk::DataType;
use crate::cli::arguments::Explain;
use crate::cli::run::load_only;
use crate::cli::text::{bytes, count, counted};
use crate::cli::{Ending, print};
use crate::dedupe::BloomFilter;
use crate::error::Result;
use crate::expr::{Function, NodeId, Op, Program};
use crate::plan::{
    FeedOutput, FeedPlan, GroupColumn, Incremental, IncrementalMode, LookupPlan, Origin, OutputKind, Plan, RowLoad,
    TablePlan, Watermark,
};
use crate::run::validate;

pub(super) fn explain(arguments: &Explain) -> Result<Ending> {
    let plan = load_only(&arguments.pipeline, &arguments.only, None)?;
    validate(&plan)?;
    print(&describe(&plan))
}

fn describe(plan: &Plan) -> String {
    let mut out = plan.only.as_ref().map(|only| format!("only rows with {only}\n")).unwrap_or_default();
    for (name, parameter) in &plan.parameters {
        out += &format!(
            "parameter ${name} = {} ({})\n",
            crate::cli::summary::cell(&parameter.value).text,
            parameter.data_type
        );
    }
    for LookupPlan { name, path, data, .. } in &plan.lookups {
        let key = &data.fields()[data.key()];
        out += &format!(
            "lookup {name}: {} from {}, in memory, by {}\n",
            counted(data.len() as u64, "row"),
            path.display(),
            key.name
        );
    }
    for feed in &plan.feeds {
        out += &describe_feed(plan, feed);
    }
    for table in &plan.tables {
        out += &describe_table(table);
    }
    out
}

fn describe_feed(plan: &Plan, feed: &FeedPlan) -> String {
    let mut out = format!("\nfeed {}: streamed once from {}\n", feed.name, feed.files.join(", "));
    for column in &feed.columns {
        let mut notes = Vec::new();
        if column.not_null {
            notes.push("not null");
        }
        if column.nullify {
            notes.push("invalid values become NULL");
        }
        if !column.used {
            notes.push("not decoded: nothing needs it");
        }
        let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        out += &format!("  column {} {}{notes}\n", column.name, column.data_type);
    }
    let show = |node: NodeId| expression(&feed.program, node, &|place| feed.columns[place].name.clone(), plan);
    for check in &feed.checks {
        out += &format!("  reject unless {}\n", show(check.predicate));
    }
    for (name, node) in &feed.derived {
        out += &format!("  derive {name} = {}\n", show(*node));
    }
    for (name, node) in &feed.counters {
        out += &format!("  count {name} where {}\n", show(*node));
    }
    for output in &feed.outputs {
        out += &describe_output(plan, output, &show);
    }
    out += &feed.load.as_ref().map(describe_load).unwrap_or_default();
    out += &feed.incremental.as_ref().map(|found| describe_incremental(plan, feed, found)).unwrap_or_default();
    out
}

fn describe_load(load: &RowLoad) -> String {
    let batches = "  a new table is written as whole pages and published with its entry in the ledger;\n  \
                   rows for a table that exists are inserted in batches, each with its entry\n";
    if load.key.is_empty() {
        return batches.to_owned();
    }
    let names: Vec<&str> = load.key.iter().map(|(name, _)| name.as_str()).collect();
    let filter = BloomFilter::with_bytes(BloomFilter::BYTES);
    let rate = 100.0 * filter.false_positive_rate(BloomFilter::CAPACITY);
    format!(
        "{batches}  de-duplicated by ({}): the first record of a key is loaded\n    \
         Bloom filter for {} keys: up to {}, {rate:.2}% false positives when full, less for smaller inputs\n    \
         exact check behind it: 128-bit fingerprints, in memory, then in temporary files\n",
        names.join(", "),
        count(BloomFilter::CAPACITY),
        bytes(filter.bytes())
    )
}

fn describe_incremental(plan: &Plan, feed: &FeedPlan, incremental: &Incremental) -> String {
    let mut out = match &incremental.mode {
        IncrementalMode::Append => "  incremental, append: what is known is checked to be the beginning still (BLAKE3); what follows it is aggregated\n    \
             and merged into the stored groups\n"
            .to_owned(),
        IncrementalMode::Watermark(Watermark { column, lag }) => {
            let column = &feed.columns[*column];
            let lag = match column.data_type {
                DataType::Integer => lag.to_string(),
                DataType::Timestamp => counted(*lag as u64 / 86_400_000_000, "day"),
                _ => counted(*lag as u64, "day"),
            };
            format!(
                "  incremental, watermark: rows up to {lag} below the greatest {} so far are passed over\n",
                column.name
            )
        }
    };
    for (output, table) in feed.outputs.iter().zip(&incremental.tables) {
        let scope: Vec<&str> = table.scope.iter().map(|scope| scope.column.as_str()).collect();
        let what = match &table.watermark {
            Some(column) => format!("rows with a {column} above that are made anew"),
            None if scope.is_empty() => "all rows are made anew, from the stored groups".to_owned(),
            None => format!("rows that share ({}) with a new one are made anew", scope.join(", ")),
        };
        let owner: Vec<&str> = table.owner.iter().map(|(column, _)| column.as_str()).collect();
        let others =
            if owner.is_empty() { String::new() } else { format!("; those of another {} stay", owner.join(", ")) };
        out += &format!("    table {}: {what}{others}\n", plan.tables[output.table].name);
    }
    out
}

fn describe_output(plan: &Plan, output: &FeedOutput, show: &dyn Fn(NodeId) -> String) -> String {
    let table = &plan.tables[output.table];
    let mut out = format!("  engine, for table {}:\n", table.name);
    if let Some(filter) = output.filter {
        out += &format!("    where {}\n", show(filter));
    }
    match &output.kind {
        OutputKind::Rows { columns } => {
            for node in columns {
                out += &format!("    row value {}\n", show(*node));
            }
        }
        OutputKind::Groups { keys, aggregates, program, columns } => {
            for key in keys {
                out += &format!("    group by {}\n", show(*key));
            }
            for (aggregate, argument) in aggregates {
                let argument = argument.map_or_else(|| "*".to_owned(), show);
                out += &format!("    aggregate {:?}({argument})\n", aggregate.function);
            }
            for column in columns {
                if let GroupColumn::Key(node) = column
                    && !matches!(program.node(*node).op, Op::Input(_))
                {
                    let key = |place: usize| show(keys[place]);
                    out += &format!("    once a group: {}\n", expression(program, *node, &key, plan));
                }
            }
        }
    }
    out
}

fn describe_table(table: &TablePlan) -> String {
    let key = if table.primary_key.is_empty() {
        String::new()
    } else {
        format!(", primary key ({})", table.primary_key.join(", "))
    };
    let origin = match &table.origin {
        Origin::Feed { finish: None, .. } => "written as it comes, in key order if grouped\n".to_owned(),
        Origin::Feed { finish: Some(sql), .. } => format!("finished by SQLite:\n  {sql}\n"),
        Origin::Sql { sql, .. } => format!("made by SQLite from other tables:\n  {}\n", sql.trim()),
        Origin::Rules(rules) => {
            let number = counted(rules.rules.len() as u64, "rule");
            format!("{number} over {}, in one pass by SQLite:\n  {}\n", rules.from, rules.sql().replace('\n', "\n  "))
        }
    };
    let temporary = if table.is_temporary { ", temporary" } else { "" };
    format!("\ntable {}{temporary}{key}: {origin}", table.name)
}

/// An expression in the notation of a call tree.
fn expression(program: &Program, node: NodeId, input: &dyn Fn(usize) -> String, plan: &Plan) -> String {
    let show = |node: NodeId| expression(program, node, input, plan);
    match &program.node(node).op {
        Op::Input(place) => input(*place),
        Op::Literal(value) => {
            let parameter = crate::expr::bind::Parameter { value: value.clone(), data_type: program.data_type(node) };
            parameter.to_sqlite()
        }
        Op::Lookup { lookup, column, key } => {
            let LookupPlan { name, data, .. } = &plan.lookups[*lookup];
            let column = column.map_or("(found)", |column| data.fields()[column].name.as_str());
            format!("{name}[{}].{column}", show(*key))
        }
        Op::Call(function, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(|argument| show(*argument)).collect();
            format!("{}({})", function_name(function), arguments.join(", "))
        }
        Op::Case { branches, otherwise } => {
            let branches: Vec<String> =
                branches.iter().map(|(when, then)| format!("when {} then {}", show(*when), show(*then))).collect();
            format!("case {} else {} end", branches.join(" "), show(*otherwise))
        }
    }
}

/// The variant's name in lower case, with what is compiled into it.
fn function_name(function: &Function) -> String {
    match function {
        Function::Compare(comparison) => format!("{comparison:?}").to_lowercase(),
        Function::RegexpExtract { pattern, group } => format!("regexp_extract<{pattern}, {group}>"),
        Function::RegexpMatches { pattern } => format!("regexp_matches<{pattern}>"),
        Function::RegexpReplace { pattern, .. } => format!("regexp_replace<{pattern}>"),
        Function::Shift(interval) => {
            format!("shift<{} months, {} days, {} us>", interval.months, interval.days, interval.micros)
        }
        other => format!("{other:?}").to_lowercase(),
    }
}
