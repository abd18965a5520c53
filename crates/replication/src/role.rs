//! What this broker is for one partition.
//!
//! Owns: the roles, and how a role looks to somebody who is refused.
//! Does not own: who decides it (the controller), what a leader does (`progress`).
//!
//! Source: requirements PRD-07, REP-07; Kafka's PartitionRecord.

use ottla_model::{BrokerId, LeaderEpoch, PartitionEpoch};

use crate::progress::Leadership;

/// The controller's word on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// All replicas, those being added included.
    pub replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds; they do not count in the replication factor (REP-04).
    pub adding: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
}

/// What this broker is for the partition, in the terms a client or another broker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Leader {
        epoch: LeaderEpoch,
    },
    /// `leader` is `None` while nobody leads.
    Follower {
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
    /// The log directory failed.
    Offline,
    /// The topic is deleted, or the replica was moved away.
    Removed,
}

/// What the controller's word changed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// This broker begins to lead in `epoch`, whose first offset is `epoch_start`: the log notes it (REP-07).
    Led { epoch: LeaderEpoch, epoch_start: ottla_model::Offset },
    /// This broker follows from now on, in a new epoch or a new leader.
    Followed { leader: Option<BrokerId>, epoch: LeaderEpoch },
    /// Same role and epoch, perhaps other replicas or in-sync set.
    Updated,
    /// Older than what is known; nothing changed.
    Stale,
}

pub(crate) enum Role {
    Leader(Leadership),
    Follower { leader: Option<BrokerId>, epoch: LeaderEpoch, partition_epoch: PartitionEpoch },
    Offline,
    Removed,
}

impl Role {
    pub fn standing(&self) -> Standing {
        match self {
            Role::Leader(leadership) => Standing::Leader { epoch: leadership.epoch() },
            Role::Follower { leader, epoch, .. } => Standing::Follower { leader: *leader, epoch: *epoch },
            Role::Offline => Standing::Offline,
            Role::Removed => Standing::Removed,
        }
    }

    /// The newest partition epoch known, or `None` for a replica that serves nothing any more.
    pub fn partition_epoch(&self) -> Option<PartitionEpoch> {
        match self {
            Role::Leader(leadership) => Some(leadership.partition_epoch()),
            Role::Follower { partition_epoch, .. } => Some(*partition_epoch),
            Role::Offline | Role::Removed => None,
        }
    }
}
