//! Instants at which to disturb a process: at random, and over all of the time that it takes, however fast the machine is
//! from one moment to the next. No test stands here.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What `Child::kill` sends.
const SIGKILL: i32 = 9;

/// Waits for random times, of which about three in four end before the process does.
pub(crate) struct Instants {
    random: Xoshiro256PlusPlus,
    longest: Duration,
}

impl Instants {
    /// For processes of which one has taken so long.
    pub(crate) fn new(seed: u64, duration: Duration) -> Self {
        Instants { random: Xoshiro256PlusPlus::seed_from_u64(seed), longest: duration }
    }

    /// Waits for the next instant.
    pub(crate) fn wait(&mut self) {
        std::thread::sleep(self.longest.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX)));
    }

    /// Is told whether the process was still there then: three times yes make up for one no.
    pub(crate) fn note(&mut self, was_running: bool) {
        self.longest = self.longest.mul_f64(if was_running { 1.1 } else { 0.75 });
    }

    /// Kills a process at the next instant; its exit code if that was too late.
    pub(crate) fn kill(&mut self, child: &mut Child) -> Option<i32> {
        self.wait();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(matches!(status.signal(), None | Some(SIGKILL)), "it has ended by itself: {status}");
        self.note(status.code().is_none());
        status.code()
    }
}
