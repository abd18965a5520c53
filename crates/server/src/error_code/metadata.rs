//! Codes of what the controller refuses.
//!
//! Owns: one function per error enum, exhaustively. Does not own: the errors; the codes (`protocol`).
//!
//! Source: requirements TOP-01 to TOP-06, CFG-05 to CFG-07, ELE-03, KRF-06, RSG-01.

use ottla_metadata::config::ConfigError;
use ottla_metadata::controller::{
    AlterConfigError, AssignmentError, CreatePartitionsError, CreateTopicError, DeleteTopicError, ElectError,
    ProducerIdsError, ReassignError, TooMuch, UpdateFeaturesError,
};
use ottla_protocol::ErrorCode;

pub fn of_too_much(error: TooMuch) -> ErrorCode {
    match error {
        TooMuch::Partitions | TooMuch::Records => ErrorCode::PolicyViolation,
    }
}

pub fn of_create_topic(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::DuplicateName
        | CreateTopicError::MetadataTopic
        | CreateTopicError::ManualAndReplicas
        | CreateTopicError::ManualAndPartitions => ErrorCode::InvalidRequest,
        CreateTopicError::Name(_) | CreateTopicError::Collision { .. } => ErrorCode::InvalidTopicException,
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::NullConfigs(_) => ErrorCode::InvalidConfig,
        CreateTopicError::Config(error) => of_alter_config(error),
        CreateTopicError::Assignment(error) => of_assignment(error),
        CreateTopicError::ReplicationFactor | CreateTopicError::Placement { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
        CreateTopicError::PartitionCount => ErrorCode::InvalidPartitions,
        CreateTopicError::Default(error) => of_config(error),
    }
}

fn of_assignment(_error: &AssignmentError) -> ErrorCode {
    ErrorCode::InvalidReplicaAssignment
}

fn of_config(error: &ConfigError) -> ErrorCode {
    match error {
        ConfigError::UnknownName { .. }
        | ConfigError::InvalidValue { .. }
        | ConfigError::Missing { .. }
        | ConfigError::Unsupported { .. }
        | ConfigError::UnsupportedProtocol { .. }
        | ConfigError::Rule(_) => ErrorCode::InvalidConfig,
        ConfigError::Requirement(_) | ConfigError::Request(_) => ErrorCode::InvalidRequest,
    }
}

pub fn of_alter_config(error: &AlterConfigError) -> ErrorCode {
    match error {
        AlterConfigError::DuplicateResource
        | AlterConfigError::DuplicateKeys
        | AlterConfigError::NullValues(_)
        | AlterConfigError::UnknownResourceType(_)
        | AlterConfigError::UnknownOperation(_)
        | AlterConfigError::BrokerName(_)
        | AlterConfigError::OtherBroker { .. }
        | AlterConfigError::DefaultTopic
        | AlterConfigError::DefaultGroup => ErrorCode::InvalidRequest,
        AlterConfigError::TopicName(_) => ErrorCode::InvalidTopicException,
        AlterConfigError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        AlterConfigError::NotAList { .. }
        | AlterConfigError::BrokerMinInSync
        | AlterConfigError::ClusterMinInSync
        | AlterConfigError::CordonedUnsupported
        | AlterConfigError::ValueTooLong => ErrorCode::InvalidConfig,
        AlterConfigError::Config(error) => of_config(error),
    }
}

pub fn of_delete_topic(error: &DeleteTopicError) -> ErrorCode {
    match error {
        DeleteTopicError::DuplicateName
        | DeleteTopicError::DuplicateId
        | DeleteTopicError::DuplicateOfId(_) => ErrorCode::InvalidRequest,
        DeleteTopicError::UnknownName => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
    }
}

pub fn of_create_partitions(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::DuplicateName => ErrorCode::InvalidRequest,
        CreatePartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsError::Same(_) | CreatePartitionsError::Fewer { .. } => ErrorCode::InvalidPartitions,
        CreatePartitionsError::Assignment(error) => of_assignment(error),
        CreatePartitionsError::Placement(_) | CreatePartitionsError::AllFenced { .. } => {
            ErrorCode::InvalidReplicationFactor
        }
    }
}

pub fn of_elect(error: &ElectError) -> ErrorCode {
    match error {
        ElectError::UnknownTopic(_) | ElectError::UnknownPartition { .. } => {
            ErrorCode::UnknownTopicOrPartition
        }
        ElectError::NotNeeded => ErrorCode::ElectionNotNeeded,
        ElectError::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        ElectError::EligibleNotAvailable => ErrorCode::EligibleLeadersNotAvailable,
    }
}

pub fn of_reassign(error: &ReassignError) -> ErrorCode {
    match error {
        ReassignError::UnknownTopic(_) | ReassignError::UnknownPartition { .. } => {
            ErrorCode::UnknownTopicOrPartition
        }
        ReassignError::NotInProgress => ErrorCode::NoReassignmentInProgress,
        ReassignError::UncleanRevert { .. } => ErrorCode::InvalidReplicaAssignment,
        ReassignError::ReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
        ReassignError::Assignment(error) => of_assignment(error),
    }
}

pub fn of_update_features(error: &UpdateFeaturesError) -> ErrorCode {
    match error {
        UpdateFeaturesError::Update { .. } | UpdateFeaturesError::Downgrade { .. } => {
            ErrorCode::InvalidUpdateVersion
        }
    }
}

pub fn of_producer_ids(error: &ProducerIdsError) -> ErrorCode {
    match error {
        ProducerIdsError::StaleEpoch(_) => ErrorCode::StaleBrokerEpoch,
        ProducerIdsError::Exhausted => ErrorCode::UnknownServerError,
    }
}
