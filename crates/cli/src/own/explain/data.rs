//! What errors of reading and writing records mean: topics, partitions, logs, offsets.
//!
//! Owns: their texts. Does not own: how they are shown (`explain`).

use ottla_protocol::ErrorCode as Code;

use super::{Text, text};

pub const TEXTS: &[(Code, Text)] = &[
    (
        Code::OffsetOutOfRange,
        text(
            "A consumer asks for an offset that the partition does not have: before its first record or behind its last one.",
            "Retention deleted the records while the consumer was away, the topic was deleted and created again, or an offset was set by hand.",
            "Set auto.offset.reset so that the consumer finds its way, or put the group where it shall go on: `ottla group seek GROUP --to start`. `ottla offsets TOPIC` shows what there is.",
        ),
    ),
    (
        Code::CorruptMessage,
        text(
            "A batch of records is damaged: its checksum is wrong, it is cut off, or it lacks a key that its topic requires.",
            "Faulty memory, disk or network; a client library that builds batches wrongly; a record without a key for a compacted topic.",
            "Producers send again by themselves. If it stays, look at the records sent (do they have keys?) and at the broker's log; `ottla log records` finds damage in files.",
        ),
    ),
    (
        Code::UnknownTopicOrPartition,
        text(
            "The broker does not know this topic, or the topic has no partition of this number.",
            "The name is misspelt, the topic is not created yet or was deleted a moment ago, it is on another cluster, or the client may not see it.",
            "`ottla topic list` shows what there is; `ottla topic create` makes it. Right after creating a topic a short wait is enough.",
        ),
    ),
    (
        Code::InvalidFetchSize,
        text(
            "A fetch allows a size that makes no sense, such as a negative one.",
            "A bug of the client, or fetch.max.bytes or max.partition.fetch.bytes with a wrong value.",
            "Correct these settings of the consumer.",
        ),
    ),
    (
        Code::LeaderNotAvailable,
        text(
            "Nobody leads the partition at the moment.",
            "The topic was just created, its leader just failed and another one is being elected, or all brokers that have the records are down.",
            "Clients try again by themselves. If it stays, `ottla topic describe TOPIC` shows which brokers have the partition: bring one that is in sync back.",
        ),
    ),
    (
        Code::NotLeaderOrFollower,
        text(
            "The request went to a broker that does not lead the partition (any more) or has no copy of it.",
            "Leadership moved, and the client had not heard of it.",
            "Nothing: clients ask who leads and send again. If it does not end, the brokers disagree; look for brokers that cannot reach the controller.",
        ),
    ),
    (
        Code::RequestTimedOut,
        text(
            "The broker could not finish within the time that the request allowed. What was asked may still happen.",
            "With acks=all a follower is slow or gone, the broker or its disk is overloaded, or the timeout is very short.",
            "Try again, and check first whether it has happened where that matters. Look at in-sync replicas (`ottla topic describe`) and the load of the broker.",
        ),
    ),
    (
        Code::ReplicaNotAvailable,
        text(
            "The broker has no usable copy of the partition right now.",
            "Its log directory is offline, or the copy is being made or moved.",
            "Clients look for another broker. `ottla cluster log-dirs` shows directories that are offline.",
        ),
    ),
    (
        Code::MessageTooLarge,
        text(
            "A batch is larger than the topic or the broker accepts.",
            "A record is larger than max.message.bytes of the topic (message.max.bytes of the broker), or many are in one batch and do not compress.",
            "Raise the limit: `ottla topic alter TOPIC -c max.message.bytes=N`, and the producer's max.request.size with it; or send smaller records, for instance a reference to large content.",
        ),
    ),
    (
        Code::RecordListTooLarge,
        text(
            "A batch is larger than a whole segment file of the partition may be.",
            "segment.bytes of the topic is set very low, or the producer's batch.size very high.",
            "Raise segment.bytes of the topic or lower batch.size of the producer.",
        ),
    ),
    (
        Code::NotEnoughReplicas,
        text(
            "Fewer copies are in sync than min.insync.replicas asks for, so a write with acks=all is not taken. Nothing was written.",
            "Brokers are down or slow, or min.insync.replicas is larger than the number of copies.",
            "Bring the brokers back: `ottla topic describe TOPIC` shows who is missing. Producers try again until delivery.timeout.ms is over.",
        ),
    ),
    (
        Code::NotEnoughReplicasAfterAppend,
        text(
            "The records were written, but too few copies were in sync to promise that they stay.",
            "A follower fell behind between the write and its confirmation.",
            "As for NOT_ENOUGH_REPLICAS. The producer sends again; without enable.idempotence records may then be there twice.",
        ),
    ),
    (
        Code::InvalidRequiredAcks,
        text(
            "A producer asks for a number of acknowledgements other than 0, 1 and -1 (all).",
            "A wrong setting acks, or a client library of long ago.",
            "Set acks to 0, 1 or all.",
        ),
    ),
    (
        Code::InvalidTimestamp,
        text(
            "The time of a record is too far in the past or in the future for this topic.",
            "The producer's clock is wrong or it sends seconds instead of milliseconds; message.timestamp.before.max.ms or message.timestamp.after.max.ms is strict.",
            "Correct the clock or the unit; or change these settings of the topic, or message.timestamp.type to LogAppendTime.",
        ),
    ),
    (
        Code::UnsupportedForMessageFormat,
        text(
            "What is asked needs a newer form of records than the topic is stored in.",
            "Records of Kafka before 0.11, which have no producer ids and headers.",
            "Read the topic into a new one.",
        ),
    ),
    (
        Code::KafkaStorageError,
        text(
            "The broker cannot read or write the files of the partition; it takes the log directory out of use.",
            "The disk is full, broken, read-only or unmounted.",
            "Free or repair the disk and start the broker again. `ottla cluster log-dirs` shows the directory, the broker's log the reason.",
        ),
    ),
    (
        Code::LogDirNotFound,
        text(
            "A log directory is named that the broker does not have.",
            "A misspelt path: it must stand exactly so in log.dirs of that broker.",
            "`ottla cluster log-dirs` lists the directories.",
        ),
    ),
    (
        Code::FencedLeaderEpoch,
        text(
            "The client believes in an earlier leader of the partition.",
            "Leadership changed; the client's knowledge is from before.",
            "Nothing: clients ask for news and go on.",
        ),
    ),
    (
        Code::UnknownLeaderEpoch,
        text(
            "The client knows of a newer leader than this broker does.",
            "The broker has not yet heard of the last change of leadership.",
            "Nothing: the client tries again until the broker has caught up. If it stays, the broker cannot reach the controller.",
        ),
    ),
    (
        Code::UnsupportedCompressionType,
        text(
            "Records are compressed in a way that this client or the version of its request cannot handle.",
            "A topic with zstd, read by a client older than Kafka 2.1.",
            "Update the client, or set compression.type of the topic to something that it knows.",
        ),
    ),
    (
        Code::OffsetNotAvailable,
        text(
            "A new leader does not yet know for certain up to where the partition is committed.",
            "It was elected a moment ago.",
            "Nothing: clients ask again after a short wait.",
        ),
    ),
    (
        Code::InvalidRecord,
        text(
            "The broker looked into a batch and refuses a record of it.",
            "A compacted topic and a record without a key, a time or an offset that is not allowed, counts that do not match.",
            "The message of the broker and the list of record errors in the answer name the record; correct what is sent.",
        ),
    ),
    (
        Code::UnknownTopicId,
        text(
            "The broker knows no topic with this id.",
            "The topic was deleted, or deleted and created again: names stay, ids are new. Or the broker has not heard of it yet.",
            "Clients ask for the topic by its name again. `ottla topic list -o wide` shows the ids.",
        ),
    ),
    (
        Code::InconsistentTopicId,
        text(
            "The files of the partition belong to another topic of the same name.",
            "The topic was deleted and created again, and one side still means the old one.",
            "Nothing for clients: they ask again. On a broker that says so for long, look for directories of the old topic.",
        ),
    ),
    (
        Code::FetchSessionIdNotFound,
        text(
            "The broker has forgotten the fetch session of this consumer or follower.",
            "It started again, or it has more sessions than max.incremental.fetch.session.cache.slots.",
            "Nothing: a new session is begun. If it happens all the time, raise that setting.",
        ),
    ),
    (
        Code::InvalidFetchSessionEpoch,
        text(
            "The requests of a fetch session came in another order than they were sent in.",
            "An answer was lost, or two threads share a session.",
            "Nothing: a new session is begun.",
        ),
    ),
    (
        Code::FetchSessionTopicIdError,
        text(
            "A fetch session was begun with names of topics and goes on with ids, or the other way round.",
            "Brokers of different versions during an upgrade.",
            "Nothing: a new session is begun.",
        ),
    ),
    (
        Code::OffsetMovedToTieredStorage,
        text(
            "The records of this offset lie in the remote storage and no more on the broker's disk.",
            "A follower that was away for long asks for old records; consumers never see this.",
            "Nothing: the follower gets them from the remote storage.",
        ),
    ),
    (
        Code::InvalidTopicException,
        text(
            "A topic cannot have this name, or nothing can be done with it this way.",
            "Names are up to 249 ASCII letters, digits, '.', '_' and '-'; '.' and '..' are not allowed, and the brokers' own topics are protected.",
            "Choose another name.",
        ),
    ),
    (
        Code::TopicAlreadyExists,
        text(
            "There is a topic of this name, or one whose name differs in '.' and '_' only.",
            "It was created before, perhaps by another program a moment ago.",
            "Use the one that is there, or another name. `ottla topic create --if-not-exists` takes it as success.",
        ),
    ),
    (
        Code::InvalidPartitions,
        text(
            "The number of partitions is not possible.",
            "It is below 1, or a topic would get fewer partitions than it has.",
            "Name a number above what `ottla topic describe` shows. A topic never gets fewer partitions: make a new one.",
        ),
    ),
    (
        Code::InvalidReplicationFactor,
        text(
            "The number of copies is not possible.",
            "It is below 1 or larger than the number of brokers that live and are not fenced.",
            "Ask for fewer copies (`--replicas`), or start more brokers: `ottla cluster nodes` shows them.",
        ),
    ),
    (
        Code::InvalidReplicaAssignment,
        text(
            "A list of brokers for a partition makes no sense.",
            "A broker is named twice or does not exist, a partition is left out, or the lists have different lengths.",
            "Correct the lists; `ottla cluster nodes` shows the ids of brokers.",
        ),
    ),
    (
        Code::TopicDeletionDisabled,
        text(
            "The cluster does not let anybody delete topics.",
            "delete.topic.enable is false.",
            "Set it to true in the settings of the brokers and controllers, if that is what you want.",
        ),
    ),
    (
        Code::ReassignmentInProgress,
        text(
            "The partition is being moved to other brokers, which does not go together with what was asked.",
            "A reassignment that has not ended.",
            "Wait for it or cancel it; kafka-reassign-partitions --list shows it.",
        ),
    ),
    (
        Code::NoReassignmentInProgress,
        text(
            "A move is to be cancelled that is not going on.",
            "It has ended already, or never began.",
            "Nothing.",
        ),
    ),
    (
        Code::PreferredLeaderNotAvailable,
        text(
            "The first of the partition's brokers cannot lead it now.",
            "It is down or not in sync.",
            "Bring it back and let it catch up, then elect again.",
        ),
    ),
    (
        Code::EligibleLeadersNotAvailable,
        text(
            "No broker that has all records of the partition can lead it.",
            "All that were in sync are down.",
            "Bring one of them back. An unclean election takes another one and loses records.",
        ),
    ),
    (
        Code::ElectionNotNeeded,
        text(
            "The partition already has the leader that the election would give it.",
            "Everything is as it should be.",
            "Nothing.",
        ),
    ),
];
