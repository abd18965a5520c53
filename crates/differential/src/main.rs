//! Two brokers, the same requests: where do the answers differ? Run by `cargo xtask differential`.
//!
//! Each sequence is drawn from the seed and its number: a flow of `flows` tells a story in one of its variants, in any
//! version of each API, with edges and with faults. Both brokers get it step by step; answers are decoded, what each broker
//! makes up becomes a word (`normal`), and the rest is compared field by field. The first difference that is not in
//! `known.tsv` is looked at again, made as short as it goes (`shrink`) and printed; the run goes on and fails at its end.
//!
//! | flag | meaning |
//! |---|---|
//! | `--seed N` | which sequences (1) |
//! | `--minutes M` | for how long (1) |
//! | `--sequences N` | so many, however long they take |
//! | `--flow NAME` | of one flow only |
//! | `--only N` | the sequence of this number only |
//!
//! Owns: flags, the loop over sequences, what is printed. Does not own: starting the brokers (`xtask`).

mod batches;
mod broker;
mod compare;
mod encode;
mod flows;
mod normal;
mod play;
mod script;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::Place;
use ottla_testkit::random::SeededRandom;
use ottla_testkit::schema;
use play::{Found, Stage};
use script::Script;
use shrink::Kind;

/// What was asked for.
struct Flags {
    ours: Place,
    kafka: Place,
    seed: u64,
    minutes: f64,
    /// The most sequences.
    sequences: u64,
    /// Only the sequence of this number.
    only: Option<u64>,
    /// Only flows of this name.
    flow: Option<String>,
}

/// What a run has seen.
#[derive(Default)]
struct Tally {
    sequences: u64,
    compared: usize,
    /// Sequences by flow.
    flows: BTreeMap<&'static str, usize>,
    /// Differences that did not show again when the sequence was repeated.
    passing: Vec<String>,
    known: BTreeSet<usize>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match flags(&arguments).and_then(|flags| run(&flags)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("differential: {message}");
            ExitCode::from(2)
        }
    }
}

fn flags(arguments: &[String]) -> Result<Flags, String> {
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name.starts_with("--") => given.insert(&name[2..], value),
            other => return Err(format!("{other:?} is no flag with a value")),
        };
    }
    let number = |name: &str| match given.get(name) {
        Some(text) => text.parse().map(Some).map_err(|_| format!("--{name} {text} is no number")),
        None => Ok(None),
    };
    let sequences = number("sequences")?;
    // A number of sequences takes the time that it takes.
    let minutes_else = if sequences.is_some() { 60.0 } else { 1.0 };
    let minutes = given.get("minutes").map_or(Ok(minutes_else), |text| text.parse());
    Ok(Flags {
        ours: place("Ottla", given.get("ours"))?,
        kafka: place("Kafka", given.get("kafka"))?,
        seed: number("seed")?.unwrap_or(1),
        sequences: sequences.unwrap_or(u64::MAX),
        minutes: minutes.map_err(|_| "--minutes is no number".to_owned())?,
        only: number("only")?,
        flow: given.get("flow").map(|name| (*name).to_owned()),
    })
}

/// `PORT,CONTROLLER-PORT,DIRECTORY`
fn place(name: &'static str, text: Option<&&str>) -> Result<Place, String> {
    let parts: Vec<&str> = text.map(|text| text.splitn(3, ',').collect()).unwrap_or_default();
    let [port, controller, directory] = parts[..] else {
        return Err("--ours and --kafka are PORT,CONTROLLER-PORT,DIRECTORY".to_owned());
    };
    let port_of = |text: &str| text.parse().map_err(|_| format!("{text} is no port"));
    let directory = directory.to_owned();
    Ok(Place { name, port: port_of(port)?, controller_port: port_of(controller)?, directory })
}

/// Whether all differences were known ones.
fn run(flags: &Flags) -> Result<bool, String> {
    let known = compare::known_of(include_str!("../known.tsv"))?;
    let mut stage = Stage::new(flags.ours.clone(), flags.kafka.clone(), known)?;
    stage.warm_up()?;
    let end = Instant::now() + Duration::from_secs_f64(flags.minutes * 60.0);
    let mut tally = Tally::default();
    let mut number = flags.only.unwrap_or(0);
    while Instant::now() < end && tally.sequences < flags.sequences {
        let script = flows::script(&stage.schemas, &random_of(flags.seed, number), flags.flow.as_deref())?;
        sequence(&mut stage, &script, (flags, number), &mut tally)?;
        if flags.only.is_some() {
            break;
        }
        number += 1;
    }
    summary(&stage, &tally);
    Ok(stage.reported.is_empty())
}

fn random_of(seed: u64, number: u64) -> SeededRandom {
    SeededRandom::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number))
}

fn sequence(
    stage: &mut Stage,
    script: &Script,
    (flags, number): (&Flags, u64),
    tally: &mut Tally,
) -> Result<(), String> {
    let report =
        stage.play(script).map_err(|error| format!("sequence {number} ({}): {error}", script.flow))?;
    tally.sequences += 1;
    tally.compared += report.compared;
    tally.known.extend(report.known);
    *tally.flows.entry(script.flow).or_insert(0) += 1;
    let Some(found) = report.found else { return Ok(()) };
    // What does not show again came from time, not from the sequence.
    let Some(again) = stage.play(script)?.found else {
        let what =
            format!("sequence {number} ({}): {} {}", script.flow, found.api, found.differences[0].path);
        println!("passing: {what}: {:?}", &found.differences[..found.differences.len().min(3)]);
        tally.passing.push(what);
        return Ok(());
    };
    let (script, found) = shrink::shrink(stage, script, &again)?;
    stage.reported.extend(found.differences.iter().map(|difference| Kind::of(&found.api, difference)));
    print(&script, &found, (flags, number));
    Ok(())
}

fn print(script: &Script, found: &Found, (flags, number): (&Flags, u64)) {
    println!("\n=== DIFFERENCE in {} v{}, flow {}", found.api, found.version, script.flow);
    let flow = flags.flow.as_ref().map_or_else(String::new, |flow| format!(" --flow {flow}"));
    println!("repeat: cargo xtask differential --seed {}{flow} --only {number}", flags.seed);
    for step in &script.steps {
        println!("  {step}");
    }
    for difference in &found.differences {
        let show = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or("absent".to_owned(), ToString::to_string)
        };
        println!(
            "  at {}: ours {} | Kafka {}",
            difference.path,
            show(&difference.ours),
            show(&difference.kafka)
        );
    }
    println!("  ours:  {}\n  Kafka: {}", script::shown(&found.ours), script::shown(&found.kafka));
}

fn summary(stage: &Stage, tally: &Tally) {
    println!("\n{} sequences, {} answers compared", tally.sequences, tally.compared);
    for (flow, count) in &tally.flows {
        println!("  {count:5} {flow}");
    }
    let reasons: BTreeSet<&str> = tally.known.iter().map(|at| &*stage.known[*at].reason).collect();
    for reason in reasons {
        println!("known: {reason}");
    }
    for what in &tally.passing {
        println!("seen once and not again: {what}");
    }
    println!("{} kinds of differences that are not known", stage.reported.len());
}
