//! `cargo xtask attack [--rows a,b] [--seed S] [--node FILE] [--work DIR] [--output FILE]`: hostile clients against a node.
//!
//! Owns: how `ottla-attack` is started. Does not own: the attacks (`crates/attack`), the builds (`tools`).

use std::process::Command;

use crate::compat::root;
use crate::tools::ATTACK;

/// Builds the node, unless one is named, and attacks it.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (built, node) = ATTACK.build(arguments)?;
    let program = built.join("ottla-attack");
    let mut command = Command::new(&program);
    command.arg("run").arg("--settings").arg(root().join("tests/attack/node.properties"));
    if let Some(node) = node {
        command.arg("--node").arg(node);
    }
    if !arguments.iter().any(|word| word == "--work") {
        command.arg("--work").arg(built.with_file_name("attack"));
    }
    let status = command.args(arguments).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("some row did not hold, or could not run ({status})")) }
}
