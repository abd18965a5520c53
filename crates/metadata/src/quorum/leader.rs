//! What a leader of the quorum knows of the other replicas, and what it may call committed.
//!
//! Owns: positions of voters and observers, the high watermark.
//! Does not own: elections (`machine`), the log.
//!
//! Invariants
//! - I1 the high watermark never goes back;
//! - I2 nothing is committed before a record of the leader's own epoch is.
//!
//! Source: KIP-595; KIP-853 for DescribeQuorum; requirements KRF-02, KRF-04.

use std::collections::BTreeMap;

use ottla_model::{BrokerId, Offset, Timestamp};

use super::voters::{ReplicaKey, Voters};

/// How long an observer that does not fetch is still told of, in milliseconds. Kafka's five minutes.
const OBSERVER_KEPT_MS: i64 = 300_000;

/// What is known of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaFacts {
    pub key: ReplicaKey,
    /// End of the replica's log; `None` before its first fetch.
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Timestamp>,
    /// When the replica last had everything that the leader had.
    pub last_caught_up: Option<Timestamp>,
}

/// A fetch, as far as it tells of its sender's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub key: ReplicaKey,
    pub log_end: Offset,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    facts: ReplicaFacts,
    /// Where the leader's log ended at the replica's last fetch.
    leader_end_then: Option<Offset>,
}

/// The state of the leader of an epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    /// Offset of the first record of the leader's epoch, the LeaderChange.
    epoch_start: Offset,
    own: ReplicaKey,
    own_flushed: Offset,
    followers: BTreeMap<BrokerId, Progress>,
    observers: BTreeMap<ReplicaKey, Progress>,
    high_watermark: Option<Offset>,
}

impl Leader {
    pub fn new(own: ReplicaKey, epoch_start: Offset) -> Leader {
        Leader {
            epoch_start,
            own,
            own_flushed: epoch_start,
            followers: BTreeMap::new(),
            observers: BTreeMap::new(),
            high_watermark: None,
        }
    }

    /// Everything below is committed. `None` until the leader's own epoch has a committed record.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The leader's own log is on stable storage up to `end`.
    pub fn on_flushed(&mut self, end: Offset, voters: &Voters) {
        self.own_flushed = self.own_flushed.max(end);
        self.advance(voters);
    }

    /// Another replica fetched from its log's end. `log_end` is the end of the leader's log.
    pub fn on_fetch(&mut self, from: Standing, log_end: Offset, (voters, now): (&Voters, Timestamp)) {
        let slot = if voters.voter(from.key).is_some() {
            self.followers.entry(from.key.id).or_insert_with(|| Progress::new(from.key))
        } else {
            self.observers.entry(from.key).or_insert_with(|| Progress::new(from.key))
        };
        slot.on_fetch(from, log_end, now);
        let kept = |progress: &Progress| {
            progress.facts.last_fetch.is_some_and(|last| now.millis_since(last) < OBSERVER_KEPT_MS)
        };
        self.observers.retain(|_, progress| kept(progress));
        self.advance(voters);
    }

    /// The facts of all voters, the leader among them, and of all observers.
    pub fn facts(
        &self,
        (voters, log_end): (&Voters, Offset),
        now: Timestamp,
    ) -> (Vec<ReplicaFacts>, Vec<ReplicaFacts>) {
        let of_voter = |key: ReplicaKey| {
            if key.id == self.own.id {
                let now = Some(now);
                return ReplicaFacts { key, log_end: Some(log_end), last_fetch: now, last_caught_up: now };
            }
            self.followers.get(&key.id).map_or_else(|| Progress::new(key).facts, |progress| progress.facts)
        };
        let voters = voters.iter().map(|voter| of_voter(voter.key)).collect();
        (voters, self.observers.values().map(|progress| progress.facts).collect())
    }

    /// Committed is what a majority has, once that covers the beginning of this epoch: positions in older epochs
    /// prove nothing, since a leader elected later might not have them.
    fn advance(&mut self, voters: &Voters) {
        let position = |id: BrokerId| {
            if id == self.own.id {
                return Some(self.own_flushed);
            }
            self.followers.get(&id).and_then(|progress| progress.facts.log_end)
        };
        let mut positions: Vec<Option<Offset>> = voters.ids().map(position).collect();
        positions.sort_unstable();
        // Of n sorted positions, the one at (n−1)/2 and everything above it are a majority.
        let Some(Some(common)) = positions.get((positions.len() - 1) / 2).copied() else { return };
        if common > self.epoch_start && self.high_watermark.is_none_or(|present| common > present) {
            self.high_watermark = Some(common);
        }
    }
}

impl Progress {
    fn new(key: ReplicaKey) -> Progress {
        let facts = ReplicaFacts { key, log_end: None, last_fetch: None, last_caught_up: None };
        Progress { facts, leader_end_then: None }
    }

    fn on_fetch(&mut self, from: Standing, leader_end: Offset, now: Timestamp) {
        let facts = &mut self.facts;
        if from.log_end >= leader_end {
            facts.last_caught_up = facts.last_caught_up.max(Some(now));
        } else if self.leader_end_then.is_some_and(|then| from.log_end >= then) {
            // It has what the leader had when it last asked, so it was up to date at that time.
            facts.last_caught_up = facts.last_caught_up.max(facts.last_fetch);
        }
        facts.key = from.key;
        facts.log_end = Some(from.log_end);
        facts.last_fetch = facts.last_fetch.max(Some(now));
        self.leader_end_then = self.leader_end_then.max(Some(leader_end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::VersionRange;
    use crate::quorum::Voter;

    fn key(id: i32) -> ReplicaKey {
        ReplicaKey { id: BrokerId::new(id).unwrap(), directory: None }
    }

    fn offset(value: i64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn voters(count: i32) -> Voters {
        let voter = |id| Voter {
            key: key(id),
            endpoints: Vec::new(),
            kraft_versions: VersionRange { min: 0, max: 1 },
        };
        Voters::new((1..=count).map(voter)).unwrap()
    }

    /// Runs a leader (voter 1, epoch start 10) through `flush END` and `fetch NODE END`; gives the high watermark.
    fn high_watermark(count: i32, script: &str) -> Option<i64> {
        let voters = voters(count);
        let mut leader = Leader::new(key(1), offset(10));
        for (at, step) in script.split('|').enumerate() {
            let words: Vec<_> = step.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<i64>().unwrap();
            let now = Timestamp::from_millis(i64::try_from(at).unwrap());
            match words[0] {
                "flush" => leader.on_flushed(offset(number(1)), &voters),
                _ => {
                    let from = Standing { key: key(words[1].parse().unwrap()), log_end: offset(number(2)) };
                    leader.on_fetch(from, offset(100), (&voters, now));
                }
            }
        }
        leader.high_watermark().map(Offset::value)
    }

    /// KRF-02
    #[test]
    fn committed_is_what_a_majority_has_on_stable_storage() {
        assert_eq!(high_watermark(1, "flush 11"), Some(11));
        assert_eq!(high_watermark(1, "flush 11 | flush 15"), Some(15));
        assert_eq!(high_watermark(2, "flush 15"), None);
        assert_eq!(high_watermark(2, "flush 15 | fetch 2 12"), Some(12));
        assert_eq!(high_watermark(3, "flush 15 | fetch 2 12"), Some(12));
        assert_eq!(high_watermark(3, "flush 15 | fetch 2 12 | fetch 3 14"), Some(14));
        assert_eq!(high_watermark(3, "fetch 2 12 | fetch 3 14"), Some(12));
    }

    /// KRF-02
    #[test]
    fn nothing_is_committed_before_the_epoch_has_begun_on_a_majority() {
        assert_eq!(high_watermark(1, "flush 10"), None);
        assert_eq!(high_watermark(3, "flush 15 | fetch 2 10"), None);
    }

    /// KRF-02
    #[test]
    fn an_observer_commits_nothing() {
        assert_eq!(high_watermark(2, "flush 15 | fetch 7 15"), None);
    }

    /// KRF-04
    #[test]
    fn a_replica_is_caught_up_when_it_has_what_the_leader_had() {
        let voters = voters(2);
        let mut leader = Leader::new(key(1), offset(0));
        let fetch = |leader: &mut Leader, end: i64, leader_end: i64, now: i64| {
            let from = Standing { key: key(2), log_end: offset(end) };
            leader.on_fetch(from, offset(leader_end), (&voters, Timestamp::from_millis(now)));
            leader.facts((&voters, offset(leader_end)), Timestamp::from_millis(now)).0[1]
        };
        assert_eq!(fetch(&mut leader, 1, 5, 100).last_caught_up, None);
        assert_eq!(fetch(&mut leader, 5, 9, 200).last_caught_up, Some(Timestamp::from_millis(100)));
        let facts = fetch(&mut leader, 9, 9, 300);
        assert_eq!(facts.last_caught_up, Some(Timestamp::from_millis(300)));
        assert_eq!(facts.last_fetch, Some(Timestamp::from_millis(300)));
    }

    /// KRF-04
    #[test]
    fn an_observer_that_does_not_fetch_any_more_is_forgotten() {
        let voters = voters(1);
        let mut leader = Leader::new(key(1), offset(0));
        let mut observers_at = |id: i32, now: i64| {
            let now = Timestamp::from_millis(now);
            leader.on_fetch(Standing { key: key(id), log_end: offset(1) }, offset(5), (&voters, now));
            leader.facts((&voters, offset(5)), now).1.len()
        };
        assert_eq!(observers_at(8, 0), 1);
        assert_eq!(observers_at(9, 299_999), 2);
        assert_eq!(observers_at(9, 300_000), 1);
    }
}
