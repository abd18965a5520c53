//! Snapshots are written, read, refused, and used.

use std::time::Duration;

use ottla_metadata::bootstrap::{FormatError, FormatRequest, NewCluster, read_bootstrap_file};
use ottla_metadata::features::MetadataVersion;
use ottla_metadata::image::ConfigResource;
use ottla_metadata::quorum::Voters;
use ottla_metadata::records::{BatchContent, MetadataRecord, read_batches};
use ottla_metadata::snapshot::{
    Snapshot, SnapshotError, SnapshotId, SnapshotPolicy, VotersInLog, image_snapshot,
};
use ottla_model::{LeaderEpoch, Offset, Timestamp};

use crate::script::{check_on, run};
use crate::world::{Plan, World};

const KAFKA_SNAPSHOT: &[u8] = include_bytes!("../data/kafka-log/00000000000000000072-0000000002.checkpoint");
const KAFKA_BOOTSTRAP: &[u8] = include_bytes!("../data/kafka-log/bootstrap.checkpoint");
const KAFKA_VOTERS: &[u8] = include_bytes!("../data/kafka-log/00000000000000000000-0000000000.checkpoint");

fn kafka_id() -> SnapshotId {
    SnapshotId { end: Offset::new(72).unwrap(), epoch: LeaderEpoch::new(2).unwrap() }
}

/// When each batch of a file was written.
fn written_at(bytes: &[u8]) -> Vec<Timestamp> {
    read_batches(bytes).unwrap().iter().map(|batch| batch.position.timestamp).collect()
}

/// KRF-01, KRF-07: what a Kafka 4.3.1 node wrote after a topic was created.
#[test]
fn a_snapshot_of_kafka_gives_its_image() {
    let snapshot = Snapshot::read(KAFKA_SNAPSHOT).unwrap();
    assert_eq!(snapshot.kraft_version, 1);
    assert_eq!(snapshot.voters.as_ref().map(Voters::count), Some(1));
    let image = snapshot.image(kafka_id()).unwrap();
    assert_eq!(image.features.metadata_version(), MetadataVersion::LATEST);
    let topic = image.topics.by_name("t1").unwrap();
    assert_eq!(topic.partition_count(), 2);
    assert_eq!(image.configs.value(&ConfigResource::Topic("t1".to_owned()), "retention.ms"), Some("1000"));
    let broker = image.cluster.brokers().next().unwrap();
    assert_eq!(
        (broker.id.value(), broker.epoch.value(), broker.fenced, broker.directories.len()),
        (1, 14, false, 2)
    );
    assert_eq!(image.provenance.unwrap().offset.value(), 71);
}

/// KRF-01: our bytes are Kafka's, up to the order in which Java's hash maps give features and configs.
#[test]
fn an_image_is_written_as_kafka_writes_it() {
    let theirs = Snapshot::read(KAFKA_SNAPSHOT).unwrap();
    let image = theirs.image(kafka_id()).unwrap();
    let voters = VotersInLog { voters: theirs.voters.as_ref().unwrap(), kraft_version: theirs.kraft_version };
    let (id, ours) = image_snapshot(&image, voters, written_at(KAFKA_SNAPSHOT)[0]).unwrap().unwrap();
    assert_eq!(id, kafka_id());
    let header = read_batches(KAFKA_SNAPSHOT).unwrap()[0].size;
    assert_eq!(ours[..header], KAFKA_SNAPSHOT[..header], "the header batch is the same to the byte");
    assert_eq!(ours.len(), KAFKA_SNAPSHOT.len());
    let frames = |snapshot: &Snapshot| {
        let sorted = |record: &MetadataRecord| {
            let mut record = record.clone();
            if let MetadataRecord::RegisterBroker(broker) = &mut record {
                broker.features.sort_by(|a, b| a.name.cmp(&b.name));
            }
            if let MetadataRecord::RegisterController(controller) = &mut record {
                controller.features.sort_by(|a, b| a.name.cmp(&b.name));
            }
            record
        };
        let mut frames: Vec<_> = snapshot
            .records
            .iter()
            .map(|record| sorted(record).to_frame(MetadataVersion::LATEST).unwrap())
            .collect();
        let kinds: Vec<_> = snapshot.records.iter().map(MetadataRecord::kind).collect();
        frames.sort();
        (frames, kinds)
    };
    assert_eq!(frames(&Snapshot::read(&ours).unwrap()), frames(&theirs));
}

/// STG-01: the files of Kafka 4.3.1's `kafka-storage format --standalone`.
#[test]
fn a_formatted_directory_has_kafka_s_bytes() {
    let request = FormatRequest { dynamic_quorum: true, ..FormatRequest::default() };
    let cluster = NewCluster::new(&request).unwrap();
    // Kafka writes each batch at its own millisecond; the tests have one clock.
    let times = written_at(KAFKA_BOOTSTRAP);
    let ours = cluster.bootstrap_file(&[], times[0]).unwrap();
    assert_eq!(ours.len(), KAFKA_BOOTSTRAP.len());
    for (ours, theirs) in read_batches(&ours).unwrap().iter().zip(read_batches(KAFKA_BOOTSTRAP).unwrap()) {
        assert_eq!(ours.content, theirs.content);
        assert_eq!((ours.size, ours.last_offset), (theirs.size, theirs.last_offset));
    }
    let theirs = Snapshot::read(KAFKA_VOTERS).unwrap();
    let ours = cluster.voters_snapshot(theirs.voters.as_ref().unwrap(), theirs.last_timestamp).unwrap();
    assert_eq!(Snapshot::read(&ours).unwrap(), theirs);
    assert_eq!(ours.len(), KAFKA_VOTERS.len());
    let static_cluster = NewCluster::new(&FormatRequest::default()).unwrap();
    assert_eq!(static_cluster.bootstrap_file(&[], times[0]).unwrap().len(), KAFKA_BOOTSTRAP.len());
}

/// STG-01: the bytes between the batches' times are the same, byte for byte.
#[test]
fn each_batch_of_a_formatted_directory_is_kafka_s_byte_for_byte() {
    let cluster = NewCluster::new(&FormatRequest::default()).unwrap();
    let mut at = 0;
    for (number, time) in written_at(KAFKA_BOOTSTRAP).into_iter().enumerate() {
        let ours = cluster.bootstrap_file(&[], time).unwrap();
        let size = read_batches(KAFKA_BOOTSTRAP).unwrap()[number].size;
        assert_eq!(ours[at..at + size], KAFKA_BOOTSTRAP[at..at + size], "batch {number}");
        at += size;
    }
    assert_eq!(at, KAFKA_BOOTSTRAP.len());
}

/// STG-01
#[test]
fn the_bootstrap_file_of_kafka_gives_the_first_records() {
    let records = read_bootstrap_file(KAFKA_BOOTSTRAP).unwrap();
    assert_eq!(records, NewCluster::new(&FormatRequest::default()).unwrap().records());
    let old = FormatRequest { release: MetadataVersion::from_level(20), ..FormatRequest::default() };
    assert_eq!(NewCluster::new(&old).unwrap().records().len(), 1);
}

/// STG-01, KRF-05: the refusals of Kafka 4.3.1's `kafka-storage format`.
#[test]
fn levels_that_cannot_be_formatted_are_refused_in_kafka_s_words() {
    let refused = |features: &[(&str, i16)], release: Option<i16>, dynamic_quorum: bool| {
        let request = FormatRequest {
            release: release.and_then(MetadataVersion::from_level),
            features: features.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect(),
            dynamic_quorum,
        };
        NewCluster::new(&request)
            .map(|cluster| cluster.records().len())
            .map_err(|error: FormatError| error.to_string())
    };
    let cases = [
        (
            refused(&[("metadata.version", 30)], Some(30), false),
            "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.",
        ),
        (refused(&[("metadata.version", 31)], None, false), "metadata.version 4.4-IV0 is not yet stable."),
        (
            refused(&[("metadata.version", 99)], None, false),
            "No MetadataVersion with feature level 99. Valid feature levels are from 7 to 31.",
        ),
        (
            refused(&[("nosuch", 1)], None, false),
            "Unsupported feature: nosuch. Supported features are: eligible.leader.replicas.version, group.version, kraft.version, share.version, streams.version, transaction.version",
        ),
        (refused(&[("group.version", 7)], None, false), "No feature:group.version with feature level 7"),
        (
            refused(&[("eligible.leader.replicas.version", 1)], Some(21), false),
            "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23",
        ),
        (
            refused(&[("kraft.version", 0)], None, true),
            "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing the --feature flag for kraft.version.",
        ),
        (
            refused(&[("kraft.version", 1)], None, false),
            "Cannot set kraft.version to 1 unless controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters.",
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, Err(expected.to_owned()));
    }
    assert_eq!(refused(&[("share.version", 0)], None, false), Ok(5));
    assert_eq!(refused(&[("metadata.version", 25)], None, false), Ok(3));
    assert_eq!(refused(&[("kraft.version", 1)], Some(20), true), Ok(1));
}

/// KRF-07
#[test]
fn a_damaged_or_unfinished_snapshot_is_refused() {
    let batches = read_batches(KAFKA_SNAPSHOT).unwrap();
    let footer = KAFKA_SNAPSHOT.len() - batches.last().unwrap().size;
    assert!(matches!(Snapshot::read(&KAFKA_SNAPSHOT[..footer]), Err(SnapshotError::NoFooter)));
    assert!(matches!(Snapshot::read(&KAFKA_SNAPSHOT[..batches[0].size]), Err(SnapshotError::NoFooter)));
    assert!(matches!(Snapshot::read(&[]), Err(SnapshotError::NoHeader)));
    let mut gap = KAFKA_SNAPSHOT[..batches[0].size].to_vec();
    gap.extend(&KAFKA_SNAPSHOT[footer..]);
    assert!(matches!(Snapshot::read(&gap), Err(SnapshotError::Gap { .. })));
    assert!(matches!(Snapshot::read(&KAFKA_SNAPSHOT[batches[0].size..]), Err(SnapshotError::Gap { .. })));
    for cut in 1..KAFKA_SNAPSHOT.len() {
        assert!(Snapshot::read(&KAFKA_SNAPSHOT[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..KAFKA_SNAPSHOT.len() {
        let mut damaged = KAFKA_SNAPSHOT.to_vec();
        damaged[at] ^= 0x10;
        // Base offset, length and epoch of a batch lie outside its checksum.
        if let Ok(read) = Snapshot::read(&damaged) {
            assert_eq!(read, Snapshot::read(KAFKA_SNAPSHOT).unwrap(), "byte {at}");
        }
    }
}

/// KRF-07
#[test]
fn a_snapshot_is_taken_after_so_much_time_and_a_node_starts_from_it() {
    let snapshots = SnapshotPolicy { bytes_max: u64::MAX, interval: Some(Duration::from_secs(60)) };
    let mut world = World::new(Plan { snapshots, idle: Some(Duration::from_millis(500)), ..Plan::default() });
    run(&mut world, "broker 1\ncreate a 3/1 retention.ms=5\nids 1");
    assert!(world.disk.snapshots.is_empty());
    world.pass(8_000);
    run(&mut world, "beat 1");
    world.pass(60_000);
    assert_eq!(world.disk.snapshots.len(), 1);
    let (id, _) = world.disk.snapshots.first_key_value().unwrap();
    let id = *id;
    run(&mut world, "create b 1/1");
    // The log before the snapshot is not needed any more.
    world.disk.log.retain(|(base, _)| *base >= id.end);
    world.disk.flushed = world.disk.log.len();
    let before = world.image();
    world.restart(true);
    let after = world.image();
    assert_eq!(before.topics, after.topics);
    assert_eq!(before.configs, after.configs);
    assert_eq!(before.next_producer_id, after.next_producer_id);
    check_on(&mut world, "register 1\nbeat 1\nids 1", "1 registered\n1 alive\nids from 1000 on, 1000");
}

/// KRF-07
#[test]
fn a_snapshot_is_taken_after_so_many_bytes() {
    let snapshots = SnapshotPolicy { bytes_max: 5_000, interval: None };
    let mut world = World::new(Plan { snapshots, ..Plan::default() });
    run(&mut world, "broker 1\ncreate a 20/1");
    assert_eq!(world.disk.snapshots.len(), 0);
    run(&mut world, "create b 60/1");
    assert_eq!(world.disk.snapshots.len(), 1);
    let bytes = world.disk.snapshots.first_key_value().unwrap().1;
    let snapshot = Snapshot::read(bytes).unwrap();
    let topics = snapshot.records.iter().filter(|record| matches!(record, MetadataRecord::Topic(_)));
    assert_eq!(topics.count(), 2);
}

/// A snapshot loses nothing that this program does not use yet.
#[test]
fn credentials_and_quotas_of_other_nodes_survive_a_snapshot() {
    use ottla_metadata::image::Replay;
    use ottla_metadata::records::VersionedRecord;
    let facts = include_str!("../data/records-cluster-metadata.txt");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let mut replay = Replay::default();
    let mut kept = 0;
    for hex in facts.lines().filter_map(|line| line.strip_prefix("value bytes: 01")) {
        let Ok(read) = VersionedRecord::from_frame(&bytes(&format!("01{hex}"))) else { continue };
        let retained = matches!(
            read.record,
            MetadataRecord::AccessControlEntry(_)
                | MetadataRecord::ClientQuota(_)
                | MetadataRecord::UserScramCredential(_)
                | MetadataRecord::DelegationToken(_)
        );
        if retained {
            replay.apply(&read.record, Offset::ZERO).unwrap();
            kept += 1;
        }
    }
    replay.advance(ottla_metadata::image::Provenance {
        offset: Offset::ZERO,
        epoch: LeaderEpoch::ZERO,
        timestamp: Timestamp::from_millis(0),
    });
    let voters = Voters::new([crate::world::own_voter()]).unwrap();
    let quorum = VotersInLog { voters: &voters, kraft_version: 0 };
    let (id, bytes) = image_snapshot(replay.latest(), quorum, Timestamp::from_millis(0)).unwrap().unwrap();
    let snapshot = Snapshot::read(&bytes).unwrap();
    assert_eq!(snapshot.records.len(), kept + 1, "and the level of metadata.version");
    assert_eq!(snapshot.image(id).unwrap().retained, replay.latest().retained);
    assert!(matches!(read_batches(&bytes).unwrap()[0].content, BatchContent::Control(_)));
}
