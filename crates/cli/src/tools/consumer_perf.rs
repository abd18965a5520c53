//! `kafka-consumer-perf-test`: how many records a second a consumer reads.
//!
//! Owns: its options, the rules between them, the order of what happens.
//! Does not own: the loop over records (`reading`), the consumer (`ottla_client`).
//!
//! Source: `kafka-consumer-perf-test.sh` of Kafka 4.3.1 (`tests/data/perf.txt`, `tests/data/perf-offline.txt`).

mod reading;

use ottla_client::config::Properties;
use ottla_env::random::{OsRandom, Random as _};
use ottla_env::time;
use ottla_model::TopicName;
use regex::Regex;

use super::failure::{Failure, invalid_topic, log};
use super::java_date::DateFormat;
use super::java_number::decimal;
use super::throttle::as_f64;
use super::{clients, session, usage};
use crate::jopt::{self, Given, Opt, OptError, flag, maybe_number, value};
use crate::terminal::Terminal;
use reading::{Limits, Measured};

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value("command-config", "String: config file", "A properties file for the consumer."),
    value(
        "command-property",
        "String: prop1=val1",
        "A property of the consumer, as key=value. Goes before --command-config.",
    ),
    value("consumer.config", "String: config file", "DEPRECATED: use --command-config."),
    value(
        "date-format",
        "String: date format",
        "How times are shown, as java.text.SimpleDateFormat has it. Default: yyyy-MM-dd HH:mm:ss:SSS.",
    ),
    value("fetch-size", "Integer: size", "Most bytes of one partition in one request. Default: 1048576."),
    flag("from-latest", "A group without offsets begins behind the last record, not with the first one."),
    value("group", "String: gid", "The group to read in. Default: perf-consumer- and a number."),
    flag("help", "Print usage information."),
    flag("hide-header", "Print no header."),
    value("include", "String: Java regex (String)", "A pattern; the topics whose names it matches are read."),
    value("messages", "Long: count", "DEPRECATED: use --num-records."),
    value("num-records", "Long: count", "REQUIRED: How many records to read."),
    flag(
        "print-metrics",
        "Print the consumer's metrics at the end. This client keeps none yet, and says so.",
    ),
    value(
        "reporting-interval",
        "Long: interval_ms",
        "Milliseconds between lines of progress. Default: 5000.",
    ),
    flag("show-detailed-stats", "Print lines of progress instead of a summary."),
    value("socket-buffer-size", "Integer: size", "Bytes of the socket's receive buffer. Default: 2097152."),
    maybe_number(
        "timeout",
        "Long: milliseconds",
        "How long no record may come before reading ends. Default: 10000.",
    ),
    value("topic", "String: topic", "The topic to read."),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return usage::refuse(terminal, OPTIONS, &error.to_string()),
    };
    let about = "This tool is used to verify the consumer performance.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = check_usage(&given, terminal) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    if !given.has("hide-header") {
        let first = if given.has("show-detailed-stats") { "time, threadId" } else { "start.time, end.time" };
        terminal.out_line(format_args!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
             fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        ));
    }
    session::run_on_threads("kafka-consumer-perf-test", async {
        match work(&given, terminal).await {
            Ok(()) => 0,
            Err(failure) => {
                terminal.err_line(failure.message());
                terminal.err_line(failure);
                1
            }
        }
    })
}

fn check_usage(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), String> {
    usage::require(given, &["bootstrap-server"])?;
    for both in [["topic", "include"], ["messages", "num-records"]] {
        if given.count(&both) != 1 {
            let names = usage::bracketed(&both);
            return Err(format!("Exactly one of the following arguments is required: {names}"));
        }
    }
    usage::exclude(given, "consumer.config", &["command-config"])?;
    for (old, new) in [("messages", "num-records"), ("consumer.config", "command-config")] {
        if given.has(old) {
            terminal.out_line(format_args!("Warning: --{old} is deprecated. Use --{new} instead."));
        }
    }
    Ok(())
}

fn of_option(error: &OptError) -> Failure {
    Failure::from(error)
}

/// Numbers that end with this many different endings name the groups of different runs.
const GROUP_NUMBERS: u64 = 100_000;

fn properties(given: &Given) -> Result<Properties, Failure> {
    let text = |name| given.value(name).map_err(|error| of_option(&error));
    let number = |name, default: i32| {
        let number = given.number::<i32>(name).map_err(|error| of_option(&error));
        number.map(|number| number.unwrap_or(default).to_string())
    };
    let mut properties = Properties::new();
    for option in ["consumer.config", "command-config"] {
        if let Some(path) = text(option)? {
            properties.extend(session::properties_of_file(path)?);
        }
    }
    properties.extend(session::properties_of_args(given.values("command-property")));
    let group = match text("group")? {
        Some(group) => group.to_owned(),
        None => {
            let number = OsRandom::new().map_or(0, |random| random.bits() % GROUP_NUMBERS);
            format!("perf-consumer-{number}")
        }
    };
    let reset = if given.has("from-latest") { "latest" } else { "earliest" };
    for (key, value) in [
        ("bootstrap.servers", text("bootstrap-server")?.unwrap_or_default().to_owned()),
        ("group.id", group),
        ("receive.buffer.bytes", number("socket-buffer-size", 2 * 1024 * 1024)?),
        ("max.partition.fetch.bytes", number("fetch-size", 1024 * 1024)?),
        ("auto.offset.reset", reset.to_owned()),
        ("check.crcs", "false".to_owned()),
    ] {
        properties.insert(key.to_owned(), value);
    }
    properties.entry("client.id".to_owned()).or_insert_with(|| "perf-consumer-client".to_owned());
    Ok(properties)
}

fn limits(given: &Given) -> Result<Limits, Failure> {
    let number = |name| given.number::<i64>(name).map_err(|error| of_option(&error));
    let records = number("num-records")?.or(number("messages")?).unwrap_or(0);
    let interval_ms = number("reporting-interval")?.unwrap_or(5_000);
    if interval_ms <= 0 {
        return Err(Failure::illegal_argument("Reporting interval must be greater than 0."));
    }
    let timeout_ms = number("timeout")?.unwrap_or(10_000);
    let pattern = given.value("date-format").map_err(|error| of_option(&error))?;
    let dates =
        DateFormat::new(pattern.unwrap_or("yyyy-MM-dd HH:mm:ss:SSS")).map_err(Failure::illegal_argument)?;
    let detailed = given.has("show-detailed-stats");
    Ok(Limits { records, interval_ms, timeout_ms, dates, detailed })
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let properties = properties(given)?;
    let mut consumer = clients::consumer(terminal, &properties).await?;
    let limits = limits(given)?;
    let start_ms = time::wall_now().millis();
    let joins = reading::listen(&mut consumer, start_ms);
    let illegal_state = |message: String| Failure::new("java.lang.IllegalStateException", message);
    match given.value("topic").map_err(|error| of_option(&error))? {
        Some(name) => {
            let client = format!(
                "Consumer clientId={}, groupId={}",
                properties.get("client.id").map_or("", String::as_str),
                properties.get("group.id").map_or("", String::as_str)
            );
            let topic = TopicName::new(name).map_err(|_| invalid_topic(terminal, &client, name))?;
            consumer.subscribe([topic]).map_err(|error| illegal_state(error.to_string()))?;
        }
        None => {
            let pattern = given.value("include").map_err(|error| of_option(&error))?.unwrap_or_default();
            let bad = |error: regex::Error| {
                Failure::new("java.util.regex.PatternSyntaxException", error.to_string())
            };
            let pattern = Regex::new(&format!("^(?:{pattern})$")).map_err(bad)?;
            consumer.subscribe_pattern(pattern).map_err(|error| illegal_state(error.to_string()))?;
        }
    }
    let measured = reading::read(&mut consumer, &limits, (&joins, terminal)).await?;
    let end_ms = time::wall_now().millis();
    consumer.close(CLOSE).await;
    if !limits.detailed {
        let span = Span { start_ms, end_ms, rebalance_ms: joins.total_ms() };
        summary(&limits.dates, measured, span, terminal);
    }
    if given.has("print-metrics") {
        let text = "--print-metrics is not supported yet: this client keeps no metrics";
        log(terminal, "WARN", text, "org.apache.kafka.tools.ConsumerPerformance");
    }
    Ok(())
}

/// How long leaving the group may take.
const CLOSE: time::Duration = time::Duration::from_secs(30);

/// From when to when, and how much of it was spent on rebalances.
#[derive(Clone, Copy)]
struct Span {
    start_ms: i64,
    end_ms: i64,
    rebalance_ms: i64,
}

fn summary(dates: &DateFormat, measured: Measured, span: Span, terminal: &mut Terminal<'_>) {
    let shown = |millis| dates.format(ottla_model::Timestamp::from_millis(millis));
    let fetch_ms = span.end_ms - span.start_ms - span.rebalance_ms;
    let seconds = reading::seconds(span.end_ms - span.start_ms);
    let fetch_seconds = reading::seconds(fetch_ms);
    let mebibytes = reading::mebibytes(measured.bytes);
    let records = as_f64(measured.records);
    terminal.out_line(format_args!(
        "{}, {}, {}, {}, {}, {}, {}, {}, {}, {}",
        shown(span.start_ms),
        shown(span.end_ms),
        decimal(mebibytes, 4),
        decimal(mebibytes / seconds, 4),
        measured.records,
        decimal(records / seconds, 4),
        span.rebalance_ms,
        fetch_ms,
        decimal(mebibytes / fetch_seconds, 4),
        decimal(records / fetch_seconds, 4),
    ));
}
