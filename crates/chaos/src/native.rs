//! Small programs in C, for what Rust reaches only by unsafe code.
//!
//! Owns: building them once per run with the system's compiler. Does not own: when they are used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;

/// A source, and what the compiler needs beside it.
pub struct Source {
    name: &'static str,
    text: &'static str,
    flags: &'static [&'static str],
}

/// Cuts a mounted file system off its device.
pub const CUT: Source = Source { name: "cut", text: include_str!("../native/cut.c"), flags: &[] };
/// A library that moves the clock of the process it is loaded into.
pub const CLOCK: Source = Source {
    name: "clock.so",
    text: include_str!("../native/clock.c"),
    flags: &["-shared", "-fPIC", "-ldl"],
};

/// Compiles a program into a directory.
pub fn build(source: &Source, directory: &Path) -> Fallible<PathBuf> {
    fs::create_dir_all(directory)?;
    let (program, text) = (directory.join(source.name), directory.join(format!("{}.c", source.name)));
    fs::write(&text, source.text)?;
    let mut command = Command::new("cc");
    let output = command.args(["-O1", "-Wall", "-Werror", "-o"]).arg(&program).arg(&text).args(source.flags);
    let output = output.output().map_err(|error| format!("there is no C compiler (cc): {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(format!("cc failed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
