//! What a log does at its borders: closing segments, retention, deletion, followers, full and failing disks.

use std::path::Path;
use std::sync::Arc;

use ottla_env::disk::{Disk, OpenMode};
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::record::{BatchOptions, BatchProducer};
use ottla_storage::{
    AppendError, CleanupPolicy, FileCache, FollowerAppend, LeaderAppended, Log, LogConfig, LogPlace,
    ReadError, ReadLimits, Retention,
};
use ottla_testkit::disk::SimDisk;

use crate::place::{
    as_client, batch, batch_at_times, build, bytes_from, bytes_of, clean, crashed, epoch, offset, partition,
    place, time, topic_id,
};

const TOPIC_ID: &str = "_UNQxh1VSkaTwaqCTu9FEA";

fn sim(disk: &SimDisk, config: LogConfig) -> LogPlace {
    place(Arc::new(disk.clone()), Path::new("/d"), config)
}

fn create(disk: &SimDisk, config: LogConfig) -> Log {
    Log::create(sim(disk, config), topic_id(TOPIC_ID), time(0)).unwrap()
}

/// Appends one batch with records at these times.
fn append(log: &mut Log, times: &[i64]) {
    let appended = log.append_as_leader(&mut batch_at_times(times), &as_client(0)).unwrap();
    assert!(matches!(appended, LeaderAppended::New(_)));
}

fn bases(log: &Log) -> Vec<i64> {
    log.segment_bases().map(Offset::value).collect()
}

fn flush(log: &mut Log) {
    let job = log.flush_job().unwrap().unwrap();
    job.run().unwrap();
    log.on_flushed(&job);
}

fn names(disk: &SimDisk, ending: &str) -> Vec<String> {
    let entries = disk.read_dir(Path::new("/d/t-0")).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(ending)).collect()
}

fn everything() -> ReadLimits {
    ReadLimits { bytes_max: u32::MAX, upper_bound: Offset::MAX, at_least_one_batch: true }
}

fn producer(sequence: i32) -> Option<BatchProducer> {
    Some(BatchProducer {
        id: ProducerId::new(7).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: Sequence::new(sequence),
    })
}

/// LOG-01
#[test]
fn a_segment_is_closed_before_the_batch_that_does_not_fit() {
    let one = batch_at_times(&[0]).len() as u32;
    let mut log = create(&SimDisk::new(0), LogConfig { segment_bytes: 2 * one, ..LogConfig::default() });
    for _ in 0..5 {
        append(&mut log, &[0]);
    }
    assert_eq!(bases(&log), [0, 2, 4]);
    let mut large = batch(0, &["x".repeat(500).as_str()], None);
    let refused = log.append_as_leader(&mut large, &as_client(0)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    assert_eq!(log.log_end(), offset(5));
}

/// LOG-01: the age of the first record counts, by the clock of the records; an empty segment has no age.
#[test]
fn a_segment_is_closed_when_its_first_record_is_too_old() {
    let mut log = create(&SimDisk::new(0), LogConfig { segment_ms: 100, ..LogConfig::default() });
    for at in [1000, 1100, 1101, 1150, 5000] {
        append(&mut log, &[at]);
    }
    assert_eq!(bases(&log), [0, 2, 4]);
}

/// LOG-01: with jitter, segments of one age are not all closed at once.
#[test]
fn jitter_makes_a_segment_close_earlier_but_never_later() {
    let closed_after = |created: i64| {
        let config = LogConfig { segment_ms: 1000, segment_jitter_ms: 500, ..LogConfig::default() };
        let place = sim(&SimDisk::new(0), config);
        let mut log = Log::create(place, topic_id(TOPIC_ID), time(created)).unwrap();
        append(&mut log, &[0]);
        (1..2000).find(|at| {
            append(&mut log, &[*at]);
            bases(&log).len() > 1
        })
    };
    let ages: Vec<i64> = (0..20).map(|created| closed_after(created).unwrap()).collect();
    assert!(ages.iter().all(|age| (501..=1001).contains(age)), "{ages:?}");
    assert!(ages.iter().any(|age| *age != ages[0]));
}

/// LOG-01
#[test]
fn a_segment_is_closed_when_an_index_is_full() {
    // Of 24 bytes the time index has room for two entries, of which it keeps one for the end; of 48 bytes it has
    // room enough, and the offset index for six entries: of all batches but the first.
    for (segment_index_bytes, expected) in [(24, vec![0, 2, 4, 6]), (48, vec![0, 7])] {
        let config = LogConfig { segment_index_bytes, index_interval_bytes: 0, ..LogConfig::default() };
        let mut log = create(&SimDisk::new(0), config);
        for _ in 0..8 {
            append(&mut log, &[0]);
        }
        assert_eq!(bases(&log), expected);
    }
}

/// LOG-01, REP-06: a follower's log may have gaps; a segment spans 2³¹ offsets at most.
#[test]
fn a_segment_is_closed_when_offsets_lie_too_far_apart() {
    let mut log = create(&SimDisk::new(0), LogConfig::default());
    let by = FollowerAppend { epoch: epoch(3), now: time(0) };
    for at in [0, 5, 2_147_483_647, 2_147_483_700] {
        let options = BatchOptions { base_offset: offset(at), ..BatchOptions::default() };
        log.append_as_follower(&build(&[(0, "v")], options), &by).unwrap().unwrap();
    }
    assert_eq!(bases(&log), [0, 2_147_483_700]);
    assert_eq!(log.log_end(), offset(2_147_483_701));
    let read = log.read(offset(6), everything()).unwrap();
    assert_eq!(read.end, log.log_end(), "a read steps over gaps");
}

/// LOG-02
#[test]
fn retention_by_size_removes_the_oldest_segments() {
    let one = batch_at_times(&[0]).len() as u64;
    let config = LogConfig {
        segment_bytes: one as u32,
        retention_ms: None,
        retention_bytes: Some(2 * one + 1),
        ..LogConfig::default()
    };
    let disk = SimDisk::new(0);
    let mut log = create(&disk, config);
    for _ in 0..5 {
        append(&mut log, &[0]);
    }
    let removed = log.apply_retention(Retention { now: time(0), high_watermark: offset(1) }).unwrap();
    assert_eq!(
        removed.bases().map(Offset::value).collect::<Vec<_>>(),
        [0],
        "nothing above the high watermark"
    );
    let rest = log.apply_retention(Retention { now: time(0), high_watermark: offset(5) }).unwrap();
    assert_eq!(rest.bases().map(Offset::value).collect::<Vec<_>>(), [1]);
    assert_eq!((log.log_start(), bases(&log)), (offset(2), vec![2, 3, 4]));
    assert_eq!(names(&disk, ".log.deleted").len(), 2);
    removed.remove().unwrap();
    rest.remove().unwrap();
    assert!(names(&disk, ".deleted").is_empty());
}

/// LOG-02: the active segment goes too, and a record of the future keeps what follows it.
#[test]
fn retention_by_time_removes_even_the_active_segment() {
    let config = LogConfig { segment_ms: 10, retention_ms: Some(1000), ..LogConfig::default() };
    let mut log = create(&SimDisk::new(0), config);
    for at in [0, 100, 90_000, 200] {
        append(&mut log, &[at]);
    }
    let at = |now| Retention { now: time(now), high_watermark: offset(4) };
    assert!(log.apply_retention(at(1000)).unwrap().is_empty());
    let _ = log.apply_retention(at(2000)).unwrap();
    assert_eq!(log.log_start(), offset(2), "the record of the future stays, and so does all behind it");
    let removed = log.apply_retention(at(200_000)).unwrap();
    assert!(!removed.is_empty());
    assert_eq!((log.log_start(), log.log_end(), bases(&log)), (offset(4), offset(4), vec![4]));
    assert!(matches!(log.read(offset(3), everything()), Err(ReadError::OutOfRange { .. })));
    append(&mut log, &[300_000]);
    assert_eq!(log.log_end(), offset(5));
}

/// LOG-02: without "delete" only deleted records go.
#[test]
fn a_compacted_log_loses_only_deleted_records() {
    let config = LogConfig {
        segment_ms: 10,
        retention_ms: Some(1),
        retention_bytes: Some(0),
        cleanup: CleanupPolicy { delete: false, compact: true },
        ..LogConfig::default()
    };
    let mut log = create(&SimDisk::new(0), config);
    for at in [0, 100, 200] {
        append(&mut log, &[at, at]);
    }
    let retention = Retention { now: time(1_000_000), high_watermark: offset(6) };
    assert!(log.apply_retention(retention).unwrap().is_empty());
    log.move_log_start(offset(3));
    let removed = log.apply_retention(retention).unwrap();
    assert_eq!(removed.bases().map(Offset::value).collect::<Vec<_>>(), [0]);
    assert_eq!((log.log_start(), bases(&log)), (offset(3), vec![2, 4]));
}

/// LOG-03
#[test]
fn the_log_start_only_moves_up_and_readers_below_are_told() {
    let mut log = create(&SimDisk::new(0), LogConfig::default());
    append(&mut log, &[0, 0, 0]);
    log.move_log_start(offset(2));
    log.move_log_start(offset(1));
    assert_eq!(log.log_start(), offset(2));
    let refused = log.read(offset(1), everything()).unwrap_err();
    assert!(matches!(refused, ReadError::OutOfRange { log_start, .. } if log_start == offset(2)));
    assert_eq!(log.read(offset(2), everything()).unwrap().slices.len(), 1, "the batch begins below");
    assert!(log.read(offset(3), everything()).unwrap().slices.is_empty());
    assert!(matches!(log.read(offset(4), everything()), Err(ReadError::OutOfRange { .. })));
}

/// LOG-02: whoever reads from a file that is removed goes on reading.
#[test]
fn a_slice_outlives_its_segment_and_its_log() {
    let config = LogConfig { segment_ms: 10, retention_ms: Some(1000), ..LogConfig::default() };
    let mut log = create(&SimDisk::new(0), config);
    append(&mut log, &[0]);
    append(&mut log, &[100]);
    let (plan, read) =
        (log.plan_read(offset(0), everything()).unwrap(), log.read(offset(0), everything()).unwrap());
    let before = bytes_of(&read);
    let retention = Retention { now: time(5000), high_watermark: offset(2) };
    log.apply_retention(retention).unwrap().remove().unwrap();
    assert_eq!(bytes_of(&read), before);
    assert!(
        matches!(plan.resolve(), Err(ReadError::OutOfRange { .. })),
        "a plan has not opened the files yet"
    );
    let unique = ottla_model::Uuid::from_bytes([7; 16]);
    log.delete(unique).unwrap().remove().unwrap();
    assert_eq!(bytes_of(&read), before);
}

/// LOG-00, 8.1: a deleted partition is renamed at once, so that its name is free.
#[test]
fn a_deleted_log_frees_its_name() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    append(&mut log, &[0]);
    let deleted = log.delete(ottla_model::Uuid::from_bytes([0xab; 16])).unwrap();
    assert_eq!(deleted.path(), Path::new("/d").join(format!("t-0.{}-delete", "ab".repeat(16))));
    let log = create(&disk, LogConfig::default());
    assert_eq!(log.log_end(), offset(0));
    deleted.remove().unwrap();
    assert_eq!(disk.read_dir(Path::new("/d")).unwrap().len(), 1);
}

/// LOG-00: a flush that comes too late for a log that was deleted is no failure of the device.
#[test]
fn a_deleted_log_needs_no_flush() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    append(&mut log, &[0]);
    let late = log.flush_job().unwrap().unwrap();
    log.delete(ottla_model::Uuid::from_bytes([0xab; 16])).unwrap().remove().unwrap();
    late.run().unwrap();
}

/// REP-06, R3: what a follower takes continues its log and is of the epoch it asked for.
#[test]
fn a_follower_takes_whole_sound_batches_of_its_leaders_epoch() {
    let mut log = create(&SimDisk::new(0), LogConfig::default());
    let made = |at: i64, leader_epoch: i32| {
        let options = BatchOptions {
            base_offset: offset(at),
            leader_epoch: Some(epoch(leader_epoch)),
            ..BatchOptions::default()
        };
        build(&[(0, "a"), (0, "b")], options)
    };
    let by = FollowerAppend { epoch: epoch(5), now: time(0) };
    let first = made(0, 4);
    let cut_off = [first.as_slice(), &made(2, 5)[..40]].concat();
    let taken = log.append_as_follower(&cut_off, &by).unwrap().unwrap();
    assert_eq!((taken.last_offset, taken.bytes), (offset(1), first.len() as u64));
    let of_later_epoch = [made(2, 5), made(4, 6)].concat();
    assert_eq!(log.append_as_follower(&of_later_epoch, &by).unwrap().unwrap().last_offset, offset(3));
    assert_eq!(log.append_as_follower(&made(4, 6), &by).unwrap(), None);
    let again = log.append_as_follower(&made(2, 5), &by).unwrap_err();
    assert!(matches!(again, AppendError::NotContiguous { log_end, .. } if log_end == offset(4)), "{again}");
    let mut rotten = made(4, 5);
    *rotten.last_mut().unwrap() ^= 1;
    assert!(matches!(log.append_as_follower(&rotten, &by), Err(AppendError::Malformed { at: 0, .. })));
    assert_eq!(log.log_end(), offset(4));
    let epochs: Vec<_> = log.epochs().iter().map(|e| (e.epoch.value(), e.start.value())).collect();
    assert_eq!(epochs, [(4, 0), (5, 2)]);
}

/// ENOSPC: refused, readable, and in order again once there is space.
#[test]
fn a_full_disk_refuses_appends_and_loses_nothing() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    append(&mut log, &[1]);
    let before = bytes_from(&log, offset(0));
    disk.limit_space(Some(16 * 1024));
    let mut large = batch(0, &["x".repeat(100_000).as_str()], None);
    let refused = log.append_as_leader(&mut large, &as_client(0)).unwrap_err();
    assert!(matches!(refused, AppendError::NoSpace(_)), "{refused}");
    assert_eq!((log.log_end(), bytes_from(&log, offset(0))), (offset(1), before));
    disk.limit_space(None);
    append(&mut log, &[2]);
    let all = bytes_from(&log, offset(0));
    flush(&mut log);
    drop(log);
    disk.kill();
    let (log, report) = Log::open(sim(&disk, LogConfig::default()), &crashed(0)).unwrap();
    assert_eq!((log.log_end(), report.cut, bytes_from(&log, offset(0))), (offset(2), None, all));
}

/// LOG-05, ENOSPC: a closed segment whose indexes found no space is sealed later.
#[test]
fn a_segment_that_found_no_space_for_its_indexes_is_sealed_later() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig { segment_bytes: 200, ..LogConfig::default() });
    for at in 1..4 {
        append(&mut log, &[at]);
        append(&mut log, &[at]);
    }
    flush(&mut log);
    disk.limit_space(Some(1));
    let job = log.seal_job().unwrap();
    assert_eq!(job.run().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    log.on_seal_failed(job);
    let stuck = log.recovery_point();
    disk.limit_space(None);
    while let Some(job) = log.seal_job() {
        job.run().unwrap();
        log.on_sealed(&job);
    }
    assert!(log.recovery_point() > stuck);
    assert_eq!(names(&disk, ".snapshot").len(), log.segment_bases().count() - 1);
}

/// EIO on a sync: the data does not count as flushed, now or later.
#[test]
fn a_failed_flush_does_not_count() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    append(&mut log, &[1]);
    disk.fail_sync(1);
    let job = log.flush_job().unwrap().unwrap();
    assert!(job.run().is_err());
    assert_eq!(log.flushed(), offset(0));
}

/// R1: group commit. One job serves all that was appended before it was made, and nothing that came after.
#[test]
fn a_flush_covers_what_was_appended_before_it_began() {
    let mut log = create(&SimDisk::new(0), LogConfig::default());
    append(&mut log, &[1]);
    append(&mut log, &[2]);
    let (first, again) = (log.flush_job().unwrap().unwrap(), log.flush_job().unwrap().unwrap());
    append(&mut log, &[3]);
    assert_eq!(first.up_to(), offset(2));
    first.run().unwrap();
    log.on_flushed(&first);
    assert_eq!(log.flushed(), offset(2));
    again.run().unwrap();
    log.on_flushed(&again);
    flush(&mut log);
    assert_eq!(log.flushed(), offset(3));
    assert!(log.flush_job().unwrap().is_none());
}

/// Performance 4.8: Kafka must read again every segment whose indexes are not complete.
#[test]
fn the_recovery_point_stays_inside_the_first_segment_without_indexes() {
    let mut log = create(&SimDisk::new(0), LogConfig { segment_ms: 10, ..LogConfig::default() });
    for at in [0, 100, 200] {
        append(&mut log, &[at, at]);
    }
    flush(&mut log);
    assert_eq!((log.flushed(), log.recovery_point()), (offset(6), offset(1)));
    let jobs = [log.seal_job().unwrap(), log.seal_job().unwrap()];
    assert!(log.seal_job().is_none());
    jobs[1].run().unwrap();
    log.on_sealed(&jobs[1]);
    assert_eq!(log.recovery_point(), offset(1));
    jobs[0].run().unwrap();
    log.on_sealed(&jobs[0]);
    assert_eq!(log.recovery_point(), offset(5), "the active segment's are never complete");
    assert_eq!(log.close().unwrap().log_end, offset(6));
}

/// IDM-02, IDM-09: a repeated batch is found out after a restart too, clean or not.
#[test]
fn repetitions_are_recognised_after_a_restart() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    let appended = log.append_as_leader(&mut batch(5, &["a", "b"], producer(0)), &as_client(0)).unwrap();
    let LeaderAppended::New(first) = appended else { panic!() };
    let repeated = |log: &mut Log| {
        let repeated = log.append_as_leader(&mut batch(5, &["a", "b"], producer(0)), &as_client(0)).unwrap();
        let LeaderAppended::Duplicate { first_offset, last_offset, timestamp } = repeated else { panic!() };
        assert_eq!((first_offset, last_offset, timestamp), (first.first_offset, first.last_offset, time(6)));
    };
    repeated(&mut log);
    drop(log);
    disk.kill();
    let (mut log, _) = Log::open(sim(&disk, LogConfig::default()), &crashed(0)).unwrap();
    repeated(&mut log);
    log.close().unwrap();
    let (mut log, _) = Log::open(sim(&disk, LogConfig::default()), &clean(2)).unwrap();
    repeated(&mut log);
    let gap = log.append_as_leader(&mut batch(5, &["c"], producer(3)), &as_client(0));
    assert!(matches!(gap, Err(AppendError::Producer(_))));
    assert_eq!(log.log_end(), offset(2));
}

/// IDM-09: a producer may repeat all of five batches after a clean stop or a crash, though a snapshot keeps only the last one.
#[test]
fn repetitions_of_five_batches_are_recognised_after_a_clean_stop() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    let send = |log: &mut Log, sequence| {
        log.append_as_leader(&mut batch(5, &["a"], producer(sequence)), &as_client(0)).unwrap()
    };
    for sequence in 0..7 {
        assert!(matches!(send(&mut log, sequence), LeaderAppended::New(_)));
    }
    let repeated = |log: &mut Log| {
        for sequence in 2..7 {
            let again = send(log, sequence);
            let known = matches!(again, LeaderAppended::Duplicate { first_offset, .. } if first_offset == offset(sequence.into()));
            assert!(known, "{sequence}: {again:?}");
        }
        let older = log.append_as_leader(&mut batch(5, &["a"], producer(1)), &as_client(0));
        assert!(matches!(older, Err(AppendError::Producer(_))));
    };
    repeated(&mut log);
    log.close().unwrap();
    let (mut log, _) = Log::open(sim(&disk, LogConfig::default()), &clean(7)).unwrap();
    repeated(&mut log);
    log.write_progress().unwrap();
    drop(log);
    disk.kill();
    let (mut log, _) = Log::open(sim(&disk, LogConfig::default()), &crashed(7)).unwrap();
    repeated(&mut log);
    assert_eq!(log.log_end(), offset(7));
}

/// IDM-09: the batches that may be repeated lie in several segments.
#[test]
fn repetitions_are_recognised_across_the_borders_of_segments() {
    let disk = SimDisk::new(0);
    let config = LogConfig { segment_bytes: 200, ..LogConfig::default() };
    let mut log = create(&disk, config.clone());
    let send = |log: &mut Log, sequence| {
        log.append_as_leader(&mut batch(5, &["a"], producer(sequence)), &as_client(0)).unwrap()
    };
    for sequence in 0..7 {
        assert!(matches!(send(&mut log, sequence), LeaderAppended::New(_)));
    }
    assert!(log.segment_bases().count() >= 3);
    log.close().unwrap();
    let (mut log, _) = Log::open(sim(&disk, config), &clean(7)).unwrap();
    for sequence in 2..7 {
        let again = send(&mut log, sequence);
        assert!(matches!(again, LeaderAppended::Duplicate { .. }), "{sequence}: {again:?}");
    }
    assert_eq!(log.log_end(), offset(7));
}

/// IDM-09: a follower knows the producers of what it took, whatever their sequences, and finds repetitions once it leads.
#[test]
fn a_follower_that_comes_to_lead_recognises_repetitions() {
    let disk = SimDisk::new(0);
    let mut leader = create(&disk, LogConfig::default());
    let mut log = create(&SimDisk::new(1), LogConfig::default());
    for sequence in [40, 41] {
        let mut sent = batch(5, &["a"], producer(sequence));
        leader.append_as_leader(&mut sent, &as_client(0)).unwrap();
        log.append_as_follower(&sent, &FollowerAppend { epoch: epoch(0), now: time(0) }).unwrap().unwrap();
    }
    for (sequence, at) in [(40, 0), (41, 1)] {
        let again = log.append_as_leader(&mut batch(5, &["a"], producer(sequence)), &as_client(1)).unwrap();
        assert!(
            matches!(again, LeaderAppended::Duplicate { first_offset, .. } if first_offset == offset(at)),
            "{again:?}"
        );
    }
    let gap = log.append_as_leader(&mut batch(5, &["a"], producer(43)), &as_client(1));
    assert!(matches!(gap, Err(AppendError::Producer(_))));
    log.append_as_leader(&mut batch(5, &["a"], producer(42)), &as_client(1)).unwrap();
    assert_eq!(log.log_end(), offset(3));
}

/// LOG-04: a missing or foreign index is made again from the segment.
#[test]
fn missing_indexes_are_rebuilt() {
    let disk = SimDisk::new(0);
    let config = LogConfig { segment_ms: 10, index_interval_bytes: 0, ..LogConfig::default() };
    let mut log = create(&disk, config.clone());
    for at in [0, 1, 2, 100, 101, 102] {
        append(&mut log, &[at]);
    }
    log.close().unwrap();
    let file = |name: &str| Path::new("/d/t-0").join(name);
    let content = |name: &str| {
        let file = disk.open(&file(name), OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let before: Vec<_> = names(&disk, "index").iter().map(|name| content(name)).collect();
    disk.remove_file(&file("00000000000000000000.index")).unwrap();
    disk.remove_file(&file("00000000000000000000.timeindex")).unwrap();
    disk.remove_file(&file("00000000000000000003.timeindex")).unwrap();
    let index = disk.open(&file("00000000000000000003.index"), OpenMode::Write).unwrap();
    index.write_all_at(&[0, 0, 0, 9, 0, 0, 0, 33], 0).unwrap();
    let (log, _) = Log::open(sim(&disk, config), &clean(6)).unwrap();
    let found = log.plan_timestamp_search(time(2)).unwrap().resolve().unwrap().unwrap();
    assert_eq!(found.offset, offset(2));
    let last_two = [101, 102].map(|at| batch_at_times(&[at]).len());
    assert_eq!(bytes_from(&log, offset(4)).len(), last_two[0] + last_two[1]);
    log.close().unwrap();
    let after: Vec<_> = names(&disk, "index").iter().map(|name| content(name)).collect();
    assert_eq!(after, before);
}

/// LOG-04: what compaction and deletion left half done.
#[test]
fn leftovers_of_a_crash_are_cleared_away() {
    let disk = SimDisk::new(0);
    let config = LogConfig { segment_ms: 10, ..LogConfig::default() };
    let mut log = create(&disk, config.clone());
    for at in [0, 100, 200] {
        append(&mut log, &[at]);
    }
    log.close().unwrap();
    let file = |name: &str| Path::new("/d/t-0").join(name);
    let copy = |from: &str, to: &str| {
        let bytes = disk.open(&file(from), OpenMode::Read).unwrap();
        let mut content = vec![0; usize::try_from(bytes.len().unwrap()).unwrap()];
        bytes.read_at(&mut content, 0).unwrap();
        disk.open(&file(to), OpenMode::Create).unwrap().write_all_at(&content, 0).unwrap();
    };
    // A compacted segment that takes the place of the first two.
    copy("00000000000000000001.log", "00000000000000000000.log.swap");
    copy("00000000000000000001.index", "00000000000000000000.index.swap");
    copy("00000000000000000001.timeindex", "00000000000000000000.timeindex.swap");
    // One that was never finished, a segment to be deleted, an index without its segment.
    copy("00000000000000000002.log", "00000000000000000002.log.cleaned");
    copy("00000000000000000002.log", "00000000000000000002.log.swap");
    copy("00000000000000000002.log", "00000000000000000007.log.deleted");
    copy("00000000000000000002.index", "00000000000000000009.index");
    let (log, report) = Log::open(sim(&disk, config), &clean(3)).unwrap();
    assert!(report.changed_disk);
    assert_eq!(bases(&log), [0, 2]);
    assert_eq!(log.log_end(), offset(3));
    let read = log.read(offset(0), everything()).unwrap();
    assert_eq!(read.end, offset(3));
    assert_eq!(
        names(&disk, ""),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "00000000000000000002.index",
            "00000000000000000002.log",
            "00000000000000000002.snapshot",
            "00000000000000000002.timeindex",
            "00000000000000000003.snapshot",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ]
    );
}

/// Performance 4.10: files are opened when they are used, and few are kept open.
#[test]
fn no_more_files_are_kept_open_than_allowed() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(0));
    let files = FileCache::new(disk, 10);
    let mut logs: Vec<Log> = (0..50)
        .map(|at| {
            let place = LogPlace {
                partition: partition("t", at),
                directory: Path::new("/d").join(format!("t-{at}")),
                files: Arc::clone(&files),
                config: Arc::new(LogConfig::default()),
            };
            Log::create(place, topic_id(TOPIC_ID), time(0)).unwrap()
        })
        .collect();
    for round in 0..3 {
        for log in &mut logs {
            append(log, &[round]);
            assert!(files.open_count() <= 10);
        }
    }
    for log in &logs {
        assert_eq!(log.read(offset(0), everything()).unwrap().end, offset(3));
    }
    drop(logs);
    assert_eq!(files.open_count(), 0);
}

/// FET-13 and cold reads: a plan can be tried without waiting for the device.
#[test]
fn a_read_can_refuse_to_wait() {
    let mut log = create(&SimDisk::new(0), LogConfig::default());
    append(&mut log, &[1]);
    let read = log.plan_read(offset(0), everything()).unwrap().resolve_resident().unwrap();
    assert_eq!(read.end, offset(1));
    assert!(log.plan_read(offset(1), everything()).unwrap().is_empty());
}

/// LOG-05: `flush.messages` and `flush.ms`
#[test]
fn a_flush_is_due_after_so_many_records_or_so_long() {
    let config = LogConfig { flush_messages: Some(3), flush_ms: Some(1000), ..LogConfig::default() };
    let mut log = create(&SimDisk::new(0), config);
    assert!(!log.flush_is_due(time(i64::MAX)));
    append(&mut log, &[1, 1]);
    assert!(!log.flush_is_due(time(999)));
    assert!(log.flush_is_due(time(1000)), "it was appended at 0");
    append(&mut log, &[1]);
    assert!(log.flush_is_due(time(0)));
    flush(&mut log);
    assert!(!log.flush_is_due(time(i64::MAX)));
}

/// LOG-04, performance 4.8: after a crash little of a large segment is read again.
#[test]
fn recovery_reads_little_of_what_was_flushed() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    let large = "x".repeat(1 << 20);
    for at in 0..100 {
        let mut bytes = batch(at, &[large.as_str()], producer(i32::try_from(at).unwrap()));
        log.append_as_leader(&mut bytes, &as_client(0)).unwrap();
        flush(&mut log);
    }
    let recovery_point = log.recovery_point();
    assert_eq!(recovery_point, offset(99));
    drop(log);
    disk.kill();
    let (log, report) = Log::open(sim(&disk, LogConfig::default()), &crashed(99)).unwrap();
    assert_eq!(log.log_end(), offset(100));
    assert!(report.bytes_scanned < 40 << 20, "{} bytes of 100 MiB", report.bytes_scanned);
    let last = log.producer(ProducerId::new(7).unwrap()).unwrap().last_batch().unwrap();
    assert_eq!(last.last_sequence, Sequence::new(99));
}

/// FET-18, TRAP-15: aborted transactions are found from the segment of the first offset on, by first offset.
#[test]
fn aborted_transactions_are_found_across_segments_and_restarts() {
    let disk = SimDisk::new(0);
    let config = LogConfig { segment_ms: 10, ..LogConfig::default() };
    let mut log = create(&disk, config.clone());
    let data = |log: &mut Log, id: i64, at: i64| {
        let producer = BatchProducer {
            id: ProducerId::new(id).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: log.producer(ProducerId::new(id).unwrap()).map_or(Sequence::new(0), |entry| {
                entry.last_batch().and_then(|batch| batch.last_sequence).map(Sequence::next)
            }),
        };
        let options =
            BatchOptions { producer: Some(producer), transactional: true, ..BatchOptions::default() };
        log.append_as_leader(&mut build(&[(at, "v")], options), &as_client(0)).unwrap();
    };
    let abort = |log: &mut Log, id: i64, at: i64| {
        let mut bytes = abort_marker(id, at);
        let by = ottla_storage::LeaderAppend { origin: ottla_storage::Origin::Coordinator, ..as_client(0) };
        log.append_as_leader(&mut bytes, &by).unwrap();
    };
    // Offsets: 0 and 1 data of 1 and 2, 2 aborts 2; 3 more data of 1; 4 aborts 1, in another segment.
    data(&mut log, 1, 0);
    data(&mut log, 2, 1);
    abort(&mut log, 2, 2);
    data(&mut log, 1, 100);
    abort(&mut log, 1, 101);
    assert_eq!(bases(&log), [0, 3]);
    assert_eq!(log.first_unstable(), Some(offset(0)));
    let check = |log: &Log| {
        let found = |from: i64, to: i64| -> Vec<(i64, i64)> {
            let found = log.aborted_transactions(offset(from), offset(to)).unwrap();
            found.iter().map(|aborted| (aborted.producer.value(), aborted.first_offset.value())).collect()
        };
        assert_eq!(found(0, 5), [(1, 0), (2, 1)]);
        assert_eq!(found(0, 1), [(1, 0)]);
        assert_eq!(found(3, 5), [(1, 0)], "it was open before");
        assert_eq!(found(5, 6), []);
    };
    check(&log);
    log.on_high_watermark(offset(5));
    assert_eq!(log.first_unstable(), None);
    flush(&mut log);
    drop(log);
    disk.kill();
    let (log, _) = Log::open(sim(&disk, config), &crashed(0)).unwrap();
    check(&log);
}

fn abort_marker(id: i64, at: i64) -> Vec<u8> {
    use ottla_protocol::record::{BatchBuilder, ControlKind, EndTransaction, NewRecord};
    let producer =
        BatchProducer { id: ProducerId::new(id).unwrap(), epoch: ProducerEpoch::ZERO, base_sequence: None };
    let options = BatchOptions {
        producer: Some(producer),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options).unwrap();
    let (key, value) = (ControlKind::Abort.key(), EndTransaction { coordinator_epoch: 0 }.value());
    let record = NewRecord { timestamp: time(at), key: Some(&key), value: Some(&value), headers: &[] };
    builder.append(record).unwrap();
    builder.finish().unwrap()
}

/// R6: batches of an earlier leader epoch behind a later one were cut away once and came back with a crash.
#[test]
fn a_batch_of_an_earlier_epoch_ends_the_log_after_a_crash() {
    let disk = SimDisk::new(0);
    let mut log = create(&disk, LogConfig::default());
    let by = FollowerAppend { epoch: epoch(9), now: time(0) };
    for (at, leader_epoch) in [(0, 3), (1, 5), (2, 4)] {
        let options = BatchOptions {
            base_offset: offset(at),
            leader_epoch: Some(epoch(leader_epoch)),
            ..BatchOptions::default()
        };
        log.append_as_follower(&build(&[(0, "v")], options), &by).unwrap();
    }
    drop(log);
    disk.kill();
    let (log, report) = Log::open(sim(&disk, LogConfig::default()), &crashed(0)).unwrap();
    assert_eq!(log.log_end(), offset(2));
    let reason = report.cut.unwrap().reason;
    assert_eq!(reason.to_string(), "leader epoch 4 follows epoch 5");
}
