//! `kafka-get-offsets`: where partitions begin and end, and where a time lies in them.
//!
//! Owns: its options, what it prints.
//! Does not own: which partitions are meant (`filter`), asking for the offsets (`ottla_client::Admin`).
//!
//! Source: `kafka-get-offsets.sh` of Kafka 4.3.1 (`tests/data/get-offsets.txt`, `tests/data/offline.txt`).

mod filter;

use std::collections::BTreeMap;

use ottla_client::Admin;
use ottla_client::admin::{ListedOffset, OffsetSpec, PARTITIONS_PER_ANSWER};
use ottla_client::config::IsolationLevel;
use ottla_model::{Timestamp, TopicName, TopicPartition};

use super::failure::{Failure, Problem, log_handler};
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::terminal::Terminal;
use filter::Filter;

/// What the tool's admin client is called.
const CLIENT_ID: &str = "GetOffsetShell";

const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: HOST1:PORT1,...,HOST3:PORT3",
        "REQUIRED. The brokers to connect to, as host:port.",
    ),
    value("command-config", "String: config file", "A properties file for the admin client."),
    flag("exclude-internal-topics", "Leave out the brokers' own topics."),
    flag("help", "Print usage information."),
    value(
        "partitions",
        "String: partition ids",
        "Numbers of partitions, between commas; all if not given. Not with --topic-partitions.",
    ),
    value(
        "time",
        "String: <timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or \
         latest-tiered / -6 or earliest-pending-upload",
        "The first offset with this timestamp in milliseconds or a later one, or one of the named offsets. A \
         partition without such an offset is left out. (default: latest)",
    ),
    value(
        "topic",
        "String: topic",
        "The topic, a regular expression; all if not given. Not with --topic-partitions.",
    ),
    value(
        "topic-partitions",
        "String: topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
        "Topics with their partitions, between commas. A topic is a regular expression, or all if there is none; \
         behind the colon stands a number, a range without its end, or nothing for all partitions.",
    ),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let about = "An interactive shell for getting topic-partition offsets.";
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return end(terminal, Err(Problem::Terse(error.to_string()))),
    };
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(message) = usage::require(&given, &["bootstrap-server"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    match given.value("bootstrap-server") {
        Err(error) => return end(terminal, Err(Problem::from(&error))),
        Ok(addresses) => {
            if let Err(message) = usage::check_addresses(addresses.unwrap_or_default()) {
                return usage::refuse(terminal, OPTIONS, &message);
            }
        }
    }
    let plan = match plan(&given) {
        Ok(plan) => plan,
        Err(problem) => return end(terminal, Err(problem)),
    };
    session::run("kafka-get-offsets", async {
        let ended = work(&given, &plan, terminal).await;
        end(terminal, ended)
    })
}

/// How the tool ends; whatever it says of a failure begins with the same words.
fn end(terminal: &mut Terminal<'_>, ended: Result<(), Problem>) -> u8 {
    let Err(problem) = ended else { return 0 };
    match problem {
        Problem::Terse(sentence) => terminal.err_line(format_args!("Error occurred: {sentence}")),
        Problem::Failed(failure) => {
            terminal.err_line(format_args!("Error occurred: {}", failure.message()));
            terminal.err_line(failure);
        }
    }
    1
}

/// What a command line asks for.
struct Plan {
    filter: Filter,
    spec: OffsetSpec,
}

fn plan(given: &Given) -> Result<Plan, Problem> {
    if given.has("topic-partitions") && given.count(&["topic", "partitions"]) > 0 {
        let text = "--topic-partitions cannot be used with --topic or --partitions";
        return Err(Problem::Terse(text.to_owned()));
    }
    let time = given.value("time").map_err(|error| Problem::from(&error))?;
    let spec = spec_of(time.unwrap_or("latest"))?;
    Ok(Plan { filter: Filter::of(given)?, spec })
}

fn spec_of(text: &str) -> Result<OffsetSpec, Problem> {
    const NAMES: [(&str, &str, OffsetSpec); 6] = [
        ("-1", "latest", OffsetSpec::Latest),
        ("-2", "earliest", OffsetSpec::Earliest),
        ("-3", "max-timestamp", OffsetSpec::MaxTimestamp),
        ("-4", "earliest-local", OffsetSpec::EarliestLocal),
        ("-5", "latest-tiered", OffsetSpec::LatestTiered),
        ("-6", "earliest-pending-upload", OffsetSpec::EarliestPendingUpload),
    ];
    let number = text.parse::<i64>();
    let is_meant = |(code, name, _): &&(&str, &str, OffsetSpec)| {
        text == *name || number.as_ref().is_ok_and(|number| number.to_string() == *code)
    };
    if let Some((_, _, spec)) = NAMES.iter().find(is_meant) {
        return Ok(*spec);
    }
    match number {
        Ok(millis) => Ok(OffsetSpec::AtTime(Timestamp::from_millis(millis))),
        Err(_) => {
            let names: Vec<String> =
                NAMES.iter().map(|(code, name, _)| format!("{code} or {name}")).collect();
            Err(Problem::Terse(format!(
                "Malformed time argument {text}. Please use {}, or a specified long format timestamp",
                names.join(" / ")
            )))
        }
    }
}

async fn work(given: &Given, plan: &Plan, terminal: &mut Terminal<'_>) -> Result<(), Problem> {
    let admin = session::admin_of(given, &[("client.id", CLIENT_ID)], terminal).await?;
    let partitions = partitions(&admin, given, &plan.filter).await?;
    if partitions.is_empty() {
        let text = "Could not match any topic-partitions with the specified filters";
        return Err(Problem::Terse(text.to_owned()));
    }
    let (mut lines, mut skipped) = (BTreeMap::new(), Vec::new());
    for (partition, outcome) in offsets(&admin, &partitions, plan.spec, terminal).await {
        match outcome {
            Ok(Some(found)) => {
                let line = format!("{}:{}:{}", partition.topic, partition.partition, found.offset);
                lines.insert(partition.to_string(), line);
            }
            Ok(None) => {}
            Err(failure) => skipped.push(format!(
                "Skip getting offsets for topic-partition {partition} due to error: {}",
                failure.message()
            )),
        }
    }
    skipped.into_iter().for_each(|line| terminal.err_line(line));
    // Kafka's tool sorts by the text of topic and number.
    lines.into_values().for_each(|line| terminal.out_line(line));
    Ok(())
}

/// The partitions that the command line chooses.
async fn partitions(admin: &Admin, given: &Given, filter: &Filter) -> Result<Vec<TopicPartition>, Failure> {
    let topics = admin.list_topics().await.map_err(|error| Failure::from(&error).in_execution())?;
    let names: Vec<String> = topics
        .into_iter()
        .filter(|topic| !(given.has("exclude-internal-topics") && topic.is_internal))
        .map(|topic| topic.name)
        .filter(|name| filter.has_topic(name))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let described = admin.describe_topics(&names, PARTITIONS_PER_ANSWER).await;
    let mut chosen = Vec::new();
    for (name, outcome) in described.map_err(|error| Failure::from(&error).in_execution())? {
        let description = outcome.map_err(|error| operation_failure!(error).in_execution())?;
        // A broker names no topic that cannot be one.
        let Ok(topic) = TopicName::new(&name) else { continue };
        let indexes = description.partitions.iter().map(|partition| partition.index);
        let indexes = indexes.filter(|index| filter.has(&name, index.value()));
        chosen.extend(indexes.map(|index| TopicPartition::new(topic.clone(), index)));
    }
    Ok(chosen)
}

type Outcome = (TopicPartition, Result<Option<ListedOffset>, Failure>);

/// Asks for the offset of each partition. Where nobody answers, each of them says so.
async fn offsets(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    terminal: &mut Terminal<'_>,
) -> Vec<Outcome> {
    let wanted = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    match admin.list_offsets(&wanted, IsolationLevel::ReadUncommitted).await {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|(partition, outcome)| {
                let failed = outcome.map_err(|error| {
                    if let Some(refusal) = error.refusal() {
                        let client = (CLIENT_ID, "ListOffsets");
                        log_handler(terminal, client, &partition.to_string(), refusal.code);
                    }
                    operation_failure!(error).in_execution()
                });
                (partition, failed)
            })
            .collect(),
        Err(error) => {
            let failure = Failure::from(&error).in_execution();
            partitions.iter().map(|partition| (partition.clone(), Err(failure.clone()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_named_by_its_word_its_number_or_a_time() {
        assert_eq!(spec_of("-3"), Ok(OffsetSpec::MaxTimestamp));
        assert_eq!(spec_of("-03"), Ok(OffsetSpec::MaxTimestamp));
        assert_eq!(spec_of("earliest-pending-upload"), Ok(OffsetSpec::EarliestPendingUpload));
        assert_eq!(spec_of("+7"), Ok(OffsetSpec::AtTime(Timestamp::from_millis(7))));
        assert_eq!(spec_of("-7"), Ok(OffsetSpec::AtTime(Timestamp::from_millis(-7))));
        assert!(spec_of("Latest").is_err() && spec_of("").is_err());
    }
}
