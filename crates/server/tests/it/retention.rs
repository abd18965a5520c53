//! What is too old or too much goes, on a node that looks often; what must stay stays.

use std::fs;

use ottla_env::time::wall_now;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::ProduceResponse;

use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::reading::{
    LONG_AGO, TOPIC, append, batch_at, code, create, delete_below, keyed_batch_at, log_start, look, offset,
    offset_at, produce, set_config, until, until_log_start, values,
};

/// The janitor looks a hundred times in a second, and files go at once.
const OFTEN: &str =
    "log.initial.task.delay.ms=0\nlog.retention.check.interval.ms=10\nlog.segment.delete.delay.ms=0\n";

/// A minute: records further apart lie in segments of their own.
const SEGMENT_MS: (&str, &str) = ("segment.ms", "60000");

/// Appends a record in a segment of its own for each minute from `first` on.
async fn fill(client: &mut Client, topic: &str, (first, minutes): (i64, i64)) {
    for minute in 0..minutes {
        append(client, (topic, 0), keyed_batch_at(first + minute * 120_000, Some("k"), &["x"])).await;
    }
}

/// Waits until every log was looked at since this call: a record that is too old goes twice, and between that lies a
/// whole round.
async fn after_a_round(client: &mut Client) {
    for _ in 0..2 {
        let end = append(client, ("witness", 0), batch_at(LONG_AGO, &["x"])).await + 1;
        until_log_start(client, "witness", end).await;
    }
}

/// LOG-02: by time the oldest segments go, the active one too; one of the future keeps what follows it; a log without a
/// limit keeps everything.
#[test]
fn old_segments_go_up_to_one_that_is_not_old() {
    run(async {
        let home = Home::new();
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "witness", 1, &[]).await;
        let now = wall_now().millis();
        for (topic, configs) in [
            ("old", &[SEGMENT_MS][..]),
            ("for-ever", &[SEGMENT_MS, ("retention.ms", "-1")]),
            ("young", &[SEGMENT_MS, ("retention.ms", "3600000")]),
            ("future", &[SEGMENT_MS]),
        ] {
            create(&mut client, topic, 1, configs).await;
        }
        fill(&mut client, "old", (LONG_AGO, 3)).await;
        until_log_start(&mut client, "old", 3).await;
        assert_eq!(append(&mut client, ("old", 0), batch_at(now, &["new"])).await, 3);
        fill(&mut client, "for-ever", (LONG_AGO, 3)).await;
        fill(&mut client, "young", (now - 7_200_000, 2)).await;
        fill(&mut client, "young", (now - 600_000, 2)).await;
        append(&mut client, ("future", 0), batch_at(LONG_AGO, &["a"])).await;
        append(&mut client, ("future", 0), batch_at(now + 1_800_000, &["b"])).await;
        append(&mut client, ("future", 0), batch_at(LONG_AGO, &["c"])).await;
        after_a_round(&mut client).await;
        for (topic, expected) in [("old", 3), ("for-ever", 0), ("young", 2), ("future", 1)] {
            assert_eq!(log_start(&mut client, topic).await, expected, "{topic}");
        }
        let rest = look(&mut client, ("future", 0), 1).await;
        assert_eq!((values(&rest), rest.log_start_offset), (vec!["1:b".to_owned(), "2:c".to_owned()], 1));
        assert_eq!(look(&mut client, ("future", 0), 0).await.error_code, code::OFFSET_OUT_OF_RANGE);
        node.stop().await;
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        for (topic, start, end) in [("old", 3, 4), ("for-ever", 0, 3), ("young", 2, 4), ("future", 1, 3)] {
            assert_eq!(log_start(&mut client, topic).await, start, "{topic}");
            assert_eq!(offset(&mut client, 10, &offset_at(topic, -1)).await.1, end, "{topic}");
        }
        node.stop().await;
    });
}

/// LOG-02: by size the oldest segments go as long as what is left is not below the limit.
#[test]
fn a_log_keeps_at_least_its_size() {
    run(async {
        let home = Home::new();
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "witness", 1, &[]).await;
        let one = keyed_batch_at(0, Some("k"), &["x"]).len();
        let now = wall_now().millis();
        let limits = [(0, 5), (1, 4), (one, 4), (2 * one, 3), (2 * one + 1, 2), (5 * one, 0)];
        for (limit, _) in limits {
            let limit_text = limit.to_string();
            let configs = [SEGMENT_MS, ("retention.bytes", limit_text.as_str())];
            create(&mut client, &format!("at-{limit}"), 1, &configs).await;
            fill(&mut client, &format!("at-{limit}"), (now - 900_000, 5)).await;
        }
        after_a_round(&mut client).await;
        for (limit, expected) in limits {
            assert_eq!(log_start(&mut client, &format!("at-{limit}")).await, expected, "{limit} bytes");
        }
        node.stop().await;
    });
}

/// LOG-02: the policy decides: without `delete` only deleted records go, with both what either says.
#[test]
fn the_policy_decides_what_goes() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "witness", 1, &[]).await;
        for (topic, policy) in [("compacted", "compact"), ("both", "compact,delete"), ("none", "")] {
            create(&mut client, topic, 1, &[SEGMENT_MS, ("retention.bytes", "1")]).await;
            fill(&mut client, topic, (LONG_AGO, 4)).await;
            delete_below(&mut client, topic, 2).await;
            set_config(&mut client, (TOPIC, topic), ("cleanup.policy", policy)).await;
        }
        node.stop().await;
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        until_log_start(&mut client, "both", 4).await;
        after_a_round(&mut client).await;
        for topic in ["compacted", "none"] {
            assert_eq!(log_start(&mut client, topic).await, 2, "{topic}");
            let left = ["00000000000000000002.log", "00000000000000000003.log"];
            until(|| segments(&home, topic) == left).await;
        }
        node.stop().await;
    });
}

/// The segment files of partition 0, those that wait for their removal too.
fn segments(home: &Home, topic: &str) -> Vec<String> {
    let entries = fs::read_dir(home.path().join(format!("{topic}-0"))).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains(".log")).collect();
    names.sort();
    names
}

/// LOG-02: nothing above the high watermark goes, however old it is.
#[test]
fn nothing_goes_that_is_not_committed() {
    run(async {
        let home = Home::new();
        let disk = FaultyDisk::new(&home.path().join("t-0"));
        let parts = Parts { disk: disk.disk(), ..Parts::default() };
        let node = start_with(&properties(home.path(), OFTEN), parts).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "witness", 1, &[]).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch_at(LONG_AGO, &["a"])).await;
        until_log_start(&mut client, "t", 1).await;
        disk.set(State::FlushesWait);
        let answer: ProduceResponse =
            client.ask(ApiKey::Produce, 9, &produce("t", 0, 1, batch_at(LONG_AGO, &["b"]))).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);
        after_a_round(&mut client).await;
        assert_eq!(log_start(&mut client, "t").await, 1);
        disk.set(State::Working);
        until_log_start(&mut client, "t", 2).await;
        node.stop().await;
    });
}
