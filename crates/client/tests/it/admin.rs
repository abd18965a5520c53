//! The admin client.

use std::collections::BTreeMap;

use ottla_client::admin::*;
use ottla_client::error::ErrorCode;

use crate::broker::{against_broker, unique};

fn counts(partitions: i32) -> Layout {
    Layout::Counts { partitions: Some(partitions), replication_factor: Some(1) }
}

#[test]
fn a_topic_is_created_listed_described_grown_and_deleted() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let name = unique("topic");
        let configs = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
        let topic = NewTopic { name: name.clone(), layout: counts(3), configs };
        let created = admin.create_topics(std::slice::from_ref(&topic), false).await.unwrap();
        let id = created[0].1.as_ref().unwrap().id.unwrap();
        assert_eq!(created[0].1.as_ref().unwrap().partitions, Some(3));

        let again = admin.create_topics(std::slice::from_ref(&topic), false).await.unwrap();
        let Err(CreateTopicError::AlreadyExists(error)) = &again[0].1 else { panic!("{again:?}") };
        assert_eq!(error.message(), format!("Topic '{name}' already exists."));

        let listed = admin.list_topics().await.unwrap();
        assert!(listed.contains(&TopicListing { name: name.clone(), id: Some(id), is_internal: false }));

        // One partition per answer: the cursor is used.
        let described = admin.describe_topics(std::slice::from_ref(&name), 1).await.unwrap();
        let description = described[0].1.as_ref().unwrap();
        assert_eq!(description.partitions.len(), 3);
        assert!(description.partitions.iter().all(|partition| partition.leader.is_some()));
        let by_id = admin.describe_topics_by_id(&[id]).await.unwrap();
        assert_eq!(by_id[0].1.as_ref().unwrap().name, name);

        let more = NewPartitions { topic: name.clone(), total: 5, assignments: None };
        assert_eq!(admin.create_partitions(&[more], false).await.unwrap()[0].1, Ok(()));
        let fewer = NewPartitions { topic: name.clone(), total: 4, assignments: None };
        let refused = admin.create_partitions(&[fewer], false).await.unwrap();
        assert!(refused[0].1.is_err());

        assert_eq!(admin.delete_topics(std::slice::from_ref(&name)).await.unwrap()[0].1, Ok(()));
        let gone = admin.delete_topics(std::slice::from_ref(&name)).await.unwrap();
        assert!(matches!(gone[0].1, Err(DeleteTopicError::NotFound(_))), "{gone:?}");
    });
}

#[test]
fn a_bad_topic_is_refused_and_not_created() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let bad = NewTopic { name: "bad name".to_owned(), layout: counts(1), ..NewTopic::default() };
        let refused = admin.create_topics(&[bad], false).await.unwrap();
        let Err(CreateTopicError::InvalidName(error)) = &refused[0].1 else { panic!("{refused:?}") };
        assert!(error.message().starts_with("Topic name is invalid"), "{error}");

        let name = unique("checked");
        let topic = NewTopic { name: name.clone(), layout: counts(2), ..NewTopic::default() };
        assert!(admin.create_topics(&[topic], true).await.unwrap()[0].1.is_ok());
        assert!(admin.list_topics().await.unwrap().iter().all(|topic| topic.name != name));
        let described = admin.describe_topics(&[name], PARTITIONS_PER_ANSWER).await.unwrap();
        assert!(matches!(described[0].1, Err(DescribeTopicError::NotFound(_))), "{described:?}");
    });
}

#[test]
fn configurations_are_described_and_altered_key_by_key() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let resource = ConfigResource::new(ResourceKind::Topic, broker.topic("configs", 1).await);
        let set = vec![("retention.ms".to_owned(), ConfigChange::Set("5000".to_owned()))];
        let altered = admin.alter_configs(&[(resource.clone(), set)], false).await.unwrap();
        assert_eq!(altered[0].1, Ok(()));
        let options = DescribeConfigsOptions { synonyms: true, documentation: false };
        let entry = broker
            .config_when(&resource, "retention.ms", |entry| entry.value.as_deref() == Some("5000"))
            .await;
        assert_eq!(entry.source, ConfigSource::DynamicTopic);
        assert!(!entry.synonyms.is_empty());

        let bad = vec![("retention.ms".to_owned(), ConfigChange::Set("abc".to_owned()))];
        let refused = admin.alter_configs(&[(resource.clone(), bad)], false).await.unwrap();
        let error = refused[0].1.as_ref().unwrap_err().refusal().unwrap();
        assert_eq!(
            error.message(),
            "Invalid value abc for configuration retention.ms: Not a number of type LONG"
        );
        let broker = ConfigResource::new(ResourceKind::Broker, "1");
        assert!(admin.describe_configs(&[broker], options).await.unwrap()[0].1.is_ok());
    });
}

#[test]
fn an_unknown_group_or_offset_is_named_as_such() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let group = unique("nogroup");
        assert!(admin.list_groups(&[], &[]).await.unwrap().iter().all(|listing| listing.id != group));
        let described = admin.describe_groups(std::slice::from_ref(&group)).await;
        assert!(matches!(described[0].1, Err(DescribeGroupError::NotFound(_))), "{described:?}");
        let deleted = admin.delete_groups(std::slice::from_ref(&group)).await;
        assert!(matches!(deleted[0].1, Err(DeleteGroupError::NotFound(_))), "{deleted:?}");
        assert_eq!(admin.list_group_offsets(&group, None, false).await.unwrap(), BTreeMap::new());
    });
}

#[test]
fn offsets_of_a_group_without_members_are_altered_listed_and_deleted() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let topic = broker.topic("groupoffsets", 2).await;
        let group = unique("group");
        let partition = |index| {
            let topic = ottla_model::TopicName::new(&topic).unwrap();
            ottla_model::TopicPartition::new(topic, ottla_model::PartitionIndex::new(index).unwrap())
        };
        let at = |offset| CommittedOffset::at(ottla_model::Offset::new(offset).unwrap());
        let offsets = BTreeMap::from([(partition(0), at(0)), (partition(1), at(7))]);
        let altered = admin.alter_group_offsets(&group, &offsets).await.unwrap();
        assert!(altered.values().all(Result::is_ok), "{altered:?}");
        let listed = admin.list_group_offsets(&group, None, true).await.unwrap();
        assert_eq!(listed[&partition(1)], Ok(at(7)));
        let listed = admin.list_group_offsets(&group, Some(&[partition(0)]), true).await.unwrap();
        assert_eq!(listed.keys().collect::<Vec<_>>(), [&partition(0)]);
        let described = admin.describe_groups(std::slice::from_ref(&group)).await;
        assert_eq!(described[0].1.as_ref().unwrap().state, "Empty");
        let deleted = admin.delete_group_offsets(&group, &[partition(0)]).await.unwrap();
        assert_eq!(deleted[&partition(0)], Ok(()));
        assert_eq!(admin.delete_groups(&[group]).await[0].1, Ok(()));
    });
}

#[test]
fn the_offsets_of_an_empty_partition_are_zero() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let topic = ottla_model::TopicName::new(&broker.topic("offsets", 1).await).unwrap();
        let partition = ottla_model::TopicPartition::new(topic, ottla_model::PartitionIndex::default());
        let isolation = ottla_client::config::IsolationLevel::ReadUncommitted;
        for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
            let wanted = BTreeMap::from([(partition.clone(), spec)]);
            let listed = admin.list_offsets(&wanted, isolation).await.unwrap();
            let offset = listed[&partition].as_ref().unwrap().unwrap().offset;
            assert_eq!(offset, ottla_model::Offset::ZERO);
        }
        let wanted = BTreeMap::from([(partition.clone(), OffsetSpec::MaxTimestamp)]);
        assert_eq!(admin.list_offsets(&wanted, isolation).await.unwrap()[&partition], Ok(None));
        let before = BTreeMap::from([(partition.clone(), ottla_model::Offset::new(5))]);
        let deleted = admin.delete_records(&before).await.unwrap();
        assert!(matches!(deleted[&partition], Err(DeleteRecordsError::OutOfRange(_))), "{deleted:?}");
    });
}

#[test]
fn the_cluster_describes_itself() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let cluster = admin.describe_cluster(false).await.unwrap();
        assert!(!cluster.cluster_id.is_empty() && !cluster.nodes.is_empty());
        let node = cluster.nodes[0].id;
        let spoken = admin.describe_node(Some(node)).await.unwrap();
        assert!(spoken.finalized_features.contains_key("metadata.version"));
        let dirs = admin.describe_log_dirs(&[node]).await;
        assert!(!dirs[&node].as_ref().unwrap().is_empty());
        assert_eq!(admin.describe_quorum().await.unwrap().leader, Some(node));
        assert!(admin.list_config_resources(&[ResourceKind::Topic]).await.is_ok());
        let unknown = vec![("no.such".to_owned(), 1, FeatureChange::Upgrade)];
        let refused = admin.update_features(&unknown, true).await;
        let code = match &refused {
            Err(error) => error.refusal().unwrap().code,
            Ok(outcomes) => outcomes[0].1.as_ref().unwrap_err().refusal().unwrap().code,
        };
        assert_eq!(code, ErrorCode::InvalidUpdateVersion);
    });
}

/// KIP-516: an id names one topic, whatever was created under its name later.
#[test]
fn a_topic_is_deleted_by_its_id_once() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let name = broker.topic("byid", 1).await;
        let described = admin.describe_topics(std::slice::from_ref(&name), PARTITIONS_PER_ANSWER).await;
        let id = described.unwrap()[0].1.as_ref().unwrap().id.unwrap();
        assert_eq!(admin.delete_topics_by_id(&[id]).await.unwrap(), [(id, Ok(()))]);
        let again = admin.delete_topics_by_id(&[id]).await.unwrap();
        assert!(matches!(again[0].1, Err(DeleteTopicError::UnknownId(_))), "{again:?}");
    });
}

/// KIP-664
#[test]
fn the_producers_of_a_partition_are_described() {
    against_broker(async |broker| {
        let admin = broker.admin();
        let topic = ottla_model::TopicName::new(&broker.topic("producers", 1).await).unwrap();
        let partition =
            ottla_model::TopicPartition::new(topic.clone(), ottla_model::PartitionIndex::default());
        let config = ottla_client::config::ProducerConfig::new(&broker.bootstrap).unwrap();
        let producer = ottla_client::Producer::new(config).unwrap();
        for _ in 0..3 {
            let record = ottla_client::producer::ProducerRecord::to(&topic).value(b"v");
            producer.deliver(record).await.unwrap();
        }
        let described = admin.describe_producers(std::slice::from_ref(&partition)).await.unwrap();
        let producers = described[&partition].as_ref().unwrap();
        assert_eq!(producers.len(), 1);
        assert_eq!(producers[0].last_sequence.map(ottla_model::Sequence::value), Some(2));
        assert_eq!((producers[0].transaction_start, producers[0].coordinator_epoch), (None, None));
        let absent = ottla_model::TopicPartition::new(topic, ottla_model::PartitionIndex::new(7).unwrap());
        let described = admin.describe_producers(std::slice::from_ref(&absent)).await.unwrap();
        assert!(matches!(described[&absent], Err(DescribeProducersError::NotFound(_))), "{described:?}");
    });
}
