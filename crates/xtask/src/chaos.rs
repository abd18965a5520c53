//! `cargo xtask chaos`: builds a node and what makes its life hard, and starts the latter.
//!
//! Owns: release builds of the node and of `ottla-chaos`. Does not own: the cases (`crates/chaos`).

use std::process::Command;

use crate::compat::{build_release, root};

/// Runs the cases that the arguments name; `--node FILE` takes the place of a build.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let given = arguments.iter().any(|word| word == "--node");
    let packages: &[&str] = if given {
        &["--package", "ottla-chaos"]
    } else {
        &["--package", "ottla-chaos", "--package", "ottla-cli"]
    };
    let built = build_release(packages)?;
    let mut command = Command::new(built.join("ottla-chaos"));
    if !given {
        let binary = std::env::var_os("OTTLA").map_or_else(|| built.join("ottla"), Into::into);
        command.arg("--node").arg(binary);
    }
    command.arg("--work").arg(built.with_file_name("chaos")).args(arguments).current_dir(root());
    let status = command.status().map_err(|error| format!("cannot run ottla-chaos: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("not everything held ({status})")) }
}
