//! A system under test: a process in a session of its own, started on an empty directory.
//!
//! Owns: how the yardstick, a node and a peer are started, stopped and killed; ports and directories.
//! Does not own: what is done with it (`rows`), its processor time (`processor`).
//!
//! Every system is started by `ottla-bench alone`, which gives it a session of its own with the highest weight of the
//! scheduler's automatic groups: without that, other sessions' work decides about latencies.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;
use crate::driver::client::Client;
use crate::processor;
use crate::tally::ALLOCATOR_ENVIRONMENT;

/// What an answer to a produce request promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The bytes are in the page cache.
    PageCache,
    /// The bytes are on stable storage.
    Flushed,
}

impl Durability {
    pub fn name(self) -> &'static str {
        match self {
            Durability::PageCache => "page-cache",
            Durability::Flushed => "flushed",
        }
    }
}

/// How far records are checked before they are appended (`ottla.record.validation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Every record.
    Full,
    /// The batch's header and checksum.
    Header,
}

impl Validation {
    pub fn name(self) -> &'static str {
        match self {
            Validation::Full => "full",
            Validation::Header => "header",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The smallest possible broker: this program.
    Yardstick,
    /// `ottla server` of this binary.
    Node(PathBuf),
    /// Any broker by its command. `{dir}`, `{port}`, `{controller}` and `{settings}` (a properties file) are filled in.
    Peer(String),
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Yardstick => "yardstick",
            Kind::Node(_) => "ottla",
            Kind::Peer(_) => "peer",
        }
    }
}

/// Where systems run.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Directory of the run; every start empties a directory in it.
    pub work: PathBuf,
    /// First of two ports; without it the system chooses free ones.
    pub port: Option<u16>,
    /// Settings of a node, with the same places to fill in as a peer's command and `{durability}`.
    pub settings: PathBuf,
    /// Whether a system's allocator says at its end what it counted, if it counts.
    pub counting: bool,
}

/// What a start needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub durability: Durability,
    /// Of the yardstick; a node learns it with the topic.
    pub validation: Validation,
    /// Of the one topic; the yardstick has no requests to create one.
    pub partitions: u32,
    /// Bytes that a partition keeps; `None`: all.
    pub retention_bytes: Option<u64>,
}

/// A running system. Dropping it kills its processes and removes its directory.
pub struct System {
    pub kind: Kind,
    pub port: u16,
    pub start: Start,
    pub directory: PathBuf,
    /// When the process was made, and how long it took until it answered.
    pub spawned_at: Instant,
    pub started_in: Duration,
    command: Vec<String>,
    log: PathBuf,
    child: Child,
}

/// How long a system may take until it answers, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two looks at a process that starts.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// More than any run writes.
const KEEP_ALL: u64 = 1 << 50;

/// Further settings of a peer: segments are cleaned up while a load runs, as the node's settings say too.
const PEER_SETTINGS: &str = "log.retention.check.interval.ms=100\nlog.initial.task.delay.ms=100\n";

impl System {
    /// Starts a system on an empty directory and waits until it answers.
    pub async fn start(stage: &Stage, kind: &Kind, start: Start) -> Fallible<System> {
        let directory = stage.work.join(kind.name());
        remove(&directory)?;
        fs::create_dir_all(&directory).map_err(told("create", &directory))?;
        let ports = stage.port.map_or_else(free_ports, |port| Ok((port, port + 1)))?;
        let command = command(stage, kind, (start, &directory, ports))?;
        let log = stage.work.join(format!("{}.log", kind.name()));
        fs::write(&log, "").map_err(told("write", &log))?;
        let child = spawn(&command, &log, stage.counting)?;
        let mut system = System {
            kind: kind.clone(),
            port: ports.0,
            start,
            directory,
            spawned_at: Instant::now(),
            started_in: Duration::ZERO,
            command,
            log,
            child,
        };
        system.await_answer().await?;
        Ok(system)
    }

    /// Starts the stopped or killed system again on what it left, and waits until it answers.
    pub async fn start_again(&mut self) -> Fallible<()> {
        self.spawned_at = Instant::now();
        self.child = spawn(&self.command, &self.log, false)?;
        self.await_answer().await
    }

    /// The session its processes are in.
    pub fn session(&self) -> u32 {
        self.child.id()
    }

    /// What its processes wrote to their output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn is_yardstick(&self) -> bool {
        self.kind == Kind::Yardstick
    }

    async fn await_answer(&mut self) -> Fallible<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("ended at once ({status})")));
            }
            if let Ok(mut client) = Client::connect(self.port).await
                && client.ping().await.is_ok()
            {
                self.started_in = self.spawned_at.elapsed();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(self.failed(&format!("does not answer on {} after {PATIENCE:?}", self.port)))
    }

    /// Ends it as an operator does, and waits.
    pub async fn stop(&mut self) -> Fallible<()> {
        self.signal(Signal::TERM)?;
        self.await_end().await
    }

    /// Ends it as a power cut does, and waits.
    pub async fn kill(&mut self) -> Fallible<()> {
        self.signal(Signal::KILL)?;
        self.await_end().await
    }

    fn signal(&self, signal: Signal) -> Fallible<()> {
        for process in processor::processes_of(self.session())? {
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            // One that has ended meanwhile needs no signal.
            let _ = process.map(|process| kill_process(process, signal));
        }
        Ok(())
    }

    async fn await_end(&mut self) -> Fallible<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ended = self.child.try_wait()?.is_some();
            if ended && processor::processes_of(self.session())?.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(self.failed(&format!("has not ended after {PATIENCE:?}")))
    }

    fn failed(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        format!("{} {what}; see {}", self.kind.name(), self.log.display()).into()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Already ended in the good case; then nothing is found and the directory is all that is left.
        let _ = self.signal(Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove(&self.directory);
    }
}

fn command(
    stage: &Stage,
    kind: &Kind,
    (start, directory, ports): (Start, &Path, (u16, u16)),
) -> Fallible<Vec<String>> {
    let data = directory.join("data");
    let settings = directory.join("server.properties");
    let fill = |text: &str| {
        text.replace("{port}", &ports.0.to_string())
            .replace("{controller}", &ports.1.to_string())
            .replace("{dir}", &data.display().to_string())
            .replace("{durability}", start.durability.name())
            .replace("{settings}", &settings.display().to_string())
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match kind {
        Kind::Yardstick => {
            let program = std::env::current_exe()?.display().to_string();
            let mut words =
                owned(&[&program, "yardstick", &ports.0.to_string(), &data.display().to_string()]);
            words.push(start.partitions.to_string());
            words.push(start.durability.name().to_owned());
            words.push(start.validation.name().to_owned());
            words.push(start.retention_bytes.unwrap_or(KEEP_ALL).to_string());
            Ok(words)
        }
        Kind::Node(binary) => {
            let text = fs::read_to_string(&stage.settings).map_err(told("read", &stage.settings))?;
            fs::write(&settings, fill(&text)).map_err(told("write", &settings))?;
            Ok(owned(&[&binary.display().to_string(), "server", &settings.display().to_string()]))
        }
        Kind::Peer(command) => {
            fs::write(&settings, PEER_SETTINGS).map_err(told("write", &settings))?;
            Ok(owned(&["sh", "-c", &format!("exec {}", fill(command))]))
        }
    }
}

fn spawn(command: &[String], log: &Path, counting: bool) -> Fallible<Child> {
    let output = File::options().append(true).open(log).map_err(told("write", log))?;
    let errors = output.try_clone()?;
    let mut alone = Command::new(std::env::current_exe()?);
    if counting {
        alone.env(ALLOCATOR_ENVIRONMENT.0, ALLOCATOR_ENVIRONMENT.1);
    }
    alone.arg("alone").args(command).stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(alone.spawn()?)
}

fn remove(directory: &Path) -> Fallible<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(told("empty", directory)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn free_ports() -> Fallible<(u16, u16)> {
    let (one, other) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

/// An error of the system with what was attempted.
pub fn told(what: &str, path: &Path) -> impl Fn(io::Error) -> Box<dyn std::error::Error + Send + Sync> {
    let text = format!("cannot {what} {}", path.display());
    move |error| format!("{text}: {error}").into()
}
