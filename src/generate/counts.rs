//! A feed of one file, and beside it what a loader must count in it. Not a measurement: the generator knows what it makes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::files::{batches, create_folder, write, write_text};
use super::{Error, Progress, Summary};

/// Writes `OUT/NAME.csv`, whose rows `push` makes in batches of `batch_rows`, and `OUT/NAME.counts.json` with its
/// counts.
pub(super) fn write_with_counts(
    out: &Path,
    name: &str,
    counts: &Counts,
    batch_rows: u64,
    threads: usize,
    push: impl Fn(&Range<u64>, &mut [Vec<u8>; 1]) -> u64 + Sync,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Error> {
    let start = Progress { rows_total: counts.rows, files_total: 2, ..Progress::default() };
    create_folder(out)?;
    let mut written = |batch: &Range<u64>| progress(Progress { rows: batch.end, ..start });
    let paths = [out.join(format!("{name}.csv"))];
    let ([feed], rows) = write(&paths, &batches(counts.rows, batch_rows), threads, push, &mut written)?;
    progress(Progress { rows, files: 1, bytes: feed.file_bytes(), ..start });
    let list = write_text(&out.join(format!("{name}.counts.json")), &counts.to_json())?;
    let bytes = feed.file_bytes() + list.file_bytes();
    progress(Progress { rows, files: 2, bytes, ..start });
    Ok(Summary { files: 2, rows, rows_in_files: rows, bytes, text_bytes: bytes })
}

/// What a loader must make of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows in the file, its header not counted.
    pub rows: u64,
    /// Good rows; where the feed has a key, those with a key that no good row before them has.
    pub loaded: u64,
    /// Good rows with a key that a good row before them has.
    pub duplicate: u64,
    /// Malformed rows.
    pub rejected: u64,
    /// Malformed rows by what is wrong with them; codes without a row are left out.
    pub rejected_by_code: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(super) fn to_json(&self) -> String {
        let Counts { rows, loaded, duplicate, rejected, rejected_by_code } = self;
        let codes: Vec<String> =
            rejected_by_code.iter().map(|(code, rows)| format!("\n    \"{code}\": {rows}")).collect();
        let codes = if codes.is_empty() { "{}".to_owned() } else { format!("{{{}\n  }}", codes.join(",")) };
        format!(
            "{{\n  \"rows\": {rows},\n  \"loaded\": {loaded},\n  \"duplicate\": {duplicate},\n  \
             \"rejected\": {rejected},\n  \"rejected_by_code\": {codes}\n}}\n"
        )
    }
}

/// Malformed rows by code, when they take these faults in turn: each has as many as any other, give or take one. Several
/// faults may have one code.
pub(super) fn in_turn(rejected: u64, codes: &[&'static str]) -> BTreeMap<&'static str, u64> {
    let mut by_code = BTreeMap::new();
    for (index, code) in (0u64..).zip(codes) {
        *by_code.entry(*code).or_default() += rejected.saturating_sub(index).div_ceil(codes.len() as u64);
    }
    by_code.retain(|_, rows| *rows > 0);
    by_code
}

/// The number of rows that is nearest to a share of them.
pub(super) fn rows_of_share(rows: u64, share: f64) -> u64 {
    (rows as f64 * share).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_json() {
        for rejected_by_code in [BTreeMap::new(), BTreeMap::from([("a", 2)]), BTreeMap::from([("a", 2), ("b", 1)])] {
            let counts = Counts { rows: 9, loaded: 5, duplicate: 1, rejected: 3, rejected_by_code };
            let json: serde_json::Value = serde_json::from_str(&counts.to_json()).unwrap();
            let expected = serde_json::json!({
                "rows": 9, "loaded": 5, "duplicate": 1, "rejected": 3, "rejected_by_code": counts.rejected_by_code,
            });
            assert_eq!(json, expected);
        }
    }

    #[test]
    fn faults_take_turns() {
        let codes = ["a", "b", "a"];
        for (rejected, expected) in
            [(0, vec![]), (1, vec![("a", 1)]), (2, vec![("a", 1), ("b", 1)]), (7, vec![("a", 5), ("b", 2)])]
        {
            assert_eq!(in_turn(rejected, &codes), BTreeMap::from_iter(expected), "{rejected}");
        }
    }
}
