//! `kafka-topics`: list, describe, create, alter and delete topics.
//!
//! Owns: its options, the rules between them, the actions but describing.
//! Does not own: describing (`describe`), what the cluster does (`ottla_client::Admin`).
//!
//! Source: `kafka-topics.sh` of Kafka 4.3.1 (`tests/data/topics.txt`, `tests/data/offline.txt`).

mod describe;
mod new_topic;

use ottla_client::Admin;
use ottla_client::admin::{NewPartitions, TopicListing};
use regex::Regex;

use super::failure::{Failure, crash, log};
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::terminal::Terminal;

/// The name under which the tool's errors are logged.
const LOGGER: &str = "org.apache.kafka.tools.TopicCommand";

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];

const OPTIONS: &[Opt] = &[
    flag("alter", "Give a topic more partitions. Configurations are altered with kafka-configs."),
    flag(
        "at-min-isr-partitions",
        "With --describe: only partitions with just as many in-sync replicas as they need.",
    ),
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value(
        "command-config",
        "String: command config property file",
        "A properties file for the admin client.",
    ),
    value(
        "config",
        "String: name=value",
        "With --create: a configuration of the new topic. May be repeated.",
    ),
    flag("create", "Create a topic."),
    flag("delete", "Delete a topic."),
    value("delete-config", "String: name", "No longer supported, since Kafka 4.0."),
    flag("describe", "Show partitions, leaders, replicas and configurations of topics."),
    flag("exclude-internal", "With --list or --describe: leave out the brokers' own topics."),
    flag("help", "Print usage information."),
    flag("if-exists", "With --alter, --delete or --describe: do nothing about a topic that is not there."),
    flag("if-not-exists", "With --create: do nothing about a topic that is there."),
    flag("list", "List all topics."),
    value(
        "partition-size-limit-per-response",
        "Integer: maximum partition size per response",
        "With --describe: most partitions in one answer of the broker.",
    ),
    value(
        "partitions",
        "Integer: # of partitions",
        "With --create or --alter: how many partitions there shall be. More partitions send keys elsewhere.",
    ),
    value(
        "replica-assignment",
        "String: broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , ...",
        "With --create or --alter: the replicas of each partition, by broker id.",
    ),
    value("replication-factor", "Integer: replication factor", "With --create: replicas of each partition."),
    value("topic", "String: topic", "The topic; a regular expression, except with --create."),
    value("topic-id", "String: topic-id", "With --describe: the id of the topic."),
    flag("topics-with-overrides", "With --describe: only topics with configurations of their own."),
    flag("unavailable-partitions", "With --describe: only partitions without an available leader."),
    flag(
        "under-min-isr-partitions",
        "With --describe: only partitions with fewer in-sync replicas than they need.",
    ),
    flag(
        "under-replicated-partitions",
        "With --describe: only partitions with replicas that are not in sync.",
    ),
    flag("version", "Display Kafka version."),
];

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return crash(terminal, &Failure::from(&error)),
    };
    if args.is_empty() {
        return usage::refuse(terminal, OPTIONS, "Create, delete, describe, or change a topic.");
    }
    let about = "This tool helps to create, delete, describe, or change a topic.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if given.count(&ACTIONS) != 1 {
        let message =
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return usage::refuse(terminal, OPTIONS, message);
    }
    if !given.has("bootstrap-server") {
        return crash(terminal, &Failure::illegal_argument("--bootstrap-server must be specified"));
    }
    if let Err(message) = check_usage(&given) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    if given.has("describe") && given.has("topic") && given.has("topic-id") && given.has("if-exists") {
        terminal.out_line(
            "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID",
        );
    }
    if given.has("delete-config") {
        terminal.err_line(
            "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully \
             removed in future releases.",
        );
    }
    session::run("kafka-topics", work(&given, terminal))
}

fn check_usage(given: &Given) -> Result<(), String> {
    if given.has("describe") && given.has("if-exists") && !given.has("topic") && !given.has("topic-id") {
        return Err("--topic or --topic-id is required to describe a topic".to_owned());
    }
    if !given.has("list") && !given.has("describe") {
        usage::require(given, &["topic"])?;
    }
    if given.has("alter") {
        if given.has("config") {
            return Err("Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To \
                        alter topic configurations, the kafka-configs tool can be used.)"
                .to_owned());
        }
        usage::require(given, &["partitions"])?;
    }
    only_with(given, "config", &["alter", "create"], &[])?;
    only_with(given, "partitions", &["alter", "create"], &[])?;
    only_with(given, "replication-factor", &["create"], &[])?;
    only_with(given, "replica-assignment", &["alter", "create"], &[])?;
    if given.has("create") {
        usage::exclude(given, "replica-assignment", &["partitions", "replication-factor"])?;
    }
    for filter in describe::FILTERS {
        only_with(given, filter, &["describe"], &["topics-with-overrides"])?;
    }
    only_with(given, "topics-with-overrides", &["describe"], &describe::FILTERS)?;
    only_with(given, "if-exists", &["alter", "delete", "describe"], &[])?;
    only_with(given, "if-not-exists", &["create"], &[])?;
    only_with(given, "exclude-internal", &["list", "describe"], &[])
}

/// `option` goes with the `allowed` actions only, and not with `others`.
fn only_with(given: &Given, option: &str, allowed: &[&str], others: &[&str]) -> Result<(), String> {
    let refused = ACTIONS.iter().filter(|action| !allowed.contains(action));
    let refused: Vec<&str> = others.iter().chain(refused).copied().collect();
    usage::exclude(given, option, &refused)
}

async fn work(given: &Given, terminal: &mut Terminal<'_>) -> u8 {
    let admin = match session::admin_of(given, &[], terminal).await {
        Ok(admin) => admin,
        Err(failure) => return crash(terminal, &failure),
    };
    match execute(&admin, given, terminal).await {
        Ok(()) => 0,
        Err(failure) => {
            terminal.out_line(format_args!("Error while executing topic command : {}", failure.message()));
            log(terminal, "ERROR", format_args!("{failure}\n"), LOGGER);
            1
        }
    }
}

async fn execute(admin: &Admin, given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if given.has("create") {
        return create(admin, given, terminal).await;
    }
    if given.has("list") {
        let topics = matching(admin, given).await?;
        let names: Vec<String> = topics.into_iter().map(|topic| topic.name).collect();
        terminal.out_line(names.join("\n"));
        return Ok(());
    }
    if given.has("describe") {
        return describe::run(admin, given, terminal).await;
    }
    let names: Vec<String> = named_topics(admin, given).await?;
    if given.has("delete") { delete(admin, &names).await } else { alter(admin, given, &names).await }
}

/// The topics whose whole name matches the pattern of the command line, or all.
async fn matching(admin: &Admin, given: &Given) -> Result<Vec<TopicListing>, Failure> {
    let pattern = given.value("topic").map_err(|error| Failure::from(&error))?.map(pattern_of).transpose()?;
    let topics = admin.list_topics().await.map_err(|error| Failure::from(&error))?;
    let wanted = |topic: &TopicListing| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(&topic.name))
            && !(given.has("exclude-internal") && topic.is_internal)
    };
    Ok(topics.into_iter().filter(wanted).collect())
}

/// A pattern as Kafka's tools take it: a comma means "or", quotes around it are dropped, the whole name must match.
pub(super) fn pattern_of(text: &str) -> Result<Regex, Failure> {
    let text = text.trim().replace(',', "|").replace(' ', "");
    let text = text.trim_start_matches(['"', '\'']).trim_end_matches(['"', '\'']);
    let syntax = |_| Failure::new("java.lang.RuntimeException", format!("{text} is an invalid regex."));
    Regex::new(&format!("^(?:{text})$")).map_err(syntax)
}

/// The topics that match; none at all is an error unless the command line allows it.
async fn named_topics(admin: &Admin, given: &Given) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = matching(admin, given).await?.into_iter().map(|topic| topic.name).collect();
    if names.is_empty() && given.has("topic") && !given.has("if-exists") {
        let topic = given.values("topic").next().unwrap_or_default();
        return Err(Failure::illegal_argument(format!("Topic '{topic}' does not exist as expected")));
    }
    Ok(names)
}

async fn create(admin: &Admin, given: &Given, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let topic = new_topic::parse(given)?;
    if topic.name.contains(['.', '_']) {
        terminal.out_line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both.",
        );
    }
    new_topic::check(&topic)?;
    let created = admin.create_topics(std::slice::from_ref(&topic), false).await;
    let created = created.map_err(|error| Failure::from(&error))?;
    match created.into_iter().next() {
        None | Some((_, Ok(_))) => terminal.out_line(format_args!("Created topic {}.", topic.name)),
        Some((_, Err(ottla_client::admin::CreateTopicError::AlreadyExists(_))))
            if given.has("if-not-exists") => {}
        Some((_, Err(error))) => return Err(operation_failure!(error)),
    }
    Ok(())
}

async fn alter(admin: &Admin, given: &Given, names: &[String]) -> Result<(), Failure> {
    let total = given.number::<i32>("partitions").map_err(|error| Failure::from(&error))?.unwrap_or(0);
    let assignment = given.value("replica-assignment").map_err(|error| Failure::from(&error))?;
    let assignment = assignment.map(new_topic::parse_assignment).transpose()?;
    let descriptions = admin.describe_topics(names, ottla_client::admin::PARTITIONS_PER_ANSWER).await;
    let mut changes = Vec::new();
    for (name, description) in descriptions.map_err(|error| Failure::from(&error))? {
        let there = description.map_err(|error| operation_failure!(error))?.partitions.len();
        // The command line names the replicas of all partitions; the broker wants those of the new ones.
        let assignments = assignment.as_ref().map(|all| all.iter().skip(there).cloned().collect());
        changes.push(NewPartitions { topic: name, total, assignments });
    }
    let outcomes = admin.create_partitions(&changes, false).await.map_err(|error| Failure::from(&error))?;
    for (_, outcome) in outcomes {
        outcome.map_err(|error| operation_failure!(error))?;
    }
    Ok(())
}

async fn delete(admin: &Admin, names: &[String]) -> Result<(), Failure> {
    let outcomes = admin.delete_topics(names).await.map_err(|error| Failure::from(&error))?;
    for (_, outcome) in outcomes {
        outcome.map_err(|error| operation_failure!(error))?;
    }
    Ok(())
}
