//! The node under attack: a process on an empty directory with little memory.
//!
//! Owns: start and end, its ports, its memory as the system counts it, what its log must not say.
//! Does not own: what is done to it (`rows`).

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ottla_protocol::messages::{ApiKey, ApiVersionsRequest};
use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;
use crate::confined::Group;
use crate::plan::Plan;
use crate::wire::{Connection, Reply, frame};

/// How long a node may take until it answers, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Words that no log of a node that works has.
const NEVER_SAID: [&str; 2] = ["panicked at", "overflow"];

/// A running node. Dropping it kills the process and removes its directory.
pub struct Node {
    pub port: u16,
    pub controller_port: u16,
    pub directory: PathBuf,
    log: PathBuf,
    child: Child,
    group: Option<Group>,
}

impl Node {
    /// Starts a node with these further settings, and waits until it answers.
    pub async fn start(plan: &Plan, name: &str, more: &str) -> Fallible<Node> {
        let work = std::path::absolute(&plan.work)?;
        let directory = work.join(name);
        remove(&directory)?;
        fs::create_dir_all(&directory)?;
        let (port, controller_port) = free_ports()?;
        let text = fs::read_to_string(&plan.settings)
            .map_err(|error| format!("cannot read {}: {error}", plan.settings.display()))?
            .replace("{port}", &port.to_string())
            .replace("{controller}", &controller_port.to_string())
            .replace("{dir}", &directory.join("data").display().to_string());
        let settings = directory.join("server.properties");
        fs::write(&settings, format!("{text}{more}"))?;
        let log = work.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let group = Group::make();
        let errors = output.try_clone()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("confined")
            .arg(group.as_ref().map_or(Path::new("-"), |group| &group.0))
            .arg(&plan.node)
            .arg("server")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()?;
        let mut node = Node { port, controller_port, directory, log, child, group };
        node.await_answer().await?;
        Ok(node)
    }

    /// Whether the node has no more memory than it is said to need.
    pub fn is_confined(&self) -> bool {
        self.group.is_some()
    }

    async fn await_answer(&mut self) -> Fallible<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the node ended at once ({status}); see {}", self.log.display()).into());
            }
            if self.answers().await {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("the node does not answer; see {}", self.log.display()).into())
    }

    /// Whether a new client gets an answer.
    pub async fn answers(&self) -> bool {
        let Ok(request) = frame(ApiKey::ApiVersions, 0, &ApiVersionsRequest::default()) else { return false };
        let Ok(mut client) = Connection::open(self.port).await else { return false };
        client.send(&request).await.is_ok()
            && matches!(client.receive(Duration::from_secs(10)).await, Reply::Answer(_))
    }

    /// From now on the peak is counted anew. Bytes of memory it has now.
    pub fn forget_peak(&self) -> Fallible<u64> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?;
        self.status("VmRSS:")
    }

    /// Bytes of memory it had at most since [`Node::forget_peak`].
    pub fn peak_bytes(&self) -> Fallible<u64> {
        self.status("VmHWM:")
    }

    /// Bytes of memory it has now that are in no file.
    pub fn own_bytes(&self) -> Fallible<u64> {
        self.status("RssAnon:")
    }

    fn status(&self, name: &str) -> Fallible<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the node is gone")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> Fallible<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// What its log says that it must not say.
    pub fn complaints(&self) -> Fallible<Vec<String>> {
        let text = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        let is_complaint = |line: &&str| NEVER_SAID.iter().any(|word| line.contains(word));
        Ok(text.lines().filter(is_complaint).take(3).map(str::to_owned).collect())
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as an operator does. That it ends in order is part of what a row shows.
    pub async fn stop(&mut self) -> Fallible<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("the node ended with {status}").into())
                };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("the node has not stopped after {PATIENCE:?}; see {}", self.log.display()).into())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already ended in the good case; then both calls do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove(&self.directory);
    }
}

fn remove(directory: &Path) -> Fallible<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot empty {}: {error}", directory.display()).into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn free_ports() -> Fallible<(u16, u16)> {
    let (one, other) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}
