//! The leader's view of its followers: how far each is, who is in sync, and the change it asks the controller for.
//!
//! Owns: the followers' positions, the in-sync set, the pending proposal, the rule for the high watermark.
//! Does not own: the leader's own log, the answer to a proposal (AlterPartition).
//!
//! Invariants
//! - P1 the leader itself is always in sync and is not listed;
//! - P2 at most one proposal is open, and it differs from the in-sync set;
//! - P3 while a proposal is open, its members and the present in-sync set both hold the high watermark back.
//!
//! Source: requirements REP-01…04, FET-34; KIP-497, KIP-903, KIP-966.

use std::time::{Duration, Instant};

use ottla_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch};

use crate::acks::AckOutcome;
use crate::role::{PartitionState, Standing};
use crate::watermark::Limits;

/// A follower asked for records: it has everything below `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    pub broker: BrokerId,
    /// The follower's registration, to be compared by the controller; `None` from a follower too old to say.
    pub broker_epoch: Option<BrokerEpoch>,
    pub offset: Offset,
    pub log_start: Offset,
    /// Whether the follower may join the in-sync set: registered, unfenced, not shutting down, same broker epoch.
    pub eligible: bool,
}

/// Why a follower's position was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowerFetchRefused {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("broker {broker} is not a replica in leader epoch {epoch}")]
    UnknownReplica { broker: BrokerId, epoch: LeaderEpoch },
}

/// An in-sync set the leader asks the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSyncProposal {
    pub leader_epoch: LeaderEpoch,
    /// The state this proposal is based on; the controller refuses it when it has moved on.
    pub partition_epoch: PartitionEpoch,
    pub members: Vec<ProposedMember>,
}

/// One member of a proposed in-sync set. The leader names itself without an epoch: the caller knows its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposedMember {
    pub broker: BrokerId,
    pub epoch: Option<BrokerEpoch>,
}

/// How a proposal failed, by what the leader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalRefused {
    /// Certainly not applied (INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED): back to the present in-sync set.
    Rejected,
    /// Perhaps applied, or this leader is behind (FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, NEW_LEADER_ELECTED,
    /// UNKNOWN_TOPIC_ID …): stay careful until new metadata arrive.
    Superseded,
    /// The controller was not reached (NOT_CONTROLLER, timeouts …): ask again.
    Unreached,
}

/// Why a producer may not append here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefused {
    #[error("this broker cannot append to the partition: {0:?}")]
    Unavailable(Standing),
    #[error("{in_sync} replicas are in sync, {in_sync_min} are needed")]
    TooFewInSync { in_sync: usize, in_sync_min: usize },
}

struct Follower {
    broker: BrokerId,
    broker_epoch: Option<BrokerEpoch>,
    in_sync: bool,
    eligible: bool,
    /// Its log end and start, once it has fetched in this leader's epoch.
    position: Option<(Offset, Offset)>,
    /// The last moment at which it had all that the leader had.
    caught_up_at: Option<Instant>,
    last_fetch: Option<(Instant, Offset)>,
}

struct Proposal {
    members: Vec<BrokerId>,
    sent: bool,
}

/// What decides the high watermark besides the followers.
#[derive(Clone, Copy)]
pub(crate) struct OwnProgress {
    /// How far the leader itself counts (flushed or appended bytes).
    pub stored_end: Offset,
    pub log_end: Offset,
    pub in_sync_min: usize,
    pub lag_max: Duration,
}

pub(crate) struct Leadership {
    me: BrokerId,
    epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    epoch_start: Offset,
    replication_factor: usize,
    followers: Vec<Follower>,
    proposal: Option<Box<Proposal>>,
    lag_check_at: Option<Instant>,
}

impl Leadership {
    pub fn new(me: BrokerId, state: &PartitionState, epoch_start: Offset, now: Instant) -> Leadership {
        let mut leadership = Leadership {
            me,
            epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            epoch_start,
            replication_factor: 1,
            followers: Vec::new(),
            proposal: None,
            lag_check_at: None,
        };
        leadership.update(state, now);
        leadership
    }

    /// Takes the controller's replicas and in-sync set; the open proposal is settled by it.
    pub fn update(&mut self, state: &PartitionState, now: Instant) {
        self.partition_epoch = state.partition_epoch;
        self.replication_factor =
            state.replicas.iter().filter(|id| !state.adding.contains(id)).count().max(1);
        self.proposal = None;
        self.followers.retain(|follower| state.replicas.contains(&follower.broker));
        for broker in state.replicas.iter().filter(|broker| **broker != self.me) {
            let in_sync = state.in_sync.contains(broker);
            match self.followers.iter_mut().find(|follower| follower.broker == *broker) {
                Some(follower) => follower.in_sync = in_sync,
                None => self.followers.push(Follower {
                    broker: *broker,
                    broker_epoch: None,
                    in_sync,
                    eligible: false,
                    position: None,
                    // A member of the in-sync set gets the whole lag time before it is judged.
                    caught_up_at: in_sync.then_some(now),
                    last_fetch: None,
                }),
            }
        }
    }

    pub fn has_follower(&self, broker: BrokerId) -> bool {
        self.followers.iter().any(|follower| follower.broker == broker)
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub fn replication_factor(&self) -> usize {
        self.replication_factor
    }

    /// Size of the in-sync set the controller knows, the leader included.
    pub fn in_sync_count(&self) -> usize {
        1 + self.followers.iter().filter(|follower| follower.in_sync).count()
    }

    /// Size of the in-sync set joined with the proposed one.
    pub fn maximal_in_sync_count(&self) -> usize {
        1 + self.followers.iter().filter(|follower| self.may_be_in_sync(follower)).count()
    }

    /// Whether enough replicas are in sync for an append with `acks=all` (PRD-08).
    pub fn check_in_sync(&self, in_sync_min: usize) -> Result<(), AppendRefused> {
        let in_sync = self.in_sync_count();
        if in_sync < in_sync_min { Err(AppendRefused::TooFewInSync { in_sync, in_sync_min }) } else { Ok(()) }
    }

    /// What a request below the high watermark is told (PRD-19).
    pub fn committed_outcome(&self, in_sync_min: usize) -> AckOutcome {
        let in_sync = self.maximal_in_sync_count();
        if in_sync < in_sync_min {
            AckOutcome::TooFewInSync { in_sync, in_sync_min }
        } else {
            AckOutcome::Committed
        }
    }

    /// The in-sync set the controller knows, the leader first.
    pub fn in_sync(&self) -> Vec<BrokerId> {
        let followers =
            self.followers.iter().filter(|follower| follower.in_sync).map(|follower| follower.broker);
        std::iter::once(self.me).chain(followers).collect()
    }

    /// Smallest log start of the leader and the followers that told theirs: below it nobody has records.
    pub fn low_watermark(&self, own_start: Offset) -> Offset {
        let starts = self.followers.iter().filter_map(|follower| follower.position.map(|(_, start)| start));
        starts.fold(own_start, Offset::min)
    }

    /// Where the high watermark may be (REP-03), or `None` while too few replicas are in sync.
    pub fn committed_end(&self, own: OwnProgress, now: Instant) -> Option<Offset> {
        if self.in_sync_count() < own.in_sync_min {
            return None;
        }
        let mut end = own.stored_end;
        for follower in &self.followers {
            let about_to_join = || follower.eligible && follower.is_caught_up(own, now);
            if self.may_be_in_sync(follower) || about_to_join() {
                // Without a fetch in this epoch nothing is known to be there.
                end = end.min(follower.position.map_or(Offset::ZERO, |(end, _)| end));
            }
        }
        Some(end)
    }

    /// Notes a follower's position and proposes to take it in, when it has become worthy (REP-01).
    pub fn on_fetch(
        &mut self,
        fetch: FollowerFetch,
        limits: Limits,
        now: Instant,
    ) -> Result<(), FollowerFetchRefused> {
        let epoch = self.epoch;
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == fetch.broker)
        else {
            return Err(FollowerFetchRefused::UnknownReplica { broker: fetch.broker, epoch });
        };
        follower.on_fetch(fetch, limits.log_end, now);
        let worthy =
            fetch.eligible && fetch.offset >= limits.high_watermark && fetch.offset >= self.epoch_start;
        if worthy && !follower.in_sync && self.proposal.is_none() {
            let mut members = self.in_sync();
            members.push(fetch.broker);
            self.proposal = Some(Box::new(Proposal { members, sent: false }));
        }
        Ok(())
    }

    /// Proposes to leave out followers that have not caught up for `lag_max` (REP-01). Looks at half of that time.
    pub fn on_deadline(&mut self, own: OwnProgress, now: Instant) {
        let due = self.lag_deadline(own.lag_max, now).is_some_and(|at| at <= now);
        if !due {
            return;
        }
        self.lag_check_at = Some(now + own.lag_max / 2);
        let lags = |follower: &Follower| follower.in_sync && !follower.is_caught_up(own, now);
        if self.proposal.is_none() && self.followers.iter().any(lags) {
            let kept = self.followers.iter().filter(|follower| follower.in_sync && !lags(follower));
            let members = std::iter::once(self.me).chain(kept.map(|follower| follower.broker)).collect();
            self.proposal = Some(Box::new(Proposal { members, sent: false }));
        }
    }

    /// When lag is judged next: never, while the leader is alone in sync.
    pub fn lag_deadline(&mut self, lag_max: Duration, now: Instant) -> Option<Instant> {
        if self.followers.iter().all(|follower| !follower.in_sync) {
            self.lag_check_at = None;
        } else if self.lag_check_at.is_none() {
            self.lag_check_at = Some(now + lag_max / 2);
        }
        self.lag_check_at
    }

    /// The moment computed last by [`Leadership::lag_deadline`].
    pub fn lag_check_at(&self) -> Option<Instant> {
        self.lag_check_at
    }

    pub fn poll_proposal(&mut self) -> Option<InSyncProposal> {
        let proposal = self.proposal.as_mut().filter(|proposal| !proposal.sent)?;
        proposal.sent = true;
        let followers = &self.followers;
        let epoch_of = |broker| followers.iter().find(|follower| follower.broker == broker)?.broker_epoch;
        let members =
            proposal.members.iter().map(|id| ProposedMember { broker: *id, epoch: epoch_of(*id) }).collect();
        Some(InSyncProposal { leader_epoch: self.epoch, partition_epoch: self.partition_epoch, members })
    }

    /// The controller applied a proposal; an answer older than what is known is ignored.
    pub fn on_proposal_accepted(&mut self, partition_epoch: PartitionEpoch, in_sync: &[BrokerId]) {
        if partition_epoch < self.partition_epoch {
            return;
        }
        self.partition_epoch = partition_epoch;
        self.proposal = None;
        for follower in &mut self.followers {
            follower.in_sync = in_sync.contains(&follower.broker);
        }
    }

    pub fn on_proposal_refused(&mut self, refused: ProposalRefused) {
        match refused {
            ProposalRefused::Rejected => self.proposal = None,
            ProposalRefused::Superseded => {}
            ProposalRefused::Unreached => {
                if let Some(proposal) = &mut self.proposal {
                    proposal.sent = false;
                }
            }
        }
    }

    fn may_be_in_sync(&self, follower: &Follower) -> bool {
        follower.in_sync
            || self.proposal.as_ref().is_some_and(|change| change.members.contains(&follower.broker))
    }
}

impl Follower {
    /// A follower is caught up at a fetch that asks for the log end, and was caught up at its previous fetch when it
    /// now asks for what was the end then.
    fn on_fetch(&mut self, fetch: FollowerFetch, log_end: Offset, now: Instant) {
        if fetch.offset >= log_end {
            self.caught_up_at = self.caught_up_at.max(Some(now));
        } else if let Some((at, _)) = self.last_fetch.filter(|(_, end)| fetch.offset >= *end) {
            self.caught_up_at = self.caught_up_at.max(Some(at));
        }
        self.last_fetch = Some((now, log_end));
        self.position = Some((fetch.offset, fetch.log_start));
        self.broker_epoch = fetch.broker_epoch;
        self.eligible = fetch.eligible;
    }

    fn is_caught_up(&self, own: OwnProgress, now: Instant) -> bool {
        let at_end = self.position.is_some_and(|(end, _)| end == own.log_end);
        let recent = self.caught_up_at.is_some_and(|at| now.saturating_duration_since(at) <= own.lag_max);
        at_end || recent
    }
}
