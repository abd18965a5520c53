//! Compaction of random logs against a model, and power cuts at every step of putting a segment in place.
//!
//! The model is the history: every record that was ever written, and how its transaction ended. What a reader of committed
//! records gets from the log must give the same last value for every key, and nothing that is not in the history.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::Disk;
use ottla_model::{Offset, ProducerId};
use ottla_protocol::compression::{Compression, Encoding, UnpackLimits};
use ottla_protocol::record::{
    Batch, BatchOptions, Batches, ControlKind, EndTransaction, RecordBuffer, end_transaction_batch,
};
use ottla_storage::{CompactionLimits, FileCache, KeyMapLimits, Log, LogConfig, LogDir, LogOptions};
use ottla_testkit::disk::SimDisk;
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

use crate::compaction::{
    Pair, RETENTION, append, batch_of, bounds, config, limits, pass, producer, records, settle,
};
use crate::place::{bytes_from, offset, partition, time, topic_id};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";
/// Producers of the model; the first writes without transactions.
const PRODUCERS: usize = 4;

type Value = Option<String>;

/// A record as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    key: Option<String>,
    value: Value,
    producer: usize,
}

/// Everything that was ever written.
#[derive(Clone, Debug, Default)]
struct History {
    records: BTreeMap<i64, Written>,
    aborted: BTreeSet<i64>,
    /// Offsets of the records of open transactions.
    open: [Vec<i64>; PRODUCERS],
    sequences: [i32; PRODUCERS],
}

impl History {
    /// The last value of every key among what was committed; a tombstone is none.
    fn fold(&self) -> BTreeMap<String, String> {
        let committed = self.records.iter().filter(|(at, _)| !self.aborted.contains(at));
        let mut last: BTreeMap<String, Value> = BTreeMap::new();
        for (_, written) in committed {
            if let Some(key) = &written.key {
                last.insert(key.clone(), written.value.clone());
            }
        }
        last.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// What a reader of committed records gets.
fn read_committed(log: &Log) -> BTreeMap<i64, (Option<String>, Value)> {
    let bytes = bytes_from(log, log.log_start());
    let mut aborted = log.aborted_transactions(log.log_start(), log.log_end()).unwrap();
    aborted.reverse();
    let (mut gone, mut found) = (BTreeSet::new(), BTreeMap::new());
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1 << 20));
    let mut behind = log.log_start();
    for batch in Batches::new(&bytes) {
        let Batch::V2(view) = batch.unwrap() else { panic!() };
        view.check_crc().unwrap();
        let header = view.header();
        assert!(header.base_offset >= behind || behind == log.log_start(), "the order does not change");
        behind = header.next_offset();
        while aborted.last().is_some_and(|next| next.first_offset <= header.last_offset()) {
            gone.insert(aborted.pop().unwrap().producer);
        }
        let producer: Option<ProducerId> = header.producer_id;
        if header.attributes.is_control() {
            let kind = view
                .records_in(view.records_bytes())
                .next()
                .map(|record| ControlKind::of_key(record.unwrap().key.unwrap()).unwrap());
            if kind == Some(ControlKind::Abort) {
                gone.remove(&producer.unwrap());
            }
            continue;
        }
        if header.attributes.is_transactional() && producer.is_some_and(|producer| gone.contains(&producer)) {
            continue;
        }
        for record in view.records(&mut buffer).unwrap() {
            let record = record.unwrap();
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            found.insert(record.offset.value(), (text(record.key), text(record.value)));
        }
    }
    found
}

fn fold(found: &BTreeMap<i64, (Option<String>, Value)>) -> BTreeMap<String, String> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for (key, value) in found.values() {
        if let Some(key) = key {
            last.insert(key.clone(), value.clone());
        }
    }
    last.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Writes a random batch, or ends a transaction.
fn write(log: &mut Log, history: &mut History, random: &SeededRandom) {
    let by = random.index(PRODUCERS);
    if by > 0 && !history.open[by].is_empty() && random.chance(40) {
        end(log, history, (by, random.chance(50)));
        return;
    }
    let count = 1 + random.index(4);
    let written: Vec<Written> = (0..count)
        .map(|at| Written {
            key: (!random.chance(5)).then(|| format!("k{}", random.index(12))),
            value: (!random.chance(25)).then(|| format!("v{at}{}", "x".repeat(random.index(80)))),
            producer: by,
        })
        .collect();
    let pairs: Vec<Pair<'_>> =
        written.iter().map(|written| (written.key.as_deref(), written.value.as_deref())).collect();
    let codecs = [
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let encoding = Encoding::with_default_level(codecs[random.index(codecs.len())]);
    let options = BatchOptions {
        producer: Some(producer(i64::try_from(by).unwrap(), 0, Some(history.sequences[by]))),
        transactional: by > 0,
        encoding,
        ..BatchOptions::default()
    };
    let first = append(log, batch_of(&pairs, options)).value();
    history.sequences[by] += i32::try_from(count).unwrap();
    for (at, written) in (first..).zip(written) {
        history.records.insert(at, written);
        if by > 0 {
            history.open[by].push(at);
        }
    }
}

fn end(log: &mut Log, history: &mut History, (by, aborts): (usize, bool)) {
    let kind = if aborts { ControlKind::Abort } else { ControlKind::Commit };
    let value = EndTransaction { coordinator_epoch: 0 };
    let by_producer = producer(i64::try_from(by).unwrap(), 0, None);
    append(log, end_transaction_batch(by_producer, kind, value, time(1)).unwrap());
    let offsets = std::mem::take(&mut history.open[by]);
    if aborts {
        history.aborted.extend(offsets);
    }
}

fn end_all(log: &mut Log, history: &mut History) {
    for by in 1..PRODUCERS {
        if !history.open[by].is_empty() {
            end(log, history, (by, by % 2 == 0));
        }
    }
}

/// What must hold of a log at any time. `closed`: no transaction is open.
fn check(log: &Log, history: &History) {
    let found = read_committed(log);
    for (at, (key, value)) in &found {
        let written = &history.records[at];
        assert_eq!((key, value), (&written.key, &written.value), "at {at}");
        assert!(!history.aborted.contains(at), "what was aborted is not read");
    }
    assert_eq!(fold(&found), history.fold());
    for (by, sequence) in history.sequences.iter().enumerate().filter(|(_, sequence)| **sequence > 0) {
        let entry = log.producer(ProducerId::new(i64::try_from(by).unwrap()).unwrap()).unwrap();
        let last = entry.last_batch().unwrap().last_sequence.unwrap();
        assert_eq!(last.value() + 1, *sequence, "producer {by}");
    }
}

fn small_segments(random: &SeededRandom) -> LogConfig {
    LogConfig {
        segment_bytes: 700 + u32::try_from(random.index(3000)).unwrap(),
        index_interval_bytes: u32::try_from(random.index(400)).unwrap(),
        ..config()
    }
}

fn dir_on(disk: &SimDisk) -> LogDir {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut dir = LogDir::open(FileCache::new(disk, 16), PathBuf::from("/d")).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    dir
}

fn options(config: &LogConfig) -> LogOptions {
    LogOptions { config: Arc::new(config.clone()), now: time(0), producer_expiration_ms: i64::MAX }
}

/// C1, CMP-02, CMP-03, CMP-04: whatever is written and whenever it is compacted, readers get the same last values.
#[test]
fn the_last_value_of_every_key_is_what_the_history_says() {
    seeds::run(60, |seed| {
        let random = SeededRandom::new(seed);
        let disk = SimDisk::new(seed);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let config = small_segments(&random);
        let mut dir = dir_on(&disk);
        let mut log = dir.create_log(partition("t", 0), topic_id(TOPIC_ID), &options(&config)).unwrap();
        let mut history = History::default();
        let (mut cleaned_to, mut now) = (None, 10_000);
        for round in 0..8 {
            for _ in 0..random.index(40) {
                write(&mut log, &mut history, &random);
            }
            settle(&mut log);
            check(&log, &history);
            now += i64::try_from(random.index(usize::try_from(RETENTION).unwrap())).unwrap();
            let map = KeyMapLimits { bytes_max: 24 * (4 + random.between(0, 40)), load_per_mille_max: 900 };
            let limits = CompactionLimits { map, ..limits() };
            let known = bounds(&log, now, cleaned_to);
            if let Some(passed) = pass(&mut log, &known, limits).unwrap() {
                cleaned_to = Some(passed.cleaned_to);
            }
            check(&log, &history);
            if random.chance(40) {
                let closed = log.close().unwrap();
                dir.write_recovery_points([(&partition("t", 0), closed.log_end)]).unwrap();
                dir.end(None).unwrap();
                dir = dir_on(&disk);
                let found = dir.find(&partition("t", 0)).unwrap().unwrap();
                let (opened, report) = dir.open_log(&found, &options(&config)).unwrap();
                assert_eq!(report.cut, None, "round {round}");
                log = opened;
                log.on_high_watermark(log.log_end());
                check(&log, &history);
            }
        }
        end_all(&mut log, &mut history);
        settle(&mut log);
        settles_down(&mut log, &history, now);
    });
}

/// A pass over a log that is compacted already changes nothing, apart from time.
fn settles_down(log: &mut Log, history: &History, now: i64) {
    let all = |log: &Log, now| bounds(log, now, None);
    // The first pass takes the records, the second one gives the markers of what is gone their horizon.
    for _ in 0..2 {
        let known = all(log, now);
        pass(log, &known, limits()).unwrap();
        check(log, history);
    }
    let bytes = bytes_from(log, log.log_start());
    let known = all(log, now);
    if let Some(passed) = pass(log, &known, limits()).unwrap() {
        // Segments that became smaller may fit together now, but their batches stay.
        assert!(passed.written <= 1 || log.segment_bases().count() > 1);
    }
    assert_eq!(bytes_from(log, log.log_start()), bytes);
    for _ in 0..2 {
        let known = all(log, now + RETENTION);
        pass(log, &known, limits()).unwrap();
        check(log, history);
    }
    let end = log.dirt(&all(log, now)).unwrap().end;
    let left = records(log);
    let tombstones = left.iter().filter(|line| {
        let (at, rest) = line.split_once(' ').unwrap();
        at.parse::<i64>().unwrap() < end.value() && rest.ends_with("=-")
    });
    assert_eq!(tombstones.count(), 0, "{left:?}");
}

/// A log with closed segments of which much can be compacted, all on stable storage.
fn prepared(disk: &SimDisk, seed: u64) -> (LogConfig, History) {
    let random = SeededRandom::new(seed);
    disk.prepare_dir(Path::new("/d")).unwrap();
    let config = LogConfig { segment_bytes: 1500, ..small_segments(&random) };
    let dir = dir_on(disk);
    let mut log = dir.create_log(partition("t", 0), topic_id(TOPIC_ID), &options(&config)).unwrap();
    let mut history = History::default();
    for _ in 0..60 {
        write(&mut log, &mut history, &random);
    }
    end_all(&mut log, &mut history);
    settle(&mut log);
    dir.write_recovery_points([(&partition("t", 0), log.recovery_point())]).unwrap();
    (config, history)
}

/// Opens the log after a crash.
fn opened(disk: &SimDisk, config: &LogConfig) -> (LogDir, Log) {
    let dir = dir_on(disk);
    let found = dir.find(&partition("t", 0)).unwrap().unwrap();
    let (mut log, report) = dir.open_log(&found, &options(config)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.cut, None);
    log.on_high_watermark(log.log_end());
    (dir, log)
}

/// C1, LOG-04: the power goes off at every step of a pass, and what survives of the names is drawn by chance.
#[test]
fn a_crash_at_any_step_of_a_pass_loses_nothing_and_brings_nothing_back() {
    seeds::run(4, |seed| {
        for steps in 0.. {
            let disk = SimDisk::new(seed);
            let (config, history) = prepared(&disk, seed);
            disk.kill();
            let (dir, mut log) = opened(&disk, &LogConfig { segment_bytes: 4000, ..config.clone() });
            settle(&mut log);
            let end = log.log_end();
            disk.cut_power_after(steps);
            let passes = (0..3).try_fold(0, |passes, round| {
                let known = bounds(&log, 10_000 + round * RETENTION, None);
                pass(&mut log, &known, limits()).map(|_| passes + 1)
            });
            drop((log, dir));
            disk.crash(seed ^ steps);
            let (dir, mut log) = opened(&disk, &config);
            assert_eq!(log.log_end(), end, "seed {seed}, {steps} steps");
            check(&log, &history);
            // Once more, from what the crash left.
            settle(&mut log);
            for round in 0..4 {
                let known = bounds(&log, 20_000 + round * RETENTION, None);
                pass(&mut log, &known, limits()).unwrap();
                check(&log, &history);
            }
            drop((log, dir));
            if passes.is_ok() {
                break;
            }
        }
    });
}

/// CMP-02: the recovery of a compacted log reads what the log was.
#[test]
fn a_compacted_log_that_lost_its_checkpoints_is_read_again_whole() {
    seeds::run(8, |seed| {
        let disk = SimDisk::new(seed);
        let (config, history) = prepared(&disk, seed);
        disk.kill();
        let (dir, mut log) = opened(&disk, &config);
        settle(&mut log);
        let known = bounds(&log, 10_000, None);
        pass(&mut log, &known, limits()).unwrap();
        let bytes = bytes_from(&log, Offset::ZERO);
        dir.write_recovery_points([(&partition("t", 0), Offset::ZERO)]).unwrap();
        drop((log, dir));
        disk.kill();
        for kind in ["index", "timeindex"] {
            let names = disk.read_dir(Path::new("/d/t-0")).unwrap();
            for entry in names.iter().filter(|entry| entry.name.ends_with(kind)) {
                disk.remove_file(&Path::new("/d/t-0").join(&entry.name)).unwrap();
            }
        }
        let (_, log) = opened(&disk, &config);
        assert_eq!(bytes_from(&log, offset(0)), bytes, "seed {seed}");
        check(&log, &history);
    });
}
