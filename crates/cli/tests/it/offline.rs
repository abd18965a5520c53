//! Tools that refuse what they are given before they ask any broker.

use crate::left_out::replayed;
use crate::transcript::{comparable, run};

fn check(tool: &str) {
    let recorded = replayed("offline.txt", include_str!("../data/offline.txt"));
    let mut compared = 0;
    let mut wrong = Vec::new();
    for block in recorded.iter().filter(|block| block.command.split(' ').next() == Some(tool)) {
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
