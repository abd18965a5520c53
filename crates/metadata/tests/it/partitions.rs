//! Leaders and in-sync sets change.

use ottla_metadata::controller::{AlterPartition, Command, InSyncRefused, InSyncReplica, InSyncRequest};
use ottla_metadata::image::LeaderRecovery;
use ottla_model::TopicId;

use crate::script::{broker, check, check_on, run};
use crate::world::{Plan, World};

/// A request for partition 0 of the topic `a`, as its leader sends it.
fn request(world: &World, in_sync: &[i32]) -> AlterPartition {
    let image = world.image();
    let topic = image.topics.by_name("a").unwrap();
    let partition = topic.partitions().next().unwrap().1;
    let leader = partition.leader.unwrap();
    let epoch = |id: i32| image.cluster.broker(broker(&id.to_string())).map(|broker| broker.epoch.value());
    AlterPartition {
        broker: leader,
        broker_epoch: image.cluster.broker(leader).unwrap().epoch.value(),
        partitions: vec![InSyncRequest {
            topic: topic.id,
            partition: 0,
            leader_epoch: partition.leader_epoch.value(),
            partition_epoch: partition.partition_epoch.value(),
            in_sync: in_sync.iter().map(|id| InSyncReplica { broker: *id, epoch: epoch(*id) }).collect(),
            leader_recovery: LeaderRecovery::Recovered,
        }],
    }
}

fn ask(world: &mut World, request: AlterPartition) -> Result<String, String> {
    match answered!(world.ask(Command::AlterPartition(request)), AlterPartition) {
        Ok(results) => match &results[0] {
            Ok(state) => {
                let ids: Vec<_> = state.in_sync.iter().map(|id| id.to_string()).collect();
                Ok(format!("isr [{}] epochs {}/{}", ids.join(","), state.leader_epoch, state.partition_epoch))
            }
            Err(refused) => Err(format!("{refused:?}")),
        },
        Err(stale) => Err(stale.to_string()),
    }
}

fn three_brokers() -> World {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\nbroker 2\nbroker 3\ncreate a 0=1,2,3 min.insync.replicas=2");
    world
}

/// REP-01, REP-07
#[test]
fn a_leader_shrinks_and_grows_its_in_sync_set() {
    let mut world = three_brokers();
    let shrink = request(&world, &[1, 2]);
    assert_eq!(ask(&mut world, shrink), Ok("isr [1,2] epochs 0/1".to_owned()));
    let shrink = request(&world, &[1]);
    assert_eq!(ask(&mut world, shrink), Ok("isr [1] epochs 0/2".to_owned()));
    check_on(&mut world, "show a", "a-0 [1,2,3] leader 1 isr [1] elr [2] epochs 0/2");
    let grow = request(&world, &[1, 2, 3]);
    assert_eq!(ask(&mut world, grow), Ok("isr [1,2,3] epochs 0/3".to_owned()));
    check_on(&mut world, "show a", "a-0 [1,2,3] leader 1 isr [1,2,3] epochs 0/3");
    let same = request(&world, &[1, 2, 3]);
    assert_eq!(ask(&mut world, same), Ok("isr [1,2,3] epochs 0/3".to_owned()), "nothing to record");
}

/// REP-01, REP-07
#[test]
fn a_request_that_is_out_of_date_or_impossible_is_refused() {
    let mut world = three_brokers();
    let now = request(&world, &[1, 2]);
    let mut refused = |change: &dyn Fn(&mut InSyncRequest)| {
        let mut request = now.clone();
        change(&mut request.partitions[0]);
        ask(&mut world, request).unwrap_err()
    };
    let id = |refusal: InSyncRefused| format!("{refusal:?}");
    let unknown = TopicId::new(ottla_model::Uuid::from_bytes([5; 16])).unwrap();
    assert_eq!(refused(&|request| request.topic = unknown), id(InSyncRefused::UnknownTopic));
    assert_eq!(refused(&|request| request.partition = 7), id(InSyncRefused::UnknownPartition));
    assert_eq!(refused(&|request| request.partition = -1), id(InSyncRefused::UnknownPartition));
    assert_eq!(refused(&|request| request.leader_epoch = 1), id(InSyncRefused::ControllerBehind));
    assert_eq!(refused(&|request| request.partition_epoch = 1), id(InSyncRefused::ControllerBehind));
    assert_eq!(refused(&|request| request.leader_epoch = -1), id(InSyncRefused::FencedLeaderEpoch));
    assert_eq!(refused(&|request| request.partition_epoch = -1), id(InSyncRefused::StalePartitionEpoch));
    assert_eq!(refused(&|request| request.in_sync.remove(0).broker = 0), id(InSyncRefused::Invalid));
    assert_eq!(refused(&|request| request.in_sync[1].broker = 1), id(InSyncRefused::Invalid));
    assert_eq!(refused(&|request| request.in_sync[1].broker = 9), id(InSyncRefused::Invalid));
    let recovering = |request: &mut InSyncRequest| request.leader_recovery = LeaderRecovery::Recovering;
    assert_eq!(refused(&recovering), id(InSyncRefused::Invalid));
    let back = |request: &mut InSyncRequest| {
        request.in_sync.truncate(1);
        request.leader_recovery = LeaderRecovery::Recovering;
    };
    assert_eq!(refused(&back), id(InSyncRefused::Invalid));
    assert_eq!(refused(&|request| request.in_sync[1].epoch = Some(0)), id(InSyncRefused::IneligibleReplica));
    check_on(&mut world, "show a", "a-0 [1,2,3] leader 1 isr [1,2,3] epochs 0/0");
}

/// REP-01
#[test]
fn only_the_leader_asks_and_only_with_its_present_epoch() {
    let mut world = three_brokers();
    let mut other = request(&world, &[1, 2]);
    other.broker = broker("2");
    other.broker_epoch = world.image().cluster.broker(broker("2")).unwrap().epoch.value();
    assert_eq!(ask(&mut world, other), Err("Invalid".to_owned()));
    let mut stale = request(&world, &[1, 2]);
    stale.broker_epoch += 1;
    assert!(ask(&mut world, stale).unwrap_err().starts_with("Expected broker epoch "));
}

/// REP-01
#[test]
fn a_replica_that_is_not_alive_does_not_become_in_sync() {
    let mut world = three_brokers();
    run(&mut world, "beat 3 fence");
    check_on(&mut world, "show a", "a-0 [1,2,3] leader 1 isr [1,2] epochs 0/1");
    let grow = request(&world, &[1, 2, 3]);
    assert_eq!(ask(&mut world, grow), Err("IneligibleReplica".to_owned()));
    run(&mut world, "beat 3\nbeat 2 shutdown");
    let keep = request(&world, &[1, 2]);
    assert_eq!(ask(&mut world, keep), Err("IneligibleReplica".to_owned()));
}

/// ELE-01
#[test]
fn a_leader_recovers_after_an_unclean_election() {
    let mut world = World::new(Plan::default());
    check_on(
        &mut world,
        "broker 1
         broker 2
         create a 0=1,2 unclean.leader.election.enable=true
         beat 2 fence
         beat 1 fence
         show a
         beat 2
         show a",
        "1 alive
         2 alive
         a 1x2
         2 fenced
         1 fenced
         a-0 [1,2] leader none isr [] elr [1] last [1] epochs 1/2
         2 alive
         a-0 [1,2] leader 2 isr [2] recovering epochs 2/3",
    );
    let recovered = request(&world, &[2]);
    assert_eq!(ask(&mut world, recovered), Ok("isr [2] epochs 2/4".to_owned()));
    check_on(&mut world, "show a", "a-0 [1,2] leader 2 isr [2] epochs 2/4");
}

/// ELE-01
#[test]
fn without_unclean_elections_nobody_leads_until_somebody_safe_is_back() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         beat 2 fence
         beat 1 fence
         beat 2
         show a
         beat 1
         show a",
        "1 alive
         2 alive
         a 1x2
         2 fenced
         1 fenced
         2 alive
         a-0 [1,2] leader none isr [] elr [1] last [1] epochs 1/2
         1 alive
         a-0 [1,2] leader 1 isr [1] epochs 2/3",
    );
}

/// ELE-01
#[test]
fn the_next_leader_is_the_first_replica_in_sync() {
    check(
        "broker 1
         broker 2
         broker 3
         create a 0=3,1,2;1=1,3,2
         beat 3 fence
         show a
         beat 3
         show a",
        "1 alive
         2 alive
         3 alive
         a 2x3
         3 fenced
         a-0 [3,1,2] leader 1 isr [1,2] epochs 1/1
         a-1 [1,3,2] leader 1 isr [1,2] epochs 0/1
         3 alive
         a-0 [3,1,2] leader 1 isr [1,2] epochs 1/1
         a-1 [1,3,2] leader 1 isr [1,2] epochs 0/1",
    );
}

/// ELE-02: without eligible leaders the last one in sync stays so, as in Kafka before 4.1.
#[test]
fn where_eligible_leaders_are_not_kept_the_last_in_sync_replica_stays() {
    let mut world = World::new(Plan::default());
    check_on(
        &mut world,
        "feature eligible.leader.replicas.version 0 safe
         broker 1
         broker 2
         create a 0=1,2
         beat 2 fence
         beat 1 fence
         show a
         wait 9000
         register 1
         show a
         beat 1
         show a",
        "ok
         1 alive
         2 alive
         a 1x2
         2 fenced
         1 fenced
         a-0 [1,2] leader none isr [1] epochs 1/2
         1 registered
         a-0 [1,2] leader none isr [1] epochs 1/2
         1 alive
         a-0 [1,2] leader 1 isr [1] epochs 2/3",
    );
}

/// ELE-02: who went down without flushing may lack records and is not eligible any more.
#[test]
fn a_crashed_replica_is_not_eligible() {
    check(
        "broker 1
         broker 2
         create a 0=1,2 min.insync.replicas=2
         wait 5000
         beat 1
         wait 4000
         show a
         register 2
         show a",
        "1 alive
         2 alive
         a 1x2
         1 alive
         a-0 [1,2] leader 1 isr [1] elr [2] epochs 0/1
         2 registered
         a-0 [1,2] leader 1 isr [1] epochs 0/2",
    );
}

/// RSG-01: a reassignment that another node began is completed by the leader's growing in-sync set.
#[test]
fn a_reassignment_is_complete_once_everything_it_adds_is_in_sync() {
    use ottla_metadata::features::MetadataVersion;
    use ottla_metadata::records::{BatchPosition, MetadataRecord, record_batch};
    use ottla_protocol::messages::PartitionChangeRecord;
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\nbroker 2\nbroker 3\ncreate a 0=1,2");
    let topic = world.image().topics.by_name("a").unwrap().id;
    let change = PartitionChangeRecord {
        topic_id: topic.uuid(),
        partition_id: 0,
        replicas: Some(vec![1, 2, 3]),
        directories: Some(
            [1, 2, 3].map(|id: i32| crate::script::directory(broker(&id.to_string()), 1).0).to_vec(),
        ),
        removing_replicas: Some(vec![2]),
        adding_replicas: Some(vec![3]),
        ..PartitionChangeRecord::default()
    };
    let position = BatchPosition {
        base_offset: world.log_end(),
        epoch: world.node.quorum().epoch(),
        timestamp: world.now.wall,
    };
    let batch = record_batch(position, &[MetadataRecord::from(change)], MetadataVersion::LATEST).unwrap();
    world.disk.log.push((position.base_offset, batch));
    world.restart(true);
    check_on(&mut world, "show a", "a-0 [1,2,3] leader 1 isr [1,2] adding [3] removing [2] epochs 0/1");
    let grow = request(&world, &[1, 2, 3]);
    // The leader epoch rises, since a replica is gone that must not be listened to any more.
    assert_eq!(ask(&mut world, grow), Ok("isr [1,3] epochs 1/2".to_owned()));
    check_on(&mut world, "show a", "a-0 [1,3] leader 1 isr [1,3] epochs 1/2");
}
