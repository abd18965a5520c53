//! `kafka-producer-perf-test`: how many records a second a producer sends, and how long they take.
//!
//! Owns: its options, the rules between them, the order of what happens.
//! Does not own: payloads (`payload`), sending (`sending`), what is measured and printed (`stats`).
//!
//! Source: `kafka-producer-perf-test.sh` of Kafka 4.3.1 (`tests/data/perf.txt`, `tests/data/perf-offline.txt`).

mod payload;
mod sending;
mod stats;

use ottla_client::config::Properties;
use ottla_env::time;
use ottla_model::TopicName;

use super::command_line::{Refusal, planned, tell_renamed};
use super::failure::{Failure, invalid_topic, log};
use super::{clients, session};
use crate::argparse::single::{self, Given, Group, Kind, Opt, Parser, flag, several, value};
use crate::terminal::Terminal;
use payload::Payloads;
use sending::Sending;

const PROPERTY: &str = "PROP-NAME=PROP-VALUE";

static PARSER: Parser = Parser {
    name: "kafka-producer-perf-test",
    about: "This tool measures how fast a producer sends records to a topic.",
    options: OPTIONS,
    group: Group {
        title: None,
        about: "Exactly one of --record-size, --payload-file and --payload-monotonic must be given.",
        options: &[
            value("record-size", ("RECORD-SIZE", Kind::Int), "Size of each record's value in bytes."),
            value(
                "payload-file",
                ("PAYLOAD-FILE", Kind::Text),
                "A file in UTF-8 with values; which of them is sent is left to chance.",
            ),
            flag("payload-monotonic", "Values are the numbers from 0 on."),
        ],
    },
};

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        ("BOOTSTRAP-SERVER", Kind::Text),
        "The brokers to connect to, as host:port. Goes before bootstrap.servers of --command-property and \
         --command-config.",
    ),
    value("topic", ("TOPIC", Kind::Text), "The topic to send to.").required(),
    value("num-records", ("NUM-RECORDS", Kind::Long), "How many records to send.").required(),
    value(
        "payload-delimiter",
        ("PAYLOAD-DELIMITER", Kind::Text),
        "With --payload-file: what separates values, a regular expression.",
    )
    .or("\\n"),
    value(
        "throughput",
        ("THROUGHPUT", Kind::Double),
        "About how many records to send a second at most; -1 sets no limit.",
    )
    .required(),
    several("producer-props", PROPERTY, "DEPRECATED: use --command-property."),
    several(
        "command-property",
        PROPERTY,
        "Properties of the producer, such as linger.ms=10 batch.size=32768. They go before those of --command-config.",
    ),
    value("producer.config", ("CONFIG-FILE", Kind::Text), "DEPRECATED: use --command-config."),
    value("command-config", ("CONFIG-FILE", Kind::Text), "A properties file for the producer."),
    flag(
        "print-metrics",
        "Print the producer's metrics at the end. This client keeps none yet, and says so.",
    ),
    value(
        "transactional-id",
        ("TRANSACTIONAL-ID", Kind::Text),
        "Send in transactions of this id. Refused: this client has no transactions yet.",
    ),
    value(
        "transaction-duration-ms",
        ("TRANSACTION-DURATION", Kind::Long),
        "Send in transactions of this length. Refused: this client has no transactions yet.",
    ),
    value(
        "warmup-records",
        ("WARMUP-RECORDS", Kind::Long),
        "How many of the first records are left out of a second summary, that of the steady state.",
    )
    .or("0"),
    value("reporting-interval", ("INTERVAL-MS", Kind::Long), "Milliseconds between lines of progress.")
        .or("5000"),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    match planned(&PARSER, args, terminal, |given, terminal| plan(&given, terminal)) {
        Ok(plan) => session::run_on_threads("kafka-producer-perf-test", work(plan, terminal)),
        Err(code) => code,
    }
}

/// What the command line asks for.
struct Plan {
    topic: String,
    properties: Properties,
    payloads: Payloads,
    pace: Pace,
    print_metrics: bool,
}

/// How many records, and how fast.
#[derive(Clone, Copy, Debug)]
struct Pace {
    records: u64,
    warmup: u64,
    throughput: f64,
    reporting_interval_ms: i64,
}

fn plan(given: &Given, terminal: &mut Terminal<'_>) -> Result<Plan, Refusal> {
    let pace = pace(given)?;
    check_properties(given, terminal)?;
    let payloads = payloads(given, terminal)?;
    let properties = properties(given)?;
    if let Some(id) = properties.get("transactional.id") {
        let message = format!("transactional.id={id} is not supported yet: this client has no transactions.");
        return Err(Refusal::Usage(PARSER.refused(&message)));
    }
    Ok(Plan {
        topic: given.value("topic").unwrap_or_default().to_owned(),
        properties,
        payloads,
        pace,
        print_metrics: given.has("print-metrics"),
    })
}

fn pace(given: &Given) -> Result<Pace, Refusal> {
    let number = |name: &str, default: i64| given.number::<i64>(name).unwrap_or(default);
    let positive = |name: &str| match number(name, 1) {
        count @ 1.. => Ok(count),
        _ => Err(usage(&format!("--{name} should be greater than zero."))),
    };
    let records = positive("num-records")?;
    let warmup = number("warmup-records", 0).max(0);
    if warmup >= records {
        return Err(usage(
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        ));
    }
    positive("record-size")?;
    Ok(Pace {
        records: records.unsigned_abs(),
        warmup: warmup.unsigned_abs(),
        throughput: given.value("throughput").and_then(single::double).unwrap_or(-1.0),
        reporting_interval_ms: number("reporting-interval", 5_000),
    })
}

fn usage(message: &str) -> Refusal {
    Refusal::Usage(PARSER.refused(message))
}

fn check_properties(given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let sources =
        ["bootstrap-server", "command-property", "producer-props", "producer.config", "command-config"];
    if !sources.iter().any(|source| given.has(source)) {
        return Err(usage(
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or \
             --command-config must be specified.",
        ));
    }
    for (new, old) in [("command-property", "producer-props"), ("command-config", "producer.config")] {
        if given.has(new) && given.has(old) {
            return Err(usage(&format!("--{new} and --{old} cannot be specified together.")));
        }
    }
    for (option, least) in [("transaction-duration-ms", 1), ("reporting-interval", 1)] {
        if given.number::<i64>(option).is_some_and(|number| number < least) {
            return Err(usage(&format!("--{option} should be greater than zero.")));
        }
    }
    for option in ["transactional-id", "transaction-duration-ms"] {
        if given.has(option) {
            let message = format!("--{option} is not supported yet: this client has no transactions.");
            return Err(usage(&message));
        }
    }
    for (old, new) in [("producer-props", "command-property"), ("producer.config", "command-config")] {
        if given.has(old) {
            tell_renamed(terminal, (old, new));
        }
    }
    Ok(())
}

fn payloads(given: &Given, terminal: &mut Terminal<'_>) -> Result<Payloads, Refusal> {
    if let Some(path) = given.value("payload-file") {
        // The default stands in help with its backslash.
        let delimiter = match given.value("payload-delimiter") {
            None | Some("\\n") => "\n",
            Some(delimiter) => delimiter,
        };
        return Ok(Payloads::from_file(path, delimiter, terminal)?);
    }
    Ok(match given.number::<u32>("record-size") {
        Some(bytes) => Payloads::random(bytes),
        None => Payloads::monotonic(),
    })
}

fn properties(given: &Given) -> Result<Properties, Refusal> {
    let mut properties = Properties::new();
    for option in ["command-config", "producer.config"] {
        if let Some(path) = given.value(option) {
            properties.extend(session::properties_of_file(path)?);
        }
    }
    for option in ["command-property", "producer-props"] {
        for text in given.values(option) {
            let pieces: Vec<&str> = text.trim_end_matches('=').split('=').collect();
            let [key, value] = pieces[..] else {
                return Err(Failure::illegal_argument(format!("Invalid property: {text}")).into());
            };
            properties.insert(key.to_owned(), value.to_owned());
        }
    }
    if let Some(bootstrap) = given.value("bootstrap-server") {
        properties.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
    }
    properties.entry("client.id".to_owned()).or_insert_with(|| "perf-producer-client".to_owned());
    Ok(properties)
}

async fn work(plan: Plan, terminal: &mut Terminal<'_>) -> u8 {
    let producer = match clients::producer(terminal, &plan.properties).await {
        Ok(producer) => producer,
        Err(failure) => {
            terminal.err_line(failure.uncaught());
            return 1;
        }
    };
    if plan.pace.warmup > 0 {
        terminal.out_line(format_args!(
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            plan.pace.warmup
        ));
        terminal.flush();
    }
    let topic = match TopicName::new(&plan.topic) {
        Ok(topic) => topic,
        Err(_) => return refuse_topic(&plan, terminal),
    };
    let sending = Sending { producer, topic, payloads: plan.payloads, pace: plan.pace };
    sending::run(sending, terminal).await;
    if plan.print_metrics {
        let text = "--print-metrics is not supported yet: this client keeps no metrics";
        log(terminal, "WARN", text, "org.apache.kafka.tools.ProducerPerformance");
    }
    0
}

/// No topic has this name: every record fails, as the cluster would refuse it.
fn refuse_topic(plan: &Plan, terminal: &mut Terminal<'_>) -> u8 {
    let client = format!("Producer clientId={}", plan.properties.get("client.id").map_or("", String::as_str));
    let start_ms = time::wall_now().millis();
    let failure = invalid_topic(terminal, &client, &plan.topic);
    terminal.err_line(&failure);
    // The name is known to be bad by then.
    let again = Failure::new(&failure.class, &*plan.topic);
    (1..plan.pace.records).for_each(|_| terminal.err_line(&again));
    stats::Run::new(plan.pace, start_ms).print_totals(time::wall_now().millis(), terminal);
    0
}
