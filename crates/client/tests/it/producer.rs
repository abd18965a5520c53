//! The producer.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::Producer;
use ottla_client::admin::OffsetSpec;
use ottla_client::config::{IsolationLevel, ProducerConfig, Properties};
use ottla_client::producer::{DeliveryError, ProducerRecord, SendError};
use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName, TopicPartition};

use crate::broker::{Broker, QUESTIONS_MAX, against_broker, unique};

/// Longest a test waits for what is sent to arrive.
const CLOSE: Duration = Duration::from_secs(30);

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> Producer {
    let mut properties = Properties::from([("bootstrap.servers".to_owned(), broker.bootstrap.clone())]);
    properties.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Producer::new(ProducerConfig::from_properties(&properties).unwrap()).unwrap()
}

/// Waits until partition 0 ends there for readers: with `acks=1` that may be a moment after the acknowledgement.
async fn await_end(broker: &Broker, topic: &TopicName, end: i64) {
    let partition = TopicPartition::new(topic.clone(), PartitionIndex::default());
    let wanted = BTreeMap::from([(partition.clone(), OffsetSpec::Latest)]);
    let admin = broker.admin();
    for _ in 0..QUESTIONS_MAX {
        let listed = admin.list_offsets(&wanted, IsolationLevel::ReadUncommitted).await.unwrap();
        if listed[&partition].as_ref().unwrap().unwrap().offset.value() == end {
            return;
        }
    }
    panic!("{partition} does not end at {end}");
}

#[test]
fn records_arrive_in_order_with_every_codec_and_acknowledgement() {
    against_broker(async |broker| {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            for acks in ["all", "1", "0"] {
                let topic = TopicName::new(&broker.topic("codec", 1).await).unwrap();
                let producer = producer(&broker, &[("compression.type", codec), ("acks", acks)]);
                let mut deliveries = Vec::new();
                for number in 0..500_u32 {
                    let value = number.to_string().repeat(20);
                    let record = ProducerRecord::to(&topic).value(value.as_bytes());
                    deliveries.push(producer.send(record).await.unwrap());
                }
                producer.flush().await;
                for (delivery, expected) in deliveries.into_iter().zip(0..) {
                    let offset = delivery.await.unwrap().offset;
                    let expected = Offset::new(expected).filter(|_| acks != "0");
                    assert_eq!(offset, expected, "{codec} acks={acks}");
                }
                if acks != "0" {
                    await_end(&broker, &topic, 500).await;
                }
                producer.close(CLOSE).await;
            }
        }
    });
}

#[test]
fn a_key_goes_to_its_partition_and_a_given_partition_is_kept() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("partitions", 7).await).unwrap();
        let producer = producer(&broker, &[]);
        let keyed = producer.send(ProducerRecord::to(&topic).key(b"hello")).await.unwrap();
        let expected = ottla_client::producer::partition_of_key(b"hello", 7);
        assert_eq!(keyed.await.unwrap().partition.value().to_string(), expected.to_string());
        let given = PartitionIndex::new(5).unwrap();
        let time = Timestamp::from_millis(1_000_000);
        let record = ProducerRecord::to(&topic).partition(given).timestamp(time).value(b"v");
        let metadata = producer.send(record).await.unwrap().await.unwrap();
        assert_eq!((metadata.partition, metadata.timestamp), (given, time));
        producer.close(CLOSE).await;
    });
}

#[test]
fn a_full_buffer_makes_senders_wait_and_loses_nothing() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("buffer", 2).await).unwrap();
        let producer = producer(&broker, &[("buffer.memory", "20000"), ("linger.ms", "60000")]);
        let mut deliveries = Vec::new();
        for _ in 0..200 {
            deliveries.push(producer.send(ProducerRecord::to(&topic).value(&[7; 1000])).await.unwrap());
        }
        producer.flush().await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    });
}

#[test]
fn a_batch_too_large_for_its_topic_is_split_until_it_fits() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("split", 1).await).unwrap();
        broker.set_config(topic.as_str(), "max.message.bytes", "500").await;
        let producer = producer(&broker, &[("linger.ms", "60000")]);
        let mut deliveries = Vec::new();
        for _ in 0..50 {
            deliveries.push(producer.send(ProducerRecord::to(&topic).value(&[1; 100])).await.unwrap());
        }
        let large = producer.send(ProducerRecord::to(&topic).value(&[1; 1000])).await.unwrap();
        let behind = producer.send(ProducerRecord::to(&topic).value(b"small")).await.unwrap();
        producer.flush().await;
        for (delivery, expected) in deliveries.into_iter().zip(0..) {
            assert_eq!(delivery.await.unwrap().offset, Offset::new(expected));
        }
        assert!(matches!(large.await, Err(DeliveryError::Refused { .. })));
        assert_eq!(behind.await.unwrap().offset, Offset::new(50));
        producer.close(CLOSE).await;
    });
}

#[test]
fn what_cannot_be_sent_is_refused_with_kafka_s_words() {
    against_broker(async |broker| {
        let producer = producer(&broker, &[("max.block.ms", "300"), ("max.request.size", "1000")]);
        let missing = TopicName::new(&unique("missing")).unwrap();
        match producer.send(ProducerRecord::to(&missing).partition(PartitionIndex::new(99).unwrap())).await {
            // A broker with automatic creation makes the topic, with fewer partitions.
            Err(SendError::TopicUnknown { .. } | SendError::PartitionUnknown { .. }) => {}
            other => panic!("{other:?}"),
        }
        let topic = TopicName::new(&broker.topic("refused", 1).await).unwrap();
        let error = producer.send(ProducerRecord::to(&topic).value(&[0; 2000])).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "The message is 2086 bytes when serialized which is larger than 1000, which is the value of the \
             max.request.size configuration."
        );
        producer.close(CLOSE).await;
    });
}

#[test]
fn records_refused_one_by_one_name_the_record() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("compacted", 1).await).unwrap();
        broker.set_config(topic.as_str(), "cleanup.policy", "compact").await;
        let producer = producer(&broker, &[("linger.ms", "60000")]);
        let keyed = producer.send(ProducerRecord::to(&topic).key(b"k").value(b"v")).await.unwrap();
        let keyless = producer.send(ProducerRecord::to(&topic).value(b"v")).await.unwrap();
        producer.flush().await;
        let keyless = keyless.await.unwrap_err().to_string();
        assert!(keyless.contains("Compacted topic cannot accept message without key"), "{keyless}");
        let keyed = keyed.await.unwrap_err().to_string();
        assert!(keyed.starts_with("Failed to append record because it was part of a batch"), "{keyed}");
        let good = producer.send(ProducerRecord::to(&topic).key(b"k")).await.unwrap();
        producer.flush().await;
        assert_eq!(good.await.unwrap().offset, Some(Offset::ZERO));
    });
}
