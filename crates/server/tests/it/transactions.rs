//! Logs with transactions, as Kafka wrote them, read by consumers of both isolation levels.
//!
//! The log holds c1 c2 and a commit, a1 and an abort, c3 and a commit: offsets 0 to 6, all of producer 36.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_env::time::wall_now;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::fetch_request::FetchPartition;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest};
use ottla_protocol::record::{Batch, Batches};
use ottla_server::RunningNode;

use crate::node::{Client, Home, run, start};
use crate::reading::{
    LONG_AGO, append, batch, batch_at, code, create, delete_below, fetch, from, log_start, look, offset,
    offset_at, receive_fetch, values,
};

/// The files of Kafka's partition directory, by name.
fn kafkas_files() -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage/tests/data/hex-txn.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("== d1/e-txn-0/") {
            current = header.split(' ').next().unwrap().to_owned();
            files.insert(current.clone(), Vec::new());
        } else if let Some((at, rest)) = line.split_once("  ")
            && at.len() == 8
        {
            let hex = rest.split("  |").next().unwrap();
            let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
            files.get_mut(&current).unwrap().extend(bytes);
        }
    }
    assert!(files.contains_key("00000000000000000000.txnindex"), "{:?}", files.keys());
    files
}

/// The batches of Kafka's log, in order.
fn kafkas_batches() -> Vec<Bytes> {
    let files = kafkas_files();
    let log = &files["00000000000000000000.log"];
    Batches::new(log).map(|batch| Bytes::copy_from_slice(batch.unwrap().bytes())).collect()
}

/// A node whose topic `t` has these files instead of its own.
async fn node_with(home: &Home, files: &BTreeMap<String, Vec<u8>>) -> (RunningNode, Client) {
    let node = start(home, "").await.unwrap();
    let mut client = Client::connect(&node).await;
    create(&mut client, "t", 1, &[]).await;
    node.stop().await;
    let directory = home.path().join("t-0");
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "partition.metadata" {
            fs::remove_file(path).unwrap();
        }
    }
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "partition.metadata") {
        fs::write(directory.join(name), bytes).unwrap();
    }
    let node = start(home, "").await.unwrap();
    let client = Client::connect(&node).await;
    (node, client)
}

fn committed(at: i64) -> FetchRequest {
    FetchRequest { isolation_level: 1, ..fetch(&[("t", &[from(0, at)])]) }
}

/// What a fetch of a version is told.
async fn told(client: &mut Client, version: i16, request: &FetchRequest) -> PartitionData {
    let answer: FetchResponse = client.ask(ApiKey::Fetch, version, request).await;
    let told = answer.responses[0].partitions[0].clone();
    assert_eq!(told.error_code, code::NONE);
    told
}

fn aborted(told: &PartitionData) -> Option<Vec<(i64, i64)>> {
    let rows = told.aborted_transactions.as_ref()?;
    Some(rows.iter().map(|row| (row.producer_id, row.first_offset)).collect())
}

/// Values by offset; of a marker only that it is one.
fn seen(told: &PartitionData) -> Vec<String> {
    let short = |value: String| value.split('-').next().unwrap_or_default().to_owned();
    values(told).into_iter().map(short).collect()
}

const ALL: [&str; 7] = ["0:committed", "1:committed", "2:!", "3:aborted", "4:!", "5:committed", "6:!"];

/// FET-18, FET-19, TRAP-16: both levels get all records and markers; only those who want committed records are told which
/// transactions were aborted, as far as they lie in what is read.
#[test]
fn everything_is_sent_and_what_was_aborted_is_named() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with(&home, &kafkas_files()).await;
        for version in [4, 11, 12] {
            let all = told(&mut client, version, &fetch(&[("t", &[from(0, 0)])])).await;
            assert_eq!((seen(&all), aborted(&all)), (ALL.map(str::to_owned).to_vec(), None));
            let all = told(&mut client, version, &committed(0)).await;
            assert_eq!((seen(&all), aborted(&all)), (ALL.map(str::to_owned).to_vec(), Some(vec![(36, 3)])));
            assert_eq!((all.high_watermark, all.last_stable_offset), (7, 7));
        }
        for (at, expected) in [(3, vec![(36, 3)]), (4, vec![(36, 3)]), (5, vec![]), (7, vec![])] {
            let rest = told(&mut client, 12, &committed(at)).await;
            let from_there = usize::try_from(at).unwrap();
            assert_eq!(seen(&rest), &ALL[from_there..], "from {at}");
            assert_eq!(aborted(&rest), Some(expected), "from {at}");
        }
        let short = kafkas_batches()[0].len() + kafkas_batches()[1].len();
        let request = FetchRequest { max_bytes: i32::try_from(short).unwrap(), ..committed(0) };
        let first = told(&mut client, 12, &request).await;
        assert_eq!(
            (seen(&first), aborted(&first)),
            (ALL[..2].to_vec().iter().map(|v| (*v).to_owned()).collect(), Some(vec![]))
        );
        node.stop().await;
    });
}

/// FET-18: as in Kafka there is no list, not even an empty one, where the next batch did not fit; where no bytes were left
/// at all, or nothing is there to read, the list is empty.
#[test]
fn what_does_not_fit_names_no_transactions() {
    run(async {
        let home = Home::new();
        let (node, mut client) = node_with(&home, &kafkas_files()).await;
        create(&mut client, "u", 1, &[]).await;
        append(&mut client, ("u", 0), batch(&["before"])).await;
        for (at, bytes, expected) in [(0, 1, None), (0, 0, Some(vec![])), (7, 1, Some(vec![]))] {
            let second = FetchPartition { partition_max_bytes: bytes, ..from(0, at) };
            let request =
                FetchRequest { isolation_level: 1, ..fetch(&[("u", &[from(0, 0)]), ("t", &[second])]) };
            let answer: FetchResponse = client.ask(ApiKey::Fetch, 12, &request).await;
            let told = answer.responses.iter().find(|topic| topic.topic == "t").unwrap();
            assert_eq!(seen(&told.partitions[0]), [""; 0]);
            assert_eq!(aborted(&told.partitions[0]), expected, "from {at} with {bytes} bytes");
        }
        node.stop().await;
    });
}

/// FET-17, LO-02, TRAP-16: a transaction that is open hides itself and all behind it from those who want committed
/// records, and from nobody else.
#[test]
fn an_open_transaction_hides_what_follows() {
    run(async {
        let home = Home::new();
        let mut files = kafkas_files();
        let batches = kafkas_batches();
        let undecided: Vec<u8> = batches[..6].concat();
        files.retain(|name, _| name == "leader-epoch-checkpoint");
        files.insert("00000000000000000000.log".to_owned(), undecided);
        let (node, mut client) = node_with(&home, &files).await;
        append(&mut client, ("t", 0), batch_at(wall_now().millis(), &["plain-1"])).await;
        let all = told(&mut client, 12, &fetch(&[("t", &[from(0, 0)])])).await;
        let expected: Vec<&str> = ALL[..6].iter().copied().chain(["6:plain"]).collect();
        assert_eq!((seen(&all), all.high_watermark, all.last_stable_offset), (own(&expected), 7, 5));
        let stable = told(&mut client, 12, &committed(0)).await;
        assert_eq!((seen(&stable), aborted(&stable)), (own(&ALL[..5]), Some(vec![(36, 3)])));
        assert_eq!((stable.high_watermark, stable.last_stable_offset), (7, 5));
        for at in [5, 6, 7] {
            let nothing = told(&mut client, 12, &committed(at)).await;
            assert_eq!((seen(&nothing), nothing.last_stable_offset), (Vec::new(), 5), "from {at}");
        }
        let level = |isolation_level: i8, timestamp| ListOffsetsRequest {
            isolation_level,
            ..offset_at("t", timestamp)
        };
        let behind_the_markers = wall_now().millis() - 1000;
        for (timestamp, uncommitted, committed) in [
            (-1, 7, 5),
            (-2, 0, 0),
            (LONG_AGO, 0, 0),
            (LONG_AGO + 3, 2, 2),
            (behind_the_markers, 6, -1),
            (-3, 6, -1),
        ] {
            assert_eq!(offset(&mut client, 10, &level(0, timestamp)).await.1, uncommitted, "{timestamp}");
            assert_eq!(offset(&mut client, 10, &level(1, timestamp)).await.1, committed, "{timestamp}");
        }
        node.stop().await;
    });
}

fn own(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// TRAP-16: offsets count records and markers alike, and no restart, deletion or reader changes them.
#[test]
fn offsets_never_change() {
    run(async {
        let home = Home::new();
        let (mut node, mut client) = node_with(&home, &kafkas_files()).await;
        assert_eq!(append(&mut client, ("t", 0), batch(&["x-1", "x-2"])).await, 7);
        let whole: Vec<String> = own(&ALL).into_iter().chain(own(&["7:x", "8:x"])).collect();
        for round in 0..3 {
            let request = fetch(&[("t", &[from(0, 4)])]);
            assert_eq!(seen(&told(&mut client, 12, &request).await), &whole[4..], "round {round}");
            node.stop().await;
            node = start(&home, "").await.unwrap();
            client = Client::connect(&node).await;
            delete_below(&mut client, "t", 3 + round / 2).await;
        }
        assert_eq!(log_start(&mut client, "t").await, 4);
        assert_eq!(look(&mut client, ("t", 0), 3).await.error_code, code::OFFSET_OUT_OF_RANGE);
        assert_eq!(append(&mut client, ("t", 0), batch(&["y"])).await, 9);
        let frame = client.frame(ApiKey::Fetch, 12, &committed(9));
        client.send_raw(&frame).await;
        let answer = receive_fetch(&client, 12).await;
        assert_eq!(values(&answer.responses[0].partitions[0]), ["9:y"]);
        node.stop().await;
    });
}

/// The dump is what the module says.
#[test]
fn the_log_of_kafka_has_seven_records() {
    let mut offsets = Vec::new();
    for bytes in kafkas_batches() {
        let Ok(Batch::V2(view)) = Batch::parse(&bytes) else { panic!("magic 2") };
        offsets.push((view.header().base_offset.value(), view.header().attributes.is_control()));
    }
    let expected = [(0, false), (1, false), (2, true), (3, false), (4, true), (5, false), (6, true)];
    assert_eq!(offsets, expected);
}
