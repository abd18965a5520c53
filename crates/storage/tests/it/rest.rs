//! Logs that nobody uses: when they rest, what is the same when they are woken, what is noticed then.
//!
//! Source: performance design 4.10.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::{Disk, OpenMode};
use ottla_model::{BrokerEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition, Uuid};
use ottla_protocol::record::{BatchOptions, BatchProducer};
use ottla_storage::{
    FileCache, KeptLog, Log, LogConfig, LogDir, LogOptions, ReadLimits, RestingLog, Retention,
};
use ottla_testkit::disk::SimDisk;

use crate::place::{as_client, batch_at_times, build, bytes_from, epoch, offset, partition, time, topic_id};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";
const OTHER_ID: &str = "AAECAwQFBgcICQoLDA0ODw";

/// Every batch closes the segment before it.
fn config() -> LogConfig {
    LogConfig { segment_ms: 1000, index_interval_bytes: 0, ..LogConfig::default() }
}

fn options() -> LogOptions {
    LogOptions { config: Arc::new(config()), now: time(0), producer_expiration_ms: i64::MAX }
}

fn open_dir(disk: &SimDisk) -> LogDir {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut dir = LogDir::open(FileCache::new(shared, 8), PathBuf::from("/d")).unwrap();
    dir.begin().unwrap();
    dir
}

fn t() -> TopicPartition {
    partition("t", 0)
}

/// A batch of an idempotent producer.
fn produced(at: i64, sequence: i32) -> Vec<u8> {
    let producer = BatchProducer {
        id: ProducerId::new(7).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: Sequence::new(sequence),
    };
    let options = BatchOptions { producer: Some(producer), ..BatchOptions::default() };
    build(&[(at, "a"), (at, "b")], options)
}

/// A log of three segments in two epochs, and records below 1 deleted, after a clean stop.
fn stopped(disk: &SimDisk) {
    let dir = open_dir(disk);
    let mut log = dir.create_log(t(), topic_id(TOPIC_ID), &options()).unwrap();
    log.begin_epoch(epoch(0));
    log.append_as_leader(&mut produced(0, 0), &as_client(0)).unwrap();
    log.append_as_leader(&mut produced(5000, 2), &as_client(0)).unwrap();
    log.begin_epoch(epoch(2));
    log.append_as_leader(&mut produced(10_000, 4), &as_client(2)).unwrap();
    log.move_log_start(offset(1));
    let closed = log.close().unwrap();
    dir.write_recovery_points([(&t(), closed.log_end)]).unwrap();
    dir.write_log_starts([(&t(), closed.log_start)]).unwrap();
    dir.end(BrokerEpoch::new(5)).unwrap();
}

fn found(dir: &LogDir) -> Log {
    let found = dir.list().unwrap().logs;
    dir.open_log(&found[0], &options()).unwrap().0
}

fn at_rest(log: Log) -> RestingLog {
    let mut kept = KeptLog::from(log);
    kept.rest();
    match kept {
        KeptLog::Resting(resting) => resting,
        KeptLog::Open(log) => panic!("it stays open: {}", seen(&log)),
    }
}

fn stays_open(log: Log) -> Log {
    let mut kept = KeptLog::from(log);
    kept.rest();
    match kept {
        KeptLog::Open(log) => *log,
        KeptLog::Resting(resting) => panic!("it rests: {resting:?}"),
    }
}

fn flush(log: &mut Log) {
    let job = log.flush_job().unwrap().unwrap();
    job.run().unwrap();
    log.on_flushed(&job);
}

fn woken(dir: &LogDir, resting: &RestingLog) -> Result<Log, String> {
    let woken = dir.wake_log((&t(), topic_id(TOPIC_ID)), resting, &options());
    woken.map_err(|error| error.to_string())
}

fn seen(log: &Log) -> String {
    let producers: Vec<_> = log.producers().map(|(id, entry)| (id, entry.last_batch())).collect();
    let bases: Vec<i64> = log.segment_bases().map(Offset::value).collect();
    let ends = (log.log_start(), log.log_end(), log.flushed(), log.recovery_point(), log.size());
    format!("{ends:?} {bases:?} {:?} {producers:?}", log.epochs())
}

/// Nothing is different after it but that it took no memory.
#[test]
fn a_log_that_was_found_in_order_rests_and_wakes_as_it_was() {
    let disk = SimDisk::new(1);
    stopped(&disk);
    let dir = open_dir(&disk);
    let mut log = found(&dir);
    log.begin_epoch(epoch(3));
    let (before, bytes) = (seen(&log), bytes_from(&log, offset(1)));
    let resting = at_rest(log);
    assert_eq!(
        (resting.log_start(), resting.log_end(), resting.first_base()),
        (offset(1), offset(6), offset(0))
    );
    assert_eq!(resting.begun(), Some(epoch(3)));
    let mut log = woken(&dir, &resting).unwrap();
    assert_eq!(seen(&log), before);
    assert_eq!(bytes_from(&log, offset(1)), bytes);
    let repeated = log.append_as_leader(&mut produced(10_000, 4), &as_client(3)).unwrap();
    assert!(matches!(repeated, ottla_storage::LeaderAppended::Duplicate { .. }), "{repeated:?}");
    assert_eq!(resting.recovery_point(), log.recovery_point());
    assert_eq!(dir.log_count(), 1);
}

/// What is in use, or would be lost, stays open.
#[test]
fn a_log_does_not_rest_while_anything_depends_on_it() {
    let disk = SimDisk::new(1);
    stopped(&disk);
    let dir = open_dir(&disk);
    let log = found(&dir);
    let limits = ReadLimits { bytes_max: 1, upper_bound: log.log_end(), at_least_one_batch: true };
    let plan = log.plan_read(offset(1), limits).unwrap();
    let log = stays_open(log);
    drop(plan);
    let search = log.plan_timestamp_search(time(0)).unwrap();
    let mut log = stays_open(log);
    drop(search);
    let retention = Retention { now: time(10_000_000_000), high_watermark: offset(2) };
    let removed = log.apply_retention(retention).unwrap();
    assert_eq!(removed.bases().collect::<Vec<_>>(), [offset(0)]);
    let log = stays_open(log);
    removed.remove().unwrap();
    // Its producer is known from what was removed too.
    let mut log = stays_open(log);
    log.expire_producers(time(i64::MAX), 0);
    // Its epochs begin at another offset now.
    let mut log = stays_open(log);
    flush(&mut log);
    let resting = at_rest(log);
    let mut log = woken(&dir, &resting).unwrap();
    assert_eq!((log.log_start(), resting.names_are_fresh()), (offset(2), false));
    log.append_as_leader(&mut batch_at_times(&[11_000]), &as_client(3)).unwrap();
    let mut log = stays_open(log);
    flush(&mut log);
    stays_open(log);
}

/// What is known of a producer beyond its last batch is not in the snapshot that a woken log reads.
#[test]
fn a_log_that_was_written_to_does_not_rest_while_it_knows_producers() {
    let disk = SimDisk::new(1);
    stopped(&disk);
    let dir = open_dir(&disk);
    let mut log = found(&dir);
    let retention = Retention { now: time(10_000_000_000), high_watermark: offset(6) };
    log.apply_retention(retention).unwrap().remove().unwrap();
    flush(&mut log);
    assert_eq!((log.size(), log.producer_count()), (0, 1));
    let mut log = stays_open(log);
    log.expire_producers(time(i64::MAX), 0);
    assert_eq!(at_rest(log).log_end(), offset(6));
}

/// LOG-04: a log whose files are not what they were is not used.
#[test]
fn what_happened_to_the_files_of_a_log_at_rest_is_noticed() {
    let last = Path::new("/d/t-0/00000000000000000004.log");
    let longer = |disk: &SimDisk, bytes: &[u8]| {
        let file = disk.open(last, OpenMode::Write).unwrap();
        file.write_all_at(bytes, file.len().unwrap()).unwrap();
    };
    let mut next = produced(11_000, 6);
    next[7] = 6;
    let whole = "the files of a log that was not in use have changed: it began at 1 and ended at 6, and begins at 1 and \
                 ends at 8 now";
    type Change<'a> = (&'a str, &'a dyn Fn(&SimDisk), &'a str);
    let changes: [Change<'_>; 6] = [
        ("nothing", &|_| {}, ""),
        ("a batch more", &|disk| longer(disk, &next), whole),
        ("a torn batch", &|disk| longer(disk, &next[..30]), "segment 4 is damaged at byte 77"),
        (
            "the last batch is gone",
            &|disk| disk.open(last, OpenMode::Write).unwrap().set_len(0).unwrap(),
            "the log ends at",
        ),
        (
            "the last segment is gone",
            &|disk| disk.remove_file(last).unwrap(),
            "segment 4 has an index and no records",
        ),
        (
            "it is of another topic",
            &|disk| {
                let text = format!("version: 0\ntopic_id: {OTHER_ID}");
                let path = Path::new("/d/t-0/partition.metadata");
                disk.open(path, OpenMode::Truncate).unwrap().write_all_at(text.as_bytes(), 0).unwrap();
            },
            "the directory of a log that was not in use is of topic",
        ),
    ];
    for (name, change, expected) in changes {
        let disk = SimDisk::new(1);
        stopped(&disk);
        let dir = open_dir(&disk);
        let resting = at_rest(found(&dir));
        change(&disk);
        let outcome = woken(&dir, &resting).err().unwrap_or_default();
        assert!(
            outcome.starts_with(expected) && outcome.is_empty() == expected.is_empty(),
            "{name}: {outcome}"
        );
    }
}

/// LOG-04: the checkpoints say of logs at rest what they say of open ones, so a crash finds them whole.
#[test]
fn a_crash_while_logs_rest_loses_nothing() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        disk.prepare_dir(Path::new("/d")).unwrap();
        stopped(&disk);
        let dir = open_dir(&disk);
        let log = found(&dir);
        let bytes = bytes_from(&log, offset(1));
        let resting = at_rest(log);
        dir.write_recovery_points([(&t(), resting.recovery_point())]).unwrap();
        dir.write_log_starts([(&t(), resting.log_start())]).unwrap();
        disk.crash(seed);
        let dir = open_dir(&disk);
        assert!(!dir.was_clean());
        let log = found(&dir);
        assert_eq!((log.log_end(), bytes_from(&log, offset(1))), (offset(6), bytes));
    }
}

/// LOG-00: many new logs are made durable at once, few one by one; either way they are there after a crash.
#[test]
fn the_names_of_new_logs_at_rest_survive_a_crash_once_they_are_synced() {
    for count in [3, 80] {
        let disk = SimDisk::new(1);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let dir = open_dir(&disk);
        let ids: Vec<TopicPartition> = (0..count).map(|index| partition("t", index)).collect();
        for id in &ids {
            let log = dir.create_log(id.clone(), topic_id(TOPIC_ID), &options()).unwrap();
            let resting = at_rest(log);
            assert!(resting.names_are_fresh());
            assert_eq!(resting.closed().log_end, Offset::ZERO);
        }
        dir.sync_names(&ids).unwrap();
        dir.end(None).unwrap();
        disk.crash(2);
        let dir = open_dir(&disk);
        assert!(dir.was_clean());
        let found = dir.list().unwrap().logs;
        assert_eq!(found.len(), ids.len());
        for found in found {
            let (log, _) = dir.open_log(&found, &options()).unwrap();
            assert_eq!(log.topic_id(), Some(topic_id(TOPIC_ID)));
            assert!(!at_rest(log).names_are_fresh());
        }
    }
}

/// LOG-06: the first flush of a new log makes its names durable, also where it rested before.
#[test]
fn what_is_flushed_into_a_new_log_that_rested_survives_a_crash() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let dir = open_dir(&disk);
        let resting = at_rest(dir.create_log(t(), topic_id(TOPIC_ID), &options()).unwrap());
        let mut log = woken(&dir, &resting).unwrap();
        log.append_as_leader(&mut batch_at_times(&[1, 2]), &as_client(0)).unwrap();
        flush(&mut log);
        disk.crash(seed);
        let log = found(&open_dir(&disk));
        assert_eq!((log.log_end(), log.topic_id()), (offset(2), Some(topic_id(TOPIC_ID))));
    }
}

/// An epoch is in the file with its first record; without one a stop has nothing to write.
#[test]
fn an_epoch_without_records_is_not_written() {
    let disk = SimDisk::new(1);
    stopped(&disk);
    let epochs = || {
        let file = disk.open(Path::new("/d/t-0/leader-epoch-checkpoint"), OpenMode::Read).unwrap();
        let mut text = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut text, 0).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(epochs(), "0\n2\n0 1\n2 4\n");
    let dir = open_dir(&disk);
    let mut log = found(&dir);
    log.begin_epoch(epoch(7));
    assert_eq!(log.latest_epoch().map(|latest| (latest.epoch, latest.start)), Some((epoch(7), offset(6))));
    log.close().unwrap();
    assert_eq!(epochs(), "0\n2\n0 1\n2 4\n");
    let mut resting = at_rest(found(&dir));
    resting.begin_epoch(epoch(9));
    let mut log = woken(&dir, &resting).unwrap();
    log.append_as_leader(&mut batch_at_times(&[10_000]), &as_client(9)).unwrap();
    log.close().unwrap();
    assert_eq!(epochs(), "0\n3\n0 1\n2 4\n9 6\n");
}

/// A partition at rest is deleted like any other.
#[test]
fn a_log_at_rest_is_taken_out_of_use_without_being_opened() {
    let disk = SimDisk::new(1);
    stopped(&disk);
    let dir = open_dir(&disk);
    let resting = at_rest(found(&dir));
    disk.remove_file(Path::new("/d/t-0/00000000000000000004.log")).unwrap();
    let deleted = dir.delete_log(&t(), KeptLog::Resting(resting), Uuid::from_bytes([1; 16])).unwrap();
    assert!(dir.list().unwrap().logs.is_empty());
    assert_eq!((dir.list().unwrap().deleted.len(), dir.log_count()), (1, 0));
    assert_eq!(deleted.size(), resting.size());
    deleted.remove().unwrap();
    assert!(dir.list().unwrap().deleted.is_empty());
}
