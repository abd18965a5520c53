//! The file that tells `kafka-delete-records` how much to delete.
//!
//! Owns: reading it, and the words of refusals. Does not own: deleting.
//!
//! ```text
//! {"partitions": [{"topic": "t", "partition": 0, "offset": 7}], "version": 1}
//! ```
//! Records below the offset are deleted; −1 stands for the high watermark. What stands behind the object is passed
//! over, and so are other fields.

use std::fmt;

use serde_json::Value;

use super::super::failure::Failure;
use super::super::json_input::{self, expected, field, integer, object};

/// The one version of the file.
const VERSION: i32 = 1;

/// One partition and the offset up to which records shall go, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Reads the text of the file. No partition stands in it twice.
pub(super) fn parse(text: &str) -> Result<Vec<Wanted>, Failure> {
    let json = json_input::parse(text).ok_or_else(|| refused("The input string is not a valid JSON"))?;
    let file = object(&json)?;
    let version = file.get("version").map_or(Ok(VERSION), integer)?;
    if version != VERSION {
        return Err(refused(format!("Not supported version field value {version}")));
    }
    let partitions = file.get("partitions").ok_or_else(|| refused("Missing partitions field"))?;
    let all: Vec<Wanted> = json_input::array(partitions)?.iter().map(wanted).collect::<Result<_, _>>()?;
    let mut twice: Vec<String> = Vec::new();
    for (at, one) in all.iter().enumerate() {
        let is_same = |other: &Wanted| other.topic == one.topic && other.partition == one.partition;
        if all[..at].iter().any(is_same) && !twice.contains(&one.to_string()) {
            twice.push(one.to_string());
        }
    }
    if twice.is_empty() {
        return Ok(all);
    }
    twice.sort();
    let text = format!("Offset json file contains duplicate topic partitions: {}", twice.join(","));
    Err(Failure::new("org.apache.kafka.tools.AdminCommandFailedException", text))
}

fn wanted(json: &Value) -> Result<Wanted, Failure> {
    let fields = object(json)?;
    let topic = json_input::text(field(fields, "topic")?)?;
    let partition = integer(field(fields, "partition")?)?;
    let offset = field(fields, "offset")?;
    let offset = offset.as_i64().ok_or_else(|| expected("`Long` value", offset))?;
    Ok(Wanted { topic: topic.to_owned(), partition, offset })
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new("org.apache.kafka.tools.AdminOperationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_file_names_partitions_and_offsets_and_may_say_more() {
        let text = r#"{"partitions":[{"topic":"t","partition":2,"offset":-1,"more":{}}],"other":[1]} behind"#;
        assert_eq!(parse(text), Ok(vec![Wanted { topic: "t".to_owned(), partition: 2, offset: -1 }]));
        assert_eq!(parse(r#"{"partitions":[],"version":1}"#), Ok(Vec::new()));
    }

    #[test]
    fn a_file_of_another_form_is_refused_with_what_was_expected() {
        for (text, words) in [
            ("", "The input string is not a valid JSON"),
            ("{'partitions':[]}", "The input string is not a valid JSON"),
            (r#"{"partitions":[1,]}"#, "The input string is not a valid JSON"),
            ("[]", "Expected JSON object, received []"),
            ("null", "Expected JSON object, received null"),
            ("{}", "Missing partitions field"),
            (r#"{"version":2}"#, "Not supported version field value 2"),
            (r#"{"version":"1"}"#, "Expected `Integer` value, received \"1\""),
            (r#"{"version":2147483648}"#, "Expected `Integer` value, received 2147483648"),
            (r#"{"partitions":{}}"#, "Expected JSON array, received {}"),
            (r#"{"partitions":[1]}"#, "Expected JSON object, received 1"),
            (r#"{"partitions":[{"topic":1}]}"#, "Expected `String` value, received 1"),
            (r#"{"partitions":[{"topic":"t"}]}"#, "No such field exists: `partition`"),
            (r#"{"partitions":[{"topic":"t","partition":0}]}"#, "No such field exists: `offset`"),
            (
                r#"{"partitions":[{"topic":"t","partition":0,"offset":1.5}]}"#,
                "Expected `Long` value, received 1.5",
            ),
        ] {
            assert_eq!(refusal(text), words, "{text}");
        }
    }

    #[test]
    fn a_partition_stands_in_the_file_once() {
        let one = |topic| format!(r#"{{"topic":"{topic}","partition":0,"offset":1}}"#);
        let text = format!(r#"{{"partitions":[{}]}}"#, ["b", "a", "b", "a", "b"].map(one).join(","));
        assert_eq!(refusal(&text), "Offset json file contains duplicate topic partitions: a-0,b-0");
    }
}
