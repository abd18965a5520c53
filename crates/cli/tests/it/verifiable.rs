//! `kafka-verifiable-producer` and `kafka-verifiable-consumer` against what Kafka's tools print.

use std::collections::BTreeSet;

use crate::live::Broker;
use crate::perf::{of_tool, offline, without_numbers};
use crate::process::Process;
use crate::transcript::{Block, Seen, run};

const TRANSCRIPT: (&str, &str) = ("verifiable.txt", include_str!("../data/verifiable.txt"));

/// What the events are, in the order of their first ones, and then every line: what one poll brings differs by chance, so
/// lists are cut to their first entry and numbers to `N`, except in what the records and the group say.
fn shapes(seen: Seen) -> Seen {
    let mut names: Vec<String> = Vec::new();
    let mut lines = BTreeSet::new();
    for line in &seen.out {
        let name = field(line, "name");
        let tells_all = ["record_data", "partitions_assigned", "partitions_revoked"].contains(&name);
        let moment = line.split_once(",").map_or("", |(_, rest)| rest);
        lines.insert(if tells_all { moment.to_owned() } else { without_numbers(&first_entries(moment)) });
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Seen { out: names.into_iter().chain(lines).collect(), ..seen }
}

/// The text in a field of a line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let behind = line.split_once(&format!("\"{name}\":\"")).map_or("", |(_, behind)| behind);
    behind.split('"').next().unwrap_or("")
}

fn first_entries(line: &str) -> String {
    match line.split_once("},{") {
        Some((before, rest)) => format!("{before}}}{}", rest.split_once('}').map_or("", |(_, rest)| rest)),
        None => line.to_owned(),
    }
}

/// Lines without what time changes; those of different partitions come in any order.
fn sends(seen: Seen) -> Seen {
    let timeless = |line: &String| {
        let line = line.split_once(",").map_or(line.as_str(), |(_, rest)| rest);
        line.split("\"avg_throughput\"").next().unwrap_or("").to_owned()
    };
    let mut out: Vec<String> = seen.out.iter().map(timeless).collect();
    out.sort();
    Seen { out, ..seen }
}

/// Records without a key go to a partition of chance: the topic is made anew until it is the recorded one.
fn filled(broker: &Broker) {
    let blocks = of_tool(TRANSCRIPT, "kafka-verifiable-producer.sh");
    let first = blocks.iter().find(|block| block.command.contains("--max-messages 4")).unwrap();
    const ATTEMPTS: usize = 40;
    for _ in 0..ATTEMPTS {
        broker.create("v1 --partitions 2");
        let sent = broker.run(&first.command, "");
        assert_eq!(sent.exit, Some(0), "{sent:?}");
        if sent.out.iter().any(|line| line.contains("\"partition\":1")) {
            assert_eq!(sends(sent), sends(first.seen.clone()));
            return;
        }
        let deleted = broker.run("kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic v1", "");
        assert_eq!(deleted.exit, Some(0), "{deleted:?}");
    }
    panic!("{ATTEMPTS} times in a row the first partition was chosen");
}

#[test]
fn kafka_verifiable_producer_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-verifiable-producer.sh");
}

#[test]
fn kafka_verifiable_consumer_refuses_bad_command_lines_as_kafka_s_tool_does() {
    offline("kafka-verifiable-consumer.sh");
}

/// Left out besides: bare commands, which the refusals have.
#[test]
fn the_verifiable_tools_print_what_kafka_s_tools_print() {
    let broker = Broker::new("verifiable");
    filled(&broker);
    let keyed = |block: &&Block| block.command.contains("--repeating-keys");
    for block in of_tool(TRANSCRIPT, "kafka-verifiable-producer.sh").iter().filter(keyed) {
        assert_eq!(broker.difference_by(block, sends), None);
    }
    let is_compared = |block: &&Block| block.command.contains(" --");
    let recorded = of_tool(TRANSCRIPT, "kafka-verifiable-consumer.sh");
    let compared: Vec<&Block> = recorded.iter().filter(is_compared).collect();
    assert_eq!(compared.len(), 2);
    for block in compared {
        assert_eq!(broker.difference_by(block, shapes), None);
    }
}

#[test]
fn the_group_protocol_that_the_client_does_not_speak_is_refused_by_name() {
    let seen = run(
        "kafka-verifiable-consumer.sh --bootstrap-server localhost:1 --topic t --group-id g --group-protocol consumer",
        "",
    );
    assert_eq!(seen.exit, Some(1));
    assert!(seen.err[0].contains("group.protocol=CONSUMER is not supported yet"), "{seen:?}");
}

fn started(broker: &Broker, command: &str) -> Process {
    let args: Vec<&str> = command.split(' ').collect();
    let args = [&args[..], &["--bootstrap-server", &broker.address]].concat();
    Process::start(&args)
}

/// As Kafka's tools do on SIGTERM and Ctrl-C: nothing that was sent is lost, and the figures come last.
#[test]
fn a_producer_that_is_stopped_waits_for_what_it_sent() {
    let broker = Broker::new("verifiable-stop");
    broker.create("s1");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut producer = started(&broker, "kafka-verifiable-producer.sh --topic s1 --throughput 200");
        producer.line_with("\"name\":\"producer_send_success\"");
        producer.signal(signal);
        producer.line_with("\"name\":\"shutdown_complete\"");
        let figures = producer.line_with("\"name\":\"tool_data\"");
        let number = |name: &str| {
            let behind = figures.split_once(&format!("\"{name}\":")).unwrap().1;
            behind.split(',').next().unwrap().parse::<u64>().unwrap()
        };
        assert!(number("sent") > 0 && number("sent") == number("acked"), "{figures}");
        assert_eq!(producer.exit_code(), Some(code));
    }
}

#[test]
fn a_producer_that_is_stopped_while_its_topic_is_missing_says_so() {
    let broker = Broker::new("verifiable-missing");
    let mut producer = started(&broker, "kafka-verifiable-producer.sh --topic nosuch --max-messages 1");
    producer.line_with("\"name\":\"startup_complete\"");
    producer.signal("TERM");
    let failed = producer.line_with("producer_send_error");
    let told = "\"topic\":\"nosuch\",\"key\":null,\"value\":\"0\",\"exception\":\"class \
                org.apache.kafka.common.KafkaException\",\"message\":\"Producer closed while send in progress\"}";
    assert!(failed.trim_end().ends_with(told), "{failed}");
    producer.line_with("\"sent\":1,\"acked\":0,\"target_throughput\":-1,\"avg_throughput\":0.0}");
    assert_eq!(producer.exit_code(), Some(143));
}

/// Another member gets the partitions at once, and nothing that was committed again.
#[test]
fn a_consumer_that_is_stopped_has_committed_and_leaves() {
    let broker = Broker::new("verifiable-leave");
    broker.create("l1");
    let produce =
        "kafka-verifiable-producer.sh --bootstrap-server localhost:9092 --topic l1 --max-messages 5";
    assert_eq!(broker.run(produce, "").exit, Some(0));
    let mut consumer = started(&broker, "kafka-verifiable-consumer.sh --topic l1 --group-id stopped");
    consumer.line_with("\"offset\":5}],\"success\":true}");
    consumer.signal("TERM");
    for name in ["shutdown_requested", "partitions_revoked", "shutdown_complete"] {
        consumer.line_with(&format!("\"name\":\"{name}\""));
    }
    assert_eq!(consumer.exit_code(), Some(143));
    let produce =
        "kafka-verifiable-producer.sh --bootstrap-server localhost:9092 --topic l1 --max-messages 1";
    assert_eq!(broker.run(produce, "").exit, Some(0));
    let next = broker.run(
        "kafka-verifiable-consumer.sh --bootstrap-server localhost:9092 --topic l1 --group-id stopped --max-messages 1",
        "",
    );
    assert!(
        next.out.iter().any(|line| line.contains("\"count\":1,\"minOffset\":5,\"maxOffset\":5")),
        "{next:?}"
    );
}
