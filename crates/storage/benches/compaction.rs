//! Bytes of a log that are compacted per second of one core: `cargo bench -p ottla-storage`.
//!
//! Owns: the input and the clock, which is that of the thread, so that neighbours on the machine do not count.
//! Does not own: the target; it is in the performance budget of the project.
//!
//! The log is written in batches of 16 KiB; every key comes four times, so a quarter of it stays.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::disk::RealDisk;
use ottla_model::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition, Uuid, Verification,
};
use ottla_protocol::compression::{Compression, Encoding};
use ottla_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use ottla_storage::{
    CleanupPolicy, CompactionBounds, CompactionLimits, FileCache, KeyMapLimits, LeaderAppend, Log, LogConfig,
    LogPlace, Origin,
};

const LOG_BYTES: u64 = 256 * 1024 * 1024;
const BATCH_BYTES: usize = 16 * 1024;

fn main() {
    let root = std::env::temp_dir().join(format!("ottla-bench-compaction-{}", std::process::id()));
    for (record_bytes, codec) in [
        (100, Compression::None),
        (1000, Compression::None),
        (10_000, Compression::None),
        (1000, Compression::Lz4),
        (1000, Compression::Zstd),
    ] {
        measure(&root, record_bytes, codec);
        std::fs::remove_dir_all(&root).expect("the directory of this run");
    }
}

fn measure(root: &Path, record_bytes: usize, codec: Compression) {
    let mut log = filled(root, record_bytes, codec);
    let bytes = log.size();
    let bounds =
        CompactionBounds { now: Timestamp::from_millis(0), high_watermark: log.log_end(), cleaned_to: None };
    let map = KeyMapLimits { bytes_max: 128 * 1024 * 1024, load_per_mille_max: 900 };
    let limits = CompactionLimits { map, write_bytes: 512 * 1024 };
    let (wall, cpu) = (Instant::now(), cpu_time());
    let scope = log.compaction_scope(&bounds).expect("a log").expect("something to compact");
    let mut pace = |_| ControlFlow::Continue(());
    let mut compaction = scope.begin(limits, &mut pace).expect("a readable log");
    let cpu_of_map = cpu_time() - cpu;
    while let Some(group) = compaction.clean_next(&mut pace).expect("a readable log") {
        let job = log.replace(group).expect("the log is as it was");
        job.run().expect("a writable disk");
        log.on_replaced(&job).remove().expect("a writable disk");
    }
    let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
    let rate = |span: Duration| bytes as f64 / 1e6 / span.as_secs_f64();
    println!(
        "{record_bytes:>6} B, {:<6} {:>7.0} MB/s of a core, {:>7.0} MB/s of time; {:.0} % of it for the map; {} MB became {}",
        codec.name(),
        rate(cpu),
        rate(wall),
        cpu_of_map.as_secs_f64() / cpu.as_secs_f64() * 100.0,
        bytes / 1_000_000,
        log.size() / 1_000_000,
    );
}

/// A log whose records all can be compacted but for the last segment.
fn filled(root: &Path, record_bytes: usize, codec: Compression) -> Log {
    let place = LogPlace {
        partition: TopicPartition::new(
            TopicName::new("bench").expect("a name"),
            PartitionIndex::new(0).expect("a number"),
        ),
        directory: root.join("bench-0"),
        files: FileCache::new(Arc::new(RealDisk), 64),
        config: Arc::new(LogConfig {
            segment_bytes: 64 * 1024 * 1024,
            cleanup: CleanupPolicy { delete: false, compact: true },
            ..LogConfig::default()
        }),
    };
    let id = TopicId::new(Uuid::from_bytes([7; 16])).expect("an id");
    let mut log = Log::create(place, id, Timestamp::from_millis(0)).expect("a directory");
    let by = LeaderAppend {
        epoch: LeaderEpoch::new(0).expect("an epoch"),
        origin: Origin::Coordinator,
        marker_epoch_was_raised: false,
        verification: Verification::Off,
        now: Timestamp::from_millis(0),
    };
    let keys = LOG_BYTES / record_bytes as u64 / 4;
    let value: Vec<u8> = (0..record_bytes).map(|at| (at * 7 % 97) as u8 ^ (at / 64) as u8).collect();
    let mut at = 0_u64;
    while log.size() < LOG_BYTES {
        let options =
            BatchOptions { encoding: Encoding::with_default_level(codec), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options).expect("a builder");
        while builder.unpacked_bytes() < BATCH_BYTES {
            at += 1;
            let key = format!("key-{:012}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys);
            let timestamp = Timestamp::from_millis(1_700_000_000_000 + at as i64 / 100);
            let value = Some(&value[..record_bytes.saturating_sub(30)]);
            let record = NewRecord { timestamp, key: Some(key.as_bytes()), value, headers: &[] };
            builder.append(record).expect("a record");
        }
        log.append_as_leader(&mut builder.finish().expect("a batch"), &by).expect("an append");
    }
    while let Some(job) = log.seal_job() {
        job.run().expect("a writable disk");
        log.on_sealed(&job);
    }
    let job = log.flush_job().expect("a writable disk").expect("something to flush");
    job.run().expect("a writable disk");
    log.on_flushed(&job);
    assert!(log.log_end() > Offset::ZERO);
    log
}

/// Time this thread has run.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok()).expect("nanoseconds");
    Duration::from_nanos(nanos)
}
