//! The fast engine against the reference engine: random pipelines over random, dirty feeds, packed and cut in random ways.
//! Says nothing of whether an expression means what SQL says; `sql_oracle` does.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/dirt.rs"]
mod dirt;

use std::fmt::Write as _;

use common::{Folder, gzip, zip_of};
use dirt::{DECLARATION, Feed, feeds};
use feedmill::run::Options;
use feedmill::verify::verify;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const EXPRESSIONS: &str = r#"
    i + 1; i * i; i / 3; i % 4; -i; abs(i); d + d; d * d; d / 3; d - 1.555; round(f, 2); round(d, 1); floor(f);
    ceil(d); floor(d); f * f; f / 3; f + f; f > 1; CAST(f AS TEXT); CAST(d AS TEXT); CAST(t AS INTEGER);
    CAST(t AS DOUBLE); TRY_CAST(t AS DATE); TRY_CAST(t AS INTEGER); TRY_CAST(t AS DECIMAL(6,2));
    CAST(f AS DECIMAL(9,3)); CAST(f AS INTEGER); CAST(d AS INTEGER); CAST(t AS DATE); CAST(dd AS TIMESTAMP);
    CAST(ts AS DATE); CAST(b AS INTEGER); CAST(ts AS TEXT); lower(t); upper(t); trim(t); replace(t, 'a', 'xy');
    substr(t, 2, 2); substr(t, -2); substr(t, i, 2); length(t); strpos(t, 'b'); t LIKE '%a_'; t LIKE t;
    t LIKE '!%x%' ESCAPE '!'; starts_with(t, 'a'); t || t; concat(t, CAST(b AS TEXT));
    regexp_extract(t, '([a-z]+)', 1); regexp_matches(t, '^[a-c]+$'); regexp_replace(t, '[0-9]', '<>');
    regexp_replace(t, '([a-z])', '\\1.', 'g'); strftime(ts, '%Y/%j'); date_trunc('week', dd);
    date_trunc('hour', ts); date_trunc('quarter', ts); extract(week FROM dd); extract(epoch FROM ts);
    extract(dow FROM ts); dd + INTERVAL 1 MONTH; ts + INTERVAL 3 HOUR; dd - INTERVAL 2 DAY; dd + i;
    dd - DATE '2025-01-01'; greatest(i, 3); least(f, 1.5); greatest(t, label); coalesce(dd, since, DATE '2020-01-01');
    coalesce(label, t, '?'); nullif(t, 'a'); CASE WHEN b THEN i ELSE i + 1 END;
    CASE t WHEN 'a' THEN d WHEN label THEN d * 2 END; b AND i * i > 0; i * i > 0 AND b; b OR i * i > 0;
    i IN (1, 3, NULL); i BETWEEN weight AND 9; b IS NOT DISTINCT FROM TRUE; label IS NULL; dd < since; i + weight"#;

const FILTERS: &str = r#"
    TRUE; b; d > 1; i * 2 > 0; t LIKE 'a%'; NOT b; f < 1e10; label IS NOT NULL; dd >= '2025-06-01';
    weight > 1 OR b IS NULL; FALSE"#;

const KEYS: &str = r#"
    t; b; dd; d; f; i; date_trunc('month', ts); lower(t); i % 3; label; b AND d > 5"#;

const AGGREGATES: &str = r#"
    count(*); count(d); sum(d); sum(f); sum(i / 1000000); avg(f); avg(d); avg(i); stddev_pop(f); stddev_samp(d);
    stddev_samp(i); median(f); median(d); median(i); min(t); max(t); max(ts); min(dd); min(d); max(f); max(b);
    count(DISTINCT t); count(DISTINCT f); count(DISTINCT dd); median_gap(dd); stddev_gap(dd); sum(d) FILTER (WHERE b);
    count(*) FILTER (WHERE f > 0); avg(f) FILTER (WHERE t LIKE 'a%'); count(DISTINCT i) FILTER (WHERE NOT b);
    sum(weight); max(label)"#;

const HAVINGS: &str = r#"
    count(*) > 1; sum(d) > 3 OR k IS NULL; max(i) - min(i) < 40; count(*) >= 0"#;

const WINDOWS: &str = r#"
    sum(d) / sum(sum(d)) OVER (); dense_rank() OVER (ORDER BY count(*) DESC);
    count(*) - lag(count(*)) OVER (ORDER BY {key}); row_number() OVER (PARTITION BY count(*) ORDER BY {key});
    CAST(count(*) AS DOUBLE) / 7; round(avg(d), 1) || '!'"#;

/// Keys with few values, so that there are many duplicates; with NULLs, faults, and values that are one in SQLite only.
const LOAD_KEYS: &str = r#"
    t; b; i % 3; i / 20; i; d; f; dd; label; weight; lower(t); date_trunc('month', ts); date_trunc('quarter', dd);
    ts; b AND d > 5; f * 0.0; round(f / 1000000, 0); CAST(i % 3 AS DECIMAL(9,3)); i * i % 3; CAST(t AS DATE);
    CAST('9007199254740' || CAST(990 + i % 10 AS TEXT) AS DECIMAL(18,0)); coalesce(t, 'none'); 'x'; TRUE;
    substr(t, 1, 1) || coalesce(label, ','); CAST(d AS INTEGER) % 2; extract(month FROM dd)"#;

const LOOKUP: &str = "t,label,weight,since\na,first,1,2025-05-01\nb,,2,\nabc,\"th,ird\",,2025-07-07\n\u{e9}x,x,4,\n";

/// A pipeline with a table of each kind; the property varies what is in them.
#[derive(Debug, Clone)]
struct Pipeline {
    expressions: Vec<&'static str>,
    filters: [&'static str; 3],
    keys: Vec<&'static str>,
    aggregates: Vec<&'static str>,
    having: &'static str,
    window: &'static str,
    nullify: Vec<&'static str>,
}

fn items(list: &'static str) -> Vec<&'static str> {
    list.split(';').map(str::trim).collect()
}

fn pipelines() -> impl Strategy<Value = Pipeline> {
    let filters = || select(items(FILTERS));
    (
        subsequence(items(EXPRESSIONS), 1..6),
        [filters(), filters(), filters()],
        subsequence(items(KEYS), 1..3),
        subsequence(items(AGGREGATES), 1..12),
        select(items(HAVINGS)),
        select(items(WINDOWS)),
        subsequence(vec!["t", "d", "f", "dd", "ts", "b"], 0..4),
    )
        .prop_map(|(expressions, filters, keys, aggregates, having, window, nullify)| Pipeline {
            expressions,
            filters,
            keys,
            aggregates,
            having,
            window,
            nullify,
        })
}

impl Pipeline {
    fn to_toml(&self, files: &[String]) -> String {
        let list = |items: &[&str], name: &str| {
            let named = items.iter().enumerate().map(|(place, item)| format!("{item} AS {name}{place}"));
            named.collect::<Vec<_>>().join(", ")
        };
        let [of_rows, of_groups, of_all] = self.filters;
        let (expressions, aggregates) = (list(&self.expressions, "e"), list(&self.aggregates, "a"));
        let (keys, named_keys) = (self.keys.join(", "), list(&self.keys, "k"));
        let key = self.keys[0];
        let having = self.having.replace("k IS NULL", &format!("({key}) IS NULL"));
        let window = self.window.replace("{key}", key);
        let join = "FROM feed LEFT JOIN look USING (t)";
        let mut toml = String::new();
        write!(
            toml,
            r#"
[feed.feed]
files = {files:?}
columns = """{DECLARATION}"""
nullify = {nullify:?}
null = ["", "NA"]
[feed.feed.derive]
z = "replace(t, 'a', 'xy')"
[feed.feed.count]
dateless = "dd IS NULL"
big = "i / 2 > 5"
[lookup.look]
file = "look.csv"
columns = "t TEXT PRIMARY KEY, label TEXT, weight INTEGER, since DATE"
[table.of_rows]
sql = """SELECT i, t, d, f, dd, ts, b, z, label, {expressions} {join} WHERE {of_rows}"""
[table.inner_rows]
sql = """SELECT i, weight, z FROM feed JOIN look ON look.t = lower(feed.t)"""
[table.of_groups]
sql = """SELECT {named_keys}, {aggregates} {join} WHERE {of_groups} GROUP BY {keys}"""
[table.of_all]
sql = """SELECT {aggregates} {join} WHERE {of_all}"""
[table.finished]
primary_key = ["k"]
sql = """SELECT {key} AS k, count(*) AS n, {window} AS w, {aggregates} {join}
GROUP BY {key} HAVING {having} ORDER BY n DESC, k LIMIT 20"""
[table.different]
sql = "SELECT DISTINCT b, t FROM feed"
[table.chained]
sql = """WITH counted AS (SELECT n, count(*) AS groups FROM finished GROUP BY n)
SELECT f.k, f.n, c.groups, l.label, greatest(f.n, 3) AS most, regexp_extract(d.t, '[a-c]') AS letters
FROM finished f JOIN counted c ON c.n = f.n LEFT JOIN look l ON l.t = f.k LEFT JOIN different d ON d.t = f.k
ORDER BY f.n, f.k, d.b, d.t"""
"#,
            nullify = self.nullify,
        )
        .unwrap();
        toml
    }
}

/// A pipeline whose feed is loaded into one table with a key.
#[derive(Debug, Clone)]
struct Load {
    keys: Vec<&'static str>,
    /// Whether the feed declares the key, of its own columns then.
    is_declared: bool,
    expressions: Vec<&'static str>,
    filter: &'static str,
    nullify: Vec<&'static str>,
    /// Whether there is another feed, which makes groups.
    has_groups: bool,
}

fn loads() -> impl Strategy<Value = Load> {
    (
        subsequence(items(LOAD_KEYS), 1..4).prop_shuffle(),
        prop::bool::weighted(0.2),
        subsequence(
            items(EXPRESSIONS).into_iter().filter(|item| !items(LOAD_KEYS).contains(item)).collect::<Vec<_>>(),
            0..3,
        ),
        prop_oneof![Just("TRUE"), select(items(FILTERS))],
        subsequence(vec!["d", "f", "dd", "ts"], 0..3),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(keys, is_declared, expressions, filter, nullify, has_groups)| Load {
            keys,
            is_declared,
            expressions,
            filter,
            nullify,
            has_groups,
        })
}

impl Load {
    fn to_toml(&self, files: &[String]) -> String {
        // The rows of a load have no expression twice. This one tells which of the rows with a key was the first.
        let mut columns = vec!["concat(CAST(i AS TEXT), '/', t, '/', CAST(ts AS TEXT)) AS who".to_owned()];
        columns.extend(self.expressions.iter().enumerate().map(|(place, item)| format!("{item} AS e{place}")));
        let mut key: Vec<String> = Vec::new();
        let mut declared = "";
        if self.is_declared {
            declared = ", PRIMARY KEY (t, b)";
            columns.extend(["t".to_owned(), "b".to_owned()]);
        } else {
            for (place, item) in self.keys.iter().enumerate() {
                columns.insert(place, format!("{item} AS k{place}"));
                // Not in the order of the columns.
                key.insert(0, format!("k{place}"));
            }
        }
        let columns = columns.join(", ");
        let groups = format!(
            r#"
[feed.other]
files = {files:?}
columns = """{DECLARATION}"""
[table.of_groups]
sql = "SELECT b, count(*) AS n FROM other GROUP BY b"
"#
        );
        format!(
            r#"{groups}
[feed.feed]
files = {files:?}
columns = """{DECLARATION}{declared}"""
nullify = {nullify:?}
null = ["", "NA"]
[feed.feed.count]
dateless = "dd IS NULL"
big = "i * i > 5"
[lookup.look]
file = "look.csv"
columns = "t TEXT PRIMARY KEY, label TEXT, weight INTEGER, since DATE"
[table.loaded]
primary_key = {key:?}
sql = """SELECT {columns} FROM feed LEFT JOIN look USING (t) WHERE {filter}"""
[table.chained]
sql = "SELECT substr(who, 1, 1) AS sign, count(*) AS n, max(who) AS last FROM loaded GROUP BY 1"
"#,
            groups = if self.has_groups { groups.as_str() } else { "" },
            nullify = self.nullify,
            filter = self.filter,
        )
    }
}

#[derive(Debug, Clone, Copy)]
enum Packing {
    Plain,
    Gzip,
    Zip,
}

/// Writes the feeds as files, or as members of one archive, and returns the names to put into the pipeline.
fn write(folder: &Folder, feeds: &[Feed], packing: Packing) -> Vec<String> {
    let texts: Vec<Vec<u8>> = feeds.iter().map(Feed::to_bytes).collect();
    let names: Vec<String> = (0..texts.len()).map(|number| format!("{number}.csv")).collect();
    match packing {
        Packing::Plain => texts.iter().zip(&names).for_each(|(text, name)| drop(folder.write(name, text))),
        Packing::Gzip => texts.iter().zip(&names).for_each(|(text, name)| drop(folder.write(name, gzip(text)))),
        Packing::Zip => {
            let members: Vec<(&str, &[u8])> =
                names.iter().map(String::as_str).zip(texts.iter().map(Vec::as_slice)).collect();
            folder.write("feed.zip", zip_of(&members));
            return vec!["feed.zip".to_owned()];
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engines_agree(
        pipeline in pipelines(),
        feeds in prop::collection::vec(feeds(50), 1..4),
        packing in select(vec![Packing::Plain, Packing::Gzip, Packing::Zip]),
        block_bytes in select(vec![1, 2, 13, 64, 300, 4096, 1 << 18]),
        threads in 1usize..9,
        max_record_bytes in select(vec![24, 60, 1024, 1 << 20]),
        group_bytes in select(vec![None, Some(0), Some(700), Some(20_000)]),
        memory_limit_bytes in select(vec![16_000_000, 256_000_000]),
    ) {
        let folder = Folder::new();
        folder.write("look.csv", LOOKUP);
        let mut plan = folder.plan(&pipeline.to_toml(&write(&folder, &feeds, packing)));
        plan.feeds[0].dialect.max_record_bytes = max_record_bytes;
        let options = Options { threads, block_bytes, group_bytes, memory_limit_bytes, ..Options::default() };
        let verdict = verify(&plan, &options, folder.path("").as_path(), &mut |_| ()).unwrap();
        prop_assert!(verdict.differences.is_empty(), "{}", verdict.differences.join("\n"));
        prop_assert!(verdict.figures.feeds.iter().all(|feed| feed.is_conserved()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engines_agree_on_duplicates(
        load in loads(),
        feeds in prop::collection::vec(feeds(50), 1..4),
        packing in select(vec![Packing::Plain, Packing::Gzip, Packing::Zip]),
        block_bytes in select(vec![1, 13, 64, 300, 4096, 1 << 18]),
        threads in 1usize..5,
        batch_rows in select(vec![20, 50, 1_000_000]),
    ) {
        let folder = Folder::new();
        folder.write("look.csv", LOOKUP);
        let plan = folder.plan(&load.to_toml(&write(&folder, &feeds, packing)));
        prop_assert!(plan.feeds.iter().any(|feed| feed.load.is_some()));
        let options = Options { threads, block_bytes, batch_rows, ..Options::default() };
        let verdict = verify(&plan, &options, folder.path("").as_path(), &mut |_| ()).unwrap();
        prop_assert!(verdict.differences.is_empty(), "{}", verdict.differences.join("\n"));
        prop_assert!(verdict.figures.feeds.iter().all(|feed| feed.is_conserved()));
        let loaded = &verdict.figures.feeds[0];
        prop_assert_eq!(verdict.figures.rejected() + loaded.duplicate, verdict.rejects);
        prop_assert!(verdict.tables.contains(&("loaded".to_owned(), loaded.loaded)));
    }
}

/// Texts that an expression takes over from the block keep the block alive until the worker's next one.
#[test]
fn blocks_that_workers_hold_on_to_do_not_stop_the_reader() {
    let folder = Folder::new();
    folder.write("look.csv", LOOKUP);
    let rows: String = (0..500).map(|row| format!("{row},text {row}\n")).collect();
    folder.write("feed.csv", format!("i,t\n{rows}"));
    let plan = folder.plan(
        r#"
[feed.feed]
files = ["feed.csv"]
columns = "i INTEGER, t TEXT"
[table.of_rows]
sql = "SELECT coalesce(t, '?') AS a, CASE WHEN i > 5 THEN t END AS b FROM feed"
"#,
    );
    let options = Options { threads: 3, block_bytes: 1, ..Options::default() };
    let verdict = verify(&plan, &options, folder.path("").as_path(), &mut |_| ()).unwrap();
    assert_eq!((verdict.tables, verdict.differences), (vec![("of_rows".to_owned(), 500)], Vec::new()));
}
