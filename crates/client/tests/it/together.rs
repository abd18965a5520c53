//! Many at once: tasks that share a producer, members that come and go.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ottla_client::Consumer;
use ottla_client::config::{ConsumerConfig, ProducerConfig, Properties};
use ottla_client::consumer::ConsumerRecord;
use ottla_client::producer::{Producer, ProducerRecord};
use ottla_env::task;
use ottla_model::{PartitionIndex, TopicName, TopicPartition};

use crate::broker::{Broker, against_broker, unique};

const CLOSE: Duration = Duration::from_secs(20);
const PARTITIONS: i32 = 4;

fn properties(broker: &Broker, settings: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::from([("bootstrap.servers".to_owned(), broker.bootstrap.clone())]);
    properties.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    properties
}

fn consumer(broker: &Broker, settings: &[(&str, &str)]) -> Consumer {
    let mut all = vec![("auto.offset.reset", "earliest")];
    all.extend(settings);
    Consumer::new(ConsumerConfig::from_properties(&properties(broker, &all)).unwrap()).unwrap()
}

fn text(record: &ConsumerRecord) -> String {
    String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap()
}

/// Sends `count` numbers, each to the partition of its key; waits for every hundredth.
async fn send_numbers(producer: Arc<Producer>, topic: TopicName, (who, count): (u32, u32)) {
    for number in 0..count {
        let (key, value) = ((number % 16).to_string(), format!("{who} {number}"));
        let record = ProducerRecord::to(&topic).key(key.as_bytes()).value(value.as_bytes());
        let delivery = producer.send(record).await.unwrap();
        if number % 100 == 0 {
            delivery.await.unwrap();
        } else if number % 250 == 1 {
            producer.flush().await;
        }
    }
}

/// Eight tasks on four threads and a buffer that is always full: nobody sleeps for ever, nothing is lost or swapped.
#[test]
fn tasks_on_several_threads_share_a_producer() {
    const TASKS: u32 = 8;
    const COUNT: u32 = 1000;
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("shared", PARTITIONS).await).unwrap();
        let settings =
            [("buffer.memory", "3000"), ("batch.size", "500"), ("linger.ms", "1"), ("max.block.ms", "20000")];
        let config = ProducerConfig::from_properties(&properties(&broker, &settings)).unwrap();
        let sent = topic.clone();
        // A runtime of several threads, on a thread that has none.
        let sending = std::thread::spawn(move || {
            task::run(NonZeroUsize::new(4), async move {
                let producer = Arc::new(Producer::new(config).unwrap());
                let tasks: Vec<_> = (0..TASKS)
                    .map(|who| task::spawn(send_numbers(Arc::clone(&producer), sent.clone(), (who, COUNT))))
                    .collect();
                for one in tasks {
                    one.await.unwrap();
                }
                producer.flush().await;
            })
        });
        sending.join().unwrap().unwrap();
        let mut consumer = consumer(&broker, &[]);
        let partition = |index| TopicPartition::new(topic.clone(), PartitionIndex::new(index).unwrap());
        consumer.assign((0..PARTITIONS).map(partition));
        let mut total = 0;
        let mut last: BTreeMap<(i32, u32), u32> = BTreeMap::new();
        while total < TASKS * COUNT {
            let records = consumer.poll(CLOSE).await.unwrap();
            assert!(!records.is_empty(), "only {total} records came");
            for record in &records {
                let value = text(record);
                let (who, number) = value.split_once(' ').unwrap();
                let (who, number): (u32, u32) = (who.parse().unwrap(), number.parse().unwrap());
                let before = last.insert((record.partition.value(), who), number);
                assert!(before.is_none_or(|before| before < number), "{value} after {before:?}");
                total += 1;
            }
        }
        let all: Vec<TopicPartition> = (0..PARTITIONS).map(partition).collect();
        let ends = consumer.handle().end_offsets(&all).await.unwrap();
        assert_eq!(ends.values().map(|end| end.value()).sum::<i64>(), i64::from(TASKS * COUNT));
    });
}

/// Members join one after the other and leave again while records come: with commits at every hand-over, each record
/// goes to exactly one of them.
#[test]
fn every_record_goes_to_one_member_while_members_come_and_go() {
    against_broker(async |broker| {
        for assignor in ["range", "cooperative-sticky"] {
            let topic = TopicName::new(&broker.topic("churn", PARTITIONS).await).unwrap();
            let group = unique("churn");
            let settings = [
                ("group.id", group.as_str()),
                ("partition.assignment.strategy", assignor),
                ("heartbeat.interval.ms", "20"),
                ("max.poll.records", "7"),
            ];
            let config = ProducerConfig::from_properties(&properties(&broker, &[])).unwrap();
            let producer = Producer::new(config).unwrap();
            let mut members: Vec<Consumer> = Vec::new();
            let mut read: BTreeMap<String, u32> = BTreeMap::new();
            let mut sent = 0;
            for round in 0..60 {
                match round {
                    0 | 15 | 30 => {
                        let mut member = consumer(&broker, &settings);
                        member.subscribe([topic.clone()]).unwrap();
                        members.push(member);
                    }
                    45 => members.remove(0).close(CLOSE).await,
                    _ => {}
                }
                for _ in 0..10 {
                    let value = sent.to_string();
                    drop(
                        producer
                            .send(ProducerRecord::to(&topic).key(value.as_bytes()).value(value.as_bytes()))
                            .await,
                    );
                    sent += 1;
                }
                poll_all(&mut members, &mut read).await;
            }
            producer.flush().await;
            for _ in 0..5_000 {
                if read.len() == 600 {
                    break;
                }
                poll_all(&mut members, &mut read).await;
            }
            assert_eq!(read.len(), 600, "{assignor}");
            let twice: Vec<&String> =
                read.iter().filter(|(_, count)| **count > 1).map(|(value, _)| value).collect();
            assert_eq!(twice, [""; 0], "{assignor}");
            for member in members {
                member.close(CLOSE).await;
            }
        }
    });
}

async fn poll_all(members: &mut [Consumer], read: &mut BTreeMap<String, u32>) {
    for member in members {
        for record in member.poll(Duration::from_millis(5)).await.unwrap() {
            *read.entry(text(&record)).or_default() += 1;
        }
    }
}
