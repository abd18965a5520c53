//! Where transcripts of tools are replayed: a directory for the files they name, and a node of its own.
//!
//! Owns: starting and ending the node, addresses and paths in commands, which files a transcript begins with.
//! Does not own: what transcripts look like (`transcript`), which there are.
//!
//! Transcripts name the broker `localhost:9092`, its controller `localhost:9093` and the directory `DIR`. A `cat` in a
//! transcript shows a file that the next commands read; here it is written.

use std::path::PathBuf;

use ottla_client::Producer;
use ottla_client::config::ProducerConfig;
use ottla_client::producer::ProducerRecord;
use ottla_env::task;
use ottla_model::{PartitionIndex, Timestamp, TopicName};

use crate::process::Process;
use crate::transcript::{Block, Seen, blocks, comparable, run};

/// The end of commands that are left out, and the reason.
pub type LeftOut<'a> = (&'a str, &'a str);

/// A node that serves.
struct Node {
    _process: Process,
    broker: String,
    controller: String,
}

pub struct Stage {
    directory: PathBuf,
    node: Option<Node>,
}

impl Node {
    fn start(properties: &str) -> Node {
        let mut process = Process::start(&["server", properties]);
        let mut address = |listener: &str| {
            let marker = format!("listening listener={listener} address=127.0.0.1:");
            let line = process.line_with(&marker);
            let port = line.split_once(&marker).unwrap().1.split(' ').next().unwrap();
            format!("localhost:{port}")
        };
        let (broker, controller) = (address("PLAINTEXT"), address("CONTROLLER"));
        process.line_with("Kafka Server started");
        process.pass_over_the_rest();
        Node { _process: process, broker, controller }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.node.take());
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Stage {
    /// A directory alone.
    pub fn without_node(name: &str) -> Stage {
        let directory = std::env::temp_dir().join(format!("ottla-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("work")).unwrap();
        Stage { directory, node: None }
    }

    /// A directory and a node with the settings of the recorded one, as far as tools show them.
    pub fn new(name: &str) -> Stage {
        let mut stage = Stage::without_node(name);
        let listeners = "PLAINTEXT://localhost:0,CONTROLLER://localhost:0";
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=localhost:0\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs=DIR/d1,DIR/d2\noffsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\nauto.create.topics.enable=false\nnum.partitions=1\n\
             group.initial.rebalance.delay.ms=0\n"
        );
        let path = stage.write("server.properties", &text);
        stage.node = Some(Node::start(&path));
        stage
    }

    /// Writes a file, and answers its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, self.real(text)).unwrap();
        path.display().to_string()
    }

    /// The broker's address.
    pub fn broker(&self) -> String {
        self.real("localhost:9092")
    }

    pub fn create_topic(&self, topic: &str, partitions: u32) {
        let command = format!(
            "kafka-topics.sh --bootstrap-server localhost:9092 --create --topic {topic} --partitions {partitions}"
        );
        assert_eq!(self.run(&command, "").exit, Some(0), "{command}");
    }

    /// Sends one record with each of the timestamps.
    pub fn produce(&self, (topic, partition): (&str, i32), timestamps: impl Iterator<Item = i64>) {
        let topic = TopicName::new(topic).unwrap();
        let index = PartitionIndex::new(partition).unwrap();
        let work = async {
            let config = ProducerConfig::new(&self.broker()).unwrap();
            let producer = Producer::new(config).unwrap();
            for timestamp in timestamps {
                let record = ProducerRecord::to(&topic).partition(index).value(b"value");
                let record = record.timestamp(Timestamp::from_millis(timestamp));
                producer.send(record).await.unwrap().await.unwrap();
            }
        };
        task::block_on(work).unwrap();
    }

    /// Text of a transcript with the addresses and the directory of this stage.
    fn real(&self, text: &str) -> String {
        let text = text.replace("DIR", &self.directory.display().to_string());
        match &self.node {
            Some(node) => {
                text.replace("localhost:9092", &node.broker).replace("localhost:9093", &node.controller)
            }
            None => text,
        }
    }

    fn restored(&self, lines: Vec<String>) -> Vec<String> {
        let restored = |line: String| {
            let line = line.replace(&self.directory.display().to_string(), "DIR");
            match &self.node {
                Some(node) => {
                    line.replace(&node.broker, "localhost:9092").replace(&node.controller, "localhost:9093")
                }
                None => line,
            }
        };
        lines.into_iter().map(restored).collect()
    }

    /// Runs a command of a transcript.
    pub fn run(&self, command: &str, input: &str) -> Seen {
        let seen = run(&self.real(command), input);
        Seen { out: self.restored(seen.out), err: self.restored(seen.err), exit: seen.exit }
    }

    /// Replays a transcript without the commands that are left out, and compares everything else. `form` brings output
    /// into the form in which it is compared.
    pub fn replay(&self, text: &str, left_out: &[LeftOut<'_>], form: impl Fn(Seen) -> Seen) {
        let blocks = blocks(text);
        for (end, reason) in left_out {
            let is_meant = |block: &Block| block.command.ends_with(end);
            assert!(blocks.iter().any(is_meant), "no command ends with '{end}' ({reason})");
        }
        let is_left_out = |block: &Block| left_out.iter().any(|(end, _)| block.command.ends_with(end));
        self.replay_but(text, is_left_out, form);
    }

    /// The same without the commands that a function chooses.
    pub fn replay_but(&self, text: &str, is_left_out: impl Fn(&Block) -> bool, form: impl Fn(Seen) -> Seen) {
        let mut differences = Vec::new();
        for block in &blocks(text) {
            // Of a bare command everything was cut.
            let is_cut = block.seen.err == ["[option table cut]"];
            if is_cut || is_left_out(block) {
                continue;
            }
            if let Some(path) = block.command.strip_prefix("cat DIR/") {
                let has_end = block.seen.out.iter().all(|line| line != "[no newline at end]");
                let lines: Vec<&str> = block.seen.out.iter().map(String::as_str).collect();
                let lines = lines.strip_suffix(&["[no newline at end]"]).unwrap_or(&lines);
                self.write(path, &(lines.join("\n") + if has_end { "\n" } else { "" }));
                continue;
            }
            let ours = form(comparable(&self.run(&block.command, &block.input)));
            let kafkas = form(comparable(&block.seen));
            if ours != kafkas {
                differences.push(format!("$ {}\nours:    {ours:#?}\nKafka's: {kafkas:#?}\n", block.command));
            }
        }
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    }
}

/// Output whose order is that of a hash table.
pub fn sorted(mut seen: Seen) -> Seen {
    seen.out.sort();
    seen.err.sort();
    seen
}
