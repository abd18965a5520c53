//! Subscriptions by regular expression.
//!
//! Owns: the topics an expression stands for, those whose whole name it matches.
//! Does not own: which expressions there are (`expression`), when they are looked up (`heartbeat`), who may know of a
//! topic (`server`).
//!
//! Source: requirement CGP-10; the syntax page of RE2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_model::{Offset, Timestamp};
use regex::Regex;

use super::super::topics::Topics;
use super::command::{FoundTopics, LookUp};
use super::record::ResolvedRegex;
use crate::expression::{self, COMPILED_BYTES_MAX};

/// Finds the topics of some expressions among those that `may_see` lets through. It may take long where there are many
/// topics, so it is no part of the shard.
pub fn look_up(
    wanted: &LookUp,
    topics: &Topics,
    now: Timestamp,
    may_see: impl Fn(&str) -> bool,
) -> FoundTopics {
    let compiled = |pattern: &str| expression::compile(pattern, COMPILED_BYTES_MAX).ok();
    let compiled: Vec<(&Arc<str>, Option<Regex>)> =
        wanted.patterns.iter().map(|pattern| (pattern, compiled(pattern))).collect();
    let mut found: BTreeMap<Arc<str>, BTreeSet<String>> =
        wanted.patterns.iter().map(|pattern| (pattern.clone(), BTreeSet::new())).collect();
    for name in topics.names() {
        let matches = |(_, regex): &&(&Arc<str>, Option<Regex>)| {
            regex.as_ref().is_some_and(|regex| regex.is_match(name.as_str()))
        };
        let matching: Vec<&Arc<str>> = compiled.iter().filter(matches).map(|(pattern, _)| *pattern).collect();
        if matching.is_empty() || !may_see(name.as_str()) {
            continue;
        }
        for pattern in matching {
            found.entry(pattern.clone()).or_default().insert(name.to_string());
        }
    }
    let version = topics.as_of.map_or(-1, Offset::value);
    let resolved = |topics| Arc::new(ResolvedRegex { topics, version, at: now });
    FoundTopics {
        group: wanted.group.clone(),
        found: found.into_iter().map(|(pattern, topics)| (pattern, resolved(topics))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CGP-10: the topics the member may know of, as of the metadata that were looked at.
    #[test]
    fn only_topics_that_may_be_seen_are_found() {
        let mut topics = Topics::default();
        topics.as_of = Offset::new(7);
        for (byte, name) in [(1, "foo-a"), (2, "foo-b"), (3, "bar")] {
            let id = ottla_model::TopicId::new(ottla_model::Uuid::from_bytes([byte; 16])).unwrap();
            let name = ottla_model::TopicName::new(name).unwrap();
            topics.put(Arc::new(super::super::super::topics::TopicShape::new(id, name, vec![Vec::new()])));
        }
        let wanted =
            LookUp { group: ottla_model::GroupId::new("g"), patterns: ["foo.*", "x"].map(Arc::from).into() };
        let found = look_up(&wanted, &topics, Timestamp::from_millis(5), |name| name != "foo-b");
        let found: Vec<(&str, Vec<&str>, i64)> = found
            .found
            .iter()
            .map(|(pattern, one)| (&**pattern, one.topics.iter().map(String::as_str).collect(), one.version))
            .collect();
        assert_eq!(found, [("foo.*", vec!["foo-a"], 7), ("x", vec![], 7)]);
    }
}
