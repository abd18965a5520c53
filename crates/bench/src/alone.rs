//! `ottla-bench alone COMMAND...`: runs a command in a session of its own that ends with its parent.
//!
//! Owns: session, weight, the signal at the parent's end. Does not own: the command.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal, setsid};

use crate::Fallible;

/// The largest weight that the scheduler gives to a session's group (as `nice` −20), where it has such groups.
const GROUP_WEIGHT: (&str, &str) = ("/proc/self/autogroup", "-20");

/// Sleeps end as soon as asked for, not up to 50 µs later.
const TIMER_SLACK: (&str, &str) = ("/proc/self/timerslack_ns", "1");

/// Puts this process into a session of its own; what it starts is in the same one.
pub fn leave_session() -> Fallible<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A process that leads a group already stays where it is.
    let _ = setsid();
    // Without these the run is noisier, not wrong: kernels without groups, or rights, refuse.
    let _ = fs::write(GROUP_WEIGHT.0, GROUP_WEIGHT.1);
    Ok(())
}

/// Lets this process sleep precisely: for the driver, which paces requests.
pub fn sleep_precisely() {
    let _ = fs::write(TIMER_SLACK.0, TIMER_SLACK.1);
}

/// Becomes the command; comes back only with an error.
pub fn become_command(command: &[String]) -> Fallible<()> {
    let (program, arguments) = command.split_first().ok_or("alone needs a command")?;
    leave_session()?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("cannot run {program}: {error}").into())
}
