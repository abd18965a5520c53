//! A node with several log directories: what lies where, and what becomes of one that fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_env::task;
use ottla_env::time::now;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, FetchRequest, FetchResponse,
    IncrementalAlterConfigsRequest, incremental_alter_configs_request,
};
use ottla_security::Operation;
use ottla_server::RunningNode;

use crate::faults::{FaultyDisk, State};
use crate::node::{Client, Home, Parts, properties, run, start, start_with};
use crate::reading::{
    BROKER, append, ask_fetch, batch, code, create, describe, fetch, forbidding, from, look, offset,
    offset_at, receive_fetch, rows, set_config, try_append, values,
};

/// Longest time until the whole node knows of a failed directory.
const PATIENCE: Duration = Duration::from_secs(20);

/// The paths of three directories, and the line that names them.
fn three(home: &Home) -> ([PathBuf; 3], String) {
    let paths = ["a", "b", "c"].map(|name| home.path().join(name));
    let line = format!("log.dirs={}\n", paths.each_ref().map(|path| path.display().to_string()).join(","));
    (paths, line)
}

async fn describe_dirs(
    client: &mut Client,
    version: i16,
    topics: Option<&[&str]>,
) -> DescribeLogDirsResponse {
    let topic = |name: &&str| DescribableLogDirTopic { topic: (*name).to_owned(), partitions: vec![0] };
    let topics = topics.map(|topics| topics.iter().map(topic).collect());
    client.ask(ApiKey::DescribeLogDirs, version, &DescribeLogDirsRequest { topics }).await
}

/// The partitions of each directory, by its last name.
async fn placed(client: &mut Client) -> BTreeMap<String, Vec<String>> {
    let answer = describe_dirs(client, 5, None).await;
    let mut placed = BTreeMap::new();
    for result in &answer.results {
        let name = Path::new(&result.log_dir).file_name().unwrap().to_str().unwrap().to_owned();
        let in_it: &mut Vec<String> = placed.entry(name).or_default();
        for topic in &result.topics {
            in_it.extend(topic.partitions.iter().map(|at| format!("{}-{}", topic.name, at.partition_index)));
        }
    }
    placed
}

async fn counts(client: &mut Client) -> Vec<usize> {
    placed(client).await.values().map(Vec::len).collect()
}

/// LOG-08: a new partition goes to the directory with the fewest; the metadata log counts for none. They stay there.
#[test]
fn new_partitions_go_where_the_fewest_are() {
    run(async {
        let home = Home::new();
        let (_, dirs) = three(&home);
        let node = start(&home, &dirs).await.unwrap();
        let mut client = Client::connect(&node).await;
        for (topic, partitions, expected) in
            [("t", 3, [1, 1, 1]), ("u", 6, [3, 3, 3]), ("v", 1, [4, 3, 3]), ("w", 2, [4, 4, 4])]
        {
            create(&mut client, topic, partitions, &[]).await;
            assert_eq!(counts(&mut client).await, expected, "{topic}");
        }
        let before = placed(&mut client).await;
        node.stop().await;
        let node = start(&home, &dirs).await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(placed(&mut client).await, before);
        node.stop().await;
    });
}

/// LOG-08, LOG-09: where the metadata have a directory of their own, no partition goes there and nobody is told of it.
#[test]
fn a_directory_of_the_metadata_alone_holds_no_partitions() {
    run(async {
        let home = Home::new();
        let (_, dirs) = three(&home);
        let more = format!("{dirs}metadata.log.dir={}\n", home.path().join("m").display());
        let node = start(&home, &more).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 4, &[]).await;
        assert_eq!(counts(&mut client).await, [2, 1, 1]);
        assert!(home.path().join("m/__cluster_metadata-0").is_dir());
        assert!(!home.path().join("m/t-0").exists());
        node.stop().await;
    });
}

async fn until_cordoned(client: &mut Client, expected: [bool; 3]) {
    let request = DescribeLogDirsRequest { topics: None };
    let cordoned = |answer: &DescribeLogDirsResponse| {
        answer.results.iter().map(|result| result.is_cordoned).collect::<Vec<bool>>() == expected
    };
    client.ask_until((ApiKey::DescribeLogDirs, 5), &request, cordoned).await;
}

/// LOG-08, LOG-09: a cordoned directory keeps what it has and gets nothing new, from the start or from a change on.
#[test]
fn a_cordoned_directory_gets_no_new_partitions() {
    run(async {
        let home = Home::new();
        let (paths, dirs) = three(&home);
        let cordoned = paths[1].display();
        let more = format!("{dirs}cordoned.log.dirs={cordoned}\nbroker.heartbeat.interval.ms=20\n");
        let node = start(&home, &more).await.unwrap();
        let mut client = Client::connect(&node).await;
        until_cordoned(&mut client, [false, true, false]).await;
        create(&mut client, "t", 4, &[]).await;
        assert_eq!(counts(&mut client).await, [2, 0, 2]);
        set_config(&mut client, (BROKER, "1"), ("cordoned.log.dirs", "")).await;
        until_cordoned(&mut client, [false; 3]).await;
        create(&mut client, "u", 2, &[]).await;
        assert_eq!(counts(&mut client).await, [2, 2, 2]);
        let both = format!("{},{}", paths[0].display(), paths[1].display());
        set_config(&mut client, (BROKER, "1"), ("cordoned.log.dirs", &both)).await;
        until_cordoned(&mut client, [true, true, false]).await;
        create(&mut client, "v", 2, &[]).await;
        assert_eq!(counts(&mut client).await, [2, 2, 4]);
        assert_eq!(append(&mut client, ("u", 0), batch(&["a"])).await, 0, "what is there goes on");
        node.stop().await;
    });
}

/// LOG-09: sizes and names of what lies in each directory; space since version 4; who may not is told nothing.
#[test]
fn directories_are_described() {
    run(async {
        let home = Home::new();
        let (paths, dirs) = three(&home);
        let node = start(&home, &dirs).await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "t", 1, &[]).await;
        create(&mut client, "u", 2, &[]).await;
        append(&mut client, ("t", 0), batch(&["a", "b"])).await;
        for version in [1, 2, 3, 4, 5] {
            let answer = describe_dirs(&mut client, version, None).await;
            assert_eq!((answer.error_code, answer.results.len()), (code::NONE, 3));
            for (result, path) in answer.results.iter().zip(&paths) {
                assert_eq!(
                    (result.error_code, result.log_dir.as_str()),
                    (code::NONE, path.to_str().unwrap())
                );
                assert_eq!(result.total_bytes > 0, version >= 4);
                assert_eq!(result.usable_bytes >= 0, version >= 4);
                assert!(!result.is_cordoned);
            }
            let topics = answer.results.iter().flat_map(|result| &result.topics);
            let sizes: BTreeMap<(&str, i32), i64> = topics
                .flat_map(|topic| topic.partitions.iter().map(|at| (topic.name.as_str(), at)))
                .map(|(name, at)| {
                    assert!((at.offset_lag, at.is_future_key) == (0, false));
                    ((name, at.partition_index), at.partition_size)
                })
                .collect();
            let written = i64::try_from(batch(&["a", "b"]).len()).unwrap();
            assert_eq!(sizes, BTreeMap::from([(("t", 0), written), (("u", 0), 0), (("u", 1), 0)]));
        }
        let named = |answer: &DescribeLogDirsResponse| {
            let topics = answer.results.iter().flat_map(|result| &result.topics);
            topics.map(|topic| (topic.name.clone(), topic.partitions.len())).collect::<Vec<_>>()
        };
        let some = describe_dirs(&mut client, 4, Some(&["u", "missing"])).await;
        assert_eq!((named(&some), some.results.len()), (vec![("u".to_owned(), 1)], 3));
        let none = describe_dirs(&mut client, 4, Some(&[])).await;
        assert_eq!((named(&none), none.results.len()), (vec![], 3));
        node.stop().await;
        let parts = forbidding(&[(Operation::Describe, "kafka-cluster")]);
        let node = start_with(&properties(home.path(), &dirs), parts).await.unwrap();
        let mut client = Client::connect(&node).await;
        for (version, expected) in [(1, 0), (2, 0), (3, code::CLUSTER_AUTHORIZATION_FAILED), (5, 31)] {
            let answer = describe_dirs(&mut client, version, None).await;
            assert_eq!((answer.error_code, answer.results.len()), (expected, 0), "version {version}");
        }
        node.stop().await;
    });
}

/// A node on three directories of which the second may fail, with a partition of topic `t` in each.
struct Failing {
    home: Home,
    node: RunningNode,
    disk: FaultyDisk,
    /// Index of the partition in the directory that may fail.
    at: i32,
}

async fn failing() -> Failing {
    let home = Home::new();
    let (paths, dirs) = three(&home);
    let disk = FaultyDisk::new(&paths[1]);
    let parts = Parts { disk: disk.disk(), ..Parts::default() };
    let often = "broker.heartbeat.interval.ms=20\nlog.flush.offset.checkpoint.interval.ms=10\n";
    let more = format!("{dirs}{often}");
    let node = start_with(&properties(home.path(), &more), parts).await.unwrap();
    let mut client = Client::connect(&node).await;
    create(&mut client, "t", 3, &[]).await;
    for index in 0..3 {
        append(&mut client, ("t", index), batch(&["a"])).await;
    }
    let at = placed(&mut client).await["b"][0].strip_prefix("t-").unwrap().parse().unwrap();
    Failing { home, node, disk, at }
}

/// LOG-07, LOG-09, FET-13, FET-23: a directory that fails goes offline alone. Its partitions answer with a storage error,
/// old fetches with one they know, whoever waits is told; the controller and the others hear of it.
#[test]
fn a_directory_that_fails_goes_offline_alone() {
    run(async {
        let Failing { home, node, disk, at } = failing().await;
        let (mut client, mut waiting) = (Client::connect(&node).await, Client::connect(&node).await);
        let long = FetchRequest { max_wait_ms: 600_000, ..fetch(&[("t", &[from(at, 1)])]) };
        let frame = waiting.frame(ApiKey::Fetch, 12, &long);
        waiting.send_raw(&frame).await;
        disk.set(State::Gone);
        let (error, _) = try_append(&mut client, ("t", at), batch(&["b"])).await;
        assert_eq!(error, code::KAFKA_STORAGE_ERROR);
        assert_eq!(rows(&receive_fetch(&waiting, 12).await)[0].2, code::KAFKA_STORAGE_ERROR);
        for (version, expected) in [
            (4, code::NOT_LEADER_OR_FOLLOWER),
            (5, code::NOT_LEADER_OR_FOLLOWER),
            (6, code::KAFKA_STORAGE_ERROR),
            (12, code::KAFKA_STORAGE_ERROR),
        ] {
            let request = fetch(&[("t", &[from(at, 0)])]);
            let answer = client.ask(ApiKey::Fetch, version, &request).await;
            assert_eq!(rows(&answer)[0].2, expected, "version {version}");
        }
        let mut latest = offset_at("t", -1);
        latest.topics[0].partitions[0].partition_index = at;
        assert_eq!(offset(&mut client, 10, &latest).await.0, code::KAFKA_STORAGE_ERROR);
        let dirs = describe_dirs(&mut client, 5, None).await;
        let told: Vec<(i16, usize)> =
            dirs.results.iter().map(|result| (result.error_code, result.topics.len())).collect();
        assert_eq!(told, [(code::NONE, 1), (code::KAFKA_STORAGE_ERROR, 0), (code::NONE, 1)]);
        for index in (0..3).filter(|index| *index != at) {
            assert_eq!(append(&mut client, ("t", index), batch(&["b"])).await, 1);
            assert_eq!(values(&look(&mut client, ("t", index), 0).await), ["0:a", "1:b"]);
        }
        // The controller takes the lead away: nobody else has the partition.
        loop {
            let answer = describe(&mut client, "t").await;
            let lost = answer.topics[0].partitions.iter().find(|told| told.partition_index == at).unwrap();
            if lost.leader_id == -1 {
                assert_eq!(lost.error_code, code::LEADER_NOT_AVAILABLE);
                assert_eq!(lost.offline_replicas, [1]);
                break;
            }
            task::yield_now().await;
        }
        // A directory that failed does not come back before the next start, which may find it whole.
        disk.set(State::Working);
        let (error, _) = try_append(&mut client, ("t", at), batch(&["b"])).await;
        assert!([code::KAFKA_STORAGE_ERROR, code::NOT_LEADER_OR_FOLLOWER].contains(&error), "{error}");
        create(&mut client, "u", 4, &[]).await;
        assert_eq!(placed(&mut client).await["b"], Vec::<String>::new());
        node.stop().await;
        let node = start(&home, &three(&home).1).await.unwrap();
        let mut client = Client::connect(&node).await;
        let patient = FetchRequest { max_wait_ms: 10_000, ..fetch(&[("t", &[from(at, 0)])]) };
        let answer = ask_fetch(&mut client, &patient).await;
        assert_eq!(values(&answer.responses[0].partitions[0]), ["0:a"]);
        assert_eq!(append(&mut client, ("t", at), batch(&["b"])).await, 1);
        node.stop().await;
    });
}

/// LOG-06, LOG-07: a flush that failed is not tried again, though it would succeed: the system has forgotten the pages it
/// could not write. The directory is offline, and nobody is told that the records are safe.
#[test]
fn a_flush_that_failed_once_is_never_tried_again() {
    run(async {
        let Failing { home: _home, node, disk, at } = failing().await;
        let mut client = Client::connect(&node).await;
        disk.set(State::OneFlushFails);
        let (error, _) = try_append(&mut client, ("t", at), batch(&["b"])).await;
        assert_eq!(error, code::KAFKA_STORAGE_ERROR);
        let dirs = describe_dirs(&mut client, 5, None).await;
        let told: Vec<i16> = dirs.results.iter().map(|result| result.error_code).collect();
        assert_eq!(told, [code::NONE, code::KAFKA_STORAGE_ERROR, code::NONE]);
        node.stop().await;
    });
}

/// LOG-07, LOG-09: a node starts without a directory that it cannot access, and makes nothing anew that may lie there; with
/// the directory back, all is there. Without that of the metadata it does not start.
#[test]
fn a_node_starts_without_a_directory_that_is_gone() {
    run(async {
        let Failing { home, node, disk: _, at } = failing().await;
        node.stop().await;
        let ([first, second, _], dirs) = three(&home);
        let aside = home.path().join("aside");
        fs::rename(&second, &aside).unwrap();
        fs::write(&second, "no directory").unwrap();
        let node = start(&home, &dirs).await.unwrap();
        let mut client = Client::connect(&node).await;
        let all: Vec<_> = (0..3).map(|index| from(index, 0)).collect();
        let answer = ask_fetch(&mut client, &fetch(&[("t", &all)])).await;
        for (_, index, error, _) in rows(&answer) {
            let expected = if index == at { code::NOT_LEADER_OR_FOLLOWER } else { code::NONE };
            assert_eq!(error, expected, "partition {index}");
        }
        create(&mut client, "u", 2, &[]).await;
        let told = describe_dirs(&mut client, 4, None).await;
        let mut told: Vec<(String, i16, usize)> =
            told.results.into_iter().map(|row| (row.log_dir, row.error_code, row.topics.len())).collect();
        told.sort();
        let codes: Vec<(i16, usize)> = told.iter().map(|row| (row.1, row.2)).collect();
        assert_eq!(codes, [(code::NONE, 2), (code::KAFKA_STORAGE_ERROR, 0), (code::NONE, 2)]);
        node.stop().await;
        fs::remove_file(&second).unwrap();
        fs::rename(&aside, &second).unwrap();
        let node = start(&home, &dirs).await.unwrap();
        let mut client = Client::connect(&node).await;
        assert_eq!(values(&look(&mut client, ("t", at), 0).await), ["0:a"]);
        assert_eq!(append(&mut client, ("t", at), batch(&["b"])).await, 1);
        node.stop().await;
        fs::rename(&first, &aside).unwrap();
        fs::write(&first, "no directory").unwrap();
        let error = start(&home, &dirs).await.err().unwrap().to_string();
        assert!(error.contains("cannot access"), "{error}");
    });
}

/// LOG-07, C4: a disk without space refuses records and goes on reading, also when there is no room for checkpoints; with space
/// it goes on writing.
#[test]
fn a_full_disk_refuses_records_and_can_be_read() {
    run(async {
        let Failing { home, node, disk, at } = failing().await;
        let mut client = Client::connect(&node).await;
        disk.set(State::Full);
        let (error, _) = try_append(&mut client, ("t", at), batch(&["b"])).await;
        assert_eq!(error, code::KAFKA_STORAGE_ERROR);
        assert_eq!(values(&look(&mut client, ("t", at), 0).await), ["0:a"]);
        while disk.times_without_space("recovery-point-offset-checkpoint") < 3 {
            assert_eq!(values(&look(&mut client, ("t", at), 0).await), ["0:a"]);
        }
        disk.set(State::Working);
        assert_eq!(append(&mut client, ("t", at), batch(&["b"])).await, 1);
        assert_eq!(values(&look(&mut client, ("t", at), 0).await), ["0:a", "1:b"]);
        node.stop().await;
        drop(home);
    });
}

/// LOG-07: without the last of its directories, or without that of the metadata, a node ends.
#[test]
fn a_node_ends_with_its_last_directory_or_its_metadata() {
    run(async {
        for (fails, dirs) in [("b", "b"), ("m", "a,b"), ("a", "a,b")] {
            let home = Home::new();
            let path = |name: &str| home.path().join(name).display().to_string();
            let log_dirs: Vec<String> = dirs.split(',').map(path).collect();
            let metadata = if fails == "a" { path("a") } else { path("m") };
            let more = format!("log.dirs={}\nmetadata.log.dir={metadata}\n", log_dirs.join(","));
            let disk = FaultyDisk::new(&home.path().join(fails));
            let parts = Parts { disk: disk.disk(), ..Parts::default() };
            let mut node = start_with(&properties(home.path(), &more), parts).await.unwrap();
            let mut client = Client::connect(&node).await;
            create(&mut client, "t", 2, &[]).await;
            disk.set(State::Gone);
            if fails == "m" {
                // The metadata are written to when something changes.
                let frame = client.frame(ApiKey::IncrementalAlterConfigs, 1, &anything());
                client.send_raw(&frame).await;
            } else {
                for index in [0, 1] {
                    try_append(&mut client, ("t", index), batch(&["a"])).await;
                }
            }
            let reason = node.failed().await;
            assert!(!reason.is_empty(), "{fails}");
            disk.set(State::Working);
            drop(node);
        }
    });
}

fn anything() -> IncrementalAlterConfigsRequest {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: "retention.ms".to_owned(),
        config_operation: 0,
        value: Some("1000000".to_owned()),
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        configs: vec![config],
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

/// LOG-07: also a read finds out that a directory failed. That answer is lost, later ones tell.
#[test]
fn a_read_that_fails_takes_the_directory_offline() {
    run(async {
        let Failing { home, node, disk, at } = failing().await;
        disk.set(State::Gone);
        let all: Vec<_> = (0..3).map(|index| from(index, 0)).collect();
        let request = fetch(&[("t", &all)]);
        // The answer to who finds out is lost, and it takes a moment until everybody knows.
        let deadline = now() + PATIENCE;
        let answer = loop {
            let mut client = Client::connect(&node).await;
            let frame = client.frame(ApiKey::Fetch, 12, &request);
            client.send_raw(&frame).await;
            if let Some(answer) = client.receive().await {
                break client.read_answer::<FetchResponse>((ApiKey::Fetch, 12), &answer);
            }
            assert!(now() < deadline, "the directory stays online");
        };
        for (_, index, error, bytes) in rows(&answer) {
            let failed = index == at;
            let expected = if failed { code::KAFKA_STORAGE_ERROR } else { code::NONE };
            assert_eq!((error, bytes == 0), (expected, failed), "partition {index}");
        }
        disk.set(State::Working);
        node.stop().await;
        drop(home);
    });
}

/// LOG-04: a new partition keeps no file open but its log, and that one only as long as few are open.
#[test]
#[cfg(target_os = "linux")]
fn partitions_that_were_just_made_hold_few_files() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        create(&mut client, "many", 50, &[]).await;
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/fd").unwrap() {
            let Ok(path) = fs::read_link(entry.unwrap().path()) else { continue };
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            if parent.starts_with(home.path()) && parent.to_string_lossy().contains("many-") {
                *held.entry(name.to_string_lossy().into_owned()).or_default() += 1;
            }
        }
        held.remove("00000000000000000000.log");
        assert_eq!(held, BTreeMap::new());
        node.stop().await;
    });
}
