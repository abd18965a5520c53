//! What a crash leaves, and what was promised before it: flushes, checkpoints, repairs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{FetchRequest, ProduceRequest, ProduceResponse};
use ottla_testkit::disk::SimDisk;

use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::reading::{
    LONG_AGO, TOPIC, append, ask_fetch, batch, batch_at, code, create, delete_below, fetch, from, log_start,
    produce, set_config, until, values,
};

/// Everything in partition 0, once it is committed.
async fn everything(client: &mut Client, topic: &str, start: i64) -> Vec<String> {
    let patient = FetchRequest { max_wait_ms: 10_000, ..fetch(&[(topic, &[from(0, start)])]) };
    values(&ask_fetch(client, &patient).await.responses[0].partitions[0])
}

/// The path of a file of partition 0.
fn file(home: &Home, topic: &str, name: &str) -> PathBuf {
    home.path().join(format!("{topic}-0")).join(name)
}

fn files(home: &Home, topic: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(home.path().join(format!("{topic}-0"))).unwrap().map(Result::unwrap);
    let file =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    entries.map(file).collect()
}

/// Makes the last stop look like a crash after which nothing is known to be stable.
fn forget_the_stop(home: &Home) {
    fs::remove_file(home.path().join(".kafka_cleanshutdown")).unwrap();
    fs::write(home.path().join("recovery-point-offset-checkpoint"), "0\n0\n").unwrap();
}

fn longer(path: &Path, bytes: &[u8]) {
    let mut content = fs::read(path).unwrap();
    content.extend(bytes);
    fs::write(path, content).unwrap();
}

/// LOG-04: after a crash every log is read again from its recovery point and cut at the first byte that is not right,
/// with all segments behind it; indexes are made anew; what was half done is finished or dropped.
#[test]
fn what_a_crash_leaves_is_put_in_order() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let topics = ["whole", "torn", "damaged", "bare", "swapped"];
        for topic in topics {
            create(&mut client, topic, 1, &[("segment.ms", "60000"), ("index.interval.bytes", "0")]).await;
            for (minute, value) in ["a", "b", "c"].into_iter().enumerate() {
                let at = LONG_AGO + 120_000 * i64::try_from(minute).unwrap();
                append(&mut client, (topic, 0), batch_at(at, &[value, "x"])).await;
            }
        }
        node.stop().await;
        forget_the_stop(&home);
        let before: BTreeMap<_, _> = topics.map(|topic| (topic, files(&home, topic))).into();
        let last = "00000000000000000004.log";
        let mut next = batch(&["d"]).to_vec();
        next[7] = 6;
        longer(&file(&home, "torn", last), &next[..40]);
        let middle = file(&home, "damaged", "00000000000000000002.log");
        let mut bytes = fs::read(&middle).unwrap();
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        fs::write(middle, bytes).unwrap();
        for name in before["bare"].keys().filter(|name| name.ends_with("index") || name.ends_with("snapshot"))
        {
            fs::remove_file(file(&home, "bare", name)).unwrap();
        }
        for ending in ["log", "index", "timeindex"] {
            let name = format!("00000000000000000002.{ending}");
            fs::rename(file(&home, "swapped", &name), file(&home, "swapped", &format!("{name}.swap")))
                .unwrap();
        }
        fs::write(file(&home, "swapped", "00000000000000000009.log.cleaned"), "half").unwrap();
        fs::write(file(&home, "swapped", "00000000000000000001.log.deleted"), "old").unwrap();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let all = ["0:a", "1:x", "2:b", "3:x", "4:c", "5:x"];
        for topic in topics {
            let left = if topic == "damaged" { &all[..2] } else { &all[..] };
            assert_eq!(everything(&mut client, topic, 0).await, left, "{topic}");
        }
        node.stop().await;
        for topic in ["whole", "torn", "bare", "swapped"] {
            let (mut after, mut before) = (files(&home, topic), before[topic].clone());
            // The epoch of this start is one more, and it may have left no records.
            for files in [&mut after, &mut before] {
                files.remove("leader-epoch-checkpoint");
            }
            assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{topic}");
            assert!(after == before, "{topic} is byte for byte as before");
        }
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        for (topic, end) in [("whole", 6), ("torn", 6), ("damaged", 2), ("bare", 6), ("swapped", 6)] {
            assert_eq!(append(&mut client, (topic, 0), batch(&["new"])).await, end, "{topic}");
        }
        node.stop().await;
    });
}

/// LOG-04: logs of one directory are opened as many at once as `num.recovery.threads.per.data.dir` says.
#[test]
fn logs_are_recovered_in_parallel() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 6, &[]).await;
        for index in 0..6 {
            append(&mut client, ("t", index), batch(&["a"])).await;
        }
        node.stop().await;
        let (soon, surely) = (Duration::from_millis(100), Duration::from_secs(20));
        for (threads, wanted, patience) in [(1, 2, soon), (3, 3, surely), (3, 4, soon)] {
            forget_the_stop(&home);
            let disk = FaultyDisk::new(home.path());
            let parts = Parts { disk: disk.disk(), ..Parts::default() };
            let more = format!("num.recovery.threads.per.data.dir={threads}\n");
            disk.meet("t-", wanted, patience);
            let node = start_with(&properties(home.path(), &more), parts).await.unwrap();
            assert_eq!(disk.met(), threads);
            node.stop().await;
        }
    });
}

/// A produce request that gives up soon.
fn impatient(topic: &str, acks: i16, value: &str) -> ProduceRequest {
    ProduceRequest { timeout_ms: 30, ..produce(topic, 0, acks, batch(&[value])) }
}

async fn error_of(client: &mut Client, request: &ProduceRequest) -> i16 {
    let answer: ProduceResponse = client.ask(ApiKey::Produce, 9, request).await;
    answer.responses[0].partition_responses[0].error_code
}

/// LOG-06: `acks=all` waits for stable storage, `acks=1` does not; with `page-cache` neither does, by topic or broker.
#[test]
fn acks_all_waits_for_the_device_unless_told_otherwise() {
    run(async {
        for broker in ["", "ottla.ack.durability=page-cache\n"] {
            let home = Home::new();
            let disk = FaultyDisk::new(&home.path().join("t-0"));
            let parts = Parts { disk: disk.disk(), ..Parts::default() };
            let node = start_with(&properties(home.path(), broker), parts).await.unwrap();
            let mut client = Client::connect(&node).await;
            create(&mut client, "t", 1, &[]).await;
            append(&mut client, ("t", 0), batch(&["a"])).await;
            disk.set(State::FlushesWait);
            let all = if broker.is_empty() { code::REQUEST_TIMED_OUT } else { code::NONE };
            assert_eq!(error_of(&mut client, &impatient("t", 1, "b")).await, code::NONE);
            assert_eq!(error_of(&mut client, &impatient("t", -1, "c")).await, all);
            let other = if broker.is_empty() { "page-cache" } else { "flushed" };
            set_config(&mut client, (TOPIC, "t"), ("ottla.ack.durability", other)).await;
            let all = if broker.is_empty() { code::NONE } else { code::REQUEST_TIMED_OUT };
            assert_eq!(error_of(&mut client, &impatient("t", -1, "d")).await, all);
            disk.set(State::Working);
            assert_eq!(append(&mut client, ("t", 0), batch(&["e"])).await, 4);
            assert_eq!(everything(&mut client, "t", 0).await.len(), 5);
            node.stop().await;
        }
    });
}

/// Starts a node on a simulated disk.
async fn on_simulated(disk: &SimDisk, more: &str) -> (ottla_server::RunningNode, Client) {
    let parts = Parts { disk: Some(Arc::new(disk.clone())), ..Parts::default() };
    let node = start_with(&properties(Path::new("/data"), more), parts).await.unwrap();
    let client = Client::connect(&node).await;
    (node, client)
}

/// LOG-04, LOG-06: what was acknowledged with `acks=all` is there after the power went off; what is there is what was sent.
#[test]
fn acknowledged_records_survive_a_power_cut() {
    let disk = SimDisk::new(1);
    disk.prepare_dir(Path::new("/data")).unwrap();
    for life in 0..4_u64 {
        let whole: Vec<String> = (0..5 * life).map(|at| format!("{at}:{at}")).collect();
        run(async {
            let (node, mut client) = on_simulated(&disk, "").await;
            if life == 0 {
                create(&mut client, "t", 1, &[]).await;
                create(&mut client, "lazy", 1, &[("ottla.ack.durability", "page-cache")]).await;
            } else {
                assert_eq!(everything(&mut client, "t", 0).await, whole, "life {life}");
            }
            for at in 5 * life..5 * life + 5 {
                let at = at.to_string();
                append(&mut client, ("t", 0), batch(&[at.as_str()])).await;
                append(&mut client, ("lazy", 0), batch(&["x"])).await;
            }
            assert!(disk.is_synced(Path::new("/data/t-0/00000000000000000000.log")).unwrap());
            drop(node);
        });
        disk.crash(life);
    }
}

/// LOG-05: without a wish the system writes pages when it likes; `flush.messages` and `flush.ms` wish.
#[test]
fn flushes_come_when_they_are_asked_for() {
    run(async {
        let disk = SimDisk::new(2);
        disk.prepare_dir(Path::new("/data")).unwrap();
        let lazy = "ottla.ack.durability=page-cache\nlog.flush.scheduler.interval.ms=5\n\
                    log.initial.task.delay.ms=0\nlog.retention.ms=-1\n";
        let (node, mut client) = on_simulated(&disk, lazy).await;
        let synced = |topic: &str| {
            let path = format!("/data/{topic}-0/00000000000000000000.log");
            disk.is_synced(Path::new(&path)).unwrap()
        };
        // Where nothing else is said, the interval of the scheduler is the longest time too.
        let long = ("flush.ms", "9223372036854775807");
        create(&mut client, "never", 1, &[long]).await;
        create(&mut client, "third", 1, &[long, ("flush.messages", "3")]).await;
        create(&mut client, "default", 1, &[]).await;
        create(&mut client, "soon", 1, &[("flush.ms", "1")]).await;
        append(&mut client, ("never", 0), batch(&["a", "b", "c", "d"])).await;
        append(&mut client, ("third", 0), batch(&["a", "b"])).await;
        append(&mut client, ("soon", 0), batch(&["a"])).await;
        append(&mut client, ("default", 0), batch(&["a"])).await;
        until(|| synced("soon") && synced("default")).await;
        assert_eq!((synced("third"), synced("never")), (false, false));
        append(&mut client, ("third", 0), batch(&["c"])).await;
        until(|| synced("third")).await;
        assert!(!synced("never"));
        node.stop().await;
        assert!(synced("never"), "a clean stop leaves nothing behind");
    });
}

/// LOG-05: recovery points, high watermarks and log starts are written down while the node runs, and at its stop.
#[test]
fn positions_are_written_down_while_the_node_runs() {
    run(async {
        let home = Home::new();
        let often = "replica.high.watermark.checkpoint.interval.ms=10\n";
        let node = start(&home, often).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        append(&mut client, ("t", 0), batch(&["a"])).await;
        append(&mut client, ("t", 0), batch(&["b", "c"])).await;
        delete_below(&mut client, "t", 1).await;
        let written = |name: &str| {
            let text = fs::read_to_string(home.path().join(name)).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("t 0 ")).map(str::to_owned);
            line.map(|offset| offset.parse::<i64>().unwrap())
        };
        let names = [
            "recovery-point-offset-checkpoint",
            "replication-offset-checkpoint",
            "log-start-offset-checkpoint",
        ];
        // The recovery point stays inside the active segment, so that its indexes are made anew after a crash.
        until(|| names.map(written) == [Some(2), Some(3), Some(1)]).await;
        node.stop().await;
        assert_eq!(names.map(written), [Some(3), Some(3), Some(1)]);
        let node = start(&home, often).await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(log_start(&mut client, "t").await, 1);
        node.stop().await;
    });
}

/// Performance 4.3: records that are not in memory are brought there by a thread that may wait for the device; where
/// memory is so scarce that they do not stay, they are served all the same.
#[test]
fn records_that_are_not_in_memory_are_served_too() {
    run(async {
        for state in [State::Cold, State::Scarce] {
            let home = Home::new();
            let node = start(&home, "").await.unwrap();
            let mut client = Client::connect(&node).await;
            create(&mut client, "t", 2, &[]).await;
            let large = "x".repeat(40_000);
            for index in 0..2 {
                append(&mut client, ("t", index), batch(&["a", &large])).await;
                append(&mut client, ("t", index), batch(&["b"])).await;
            }
            node.stop().await;
            let disk = FaultyDisk::new(home.path());
            let parts = Parts { disk: disk.disk(), ..Parts::default() };
            let node = start_with(&properties(home.path(), ""), parts).await.unwrap();
            let mut client = Client::connect(&node).await;
            disk.set(state);
            let both = fetch(&[("t", &[from(0, 0), from(1, 2)])]);
            let answer = ask_fetch(&mut client, &both).await;
            let partitions = &answer.responses[0].partitions;
            let expected = ["0:a".to_owned(), format!("1:{large}"), "2:b".to_owned()];
            assert_eq!(values(&partitions[0]), expected, "{state:?}");
            assert_eq!(values(&partitions[1]), ["2:b"], "{state:?}");
            let after = if state == State::Cold { State::Working } else { State::Scarce };
            assert_eq!(disk.state(), after, "segments are read where they are not in memory");
            // What is written from now on is in memory, whatever lies below it.
            disk.set(State::Cold);
            assert_eq!(append(&mut client, ("t", 0), batch(&["c"])).await, 3);
            assert_eq!(everything(&mut client, "t", 3).await, ["3:c"]);
            node.stop().await;
        }
    });
}
