//! What a run of the benchmark does, from its arguments.
//!
//! Owns: flags, defaults, the lengths of quick and full runs. Does not own: the runs (`rows`).

use std::path::PathBuf;
use std::time::Duration;

use crate::Fallible;
use crate::driver::board::Timing;
use crate::system::{Kind, Stage};

pub const USAGE: &str = "ottla-bench run --node FILE --settings FILE [--quick] [--rows 1,2,..] [--rounds N] \
                         [--cases WORD] [--peer COMMAND] [--client COMMAND]... [--performance FILE] [--latency COMMAND] [--only yardstick,ottla,peer] [--work DIR] [--port N] [--output FILE]\n       \
                         ottla-bench counts --node FILE --settings FILE [--expected FILE] [--only ..] [--work DIR] [--port N]";

/// The rows there are, as the performance specification numbers them; 12 needs several nodes. Row 0 are real clients.
pub const ROWS: [u32; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15];
/// Rows that are not run unasked: the long run takes long, and the table beside Kafka needs programs of others.
const ASKED_FOR: [u32; 2] = [6, 15];

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    pub quick: bool,
    pub rows: Vec<u32>,
    pub rounds: u32,
    /// Only cases with this in their name.
    pub cases: Option<String>,
    pub systems: Vec<Kind>,
    /// Commands of real clients: row 0.
    pub clients: Vec<String>,
    /// librdkafka's `rdkafka_performance`, and a program that tells latencies as `kafka-e2e-latency` does: row 15.
    pub performance: Option<String>,
    pub latency: Option<String>,
    pub stage: Stage,
    /// Where the JSON goes; the table and the plots lie beside it.
    pub output: Option<PathBuf>,
    /// What may be counted at most.
    pub expected: Option<PathBuf>,
}

impl Plan {
    pub fn parse(arguments: &[String]) -> Fallible<Plan> {
        let (mut node, mut settings, mut peer, mut only, mut expected) = (None, None, None, None, None);
        let (mut rows, mut rounds, mut quick) = (None, None, false);
        let (mut work, mut port, mut output, mut cases) = (PathBuf::from("target/bench"), None, None, None);
        let (mut performance, mut latency) = (None, None);
        let mut clients = Vec::new();
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            if flag == "--quick" {
                quick = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a value; usage: {USAGE}"))?;
            match flag.as_str() {
                "--node" => node = Some(PathBuf::from(value)),
                "--settings" => settings = Some(PathBuf::from(value)),
                "--rows" => rows = Some(rows_in(value)?),
                "--rounds" => rounds = Some(number(flag, value)?),
                "--cases" => cases = Some(value.clone()),
                "--peer" => peer = Some(value.clone()),
                "--client" => clients.push(value.clone()),
                "--performance" => performance = Some(value.clone()),
                "--latency" => latency = Some(value.clone()),
                "--only" => only = Some(value.clone()),
                "--work" => work = PathBuf::from(value),
                "--port" => port = Some(number(flag, value)?),
                "--expected" => expected = Some(PathBuf::from(value)),
                "--output" => output = Some(PathBuf::from(value)),
                unknown => return Err(format!("unknown flag {unknown}; usage: {USAGE}").into()),
            }
        }
        let node = node.ok_or_else(|| format!("--node is missing; usage: {USAGE}"))?;
        let settings = settings.ok_or_else(|| format!("--settings is missing; usage: {USAGE}"))?;
        let mut systems = vec![Kind::Yardstick, Kind::Node(node)];
        systems.extend(peer.map(Kind::Peer));
        if let Some(only) = only {
            systems.retain(|kind| only.split(',').any(|name| name == kind.name()));
        }
        let unasked = || ROWS.into_iter().filter(|row| !ASKED_FOR.contains(row)).collect();
        Ok(Plan {
            quick,
            rows: rows.unwrap_or_else(unasked),
            rounds: rounds.unwrap_or(if quick { 1 } else { 7 }),
            cases,
            systems,
            clients,
            performance,
            latency,
            stage: Stage { work, port, settings, counting: false },
            output,
            expected,
        })
    }

    /// Of loads as fast as they go.
    pub fn timing(&self) -> Timing {
        match self.quick {
            true => Timing { warm_up: Duration::from_millis(500), window: Duration::from_millis(1_500) },
            false => Timing { warm_up: Duration::from_secs(3), window: Duration::from_secs(6) },
        }
    }

    /// Of loads that keep a pace: enough of them for a quantile.
    pub fn paced(&self) -> Timing {
        match self.quick {
            true => Timing { warm_up: Duration::from_millis(500), window: Duration::from_secs(3) },
            false => Timing { warm_up: Duration::from_secs(2), window: Duration::from_secs(10) },
        }
    }
}

fn rows_in(value: &str) -> Fallible<Vec<u32>> {
    value
        .split(',')
        .map(|word| match word.parse() {
            Ok(row) if ROWS.contains(&row) => Ok(row),
            _ => Err(format!("'{word}' is no row; there are {ROWS:?}").into()),
        })
        .collect()
}

fn number<N: std::str::FromStr>(flag: &str, value: &str) -> Fallible<N> {
    value.parse().map_err(|_| format!("{flag} takes a number, not '{value}'").into())
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
        assert_eq!(told(&["--rows", "1,12"]), format!("'12' is no row; there are {ROWS:?}"));
        assert_eq!(told(&["--rounds", "x"]), "--rounds takes a number, not 'x'");
        assert_eq!(told(&["--rounds"]), format!("--rounds needs a value; usage: {USAGE}"));
        assert_eq!(told(&["--fast", "1"]), format!("unknown flag --fast; usage: {USAGE}"));
        assert_eq!(told(&[]), format!("--node is missing; usage: {USAGE}"));
    }

    #[test]
    fn the_long_run_is_left_out_unless_asked_for() {
        let base = ["--node", "n", "--settings", "s"];
        assert!(!parsed(&base).unwrap().rows.contains(&6));
        let asked =
            parsed(&[&base[..], &["--rows", "6", "--peer", "b {port}", "--only", "ottla,peer"]].concat())
                .unwrap();
        assert_eq!(asked.rows, [6]);
        assert_eq!(asked.systems, [Kind::Node("n".into()), Kind::Peer("b {port}".to_owned())]);
    }
}
