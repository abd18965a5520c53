//! What a row came to, as a table and as JSON.
//!
//! Owns: the pass rule that all rows share, the forms of the report. Does not own: what a row measures beside it (`rows`).

use serde_json::{Value, json};

use crate::Fallible;
use crate::honest::Achieved;
use crate::plan::Plan;

/// The part of their throughput that honest clients keep at least.
const KEPT_MIN: f64 = 0.9;
/// How long a large honest request may take at most.
const LARGE_MS_MAX: u64 = 10_000;
/// So many misses of a row stand in the table; the JSON has all.
const MISSES_SHOWN: usize = 10;
const MEBIBYTE: u64 = 1 << 20;

/// What the attack itself found out.
#[derive(Debug, Default)]
pub struct Found {
    /// Figures worth telling, in order.
    pub facts: Vec<String>,
    /// What is not as it must be.
    pub misses: Vec<String>,
    /// Why the row, or a part of it, cannot run here.
    pub skipped: Option<String>,
}

impl Found {
    pub fn fact(&mut self, text: impl Into<String>) {
        self.facts.push(text.into());
    }

    /// Something that must hold.
    pub fn must(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.misses.push(otherwise());
        }
    }
}

/// A row with all that was seen beside it.
#[derive(Debug)]
pub struct Verdict {
    pub row: &'static str,
    pub found: Found,
    pub seconds: f64,
    pub before: Achieved,
    pub during: Achieved,
    /// The slowest large request of honest clients.
    pub large_ms_max: u64,
    /// Honest connections that were lost.
    pub lost: u32,
    pub peak_bytes: u64,
    pub peak_bytes_max: u64,
}

impl Verdict {
    pub fn held(&self) -> bool {
        self.found.misses.is_empty()
    }

    /// The part of the throughput before that was kept, of the producer and of the consumer.
    fn kept(&self) -> (f64, f64) {
        let part = |during: f64, before: f64| if before > 0.0 { during / before } else { 0.0 };
        (
            part(self.during.produced_per_second(), self.before.produced_per_second()),
            part(self.during.consumed_per_second(), self.before.consumed_per_second()),
        )
    }

    /// Holds the row against what all rows must keep.
    pub fn judge(&mut self) {
        let (produced, consumed) = self.kept();
        let (lost, large, peak, peak_max) =
            (self.lost, self.large_ms_max, self.peak_bytes, self.peak_bytes_max);
        let found = &mut self.found;
        found.must(produced >= KEPT_MIN, || format!("the honest producer kept {:.0} %", produced * 100.0));
        found.must(consumed >= KEPT_MIN, || format!("the honest consumer kept {:.0} %", consumed * 100.0));
        found.must(lost == 0, || format!("{lost} honest connections were lost"));
        found.must(large <= LARGE_MS_MAX, || format!("a large honest request took {large} ms"));
        found.must(peak <= peak_max, || {
            format!("{} MiB of memory at the peak, {} MiB are allowed", peak / MEBIBYTE, peak_max / MEBIBYTE)
        });
    }

    fn word(&self) -> &'static str {
        match (self.held(), &self.found.skipped) {
            (false, _) => "MISS",
            (true, Some(_)) => "SKIP",
            (true, None) => "held",
        }
    }

    fn json(&self) -> Value {
        let (produced, consumed) = self.kept();
        json!({
            "row": self.row, "verdict": self.word(), "seconds": self.seconds,
            "facts": self.found.facts, "misses": self.found.misses, "skipped": self.found.skipped,
            "honest": {
                "producedKept": produced, "consumedKept": consumed, "largeMsMax": self.large_ms_max, "lost": self.lost,
                "producedBefore": self.before.produced, "producedDuring": self.during.produced,
                "consumedBefore": self.before.consumed, "consumedDuring": self.during.consumed,
            },
            "peakBytes": self.peak_bytes, "peakBytesMax": self.peak_bytes_max,
        })
    }
}

/// The least and the middle one of some windows.
fn spread(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    (at(0), at(sorted.len() / 2))
}

/// Prints the table, and writes the JSON where it is asked for.
pub fn write(plan: &Plan, verdicts: &[Verdict]) -> Fallible<()> {
    println!("{}", table(verdicts));
    if let Some(output) = &plan.output {
        let rows: Vec<Value> = verdicts.iter().map(Verdict::json).collect();
        let text = serde_json::to_string_pretty(&json!({ "seed": plan.seed, "rows": rows }))?;
        let failed = |error| format!("cannot write {}: {error}", output.display());
        std::fs::write(output, text + "\n").map_err(failed)?;
    }
    Ok(())
}

fn table(verdicts: &[Verdict]) -> String {
    let head = [
        "row",
        "verdict",
        "s",
        "peak/max MiB",
        "producer kept",
        "min/median /s",
        "consumer kept",
        "large ms",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    for verdict in verdicts {
        let (produced, consumed) = verdict.kept();
        let (least, middle) = spread(&verdict.during.produced);
        lines.push([
            verdict.row.to_owned(),
            verdict.word().to_owned(),
            format!("{:.1}", verdict.seconds),
            format!("{}/{}", verdict.peak_bytes / MEBIBYTE, verdict.peak_bytes_max / MEBIBYTE),
            format!("{:.1} %", produced * 100.0),
            format!("{least:.0}/{middle:.0}"),
            format!("{:.1} %", consumed * 100.0),
            verdict.large_ms_max.to_string(),
        ]);
    }
    let mut text = aligned(&lines);
    for verdict in verdicts {
        text += &format!("\n{}: {}\n", verdict.row, verdict.found.facts.join("; "));
        for miss in verdict.found.misses.iter().take(MISSES_SHOWN) {
            text += &format!("  MISS: {miss}\n");
        }
        if verdict.found.misses.len() > MISSES_SHOWN {
            text += &format!("  MISS: and {} more\n", verdict.found.misses.len() - MISSES_SHOWN);
        }
        if let Some(why) = &verdict.found.skipped {
            text += &format!("  SKIP: {why}\n");
        }
    }
    text
}

/// Columns as wide as their widest cell; all but the first two stand right.
fn aligned(lines: &[[String; 8]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |cells: &[String; 8]| {
        let cells = cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
            if at < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        let achieved = |rate: f64| Achieved { produced: vec![rate; 4], consumed: vec![rate; 4] };
        Verdict {
            row: "sizes",
            found: Found::default(),
            seconds: 1.0,
            before: achieved(2_000.0),
            during: achieved(1_900.0),
            large_ms_max: 20,
            lost: 0,
            peak_bytes: 100 * MEBIBYTE,
            peak_bytes_max: 200 * MEBIBYTE,
        }
    }

    #[test]
    fn a_row_holds_while_honest_clients_keep_nine_tenths() {
        let mut held = verdict();
        held.judge();
        assert!(held.held());
        let mut slow = verdict();
        slow.during.produced = vec![2_000.0, 1_500.0];
        slow.judge();
        assert_eq!(slow.found.misses, ["the honest producer kept 88 %"]);
    }

    #[test]
    fn too_much_memory_a_lost_client_and_a_request_that_waits_are_misses() {
        let mut verdict = verdict();
        (verdict.peak_bytes, verdict.lost, verdict.large_ms_max) = (201 * MEBIBYTE, 1, 10_001);
        verdict.judge();
        assert_eq!(verdict.found.misses.len(), 3);
        assert!(table(&[verdict]).contains("MISS: 201 MiB of memory at the peak, 200 MiB are allowed"));
    }
}
