//! Faults of single system calls: strace stands between the node and the kernel for a while.
//!
//! Owns: attaching, detaching, what was injected. Does not own: which call fails and how.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ottla_env::time;
use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;

/// Longest until strace has attached to every thread, or has let go of them.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks at its output.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A strace at work. Dropping it ends it; the node goes on.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    output: PathBuf,
}

impl Tracer {
    /// Attaches to all threads of a process. `inject` is what `strace -e inject=` takes.
    pub async fn attach(process: u32, home: &Path, inject: &str) -> Fallible<Tracer> {
        let calls = inject.split(':').next().unwrap_or_default();
        Tracer::start(process, home, &["-e", &format!("trace={calls}"), "-e", &format!("inject={inject}")])
            .await
    }

    /// Attaches to all threads of a process, and only looks at these calls.
    pub async fn watch(process: u32, home: &Path, calls: &str) -> Fallible<Tracer> {
        Tracer::start(process, home, &["-y", "-s", "4096", "-e", &format!("trace={calls}")]).await
    }

    async fn start(process: u32, home: &Path, arguments: &[&str]) -> Fallible<Tracer> {
        let (output, said) = (home.join("strace.out"), home.join("strace.err"));
        let mut command = Command::new("strace");
        command.arg("-f").args(arguments).arg("-o");
        command.arg(&output).args(["-p", &process.to_string()]);
        fs::write(&output, "")?;
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?).spawn()?;
        let mut tracer = Tracer { child, output };
        let until = time::now() + PATIENCE;
        while time::now() < until {
            let text = fs::read_to_string(&said)?;
            if text.contains("attached") {
                return Ok(tracer);
            }
            if let Some(status) = tracer.child.try_wait()? {
                return Err(format!("strace ended ({status}): {text}").into());
            }
            time::sleep(LOOK_EVERY).await;
        }
        Err(format!("strace does not attach to process {process}").into())
    }

    /// All lines so far.
    pub fn said(&self) -> Fallible<String> {
        Ok(fs::read_to_string(&self.output)?)
    }

    /// How many calls have been tampered with.
    pub fn injected(&self) -> Fallible<usize> {
        Ok(fs::read_to_string(&self.output)?.matches("INJECTED").count() + self.delayed()?)
    }

    fn delayed(&self) -> Fallible<usize> {
        Ok(fs::read_to_string(&self.output)?.matches("DELAYED").count())
    }

    /// Waits until a call was tampered with; false if none is within a time.
    pub async fn await_injection(&self, patience: Duration) -> Fallible<bool> {
        let until = time::now() + patience;
        while time::now() < until {
            if self.injected()? > 0 {
                return Ok(true);
            }
            time::sleep(LOOK_EVERY).await;
        }
        Ok(false)
    }

    /// Lets go of the process, which goes on untouched.
    pub async fn detach(mut self) -> Fallible<()> {
        self.signal(Signal::INT);
        let until = time::now() + PATIENCE;
        while time::now() < until {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            time::sleep(LOOK_EVERY).await;
        }
        Err("strace does not let go of the node".into())
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended needs no signal.
        let _ = id.map(|id| kill_process(id, signal));
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why this machine cannot do it, if so.
pub fn missing() -> Option<String> {
    let mut command = Command::new("strace");
    command.args([
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO",
        "true",
    ]);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("strace cannot trace here ({status})")),
        Err(error) => Some(format!("no strace: {error}")),
    }
}
