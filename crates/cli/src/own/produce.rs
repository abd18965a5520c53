//! `ottla produce`: write records to topics.
//!
//! Owns: its flags, and what of a record they decide (`Rules`).
//! Does not own: the loop and the ways to end (`sending`), cutting input into records (`source`, `record`).
//!
//! What decides the topic of a record: its `%t`, the topic that was named, its field in JSON. So a format may spread
//! records, and a dump of one topic goes where it is sent to. Partition: that of the format, `--partition`, that of the
//! JSON, the key.

mod sending;
mod source;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ottla_client::config::{ProducerConfig, Properties};
use ottla_model::{Timestamp, TopicName};

use super::connection::{ConnectionFlags, Environment};
use super::on_runtime;
use super::record::input::Input;
use super::record::{NewHeader, NewRecord, format};
use super::refusal::Refusal;
use super::topic::DryRun;
use crate::terminal::Terminal;
use sending::Sending;
use source::Source;

/// Write records to a topic.
#[derive(Debug, Parser)]
#[command(name = "ottla produce", bin_name = "ottla produce", after_long_help = MORE_HELP)]
pub struct Flags {
    /// Topic to write to; may be left out where each record says it
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// A file to read instead of standard input, which is also -
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// How records are cut out of the input, see below [default: %v\n]
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,
    /// Form of the input [default: text]
    #[arg(short, long, value_enum, value_name = "FORM")]
    input: Option<Form>,
    /// Key of records that have none
    #[arg(short, long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
    /// A header for each record, behind its own; may be repeated
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE", value_parser = header)]
    headers: Vec<NewHeader>,
    /// Partition of the records
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Choose partitions by key, whatever partition the records say
    #[arg(long, conflicts_with = "partition")]
    repartition: bool,
    /// Codec of the batches [default: none]
    #[arg(short = 'z', long, value_enum, value_name = "CODEC")]
    compression: Option<Codec>,
    /// Who must have a record before it counts as produced [default: all]
    #[arg(long, value_enum, value_name = "ACKS", allow_hyphen_values = true)]
    acks: Option<AcksFlag>,
    /// Records without a value where the value is empty: they delete their key in a compacted topic
    #[arg(short = 'Z', long)]
    tombstone: bool,
    /// What is printed for each produced record: none, json, or a format of `ottla consume`
    /// [default: none; where records are typed, where they went]
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    output: Option<String>,
    #[command(flatten)]
    dry: DryRun,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// What the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// By --format
    Text,
    /// A record of JSON on each line, as `ottla consume -o json` prints them
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AcksFlag {
    /// Nobody is asked
    #[value(name = "0", alias = "none")]
    None,
    /// The leader
    #[value(name = "1", alias = "leader")]
    Leader,
    /// All replicas in sync
    #[value(name = "all", alias = "-1")]
    All,
}

/// What a person who types records is told of each.
const TO_WHO_TYPES: &str = "Produced to partition %p at offset %o.\\n";

const MORE_HELP: &str = r#"Formats:
  %t %k %v          topic, key, value            %p %d      partition, timestamp in milliseconds
  %T %K %V          sizes of what comes later    %H         number of headers that come later
  %h{%k=%v,}        as many headers              %% %{ %} \n \r \t \\ \xNN   these characters
  Texts:   %v{hex}, %v{base64}, %v{base64raw}, %v{json} (one value of JSON)
  Numbers: %K{ascii}, {hex8} to {hex64}, {big8} to {big64}, {little8} to {little64}, {byte}; %K{4} is always 4
  A text ends where the characters behind it in the format begin, or after the size that was read before it.

Input of JSON has a record on each line; only 'value' must be there:
  {"topic":"t","partition":0,"timestamp":1700000000000,"key":"k","value":"v","headers":[{"key":"h","value":null}]}
  Bytes that are no UTF-8 stand as {"base64":"/wA="}. 'offset' and 'timestamp_type' are passed over.

A topic that was named goes before that of the JSON, and a %t before one that was named.

Examples:
  echo hello | ottla produce greetings
  ottla produce orders -f '%k %v\n' --file orders.txt
  ottla produce orders -f '%K{big32}%V{big32}%k%v' --file orders.bin -z zstd
  echo | ottla produce users --key user-7 --tombstone
  ottla consume orders -o json | ottla produce copy -i json
  ottla produce orders -o '%p/%o\n' < orders.txt
  ottla produce orders -i json --dry-run < part.json"#;

fn header(text: &str) -> Result<NewHeader, String> {
    match text.split_once([':', '=']) {
        Some((key, value)) => Ok((key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))),
        None => Err("it must be KEY:VALUE".to_owned()),
    }
}

/// Runs the command.
pub fn run(flags: &Flags, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let input = input_of(flags)?;
    if flags.topic.is_none() && !input.has_topic() {
        return Err(Refusal::usage("no topic was named, and the format has no %t")
            .hint("`ottla produce TOPIC` names one for all records"));
    }
    let output = Output::of_flags(flags)?;
    let rules = Rules::of_flags(flags, &input);
    let settings = flags.connection.resolve(&Environment::of_process())?;
    let config = ProducerConfig::from_properties(&producer_settings(flags, settings))?;
    let source = Source::open(flags.file.as_deref())?;
    if flags.file.is_none() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        terminal.err_line("note: records are read from this terminal; Ctrl-D ends");
    }
    on_runtime(async {
        let admin = flags.connection.admin(&Environment::of_process()).await?;
        let sending = Sending::begin(admin, (rules, output), terminal).await?;
        let records = source.read(input)?;
        match flags.dry.dry_run {
            true => sending.try_all(records).await,
            false => sending.send_all(records, config).await,
        }
    })
}

fn input_of(flags: &Flags) -> Result<Input, Refusal> {
    match (flags.input, flags.format.as_deref()) {
        (Some(Form::Json), None) => Ok(Input::Json),
        (Some(Form::Json), Some(_)) => Err(Refusal::usage("--format and --input json contradict each other")
            .hint("A format is for --input text, which is the default")),
        (None | Some(Form::Text), text) => {
            let text = text.unwrap_or("%v\\n");
            Input::of_format(format::for_reading(text)?, text)
        }
    }
}

fn producer_settings(flags: &Flags, settings: Properties) -> Properties {
    let mut settings = settings;
    let linger_ms = settings.get("linger.ms").and_then(|text| text.trim().parse::<u64>().ok());
    let timeout_ms = u64::from(flags.connection.timeout) * 1000;
    let mut set = |key: &str, value: &str| drop(settings.insert(key.to_owned(), value.to_owned()));
    if let Some(codec) = flags.compression {
        set(
            "compression.type",
            match codec {
                Codec::None => "none",
                Codec::Gzip => "gzip",
                Codec::Snappy => "snappy",
                Codec::Lz4 => "lz4",
                Codec::Zstd => "zstd",
            },
        );
    }
    if let Some(acks) = flags.acks {
        set(
            "acks",
            match acks {
                AcksFlag::None => "0",
                AcksFlag::Leader => "1",
                AcksFlag::All => "all",
            },
        );
    }
    // A record is given up when the cluster had its time, not when a default of the client has passed.
    let delivery_ms = timeout_ms + linger_ms.unwrap_or(100);
    settings.entry("delivery.timeout.ms".to_owned()).or_insert_with(|| delivery_ms.to_string());
    settings
}

/// What is printed of a record that was produced.
#[derive(Clone, Debug)]
enum Output {
    None,
    /// Where it went, as a line of JSON.
    Json,
    Text(format::Format),
}

impl Output {
    fn of_flags(flags: &Flags) -> Result<Output, Refusal> {
        let is_typed = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let output = match flags.output.as_deref() {
            None if is_typed
                && flags.file.is_none()
                && !flags.dry.dry_run
                && flags.acks != Some(AcksFlag::None) =>
            {
                Output::Text(format::for_writing(TO_WHO_TYPES)?)
            }
            None | Some("none") => Output::None,
            Some("json") => Output::Json,
            Some(text) => Output::Text(format::for_writing(text)?),
        };
        match output {
            Output::Json | Output::Text(_)
                if flags.acks == Some(AcksFlag::None) && flags.output.is_some() =>
            {
                Err(Refusal::usage("--output and --acks 0 contradict each other")
                    .detail("Without an answer of the cluster nobody knows where a record went"))
            }
            Output::Text(_) if flags.dry.dry_run => {
                Err(Refusal::usage("--dry-run and an --output of single records contradict each other")
                    .hint("The plan is a table, or JSON with --output json"))
            }
            Output::None | Output::Json | Output::Text(_) => Ok(output),
        }
    }
}

/// What the flags decide of each record.
#[derive(Clone, Debug)]
struct Rules {
    topic: Option<String>,
    key: Option<Vec<u8>>,
    headers: Vec<NewHeader>,
    partition: Option<i32>,
    repartition: bool,
    tombstone: bool,
    is_json: bool,
}

/// A record that is ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ready {
    topic: String,
    record: NewRecord,
}

impl Rules {
    fn of_flags(flags: &Flags, input: &Input) -> Rules {
        Rules {
            topic: flags.topic.clone(),
            key: flags.key.as_ref().map(|key| key.clone().into_bytes()),
            headers: flags.headers.clone(),
            partition: flags.partition,
            repartition: flags.repartition,
            tombstone: flags.tombstone,
            is_json: matches!(input, Input::Json),
        }
    }

    /// The record with everything that the flags say; `None` where nobody says the topic.
    fn apply(&self, record: NewRecord) -> Option<Ready> {
        let mut record = record;
        let said = (record.topic.take(), record.partition.take());
        let ((topic, named), (partition, flag)) = match self.is_json {
            true => ((self.topic.clone(), said.0), (self.partition, said.1)),
            false => ((said.0, self.topic.clone()), (said.1, self.partition)),
        };
        record.partition = partition.or(flag).filter(|_| !self.repartition);
        record.key = record.key.or_else(|| self.key.clone());
        record.headers.extend(self.headers.iter().cloned());
        record.timestamp = record.timestamp.filter(|millis| *millis != Timestamp::NONE.millis());
        if !self.is_json {
            // A line is a value, and only with the flag a missing one.
            record.value.get_or_insert_default();
        }
        if self.tombstone {
            record.value.take_if(|value| value.is_empty());
        }
        Some(Ready { topic: topic.or(named)?, record })
    }
}

fn topic_name(text: &str) -> Result<TopicName, Refusal> {
    TopicName::new(text)
        .map_err(|error| Refusal::failed(format!("'{text}' is no name for a topic")).detail(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(line: &str, is_json: bool, record: NewRecord) -> Option<Ready> {
        let args = std::iter::once("ottla produce").chain(line.split(' ').filter(|word| !word.is_empty()));
        let flags = Flags::try_parse_from(args).unwrap();
        let format = format::for_reading("%v\\n").unwrap();
        let input = if is_json { Input::Json } else { Input::Format(format) };
        Rules::of_flags(&flags, &input).apply(record)
    }

    fn record(topic: Option<&str>, partition: Option<i32>) -> NewRecord {
        NewRecord { topic: topic.map(str::to_owned), partition, ..NewRecord::default() }
    }

    #[test]
    fn what_was_named_goes_before_json_and_a_format_before_what_was_named() {
        let place = |line, is_json, record| {
            let ready = applied(line, is_json, record);
            ready.map(|ready| (ready.topic, ready.record.partition))
        };
        let at = |topic: &str, partition| Some((topic.to_owned(), partition));
        let said = || record(Some("said"), Some(1));
        assert_eq!(place("named -p 2", true, said()), at("named", Some(2)));
        assert_eq!(place("named -p 2", false, said()), at("said", Some(1)));
        for is_json in [true, false] {
            assert_eq!(place("", is_json, said()), at("said", Some(1)));
            assert_eq!(place("named -p 2", is_json, record(None, None)), at("named", Some(2)));
            assert_eq!(place("named --repartition", is_json, record(None, Some(1))), at("named", None));
            assert_eq!(place("", is_json, record(None, None)), None);
        }
    }

    #[test]
    fn keys_headers_and_tombstones_are_those_of_the_flags_where_the_record_has_none() {
        let line = "t -k K -H a:1 -H b=x:y -H c:";
        let ready = applied(line, false, record(None, None)).unwrap().record;
        let header = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        assert_eq!(ready.headers, [header("a", "1"), header("b", "x:y"), header("c", "")]);
        assert_eq!((ready.key, ready.value), (Some(b"K".to_vec()), Some(Vec::new())));
        let own = NewRecord { key: Some(Vec::new()), value: Some(Vec::new()), ..record(None, None) };
        let ready = applied("t -k K -Z", true, own.clone()).unwrap().record;
        assert_eq!((ready.key, ready.value), (Some(Vec::new()), None));
        assert_eq!(applied("t", true, own.clone()).unwrap().record, own);
        assert_eq!(applied("t", true, record(None, None)).unwrap().record.value, None);
        let timeless = NewRecord { timestamp: Some(-1), ..record(None, None) };
        assert_eq!(applied("t", true, timeless).unwrap().record.timestamp, None);
    }
}
