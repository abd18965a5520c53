//! The performance tools and the verifiable ones, against what Kafka's tools print.
//!
//! Numbers that are measured differ from run to run, so they are compared by their form: digits become `N`.

use crate::left_out::{is_left_out, replayed};
use crate::live::Broker;
use crate::stage::Stage;
use crate::transcript::{Block, Seen, blocks, comparable, run};

const PERF: (&str, &str) = ("perf.txt", include_str!("../data/perf.txt"));

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

/// What is replayed of one tool.
pub fn of_tool((name, text): (&str, &str), tool: &str) -> Vec<Block> {
    let blocks = replayed(name, text).into_iter();
    blocks.filter(|block| block.command.split(' ').next() == Some(tool)).collect()
}

/// The line with `N` for each measured number; those that the command line fixes stay.
fn without_measures(line: &str) -> String {
    match line.split_once(" records sent, ") {
        Some((count, rest)) => format!("{count} records sent, {}", without_numbers(rest)),
        None => line.to_owned(),
    }
}

/// A summary of the consumer with its number of records, which the command line fixes.
pub fn without_times(line: &str) -> String {
    let fields: Vec<&str> = line.split(", ").collect();
    match fields[..] {
        [first, .., records, _, _, _, _, _] if first.starts_with("20") => {
            format!("{}, {records} records", without_numbers(line))
        }
        _ => line.to_owned(),
    }
}

pub fn without_numbers(rest: &str) -> String {
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
    text
}

pub fn offline(tool: &str) {
    let mut compared = 0;
    for block in of_tool(("perf-offline.txt", include_str!("../data/perf-offline.txt")), tool) {
        compared += 1;
        let (ours, kafkas) = (comparable(&run(&block.command, "")), comparable(&block.seen));
        let (ours, kafkas) = (without_moments(ours), without_moments(kafkas));
        assert_eq!(until_about(ours), until_about(kafkas), "$ {}", block.command);
    }
    assert!(compared > 10, "only {compared} commands were compared");
}

/// Lines that begin with a moment have it replaced.
fn without_moments(seen: Seen) -> Seen {
    let moment = |line: String| match line.strip_prefix("{\"timestamp\":") {
        Some(rest) => rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).to_owned(),
        None if line.starts_with("20") => without_numbers(&line),
        None => line,
    };
    Seen { out: seen.out.into_iter().map(moment).collect(), ..seen }
}

/// Help is told in other words behind its usage.
fn until_about(seen: Seen) -> Seen {
    let mut seen = seen;
    if let Some(about) = seen.out.iter().position(|line| line.starts_with("This ")) {
        seen.out.truncate(about);
    }
    while seen.out.last().is_some_and(String::is_empty) {
        seen.out.pop();
    }
    seen
}

#[test]
fn kafka_producer_perf_test_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-producer-perf-test.sh");
}

/// Left out besides: a bare command, whose help has other words (its usage is compared above).
#[test]
fn kafka_producer_perf_test_prints_what_kafka_s_tool_prints() {
    let broker = broker("producer-perf");
    let is_compared = |block: &Block| block.command.contains(" --");
    let blocks: Vec<Block> =
        of_tool(PERF, "kafka-producer-perf-test.sh").into_iter().filter(is_compared).collect();
    check(&broker, &blocks, without_measures);
}

#[test]
fn kafka_consumer_perf_test_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-consumer-perf-test.sh");
}

/// Left out besides: a bare command, which the refusals have. How many records come in one batch differs by chance, so the topic
/// has just as many as are read.
#[test]
fn kafka_consumer_perf_test_prints_what_kafka_s_tool_prints() {
    let broker = broker("consumer-perf");
    let fill = "kafka-producer-perf-test.sh --bootstrap-server localhost:9092 --topic perf1 --num-records 9300 \
                --record-size 92 --throughput -1";
    assert_eq!(broker.run(fill, "").exit, Some(0));
    let is_compared = |block: &Block| block.command.contains(" --");
    let sooner =
        |block: Block| Block { command: block.command.replace("--timeout 3000", "--timeout 1500"), ..block };
    let mut blocks: Vec<Block> =
        of_tool(PERF, "kafka-consumer-perf-test.sh").into_iter().filter(is_compared).map(sooner).collect();
    for block in &mut blocks {
        block
            .seen
            .out
            .iter_mut()
            .for_each(|line| *line = line.replace("timeout (3000 ms)", "timeout (1500 ms)"));
    }
    check(&broker, &blocks, without_times);
    let progress = broker.run(
        "kafka-consumer-perf-test.sh --bootstrap-server localhost:9092 --topic perf1 --num-records 9300 \
         --show-detailed-stats --reporting-interval 1",
        "",
    );
    let (header, lines) = progress.out.split_first().unwrap();
    assert_eq!(
        header,
        "time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
    );
    assert!(!lines.is_empty() && lines.iter().all(|line| line.split(", ").count() == 10), "{progress:?}");
}

#[test]
fn kafka_e2e_latency_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-e2e-latency.sh");
}

/// Left out: a bare command, which the refusals have.
#[test]
fn kafka_e2e_latency_prints_what_kafka_s_tool_prints() {
    let broker = Broker::new("e2e-latency");
    broker.create("e2e1");
    let with_arguments = |block: &Block| block.command.contains(' ');
    let blocks: Vec<Block> =
        of_tool(PERF, "kafka-e2e-latency.sh").into_iter().filter(with_arguments).collect();
    check(&broker, &blocks, without_latencies);
}

/// A topic that is not there is created; a name that no topic has, a record that is too large and a header without a value
/// fare as with Kafka's tool.
#[test]
fn kafka_e2e_latency_creates_its_topic_and_tells_what_it_cannot_send() {
    let broker = Broker::new("e2e-failures");
    let recorded = blocks(include_str!("../data/e2e-failures.txt"));
    check(&broker, &recorded, without_latencies);
}

/// Flags that the other transcripts do not use, of all tools that send and read records.
#[test]
fn flags_that_are_seldom_used_do_what_they_do_in_kafka_s_tools() {
    let timeless = |seen: Seen| {
        let seen = without_moments(seen);
        let lines =
            |lines: Vec<String>| lines.iter().map(|line| without_measures(&without_times(line))).collect();
        Seen { out: lines(seen.out), err: lines(seen.err), exit: seen.exit }
    };
    let text = include_str!("../data/more-flags.txt");
    Stage::new("more-flags").replay_but(text, |block| is_left_out("more-flags.txt", block), timeless);
}

/// What transactions and metrics are needed for is refused, or told where it is not all that was asked for.
#[test]
fn options_that_wait_are_refused_or_told() {
    let broker = broker("perf-waits");
    let run = |line: &str| broker.run(&format!("kafka-{line} --bootstrap-server localhost:9092"), "");
    for option in ["--transactional-id x", "--transaction-duration-ms 100"] {
        let name = option.split(' ').next().unwrap();
        let seen = run(&format!(
            "producer-perf-test.sh --topic perf1 --num-records 2 --throughput -1 --record-size 10 {option}"
        ));
        assert_eq!((seen.exit, seen.out.len()), (Some(1), 0), "{seen:?}");
        // The words are stretched to the width of a line.
        let words = seen.err.join(" ");
        let words: Vec<&str> = words.split_whitespace().collect();
        let told = format!("error: {name} is not supported yet: this client has no transactions.");
        assert!(words.join(" ").ends_with(&told), "{seen:?}");
    }
    for line in [
        "producer-perf-test.sh --topic perf1 --num-records 2 --throughput -1 --record-size 10 --print-metrics",
        "consumer-perf-test.sh --topic perf1 --num-records 2 --print-metrics",
    ] {
        let seen = run(line);
        assert_eq!(seen.exit, Some(0), "{seen:?}");
        let told = "--print-metrics is not supported yet: this client keeps no metrics";
        assert!(seen.err.iter().any(|line| line.contains(told)), "{seen:?}");
    }
}

/// The number of records behind which a line of progress stands is fixed; latencies are not.
fn without_latencies(line: &str) -> String {
    match line.split_once('\t') {
        Some((number, latency)) if latency.parse::<f64>().is_ok() => format!("{number}\tN"),
        _ if line.starts_with("Avg latency") || line.starts_with("Percentiles") => without_numbers(line),
        _ => line.to_owned(),
    }
}
