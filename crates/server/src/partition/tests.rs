//! Stories of one partition with replicas elsewhere, which no single node can have.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::disk::Disk;
use ottla_env::sync::mpsc;
use ottla_env::time::{now, wall_now};
use ottla_metadata::config::{Layers, Properties, Settings};
use ottla_model::{
    BrokerId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, Timestamp, TopicId,
    TopicName, TopicPartition, Uuid, Verification,
};
use ottla_protocol::ErrorCode;
use ottla_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use ottla_replication::{FollowerFetch, PartitionState, ReadAttempt, Reader};
use ottla_storage::{FileCache, KeptLog, LogDir, LogOptions};
use ottla_testkit::disk::SimDisk;

use super::{AppendRequest, Asker, LookError, Partition, PartitionParts, ReadRequest, replica_of};
use crate::error_code;
use crate::flusher::Flusher;
use crate::formatting::Identified;
use crate::log_directory::{LogDirectory, Reports};
use crate::topic_settings::TopicSettings;

const ME: i32 = 1;
const OTHER: i32 = 2;

fn broker(id: i32) -> BrokerId {
    BrokerId::new(id).unwrap()
}

fn at(offset: i64) -> Offset {
    Offset::new(offset).unwrap()
}

/// A log directory on a disk in memory.
pub(crate) fn directory() -> LogDirectory {
    directory_on(&SimDisk::new(1))
}

fn directory_on(disk: &SimDisk) -> LogDirectory {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let files = LogDir::open(FileCache::new(disk, 8), PathBuf::from("/d")).unwrap();
    let (failures, _) = mpsc::channel(1);
    let (care, _) = mpsc::channel(1);
    let id = DirectoryId(Uuid::from_bytes([3; 16]));
    let flusher = Arc::new(Flusher::default());
    LogDirectory::new(Identified { files, id }, true, flusher, Reports { failures, care })
}

/// An empty partition on a disk in memory that answers from the page cache; its other replica is broker 2.
pub(crate) fn partition(topic_id: TopicId) -> Arc<Partition> {
    partition_at(topic_id, 0)
}

/// The same, with this index in its topic.
pub(crate) fn partition_at(topic_id: TopicId, index: i32) -> Arc<Partition> {
    partition_on(directory(), topic_id, index)
}

fn partition_on(directory: LogDirectory, topic_id: TopicId, index: i32) -> Arc<Partition> {
    let properties = Properties::parse("ottla.ack.durability=page-cache\n").unwrap();
    let layers = Layers::new(properties.settings());
    let settings = TopicSettings::resolve(&layers, &Settings::new(), Duration::from_secs(30)).unwrap();
    let options =
        LogOptions { config: Arc::clone(&settings.log), now: wall_now(), producer_expiration_ms: i64::MAX };
    let index = PartitionIndex::new(index).unwrap();
    let name = TopicPartition::new(TopicName::new("t").unwrap(), index);
    let log = directory.files().create_log(name.clone(), topic_id, &options).unwrap();
    let log = KeptLog::from(log);
    let replica = replica_of(broker(ME), &log, &settings, Offset::ZERO);
    let (directory, settings) = (Arc::new(directory), Arc::new(settings));
    Arc::new(Partition::new(PartitionParts { id: name, log, topic_id, directory, settings, replica }))
}

fn fresh() -> Arc<Partition> {
    partition(TopicId::new(Uuid::from_bytes([7; 16])).unwrap())
}

/// The controller's word: who leads, in which epoch; both replicas are in sync.
fn word(partition: &Partition, leader: i32, epoch: i32) {
    partition.on_state(&PartitionState {
        leader: Some(broker(leader)),
        leader_epoch: LeaderEpoch::new(epoch).unwrap(),
        partition_epoch: PartitionEpoch::new(epoch).unwrap(),
        replicas: vec![broker(ME), broker(OTHER)],
        adding: Vec::new(),
        in_sync: vec![broker(ME), broker(OTHER)],
    });
}

/// Appends one record with this time.
fn append(partition: &Arc<Partition>, millis: i64) {
    let mut builder = BatchBuilder::new(BatchOptions::default()).unwrap();
    let timestamp = Timestamp::from_millis(millis);
    builder.append(NewRecord { timestamp, key: None, value: Some(b"x"), headers: &[] }).unwrap();
    let mut records = builder.finish().unwrap();
    let request = AppendRequest {
        records: &mut records,
        version: 9,
        all_in_sync: false,
        verification: Verification::NotAsked,
    };
    partition.produce(request, None).unwrap();
}

/// The follower has everything below.
fn fetched(partition: &Partition, below: i64) {
    let fetch = FollowerFetch {
        broker: broker(OTHER),
        broker_epoch: None,
        offset: at(below),
        log_start: Offset::ZERO,
        eligible: true,
    };
    let mut state = partition.state.lock();
    state.replica.on_follower_fetch(fetch, now()).unwrap();
    partition.settle(&mut state);
}

fn asker(reader: Reader) -> Asker {
    Asker { reader, epoch: None, from_any_replica: false }
}

const TOOL: Asker = Asker { reader: Reader::Inspector, epoch: None, from_any_replica: true };

fn latest(partition: &Partition, asker: Asker) -> Result<i64, ErrorCode> {
    let found = partition.latest(asker).map_err(|error| error_code::of_look(&error))?;
    Ok(found.offset.value())
}

fn by_time(partition: &Partition, time: Option<i64>, asker: Asker) -> Result<Option<i64>, ErrorCode> {
    let found = partition.by_time(time.map(Timestamp::from_millis), asker);
    Ok(found.map_err(|error| error_code::of_look(&error))?.map(|found| found.offset.value()))
}

/// LO-02, LO-03, TRAP-43: a new leader tells clients nothing beyond what it knows to be committed until it knows what its
/// predecessor had committed; then offsets never go back.
#[test]
fn a_new_leader_tells_no_offset_that_could_go_back() {
    let partition = fresh();
    word(&partition, ME, 1);
    (0..4).for_each(|minute| append(&partition, 1000 * minute));
    fetched(&partition, 2);
    let clients = [asker(Reader::Uncommitted), asker(Reader::Committed)];
    for client in clients {
        assert_eq!(latest(&partition, client), Ok(2));
        assert_eq!(by_time(&partition, Some(2000), client), Ok(None), "not committed is not found");
    }
    word(&partition, ME, 2);
    for client in clients {
        assert_eq!(latest(&partition, client), Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(by_time(&partition, Some(2000), client), Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(by_time(&partition, None, client), Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(by_time(&partition, Some(1000), client), Ok(Some(1)), "it is committed");
        assert_eq!(by_time(&partition, Some(9000), client), Ok(None), "there is none");
        assert_eq!(partition.earliest(client).unwrap().offset, Offset::ZERO);
    }
    assert_eq!(latest(&partition, TOOL), Ok(4), "a tool sees the log as it is");
    assert_eq!(by_time(&partition, Some(2000), TOOL), Ok(Some(2)));
    fetched(&partition, 3);
    assert_eq!(latest(&partition, clients[0]), Err(ErrorCode::OffsetNotAvailable));
    fetched(&partition, 4);
    for client in clients {
        assert_eq!(latest(&partition, client), Ok(4));
        assert_eq!(by_time(&partition, Some(2000), client), Ok(Some(2)));
    }
}

/// LO-04: offsets are told by the leader alone, but to a tool by any replica.
#[test]
fn a_follower_tells_offsets_to_tools_only() {
    let partition = fresh();
    word(&partition, ME, 1);
    append(&partition, 1000);
    word(&partition, OTHER, 2);
    for reader in [Reader::Uncommitted, Reader::Committed, Reader::Inspector] {
        let asker = asker(reader);
        assert_eq!(latest(&partition, asker), Err(ErrorCode::NotLeaderOrFollower));
        assert_eq!(by_time(&partition, Some(0), asker), Err(ErrorCode::NotLeaderOrFollower));
        let earliest = partition.earliest(asker).map_err(|error| error_code::of_look(&error));
        assert_eq!(earliest, Err(ErrorCode::NotLeaderOrFollower));
    }
    assert_eq!(latest(&partition, TOOL), Ok(1));
    assert_eq!(by_time(&partition, Some(0), TOOL), Ok(Some(0)));
    assert_eq!(partition.earliest(TOOL).unwrap().offset, Offset::ZERO);
    let behind = Asker { epoch: LeaderEpoch::new(1), ..TOOL };
    assert_eq!(latest(&partition, behind), Err(ErrorCode::FencedLeaderEpoch));
}

fn read(partition: &Partition, attempt: ReadAttempt) -> Result<(u32, i64), ErrorCode> {
    let request = ReadRequest {
        attempt,
        last_fetched_epoch: None,
        bytes_max: 1 << 20,
        at_least_one_batch: true,
        may_wait: true,
    };
    let outcome = partition.read(&request).map_err(|error: LookError| error_code::of_look(&error))?;
    Ok((outcome.read.bytes, outcome.limits.high_watermark.value()))
}

/// FET-15, FET-30, FET-33: a follower serves consumers that know of it up to its own high watermark; between that and its
/// log end there is nothing, beyond it an error. Older consumers are sent to the leader, and the epoch comes first.
#[test]
fn a_follower_serves_consumers_that_know_of_it() {
    let partition = fresh();
    word(&partition, ME, 1);
    (0..3).for_each(|minute| append(&partition, 1000 * minute));
    fetched(&partition, 1);
    word(&partition, OTHER, 2);
    let attempt = |offset: i64| ReadAttempt {
        reader: Reader::Uncommitted,
        offset: at(offset),
        leader_epoch: None,
        from_any_replica: true,
    };
    let one = read(&partition, attempt(0)).unwrap();
    assert!(one.0 > 0 && one.1 == 1, "{one:?}");
    for between in [1, 2, 3] {
        assert_eq!(read(&partition, attempt(between)), Ok((0, 1)));
    }
    assert_eq!(read(&partition, attempt(4)), Err(ErrorCode::OffsetOutOfRange));
    let old = ReadAttempt { from_any_replica: false, ..attempt(0) };
    assert_eq!(read(&partition, old), Err(ErrorCode::NotLeaderOrFollower));
    for (epoch, expected) in [(1, ErrorCode::FencedLeaderEpoch), (3, ErrorCode::UnknownLeaderEpoch)] {
        let told = ReadAttempt { leader_epoch: LeaderEpoch::new(epoch), ..old };
        assert_eq!(read(&partition, told), Err(expected));
    }
    let current = ReadAttempt { leader_epoch: LeaderEpoch::new(2), ..attempt(0) };
    assert_eq!(read(&partition, current), Ok(one));
}

/// FET-16, FET-17, FET-34: a follower reads to the log end, consumers to the high watermark, and all are told the limits
/// that held before they read.
#[test]
fn followers_read_what_is_not_committed() {
    let partition = fresh();
    word(&partition, ME, 1);
    append(&partition, 1000);
    fetched(&partition, 1);
    append(&partition, 2000);
    append(&partition, 3000);
    let attempt =
        |reader| ReadAttempt { reader, offset: Offset::ZERO, leader_epoch: None, from_any_replica: false };
    let (one, _) = read(&partition, attempt(Reader::Uncommitted)).unwrap();
    assert_eq!(read(&partition, attempt(Reader::Committed)), Ok((one, 1)));
    assert_eq!(read(&partition, attempt(Reader::Follower(broker(OTHER)))), Ok((3 * one, 1)));
    assert_eq!(
        read(&partition, attempt(Reader::Follower(broker(9)))),
        Err(ErrorCode::NotLeaderOrFollower),
        "a stranger"
    );
    fetched(&partition, 3);
    assert_eq!(read(&partition, attempt(Reader::Uncommitted)), Ok((3 * one, 3)));
}

fn rests(partition: &Partition) -> bool {
    matches!(partition.state.lock().log, Some(KeptLog::Resting(_)))
}

/// Bytes a consumer gets from offset 0.
fn consumed(partition: &Partition) -> u32 {
    let attempt = ReadAttempt {
        reader: Reader::Uncommitted,
        offset: Offset::ZERO,
        leader_epoch: None,
        from_any_replica: false,
    };
    let request = ReadRequest {
        attempt,
        last_fetched_epoch: None,
        bytes_max: u32::MAX,
        at_least_one_batch: true,
        may_wait: true,
    };
    partition.read(&request).unwrap().read.bytes
}

/// Performance 4.10: whoever asks finds it as if it had been open.
#[test]
fn a_partition_that_nobody_uses_rests_until_somebody_does() {
    let partition = fresh();
    partition.rest_if_unused();
    assert!(rests(&partition));
    word(&partition, ME, 3);
    let before = partition.positions().unwrap();
    assert_eq!((before.log_end, before.size), (Offset::ZERO, 0));
    let asker = Asker { reader: Reader::Uncommitted, epoch: None, from_any_replica: true };
    let latest = partition.latest(asker);
    assert_eq!(latest.unwrap().epoch, LeaderEpoch::new(3));
    assert!(partition.apply_retention(wall_now()).unwrap().is_empty());
    assert!(rests(&partition), "neither the end nor an empty log's retention needs its files");
    assert_eq!(consumed(&partition), 0);
    assert!(!rests(&partition));
    assert_eq!(partition.positions().unwrap(), before);
    partition.rest_if_unused();
    assert!(!rests(&partition), "it was used since the last look");
    partition.rest_if_unused();
    assert!(rests(&partition));
    append(&partition, 5);
    partition.rest_if_unused();
    partition.rest_if_unused();
    assert!(!rests(&partition), "what was appended is not flushed");
    assert_eq!(partition.first_epoch(None).unwrap(), Some(Offset::ZERO));
}

/// LOG-07: files that changed while nobody used them take the directory offline, as any that cannot be read.
#[test]
fn a_partition_whose_files_changed_while_it_rested_goes_offline() {
    let disk = SimDisk::new(1);
    let topic_id = TopicId::new(Uuid::from_bytes([7; 16])).unwrap();
    let partition = partition_on(directory_on(&disk), topic_id, 0);
    word(&partition, ME, 3);
    partition.rest_if_unused();
    let path = std::path::Path::new("/d/t-0/partition.metadata");
    let file = disk.open(path, ottla_env::disk::OpenMode::Truncate).unwrap();
    file.write_all_at(b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw", 0).unwrap();
    let attempt = partition.with_log(|log| log.log_end());
    assert_eq!(attempt, None);
    assert_eq!(partition.standing(), ottla_replication::Standing::Offline);
    let failure = partition.directory().files().failure().unwrap_or_default().to_owned();
    assert!(failure.starts_with("the directory of a log that was not in use is of topic"), "{failure}");
}

/// Performance 4.10: 100 000 idle partitions fit into 100 MB. With each come its place in the table and in the image.
#[test]
fn an_idle_partition_takes_less_than_a_kibibyte() {
    let counters = 2 * 2 * size_of::<usize>();
    let lists = 2 * 32;
    let bytes = size_of::<Partition>() + size_of::<ottla_metadata::image::Partition>() + counters + lists;
    assert!(bytes <= 640, "{bytes} bytes");
    // The allocator's next size would be 448.
    assert!(size_of::<Partition>() + 2 * size_of::<usize>() <= 384);
}
