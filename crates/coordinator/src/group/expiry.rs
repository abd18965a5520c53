//! When committed offsets are too old to be kept.
//!
//! Owns: the rule per kind of group. Does not own: when the rule is applied (`shard`).
//!
//! Source: requirement OFF-05; KIP-211, KIP-496.

use std::time::Duration;

use ottla_model::{GroupId, Timestamp};
use ottla_mutant::mutant;

use super::classic::{ClassicGroup, GroupState};
use super::consumer::ConsumerGroup;
use super::offsets::OffsetStore;
use super::protocols;
use super::record::{GroupRecord, OffsetEntry, OffsetKey};

/// What a sweep finds in one group.
pub(super) struct Sweep {
    pub tombstones: Vec<GroupRecord>,
    /// Nothing is left, and nothing is on its way.
    pub is_bare: bool,
}

/// Whose offsets they are.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Classic(&'a ClassicGroup),
    Consumers(&'a GroupId, &'a ConsumerGroup),
}

impl Owner<'_> {
    pub fn id(&self) -> &GroupId {
        match self {
            Owner::Classic(group) => &group.id,
            Owner::Consumers(id, _) => id,
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Owner::Classic(group) => group.is_empty(),
            Owner::Consumers(_, group) => group.is_empty(),
        }
    }

    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Owner::Classic(group) => group.is_subscribed_to(topic),
            Owner::Consumers(_, group) => group.subscribed_names().contains(topic),
        }
    }

    fn counted_from(&self) -> Option<CountedFrom> {
        match self {
            Owner::Classic(group) => counted_from(group),
            Owner::Consumers(..) => Some(CountedFrom::Commit),
        }
    }
}

/// From when on an offset's age is counted.
enum CountedFrom {
    /// The moment the group became empty; where that was not recorded, the commit.
    Emptied(Option<Timestamp>),
    Commit,
}

pub(super) fn sweep(group: Owner<'_>, offsets: &OffsetStore, retention: Duration, now: Timestamp) -> Sweep {
    let mut sweep = Sweep { tombstones: Vec::new(), is_bare: !offsets.has_unstable(group.id()) };
    if offsets.of_group(group.id()).next().is_none() {
        return sweep;
    }
    let Some(counted_from) = group.counted_from() else {
        return Sweep { is_bare: false, ..sweep };
    };
    for (topic, partitions) in offsets.of_group(group.id()) {
        let subscribed = group.is_subscribed_to(topic.as_str()) && !mutant!(expire_offsets_of_live_group);
        for (partition, stored) in partitions {
            let key = OffsetKey { group: group.id().clone(), topic: topic.clone(), partition: *partition };
            let old = is_expired(&stored.entry, &counted_from, retention, now);
            if old && !subscribed && !offsets.is_unstable(&key) {
                sweep.tombstones.push(GroupRecord::Offset { key, value: None });
            } else {
                sweep.is_bare = false;
            }
        }
    }
    sweep
}

/// `None`: offsets of the group do not expire now. Without a protocol type nobody ever joined: the offsets belong to
/// clients that assign themselves.
fn counted_from(group: &ClassicGroup) -> Option<CountedFrom> {
    if group.protocol_type.is_none() {
        return Some(CountedFrom::Commit);
    }
    let knows_topics = protocols::is_consumer(group.protocol_type.as_ref()) && group.subscribed.is_some();
    match group.state() {
        GroupState::Empty => Some(CountedFrom::Emptied(group.since)),
        GroupState::Stable if knows_topics => Some(CountedFrom::Commit),
        GroupState::Stable
        | GroupState::PreparingRebalance
        | GroupState::CompletingRebalance
        | GroupState::Assigning
        | GroupState::Reconciling => None,
    }
}

fn is_expired(entry: &OffsetEntry, from: &CountedFrom, retention: Duration, now: Timestamp) -> bool {
    if let Some(expires_at) = entry.expires_at {
        return now >= expires_at;
    }
    let begin = match from {
        CountedFrom::Emptied(since) => since.unwrap_or(entry.committed_at),
        CountedFrom::Commit => entry.committed_at,
    };
    u128::try_from(now.millis_since(begin)).is_ok_and(|age| age >= retention.as_millis())
}
