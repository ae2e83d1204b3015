//! A feed's declarations: columns, constraints, derived columns and counters. Its tables are `select`'s business.

use indexmap::IndexMap;
use sqlparser::ast::{CheckConstraint, ColumnDef, ColumnOption, Expr, Spanned as _, TableConstraint};

use crate::chunk::DataType;
use crate::csv::Dialect;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::bind::{Parameters, Scope, data_type_of};
use crate::expr::sql::SqlText;
use crate::expr::{NodeId, Op, Program};
use crate::plan::load::Context;
use crate::plan::spec::{FeedSpec, Spanned};
use crate::plan::{Check, FeedColumn, FeedPlan, OutputKind};

/// A column declaration, with what only some places allow.
pub(super) struct Declaration {
    pub(super) column: FeedColumn,
    pub(super) primary_key: bool,
    pub(super) checks: Vec<CheckConstraint>,
}

/// Resolves the declarations of a feed; its files and tables are added later.
pub(super) fn resolve(context: &mut Context<'_>, name: &str, spec: &FeedSpec) -> Result<FeedPlan> {
    let text = SqlText::columns(context.file.clone(), spec.columns.span(), spec.columns.get_ref().clone());
    let (definitions, constraints) = text.parse_columns()?;
    let declarations = declarations(&text, &definitions)?;
    let columns: Vec<FeedColumn> = declarations.iter().map(|declaration| declaration.column.clone()).collect();
    let mut plan = FeedPlan {
        name: name.to_owned(),
        files: Vec::new(),
        dialect: dialect(context, spec)?,
        encoding: spec.encoding.as_ref().map(|label| label.get_ref().clone()),
        nulls: spec.null.clone().unwrap_or_else(|| vec![String::new()]),
        columns,
        program: Program::default(),
        derived: Vec::new(),
        checks: Vec::new(),
        counters: Vec::new(),
        primary_key: Vec::new(),
        outputs: Vec::new(),
        load: None,
        incremental: None,
        definition: definition(context, spec),
    };
    for (index, column) in plan.columns.iter().enumerate() {
        plan.program.add(Op::Input(index), column.data_type);
    }
    for (declaration, definition) in declarations.iter().zip(&definitions) {
        if declaration.primary_key {
            if let Some(other) = plan.primary_key.first() {
                let message = format!("`{other}` is the PRIMARY KEY already");
                return Err(text
                    .error(definition.name.span, message)
                    .help("a key of several columns: PRIMARY KEY (a, b)"));
            }
            plan.primary_key.push(declaration.column.name.clone());
        }
        for check in &declaration.checks {
            add_check(context, &mut plan, &text, &declaration.column.name, check)?;
        }
    }
    for constraint in &constraints {
        match constraint {
            TableConstraint::Check(check) => add_check(context, &mut plan, &text, "", check)?,
            TableConstraint::PrimaryKey(key) if plan.primary_key.is_empty() => {
                for column in &key.columns {
                    declare_key(&mut plan, &text, &column.column.expr)?;
                }
            }
            other => {
                return Err(text
                    .error_whole(format!("the constraint `{other}` is not supported"))
                    .help("CHECK and one PRIMARY KEY are"));
            }
        }
    }
    nullify(context, &mut plan, &spec.nullify)?;
    for (name, sql) in &spec.derive {
        if scope(&plan, &plan.name).has(name.get_ref()) {
            let message = format!("`{}` is a column already", name.get_ref());
            return Err(context.file.error(name.span(), message).help("give the derived column a name of its own"));
        }
        let node = bind(context, &mut plan, &context.sql(sql), false)?;
        plan.derived.push((name.get_ref().clone(), node));
    }
    for (name, sql) in &spec.count {
        let node = bind(context, &mut plan, &context.sql(sql), true)?;
        plan.counters.push((name.get_ref().clone(), node));
    }
    Ok(plan)
}

/// The names of a feed's declared and derived columns, under the name of a relation.
pub(super) fn scope(plan: &FeedPlan, relation: &str) -> Scope {
    let mut scope = Scope::default();
    for (index, column) in plan.columns.iter().enumerate() {
        scope.add(relation, &column.name, NodeId(index as u32));
    }
    for (name, node) in &plan.derived {
        scope.add(relation, name, *node);
    }
    scope
}

/// Marks the columns that have to be decoded, when all tables of the feed are resolved.
pub(super) fn mark_used(plan: &mut FeedPlan) {
    let mut roots: Vec<NodeId> = plan.checks.iter().map(|check| check.predicate).collect();
    roots.extend(plan.counters.iter().map(|(_, node)| *node));
    for output in &plan.outputs {
        roots.extend(output.filter);
        match &output.kind {
            OutputKind::Rows { columns } => roots.extend(columns),
            OutputKind::Groups { keys, aggregates, .. } => {
                roots.extend(keys);
                roots.extend(aggregates.iter().filter_map(|(_, argument)| *argument));
            }
        }
    }
    let mut reached = vec![false; plan.program.nodes().len()];
    while let Some(node) = roots.pop() {
        if !std::mem::replace(&mut reached[node.0 as usize], true) {
            roots.extend(plan.program.node(node).op.arguments());
        }
    }
    for (index, column) in plan.columns.iter_mut().enumerate() {
        column.used = reached[index] || column.not_null || column.data_type != DataType::Text;
    }
}

/// Column declarations as between the parentheses of a CREATE TABLE.
pub(super) fn declarations(text: &SqlText, definitions: &[ColumnDef]) -> Result<Vec<Declaration>> {
    if definitions.is_empty() {
        return Err(text.error_whole("no column is declared"));
    }
    let mut declarations: Vec<Declaration> = Vec::new();
    for definition in definitions {
        let name = definition.name.value.clone();
        if declarations.iter().any(|other| other.column.name == name) {
            return Err(text.error(definition.name.span, format!("`{name}` is declared twice")));
        }
        let data_type =
            data_type_of(&definition.data_type).map_err(|message| text.error(definition.name.span, message))?;
        let column = FeedColumn { name, data_type, not_null: false, nullify: false, used: false };
        let mut declaration = Declaration { column, primary_key: false, checks: Vec::new() };
        for option in &definition.options {
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => declaration.column.not_null = true,
                ColumnOption::PrimaryKey(_) => {
                    declaration.primary_key = true;
                    declaration.column.not_null = true;
                }
                ColumnOption::Check(check) => declaration.checks.push(check.clone()),
                other => {
                    return Err(text
                        .error(definition.name.span, format!("`{other}` is not supported here"))
                        .help("NOT NULL and CHECK (...) are"));
                }
            }
        }
        declarations.push(declaration);
    }
    Ok(declarations)
}

fn declare_key(plan: &mut FeedPlan, text: &SqlText, key: &Expr) -> Result<()> {
    let name = key.to_string();
    let Some(column) = plan.columns.iter_mut().find(|column| column.name == name.trim_matches('"')) else {
        return Err(text.error(key.span(), format!("PRIMARY KEY names no column `{name}`")));
    };
    if plan.primary_key.contains(&column.name) {
        return Err(text.error(key.span(), format!("PRIMARY KEY names `{}` twice", column.name)));
    }
    column.not_null = true;
    plan.primary_key.push(column.name.clone());
    Ok(())
}

/// All that decides which records are good and what becomes of them, as it is written, and the values of parameters.
fn definition(context: &Context<'_>, spec: &FeedSpec) -> String {
    format!("{}\n{}", declared(spec), parameters(context.parameters))
}

/// The parameters as text.
pub(super) fn parameters(parameters: &Parameters) -> String {
    let mut parameters: Vec<String> =
        parameters.iter().map(|(name, parameter)| format!("{name} = {}", parameter.to_sqlite())).collect();
    parameters.sort();
    format!("parameters {parameters:?}")
}

/// The declarations of a feed as text: what decides which of its records are good.
pub(super) fn declared(spec: &FeedSpec) -> String {
    let option = |option: &Option<Spanned<String>>| option.as_ref().map(|text| text.get_ref().clone());
    let nullify: Vec<&str> = spec.nullify.iter().map(|name| name.get_ref().as_str()).collect();
    format!(
        "columns {}\nnullify {nullify:?}\nderive {:?}\ndialect {:?} {:?} {:?} {:?} {:?}",
        spec.columns.get_ref().trim(),
        pairs(&spec.derive),
        option(&spec.delimiter),
        option(&spec.quote),
        spec.header,
        option(&spec.encoding),
        spec.null
    )
}

/// The counters of a feed as text, and the longest record.
pub(super) fn counted(spec: &FeedSpec) -> String {
    let most = spec.max_record_bytes.as_ref().map(|most| *most.get_ref());
    format!("count {:?}\nmax_record_bytes {most:?}", pairs(&spec.count))
}

fn pairs(pairs: &IndexMap<Spanned<String>, Spanned<String>>) -> Vec<String> {
    pairs.iter().map(|(name, sql)| format!("{} = {}", name.get_ref(), sql.get_ref())).collect()
}

fn add_check(
    context: &mut Context<'_>,
    plan: &mut FeedPlan,
    text: &SqlText,
    column: &str,
    check: &CheckConstraint,
) -> Result<()> {
    let scope = scope(plan, &plan.name);
    let mut binder = context.binder(&mut plan.program, &scope, text);
    let predicate = binder.bind_predicate(&check.expr)?;
    plan.checks.push(Check { column: column.to_owned(), predicate, text: check.expr.to_string() });
    Ok(())
}

fn bind(context: &mut Context<'_>, plan: &mut FeedPlan, text: &SqlText, predicate: bool) -> Result<NodeId> {
    let expr = text.parse_expr()?;
    let scope = scope(plan, &plan.name);
    let mut binder = context.binder(&mut plan.program, &scope, text);
    if predicate { binder.bind_predicate(&expr) } else { binder.bind(&expr) }
}

fn nullify(context: &Context<'_>, plan: &mut FeedPlan, names: &[Spanned<String>]) -> Result<()> {
    for name in names {
        let known: Vec<String> = plan.columns.iter().map(|column| column.name.clone()).collect();
        let Some(column) = plan.columns.iter_mut().find(|column| column.name == *name.get_ref()) else {
            let error = context.file.error(name.span(), format!("there is no column `{}`", name.get_ref()));
            return Err(match did_you_mean(name.get_ref(), known.iter().map(String::as_str)) {
                Some(help) => error.help(help),
                None => error,
            });
        };
        if column.not_null {
            let message = format!("`{}` is NOT NULL, so that an invalid value cannot become NULL", column.name);
            return Err(context.file.error(name.span(), message));
        }
        column.nullify = true;
    }
    Ok(())
}

fn dialect(context: &Context<'_>, spec: &FeedSpec) -> Result<Dialect> {
    let mut dialect = Dialect::default();
    if let Some(delimiter) = &spec.delimiter {
        dialect.delimiter = one_byte(context, delimiter)?;
    }
    if let Some(quote) = &spec.quote {
        dialect.quote = if quote.get_ref().is_empty() { None } else { Some(one_byte(context, quote)?) };
    }
    if let (Some(delimiter), true) = (&spec.delimiter, dialect.quote == Some(dialect.delimiter)) {
        return Err(context.file.error(delimiter.span(), "the delimiter is also the quote"));
    }
    if let Some(header) = spec.header {
        dialect.header = header;
    }
    if let Some(limit) = &spec.max_record_bytes {
        const LIMITS: std::ops::RangeInclusive<usize> = 1024..=64 << 20;
        if !LIMITS.contains(limit.get_ref()) {
            return Err(context.file.error(limit.span(), "the longest record has 1024 to 67108864 bytes"));
        }
        dialect.max_record_bytes = *limit.get_ref();
    }
    Ok(dialect)
}

fn one_byte(context: &Context<'_>, text: &Spanned<String>) -> Result<u8> {
    match text.get_ref().as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(context.file.error(text.span(), "expected one ASCII character that is no line end")),
    }
}
