//! `cargo xtask compat NAME`: a foreign client suite against a node of its own.
//!
//! Owns: the order of steps: build, start, run, compare, stop. Does not own: the suites (`tests/compat/NAME/run.sh`), the
//! node's life (`node`), the comparison (`verdict`).

pub(crate) mod node;
mod smoke;
mod verdict;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use node::Node;
use verdict::{Later, Outcome, Verdict};

/// A suite that runs against one node.
struct Suite {
    name: &'static str,
    /// Host the node is advertised as: some suites look for that name.
    host: &'static str,
}

const SUITES: [Suite; 7] = [
    Suite { name: "rust-rdkafka", host: "127.0.0.1" },
    Suite { name: "kafka-python", host: "127.0.0.1" },
    Suite { name: "franz-go", host: "127.0.0.1" },
    Suite { name: "segmentio", host: "localhost" },
    Suite { name: "node-rdkafka", host: "127.0.0.1" },
    Suite { name: "librdkafka", host: "127.0.0.1" },
    Suite { name: "librdkafka-noautocreate", host: "127.0.0.1" },
];

/// Not a suite: our own scripts for clients and tools that have none.
const SMOKE: &str = "smoke";

/// Runs the suite that the first argument names; further arguments name tests of it.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let Some((name, tests)) = arguments.split_first() else {
        for suite in &SUITES {
            println!("{}", suite.name);
        }
        println!("{SMOKE}");
        return Ok(());
    };
    if name == SMOKE {
        return smoke::run(&build_binary()?, &home_of(SMOKE), &work_of(SMOKE), tests);
    }
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    let suite = SUITES
        .iter()
        .find(|suite| suite.name == name)
        .ok_or_else(|| format!("unknown suite '{name}'; known are {}", names.join(", ")))?;
    run_suite(suite, tests)
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn home_of(name: &str) -> PathBuf {
    root().join("tests/compat").join(name)
}

fn work_of(name: &str) -> PathBuf {
    root().join("target/compat").join(name)
}

fn run_suite(suite: &Suite, tests: &[String]) -> Result<(), String> {
    let home = home_of(suite.name);
    let mut baseline = verdict::parse_list(&read(&home.join("kafka-4.3.1.txt"))?);
    let otherwise = verdict::take_otherwise(&read_or_empty(&home.join("otherwise.txt"))?, &mut baseline)?;
    let later = verdict::parse_later(&read_or_empty(&home.join("later.txt"))?, &baseline)?;
    let binary = build_binary()?;
    let work = work_of(suite.name);
    let mut node = Node::start(&binary, &home.join("broker.properties"), &work)?;
    println!("node on {}:{}, its log: {}", suite.host, node.port, node.log.display());
    let outcomes = run_tests(suite, &home, &work, (node.port, tests));
    let stopped = node.stop();
    let outcomes = outcomes?;
    let verdict = verdict::judge(&baseline, &later, &outcomes, tests.is_empty());
    for (name, reason) in &otherwise {
        println!("otherwise: {name} does not count: {reason}");
    }
    report(&verdict, &later);
    stopped?;
    verdict.into_result()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// A suite with nothing to wait for has no such file.
fn read_or_empty(path: &Path) -> Result<String, String> {
    if path.exists() { read(path) } else { Ok(String::new()) }
}

/// The release build of the binary, or what `$OTTLA` names.
pub(crate) fn build_binary() -> Result<PathBuf, String> {
    if let Ok(binary) = std::env::var("OTTLA") {
        return Ok(PathBuf::from(binary));
    }
    Ok(build_release(&["--package", "ottla-cli"])?.join("ottla"))
}

/// Builds what the arguments of `cargo build --release` name; answers the directory of the results.
pub(crate) fn build_release(what: &[&str]) -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release"])
        .args(what)
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build {} failed", what.join(" ")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release"))
}

/// Runs the suite and shows its lines as they come.
fn run_tests(
    suite: &Suite,
    home: &Path,
    work: &Path,
    (port, tests): (u16, &[String]),
) -> Result<Vec<Outcome>, String> {
    let failed = |error: std::io::Error| format!("cannot run {}/run.sh: {error}", home.display());
    let mut child = Command::new("bash")
        .arg(home.join("run.sh"))
        .args(tests)
        .env("BOOTSTRAP", format!("{}:{port}", suite.host))
        // The comparison is made here, with later.txt; the script shall make none.
        .env("BASELINE", work.join("no-baseline"))
        // What is known to fail is not worth a second try.
        .env("LATER", home.join("later.txt"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut outcomes = Vec::new();
    let lines = child.stdout.take().map(|output| BufReader::new(output).lines());
    for line in lines.into_iter().flatten() {
        let line = line.map_err(failed)?;
        println!("{line}");
        // Lines shall be seen while the suite runs, also through a pipe.
        let _ = std::io::stdout().flush();
        outcomes.extend(Outcome::parse(&line));
    }
    let status = child.wait().map_err(failed)?;
    if outcomes.is_empty() {
        return Err(format!("{} ran no test ({status})", suite.name));
    }
    Ok(outcomes)
}

fn report(verdict: &Verdict, later: &[Later]) {
    for name in &verdict.not_needed {
        println!("note: {name} passes now; its line in later.txt can go");
    }
    for name in &verdict.waiting {
        if let Some(line) = later.iter().find(|line| line.name == *name) {
            println!("later: {name} waits for {}: {}", line.id, line.reason);
        }
    }
    for name in &verdict.lost {
        println!("LOST: {name} passes with Kafka and not here");
    }
    println!(
        "{} passed as with Kafka, {} wait, {} lost",
        verdict.kept,
        verdict.waiting.len(),
        verdict.lost.len()
    );
}
