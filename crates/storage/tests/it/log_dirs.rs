//! Data directories: lock, identity, the mark of a clean stop, what lies in them, failure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{Disk, OpenMode};
use ottla_model::{BrokerEpoch, BrokerId, ClusterId, DirectoryId, Uuid};
use ottla_storage::{FileCache, LogConfig, LogDir, LogDirError, LogOptions, MetaProperties, choose_log_dir};
use ottla_testkit::disk::SimDisk;

use crate::place::{as_client, batch_at_times, offset, partition, time, topic_id};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";

fn options() -> LogOptions {
    LogOptions { config: Arc::new(LogConfig::default()), now: time(0), producer_expiration_ms: i64::MAX }
}

fn open(disk: &SimDisk, path: &str) -> Result<LogDir, LogDirError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    LogDir::open(FileCache::new(disk, 8), PathBuf::from(path))
}

fn write(disk: &SimDisk, path: &str, text: &str) {
    let file = disk.open(Path::new(path), OpenMode::Truncate).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
}

/// 8.1: `.lock`
#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let disk = SimDisk::new(0);
    let first = open(&disk, "/d").unwrap();
    let refused = open(&disk, "/d").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Failed to acquire lock on file .lock in /d. A Kafka instance in another process or thread is using \
         this directory."
    );
    drop(first);
    open(&disk, "/d").unwrap();
}

/// 8.1: `meta.properties`
#[test]
fn a_directory_knows_whose_it_is() {
    let disk = SimDisk::new(0);
    let dir = open(&disk, "/d").unwrap();
    assert_eq!(dir.meta().unwrap(), None);
    let meta = MetaProperties {
        cluster_id: ClusterId::new("c").unwrap(),
        node_id: BrokerId::new(1).unwrap(),
        directory_id: Some(DirectoryId(Uuid::from_bytes([5; 16]))),
    };
    dir.write_meta(&meta, time(0)).unwrap();
    assert_eq!(dir.meta().unwrap(), Some(meta.clone()));
    let foreign = meta.check(&ClusterId::new("d").unwrap(), meta.node_id).unwrap_err();
    assert_eq!(foreign.to_string(), "it belongs to cluster 'c', this node to cluster 'd'");
    write(&disk, "/d/meta.properties", "version=1\n");
    assert!(matches!(dir.meta(), Err(LogDirError::Meta { .. })));
}

/// 8.1, LOG-04, KIP-966: the mark is there exactly between a clean stop and the next start.
#[test]
fn the_mark_of_a_clean_stop_is_taken_away_at_the_start() {
    let disk = SimDisk::new(0);
    let mut dir = open(&disk, "/d").unwrap();
    dir.begin().unwrap();
    assert!(!dir.was_clean());
    let mut log = dir.create_log(partition("t", 0), topic_id(TOPIC_ID), &options()).unwrap();
    log.append_as_leader(&mut batch_at_times(&[1, 2]), &as_client(0)).unwrap();
    let closed = log.close().unwrap();
    let name = partition("t", 0);
    dir.write_recovery_points([(&name, closed.log_end)]).unwrap();
    dir.write_high_watermarks([(&name, closed.log_end)]).unwrap();
    dir.write_log_starts([]).unwrap();
    dir.end(BrokerEpoch::new(15)).unwrap();
    let mut dir = open(&disk, "/d").unwrap();
    assert!(dir.begin().unwrap().is_empty());
    assert!(dir.was_clean());
    assert_eq!(dir.last_broker_epoch(), BrokerEpoch::new(15));
    assert_eq!(dir.last_high_watermark(&name), Some(offset(2)));
    let found = dir.list().unwrap().logs;
    let (log, report) = dir.open_log(&found[0], &options()).unwrap();
    assert_eq!((log.log_end(), log.flushed(), report.cut), (offset(2), offset(2), None));
    assert_eq!(dir.log_count(), 1);
    drop(dir);
    let mut dir = open(&disk, "/d").unwrap();
    dir.begin().unwrap();
    assert!(!dir.was_clean(), "it was not ended");
}

/// LOG-04: a checkpoint that cannot be read only costs time.
#[test]
fn a_malformed_checkpoint_counts_as_empty() {
    let disk = SimDisk::new(0);
    let mut dir = open(&disk, "/d").unwrap();
    for (text, line) in [
        ("1\n0\n", 1),
        ("0\n", 2),
        ("0\nx\n", 2),
        ("0\n2\nt 0 5\n", 2),
        ("0\n1\nt 0\n", 3),
        ("0\n1\nt 0 -5\n", 3),
        ("0\n1\n../t 0 5\n", 3),
        ("0\n1\nt 0 5 6\n", 3),
    ] {
        write(&disk, "/d/recovery-point-offset-checkpoint", text);
        let warnings: Vec<String> = dir.begin().unwrap().iter().map(ToString::to_string).collect();
        let expected = format!("/d/recovery-point-offset-checkpoint is no checkpoint file: line {line}");
        assert!(warnings.len() == 1 && warnings[0].starts_with(&expected), "{text:?}: {warnings:?}");
    }
    write(&disk, "/d/recovery-point-offset-checkpoint", "0\n1\nt 0 5\n");
    assert!(dir.begin().unwrap().is_empty());
}

/// 8.1: only directories of partitions are ours.
#[test]
fn the_listing_tells_partitions_by_their_stage() {
    let disk = SimDisk::new(0);
    let unique = "4503e49e659d45bbbdec309b08ebb6ce";
    for name in ["t-0", "__cluster_metadata-0", "remote_log_index_cache", "x", "t-1.tmp"] {
        disk.create_dir_all(&Path::new("/d").join(name)).unwrap();
    }
    for stage in ["delete", "future", "stray"] {
        disk.create_dir_all(&Path::new("/d").join(format!("t-2.{unique}-{stage}"))).unwrap();
    }
    write(&disk, "/d/t-9", "a file");
    let dir = open(&disk, "/d").unwrap();
    let listing = dir.list().unwrap();
    let logs: Vec<String> = listing.logs.iter().map(|found| found.partition.to_string()).collect();
    assert_eq!(logs, ["__cluster_metadata-0", "t-0"]);
    assert_eq!((listing.deleted.len(), listing.future.len(), listing.stray.len()), (1, 1, 1));
    for deleted in listing.deleted {
        deleted.remove().unwrap();
    }
    assert!(dir.list().unwrap().deleted.is_empty());
}

/// LOG-07, LOG-08
#[test]
fn new_partitions_go_to_the_directory_with_the_fewest_that_has_not_failed() {
    let disk = SimDisk::new(0);
    let dirs: Vec<Arc<LogDir>> =
        ["/a", "/b", "/c"].iter().map(|path| Arc::new(open(&disk, path).unwrap())).collect();
    let mut logs = Vec::new();
    let mut chosen = Vec::new();
    for at in 0..7 {
        if at == 4 {
            assert!(dirs[1].fail(&std::io::Error::other("broken")));
            assert!(!dirs[1].fail(&std::io::Error::other("again")), "the first reason counts");
        }
        let dir = choose_log_dir(&dirs).unwrap();
        chosen.push(dir.path().display().to_string());
        logs.push(dir.create_log(partition("t", at), topic_id(TOPIC_ID), &options()).unwrap());
    }
    assert_eq!(chosen, ["/a", "/b", "/c", "/a", "/c", "/a", "/c"]);
    assert_eq!(dirs[1].failure(), Some("broken"));
    assert!(dirs[0].is_online() && !dirs[1].is_online());
    dirs[0].delete_log(&partition("t", 0), logs.remove(0).into(), Uuid::from_bytes([1; 16])).unwrap();
    assert_eq!(dirs[0].log_count(), 2);
    for dir in &dirs {
        dir.fail(&std::io::Error::other("all"));
    }
    assert!(choose_log_dir(&dirs).is_none());
}

/// LOG-07: an error of one directory leaves the others alone.
#[test]
fn a_directory_that_is_gone_does_not_hinder_another() {
    let (good, bad) = (SimDisk::new(0), SimDisk::new(1));
    let dirs = [open(&good, "/a").unwrap(), open(&bad, "/b").unwrap()];
    let mut logs: Vec<_> = dirs
        .iter()
        .map(|dir| dir.create_log(partition("t", 0), topic_id(TOPIC_ID), &options()).unwrap())
        .collect();
    bad.set_gone(true);
    let mut append = |at: usize| logs[at].append_as_leader(&mut batch_at_times(&[1]), &as_client(0));
    assert!(append(0).is_ok());
    assert!(matches!(append(1), Err(ottla_storage::AppendError::Disk(_))));
    assert!(dirs[0].space().is_ok() && dirs[1].space().is_err());
}
