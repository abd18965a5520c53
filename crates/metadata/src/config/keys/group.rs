//! Keys of groups.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: group settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, OffsetReset, OneOf};
use crate::config::key::keys;

keys! {
    /// Keys of groups.
    GROUP:

    /// Least time between two computed assignments of this consumer group.
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0), Resource, Medium, Live <- ["group.consumer.assignment.interval.ms"];
    /// Time between two heartbeats that members of this consumer group are told to keep.
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), Resource, Medium, Live <- ["group.consumer.heartbeat.interval.ms"];
    /// Time without a heartbeat after which a member of this consumer group is removed.
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1), Resource, Medium, Live <- ["group.consumer.session.timeout.ms"];
    /// Least time between two computed assignments of this share group.
    "share.assignment.interval.ms": Int = "1000", AtLeast(0), Resource, Medium, Later <- ["group.share.assignment.interval.ms"];
    /// Where a share group begins to read a partition it has never read.
    "share.auto.offset.reset": String = "latest", OffsetReset, Resource, Medium, Later;
    /// Times a record is handed to this share group before it is given up.
    "share.delivery.count.limit": Int = "5", AtLeast(2), Resource, Medium, Later <- ["group.share.delivery.count.limit"];
    /// Time between two heartbeats that members of this share group are told to keep.
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1), Resource, Medium, Later <- ["group.share.heartbeat.interval.ms"];
    /// Whether the share group sees records of transactions that are not committed.
    "share.isolation.level": String = "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Resource, Medium, Later;
    /// Most records of one partition that are handed out at a time to this share group.
    "share.partition.max.record.locks": Int = "2000", AtLeast(100), Resource, Medium, Later <- ["group.share.partition.max.record.locks"];
    /// Time a member of this share group has for a record before others get it.
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1000), Resource, Medium, Later <- ["group.share.record.lock.duration.ms"];
    /// Whether members of this share group may prolong the time they have for a record.
    "share.renew.acknowledge.enable": Boolean = "true", Any, Resource, Medium, Later;
    /// Time without a heartbeat after which a member of this share group is removed.
    "share.session.timeout.ms": Int = "45000", AtLeast(1), Resource, Medium, Later <- ["group.share.session.timeout.ms"];
    /// Least time between two computed assignments of this streams group.
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0), Resource, Medium, Later <- ["group.streams.assignment.interval.ms"];
    /// Time between two heartbeats that members of this streams group are told to keep.
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), Resource, Medium, Later <- ["group.streams.heartbeat.interval.ms"];
    /// Time the empty streams group waits for further members.
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), Resource, Medium, Later <- ["group.streams.initial.rebalance.delay.ms"];
    /// Standby copies of every state store of this streams group.
    "streams.num.standby.replicas": Int = "0", AtLeast(0), Resource, Medium, Later <- ["group.streams.num.standby.replicas"];
    /// Time without a heartbeat after which a member of this streams group is removed.
    "streams.session.timeout.ms": Int = "45000", AtLeast(1), Resource, Medium, Later <- ["group.streams.session.timeout.ms"];
}
