//! The cases: one kind of fault each, and one with many of them.
//!
//! Owns: their names, what each needs of the machine and of the node, which errors a node may log. Does not own: the faults
//! (one module per kind), what happens before and after (`stage`).

mod calls;
mod clock;
mod names;
mod process;
mod rot;
mod storage;
mod torn;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::Fallible;
use crate::arguments::Plan;
use crate::native::{CLOCK, build};
use crate::stage::Stage;
use crate::{tracer, volume};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// SIGKILL at any moment.
    Kill,
    /// SIGTERM: a clean stop, again and again.
    Term,
    /// SIGSTOP for a while.
    Stop,
    /// A power cut, as far as a file system can have one.
    Power,
    /// No space left on the device.
    Full,
    /// One of two log directories turns read-only.
    ReadOnly,
    /// A system call fails with EIO.
    Io,
    /// Flushes take long.
    Slow,
    /// The wall clock jumps.
    Clock,
    /// Nothing: whether names are durable is looked at.
    Names,
    /// Files are damaged between two runs.
    Rot,
    /// Many kinds, one after the other.
    Mixed,
}

/// Where the node keeps its logs.
enum Disks {
    /// In a directory.
    One,
    /// On a file system of so many mebibytes.
    OneOfItsOwn(u64),
    /// Metadata in one directory, logs in two others.
    Several,
    /// Metadata and logs in a directory, more logs on a file system of so many mebibytes.
    OneMoreOfItsOwn(u64),
}

impl Case {
    pub const ALL: [Case; 12] = [
        Case::Kill,
        Case::Term,
        Case::Stop,
        Case::Power,
        Case::Full,
        Case::ReadOnly,
        Case::Io,
        Case::Slow,
        Case::Clock,
        Case::Names,
        Case::Rot,
        Case::Mixed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Case::Kill => "kill",
            Case::Term => "term",
            Case::Stop => "stop",
            Case::Power => "power",
            Case::Full => "full",
            Case::ReadOnly => "readonly",
            Case::Io => "io",
            Case::Slow => "slow",
            Case::Clock => "clock",
            Case::Names => "names",
            Case::Rot => "rot",
            Case::Mixed => "mixed",
        }
    }

    pub fn of_name(name: &str) -> Fallible<Case> {
        let found = Case::ALL.into_iter().find(|case| case.name() == name);
        let names: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
        found.ok_or_else(|| format!("'{name}' is no case; there are {}", names.join(", ")).into())
    }

    /// Why this machine cannot run it, if so.
    pub fn missing(self, work: &Path) -> Option<String> {
        let volume = || volume::missing(&work.join("probe"));
        match self {
            Case::Kill | Case::Term | Case::Stop | Case::Rot => None,
            Case::Power | Case::Full | Case::ReadOnly => volume(),
            Case::Io | Case::Slow | Case::Names => tracer::missing(),
            Case::Clock => build(&CLOCK, &work.join("probe")).err().map(|error| error.to_string()),
            Case::Mixed => volume().or_else(tracer::missing),
        }
    }

    fn disks(self) -> Disks {
        match self {
            Case::Kill | Case::Term | Case::Stop | Case::Slow | Case::Clock | Case::Names | Case::Rot => {
                Disks::One
            }
            Case::Power => Disks::OneOfItsOwn(1024),
            Case::Full | Case::Mixed => Disks::OneOfItsOwn(512),
            Case::Io => Disks::Several,
            Case::ReadOnly => Disks::OneMoreOfItsOwn(256),
        }
    }

    /// Size of the file system that it needs.
    pub fn volume_mebibytes(self) -> Option<u64> {
        match self.disks() {
            Disks::OneOfItsOwn(size) | Disks::OneMoreOfItsOwn(size) => Some(size),
            Disks::One | Disks::Several => None,
        }
    }

    /// Most bytes of filling in a record.
    pub fn filling_max(self) -> u64 {
        match self {
            // So that many segments are closed.
            Case::Clock | Case::Names | Case::Rot => 6_000,
            Case::Kill
            | Case::Term
            | Case::Stop
            | Case::Power
            | Case::Full
            | Case::ReadOnly
            | Case::Io
            | Case::Slow
            | Case::Mixed => 300,
        }
    }

    /// Where the node keeps its logs.
    pub fn log_dirs(self, home: &Path, disk: Option<&Path>) -> Vec<PathBuf> {
        let data = home.join("data");
        let on_disk = disk.map(|disk| disk.join("data"));
        match self.disks() {
            Disks::One => vec![data],
            Disks::OneOfItsOwn(_) => on_disk.into_iter().collect(),
            Disks::Several => vec![data, home.join("data-2")],
            Disks::OneMoreOfItsOwn(_) => [data].into_iter().chain(on_disk).collect(),
        }
    }

    /// Settings of the node beside those of every case.
    pub fn settings(self, home: &Path) -> String {
        let metadata = format!("metadata.log.dir={}\n", home.join("metadata").display());
        match self {
            Case::Io => metadata,
            // Small files are replaced often.
            Case::Rot => "log.retention.check.interval.ms=200\nlog.initial.task.delay.ms=100\n\
                          log.flush.offset.checkpoint.interval.ms=200\n"
                .to_owned(),
            Case::Names | Case::Power => "log.flush.offset.checkpoint.interval.ms=200\n\
                            log.flush.start.offset.checkpoint.interval.ms=200\n"
                .to_owned(),
            // Whoever keeps half an hour deletes nothing in a run of minutes, and looks often.
            Case::Clock => "log.retention.check.interval.ms=200\nlog.initial.task.delay.ms=100\n\
                            offsets.retention.minutes=30\noffsets.retention.check.interval.ms=10\n\
                            producer.id.expiration.check.interval.ms=500\n"
                .to_owned(),
            Case::Kill | Case::Term | Case::Stop | Case::Full | Case::ReadOnly | Case::Slow | Case::Mixed => {
                String::new()
            }
        }
    }

    pub fn topic_settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Case::Rot => &[("retention.ms", "1800000")],
            // Clients keep the right time, which to the node may lie a day ahead.
            Case::Clock => {
                &[("retention.ms", "1800000"), ("message.timestamp.after.max.ms", "9223372036854775807")]
            }
            Case::Kill
            | Case::Term
            | Case::Stop
            | Case::Power
            | Case::Full
            | Case::ReadOnly
            | Case::Io
            | Case::Slow
            | Case::Names
            | Case::Mixed => &[],
        }
    }

    pub fn environment(self, home: &Path) -> Fallible<BTreeMap<String, OsString>> {
        if self != Case::Clock {
            return Ok(BTreeMap::new());
        }
        clock::set(home, 0)?;
        let library = build(&CLOCK, home)?;
        let file = home.join(clock::FILE);
        Ok([("LD_PRELOAD", library), ("OTTLA_CHAOS_CLOCK", file)]
            .map(|(name, path)| (name.to_owned(), path.into_os_string()))
            .into())
    }

    /// Whether a node may log this line of level ERROR.
    pub fn expects(self, line: &str) -> bool {
        let words: &[&str] = match self {
            Case::ReadOnly => &["Read-only file system", "os error 30"],
            // Whether it may end so is judged where the call failed.
            Case::Io => &["Input/output error", "os error 5", "the node cannot go on without it"],
            Case::Full | Case::Mixed => &["No space left on device", "os error 28"],
            // Told once for each segment that is damaged.
            Case::Rot => &["damaged"],
            Case::Kill | Case::Term | Case::Stop | Case::Power | Case::Slow | Case::Clock | Case::Names => {
                &[]
            }
        };
        words.iter().any(|word| line.contains(word))
    }

    /// What is done between the start of the node and that of its clients.
    pub fn begin(self, home: &Path) -> Fallible<()> {
        if self == Case::Clock { clock::begin(home) } else { Ok(()) }
    }

    /// Lets its faults come, until time is over or there were enough of them.
    pub async fn act(self, stage: &mut Stage, plan: &Plan) -> Fallible<()> {
        match self {
            Case::Kill => process::kill(stage, plan.kills).await,
            Case::Term => process::term(stage).await,
            Case::Stop => process::stop(stage).await,
            Case::Power => storage::power(stage, plan.cuts).await,
            Case::Full => storage::full(stage).await,
            Case::ReadOnly => storage::read_only(stage).await,
            Case::Io => calls::io(stage).await,
            Case::Slow => calls::slow(stage).await,
            Case::Clock => clock::clock(stage).await,
            Case::Names => names::names(stage).await,
            Case::Rot => rot::rot(stage).await,
            Case::Mixed => mixed(stage).await,
        }
    }
}

/// Faults of many kinds, one after the other, in an order that the seed decides.
async fn mixed(stage: &mut Stage) -> Fallible<()> {
    while stage.goes_on(None) {
        process::some_moment(stage).await?;
        match stage.random.index(8) {
            0 | 1 => process::kill_once(stage)?,
            2 | 3 => storage::cut_power(stage).await?,
            4 => process::stop_cleanly(stage).await?,
            5 => process::stand_still(stage).await?,
            6 => storage::fill_disk(stage).await?,
            _ => calls::slow_disk(stage).await?,
        }
    }
    Ok(())
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
