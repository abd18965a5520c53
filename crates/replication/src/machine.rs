//! One replica of one partition: routes facts to its parts and merges what they say.
//!
//! Owns: the order in which the parts learn of a fact.
//! Does not own: any rule of its own; files, sockets, the clock.
//!
//! The caller tells facts (`on_*`), then drains [`Replica::poll_acked`], [`Replica::poll_wake`] and
//! [`Replica::poll_proposal`], and calls [`Replica::on_deadline`] at [`Replica::deadline`]. An append with `acks=1`
//! is [`Replica::may_append`] + [`Replica::on_appended`]: no allocation, no queue.
//!
//! Invariants
//! - M1 only a leader has waiting `acks=all` requests;
//! - M2 the high watermark of a leader never moves back (R4), and not at all while too few replicas are in sync.
//!
//! Source: requirements PRD-08, PRD-19, PRD-21, FET-14…17, FET-30, LO-03, REP-01…04.

use std::time::Instant;

use ottla_model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch};

use crate::RequestId;
use crate::acks::{Ack, AckOutcome, Acked, PendingAcks};
use crate::config::ReplicationConfig;
use crate::fetches::{FetchWaiter, FetchWaiters, FetchWake};
use crate::progress::{
    AppendRefused, FollowerFetch, FollowerFetchRefused, InSyncProposal, Leadership, OwnProgress,
    ProposalRefused,
};
use crate::read::{self, OffsetUnavailable, ReadAttempt, ReadRefused, Readable, Reader};
use crate::role::{PartitionState, Role, Standing, StateChange};
use crate::watermark::{Limits, LogPositions, Watermarks};

/// This broker's replica of one partition.
pub struct Replica {
    me: BrokerId,
    config: ReplicationConfig,
    watermarks: Watermarks,
    role: Role,
    acks: PendingAcks,
    fetches: FetchWaiters,
}

impl Replica {
    /// A replica on a log that was just opened. It follows nobody until [`Replica::on_state`].
    pub fn new(me: BrokerId, config: ReplicationConfig, positions: LogPositions) -> Replica {
        let role =
            Role::Follower { leader: None, epoch: LeaderEpoch::ZERO, partition_epoch: PartitionEpoch::ZERO };
        let watermarks = Watermarks::new(positions);
        let fetches = FetchWaiters::new(watermarks.limits());
        Replica { me, config, watermarks, role, acks: PendingAcks::default(), fetches }
    }

    /// The controller's word on the partition arrived. A word older than the last one changes nothing.
    pub fn on_state(&mut self, state: &PartitionState, now: Instant) -> StateChange {
        if self.role.partition_epoch().is_none_or(|known| state.partition_epoch < known) {
            return StateChange::Stale;
        }
        let before = self.watermarks.limits();
        let change = if state.leader == Some(self.me) { self.lead(state, now) } else { self.follow(state) };
        match change {
            StateChange::Led { .. } => self.fetches.on_changed(self.role.standing()),
            StateChange::Followed { .. } => self.lose(),
            StateChange::Updated | StateChange::Stale => {}
        }
        self.settle(before, now);
        change
    }

    /// The log directory failed: nothing can be served from here until the process starts anew.
    pub fn on_offline(&mut self) {
        self.role = Role::Offline;
        self.lose();
    }

    /// The replica was deleted.
    pub fn on_removed(&mut self) {
        self.role = Role::Removed;
        self.lose();
    }

    /// The operator changed the settings.
    pub fn on_config(&mut self, config: ReplicationConfig, now: Instant) {
        let before = self.watermarks.limits();
        self.config = config;
        self.settle(before, now);
    }

    /// `bytes` were appended; the log now ends at `end`.
    pub fn on_appended(&mut self, end: Offset, bytes: u32, now: Instant) {
        let before = self.watermarks.limits();
        self.watermarks.on_appended(end);
        self.fetches.on_appended(bytes);
        self.settle(before, now);
    }

    /// Everything below `flushed_end` is on stable storage.
    pub fn on_flushed(&mut self, flushed_end: Offset, now: Instant) {
        let before = self.watermarks.limits();
        self.watermarks.on_flushed(flushed_end);
        self.settle(before, now);
    }

    /// Retention, DeleteRecords or the leader moved the start of the log.
    pub fn on_log_start(&mut self, start: Offset, now: Instant) {
        let before = self.watermarks.limits();
        self.watermarks.on_log_start(start);
        self.settle(before, now);
    }

    /// The oldest transaction that is undecided, or decided above the high watermark, begins here now.
    pub fn on_first_unstable(&mut self, first_unstable: Option<Offset>, now: Instant) {
        let before = self.watermarks.limits();
        self.watermarks.on_first_unstable(first_unstable);
        self.settle(before, now);
    }

    /// A follower's log was cut at `end` to agree with its leader (REP-05).
    pub fn on_truncated(&mut self, end: Offset) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader never cuts its log");
        self.watermarks.on_truncated(end);
        self.fetches.on_changed(self.role.standing());
    }

    /// A follower learned its leader's high watermark.
    pub fn on_leader_high_watermark(&mut self, high_watermark: Offset, now: Instant) {
        assert!(!matches!(self.role, Role::Leader(_)), "a leader decides the high watermark itself");
        let before = self.watermarks.limits();
        self.watermarks.raise_high_watermark(high_watermark);
        self.settle(before, now);
    }

    /// A follower fetches: its position may move the high watermark and the in-sync set (FET-34).
    pub fn on_follower_fetch(
        &mut self,
        fetch: FollowerFetch,
        now: Instant,
    ) -> Result<(), FollowerFetchRefused> {
        let before = self.watermarks.limits();
        let Role::Leader(leadership) = &mut self.role else {
            return Err(FollowerFetchRefused::NotLeader);
        };
        leadership.on_fetch(fetch, before, now)?;
        self.settle(before, now);
        Ok(())
    }

    /// The controller applied a proposal of this leader.
    pub fn on_proposal_accepted(&mut self, epoch: PartitionEpoch, in_sync: &[BrokerId], now: Instant) {
        let before = self.watermarks.limits();
        if let Role::Leader(leadership) = &mut self.role {
            leadership.on_proposal_accepted(epoch, in_sync);
        }
        self.settle(before, now);
    }

    /// The controller refused a proposal of this leader, or was not reached.
    pub fn on_proposal_refused(&mut self, refused: ProposalRefused, now: Instant) {
        let before = self.watermarks.limits();
        if let Role::Leader(leadership) = &mut self.role {
            leadership.on_proposal_refused(refused);
        }
        self.settle(before, now);
    }

    /// Time went on: requests expire, lagging followers are proposed to leave.
    pub fn on_deadline(&mut self, now: Instant) {
        let before = self.watermarks.limits();
        let own = self.own_progress();
        if let Role::Leader(leadership) = &mut self.role {
            leadership.on_deadline(own, now);
        }
        self.settle(before, now);
        self.acks.on_deadline(now);
        self.fetches.on_deadline(now);
    }

    /// When [`Replica::on_deadline`] is due. It may turn out that nothing was.
    pub fn deadline(&self) -> Option<Instant> {
        let lag = match &self.role {
            Role::Leader(leadership) => leadership.lag_check_at(),
            Role::Follower { .. } | Role::Offline | Role::Removed => None,
        };
        [self.acks.deadline(), self.fetches.deadline(), lag].into_iter().flatten().min()
    }

    /// Whether a producer with `acks` 0 or 1 may append, and the epoch to stamp into its batches (PRD-21).
    pub fn may_append(&self) -> Result<LeaderEpoch, AppendRefused> {
        Ok(self.leadership().map_err(AppendRefused::Unavailable)?.epoch())
    }

    /// The same for a producer with `acks=all`, which needs enough in-sync replicas beforehand (PRD-08).
    pub fn may_append_in_sync(&self) -> Result<LeaderEpoch, AppendRefused> {
        let leadership = self.leadership().map_err(AppendRefused::Unavailable)?;
        leadership.check_in_sync(self.own_progress().in_sync_min)?;
        Ok(leadership.epoch())
    }

    /// What an appended `acks=all` request is told: at once, or `None` when it has to wait for [`Replica::poll_acked`].
    pub fn acknowledge(&mut self, ack: Ack) -> Option<AckOutcome> {
        match self.leadership() {
            Err(standing) => Some(AckOutcome::Lost(standing)),
            Ok(leadership) if ack.last_offset < self.watermarks.high_watermark() => {
                Some(self.committed_outcome(leadership))
            }
            Ok(_) => {
                self.acks.wait(ack);
                None
            }
        }
    }

    /// The next `acks=all` request whose wait is over.
    pub fn poll_acked(&mut self) -> Option<Acked> {
        self.acks.poll_outcome()
    }

    /// Parks a fetch that found too few bytes.
    pub fn wait_for_bytes(&mut self, waiter: FetchWaiter) {
        self.fetches.wait(waiter);
    }

    /// The next fetch that should look again.
    pub fn poll_wake(&mut self) -> Option<FetchWake> {
        self.fetches.poll_wake()
    }

    /// The request is gone, or was answered through another partition.
    pub fn forget(&mut self, request: RequestId) {
        self.acks.forget(request);
        self.fetches.forget(request);
    }

    /// An in-sync set to ask the controller for. It is answered by `on_proposal_*` or by [`Replica::on_state`].
    pub fn poll_proposal(&mut self) -> Option<InSyncProposal> {
        match &mut self.role {
            Role::Leader(leadership) => leadership.poll_proposal(),
            Role::Follower { .. } | Role::Offline | Role::Removed => None,
        }
    }

    /// Whether this broker may answer a request about the partition's log: epoch first, then role (FET-30).
    pub fn may_serve(&self, epoch: Option<LeaderEpoch>, from_any_replica: bool) -> Result<(), ReadRefused> {
        read::check_service(self.role.standing(), epoch, from_any_replica)
    }

    /// The range a reader may read now. Inside the log but beyond the reader's limit is empty, not an error (FET-15).
    pub fn readable(&self, attempt: &ReadAttempt) -> Result<Readable, ReadRefused> {
        self.may_serve(attempt.leader_epoch, attempt.from_any_replica)?;
        if let (Reader::Follower(broker), Role::Leader(leadership)) = (attempt.reader, &self.role)
            && !leadership.has_follower(broker)
        {
            return Err(ReadRefused::UnknownReplica(broker));
        }
        read::range(self.watermarks.start(), self.watermarks.limits(), attempt)
    }

    /// The offset a reader reaches when it has read everything it may (ListOffsets, "latest").
    pub fn latest(&self, reader: Reader) -> Offset {
        reader.limit().of(self.watermarks.limits())
    }

    /// Whether a client may be told positions near the end: not before this leader knows its predecessor's commits.
    /// Applies to "latest" always, and to a search by time whose result lies at or beyond [`Replica::latest`] (LO-03).
    pub fn positions_are_known(&self) -> Result<(), OffsetUnavailable> {
        let high_watermark = self.watermarks.high_watermark();
        match &self.role {
            Role::Leader(leadership) if leadership.epoch_start() > high_watermark => {
                Err(OffsetUnavailable { high_watermark, epoch_start: leadership.epoch_start() })
            }
            Role::Leader(_) | Role::Follower { .. } | Role::Offline | Role::Removed => Ok(()),
        }
    }

    pub fn standing(&self) -> Standing {
        self.role.standing()
    }

    pub fn log_start(&self) -> Offset {
        self.watermarks.start()
    }

    pub fn log_end(&self) -> Offset {
        self.watermarks.end()
    }

    pub fn high_watermark(&self) -> Offset {
        self.watermarks.high_watermark()
    }

    pub fn last_stable(&self) -> Offset {
        self.watermarks.last_stable()
    }

    /// Smallest log start over all replicas (DeleteRecords waits for it); `None` when not the leader.
    pub fn low_watermark(&self) -> Option<Offset> {
        self.leadership().ok().map(|leadership| leadership.low_watermark(self.watermarks.start()))
    }

    /// The in-sync set the controller knows; empty when not the leader.
    pub fn in_sync(&self) -> Vec<BrokerId> {
        self.leadership().map(Leadership::in_sync).unwrap_or_default()
    }

    /// Requests that wait here: produce, fetch.
    pub fn waiting(&self) -> (usize, usize) {
        (self.acks.len(), self.fetches.len())
    }

    fn leadership(&self) -> Result<&Leadership, Standing> {
        match &self.role {
            Role::Leader(leadership) => Ok(leadership),
            Role::Follower { .. } | Role::Offline | Role::Removed => Err(self.role.standing()),
        }
    }

    fn lead(&mut self, state: &PartitionState, now: Instant) -> StateChange {
        if let Role::Leader(leadership) = &mut self.role
            && leadership.epoch() == state.leader_epoch
        {
            leadership.update(state, now);
            return StateChange::Updated;
        }
        let epoch_start = self.watermarks.end();
        self.role = Role::Leader(Leadership::new(self.me, state, epoch_start, now));
        StateChange::Led { epoch: state.leader_epoch, epoch_start }
    }

    fn follow(&mut self, state: &PartitionState) -> StateChange {
        let before = self.role.standing();
        self.role = Role::Follower {
            leader: state.leader,
            epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
        };
        if self.role.standing() == before {
            StateChange::Updated
        } else {
            StateChange::Followed { leader: state.leader, epoch: state.leader_epoch }
        }
    }

    fn lose(&mut self) {
        let standing = self.role.standing();
        self.acks.on_lost(standing);
        self.fetches.on_changed(standing);
    }

    fn own_progress(&self) -> OwnProgress {
        let replicas = self.leadership().map_or(1, Leadership::replication_factor);
        OwnProgress {
            stored_end: self.watermarks.stored_end(self.config.durability),
            log_end: self.watermarks.end(),
            in_sync_min: self.config.effective_in_sync_min(replicas),
            lag_max: self.config.lag_max,
        }
    }

    fn committed_outcome(&self, leadership: &Leadership) -> AckOutcome {
        leadership.committed_outcome(self.own_progress().in_sync_min)
    }

    /// After every fact: moves the high watermark and tells those who wait for it.
    fn settle(&mut self, before: Limits, now: Instant) {
        let own = self.own_progress();
        if let Role::Leader(leadership) = &mut self.role {
            leadership.lag_deadline(own.lag_max, now);
            if let Some(end) = leadership.committed_end(own, now) {
                self.watermarks.raise_high_watermark(end);
            }
        }
        let after = self.watermarks.limits();
        if let Role::Leader(leadership) = &self.role
            && after.high_watermark > before.high_watermark
        {
            let outcome = self.committed_outcome(leadership);
            self.acks.on_high_watermark(after.high_watermark, outcome);
        }
        self.fetches.on_limits(before, after);
    }
}
