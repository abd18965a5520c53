//! Sending numbers, and telling what became of each.
//!
//! Owns: the loop, the end by a signal, the lines of JSON.
//! Does not own: which records there are (`verifiable_producer`).
//!
//! Whatever is waited for, records that arrive meanwhile are told. A signal ends the loop; what was sent still arrives.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ottla_client::Producer;
use ottla_client::producer::{Delivery, ProducerRecord};
use ottla_env::task::{self, Signal, Signals};
use ottla_env::time;
use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};

use super::super::clients;
use super::super::failure::{Failure, invalid_topic};
use super::super::json::Object;
use super::super::throttle::{Pause, Throttle, as_f64};
use super::{Plan, Records};
use crate::terminal::Terminal;

/// How long the last records may take. The producer's own timeouts end before.
const CLOSE_MAX: Duration = Duration::from_secs(3_600);

/// A record as it is told.
struct Told {
    key: Option<String>,
    value: String,
}

/// Everything that sending needs.
pub(super) struct Sending {
    producer: Producer,
    /// What the log calls the producer.
    client: String,
    topic: String,
    target: i32,
    start: Instant,
    sent: u64,
    watched: Watched,
}

impl Sending {
    pub(super) fn new(producer: Producer, plan: &Plan) -> Result<Sending, Failure> {
        let signals = Signals::listen();
        let signals = signals.map_err(|error| Failure::new("java.io.IOException", error.to_string()))?;
        let client_id = plan.properties.get("client.id").map_or("", String::as_str);
        Ok(Sending {
            producer,
            client: format!("Producer clientId={client_id}"),
            topic: plan.topic.clone(),
            target: plan.target,
            start: time::now(),
            sent: 0,
            watched: Watched { signals, underway: BTreeMap::new(), acked: 0 },
        })
    }

    /// Sends all records; answers the signal that ended it.
    pub(super) async fn run(mut self, records: Records, terminal: &mut Terminal<'_>) -> Option<Signal> {
        print(event("startup_complete"), terminal);
        terminal.flush();
        let signal = self.send_all(records, terminal).await.err();
        self.watched.until_flushed(&self.producer, terminal).await;
        self.producer.close(CLOSE_MAX).await;
        print(event("shutdown_complete"), terminal);
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let acked = self.watched.acked;
        let told = event("tool_data")
            .plain("sent", self.sent)
            .plain("acked", acked)
            .plain("target_throughput", self.target)
            .double("avg_throughput", 1000.0 * (as_f64(acked) / as_f64(elapsed)));
        print(told, terminal);
        signal
    }

    async fn send_all(&mut self, mut records: Records, terminal: &mut Terminal<'_>) -> Result<(), Signal> {
        let topic = TopicName::new(&self.topic);
        let mut throttle = Throttle::new(f64::from(self.target));
        for number in 0..records.count {
            let age_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
            let told = Told { key: records.key(), value: records.value(number) };
            let time_ms = records.time_ms(age_ms);
            match &topic {
                Ok(topic) => self.send(topic, (told, time_ms), terminal).await?,
                Err(_) => {
                    self.sent += 1;
                    let failure = invalid_topic(terminal, &self.client, &self.topic);
                    print_failed(&self.topic, (&told, &failure), terminal);
                }
            }
            let until = match throttle.on_sent(number, self.start.elapsed()) {
                Pause::None => continue,
                Pause::For(pause) => Some(time::now() + pause),
                Pause::ForEver => None,
            };
            self.watched.beside(time::sleep_until_some(until), terminal).await?;
        }
        Ok(())
    }

    async fn send(
        &mut self,
        topic: &TopicName,
        (told, time_ms): (Told, Option<i64>),
        terminal: &mut Terminal<'_>,
    ) -> Result<(), Signal> {
        let mut record = ProducerRecord::to(topic).value(told.value.as_bytes());
        if let Some(key) = &told.key {
            record = record.key(key.as_bytes());
        }
        if let Some(time_ms) = time_ms {
            record = record.timestamp(Timestamp::from_millis(time_ms));
        }
        let before = self.sent;
        let (producer, sent) = (&self.producer, &mut self.sent);
        // A record counts from where it is given to the producer: a signal may come first.
        let sending = async move {
            *sent += 1;
            producer.send(record).await
        };
        match self.watched.beside(sending, terminal).await {
            Ok(Ok(delivery)) => {
                let queue = self.watched.underway.entry(delivery.partition()).or_default();
                queue.push_back((delivery, told));
                Ok(())
            }
            Ok(Err(error)) => {
                print_failed(topic.as_str(), (&told, &clients::send_failure(&error)), terminal);
                Ok(())
            }
            Err(signal) if self.sent == before => Err(signal),
            Err(signal) => {
                let class = "org.apache.kafka.common.KafkaException";
                let failure = Failure::new(class, "Producer closed while send in progress");
                print_failed(topic.as_str(), (&told, &failure), terminal);
                Err(signal)
            }
        }
    }
}

/// Records on their way, and the signals that end the loop.
struct Watched {
    signals: Signals,
    underway: BTreeMap<PartitionIndex, VecDeque<(Delivery, Told)>>,
    acked: u64,
}

impl Watched {
    /// Does something while records arrive, until a signal comes.
    async fn beside<F: Future>(&mut self, work: F, terminal: &mut Terminal<'_>) -> Result<F::Output, Signal> {
        let Watched { signals, underway, acked } = self;
        let stop = signals.stop();
        task::pin!(work, stop);
        poll_fn(|context| {
            *acked += settle(underway, context, terminal);
            match stop.as_mut().poll(context) {
                Poll::Ready(signal) => Poll::Ready(Err(signal)),
                Poll::Pending => work.as_mut().poll(context).map(Ok),
            }
        })
        .await
    }

    /// Waits until everything arrived or failed; a further signal changes nothing.
    async fn until_flushed(&mut self, producer: &Producer, terminal: &mut Terminal<'_>) {
        let flush = producer.flush();
        task::pin!(flush);
        poll_fn(|context| {
            let flushed = flush.as_mut().poll(context);
            self.acked += settle(&mut self.underway, context, terminal);
            flushed
        })
        .await;
    }
}

/// Tells of each record that arrived or failed by now; answers how many arrived.
fn settle(
    partitions: &mut BTreeMap<PartitionIndex, VecDeque<(Delivery, Told)>>,
    context: &mut Context<'_>,
    terminal: &mut Terminal<'_>,
) -> u64 {
    let mut acked = 0;
    for underway in partitions.values_mut() {
        while let Some((delivery, told)) = underway.front_mut() {
            let Poll::Ready(outcome) = Pin::new(&mut *delivery).poll(context) else { break };
            match outcome {
                Ok(stored) => {
                    acked += 1;
                    let line = event("producer_send_success")
                        .text_or_null("key", told.key.as_deref())
                        .text("value", &told.value)
                        .plain("offset", stored.offset.map_or(-1, Offset::value))
                        .text("topic", stored.topic.as_str())
                        .plain("partition", stored.partition);
                    print(line, terminal);
                }
                Err(error) => {
                    let failure = clients::delivery_failure(&error);
                    print_failed(delivery.topic().as_str(), (told, &failure), terminal);
                }
            }
            underway.pop_front();
        }
    }
    if acked > 0 {
        terminal.flush();
    }
    acked
}

fn event(name: &str) -> Object {
    Object::new().plain("timestamp", time::wall_now().millis()).text("name", name)
}

fn print_failed(topic: &str, (told, failure): (&Told, &Failure), terminal: &mut Terminal<'_>) {
    let line = event("producer_send_error")
        .text("topic", topic)
        .text_or_null("key", told.key.as_deref())
        .text("value", &told.value)
        .text("exception", &format!("class {}", failure.class))
        .text_or_null("message", failure.message.as_deref());
    print(line, terminal);
    terminal.flush();
}

fn print(object: Object, terminal: &mut Terminal<'_>) {
    terminal.out_line(object.end());
}
