//! Processes of this binary that run beside a test, and their directories.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process whose standard output is read line by line.
pub struct Process {
    child: Child,
    /// `None` once nobody wants to read it any more.
    out: Option<BufReader<ChildStdout>>,
}

impl Process {
    pub fn start(args: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.args(args);
        Process::of(command)
    }

    /// Starts a command with nothing on its standard input.
    pub fn of(mut command: Command) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().map(BufReader::new);
        Process { child, out }
    }

    /// Reads on to a line with this text; panics when the process ends before.
    pub fn line_with(&mut self, text: &str) -> String {
        let out = self.out.as_mut().unwrap();
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            let got = out.read_line(&mut line).unwrap();
            assert!(got > 0, "the process ended without a line with '{text}': {seen:#?}");
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
    }

    /// Throws away what it still writes, so that a full pipe does not stop it.
    pub fn pass_over_the_rest(&mut self) {
        let Some(mut out) = self.out.take() else { return };
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Mostly it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of one test.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("ottla-node-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    /// Properties of a node that listens on free ports.
    pub fn properties(&self, node_id: i32, more: &str) -> String {
        let data = self.0.join("data");
        let listeners = "PLAINTEXT://localhost:0,CONTROLLER://localhost:0";
        let text = format!(
            "process.roles=broker,controller\nnode.id={node_id}\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=localhost:0\nlisteners={listeners}\n\
             advertised.listeners={listeners}\nlog.dirs={}\noffsets.topic.replication.factor=1\n{more}\n",
            data.display()
        );
        let path = self.0.join(format!("{node_id}.properties"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A node on free ports with an empty directory, which ends with the value.
pub struct Node {
    /// Where clients reach it.
    pub address: String,
    /// Where its controller is reached.
    pub controller: String,
    // The process ends before its directory goes.
    _process: Process,
    _place: Place,
}

impl Node {
    /// Starts a node with these settings besides those that every node here has. The name is that of its directory.
    pub fn start(name: &str, settings: &str) -> Node {
        let place = Place::new(name);
        let mut process = Process::start(&["server", &place.properties(1, settings)]);
        let mut listening = |listener: &str| {
            let line = process.line_with(&format!("listening listener={listener}"));
            let port = line.split_once("address=127.0.0.1:").unwrap().1.split(' ').next().unwrap();
            format!("localhost:{port}")
        };
        let (address, controller) = (listening("PLAINTEXT"), listening("CONTROLLER"));
        process.line_with("Kafka Server started");
        process.pass_over_the_rest();
        Node { address, controller, _process: process, _place: place }
    }
}
