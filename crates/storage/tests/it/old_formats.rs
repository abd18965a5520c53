//! Messages of magic 0 and 1, as an upgraded data directory holds them (OLD-01).

use std::path::Path;
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, checksum};
use ottla_env::disk::{Disk, OpenMode};
use ottla_model::Offset;
use ottla_storage::{Log, LogConfig, ReadLimits};
use ottla_testkit::disk::SimDisk;

use crate::place::{as_client, batch_at_times, bytes_of, clean, crashed, offset, place, time, topic_id};

/// A plain message: of magic 1 with a timestamp, of magic 0 without.
fn message(at: i64, timestamp: Option<i64>, value: &[u8]) -> Vec<u8> {
    let magic = u8::from(timestamp.is_some());
    let mut covered = vec![magic, 0];
    covered.extend(timestamp.iter().flat_map(|at| at.to_be_bytes()));
    covered.extend((-1_i32).to_be_bytes());
    covered.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    covered.extend(value);
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, &covered)).unwrap();
    let mut message = at.to_be_bytes().to_vec();
    message.extend(i32::try_from(covered.len() + 4).unwrap().to_be_bytes());
    message.extend(crc.to_be_bytes());
    message.extend(covered);
    message
}

/// Writes the messages as the only segment of a log; returns their bytes.
fn write(disk: &SimDisk, messages: &[Vec<u8>]) -> Vec<u8> {
    let log = Log::create(
        place(Arc::new(disk.clone()), Path::new("/d"), LogConfig::default()),
        topic_id("_UNQxh1VSkaTwaqCTu9FEA"),
        time(0),
    );
    log.unwrap().close().unwrap();
    let bytes = messages.concat();
    let file = disk.open(Path::new("/d/t-0/00000000000000000000.log"), OpenMode::Write).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    bytes
}

fn messages() -> Vec<Vec<u8>> {
    vec![
        message(0, None, b"magic 0"),
        message(1, Some(500), b"magic 1"),
        message(2, Some(300), b"earlier"),
        message(3, Some(900), b"last"),
    ]
}

/// OLD-01: read, sent as stored, found by time, followed by new batches.
#[test]
fn old_messages_are_read_and_followed_by_new_batches() {
    let disk = SimDisk::new(0);
    let stored = write(&disk, &messages());
    let config = LogConfig { index_interval_bytes: 10, ..LogConfig::default() };
    for known in [crashed(0), crashed(4)] {
        let place = place(Arc::new(disk.clone()), Path::new("/d"), config.clone());
        let (log, report) = Log::open(place, &known).unwrap();
        assert_eq!((log.log_end(), report.cut), (offset(4), None));
        let limits = ReadLimits { bytes_max: 10_000, upper_bound: Offset::MAX, at_least_one_batch: true };
        assert_eq!(bytes_of(&log.read(offset(0), limits).unwrap()), stored);
        let found = |wanted| log.plan_timestamp_search(time(wanted)).unwrap().resolve().unwrap();
        assert_eq!(found(400).unwrap().offset, offset(1));
        assert_eq!(found(501).unwrap().offset, offset(3));
        assert_eq!(found(901), None);
    }
    let place = place(Arc::new(disk.clone()), Path::new("/d"), config);
    let (mut log, _) = Log::open(place.clone(), &crashed(0)).unwrap();
    log.append_as_leader(&mut batch_at_times(&[1000]), &as_client(0)).unwrap();
    assert_eq!(log.close().unwrap().log_end, offset(5));
    let (log, _) = Log::open(place, &clean(5)).unwrap();
    assert_eq!(log.plan_largest_timestamp_search().unwrap().resolve().unwrap().unwrap().offset, offset(4));
}

/// LOG-04, OLD-01: their checksum is another one, and checked.
#[test]
fn a_damaged_old_message_ends_the_log() {
    let disk = SimDisk::new(0);
    let mut damaged = messages();
    *damaged[2].last_mut().unwrap() ^= 1;
    write(&disk, &damaged);
    let place = place(Arc::new(disk), Path::new("/d"), LogConfig::default());
    let (log, report) = Log::open(place, &crashed(0)).unwrap();
    assert_eq!(log.log_end(), offset(2));
    assert!(report.cut.is_some());
}
