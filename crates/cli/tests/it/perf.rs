//! The performance tools and the verifiable ones, against what Kafka's tools print.
//!
//! Numbers that are measured differ from run to run, so they are compared by their form: digits become `N`.

use crate::live::Broker;
use crate::transcript::{Block, Seen, blocks, comparable, run};

const PERF: &str = include_str!("../data/perf.txt");

/// A node with the topics that the recorded one had.
fn broker(name: &str) -> Broker {
    let broker = Broker::new(name);
    broker.create("perf1");
    broker
}

/// What differs in the answers to these blocks, once each line went through `normal`.
fn check(broker: &Broker, blocks: &[Block], normal: fn(&str) -> String) {
    // Lines of progress come by the clock, so only the summaries are compared.
    let is_progress = |line: &&String| line.ends_with("max latency.");
    let lines = |lines: Vec<String>| {
        lines.iter().filter(|line| !is_progress(line)).map(|line| normal(line)).collect()
    };
    let normal = |seen: Seen| Seen { out: lines(seen.out), err: lines(seen.err), exit: seen.exit };
    let differences: Vec<String> =
        blocks.iter().filter_map(|block| broker.difference_by(block, normal)).collect();
    assert!(!blocks.is_empty());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

fn of_tool(text: &str, tool: &str) -> Vec<Block> {
    let blocks = blocks(text).into_iter();
    blocks.filter(|block| block.command.split(' ').next() == Some(tool)).collect()
}

/// The line with `N` for each measured number; those that the command line fixes stay.
fn without_measures(line: &str) -> String {
    let Some((count, rest)) = line.split_once(" records sent, ") else { return line.to_owned() };
    let mut text = String::new();
    let mut inside = false;
    for character in rest.chars() {
        let is_number = character.is_ascii_digit() || character == '.' && inside;
        if is_number && !inside {
            text.push('N');
        }
        if !is_number {
            text.push(character);
        }
        inside = is_number;
    }
    format!("{count} records sent, {text}")
}

fn offline(tool: &str) {
    let mut compared = 0;
    for block in of_tool(include_str!("../data/perf-offline.txt"), tool) {
        compared += 1;
        let (ours, kafkas) = (comparable(&run(&block.command, "")), comparable(&block.seen));
        assert_eq!(until_about(ours), until_about(kafkas), "$ {}", block.command);
    }
    assert!(compared > 10, "only {compared} commands were compared");
}

/// Help is told in other words behind its usage.
fn until_about(seen: Seen) -> Seen {
    let mut seen = seen;
    if let Some(about) = seen.out.iter().position(|line| line.starts_with("This ")) {
        seen.out.truncate(about);
    }
    seen
}

#[test]
fn kafka_producer_perf_test_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-producer-perf-test.sh");
}

/// Left out: a bare command, whose help has other words (its usage is compared above); transactions, which the client
/// does not have yet; metrics, which it does not keep.
#[test]
fn kafka_producer_perf_test_prints_what_kafka_s_tool_prints() {
    let broker = broker("producer-perf");
    let is_compared = |block: &Block| {
        let left_out = ["--transaction-duration-ms", "--print-metrics"];
        block.command.contains(" --") && !left_out.iter().any(|option| block.command.contains(option))
    };
    let blocks: Vec<Block> =
        of_tool(PERF, "kafka-producer-perf-test.sh").into_iter().filter(is_compared).collect();
    check(&broker, &blocks, without_measures);
}
