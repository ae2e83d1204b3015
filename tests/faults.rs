//! Whatever fails, and whenever the process is killed: the database has its old content or the new one, and the same
//! command again ends as if nothing had happened.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Folder, feedmill, gzip, zip_of};
use feedmill::run::Options;
use feedmill::sink::FailingSink;

const PIPELINE: &str = r#"
[feed.f]
files = ["f.csv"]
columns = "a TEXT NOT NULL, b INTEGER"
[table.of_rows]
sql = "SELECT a, b FROM f WHERE b > 2"
[table.of_groups]
primary_key = ["a"]
sql = "SELECT a, sum(b) AS s, rank() OVER (ORDER BY sum(b)) AS r FROM f GROUP BY a"
[table.chained]
sql = "SELECT count(*) AS n, max(s) AS most FROM of_groups"
"#;

fn text(rows: u32) -> String {
    let rows: String =
        (0..rows).map(|row| format!("k{},{}\n", row % 97, if row % 31 == 5 { "bad" } else { "7" })).collect();
    format!("a,b\n{rows}")
}

/// The dead letters without the folder in the names of inputs.
fn letters(folder: &Folder) -> String {
    String::from_utf8_lossy(&folder.letters()).replace(folder.path("").to_str().unwrap(), "")
}

#[test]
fn a_sink_that_fails_at_any_call_leaves_no_trace() {
    let expected = Folder::new();
    expected.write("f.csv", text(500));
    expected.run(&expected.plan(PIPELINE), &Options { block_bytes: 256, threads: 2, ..Options::default() }).unwrap();

    for existing in [false, true] {
        // Groups that stay in memory, and groups that go through temporary files.
        let group_bytes = existing.then_some(0);
        let options = Options { block_bytes: 256, threads: 2, group_bytes, ..Options::default() };
        let mut failed = 0;
        for call in 1.. {
            let folder = Folder::new();
            let mut before = None;
            if existing {
                folder.write("f.csv", text(20));
                folder.run(&folder.plan(PIPELINE), &options).unwrap();
                before = Some((folder.dump(), folder.letters()));
            }
            folder.write("f.csv", text(500));
            let plan = folder.plan(PIPELINE);
            if folder.run_into(&plan, &options, |sink| FailingSink::new(sink, call)).is_ok() {
                break;
            }
            failed += 1;
            match before {
                None => assert!(!folder.database().exists(), "call {call}"),
                Some(before) => assert!((folder.dump(), folder.letters()) == before, "call {call}"),
            }
            folder.run(&plan, &options).unwrap();
            assert_eq!(letters(&folder), letters(&expected));
            assert!(folder.dump() == expected.dump(), "call {call}");
        }
        assert!(failed > 10, "{failed} calls");
    }
}

#[test]
fn an_input_that_breaks_off_publishes_nothing() {
    let folder = Folder::new();
    let packed = gzip(text(2000).as_bytes());
    folder.write("f.csv", text(20));
    folder.run(&folder.plan(PIPELINE), &Options::default()).unwrap();
    let before = (folder.dump(), folder.letters());
    for length in (4..packed.len()).step_by(97) {
        folder.write("f.csv", &packed[..length]);
        let options = Options { block_bytes: 64, ..Options::default() };
        let error = folder.run(&folder.plan(PIPELINE), &options).unwrap_err();
        assert!(error.to_string().contains("f.csv"), "{error}");
        assert!((folder.dump(), folder.letters()) == before, "{length} bytes");
    }
}

#[test]
fn a_damaged_archive_publishes_nothing() {
    let folder = Folder::new();
    folder.write("f.csv", text(20));
    folder.run(&folder.plan(PIPELINE), &Options::default()).unwrap();
    let before = (folder.dump(), folder.letters());
    let archive = zip_of(&[("a.csv", text(300).as_bytes()), ("b.csv", text(2000).as_bytes())]);
    let mut damaged: Vec<(String, Vec<u8>)> = (4..archive.len())
        .step_by(61)
        .map(|length| (format!("zip, {length} bytes"), archive[..length].to_vec()))
        .collect();
    let gzip = gzip(text(2000).as_bytes());
    // The last eight bytes of a gzip file are its checksum and length.
    for back in 1..=8 {
        let mut other = gzip.clone();
        let place = other.len() - back;
        other[place] ^= 1;
        damaged.push((format!("gzip, {back} bytes from its end"), other));
    }
    // The directory of an archive has the checksum of a member 16 bytes behind its mark.
    let marks: Vec<usize> =
        archive.windows(4).enumerate().filter(|(_, mark)| mark == b"PK\x01\x02").map(|(place, _)| place).collect();
    assert_eq!(marks.len(), 2);
    for mark in marks {
        let mut other = archive.clone();
        other[mark + 16] ^= 1;
        damaged.push((format!("zip, checksum at {}", mark + 16), other));
    }
    for (what, bytes) in damaged {
        folder.write("f.csv", bytes);
        let error = folder.run(&folder.plan(PIPELINE), &Options { block_bytes: 64, ..Options::default() });
        let error = error.map(drop).expect_err(&what);
        assert!(error.to_string().contains("f.csv"), "{what}: {error}");
        assert!((folder.dump(), folder.letters()) == before, "{what}");
    }
    folder.write("f.csv", archive);
    folder.run(&folder.plan(PIPELINE), &Options::default()).unwrap();
}

#[test]
fn a_killed_run_leaves_the_old_content_or_the_new() {
    let expected = Folder::new();
    expected.write("f.csv", text(400_000));
    expected.run(&expected.plan(PIPELINE), &Options::default()).unwrap();
    let new = expected.dump();

    let folder = Folder::new();
    folder.write("f.csv", text(20));
    folder.run(&folder.plan(PIPELINE), &Options::default()).unwrap();
    let old = folder.dump();
    folder.write("f.csv", text(400_000));
    let mut killed = 0;
    for attempt in 0..200u64 {
        let mut child = feedmill()
            .current_dir(folder.path(""))
            .args(["run", "p.toml", "--db", "out.db", "-q", "--allow-rejects"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(attempt * 5));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let content = folder.dump();
        if status.success() {
            assert!(content == new, "attempt {attempt}: finished with other content");
            break;
        }
        killed += 1;
        assert!(content == old || content == new, "attempt {attempt}: neither old nor new");
        if content == new {
            break;
        }
    }
    assert!(killed > 3, "killed {killed} times");
    let again = feedmill()
        .current_dir(folder.path(""))
        .args(["run", "p.toml", "--db", "out.db", "-q", "--allow-rejects"])
        .status()
        .unwrap();
    assert!(again.success());
    assert!(folder.dump() == new);
    assert_eq!(letters(&folder), letters(&expected));
}

#[test]
fn a_full_disk_is_an_error_and_leaves_the_old_content() {
    let folder = Folder::new();
    folder.write("f.csv", text(20));
    folder.run(&folder.plan(PIPELINE), &Options::default()).unwrap();
    let old = folder.dump();
    folder.write("f.csv", text(200_000));
    // Files of at most 64 blocks stand for a disk that is full; the signal that comes with it is not the point.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' run p.toml --db out.db -q --color never",
        env!("CARGO_BIN_EXE_feedmill")
    );
    let output =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(folder.path("")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot"), "{stderr}");
    assert!(folder.dump() == old);
}
