//! When an acknowledgement is given: what waits for the device, for how long, and what does not.
//!
//! Source: requirements PRD-19, LOG-06; `ottla.ack.durability`.

use ottla_env::task;
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::{ApiKey, Message, Reader};
use ottla_server::RunningNode;

use crate::batches::{append_behind, codes, parts, plain, request, rows, values};
use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start_with};

/// A node on whose disk the syncs of partition `t-0` can be held up.
async fn held_node(home: &Home, more: &str) -> (RunningNode, FaultyDisk, Client) {
    let disk = FaultyDisk::new(&home.path().join("t-0"));
    let with_disk = Parts { disk: disk.disk(), ..Parts::default() };
    let node = start_with(&properties(home.path(), more), with_disk).await.unwrap();
    let mut client = Client::connect(&node).await;
    client.create_topic("t", 1).await;
    (node, disk, client)
}

/// A batch for the gated partition.
fn asked(acks: i16, value: &str) -> ProduceRequest {
    request(acks, &parts(&[("t", 0, &plain(&[value]))]))
}

/// Sends without waiting for the answer.
async fn send(client: &mut Client, request: &ProduceRequest) {
    let frame = client.frame(ApiKey::Produce, 8, request);
    client.send_raw(&frame).await;
}

/// Code and offset of the next answer.
async fn answer(client: &Client) -> (i16, i64) {
    read(&client.receive().await.unwrap())
}

fn read(frame: &[u8]) -> (i16, i64) {
    let answer = ProduceResponse::decode(&mut Reader::new(&frame[4..]), 8).unwrap();
    let row = rows(answer).remove(0);
    (row.error_code, row.base_offset)
}

/// Whether nothing was answered so far.
async fn is_silent(client: &Client) -> bool {
    task::select! {
        biased;
        _ = client.receive() => false,
        () = task::yield_now() => true,
    }
}

/// PRD-19, LOG-06: `acks=all` waits for the flush and shares it; `acks=1` does not wait. What is not flushed is not
/// read.
#[test]
fn acks_all_waits_for_the_flush_and_acks_1_does_not() {
    run(async {
        let home = Home::new();
        let (node, disk, mut client) = held_node(&home, "").await;
        let mut other = Client::connect(&node).await;
        disk.set(State::FlushesWait);
        send(&mut client, &asked(-1, "a")).await;
        send(&mut client, &asked(-1, "b")).await;
        // Both are stored once a third one lies behind them.
        append_behind(&mut other, "t", 2).await;
        assert!(values(&mut other, "t", 0).await.is_empty(), "read before it was flushed");
        assert!(is_silent(&client).await, "acknowledged before it was flushed");
        disk.set(State::Working);
        let (one, two) = (answer(&client).await, answer(&client).await);
        assert_eq!((one.0, two.0), (0, 0));
        assert!(one.1 < two.1, "answers in the order of the requests");
        assert_eq!(codes(&mut other, 8, &asked(-1, "d")).await, [0]);
        let all = values(&mut other, "t", 0).await;
        let wanted = all.iter().filter(|value| ["a", "b", "d"].contains(&value.as_str()));
        assert_eq!(wanted.collect::<Vec<_>>(), ["a", "b", "d"]);
        node.stop().await;
    });
}

/// PRD-19: who waited as long as the request allows is told so; the records stay.
#[test]
fn a_flush_that_takes_too_long_times_the_request_out() {
    run(async {
        let home = Home::new();
        let (node, disk, mut client) = held_node(&home, "").await;
        disk.set(State::FlushesWait);
        for (timeout_ms, value) in [(0, "a"), (1, "b"), (-1, "c")] {
            let impatient = ProduceRequest { timeout_ms, ..asked(-1, value) };
            assert_eq!(codes(&mut client, 8, &impatient).await, [7], "{timeout_ms} ms");
        }
        disk.set(State::Working);
        assert_eq!(codes(&mut client, 8, &asked(-1, "d")).await, [0]);
        assert_eq!(values(&mut client, "t", 0).await, ["a", "b", "c", "d"]);
        node.stop().await;
    });
}

/// PRD-19: a partition that stands in a request twice has two outcomes, and the request waits for both.
#[test]
fn a_partition_may_stand_in_a_request_twice() {
    run(async {
        let home = Home::new();
        let (node, disk, mut client) = held_node(&home, "").await;
        let (first, second) = (plain(&["a"]), plain(&["b"]));
        let twice = request(-1, &parts(&[("t", 0, &first), ("t", 0, &second)]));
        assert_eq!(codes(&mut client, 8, &twice).await, [0, 0]);
        assert_eq!(values(&mut client, "t", 0).await, ["a", "b"]);
        disk.set(State::FlushesWait);
        assert_eq!(codes(&mut client, 8, &ProduceRequest { timeout_ms: 1, ..twice }).await, [7, 7]);
        disk.set(State::Working);
        node.stop().await;
    });
}

/// LOG-06: a topic of Kafka's durability waits for no device.
#[test]
fn a_page_cache_topic_waits_for_no_flush() {
    run(async {
        let home = Home::new();
        let (node, disk, mut client) = held_node(&home, "ottla.ack.durability=page-cache\n").await;
        disk.set(State::FlushesWait);
        for value in ["a", "b"] {
            assert_eq!(codes(&mut client, 8, &asked(-1, value)).await, [0]);
        }
        assert_eq!(values(&mut client, "t", 0).await, ["a", "b"]);
        disk.set(State::Working);
        node.stop().await;
    });
}
