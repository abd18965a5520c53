//! The cases: one kind of fault each, and one with all of them.
//!
//! Owns: their names, what each needs of the machine and of the node, which errors a node may log. Does not own: the faults
//! (one module per kind), what happens before and after (`stage`).

mod process;
mod storage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::Fallible;
use crate::arguments::Plan;
use crate::stage::Stage;
use crate::volume;

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
}

impl Case {
    pub const ALL: [Case; 4] = [Case::Kill, Case::Term, Case::Stop, Case::Power];

    pub fn name(self) -> &'static str {
        match self {
            Case::Kill => "kill",
            Case::Term => "term",
            Case::Stop => "stop",
            Case::Power => "power",
        }
    }

    pub fn of_name(name: &str) -> Fallible<Case> {
        let found = Case::ALL.into_iter().find(|case| case.name() == name);
        let names: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
        found.ok_or_else(|| format!("'{name}' is no case; there are {}", names.join(", ")).into())
    }

    /// Why this machine cannot run it, if so.
    pub fn missing(self, work: &Path) -> Option<String> {
        self.volume_mebibytes().and_then(|_| volume::missing(&work.join("probe")))
    }

    /// Size of the file system that it needs.
    pub fn volume_mebibytes(self) -> Option<u64> {
        match self {
            Case::Kill | Case::Term | Case::Stop => None,
            Case::Power => Some(1024),
        }
    }

    /// Where the node keeps its logs: in a directory, or on a file system of its own.
    pub fn log_dirs(self, directory: &Path, disk: Option<&Path>) -> Vec<PathBuf> {
        vec![disk.map_or_else(|| directory.to_owned(), |disk| disk.join("data"))]
    }

    /// Settings of the node beside those of every case.
    pub fn settings(self) -> &'static str {
        ""
    }

    pub fn topic_settings(self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    pub fn environment(self, _home: &Path) -> Fallible<BTreeMap<String, OsString>> {
        Ok(BTreeMap::new())
    }

    /// Whether a node may log this line of level ERROR.
    pub fn expects(self, _line: &str) -> bool {
        false
    }

    /// Lets its faults come, until time is over or there were enough of them.
    pub async fn act(self, stage: &mut Stage, plan: &Plan) -> Fallible<()> {
        match self {
            Case::Kill => process::kill(stage, plan.kills).await,
            Case::Term => process::term(stage).await,
            Case::Stop => process::stop(stage).await,
            Case::Power => storage::power(stage, plan.cuts).await,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
