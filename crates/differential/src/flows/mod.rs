//! The sequences of requests: each flow is a file, and draws its own variant of its story.
//!
//! Owns: the list of flows, the vocabulary they are written in. Does not own: what the answers should be: Kafka says that.

mod cluster;
mod configs;
mod consumer_groups;
mod fetch;
mod group_offsets;
mod groups;
mod offsets;
mod partitions;
mod pipeline;
mod produce;
mod producers;
mod static_members;
mod strays;
mod topics;

use std::collections::BTreeMap;

use ottla_protocol::ApiKey;
use ottla_testkit::random::SeededRandom;
use serde_json::{Value, json};

use crate::schema;
use crate::script::{Keep, Request, Script, Spoil, Step, Until};

/// A story with variants.
type Story = fn(&mut Flow<'_>);

const FLOWS: &[(&str, Story)] = &[
    ("cluster", cluster::story),
    ("coordinators", cluster::coordinators),
    ("configs", configs::story),
    ("consumer-groups", consumer_groups::story),
    ("delete-records", offsets::deletions),
    ("fetch", fetch::story),
    ("fetch-session", fetch::session),
    ("group-offsets", group_offsets::story),
    ("groups", groups::story),
    ("offsets", offsets::story),
    ("partitions", partitions::story),
    ("pipeline", pipeline::story),
    ("produce", produce::story),
    ("producers", producers::story),
    ("static-members", static_members::story),
    ("strays", strays::story),
    ("topics", topics::story),
];

/// The script of this draw.
pub fn script(
    schemas: &BTreeMap<i16, schema::Request>,
    random: &SeededRandom,
    only: Option<&str>,
) -> Result<Script, String> {
    let fitting: Vec<&(&str, Story)> =
        FLOWS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    let Some((name, story)) = random.pick(&fitting) else {
        let names: Vec<&str> = FLOWS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no such flow; there are {}", names.join(", ")));
    };
    let mut flow = Flow { random, schemas, on: 0, steps: Vec::new() };
    story(&mut flow);
    Ok(Script { flow: name, steps: flow.steps })
}

/// A script being written.
pub struct Flow<'a> {
    pub random: &'a SeededRandom,
    pub schemas: &'a BTreeMap<i16, schema::Request>,
    on: u8,
    steps: Vec<Step>,
}

impl Flow<'_> {
    /// The connection of the steps that follow.
    pub fn on(&mut self, on: u8) -> &mut Self {
        self.on = on;
        self
    }

    /// A version that Kafka offers: often the newest or the oldest.
    pub fn version(&self, api: ApiKey) -> i16 {
        let versions = api.stable_versions();
        let (first, last) = (*versions.start(), *versions.end());
        match self.random.index(10) {
            0..4 => last,
            4 => first,
            _ => {
                first
                    + i16::try_from(self.random.index(usize::try_from(last - first + 1).unwrap_or(1)))
                        .unwrap_or(0)
            }
        }
    }

    /// Asks in any version.
    pub fn ask(&mut self, api: ApiKey, body: Value) -> &mut Self {
        let version = self.version(api);
        self.ask_in(api, version, body)
    }

    pub fn ask_in(&mut self, api: ApiKey, version: i16, body: Value) -> &mut Self {
        let request = Request { key: api.number(), version, body, spoil: None };
        self.steps.push(Step::Ask { on: self.on, request, keep: Vec::new(), until: None });
        self
    }

    /// Asks an API by number, with nothing in the request.
    pub fn ask_number(&mut self, key: i16, version: i16) -> &mut Self {
        let request = Request { key, version, body: json!({}), spoil: None };
        self.steps.push(Step::Ask { on: self.on, request, keep: Vec::new(), until: None });
        self
    }

    /// Sends in any version, without awaiting the answer.
    pub fn send(&mut self, api: ApiKey, body: Value) -> &mut Self {
        let version = self.version(api);
        self.send_in(api, version, body)
    }

    pub fn send_in(&mut self, api: ApiKey, version: i16, body: Value) -> &mut Self {
        let request = Request { key: api.number(), version, body, spoil: None };
        self.steps.push(Step::Send { on: self.on, request });
        self
    }

    pub fn receive(&mut self) -> &mut Self {
        self.steps.push(Step::Receive { on: self.on, keep: Vec::new() });
        self
    }

    pub fn close(&mut self) -> &mut Self {
        self.steps.push(Step::Close { on: self.on });
        self
    }

    pub fn raw(&mut self, bytes: Vec<u8>) -> &mut Self {
        self.steps.push(Step::Raw { on: self.on, bytes });
        self
    }

    /// Keeps a value of the last step's answer.
    pub fn keep(&mut self, name: &str, pointer: &str) -> &mut Self {
        if let Some(Step::Ask { keep, .. } | Step::Receive { keep, .. }) = self.steps.last_mut() {
            keep.push(Keep { name: name.to_owned(), pointer: pointer.to_owned() });
        }
        self
    }

    /// Repeats the last step until its answer has this value.
    pub fn until(&mut self, pointer: &str, value: Value) -> &mut Self {
        if let Some(Step::Ask { until, .. }) = self.steps.last_mut() {
            *until = Some(Until { pointer: pointer.to_owned(), value });
        }
        self
    }

    /// Breaks the bytes of the last step's request.
    pub fn spoilt(&mut self, spoil: Spoil) -> &mut Self {
        if let Some(request) = self.steps.last_mut().and_then(Step::request_mut) {
            request.spoil = Some(spoil);
        }
        self
    }

    /// One of these.
    pub fn one_of<T: Clone>(&self, items: &[T]) -> T {
        items[self.random.index(items.len())].clone()
    }

    pub fn chance(&self, percent: u32) -> bool {
        self.random.chance(percent)
    }

    /// Creates a topic for what follows, and keeps its id under its name.
    pub fn topic(&mut self, name: &str, partitions: usize) {
        self.topic_with(name, partitions, &[]);
    }

    pub fn topic_with(&mut self, name: &str, partitions: usize, configs: &[(&str, &str)]) {
        let configs: Vec<Value> =
            configs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let topic = json!({"name": format!("~{name}"), "numPartitions": partitions, "replicationFactor": 1, "configs": configs});
        self.ask_in(ApiKey::CreateTopics, 7, json!({"topics": [topic], "timeoutMs": 5000}));
        self.keep(name, "/topics/0/topicId");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;

    /// A body in which some id stands for each that a broker will make up.
    fn filled(body: &Value) -> Value {
        match body {
            Value::String(text) if text.starts_with('$') => json!("AAECAwQFBgcICQoLDA0ODw"),
            Value::Array(elements) => elements.iter().map(filled).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), filled(value))).collect()
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
        }
    }

    #[test]
    fn every_request_of_every_flow_can_be_written() {
        let schemas = schema::read_all(schema::directory()).unwrap();
        for number in 0..2000 {
            let mut script = script(&schemas, &SeededRandom::new(number), None).unwrap();
            for step in &mut script.steps {
                let Some(request) = step.request_mut() else { continue };
                let Some(schema) = schemas.get(&request.key) else { continue };
                // The one id that is a number.
                let body = filled(&request.body);
                let is_session = request.body.get("sessionId") == Some(&json!("$session"));
                if is_session || body["producerId"].is_string() {
                    continue;
                }
                let written = encode::body(schema, request.version, &body);
                assert!(written.is_ok(), "number {number}, {}: {written:?} of {request:?}", script.flow);
            }
        }
    }
}
