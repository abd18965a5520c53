//! One case from its beginning to its end: a node, clients, faults, and then the proof that all is well.
//!
//! Owns: the order of things every case has in common. Does not own: which faults come (`cases`), the judgement of the history
//! (`ottla_testkit::history`).
//!
//! The end of a case: the fault is over, producers get their answers, readers come to the ends, two clients read all, the node
//! is stopped cleanly and started, the ends are the same, two clients read all again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::task::JoinHandle;
use ottla_env::{task, time};
use ottla_testkit::history::{Event, History, Name, check};
use ottla_testkit::random::SeededRandom;

use crate::Fallible;
use crate::arguments::Plan;
use crate::cases::Case;
use crate::clients::{Cluster, FOLLOWER, FOREIGN, Load, MEMBERS, kcat, name_of};
use crate::faults::Faults;
use crate::node::{Held, Node, Setup};
use crate::volume::Volume;

/// Producers that write at the same time.
const PRODUCERS: u64 = 3;
/// Partitions of the topic.
const PARTITIONS: i32 = 3;
/// Longest from the end of a fault until the node acknowledges again.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest until readers come to the ends where a case ends at the first thing that is wrong.
const HURRIED: Duration = Duration::from_secs(25);
/// How long a process may take to give back what it holds for clients that are gone.
const RELEASE: Duration = Duration::from_secs(15);
/// What a process may hold in memory beyond what it held before the load.
const RESIDENT_GROWTH_KIB: u64 = 256 * 1024;

/// Name of the node in the history.
const NODE: &str = "node-1";

/// While acknowledgements are waited for, whether the node is there at all is looked at so often.
const LOOK_AT_NODE_EVERY: Duration = Duration::from_millis(100);
/// Shortest time between two looks at a history that grows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a case goes on once something is wrong.
enum Hurry {
    /// Everything is judged at the end.
    No,
    /// The history is looked at from this time on, again and again.
    From(Instant),
    /// Something was found.
    Over,
}

/// A running case.
pub struct Stage {
    // In this order: the process ends before its disk goes.
    pub node: Node,
    pub volume: Option<Volume>,
    pub home: PathBuf,
    pub cluster: Cluster,
    pub random: SeededRandom,
    pub faults: Faults,
    /// When the faults shall end.
    pub until: Instant,
    hurry: Hurry,
    /// What is wrong and stands in no history.
    pub findings: Vec<String>,
    clients: Vec<(String, JoinHandle<Fallible<()>>)>,
    foreign: Option<PathBuf>,
    base: Held,
}

impl Stage {
    /// A node for a case, with its topic, and clients that are at work.
    pub async fn open(case: Case, plan: &Plan, (home, seed): (&Path, u64)) -> Fallible<Stage> {
        let _ = fs::remove_dir_all(home);
        fs::create_dir_all(home)?;
        let volume =
            case.volume_mebibytes().map(|size| Volume::make(&home.join("volume"), size)).transpose()?;
        let log_dirs = case.log_dirs(home, volume.as_ref().map(Volume::directory).as_deref());
        let setup = Setup {
            binary: plan.node.clone(),
            home: home.to_owned(),
            log_dirs,
            settings: case.settings(home) + &plan.settings.join("\n"),
            environment: case.environment(home)?,
        };
        let node = Node::start(setup)?;
        let bootstrap = format!("127.0.0.1:{}", node.port);
        let load = Load { in_flight: 200, per_second: Some(400), filling_max: case.filling_max() };
        let cluster = Cluster::new(bootstrap, &format!("{case}-{seed}"), PARTITIONS, load);
        let made = time::timeout(PATIENCE, cluster.create_topic(case.topic_settings())).await;
        made.map_err(|_| node.failed("does not create a topic"))??;
        case.begin(home)?;
        let base = node.held()?;
        let mut stage = Stage {
            node,
            volume,
            home: home.to_owned(),
            cluster,
            random: SeededRandom::new(seed),
            faults: Faults::default(),
            until: time::now() + plan.time,
            hurry: if plan.hasty { Hurry::From(time::now()) } else { Hurry::No },
            findings: Vec::new(),
            clients: Vec::new(),
            foreign: kcat(),
            base,
        };
        stage.start_clients();
        stage.acks(200).await?;
        Ok(stage)
    }

    fn start_clients(&mut self) {
        let cluster = &self.cluster;
        let mut clients = Vec::new();
        for number in 0..PRODUCERS {
            clients.push((format!("producer-{number}"), task::spawn(cluster.clone().write(number))));
        }
        clients.push(("member-0".to_owned(), task::spawn(cluster.clone().follow_as_member(0))));
        clients.push(("member-1".to_owned(), task::spawn(cluster.clone().come_and_go_as_member(1))));
        clients.push((FOLLOWER.to_owned(), task::spawn(cluster.clone().follow())));
        clients.push(("watcher".to_owned(), task::spawn(cluster.clone().watch())));
        if let Some(program) = &self.foreign {
            let writer = cluster.clone().write_by_kcat(program.clone());
            clients.push(("kcat-producer".to_owned(), task::spawn(writer)));
            let lines = self.home.join("kcat-follower.txt");
            let reader = cluster.clone().follow_by_kcat(program.clone(), lines);
            clients.push((FOREIGN.to_owned(), task::spawn(reader)));
        }
        self.clients = clients;
    }

    /// Whether more faults shall come: so many in all, or as many as time allows.
    pub fn goes_on(&mut self, count: Option<u64>) -> bool {
        if self.is_over() {
            return false;
        }
        match count {
            Some(count) => (self.faults.0.len() as u64) < count,
            None => time::now() < self.until,
        }
    }

    /// Whether something is wrong already and that is enough. What a part of a history breaks, the whole of it breaks too.
    pub fn is_over(&mut self) -> bool {
        let Hurry::From(next) = self.hurry else { return matches!(self.hurry, Hurry::Over) };
        let begun = time::now();
        let broken = !self.findings.is_empty()
            || (begun >= next
                && History::load(self.cluster.notes.copy())
                    .is_ok_and(|history| !check(&history).violations.is_empty()));
        if broken {
            self.hurry = Hurry::Over;
        } else if begun >= next {
            // The longer the history, the less often.
            self.hurry = Hurry::From(begun + LOOK_EVERY + begun.elapsed() * 3);
        }
        broken
    }

    /// Waits for so many acknowledgements; a node that gives none is not alive.
    pub async fn acks(&mut self, count: u64) -> Fallible<()> {
        let notes = Arc::clone(&self.cluster.notes);
        let mut more = pin!(notes.more_acks(count));
        let until = time::now() + PATIENCE;
        while time::now() < until {
            if time::timeout(LOOK_AT_NODE_EVERY, &mut more).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.node.ended()? {
                return Err(self.node.failed(&format!("has ended by itself ({status})")));
            }
        }
        Err(self.node.failed(&format!("does not acknowledge {count} records in {PATIENCE:?}")))
    }

    pub fn fault(&mut self, kind: &'static str) {
        self.faults.begin(kind, &self.cluster.notes);
    }

    /// From now on each partition promises to keep records for so long.
    pub fn retains(&self, ms: u64) {
        for partition in 0..PARTITIONS {
            let at = self.cluster.notes.now();
            self.cluster.notes.add(Event::Retains { at, partition: name_of(partition), ms });
        }
    }

    /// The disk was full from the beginning of the last fault until its end.
    pub fn was_full(&self) -> Fallible<()> {
        let fault = self.faults.0.last().and_then(|fault| Some((fault.began, fault.over?)));
        let (since, at) = fault.ok_or("no fault is over")?;
        let within = u64::try_from(PATIENCE.as_nanos())?;
        self.cluster.notes.add(Event::Full { since, at, within, node: Name::from(NODE) });
        Ok(())
    }

    /// The node has ended by itself.
    pub fn note_end(&self) {
        self.cluster.notes.add(Event::Ended { at: self.cluster.notes.now(), node: Name::from(NODE) });
    }

    pub fn healed(&mut self) {
        self.faults.end(&self.cluster.notes);
    }

    /// The proof that all is well, once no fault is left.
    pub async fn prove(&mut self) -> Fallible<()> {
        // What was sent behind the last fault shows that the node is alive.
        self.acks(100).await?;
        self.cluster.stop_writing.store(true, std::sync::atomic::Ordering::Release);
        self.clients_end(|name| name.contains("producer")).await?;
        let ends = self.cluster.ends().await?;
        let readers: &[&str] =
            if self.foreign.is_some() { &[FOLLOWER, MEMBERS, FOREIGN] } else { &[FOLLOWER, MEMBERS] };
        self.cluster.await_settled().await?;
        let patience = if matches!(self.hurry, Hurry::No) { PATIENCE } else { HURRIED };
        self.cluster.notes.every_end(readers, &ends, patience).await?;
        self.cluster.stop_reading.store(true, std::sync::atomic::Ordering::Release);
        self.clients_end(|_| true).await?;
        self.cluster.note_drained(&ends);
        self.read_all("after the last fault", &ends).await?;
        self.holds_no_more_than_before().await?;
        self.node.stop().await?;
        self.node.start_again()?;
        let again = self.cluster.ends().await?;
        if again != ends {
            return Err(format!("a clean stop has moved the ends from {ends:?} to {again:?}").into());
        }
        self.read_all("after a clean stop", &ends).await?;
        self.node.stop().await
    }

    /// Everything is read by a client of ours and, where there is one, by another one.
    async fn read_all(&self, when: &str, ends: &BTreeMap<i32, i64>) -> Fallible<()> {
        self.cluster.read_all(&format!("reader {when}"), ends).await?;
        match &self.foreign {
            None => self.cluster.read_all(&format!("second reader {when}"), ends).await,
            Some(program) => {
                let lines = self.home.join("kcat-reader.txt");
                let client = format!("kcat {when}");
                self.cluster.read_all_by_kcat((program, &client), &lines, ends).await
            }
        }
    }

    async fn clients_end(&mut self, which: impl Fn(&str) -> bool) -> Fallible<()> {
        for (name, handle) in &mut self.clients {
            if which(name) && !handle.is_finished() {
                let ended = time::timeout(PATIENCE, &mut *handle).await;
                ended.map_err(|_| format!("{name} does not come to its end in {PATIENCE:?}"))???;
            }
        }
        Ok(())
    }

    /// Clients are gone: the process holds no more sockets, files and memory than before they came.
    async fn holds_no_more_than_before(&mut self) -> Fallible<()> {
        let files = self.node.files_kept()?;
        let until = time::now() + RELEASE;
        loop {
            let held = self.node.held()?;
            let descriptors = held.descriptors - held.sockets;
            let descriptors_before = self.base.descriptors - self.base.sockets;
            let wrong = if held.sockets > self.base.sockets {
                format!("{} sockets, {} before the load", held.sockets, self.base.sockets)
            } else if descriptors > descriptors_before + files {
                format!(
                    "{descriptors} open files, {descriptors_before} before the load, {files} in its directories"
                )
            } else if held.resident_kib > self.base.resident_kib + RESIDENT_GROWTH_KIB {
                format!("{} KiB of memory, {} before the load", held.resident_kib, self.base.resident_kib)
            } else {
                return Ok(());
            };
            if time::now() >= until {
                self.findings.push(format!("without clients the node holds {wrong}"));
                return Ok(());
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}
