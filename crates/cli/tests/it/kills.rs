//! A node that is killed again and again while clients use it.
//!
//! Owns: when it is killed, and that everything is read at the end.
//! Does not own: the clients (`clients`), what they write down (`notes`), the judgement (`ottla_testkit::history`).
//!
//! `OTTLA_KILLS` sets how often (50), `OTTLA_SEED` repeats a run's moments as well as processes allow.

mod clients;
mod notes;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla_env::{task, time};
use ottla_testkit::history::{History, Verdict, check};
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

use clients::{Cluster, PARTITIONS};
use notes::Notes;

/// How often the node is killed, unless the environment says otherwise.
const KILLS: u64 = 50;
/// Producers that write at the same time.
const PRODUCERS: u64 = 3;
/// Acknowledgements after which the node is killed: anything up to this many.
const ACKS_BEFORE_KILL_MAX: u64 = 400;
/// Longest a node that was started again may take until it acknowledges what a round waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The node, on one port and one directory for the whole test.
struct Node {
    properties: PathBuf,
    log: PathBuf,
    directory: PathBuf,
    child: Child,
}

impl Node {
    fn start(port: u16) -> Node {
        let directory = std::env::temp_dir().join(format!("ottla-kills-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:0\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             group.initial.rebalance.delay.ms=0\nlog.segment.bytes=1048576\n",
            directory.join("data").display()
        );
        let (properties, log) = (directory.join("server.properties"), directory.join("node.log"));
        std::fs::write(&properties, text).unwrap();
        let child = spawn(&properties, &log);
        Node { properties, log, directory, child }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.properties, &self.log);
    }

    fn stop_cleanly(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.last_lines());
    }

    /// What the node said last; a node that ended by itself has said why.
    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; the directory may be gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(properties: &PathBuf, log: &PathBuf) -> Child {
    let output = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let errors = output.try_clone().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.arg("server").arg(properties).stdin(Stdio::null()).stdout(output).stderr(errors);
    command.spawn().unwrap()
}

/// R1, R2, R3, R4, R8, R9, G2, G3, LOG-04, IDM-09, OFF-08: whatever moment a node is killed at, what it acknowledged is
/// there afterwards, once and in order, and a group goes on where it was.
#[test]
fn a_node_that_is_killed_fifty_times_loses_nothing() {
    let kills = std::env::var("OTTLA_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    seeds::run(1, |seed| {
        let verdict = task::run(None, story(SeededRandom::new(seed), kills)).unwrap();
        assert!(verdict.passed(), "{verdict}");
        assert_eq!(
            verdict.counts.unknown + verdict.counts.refused,
            0,
            "clients go on by themselves: {verdict}"
        );
        assert!(verdict.counts.acked > kills * ACKS_BEFORE_KILL_MAX / 4, "too little was sent: {verdict}");
    });
}

async fn story(random: SeededRandom, kills: u64) -> Verdict {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut node = Node::start(port);
    let notes = Arc::new(Notes::new());
    let cluster = Cluster::new(format!("127.0.0.1:{port}"), Arc::clone(&notes));
    cluster.create_topic().await;
    let writers: Vec<_> = (0..PRODUCERS).map(|number| task::spawn(cluster.clone().write(number))).collect();
    let readers = [
        task::spawn(cluster.clone().follow()),
        task::spawn(cluster.clone().follow_as_group()),
        task::spawn(cluster.clone().watch_bounds()),
    ];
    for round in 0..kills {
        survive(&mut node, (round, &random), &notes).await;
    }
    cluster.stop_writing.store(true, Ordering::Release);
    for writer in writers {
        time::timeout(PATIENCE, writer).await.expect("what was sent is delivered").unwrap();
    }
    let ends = cluster.ends().await;
    notes.every_end(&ends, PATIENCE).await;
    cluster.stop_reading.store(true, Ordering::Release);
    for reader in readers {
        time::timeout(PATIENCE, reader).await.expect("readers end").unwrap();
    }
    cluster.read_all("after the last kill", &ends).await;
    node.stop_cleanly();
    node.start_again();
    assert_eq!(cluster.ends().await, ends, "a clean stop changes nothing");
    cluster.read_all("after a clean stop", &ends).await;
    assert_eq!(ends.len(), PARTITIONS);
    check(&History::load(notes.take()).unwrap())
}

/// One round: the node serves for a while, or not even that, and is killed.
async fn survive(node: &mut Node, (round, random): (u64, &SeededRandom), notes: &Notes) {
    let in_the_middle_of_its_start = random.chance(20);
    let acks = if in_the_middle_of_its_start { 0 } else { random.between(1, ACKS_BEFORE_KILL_MAX) };
    if time::timeout(PATIENCE, notes.more_acks(acks)).await.is_err() {
        panic!("round {round}: the node does not serve:\n{}", node.last_lines());
    }
    // Between two acknowledgements, or in the middle of a start, lie many moments.
    for _ in 0..random.between(0, 20_000) {
        task::yield_now().await;
    }
    node.kill();
    node.start_again();
}
