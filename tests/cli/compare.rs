//! `feedmill compare`: two ways to the same tables, each in processes of its own, and the report on them.

use crate::workdir::Workdir;

fn generated() -> Workdir {
    let dir = Workdir::new().put("p.toml", feedmill::presets::find("transactions").unwrap().text);
    dir.feedmill("generate transactions --out data -q --clients 1 --days 3 --base-rows 3000 --daily-rows 500")
        .succeeds();
    dir
}

const DAY: &str = "data/client_1/transactions_day_";

#[test]
fn the_report_has_conditions_times_counters_and_the_reports_of_the_pipeline() {
    let dir = generated();
    let command = format!(
        "compare p.toml --dir data --history {DAY}1.zip {DAY}2.zip --latest {DAY}3.zip --report results.md --keep dbs"
    );
    let outcome = dir.feedmill(&command).succeeds();
    for line in ["history: ", "no difference", "rows compared", "ratio"] {
        assert!(outcome.stdout.contains(line), "no {line} in {outcome:#?}");
    }
    let report = dir.read("results.md");
    assert!(report.is_ascii());
    for part in [
        "| client_id | client_1 |",
        "transactions_day_3.zip |",
        "| history | 2 files |",
        "| records of transactions | 4,000, of which 500 are new |",
        "| parity | identical |",
        "of processed_sales |",
        "| whole process, s |",
        "| peak memory, MB |",
        "| stage read, s |",
        "| transactions: read | 4,000 | 4,000 |",
        "| transactions: counted missing_maturity |",
        "## Top 5 SKU groups by revenue",
        "## California-local against non-local",
        "## Speed-up",
    ] {
        assert!(report.contains(part), "no {part} in\n{report}");
    }
    assert!(dir.has("dbs/incremental.db") && dir.has("dbs/full.db"));
    // The same folder once more.
    dir.feedmill(&format!("{command} --runs 1 -q")).succeeds();
}

#[test]
fn every_difference_is_listed_and_a_failure() {
    // A watermark without a lag misses rows that are late.
    let pipeline = "[feed.f]\nfiles = [\"a.csv\"]\ncolumns = \"day INTEGER NOT NULL, n INTEGER\"\n\
                    [incremental]\nfeed = \"f\"\nmode = \"watermark\"\ncolumn = \"day\"\n\
                    [table.t]\nprimary_key = [\"day\"]\nsql = \"SELECT day, sum(n) AS n FROM f GROUP BY day\"\n";
    let dir = Workdir::new().put("p.toml", pipeline);
    dir.write("a.csv", "day,n\n1,1\n2,2\n");
    dir.write("b.csv", "day,n\n1,1\n2,2\n3,3\n1,10\n2,20\n");
    let outcome = dir.feedmill("compare p.toml --history a.csv --latest b.csv --report r.md --runs 1").exits(1);
    for line in [
        "4 differences",
        "DIFFERENT: t: only in the incremental run, 1 times: 1, 1\n",
        "DIFFERENT: t: only in the full run, 1 times: 1, 11\n",
        "DIFFERENT: t: only in the full run, 1 times: 2, 22\n",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in {outcome:#?}");
    }
    assert!(dir.read("r.md").contains("NOT IDENTICAL: 4 differences"));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let dir = generated();
    let text = dir.read("p.toml");
    let without = text.replace("[incremental]\nfeed = \"transactions\"\nmode = \"append\"\n", "");
    assert_ne!(without, text);
    dir.write("without.toml", without);
    let command = format!("--dir data --history {DAY}1.zip --latest {DAY}2.zip");
    dir.feedmill(&format!("compare without.toml {command}")).fails(2, &["has no [incremental]"]);
    dir.feedmill(&format!("compare p.toml --dir data --history {DAY}1.zip --latest none.csv -q"))
        .fails(1, &["none.csv", "no such file"]);
}
