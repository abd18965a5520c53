//! The options of `kafka-console-consumer`, and what they ask for.
//!
//! Owns: the options, the rules between them, the consumer's properties made of them.
//! Does not own: reading (`reading`), formatting (`formatter`).

use ottla_client::config::Properties;
use ottla_env::random::{OsRandom, Random};
use ottla_model::{Offset, java_string_hash};

use super::super::failure::Failure;
use super::super::{session, usage};
use super::formatter::{Formatter, UnknownClass};
use crate::jopt::{Given, Opt, OptError, flag, value};
use crate::terminal::Terminal;

const FORMATTER_CLASS: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

/// Groups that the tool makes up are numbered below this.
const GROUP_NUMBERS: u64 = 100_000;

pub(super) const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "String: server to connect to",
        "REQUIRED: The brokers to connect to, as host:port.",
    ),
    value("command-config", "String: config file", "A properties file for the consumer."),
    value("command-property", "String: consumer_prop", "A property of the consumer, as key=value."),
    value("consumer-property", "String: consumer_prop", "DEPRECATED: use --command-property."),
    value("consumer.config", "String: config file", "DEPRECATED: use --command-config."),
    flag("enable-systest-events", "Also print a line when the consumer is closed."),
    value(
        "formatter",
        "String: class",
        "DefaultMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter, OffsetsMessageFormatter, \
         GroupMetadataMessageFormatter, TransactionLogMessageFormatter, ShareGroupMessageFormatter or \
         group.share.ShareGroupStateMessageFormatter of org.apache.kafka.tools.consumer.",
    ),
    value("formatter-config", "String: config file", "A properties file for the formatter."),
    value(
        "formatter-property",
        "String: prop",
        "A property of the formatter, as key=value: print.timestamp, print.key, print.offset, print.delivery, \
         print.epoch, print.partition, print.headers, print.value, key.separator, line.separator, headers.separator, \
         null.literal, key.deserializer, value.deserializer, headers.deserializer.",
    ),
    flag("from-beginning", "Begin at the first record where the group has no offset."),
    value("group", "String: consumer group id", "The group of the consumer."),
    flag("help", "Print usage information."),
    value("include", "String: Java regex (String)", "A pattern of topics to read."),
    value("isolation-level", "String", "read_committed or read_uncommitted. Default: read_uncommitted."),
    value(
        "key-deserializer",
        "String: deserializer for keys",
        "A class of org.apache.kafka.common.serialization.",
    ),
    value("max-messages", "Integer: num_messages", "End after so many records."),
    value(
        "offset",
        "String: consume offset",
        "Where to begin: a number, earliest or latest. Default: latest.",
    ),
    value(
        "partition",
        "Integer: partition",
        "The partition to read, from its end unless --offset says otherwise.",
    ),
    value("property", "String: prop", "DEPRECATED: use --formatter-property."),
    flag("skip-message-on-error", "Go on behind a record that cannot be formatted."),
    value("timeout-ms", "Long: timeout_ms", "End when no record came for so long."),
    value("topic", "String: topic", "The topic to read."),
    value(
        "value-deserializer",
        "String: deserializer for values",
        "A class of org.apache.kafka.common.serialization.",
    ),
    flag("version", "Display Kafka version."),
];

/// What is read.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Topic(String),
    Pattern(String),
    Partition { topic: String, partition: i32, start: Start },
}

/// Where a single partition is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    Latest,
    At(Offset),
}

/// What the command line asks for.
pub(super) struct Plan {
    pub source: Source,
    pub properties: Properties,
    pub formatter: Formatter,
    pub unknown_classes: Vec<UnknownClass>,
    pub timeout_ms: Option<u64>,
    pub skip_on_error: bool,
    pub systest_events: bool,
}

/// Why the command line is refused.
pub(super) enum Refusal {
    /// With the table of options.
    Usage(String),
    Plain(String),
    /// As an exception that nobody caught.
    Uncaught(Failure),
}

impl From<OptError> for Refusal {
    fn from(error: OptError) -> Refusal {
        Refusal::Uncaught(Failure::from(&error))
    }
}

pub(super) fn check_usage(given: &Given) -> Result<(), String> {
    if given.count(&["topic", "include"]) != 1 {
        let names = usage::bracketed(&["topic", "include"]);
        return Err(format!("Exactly one of the following arguments is required: {names}"));
    }
    usage::require(given, &["bootstrap-server"])?;
    if given.has("partition") && !given.has("topic") {
        return Err("The topic is required when partition is specified.".to_owned());
    }
    if given.has("offset") && !given.has("partition") {
        return Err("The partition is required when offset is specified.".to_owned());
    }
    if given.has("offset") && given.has("from-beginning") {
        return Err("Options from-beginning and offset cannot be specified together.".to_owned());
    }
    for (old, new) in DEPRECATED {
        if given.has(old) && given.has(new) {
            return Err(format!("Options --{old} and --{new} cannot be specified together."));
        }
    }
    Ok(())
}

const DEPRECATED: [(&str, &str); 3] = [
    ("consumer-property", "command-property"),
    ("consumer.config", "command-config"),
    ("property", "formatter-property"),
];

pub(super) fn warn_of_deprecated(given: &Given, terminal: &mut Terminal<'_>) {
    for (old, new) in DEPRECATED {
        if given.has(old) {
            terminal.out_line(format_args!(
                "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            ));
        }
    }
}

pub(super) fn plan(given: &Given) -> Result<Plan, Refusal> {
    let partition = given.number::<i32>("partition")?;
    let start = start(given)?;
    let timeout_ms = given.number::<u64>("timeout-ms")?;
    let (formatter, unknown_classes) = formatter(given)?;
    let properties = consumer_properties(given)?;
    if given.has("partition") && given.has("group") {
        return Err(Refusal::Usage("Options group and partition cannot be specified together.".to_owned()));
    }
    let source = match (given.value("topic")?, partition) {
        (Some(topic), Some(partition)) => Source::Partition { topic: topic.to_owned(), partition, start },
        (Some(topic), None) => Source::Topic(topic.to_owned()),
        (None, _) => Source::Pattern(given.value("include")?.unwrap_or_default().to_owned()),
    };
    Ok(Plan {
        source,
        properties,
        formatter,
        unknown_classes,
        timeout_ms,
        skip_on_error: given.has("skip-message-on-error"),
        systest_events: given.has("enable-systest-events"),
    })
}

fn start(given: &Given) -> Result<Start, Refusal> {
    let Some(text) = given.value("offset")? else {
        return Ok(if given.has("from-beginning") { Start::Earliest } else { Start::Latest });
    };
    match text.to_lowercase().as_str() {
        "earliest" => return Ok(Start::Earliest),
        "latest" => return Ok(Start::Latest),
        _ => {}
    }
    text.parse().ok().and_then(Offset::new).map(Start::At).ok_or_else(|| {
        Refusal::Usage(format!(
            "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a \
             non-negative long."
        ))
    })
}

fn formatter(given: &Given) -> Result<(Formatter, Vec<UnknownClass>), Refusal> {
    let mut properties = match given.value("formatter-config")? {
        // The tool shows only the message of this failure.
        Some(path) => session::properties_of_file(path)
            .map_err(|failure| Refusal::Usage(failure.message().to_owned()))?,
        None => Properties::new(),
    };
    let single = given.values("formatter-property").chain(given.values("property"));
    properties.extend(session::properties_of_args(single));
    for (option, key) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = given.value(option)? {
            properties.insert(key.to_owned(), class.to_owned());
        }
    }
    let class = given.value("formatter")?.unwrap_or(FORMATTER_CLASS);
    Formatter::new(class, &properties).ok_or_else(|| Refusal::Usage(class.to_owned()))
}

fn consumer_properties(given: &Given) -> Result<Properties, Refusal> {
    let mut of_file = Properties::new();
    for option in ["command-config", "consumer.config"] {
        if let Some(path) = given.value(option)? {
            of_file = session::properties_of_file(path).map_err(Refusal::Uncaught)?;
        }
    }
    let single = given.values("command-property").chain(given.values("consumer-property"));
    let single = session::properties_of_args(single);
    let group = group(given, &single, &of_file)?;
    let mut properties = of_file;
    properties.extend(single);
    let bootstrap = given.value("bootstrap-server")?.unwrap_or_default();
    properties.insert("bootstrap.servers".to_owned(), bootstrap.to_owned());
    match (properties.get("auto.offset.reset").map(String::as_str), given.has("from-beginning")) {
        (Some("earliest") | None, true) => {
            properties.insert("auto.offset.reset".to_owned(), "earliest".to_owned());
        }
        (Some(other), true) => {
            return Err(Refusal::Plain(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={other}', please remove one \
                 option"
            )));
        }
        (Some(_), false) => {}
        (None, false) => drop(properties.insert("auto.offset.reset".to_owned(), "latest".to_owned())),
    }
    let isolation = given.value("isolation-level")?.unwrap_or("read_uncommitted");
    properties.insert("isolation.level".to_owned(), isolation.to_owned());
    properties.entry("client.id".to_owned()).or_insert_with(|| "console-consumer".to_owned());
    match group {
        Some(group) => drop(properties.insert("group.id".to_owned(), group)),
        None => {
            // Nobody comes back to a group that was made up, so it commits nothing.
            let number = OsRandom::new().map_or(0, |random| random.bits() % GROUP_NUMBERS);
            properties.insert("group.id".to_owned(), format!("console-consumer-{number}"));
            properties.entry("enable.auto.commit".to_owned()).or_insert_with(|| "false".to_owned());
        }
    }
    Ok(properties)
}

/// The group that the user names, in one place or the same in several.
fn group(given: &Given, single: &Properties, of_file: &Properties) -> Result<Option<String>, Refusal> {
    let mut groups: Vec<String> = Vec::new();
    let named = given.value("group")?.map(str::to_owned).into_iter();
    let named = named.chain(single.get("group.id").cloned()).chain(of_file.get("group.id").cloned());
    for group in named {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if groups.len() > 1 {
        groups.sort_by_key(|group| bucket(group));
        let groups: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return Err(Refusal::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer.config') do not match. Detected group ids: {}",
            groups.join(", ")
        )));
    }
    Ok(groups.pop())
}

/// Where Java's hash set of up to twelve strings keeps this one: the order in which it lists them.
fn bucket(text: &str) -> u32 {
    let hash = java_string_hash(text).cast_unsigned();
    (hash ^ (hash >> 16)) & 15
}
