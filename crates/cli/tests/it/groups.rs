//! `kafka-consumer-groups` against a broker: Kafka's recorded sessions, with members of our own.

use std::time::{Duration, Instant};

use ottla_client::config::ProducerConfig;
use ottla_client::producer::{Producer, ProducerRecord};
use ottla_env::task;
use ottla_model::{PartitionIndex, TopicName};

use crate::left_out::replayed;
use crate::live::Broker;
use crate::process::Process;
use crate::transcript::{Block, Seen, blocks};

/// Most time for a member to read what there is and commit it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Creates `g1` with so many records in each partition, and `g2` with five.
fn fill(broker: &Broker, counts: [usize; 3]) {
    broker.create("g1 --partitions 3");
    broker.create("g2");
    let work = async {
        let producer = Producer::new(ProducerConfig::new(&broker.address).unwrap()).unwrap();
        let (g1, g2) = (TopicName::new("g1").unwrap(), TopicName::new("g2").unwrap());
        let partitions = counts.iter().enumerate().map(|(at, count)| (&g1, at, *count));
        let mut deliveries = Vec::new();
        for (topic, at, count) in partitions.chain([(&g2, 0, 5)]) {
            let partition = PartitionIndex::new(i32::try_from(at).unwrap()).unwrap();
            for _ in 0..count {
                let record = ProducerRecord::to(topic).partition(partition).value(b"record");
                deliveries.push(producer.send(record).await.unwrap());
            }
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    };
    task::block_on(work).unwrap();
}

/// A console consumer of `g1` that has read everything and committed it.
fn member(broker: &Broker, group: &str, more: &[&str]) -> Process {
    let mut args = vec!["kafka-console-consumer.sh", "--bootstrap-server", &broker.address, "--topic", "g1"];
    args.extend(["--group", group, "--from-beginning", "--command-property", "auto.commit.interval.ms=100"]);
    args.extend(["--command-property", "group.protocol=classic"]);
    args.extend(more.iter().flat_map(|property| ["--command-property", property]));
    let mut process = Process::start(&args);
    (0..30).for_each(|_| drop(process.line_with("record")));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let described = broker.run(&describe(group), "");
        let is_read = |partition: &str, end: &str| {
            let row = [group, "g1", partition, end, end, "0"];
            described.out.iter().any(|line| line.split_whitespace().take(6).eq(row))
        };
        if is_read("0", "8") && is_read("1", "12") && is_read("2", "10") {
            return process;
        }
        assert!(Instant::now() < deadline, "{group} has not committed everything: {described:?}");
    }
}

fn describe(group: &str) -> String {
    format!("kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group {group}")
}

/// A block without what the recorded broker had besides: groups of connectors, a static member that had gone in the
/// meantime, a member id of the consumer protocol.
fn of_these_groups(block: Block) -> Block {
    let mut block = block;
    let is_reset_of_all = block.command.contains("--reset-offsets --all-groups");
    let other = |line: &String| line.starts_with("connect-") || (is_reset_of_all && line.starts_with("st1 "));
    block.seen.out.retain(|line| !other(line));
    if block.command.ends_with("--list --type") {
        block.seen.out.iter_mut().for_each(|line| *line = line.replace("Consumer", "Classic "));
    }
    block
}

/// Replays a part of the session; answers what differs. `new1` is a classic group here like the others.
fn replay(broker: &Broker, part: &str) -> Vec<String> {
    let compared = |block: Block| broker.difference_by(&of_these_groups(block), masked);
    replayed("consumer-groups.txt", part).into_iter().filter_map(compared).collect()
}

/// Without the ids of members. Those of the consumer protocol are shorter, so that the columns of a table with one of
/// them cannot be compared.
fn masked(seen: Seen) -> Seen {
    let mut seen = seen;
    // Only the static member is still there when all groups are reset.
    if let Some(at) = seen.out.iter().position(|line| line.contains("the group 'st1' is inactive")) {
        seen.out.drain(at - 1..=at);
    }
    let has_new = seen.out.iter().any(|line| line.starts_with("new1 ") && line.contains("cli848"));
    for line in &mut seen.out {
        let words: Vec<String> = line.split(' ').map(without_id).collect();
        *line = words.join(" ");
        // Ports differ in their length, and so does what fills the column up.
        if has_new || line.contains("localhost:9092  (1)") {
            *line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }
    seen
}

fn without_id(word: &str) -> String {
    let uuid_at = word.len().saturating_sub(36);
    match word.get(uuid_at..) {
        _ if word == "rcT5i2QSQCCBmcTk4e51lg" || word.starts_with("cli848-") => "MEMBER".to_owned(),
        Some(uuid) if uuid.len() == 36 && uuid.bytes().filter(|byte| *byte == b'-').count() == 4 => {
            word.replace(uuid, &"x".repeat(36))
        }
        Some(_) | None => word.to_owned(),
    }
}

/// What the recording cannot tell, since one of its groups spoke the consumer protocol.
fn check_types_and_states(broker: &Broker) {
    let words = |options: &str| {
        let seen =
            broker.run(&format!("kafka-consumer-groups.sh --bootstrap-server localhost:9092 {options}"), "");
        assert_eq!((seen.exit, seen.err.len()), (Some(0), 0), "{seen:?}");
        let line = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        seen.out.iter().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(words("--list --type consumer"), ["GROUP TYPE"]);
    let listed = words("--list --type classic --state stable,Empty");
    assert_eq!(listed[0], "GROUP TYPE STATE");
    assert_eq!(listed[1..], ["st1", "new1", "old1"].map(|id| format!("{id} Classic Stable")));
    let states = words("--describe --all-groups --state");
    let rows = ["new1", "old1", "st1"].map(|id| format!("{id} {} (1) range Stable 1", broker.address));
    assert_eq!(states.iter().skip(1).step_by(2).cloned().collect::<Vec<_>>(), rows);
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// OUT-01: groups with members and without, as Kafka's tool shows, resets and deletes them.
#[test]
fn the_recorded_session_with_three_groups_is_repeated() {
    let broker = Broker::new("groups");
    fill(&broker, [8, 12, 10]);
    broker.write("offs.csv", "g1,2,0\ng1,1,0\ng1,0,0\n\n");
    broker.write("bad.csv", "g1;0;zz\n");
    broker.write("multi.csv", "new1,g1,0,1\nold1,g1,1,2\n");
    let recorded = include_str!("../data/consumer-groups.txt");
    let (with_members, without) =
        recorded.split_once("# the three consumers were stopped by SIGINT").unwrap();
    let mut members = [
        member(&broker, "new1", &["client.id=cli848"]),
        member(&broker, "old1", &["client.id=cliold"]),
        member(&broker, "st1", &["client.id=clist", "group.instance.id=inst1"]),
    ];
    let mut differences = replay(&broker, with_members);
    check_types_and_states(&broker);
    for member in &mut members {
        member.signal("INT");
        member.exit_code();
    }
    differences.extend(replay(&broker, without));
    assert_none(&differences);
}

/// OUT-01: the forms of resets and their refusals, what cannot be reached, quotes in exported lines.
#[test]
fn resets_and_refusals_are_those_of_kafka_s_tool() {
    let broker = Broker::new("resets");
    fill(&broker, [9, 12, 9]);
    broker.create("empty");
    broker.create("a-topic-with-a-rather-long-name.x --partitions 14");
    let read = "kafka-consumer-groups.sh --bootstrap-server localhost:9092 --reset-offsets --group old1 --topic g1 \
                --to-latest --execute";
    assert_eq!(broker.run(read, "").exit, Some(0));
    for (name, text) in [
        ("f1", "g1,0,1,5\n"),
        ("f2", "g1,0,x\n"),
        ("f3", "g1,0\n"),
        ("f4", "g1\n"),
        ("f5", ""),
        ("f6", "g1,0,1\n\ng1,1,1\n"),
        ("f7", "g1, 0, 1\n\"g1\",\"1\",2\n"),
        ("f8", "old1,g1,0,3\n"),
        ("f9", "other,g1,0,3\n"),
        ("f10", "g1,0,1\ng1,0,x\n"),
        ("f11", "nosuch,0,1\n"),
        ("f13", "g1,0,99\n"),
        ("f14", "g1,0,1\r\ng1,1,1\r\n"),
        ("f15", ",0,1\ng1,,1\ng1,1,\n"),
        ("f16", "g1,1.5,1\n"),
    ] {
        broker.write(&format!("{name}.csv"), text);
    }
    let sooner =
        |block: Block| Block { command: block.command.replace("--timeout 500", "--timeout 100"), ..block };
    let compared = |block: Block| {
        // Where two partitions fall into one bucket, the order is that of the broker's answer.
        let is_unordered = block.command.contains("--group 'gr oup' --all-topics");
        broker.difference_by(&sooner(block), |seen| {
            let mut seen = without_identities(seen);
            if is_unordered {
                seen.out.sort();
            }
            seen
        })
    };
    let recorded = include_str!("../data/consumer-groups-reset.txt");
    let differences: Vec<String> = blocks(recorded).into_iter().filter_map(compared).collect();
    assert_none(&differences);
}

/// Without the numbers by which Java tells objects apart.
fn without_identities(seen: Seen) -> Seen {
    let mut seen = seen;
    for line in seen.out.iter_mut().chain(&mut seen.err) {
        while let Some(at) = line.find("Spec@").map(|at| at + "Spec".len()) {
            let digits = line[at + 1..].bytes().take_while(u8::is_ascii_hexdigit).count();
            line.replace_range(at..=at + digits, "");
        }
    }
    seen
}
