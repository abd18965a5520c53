//! Kafka's error codes: number, name, what a client may do next, and the text of the exception.
//!
//! Owns: `ErrorCode` and its table.
//! Does not own: which error of ours becomes which code (`server::error_code`), retries (`client`).
//!
//! Source: Kafka protocol guide, "Error Codes"; numbers, flags and texts asked of Apache Kafka 4.3.1; requirements
//! section 0.1.

use std::fmt;

/// Whether a client that gets a code sends its request again. Clients decide by the number; this is what they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It gives up, or treats the code by itself.
    Never,
    /// To the same broker.
    AsIs,
    /// After it has asked for metadata: its idea of leaders or topics is old.
    WithFreshMetadata,
    /// After it has asked for the coordinator.
    WithFreshCoordinator,
}

macro_rules! error_codes {
    ($($code:ident = $number:literal, $name:literal, $retry:ident, $message:literal;)*) => {
        /// A code as responses carry it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $($code = $number,)*
        }

        impl ErrorCode {
            /// All codes, by ascending number.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$code,)*];

            /// The code of this number, if Kafka 4.3 has one.
            pub const fn from_number(number: i16) -> Option<ErrorCode> {
                match number {
                    $($number => Some(ErrorCode::$code),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn number(self) -> i16 {
                match self {
                    $(ErrorCode::$code => $number,)*
                }
            }

            /// Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$code => $name,)*
                }
            }

            /// Whether clients send the request again.
            pub const fn retry(self) -> Retry {
                match self {
                    $(ErrorCode::$code => Retry::$retry,)*
                }
            }

            /// Text of the exception where nothing more precise is known; responses and tools show it.
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$code => $message,)*
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", Never,
        "The server experienced an unexpected error when processing the request.";
    None = 0, "NONE", Never, "NONE";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", Never,
        "The requested offset is not within the range of offsets maintained by the server.";
    CorruptMessage = 2, "CORRUPT_MESSAGE", AsIs,
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted \
         topic, or is otherwise corrupt.";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", WithFreshMetadata,
        "This server does not host this topic-partition.";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", Never, "The requested fetch size is invalid.";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", WithFreshMetadata,
        "There is no leader for this topic-partition as we are in the middle of a leadership election.";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", WithFreshMetadata,
        "For requests intended only for the leader, this error indicates that the broker is not the current \
         leader. For requests intended for any replica, this error indicates that the broker is not a \
         replica of the topic partition.";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", AsIs, "The request timed out.";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", Never, "The broker is not available.";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", WithFreshMetadata,
        "The replica is not available for the requested topic-partition. Produce/Fetch requests and other \
         requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is \
         not a replica of the topic-partition.";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", Never,
        "The request included a message larger than the max message size the server will accept.";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", Never, "The controller moved to another broker.";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", Never,
        "The metadata field of the offset request was too large.";
    NetworkException = 13, "NETWORK_EXCEPTION", WithFreshMetadata,
        "The server disconnected before a response was received.";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", AsIs,
        "The coordinator is loading and hence can't process requests.";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", WithFreshCoordinator,
        "The coordinator is not available.";
    NotCoordinator = 16, "NOT_COORDINATOR", WithFreshCoordinator, "This is not the correct coordinator.";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", Never,
        "The request attempted to perform an operation on an invalid topic.";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", Never,
        "The request included message batch larger than the configured segment size on the server.";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", AsIs,
        "Messages are rejected since there are fewer in-sync replicas than required.";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", AsIs,
        "Messages are written to the log, but to fewer in-sync replicas than required.";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", Never,
        "Produce request specified an invalid value for required acks.";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", Never, "Specified group generation id is not valid.";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", Never,
        "The group member's supported protocols are incompatible with those of existing members or first \
         group member tried to join with empty protocol type or empty protocol list.";
    InvalidGroupId = 24, "INVALID_GROUP_ID", Never, "The group id is invalid.";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", Never, "The coordinator is not aware of this member.";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", Never,
        "The session timeout is not within the range allowed by the broker (as configured by \
         group.min.session.timeout.ms and group.max.session.timeout.ms).";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", Never,
        "The group is rebalancing, so a rejoin is needed.";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", Never,
        "The committing offset data size is not valid.";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", Never, "Topic authorization failed.";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", Never, "Group authorization failed.";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", Never, "Cluster authorization failed.";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", Never,
        "The timestamp of the message is out of acceptable range.";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", Never,
        "The broker does not support the requested SASL mechanism.";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", Never, "Request is not valid given the current SASL state.";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", Never, "The version of API is not supported.";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", Never, "Topic with this name already exists.";
    InvalidPartitions = 37, "INVALID_PARTITIONS", Never, "Number of partitions is below 1.";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", Never,
        "Replication factor is below 1 or larger than the number of available brokers.";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", Never, "Replica assignment is invalid.";
    InvalidConfig = 40, "INVALID_CONFIG", Never, "Configuration is invalid.";
    NotController = 41, "NOT_CONTROLLER", AsIs, "This is not the correct controller for this cluster.";
    InvalidRequest = 42, "INVALID_REQUEST", Never,
        "This most likely occurs because of a request being malformed by the client library or the message \
         was sent to an incompatible broker. See the broker logs for more details.";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Never,
        "The message format version on the broker does not support the request.";
    PolicyViolation = 44, "POLICY_VIOLATION", Never,
        "Request parameters do not satisfy the configured policy.";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Never,
        "The broker received an out of order sequence number.";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", Never,
        "The broker received a duplicate sequence number.";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", Never,
        "Producer attempted to produce with an old epoch.";
    InvalidTxnState = 48, "INVALID_TXN_STATE", Never,
        "The producer attempted a transactional operation in an invalid state.";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", Never,
        "The producer attempted to use a producer id which is not currently assigned to its transactional \
         id.";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", Never,
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by \
         transaction.max.timeout.ms).";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", AsIs,
        "The producer attempted to update a transaction while another concurrent operation on the same \
         transaction was ongoing.";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", Never,
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current \
         coordinator for a given producer.";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Never,
        "Transactional Id authorization failed.";
    SecurityDisabled = 54, "SECURITY_DISABLED", Never, "Security features are disabled.";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", Never,
        "The broker did not attempt to execute this operation. This may happen for batched RPCs where some \
         operations in the batch failed, causing the broker to respond without trying the rest.";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", WithFreshMetadata,
        "Disk error when trying to access log file on the disk.";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", Never,
        "The user-specified log directory is not found in the broker config.";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", Never, "SASL Authentication failed.";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", Never,
        "This exception is raised by the broker if it could not locate the producer metadata associated \
         with the producerId in question. This could happen if, for instance, the producer's records were \
         deleted because their retention time had elapsed. Once the last records of the producerId are \
         removed, the producer's metadata is removed from the broker, and future appends by the producer \
         will return this exception.";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", Never,
        "A partition reassignment is in progress.";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", Never,
        "Delegation Token feature is not enabled.";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", Never,
        "Delegation Token is not found on server.";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", Never,
        "Specified Principal is not valid Owner/Renewer.";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", Never,
        "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token \
         authenticated channels.";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", Never,
        "Delegation Token authorization failed.";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", Never, "Delegation Token is expired.";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", Never, "Supplied principalType is not supported.";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", Never, "The group is not empty.";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", Never, "The group id does not exist.";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", AsIs, "The fetch session ID was not found.";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", AsIs, "The fetch session epoch is invalid.";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", WithFreshMetadata,
        "There is no listener on the leader broker that matches the listener on which metadata request was \
         processed.";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", Never, "Topic deletion is disabled.";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", WithFreshMetadata,
        "The leader epoch in the request is older than the epoch on the broker.";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", AsIs,
        "The leader epoch in the request is newer than the epoch on the broker.";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", Never,
        "The requesting client does not support the compression type of given partition.";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", Never, "Broker epoch has changed.";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", AsIs,
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be \
         guaranteed to be monotonically increasing.";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", Never,
        "The group member needs to have a valid member id before actually entering a consumer group.";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", WithFreshMetadata,
        "The preferred leader was not available.";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", Never, "The group has reached its maximum size.";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", Never,
        "The broker rejected this static consumer since another consumer with the same group.instance.id \
         has registered with a different member.id.";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", WithFreshMetadata,
        "Eligible topic partition leaders are not available.";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", WithFreshMetadata,
        "Leader election not needed for topic partition.";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", Never,
        "No partition reassignment is in progress.";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", Never,
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.";
    InvalidRecord = 87, "INVALID_RECORD", Never,
        "This record has failed the validation on broker and hence will be rejected.";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", AsIs,
        "There are unstable offsets that need to be cleared.";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", AsIs,
        "The throttling quota has been exceeded.";
    ProducerFenced = 90, "PRODUCER_FENCED", Never,
        "There is a newer producer with the same transactionalId which fences the current one.";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", Never,
        "A request illegally referred to a resource that does not exist.";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", Never,
        "A request illegally referred to the same resource twice.";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", Never,
        "Requested credential would not meet criteria for acceptability.";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", Never,
        "Indicates that the either the sender or recipient of a voter-only request is not one of the \
         expected voters.";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", Never, "The given update version was invalid.";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", Never,
        "Unable to update finalized features due to an unexpected server error.";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", Never,
        "Request principal deserialization failed during forwarding. This indicates an internal error on \
         the broker cluster security setup.";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", Never, "Requested snapshot was not found.";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", Never,
        "Requested position is not greater than or equal to zero, and less than the size of the snapshot.";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", WithFreshMetadata, "This server does not host this topic ID.";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", Never,
        "This broker ID is already in use.";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", Never, "The given broker ID was not registered.";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", WithFreshMetadata,
        "The log's topic ID did not match the topic ID in the request.";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", Never,
        "The clusterId in the request does not match that found on the server.";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", Never,
        "The transactionalId could not be found.";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", AsIs,
        "The fetch session encountered inconsistent topic ID usage.";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", Never,
        "The new ISR contains at least one ineligible replica.";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", Never,
        "The AlterPartition request successfully updated the partition state but the leader has changed.";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", Never,
        "The requested offset is moved to tiered storage.";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", Never,
        "The member epoch is fenced by the group coordinator. The member must abandon all its partitions \
         and rejoin.";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", Never,
        "The instance ID is still used by another member in the consumer group. That member must leave \
         first.";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", Never,
        "The assignor or its version range is not supported by the consumer group.";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", Never,
        "The member epoch is stale. The member must retry after receiving its updated member epoch via the \
         ConsumerGroupHeartbeat API.";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", Never,
        "The request was sent to an endpoint of the wrong type.";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", Never,
        "This endpoint type is not supported yet.";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", Never, "This controller ID is not known.";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", Never,
        "Client sent a push telemetry request with an invalid or outdated subscription ID.";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", Never,
        "Client sent a push telemetry request larger than the maximum size the broker will accept.";
    InvalidRegistration = 119, "INVALID_REGISTRATION", Never,
        "The controller has considered the broker registration to be invalid.";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", Never,
        "The server encountered an error with the transaction. The client can abort the transaction to \
         continue using this transactional ID.";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", Never,
        "The record state is invalid. The acknowledgement of delivery could not be completed.";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", AsIs, "The share session was not found.";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", AsIs,
        "The share session epoch is invalid.";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", Never,
        "The share coordinator rejected the request because the share-group state epoch did not match.";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", Never,
        "The voter key doesn't match the receiving replica's key.";
    DuplicateVoter = 126, "DUPLICATE_VOTER", Never, "The voter is already part of the set of voters.";
    VoterNotFound = 127, "VOTER_NOT_FOUND", Never, "The voter is not part of the set of voters.";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", Never,
        "The regular expression is not valid.";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", Never,
        "Client metadata is stale. The client should rebootstrap to obtain new metadata.";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", Never, "The supplied topology is invalid.";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", Never,
        "The supplied topology epoch is invalid.";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", Never, "The supplied topology epoch is outdated.";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", AsIs,
        "The limit of share sessions has been reached.";
}

impl ErrorCode {
    /// The code of this number; a number that is not known yet is read as `UNKNOWN_SERVER_ERROR`, as Kafka's clients
    /// do.
    pub fn of_response(number: i16) -> ErrorCode {
        ErrorCode::from_number(number).unwrap_or(ErrorCode::UnknownServerError)
    }

    /// The code of this name.
    pub fn from_name(name: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Whether this is `NONE`.
    pub const fn is_none(self) -> bool {
        matches!(self, ErrorCode::None)
    }

    /// Whether clients send the request again, at once or after a look around.
    pub fn is_retriable(self) -> bool {
        self.retry() != Retry::Never
    }

    /// The text for fields that are null on success.
    pub fn error_message(self) -> Option<&'static str> {
        if self.is_none() { None } else { Some(self.message()) }
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.number()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../tests/data/errors.tsv");
    const MESSAGES: &str = include_str!("../tests/data/error-messages.tsv");

    /// Section 0.1: number, name and flags are those of Kafka 4.3.1, and there are no others.
    #[test]
    fn every_code_is_kafka_s() {
        let rows: Vec<Vec<&str>> = TABLE.lines().skip(2).map(|line| line.split('\t').collect()).collect();
        assert_eq!(rows.len(), ErrorCode::ALL.len());
        for (row, code) in rows.iter().zip(ErrorCode::ALL) {
            let flags = match code.retry() {
                Retry::Never => ["false", "false", "false"],
                Retry::AsIs => ["true", "false", "false"],
                Retry::WithFreshMetadata => ["true", "true", "true"],
                Retry::WithFreshCoordinator => ["true", "false", "true"],
            };
            assert_eq!((row[0], row[1]), (code.number().to_string().as_str(), code.to_string().as_str()));
            assert_eq!(row[3..], flags, "{code}");
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(ErrorCode::from_name(row[1]), Some(*code));
        }
    }

    /// Section 0.1: the texts are those of Kafka's exceptions.
    #[test]
    fn every_text_is_kafka_s() {
        assert_eq!(MESSAGES.lines().count(), ErrorCode::ALL.len());
        for line in MESSAGES.lines() {
            let row: Vec<&str> = line.split('\t').collect();
            let code = ErrorCode::from_name(row[1]).unwrap();
            assert_eq!((row[0], row[2]), (code.number().to_string().as_str(), code.message()));
        }
        assert_eq!(ErrorCode::None.error_message(), None);
    }

    /// Section 0.1
    #[test]
    fn an_unknown_number_is_read_as_an_unknown_error() {
        assert_eq!(ErrorCode::from_number(134), None);
        assert_eq!(ErrorCode::of_response(134), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::of_response(i16::MIN), ErrorCode::UnknownServerError);
    }
}
