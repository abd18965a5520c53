//! The loop of `kafka-verifiable-consumer`, and its lines.
//!
//! Owns: polling, committing what was read, rebalances that are told while the loop waits, the end.
//! Does not own: the options (`verifiable_consumer`), the consumer (`ottla_client`).

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use ottla_client::Consumer;
use ottla_client::admin::CommittedOffset;
use ottla_client::consumer::{CommitError, ConsumerHandle, ConsumerRecord, RebalanceListener, Step};
use ottla_client::error::ErrorCode;
use ottla_env::sync::mpsc;
use ottla_env::task::{self, Signal, Signals};
use ottla_env::time;
use ottla_model::{Offset, TopicName, TopicPartition};

use super::super::clients;
use super::super::failure::{Failure, invalid_topic, log};
use super::super::json::Object;
use crate::terminal::Terminal;

const LOGGER: &str = "org.apache.kafka.tools.VerifiableConsumer";
/// How long one poll waits.
const POLL: Duration = Duration::from_secs(3_600);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(30);
/// Rebalances that wait to be told.
const EVENTS_MAX: usize = 16;

/// What is read, and how it is told.
pub(super) struct Rules {
    pub topic: String,
    /// What the log calls the consumer.
    pub client: String,
    /// Most records; `None` without a limit.
    pub max: Option<usize>,
    pub commits: bool,
    pub verbose: bool,
}

/// Tells of rebalances.
struct Listener(mpsc::Sender<Object>);

impl Listener {
    fn tell(&self, name: &str, partitions: &[TopicPartition]) -> Step<'_> {
        let told = event(name).array("partitions", partitions.iter().map(of_partition));
        Box::pin(async move {
            // The receiver goes with the process.
            let _ = self.0.send(told).await;
        })
    }
}

impl RebalanceListener for Listener {
    fn on_revoked<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.tell("partitions_revoked", partitions)
    }

    fn on_assigned<'a>(&'a mut self, _: &'a ConsumerHandle, partitions: &'a [TopicPartition]) -> Step<'a> {
        self.tell("partitions_assigned", partitions)
    }
}

/// Why the loop ended.
enum End {
    Enough,
    Signal(Signal),
    Failed(Failure),
}

pub(super) struct Reading {
    consumer: Consumer,
    rules: Rules,
    signals: Signals,
    events: mpsc::Receiver<Object>,
    consumed: usize,
}

impl Reading {
    pub(super) fn new(mut consumer: Consumer, signals: Signals, rules: Rules) -> Reading {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        consumer.set_rebalance_listener(Listener(sender));
        Reading { consumer, rules, signals, events, consumed: 0 }
    }

    /// Reads until there is enough or a signal comes, and leaves the group; answers the signal.
    pub(super) async fn run(mut self, terminal: &mut Terminal<'_>) -> Option<Signal> {
        print(event("startup_complete"), terminal);
        let end = self.read(terminal).await;
        match &end {
            End::Enough => {}
            End::Signal(_) => print(event("shutdown_requested"), terminal),
            End::Failed(failure) => {
                log(terminal, "ERROR", "Error during processing, terminating consumer process: ", LOGGER);
                terminal.err_line(failure);
            }
        }
        let Reading { consumer, mut events, .. } = self;
        telling(consumer.close(CLOSE), (&mut events, terminal)).await;
        print(event("shutdown_complete"), terminal);
        match end {
            End::Signal(signal) => Some(signal),
            End::Enough | End::Failed(_) => {
                print(event("shutdown_requested"), terminal);
                None
            }
        }
    }

    async fn read(&mut self, terminal: &mut Terminal<'_>) -> End {
        let Ok(topic) = TopicName::new(&self.rules.topic) else {
            return End::Failed(invalid_topic(terminal, &self.rules.client, &self.rules.topic));
        };
        if let Err(error) = self.consumer.subscribe([topic]) {
            return End::Failed(Failure::new("java.lang.IllegalStateException", error.to_string()));
        }
        while self.rules.max.is_none_or(|max| self.consumed < max) {
            let polled = task::select! {
                biased;
                signal = self.signals.stop() => return End::Signal(signal),
                polled = telling(self.consumer.poll(POLL), (&mut self.events, terminal)) => polled,
            };
            let records = match polled {
                Ok(records) if records.is_empty() => continue,
                Ok(records) => records,
                Err(error) => return End::Failed(clients::poll_failure(&error)),
            };
            let summaries = self.tell_of(&records, terminal);
            if !self.rules.commits {
                continue;
            }
            if let Err(failure) = self.commit(&summaries, terminal).await {
                return End::Failed(failure);
            }
        }
        End::Enough
    }

    /// Tells what was read, up to the limit.
    fn tell_of(&mut self, records: &[ConsumerRecord], terminal: &mut Terminal<'_>) -> Vec<Summary> {
        let mut summaries: Vec<Summary> = Vec::new();
        for of_partition in in_partitions(records) {
            let left = self.rules.max.map_or(usize::MAX, |max| max - self.consumed);
            let of_partition = &of_partition[..left.min(of_partition.len())];
            let (Some(first), Some(last)) = (of_partition.first(), of_partition.last()) else { continue };
            if self.rules.verbose {
                of_partition.iter().for_each(|record| print(of_record(record), terminal));
            }
            self.consumed += of_partition.len();
            summaries.push(Summary {
                partition: first.topic_partition(),
                count: of_partition.len(),
                min_offset: first.offset,
                max_offset: last.offset,
            });
        }
        let told = event("records_consumed")
            .plain("count", records.len())
            .array("partitions", summaries.iter().map(Summary::told));
        print(told, terminal);
        summaries
    }

    /// Commits behind what was told; only a member that was replaced ends the loop.
    async fn commit(&mut self, summaries: &[Summary], terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let offsets: BTreeMap<TopicPartition, CommittedOffset> = summaries
            .iter()
            .map(|summary| (summary.partition.clone(), CommittedOffset::at(summary.next_offset())))
            .collect();
        let committed = self.consumer.handle().commit_offsets(offsets).await;
        if let Err(CommitError::Group(error)) = &committed
            && error.code == ErrorCode::FencedInstanceId
        {
            return Err(Failure::from(error));
        }
        let offset_of =
            |summary: &Summary| of_partition(&summary.partition).plain("offset", summary.next_offset());
        let mut line = event("offsets_committed").array("offsets", summaries.iter().map(offset_of));
        if let Err(error) = &committed {
            line = line.text("error", clients::commit_failure(error).message());
        }
        print(line.plain("success", committed.is_ok()), terminal);
        Ok(())
    }
}

/// Does something while rebalances are told.
async fn telling<F: Future>(
    work: F,
    (events, terminal): (&mut mpsc::Receiver<Object>, &mut Terminal<'_>),
) -> F::Output {
    task::pin!(work);
    let done = loop {
        task::select! {
            biased;
            done = &mut work => break done,
            Some(event) = events.recv() => print(event, terminal),
        }
    };
    while let Ok(event) = events.try_recv() {
        print(event, terminal);
    }
    done
}

/// Records of one partition that were read together.
struct Summary {
    partition: TopicPartition,
    count: usize,
    min_offset: Offset,
    max_offset: Offset,
}

impl Summary {
    fn next_offset(&self) -> Offset {
        self.max_offset.plus(1)
    }

    fn told(&self) -> Object {
        of_partition(&self.partition)
            .plain("count", self.count)
            .plain("minOffset", self.min_offset)
            .plain("maxOffset", self.max_offset)
    }
}

/// The records of each partition, partitions in the order of their first record.
fn in_partitions(records: &[ConsumerRecord]) -> Vec<Vec<&ConsumerRecord>> {
    let mut partitions: Vec<Vec<&ConsumerRecord>> = Vec::new();
    for record in records {
        let place = |record: &ConsumerRecord| (record.partition, record.topic.clone());
        let same =
            |of: &&mut Vec<&ConsumerRecord>| of.first().is_some_and(|first| place(first) == place(record));
        match partitions.iter_mut().find(same) {
            Some(of_partition) => of_partition.push(record),
            None => partitions.push(vec![record]),
        }
    }
    partitions
}

fn event(name: &str) -> Object {
    Object::new().plain("timestamp", time::wall_now().millis()).text("name", name)
}

fn of_partition(partition: &TopicPartition) -> Object {
    Object::new().text("topic", partition.topic.as_str()).plain("partition", partition.partition)
}

fn of_record(record: &ConsumerRecord) -> Object {
    let text = |bytes: &Option<bytes::Bytes>| {
        bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    event("record_data")
        .text_or_null("key", text(&record.key).as_deref())
        .text_or_null("value", text(&record.value).as_deref())
        .text("topic", record.topic.as_str())
        .plain("partition", record.partition)
        .plain("offset", record.offset)
}

/// Whoever reads the output sees each event at once.
fn print(object: Object, terminal: &mut Terminal<'_>) {
    terminal.out_line(object.end());
    terminal.flush();
}
