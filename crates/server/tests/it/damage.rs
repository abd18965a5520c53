//! A node whose files were damaged before its start.
//!
//! It serves what was written, or says clearly that it does not: it does not start, the partition is not available, or
//! the records are damaged. It never serves anything else, and never takes a topic for one that was not made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla_env::time::{now, timeout_at};

use crate::node::{Client, Home, run, start};
use crate::reading::{LONG_AGO, append, ask_fetch, batch_at, code, create, fetch, from, values};

/// Longest time a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

const WRITTEN: [&str; 8] = ["0:a", "1:x", "2:b", "3:x", "4:c", "5:x", "6:d", "7:x"];

/// What becomes of damaged files, by directory and name.
///
/// - whole: everything is served;
/// - unavailable: the partition is there and not available;
/// - corrupt: a reader is told that records are damaged;
/// - no start: the node does not start, and says why.
const EXPECTED: &str = "\
.kafka_cleanshutdown                                            changed  stopped  whole
.kafka_cleanshutdown                                            cut      stopped  whole
.kafka_cleanshutdown                                            missing  stopped  whole
.kafka_cleanshutdown                                            zeroed   stopped  whole
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint changed  killed   no start
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint changed  stopped  no start
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint cut      killed   no start
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint cut      stopped  no start
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint missing  killed   whole
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint missing  stopped  whole
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint zeroed   killed   no start
__cluster_metadata-0/00000000000000000000-0000000000.checkpoint zeroed   stopped  no start
__cluster_metadata-0/00000000000000000000.index                 missing  killed   whole
__cluster_metadata-0/00000000000000000000.index                 missing  stopped  whole
__cluster_metadata-0/00000000000000000000.log                   changed  killed   no start
__cluster_metadata-0/00000000000000000000.log                   changed  stopped  no start
__cluster_metadata-0/00000000000000000000.log                   cut      killed   no start
__cluster_metadata-0/00000000000000000000.log                   cut      stopped  no start
__cluster_metadata-0/00000000000000000000.log                   missing  killed   no start
__cluster_metadata-0/00000000000000000000.log                   missing  stopped  no start
__cluster_metadata-0/00000000000000000000.log                   zeroed   killed   no start
__cluster_metadata-0/00000000000000000000.log                   zeroed   stopped  no start
__cluster_metadata-0/00000000000000000000.timeindex             changed  killed   whole
__cluster_metadata-0/00000000000000000000.timeindex             changed  stopped  whole
__cluster_metadata-0/00000000000000000000.timeindex             cut      killed   whole
__cluster_metadata-0/00000000000000000000.timeindex             cut      stopped  whole
__cluster_metadata-0/00000000000000000000.timeindex             missing  killed   whole
__cluster_metadata-0/00000000000000000000.timeindex             missing  stopped  whole
__cluster_metadata-0/00000000000000000000.timeindex             zeroed   killed   whole
__cluster_metadata-0/00000000000000000000.timeindex             zeroed   stopped  whole
__cluster_metadata-0/00000000000000000022.snapshot              changed  killed   whole
__cluster_metadata-0/00000000000000000022.snapshot              changed  stopped  whole
__cluster_metadata-0/00000000000000000022.snapshot              cut      killed   whole
__cluster_metadata-0/00000000000000000022.snapshot              cut      stopped  whole
__cluster_metadata-0/00000000000000000022.snapshot              missing  killed   whole
__cluster_metadata-0/00000000000000000022.snapshot              missing  stopped  whole
__cluster_metadata-0/00000000000000000022.snapshot              zeroed   killed   whole
__cluster_metadata-0/00000000000000000022.snapshot              zeroed   stopped  whole
__cluster_metadata-0/leader-epoch-checkpoint                    changed  killed   no start, whole
__cluster_metadata-0/leader-epoch-checkpoint                    changed  stopped  no start, whole
__cluster_metadata-0/leader-epoch-checkpoint                    cut      killed   no start, whole
__cluster_metadata-0/leader-epoch-checkpoint                    cut      stopped  no start, whole
__cluster_metadata-0/leader-epoch-checkpoint                    missing  killed   whole
__cluster_metadata-0/leader-epoch-checkpoint                    missing  stopped  whole
__cluster_metadata-0/leader-epoch-checkpoint                    zeroed   killed   no start
__cluster_metadata-0/leader-epoch-checkpoint                    zeroed   stopped  no start
__cluster_metadata-0/partition.metadata                         changed  killed   no start, whole
__cluster_metadata-0/partition.metadata                         changed  stopped  no start, whole
__cluster_metadata-0/partition.metadata                         cut      killed   no start
__cluster_metadata-0/partition.metadata                         cut      stopped  no start
__cluster_metadata-0/partition.metadata                         missing  killed   whole
__cluster_metadata-0/partition.metadata                         missing  stopped  whole
__cluster_metadata-0/partition.metadata                         zeroed   killed   no start
__cluster_metadata-0/partition.metadata                         zeroed   stopped  no start
__cluster_metadata-0/quorum-state                               changed  killed   no start, whole
__cluster_metadata-0/quorum-state                               changed  stopped  no start, whole
__cluster_metadata-0/quorum-state                               cut      killed   no start
__cluster_metadata-0/quorum-state                               cut      stopped  no start
__cluster_metadata-0/quorum-state                               missing  killed   whole
__cluster_metadata-0/quorum-state                               missing  stopped  whole
__cluster_metadata-0/quorum-state                               zeroed   killed   no start
__cluster_metadata-0/quorum-state                               zeroed   stopped  no start
bootstrap.checkpoint                                            changed  killed   no start
bootstrap.checkpoint                                            changed  stopped  no start
bootstrap.checkpoint                                            cut      killed   no start
bootstrap.checkpoint                                            cut      stopped  no start
bootstrap.checkpoint                                            missing  killed   whole
bootstrap.checkpoint                                            missing  stopped  whole
bootstrap.checkpoint                                            zeroed   killed   no start
bootstrap.checkpoint                                            zeroed   stopped  no start
log-start-offset-checkpoint                                     changed  killed   whole
log-start-offset-checkpoint                                     changed  stopped  whole
log-start-offset-checkpoint                                     cut      killed   whole
log-start-offset-checkpoint                                     cut      stopped  whole
log-start-offset-checkpoint                                     missing  killed   whole
log-start-offset-checkpoint                                     missing  stopped  whole
log-start-offset-checkpoint                                     zeroed   killed   whole
log-start-offset-checkpoint                                     zeroed   stopped  whole
meta.properties                                                 changed  killed   no start, whole
meta.properties                                                 changed  stopped  no start, whole
meta.properties                                                 cut      killed   no start
meta.properties                                                 cut      stopped  no start
meta.properties                                                 missing  killed   no start
meta.properties                                                 missing  stopped  no start
meta.properties                                                 zeroed   killed   no start
meta.properties                                                 zeroed   stopped  no start
recovery-point-offset-checkpoint                                changed  killed   no start, whole
recovery-point-offset-checkpoint                                changed  stopped  no start, whole
recovery-point-offset-checkpoint                                cut      killed   whole
recovery-point-offset-checkpoint                                cut      stopped  whole
recovery-point-offset-checkpoint                                missing  killed   whole
recovery-point-offset-checkpoint                                missing  stopped  whole
recovery-point-offset-checkpoint                                zeroed   killed   whole
recovery-point-offset-checkpoint                                zeroed   stopped  whole
replication-offset-checkpoint                                   changed  killed   whole
replication-offset-checkpoint                                   changed  stopped  whole
replication-offset-checkpoint                                   cut      killed   whole
replication-offset-checkpoint                                   cut      stopped  whole
replication-offset-checkpoint                                   missing  killed   whole
replication-offset-checkpoint                                   missing  stopped  whole
replication-offset-checkpoint                                   zeroed   killed   whole
replication-offset-checkpoint                                   zeroed   stopped  whole
t-0/00000000000000000002.index                                  missing  killed   whole
t-0/00000000000000000002.index                                  missing  stopped  whole
t-0/00000000000000000002.log                                    changed  killed   corrupt, whole
t-0/00000000000000000002.log                                    changed  stopped  corrupt, whole
t-0/00000000000000000002.log                                    cut      killed   corrupt
t-0/00000000000000000002.log                                    cut      stopped  corrupt
t-0/00000000000000000002.log                                    missing  killed   unavailable
t-0/00000000000000000002.log                                    missing  stopped  unavailable
t-0/00000000000000000002.log                                    zeroed   killed   corrupt
t-0/00000000000000000002.log                                    zeroed   stopped  corrupt
t-0/00000000000000000002.snapshot                               changed  killed   whole
t-0/00000000000000000002.snapshot                               changed  stopped  whole
t-0/00000000000000000002.snapshot                               cut      killed   whole
t-0/00000000000000000002.snapshot                               cut      stopped  whole
t-0/00000000000000000002.snapshot                               missing  killed   whole
t-0/00000000000000000002.snapshot                               missing  stopped  whole
t-0/00000000000000000002.snapshot                               zeroed   killed   whole
t-0/00000000000000000002.snapshot                               zeroed   stopped  whole
t-0/00000000000000000002.timeindex                              changed  killed   whole
t-0/00000000000000000002.timeindex                              changed  stopped  whole
t-0/00000000000000000002.timeindex                              cut      killed   whole
t-0/00000000000000000002.timeindex                              cut      stopped  whole
t-0/00000000000000000002.timeindex                              missing  killed   whole
t-0/00000000000000000002.timeindex                              missing  stopped  whole
t-0/00000000000000000002.timeindex                              zeroed   killed   whole
t-0/00000000000000000002.timeindex                              zeroed   stopped  whole
";

/// Every file below a directory but the locks, with its content.
fn files_below(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(path.join(&folder)).unwrap().map(Result::unwrap) {
            let name = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else if entry.file_name() != ".lock" {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// A home with these files.
fn home_with(files: &BTreeMap<PathBuf, Vec<u8>>) -> Home {
    let home = Home::new();
    for (name, content) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    home
}

/// A node that was used, and the files it left.
async fn used() -> BTreeMap<PathBuf, Vec<u8>> {
    let home = Home::new();
    let node = start(&home, "").await.unwrap();
    let mut client = Client::connect(&node).await;
    create(&mut client, "t", 1, &[("segment.ms", "60000"), ("index.interval.bytes", "0")]).await;
    for (minute, value) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let at = LONG_AGO + 120_000 * i64::try_from(minute).unwrap();
        append(&mut client, ("t", 0), batch_at(at, &[value, "x"])).await;
    }
    node.stop().await;
    files_below(home.path())
}

fn damages(content: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let len = content.len();
    let mut damages = vec![("missing", None), ("zeroed", Some(vec![0; len]))];
    for part in [0, 1, 3] {
        damages.push(("cut", Some(content[..part * len / 4].to_vec())));
    }
    for part in 0..8 {
        let mut changed = content.to_vec();
        if let Some(byte) = changed.get_mut(part * len / 8 + 3) {
            *byte ^= 0x04;
        }
        damages.push(("changed", Some(changed)));
    }
    damages.retain(|(_, damaged)| damaged.as_deref() != Some(content));
    damages
}

/// Starts, and reads everything.
async fn outcome(home: &Home) -> Result<&'static str, String> {
    let started = timeout_at(now() + PATIENCE, start(home, "")).await;
    let node = match started {
        Ok(Ok(node)) => node,
        Ok(Err(_)) => return Ok("no start"),
        Err(_) => return Err("the node hangs".to_owned()),
    };
    let mut client = Client::connect(&node).await;
    let mut served = Vec::new();
    let found = loop {
        let offset = i64::try_from(served.len()).unwrap();
        let request = fetch(&[("t", &[from(0, offset)])]);
        let answer = ask_fetch(&mut client, &request).await;
        let partition = &answer.responses[0].partitions[0];
        match partition.error_code {
            code::NONE => {}
            code::CORRUPT_MESSAGE => break Ok("corrupt"),
            code::KAFKA_STORAGE_ERROR | code::NOT_LEADER_OR_FOLLOWER => break Ok("unavailable"),
            other => break Err(format!("error {other} at offset {offset}")),
        }
        let more = values(partition);
        if more.is_empty() {
            break Ok("whole");
        }
        // The first batch may begin before what was asked for.
        let fresh: Vec<String> = more.into_iter().filter(|value| !served.contains(value)).collect();
        served.extend(fresh);
        if served.len() >= WRITTEN.len() {
            break Ok("whole");
        }
    };
    node.stop().await;
    let found = found?;
    if served.iter().zip(WRITTEN).any(|(served, written)| *served != written) {
        return Err(format!("served {served:?}"));
    }
    match found == "whole" && served.len() < WRITTEN.len() {
        true => Err(format!("{} records and no error", served.len())),
        false => Ok(found),
    }
}

/// What is damaged here: files of the node, of its metadata, and of a closed segment of a topic.
fn is_damaged_here(name: &Path) -> bool {
    !name.starts_with("t-0") || name.to_string_lossy().contains("00002.")
}

/// LOG-04; reliability design 2.1.
#[test]
fn a_node_with_damaged_files_serves_what_was_written_or_says_that_it_does_not() {
    run(async {
        let stopped = used().await;
        let mut killed = stopped.clone();
        killed.remove(Path::new(".kafka_cleanshutdown"));
        let mut table: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (left, original) in [("stopped", stopped), ("killed", killed)] {
            for (name, content) in original.iter().filter(|(name, _)| is_damaged_here(name)) {
                for (damage, damaged) in damages(content) {
                    let mut files = original.clone();
                    match damaged {
                        Some(damaged) => files.insert(name.clone(), damaged),
                        None => files.remove(name),
                    };
                    let row = format!("{:<63} {damage:<8} {left:<8} ", name.display());
                    match outcome(&home_with(&files)).await {
                        Ok(outcome) => drop(table.entry(row).or_default().insert(outcome)),
                        Err(what) => wrong.push(format!("{row}: {what}")),
                    }
                }
            }
        }
        let line = |(row, outcomes): (&String, &BTreeSet<&str>)| {
            format!("{row}{}\n", outcomes.iter().copied().collect::<Vec<_>>().join(", "))
        };
        let found: String = table.iter().map(line).collect();
        assert!(wrong.is_empty(), "{} wrong:\n{}\n{found}", wrong.len(), wrong.join("\n"));
        assert!(found == EXPECTED, "{found}");
    });
}
