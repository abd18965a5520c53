//! Stories of compaction, one for each rule.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use ottla_env::disk::{Disk, OpenMode};
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::compression::{Compression, Encoding, UnpackLimits};
use ottla_protocol::record::{
    Attributes, Batch, BatchBuilder, BatchHeader, BatchOptions, BatchProducer, Batches, ControlKind,
    EndTransaction, NewRecord, RecordBuffer, end_transaction_batch,
};
use ottla_storage::{
    CheckpointedAt, CleanupPolicy, CompactionBounds, CompactionError, CompactionLimits, FileCache,
    KeyMapLimits, LeaderAppend, LeaderAppended, Log, LogConfig, LogDir, LogPlace, Origin, ReadError,
    ReadLimits,
};
use ottla_testkit::disk::SimDisk;

use crate::place::{as_client, bytes_from, clean, offset, partition, place, time, topic_id};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";
/// The time at which the logs of these tests are compacted first.
const NOW: i64 = 1_000_000;
/// `delete.retention.ms`
pub const RETENTION: i64 = 1000;

/// A record of these tests: key and value, either may be missing.
pub type Pair<'a> = (Option<&'a str>, Option<&'a str>);

pub fn config() -> LogConfig {
    LogConfig {
        cleanup: CleanupPolicy { delete: false, compact: true },
        delete_retention_ms: RETENTION,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

fn log_on(disk: &SimDisk, config: LogConfig) -> (Log, LogPlace) {
    let place = place(Arc::new(disk.clone()), Path::new("/d"), config);
    (Log::create(place.clone(), topic_id(TOPIC_ID), time(0)).unwrap(), place)
}

pub fn batch_of(pairs: &[Pair<'_>], options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options).unwrap();
    for (at, (key, value)) in (100..).zip(pairs) {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.append(NewRecord { timestamp: time(at), key, value, headers: &[] }).unwrap();
    }
    builder.finish().unwrap()
}

pub fn producer(id: i64, epoch: i16, sequence: Option<i32>) -> BatchProducer {
    BatchProducer {
        id: ProducerId::new(id).unwrap(),
        epoch: ProducerEpoch::new(epoch).unwrap(),
        base_sequence: sequence.and_then(Sequence::new),
    }
}

pub fn append(log: &mut Log, mut bytes: Vec<u8>) -> Offset {
    let by = LeaderAppend { origin: Origin::Coordinator, ..as_client(0) };
    match log.append_as_leader(&mut bytes, &by).unwrap() {
        LeaderAppended::New(appended) => appended.first_offset,
        LeaderAppended::Duplicate { .. } => panic!("nothing was sent twice"),
    }
}

fn put(log: &mut Log, pairs: &[Pair<'_>]) -> Offset {
    append(log, batch_of(pairs, BatchOptions::default()))
}

fn marker(log: &mut Log, id: i64, kind: ControlKind) -> Offset {
    let end = EndTransaction { coordinator_epoch: 0 };
    append(log, end_transaction_batch(producer(id, 0, None), kind, end, time(500)).unwrap())
}

fn in_transaction(id: i64, sequence: i32) -> BatchOptions {
    BatchOptions {
        producer: Some(producer(id, 0, Some(sequence))),
        transactional: true,
        ..BatchOptions::default()
    }
}

/// Closes the active segment, as a batch that does not fit does.
pub fn close_segment(log: &mut Log) {
    let config = Arc::clone(log.config());
    let small = LogConfig { segment_ms: -1_000_000, ..LogConfig::clone(&config) };
    log.set_config(Arc::new(small));
    let filler = batch_of(&[(Some("filler"), Some("x"))], BatchOptions::default());
    append(log, filler);
    log.set_config(config);
    settle(log);
}

/// What flusher and janitor do before a log is compacted.
pub fn settle(log: &mut Log) {
    while let Some(job) = log.seal_job() {
        job.run().unwrap();
        log.on_sealed(&job);
    }
    if let Some(job) = log.flush_job().unwrap() {
        job.run().unwrap();
        log.on_flushed(&job);
    }
    log.on_high_watermark(log.log_end());
}

pub fn limits() -> CompactionLimits {
    CompactionLimits { map: KeyMapLimits { bytes_max: 1 << 20, load_per_mille_max: 900 }, write_bytes: 4096 }
}

pub fn bounds(log: &Log, now: i64, cleaned_to: Option<Offset>) -> CompactionBounds {
    CompactionBounds { now: time(now), high_watermark: log.log_end(), cleaned_to }
}

/// A pass over the log; `None` where there is nothing to compact.
pub fn pass(
    log: &mut Log,
    bounds: &CompactionBounds,
    limits: CompactionLimits,
) -> Result<Option<Passed>, CompactionError> {
    let Some(scope) = log.compaction_scope(bounds)? else { return Ok(None) };
    let mut go_on = |_| ControlFlow::Continue(());
    let mut compaction = scope.begin(limits, &mut go_on)?;
    let mut written = 0;
    while let Some(group) = compaction.clean_next(&mut go_on)? {
        let job = log.replace(group).expect("the log is as it was");
        job.run()?;
        log.on_replaced(&job).remove()?;
        written += 1;
    }
    Ok(Some(Passed { cleaned_to: compaction.cleaned_to(), written }))
}

/// What a pass did.
pub struct Passed {
    pub cleaned_to: Offset,
    /// Segments that were written.
    pub written: usize,
}

/// A pass at some time over all that is closed, as if nothing had been compacted before.
fn compact_at(log: &mut Log, now: i64) -> usize {
    let bounds = bounds(log, now, None);
    pass(log, &bounds, limits()).unwrap().map_or(0, |passed| passed.written)
}

fn headers(log: &Log) -> Vec<BatchHeader> {
    let bytes = bytes_from(log, log.log_start());
    let view = |batch| match batch {
        Ok(Batch::V2(view)) => *view.header(),
        other => panic!("{other:?}"),
    };
    Batches::new(&bytes).map(view).collect()
}

/// The records of a log as `offset key=value`; `-` stands for what is missing, the fillers are left out.
pub fn records(log: &Log) -> Vec<String> {
    let bytes = bytes_from(log, log.log_start());
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1 << 20));
    let mut lines = Vec::new();
    for batch in Batches::new(&bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        if matches!(&batch, Batch::V2(view) if view.header().attributes.is_control()) {
            continue;
        }
        for record in batch.records(&mut buffer).unwrap() {
            let record = record.unwrap();
            let text = |bytes: Option<&[u8]>| {
                bytes.map_or("-".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap())
            };
            if record.key != Some(b"filler") {
                lines.push(format!("{} {}={}", record.offset, text(record.key), text(record.value)));
            }
        }
    }
    lines
}

/// The files of the log with some ending.
fn names(disk: &SimDisk, ending: &str) -> Vec<String> {
    let entries = disk.read_dir(Path::new("/d/t-0")).unwrap().into_iter();
    entries.map(|entry| entry.name).filter(|name| name.ends_with(ending)).collect()
}

/// CMP-02
#[test]
fn only_the_last_record_of_each_key_stays_where_it_was() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1")), (Some("b"), Some("1")), (Some(""), Some("1"))]);
    put(&mut log, &[(Some("b"), Some("2")), (Some("c"), Some("1"))]);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    put(&mut log, &[(Some("c"), Some("2"))]);
    assert_eq!(compact_at(&mut log, NOW), 1);
    // The last record of `c` lies in the active segment, which is not looked at.
    assert_eq!(records(&log), ["2 =1", "3 b=2", "4 c=1", "5 a=2", "7 c=2"]);
    assert_eq!(log.log_start(), Offset::ZERO);
}

/// CMP-02
#[test]
fn a_record_without_a_key_goes() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(None, Some("1")), (Some("b"), Some("1")), (None, None)]);
    close_segment(&mut log);
    put(&mut log, &[(None, Some("2"))]);
    compact_at(&mut log, NOW);
    assert_eq!(records(&log), ["1 b=1", "4 -=2"]);
}

/// CMP-02: a rewritten batch keeps both ends of its offsets, its producer and sequence, and its codec.
#[test]
fn a_batch_keeps_its_place_its_producer_and_its_codec() {
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let (mut log, _) = log_on(&SimDisk::new(0), config());
        let options = BatchOptions {
            producer: Some(producer(7, 3, Some(20))),
            encoding: Encoding::with_default_level(codec),
            ..BatchOptions::default()
        };
        let pairs =
            [(Some("a"), Some("1")), (Some("b"), Some("1")), (Some("a"), Some("2")), (Some("c"), Some("1"))];
        append(&mut log, batch_of(&pairs, options));
        put(&mut log, &[(Some("c"), Some("2"))]);
        close_segment(&mut log);
        let before = headers(&log)[0];
        compact_at(&mut log, NOW);
        let after = headers(&log)[0];
        assert_eq!(records(&log), ["1 b=1", "2 a=2", "4 c=2"], "{codec}");
        let expected = BatchHeader {
            size: after.size,
            crc: after.crc,
            record_count: 2,
            base_timestamp: time(101),
            max_timestamp: time(102),
            ..before
        };
        assert_eq!(after, expected, "{codec}");
        assert_eq!((after.last_offset_delta, after.base_sequence), (3, Sequence::new(20)));
    }
}

/// CMP-02: the last batch of a producer stays without its records, so that its next sequence is known after any restart.
#[test]
fn the_last_batch_of_a_producer_stays_empty() {
    let (mut log, place) = log_on(&SimDisk::new(0), config());
    let by =
        |sequence| BatchOptions { producer: Some(producer(7, 0, Some(sequence))), ..BatchOptions::default() };
    append(&mut log, batch_of(&[(Some("a"), Some("1"))], by(0)));
    append(&mut log, batch_of(&[(Some("a"), Some("2")), (Some("a"), Some("3"))], by(1)));
    put(&mut log, &[(Some("a"), Some("4"))]);
    close_segment(&mut log);
    compact_at(&mut log, NOW);
    let first = headers(&log)[0];
    assert_eq!((first.base_offset, first.last_offset(), first.record_count), (offset(1), offset(2), 0));
    assert_eq!((first.base_sequence, first.base_timestamp), (Sequence::new(1), Timestamp::NONE));
    assert_eq!(first.max_timestamp, time(101));
    assert_eq!(records(&log), ["3 a=4"]);
    let bytes = bytes_from(&log, Offset::ZERO);
    assert_eq!(compact_at(&mut log, NOW), 0, "it stays so");
    assert_eq!(bytes_from(&log, Offset::ZERO), bytes);
    let end = log.close().unwrap().log_end;
    let (log, _) = Log::open(place, &clean(end.value())).unwrap();
    let last = log.producer(ProducerId::new(7).unwrap()).unwrap().last_batch().unwrap();
    assert_eq!((last.last_sequence, last.last_offset), (Sequence::new(2), offset(2)));
}

/// CMP-02
#[test]
fn the_end_of_what_is_compacted_is_not_forgotten() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    put(&mut log, &[(None, Some("no key"))]);
    close_segment(&mut log);
    compact_at(&mut log, NOW);
    let ends: Vec<_> =
        headers(&log).iter().map(|header| (header.last_offset().value(), header.record_count)).collect();
    assert_eq!(ends, [(0, 1), (1, 0), (2, 1)]);
}

/// CMP-03
#[test]
fn a_tombstone_lives_as_long_as_the_topic_says_from_its_first_pass_on() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    put(&mut log, &[(Some("a"), None), (Some("c"), Some("1"))]);
    close_segment(&mut log);
    compact_at(&mut log, NOW);
    assert_eq!(records(&log), ["1 b=1", "2 a=-", "3 c=1"]);
    let with_tombstone = headers(&log)[1];
    assert!(with_tombstone.attributes.has_delete_horizon());
    assert_eq!(with_tombstone.base_timestamp, time(NOW + RETENTION), "the horizon");
    assert_eq!(with_tombstone.max_timestamp, time(101));
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1000));
    let bytes = bytes_from(&log, offset(2));
    let Some(Ok(batch)) = Batches::new(&bytes).next() else { panic!() };
    let times: Vec<_> = batch.records(&mut buffer).unwrap().map(|record| record.unwrap().timestamp).collect();
    assert_eq!(times, [time(100), time(101)], "the times of the records are what they were");
    assert_eq!(compact_at(&mut log, NOW + RETENTION - 1), 0, "not yet");
    assert_eq!(records(&log), ["1 b=1", "2 a=-", "3 c=1"]);
    assert_eq!(compact_at(&mut log, NOW + RETENTION), 1);
    assert_eq!(records(&log), ["1 b=1", "3 c=1"]);
    assert!(headers(&log)[1].attributes.has_delete_horizon(), "it stays with the batch");
}

/// CMP-03, CMP-04
#[test]
fn aborted_records_go_first_then_their_marker_gets_a_horizon_and_then_it_goes() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    append(&mut log, batch_of(&[(Some("a"), Some("committed"))], in_transaction(1, 0)));
    append(&mut log, batch_of(&[(Some("a"), Some("aborted"))], in_transaction(2, 0)));
    marker(&mut log, 1, ControlKind::Commit);
    marker(&mut log, 2, ControlKind::Abort);
    // Both are remembered with later batches, so that nothing has to stay for them.
    append(&mut log, batch_of(&[(Some("b"), Some("1"))], in_transaction(1, 1)));
    append(&mut log, batch_of(&[(Some("c"), Some("1"))], in_transaction(2, 1)));
    marker(&mut log, 1, ControlKind::Commit);
    marker(&mut log, 2, ControlKind::Commit);
    close_segment(&mut log);
    let aborted = |log: &Log| log.aborted_transactions(Offset::ZERO, log.log_end()).unwrap().len();
    let shape = |log: &Log| -> Vec<(i64, bool)> {
        headers(log)
            .iter()
            .filter(|header| header.last_offset() < offset(4))
            .map(|header| (header.base_offset.value(), header.attributes.has_delete_horizon()))
            .collect()
    };
    assert_eq!((shape(&log), aborted(&log)), (vec![(0, false), (1, false), (2, false), (3, false)], 1));
    compact_at(&mut log, NOW);
    assert_eq!(records(&log), ["0 a=committed", "4 b=1", "5 c=1"]);
    assert_eq!((shape(&log), aborted(&log)), (vec![(0, false), (2, false), (3, false)], 1));
    compact_at(&mut log, NOW);
    assert_eq!((shape(&log), aborted(&log)), (vec![(0, false), (2, false), (3, true)], 0));
    assert_eq!(compact_at(&mut log, NOW + RETENTION - 1), 0);
    compact_at(&mut log, NOW + RETENTION);
    assert_eq!((shape(&log), aborted(&log)), (vec![(0, false), (2, false)], 0));
    assert_eq!(records(&log), ["0 a=committed", "4 b=1", "5 c=1"]);
}

/// CMP-04: a producer whose transaction was taken back is believed again: what it commits in a later pass hides what came
/// before, and a tombstone of its does not bring a key back.
#[test]
fn what_a_producer_commits_after_an_abort_counts() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    append(&mut log, batch_of(&[(Some("x"), Some("taken back"))], in_transaction(7, 0)));
    marker(&mut log, 7, ControlKind::Abort);
    close_segment(&mut log);
    let first = bounds(&log, NOW, None);
    let cleaned = pass(&mut log, &first, limits()).unwrap().expect("there is something").cleaned_to;
    put(&mut log, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    append(&mut log, batch_of(&[(Some("a"), Some("2")), (Some("b"), None)], in_transaction(7, 1)));
    marker(&mut log, 7, ControlKind::Commit);
    close_segment(&mut log);
    let second = bounds(&log, NOW, Some(cleaned));
    pass(&mut log, &second, limits()).unwrap().expect("there is something");
    assert_eq!(records(&log), ["5 a=2", "6 b=-"]);
}

/// CMP-04: a marker that is the last thing a producer wrote stays, for it holds the epoch that fences older ones.
#[test]
fn the_last_marker_of_a_producer_stays_without_its_record() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    append(&mut log, batch_of(&[(Some("a"), Some("1"))], in_transaction(1, 0)));
    let end = EndTransaction { coordinator_epoch: 0 };
    let raised = end_transaction_batch(producer(1, 1, None), ControlKind::Commit, end, time(500)).unwrap();
    append(&mut log, raised);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    for now in [NOW, NOW, NOW + RETENTION, NOW + RETENTION] {
        compact_at(&mut log, now);
    }
    let marker = headers(&log)[0];
    assert_eq!((marker.base_offset, marker.record_count), (offset(1), 0));
    assert!(marker.attributes.is_control() && marker.producer_epoch == ProducerEpoch::new(1));
}

/// CMP-01
#[test]
fn what_is_open_young_or_not_replicated_is_not_compacted() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    for value in ["1", "2", "3", "4"] {
        put(&mut log, &[(Some("a"), Some(value))]);
        close_segment(&mut log);
    }
    let bases: Vec<Offset> = log.segment_bases().collect();
    let end_at = |log: &Log, bounds: &CompactionBounds| log.dirt(bounds).unwrap().end;
    let all = bounds(&log, NOW, None);
    assert_eq!(end_at(&log, &all), bases[4], "never the active segment");
    let behind = CompactionBounds { high_watermark: bases[3], ..all };
    assert_eq!(end_at(&log, &behind), bases[3]);
    let inside = CompactionBounds { high_watermark: bases[2].next(), ..all };
    assert_eq!(end_at(&log, &inside), bases[2], "segments as a whole");
    // The youngest record of each of these segments is of the time 100.
    let lag = LogConfig { min_compaction_lag_ms: 50, ..config() };
    log.set_config(Arc::new(lag));
    assert_eq!(end_at(&log, &bounds(&log, 149, None)), bases[0]);
    assert_eq!(end_at(&log, &bounds(&log, 150, None)), bases[4]);
    let dirt = log.dirt(&bounds(&log, 150, Some(bases[3]))).unwrap();
    assert_eq!((dirt.first_dirty, dirt.end), (bases[3], bases[4]));
    assert!(dirt.clean_bytes > 0 && dirt.dirty_bytes > 0 && dirt.clean_bytes > dirt.dirty_bytes);
}

/// CMP-01
#[test]
fn an_open_transaction_is_not_touched_nor_what_lies_behind_it() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1")), (Some("a"), Some("2"))]);
    close_segment(&mut log);
    append(&mut log, batch_of(&[(Some("a"), Some("open"))], in_transaction(1, 0)));
    close_segment(&mut log);
    let before = records(&log);
    compact_at(&mut log, NOW);
    assert_eq!(before[1..], records(&log), "only what lies before it");
    marker(&mut log, 1, ControlKind::Commit);
    close_segment(&mut log);
    compact_at(&mut log, NOW);
    assert_eq!(records(&log), ["3 a=open"]);
}

/// CMP-01
#[test]
fn what_waits_longer_than_it_may_is_overdue() {
    let (mut log, _) = log_on(&SimDisk::new(0), LogConfig { max_compaction_lag_ms: 1000, ..config() });
    put(&mut log, &[(Some("a"), Some("1"))]);
    close_segment(&mut log);
    let is_overdue = |log: &Log, now, cleaned| log.dirt(&bounds(log, now, cleaned)).unwrap().is_overdue;
    assert!(!is_overdue(&log, 1100, None) && is_overdue(&log, 1101, None));
    let cleaned = log.active_base();
    assert!(!is_overdue(&log, 5000, Some(cleaned)));
}

/// CMP-01: a checkpoint that the log cannot have counts as none.
#[test]
fn a_checkpoint_that_does_not_fit_the_log_is_corrected() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    close_segment(&mut log);
    log.move_log_start(offset(1));
    let at = |cleaned| {
        let dirt = log.dirt(&bounds(&log, NOW, cleaned)).unwrap();
        (dirt.first_dirty.value(), dirt.is_corrected)
    };
    assert_eq!(at(None), (1, false));
    assert_eq!(at(Some(offset(1))), (1, false));
    assert_eq!(at(Some(offset(0))), (1, true), "below the log start");
    assert_eq!(at(Some(offset(3))), (1, true), "behind the log end");
}

/// CMP-05
#[test]
fn small_segments_become_one_and_their_indexes_are_right() {
    let disk = SimDisk::new(0);
    let (mut log, place) = log_on(&disk, config());
    for round in 0..6 {
        for key in 0..20 {
            let (key, value) = (format!("k{key}"), format!("v{round}-{}", "x".repeat(40)));
            put(&mut log, &[(Some(&key), Some(&value))]);
        }
        close_segment(&mut log);
    }
    let whole = log.size();
    log.set_config(Arc::new(LogConfig { segment_bytes: 8000, ..config() }));
    assert_eq!(log.segment_bases().count(), 7);
    compact_at(&mut log, NOW);
    let bases: Vec<i64> = log.segment_bases().map(Offset::value).collect();
    assert_eq!(bases, [0, 62, 125], "as many as were below the limit together before");
    let snapshots = names(&disk, ".snapshot");
    assert_eq!(snapshots, ["00000000000000000062.snapshot", "00000000000000000125.snapshot"]);
    assert!(log.size() < whole / 4);
    compact_at(&mut log, NOW);
    assert_eq!(log.segment_bases().count(), 2);
    let lines = records(&log);
    assert_eq!(lines.len(), 20);
    let check = |log: &Log| {
        for line in &lines {
            let at: i64 = line.split(' ').next().unwrap().parse().unwrap();
            let read = bytes_from(log, offset(at));
            let first = Batches::new(&read).next().unwrap().unwrap();
            assert_eq!(first.last_offset(), offset(at));
        }
    };
    check(&log);
    let found = log.plan_timestamp_search(time(100)).unwrap().resolve().unwrap().unwrap();
    assert_eq!(Some(found.offset), headers(&log).first().map(BatchHeader::last_offset));
    let end = log.close().unwrap().log_end;
    let (log, report) = Log::open(place, &clean(end.value())).unwrap();
    assert_eq!(records(&log), lines);
    assert_eq!(report.cut, None);
    check(&log);
}

/// CMP-05: offsets of one segment lie within 2³¹ − 1 of its first.
#[test]
fn segments_that_lie_far_apart_stay_apart() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    close_segment(&mut log);
    let far = i64::from(i32::MAX);
    let options = BatchOptions { base_offset: offset(far), ..BatchOptions::default() };
    let by = ottla_storage::FollowerAppend { epoch: crate::place::epoch(0), now: time(0) };
    for (at, value) in [(far, "2"), (far + 2, "3")] {
        let options = BatchOptions { base_offset: offset(at), ..options };
        log.append_as_follower(&batch_of(&[(Some("b"), Some(value))], options), &by).unwrap();
        close_segment(&mut log);
    }
    compact_at(&mut log, NOW);
    let bases: Vec<i64> = log.segment_bases().map(Offset::value).collect();
    assert_eq!(bases.len(), 3, "{bases:?}");
    assert_eq!(records(&log), ["0 a=1".to_owned(), format!("{} b=3", far + 2)]);
}

/// CMP-07
#[test]
fn a_map_that_is_full_compacts_in_more_passes() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    for round in 0..3 {
        for key in 0..10 {
            put(&mut log, &[(Some(&format!("k{key}")), Some(&format!("v{round}")))]);
        }
        close_segment(&mut log);
    }
    let map = KeyMapLimits { bytes_max: 24 * 4, load_per_mille_max: 900 };
    let (mut cleaned_to, mut passes) = (None, 0);
    loop {
        let bounds = bounds(&log, NOW, cleaned_to);
        let Some(passed) = pass(&mut log, &bounds, CompactionLimits { map, ..limits() }).unwrap() else {
            break;
        };
        assert!(Some(passed.cleaned_to) > cleaned_to, "every pass comes further");
        (cleaned_to, passes) = (Some(passed.cleaned_to), passes + 1);
    }
    assert!(passes > 5, "{passes} passes");
    let last: Vec<String> = (0..10).map(|key| format!("{} k{key}=v2", 22 + key)).collect();
    assert_eq!(records(&log), last);
}

/// CMP-06: nothing that is damaged gets a right checksum, and the log is as it was.
#[test]
fn a_damaged_batch_stops_the_pass() {
    let disk = SimDisk::new(0);
    let (mut log, _) = log_on(&disk, config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    let second = put(&mut log, &[(Some("a"), Some("2")), (Some("a"), Some("3"))]);
    close_segment(&mut log);
    let before = bytes_from(&log, Offset::ZERO);
    let path = Path::new("/d/t-0/00000000000000000000.log");
    let position = headers(&log)[0].size as u64;
    disk.damage(path, position + 70, &[0xff]).unwrap();
    let known = bounds(&log, NOW, None);
    let error = pass(&mut log, &known, limits()).err().unwrap();
    assert!(matches!(error, CompactionError::Damaged { position: at, .. } if at == position), "{error}");
    disk.damage(path, position + 70, &[before[position as usize + 70]]).unwrap();
    assert_eq!(bytes_from(&log, Offset::ZERO), before);
    assert_eq!([names(&disk, ".cleaned"), names(&disk, ".swap")], [Vec::<String>::new(), Vec::new()]);
    assert_eq!(second, offset(1));
}

/// CMP-06
#[test]
fn a_pass_that_is_stopped_leaves_the_log_as_it_was() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    let before = bytes_from(&log, Offset::ZERO);
    for calls in 0..8 {
        let scope = log.compaction_scope(&bounds(&log, NOW, None)).unwrap().unwrap();
        let mut left = calls;
        let mut pace = |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopped = match scope.begin(limits(), &mut pace) {
            Ok(mut compaction) => {
                compaction.clean_next(&mut pace).map(|group| group.map(|group| group.discard()))
            }
            Err(error) => Err(error),
        };
        assert!(matches!(stopped, Err(CompactionError::Stopped) | Ok(Some(Ok(())))), "after {calls}");
        assert_eq!(bytes_from(&log, Offset::ZERO), before);
    }
}

/// LOG-04: whoever planned a read before the swap reads what was there, and is told to plan anew once it is removed.
#[test]
fn readers_go_on_while_segments_are_replaced() {
    // No file stays open of which nobody has a handle.
    let files = FileCache::new(Arc::new(SimDisk::new(0)), 1);
    let place = LogPlace { files, ..place(Arc::new(SimDisk::new(0)), Path::new("/d"), config()) };
    let mut log = Log::create(place, topic_id(TOPIC_ID), time(0)).unwrap();
    put(&mut log, &[(Some("a"), Some("1"))]);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    let limits_of_read =
        ReadLimits { bytes_max: u32::MAX, upper_bound: log.log_end(), at_least_one_batch: true };
    let before = bytes_from(&log, Offset::ZERO);
    let plan = || log.plan_read(Offset::ZERO, limits_of_read).unwrap();
    let (open, planned, search) =
        (plan().resolve().unwrap(), plan(), log.plan_timestamp_search(time(0)).unwrap());
    let scope = log.compaction_scope(&bounds(&log, NOW, None)).unwrap().unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    let mut compaction = scope.begin(limits(), &mut go_on).unwrap();
    let group = compaction.clean_next(&mut go_on).unwrap().unwrap();
    let job = log.replace(group).unwrap();
    let compacted = records(&log);
    assert_eq!(compacted, ["1 a=2"], "read at once, under its first names");
    job.run().unwrap();
    assert_eq!(records(&log), compacted);
    assert_eq!(crate::place::bytes_of(&planned.resolve().unwrap()), before, "what is replaced is there yet");
    log.on_replaced(&job).remove().unwrap();
    assert_eq!(crate::place::bytes_of(&open), before, "open files stay readable");
    // Others are used, and the one that was removed is closed.
    log.read(log.active_base(), limits_of_read).unwrap();
    assert_eq!(records(&log), compacted);
    assert!(matches!(planned.resolve(), Err(ReadError::Replaced { .. })));
    assert!(matches!(search.resolve(), Err(ottla_storage::LookupError::Replaced { .. })));
    assert_eq!(records(&log), compacted);
}

/// CMP-06: what is cut or removed while a pass runs does not come back.
#[test]
fn a_log_that_was_cut_meanwhile_does_not_take_the_segment() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    let scope = log.compaction_scope(&bounds(&log, NOW, None)).unwrap().unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    let mut compaction = scope.begin(limits(), &mut go_on).unwrap();
    let group = compaction.clean_next(&mut go_on).unwrap().unwrap();
    log.truncate_to(offset(1), CheckpointedAt(Offset::ZERO), time(0)).unwrap().remove().unwrap();
    let group = log.replace(group).unwrap_err();
    group.discard().unwrap();
    assert_eq!(records(&log), ["0 a=1"]);
}

/// LOG-04: a cut that finds names under way finishes them first.
#[test]
fn a_log_is_cut_only_when_its_names_are_in_place() {
    let disk = SimDisk::new(0);
    let (mut log, place) = log_on(&disk, config());
    put(&mut log, &[(Some("a"), Some("1"))]);
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    let scope = log.compaction_scope(&bounds(&log, NOW, None)).unwrap().unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    let mut compaction = scope.begin(limits(), &mut go_on).unwrap();
    let group = compaction.clean_next(&mut go_on).unwrap().unwrap();
    let job = log.replace(group).unwrap();
    assert!(log.compaction_scope(&bounds(&log, NOW, None)).unwrap().is_none(), "one after the other");
    log.truncate_to(offset(2), CheckpointedAt(Offset::ZERO), time(0)).unwrap().remove().unwrap();
    job.run().unwrap();
    log.on_replaced(&job).remove().unwrap();
    assert_eq!(records(&log), ["1 a=2"]);
    put(&mut log, &[(Some("b"), Some("1"))]);
    let end = log.close().unwrap().log_end;
    let (log, _) = Log::open(place, &clean(end.value())).unwrap();
    assert_eq!(records(&log), ["1 a=2", "2 b=1"]);
}

/// CMP-01: `cleaner-offset-checkpoint` in Kafka's form, corrected when a log is cut or removed.
#[test]
fn the_checkpoint_of_compaction_is_kafka_s_file() {
    let disk = SimDisk::new(0);
    let dir = || {
        let mut dir = LogDir::open(FileCache::new(Arc::new(disk.clone()), 8), "/d".into()).unwrap();
        assert!(dir.begin().unwrap().is_empty());
        dir
    };
    let text = || {
        let path = Path::new("/d/cleaner-offset-checkpoint");
        String::from_utf8(ottla_storage::read_small_file(&disk, path).unwrap().unwrap()).unwrap()
    };
    let first = dir();
    let options = ottla_storage::LogOptions {
        config: Arc::new(config()),
        now: time(0),
        producer_expiration_ms: i64::MAX,
    };
    let (t, u) = (partition("t", 0), partition("u", 3));
    let log = first.create_log(t.clone(), topic_id(TOPIC_ID), &options).unwrap();
    first.set_cleaned(&t, offset(42)).unwrap();
    first.set_cleaned(&u, offset(7)).unwrap();
    assert_eq!(text(), "0\n2\nt 0 42\nu 3 7\n");
    first.cut_cleaned(&u, offset(9)).unwrap();
    first.cut_cleaned(&u, offset(5)).unwrap();
    assert_eq!(text(), "0\n2\nt 0 42\nu 3 5\n");
    drop(first);
    let second = dir();
    assert_eq!((second.cleaned_to(&t), second.cleaned_to(&u)), (Some(offset(42)), Some(offset(5))));
    second.delete_log(&t, log.into(), ottla_model::Uuid::from_bytes([1; 16])).unwrap();
    assert_eq!((second.cleaned_to(&t), text()), (None, "0\n1\nu 3 5\n".to_owned()));
}

/// CMP-02: what is left of the attributes is what Kafka leaves.
#[test]
fn an_emptied_batch_has_no_codec() {
    let (mut log, _) = log_on(&SimDisk::new(0), config());
    let options = BatchOptions {
        producer: Some(producer(7, 0, Some(0))),
        encoding: Encoding::Snappy,
        ..BatchOptions::default()
    };
    append(&mut log, batch_of(&[(Some("a"), Some("1"))], options));
    put(&mut log, &[(Some("a"), Some("2"))]);
    close_segment(&mut log);
    compact_at(&mut log, NOW);
    assert_eq!(headers(&log)[0].attributes, Attributes::default());
}

/// LOG-04: of old segments that are emptied a crash leaves the last ones, never one whose tombstone is gone.
#[test]
fn a_crash_between_old_segments_brings_no_key_back() {
    for steps in 0.. {
        let disk = SimDisk::new(steps);
        disk.prepare_dir(Path::new("/d")).unwrap();
        let (mut log, place) = log_on(&disk, config());
        put(&mut log, &[(Some("x"), Some("1"))]);
        close_segment(&mut log);
        put(&mut log, &[(Some("b"), Some("1"))]);
        close_segment(&mut log);
        put(&mut log, &[(Some("y"), Some("1"))]);
        put(&mut log, &[(Some("b"), None)]);
        close_segment(&mut log);
        put(&mut log, &[(Some("y"), Some(&"2".repeat(700)))]);
        close_segment(&mut log);
        // The map ends before the tombstone, which gets its horizon all the same.
        log.set_config(Arc::new(LogConfig { segment_bytes: 1, ..config() }));
        let known = bounds(&log, NOW, None);
        let map = KeyMapLimits { bytes_max: 24 * 5, load_per_mille_max: 800 };
        let passed = pass(&mut log, &known, CompactionLimits { map, ..limits() }).unwrap().unwrap();
        assert_eq!(passed.cleaned_to, offset(5), "where the tombstone is");
        assert!(records(&log).contains(&"2 b=1".to_owned()));
        let tombstone = headers(&log).into_iter().find(|header| header.base_offset == offset(5)).unwrap();
        assert!(tombstone.attributes.has_delete_horizon());
        log.set_config(Arc::new(LogConfig { segment_bytes: 700, ..config() }));
        disk.cut_power_after(steps);
        let known = bounds(&log, NOW + RETENTION, None);
        let finished = pass(&mut log, &known, limits()).is_ok();
        let recovery_point = log.recovery_point();
        drop(log);
        disk.crash(steps);
        let (log, _) = Log::open(place, &crate::place::crashed(recovery_point.value())).unwrap();
        let left = records(&log);
        let value = left.iter().rev().find_map(|line| line.split(' ').nth(1)?.strip_prefix("b="));
        assert!(value.is_none_or(|value| value == "-"), "after {steps} steps: {left:?}");
        if finished {
            return;
        }
    }
}

/// LOG-04: an empty segment that takes the place of another one takes the place of its indexes too.
#[test]
fn an_empty_segment_replaces_the_whole_of_another() {
    let disk = SimDisk::new(0);
    let (mut log, place) = log_on(&disk, config());
    append(&mut log, batch_of(&[(Some("a"), Some("1"))], in_transaction(1, 0)));
    marker(&mut log, 1, ControlKind::Abort);
    close_segment(&mut log);
    let end = log.close().unwrap().log_end;
    for kind in ["log", "index", "timeindex"] {
        let name = format!("/d/t-0/00000000000000000000.{kind}.swap");
        disk.open(Path::new(&name), OpenMode::Create).unwrap();
    }
    let (log, _) = Log::open(place, &clean(end.value())).unwrap();
    assert_eq!(log.aborted_transactions(Offset::ZERO, end).unwrap(), []);
    assert_eq!(headers(&log).len(), 1, "the batch of the next segment");
}
