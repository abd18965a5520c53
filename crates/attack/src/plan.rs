//! What a run of the attack suite does, from its arguments.
//!
//! Owns: flags and defaults. Does not own: the rows (`rows`).

use std::path::PathBuf;

use crate::Fallible;
use crate::rows;

pub const USAGE: &str =
    "ottla-attack run --node FILE --settings FILE [--rows a,b] [--seed S] [--work DIR] [--output FILE]";

/// What is attacked, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `ottla`.
    pub node: PathBuf,
    /// Settings of the node, with places to fill in.
    pub settings: PathBuf,
    /// Names of rows.
    pub rows: Vec<&'static str>,
    /// Decides about what is drawn by chance.
    pub seed: u64,
    /// Directory of the run.
    pub work: PathBuf,
    /// Where the JSON goes.
    pub output: Option<PathBuf>,
}

impl Plan {
    pub fn parse(arguments: &[String]) -> Fallible<Plan> {
        let (mut node, mut settings, mut output) = (None, None, None);
        let (mut wanted, mut seed, mut work) = (rows::names(), 1, PathBuf::from("target/attack"));
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value; usage: {USAGE}"))?;
            match flag.as_str() {
                "--node" => node = Some(PathBuf::from(value)),
                "--settings" => settings = Some(PathBuf::from(value)),
                "--rows" => wanted = rows_in(value)?,
                "--seed" => {
                    seed = value.parse().map_err(|_| format!("--seed takes a number, not '{value}'"))?;
                }
                "--work" => work = PathBuf::from(value),
                "--output" => output = Some(PathBuf::from(value)),
                unknown => return Err(format!("unknown flag {unknown}; usage: {USAGE}").into()),
            }
        }
        let node = node.ok_or_else(|| format!("--node is missing; usage: {USAGE}"))?;
        let settings = settings.ok_or_else(|| format!("--settings is missing; usage: {USAGE}"))?;
        Ok(Plan { node, settings, rows: wanted, seed, work, output })
    }
}

fn rows_in(value: &str) -> Fallible<Vec<&'static str>> {
    let all = rows::names();
    let row = |word: &str| match all.iter().find(|name| **name == word) {
        Some(name) => Ok(*name),
        None => Err(format!("'{word}' is no row; there are {}", all.join(", ")).into()),
    };
    value.split(',').map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Fallible<Plan> {
        Plan::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_allowed() {
        let told = |words: &[&str]| parsed(words).unwrap_err().to_string();
        assert!(told(&["--rows", "sizes,nothing"]).starts_with("'nothing' is no row; there are sizes, "));
        assert_eq!(told(&["--seed", "x"]), "--seed takes a number, not 'x'");
        assert_eq!(told(&["--seed"]), format!("--seed needs a value; usage: {USAGE}"));
        assert_eq!(told(&["--fast", "1"]), format!("unknown flag --fast; usage: {USAGE}"));
        assert_eq!(told(&[]), format!("--node is missing; usage: {USAGE}"));
    }

    #[test]
    fn the_list_of_names_for_others_is_that_of_the_rows() {
        assert_eq!(include_str!("../rows.txt").lines().collect::<Vec<_>>(), rows::names());
    }

    #[test]
    fn unless_said_otherwise_every_row_is_run() {
        let plan = parsed(&["--node", "n", "--settings", "s"]).unwrap();
        assert_eq!(plan.rows, rows::names());
        assert!(plan.rows.len() >= 12);
    }
}
