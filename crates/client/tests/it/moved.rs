//! Administration while leaders and coordinators move, and how many requests it takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use ottla_client::admin::{Admin, CommittedOffset, DescribeGroupError, GroupType, OffsetSpec};
use ottla_client::config::{AdminConfig, IsolationLevel};
use ottla_client::error::ErrorCode;
use ottla_client::producer::ProducerRecord;
use ottla_model::{Offset, TopicPartition};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    DescribeProducersRequest, DescribeProducersResponse,
};

use crate::broker::{against_broker, unique};
use crate::disturbed::{partition, producer, properties, topic};
use crate::gate::{Asked, Fate, Gate};

/// How often each API was asked.
type Counts = Arc<Mutex<HashMap<ApiKey, u32>>>;

/// A gate that counts, and applies a rule beside.
fn counting(broker: &str, mut rule: impl FnMut(&Asked) -> Fate + Send + 'static) -> (Gate, Counts) {
    let counts = Counts::default();
    let counted = Arc::clone(&counts);
    let gate = Gate::new(broker, 1, move |asked| {
        *counted.lock().unwrap().entry(asked.api).or_default() += 1;
        rule(asked)
    });
    (gate, counts)
}

fn admin(gate: &Gate) -> Admin {
    Admin::new(AdminConfig::from_properties(&properties(&gate.address(), &[])).unwrap()).unwrap()
}

fn no_records_deleted_here(asked: &Asked) -> Fate {
    let request: DeleteRecordsRequest = asked.body();
    let error_code = ErrorCode::NotLeaderOrFollower.number();
    let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: (topic.partitions.iter())
            .map(|one| DeleteRecordsPartitionResult {
                partition_index: one.partition_index,
                low_watermark: -1,
                error_code,
            })
            .collect(),
    });
    asked.answer(&DeleteRecordsResponse { topics: topics.collect(), ..Default::default() })
}

fn no_producers_known_here(asked: &Asked) -> Fate {
    let request: DescribeProducersRequest = asked.body();
    let error_code = ErrorCode::NotLeaderOrFollower.number();
    let topics = request.topics.iter().map(|topic| TopicResponse {
        name: topic.name.clone(),
        partitions: (topic.partition_indexes.iter())
            .map(|index| PartitionResponse { partition_index: *index, error_code, ..Default::default() })
            .collect(),
    });
    asked.answer(&DescribeProducersResponse { topics: topics.collect(), ..Default::default() })
}

fn no_groups_coordinated_here(asked: &Asked) -> Fate {
    let request: DescribeGroupsRequest = asked.body();
    let error_code = ErrorCode::NotCoordinator.number();
    let group = |id: &String| DescribedGroup { group_id: id.clone(), error_code, ..Default::default() };
    let groups = request.groups.iter().map(group).collect();
    asked.answer(&DescribeGroupsResponse { groups, ..Default::default() })
}

/// As Kafka's admin client: the first leader says that it is none any more.
#[test]
fn a_leader_that_has_moved_is_looked_for_again() {
    against_broker(async |broker| {
        let (gate, counts) = counting(&broker.bootstrap, |asked| match (asked.api, asked.number) {
            (ApiKey::DeleteRecords, 0) => no_records_deleted_here(asked),
            (ApiKey::DescribeProducers, 0) => no_producers_known_here(asked),
            (ApiKey::ListOffsets, 0) => Fate::LoseAnswer,
            _ => Fate::Pass,
        });
        let topic = topic(&broker, "moved", 2).await;
        let producer = producer(&broker.bootstrap, &[]);
        let zero = partition(&topic, 0);
        for value in [b"a", b"b"] {
            let record = ProducerRecord::to(&topic).partition(zero.partition).value(value);
            producer.deliver(record).await.unwrap();
        }
        let admin = admin(&gate);
        let one = Offset::new(1).unwrap();
        let both = BTreeMap::from([(zero.clone(), Some(one)), (partition(&topic, 1), None)]);
        let deleted = admin.delete_records(&both).await.unwrap();
        assert_eq!(deleted[&zero], Ok(one));
        assert_eq!(deleted[&partition(&topic, 1)], Ok(Offset::ZERO));
        let partitions: Vec<TopicPartition> = both.into_keys().collect();
        let producers = admin.describe_producers(&partitions).await.unwrap();
        assert_eq!(producers[&zero].as_ref().unwrap().len(), 1);
        assert_eq!(producers[&partition(&topic, 1)], Ok(vec![]));
        let wanted = BTreeMap::from([(zero.clone(), OffsetSpec::Earliest)]);
        let listed = admin.list_offsets(&wanted, IsolationLevel::ReadUncommitted).await.unwrap();
        assert_eq!(listed[&zero].as_ref().unwrap().unwrap().offset, one);
        let counts = counts.lock().unwrap();
        for api in [ApiKey::DeleteRecords, ApiKey::DescribeProducers, ApiKey::ListOffsets] {
            assert_eq!(counts[&api], 2, "{api:?}");
        }
    });
}

/// As Kafka's admin client: a request for each coordinator, not for each group; again where a coordinator has moved.
#[test]
fn groups_of_one_coordinator_are_described_and_deleted_by_one_request() {
    against_broker(async |broker| {
        let (gate, counts) = counting(&broker.bootstrap, |asked| match (asked.api, asked.number) {
            (ApiKey::DescribeGroups, 0) => no_groups_coordinated_here(asked),
            _ => Fate::Pass,
        });
        let topic = topic(&broker, "described", 1).await;
        let groups: Vec<String> = (0..5).map(|_| unique("group")).collect();
        for group in &groups {
            let offsets = BTreeMap::from([(partition(&topic, 0), CommittedOffset::at(Offset::ZERO))]);
            broker.admin().alter_group_offsets(group, &offsets).await.unwrap();
        }
        let admin = admin(&gate);
        let missing = unique("missing");
        let asked: Vec<String> = [groups.clone(), vec![missing.clone()]].concat();
        let described = admin.describe_groups(&asked).await;
        assert_eq!(described.iter().map(|(id, _)| id).collect::<Vec<_>>(), asked.iter().collect::<Vec<_>>());
        for (id, outcome) in &described[..5] {
            let group = outcome.as_ref().unwrap();
            assert_eq!(
                (&group.id, group.group_type, group.state.as_str()),
                (id, GroupType::Classic, "Empty")
            );
            assert_eq!(group.coordinator.endpoint.to_string(), gate.address());
        }
        assert!(matches!(described[5].1, Err(DescribeGroupError::NotFound(_))), "{:?}", described[5]);
        let deleted = admin.delete_groups(&groups).await;
        assert_eq!(deleted, groups.iter().map(|id| (id.clone(), Ok(()))).collect::<Vec<_>>());
        let counts = counts.lock().unwrap();
        // A broker without groups of the consumer protocol is not asked for them.
        assert!(counts.get(&ApiKey::ConsumerGroupDescribe).is_none_or(|count| *count == 1));
        assert_eq!(counts[&ApiKey::DescribeGroups], 2);
        assert_eq!(counts[&ApiKey::DeleteGroups], 1);
    });
}

/// A call may be spawned on a runtime of several threads; it is enough that this compiles.
#[test]
fn calls_can_be_sent_to_other_threads() {
    static WANTED: BTreeMap<TopicPartition, OffsetSpec> = BTreeMap::new();
    static BEFORE: BTreeMap<TopicPartition, Option<Offset>> = BTreeMap::new();
    fn check<T: Send>(_: impl FnOnce(&'static Admin) -> T) {}
    check(|admin| admin.describe_groups(&[]));
    check(|admin| admin.delete_groups(&[]));
    check(|admin| admin.list_groups(&[], &[]));
    check(|admin| admin.list_offsets(&WANTED, IsolationLevel::ReadUncommitted));
    check(|admin| admin.delete_records(&BEFORE));
    check(|admin| admin.describe_producers(&[]));
}
