//! What the command says of itself: help, version, wrong usage. Runs no pipeline.

use insta::assert_snapshot;

use crate::workdir::Workdir;

#[test]
fn every_command_has_help() {
    let commands = [
        "",
        "run",
        "check",
        "explain",
        "verify",
        "compare",
        "replay",
        "init",
        "generate",
        "generate transactions",
        "generate orders",
        "generate sales",
        "generate spendsense",
        "demo",
    ];
    for command in commands {
        let outcome = Workdir::new().feedmill(&format!("{command} --help")).succeeds();
        let name = if command.is_empty() { "feedmill".to_owned() } else { command.replace(' ', "_") };
        assert_snapshot!(format!("help_{name}"), outcome.stdout);
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    let outcome = Workdir::new().feedmill("--version").succeeds();
    assert_eq!(outcome.stdout, format!("feedmill {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_arguments_there_is_help_on_stderr() {
    let dir = Workdir::new();
    dir.feedmill("").fails(2, &["Usage: feedmill", "run Run a pipeline"]);
    dir.feedmill("generate").fails(2, &["Usage: feedmill generate"]);
}

#[test]
fn wrong_usage_is_refused_with_what_is_expected() {
    let cases: [(&str, &[&str]); 12] = [
        ("ruin", &["unrecognized subcommand 'ruin'", "'run'"]),
        ("run", &["--db", "<PIPELINE>"]),
        ("run sales.toml", &["--db <OUT.db>"]),
        ("run sales.toml --db out.db --thread 1", &["'--threads'"]),
        ("run sales.toml --db out.db --threads 0", &["1..=256"]),
        ("run sales.toml --db out.db --memory 5", &["the least is 64MB"]),
        ("run sales.toml --db out.db --memory lots", &["256MB or 1GiB"]),
        ("run sales.toml --db out.db --max-error-rate 2", &["a number from 0 to 1"]),
        ("run sales.toml --db out.db --param client", &["NAME=VALUE"]),
        ("run sales.toml --db out.db -q -v", &["cannot be used with"]),
        ("init --preset persons", &["there is no such pipeline", "there is: transactions"]),
        ("generate transactions --out data --start-date tomorrow", &["--start-date"]),
    ];
    let dir = Workdir::with_sales("");
    for (arguments, words) in cases {
        dir.feedmill(arguments).fails(2, words);
    }
    assert_eq!(dir.names(), ["sales.csv", "sales.toml"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut feedmill = std::process::Command::new(assert_cmd::cargo::cargo_bin!("feedmill"))
        .args(["init", "--preset", "transactions"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(feedmill.stdout.take());
    let output = feedmill.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
