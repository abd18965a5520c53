//! Records as lines of output: the formatters of Kafka's console consumer.
//!
//! Owns: the properties of `DefaultMessageFormatter`, and what it writes for a record.
//! Does not own: which records there are, where the bytes go, records of coordinators (`coordinator_records`).
//!
//! Source: `kafka-console-consumer.sh` of Kafka 4.3.1 (`tests/data/console.txt`).

use ottla_client::config::Properties;
use ottla_client::consumer::{ConsumerRecord, TimestampKind};

use super::super::failure::Failure;
use super::coordinator_records::CoordinatorRecords;
use super::deserializer::Deserializer;

const PACKAGE: &str = "org.apache.kafka.tools.consumer.";

/// What is printed of a record.
#[derive(Clone, Debug)]
pub enum Formatter {
    Columns(Box<Columns>),
    Coordinator(CoordinatorRecords),
    /// `NoOpMessageFormatter`
    Nothing,
}

/// The columns of `DefaultMessageFormatter`.
#[derive(Clone, Debug)]
pub struct Columns {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    of_key: Option<Deserializer>,
    of_value: Option<Deserializer>,
    of_headers: Option<Deserializer>,
}

/// A class that does not exist here; Kafka logs it and goes on without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass(pub String);

impl Formatter {
    /// The formatter of a class, or `None` where there is no such class.
    pub fn new(class: &str, properties: &Properties) -> Option<(Formatter, Vec<UnknownClass>)> {
        match class.strip_prefix(PACKAGE)? {
            "DefaultMessageFormatter" | "LoggingMessageFormatter" => {
                let (columns, unknown) = Columns::new(properties);
                Some((Formatter::Columns(Box::new(columns)), unknown))
            }
            "NoOpMessageFormatter" => Some((Formatter::Nothing, Vec::new())),
            other => Some((Formatter::Coordinator(CoordinatorRecords::of_class(other)?), Vec::new())),
        }
    }

    /// What is written for a record.
    pub fn write(&self, record: &ConsumerRecord) -> Result<Vec<u8>, Failure> {
        match self {
            Formatter::Columns(columns) => columns.write(record),
            Formatter::Coordinator(records) => records.write(record),
            Formatter::Nothing => Ok(Vec::new()),
        }
    }
}

impl Columns {
    fn new(properties: &Properties) -> (Columns, Vec<UnknownClass>) {
        let mut unknown = Vec::new();
        let flag = |name: &str, default: bool| {
            properties.get(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |name: &str, default: &str| {
            properties.get(name).map_or(default, String::as_str).as_bytes().to_vec()
        };
        let mut class = |name: &str| {
            let class = properties.get(name).filter(|class| !class.is_empty())?;
            let known = Deserializer::of_class(class);
            let keeps_bytes = class.ends_with(".ByteArrayDeserializer");
            if known.is_none() && !keeps_bytes {
                unknown.push(UnknownClass(class.clone()));
            }
            known
        };
        let columns = Columns {
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            of_key: class("key.deserializer"),
            of_value: class("value.deserializer"),
            of_headers: class("headers.deserializer"),
        };
        (columns, unknown)
    }

    fn write(&self, record: &ConsumerRecord) -> Result<Vec<u8>, Failure> {
        let mut columns: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            columns.push(timestamp_column(record).into_bytes());
        }
        if self.partition {
            columns.push(format!("Partition:{}", record.partition).into_bytes());
        }
        if self.offset {
            columns.push(format!("Offset:{}", record.offset).into_bytes());
        }
        // Only share consumers know how often a record was delivered, and Kafka's tool forgets the epoch.
        if self.delivery {
            columns.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            columns.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.headers {
            columns.push(self.headers_column(record)?);
        }
        if self.key {
            columns.push(self.bytes(self.of_key, record.key.as_deref())?);
        }
        if self.value {
            columns.push(self.bytes(self.of_value, record.value.as_deref())?);
        }
        let mut line = columns.join(&self.key_separator[..]);
        if !columns.is_empty() {
            line.extend_from_slice(&self.line_separator);
        }
        Ok(line)
    }

    fn headers_column(&self, record: &ConsumerRecord) -> Result<Vec<u8>, Failure> {
        if record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut headers = Vec::new();
        for header in &record.headers {
            let value = self.bytes(self.of_headers, header.value.as_deref())?;
            headers.push([&header.key, b":".as_slice(), &value].concat());
        }
        Ok(headers.join(&self.headers_separator[..]))
    }

    fn bytes(&self, deserializer: Option<Deserializer>, bytes: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        match (bytes, deserializer) {
            (None, _) => Ok(self.null_literal.clone()),
            (Some(bytes), None) => Ok(bytes.to_vec()),
            (Some(bytes), Some(deserializer)) => deserializer.text_of(bytes).map(String::into_bytes),
        }
    }
}

fn timestamp_column(record: &ConsumerRecord) -> String {
    let millis = record.timestamp.millis();
    match record.timestamp_kind {
        TimestampKind::None => "NO_TIMESTAMP".to_owned(),
        TimestampKind::CreateTime => format!("CreateTime:{millis}"),
        TimestampKind::LogAppendTime => format!("LogAppendTime:{millis}"),
    }
}

#[cfg(test)]
mod tests {
    use ottla_client::consumer::RecordHeader;
    use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};

    use super::*;

    fn line(properties: &[(&str, &str)]) -> String {
        let record = ConsumerRecord {
            topic: TopicName::new("t").unwrap(),
            partition: PartitionIndex::default(),
            offset: Offset::new(7).unwrap(),
            leader_epoch: None,
            timestamp: Timestamp::from_millis(99),
            timestamp_kind: TimestampKind::CreateTime,
            key: None,
            value: Some(b"v".as_slice().into()),
            headers: vec![
                RecordHeader { key: b"a".as_slice().into(), value: Some(b"1".as_slice().into()) },
                RecordHeader { key: b"b".as_slice().into(), value: None },
            ],
        };
        let properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let class = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";
        let (formatter, _) = Formatter::new(class, &properties).unwrap();
        String::from_utf8(formatter.write(&record).unwrap()).unwrap()
    }

    #[test]
    fn columns_stand_in_kafka_s_order() {
        let all = [
            ("print.timestamp", "true"),
            ("print.key", "true"),
            ("print.offset", "true"),
            ("print.partition", "true"),
            ("print.headers", "true"),
            ("print.epoch", "true"),
        ];
        assert_eq!(
            line(&all),
            "CreateTime:99\tPartition:0\tOffset:7\tEpoch:NOT_PRESENT\ta:1,b:null\tnull\tv\n"
        );
    }

    #[test]
    fn separators_and_the_literal_for_null_may_be_chosen() {
        assert_eq!(line(&[]), "v\n");
        let chosen =
            [("print.key", "true"), ("key.separator", "<->"), ("null.literal", "-"), ("line.separator", "#")];
        assert_eq!(line(&chosen), "-<->v#");
        assert_eq!(line(&[("print.value", "false"), ("print.key", "true")]), "null\n");
    }

    #[test]
    fn a_deserializer_that_does_not_exist_is_named() {
        let properties = Properties::from([("key.deserializer".to_owned(), "no.such.Class".to_owned())]);
        let class = "org.apache.kafka.tools.consumer.LoggingMessageFormatter";
        let (_, unknown) = Formatter::new(class, &properties).unwrap();
        assert_eq!(unknown, [UnknownClass("no.such.Class".to_owned())]);
        assert!(Formatter::new("no.such.Formatter", &properties).is_none());
    }
}
