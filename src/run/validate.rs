//! What SQLite will run, compiled before the first byte of a feed is read: over empty tables of the right names.

use std::ops::Range;

use crate::chunk::{DataType, Field};
use crate::error::Error;
use crate::error::Result;
use crate::expr::sql::SqlText;
use crate::plan::{Origin, Plan, RulesPlan, staging_table};
use crate::run::functions::sqlite_functions;
use crate::run::tables::layout;
use crate::sink::{ScalarFunction, TableLayout, validate_sql};

/// Compiles every SELECT of a plan that SQLite has a part in.
///
/// # Errors
/// What is wrong with the first one that is wrong, placed in the pipeline file.
pub fn validate(plan: &Plan) -> Result<()> {
    let functions = sqlite_functions();
    let mut readable = Readable { tables: Vec::new(), functions };
    for place in &plan.sql_lookups {
        let lookup = &plan.lookups[*place];
        readable.tables.push((lookup.name.clone(), names(lookup.data.fields())));
    }
    for (place, table) in plan.tables.iter().enumerate() {
        let layout = layout(table);
        let columns = match &table.origin {
            Origin::Feed { finish: None, columns, .. } => columns.iter().map(|column| column.name.clone()).collect(),
            Origin::Feed { finish: Some(sql), staging, text, .. } => {
                let staged = (staging_table(place), names(staging));
                let readable = Readable { tables: vec![staged], functions: readable.functions.clone() };
                readable.validate(&layout, sql, text)?
            }
            Origin::Sql { sql, text } => readable.validate(&layout, sql, text)?,
            Origin::Rules(rules) => readable.check_rules(plan, rules)?,
        };
        readable.tables.push((table.name.clone(), columns));
    }
    for report in &plan.reports {
        let layout = TableLayout { name: report.title.clone(), ..TableLayout::default() };
        readable.validate(&layout, &report.sql, &report.text)?;
    }
    Ok(())
}

struct Readable {
    tables: Vec<(String, Vec<String>)>,
    functions: Vec<ScalarFunction>,
}

impl Readable {
    /// Compares rules with the columns of the table that they look at, and returns the names of their own.
    fn check_rules(&self, plan: &Plan, rules: &RulesPlan) -> Result<Vec<String>> {
        let names = self.tables.iter().find(|(name, _)| name.eq_ignore_ascii_case(&rules.from));
        let table = plan.tables.iter().find(|table| table.name.eq_ignore_ascii_case(&rules.from));
        let types: Vec<Option<DataType>> = match table.map(|table| &table.origin) {
            Some(Origin::Feed { columns, .. }) => columns.iter().map(|column| column.data_type).collect(),
            Some(Origin::Rules(rules)) => rules.columns().into_iter().map(|(_, data_type)| data_type).collect(),
            Some(Origin::Sql { .. }) | None => Vec::new(),
        };
        let types = types.into_iter().chain(std::iter::repeat(None));
        let columns: Vec<_> = names.map(|(_, names)| names.iter().cloned().zip(types).collect()).unwrap_or_default();
        rules.check(&columns)?;
        Ok(rules.columns().into_iter().map(|(name, _)| name).collect())
    }

    /// Compiles a SELECT and returns the names of its columns.
    fn validate(&self, layout: &TableLayout, sql: &str, text: &SqlText) -> Result<Vec<String>> {
        let tables: Vec<(&str, &[String])> =
            self.tables.iter().map(|(name, columns)| (name.as_str(), columns.as_slice())).collect();
        validate_sql(layout, sql, &tables, &self.functions).map_err(|error| in_file(&error, text, sql))
    }
}

fn names(fields: &[Field]) -> Vec<String> {
    fields.iter().map(|field| field.name.clone()).collect()
}

/// An error about a SELECT that SQLite was given, as one about the SELECT in the pipeline file.
fn in_file(error: &Error, text: &SqlText, sql: &str) -> Error {
    let span = error.excerpt().and_then(|excerpt| {
        let culprit = sql.get(excerpt.span.clone())?;
        if sql == text.as_str() { Some(excerpt.span.clone()) } else { only_place(text.as_str(), culprit) }
    });
    let message = format!("SQLite, which runs this part, says: {error}");
    let moved = match span {
        Some(span) => text.error_at(span, message),
        None => text.error_whole(message),
    };
    match error.help_text() {
        Some(help) => moved.help(help),
        None => moved,
    }
}

/// Where a piece of SQL stands in a text, if that is one place only.
fn only_place(text: &str, piece: &str) -> Option<Range<usize>> {
    let mut places = text.match_indices(piece).map(|(start, _)| start..start + piece.len());
    match (places.next(), places.next()) {
        (Some(place), None) if !piece.is_empty() => Some(place),
        _ => None,
    }
}
