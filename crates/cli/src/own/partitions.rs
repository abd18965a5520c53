//! Partitions as commands name them, and their offsets as far as there are any.
//!
//! Owns: `TOPIC[:PARTITIONS]`; partitions that are gone or have no leader, which have no offsets; places that are kept inside
//! of their log; names like one that is not there.
//! Does not own: the texts of places (`position`), what they stand for (`ends`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ottla_client::Admin;
use ottla_client::admin::{
    DescribeTopicError, ListOffsetsError, OffsetSpec, PARTITIONS_PER_ANSWER, TopicDescription,
};
use ottla_client::config::IsolationLevel;
use ottla_env::time;
use ottla_model::{Offset, TopicName, TopicPartition};

use super::ends::{self, AllEnds, Ends, Offsets, not_known, or_end};
use super::position::{Place, Span};
use super::refusal::Refusal;
use super::similar::similar;
use crate::admin_refusal;

/// A topic, and which of its partitions are meant; none named is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub topic: String,
    partitions: Vec<RangeInclusive<i32>>,
}

impl Selection {
    /// Reads `TOPIC`, `TOPIC:0,3` or `TOPIC:0-5,9`.
    pub fn parse(text: &str) -> Result<Selection, String> {
        let (topic, numbers) = match text.split_once(':') {
            Some((topic, numbers)) => (topic, Some(numbers)),
            None => (text, None),
        };
        TopicName::new(topic).map_err(|error| error.to_string())?;
        let range = |text: &str| {
            let (from, until) = text.split_once('-').unwrap_or((text, text));
            let number = |text: &str| {
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| text.parse::<i32>().ok()).flatten()
            };
            match (number(from), number(until)) {
                (Some(from), Some(until)) if from <= until => Ok(from..=until),
                _ => Err(format!("'{text}' is no partition: it must be TOPIC:N, TOPIC:N,N or TOPIC:N-N")),
            }
        };
        let partitions = numbers.map(|numbers| numbers.split(',').map(range).collect()).transpose()?;
        Ok(Selection { topic: topic.to_owned(), partitions: partitions.unwrap_or_default() })
    }

    /// Whether a partition is meant.
    pub fn has(&self, partition: &TopicPartition) -> bool {
        let is_meant = |range: &RangeInclusive<i32>| range.contains(&partition.partition.value());
        self.topic == partition.topic.as_str()
            && (self.partitions.is_empty() || self.partitions.iter().any(is_meant))
    }
}

/// The partitions that are meant; all that are named must be there.
pub async fn resolve(admin: &Admin, selections: &[Selection]) -> Result<Vec<TopicPartition>, Refusal> {
    let names: BTreeSet<String> = selections.iter().map(|one| one.topic.clone()).collect();
    let topics = described(admin, &names).await?;
    let mut partitions = BTreeSet::new();
    for selection in selections {
        let topic = match topics.get(&selection.topic) {
            Some(Ok(topic)) => topic,
            Some(Err(error @ (DescribeTopicError::Call(_) | DescribeTopicError::Refused(_)))) => {
                return Err(admin_refusal!(*error, "topic {} cannot be described", selection.topic));
            }
            Some(Err(DescribeTopicError::NotFound(_) | DescribeTopicError::UnknownId(_))) | None => {
                return Err(no_topic(admin, &selection.topic).await);
            }
        };
        let there = partitions_of(topic);
        let is_there = |index: &i32| there.iter().any(|it| it.partition.value() == *index);
        // Numbers have no gaps, so the search ends behind the last one.
        let mut named = selection.partitions.iter().cloned().flatten();
        if let Some(missing) = named.find(|index| !is_there(index)) {
            return Err(no_partition((&selection.topic, there.len()), missing));
        }
        partitions.extend(there.into_iter().filter(|partition| selection.has(partition)));
    }
    Ok(partitions.into_iter().collect())
}

/// All partitions of a described topic.
pub fn partitions_of(topic: &TopicDescription) -> Vec<TopicPartition> {
    let Ok(name) = TopicName::new(&topic.name) else { return Vec::new() };
    topic.partitions.iter().map(|it| TopicPartition::new(name.clone(), it.index)).collect()
}

/// Topics by name, or why one cannot be described.
pub type Described = BTreeMap<String, Result<TopicDescription, DescribeTopicError>>;

/// Describes topics, each by itself.
pub async fn described(admin: &Admin, names: &BTreeSet<String>) -> Result<Described, Refusal> {
    let names: Vec<String> = names.iter().cloned().collect();
    Ok(describe(admin, &names).await?.into_iter().collect())
}

/// Describes topics, in the order of their names in the question.
pub async fn describe(
    admin: &Admin,
    names: &[String],
) -> Result<Vec<(String, Result<TopicDescription, DescribeTopicError>)>, Refusal> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| Refusal::no_answer("the topics could not be described", &error);
    admin.describe_topics(names, PARTITIONS_PER_ANSWER).await.map_err(failed)
}

/// The topic has fewer partitions.
pub fn no_partition((topic, count): (&str, usize), missing: i32) -> Refusal {
    Refusal::failed(format!("topic {topic} has no partition {missing}"))
        .detail(format_args!("Its partitions are 0 to {}", count.saturating_sub(1)))
}

/// There is no such topic; perhaps one of the others is meant.
pub async fn no_topic(admin: &Admin, name: &str) -> Refusal {
    let listed = admin.list_topics().await.unwrap_or_default();
    not_there(("topic", name), listed.iter().map(|topic| topic.name.as_str()))
}

/// A name that is not there, with those that are near to it.
pub fn not_there<'a>((kind, name): (&str, &str), known: impl Iterator<Item = &'a str>) -> Refusal {
    Refusal::failed(format!("there is no {kind} '{name}'"))
        .reminding(&similar(name, known), &format!("`ottla {kind} list` shows which there are"))
}

/// Reads a single place, such as the argument of `--to`.
pub fn place(text: &str) -> Result<Place, Refusal> {
    let span = Span::parse(text, time::wall_now())?;
    match span.until {
        None => Ok(span.from),
        Some(_) => Err(Refusal::usage(format!("'{text}' is a range"))
            .hint("Allowed are start, end, N, +N, -N and @TIME")),
    }
}

/// Start and end of the partitions that are there and have a leader.
pub async fn ends_of(admin: &Admin, partitions: &BTreeSet<TopicPartition>) -> Result<AllEnds, Refusal> {
    let names = partitions.iter().map(|partition| partition.topic.to_string()).collect();
    let topics = described(admin, &names).await?;
    let with_leader = |topic: &TopicDescription| {
        let all = partitions_of(topic).into_iter().zip(&topic.partitions);
        let led = all.filter(|(_, info)| info.leader.is_some());
        led.map(|(partition, _)| partition).collect::<Vec<_>>()
    };
    let led: BTreeSet<TopicPartition> =
        topics.values().filter_map(|topic| topic.as_ref().ok()).flat_map(with_leader).collect();
    let asked: Vec<TopicPartition> = partitions.intersection(&led).cloned().collect();
    let starts = ask(admin, &asked, OffsetSpec::Earliest).await?;
    let mut ends = ask(admin, &asked, OffsetSpec::Latest).await?;
    let pair = |(partition, start): (TopicPartition, Option<Offset>)| {
        let start = start?;
        // Records may come and go between the two questions.
        let end = ends.remove(&partition).flatten()?.max(start);
        Some((partition, Ends { start, end }))
    };
    Ok(starts.into_iter().filter_map(pair).collect())
}

/// Ends of partitions.
pub async fn latest(admin: &Admin, partitions: &[TopicPartition]) -> Result<Offsets, Refusal> {
    let ends = ask(admin, partitions, OffsetSpec::Latest).await?;
    Ok(ends.into_iter().filter_map(|(partition, end)| Some((partition, end?))).collect())
}

/// The offset that a place stands for in each partition.
pub async fn offsets_at(admin: &Admin, ends: &AllEnds, place: Place) -> Result<Offsets, Refusal> {
    let Place::Time(time) = place else {
        let known = ends.iter().filter_map(|(it, ends)| Some((it.clone(), offset_of(place, *ends)?)));
        return Ok(known.collect());
    };
    let partitions: Vec<TopicPartition> = ends.keys().cloned().collect();
    Ok(or_end(ends, &ask(admin, &partitions, OffsetSpec::AtTime(time)).await?))
}

/// The offset of a place, if the ends are enough to tell it.
fn offset_of(place: Place, ends: Ends) -> Option<Offset> {
    let offset = ends.offset_of(place)?;
    Some(match place {
        // What is counted from one end of a log stops at the other one.
        Place::BehindStart(_) | Place::BeforeEnd(_) => offset.clamp(ends.start, ends.end),
        Place::Start | Place::End | Place::At(_) | Place::Time(_) => offset,
    })
}

/// Asks for an offset of each partition; one that is gone meanwhile has none.
async fn ask(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Option<Offset>>, Refusal> {
    let answers = ends::ask(admin, partitions.iter(), (spec, IsolationLevel::ReadUncommitted)).await?;
    let offset = |(partition, outcome): (TopicPartition, _)| match outcome {
        Ok(offset) => Ok((partition, offset)),
        Err(ListOffsetsError::NotFound(_)) => Ok((partition, None)),
        Err(error @ (ListOffsetsError::Call(_) | ListOffsetsError::Refused(_))) => {
            Err(not_known(&partition, &error))
        }
    };
    answers.into_iter().map(offset).collect()
}

#[cfg(test)]
mod tests {
    use ottla_model::PartitionIndex;

    use super::*;

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), PartitionIndex::new(index).unwrap())
    }

    #[test]
    fn partitions_are_named_by_numbers_and_ranges() {
        let meant = |text: &str| {
            let selection = Selection::parse(text).unwrap();
            (0..12).filter(|index| selection.has(&partition("t", *index))).collect::<Vec<_>>()
        };
        assert_eq!(meant("t:0,3"), [0, 3]);
        assert_eq!(meant("t:1-2,10-2000000000"), [1, 2, 10, 11]);
        assert_eq!(meant("t").len(), 12);
        assert!(meant("u").is_empty());
        for text in ["", "a b", "t:", "t:x", "t:-1", "t:3-1", "t:0,", "t:0:1", "t:9999999999"] {
            assert!(Selection::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_count_from_one_end_and_stop_at_the_other() {
        let number = |text: &str| {
            let place = place(text).unwrap();
            let ends = Ends { start: Offset::new(10).unwrap(), end: Offset::new(30).unwrap() };
            offset_of(place, ends).map(Offset::value)
        };
        for (text, offset) in
            [("start", 10), ("end", 30), ("7", 7), ("+5", 15), ("-5", 25), ("-31", 10), ("+21", 30)]
        {
            assert_eq!(number(text), Some(offset), "{text}");
        }
        assert_eq!(number("@1700000000"), None);
        assert!(place("1:2").is_err() && place("x").is_err());
    }

    #[test]
    fn a_name_that_is_not_there_reminds_of_the_ones_near_to_it() {
        let told = |name: &str| not_there(("topic", name), ["orders", "bills"].into_iter()).to_string();
        assert!(told("ordres").ends_with("hint: Did you mean 'orders'?"));
        assert!(told("something-else").ends_with("hint: `ottla topic list` shows which there are."));
    }
}
