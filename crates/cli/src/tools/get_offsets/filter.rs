//! Which partitions `kafka-get-offsets` asks for.
//!
//! Owns: reading `--topic`, `--partitions` and `--topic-partitions`, and the choice itself.
//! Does not own: patterns of topic names (`topics`).
//!
//! A rule of `--topic-partitions` is `topic`, `topic:3`, `topic:3-` or `topic:-7` or `topic:3-7`, where the topic is a
//! regular expression or nothing, and the end of a range does not belong to it.

use std::collections::BTreeSet;

use regex::Regex;

use super::super::failure::{Failure, Problem};
use super::super::java;
use super::super::topics::pattern_of;
use crate::jopt::Given;

/// Topics and partitions that are chosen together.
#[derive(Debug)]
struct Rule {
    topic: Regex,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    All,
    Set(BTreeSet<i32>),
    /// From the first one to the one before the second.
    Range(i32, i32),
}

/// What is chosen: whatever one of the rules chooses.
#[derive(Debug)]
pub(super) struct Filter {
    rules: Vec<Rule>,
}

impl Filter {
    /// The choice of a command line.
    pub(super) fn of(given: &Given) -> Result<Filter, Problem> {
        if given.has("topic-partitions") {
            let text = given.value("topic-partitions").map_err(|error| Problem::from(&error))?;
            let rules: Result<Vec<Rule>, Failure> = split(text.unwrap_or_default()).map(rule_of).collect();
            return Ok(Filter { rules: rules? });
        }
        let topic = given.value("topic").map_err(|error| Problem::from(&error))?.unwrap_or(".*");
        let numbers = given.value("partitions").map_err(|error| Problem::from(&error))?;
        let rule =
            Rule { topic: pattern_of(topic)?, partitions: partitions_of(numbers.unwrap_or_default())? };
        Ok(Filter { rules: vec![rule] })
    }

    pub(super) fn has_topic(&self, topic: &str) -> bool {
        self.rules.iter().any(|rule| rule.topic.is_match(topic))
    }

    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.rules.iter().any(|rule| rule.topic.is_match(topic) && rule.partitions.has(partition))
    }
}

impl Partitions {
    fn has(&self, partition: i32) -> bool {
        match self {
            Partitions::All => true,
            Partitions::Set(numbers) => numbers.contains(&partition),
            Partitions::Range(first, end) => (*first..*end).contains(&partition),
        }
    }
}

/// The parts between commas; empty ones at the end do not count, unless there is nothing else and no comma.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let kept = text.trim_end_matches(',');
    let nothing = kept.is_empty() && !text.is_empty();
    kept.split(',').filter(move |_| !nothing)
}

/// Numbers between commas; none means all partitions.
fn partitions_of(text: &str) -> Result<Partitions, Problem> {
    if text.is_empty() {
        return Ok(Partitions::All);
    }
    let numbers: Result<BTreeSet<i32>, _> = split(text).map(str::parse).collect();
    match numbers {
        Ok(numbers) if numbers.is_empty() => Ok(Partitions::All),
        Ok(numbers) => Ok(Partitions::Set(numbers)),
        Err(_) => Err(Problem::Terse(format!(
            "--partitions expects a comma separated list of numeric partition ids, but received: {text}"
        ))),
    }
}

fn rule_of(text: &str) -> Result<Rule, Failure> {
    let (topic, range) = text.split_once(':').unwrap_or((text, ""));
    let partitions = match range.split_once('-') {
        _ if !range.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => None,
        Some((_, end)) if end.contains('-') => None,
        Some((first, end)) => {
            Some(Partitions::Range(bound(first)?.unwrap_or(0), bound(end)?.unwrap_or(i32::MAX)))
        }
        None => Some(bound(range)?.map_or(Partitions::All, |one| Partitions::Set(BTreeSet::from([one])))),
    };
    let Some(partitions) = partitions else {
        let terse = "org.apache.kafka.tools.TerseException";
        let cause = Failure::new(terse, format!("Invalid rule specification: {text}"));
        let message = cause.to_string();
        return Err(cause.causing("java.lang.RuntimeException", message));
    };
    let topic = pattern_of(if topic.is_empty() { ".*" } else { topic })?;
    Ok(Rule { topic, partitions })
}

/// The number, or `None` where there is nothing.
fn bound(text: &str) -> Result<Option<i32>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    java::integer(text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(rules: &str, topic: &str) -> Vec<i32> {
        let rules: Vec<Rule> = split(rules).map(|rule| rule_of(rule).unwrap()).collect();
        let filter = Filter { rules };
        assert!(filter.has_topic(topic) || (0..9).all(|partition| !filter.has(topic, partition)));
        (0..9).filter(|partition| filter.has(topic, *partition)).collect()
    }

    #[test]
    fn a_rule_chooses_one_partition_a_range_or_all() {
        for (rules, partitions) in [
            ("t", (0..9).collect()),
            ("t:", (0..9).collect()),
            ("", (0..9).collect()),
            (":3", vec![3]),
            ("t:03", vec![3]),
            ("t:2-4", vec![2, 3]),
            ("t:7-", vec![7, 8]),
            ("t:-2", vec![0, 1]),
            ("t:-", (0..9).collect()),
            ("t:4-4", vec![]),
            ("t:1,u:2,.*:3", vec![1, 3]),
            ("u,:4,,", vec![4]),
            (",", vec![]),
            ("tt", vec![]),
        ] {
            assert_eq!(chosen(rules, "t"), partitions, "{rules}");
        }
    }

    #[test]
    fn numbers_of_partitions_may_be_left_out() {
        assert_eq!(partitions_of(""), Ok(Partitions::All));
        assert_eq!(partitions_of(","), Ok(Partitions::All));
        assert_eq!(partitions_of("2,1,"), Ok(Partitions::Set(BTreeSet::from([1, 2]))));
        assert!(partitions_of("1,,2").is_err());
    }
}
