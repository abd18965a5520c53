//! What a run of a foreign suite says, beside what Kafka passes and what waits.
//!
//! Owns: the three lists and their comparison. Does not own: running anything.
//!
//! Source: `tests/compat/README.md`.

use std::collections::{BTreeMap, BTreeSet};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pass,
    Flaky,
    Fail,
    Skip,
}

impl Status {
    fn parse(word: &str) -> Option<Status> {
        match word {
            "pass" => Some(Status::Pass),
            "flaky" => Some(Status::Flaky),
            "fail" => Some(Status::Fail),
            "skip" => Some(Status::Skip),
            _ => None,
        }
    }
}

/// One test of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: Status,
    pub name: String,
}

impl Outcome {
    /// Reads `pass NAME SECONDS …`; any other line is no outcome.
    pub fn parse(line: &str) -> Option<Outcome> {
        let mut words = line.split_whitespace();
        let status = Status::parse(words.next()?)?;
        Some(Outcome { status, name: words.next()?.to_owned() })
    }
}

/// A test that Kafka passes and that is known to wait here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    pub name: String,
    /// Requirement it waits for.
    pub id: String,
    pub reason: String,
}

/// Reads a list of outcomes; lines that begin with `#` are comments.
pub fn parse_list(text: &str) -> BTreeMap<String, Status> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(Outcome::parse).map(|outcome| (outcome.name, outcome.status)).collect()
}

/// Reads `NAME ID reason` per line. A line for a test that Kafka does not pass is a mistake.
pub fn parse_later(text: &str, baseline: &BTreeMap<String, Status>) -> Result<Vec<Later>, String> {
    let mut all: Vec<Later> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.splitn(3, ' ');
        let (Some(name), Some(id), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("later.txt:{number}: a line is a name, a requirement id and a reason"));
        };
        if baseline.get(name) != Some(&Status::Pass) {
            return Err(format!("later.txt:{number}: Kafka does not pass {name}, so nothing waits"));
        }
        if all.iter().any(|other| other.name == name) {
            return Err(format!("later.txt:{number}: {name} stands there twice"));
        }
        all.push(Later { name: name.to_owned(), id: id.to_owned(), reason: reason.to_owned() });
    }
    Ok(all)
}

/// Takes the tests out of the list that ask for something else than Kafka's behaviour, such as its slowness. The text has
/// `NAME reason` per line; what is taken out is returned.
pub fn take_otherwise(
    text: &str,
    baseline: &mut BTreeMap<String, Status>,
) -> Result<Vec<(String, String)>, String> {
    let mut taken = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, reason)) = line.split_once(' ') else {
            return Err(format!("otherwise.txt:{number}: a line is a name and a reason"));
        };
        if baseline.remove(name) != Some(Status::Pass) {
            return Err(format!(
                "otherwise.txt:{number}: Kafka does not pass {name}, or it stands there twice"
            ));
        }
        taken.push((name.to_owned(), reason.to_owned()));
    }
    Ok(taken)
}

/// The comparison of a run with the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many tests pass with Kafka and here.
    pub kept: usize,
    /// Pass with Kafka, not here, and are known to wait.
    pub waiting: Vec<String>,
    /// Pass with Kafka, not here, and nobody said why.
    pub lost: Vec<String>,
    /// Are known to wait, but pass.
    pub not_needed: Vec<String>,
}

/// Compares. `is_whole` says that every test was to run, so that a test without an outcome counts as lost.
pub fn judge(
    baseline: &BTreeMap<String, Status>,
    later: &[Later],
    outcomes: &[Outcome],
    is_whole: bool,
) -> Verdict {
    let passed: BTreeSet<&str> = names(outcomes, |status| status == Status::Pass);
    let ran: BTreeSet<&str> = names(outcomes, |_| true);
    let mut verdict = Verdict::default();
    for name in baseline.iter().filter(|(_, status)| **status == Status::Pass).map(|(name, _)| name) {
        if !is_whole && !ran.contains(name.as_str()) {
            continue;
        }
        let is_later = later.iter().any(|line| line.name == *name);
        match (passed.contains(name.as_str()), is_later) {
            (true, false) => verdict.kept += 1,
            (true, true) => {
                verdict.kept += 1;
                verdict.not_needed.push(name.clone());
            }
            (false, true) => verdict.waiting.push(name.clone()),
            (false, false) => verdict.lost.push(name.clone()),
        }
    }
    verdict
}

fn names(outcomes: &[Outcome], wanted: impl Fn(Status) -> bool) -> BTreeSet<&str> {
    outcomes.iter().filter(|outcome| wanted(outcome.status)).map(|outcome| outcome.name.as_str()).collect()
}

impl Verdict {
    /// A run is good when nothing is lost.
    pub fn into_result(self) -> Result<(), String> {
        match self.lost.len() {
            0 => Ok(()),
            lost => Err(format!("{lost} tests that Kafka passes are lost")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# Kafka\npass a 0.1\npass b\nflaky c\nfail d\nskip e 0\n";

    fn outcomes(text: &str) -> Vec<Outcome> {
        text.lines().filter_map(Outcome::parse).collect()
    }

    #[test]
    fn what_kafka_passes_and_we_do_not_is_lost_unless_it_waits() {
        let baseline = parse_list(LIST);
        let later = parse_later("b TXN-01 needs transactions\n", &baseline).unwrap();
        let run = outcomes("pass a 1.0 second-try\nfail b 2\nfail c 1\n2 passed, 1 failed\n");
        let verdict = judge(&baseline, &later, &run, true);
        assert_eq!((verdict.kept, verdict.waiting.as_slice()), (1, ["b".to_owned()].as_slice()));
        assert_eq!(verdict.into_result(), Ok(()));

        let verdict = judge(&baseline, &[], &run, true);
        assert_eq!(verdict.lost, ["b"]);
        assert_eq!(verdict.into_result(), Err("1 tests that Kafka passes are lost".to_owned()));
    }

    #[test]
    fn a_skipped_or_missing_test_is_lost_too() {
        let baseline = parse_list(LIST);
        assert_eq!(judge(&baseline, &[], &outcomes("skip a 0\n"), true).lost, ["a", "b"]);
        assert_eq!(judge(&baseline, &[], &outcomes("skip a 0\n"), false).lost, ["a"]);
    }

    #[test]
    fn a_line_that_nothing_waits_for_is_told() {
        let baseline = parse_list(LIST);
        let later = parse_later("# why\n\na TXN-01 x y\n", &baseline).unwrap();
        assert_eq!(later[0].reason, "x y");
        assert_eq!(judge(&baseline, &later, &outcomes("pass a 1\npass b 1\n"), true).not_needed, ["a"]);
    }

    #[test]
    fn a_test_of_something_else_asks_nothing() {
        let mut baseline = parse_list(LIST);
        let taken = take_otherwise("# why\na it wants a slow broker\n", &mut baseline).unwrap();
        assert_eq!(taken, [("a".to_owned(), "it wants a slow broker".to_owned())]);
        assert_eq!(judge(&baseline, &[], &outcomes("fail a 1\npass b 1\n"), true).lost, Vec::<String>::new());
        for (text, message) in [
            ("b", "otherwise.txt:1: a line is a name and a reason"),
            ("d x", "otherwise.txt:1: Kafka does not pass d, or it stands there twice"),
            ("b x\nb x", "otherwise.txt:2: Kafka does not pass b, or it stands there twice"),
        ] {
            assert_eq!(take_otherwise(text, &mut baseline.clone()), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_malformed_line_is_refused() {
        let baseline = parse_list(LIST);
        for (text, message) in [
            ("a TXN-01", "later.txt:1: a line is a name, a requirement id and a reason"),
            ("d TXN-01 x", "later.txt:1: Kafka does not pass d, so nothing waits"),
            ("a TXN-01 x\na TXN-01 y", "later.txt:2: a stands there twice"),
        ] {
            assert_eq!(parse_later(text, &baseline), Err(message.to_owned()));
        }
    }
}
