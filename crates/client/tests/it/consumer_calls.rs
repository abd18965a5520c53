//! What a consumer can be asked beside its records, and who hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_client::admin::{CommittedOffset, MemberName, RemoveMemberError};
use ottla_client::config::{ConsumerConfig, Properties};
use ottla_client::consumer::{
    Consumer, ConsumerHandle, ConsumerInterceptor, ConsumerRecord, RebalanceListener, Step, TopicError,
};
use ottla_client::producer::{Producer, ProducerRecord};
use ottla_client::{config::ProducerConfig, error::ErrorCode};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};

use crate::broker::{Broker, QUESTIONS_MAX, against_broker, unique};

/// Longest one poll waits; a test that needs longer has failed.
const POLL: Duration = Duration::from_secs(20);
const CLOSE: Duration = Duration::from_secs(20);

fn config(broker: &Broker, group: &str, settings: &[(&str, &str)]) -> ConsumerConfig {
    let all = [
        ("bootstrap.servers", broker.bootstrap.as_str()),
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("heartbeat.interval.ms", "50"),
    ];
    let pairs = all.iter().chain(settings);
    let properties: Properties = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ConsumerConfig::from_properties(&properties).unwrap()
}

/// A topic with `count` records `0`, `1`, … in its only partition.
async fn filled(broker: &Broker, count: u32) -> (TopicName, TopicPartition) {
    let topic = TopicName::new(&broker.topic("calls", 1).await).unwrap();
    let producer = Producer::new(ProducerConfig::new(&broker.bootstrap).unwrap()).unwrap();
    for number in 0..count {
        drop(producer.send(ProducerRecord::to(&topic).value(number.to_string().as_bytes())).await.unwrap());
    }
    producer.flush().await;
    (topic.clone(), TopicPartition::new(topic, PartitionIndex::default()))
}

/// Polls until `count` records came.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut all = Vec::new();
    while all.len() < count {
        let records = consumer.poll(POLL).await.unwrap();
        assert!(!records.is_empty(), "only {} of {count} records came", all.len());
        all.extend(records);
    }
    assert_eq!(all.len(), count);
    all
}

fn at(offset: i64) -> CommittedOffset {
    CommittedOffset::at(Offset::new(offset).unwrap())
}

/// What the group has committed for a partition, once that is `expected`.
async fn await_committed(broker: &Broker, group: &str, partition: &TopicPartition, expected: i64) {
    let admin = broker.admin();
    for _ in 0..QUESTIONS_MAX {
        let listed = admin.list_group_offsets(group, None, false).await.unwrap();
        if listed.get(partition).is_some_and(|found| found.as_ref().unwrap().offset.value() == expected) {
            return;
        }
    }
    panic!("{group} does not commit {expected}");
}

/// Notes what it hears.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RebalanceListener for Notes {
    fn on_revoked<'a>(&'a mut self, _: &'a ConsumerHandle, _: &'a [TopicPartition]) -> Step<'a> {
        self.note("revoked");
        Box::pin(std::future::ready(()))
    }

    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, _: &'a [TopicPartition]) -> Step<'a> {
        self.note("assigned");
        Box::pin(std::future::ready(()))
    }

    fn on_lost<'a>(&'a mut self, _: &'a ConsumerHandle, _: &'a [TopicPartition]) -> Step<'a> {
        self.note("lost");
        Box::pin(std::future::ready(()))
    }
}

/// Leaves out every other record, and notes commits.
struct EveryOther(Notes);

impl ConsumerInterceptor for EveryOther {
    fn on_consume(&self, records: Vec<ConsumerRecord>) -> Vec<ConsumerRecord> {
        records.into_iter().filter(|record| record.offset.value() % 2 == 0).collect()
    }

    fn on_commit(&self, offsets: &BTreeMap<TopicPartition, CommittedOffset>) {
        let offsets: Vec<i64> = offsets.values().map(|committed| committed.offset.value()).collect();
        self.0.note(format!("committed {offsets:?}"));
    }
}

/// KIP-42
#[test]
fn interceptors_change_what_is_polled_and_hear_of_commits() {
    against_broker(async |broker| {
        let (topic, _) = filled(&broker, 9).await;
        let notes = Notes::default();
        let config = config(&broker, &unique("intercepted"), &[("enable.auto.commit", "false")]);
        let mut consumer = Consumer::builder(config).interceptor(EveryOther(notes.clone())).build().unwrap();
        consumer.subscribe([topic]).unwrap();
        let offsets: Vec<i64> =
            read(&mut consumer, 5).await.iter().map(|record| record.offset.value()).collect();
        assert_eq!(offsets, [0, 2, 4, 6, 8]);
        consumer.handle().commit().await.unwrap();
        assert_eq!(notes.take(), ["committed [9]"]);
    });
}

#[test]
fn commits_that_are_not_waited_for_arrive_in_their_order() {
    against_broker(async |broker| {
        let (topic, partition) = filled(&broker, 5).await;
        let group = unique("async");
        let mut consumer =
            Consumer::new(config(&broker, &group, &[("enable.auto.commit", "false")])).unwrap();
        consumer.subscribe([topic]).unwrap();
        read(&mut consumer, 5).await;
        let handle = consumer.handle().clone();
        let text = CommittedOffset { metadata: "half way".to_owned(), ..at(2) };
        let mut outcomes = Vec::new();
        for offset in [at(4), text.clone()] {
            let offsets = BTreeMap::from([(partition.clone(), offset)]);
            outcomes.push(handle.commit_offsets_async(offsets).await.unwrap());
        }
        for outcome in outcomes {
            outcome.await.unwrap();
        }
        let committed = handle.committed(std::slice::from_ref(&partition)).await.unwrap();
        assert_eq!(committed[&partition], text);
        handle.commit_async().await.unwrap().await.unwrap();
        await_committed(&broker, &group, &partition, 5).await;
    });
}

#[test]
fn positions_are_committed_by_themselves_at_their_interval() {
    against_broker(async |broker| {
        let (topic, partition) = filled(&broker, 5).await;
        let group = unique("automatic");
        let settings = [("auto.commit.interval.ms", "20"), ("max.poll.records", "3")];
        let mut consumer = Consumer::new(config(&broker, &group, &settings)).unwrap();
        consumer.subscribe([topic]).unwrap();
        read(&mut consumer, 5).await;
        let admin = broker.admin();
        for _ in 0..QUESTIONS_MAX {
            consumer.poll(Duration::from_millis(1)).await.unwrap();
            let listed = admin.list_group_offsets(&group, None, false).await.unwrap();
            if listed.get(&partition).is_some_and(|found| found.as_ref().unwrap().offset.value() == 5) {
                return;
            }
        }
        panic!("nothing is committed");
    });
}

#[test]
fn unsubscribing_tells_the_listener_leaves_the_group_and_commits_nothing() {
    against_broker(async |broker| {
        let (topic, _) = filled(&broker, 3).await;
        let group = unique("unsubscribed");
        let notes = Notes::default();
        let mut consumer = Consumer::new(config(&broker, &group, &[])).unwrap();
        consumer.set_rebalance_listener(notes.clone());
        consumer.subscribe([topic.clone()]).unwrap();
        read(&mut consumer, 3).await;
        assert_eq!(consumer.handle().subscription(), BTreeSet::from([topic.clone()]));
        consumer.unsubscribe().await;
        assert_eq!(notes.take(), ["assigned", "revoked"]);
        assert!(consumer.handle().assignment().is_empty() && consumer.handle().subscription().is_empty());
        consumer.close(CLOSE).await;
        assert_eq!(notes.take(), [""; 0]);
        let admin = broker.admin();
        let described = admin.describe_groups(std::slice::from_ref(&group)).await;
        assert_eq!(described[0].1.as_ref().unwrap().state, "Empty");
        assert_eq!(admin.list_group_offsets(&group, None, false).await.unwrap(), BTreeMap::new());
    });
}

/// KIP-568
#[test]
fn a_member_can_make_its_group_rebalance() {
    against_broker(async |broker| {
        let (topic, _) = filled(&broker, 1).await;
        let notes = Notes::default();
        let mut consumer = Consumer::new(config(&broker, &unique("enforced"), &[])).unwrap();
        consumer.set_rebalance_listener(notes.clone());
        consumer.subscribe([topic]).unwrap();
        read(&mut consumer, 1).await;
        consumer.handle().enforce_rebalance();
        let mut heard = notes.take();
        for _ in 0..QUESTIONS_MAX {
            if heard.len() == 3 {
                break;
            }
            assert_eq!(consumer.poll(Duration::from_millis(5)).await.unwrap(), []);
            heard.extend(notes.take());
        }
        assert_eq!(heard, ["assigned", "revoked", "assigned"]);
        consumer.close(CLOSE).await;
    });
}

/// The group goes on without the member; what it had is lost, and it comes back by itself.
#[test]
fn a_member_that_is_removed_has_lost_its_partitions_and_joins_again() {
    against_broker(async |broker| {
        let (topic, partition) = filled(&broker, 1).await;
        let (admin, group, notes) = (broker.admin(), unique("removed"), Notes::default());
        let mut consumer = Consumer::new(config(&broker, &group, &[])).unwrap();
        consumer.set_rebalance_listener(notes.clone());
        consumer.subscribe([topic]).unwrap();
        read(&mut consumer, 1).await;
        let described = admin.describe_groups(std::slice::from_ref(&group)).await;
        let id = described[0].1.as_ref().unwrap().members[0].id.clone();
        let names = [MemberName::Id(id), MemberName::Instance("nobody".to_owned())];
        let removed = admin.remove_members(&group, &names, Some("a test")).await.unwrap();
        assert_eq!(removed[0], (names[0].clone(), Ok(())));
        assert!(matches!(removed[1].1, Err(RemoveMemberError::NotFound(_))), "{removed:?}");
        let mut heard = Vec::new();
        for _ in 0..QUESTIONS_MAX {
            if heard.len() == 3 {
                break;
            }
            consumer.poll(Duration::from_millis(5)).await.unwrap();
            heard.extend(notes.take());
        }
        assert_eq!(heard, ["assigned", "lost", "assigned"]);
        assert_eq!(consumer.handle().assignment(), BTreeSet::from([partition]));
        consumer.close(CLOSE).await;
    });
}

#[test]
fn a_consumer_tells_what_it_knows_of_a_topic() {
    against_broker(async |broker| {
        let (topic, _) = filled(&broker, 0).await;
        let settings = [("default.api.timeout.ms", "1000"), ("allow.auto.create.topics", "false")];
        let consumer = Consumer::new(config(&broker, "any", &settings)).unwrap();
        let info = consumer.handle().topic_info(&topic).await.unwrap();
        assert_eq!((&info.name, info.partition_count()), (&topic, 1));
        assert!(info.partitions[0].leader.is_some() && info.id.is_some());
        let missing = TopicName::new(&unique("missing")).unwrap();
        let error = consumer.handle().topic_info(&missing).await.unwrap_err();
        assert_eq!(error, TopicError::Refused(ErrorCode::UnknownTopicOrPartition.into()));
    });
}
