//! Producing to partitions whose replicas are elsewhere, too few, or on a directory that failed.
//!
//! Source: requirements PRD-07, PRD-08, PRD-19; KIP-951.

use ottla_protocol::messages::produce_response::LeaderIdAndEpoch;
use ottla_protocol::messages::{
    FetchResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ProduceResponse,
    incremental_alter_configs_request,
};
use ottla_protocol::{ApiKey, Message, Reader};

use crate::batches::{Named, Part, append, append_behind, codes, parts, plain, request, rows, values};
use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start_with};
use crate::planted::{ABSENT, ABSENT_AT, LEADER_EPOCH, Planted, plant};
use crate::reading::{fetch, from};

const fn planted(
    (name, number): (&'static str, u8),
    replicas: &'static [i32],
    (in_sync, leader): (&'static [i32], i32),
) -> Planted {
    Planted { name, number, replicas, in_sync, leader }
}

/// PRD-07: who does not lead says who does, from version 10 on, with the leader's address on the client's listener.
#[test]
fn who_does_not_lead_names_the_leader() {
    run(async {
        let home = Home::new();
        let topics = [
            planted(("foreign", 11), &[ABSENT], (&[ABSENT], ABSENT)),
            planted(("followed", 12), &[ABSENT, 1], (&[ABSENT], ABSENT)),
            planted(("led", 13), &[1, ABSENT], (&[1], 1)),
        ];
        let node = start_with(&plant(&home, &topics, ""), Parts::default()).await.unwrap();
        let mut client = Client::connect(&node).await;
        let batch = plain(&["a"]);
        let by_name = parts(&topics.map(|topic| (topic.name, 0, &batch)));
        let by_id: Vec<Part<'_>> =
            topics.iter().map(|topic| (Named::Id(topic.id()), 0, Some(batch.clone()))).collect();
        let epoch = |row: &LeaderIdAndEpoch| (row.leader_id, row.leader_epoch);
        for (version, asked) in [(9, &by_name), (10, &by_name), (12, &by_name), (13, &by_id)] {
            for acks in [-1, 1] {
                let answer: ProduceResponse =
                    client.ask(ApiKey::Produce, version, &request(acks, asked)).await;
                let endpoints: Vec<_> = answer
                    .node_endpoints
                    .iter()
                    .map(|node| (node.node_id, node.host.clone(), node.port, node.rack.clone()))
                    .collect();
                let rows = rows(answer);
                assert_eq!(rows.iter().map(|row| row.error_code).collect::<Vec<_>>(), [6, 6, 0]);
                let leaders: Vec<_> = rows.iter().map(|row| epoch(&row.current_leader)).collect();
                if version < 10 {
                    assert_eq!((leaders, endpoints.len()), (vec![(-1, -1); 3], 0));
                    continue;
                }
                let there = (ABSENT, LEADER_EPOCH);
                assert_eq!(leaders, [there, there, (-1, -1)], "version {version}");
                assert_eq!(endpoints, [(ABSENT, ABSENT_AT.0.to_owned(), ABSENT_AT.1, Some("r2".to_owned()))]);
            }
        }
        node.stop().await;
    });
}

/// Sets a config of a topic.
/// FET-30, FET-21: from version 11 on a follower serves consumers; below, and where there is no replica, it names no
/// records and sends them to the leader.
#[test]
fn a_follower_serves_consumers_that_know_of_it() {
    run(async {
        let home = Home::new();
        let topics = [
            planted(("foreign", 11), &[ABSENT], (&[ABSENT], ABSENT)),
            planted(("followed", 12), &[ABSENT, 1], (&[ABSENT], ABSENT)),
        ];
        let node = start_with(&plant(&home, &topics, ""), Parts::default()).await.unwrap();
        let mut client = Client::connect(&node).await;
        let partitions = [from(0, 0)];
        let request = fetch(&topics.map(|topic| (topic.name, &partitions[..])));
        for (version, expected) in [(4, [6, 6]), (10, [6, 6]), (11, [6, 0]), (12, [6, 0])] {
            let answer: FetchResponse = client.ask(ApiKey::Fetch, version, &request).await;
            let codes: Vec<i16> =
                answer.responses.iter().map(|topic| topic.partitions[0].error_code).collect();
            assert_eq!(codes, expected, "version {version}");
        }
        node.stop().await;
    });
}

async fn set(client: &mut Client, topic: &str, (name, value): (&str, &str)) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.to_owned(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer: IncrementalAlterConfigsResponse =
        client.ask(ApiKey::IncrementalAlterConfigs, 1, &request).await;
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

/// PRD-08: with too few replicas in sync `acks=all` is refused before anything is stored, other acks are not.
#[test]
fn too_few_in_sync_refuse_before_the_append() {
    run(async {
        let home = Home::new();
        let topics = [planted(("t", 11), &[1, ABSENT], (&[1], 1))];
        let node = start_with(&plant(&home, &topics, ""), Parts::default()).await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(append(&mut client, "t", &plain(&["a"])).await, (0, 0));
        set(&mut client, "t", ("min.insync.replicas", "2")).await;
        assert_eq!(append(&mut client, "t", &plain(&["b"])).await, (19, -1));
        let asked = request(1, &parts(&[("t", 0, &plain(&["c"]))]));
        let row = rows(client.ask(ApiKey::Produce, 9, &asked).await).remove(0);
        assert_eq!((row.error_code, row.base_offset), (0, 1), "the refused batch took no offset");
        // More than there are replicas counts as all of them.
        set(&mut client, "t", ("min.insync.replicas", "5")).await;
        assert_eq!(append(&mut client, "t", &plain(&["d"])).await.0, 19);
        set(&mut client, "t", ("min.insync.replicas", "1")).await;
        assert_eq!(append(&mut client, "t", &plain(&["e"])).await, (0, 2));
        assert_eq!(values(&mut client, "t", 0).await, ["a", "c", "e"]);
        node.stop().await;
    });
}

/// PRD-19: while a raised minimum is not reached, nothing more is committed and nobody is answered.
#[test]
fn a_raised_minimum_holds_back_the_acknowledgement() {
    run(async {
        let home = Home::new();
        let disk = FaultyDisk::new(&home.path().join("t-0"));
        let topics = [planted(("t", 11), &[1, ABSENT], (&[1], 1))];
        let with_disk = Parts { disk: disk.disk(), ..Parts::default() };
        let node = start_with(&plant(&home, &topics, ""), with_disk).await.unwrap();
        let mut client = Client::connect(&node).await;
        let mut other = Client::connect(&node).await;
        disk.set(State::FlushesWait);
        let frame = client.frame(ApiKey::Produce, 9, &request(-1, &parts(&[("t", 0, &plain(&["a"]))])));
        client.send_raw(&frame).await;
        let own = append_behind(&mut other, "t", 1).await;
        set(&mut other, "t", ("min.insync.replicas", "2")).await;
        disk.set(State::Working);
        append_behind(&mut other, "t", 1 + own).await;
        assert!(values(&mut other, "t", 0).await.is_empty(), "committed with too few in sync");
        set(&mut other, "t", ("min.insync.replicas", "1")).await;
        let answer = client.receive().await.unwrap();
        let answer = ProduceResponse::decode(&mut Reader::new(&answer[5..]), 9).unwrap();
        assert_eq!(rows(answer)[0].error_code, 0);
        node.stop().await;
    });
}

/// PRD-07, PRD-19: a directory that fails while a request waits for it, and afterwards.
#[test]
fn a_failed_directory_is_told_to_those_who_wait_and_to_those_who_come() {
    run(async {
        let home = Home::new();
        let (first, second) = (home.path().join("first"), home.path().join("second"));
        let disk = FaultyDisk::new(&second);
        let with_disk = Parts { disk: disk.disk(), ..Parts::default() };
        let dirs = format!("log.dirs={},{}\n", first.display(), second.display());
        let node = start_with(&properties(home.path(), &dirs), with_disk).await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 2).await;
        let failing = i32::from(second.join("t-1").exists());
        disk.set(State::FlushesFail);
        let batch = plain(&["a"]);
        let asked = request(-1, &parts(&[("t", failing, &batch), ("t", 1 - failing, &batch)]));
        assert_eq!(codes(&mut client, 9, &asked).await, [56, 0]);
        for acks in [1, -1] {
            let asked = request(acks, &parts(&[("t", failing, &batch), ("t", 1 - failing, &batch)]));
            assert_eq!(codes(&mut client, 9, &asked).await, [56, 0]);
        }
        disk.set(State::Working);
        node.stop().await;
    });
}
