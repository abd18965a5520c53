//! Dynamic configuration changes.

use crate::script::{check, check_on, run};
use crate::world::{Plan, World};

/// CFG-05
#[test]
fn values_are_set_and_deleted_one_by_one() {
    check(
        "broker 1
         create a 1/1
         alter topic a set retention.ms=1000 set cleanup.policy=compact,delete
         configs topic a
         alter topic a set retention.ms=5 del cleanup.policy
         configs topic a
         alter topic a del retention.ms
         alter topic a del retention.ms
         alter topic a del no.such
         configs topic a",
        "1 alive
         a 1x1
         ok
         cleanup.policy=compact,delete retention.ms=1000
         ok
         retention.ms=5
         ok
         ok
         ok",
    );
}

/// CFG-05
#[test]
fn lists_are_appended_to_and_subtracted_from_starting_with_the_default() {
    check(
        "broker 1
         create a 1/1
         alter topic a append cleanup.policy=compact
         configs topic a
         alter topic a append cleanup.policy=compact,delete
         configs topic a
         alter topic a subtract cleanup.policy=delete
         configs topic a
         alter topic a append retention.ms=5
         alter topic a subtract retention.ms=5
         alter topic a append no.such=5",
        "1 alive
         a 1x1
         ok
         cleanup.policy=delete,compact
         ok
         cleanup.policy=delete,compact
         ok
         cleanup.policy=compact
         Can't APPEND to key retention.ms because its type is not LIST.
         Can't SUBTRACT to key retention.ms because its type is not LIST.
         Can't APPEND to key no.such because its type is not LIST.",
    );
}

/// CFG-05
#[test]
fn a_resource_changes_as_a_whole_or_not_at_all() {
    check(
        "broker 1
         create a 1/1
         alter topic a set retention.ms=5 set segment.ms=abc
         alter topic a set retention.ms=5 set retention.ms=6
         alter topic a set retention.ms=5 set segment.ms
         alter topic a+a set retention.ms=5
         alter topic a 7 retention.ms=5
         configs topic a",
        "1 alive
         a 1x1
         Invalid value abc for configuration segment.ms: Not a number of type LONG
         Error due to duplicate config keys
         Null value not supported for : segment.ms
         Each resource must appear at most once.
         Each resource must appear at most once.
         Unknown operations type 7",
    );
}

/// CFG-05
#[test]
fn validation_alone_changes_nothing() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a 1/1");
    let end = world.log_end();
    check_on(
        &mut world,
        "alter? topic a set retention.ms=5
         alter? topic a set retention.ms=abc
         configs topic a",
        "ok
         Invalid value abc for configuration retention.ms: Not a number of type LONG",
    );
    assert_eq!(world.log_end(), end);
}

/// CFG-06
#[test]
fn the_older_request_replaces_all_values() {
    check(
        "broker 1
         create a 1/1 retention.ms=1 segment.ms=2
         replace topic a flush.ms=3 retention.ms=4
         configs topic a
         replace topic a retention.ms
         replace topic a retention.ms=1 retention.ms=2
         replace topic a segment.ms=x
         configs topic a
         replace topic a
         configs topic a",
        "1 alive
         a 1x1
         ok
         flush.ms=3 retention.ms=4
         Null value not supported for : retention.ms
         Error due to duplicate config keys
         Invalid value x for configuration segment.ms: Not a number of type LONG
         flush.ms=3 retention.ms=4
         ok",
    );
}

/// CFG-07
#[test]
fn a_resource_must_exist_and_be_of_a_known_kind() {
    check(
        "broker 1
         alter topic nosuch set retention.ms=1
         alter topic - set retention.ms=1
         alter topic a/b set retention.ms=1
         alter group - set consumer.session.timeout.ms=50000
         alter 3 x set a=b
         alter logger 1 set a=b
         alter broker x set background.threads=5
         alter broker 7 set background.threads=5
         alter broker -1 set background.threads=5",
        "1 alive
         The topic 'nosuch' does not exist.
         Default topic resources are not allowed.
         Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
         Default group resources are not allowed.
         Unknown resource type 3
         Unknown resource type 8
         Node id must be an integer, but it is: x
         Unexpected broker id, expected 1, but received 7
         ok",
    );
}

/// CFG-07
#[test]
fn only_dynamic_keys_of_a_broker_can_be_changed() {
    check(
        "broker 1
         alter broker 1 set log.cleaner.threads=2
         alter broker - set message.max.bytes=2000000
         alter broker 1 set num.partitions=3
         alter broker - set log.dirs=/x
         alter broker - set message.max.bytes=-1
         configs broker 1
         configs broker -",
        "1 alive
         ok
         ok
         Cannot update these configs dynamically: [num.partitions]
         Cannot update these configs dynamically: [log.dirs]
         Invalid value -1 for configuration message.max.bytes: Value must be at least 0
         log.cleaner.threads=2
         message.max.bytes=2000000 min.insync.replicas=1",
    );
}

/// CFG-07: brokers load files anew that a value names, so Kafka records the value again.
#[test]
fn values_of_brokers_are_recorded_also_when_they_stay() {
    let mut world = World::new(Plan::default());
    run(
        &mut world,
        "broker 1\ncreate a 1/1\nalter broker - set message.max.bytes=5\nalter topic a set flush.ms=5",
    );
    let end = world.log_end();
    run(&mut world, "alter topic a set flush.ms=5");
    assert_eq!(world.log_end(), end);
    run(&mut world, "alter broker - set message.max.bytes=5");
    assert!(world.log_end() > end);
}

/// CFG-07
#[test]
fn a_group_may_be_configured_before_it_exists() {
    check(
        "broker 1
         alter group g set consumer.session.timeout.ms=50000
         alter group g set no.such=1
         configs group g",
        "1 alive
         ok
         Unknown group config name: no.such
         consumer.session.timeout.ms=50000",
    );
}

/// CFG-07
#[test]
fn a_value_has_a_longest_length() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\ncreate a 1/1");
    let value = "1:1,".repeat(8_192);
    let said = run(
        &mut world,
        &format!("alter topic a set leader.replication.throttled.replicas={}", &value[..32_768]),
    );
    assert_eq!(
        said,
        "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
    );
}

/// ELE-02
#[test]
fn while_eligible_leaders_are_kept_the_least_in_sync_is_a_matter_of_the_cluster() {
    check(
        "broker 1
         configs broker -
         alter broker 1 set min.insync.replicas=1
         alter broker - del min.insync.replicas
         alter broker - set min.insync.replicas=2
         configs broker -",
        "1 alive
         min.insync.replicas=1
         Broker-level min.insync.replicas cannot be altered while ELR is enabled.
         Cluster-level min.insync.replicas cannot be removed while ELR is enabled.
         ok
         min.insync.replicas=2",
    );
}

/// ELE-02
#[test]
fn another_least_in_sync_clears_the_eligible_leaders() {
    check(
        "broker 1
         broker 2
         create a 0=1,2 min.insync.replicas=2
         create b 0=1,2 min.insync.replicas=2
         beat 2 fence
         show a
         alter topic a set min.insync.replicas=1
         show a
         show b
         alter broker - set min.insync.replicas=1
         show b",
        "1 alive
         2 alive
         a 1x2
         b 1x2
         2 fenced
         a-0 [1,2] leader 1 isr [1] elr [2] epochs 0/1
         ok
         a-0 [1,2] leader 1 isr [1] epochs 0/2
         b-0 [1,2] leader 1 isr [1] elr [2] epochs 0/1
         ok
         b-0 [1,2] leader 1 isr [1] epochs 0/2",
    );
}

/// CFG-05
#[test]
fn a_request_may_not_ask_for_too_many_changes() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1");
    let names: Vec<String> = (0..10_001).map(|number| format!("g{number}")).collect();
    let script = format!("alter group {} set consumer.session.timeout.ms=50000", names.join("+"));
    assert_eq!(run(&mut world, &script), "Unable to perform excessively large batch operation.");
    assert!(world.image().configs.iter().all(|(resource, _)| resource.kind() != 32));
}
