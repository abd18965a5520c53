//! A node that is killed again and again while clients use it.
//!
//! Owns: when it is killed, and that everything is read at the end.
//! Does not own: the node's life, the clients and what they write down (`ottla_chaos`), the judgement
//! (`ottla_testkit::history`).
//!
//! `OTTLA_KILLS` sets how often (50), `OTTLA_SEED` repeats a run's moments as well as processes allow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla_chaos::clients::{Cluster, FOLLOWER, Load, MEMBERS};
use ottla_chaos::node::{Node, Setup};
use ottla_env::{task, time};
use ottla_testkit::history::{History, Verdict, check};
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

use crate::process::Place;

/// How often the node is killed, unless the environment says otherwise.
const KILLS: u64 = 50;
/// Producers that write at the same time.
const PRODUCERS: u64 = 3;
/// Partitions of the topic.
const PARTITIONS: i32 = 3;
/// Acknowledgements after which the node is killed: anything up to this many.
const ACKS_BEFORE_KILL_MAX: u64 = 400;
/// Longest a node that was started again may take until it acknowledges what a round waits for.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let place = Place::new("kills");
    let setup = Setup {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_ottla")),
        home: place.0.clone(),
        log_dirs: vec![place.0.join("data")],
        settings: String::new(),
        environment: BTreeMap::new(),
    };
    let mut node = Node::start(setup).unwrap();
    let load = Load { in_flight: 200, per_second: None, filling_max: 300 };
    let cluster = Cluster::new(format!("127.0.0.1:{}", node.port), "kills", PARTITIONS, load);
    cluster.create_topic(&[]).await.unwrap();
    let writers: Vec<_> = (0..PRODUCERS).map(|number| task::spawn(cluster.clone().write(number))).collect();
    let readers = [
        task::spawn(cluster.clone().follow()),
        task::spawn(cluster.clone().follow_as_member(0)),
        task::spawn(cluster.clone().watch()),
    ];
    for round in 0..kills {
        survive(&mut node, (round, &random), &cluster).await;
    }
    cluster.stop_writing.store(true, Ordering::Release);
    for writer in writers {
        time::timeout(PATIENCE, writer).await.expect("what was sent is delivered").unwrap().unwrap();
    }
    let ends = cluster.ends().await.unwrap();
    cluster.notes.every_end(&[FOLLOWER, MEMBERS], &ends, PATIENCE).await.unwrap();
    cluster.stop_reading.store(true, Ordering::Release);
    for reader in readers {
        time::timeout(PATIENCE, reader).await.expect("readers end").unwrap().unwrap();
    }
    cluster.note_drained(&ends);
    cluster.read_all("after the last kill", &ends).await.unwrap();
    node.stop().await.unwrap();
    node.start_again().unwrap();
    assert_eq!(cluster.ends().await.unwrap(), ends, "a clean stop changes nothing");
    cluster.read_all("after a clean stop", &ends).await.unwrap();
    assert_eq!(cluster.notes.complaints(), BTreeMap::new(), "clients are told of no trouble");
    check(&History::load(cluster.notes.take()).unwrap())
}

/// One round: the node serves for a while, or not even that, and is killed.
async fn survive(node: &mut Node, (round, random): (u64, &SeededRandom), cluster: &Cluster) {
    let in_the_middle_of_its_start = random.chance(20);
    let acks = if in_the_middle_of_its_start { 0 } else { random.between(1, ACKS_BEFORE_KILL_MAX) };
    if time::timeout(PATIENCE, cluster.notes.more_acks(acks)).await.is_err() {
        panic!("round {round}: {}", node.failed("does not serve"));
    }
    // Between two acknowledgements, or in the middle of a start, lie many moments.
    for _ in 0..random.between(0, 20_000) {
        task::yield_now().await;
    }
    node.kill().unwrap();
    node.start_again().unwrap();
}
