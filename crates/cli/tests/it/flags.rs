//! The flags of Kafka's tools: ours have the same ones, and each is in a command that is replayed.
//!
//! Owns: comparing `data/flags.tsv` with the help of our tools and with the transcripts.
//! Does not own: what a flag does (the transcripts show it).

use std::collections::{BTreeMap, BTreeSet};

use crate::left_out::{TRANSCRIPTS, replayed};
use crate::transcript::{run, words};

const FLAGS: &str = include_str!("../data/flags.tsv");

/// Flags that are in no command that is replayed, and the reason.
const UNUSED: [(&str, &str); 3] = [
    ("kafka-configs.sh --ip-defaults", "waits for quotas"),
    ("kafka-consumer-perf-test.sh --print-metrics", "waits for metrics of the client"),
    (
        "kafka-consumer-perf-test.sh --show-detailed-stats",
        "its lines come by the clock; perf looks at their form",
    ),
];

/// Flags of each tool, or of each of its commands (`kafka-features.sh upgrade`), by all their names.
fn flags() -> BTreeMap<&'static str, Vec<Vec<&'static str>>> {
    let mut tools: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for row in FLAGS.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let mut columns = row.split('\t');
        let (tool, names) = (columns.next().unwrap(), columns.next().unwrap());
        if names.starts_with('-') {
            tools.entry(tool).or_default().push(names.split(", ").collect());
        }
    }
    tools
}

/// The long flags that a text names.
fn long_flags(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| at);
    let starts = starts.filter(|at| !text[..*at].ends_with(|it: char| it.is_alphanumeric() || it == '-'));
    let flags = starts.map(|at| {
        let name = text[at + 2..].split(|it: char| !(it.is_alphanumeric() || it == '-' || it == '.'));
        format!("--{}", name.into_iter().next().unwrap_or_default().trim_end_matches('.'))
    });
    flags.filter(|flag| flag.len() > 2 && !flag.starts_with("---")).collect()
}

#[test]
fn tools_have_the_flags_of_kafka_s() {
    for (tool, flags) in flags() {
        // Kafka's tool takes a single flag for one of the arguments it had in earlier times.
        let help = if tool == "kafka-e2e-latency.sh" { tool.to_owned() } else { format!("{tool} --help") };
        let seen = run(&help, "");
        let ours = long_flags(&[seen.out, seen.err].concat().join("\n"));
        let kafkas: BTreeSet<String> =
            flags.into_iter().flatten().filter(|flag| flag.starts_with("--")).map(str::to_owned).collect();
        let missing: Vec<_> = kafkas.difference(&ours).collect();
        assert!(missing.is_empty(), "{tool} lacks {missing:?}");
        // The help of a command shows those of its tool besides.
        let of_tool = long_flags(FLAGS);
        let more: Vec<_> = ours.difference(&of_tool).collect();
        assert!(more.is_empty(), "{tool} has {more:?}");
    }
}

#[test]
fn every_flag_is_in_a_command_that_is_replayed() {
    let commands: Vec<Vec<String>> = TRANSCRIPTS
        .iter()
        .flat_map(|(name, text)| replayed(name, text))
        .map(|block| words(&block.command))
        .collect();
    let mut unused = Vec::new();
    for (tool, flags) in flags() {
        let script = tool.split(' ').next().unwrap();
        let of_tool: Vec<_> = commands.iter().filter(|words| words[0] == script).collect();
        for names in flags {
            let is_name = |word: &String| {
                let word = word.split('=').next().unwrap_or_default();
                names
                    .iter()
                    .any(|name| word == *name || (name.len() > 2 && word.len() > 4 && name.starts_with(word)))
            };
            if !of_tool.iter().any(|words| words.iter().any(is_name)) {
                unused.push(format!("{tool} {}", names[0]));
            }
        }
    }
    let known: Vec<String> = UNUSED.iter().map(|(flag, _)| (*flag).to_owned()).collect();
    assert_eq!(unused, known);
}
