//! Which APIs this node offers, in which versions.
//!
//! Owns: the list of APIs per kind of listener. An API stands here once it does all that Kafka's does (WIRE-16).
//! Does not own: the versions, which are those of the schemas.
//!
//! Source: requirements API-01, API-02, WIRE-05, WIRE-16, TRAP-04.

use std::ops::RangeInclusive;

use ottla_protocol::codec::Listener;
use ottla_protocol::messages::ApiKey;

/// What brokers offer.
const BROKER: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
];

/// What controllers offer.
const CONTROLLER: &[ApiKey] = &[
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
];

/// The APIs of a listener, by number.
pub fn offered(door: Listener) -> &'static [ApiKey] {
    match door {
        Listener::Broker => BROKER,
        Listener::Controller => CONTROLLER,
    }
}

/// The versions a request may have; `None` where the listener does not serve the API.
pub fn accepted(door: Listener, key: ApiKey) -> Option<RangeInclusive<i16>> {
    offered(door).contains(&key).then(|| key.stable_versions())
}

/// The versions ApiVersions names. Produce begins at 0 although 0 to 2 are refused: old clients switch compression off
/// when they do not see it (KAFKA-18659).
pub fn advertised(door: Listener, key: ApiKey) -> Option<RangeInclusive<i16>> {
    let accepted = accepted(door, key)?;
    let first = if key == ApiKey::Produce { 0 } else { *accepted.start() };
    Some(first..=*accepted.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges of Apache Kafka 4.3.1's broker listener, for the APIs that are offered here.
    const KAFKA: &[(i16, i16, i16)] = &[
        (0, 0, 13),
        (1, 4, 18),
        (2, 1, 11),
        (3, 0, 13),
        (8, 2, 10),
        (9, 1, 10),
        (10, 0, 6),
        (11, 0, 9),
        (12, 0, 4),
        (13, 0, 5),
        (14, 0, 5),
        (15, 0, 6),
        (16, 0, 5),
        (17, 0, 1),
        (18, 0, 4),
        (19, 2, 7),
        (20, 1, 6),
        (21, 0, 2),
        (22, 0, 5),
        (23, 2, 4),
        (24, 0, 5),
        (25, 0, 4),
        (26, 0, 5),
        (27, 1, 2),
        (28, 0, 5),
        (32, 1, 4),
        (33, 0, 2),
        (35, 1, 5),
        (36, 0, 2),
        (37, 0, 3),
        (42, 0, 2),
        (43, 0, 2),
        (44, 0, 1),
        (45, 0, 1),
        (46, 0, 0),
        (47, 0, 0),
        (55, 0, 2),
        (57, 0, 2),
        (60, 0, 2),
        (61, 0, 0),
        (65, 0, 0),
        (66, 0, 2),
        (68, 0, 1),
        (69, 0, 1),
        (74, 0, 1),
        (75, 0, 0),
    ];

    /// API-01, TRAP-04, TRAP-40
    #[test]
    fn versions_are_advertised_as_kafka_advertises_them() {
        let ours: Vec<(i16, i16, i16)> = BROKER
            .iter()
            .map(|key| {
                let range = advertised(Listener::Broker, *key).unwrap();
                (key.number(), *range.start(), *range.end())
            })
            .collect();
        assert_eq!(ours, KAFKA);
    }

    /// API-02
    #[test]
    fn a_listener_offers_only_what_its_kind_serves() {
        for door in [Listener::Broker, Listener::Controller] {
            for key in offered(door) {
                assert!(key.is_served_by(door), "{key:?} on {door:?}");
            }
        }
        assert_eq!(accepted(Listener::Controller, ApiKey::Produce), None);
    }

    /// WIRE-05
    #[test]
    fn produce_is_advertised_from_0_and_accepted_from_3() {
        assert_eq!(accepted(Listener::Broker, ApiKey::Produce), Some(3..=13));
    }
}
