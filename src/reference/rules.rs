//! Rules, one row at a time: which ones match it, and the JSON that says so. Knows nothing of the SQL that they are compiled
//! to.

use std::cmp::Ordering;

use crate::chunk::Scalar;
use crate::plan::{Condition, RulePlan, RulesPlan};
use crate::reference::text;

/// What the rules say of a row: the values of the columns that they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The rule that wins, or the default.
    pub winner: String,
    /// All rules that match, as a JSON array.
    pub matched: String,
    /// The signals that these name, as a JSON object.
    pub evidence: String,
}

/// Looks at a row. `signals` are its values of `RulesPlan::signals` as SQLite has them, and `in_json` the same as JSON.
pub fn assign(rules: &RulesPlan, signals: &[Scalar], in_json: &[String]) -> Assignment {
    let matching: Vec<&RulePlan> = rules.rules.iter().filter(|rule| truth(&rule.when, signals) == Some(true)).collect();
    let mut shown: Vec<usize> = Vec::new();
    for place in matching.iter().flat_map(|rule| &rule.signals) {
        if !shown.contains(place) {
            shown.push(*place);
        }
    }
    let ids: Vec<String> = matching.iter().map(|rule| json_text(&rule.id)).collect();
    let pairs: Vec<String> =
        shown.iter().map(|place| format!("{}:{}", json_text(&rules.signals[*place]), in_json[*place])).collect();
    Assignment {
        winner: matching.first().map_or_else(|| rules.default.clone(), |rule| rule.id.clone()),
        matched: format!("[{}]", ids.join(",")),
        evidence: format!("{{{}}}", pairs.join(",")),
    }
}

/// Whether a condition holds; `None` where that is not known.
fn truth(condition: &Condition, signals: &[Scalar]) -> Option<bool> {
    match condition {
        Condition::Not(negated) => truth(negated, signals).map(|holds| !holds),
        Condition::And(left, right) => match (truth(left, signals), truth(right, signals)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Condition::Or(left, right) => match (truth(left, signals), truth(right, signals)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Condition::Compare(comparison, left, right) => {
            let (left, right) = (value(left, signals), value(right, signals));
            order(&left, &right).map(|order| comparison.holds(order))
        }
        Condition::IsNull(operand) => Some(value(operand, signals) == Scalar::Null),
        Condition::In(operand, list) => {
            let wanted = value(operand, signals);
            let equal: Vec<Option<bool>> =
                list.iter().map(|item| order(&wanted, &value(item, signals)).map(Ordering::is_eq)).collect();
            if equal.contains(&Some(true)) {
                Some(true)
            } else if equal.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
        Condition::Signal(_) | Condition::Literal(_) => match value(condition, signals) {
            Scalar::Null => None,
            Scalar::Int(value) => Some(value != 0),
            Scalar::Double(value) => Some(value != 0.0),
            Scalar::Bool(value) => Some(value),
            Scalar::Text(value) => {
                let number = text::number_prefix(&String::from_utf8_lossy(&value)).trim().parse::<f64>();
                Some(number.is_ok_and(|number| number != 0.0))
            }
        },
    }
}

/// The value of an operand; that of a condition is 0 or 1.
fn value(operand: &Condition, signals: &[Scalar]) -> Scalar {
    match operand {
        Condition::Signal(place) => signals[*place].clone(),
        Condition::Literal(value) => value.clone(),
        condition => truth(condition, signals).map_or(Scalar::Null, |holds| Scalar::Int(i64::from(holds))),
    }
}

/// The order of two values: any number comes before any text. `None` if one is NULL.
fn order(left: &Scalar, right: &Scalar) -> Option<Ordering> {
    match (left, right) {
        (Scalar::Null, _) | (_, Scalar::Null) => None,
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Text(_), _) => Some(Ordering::Greater),
        (_, Scalar::Text(_)) => Some(Ordering::Less),
        (Scalar::Double(left), Scalar::Double(right)) => left.partial_cmp(right),
        (Scalar::Double(left), right) => order_of_mixed(whole(right), *left).map(Ordering::reverse),
        (left, Scalar::Double(right)) => order_of_mixed(whole(left), *right),
        (left, right) => Some(whole(left).cmp(&whole(right))),
    }
}

/// A whole number against a double, exactly: first against what the double has in front of its point.
fn order_of_mixed(whole: i64, double: f64) -> Option<Ordering> {
    // Doubles that are that large have nothing behind their point, and those that are larger are larger than any integer.
    let floor = double.floor();
    match i128::from(whole).cmp(&(floor as i128)) {
        Ordering::Equal if double > floor => Some(Ordering::Less),
        order => Some(order),
    }
}

fn whole(value: &Scalar) -> i64 {
    match value {
        Scalar::Int(value) => *value,
        Scalar::Bool(value) => i64::from(*value),
        Scalar::Null | Scalar::Double(_) | Scalar::Text(_) => 0,
    }
}

/// A text in JSON, with the escapes that SQLite uses.
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\u{8}' => out += "\\b",
            '\u{c}' => out += "\\f",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            char if char < ' ' => out += &format!("\\u{:04x}", u32::from(char)),
            char => out.push(char),
        }
    }
    out + "\""
}
