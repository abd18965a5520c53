//! One change of one partition: who leads, who is in sync, who may lead without loss.
//!
//! Owns: elections, the epoch rules, the fields of eligible leaders, the resulting record.
//! Does not own: why a partition changes (`replicas`, `sessions`), which replicas it should have (`placement`).
//!
//! Callers say what they want (`in_sync`, `election`, …) and get the record that brings it about, if anything changes.
//!
//! Invariants
//! - I1 a leader is elected from the in-sync set, or from the eligible leaders when that set is empty, unless the
//!   election is unclean;
//! - I2 after an unclean election the leader alone is in sync and the partition is recovering.
//!
//! Source: KIP-631, KIP-704, KIP-966; requirements ELE-01, ELE-02, REP-07, RSG-01.

use ottla_model::{BrokerId, DirectoryId, PartitionIndex, TopicId};
use ottla_protocol::messages::PartitionChangeRecord;

use crate::image::{LeaderRecovery, Partition, Replica};
use crate::records::code;

/// Which replica should lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The present leader if it still can, else the first replica that can without loss.
    Online,
    /// As [`Election::Online`], else the first replica that is alive, with possible loss.
    Unclean,
    /// The first replica if it can, else as [`Election::Online`].
    Preferred,
}

/// What a change depends on beside the partition itself.
pub struct Surroundings<'a> {
    /// Whether a replica's broker is alive and its directory online.
    pub may_lead: Box<dyn Fn(BrokerId) -> bool + 'a>,
    /// Whether eligible leaders are kept (`eligible.leader.replicas.version`).
    pub keeps_eligible_leaders: bool,
    /// The topic's `min.insync.replicas`, at most its replication factor.
    pub min_in_sync: usize,
    /// Whether records name directories.
    pub has_directories: bool,
    /// Whether the leader epoch rises when the in-sync set shrinks (REP-07).
    pub raises_epoch_on_shrink: bool,
}

/// The wanted state of a partition.
pub struct PartitionChange<'a> {
    partition: &'a Partition,
    surroundings: Surroundings<'a>,
    pub election: Election,
    pub in_sync: Vec<BrokerId>,
    pub replicas: Vec<Replica>,
    pub removing: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub leader_recovery: LeaderRecovery,
    /// A broker that went down without flushing: it must not count as an eligible leader.
    pub shut_down_uncleanly: Option<BrokerId>,
    eligible_leaders: Vec<BrokerId>,
}

struct Elected {
    leader: Option<BrokerId>,
    unclean: bool,
}

impl<'a> PartitionChange<'a> {
    /// A change that as yet wants nothing but a leader that can lead.
    pub fn new(partition: &'a Partition, surroundings: Surroundings<'a>) -> PartitionChange<'a> {
        PartitionChange {
            partition,
            surroundings,
            election: Election::Online,
            in_sync: partition.in_sync.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing.clone(),
            adding: partition.adding.clone(),
            leader_recovery: partition.leader_recovery,
            shut_down_uncleanly: None,
            eligible_leaders: partition.eligible_leaders.clone(),
        }
    }

    /// Puts the replica of a broker into a directory.
    pub fn set_directory(&mut self, broker: BrokerId, directory: DirectoryId) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.broker == broker) {
            replica.directory = directory;
        }
    }

    /// The record that makes the change, or `None` when nothing changes.
    pub fn record(mut self, topic: TopicId, index: PartitionIndex) -> Option<PartitionChangeRecord> {
        let unchanged = PartitionChangeRecord {
            topic_id: topic.uuid(),
            partition_id: index.value(),
            ..PartitionChangeRecord::default()
        };
        let mut record = unchanged.clone();
        self.complete_reassignment();
        self.collect_eligible_leaders();
        self.elect(&mut record);
        self.raise_epoch_on_lost_replica(&mut record);
        self.write_eligible_leaders(&mut record);
        self.write_in_sync(&mut record);
        self.raise_epoch_on_shrink(&mut record);
        self.write_last_known_leader(&mut record);
        self.write_replicas(&mut record);
        if self.leader_recovery != self.partition.leader_recovery {
            record.leader_recovery_state = code::of_leader_recovery(self.leader_recovery);
        }
        (record != unchanged).then_some(record)
    }

    /// A reassignment is complete once everything it adds is in sync (RSG-01).
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |broker: &BrokerId| !self.removing.contains(broker);
        let in_sync: Vec<_> = self.in_sync.iter().copied().filter(stays).collect();
        let replicas: Vec<_> =
            self.replicas.iter().copied().filter(|replica| stays(&replica.broker)).collect();
        let arrived = self.adding.iter().all(|broker| in_sync.contains(broker));
        if replicas.is_empty() || in_sync.is_empty() || !arrived {
            return;
        }
        self.in_sync = in_sync;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    /// Who leaves the in-sync set while it is too small stays eligible, unless it may have lost records (ELE-02).
    fn collect_eligible_leaders(&mut self) {
        if !self.surroundings.keeps_eligible_leaders {
            return;
        }
        if self.in_sync.len() >= self.surroundings.min_in_sync {
            self.eligible_leaders.clear();
            return;
        }
        self.eligible_leaders.extend(&self.partition.in_sync);
        self.eligible_leaders
            .retain(|broker| !self.in_sync.contains(broker) && self.shut_down_uncleanly != Some(*broker));
        self.eligible_leaders.sort_unstable();
        self.eligible_leaders.dedup();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let Elected { leader, unclean } = self.elected();
        if leader == self.partition.leader {
            return;
        }
        record.leader = code::of_leader(leader);
        let Some(leader) = leader else { return };
        if self.eligible_leaders.contains(&leader) {
            self.in_sync = vec![leader];
            self.eligible_leaders.retain(|broker| *broker != leader);
        }
        if unclean {
            record.isr = Some(vec![leader.value()]);
            if self.partition.leader_recovery != LeaderRecovery::Recovering {
                record.leader_recovery_state = code::of_leader_recovery(LeaderRecovery::Recovering);
            }
        }
    }

    fn elected(&self) -> Elected {
        let mut in_order = self.replicas.iter().map(|replica| replica.broker);
        let preferred = in_order.clone().take(1).filter(|_| self.election == Election::Preferred);
        let mut by_preference = preferred.chain(self.partition.leader).chain(in_order.clone());
        if let Some(leader) = by_preference.find(|broker| self.may_lead_cleanly(*broker)) {
            return Elected { leader: Some(leader), unclean: false };
        }
        let alive = || {
            let found = in_order.find(|broker| (self.surroundings.may_lead)(*broker));
            found.filter(|_| self.election == Election::Unclean)
        };
        match self.last_known_leader().or_else(alive) {
            Some(leader) => Elected { leader: Some(leader), unclean: true },
            None => Elected { leader: None, unclean: false },
        }
    }

    fn may_lead_cleanly(&self, broker: BrokerId) -> bool {
        let safe = if self.in_sync.is_empty() { &self.eligible_leaders } else { &self.in_sync };
        safe.contains(&broker) && (self.surroundings.may_lead)(broker)
    }

    /// The one who led last may lead again when nobody is safe, since nobody can know more than it (ELE-01).
    fn last_known_leader(&self) -> Option<BrokerId> {
        if !self.surroundings.keeps_eligible_leaders
            || !self.in_sync.is_empty()
            || !self.eligible_leaders.is_empty()
        {
            return None;
        }
        match self.partition.last_known_leaders.as_slice() {
            [only] if (self.surroundings.may_lead)(*only) => Some(*only),
            _ => None,
        }
    }

    /// Naming the leader anew raises its epoch: a replica that is gone must be fenced off (RSG-01).
    fn raise_epoch_on_lost_replica(&self, record: &mut PartitionChangeRecord) {
        let stays = |broker| self.replicas.iter().any(|replica| replica.broker == broker);
        if record.leader == code::LEADER_UNCHANGED && !self.partition.brokers().all(stays) {
            record.leader = code::of_leader(self.partition.leader);
        }
    }

    fn raise_epoch_on_shrink(&self, record: &mut PartitionChangeRecord) {
        if !self.surroundings.raises_epoch_on_shrink || record.leader != code::LEADER_UNCHANGED {
            return;
        }
        let Some(in_sync) = &record.isr else { return };
        if !self.partition.in_sync.iter().all(|broker| in_sync.contains(&broker.value())) {
            record.leader = code::of_leader(self.partition.leader);
        }
    }

    fn write_eligible_leaders(&mut self, record: &mut PartitionChangeRecord) {
        let unclean = record.isr.is_some();
        if unclean || !self.surroundings.keeps_eligible_leaders {
            self.eligible_leaders.clear();
        }
        if self.eligible_leaders != self.partition.eligible_leaders {
            record.eligible_leader_replicas = Some(code::of_brokers(&self.eligible_leaders));
        }
    }

    fn write_in_sync(&self, record: &mut PartitionChangeRecord) {
        // Only where eligible leaders are kept may nobody be in sync.
        let may_be_empty = self.surroundings.keeps_eligible_leaders;
        if record.isr.is_none()
            && (may_be_empty || !self.in_sync.is_empty())
            && self.in_sync != self.partition.in_sync
        {
            record.isr = Some(code::of_brokers(&self.in_sync));
        }
    }

    fn write_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.surroundings.keeps_eligible_leaders {
            return;
        }
        let known = &self.partition.last_known_leaders;
        if record.leader == code::of_leader(None) && known.is_empty() {
            record.last_known_elr = Some(vec![code::of_leader(self.partition.leader)]);
        } else if record.leader >= 0 && !known.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn write_replicas(&self, record: &mut PartitionChangeRecord) {
        let brokers = |replicas: &[Replica]| replicas.iter().map(|replica| replica.broker.value()).collect();
        let directories = |replicas: &[Replica]| replicas.iter().map(|replica| replica.directory.0).collect();
        let (wanted, present) = (&self.replicas, &self.partition.replicas);
        if self.surroundings.has_directories {
            let wanted: Vec<_> = directories(wanted);
            if wanted != directories(present) {
                record.directories = Some(wanted);
            }
        }
        let wanted: Vec<_> = brokers(wanted);
        if wanted != brokers(present) {
            record.replicas = Some(wanted);
        }
        if self.removing != self.partition.removing {
            record.removing_replicas = Some(code::of_brokers(&self.removing));
        }
        if self.adding != self.partition.adding {
            record.adding_replicas = Some(code::of_brokers(&self.adding));
        }
    }
}
