//! The same log compacted by Apache Kafka and by us, byte for byte; and what we compacted, read by Kafka.
//!
//! Needs what `kafka` needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::disk::RealDisk;
use ottla_model::Offset;
use ottla_protocol::compression::{Compression, Encoding};
use ottla_protocol::record::{
    Batch, BatchBuilder, BatchOptions, Batches, ControlKind, EndTransaction, NewRecord, end_transaction_batch,
};
use ottla_storage::{FileCache, Log, LogConfig, LogDir, LogOptions};
use ottla_testkit::random::SeededRandom;

use crate::compaction::{append, bounds, limits, pass, producer, records, settle};
use crate::kafka::{Kafka, stop};
use crate::place::{bytes_from, partition, time};

/// `delete.retention.ms`
const RETENTION: i64 = 100_000_000;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        index_interval_bytes: 200,
        delete_retention_ms: RETENTION,
        ..crate::compaction::config()
    }
}

fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn log_dir(path: PathBuf) -> LogDir {
    let mut dir = LogDir::open(FileCache::new(Arc::new(RealDisk), 100), path).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    dir
}

fn open(dir: &LogDir, topic: &str) -> Log {
    let options =
        LogOptions { config: Arc::new(config()), now: time(wall_ms()), producer_expiration_ms: i64::MAX };
    let found = dir.find(&partition(topic, 0)).unwrap().unwrap();
    let (mut log, report) = dir.open_log(&found, &options).unwrap();
    assert_eq!(report.cut, None);
    log.on_high_watermark(log.log_end());
    log
}

/// Leaves the directory as after a clean stop.
fn close(dir: LogDir, logs: Vec<Log>) {
    let closed: Vec<_> =
        logs.into_iter().map(|log| (log.partition().clone(), log.close().unwrap().log_end)).collect();
    dir.write_recovery_points(closed.iter().map(|(name, end)| (name, *end))).unwrap();
    dir.write_high_watermarks(closed.iter().map(|(name, end)| (name, *end))).unwrap();
    dir.end(None).unwrap();
}

/// Writes batches of every sort: with tombstones, without keys, of transactions that commit and that do not.
struct Writer<'a> {
    random: &'a SeededRandom,
    sequences: [i32; 5],
    open: [bool; 5],
    codecs: &'a [Compression],
    clock: i64,
}

impl Writer<'_> {
    fn segment(&mut self, log: &mut Log, bytes: u64) {
        let before = log.size();
        while log.size() < before + bytes {
            let by = self.random.index(5);
            if self.open[by] && self.random.chance(30) {
                self.end(log, by);
            } else {
                self.batch(log, by);
            }
        }
    }

    fn batch(&mut self, log: &mut Log, by: usize) {
        let transactional = (1..4).contains(&by);
        let log_append_time = (by == 4 && self.random.chance(50)).then(|| time(self.clock));
        let options = BatchOptions {
            encoding: Encoding::with_default_level(self.codecs[self.random.index(self.codecs.len())]),
            producer: (by > 0)
                .then(|| producer(i64::try_from(by).unwrap() + 10, 0, Some(self.sequences[by]))),
            transactional,
            log_append_time,
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options).unwrap();
        let count = 1 + self.random.index(6);
        for _ in 0..count {
            self.clock += i64::try_from(self.random.index(5)).unwrap() - 1;
            let key = format!("key-{}", self.random.index(900));
            let value = "v".repeat(20 + self.random.index(200));
            let record = NewRecord {
                timestamp: time(self.clock),
                key: (!self.random.chance(3)).then_some(key.as_bytes()),
                value: (!self.random.chance(8)).then_some(value.as_bytes()),
                headers: &[],
            };
            builder.append(record).unwrap();
        }
        append(log, builder.finish().unwrap());
        self.sequences[by] += i32::try_from(count).unwrap();
        self.open[by] |= transactional;
    }

    fn end(&mut self, log: &mut Log, by: usize) {
        let kind = if self.random.chance(50) { ControlKind::Abort } else { ControlKind::Commit };
        let producer = producer(i64::try_from(by).unwrap() + 10, 0, None);
        let end = EndTransaction { coordinator_epoch: 0 };
        append(log, end_transaction_batch(producer, kind, end, time(self.clock)).unwrap());
        self.open[by] = false;
    }

    /// Closes the active segment, whatever its age.
    fn close_segment(&mut self, log: &mut Log) {
        log.set_config(Arc::new(LogConfig { segment_ms: -1_000_000_000, ..config() }));
        self.batch(log, 0);
        log.set_config(Arc::new(config()));
        settle(log);
    }

    fn round(&mut self, log: &mut Log) {
        for kib in [300, 350, 600, 20] {
            self.segment(log, kib * 1024);
            self.close_segment(log);
        }
        for by in 1..4 {
            if self.open[by] {
                self.end(log, by);
            }
        }
        self.close_segment(log);
    }
}

/// The files of closed segments by name.
fn segment_files(directory: &Path, active: Offset) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kinds = [".log", ".index", ".timeindex", ".txnindex"];
        let Some(stem) = kinds.iter().find_map(|kind| name.strip_suffix(kind)) else { continue };
        if stem.parse::<i64>().is_ok_and(|base| base < active.value()) {
            files.insert(name.clone(), std::fs::read(directory.join(&name)).unwrap());
        }
    }
    files
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Has Kafka compact what it finds; the closed part of each topic ends there.
fn compacted_by(kafka: &Kafka, ends: &[(&str, Offset)]) {
    let node = kafka.start();
    let path = kafka.data().join("cleaner-offset-checkpoint");
    let wanted: Vec<String> = ends.iter().map(|(topic, end)| format!("{topic} 0 {end}")).collect();
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if wanted.iter().all(|line| text.lines().any(|found| found == line)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "Kafka has compacted up to: {text}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    stop(node);
}

/// The time of Kafka's pass, as the delete horizons it has set tell.
fn time_of_pass(log: &Log, earlier: i64) -> i64 {
    let bytes = bytes_from(log, log.log_start());
    let horizons = Batches::new(&bytes).filter_map(|batch| match batch.unwrap() {
        Batch::V2(view) if view.header().attributes.has_delete_horizon() => {
            Some(view.header().base_timestamp.millis() - RETENTION)
        }
        Batch::V2(_) | Batch::Legacy(_) => None,
    });
    let times: Vec<i64> = horizons.filter(|at| *at > earlier).collect();
    assert!(!times.is_empty() && times.iter().all(|at| *at == times[0]), "one pass has one time: {times:?}");
    times[0]
}

/// CMP-02, CMP-03, CMP-04, CMP-05: the segments, indexes and transaction indexes that Kafka's cleaner leaves, and those we
/// leave of the same log, in two rounds: what the first one left is the clean part of the second.
#[test]
fn kafka_and_we_compact_a_log_to_the_same_bytes() {
    let Some(kafka) = Kafka::find() else { return };
    kafka.configure("log.cleaner.backoff.ms=100\nlog.initial.task.delay.ms=100\n");
    let node = kafka.start();
    kafka.create_compacted("plain", RETENTION);
    stop(node);
    let random = SeededRandom::new(1);
    let codecs = [Compression::None];
    let mut writer = Writer {
        random: &random,
        sequences: [0; 5],
        open: [false; 5],
        codecs: &codecs,
        clock: wall_ms() - 3_600_000,
    };
    let (mut cleaned_to, mut last_pass) = (None, 0);
    for round in 0..2 {
        let dir = log_dir(kafka.data());
        let mut log = open(&dir, "plain");
        assert_eq!(dir.cleaned_to(&partition("plain", 0)), cleaned_to);
        writer.round(&mut log);
        let active = log.active_base();
        close(dir, vec![log]);
        let copy = kafka.dir.path.join(format!("copy-{round}"));
        copy_dir(&kafka.data().join("plain-0"), &copy.join("plain-0"));
        for name in ["recovery-point-offset-checkpoint", ".kafka_cleanshutdown"] {
            std::fs::copy(kafka.data().join(name), copy.join(name)).unwrap();
        }
        compacted_by(&kafka, &[("plain", active)]);
        let dir = log_dir(kafka.data());
        let theirs = open(&dir, "plain");
        last_pass = time_of_pass(&theirs, last_pass);
        close(dir, vec![theirs]);

        let dir = log_dir(copy.clone());
        let mut ours = open(&dir, "plain");
        let known = bounds(&ours, last_pass, cleaned_to);
        let passed = pass(&mut ours, &known, limits()).unwrap().unwrap();
        assert_eq!(passed.cleaned_to, active);
        let [ours, theirs] = [copy, kafka.data()].map(|root| segment_files(&root.join("plain-0"), active));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "round {round}");
        assert!(ours.len() > 6, "{:?}", names(&ours));
        for (name, bytes) in &theirs {
            assert!(
                ours[name] == *bytes,
                "round {round}: {name}: {} and {} bytes",
                ours[name].len(),
                bytes.len()
            );
        }
        cleaned_to = Some(active);
    }
}

/// CMP-02, CMP-03, LOG-00: what we compacted, packed in every codec, is for Kafka what it is for us.
#[test]
fn kafka_reads_what_we_compacted() {
    let Some(kafka) = Kafka::find() else { return };
    let node = kafka.start();
    kafka.create_compacted("packed", RETENTION);
    stop(node);
    let random = SeededRandom::new(2);
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut writer = Writer {
        random: &random,
        sequences: [0; 5],
        open: [false; 5],
        codecs: &codecs,
        clock: wall_ms() - 3_600_000,
    };
    let dir = log_dir(kafka.data());
    let mut log = open(&dir, "packed");
    writer.round(&mut log);
    let now = wall_ms();
    let known = bounds(&log, now, None);
    let passed = pass(&mut log, &known, limits()).unwrap().unwrap();
    dir.set_cleaned(&partition("packed", 0), passed.cleaned_to).unwrap();
    let (left, end) = (records(&log), log.log_end());
    close(dir, vec![log]);
    let dump = kafka.dump("packed-0", ".log", "--print-data-log");
    let horizon = format!("deleteHorizonMs: OptionalLong[{}]", now + RETENTION);
    assert!(dump.contains(&horizon), "{horizon} is in the dump");
    let value = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let shown: Vec<String> = dump
        .lines()
        .filter(|line| line.starts_with("| offset: ") && !line.contains("endTxnMarker"))
        .map(|line| {
            let field = |name: &str, ends: &str| {
                let rest = line.split_once(name).map_or("", |(_, rest)| rest);
                rest.split_once(ends).map_or(rest, |(field, _)| field).to_owned()
            };
            let (key, payload) = (field(" key: ", " payload:"), field(" payload: ", " isValid"));
            format!("{} {}={}", field("offset: ", " "), value(&key), value(payload.trim()))
        })
        .collect();
    assert_eq!(shown, left);
    let node = kafka.start();
    let read = kafka.consume_committed("packed");
    stop(node);
    assert!(read > 0 && read <= left.len(), "{read} of {}", left.len());
    let dir = log_dir(kafka.data());
    let log = open(&dir, "packed");
    assert_eq!((records(&log), log.log_end()), (left, end));
}
