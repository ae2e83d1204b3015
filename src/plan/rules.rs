//! `[rules.NAME]`: a table with the rule that wins for each row of another table, as one SELECT over that. Runs nothing.

use std::ops::Range;

use crate::chunk::{DataType, quoted_name, quoted_text};
use crate::error::{Result, did_you_mean};
use crate::expr::sql::{SourceFile, SqlText};
use crate::plan::condition::{Condition, Mentions};
use crate::plan::load::Context;
use crate::plan::spec::{RuleSpec, RulesSpec, Spanned};

/// A table of rules: a row for each row of `from`.
#[derive(Debug, Clone)]
pub struct RulesPlan {
    /// The table whose rows it looks at.
    pub from: String,
    /// The columns of `from` that the result is keyed by.
    pub key: Vec<String>,
    /// The name of the column with the rule that wins.
    pub column: String,
    /// What stands there if no rule matches.
    pub default: String,
    /// The rules, the one that wins first.
    pub rules: Vec<RulePlan>,
    /// The columns of `from` that rules name.
    pub signals: Vec<String>,
    file: SourceFile,
    key_spans: Vec<Range<usize>>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct RulePlan {
    /// Its name.
    pub id: String,
    /// When it matches: when this is true, which nothing is that is compared with NULL.
    pub when: Condition,
    /// The signals that it names, by their places, each once.
    pub signals: Vec<usize>,
    text: SqlText,
    mentions: Mentions,
}

/// The column with all rules that match, a JSON array.
pub const MATCHED: &str = "matched";
/// The column with the values of the signals that these rules name, a JSON object.
pub const EVIDENCE: &str = "evidence";

/// A SELECT of SQLite's has no more than 2000 columns (SQLITE_MAX_COLUMN), a function no more than 1000 arguments, two for
/// each signal (SQLITE_MAX_FUNCTION_ARG: <https://www.sqlite.org/limits.html>).
const RULES_MAX: usize = 1000;
const SIGNALS_MAX: usize = 400;

/// How many elements one call of json_insert adds.
const ELEMENTS_PER_CALL: usize = 100;

/// Resolves the rules of a table; which columns `from` has is not known yet.
pub(super) fn resolve(context: &Context<'_>, name: &Spanned<String>, spec: &RulesSpec) -> Result<RulesPlan> {
    let file = context.file;
    let default = spec.default.as_ref().map_or("none", |default| default.get_ref());
    if spec.rule.is_empty() {
        let help = format!("add [[rules.{}.rule]] with `id`, `priority` and `when`", name.get_ref());
        return Err(file.error(name.span(), "there is no rule").help(help));
    }
    if spec.key.is_empty() {
        let help = "key = [...] names the columns of the table that tell its rows apart";
        return Err(file.error(name.span(), "the rules have no key").help(help));
    }
    check_columns(file, spec)?;
    let mut by_priority: Vec<&RuleSpec> = spec.rule.iter().collect();
    by_priority.sort_by_key(|rule| rule.priority.get_ref());
    for pair in by_priority.windows(2) {
        if pair[0].priority.get_ref() == pair[1].priority.get_ref() {
            let message = format!("`{}` has this priority, too", pair[0].id.get_ref());
            return Err(file.error(pair[1].priority.span(), message).help("give each rule its own; the lowest wins"));
        }
    }
    let mut plan = RulesPlan {
        from: spec.from.get_ref().clone(),
        key: spec.key.iter().map(|key| key.get_ref().clone()).collect(),
        column: spec.column.as_ref().map_or("rule", |column| column.get_ref()).to_owned(),
        default: default.to_owned(),
        rules: Vec::new(),
        signals: Vec::new(),
        file: file.clone(),
        key_spans: spec.key.iter().map(Spanned::span).collect(),
    };
    for rule in by_priority {
        let id = rule.id.get_ref();
        if id == default || plan.rules.iter().any(|other| other.id == *id) {
            let message = if id == default { "this is what stands for no rule" } else { "two rules have this id" };
            return Err(file.error(rule.id.span(), message).help("give the rule another id"));
        }
        let text = context.sql(&rule.when);
        let (when, mentions) = Condition::parse(&text, context.parameters, &mut plan.signals)?;
        let mut signals: Vec<usize> = Vec::new();
        for (place, span) in &mentions.signals {
            if plan.signals[*place].contains(|char: char| matches!(char, '"' | '\\') || char.is_control()) {
                return Err(text.error(*span, "a name with quotes or backslashes cannot stand in the evidence"));
            }
            if !signals.contains(place) {
                signals.push(*place);
            }
        }
        plan.rules.push(RulePlan { id: id.clone(), when, signals, text, mentions });
    }
    if plan.rules.len() > RULES_MAX || plan.signals.len() > SIGNALS_MAX {
        let message = format!("more than {RULES_MAX} rules, or more than {SIGNALS_MAX} columns that they name");
        return Err(file.error(name.span(), message).help("make several tables of rules"));
    }
    Ok(plan)
}

/// Makes sure that the columns of the result have different names.
fn check_columns(file: &SourceFile, spec: &RulesSpec) -> Result<()> {
    let mut taken: Vec<&str> = vec![MATCHED, EVIDENCE];
    if spec.column.is_none() {
        taken.push("rule");
    }
    for name in spec.column.iter().chain(&spec.key) {
        if taken.iter().any(|other| other.eq_ignore_ascii_case(name.get_ref())) {
            let message = format!("two columns of the result are named `{}`", name.get_ref());
            let help =
                format!("they are the key, `column` (\"rule\" if it is not given), `{MATCHED}` and `{EVIDENCE}`");
            return Err(file.error(name.span(), message).help(help));
        }
        taken.push(name.get_ref());
    }
    Ok(())
}

impl RulesPlan {
    /// Compares what the rules name with the columns that `from` has, and the types of those that are known.
    ///
    /// # Errors
    /// The first name that is none of them, or the first comparison of a number and a text, underlined.
    pub fn check(&self, columns: &[(String, Option<DataType>)]) -> Result<()> {
        let find = |wanted: &str| columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let names = || columns.iter().map(|(name, _)| name.as_str());
        let help = |wanted: &str| {
            let all = || format!("its columns are {}", names().collect::<Vec<_>>().join(", "));
            did_you_mean(wanted, names()).unwrap_or_else(all)
        };
        let message = |wanted: &str| format!("`{}` has no column `{wanted}`", self.from);
        for (key, span) in self.key.iter().zip(&self.key_spans) {
            if find(key).is_none() {
                return Err(self.file.error(span.clone(), message(key)).help(help(key)));
            }
        }
        for rule in &self.rules {
            for (place, span) in &rule.mentions.signals {
                let signal = &self.signals[*place];
                if find(signal).is_none() {
                    return Err(rule.text.error(*span, message(signal)).help(help(signal)));
                }
            }
        }
        let types: Vec<Option<DataType>> =
            self.signals.iter().map(|signal| find(signal).and_then(|(_, data_type)| *data_type)).collect();
        self.rules.iter().try_for_each(|rule| rule.mentions.check_types(&rule.text, &types))
    }

    /// The names of the columns of the result and the types that they are declared with.
    pub fn columns(&self) -> Vec<(String, Option<DataType>)> {
        let texts = [self.column.as_str(), MATCHED, EVIDENCE].map(|name| (name.to_owned(), Some(DataType::Text)));
        self.key.iter().map(|name| (name.clone(), None)).chain(texts).collect()
    }

    /// The SELECT that makes the table, in one pass over `from`: a flag for each rule, and the results from the flags.
    pub fn sql(&self) -> String {
        let list = |names: &[String]| names.iter().map(|name| quoted_name(name)).collect::<Vec<_>>();
        let mut inner = list(&self.key);
        inner.extend(
            list(&self.signals).into_iter().filter(|signal| !self.key.iter().any(|key| quoted_name(key) == *signal)),
        );
        let (mut winners, mut matched, mut evidence) = (String::new(), Vec::new(), Vec::new());
        for (nth, rule) in self.rules.iter().enumerate() {
            let (flag, id) = (format!("_feedmill_rule_{}", nth + 1), quoted_text(&rule.id));
            inner.push(format!("({}) IS TRUE AS {flag}", rule.when.sql(&self.signals)));
            winners += &format!("WHEN {flag} THEN {id}\n    ");
            matched.push(format!("CASE WHEN {flag} THEN '$[#]' END, {id}"));
            for place in &rule.signals {
                let (name, path) = (
                    quoted_name(&self.signals[*place]),
                    quoted_text(&format!("$.{}", quoted_name(&self.signals[*place]))),
                );
                // json_insert would round a double to 15 digits by itself.
                evidence.push(format!("CASE WHEN {flag} THEN {path} END, json_quote({name})"));
            }
        }
        let key = list(&self.key).join(", ");
        format!(
            "SELECT {key},\n  CASE\n    {winners}ELSE {} END AS {},\n  {} AS {MATCHED},\n  {} AS {EVIDENCE}\nFROM (\n  SELECT {}\n  FROM {}\n)\nORDER BY {key}",
            quoted_text(&self.default),
            quoted_name(&self.column),
            inserted("[]", &matched),
            inserted("{}", &evidence),
            inner.join(",\n    "),
            quoted_name(&self.from),
        )
    }
}

/// A JSON value with elements inserted: each a path, which is NULL where there is nothing to insert, and a value. What is
/// there already stays.
fn inserted(empty: &str, elements: &[String]) -> String {
    elements
        .chunks(ELEMENTS_PER_CALL)
        .fold(quoted_text(empty), |json, elements| format!("json_insert({json},\n    {})", elements.join(",\n    ")))
}
