//! `ottla-attack confined GROUP COMMAND...`: runs a command with little memory, and no longer than its parent.
//!
//! Owns: the control group of memory (version 1 or 2), where one can be made. Does not own: the command.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::Fallible;

/// What a node may have in all, page cache included.
pub const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// Where groups are made, and the file that holds a group's limit.
const PLACES: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A control group that goes with the value.
#[derive(Debug)]
pub struct Group(pub PathBuf);

impl Group {
    /// A group with the limit, or `None` where the system lets nobody make one.
    pub fn make() -> Option<Group> {
        let name = format!("ottla-attack-{}", std::process::id());
        PLACES.iter().find_map(|(place, limit)| {
            let group = Path::new(place).join(&name);
            // Left over by a process of the same number, or new.
            let made = group.is_dir() || fs::create_dir(&group).is_ok();
            let group = made.then_some(Group(group))?;
            fs::write(group.0.join(limit), MEMORY_BYTES_MAX.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // While a process is still ending in it, it stays; it is empty then.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Becomes the command; comes back only with an error. The first word is the group's directory, or `-`.
pub fn become_command(arguments: &[String]) -> Fallible<()> {
    let [group, program, rest @ ..] = arguments else {
        return Err("confined needs a group and a command".into());
    };
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if group != "-" {
        let file = Path::new(group).join("cgroup.procs");
        fs::write(&file, std::process::id().to_string())
            .map_err(|error| format!("cannot enter {}: {error}", file.display()))?;
    }
    let error = Command::new(program).args(rest).exec();
    Err(format!("cannot run {program}: {error}").into())
}
