//! One case of chaos, or one row of the attacks, against a node with a mutant.
//!
//! Owns: the process of the tool, its bound in time, what its output says. Does not own: the cases, what follows.
//!
//! The tool starts the node, which inherits the variable that chooses the mutant. Tools are built without mutants: a bug of
//! the codec in a client would be found by the client. Only for bugs of the client itself is it the tool that has them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::build::Live;
use super::table::{Case, Mutant, Tool};

/// Faults come for so long, unless something is wrong before.
const SECONDS: &str = "20";
/// A tool that has not ended by then hangs: faults, the proof, and a minute for a node that does not answer.
const BOUND_SECONDS: u64 = 180;
/// One schedule for all, so that a run with a mutant differs from one without in the mutant only.
const SEED: &str = "21";
/// What `timeout` ends with when it had to end what it ran.
const TIMED_OUT: i32 = 124;
/// Misses of a row that speak of the machine as much as of the node.
const OF_PACE: &str = "the honest ";

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All was well.
    Held,
    /// Something was not; the rule where there is one, and in words.
    Broken { rule: String, what: String },
    /// The case could not be run, or proved nothing.
    Nothing { why: String },
}

/// A case with how it ended, and how long that took.
#[derive(Clone, Debug)]
pub struct Tried {
    pub case: Case,
    pub end: End,
    pub seconds: f64,
}

/// Runs cases; each must hold without a mutant first.
pub struct Bench {
    live: Live,
    held: BTreeSet<Case>,
}

impl Bench {
    pub fn new(live: Live) -> Bench {
        Bench { live, held: BTreeSet::new() }
    }

    /// Runs a case against a mutant.
    pub fn attempt(&mut self, mutant: &Mutant, case: &Case) -> Result<Tried, String> {
        if !self.held.contains(case) {
            match self.run(case, None)? {
                End::Held => self.held.insert(case.clone()),
                End::Broken { what: why, .. } | End::Nothing { why } => {
                    let why = format!("does not hold without a mutant: {why}");
                    return Ok(Tried { case: case.clone(), end: End::Nothing { why }, seconds: 0.0 });
                }
            };
        }
        let begin = Instant::now();
        let end = self.run(case, Some(mutant))?;
        Ok(Tried { case: case.clone(), end, seconds: begin.elapsed().as_secs_f64() })
    }

    fn run(&self, case: &Case, mutant: Option<&Mutant>) -> Result<End, String> {
        let of_client = mutant.is_some_and(|mutant| mutant.home == "client");
        let tools = if of_client { &self.live.tools_with_mutants } else { &self.live.tools };
        let work = self.live.work.join(case.tool.name());
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", &BOUND_SECONDS.to_string()]);
        command.arg(tools.join(format!("ottla-{}", case.tool.name())));
        match case.tool {
            Tool::Chaos => {
                command.args(["--cases", &case.name, "--seconds", SECONDS, "--until", "violation"]);
            }
            Tool::Attack => {
                let settings = crate::compat::root().join("tests/attack/node.properties");
                command.arg("run").arg("--settings").arg(settings).args(["--rows", &case.name]);
            }
        }
        command.arg("--node").arg(&self.live.node).args(["--seed", SEED]).arg("--work").arg(&work);
        match mutant {
            Some(mutant) => command.env("OTTLA_MUTANT", &mutant.name),
            None => command.env_remove("OTTLA_MUTANT"),
        };
        let ran = command.stdin(Stdio::null()).output();
        let ran = ran.map_err(|error| format!("ottla-{} cannot be run: {error}", case.tool.name()))?;
        if ran.status.code() == Some(TIMED_OUT) {
            let what = format!("has not ended after {:?}", Duration::from_secs(BOUND_SECONDS));
            return Ok(End::Broken { rule: "hang".to_owned(), what });
        }
        // Where the run lay says nothing.
        let place = format!("{}/", work.display());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place, "");
        let (said, errors) = (text(&ran.stdout), text(&ran.stderr));
        Ok(match case.tool {
            Tool::Chaos => end_of_chaos(&said, &case.name),
            Tool::Attack => end_of_attack(&said, &errors),
        })
    }
}

/// Reads `FAIL kill (R1, R8): first reason`, and what was said behind it; a table whose row says `pass`.
fn end_of_chaos(said: &str, case: &str) -> End {
    let lines: Vec<&str> = said.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let about = |word: &str| line.strip_prefix(word)?.strip_prefix(case);
        if let Some(behind) = about("FAIL ") {
            let (rules, what) = behind.split_once(": ").unwrap_or_default();
            let rule = rules.trim().trim_matches(['(', ')']).to_owned();
            // The verdict of the history begins with its counts; the first violation says more. So does a node that ends.
            let violation = lines[at..].iter().copied().find(|line| !rule.is_empty() && is_violation(line));
            let last = lines[at..].iter().rev().find_map(|line| Some(line.split_once(" ERROR ")?.1));
            let what = match what.strip_suffix("; it said last:") {
                Some(what) => format!("{what}: {}", last.unwrap_or_default()),
                None => what.to_owned(),
            };
            return End::Broken { rule, what: violation.map_or(what, |line| line.trim().to_owned()) };
        }
        if let Some(why) = about("INVALID ").or_else(|| about("SKIP ")) {
            return End::Nothing { why: why.trim_start_matches(": ").to_owned() };
        }
    }
    let passed = lines.iter().any(|line| line.split_whitespace().take(2).eq([case, "pass"]));
    if passed { End::Held } else { End::Nothing { why: "nothing was said".to_owned() } }
}

/// Reads `R1 acked is durable: …`.
fn is_violation(line: &str) -> bool {
    let rule = line.trim_start().split(' ').next().unwrap_or_default();
    let mut letters = rule.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_uppercase())
        && rule.len() > 1
        && letters.all(|digit| digit.is_ascii_digit())
}

/// Reads `  MISS: …`. What honest clients kept of their pace tells of a busy machine, too, and counts for nothing here.
fn end_of_attack(said: &str, errors: &str) -> End {
    let mut misses = said.lines().filter_map(|line| line.trim_start().strip_prefix("MISS: "));
    if let Some(what) = misses.find(|miss| !miss.starts_with(OF_PACE)) {
        return End::Broken { rule: String::new(), what: what.to_owned() };
    }
    if let Some(error) = errors.lines().find_map(|line| line.strip_prefix("ottla-attack: ")) {
        // The node was not there any more for what a row does beside its attack.
        return match error.starts_with("row ") {
            true => End::Broken { rule: String::new(), what: error.to_owned() },
            false => End::Nothing { why: error.to_owned() },
        };
    }
    if let Some(why) = said.lines().find_map(|line| line.trim_start().strip_prefix("SKIP: ")) {
        return End::Nothing { why: why.to_owned() };
    }
    if said.contains("verdict") { End::Held } else { End::Nothing { why: "nothing was said".to_owned() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(rule: &str, what: &str) -> End {
        End::Broken { rule: rule.to_owned(), what: what.to_owned() }
    }

    #[test]
    fn chaos_tells_the_rules_and_the_first_violation() {
        let said = "case  outcome\npower FAIL 3\n\nFAIL power (R1, R2): FAIL: 2 violations; 9 sends\nR1 acked is durable: it is gone\n  {}\n";
        assert_eq!(end_of_chaos(said, "power"), broken("R1, R2", "R1 acked is durable: it is gone"));
        let said = "\nFAIL power: the node has ended; it said last:\n7 INFO  starts\n8 ERROR the log is short (ottla)\n";
        assert_eq!(end_of_chaos(said, "power"), broken("", "the node has ended: the log is short (ottla)"));
        let said = "\nFAIL io: a flush failed, and the node goes on\n  again: cargo xtask chaos\n";
        assert_eq!(end_of_chaos(said, "io"), broken("", "a flush failed, and the node goes on"));
    }

    #[test]
    fn a_case_that_passed_is_told_from_one_that_proved_nothing() {
        assert_eq!(end_of_chaos("case outcome\nkill  pass  7\n\nPASS: seed 21\n", "kill"), End::Held);
        let nothing = |why: &str| End::Nothing { why: why.to_owned() };
        assert_eq!(end_of_chaos("\nSKIP slow: no strace\n", "slow"), nothing("no strace"));
        assert_eq!(end_of_chaos("", "kill"), nothing("nothing was said"));
    }

    #[test]
    fn an_attack_is_broken_by_any_miss_but_one_of_pace() {
        let pace = "row verdict\n  MISS: the honest producer kept 80 %\n";
        assert_eq!(end_of_attack(pace, ""), End::Held);
        let said = format!("{pace}  MISS: the node ended\n");
        assert_eq!(end_of_attack(&said, ""), broken("", "the node ended"));
        let gone = "sizes ...\nottla-attack: row sizes: no answer\n";
        assert_eq!(end_of_attack("", gone), broken("", "row sizes: no answer"));
        let why = "cannot read x".to_owned();
        assert_eq!(end_of_attack("", "ottla-attack: cannot read x\n"), End::Nothing { why });
    }
}
