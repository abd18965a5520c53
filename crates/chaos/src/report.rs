//! The report: one table for people, one JSON for programs.
//!
//! Owns: the columns and the keys. Does not own: the numbers (`figures`).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Fallible;
use crate::arguments::Plan;
use crate::cases::Case;
use crate::clients::kcat;
use crate::figures::{Figures, Outcome};

const COLUMNS: [&str; 14] = [
    "case",
    "outcome",
    "faults",
    "hit",
    "acked",
    "unknown",
    "refused",
    "read",
    "lost",
    "twice",
    "order",
    "phantom",
    "gap p50/max ms",
    "recovery p50/max ms",
];

/// What came out of a case.
#[derive(Clone, Debug)]
pub struct Row {
    pub case: Case,
    pub outcome: Outcome,
    pub figures: Figures,
    /// What clients were told that breaks no rule by itself, and how often.
    pub complaints: Vec<(String, u64)>,
}

/// All rows of a run.
#[derive(Clone, Debug, Default)]
pub struct Report(pub Vec<Row>);

impl Report {
    /// Whether nothing is wrong. What was skipped is neither right nor wrong, and if all was, nothing is shown.
    pub fn passed(&self) -> bool {
        let skipped = self.skipped();
        let passed = self.0.iter().filter(|row| row.outcome == Outcome::Passed).count();
        passed > 0 && passed + skipped == self.0.len()
    }

    /// How many cases this machine could not run.
    pub fn skipped(&self) -> usize {
        self.0.iter().filter(|row| matches!(row.outcome, Outcome::Skipped(_))).count()
    }

    /// The table, and below it what is wrong, how to repeat it, and what was skipped.
    pub fn table(&self, plan: &Plan) -> String {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines.extend(self.0.iter().map(cells));
        let width = |at: usize| lines.iter().map(|line| line[at].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let padded: Vec<String> = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(
                    |(at, (cell, width))| {
                        if at < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                    },
                )
                .collect();
            text += padded.join("  ").trim_end();
            text.push('\n');
        }
        if kcat().is_none() {
            text += "\nSKIP foreign clients: there is no kcat; a second client of ours reads in its place\n";
        }
        for row in &self.0 {
            let case = row.case;
            match &row.outcome {
                Outcome::Passed => {}
                Outcome::Skipped(reason) => text += &format!("\nSKIP {case}: {reason}\n"),
                Outcome::Invalid(reason) => {
                    text += &format!("\nINVALID {case}: {reason}\n  again: {}\n", plan.repeat(case));
                }
                Outcome::Failed(reasons) => {
                    let reasons = reasons.join("\n  ");
                    let rules = rules_of(row).join(", ");
                    let rules = if rules.is_empty() { rules } else { format!(" ({rules})") };
                    text += &format!("\nFAIL {case}{rules}: {reasons}\n  again: {}\n", plan.repeat(case));
                }
            }
        }
        text
    }

    /// Everything as JSON.
    pub fn json(&self, plan: &Plan) -> Value {
        json!({
            "seed": plan.seed,
        "settings": plan.settings,
        "foreign_client": kcat().map(|program| program.display().to_string()),
            "seconds_per_case": plan.time.as_secs(),
            "passed": self.passed(),
        "skipped": self.skipped(),
            "cases": self.0.iter().map(|row| json_of(row, plan)).collect::<Vec<Value>>(),
        })
    }

    pub fn write(&self, plan: &Plan, path: &Path) -> Fallible<()> {
        let text = serde_json::to_string_pretty(&self.json(plan))?;
        Ok(fs::write(path, text + "\n")
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?)
    }
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed(_) => "FAIL",
        Outcome::Invalid(_) => "INVALID",
        Outcome::Skipped(_) => "SKIP",
    }
}

fn reasons_of(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Passed => Vec::new(),
        Outcome::Failed(reasons) => reasons.clone(),
        Outcome::Invalid(reason) | Outcome::Skipped(reason) => vec![reason.clone()],
    }
}

/// The rules of the history that were broken.
fn rules_of(row: &Row) -> Vec<String> {
    row.figures.broken.iter().map(ToString::to_string).collect()
}

fn cells(row: &Row) -> [String; 14] {
    let Figures { faults, hit, counts, lost, duplicated, reordered, phantom, gap, recovery, .. } =
        &row.figures;
    let waits = |times: &Option<(u64, u64)>| {
        times.map_or_else(|| "-".to_owned(), |(median, longest)| format!("{}/{}", ms(median), ms(longest)))
    };
    [
        row.case.to_string(),
        name_of(&row.outcome).to_owned(),
        faults.to_string(),
        hit.to_string(),
        counts.acked.to_string(),
        counts.unknown.to_string(),
        counts.refused.to_string(),
        counts.reads.to_string(),
        lost.to_string(),
        duplicated.to_string(),
        reordered.to_string(),
        phantom.to_string(),
        waits(gap),
        waits(recovery),
    ]
}

/// Nanoseconds as milliseconds.
fn ms(nanos: u64) -> u64 {
    nanos / 1_000_000
}

fn json_of(row: &Row, plan: &Plan) -> Value {
    let figures = &row.figures;
    let waits = |times: Option<(u64, u64)>| {
        times.map(|(median, longest)| json!({"p50": ms(median), "max": ms(longest)}))
    };
    json!({
        "case": row.case.name(),
        "outcome": name_of(&row.outcome).to_lowercase(),
        "reasons": reasons_of(&row.outcome),
        "rules": rules_of(row),
        "again": plan.repeat(row.case),
        "seconds": figures.seconds,
        "faults": {"injected": figures.faults, "hit_while_traffic_flowed": figures.hit},
        "sends": {
            "begun": figures.counts.sends,
            "acked": figures.counts.acked,
            "unknown": figures.counts.unknown,
            "refused": figures.counts.refused,
        },
        "reads": figures.counts.reads,
        "final_reads": figures.counts.final_reads,
        "commits": figures.counts.commits,
        "assignments": figures.counts.assignments,
        "lost": figures.lost,
        "duplicated": figures.duplicated,
        "reordered": figures.reordered,
        "phantom": figures.phantom,
        "ack_gap_ms": waits(figures.gap),
        "recovery_ms": waits(figures.recovery),
        "complaints": row.complaints.iter().map(|(text, count)| json!({"text": text, "count": count})).collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use ottla_testkit::history::Rule;

    use super::*;

    fn row(case: Case, outcome: Outcome) -> Row {
        Row { case, outcome, figures: Figures::default(), complaints: Vec::new() }
    }

    fn plan() -> Plan {
        let words = ["--node", "n", "--seed", "7", "--seconds", "12"];
        Plan::parse(&words.map(str::to_owned), 0).unwrap()
    }

    #[test]
    fn a_run_passes_if_something_did_and_nothing_failed() {
        let skip = || row(Case::Slow, Outcome::Skipped("no strace".to_owned()));
        let pass = || row(Case::Kill, Outcome::Passed);
        assert!(Report(vec![pass(), skip()]).passed());
        assert!(!Report(vec![skip()]).passed() && !Report::default().passed());
        assert!(!Report(vec![pass(), row(Case::Term, Outcome::Invalid("too little".to_owned()))]).passed());
        assert!(!Report(vec![pass(), row(Case::Term, Outcome::Failed(vec!["lost".to_owned()]))]).passed());
    }

    #[test]
    fn what_is_wrong_stands_below_the_table_with_the_command_that_repeats_it() {
        let report = Report(vec![
            row(Case::Slow, Outcome::Skipped("no strace".to_owned())),
            row(Case::Kill, Outcome::Failed(vec!["one".to_owned(), "two".to_owned()])),
        ]);
        let table = report.table(&plan());
        assert!(table.contains("\nSKIP slow: no strace\n"), "{table}");
        let failed =
            "\nFAIL kill: one\n  two\n  again: cargo xtask chaos --cases kill --seed 7 --seconds 12\n";
        assert!(table.contains(failed), "{table}");
        let mut broken = report.clone();
        broken.0[1].figures.broken = [Rule::R8, Rule::R1].into();
        assert!(broken.table(&plan()).contains("\nFAIL kill (R1, R8): one\n"));
        let json = report.json(&plan());
        assert_eq!((&json["passed"], &json["skipped"]), (&json!(false), &json!(1)));
        assert_eq!(json["cases"][1]["reasons"], json!(["one", "two"]));
    }
}
