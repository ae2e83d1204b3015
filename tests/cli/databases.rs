//! Databases that cannot be written, or hold what is not feedmill's: refused, and unharmed.

use std::fs;

use rusqlite::Connection;

use crate::workdir::{SALES, THREE, Workdir};

#[test]
fn the_same_run_again_adds_nothing_and_other_inputs_need_a_mode() {
    let dir = Workdir::with_sales(THREE);
    dir.run_sales("").succeeds();
    let first = dir.query("out.db", "SELECT * FROM sold");
    assert_eq!(first, ["1|2026-01-01|tea|1.5", "2|2026-01-02|milk|0.8", "3|NULL|cake|3"]);
    let again = dir.run_sales("").succeeds();
    assert!(again.stdout.contains("nothing to add: sales.csv is loaded already"), "{again:#?}");
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), first);

    let more = [&first[..], &["9|NULL|pie|4".to_owned()]].concat();
    dir.write("more.csv", "id,day,item,price\n9,,pie,4.00\n");
    dir.run_sales("more.csv").fails(1, &["`sold` is there already", "--mode append", "replace", "upsert"]);
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), first);
    dir.run_sales("--mode append more.csv").succeeds();
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), more);

    dir.write("sales.csv", "id,day,item,price\n7,,jam,2.00\n");
    dir.run_sales("").fails(1, &["1 of the inputs", "`sold`", "changed", "--mode append", "replace", "upsert"]);
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), more);
    dir.run_sales("--mode replace").succeeds();
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), ["7|NULL|jam|2"]);

    dir.write("sales.toml", SALES.replace("FROM sales", "FROM sales WHERE id > 0"));
    dir.run_sales("").fails(1, &["`sold`", "another version of this pipeline", "--mode append"]);
    assert_eq!(dir.sold(), "7");
}

#[test]
fn a_table_of_somebody_else_is_replaced_only_on_request() {
    let dir = Workdir::with_sales(THREE);
    let theirs = Connection::open(dir.path("out.db")).unwrap();
    theirs.execute_batch("CREATE TABLE sold (mine TEXT); INSERT INTO sold VALUES ('precious')").unwrap();
    drop(theirs);
    let before = fs::read(dir.path("out.db")).unwrap();
    dir.run_sales("").fails(1, &["there is a table `sold` in out.db already", "--mode", "replace drops it"]);
    assert_eq!(dir.query("out.db", "SELECT * FROM sold"), ["precious"]);
    assert_eq!(dir.query("out.db", "SELECT name FROM sqlite_schema"), ["sold"]);
    assert!(fs::read(dir.path("out.db")).unwrap() == before, "the database was written to");

    dir.run_sales("--mode replace").succeeds();
    assert_eq!(dir.sold(), "1 2 3");
}

#[test]
fn other_tables_of_the_database_stay() {
    let dir = Workdir::with_sales(THREE);
    let theirs = Connection::open(dir.path("out.db")).unwrap();
    theirs.execute_batch("CREATE TABLE other (a); INSERT INTO other VALUES (7)").unwrap();
    drop(theirs);
    dir.run_sales("").succeeds();
    assert_eq!(dir.query("out.db", "SELECT * FROM other"), ["7"]);
    assert_eq!(dir.sold(), "1 2 3");
}

#[test]
fn a_locked_database_is_said_to_be_locked() {
    let dir = Workdir::with_sales(THREE);
    dir.run_sales("").succeeds();
    let holder = Connection::open(dir.path("out.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    dir.write("sales.csv", "id,day,item,price\n9,,pie,4.00\n");
    dir.run_sales("").fails(1, &["out.db", "locked"]);
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(dir.sold(), "1 2 3");
}

#[test]
fn paths_that_can_be_no_database_are_refused() {
    let dir = Workdir::with_sales(THREE).put("text.db", "this is a letter to a friend, not a database\n".repeat(99));
    fs::create_dir(dir.path("folder.db")).unwrap();
    let cases: [(&str, &[&str]); 4] = [
        ("nowhere/out.db", &["nowhere/out.db", "directory"]),
        ("folder.db", &["folder.db", "directory"]),
        ("text.db", &["text.db", "not a SQLite database"]),
        ("sales.csv", &["sales.csv", "not a SQLite database"]),
    ];
    let before = dir.names();
    for (path, words) in cases {
        dir.feedmill(&format!("run sales.toml --db {path}")).fails(1, words);
    }
    assert_eq!(dir.names(), before);
    assert_eq!(dir.read("sales.csv"), THREE);
}

#[cfg(unix)]
#[test]
fn a_database_that_nobody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let dir = Workdir::with_sales(THREE);
    dir.run_sales("").succeeds();
    let path = dir.path("out.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // The superuser may write whatever the permissions say.
        return;
    }
    dir.run_sales("").fails(1, &["out.db", "read-only"]);
}

#[test]
fn a_failed_run_leaves_no_database_or_the_old_one() {
    let bad = "id,day,item,price\n1,,tea,1.00\nx,,tea,1.00\n";
    let cases: [(&str, &str, i32); 4] =
        [("id,day,item\n", "", 1), ("", "", 1), (bad, "--max-errors 0", 4), (bad, "--max-error-rate 0.4", 4)];
    for (sales, arguments, code) in cases {
        let dir = Workdir::with_sales(sales);
        dir.run_sales(arguments).exits(code);
        assert_eq!(dir.names(), ["sales.csv", "sales.toml"], "{arguments}");

        dir.write("sales.csv", THREE);
        dir.run_sales("").succeeds();
        let before = fs::read(dir.path("out.db")).unwrap();
        dir.write("sales.csv", sales);
        for mode in ["replace", "append", "create"] {
            let code = if mode == "create" { 1 } else { code };
            dir.run_sales(&format!("--mode {mode} {arguments}")).exits(code);
            assert_eq!(dir.names(), ["out.db", "sales.csv", "sales.toml"], "{mode} {arguments}");
            assert!(fs::read(dir.path("out.db")).unwrap() == before, "the database has changed: {mode} {arguments}");
        }
    }
}

#[test]
fn a_dead_letter_file_of_somebody_else_is_not_overwritten() {
    let dir = Workdir::with_sales("id,day,item,price\nx,,tea,1.00\n").put("errors.csv", "my,own\nnotes,1\n");
    dir.run_sales("").fails(1, &["errors.csv"]);
    assert_eq!(dir.read("errors.csv"), "my,own\nnotes,1\n");
    assert!(!dir.has("out.db"));
    dir.run_sales("--errors nowhere/errors.csv").fails(1, &["nowhere", "create the directory first"]);
    dir.run_sales("--errors letters.csv").exits(3);
    assert!(dir.has("letters.csv"));
}

#[test]
fn a_database_is_checked_on_request() {
    let dir = Workdir::with_sales(THREE);
    dir.run_sales("--check-database").succeeds();
    dir.run_sales("--check-database --mode replace").succeeds();
    assert_eq!(dir.sold(), "1 2 3");
}

#[test]
fn what_the_check_finds_damaged_is_told() {
    let dir = Workdir::with_sales(THREE);
    let theirs = Connection::open(dir.path("out.db")).unwrap();
    let rows =
        "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 5000) SELECT n, 'row ' || n";
    let table = format!("PRAGMA page_size = 4096; CREATE TABLE other (a, b); INSERT INTO other {rows} FROM n");
    theirs.execute_batch(&table).unwrap();
    let root: u32 = theirs.query_row("SELECT rootpage FROM sqlite_schema", (), |row| row.get(0)).unwrap();
    drop(theirs);
    // The page behind the root is a leaf; the places of its first cells.
    let leaf = root as usize * 4096;
    let mut bytes = fs::read(dir.path("out.db")).unwrap();
    bytes[leaf + 8..leaf + 40].fill(0);
    fs::write(dir.path("out.db"), bytes).unwrap();

    dir.run_sales("--check-database").fails(1, &["out.db is damaged", &format!("page {}", root + 1), "from a copy"]);
    assert_eq!(dir.sold(), "1 2 3");
    // Nobody looks at it without being asked.
    dir.run_sales("--mode replace").succeeds();
}

#[test]
fn a_database_that_takes_no_pages_is_refused_or_takes_inserts() {
    for (setting, why) in [
        ("PRAGMA encoding = 'UTF-16'", "its text is not UTF-8"),
        ("PRAGMA auto_vacuum = FULL", "it has auto_vacuum"),
        ("PRAGMA auto_vacuum = INCREMENTAL", "it has auto_vacuum"),
        ("PRAGMA legacy_file_format = ON", "its schema has an old format"),
    ] {
        let dir = Workdir::with_sales(THREE);
        let theirs = Connection::open(dir.path("out.db")).unwrap();
        if setting.contains("legacy") {
            theirs.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT, true).unwrap();
        }
        theirs
            .execute_batch(&format!("{setting}; CREATE TABLE other (a); INSERT INTO other VALUES ('caf\u{e9}')"))
            .unwrap();
        drop(theirs);
        let before = fs::read(dir.path("out.db")).unwrap();
        let words = ["cannot write whole pages into out.db", why, "use --writer auto or insert"];
        dir.run_sales("--writer bulk").fails(1, &words);
        assert!(fs::read(dir.path("out.db")).unwrap() == before, "{setting}: the database was written to");
        dir.run_sales("--writer auto --check-database").succeeds();
        assert_eq!(
            dir.query("out.db", "SELECT * FROM sold"),
            ["1|2026-01-01|tea|1.5", "2|2026-01-02|milk|0.8", "3|NULL|cake|3"]
        );
        assert_eq!(dir.query("out.db", "SELECT * FROM other"), ["caf\u{e9}"]);
    }
}

#[test]
fn every_writer_writes_the_same() {
    let content = |arguments: &str| {
        let dir = Workdir::with_sales(THREE);
        dir.write("sales.toml", SALES.replace("[table.sold]", "[table.sold]\nprimary_key = [\"id\"]"));
        dir.run_sales(&format!("{arguments} --check-database")).succeeds();
        let schema = dir.query("out.db", "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2");
        [schema, dir.query("out.db", "SELECT * FROM sold"), dir.query("out.db", "SELECT * FROM _feedmill_inputs")]
            .concat()
    };
    let bulk = content("--writer bulk");
    for arguments in ["", "--writer auto", "--writer insert", "--batch-rows 2", "--writer bulk --batch-rows 2"] {
        assert_eq!(content(arguments), bulk, "{arguments}");
    }
}
