//! The wish to stop, from a signal to the reader. Stops nothing itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// Whether somebody has asked the run to come to an early end. Clones speak of the same wish.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

/// What a process exits with that Ctrl-C has stopped, by the shells' convention: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Signals that come so soon after the first are echoes of it: some supervisors signal both a process and its group.
const ECHO: Duration = Duration::from_millis(250);

impl Shutdown {
    /// One that Ctrl-C and SIGTERM ask for; the second signal ends the process at once.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub fn on_signals() -> Result<Self> {
        let shutdown = Shutdown::default();
        shutdown
            .watch()
            .map_err(|cause| Error::new(ErrorKind::Internal, format!("cannot watch for signals: {cause}")))?;
        Ok(shutdown)
    }

    fn watch(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let asked = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first: Option<Instant> = None;
            for _ in signals.forever() {
                match first {
                    None => asked.request(),
                    Some(first) if first.elapsed() > ECHO => signal_hook::low_level::exit(INTERRUPTED),
                    Some(_) => {}
                }
                first.get_or_insert_with(Instant::now);
            }
        })?;
        Ok(())
    }

    /// Asks the run to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been asked to.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
