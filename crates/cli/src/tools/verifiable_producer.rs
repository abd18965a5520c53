//! `kafka-verifiable-producer`: numbers as records, and a line of JSON for each that arrived or failed.
//!
//! Owns: its options, which records are sent.
//! Does not own: sending and watching them (`sending`), the producer (`ottla_client`).
//!
//! Source: `kafka-verifiable-producer.sh` of Kafka 4.3.1 (`tests/data/verifiable.txt`, `tests/data/perf-offline.txt`).

mod sending;

use ottla_client::config::Properties;

use super::command_line::{Refusal, planned, properties_of_file};
use super::{clients, session};
use crate::argparse::single::{Given, Group, Kind, Opt, Parser, value};
use crate::terminal::{Terminal, exit_code_of};
use sending::Sending;

static PARSER: Parser = Parser {
    name: "verifiable-producer",
    about: "This tool writes the numbers from 0 on to a topic and prints a line of JSON for each record that arrived or \
            failed.",
    options: OPTIONS,
    group: Group {
        title: Some("Connection Group"),
        about: "How brokers are reached",
        options: &[value(
            "bootstrap-server",
            ("HOST1:PORT1[,HOST2:PORT2[...]]", Kind::Text),
            "REQUIRED: The brokers to connect to.",
        )],
    },
};

const OPTIONS: &[Opt] = &[
    value("topic", ("TOPIC", Kind::Text), "The topic to write to.").required(),
    value(
        "max-messages",
        ("MAX-MESSAGES", Kind::Int),
        "How many records to write; below zero until the process is stopped.",
    )
    .or("-1"),
    value(
        "throughput",
        ("THROUGHPUT", Kind::Int),
        "About how many records a second; below zero without limit.",
    )
    .or("-1"),
    value("acks", ("ACKS", Kind::IntOf(&[0, 1, -1])), "The acks of the producer.").or("-1"),
    value("producer.config", ("CONFIG-FILE", Kind::Text), "DEPRECATED: use --command-config."),
    value(
        "message-create-time",
        ("CREATE-TIME", Kind::Long),
        "The time of the first record in milliseconds since 1970; -1 for the present.",
    )
    .or("-1"),
    value(
        "value-prefix",
        ("VALUE-PREFIX", Kind::Int),
        "A number before each value, with a dot between them.",
    ),
    value(
        "repeating-keys",
        ("REPEATING-KEYS", Kind::Int),
        "Records have the keys from 0 up to this number, without it, and then again.",
    ),
    value("command-config", ("CONFIG-FILE", Kind::Text), "A properties file for the producer."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    match planned(&PARSER, args, terminal, |given, terminal| plan(&given, terminal)) {
        Ok(plan) => session::run_on_threads("kafka-verifiable-producer", work(plan, terminal)),
        Err(code) => code,
    }
}

/// What the command line asks for.
struct Plan {
    topic: String,
    properties: Properties,
    target: i32,
    records: Records,
}

/// Which records there are.
#[derive(Debug)]
struct Records {
    count: u64,
    prefix: Option<i32>,
    /// How many keys there are, and which is next.
    keys: Option<(i32, i32)>,
    time_ms: Option<i64>,
}

impl Records {
    fn key(&mut self) -> Option<String> {
        let (count, next) = self.keys.as_mut()?;
        let key = next.to_string();
        *next = next.wrapping_add(1);
        if next == count {
            *next = 0;
        }
        Some(key)
    }

    fn value(&self, number: u64) -> String {
        match self.prefix {
            Some(prefix) => format!("{prefix}.{number}"),
            None => number.to_string(),
        }
    }

    /// The time of the next record, where times are made up; the one behind it is later by the age of the process.
    fn time_ms(&mut self, age_ms: i64) -> Option<i64> {
        let time_ms = self.time_ms.as_mut()?;
        let now_ms = *time_ms;
        *time_ms = time_ms.saturating_add(age_ms);
        Some(now_ms)
    }
}

fn plan(given: &Given, terminal: &mut Terminal<'_>) -> Result<Plan, Refusal> {
    let of_file = properties_of_file(&PARSER, given, "producer.config", terminal)?;
    let mut properties = Properties::from([
        ("bootstrap.servers".to_owned(), given.value("bootstrap-server").unwrap_or_default().to_owned()),
        ("acks".to_owned(), given.value("acks").unwrap_or("-1").to_owned()),
        ("retries".to_owned(), "0".to_owned()),
        ("client.id".to_owned(), "producer-1".to_owned()),
    ]);
    properties.extend(of_file);
    let count = given.number::<i64>("max-messages").unwrap_or(-1);
    Ok(Plan {
        topic: given.value("topic").unwrap_or_default().to_owned(),
        properties,
        target: given.number("throughput").unwrap_or(-1),
        records: Records {
            count: u64::try_from(count).unwrap_or(u64::MAX),
            prefix: given.number("value-prefix"),
            keys: given.number("repeating-keys").map(|count| (count, 0)),
            time_ms: given.number("message-create-time").filter(|time_ms| *time_ms != -1),
        },
    })
}

async fn work(plan: Plan, terminal: &mut Terminal<'_>) -> u8 {
    let made = clients::producer(terminal, &plan.properties).await;
    let sending = match made.and_then(|producer| Sending::new(producer, &plan)) {
        Ok(sending) => sending,
        Err(failure) => {
            terminal.err_line(failure.uncaught());
            return 1;
        }
    };
    match sending.run(plan.records, terminal).await {
        None => 0,
        Some(signal) => exit_code_of(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_begin_again_and_values_have_their_prefix() {
        let mut records = Records { count: 9, prefix: Some(7), keys: Some((2, 0)), time_ms: Some(1_000) };
        let keys: Vec<String> = (0..5).filter_map(|_| records.key()).collect();
        assert_eq!(keys, ["0", "1", "0", "1", "0"]);
        assert_eq!(records.value(3), "7.3");
        let times = [records.time_ms(5), records.time_ms(8), records.time_ms(0)];
        assert_eq!(times, [Some(1_000), Some(1_005), Some(1_013)]);
        let mut plain = Records { count: 9, prefix: None, keys: None, time_ms: None };
        assert_eq!((plain.key(), plain.value(3), plain.time_ms(5)), (None, "3".to_owned(), None));
    }
}
