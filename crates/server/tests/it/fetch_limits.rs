//! How much a fetch is given, and when: limits of size, minimum and wait.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::fetch_request::FetchPartition;
use ottla_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest, delete_topics_request,
};

use crate::node::{Client, Home, run, start};
use crate::reading::{
    LONG_AGO, append, ask_fetch, batch, batch_at, code, create, fetch, fetch_by_id, from, look,
    receive_fetch, rows, topic_id, values,
};

/// Longer than any test lives: what is answered nevertheless was not waited for.
const FOR_EVER: i32 = 600_000;

fn most(bytes: i32, partition: FetchPartition) -> FetchPartition {
    FetchPartition { partition_max_bytes: bytes, ..partition }
}

/// Bytes of records by partition.
async fn sizes(client: &mut Client, request: &FetchRequest) -> Vec<(i32, usize)> {
    let answer = ask_fetch(client, request).await;
    let rows = rows(&answer).into_iter();
    rows.map(|(_, index, error, bytes)| {
        assert_eq!(error, code::NONE);
        (index, bytes)
    })
    .collect()
}

/// FET-11, FET-12, TRAP-13: partitions are served in the order of the request; the first batch comes whole whatever the
/// limits, all else keeps to them.
#[test]
fn limits_hold_for_all_but_the_first_batch() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 4, &[]).await;
        let one = batch(&["x".repeat(1000).as_str()]);
        let (size, bytes) = (one.len(), i32::try_from(one.len()).unwrap());
        for index in 0..3 {
            for _ in 0..4 {
                append(&mut client, ("t", index), one.clone()).await;
            }
        }
        let parts = |limit: i32, offset: i64, order: [i32; 4]| order.map(|at| most(limit, from(at, offset)));
        let cases: [(&str, i32, i32, [usize; 4]); 7] = [
            ("each its share", bytes + 1, 1 << 20, [0, size, size, size]),
            ("a whole batch though a partition may have less", 10, 1 << 20, [0, size, 0, 0]),
            ("a whole batch though the answer may have less", 1 << 20, 10, [0, size, 0, 0]),
            ("a whole batch though nothing is asked for", 0, 0, [0, size, 0, 0]),
            ("whole batches only", 2 * bytes + bytes / 2, 1 << 20, [0, 2 * size, 2 * size, 2 * size]),
            ("what is left goes to the next ones", 3 * bytes, 5 * bytes, [0, 3 * size, 2 * size, 0]),
            ("a rest too small for a batch stays", 2 * bytes, 3 * bytes - 1, [0, 2 * size, 0, 0]),
        ];
        for (story, partition_max, max_bytes, expected) in cases {
            let order = [3, 2, 0, 1];
            let partitions = parts(partition_max, 0, order);
            let request = FetchRequest { max_bytes, ..fetch(&[("t", &partitions)]) };
            let expected: Vec<(i32, usize)> = order.into_iter().zip(expected).collect();
            assert_eq!(sizes(&mut client, &request).await, expected, "{story}");
        }
        append(&mut client, ("t", 3), batch(&["small"])).await;
        let partitions = [from(2, 0), from(3, 0)];
        let request = FetchRequest { max_bytes: bytes + bytes / 2, ..fetch(&[("t", &partitions)]) };
        let told = sizes(&mut client, &request).await;
        assert_eq!(told, [(2, size), (3, 0)], "the rest is the next batch's, which Kafka sends in part");
        node.stop().await;
    });
}

/// FET-10, TRAP-13: the broker's limit holds whatever the client asks for, and no minimum can lie above the limits.
#[test]
fn the_broker_limits_an_answer_and_its_minimum() {
    run(async {
        let home = Home::new();
        let node = start(&home, "fetch.max.bytes=1024\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 2, &[]).await;
        let one = batch(&["x".repeat(200).as_str()]);
        let whole = 1024 / one.len() * one.len();
        for index in [0, 1] {
            for _ in 0..5 {
                append(&mut client, ("t", index), one.clone()).await;
            }
        }
        let request = fetch(&[("t", &[from(0, 0), from(1, 0)])]);
        assert_eq!(sizes(&mut client, &request).await, [(0, whole), (1, 0)]);
        let patient = FetchRequest { min_bytes: i32::MAX, max_wait_ms: FOR_EVER, ..request };
        assert_eq!(sizes(&mut client, &patient).await, [(0, whole), (1, 0)], "more would never fit");
        let large = batch(&["x".repeat(5000).as_str()]);
        let at = append(&mut client, ("t", 0), large.clone()).await;
        let request = fetch(&[("t", &[from(0, at), from(1, 0)])]);
        assert_eq!(sizes(&mut client, &request).await, [(0, large.len()), (1, 0)]);
        // A partition that has all it may have keeps nobody waiting either.
        let full = [most(i32::try_from(one.len()).unwrap(), from(1, 0)), from(0, at + 1)];
        let patient = FetchRequest { min_bytes: 1000, max_wait_ms: FOR_EVER, ..fetch(&[("t", &full)]) };
        assert_eq!(sizes(&mut client, &patient).await, [(1, one.len()), (0, 0)]);
        node.stop().await;
    });
}

/// FET-13: reasons to answer at once, whatever the minimum and the longest wait.
#[test]
fn some_fetches_do_not_wait() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[("segment.ms", "1000")]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        append(&mut client, ("t", 0), batch_at(LONG_AGO + 60_000, &["b"])).await;
        let (_, epoch) = topic_id(&mut client, "t").await;
        let end = from(0, 2);
        let ahead = FetchPartition { last_fetched_epoch: epoch, ..from(0, 3) };
        let (there, missing) = (("t", [end]), ("missing", [from(0, 0)]));
        let patient = |topics: &[(&str, &[FetchPartition])]| FetchRequest {
            max_wait_ms: FOR_EVER,
            min_bytes: 1 << 20,
            ..fetch(topics)
        };
        let at_end = patient(&[(there.0, &there.1)]);
        let cases = [
            ("nothing is asked for", patient(&[])),
            ("no wait", FetchRequest { max_wait_ms: 0, ..at_end.clone() }),
            ("less than no wait", FetchRequest { max_wait_ms: -1, ..at_end.clone() }),
            ("no minimum", FetchRequest { min_bytes: 0, ..at_end }),
            ("an error", patient(&[(there.0, &there.1), (missing.0, &missing.1)])),
            ("older segments", patient(&[("t", &[from(0, 0)])])),
            ("a log that went another way", patient(&[("t", &[ahead])])),
        ];
        for (story, request) in cases {
            let answer = ask_fetch(&mut client, &request).await;
            assert_eq!(rows(&answer).len(), request.topics.len(), "{story}");
        }
        let short = FetchRequest { max_wait_ms: 20, ..patient(&[("t", &[from(0, 1)])]) };
        let answer = ask_fetch(&mut client, &short).await;
        assert_eq!(values(&answer.responses[0].partitions[0]), ["1:b"], "in the end what there is");
        node.stop().await;
    });
}

/// FET-13, FET-14: a fetch that waits is answered once its partitions together have enough, and when one goes away.
#[test]
fn a_waiting_fetch_is_answered_when_there_is_enough() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let (mut reader, mut writer) = (Client::connect(&node).await, Client::connect(&node).await);
        create(&mut writer, "t", 2, &[]).await;
        let one = batch(&["x"]);
        let min_bytes = i32::try_from(2 * one.len()).unwrap();
        let waiting =
            FetchRequest { min_bytes, max_wait_ms: FOR_EVER, ..fetch(&[("t", &[from(0, 0), from(1, 0)])]) };
        let frame = reader.frame(ApiKey::Fetch, 12, &waiting);
        reader.send_raw(&frame).await;
        append(&mut writer, ("t", 0), one.clone()).await;
        append(&mut writer, ("t", 1), one.clone()).await;
        let answer = receive_fetch(&reader, 12).await;
        let bytes: Vec<usize> = rows(&answer).into_iter().map(|row| row.3).collect();
        assert_eq!(bytes, [one.len(), one.len()]);
        let (id, _) = topic_id(&mut writer, "t").await;
        let waiting =
            FetchRequest { max_wait_ms: FOR_EVER, ..fetch_by_id(&[(id, &[from(0, 1), from(1, 1)])]) };
        let frame = reader.frame(ApiKey::Fetch, 16, &waiting);
        reader.send_raw(&frame).await;
        delete_topic(&mut writer, "t").await;
        let answer = receive_fetch(&reader, 16).await;
        let codes: Vec<i16> = rows(&answer).into_iter().map(|row| row.2).collect();
        assert!(codes.iter().any(|code| *code != code::NONE), "{codes:?}");
        assert_eq!(look(&mut writer, ("t", 0), 0).await.error_code, code::UNKNOWN_TOPIC_OR_PARTITION);
        node.stop().await;
    });
}

async fn delete_topic(client: &mut Client, name: &str) {
    let topic = delete_topics_request::DeleteTopicState { name: Some(name.to_owned()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer: DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &request).await;
    assert_eq!(answer.responses[0].error_code, code::NONE, "{answer:?}");
}

/// FET-11: a partition that is named twice is asked for once, as the last one says, at the place of the first.
#[test]
fn a_partition_named_twice_is_answered_once() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 2, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        append(&mut client, ("t", 0), batch(&["b"])).await;
        let answer = ask_fetch(&mut client, &fetch(&[("t", &[from(0, 9), from(1, 0), from(0, 1)])])).await;
        let codes: Vec<(i32, i16)> = rows(&answer).into_iter().map(|row| (row.1, row.2)).collect();
        assert_eq!(codes, [(0, code::NONE), (1, code::NONE)]);
        assert_eq!(values(&answer.responses[0].partitions[0]), ["1:b"]);
        node.stop().await;
    });
}

/// FET-05: where no session has a place, a fetch is answered without one.
#[test]
fn sessions_beyond_the_slots_are_not_made() {
    run(async {
        let home = Home::new();
        let node = start(&home, "max.incremental.fetch.session.cache.slots=2\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        let first = FetchRequest { session_epoch: 0, ..fetch(&[("t", &[from(0, 0)])]) };
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let answer = ask_fetch(&mut client, &first).await;
            assert_eq!(values(&answer.responses[0].partitions[0]), ["0:a"]);
            sessions.push(answer.session_id);
        }
        assert!(sessions[0] > 0 && sessions[1] > 0 && sessions[2] == 0, "{sessions:?}");
        let last = FetchRequest { session_id: sessions[0], session_epoch: -1, ..fetch(&[]) };
        assert_eq!(ask_fetch(&mut client, &last).await.session_id, 0);
        assert!(ask_fetch(&mut client, &first).await.session_id > 0, "a place is free again");
        node.stop().await;
    });
}

/// TRAP-31: without a session every partition that was asked for is in the answer, in the order of the request.
#[test]
fn an_answer_names_every_partition_asked_for() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 3, &[]).await;
        create(&mut client, "u", 1, &[]).await;
        append(&mut client, ("t", 1), batch(&["a"])).await;
        let asked: [(&str, &[FetchPartition]); 3] = [
            ("t", &[from(2, 0), from(1, 0), from(7, 0), from(0, 5)]),
            ("missing", &[from(0, 0)]),
            ("u", &[from(0, 0)]),
        ];
        for epoch in [-1, 0] {
            let request = FetchRequest { session_epoch: epoch, max_bytes: 1, ..fetch(&asked) };
            let answer = ask_fetch(&mut client, &request).await;
            assert_eq!(answer.session_id != 0, epoch == 0);
            let told: Vec<(String, i32, i16)> =
                rows(&answer).into_iter().map(|(topic, index, error, _)| (topic, index, error)).collect();
            let row = |topic: &str, index, error| (topic.to_owned(), index, error);
            let expected = [
                row("t", 2, code::NONE),
                row("t", 1, code::NONE),
                row("t", 7, code::UNKNOWN_TOPIC_OR_PARTITION),
                row("t", 0, code::OFFSET_OUT_OF_RANGE),
                row("missing", 0, code::UNKNOWN_TOPIC_OR_PARTITION),
                row("u", 0, code::NONE),
            ];
            assert_eq!(told, expected);
        }
        node.stop().await;
    });
}
