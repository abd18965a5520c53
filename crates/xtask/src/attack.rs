//! `cargo xtask attack [--rows a,b] [--seed S] [--node FILE] [--work DIR] [--output FILE]`: hostile clients against a node.
//!
//! Owns: release builds of the node and of `ottla-attack`. Does not own: the attacks (`crates/attack`).

use std::process::Command;

use crate::compat::{build_release, root};

/// Builds the node, unless one is named, and attacks it.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let names_node = arguments.iter().any(|word| word == "--node");
    let node: &[&str] = if names_node { &[] } else { &["--package", "ottla-cli"] };
    let built = build_release(&[&["--package", "ottla-attack"], node].concat())?;
    let program = built.join("ottla-attack");
    let mut command = Command::new(&program);
    command.arg("run").arg("--settings").arg(root().join("tests/attack/node.properties"));
    if !names_node {
        command.arg("--node").arg(built.join("ottla"));
    }
    if !arguments.iter().any(|word| word == "--work") {
        command.arg("--work").arg(built.with_file_name("attack"));
    }
    let status = command.args(arguments).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("some row did not hold, or could not run ({status})")) }
}
