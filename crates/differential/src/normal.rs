//! What may differ between two brokers that behave alike: ids, ports, times, directories, other sequences' names.
//!
//! Owns: replacing these by words that are the same on both sides. Does not own: differences that are known (`known`).
//!
//! An id becomes `topic-1`, `member-2`, by the order in which a broker first named it: equal words on both sides say that
//! the brokers used their ids in the same way, whatever they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::broker::Place;

/// Fields that hold an id that each broker makes up, and what the id is of.
const IDS: [(&str, &str); 9] = [
    ("topicId", "topic"),
    ("nextTopicId", "topic"),
    ("memberId", "member"),
    ("leader", "member"),
    ("producerId", "producer"),
    ("sessionId", "session"),
    ("clusterId", "cluster"),
    ("directoryId", "directory"),
    ("replicaDirectoryId", "directory"),
];

/// Fields whose value follows from the machine or the run: only whether it is positive counts.
const MEASURES: [&str; 5] =
    ["throttleTimeMs", "totalBytes", "usableBytes", "finalizedFeaturesEpoch", "logAppendTimeMs"];

/// Arrays whose order says nothing: API, array, fields that tell the elements apart.
const KEYED: &[(&str, &str, &[&str])] = &[
    // Kafka keeps the outcomes in hash maps.
    ("Produce", "responses", &["name", "topicId"]),
    ("Produce", "partitionResponses", &["index"]),
    ("ListOffsets", "topics", &["name"]),
    ("ListOffsets", "partitions", &["partitionIndex"]),
    ("DescribeProducers", "activeProducers", &["producerId"]),
    ("OffsetCommit", "topics", &["name", "topicId"]),
    ("OffsetCommit", "partitions", &["partitionIndex"]),
    ("OffsetFetch", "topics", &["name", "topicId"]),
    ("OffsetFetch", "partitions", &["partitionIndex"]),
    ("OffsetDelete", "topics", &["name"]),
    ("OffsetDelete", "partitions", &["partitionIndex"]),
    ("DescribeProducers", "topics", &["name"]),
    ("DescribeProducers", "partitions", &["partitionIndex"]),
    ("OffsetForLeaderEpoch", "topics", &["topic"]),
    ("OffsetForLeaderEpoch", "partitions", &["partition"]),
    ("DeleteGroups", "results", &["groupId"]),
    ("DeleteTopics", "responses", &["name", "topicId"]),
    ("CreatePartitions", "results", &["name"]),
    ("CreateTopics", "topics", &["name"]),
    ("AlterConfigs", "responses", &["resourceType", "resourceName"]),
    ("IncrementalAlterConfigs", "responses", &["resourceType", "resourceName"]),
    ("DeleteRecords", "topics", &["name"]),
    ("DeleteRecords", "partitions", &["partitionIndex"]),
    // What cannot be read at all stands at the end in Kafka.
    ("Fetch", "responses", &["topic", "topicId"]),
    ("Fetch", "partitions", &["partitionIndex"]),
    ("ApiVersions", "apiKeys", &["apiKey"]),
    ("ApiVersions", "supportedFeatures", &["name"]),
    ("ApiVersions", "finalizedFeatures", &["name"]),
    ("DescribeConfigs", "configs", &["name"]),
    ("DescribeConfigs", "results", &["resourceType", "resourceName"]),
    ("ListGroups", "groups", &["groupId"]),
    ("Metadata", "topics", &["name", "topicId"]),
    ("DescribeLogDirs", "topics", &["name"]),
    ("DescribeLogDirs", "partitions", &["partitionIndex"]),
    ("DescribeGroups", "members", &["memberId"]),
    ("ConsumerGroupDescribe", "members", &["memberId"]),
    ("ConsumerGroupDescribe", "topicPartitions", &["topicName"]),
    ("ConsumerGroupHeartbeat", "topicPartitions", &["topicId"]),
    ("JoinGroup", "members", &["memberId"]),
    ("ListConfigResources", "configResources", &["resourceType", "resourceName"]),
];

/// APIs whose answers may have a topic in several pieces.
const MERGED: [&str; 4] = ["Fetch", "ListOffsets", "OffsetCommit", "OffsetDelete"];

/// Arrays that tell of all sequences: only elements with a name of this sequence are kept.
const LISTINGS: [(&str, &str, &str); 5] = [
    ("Metadata", "topics", "name"),
    ("DescribeTopicPartitions", "topics", "name"),
    ("ListGroups", "groups", "groupId"),
    ("DescribeLogDirs", "topics", "name"),
    ("ListConfigResources", "configResources", "resourceName"),
];

/// The words one broker's ids became during one sequence.
pub struct Normal<'a> {
    place: &'a Place,
    /// What the names of this sequence begin with.
    prefix: &'a str,
    /// When the run began, in ms: a number from then on is a time.
    began_ms: i64,
    words: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl<'a> Normal<'a> {
    pub fn new(place: &'a Place, prefix: &'a str, began_ms: i64) -> Normal<'a> {
        Normal { place, prefix, began_ms, words: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// The answer of an API in words that both brokers share.
    pub fn answer(&mut self, api: &str, answer: &Value) -> Value {
        let mut shown = answer.clone();
        self.keep_own(api, &mut shown);
        in_order(api, &mut shown);
        let shown = self.value(api, "", &shown);
        by_key(api, shown)
    }

    fn keep_own(&self, api: &str, answer: &mut Value) {
        match answer {
            Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| {
                let listing = LISTINGS.iter().find(|(of, array, _)| *of == api && array == name);
                if let (Some((_, _, id)), Value::Array(elements)) = (listing, &mut *value) {
                    let is_own = |element: &Value| match element.get(id).and_then(Value::as_str) {
                        Some(name) => {
                            name.starts_with(self.prefix)
                                || element["errorCode"].as_i64().is_some_and(|code| code != 0)
                        }
                        None => true,
                    };
                    elements.retain(is_own);
                }
                self.keep_own(api, value);
            }),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.keep_own(api, element)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn value(&mut self, api: &str, name: &str, value: &Value) -> Value {
        if let Some((_, kind)) = IDS.iter().find(|(field, _)| *field == name)
            && let Some(word) = self.id(kind, value)
        {
            return word;
        }
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), self.value(api, name, value)));
                Value::Object(fields.collect())
            }
            Value::Array(elements) => elements.iter().map(|element| self.value(api, name, element)).collect(),
            Value::Number(number) => self.number((api, name), number.as_i64().unwrap_or(-1), value),
            // Both describe their keys, each in its own words.
            Value::String(_) if name == "documentation" => json!("words"),
            Value::String(text) => json!(self.text(text)),
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    /// The word of an id; `None` for values that stand for no id.
    fn id(&mut self, kind: &'static str, value: &Value) -> Option<Value> {
        let raw = match value {
            Value::String(text) if !text.is_empty() && *text != "A".repeat(22) && !is_of_script(text) => {
                text.clone()
            }
            Value::Number(number)
                if number.as_i64().is_some_and(|id| id > 0 || id == 0 && kind == "producer") =>
            {
                number.to_string()
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => return None,
        };
        let counts = &mut self.counts;
        let word = self.words.entry(format!("{kind}:{raw}")).or_insert_with(|| {
            let count = counts.entry(kind).or_insert(0);
            *count += 1;
            format!("{kind}-{count}")
        });
        Some(json!(word))
    }

    fn number(&self, (api, name): (&str, &str), number: i64, value: &Value) -> Value {
        let is_of_quorum = api == "DescribeQuorum"
            && matches!(
                name,
                "highWatermark"
                    | "logEndOffset"
                    | "leaderEpoch"
                    | "lastFetchTimestamp"
                    | "lastCaughtUpTimestamp"
            );
        if MEASURES.contains(&name) || is_of_quorum {
            return if number > 0 && name != "throttleTimeMs" {
                json!("positive")
            } else {
                json!(number.min(0))
            };
        }
        if number == i64::from(self.place.port) {
            return json!("PORT");
        }
        if number == i64::from(self.place.controller_port) {
            return json!("CONTROLLER-PORT");
        }
        if self.is_now(number) { json!("now") } else { value.clone() }
    }

    /// Numbers that are times of the run become a word, inside of a text too.
    fn without_times(&self, text: String) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(|character: char| character.is_ascii_digit()) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|character: char| !character.is_ascii_digit()).unwrap_or(from.len());
            let (digits, behind) = from.split_at(end);
            shown.push_str(before);
            // The oldest time that may be so long ago is told as a negative number.
            let is_time = |number: i64| self.is_now(number) || self.is_now(i64::MAX - number);
            shown.push_str(if digits.parse().is_ok_and(is_time) { "now" } else { digits });
            rest = behind;
        }
        shown.push_str(rest);
        shown
    }

    fn is_now(&self, number: i64) -> bool {
        const DAY_MS: i64 = 86_400_000;
        (self.began_ms - 60_000..self.began_ms + DAY_MS).contains(&number)
    }

    /// Names, ids, ports and directories inside of a text.
    fn text(&self, text: &str) -> String {
        let mut text = text.replace(self.prefix, "~").replace(&self.place.directory, "DIRECTORY");
        for (raw, word) in &self.words {
            let raw = raw.split_once(':').map_or(raw.as_str(), |(_, raw)| raw);
            // A short number in a text is rarely an id.
            if raw.len() > 8 {
                text = text.replace(raw, word);
            }
        }
        let text = self.without_times(text);
        let controller = format!(":{}", self.place.controller_port);
        text.replace(&format!(":{}", self.place.port), ":PORT").replace(&controller, ":CONTROLLER-PORT")
    }
}

/// Member ids that the flows made up are no broker's ids.
fn is_of_script(text: &str) -> bool {
    text.starts_with("made-up") && text.len() < 20
}

/// Arrays without an order are put into that of their names, so that ids are met in the same order on both sides.
fn in_order(api: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                in_order(api, value);
                let keyed = KEYED.iter().find(|(of, array, _)| *of == api && array == name);
                if let (Some((_, _, keys)), Value::Array(elements)) = (keyed, value) {
                    let is_id = |key: &&str| IDS.iter().any(|(field, _)| field == key);
                    let names: Vec<&str> = keys.iter().copied().filter(|key| !is_id(key)).collect();
                    elements.sort_by_key(|element| key_of(&names, element));
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_order(api, element)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Arrays without an order become objects.
fn by_key(api: &str, value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let keyed = KEYED.iter().find(|(of, array, _)| *of == api && *array == name);
                let value =
                    by_key(api, if MERGED.contains(&api) && keyed.is_some() { merged(value) } else { value });
                match (keyed, value) {
                    (Some((_, _, keys)), Value::Array(elements)) if all_differ(keys, &elements) => (
                        name,
                        elements.into_iter().map(|element| (key_of(keys, &element), element)).collect(),
                    ),
                    // Some are named twice: any order will do, as long as it is one.
                    (Some(_), Value::Array(mut elements)) => {
                        elements.sort_by_key(Value::to_string);
                        (name, Value::Array(elements))
                    }
                    (_, value) => (name, value),
                }
            });
            Value::Object(fields.collect::<Map<String, Value>>())
        }
        Value::Array(elements) => elements.into_iter().map(|element| by_key(api, element)).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

/// Entries of one topic are one entry, wherever they stand: Kafka gathers what it answers by topic.
fn merged(value: Value) -> Value {
    let Value::Array(elements) = value else { return value };
    let mut whole: Vec<Value> = Vec::new();
    for mut element in elements {
        let label = |entry: &Value| ["topic", "topicId", "name"].map(|field| entry.get(field).cloned());
        let is_of = |known: &Value| label(known) != [None, None, None] && label(known) == label(&element);
        let same = whole.iter_mut().find(|known| is_of(known));
        let parts = (same.and_then(|known| known.get_mut("partitions")), element.get_mut("partitions"));
        match parts {
            (Some(Value::Array(known)), Some(Value::Array(more))) => known.append(more),
            _ => whole.push(element),
        }
    }
    Value::Array(whole)
}

fn all_differ(keys: &[&str], elements: &[Value]) -> bool {
    let names: std::collections::BTreeSet<String> =
        elements.iter().map(|element| key_of(keys, element)).collect();
    names.len() == elements.len()
}

fn key_of(keys: &[&str], element: &Value) -> String {
    let text = |key: &&str| match element.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    keys.iter().map(text).collect::<Vec<String>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> Place {
        Place { name: "a", port, controller_port: 2, directory: "/d".to_owned() }
    }

    #[test]
    fn brokers_that_behave_alike_give_equal_words() {
        let (ours, kafka) = (place(9001), place(9002));
        let (mut left, mut right) =
            (Normal::new(&ours, "d1-", 1_700_000_000_000), Normal::new(&kafka, "d1-", 1_700_000_000_000));
        let answer = |port: u16, id: &str, time: i64| {
            json!({"brokers": [{"host": "h", "port": port}], "topics": [
                {"name": "d1-a", "topicId": id}, {"name": "d2-b", "topicId": "x", "errorCode": 0}],
                "at": time, "message": format!("no {id} of d1-a at :{port} in /d")})
        };
        let left = left.answer("Metadata", &answer(9001, "long-id-of-ours", 1_700_000_000_001));
        assert_eq!(left, right.answer("Metadata", &answer(9002, "id-of-theirs", 1_700_000_004_000)));
        assert_eq!(left["topics"]["~a|topic-1"]["topicId"], "topic-1");
        assert_eq!(left["message"], "no topic-1 of ~a at :PORT in DIRECTORY");
    }

    #[test]
    fn ids_are_counted_in_the_order_of_names() {
        let place = place(1);
        let topics = |names: [&str; 2]| {
            let topic =
                |name: &str| json!({"name": format!("d1-{name}"), "topicId": format!("id-of-{name}")});
            let answer = json!({"topics": names.map(topic)});
            Normal::new(&place, "d1-", 1 << 40).answer("Metadata", &answer)
        };
        assert_eq!(topics(["a", "b"]), topics(["b", "a"]));
    }

    #[test]
    fn another_use_of_ids_is_a_difference() {
        let place = place(1);
        let mut normal = Normal::new(&place, "d1-", 1 << 40);
        let ids = |first: &str, second: &str| json!([{"memberId": first}, {"memberId": second}]);
        let same = normal.answer("LeaveGroup", &ids("m", "m"));
        assert_ne!(same, normal.answer("LeaveGroup", &ids("m", "n")));
        let none = normal.answer("Fetch", &json!({"topicId": "AAAAAAAAAAAAAAAAAAAAAA", "sessionId": 0}));
        assert_eq!(none, json!({"topicId": "AAAAAAAAAAAAAAAAAAAAAA", "sessionId": 0}));
    }
}
