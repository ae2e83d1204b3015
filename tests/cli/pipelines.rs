//! Pipeline files that are wrong or ask for what is not supported: exit code 2, the place underlined, and what to write
//! instead. Which SQL is right is the business of the tests beside the planner.

use insta::assert_snapshot;

use crate::workdir::Workdir;

const PIPELINE: &str = r#"[params]
shop = "north"

[feed.sales]
files = ["sales.csv"]
columns = """
  id    INTEGER NOT NULL,
  day   DATE,
  item  TEXT,
  price DECIMAL(8,2)
"""

[feed.returns]
files = ["returns.csv"]
columns = "id INTEGER, item TEXT"

[lookup.items]
file = "items.csv"
columns = "item TEXT PRIMARY KEY, kind TEXT"

[table.days]
sql = """
SELECT day, $shop AS shop, sum(price) AS revenue
FROM sales
GROUP BY day
"""

[table.best]
sql = "SELECT max(revenue) AS revenue FROM days"
"#;

/// What is wrong, the text of `PIPELINE` that is replaced, and by what.
const MISTAKES: [(&str, &str, &str); 27] = [
    ("no TOML", "[params]", "[params"),
    ("unknown key", "files = [\"sales.csv\"]", "filez = [\"sales.csv\"]"),
    ("unknown section", "[lookup.items]", "[lookups.items]"),
    ("missing key", "columns = \"id INTEGER, item TEXT\"", ""),
    ("wrong type of a key", "files = [\"returns.csv\"]", "files = \"returns.csv\""),
    ("one name for two things", "[table.best]", "[table.items]"),
    ("unknown column", "sum(price)", "sum(prise)"),
    ("unknown type", "item  TEXT", "item  VARTEXT"),
    ("unknown function", "sum(price)", "sum(abz(price))"),
    ("function of another database", "sum(price)", "sum(ifnull(price, 0))"),
    ("type mismatch", "sum(price)", "sum(price + item)"),
    ("sum of a text", "sum(price)", "sum(item)"),
    ("neither grouped nor aggregated", "SELECT day,", "SELECT day, item,"),
    ("UNION over a feed", "GROUP BY day", "GROUP BY day UNION SELECT item, '', 1 FROM sales"),
    ("WITH over a feed", "SELECT day, $shop", "WITH s AS (SELECT * FROM sales) SELECT day, $shop"),
    ("sub-SELECT of a feed", "FROM sales\n", "FROM (SELECT * FROM sales)\n"),
    ("two feeds joined", "FROM sales\n", "FROM sales JOIN returns USING (id)\n"),
    ("lookup joined by another column", "FROM sales\n", "FROM sales LEFT JOIN items ON items.kind = sales.item\n"),
    ("PRIMARY KEY of a feed", "id    INTEGER NOT NULL", "id    INTEGER PRIMARY KEY"),
    ("unknown parameter", "$shop AS", "$shops AS"),
    ("unknown relation", "FROM sales\n", "FROM sale\n"),
    ("SQL syntax", "GROUP BY day", "GROUP day"),
    ("two statements", "FROM days", "FROM days; SELECT 1"),
    ("tables in a circle", "FROM sales\n", "FROM best\n"),
    ("missing column of a table", "max(revenue)", "max(turnover)"),
    ("unknown regular expression syntax", "sum(price)", "count(regexp_extract(item, '(a', 1))"),
    ("primary key of no column", "[table.best]", "[table.best]\nprimary_key = [\"day\"]"),
];

fn workdir(pipeline: &str) -> Workdir {
    Workdir::new()
        .put("p.toml", pipeline)
        .put("sales.csv", "id,day,item,price\n1,2026-01-01,tea,1.50\n")
        .put("returns.csv", "id,item\n1,tea\n")
        .put("items.csv", "item,kind\ntea,drink\n")
}

#[test]
fn mistakes_are_underlined() {
    workdir(PIPELINE).feedmill("run p.toml --db out.db").succeeds();
    let mut said = String::new();
    for (mistake, right, wrong) in MISTAKES {
        assert_eq!(PIPELINE.matches(right).count(), 1, "{mistake}");
        let dir = workdir(&PIPELINE.replace(right, wrong));
        let before = dir.names();
        let outcome = dir.feedmill("run p.toml --db out.db").fails(2, &[]);
        assert_eq!(dir.names(), before, "{mistake}");
        said += &format!("## {mistake}\n{}\n", outcome.stderr);
    }
    assert_snapshot!("pipeline_mistakes", said);
}

#[test]
fn mistakes_of_the_command_line_are_named() {
    let cases: [(&str, &[&str]); 9] = [
        ("--param shops=south", &["--param shops: there is no such parameter", "did you mean `shop`?"]),
        ("--input item=items.csv", &["--input item: there is no feed or lookup", "did you mean `items`?"]),
        ("--input customers=c.csv", &["there are sales, returns, items"]),
        ("sales.csv", &["several feeds", "--input sales=PATH --input returns=PATH"]),
        ("--dir nowhere", &["nowhere/items.csv"]),
        ("--input items=nowhere.csv", &["nowhere.csv"]),
        ("--input items=sales.csv", &["sales.csv", "`kind`"]),
        ("--input sales=nowhere.csv", &["cannot find nowhere.csv"]),
        ("--input sales=sale.csv", &["cannot find sale.csv", "did you mean `sales.csv`?"]),
    ];
    let dir = workdir(PIPELINE);
    for (place, (arguments, words)) in cases.into_iter().enumerate() {
        let code = if place < 4 { 2 } else { 1 };
        dir.feedmill(&format!("run p.toml --db out.db {arguments}")).fails(code, words);
        assert!(!dir.has("out.db"), "{arguments}");
    }
    dir.feedmill("run q.toml --db out.db").fails(2, &["q.toml", "feedmill init --preset transactions"]);
}

#[test]
fn inputs_and_parameters_of_the_command_line_come_first() {
    let dir = workdir(PIPELINE).put("other/s.csv", "id,day,item,price\n1,2026-02-02,tea,9.00\n");
    dir.feedmill("run p.toml --db out.db --param shop=south --input sales=other/s.csv").succeeds();
    assert_eq!(dir.query("out.db", "SELECT * FROM days"), ["2026-02-02|south|9"]);
}

#[test]
fn colour_is_used_only_on_request() {
    let dir = workdir(&PIPELINE.replace("sum(price)", "sum(prise)"));
    let plain = dir.feedmill("check p.toml").exits(2).stderr;
    let coloured = dir.feedmill("check p.toml --color always").exits(2).stderr;
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b["), "{plain}{coloured}");
}
