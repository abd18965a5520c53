//! `cargo xtask chaos`: builds a node and what makes its life hard, and starts the latter.
//!
//! Owns: how `ottla-chaos` is started. Does not own: the cases (`crates/chaos`), the builds (`tools`).

use std::process::Command;

use crate::compat::root;
use crate::tools::CHAOS;

/// Runs the cases that the arguments name; `--node FILE` takes the place of a build.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (built, node) = CHAOS.build(arguments)?;
    let mut command = Command::new(built.join("ottla-chaos"));
    if let Some(node) = node {
        command.arg("--node").arg(std::env::var_os("OTTLA").map_or(node, Into::into));
    }
    command.arg("--work").arg(built.with_file_name("chaos")).args(arguments).current_dir(root());
    let status = command.status().map_err(|error| format!("cannot run ottla-chaos: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("not everything held ({status})")) }
}
