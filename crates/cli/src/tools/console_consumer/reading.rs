//! The loop of `kafka-console-consumer`: record after record, until something ends it.
//!
//! Owns: subscribing, polling, printing, the ways to end.
//! Does not own: the options (`options`), what a record looks like (`formatter`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ottla_client::Consumer;
use ottla_client::config::{ClientKind, ConsumerConfig};
use ottla_client::consumer::ConsumerRecord;
use ottla_env::task::{self, Signal, Signals};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};
use regex::Regex;

use super::super::clients::{self, not_constructed};
use super::super::failure::{Failure, invalid_topic, log};
use super::super::session;
use super::options::{Plan, Source, Start};
use super::{LOGGER, unknown_error};
use crate::terminal::{Terminal, exit_code_of};

/// How long one poll waits where no timeout was asked for.
const POLL: Duration = Duration::from_secs(3_600);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(30);

/// Why reading ended.
enum End {
    Enough,
    /// Standard output takes no more.
    NoReader,
    Signal(Signal),
    /// Said in the log; the tool still ends well.
    Terminated(Failure),
    /// A record that cannot be formatted.
    Unreadable(Failure),
}

/// Reads and prints records; answers the exit code.
pub(super) async fn run(
    plan: Plan,
    (config, max): (ConsumerConfig, Option<i64>),
    terminal: &mut Terminal<'_>,
) -> u8 {
    session::warn_of_unknown(terminal, ClientKind::Consumer, &plan.properties);
    let made = match session::check_addresses(terminal, &config.common).await {
        Ok(()) => {
            Consumer::new(config).map_err(|error| Failure::new("java.io.IOException", error.to_string()))
        }
        Err(failure) => Err(failure),
    };
    let consumer = match made {
        Ok(consumer) => consumer,
        Err(failure) => return unknown_error(terminal, &not_constructed(failure, "consumer")),
    };
    let mut reading = Reading { consumer, ahead: VecDeque::new(), count: 0 };
    let end = match reading.begin(&plan, terminal) {
        Ok(()) => reading.read(&plan, max, terminal).await,
        Err(failure) => End::Terminated(failure),
    };
    if let End::Terminated(failure) = &end {
        log(terminal, "ERROR", "Error processing message, terminating consumer process: ", LOGGER);
        terminal.err_line(failure);
    }
    let count = reading.count;
    reading.close().await;
    terminal.err_line(format_args!("Processed a total of {count} messages"));
    if plan.systest_events {
        terminal.out_line("shutdown_complete");
    }
    match end {
        End::Enough | End::NoReader | End::Terminated(_) => 0,
        End::Signal(signal) => exit_code_of(signal),
        End::Unreadable(failure) => unknown_error(terminal, &failure),
    }
}

struct Reading {
    consumer: Consumer,
    /// Polled and not yet printed.
    ahead: VecDeque<ConsumerRecord>,
    count: u64,
}

impl Reading {
    fn begin(&mut self, plan: &Plan, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let property = |key: &str| plan.properties.get(key).map_or("", String::as_str);
        let client = format!("Consumer clientId={}, groupId={}", property("client.id"), property("group.id"));
        let mut topic_of =
            |name: &str| TopicName::new(name).map_err(|_| invalid_topic(terminal, &client, name));
        let illegal_state = |message: String| Failure::new("java.lang.IllegalStateException", message);
        match &plan.source {
            Source::Topic(topic) => {
                let topic = topic_of(topic)?;
                self.consumer.subscribe([topic]).map_err(|error| illegal_state(error.to_string()))
            }
            Source::Pattern(pattern) => {
                let bad = |error: regex::Error| {
                    Failure::new("java.util.regex.PatternSyntaxException", error.to_string())
                };
                let pattern = Regex::new(&format!("^(?:{pattern})$")).map_err(bad)?;
                self.consumer.subscribe_pattern(pattern).map_err(|error| illegal_state(error.to_string()))
            }
            Source::Partition { topic, partition, start } => {
                let topic = topic_of(topic)?;
                let Some(index) = PartitionIndex::new(*partition) else {
                    return Err(Failure::illegal_argument(format!("Invalid partition: {partition}")));
                };
                let partition = TopicPartition::new(topic, index);
                self.consumer.assign([partition.clone()]);
                let handle = self.consumer.handle();
                let sought = match start {
                    Start::Earliest => handle.seek_to_beginning(&partition),
                    Start::Latest => handle.seek_to_end(&partition),
                    Start::At(offset) => handle.seek(&partition, *offset),
                };
                sought.map_err(|error| illegal_state(error.to_string()))
            }
        }
    }

    async fn read(&mut self, plan: &Plan, max: Option<i64>, terminal: &mut Terminal<'_>) -> End {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return End::Terminated(Failure::new("java.io.IOException", error.to_string())),
        };
        let timeout = plan.timeout_ms.map(Duration::from_millis);
        let has_enough =
            |count: u64| max.is_some_and(|max| i64::try_from(count).is_ok_and(|count| count == max));
        while !has_enough(self.count) {
            let next = task::select! {
                biased;
                signal = signals.stop() => return End::Signal(signal),
                next = self.next(timeout) => next,
            };
            let record = match next {
                Ok(record) => record,
                Err(failure) => return End::Terminated(failure),
            };
            self.count += 1;
            match plan.formatter.write(&record) {
                Ok(line) => terminal.out_bytes(&line),
                Err(failure) if plan.skip_on_error => {
                    log(terminal, "ERROR", "Error processing message, skipping this message: ", LOGGER);
                    terminal.err_line(failure);
                }
                Err(failure) => return End::Unreadable(failure),
            }
            if self.ahead.is_empty() {
                // Whoever reads the output sees records while the next ones are waited for.
                terminal.flush();
            }
            if terminal.out_failure().is_some() {
                terminal.err_line("Unable to write to standard out, closing consumer.");
                return End::NoReader;
            }
        }
        End::Enough
    }

    /// The next record; no record for the time of the timeout is a failure.
    async fn next(&mut self, timeout: Option<Duration>) -> Result<ConsumerRecord, Failure> {
        loop {
            if let Some(record) = self.ahead.pop_front() {
                return Ok(record);
            }
            let records = self
                .consumer
                .poll(timeout.unwrap_or(POLL))
                .await
                .map_err(|error| clients::poll_failure(&error))?;
            if records.is_empty() && timeout.is_some() {
                return Err(Failure::silent("org.apache.kafka.common.errors.TimeoutException"));
            }
            self.ahead.extend(records);
        }
    }

    /// Goes back to the first record of each partition that was not printed, so that a commit does not skip it, and
    /// leaves.
    async fn close(self) {
        let mut unread: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        for record in &self.ahead {
            let first = unread.entry(record.topic_partition()).or_insert(record.offset);
            *first = (*first).min(record.offset);
        }
        for (partition, offset) in unread {
            // A partition that was taken away meanwhile is somebody else's.
            let _ = self.consumer.handle().seek(&partition, offset);
        }
        self.consumer.close(CLOSE).await;
    }
}
