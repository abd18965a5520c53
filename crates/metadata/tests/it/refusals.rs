//! Logs and batches that are damaged or contradict themselves.

use ottla_metadata::features::MetadataVersion;
use ottla_metadata::image::{ApplyError, MetadataImage, Replay};
use ottla_metadata::records::{
    BatchContent, BatchPosition, BatchReadError, ControlContent, MetadataRecord, control_batch, read_batches,
    record_batch, record_batches,
};
use ottla_model::{LeaderEpoch, Offset, Timestamp, Uuid};
use ottla_protocol::messages::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord,
    ConfigRecord, EndTransactionRecord, FeatureLevelRecord, FenceBrokerRecord, KRaftVersionRecord,
    NoOpRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RemoveTopicRecord, TopicRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
};

const ID: Uuid = Uuid::from_bytes([1; 16]);

fn topic(name: &str, id: Uuid) -> MetadataRecord {
    TopicRecord { name: name.to_owned(), topic_id: id }.into()
}

fn partition(change: impl FnOnce(&mut PartitionRecord)) -> MetadataRecord {
    let mut record = PartitionRecord {
        partition_id: 0,
        topic_id: ID,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid::from_bytes([3; 16])],
        ..PartitionRecord::default()
    };
    change(&mut record);
    record.into()
}

fn broker() -> MetadataRecord {
    RegisterBrokerRecord { broker_id: 1, broker_epoch: 5, rack: None, ..RegisterBrokerRecord::default() }
        .into()
}

/// Applies records in order; gives what the last one leads to.
fn applied(records: Vec<MetadataRecord>) -> Result<MetadataImage, ApplyError> {
    let mut replay = Replay::default();
    let count = records.len();
    for (number, record) in records.into_iter().enumerate() {
        let result = replay.apply(&record, Offset::ZERO);
        match result {
            Err(error) if number + 1 == count => return Err(error),
            result => result.unwrap(),
        }
    }
    Ok(replay.latest().clone())
}

fn refused(records: Vec<MetadataRecord>) -> String {
    applied(records).unwrap_err().to_string()
}

/// Never serve on a state that the log contradicts.
#[test]
fn records_that_contradict_the_image_are_refused() {
    let a = || topic("a", ID);
    let change = |change: PartitionChangeRecord| MetadataRecord::from(change);
    let other = Uuid::from_bytes([2; 16]);
    assert!(refused(vec![a(), topic("a", other)]).contains("creates the topic a, which exists"));
    assert!(refused(vec![a(), topic("b", ID)]).contains("creates the topic b, which exists"));
    assert!(refused(vec![topic("a/b", ID)]).contains("field Name"));
    assert!(refused(vec![topic("a", Uuid::ZERO)]).contains("field TopicId"));
    assert!(refused(vec![partition(|_| ())]).contains("which does not exist"));
    assert!(refused(vec![a(), partition(|record| record.partition_id = 1)]).contains("leaves a gap"));
    assert!(refused(vec![a(), partition(|record| record.partition_id = -1)]).contains("leaves a gap"));
    assert!(refused(vec![a(), partition(|record| record.replicas = vec![-1])]).contains("field Replicas"));
    assert!(
        refused(vec![a(), partition(|record| record.directories.push(ID))]).contains("field Directories")
    );
    assert!(refused(vec![a(), partition(|record| record.leader_epoch = -1)]).contains("field LeaderEpoch"));
    assert!(
        refused(vec![a(), partition(|record| record.leader_recovery_state = 7)])
            .contains("LeaderRecoveryState")
    );
    let unknown = PartitionChangeRecord { partition_id: 4, topic_id: ID, ..PartitionChangeRecord::default() };
    assert!(refused(vec![a(), change(unknown)]).contains("names partition 4 of the topic a"));
    let elsewhere =
        PartitionChangeRecord { partition_id: 0, topic_id: other, ..PartitionChangeRecord::default() };
    assert!(refused(vec![a(), change(elsewhere)]).contains("which does not exist"));
    assert!(refused(vec![RemoveTopicRecord { topic_id: ID }.into()]).contains("RemoveTopicRecord"));
    assert!(refused(vec![ClearElrRecord { topic_name: "a".to_owned() }.into()]).contains("ClearElrRecord"));
}

#[test]
fn records_of_another_incarnation_do_not_touch_a_broker() {
    let cases: [MetadataRecord; 4] = [
        FenceBrokerRecord { id: 1, epoch: 4 }.into(),
        UnfenceBrokerRecord { id: 1, epoch: 6 }.into(),
        UnregisterBrokerRecord { broker_id: 1, broker_epoch: 4 }.into(),
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 4, ..Default::default() }.into(),
    ];
    for record in cases {
        assert!(refused(vec![broker(), record.clone()]).contains("which is not registered"), "{record:?}");
        assert!(refused(vec![record]).contains("which is not registered"));
    }
    let strange =
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: 2, ..Default::default() };
    assert!(refused(vec![broker(), strange.into()]).contains("field Fenced"));
    let older = applied(vec![broker(), UnfenceBrokerRecord { id: 1, epoch: 5 }.into()]).unwrap();
    assert_eq!(older.cluster.unfenced().count(), 1);
    let older = applied(vec![broker(), FenceBrokerRecord { id: 1, epoch: 5 }.into()]).unwrap();
    assert_eq!(older.cluster.unfenced().count(), 0);
}

#[test]
fn levels_ids_and_resources_must_mean_something() {
    let level = |name: &str, level: i16| {
        MetadataRecord::from(FeatureLevelRecord { name: name.to_owned(), feature_level: level })
    };
    for (name, value) in
        [("metadata.version", 31), ("metadata.version", 6), ("group.version", 2), ("nosuch", 1)]
    {
        assert!(refused(vec![level(name, value)]).contains("which this program does not support"), "{name}");
    }
    let ids = |next: i64| {
        MetadataRecord::from(ProducerIdsRecord { broker_id: 1, broker_epoch: 1, next_producer_id: next })
    };
    assert!(refused(vec![ids(2000), ids(2000)]).contains("goes back"));
    assert!(refused(vec![ids(-1)]).contains("NextProducerId"));
    let config = |kind: i8, name: &str| {
        MetadataRecord::from(ConfigRecord {
            resource_type: kind,
            resource_name: name.to_owned(),
            name: "k".to_owned(),
            value: Some("v".to_owned()),
        })
    };
    assert!(refused(vec![config(3, "a")]).contains("ResourceType"));
    assert!(refused(vec![config(4, "x")]).contains("ResourceType"));
}

/// KIP-868
#[test]
fn a_transaction_is_visible_as_a_whole_or_not_at_all() {
    let begin = || MetadataRecord::from(BeginTransactionRecord::default());
    let end = || MetadataRecord::from(EndTransactionRecord {});
    let abort = || MetadataRecord::from(AbortTransactionRecord::default());
    let mut replay = Replay::default();
    let apply = |replay: &mut Replay, record| replay.apply(&record, Offset::new(7).unwrap());
    apply(&mut replay, begin()).unwrap();
    apply(&mut replay, topic("a", ID)).unwrap();
    assert_eq!((replay.visible().topics.len(), replay.latest().topics.len()), (0, 1));
    assert_eq!(replay.transaction_start(), Offset::new(7));
    let mut ended = replay.clone();
    apply(&mut ended, end()).unwrap();
    assert_eq!(ended.visible().topics.len(), 1);
    assert_eq!(ended.transaction_start(), None);
    apply(&mut replay, abort()).unwrap();
    assert_eq!((replay.visible().topics.len(), replay.latest().topics.len()), (0, 0));
    assert!(refused(vec![begin(), begin()]).contains("inside the one"));
    assert!(refused(vec![end()]).contains("though none is open"));
    assert!(refused(vec![abort()]).contains("though none is open"));
}

fn position(base: i64) -> BatchPosition {
    BatchPosition {
        base_offset: Offset::new(base).unwrap(),
        epoch: LeaderEpoch::new(3).unwrap(),
        timestamp: Timestamp::from_millis(77),
    }
}

/// KRF-01
#[test]
fn batches_are_read_back_as_they_were_written() {
    let records = [MetadataRecord::from(NoOpRecord {}), topic("a", ID)];
    let mut bytes = record_batch(position(5), &records, MetadataVersion::LATEST).unwrap();
    let control = ControlContent::KraftVersion(KRaftVersionRecord { version: 0, k_raft_version: 1 });
    bytes.extend(control_batch(position(7), std::slice::from_ref(&control)).unwrap());
    let [first, second] = read_batches(&bytes).unwrap().try_into().unwrap();
    assert_eq!((first.position, first.last_offset.value()), (position(5), 6));
    let BatchContent::Records(read) = first.content else { panic!("records") };
    assert!(
        read.iter().map(|(at, record)| (at.value(), &record.record)).eq([(5, &records[0]), (6, &records[1])])
    );
    assert_eq!(second.content, BatchContent::Control(vec![(Offset::new(7).unwrap(), control)]));
    assert_eq!(first.size + second.size, bytes.len());
    assert!(read_batches(&[]).unwrap().is_empty());
}

/// REC-01
#[test]
fn a_damaged_batch_is_refused_and_nothing_is_read_from_it() {
    let bytes = record_batch(position(5), &[topic("a", ID)], MetadataVersion::LATEST).unwrap();
    for cut in 1..bytes.len() {
        assert!(
            matches!(read_batches(&bytes[..cut]), Err(BatchReadError::Batch { at: 0, .. })),
            "cut at {cut}"
        );
    }
    for at in 17..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(matches!(read_batches(&damaged), Err(BatchReadError::Batch { .. })), "byte {at}");
    }
}

/// The leader epoch lies outside a batch's checksum.
#[test]
fn a_log_whose_epochs_go_back_is_refused() {
    use crate::world::{Plan, World};
    let mut world = World::new(Plan::default());
    let records = [MetadataRecord::from(NoOpRecord {})];
    let earlier = BatchPosition { base_offset: world.log_end(), epoch: LeaderEpoch::ZERO, ..position(0) };
    let batch = record_batch(earlier, &records, MetadataVersion::LATEST).unwrap();
    let refusal = world.node.on_log_read(&read_batches(&batch).unwrap()[0]).unwrap_err();
    let reason = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(reason.contains("is of epoch 0, older than the epoch 1"), "{reason}");
    let gap = record_batch(position(1_000), &records, MetadataVersion::LATEST).unwrap();
    let refusal = world.node.on_log_read(&read_batches(&gap).unwrap()[0]).unwrap_err();
    assert!(std::error::Error::source(&refusal).unwrap().to_string().contains("begins at 1000"));
    let unknown = ControlContent::KraftVersion(KRaftVersionRecord { version: 0, k_raft_version: 2 });
    let next = BatchPosition { base_offset: world.log_end(), ..position(0) };
    let batch = control_batch(next, &[unknown]).unwrap();
    let refusal = world.node.on_log_read(&read_batches(&batch).unwrap()[0]).unwrap_err();
    assert!(std::error::Error::source(&refusal).unwrap().to_string().contains("kraft.version 2"));
}

/// KRF-07
#[test]
fn many_records_become_several_batches_of_a_bounded_size() {
    let record = |number: usize| {
        MetadataRecord::from(ConfigRecord {
            resource_type: 2,
            resource_name: "a".to_owned(),
            name: format!("key{number}"),
            value: Some("x".repeat(32_000)),
        })
    };
    let mut bytes = Vec::new();
    let end = record_batches(position(0), (0..600).map(record), MetadataVersion::LATEST, &mut bytes).unwrap();
    let batches = read_batches(&bytes).unwrap();
    assert_eq!(end.value(), 600);
    assert_eq!(batches.len(), 3);
    assert!(batches.iter().all(|batch| batch.size <= 8 * 1024 * 1024));
    assert!(batches.windows(2).all(|pair| pair[0].last_offset.next() == pair[1].position.base_offset));
}
