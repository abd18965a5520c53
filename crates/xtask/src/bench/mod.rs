//! `cargo xtask bench`: builds what is measured and starts the benchmark.
//!
//! Owns: which benchmark the first argument names, release builds of the node and of `ottla-bench`.
//! Does not own: the benchmark and the counts of a node (`crates/bench`), that of the client library (`client`).

mod client;

use std::process::Command;

use crate::compat::{build_release, root};

const USAGE: &str =
    "bench [--quick] [--rows 1,2,..] [--rounds N] [--peer COMMAND] [--output FILE], or bench counts";

/// Runs the benchmark that the arguments name: that of a node, unless the first word says another.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.split_first() {
        Some((name, rest)) if name == "client" => client::run(rest),
        Some((name, rest)) if name == "counts" => counts(rest),
        Some((name, _)) if !name.starts_with('-') => {
            Err(format!("unknown benchmark '{name}'; usage: {USAGE}, or {}", client::USAGE))
        }
        Some(_) | None => node(("run", &[]), arguments),
    }
}

/// Counts what requests cost, with a build whose allocator counts, and compares that with what is allowed.
fn counts(arguments: &[String]) -> Result<(), String> {
    let allowed = root().join("docs/benchmarks/counts.tsv").display().to_string();
    let mut all = vec!["--expected".to_owned(), allowed];
    all.extend_from_slice(arguments);
    node(("counts", &["--features", "ottla-cli/count-allocations"]), &all)
}

/// Starts a command of `ottla-bench` beside a node of the same build.
fn node((command, features): (&str, &[&str]), arguments: &[String]) -> Result<(), String> {
    let what = [&["--package", "ottla-bench", "--package", "ottla-cli"], features].concat();
    let built = build_release(&what)?;
    let binary = std::env::var_os("OTTLA").map_or_else(|| built.join("ottla"), Into::into);
    let program = built.join("ottla-bench");
    let status = Command::new(&program)
        .arg(command)
        .arg("--node")
        .arg(binary)
        .arg("--settings")
        .arg(root().join("tests/bench/node.properties"))
        .arg("--work")
        .arg(built.with_file_name("bench"))
        .args(arguments)
        .status()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the benchmark failed ({status})")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_benchmark_is_told_with_what_there_is() {
        let told = run(&["brokers".to_owned()]).unwrap_err();
        assert_eq!(told, format!("unknown benchmark 'brokers'; usage: {USAGE}, or {}", client::USAGE));
    }
}
