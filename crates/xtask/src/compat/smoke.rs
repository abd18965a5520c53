//! `cargo xtask compat smoke`: a few lines with each client of `tests/compat/smoke/`, before and after a restart.
//!
//! Owns: which scripts there are, what each needs, the restart between their two rounds.
//! Does not own: what they check (the scripts), the node's life (`node`).

use std::path::Path;
use std::process::{Command, Stdio};

use super::node::Node;

/// A script with two rounds, `first` and `again`.
struct Script {
    name: &'static str,
    /// What runs it, in front of its file.
    interpreter: &'static str,
    file: &'static str,
    /// Succeeds where the script can run.
    probe: &'static str,
    needs: &'static str,
}

const SCRIPTS: [Script; 3] = [
    Script { name: "kcat", interpreter: "bash", file: "kcat.sh", probe: "kcat -V", needs: "kcat" },
    Script {
        name: "kafkajs",
        interpreter: "node",
        file: "kafkajs.mjs",
        probe: "node \"$SMOKE/kafkajs.mjs\" probe",
        needs: "Node 18 and, in $KAFKAJS_FROM or beside the script, the package kafkajs",
    },
    Script {
        name: "java-tools",
        interpreter: "bash",
        file: "java-tools.sh",
        probe: "bash \"$SMOKE/java-tools.sh\" probe",
        needs: "Java 17 and Kafka's jars in $OTTLA_KAFKA_PEER/libs (~/.cache/kafka-4.3.1/libs)",
    },
];

/// Runs the scripts that `names` names, or all of them.
pub fn run(binary: &Path, home: &Path, work: &Path, names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| SCRIPTS.iter().all(|script| script.name != **name)) {
        return Err(format!("unknown script '{unknown}'; known are kcat, kafkajs, java-tools"));
    }
    let wanted =
        SCRIPTS.iter().filter(|script| names.is_empty() || names.iter().any(|name| name == script.name));
    let (can, cannot): (Vec<&Script>, Vec<&Script>) = wanted.partition(|script| script.can_run(home));
    for script in &cannot {
        println!("*** NOT RUN: {} needs {}", script.name, script.needs);
    }
    let mut node = Node::start(binary, &home.join("broker.properties"), work)?;
    println!("node on 127.0.0.1:{}, its log: {}", node.port, node.log.display());
    let mut failed = can.iter().filter(|script| !script.run(home, node.port, "first")).count();
    node.stop()?;
    node.start_again(binary)?;
    failed += can.iter().filter(|script| !script.run(home, node.port, "again")).count();
    node.stop()?;
    println!("{} passed, {failed} failed, {} skipped", 2 * can.len() - failed, 2 * cannot.len());
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} rounds failed")),
    }
}

impl Script {
    fn can_run(&self, home: &Path) -> bool {
        let mut probe = Command::new("sh");
        probe.args(["-c", self.probe]).env("SMOKE", home);
        let probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// Whether the round passed; the script says what it did.
    fn run(&self, home: &Path, port: u16, round: &str) -> bool {
        let mut command = Command::new(self.interpreter);
        command.arg(home.join(self.file)).arg(round).env("BOOTSTRAP", format!("127.0.0.1:{port}"));
        command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}
