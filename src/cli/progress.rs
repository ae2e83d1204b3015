//! The progress bar: on stderr, only when it is wanted.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Manner;
use crate::cli::text::count;

/// A bar over bytes with a count beside it.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar, or nothing if none is wanted.
    pub(super) fn new(manner: Manner) -> Self {
        if !manner.progress {
            return Bar { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar { bar }
    }

    /// Moves the bar to so many bytes, with the count of what they are.
    pub(super) fn update(&self, bytes: u64, total: Option<u64>, number: u64, noun: &str) {
        if let (Some(total), None) = (total, self.bar.length()) {
            self.bar.set_length(total);
            let template = "{bar:30} {percent:>3}%  {bytes}/{total_bytes}  {msg}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
        }
        self.bar.set_position(bytes);
        self.bar.set_message(format!("{} {noun}", count(number)));
    }

    /// Removes the bar.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
