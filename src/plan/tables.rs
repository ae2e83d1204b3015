//! Tables: which are made FROM a feed and which FROM other tables, and in which order.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, ObjectName, Query, Spanned, Value, Visit, Visitor};
use sqlparser::tokenizer::Span;

use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::sql::SourceFile;
use crate::expr::sql::SqlText;
use crate::plan::load::{Context, find_feed};
use crate::plan::spec::{RulesSpec, Spanned as TomlSpanned, Spec, TableSpec};
use crate::plan::{FeedPlan, Origin, TablePlan, rules, select};

/// Resolves all tables. Returns them in an order in which each comes behind those that it reads, and the lookups that
/// SQLite has to know.
pub(super) fn resolve(
    context: &mut Context<'_>,
    spec: &Spec,
    feeds: &mut [FeedPlan],
) -> Result<(Vec<TablePlan>, Vec<usize>)> {
    let names: Vec<&str> = spec.table.keys().chain(spec.rules.keys()).map(|name| name.get_ref().as_str()).collect();
    let mut waiting: Vec<Waiting> = Vec::new();
    for (name, table) in &spec.table {
        let text = context.sql(&table.sql);
        let query = Box::new(text.parse_query()?);
        let relations = relations(&query);
        check_relations(context, feeds, &names, &text, &relations)?;
        let relations = relations.into_iter().map(|(relation, _)| relation).collect();
        waiting.push(Waiting { name, relations, source: Source::Select { table, text, query } });
    }
    for (name, rules) in &spec.rules {
        check_from(context, &names, rules)?;
        waiting.push(Waiting { name, relations: vec![rules.from.get_ref().clone()], source: Source::Rules(rules) });
    }

    let mut tables: Vec<TablePlan> = Vec::new();
    let mut sql_lookups = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|candidate| {
            !candidate
                .relations
                .iter()
                .any(|relation| waiting.iter().any(|other| other.name.get_ref().eq_ignore_ascii_case(relation)))
        });
        let Some(ready) = ready else {
            let circle: Vec<&str> = waiting.iter().map(|table| table.name.get_ref().as_str()).collect();
            let message = format!("these tables are made from each other: {}", circle.join(", "));
            return Err(match &waiting[0].source {
                Source::Select { text, .. } => text.error_whole(message),
                Source::Rules(rules) => context.file.error(rules.from.span(), message),
            });
        };
        let Waiting { name, relations, source } = waiting.remove(ready);
        let (table, text, query) = match source {
            Source::Select { table, text, query } => (table, text, query),
            Source::Rules(spec) => {
                let rules = rules::resolve(context, name, spec)?;
                tables.push(TablePlan {
                    name: name.get_ref().clone(),
                    primary_key: rules.key.clone(),
                    without_rowid: false,
                    is_temporary: false,
                    part: context.only.map(ToString::to_string),
                    origin: Origin::Rules(rules),
                });
                continue;
            }
        };
        let reads_feed = relations.iter().any(|relation| find_feed(feeds, relation).is_some());
        let origin = if reads_feed {
            select::resolve(context, feeds, tables.len(), &table.primary_key, &text, &query)?
        } else {
            for relation in &relations {
                let lookup = context.lookups.iter().position(|lookup| lookup.name.eq_ignore_ascii_case(relation));
                if let Some(lookup) = lookup.filter(|lookup| !sql_lookups.contains(lookup)) {
                    sql_lookups.push(lookup);
                }
            }
            let sql = put_in_parameters(context, &text, &query)?;
            Origin::Sql { sql, text }
        };
        let TableSpec { primary_key: key, without_rowid, temporary, .. } = table;
        tables.push(TablePlan {
            name: name.get_ref().clone(),
            primary_key: primary_key(context, key, &origin)?,
            without_rowid: without_rowid.as_ref().is_some_and(|without_rowid| *without_rowid.get_ref()),
            is_temporary: temporary.as_ref().is_some_and(|temporary| *temporary.get_ref()),
            part: context.only.map(ToString::to_string),
            origin,
        });
    }
    Ok((tables, sql_lookups))
}

/// A table that may have to wait for others.
struct Waiting<'a> {
    name: &'a TomlSpanned<String>,
    relations: Vec<String>,
    source: Source<'a>,
}

/// What it is made by.
enum Source<'a> {
    Select { table: &'a TableSpec, text: SqlText, query: Box<Query> },
    Rules(&'a RulesSpec),
}

/// Makes sure that rules look at a table.
fn check_from(context: &Context<'_>, tables: &[&str], rules: &RulesSpec) -> Result<()> {
    let from = rules.from.get_ref();
    if tables.iter().any(|table| table.eq_ignore_ascii_case(from)) {
        return Ok(());
    }
    let error = context.file.error(rules.from.span(), format!("there is no table `{from}`"));
    Err(match did_you_mean(from, tables.iter().copied()) {
        Some(help) => error.help(help),
        None => error.help("rules look at the rows of a table; a feed is aggregated to one first"),
    })
}

/// The relations that a query reads, without the names that its own WITH defines.
fn relations(query: &Query) -> Vec<(String, Span)> {
    #[derive(Default)]
    struct Relations {
        found: Vec<(String, Span)>,
        defined: Vec<String>,
    }
    impl Visitor for Relations {
        type Break = ();

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            let name = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone());
            self.found.push((name.unwrap_or_else(|| relation.to_string()), relation.span()));
            ControlFlow::Continue(())
        }

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if let Some(with) = &query.with {
                self.defined.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.clone()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut relations = Relations::default();
    let _ = query.visit(&mut relations);
    let Relations { mut found, defined } = relations;
    found.retain(|(name, _)| !defined.iter().any(|cte| cte.eq_ignore_ascii_case(name)));
    found
}

fn check_relations(
    context: &Context<'_>,
    feeds: &mut [FeedPlan],
    tables: &[&str],
    text: &SqlText,
    relations: &[(String, Span)],
) -> Result<()> {
    for (relation, span) in relations {
        let lookups = context.lookups.iter().map(|lookup| lookup.name.as_str());
        let known: Vec<&str> =
            feeds.iter().map(|feed| feed.name.as_str()).chain(lookups).chain(tables.iter().copied()).collect();
        if !known.iter().any(|name| name.eq_ignore_ascii_case(relation)) {
            let error = text.error(*span, format!("there is no feed, lookup or table `{relation}`"));
            return Err(match did_you_mean(relation, known.iter().copied()) {
                Some(help) => error.help(help),
                None => error.help(format!("there are {}", known.join(", "))),
            });
        }
    }
    Ok(())
}

fn primary_key(context: &Context<'_>, names: &[TomlSpanned<String>], origin: &Origin) -> Result<Vec<String>> {
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|other| other.get_ref().eq_ignore_ascii_case(name.get_ref())) {
            return Err(context.file.error(name.span(), format!("the key names `{}` twice", name.get_ref())));
        }
    }
    if let Origin::Feed { columns, .. } = origin {
        for name in names {
            if !columns.iter().any(|column| column.name == *name.get_ref()) {
                let error = context.file.error(name.span(), format!("the table has no column `{}`", name.get_ref()));
                let known = columns.iter().map(|column| column.name.as_str());
                return Err(match did_you_mean(name.get_ref(), known) {
                    Some(help) => error.help(help),
                    None => error,
                });
            }
        }
    }
    Ok(names.iter().map(|name| name.get_ref().clone()).collect())
}

/// Makes sure that every table has the key that its rows are to lie in.
///
/// # Errors
/// When a table is to be without a rowid and has no key.
pub(super) fn check_keys(file: &SourceFile, spec: &Spec, tables: &[TablePlan]) -> Result<()> {
    for (name, table) in &spec.table {
        let has_no_key = |plan: &&TablePlan| plan.name == *name.get_ref() && plan.primary_key.is_empty();
        if let Some(without_rowid) = table.without_rowid.as_ref().filter(|without_rowid| *without_rowid.get_ref())
            && tables.iter().any(|plan| has_no_key(&plan))
        {
            let error = file.error(without_rowid.span(), "a table without a rowid needs a primary key");
            return Err(error.help("add `primary_key`, or take `without_rowid` out"));
        }
    }
    Ok(())
}

/// Makes sure that temporary tables are steps on the way to others.
///
/// # Errors
/// When nothing would be published, or when a table is to be kept for the next run.
pub(super) fn check_temporary(file: &SourceFile, spec: &Spec, feeds: &[FeedPlan], tables: &[TablePlan]) -> Result<()> {
    let incremental = spec.incremental.as_ref().map(|incremental| incremental.feed.get_ref().as_str());
    let kept: Vec<usize> = feeds
        .iter()
        .filter(|feed| incremental == Some(feed.name.as_str()))
        .flat_map(|feed| feed.outputs.iter().map(|output| output.table))
        .collect();
    for (place, table) in tables.iter().enumerate().filter(|(_, table)| table.is_temporary) {
        let written = spec.table.iter().find(|(name, _)| *name.get_ref() == table.name);
        let span = written.and_then(|(_, table)| table.temporary.as_ref()).map_or(0..0, TomlSpanned::span);
        if kept.contains(&place) {
            let message = "the tables of the feed of [incremental] are kept for the next run";
            return Err(file.error(span, message).help("take `temporary` out; tables FROM other tables can have it"));
        }
        if tables.iter().all(|table| table.is_temporary) {
            let error = file.error(span, "all tables are temporary, so that nothing would be published");
            return Err(error.help("take `temporary` out of the tables that are the result"));
        }
    }
    Ok(())
}

/// Whether a query reads a temporary table.
pub(super) fn reads_temporary(query: &Query, tables: &[TablePlan]) -> bool {
    let is_temporary =
        |name: &str| tables.iter().any(|table| table.is_temporary && table.name.eq_ignore_ascii_case(name));
    relations(query).iter().any(|(name, _)| is_temporary(name))
}

/// The text of a query for SQLite, with the values of parameters in the place of their names.
pub(super) fn put_in_parameters(context: &Context<'_>, text: &SqlText, query: &Query) -> Result<String> {
    let mut parts = Vec::new();
    let found: ControlFlow<_> = sqlparser::ast::visit_expressions(query, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            match context.parameters.get(name.trim_start_matches('$')) {
                Some(parameter) => parts.push((value.span, parameter.to_sqlite())),
                None => return ControlFlow::Break((value.span, name.clone())),
            }
        }
        ControlFlow::Continue(())
    });
    match found {
        ControlFlow::Continue(()) => Ok(text.replace(parts)),
        ControlFlow::Break((span, name)) => {
            Err(text.error(span, format!("there is no parameter `{name}` in [params]")))
        }
    }
}
