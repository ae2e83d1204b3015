//! What SQL text means, from parsing to values: against SQLite itself where it has the operation, against known values
//! where it has not. Says nothing of dirt, blocks or threads.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Folder, rows};
use feedmill::run::Options;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

const COLUMNS: &str = "n INTEGER, a INTEGER, b INTEGER, x DOUBLE, y DOUBLE, s TEXT, t TEXT, p BOOLEAN, q BOOLEAN";

/// Values of `COLUMNS`, as SQL has them: every type with its NULL, zero, sign and other corners.
const VALUES: &str = "
    1 | 1 | 2 | 0.5 | -0.25 | 'abc' | 'b' | 1 | 0
    2 | -7 | 3 | 2.5 | 1e300 | 'Hello World' | 'hello%' | 0 | 1
    3 | 7 | -3 | -2.5 | 1e-300 | '  pad ' | ' ' | 1 | NULL
    4 | 0 | 0 | 0.0 | 3.0 | '' | '' | 0 | NULL
    5 | NULL | 5 | NULL | 1.0 | NULL | 'x' | NULL | 1
    6 | 5 | NULL | 1.5 | NULL | 'x' | NULL | NULL | 0
    7 | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL
    8 | 1000000007 | -1000000009 | 123456789.125 | -1e16 | '12abc' | '-0012.50' | 1 | 1
    9 | -1 | 1 | 0.1 | 0.2 | ' 42' | '1e3x' | 0 | 0
    10 | 9007199254740993 | 10 | 1e15 | 100000000000000000.0 | 'caf' | '%_!' | 1 | 1
    11 | 12 | 12 | 0.30000000000000004 | 0.3 | '\u{c0} stra\u{df}e' | '\u{df}' | 0 | 1
    12 | 3 | 4 | 2.675 | 1.005 | 'aXbXc' | 'X' | 1 | 0
    13 | 2 | -2 | -0.5 | -1.5 | 'a,\"q\"' | ',' | 0 | 0
    14 | 60 | 7 | 4503599627370497.5 | 7.0 | 'true' | '0x10' | 1 | 0";

/// Expressions that mean the same in SQLite.
const EXPRESSIONS: &str = r"
    a + b; a - b; a * 3; a / b; a % b; -a; +a; - -a; a + b * 2 - 1; (a + b) * 2; a - b - 1; 7 / 2; -7 / 2; -7 % 3; 1 / 0; 1.0 / 0;
    x + y; x - y; x / y; x * 2; -x; x / 3; a + x; a * 0.5; a / 2.0; 2 + 3 * 4; 1e3 + a; -2.5; 10 - 2 - 3;
    a = b; a <> b; a != b; a < b; a <= b; a > b; a >= b; x = y; x < y; x >= a; a = 1.0; s = t; s < t; s >= 'b'; 'a' < 'B';
    p AND q; p OR q; NOT p; p AND NOT q OR a > b; NOT (p OR q); a > 1 AND b < 3; a > 1 OR b IS NULL; NOT a = b; p = q;
    a IS NULL; a IS NOT NULL; p IS TRUE; p IS NOT TRUE; p IS FALSE; p IS NOT FALSE; a > b IS TRUE; a IS NOT DISTINCT FROM b;
    a IS DISTINCT FROM b; s IS DISTINCT FROM t; a = NULL; NULL IS NULL;
    CASE WHEN a > b THEN 'more' WHEN a = b THEN 'same' END; CASE WHEN p THEN a ELSE b END; CASE a WHEN 1 THEN 'one' WHEN b THEN 'b' ELSE s END;
    CASE WHEN a IS NULL THEN x WHEN b > 3 THEN y ELSE 0.5 END; CASE WHEN q THEN s END; CASE s WHEN NULL THEN 1 ELSE 2 END;
    coalesce(a, b); coalesce(a, b, 0); coalesce(s, t, '?'); coalesce(x, y); nullif(a, b); nullif(s, 'abc'); nullif(a, 1);
    s LIKE 'a%'; s LIKE '%b%'; s LIKE 'A_C'; s LIKE t; s NOT LIKE '%x%'; t LIKE '!%!_!!' ESCAPE '!'; 'ABC' LIKE s; s LIKE ''; s LIKE '%';
    s || t; s || '-' || t; 'a' || 'b'; s || ''; substr(s, 2); substr(s, 2, 2); substr(s, -3); substr(s, -3, 2); substr(s, 0, 2);
    substr(s, a); substr(s, 3, -2); substr(s, b, a); length(s); length(s || t); length(''); trim(s); ltrim(s); rtrim(s); trim(s, 'ac');
    ltrim(s, 'a'); rtrim(s, 'c '); replace(s, 'X', '--'); replace(s, t, ''); replace(s, '', 'z'); upper(s); lower(s); upper(lower(s));
    abs(a); abs(x); abs(-3); round(x); round(x, 1); round(y, 2); round(x * 100, 0); round(a); round(2.5); round(-2.5);
    a IN (1, 2, 3); a NOT IN (1, 2); a IN (1, NULL); a NOT IN (1, NULL); s IN ('abc', 'x'); x IN (0.5, 2.5); a IN (b, 7);
    a BETWEEN 0 AND 5; a NOT BETWEEN b AND 5; x BETWEEN -1 AND 1; s BETWEEN 'a' AND 'c'; a BETWEEN NULL AND 3; a BETWEEN 1 AND b;
    CAST(a AS DOUBLE); CAST(x AS INTEGER); CAST(a AS TEXT); CAST(x AS TEXT); CAST(y AS TEXT); CAST(s AS INTEGER); CAST(t AS INTEGER);
    CAST(s AS DOUBLE); CAST(t AS DOUBLE); CAST(a * 2 AS TEXT) || '!'; CAST(CAST(a AS TEXT) AS INTEGER); CAST(NULL AS INTEGER);
    CAST(p AS INTEGER) + 1; CAST(a AS DOUBLE) / b; CAST(-2.9 AS INTEGER); CAST('1e2' AS INTEGER); CAST('  7 ' AS DOUBLE); CAST(x / 3 AS TEXT);
    'it''s'; ''; 0; 1.50; 1e-7; TRUE; FALSE; NULL; a + NULL; NULL || s; (((a))); length(replace(upper(trim(s)), 'B', 'bb')) * 2 + 1";

/// What SQLite lacks, or has with another meaning, and what it is.
const KNOWN: &[(&str, &str)] = &[
    // Decimals are exact and leave as the nearest double.
    ("CAST('0.10' AS DECIMAL(8,2)) + CAST('0.20' AS DECIMAL(8,2))", "0.3"),
    ("CAST('1.10' AS DECIMAL(8,2)) * 3", "3.3"),
    ("CAST('1.15' AS DECIMAL(8,2)) * CAST('1.15' AS DECIMAL(8,2))", "1.3225"),
    ("CAST(CAST('1.50' AS DECIMAL(8,2)) AS TEXT)", "'1.50'"),
    ("CAST(CAST('-0.05' AS DECIMAL(8,2)) AS TEXT)", "'-0.05'"),
    // A number with a point is a decimal, where SQLite has a double that is a little less.
    ("round(1.005, 2)", "1.01"),
    ("round(CAST('1.005' AS DECIMAL(8,3)), 2)", "1.01"),
    ("round(CAST('-1.005' AS DECIMAL(8,3)), 2)", "-1.01"),
    ("CAST(CAST('2.675' AS DECIMAL(8,3)) AS DECIMAL(8,2))", "2.68"),
    ("floor(CAST('-1.5' AS DECIMAL(8,2)))", "-2.0"),
    ("ceil(CAST('-1.5' AS DECIMAL(8,2)))", "-1.0"),
    ("CAST(CAST('9.99' AS DECIMAL(8,2)) AS INTEGER)", "9"),
    ("CAST('7' AS DECIMAL(8,2)) / 2", "3.5"),
    ("CAST('1.10' AS DECIMAL(8,2)) = CAST('1.1' AS DECIMAL(4,1))", "1"),
    ("TRY_CAST('1.999' AS DECIMAL(8,2))", "NULL"),
    ("TRY_CAST('x' AS DECIMAL(8,2))", "NULL"),
    ("TRY_CAST('12x' AS INTEGER)", "NULL"),
    ("TRY_CAST('12' AS INTEGER)", "12"),
    ("floor(-2.5)", "-3.0"),
    ("ceiling(2.1)", "3.0"),
    // Dates, timestamps and intervals.
    ("DATE '2025-01-31' + INTERVAL 1 MONTH", "'2025-02-28'"),
    ("DATE '2024-01-31' + INTERVAL '1' MONTH", "'2024-02-29'"),
    ("DATE '2024-02-29' + INTERVAL 1 YEAR", "'2025-02-28'"),
    ("DATE '2025-03-01' - INTERVAL 1 DAY", "'2025-02-28'"),
    ("INTERVAL 2 WEEK + DATE '2025-12-25'", "'2026-01-08'"),
    ("DATE '2025-01-01' + 31", "'2025-02-01'"),
    ("DATE '2025-01-01' - 1", "'2024-12-31'"),
    ("DATE '2025-03-01' - DATE '2024-03-01'", "365"),
    ("DATE '2025-01-01' + INTERVAL 36 HOUR", "'2025-01-02 12:00:00'"),
    ("TIMESTAMP '2025-01-01 23:59:30' + INTERVAL 45 SECOND", "'2025-01-02 00:00:15'"),
    ("CAST(TIMESTAMP '2025-01-01 23:59:30' AS DATE)", "'2025-01-01'"),
    ("CAST(DATE '2025-01-01' AS TIMESTAMP)", "'2025-01-01 00:00:00'"),
    ("CAST('2025-02-28' AS DATE) < DATE '2025-03-01'", "1"),
    ("TRY_CAST('2025-02-29' AS DATE)", "NULL"),
    ("DATE '2025-06-15' BETWEEN '2025-06-01' AND '2025-06-30'", "1"),
    ("DATE '1969-12-31' - DATE '1970-01-01'", "-1"),
    ("strftime(DATE '2025-03-04', '%Y/%m/%d %j')", "'2025/03/04 063'"),
    ("strftime('%H:%M', TIMESTAMP '2025-03-04 05:06:07')", "'05:06'"),
    ("date_trunc('month', DATE '2025-03-14')", "'2025-03-01'"),
    ("date_trunc('quarter', DATE '2025-08-14')", "'2025-07-01'"),
    ("date_trunc('week', DATE '2025-01-01')", "'2024-12-30'"),
    ("date_trunc('year', DATE '1969-07-20')", "'1969-01-01'"),
    ("date_trunc('hour', TIMESTAMP '2025-03-04 05:06:07')", "'2025-03-04 05:00:00'"),
    ("extract(year FROM DATE '2025-03-04')", "2025"),
    ("extract(quarter FROM DATE '2025-12-04')", "4"),
    ("extract(week FROM DATE '2021-01-03')", "53"),
    ("extract(dow FROM DATE '2025-03-02')", "0"),
    ("extract(isodow FROM DATE '2025-03-02')", "7"),
    ("extract(doy FROM DATE '2024-12-31')", "366"),
    ("extract(epoch FROM TIMESTAMP '1970-01-02 00:00:01')", "86401"),
    ("extract(minute FROM TIMESTAMP '2025-03-04 05:06:07')", "6"),
    ("date_part('day', DATE '2025-03-04')", "4"),
    // Regular expressions and texts.
    ("regexp_extract('US-90210-1234', '([0-9]{5})(?:-([0-9]{4}))?', 1)", "'90210'"),
    ("regexp_extract('US-90210-1234', '([0-9]{5})(?:-([0-9]{4}))?', 2)", "'1234'"),
    ("regexp_extract('abc', '[a-b]+')", "'ab'"),
    ("regexp_extract('abc', '[0-9]+')", "NULL"),
    ("regexp_matches('abc', '^a.c$')", "1"),
    ("regexp_matches('abc', '^b')", "0"),
    ("regexp_replace('a1b2', '[0-9]', '#')", "'a#b2'"),
    ("regexp_replace('a1b2', '[0-9]', '#', 'g')", "'a#b#'"),
    (r"regexp_replace('a1b2', '([a-z])([0-9])', '\2\1', 'g')", "'1a2b'"),
    ("regexp_replace('aXa', 'x', '$1', 'i')", "'a$1a'"),
    ("strpos('stra\u{df}e', 'e')", "6"),
    ("strpos('abc', 'z')", "0"),
    ("position('c' IN 'abc')", "3"),
    ("starts_with('abc', 'ab')", "1"),
    ("substring('abcdef' FROM 2 FOR 3)", "'bcd'"),
    ("trim(LEADING 'x' FROM 'xxaxx')", "'axx'"),
    ("trim(BOTH ' ' FROM ' a ')", "'a'"),
    ("concat('a', NULL, 'b')", "'ab'"),
    ("greatest(1, NULL, 3)", "3"),
    ("least(1, 2.5, NULL)", "1.0"),
    ("greatest('a', 'b', 'B')", "'b'"),
    ("greatest(NULL, NULL)", "NULL"),
    ("least(DATE '2025-01-02', DATE '2025-01-01')", "'2025-01-01'"),
];

/// What the engine makes of expressions over `VALUES`, a row for each expression.
fn by_engine(expressions: &[&str]) -> Vec<Vec<String>> {
    let folder = Folder::new();
    let csv: Vec<String> = VALUES.trim().lines().map(csv_line).collect();
    folder.write("feed.csv", format!("n,a,b,x,y,s,t,p,q\n{}\n", csv.join("\n")));
    let list: Vec<String> = expressions.iter().enumerate().map(|(place, sql)| format!("{sql} AS e{place}")).collect();
    // Only an unquoted empty field is NULL in SQL's own texts, so here NULL has a word of its own.
    let plan = folder.plan(&format!(
        "[feed.feed]\nfiles = [\"feed.csv\"]\nnull = [\"NULL\"]\ncolumns = \"{COLUMNS}\"\n\
         [table.result]\nsql = '''SELECT {} FROM feed'''\n",
        list.join(",\n")
    ));
    let figures = folder.run(&plan, &Options::default()).unwrap();
    assert_eq!(figures.rejected(), 0, "{}", String::from_utf8_lossy(&folder.letters()));
    transposed(&rows(&Connection::open(folder.database()).unwrap(), "SELECT * FROM result ORDER BY rowid"))
}

/// What SQLite makes of them.
fn by_sqlite(expressions: &[&str]) -> Vec<Vec<String>> {
    let database = Connection::open_in_memory().unwrap();
    let values: Vec<String> =
        VALUES.trim().lines().map(|line| format!("({})", line.split('|').collect::<Vec<_>>().join(","))).collect();
    let fill = format!("CREATE TABLE feed ({COLUMNS}); INSERT INTO feed VALUES {}", values.join(","));
    database.execute_batch(&fill).unwrap();
    transposed(&rows(&database, &format!("SELECT {} FROM feed ORDER BY n", expressions.join(","))))
}

fn csv_line(line: &str) -> String {
    let field = |value: &str| match value.trim().strip_prefix('\'') {
        Some(text) => format!("\"{}\"", text.trim_end_matches('\'').replace('"', "\"\"")),
        None => value.trim().to_owned(),
    };
    line.split(" | ").map(field).collect::<Vec<_>>().join(",")
}

fn transposed(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    (0..rows[0].len()).map(|column| rows.iter().map(|row| row[column].clone()).collect()).collect()
}

fn differences(expressions: &[&str]) -> Vec<String> {
    let (engine, sqlite) = (by_engine(expressions), by_sqlite(expressions));
    let mut found = Vec::new();
    for (place, sql) in expressions.iter().enumerate() {
        for row in 0..engine[place].len() {
            let (engine, sqlite) = (&engine[place][row], &sqlite[place][row]);
            if engine != sqlite {
                found.push(format!("{sql}, row {}: engine {engine}, SQLite {sqlite}", row + 1));
            }
        }
    }
    found
}

#[test]
fn expressions_mean_what_sqlite_says() {
    let expressions: Vec<&str> = EXPRESSIONS.split(';').map(str::trim).collect();
    let found = differences(&expressions);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_sqlite_lacks_has_known_values() {
    let expressions: Vec<&str> = KNOWN.iter().map(|(sql, _)| *sql).collect();
    let found: Vec<String> = by_engine(&expressions)
        .iter()
        .zip(KNOWN)
        .filter(|(values, (_, expected))| values.iter().any(|value| value != expected))
        .map(|(values, (sql, expected))| format!("{sql}: {}, expected {expected}", values[0]))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Expressions of one type, made of expressions of any.
#[derive(Debug, Clone)]
struct Typed {
    integer: BoxedStrategy<String>,
    text: BoxedStrategy<String>,
    boolean: BoxedStrategy<String>,
}

fn leaves() -> Typed {
    let of = |list: &'static str| select(list.split(';').collect::<Vec<_>>()).prop_map(str::to_owned).boxed();
    Typed {
        integer: of("a % 1000;b % 1000;n;0;1;-3;17"),
        text: of("s;t;'';'b';'X';'A%'"),
        boolean: of("p;q;TRUE;NULL IS NULL;a IS NULL"),
    }
}

/// The next level of nesting. Operators stand without parentheses, so that their precedence is tested, too.
fn nested(inner: &Typed) -> Typed {
    let Typed { integer, text, boolean } = inner;
    let (i, s, b) = (|| integer.clone(), || text.clone(), || boolean.clone());
    let arithmetic = select(vec!["+", "-", "/", "%"]);
    let comparison = select(vec!["=", "<>", "<", "<=", ">", ">="]);
    Typed {
        integer: prop_oneof![
            i(),
            (i(), arithmetic, i()).prop_map(|(x, op, y)| format!("{x} {op} {y}")),
            (i(), i()).prop_map(|(x, y)| format!("({x} - {y})")),
            (b(), i(), i()).prop_map(|(when, x, y)| format!("CASE WHEN {when} THEN {x} ELSE {y} END")),
            (i(), i()).prop_map(|(x, y)| format!("coalesce({x}, {y})")),
            (i(), i()).prop_map(|(x, y)| format!("nullif({x}, {y})")),
            i().prop_map(|x| format!("abs({x})")),
            s().prop_map(|x| format!("length({x})")),
        ]
        .boxed(),
        text: prop_oneof![
            s(),
            (s(), s()).prop_map(|(x, y)| format!("{x} || {y}")),
            (s(), i(), i()).prop_map(|(x, from, length)| format!("substr({x}, {from}, {length})")),
            // SQLite alone gives replace(x, '', NULL) a value.
            (s(), s()).prop_map(|(x, to)| format!("replace({x}, 'b', {to})")),
            s().prop_map(|x| format!("upper({x})")),
            (b(), s()).prop_map(|(when, x)| format!("CASE WHEN {when} THEN {x} END")),
            i().prop_map(|x| format!("CAST({x} AS TEXT)")),
        ]
        .boxed(),
        boolean: prop_oneof![
            b(),
            (i(), comparison.clone(), i()).prop_map(|(x, op, y)| format!("({x} {op} {y})")),
            (s(), comparison, s()).prop_map(|(x, op, y)| format!("({x} {op} {y})")),
            (b(), select(vec!["AND", "OR"]), b()).prop_map(|(x, op, y)| format!("{x} {op} {y}")),
            b().prop_map(|x| format!("NOT ({x})")),
            (s(), s()).prop_map(|(x, pattern)| format!("({x} LIKE {pattern})")),
            (i(), i(), i()).prop_map(|(x, y, z)| format!("({x} BETWEEN {y} AND {z})")),
            (i(), i(), i()).prop_map(|(x, y, z)| format!("({x} IN ({y}, {z}))")),
            s().prop_map(|x| format!("({x} IS NULL)")),
        ]
        .boxed(),
    }
}

fn expressions() -> impl Strategy<Value = String> {
    let Typed { integer, text, boolean } = nested(&nested(&nested(&leaves())));
    prop_oneof![integer, text, boolean]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nested_expressions_mean_what_sqlite_says(expressions in prop::collection::vec(expressions(), 1..30)) {
        let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let found = differences(&expressions);
        prop_assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
