//! What errors of groups mean: consumers, share groups, streams.
//!
//! Owns: their texts. Does not own: how they are shown (`explain`).

use ottla_protocol::ErrorCode as Code;

use super::{Text, text};

pub const TEXTS: &[(Code, Text)] = &[
    (
        Code::OffsetMetadataTooLarge,
        text(
            "The text that is committed along with an offset is too long.",
            "A program puts a lot into the metadata of its commits; offset.metadata.max.bytes is the limit.",
            "Commit less text, or raise that setting of the brokers.",
        ),
    ),
    (
        Code::CoordinatorLoadInProgress,
        text(
            "The coordinator of the group or transaction is still reading what was stored before.",
            "It started or took over a moment ago.",
            "Nothing: clients try again. If it takes minutes, __consumer_offsets or __transaction_state has grown large, because it is not compacted.",
        ),
    ),
    (
        Code::CoordinatorNotAvailable,
        text(
            "There is no coordinator for the group or transaction at the moment.",
            "The internal topic is being created or has a partition without a leader; in a new cluster offsets.topic.replication.factor may be larger than the number of brokers.",
            "Clients try again. If it stays, `ottla topic describe __consumer_offsets` shows partitions without a leader.",
        ),
    ),
    (
        Code::NotCoordinator,
        text(
            "The request went to a broker that does not coordinate this group or transaction (any more).",
            "The coordinator moved.",
            "Nothing: clients ask who it is and send again.",
        ),
    ),
    (
        Code::IllegalGeneration,
        text(
            "The member speaks for a generation of the group that is over.",
            "The group rebalanced without it: it was too slow to call poll (max.poll.interval.ms) or its heartbeats came too late.",
            "The consumer joins again by itself. If it happens often, process less between two polls (max.poll.records) or raise the timeouts.",
        ),
    ),
    (
        Code::InconsistentGroupProtocol,
        text(
            "The member and the others of the group have nothing in common.",
            "Different partition.assignment.strategy, different types of programs (consumers and connectors) or a different group.protocol under one group id.",
            "Give all members a strategy in common, or another group.id. Change strategies in two rolling restarts: first both, then the new one.",
        ),
    ),
    (
        Code::InvalidGroupId,
        text("A group cannot have this id.", "group.id is empty or not set.", "Set group.id."),
    ),
    (
        Code::UnknownMemberId,
        text(
            "The coordinator does not know this member.",
            "It was removed after its session ran out, or by hand. For tools: offsets were to be changed while the group has members.",
            "A consumer joins again by itself. For offsets: stop the members first; `ottla group describe GROUP` shows them.",
        ),
    ),
    (
        Code::InvalidSessionTimeout,
        text(
            "The session timeout of the member is outside of what the brokers allow.",
            "session.timeout.ms is below group.min.session.timeout.ms or above group.max.session.timeout.ms.",
            "Choose another value.",
        ),
    ),
    (
        Code::RebalanceInProgress,
        text(
            "The group is spreading its partitions anew; the member has to join again before it goes on.",
            "A member came or went, or the subscription changed.",
            "Nothing: the consumer joins again. A commit that gets this may be repeated after the next poll.",
        ),
    ),
    (
        Code::InvalidCommitOffsetSize,
        text(
            "A commit is too large to be stored.",
            "Very many partitions with long texts in one commit.",
            "Commit fewer partitions at once, or less text.",
        ),
    ),
    (
        Code::NonEmptyGroup,
        text(
            "The group has members, and what was asked is only possible without.",
            "Consumers of the group are running.",
            "Stop them; `ottla group describe GROUP` shows who they are and where they run.",
        ),
    ),
    (
        Code::GroupIdNotFound,
        text(
            "There is no group of this id, or none of this type.",
            "It is misspelt, was deleted, or its offsets expired (offsets.retention.minutes).",
            "`ottla group list` shows which there are.",
        ),
    ),
    (
        Code::MemberIdRequired,
        text(
            "A new member gets its id first and joins with it.",
            "It is the first step of every new consumer.",
            "Nothing: clients join again with the id in the answer.",
        ),
    ),
    (
        Code::GroupMaxSizeReached,
        text(
            "The group has as many members as it may have.",
            "group.max.size or group.consumer.max.size is reached.",
            "Run fewer consumers: more than there are partitions have nothing to do anyway. Or raise the setting.",
        ),
    ),
    (
        Code::FencedInstanceId,
        text(
            "Another consumer with the same group.instance.id has taken the place of this one.",
            "Two running instances share an id.",
            "Give every instance an id of its own and start this one again.",
        ),
    ),
    (
        Code::GroupSubscribedToTopic,
        text(
            "Offsets of a topic cannot be deleted while members of the group subscribe to it.",
            "A consumer is running.",
            "Stop it, or let it subscribe to something else.",
        ),
    ),
    (
        Code::UnstableOffsetCommit,
        text(
            "A transaction has offsets of this partition in hand that are neither committed nor aborted.",
            "A producer with transactions is about to end one.",
            "Nothing: clients ask again. If it stays, look for a transaction that hangs: kafka-transactions find-hanging.",
        ),
    ),
    (
        Code::FencedMemberEpoch,
        text(
            "The coordinator has given up on this member; it must let go of its partitions and join again.",
            "Heartbeats came too late, or an old process still runs.",
            "The consumer does so by itself. If it happens often, see to pauses of the process or raise the session timeout.",
        ),
    ),
    (
        Code::UnreleasedInstanceId,
        text(
            "The group.instance.id is in use by another member.",
            "Two instances share an id, or the old one has not left yet.",
            "Stop the other one, or wait until its session is over.",
        ),
    ),
    (
        Code::UnsupportedAssignor,
        text(
            "The coordinator does not have the assignor that the member asks for.",
            "group.remote.assignor names something that is not in group.consumer.assignors of the brokers.",
            "Choose one of the brokers', such as uniform or range, or leave it out.",
        ),
    ),
    (
        Code::StaleMemberEpoch,
        text(
            "The member speaks for an epoch that is over; the newer one is on its way to it.",
            "A commit crossed a rebalance.",
            "Nothing: clients try again with the new epoch.",
        ),
    ),
    (
        Code::InvalidRegularExpression,
        text(
            "The pattern of a subscription cannot be read.",
            "Patterns of the consumer protocol are those of RE2/J: no look-ahead, no back references.",
            "Correct the pattern.",
        ),
    ),
    (
        Code::InvalidRecordState,
        text(
            "A record of a share group is acknowledged that this consumer does not hold.",
            "The lock on it ran out (group.share.record.lock.duration.ms), or it was acknowledged before.",
            "The record is delivered again, perhaps to another one: process it so that twice does no harm, or faster.",
        ),
    ),
    (
        Code::ShareSessionNotFound,
        text(
            "The broker has forgotten the session of this share consumer.",
            "It started again, or too many sessions pushed this one out.",
            "Nothing: a new session is begun; records that were not acknowledged come again.",
        ),
    ),
    (
        Code::InvalidShareSessionEpoch,
        text(
            "The requests of a share session came in another order than they were sent in.",
            "An answer was lost.",
            "Nothing: a new session is begun.",
        ),
    ),
    (
        Code::FencedStateEpoch,
        text(
            "A broker wanted to store the state of a share partition with an old epoch.",
            "The partition's leader changed.",
            "Nothing: the new leader goes on.",
        ),
    ),
    (
        Code::ShareSessionLimitReached,
        text(
            "The broker has as many share sessions as it may have.",
            "More consumers of share groups than group.share.max.share.sessions.",
            "Consumers try again. Run fewer or raise the setting.",
        ),
    ),
    (
        Code::StreamsInvalidTopology,
        text(
            "The topology of a streams application cannot be carried out.",
            "Source topics have different numbers of partitions that must be equal, or an internal topic is not as it must be.",
            "The message says what is wrong; correct the topology or the topics.",
        ),
    ),
    (
        Code::StreamsInvalidTopologyEpoch,
        text(
            "The topology of a streams member has an epoch that the group does not know.",
            "Different versions of the application run side by side.",
            "Bring all members to the same version.",
        ),
    ),
    (
        Code::StreamsTopologyFenced,
        text(
            "The streams group has a newer topology than this member.",
            "The application was updated, this member not yet.",
            "Update this member.",
        ),
    ),
];
