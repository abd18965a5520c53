//! `kafka-leader-election`: have leaders of partitions elected.
//!
//! Owns: its options, its file, what it prints. Does not own: electing (`ottla_client::Admin`).
//!
//! Source: `kafka-leader-election.sh` of Kafka 4.3.1 (`tests/data/leader-election.txt`).

use std::path::Path;

use ottla_client::admin::{ElectLeaderError, ElectionKind};
use ottla_client::error::{CallError, ErrorCode, ServerError};
use ottla_model::TopicPartition;

use super::failure::{self, Failure, Problem};
use super::hash_order::hash_order;
use super::json_input::{self, array, field, integer, object, text};
use super::partition::Partition;
use super::{session, usage};
use crate::jopt::{self, Given, Opt, flag, value};
use crate::operation_failure;
use crate::settings::read_file;
use crate::terminal::Terminal;

const OPTIONS: &[Opt] = &[
    value("admin.config", "String: config file", "(DEPRECATED) The same as --command-config."),
    flag(
        "all-topic-partitions",
        "Elect for all partitions that have not the leader they should have. Not with --topic or --path-to-json-file.",
    ),
    value(
        "bootstrap-server",
        "String: host:port",
        "REQUIRED: The brokers to connect to, as host:port, separated by commas.",
    ),
    value("command-config", "String: Config file", "A properties file for the admin client."),
    value(
        "election-type",
        "[PREFERRED,UNCLEAN]: election type",
        "REQUIRED: \"preferred\" elects the first replica where another one leads, \"unclean\" any that is alive where \
         none leads, though records may be lost.",
    ),
    flag("help", "Print usage information."),
    value("partition", "Integer: partition id", "The partition of --topic to elect for."),
    value(
        "path-to-json-file",
        "String: Path to JSON file",
        "A file with the partitions to elect for: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}]}. Not with \
         --all-topic-partitions or --topic.",
    ),
    value(
        "topic",
        "String: topic name",
        "The topic to elect for, with --partition. Not with --all-topic-partitions or --path-to-json-file.",
    ),
    flag("version", "Display Kafka version."),
];

/// Only one of these says which partitions are meant.
const WHICH: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];
/// How long the tool waits for the cluster, unless its settings say something else.
const TIMEOUTS: [(&str, &str); 2] = [("default.api.timeout.ms", "30000"), ("request.timeout.ms", "15000")];
const COMMAND_FAILED: &str = "org.apache.kafka.tools.AdminCommandFailedException";
const OPERATION_FAILED: &str = "org.apache.kafka.tools.AdminOperationException";

/// Runs the tool.
pub fn run(args: &[String], terminal: &mut Terminal<'_>) -> u8 {
    let given = match jopt::parse(OPTIONS, args) {
        Ok(given) => given,
        Err(error) => return failure::crash(terminal, &Failure::from(&error)),
    };
    let about =
        "This tool has leaders of partitions elected: the preferred ones, or any where there is none.";
    if let Some(code) = usage::help_or_version(terminal, &given, (args, about)) {
        return code;
    }
    if let Err(failure) = check(&given) {
        return failure::crash(terminal, &failure);
    }
    if let Err(message) = usage::exclude(&given, "admin.config", &["command-config"]) {
        return usage::refuse(terminal, OPTIONS, &message);
    }
    if let Err(failure) = check_which(&given) {
        return failure::crash(terminal, &failure);
    }
    session::run("kafka-leader-election", async {
        match work(&given, terminal).await {
            Ok(code) => code,
            Err(problem) => failure::end(terminal, Err(problem)),
        }
    })
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(COMMAND_FAILED, message)
}

fn check(given: &Given) -> Result<(), Failure> {
    let missing: Vec<&str> =
        ["bootstrap-server", "election-type"].into_iter().filter(|name| !given.has(name)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(failed(format!("Missing required option(s): {}", missing.join(", ")))),
    }
}

fn check_which(given: &Given) -> Result<(), Failure> {
    if given.count(&WHICH) != 1 {
        let text = "One and only one of the following options is required: ";
        return Err(failed(format!("{text}{}", WHICH.join(", "))));
    }
    match (given.has("topic"), given.has("partition")) {
        (true, false) => Err(failed("Missing required option(s): partition")),
        (false, true) => Err(failed("Option partition is only allowed if topic is used")),
        (true, true) | (false, false) => Ok(()),
    }
}

/// What became of those that were to get another leader.
type Outcomes = Vec<(Partition, Result<(), Failure>)>;

/// Ends with the exit code.
async fn work(given: &Given, terminal: &mut Terminal<'_>) -> Result<u8, Problem> {
    let (kind, name) = kind_of(given)?;
    let wanted = wanted(given)?;
    let mut properties = session::properties_of(given, &[])?;
    if given.has("admin.config") {
        terminal.out_line(
            "Option --admin.config has been deprecated and will be removed in a future version. Use --command-config \
             instead.",
        );
        let file = given.value("admin.config").map_err(|error| Problem::from(&error))?;
        for (key, value) in session::properties_of_file(file.unwrap_or_default())? {
            properties.entry(key).or_insert(value);
        }
    }
    for (key, value) in TIMEOUTS {
        properties.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    let admin = session::admin(terminal, &properties).await?;
    let known: Option<Vec<TopicPartition>> =
        wanted.as_ref().map(|wanted| wanted.iter().filter_map(Partition::checked).collect());
    let elected = admin.elect_leaders(kind, known.as_deref()).await;
    let mut outcomes: Outcomes = Vec::new();
    let mut needless = Vec::new();
    for (partition, outcome) in elected.map_err(|error| unanswered(&error, terminal))? {
        let named = Partition::from(&partition);
        match outcome {
            Err(ElectLeaderError::NotNeeded(_)) => needless.push(named),
            other => outcomes.push((named, other.map_err(|error| operation_failure!(error)))),
        }
    }
    // What no cluster can have is not asked for, and refused as the cluster would.
    for named in wanted.iter().flatten().filter(|named| named.checked().is_none()) {
        let text = format!("No such topic as {}", named.topic);
        let error = ServerError { code: ErrorCode::UnknownTopicOrPartition, detail: Some(text) };
        outcomes.push((named.clone(), Err(Failure::from(&error))));
    }
    Ok(tell(name, (outcomes, needless), terminal))
}

fn tell(kind: &str, (outcomes, needless): (Outcomes, Vec<Partition>), terminal: &mut Terminal<'_>) -> u8 {
    let names = |all: Vec<Partition>| {
        let ordered = hash_order(all, Partition::java_hash);
        ordered.iter().map(Partition::to_string).collect::<Vec<_>>().join(", ")
    };
    let (elected, failed_ones): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    let elected: Vec<Partition> = elected.into_iter().map(|(named, _)| named).collect();
    if !elected.is_empty() {
        let names = names(elected);
        terminal
            .out_line(format_args!("Successfully completed leader election ({kind}) for partitions {names}"));
    }
    if !needless.is_empty() {
        terminal.out_line(format_args!("Valid replica already elected for partitions {}", names(needless)));
    }
    if failed_ones.is_empty() {
        return 0;
    }
    let root = failed(format!("{} replica(s) could not be elected", failed_ones.len()));
    let ordered = hash_order(failed_ones, |(partition, _)| partition.java_hash());
    let mut suppressed = Vec::new();
    for (partition, outcome) in ordered {
        if let Err(failure) = outcome {
            terminal.out_line(format_args!(
                "Error completing leader election ({kind}) for partition: {partition}: {failure}"
            ));
            suppressed.push(format!("\tSuppressed: {failure}"));
        }
    }
    let code = failure::crash(terminal, &root);
    for line in suppressed {
        terminal.err_line(line);
    }
    code
}

/// The whole request was refused, or not answered.
fn unanswered(error: &ElectLeaderError, terminal: &mut Terminal<'_>) -> Failure {
    let cause = operation_failure!(error);
    let refused = error.refusal().map(|refusal| refusal.code);
    let text = if matches!(error, ElectLeaderError::Call(CallError::TimedOut { .. })) {
        "Timeout waiting for election results"
    } else if refused == Some(ErrorCode::ClusterAuthorizationFailed) {
        "Not authorized to perform leader election"
    } else {
        return cause.in_execution().in_runtime();
    };
    terminal.out_line(text);
    // Kafka's tool names the cause of the refusal, which has none.
    if refused.is_some() { failed(text) } else { cause.causing(COMMAND_FAILED, text) }
}

fn kind_of(given: &Given) -> Result<(ElectionKind, &'static str), Problem> {
    let text = given.value("election-type").map_err(|error| Problem::from(&error))?.unwrap_or_default();
    match text.to_ascii_uppercase().as_str() {
        "PREFERRED" => Ok((ElectionKind::Preferred, "PREFERRED")),
        "UNCLEAN" => Ok((ElectionKind::Unclean, "UNCLEAN")),
        _ => {
            let words = format!("Value [{text}] is not one of [[PREFERRED,UNCLEAN]]");
            let cause = Failure::new("joptsimple.ValueConversionException", words);
            let words = format!("Cannot parse argument '{text}' of option election-type");
            Err(cause.causing("joptsimple.OptionArgumentConversionException", words).into())
        }
    }
}

/// The partitions that are named; `None`: all.
fn wanted(given: &Given) -> Result<Option<Vec<Partition>>, Problem> {
    if let Some(path) = given.value("path-to-json-file").map_err(|error| Problem::from(&error))? {
        let bytes =
            read_file(Path::new(path)).map_err(|error| json_input::unreadable(path, &error).in_runtime())?;
        return Ok(Some(partitions_in(&String::from_utf8_lossy(&bytes))?));
    }
    let topic = given.value("topic").map_err(|error| Problem::from(&error))?;
    let partition = given.number::<i32>("partition").map_err(|error| Problem::from(&error))?;
    Ok(topic.zip(partition).map(|(topic, partition)| vec![Partition::new(topic, partition)]))
}

/// Reads `{"partitions": [{"topic": "foo", "partition": 1}]}`. No partition stands in it twice.
fn partitions_in(file: &str) -> Result<Vec<Partition>, Failure> {
    let refused = |message: &str| Failure::new(OPERATION_FAILED, message);
    let json = json_input::parse(file).ok_or_else(|| refused("Replica election data is empty"))?;
    let fields = object(&json).map_err(Failure::in_runtime)?;
    let partitions = fields
        .get("partitions")
        .ok_or_else(|| refused("Replica election data is missing \"partitions\" field"))?;
    let named = |json| -> Result<Partition, Failure> {
        let fields = object(json)?;
        Ok(Partition::new(text(field(fields, "topic")?)?, integer(field(fields, "partition")?)?))
    };
    let all: Result<Vec<Partition>, Failure> =
        array(partitions).and_then(|partitions| partitions.iter().map(named).collect());
    let all = all.map_err(Failure::in_runtime)?;
    let mut twice: Vec<Partition> = Vec::new();
    for (at, one) in all.iter().enumerate() {
        if all[..at].contains(one) && !twice.contains(one) {
            twice.push(one.clone());
        }
    }
    if twice.is_empty() {
        return Ok(all);
    }
    let names: Vec<String> =
        hash_order(twice, Partition::java_hash).iter().map(Partition::to_string).collect();
    Err(refused(&format!("Replica election data contains duplicate partitions: [{}]", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_partitions_once() {
        let text = r#"{"partitions":[{"topic":"a","partition":1},{"topic":"b","partition":0,"more":1}]}"#;
        assert_eq!(partitions_in(text), Ok(vec![Partition::new("a", 1), Partition::new("b", 0)]));
        let json = "com.fasterxml.jackson.databind.JsonMappingException";
        for (text, words) in [
            ("", "Replica election data is empty".to_owned()),
            ("{}", "Replica election data is missing \"partitions\" field".to_owned()),
            ("[]", format!("{json}: Expected JSON object, received []")),
            (r#"{"partitions":1}"#, format!("{json}: Expected JSON array, received 1")),
            (r#"{"partitions":[{"topic":1}]}"#, format!("{json}: Expected `String` value, received 1")),
            (
                r#"{"partitions":[{"topic":"a","partition":1},{"topic":"a","partition":1}]}"#,
                "Replica election data contains duplicate partitions: [a-1]".to_owned(),
            ),
        ] {
            assert_eq!(partitions_in(text).unwrap_err().message(), words, "{text}");
        }
    }
}
