//! Topics are created, grown and deleted.

use crate::script::{check, check_on, run};
use crate::world::{Plan, World};

/// TOP-01
#[test]
fn a_topic_gets_the_partitions_and_replicas_it_asks_for() {
    check(
        "broker 1
         create a 3/1
         show a
         create b",
        "1 alive
         a 3x1
         a-0 [1] leader 1 isr [1] epochs 0/0
         a-1 [1] leader 1 isr [1] epochs 0/0
         a-2 [1] leader 1 isr [1] epochs 0/0
         b 1x1",
    );
}

/// TOP-01: the defaults are those of the controller's node.
#[test]
fn missing_counts_come_from_the_settings_of_the_controller() {
    let mut plan = Plan::default();
    plan.settings.insert("num.partitions".to_owned(), "4".to_owned());
    plan.settings.insert("default.replication.factor".to_owned(), "2".to_owned());
    let mut world = World::new(plan);
    check_on(
        &mut world,
        "broker 1\nbroker 2\ncreate a -/-\ncreate b 7/-\ncreate c -/1",
        "1 alive\n2 alive\na 4x2\nb 7x2\nc 4x1",
    );
}

/// TOP-01
#[test]
fn counts_that_cannot_be_are_refused_in_kafka_s_words() {
    check(
        "broker 1
         create a 0/1
         create a -7/1
         create a 1/0
         create a 1/-3
         create a 1/3
         show a",
        "1 alive
         Number of partitions was set to an invalid non-positive value.
         Number of partitions was set to an invalid non-positive value.
         Replication factor must be larger than 0, or -1 to use the default value.
         Replication factor must be larger than 0, or -1 to use the default value.
         Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
         a does not exist",
    );
}

/// TOP-01
#[test]
fn a_topic_needs_a_broker_that_is_alive() {
    check(
        "create a 1/1
         register 1
         create a 1/1",
        "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
         1 registered
         Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.",
    );
}

/// TOP-01
#[test]
fn a_name_is_taken_once() {
    check(
        "broker 1
         create a 1/1
         create a 1/1
         create b+c+b 1/1
         create a+d 1/1",
        "1 alive
         a 1x1
         Topic 'a' already exists.
         c 1x1
         Duplicate topic name.
         Topic 'a' already exists.
         d 1x1",
    );
}

/// MD-10
#[test]
fn names_that_metrics_could_not_tell_apart_collide() {
    check(
        "broker 1
         create my.topic_x 1/1
         create my_topic.x 1/1
         create my.topic_x 1/1
         create my-topic-x 1/1
         delete my.topic_x
         create my_topic.x 1/1",
        "1 alive
         my.topic_x 1x1
         Topic 'my_topic.x' collides with existing topic: my.topic_x
         Topic 'my.topic_x' already exists.
         my-topic-x 1x1
         my.topic_x deleted
         my_topic.x 1x1",
    );
}

/// MD-10
#[test]
fn names_that_are_no_file_names_are_refused() {
    check(
        "broker 1
         create .. 1/1
         create a/b 1/1
         create __cluster_metadata 1/1",
        "1 alive
         Topic name is invalid: '..' is not allowed
         Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
         Creation of internal topic __cluster_metadata is prohibited.",
    );
}

/// TOP-01
#[test]
fn replicas_can_be_put_by_hand() {
    check(
        "broker 1
         broker 2
         register 3
         create a 0=2,1;1=1,2
         create b 0=3,1
         show a
         show b",
        "1 alive
         2 alive
         3 registered
         a 2x2
         b 1x2
         a-0 [2,1] leader 2 isr [2,1] epochs 0/0
         a-1 [1,2] leader 1 isr [1,2] epochs 0/0
         b-0 [3,1] leader 1 isr [1] epochs 0/0",
    );
}

/// TOP-01
#[test]
fn an_assignment_that_cannot_be_is_refused_in_kafka_s_words() {
    check(
        "broker 1
         broker 2
         register 3
         create a -/1+0=1
         create a 3/-+0=1
         create a 0=1;0=2
         create a 0=
         create a 0=7
         create a 0=-1
         create a 0=1,1
         create a 0=1,2;1=1
         create a 0=3
         create a 1=1
         create a 0=1;2=1",
        "1 alive
         2 alive
         3 registered
         A manual partition assignment was specified, but replication factor was not set to -1.
         A manual partition assignment was specified, but numPartitions was not set to -1.
         Found multiple manual partition assignments for partition 0
         The manual partition assignment includes an empty replica list.
         The manual partition assignment includes broker 7, but no such broker is registered.
         The manual partition assignment includes broker -1, but no such broker is registered.
         The manual partition assignment includes the broker 1 more than once.
         The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).
         All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.
         partitions should be a consecutive 0-based integer sequence
         partitions should be a consecutive 0-based integer sequence",
    );
}

/// TOP-01, TOP-03
#[test]
fn a_topic_with_a_bad_config_is_not_created() {
    check(
        "broker 1
         create a 1/1 no.such=1
         create a 1/1 retention.ms=abc
         create a 1/1 cleanup.policy=shred
         create a 1/1 segment.bytes=10
         create a 1/1 retention.ms flush.ms=1 segment.ms
         show a
         create a 1/1 cleanup.policy=compact retention.ms=5
         configs topic a",
        "1 alive
         Unknown topic config name: no.such
         Invalid value abc for configuration retention.ms: Not a number of type LONG
         Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete
         Invalid value 10 for configuration segment.bytes: Value must be at least 1048576
         Null value not supported for topic configs: retention.ms,segment.ms
         a does not exist
         a 1x1
         cleanup.policy=compact retention.ms=5",
    );
}

/// TOP-02
#[test]
fn validation_alone_creates_nothing_and_answers_the_same() {
    let mut world = World::new(Plan::default());
    check_on(&mut world, "broker 1", "1 alive");
    let end = world.log_end();
    check_on(
        &mut world,
        "create? a 3/1 retention.ms=5
         create? a 0/1
         show a",
        "a 3x1
         Number of partitions was set to an invalid non-positive value.
         a does not exist",
    );
    assert_eq!(world.log_end(), end);
}

/// TOP-01
#[test]
fn a_request_may_not_ask_for_too_much() {
    check(
        "broker 1
         create a 10001/1
         create a+b 6000/1
         create? a 10000/1
         create a 9999/1
         grow a 2000000000",
        "1 alive
         Excessively large number of partitions per request.
         Excessively large number of partitions per request.
         Unable to perform excessively large batch operation.
         a 9999x1
         Unable to perform excessively large batch operation.",
    );
}

/// TOP-05, MD-12
#[test]
fn a_deleted_topic_is_gone_with_its_configs_and_comes_back_as_another_one() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a 2/1 retention.ms=5");
    let first = world.image().topics.by_name("a").unwrap().id;
    check_on(
        &mut world,
        "delete a
         show a
         configs topic a
         create a 1/1",
        "a deleted
         a does not exist
         a 1x1",
    );
    let second = world.image().topics.by_name("a").unwrap().id;
    assert_ne!(first, second);
    assert!(world.image().topics.by_id(first).is_none());
    assert!(world.image().configs.of_topic("a").is_none());
}

/// TOP-05
#[test]
fn topics_are_deleted_by_name_or_id_and_each_has_its_own_outcome() {
    check(
        "broker 1
         create a+b+c+d 1/1
         delete a id:b nosuch id:nosuch
         delete c c
         delete id:c id:c
         delete c id:c d
         show c",
        "1 alive
         a 1x1
         b 1x1
         c 1x1
         d 1x1
         a deleted
         b deleted
         This server does not host this topic-partition.
         This server does not host this topic ID.
         Duplicate topic name.
         Duplicate topic id.
         The provided topic name maps to an ID that was already supplied.
         d deleted
         c-0 [1] leader 1 isr [1] epochs 0/0",
    );
}

/// TOP-05
#[test]
fn deletion_can_be_switched_off() {
    let mut plan = Plan::default();
    plan.settings.insert("delete.topic.enable".to_owned(), "false".to_owned());
    check_on(
        &mut World::new(plan),
        "broker 1
         create a 1/1
         delete a",
        "1 alive
         a 1x1
         Topic deletion is disabled.",
    );
}

/// TOP-06
#[test]
fn a_topic_grows_and_never_shrinks() {
    check(
        "broker 1
         create plain 1/1
         grow plain 4
         grow plain 2
         grow plain 4
         grow plain 0
         grow plain -1
         grow nosuch 2
         grow plain+plain 9
         grow? plain 9
         show plain",
        "1 alive
         plain 1x1
         plain grown
         The topic plain currently has 4 partition(s); 2 would not be an increase.
         Topic already has 4 partition(s).
         The topic plain currently has 4 partition(s); 0 would not be an increase.
         The topic plain currently has 4 partition(s); -1 would not be an increase.
         This server does not host this topic-partition.
         Duplicate topic name.
         plain grown
         plain-0 [1] leader 1 isr [1] epochs 0/0
         plain-1 [1] leader 1 isr [1] epochs 0/0
         plain-2 [1] leader 1 isr [1] epochs 0/0
         plain-3 [1] leader 1 isr [1] epochs 0/0",
    );
}

/// TOP-06
#[test]
fn new_partitions_can_be_put_by_hand() {
    check(
        "broker 1
         broker 2
         register 3
         create a 0=1,2
         grow a 3 =2,1
         grow a 3 =2,1;3
         grow a 3 =2,1;3,3
         grow a 2 =3,9
         grow a 3 =2,1;1,2
         show a",
        "1 alive
         2 alive
         3 registered
         a 1x2
         Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.
         The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).
         The manual partition assignment includes the broker 3 more than once.
         The manual partition assignment includes broker 9, but no such broker is registered.
         a grown
         a-0 [1,2] leader 1 isr [1,2] epochs 0/0
         a-1 [2,1] leader 2 isr [2,1] epochs 0/0
         a-2 [1,2] leader 1 isr [1,2] epochs 0/0",
    );
}

/// TOP-06
#[test]
fn a_topic_cannot_grow_beyond_the_brokers_that_are_left() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         beat 2 fence
         unregister 2
         grow a 2",
        "1 alive
         2 alive
         a 1x2
         2 fenced
         2 unregistered
         The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
    );
}

/// TRAP-21: any number of replicas up to that of the brokers is a legal one, even ones too.
#[test]
fn an_even_number_of_replicas_is_as_good_as_any() {
    check(
        "broker 1
         broker 2
         create a 1/2
         create b 1/3
         show a",
        "1 alive
         2 alive
         a 1x2
         Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 2 broker(s) are registered or some brokers have all their log directories cordoned.
         a-0 [1,2] leader 1 isr [1,2] epochs 0/0",
    );
}
