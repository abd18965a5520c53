//! The simulated disk under power cuts, kills and failing devices.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::clock::Clock;
use ottla_env::disk::{Disk, OpenMode};
use ottla_model::Timestamp;
use ottla_testkit::clock::SimClock;
use ottla_testkit::disk::{Counts, Delays, SimDisk};

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.prepare_dir(Path::new("/data")).expect("nothing fails yet");
    disk
}

fn write(disk: &SimDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(Path::new(path), OpenMode::Truncate).expect("nothing fails yet");
    file.write_all_at(bytes, 0).expect("nothing fails yet");
}

fn sync(disk: &SimDisk, path: &str) {
    let file = disk.open(Path::new(path), OpenMode::Write).expect("nothing fails yet");
    file.sync_data().expect("nothing fails yet");
}

fn read(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().expect("a handle is alive")).expect("it is small")];
    file.read_at(&mut bytes, 0).expect("the bytes are readable");
    Some(bytes)
}

/// The results of crashing with many seeds after `prepare`.
fn after_crashes<T: Ord>(prepare: impl Fn(&SimDisk), look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    let crash = |seed| {
        let disk = disk();
        prepare(&disk);
        disk.crash(seed);
        look(&disk)
    };
    (0..100).map(crash).collect()
}

/// Reliability 2.1, rule (c): write aside, sync, rename, sync the directory.
#[test]
fn a_file_replaced_by_the_book_is_the_old_or_the_new_one_and_after_the_last_step_the_new_one() {
    for (finished, expected) in [(false, vec!["new", "old"]), (true, vec!["new"])] {
        let found = after_crashes(
            |disk| {
                write(disk, "/data/checkpoint", b"old");
                sync(disk, "/data/checkpoint");
                disk.sync_dir(Path::new("/data")).unwrap();
                write(disk, "/data/checkpoint.tmp", b"new");
                sync(disk, "/data/checkpoint.tmp");
                disk.rename(Path::new("/data/checkpoint.tmp"), Path::new("/data/checkpoint")).unwrap();
                if finished {
                    disk.sync_dir(Path::new("/data")).unwrap();
                }
            },
            |disk| String::from_utf8(read(disk, "/data/checkpoint").unwrap()).unwrap(),
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_rename_before_the_sync_of_the_bytes_may_leave_an_empty_file() {
    let found = after_crashes(
        |disk| {
            write(disk, "/data/checkpoint.tmp", b"new");
            disk.rename(Path::new("/data/checkpoint.tmp"), Path::new("/data/checkpoint")).unwrap();
            disk.sync_dir(Path::new("/data")).unwrap();
        },
        |disk| read(disk, "/data/checkpoint"),
    );
    assert!(found.contains(&Some(Vec::new())));
    assert!(found.contains(&Some(b"new".to_vec())));
}

#[test]
fn a_synced_file_is_lost_with_its_unsynced_name_or_directory() {
    for (path, synced_dirs) in [("/data/f", &[][..]), ("/data/t-0/f", &["/data/t-0"][..])] {
        let found = after_crashes(
            |disk| {
                disk.create_dir_all(Path::new(path).parent().unwrap()).unwrap();
                write(disk, path, b"x");
                sync(disk, path);
                synced_dirs.iter().for_each(|dir| disk.sync_dir(Path::new(dir)).unwrap());
            },
            |disk| read(disk, path).is_some(),
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [false, true], "{path}");
    }
}

#[test]
fn a_moved_directory_is_at_one_of_its_two_places_with_all_that_is_in_it() {
    let found = after_crashes(
        |disk| {
            disk.prepare_dir(Path::new("/data/t-0")).unwrap();
            write(disk, "/data/t-0/log", b"x");
            sync(disk, "/data/t-0/log");
            disk.sync_dir(Path::new("/data/t-0")).unwrap();
            disk.rename(Path::new("/data/t-0"), Path::new("/data/t-0-delete")).unwrap();
        },
        |disk| (read(disk, "/data/t-0/log").is_some(), read(disk, "/data/t-0-delete/log").is_some()),
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(false, true), (true, false)]);
}

#[test]
fn an_unsynced_removal_may_come_back() {
    let found = after_crashes(
        |disk| {
            write(disk, "/data/f", b"x");
            sync(disk, "/data/f");
            disk.sync_dir(Path::new("/data")).unwrap();
            disk.remove_file(Path::new("/data/f")).unwrap();
        },
        |disk| read(disk, "/data/f"),
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [None, Some(b"x".to_vec())]);
}

#[test]
fn a_killed_process_loses_handles_and_locks_but_no_bytes() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), OpenMode::Create).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    let lock = disk.try_lock(Path::new("/data/.lock")).unwrap().unwrap();
    assert!(disk.try_lock(Path::new("/data/../data/.lock")).unwrap().is_none());

    disk.kill();

    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(file.sync_data().is_err());
    let second = disk.try_lock(Path::new("/data/.lock")).unwrap();
    assert!(second.is_some());
    // The guard of the dead process must not release the lock of the living one.
    drop(lock);
    assert!(disk.try_lock(Path::new("/data/.lock")).unwrap().is_none());
    assert_eq!(read(&disk, "/data/f").unwrap(), b"abc");
    assert!(!disk.is_synced(Path::new("/data/f")).unwrap());
}

#[test]
fn equal_seeds_leave_equal_bytes() {
    let run = |seed| {
        let disk = disk();
        for at in 0..20_u64 {
            write(&disk, &format!("/data/{at}"), &[7; 10_000]);
            if at % 3 == 0 {
                sync(&disk, &format!("/data/{at}"));
            }
        }
        disk.crash(seed);
        (0..20).map(|at| read(&disk, &format!("/data/{at}"))).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn the_nth_sync_fails_and_the_next_one_succeeds_without_the_data() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), OpenMode::Create).unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    disk.fail_sync(2);
    file.write_all_at(b"a", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"b", 0).unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    disk.crash(0);
    assert_eq!(read(&disk, "/data/f").unwrap(), b"a");
}

#[test]
fn a_full_disk_takes_what_fits_and_works_again_when_space_returns() {
    let disk = disk();
    disk.limit_space(Some(3 * 4096));
    let file = disk.open(Path::new("/data/f"), OpenMode::Create).unwrap();
    let error = file.write_all_at(&[1; 20_000], 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 3 * 4096);
    let space = disk.space(Path::new("/data")).unwrap();
    assert_eq!((space.total, space.usable), (3 * 4096, 0));
    assert_eq!(file.reserve(0, 1).unwrap_err().kind(), ErrorKind::StorageFull);

    disk.limit_space(None);
    file.write_all_at(&[2; 20_000], 0).unwrap();
    assert_eq!(file.len().unwrap(), 20_000);
}

#[test]
fn a_read_only_disk_reads_and_a_device_that_is_gone_does_nothing() {
    let disk = disk();
    write(&disk, "/data/f", b"x");
    disk.set_read_only(true);
    let file = disk.open(Path::new("/data/f"), OpenMode::Write).unwrap();
    assert_eq!(file.write_all_at(b"y", 0).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    let error = disk.open(Path::new("/data/new"), OpenMode::Create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(read(&disk, "/data/f").unwrap(), b"x");
    disk.set_gone(true);
    assert_eq!(disk.exists(Path::new("/data/f")).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(file.read_at(&mut [0], 0).unwrap_err().raw_os_error(), Some(5));
}

#[test]
fn unreadable_ranges_follow_the_file_and_spare_the_rest() {
    let disk = disk();
    write(&disk, "/data/f", &[1; 100]);
    disk.fail_reads(Path::new("/data/f"), 10..20).unwrap();
    disk.rename(Path::new("/data/f"), Path::new("/data/g")).unwrap();
    let file = disk.open(Path::new("/data/g"), OpenMode::Read).unwrap();
    assert_eq!(file.read_at(&mut [0; 10], 0).unwrap(), 10);
    assert_eq!(file.read_at(&mut [0; 11], 0).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(file.read_at(&mut [0; 80], 20).unwrap(), 80);
    disk.damage(Path::new("/data/g"), 5, b"!").unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, 5).unwrap();
    assert_eq!(&byte, b"!");
}

#[test]
fn after_a_power_cut_nothing_works_until_the_crash_is_over() {
    let disk = disk();
    let file = disk.open(Path::new("/data/f"), OpenMode::Create).unwrap();
    disk.cut_power_after(2);
    file.write_all_at(b"a", 0).unwrap();
    file.sync_data().unwrap();
    assert!(file.write_all_at(b"b", 0).is_err());
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(disk.sync_dir(Path::new("/data")).is_err());
    disk.crash(3);
    assert!(disk.is_dir(Path::new("/data")).unwrap());
    disk.open(Path::new("/data/f"), OpenMode::Create).unwrap().write_all_at(b"c", 0).unwrap();
}

#[test]
fn calls_are_counted_and_a_slow_disk_moves_the_clock() {
    let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_000)));
    let disk = SimDisk::with_clock(0, Arc::clone(&clock));
    disk.prepare_dir(Path::new("/d")).unwrap();
    let before = disk.counts();
    disk.slow_down(Delays {
        read: Duration::from_millis(1),
        write: Duration::from_millis(10),
        sync: Duration::from_millis(100),
    });
    let file = disk.open(Path::new("/d/f"), OpenMode::Create).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    file.read_at(&mut [0; 3], 0).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();

    let counts = disk.counts();
    let expected = Counts {
        opens: before.opens + 1,
        reads: 1,
        writes: 1,
        bytes_written: 3,
        syncs: 1,
        dir_syncs: before.dir_syncs + 1,
        names: before.names + 1,
        ..before
    };
    assert_eq!(counts, expected);
    assert_eq!(clock.now(), Timestamp::from_millis(1_211));
    assert_eq!(disk.metadata(Path::new("/d/f")).unwrap().modified_ms, 1_010);
}
