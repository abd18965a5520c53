//! Changes of in-sync sets that leaders ask for.
//!
//! Owns: which of them are granted (AlterPartition).
//! Does not own: when a leader asks (`replication`), the change itself (`partition_change`).
//!
//! Source: KIP-497, KIP-841, KIP-903, KIP-966; requirements REP-01, REP-07.

use ottla_model::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId};

use super::heartbeat::{self, StaleBrokerEpoch};
use super::partition_change::{Election, PartitionChange};
use super::view::{Decision, View};
use crate::image::{LeaderRecovery, Partition, Topic};
use crate::records::MetadataRecord;

/// A replica that shall be in sync, with the broker epoch under which the leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSyncReplica {
    pub broker: i32,
    /// `None` where the leader does not know it.
    pub epoch: Option<i64>,
}

/// What a leader wants for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSyncRequest {
    pub topic: TopicId,
    pub partition: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub in_sync: Vec<InSyncReplica>,
    pub leader_recovery: LeaderRecovery,
}

/// Everything a leader wants at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartition {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub partitions: Vec<InSyncRequest>,
}

/// The state a partition has, or will have once the records are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedState {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub in_sync: Vec<BrokerId>,
    pub leader_recovery: LeaderRecovery,
    pub partition_epoch: PartitionEpoch,
}

/// Why a partition stays as it is. None of them has a message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InSyncRefused {
    #[error("the topic id is unknown")]
    UnknownTopic,
    #[error("the topic has no such partition")]
    UnknownPartition,
    #[error("the sender knows a later epoch than this controller")]
    ControllerBehind,
    #[error("the sender leads an older epoch")]
    FencedLeaderEpoch,
    #[error("the sender does not lead, or asks for an impossible in-sync set")]
    Invalid,
    #[error("the partition has changed since")]
    StalePartitionEpoch,
    #[error("a replica that shall be in sync is not alive")]
    IneligibleReplica,
    #[error("the change made another broker the leader")]
    NewLeader,
}

/// Grants or refuses; the answer has one entry per partition, in the order of the request.
pub fn alter(
    view: &View<'_>,
    request: &AlterPartition,
) -> Result<Decision<Vec<Result<GrantedState, InSyncRefused>>>, StaleBrokerEpoch> {
    heartbeat::check_epoch(view, request.broker, request.broker_epoch)?;
    let mut records: Vec<MetadataRecord> = Vec::new();
    let mut answer = Vec::new();
    for wanted in &request.partitions {
        answer.push(alter_one(view, request.broker, wanted, &mut records));
    }
    Ok(Decision { records, answer })
}

fn alter_one(
    view: &View<'_>,
    sender: BrokerId,
    wanted: &InSyncRequest,
    records: &mut Vec<MetadataRecord>,
) -> Result<GrantedState, InSyncRefused> {
    let topic = view.image.topics.by_id(wanted.topic).ok_or(InSyncRefused::UnknownTopic)?;
    let (index, partition) = topic.numbered(wanted.partition).ok_or(InSyncRefused::UnknownPartition)?;
    let in_sync = check(view, sender, wanted, partition)?;
    let Some(record) = change(view, (topic, partition), wanted, in_sync).record(topic.id, index) else {
        return Ok(granted(partition));
    };
    let changed = partition.merged(&record).ok_or(InSyncRefused::Invalid)?;
    records.push(record.into());
    if changed.leader_epoch != partition.leader_epoch && changed.leader != Some(sender) {
        return Err(InSyncRefused::NewLeader);
    }
    Ok(granted(&changed))
}

fn change<'a>(
    view: &View<'a>,
    (topic, partition): (&Topic, &'a Partition),
    wanted: &InSyncRequest,
    in_sync: Vec<BrokerId>,
) -> PartitionChange<'a> {
    let defaults = view.topic_defaults();
    let mut change = PartitionChange::new(partition, view.surroundings(topic, partition, defaults));
    if view.allows_unclean_election(&topic.name, defaults) {
        change.election = Election::Unclean;
    }
    change.in_sync = in_sync;
    change.leader_recovery = wanted.leader_recovery;
    change
}

/// The order of these checks decides which of several reasons a leader is told.
fn check(
    view: &View<'_>,
    sender: BrokerId,
    wanted: &InSyncRequest,
    partition: &Partition,
) -> Result<Vec<BrokerId>, InSyncRefused> {
    let (leader_epoch, partition_epoch) = (partition.leader_epoch.value(), partition.partition_epoch.value());
    if wanted.leader_epoch > leader_epoch || wanted.partition_epoch > partition_epoch {
        return Err(InSyncRefused::ControllerBehind);
    }
    if wanted.leader_epoch < leader_epoch {
        return Err(InSyncRefused::FencedLeaderEpoch);
    }
    if partition.leader != Some(sender) {
        return Err(InSyncRefused::Invalid);
    }
    if wanted.partition_epoch < partition_epoch {
        return Err(InSyncRefused::StalePartitionEpoch);
    }
    let in_sync: Option<Vec<_>> =
        wanted.in_sync.iter().map(|replica| BrokerId::new(replica.broker)).collect();
    let in_sync =
        in_sync.filter(|in_sync| is_possible(partition, sender, in_sync)).ok_or(InSyncRefused::Invalid)?;
    let recovering = wanted.leader_recovery == LeaderRecovery::Recovering;
    let goes_back = recovering && partition.leader_recovery == LeaderRecovery::Recovered;
    if recovering && in_sync.len() > 1 || goes_back {
        return Err(InSyncRefused::Invalid);
    }
    let eligible = |replica: &InSyncReplica| {
        let registered = BrokerId::new(replica.broker).and_then(|id| view.image.cluster.broker(id));
        let broker = registered.filter(|broker| broker.is_active());
        broker.is_some_and(|broker| replica.epoch.is_none_or(|epoch| epoch == broker.epoch.value()))
    };
    if wanted.in_sync.iter().all(eligible) { Ok(in_sync) } else { Err(InSyncRefused::IneligibleReplica) }
}

/// An in-sync set holds distinct replicas of the partition, its leader among them.
fn is_possible(partition: &Partition, leader: BrokerId, in_sync: &[BrokerId]) -> bool {
    let distinct = in_sync.iter().enumerate().all(|(at, broker)| !in_sync[..at].contains(broker));
    distinct && in_sync.contains(&leader) && in_sync.iter().all(|broker| partition.has_replica(*broker))
}

fn granted(partition: &Partition) -> GrantedState {
    GrantedState {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        in_sync: partition.in_sync.clone(),
        leader_recovery: partition.leader_recovery,
        partition_epoch: partition.partition_epoch,
    }
}
