//! The columns that the engine hands to SQLite for a table, collected while its SELECT is rewritten to read them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function as Call, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, NamedWindowDefinition, Spanned, Value, VisitMut, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::aggregate::{Aggregate, AggregateFunction};
use crate::chunk::{DataType, Field, Scalar};
use crate::error::Error;
use crate::error::Result;
use crate::expr::bind::{Binder, data_type_of, integer_division, is_aggregate};
use crate::expr::{NodeId, Op, Program};
use crate::plan::{GroupColumn, OutputKind};

/// The staged columns of one table.
pub(super) struct Staging {
    columns: Vec<(Source, DataType)>,
    groups: Option<Groups>,
}

/// Where a staged column comes from.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Row(NodeId),
    Group(GroupColumn),
}

#[derive(Default)]
struct Groups {
    keys: Vec<NodeId>,
    aggregates: Vec<(Aggregate, Option<NodeId>)>,
    program: Program,
}

impl Staging {
    /// For a SELECT whose rows are those of the feed.
    pub(super) fn rows() -> Self {
        Staging { columns: Vec::new(), groups: None }
    }

    /// For a SELECT whose rows are groups with these keys.
    pub(super) fn groups(keys: Vec<NodeId>) -> Self {
        Staging { columns: Vec::new(), groups: Some(Groups { keys, ..Groups::default() }) }
    }

    /// The expression with everything that the engine computes replaced by staged columns. Names in `aliases` that are
    /// no column stay: SQLite knows them as columns of the SELECT list.
    pub(super) fn rewrite(&mut self, binder: &mut Binder<'_>, expr: &Expr, aliases: &[&str]) -> Result<Expr> {
        let mut expr = expr.clone();
        if is_grouped(&expr) || mentions(&expr, binder, aliases) {
            match expr.visit(&mut Rewriter { staging: self, binder, aliases, replaced: 0 }) {
                ControlFlow::Continue(()) => Ok(expr),
                ControlFlow::Break(error) => Err(error),
            }
        } else {
            self.stage_expr(binder, &expr)
        }
    }

    /// The same for a window that is defined by name.
    pub(super) fn rewrite_window(&mut self, binder: &mut Binder<'_>, window: &mut NamedWindowDefinition) -> Result<()> {
        match window.visit(&mut Rewriter { staging: self, binder, aliases: &[], replaced: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Whether the expressions are the staged columns, each once and in order.
    pub(super) fn is_exactly(&self, exprs: &[Expr]) -> bool {
        exprs.len() == self.columns.len()
            && exprs
                .iter()
                .enumerate()
                .all(|(index, expr)| matches!(expr, Expr::Identifier(ident) if ident.value == column_name(index)))
    }

    /// Whether the rows are groups.
    pub(super) fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Whether these staged columns are the first keys of the groups, in order.
    pub(super) fn begin_keys(&self, columns: &[usize]) -> bool {
        let Some(groups) = &self.groups else { return false };
        let is_key = |(place, column): (usize, &usize)| match self.columns.get(*column) {
            Some((Source::Group(GroupColumn::Key(node)), _)) => {
                matches!(groups.program.node(*node).op, Op::Input(key) if key == place)
            }
            _ => false,
        };
        columns.iter().enumerate().all(is_key)
    }

    /// What the engine has to compute, and the staged columns.
    pub(super) fn finish(self) -> (OutputKind, Vec<Field>) {
        let fields = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (_, data_type))| Field::new(column_name(index), *data_type))
            .collect();
        let kind = match self.groups {
            Some(Groups { keys, aggregates, program }) => {
                let columns = self.columns.iter().filter_map(|(source, _)| match source {
                    Source::Group(column) => Some(*column),
                    Source::Row(_) => None,
                });
                OutputKind::Groups { keys, aggregates, columns: columns.collect(), program }
            }
            None => {
                let columns = self.columns.iter().filter_map(|(source, _)| match source {
                    Source::Row(node) => Some(*node),
                    Source::Group(_) => None,
                });
                OutputKind::Rows { columns: columns.collect() }
            }
        };
        (kind, fields)
    }

    /// The type of an expression of the SELECT list, as far as it is known before SQLite runs.
    pub(super) fn data_type(&self, binder: &mut Binder<'_>, expr: &Expr) -> Option<DataType> {
        if !is_grouped(expr) {
            return binder.bind(expr).ok().map(|node| binder.program.data_type(node));
        }
        match expr {
            Expr::Nested(inner) => self.data_type(binder, inner),
            Expr::Cast { data_type, .. } => data_type_of(data_type).ok(),
            Expr::Case { conditions, else_result, .. } => {
                let results = conditions.iter().map(|CaseWhen { result, .. }| result).chain(else_result.as_deref());
                let types: Vec<_> = results.map(|result| self.data_type(binder, result)).collect();
                types.iter().all(|data_type| *data_type == types[0]).then(|| types[0]).flatten()
            }
            Expr::BinaryOp { left, op, right } => {
                use BinaryOperator as B;
                let types = (self.data_type(binder, left)?, self.data_type(binder, right)?);
                match op {
                    op if is_arithmetic(op) => arithmetic_type(types.0, types.1),
                    B::StringConcat => Some(DataType::Text),
                    B::And | B::Or | B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq => Some(DataType::Boolean),
                    _ => None,
                }
            }
            Expr::Function(call) if call.over.is_some() => self.window_type(binder, call),
            Expr::Function(call) if is_aggregate(&call.name.to_string()) => {
                aggregate(binder, expr, call).ok().map(|(aggregate, _)| aggregate.result())
            }
            Expr::Function(call) => match call.name.to_string().to_lowercase().as_str() {
                "round" => Some(DataType::Double),
                "coalesce" | "nullif" | "abs" => self.data_type(binder, first_argument(call)?),
                _ => None,
            },
            _ => None,
        }
    }

    fn window_type(&self, binder: &mut Binder<'_>, call: &Call) -> Option<DataType> {
        match call.name.to_string().to_lowercase().as_str() {
            "row_number" | "rank" | "dense_rank" | "ntile" | "count" => Some(DataType::Integer),
            "percent_rank" | "cume_dist" | "avg" => Some(DataType::Double),
            "sum" => match self.data_type(binder, first_argument(call)?)? {
                DataType::Integer => Some(DataType::Integer),
                _ => Some(DataType::Double),
            },
            "min" | "max" | "lag" | "lead" | "first_value" | "last_value" | "nth_value" => {
                self.data_type(binder, first_argument(call)?)
            }
            _ => None,
        }
    }

    /// Stages the value of an expression without aggregates and windows.
    fn stage_expr(&mut self, binder: &mut Binder<'_>, expr: &Expr) -> Result<Expr> {
        let node = binder.bind(expr)?;
        let data_type = binder.program.data_type(node);
        let source = match &mut self.groups {
            None => Source::Row(node),
            Some(groups) => match groups.over_keys(binder.program, node) {
                Some(node) => Source::Group(GroupColumn::Key(node)),
                None => {
                    return Err(binder
                        .text
                        .error(expr.span(), format!("`{expr}` is neither grouped by nor inside an aggregate"))
                        .help("add it to GROUP BY, or choose one value of the group: min(...), max(...)"));
                }
            },
        };
        Ok(self.column(source, data_type))
    }

    /// Stages the value of an aggregate.
    fn stage_aggregate(&mut self, binder: &mut Binder<'_>, whole: &Expr, call: &Call) -> Result<Expr> {
        let (aggregate, argument) = aggregate(binder, whole, call)?;
        let Some(groups) = &mut self.groups else {
            return Err(binder.text.error(whole.span(), "an aggregate has no place here"));
        };
        let wanted = (aggregate, argument);
        let place = groups.aggregates.iter().position(|known| *known == wanted).unwrap_or_else(|| {
            groups.aggregates.push(wanted);
            groups.aggregates.len() - 1
        });
        Ok(self.column(Source::Group(GroupColumn::Aggregate(place)), aggregate.result()))
    }

    fn column(&mut self, source: Source, data_type: DataType) -> Expr {
        let place = self.columns.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.columns.push((source, data_type));
            self.columns.len() - 1
        });
        Expr::Identifier(Ident::new(column_name(place)))
    }
}

impl Groups {
    /// The node of the group program that has the value of a node of the feed's program, if the keys determine it.
    fn over_keys(&mut self, feed: &Program, node: NodeId) -> Option<NodeId> {
        let data_type = feed.data_type(node);
        if let Some(place) = self.keys.iter().position(|key| *key == node) {
            return Some(self.program.add(Op::Input(place), data_type));
        }
        let op = match &feed.node(node).op {
            Op::Input(_) => return None,
            Op::Literal(value) => Op::Literal(value.clone()),
            Op::Lookup { lookup, column, key } => {
                Op::Lookup { lookup: *lookup, column: *column, key: self.over_keys(feed, *key)? }
            }
            Op::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| self.over_keys(feed, *argument));
                Op::Call(function.clone(), arguments.collect::<Option<_>>()?)
            }
            Op::Case { branches, otherwise } => {
                let branches = branches
                    .iter()
                    .map(|(when, then)| Some((self.over_keys(feed, *when)?, self.over_keys(feed, *then)?)));
                Op::Case { branches: branches.collect::<Option<_>>()?, otherwise: self.over_keys(feed, *otherwise)? }
            }
        };
        Some(self.program.add(op, data_type))
    }
}

/// Replaces, from the outside in, what the engine computes.
struct Rewriter<'a, 'b> {
    staging: &'a mut Staging,
    binder: &'a mut Binder<'b>,
    aliases: &'a [&'a str],
    /// How deep the visit is in a replacement, which is not looked at again; 0 outside of one.
    replaced: usize,
}

impl VisitorMut for Rewriter<'_, '_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.replaced > 0 {
            self.replaced += 1;
            return ControlFlow::Continue(());
        }
        match self.replacement(expr) {
            Ok(Some(replacement)) => {
                *expr = replacement;
                self.replaced = 1;
            }
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<Error> {
        self.replaced = self.replaced.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_, '_> {
    /// The expression that SQLite gets for `whole`, from its text.
    fn parsed(&self, whole: &Expr, text: &str) -> Result<Expr> {
        let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
        parser
            .and_then(|mut parser| parser.parse_expr())
            .map_err(|error| self.binder.text.error(whole.span(), format!("this cannot be handed to SQLite: {error}")))
    }

    fn rewrite(&mut self, expr: &Expr) -> Result<Expr> {
        self.staging.rewrite(self.binder, expr, self.aliases)
    }

    fn replacement(&mut self, expr: &Expr) -> Result<Option<Expr>> {
        match expr {
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => match self.binder.parameters.get(name.trim_start_matches('$')) {
                    Some(parameter) => self.parsed(expr, &parameter.to_sqlite()).map(Some),
                    None => self.staging.stage_expr(self.binder, expr).map(Some),
                },
                _ => Ok(None),
            },
            Expr::Function(call) if call.over.is_none() && is_aggregate(&call.name.to_string()) => {
                self.staging.stage_aggregate(self.binder, expr, call).map(Some)
            }
            Expr::BinaryOp { left, op, right } if is_grouped(expr) => {
                let types = (self.staging.data_type(self.binder, left), self.staging.data_type(self.binder, right));
                match (op, types) {
                    (BinaryOperator::Minus, (Some(DataType::Date), Some(DataType::Date))) => {
                        let (left, right) = (self.rewrite(left)?, self.rewrite(right)?);
                        let days = format!("CAST(julianday({left}) - julianday({right}) AS INTEGER)");
                        self.parsed(expr, &days).map(Some)
                    }
                    (op, (left, right)) if is_arithmetic(op) && (is_moment(left) || is_moment(right)) => {
                        let message = "of dates and times, only the days between two dates can be computed from groups";
                        let help =
                            "compute it for each row, in [feed.NAME.derive], or in a table that selects FROM this one";
                        Err(self.binder.text.error(expr.span(), message).help(help))
                    }
                    (BinaryOperator::Divide, (Some(DataType::Integer), Some(DataType::Integer))) => {
                        self.binder.warnings.push(integer_division(self.binder.text, expr));
                        Ok(None)
                    }
                    _ => Ok(None),
                }
            }
            expr if is_grouped(expr) || mentions(expr, self.binder, self.aliases) => Ok(None),
            expr => self.staging.stage_expr(self.binder, expr).map(Some),
        }
    }
}

/// Whether an expression has an aggregate or a window in it.
pub(super) fn is_grouped(expr: &Expr) -> bool {
    let found = sqlparser::ast::visit_expressions(expr, |part| match part {
        Expr::Function(call) if call.over.is_some() || is_aggregate(&call.name.to_string()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether an expression has a name in it that is no column of the scope but one of the aliases.
fn mentions(expr: &Expr, binder: &Binder<'_>, aliases: &[&str]) -> bool {
    let found = sqlparser::ast::visit_expressions(expr, |part| match part {
        Expr::Identifier(ident)
            if !binder.scope.has(&ident.value)
                && aliases.iter().any(|alias| alias.eq_ignore_ascii_case(&ident.value)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Names that no pipeline file can use: identifiers of the SQL of a feed are resolved before they get here.
fn column_name(place: usize) -> String {
    format!("_feedmill_{place}")
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo)
}

fn is_moment(data_type: Option<DataType>) -> bool {
    matches!(data_type, Some(DataType::Date | DataType::Timestamp))
}

fn arithmetic_type(x: DataType, y: DataType) -> Option<DataType> {
    match (x, y) {
        (DataType::Date, DataType::Date) | (DataType::Integer, DataType::Integer) => Some(DataType::Integer),
        (x, y) if x.is_numeric() && y.is_numeric() => Some(DataType::Double),
        _ => None,
    }
}

fn first_argument(call: &Call) -> Option<&Expr> {
    match &call.args {
        FunctionArguments::List(list) => match list.args.first()? {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        },
        _ => None,
    }
}

/// The aggregate that a call means, and its argument. `f(x) FILTER (WHERE p)` is `f(CASE WHEN p THEN x END)`, since
/// NULLs do not count anywhere.
fn aggregate(binder: &mut Binder<'_>, whole: &Expr, call: &Call) -> Result<(Aggregate, Option<NodeId>)> {
    let name = call.name.to_string().to_lowercase();
    let unsupported =
        |binder: &Binder<'_>, what: &str| Err(binder.text.error(whole.span(), format!("{what} is not supported")));
    let FunctionArguments::List(list) = &call.args else { return unsupported(binder, "this form of aggregate") };
    if !list.clauses.is_empty() || !call.within_group.is_empty() {
        return unsupported(binder, "an ORDER BY inside an aggregate");
    }
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let [argument] = list.args.as_slice() else {
        return Err(binder.text.error(whole.span(), format!("{name}() takes one argument")));
    };
    let filter = call.filter.as_ref().map(|filter| binder.bind_predicate(filter)).transpose()?;
    let function = match name.as_str() {
        "count" if distinct => AggregateFunction::CountDistinct,
        _ if distinct && !matches!(name.as_str(), "min" | "max") => {
            return unsupported(binder, &format!("{name}(DISTINCT ...)"));
        }
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "avg" => AggregateFunction::Avg,
        "stddev_samp" | "stddev" => AggregateFunction::StddevSamp,
        "stddev_pop" => AggregateFunction::StddevPop,
        "median" => AggregateFunction::Median,
        "median_gap" => AggregateFunction::MedianGap,
        _ => AggregateFunction::StddevGap,
    };
    let argument = match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" && !distinct => None,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(argument_node(binder, function, &name, expr)?),
        _ => return Err(binder.text.error(whole.span(), format!("{name}() takes an expression"))),
    };
    let node = match (argument, filter) {
        (None, None) => {
            let aggregate = Aggregate { function: AggregateFunction::CountRows, argument: DataType::Integer };
            return Ok((aggregate, None));
        }
        (Some(node), None) => node,
        (argument, Some(filter)) => {
            let value = argument.unwrap_or_else(|| binder.program.literal(Scalar::Int(1), DataType::Integer));
            let data_type = binder.program.data_type(value);
            let otherwise = binder.program.literal(Scalar::Null, data_type);
            binder.program.add(Op::Case { branches: vec![(filter, value)], otherwise }, data_type)
        }
    };
    Ok((Aggregate { function, argument: binder.program.data_type(node) }, Some(node)))
}

fn argument_node(binder: &mut Binder<'_>, function: AggregateFunction, name: &str, expr: &Expr) -> Result<NodeId> {
    use AggregateFunction as F;
    if is_grouped(expr) {
        return Err(binder.text.error(expr.span(), "an aggregate inside an aggregate needs OVER (...)"));
    }
    let node = binder.bind(expr)?;
    let data_type = binder.program.data_type(node);
    match function {
        F::CountRows | F::Count | F::CountDistinct | F::Min | F::Max => Ok(node),
        F::MedianGap | F::StddevGap if data_type == DataType::Date => Ok(node),
        F::MedianGap | F::StddevGap => {
            Err(binder.text.error(expr.span(), format!("{name}() takes a DATE, not a {data_type}")))
        }
        _ if data_type.is_numeric() => Ok(node),
        _ if data_type == DataType::Boolean => Ok(binder.coerce(node, DataType::Integer)),
        _ => Err(binder.text.error(expr.span(), format!("{name}() takes a number, not a {data_type}"))),
    }
}
