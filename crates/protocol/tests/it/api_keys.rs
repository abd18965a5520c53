//! The table of APIs against what Kafka 4.3.1 offers on its listeners.

use ottla_protocol::ApiKey;
use ottla_protocol::codec::Listener;

const OBSERVED: &str = include_str!("../data/api-versions.txt");

/// Number, first and last version of the keys in one section of the observation.
fn observed(section: &str) -> Vec<(i16, i16, i16)> {
    let start = OBSERVED.find(section).expect("the section exists") + section.len();
    let body = OBSERVED[start..].split("\n== ").next().unwrap_or_default();
    let row = |line: &str| {
        let mut columns = line.split('\t');
        let number = columns.next()?.parse().ok()?;
        let [_, first, last] = columns.collect::<Vec<_>>().try_into().ok()?;
        Some((number, first.parse().ok()?, last.parse().ok()?))
    };
    body.lines().filter_map(row).collect()
}

fn ours(listener: Listener) -> Vec<(i16, i16, i16)> {
    let served =
        ApiKey::ALL.iter().filter(|key| key.is_served_by(listener) && !key.stable_versions().is_empty());
    served.map(|key| (key.number(), *key.stable_versions().start(), *key.stable_versions().end())).collect()
}

/// API-01, API-02. Two differences are the server's to make: it offers Produce from version 0, which old clients look
/// for and which it cannot serve below 3, and the telemetry APIs only with a reporter configured.
#[test]
fn the_stable_versions_are_those_that_kafka_offers_on_each_listener() {
    let mut broker = ours(Listener::Broker);
    broker.retain(|(number, _, _)| {
        *number != ApiKey::GetTelemetrySubscriptions.number() && *number != ApiKey::PushTelemetry.number()
    });
    assert_eq!(broker.remove(0), (0, 3, 13));
    broker.insert(0, (0, 0, 13));
    assert_eq!(broker, observed("== broker listener, request v4"));
    assert_eq!(ours(Listener::Controller), observed("== controller listener, request v4"));
}

/// API-01: numbers lead back to keys; APIs that Kafka 4 dropped keep their number and have no version.
#[test]
fn a_number_leads_to_its_key() {
    for key in ApiKey::ALL {
        assert_eq!(ApiKey::from_number(key.number()), Some(*key));
    }
    for number in [-1, 93, i16::MAX, i16::MIN] {
        assert_eq!(ApiKey::from_number(number), None);
    }
    let dropped = ApiKey::from_number(4).unwrap();
    assert_eq!((dropped.name(), dropped.versions().is_empty()), ("LeaderAndIsr", true));
    assert_eq!(ApiKey::InitProducerId.versions(), 0..=6);
    assert_eq!(ApiKey::InitProducerId.stable_versions(), 0..=5, "version 6 is not stable yet");
}

/// WIRE-02, WIRE-03: flexible versions have the newer headers, but for the response of ApiVersions.
#[test]
fn headers_follow_the_version_but_for_the_response_of_api_versions() {
    let cases = [
        (ApiKey::Metadata, 8, 1, 0),
        (ApiKey::Metadata, 9, 2, 1),
        (ApiKey::SaslHandshake, 1, 1, 0),
        (ApiKey::ApiVersions, 2, 1, 0),
        (ApiKey::ApiVersions, 3, 2, 0),
        (ApiKey::ApiVersions, 4, 2, 0),
    ];
    for (key, version, request, response) in cases {
        assert_eq!(key.request_header_version(version), request, "{key:?} v{version}");
        assert_eq!(key.response_header_version(version), response, "{key:?} v{version}");
    }
}
