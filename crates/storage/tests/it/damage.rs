//! Damaged files: every file of a data directory cut short, changed, zeroed, replaced by another one, or missing
//! before a start.
//!
//! After each damage the directory is opened as a node opens it. It recovers or refuses, and every record it serves is
//! byte for byte the one that was written at that offset. What became of each kind of file is one table, [`EXPECTED`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_model::{
    BrokerEpoch, BrokerId, ClusterId, DirectoryId, Offset, ProducerEpoch, ProducerId, Sequence, Uuid,
};
use ottla_protocol::record::{
    Batch, BatchBuilder, BatchOptions, BatchProducer, Batches, ControlKind, EndTransaction, NewRecord,
};
use ottla_storage::{
    FileCache, LeaderAppend, LeaderAppended, Log, LogConfig, LogDir, LogOptions, MetaProperties, Origin,
    ReadLimits, Retention,
};

use crate::place::{
    TestDir, as_client, build, bytes_of, epoch, offset, partition, real_disk, time, topic_id,
};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";
/// Where a batch has its leader epoch.
const EPOCH: std::ops::Range<usize> = 12..16;
const PRODUCER: i64 = 7;
const TRANSACTIONAL: i64 = 8;

/// What becomes of a damaged file of each kind. A kind that recovers always is one whose content is known from elsewhere.
///
/// - whole: all records are served, and their producers are known;
/// - cut: the end is gone, from a batch on that was not on stable storage for certain (only after a crash);
/// - transaction lost: readers of committed records see what was taken back. The file has neither checksum nor count, and
///   is there only where a transaction was aborted, so a missing or shortened one looks like one of less transactions;
/// - hidden: the log start lies higher than it did; Kafka's file has no checksum, and believes it too;
/// - other id: the directory says that it belongs to another topic, or to none, which the node looks at;
/// - other epoch: all records are served, one batch with another leader epoch; no checksum covers it, as in Kafka;
/// - refused: the directory or the partition is not opened, with a typed error;
/// - unreadable: the log is open, and a reader is told which batch is damaged.
const EXPECTED: &str = "\
*.index                             changed   Cleanly   whole
*.index                             changed   Killed    whole
*.index                             cut       Cleanly   whole
*.index                             cut       Killed    whole
*.index                             missing   Cleanly   whole
*.index                             missing   Killed    whole
*.index                             replaced  Cleanly   whole
*.index                             replaced  Killed    whole
*.index                             zeroed    Cleanly   whole
*.index                             zeroed    Killed    whole
*.log                               changed   Cleanly   other epoch, refused, unreadable
*.log                               changed   Killed    cut, other epoch, refused, unreadable
*.log                               cut       Cleanly   refused, unreadable
*.log                               cut       Killed    cut, refused, unreadable
*.log                               missing   Cleanly   refused
*.log                               missing   Killed    cut, hidden, refused
*.log                               replaced  Cleanly   refused, unreadable
*.log                               replaced  Killed    cut, refused, unreadable
*.log                               zeroed    Cleanly   refused, unreadable
*.log                               zeroed    Killed    cut, refused, unreadable
*.snapshot                          changed   Cleanly   whole
*.snapshot                          changed   Killed    whole
*.snapshot                          cut       Cleanly   whole
*.snapshot                          cut       Killed    whole
*.snapshot                          missing   Cleanly   whole
*.snapshot                          missing   Killed    whole
*.snapshot                          replaced  Cleanly   whole
*.snapshot                          replaced  Killed    whole
*.snapshot                          zeroed    Cleanly   whole
*.snapshot                          zeroed    Killed    whole
*.timeindex                         changed   Cleanly   whole
*.timeindex                         changed   Killed    whole
*.timeindex                         cut       Cleanly   whole
*.timeindex                         cut       Killed    whole
*.timeindex                         missing   Cleanly   whole
*.timeindex                         missing   Killed    whole
*.timeindex                         replaced  Cleanly   whole
*.timeindex                         replaced  Killed    whole
*.timeindex                         zeroed    Cleanly   whole
*.timeindex                         zeroed    Killed    whole
*.txnindex                          changed   Cleanly   unreadable, whole
*.txnindex                          changed   Killed    unreadable, whole
*.txnindex                          cut       Cleanly   transaction lost, unreadable
*.txnindex                          cut       Killed    transaction lost, unreadable
*.txnindex                          missing   Cleanly   transaction lost
*.txnindex                          missing   Killed    transaction lost
*.txnindex                          zeroed    Cleanly   unreadable, whole
*.txnindex                          zeroed    Killed    unreadable, whole
.kafka_cleanshutdown                changed   Cleanly   whole
.kafka_cleanshutdown                cut       Cleanly   whole
.kafka_cleanshutdown                missing   Cleanly   whole
.kafka_cleanshutdown                zeroed    Cleanly   whole
leader-epoch-checkpoint             changed   Cleanly   refused, whole
leader-epoch-checkpoint             changed   Killed    refused, whole
leader-epoch-checkpoint             cut       Cleanly   refused, whole
leader-epoch-checkpoint             cut       Killed    refused, whole
leader-epoch-checkpoint             missing   Cleanly   whole
leader-epoch-checkpoint             missing   Killed    whole
leader-epoch-checkpoint             zeroed    Cleanly   refused
leader-epoch-checkpoint             zeroed    Killed    refused
log-start-offset-checkpoint         changed   Cleanly   hidden, whole
log-start-offset-checkpoint         changed   Killed    hidden, whole
log-start-offset-checkpoint         cut       Cleanly   whole
log-start-offset-checkpoint         cut       Killed    whole
log-start-offset-checkpoint         missing   Cleanly   whole
log-start-offset-checkpoint         missing   Killed    whole
log-start-offset-checkpoint         zeroed    Cleanly   whole
log-start-offset-checkpoint         zeroed    Killed    whole
meta.properties                     changed   Cleanly   refused, whole
meta.properties                     changed   Killed    refused, whole
meta.properties                     cut       Cleanly   refused, whole
meta.properties                     cut       Killed    refused, whole
meta.properties                     missing   Cleanly   refused
meta.properties                     missing   Killed    refused
meta.properties                     zeroed    Cleanly   refused
meta.properties                     zeroed    Killed    refused
partition.metadata                  changed   Cleanly   other id, refused
partition.metadata                  changed   Killed    other id, refused
partition.metadata                  cut       Cleanly   refused
partition.metadata                  cut       Killed    refused
partition.metadata                  missing   Cleanly   other id
partition.metadata                  missing   Killed    other id
partition.metadata                  zeroed    Cleanly   refused
partition.metadata                  zeroed    Killed    refused
recovery-point-offset-checkpoint    changed   Cleanly   refused, whole
recovery-point-offset-checkpoint    changed   Killed    whole
recovery-point-offset-checkpoint    cut       Cleanly   whole
recovery-point-offset-checkpoint    cut       Killed    whole
recovery-point-offset-checkpoint    missing   Cleanly   whole
recovery-point-offset-checkpoint    missing   Killed    whole
recovery-point-offset-checkpoint    zeroed    Cleanly   whole
recovery-point-offset-checkpoint    zeroed    Killed    whole
replication-offset-checkpoint       changed   Cleanly   whole
replication-offset-checkpoint       changed   Killed    whole
replication-offset-checkpoint       cut       Cleanly   whole
replication-offset-checkpoint       cut       Killed    whole
replication-offset-checkpoint       missing   Cleanly   whole
replication-offset-checkpoint       missing   Killed    whole
replication-offset-checkpoint       zeroed    Cleanly   whole
replication-offset-checkpoint       zeroed    Killed    whole
";

fn options() -> LogOptions {
    let config = LogConfig { segment_bytes: 700, index_interval_bytes: 0, ..LogConfig::default() };
    LogOptions { config: Arc::new(config), now: time(0), producer_expiration_ms: i64::MAX }
}

fn open_dir(path: &Path) -> Result<LogDir, String> {
    LogDir::open(FileCache::new(real_disk(), 64), path.to_owned()).map_err(|error| error.to_string())
}

fn meta() -> MetaProperties {
    MetaProperties {
        cluster_id: ClusterId::new("c").unwrap(),
        node_id: BrokerId::new(1).unwrap(),
        directory_id: Some(DirectoryId(Uuid::from_bytes([5; 16]))),
    }
}

/// A directory as a run left it, and what was written into it.
struct Original {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Batches by their first offset.
    batches: BTreeMap<i64, Vec<u8>>,
    log_start: i64,
    log_end: i64,
    recovery_point: i64,
}

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Cleanly,
    Killed,
}

struct Writer {
    log: Log,
    batches: BTreeMap<i64, Vec<u8>>,
    sequence: i32,
}

impl Writer {
    fn append(&mut self, mut bytes: Vec<u8>, leader_epoch: i32) {
        let by = LeaderAppend { origin: Origin::Coordinator, ..as_client(leader_epoch) };
        let base = self.log.log_end().value();
        assert!(matches!(self.log.append_as_leader(&mut bytes, &by), Ok(LeaderAppended::New(_))));
        self.batches.insert(base, bytes);
    }

    fn records(&mut self, leader_epoch: i32) {
        let values: Vec<String> =
            (0..3).map(|at| format!("value {} {}", self.sequence + at, "v".repeat(40))).collect();
        let first = 1_000 + i64::from(self.sequence);
        let records: Vec<(i64, &str)> = (first..).zip(values.iter().map(String::as_str)).collect();
        let producer = producer(PRODUCER, Sequence::new(self.sequence));
        self.append(build(&records, BatchOptions { producer, ..BatchOptions::default() }), leader_epoch);
        self.sequence += 3;
    }

    fn aborted_transaction(&mut self, leader_epoch: i32) {
        let producer = producer(TRANSACTIONAL, Sequence::new(0));
        let options = BatchOptions { producer, transactional: true, ..BatchOptions::default() };
        self.append(build(&[(2_000, "taken back")], options), leader_epoch);
        let producer = self::producer(TRANSACTIONAL, None);
        let options =
            BatchOptions { producer, transactional: true, control: true, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options).unwrap();
        let (key, value) = (ControlKind::Abort.key(), EndTransaction { coordinator_epoch: 0 }.value());
        builder
            .append(NewRecord { timestamp: time(2_001), key: Some(&key), value: Some(&value), headers: &[] })
            .unwrap();
        self.append(builder.finish().unwrap(), leader_epoch);
    }

    fn flush(&mut self) {
        while let Some(job) = self.log.seal_job() {
            job.run().unwrap();
            self.log.on_sealed(&job);
        }
        if let Some(job) = self.log.flush_job().unwrap() {
            job.run().unwrap();
            self.log.on_flushed(&job);
        }
    }
}

fn producer(id: i64, base_sequence: Option<Sequence>) -> Option<BatchProducer> {
    Some(BatchProducer { id: ProducerId::new(id).unwrap(), epoch: ProducerEpoch::ZERO, base_sequence })
}

/// Writes a log of several segments: two leader epochs, an idempotent producer, an aborted transaction, records deleted
/// inside the first segment; half of it flushed and known to be.
fn write(path: &Path, left: Left) -> Original {
    let mut dir = open_dir(path).unwrap();
    dir.write_meta(&meta(), time(0)).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    let id = partition("t", 0);
    let log = dir.create_log(id.clone(), topic_id(TOPIC_ID), &options()).unwrap();
    let mut writer = Writer { log, batches: BTreeMap::new(), sequence: 0 };
    writer.log.begin_epoch(epoch(0));
    (0..4).for_each(|_| writer.records(0));
    writer.aborted_transaction(0);
    writer.log.begin_epoch(epoch(3));
    (0..4).for_each(|_| writer.records(3));
    writer.log.move_log_start(offset(2));
    writer.flush();
    let recovery_point = writer.log.recovery_point();
    (0..4).for_each(|_| writer.records(3));
    let Writer { log, batches, .. } = writer;
    let (log_start, log_end) = (log.log_start(), log.log_end());
    dir.write_log_starts([(&id, log_start)]).unwrap();
    dir.write_high_watermarks([(&id, log_end)]).unwrap();
    let recovery_point = match left {
        Left::Cleanly => {
            dir.write_recovery_points([(&id, log.close().unwrap().log_end)]).unwrap();
            dir.end(BrokerEpoch::new(5)).unwrap();
            log_end
        }
        Left::Killed => {
            dir.write_recovery_points([(&id, recovery_point)]).unwrap();
            recovery_point
        }
    };
    let [log_start, log_end, recovery_point] = [log_start, log_end, recovery_point].map(Offset::value);
    Original { files: files_below(path), batches, log_start, log_end, recovery_point }
}

/// Every file but the lock, with its content.
fn files_below(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in [PathBuf::new(), PathBuf::from("t-0")] {
        for entry in fs::read_dir(path.join(&folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() && entry.file_name() != ".lock" {
                found.insert(folder.join(entry.file_name()), fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// One way to damage a file: its name in the table, and what lies there afterwards.
struct Damage {
    name: &'static str,
    content: Option<Vec<u8>>,
}

/// All ways to damage a file. `others` are files of the same kind.
fn damages(content: &[u8], others: &[&Vec<u8>]) -> Vec<Damage> {
    let len = content.len();
    let mut damages = vec![Damage { name: "missing", content: None }];
    let mut add = |name, bytes: Vec<u8>| damages.push(Damage { name, content: Some(bytes) });
    let places: BTreeSet<usize> =
        (0..12).map(|part| part * len / 12).chain([1, 2, 15, 16, 22]).filter(|at| *at < len).collect();
    for at in &places {
        add("cut", content[..*at].to_vec());
        for bit in [0x01, 0x80] {
            let mut changed = content.to_vec();
            changed[*at] ^= bit;
            add("changed", changed);
        }
    }
    add("cut", content[..len.saturating_sub(1)].to_vec());
    add("zeroed", vec![0; len]);
    for from in [len / 3, len / 2] {
        let mut zeroed = content.to_vec();
        zeroed[from..].fill(0);
        add("zeroed", zeroed);
        let mut zeroed = content.to_vec();
        zeroed[..from].fill(0);
        add("zeroed", zeroed);
    }
    for other in others {
        add("replaced", (*other).clone());
    }
    damages.retain(|damage| damage.content.as_deref() != Some(content));
    damages
}

/// What a file is called in the table.
fn kind(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some(ending) if name.starts_with("0000") => format!("*.{ending}"),
        Some(_) | None => name.to_owned(),
    }
}

fn lay_out(path: &Path, original: &Original, (damaged, damage): (&Path, &Damage)) {
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path.join("t-0")).unwrap();
    for (name, content) in &original.files {
        fs::write(path.join(name), content).unwrap();
    }
    match &damage.content {
        Some(content) => fs::write(path.join(damaged), content).unwrap(),
        None => fs::remove_file(path.join(damaged)).unwrap(),
    }
}

/// Opens the directory and reads everything from every offset on.
fn outcome(path: &Path, original: &Original) -> Result<&'static str, String> {
    let mut dir = match open_dir(path) {
        Ok(dir) => dir,
        Err(_) => return Ok("refused"),
    };
    match dir.meta() {
        Ok(Some(found)) if found == meta() => {}
        Ok(_) | Err(_) => return Ok("refused"),
    }
    if dir.begin().is_err() {
        return Ok("refused");
    }
    let listing = dir.list().map_err(|error| error.to_string())?;
    let [found] = listing.logs.as_slice() else { return Err("the partition is not listed".to_owned()) };
    let Ok((log, _)) = dir.open_log(found, &options()) else { return Ok("refused") };
    served(&log, original)
}

/// What the log serves. `Err`: something that was not written there, or not all of it.
fn served(log: &Log, original: &Original) -> Result<&'static str, String> {
    let (start, end) = (log.log_start().value(), log.log_end().value());
    if end < original.recovery_point || end > original.log_end {
        return Err(format!("the log ends at {end}, not {}..={}", original.recovery_point, original.log_end));
    }
    let mut epochs_are_right = true;
    for from in start..end {
        match read_from(log, from, original)? {
            Readable::Right => {}
            Readable::OtherEpoch => epochs_are_right = false,
            Readable::Damaged => return Ok("unreadable"),
        }
    }
    if !epochs_are_right {
        return Ok("other epoch");
    }
    if log.topic_id() != Some(topic_id(TOPIC_ID)) {
        return Ok("other id");
    }
    if end < original.log_end {
        return Ok("cut");
    }
    let known = log.producer(ProducerId::new(PRODUCER).unwrap());
    let last = known.and_then(|entry| entry.last_batch()).map(|batch| batch.last_offset.value());
    if last != Some(original.log_end - 1) {
        return Err(format!("the producer's last batch ends at {last:?}, the log at {}", original.log_end));
    }
    match log.aborted_transactions(log.log_start(), log.log_end()).as_deref() {
        Ok([_]) => {}
        Ok(_) => return Ok("transaction lost"),
        Err(_) => return Ok("unreadable"),
    }
    let time_of_last = original.batches.last_key_value().map(|(base, _)| *base).unwrap_or_default();
    let found = log.plan_largest_timestamp_search().map(|search| search.resolve());
    if !matches!(found, Ok(Ok(Some(_)))) {
        return Err(format!("no record has the largest time, behind {time_of_last}: {found:?}"));
    }
    Ok(if start > original.log_start { "hidden" } else { "whole" })
}

enum Readable {
    Right,
    OtherEpoch,
    Damaged,
}

/// Reads from an offset to the end. A batch that a reader finds damaged is served to nobody.
fn read_from(log: &Log, from: i64, original: &Original) -> Result<Readable, String> {
    let limits = ReadLimits { bytes_max: u32::MAX, upper_bound: log.log_end(), at_least_one_batch: true };
    let Ok(read) = log.read(offset(from), limits) else { return Ok(Readable::Damaged) };
    let bytes = bytes_of(&read);
    if read.check(offset(from), &bytes).is_err() {
        return Ok(Readable::Damaged);
    }
    let (mut expected, mut is_right) = (from, true);
    for batch in Batches::new(&bytes) {
        let Ok(batch) = batch else { return Ok(Readable::Damaged) };
        if batch.check_crc().is_err() {
            return Ok(Readable::Damaged);
        }
        let Batch::V2(view) = &batch else { return Ok(Readable::Damaged) };
        let base = view.header().base_offset.value();
        let mut read = batch.bytes().to_vec();
        let written = original.batches.get(&base);
        if let Some((epoch, written)) =
            read.get_mut(EPOCH).zip(written.and_then(|written| written.get(EPOCH)))
        {
            is_right &= *epoch == *written;
            epoch.copy_from_slice(written);
        }
        if written != Some(&read) {
            return Err(format!("read from {from}: the batch at {base} is not what was written there"));
        }
        if base > expected {
            return Err(format!("read from {from}: nothing between {expected} and {base}"));
        }
        expected = batch.last_offset().value() + 1;
    }
    match expected == log.log_end().value() {
        true if is_right => Ok(Readable::Right),
        true => Ok(Readable::OtherEpoch),
        false => Err(format!("read from {from}: ends at {expected}")),
    }
}

/// LOG-04: what the log start checkpoint says cannot be, and the records are still there.
#[test]
fn a_log_start_behind_the_end_is_refused_after_a_clean_stop_and_nothing_is_removed() {
    let place = TestDir::new("start");
    let original = write(&place.path, Left::Cleanly);
    fs::write(place.path.join("log-start-offset-checkpoint"), "0\n1\nt 0 900\n").unwrap();
    let mut dir = open_dir(&place.path).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    let refused = dir.open_log(&dir.list().unwrap().logs[0], &options()).unwrap_err();
    let expected =
        format!("the checkpoint says that the log begins at 900, but it ends at {}", original.log_end);
    assert_eq!(refused.to_string(), expected);
    let logs = |files: &BTreeMap<PathBuf, Vec<u8>>| {
        files.keys().filter(|name| kind(name) == "*.log").cloned().collect::<Vec<_>>()
    };
    assert_eq!(logs(&files_below(&place.path)), logs(&original.files));
}

/// LOG-02; reliability design, C2: a time index that was cut or zeroed would make its segment seem older than it is.
#[test]
fn retention_does_not_believe_a_damaged_time_index() {
    let place = TestDir::new("times");
    let original = write(&place.path, Left::Cleanly);
    for (name, content) in original.files.iter().filter(|(name, _)| kind(name) == "*.timeindex") {
        fs::write(place.path.join(name), vec![0; content.len()]).unwrap();
    }
    let mut dir = open_dir(&place.path).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    let mut options = options();
    options.config = Arc::new(LogConfig { retention_ms: Some(1_000), ..(*options.config).clone() });
    let (mut log, _) = dir.open_log(&dir.list().unwrap().logs[0], &options).unwrap();
    // The oldest record is of 1000, and none is older than the retention.
    let now = Retention { now: time(2_000), high_watermark: log.log_end() };
    assert!(log.apply_retention(now).unwrap().is_empty());
    let later = Retention { now: time(1_000_000), high_watermark: log.log_end() };
    assert!(!log.apply_retention(later).unwrap().is_empty());
}

/// Reliability design, R2: bytes that are copied are looked at first.
#[test]
fn a_read_is_checked_for_checksums_offsets_and_its_end() {
    let place = TestDir::new("check");
    let original = write(&place.path, Left::Cleanly);
    let mut dir = open_dir(&place.path).unwrap();
    assert!(dir.begin().unwrap().is_empty());
    let (log, _) = dir.open_log(&dir.list().unwrap().logs[0], &options()).unwrap();
    let limits = ReadLimits { bytes_max: u32::MAX, upper_bound: log.log_end(), at_least_one_batch: true };
    let (from, read) = (offset(4), log.read(offset(4), limits).unwrap());
    let bytes = bytes_of(&read);
    read.check(from, &bytes).unwrap();
    let second = original.batches[&3].len();
    for (at, what) in [(7, "offset"), (second + 7, "offset"), (40, "checksum"), (second + 70, "checksum")] {
        for bit in [0x04, 0x40] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            assert!(read.check(from, &changed).is_err(), "{what} at {at}, bit {bit}");
        }
    }
}

/// Reliability design 2.1: a closed segment that was found damaged is not looked at again by every fetch.
#[test]
fn a_segment_that_was_found_damaged_stays_so_until_the_next_start() {
    let place = TestDir::new("verdict");
    let original = write(&place.path, Left::Cleanly);
    let (name, content) = original.files.iter().find(|(name, _)| kind(name) == "*.log").unwrap();
    // An offset of another segment.
    let mut damaged = content.clone();
    damaged[5] ^= 0x40;
    fs::write(place.path.join(name), damaged).unwrap();
    let open = || {
        let mut dir = open_dir(&place.path).unwrap();
        assert!(dir.begin().unwrap().is_empty());
        let (log, _) = dir.open_log(&dir.list().unwrap().logs[0], &options()).unwrap();
        log
    };
    let read = |log: &Log| {
        let limits = ReadLimits { bytes_max: u32::MAX, upper_bound: log.log_end(), at_least_one_batch: true };
        log.read(log.log_start(), limits).map(drop).map_err(|error| error.to_string())
    };
    let log = open();
    let told = read(&log).unwrap_err();
    fs::write(place.path.join(name), content).unwrap();
    assert_eq!(read(&log), Err(told));
    drop(log);
    assert_eq!(read(&open()), Ok(()));
}

/// LOG-04, IDM-09; reliability design 2.1.
#[test]
fn a_damaged_file_is_recovered_or_refused_and_never_served() {
    let place = TestDir::new("damage");
    let path = place.path.join("data");
    let mut table: BTreeMap<(String, &str, String), BTreeSet<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for left in [Left::Cleanly, Left::Killed] {
        let original = write(&place.path.join(format!("{left:?}")), left);
        for (name, content) in &original.files {
            let alike =
                |other: &&PathBuf| *other != name && kind(other) == kind(name) && kind(name).starts_with('*');
            let others: Vec<&Vec<u8>> =
                original.files.keys().filter(alike).map(|other| &original.files[other]).collect();
            for damage in damages(content, &others) {
                lay_out(&path, &original, (name, &damage));
                let row = table.entry((kind(name), damage.name, format!("{left:?}"))).or_default();
                match outcome(&path, &original) {
                    Ok(outcome) => drop(row.insert(outcome)),
                    Err(what) => wrong.push(format!("{left:?}, {} {}: {what}", name.display(), damage.name)),
                }
            }
        }
    }
    let line = |((kind, damage, left), outcomes): (&(String, &str, String), &BTreeSet<&str>)| {
        let outcomes: Vec<&str> = outcomes.iter().copied().collect();
        format!("{kind:<36}{damage:<10}{left:<10}{}\n", outcomes.join(", "))
    };
    let found: String = table.iter().map(line).collect();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} wrong:\n{}\n{found}", wrong.len(), wrong.join("\n"));
    assert!(found == EXPECTED, "{found}");
}
