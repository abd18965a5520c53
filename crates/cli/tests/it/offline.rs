//! Tools that refuse what they are given before they ask any broker.

use crate::transcript::{blocks, comparable, run};

/// Commands that Kafka's tools only refuse after they tried to reach a broker, by reading a Java class, or because Java's
/// regular expressions differ.
const ELSEWHERE: [&str; 5] = [
    "--command-property broken",
    "--reader-property parse.key",
    "--reader-property key.separator=x --reader-property headers.delimiter=x",
    "--key-deserializer no.such.Class",
    "--include [",
];

fn check(tool: &str) {
    let recorded = blocks(include_str!("../data/offline.txt"));
    let mut compared = 0;
    let mut wrong = Vec::new();
    for block in recorded.iter().filter(|block| block.command.split(' ').next() == Some(tool)) {
        if ELSEWHERE.iter().any(|ending| block.command.contains(ending)) {
            continue;
        }
        compared += 1;
        let (ours, kafkas) = (comparable(&run(&block.command, &block.input)), comparable(&block.seen));
        if ours != kafkas {
            wrong.push(format!("$ {}\nours:   {ours:?}\nKafka's: {kafkas:?}\n", block.command));
        }
    }
    assert!(compared > 10, "only {compared} commands were compared");
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn kafka_console_producer_refuses_bad_command_lines_as_kafka_s_tool_does() {
    check("kafka-console-producer.sh");
}

#[test]
fn kafka_console_consumer_refuses_bad_command_lines_as_kafka_s_tool_does() {
    check("kafka-console-consumer.sh");
}

#[test]
fn kafka_configs_refuses_bad_command_lines_as_kafka_s_tool_does() {
    check("kafka-configs.sh");
}

#[test]
fn kafka_consumer_groups_refuses_bad_command_lines_as_kafka_s_tool_does() {
    check("kafka-consumer-groups.sh");
}

#[test]
fn kafka_topics_refuses_bad_command_lines_as_kafka_s_tool_does() {
    check("kafka-topics.sh");
}
