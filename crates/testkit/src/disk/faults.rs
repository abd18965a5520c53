//! What goes wrong on the simulated disk, and what is counted.
//!
//! Owns: the faults that are set, the counters, and the order in which a call is refused.
//! Does not own: what a fault does to bytes and names.
//!
//! Source: the project's storage fault model (reliability, section 2).

use std::io;
use std::time::Duration;

/// A call, as far as faults and counters tell calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Asks without touching the device.
    Look,
    Read,
    Write {
        bytes: u64,
    },
    /// Changes a length or an attribute.
    Resize,
    Sync,
    SyncDir,
    Open,
    /// Makes, renames or removes a name.
    Name,
}

impl Operation {
    /// Whether it needs a writable file system.
    pub(super) fn changes(self) -> bool {
        match self {
            Operation::Write { .. } | Operation::Resize | Operation::Name => true,
            Operation::Look | Operation::Read | Operation::Sync | Operation::SyncDir | Operation::Open => {
                false
            }
        }
    }

    /// Whether it is one of the steps a power cut can fall between.
    fn is_step(self) -> bool {
        self.changes() || matches!(self, Operation::Sync | Operation::SyncDir)
    }
}

/// How often which call was made since the disk was made, refused ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub opens: u64,
    pub reads: u64,
    pub writes: u64,
    pub bytes_written: u64,
    /// Changes of lengths and attributes.
    pub resizes: u64,
    pub syncs: u64,
    pub dir_syncs: u64,
    /// Names made, renamed or removed.
    pub names: u64,
}

impl Counts {
    pub(super) fn add(&mut self, operation: Operation) {
        match operation {
            Operation::Look => {}
            Operation::Read => self.reads += 1,
            Operation::Write { bytes } => {
                self.writes += 1;
                self.bytes_written += bytes;
            }
            Operation::Resize => self.resizes += 1,
            Operation::Sync => self.syncs += 1,
            Operation::SyncDir => self.dir_syncs += 1,
            Operation::Open => self.opens += 1,
            Operation::Name => self.names += 1,
        }
    }
}

/// How long each call takes, in virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    pub read: Duration,
    pub write: Duration,
    pub sync: Duration,
}

impl Delays {
    pub(super) fn of(&self, operation: Operation) -> Duration {
        match operation {
            Operation::Read => self.read,
            Operation::Write { .. } => self.write,
            Operation::Sync | Operation::SyncDir => self.sync,
            Operation::Look | Operation::Resize | Operation::Open | Operation::Name => Duration::ZERO,
        }
    }
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Syncs that still succeed before one fails.
    pub(super) syncs_until_failure: Option<u64>,
    /// Bytes the disk has room for.
    pub(super) space_max: Option<u64>,
    pub(super) read_only: bool,
    /// The device is gone.
    pub(super) gone: bool,
    /// Steps that are still made before the power goes off.
    pub(super) steps_until_power_off: Option<u64>,
    pub(super) delays: Delays,
}

impl Faults {
    /// Why a call is refused, if it is. Counts down to a power cut.
    pub(super) fn admit(&mut self, operation: Operation) -> io::Result<()> {
        if operation.is_step() && self.steps_until_power_off.is_some_and(|left| left > 0) {
            self.steps_until_power_off = self.steps_until_power_off.map(|left| left - 1);
        } else if self.steps_until_power_off == Some(0) {
            return Err(io::Error::other("the power is off"));
        }
        if self.gone {
            return Err(input_output_error());
        }
        if self.read_only && operation.changes() {
            return Err(read_only_file_system());
        }
        Ok(())
    }

    /// Whether this sync is the one that fails; the ones behind it succeed again.
    pub(super) fn sync_fails(&mut self) -> bool {
        match self.syncs_until_failure {
            Some(0) => {
                self.syncs_until_failure = None;
                true
            }
            Some(left) => {
                self.syncs_until_failure = Some(left - 1);
                false
            }
            None => false,
        }
    }
}

/// EIO, ENOSPC and EROFS have the same numbers on every system Ottla runs on.
pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

pub(super) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn read_only_file_system() -> io::Error {
    io::Error::from_raw_os_error(30)
}
