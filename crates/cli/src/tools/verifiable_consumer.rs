//! `kafka-verifiable-consumer`: records of a topic in a group, and a line of JSON for each event.
//!
//! Owns: its options and what they mean for the consumer.
//! Does not own: the loop and its lines (`reading`), the consumer (`ottla_client`).
//!
//! Source: `kafka-verifiable-consumer.sh` of Kafka 4.3.1 (`tests/data/verifiable.txt`, `tests/data/perf-offline.txt`).

mod reading;

use ottla_client::config::Properties;
use ottla_env::task::Signals;

use super::command_line::{Refusal, planned, properties_of_file};
use super::failure::Failure;
use super::{clients, session};
use crate::argparse::single::{Given, Group, Kind, Opt, Parser, flag, value};
use crate::terminal::{Terminal, exit_code_of};
use reading::{Reading, Rules};

static PARSER: Parser = Parser {
    name: "verifiable-consumer",
    about: "This tool reads records of a topic in a group and prints a line of JSON for each event: rebalances, records, \
            commits.",
    options: OPTIONS,
    group: Group {
        title: Some("Connection Group"),
        about: "How brokers are reached",
        options: &[value(
            "bootstrap-server",
            ("HOST1:PORT1[,HOST2:PORT2[...]]", Kind::Text),
            "The brokers to connect to.",
        )
        .required()],
    },
};

const OPTIONS: &[Opt] = &[
    value("topic", ("TOPIC", Kind::Text), "The topic to read.").required(),
    value(
        "group-protocol",
        ("GROUP-PROTOCOL", Kind::Text),
        "CLASSIC; this client does not speak CONSUMER yet.",
    )
    .or("classic"),
    value(
        "group-remote-assignor",
        ("GROUP-REMOTE-ASSIGNOR", Kind::Text),
        "With the protocol CONSUMER: the broker's assignor.",
    ),
    value("group-id", ("GROUP-ID", Kind::Text), "The group to read in.").required(),
    value("group-instance-id", ("GROUP-INSTANCE-ID", Kind::Text), "The name of a static member."),
    value("max-messages", ("MAX-MESSAGES", Kind::Int), "How many records to read; below zero until stopped.")
        .or("-1"),
    value("session-timeout", ("TIMEOUT-MS", Kind::Int), "The session timeout of the member."),
    flag("verbose", "Print a line for each record."),
    flag("enable-autocommit", "Let the consumer commit by itself."),
    value(
        "reset-policy",
        ("RESET-POLICY", Kind::Text),
        "Where to begin without offsets: earliest, latest or none.",
    )
    .or("earliest"),
    value(
        "assignment-strategy",
        ("ASSIGNMENT-STRATEGY", Kind::Text),
        "With the protocol CLASSIC: the assignor.",
    )
    .or(RANGE),
    value("consumer.config", ("CONFIG-FILE", Kind::Text), "DEPRECATED: use --command-config."),
    value(
        "command-config",
        ("CONFIG-FILE", Kind::Text),
        "A properties file for the consumer; flags go before it.",
    ),
];

const RANGE: &str = "org.apache.kafka.clients.consumer.RangeAssignor";

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let plan = |given: Given, terminal: &mut Terminal<'_>| {
        let properties = properties(&given, terminal)?;
        Ok((given, properties))
    };
    match planned(&PARSER, args, terminal, plan) {
        Ok((given, properties)) => {
            session::run_on_threads("kafka-verifiable-consumer", work(given, properties, terminal))
        }
        Err(code) => code,
    }
}

fn properties(given: &Given, terminal: &mut Terminal<'_>) -> Result<Properties, Refusal> {
    let text = |name: &str, default: &str| given.value(name).unwrap_or(default).to_owned();
    let mut properties = properties_of_file(&PARSER, given, "consumer.config", terminal)?;
    let protocol = text("group-protocol", "classic").to_uppercase();
    let mut over = vec![("group.protocol", protocol.clone())];
    match protocol.as_str() {
        "CLASSIC" => over.push(("partition.assignment.strategy", text("assignment-strategy", RANGE))),
        "CONSUMER" => {
            let assignor = given.value("group-remote-assignor");
            over.extend(assignor.map(|name| ("group.remote.assignor", name.to_owned())));
        }
        unknown => {
            let message =
                format!("No enum constant org.apache.kafka.clients.consumer.GroupProtocol.{unknown}");
            return Err(Refusal::Uncaught(Failure::illegal_argument(message)));
        }
    }
    over.extend(given.value("session-timeout").map(|millis| ("session.timeout.ms", millis.to_owned())));
    over.push(("group.id", text("group-id", "")));
    over.extend(given.value("group-instance-id").map(|name| ("group.instance.id", name.to_owned())));
    over.push(("bootstrap.servers", text("bootstrap-server", "")));
    over.push(("enable.auto.commit", given.has("enable-autocommit").to_string()));
    over.push(("auto.offset.reset", text("reset-policy", "earliest")));
    properties.extend(over.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let client_id = format!("consumer-{}-1", text("group-id", ""));
    properties.entry("client.id".to_owned()).or_insert(client_id);
    Ok(properties)
}

async fn work(given: Given, properties: Properties, terminal: &mut Terminal<'_>) -> u8 {
    let made = clients::consumer(terminal, &properties).await.and_then(|consumer| {
        let signals = Signals::listen();
        let signals = signals.map_err(|error| Failure::new("java.io.IOException", error.to_string()))?;
        Ok((consumer, signals))
    });
    let (consumer, signals) = match made {
        Ok(made) => made,
        Err(failure) => {
            terminal.err_line(failure.uncaught());
            return 1;
        }
    };
    let property = |key: &str| properties.get(key).map_or("", String::as_str);
    let rules = Rules {
        topic: given.value("topic").unwrap_or_default().to_owned(),
        client: format!("Consumer clientId={}, groupId={}", property("client.id"), property("group.id")),
        max: given.number::<i64>("max-messages").and_then(|max| usize::try_from(max).ok()),
        commits: !given.has("enable-autocommit"),
        verbose: given.has("verbose"),
    };
    match Reading::new(consumer, signals, rules).run(terminal).await {
        None => 0,
        Some(signal) => exit_code_of(signal),
    }
}
