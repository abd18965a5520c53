//! `cargo xtask differential --seed N --minutes M`: the same requests to a node of ours and to Apache Kafka 4.3.1.
//!
//! Owns: building, starting and stopping both brokers. Does not own: requests and their comparison (`crates/differential`).
//!
//! Needs Java and Kafka's jars in `libs/` below `$OTTLA_KAFKA_PEER` (default `~/.cache/kafka-4.3.1`). Where they are
//! missing the task says that it did not run, and succeeds.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a broker may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a process or port.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The broker that is not Kafka.
const OURS: &str = "ours";
/// Any id of a cluster.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// A broker on an empty directory and free ports. Dropping it kills the process.
struct Broker {
    name: &'static str,
    work: PathBuf,
    port: u16,
    controller_port: u16,
    child: Option<Child>,
}

/// Runs it; the arguments go to the program of `crates/differential`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let Some(libs) = kafka_libs() else {
        eprintln!(
            "*** NOT RUN: the differential test needs java, and Kafka 4.3.1's jars in $OTTLA_KAFKA_PEER/libs"
        );
        return Ok(());
    };
    let programs = build()?;
    let mut ours = Broker::prepare(OURS)?;
    let mut kafka = Broker::prepare("kafka")?;
    ours.start(Command::new(programs.join("ottla")).arg("server"))?;
    let (class_path, properties) = (format!("{}/*", libs.display()), kafka.properties());
    let format = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"];
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-cp", &class_path]).args(format).arg(&properties).stdout(Stdio::null());
    run_to_end(&mut java)?;
    let logs = format!("-Dkafka.logs.dir={}", kafka.work.join("logs").display());
    kafka.start(Command::new("java").args(["-Xmx1g", &logs, "-cp", &class_path, "kafka.Kafka"]))?;
    ours.await_listening()?;
    kafka.await_listening()?;
    let compared = Command::new(programs.join("ottla-differential"))
        .args(["--ours", &ours.place(), "--kafka", &kafka.place()])
        .args(arguments)
        .status()
        .map_err(|error| format!("cannot run the comparison: {error}"))?;
    let stopped = ours.stop();
    kafka.stop()?;
    stopped?;
    match compared.code() {
        Some(0) => {
            let directory = run_directory();
            let failed = |error| format!("cannot remove {}: {error}", directory.display());
            fs::remove_dir_all(&directory).map_err(failed)
        }
        Some(1) => {
            Err(format!("there are differences; the brokers' logs are below {}", run_directory().display()))
        }
        _ => Err(format!("the comparison failed ({compared})")),
    }
}

fn kafka_libs() -> Option<PathBuf> {
    let home = std::env::var_os("OTTLA_KAFKA_PEER").map(PathBuf::from).or_else(|| {
        let home = PathBuf::from(std::env::var_os("HOME")?);
        Some(home.join(".cache/kafka-4.3.1"))
    });
    let libs = home.map(|home| home.join("libs")).filter(|libs| libs.is_dir());
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    libs.filter(|_| java.is_ok_and(|status| status.success()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where this run has its files. Runs at the same time have different ones.
fn run_directory() -> PathBuf {
    target().join("differential").join(std::process::id().to_string())
}

/// Builds the binary, with its assertions, and the comparison; the answer is where they are.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let packages = ["build", "--package", "ottla-cli", "--package", "ottla-differential"];
    run_to_end(Command::new(cargo).args(packages).current_dir(root()))?;
    Ok(target().join("debug"))
}

fn run_to_end(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}

fn free_port() -> Result<u16, String> {
    let found = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    found.map(|address| address.port()).map_err(|error| format!("cannot find a free port: {error}"))
}

impl Broker {
    /// An empty directory with the settings in it.
    fn prepare(name: &'static str) -> Result<Broker, String> {
        let work = run_directory().join(name);
        let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", work.display());
        fs::create_dir_all(&work).map_err(failed)?;
        let work = work.canonicalize().map_err(failed)?;
        let broker = Broker { name, work, port: free_port()?, controller_port: free_port()?, child: None };
        let text = fs::read_to_string(root().join("crates/differential/broker.properties"))
            .map_err(|error| format!("cannot read broker.properties: {error}"))?
            .replace("{port}", &broker.port.to_string())
            .replace("{controller}", &broker.controller_port.to_string())
            .replace("{dir}", &broker.data().display().to_string());
        // Keys of our own are nothing to Kafka; it would show them among its settings.
        let is_shared = |line: &&str| name == OURS || !line.starts_with("ottla.");
        let text = text.lines().filter(is_shared).fold(String::new(), |text, line| text + line + "\n");
        let written = fs::write(broker.properties(), text);
        written.map_err(|error| format!("cannot write the settings of {name}: {error}"))?;
        Ok(broker)
    }

    fn properties(&self) -> PathBuf {
        self.work.join("server.properties")
    }

    fn data(&self) -> PathBuf {
        self.work.join("data")
    }

    /// How the comparison is told of it.
    fn place(&self) -> String {
        format!("{},{},{}", self.port, self.controller_port, self.data().display())
    }

    /// Starts a program with the settings as its last argument.
    fn start(&mut self, command: &mut Command) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.name);
        let log = File::create(self.work.join("node.log")).map_err(failed)?;
        command.arg(self.properties()).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn await_listening(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && !self.has_ended() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Err(format!("{} does not listen; see {}", self.name, self.work.join("node.log").display()))
    }

    /// Stops the process as an operator does. That it was still there is part of what a run proves.
    fn stop(&mut self) -> Result<(), String> {
        let log = self.work.join("node.log");
        if self.has_ended() {
            return Err(format!("{} ended during the run; see {}", self.name, log.display()));
        }
        if let Some(child) = &self.child {
            run_to_end(Command::new("kill").args(["-TERM", &child.id().to_string()]))?;
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.has_ended() {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Err(format!("{} has not stopped; see {}", self.name, log.display()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already ended in the good case; then both calls do nothing.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
