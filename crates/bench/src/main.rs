//! The benchmark: a raw driver, a yardstick, and the runner that measures a node beside it.
//!
//! Owns: the commands. Does not own: what they do (one module each); `cargo xtask bench` builds and starts this.

mod alone;
mod counts;
mod driver;
mod figures;
mod frames;
mod goals;
mod plan;
mod plot;
mod processor;
mod report;
mod rows;
mod system;
mod tally;
mod yardstick;

use std::fs::File;
use std::process::ExitCode;

use rustix::fs::{FlockOperation, flock};

/// A benchmark ends at the first thing that is not as it should be, and says what that was.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: ottla-bench run|counts|yardstick|alone ...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) => match command.as_str() {
            "run" => run(rest),
            "counts" => counts(rest),
            "yardstick" => yardstick::run(rest),
            "alone" => alone::become_command(rest),
            _ => Err(USAGE.into()),
        },
        None => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Fallible<()> {
    let (plan, _lock) = prepared(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bench = rows::Bench { plan, results: figures::Results::default(), failures: Vec::new() };
    let done = runtime.block_on(bench.run());
    // What was measured before an error is worth showing.
    report::write(&bench.plan, &bench.results)?;
    done
}

fn counts(arguments: &[String]) -> Fallible<()> {
    let (plan, _lock) = prepared(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(counts::run(&plan))
}

/// The plan, in a process that is ready for it, and what keeps the directory of the run its own.
fn prepared(arguments: &[String]) -> Fallible<(plan::Plan, File)> {
    let plan = plan::Plan::parse(arguments)?;
    alone::leave_session()?;
    alone::sleep_precisely();
    std::fs::create_dir_all(&plan.stage.work).map_err(system::told("create", &plan.stage.work))?;
    let path = plan.stage.work.join("lock");
    let lock = File::create(&path).map_err(system::told("create", &path))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| format!("another run uses {}", plan.stage.work.display()))?;
    Ok((plan, lock))
}
