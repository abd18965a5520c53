//! `RealDisk` on the file system of the temporary directory.

use std::io::{ErrorKind, IoSlice};
use std::process::Command;

use ottla_env::disk::{Disk, OpenMode, RealDisk};

use crate::scratch::Scratch;

/// Tells the second run of this test binary which lock file to try.
const LOCK_CHILD: &str = "OTTLA_TEST_LOCK_CHILD";

#[test]
fn open_modes_differ_in_what_they_do_with_a_file_that_is_there_or_not() {
    let dir = Scratch::new();
    let disk = RealDisk;
    let path = dir.join("f");
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert_eq!(disk.open(&path, mode).unwrap_err().kind(), ErrorKind::NotFound);
    }
    disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at(b"abc", 0).unwrap();
    assert_eq!(disk.open(&path, OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.open(&path, OpenMode::Create).unwrap().len().unwrap(), 3);
    let read_only = disk.open(&path, OpenMode::Read).unwrap();
    assert!(read_only.write_all_at(b"x", 0).is_err());
    assert!(disk.open(&path, OpenMode::Truncate).unwrap().is_empty().unwrap());
}

#[test]
fn slices_beyond_the_limit_of_one_call_are_written_behind_one_another() {
    let dir = Scratch::new();
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let slices: Vec<IoSlice<'_>> = bytes.chunks(2).map(IoSlice::new).collect();
    assert!(slices.len() > 2_048);

    file.write_all_vectored_at(&slices, 7).unwrap();
    file.write_all_vectored_at(&[], 7).unwrap();
    file.write_all_vectored_at(&[IoSlice::new(b"")], 7).unwrap();

    assert_eq!(file.len().unwrap(), 5_007);
    let mut got = vec![1; 6_000];
    assert_eq!(file.read_at(&mut got, 0).unwrap(), 5_007);
    assert_eq!(got[..7], [0; 7]);
    assert_eq!(got[7..5_007], bytes[..]);
}

#[test]
fn a_read_is_short_only_at_the_end_of_the_file() {
    let dir = Scratch::new();
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(b"hello", 0).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 5).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 500).unwrap(), 0);
}

#[test]
fn fresh_bytes_are_resident_and_can_be_read_without_waiting() {
    let dir = Scratch::new();
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[7; 100_000], 0).unwrap();
    let mut buffer = [0; 50_000];
    assert_eq!(file.read_at_resident(&mut buffer, 10).unwrap(), 50_000);
    assert_eq!(buffer, [7; 50_000]);
    assert!(file.is_resident(10, 99_990).unwrap());
    assert!(file.is_resident(0, 0).unwrap());
}

#[test]
fn hints_change_neither_length_nor_content() {
    let dir = Scratch::new();
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    file.reserve(0, 1 << 20).unwrap();
    file.reserve(0, 0).unwrap();
    file.start_writeback(0, 1 << 20).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    file.forget_cached(0, 4096).unwrap();
    file.forget_cached(0, 0).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
}

#[test]
fn a_longer_length_is_filled_with_zeros() {
    let dir = Scratch::new();
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    file.set_len(1).unwrap();
    file.set_len(4).unwrap();
    let mut buffer = [9; 4];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 4);
    assert_eq!(&buffer, b"a\0\0\0");
}

#[test]
fn a_modification_time_is_kept_to_the_millisecond() {
    let dir = Scratch::new();
    let path = dir.join("f");
    let file = RealDisk.open(&path, OpenMode::Create).unwrap();
    for millis in [1_700_000_000_123, 0, 1] {
        file.set_modified_ms(millis).unwrap();
        assert_eq!(RealDisk.metadata(&path).unwrap().modified_ms, millis);
    }
}

#[test]
fn entries_are_sorted_and_tell_files_from_directories() {
    let dir = Scratch::new();
    let disk = RealDisk;
    disk.create_dir_all(&dir.join("b/inner")).unwrap();
    disk.create_dir_all(&dir.join("b/inner")).unwrap();
    disk.open(&dir.join("c"), OpenMode::Create).unwrap().write_all_at(b"12", 0).unwrap();
    disk.open(&dir.join("a"), OpenMode::Create).unwrap();
    std::os::unix::fs::symlink(dir.join("b"), dir.join("linked")).unwrap();
    std::os::unix::fs::symlink(dir.join("missing"), dir.join("broken")).unwrap();
    disk.sync_dir(dir.path()).unwrap();

    let entries = disk.read_dir(dir.path()).unwrap();

    let got: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect();
    assert_eq!(got, [("a", false), ("b", true), ("c", false), ("linked", true)]);
    assert_eq!(disk.metadata(&dir.join("c")).unwrap().len, 2);
    assert!(disk.is_dir(&dir.join("b")).unwrap());
    assert!(!disk.is_dir(&dir.join("c")).unwrap());
    assert!(!disk.is_dir(&dir.join("missing")).unwrap());
    assert_eq!(disk.read_dir(&dir.join("missing")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_rename_replaces_and_a_removal_takes_the_tree() {
    let dir = Scratch::new();
    let disk = RealDisk;
    disk.create_dir_all(&dir.join("d")).unwrap();
    disk.open(&dir.join("d/old"), OpenMode::Create).unwrap().write_all_at(b"new", 0).unwrap();
    disk.open(&dir.join("d/target"), OpenMode::Create).unwrap();
    disk.rename(&dir.join("d/old"), &dir.join("d/target")).unwrap();
    assert!(!disk.exists(&dir.join("d/old")).unwrap());
    assert_eq!(disk.metadata(&dir.join("d/target")).unwrap().len, 3);
    disk.remove_file(&dir.join("d/target")).unwrap();
    assert_eq!(disk.remove_file(&dir.join("d/target")).unwrap_err().kind(), ErrorKind::NotFound);
    disk.remove_dir_all(&dir.join("d")).unwrap();
    assert!(!disk.exists(&dir.join("d")).unwrap());
}

#[test]
fn the_space_of_a_file_system_is_told() {
    let dir = Scratch::new();
    let space = RealDisk.space(dir.path()).unwrap();
    assert!(space.total > 0 && space.usable <= space.total);
    assert!(RealDisk.space(&dir.join("missing")).is_err());
}

#[test]
fn a_lock_is_held_against_this_process_by_whatever_name() {
    let dir = Scratch::new();
    let disk = RealDisk;
    disk.create_dir_all(&dir.join("data")).unwrap();
    std::os::unix::fs::symlink(dir.join("data"), dir.join("link")).unwrap();

    let held = disk.try_lock(&dir.join("data/.lock")).unwrap();
    assert!(held.is_some());
    for name in ["data/.lock", "link/.lock", "data/../data/.lock"] {
        assert!(disk.try_lock(&dir.join(name)).unwrap().is_none(), "{name}");
    }
    assert!(disk.try_lock(&dir.join("data/other")).unwrap().is_some());
    drop(held);
    assert!(disk.try_lock(&dir.join("link/.lock")).unwrap().is_some());
}

#[test]
fn a_lock_file_that_cannot_be_made_is_an_error() {
    let dir = Scratch::new();
    assert_eq!(RealDisk.try_lock(&dir.join("missing/.lock")).unwrap_err().kind(), ErrorKind::NotFound);
}

/// The child is this test binary again. A refused attempt inside this process in between must not have
/// released the lock, as closing a descriptor of the file would.
#[test]
fn a_lock_is_held_against_other_processes_until_it_is_dropped() {
    let dir = Scratch::new();
    let path = dir.join(".lock");
    let child_gets_it = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "disk::a_child_process_says_whether_it_got_the_lock", "--nocapture"])
            .env(LOCK_CHILD, &path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("child: "), "{text}");
        text.contains("child: got it")
    };
    let held = RealDisk.try_lock(&path).unwrap();
    assert!(held.is_some());
    assert!(!child_gets_it());
    assert!(RealDisk.try_lock(&path).unwrap().is_none());
    assert!(!child_gets_it());
    drop(held);
    assert!(child_gets_it());
}

/// The body of the child process above; without its variable there is nothing to say.
#[test]
fn a_child_process_says_whether_it_got_the_lock() {
    let Some(path) = std::env::var_os(LOCK_CHILD) else { return };
    let held = RealDisk.try_lock(path.as_ref()).unwrap();
    println!("child: {}", if held.is_some() { "got it" } else { "refused" });
}
