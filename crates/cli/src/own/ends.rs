//! Offsets of partitions: where they begin and end, and which offset a place stands for.
//!
//! Owns: asking for them, for many partitions at once, all of which must be there.
//! Does not own: the texts of places (`position`), partitions that come and go (`partitions`), the question to the brokers
//! (`ottla_client::Admin`).

use std::collections::BTreeMap;

use ottla_client::Admin;
use ottla_client::admin::{ListOffsetsError, ListedOffset, OffsetSpec};
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

impl Ends {
    /// So many offsets lie between them.
    pub fn count(self) -> i64 {
        self.end.value() - self.start.value()
    }

    /// The offset that a place stands for, where the ends are enough to tell it. It may be behind the end.
    pub fn offset_of(self, place: Place) -> Option<Offset> {
        let moved = |offset: Offset, by: i64| {
            Offset::new(offset.value().saturating_add(by).max(0)).unwrap_or_default()
        };
        match place {
            Place::Start => Some(self.start),
            Place::End => Some(self.end),
            Place::At(offset) => Some(offset),
            Place::BehindStart(count) => Some(moved(self.start, count)),
            Place::BeforeEnd(count) => Some(moved(self.end, -count).max(self.start)),
            Place::Time(_) => None,
        }
    }
}

/// Ends of many partitions.
pub type AllEnds = BTreeMap<TopicPartition, Ends>;

/// An offset of each of many partitions.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// Start and end of each partition.
pub async fn ends_of(
    admin: &Admin,
    partitions: &[TopicPartition],
    isolation: IsolationLevel,
) -> Result<AllEnds, Refusal> {
    let starts = known(admin, partitions.iter(), (OffsetSpec::Earliest, isolation)).await?;
    let mut ends = known(admin, partitions.iter(), (OffsetSpec::Latest, isolation)).await?;
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
) -> Result<Offsets, Refusal> {
    let Place::Time(time) = place else {
        let offset = |(it, ends): (&TopicPartition, &Ends)| Some((it.clone(), ends.offset_of(place)?));
        return Ok(ends.iter().filter_map(offset).collect());
    };
    let found = known(admin, ends.keys(), (OffsetSpec::AtTime(time), isolation)).await?;
    Ok(or_end(ends, &found))
}

/// The offsets of a time. Where all records are older, the time lies at the end.
pub fn or_end(ends: &AllEnds, found: &BTreeMap<TopicPartition, Option<Offset>>) -> Offsets {
    let offset = |(partition, ends): (&TopicPartition, &Ends)| {
        (partition.clone(), found.get(partition).copied().flatten().unwrap_or(ends.end))
    };
    ends.iter().map(offset).collect()
}

/// The offset of each partition, all of which must be there.
async fn known<'a>(
    admin: &Admin,
    partitions: impl Iterator<Item = &'a TopicPartition>,
    (spec, isolation): (OffsetSpec, IsolationLevel),
) -> Result<BTreeMap<TopicPartition, Option<Offset>>, Refusal> {
    let answer = |(partition, outcome): (TopicPartition, Result<Option<Offset>, ListOffsetsError>)| {
        let outcome = outcome.map_err(|error| not_known(&partition, &error));
        Ok((partition, outcome?))
    };
    ask(admin, partitions, (spec, isolation)).await?.into_iter().map(answer).collect()
}

/// Asks for an offset of each partition.
pub async fn ask<'a>(
    admin: &Admin,
    partitions: impl Iterator<Item = &'a TopicPartition>,
    (spec, isolation): (OffsetSpec, IsolationLevel),
) -> Result<BTreeMap<TopicPartition, Result<Option<Offset>, ListOffsetsError>>, Refusal> {
    let wanted = partitions.map(|partition| (partition.clone(), spec)).collect();
    let failed = |error| Refusal::no_answer("the offsets could not be asked for", &error);
    let answers = admin.list_offsets(&wanted, isolation).await.map_err(failed)?;
    let offset = |(partition, outcome): (_, Result<Option<ListedOffset>, _>)| {
        (partition, outcome.map(|listed| listed.map(|listed| listed.offset)))
    };
    Ok(answers.into_iter().map(offset).collect())
}

/// Why the offset of a partition cannot be told.
pub fn not_known(partition: &TopicPartition, error: &ListOffsetsError) -> Refusal {
    admin_refusal!(*error, "the offsets of {partition} are not known")
}
