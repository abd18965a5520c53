//! A quorum of one elects itself, commits and remembers.

use ottla_metadata::bootstrap::FormatRequest;
use ottla_metadata::controller::{Command, TopicRef};
use ottla_metadata::quorum::{FetchAnswer, FetchRefused, FollowerFetch, ReplicaKey, Standing};
use ottla_metadata::records::{BatchContent, ControlContent, MetadataRecord, read_batches};
use ottla_metadata::{MetadataNode, NodeAction};
use ottla_model::{BrokerId, LeaderEpoch, Offset};

use crate::script::{broker, check_on, run};
use crate::world::{Plan, World};

fn dynamic() -> Plan {
    Plan { format: FormatRequest { dynamic_quorum: true, ..FormatRequest::default() }, ..Plan::default() }
}

/// The kinds of control records in the log, with their offsets.
fn controls(world: &World) -> Vec<(i64, &'static str)> {
    let mut kinds = Vec::new();
    for (_, batch) in &world.disk.log {
        for batch in read_batches(batch).unwrap() {
            let BatchContent::Control(records) = batch.content else { continue };
            for (at, record) in records {
                let kind = match record {
                    ControlContent::LeaderChange(_) => "leader",
                    ControlContent::KraftVersion(_) => "version",
                    ControlContent::Voters(_) => "voters",
                    ControlContent::SnapshotHeader(_) | ControlContent::SnapshotFooter(_) => "snapshot",
                };
                kinds.push((at.value(), kind));
            }
        }
    }
    kinds
}

/// KRF-02: what Kafka 4.3.1 writes first.
#[test]
fn each_epoch_begins_with_its_leader() {
    let mut world = World::new(Plan::default());
    assert_eq!(world.node.quorum().epoch().value(), 1);
    assert_eq!(controls(&world), [(0, "leader")]);
    let end = world.log_end().value();
    world.restart(true);
    assert_eq!(world.node.quorum().epoch().value(), 2);
    assert_eq!(controls(&world), [(0, "leader"), (end, "leader")]);
}

/// KRF-03: what Kafka 4.3.1 writes first after `format --standalone`.
#[test]
fn the_first_leader_of_a_dynamic_quorum_writes_its_voters_into_the_log() {
    let mut world = World::new(dynamic());
    assert_eq!(controls(&world), [(0, "leader"), (1, "version"), (2, "voters")]);
    assert_eq!(world.disk.log[0].0, Offset::ZERO);
    world.restart(true);
    assert_eq!(controls(&world).len(), 4, "only the leader changes from then on");
    let state = String::from_utf8(world.disk.quorum_state.clone().unwrap()).unwrap();
    assert_eq!(
        state,
        r#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#
    );
}

/// KRF-02
#[test]
fn a_vote_is_on_disk_before_it_counts() {
    let mut seen = Vec::new();
    let mut world = World::new(Plan::default());
    world.disk.log.clear();
    let record = |action: &NodeAction| match action {
        NodeAction::Persist(content) => String::from_utf8(content.clone()).unwrap(),
        NodeAction::Append { .. } => "append".to_owned(),
        NodeAction::Flush { .. } => "flush".to_owned(),
        NodeAction::Publish { .. } | NodeAction::Answer { .. } | NodeAction::WriteSnapshot { .. } => {
            String::new()
        }
    };
    let mut node = fresh_node(&world);
    node.start(world.now).unwrap();
    seen.extend(std::iter::from_fn(|| node.poll_action()).map(|action| record(&action)));
    assert_eq!(
        seen,
        [
            r#"{"clusterId":"","leaderId":-1,"leaderEpoch":1,"votedId":1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#
        ]
    );
    assert!(!node.quorum().is_leader());
    node.on_persisted(world.now).unwrap();
    assert!(node.quorum().is_leader());
    let first = node.poll_action().map(|action| record(&action));
    assert_eq!(
        first.as_deref(),
        Some(
            r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#
        )
    );
    assert_eq!(node.poll_action().map(|action| record(&action)).as_deref(), Some("append"));
}

fn fresh_node(world: &World) -> MetadataNode {
    let mut disk = world.disk.clone();
    disk.quorum_state = None;
    crate::world::node_on(&world.plan, &disk, world.now)
}

/// TOP-04: an answer waits for stable storage, and for nothing less.
#[test]
fn nothing_is_answered_or_seen_before_it_is_flushed() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a+b 1/1");
    let request = world.send(Command::DeleteTopics(vec![TopicRef::Name("a".to_owned())]));
    let end = world.settle_without_flush().unwrap();
    assert!(!world.is_answered(request));
    assert!(world.image().topics.by_name("a").is_some());
    // A later read sees the change already and waits for it, too.
    let second = world.send(Command::DeleteTopics(vec![TopicRef::Name("a".to_owned())]));
    assert_eq!(world.settle_without_flush(), None, "nothing new has to be flushed");
    assert!(!world.is_answered(second));
    world.disk.flushed = world.disk.log.len();
    world.node.on_flushed(end, world.now).unwrap();
    world.settle();
    assert!(world.is_answered(request) && world.is_answered(second));
    assert!(world.image().topics.by_name("a").is_none());
}

/// Commands that come while a flush runs share the next one.
#[test]
fn one_flush_serves_all_that_was_appended_before_it() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a+b+c 1/1");
    for name in ["a", "b", "c"] {
        world.send(Command::DeleteTopics(vec![TopicRef::Name(name.to_owned())]));
    }
    let end = world.settle_without_flush().unwrap();
    assert_eq!(end, world.log_end());
    assert_eq!(world.settle_without_flush(), None);
}

/// KRF-02
#[test]
fn what_was_not_flushed_may_be_lost_and_what_was_answered_is_not() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a+b 1/1");
    world.send(Command::DeleteTopics(vec![TopicRef::Name("a".to_owned())]));
    world.settle_without_flush();
    world.restart(false);
    check_on(&mut world, "show b", "b-0 [1] leader 1 isr [1] epochs 0/0");
    assert!(world.image().topics.by_name("a").is_some());
}

/// KRF-08
#[test]
fn a_node_that_resigned_refuses_and_tells_those_who_wait() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a 1/1");
    let waiting = world.send(Command::DeleteTopics(vec![TopicRef::Name("a".to_owned())]));
    world.settle_without_flush();
    world.node.resign();
    let late = world.send(Command::DeleteTopics(vec![TopicRef::Name("a".to_owned())]));
    world.settle_without_flush();
    assert!(world.is_refused(waiting) && world.is_refused(late));
    assert!(world.node.describe_quorum(world.now).is_err());
    assert_eq!(world.node.deadline(), None);
}

/// KRF-07
#[test]
fn an_idle_log_gets_a_record_twice_a_second() {
    let idle = Some(std::time::Duration::from_millis(500));
    let mut world = World::new(Plan { idle, ..Plan::default() });
    let end = world.log_end().value();
    world.pass(499);
    assert_eq!(world.log_end().value(), end);
    world.pass(1);
    assert_eq!(world.log_end().value(), end + 1);
    world.pass(5_000);
    assert_eq!(world.log_end().value(), end + 11);
    assert_eq!(world.image().provenance.unwrap().offset.value(), end + 10);
}

/// KRF-05, KRF-07: the records of an empty log, as Kafka 4.3.1 writes them.
#[test]
fn an_empty_log_begins_with_the_bootstrap_records_in_one_transaction() {
    let world = World::new(Plan::default());
    let kinds: Vec<_> = world.records().iter().map(MetadataRecord::kind).collect();
    let mut expected = vec!["BeginTransactionRecord"];
    expected.extend(["FeatureLevelRecord"; 6]);
    expected.extend(["ConfigRecord", "EndTransactionRecord"]);
    assert_eq!(kinds, expected);
    let (base, _) = world.disk.log[1];
    assert_eq!(base.value(), 1);
}

/// KIP-868: a start that was cut off is begun anew.
#[test]
fn an_unfinished_transaction_is_aborted() {
    use ottla_metadata::features::MetadataVersion;
    use ottla_metadata::records::{BatchPosition, record_batch};
    let mut world = World::new(Plan::default());
    let records = world.records();
    // The log ends after the begin of the transaction and one of its records.
    world.disk.log.truncate(1);
    let position = BatchPosition {
        base_offset: Offset::new(1).unwrap(),
        epoch: LeaderEpoch::new(1).unwrap(),
        timestamp: world.now.wall,
    };
    let batch = record_batch(position, &records[..2], MetadataVersion::LATEST).unwrap();
    world.disk.log.push((position.base_offset, batch));
    world.disk.flushed = 2;
    world.restart(true);
    let kinds: Vec<_> = world.records().iter().skip(2).map(MetadataRecord::kind).collect();
    assert_eq!(&kinds[..3], ["AbortTransactionRecord", "BeginTransactionRecord", "FeatureLevelRecord"]);
    assert_eq!(world.image().features.metadata_version(), MetadataVersion::LATEST);
}

/// KRF-04
#[test]
fn the_quorum_is_described_by_its_leader() {
    let mut world = World::new(dynamic());
    run(&mut world, "broker 1");
    let facts = world.node.describe_quorum(world.now).unwrap();
    assert_eq!((facts.leader.value(), facts.epoch.value()), (1, 1));
    assert_eq!(facts.high_watermark, Some(world.log_end()));
    let [own] = facts.voters.as_slice() else { panic!("one voter") };
    assert_eq!(own.key, crate::world::own_voter().key);
    assert_eq!(
        (own.log_end, own.last_fetch, own.last_caught_up),
        (Some(world.log_end()), Some(world.now.wall), Some(world.now.wall))
    );
    assert!(facts.observers.is_empty());
}

/// KRF-02, KRF-04
#[test]
fn an_observer_reads_what_is_committed_and_is_told_where_its_log_parts() {
    let mut world = World::new(Plan::default());
    world.restart(true);
    let end = world.log_end();
    let fetch = |epoch: i32, offset: i64, last_epoch: Option<i32>, cluster: Option<&str>| FollowerFetch {
        cluster: cluster.map(str::to_owned),
        from: Standing {
            key: ReplicaKey { id: broker("5"), directory: None },
            log_end: Offset::new(offset).unwrap(),
        },
        epoch,
        last_epoch: last_epoch.and_then(LeaderEpoch::new),
    };
    let now = world.now;
    let mut ask = |fetch| world.node.on_fetch(&fetch, now);
    let records =
        |from: i64| FetchAnswer::Records { from: Offset::new(from).unwrap(), high_watermark: Some(end) };
    assert_eq!(ask(fetch(2, 0, None, Some("cluster"))), Ok(records(0)));
    assert_eq!(ask(fetch(2, 5, Some(1), None)), Ok(records(5)));
    assert_eq!(ask(fetch(2, end.value(), Some(2), None)), Ok(records(end.value())));
    // Epoch 1 ends where epoch 2 begins; a longer log of epoch 1 has to be cut.
    let parted =
        FetchAnswer::Diverging { epoch: LeaderEpoch::new(1).unwrap(), end: Offset::new(10).unwrap() };
    assert_eq!(ask(fetch(2, 11, Some(1), None)), Ok(parted));
    assert_eq!(ask(fetch(1, 0, None, None)), Err(FetchRefused::FencedEpoch(LeaderEpoch::new(2).unwrap())));
    assert_eq!(ask(fetch(3, 0, None, None)), Err(FetchRefused::UnknownEpoch(LeaderEpoch::new(2).unwrap())));
    assert!(matches!(ask(fetch(2, 0, None, Some("other"))), Err(FetchRefused::InconsistentCluster { .. })));
    let facts = world.node.describe_quorum(now).unwrap();
    assert_eq!(facts.observers.len(), 1);
    assert_eq!(facts.observers[0].log_end, Some(end));
}

/// KRF-03: a quorum this release cannot run is refused, and nothing is written.
#[test]
fn other_voters_are_refused() {
    use ottla_metadata::quorum::{Voter, Voters};
    let world = World::new(Plan::default());
    let refused = |ids: &[i32]| {
        let voter = |id: &i32| Voter {
            key: ReplicaKey { id: BrokerId::new(*id).unwrap(), directory: None },
            ..crate::world::own_voter()
        };
        let voters = Voters::new(ids.iter().map(voter)).unwrap();
        let mut node = crate::world::node_with_voters(&world.plan, &Default::default(), voters, world.now);
        let error = node.start(world.now).unwrap_err();
        assert_eq!(node.poll_action(), None);
        std::error::Error::source(&error).unwrap().to_string()
    };
    assert_eq!(refused(&[1, 2, 3]), "the quorum has 3 voters; this release runs quorums of one");
    assert_eq!(refused(&[2]), "node 1 with its directory is not the voter of the quorum, which is node 2");
}

/// KRF-01: the log of a Kafka 4.3.1 node is read and gone on with.
#[test]
fn a_log_of_kafka_is_continued() {
    let bytes = include_bytes!("../data/kafka-log/00000000000000000000.log");
    let mut world = World::new(Plan::default());
    world.disk.log.clear();
    world.disk.snapshots.clear();
    let mut at = 0;
    for batch in read_batches(bytes).unwrap() {
        world.disk.log.push((batch.position.base_offset, bytes[at..at + batch.size].to_vec()));
        at += batch.size;
    }
    world.disk.flushed = world.disk.log.len();
    let state = br#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
    world.disk.quorum_state = Some(state.to_vec());
    // Kafka gave its directory another id than the tests do: the voter is somebody else.
    let mut node = crate::world::node_on(&world.plan, &world.disk, world.now);
    let error = node.start(world.now).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("is not the voter"));
    let voter = node.quorum().voters().iter().next().unwrap().clone();
    let mut node = crate::world::node_as(&world.plan, &world.disk, voter, world.now);
    node.start(world.now).unwrap();
    node.on_persisted(world.now).unwrap();
    assert_eq!(node.quorum().epoch().value(), 3);
}
