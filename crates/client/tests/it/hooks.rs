//! What users put into the clients: partitioners, interceptors, callbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_client::TopicInfo;
use ottla_client::config::ProducerConfig;
use ottla_client::producer::{
    DeliveryError, OutgoingRecord, Partitioner, ProduceError, Producer, ProducerInterceptor, ProducerRecord,
    RecordMetadata, RecordView, SendError,
};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};

use crate::broker::{Broker, against_broker};

fn config(broker: &Broker) -> ProducerConfig {
    ProducerConfig::new(&broker.bootstrap).unwrap()
}

/// By the first byte of the value.
struct ByValue;

impl Partitioner for ByValue {
    fn partition_for(&self, record: RecordView<'_>, topic: &TopicInfo) -> PartitionIndex {
        assert_eq!(topic.partition_count(), 3);
        PartitionIndex::new(i32::from(record.value.unwrap()[0])).unwrap()
    }
}

#[test]
fn a_partitioner_of_the_user_places_what_names_no_partition() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("placed", 3).await).unwrap();
        let producer = Producer::builder(config(&broker)).partitioner(ByValue).build().unwrap();
        for byte in [2, 0, 1] {
            let value = [byte];
            let record = ProducerRecord::to(&topic).key(b"k").value(&value);
            assert_eq!(producer.deliver(record).await.unwrap().partition.value(), i32::from(byte));
        }
        let named = ProducerRecord::to(&topic).value(&[2]).partition(PartitionIndex::default());
        assert_eq!(producer.deliver(named).await.unwrap().partition.value(), 0);
        let refused = producer.deliver(ProducerRecord::to(&topic).value(&[9])).await;
        let expected = SendError::NoSuchPartition { topic, partition: 9, count: 3 };
        assert_eq!(refused, Err(ProduceError::Send(expected)));
    });
}

/// Appends its letter to the value and notes what it hears.
struct Signer {
    letter: u8,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ProducerInterceptor for Signer {
    fn on_send(&self, mut record: OutgoingRecord) -> OutgoingRecord {
        record.value.get_or_insert_default().push(self.letter);
        record.headers.push((b"signed".to_vec(), Some(vec![self.letter])));
        record
    }

    fn on_end(&self, _: &TopicPartition, outcome: &Result<RecordMetadata, DeliveryError>) {
        let offset = outcome.as_ref().ok().and_then(|metadata| metadata.offset).map(Offset::value);
        self.heard.lock().unwrap().push(format!("{} {offset:?}", char::from(self.letter)));
    }

    fn on_refused(&self, _: &TopicName, error: &SendError) {
        let kind = matches!(error, SendError::TooLargeForRequest { .. });
        self.heard.lock().unwrap().push(format!("{} too large: {kind}", char::from(self.letter)));
    }
}

/// KIP-42
#[test]
fn interceptors_see_every_record_in_their_order_before_the_callback() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("signed", 1).await).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let signer = |letter| Signer { letter, heard: Arc::clone(&heard) };
        let config = ProducerConfig { request_bytes_max: 500, ..config(&broker) };
        let producer =
            Producer::builder(config).interceptor(signer(b'x')).interceptor(signer(b'y')).build().unwrap();
        let last = Arc::clone(&heard);
        let record = ProducerRecord::to(&topic).value(b"v");
        producer.send_with(record, move |_| last.lock().unwrap().push("callback".to_owned())).await.unwrap();
        producer.flush().await;
        assert_eq!(std::mem::take(&mut *heard.lock().unwrap()), ["x Some(0)", "y Some(0)", "callback"]);
        producer.send(ProducerRecord::to(&topic).value(&[0; 600])).await.unwrap_err();
        assert_eq!(*heard.lock().unwrap(), ["x too large: true", "y too large: true"]);

        let config = ottla_client::config::ConsumerConfig::new(&broker.bootstrap).unwrap();
        let mut consumer = ottla_client::Consumer::new(config).unwrap();
        let partition = TopicPartition::new(topic, PartitionIndex::default());
        consumer.assign([partition.clone()]);
        consumer.handle().seek_to_beginning(&partition).unwrap();
        let records = consumer.poll(Duration::from_secs(20)).await.unwrap();
        assert_eq!(records[0].value.as_deref(), Some(b"vxy".as_slice()));
        assert_eq!(records[0].headers.len(), 2);
    });
}

#[test]
fn callbacks_of_a_partition_come_in_the_order_of_sending_and_before_a_flush_ends() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("called", 1).await).unwrap();
        let config = ProducerConfig { batch_bytes: 100, linger: Duration::ZERO, ..config(&broker) };
        let producer = Producer::new(config).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..500 {
            let heard = Arc::clone(&heard);
            let callback = move |outcome: Result<RecordMetadata, DeliveryError>| {
                heard.lock().unwrap().push(outcome.unwrap().offset.unwrap().value());
            };
            producer.send_with(ProducerRecord::to(&topic).value(b"v"), callback).await.unwrap();
        }
        producer.flush().await;
        assert_eq!(*heard.lock().unwrap(), (0..500).collect::<Vec<i64>>());
    });
}

#[test]
fn what_was_not_sent_before_a_close_is_told_so() {
    against_broker(async |broker| {
        let topic = TopicName::new(&broker.topic("closed", 1).await).unwrap();
        let config = ProducerConfig { linger: Duration::from_secs(60), ..config(&broker) };
        let producer = Producer::new(config.clone()).unwrap();
        let sent = producer.send(ProducerRecord::to(&topic).value(b"v")).await.unwrap();
        producer.close(Duration::from_secs(20)).await;
        assert_eq!(sent.await.unwrap().offset, Some(Offset::ZERO));
        let producer = Producer::new(config).unwrap();
        let sent = producer.send(ProducerRecord::to(&topic).value(b"v")).await.unwrap();
        drop(producer);
        assert_eq!(sent.await, Err(DeliveryError::Closed));
    });
}
