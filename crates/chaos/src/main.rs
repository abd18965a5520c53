//! `ottla-chaos`: runs the cases of a plan one after the other and reports.
//!
//! Owns: the order of cases, the judgement of each, the exit code, the end by a signal. Does not own: what a case does.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use ottla_chaos::Fallible;
use ottla_chaos::arguments::Plan;
use ottla_chaos::cases::Case;
use ottla_chaos::figures::{Figures, Outcome};
use ottla_chaos::node::kill_leftovers;
use ottla_chaos::report::{Report, Row};
use ottla_chaos::stage::Stage;
use ottla_chaos::volume::remove_leftovers;
use ottla_env::task::{self, Signals};
use ottla_env::time;
use ottla_testkit::history::{Event, History, check, digest};

/// Clients share these threads; a command of the system that takes a while holds up one of them.
const WORKERS: usize = 4;
/// Lines of a log that the report shows.
const ERRORS_SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ottla-chaos: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Fallible<bool> {
    let chance = u64::try_from(time::wall_now().millis() % 1_000_000)?;
    let mut plan = Plan::parse(arguments, chance)?;
    fs::create_dir_all(&plan.work)?;
    plan.work = plan.work.canonicalize()?;
    let removed = kill_leftovers(&plan.work).and_then(|()| remove_leftovers(&plan.work));
    if let Err(error) = removed {
        eprintln!("ottla-chaos: what an earlier run left below {} stays: {error}", plan.work.display());
    }
    task::run(NonZeroUsize::new(WORKERS), async {
        let mut signals = Signals::listen()?;
        task::select! {
            biased;
            signal = signals.stop() => Err(format!("stopped by {signal:?}; everything is cleaned up").into()),
            passed = run_all(&plan) => passed,
        }
    })?
}

async fn run_all(plan: &Plan) -> Fallible<bool> {
    println!("seed {}, {} s of faults per case", plan.seed, plan.time.as_secs());
    let mut report = Report::default();
    for case in plan.cases.iter().copied() {
        let row = match case.missing(&plan.work) {
            Some(reason) => skipped(case, reason),
            None => run_case(plan, case).await,
        };
        report.0.push(row);
        print!("\n{}", report.table(plan));
        if let Some(output) = &plan.output {
            report.write(plan, output)?;
        }
    }
    let passed = report.passed();
    let skipped = report.skipped();
    println!("\n{}: seed {}, {skipped} cases skipped", if passed { "PASS" } else { "FAIL" }, plan.seed);
    Ok(passed)
}

fn skipped(case: Case, reason: String) -> Row {
    println!("SKIP {case}: {reason}");
    Row { case, outcome: Outcome::Skipped(reason), figures: Figures::default(), complaints: Vec::new() }
}

/// A case draws its schedule from the seed and its name, so that it is the same whether it runs alone or among others.
fn seed_of(plan: &Plan, case: Case) -> u64 {
    digest(&[&plan.seed.to_le_bytes(), case.name().as_bytes()])
}

async fn run_case(plan: &Plan, case: Case) -> Row {
    let home = plan.work.join(case.name());
    let seed = seed_of(plan, case);
    let failed = |reasons: Vec<String>, figures: Figures| Row {
        case,
        outcome: Outcome::Failed(reasons),
        figures,
        complaints: Vec::new(),
    };
    let mut stage = match Stage::open(case, plan, (&home, seed)).await {
        Ok(stage) => stage,
        Err(error) => return failed(vec![format!("cannot begin: {error}")], Figures::default()),
    };
    let begun = time::now();
    let mut reasons = Vec::new();
    match case.act(&mut stage, plan).await {
        Ok(()) => {
            let time = begun.elapsed();
            let kinds = stage.faults.kinds();
            println!(
                "{case}: {} faults in {} s ({kinds}); the proof begins",
                stage.faults.0.len(),
                time.as_secs()
            );
            if !stage.is_over()
                && let Err(error) = stage.prove().await
            {
                reasons.push(error.to_string());
            }
        }
        Err(error) => reasons.push(format!("among the faults: {error}")),
    }
    let events = stage.cluster.notes.take();
    reasons.append(&mut stage.findings);
    reasons.extend(unexpected_errors(case, &stage.node.log()));
    let kept = events.clone();
    let verdict = match History::load(events) {
        Ok(history) => check(&history),
        Err(error) => {
            return failed(vec![format!("the history is not well-formed: {error}")], Figures::default());
        }
    };
    if !verdict.passed() {
        reasons.push(verdict.to_string());
    }
    let figures = Figures::new(&stage, &verdict, begun.elapsed());
    let complaints = stage.cluster.notes.complaints().into_iter().collect();
    drop(stage);
    let outcome = match figures.below_floor() {
        _ if !reasons.is_empty() => {
            keep_history(&home, &kept);
            Outcome::Failed(reasons)
        }
        Some(reason) => Outcome::Invalid(reason),
        None => {
            // Nobody needs it any more.
            let _ = fs::remove_dir_all(&home);
            Outcome::Passed
        }
    };
    Row { case, outcome, figures, complaints }
}

/// A failure leaves the history beside the node's log.
fn keep_history(home: &Path, events: &[Event]) {
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let path = home.join("history.ndjson");
    match fs::write(&path, lines.join("\n")) {
        Ok(()) => println!("the history is {}, the node's log beside it", path.display()),
        Err(error) => eprintln!("cannot write {}: {error}", path.display()),
    }
}

/// Panics, and errors that the fault does not explain.
fn unexpected_errors(case: Case, log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let wrong = |line: &&str| line.contains("panicked") || (line.contains(" ERROR ") && !case.expects(line));
    let mut lines: Vec<&str> = text.lines().filter(wrong).collect();
    let count = lines.len();
    lines.truncate(ERRORS_SHOWN);
    match count {
        0 => Vec::new(),
        _ => vec![format!("the node logged {count} errors, such as:\n    {}", lines.join("\n    "))],
    }
}
