//! Ottla's own commands against a node: what they print, what they refuse, what they change.

mod cluster;
mod contexts;
mod endings;
mod explain;
mod groups;
mod log;
mod offsets;
mod records;
mod shells;
mod top;
mod topics;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::Node;

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub exit: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    /// Standard output as a JSON document, of a command that went well.
    pub fn json(&self) -> Value {
        assert_eq!((self.exit, self.err.as_str()), (Some(0), ""), "{self:?}");
        serde_json::from_slice(&self.out).unwrap()
    }
}

/// Runs `ottla` with no environment but these variables.
pub fn ottla(variables: &[(&str, &str)], args: &[&str], input: &[u8]) -> Ran {
    let mut process = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe.
    let _ = process.stdin.take().unwrap().write_all(input);
    let output = process.wait_with_output().unwrap();
    Ran { exit: output.status.code(), out: output.stdout, err: String::from_utf8(output.stderr).unwrap() }
}

impl Node {
    /// Runs a command line, cut at blanks, against this node.
    pub fn ottla(&self, line: &str) -> Ran {
        self.ottla_with(line, b"")
    }

    /// The same with standard input.
    pub fn ottla_with(&self, line: &str, input: &[u8]) -> Ran {
        let args: Vec<&str> = line.split(' ').collect();
        ottla(&[("OTTLA_BOOTSTRAP", &self.address)], &args, input)
    }

    /// Runs a command line that must go well, and answers its output.
    pub fn done(&self, line: &str) -> String {
        let ran = self.ottla(line);
        assert_eq!(ran.exit, Some(0), "{line}: {ran:?}");
        ran.text()
    }
}
