//! What a command writes to.
//!
//! Owns: standard output and standard error of one command, in the order they are written; the exit code of a signal.
//! Does not own: what is written; standard input.
//!
//! Invariants
//! - I1 what was written to one stream is on its way before the other one is written to, so that both together
//!   read in the order of the program;
//! - I2 a reader that went away (`kafka-topics --list | head`) ends nothing: what is left is thrown away.

use std::fmt::Display;
use std::io::{self, Write};

use ottla_env::task::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The two streams of a command.
pub struct Terminal<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    out_failure: Option<io::ErrorKind>,
}

impl<'a> Terminal<'a> {
    /// Streams that end in these two. Both should be buffered: every call is a write.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Terminal<'a> {
        Terminal { out, err, out_failure: None }
    }

    /// Writes to standard output, without an end of line.
    pub fn out(&mut self, text: impl Display) {
        let written = write!(self.out, "{text}");
        self.note(written);
    }

    /// Writes a line to standard output.
    pub fn out_line(&mut self, text: impl Display) {
        self.out(format_args!("{text}\n"));
    }

    /// Writes bytes as they are to standard output.
    pub fn out_bytes(&mut self, bytes: &[u8]) {
        let written = self.out.write_all(bytes);
        self.note(written);
    }

    /// Why standard output takes no more, for commands that would go on for nobody (`ottla consume --follow | head`).
    pub fn out_failure(&self) -> Option<io::ErrorKind> {
        self.out_failure
    }

    /// I2: a closed pipe is the reader's wish. What is more to be done about a failure is the command's choice.
    fn note(&mut self, written: io::Result<()>) {
        self.out_failure = self.out_failure.or(written.err().map(|error| error.kind()));
    }

    /// Writes to standard error, without an end of line.
    pub fn err(&mut self, text: impl Display) {
        self.flush();
        let _ = write!(self.err, "{text}");
        let _ = self.err.flush();
    }

    /// Writes a line to standard error.
    pub fn err_line(&mut self, text: impl Display) {
        self.err(format_args!("{text}\n"));
    }

    /// Sends what was written so far on its way.
    pub fn flush(&mut self) {
        let flushed = self.out.flush();
        self.note(flushed);
    }
}

/// The exit code of a command that a signal ended, as a shell tells it.
pub fn exit_code_of(signal: Signal) -> u8 {
    match signal {
        Signal::Interrupt => 130,
        Signal::Terminate | Signal::Hangup => 143,
    }
}

/// Whether standard output is a pipe that nobody reads any more, which otherwise shows only when something is written.
pub fn reader_has_left() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let is_told = matches!(poll(&mut polled, Some(&at_once)), Ok(1..));
    is_told && polled.iter().any(|polled| polled.revents().contains(PollFlags::ERR))
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_nothing() {
        let mut terminal_err = Vec::new();
        let mut closed = Closed;
        let mut terminal = Terminal::new(&mut closed, &mut terminal_err);
        terminal.out_line("lost");
        assert_eq!(terminal.out_failure(), Some(io::ErrorKind::BrokenPipe));
        terminal.err_line("kept");
        drop(terminal);
        assert_eq!(terminal_err, b"kept\n");
    }
}
