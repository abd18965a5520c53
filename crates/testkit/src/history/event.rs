//! The events of a history and their form in files: one JSON object per line (NDJSON).
//!
//! Owns: the events, reading and printing them. Does not own: what they mean together (`index`, rules).
//!
//! | Event | Says |
//! |---|---|
//! | `send` | a client began to send a record, `(client, seq)` names it for ever |
//! | `send_ok`, `send_fail`, `send_info` | it was acknowledged; it certainly was not written; nobody knows |
//! | `read` | a client was given a record, alone or (with `group`) as a member of a group |
//! | `read_all` | between `since` and `at` a client read all of a partition from `start` to before `end`, after the last fault: its reads are a final read |
//! | `bounds` | between `since` and `at` a broker told how far a log reaches |
//! | `unclean_election` | a partition gave acknowledged records up, by the user's choice |
//! | `commit` | a member began to commit an offset; `reset` when an administrator did |
//! | `commit_ok`, `commit_fail`, `commit_info` | as for sends |
//! | `fetched` | between `since` and `at` a client asked for a group's committed offset |
//! | `assigned`, `revoked` | a member of a group began to own a partition; it gave it up, or (with `lost`) learnt that it is another's |
//! | `settled` | a group was looked at from `since`, when the last fault was over, until `at`: whether it was stable then, and how many members had the partition |
//! | `retains` | from now on a partition keeps records for so many milliseconds |
//! | `full` | between `since` and `at` the disk of a node was full |
//! | `ended` | a node ended by itself |
//! | `drained` | a group has read a partition from `start` to before `end` |
//!
//! Times are nanoseconds of one clock that all clients share and that never goes back.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a client, partition or group. A loaded history holds each text once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(Arc::from(text))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(Arc::from(text))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    Send {
        at: u64,
        client: Name,
        seq: u64,
        partition: Name,
        digest: u64,
        /// Whether the producer is idempotent.
        #[serde(default)]
        idempotent: bool,
        /// Whether an acknowledgement promises to survive what happened in this run.
        #[serde(default = "yes")]
        durable: bool,
    },
    SendOk {
        at: u64,
        client: Name,
        seq: u64,
        /// Not told for a duplicate whose first answer was lost long ago.
        #[serde(default)]
        offset: Option<i64>,
    },
    SendFail {
        at: u64,
        client: Name,
        seq: u64,
    },
    SendInfo {
        at: u64,
        client: Name,
        seq: u64,
    },
    Read {
        at: u64,
        client: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Name>,
        partition: Name,
        offset: i64,
        /// Who sent it and as which one, from the record itself.
        producer: Name,
        seq: u64,
        digest: u64,
    },
    ReadAll {
        since: u64,
        at: u64,
        client: Name,
        partition: Name,
        start: i64,
        end: i64,
    },
    Bounds {
        since: u64,
        at: u64,
        client: Name,
        partition: Name,
        /// Epoch of the leader that answered.
        epoch: i32,
        log_start: i64,
        last_stable: i64,
        high_watermark: i64,
        log_end: i64,
    },
    UncleanElection {
        at: u64,
        partition: Name,
    },
    Commit {
        at: u64,
        client: Name,
        /// Names the attempt, together with the client.
        id: u64,
        group: Name,
        partition: Name,
        offset: i64,
        #[serde(default)]
        reset: bool,
    },
    CommitOk {
        at: u64,
        client: Name,
        id: u64,
    },
    CommitFail {
        at: u64,
        client: Name,
        id: u64,
    },
    CommitInfo {
        at: u64,
        client: Name,
        id: u64,
    },
    Fetched {
        since: u64,
        at: u64,
        client: Name,
        group: Name,
        partition: Name,
        /// `None`: the group has none.
        #[serde(default)]
        offset: Option<i64>,
    },
    Drained {
        at: u64,
        group: Name,
        partition: Name,
        start: i64,
        end: i64,
    },
    Assigned {
        at: u64,
        client: Name,
        group: Name,
        partition: Name,
    },
    Revoked {
        at: u64,
        client: Name,
        group: Name,
        partition: Name,
        #[serde(default)]
        lost: bool,
    },
    Settled {
        since: u64,
        at: u64,
        /// How long it may have taken at most, in nanoseconds.
        within: u64,
        group: Name,
        partition: Name,
        stable: bool,
        owners: u64,
    },
    Retains {
        at: u64,
        partition: Name,
        ms: u64,
    },
    Full {
        since: u64,
        at: u64,
        /// Behind `at`, how long it may take until the node takes records, in nanoseconds.
        within: u64,
        node: Name,
    },
    Ended {
        at: u64,
        node: Name,
    },
}

fn yes() -> bool {
    true
}

impl Event {
    /// When it ended; a beginning is an event of its own or its field `since`.
    pub fn at(&self) -> u64 {
        match self {
            Event::Send { at, .. }
            | Event::SendOk { at, .. }
            | Event::SendFail { at, .. }
            | Event::SendInfo { at, .. }
            | Event::Read { at, .. }
            | Event::ReadAll { at, .. }
            | Event::Bounds { at, .. }
            | Event::UncleanElection { at, .. }
            | Event::Commit { at, .. }
            | Event::CommitOk { at, .. }
            | Event::CommitFail { at, .. }
            | Event::CommitInfo { at, .. }
            | Event::Fetched { at, .. }
            | Event::Drained { at, .. }
            | Event::Assigned { at, .. }
            | Event::Revoked { at, .. }
            | Event::Settled { at, .. }
            | Event::Retains { at, .. }
            | Event::Full { at, .. }
            | Event::Ended { at, .. } => *at,
        }
    }

    /// Every name in it.
    pub(super) fn names_mut(&mut self) -> impl Iterator<Item = &mut Name> {
        let names = match self {
            Event::SendOk { client, .. }
            | Event::SendFail { client, .. }
            | Event::SendInfo { client, .. }
            | Event::CommitOk { client, .. }
            | Event::CommitFail { client, .. }
            | Event::CommitInfo { client, .. } => [Some(client), None, None, None],
            Event::Send { client, partition, .. }
            | Event::ReadAll { client, partition, .. }
            | Event::Bounds { client, partition, .. } => [Some(client), Some(partition), None, None],
            Event::Read { client, group, partition, producer, .. } => {
                [Some(client), Some(partition), Some(producer), group.as_mut()]
            }
            Event::UncleanElection { partition, .. } => [Some(partition), None, None, None],
            Event::Commit { client, group, partition, .. }
            | Event::Fetched { client, group, partition, .. }
            | Event::Assigned { client, group, partition, .. }
            | Event::Revoked { client, group, partition, .. } => {
                [Some(client), Some(group), Some(partition), None]
            }
            Event::Drained { group, partition, .. } | Event::Settled { group, partition, .. } => {
                [Some(group), Some(partition), None, None]
            }
            Event::Retains { partition, .. } => [Some(partition), None, None, None],
            Event::Full { node, .. } | Event::Ended { node, .. } => [Some(node), None, None, None],
        };
        names.into_iter().flatten()
    }
}

impl fmt::Display for Event {
    /// The line of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// A line that is no event.
#[derive(Debug, thiserror::Error)]
#[error("line {line} is not an event of a history: {source}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    #[source]
    pub source: serde_json::Error,
}

/// Reads a history from NDJSON; empty lines are passed over.
pub fn parse(text: &str) -> impl Iterator<Item = Result<Event, ParseError>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|source| ParseError { line: at + 1, source }))
}

/// A number that stands for the content of a record: FNV-1a over its parts and their lengths.
pub fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        part.len().to_le_bytes().into_iter().for_each(&mut take);
        part.iter().copied().for_each(&mut take);
    }
    hash
}
