//! A node in the background.
//!
//! Owns: starting this program again, apart from the terminal.
//! Does not own: what the second process does.
//!
//! Source: `kafka-server-start.sh -daemon` of Kafka 4.3.1, whose output goes to `$LOG_DIR/kafkaServer.out`.

use std::fs::{OpenOptions, create_dir_all};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Starts `ottla server` with these arguments, but for the one that asks for the background.
pub fn start(args: &[String]) -> io::Result<()> {
    let directory = PathBuf::from(std::env::var_os("LOG_DIR").unwrap_or_else(|| "logs".into()));
    create_dir_all(&directory)?;
    let out = OpenOptions::new().create(true).append(true).open(directory.join("server.out"))?;
    let err = out.try_clone()?;
    let rest = args.iter().filter(|arg| !matches!(arg.as_str(), "-daemon" | "--daemon"));
    let mut command = Command::new(std::env::current_exe()?);
    // A group of its own: Ctrl-C in the terminal is not meant for it, and a server passes over SIGHUP.
    command.arg("server").args(rest).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    command.spawn().map(drop)
}
