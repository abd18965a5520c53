//! Refusals that need no look at a group.
//!
//! Owns: what no coordinator would accept, and the answers of one that does not serve.
//! Does not own: the checks of a group itself (`join`, `session`, `rebalance`).
//!
//! Source: requirements GRP-01, GRP-02; KIP-62 (bounds of session timeouts).

use ottla_model::MemberId;

use super::answer::{
    DeleteOffsetsError, DescribeError, GroupAnswer, HeartbeatError, JoinError, JoinRefused, LeaveError,
    SyncError,
};
use super::command::GroupCommand;
use super::consumer;
use crate::config::GroupConfig;
use crate::runtime::Unavailable;

/// Refuses what no group coordinator would accept, whichever broker it is on and whatever its state.
pub fn precheck(config: &GroupConfig, command: &GroupCommand) -> Result<(), GroupAnswer> {
    match command {
        GroupCommand::Join(join) => {
            let refused = |error| Err(GroupAnswer::Join(Err(JoinRefused::new(&join.member, error))));
            let (min, max) = (config.session_timeout_min, config.session_timeout_max);
            let got = join.session_timeout;
            if join.group.is_empty() {
                refused(JoinError::InvalidGroupId)
            } else if got < min || got > max {
                refused(JoinError::SessionTimeoutOutOfRange { got, min, max })
            } else {
                Ok(())
            }
        }
        GroupCommand::Sync(sync) if sync.group.is_empty() => {
            Err(GroupAnswer::Sync(Err(SyncError::InvalidGroupId)))
        }
        GroupCommand::Heartbeat(heartbeat) if heartbeat.group.is_empty() => {
            Err(GroupAnswer::Heartbeat(Err(HeartbeatError::InvalidGroupId)))
        }
        GroupCommand::Leave(leave) if leave.group.is_empty() => {
            Err(GroupAnswer::Leave(Err(LeaveError::InvalidGroupId)))
        }
        GroupCommand::DeleteOffsets(delete) if delete.group.is_empty() => {
            Err(GroupAnswer::DeleteOffsets(Err(DeleteOffsetsError::InvalidGroupId)))
        }
        GroupCommand::ConsumerHeartbeat(heartbeat) => {
            consumer::precheck(config, heartbeat).map_err(|error| GroupAnswer::ConsumerHeartbeat(Err(error)))
        }
        GroupCommand::DescribeConsumers(group) if group.is_empty() => {
            Err(GroupAnswer::DescribeConsumers(Err(DescribeError::InvalidGroupId)))
        }
        GroupCommand::Sync(_)
        | GroupCommand::DescribeConsumers(_)
        | GroupCommand::TakeFound(_)
        | GroupCommand::View(_)
        | GroupCommand::Heartbeat(_)
        | GroupCommand::Leave(_)
        | GroupCommand::DeleteOffsets(_)
        | GroupCommand::CommitOffsets(_)
        | GroupCommand::FetchOffsets(_)
        | GroupCommand::DeleteGroup(_)
        | GroupCommand::Describe(_)
        | GroupCommand::List(_)
        | GroupCommand::ForgetPartitions(_) => Ok(()),
    }
}

/// Nobody would say again that partitions are gone.
pub(super) fn outlasts_loading(command: &GroupCommand) -> bool {
    match command {
        GroupCommand::ForgetPartitions(_) | GroupCommand::View(_) => true,
        GroupCommand::Join(_)
        | GroupCommand::Sync(_)
        | GroupCommand::Heartbeat(_)
        | GroupCommand::Leave(_)
        | GroupCommand::CommitOffsets(_)
        | GroupCommand::FetchOffsets(_)
        | GroupCommand::DeleteOffsets(_)
        | GroupCommand::DeleteGroup(_)
        | GroupCommand::Describe(_)
        | GroupCommand::ConsumerHeartbeat(_)
        | GroupCommand::DescribeConsumers(_)
        | GroupCommand::TakeFound(_)
        | GroupCommand::List(_) => false,
    }
}

/// The answer of a coordinator that does not look at the command. A heartbeat is believed while the group is being
/// loaded: sessions begin anew afterwards (GRP-01).
pub(super) fn refuse(command: &GroupCommand, why: Unavailable) -> GroupAnswer {
    match command {
        GroupCommand::Join(_) => GroupAnswer::Join(Err(JoinRefused::new(&MemberId::new(""), why.into()))),
        GroupCommand::Sync(_) => GroupAnswer::Sync(Err(why.into())),
        GroupCommand::Heartbeat(_) if why == Unavailable::Loading => GroupAnswer::Heartbeat(Ok(())),
        GroupCommand::Heartbeat(_) => GroupAnswer::Heartbeat(Err(why.into())),
        GroupCommand::Leave(_) => GroupAnswer::Leave(Err(why.into())),
        GroupCommand::CommitOffsets(_) => GroupAnswer::CommitOffsets(Err(why.into())),
        GroupCommand::FetchOffsets(_) => GroupAnswer::FetchOffsets(Err(why.into())),
        GroupCommand::DeleteOffsets(_) => GroupAnswer::DeleteOffsets(Err(why.into())),
        GroupCommand::DeleteGroup(_) => GroupAnswer::DeleteGroup(Err(why.into())),
        GroupCommand::Describe(_) => GroupAnswer::Describe(Err(why.into())),
        GroupCommand::List(_) => GroupAnswer::List(Err(why.into())),
        GroupCommand::ForgetPartitions(_) => GroupAnswer::ForgetPartitions(Err(why)),
        GroupCommand::ConsumerHeartbeat(_) => GroupAnswer::ConsumerHeartbeat(Err(why.into())),
        GroupCommand::DescribeConsumers(_) => GroupAnswer::DescribeConsumers(Err(why.into())),
        GroupCommand::TakeFound(_) | GroupCommand::View(_) => GroupAnswer::Noted(Err(why)),
    }
}
