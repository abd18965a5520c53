//! The clients while requests and answers are lost, late or wrong, and while leaders move.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_client::Producer;
use ottla_client::config::{ConsumerConfig, ProducerConfig, Properties};
use ottla_client::consumer::{Consumer, PollError};
use ottla_client::error::ErrorCode;
use ottla_client::producer::{DeliveryError, ProducerRecord};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch as FetchLeader, NodeEndpoint as FetchNode, PartitionData,
};
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use ottla_protocol::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{
    FetchRequest, FetchResponse, MetadataResponse, ProduceRequest, ProduceResponse,
};

use crate::broker::{Broker, against_broker, unique};
use crate::gate::{Asked, Fate, Gate, SECOND_BROKER};

/// Longest one poll waits; a test that needs longer has failed.
pub const POLL: Duration = Duration::from_secs(20);
const CLOSE: Duration = Duration::from_secs(20);

/// Waits between attempts are short, so that a disturbed test is a fast one.
const QUICK: [(&str, &str); 4] = [
    ("retry.backoff.ms", "2"),
    ("retry.backoff.max.ms", "5"),
    ("reconnect.backoff.ms", "2"),
    ("reconnect.backoff.max.ms", "5"),
];

pub fn properties(bootstrap: &str, settings: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let all = QUICK.iter().chain(settings);
    properties.extend(all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    properties
}

pub fn producer(bootstrap: &str, settings: &[(&str, &str)]) -> Producer {
    let properties = properties(bootstrap, settings);
    Producer::new(ProducerConfig::from_properties(&properties).unwrap()).unwrap()
}

pub fn consumer(bootstrap: &str, settings: &[(&str, &str)]) -> Consumer {
    let mut all = vec![("auto.offset.reset", "earliest")];
    all.extend(settings);
    let properties = properties(bootstrap, &all);
    Consumer::new(ConsumerConfig::from_properties(&properties).unwrap()).unwrap()
}

pub fn partition(topic: &TopicName, index: i32) -> TopicPartition {
    TopicPartition::new(topic.clone(), PartitionIndex::new(index).unwrap())
}

pub async fn topic(broker: &Broker, what: &str, partitions: i32) -> TopicName {
    TopicName::new(&broker.topic(what, partitions).await).unwrap()
}

/// The values of each partition of a topic, read until `count` records came, and none after them.
pub async fn values(consumer: &mut Consumer, count: usize) -> BTreeMap<i32, Vec<String>> {
    let mut values: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let mut total = 0;
    while total < count {
        let records = consumer.poll(POLL).await.unwrap();
        assert!(!records.is_empty(), "only {total} of {count} records came");
        total += records.len();
        for record in records {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            values.entry(record.partition.value()).or_default().push(value);
        }
    }
    assert_eq!(total, count);
    values
}

/// As [`values`], straight from the broker.
async fn stored(broker: &Broker, topic: &TopicName, partitions: i32) -> BTreeMap<i32, Vec<String>> {
    let mut consumer = consumer(&broker.bootstrap, &[]);
    let all: Vec<TopicPartition> = (0..partitions).map(|index| partition(topic, index)).collect();
    consumer.assign(all.iter().cloned());
    let ends = consumer.handle().end_offsets(&all).await.unwrap();
    let count: i64 = ends.values().map(|end| end.value()).sum();
    values(&mut consumer, usize::try_from(count).unwrap()).await
}

/// IDM-02, IDM-11: with five requests in flight, up to three in a row are stored without an answer, others never arrive.
#[test]
fn an_idempotent_producer_stores_every_record_once_and_in_order_whatever_is_lost() {
    against_broker(async |broker| {
        let gate = Gate::new(&broker.bootstrap, 1, |asked| match (asked.api, asked.number % 9) {
            (ApiKey::Produce, 2 | 3) => Fate::Swallow,
            (ApiKey::Produce, 4) => Fate::LoseAnswer,
            (ApiKey::Produce, 7) => Fate::Lose,
            _ => Fate::Pass,
        });
        let topic = topic(&broker, "lost", 2).await;
        let producer = producer(&gate.address(), &[("batch.size", "200"), ("linger.ms", "0")]);
        let mut deliveries = Vec::new();
        for number in 0..300 {
            for index in [0, 1] {
                let value = number.to_string();
                let record = ProducerRecord::to(&topic)
                    .partition(PartitionIndex::new(index).unwrap())
                    .value(value.as_bytes());
                deliveries.push(producer.send(record).await.unwrap());
            }
        }
        producer.flush().await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        let expected: Vec<String> = (0..300).map(|number: i32| number.to_string()).collect();
        let stored = stored(&broker, &topic, 2).await;
        assert_eq!(stored, BTreeMap::from([(0, expected.clone()), (1, expected)]));
    });
}

/// CVE-2026-35554 is a client that wrote an expired batch to another topic. Here requests arrive after their batches
/// were given up, while other topics use the memory that came back.
#[test]
fn a_batch_that_was_given_up_in_flight_reaches_its_own_topic_or_none() {
    against_broker(async |broker| {
        let gate = Gate::new(&broker.bootstrap, 1, |asked| {
            let holds = asked.api == ApiKey::Produce && asked.number < 2;
            if holds { Fate::Hold } else { Fate::Pass }
        });
        let late = topic(&broker, "late", 1).await;
        let other = topic(&broker, "other", 1).await;
        let settings = [
            ("request.timeout.ms", "100"),
            ("delivery.timeout.ms", "150"),
            ("linger.ms", "0"),
            ("buffer.memory", "2000"),
        ];
        let producer = producer(&gate.address(), &settings);
        let ended = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..10 {
            let heard = Arc::clone(&ended);
            let record = ProducerRecord::to(&late).value(&[b'l'; 100]);
            producer.send_with(record, move |outcome| heard.lock().unwrap().push(outcome)).await.unwrap();
        }
        producer.flush().await;
        for outcome in ended.lock().unwrap().drain(..) {
            let Err(DeliveryError::Expired { partition, .. }) = outcome else { panic!("{outcome:?}") };
            assert_eq!(partition.topic, late);
        }
        // What is held goes on its way while these are sent.
        for number in 0..100 {
            if number == 50 {
                gate.open();
            }
            let record = ProducerRecord::to(&other).value(&[b'o'; 100]);
            // The connection is busy with what is held: some of these may also be too late.
            drop(producer.send(record).await.unwrap());
        }
        gate.open();
        producer.flush().await;
        let last = producer.deliver(ProducerRecord::to(&other).value(b"oo")).await.unwrap();
        producer.close(CLOSE).await;
        for (topic, letter) in [(&late, 'l'), (&other, 'o')] {
            for value in stored(&broker, topic, 1).await.values().flatten() {
                assert!(value.chars().all(|one| one == letter), "{value} in {topic}");
            }
        }
        assert!(last.offset.is_some());
    });
}

/// `delivery.timeout.ms` counts from the sending, whatever the request is doing.
#[test]
fn a_delivery_ends_in_time_also_without_any_answer() {
    against_broker(async |broker| {
        let gate = Gate::new(&broker.bootstrap, 1, |asked| {
            if asked.api == ApiKey::Produce { Fate::Hold } else { Fate::Pass }
        });
        let topic = topic(&broker, "held", 1).await;
        let settings = [("request.timeout.ms", "300"), ("delivery.timeout.ms", "320"), ("linger.ms", "0")];
        let producer = producer(&gate.address(), &settings);
        let error = producer.deliver(ProducerRecord::to(&topic).value(b"v")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Expiring 1 record(s) for {topic}-0:320 ms has passed since batch creation")
        );
    });
}

/// The refusal of a leader that has moved to the second broker.
fn produce_elsewhere(asked: &Asked, gate: (String, i32)) -> Fate {
    let request: ProduceRequest = asked.body();
    let moved = |index| PartitionProduceResponse {
        index,
        error_code: ErrorCode::NotLeaderOrFollower.number(),
        current_leader: LeaderIdAndEpoch { leader_id: SECOND_BROKER, leader_epoch: 0 },
        ..Default::default()
    };
    let topic = |topic: &ottla_protocol::messages::produce_request::TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(|one| moved(one.index)).collect(),
    };
    asked.answer(&ProduceResponse {
        responses: request.topic_data.iter().map(topic).collect(),
        node_endpoints: vec![NodeEndpoint { node_id: SECOND_BROKER, host: gate.0, port: gate.1, rack: None }],
        ..Default::default()
    })
}

pub fn fetch_elsewhere(asked: &Asked, gate: (String, i32)) -> Fate {
    let request: FetchRequest = asked.body();
    let moved = |partition_index| PartitionData {
        partition_index,
        error_code: ErrorCode::NotLeaderOrFollower.number(),
        current_leader: FetchLeader { leader_id: SECOND_BROKER, leader_epoch: 0 },
        ..Default::default()
    };
    let topic = |topic: &ottla_protocol::messages::fetch_request::FetchTopic| FetchableTopicResponse {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|one| moved(one.partition)).collect(),
    };
    asked.answer(&FetchResponse {
        responses: request.topics.iter().map(topic).collect(),
        node_endpoints: vec![FetchNode { node_id: SECOND_BROKER, host: gate.0, port: gate.1, rack: None }],
        ..Default::default()
    })
}

/// KIP-951: Metadata answers after the refusal are held, so only the refusal itself can tell who leads.
#[test]
fn producers_and_consumers_follow_the_leader_that_a_refusal_names_without_asking() {
    against_broker(async |broker| {
        let second = Arc::new(Mutex::new(0));
        let known = Arc::clone(&second);
        let refused = Arc::new(Mutex::new(0));
        let count = Arc::clone(&refused);
        let gate = Gate::new(&broker.bootstrap, 2, move |asked| {
            let at = ("127.0.0.1".to_owned(), i32::from(*known.lock().unwrap()));
            let mut refused = count.lock().unwrap();
            match (asked.api, asked.door) {
                (ApiKey::Produce, 0) => {
                    *refused += 1;
                    produce_elsewhere(asked, at)
                }
                (ApiKey::Fetch, 0) => {
                    *refused += 1;
                    fetch_elsewhere(asked, at)
                }
                (ApiKey::Metadata, _) if *refused > 0 => Fate::Hold,
                _ => Fate::Pass,
            }
        });
        *second.lock().unwrap() = gate.port(1);
        let topic = topic(&broker, "moved", 1).await;
        let producer = producer(&gate.address(), &[]);
        producer.deliver(ProducerRecord::to(&topic).value(b"v")).await.unwrap();
        assert_eq!(std::mem::take(&mut *refused.lock().unwrap()), 1);
        let mut consumer = consumer(&gate.address(), &[]);
        consumer.assign([partition(&topic, 0)]);
        assert_eq!(values(&mut consumer, 1).await[&0], ["v"]);
        // An answer that was on its way when the first refusal came names the old leader in the same epoch once more; no
        // later one gets through.
        let refused = *refused.lock().unwrap();
        assert!((1..=2).contains(&refused), "{refused} refusals");
    });
}

#[test]
fn a_member_reads_every_record_once_and_commits_while_its_connections_break() {
    against_broker(async |broker| {
        let gate = Gate::new(&broker.bootstrap, 1, |asked| match (asked.api, asked.number % 4) {
            (ApiKey::Fetch, 1) | (ApiKey::OffsetCommit, 0) => Fate::LoseAnswer,
            (ApiKey::Fetch, 3) | (ApiKey::OffsetFetch | ApiKey::OffsetCommit, 1) => Fate::Lose,
            (ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::FindCoordinator, 0) => Fate::Lose,
            _ => Fate::Pass,
        });
        let topic = topic(&broker, "shaky", 2).await;
        let direct = producer(&broker.bootstrap, &[("batch.size", "0")]);
        for number in 0..200 {
            let value = number.to_string();
            let index = PartitionIndex::new(number % 2).unwrap();
            let record = ProducerRecord::to(&topic).partition(index).value(value.as_bytes());
            drop(direct.send(record).await.unwrap());
        }
        direct.flush().await;
        let group = unique("shaky");
        let settings = [("group.id", group.as_str()), ("max.partition.fetch.bytes", "1000")];
        let mut consumer = consumer(&gate.address(), &settings);
        consumer.subscribe([topic.clone()]).unwrap();
        let values = values(&mut consumer, 200).await;
        for index in [0, 1] {
            let expected: Vec<String> = (0..100).map(|number| (2 * number + index).to_string()).collect();
            assert_eq!(values[&index], expected);
        }
        consumer.handle().commit().await.unwrap();
        let listed = broker.admin().list_group_offsets(&group, None, false).await.unwrap();
        assert_eq!(listed[&partition(&topic, 1)].as_ref().unwrap().offset, Offset::new(100).unwrap());
        consumer.close(CLOSE).await;
    });
}

/// The words are Java's. Once the permission is there, reading goes on by itself.
#[test]
fn a_topic_that_may_not_be_read_is_reported_until_it_may() {
    against_broker(async |broker| {
        let topic = topic(&broker, "secret", 1).await;
        let direct = producer(&broker.bootstrap, &[]);
        direct.deliver(ProducerRecord::to(&topic).value(b"v")).await.unwrap();
        let refused = MetadataResponseTopic {
            error_code: ErrorCode::TopicAuthorizationFailed.number(),
            name: Some(topic.to_string()),
            ..Default::default()
        };
        let gate = Gate::new(&broker.bootstrap, 1, move |asked| {
            if asked.api != ApiKey::Metadata || asked.number > 2 {
                return Fate::Pass;
            }
            asked.answer(&MetadataResponse { topics: vec![refused.clone()], ..Default::default() })
        });
        let mut consumer = consumer(&gate.address(), &[("metadata.max.age.ms", "50")]);
        consumer.assign([partition(&topic, 0)]);
        let error = consumer.poll(POLL).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Not authorized to access topics: [{topic}]"));
        let value = loop {
            match consumer.poll(POLL).await {
                Ok(records) => break records[0].value.clone(),
                // Once for each answer of the cluster.
                Err(error) => assert_eq!(error, PollError::NotAuthorized { topics: vec![topic.clone()] }),
            }
        };
        assert_eq!(value.as_deref(), Some(b"v".as_slice()));
    });
}

#[test]
fn a_record_that_was_damaged_on_its_way_is_reported_unless_nobody_checks() {
    against_broker(async |broker| {
        let gate = Gate::new(&broker.bootstrap, 1, |asked| {
            if asked.api != ApiKey::Fetch {
                return Fate::Pass;
            }
            Fate::Edit(|answer| {
                let needle = b"needle";
                if let Some(at) = answer.windows(needle.len()).position(|bytes| bytes == needle) {
                    answer[at] = b'N';
                }
            })
        });
        let topic = topic(&broker, "damaged", 1).await;
        let direct = producer(&broker.bootstrap, &[]);
        direct.deliver(ProducerRecord::to(&topic).value(b"needle")).await.unwrap();
        let mut careful = consumer(&gate.address(), &[]);
        careful.assign([partition(&topic, 0)]);
        let error = careful.poll(POLL).await.unwrap_err();
        assert!(matches!(error, PollError::Read(_)), "{error:?}");
        assert!(
            error.to_string().contains(&format!("partition {topic}-0 at offset 0 is invalid")),
            "{error}"
        );
        // The way on is to step over it.
        careful.handle().seek(&partition(&topic, 0), Offset::new(1).unwrap()).unwrap();
        assert_eq!(careful.poll(Duration::from_millis(1)).await, Ok(vec![]));
        let mut careless = consumer(&gate.address(), &[("check.crcs", "false")]);
        careless.assign([partition(&topic, 0)]);
        assert_eq!(values(&mut careless, 1).await[&0], ["Needle"]);
    });
}
