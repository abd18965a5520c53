//! Judges history files: `cargo run -p ottla-testkit --example check_history FILE...`. Exit code 1 when one
//! fails, 2 when one is no history.

use std::process::ExitCode;

use ottla_testkit::history::{History, check};

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        };
        match History::parse(&text) {
            Ok(history) => {
                let verdict = check(&history);
                print!("{path}: {verdict}");
                if !verdict.passed() {
                    code = ExitCode::from(1);
                }
            }
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    code
}
