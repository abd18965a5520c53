//! Recorded commands that are not replayed: a table with the reason of each.
//!
//! Owns: reading `data/left-out.tsv`, and that no row of it is for nothing.
//! Does not own: replaying (`live`, `stage` and the tests of tools).

use crate::transcript::{Block, blocks};

const TABLE: &str = include_str!("../data/left-out.tsv");

/// Why a command is not replayed.
const KINDS: [&str; 5] = ["waits", "differs", "recorded", "elsewhere", "slow"];

/// All transcripts.
pub const TRANSCRIPTS: &[(&str, &str)] = &[
    ("broker-api-versions.txt", include_str!("../data/broker-api-versions.txt")),
    ("cluster.txt", include_str!("../data/cluster.txt")),
    ("configs.txt", include_str!("../data/configs.txt")),
    ("console.txt", include_str!("../data/console.txt")),
    ("consumer-groups-reset.txt", include_str!("../data/consumer-groups-reset.txt")),
    ("consumer-groups.txt", include_str!("../data/consumer-groups.txt")),
    ("default-broker.txt", include_str!("../data/default-broker.txt")),
    ("delete-records.txt", include_str!("../data/delete-records.txt")),
    ("dump-log.txt", include_str!("../data/dump-log.txt")),
    ("e2e-failures.txt", include_str!("../data/e2e-failures.txt")),
    ("features.txt", include_str!("../data/features.txt")),
    ("get-offsets.txt", include_str!("../data/get-offsets.txt")),
    ("groups.txt", include_str!("../data/groups.txt")),
    ("leader-election.txt", include_str!("../data/leader-election.txt")),
    ("log-dirs.txt", include_str!("../data/log-dirs.txt")),
    ("metadata-quorum.txt", include_str!("../data/metadata-quorum.txt")),
    ("missing.txt", include_str!("../data/missing.txt")),
    ("more-flags.txt", include_str!("../data/more-flags.txt")),
    ("offline.txt", include_str!("../data/offline.txt")),
    ("perf-offline.txt", include_str!("../data/perf-offline.txt")),
    ("perf.txt", include_str!("../data/perf.txt")),
    ("refused.txt", include_str!("../data/refused.txt")),
    ("storage-format.txt", include_str!("../data/storage-format.txt")),
    ("storage.txt", include_str!("../data/storage.txt")),
    ("topics.txt", include_str!("../data/topics.txt")),
    ("verifiable.txt", include_str!("../data/verifiable.txt")),
];

/// One row.
struct Row {
    transcript: &'static str,
    part: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [transcript, part, kind, reason] = columns[..] else { panic!("not four columns: {line}") };
        assert!(KINDS.contains(&kind) && !reason.is_empty(), "{line}");
        Row { transcript, part }
    })
}

impl Row {
    fn has(&self, command: &str) -> bool {
        match self.part.strip_suffix('$') {
            Some(end) => command.ends_with(end),
            None => command.contains(self.part),
        }
    }
}

/// Whether a command of the transcript is not replayed. Of a bare command the recording cut everything.
pub fn is_left_out(transcript: &str, block: &Block) -> bool {
    let is_cut = block.seen.err == ["[option table cut]"];
    is_cut || rows().any(|row| row.transcript == transcript && row.has(&block.command))
}

/// The blocks of a transcript that are replayed.
pub fn replayed(transcript: &str, text: &str) -> Vec<Block> {
    blocks(text).into_iter().filter(|block| !is_left_out(transcript, block)).collect()
}

#[test]
fn every_row_leaves_a_recorded_command_out() {
    for row in rows() {
        let text = TRANSCRIPTS.iter().find(|(name, _)| *name == row.transcript).map(|(_, text)| *text);
        let text = text.unwrap_or_else(|| panic!("there is no transcript {}", row.transcript));
        let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
        assert!(commands.into_iter().any(|command| row.has(command)), "{}: {}", row.transcript, row.part);
    }
}
