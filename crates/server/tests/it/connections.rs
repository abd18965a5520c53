//! How connections begin, wait and end, and how much of them fits into memory.
//!
//! Source: requirements WIRE-01, WIRE-08, WIRE-12, WIRE-13, TRAP-35; `socket.request.max.bytes`,
//! `queued.max.request.bytes`, `connections.max.idle.ms`.

use std::time::Duration;

use ottla_env::{task, time};
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, MetadataRequest, MetadataResponse,
    ProduceResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse, incremental_alter_configs_request, metadata_request,
};
use ottla_protocol::{ApiKey, Message, Reader};

use crate::batches::{append, append_behind, codes, parts, plain, request};
use crate::faults::{FaultyDisk, State};
use crate::gatekeeper::{Gatekeeper, TRAPDOOR};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};

fn software() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "test".to_owned(), client_software_version: "1.0".to_owned() }
}

async fn brokers(client: &mut Client) -> usize {
    let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &MetadataRequest::default()).await;
    answer.brokers.len()
}

/// WIRE-01: `socket.request.max.bytes` counts what follows the size field.
#[test]
fn a_request_may_have_just_the_configured_size() {
    run(async {
        let home = Home::new();
        let node = start(&home, "socket.request.max.bytes=2000\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let sized = |client: &mut Client, length: usize| {
            let request = request(-1, &parts(&[("t", 0, &plain(&[&"x".repeat(length)]))]));
            client.frame(ApiKey::Produce, 9, &request)
        };
        let overhead = sized(&mut client, 1000).len() - 1000;
        let fitting = sized(&mut client, 2004 - overhead);
        assert_eq!(fitting.len(), 2004);
        client.send_raw(&fitting).await;
        assert!(client.receive().await.is_some());
        let larger = sized(&mut client, 2005 - overhead);
        client.send_raw(&larger).await;
        assert_eq!(client.receive().await, None);
        node.stop().await;
    });
}

/// WIRE-12: a connection on which nothing happens is closed, one that is used is not.
#[test]
fn an_idle_connection_is_closed() {
    run(async {
        let home = Home::new();
        let idle = Duration::from_millis(2000);
        let node =
            start(&home, "connections.max.idle.ms=2000\nconnection.failed.authentication.delay.ms=1\n");
        let node = node.await.unwrap();
        let began = time::now();
        let (quiet, mut busy) = (Client::connect(&node).await, Client::connect(&node).await);
        let mut closed = false;
        while !closed {
            assert_eq!(brokers(&mut busy).await, 1);
            closed = task::select! {
                biased;
                answer = quiet.receive() => answer.is_none(),
                () = task::yield_now() => false,
            };
        }
        assert!(time::now() - began >= idle, "closed too early");
        assert_eq!(brokers(&mut busy).await, 1, "a busy connection outlives the idle one");
        assert_eq!(busy.receive().await, None);
        node.stop().await;
    });
}

/// WIRE-13: whoever speaks TLS or HTTP here sees the end at once, and whoever wants SASL is told that there is none.
#[test]
fn a_stranger_on_a_plaintext_listener_is_turned_away_at_once() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let hello = [0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3];
        for bytes in [&hello[..], b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n"] {
            let client = Client::connect(&node).await;
            client.send_raw(bytes).await;
            assert_eq!(client.receive().await, None, "{bytes:?}");
        }
        let mut client = Client::connect(&node).await;
        let request = SaslHandshakeRequest { mechanism: "PLAIN".to_owned() };
        let answer: SaslHandshakeResponse = client.ask(ApiKey::SaslHandshake, 1, &request).await;
        assert_eq!((answer.error_code, answer.mechanisms.len()), (34, 0));
        let answer: SaslAuthenticateResponse =
            client.ask(ApiKey::SaslAuthenticate, 2, &SaslAuthenticateRequest::default()).await;
        assert_eq!(answer.error_code, 34);
        assert_eq!(brokers(&mut client).await, 1, "the connection stays");
        node.stop().await;
    });
}

/// WIRE-08: versions may be asked for at any time, and again.
#[test]
fn versions_are_told_as_often_as_they_are_asked_for() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        for version in [0, 4, 3, 4, 1, 2] {
            let answer: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, version, &software()).await;
            assert_eq!(answer.error_code, 0);
            assert_eq!(brokers(&mut client).await, 1);
        }
        node.stop().await;
    });
}

/// `queued.max.request.bytes`: what does not fit is not read until there is room, whoever else is served meanwhile. One
/// request beyond it is read, as by Kafka, so that those that came in part do not wait for each other.
#[test]
fn requests_beyond_the_node_s_memory_wait_their_turn() {
    run(async {
        let home = Home::new();
        let node = start(&home, "socket.request.max.bytes=1000000\nqueued.max.request.bytes=1000000\n");
        let node = node.await.unwrap();
        let mut small = Client::connect(&node).await;
        small.create_topic("t", 1).await;
        let large = request(-1, &parts(&[("t", 0, &plain(&[&"x".repeat(700_000)]))]));
        // The first ones hold the memory, and what is beyond it, while their last byte is missing.
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut client = Client::connect(&node).await;
            let frame = client.frame(ApiKey::Produce, 9, &large);
            client.send_raw(&frame[..frame.len() - 1]).await;
            // By the time that others got many answers, what came before was read.
            for _ in 0..20 {
                assert_eq!(brokers(&mut small).await, 1);
            }
            held.push((client, frame));
        }
        let mut last = Client::connect(&node).await;
        let frame = last.frame(ApiKey::Produce, 9, &large);
        let rest = async {
            last.send_raw(&frame).await;
            last.receive().await.unwrap()
        };
        // Long enough for a request that is read to be answered.
        let until = time::now() + Duration::from_millis(300);
        let others = async {
            while time::now() < until {
                assert_eq!(brokers(&mut small).await, 1);
            }
        };
        let mut rest = std::pin::pin!(rest);
        let early = task::select! {
            biased;
            answer = &mut rest => Some(answer),
            () = others => None,
        };
        assert_eq!(early, None, "more was read than there is memory for");
        let mut answers = Vec::new();
        for (client, frame) in &held {
            client.send_raw(&frame[frame.len() - 1..]).await;
            answers.push(client.receive().await.unwrap());
        }
        answers.push(rest.await);
        for answer in answers {
            let answer = ottla_protocol::messages::ProduceResponse::decode(&mut Reader::new(&answer[5..]), 9);
            assert_eq!(answer.unwrap().responses[0].partition_responses[0].error_code, 0);
        }
        node.stop().await;
    });
}

/// WIRE-01: memory follows what came, not what was announced: however many clients announce requests of the largest size and send
/// little of them, others' large requests are served.
#[test]
fn who_announces_much_and_sends_little_keeps_no_memory_from_others() {
    run(async {
        let home = Home::new();
        let node = start(&home, "queued.max.request.bytes=104857600\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let mut announcers = Vec::new();
        for _ in 0..20 {
            let mut announcer = Client::connect(&node).await;
            let mut frame = announcer.frame(ApiKey::Produce, 9, &request(-1, &[]));
            frame[..4].copy_from_slice(&104_857_600_i32.to_be_bytes());
            announcer.send_raw(&frame).await;
            announcers.push(announcer);
        }
        for _ in 0..20 {
            assert_eq!(brokers(&mut client).await, 1);
        }
        let large = request(-1, &parts(&[("t", 0, &plain(&[&"x".repeat(700_000)]))]));
        let answer = time::timeout(Duration::from_secs(20), codes(&mut client, 9, &large)).await;
        assert_eq!(answer.expect("an answer in time"), [0]);
        node.stop().await;
    });
}

/// WIRE-01, reliability 4.4: a request of lists whose answer may take more memory than requests may have in all ends its connection;
/// a smaller one of the same kind is answered.
#[test]
fn a_list_that_the_node_has_no_memory_for_ends_its_connection() {
    run(async {
        let home = Home::new();
        let more = "socket.request.max.bytes=20000000\nqueued.max.request.bytes=20000000\n";
        let node = start(&home, more).await.unwrap();
        let groups = |count: usize| DescribeGroupsRequest {
            groups: vec!["no such group".to_owned(); count],
            ..Default::default()
        };
        let mut client = Client::connect(&node).await;
        let answer: DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 4, &groups(30_000)).await;
        assert_eq!(answer.groups.len(), 30_000);
        let larger = client.frame(ApiKey::DescribeGroups, 4, &groups(40_000));
        assert!(larger.len() * 40 > 20_000_000);
        client.send_raw(&larger).await;
        assert_eq!(client.receive().await, None);
        assert_eq!(brokers(&mut Client::connect(&node).await).await, 1);
        node.stop().await;
    });
}

/// A request that waits for memory holds up neither the answers before it nor the end of the node.
#[test]
fn who_waits_for_memory_is_still_answered() {
    run(async {
        let home = Home::new();
        let disk = FaultyDisk::new(&home.path().join("t-0"));
        let with_disk = Parts { disk: disk.disk(), ..Parts::default() };
        let more = "socket.request.max.bytes=1000000\nqueued.max.request.bytes=1000000\n";
        let node = start_with(&properties(home.path(), more), with_disk).await.unwrap();
        let mut second = Client::connect(&node).await;
        let mut small = Client::connect(&node).await;
        small.create_topic("t", 1).await;
        let large = request(-1, &parts(&[("t", 0, &plain(&[&"x".repeat(700_000)]))]));
        // One has the memory, one is the request that may go beyond it.
        let mut holders = Vec::new();
        for _ in 0..2 {
            let mut holder = Client::connect(&node).await;
            let held = holder.frame(ApiKey::Produce, 9, &large);
            holder.send_raw(&held[..held.len() - 1]).await;
            for _ in 0..20 {
                assert_eq!(brokers(&mut small).await, 1);
            }
            holders.push(holder);
        }
        disk.set(State::FlushesWait);
        let before = second.frame(ApiKey::Produce, 9, &request(-1, &parts(&[("t", 0, &plain(&["a"]))])));
        let behind = second.frame(ApiKey::Produce, 9, &large);
        second.send_raw(&[&before[..], &behind[..500_000]].concat()).await;
        append_behind(&mut small, "t", 1).await;
        disk.set(State::Working);
        let answer = time::timeout(Duration::from_secs(10), second.receive()).await;
        assert!(answer.expect("an answer in time").is_some());
        time::timeout(Duration::from_secs(10), node.stop()).await.expect("the node stops");
    });
}

/// A client that went away with half a request gives its memory back.
#[test]
fn memory_of_a_client_that_went_away_is_free_again() {
    run(async {
        let home = Home::new();
        let node = start(&home, "socket.request.max.bytes=1000000\nqueued.max.request.bytes=1000000\n");
        let node = node.await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let large = request(-1, &parts(&[("t", 0, &plain(&[&"x".repeat(700_000)]))]));
        for _ in 0..5 {
            let mut gone = Client::connect(&node).await;
            let frame = gone.frame(ApiKey::Produce, 9, &large);
            gone.send_raw(&frame[..600_000]).await;
        }
        assert_eq!(codes(&mut client, 9, &large).await, [0]);
        node.stop().await;
    });
}

/// TRAP-35: a fault of the node in one request ends that connection and nothing else.
#[test]
fn a_fault_in_one_request_ends_only_its_connection() {
    run(async {
        let home = Home::new();
        let permits = [crate::gatekeeper::CREATE];
        let with_trapdoor = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), with_trapdoor).await.unwrap();
        let mut witness = Client::connect(&node).await;
        for _ in 0..20 {
            let mut client = Client::connect(&node).await;
            let topic = metadata_request::MetadataRequestTopic {
                name: Some(TRAPDOOR.to_owned()),
                ..Default::default()
            };
            let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            let frame = client.frame(ApiKey::Metadata, 12, &request);
            client.send_raw(&frame).await;
            assert_eq!(client.receive().await, None);
            let mut client = Client::connect(&node).await;
            let batch = plain(&["a"]);
            let frame = client.frame(ApiKey::Produce, 9, &request_for(&batch));
            client.send_raw(&frame).await;
            assert_eq!(client.receive().await, None);
            assert_eq!(brokers(&mut witness).await, 1);
        }
        witness.create_topic("t", 1).await;
        assert_eq!(append(&mut witness, "t", &plain(&["a"])).await, (29, -1));
        node.stop().await;
    });
}

fn request_for(batch: &bytes::Bytes) -> ottla_protocol::messages::ProduceRequest {
    request(-1, &parts(&[(TRAPDOOR, 0, batch)]))
}

/// TRAP-35: every operation on every kind of config is answered, the ones that make no sense too, and the node serves
/// on.
#[test]
fn every_operation_on_every_kind_of_config_is_answered() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let keys = ["cleanup.policy", "retention.ms", "no.such.key", "", "log.cleanup.policy", "preallocate"];
        let resources = [
            (2, "t"),
            (2, "missing"),
            (4, "1"),
            (4, ""),
            (4, "x"),
            (8, "1"),
            (16, "m"),
            (32, "g"),
            (0, ""),
            (99, "x"),
        ];
        for (kind, name) in resources {
            for operation in [0, 1, 2, 3, 4, -1, 127] {
                for value in [Some("delete"), Some(""), Some(",,"), Some("-1"), None] {
                    let configs = keys.map(|key| incremental_alter_configs_request::AlterableConfig {
                        name: key.to_owned(),
                        config_operation: operation,
                        value: value.map(str::to_owned),
                    });
                    let resource = |config| incremental_alter_configs_request::AlterConfigsResource {
                        resource_type: kind,
                        resource_name: name.to_owned(),
                        configs: vec![config],
                    };
                    for config in configs {
                        let request = IncrementalAlterConfigsRequest {
                            resources: vec![resource(config)],
                            validate_only: true,
                        };
                        let answer: IncrementalAlterConfigsResponse =
                            client.ask(ApiKey::IncrementalAlterConfigs, 1, &request).await;
                        assert_eq!(answer.responses.len(), 1);
                        assert_ne!(answer.responses[0].error_code, -1, "{request:?}");
                    }
                }
            }
        }
        assert_eq!(append(&mut client, "t", &plain(&["a"])).await, (0, 0));
        node.stop().await;
    });
}

/// A client that sends without a pause does not keep another one of its thread waiting until all of it is served.
#[test]
fn one_request_gets_its_turn_among_many_of_another_connection() {
    let story = async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let (mut busy, mut other) = (Client::connect(&node).await, Client::connect(&node).await);
        busy.create_topic("t", 1).await;
        let one = request(-1, &parts(&[("t", 0, &plain(&["a"]))]));
        for round in 0..5 {
            let frames: Vec<u8> = (0..600).flat_map(|_| busy.frame(ApiKey::Produce, 9, &one)).collect();
            busy.send_raw(&frames).await;
            let answer: ProduceResponse = other.ask(ApiKey::Produce, 9, &one).await;
            let served_before = answer.responses[0].partition_responses[0].base_offset - round * 601;
            for _ in 0..600 {
                busy.receive().await.unwrap();
            }
            // Two turns: it may come in the middle of one, and its bytes after those of the next have been read.
            assert!((0..=128).contains(&served_before), "after {served_before} of the other's 600");
        }
        node.stop().await;
    };
    task::block_on(story).unwrap();
}
