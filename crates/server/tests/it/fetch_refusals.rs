//! What a fetch is told where it gets no records: ends of a log, names, epochs, permissions.

use ottla_model::Uuid;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::fetch_request::FetchPartition;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest, FetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceResponse, delete_topics_request,
};
use ottla_security::Operation;

use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, address, properties, run, start, start_with};
use crate::reading::{
    LONG_AGO, append, ask_fetch, batch, batch_at, code, create, delete_below, fetch, fetch_by_id, forbidding,
    from, look, offset, offset_at, produce, receive_fetch, rows, topic_id, values,
};

/// High watermark, last stable offset and log start as told.
fn limits(partition: &PartitionData) -> (i64, i64, i64) {
    (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset)
}

/// FET-14, FET-15, FET-16, FET-17, LO-02, LO-04, TRAP-14, TRAP-43: above the high watermark a log is empty, not an error;
/// only beyond its end it is one. A reader that waits gets the records once they are committed.
#[test]
fn records_are_seen_once_they_are_committed() {
    run(async {
        let home = Home::new();
        let disk = FaultyDisk::new(&home.path().join("t-0"));
        let parts = Parts { disk: disk.disk(), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), parts).await.unwrap();
        let (mut client, mut waiting) = (Client::connect(&node).await, Client::connect(&node).await);
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        disk.set(State::FlushesWait);
        let later = batch_at(LONG_AGO + 1000, &["b", "c"]);
        let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, &produce("t", 0, 1, later)).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);
        for (at, expected) in [(0, vec!["0:a"]), (1, vec![]), (2, vec![]), (3, vec![])] {
            let seen = look(&mut client, ("t", 0), at).await;
            assert_eq!((seen.error_code, limits(&seen)), (code::NONE, (1, 1, 0)), "at {at}");
            assert_eq!(values(&seen), expected, "at {at}");
        }
        for beyond in [4, 1 << 40, i64::MAX, -1, i64::MIN] {
            let seen = look(&mut client, ("t", 0), beyond).await;
            assert_eq!(
                (seen.error_code, limits(&seen)),
                (code::OFFSET_OUT_OF_RANGE, (-1, -1, -1)),
                "{beyond}"
            );
        }
        let debugging = |timestamp| ottla_protocol::messages::ListOffsetsRequest {
            replica_id: -2,
            ..offset_at("t", timestamp)
        };
        assert_eq!(offset(&mut client, 10, &offset_at("t", -1)).await.1, 1);
        assert_eq!(offset(&mut client, 10, &debugging(-1)).await.1, 3, "a tool sees the log as it is");
        for time in [-3, LONG_AGO + 1000] {
            assert_eq!(offset(&mut client, 10, &offset_at("t", time)).await, (code::NONE, -1, -1));
            assert_eq!(offset(&mut client, 10, &debugging(time)).await.1, 1);
        }
        let long = FetchRequest { max_wait_ms: 600_000, ..fetch(&[("t", &[from(0, 1)])]) };
        let frame = waiting.frame(ApiKey::Fetch, 12, &long);
        waiting.send_raw(&frame).await;
        disk.set(State::Working);
        let seen = receive_fetch(&waiting, 12).await.responses[0].partitions[0].clone();
        assert_eq!((values(&seen), limits(&seen)), (vec!["1:b".to_owned(), "2:c".to_owned()], (3, 3, 0)));
        assert_eq!(offset(&mut client, 10, &offset_at("t", LONG_AGO + 1000)).await.1, 1);
        delete_below(&mut client, "t", 2).await;
        let seen = look(&mut client, ("t", 0), 1).await;
        assert_eq!((seen.error_code, limits(&seen)), (code::OFFSET_OUT_OF_RANGE, (-1, -1, -1)));
        let seen = look(&mut client, ("t", 0), 2).await;
        assert_eq!(limits(&seen), (3, 3, 2));
        node.stop().await;
    });
}

async fn delete_topic(client: &mut Client, name: &str) {
    let topic = delete_topics_request::DeleteTopicState { name: Some(name.to_owned()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request).await;
    assert_eq!(answer.responses[0].error_code, code::NONE, "{answer:?}");
}

/// FET-21: since version 13 topics are named by their ids, and a topic made anew is another one.
#[test]
fn a_topic_is_found_by_its_id() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        let (id, _) = topic_id(&mut client, "t").await;
        let strange = Uuid::from_bytes([7; 16]);
        let none = Uuid::from_bytes([0; 16]);
        let mut told = async |ids: &[Uuid]| -> Vec<(Uuid, i32, i16, Vec<String>)> {
            let partitions = [from(0, 0), from(9, 0)];
            let topics: Vec<(Uuid, &[FetchPartition])> =
                ids.iter().map(|id| (*id, partitions.as_slice())).collect();
            let answer: FetchResponse = client.ask(ApiKey::Fetch, 17, &fetch_by_id(&topics)).await;
            let mut told = Vec::new();
            for topic in &answer.responses {
                assert_eq!(topic.topic, "");
                for partition in &topic.partitions {
                    let at = (topic.topic_id, partition.partition_index);
                    told.push((at.0, at.1, partition.error_code, values(partition)));
                }
            }
            told
        };
        let unknown = |id| [0, 9].map(|index| (id, index, code::UNKNOWN_TOPIC_ID, Vec::new())).to_vec();
        let known = |id: Uuid, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            vec![(id, 0, code::NONE, values), (id, 9, code::UNKNOWN_TOPIC_OR_PARTITION, Vec::new())]
        };
        let all = [known(id, &["0:a"]), unknown(strange), unknown(none)].concat();
        assert_eq!(told(&[id, strange, none]).await, all);
        let mut other = Client::connect(&node).await;
        delete_topic(&mut other, "t").await;
        assert_eq!(told(&[id]).await, unknown(id));
        create(&mut other, "t", 1, &[]).await;
        let (again, _) = topic_id(&mut other, "t").await;
        assert_eq!(told(&[id, again]).await, [unknown(id), known(again, &[])].concat());
        node.stop().await;
    });
}

/// A node that was started three times and took records in each of its epochs: two, three and one.
struct ThreeEpochs {
    home: Home,
    node: ottla_server::RunningNode,
    client: Client,
    epochs: [i32; 3],
}

async fn three_epochs() -> ThreeEpochs {
    let home = Home::new();
    let mut node = start(&home, "").await.unwrap();
    let mut client = Client::connect(&node).await;
    create(&mut client, "t", 1, &[]).await;
    let mut epochs = [0; 3];
    for (at, records) in [&["a", "b"][..], &["c", "d", "e"], &["f"]].into_iter().enumerate() {
        if at > 0 {
            node.stop().await;
            node = start(&home, "").await.unwrap();
            client = Client::connect(&node).await;
        }
        append(&mut client, ("t", 0), batch(records)).await;
        epochs[at] = topic_id(&mut client, "t").await.1;
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    ThreeEpochs { home, node, client, epochs }
}

/// FET-22, FET-30, LO-05: a client whose epoch is behind is told who leads now, one that is ahead of this broker waits.
#[test]
fn the_leader_epoch_of_a_client_is_checked() {
    run(async {
        let ThreeEpochs { home, node, mut client, epochs: [_, before, current] } = three_epochs().await;
        let port = i32::from(address(&node).port());
        let cases = [
            (-1, code::NONE),
            (current, code::NONE),
            (before, code::FENCED_LEADER_EPOCH),
            (0, code::FENCED_LEADER_EPOCH),
            (current + 1, code::UNKNOWN_LEADER_EPOCH),
        ];
        let (id, _) = topic_id(&mut client, "t").await;
        for (epoch, expected) in cases {
            let partitions = [FetchPartition { current_leader_epoch: epoch, ..from(0, 0) }];
            for version in [11, 12, 15, 16, 17] {
                let request = match version {
                    ..13 => fetch(&[("t", &partitions)]),
                    _ => fetch_by_id(&[(id, &partitions)]),
                };
                let answer: FetchResponse = client.ask(ApiKey::Fetch, version, &request).await;
                let told = &answer.responses[0].partitions[0];
                assert_eq!(told.error_code, expected, "epoch {epoch} in version {version}");
                let named = expected == code::FENCED_LEADER_EPOCH && version >= 16;
                let leader = (told.current_leader.leader_id, told.current_leader.leader_epoch);
                assert_eq!(leader, if named { (1, current) } else { (-1, -1) }, "version {version}");
                let endpoints: Vec<(i32, i32)> =
                    answer.node_endpoints.iter().map(|node| (node.node_id, node.port)).collect();
                assert_eq!(endpoints, if named { vec![(1, port)] } else { vec![] }, "version {version}");
            }
            for timestamp in [-1, -2, -3, -4, LONG_AGO] {
                let mut request = offset_at("t", timestamp);
                request.topics[0].partitions[0].current_leader_epoch = epoch;
                assert_eq!(offset(&mut client, 10, &request).await.0, expected, "timestamp {timestamp}");
            }
            let (error, _, _) = epoch_end(&mut client, (current, epoch)).await;
            assert_eq!(error, expected);
        }
        let below_all = epoch_end(&mut client, (current, -2)).await;
        assert_eq!(below_all, (code::FENCED_LEADER_EPOCH, -1, -1), "only -1 stands for none");
        node.stop().await;
        drop(home);
    });
}

/// The answer of OffsetForLeaderEpoch to `asked`, from somebody who believes in epoch `believed`.
async fn epoch_end(client: &mut Client, (asked, believed): (i32, i32)) -> (i16, i32, i64) {
    let partition =
        OffsetForLeaderPartition { partition: 0, current_leader_epoch: believed, leader_epoch: asked };
    let topic = OffsetForLeaderTopic { topic: "t".to_owned(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    let answer: OffsetForLeaderEpochResponse = client.ask(ApiKey::OffsetForLeaderEpoch, 4, &request).await;
    let told = &answer.topics[0].partitions[0];
    (told.error_code, told.leader_epoch, told.end_offset)
}

/// FET-34, FET-22: records of a replica's fetch are for replicas; in a cluster of one there is no other. Who asks in vain is
/// told who leads.
#[test]
fn a_stranger_gets_nothing_as_a_replica() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        for replica_id in [1, 5] {
            let request = FetchRequest { replica_id, ..fetch(&[("t", &[from(0, 0)])]) };
            let answer = ask_fetch(&mut client, &request).await;
            assert_eq!((rows(&answer)[0].2, rows(&answer)[0].3), (code::NOT_LEADER_OR_FOLLOWER, 0));
        }
        let (id, epoch) = topic_id(&mut client, "t").await;
        for version in [15, 16, 17] {
            let mut request = fetch_by_id(&[(id, &[from(0, 0)])]);
            request.replica_state.replica_id = 5;
            let answer: FetchResponse = client.ask(ApiKey::Fetch, version, &request).await;
            let told = &answer.responses[0].partitions[0];
            assert_eq!(told.error_code, code::NOT_LEADER_OR_FOLLOWER);
            let leader = (told.current_leader.leader_id, told.current_leader.leader_epoch);
            assert_eq!(leader, if version >= 16 { (1, epoch) } else { (-1, -1) }, "version {version}");
            let nodes: Vec<i32> = answer.node_endpoints.iter().map(|node| node.node_id).collect();
            assert_eq!(nodes, if version >= 16 { vec![1] } else { vec![] }, "version {version}");
        }
        node.stop().await;
    });
}

/// FET-15, FET-30: the epoch is looked at before the offset.
#[test]
fn a_wrong_epoch_says_more_than_a_wrong_offset() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        for offset in [-5, 9] {
            let partition = FetchPartition { current_leader_epoch: 3, ..from(0, offset) };
            let answer = ask_fetch(&mut client, &fetch(&[("t", &[partition])])).await;
            assert_eq!(rows(&answer)[0].2, code::UNKNOWN_LEADER_EPOCH);
            let partition = FetchPartition { last_fetched_epoch: 0, ..from(0, offset) };
            let answer = ask_fetch(&mut client, &fetch(&[("t", &[partition])])).await;
            let told = &answer.responses[0].partitions[0];
            let expected = if offset < 0 { (code::OFFSET_OUT_OF_RANGE, -1) } else { (code::NONE, 0) };
            assert_eq!((told.error_code, told.diverging_epoch.end_offset), expected);
        }
        node.stop().await;
    });
}

/// FET-32, TRAP-17: the end of an epoch is the start of the next one, and nothing is said of epochs to come.
#[test]
fn the_end_of_every_epoch_is_known() {
    run(async {
        let ThreeEpochs { home, node, mut client, epochs: [first, second, third] } = three_epochs().await;
        let cases = [
            (third, (third, 6)),
            (third + 1, (-1, -1)),
            (i32::MAX, (-1, -1)),
            (second, (second, 5)),
            (third - 1, (second, 5)),
            (first, (first, 2)),
            (second - 1, (first, 2)),
            (-1, (-1, -1)),
        ];
        for (asked, (epoch, end)) in cases {
            assert_eq!(epoch_end(&mut client, (asked, -1)).await, (code::NONE, epoch, end), "epoch {asked}");
        }
        delete_below(&mut client, "t", 3).await;
        assert_eq!(epoch_end(&mut client, (first, -1)).await, (code::NONE, first, 3), "before all known");
        assert_eq!(epoch_end(&mut client, (second, -1)).await, (code::NONE, second, 5));
        node.stop().await;
        drop(home);
    });
}

/// FET-31, TRAP-17: a reader whose log went another way is told where, and gets no records.
#[test]
fn a_reader_that_went_another_way_is_told_where() {
    run(async {
        let ThreeEpochs { home, node, mut client, epochs: [first, second, third] } = three_epochs().await;
        let mut told = async |last_fetched_epoch: i32, offset: i64| {
            let partition = FetchPartition { last_fetched_epoch, ..from(0, offset) };
            let answer = ask_fetch(&mut client, &fetch(&[("t", &[partition])])).await;
            let told = answer.responses[0].partitions[0].clone();
            let diverging = (told.diverging_epoch.epoch, told.diverging_epoch.end_offset);
            (told.error_code, diverging, values(&told).len(), told.high_watermark)
        };
        let none = (-1, -1);
        assert_eq!(told(-1, 3).await, (code::NONE, none, 4, 6), "the batch of three, and the last one");
        assert_eq!(told(first, 2).await, (code::NONE, none, 4, 6), "the first epoch ends there");
        assert_eq!(told(first, 3).await, (code::NONE, (first, 2), 0, 6), "its log is longer");
        assert_eq!(told(second, 5).await, (code::NONE, none, 1, 6));
        assert_eq!(
            told(second - 1, 2).await,
            match second - 1 == first {
                true => (code::NONE, none, 4, 6),
                false => (code::NONE, (first, 2), 0, 6),
            }
        );
        assert_eq!(told(third, 6).await, (code::NONE, none, 0, 6));
        assert_eq!(told(third, 7).await, (code::NONE, (third, 6), 0, 6), "beyond the end, yet no error");
        assert_eq!(told(third + 1, 3).await, (code::OFFSET_OUT_OF_RANGE, none, 0, -1), "not known here");
        let mut other = Client::connect(&node).await;
        delete_below(&mut other, "t", 3).await;
        assert_eq!(told(first, 2).await, (code::OFFSET_OUT_OF_RANGE, none, 0, -1), "below the log start");
        assert_eq!(told(second, 3).await, (code::NONE, none, 4, 6));
        node.stop().await;
        drop(home);
    });
}

/// FET-34, LO-05: consumers need to read the topic, whoever asks for offsets to describe it, replicas need the cluster's
/// permission.
#[test]
fn whoever_may_not_is_told_so_for_every_partition() {
    run(async {
        let home = Home::new();
        let forbidden = [
            (Operation::ClusterAction, "kafka-cluster"),
            (Operation::Read, "secret"),
            (Operation::Describe, "hidden"),
        ];
        let node = start_with(&properties(home.path(), ""), forbidding(&forbidden)).await.unwrap();
        let mut client = Client::connect(&node).await;
        for topic in ["open", "secret", "hidden"] {
            create(&mut client, topic, 1, &[]).await;
        }
        let topics = ["open", "secret", "missing"];
        let asked = topics.map(|topic| (topic, [from(0, 0)]));
        let asked: Vec<(&str, &[FetchPartition])> =
            asked.iter().map(|(topic, partitions)| (*topic, partitions.as_slice())).collect();
        let codes = |answer: &FetchResponse| rows(answer).iter().map(|row| row.2).collect::<Vec<i16>>();
        let refused = code::TOPIC_AUTHORIZATION_FAILED;
        let answer = ask_fetch(&mut client, &fetch(&asked)).await;
        assert_eq!(codes(&answer), [code::NONE, refused, code::UNKNOWN_TOPIC_OR_PARTITION]);
        let answer = ask_fetch(&mut client, &FetchRequest { replica_id: 1, ..fetch(&asked) }).await;
        assert_eq!(codes(&answer), [refused; 3]);
        let (id, _) = topic_id(&mut client, "secret").await;
        let answer: FetchResponse = client.ask(ApiKey::Fetch, 17, &fetch_by_id(&[(id, &[from(0, 0)])])).await;
        assert_eq!(codes(&answer), [refused]);
        for timestamp in [-1, -2, -3, LONG_AGO] {
            assert_eq!(offset(&mut client, 10, &offset_at("hidden", timestamp)).await, (refused, -1, -1));
            assert_eq!(offset(&mut client, 10, &offset_at("secret", timestamp)).await.0, code::NONE);
        }
        node.stop().await;
    });
}

/// FET-22: an isolation level that there is not is answered as by Kafka, which fails: before topics went by ids every
/// partition says so. Where nothing could be read it is not even looked at.
#[test]
fn an_unknown_isolation_level_is_a_failure_of_the_server() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 2, &[]).await;
        let odd = |request: FetchRequest| FetchRequest { isolation_level: 2, ..request };
        let named = odd(fetch(&[("t", &[from(0, 0), from(1, 0)]), ("missing", &[from(0, 0)])]));
        let answer = ask_fetch(&mut client, &named).await;
        assert_eq!(answer.error_code, -1);
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<_> = partitions.map(|row| (row.error_code, row.partition_index, limits(row))).collect();
        assert_eq!(told, [(-1, 0, (-1, -1, -1)), (-1, 1, (-1, -1, -1)), (-1, 0, (-1, -1, -1))]);
        let (id, _) = topic_id(&mut client, "t").await;
        let by_id: FetchResponse =
            client.ask(ApiKey::Fetch, 13, &odd(fetch_by_id(&[(id, &[from(0, 0)])]))).await;
        assert_eq!((by_id.error_code, by_id.responses.len()), (-1, 0));
        let nothing = ask_fetch(&mut client, &odd(fetch(&[("missing", &[from(0, 0)])]))).await;
        assert_eq!((nothing.error_code, nothing.responses[0].partitions[0].error_code), (0, 3));
        node.stop().await;
    });
}
