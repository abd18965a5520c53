//! Judges what clients saw: the checker of the contract with users.
//!
//! Owns: the form of a history, the rules, the verdict with its smallest witness.
//! Does not own: running anything; no network, no clock. A history comes from files or values.
//!
//! Rules (the project's reliability contract, section 3.2)
//! - R1 what was acknowledged is there in every final read, at its offset;
//! - R2 one offset has one value, whoever reads it and whenever;
//! - R3 a producer's records lie in the order it sent them, and so do acknowledged sends of which one ended
//!   before the other began;
//! - R4 offsets that tell how far a log reaches never go back;
//! - R8 a record of an idempotent producer is there at most once;
//! - R9 every record that is read was sent, to that partition, with that content, and was not refused;
//! - G1 a partition has one owner in a group: an older one that did not lose it gave it up before, and commits no more;
//! - G2 a group's committed offset does not go back by itself;
//! - G3 a group that has read everything was given every acknowledged record;
//! - G4 after the last fault a group settles in time, with each partition at one member;
//! - G5 offsets of a group with members are not forgotten;
//! - C2 no record is deleted before its time;
//! - C4 a node with a full disk lives, and takes records again by itself once there is room.
//!
//! What is unknown (a send or commit without an answer) may have happened or not, and may still happen later.
//! All rules are scans and hash joins, linear in the length of the history.

mod bounds;
mod deletion;
mod durability;
mod event;
mod groups;
mod index;
mod ownership;
mod records;
mod space;

pub use event::{Event, Name, ParseError, digest, parse};
pub use index::{History, HistoryError};

use std::fmt;

/// A promise that a history can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    R1,
    R2,
    R3,
    R4,
    R8,
    R9,
    G1,
    G2,
    G3,
    G4,
    G5,
    C2,
    C4,
}

impl Rule {
    /// The promise in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Rule::R1 => "acked is durable",
            Rule::R2 => "one value per offset",
            Rule::R3 => "order",
            Rule::R4 => "offsets only grow",
            Rule::R8 => "idempotent producer",
            Rule::R9 => "no phantom",
            Rule::G1 => "one owner",
            Rule::G2 => "committed offsets do not regress",
            Rule::G3 => "no skip",
            Rule::G4 => "convergence",
            Rule::G5 => "no expiry of a live group",
            Rule::C2 => "retention never early",
            Rule::C4 => "a full disk is survived",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    /// What is wrong, in one sentence.
    pub sentence: String,
    /// The fewest events that show it, in the order of the history.
    pub witness: Vec<Event>,
}

/// What a history amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sorted by rule.
    pub violations: Vec<Violation>,
    /// Partitions with acknowledged records that no final read covers: nothing is proven about them.
    pub unread: Vec<Name>,
    pub counts: Counts,
}

/// How much a history contains. A verdict on too little proves nothing; the caller knows what is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sends: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub reads: u64,
    pub final_reads: u64,
    pub commits: u64,
    /// Times a member of a group got a partition.
    pub assignments: u64,
}

impl Verdict {
    /// Whether nothing is wrong and nothing was left unread.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.unread.is_empty()
    }
}

/// Most violations that are printed; the first ones tell the story.
const PRINTED_MAX: usize = 20;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { sends, acked, refused, unknown, reads, final_reads, commits, assignments } = self.counts;
        writeln!(
            f,
            "{}: {} violations; {sends} sends ({acked} acked, {refused} refused, {unknown} unknown), {reads} reads, \
             {final_reads} final reads, {commits} commits, {assignments} assignments",
            if self.passed() { "PASS" } else { "FAIL" },
            self.violations.len(),
        )?;
        for partition in &self.unread {
            writeln!(f, "UNREAD {partition} has acknowledged records and no final read")?;
        }
        for violation in self.violations.iter().take(PRINTED_MAX) {
            writeln!(f, "{} {}: {}", violation.rule, violation.rule.title(), violation.sentence)?;
            for event in &violation.witness {
                writeln!(f, "  {event}")?;
            }
        }
        match self.violations.len().checked_sub(PRINTED_MAX) {
            Some(more) if more > 0 => writeln!(f, "and {more} more"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Judges a history.
pub fn check(history: &History) -> Verdict {
    let mut findings = Findings::default();
    records::check(history, &mut findings);
    durability::check(history, &mut findings);
    bounds::check(history, &mut findings);
    groups::check(history, &mut findings);
    ownership::check(history, &mut findings);
    deletion::check(history, &mut findings);
    space::check(history, &mut findings);
    findings.found.sort();
    let violation = |(rule, at, sentence): (Rule, Vec<usize>, String)| Violation {
        rule,
        sentence,
        witness: at.iter().map(|at| history.event(*at).clone()).collect(),
    };
    Verdict {
        violations: findings.found.into_iter().map(violation).collect(),
        unread: durability::unread_partitions(history),
        counts: history.counts(),
    }
}

/// Violations on their way into a verdict: rule, positions of the witness in the history, sentence.
#[derive(Debug, Default)]
struct Findings {
    found: Vec<(Rule, Vec<usize>, String)>,
}

impl Findings {
    fn add<const N: usize>(&mut self, rule: Rule, mut witness: [usize; N], sentence: String) {
        witness.sort_unstable();
        self.found.push((rule, witness.to_vec(), sentence));
    }
}
