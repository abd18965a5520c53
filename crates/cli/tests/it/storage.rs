//! `kafka-storage` against what Kafka's tool prints, in directories of its own.

use std::path::PathBuf;
use std::process::Command;

use crate::transcript::{Block, Seen, blocks, run, words};

/// A directory with the properties files of the transcripts.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("ottla-storage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let place = Place { path };
        let common = "node.id=1\ncontroller.listener.names=CONTROLLER\n\
                      listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n";
        let both = "process.roles=broker,controller\n\
                    listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
                    advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n";
        let dirs = "log.dirs=DIR/d1,DIR/d2\n";
        let dynamic = "controller.quorum.bootstrap.servers=localhost:9093\n";
        let broker = "listeners=PLAINTEXT://localhost:9092\n";
        let apart = "log.dirs=DIR/d1\nmetadata.log.dir=DIR/m1\n";
        place.write("server", &[common, both, dirs, dynamic]);
        place.write("dynamic", &[common, both, dirs, dynamic]);
        place.write("static", &[common, both, dirs, "controller.quorum.voters=1@localhost:9093\n"]);
        place.write("broker", &[common, dirs, dynamic, "process.roles=broker\n", broker]);
        place.write("no-roles", &[common, dirs, dynamic, broker]);
        place.write("bad-value", &[common, both, dirs, dynamic, "num.partitions=x\n"]);
        place.write("apart", &[common, both, apart, dynamic]);
        place
    }

    fn write(&self, name: &str, parts: &[&str]) {
        let path = self.path.join(format!("{name}.properties"));
        std::fs::write(path, self.real(&parts.concat())).unwrap();
    }

    fn real(&self, text: &str) -> String {
        text.replace("DIR", self.path.to_str().unwrap())
    }

    /// Runs a command of ours, or one of the shell.
    fn run(&self, command: &str) -> Seen {
        let command = self.real(command);
        let seen = if command.starts_with("kafka-") { run(&command, "") } else { shell(&command) };
        let restored = |lines: &[String]| {
            lines.iter().map(|line| line.replace(self.path.to_str().unwrap(), "DIR")).collect()
        };
        Seen { out: restored(&seen.out), err: restored(&seen.err), exit: seen.exit }
    }

    /// Compares one command with what Kafka's tool printed.
    fn check(&self, block: &Block) {
        let ours = self.run(&block.command);
        assert_eq!(comparable(&ours), comparable(&block.seen), "$ {}", block.command);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn shell(command: &str) -> Seen {
    let words = words(command);
    let (program, args) = words.split_first().unwrap();
    let output = Command::new(program).args(args).env("LC_ALL", "C").output().unwrap();
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    Seen { out: lines(&output.stdout), err: lines(&output.stderr), exit: output.status.code() }
}

/// Without ids, times and checksums, which differ each time, and without what the recording cut out.
fn comparable(seen: &Seen) -> Seen {
    let lines = |lines: &[String]| {
        // What help says below the usage is in our own words.
        let table =
            lines.iter().position(|line| line == "[option table cut]" || line.starts_with("Formats the"));
        let lines = &lines[..table.unwrap_or(lines.len())];
        let kept =
            lines.iter().filter(|line| !line.contains("cut]") && !line.contains("[no newline at end]"));
        let mut kept: Vec<String> = kept.map(|line| masked(line)).collect();
        while kept.last().is_some_and(String::is_empty) {
            kept.pop();
        }
        kept
    };
    Seen { out: lines(&seen.out), err: lines(&seen.err), exit: seen.exit }
}

/// Replaces what stands behind the markers, as far as it is an id or a number.
fn masked(line: &str) -> String {
    if is_id(line) {
        return "ID".to_owned();
    }
    if line.starts_with('#') && line.contains(" UTC ") {
        return "#TIME".to_owned();
    }
    let markers = [
        "directory.id=",
        "Optional[",
        "\"voterDirectoryId\":\"",
        "CreateTime: ",
        "crc: ",
        "\"lastContainedLogTimestamp\":",
    ];
    let mut text = line.to_owned();
    for marker in markers {
        let mut from = 0;
        while let Some(at) = text[from..].find(marker).map(|at| from + at + marker.len()) {
            let is_part = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
            let end = text[at..].find(|it| !is_part(it)).map_or(text.len(), |end| at + end);
            // The first snapshot stands for nothing, so it names the time 0.
            if &text[at..end] != "0" {
                text.replace_range(at..end, "X");
            }
            from = at;
        }
    }
    text
}

fn is_id(text: &str) -> bool {
    text.len() == 22 && text.chars().all(|it| it.is_ascii_alphanumeric() || it == '-' || it == '_')
}

/// STG-01: the recorded session. Credentials are refused here, which is why two commands differ.
#[test]
fn the_recorded_session_is_repeated() {
    let place = Place::new("session");
    let text = include_str!("../data/storage.txt");
    let mut removes = 0;
    // The comment says what was done between two commands.
    for part in text.split("# the two log directories are removed") {
        for block in blocks(part) {
            if block.command.contains("password=admin-secret") {
                let refused = place.run(&block.command);
                assert_eq!(refused.exit, Some(1));
                assert!(refused.err[0].starts_with("--add-scram is not supported yet"), "{refused:?}");
                let without = block.command.split(" --add-scram").next().unwrap();
                assert_eq!(place.run(without).exit, Some(0));
            } else if !block.command.contains("bootstrap.checkpoint") {
                place.check(&block);
            }
        }
        removes += 1;
        if removes == 1 {
            assert_eq!(place.run("rm -r DIR/d1 DIR/d2").exit, Some(0));
        }
    }
    assert_eq!(removes, 2);
}

/// STG-01, KRF-05: voters, releases, features, refusals, and the bytes that are written.
#[test]
fn directories_are_formatted_as_kafka_does_it() {
    let place = Place::new("format");
    let blocks = blocks(include_str!("../data/storage-format.txt"));
    assert!(blocks.len() > 80);
    blocks.iter().for_each(|block| place.check(block));
}

/// STG-01
#[test]
fn help_begins_as_kafkas_and_says_what_the_flags_are() {
    let help = run("kafka-storage format --help", "");
    assert_eq!(help.exit, Some(0));
    assert_eq!(help.out[0], "usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID");
    for flag in ["--initial-controllers INITIAL_CONTROLLERS, -I INITIAL_CONTROLLERS", "--standalone, -s"] {
        assert!(help.out.iter().any(|line| line.trim_start().starts_with(flag)), "{flag}");
    }
    assert!(help.out.iter().all(|line| line.chars().count() <= 75), "{:#?}", help.out);
}
