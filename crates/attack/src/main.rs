//! The attack suite: hostile clients against a live node, with honest ones beside them.
//!
//! Owns: the commands. Does not own: what they do (one module each); `cargo xtask attack` builds and starts this.
//!
//! Source: reliability design 4.4, 5.1 and 5.5.

mod confined;
mod honest;
mod node;
mod plan;
mod report;
mod rows;
mod wire;

use std::process::ExitCode;

/// An attack ends at the first thing that makes it impossible, and says what that was.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: ottla-attack run|confined ...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) => match command.as_str() {
            "run" => run(rest),
            "confined" => confined::become_command(rest).map(|()| false),
            _ => Err(USAGE.into()),
        },
        None => Err(USAGE.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ottla-attack: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every row held.
fn run(arguments: &[String]) -> Fallible<bool> {
    let plan = plan::Plan::parse(arguments)?;
    std::fs::create_dir_all(&plan.work)
        .map_err(|error| format!("cannot create {}: {error}", plan.work.display()))?;
    let results = rows::run_all(&plan)?;
    report::write(&plan, &results)?;
    Ok(results.iter().all(report::Verdict::held))
}
