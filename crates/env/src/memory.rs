//! How much memory this process may use.
//!
//! Owns: reading the limits of the control groups (both versions) and of the machine.
//! Does not own: what is done with it (`queued.max.request.bytes` = −1 takes a quarter).
//!
//! A group's limit counts, and so do those of all groups around it; the smallest wins. Inside a container the
//! path in `/proc/self/cgroup` may name a group that only the host can see: then the root of the mount is ours.
//!
//! Source: Linux kernel documentation, cgroup-v2 "memory.max", cgroup-v1 "memory.limit_in_bytes".

use std::path::{Path, PathBuf};

/// What limits the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A control group (container, systemd unit).
    ControlGroup,
    /// The machine's memory.
    Machine,
}

/// Memory this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub bytes: u64,
    pub bound: Bound,
}

/// What is assumed where the system tells nothing: small enough to be there.
const UNKNOWN_BYTES: u64 = 1 << 30;

/// Memory this process may use, asked anew at each call.
pub fn usable() -> Memory {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    smaller(machine_bytes().unwrap_or(UNKNOWN_BYTES), group_bytes(&read))
}

fn smaller(machine: u64, group: Option<u64>) -> Memory {
    match group {
        Some(bytes) if bytes < machine => Memory { bytes, bound: Bound::ControlGroup },
        Some(_) | None => Memory { bytes: machine, bound: Bound::Machine },
    }
}

fn machine_bytes() -> Option<u64> {
    // SAFETY: both calls take a constant, return a number and touch no memory of ours.
    #[allow(unsafe_code, reason = "the standard library does not tell the size of the memory")]
    let (pages, page_bytes) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(page_bytes).ok()?).filter(|bytes| *bytes > 0)
}

/// The smallest limit of the process's control groups; `read` gives a file's text.
fn group_bytes(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    groups.lines().filter_map(|line| limit_of_line(line, read)).min()
}

/// A line is `number:controllers:path`; version 2 has number 0 and no controllers.
fn limit_of_line(line: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, file) = if number == "0" && controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let limit_in = |group: PathBuf| -> Option<u64> {
        // Version 2 writes `max` for no limit, which is no number; version 1 a number beyond all memory.
        read(&group.join(file))?.trim().parse().ok()
    };
    Path::new(path)
        .ancestors()
        .filter_map(|part| limit_in(Path::new(mount).join(part.strip_prefix("/").unwrap_or(part))))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> Option<u64> {
        group_bytes(&|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        let files = [
            ("/proc/self/cgroup", "0::/a.slice/b.service\n"),
            ("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/a.slice/memory.max", "4096\n"),
            ("/sys/fs/cgroup/memory.max", "8192\n"),
        ];
        assert_eq!(group(&files), Some(4096));
        assert_eq!(group(&files[..2]), None);
    }

    #[test]
    fn a_container_that_cannot_see_its_path_reads_the_root_of_the_mount() {
        let version_1 = [
            ("/proc/self/cgroup", "12:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        ];
        assert_eq!(group(&version_1), Some(536_870_912));
        let version_2 = [("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "100\n")];
        assert_eq!(group(&version_2), Some(100));
    }

    #[test]
    fn nonsense_is_no_limit() {
        assert_eq!(group(&[]), None);
        assert_eq!(group(&[("/proc/self/cgroup", "\n:\n0:\nx:y:z\n")]), None);
        let negative = [("/proc/self/cgroup", "0::/"), ("/sys/fs/cgroup/memory.max", "-1")];
        assert_eq!(group(&negative), None);
    }

    #[test]
    fn the_machine_wins_over_a_limit_beyond_it() {
        assert_eq!(smaller(10, Some(11)), Memory { bytes: 10, bound: Bound::Machine });
        assert_eq!(smaller(10, Some(9)), Memory { bytes: 9, bound: Bound::ControlGroup });
        assert_eq!(smaller(10, None), Memory { bytes: 10, bound: Bound::Machine });
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(usable().bytes > 1 << 20);
    }
}
