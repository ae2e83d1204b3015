//! The house rules, checked over the files themselves: who imports whom, which outside crate is named where, and style.
//! A scan of lines, not a parser: what it cannot see through (`use crate::{`, glob imports) it forbids.

use std::fs;
use std::path::Path;

/// Who may import whom: a module names itself, and of the other modules only these.
const IMPORTS: [(&str, &[&str]); 19] = [
    ("error", &[]),
    ("chunk", &["error"]),
    ("source", &["error", "chunk"]),
    ("csv", &["error", "chunk"]),
    ("expr", &["error", "chunk"]),
    ("dedupe", &["error", "chunk"]),
    ("sort", &["error", "chunk"]),
    ("aggregate", &["error", "chunk"]),
    ("sink", &["error", "chunk", "sort"]),
    ("plan", &["error", "chunk", "source", "csv", "expr", "dedupe", "aggregate"]),
    ("run", &["error", "chunk", "source", "csv", "expr", "dedupe", "sort", "aggregate", "sink", "plan"]),
    ("reference", &["error", "chunk", "expr", "aggregate", "plan"]),
    ("verify", &["error", "chunk", "source", "sink", "plan", "run", "reference"]),
    ("report", &["error", "chunk", "run"]),
    ("generate", &[]),
    ("presets", &[]),
    ("cli", ALL),
    ("main", ALL),
    ("lib", ALL),
];
const ALL: &[&str] = &["*"];

/// Where under src/ an outside crate, or a part of std, may be named; tests may name them all.
const CRATES: [(&str, &[&str]); 18] = [
    ("clap", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("rusqlite", &["sink/sqlite/"]),
    ("serde", &["plan/spec.rs"]),
    ("toml", &["plan/spec.rs"]),
    ("serde_json", &["plan/spec.rs", "cli/", "report/"]),
    ("sqlparser", &["expr/", "plan/"]),
    ("csv", &["plan/", "reference/", "sink/", "verify.rs"]),
    ("crossbeam_channel", &["run/"]),
    ("rayon", &["run/"]),
    ("std::thread", &["run/", "generate/", "dedupe/store.rs", "sort/", "sink/direct_file.rs"]),
    ("std::sync::atomic", &["run/", "cli/", "main.rs"]),
    ("zip", &["source/"]),
    ("flate2", &["source/", "generate/"]),
    ("zstd", &["source/"]),
    ("encoding_rs", &["source/"]),
    ("glob", &["source/"]),
    ("siphasher", &["dedupe/"]),
];

const UNSAFE_FILE: &str = "src/csv/simd.rs";
const LINES_MAX: usize = 600;
/// What is left out of the scan for paths: what git ignores, and git itself.
const NOT_OURS: [&str; 3] = ["target", "data", ".git"];

#[test]
fn modules_import_only_what_their_row_allows() {
    assert_tidy(&rust_files(&["src"]), imports);
}

#[test]
fn outside_crates_are_named_only_where_they_belong() {
    assert_tidy(&rust_files(&["src"]), crates);
}

#[test]
fn files_keep_to_the_style() {
    assert_tidy(&rust_files(&["src", "tests", "benches"]), style);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut files = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    assert_tidy(&files, machine_paths);
}

struct File {
    /// From the root of the project, with `/`.
    path: String,
    text: String,
}

fn assert_tidy(files: &[File], check: fn(&File) -> Vec<String>) {
    assert!(!files.is_empty(), "no file was found to check");
    let found: Vec<String> = files.iter().flat_map(check).collect();
    assert!(found.is_empty(), "{} to tidy up:\n{}", found.len(), found.join("\n"));
}

fn rust_files(folders: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    for folder in folders {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// All text files of a folder, in order of their names.
fn walk(folder: &Path, files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display().to_string();
        let relative = relative.replace('\\', "/");
        if path.is_dir() {
            if !NOT_OURS.contains(&relative.as_str()) {
                walk(&path, files);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push(File { path: relative, text });
        }
    }
}

/// The lines of a file, numbered from 1, without tests and comments.
fn code(file: &File) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let is_test_file = file.path.starts_with("tests/") || file.path.ends_with("/tests.rs");
    let tests_start = |at: &usize| lines[*at].trim() == "#[cfg(test)]" && lines.get(at + 1).is_some_and(opens_module);
    let end = if is_test_file { 0 } else { (0..lines.len()).find(tests_start).unwrap_or(lines.len()) };
    lines[..end].iter().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default())).collect()
}

fn opens_module(line: &&str) -> bool {
    line.trim().starts_with("mod ") && line.trim().ends_with('{')
}

fn in_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Where `name` stands as a whole word.
fn words<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let whole = move |at: &usize| !line[..*at].ends_with(in_word) && !line[at + name.len()..].starts_with(in_word);
    line.match_indices(name).map(|(at, _)| at).filter(whole)
}

fn imports(file: &File) -> Vec<String> {
    let module = file.path.trim_start_matches("src/").split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}:1: `{module}` has no row in IMPORTS of tests/tidy.rs: add one", file.path)];
    };
    let mut found = Vec::new();
    for (number, line) in code(file) {
        for at in words(line, "crate") {
            let Some(rest) = line[at..].strip_prefix("crate::") else { continue };
            let other = rest.split(|char| !in_word(char)).next().unwrap_or_default();
            if other.is_empty() {
                found.push(format!("{}:{number}: write one `use crate::module::Name;` a line instead", file.path));
            } else if other != module && *allowed != ALL && !allowed.contains(&other) {
                let instead = if allowed.is_empty() { "nothing of the crate".to_owned() } else { allowed.join(", ") };
                found.push(format!("{}:{number}: `{module}` imports `{other}`; it may use {instead}", file.path));
            }
        }
    }
    found
}

fn crates(file: &File) -> Vec<String> {
    let path = file.path.trim_start_matches("src/");
    let is_at = |place: &&str| if place.ends_with('/') { path.starts_with(*place) } else { path == *place };
    let mut found = Vec::new();
    for (number, line) in code(file) {
        for (name, allowed) in CRATES {
            // Parts of std are known by their last segment, under whatever path they were imported.
            let last = name.rsplit("::").next().unwrap_or(name);
            let is_std = last != name;
            for at in words(line, last) {
                let (before, is_path) = (&line[..at], line[at + last.len()..].starts_with("::"));
                let of_module = before.strip_suffix("::").is_some_and(|before| before.ends_with(in_word));
                let named = if is_std { is_path || of_module } else { is_path && !of_module };
                if named && name == "csv" && !before.ends_with("::") {
                    let instead = "write `::csv` for the crate or `crate::csv` for the module";
                    found.push(format!("{}:{number}: which `csv`? {instead}", file.path));
                } else if named && !allowed.iter().any(is_at) {
                    let places = allowed.join(", ");
                    found.push(format!("{}:{number}: `{name}` belongs in {places} of src: move this there", file.path));
                }
            }
        }
    }
    found
}

fn style(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |number: usize, what: &str| found.push(format!("{}:{number}: {what}", file.path));
    if !file.text.starts_with("//!") {
        report(1, "begin with a `//!` line that says what the file is and what it is not");
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if !line.is_ascii() {
            report(number, "not ASCII: write an escape such as `\\u{e9}`, or a plain hyphen or quote");
        }
        for word in ["todo!", "dbg!", "FIXME", "XXX"] {
            // This file must name them.
            if line.contains(word) && file.path != "tests/tidy.rs" {
                report(number, &format!("`{word}`: do it, or describe it in an issue"));
            }
        }
    }
    let is_root = file.path.matches('/').count() == 1 || file.path.ends_with("/mod.rs");
    let code = code(file);
    if code.len() > LINES_MAX {
        report(LINES_MAX + 1, &format!("more than {LINES_MAX} lines: split the file by what its parts are for"));
    }
    for (number, line) in code {
        if words(line, "unsafe").next().is_some() && file.path != UNSAFE_FILE {
            report(number, &format!("`unsafe` belongs in {UNSAFE_FILE}: use what it offers"));
        }
        // Within a module `super::` is at home; out of it, it would pass by the table of imports.
        if line.contains("super::super") || (is_root && line.contains("super::")) {
            report(number, "write the path from `crate::` instead of `super::`");
        }
        if line.contains("use crate::") && line.trim_end().ends_with("::*;") {
            report(number, "import names instead of `*`");
        }
    }
    found
}

fn machine_paths(file: &File) -> Vec<String> {
    // In two parts, since this file is scanned too.
    let roots = [("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/")].map(|(start, end)| [start, end].concat());
    let mut found = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for root in &roots {
            // Behind a name or a variable it is no absolute path.
            let relative = |at: usize| line[..at].ends_with(|char| in_word(char) || ".-*})".contains(char));
            if line.match_indices(root.as_str()).any(|(at, _)| !relative(at)) {
                found.push(format!("{}:{number}: `{root}` is of one machine: use a relative path", file.path));
            }
        }
    }
    found
}

/// What a check says of a file with this path and text.
fn said(check: fn(&File) -> Vec<String>, path: &str, text: &str) -> String {
    check(&File { path: path.to_owned(), text: text.to_owned() }).join("\n")
}

#[test]
fn imports_are_told() {
    let bad = said(imports, "src/csv/parse.rs", "//! x\nuse crate::chunk::Chunk;\nuse crate::sink::Sink;\n");
    assert_eq!(bad, "src/csv/parse.rs:3: `csv` imports `sink`; it may use error, chunk");
    assert!(said(imports, "src/generate/mod.rs", "fn f() -> crate::error::Error {}").contains("nothing of the crate"));
    assert!(
        said(imports, "src/run/mod.rs", "use crate::{chunk, csv};").contains("one `use crate::module::Name;` a line")
    );
    assert!(said(imports, "src/new.rs", "").contains("`new` has no row"));
    assert_ne!(said(imports, "src/csv/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::sink::Sink;\n"), "");
    for good in [
        "use crate::csv::Dialect;\npub(crate) fn f() {}",
        "// crate::sink\n/// [crate::sink]\n",
        "#[cfg(test)]\nmod tests {\n    use crate::sink::Sink;\n",
    ] {
        assert_eq!(said(imports, "src/csv/mod.rs", good), "", "{good}");
    }
    assert_eq!(said(imports, "src/csv/tests.rs", "use crate::sink::Sink;\n"), "");
    assert_eq!(said(imports, "src/cli/mod.rs", "use crate::generate::sales;"), "");
}

#[test]
fn misplaced_crates_are_told() {
    assert_eq!(
        said(crates, "src/sink/mod.rs", "\nuse rusqlite::Connection;"),
        "src/sink/mod.rs:2: `rusqlite` belongs in sink/sqlite/ of src: move this there"
    );
    for bad in [
        "use std::thread;",
        "std::thread::spawn(f);",
        "use std::{io, thread};\nthread::spawn(f);",
        "use std::sync::atomic::AtomicU64;",
        "use std::sync::{Arc, atomic::AtomicU64};",
        "#[derive(serde::Serialize)]",
        "::csv::Reader::from_reader(x)",
        "use rayon::prelude::*;",
    ] {
        assert_ne!(said(crates, "src/source/mod.rs", bad), "", "{bad}");
    }
    assert!(said(crates, "src/plan/mod.rs", "let reader = csv::Reader::new();").contains("which `csv`?"));
    for good in ["use crate::csv::Dialect;", "use zip::ZipArchive;", "let toml = 1;", "\"a.toml\"", "// rusqlite::x"] {
        assert_eq!(said(crates, "src/source/mod.rs", good), "", "{good}");
    }
    assert_eq!(said(crates, "src/sink/sqlite/mod.rs", "use rusqlite::Connection;"), "");
    assert_eq!(said(crates, "src/plan/mod.rs", "let reader = ::csv::Reader::new();"), "");
}

#[test]
fn bad_style_is_told() {
    let long = format!("//! x\n{}", "fn f() {}\n".repeat(LINES_MAX));
    for (bad, what) in [
        ("fn f() {}\n", "src/a.rs:1: begin with a `//!` line"),
        ("//! x\n// caf\u{e9}\n", "src/a.rs:2: not ASCII"),
        ("//! x\ntodo!()\n", "src/a.rs:2: `todo!`"),
        ("//! x\n// FIXME\n", "src/a.rs:2: `FIXME`"),
        (&long, "src/a.rs:601: more than 600 lines"),
        ("//! x\nunsafe { f() }\n", "src/a.rs:2: `unsafe` belongs in src/csv/simd.rs"),
        ("//! x\nuse super::b;\n", "src/a.rs:2: write the path from `crate::`"),
        ("//! x\npub use crate::chunk::*;\n", "src/a.rs:2: import names"),
    ] {
        assert!(said(style, "src/a.rs", bad).starts_with(what), "{bad}: {}", said(style, "src/a.rs", bad));
    }
    let tests = "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    let good = format!("//! x\n#![deny(unsafe_code)]\n{}{tests}{}", "\n".repeat(LINES_MAX - 2), "\n".repeat(99));
    assert_eq!(said(style, "src/a.rs", &good), "");
    assert_eq!(said(style, "src/a/b.rs", "//! x\nuse super::c;\n"), "");
    assert_ne!(said(style, "src/a/b.rs", "//! x\nuse super::super::c;\n"), "");
    assert_ne!(said(style, "src/a/mod.rs", "//! x\nuse super::c;\n"), "");
    assert_eq!(said(style, UNSAFE_FILE, "//! x\nunsafe { f() }\n"), "");
}

#[test]
fn machine_paths_are_told() {
    let path = ["/ho", "me/me/x.csv"].concat();
    assert!(said(machine_paths, "README.md", &format!("\n`{path}`")).starts_with("README.md:2: "));
    assert_eq!(said(machine_paths, "README.md", &format!("https://example.org{path} $DIR{path} ..{path}")), "");
}
