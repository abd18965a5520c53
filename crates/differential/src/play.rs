//! Both brokers are put through a script, step by step, and their answers compared.
//!
//! Owns: names and kept values, the pause until a change of metadata has arrived, the first difference.
//! Does not own: sockets (`broker`), scripts.
//!
//! Each step goes to both brokers before either answer is awaited, so a wait costs its time once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_protocol::ApiKey;
use serde_json::{Value, json};

use crate::broker::{Broker, Outcome, Place};
use crate::compare::{Difference, Known, differences};
use crate::normal::Normal;
use crate::schema;
use crate::script::{Keep, Request, Script, Step, Until};
use crate::shrink::Kind;

/// How long a step may be asked again until it shows what it waits for.
const UNTIL_MAX: Duration = Duration::from_secs(8);
/// Pause between two such questions.
const ASK_EVERY: Duration = Duration::from_millis(15);

/// Connections that no script uses.
const SETTLE: u8 = 250;
const CLEAN: u8 = 251;

/// The first step at which the brokers differ.
#[derive(Clone, Debug)]
pub struct Found {
    pub step: usize,
    pub api: String,
    pub version: i16,
    pub differences: Vec<Difference>,
    pub ours: Value,
    pub kafka: Value,
}

/// What a run of a script showed.
#[derive(Debug, Default)]
pub struct Report {
    pub found: Option<Found>,
    pub compared: usize,
    /// Lines of the known differences that were met.
    pub known: BTreeSet<usize>,
}

/// What all runs share.
pub struct Stage {
    pub ours: Place,
    pub kafka: Place,
    pub schemas: BTreeMap<i16, schema::Request>,
    pub known: Vec<Known>,
    /// What has been reported is not reported again, and does not hide what comes behind it.
    pub reported: BTreeSet<Kind>,
    began_ms: i64,
    runs: u64,
    settles: u64,
}

struct Side<'a> {
    broker: Broker<'a>,
    normal: Normal<'a>,
    kept: BTreeMap<String, Value>,
    /// APIs of the requests without an answer, by connection.
    asked: BTreeMap<u8, Vec<(i16, i16)>>,
}

impl Stage {
    pub fn new(ours: Place, kafka: Place, known: Vec<Known>) -> Result<Stage, String> {
        let schemas = schema::read_all(schema::directory())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_ms = i64::try_from(now.as_millis()).unwrap_or(0);
        Ok(Stage {
            ours,
            kafka,
            schemas,
            known,
            reported: BTreeSet::new(),
            began_ms,
            runs: 0,
            settles: began_ms.unsigned_abs() % 1_000_000 * 1_000_000,
        })
    }

    /// Puts both brokers through the script, up to the first unknown difference.
    pub fn play(&mut self, script: &Script) -> Result<Report, String> {
        self.runs += 1;
        let (first_settle, prefix) = (self.settles, format!("d{}x{}-", self.began_ms % 1_000_000, self.runs));
        let mut sides = [&self.ours, &self.kafka].map(|place| Side {
            broker: Broker::new(place, &self.schemas),
            normal: Normal::new(place, &prefix, self.began_ms),
            kept: BTreeMap::new(),
            asked: BTreeMap::new(),
        });
        let mut report = Report::default();
        let mut settles = first_settle;
        for (at, step) in script.steps.iter().enumerate() {
            let Some((api, version, outcomes)) = run_step(&mut sides, step, &prefix)? else { continue };
            report.compared += 1;
            let name = ApiKey::from_number(api).map_or("Unknown", |key| key.name());
            let [ours, kafka] = outcomes.map(shown);
            let (ours, kafka) = (sides[0].normal.answer(name, &ours), sides[1].normal.answer(name, &kafka));
            let unknown = self.unknown((name, version), differences(&ours, &kafka), &mut report.known);
            if !unknown.is_empty() {
                let api = name.to_owned();
                report.found = Some(Found { step: at, api, version, differences: unknown, ours, kafka });
                break;
            }
            for _ in 0..settles_after(api) {
                settles += 1;
                settle(&mut sides, settles)?;
            }
        }
        for side in &mut sides {
            clean(&mut side.broker, &prefix)?;
        }
        self.settles = settles;
        Ok(report)
    }

    fn unknown(&self, of: (&str, i16), found: Vec<Difference>, met: &mut BTreeSet<usize>) -> Vec<Difference> {
        let mut unknown = Vec::new();
        for difference in found {
            match self.known.iter().position(|known| known.is_of(of, &difference)) {
                Some(at) => {
                    met.insert(at);
                }
                None if self.reported.contains(&Kind::of(of.0, &difference)) => {}
                None => unknown.push(difference),
            }
        }
        unknown
    }

    /// Waits until both brokers serve topics, groups and producer ids.
    pub fn warm_up(&mut self) -> Result<(), String> {
        for place in [&self.ours, &self.kafka] {
            let mut broker = Broker::new(place, &self.schemas);
            let until = Instant::now() + UNTIL_MAX * 5;
            let find = json!({"keyType": 0, "key": "warm", "coordinatorKeys": ["warm"]});
            let join = json!({"groupId": "warm", "sessionTimeoutMs": 6000, "rebalanceTimeoutMs": 6000,
                "protocolType": "consumer", "protocols": [{"name": "range", "metadata": "m"}]});
            let code = |answer: &Value, pointer: &str| answer.pointer(pointer).and_then(Value::as_i64);
            loop {
                let found = broker.ask(CLEAN, (ApiKey::FindCoordinator, 4), find.clone())?;
                let joined = broker.ask(CLEAN, (ApiKey::JoinGroup, 0), join.clone())?;
                let producer = json!({"transactionalId": null, "transactionTimeoutMs": 1000});
                let producer = broker.ask(CLEAN, (ApiKey::InitProducerId, 0), producer)?;
                let codes = [
                    code(&found, "/coordinators/0/errorCode"),
                    code(&joined, "/errorCode"),
                    code(&producer, "/errorCode"),
                ];
                if codes == [Some(0); 3] {
                    break;
                }
                if Instant::now() > until {
                    return Err(format!("{} does not serve groups: {codes:?}", place.name));
                }
                std::thread::park_timeout(ASK_EVERY);
            }
        }
        Ok(())
    }
}

fn shown(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Closed => json!("the connection is closed"),
        Outcome::Silence => json!("nothing comes"),
        Outcome::Nothing => json!("nothing was asked"),
    }
}

/// API, version and both outcomes of a step that has any.
fn run_step(
    sides: &mut [Side<'_>; 2],
    step: &Step,
    prefix: &str,
) -> Result<Option<(i16, i16, [Outcome; 2])>, String> {
    match step {
        Step::Send { on, request } => {
            for side in sides {
                side.send(*on, request, prefix)?;
            }
            Ok(None)
        }
        Step::Close { on } => {
            for side in sides {
                side.broker.close(*on);
                side.asked.remove(on);
            }
            Ok(None)
        }
        Step::Raw { on, bytes } => {
            let [ours, kafka] = sides;
            Ok(Some((-1, 0, [ours.broker.raw(*on, bytes)?, kafka.broker.raw(*on, bytes)?])))
        }
        Step::Receive { on, keep } => {
            let [ours, kafka] = sides;
            let ours = ours.receive(*on, keep)?;
            let kafka = kafka.receive(*on, keep)?;
            Ok(Some((ours.0, ours.1, [ours.2, kafka.2])))
        }
        Step::Ask { on, request, keep, until } => {
            for side in &mut *sides {
                side.send(*on, request, prefix)?;
            }
            let mut outcomes = Vec::new();
            for side in sides {
                let outcome = side.receive(*on, keep)?.2;
                outcomes.push(match until {
                    Some(until) => side.ask_until((*on, request, prefix), (until, keep), outcome)?,
                    None => outcome,
                });
            }
            let outcomes =
                <[Outcome; 2]>::try_from(outcomes).map_err(|_| "there are two brokers".to_owned())?;
            Ok(Some((request.key, request.version, outcomes)))
        }
    }
}

impl Side<'_> {
    fn send(&mut self, on: u8, request: &Request, prefix: &str) -> Result<(), String> {
        let filled = Request { body: self.filled(&request.body, prefix), ..request.clone() };
        self.broker.send(on, &filled)?;
        self.asked.entry(on).or_default().push((request.key, request.version));
        Ok(())
    }

    fn receive(&mut self, on: u8, keep: &[Keep]) -> Result<(i16, i16, Outcome), String> {
        let asked = self.asked.entry(on).or_default();
        let (key, version) = if asked.is_empty() { (-1, 0) } else { asked.remove(0) };
        let outcome = self.broker.receive(on)?;
        if let Outcome::Answer(answer) = &outcome {
            for Keep { name, pointer } in keep {
                if let Some(value) = answer.pointer(pointer) {
                    self.kept.insert(name.clone(), value.clone());
                }
            }
        }
        Ok((key, version, outcome))
    }

    /// Asks again until the answer shows what the step waits for, or patience ends.
    fn ask_until(
        &mut self,
        (on, request, prefix): (u8, &Request, &str),
        (until, keep): (&Until, &[Keep]),
        mut outcome: Outcome,
    ) -> Result<Outcome, String> {
        let patience = Instant::now() + UNTIL_MAX;
        loop {
            let Outcome::Answer(answer) = &outcome else { return Ok(outcome) };
            if answer.pointer(&until.pointer) == Some(&until.value) || Instant::now() > patience {
                return Ok(outcome);
            }
            std::thread::park_timeout(ASK_EVERY);
            self.send(on, request, prefix)?;
            outcome = self.receive(on, keep)?.2;
        }
    }

    /// A body with names of this sequence and values of this broker.
    fn filled(&self, body: &Value, prefix: &str) -> Value {
        match body {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.kept.get(name).cloned().unwrap_or_else(|| json!("")),
                None => json!(text.replace('~', prefix)),
            },
            Value::Array(elements) => elements.iter().map(|element| self.filled(element, prefix)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.filled(value, prefix))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
        }
    }
}

/// How many topics must be created until a change has surely arrived: topics come before settings in a change.
fn settles_after(key: i16) -> usize {
    use ApiKey::{AlterConfigs, CreatePartitions, CreateTopics, DeleteTopics, IncrementalAlterConfigs};
    let Some(key) = ApiKey::from_number(key) else { return 0 };
    if [CreateTopics, DeleteTopics, CreatePartitions].contains(&key) {
        1
    } else if [AlterConfigs, IncrementalAlterConfigs].contains(&key) {
        2
    } else {
        0
    }
}

/// Waits until a change has arrived everywhere in each broker. A broker works off changes in order: once it leads a topic
/// that was created later, everything before that one is done.
fn settle(sides: &mut [Side<'_>; 2], number: u64) -> Result<(), String> {
    let name = format!("settle-{number}");
    let create =
        json!({"topics": [{"name": name, "numPartitions": 1, "replicationFactor": 1}], "timeoutMs": 5000});
    let gone = json!({"topicNames": [format!("settle-{}", number.saturating_sub(2))], "timeoutMs": 5000});
    for side in &mut *sides {
        for (key, version, body) in [(ApiKey::CreateTopics, 2, &create), (ApiKey::DeleteTopics, 1, &gone)] {
            let body = body.clone();
            side.broker.send(SETTLE, &Request { key: key.number(), version, body, spoil: None })?;
        }
    }
    for side in &mut *sides {
        side.broker.receive(SETTLE)?;
        side.broker.receive(SETTLE)?;
        await_leader(&mut side.broker, &name)?;
    }
    Ok(())
}

fn await_leader(broker: &mut Broker<'_>, topic: &str) -> Result<(), String> {
    let body = json!({"replicaId": -1, "topics": [{"name": topic, "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]});
    let until = Instant::now() + UNTIL_MAX;
    loop {
        let answer = broker.ask(SETTLE, (ApiKey::ListOffsets, 1), body.clone())?;
        if answer.pointer("/topics/0/partitions/0/errorCode") == Some(&json!(0)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{} does not lead {topic}: {answer}", broker.place.name));
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Deletes the topics of a sequence, so that a run can be long.
fn clean(broker: &mut Broker<'_>, prefix: &str) -> Result<(), String> {
    let all = broker.ask(CLEAN, (ApiKey::Metadata, 1), json!({ "topics": null }))?;
    let topics = all.get("topics").and_then(Value::as_array).cloned().unwrap_or_default();
    let names = topics.iter().filter_map(|topic| topic.get("name")?.as_str());
    let own: Vec<&str> = names.filter(|name| name.starts_with(prefix)).collect();
    if !own.is_empty() {
        broker.ask(CLEAN, (ApiKey::DeleteTopics, 1), json!({"topicNames": own, "timeoutMs": 5000}))?;
    }
    Ok(())
}
