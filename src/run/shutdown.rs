//! The wish to stop, from a signal to the reader. Stops nothing itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether somebody has asked the run to come to an early end. Clones speak of the same wish.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

/// What a process exits with that Ctrl-C has stopped, by the shells' convention: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

impl Shutdown {
    /// One that Ctrl-C and SIGTERM ask for; the second signal ends the process at once.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Shutdown::default();
        for signal in [SIGINT, SIGTERM] {
            // Registered first, so that it runs first and finds the wish only if an earlier signal has left it.
            signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&shutdown.0))?;
            signal_hook::flag::register(signal, Arc::clone(&shutdown.0))?;
        }
        Ok(shutdown)
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
