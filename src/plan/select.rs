//! A SELECT FROM a feed, taken apart: what the engine computes for each row or group, and what is left for SQLite.
//!
//! The engine computes every part of the SELECT that is free of aggregates and windows, and the aggregates. These are
//! the columns of the staging table. Where the SELECT list is no more than that, in the order in which the rows are written
//! anyway, they are the table; otherwise SQLite runs the same SELECT with those parts replaced by the staged columns.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, ObjectName, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableFactor, TableWithJoins, Value,
    ValueWithSpan,
};
use sqlparser::tokenizer::Span;

use crate::chunk::DataType;
use crate::error::Error;
use crate::error::Result;
use crate::expr::bind::{Binder, Scope};
use crate::expr::sql::SqlText;
use crate::expr::{Function, NodeId};
use crate::plan::load::{Context, find_feed};
use crate::plan::spec::Spanned as TomlSpanned;
use crate::plan::staging::{Staging, is_grouped};
use crate::plan::{FeedOutput, FeedPlan, Origin, OutputColumn, OutputKind, staging_table};
use crate::plan::{feed, join};

/// Resolves the SELECT of table number `table`, with that primary key, and adds what it asks of its feed to that feed.
pub(super) fn resolve(
    context: &mut Context<'_>,
    feeds: &mut [FeedPlan],
    table: usize,
    primary_key: &[TomlSpanned<String>],
    text: &SqlText,
    query: &Query,
) -> Result<Origin> {
    let select = plain_select(text, query)?;
    let from = match select.from.as_slice() {
        [from] => from,
        _ => return Err(text.error_whole("FROM takes one feed, joined with lookups").help(ONE_FEED)),
    };
    let (feed_name, alias, span) = relation(text, &from.relation)?;
    let Some(feed) = find_feed(feeds, &feed_name) else {
        return Err(text.error(span, format!("the feed has to come first, not `{feed_name}`")).help(ONE_FEED));
    };

    let mut scope = feed::scope(feed, &alias);
    let mut program = std::mem::take(&mut feed.program);
    let mut filters = Vec::new();
    for join in &from.joins {
        filters.extend(join::resolve(context, text, &mut program, &mut scope, join)?);
    }
    let mut binder = context.binder(&mut program, &scope, text);
    if let Some(filter) = &select.selection {
        filters.push(binder.bind_predicate(filter)?);
    }
    let only = context.only;
    if let Some(only) = only {
        let mut binder = context.binder(&mut program, &scope, text);
        filters.push(only.filter(&mut binder, span, &feed_name)?);
    }
    let items = select_items(text, &scope, &alias, select)?;
    let mut binder = context.binder(&mut program, &scope, text);
    let output = Output { text, query, select, items, table, primary_key };
    let (kind, origin) = output.resolve(&mut binder)?;
    let filter =
        filters.into_iter().reduce(|all, filter| program.call(Function::And, vec![all, filter], DataType::Boolean));
    feed.program = program;
    feed.outputs.push(FeedOutput { table, filter, kind });
    Ok(origin)
}

/// What can stand behind FROM.
pub(super) const ONE_FEED: &str =
    "SELECT ... FROM feed LEFT JOIN lookup USING (key); aggregate two feeds to tables first, then join the tables";

/// A column of the SELECT list: its expression and its name.
struct Item {
    expr: Expr,
    name: String,
}

struct Output<'a> {
    text: &'a SqlText,
    query: &'a Query,
    select: &'a Select,
    items: Vec<Item>,
    table: usize,
    primary_key: &'a [TomlSpanned<String>],
}

impl Output<'_> {
    fn resolve(&self, binder: &mut Binder<'_>) -> Result<(OutputKind, Origin)> {
        let order_by = self.order_by()?;
        let having = self.select.having.as_ref();
        let distinct = self.select.distinct.is_some();
        let group_by = self.group_by()?;
        let aggregated = !group_by.is_empty()
            || having.is_some()
            || self.items.iter().map(|item| &item.expr).chain(order_by.iter().copied()).any(is_grouped);

        let mut staging = if aggregated {
            let mut keys = Vec::new();
            for expr in group_by {
                let key = self.group_key(binder, expr)?;
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            Staging::groups(keys)
        } else if distinct {
            // SELECT DISTINCT is a GROUP BY of everything without an aggregate.
            let keys = self.items.iter().map(|item| binder.bind(&item.expr)).collect::<Result<Vec<_>>>()?;
            Staging::groups(keys)
        } else {
            Staging::rows()
        };

        let aliases: Vec<&str> = self.items.iter().map(|item| item.name.as_str()).collect();
        let mut columns = Vec::new();
        let mut exprs = Vec::new();
        for item in &self.items {
            let data_type = staging.data_type(binder, &item.expr);
            columns.push(OutputColumn { name: item.name.clone(), data_type });
            exprs.push(staging.rewrite(binder, &item.expr, &[])?);
        }
        self.check_names(&columns)?;
        let finished_by_engine = having.is_none()
            && self.query.limit_clause.is_none()
            && !(distinct && aggregated)
            && staging.is_exactly(&exprs)
            && self.is_written_in_order(&staging);
        let finish = if finished_by_engine {
            None
        } else {
            Some(self.finish(binder, &mut staging, &columns, exprs, &aliases)?)
        };
        let (kind, fields) = staging.finish();
        Ok((kind, Origin::Feed { columns, staging: fields, finish, text: self.text.clone() }))
    }

    /// Whether ORDER BY asks for no other order than the rows are written in. That of groups is that of the primary key, or
    /// without one that of their own keys. The items are the staged columns.
    fn is_written_in_order(&self, staging: &Staging) -> bool {
        let Some(order_by) = &self.query.order_by else { return true };
        let OrderByKind::Expressions(exprs) = &order_by.kind else { return false };
        let items: Option<Vec<usize>> = exprs.iter().map(|order| self.ascending_item(order)).collect();
        let Some(items) = items.filter(|_| order_by.interpolate.is_none()) else { return false };
        if self.primary_key.is_empty() {
            return staging.begin_keys(&items);
        }
        let is_named =
            |(item, key): (&usize, &TomlSpanned<String>)| self.items[*item].name.eq_ignore_ascii_case(key.get_ref());
        staging.has_groups()
            && items.len() <= self.primary_key.len()
            && items.iter().zip(self.primary_key).all(is_named)
    }

    /// The place of the item that is to ascend, if it is named or numbered, with NULL first.
    fn ascending_item(&self, order: &OrderByExpr) -> Option<usize> {
        let OrderByOptions { sort, nulls_first } = &order.options;
        if !matches!(sort, None | Some(OrderBySort::Asc)) || *nulls_first == Some(false) || order.with_fill.is_some() {
            return None;
        }
        match &order.expr {
            Expr::Identifier(ident) => self.named(ident),
            expr => self.numbered(ordinal(expr)?),
        }
    }

    /// The place of the item with that name.
    fn named(&self, name: &Ident) -> Option<usize> {
        self.items.iter().position(|item| item.name.eq_ignore_ascii_case(&name.value))
    }

    /// The place of the item with that number, counted from 1.
    fn numbered(&self, number: &str) -> Option<usize> {
        number.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < self.items.len())
    }

    /// The SELECT that SQLite runs over the staging table.
    fn finish(
        &self,
        binder: &mut Binder<'_>,
        staging: &mut Staging,
        columns: &[OutputColumn],
        exprs: Vec<Expr>,
        aliases: &[&str],
    ) -> Result<String> {
        let mut query = self.query.clone();
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = exprs
                .into_iter()
                .zip(columns)
                .map(|(expr, column)| SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', &column.name) })
                .collect();
            select.from = vec![TableWithJoins { relation: staging_relation(self.table), joins: Vec::new() }];
            select.selection = match &select.having {
                Some(having) => Some(staging.rewrite(binder, having, aliases)?),
                None => None,
            };
            select.having = None;
            select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
            for window in &mut select.named_window {
                staging.rewrite_window(binder, window)?;
            }
        }
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order_by.kind
        {
            for order in exprs {
                let is_alias = matches!(&order.expr, Expr::Identifier(ident)
                    if aliases.iter().any(|alias| alias.eq_ignore_ascii_case(&ident.value)));
                if !is_alias && ordinal(&order.expr).is_none() {
                    order.expr = staging.rewrite(binder, &order.expr, aliases)?;
                }
            }
        }
        Ok(query.to_string())
    }

    /// A GROUP BY expression: a column, or the name or number of a SELECT item, or any row expression.
    fn group_key(&self, binder: &mut Binder<'_>, expr: &Expr) -> Result<NodeId> {
        let place = match (expr, ordinal(expr)) {
            (Expr::Identifier(name), _) if !binder.scope.has(&name.value) => self.named(name),
            (_, Some(number)) => Some(self.numbered(number).ok_or_else(|| {
                self.text.error(expr.span(), format!("the SELECT list has no column number {number}"))
            })?),
            _ => None,
        };
        match place.map(|place| &self.items[place]) {
            Some(item) if is_grouped(&item.expr) => Err(self.text.error(
                expr.span(),
                format!("`{}` is computed from groups, so that nothing can be grouped by it", item.name),
            )),
            Some(item) => binder.bind(&item.expr),
            None => binder.bind(expr),
        }
    }

    fn group_by(&self) -> Result<&[Expr]> {
        match &self.select.group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => Ok(exprs),
            other => {
                Err(self.text.error(other.span(), "this form of GROUP BY is not supported").help("name the columns"))
            }
        }
    }

    fn order_by(&self) -> Result<Vec<&Expr>> {
        match self.query.order_by.as_ref().map(|order_by| (&order_by.kind, order_by)) {
            None => Ok(Vec::new()),
            Some((OrderByKind::Expressions(exprs), _)) => Ok(exprs.iter().map(|order| &order.expr).collect()),
            Some((OrderByKind::All(_), order_by)) => {
                Err(self.text.error(order_by.span(), "ORDER BY ALL is not supported").help("name the columns"))
            }
        }
    }

    fn check_names(&self, columns: &[OutputColumn]) -> Result<()> {
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
                let error =
                    self.text.error(self.items[index].expr.span(), format!("two columns are named `{}`", column.name));
                return Err(error.help("give one of them another name with AS"));
            }
        }
        Ok(())
    }
}

/// The number of an item of the SELECT list.
fn ordinal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => Some(number),
        _ => None,
    }
}

fn staging_relation(table: usize) -> TableFactor {
    TableFactor::Table {
        name: ObjectName::from(vec![Ident::new(staging_table(table))]),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// The SELECT of a query that is nothing but a SELECT of the supported clauses.
fn plain_select<'a>(text: &SqlText, query: &'a Query) -> Result<&'a Select> {
    let refuse = |span: Span, what: &str| {
        Err(text
            .error(span, format!("{what} is not supported in a SELECT FROM a feed"))
            .help("aggregate the feed to a table first, then use it in a second table that selects FROM the first"))
    };
    if let Some(with) = &query.with {
        return refuse(with.span(), "WITH");
    }
    if query.fetch.is_some()
        || !query.locks.is_empty()
        || query.for_clause.is_some()
        || !query.pipe_operators.is_empty()
    {
        return refuse(query.span(), "this clause");
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return refuse(query.body.span(), "UNION and the like");
    };
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return refuse(select.span(), "DISTINCT ON");
    }
    if let Some(qualify) = &select.qualify {
        return refuse(qualify.span(), "QUALIFY");
    }
    if select.into.is_some() || select.top.is_some() || !select.lateral_views.is_empty() || select.prewhere.is_some() {
        return refuse(select.span(), "this clause");
    }
    Ok(select)
}

/// The name, alias and place of a relation that is a plain name.
pub(super) fn relation(text: &SqlText, factor: &TableFactor) -> Result<(String, String, Span)> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } if name.0.len() == 1 => {
            let written = name.0[0].as_ident().map_or_else(|| name.to_string(), |ident| ident.value.clone());
            let alias = alias.as_ref().map_or_else(|| written.clone(), |alias| alias.name.value.clone());
            Ok((written, alias, name.span()))
        }
        other => Err(text.error(other.span(), "only feeds and lookups can stand here").help(ONE_FEED)),
    }
}

/// The SELECT list with its stars expanded and its columns named.
fn select_items(text: &SqlText, scope: &Scope, feed_alias: &str, select: &Select) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => items.push(Item { expr: expr.clone(), name: natural_name(expr) }),
            SelectItem::ExprWithAlias { expr, alias } => {
                items.push(Item { expr: expr.clone(), name: alias.value.clone() });
            }
            SelectItem::Wildcard(_) => {
                items.extend(scope.visible().map(|(relation, name)| named(relation, name)));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let relation = name.to_string();
                let before = items.len();
                items.extend(
                    scope
                        .visible()
                        .filter(|(of, _)| of.eq_ignore_ascii_case(&relation))
                        .map(|(relation, name)| named(relation, name)),
                );
                if items.len() == before {
                    return Err(unknown_star(text, item, feed_alias));
                }
            }
            _ => return Err(unknown_star(text, item, feed_alias)),
        }
    }
    Ok(items)
}

fn unknown_star(text: &SqlText, item: &SelectItem, feed_alias: &str) -> Error {
    text.error(item.span(), "this is not understood in a SELECT list").help(format!("write * or {feed_alias}.*"))
}

fn named(relation: &str, name: &str) -> Item {
    let parts = vec![Ident::with_quote('"', relation), Ident::with_quote('"', name)];
    Item { expr: Expr::CompoundIdentifier(parts), name: name.to_owned() }
}

/// The name of a column without AS: that of the column it shows, or else its text.
fn natural_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| ident.value.clone()).unwrap_or_default(),
        other => other.to_string(),
    }
}
