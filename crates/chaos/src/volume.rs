//! A file system of its own for a node's data: ext4 on a loop device on memory, which can be cut off, filled and made
//! read-only.
//!
//! Owns: making, damaging and removing it, also what an earlier run left. Does not own: the node on it.
//!
//! The order of a power cut is: the node is stopped (SIGSTOP), the file system is cut off, the node is killed, the file system
//! is mounted anew. Without the stop, a flush that is under way at the cut may still answer that all is well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::Fallible;
use crate::native::{CUT, build};

/// Tries to unmount while the last files of a process that has ended are being closed.
const UNMOUNT_TRIES: u32 = 100;

/// A mounted volume. Dropping it unmounts it and gives everything back.
#[derive(Debug)]
pub struct Volume {
    /// Holds the memory and the mount point.
    home: PathBuf,
    /// `None` until it is made.
    device: Option<String>,
    /// Cuts a file system off.
    cut: PathBuf,
}

impl Volume {
    /// Makes a volume of so many mebibytes in the directory `home`.
    pub fn make(home: &Path, mebibytes: u64) -> Fallible<Volume> {
        remove_leftovers(home)?;
        let (memory, mount) = (home.join("memory"), home.join("disk"));
        fs::create_dir_all(&memory)?;
        fs::create_dir_all(&mount)?;
        let cut = build(&CUT, home)?;
        let size = format!("size={}m", mebibytes + 8);
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text_of(&memory)?])?;
        // From here on all that was made is given back, whatever fails.
        let mut volume = Volume { home: home.to_owned(), device: None, cut };
        let image = memory.join("image");
        fs::File::create(&image)?.set_len(mebibytes * 1024 * 1024)?;
        let device = run("losetup", &["--find", "--show", text_of(&image)?])?.trim().to_owned();
        volume.device = Some(device.clone());
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", &device])?;
        volume.mount()?;
        Ok(volume)
    }

    /// Where its files are.
    pub fn directory(&self) -> PathBuf {
        self.home.join("disk")
    }

    fn mount(&self) -> Fallible<()> {
        let device = self.device.as_deref().ok_or("the volume has no device")?;
        run("mount", &["-t", "ext4", device, text_of(&self.directory())?]).map(|_| ())
    }

    /// From now on nothing reaches the device.
    pub fn cut_off(&self) -> Fallible<()> {
        run(text_of(&self.cut)?, &[text_of(&self.directory())?]).map(|_| ())
    }

    /// Mounts it anew: the journal is replayed, what was not flushed is gone.
    pub fn mount_again(&self) -> Fallible<()> {
        unmount(&self.directory())?;
        self.mount()
    }

    /// As after an error of the file system: from now on everything that writes fails with EROFS, also through files that
    /// are open. What was flushed is on the device; [`Volume::mount_again`] ends it.
    pub fn make_read_only(&self) -> Fallible<()> {
        run("mount", &["-o", "remount,abort", text_of(&self.directory())?]).map(|_| ())
    }

    /// Takes all space but so many kibibytes with a file of its own.
    pub fn fill(&self, left_kibibytes: u64) -> Fallible<()> {
        let status = rustix::fs::statvfs(self.directory())?;
        let free = status.f_bavail * status.f_frsize;
        let bytes = free.saturating_sub(left_kibibytes * 1024).to_string();
        let ballast = self.directory().join("ballast");
        run("fallocate", &["-l", &bytes, text_of(&ballast)?]).map(|_| ())
    }

    /// Gives the space back that [`Volume::fill`] took.
    pub fn make_room(&self) -> Fallible<()> {
        Ok(fs::remove_file(self.directory().join("ballast"))?)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // In this order; each step may have been done by a fault already.
        let _ = unmount(&self.directory());
        if let Some(device) = &self.device {
            let _ = run("losetup", &["--detach", device]);
        }
        let _ = unmount(&self.home.join("memory"));
    }
}

/// Why this machine cannot make volumes, if so.
pub fn missing(home: &Path) -> Option<String> {
    Volume::make(home, 16).err().map(|error| format!("no ext4 on a loop device on memory: {error}"))
}

/// Unmounts everything below a directory and detaches its loop devices: what a run left that was killed itself.
pub fn remove_leftovers(below: &Path) -> Fallible<()> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut mounts: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .filter(|(_, place)| Path::new(place).starts_with(below))
        .collect();
    // The deepest and latest first.
    mounts.reverse();
    mounts.sort_by_key(|(_, place)| std::cmp::Reverse(place.len()));
    for (_, place) in &mounts {
        if place.ends_with("/disk") {
            unmount(Path::new(place))?;
        }
    }
    for line in run("losetup", &["--list", "--noheadings", "--output", "NAME,BACK-FILE"])?.lines() {
        let mut words = line.split_whitespace();
        if let (Some(device), Some(file)) = (words.next(), words.next())
            && Path::new(file).starts_with(below)
        {
            run("losetup", &["--detach", device])?;
        }
    }
    for (_, place) in &mounts {
        if !place.ends_with("/disk") {
            unmount(Path::new(place))?;
        }
    }
    Ok(())
}

fn unmount(place: &Path) -> Fallible<()> {
    let place = text_of(place)?;
    let mut tried = run("umount", &[place]);
    for _ in 0..UNMOUNT_TRIES {
        match &tried {
            Err(error) if error.to_string().contains("busy") => {
                thread::park_timeout(Duration::from_millis(10));
                tried = run("umount", &[place]);
            }
            Ok(_) | Err(_) => break,
        }
    }
    tried.map(|_| ())
}

fn text_of(path: &Path) -> Fallible<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}

/// Runs a command of the system; answers what it printed.
fn run(program: &str, arguments: &[&str]) -> Fallible<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("cannot run {program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("{program} {}: {said}", arguments.join(" ")).into())
        }
    }
}
