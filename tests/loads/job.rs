//! A load in a folder of its own, started, stopped and compared with one that nothing has disturbed. No test stands here.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use rusqlite::Connection;
use serde_json::Value;

use crate::common::dump;
use crate::workdir::Workdir;

/// Records with a key, in two columns.
pub(crate) const KEYED: &str = r#"
[feed.f]
files = ["a.csv"]
columns = "k TEXT NOT NULL, n INTEGER"

[table.t]
primary_key = ["k"]
sql = "SELECT k, n FROM f"
"#;

/// Far beyond what anything here takes; only a process that hangs gets there.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a command for it.
pub(crate) struct Job {
    pub(crate) dir: Workdir,
    pub(crate) command: String,
}

/// What a load leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) database: String,
    pub(crate) letters: Option<String>,
    /// Names in the folder.
    pub(crate) names: Vec<String>,
}

impl Job {
    /// A folder with `p.toml`, and `run p.toml --db out.db` with more arguments.
    pub(crate) fn new(pipeline: &str, arguments: &str) -> Self {
        let dir = Workdir::new().put("p.toml", pipeline);
        Job { dir, command: format!("run p.toml --db out.db {arguments}") }
    }

    /// A folder with generated orders and the shipped pipeline for them.
    pub(crate) fn orders(generate: &str, arguments: &str) -> Self {
        let job = Job::new(feedmill::presets::find("orders").unwrap().text, arguments);
        job.dir.feedmill(&format!("generate orders --out . -q {generate}")).succeeds();
        job
    }

    pub(crate) fn spawn(&self) -> Child {
        let mut command = Command::new(cargo_bin!("feedmill"));
        command.args(self.command.split_whitespace()).current_dir(self.dir.path("")).stdin(Stdio::null());
        command.env("COLUMNS", "100").env_remove("RUST_BACKTRACE");
        let out = |name: &str| File::create(self.dir.path(name)).unwrap();
        command.stdout(out("stdout.txt")).stderr(out("stderr.txt")).spawn().unwrap()
    }

    /// Runs to the end, with an exit code among these.
    #[track_caller]
    pub(crate) fn run(&self, codes: &[i32]) {
        let code = wait(&mut self.spawn());
        assert!(code.is_some_and(|code| codes.contains(&code)), "{code:?}: {}", self.stderr());
    }

    pub(crate) fn stderr(&self) -> String {
        self.dir.read("stderr.txt")
    }

    /// What the command printed, with `--json`.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.dir.read("stdout.txt")).unwrap()
    }

    /// Everything that two runs must have in common, after SQLite itself has found nothing wrong with the database.
    pub(crate) fn content(&self) -> Content {
        for name in ["stdout.txt", "stderr.txt"] {
            let _ = fs::remove_file(self.dir.path(name));
        }
        let path = self.dir.path("out.db");
        assert_eq!(self.dir.query("out.db", "PRAGMA integrity_check"), ["ok"]);
        let mut database = dump(&path);
        for row in self.dir.query("out.db", "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2") {
            writeln!(database, "{row}").unwrap();
        }
        let letters = self.dir.path("errors.csv");
        let letters = letters.exists().then(|| String::from_utf8_lossy(&fs::read(letters).unwrap()).into_owned());
        Content { database, letters, names: self.dir.names() }
    }

    pub(crate) fn count(&self, sql: &str) -> u64 {
        self.dir.query("out.db", sql)[0].parse().unwrap()
    }

    /// Waits until a run has put so many bytes into the database.
    pub(crate) fn wait_for_bytes(&self, bytes: u64, child: &mut Child) {
        let path = self.dir.path("out.db");
        wait_until(&format!("{bytes} bytes"), || {
            let is_there = fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= bytes);
            assert!(is_there || child.try_wait().unwrap().is_none(), "ended before {bytes} bytes: {}", self.stderr());
            is_there
        });
    }

    /// Waits until a run has made a file.
    pub(crate) fn wait_for_file(&self, name: &str, child: &mut Child) {
        wait_until(name, || {
            let is_there = self.dir.has(name);
            assert!(is_there || child.try_wait().unwrap().is_none(), "ended without {name}: {}", self.stderr());
            is_there
        });
    }
}

impl Content {
    /// Asserts equality without a page of rows on the screen.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &Content, what: &str) {
        assert_same(&self.database, &expected.database, &format!("{what}: database"));
        let letters = |content: &Content| content.letters.clone().unwrap_or_default();
        assert_same(&letters(self), &letters(expected), &format!("{what}: errors.csv"));
        assert_eq!(self, expected, "{what}");
    }
}

/// Asserts the equality of texts, and shows the first line that differs.
#[track_caller]
pub(crate) fn assert_same(left: &str, right: &str, what: &str) {
    let differ = left.lines().zip(right.lines()).position(|(left, right)| left != right);
    let line = differ.unwrap_or(left.lines().count().min(right.lines().count()));
    let at = |text: &str| text.lines().nth(line).map(|line| line.chars().take(300).collect::<String>());
    assert!(left == right, "{what}: line {line} is\n{:?} and not\n{:?}", at(left), at(right));
}

/// Waits for something that is there in good time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_there() {
        assert!(started.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The exit code of a process that ends in good time; `None` for one that was killed.
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("still running after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let output: Output = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A database in a folder, opened for writing.
pub(crate) fn open(dir: &Workdir) -> Connection {
    Connection::open(dir.path("out.db")).unwrap()
}

/// Lines `k,n` with a header, for keys and values that follow from their number.
pub(crate) fn lines(numbers: impl IntoIterator<Item = u32>, key: impl Fn(u32) -> String) -> String {
    numbers.into_iter().fold("k,n\n".to_owned(), |mut text, number| {
        writeln!(text, "{},{number}", key(number)).unwrap();
        text
    })
}
