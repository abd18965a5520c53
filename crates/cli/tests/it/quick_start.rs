//! Kafka's quick start, step by step, with the scripts in `bin/` and the properties in `config/`.
//!
//! Owns: that the words of the tutorial work as they stand, but for ports and the directory of the data.
//! Does not own: the last step, which needs Connect.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Place, Process};
use crate::transcript::words;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A command line as it is typed in the directory of the repository.
fn script(line: &str) -> Command {
    let words = words(line);
    let (script, args) = words.split_first().unwrap();
    let mut command = Command::new(repository().join(script));
    command.args(args).current_dir(repository()).env("OTTLA", env!("CARGO_BIN_EXE_ottla"));
    command
}

/// Runs a step to its end, with lines of input; answers what it prints.
fn step(line: &str, input: &str) -> String {
    let mut command = script(line);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A tool that does not read its input closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `config/server.properties` with ports that are free and a directory of its own.
fn properties(place: &Place) -> String {
    let text = std::fs::read_to_string(repository().join("config/server.properties")).unwrap();
    let data = place.0.join("data").display().to_string();
    let here = [
        ("log.dirs=/tmp/kraft-combined-logs", format!("log.dirs={data}")),
        ("PLAINTEXT://:9092", "PLAINTEXT://localhost:0".to_owned()),
        ("PLAINTEXT://localhost:9092", "PLAINTEXT://localhost:0".to_owned()),
        ("CONTROLLER://:9093", "CONTROLLER://localhost:0".to_owned()),
        ("CONTROLLER://localhost:9093", "CONTROLLER://localhost:0".to_owned()),
        ("servers=localhost:9093", "servers=localhost:0".to_owned()),
    ];
    let text = here.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "config/server.properties has no {from}");
        text.replace(from, to)
    });
    let path = place.0.join("server.properties");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// QS-01
#[test]
fn the_steps_of_the_quick_start_work_as_they_stand() {
    let place = Place::new("quick-start");
    let config = properties(&place);
    let id = step("bin/kafka-storage.sh random-uuid", "");
    let id = id.trim_end();
    assert_eq!(id.len(), 22);
    let formatted = step(&format!("bin/kafka-storage.sh format --standalone -t {id} -c {config}"), "");
    assert!(formatted.contains("Formatting dynamic metadata voter directory "), "{formatted}");
    let mut server = Process::of(script(&format!("bin/kafka-server-start.sh {config}")));
    let listening = server.line_with("listening listener=PLAINTEXT");
    let port = listening.split_once("address=127.0.0.1:").unwrap().1.split(' ').next().unwrap().to_owned();
    server.line_with("Kafka Server started");
    let here = format!("--bootstrap-server localhost:{port}");
    let topic = format!("--topic quickstart-events {here}");
    assert_eq!(
        step(&format!("bin/kafka-topics.sh --create {topic}"), ""),
        "Created topic quickstart-events.\n"
    );
    let described = step(&format!("bin/kafka-topics.sh --describe {topic}"), "");
    assert!(described.starts_with("Topic: quickstart-events\tTopicId: "), "{described}");
    assert!(
        described.contains("\tPartitionCount: 1\tReplicationFactor: 1\tConfigs: min.insync.replicas=1\n")
    );
    let events = "This is my first event\nThis is my second event\n";
    step(&format!("bin/kafka-console-producer.sh {topic}"), events);
    let mut consumer =
        Process::of(script(&format!("bin/kafka-console-consumer.sh --from-beginning {topic}")));
    for event in events.lines() {
        assert_eq!(consumer.line_with("event").trim_end(), event);
    }
    // The tutorial stops it with Ctrl-C.
    consumer.signal("INT");
    assert_eq!(consumer.exit_code(), Some(130));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn every_tool_has_its_script() {
    let in_bin = std::fs::read_dir(repository().join("bin")).unwrap();
    let in_bin = in_bin.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let scripts: BTreeSet<String> = in_bin.filter(|name| name.starts_with("kafka-")).collect();
    let help = Command::new(env!("CARGO_BIN_EXE_ottla")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let tools = help.lines().filter_map(|line| line.strip_prefix("  kafka-")?.split(' ').next());
    let tools: BTreeSet<String> = tools.map(|tool| format!("kafka-{tool}.sh")).collect();
    assert_eq!(scripts, tools);
    for script in scripts {
        let text = std::fs::read_to_string(repository().join("bin").join(&script)).unwrap();
        let tool = script.trim_end_matches(".sh");
        assert!(text.ends_with(&format!("exec \"$OTTLA\" {tool} \"$@\"\n")), "{script}: {text}");
    }
}
