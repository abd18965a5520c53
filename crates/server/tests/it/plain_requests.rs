//! One plain request of every API in every version, of which a node should make nothing but a plain answer.
//!
//! Owns: the bodies. Does not own: which APIs there are, what is expected.

use ottla_model::Uuid;
use ottla_protocol::messages::*;
use ottla_protocol::{ApiKey, Message, Writer};

use crate::batches::{Named, parts, plain, request};

/// What the requests are about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// A topic of one partition.
    pub topic: &'static str,
    pub topic_id: Uuid,
    /// Whether a controller is asked.
    pub of_controller: bool,
}

impl Subject {
    /// The topic's name in versions before `first_by_id`.
    fn name(&self, version: i16, first_by_id: i16) -> String {
        if version < first_by_id { self.topic.to_owned() } else { String::new() }
    }

    /// The topic's id from version `first_by_id` on.
    fn id(&self, version: i16, first_by_id: i16) -> Uuid {
        if version < first_by_id { Uuid::ZERO } else { self.topic_id }
    }
}

type Body = fn(i16, &Subject) -> Vec<u8>;

/// The body of a plain request; `None` where there is none for the API.
pub fn body(api: ApiKey, version: i16, subject: &Subject) -> Option<Vec<u8>> {
    let (_, body) = BODIES.iter().find(|(known, _)| *known == api)?;
    Some(body(version, subject))
}

fn encode<M: Message>(version: i16, request: &M) -> Vec<u8> {
    let mut writer = Writer::new();
    request.encode(&mut writer, version).unwrap();
    writer.into_vec()
}

fn default<M: Message>(version: i16, _: &Subject) -> Vec<u8> {
    encode(version, &M::default())
}

const BODIES: &[(ApiKey, Body)] = &[
    (ApiKey::Produce, produce),
    (ApiKey::Fetch, fetch),
    (ApiKey::ListOffsets, list_offsets),
    (ApiKey::Metadata, metadata),
    (ApiKey::OffsetCommit, offset_commit),
    (ApiKey::OffsetFetch, offset_fetch),
    (ApiKey::FindCoordinator, find_coordinator),
    (ApiKey::JoinGroup, join_group),
    (ApiKey::Heartbeat, |v, _| {
        encode(v, &HeartbeatRequest { group_id: "idle".to_owned(), ..Default::default() })
    }),
    (ApiKey::LeaveGroup, leave_group),
    (ApiKey::SyncGroup, |v, _| {
        let named = |name: &str| (v >= 5).then(|| name.to_owned());
        let (protocol_type, protocol_name) = (named("consumer"), named("range"));
        let group_id = "idle".to_owned();
        encode(v, &SyncGroupRequest { group_id, protocol_type, protocol_name, ..Default::default() })
    }),
    (ApiKey::DescribeGroups, |v, _| {
        encode(v, &DescribeGroupsRequest { groups: vec!["kept".to_owned()], ..Default::default() })
    }),
    (ApiKey::ListGroups, default::<ListGroupsRequest>),
    (ApiKey::SaslHandshake, default::<SaslHandshakeRequest>),
    (ApiKey::ApiVersions, |v, _| {
        let word = |text: &str| if v < 3 { String::new() } else { text.to_owned() };
        let (client_software_name, client_software_version) = (word("test"), word("1.0"));
        encode(v, &ApiVersionsRequest { client_software_name, client_software_version })
    }),
    (ApiKey::CreateTopics, create_topics),
    (ApiKey::DeleteTopics, delete_topics),
    (ApiKey::DeleteRecords, delete_records),
    (ApiKey::InitProducerId, |v, _| {
        encode(
            v,
            &InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: 1000,
                ..Default::default()
            },
        )
    }),
    (ApiKey::OffsetForLeaderEpoch, offset_for_leader_epoch),
    (ApiKey::AddPartitionsToTxn, add_partitions_to_txn),
    (ApiKey::AddOffsetsToTxn, |v, _| {
        let (transactional_id, group_id) = (NOBODY.to_owned(), "kept".to_owned());
        encode(v, &AddOffsetsToTxnRequest { transactional_id, group_id, ..Default::default() })
    }),
    (ApiKey::EndTxn, |v, _| {
        let transactional_id = NOBODY.to_owned();
        encode(v, &EndTxnRequest { transactional_id, committed: true, ..Default::default() })
    }),
    (ApiKey::WriteTxnMarkers, write_txn_markers),
    (ApiKey::TxnOffsetCommit, txn_offset_commit),
    (ApiKey::DescribeConfigs, describe_configs),
    (ApiKey::AlterConfigs, alter_configs),
    (ApiKey::DescribeLogDirs, |v, _| encode(v, &DescribeLogDirsRequest { topics: None })),
    (ApiKey::SaslAuthenticate, default::<SaslAuthenticateRequest>),
    (ApiKey::CreatePartitions, create_partitions),
    (ApiKey::DeleteGroups, |v, _| {
        encode(v, &DeleteGroupsRequest { groups_names: vec!["nobody".to_owned()] })
    }),
    (ApiKey::ElectLeaders, default::<ElectLeadersRequest>),
    (ApiKey::IncrementalAlterConfigs, incremental_alter_configs),
    (ApiKey::AlterPartitionReassignments, default::<AlterPartitionReassignmentsRequest>),
    (ApiKey::ListPartitionReassignments, default::<ListPartitionReassignmentsRequest>),
    (ApiKey::OffsetDelete, offset_delete),
    (ApiKey::DescribeQuorum, describe_quorum),
    (ApiKey::UpdateFeatures, default::<UpdateFeaturesRequest>),
    (ApiKey::DescribeCluster, |v, subject| {
        let endpoint_type = if subject.of_controller && v >= 1 { 2 } else { 1 };
        encode(v, &DescribeClusterRequest { endpoint_type, ..Default::default() })
    }),
    (ApiKey::DescribeProducers, |v, subject| {
        let topic = describe_producers_request::TopicRequest {
            name: subject.topic.to_owned(),
            partition_indexes: vec![0],
        };
        encode(v, &DescribeProducersRequest { topics: vec![topic] })
    }),
    (ApiKey::DescribeTransactions, |v, _| {
        encode(v, &DescribeTransactionsRequest { transactional_ids: vec![NOBODY.to_owned()] })
    }),
    (ApiKey::ListTransactions, default::<ListTransactionsRequest>),
    (ApiKey::ConsumerGroupHeartbeat, consumer_group_heartbeat),
    (ApiKey::ConsumerGroupDescribe, |v, _| {
        let group_ids = vec!["consumers".to_owned()];
        encode(v, &ConsumerGroupDescribeRequest { group_ids, ..Default::default() })
    }),
    (ApiKey::ListConfigResources, default::<ListConfigResourcesRequest>),
    (ApiKey::DescribeTopicPartitions, |v, subject| {
        let topic = describe_topic_partitions_request::TopicRequest { name: subject.topic.to_owned() };
        encode(v, &DescribeTopicPartitionsRequest { topics: vec![topic], ..Default::default() })
    }),
];

/// Somebody who joins a group of its own, and by version 1 also names an expression.
fn consumer_group_heartbeat(version: i16, subject: &Subject) -> Vec<u8> {
    let request = ConsumerGroupHeartbeatRequest {
        group_id: "consumers".to_owned(),
        member_id: "member".to_owned(),
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec![subject.topic.to_owned()]),
        subscribed_topic_regex: (version >= 1).then(|| "x.*".to_owned()),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    encode(version, &request)
}

/// A transactional id that no producer has.
const NOBODY: &str = "nobody";

fn add_partitions_to_txn(version: i16, subject: &Subject) -> Vec<u8> {
    let topics = vec![add_partitions_to_txn_request::AddPartitionsToTxnTopic {
        name: subject.topic.to_owned(),
        partitions: vec![0],
    }];
    if version < 4 {
        return encode(
            version,
            &AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: NOBODY.to_owned(),
                v3_and_below_topics: topics,
                ..Default::default()
            },
        );
    }
    let transaction = add_partitions_to_txn_request::AddPartitionsToTxnTransaction {
        transactional_id: NOBODY.to_owned(),
        topics,
        ..Default::default()
    };
    encode(version, &AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() })
}

fn write_txn_markers(version: i16, subject: &Subject) -> Vec<u8> {
    let topic = write_txn_markers_request::WritableTxnMarkerTopic {
        name: subject.topic.to_owned(),
        partition_indexes: vec![0],
    };
    let marker = write_txn_markers_request::WritableTxnMarker {
        producer_id: 1 << 40,
        topics: vec![topic],
        ..Default::default()
    };
    encode(version, &WriteTxnMarkersRequest { markers: vec![marker] })
}

fn txn_offset_commit(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition {
        committed_metadata: Some(String::new()),
        ..Default::default()
    };
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic {
        name: subject.topic.to_owned(),
        partitions: vec![partition],
    };
    encode(
        version,
        &TxnOffsetCommitRequest {
            transactional_id: NOBODY.to_owned(),
            group_id: "kept".to_owned(),
            topics: vec![topic],
            ..Default::default()
        },
    )
}

fn produce(version: i16, subject: &Subject) -> Vec<u8> {
    let batch = plain(&["a"]);
    let mut parts = parts(&[(subject.topic, 0, &batch)]);
    if version >= 13 {
        parts[0].0 = Named::Id(subject.topic_id);
    }
    encode(version, &request(-1, &parts))
}

fn fetch(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = fetch_request::FetchPartition { partition_max_bytes: 1000, ..Default::default() };
    let topic = fetch_request::FetchTopic {
        topic: subject.name(version, 13),
        topic_id: subject.id(version, 13),
        partitions: vec![partition],
    };
    let replica_id = if version < 15 { -1 } else { FetchRequest::default().replica_id };
    encode(version, &FetchRequest { replica_id, max_bytes: 1000, topics: vec![topic], ..Default::default() })
}

fn list_offsets(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = list_offsets_request::ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = list_offsets_request::ListOffsetsTopic {
        name: subject.topic.to_owned(),
        partitions: vec![partition],
    };
    encode(version, &ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() })
}

fn metadata(version: i16, subject: &Subject) -> Vec<u8> {
    let topic = metadata_request::MetadataRequestTopic {
        topic_id: subject.id(version, 12),
        name: (version < 12).then(|| subject.topic.to_owned()),
    };
    encode(version, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() })
}

fn offset_commit(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = offset_commit_request::OffsetCommitRequestPartition {
        committed_offset: i64::from(version),
        ..Default::default()
    };
    let topic = offset_commit_request::OffsetCommitRequestTopic {
        name: subject.name(version, 10),
        topic_id: subject.id(version, 10),
        partitions: vec![partition],
    };
    encode(
        version,
        &OffsetCommitRequest { group_id: "kept".to_owned(), topics: vec![topic], ..Default::default() },
    )
}

fn offset_fetch(version: i16, subject: &Subject) -> Vec<u8> {
    if version < 8 {
        let topic = offset_fetch_request::OffsetFetchRequestTopic {
            name: subject.topic.to_owned(),
            partition_indexes: vec![0],
        };
        let request = OffsetFetchRequest {
            group_id: "kept".to_owned(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        return encode(version, &request);
    }
    let topic = offset_fetch_request::OffsetFetchRequestTopics {
        name: subject.name(version, 10),
        topic_id: subject.id(version, 10),
        partition_indexes: vec![0],
    };
    let group = offset_fetch_request::OffsetFetchRequestGroup {
        group_id: "kept".to_owned(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    encode(version, &OffsetFetchRequest { groups: vec![group], ..Default::default() })
}

fn find_coordinator(version: i16, _: &Subject) -> Vec<u8> {
    let key = "kept".to_owned();
    let request = if version < 4 {
        FindCoordinatorRequest { key, ..Default::default() }
    } else {
        FindCoordinatorRequest { coordinator_keys: vec![key], ..Default::default() }
    };
    encode(version, &request)
}

fn join_group(version: i16, _: &Subject) -> Vec<u8> {
    let protocol =
        join_group_request::JoinGroupRequestProtocol { name: "range".to_owned(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: format!("joined-{version}"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: if version == 0 { -1 } else { 10_000 },
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    encode(version, &request)
}

fn leave_group(version: i16, _: &Subject) -> Vec<u8> {
    let members = if version < 3 { Vec::new() } else { vec![leave_group_request::MemberIdentity::default()] };
    encode(version, &LeaveGroupRequest { group_id: "idle".to_owned(), members, ..Default::default() })
}

fn create_topics(version: i16, _: &Subject) -> Vec<u8> {
    // From version 4 on the broker's defaults can be asked for.
    let (num_partitions, replication_factor) = if version < 4 { (1, 1) } else { (-1, -1) };
    let topic = create_topics_request::CreatableTopic {
        name: format!("created-{version}"),
        num_partitions,
        replication_factor,
        ..Default::default()
    };
    encode(version, &CreateTopicsRequest { topics: vec![topic], validate_only: true, ..Default::default() })
}

fn delete_topics(version: i16, subject: &Subject) -> Vec<u8> {
    let missing = format!("{}-missing", subject.topic);
    let request = if version < 6 {
        DeleteTopicsRequest { topic_names: vec![missing], ..Default::default() }
    } else {
        let topic = delete_topics_request::DeleteTopicState { name: Some(missing), ..Default::default() };
        DeleteTopicsRequest { topics: vec![topic], ..Default::default() }
    };
    encode(version, &DeleteTopicsRequest { timeout_ms: 1000, ..request })
}

fn delete_records(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = delete_records_request::DeleteRecordsPartition { partition_index: 0, offset: 1 };
    let topic = delete_records_request::DeleteRecordsTopic {
        name: subject.topic.to_owned(),
        partitions: vec![partition],
    };
    encode(version, &DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000 })
}

fn offset_for_leader_epoch(version: i16, subject: &Subject) -> Vec<u8> {
    let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
    let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic {
        topic: subject.topic.to_owned(),
        partitions: vec![partition],
    };
    encode(version, &OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() })
}

fn describe_configs(version: i16, _: &Subject) -> Vec<u8> {
    let resource = describe_configs_request::DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".to_owned(),
        configuration_keys: None,
    };
    encode(version, &DescribeConfigsRequest { resources: vec![resource], ..Default::default() })
}

fn alter_configs(version: i16, subject: &Subject) -> Vec<u8> {
    let config = alter_configs_request::AlterableConfig {
        name: "retention.ms".to_owned(),
        value: Some("1000000".to_owned()),
    };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: subject.topic.to_owned(),
        configs: vec![config],
    };
    encode(version, &AlterConfigsRequest { resources: vec![resource], validate_only: false })
}

fn incremental_alter_configs(version: i16, subject: &Subject) -> Vec<u8> {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: "retention.ms".to_owned(),
        config_operation: 0,
        value: Some("2000000".to_owned()),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: subject.topic.to_owned(),
        configs: vec![config],
    };
    encode(version, &IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false })
}

fn create_partitions(version: i16, subject: &Subject) -> Vec<u8> {
    let topic = create_partitions_request::CreatePartitionsTopic {
        name: subject.topic.to_owned(),
        count: 2,
        assignments: None,
    };
    encode(version, &CreatePartitionsRequest { topics: vec![topic], timeout_ms: 1000, validate_only: true })
}

fn offset_delete(version: i16, subject: &Subject) -> Vec<u8> {
    let topic = offset_delete_request::OffsetDeleteRequestTopic {
        name: subject.topic.to_owned(),
        partitions: vec![offset_delete_request::OffsetDeleteRequestPartition { partition_index: 0 }],
    };
    encode(version, &OffsetDeleteRequest { group_id: "kept".to_owned(), topics: vec![topic] })
}

fn describe_quorum(version: i16, _: &Subject) -> Vec<u8> {
    let topic = describe_quorum_request::TopicData {
        topic_name: "__cluster_metadata".to_owned(),
        partitions: vec![describe_quorum_request::PartitionData { partition_index: 0 }],
    };
    encode(version, &DescribeQuorumRequest { topics: vec![topic] })
}
