//! The pipeline file as TOML has it: the only place that knows serde and toml. What its strings mean is not known here.

use std::ops::Range;

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::chunk::{DataType, Scalar, parse};
use crate::error::Error;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::bind::Parameter;
use crate::expr::sql::SourceFile;

pub(super) use toml::Spanned;

/// A pipeline file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// Values for `$name` in SQL.
    #[serde(default)]
    pub(super) params: IndexMap<String, Spanned<ParameterSpec>>,
    /// Streamed inputs.
    #[serde(default)]
    pub(super) feed: IndexMap<Spanned<String>, FeedSpec>,
    /// Small tables, joined by primary key.
    #[serde(default)]
    pub(super) lookup: IndexMap<Spanned<String>, LookupSpec>,
    /// Tables to publish.
    #[serde(default)]
    pub(super) table: IndexMap<Spanned<String>, TableSpec>,
    /// Tables of rules.
    #[serde(default)]
    pub(super) rules: IndexMap<Spanned<String>, RulesSpec>,
    /// Which feed is processed for what is new.
    pub(super) incremental: Option<IncrementalSpec>,
    /// Queries over the published tables, shown at the end of a run.
    #[serde(default)]
    pub(super) report: Vec<ReportSpec>,
    /// When to stop and publish nothing.
    #[serde(default)]
    pub(super) limits: LimitsSpec,
}

/// The value of a parameter.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ParameterSpec(toml::Value);

impl ParameterSpec {
    /// The value as a parameter, typed as TOML types it, or why it cannot be one.
    pub(super) fn to_parameter(&self) -> std::result::Result<Parameter, String> {
        let parameter = |value, data_type| Ok(Parameter { value, data_type });
        let iso = |text: String, data_type: DataType| match parse::parse(text.as_bytes(), data_type) {
            Ok(value) => Ok(Parameter { value, data_type }),
            Err(code) => Err(parse::reason(code, data_type)),
        };
        match &self.0 {
            toml::Value::String(text) => parameter(Scalar::Text(text.as_bytes().into()), DataType::Text),
            toml::Value::Integer(value) => parameter(Scalar::Int(*value), DataType::Integer),
            toml::Value::Float(value) if value.is_finite() => parameter(Scalar::Double(*value + 0.0), DataType::Double),
            toml::Value::Boolean(value) => parameter(Scalar::Bool(*value), DataType::Boolean),
            toml::Value::Datetime(moment) if moment.time.is_none() => iso(moment.to_string(), DataType::Date),
            toml::Value::Datetime(moment) => iso(moment.to_string(), DataType::Timestamp),
            _ => Err("a parameter is a text, a number, a boolean or a date".to_owned()),
        }
    }
}

/// `[feed.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedSpec {
    /// Paths, globs or `-`.
    #[serde(default)]
    pub(super) files: Vec<Spanned<String>>,
    /// Column declarations in SQL.
    pub(super) columns: Spanned<String>,
    /// Columns whose invalid values become NULL.
    #[serde(default)]
    pub(super) nullify: Vec<Spanned<String>>,
    /// Row expressions, in order.
    #[serde(default)]
    pub(super) derive: IndexMap<Spanned<String>, Spanned<String>>,
    /// Predicates whose rows are counted.
    #[serde(default)]
    pub(super) count: IndexMap<Spanned<String>, Spanned<String>>,
    /// Between fields: one ASCII character.
    pub(super) delimiter: Option<Spanned<String>>,
    /// Around fields: one ASCII character, or empty for none.
    pub(super) quote: Option<Spanned<String>>,
    /// Whether the first record names the columns.
    pub(super) header: Option<bool>,
    /// The character encoding, by its WHATWG label.
    pub(super) encoding: Option<Spanned<String>>,
    /// The texts that mean NULL.
    pub(super) null: Option<Vec<String>>,
    /// The longest record, in bytes.
    pub(super) max_record_bytes: Option<Spanned<usize>>,
}

/// `[lookup.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupSpec {
    /// The path of its CSV file.
    pub(super) file: Spanned<String>,
    /// Column declarations in SQL; one is the PRIMARY KEY.
    pub(super) columns: Spanned<String>,
}

/// `[table.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSpec {
    /// The columns of its PRIMARY KEY.
    #[serde(default)]
    pub(super) primary_key: Vec<Spanned<String>>,
    /// Whether its rows lie in its primary key instead of beside it.
    pub(super) without_rowid: Option<Spanned<bool>>,
    /// Whether it is a step that is not published.
    pub(super) temporary: Option<Spanned<bool>>,
    /// The SELECT that makes it.
    pub(super) sql: Spanned<String>,
}

/// `[rules.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesSpec {
    /// The table whose rows they look at.
    pub(super) from: Spanned<String>,
    /// The columns that tell these rows apart.
    #[serde(default)]
    pub(super) key: Vec<Spanned<String>>,
    /// The column for the rule that wins.
    pub(super) column: Option<Spanned<String>>,
    /// What stands there if none matches.
    pub(super) default: Option<Spanned<String>>,
    /// The rules.
    #[serde(default)]
    pub(super) rule: Vec<RuleSpec>,
}

/// `[[rules.NAME.rule]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSpec {
    /// Its name.
    pub(super) id: Spanned<String>,
    /// The lowest wins.
    pub(super) priority: Spanned<i64>,
    /// A condition on the columns.
    pub(super) when: Spanned<String>,
}

/// `[incremental]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IncrementalSpec {
    /// The feed.
    pub(super) feed: Spanned<String>,
    /// `append` or `watermark`.
    pub(super) mode: Spanned<String>,
    /// For a watermark: the column that it is the greatest value of.
    pub(super) column: Option<Spanned<String>>,
    /// For a watermark: how far below it rows are still taken, in days or whole numbers.
    pub(super) lag: Option<Spanned<u32>>,
}

/// `[[report]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportSpec {
    /// Its heading.
    pub(super) title: String,
    /// The SELECT that makes it, run by SQLite over the published tables.
    pub(super) sql: Spanned<String>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSpec {
    /// Stop past this many rejected records.
    pub(super) max_errors: Option<u64>,
    /// Stop past this share of rejected records.
    pub(super) max_error_rate: Option<Spanned<f64>>,
}

impl Spec {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// What is wrong with it as TOML, or which key it does not have, underlined.
    pub(super) fn parse(file: &SourceFile) -> Result<Spec> {
        parse(file)
    }
}

fn parse<T: DeserializeOwned>(file: &SourceFile) -> Result<T> {
    toml::from_str(&file.text).map_err(|error| {
        let span = error.span().map_or(0..0, |span| clamp(span, &file.text));
        describe(file, span, error.message())
    })
}

/// Says what a TOML error means: serde lists the known keys in backticks behind the unknown one.
fn describe(file: &SourceFile, span: Range<usize>, message: &str) -> Error {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return file.error(span, message.to_owned());
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let error = file.error(span, format!("there is no key `{unknown}` here"));
    match did_you_mean(unknown, known.iter().copied()) {
        Some(help) => error.help(help),
        None => error.help(format!("the keys are {}", known.join(", "))),
    }
}

fn clamp(span: Range<usize>, text: &str) -> Range<usize> {
    span.start.min(text.len())..span.end.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Spec> {
        Spec::parse(&SourceFile { name: "p.toml".into(), text: text.into() })
    }

    #[test]
    fn unknown_keys_come_with_the_nearest_known_one() {
        let error = parse_text("[feed.a]\nfilez = []\ncolumns = \"\"").unwrap_err();
        let excerpt = error.excerpt().unwrap();
        assert_eq!(&excerpt.text[excerpt.span.clone()], "filez");
        assert_eq!(error.help_text(), Some("did you mean `files`?"));
    }

    #[test]
    fn order_and_spans_are_those_of_the_file() {
        let text = "[feed.a]\ncolumns = \"x TEXT\"\n[feed.a.derive]\nzz = \"1\"\naa = \"2\"\n";
        let spec = parse_text(text).unwrap();
        let derive = &spec.feed[0].derive;
        let names: Vec<&str> = derive.keys().map(|name| name.get_ref().as_str()).collect();
        assert_eq!(names, ["zz", "aa"]);
        let (name, sql) = derive.get_index(1).unwrap();
        assert_eq!(&text[name.span()], "aa");
        assert_eq!(&text[sql.span()], "\"2\"");
    }
}
