//! A consumer whose partition gets another leader, which may not have what was read (KIP-320).
//!
//! There is one broker only: the gate names its second door as the leader and answers for it.

use std::sync::{Arc, Mutex};

use ottla_client::consumer::{Consumer, PollError, Position, Truncation};
use ottla_client::producer::ProducerRecord;
use ottla_model::{LeaderEpoch, Offset, TopicName};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::broker::{Broker, against_broker};
use crate::disturbed::{POLL, consumer, fetch_elsewhere, partition, producer, topic, values};
use crate::gate::{Asked, Fate, Gate};

/// What the new leader says: the epoch it has, and where that ends.
type Said = (i32, i64);

fn epoch_end(asked: &Asked, (leader_epoch, end_offset): Said) -> Fate {
    let request: OffsetForLeaderEpochRequest = asked.body();
    let topics = request.topics.iter().map(|topic| {
        let ends = topic.partitions.iter().map(|one| {
            assert_eq!(
                (one.current_leader_epoch, one.leader_epoch),
                (0, 0),
                "the epochs of leader and record"
            );
            EpochEndOffset { error_code: 0, partition: one.partition, leader_epoch, end_offset }
        });
        OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: ends.collect() }
    });
    asked.answer(&OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() })
}

/// A consumer that has read six records, whose partition has moved.
struct Moved {
    _gate: Gate,
    consumer: Consumer,
    topic: TopicName,
    /// How often the new leader was asked about epochs.
    asked: Arc<Mutex<u32>>,
}

/// Six records are read; then the partition moves to a leader that says of its log what `said` is, or what the broker
/// itself says. One more record is written behind them.
async fn read_six_then_move(broker: &Broker, said: Option<Said>, settings: &[(&str, &str)]) -> Moved {
    let topic = topic(broker, "truncated", 1).await;
    let producer = producer(&broker.bootstrap, &[]);
    for value in ["0", "1", "2", "3", "4", "5"] {
        producer.deliver(ProducerRecord::to(&topic).value(value.as_bytes())).await.unwrap();
    }
    let (moved, second) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
    let (has_moved, port) = (Arc::clone(&moved), Arc::clone(&second));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let gate = Gate::new(&broker.bootstrap, 2, move |asked| {
        let moved = *has_moved.lock().unwrap();
        match (asked.api, asked.door) {
            (ApiKey::Fetch, 0) if moved => {
                fetch_elsewhere(asked, ("127.0.0.1".to_owned(), i32::from(*port.lock().unwrap())))
            }
            // Nobody else may tell who leads.
            (ApiKey::Metadata, _) if moved => Fate::Hold,
            (ApiKey::OffsetForLeaderEpoch, 0) => panic!("the old leader is asked"),
            (ApiKey::OffsetForLeaderEpoch, _) => {
                *count.lock().unwrap() += 1;
                said.map_or(Fate::Pass, |said| epoch_end(asked, said))
            }
            _ => Fate::Pass,
        }
    });
    *second.lock().unwrap() = gate.port(1);
    let mut consumer = consumer(&gate.address(), settings);
    consumer.assign([partition(&topic, 0)]);
    consumer.handle().seek_to_beginning(&partition(&topic, 0)).unwrap();
    assert_eq!(values(&mut consumer, 6).await[&0], ["0", "1", "2", "3", "4", "5"]);
    *moved.lock().unwrap() = true;
    producer.deliver(ProducerRecord::to(&topic).value(b"6")).await.unwrap();
    Moved { _gate: gate, consumer, topic, asked }
}

/// KIP-320
#[test]
fn a_consumer_goes_on_at_a_new_leader_that_has_what_was_read() {
    against_broker(async |broker| {
        let settings = [("auto.offset.reset", "none")];
        let Moved { mut consumer, topic, asked, _gate } = read_six_then_move(&broker, None, &settings).await;
        assert_eq!(values(&mut consumer, 1).await[&0], ["6"]);
        let producer = producer(&broker.bootstrap, &[]);
        producer.deliver(ProducerRecord::to(&topic).value(b"7")).await.unwrap();
        assert_eq!(values(&mut consumer, 1).await[&0], ["7"]);
        assert_eq!(*asked.lock().unwrap(), 1);
    });
}

/// KIP-320
#[test]
fn a_consumer_reads_a_truncated_log_again_from_where_it_differs() {
    against_broker(async |broker| {
        let Moved { mut consumer, asked, _gate, .. } = read_six_then_move(&broker, Some((0, 4)), &[]).await;
        let mut read = Vec::new();
        while read.last().is_none_or(|offset| *offset != 4) {
            let records = consumer.poll(POLL).await.unwrap();
            assert!(!records.is_empty(), "nothing is read again");
            read.extend(records.iter().map(|record| record.offset.value()).take_while(|offset| *offset != 5));
        }
        // The old leader may still deliver the last record before it refuses.
        assert!(read == [4] || read == [6, 4], "{read:?}");
        assert_eq!(*asked.lock().unwrap(), 1);
    });
}

/// KIP-320
#[test]
fn without_a_reset_a_truncated_log_is_reported_until_the_consumer_seeks() {
    against_broker(async |broker| {
        let settings = [("auto.offset.reset", "none")];
        let Moved { mut consumer, topic, _gate, .. } =
            read_six_then_move(&broker, Some((0, 4)), &settings).await;
        let zero = partition(&topic, 0);
        let error = loop {
            match consumer.poll(POLL).await {
                Ok(records) => {
                    let offsets: Vec<i64> = records.iter().map(|record| record.offset.value()).collect();
                    assert_eq!(offsets, [6], "only what the old leader still delivered");
                }
                Err(error) => break error,
            }
        };
        let offset = |value| Offset::new(value).unwrap();
        let PollError::Truncated { partition, truncation: Truncation { offset: stood, diverging } } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(*partition, zero);
        assert!((6..=7).contains(&stood.value()), "{stood}");
        assert_eq!(*diverging, Some(Position { offset: offset(4), leader_epoch: LeaderEpoch::new(0) }));
        let text = "{OffsetAndMetadata{offset=4, leaderEpoch=0, metadata=''}}"
            .replace("{Off", &format!("{{{zero}=Off"));
        assert_eq!(error.to_string(), format!("Truncated partitions detected with divergent offsets {text}"));
        assert_eq!(consumer.poll(POLL).await.unwrap_err(), error);
        consumer.handle().seek(&zero, offset(4)).unwrap();
        assert_eq!(values(&mut consumer, 3).await[&0], ["4", "5", "6"]);
    });
}
