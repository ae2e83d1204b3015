//! SIGKILL at any instant of an incremental run: the database has the old state or the new one, and the same command again
//! makes the new one.

use std::fs;
use std::time::Instant;

use crate::common::dump;
use crate::common::instants::Instants;
use crate::job::{Job, wait};

const KILLS: usize = 40;

#[test]
fn a_killed_run_leaves_the_old_state_or_the_new_one() {
    let pipeline = feedmill::presets::find("transactions").unwrap().text;
    let job = Job::new(pipeline, "--dir data --json data/client_1/transactions_day_2.csv");
    job.dir
        .feedmill(
            "generate transactions --out data -q --clients 1 --days 2 --base-rows 60000 --daily-rows 60000 --plain",
        )
        .succeeds();
    job.dir.feedmill("run p.toml data/client_1/transactions_day_1.csv --dir data --db out.db -q").succeeds();
    let path = job.dir.path("out.db");
    let old = fs::read(&path).unwrap();
    let old_dump = dump(&path);
    let started = Instant::now();
    job.run(&[0]);
    let mut instants = Instants::new(7, started.elapsed());
    let new_dump = dump(&path);
    assert_ne!(old_dump, new_dump);
    let (mut killed, mut unchanged) = (0, 0);
    for _ in 0..KILLS {
        let _ = fs::remove_file(job.dir.path("out.db-journal"));
        fs::write(&path, &old).unwrap();
        killed += usize::from(instants.kill(&mut job.spawn()).is_none());
        // Whoever opens it next rolls back what was not committed.
        let left = dump(&path);
        assert!(left == old_dump || left == new_dump, "neither the old state nor the new one");
        unchanged += usize::from(left == old_dump);
        assert_eq!(wait(&mut job.spawn()), Some(0), "{}", job.stderr());
        assert!(dump(&path) == new_dump, "the same command again did not make the new state");
        assert_eq!(job.dir.query("out.db", "PRAGMA integrity_check"), ["ok"]);
    }
    assert!(killed * 2 > KILLS && unchanged > 0, "only {killed} kills, {unchanged} of them before the commit");
}
