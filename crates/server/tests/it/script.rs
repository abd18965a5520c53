//! Requests and answers as lines of text, so that what Kafka answered can be recorded and compared.
//!
//! Owns: running the lines `> COMMAND` of a transcript against a node and comparing the lines below them.
//! Does not own: what the commands ask (`topics`, `records`, `configs`, `cluster`, `replicas`).
//!
//! `>> COMMAND` asks until the answer is the expected one, for what a node does in the background. Ids of topics are
//! written as the names they had when they were first seen, the node's own address as `here`.

mod cluster;
mod configs;
mod records;
mod replicas;
mod topics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ottla_env::{task, time};
use ottla_model::Uuid;
use ottla_protocol::{ApiKey, Message};
use ottla_server::RunningNode;

use crate::node::{Client, address};

/// One node, spoken to in the words of a transcript.
pub struct Script {
    client: Client,
    here: SocketAddr,
    /// Names of topics by id.
    ids: BTreeMap<[u8; 16], String>,
}

impl Script {
    pub async fn new(node: &RunningNode) -> Script {
        Script::at(address(node)).await
    }

    pub async fn at(here: SocketAddr) -> Script {
        Script { client: Client::connect_to(here).await, here, ids: BTreeMap::new() }
    }

    /// Runs a transcript; fails with all answers that are others.
    pub async fn check(&mut self, transcript: &str) {
        let (mut asked, mut wrong) = (0, Vec::new());
        for step in steps(transcript) {
            let got =
                if step.patient { self.ask_until(&step).await } else { self.answer(step.command).await };
            if got != step.expected {
                let (got, expected) = (got.join("\n"), step.expected.join("\n"));
                wrong.push(format!("> {}\n{got}\n--- expected\n{expected}", step.command));
            }
            asked += 1;
        }
        assert!(asked > 0, "a transcript without a command");
        assert!(wrong.is_empty(), "{} answers differ\n{}", wrong.len(), wrong.join("\n\n"));
    }

    async fn ask_until(&mut self, step: &Step<'_>) -> Vec<String> {
        let deadline = time::now() + Duration::from_secs(10);
        loop {
            let got = self.answer(step.command).await;
            if got == step.expected || time::now() > deadline {
                return got;
            }
            task::yield_now().await;
        }
    }

    /// The lines of one answer.
    pub async fn answer(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split(' ').collect();
        let [name, version, args @ ..] = &words[..] else { panic!("no version in '{command}'") };
        let version = version.parse().unwrap();
        match *name {
            "create" | "delete" | "grow" | "records" | "partitions" => {
                self.about_topics(name, version, args).await
            }
            "produce" | "offsets" => self.about_records(name, version, args).await,
            "describe" | "alter" | "replace" | "resources" => self.about_configs(name, version, args).await,
            "elect" | "reassign" | "reassignments" => self.about_replicas(name, version, args).await,
            "metadata" | "cluster" | "quorum" | "features" => self.about_cluster(name, version, args).await,
            other => panic!("no command {other}"),
        }
    }

    async fn ask<Q: Message, A: Message>(&mut self, api: ApiKey, version: i16, request: &Q) -> A {
        self.client.ask(api, version, request).await
    }

    /// The name of a topic whose id it is; `-` for the zero id.
    fn id_text(&mut self, id: Uuid, name: Option<&str>) -> String {
        if id.is_zero() {
            return "-".to_owned();
        }
        let known = self.ids.get(&id.bytes()).cloned();
        known.unwrap_or_else(|| {
            // A topic that was deleted and made again has another id: it gets another name here.
            let name = name.unwrap_or("?");
            let again = self.ids.values().filter(|known| known.trim_end_matches('\'') == name).count();
            let text = format!("{name}{}", "'".repeat(again));
            self.ids.insert(id.bytes(), text.clone());
            text
        })
    }

    /// The id that a word names: one seen before, `zero`, or any other.
    fn id_of(&self, word: &str) -> Uuid {
        match word {
            "zero" => Uuid::ZERO,
            "other" => Uuid::from_bytes([7; 16]),
            name => {
                let found = self.ids.iter().find(|(_, known)| known.as_str() == name);
                Uuid::from_bytes(*found.unwrap_or_else(|| panic!("no id of {name} was seen")).0)
            }
        }
    }
}

/// A command and the answer that was recorded.
struct Step<'a> {
    command: &'a str,
    patient: bool,
    expected: Vec<&'a str>,
}

fn steps(transcript: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in transcript.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
        if let Some(command) = line.strip_prefix(">> ") {
            steps.push(Step { command, patient: true, expected: Vec::new() });
        } else if let Some(command) = line.strip_prefix("> ") {
            steps.push(Step { command, patient: false, expected: Vec::new() });
        } else {
            steps.last_mut().unwrap().expected.push(line);
        }
    }
    steps
}

/// Takes a word out of the arguments.
fn flag(args: &mut Vec<&str>, word: &str) -> bool {
    let before = args.len();
    args.retain(|arg| *arg != word);
    args.len() < before
}

/// A value of a config: `~` stands for none.
fn value(text: &str) -> Option<String> {
    (text != "~").then(|| text.to_owned())
}

/// An error code with its message.
fn error_text(code: i16, message: Option<&str>) -> String {
    match message {
        None => code.to_string(),
        Some(message) => format!("{code} '{message}'"),
    }
}

fn numbers(ids: &[i32]) -> String {
    let texts: Vec<String> = ids.iter().map(i32::to_string).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(",") }
}
