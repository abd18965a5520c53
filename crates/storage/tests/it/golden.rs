//! Our files against those that Kafka 4.3.1 wrote, byte for byte.
//!
//! The dumps in `tests/data` hold whole partition directories. Their batches are appended here again, in the
//! same order and under the same settings; after a clean stop every file must be the same.

use std::collections::BTreeMap;
use std::path::Path;

use ottla_protocol::record::{Batch, Batches};
use ottla_storage::{LeaderAppend, LeaderAppended, Log, LogConfig, Origin};

use crate::place::{TestDir, as_client, epoch, offset, place, real_disk, time, topic_id};

/// The files of one partition in a dump, by name.
fn dumped(dump: &str, directory: &str) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(dump);
    let text = std::fs::read_to_string(path).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("== ") {
            let path = header.split(' ').next().unwrap();
            let name = path.split_once('/').unwrap().1.strip_prefix(directory);
            current = name.and_then(|name| name.strip_prefix('/')).map(str::to_owned);
            if let Some(name) = &current {
                files.insert(name.clone(), Vec::new());
            }
        } else if let Some(name) = &current
            && let Some((at, rest)) = line.split_once("  ")
            && at.len() == 8
        {
            let hex = rest.split("  |").next().unwrap();
            let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
            files.get_mut(name).unwrap().extend(bytes);
        }
    }
    assert!(!files.is_empty(), "{dump} has no {directory}");
    files
}

fn batches_of(files: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<u8>> {
    let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
    logs.flat_map(|(_, bytes)| Batches::new(bytes).map(|batch| batch.unwrap().bytes().to_vec())).collect()
}

fn topic_id_of(files: &BTreeMap<String, Vec<u8>>) -> String {
    let text = String::from_utf8(files["partition.metadata"].clone()).unwrap();
    text.rsplit_once(' ').unwrap().1.to_owned()
}

fn written(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn assert_same(ours: &BTreeMap<String, Vec<u8>>, kafkas: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(kafkas));
    for (name, bytes) in kafkas {
        assert_eq!(&ours[name], bytes, "{name}");
    }
}

fn append(log: &mut Log, batch: &[u8]) {
    let Ok(Batch::V2(view)) = Batch::parse(batch) else { panic!("the dumps hold batches of magic 2") };
    let control = view.header().attributes.is_control();
    let by = LeaderAppend {
        origin: if control { Origin::Coordinator } else { Origin::Client },
        marker_epoch_was_raised: control,
        ..as_client(0)
    };
    let mut bytes = batch.to_vec();
    let appended = log.append_as_leader(&mut bytes, &by).unwrap();
    assert!(matches!(appended, LeaderAppended::New(_)));
    assert_eq!(bytes, batch, "the leader's patches are Kafka's");
}

/// Appends what a dump holds, closes the log, compares all files.
fn rewrite(dump: &str, directory: &str, config: LogConfig, before_close: impl FnOnce(&mut Log)) {
    let kafkas = dumped(dump, directory);
    let dir = TestDir::new("golden");
    let place = place(real_disk(), &dir.path, config);
    let path = place.directory.clone();
    let mut log = Log::create(place, topic_id(&topic_id_of(&kafkas)), time(0)).unwrap();
    log.begin_epoch(epoch(0));
    for batch in batches_of(&kafkas) {
        append(&mut log, &batch);
    }
    before_close(&mut log);
    log.close().unwrap();
    assert_same(&written(&path), &kafkas);
}

/// LOG-00, LOG-01, IDM-09: segments, both indexes, a snapshot at every roll and at the clean stop.
#[test]
fn a_log_that_rolled_by_time_is_kafkas_byte_for_byte() {
    let config = LogConfig { segment_ms: 3000, index_interval_bytes: 100, ..LogConfig::default() };
    rewrite("hex-rolled.txt", "d-roll-0", config, |_| {});
}

/// LOG-00, IDM-01
#[test]
fn a_log_of_an_idempotent_producer_is_kafkas_byte_for_byte() {
    rewrite("hex-idempotent.txt", "e-idem-0", LogConfig::default(), |_| {});
}

/// LOG-00, FET-17, FET-18: the index of aborted transactions, and the state after the last marker, which ends its
/// transaction once it is replicated.
#[test]
fn a_log_of_transactions_is_kafkas_byte_for_byte() {
    // The data is of 2023 and the markers of 2026; that topic did not roll by time.
    let config = LogConfig { segment_ms: i64::MAX, ..LogConfig::default() };
    rewrite("hex-txn.txt", "e-txn-0", config, |log| {
        assert_eq!(log.first_unstable(), Some(offset(0)));
        log.on_high_watermark(offset(7));
        assert_eq!(log.first_unstable(), None);
    });
}

/// LOG-00, REC-02
#[test]
fn a_log_of_all_codecs_is_kafkas_byte_for_byte() {
    rewrite("hex-codecs.txt", "e-codecs-0", LogConfig::default(), |_| {});
}

/// LOG-00, LOG-03: the epoch list begins at the log start.
#[test]
fn a_log_with_deleted_records_is_kafkas_byte_for_byte() {
    rewrite("hex-delete-records.txt", "o2-0", LogConfig::default(), |log| log.move_log_start(offset(2)));
}

/// LOG-00, FET-20: emptied batches and gaps between offsets, as compaction leaves them.
#[test]
fn a_compacted_log_of_kafka_opens_and_is_left_unchanged() {
    for (dump, directory, end) in [
        ("hex-compact.txt", "d-compact-0", 6),
        ("hex-rolled.txt", "d-roll-0", 18),
        ("hex-txn.txt", "e-txn-0", 7),
    ] {
        let kafkas = dumped(dump, directory);
        let dir = TestDir::new("golden");
        let place = place(real_disk(), &dir.path, LogConfig::default());
        let path = place.directory.clone();
        std::fs::create_dir_all(&path).unwrap();
        for (name, bytes) in &kafkas {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        let (log, report) = Log::open(place, &crate::place::clean(end)).unwrap();
        assert_eq!(log.log_end(), offset(end));
        assert_eq!(report.cut, None);
        log.close().unwrap();
        assert_same(&written(&path), &kafkas);
    }
}
