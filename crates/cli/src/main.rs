//! The one binary: every part of the platform and every `kafka-*` tool.
//!
//! Owns: the names of all commands, their flags, what they print, their exit codes.
//! Does not own: what a node does (`ottla_server`), how clients reach one (`ottla_client`).
//!
//! In reading order:
//! - `dispatch`: which command a name stands for;
//! - `terminal`: what a command writes to;
//! - `own`: Ottla's own commands, `ottla --help`, `ottla --version`;
//! - `argparse`, `jopt`, `settings`: flags of Kafka's tools on argparse4j and joptsimple, properties files;
//! - `node`, `logging`: a node in this process, its log;
//! - `tools`: the drop-in tools, one folder each.

mod argparse;
mod dispatch;
mod jopt;
mod logging;
mod node;
mod own;
mod settings;
mod terminal;
mod tools;

use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

use terminal::Terminal;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Kafka's tools read arguments in the terminal's encoding too and replace what is none.
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if own::completion::answer(&args, std::env::current_dir().ok().as_deref()) {
        return ExitCode::SUCCESS;
    }
    let (mut out, mut err) = (BufWriter::new(stdout()), stderr());
    let code = dispatch::run(&args, &mut Terminal::new(&mut out, &mut err));
    ExitCode::from(code)
}
