//! What a command changes: the plan before (`--dry-run`) and the outcome after, in one table.
//!
//! Owns: its columns and the names of statuses. Does not own: making changes (the commands).
//!
//! | Status | Means |
//! |---|---|
//! | `planned` | the cluster would take it; nothing was changed |
//! | `done` | it is done |
//! | `unchanged` | there was nothing to do |
//! | `failed` | it is not done; standard error says why |

use serde_json::json;

use super::refusal::Refusal;
use super::report::{Column, Output, Report, Table, column};
use crate::terminal::Terminal;

const COLUMNS: &[Column] =
    &[column("action"), column("kind"), column("name"), column("detail"), column("status")];

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Planned,
    Done,
    Unchanged,
}

/// The changes of one command.
#[derive(Debug)]
pub struct Plan {
    action: &'static str,
    kind: &'static str,
    table: Table,
    refusals: Vec<Refusal>,
}

impl Plan {
    /// No changes yet. `action` is a verb, `kind` what it is done to.
    pub fn new(action: &'static str, kind: &'static str) -> Plan {
        Plan { action, kind, table: Table::new(COLUMNS), refusals: Vec::new() }
    }

    /// Adds a change and what became of it.
    pub fn push(&mut self, name: &str, detail: &str, outcome: Result<Status, Refusal>) {
        let status = match outcome {
            Ok(Status::Planned) => "planned",
            Ok(Status::Done) => "done",
            Ok(Status::Unchanged) => "unchanged",
            Err(refusal) => {
                self.refusals.push(refusal);
                "failed"
            }
        };
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        self.table.push([json!(self.action), json!(self.kind), json!(name), json!(detail), json!(status)]);
    }

    /// Prints the changes and tells all failures but the last, which it answers.
    pub fn finish(self, output: Output, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
        Report::list(self.table).print(output, terminal);
        all_told(self.refusals, terminal)
    }
}

/// Tells all failures but the last, which it answers for the command to end with.
pub fn all_told(refusals: Vec<Refusal>, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    let mut refusals = refusals;
    let Some(last) = refusals.pop() else { return Ok(()) };
    for refusal in refusals {
        refusal.tell(terminal);
    }
    Err(last)
}

/// Tells why nothing at all was changed.
pub fn nothing_done(refusals: Vec<Refusal>, terminal: &mut Terminal<'_>) -> Result<(), Refusal> {
    all_told(refusals, terminal).inspect_err(|_| terminal.err_line("nothing was changed"))
}

/// Refuses a thing that is named twice.
pub fn refuse_repeated(names: &[String]) -> Result<(), Refusal> {
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(Refusal::usage(format!("'{name}' is named twice"))),
        None => Ok(()),
    }
}
