//! One field of a request at its edge, for every field of every API in every version on both kinds of listener.
//!
//! Owns: what a node owes to such requests. Does not own: the requests (`ottla_testkit::spoiled`).
//!
//! Source: reliability design 4.4 (CVE-2026-83525, -111108, -111115, -111496); requirements WIRE-09, WIRE-11, TRAP-35.

use std::time::Duration;

use ottla_env::{task, time};
use ottla_protocol::codec::{Kind, MessageInfo};
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, MESSAGES, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader,
    fetch_request, metadata_request,
};
use ottla_protocol::{ApiKey, Message, Reader, Writer};
use ottla_testkit::{schema, spoiled};

use crate::batches::{append, parts, plain, request};
use crate::node::{Client, Home, address_of, run, start};

/// How long an answer is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(30);

fn frame(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader {
        request_api_key: api.number(),
        request_api_version: version,
        correlation_id: 77,
        client_id: Some("spoiled".to_owned()),
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, api.request_header_version(version)).unwrap();
    let payload = [&writer.into_vec()[..], body].concat();
    [&i32::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
}

fn message(kind: Kind, api: ApiKey) -> &'static MessageInfo {
    MESSAGES.iter().find(|info| info.kind == kind && info.key == Some(api.number())).unwrap()
}

/// Reads the whole answer, in the version of its request.
fn read(api: ApiKey, version: i16, answer: &[u8]) {
    let mut reader = Reader::new(answer);
    let header = ResponseHeader::decode(&mut reader, api.response_header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 77);
    let read = (message(Kind::Response, api).decode)(&mut reader, version);
    read.unwrap_or_else(|error| panic!("the answer of {api:?} {version} cannot be read: {error}"));
    assert_eq!(reader.remaining(), 0, "{api:?} {version}");
}

/// What a reader finds in a topic: all of its records, as they are on the disk.
async fn content(client: &mut Client, topic: &str) -> FetchResponse {
    let partition = fetch_request::FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = fetch_request::FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request =
        FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics: vec![topic], ..Default::default() };
    let answer: FetchResponse = client.ask(ApiKey::Fetch, 11, &request).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, 0, "{answer:?}");
    answer
}

/// A topic that nobody may touch, and one that requests are about.
async fn prepare(client: &mut Client) -> spoiled::Subject {
    for topic in ["control", "t"] {
        client.create_topic(topic, 1).await;
        assert_eq!(append(client, topic, &plain(&["a", "b"])).await, (0, 0));
    }
    let topic = metadata_request::MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let answer: MetadataResponse = client.ask(ApiKey::Metadata, 10, &request).await;
    spoiled::Subject {
        topic: "t".to_owned(),
        topic_id: answer.topics[0].topic_id.bytes(),
        records: plain(&["c"]).to_vec(),
    }
}

async fn offered(client: &mut Client) -> Vec<(ApiKey, i16, i16)> {
    let answer: ApiVersionsResponse =
        client.ask(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default()).await;
    let range = |key: &ottla_protocol::messages::api_versions_response::ApiVersion| {
        let api = ApiKey::from_number(key.api_key).unwrap();
        (api, if api == ApiKey::Produce { 3 } else { key.min_version }, key.max_version)
    };
    answer.api_keys.iter().map(range).collect()
}

/// A connection that is opened anew after it was closed.
struct Attacker {
    address: std::net::SocketAddr,
    client: Client,
}

impl Attacker {
    /// Sends one spoiled request: what can be read is answered, what cannot ends the connection. Told is what is otherwise.
    async fn try_one(
        &mut self,
        (api, version): (ApiKey, i16),
        spoiled: &spoiled::Spoiled,
    ) -> Result<(), String> {
        let readable = (message(Kind::Request, api).decode)(&mut Reader::new(&spoiled.body), version);
        self.client.send_raw(&frame(api, version, &spoiled.body)).await;
        let about = format!("{api:?} {version} with {}", spoiled.what);
        let answer = time::timeout(PATIENCE, self.client.receive()).await;
        if !matches!(answer, Ok(Some(_))) {
            self.client = Client::connect_to(self.address).await;
        }
        match (answer, readable) {
            (Ok(Some(answer)), Ok(_)) => {
                read(api, version, &answer);
                Ok(())
            }
            (Ok(None), Err(_)) => Ok(()),
            (Ok(Some(_)), Err(error)) => Err(format!("{about} is answered in spite of {error}")),
            (Ok(None), Ok(_)) => Err(format!("{about} ends the connection")),
            (Err(_), _) => Err(format!("{about} is neither answered nor refused")),
        }
    }
}

/// WIRE-09, WIRE-11, TRAP-35: counts that nothing follows, lists that are missing or empty, names that are none, numbers
/// at the ends of their types: each is answered, or ends its own connection if it cannot be read. What others wrote stays
/// as it was, and the node is found in order at its next start.
#[test]
fn every_field_of_every_request_may_be_at_its_edge() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut witness = Client::connect(&node).await;
        let subject = prepare(&mut witness).await;
        let before = content(&mut witness, "control").await;
        let schemas = schema::read_all(schema::directory()).unwrap();
        let (mut tried, mut wrong) = (0, Vec::new());
        for listener in ["PLAINTEXT", "CONTROLLER"] {
            let address = address_of(&node, listener);
            let mut attacker = Attacker { address, client: Client::connect_to(address).await };
            for (api, first, last) in offered(&mut attacker.client).await {
                for version in first..=last {
                    for spoiled in spoiled::requests(&schemas[&api.number()], version, &subject) {
                        // Who wants no answer gets none.
                        if api == ApiKey::Produce && spoiled.what == "acks: Number(0)" {
                            continue;
                        }
                        wrong.extend(attacker.try_one((api, version), &spoiled).await.err());
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 5_000, "only {tried} requests were made up");
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(content(&mut witness, "control").await, before);
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut witness = Client::connect(&node).await;
        assert_eq!(content(&mut witness, "control").await.responses, before.responses);
        node.stop().await;
    });
}

/// Where a message of an answer would repeat more than a text can hold, the answer says that the server failed, as Kafka's
/// does: for each part of the request, and without a word.
#[test]
fn an_answer_that_is_too_long_says_that_the_server_failed() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let subject = prepare(&mut client).await;
        let schemas = schema::read_all(schema::directory()).unwrap();
        let failed: [(ApiKey, i16, &str, &[u8]); 4] = [
            (
                ApiKey::JoinGroup,
                5,
                "groupInstanceId",
                b"\0\0\0\0\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0",
            ),
            (
                ApiKey::JoinGroup,
                9,
                "groupInstanceId",
                b"\0\0\0\0\xff\xff\xff\xff\xff\xff\0\0\x01\0\x01\x01\0",
            ),
            (ApiKey::UpdateFeatures, 1, "featureUpdates.feature", b"\0\0\0\0\xff\xff\0\x01\0"),
            (ApiKey::AlterConfigs, 2, "resources.configs.name", b"\0\0\0\0\x02\xff\xff\0\x02\x02t\0\0"),
        ];
        let find = FindCoordinatorRequest { coordinator_keys: vec!["g".to_owned()], ..Default::default() };
        let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
        let _: FindCoordinatorResponse = client.ask_until((ApiKey::FindCoordinator, 4), &find, found).await;
        for (api, version, field, answer) in failed {
            let what = format!("{field}: 32767 characters");
            let mut spoiled = spoiled::requests(&schemas[&api.number()], version, &subject);
            spoiled.retain(|spoiled| spoiled.what == what);
            let header = if version < 6 && api == ApiKey::JoinGroup { 4 } else { 5 };
            let deadline = time::now() + PATIENCE;
            let told = loop {
                client.send_raw(&frame(api, version, &spoiled[0].body)).await;
                let told = client.receive().await.unwrap().split_off(header);
                // The coordinator of the group may still have to load it (14 to 16).
                let is_loading = matches!(told.get(4..6), Some([0, 14..=16]));
                if api != ApiKey::JoinGroup || !is_loading || time::now() > deadline {
                    break told;
                }
                task::yield_now().await;
            };
            assert_eq!(told, answer, "{api:?} {version}");
        }
        node.stop().await;
    });
}

/// A batch whose header is at an edge and whose checksum is right is taken or refused; the log behind it is readable, and is
/// found as it was at the next start.
#[test]
fn every_field_of_a_batch_may_be_at_its_edge() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        for spoiled in spoiled::batches(&plain(&["a"])) {
            let batch = bytes::Bytes::from(spoiled.body);
            let mut writer = Writer::new();
            request(-1, &parts(&[("t", 0, &batch)])).encode(&mut writer, 9).unwrap();
            client.send_raw(&frame(ApiKey::Produce, 9, &writer.into_vec())).await;
            match time::timeout(PATIENCE, client.receive()).await {
                Ok(Some(answer)) => read(ApiKey::Produce, 9, &answer),
                other => panic!("a batch with {} gets {other:?}", spoiled.what),
            }
        }
        let (code, _) = append(&mut client, "t", &plain(&["behind"])).await;
        assert_eq!(code, 0);
        let before = content(&mut client, "t").await;
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(content(&mut client, "t").await.responses, before.responses);
        node.stop().await;
    });
}
