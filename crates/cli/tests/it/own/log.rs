//! `ottla log` on files that Kafka wrote, whole and damaged.

use std::path::Path;

use serde_json::{Value, json};

use super::{Ran, ottla};
use crate::process::Place;

/// Runs a command line; FILES is the directory of the recorded files.
fn log(line: &str) -> Ran {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dump-log").display().to_string();
    let args: Vec<String> = line.split(' ').map(|word| word.replace("FILES", &files)).collect();
    ottla(&[], &args.iter().map(String::as_str).collect::<Vec<_>>(), b"")
}

fn rows(line: &str) -> Vec<Value> {
    log(&format!("log {line} -o json")).json().as_array().unwrap().clone()
}

#[test]
fn segments_batches_and_records_are_shown_from_files() {
    let segment = &rows("segments FILES/codecs")[0];
    assert_eq!([&segment["batches"], &segment["records"], &segment["last_offset"]], [5, 20, 19]);
    assert_eq!([&segment["valid"], &segment["directory"]], [&json!(true), &json!("codecs")]);
    let codecs: Vec<Value> = rows("batches FILES/codecs").iter().map(|row| row["codec"].clone()).collect();
    assert_eq!(codecs, ["none", "gzip", "snappy", "lz4", "zstd"]);
    let kinds: Vec<Value> = rows("batches FILES/txn").iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["control", "transaction", "control", "transaction", "control"]);
    let record = &rows("records FILES/codecs --from 4 -n 4096")[0];
    assert_eq!(
        [&record["offset"], &record["time"], &record["key"]],
        [&json!(4), &json!("2023-11-14T22:13:20.000Z"), &json!("key-gzip")]
    );
    assert_eq!(record["headers"], json!(["h1=x", "h2="]));
    let hex = &rows("records FILES/codecs --decode hex")[0]["key"];
    assert_eq!(hex, "0x6b65792d6e6f6e65");
    let cut = log("log records FILES/codecs -n 3 -o csv");
    assert_eq!((cut.exit, cut.text().lines().count()), (Some(0), 4));
    assert_eq!(cut.err, "note: there is more; --limit shows it\n");
    let whole = log("log records FILES/codecs -n 20");
    assert_eq!((whole.exit, whole.err.as_str()), (Some(0), ""));
}

#[test]
fn records_of_internal_topics_are_read_by_the_name_of_their_directory() {
    let place = Place::new("own-log");
    let directory = place.0.join("__consumer_offsets-7");
    std::fs::create_dir(&directory).unwrap();
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dump-log/offsets-0/00000000000000000000.log");
    std::fs::copy(file, directory.join("00000000000000000000.log")).unwrap();
    let records = rows(&format!("records {}", directory.display()));
    assert_eq!(records[0]["key"]["data"], json!({"group": "g-classic"}));
    assert_eq!(records[1]["value"]["data"]["protocolType"], "consumer");
    let metadata = rows("records FILES/metadata --decode metadata");
    assert_eq!(metadata[2]["value"]["data"], json!({"name": "metadata.version", "featureLevel": 30}));
    assert!(metadata[0]["value"].as_str().unwrap().starts_with("LeaderChange"));
}

#[test]
fn indexes_and_snapshots_are_shown_and_compared_with_their_log() {
    let index = rows("index FILES/live/00000000000000000000.index");
    assert_eq!([&index[0]["offset"], &index[0]["position"]], [2, 264]);
    let times = rows("index FILES/live/00000000000000000000.timeindex");
    assert_eq!(times[0]["time"], "2023-11-14T22:13:20.014Z");
    assert!(index.iter().chain(&times).all(|row| row["matches"] == true));
    // The directory of a partition stands for all of its indexes.
    assert_eq!(rows("index FILES/live"), [index, times].concat());
    let aborted = &rows("index FILES/txn/00000000000000000001.txnindex")[0];
    assert_eq!(
        [&aborted["first_offset"], &aborted["last_offset"], &aborted["last_stable_offset"]],
        [2, 3, 4]
    );
    let producer = &rows("producers FILES/small/00000000000000000024.snapshot")[0];
    assert_eq!([&producer["last_sequence"], &producer["last_offset"]], [23, 23]);
}

#[test]
fn damage_is_told_after_what_could_be_read() {
    for (line, lines, told) in [
        (
            "segments FILES/bad",
            13,
            "00000000000000000002.log is damaged\ndetail: 1 of its batches have a wrong checksum",
        ),
        ("records FILES/bad/00000000000000000002.log", 0, "differs from the computed"),
        (
            "batches FILES/bad/00000000000000000001.log",
            6,
            "is damaged at byte 868\ndetail: The last 40 bytes are no whole batch",
        ),
        ("index FILES/bad/00000000000000000009.index", 2, "detail: 1 of 1 entries are wrong"),
        ("producers FILES/bad/00000000000000000011.snapshot", 1, "00000000000000000011.snapshot is damaged"),
    ] {
        let ran = log(&format!("log {line} -o csv"));
        assert_eq!(ran.exit, Some(1), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
        assert!(lines == 0 || ran.text().lines().count() == lines, "{line}: {}", ran.text());
    }
    let place = Place::new("own-log-names");
    let nine = place.0.join("nine.index");
    std::fs::write(&nine, "").unwrap();
    for (line, exit, told) in [
        ("log segments /nowhere.log", 1, "error: /nowhere.log cannot be read"),
        ("log segments FILES", 1, "hint: A directory must be that of one partition"),
        ("log producers FILES/live", 1, "there is no .snapshot file in "),
        ("log records /nowhere", 1, "error: /nowhere cannot be read"),
        ("log records FILES/live/00000000000000000000.index", 2, "is no file of batches"),
        ("log index FILES/live/00000000000000000000.log", 2, "is no index"),
        ("log producers FILES/live/00000000000000000000.log", 2, "is no snapshot of producers"),
        (&format!("log index {}", nine.display()), 1, "nine.index is not named after an offset"),
        ("log records", 2, "required arguments were not provided"),
        ("log records FILES/codecs -n 0", 2, "0 is not in 1.."),
    ] {
        let ran = log(line);
        assert_eq!(ran.exit, Some(exit), "{line}: {ran:?}");
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
    }
}
