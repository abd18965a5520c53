//! Codes of what the group coordinator refuses.
//!
//! Owns: one function per error enum, exhaustively. Does not own: the errors; the codes (`protocol`).

use ottla_coordinator::group::{
    CommitError, CommitPartitionError, ConsumerHeartbeatError, DeleteGroupError, DeleteOffsetsError,
    DescribeError, FetchError, HeartbeatError, JoinError, LeaveError, LeaveMemberError, ListError, SyncError,
};
use ottla_coordinator::runtime::Unavailable;
use ottla_protocol::ErrorCode;

/// GRP-01, GRP-18
pub fn of_unavailable(error: Unavailable) -> ErrorCode {
    match error {
        Unavailable::Loading => ErrorCode::CoordinatorLoadInProgress,
        Unavailable::NotCoordinator => ErrorCode::NotCoordinator,
        Unavailable::ShuttingDown | Unavailable::WriteFailed => ErrorCode::CoordinatorNotAvailable,
        Unavailable::WriteRefused => ErrorCode::UnknownServerError,
        Unavailable::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        Unavailable::NotInTransaction => ErrorCode::InvalidTxnState,
    }
}

pub fn of_join(error: &JoinError) -> ErrorCode {
    match error {
        JoinError::InvalidGroupId => ErrorCode::InvalidGroupId,
        JoinError::SessionTimeoutOutOfRange { .. } => ErrorCode::InvalidSessionTimeout,
        JoinError::UnknownMember => ErrorCode::UnknownMemberId,
        JoinError::JoinedAgain | JoinError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        JoinError::FencedInstance => ErrorCode::FencedInstanceId,
        JoinError::MemberIdRequired => ErrorCode::MemberIdRequired,
        JoinError::GroupFull { .. } => ErrorCode::GroupMaxSizeReached,
        JoinError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        JoinError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_sync(error: &SyncError) -> ErrorCode {
    match error {
        SyncError::InvalidGroupId => ErrorCode::InvalidGroupId,
        SyncError::UnknownMember => ErrorCode::UnknownMemberId,
        SyncError::FencedInstance => ErrorCode::FencedInstanceId,
        SyncError::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        SyncError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        SyncError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        SyncError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_heartbeat(error: &HeartbeatError) -> ErrorCode {
    match error {
        HeartbeatError::InvalidGroupId => ErrorCode::InvalidGroupId,
        HeartbeatError::UnknownMember => ErrorCode::UnknownMemberId,
        HeartbeatError::FencedInstance => ErrorCode::FencedInstanceId,
        HeartbeatError::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        HeartbeatError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        // A member that only says it is alive need not know that the coordinator is loading (GRP-01).
        HeartbeatError::Unavailable(Unavailable::Loading) => ErrorCode::None,
        HeartbeatError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_leave(error: &LeaveError) -> ErrorCode {
    match error {
        LeaveError::InvalidGroupId => ErrorCode::InvalidGroupId,
        LeaveError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_leave_member(error: &LeaveMemberError) -> ErrorCode {
    match error {
        LeaveMemberError::UnknownMember => ErrorCode::UnknownMemberId,
        LeaveMemberError::FencedInstance => ErrorCode::FencedInstanceId,
    }
}

/// First OffsetCommit version that tells a missing group from a wrong generation (OFF-02).
const FIRST_WITH_MISSING_GROUP: i16 = 9;

pub fn of_commit(error: &CommitError, version: i16) -> ErrorCode {
    match error {
        CommitError::UnknownGroup if version >= FIRST_WITH_MISSING_GROUP => ErrorCode::GroupIdNotFound,
        CommitError::UnknownGroup | CommitError::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        CommitError::UnknownMember => ErrorCode::UnknownMemberId,
        CommitError::FencedInstance => ErrorCode::FencedInstanceId,
        CommitError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        CommitError::StaleEpoch { .. } => ErrorCode::StaleMemberEpoch,
        CommitError::NeedsEpochs => ErrorCode::UnsupportedVersion,
        CommitError::Unavailable(Unavailable::WriteRefused) => ErrorCode::InvalidCommitOffsetSize,
        CommitError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_transactional_commit(error: &CommitError) -> ErrorCode {
    match error {
        CommitError::UnknownGroup | CommitError::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        CommitError::UnknownMember => ErrorCode::UnknownMemberId,
        CommitError::FencedInstance => ErrorCode::FencedInstanceId,
        CommitError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        // Producers know no epochs of members.
        CommitError::StaleEpoch { .. } => ErrorCode::IllegalGeneration,
        CommitError::NeedsEpochs => ErrorCode::UnsupportedVersion,
        CommitError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_commit_partition(error: &CommitPartitionError) -> ErrorCode {
    match error {
        CommitPartitionError::MetadataTooLarge { .. } => ErrorCode::OffsetMetadataTooLarge,
    }
}

pub fn of_offset_fetch(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::UnknownMember => ErrorCode::UnknownMemberId,
        FetchError::StaleEpoch { .. } => ErrorCode::StaleMemberEpoch,
        FetchError::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        FetchError::Unavailable(Unavailable::WriteFailed) => ErrorCode::NotCoordinator,
        FetchError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_delete_offsets(error: &DeleteOffsetsError) -> ErrorCode {
    match error {
        DeleteOffsetsError::InvalidGroupId => ErrorCode::InvalidGroupId,
        DeleteOffsetsError::UnknownGroup => ErrorCode::GroupIdNotFound,
        DeleteOffsetsError::GroupActive => ErrorCode::NonEmptyGroup,
        DeleteOffsetsError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_delete_group(error: &DeleteGroupError) -> ErrorCode {
    match error {
        DeleteGroupError::UnknownGroup => ErrorCode::GroupIdNotFound,
        DeleteGroupError::GroupActive => ErrorCode::NonEmptyGroup,
        DeleteGroupError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_describe_group(error: &DescribeError) -> ErrorCode {
    match error {
        DescribeError::InvalidGroupId => ErrorCode::InvalidGroupId,
        DescribeError::UnknownGroup { .. } | DescribeError::OtherType { .. } => ErrorCode::GroupIdNotFound,
        DescribeError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_consumer_heartbeat(error: &ConsumerHeartbeatError) -> ErrorCode {
    match error {
        ConsumerHeartbeatError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        ConsumerHeartbeatError::UnsupportedAssignor { .. } => ErrorCode::UnsupportedAssignor,
        ConsumerHeartbeatError::InvalidRegex { .. } => ErrorCode::InvalidRegularExpression,
        ConsumerHeartbeatError::UnknownGroup { .. }
        | ConsumerHeartbeatError::NoGroup { .. }
        | ConsumerHeartbeatError::NoConsumerGroup { .. }
        | ConsumerHeartbeatError::CannotUpgrade { .. } => ErrorCode::GroupIdNotFound,
        ConsumerHeartbeatError::UnknownMember { .. } | ConsumerHeartbeatError::UnknownInstance(_) => {
            ErrorCode::UnknownMemberId
        }
        ConsumerHeartbeatError::EpochAhead { .. }
        | ConsumerHeartbeatError::EpochBehind { .. }
        | ConsumerHeartbeatError::UnknownState => ErrorCode::FencedMemberEpoch,
        ConsumerHeartbeatError::FencedInstance { .. } => ErrorCode::FencedInstanceId,
        ConsumerHeartbeatError::UnreleasedInstance { .. } => ErrorCode::UnreleasedInstanceId,
        ConsumerHeartbeatError::GroupFull { .. } => ErrorCode::GroupMaxSizeReached,
        ConsumerHeartbeatError::Unavailable(why) => of_unavailable(*why),
    }
}

pub fn of_list_groups(error: &ListError) -> ErrorCode {
    match error {
        ListError::Unavailable(why) => of_unavailable(*why),
    }
}
