//! Power cuts at any step, on a disk that loses and tears whatever was not synced.
//!
//! A run appends, flushes, seals, cuts and checkpoints at random until the power goes off in the middle of it.
//! Then the log is opened again and compared with what it must hold: all that was flushed, and behind it
//! nothing but what was appended, in order. The next life goes on from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::disk::Disk;
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};
use ottla_protocol::record::{
    Batch, BatchBuilder, BatchOptions, BatchProducer, Batches, ControlKind, EndTransaction, NewRecord,
};
use ottla_storage::{
    AppendError, CheckpointedAt, FileCache, FoundLog, LeaderAppend, LeaderAppended, Log, LogConfig, LogDir,
    LogOptions, OpenError, Origin, Retention,
};
use ottla_testkit::disk::SimDisk;
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

use crate::place::{as_client, build, bytes_from, epoch, offset, partition, time, topic_id};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";

/// What one life of the process does and remembers.
struct Life<'a> {
    disk: &'a SimDisk,
    random: &'a SeededRandom,
    config: LogConfig,
    model: &'a mut Model,
}

/// What the log must hold.
#[derive(Clone, Debug, Default)]
struct Model {
    /// The batches as they were appended, offsets and epochs stamped.
    batches: Vec<Vec<u8>>,
    /// Logs that a crash may bring back, for they were there after the last flush.
    earlier: Vec<Vec<Vec<u8>>>,
    /// Everything below was flushed.
    flushed: i64,
    leader_epoch: i32,
    sequences: [i32; 3],
    /// How far records were deleted.
    log_start: i64,
}

/// The transactional producer among the others.
const TRANSACTIONAL: usize = 2;

impl Model {
    fn end(batches: &[Vec<u8>]) -> i64 {
        batches.last().map_or(0, |batch| last_offset(batch) + 1)
    }

    /// Makes what survived the state, if it may be what survived. `log_start`: from where on it was read.
    fn accept(&mut self, survived: &[u8], log_start: i64) {
        let survived: Vec<Vec<u8>> =
            Batches::new(survived).map(|batch| batch.unwrap().bytes().to_vec()).collect();
        assert!(log_start <= self.log_start, "records from {} to {log_start} are gone", self.log_start);
        let end = survived.last().map_or(log_start, |batch| last_offset(batch) + 1);
        assert!(end >= self.flushed, "{end} is left, {} was flushed", self.flushed);
        let candidates = self.earlier.iter().chain(std::iter::once(&self.batches));
        let known = candidates.filter_map(|batches| {
            let before = batches.iter().take_while(|batch| last_offset(batch) < log_start).count();
            batches[before..].starts_with(&survived).then(|| batches[..before + survived.len()].to_vec())
        });
        let known: Vec<_> = known.collect();
        self.batches = known.into_iter().next_back().expect("the log holds what was its content once");
        self.log_start = log_start;
        self.earlier.clear();
    }

    /// First offset of the open transaction, and first and last offsets of the aborted ones.
    fn transactions(&self) -> (Option<i64>, Vec<(i64, i64)>) {
        let (mut open, mut aborted) = (None, Vec::new());
        for bytes in &self.batches {
            let Some(Ok(Batch::V2(view))) = Batches::new(bytes).next() else { panic!() };
            let attributes = view.header().attributes;
            if attributes.is_control() {
                let record = view.records_in(view.records_bytes()).next().unwrap().unwrap();
                let abort = ControlKind::of_key(record.key.unwrap()) == Ok(ControlKind::Abort);
                let first: Option<i64> = open.take();
                aborted.extend(first.filter(|_| abort).map(|first| (first, first_offset(bytes))));
            } else if attributes.is_transactional() {
                open.get_or_insert(first_offset(bytes));
            }
        }
        (open, aborted)
    }
}

fn last_offset(batch: &[u8]) -> i64 {
    Batches::new(batch).next().unwrap().unwrap().last_offset().value()
}

impl Life<'_> {
    fn options(&self) -> LogOptions {
        LogOptions { config: Arc::new(self.config.clone()), now: time(0), producer_expiration_ms: i64::MAX }
    }

    fn dir(&self) -> LogDir {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let mut dir = LogDir::open(FileCache::new(disk, 8), PathBuf::from("/d")).unwrap();
        assert!(dir.begin().unwrap().is_empty());
        dir
    }

    fn open(&self, dir: &LogDir) -> Result<Log, OpenError> {
        let listing = dir.list().unwrap();
        let Some(found) = listing.logs.first() else {
            // The directory's name was not durable, so nothing can have been flushed.
            assert_eq!(self.model.flushed, 0);
            return Ok(dir.create_log(partition("t", 0), topic_id(TOPIC_ID), &self.options()).unwrap());
        };
        let (mut log, _) = dir.open_log(found, &self.options())?;
        if log.topic_id().is_none() {
            assert_eq!(self.model.flushed, 0, "the id is flushed with the first batch");
            log.set_topic_id(topic_id(TOPIC_ID)).unwrap();
        }
        Ok(log)
    }

    /// Does random things until the power goes off or `steps` are done.
    fn run(&mut self, dir: &LogDir, log: &mut Log, steps: usize) -> Result<(), ()> {
        let failed = |_| ();
        for _ in 0..steps {
            match self.random.index(20) {
                0..=9 => self.append(log)?,
                10..=11 => self.flush_during(log, self.random.index(3))?,
                12 => self.end_transaction(log)?,
                13 => {
                    while let Some(job) = log.seal_job() {
                        job.run().map_err(failed)?;
                        log.on_sealed(&job);
                    }
                }
                14 => log.write_progress().map_err(failed)?,
                15..=16 => self.checkpoint(dir, log, log.recovery_point())?,
                17 => self.truncate(dir, log)?,
                18 if self.random.chance(50) => self.delete(log)?,
                18 => {
                    if let Some(job) = log.reserve_job().map_err(failed)? {
                        job.run();
                    }
                }
                _ => {
                    self.model.leader_epoch += 1;
                    log.begin_epoch(epoch(self.model.leader_epoch));
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, log: &mut Log) -> Result<(), ()> {
        let values: Vec<String> =
            (0..self.random.between(1, 4)).map(|_| "x".repeat(self.random.index(3000))).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let at = self.random.index(3);
        let producer = BatchProducer {
            id: ProducerId::new(i64::try_from(at).unwrap()).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Sequence::new(self.model.sequences[at]),
        };
        let first_time = i64::try_from(self.random.index(5000)).unwrap();
        let records: Vec<_> = (first_time..).zip(values.iter().copied()).collect();
        let transactional = at == TRANSACTIONAL;
        let options = BatchOptions { producer: Some(producer), transactional, ..BatchOptions::default() };
        let appended = self.append_batch(log, build(&records, options));
        if appended.is_ok() {
            self.model.sequences[at] += i32::try_from(values.len()).unwrap();
        }
        appended
    }

    fn end_transaction(&mut self, log: &mut Log) -> Result<(), ()> {
        let kind = if self.random.chance(50) { ControlKind::Abort } else { ControlKind::Commit };
        self.append_batch(log, marker(TRANSACTIONAL, kind))
    }

    fn append_batch(&mut self, log: &mut Log, mut bytes: Vec<u8>) -> Result<(), ()> {
        let by = LeaderAppend { origin: Origin::Coordinator, ..as_client(self.model.leader_epoch) };
        match log.append_as_leader(&mut bytes, &by) {
            Ok(LeaderAppended::New(_)) => {
                self.model.batches.push(bytes);
                Ok(())
            }
            Ok(LeaderAppended::Duplicate { .. }) => panic!("nothing was sent twice"),
            Err(AppendError::Disk(_)) => {
                // The batch may have reached the file all the same.
                self.model.batches.push(bytes);
                Err(())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Records below some flushed offset are deleted, and what segments that frees is removed.
    fn delete(&mut self, log: &mut Log) -> Result<(), ()> {
        let flushed = log.flushed().value();
        let to = self.random.between(self.model.log_start.unsigned_abs(), flushed.unsigned_abs());
        let to = i64::try_from(to).unwrap().max(self.model.log_start);
        self.model.log_start = to;
        log.move_log_start(offset(to));
        let retention = Retention { now: time(0), high_watermark: offset(flushed) };
        let removed = log.apply_retention(retention).map_err(|_| ())?;
        removed.remove().map_err(|_| ())
    }

    fn flush(&mut self, log: &mut Log) -> Result<(), ()> {
        self.flush_during(log, 0)
    }

    /// A flush, with appends while it runs.
    fn flush_during(&mut self, log: &mut Log, appends: usize) -> Result<(), ()> {
        let Some(job) = log.flush_job().map_err(|_| ())? else { return Ok(()) };
        let up_to = job.up_to().value();
        for _ in 0..appends {
            self.append(log)?;
        }
        job.run().map_err(|_| ())?;
        log.on_flushed(&job);
        assert_eq!(log.flushed().value(), up_to);
        self.model.flushed = up_to;
        self.model.earlier.clear();
        Ok(())
    }

    fn checkpoint(&self, dir: &LogDir, log: &Log, point: Offset) -> Result<(), ()> {
        dir.write_recovery_points([(log.partition(), point)]).map_err(|_| ())
    }

    fn truncate(&mut self, dir: &LogDir, log: &mut Log) -> Result<(), ()> {
        let end = Model::end(&self.model.batches);
        let at = self.random.index(self.model.batches.len() + 1);
        let to = self.model.batches.get(at).map_or(end, |batch| first_offset(batch));
        if to < self.model.log_start {
            return Ok(());
        }
        // A leader is told to cut only together with a new epoch.
        self.model.leader_epoch += 1;
        let point = log.recovery_point_for_cut(offset(to));
        self.checkpoint(dir, log, point)?;
        self.model.earlier.push(self.model.batches.clone());
        self.model.batches.truncate(at);
        self.model.flushed = self.model.flushed.min(to);
        self.model.sequences = sequences_of(&self.model.batches);
        let removed = log.truncate_to(offset(to), CheckpointedAt(point), time(0)).map_err(|_| ())?;
        assert_eq!(log.log_end(), offset(to));
        log.begin_epoch(epoch(self.model.leader_epoch));
        removed.remove().map_err(|_| ())
    }
}

fn marker(producer: usize, kind: ControlKind) -> Vec<u8> {
    let producer = BatchProducer {
        id: ProducerId::new(i64::try_from(producer).unwrap()).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: None,
    };
    let options = BatchOptions {
        producer: Some(producer),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options).unwrap();
    let (key, value) = (kind.key(), EndTransaction { coordinator_epoch: 0 }.value());
    let record = NewRecord { timestamp: time(0), key: Some(&key), value: Some(&value), headers: &[] };
    builder.append(record).unwrap();
    builder.finish().unwrap()
}

fn first_offset(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(*bytes.first_chunk().unwrap())
}

fn sequences_of(batches: &[Vec<u8>]) -> [i32; 3] {
    let mut sequences = [0; 3];
    for bytes in batches {
        let Some(Ok(Batch::V2(view))) = Batches::new(bytes).next() else { panic!() };
        let header = view.header();
        if header.attributes.is_control() {
            continue;
        }
        let producer = usize::try_from(header.producer_id.unwrap().value()).unwrap();
        sequences[producer] = header.last_sequence().unwrap().next().value();
    }
    sequences
}

/// Checks a log that was opened again against the model.
fn check(log: &mut Log, model: &mut Model) {
    model.accept(&bytes_from(log, log.log_start()), log.log_start().value());
    assert_eq!(log.log_end().value(), Model::end(&model.batches));
    model.sequences = sequences_of(&model.batches);
    for (at, next) in model.sequences.iter().enumerate() {
        let producer = ProducerId::new(i64::try_from(at).unwrap()).unwrap();
        let last = log.producer(producer).and_then(|entry| entry.last_batch());
        if log.log_start() > Offset::ZERO && last.is_none() {
            // Its records were deleted, and the state may have gone with them.
            continue;
        }
        let known = last.and_then(|batch| batch.last_sequence).map_or(0, |last| last.next().value());
        assert_eq!(known, *next, "producer {at}");
    }
    log.on_high_watermark(log.log_end());
    let (open, aborted) = model.transactions();
    let start = log.log_start().value();
    if open.is_none_or(|first| first >= start) {
        assert_eq!(log.first_unstable().map(Offset::value), open);
    }
    let found = log.aborted_transactions(log.log_start(), log.log_end()).unwrap();
    let found: Vec<_> = found.iter().map(|a| (a.first_offset.value(), a.last_offset.value())).collect();
    // Of a transaction whose beginning was deleted only the end is sure.
    let (cut, expected): (Vec<_>, Vec<_>) = aborted.into_iter().partition(|(first, _)| *first < start);
    let found: Vec<_> =
        found.into_iter().filter(|(_, last)| cut.iter().all(|(_, known)| known != last)).collect();
    assert_eq!(found, expected);
    for bytes in model.batches.iter().filter(|bytes| last_offset(bytes) >= start) {
        let found = bytes_from(log, offset(last_offset(bytes)));
        assert!(found.starts_with(bytes), "the batch at {} is found", first_offset(bytes));
    }
    let epochs: Vec<i32> = log.epochs().iter().map(|entry| entry.epoch.value()).collect();
    assert!(epochs.iter().all(|epoch| *epoch <= model.leader_epoch));
}

/// One life, unless the crash took the first segment of a log of which nothing was ever flushed: then the rest
/// of it is all there is, and the run ends.
fn one_life(disk: &SimDisk, random: &SeededRandom, config: &LogConfig, model: &mut Model) -> bool {
    let mut life = Life { disk, random, config: config.clone(), model };
    let dir = life.dir();
    let mut log = life.open(&dir).unwrap_or_else(|error| panic!("{error}"));
    if log.log_start().value() > life.model.log_start {
        assert_eq!(life.model.flushed, 0);
        return false;
    }
    check(&mut log, life.model);
    if random.chance(30) {
        // Recovering twice is recovering once.
        drop((log, dir));
        disk.kill();
        let dir = life.dir();
        log = life.open(&dir).unwrap_or_else(|error| panic!("{error}"));
        check(&mut log, life.model);
        go_on(&mut life, dir, log);
    } else {
        go_on(&mut life, dir, log);
    }
    true
}

fn go_on(life: &mut Life<'_>, dir: LogDir, mut log: Log) {
    let random = life.random;
    life.disk.cut_power_after(random.between(1, 300));
    life.model.leader_epoch += 1;
    log.begin_epoch(epoch(life.model.leader_epoch));
    if life.run(&dir, &mut log, random.index(120)).is_ok() && random.chance(30) {
        let _ = stop(life, dir, log);
    }
}

/// A clean stop, if the power lasts.
fn stop(life: &mut Life<'_>, dir: LogDir, log: Log) -> Result<(), ()> {
    let name = log.partition().clone();
    let closed = log.close().map_err(|_| ())?;
    life.model.flushed = closed.log_end.value();
    life.model.earlier.clear();
    dir.write_recovery_points([(&name, closed.log_end)]).map_err(|_| ())?;
    dir.write_log_starts([(&name, closed.log_start)]).map_err(|_| ())?;
    dir.end(None).map_err(|_| ())
}

fn config(random: &SeededRandom) -> LogConfig {
    LogConfig {
        segment_bytes: u32::try_from(random.between(20_000, 60_000)).unwrap(),
        index_interval_bytes: u32::try_from(random.between(1, 8000)).unwrap(),
        ..LogConfig::default()
    }
}

/// LOG-04, R1, R3, R4, IDM-09: what was flushed is there after any power cut, and nothing else than what was
/// appended.
#[test]
fn flushed_batches_survive_power_cuts_at_any_step() {
    seeds::run(150, |seed| {
        let random = SeededRandom::new(seed);
        let disk = SimDisk::new(seed);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let config = config(&random);
        let mut model = Model::default();
        for life in 0..6 {
            if !one_life(&disk, &random, &config, &mut model) {
                return;
            }
            disk.crash(seed * 1000 + life);
        }
    });
}

/// LOG-04: a killed process loses nothing, flushed or not.
#[test]
fn a_killed_process_loses_nothing_that_was_appended() {
    seeds::run(60, |seed| {
        let random = SeededRandom::new(seed);
        let disk = SimDisk::new(seed);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let config = config(&random);
        let mut model = Model::default();
        for _ in 0..4 {
            let mut life = Life { disk: &disk, random: &random, config: config.clone(), model: &mut model };
            let dir = life.dir();
            let mut log = life.open(&dir).unwrap();
            check(&mut log, life.model);
            life.run(&dir, &mut log, 60).unwrap();
            model.flushed = model.flushed.max(Model::end(&model.batches));
            model.earlier.clear();
            drop((log, dir));
            disk.kill();
        }
    });
}

fn found() -> FoundLog {
    let partition: TopicPartition = partition("t", 0);
    FoundLog { path: Path::new("/d").join(partition.to_string()), partition }
}

/// Reliability 2.1: damage below the recovery point is reported and nothing is cut away; beyond it, it is the
/// torn end.
#[test]
fn damage_below_the_recovery_point_is_reported_and_left_as_it_is() {
    let disk = SimDisk::new(0);
    disk.prepare_dir(Path::new("/d")).unwrap();
    let random = SeededRandom::new(0);
    let mut model = Model::default();
    let mut life = Life { disk: &disk, random: &random, config: LogConfig::default(), model: &mut model };
    let dir = life.dir();
    let mut log = life.open(&dir).unwrap();
    for _ in 0..10 {
        life.append(&mut log).unwrap();
    }
    life.flush(&mut log).unwrap();
    let sizes: Vec<u64> = life.model.batches.iter().map(|batch| batch.len() as u64).collect();
    let fifth = first_offset(&life.model.batches[5]);
    life.checkpoint(&dir, &log, offset(fifth)).unwrap();
    drop((log, dir));
    let path = Path::new("/d/t-0/00000000000000000000.log");
    let (third, seventh) = (sizes[..3].iter().sum::<u64>(), sizes[..7].iter().sum::<u64>());
    disk.kill();
    disk.damage(path, seventh + 30, b"rot").unwrap();
    let dir = life.dir();
    let (log, report) = dir.open_log(&found(), &life.options()).unwrap();
    assert_eq!(report.cut.unwrap().position, seventh);
    assert_eq!(log.log_end().value(), first_offset(&life.model.batches[7]));
    drop((log, dir));
    disk.kill();
    disk.damage(path, third + 8, &[0xff; 4]).unwrap();
    let before = disk.metadata(path).unwrap().len;
    let dir = life.dir();
    let refused = dir.open_log(&found(), &life.options()).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::Damaged { position, .. } if position == third), "{text}");
    assert_eq!(disk.metadata(path).unwrap().len, before, "nothing was cut");
}

/// Reliability 2.1: a log that lost flushed bytes at its end is not taken for a shorter one.
#[test]
fn a_log_that_ends_below_the_recovery_point_is_refused() {
    let disk = SimDisk::new(0);
    disk.prepare_dir(Path::new("/d")).unwrap();
    let random = SeededRandom::new(1);
    let mut model = Model::default();
    let mut life = Life { disk: &disk, random: &random, config: LogConfig::default(), model: &mut model };
    let dir = life.dir();
    let mut log = life.open(&dir).unwrap();
    for _ in 0..4 {
        life.append(&mut log).unwrap();
    }
    life.flush(&mut log).unwrap();
    life.checkpoint(&dir, &log, log.recovery_point()).unwrap();
    // The recovery point lies inside the last batch, so the loss of that one alone would pass for a torn end.
    let lost: usize = life.model.batches.iter().rev().take(2).map(Vec::len).sum();
    drop((log, dir));
    disk.kill();
    let path = Path::new("/d/t-0/00000000000000000000.log");
    let file = disk.open(path, ottla_env::disk::OpenMode::Write).unwrap();
    file.set_len(file.len().unwrap() - lost as u64).unwrap();
    let dir = life.dir();
    let refused = dir.open_log(&found(), &life.options()).err();
    assert!(matches!(refused, Some(OpenError::Short { .. })));
}
