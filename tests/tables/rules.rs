//! Tables of rules: what they make of rows, whatever is in them, by both engines; and what is wrong with them, underlined.

use std::fmt::Write as _;

use feedmill::plan::{Plan, Settings};
use feedmill::run::{Options, validate};
use feedmill::verify::verify;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use crate::common::{Folder, rows};

const PIPELINE: &str = r#"
[params]
least = 3
since = 2026-01-02

[feed.users]
files   = ["users.csv"]
columns = "id INTEGER NOT NULL, score INTEGER, rate DOUBLE, amount DECIMAL(8,2), kind TEXT, since DATE, vip BOOLEAN"

[table.signals]
primary_key = ["id"]
sql = "SELECT id, max(score) AS score, max(rate) AS rate, max(amount) AS amount, max(kind) AS kind, max(since) AS since, max(vip) AS vip FROM users GROUP BY id"

[table.mixed]
sql = "SELECT *, CASE WHEN vip THEN kind WHEN score > 2 THEN score ELSE rate END AS mixed FROM signals"

[rules.labels]
from   = "mixed"
key    = ["id"]
column = "label"
default = "nobody"
"#;

fn rule(id: &str, priority: i64, when: &str) -> String {
    format!("[[rules.labels.rule]]\nid = \"{id}\"\npriority = {priority}\nwhen = \"\"\"{when}\"\"\"\n")
}

const USERS: &str = "id,score,rate,amount,kind,since,vip\n1,5,0.1,10.50,gold,2026-01-01,true\n2,,2.5,,\"it's\",2026-01-02,false\n\
                     3,1,,0.30,,,\n4,3,1e300,3.00,9,2026-02-01,false\n";

fn folder(pipeline: &str, users: &str) -> Folder {
    let folder = Folder::new();
    folder.write("users.csv", users);
    folder.write("p.toml", pipeline);
    folder
}

/// The rows of the table of rules, without the key.
fn labels(rules: &str) -> Vec<[String; 3]> {
    let folder = folder(&format!("{PIPELINE}{rules}"), USERS);
    let plan = Plan::load(&folder.path("p.toml"), &Settings::default()).unwrap();
    folder.run(&plan, &Options::default()).unwrap();
    let database = Connection::open(folder.database()).unwrap();
    let rows = rows(&database, "SELECT label, matched, evidence FROM labels ORDER BY id");
    assert_eq!(rows.len(), 4, "every key has its row");
    let verdict = verify(&plan, &Options::default(), &folder.path(""), &mut |_| ()).unwrap();
    assert_eq!(verdict.differences, [""; 0]);
    rows.into_iter().map(|row| row.try_into().unwrap()).collect()
}

#[test]
fn the_first_rule_wins_and_all_are_told_with_their_evidence() {
    let rules = [
        rule("rich", 20, "amount >= $least AND rate < 1"),
        rule("keen", 3, "score > 2 OR kind = 'it''s'"),
        rule("new", 10, "since >= $since"),
    ];
    let quoted = |parts: [&str; 3]| parts.map(|part| format!("'{}'", part.replace('\'', "''")));
    assert_eq!(
        labels(&rules.concat()),
        [
            quoted(["keen", r#"["keen","rich"]"#, r#"{"score":5,"kind":"gold","amount":10.5,"rate":0.1}"#]),
            quoted(["keen", r#"["keen","new"]"#, r#"{"score":null,"kind":"it's","since":"2026-01-02"}"#]),
            quoted(["nobody", "[]", "{}"]),
            quoted(["keen", r#"["keen","new"]"#, r#"{"score":3,"kind":"9","since":"2026-02-01"}"#]),
        ]
    );
}

#[test]
fn what_is_missing_matches_nothing() {
    let winners = |when: &str| labels(&rule("it", 1, when)).map_into();
    assert_eq!(winners("score < 100"), ["it", "nobody", "it", "it"]);
    assert_eq!(winners("NOT (score < 100)"), ["nobody"; 4]);
    assert_eq!(winners("score <> 5"), ["nobody", "nobody", "it", "it"]);
    assert_eq!(winners("score NOT IN (5, NULL)"), ["nobody"; 4]);
    assert_eq!(winners("score NOT BETWEEN 2 AND 4 OR rate > 2"), ["it", "it", "it", "it"]);
    assert_eq!(winners("score IS NULL"), ["nobody", "it", "nobody", "nobody"]);
    assert_eq!(winners("vip"), ["it", "nobody", "nobody", "nobody"]);
    assert_eq!(winners("(score > 2) = (amount > 5) = vip"), ["it", "nobody", "nobody", "it"]);
    assert_eq!(winners("mixed > 'a'"), ["it", "nobody", "nobody", "nobody"], "a text is greater than any number");
}

trait MapInto {
    fn map_into(self) -> Vec<String>;
}

impl MapInto for Vec<[String; 3]> {
    fn map_into(self) -> Vec<String> {
        self.into_iter().map(|[label, ..]| label.trim_matches('\'').to_owned()).collect()
    }
}

/// Conditions with every operator, on columns of every type, with and without parentheses.
fn conditions() -> impl Strategy<Value = String> {
    let number = || {
        select(vec!["score", "rate", "amount", "vip", "0", "-1", "3", "2.5", "0.1", "1e300", "$least", "NULL", "TRUE"])
    };
    let text = || select(vec!["kind", "since", "'a'", "'2026-01-02'", "''", "$since", "NULL"]);
    let anything = || select(vec!["mixed", "mixed", "score", "kind", "3", "'b'", "2.5", "NULL"]);
    let comparison = || select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let same = |value: BoxedStrategy<&'static str>| {
        let values = [value.clone(), value.clone(), value];
        (values, comparison(), 0..5usize).prop_map(|([a, b, c], comparison, form)| match form {
            0 | 1 => format!("{a} {comparison} {b}"),
            2 => format!("{a} BETWEEN {b} AND {c}"),
            3 => format!("{a} NOT IN ({b}, {c})"),
            _ => format!("{a} NOT BETWEEN {b} AND {c}"),
        })
    };
    let mixed = || {
        (select(vec!["mixed"]), comparison(), anything()).prop_map(|(a, comparison, b)| format!("{a} {comparison} {b}"))
    };
    let null = (anything(), select(vec!["IS NULL", "IS NOT NULL"])).prop_map(|(value, is)| format!("{value} {is}"));
    let leaf = prop_oneof![
        4 => same(number().boxed()),
        2 => same(text().boxed()),
        2 => mixed(),
        1 => null,
        1 => anything().prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} OR {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(NOT ({a})) = (NOT ({b}))")),
            inner.clone().prop_map(|a| format!("NOT {a}")),
            inner.prop_map(|a| format!("({a})")),
        ]
    })
}

/// Users with little in common and much missing.
fn users() -> impl Strategy<Value = String> {
    let user = (
        select(vec!["", "", "0", "3", "5", "9007199254740993", "-9223372036854775808"]),
        select(vec!["", "0.1", "2.5", "3", "-0", "1e300", "9007199254740992", "0.30000000000000004"]),
        select(vec!["", "3.00", "0.10", "-1.00", "999999.99"]),
        select(vec!["", "a", "b", "3", "2.5x", " 1", "\"q\"\"\n\u{e9}\"", "2026-01-02"]),
        select(vec!["", "2026-01-02", "2025-12-31"]),
        select(vec!["", "true", "false"]),
    );
    prop::collection::vec(user, 0..12).prop_map(|users| {
        let mut text = "id,score,rate,amount,kind,since,vip\n".to_owned();
        for (id, (score, rate, amount, kind, since, vip)) in users.into_iter().enumerate() {
            writeln!(text, "{id},{score},{rate},{amount},{kind},{since},{vip}").unwrap();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_agree(
        whens in prop::collection::vec(conditions(), 1..6),
        priorities in Just(vec![7i64, -2, 0, 100, 3]).prop_shuffle(),
        users in users(),
    ) {
        let rules: String =
            whens.iter().zip(priorities).enumerate().map(|(id, (when, priority))| rule(&format!("r\\\"{id}"), priority, when)).collect();
        let folder = folder(&format!("{PIPELINE}{rules}"), &users);
        let plan = Plan::load(&folder.path("p.toml"), &Settings::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}: {rules}"));
        let verdict = verify(&plan, &Options::default(), &folder.path(""), &mut |_| ());
        let verdict = verdict.unwrap_or_else(|error| panic!("{error}: {rules}"));
        prop_assert!(verdict.differences.is_empty(), "{:?}\n{rules}\n{users}", verdict.differences);
        let labels = ("labels".to_owned(), verdict.tables[0].1);
        prop_assert_eq!(verdict.tables.last(), Some(&labels));
    }
}

#[test]
fn more_rules_than_one_call_takes() {
    let rules: String = (0..300).map(|id| rule(&format!("at least {id}"), id, &format!("score >= {id}"))).collect();
    let labels = labels(&rules);
    assert_eq!(labels[0][0], "'at least 0'");
    let matched: Vec<String> = (0..=5).map(|id| format!("\"at least {id}\"")).collect();
    assert_eq!(labels[0][1], format!("'[{}]'", matched.join(",")));
    assert_eq!(labels[0][2], "'{\"score\":5}'");
}

#[test]
fn mistakes_are_underlined() {
    let good = format!("{PIPELINE}{}{}", rule("a", 1, "score > 4"), rule("b", 2, "kind = 'x'"));
    for (from, to, message, underlined, help) in [
        ("score > 4", "scor > 4", "`mixed` has no column `scor`", "scor", "did you mean `score`?"),
        ("score > 4", "score > ", "this is not valid SQL", "", ""),
        ("score > 4", "score + 1 > 4", "this is not supported in a rule", "score + 1", "AND, OR and NOT"),
        ("score > 4", "abs(score) > 4", "this is not supported in a rule", "abs(score", "AND, OR and NOT"),
        ("score > 4", "score > (SELECT 2)", "this is not supported in a rule", "SELECT 2", "AND, OR and NOT"),
        ("score > 4", "score > $last", "there is no parameter `last`", "$last", "did you mean `least`?"),
        ("score > 4", "signals.score > 4", "this is not supported in a rule", "signals.score", ""),
        ("key    = [\"id\"]", "key = [\"user\"]", "`mixed` has no column `user`", "\"user\"", ""),
        ("key    = [\"id\"]", "", "the rules have no key", "labels", "key = [...]"),
        ("key    = [\"id\"]", "key = [\"id\", \"ID\"]", "two columns of the result are named `ID`", "\"ID\"", ""),
        (
            "column = \"label\"",
            "column = \"matched\"",
            "two columns of the result are named `matched`",
            "\"matched\"",
            "",
        ),
        ("\"mixed\"\n", "\"mixt\"\n", "there is no table `mixt`", "\"mixt\"", "did you mean `mixed`?"),
        ("\"mixed\"\n", "\"users\"\n", "there is no table `users`", "\"users\"", "a feed is aggregated to one first"),
        ("\"mixed\"\n", "\"labels\"\n", "made from each other: labels", "\"labels\"", ""),
        ("priority = 2", "priority = 1", "`a` has this priority, too", "1", "the lowest wins"),
        ("priority = 2", "priority = 1.5", "invalid type", "1.5", ""),
        ("id = \"b\"", "id = \"a\"", "two rules have this id", "\"a\"", "another id"),
        ("id = \"b\"", "id = \"nobody\"", "this is what stands for no rule", "\"nobody\"", ""),
        ("when = \"\"\"kind", "then = \"\"\"kind", "there is no key `then` here", "then", "did you mean `when`?"),
        ("[table.mixed]", "[table.labels]", "`labels` is the name of two things", "labels", ""),
        ("kind = 'x'", "score = 'x'", "", "", ""),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let folder = folder(&changed, USERS);
        let plan = Plan::load(&folder.path("p.toml"), &Settings::default());
        let result = plan.and_then(|plan| validate(&plan));
        let Err(error) = result else {
            assert!(message.is_empty(), "{to}: no error");
            continue;
        };
        assert!(error.to_string().contains(message), "{to}: {error}");
        assert!(error.help_text().unwrap_or_default().contains(help), "{to}: {:?}", error.help_text());
        let excerpt = error.excerpt().unwrap();
        assert!(
            excerpt.text[excerpt.span.clone()].contains(underlined),
            "{to}: {}",
            &excerpt.text[excerpt.span.clone()]
        );
    }
}

#[test]
fn numbers_and_texts_are_not_compared_where_their_types_are_known() {
    let pipeline = PIPELINE.replace("from   = \"mixed\"", "from = \"signals\"");
    for (when, is_good) in [
        ("score = 'x'", false),
        ("kind > 2", false),
        ("since > 2026", false),
        ("kind = score", false),
        ("vip IN (1, 'yes')", false),
        ("score BETWEEN 1 AND '2'", false),
        ("since > $since AND kind <> since", true),
        ("vip = TRUE AND amount > score AND kind = NULL", true),
    ] {
        let folder = folder(&format!("{pipeline}{}", rule("a", 1, when)), USERS);
        let plan = Plan::load(&folder.path("p.toml"), &Settings::default()).unwrap();
        match validate(&plan) {
            Ok(()) => assert!(is_good, "{when}"),
            Err(error) => assert!(!is_good && error.to_string().contains("a number and a text"), "{when}: {error}"),
        }
    }
}

#[test]
fn two_rows_with_one_key_end_the_run() {
    let folder = folder(
        &format!("{PIPELINE}{}", rule("a", 1, "score > 2")).replace("[\"id\"]\ncolumn", "[\"vip\"]\ncolumn"),
        USERS,
    );
    let plan = Plan::load(&folder.path("p.toml"), &Settings::default()).unwrap();
    let error = folder.run(&plan, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "two rows of table `labels` have the same primary key (vip = 0)");
}
