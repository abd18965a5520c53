//! Transcripts replayed against a broker.
//!
//! They run when `OTTLA_TEST_BOOTSTRAP` names a broker that has no topics yet, does not create topics by itself and gives
//! a new topic one partition (`auto.create.topics.enable=false`, `num.partitions=1`), as the recorded one did. Otherwise
//! they say loudly that they did not run.

use std::io::Write;

use crate::transcript::{Block, Seen, blocks, comparable, run};

/// A broker as the transcripts need it.
struct Broker {
    address: String,
}

impl Broker {
    fn find() -> Option<Broker> {
        let Ok(address) = std::env::var("OTTLA_TEST_BOOTSTRAP") else {
            return not_run("no broker to test against, set OTTLA_TEST_BOOTSTRAP=host:port");
        };
        let broker = Broker { address };
        let listed = broker.run("kafka-topics.sh --bootstrap-server localhost:9092 --list", "");
        match listed.out.iter().all(String::is_empty) && listed.exit == Some(0) {
            true => Some(broker),
            false => not_run("the broker has topics already; transcripts begin with none"),
        }
    }

    fn run(&self, command: &str, input: &str) -> Seen {
        run(&command.replace("localhost:9092", &self.address), input)
    }

    /// Replays the blocks that `wanted` chooses and collects the differences.
    fn replay(&self, text: &str, wanted: impl Fn(&Block) -> bool) -> Vec<String> {
        let mut differences = Vec::new();
        for block in blocks(text).iter().filter(|block| wanted(block)) {
            let ours = in_order(block, comparable(&self.run(&block.command, &block.input)));
            let ours = Seen { out: self.restored(ours.out), err: self.restored(ours.err), ..ours };
            let kafkas = in_order(block, comparable(&block.seen));
            if ours != kafkas {
                differences.push(format!("$ {}\nours:    {ours:#?}\nKafka's: {kafkas:#?}\n", block.command));
            }
        }
        differences
    }

    fn restored(&self, lines: Vec<String>) -> Vec<String> {
        lines.into_iter().map(|line| line.replace(&self.address, "localhost:9092")).collect()
    }
}

/// Kafka's tools describe several things in the order of a hash table.
fn in_order(block: &Block, seen: Seen) -> Seen {
    let mut seen = seen;
    if block.command.contains("--describe") {
        seen.out.sort();
    }
    seen
}

/// Straight to the descriptor: the test harness hides what goes through the macros.
fn not_run<T>(reason: &str) -> Option<T> {
    std::io::stderr().write_all(format!("NOT RUN: {reason}\n").as_bytes()).unwrap();
    None
}

/// Files that the transcripts name, in a directory of their own.
struct Files {
    directory: std::path::PathBuf,
}

impl Files {
    fn new() -> Files {
        let directory = std::env::temp_dir().join(format!("ottla-cli-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        write("cons.properties", "group.id=from-file\nauto.offset.reset=earliest\n");
        write("add.properties", "flush.ms=1000\nsegment.ms=60000\n");
        Files { directory }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Parts of commands that need what is not there yet: share groups, the new group protocol.
const LATER: [&str; 4] = ["share-consumer", "group.protocol=consumer", "sg1", "--topic sh1"];

/// Parts of commands whose answers tell what the recorded broker had besides: its other topics and groups, its settings,
/// its credentials, its loggers; or that need quotas.
const OF_RECORDED: [&str; 16] = [
    "--entity-type users",
    "--user",
    "--client ",
    "--client-defaults",
    "--ip",
    "--entity-type ips",
    "--entity-type clients",
    "--describe --entity-type topics --all",
    "--describe --entity-type groups",
    "--describe --broker 1 --all",
    "--describe --entity-type brokers --all",
    "--describe --broker-logger",
    "sasl_plaintext",
    "listeners=",
    "--bootstrap-controller",
    "Logger",
];

#[test]
fn the_tools_print_what_kafka_s_tools_print_against_a_broker() {
    let Some(broker) = Broker::find() else { return };
    let files = Files::new();
    let directory = files.directory.to_string_lossy().into_owned();
    let texts = [
        include_str!("../data/topics.txt").to_owned(),
        include_str!("../data/console.txt").replace("DIR/work", &directory),
        include_str!("../data/configs.txt").replace("DIR/work", &directory),
    ];
    assert_none(&broker.replay(&texts[0], |block| {
        // Ids of topics differ from broker to broker; of a bare command the recording cut everything.
        !block.command.contains("QdhRhstsSyyiCLjqcpmPCw") && block.command.contains(" --")
    }));
    let created = broker.run("kafka-topics.sh --bootstrap-server localhost:9092 --create --topic c1", "");
    assert_eq!(created.exit, Some(0), "{created:?}");
    assert_none(&broker.replay(&texts[1], |block| {
        block.command.contains(" --") && !LATER.iter().any(|later| block.command.contains(later))
    }));
    let created = broker.run("kafka-topics.sh --bootstrap-server localhost:9092 --create --topic cfg1", "");
    assert_eq!(created.exit, Some(0), "{created:?}");
    assert_none(&broker.replay(&texts[2], |block| {
        let command = block.command.as_str();
        let is_list = command.ends_with("--describe --entity-type topics");
        command.contains(" --") && !is_list && !OF_RECORDED.iter().any(|part| command.contains(part))
    }));
}
