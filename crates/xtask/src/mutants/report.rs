//! What a run of mutants says.
//!
//! Owns: lines, page, and verdict. Does not own: how it came about.

use super::live::{End, Tried};
use super::table::Mutant;

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// `how` is empty where a test failed as tests fail.
    Killed {
        layer: String,
        test: String,
        how: String,
    },
    Survived,
    /// A test failed that fails without the mutant too, or nothing could be run.
    Unproven {
        why: String,
    },
}

/// One mutant with its fate.
#[derive(Clone, Debug)]
pub struct Row {
    pub mutant: Mutant,
    pub fate: Fate,
    pub seconds: f64,
}

impl Row {
    fn by(&self) -> (String, String) {
        match &self.fate {
            Fate::Killed { layer, test, how } if how.is_empty() => (layer.clone(), test.clone()),
            Fate::Killed { layer, test, how } => (layer.clone(), format!("{how} {test}").trim().to_owned()),
            Fate::Survived => ("SURVIVED".to_owned(), String::new()),
            Fate::Unproven { why } => ("UNPROVEN".to_owned(), why.clone()),
        }
    }
}

/// For the terminal, as soon as it is known.
pub fn line(row: &Row) -> String {
    let (layer, test) = row.by();
    format!("{:<34} {:<10} {:>6.1} s  {test}", row.mutant.name, layer, row.seconds)
}

/// The table of the documentation.
pub fn page(rows: &[Row]) -> String {
    let mut text = String::from("| mutant | bug | killed by | test | seconds |\n|---|---|---|---|---|\n");
    for row in rows {
        let (layer, test) = row.by();
        let test = if test.is_empty() { String::new() } else { format!("`{test}`") };
        let (name, bug) = (&row.mutant.name, &row.mutant.bug);
        text.push_str(&format!("| `{name}` | {bug} | {layer} | {test} | {:.1} |\n", row.seconds));
    }
    text
}

/// One mutant under one fault or attack.
#[derive(Clone, Debug)]
pub struct LiveRow {
    pub mutant: Mutant,
    pub tried: Tried,
}

impl LiveRow {
    fn case(&self) -> String {
        format!("{} {}", self.tried.case.tool.name(), self.tried.case.name)
    }

    /// What was broken, by its rule where there is one, and what was seen.
    fn by(&self) -> (&str, &str) {
        match &self.tried.end {
            End::Broken { rule, what } if rule.is_empty() => ("-", what),
            End::Broken { rule, what } => (rule, what),
            End::Held => ("SURVIVED", ""),
            End::Nothing { why } => ("UNPROVEN", why),
        }
    }
}

/// For the terminal, as soon as it is known.
pub fn live_line(row: &LiveRow) -> String {
    let (rule, what) = row.by();
    format!("{:<34} {:<22} {:<8} {:>6.1} s  {what}", row.mutant.name, row.case(), rule, row.tried.seconds)
}

/// The second table of the documentation.
pub fn live_page(rows: &[LiveRow]) -> String {
    let mut text =
        String::from("| mutant | case | rule | what was seen | seconds |\n|---|---|---|---|---|\n");
    for row in rows {
        let (rule, what) = row.by();
        // A cell ends at a bar.
        let what = what.replace('|', "/");
        let (name, case) = (&row.mutant.name, row.case());
        text += &format!("| `{name}` | {case} | {rule} | {what} | {:.1} |\n", row.tried.seconds);
    }
    text
}

/// Survivors are named, and the run has failed.
pub fn verdict(rows: &[Row], live: &[LiveRow]) -> Result<(), String> {
    let lives = |row: &&Row| !matches!(row.fate, Fate::Killed { .. });
    let mut survivors: Vec<String> = rows.iter().filter(lives).map(|row| row.mutant.name.clone()).collect();
    println!("{} mutants, {} killed", rows.len(), rows.len() - survivors.len());
    let lives = |row: &&LiveRow| !matches!(row.tried.end, End::Broken { .. });
    let unseen = |row: &LiveRow| format!("{} ({})", row.mutant.name, row.case());
    let unseen: Vec<String> = live.iter().filter(lives).map(unseen).collect();
    println!("{} of them under a fault or an attack, {} killed", live.len(), live.len() - unseen.len());
    survivors.extend(unseen);
    match survivors.is_empty() {
        true => Ok(()),
        false => Err(format!("survived: {}", survivors.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Case, Live, Tool};
    use super::*;

    fn row(fate: Fate) -> Row {
        Row { mutant: mutant(), fate, seconds: 1.25 }
    }

    fn mutant() -> Mutant {
        let live = Live::No("none".into());
        Mutant { name: "skip_flush".into(), home: "storage".into(), bug: "no flush".into(), live }
    }

    fn tried(end: End) -> LiveRow {
        let case = Case { tool: Tool::Chaos, name: "power".into() };
        LiveRow { mutant: mutant(), tried: Tried { case, end, seconds: 2.5 } }
    }

    fn killed(how: &str) -> Fate {
        Fate::Killed { layer: "unit".into(), test: "a::b".into(), how: how.into() }
    }

    #[test]
    fn a_survivor_is_named_and_fails_the_run() {
        assert_eq!(verdict(&[row(killed("")), row(killed("hang"))], &[]), Ok(()));
        assert!(verdict(&[row(Fate::Unproven { why: "flaky".into() })], &[]).is_err());
        let failed = verdict(&[row(killed("")), row(Fate::Survived)], &[]);
        assert_eq!(failed, Err("survived: skip_flush".to_owned()));
    }

    #[test]
    fn what_a_case_must_show_and_does_not_fails_the_run_though_a_test_shows_it() {
        let shown = || tried(End::Broken { rule: "R1".into(), what: "R1: a | b".into() });
        assert_eq!(verdict(&[row(killed(""))], &[shown()]), Ok(()));
        let failed = verdict(&[row(killed(""))], &[shown(), tried(End::Held)]);
        assert_eq!(failed, Err("survived: skip_flush (chaos power)".to_owned()));
        assert!(verdict(&[], &[tried(End::Nothing { why: "no strace".into() })]).is_err());
        let page = live_page(&[shown()]);
        assert!(page.ends_with("| `skip_flush` | chaos power | R1 | R1: a / b | 2.5 |\n"), "{page}");
    }

    #[test]
    fn a_row_tells_layer_test_and_time() {
        let text = page(&[row(killed("")), row(killed("hang"))]);
        assert!(text.contains("| `skip_flush` | no flush | unit | `a::b` | 1.2 |\n"), "{text}");
        assert!(text.ends_with("| unit | `hang a::b` | 1.2 |\n"), "{text}");
    }
}
