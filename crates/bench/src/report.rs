//! What a run shows: a table for people, JSON for programs.
//!
//! Owns: their form. Does not own: the numbers (`figures`).

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::Fallible;
use crate::figures::{Ratio, Results, Sample, Spread};
use crate::goals::{self, Verdict};
use crate::plan::Plan;
use crate::plot;
use crate::processor::processors;
use crate::system::told;

/// Prints the tables; writes them and the JSON where the plan says.
pub fn write(plan: &Plan, results: &Results) -> Fallible<()> {
    let tables = tables(plan, results);
    println!("{tables}");
    let Some(output) = &plan.output else { return Ok(()) };
    let json = serde_json::to_string_pretty(&as_json(plan, results))?;
    fs::write(output, json + "\n").map_err(told("write", output))?;
    let text = output.with_extension("md");
    fs::write(&text, tables).map_err(told("write", &text))?;
    for row in &plan.rows {
        if let Some(picture) = plot::row(results, *row) {
            let path = output.with_extension(format!("row-{row}.svg"));
            fs::write(&path, picture).map_err(told("write", &path))?;
        }
    }
    Ok(())
}

fn tables(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    for row in &plan.rows {
        let names = results.names(*row);
        if names.is_empty() {
            continue;
        }
        let _ = write!(text, "\n### Row {row}\n\n| Case | System |");
        for name in &names {
            let _ = write!(text, " {name} |");
        }
        let _ = write!(
            text,
            " of the yardstick | foreign % |\n|---|---|{}---:|---:|\n",
            "---:|".repeat(names.len())
        );
        for case in results.cases(*row) {
            for system in results.systems(*row, case) {
                let _ = write!(text, "| {case} | {system} |");
                for name in &names {
                    let spread = results.spread(*row, case, (system, name));
                    let _ = write!(text, " {} |", spread.map_or_else(String::new, shown));
                }
                let ratio = names.first().and_then(|name| results.of_yardstick(*row, case, (system, name)));
                let ratio = ratio.filter(|_| system != "yardstick").map_or_else(String::new, ratio_shown);
                let foreign = results.samples(*row, case, system).map(|sample| sample.load.foreign_percent);
                let _ = writeln!(text, " {ratio} | {:.0} |", foreign.fold(0.0, f64::max));
            }
        }
    }
    text + &verdicts(results)
}

/// The goals and whether they were reached.
fn verdicts(results: &Results) -> String {
    let verdicts = goals::judge(results);
    if verdicts.is_empty() {
        return String::new();
    }
    let mut text =
        "\n### Goals\n\n| Row | Case | Figure | Wanted | Measured | |\n|---|---|---|---|---:|---|\n"
            .to_owned();
    for Verdict { row, case, figure, wanted, measured, reached } in verdicts {
        let verdict = if reached { "reached" } else { "**missed**" };
        let _ = writeln!(text, "| {row} | {case} | {figure} | {wanted} | {measured:.2} | {verdict} |");
    }
    text
}

/// `median (least–most)`, or one number where there is one run.
fn shown(spread: Spread) -> String {
    let number = |value: f64| match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match spread.least == spread.most {
        true => number(spread.median),
        false => format!("{} ({}–{})", number(spread.median), number(spread.least), number(spread.most)),
    }
}

fn ratio_shown(ratio: Ratio) -> String {
    match ratio.pairs {
        1 => format!("{:.2}", ratio.median),
        _ => format!("{:.2} [{:.2}–{:.2}]", ratio.median, ratio.low, ratio.high),
    }
}

fn as_json(plan: &Plan, results: &Results) -> Value {
    let samples: Vec<Value> = results.0.iter().map(sample_json).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "quick": plan.quick,
        "rounds": plan.rounds,
        "samples": samples,
    })
}

fn sample_json(sample: &Sample) -> Value {
    let figures: Map<String, Value> =
        sample.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "row": sample.row,
        "case": sample.case,
        "system": sample.system,
        "round": sample.round,
        "figures": figures,
        "foreign_percent": sample.load.foreign_percent,
        "steal_percent": sample.load.steal_percent,
    })
}

/// What the figures depend on.
fn machine() -> Value {
    let first = |path: &str, label: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    json!({
        "processors": processors(),
        "processor": first("/proc/cpuinfo", "model name"),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    })
}
