//! Offsets of partitions: where they begin and end, and which offset a place stands for.
//!
//! Owns: asking for them, for many partitions at once.
//! Does not own: the texts of places (`position`), the question to the brokers (`ottla_client::Admin`).

use std::collections::BTreeMap;

use ottla_client::Admin;
use ottla_client::admin::{ListOffsetsError, ListedOffset, OffsetSpec, PartitionOutcomes};
use ottla_client::config::IsolationLevel;
use ottla_model::{Offset, TopicPartition};

use super::position::Place;
use super::refusal::Refusal;
use crate::admin_refusal;

/// First offset of a partition, and the one behind its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub start: Offset,
    pub end: Offset,
}

/// Ends of many partitions.
pub type AllEnds = BTreeMap<TopicPartition, Ends>;

/// Start and end of each partition.
pub async fn ends_of(
    admin: &Admin,
    partitions: &[TopicPartition],
    isolation: IsolationLevel,
) -> Result<AllEnds, Refusal> {
    let starts = ask(admin, all(partitions.iter(), OffsetSpec::Earliest), isolation).await?;
    let mut ends = ask(admin, all(partitions.iter(), OffsetSpec::Latest), isolation).await?;
    let pair = |(partition, start): (TopicPartition, Option<Offset>)| {
        let start = start.unwrap_or_default();
        // Records may come and go between the two questions.
        let end = ends.remove(&partition).flatten().unwrap_or(start).max(start);
        (partition, Ends { start, end })
    };
    Ok(starts.into_iter().map(pair).collect())
}

/// The offset that a place stands for in each partition.
pub async fn offsets_at(
    admin: &Admin,
    ends: &AllEnds,
    (place, isolation): (Place, IsolationLevel),
) -> Result<BTreeMap<TopicPartition, Offset>, Refusal> {
    let moved =
        |offset: Offset, by: i64| Offset::new(offset.value().saturating_add(by).max(0)).unwrap_or_default();
    let offset_of = |ends: &Ends| match place {
        Place::Start => Some(ends.start),
        Place::End => Some(ends.end),
        Place::At(offset) => Some(offset),
        Place::BehindStart(count) => Some(moved(ends.start, count)),
        Place::BeforeEnd(count) => Some(moved(ends.end, -count).max(ends.start)),
        Place::Time(_) => None,
    };
    let known =
        ends.iter().filter_map(|(partition, ends)| Some((partition.clone(), offset_of(ends)?))).collect();
    let Place::Time(time) = place else { return Ok(known) };
    let found = ask(admin, all(ends.keys(), OffsetSpec::AtTime(time)), isolation).await?;
    let or_end = |(partition, ends): (&TopicPartition, &Ends)| {
        // Where all records are older, the time lies at the end.
        (partition.clone(), found.get(partition).copied().flatten().unwrap_or(ends.end))
    };
    Ok(ends.iter().map(or_end).collect())
}

fn all<'a>(
    partitions: impl Iterator<Item = &'a TopicPartition>,
    spec: OffsetSpec,
) -> BTreeMap<TopicPartition, OffsetSpec> {
    partitions.map(|partition| (partition.clone(), spec)).collect()
}

async fn ask(
    admin: &Admin,
    wanted: BTreeMap<TopicPartition, OffsetSpec>,
    isolation: IsolationLevel,
) -> Result<BTreeMap<TopicPartition, Option<Offset>>, Refusal> {
    let failed = |error| Refusal::no_answer("the offsets could not be asked for", &error);
    let answers: PartitionOutcomes<Option<ListedOffset>, ListOffsetsError> =
        admin.list_offsets(&wanted, isolation).await.map_err(failed)?;
    let answer = |(partition, outcome): (TopicPartition, Result<Option<ListedOffset>, ListOffsetsError>)| {
        let outcome =
            outcome.map_err(|error| admin_refusal!(error, "the offsets of {partition} are not known"));
        Ok((partition, outcome?.map(|listed| listed.offset)))
    };
    answers.into_iter().map(answer).collect()
}
