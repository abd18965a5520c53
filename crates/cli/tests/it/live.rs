//! Transcripts replayed against a broker: a node of ours for each, or the one that `OTTLA_TEST_BOOTSTRAP` names.
//!
//! A broker of the environment has no topics and groups yet, does not create topics by itself and gives a new topic one
//! partition (`auto.create.topics.enable=false`, `num.partitions=1`), as the recorded one did. So a run against such a
//! broker is a run of one test: `OTTLA_TEST_BOOTSTRAP=host:port cargo test -p ottla-cli --test it live::kafka_topics`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::left_out::replayed;
use crate::process::Node;
use crate::transcript::{Block, Seen, comparable, run};

/// What a node must be told to be as the recorded broker was.
const SETTINGS: &str =
    "auto.create.topics.enable=false\nnum.partitions=1\ngroup.initial.rebalance.delay.ms=0";

/// A broker as the transcripts need it, and a directory for the files that they name.
pub struct Broker {
    pub address: String,
    files: Files,
    node: Option<Node>,
}

impl Broker {
    /// A node of these settings that has nothing yet.
    fn start(name: &str, settings: &str) -> Broker {
        let node = Node::start(&format!("live-{name}"), settings);
        Broker { address: node.address.clone(), files: Files::new(name), node: Some(node) }
    }

    /// A node that has nothing yet, or the broker of the environment.
    pub fn new(name: &str) -> Broker {
        let Ok(address) = std::env::var("OTTLA_TEST_BOOTSTRAP") else {
            return Broker::start(name, SETTINGS);
        };
        let files = Files::new(name);
        let broker = Broker { address, files, node: None };
        let listed = broker.run("kafka-topics.sh --bootstrap-server localhost:9092 --list", "");
        let is_empty = listed.out.iter().all(|name| name.is_empty() || name == "__consumer_offsets");
        assert!(is_empty && listed.exit == Some(0), "not a broker to test against: {listed:?}");
        broker
    }

    pub fn run(&self, command: &str, input: &str) -> Seen {
        run(&self.real(command), input)
    }

    fn real(&self, text: &str) -> String {
        let text = text.replace("localhost:9092", &self.address).replace("DIR/work", &self.files.path());
        match &self.node {
            Some(node) => text.replace("localhost:9093", &node.controller),
            None => text,
        }
    }

    /// Creates a topic that the recorded broker had already. The text may have options behind the name.
    pub fn create(&self, topic: &str) {
        let command = format!("kafka-topics.sh --bootstrap-server localhost:9092 --create --topic {topic}");
        let created = self.run(&command, "");
        assert_eq!(created.exit, Some(0), "{created:?}");
    }

    /// Replays a transcript, or a part of one, without what is left out of it; nothing may differ.
    pub fn replay(&self, (name, text): (&str, &str)) {
        let blocks: Vec<Block> = replayed(name, text).into_iter().map(sooner).collect();
        let mut differences = Vec::new();
        for together in blocks.chunk_by(|one, next| only_reads(one) && only_reads(next)) {
            let check = |block: &Block| self.difference(block);
            let found: Vec<Option<String>> = std::thread::scope(|scope| {
                let checks: Vec<_> = together.iter().map(|block| scope.spawn(|| check(block))).collect();
                checks.into_iter().map(|check| check.join().unwrap()).collect()
            });
            differences.extend(found.into_iter().flatten());
        }
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    }

    fn difference(&self, block: &Block) -> Option<String> {
        self.difference_by(block, |seen| in_order(block, seen))
    }

    /// What differs between our answer and the recorded one once `normal` has been applied to both.
    pub fn difference_by(&self, block: &Block, normal: impl Fn(Seen) -> Seen) -> Option<String> {
        let ours = comparable(&self.run(&block.command, &block.input));
        let ours = normal(Seen { out: self.restored(ours.out), err: self.restored(ours.err), ..ours });
        let kafkas = normal(comparable(&block.seen));
        let told = || format!("$ {}\nours:    {ours:#?}\nKafka's: {kafkas:#?}\n", block.command);
        (ours != kafkas).then(told)
    }

    /// Writes a file that a transcript names as `DIR/work/…`.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.directory.join(name), text).unwrap();
    }

    fn restored(&self, lines: Vec<String>) -> Vec<String> {
        let directory = self.files.path();
        let restored = |line: String| {
            let line = line.replace(&self.address, "localhost:9092").replace(&directory, "DIR/work");
            match &self.node {
                Some(node) => line.replace(&node.controller, "localhost:9093"),
                None => line,
            }
        };
        lines.into_iter().map(restored).collect()
    }
}

/// Whether the command only waits for records and leaves nothing behind, so that others like it may run beside it.
fn only_reads(block: &Block) -> bool {
    let command = &block.command;
    command.starts_with("kafka-console-consumer.sh")
        && command.contains("--timeout-ms")
        && !command.contains("--group")
        && !command.contains("group.id")
}

/// The same block with less waiting: for what never comes, and for a further record.
fn sooner(block: Block) -> Block {
    let mut block = block;
    let reads_nothing = block.seen.err.iter().any(|line| line == "Processed a total of 0 messages");
    let wait = if reads_nothing { "--timeout-ms 300" } else { "--timeout-ms 2000" };
    for recorded in ["2000", "3000", "4000", "5000", "8000"] {
        block.command = block.command.replace(&format!("--timeout-ms {recorded}"), wait);
    }
    block.command = block.command.replace("max.block.ms=3000", "max.block.ms=300");
    for line in &mut block.seen.err {
        *line = line.replace("after 3000 ms", "after 300 ms");
    }
    block
}

/// Kafka's tools describe several things, and the brokers the settings of a topic, in the order of a hash table.
fn in_order(block: &Block, seen: Seen) -> Seen {
    let mut seen = seen;
    if block.command.contains("--describe") {
        seen.out.iter_mut().for_each(|line| *line = with_sorted_settings(line));
        seen.out.sort();
    }
    seen
}

fn with_sorted_settings(line: &str) -> String {
    let Some((topic, settings)) = line.split_once("\tConfigs: ") else { return line.to_owned() };
    let mut settings: Vec<&str> = settings.split(',').collect();
    settings.sort_unstable();
    format!("{topic}\tConfigs: {}", settings.join(","))
}

/// Files that the transcripts name, in a directory of their own.
struct Files {
    directory: PathBuf,
}

impl Files {
    fn new(name: &str) -> Files {
        let directory = std::env::temp_dir().join(format!("ottla-live-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        write("cons.properties", "group.id=from-file\nauto.offset.reset=earliest\n");
        write("add.properties", "flush.ms=1000\nsegment.ms=60000\n");
        Files { directory }
    }

    fn path(&self) -> String {
        self.directory.display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Id of the topic `plain` on the recorded broker.
const PLAIN_ID: &str = "QdhRhstsSyyiCLjqcpmPCw";

#[test]
fn kafka_topics_prints_what_kafka_s_tool_prints() {
    let broker = Broker::new("topics");
    let text = include_str!("../data/topics.txt");
    // From here on a topic is named by its id, which ours has another one of.
    let (before, after) = text.split_at(text.find(&format!("--topic-id {PLAIN_ID}")).unwrap());
    let (before, command) = before.rsplit_once("$ ").unwrap();
    broker.replay(("topics.txt", before));
    let described = "kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic plain";
    let described = broker.run(described, "");
    let id = described.out[0].split_once("TopicId: ").unwrap().1.split('\t').next().unwrap();
    broker.replay(("topics.txt", &format!("$ {command}{after}").replace(PLAIN_ID, id)));
}

#[test]
fn the_console_tools_print_what_kafka_s_tools_print() {
    let broker = Broker::new("console");
    broker.create("c1");
    broker.replay(("console.txt", include_str!("../data/console.txt")));
}

#[test]
fn kafka_configs_prints_what_kafka_s_tool_prints() {
    let broker = Broker::new("configs");
    broker.create("cfg1");
    broker.replay(("configs.txt", include_str!("../data/configs.txt")));
}

/// As Kafka's tool does on `kafka-console-consumer … | head -1`.
#[test]
fn a_console_consumer_ends_when_nobody_reads_it_any_more() {
    let broker = Broker::new("no-reader");
    broker.create("n1");
    // More than a pipe holds.
    let fill = "kafka-producer-perf-test.sh --bootstrap-server localhost:9092 --topic n1 --num-records 1000 \
                --record-size 1000 --throughput -1";
    assert_eq!(broker.run(fill, "").exit, Some(0));
    let mut consumer = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["kafka-console-consumer.sh", "--bootstrap-server", &broker.address, "--topic", "n1"])
        .arg("--from-beginning")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(consumer.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.len(), 1001);
    let ended = consumer.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[0], "Unable to write to standard out, closing consumer.");
    assert!(told[1].starts_with("Processed a total of "), "{told:?}");
    assert_eq!((told.len(), ended.status.code()), (2, Some(0)), "{told:?}");
}

/// What a node of default settings does by itself, and what it refuses.
#[test]
fn a_node_as_it_comes_answers_the_tools_as_kafka_s_does() {
    let broker = Broker::start("default", "num.partitions=4");
    broker.replay(("default-broker.txt", include_str!("../data/default-broker.txt")));
    let described = "kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic autocreated";
    assert!(broker.run(described, "").out[0].contains("\tPartitionCount: 4\tReplicationFactor: 1\t"));
    // A controller is no broker.
    let seen = broker.run("kafka-topics.sh --bootstrap-server localhost:9093 --list", "");
    let told = "Error while executing topic command : The node does not support METADATA";
    assert_eq!((seen.out, seen.exit), (vec![told.to_owned()], Some(1)));
}
