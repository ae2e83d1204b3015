//! Loads with a limit of errors: all of it, or nothing.

use crate::job::{Job, KEYED, lines};

const BAD: &str = "k,n\na,1\nb,x\nc,3\nd,x\ne,5\na,6\n";

#[test]
fn past_a_limit_nothing_is_published() {
    for limit in ["--max-errors 1", "--max-error-rate 0.2"] {
        let job = Job::new(KEYED, limit);
        job.dir.write("a.csv", BAD);
        job.run(&[4]);
        assert!(job.stderr().contains("nothing was published"), "{}", job.stderr());
        assert_eq!(job.dir.names(), ["a.csv", "p.toml", "stderr.txt", "stdout.txt"], "{limit}");
    }
}

#[test]
fn past_a_limit_a_table_and_its_dead_letters_stay() {
    for limit in ["--max-errors 1", "--max-error-rate 0.2"] {
        for mode in ["append", "replace", "upsert"] {
            let mut job = Job::new(KEYED, "");
            job.dir.write("a.csv", "k,n\nz,1\ny,x\n");
            job.run(&[3]);
            job.dir.write("b.csv", BAD);
            let before = job.content();
            job.command = format!("run p.toml b.csv --db out.db --batch-rows 1 --mode {mode} {limit}");
            job.run(&[4]);
            job.content().assert_is(&before, &job.command);
        }
    }
}

#[test]
fn limits_look_at_rejects_and_not_at_duplicates() {
    let job = Job::new(KEYED, "--max-errors 0 --max-error-rate 0");
    job.dir.write("a.csv", lines(0..1000, |number| format!("k{}", number % 10)));
    job.run(&[0]);
    assert_eq!(job.count("SELECT count(*) FROM t"), 10);
    assert_eq!(job.dir.dead_letters().len(), 990);
}

#[test]
fn within_a_limit_everything_is_published() {
    let plain = Job::new(KEYED, "");
    plain.dir.write("a.csv", BAD);
    plain.run(&[3]);
    let expected = plain.content();
    for limit in ["--max-errors 2", "--max-error-rate 0.4", "--max-errors 2 --max-error-rate 1 --batch-rows 1"] {
        let job = Job::new(KEYED, limit);
        job.dir.write("a.csv", BAD);
        job.run(&[3]);
        job.content().assert_is(&expected, limit);
    }
}
