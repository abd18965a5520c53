//! Whatever happens, the state is what the log says.

use ottla_metadata::image::{ImageChanges, MetadataImage, Provenance, Replay};
use ottla_metadata::records::{BatchContent, read_batches};
use ottla_metadata::snapshot::{Snapshot, VotersInLog, image_snapshot};
use proptest::prelude::*;

use crate::script::run;
use crate::world::{Plan, World};

/// What a reader of the whole log would know.
fn replayed(world: &World) -> MetadataImage {
    let mut replay = Replay::default();
    for (_, batch) in &world.disk.log {
        for batch in read_batches(batch).unwrap() {
            if let BatchContent::Records(records) = &batch.content {
                for (at, record) in records {
                    replay.apply(&record.record, *at).unwrap();
                }
            }
            let position = batch.position;
            replay.advance(Provenance {
                offset: batch.last_offset,
                epoch: position.epoch,
                timestamp: position.timestamp,
            });
        }
    }
    assert_eq!(replay.transaction_start(), None);
    replay.latest().clone()
}

fn line() -> impl Strategy<Value = String> {
    let id = 1..4_i32;
    let name = prop::sample::select(vec!["a", "b", "a.b", "a_b"]);
    prop_oneof![
        id.clone().prop_map(|id| format!("broker {id} rack=r{}", id % 2)),
        id.clone().prop_map(|id| format!("broker {id} clean")),
        id.clone().prop_map(|id| format!("beat {id}")),
        id.clone().prop_map(|id| format!("beat {id} shutdown")),
        id.clone().prop_map(|id| format!("beat {id} fence")),
        id.clone().prop_map(|id| format!("beat {id} offline=1")),
        id.clone().prop_map(|id| format!("unregister {id}")),
        id.prop_map(|id| format!("ids {id}")),
        (name.clone(), 1..4, 1..4).prop_map(|(name, partitions, replicas)| {
            format!("create {name} {partitions}/{replicas} min.insync.replicas={replicas}")
        }),
        name.clone().prop_map(|name| format!("delete {name}")),
        (name.clone(), 1..6).prop_map(|(name, count)| format!("grow {name} {count}")),
        (name.clone(), 1..3)
            .prop_map(|(name, least)| format!("alter topic {name} set min.insync.replicas={least}")),
        name.prop_map(|name| format!("replace topic {name} retention.ms=7")),
        Just("alter broker - set min.insync.replicas=2".to_owned()),
        Just("feature streams.version 0 safe".to_owned()),
        Just("feature streams.version 1".to_owned()),
        Just("feature eligible.leader.replicas.version 0 safe".to_owned()),
        Just("feature eligible.leader.replicas.version 1".to_owned()),
        (1..12_000_u64).prop_map(|millis| format!("wait {millis}")),
        Just("restart".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Style rule 12: the live state, the state after a replay, and the state from a snapshot are one.
    #[test]
    fn replay_and_snapshot_give_the_live_state(lines in prop::collection::vec(line(), 1..40)) {
        let mut world = World::new(Plan::default());
        run(&mut world, &lines.join("\n"));
        let live = world.image();
        prop_assert_eq!(&replayed(&world), live.as_ref());
        let quorum = world.node.quorum();
        let voters = VotersInLog { voters: quorum.voters(), kraft_version: quorum.kraft_version() };
        let (id, bytes) = image_snapshot(&live, voters, world.now.wall).unwrap().unwrap();
        let loaded = Snapshot::read(&bytes).unwrap().image(id).unwrap();
        prop_assert_eq!(without_offsets(&loaded), without_offsets(&live));
    }

    /// What receivers are told leads them from one image to the next.
    #[test]
    fn the_changes_of_all_images_add_up(lines in prop::collection::vec(line(), 1..30)) {
        let mut world = World::new(Plan::default());
        run(&mut world, &lines.join("\n"));
        let mut topics = std::collections::BTreeMap::new();
        let mut before = MetadataImage::default();
        for image in &world.published {
            let changes = ImageChanges::between(&before, image);
            for topic in &changes.deleted {
                topics.retain(|(id, _), _| *id != topic.id);
            }
            for change in &changes.partitions {
                let key = (change.topic.id, change.index);
                prop_assert_eq!(topics.insert(key, change.after.clone()), change.before.clone());
            }
            before = MetadataImage::clone(image);
        }
        let expected: std::collections::BTreeMap<_, _> = before
            .topics
            .iter()
            .flat_map(|topic| topic.partitions().map(|(index, partition)| ((topic.id, index), partition.clone())))
            .collect();
        prop_assert_eq!(topics, expected);
        prop_assert!(ImageChanges::between(&before, &before).is_empty());
    }

    /// Invariants of every partition, whatever brokers do.
    #[test]
    fn a_leader_is_in_sync_and_replicas_are_distinct(lines in prop::collection::vec(line(), 1..40)) {
        let mut world = World::new(Plan::default());
        run(&mut world, &lines.join("\n"));
        for image in &world.published {
            for topic in image.topics.iter() {
                for (_, partition) in topic.partitions() {
                    let brokers: Vec<_> = partition.brokers().collect();
                    let distinct: std::collections::BTreeSet<_> = brokers.iter().collect();
                    prop_assert_eq!(distinct.len(), brokers.len());
                    prop_assert!(partition.in_sync.iter().all(|broker| brokers.contains(broker)));
                    prop_assert!(partition.eligible_leaders.iter().all(|broker| !partition.in_sync.contains(broker)));
                    prop_assert!(partition.leader.is_none_or(|leader| partition.in_sync.contains(&leader)));
                }
            }
        }
    }
}

/// A snapshot does not say where in the log a broker registered, only that it was before its end.
fn without_offsets(image: &MetadataImage) -> String {
    let text = format!("{image:#?}");
    let mut lines = text.lines();
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("registered_at:") {
            lines.nth(1);
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}
