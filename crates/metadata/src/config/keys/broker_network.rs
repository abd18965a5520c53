//! Broker keys of listeners, connections, requests, quotas and metrics.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, List, OneOf};
use crate::config::Emptiness::{MayBeEmpty, NotEmpty};
use crate::config::key::keys;

keys! {
    /// Broker keys of listeners, connections, requests, quotas and metrics.
    NETWORK:

    /// Addresses that clients are told to connect to; the values of `listeners` when unset.
    "advertised.listeners": List null, List(NotEmpty), ReadOnly, High, Live;
    /// Size of the pool of background work; here such work runs on tasks and threads of its own.
    "background.threads": Int = "10", AtLeast(1), ClusterWide, High, Moot;
    /// Rack or zone this broker stands in; told to clients.
    "broker.rack": String null, Any, ReadOnly, Medium, Live;
    /// Class that computes client quotas; a Java class cannot run in this process.
    "client.quota.callback.class": Class null, Any, ReadOnly, Low, Refused;
    /// Names of the providers whose `${name:...}` references are replaced when the file is read.
    "config.providers": List = "", List(MayBeEmpty), ClusterWide, Low, Live;
    /// Time without a request after which a connection is closed.
    "connections.max.idle.ms": Long = "600000", Any, ReadOnly, Medium, Live;
    /// How often waiting DeleteRecords requests are swept; here finished ones leave at once.
    "delete.records.purgatory.purge.interval.requests": Int = "1", Any, ReadOnly, Medium, Moot;
    /// Most bytes of records in one fetch answer, whatever the client asks for.
    "fetch.max.bytes": Int = "57671680", AtLeast(1024), ReadOnly, Medium, Live;
    /// How often waiting fetch requests are swept; here finished ones leave at once.
    "fetch.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, Medium, Moot;
    /// Listener that brokers use among themselves; derived from `security.inter.broker.protocol` when unset.
    "inter.broker.listener.name": String null, Any, ReadOnly, Medium, Live;
    /// Period of metrics reporters of the Yammer kind.
    "kafka.metrics.polling.interval.secs": Int = "10", AtLeast(1), ReadOnly, Low, Moot;
    /// Metrics reporters of the Yammer kind; Java classes cannot run in this process.
    "kafka.metrics.reporters": List = "", List(MayBeEmpty), ReadOnly, Low, Moot;
    /// Security protocol of every listener name.
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, PerBroker, Low, Live;
    /// Addresses the node listens on, as `NAME://host:port`; an empty host means the default one, 0.0.0.0
    /// all.
    "listeners": List = "PLAINTEXT://:9092", List(NotEmpty), PerBroker, High, Live;
    /// Most new connections per second.
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0), ClusterWide, Medium, Later;
    /// Most connections at a time.
    "max.connections": Int = "2147483647", AtLeast(0), ClusterWide, Medium, Live;
    /// Most connections at a time from one address.
    "max.connections.per.ip": Int = "2147483647", AtLeast(0), ClusterWide, Medium, Live;
    /// Other limits for single addresses, as `host:count,...`.
    "max.connections.per.ip.overrides": String = "", Any, ClusterWide, Medium, Live;
    /// Most incremental fetch sessions at a time.
    "max.incremental.fetch.session.cache.slots": Int = "1000", AtLeast(0), ReadOnly, Medium, Live;
    /// Most partitions in one answer to DescribeTopicPartitions.
    "max.request.partition.size.limit": Int = "2000", AtLeast(1), ReadOnly, Medium, Live;
    /// Metrics reporters; Java classes cannot run in this process.
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", List(MayBeEmpty), ClusterWide, Low, Moot;
    /// Samples kept for a rate; here rates are computed where they are read.
    "metrics.num.samples": Int = "2", AtLeast(1), ReadOnly, Low, Moot;
    /// Which metrics are recorded; here all are.
    "metrics.recording.level": String = "INFO", Any, ReadOnly, Low, Moot;
    /// Length of one sample of a rate.
    "metrics.sample.window.ms": Long = "30000", AtLeast(1), ReadOnly, Low, Moot;
    /// Threads that serve requests; here the worker that read a request serves it.
    "num.io.threads": Int = "8", AtLeast(1), ClusterWide, High, Moot;
    /// Threads that read and write sockets; here there is one worker per core.
    "num.network.threads": Int = "3", AtLeast(1), ClusterWide, High, Moot;
    /// How often waiting produce requests are swept; here finished ones leave at once.
    "producer.purgatory.purge.interval.requests": Int = "1000", Any, ReadOnly, Medium, Moot;
    /// Most bytes of requests in memory; -1 takes a quarter of the memory the process may use.
    "queued.max.request.bytes": Long = "-1", Any, ReadOnly, Medium, Live;
    /// Most requests in the queue; here there is no queue, and bytes are bounded instead.
    "queued.max.requests": Int = "500", AtLeast(1), ReadOnly, High, Moot;
    /// Number of samples kept for client quotas.
    "quota.window.num": Int = "11", AtLeast(1), ReadOnly, Low, Later;
    /// Length of one sample of client quotas.
    "quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Low, Later;
    /// Time after which an unanswered request of this node to another is given up.
    "request.timeout.ms": Int = "30000", Any, ReadOnly, High, Live;
    /// Security protocol between brokers; only PLAINTEXT so far.
    "security.inter.broker.protocol": String = "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, Medium, Live;
    /// Longest wait for a connection to another node.
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any, ReadOnly, Medium, Later;
    /// First wait for a connection to another node; it doubles with every failure.
    "socket.connection.setup.timeout.ms": Long = "10000", Any, ReadOnly, Medium, Later;
    /// Connections the system holds that are not yet accepted.
    "socket.listen.backlog.size": Int = "50", AtLeast(1), ReadOnly, Medium, Live;
    /// Receive buffer of a connection; -1 leaves it to the system. So does the default, which Kafka sets as a fixed size.
    "socket.receive.buffer.bytes": Int = "102400", Any, ReadOnly, High, Live;
    /// Largest request that is accepted.
    "socket.request.max.bytes": Int = "104857600", AtLeast(1), ReadOnly, High, Live;
    /// Send buffer of a connection; -1 leaves it to the system.
    "socket.send.buffer.bytes": Int = "102400", Any, ReadOnly, High, Live;
    /// Largest metrics payload that a client may push.
    "telemetry.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, Low, Later;
    /// Whether unreleased API versions are offered.
    "unstable.api.versions.enable": Boolean = "false", Any, ReadOnly, High, Later, unlisted;
    /// Whether unreleased feature levels are offered.
    "unstable.feature.versions.enable": Boolean = "false", Any, ReadOnly, High, Later, unlisted;
}
