//! Records as lines of JSON: what `ottla consume --output json` writes and `ottla produce --input json` reads.
//!
//! Owns: the names of fields, how bytes are told that are no text.
//! Does not own: other forms (`format`), where lines come from and go to.
//!
//! ```json
//! {"topic":"t","partition":0,"offset":7,"timestamp":1700000000000,"timestamp_type":"CreateTime","key":"k",
//!  "value":{"base64":"/wA="},"headers":[{"key":"h","value":null}]}
//! ```
//!
//! Bytes are a text where they are UTF-8, `{"base64": "…"}` where they are not, and `null` where there are none. The
//! timestamp is in milliseconds. When such a line is read, `value` must be there; `topic`, `partition`, `timestamp`,
//! `key` and `headers` may be; `offset` and `timestamp_type` are passed over, since the cluster decides them; anything
//! else is a mistake.

use ottla_client::consumer::{ConsumerRecord, TimestampKind};
use ottla_model::Timestamp;
use ottla_protocol::codec::base64;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{NewHeader, NewRecord};

#[derive(serde::Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    timestamp_type: Option<&'static str>,
    key: Option<Bytes<'a>>,
    value: Option<Bytes<'a>>,
    headers: Vec<Header<'a>>,
}

#[derive(serde::Serialize)]
struct Header<'a> {
    key: Bytes<'a>,
    value: Option<Bytes<'a>>,
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &base64::encode(self.0))?;
                map.end()
            }
        }
    }
}

/// How a line of JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each record on one line.
    Lines,
    /// Each record on several lines.
    Pretty,
}

/// Appends a record and the end of its line.
pub fn write(layout: Layout, record: &ConsumerRecord, out: &mut Vec<u8>) {
    let kind = match record.timestamp_kind {
        TimestampKind::None => None,
        TimestampKind::CreateTime => Some("CreateTime"),
        TimestampKind::LogAppendTime => Some("LogAppendTime"),
    };
    let headers = record.headers.iter();
    let line = Line {
        topic: record.topic.as_str(),
        partition: record.partition.value(),
        offset: record.offset.value(),
        timestamp: kind
            .map(|_| record.timestamp)
            .filter(|time| *time != Timestamp::NONE)
            .map(Timestamp::millis),
        timestamp_type: kind,
        key: record.key.as_deref().map(Bytes),
        value: record.value.as_deref().map(Bytes),
        headers: headers
            .map(|header| Header { key: Bytes(&header.key), value: header.value.as_deref().map(Bytes) })
            .collect(),
    };
    let written = match layout {
        Layout::Lines => serde_json::to_writer(&mut *out, &line),
        Layout::Pretty => serde_json::to_writer_pretty(&mut *out, &line),
    };
    // Writing to memory does not fail, and all keys are texts.
    debug_assert!(written.is_ok(), "{written:?}");
    out.push(b'\n');
}

/// Reads a line. The error says what is wrong with it.
pub fn read(line: &[u8]) -> Result<NewRecord, String> {
    let document: Value = serde_json::from_slice(line).map_err(|error| {
        // The line of the error is always the first: the reader tells which one of the input that is.
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default();
        format!("it is no JSON at character {}: {reason}", error.column())
    })?;
    let Value::Object(fields) = document else { return Err("it is no JSON object".to_owned()) };
    const KNOWN: [&str; 8] =
        ["topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers"];
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("'{unknown}' is none of the fields {}", KNOWN.join(", ")));
    }
    let value = fields.get("value").ok_or("it has no field 'value'; null is a record that deletes")?;
    let mut record = NewRecord {
        key: read_bytes("key", fields.get("key").unwrap_or(&Value::Null))?,
        value: read_bytes("value", value)?,
        ..NewRecord::default()
    };
    if let Some(topic) = field(&fields, "topic") {
        record.topic = Some(topic.as_str().ok_or("'topic' is no text")?.to_owned());
    }
    if let Some(partition) = field(&fields, "partition") {
        let number = partition.as_i64().and_then(|number| i32::try_from(number).ok());
        record.partition = Some(number.filter(|number| *number >= 0).ok_or("'partition' is no partition")?);
    }
    if let Some(timestamp) = field(&fields, "timestamp") {
        record.timestamp = Some(timestamp.as_i64().ok_or("'timestamp' is no number of milliseconds")?);
    }
    if let Some(headers) = field(&fields, "headers") {
        let headers = headers.as_array().ok_or("'headers' is no list")?;
        record.headers = headers.iter().map(read_header).collect::<Result<_, _>>()?;
    }
    Ok(record)
}

/// A field that is there and not null.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn read_bytes(name: &str, value: &Value) -> Result<Option<Vec<u8>>, String> {
    let refused = || format!("'{name}' is neither a text nor null nor {{\"base64\": \"...\"}}");
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone().into_bytes())),
        Value::Object(fields) if fields.len() == 1 => {
            let text = fields.get("base64").and_then(Value::as_str).ok_or_else(refused)?;
            let bytes = base64::decode(text.as_bytes());
            bytes.map(Some).ok_or_else(|| format!("the base64 of '{name}' is broken"))
        }
        Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_) => Err(refused()),
    }
}

fn read_header(header: &Value) -> Result<NewHeader, String> {
    let fields = header.as_object().ok_or("a header is no object")?;
    if let Some(unknown) = fields.keys().find(|name| !["key", "value"].contains(&name.as_str())) {
        return Err(format!("'{unknown}' is none of the fields of a header: key, value"));
    }
    let key = read_bytes("key", fields.get("key").unwrap_or(&Value::Null))?;
    let value = read_bytes("value", fields.get("value").unwrap_or(&Value::Null))?;
    Ok((key.ok_or("a header has no key")?, value))
}

#[cfg(test)]
mod tests {
    use ottla_client::consumer::RecordHeader;
    use ottla_model::{Offset, PartitionIndex, TopicName};

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let odd: &[&[u8]] = &[b"", b"text", b"\xff\0", b"\"\\\n\x01", "é€".as_bytes(), b"{\"base64\":1}"];
        for bytes in odd.iter().map(|bytes| Some(*bytes)).chain([None]) {
            let header = RecordHeader {
                key: bytes.unwrap_or_default().to_vec().into(),
                value: bytes.map(|bytes| bytes.to_vec().into()),
            };
            let record = ConsumerRecord {
                topic: TopicName::new("t").unwrap(),
                partition: PartitionIndex::new(2).unwrap(),
                offset: Offset::new(7).unwrap(),
                leader_epoch: None,
                timestamp: Timestamp::from_millis(5),
                timestamp_kind: TimestampKind::CreateTime,
                key: bytes.map(|bytes| bytes.to_vec().into()),
                value: bytes.map(|bytes| bytes.to_vec().into()),
                headers: vec![header.clone(), header],
            };
            for layout in [Layout::Lines, Layout::Pretty] {
                let mut out = Vec::new();
                write(layout, &record, &mut out);
                let lines = out.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(lines == 1, layout == Layout::Lines);
                let owned = bytes.map(<[u8]>::to_vec);
                let expected = NewRecord {
                    topic: Some("t".to_owned()),
                    partition: Some(2),
                    timestamp: Some(5),
                    key: owned.clone(),
                    value: owned.clone(),
                    headers: vec![(owned.clone().unwrap_or_default(), owned); 2],
                };
                assert_eq!(read(&out), Ok(expected));
            }
        }
    }

    #[test]
    fn a_line_may_leave_out_what_the_cluster_can_choose() {
        let short = NewRecord { value: Some(b"v".to_vec()), ..NewRecord::default() };
        assert_eq!(read(br#"{"value":"v"}"#), Ok(short.clone()));
        assert_eq!(read(br#"{"value":"v","key":null,"offset":9,"partition":null}"#), Ok(short));
    }

    #[test]
    fn what_is_no_record_is_refused_with_the_reason() {
        for (line, reason) in [
            ("", "it is no JSON at character 0: EOF while parsing a value"),
            (r#"{"value":"v",}"#, "it is no JSON at character 14: trailing comma"),
            ("[]", "it is no JSON object"),
            ("{}", "it has no field 'value'"),
            (r#"{"value":1}"#, "'value' is neither"),
            (r#"{"value":{"base64":"Z"}}"#, "the base64 of 'value' is broken"),
            (r#"{"value":{"hex":"00"}}"#, "'value' is neither"),
            (r#"{"value":"v","vlaue":1}"#, "'vlaue' is none of the fields"),
            (r#"{"value":"v","partition":-1}"#, "'partition' is no partition"),
            (r#"{"value":"v","timestamp":"now"}"#, "'timestamp' is no number"),
            (r#"{"value":"v","headers":{}}"#, "'headers' is no list"),
            (r#"{"value":"v","headers":[{}]}"#, "a header has no key"),
            (r#"{"value":"v","headers":[{"key":"k","v":1}]}"#, "'v' is none of the fields of a header"),
        ] {
            let refusal = read(line.as_bytes()).unwrap_err();
            assert!(refusal.starts_with(reason), "{line}: {refusal}");
        }
    }
}
