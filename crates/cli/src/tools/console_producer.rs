//! `kafka-console-producer`: lines of standard input as records of a topic.
//!
//! Owns: its options, reading input while records are on their way, reporting what did not arrive.
//! Does not own: cutting lines (`line_reader`), the producer (`ottla_client`).
//!
//! Source: `kafka-console-producer.sh` of Kafka 4.3.1 (`tests/data/console.txt`, `tests/data/offline.txt`).

mod line_reader;

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use ottla_client::Producer;
use ottla_client::config::{ClientKind, ProducerConfig, Properties};
use ottla_client::producer::{Delivery, ProducerRecord};
use ottla_env::sync::mpsc;
use ottla_env::task::{self, Signal, Signals};
use ottla_model::TopicName;
use ottla_protocol::record::Header;

use super::clients;
use super::failure::{Failure, invalid_topic, log, of_config};
use super::{session, usage};
use crate::jopt::{self, Given, Opt, OptError, flag, maybe_value, value};
use crate::terminal::{Terminal, exit_code_of};
use line_reader::{LineReader, LineRecord};

const READER_CLASS: &str = "org.apache.kafka.tools.LineMessageReader";
const CALLBACK_LOGGER: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";

/// Lines read ahead of the producer.
const LINES_AHEAD_MAX: usize = 1_000;
/// Records on their way before reading waits for the first of them.
const DELIVERIES_MAX: usize = 100_000;
/// How long the last records may take after the end of input. The producer's own timeouts end before.
const CLOSE_MAX: Duration = Duration::from_secs(3_600);

const OPTIONS: &[Opt] = &[
    value("batch-size", "Integer: size", "Bytes of a batch per partition (batch.size). Default: 16384."),
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value("command-config", "String: config file", "A properties file for the producer."),
    value("command-property", "String: producer_prop", "A property of the producer, as key=value."),
    maybe_value(
        "compression-codec",
        "String: compression-codec",
        "none, gzip, snappy, lz4 or zstd; gzip without a value.",
    ),
    flag("help", "Print usage information."),
    value("line-reader", "String: reader_class", "Only org.apache.kafka.tools.LineMessageReader is known."),
    value(
        "max-block-ms",
        "Long: max block on send",
        "How long sending may wait for metadata and room. Default: 60000.",
    ),
    value(
        "max-memory-bytes",
        "Long: total memory in bytes",
        "Bytes of records on their way. Default: 33554432.",
    ),
    value(
        "max-partition-memory-bytes",
        "Integer: memory in bytes per partition",
        "DEPRECATED: use --batch-size.",
    ),
    value("message-send-max-retries", "Integer", "How often sending is tried again. Default: 3."),
    value(
        "metadata-expiry-ms",
        "Long: metadata expiration interval",
        "Age at which metadata are refreshed. Default: 300000.",
    ),
    value("producer-property", "String: producer_prop", "DEPRECATED: use --command-property."),
    value("producer.config", "String: config file", "DEPRECATED: use --command-config."),
    value("property", "String: prop", "DEPRECATED: use --reader-property."),
    value("reader-config", "String: config file", "A properties file for the line reader."),
    value(
        "reader-property",
        "String: prop",
        "A property of the line reader, as key=value: parse.key, parse.headers, key.separator, headers.delimiter, \
         headers.separator, headers.key.separator, ignore.error, null.marker.",
    ),
    value("request-required-acks", "String: request required acks", "The acks of the producer. Default: -1."),
    value(
        "request-timeout-ms",
        "Integer: request timeout ms",
        "How long one request may take. Default: 1500.",
    ),
    value("retry-backoff-ms", "Long", "The pause before sending again. Default: 100."),
    value("socket-buffer-size", "Integer: size", "Bytes of the socket's send buffer. Default: 102400."),
    flag("sync", "Wait for each record before the next is sent."),
    value(
        "timeout",
        "Long: timeout_ms",
        "How long a batch waits for more records (linger.ms). Default: 1000.",
    ),
    value("topic", "String: topic", "REQUIRED: The topic to write to."),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return usage::refuse(terminal, OPTIONS, &error.to_string()),
    };
    let about = "This tool helps to read data from standard input and publish it to Kafka.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = check_usage(&given) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    warn_of_deprecated(&given, terminal);
    match plan(&given) {
        Ok(plan) => session::run("kafka-console-producer", work(plan, terminal)),
        Err(Refusal::Option(error)) => {
            terminal.err_line(error);
            1
        }
        Err(Refusal::Failure(failure)) => {
            terminal.err_line(failure);
            1
        }
    }
}

/// What the command line asks for.
struct Plan {
    topic: String,
    config: ProducerConfig,
    properties: Properties,
    reader: LineReader,
    sync: bool,
}

/// Why it cannot be done.
enum Refusal {
    Option(OptError),
    Failure(Failure),
}

impl From<OptError> for Refusal {
    fn from(error: OptError) -> Refusal {
        Refusal::Option(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Failure(failure)
    }
}

fn check_usage(given: &Given) -> Result<(), String> {
    usage::require(given, &["topic"])?;
    for (first, second) in [
        ("command-property", "producer-property"),
        ("command-config", "producer.config"),
        ("reader-property", "property"),
    ] {
        if given.has(first) && given.has(second) {
            return Err(format!("Options --{first} and --{second} cannot be specified together."));
        }
    }
    let Some(addresses) = given.values("bootstrap-server").last() else {
        return Err("Error while validating the bootstrap address\n".to_owned());
    };
    usage::check_addresses(addresses)
}

fn warn_of_deprecated(given: &Given, terminal: &mut Terminal<'_>) {
    let release = "will be removed in a future version";
    for (old, new, until) in [
        ("property", "reader-property", release),
        ("producer-property", "command-property", release),
        ("producer.config", "command-config", release),
        ("max-partition-memory-bytes", "batch-size", "will be removed in Apache Kafka 5.0"),
    ] {
        if given.has(old) {
            terminal
                .out_line(format_args!("Warning: --{old} is deprecated and {until}. Use --{new} instead."));
        }
    }
}

/// Options that stand for a property of the producer, with the value that holds where neither is given.
const MERGED: &[(&str, &str, &str)] = &[
    ("timeout", "linger.ms", "1000"),
    ("request-required-acks", "acks", "-1"),
    ("request-timeout-ms", "request.timeout.ms", "1500"),
    ("message-send-max-retries", "retries", "3"),
    ("retry-backoff-ms", "retry.backoff.ms", "100"),
    ("socket-buffer-size", "send.buffer.bytes", "102400"),
    ("max-memory-bytes", "buffer.memory", "33554432"),
    ("max-partition-memory-bytes", "batch.size", "16384"),
    ("batch-size", "batch.size", "16384"),
    ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
    ("max-block-ms", "max.block.ms", "60000"),
];

fn plan(given: &Given) -> Result<Plan, Refusal> {
    let class = given.value("line-reader")?.unwrap_or(READER_CLASS);
    if class != READER_CLASS {
        return Err(Failure::new("java.lang.ClassNotFoundException", class).into());
    }
    let mut of_reader = file_of(given, &["reader-config"])?;
    let given_properties = given.values("reader-property").chain(given.values("property"));
    of_reader.extend(session::properties_of_args(given_properties));
    let properties = producer_properties(given)?;
    let config = ProducerConfig::from_properties(&properties).map_err(|error| of_config(&error))?;
    Ok(Plan {
        topic: given.value("topic")?.unwrap_or_default().to_owned(),
        config,
        properties,
        reader: LineReader::new(&of_reader)?,
        sync: given.has("sync"),
    })
}

/// The properties in the file that one of the options names.
fn file_of(given: &Given, options: &[&'static str]) -> Result<Properties, Refusal> {
    for option in options {
        if let Some(path) = given.value(option)? {
            return Ok(session::properties_of_file(path)?);
        }
    }
    Ok(Properties::new())
}

fn producer_properties(given: &Given) -> Result<Properties, Refusal> {
    let mut properties = file_of(given, &["command-config", "producer.config"])?;
    let single = given.values("command-property").chain(given.values("producer-property"));
    properties.extend(session::properties_of_args(single));
    let bootstrap = given.value("bootstrap-server")?.unwrap_or_default();
    properties.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
    let codec = match (given.has("compression-codec"), given.value("compression-codec")?) {
        (true, Some(codec)) => Some(codec),
        (true, None) => Some("gzip"),
        (false, _) => None,
    };
    if let Some(codec) = codec {
        properties.insert("compression.type".to_owned(), codec.to_owned());
    }
    properties.entry("client.id".to_owned()).or_insert_with(|| "console-producer".to_owned());
    for (option, key, default) in MERGED {
        if *option != "request-required-acks" {
            // Numbers are checked as options, before the producer sees them.
            given.number::<i64>(option)?;
        }
        match given.value(option)? {
            Some(value) => drop(properties.insert((*key).to_owned(), value.to_owned())),
            None => drop(properties.entry((*key).to_owned()).or_insert_with(|| (*default).to_owned())),
        }
    }
    Ok(properties)
}

async fn work(plan: Plan, terminal: &mut Terminal<'_>) -> u8 {
    session::warn_of_unknown(terminal, ClientKind::Producer, &plan.properties);
    let addresses = session::check_addresses(terminal, &plan.config.common).await;
    let created = addresses.and_then(|()| {
        Producer::new(plan.config).map_err(|error| Failure::new("java.io.IOException", error.to_string()))
    });
    let producer = match created {
        Ok(producer) => producer,
        Err(failure) => {
            let class = "org.apache.kafka.common.KafkaException";
            terminal.err_line(failure.causing(class, "Failed to construct kafka producer"));
            return 1;
        }
    };
    let client_id = plan.properties.get("client.id").map_or("", String::as_str);
    let mut sending = Sending {
        producer,
        client: format!("Producer clientId={client_id}"),
        topic: plan.topic,
        sync: plan.sync,
        deliveries: VecDeque::new(),
    };
    let end = sending.read_all(plan.reader, terminal).await;
    sending.finish(terminal).await;
    match end {
        End::Input => 0,
        End::Signal(signal) => exit_code_of(signal),
        End::Failed(failure) => {
            terminal.err_line(failure);
            1
        }
    }
}

/// Why reading ended.
enum End {
    Input,
    Signal(Signal),
    Failed(Failure),
}

/// A record on its way, as an error message describes it.
struct Underway {
    delivery: Delivery,
    description: String,
}

struct Sending {
    producer: Producer,
    /// What the log calls it.
    client: String,
    topic: String,
    sync: bool,
    deliveries: VecDeque<Underway>,
}

impl Sending {
    async fn read_all(&mut self, mut reader: LineReader, terminal: &mut Terminal<'_>) -> End {
        let (mut lines, mut signals) = match (read_input(), Signals::listen()) {
            (Ok(lines), Ok(signals)) => (lines, signals),
            (Err(error), _) | (_, Err(error)) => {
                return End::Failed(Failure::new("java.io.IOException", error.to_string()));
            }
        };
        let prompt = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        loop {
            if prompt {
                terminal.out(">");
                terminal.flush();
            }
            let line = task::select! {
                biased;
                signal = signals.stop() => return End::Signal(signal),
                line = lines.recv() => line,
            };
            let Some(line) = line else { return End::Input };
            match reader.read(&line) {
                Ok(record) => self.send(&record, terminal).await,
                Err(failure) => return End::Failed(failure),
            }
        }
    }

    async fn send(&mut self, record: &LineRecord, terminal: &mut Terminal<'_>) {
        let bytes = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map_or("null".to_owned(), |bytes| format!("{} bytes", bytes.len()))
        };
        let description =
            format!("topic {} with key: {}, value: {}", self.topic, bytes(&record.key), bytes(&record.value));
        let Ok(topic) = TopicName::new(&self.topic) else {
            let failure = invalid_topic(terminal, &self.client, &self.topic);
            return report(terminal, &description, &failure);
        };
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let mut sent = ProducerRecord::to(&topic).headers(&headers);
        if let Some(key) = &record.key {
            sent = sent.key(key);
        }
        if let Some(value) = &record.value {
            sent = sent.value(value);
        }
        match self.producer.send(sent).await {
            Ok(delivery) => self.deliveries.push_back(Underway { delivery, description }),
            Err(error) => report(terminal, &description, &clients::send_failure(&error)),
        }
        let keep = if self.sync { 0 } else { DELIVERIES_MAX };
        self.settle(keep, terminal).await;
    }

    /// Waits for deliveries until at most `keep` are open, and reports those that failed.
    async fn settle(&mut self, keep: usize, terminal: &mut Terminal<'_>) {
        while self.deliveries.len() > keep {
            let Some(Underway { delivery, description }) = self.deliveries.pop_front() else { return };
            if let Err(error) = delivery.await {
                report(terminal, &description, &clients::delivery_failure(&error));
            }
        }
    }

    async fn finish(mut self, terminal: &mut Terminal<'_>) {
        self.producer.flush().await;
        self.settle(0, terminal).await;
        self.producer.close(CLOSE_MAX).await;
    }
}

/// Reads lines on a thread of its own: reading from a terminal blocks for as long as nobody types.
fn read_input() -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, lines) = mpsc::channel(LINES_AHEAD_MAX);
    let reading = async move {
        loop {
            let mut line = Vec::new();
            let read = std::io::stdin().lock().read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                return;
            }
            for end in [b'\n', b'\r'] {
                if line.last() == Some(&end) {
                    line.pop();
                }
            }
            if sender.send(line).await.is_err() {
                return;
            }
        }
    };
    // The thread ends with the input, or with the process.
    drop(task::spawn_dedicated("input", reading)?);
    Ok(lines)
}

fn report(terminal: &mut Terminal<'_>, description: &str, failure: &Failure) {
    log(
        terminal,
        "ERROR",
        format_args!("Error when sending message to {description} with error:"),
        CALLBACK_LOGGER,
    );
    terminal.err_line(failure);
}
