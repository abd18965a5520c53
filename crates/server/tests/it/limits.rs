//! How much a fetch gives, and how long it waits for it.
//!
//! Source: requirements FET-11, FET-13, TRAP-13.

use std::time::Duration;

use ottla_env::time;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{FetchRequest, FetchResponse, fetch_request};

use crate::batches::{append, codes, parts, plain, request};
use crate::node::{Client, Home, run, start};

/// A fetch of the first so many partitions of `t` from their beginning, each with a limit of its own.
fn fetch(partitions: i32, partition_max_bytes: i32) -> FetchRequest {
    let partition =
        |index| fetch_request::FetchPartition { partition: index, partition_max_bytes, ..Default::default() };
    let topic = fetch_request::FetchTopic {
        topic: "t".to_owned(),
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    FetchRequest { max_bytes: 1 << 20, session_epoch: -1, topics: vec![topic], ..Default::default() }
}

/// Bytes of records of each partition.
fn sizes(answer: &FetchResponse) -> Vec<usize> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!(partition.error_code, 0);
            partition.records.as_ref().map_or(0, |records| records.len())
        })
        .collect()
}

/// TRAP-13, FET-11: the limit of the whole answer holds over many partitions; only the first batch may exceed it.
#[test]
fn an_answer_keeps_to_its_size_over_many_partitions() {
    run(async {
        const COUNT: i32 = 40;
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", COUNT).await;
        let batch = plain(&[&"x".repeat(2000)]);
        let everywhere: Vec<_> = (0..COUNT).map(|index| ("t", index, &batch)).collect();
        let stored = codes(&mut client, 9, &request(-1, &parts(&everywhere))).await;
        assert!(stored.iter().all(|code| *code == 0));
        for (max_bytes, whole) in [(1, 1), (5000, 2), (20_000, 9), (1 << 20, 40)] {
            let asked = FetchRequest { max_bytes, ..fetch(COUNT, 1 << 20) };
            let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &asked).await;
            let sizes = sizes(&answer);
            assert_eq!(sizes.len(), 40, "every partition is in the answer");
            assert_eq!(sizes.iter().filter(|size| **size == batch.len()).count(), whole, "{max_bytes}");
            let most = usize::try_from(max_bytes).unwrap().max(batch.len());
            assert!(sizes.iter().sum::<usize>() <= most, "{max_bytes}: {sizes:?}");
        }
        node.stop().await;
    });
}

/// TRAP-13: a partition that has more than the request takes of it is reason enough to answer; one that was read to its
/// end is waited for.
#[test]
fn a_fetch_does_not_wait_for_what_it_could_not_take() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        let batch = plain(&["a"]);
        for _ in 0..3 {
            assert_eq!(append(&mut client, "t", &batch).await.0, 0);
        }
        let two = i32::try_from(2 * batch.len()).unwrap();
        let patient = FetchRequest { min_bytes: 1 << 20, max_wait_ms: 600_000, ..fetch(1, two) };
        let begun = time::now();
        let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &patient).await;
        assert_eq!(sizes(&answer), [2 * batch.len()]);
        let by_answer = FetchRequest { max_bytes: two, ..fetch(1, 1 << 20) };
        let by_answer = FetchRequest { min_bytes: 1 << 20, max_wait_ms: 600_000, ..by_answer };
        let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &by_answer).await;
        assert_eq!(sizes(&answer), [2 * batch.len()]);
        assert!(time::now() - begun < Duration::from_secs(60));
        let begun = time::now();
        let all = FetchRequest { min_bytes: 1 << 20, max_wait_ms: 50, ..fetch(1, 1 << 20) };
        let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &all).await;
        assert_eq!(sizes(&answer), [3 * batch.len()]);
        assert!(time::now() - begun >= Duration::from_millis(50), "it did not wait");
        node.stop().await;
    });
}
