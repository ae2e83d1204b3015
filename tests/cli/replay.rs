//! `feedmill replay`: load, loosen what was too strict, replay, and look at the table, the letters that are left and what is
//! said. Random feeds are replayed elsewhere.

use insta::assert_snapshot;

use crate::packed::zip;
use crate::workdir::Workdir;

const ORDERS: &str = r#"
[feed.incoming]
files = ["orders.csv"]
columns = """
  id     INTEGER NOT NULL,
  note   TEXT,
  amount DECIMAL(12,2) CHECK (amount < 100)
"""

[table.orders]
primary_key = ["id"]
sql = "SELECT id, note, amount FROM incoming WHERE id <> 77"
"#;

/// Line by line: what a CHECK of `amount < 100` makes of it, and of `amount < 1000`.
const FEED: &str = "id,note,amount\n\
                    1,good,1.00\n\
                    2,dear,500.00\n\
                    3,\"two\nlines, \"\"dear\"\"\",600.00\n\
                    x,never,1.00\n\
                    5,\"open,700.00\n\
                    77,left out,800.00\n\
                    6,dearest,9000.00\n\
                    7,dear,300.00\n\
                    7,dear again,400.00\n\
                    1,again,2.00\n\
                    1,dear again,200.00\n\
                    8,too few\n\
                    9,dear,900.00";

fn orders() -> Workdir {
    Workdir::new().put("orders.csv", FEED).put("strict.toml", ORDERS).put("loose.toml", loosened(ORDERS))
}

fn loosened(pipeline: &str) -> String {
    pipeline.replace("amount < 100", "amount < 1000")
}

const REPLAY: &str = "replay errors.csv loose.toml --db out.db";

fn ids(dir: &Workdir) -> String {
    dir.query("out.db", "SELECT id FROM orders ORDER BY id").join(" ")
}

/// Code, line, record and offset of the letters in a file.
fn places(dir: &Workdir, name: &str) -> Vec<(String, usize, usize, usize)> {
    let letters = dir.dead_letters_in(name).into_iter();
    letters.map(|letter| (letter.code, letter.line, letter.record, letter.byte_offset)).collect()
}

#[test]
fn what_is_good_after_the_fix_is_added_and_the_rest_is_left() {
    let dir = orders();
    dir.feedmill("run strict.toml --db out.db").exits(3);
    assert_eq!(ids(&dir), "1");
    let letters = dir.read("errors.csv");

    let outcome = dir.feedmill(REPLAY).exits(3);
    let figures = regex::Regex::new(r"(?m)^[0-9.]+ s with .*$").unwrap();
    assert_snapshot!(figures.replace(&outcome.stdout, "N s"), @"
    incoming  12 dead letters in errors.csv
      12 read = 4 loaded + 3 duplicate + 1 filtered + 4 rejected again
      rejected again: too_few_fields 1, unclosed_quote 1, invalid_integer 1, check_failed 1
    orders  4 rows into out.db

    what is left is in errors.replay.csv

    N s
    ");
    assert_eq!(outcome.stderr, "");
    assert_eq!(ids(&dir), "1 2 3 7 9");
    assert_eq!(dir.query("out.db", "SELECT note FROM orders WHERE id = 3"), ["two\nlines, \"dear\""]);
    assert_eq!(dir.read("errors.csv"), letters, "the letters that were read are as they were");

    // The letters that are left are the ones that they were, but for what is wrong with them now.
    let before = dir.dead_letters_in("errors.csv");
    let left = dir.dead_letters_in("errors.replay.csv");
    let codes: Vec<&str> = left.iter().map(|letter| letter.code.as_str()).collect();
    let all = "invalid_integer unclosed_quote check_failed duplicate_key duplicate_key duplicate_key too_few_fields";
    assert_eq!(codes.join(" "), all);
    assert_eq!(left[3].reason, "the table had this key before");
    for letter in &left {
        let was = before.iter().find(|was| was.byte_offset == letter.byte_offset).unwrap();
        assert_eq!((&letter.input, letter.line, letter.record), (&was.input, was.line, was.record));
        assert_eq!((letter.byte_length, &letter.raw), (was.byte_length, &was.raw));
    }

    // As a set, the rows are those of a load with the loose pipeline.
    dir.feedmill("run loose.toml --db fresh.db --errors fresh.csv").exits(3);
    let all = "SELECT * FROM orders ORDER BY id";
    assert_eq!(dir.query("out.db", all), dir.query("fresh.db", all));
    let of = |name: &str| places(&dir, name).into_iter().map(|(_, line, ..)| line).collect::<Vec<_>>();
    assert_eq!(of("errors.replay.csv"), of("fresh.csv"));
}

#[test]
fn repeated_it_adds_nothing() {
    for key in ["primary_key = [\"id\"]", ""] {
        let dir = orders();
        for name in ["strict.toml", "loose.toml"] {
            dir.write(name, dir.read(name).replace("primary_key = [\"id\"]", key));
        }
        dir.feedmill("run strict.toml --db out.db").exits(3);
        dir.feedmill(REPLAY).exits(3);
        let all = "SELECT * FROM orders";
        let (rows, left) = (dir.query("out.db", all), dir.read("errors.replay.csv"));
        assert_eq!(rows.len(), if key.is_empty() { 8 } else { 5 });
        let again = dir.feedmill(REPLAY).exits(3);
        assert!(again.stdout.contains("were loaded by an earlier replay"), "{again:#?}");
        assert_eq!((dir.query("out.db", all), dir.read("errors.replay.csv")), (rows.clone(), left.clone()));

        // The same letter twice in a file is one letter, and so it is in the file of what was left.
        let letters = dir.read("errors.csv");
        let (_, rest) = letters.split_once('\n').unwrap();
        dir.write("twice.csv", format!("{letters}{rest}"));
        dir.feedmill("replay twice.csv loose.toml --db out.db").exits(3);
        dir.feedmill("replay errors.replay.csv loose.toml --db out.db").exits(3);
        assert_eq!(dir.query("out.db", all), rows);
        assert_eq!(dir.read("errors.replay.replay.csv"), left);

        // A table that is made anew has none of them.
        dir.feedmill("run strict.toml --db out.db --mode replace").exits(3);
        dir.feedmill("replay twice.csv loose.toml --db out.db").exits(3);
        assert_eq!(dir.query("out.db", all), rows);
    }
}

#[test]
fn when_nothing_is_left_the_file_of_an_earlier_replay_goes() {
    let dir = Workdir::new().put("strict.toml", ORDERS).put("loose.toml", loosened(ORDERS));
    dir.write("orders.csv", "id,note,amount\n1,,500\n2,,9000\n");
    dir.feedmill("run strict.toml --db out.db").exits(3);
    dir.feedmill(&format!("{REPLAY} --allow-rejects")).succeeds();
    assert_eq!(places(&dir, "errors.replay.csv"), [("check_failed".to_owned(), 3, 2, 22)]);
    let looser = ORDERS.replace("amount < 100", "amount < 100000");
    dir.write("loose.toml", looser);
    let outcome = dir.feedmill(&format!("{REPLAY} --json --summary summary.json")).succeeds();
    assert_eq!(dir.read("summary.json"), outcome.stdout);
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let feed = &summary["feeds"]["incoming"];
    assert_eq!((&feed["read"], &feed["loaded"], &feed["resumed"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&summary["status"], &summary["dead_letters"]), (&"ok".into(), &serde_json::Value::Null));
    assert!(!dir.has("errors.replay.csv"));
    assert_eq!(ids(&dir), "1 2");
    assert_eq!(dir.feedmill(&format!("{REPLAY} -q")).succeeds().stdout, "");
}

#[test]
fn letters_of_members_have_the_header_of_their_member() {
    let dir = orders();
    let members: [(&str, &[u8]); 2] =
        [("a.csv", b"id,note,amount\n1,a,500\n2,a,1\n"), ("b/b.csv", b"amount,more,id,note\n600,?,3,b\n,?,x,b\n")];
    dir.write("orders.zip", zip(&members));
    dir.feedmill("run strict.toml orders.zip --db out.db").exits(3);
    std::fs::remove_file(dir.path("orders.zip")).unwrap();
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(dir.query("out.db", "SELECT id, note, amount FROM orders ORDER BY id"), ["1|a|500", "2|a|1", "3|b|600"]);
    let left = dir.dead_letters_in("errors.replay.csv");
    assert_eq!((left.len(), left[0].member.as_str(), left[0].line), (1, "b/b.csv", 3));
}

#[test]
fn without_a_known_header_there_is_no_replay() {
    let dir = orders();
    dir.feedmill_on("run strict.toml - --db out.db", FEED).exits(3);
    let words = ["the header of stdin is not known", "--mode append", "read only once"];
    dir.feedmill(REPLAY).fails(1, &words);
    assert_eq!(ids(&dir), "1");
    assert!(!dir.has("errors.replay.csv"));

    // A file says it itself, if it is still there.
    let letters = dir.read("errors.csv").replace("\n-,,", "\norders.csv,,");
    dir.write("errors.csv", letters.replace("\n-,", "\norders.csv,"));
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(ids(&dir), "1 2 3 7 9");
    std::fs::remove_file(dir.path("orders.csv")).unwrap();
    dir.feedmill(REPLAY).fails(1, &["the header of orders.csv is not known", "there is no such file"]);

    // And where no feed has headers, none is needed.
    let dir = orders();
    for name in ["strict.toml", "loose.toml"] {
        dir.write(name, dir.read(name).replace("columns", "header = false\ncolumns"));
    }
    let (_, records) = FEED.split_once('\n').unwrap();
    dir.feedmill_on("run strict.toml - --db out.db", records).exits(3);
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(ids(&dir), "1 2 3 7 9");
}

#[test]
fn letters_that_are_not_one_record_stay_as_they_are() {
    let header = "input,member,line,record,byte_offset,byte_length,code,column,value,reason,raw\n";
    let good = "orders.csv,,3,2,27,13,check_failed,amount,500.00,why,\"20,dear,500.00\"\n";
    let stay = "orders.csv,,4,3,42,9000000,record_too_long,,,\"too long, really\",\"21,cut,1.00\"\n\
                orders.csv,,5,4,60,0,too_few_fields,,,why,\n\
                orders.csv,,6,5,61,14,check_failed,,,why,\"22,a,1\n23,b,2\"\n";
    let dir = orders().put("errors.csv", format!("{header}{good}{stay}"));
    dir.feedmill("run strict.toml --db out.db --errors others.csv").exits(3);
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(ids(&dir), "1 20");
    assert_eq!(dir.read("errors.replay.csv"), format!("{header}{stay}"));
}

#[test]
fn a_table_made_from_the_rows_follows() {
    let dir = orders();
    let sums = "\n[table.sums]\nsql = \"SELECT count(*) AS n, sum(amount) AS s FROM orders\"\n";
    for name in ["strict.toml", "loose.toml"] {
        dir.write(name, dir.read(name) + sums);
    }
    dir.feedmill("run strict.toml --db out.db").exits(3);
    assert_eq!(dir.query("out.db", "SELECT * FROM sums"), ["1|1"]);
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(dir.query("out.db", "SELECT * FROM sums"), ["5|2301"]);
}

const TWO: &str = r#"
[feed.incoming]
files = ["orders.csv"]
columns = "id INTEGER, note TEXT, amount DECIMAL(12,2) CHECK (amount < 100)"
[feed.others]
files = ["others.csv"]
columns = "id INTEGER, note TEXT, amount DECIMAL(12,2) CHECK (amount < 100)"
[table.orders]
sql = "SELECT * FROM incoming"
[table.others_of_them]
sql = "SELECT * FROM others"
"#;

#[test]
fn letters_of_several_feeds_find_their_tables() {
    let others = "id,note,amount\n40,,500\n41,,x\n";
    let dir = orders().put("others.csv", others).put("strict.toml", TWO).put("loose.toml", loosened(TWO));
    dir.feedmill("run strict.toml --db out.db").exits(3);
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(ids(&dir), "1 1 1 2 3 7 7 9 77");
    assert_eq!(dir.query("out.db", "SELECT id FROM others_of_them"), ["40"]);
    let letters = dir.read("errors.csv");
    dir.write("errors.csv", letters.replace("others.csv", "unknown.csv"));
    dir.feedmill(REPLAY).fails(1, &["no load into this database knows unknown.csv"]);

    // Those of a feed whose tables are aggregated stay as they are.
    let grouped = TWO.replace("SELECT * FROM others", "SELECT count(*) AS n FROM others");
    let dir = orders().put("others.csv", others).put("strict.toml", &grouped).put("loose.toml", loosened(&grouped));
    dir.feedmill("run strict.toml --db out.db").exits(3);
    dir.feedmill(REPLAY).exits(3);
    assert_eq!(ids(&dir), "1 1 1 2 3 7 7 9 77");
    let of_others = |name: &str| -> Vec<_> {
        dir.dead_letters_in(name).into_iter().filter(|letter| letter.input == "others.csv").collect()
    };
    assert_eq!(of_others("errors.replay.csv"), of_others("errors.csv"));
    assert_eq!(of_others("errors.csv").len(), 2);
}

#[test]
fn what_cannot_be_replayed_is_refused_and_nothing_is_touched() {
    let dir = orders().put("letter.txt", "dear aunt,\n").put("empty.csv", "").put("none.csv", "");
    dir.write("none.csv", "input,member,line,record,byte_offset,byte_length,code,column,value,reason,raw\n");
    dir.feedmill("replay none.csv loose.toml --db out.db")
        .fails(1, &["no table `orders` that feedmill has loaded", "run"]);
    assert!(!dir.has("out.db"));
    dir.feedmill("run strict.toml --db out.db").exits(3);
    let before = std::fs::read(dir.path("out.db")).unwrap();
    let sums = ORDERS.replace("primary_key = [\"id\"]", "").replace("SELECT id, note, amount", "SELECT count(*) AS n");
    dir.write("sums.toml", sums);
    let cases: [(&str, i32, &[&str]); 9] = [
        ("replay", 2, &["<ERRORS.csv>", "<PIPELINE>", "--db"]),
        ("replay missing.csv loose.toml --db out.db", 1, &["cannot read missing.csv"]),
        ("replay letter.txt loose.toml --db out.db", 1, &["letter.txt is not a dead-letter file", "input,member,line"]),
        ("replay orders.csv loose.toml --db out.db", 1, &["orders.csv is not a dead-letter file"]),
        ("replay empty.csv loose.toml --db out.db", 1, &["empty.csv is empty"]),
        ("replay errors.csv loose.toml --db out.db --errors ./errors.csv", 2, &["--errors cannot be the same file"]),
        ("replay errors.csv loose.toml --db out.db --errors orders.csv", 1, &["orders.csv", "some other file"]),
        ("replay errors.csv loose.toml orders.csv --db out.db", 2, &["`orders.csv` is not read"]),
        ("replay errors.csv sums.toml --db out.db", 2, &["all of its tables are aggregated", "run the pipeline again"]),
    ];
    let names = dir.names();
    for (command, code, words) in cases {
        dir.feedmill(command).fails(code, words);
        assert_eq!(dir.names(), names, "{command}");
    }
    assert!(std::fs::read(dir.path("out.db")).unwrap() == before, "the database has changed");
    let outcome = dir.feedmill("replay none.csv loose.toml --db out.db").succeeds();
    assert!(outcome.stdout.contains("none.csv has no dead letters"), "{outcome:#?}");

    let database = rusqlite::Connection::open(dir.path("out.db")).unwrap();
    database.execute("UPDATE _feedmill_loads SET is_finished = 0", ()).unwrap();
    dir.feedmill(REPLAY).fails(1, &["the load into `orders` is not finished", "goes on with it"]);
    database.execute_batch("DROP TABLE orders; CREATE TABLE orders (id PRIMARY KEY, note, amount)").unwrap();
    dir.feedmill(REPLAY).fails(1, &["no table `orders` that feedmill has loaded"]);
}
