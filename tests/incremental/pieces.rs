//! Content of any kind that grows at any byte: after each piece, tables and figures are those of a full run.

use std::fs;

use feedmill::run::{FeedFigures, Figures, Options};
use proptest::prelude::*;

use crate::common::{Folder, gzip, rows, zip_of};

/// Every aggregate, and tables of every kind: with and without keys, windows, HAVING, ORDER BY, LIMIT and groups.
const EVERYTHING: &str = r#"
[feed.f]
files = ["in.csv"]
columns = "k TEXT, d DATE, n INTEGER CHECK (n < 90), x DOUBLE, m DECIMAL(9,2), t TIMESTAMP, b BOOLEAN"
nullify = ["d"]

[feed.f.count]
long = "length(k) > 1"

[incremental]
feed = "f"
mode = "append"

[table.plain]
primary_key = ["k", "b"]
sql = """SELECT k, b, count(*) AS c, count(n) AS cn, count(DISTINCT m) AS cm, count(DISTINCT k) AS ck, sum(n) AS sn, sum(x) AS sx,
avg(m) AS am, min(k) AS nk, max(t) AS mt, min(x) AS nx, stddev_pop(x) AS dx, stddev_samp(n) AS dn, median(m) AS mm,
median_gap(d) AS mg, stddev_gap(d) AS sg FROM f GROUP BY k, b"""

[table.keyless]
sql = "SELECT d, sum(m) AS s FROM f WHERE n IS NULL OR n > 0 GROUP BY d"

[table.one]
sql = "SELECT count(*) AS c, sum(x) AS s FROM f"

[table.shares]
primary_key = ["k", "d"]
sql = """SELECT k, d, sum(n) AS s, count(*) * 1.0 / sum(count(*)) OVER (PARTITION BY k) AS share,
rank() OVER (PARTITION BY k ORDER BY count(*) DESC, d) AS r FROM f GROUP BY d, k HAVING count(*) < 4"""

[table.ranks]
primary_key = ["n"]
sql = "SELECT n, count(*) AS c, dense_rank() OVER (ORDER BY count(*)) AS r FROM f GROUP BY n"

[table.top]
sql = "SELECT k, count(*) AS c FROM f GROUP BY k ORDER BY c DESC, k LIMIT 2"

[table.again]
sql = "SELECT count(*) AS groups, sum(c) AS rows FROM plain"
"#;

const TABLES: [&str; 7] = ["plain", "keyless", "one", "shares", "ranks", "top", "again"];

const HEADER: &str = "k,d,n,x,m,t,b\n";

fn field(column: usize) -> &'static [&'static str] {
    match column {
        0 => &["a", "b", "ab", "", "\"a\"", "\"x\ny\"", "\"", "a\"b"],
        1 => &["2026-01-01", "2026-01-03", "2026-02-01", "", "never"],
        2 => &["1", "2", "-5", "", "95", "7x"],
        3 => &["0.1", "1e300", "-1e300", "-0.0", "", "2.5"],
        4 => &["1.10", "0.01", "", "-3"],
        5 => &["2026-01-01 10:00:00", "", "2026-01-01T11:00:00.5"],
        _ => &["true", "false", "", "0"],
    }
}

fn line() -> impl Strategy<Value = String> {
    let fields: Vec<_> = (0..7).map(|column| prop::sample::select(field(column))).collect();
    let end = prop_oneof![20 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just(",\n"), 1 => Just("\r")];
    (fields, end).prop_map(|(fields, end)| fields.join(",") + end)
}

/// Everything that two runs of the same content have in common.
fn outcome(folder: &Folder, figures: &Figures) -> (Vec<Vec<String>>, FeedFigures) {
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let table = |name: &&str| {
        let mut rows: Vec<String> =
            rows(&database, &format!("SELECT * FROM {name}")).into_iter().map(|row| row.join(", ")).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows(&database, "PRAGMA integrity_check"), [["'ok'"]]);
    let feed = FeedFigures { inputs: Vec::new(), increment: None, bytes_read: 0, ..figures.feeds[0].clone() };
    (TABLES.iter().map(table).collect(), feed)
}

fn options(threads: usize, block_bytes: usize) -> Options {
    Options { threads, block_bytes, ..Options::default() }
}

/// How the content lies on the disk.
#[derive(Debug, Clone, Copy)]
enum Packed {
    Plain,
    Gzip,
    Zip,
}

impl Packed {
    fn pack(self, content: &[u8]) -> Vec<u8> {
        match self {
            Packed::Plain => content.to_vec(),
            Packed::Gzip => gzip(content),
            Packed::Zip => zip_of(&[("in.csv", content)]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_grows_is_what_a_full_run_makes_of_it(
        lines in prop::collection::vec(line(), 0..30),
        pieces in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<bool>(),
             prop::sample::select(&[Packed::Plain, Packed::Plain, Packed::Gzip, Packed::Zip][..])), 1..5),
        threads in 1..9usize,
        block_bytes in 16..300usize,
    ) {
        let content = [HEADER, &lines.concat()].concat();
        let ends: Vec<usize> =
            std::iter::once(HEADER.len()).chain(content.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let folder = Folder::new();
        let mut cuts: Vec<(usize, Packed)> = pieces
            .iter()
            .map(|(at, is_line, packed)| {
                // At the end of a line, which is where files usually end, or anywhere.
                let cut = if *is_line { ends[at.index(ends.len())] } else { HEADER.len() + at.index(content.len() + 1 - HEADER.len()) };
                (cut, *packed)
            })
            .collect();
        cuts.sort_by_key(|(cut, _)| *cut);
        cuts.push((content.len(), Packed::Plain));
        let plan = folder.plan(EVERYTHING);
        for (cut, packed) in cuts {
            let bytes = packed.pack(&content.as_bytes()[..cut]);
            folder.write("in.csv", &bytes);
            let figures = folder.run(&plan, &options(threads, block_bytes)).unwrap();
            let full = Folder::new();
            let full_plan = full.plan(EVERYTHING);
            full.write("in.csv", &bytes);
            let full_figures = full.run(&full_plan, &options(1, 1 << 16)).unwrap();
            let (left, right) = (outcome(&folder, &figures), outcome(&full, &full_figures));
            prop_assert_eq!(left, right, "up to byte {} of {:?}", cut, content);
        }
    }
}

#[test]
fn pieces_that_end_with_lines_are_all_that_is_read() {
    let folder = Folder::new();
    let plan = folder.plan(EVERYTHING);
    let line =
        |number: usize| format!("{},2026-01-{:02},{},0.5,1.25,,true\n", number % 7, number % 28 + 1, number % 50);
    let content: String = std::iter::once(HEADER.to_owned()).chain((0..900).map(line)).collect();
    let mut before = 0;
    for (count, packed) in [(300, Packed::Plain), (301, Packed::Zip), (700, Packed::Gzip), (900, Packed::Plain)] {
        let cut = content.match_indices('\n').nth(count).unwrap().0 + 1;
        folder.write("in.csv", packed.pack(&content.as_bytes()[..cut]));
        let figures = folder.run(&plan, &Options::default()).unwrap();
        let increment = figures.feeds[0].increment.clone().unwrap();
        assert_eq!((increment.why_full, increment.known_records), (None, before), "{count}");
        assert_eq!(figures.feeds[0].read, count as u64);
        before = count as u64;
    }
    let letters = fs::read(folder.errors()).unwrap_or_default();
    assert!(letters.is_empty());
}
