//! Keys of the node itself, of the metadata quorum and of a broker's tie to it.
//!
//! Owns: one entry per key; `key` explains the form. Does not own: what the values do.
//!
//! Source: broker settings of Kafka 4.3.1; doc sentences are our own.

use crate::config::Check::{Any, AtLeast, BootstrapServers, List, ListOf, Voters};
use crate::config::Emptiness::NotEmpty;
use crate::config::key::keys;

keys! {
    /// Keys of the node itself, of the metadata quorum and of a broker's tie to it.
    QUORUM:

    /// Time between two heartbeats of a broker to the controller.
    "broker.heartbeat.interval.ms": Int = "2000", Any, ReadOnly, Medium, Live;
    /// Older name of `node.id`.
    "broker.id": Int = "-1", Any, ReadOnly, High, Live;
    /// Time without a heartbeat after which the controller fences a broker.
    "broker.session.timeout.ms": Int = "9000", Any, ReadOnly, Medium, Live;
    /// Whether a broker hands over its leaderships before it stops.
    "controlled.shutdown.enable": Boolean = "true", Any, ReadOnly, Medium, Later;
    /// Names of the listeners that the controller serves; the first is used to reach it.
    "controller.listener.names": List required, List(NotEmpty), ReadOnly, High, Live;
    /// Duration from which a controller event is always logged.
    "controller.performance.always.log.threshold.ms": Long = "2000", AtLeast(0), ReadOnly, Medium, Moot, unlisted;
    /// Time between two log lines on the controller's event durations.
    "controller.performance.sample.period.ms": Long = "60000", AtLeast(100), ReadOnly, Medium, Moot, unlisted;
    /// Time the leader of the quorum gathers records before it writes them.
    "controller.quorum.append.linger.ms": Int = "25", AtLeast(0), ReadOnly, Medium, Later;
    /// Whether a controller that is not yet a voter adds itself to the quorum.
    "controller.quorum.auto.join.enable": Boolean = "false", Any, ReadOnly, Low, Later;
    /// Addresses at which the quorum's leader can be asked for.
    "controller.quorum.bootstrap.servers": List = "", BootstrapServers, ReadOnly, High, Live;
    /// Upper bound of the random pause after a lost election.
    "controller.quorum.election.backoff.max.ms": Int = "1000", AtLeast(0), ReadOnly, High, Later;
    /// Time a candidate waits for votes before it tries again.
    "controller.quorum.election.timeout.ms": Int = "1000", AtLeast(0), ReadOnly, High, Later;
    /// Most bytes of metadata log in one answer to a fetch of the quorum.
    "controller.quorum.fetch.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, Low, Later;
    /// Most bytes of a metadata snapshot in one answer.
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", AtLeast(1), ReadOnly, Low, Later;
    /// Time without a successful fetch from the leader after which a voter stands for election.
    "controller.quorum.fetch.timeout.ms": Int = "2000", AtLeast(0), ReadOnly, High, Later;
    /// Time after which an unanswered request inside the quorum is given up.
    "controller.quorum.request.timeout.ms": Int = "2000", AtLeast(0), ReadOnly, Medium, Later;
    /// Pause before a failed request inside the quorum is repeated.
    "controller.quorum.retry.backoff.ms": Int = "20", AtLeast(0), ReadOnly, Low, Later;
    /// The fixed set of voters as `id@host:port`, for a quorum without dynamic membership.
    "controller.quorum.voters": List = "", Voters, ReadOnly, High, Live;
    /// Number of samples kept for the quota of controller mutations.
    "controller.quota.window.num": Int = "11", AtLeast(1), ReadOnly, Low, Later;
    /// Length of one sample of the quota of controller mutations.
    "controller.quota.window.size.seconds": Int = "1", AtLeast(1), ReadOnly, Low, Later;
    /// Time after which an unanswered request of a broker to the controller is given up.
    "controller.socket.timeout.ms": Int = "30000", Any, ReadOnly, Medium, Later;
    /// Time a starting broker may take to register before it gives up.
    "initial.broker.registration.timeout.ms": Int = "60000", Any, ReadOnly, Medium, Live;
    /// Delay before old files of the metadata log are removed.
    "internal.metadata.delete.delay.millis": Long = "60000", Any, ReadOnly, Low, Moot, unlisted;
    /// Segment size of the metadata log for tests, below the ordinary minimum.
    "internal.metadata.log.segment.bytes": Int null, Any, ReadOnly, Low, Later, unlisted;
    /// Largest batch the controller writes to the metadata log.
    "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Any, ReadOnly, Low, Later, unlisted;
    /// Directory of the metadata log; the first of `log.dirs` when unset.
    "metadata.log.dir": String null, Any, ReadOnly, High, Live;
    /// Bytes of metadata records after which a snapshot is taken.
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", AtLeast(1), ReadOnly, High, Live;
    /// Time after which a snapshot is taken when there are new records; 0 never by time.
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", AtLeast(0), ReadOnly, High, Live;
    /// Size at which a segment of the metadata log is closed.
    "metadata.log.segment.bytes": Int = "1073741824", AtLeast(8388608), ReadOnly, High, Live;
    /// Age at which a segment of the metadata log is closed.
    "metadata.log.segment.ms": Long = "604800000", Any, ReadOnly, High, Live;
    /// Time without records after which the active controller writes an empty one; 0 never does.
    "metadata.max.idle.interval.ms": Int = "500", AtLeast(0), ReadOnly, Low, Live;
    /// Size of metadata log and snapshots above which old ones are deleted.
    "metadata.max.retention.bytes": Long = "104857600", Any, ReadOnly, High, Live;
    /// Age at which old metadata segments and snapshots are deleted.
    "metadata.max.retention.ms": Long = "604800000", Any, ReadOnly, High, Live;
    /// Number of this node, unique in the cluster.
    "node.id": Int required, AtLeast(0), ReadOnly, High, Live;
    /// What this node is: `broker`, `controller` or both.
    "process.roles": List required, ListOf(&["broker", "controller"], NotEmpty), ReadOnly, High, Live;
    /// Time a start may take before the process gives up.
    "server.max.startup.time.ms": Long = "9223372036854775807", AtLeast(0), ReadOnly, Medium, Later, unlisted;
}
