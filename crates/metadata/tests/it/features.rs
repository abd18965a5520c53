//! Finalized feature levels change.

use ottla_metadata::bootstrap::FormatRequest;
use ottla_metadata::features::{Feature, MetadataVersion};

use crate::script::{check, check_on, run};
use crate::world::{Plan, World};

/// A cluster of the release with this level of `metadata.version`.
fn cluster_of(level: i16) -> World {
    let format = FormatRequest { release: MetadataVersion::from_level(level), ..FormatRequest::default() };
    World::new(Plan { format, ..Plan::default() })
}

/// KRF-05
#[test]
fn a_new_cluster_has_the_levels_of_its_release() {
    let levels = |world: &World| {
        let image = world.image();
        let others = Feature::ALL.map(|feature| image.features.level(feature));
        (image.features.metadata_version().level(), others)
    };
    assert_eq!(levels(&World::new(Plan::default())), (30, [0, 2, 1, 1, 1, 1]));
    assert_eq!(levels(&cluster_of(25)), (25, [0, 2, 1, 0, 0, 0]));
    assert_eq!(levels(&cluster_of(7)), (7, [0, 0, 0, 0, 0, 0]));
}

/// KRF-06: the answers of Kafka 4.3.1's `kafka-features`.
#[test]
fn levels_that_nobody_supports_are_refused_in_kafka_s_words() {
    check(
        "broker 1
         feature group.version 9
         feature nosuch 1
         feature nosuch 0 safe
         feature group.version -1
         feature metadata.version 31
         feature metadata.version 0 safe
         feature group.version 0 unknown
         feature metadata.version 25
         feature metadata.version 25 safe
         feature metadata.version 25 unsafe
         feature group.version 1 safe",
        "1 alive
         Invalid update version 9 for feature group.version. Local controller 1 only supports versions 0-1
         Invalid update version 1 for feature nosuch. Local controller 1 does not support this feature.
         Invalid update version 0 for feature nosuch. Feature nosuch not found.
         Invalid update version -1 for feature group.version. A feature version cannot be less than 0.
         Invalid update version 31 for feature metadata.version. Local controller 1 only supports versions 7-30
         Invalid update version 0 for feature metadata.version. Local controller 1 only supports versions 7-30
         Invalid update version 0 for feature group.version. The controller does not support the given upgrade type.
         Invalid update version 25 for feature metadata.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.
         Unsupported metadata.version downgrade from 30 to 25. Refusing to perform the requested downgrade because it might delete metadata information.
         Unsupported metadata.version downgrade from 30 to 25. Unsafe metadata downgrade is not supported in this version.
         ok",
    );
}

/// KRF-06
#[test]
fn a_feature_goes_down_and_up_again() {
    let mut world = World::new(Plan::default());
    let level = |world: &World| world.image().features.level(Feature::Streams);
    check_on(
        &mut world,
        "feature streams.version 0",
        "Invalid update version 0 for feature streams.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    );
    check_on(&mut world, "feature? streams.version 0 safe", "ok");
    assert_eq!(level(&world), 1);
    check_on(&mut world, "feature streams.version 0 safe", "ok");
    assert_eq!(level(&world), 0);
    check_on(
        &mut world,
        "feature streams.version 1 safe",
        "Invalid update version 1 for feature streams.version. Can't downgrade to a newer version.",
    );
    check_on(&mut world, "feature streams.version 1", "ok");
    assert_eq!(level(&world), 1);
}

/// KRF-06
#[test]
fn features_change_all_or_none() {
    let mut world = World::new(Plan::default());
    let said = run(&mut world, "feature share.version 0 safe group.version 9 up");
    assert_eq!(
        said,
        "Invalid update version 9 for feature group.version. Local controller 1 only supports versions 0-1"
    );
    assert_eq!(world.image().features.level(Feature::Share), 1);
}

/// KRF-06
#[test]
fn a_level_must_be_supported_by_every_broker() {
    let mut world = cluster_of(21);
    run(&mut world, "broker 1\nregister 2 without=group.version");
    check_on(
        &mut world,
        "feature metadata.version 30
         feature group.version 1",
        "ok
         Invalid update version 1 for feature group.version. Broker 2 does not support this feature.",
    );
}

/// KRF-05, KRF-06
#[test]
fn a_feature_may_need_a_level_of_another_one() {
    let mut world = cluster_of(21);
    check_on(
        &mut world,
        "feature eligible.leader.replicas.version 1
         feature metadata.version 23 up eligible.leader.replicas.version 1 up",
        "Invalid update version 1 for feature eligible.leader.replicas.version. eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23
         ok",
    );
    assert!(world.image().features.has_eligible_leaders());
}

/// ELE-02
#[test]
fn eligible_leaders_fix_the_least_in_sync_of_the_cluster() {
    let mut world = cluster_of(25);
    run(&mut world, "broker 1\nalter broker 1 set min.insync.replicas=2");
    check_on(
        &mut world,
        "configs broker -
         feature eligible.leader.replicas.version 1
         configs broker -
         configs broker 1",
        "ok
         min.insync.replicas=1",
    );
}

/// KRF-06
#[test]
fn a_downgrade_that_loses_nothing_is_allowed() {
    let mut world = cluster_of(29);
    check_on(
        &mut world,
        "broker 1
         feature metadata.version 23 safe
         feature metadata.version 22 safe
         feature metadata.version 30",
        "1 alive
         ok
         Unsupported metadata.version downgrade from 23 to 22. Refusing to perform the requested downgrade because it might delete metadata information.
         ok",
    );
    assert_eq!(world.image().features.metadata_version().level(), 30);
}

/// KRF-03, KRF-06
#[test]
fn voters_move_into_the_log_when_kraft_version_is_raised() {
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1");
    assert_eq!(world.node.quorum().kraft_version(), 0);
    check_on(
        &mut world,
        "feature? kraft.version 1
         feature kraft.version 2
         feature kraft.version 1
         feature kraft.version 1
         feature kraft.version 0 safe",
        "ok
         Invalid update version 2 for feature kraft.version. Local controller 1 only supports versions 0-1
         ok
         ok
         Invalid update version 0 for feature kraft.version. Can't downgrade the version of this feature.",
    );
    assert_eq!(world.node.quorum().kraft_version(), 1);
    world.restart(true);
    assert_eq!(world.node.quorum().kraft_version(), 1);
    assert!(
        String::from_utf8(world.disk.quorum_state.clone().unwrap()).unwrap().contains("\"data_version\":1")
    );
}

/// The records of older levels lack what those cannot hold.
#[test]
fn an_old_cluster_gets_records_that_its_readers_know() {
    let mut world = cluster_of(7);
    check_on(
        &mut world,
        "broker 1
         create a 2/1
         show a
         beat 1 shutdown
         show a",
        "1 alive
         a 2x1
         a-0 [1] leader 1 isr [1] epochs 0/0
         a-1 [1] leader 1 isr [1] epochs 0/0
         1 alive going
         a-0 [1] leader none isr [1] epochs 1/1
         a-1 [1] leader none isr [1] epochs 1/1",
    );
    assert!(world.image().cluster.broker(crate::script::broker("1")).unwrap().directories.is_empty());
}
