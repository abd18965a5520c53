//! Where tests keep their logs, and shorthands for offsets, batches and reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ottla_env::disk::{Disk, RealDisk};
use ottla_model::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition, Uuid, Verification,
};
use ottla_protocol::record::{BatchBuilder, BatchOptions, BatchProducer, NewRecord};
use ottla_storage::{FileCache, Known, LeaderAppend, Log, LogConfig, LogPlace, LogRead, Origin, ReadLimits};

/// A directory of the real file system that is removed at the end.
pub struct TestDir {
    pub path: PathBuf,
}

impl TestDir {
    pub fn new(name: &str) -> TestDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique =
            format!("ottla-storage-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        TestDir { path }
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

pub fn offset(value: i64) -> Offset {
    Offset::new(value).unwrap()
}

pub fn epoch(value: i32) -> LeaderEpoch {
    LeaderEpoch::new(value).unwrap()
}

pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), PartitionIndex::new(index).unwrap())
}

pub fn topic_id(text: &str) -> TopicId {
    TopicId::new(text.parse::<Uuid>().unwrap()).unwrap()
}

/// The place of partition 0 of topic `t` below `parent`.
pub fn place(disk: Arc<dyn Disk>, parent: &Path, config: LogConfig) -> LogPlace {
    LogPlace {
        partition: partition("t", 0),
        directory: parent.join("t-0"),
        files: FileCache::new(disk, 64),
        config: Arc::new(config),
    }
}

pub fn clean(recovery_point: i64) -> Known {
    Known { clean: true, ..crashed(recovery_point) }
}

pub fn crashed(recovery_point: i64) -> Known {
    Known {
        clean: false,
        recovery_point: offset(recovery_point),
        log_start: Offset::ZERO,
        now: time(0),
        producer_expiration_ms: i64::MAX,
    }
}

pub fn as_client(leader_epoch: i32) -> LeaderAppend {
    LeaderAppend {
        epoch: epoch(leader_epoch),
        origin: Origin::Client,
        verification: Verification::Off,
        marker_epoch_was_raised: false,
        now: time(0),
    }
}

/// A batch of `values`, one millisecond apart from `first_time` on.
pub fn batch(first_time: i64, values: &[&str], producer: Option<BatchProducer>) -> Vec<u8> {
    let records: Vec<_> = (first_time..).zip(values.iter().copied()).collect();
    build(&records, BatchOptions { producer, ..BatchOptions::default() })
}

/// A batch with a record for each time; the values differ in length.
pub fn batch_at_times(times: &[i64]) -> Vec<u8> {
    let values: Vec<String> = times.iter().map(|at| "x".repeat(usize::try_from(at % 90).unwrap())).collect();
    let records: Vec<_> = times.iter().copied().zip(values.iter().map(String::as_str)).collect();
    build(&records, BatchOptions::default())
}

/// A batch of records, each a timestamp and a value.
pub fn build(records: &[(i64, &str)], options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options).unwrap();
    for (at, value) in records {
        let record =
            NewRecord { timestamp: time(*at), key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.append(record).unwrap();
    }
    builder.finish().unwrap()
}

/// All bytes a reader gets from `from` up to the log end.
pub fn bytes_from(log: &Log, from: Offset) -> Vec<u8> {
    let limits = ReadLimits { bytes_max: u32::MAX, upper_bound: log.log_end(), at_least_one_batch: true };
    bytes_of(&log.read(from, limits).unwrap())
}

/// The bytes of a read's slices.
pub fn bytes_of(read: &LogRead) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in &read.slices {
        let mut part = vec![0; slice.len as usize];
        assert_eq!(slice.file.read_at(&mut part, slice.position).unwrap(), part.len());
        bytes.extend(part);
    }
    assert_eq!(bytes.len(), read.bytes as usize);
    bytes
}
