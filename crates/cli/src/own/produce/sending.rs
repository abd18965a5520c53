//! The loop of `ottla produce`: record after record, until something ends it.
//!
//! Owns: sending, telling of what arrived in the order of the input, the ways to end, the plan of `--dry-run`.
//! Does not own: what the flags decide (`produce`), reading (`source`).
//!
//! Invariants
//! - I1 whatever ends it, what was sent before is waited for, until a second signal;
//! - I2 an end that was not asked for says how many records were produced.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal};
use std::time::Duration;

use ottla_client::config::ProducerConfig;
use ottla_client::consumer::{ConsumerRecord, RecordHeader, TimestampKind};
use ottla_client::producer::{Delivery, DeliveryError, Header, ProducerRecord, RecordMetadata, SendError};
use ottla_client::{Admin, Producer};
use ottla_env::task::{self, Signal, Signals};
use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};
use serde_json::json;

use super::source::{Incoming, Item};
use super::{Output, Ready, Rules, topic_name};
use crate::own::known_topics::{KnownTopics, named};
use crate::own::plan::{Plan, Status};
use crate::own::progress::Progress;
use crate::own::record::{NewRecord, records_were, text};
use crate::own::refusal::Refusal;
use crate::own::report;
use crate::terminal::Terminal;

/// Records on their way before the next waits for the first of them.
const UNDERWAY_MAX: usize = 100_000;
/// How long closing may take once nothing is on its way.
const CLOSE: Duration = Duration::from_secs(5);

/// Why no more records are sent.
enum End {
    Input,
    Signal(Signal),
    /// A record of the input, or what cannot be done with it.
    Failed(Refusal),
    /// A record that was sent did not arrive.
    Lost,
}

/// A record that was sent.
struct Underway {
    delivery: Delivery,
    line: u64,
    /// Kept where the output shows it.
    record: Option<NewRecord>,
}

/// Everything that sending needs.
pub struct Sending<'a, 'b> {
    admin: Admin,
    rules: Rules,
    output: Output,
    terminal: &'a mut Terminal<'b>,
    signals: Signals,
    topics: KnownTopics,
    underway: VecDeque<Underway>,
    produced: u64,
    lost: u64,
    first_lost: Option<(u64, DeliveryError)>,
}

impl<'a, 'b> Sending<'a, 'b> {
    /// Looks for the topic that was named, before anything is read.
    pub async fn begin(
        admin: Admin,
        (rules, output): (Rules, Output),
        terminal: &'a mut Terminal<'b>,
    ) -> Result<Sending<'a, 'b>, Refusal> {
        let signals =
            Signals::listen().map_err(|error| Refusal::failed("sending cannot begin").detail(error))?;
        let named_topic: Vec<String> = rules.topic.iter().cloned().collect();
        let topics =
            if named_topic.is_empty() { KnownTopics::new() } else { named(&admin, &named_topic).await? };
        Ok(Sending {
            admin,
            rules,
            output,
            terminal,
            signals,
            topics,
            underway: VecDeque::new(),
            produced: 0,
            lost: 0,
            first_lost: None,
        })
    }

    /// Sends all records of the input.
    pub async fn send_all(mut self, incoming: Incoming, config: ProducerConfig) -> Result<(), Refusal> {
        let producer = Producer::new(config)
            .map_err(|error| Refusal::failed("the client could not be started").detail(error))?;
        let mut progress = Progress::of_bytes(incoming.bytes);
        let end = self.send_until_end(incoming, (&producer, &mut progress)).await;
        let given_up = self.wait_for_the_rest(&producer).await;
        progress.finish();
        producer.close(CLOSE).await;
        self.outcome(end, given_up)
    }

    async fn send_until_end(
        &mut self,
        incoming: Incoming,
        (producer, progress): (&Producer, &mut Progress),
    ) -> End {
        let mut items = incoming.items;
        loop {
            let has_room = self.underway.len() < UNDERWAY_MAX;
            let has_first = !self.underway.is_empty();
            let item = task::select! {
                biased;
                signal = self.signals.stop() => return End::Signal(signal),
                outcome = first_outcome(&mut self.underway), if has_first => {
                    self.settle(outcome);
                    if self.lost > 0 {
                        return End::Lost;
                    }
                    continue;
                }
                item = items.recv(), if has_room => item,
            };
            let item = match item {
                None => return End::Input,
                Some(Ok(item)) => item,
                Some(Err(unreadable)) => return End::Failed(unreadable.refusal()),
            };
            progress.done(item.bytes);
            if let Err(end) = self.send(item, producer).await {
                return end;
            }
        }
    }

    async fn send(&mut self, item: Item, producer: &Producer) -> Result<(), End> {
        let line = item.line;
        let (topic, partition, record) = self.checked(item).await.map_err(End::Failed)?;
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let mut sent = ProducerRecord::to(&topic).headers(&headers);
        if let Some(key) = &record.key {
            sent = sent.key(key);
        }
        if let Some(value) = &record.value {
            sent = sent.value(value);
        }
        if let Some(partition) = partition {
            sent = sent.partition(partition);
        }
        if let Some(millis) = record.timestamp {
            sent = sent.timestamp(Timestamp::from_millis(millis));
        }
        let outcome = task::select! {
            biased;
            signal = self.signals.stop() => return Err(End::Signal(signal)),
            outcome = producer.send(sent) => outcome,
        };
        drop(headers);
        match outcome {
            Ok(delivery) => {
                let record = matches!(self.output, Output::Text(_)).then_some(record);
                self.underway.push_back(Underway { delivery, line, record });
                Ok(())
            }
            Err(error) => Err(End::Failed(not_sent(line, &error))),
        }
    }

    /// The record as the flags have it, if its topic and its partition are there.
    async fn checked(
        &mut self,
        item: Item,
    ) -> Result<(TopicName, Option<PartitionIndex>, NewRecord), Refusal> {
        let line = item.line;
        let Some(Ready { topic, record }) = self.rules.apply(item.record) else {
            return Err(Refusal::failed(format!("the record at line {line} has no topic"))
                .hint("`ottla produce TOPIC` names one for records that have none"));
        };
        let at_line = |refusal: Refusal| refusal.detail_more(&format!("The record at line {line} names it"));
        let name = topic_name(&topic).map_err(at_line)?;
        if !self.topics.contains_key(&name) {
            let found = named(&self.admin, &[topic]).await.map_err(at_line)?;
            self.topics.extend(found);
        }
        let partitions = self.topics.get(&name).map(Vec::as_slice).unwrap_or_default();
        let Some(wanted) = record.partition else { return Ok((name, None, record)) };
        match partitions.iter().find(|index| index.value() == wanted) {
            Some(index) => Ok((name, Some(*index), record)),
            None => Err(Refusal::failed(format!("topic {name} has no partition {wanted}"))
                .detail(format_args!(
                    "It has {}, and the record at line {line} is for another",
                    partitions.len()
                ))
                .hint("--repartition chooses partitions by key")),
        }
    }

    /// Counts what became of the first record on its way, and prints it.
    fn settle(&mut self, outcome: Result<RecordMetadata, DeliveryError>) {
        let Some(Underway { line, record, .. }) = self.underway.pop_front() else { return };
        match outcome {
            Ok(stored) => {
                self.produced += 1;
                self.print(&stored, record);
                if self.underway.is_empty() {
                    self.terminal.flush();
                }
            }
            Err(error) => {
                self.lost += 1;
                self.first_lost.get_or_insert((line, error));
            }
        }
    }

    fn print(&mut self, stored: &RecordMetadata, record: Option<NewRecord>) {
        match &self.output {
            Output::None => {}
            Output::Json => self.terminal.out_line(json!({
                "topic": stored.topic.as_str(),
                "partition": stored.partition.value(),
                "offset": stored.offset.map(Offset::value),
                "timestamp": stored.timestamp.millis(),
            })),
            // A broker that has the record from an earlier attempt may have forgotten where.
            Output::Text(_) if stored.offset.is_none() => {}
            Output::Text(format) => {
                let mut out = Vec::new();
                let (record, count) = (shown(stored, record.unwrap_or_default()), self.produced);
                text::write(format, (&record, count), &mut out);
                self.terminal.out_bytes(&out);
            }
        }
    }

    /// Waits for what is on its way (I1); answers whether a signal said not to.
    async fn wait_for_the_rest(&mut self, producer: &Producer) -> bool {
        let flush = producer.flush();
        task::pin!(flush);
        let mut is_flushed = false;
        while !self.underway.is_empty() {
            task::select! {
                biased;
                _ = self.signals.stop() => return true,
                () = &mut flush, if !is_flushed => is_flushed = true,
                outcome = first_outcome(&mut self.underway) => self.settle(outcome),
            }
        }
        false
    }

    fn outcome(self, end: End, given_up: bool) -> Result<(), Refusal> {
        let produced = self.produced;
        let mut so_far = format!("{} produced", records_were(produced));
        if self.lost > 0 {
            so_far += &format!(", {} failed", self.lost);
        }
        if given_up {
            so_far += &format!(", of {} it is not known", self.underway.len());
        }
        match (end, self.first_lost) {
            (End::Failed(refusal), _) => Err(refusal.detail_more(&so_far)),
            (End::Signal(signal), None) => Err(Refusal::ended_by(signal, so_far)),
            (End::Input | End::Lost | End::Signal(_), Some((line, error))) => {
                Err(not_stored(line, &error).detail_more(&so_far))
            }
            (End::Input | End::Lost, None) if given_up => Err(Refusal::ended_by(Signal::Interrupt, so_far)),
            (End::Input | End::Lost, None) => {
                // Whoever read the output had enough.
                let failure = self.terminal.out_failure().filter(|kind| *kind != ErrorKind::BrokenPipe);
                if let Some(kind) = failure {
                    let refusal = Refusal::failed("standard output cannot be written").detail(kind);
                    return Err(refusal.detail_more(&so_far));
                }
                if std::io::stderr().is_terminal() && matches!(self.output, Output::None) {
                    self.terminal.err_line(so_far);
                }
                Ok(())
            }
        }
    }

    /// Reads everything, checks it, and tells what would be produced.
    pub async fn try_all(mut self, incoming: Incoming) -> Result<(), Refusal> {
        let mut items = incoming.items;
        let mut sums: BTreeMap<TopicName, Sums> = BTreeMap::new();
        loop {
            let item = task::select! {
                biased;
                signal = self.signals.stop() => {
                    return Err(Refusal::ended_by(signal, "nothing was produced"));
                }
                item = items.recv() => item,
            };
            let item = match item {
                None => break,
                Some(Ok(item)) => item,
                Some(Err(unreadable)) => return Err(unreadable.refusal()),
            };
            let (topic, partition, record) = self.checked(item).await?;
            sums.entry(topic).or_default().add(partition, &record);
        }
        let mut plan = Plan::new("produce", "topic");
        for (topic, sums) in &sums {
            plan.push(topic.as_str(), &sums.to_string(), Ok(Status::Planned));
        }
        let form =
            if matches!(self.output, Output::Json) { report::Output::Json } else { report::Output::Table };
        plan.finish(form, self.terminal)
    }
}

/// What would be produced to one topic.
#[derive(Clone, Debug, Default)]
struct Sums {
    records: u64,
    bytes: usize,
    tombstones: u64,
    partitions: BTreeMap<PartitionIndex, u64>,
}

impl Sums {
    fn add(&mut self, partition: Option<PartitionIndex>, record: &NewRecord) {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        self.records += 1;
        self.bytes += length(&record.key) + length(&record.value);
        self.tombstones += u64::from(record.value.is_none());
        if let Some(partition) = partition {
            *self.partitions.entry(partition).or_default() += 1;
        }
    }
}

impl Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "records={} bytes={}", self.records, self.bytes)?;
        if self.tombstones > 0 {
            write!(f, " tombstones={}", self.tombstones)?;
        }
        for (partition, count) in &self.partitions {
            write!(f, " partition-{partition}={count}")?;
        }
        Ok(())
    }
}

/// What became of the record that was sent first.
async fn first_outcome(underway: &mut VecDeque<Underway>) -> Result<RecordMetadata, DeliveryError> {
    match underway.front_mut() {
        Some(first) => (&mut first.delivery).await,
        None => std::future::pending().await,
    }
}

/// A record as it lies in its partition now.
fn shown(stored: &RecordMetadata, record: NewRecord) -> ConsumerRecord {
    let header = |(key, value): (Vec<u8>, Option<Vec<u8>>)| RecordHeader {
        key: key.into(),
        value: value.map(Into::into),
    };
    ConsumerRecord {
        topic: stored.topic.clone(),
        partition: stored.partition,
        offset: stored.offset.unwrap_or_default(),
        leader_epoch: None,
        timestamp: stored.timestamp,
        timestamp_kind: TimestampKind::CreateTime,
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: record.headers.into_iter().map(header).collect(),
    }
}

fn not_sent(line: u64, error: &SendError) -> Refusal {
    let message = format!("the record at line {line} was not sent");
    match error {
        SendError::TopicRefused { error, .. } => Refusal::by_cluster(message, error),
        SendError::Call(error) => Refusal::no_answer(message, error),
        SendError::TooLargeForRequest { .. } => {
            Refusal::failed(message).detail(error).hint("-X max.request.size=BYTES allows larger ones")
        }
        SendError::TooLargeForBuffer { .. } => {
            Refusal::failed(message).detail(error).hint("-X buffer.memory=BYTES allows larger ones")
        }
        SendError::TopicUnknown { .. }
        | SendError::PartitionUnknown { .. }
        | SendError::NoSuchPartition { .. }
        | SendError::BufferFull { .. }
        | SendError::Closed
        | SendError::Build(_) => Refusal::failed(message).detail(error),
    }
}

fn not_stored(line: u64, error: &DeliveryError) -> Refusal {
    let message = format!("the record at line {line} was not produced");
    match error {
        DeliveryError::Refused { error, .. } => Refusal::by_cluster(message, error),
        DeliveryError::Call(error) => Refusal::no_answer(message, error),
        DeliveryError::Expired { maybe_stored: true, .. } => {
            Refusal::failed(format!("of the record at line {line} it is not known whether it was produced"))
                .detail(error)
        }
        DeliveryError::Expired { .. } | DeliveryError::Build(_) | DeliveryError::Closed => {
            Refusal::failed(message).detail(error)
        }
    }
}
