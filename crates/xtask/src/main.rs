//! Tasks of the repository, run as `cargo xtask NAME`.
//!
//! Owns: the list of tasks and the exit code. Does not own: what a task does (one module each).

use std::process::ExitCode;

mod attack;
mod bench;
mod chaos;
mod codegen;
mod compat;
mod differential;
mod docs;
mod mutants;
mod tidy;
mod tools;

/// A task: its name, its usage and what runs it with the arguments behind its name.
struct Task {
    name: &'static str,
    usage: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const TASKS: &[Task] = &[
    Task {
        name: "attack",
        usage: "attack [--rows a,b] [--seed S] [--node FILE] [--output FILE]   hostile clients against a node, honest ones beside them",
        run: attack::run,
    },
    Task {
        name: "bench",
        usage: "bench [...]         measure a node beside the smallest possible broker and others; bench client [...]: the client library",
        run: bench::run,
    },
    Task {
        name: "chaos",
        usage: "chaos [...]         kill a node, cut it off its disk, move its clock, and judge what its clients saw",
        run: chaos::run,
    },
    Task {
        name: "codegen",
        usage: "codegen [--check]   write the messages of crates/protocol from their schemas, or check that they are current",
        run: codegen::run,
    },
    Task {
        name: "compat",
        usage: "compat [NAME [TEST...]]   run a foreign suite against a node and compare with what Kafka passes; without NAME, list the suites",
        run: compat::run,
    },
    Task {
        name: "differential",
        usage: "differential [--seed N] [--minutes M] [--only SEQUENCE] [--flow NAME]   send the same requests to a node and to Kafka",
        run: differential::run,
    },
    Task {
        name: "docs",
        usage: "docs [--check]      write docs/reference from the declarations, or check that it is current",
        run: docs::run,
    },
    Task {
        name: "mutants",
        usage: "mutants [--only NAME,...] [--layers NAME,...] [--report FILE]   build in deliberate bugs, one after the other, and name those that no test, and with --layers chaos,attack no fault and no attack, shows",
        run: mutants::run,
    },
    Task {
        name: "tidy",
        usage: "tidy                check the rules of STYLE.md that a program can check",
        run: tidy::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = arguments.first().and_then(|name| TASKS.iter().find(|task| task.name == *name));
    let Some(task) = task else {
        eprintln!("usage: cargo xtask TASK");
        for task in TASKS {
            eprintln!("  {}", task.usage);
        }
        return ExitCode::from(2);
    };
    match (task.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}: {message}", task.name);
            ExitCode::FAILURE
        }
    }
}
