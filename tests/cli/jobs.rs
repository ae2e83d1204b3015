//! The commands on sound pipelines: what they do and what they show. Damaged inputs are elsewhere.

use insta::assert_snapshot;
use serde_json::Value;

use crate::workdir::{THREE, Workdir};

/// The shipped pipeline with a small feed of its own.
fn transactions() -> Workdir {
    let dir = Workdir::new();
    let small = "--clients 1 --days 2 --base-rows 2000 --daily-rows 500 --skus 100";
    dir.feedmill(&format!("generate transactions --out data {small}")).succeeds();
    let preset = dir.feedmill("init --preset transactions").succeeds().stdout;
    dir.put("transactions.toml", preset)
}

const RUN: &str = "run transactions.toml data/client_1/transactions_day_2.zip --dir data --db sales.db";

/// What differs between two runs of the same work: seconds, rates, memory and threads.
fn without_figures(text: &str) -> String {
    let figures = [
        (r"[0-9,.]+ rows/s", "N rows/s"),
        (r"[0-9.]+ [kMG]?B/s", "N MB/s"),
        (r"\b[0-9.]+ s\b", "N s"),
        (r"\d+ threads?", "N threads"),
        (r"peak memory .*", "peak memory N"),
    ];
    figures.iter().fold(text.to_owned(), |text, (pattern, instead)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *instead).into_owned()
    })
}

#[test]
fn init_writes_the_preset() {
    let outcome = Workdir::new().feedmill("init --preset transactions").succeeds();
    assert_eq!(outcome.stdout, feedmill::presets::find("transactions").unwrap().text);
}

#[test]
fn generate_says_what_it_wrote_and_writes_the_same_again() {
    let dir = Workdir::new();
    let arguments = "generate transactions --clients 1 --days 2 --base-rows 50 --daily-rows 5 --skus 10 --plain";
    let outcome = dir.feedmill(&format!("{arguments} --out one")).succeeds();
    assert_snapshot!(without_figures(&outcome.stdout), @"4 files in one: 105 rows in all (55 different), 28.1 kB of text in 28.1 kB on disk, N s");
    let outcome = dir.feedmill(&format!("{arguments} --out two -q")).succeeds();
    assert_eq!(outcome.stdout, "");
    let day = "client_1/transactions_day_2.csv";
    assert_eq!(dir.read(&format!("one/{day}")).lines().count(), 1 + 55);
    assert_eq!(dir.read(&format!("one/{day}")), dir.read(&format!("two/{day}")));
    dir.feedmill("generate transactions --out one/client_1/transactions_day_1.csv").fails(1, &["cannot write"]);
}

#[test]
fn run_shows_a_summary() {
    let dir = transactions();
    let outcome = dir.feedmill(RUN).succeeds();
    assert_snapshot!("run_summary", without_figures(&outcome.stdout));
    assert_eq!(dir.query("sales.db", "SELECT sum(order_count) FROM processed_sales"), ["2500"]);
    assert!(!dir.has("errors.csv"));
    assert_eq!(dir.feedmill(&format!("{RUN} -q")).succeeds().stdout, "");
}

#[test]
fn sales_are_counted_as_generated_and_both_engines_agree() {
    let dir = Workdir::new().put("sales.toml", feedmill::presets::find("sales").unwrap().text);
    let outcome = dir.feedmill("generate sales --rows 20000 --malformed 0.03 --out data").succeeds();
    assert!(outcome.stdout.contains("(19,400 to load, 0 duplicate, 600 malformed)"), "{}", outcome.stdout);
    let outcome = dir.feedmill("run sales.toml --dir data --db sales.db --json").exits(3);
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let counts: Value = serde_json::from_str(&dir.read("data/sales.counts.json")).unwrap();
    let feed = &summary["feeds"]["sales"];
    assert_eq!((&feed["read"], &feed["loaded"]), (&counts["rows"], &counts["loaded"]));
    assert_eq!((&feed["rejected"], &feed["rejected_by_code"]), (&counts["rejected"], &counts["rejected_by_code"]));

    // What every table has of the orders, and whether it is sorted.
    for (table, order) in [
        ("sales_by_segment_month", "segment, month"),
        ("sales_by_product", "revenue DESC, product_id"),
        ("sales_by_store_day", "store_id, order_date"),
    ] {
        assert_eq!(dir.query("sales.db", &format!("SELECT sum(orders) FROM {table}")), ["19400"], "{table}");
        let places = format!("SELECT rowid, row_number() OVER (ORDER BY {order}) AS place FROM {table}");
        let moved = dir.query("sales.db", &format!("SELECT count(*) FROM ({places}) WHERE rowid <> place"));
        assert_eq!(moved, ["0"], "{table}");
    }
    let verified = dir.feedmill("verify sales.toml --dir data").succeeds().stdout;
    assert!(verified.contains("sales_by_product: ") && verified.ends_with("no difference\n"), "{verified}");
}

#[test]
fn spendsense_finds_every_persona_and_both_engines_agree() {
    let dir = Workdir::new().put("spendsense.toml", feedmill::presets::find("spendsense").unwrap().text);
    dir.feedmill("generate spendsense --users 150 --reference-date 2024-03-01 --out data").succeeds();
    let at = "--dir data --param reference_date=2024-03-01";
    dir.feedmill(&format!("run spendsense.toml {at} --db out.db")).succeeds();
    assert_eq!(
        dir.query("out.db", "SELECT DISTINCT persona FROM persona_assignments ORDER BY persona"),
        [
            "cash_flow_optimizer",
            "high_utilization",
            "irregular_income",
            "low_savings",
            "none",
            "subscription_heavy",
            "young_professional"
        ]
    );
    let windows = "SELECT window_days, count(*) FROM user_signals GROUP BY window_days";
    assert_eq!(dir.query("out.db", windows), ["30|150", "180|150"]);
    // Every persona is the first of those that match; where any does, there is evidence.
    let broken = "SELECT count(*) FROM persona_assignments WHERE coalesce(matched ->> 0, 'none') <> persona
                  OR (matched = '[]') <> (evidence = '{}') OR NOT json_valid(evidence)";
    assert_eq!(dir.query("out.db", broken), ["0"]);
    let verified = dir.feedmill(&format!("verify spendsense.toml {at}")).succeeds().stdout;
    assert!(verified.contains("persona_assignments: 150 rows") && verified.ends_with("no difference\n"), "{verified}");
}

#[test]
fn run_is_the_same_with_any_number_of_threads() {
    let dir = transactions();
    let content = |threads: u32| {
        dir.feedmill(&format!("{RUN} --threads {threads}")).succeeds();
        dir.query("sales.db", "SELECT * FROM processed_sales ORDER BY rowid")
    };
    let one = content(1);
    assert!(one.len() > 100);
    assert_eq!(content(3), one);
}

#[test]
fn the_json_summary_has_the_documented_fields() {
    let dir = transactions();
    let outcome = dir.feedmill(&format!("{RUN} --json --summary summary.json")).succeeds();
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let written: Value = serde_json::from_str(&dir.read("summary.json")).unwrap();
    assert_eq!(printed, written);

    let fields = |value: &Value| value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(
        fields(&printed),
        "dead_letters elapsed_seconds feeds memory_limit_bytes peak_rss_bytes stages status tables threads"
    );
    let feed = &printed["feeds"]["transactions"];
    assert_eq!(
        fields(feed),
        "bytes_read counters duplicate filtered groups_spilled inputs interrupted_at known loaded nullified read rejected \
         rejected_by_code resumed skipped"
    );
    assert_eq!(fields(&printed["stages"]), "compute merge publish read sequence verify write");
    assert_eq!(fields(&printed["feeds"]), "transactions");
    assert_eq!(fields(&printed["tables"]), "processed_sales");
    assert_eq!(fields(&printed["tables"]["processed_sales"]), "rows temporary");

    assert_eq!(printed["status"], "ok");
    assert_eq!(printed["dead_letters"], Value::Null);
    assert_eq!(printed["memory_limit_bytes"], 256_000_000);
    assert!(printed["threads"].as_u64().unwrap() > 0 && printed["elapsed_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(feed["inputs"], serde_json::json!(["data/client_1/transactions_day_2.zip"]));
    assert_eq!((&feed["read"], &feed["loaded"]), (&2500.into(), &2500.into()));
    assert_eq!((&feed["duplicate"], &feed["resumed"], &feed["interrupted_at"]), (&0.into(), &0.into(), &Value::Null));
    assert_eq!(feed["rejected_by_code"], serde_json::json!({}));
    assert_eq!(fields(&feed["counters"]), "early_maturity missing_maturity unknown_zip");
    assert_eq!(feed["nullified"], serde_json::json!({ "maturity_date": 0 }));
    let rows = dir.query("sales.db", "SELECT count(*) FROM processed_sales");
    assert_eq!(printed["tables"]["processed_sales"]["rows"].to_string(), rows[0]);
}

#[test]
fn the_json_summary_tells_of_rejects() {
    let dir =
        Workdir::with_sales("id,day,item,price\n1,,tea,1.50\nx,,tea,1.50\n2,,,1.50\n3,,tea,-1\n4,yesterday,tea,1\n");
    let outcome = dir.run_sales("--json").exits(3);
    assert_eq!(outcome.stderr, "");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&summary["status"], &summary["dead_letters"]), (&"rejects".into(), &"errors.csv".into()));
    let feed = &summary["feeds"]["sales"];
    let count = |name: &str| feed[name].as_u64().unwrap();
    assert_eq!([count("read"), count("loaded"), count("filtered"), count("rejected")], [5, 1, 0, 4]);
    let by_code = serde_json::json!({ "check_failed": 1, "invalid_date": 1, "invalid_integer": 1, "null_value": 1 });
    assert_eq!(feed["rejected_by_code"], by_code);
}

#[test]
fn what_is_filtered_nullified_and_counted_is_told() {
    let pipeline = crate::workdir::SALES
        .replace("[table.sold]", "nullify = [\"day\"]\n[feed.sales.count]\ncheap = \"price < 1\"\n[table.sold]")
        .replace("FROM sales", "FROM sales WHERE item <> 'milk'");
    let dir = Workdir::with_sales(THREE.replace("2026-01-01", "soon")).put("sales.toml", pipeline);
    let outcome = dir.run_sales("").succeeds();
    assert_snapshot!(without_figures(&outcome.stdout), @"
    sales  3 records read (70 B of text): N rows/s, N MB/s
      3 read = 2 loaded + 0 duplicate + 1 filtered + 0 rejected
      invalid values made NULL: day 1
      counted: cheap 1
    sold  2 rows into out.db

    N s with N threads  peak memory N
    stages: read N s, compute N s, sequence N s, merge N s, write N s, publish N s (read and compute run side by side)
    ");
    assert_eq!(dir.query("out.db", "SELECT id, day FROM sold"), ["1|NULL", "3|NULL"]);
}

#[test]
fn demo_needs_nothing_and_keeps_nothing_unless_told() {
    let dir = Workdir::new();
    let outcome = dir.feedmill("demo").succeeds();
    for words in ["120,000 records read", "Top 5 SKU groups by revenue", "feedmill run transactions.toml"] {
        assert!(outcome.stdout.contains(words), "no `{words}` in {outcome:#?}");
    }
    assert!(dir.names().is_empty());

    assert_eq!(dir.feedmill("demo --keep kept -q").succeeds().stdout, "");
    for name in ["transactions.toml", "sales.db", "client_1/transactions_day_3.zip", "static/sku_groups.csv"] {
        assert!(dir.has(&format!("kept/{name}")), "{name}");
    }
    assert_eq!(dir.query("kept/sales.db", "SELECT sum(order_count) FROM processed_sales"), ["120000"]);
}

#[test]
fn check_names_what_is_not_read_and_what_would_be_rejected() {
    let sales = "shop,price,item,id,day,note\nn,1.50,tea,1,,\nn,1.50,tea,x,,\n";
    let dir = Workdir::with_sales(sales);
    let outcome = dir.feedmill("check sales.toml").succeeds();
    assert_snapshot!(outcome.stdout, @"
    sales.toml: the pipeline is sound
    sales.csv: has the 4 columns of `sales`; not declared, so not read: shop, note
    sales: of the first 2 records, 1 record would be rejected (invalid_integer 1)
    sold: 1 row from this sample
    ");
    assert_eq!(dir.names(), ["sales.csv", "sales.toml"]);

    dir.write("sales.toml", crate::workdir::SALES.replace("id, day", "id / 2 AS half, day"));
    let outcome = dir.feedmill("check sales.toml").exits(0);
    assert_snapshot!(outcome.stderr, @r#"
     x INTEGER / INTEGER drops the fraction, as in SQLite
       ,-[sales.toml:12:15]
    11 | [table.sold]
    12 | sql = "SELECT id / 2 AS half, day, item, price FROM sales"
       :               ^^^^^^
       `----
     help: CAST(... AS DOUBLE) one side to keep it
    "#);
    assert_eq!(dir.feedmill("check sales.toml -q").succeeds().stderr, "");
    dir.write("sales.csv", "id,day,item,prise\n");
    dir.feedmill("check sales.toml").fails(1, &["lacks the declared column `price`", "did you mean `prise`?"]);
}

const CHAIN: &str = r#"
[params]
least = 2

[feed.sales]
files = ["sales.csv"]
columns = "id INTEGER NOT NULL, day DATE, item TEXT, price DECIMAL(8,2) CHECK (price >= 0), note TEXT"

[feed.sales.derive]
month = "date_trunc('month', day)"

[lookup.items]
file = "items.csv"
columns = "item TEXT PRIMARY KEY, kind TEXT"

[table.kinds]
primary_key = ["month", "kind"]
sql = """
SELECT month, coalesce(kind, 'other') AS kind, sum(price) AS revenue, count(*) FILTER (WHERE price > 1) AS dear
FROM sales LEFT JOIN items USING (item)
WHERE id >= $least
GROUP BY 1, 2
HAVING count(*) > 0
ORDER BY revenue DESC
"""

[table.best]
sql = "SELECT month, max(revenue) AS revenue FROM kinds GROUP BY month"
"#;

fn chain() -> Workdir {
    let sales = "id,day,item,price,note\n1,2026-01-01,tea,1,\n2,2026-01-03,tea,1.50,\n3,2026-02-01,pie,0.80,\nx,,,,\n";
    Workdir::new().put("p.toml", CHAIN).put("sales.csv", sales).put("items.csv", "item,kind\ntea,drink\n")
}

#[test]
fn explain_shows_who_runs_what() {
    let dir = chain();
    std::fs::remove_file(dir.path("sales.csv")).unwrap();
    let outcome = dir.feedmill("explain p.toml").succeeds();
    assert_snapshot!("explain", outcome.stdout);
}

#[test]
fn verify_finds_no_difference() {
    let dir = chain();
    let outcome = dir.feedmill("verify p.toml").succeeds();
    assert_snapshot!(outcome.stdout, @"
    sales: 4 records by both engines
    kinds: 2 rows compared
    best: 2 rows compared
    1 dead letter compared
    no difference
    ");
    assert_eq!(dir.names(), ["items.csv", "p.toml", "sales.csv"]);

    let outcome = dir.feedmill("verify p.toml --sample 2").succeeds();
    assert!(outcome.stdout.contains("sales: 2 records") && outcome.stdout.ends_with("no difference\n"), "{outcome:#?}");
}
