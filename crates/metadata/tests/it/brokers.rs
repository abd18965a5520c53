//! Brokers register, live, fall silent and go.

use crate::script::{check, check_on, run};
use crate::world::{Plan, World};

/// REG-01, REG-04
#[test]
fn a_broker_is_seen_once_it_has_read_its_own_registration() {
    check(
        "register 1
         beat 1 behind
         create a 1/1
         beat 1
         create a 1/1",
        "1 registered
         1 fenced
         Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
         1 alive
         a 1x1",
    );
}

/// REG-01
#[test]
fn the_epoch_of_a_broker_is_where_its_registration_begins() {
    let mut world = World::new(Plan::default());
    let offset = world.log_end().value();
    run(&mut world, "register 2");
    let epoch =
        |world: &World| world.image().cluster.broker(crate::script::broker("2")).unwrap().epoch.value();
    assert_eq!(epoch(&world), offset);
    run(&mut world, "beat 2\nregister 2 same");
    assert_eq!(epoch(&world), offset, "the same process keeps its epoch");
    run(&mut world, "wait 9000\nregister 2");
    assert!(epoch(&world) > offset);
}

/// REG-01
#[test]
fn a_registration_that_cannot_be_is_refused_in_kafka_s_words() {
    check(
        "broker 2
         register 2
         register 3 cluster=other
         register 3 dirs=0
         register 3 without=metadata.version
         register 3 without=transaction.version
         register 3 without=kraft.version
         register 3 migrating",
        "2 alive
         Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.
         Expected cluster ID cluster, but got cluster ID other
         No directories specified in request
         Request features do not contain 'metadata.version'
         Unable to register because the broker does not support finalized version 2 of transaction.version. The broker wants a version between 0 and 0, inclusive.
         3 registered
         Controller does not support registering ZK brokers.",
    );
}

/// REG-01
#[test]
fn a_directory_belongs_to_one_broker() {
    use ottla_metadata::controller::{Command, RegisterBroker, RegisterError};
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1");
    let (one, two) = (crate::script::broker("1"), crate::script::broker("2"));
    let mut register = |directories: Vec<ottla_model::DirectoryId>| {
        let request = RegisterBroker {
            broker: two,
            cluster: "cluster".to_owned(),
            incarnation: ottla_model::IncarnationId(ottla_model::Uuid::from_bytes([3; 16])),
            endpoints: Vec::new(),
            features: vec![(
                "metadata.version".to_owned(),
                ottla_metadata::features::VersionRange { min: 7, max: 30 },
            )],
            rack: None,
            cordoned: Vec::new(),
            directories,
            previous_epoch: None,
            tells_clean_shutdown: true,
            migrating: false,
        };
        answered!(world.ask(Command::RegisterBroker(request)), RegisterBroker)
    };
    let taken = crate::script::directory(one, 1);
    assert_eq!(register(vec![taken]), Err(RegisterError::DirectoryOfOther { broker: one, directory: taken }));
    let own = crate::script::directory(two, 1);
    assert_eq!(register(vec![own, own]), Err(RegisterError::DuplicateDirectory));
    assert_eq!(register(vec![ottla_model::DirectoryId::LOST]), Err(RegisterError::ReservedDirectory));
}

/// REG-02
#[test]
fn a_silent_broker_is_fenced_after_its_session() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         wait 8000
         beat 2
         wait 999
         show a
         wait 1
         show a
         wait 7999
         show a
         wait 1
         show a",
        "1 alive
         2 alive
         a 1x2
         2 alive
         a-0 [1,2] leader 1 isr [1,2] epochs 0/0
         a-0 [1,2] leader 2 isr [2] epochs 1/1
         a-0 [1,2] leader 2 isr [2] epochs 1/1
         a-0 [1,2] leader none isr [] elr [2] last [2] epochs 2/2",
    );
}

/// REG-02
#[test]
fn a_stale_epoch_is_refused() {
    use ottla_metadata::controller::{Command, Heartbeat};
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1");
    let id = crate::script::broker("1");
    let epoch = world.image().cluster.broker(id).unwrap().epoch;
    let mut beat = |broker, epoch| {
        let beat = Heartbeat {
            broker,
            epoch: ottla_model::BrokerEpoch::new(epoch).unwrap(),
            metadata_offset: None,
            want_fence: false,
            want_shut_down: false,
            offline: Vec::new(),
            cordoned: None,
        };
        answered!(world.ask(Command::Heartbeat(beat)), Heartbeat).unwrap_err().to_string()
    };
    let expected = format!("Expected broker epoch {epoch}, but got broker epoch 99");
    assert_eq!(beat(id, 99), expected);
    assert_eq!(beat(crate::script::broker("8"), 1), "No broker registration found for broker id 8");
}

/// ELE-01, ELE-02: what Kafka 4.3.1 recorded on one node when it was stopped and started again.
#[test]
fn a_clean_end_keeps_the_only_replica_eligible() {
    check(
        "broker 1
         create a 1/1
         beat 1 shutdown
         show a
         beat 1 shutdown
         register 1 clean
         show a
         beat 1
         show a",
        "1 alive
         a 1x1
         1 alive going
         a-0 [1] leader none isr [] elr [1] last [1] epochs 1/1
         1 fenced may go
         1 registered
         a-0 [1] leader none isr [] elr [1] last [1] epochs 1/1
         1 alive
         a-0 [1] leader 1 isr [1] epochs 2/2",
    );
}

/// ELE-01, ELE-02: what Kafka 4.3.1 recorded on one node when it was killed and started again.
#[test]
fn after_a_crash_the_last_leader_leads_again_and_recovers() {
    check(
        "broker 1
         create a 1/1
         wait 9000
         show a
         register 1
         show a
         beat 1
         show a",
        "1 alive
         a 1x1
         a-0 [1] leader none isr [] elr [1] last [1] epochs 1/1
         1 registered
         a-0 [1] leader none isr [] last [1] epochs 1/2
         1 alive
         a-0 [1] leader 1 isr [1] recovering epochs 2/3",
    );
}

/// REG-01: nobody else can be the node whose log directory this process holds.
#[test]
fn the_own_broker_of_a_restarted_controller_does_not_wait_for_its_old_session() {
    check(
        "broker 1
         broker 2
         restart
         register 1
         register 2
         wait 9000
         register 2",
        "1 alive
         2 alive
         1 registered
         Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.
         2 registered",
    );
}

/// REG-02
#[test]
fn a_new_controller_gives_every_broker_a_whole_session() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         wait 8999
         restart
         wait 8999
         show a
         wait 1
         show a",
        "1 alive
         2 alive
         a 1x2
         a-0 [1,2] leader 1 isr [1,2] epochs 0/0
         a-0 [1,2] leader none isr [] elr [2] last [2] epochs 2/2",
    );
}

/// SHD-01
#[test]
fn a_broker_may_go_once_its_leaders_moved_and_everybody_knows() {
    check(
        "broker 1
         broker 2
         create a 0=1,2;1=2,1
         beat 1 shutdown
         show a
         beat 2 behind
         beat 1 shutdown
         beat 2
         beat 1 shutdown
         show a",
        "1 alive
         2 alive
         a 2x2
         1 alive going
         a-0 [1,2] leader 2 isr [2] epochs 1/1
         a-1 [2,1] leader 2 isr [2] epochs 0/1
         2 alive
         1 alive going
         2 alive
         1 fenced may go
         a-0 [1,2] leader 2 isr [2] epochs 1/1
         a-1 [2,1] leader 2 isr [2] epochs 0/1",
    );
}

/// SHD-01
#[test]
fn a_broker_without_leaders_may_go_at_once() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         beat 2 shutdown
         show a
         register 3
         beat 3 shutdown
         beat 1 fence shutdown",
        "1 alive
         2 alive
         a 1x2
         2 fenced may go
         a-0 [1,2] leader 1 isr [1] epochs 0/1
         3 registered
         3 fenced may go
         1 fenced may go",
    );
}

/// REG-03
#[test]
fn an_unregistered_broker_is_forgotten_and_may_come_back() {
    check(
        "broker 1
         broker 2
         create a 0=2,1
         unregister 2
         show a
         beat 2
         unregister 2
         broker 2",
        "1 alive
         2 alive
         a 1x2
         2 unregistered
         a-0 [2,1] leader 1 isr [1] epochs 1/1
         2 is unknown
         Broker ID 2 is not currently registered
         2 alive",
    );
}

/// RCK-01
#[test]
fn a_broker_whose_directories_take_no_replicas_gets_none() {
    check(
        "broker 1 dirs=2
         broker 2
         beat 2 cordoned=1
         create a 6/1
         create b 1/2
         beat 1 cordoned=1
         create c 2/1",
        "1 alive
         2 alive
         2 alive
         a 6x1
         Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
         1 alive
         c 2x1",
    );
}

/// IDM-10
#[test]
fn producer_ids_are_given_out_in_blocks_and_never_twice() {
    check(
        "broker 1
         broker 2
         ids 1
         ids 2
         restart
         ids 1
         ids 1 stale
         ids 9",
        "1 alive
         2 alive
         ids from 0 on, 1000
         ids from 1000 on, 1000
         ids from 2000 on, 1000
         Expected broker epoch E, but got broker epoch 11
         No broker registration found for broker id 9",
    );
}

/// REG-02: a directory that failed takes its replicas out of service, the others stay.
#[test]
fn a_failed_directory_costs_only_the_partitions_in_it() {
    use ottla_metadata::controller::{Answer, AssignRefused, AssignReplicas, Assignment, Command};
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\nbroker 2 dirs=2\ncreate a 0=2,1;1=2,1");
    let id = crate::script::broker("2");
    let topic = world.image().topics.by_name("a").unwrap().id;
    let epoch = world.image().cluster.broker(id).unwrap().epoch.value();
    let assignment = |number: u8, partition: i32| Assignment {
        directory: crate::script::directory(id, number),
        topic,
        partition,
    };
    let request = AssignReplicas {
        broker: id,
        broker_epoch: epoch,
        assignments: vec![assignment(1, 0), assignment(2, 1), assignment(1, 9)],
    };
    let answer = world.ask(Command::AssignReplicas(request));
    assert_eq!(
        answer,
        Answer::AssignReplicas(Ok(vec![Ok(()), Ok(()), Err(AssignRefused::UnknownPartition)]))
    );
    check_on(
        &mut world,
        "show a
         beat 2 offline=1
         show a",
        "a-0 [2,1] leader 2 isr [2,1] epochs 0/1
         a-1 [2,1] leader 2 isr [2,1] epochs 0/1
         2 alive
         a-0 [2,1] leader 1 isr [1] epochs 1/2
         a-1 [2,1] leader 2 isr [2,1] epochs 0/1",
    );
}

/// ELE-01, LOG-07: a broker that comes back and says in the same breath that a directory failed leads nothing from there.
#[test]
fn a_broker_that_comes_back_without_a_directory_does_not_lead_from_it() {
    let mut world = World::new(Plan::default());
    run(
        &mut world,
        "broker 3 clean
         create a 1/1 min.insync.replicas=1
         feature eligible.leader.replicas.version 0 safe
         wait 9000
         feature eligible.leader.replicas.version 1
         beat 3 offline=1",
    );
    for image in &world.published {
        let partitions = image.topics.iter().flat_map(|topic| topic.partitions());
        for (_, partition) in partitions {
            assert!(
                partition.leader.is_none_or(|leader| partition.in_sync.contains(&leader)),
                "{partition:?}"
            );
        }
    }
}
