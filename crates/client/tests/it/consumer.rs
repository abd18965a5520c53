//! The consumer, alone and in groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_client::config::{ConsumerConfig, ProducerConfig, Properties};
use ottla_client::consumer::{
    Consumer, ConsumerHandle, ConsumerRecord, PollError, RebalanceListener, Step, TimestampKind,
};
use ottla_client::producer::{Producer, ProducerRecord};
use ottla_env::task;
use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::record::Header;

use crate::broker::{Broker, against_broker, unique};

/// Longest one poll waits; a test that needs longer has failed.
const POLL: Duration = Duration::from_secs(20);
const CLOSE: Duration = Duration::from_secs(20);

fn properties(broker: &Broker, settings: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::from([("bootstrap.servers".to_owned(), broker.bootstrap.clone())]);
    properties.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    properties
}

fn consumer(broker: &Broker, settings: &[(&str, &str)]) -> Consumer {
    let properties = properties(broker, settings);
    Consumer::new(ConsumerConfig::from_properties(&properties).unwrap()).unwrap()
}

fn partition(topic: &TopicName, index: i32) -> TopicPartition {
    TopicPartition::new(topic.clone(), PartitionIndex::new(index).unwrap())
}

fn offset(value: i64) -> Offset {
    Offset::new(value).unwrap()
}

/// A topic whose partitions have `count` records each: the values are `partition/number`.
async fn filled(broker: &Broker, partitions: i32, count: u32, settings: &[(&str, &str)]) -> TopicName {
    let topic = TopicName::new(&broker.topic("consumed", partitions).await).unwrap();
    fill(broker, &topic, (partitions, count), settings).await;
    topic
}

async fn fill(
    broker: &Broker,
    topic: &TopicName,
    (partitions, count): (i32, u32),
    settings: &[(&str, &str)],
) {
    let config = ProducerConfig::from_properties(&properties(broker, settings)).unwrap();
    let producer = Producer::new(config).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..count {
        for index in 0..partitions {
            let value = format!("{index}/{number}");
            let headers =
                [Header { key: b"n", value: Some(value.as_bytes()) }, Header { key: b"e", value: None }];
            let record = ProducerRecord::to(topic)
                .partition(PartitionIndex::new(index).unwrap())
                .timestamp(Timestamp::from_millis(1_000 + i64::from(number)))
                .key(b"k")
                .value(value.as_bytes())
                .headers(&headers);
            deliveries.push(producer.send(record).await.unwrap());
        }
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

/// Polls until `count` records came; answers them by partition, and checks that their offsets have no gaps.
async fn read(consumer: &mut Consumer, count: usize) -> BTreeMap<TopicPartition, Vec<ConsumerRecord>> {
    let mut read: BTreeMap<TopicPartition, Vec<ConsumerRecord>> = BTreeMap::new();
    let mut total = 0;
    while total < count {
        let records = consumer.poll(POLL).await.unwrap();
        assert!(!records.is_empty(), "only {total} of {count} records came");
        total += records.len();
        for record in records {
            read.entry(record.topic_partition()).or_default().push(record);
        }
    }
    assert_eq!(total, count);
    for records in read.values() {
        assert!(records.windows(2).all(|pair| pair[1].offset == pair[0].offset.next()));
    }
    read
}

/// Polls until the assignment is as expected.
async fn poll_until(consumer: &mut Consumer, expected: impl Fn(&BTreeSet<TopicPartition>) -> bool) {
    for _ in 0..2_000 {
        consumer.poll(Duration::from_millis(10)).await.unwrap();
        if expected(&consumer.handle().assignment()) {
            return;
        }
    }
    panic!("the assignment stays {:?}", consumer.handle().assignment());
}

#[test]
fn an_assigned_consumer_reads_everything_there_is_with_every_codec() {
    against_broker(async |broker| {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = filled(&broker, 3, 700, &[("compression.type", codec)]).await;
            let mut consumer = consumer(&broker, &[("auto.offset.reset", "earliest")]);
            consumer.assign((0..3).map(|index| partition(&topic, index)));
            let read = read(&mut consumer, 2100).await;
            assert_eq!(read.len(), 3);
            let last = read[&partition(&topic, 2)].last().unwrap();
            assert_eq!(last.value.as_deref(), Some(b"2/699".as_slice()));
            assert_eq!(last.key.as_deref(), Some(b"k".as_slice()));
            assert_eq!(
                (last.timestamp, last.timestamp_kind),
                (Timestamp::from_millis(1_699), TimestampKind::CreateTime)
            );
            assert_eq!(last.headers.len(), 2);
            assert_eq!(
                (last.headers[0].key.as_ref(), last.headers[1].value.as_ref()),
                (b"n".as_slice(), None)
            );
            consumer.close(CLOSE).await;
        }
    });
}

#[test]
fn small_fetches_and_small_polls_read_the_same_records() {
    against_broker(async |broker| {
        let topic = filled(&broker, 2, 300, &[("batch.size", "200")]).await;
        let settings = [
            ("auto.offset.reset", "earliest"),
            ("max.partition.fetch.bytes", "300"),
            ("fetch.max.bytes", "500"),
            ("max.poll.records", "7"),
        ];
        let mut consumer = consumer(&broker, &settings);
        consumer.assign([partition(&topic, 0), partition(&topic, 1)]);
        read(&mut consumer, 600).await;
        consumer.close(CLOSE).await;
    });
}

/// On one thread, with records at hand: nothing would make a loop over `poll` wait.
#[test]
fn whoever_polls_on_at_once_lets_other_tasks_run() {
    against_broker(async |broker| {
        let topic = filled(&broker, 1, 20, &[]).await;
        let mut consumer = consumer(&broker, &[("auto.offset.reset", "earliest"), ("max.poll.records", "1")]);
        consumer.assign([partition(&topic, 0)]);
        read(&mut consumer, 1).await;
        let has_run = Arc::new(AtomicBool::new(false));
        let running = Arc::clone(&has_run);
        drop(task::spawn(async move { running.store(true, Ordering::Relaxed) }));
        assert_eq!(consumer.poll(POLL).await.unwrap().len(), 1);
        assert!(has_run.load(Ordering::Relaxed), "the poll kept its thread");
        consumer.close(CLOSE).await;
    });
}

#[test]
fn a_consumer_seeks_pauses_and_tells_where_it_stands() {
    against_broker(async |broker| {
        let topic = filled(&broker, 2, 100, &[]).await;
        let mut consumer = consumer(&broker, &[("auto.offset.reset", "latest")]);
        let (zero, one) = (partition(&topic, 0), partition(&topic, 1));
        consumer.assign([zero.clone(), one.clone()]);
        assert_eq!(consumer.handle().position(&zero).await.unwrap(), offset(100));
        consumer.handle().seek(&zero, offset(40)).unwrap();
        consumer.handle().seek_to_beginning(&one).unwrap();
        consumer.handle().pause(&one).unwrap();
        let records = read(&mut consumer, 60).await;
        assert_eq!(records[&zero][0].offset, offset(40));
        assert_eq!(consumer.handle().position(&zero).await.unwrap(), offset(100));
        consumer.handle().resume(&one).unwrap();
        assert_eq!(read(&mut consumer, 100).await[&one][0].offset, offset(0));
        assert_eq!(consumer.handle().lag(&one), Some(0));
        let partitions = [zero.clone(), one.clone()];
        assert_eq!(consumer.handle().end_offsets(&partitions).await.unwrap()[&one], offset(100));
        assert_eq!(consumer.handle().beginning_offsets(&partitions).await.unwrap()[&one], offset(0));
        let times = BTreeMap::from([
            (zero.clone(), Timestamp::from_millis(1_050)),
            (one.clone(), Timestamp::from_millis(9_999)),
        ]);
        let found = consumer.handle().offsets_for_times(&times).await.unwrap();
        assert_eq!(found[&zero].unwrap().offset, offset(50));
        assert_eq!(found[&one], None);
        assert!(consumer.handle().seek(&partition(&topic, 7), offset(0)).is_err());
    });
}

#[test]
fn an_offset_out_of_range_is_reset_or_reported() {
    against_broker(async |broker| {
        let topic = filled(&broker, 1, 10, &[]).await;
        let zero = partition(&topic, 0);
        let mut lenient = consumer(&broker, &[("auto.offset.reset", "earliest")]);
        lenient.assign([zero.clone()]);
        lenient.handle().seek(&zero, offset(5_000)).unwrap();
        assert_eq!(read(&mut lenient, 10).await[&zero][0].offset, offset(0));
        let mut strict = consumer(&broker, &[("auto.offset.reset", "none")]);
        strict.assign([zero.clone()]);
        assert!(matches!(strict.poll(POLL).await, Err(PollError::NoOffset { .. })));
        strict.handle().seek(&zero, offset(5_000)).unwrap();
        let refused = loop {
            match strict.poll(POLL).await {
                Ok(records) => assert!(records.is_empty()),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, PollError::OutOfRange { partition: zero, offset: offset(5_000) });
    });
}

#[test]
fn a_group_of_one_commits_and_goes_on_where_it_was() {
    against_broker(async |broker| {
        let topic = filled(&broker, 2, 50, &[]).await;
        let group = unique("group");
        let settings = [("group.id", group.as_str()), ("auto.offset.reset", "earliest")];
        let mut first = consumer(&broker, &settings);
        first.subscribe([topic.clone()]).unwrap();
        read(&mut first, 100).await;
        first.handle().commit().await.unwrap();
        let committed = first.handle().committed(&[partition(&topic, 0)]).await.unwrap();
        assert_eq!(committed[&partition(&topic, 0)].offset, offset(50));
        first.close(CLOSE).await;
        let described = broker.admin().describe_groups(std::slice::from_ref(&group)).await;
        assert_eq!(described[0].1.as_ref().unwrap().state, "Empty");
        fill(&broker, &topic, (2, 5), &[]).await;
        let mut second = consumer(&broker, &settings);
        second.subscribe([topic.clone()]).unwrap();
        let records = read(&mut second, 10).await;
        assert_eq!(records[&partition(&topic, 1)][0].offset, offset(50));
        second.close(CLOSE).await;
        let listed = broker.admin().list_group_offsets(&group, None, false).await.unwrap();
        assert_eq!(listed[&partition(&topic, 1)].as_ref().unwrap().offset, offset(55), "closing commits");
    });
}

/// Notes what it hears.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let mut numbers: Vec<i32> = partitions.iter().map(|one| one.partition.value()).collect();
        numbers.sort_unstable();
        self.0.lock().unwrap().push(format!("{what} {numbers:?}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RebalanceListener for Notes {
    fn on_revoked<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.note("revoked", partitions);
        Box::pin(std::future::ready(()))
    }

    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.note("assigned", partitions);
        Box::pin(std::future::ready(()))
    }
}

/// Two members join one after the other, then the first leaves; answers what each heard.
async fn two_members(broker: &Broker, assignor: &str) -> (Vec<String>, Vec<String>) {
    let topic = TopicName::new(&broker.topic("rebalanced", 4).await).unwrap();
    let group = unique("group");
    let settings = [
        ("group.id", group.as_str()),
        ("partition.assignment.strategy", assignor),
        ("heartbeat.interval.ms", "100"),
    ];
    let (mut first, mut second) = (consumer(broker, &settings), consumer(broker, &settings));
    let (heard_first, heard_second) = (Notes::default(), Notes::default());
    first.set_rebalance_listener(heard_first.clone());
    second.set_rebalance_listener(heard_second.clone());
    first.subscribe([topic.clone()]).unwrap();
    poll_until(&mut first, |assigned| assigned.len() == 4).await;
    second.subscribe([topic.clone()]).unwrap();
    for _ in 0..2_000 {
        first.poll(Duration::from_millis(5)).await.unwrap();
        second.poll(Duration::from_millis(5)).await.unwrap();
        let both = (first.handle().assignment(), second.handle().assignment());
        if both.0.len() == 2 && both.1.len() == 2 {
            assert!(both.0.is_disjoint(&both.1));
            break;
        }
    }
    assert_eq!(second.handle().assignment().len(), 2, "{:?}", first.handle().assignment());
    first.close(CLOSE).await;
    poll_until(&mut second, |assigned| assigned.len() == 4).await;
    second.close(CLOSE).await;
    (heard_first.take(), heard_second.take())
}

#[test]
fn two_members_share_the_partitions_eagerly() {
    against_broker(async |broker| {
        for assignor in ["range", "sticky"] {
            let (first, second) = two_members(&broker, assignor).await;
            assert_eq!(first[..2], ["assigned [0, 1, 2, 3]", "revoked [0, 1, 2, 3]"]);
            // Which member comes first is decided by ids that the broker draws.
            let halves = [first[2].as_str(), second[0].as_str()];
            let expected = ["assigned [0, 1]", "assigned [2, 3]"];
            assert!(expected.iter().all(|half| halves.contains(half)), "{assignor}: {halves:?}");
            assert_eq!(second[second.len() - 2..], ["assigned [0, 1, 2, 3]", "revoked [0, 1, 2, 3]"]);
        }
        let (first, second) = two_members(&broker, "roundrobin").await;
        assert!(first[2].starts_with("assigned") && second[0].starts_with("assigned"));
    });
}

/// KIP-429
#[test]
fn two_cooperative_members_give_up_only_what_moves() {
    against_broker(async |broker| {
        let (first, second) = two_members(&broker, "cooperative-sticky").await;
        assert_eq!(first[0], "assigned [0, 1, 2, 3]");
        assert!(first.contains(&"revoked [2, 3]".to_owned()), "{first:?}");
        assert!(!first.contains(&"revoked [0, 1, 2, 3]".to_owned()), "{first:?}");
        assert!(second.contains(&"assigned [2, 3]".to_owned()), "{second:?}");
        assert!(second.contains(&"assigned [0, 1]".to_owned()), "{second:?}");
    });
}

/// KIP-345
#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    against_broker(async |broker| {
        let topic = filled(&broker, 2, 10, &[]).await;
        let group = unique("group");
        let settings =
            [("group.id", group.as_str()), ("group.instance.id", "one"), ("auto.offset.reset", "earliest")];
        let mut before = consumer(&broker, &settings);
        before.subscribe([topic.clone()]).unwrap();
        read(&mut before, 20).await;
        before.close(CLOSE).await;
        let described = broker.admin().describe_groups(std::slice::from_ref(&group)).await;
        let member = &described[0].1.as_ref().unwrap().members[0];
        assert_eq!(member.instance_id.as_deref(), Some("one"));
        assert_eq!(member.assignment.len(), 2);
        fill(&broker, &topic, (2, 1), &[]).await;
        let mut after = consumer(&broker, &settings);
        after.subscribe([topic]).unwrap();
        read(&mut after, 2).await;
    });
}

#[test]
fn a_pattern_follows_topics_that_appear_later() {
    against_broker(async |broker| {
        let prefix = unique("pattern");
        let group = unique("group");
        let settings = [
            ("group.id", group.as_str()),
            ("auto.offset.reset", "earliest"),
            ("metadata.max.age.ms", "100"),
            ("heartbeat.interval.ms", "100"),
        ];
        let mut consumer = consumer(&broker, &settings);
        consumer.subscribe_pattern(regex::Regex::new(&format!("^{prefix}.*")).unwrap()).unwrap();
        assert_eq!(consumer.poll(Duration::from_millis(200)).await.unwrap(), []);
        let name = format!("{prefix}-a");
        broker.create(&name, 1).await;
        let topic = TopicName::new(&name).unwrap();
        fill(&broker, &topic, (1, 3), &[]).await;
        read(&mut consumer, 3).await;
        consumer.close(CLOSE).await;
    });
}

#[test]
fn a_consumer_without_anything_to_poll_or_with_a_bad_topic_says_so() {
    against_broker(async |broker| {
        let mut consumer = consumer(&broker, &[]);
        assert_eq!(consumer.poll(POLL).await, Err(PollError::NothingToPoll));
        assert!(consumer.subscribe([TopicName::new("t").unwrap()]).is_err());
        let partitions = [partition(&TopicName::new("t").unwrap(), 0)];
        assert!(consumer.handle().committed(&partitions).await.is_err());
        assert!(consumer.handle().commit_offsets(BTreeMap::new()).await.is_ok(), "nothing to commit");
    });
}

/// A consumer is driven by a task of its own, on whatever thread has time.
#[test]
fn polling_and_closing_can_be_spawned() {
    fn on_any_thread<T: Send>(value: T) -> T {
        value
    }
    async fn life(mut consumer: Consumer) {
        on_any_thread(consumer.poll(POLL)).await.unwrap();
        on_any_thread(consumer.close(POLL)).await;
    }
    let _unused = |consumer: Consumer| on_any_thread(life(consumer));
}
