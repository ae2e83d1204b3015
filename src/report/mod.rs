//! results.md: a full run against an incremental one, in Markdown of ASCII characters. Formats what it is given; runs and
//! measures nothing.

use std::fmt::Write as _;

use crate::chunk::{DataType, Scalar};
use crate::run::Report;

/// Two ways to the same tables, and what they cost.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What was compared, under names: the pipeline, its parameters, the files.
    pub conditions: Vec<(String, String)>,
    /// The run over the latest file as a whole, into a new database that keeps nothing for the next run.
    pub full: Cost,
    /// The run over the same file, into a database that has the history.
    pub incremental: Cost,
    /// Names and rows of the tables that were compared.
    pub tables: Vec<(String, u64)>,
    /// Every difference, a line each.
    pub differences: Vec<String>,
    /// How often each was run.
    pub runs: usize,
    /// The results of the pipeline's reports.
    pub reports: Vec<Report>,
}

/// What a run has cost, and what it has counted.
#[derive(Debug, Default)]
pub struct Cost {
    /// Seconds from the start of the process to its end: the median.
    pub seconds: f64,
    /// The greatest resident memory of the process, in bytes.
    pub peak_bytes: u64,
    /// Seconds that its stages took.
    pub stages: Vec<(String, f64)>,
    /// What it counted, under names.
    pub counts: Vec<(String, u64)>,
}

impl Comparison {
    /// The report.
    pub fn to_markdown(&self) -> String {
        let mut out = "# Full run against incremental run\n\n".to_owned();
        let mut conditions = self.conditions.clone();
        let rows: Vec<String> =
            self.tables.iter().map(|(name, rows)| format!("{} of {name}", grouped(*rows))).collect();
        conditions.push(("rows compared, every column".to_owned(), rows.join(", ")));
        let parity = match self.differences.len() {
            0 => "identical".to_owned(),
            number => format!("NOT IDENTICAL: {number} differences, listed below"),
        };
        conditions.push(("parity".to_owned(), parity));
        let conditions: Vec<Vec<String>> = conditions.into_iter().map(|(name, value)| vec![name, value]).collect();
        out += &table(&["condition", ""], &conditions);
        self.write_differences(&mut out);
        self.write_costs(&mut out);
        self.write_counts(&mut out);
        for Report { title, columns, rows } in &self.reports {
            let header: Vec<&str> = columns.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(words).collect()).collect();
            let _ = write!(out, "\n## {}\n\n{}", ascii(title), table(&header, &rows));
        }
        self.write_method(&mut out);
        out
    }

    fn write_differences(&self, out: &mut String) {
        if !self.differences.is_empty() {
            *out += "\n## Differences\n\n";
            self.differences.iter().for_each(|difference| *out += &format!("- {}\n", ascii(difference)));
        }
    }

    fn write_costs(&self, out: &mut String) {
        *out += "\n## Time and memory\n\n";
        let Comparison { full, incremental, .. } = self;
        let mut rows = vec![
            row("whole process, s", full.seconds, incremental.seconds, 3),
            row("peak memory, MB", full.peak_bytes as f64 / 1e6, incremental.peak_bytes as f64 / 1e6, 1),
        ];
        // Only a run that knows something has something to verify, and that comes first.
        for (stage, _) in &incremental.stages {
            let of =
                |cost: &Cost| cost.stages.iter().find(|(name, _)| name == stage).map_or(0.0, |(_, seconds)| *seconds);
            rows.push(row(&format!("stage {stage}, s"), of(full), of(incremental), 3));
        }
        *out += &table(&["", "full", "incremental", "incremental : full"], &rows);
    }

    fn write_counts(&self, out: &mut String) {
        *out += "\n## Data quality\n\n";
        let rows = self
            .full
            .counts
            .iter()
            .zip(&self.incremental.counts)
            .map(|((name, full), (_, incremental))| vec![name.clone(), grouped(*full), grouped(*incremental)]);
        *out += &table(&["records", "full", "incremental"], &rows.collect::<Vec<_>>());
    }

    fn write_method(&self, out: &mut String) {
        let Comparison { full, incremental, runs, .. } = self;
        let _ = write!(
            out,
            "\n## Speed-up\n\nThe incremental run takes {:.2} of the time of the full run: it is {:.1} times as fast. Both are the \
             same program and the same pipeline, each run in a process of its own, {runs} of each in turn, medians; the memory \
             is what the system says of each process. The full run keeps nothing for a next one; the incremental run compares \
             what it knows of the file with the file, processes what is new, and brings the tables up to date in one \
             transaction. Stages overlap: `compute` adds up over the worker threads.\n",
            incremental.seconds / full.seconds.max(f64::MIN_POSITIVE),
            full.seconds / incremental.seconds.max(f64::MIN_POSITIVE),
        );
    }
}

fn row(name: &str, full: f64, incremental: f64, decimals: usize) -> Vec<String> {
    let ratio = if full > 0.0 { format!("{:.2}", incremental / full) } else { String::new() };
    vec![name.to_owned(), format!("{full:.decimals$}"), format!("{incremental:.decimals$}"), ratio]
}

/// A table: the first column to the left, numbers to the right.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let is_number = |text: &str| text.replace(',', "").parse::<f64>().is_ok();
    let right: Vec<bool> = (0..header.len())
        .map(|column| column > 0 && rows.iter().all(|row| row[column].is_empty() || is_number(&row[column])))
        .collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(header.iter().map(|cell| ascii(cell)).collect());
    let rules: Vec<&str> = right.iter().map(|right| if *right { "---:" } else { "---" }).collect();
    out += &format!("|{}|\n", rules.join("|"));
    rows.iter().for_each(|row| out += &line(row.iter().map(|cell| ascii(cell)).collect()));
    out
}

/// A value as SQLite has it.
fn words(value: &Scalar) -> String {
    let mut text = Vec::new();
    match value {
        Scalar::Null => return "NULL".to_owned(),
        value => value.as_cell().write_text(DataType::Text, &mut text),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(",")
}

/// Text that stays on its line and in its cell, in ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '|' => out.push_str("\\|"),
            ' '..='~' => out.push(char),
            _ => out.extend(char.escape_default()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_markdown_in_ascii() {
        let cost = |seconds: f64| Cost {
            seconds,
            peak_bytes: 50_000_000,
            stages: vec![("read".to_owned(), seconds / 2.0)],
            counts: vec![("read".to_owned(), 1_900_000)],
        };
        let comparison = Comparison {
            conditions: vec![("client_id".to_owned(), "caf\u{e9} | 1".to_owned())],
            full: cost(0.3),
            incremental: cost(0.06),
            tables: vec![("processed_sales".to_owned(), 17_742)],
            differences: Vec::new(),
            runs: 3,
            reports: vec![Report {
                title: "Top".to_owned(),
                columns: vec!["sku".to_owned(), "revenue".to_owned()],
                rows: vec![vec![Scalar::Text(b"a\nb"[..].into()), Scalar::Double(1.5)]],
            }],
        };
        let text = comparison.to_markdown();
        assert!(text.is_ascii(), "{text}");
        for line in [
            "| client_id | caf\\u{e9} \\| 1 |",
            "| parity | identical |",
            "| whole process, s | 0.300 | 0.060 | 0.20 |",
            "| read | 1,900,000 | 1,900,000 |",
            "## Top",
            "|---|---:|",
            "| a\\nb | 1.5 |",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
        }
        assert!(text.contains("it is 5.0 times as fast"));
        let different = Comparison { differences: vec!["t: row (1)".to_owned()], ..comparison };
        assert!(different.to_markdown().contains("NOT IDENTICAL: 1 differences"));
    }
}
