//! Configuration of the consumer.
//!
//! Owns: `ConsumerConfig` and the rules between its keys.
//! Does not own: what all clients share (`cluster_access`).
//!
//! Source: `ConsumerConfig` of Kafka 4.3.1, its answers to contradicting keys.

use std::time::Duration;

use ottla_model::{GroupId, GroupInstanceId, TopicName};

use super::iso_duration::parse_iso_duration;
use super::{ClientKind, CommonConfig, ConfigError, Properties, Values};

/// Where a consumer begins in a partition for which the group has no offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// At the first record that is at most so old.
    ByDuration(Duration),
    /// Nowhere: `poll` answers an error.
    None,
}

impl OffsetReset {
    /// Reads a value of `auto.offset.reset`.
    pub fn parse(text: &str) -> Option<OffsetReset> {
        match text {
            "earliest" => Some(OffsetReset::Earliest),
            "latest" => Some(OffsetReset::Latest),
            "none" => Some(OffsetReset::None),
            _ => parse_iso_duration(text.strip_prefix("by_duration:")?).map(OffsetReset::ByDuration),
        }
    }
}

/// Whether records of open and aborted transactions are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// They are.
    ReadUncommitted,
    /// They are not: reading stops before the first open transaction.
    ReadCommitted,
}

impl IsolationLevel {
    /// The number in Fetch and ListOffsets requests.
    pub(crate) fn wire(self) -> i8 {
        match self {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        }
    }
}

/// A way to spread partitions over the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssignorKind {
    /// Topic by topic, neighbouring partitions.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// Evenly, and as before where that goes.
    Sticky,
    /// As `Sticky`, and members keep what they have while they rebalance (KIP-429).
    CooperativeSticky,
}

impl AssignorKind {
    /// All kinds, with the name in the group protocol and the name of Kafka's class.
    pub const ALL: [(AssignorKind, &'static str, &'static str); 4] = [
        (AssignorKind::Range, "range", "org.apache.kafka.clients.consumer.RangeAssignor"),
        (AssignorKind::RoundRobin, "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor"),
        (AssignorKind::Sticky, "sticky", "org.apache.kafka.clients.consumer.StickyAssignor"),
        (
            AssignorKind::CooperativeSticky,
            "cooperative-sticky",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        ),
    ];

    /// The name members of a group agree on.
    pub fn protocol_name(self) -> &'static str {
        match self {
            AssignorKind::Range => "range",
            AssignorKind::RoundRobin => "roundrobin",
            AssignorKind::Sticky => "sticky",
            AssignorKind::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep what they have during a rebalance (KIP-429).
    pub fn is_cooperative(self) -> bool {
        self == AssignorKind::CooperativeSticky
    }

    /// Reads the name of Kafka's class, or the name in the group protocol.
    pub fn parse(text: &str) -> Result<AssignorKind, ConfigError> {
        let known = AssignorKind::ALL.iter().find(|(_, name, class)| *name == text || *class == text);
        known.map(|(kind, _, _)| *kind).ok_or_else(|| ConfigError::UnknownAssignor { name: text.to_owned() })
    }
}

/// Membership in a group: names and times.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.id`.
    pub id: GroupId,
    /// The name of a static member (KIP-345).
    pub instance_id: Option<GroupInstanceId>,
    /// A member that is not heard of for so long is thrown out (`session.timeout.ms`).
    pub session_timeout: Duration,
    /// Where the member runs (`client.rack`), for assignors that give it partitions nearby (KIP-881).
    pub rack: Option<String>,
    /// How often it is heard of (`heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
    /// A member that does not poll for so long leaves the group.
    pub poll_interval_max: Duration,
    /// In order of preference; empty only where the consumer never subscribes.
    pub assignors: Vec<AssignorKind>,
    /// `Some` commits positions by itself each time this has passed.
    pub auto_commit: Option<Duration>,
}

/// Configuration of a [`Consumer`](crate::Consumer).
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// What all clients share.
    pub common: CommonConfig,
    /// `None`: the consumer can only be assigned partitions by hand and cannot commit.
    pub group: Option<GroupConfig>,
    /// Where to begin without a committed offset (`auto.offset.reset`).
    pub offset_reset: OffsetReset,
    /// `isolation.level`.
    pub isolation: IsolationLevel,
    /// Bytes that an answer shall have, or else wait (`fetch.min.bytes`).
    pub fetch_bytes_min: i32,
    /// Bytes of one answer, and of what is fetched ahead (`fetch.max.bytes`).
    pub fetch_bytes_max: i32,
    /// Bytes of one partition in one answer (`max.partition.fetch.bytes`).
    pub partition_fetch_bytes_max: i32,
    /// How long an answer waits for `fetch_bytes_min` (`fetch.max.wait.ms`).
    pub fetch_wait_max: Duration,
    /// Records of one `poll`.
    pub poll_records_max: usize,
    /// Whether the checksum of every batch is compared (`check.crcs`).
    pub check_crcs: bool,
    /// Rack of this client, to read from a replica nearby (KIP-392); empty for none.
    pub rack: String,
    /// How long a call such as `commit_sync` or `position` may take.
    pub api_timeout: Duration,
    /// Whether asking for a topic may create it at the broker.
    pub allow_auto_create: bool,
    /// Whether a pattern leaves out the broker's own topics.
    pub exclude_internal: bool,
}

impl ConsumerConfig {
    /// A consumer of the cluster that answers at `bootstrap_servers`, else with Kafka's defaults.
    pub fn new(bootstrap_servers: &str) -> Result<ConsumerConfig, ConfigError> {
        ConsumerConfig::from_properties(&Properties::from([(
            "bootstrap.servers".to_owned(),
            bootstrap_servers.to_owned(),
        )]))
    }

    /// Reads Kafka's property names; unknown ones are left to [`unknown_keys`](super::unknown_keys).
    pub fn from_properties(properties: &Properties) -> Result<ConsumerConfig, ConfigError> {
        let values = Values::parse(ClientKind::Consumer, properties)?;
        refuse_consumer_protocol(&values)?;
        let offset_reset = values.text("auto.offset.reset").and_then(OffsetReset::parse);
        let isolation = match values.text("isolation.level") {
            Some("read_committed") => IsolationLevel::ReadCommitted,
            _ => IsolationLevel::ReadUncommitted,
        };
        Ok(ConsumerConfig {
            common: CommonConfig::resolve(&values)?,
            group: group(&values)?,
            offset_reset: offset_reset.unwrap_or(OffsetReset::Latest),
            isolation,
            fetch_bytes_min: values.int32("fetch.min.bytes"),
            fetch_bytes_max: values.int32("fetch.max.bytes"),
            partition_fetch_bytes_max: values.int32("max.partition.fetch.bytes"),
            fetch_wait_max: values.millis("fetch.max.wait.ms"),
            poll_records_max: values.size("max.poll.records"),
            check_crcs: values.boolean("check.crcs"),
            rack: values.text("client.rack").unwrap_or_default().to_owned(),
            api_timeout: values.millis("default.api.timeout.ms"),
            allow_auto_create: values.boolean("allow.auto.create.topics"),
            exclude_internal: values.boolean("exclude.internal.topics"),
        })
    }
}

fn refuse_consumer_protocol(values: &Values) -> Result<(), ConfigError> {
    let protocol = values.text("group.protocol").unwrap_or_default();
    if protocol.eq_ignore_ascii_case("classic") {
        return match values.text("group.remote.assignor") {
            Some(_) => Err(ConfigError::Contradiction(
                "group.remote.assignor cannot be set when group.protocol=CLASSIC",
            )),
            None => Ok(()),
        };
    }
    Err(ConfigError::Unsupported {
        key: "group.protocol",
        value: protocol.to_owned(),
        allowed: "this client speaks the classic protocol only",
    })
}

fn group(values: &Values) -> Result<Option<GroupConfig>, ConfigError> {
    let asked_to_commit = values.is_given("enable.auto.commit") && values.boolean("enable.auto.commit");
    let Some(id) = values.text("group.id") else {
        return match asked_to_commit {
            true => Err(ConfigError::Contradiction(
                "enable.auto.commit cannot be set to true when default group id (null) is used.",
            )),
            false => Ok(None),
        };
    };
    if id.is_empty() {
        return Err(ConfigError::Contradiction(
            "The configured group.id should not be an empty string or whitespace.",
        ));
    }
    let session_timeout = values.millis("session.timeout.ms");
    let heartbeat_interval = values.millis("heartbeat.interval.ms");
    if heartbeat_interval >= session_timeout {
        return Err(ConfigError::Contradiction("Heartbeat must be set lower than the session timeout"));
    }
    let assignors = values.list("partition.assignment.strategy").iter().map(|name| AssignorKind::parse(name));
    let auto_commit = values.boolean("enable.auto.commit").then(|| values.millis("auto.commit.interval.ms"));
    Ok(Some(GroupConfig {
        id: GroupId::new(id),
        instance_id: instance_id(values)?,
        rack: values.text("client.rack").filter(|rack| !rack.is_empty()).map(str::to_owned),
        session_timeout,
        heartbeat_interval,
        poll_interval_max: values.millis("max.poll.interval.ms"),
        assignors: assignors.collect::<Result<_, _>>()?,
        auto_commit,
    }))
}

/// The name of a static member follows the rules of topic names.
fn instance_id(values: &Values) -> Result<Option<GroupInstanceId>, ConfigError> {
    match values.text("group.instance.id") {
        None => Ok(None),
        Some(text) if TopicName::new(text).is_ok() => Ok(Some(GroupInstanceId::new(text))),
        Some(text) => Err(ConfigError::GroupInstanceId(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ConsumerConfig, String> {
        let mut properties = Properties::from([("bootstrap.servers".to_owned(), "h:1".to_owned())]);
        properties.extend(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        ConsumerConfig::from_properties(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_needs_a_name_and_a_heartbeat_below_its_session_timeout() {
        assert!(read(&[]).unwrap().group.is_none());
        assert_eq!(
            read(&[("group.id", " ")]).unwrap_err(),
            "The configured group.id should not be an empty string or whitespace."
        );
        assert_eq!(
            read(&[("group.id", "g"), ("heartbeat.interval.ms", "50000")]).unwrap_err(),
            "Heartbeat must be set lower than the session timeout"
        );
        assert_eq!(
            read(&[("enable.auto.commit", "true")]).unwrap_err(),
            "enable.auto.commit cannot be set to true when default group id (null) is used."
        );
    }

    #[test]
    fn assignors_are_known_by_kafka_s_class_names() {
        let group = read(&[("group.id", "g")]).unwrap().group.unwrap();
        assert_eq!(group.assignors, [AssignorKind::Range, AssignorKind::CooperativeSticky]);
        assert!(read(&[("group.id", "g"), ("partition.assignment.strategy", "nope")]).is_err());
    }

    #[test]
    fn the_new_group_protocol_is_refused_by_name() {
        let refusal = read(&[("group.protocol", "consumer")]).unwrap_err();
        assert!(refusal.starts_with("group.protocol=consumer is not supported yet"), "{refusal}");
    }
}
