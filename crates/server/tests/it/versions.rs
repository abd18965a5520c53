//! Every API in every version that a listener offers.
//!
//! Source: requirements WIRE-05, WIRE-15, WIRE-16, API-01, API-04, TRAP-04, TRAP-05, TRAP-06, TRAP-07, TRAP-41; what
//! Apache Kafka 4.3.1 answered is in the protocol's test data.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_env::time;
use ottla_model::Uuid;
use ottla_protocol::codec::{Kind, json::Tags};
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MESSAGES,
    MetadataRequest, MetadataResponse, OffsetCommitResponse, RequestHeader, ResponseHeader, metadata_request,
};
use ottla_protocol::{ApiKey, Message, Reader, Writer};
use ottla_server::RunningNode;
use ottla_testkit::random::SeededRandom;

use crate::node::{Client, Home, address_of, run, start};
use crate::participant::Participant;
use crate::plain_requests::{Subject, body};

/// What a real Kafka said on its listeners.
const OBSERVED: &str = include_str!("../../../protocol/tests/data/api-versions.txt");

fn section(title: &str) -> &'static str {
    let start = OBSERVED.find(title).unwrap() + title.len();
    OBSERVED[start..].split("\n== ").next().unwrap()
}

/// First and last version by number.
fn observed(title: &str) -> BTreeMap<i16, (i16, i16)> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [number, _, first, last] = columns[..] else { return None };
        Some((number.parse().ok()?, (first.parse().ok()?, last.parse().ok()?)))
    };
    section(title).lines().filter_map(row).collect()
}

/// Name and levels of the features listed under a heading.
fn observed_features(title: &str, heading: &str) -> BTreeMap<String, (i16, i16)> {
    let text = section(title);
    let start = text.find(heading).unwrap() + heading.len();
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [name, first, last] = columns[..] else { panic!("{line}") };
        (name.to_owned(), (first.parse().unwrap(), last.parse().unwrap()))
    };
    text[start..].lines().skip(1).take_while(|line| line.starts_with("  ")).map(row).collect()
}

async fn versions(client: &mut Client, version: i16) -> ApiVersionsResponse {
    let word = |text: &str| if version < 3 { String::new() } else { text.to_owned() };
    let request =
        ApiVersionsRequest { client_software_name: word("test"), client_software_version: word("1.0") };
    client.ask(ApiKey::ApiVersions, version, &request).await
}

/// API-01, WIRE-16, TRAP-04, TRAP-07, TRAP-41: each range that is offered is Kafka's, in every version of the answer, and
/// on both kinds of listener. What is not done is not there at all.
#[test]
fn the_ranges_on_offer_are_kafkas() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        for (listener, title) in [
            ("PLAINTEXT", "== broker listener, request v4"),
            ("CONTROLLER", "== controller listener, request v4"),
        ] {
            let kafka = observed(title);
            let mut client = Client::connect_to(address_of(&node, listener)).await;
            for version in 0..=4 {
                let answer = versions(&mut client, version).await;
                assert!(answer.api_keys.len() >= 12);
                assert!(answer.api_keys.is_sorted_by_key(|key| key.api_key));
                for key in &answer.api_keys {
                    let range = Some(&(key.min_version, key.max_version));
                    assert_eq!(range, kafka.get(&key.api_key), "{} on {listener}", key.api_key);
                }
                let there = |number| answer.api_keys.iter().any(|key| key.api_key == number);
                assert!(!there(71) && !there(72), "telemetry");
                assert_eq!(
                    (24..=28).all(there),
                    listener == "PLAINTEXT",
                    "transactions, and not half of them"
                );
            }
        }
        node.stop().await;
    });
}

/// WIRE-15: the features are Kafka's. Readers before version 4 cannot read a level of 0 and are not told of it.
#[test]
fn features_are_told_as_far_as_the_version_can_read_them() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        for (listener, title) in [
            ("PLAINTEXT", "== broker listener, request v4"),
            ("CONTROLLER", "== controller listener, request v4"),
        ] {
            let kafka = observed_features(title, "supported_features");
            // This node keeps its voters in the log, which the observed one did not.
            let mut finalized = observed_features(title, "finalized_features");
            finalized.insert("kraft.version".to_owned(), (1, 1));
            let mut client = Client::connect_to(address_of(&node, listener)).await;
            for version in 0..=4 {
                let answer = versions(&mut client, version).await;
                let told: BTreeMap<_, _> = answer
                    .supported_features
                    .iter()
                    .map(|feature| (feature.name.clone(), (feature.min_version, feature.max_version)))
                    .collect();
                let levels: BTreeMap<_, _> = answer
                    .finalized_features
                    .iter()
                    .map(|level| (level.name.clone(), (level.min_version_level, level.max_version_level)))
                    .collect();
                if version < 3 {
                    assert!(told.is_empty() && levels.is_empty());
                    continue;
                }
                let wanted = kafka.iter().filter(|(_, (first, _))| version > 3 || *first > 0);
                let wanted: BTreeMap<_, _> = wanted.map(|(name, range)| (name.clone(), *range)).collect();
                assert_eq!(told, wanted, "version {version}");
                assert_eq!(levels, finalized);
                assert!(answer.finalized_features_epoch > 0 && !answer.zk_migration_ready);
            }
        }
        node.stop().await;
    });
}

/// A whole frame around a body.
fn frame(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader {
        request_api_key: api.number(),
        request_api_version: version,
        correlation_id: 77,
        client_id: Some("test".to_owned()),
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, api.request_header_version(version)).unwrap();
    let payload = [&writer.into_vec()[..], body].concat();
    [&i32::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
}

/// The answer as JSON, once it was read without anything left over.
fn shown(api: ApiKey, version: i16, answer: &[u8]) -> String {
    let mut reader = Reader::new(answer);
    let header = ResponseHeader::decode(&mut reader, api.response_header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 77);
    let mut responses =
        MESSAGES.iter().filter(|info| info.kind == Kind::Response && info.key == Some(api.number()));
    let message = (responses.next().unwrap().decode)(&mut reader, version);
    let message = message.unwrap_or_else(|error| panic!("{api:?} {version}: {error}"));
    assert!(reader.rest().is_empty(), "{api:?} {version} has bytes behind it");
    message.to_json(version, Tags::All).unwrap()
}

/// The error codes in an answer that are not 0.
fn codes(json: &str) -> Vec<i16> {
    let numbers = json.split("\"errorCode\":").skip(1).map(|rest| {
        let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap();
        rest[..end].parse().unwrap()
    });
    numbers.filter(|code| *code != 0).collect()
}

/// What a plain request may be told: no member of a group that nobody joined, no topic that nobody created, no
/// transactional id that nobody has.
fn may_be_told(api: ApiKey, version: i16) -> &'static [i16] {
    let table: &[(ApiKey, i16, &[i16])] = &[
        (ApiKey::JoinGroup, 4, &[79]),
        (ApiKey::SyncGroup, 0, &[25]),
        (ApiKey::Heartbeat, 0, &[25]),
        (ApiKey::LeaveGroup, 0, &[25]),
        (ApiKey::SaslHandshake, 0, &[34]),
        (ApiKey::SaslAuthenticate, 0, &[34]),
        (ApiKey::DeleteTopics, 0, &[3]),
        (ApiKey::DeleteGroups, 0, &[69]),
        (ApiKey::AddOffsetsToTxn, 0, &[49]),
        (ApiKey::EndTxn, 0, &[49]),
        (ApiKey::TxnOffsetCommit, 0, &[49]),
        (ApiKey::DescribeTransactions, 0, &[105]),
    ];
    table.iter().find(|(known, first, _)| *known == api && version >= *first).map_or(&[], |row| row.2)
}

/// The topic's id and a coordinator that works, which the plain requests need.
async fn prepare(node: &RunningNode, client: &mut Client) -> Subject {
    client.create_topic("t", 1).await;
    let topic = metadata_request::MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let answer: MetadataResponse = client.ask(ApiKey::Metadata, 10, &request).await;
    let subject = Subject { topic: "t", topic_id: answer.topics[0].topic_id, of_controller: false };
    assert_ne!(subject.topic_id, Uuid::ZERO);
    let request = FindCoordinatorRequest { coordinator_keys: vec!["kept".to_owned()], ..Default::default() };
    let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
    let _: FindCoordinatorResponse = client.ask_until((ApiKey::FindCoordinator, 4), &request, found).await;
    drop(Participant::ready(node, "somebody").await);
    let commit = ottla_protocol::messages::OffsetCommitRequest::decode(
        &mut Reader::new(&body(ApiKey::OffsetCommit, 9, &subject).unwrap()),
        9,
    )
    .unwrap();
    let stored = |answer: &OffsetCommitResponse| answer.topics[0].partitions[0].error_code == 0;
    let _: OffsetCommitResponse = client.ask_until((ApiKey::OffsetCommit, 9), &commit, stored).await;
    subject
}

/// WIRE-16, API-01, API-04, TRAP-05, TRAP-07: whatever is offered is served, in each version: the answer is of that
/// version, and a plain request gets a plain answer. The version before the first and behind the last end the connection.
#[test]
fn what_is_offered_is_served_in_every_version() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let mut subject = prepare(&node, &mut client).await;
        for listener in ["PLAINTEXT", "CONTROLLER"] {
            subject.of_controller = listener == "CONTROLLER";
            let mut client = Client::connect_to(address_of(&node, listener)).await;
            for key in versions(&mut client, 4).await.api_keys {
                let api = ApiKey::from_number(key.api_key).unwrap();
                let first = if api == ApiKey::Produce { 3 } else { key.min_version };
                for version in first..=key.max_version {
                    let body = body(api, version, &subject);
                    let body = body.unwrap_or_else(|| panic!("{api:?} is offered and never asked"));
                    client.send_raw(&frame(api, version, &body)).await;
                    let answer = client.receive().await;
                    let answer = answer.unwrap_or_else(|| panic!("{api:?} {version} ends the connection"));
                    let json = shown(api, version, &answer);
                    let told = codes(&json);
                    // A controller cannot say with version 0 that it is one.
                    let nameless = api == ApiKey::DescribeCluster && version == 0;
                    let expected =
                        if nameless && subject.of_controller { &[42] } else { may_be_told(api, version) };
                    assert_eq!(told, expected, "{api:?} {version} on {listener}: {json}");
                }
                if api != ApiKey::ApiVersions {
                    for version in [first - 1, key.max_version + 1] {
                        let stranger = Client::connect_to(address_of(&node, listener)).await;
                        stranger.send_raw(&frame(api, version, &[0; 64])).await;
                        assert_eq!(stranger.receive().await, None, "{api:?} {version} on {listener}");
                    }
                }
            }
        }
        node.stop().await;
    });
}

/// TRAP-06: whoever takes topic ids finds them everywhere: the versions that tell, take and give them back are offered
/// together. The id that is none is refused by each, partition by partition.
#[test]
fn topic_ids_are_offered_as_a_set() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let subject = prepare(&node, &mut client).await;
        let offered = versions(&mut client, 4).await.api_keys;
        let last = |api: ApiKey| offered.iter().find(|key| key.api_key == api.number()).unwrap().max_version;
        let takers = [
            (ApiKey::Produce, 13),
            (ApiKey::Fetch, 13),
            (ApiKey::OffsetCommit, 10),
            (ApiKey::OffsetFetch, 10),
            (ApiKey::Metadata, 12),
        ];
        let nothing = Subject { topic_id: Uuid::ZERO, ..subject.clone() };
        let unknown = Subject { topic_id: Uuid::from_bytes([7; 16]), ..subject.clone() };
        for (api, first) in takers {
            assert!(last(api) >= first, "{api:?}");
            for version in first..=last(api) {
                for (subject, refused) in [(&subject, false), (&unknown, true), (&nothing, true)] {
                    if api == ApiKey::Metadata && subject.topic_id == Uuid::ZERO {
                        continue;
                    }
                    client.send_raw(&frame(api, version, &body(api, version, subject).unwrap())).await;
                    let json = shown(api, version, &client.receive().await.unwrap());
                    let expected: &[i16] = if refused { &[100] } else { &[] };
                    assert_eq!(codes(&json), expected, "{api:?} {version}: {json}");
                    let told = json.contains(&format!("\"topicId\":\"{}\"", subject.topic_id));
                    assert!(told, "{api:?} {version} does not repeat the id: {json}");
                }
            }
        }
        for version in [10, 11] {
            let body = body(ApiKey::Metadata, version, &subject).unwrap();
            client.send_raw(&frame(ApiKey::Metadata, version, &body)).await;
            let json = shown(ApiKey::Metadata, version, &client.receive().await.unwrap());
            assert!(json.contains(&subject.topic_id.to_string()), "{json}");
        }
        node.stop().await;
    });
}

/// Bytes changed, inserted and removed here and there; the same for the same seed.
fn damaged(body: &[u8], random: &SeededRandom) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for _ in 0..=random.index(3) {
        let at = random.index(bytes.len() + 1);
        let odd = [0, 1, 2, 0x7f, 0x80, 0xff][random.index(6)];
        match (random.index(3), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte = odd,
            (1, Some(_)) => drop(bytes.remove(at)),
            _ => bytes.insert(at, odd),
        }
    }
    bytes
}

/// TRAP-35, WIRE-05: a request that can be read is answered, whatever stands in it; one that cannot ends its connection.
/// Either way the node serves on. Only those that may have to wait for others may be silent for a while.
#[test]
fn whatever_can_be_read_is_answered() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut witness = Client::connect(&node).await;
        let subject = prepare(&node, &mut witness).await;
        let random = SeededRandom::new(7);
        let mut client = Client::connect(&node).await;
        for key in versions(&mut witness, 4).await.api_keys {
            let api = ApiKey::from_number(key.api_key).unwrap();
            let mut requests =
                MESSAGES.iter().filter(|info| info.kind == Kind::Request && info.key == Some(key.api_key));
            let decode = requests.next().unwrap().decode;
            let first = if api == ApiKey::Produce { 3 } else { key.min_version };
            for version in first..=key.max_version {
                for _ in 0..DAMAGES {
                    let bytes = damaged(&body(api, version, &subject).unwrap(), &random);
                    let readable = decode(&mut Reader::new(&bytes), version);
                    client.send_raw(&frame(api, version, &bytes)).await;
                    let patience = if may_wait(api) { A_MOMENT } else { PATIENCE };
                    match (time::timeout(patience, client.receive()).await, readable) {
                        (Ok(Some(answer)), Ok(_)) => drop(shown(api, version, &answer)),
                        (Ok(Some(_)), Err(error)) => {
                            panic!("{api:?} {version} is answered in spite of {error}")
                        }
                        // A producer that wants no answer is told of a failure by the end.
                        (Ok(None), Ok(request)) if api != ApiKey::Produce => {
                            panic!("{api:?} {version} ends by {request:?}")
                        }
                        (Err(_), Ok(request)) if !may_wait(api) => {
                            panic!("{api:?} {version} is silent upon {request:?}")
                        }
                        (Err(_), Err(error)) => panic!("{api:?} {version} goes on in spite of {error}"),
                        (Ok(None), _) | (Err(_), Ok(_)) => client = Client::connect(&node).await,
                    }
                }
            }
        }
        assert_eq!(versions(&mut witness, 4).await.error_code, 0);
        node.stop().await;
    });
}

/// Damaged requests for each version of each API.
const DAMAGES: usize = 8;
/// How long an answer is waited for that may not come.
const A_MOMENT: Duration = Duration::from_millis(20);
/// How long an answer is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Produce with `acks=0`, and what waits for records or for other members.
fn may_wait(api: ApiKey) -> bool {
    [ApiKey::Produce, ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup].contains(&api)
}
