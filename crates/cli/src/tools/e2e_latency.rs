//! `kafka-e2e-latency`: how long a record takes from a producer to a consumer.
//!
//! Owns: records sent one by one, each read before the next one is sent, and the figures.
//! Does not own: the command line (`options`), what records look like (`payload`), the clients (`ottla_client`).
//!
//! Source: `kafka-e2e-latency.sh` of Kafka 4.3.1 (`tests/data/perf.txt`, `tests/data/perf-offline.txt`).

mod options;
mod payload;

use std::time::Duration;

use ottla_client::admin::{Layout, NewTopic};
use ottla_client::config::Properties;
use ottla_client::producer::ProducerRecord;
use ottla_client::{Consumer, Producer};
use ottla_env::time;
use ottla_model::{PartitionIndex, TopicName, TopicPartition};
use ottla_protocol::record::Header;

use super::failure::Failure;
use super::java_number::{decimal, double};
use super::throttle::as_f64;
use super::{clients, session, usage};
use crate::jopt;
use crate::operation_failure;
use crate::terminal::Terminal;
use options::{OPTIONS, Plan, Refusal};
use payload::{Letters, Sent};

/// How long a record may take.
const POLL: Duration = Duration::from_secs(60);
/// How long the clients may take to end.
const CLOSE: Duration = Duration::from_secs(30);
/// A line of progress stands for so many records.
const PROGRESS: u64 = 1_000;

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let named = match options::named(args, terminal) {
        Ok(named) => named,
        Err(message) => {
            terminal.err_line(message);
            return 1;
        }
    };
    let given = match jopt::parse(OPTIONS, &named) {
        Ok(given) => given,
        Err(error) => return usage::refuse(terminal, OPTIONS, &error.to_string()),
    };
    let about =
        "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.";
    if let Some(code) = usage::help_or_version(terminal, &given, (&named, about)) {
        return code;
    }
    let plan = match options::plan(&given) {
        Ok(plan) => plan,
        Err(Refusal::Usage(message)) => return usage::refuse(terminal, OPTIONS, &message),
        Err(Refusal::Failure(failure)) => return fail(&failure, terminal),
    };
    session::run("kafka-e2e-latency", async {
        match work(&plan, terminal).await {
            Ok(()) => 0,
            Err(failure) => fail(&failure, terminal),
        }
    })
}

fn fail(failure: &Failure, terminal: &mut Terminal<'_>) -> u8 {
    terminal.err_line(failure.message());
    terminal.err_line(failure);
    1
}

async fn work(plan: &Plan, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let mut consumer = clients::consumer(terminal, &consumer_properties(plan)).await?;
    let producer = clients::producer(terminal, &producer_properties(plan)).await?;
    create_topic(plan, terminal).await?;
    let invalid = "org.apache.kafka.common.errors.InvalidTopicException";
    let topic = TopicName::new(&plan.topic).map_err(|error| Failure::new(invalid, error.to_string()))?;
    seek_to_end(&mut consumer, &producer, &topic).await?;
    let outcome = measure(&mut consumer, &producer, (plan, &topic, terminal)).await;
    let committed = consumer.handle().commit().await;
    producer.close(CLOSE).await;
    consumer.close(CLOSE).await;
    outcome?;
    committed.map_err(|error| clients::commit_failure(&error))
}

/// The properties of the file with these over them.
fn properties(plan: &Plan, over: &[(&str, &str)]) -> Properties {
    let mut properties = plan.of_file.clone();
    properties.insert("bootstrap.servers".to_owned(), plan.bootstrap.clone());
    properties.extend(over.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    properties
}

fn consumer_properties(plan: &Plan) -> Properties {
    let group = format!("test-group-{}", time::wall_now().millis());
    properties(
        plan,
        &[
            ("group.id", &group),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "latest"),
            // A record is not kept back to come together with others.
            ("fetch.max.wait.ms", "0"),
        ],
    )
}

fn producer_properties(plan: &Plan) -> Properties {
    let for_ever = i64::MAX.to_string();
    properties(plan, &[("linger.ms", "0"), ("max.block.ms", &for_ever), ("acks", &plan.acks)])
}

async fn create_topic(plan: &Plan, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let admin = session::admin(terminal, &properties(plan, &[])).await?;
    let no_answer = |_| {
        let message = "Timeout expired while fetching topic metadata";
        Failure::new("org.apache.kafka.common.errors.TimeoutException", message)
    };
    let topics = admin.list_topics().await.map_err(no_answer)?;
    if topics.iter().any(|topic| topic.name == plan.topic) {
        return Ok(());
    }
    terminal.out_line(format_args!(
        "Topic \"{}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1",
        plan.topic
    ));
    let topic = NewTopic {
        name: plan.topic.clone(),
        layout: Layout::Counts { partitions: Some(1), replication_factor: Some(1) },
        configs: Default::default(),
    };
    let created = admin.create_topics(&[topic], false).await;
    let failure = match created.map(|created| created.into_iter().next()) {
        Ok(None | Some((_, Ok(_)))) => return Ok(()),
        Ok(Some((_, Err(error)))) => operation_failure!(error),
        Err(error) => Failure::from(&error),
    };
    terminal.out_line(format_args!("Creation of topic {} failed", plan.topic));
    Err(failure.in_execution().in_runtime())
}

/// Reads all partitions of the topic from where they end now.
async fn seek_to_end(consumer: &mut Consumer, producer: &Producer, topic: &TopicName) -> Result<(), Failure> {
    let count = producer.partition_count(topic).await.map_err(|error| clients::send_failure(&error))?;
    let indexes = (0..).map_while(PartitionIndex::new).take(usize::try_from(count).unwrap_or(0));
    let partitions: Vec<TopicPartition> =
        indexes.map(|index| TopicPartition::new(topic.clone(), index)).collect();
    consumer.assign(partitions.iter().cloned());
    let handle = consumer.handle();
    let sought = partitions.iter().try_for_each(|partition| handle.seek_to_end(partition));
    sought.map_err(|error| Failure::new("java.lang.IllegalStateException", error.to_string()))?;
    for partition in &partitions {
        handle.position(partition).await.map_err(|error| {
            Failure::new("org.apache.kafka.common.errors.TimeoutException", error.to_string())
        })?;
    }
    Ok(())
}

async fn measure(
    consumer: &mut Consumer,
    producer: &Producer,
    (plan, topic, terminal): (&Plan, &TopicName, &mut Terminal<'_>),
) -> Result<(), Failure> {
    let mut letters = Letters::new();
    let mut latencies = Vec::new();
    for number in 0..plan.records {
        let sent = Sent::new(&plan.sizes, &mut letters);
        let begin = time::now();
        send(producer, topic, &sent).await?;
        let read = consumer.poll(POLL).await.map_err(|error| clients::poll_failure(&error))?;
        let elapsed = begin.elapsed();
        if let Some(difference) = sent.difference(&read, POLL) {
            return Err(Failure::runtime(difference));
        }
        if number.is_multiple_of(PROGRESS) {
            terminal.out_line(format_args!("{number}\t{}", double(milliseconds(elapsed))));
            terminal.flush();
        }
        latencies.push(elapsed);
    }
    print_results(latencies, terminal);
    Ok(())
}

async fn send(producer: &Producer, topic: &TopicName, sent: &Sent) -> Result<(), Failure> {
    let headers: Vec<Header<'_>> =
        sent.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    let mut record = ProducerRecord::to(topic).value(&sent.value).headers(&headers);
    if let Some(key) = &sent.key {
        record = record.key(key);
    }
    let delivery = producer.send(record).await;
    let delivery = delivery.map_err(|error| clients::send_failure(&error).in_execution())?;
    delivery.await.map(drop).map_err(|error| clients::delivery_failure(&error).in_execution())
}

fn print_results(mut latencies: Vec<Duration>, terminal: &mut Terminal<'_>) {
    let total: Duration = latencies.iter().sum();
    let count = as_f64(u64::try_from(latencies.len()).unwrap_or(u64::MAX));
    terminal.out_line(format_args!("Avg latency: {} ms", decimal(milliseconds(total) / count, 4)));
    latencies.sort_unstable();
    let at = |promille: usize| {
        let index = latencies.len() * promille / 1000;
        latencies.get(index).map_or(0, Duration::as_millis)
    };
    terminal.out_line(format_args!(
        "Percentiles: 50th = {}, 99th = {}, 99.9th = {}",
        at(500),
        at(990),
        at(999)
    ));
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
