//! A folder of one test's own, the command run in it, and looks at what that left behind. Asserts nothing but the exit
//! code and that nothing panicked.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// Sales, in four columns that can each go wrong in their own way.
pub(crate) const SALES: &str = r#"
[feed.sales]
files = ["sales.csv"]
columns = """
  id    INTEGER NOT NULL,
  day   DATE,
  item  TEXT NOT NULL,
  price DECIMAL(8,2) CHECK (price >= 0)
"""

[table.sold]
sql = "SELECT id, day, item, price FROM sales"
"#;

/// Three good records of `SALES`.
pub(crate) const THREE: &str = "id,day,item,price\n1,2026-01-01,tea,1.50\n2,2026-01-02,milk,0.80\n3,,cake,3.00\n";

/// A folder that is removed at the end.
pub(crate) struct Workdir(TempDir);

impl Workdir {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Workdir(tempfile::tempdir().unwrap())
    }

    /// A folder with the pipeline `sales.toml` and these sales.
    pub(crate) fn with_sales(sales: impl AsRef<[u8]>) -> Self {
        Workdir::new().put("sales.toml", SALES).put("sales.csv", sales)
    }

    /// Writes a file, and the folders that it lies in.
    pub(crate) fn put(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names in the folder, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `feedmill` in the folder with arguments that have no spaces in them.
    pub(crate) fn feedmill(&self, arguments: &str) -> Outcome {
        self.feedmill_on(arguments, "")
    }

    /// The same with something on stdin.
    pub(crate) fn feedmill_on(&self, arguments: &str, stdin: impl Into<Vec<u8>>) -> Outcome {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("feedmill"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env("COLUMNS", "100")
            .env_remove("RUST_BACKTRACE")
            .write_stdin(stdin)
            .output()
            .unwrap();
        let outcome = Outcome {
            arguments: arguments.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
        outcome
    }

    /// Runs the sales into `out.db`.
    pub(crate) fn run_sales(&self, arguments: &str) -> Outcome {
        self.feedmill(&format!("run sales.toml --db out.db {arguments}"))
    }

    /// What a query over a database returns: a text for each row, with `|` between the values.
    pub(crate) fn query(&self, db: &str, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.path(db)).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..width).map(|place| row.get(place).map(shown)).collect();
        let rows = statement.query_map((), row).unwrap();
        rows.map(|row: rusqlite::Result<Vec<String>>| row.unwrap().join("|")).collect()
    }

    /// The ids of the sales in `out.db`, in order.
    pub(crate) fn sold(&self) -> String {
        self.query("out.db", "SELECT id FROM sold ORDER BY rowid").join(" ")
    }

    /// The dead letters in `errors.csv`.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead_letters_in("errors.csv")
    }

    /// The dead letters in a file.
    pub(crate) fn dead_letters_in(&self, name: &str) -> Vec<DeadLetter> {
        let mut reader = csv::Reader::from_path(self.path(name)).unwrap();
        let expected = "input member line record byte_offset byte_length code column value reason raw";
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), expected);
        reader.byte_records().map(|record| DeadLetter::read(&record.unwrap())).collect()
    }
}

fn shown(value: Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(value) => value,
        Value::Blob(value) => format!("{value:?}"),
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    #[expect(dead_code, reason = "for whoever reads a failed assertion")]
    pub(crate) arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts success in silence on stderr.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        let outcome = self.exits(0);
        assert_eq!(outcome.stderr, "", "{outcome:#?}");
        outcome
    }

    /// Asserts a failure whose message, its lines joined, has all these words, with nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        let outcome = self.exits(code);
        assert_eq!(outcome.stdout, "", "{outcome:#?}");
        outcome.says(words)
    }

    /// Asserts that stderr, its lines joined, has all these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let said = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ").replace(" | ", " ");
        for word in words {
            assert!(said.contains(word), "no `{word}` in {self:#?}");
        }
        self
    }
}

/// A row of a dead-letter file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) input: String,
    pub(crate) member: String,
    pub(crate) line: usize,
    pub(crate) record: usize,
    pub(crate) byte_offset: usize,
    pub(crate) byte_length: usize,
    pub(crate) code: String,
    pub(crate) column: String,
    pub(crate) value: Vec<u8>,
    pub(crate) reason: String,
    pub(crate) raw: Vec<u8>,
}

impl DeadLetter {
    fn read(record: &csv::ByteRecord) -> Self {
        let text = |place: usize| String::from_utf8(record[place].to_vec()).unwrap();
        let number = |place: usize| text(place).parse().unwrap();
        DeadLetter {
            input: text(0),
            member: text(1),
            line: number(2),
            record: number(3),
            byte_offset: number(4),
            byte_length: number(5),
            code: text(6),
            column: text(7),
            value: record[8].to_vec(),
            reason: text(9),
            raw: record[10].to_vec(),
        }
    }
}
