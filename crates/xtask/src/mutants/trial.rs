//! One binary of tests, run until the first failure.
//!
//! Owns: the process, its bound in time, what its output says. Does not own: what follows from it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::build::Binary;

/// A binary whose time is not known yet hangs after this.
const FIRST_BOUND: Duration = Duration::from_secs(900);
/// With a mutant a run may take so many times as long, and this much more: a retry, an election, a machine that is busy.
const SLOWER: u32 = 3;
const LEEWAY: Duration = Duration::from_secs(60);
/// What `timeout` ends with when it had to end what it ran.
const TIMED_OUT: i32 = 124;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub binary: &'a Binary,
    pub filter: &'a str,
    /// The filter is the whole name of a test.
    pub exact: bool,
    pub mutant: Option<&'a str>,
}

impl Run<'_> {
    /// The same for every mutant.
    pub fn label(&self) -> String {
        format!("ottla-{} {:?} {}", self.binary.package, self.binary.target, self.filter)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    /// The first test that failed.
    Failed {
        test: String,
    },
    /// Nothing failed within the bound. The test is known where only one was running.
    Hung {
        test: Option<String>,
    },
    /// The process ended before its tests did.
    Died {
        how: String,
        test: Option<String>,
    },
}

/// How long a run may take.
#[derive(Debug, Default)]
pub struct Bounds {
    without_mutant: BTreeMap<String, Duration>,
}

impl Bounds {
    pub fn learn(&mut self, run: &Run<'_>, took: Duration) {
        self.without_mutant.insert(run.label(), took);
    }

    pub fn of(&self, run: &Run<'_>) -> Duration {
        self.without_mutant.get(&run.label()).map_or(FIRST_BOUND, |took| *took * SLOWER + LEEWAY)
    }
}

pub fn run(run: &Run<'_>, bound: Duration) -> Result<End, String> {
    // `timeout` bounds the time, and ends with the tests whatever processes they have started.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &bound.as_secs().to_string()]).arg(&run.binary.path);
    command.current_dir(&run.binary.directory).stdin(Stdio::null()).stderr(Stdio::null());
    command.env("CARGO_MANIFEST_DIR", &run.binary.directory);
    if run.exact {
        command.arg("--exact");
    }
    if !run.filter.is_empty() {
        command.arg(run.filter);
    }
    match run.mutant {
        Some(mutant) => command.env("OTTLA_MUTANT", mutant),
        None => command.env_remove("OTTLA_MUTANT"),
    };
    let failed = |error: std::io::Error| format!("{}: {error}", run.binary.path.display());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let seen = follow(&mut child).map_err(failed)?;
    if seen.failed.is_some() {
        stop(&child);
    }
    Ok(end_of(seen, child.wait().map_err(failed)?))
}

/// What the tests said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    failed: Option<String>,
    /// The last test that was said to take long.
    slow: Option<String>,
}

/// Reads until a test fails or the output ends.
fn follow(child: &mut Child) -> std::io::Result<Seen> {
    let mut seen = Seen::default();
    let Some(output) = child.stdout.take() else { return Ok(seen) };
    for line in BufReader::new(output).lines() {
        let line = line?;
        seen.failed = failed_test(&line).map(str::to_owned);
        if seen.failed.is_some() {
            break;
        }
        if let Some(slow) = slow_test(&line) {
            seen.slow = Some(slow.to_owned());
        }
    }
    Ok(seen)
}

fn end_of(seen: Seen, status: ExitStatus) -> End {
    if let Some(test) = seen.failed {
        return End::Failed { test };
    }
    match status.code() {
        Some(0) => End::Passed,
        Some(TIMED_OUT) => End::Hung { test: seen.slow },
        Some(_) | None => End::Died { how: status.to_string(), test: None },
    }
}

/// One failure is enough. `timeout` passes the signal on to everything it runs.
fn stop(child: &Child) {
    // Where it has ended meanwhile there is nothing to stop.
    let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
}

/// Reads `test some::name ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    // A test that must panic says so behind its name.
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

/// Reads `test some::name has been running for over 60 seconds`.
fn slow_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.split_once(" has been running for over ").map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_failed_test_is_found_by_its_line() {
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b - should panic ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
        assert_eq!(failed_test("test result: FAILED. 1 passed"), None);
    }

    #[test]
    fn a_hang_is_told_from_a_death_and_a_failure_from_both() {
        let ended = |seen, code: i32| end_of(seen, ExitStatus::from_raw(code << 8));
        let slow = || Seen {
            failed: None,
            slow: slow_test("test a::b has been running for over 60 seconds").map(str::to_owned),
        };
        assert_eq!(ended(slow(), 0), End::Passed);
        assert_eq!(ended(slow(), 124), End::Hung { test: Some("a::b".to_owned()) });
        assert!(matches!(ended(Seen::default(), 101), End::Died { .. }));
        let failed = Seen { failed: Some("c".to_owned()), slow: None };
        assert_eq!(ended(failed, 143), End::Failed { test: "c".to_owned() });
    }

    #[test]
    fn a_run_is_bounded_by_what_it_takes_without_a_mutant() {
        let binary = Binary {
            package: "storage",
            target: super::super::layers::Target::Unit,
            path: "x".into(),
            directory: ".".into(),
        };
        let run = |mutant| Run { binary: &binary, filter: "", exact: false, mutant };
        let mut bounds = Bounds::default();
        assert_eq!(bounds.of(&run(None)), FIRST_BOUND);
        bounds.learn(&run(None), Duration::from_secs(10));
        assert_eq!(bounds.of(&run(Some("skip_flush"))), Duration::from_secs(90));
    }
}
