//! The states of one node in the quorum and the way between them.
//!
//! Owns: when this node votes, leads and steps down; what it persists before it does.
//! Does not own: positions of other replicas (`leader`), files.
//!
//! ```text
//! unattached ──start──► prospective ──majority would vote──► candidate ──vote persisted, majority──► leader
//!     ▲                                                                                                │
//!     └────────────────────────────── (a new life of the node) ◄────────────── resigned ◄──resign──────┘
//! ```
//!
//! A prospective node asks whether it would be elected before it opens an epoch (KIP-996); with one voter it knows.
//!
//! Invariants
//! - I1 the epoch never goes back, and this node votes once in an epoch;
//! - I2 a vote counts only after it is on stable storage;
//! - I3 only a leader appends, and its first batch of an epoch holds the LeaderChange.
//!
//! Source: KIP-595, KIP-853, KIP-996; requirement KRF-02.

use std::collections::{BTreeSet, VecDeque};

use ottla_model::{BrokerId, LeaderEpoch, Offset, Timestamp};
use ottla_protocol::messages::{KRaftVersionRecord, LeaderChangeMessage, leader_change_message};

use super::election_state::ElectionState;
use super::epochs::EpochStarts;
use super::exchange::{
    Appended, NotLeader, QuorumAction, QuorumError, QuorumFacts, QuorumSetup, QuorumStart,
};
use super::fetch::{FetchAnswer, FetchRefused, FollowerFetch, LogExtent};
use super::leader::Leader;
use super::voters::{KRAFT_VERSION_DYNAMIC, Voters};
use crate::features::{Feature, MetadataVersion};
use crate::records::{
    BatchContent, BatchPosition, BatchWriteError, ControlContent, MetadataBatch, MetadataRecord,
    control_batch, record_batch,
};

#[derive(Clone, Debug)]
enum Role {
    Unattached,
    Prospective,
    Candidate { granted: BTreeSet<BrokerId> },
    Leader(Leader),
    Resigned,
}

/// One node's part in the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    setup: QuorumSetup,
    role: Role,
    election: ElectionState,
    voters: Voters,
    kraft_version: i16,
    /// Whether the voters stand in the log.
    recorded: bool,
    log_start: Offset,
    log_end: Offset,
    /// A flush was asked for up to here.
    flush_asked: Offset,
    epochs: EpochStarts,
    actions: VecDeque<QuorumAction>,
}

impl Quorum {
    /// A node that has not read its log yet.
    pub fn new(setup: QuorumSetup, start: QuorumStart) -> Quorum {
        let mut election = start.election.unwrap_or_default();
        if start.epoch > election.epoch {
            election = ElectionState { epoch: start.epoch, leader: None, voted: None };
        }
        Quorum {
            setup,
            role: Role::Unattached,
            election,
            voters: start.voters,
            kraft_version: start.kraft_version,
            recorded: start.recorded,
            log_start: start.log_start,
            log_end: start.log_start,
            flush_asked: start.log_start,
            epochs: EpochStarts::default(),
            actions: VecDeque::new(),
        }
    }

    /// A batch that is in the log already, in order.
    pub fn on_batch_read(&mut self, batch: &MetadataBatch) -> Result<(), QuorumError> {
        if batch.position.base_offset != self.log_end {
            return Err(QuorumError::Gap { got: batch.position.base_offset, expected: self.log_end });
        }
        let (at, got) = (batch.position.base_offset, batch.position.epoch);
        if let Some(last) = self.epochs.last().filter(|last| got < *last) {
            return Err(QuorumError::EpochGoesBack { at, got, last });
        }
        if let BatchContent::Control(records) = &batch.content {
            for (_, record) in records {
                self.on_control(record)?;
            }
        }
        self.note_batch(batch.position.epoch, batch.position.base_offset, batch.last_offset.next());
        self.flush_asked = self.log_end;
        if batch.position.epoch > self.election.epoch {
            self.election = ElectionState { epoch: batch.position.epoch, leader: None, voted: None };
        }
        Ok(())
    }

    /// The log was read to its end: take part.
    pub fn start(&mut self) -> Result<(), QuorumError> {
        if self.voters.count() > 1 {
            return Err(QuorumError::SeveralVoters { count: self.voters.count() });
        }
        if self.voters.voter(self.setup.own).is_none() {
            let voter = self.voters.ids().next().unwrap_or(self.setup.own.id);
            return Err(QuorumError::NotAVoter { own: self.setup.own.id, voter });
        }
        self.role = Role::Prospective;
        if self.voters.is_majority(&BTreeSet::from([self.setup.own.id])) {
            self.campaign();
        }
        Ok(())
    }

    /// The last content of `quorum-state` is on stable storage. Gives the first batch of a leader that this makes.
    pub fn on_persisted(&mut self, now: Timestamp) -> Result<Option<Appended>, BatchWriteError> {
        let own = self.setup.own.id;
        let Role::Candidate { granted } = &mut self.role else { return Ok(None) };
        granted.insert(own);
        if !self.voters.is_majority(granted) {
            return Ok(None);
        }
        let granting = granted.iter().copied().collect();
        self.lead(granting, now).map(Some)
    }

    /// The log is on stable storage up to `end`.
    pub fn on_flushed(&mut self, end: Offset) {
        assert!(end <= self.log_end, "only what was appended can be flushed");
        if let Role::Leader(leader) = &mut self.role {
            leader.on_flushed(end, &self.voters);
        }
    }

    /// Gives up leadership and takes no part any more.
    pub fn resign(&mut self) {
        self.role = Role::Resigned;
    }

    /// Appends records as one batch. They are committed once the high watermark has passed their end.
    pub fn append(
        &mut self,
        records: &[MetadataRecord],
        level: MetadataVersion,
        now: Timestamp,
    ) -> Result<Appended, BatchWriteError> {
        assert!(self.is_leader(), "only the leader appends");
        let batch = record_batch(self.position(now), records, level)?;
        Ok(self.put(batch, records.len()))
    }

    /// Raises `kraft.version`: from now on the voters are kept in the log. The own endpoints are in the voters.
    pub fn raise_kraft_version(&mut self, version: i16, now: Timestamp) -> Result<Appended, BatchWriteError> {
        assert!(self.is_leader(), "only the leader appends");
        self.kraft_version = version;
        self.recorded = true;
        let controls = self.voter_records();
        let batch = control_batch(self.position(now), &controls)?;
        Ok(self.put(batch, controls.len()))
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<QuorumAction> {
        self.actions.pop_front()
    }

    /// The end up to which the log is to be brought to stable storage, if that was not asked for yet. Comes after all
    /// actions: one flush serves everything that was appended before it. Then say `on_flushed`.
    pub fn poll_flush(&mut self) -> Option<Offset> {
        if self.flush_asked == self.log_end {
            return None;
        }
        self.flush_asked = self.log_end;
        Some(self.log_end)
    }
}

/// Views.
impl Quorum {
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.election.epoch
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<BrokerId> {
        self.election.leader
    }

    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is committed; `None` where this node cannot say.
    pub fn high_watermark(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => leader.high_watermark(),
            Role::Unattached | Role::Prospective | Role::Candidate { .. } | Role::Resigned => None,
        }
    }

    pub fn voters(&self) -> &Voters {
        &self.voters
    }

    pub fn kraft_version(&self) -> i16 {
        self.kraft_version
    }

    /// The facts of DescribeQuorum, which only a leader has (KRF-04).
    pub fn describe(&self, now: Timestamp) -> Result<QuorumFacts, NotLeader> {
        let Role::Leader(leader) = &self.role else { return Err(self.not_leader()) };
        let (voters, observers) = leader.facts((&self.voters, self.log_end), now);
        Ok(QuorumFacts {
            leader: self.setup.own.id,
            epoch: self.election.epoch,
            high_watermark: leader.high_watermark(),
            voters,
            observers,
        })
    }

    /// Another replica asks for records. What it asks for tells what it has.
    pub fn on_fetch(&mut self, fetch: &FollowerFetch, now: Timestamp) -> Result<FetchAnswer, FetchRefused> {
        fetch.check(&self.setup.cluster, self.election.epoch)?;
        let not_leader = self.not_leader();
        let Role::Leader(leader) = &mut self.role else { return Err(not_leader.into()) };
        let log = LogExtent { start: self.log_start, end: self.log_end, epochs: &self.epochs };
        if let Some(elsewhere) = log.parting(fetch) {
            return Ok(elsewhere);
        }
        leader.on_fetch(fetch.from, self.log_end, (&self.voters, now));
        Ok(FetchAnswer::Records { from: fetch.from.log_end, high_watermark: leader.high_watermark() })
    }

    fn not_leader(&self) -> NotLeader {
        NotLeader { epoch: self.election.epoch, leader: self.election.leader }
    }
}

/// Ways between states.
impl Quorum {
    fn campaign(&mut self) {
        self.election =
            ElectionState { epoch: self.election.epoch.next(), leader: None, voted: Some(self.setup.own) };
        self.role = Role::Candidate { granted: BTreeSet::new() };
        self.persist();
    }

    fn lead(&mut self, granting: Vec<BrokerId>, now: Timestamp) -> Result<Appended, BatchWriteError> {
        let epoch = self.election.epoch;
        self.election = ElectionState { epoch, leader: Some(self.setup.own.id), voted: None };
        self.persist();
        let node = |id: BrokerId| leader_change_message::Voter {
            voter_id: id.value(),
            ..leader_change_message::Voter::default()
        };
        let mut controls = vec![ControlContent::LeaderChange(LeaderChangeMessage {
            version: 0,
            leader_id: self.setup.own.id.value(),
            voters: self.voters.ids().map(node).collect(),
            granting_voters: granting.into_iter().map(node).collect(),
        })];
        // Voters that only the files of a formatted node name are written into the log by its first leader.
        if self.kraft_version >= KRAFT_VERSION_DYNAMIC && !self.recorded {
            controls.extend(self.voter_records());
            self.recorded = true;
        }
        let position = self.position(now);
        let batch = control_batch(position, &controls)?;
        self.role = Role::Leader(Leader::new(self.setup.own, position.base_offset));
        Ok(self.put(batch, controls.len()))
    }

    fn voter_records(&self) -> Vec<ControlContent> {
        let version = KRaftVersionRecord { version: 0, k_raft_version: self.kraft_version };
        vec![ControlContent::KraftVersion(version), ControlContent::Voters(self.voters.to_record())]
    }

    fn persist(&mut self) {
        let content = self.election.to_bytes(&self.voters, self.kraft_version);
        self.actions.push_back(QuorumAction::Persist(content));
    }

    fn on_control(&mut self, record: &ControlContent) -> Result<(), QuorumError> {
        match record {
            ControlContent::KraftVersion(record) => {
                if !(0..=Feature::Kraft.max_level()).contains(&record.k_raft_version) {
                    return Err(QuorumError::KraftVersion(record.k_raft_version));
                }
                self.kraft_version = record.k_raft_version;
                self.recorded = true;
            }
            ControlContent::Voters(record) => self.voters = Voters::from_record(record)?,
            ControlContent::LeaderChange(_)
            | ControlContent::SnapshotHeader(_)
            | ControlContent::SnapshotFooter(_) => {}
        }
        Ok(())
    }

    fn position(&self, now: Timestamp) -> BatchPosition {
        BatchPosition { base_offset: self.log_end, epoch: self.election.epoch, timestamp: now }
    }

    fn put(&mut self, batch: Vec<u8>, records: usize) -> Appended {
        let base_offset = self.log_end;
        let end = base_offset.plus(u32::try_from(records).unwrap_or(u32::MAX));
        self.note_batch(self.election.epoch, base_offset, end);
        let bytes = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.actions.push_back(QuorumAction::Append { batch, base_offset, epoch: self.election.epoch });
        Appended { base_offset, end, bytes }
    }

    fn note_batch(&mut self, epoch: LeaderEpoch, base_offset: Offset, end: Offset) {
        self.epochs.on_batch(epoch, base_offset);
        self.log_end = end;
    }
}
