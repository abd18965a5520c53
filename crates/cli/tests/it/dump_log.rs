//! `kafka-dump-log` on files that Kafka wrote, against what Kafka's tool prints of them.

use std::path::Path;

use crate::transcript::{Seen, blocks, run};

const TRANSCRIPT: &str = include_str!("../data/dump-log.txt");

/// Where the files lie.
fn directory() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dump-log").display().to_string()
}

/// Without what the recording cut out.
fn whole(seen: &Seen) -> Seen {
    let mut err: Vec<String> = seen.err.clone();
    if let Some(table) =
        err.iter().position(|line| line.starts_with("Option  ") || line == "[option table cut]")
    {
        err.truncate(table);
    }
    err.retain(|line| line != "\t[stack trace cut]");
    // A line that was begun when the tool failed may be empty so far.
    let mut out = seen.out.clone();
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    Seen { out, err, exit: seen.exit }
}

fn check(wanted: impl Fn(&str) -> bool) {
    let directory = directory();
    let mut count = 0;
    for block in blocks(TRANSCRIPT).iter().filter(|block| wanted(&block.command)) {
        count += 1;
        let ours = run(&block.command.replace("DIR", &directory), "");
        let restored = |lines: &[String]| lines.iter().map(|line| line.replace(&directory, "DIR")).collect();
        let ours = Seen { out: restored(&ours.out), err: restored(&ours.err), exit: ours.exit };
        assert_eq!(whole(&ours), whole(&block.seen), "$ {}", block.command);
    }
    assert!(count > 0);
}

fn files(command: &str) -> &str {
    command.split_once("--files ").map_or("", |(_, files)| files)
}

/// REC-01, LOG-00: batches of every codec and format, transactions, control records.
#[test]
fn logs_are_shown_as_by_kafka() {
    check(|command| {
        let names = files(command);
        ["DIR/codecs", "DIR//codecs", "DIR/txn", "DIR/appendtime", "DIR/old"]
            .iter()
            .any(|it| names.starts_with(it))
            && !command.contains("max-bytes x")
    });
}

/// LOG-00: indexes, producer snapshots, aborted transactions.
#[test]
fn side_files_are_shown_and_compared_with_their_log_as_by_kafka() {
    check(|command| files(command).starts_with("DIR/small") || files(command).starts_with("DIR/live"));
}

/// KRF-01, KRF-07, STG-01
#[test]
fn metadata_is_shown_as_by_kafka() {
    check(|command| files(command).starts_with("DIR/metadata"));
}

/// OFF-01
#[test]
fn records_of_coordinators_are_shown_as_by_kafka() {
    check(|command| {
        let names = files(command);
        ["DIR/offsets", "DIR/transactions", "DIR/share", "DIR/remote"].iter().any(|it| names.starts_with(it))
    });
}

#[test]
fn damaged_and_missing_files_are_told_as_by_kafka() {
    check(|command| files(command).starts_with("DIR/bad") || files(command).starts_with("DIR/nosuch"));
}

#[test]
fn wrong_flags_are_refused_as_by_kafka() {
    check(|command| !files(command).starts_with("DIR"));
}
