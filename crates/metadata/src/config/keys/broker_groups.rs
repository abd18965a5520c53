//! Broker keys of the coordinators of groups, offsets and share groups.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, Between, List, ListOf, OneOfIgnoringCase};
use crate::config::Emptiness::NotEmpty;
use crate::config::key::keys;

keys! {
    /// Broker keys of the coordinators of groups, offsets and share groups.
    GROUPS:

    /// Least time between two computed assignments of one consumer group.
    "group.consumer.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, Medium, Live;
    /// Assignors of the broker for consumer groups; the first is the default.
    "group.consumer.assignors": List = "uniform,range", List(NotEmpty), ReadOnly, Medium, Live;
    /// Time between two heartbeats that members of consumer groups are told to keep.
    "group.consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Live;
    /// Largest `consumer.assignment.interval.ms` a group may set.
    "group.consumer.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, Medium, Live;
    /// Largest `consumer.heartbeat.interval.ms` a group may set.
    "group.consumer.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, Medium, Live;
    /// Largest `consumer.session.timeout.ms` a group may set.
    "group.consumer.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, Medium, Live;
    /// Most members of one consumer group.
    "group.consumer.max.size": Int = "2147483647", AtLeast(1), ReadOnly, Medium, Live;
    /// In which directions a group may change between the classic and the consumer protocol.
    "group.consumer.migration.policy": String = "bidirectional", OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly, Medium, Live;
    /// Smallest `consumer.assignment.interval.ms` a group may set.
    "group.consumer.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, Medium, Live;
    /// Smallest `consumer.heartbeat.interval.ms` a group may set.
    "group.consumer.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Live;
    /// Smallest `consumer.session.timeout.ms` a group may set.
    "group.consumer.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Live;
    /// Time after which the topics of a regular-expression subscription are looked up again.
    "group.consumer.regex.refresh.interval.ms": Int = "600000", AtLeast(10000), ReadOnly, Medium, Live, unlisted;
    /// Time without a heartbeat after which a member of a consumer group is removed.
    "group.consumer.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Live;
    /// Time a coordinator gathers records before it writes them; -1 adapts to the load.
    "group.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), ReadOnly, Medium, Later;
    /// Threads of long group computations; here they run on the shard's own task.
    "group.coordinator.background.threads": Int = "2", AtLeast(1), ReadOnly, High, Moot;
    /// Largest write buffer that a coordinator keeps for reuse.
    "group.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524288), ClusterWide, Medium, Later;
    /// Protocols that groups may use; finalised features decide what is really on.
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams", ListOf(&["consumer", "classic", "share", "streams"], NotEmpty), ReadOnly, Medium, Live;
    /// Threads of the group coordinator; here every shard is a task of its own.
    "group.coordinator.threads": Int = "4", AtLeast(1), ReadOnly, High, Moot;
    /// Time an empty classic group waits for further members before its first rebalance.
    "group.initial.rebalance.delay.ms": Int = "3000", Any, ReadOnly, Medium, Live;
    /// Largest session timeout a member of a classic group may ask for.
    "group.max.session.timeout.ms": Int = "1800000", Any, ReadOnly, Medium, Live;
    /// Most members of one classic group.
    "group.max.size": Int = "2147483647", AtLeast(1), ReadOnly, Medium, Live;
    /// Smallest session timeout a member of a classic group may ask for.
    "group.min.session.timeout.ms": Int = "6000", Any, ReadOnly, Medium, Live;
    /// Least time between two computed assignments of one share group.
    "group.share.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, Medium, Later;
    /// Assignors of the broker for share groups.
    "group.share.assignors": List = "simple", List(NotEmpty), ReadOnly, Medium, Later;
    /// Times a record is handed to a share group before it is given up.
    "group.share.delivery.count.limit": Int = "5", Between(2, 10), ReadOnly, Medium, Later;
    /// Time between two heartbeats that members of share groups are told to keep.
    "group.share.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Later;
    /// Pause before the state of a share partition is initialised again.
    "group.share.initialize.retry.interval.ms": Int = "30000", AtLeast(1), ReadOnly, Low, Later, unlisted;
    /// Largest `share.assignment.interval.ms` a group may set.
    "group.share.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, Medium, Later;
    /// Largest `share.delivery.count.limit` a group may set.
    "group.share.max.delivery.count.limit": Int = "10", Between(5, 25), ReadOnly, Medium, Later;
    /// Largest `share.heartbeat.interval.ms` a group may set.
    "group.share.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, Medium, Later;
    /// Largest `share.partition.max.record.locks` a group may set.
    "group.share.max.partition.max.record.locks": Int = "4000", Between(2000, 10000), ReadOnly, Medium, Later;
    /// Largest `share.record.lock.duration.ms` a group may set.
    "group.share.max.record.lock.duration.ms": Int = "60000", Between(30000, 3600000), ReadOnly, Medium, Later;
    /// Largest `share.session.timeout.ms` a group may set.
    "group.share.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, Medium, Later;
    /// Most share sessions one broker keeps.
    "group.share.max.share.sessions": Int = "2000", AtLeast(1), ReadOnly, Medium, Later;
    /// Most members of one share group.
    "group.share.max.size": Int = "200", Between(1, 1000), ReadOnly, Medium, Later;
    /// Smallest `share.assignment.interval.ms` a group may set.
    "group.share.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, Medium, Later;
    /// Smallest `share.delivery.count.limit` a group may set.
    "group.share.min.delivery.count.limit": Int = "2", Between(2, 5), ReadOnly, Medium, Later;
    /// Smallest `share.heartbeat.interval.ms` a group may set.
    "group.share.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Later;
    /// Smallest `share.partition.max.record.locks` a group may set.
    "group.share.min.partition.max.record.locks": Int = "100", Between(100, 2000), ReadOnly, Medium, Later;
    /// Smallest `share.record.lock.duration.ms` a group may set.
    "group.share.min.record.lock.duration.ms": Int = "15000", Between(1000, 30000), ReadOnly, Medium, Later;
    /// Smallest `share.session.timeout.ms` a group may set.
    "group.share.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Later;
    /// Most records of one partition that are handed out at a time.
    "group.share.partition.max.record.locks": Int = "2000", Between(100, 10000), ReadOnly, Medium, Later;
    /// Class that stores the state of share groups; here it is always `__share_group_state`.
    "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, ReadOnly, Medium, Moot, unlisted;
    /// Time a member of a share group has for a record before others get it.
    "group.share.record.lock.duration.ms": Int = "30000", Between(1000, 3600000), ReadOnly, Medium, Later;
    /// Time without a heartbeat after which a member of a share group is removed.
    "group.share.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Later;
    /// Least time between two computed assignments of one streams group.
    "group.streams.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, Medium, Later;
    /// Time between two heartbeats that members of streams groups are told to keep.
    "group.streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Later;
    /// Time an empty streams group waits for further members.
    "group.streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), ReadOnly, Medium, Later;
    /// Largest `streams.assignment.interval.ms` a group may set.
    "group.streams.max.assignment.interval.ms": Int = "15000", AtLeast(0), ReadOnly, Medium, Later;
    /// Largest `streams.heartbeat.interval.ms` a group may set.
    "group.streams.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), ReadOnly, Medium, Later;
    /// Largest `streams.session.timeout.ms` a group may set.
    "group.streams.max.session.timeout.ms": Int = "60000", AtLeast(1), ReadOnly, Medium, Later;
    /// Most members of one streams group.
    "group.streams.max.size": Int = "2147483647", AtLeast(1), ReadOnly, Medium, Later;
    /// Largest `streams.num.standby.replicas` a group may set.
    "group.streams.max.standby.replicas": Int = "2", AtLeast(0), ReadOnly, Medium, Later;
    /// Smallest `streams.assignment.interval.ms` a group may set.
    "group.streams.min.assignment.interval.ms": Int = "0", AtLeast(0), ReadOnly, Medium, Later;
    /// Smallest `streams.heartbeat.interval.ms` a group may set.
    "group.streams.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), ReadOnly, Medium, Later;
    /// Smallest `streams.session.timeout.ms` a group may set.
    "group.streams.min.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Later;
    /// Standby copies of every state store.
    "group.streams.num.standby.replicas": Int = "0", AtLeast(0), ReadOnly, Medium, Later;
    /// Time without a heartbeat after which a member of a streams group is removed.
    "group.streams.session.timeout.ms": Int = "45000", AtLeast(1), ReadOnly, Medium, Later;
    /// Longest text that may be stored with a committed offset.
    "offset.metadata.max.bytes": Int = "4096", Any, ReadOnly, High, Live;
    /// Time a commit waits for its replicas.
    "offsets.commit.timeout.ms": Int = "5000", AtLeast(1), ReadOnly, High, Live;
    /// Bytes read at a time while a group coordinator loads.
    "offsets.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, High, Later;
    /// Time between two searches for expired offsets.
    "offsets.retention.check.interval.ms": Long = "600000", AtLeast(1), ReadOnly, High, Live;
    /// Time committed offsets outlive their group.
    "offsets.retention.minutes": Int = "10080", AtLeast(1), ReadOnly, High, Live;
    /// Codec of `__consumer_offsets` by number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    "offsets.topic.compression.codec": Int = "0", Any, ReadOnly, High, Live;
    /// Partitions of `__consumer_offsets`; not to be changed once it exists.
    "offsets.topic.num.partitions": Int = "50", AtLeast(1), ReadOnly, High, Live;
    /// Replicas of `__consumer_offsets`.
    "offsets.topic.replication.factor": Short = "3", AtLeast(1), ReadOnly, High, Live;
    /// Segment size of `__consumer_offsets`.
    "offsets.topic.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, High, Live;
    /// Time the share coordinator gathers records before it writes them; -1 adapts to the load.
    "share.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), ReadOnly, Medium, Later;
    /// Largest write buffer that the share coordinator keeps for reuse.
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524288), ClusterWide, Medium, Later;
    /// Time after which the state of an idle share partition is written in full.
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", AtLeast(1), ReadOnly, Low, Later, unlisted;
    /// Bytes read at a time while a share coordinator loads.
    "share.coordinator.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, High, Later;
    /// Updates of a share partition between two full states.
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Between(0, 500), ReadOnly, Medium, Later;
    /// Codec of `__share_group_state` by number.
    "share.coordinator.state.topic.compression.codec": Int = "0", Any, ReadOnly, High, Later;
    /// Replicas of `__share_group_state` that must be in sync.
    "share.coordinator.state.topic.min.isr": Short = "2", AtLeast(1), ReadOnly, High, Later;
    /// Partitions of `__share_group_state`.
    "share.coordinator.state.topic.num.partitions": Int = "50", AtLeast(1), ReadOnly, High, Later;
    /// Time between two removals of old records of `__share_group_state`.
    "share.coordinator.state.topic.prune.interval.ms": Int = "300000", AtLeast(1), ReadOnly, Low, Later, unlisted;
    /// Replicas of `__share_group_state`.
    "share.coordinator.state.topic.replication.factor": Short = "3", AtLeast(1), ReadOnly, High, Later;
    /// Segment size of `__share_group_state`.
    "share.coordinator.state.topic.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, High, Later;
    /// Threads of the share coordinator; here every shard is a task of its own.
    "share.coordinator.threads": Int = "1", AtLeast(1), ReadOnly, Medium, Moot;
    /// Time a write of the share coordinator waits for its replicas.
    "share.coordinator.write.timeout.ms": Int = "5000", AtLeast(1), ReadOnly, High, Later;
    /// How often waiting share fetches are swept; here finished ones leave at once.
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, Medium, Moot;
}
