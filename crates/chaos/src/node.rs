//! The node: one process on one port and one place, started again and again.
//!
//! Owns: its settings, its life and death, its log, what it holds open. Does not own: why it is killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ottla_env::time;
use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;

/// Longest a node may take to stop cleanly.
const STOP: Duration = Duration::from_secs(60);
/// Longest until a signal that stops has stopped every thread.
const FREEZE: Duration = Duration::from_secs(2);
/// Pause between two looks at the process.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Lines of its log that a failure shows.
const LINES_SHOWN: usize = 20;

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program `ottla`.
    pub binary: PathBuf,
    /// For its properties and its log.
    pub home: PathBuf,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// Further lines of the properties.
    pub settings: String,
    pub environment: BTreeMap<String, OsString>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub sockets: u64,
    pub descriptors: u64,
    pub resident_kib: u64,
}

/// A node. Dropping it kills the process.
#[derive(Debug)]
pub struct Node {
    setup: Setup,
    pub port: u16,
    child: Child,
    /// Times it was started.
    pub starts: u64,
    /// Bytes of its log before it was started last.
    log_before: u64,
}

impl Node {
    /// Starts it on a free port, on what lies in its log directories.
    pub fn start(setup: Setup) -> Fallible<Node> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0");
        let log_dirs: Vec<String> = setup.log_dirs.iter().map(|path| path.display().to_string()).collect();
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:0\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\nlog.segment.bytes=1048576\n{}",
            log_dirs.join(","),
            setup.settings
        );
        fs::create_dir_all(&setup.home)?;
        fs::write(setup.home.join("server.properties"), text)?;
        Ok(Node { child: spawn(&setup)?, setup, port, starts: 1, log_before: 0 })
    }

    pub fn start_again(&mut self) -> Fallible<()> {
        self.log_before = self.log_bytes();
        self.child = spawn(&self.setup)?;
        self.starts += 1;
        Ok(())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) -> Fallible<()> {
        let id =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a process without an id")?;
        Ok(kill_process(id, signal)?)
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops every thread of it that is not within the kernel, waiting for a device, and waits until they are.
    pub async fn freeze(&self) -> Fallible<()> {
        self.stand_still("TtZD").await
    }

    /// Stops every thread of it. What it has asked its devices for is done by then.
    pub async fn freeze_at_rest(&self) -> Fallible<()> {
        self.stand_still("TtZ").await
    }

    async fn stand_still(&self, states: &str) -> Fallible<()> {
        self.signal(Signal::STOP)?;
        let until = time::now() + FREEZE;
        while time::now() < until {
            if threads_beyond(self.child.id(), states) == 0 {
                return Ok(());
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        Err("the node cannot be stopped".into())
    }

    pub fn thaw(&self) -> Fallible<()> {
        self.signal(Signal::CONT)
    }

    /// Stops it as an operator does. It must end well, and soon.
    pub async fn stop(&mut self) -> Fallible<()> {
        self.signal(Signal::TERM)?;
        let until = time::now() + STOP;
        while time::now() < until {
            if let Some(status) = self.child.try_wait()? {
                // A program that has not come so far as to listen to signals is ended by the system; it has promised nothing.
                let never_ran =
                    status.signal() == Some(Signal::TERM.as_raw()) && self.log_bytes() == self.log_before;
                return match status.success() || never_ran {
                    true => Ok(()),
                    false => Err(self.failed(&format!("did not stop cleanly ({status})"))),
                };
            }
            time::sleep(LOOK_EVERY).await;
        }
        Err(self.failed(&format!("has not stopped after {STOP:?}")))
    }

    /// How it ended, if nobody ended it.
    pub fn ended(&mut self) -> Fallible<Option<ExitStatus>> {
        Ok(self.child.try_wait()?.filter(|status| status.signal() != Some(Signal::KILL.as_raw())))
    }

    /// What the process holds right now.
    pub fn held(&self) -> Fallible<Held> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut held = Held { sockets: 0, descriptors: 0, resident_kib: 0 };
        for entry in fs::read_dir(process.join("fd"))? {
            held.descriptors += 1;
            // One that was closed meanwhile is no socket.
            let target = fs::read_link(entry?.path()).unwrap_or_default();
            held.sockets += u64::from(target.to_string_lossy().starts_with("socket:"));
        }
        let status = fs::read_to_string(process.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        held.resident_kib = kib.ok_or("the system does not tell the memory of a process")?;
        Ok(held)
    }

    /// Where each partition of a topic lies.
    pub fn directories_of(&self, topic: &str) -> Fallible<BTreeMap<i32, PathBuf>> {
        let mut found = BTreeMap::new();
        for directory in &self.setup.log_dirs {
            for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let index = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
                if let Some(index) = index.and_then(|index| index.parse().ok()) {
                    found.insert(index, entry.path());
                }
            }
        }
        Ok(found)
    }

    /// How many files its log directories have.
    pub fn files_kept(&self) -> Fallible<u64> {
        let mut count = 0;
        let mut left = self.setup.log_dirs.clone();
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => left.push(entry.path()),
                    Ok(_) | Err(_) => count += 1,
                }
            }
        }
        Ok(count)
    }

    pub fn log_dirs(&self) -> &[PathBuf] {
        &self.setup.log_dirs
    }

    pub fn log(&self) -> PathBuf {
        self.setup.home.join("node.log")
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |meta| meta.len())
    }

    /// An error with what the node said last; a node that ended by itself has said why.
    pub fn failed(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        format!("the node {what}; it said last:\n{}", last_lines(&self.log())).into()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills the nodes whose properties lie below a directory: what a run left that was killed itself.
pub fn kill_leftovers(below: &Path) -> Fallible<()> {
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        // Other entries, and processes that have ended meanwhile, have none.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&str> =
            line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
        let ours =
            matches!(words[..], [_, "server", properties, ..] if Path::new(properties).starts_with(below));
        let id = entry.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        if let Some(id) = id.filter(|_| ours) {
            kill_process(id, Signal::KILL)?;
            // Nobody else waits for it, so it is gone as soon as its files are closed.
            while Path::new(&format!("/proc/{}/fd/0", id.as_raw_nonzero())).exists() {
                std::thread::yield_now();
            }
        }
    }
    Ok(())
}

/// The last lines of a log.
pub fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

fn spawn(setup: &Setup) -> Fallible<Child> {
    let output = File::options().create(true).append(true).open(setup.home.join("node.log"))?;
    let errors = output.try_clone()?;
    let mut command = Command::new(&setup.binary);
    command.arg("server").arg(setup.home.join("server.properties")).envs(&setup.environment);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(command.spawn().map_err(|error| format!("cannot start {}: {error}", setup.binary.display()))?)
}

/// Threads that are in none of these states, as the system names them.
fn threads_beyond(process: u32, states: &str) -> usize {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let beyond = |entry: &fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name of the program, in brackets, may hold blanks.
        let state = text.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        state.is_some_and(|state| !states.contains(state))
    };
    threads.filter_map(Result::ok).filter(beyond).count()
}
