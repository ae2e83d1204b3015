//! ORDER BY, whoever sees to it: the rows of a table lie in the order that SQLite gives them.

use feedmill::plan::Origin;
use feedmill::run::Options;
use rusqlite::Connection;

use crate::common::{Folder, rows};

/// A type, and values of it that are in no order; no text is NULL.
const VALUES: [(&str, [&str; 4]); 6] = [
    ("INTEGER", ["20", "", "-3", "7"]),
    ("DOUBLE", ["2", "-0.5", "1e300", ""]),
    ("DECIMAL(6,2)", ["10", "9.99", "", "-1.5"]),
    ("DATE", ["2024-02-29", "", "1969-12-31", "0001-01-01"]),
    ("BOOLEAN", ["1", "0", "", "1"]),
    ("TEXT", ["b", "B", "\u{e9}", ""]),
];

/// A primary key, an order, and whether the engine writes the rows in it.
const ORDERS: [(&str, &str, bool); 14] = [
    ("", "k, n", true),
    ("", "1, N ASC", true),
    ("", "k NULLS FIRST", true),
    ("", "n, k", false),
    ("", "k DESC, n", false),
    ("", "k, n NULLS LAST", false),
    ("", "hits DESC, k, n", false),
    ("", "lower(k), k, n", false),
    ("n, k", "n, K", true),
    ("n, k", "2, 1", true),
    ("n, k", "n", true),
    ("n, k", "k, n", false),
    ("n, k", "n, k DESC", false),
    ("n, k", "n, k, hits", false),
];

#[test]
fn rows_lie_in_the_order_of_their_select() {
    for (data_type, values) in VALUES {
        let folder = Folder::new();
        let keys = ["b", "", "a b", "B", "a"];
        let lines = (0..60).map(|row| format!("{},{},{row}\n", keys[row * 7 % 5], values[row * row % 11 % 4]));
        folder.write("f.csv", ["k,n,v\n".to_owned()].into_iter().chain(lines).collect::<String>());
        for (key, order, by_engine) in ORDERS {
            let select = "SELECT k, n, count(*) AS hits, sum(v) AS v FROM f GROUP BY k, n";
            let quoted: Vec<String> =
                key.split(", ").filter(|key| !key.is_empty()).map(|key| format!("{key:?}")).collect();
            let plan = folder.plan(&format!(
                "[feed.f]\nfiles = [\"f.csv\"]\ncolumns = \"k TEXT, n {data_type}, v INTEGER\"\n\
                 [table.t]\nprimary_key = [{}]\nsql = \"{select} ORDER BY {order}\"\n\
                 [table.all_rows]\nsql = \"SELECT k, n, v, count(*) AS hits FROM f GROUP BY k, n, v\"\n",
                quoted.join(", ")
            ));
            let what = format!("{data_type}, key ({key}), ORDER BY {order}");
            assert!(
                matches!(&plan.tables[0].origin, Origin::Feed { finish, .. } if finish.is_none() == by_engine),
                "{what}"
            );
            folder.run(&plan, &Options::default()).unwrap();
            let database = Connection::open(folder.database()).unwrap();
            let decided = if key.is_empty() { "k, n" } else { key };
            let select = select.replace("FROM f", "FROM all_rows");
            let expected = rows(&database, &format!("{select} ORDER BY {order}, {decided}"));
            assert_eq!(rows(&database, "SELECT * FROM t NOT INDEXED"), expected, "{what}");
        }
    }
}
