//! A node for a foreign suite: started on empty directories and free ports, stopped as an operator stops it.
//!
//! Owns: ports, directories, the process. Does not own: its settings (`broker.properties` of the suite).

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running node. Dropping it kills the process.
pub struct Node {
    pub port: u16,
    /// What the node wrote to its output.
    pub log: PathBuf,
    properties: PathBuf,
    child: Child,
}

/// The port some suites look for by themselves.
const USUAL_PORT: u16 = 9092;

/// How long a node may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two looks at a process or port.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Node {
    /// Starts `ottla server` with the settings of a suite; `{port}`, `{controller}` and `{dir}` are filled in.
    pub fn start(binary: &Path, settings: &Path, work: &Path) -> Result<Node, String> {
        let failed = |what: &str, error: std::io::Error| format!("cannot {what} {}: {error}", work.display());
        if work.exists() {
            fs::remove_dir_all(work).map_err(|error| failed("empty", error))?;
        }
        fs::create_dir_all(work).map_err(|error| failed("create", error))?;
        let work = work.canonicalize().map_err(|error| failed("find", error))?;
        let (port, controller) = ports().map_err(|error| failed("find ports for", error))?;
        if port != USUAL_PORT {
            println!(
                "*** port {USUAL_PORT} is taken: tests that look for it by themselves will miss the node"
            );
        }
        let text = fs::read_to_string(settings)
            .map_err(|error| format!("cannot read {}: {error}", settings.display()))?
            .replace("{port}", &port.to_string())
            .replace("{controller}", &controller.to_string())
            .replace("{dir}", &work.join("data").display().to_string());
        let properties = work.join("broker.properties");
        fs::write(&properties, text).map_err(|error| failed("write into", error))?;
        let log = work.join("node.log");
        let child = spawn(binary, &properties, &log)?;
        let mut node = Node { port, log, properties, child };
        node.await_listening()?;
        Ok(node)
    }

    /// Starts the stopped node again, on the same port and directories.
    pub fn start_again(&mut self, binary: &Path) -> Result<(), String> {
        self.child = spawn(binary, &self.properties, &self.log)?;
        self.await_listening()
    }

    fn await_listening(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.ended()? {
                return Err(format!("the node ended at once ({status}); see {}", self.log.display()));
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            pause();
        }
        Err(format!(
            "the node does not listen on {} after {PATIENCE:?}; see {}",
            self.port,
            self.log.display()
        ))
    }

    /// Ends the node with SIGTERM. That it was still there, and ended well, is part of what a suite proves.
    pub fn stop(&mut self) -> Result<(), String> {
        if let Some(status) = self.ended()? {
            return Err(format!("the node ended during the run ({status}); see {}", self.log.display()));
        }
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        told.map_err(|error| format!("cannot run kill: {error}"))?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!("the node ended badly ({status}); see {}", self.log.display()));
                }
                None => pause(),
            }
        }
        Err(format!("the node has not stopped {PATIENCE:?} after SIGTERM; see {}", self.log.display()))
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| format!("cannot look at the node: {error}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already ended in the good case; then both calls do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(binary: &Path, properties: &Path, log: &Path) -> Result<Child, String> {
    let failed = |error: std::io::Error| format!("cannot write into {}: {error}", log.display());
    let output = File::options().create(true).append(true).open(log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let mut command = Command::new(binary);
    command.arg("server").arg(properties).stdin(Stdio::null()).stdout(output).stderr(errors);
    command.spawn().map_err(|error| format!("cannot run {}: {error}", binary.display()))
}

/// The usual port if it is free, and one that the system chooses.
fn ports() -> std::io::Result<(u16, u16)> {
    let usual =
        TcpListener::bind(("127.0.0.1", USUAL_PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    let other = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((usual.local_addr()?.port(), other.local_addr()?.port()))
}

/// This tool looks at a process from outside; nothing tells it when the process is ready.
fn pause() {
    std::thread::park_timeout(LOOK_EVERY);
}
