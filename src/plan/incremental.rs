//! `[incremental]`: which feed is processed for what is new, and which rows of its tables depend on what is new. Computes
//! nothing.
//!
//! A group that gets new rows is computed anew from its stored state. Where the SELECT has windows, other groups depend on it:
//! those that share a partition with it. What all windows are partitioned by and the table shows is the *scope* of a
//! table: rows with the same values there are made anew together, and no others. Without windows each group is a scope of
//! its own; where nothing better is known, the whole table is one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, SelectItem, SetExpr, WindowType};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::chunk::DataType;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::bind::Parameter;
use crate::expr::sql::SourceFile;
use crate::expr::{NodeId, Op};
use crate::plan::spec::{IncrementalSpec, Spanned, Spec};
use crate::plan::{
    FeedOutput, FeedPlan, GroupColumn, Incremental, IncrementalMode, IncrementalTable, LookupPlan, Origin, OutputKind,
    ScopeColumn, TablePlan, Watermark, feed, staging_table,
};

/// Resolves `[incremental]`, if there is one.
pub(super) fn resolve(
    file: &SourceFile,
    spec: &Spec,
    parameters: &str,
    lookups: &[LookupPlan],
    feeds: &mut [FeedPlan],
    tables: &[TablePlan],
) -> Result<()> {
    let Some(incremental) = &spec.incremental else { return Ok(()) };
    let name = incremental.feed.get_ref();
    let Some(feed) = feeds.iter_mut().find(|feed| feed.name == *name) else {
        let error = file.error(incremental.feed.span(), format!("there is no feed `{name}`"));
        return Err(match did_you_mean(name, spec.feed.keys().map(|name| name.get_ref().as_str())) {
            Some(help) => error.help(help),
            None => error,
        });
    };
    if feed.outputs.iter().any(|output| matches!(output.kind, OutputKind::Rows { .. })) {
        let message = format!("the feed `{name}` makes a table of rows, and [incremental] is for groups");
        return Err(file
            .error(incremental.feed.span(), message)
            .help("take [incremental] out: `feedmill run --mode append` adds what is new to tables of rows"));
    }
    let mode = mode(file, incremental, feed)?;
    let spec_of_feed = spec.feed.iter().find(|(key, _)| key.get_ref() == name);
    let declared = spec_of_feed.map(|(_, spec)| format!("{}\n{}", feed::declared(spec), feed::counted(spec)));
    let base = Base {
        declared: declared.unwrap_or_default(),
        parameters,
        lookups: used_lookups(feed, lookups),
        mode: format!("{mode:?}"),
    };
    let mut resolved = Vec::new();
    for output in &feed.outputs {
        let table = &tables[output.table];
        let place = spec.table.keys().find(|key| *key.get_ref() == table.name).map_or(0..0, Spanned::span);
        let watermark = match &mode {
            IncrementalMode::Append => None,
            IncrementalMode::Watermark(watermark) => Some(watermark),
        };
        let refuse = |message: String| file.error(place.clone(), message);
        resolved.push(base.table(output, table, watermark).map_err(|message| {
            refuse(message).help("mode = \"append\" has no such condition, and late rows are right")
        })?);
    }
    feed.incremental = Some(Incremental { mode, tables: resolved });
    Ok(())
}

fn mode(file: &SourceFile, spec: &IncrementalSpec, feed: &FeedPlan) -> Result<IncrementalMode> {
    let unused = |option: Option<std::ops::Range<usize>>| match option {
        Some(span) => Err(file.error(span, "only mode = \"watermark\" has this")),
        None => Ok(IncrementalMode::Append),
    };
    match spec.mode.get_ref().as_str() {
        "append" => {
            let column = spec.column.as_ref().map(Spanned::span);
            unused(column.or(spec.lag.as_ref().map(Spanned::span)))
        }
        "watermark" => {
            let Some(name) = &spec.column else {
                return Err(file
                    .error(spec.mode.span(), "a watermark needs the column that it is the greatest value of")
                    .help("column = \"transaction_date\""));
            };
            let Some(column) = feed.columns.iter().position(|column| column.name == *name.get_ref()) else {
                let error = file.error(name.span(), format!("the feed has no column `{}`", name.get_ref()));
                return Err(match did_you_mean(name.get_ref(), feed.columns.iter().map(|c| c.name.as_str())) {
                    Some(help) => error.help(help),
                    None => error,
                });
            };
            let declared = &feed.columns[column];
            if !declared.not_null || declared.nullify {
                let message = format!("`{}` may be NULL, which is on neither side of a watermark", declared.name);
                return Err(file.error(name.span(), message).help("declare it NOT NULL"));
            }
            let unit = match declared.data_type {
                DataType::Date | DataType::Integer => 1,
                DataType::Timestamp => MICROS_PER_DAY,
                other => {
                    let message = format!("a watermark is a DATE, a TIMESTAMP or an INTEGER, not a {other}");
                    return Err(file.error(name.span(), message));
                }
            };
            let lag = spec.lag.as_ref().map_or(Some(0), |lag| i64::from(*lag.get_ref()).checked_mul(unit));
            Ok(IncrementalMode::Watermark(Watermark { column, lag: lag.unwrap_or(i64::MAX) }))
        }
        other => Err(file.error(spec.mode.span(), format!("there is no mode `{other}`")).help(
            "append processes what was added to the file, watermark what lies above the greatest value of a column",
        )),
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The lookups that the rows of a feed go through, with what is in them.
fn used_lookups(feed: &FeedPlan, lookups: &[LookupPlan]) -> String {
    let programs = feed.outputs.iter().filter_map(|output| match &output.kind {
        OutputKind::Groups { program, .. } => Some(program),
        OutputKind::Rows { .. } => None,
    });
    let nodes = std::iter::once(&feed.program).chain(programs).flat_map(|program| program.nodes());
    let used: BTreeSet<usize> = nodes
        .filter_map(|node| match &node.op {
            Op::Lookup { lookup, .. } => Some(*lookup),
            _ => None,
        })
        .collect();
    let texts = used.into_iter().map(|place| format!("{} {}", lookups[place].name, lookups[place].fingerprint));
    texts.collect::<Vec<_>>().join("\n")
}

/// What the tables of a feed have in common.
struct Base<'a> {
    declared: String,
    parameters: &'a str,
    lookups: String,
    mode: String,
}

impl Base<'_> {
    fn table(
        &self,
        output: &FeedOutput,
        table: &TablePlan,
        watermark: Option<&Watermark>,
    ) -> std::result::Result<IncrementalTable, String> {
        let (
            Origin::Feed { columns, staging, finish, text },
            OutputKind::Groups { keys, program, columns: staged, .. },
        ) = (&table.origin, &output.kind)
        else {
            return Err(format!("`{}` is no table of groups", table.name));
        };
        let sql = finish.clone().unwrap_or_else(|| {
            let names: Vec<String> = staging.iter().map(|field| format!("\"{}\"", field.name)).collect();
            format!("SELECT {} FROM {}", names.join(", "), staging_table(output.table))
        });
        let shown = match finish {
            Some(finish) => Shown::of(finish),
            None => Shown {
                columns: staging.iter().map(|field| Some(field.name.clone())).collect(),
                windows: Vec::new(),
                is_whole: false,
            },
        };
        // What each column shows, if it is no more than a staged one.
        let source = |column: usize| {
            let name = shown.columns.get(column)?.as_ref()?;
            let place = staging.iter().position(|field| field.name == *name)?;
            match staged[place] {
                GroupColumn::Key(node) => Some((node, name)),
                GroupColumn::Aggregate(_) => None,
            }
        };
        let key_shown = |column: usize| {
            let (node, name) = source(column)?;
            match program.node(node).op {
                Op::Input(key) => Some((key, name.clone())),
                _ => None,
            }
        };
        let constant = |column: usize| {
            let (node, _) = source(column)?;
            match &program.node(node).op {
                Op::Literal(value) => {
                    Some(Parameter { value: value.clone(), data_type: program.data_type(node) }.to_sqlite())
                }
                _ => None,
            }
        };
        let place_of = |name: &String| columns.iter().position(|column| column.name == *name);
        let owner: Vec<(String, String)> =
            table.primary_key.iter().filter_map(|name| Some((name.clone(), constant(place_of(name)?)?))).collect();

        // Where a key is shown, and under which name it is staged.
        let visible: Vec<(usize, ScopeColumn)> = (0..columns.len())
            .filter_map(|column| {
                let (key, staged) = key_shown(column)?;
                Some((key, ScopeColumn { column: columns[column].name.clone(), staged }))
            })
            .collect();
        let in_every_window = |scope: &ScopeColumn| shown.windows.iter().all(|window| window.contains(&scope.staged));
        let mut scope: Vec<(usize, ScopeColumn)> = Vec::new();
        if !shown.is_whole {
            for (key, column) in &visible {
                if in_every_window(column) && !scope.iter().any(|(known, _)| known == key) {
                    scope.push((*key, column.clone()));
                }
            }
        }
        if let Some(watermark) = watermark {
            let is_it = |key: &usize| keys[*key] == NodeId(watermark.column as u32);
            let Some((_, column)) = scope.iter().find(|(key, _)| is_it(key)) else {
                let name = &table.name;
                let message = format!(
                    "the table `{name}` has to group by the column of the watermark, show it, and partition all windows by it"
                );
                return Err(message);
            };
            let column = column.column.clone();
            return Ok(self.resolved(table, text.as_str(), owner, Vec::new(), Vec::new(), sql, Some(column)));
        }
        // Rows are found by the index of the primary key, or there is no point in looking for them.
        let first = table.primary_key.iter().find(|name| !owner.iter().any(|(column, _)| column == *name));
        if !scope.iter().any(|(_, scope)| Some(&scope.column) == first) {
            scope.clear();
        }
        let mut order: Vec<usize> = scope.iter().map(|(key, _)| *key).collect();
        order.extend((0..keys.len()).filter(|key| !scope.iter().any(|(known, _)| known == key)));
        let scope = scope.into_iter().map(|(_, column)| column).collect();
        Ok(self.resolved(table, text.as_str(), owner, order, scope, sql, None))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one value")]
    fn resolved(
        &self,
        table: &TablePlan,
        text: &str,
        owner: Vec<(String, String)>,
        order: Vec<usize>,
        scope: Vec<ScopeColumn>,
        sql: String,
        watermark: Option<String>,
    ) -> IncrementalTable {
        let TablePlan { primary_key, without_rowid, .. } = table;
        let definition = format!(
            "{}\nkey {primary_key:?} {without_rowid}\n{}\nlookups {}\nincremental {}",
            text.trim(),
            self.declared,
            self.lookups,
            self.mode
        );
        IncrementalTable { definition, parameters: self.parameters.to_owned(), owner, order, scope, sql, watermark }
    }
}

/// What a SELECT over staged columns shows of them.
struct Shown {
    /// For each column of the SELECT list, the staged column that it is.
    columns: Vec<Option<String>>,
    /// For each window, the staged columns that it is partitioned by.
    windows: Vec<Vec<String>>,
    /// Whether its rows depend on all others in yet another way.
    is_whole: bool,
}

impl Shown {
    fn of(finish: &str) -> Shown {
        let unknown = Shown { columns: Vec::new(), windows: Vec::new(), is_whole: true };
        let parser = Parser::new(&GenericDialect {}).try_with_sql(finish);
        let Ok(query) = parser.and_then(|mut parser| parser.parse_query()) else { return unknown };
        let SetExpr::Select(select) = query.body.as_ref() else { return unknown };
        let columns = select.projection.iter().map(|item| match item {
            SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => name_of(expr),
            _ => None,
        });
        let is_whole = query.limit_clause.is_some() || select.distinct.is_some() || !select.named_window.is_empty();
        Shown { columns: columns.collect(), windows: windows(&query), is_whole }
    }
}

/// What each window is partitioned by, as far as that is a column.
fn windows(query: &Query) -> Vec<Vec<String>> {
    let mut windows = Vec::new();
    let _ = sqlparser::ast::visit_expressions(query, |expr| {
        if let Expr::Function(call) = expr
            && let Some(over) = &call.over
        {
            windows.push(match over {
                WindowType::WindowSpec(spec) => spec.partition_by.iter().filter_map(name_of).collect(),
                WindowType::NamedWindow(_) => Vec::new(),
            });
        }
        ControlFlow::<()>::Continue(())
    });
    windows
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::Nested(inner) => name_of(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::plan::{IncrementalTable, Plan, Settings};

    fn table(select: &str, key: &str) -> IncrementalTable {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        let text = format!(
            "[params]\nclient = \"c\"\n[feed.f]\ncolumns = \"day DATE NOT NULL, sku TEXT, n INTEGER\"\n\
             [incremental]\nfeed = \"f\"\nmode = \"append\"\n[table.t]\nprimary_key = [{key}]\nsql = \"{select}\""
        );
        fs::write(&path, text).unwrap();
        let mut plan = Plan::load(&path, &Settings::default()).unwrap_or_else(|error| panic!("{error}: {select}"));
        plan.feeds[0].incremental.take().unwrap().tables.remove(0)
    }

    fn scope(select: &str, key: &str) -> Vec<String> {
        table(select, key).scope.into_iter().map(|column| column.column).collect()
    }

    #[test]
    fn the_scope_is_what_all_windows_are_partitioned_by() {
        let key = "\"day\", \"sku\"";
        let share = "sum(n) * 1.0 / sum(sum(n)) OVER (PARTITION BY day) AS share";
        let rank = "rank() OVER (PARTITION BY day, sku ORDER BY sum(n)) AS r";
        for (list, expected) in [
            ("sum(n) AS s", vec!["day", "sku"]),
            (share, vec!["day"]),
            (rank, vec!["day", "sku"]),
            (&format!("{share}, {rank}"), vec!["day"]),
            (&format!("{share}, rank() OVER (ORDER BY sum(n)) AS r"), vec![]),
            ("rank() OVER (PARTITION BY sku ORDER BY sum(n)) AS r", vec![]),
        ] {
            let select = format!("SELECT day, sku, {list} FROM f GROUP BY day, sku");
            assert_eq!(scope(&select, key), expected, "{list}");
        }
        let select = "SELECT day, sku, sum(n) AS s FROM f GROUP BY day, sku";
        assert_eq!(scope(&format!("{select} HAVING sum(n) > 1"), key), ["day", "sku"]);
        assert_eq!(scope(&format!("{select} ORDER BY s LIMIT 3"), key), [""; 0]);
        assert_eq!(scope(select, ""), [""; 0], "rows of a table without a key cannot be found");
        assert_eq!(scope("SELECT day, sum(n) AS s FROM f GROUP BY day, sku", "\"day\""), ["day"]);
        assert_eq!(scope("SELECT day + 1 AS day, sum(n) AS s FROM f GROUP BY day", "\"day\""), [""; 0]);
    }

    #[test]
    fn constants_in_the_key_say_whose_rows_they_are() {
        let select = "SELECT $client AS client, sku, day, sum(n) AS s FROM f GROUP BY day, sku";
        let table = table(select, "\"client\", \"sku\"");
        assert_eq!(table.owner, [("client".to_owned(), "'c'".to_owned())]);
        let scope: Vec<&str> = table.scope.iter().map(|column| column.column.as_str()).collect();
        assert_eq!((scope, table.order), (vec!["sku", "day"], vec![1, 0]));
    }
}
