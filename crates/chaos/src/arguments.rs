//! What a run does, from its arguments.
//!
//! Owns: flags, defaults, how time is shared out. Does not own: the cases.

use std::path::PathBuf;
use std::time::Duration;

use crate::Fallible;
use crate::cases::Case;

pub const USAGE: &str = "ottla-chaos --node FILE [--minutes N] [--seconds N] [--seed S] [--cases a,b] [--kills N] [--cuts N] \
                         [--until end|violation] [--set KEY=VALUE]... [--work DIR] [--output FILE]";

/// Minutes of a run that names none.
const MINUTES: u64 = 10;
/// Faults of one case last at least so long.
const SHORTEST: Duration = Duration::from_secs(10);

/// What is run, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    pub node: PathBuf,
    pub seed: u64,
    pub cases: Vec<Case>,
    /// How long faults of one case come.
    pub time: Duration,
    /// Kills of the case `kill`, however long they take.
    pub kills: Option<u64>,
    /// Power cuts of the case `power`, however long they take.
    pub cuts: Option<u64>,
    /// Whether a case ends at the first thing that is wrong.
    pub hasty: bool,
    /// Further lines of the node's properties.
    pub settings: Vec<String>,
    pub work: PathBuf,
    /// Where the JSON goes.
    pub output: Option<PathBuf>,
}

impl Plan {
    /// `chance` is the seed of a run that names none.
    pub fn parse(arguments: &[String], chance: u64) -> Fallible<Plan> {
        let (mut node, mut cases, mut seconds, mut output) = (None, None, None, None);
        let (mut seed, mut minutes, mut kills, mut cuts) = (chance, MINUTES, None, None);
        let (mut work, mut settings, mut hasty) = (PathBuf::from("target/chaos"), Vec::new(), false);
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value; usage: {USAGE}"))?;
            match flag.as_str() {
                "--node" => node = Some(PathBuf::from(value)),
                "--minutes" => minutes = number(flag, value)?,
                "--seconds" => seconds = Some(number(flag, value)?),
                "--seed" => seed = number(flag, value)?,
                "--cases" => cases = Some(cases_in(value)?),
                "--kills" => kills = Some(number(flag, value)?),
                "--cuts" => cuts = Some(number(flag, value)?),
                "--until" => hasty = is_hasty(value)?,
                "--set" => settings.push(value.clone()),
                "--work" => work = PathBuf::from(value),
                "--output" => output = Some(PathBuf::from(value)),
                unknown => return Err(format!("unknown flag {unknown}; usage: {USAGE}").into()),
            }
        }
        let node = node.ok_or_else(|| format!("--node is missing; usage: {USAGE}"))?;
        // Numbers of faults name their cases; without other words, all others are left out.
        let counted: Vec<Case> = [(kills, Case::Kill), (cuts, Case::Power)]
            .iter()
            .filter(|it| it.0.is_some())
            .map(|it| it.1)
            .collect();
        let all = || if counted.is_empty() { Case::ALL.to_vec() } else { counted.clone() };
        let cases = cases.unwrap_or_else(all);
        let share = Duration::from_secs(minutes * 60) / u32::try_from(cases.len().max(1))?;
        // A third of a case is its beginning and its end.
        let time = seconds.map_or_else(|| (share * 2 / 3).max(SHORTEST), Duration::from_secs);
        Ok(Plan { node, seed, cases, time, kills, cuts, hasty, settings, work, output })
    }

    /// The command that runs one case again as this run did.
    pub fn repeat(&self, case: Case) -> String {
        let counted = [(Case::Kill, "kills", self.kills), (Case::Power, "cuts", self.cuts)];
        let count = counted
            .iter()
            .filter(|(of, ..)| *of == case)
            .find_map(|(_, flag, count)| count.map(|count| format!(" --{flag} {count}")));
        let (seed, seconds) = (self.seed, self.time.as_secs());
        let count = count.unwrap_or_default();
        let settings: String = self.settings.iter().map(|line| format!(" --set {line}")).collect();
        format!("cargo xtask chaos --cases {case} --seed {seed} --seconds {seconds}{count}{settings}")
    }
}

fn cases_in(value: &str) -> Fallible<Vec<Case>> {
    value.split(',').map(Case::of_name).collect()
}

fn is_hasty(value: &str) -> Fallible<bool> {
    match value {
        "end" => Ok(false),
        "violation" => Ok(true),
        other => Err(format!("--until takes end or violation, not '{other}'").into()),
    }
}

fn number<N: std::str::FromStr>(flag: &str, value: &str) -> Fallible<N> {
    value.parse().map_err(|_| format!("{flag} takes a number, not '{value}'").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Fallible<Plan> {
        Plan::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), 7)
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_allowed() {
        let told = |words: &[&str]| parsed(words).unwrap_err().to_string();
        assert_eq!(told(&[]), format!("--node is missing; usage: {USAGE}"));
        assert_eq!(told(&["--seed", "x"]), "--seed takes a number, not 'x'");
        assert_eq!(told(&["--seed"]), format!("--seed needs a value; usage: {USAGE}"));
        assert_eq!(told(&["--fast", "1"]), format!("unknown flag --fast; usage: {USAGE}"));
        assert_eq!(told(&["--until", "noon"]), "--until takes end or violation, not 'noon'");
        let unknown = told(&["--cases", "kill,flood"]);
        assert!(unknown.starts_with("'flood' is no case; there are kill, "), "{unknown}");
    }

    #[test]
    fn the_list_of_names_for_others_is_that_of_the_cases() {
        let names: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
        assert_eq!(include_str!("../cases.txt").lines().collect::<Vec<_>>(), names);
    }

    #[test]
    fn time_is_shared_out_and_each_case_gets_some() {
        let plan = parsed(&["--node", "n", "--minutes", "3", "--cases", "kill,power"]).unwrap();
        assert_eq!((plan.time, plan.seed), (Duration::from_secs(60), 7));
        assert_eq!(plan.cases, [Case::Kill, Case::Power]);
        let short = parsed(&["--node", "n", "--minutes", "0"]).unwrap();
        assert_eq!((short.time, short.cases.len(), short.hasty), (SHORTEST, Case::ALL.len(), false));
        assert!(parsed(&["--node", "n", "--until", "violation"]).unwrap().hasty);
    }

    #[test]
    fn numbers_of_faults_name_their_cases() {
        let plan = parsed(&["--node", "n", "--kills", "300", "--cuts", "50", "--seed", "5"]).unwrap();
        assert_eq!(plan.cases, [Case::Kill, Case::Power]);
        let again = plan.repeat(Case::Kill);
        assert_eq!(again, "cargo xtask chaos --cases kill --seed 5 --seconds 200 --kills 300");
    }
}
