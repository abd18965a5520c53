//! How far long work has come, for a person who watches.
//!
//! Owns: when a bar is shown. Does not own: the bar itself (`indicatif`).
//!
//! A bar is shown on standard error if that is a terminal and the work takes longer than a moment; never over output
//! that goes to the same terminal, and never where nobody watches.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ottla_env::time;

/// Work that is done sooner needs no bar.
const MOMENT: Duration = Duration::from_millis(700);

/// The progress of some work, whose size may be known.
pub struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    show_at: Option<Instant>,
}

impl Progress {
    /// Records that are written to standard output.
    pub fn of_records(total: Option<u64>) -> Progress {
        let is_free = !std::io::stdout().is_terminal();
        Progress::new(total, is_free, "{bar:32} {human_pos}/{human_len} records  {eta} left")
    }

    /// Bytes that are read from a file.
    pub fn of_bytes(total: Option<u64>) -> Progress {
        Progress::new(
            total,
            true,
            "{bar:32} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        )
    }

    fn new(total: Option<u64>, is_free: bool, template: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let is_shown = total.is_some() && is_free && std::io::stderr().is_terminal();
        Progress { bar, total, show_at: is_shown.then(|| time::now() + MOMENT) }
    }

    /// How much is done.
    pub fn position(&self) -> u64 {
        self.bar.position()
    }

    /// So much is done.
    pub fn done(&mut self, position: u64) {
        if let Some(at) = self.show_at
            && time::now() >= at
        {
            self.show_at = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }

    /// So much is left.
    pub fn left(&mut self, left: u64) {
        if let Some(total) = self.total {
            self.done(total.saturating_sub(left));
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
