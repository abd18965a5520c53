//! Reads and searches by time against a naive model: a list of records.

use std::sync::Arc;

use ottla_model::Offset;
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::{Batch, Batches, RecordBuffer};
use ottla_storage::{CleanupPolicy, Log, LogConfig, LogPlace, ReadLimits};
use ottla_testkit::disk::SimDisk;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::place::{as_client, batch_at_times, bytes_of, clean, offset, place, time, topic_id};

/// A batch of the model.
#[derive(Clone, Debug)]
struct Known {
    bytes: Vec<u8>,
    /// Offset and timestamp of each record.
    records: Vec<(i64, i64)>,
}

impl Known {
    fn first(&self) -> i64 {
        self.records[0].0
    }

    fn last(&self) -> i64 {
        self.records[self.records.len() - 1].0
    }
}

/// Timestamps of the records of some batches; the size of a value follows from its timestamp.
fn batches() -> impl Strategy<Value = Vec<Vec<i64>>> {
    vec(vec(0_i64..400, 1..4), 1..40)
}

fn config() -> impl Strategy<Value = LogConfig> {
    (400_u32..4000, 0_u32..600).prop_map(|(segment_bytes, index_interval_bytes)| LogConfig {
        segment_bytes,
        index_interval_bytes,
        cleanup: CleanupPolicy { delete: false, compact: false },
        ..LogConfig::default()
    })
}

fn fill(place: LogPlace, batches: &[Vec<i64>]) -> (Log, Vec<Known>) {
    let mut log = Log::create(place, topic_id("_UNQxh1VSkaTwaqCTu9FEA"), time(0)).unwrap();
    let mut model = Vec::new();
    let mut next = 0;
    for times in batches {
        let mut bytes = batch_at_times(times);
        log.append_as_leader(&mut bytes, &as_client(0)).unwrap();
        let records: Vec<_> = (next..).zip(times.iter().copied()).collect();
        next += i64::try_from(records.len()).unwrap();
        model.push(Known { bytes, records });
    }
    (log, model)
}

/// The whole batches that a reader must get.
fn expected(model: &[Known], from: i64, limits: &ReadLimits) -> Vec<u8> {
    let mut bytes = Vec::new();
    for batch in model.iter().filter(|batch| batch.last() >= from) {
        let fits = bytes.len() + batch.bytes.len() <= limits.bytes_max as usize;
        let first_one = bytes.is_empty() && limits.at_least_one_batch;
        if batch.last() >= limits.upper_bound.value() || !(fits || first_one) {
            break;
        }
        bytes.extend(&batch.bytes);
    }
    bytes
}

fn check_reads(log: &Log, model: &[Known], bytes_max: u32) {
    let end = log.log_end().value();
    for from in 0..=end {
        for upper_bound in [end, from + 1, from + 7, end / 2].map(|at| offset(at.min(end))) {
            for at_least_one_batch in [false, true] {
                let limits = ReadLimits { bytes_max, upper_bound, at_least_one_batch };
                let read = log.read(offset(from), limits).unwrap();
                let wanted =
                    if offset(from) >= upper_bound { Vec::new() } else { expected(model, from, &limits) };
                assert_eq!(bytes_of(&read), wanted, "from {from} with {limits:?}");
                let behind = Batches::new(&wanted).last().map(|batch| batch.unwrap().last_offset().next());
                assert_eq!(read.end, behind.unwrap_or(offset(from)));
            }
        }
    }
}

fn check_times(log: &Log, model: &[Known]) {
    let start = log.log_start().value();
    let records: Vec<(i64, i64)> =
        model.iter().flat_map(|batch| batch.records.clone()).filter(|(at, _)| *at >= start).collect();
    for wanted in (0..=400).step_by(7) {
        let found = log.plan_timestamp_search(time(wanted)).unwrap().resolve().unwrap();
        let found = found.map(|found| (found.offset.value(), found.timestamp.millis()));
        let naive = records.iter().copied().find(|(_, timestamp)| *timestamp >= wanted);
        assert_eq!(found, naive, "first at or after {wanted}");
    }
    // A deleted record may still be the one, as long as its segment is there.
    let largest = log.plan_largest_timestamp_search().unwrap().resolve().unwrap();
    let largest = largest.map(|found| (found.offset.value(), found.timestamp.millis()));
    let left = records.iter().map(|(_, timestamp)| *timestamp).max();
    assert!(largest.map(|(_, timestamp)| timestamp) >= left, "{largest:?}, {left:?}");
    assert!(
        largest.is_none_or(|found| model.iter().any(|batch| batch.records.contains(&found))),
        "{largest:?}"
    );
}

fn seal_all(log: &mut Log) {
    while let Some(job) = log.seal_job() {
        job.run().unwrap();
        log.on_sealed(&job);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// FET-11, FET-12, FET-15, TRAP-12: a read gives whole batches within all limits, whatever the segments
    /// and indexes look like, in memory and on disk.
    #[test]
    fn reads_give_what_a_list_of_batches_gives(
        times in batches(), config in config(), bytes_max in 1_u32..2000,
    ) {
        let disk = SimDisk::new(0);
        let place = place(Arc::new(disk), std::path::Path::new("/d"), config);
        let (mut log, model) = fill(place.clone(), &times);
        check_reads(&log, &model, bytes_max);
        seal_all(&mut log);
        log.shrink();
        check_reads(&log, &model, bytes_max);
        let end = log.close().unwrap().log_end;
        let (log, _) = Log::open(place, &clean(end.value())).unwrap();
        check_reads(&log, &model, bytes_max);
    }

    /// LO-06, TRAP-11: times may go up and down, within batches and between them.
    #[test]
    fn a_search_by_time_finds_the_first_record_of_all(
        times in batches(), config in config(), deleted in 0_usize..20,
    ) {
        let disk = SimDisk::new(0);
        let place = place(Arc::new(disk), std::path::Path::new("/d"), config);
        let (mut log, model) = fill(place.clone(), &times);
        check_times(&log, &model);
        let start = model.get(deleted).map_or(log.log_end().value(), |batch| (batch.first() + batch.last()) / 2);
        log.move_log_start(offset(start));
        check_times(&log, &model);
        seal_all(&mut log);
        let known = ottla_storage::Known { log_start: offset(start), ..clean(log.log_end().value()) };
        log.close().unwrap();
        let (log, _) = Log::open(place, &known).unwrap();
        assert_eq!(log.log_start(), offset(start));
        check_times(&log, &model);
    }

    /// R4, R5: a log that is cut holds what it held below, and goes on from there.
    #[test]
    fn a_log_that_is_cut_is_as_if_the_rest_had_never_been(
        times in batches(), config in config(), cut in 0_usize..40, more in batches(),
    ) {
        let disk = SimDisk::new(0);
        let place = place(Arc::new(disk), std::path::Path::new("/d"), config);
        let (mut log, mut model) = fill(place, &times);
        let to = model.get(cut).map_or(log.log_end(), |batch| offset(batch.first()));
        let removed = log.truncate_to(to, ottla_storage::CheckpointedAt(Offset::ZERO), time(0)).unwrap();
        removed.remove().unwrap();
        model.truncate(cut);
        check_times(&log, &model);
        for times in &more {
            let next = log.log_end().value();
            let mut bytes = batch_at_times(times);
            log.append_as_leader(&mut bytes, &as_client(1)).unwrap();
            let records = (next..).zip(times.iter().copied()).collect();
            model.push(Known { bytes, records });
        }
        check_times(&log, &model);
        check_reads(&log, &model, 700);
    }
}

/// FET-20: the model itself reads what it wrote.
#[test]
fn the_model_knows_its_records() {
    let place = place(Arc::new(SimDisk::new(0)), std::path::Path::new("/d"), LogConfig::default());
    let (_, model) = fill(place, &[vec![5, 3], vec![9]]);
    let Ok(Batch::V2(view)) = Batch::parse(&model[0].bytes) else { panic!() };
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1000));
    let records: Vec<_> = view
        .records(&mut buffer)
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            (record.offset.value(), record.timestamp.millis())
        })
        .collect();
    assert_eq!(records, model[0].records);
}
