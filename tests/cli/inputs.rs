//! Inputs that are missing, damaged or not what the pipeline declares: a clear error or dead letters with positions, and
//! the neighbours of a bad record unharmed. Archives and compressed files are in `packed.rs`.

use crate::workdir::{SALES, THREE, Workdir};

/// Sales, the ids that are loaded, and the line, code and column of each dead letter.
type Dirty<'a> = (&'a str, &'a [u8], &'a str, &'a [(usize, &'a str, &'a str)]);

const DIRTY: [Dirty<'_>; 24] = [
    ("too few fields", b"1,,a,1\n2,,a\n3,,a,1\n", "1 3", &[(3, "too_few_fields", "")]),
    ("too many fields", b"1,,a,1\n2,,a,1,\n3,,a,1\n", "1 3", &[(3, "too_many_fields", "")]),
    ("invalid integer", b"1,,a,1\n2.5,,a,1\n3,,a,1\n", "1 3", &[(3, "invalid_integer", "id")]),
    ("too great an integer", b"1,,a,1\n9223372036854775808,,a,1\n3,,a,1\n", "1 3", &[(3, "out_of_range", "id")]),
    ("invalid date", b"1,,a,1\n2,2026-02-29,a,1\n3,2024-02-29,a,1\n", "1 3", &[(3, "invalid_date", "day")]),
    ("invalid decimal", b"1,,a,1\n2,,a,1.234\n3,,a,1\n", "1 3", &[(3, "invalid_decimal", "price")]),
    ("too great a decimal", b"1,,a,1\n2,,a,1000000\n3,,a,1\n", "1 3", &[(3, "out_of_range", "price")]),
    (
        "NULL where none may be",
        b"1,,a,1\n,,a,1\n3,,,1\n4,,a,\n",
        "1 4",
        &[(3, "null_value", "id"), (4, "null_value", "item")],
    ),
    ("a CHECK that is false", b"1,,a,1\n2,,a,-0.01\n3,,a,1\n", "1 3", &[(3, "check_failed", "price")]),
    ("invalid UTF-8", b"1,,a,1\n2,,\xff,1\n3,,a,1\n", "1 3", &[(3, "invalid_utf8", "")]),
    ("NUL", b"1,,a,1\n2,,a\0b,1\n3,,a,1\n", "1 3", &[(3, "nul_byte", "")]),
    ("quote in the first of two lines", b"1,,a,1\n2,,\"a,1\n3,,a,1\n", "1 3", &[(3, "unclosed_quote", "")]),
    ("quote in the last line", b"1,,a,1\n2,,a,1\n3,,\"a,1", "1 2", &[(4, "unclosed_quote", "")]),
    ("text behind a quote", b"1,,a,1\n2,,\"a\"b,1\n3,,a,1\n", "1 3", &[(3, "text_after_quote", "")]),
    ("a quote that meets another", b"1,,a,1\n2,,\"a,1\n3,,\"a\",1\n4,,a,1\n", "1 3 4", &[(3, "text_after_quote", "")]),
    (
        "lines within quotes",
        b"1,,\"a\nb\",1\nx,,a,1\n3,,\"\n\n\",1\ny,,a,1\n",
        "1 3",
        &[(4, "invalid_integer", "id"), (8, "invalid_integer", "id")],
    ),
    ("quotes within quotes", b"1,,\"a \"\"b\"\" c\",1\n2,,a \"b\" c,1\n", "1 2", &[]),
    ("CRLF", b"1,,a,1\r\nx,,a,1\r\n3,,a,1\r\n", "1 3", &[(3, "invalid_integer", "id")]),
    ("mixed line ends", b"1,,a,1\r\n2,,a,1\n3,,a,1\r\n", "1 2 3", &[]),
    ("no line end at the end", b"1,,a,1\n2,,a,1", "1 2", &[]),
    ("nothing but delimiters", b"1,,a,1\n,,,\n3,,a,1\n", "1 3", &[(3, "null_value", "id")]),
    ("spaces around a number", b"1,,a,1\n 2 ,,a, 1 \n3,,a,1\n", "1 2 3", &[]),
    ("the first record", b"x,,a,1\n2,,a,1\n", "2", &[(2, "invalid_integer", "id")]),
    ("every record", b"x,,a,1\ny,,a,1\n", "", &[(2, "invalid_integer", "id"), (3, "invalid_integer", "id")]),
];

#[test]
fn bad_records_are_dead_letters_and_their_neighbours_are_loaded() {
    for (what, records, sold, letters) in DIRTY {
        let sales = [b"id,day,item,price\n", records].concat();
        let dir = Workdir::with_sales(&sales);
        let outcome = dir.run_sales("").exits(if letters.is_empty() { 0 } else { 3 });
        assert_eq!(outcome.stderr, "", "{what}");
        assert_eq!(dir.sold(), sold, "{what}");
        if letters.is_empty() {
            assert!(!dir.has("errors.csv"), "{what}");
            continue;
        }
        let found = dir.dead_letters();
        let places: Vec<_> = found.iter().map(|one| (one.line, one.code.as_str(), one.column.as_str())).collect();
        assert_eq!(places, letters, "{what}");
        for letter in &found {
            assert_eq!((letter.input.as_str(), letter.member.as_str()), ("sales.csv", ""), "{what}");
            let end = letter.byte_offset + letter.byte_length;
            assert_eq!(letter.raw, sales[letter.byte_offset..end], "{what}: {letter:?}");
            assert!(letter.byte_offset == 0 || sales[letter.byte_offset - 1] == b'\n', "{what}: {letter:?}");
            assert!(matches!(sales.get(end), None | Some(b'\r' | b'\n')), "{what}: {letter:?}");
            assert!(!letter.reason.is_empty(), "{what}");
        }
        let again = dir.run_sales("--allow-rejects").succeeds();
        assert!(again.stdout.contains("nothing to add"), "{what}: {again:#?}");
        assert_eq!(dir.dead_letters(), found, "{what}");
        let anew = dir.run_sales("--mode replace --threads 1 --allow-rejects").succeeds();
        assert!(!anew.stdout.contains("nothing to add"), "{what}: {anew:#?}");
        assert_eq!((dir.sold().as_str(), dir.dead_letters()), (sold, found), "{what}");
        let verdict = dir.feedmill("verify sales.toml").succeeds();
        assert!(verdict.stdout.ends_with("no difference\n"), "{what}: {verdict:#?}");
    }
}

#[test]
fn a_dead_letter_has_the_value_and_the_number_of_its_record() {
    let dir = Workdir::with_sales("\u{feff}id,day,item,price\r\n1,,\"two\r\nlines\",1\r\n2,soon,\"\"\"t\"\"\",1.5\r\n");
    dir.run_sales("").exits(3);
    let [letter] = dir.dead_letters().try_into().unwrap();
    assert_eq!((letter.line, letter.record, letter.byte_offset), (4, 2, 41));
    assert_eq!((letter.code.as_str(), letter.column.as_str()), ("invalid_date", "day"));
    assert_eq!(letter.value, b"soon");
    assert_eq!(letter.raw, b"2,soon,\"\"\"t\"\"\",1.5");
    dir.write("sales.csv", THREE);
    dir.run_sales("--mode replace").succeeds();
    assert!(!dir.has("errors.csv"), "the dead letters of the run before are left");
}

#[test]
fn files_that_hold_no_feed_are_refused() {
    let cases: [(&str, &[u8], &[&str]); 7] = [
        ("empty", b"", &["sales.csv", "the input is empty"]),
        (
            "a header without a column",
            b"id,day,item,prize\n1,,a,1\n",
            &["lacks the declared column `price`", "did you mean `prize`?"],
        ),
        ("a header with a column twice", b"id,day,item,price,id\n", &["has the column `id` twice"]),
        ("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\0", &["sales.csv"]),
        ("UTF-16, little end first", b"\xff\xfei\0d\0,\0d\0a\0y\0\n\0", &["UTF-16", "encoding = \"utf-16"]),
        ("UTF-16, big end first", b"\xfe\xff\0i\0d\0,\0d\0a\0y\0\n", &["UTF-16", "encoding = \"utf-16"]),
        ("another header", b"a;b;c\n1;2;3\n", &["lacks the declared column `id`", "the header is: a;b;c"]),
    ];
    for (what, sales, words) in cases {
        let dir = Workdir::with_sales(sales);
        dir.run_sales("").fails(1, words);
        assert_eq!(dir.names(), ["sales.csv", "sales.toml"], "{what}");
    }
}

#[test]
fn headers_may_have_other_orders_and_more_columns() {
    let cases = [
        ("only a header", "id,day,item,price\n", ""),
        ("only a header without a line end", "id,day,item,price", ""),
        ("another order", "price,item,id,day\n1.50,tea,1,\n", "1"),
        ("more columns", "x,price,item,y,id,day,z\n,1.50,tea,,1,,\n", "1"),
        ("a byte order mark", "\u{feff}id,day,item,price\n1,,tea,1.50\n", "1"),
        ("a quoted header", "\"id\",\"day\",\"item\",\"price\"\n1,,tea,1.50\n", "1"),
        ("CRLF", "id,day,item,price\r\n1,,tea,1.50\r\n", "1"),
    ];
    for (what, sales, sold) in cases {
        let dir = Workdir::with_sales(sales);
        dir.run_sales("").succeeds();
        assert_eq!(dir.sold(), sold, "{what}");
    }
}

#[test]
fn other_encodings_are_read_when_they_are_declared() {
    let text = "id,day,item,price\n1,,caf\u{e9},1\n";
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let latin1: Vec<u8> = text.chars().map(|character| u8::try_from(character).unwrap()).collect();
    let cases: [(&str, Vec<u8>); 6] = [
        ("utf-16le", utf16(u16::to_le_bytes)),
        ("utf-16be", utf16(u16::to_be_bytes)),
        ("utf-16", [b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes)].concat()),
        ("latin1", latin1.clone()),
        ("windows-1252", latin1),
        ("utf-8", text.into()),
    ];
    for (encoding, sales) in cases {
        let pipeline = SALES.replace("[table.sold]", &format!("encoding = \"{encoding}\"\n[table.sold]"));
        let dir = Workdir::with_sales(sales).put("sales.toml", pipeline);
        dir.run_sales("").succeeds();
        assert_eq!(dir.query("out.db", "SELECT item FROM sold"), ["caf\u{e9}"], "{encoding}");
    }
    let pipeline = SALES.replace("[table.sold]", "encoding = \"latin-1x\"\n[table.sold]");
    Workdir::with_sales(THREE).put("sales.toml", pipeline).run_sales("").fails(2, &["`latin-1x`"]);
}

#[test]
fn other_dialects_are_read_when_they_are_declared() {
    let keys = "delimiter = \";\"\nquote = \"'\"\nheader = false\nnull = [\"\", \"-\"]\n[table.sold]";
    let pipeline = SALES.replace("[table.sold]", keys);
    let dir = Workdir::with_sales("1;-;'a;''b''';1\n2;2026-01-02;\"c;1\n").put("sales.toml", pipeline);
    dir.run_sales("").succeeds();
    assert_eq!(dir.query("out.db", "SELECT id, day, item FROM sold"), ["1|NULL|a;'b'", "2|2026-01-02|\"c"]);
}

#[test]
fn paths_that_cannot_be_read_are_named() {
    let dir = Workdir::with_sales(THREE).put("more/other.csv", THREE);
    let cases: [(&str, &[&str]); 6] = [
        ("nothing.csv", &["cannot find nothing.csv"]),
        ("sale.csv", &["cannot find sale.csv", "did you mean `sales.csv`?"]),
        ("nowhere/sales.csv", &["nowhere/sales.csv", "there is no directory nowhere"]),
        ("more", &["more is a directory", "`more/*.csv`"]),
        ("*.tsv", &["no file matches", "*.tsv"]),
        ("sales.csv ./sales.csv", &["named twice"]),
    ];
    for (files, words) in cases {
        dir.feedmill(&format!("run sales.toml --db out.db {files}")).fails(1, words);
        assert!(!dir.has("out.db"), "{files}");
    }
}

#[test]
fn several_files_globs_and_stdin_are_read_in_order() {
    let sale = |id: u32| format!("id,day,item,price\n{id},,tea,1.50\n");
    let dir = Workdir::with_sales(sale(1)).put("b/2.csv", sale(2)).put("b/3.csv", sale(3));
    for (files, sold) in [("b/3.csv b/2.csv", "3 2"), ("b/*.csv sales.csv", "2 3 1"), ("-", "9"), ("b/3.csv -", "3 9")]
    {
        dir.feedmill_on(&format!("run sales.toml --db out.db --mode replace {files}"), sale(9)).succeeds();
        assert_eq!(dir.sold(), sold, "{files}");
    }
    for mode in ["replace", "append"] {
        let run = format!("run sales.toml --db out.db --mode {mode} -");
        dir.feedmill_on(&run, "").fails(1, &["the input is empty"]);
        assert_eq!(dir.sold(), "3 9", "{mode}");
    }
    let letters = "id,day,item,price\nx,,tea,1.50\n";
    dir.feedmill_on("run sales.toml --db out.db --mode append b/2.csv -", letters).exits(3);
    assert_eq!(dir.sold(), "3 9 2");
    let [letter] = dir.dead_letters().try_into().unwrap();
    assert_eq!((letter.input.as_str(), letter.line, letter.record), ("-", 2, 1));
}

#[test]
fn limits_stop_a_run_and_nothing_is_published() {
    let dir = Workdir::with_sales("id,day,item,price\n1,,tea,1\nx,,tea,1\ny,,tea,1\n4,,tea,1\n");
    for (arguments, code) in [
        ("--max-errors 2", 3),
        ("--max-errors 1", 4),
        ("--max-errors 0", 4),
        ("--max-error-rate 0.5", 3),
        ("--max-error-rate 0.49", 4),
        ("--max-error-rate 0", 4),
        ("--max-errors 1 --allow-rejects", 4),
    ] {
        let _ = std::fs::remove_file(dir.path("out.db"));
        let _ = std::fs::remove_file(dir.path("errors.csv"));
        let outcome = dir.run_sales(arguments).exits(code);
        assert_eq!(dir.has("out.db"), code == 3, "{arguments}");
        assert_eq!(dir.has("errors.csv"), code == 3, "{arguments}");
        if code == 4 {
            let flag = arguments.split(' ').next().unwrap();
            outcome.fails(4, &["records", "were rejected", flag, "nothing was published"]);
        }
    }
    dir.write("sales.toml", format!("{SALES}\n[limits]\nmax_errors = 1\n"));
    dir.run_sales("").exits(4);
    dir.run_sales("--max-errors 2").exits(3);
}

#[test]
fn a_record_longer_than_the_limit_is_one_dead_letter() {
    let pipeline = SALES.replace("[table.sold]", "max_record_bytes = 1024\n[table.sold]");
    let long = "x".repeat(5000);
    let sales = format!("id,day,item,price\n1,,tea,1\n2,,{long},1\n3,,tea,1\n");
    let dir = Workdir::with_sales(&sales).put("sales.toml", pipeline);
    dir.run_sales("").exits(3);
    assert_eq!(dir.sold(), "1 3");
    let [letter] = dir.dead_letters().try_into().unwrap();
    assert_eq!((letter.code.as_str(), letter.line, letter.byte_length), ("record_too_long", 3, 5005));
    assert!(letter.raw.len() <= 1024 && sales.as_bytes()[letter.byte_offset..].starts_with(&letter.raw));
}

#[test]
fn a_key_that_a_lookup_has_twice_is_named_by_its_line() {
    let pipeline = r#"
[feed.f]
files = ["f.csv"]
columns = "k TEXT"
[lookup.l]
file = "l.csv"
columns = "k TEXT PRIMARY KEY, v TEXT"
[table.t]
sql = "SELECT v, count(*) AS n FROM f LEFT JOIN l USING (k) GROUP BY v"
"#;
    for (text, line) in [("k,v\na,1\nb,1\na,2\n", 4), ("k,v\na,\"1\n2\"\na,2\n", 4)] {
        let dir = Workdir::new().put("p.toml", pipeline).put("f.csv", "k\na\n").put("l.csv", text);
        let outcome = dir.feedmill("run p.toml --db out.db").exits(1);
        assert!(outcome.stderr.contains(&format!("line {line}: its key `k` was there before")), "{}", outcome.stderr);
    }
}
