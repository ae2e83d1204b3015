//! `--only COLUMN=VALUES`: the same pipeline for a few keys. Every feed is filtered by the column, its own or one that a
//! lookup brings in, and so is every lookup that SQLite reads.

use std::fmt;

use sqlparser::ast::{Expr, Ident};
use sqlparser::tokenizer::Span;

use crate::chunk::{DataType, Scalar, Selection, parse};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::expr::bind::Binder;
use crate::expr::{Comparison, Function, Lookup, NodeId};

/// Which rows are taken: those with one of the values in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// The column.
    column: String,
    /// The values as text, sorted, each once.
    values: Vec<String>,
}

impl Only {
    /// Columns and values as they were typed, each a line of CSV; `None` if nothing was.
    ///
    /// # Errors
    /// When there are several columns, or no value.
    pub(super) fn new(typed: &[(String, String)]) -> Result<Option<Self>> {
        let Some((column, _)) = typed.first() else { return Ok(None) };
        let usage = |message: String| Error::new(ErrorKind::Usage, message);
        let mut values = Vec::new();
        for (other, list) in typed {
            if !other.eq_ignore_ascii_case(column) {
                let message = format!("--only takes one column, and there are `{column}` and `{other}`");
                return Err(usage(message).help("several values of one: --only NAME=VALUE,VALUE"));
            }
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(list.as_bytes());
            for record in reader.records() {
                let record = record.map_err(|error| usage(format!("--only {column}: {error}")))?;
                values.extend(record.iter().map(str::to_owned));
            }
        }
        if values.is_empty() || values.iter().any(String::is_empty) {
            return Err(usage(format!("--only {column}: a value is missing")));
        }
        values.sort();
        values.dedup();
        Ok(Some(Only { column: column.clone(), values }))
    }

    /// The predicate that a row of a feed has to fulfil; `span` is where the feed stands.
    pub(super) fn filter(&self, binder: &mut Binder<'_>, span: Span, feed: &str) -> Result<NodeId> {
        let column = &self.column;
        if !binder.scope.has(column) {
            let message =
                format!("--only {column}: neither the feed `{feed}` nor a lookup joined here has that column");
            let error = binder.text.error(span, message);
            return Err(match did_you_mean(column, binder.scope.visible().map(|(_, name)| name)) {
                Some(help) => error.help(help),
                None => error.help("join a lookup that has it: LEFT JOIN lookup USING (key)"),
            });
        }
        let node = binder.bind(&Expr::Identifier(Ident::with_quote('"', column)))?;
        let data_type = binder.program.data_type(node);
        let mut filter = None;
        for value in self.values_as(data_type)? {
            let literal = binder.program.literal(value, data_type);
            let equal = Function::Compare(Comparison::Eq);
            let is_it = binder.program.call(equal, vec![node, literal], DataType::Boolean);
            filter = Some(match filter {
                None => is_it,
                Some(filter) => binder.program.call(Function::Or, vec![filter, is_it], DataType::Boolean),
            });
        }
        Ok(filter.unwrap_or(node))
    }

    /// The rows of a lookup that are taken: all of one that does not have the column.
    pub fn rows_of(&self, lookup: &Lookup) -> Selection {
        let place = lookup.fields().iter().position(|field| field.name.eq_ignore_ascii_case(&self.column));
        let wanted = place.and_then(|place| Some((place, self.values_as(lookup.fields()[place].data_type).ok()?)));
        let Some((place, wanted)) = wanted else { return Selection::All(lookup.len()) };
        let column = &lookup.columns()[place];
        let is_wanted = |row: usize| wanted.iter().any(|value| value.as_cell() == column.get(row));
        Selection::from_flags(&(0..lookup.len()).map(is_wanted).collect::<Vec<_>>())
    }

    fn values_as(&self, data_type: DataType) -> Result<Vec<Scalar>> {
        let value = |text: &String| {
            parse::parse(text.as_bytes(), data_type).map_err(|code| {
                let reason = parse::reason(code, data_type);
                Error::new(ErrorKind::Usage, format!("--only {}: `{text}` is {reason}", self.column))
            })
        };
        self.values.iter().map(value).collect()
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.column, self.values.join(","))
    }
}
