//! Compacted topics on a node that looks often.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use bytes::Bytes;
use ottla_env::{task, time};

use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::operator::{NOBODY, Operator};
use crate::reading::{
    LONG_AGO, TOPIC, append, create, keyed_batch_at, log_start, look, set_config, until, values,
};

/// Logs are looked at a hundred times in a second, and files go at once.
const OFTEN: &str = "log.cleaner.backoff.ms=10\nlog.segment.delete.delay.ms=0\n";

/// Every minute is a segment of its own, and whatever can be compacted is.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.ms", "60000"), ("min.cleanable.dirty.ratio", "0.01")];

/// A record in the segment of that minute.
fn record(minute: i64, key: &str, value: &str) -> Bytes {
    keyed_batch_at(LONG_AGO + minute * 120_000, Some(key), &[value])
}

async fn until_values(client: &mut Client, topic: &str, expected: &[&str]) {
    let deadline = time::now() + Duration::from_secs(60);
    loop {
        let found = values(&look(client, (topic, 0), 0).await);
        if found == expected {
            return;
        }
        assert!(time::now() < deadline, "{topic} has {found:?}, not {expected:?}");
        task::yield_now().await;
    }
}

/// CMP-01, CMP-02: the last value of each key stays, and the active segment as it is; a log that is not dirty enough is
/// left alone. The checkpoint says how far it went, also for the next run.
#[test]
fn old_values_go_while_the_node_runs() {
    run(async {
        let home = Home::new();
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &COMPACTED).await;
        create(&mut client, "lazy", 1, &[COMPACTED[0], COMPACTED[1], ("min.cleanable.dirty.ratio", "1")])
            .await;
        for topic in ["lazy", "t"] {
            for (minute, key, value) in [(0, "a", "1"), (1, "b", "1"), (2, "a", "2"), (3, "b", "2")] {
                append(&mut client, (topic, 0), record(minute, key, value)).await;
            }
        }
        until_values(&mut client, "t", &["1:1", "2:2", "3:2"]).await;
        let checkpoint = home.path().join("cleaner-offset-checkpoint");
        until(|| fs::read_to_string(&checkpoint).is_ok_and(|text| text == "0\n1\nt 0 3\n")).await;
        assert_eq!(log_start(&mut client, "t").await, 0, "offsets do not change");
        until_values(&mut client, "lazy", &["0:1", "1:1", "2:2", "3:2"]).await;
        node.stop().await;
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        until_values(&mut client, "t", &["1:1", "2:2", "3:2"]).await;
        append(&mut client, ("t", 0), record(4, "a", "3")).await;
        append(&mut client, ("t", 0), record(5, "c", "1")).await;
        until_values(&mut client, "t", &["3:2", "4:3", "5:1"]).await;
        node.stop().await;
    });
}

/// CMP-01: with both policies a log is compacted, and what is too old goes.
#[test]
fn a_log_may_be_compacted_and_deleted() {
    run(async {
        let home = Home::new();
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        let both = [("cleanup.policy", "compact,delete"), COMPACTED[1], COMPACTED[2], ("retention.ms", "-1")];
        create(&mut client, "t", 1, &both).await;
        for minute in 0..3 {
            append(&mut client, ("t", 0), record(minute, "a", &minute.to_string())).await;
        }
        until_values(&mut client, "t", &["1:1", "2:2"]).await;
        node.stop().await;
        let often = format!("{OFTEN}log.initial.task.delay.ms=0\nlog.retention.check.interval.ms=10\n");
        let node = start(&home, &often).await.unwrap();
        let mut client = Client::connect(&node).await;
        set_config(&mut client, (TOPIC, "t"), ("retention.ms", "1000")).await;
        crate::reading::until_log_start(&mut client, "t", 3).await;
        node.stop().await;
    });
}

/// CMP-06: a log that cannot be compacted is left alone. It is served and written to, and the others are compacted.
#[test]
fn a_damaged_log_stops_neither_the_node_nor_the_others() {
    run(async {
        let home = Home::new();
        let node = start(&home, "log.cleaner.backoff.ms=3600000\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        for topic in ["bad", "good"] {
            create(&mut client, topic, 1, &COMPACTED).await;
            for minute in 0..3 {
                append(&mut client, (topic, 0), record(minute, "a", &minute.to_string())).await;
            }
        }
        node.stop().await;
        let path = home.path().join("bad-0/00000000000000000000.log");
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut last = [0];
        file.seek(SeekFrom::End(-2)).unwrap();
        file.read_exact(&mut last).unwrap();
        file.seek(SeekFrom::End(-2)).unwrap();
        file.write_all(&[last[0] ^ 1]).unwrap();
        let node = start(&home, OFTEN).await.unwrap();
        let mut client = Client::connect(&node).await;
        until_values(&mut client, "good", &["1:1", "2:2"]).await;
        append(&mut client, ("good", 0), record(3, "a", "3")).await;
        until_values(&mut client, "good", &["2:2", "3:3"]).await;
        append(&mut client, ("bad", 0), record(3, "a", "3")).await;
        assert_eq!(values(&look(&mut client, ("bad", 0), 1).await), ["1:1", "2:2", "3:3"]);
        node.stop().await;
    });
}

/// CMP-06, C4: where there is no room for a compacted segment the log stays as it is, and is compacted once there is.
#[test]
fn a_full_disk_puts_compaction_off() {
    run(async {
        let home = Home::new();
        let disk = FaultyDisk::new(&home.path().join("t-0"));
        let parts = Parts { disk: disk.disk(), ..Parts::default() };
        let more = format!("{OFTEN}log.flush.offset.checkpoint.interval.ms=10\n");
        let node = start_with(&properties(home.path(), &more), parts).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[COMPACTED[0], COMPACTED[1], ("min.cleanable.dirty.ratio", "1")]).await;
        for minute in 0..3 {
            append(&mut client, ("t", 0), record(minute, "a", &minute.to_string())).await;
        }
        // What is closed is on stable storage before the disk is full.
        let points = home.path().join("recovery-point-offset-checkpoint");
        until(|| fs::read_to_string(&points).is_ok_and(|text| text.contains("\nt 0 2\n"))).await;
        disk.set(State::Full);
        set_config(&mut client, (TOPIC, "t"), ("min.cleanable.dirty.ratio", "0.01")).await;
        until(|| disk.times_without_space("00000000000000000000.log.cleaned") > 1).await;
        until_values(&mut client, "t", &["0:0", "1:1", "2:2"]).await;
        disk.set(State::Working);
        until_values(&mut client, "t", &["1:1", "2:2"]).await;
        node.stop().await;
    });
}

/// CMP-01: the topic of committed offsets is compacted too, and they are known afterwards.
#[test]
fn committed_offsets_are_compacted_and_survive() {
    run(async {
        let home = Home::new();
        let node = start(&home, &format!("{OFTEN}offsets.topic.num.partitions=1\n")).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        for (name, value) in [("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")] {
            set_config(&mut operator.client, (TOPIC, "__consumer_offsets"), (name, value)).await;
        }
        let directory = home.path().join("__consumer_offsets-0");
        let bytes = || -> u64 {
            let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap());
            let logs = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"));
            // A file may go between the listing and the look at it.
            logs.filter_map(|log| log.metadata().ok()).map(|log| log.len()).sum()
        };
        let mut at = 0;
        let mut most = 0;
        // As long as nothing is compacted it only grows.
        while bytes() >= most {
            most = bytes();
            at += 1;
            assert_eq!(operator.commit((8, "g"), NOBODY, &format!("t-0={at}")).await, "t-0 NONE");
            assert!(at < 100_000, "{most} bytes");
        }
        assert_eq!(operator.fetch(7, "g", Some("t-0")).await, format!("t-0={at}"));
        node.stop().await;
        let node = start(&home, OFTEN).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.learn("t").await;
        operator.until_coordinated().await;
        assert_eq!(operator.fetch(7, "g", Some("t-0")).await, format!("t-0={at}"));
        node.stop().await;
    });
}
