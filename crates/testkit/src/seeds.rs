//! One scenario, many seeds.
//!
//! Owns: which seeds a test runs, and the line that says how to repeat a failure.
//! Does not own: scenarios.
//!
//! `OTTLA_SEED=7` runs seed 7 alone. `OTTLA_SEEDS=1000` runs the seeds 0 to 999 in place of the test's own
//! number of them. Without either, a run is the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `scenario` for the seeds `0..count`. When one panics, its seed and the command that repeats it are
/// printed before the panic goes on.
///
/// # Panics
/// As the scenario does, and when a variable is set to something that is no number.
pub fn run(count: u64, scenario: impl Fn(u64)) {
    match (number("OTTLA_SEED"), number("OTTLA_SEEDS")) {
        (Some(seed), _) => run_each([seed], scenario),
        (None, asked) => run_each(0..asked.unwrap_or(count), scenario),
    }
}

fn run_each(seeds: impl IntoIterator<Item = u64>, scenario: impl Fn(u64)) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            eprintln!("{}", advice(seed, std::thread::current().name()));
            resume_unwind(panic);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Test threads bear the name of their test, and cargo tells the package.
fn advice(seed: u64, thread: Option<&str>) -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".to_owned());
    let test = thread.filter(|name| *name != "main").unwrap_or("TEST");
    format!("seed {seed} failed; to repeat it: OTTLA_SEED={seed} cargo test -p {package} -- --exact {test}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn every_seed_runs_until_one_fails() {
        let seen = RefCell::new(Vec::new());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run_each(0..10, |seed| {
                seen.borrow_mut().push(seed);
                assert!(seed < 3, "this panic is part of the test");
            });
        }));
        assert!(outcome.is_err());
        assert_eq!(*seen.borrow(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        assert_eq!(
            advice(17, Some("cluster::survives")),
            "seed 17 failed; to repeat it: OTTLA_SEED=17 cargo test -p ottla-testkit -- --exact cluster::survives"
        );
    }
}
