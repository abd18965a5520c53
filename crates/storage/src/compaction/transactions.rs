//! Transactions along a walk through a log that is compacted: whose records were taken back, which markers are spent.
//!
//! Owns: what is known of each transaction that the walk is inside of.
//! Does not own: the walk, what becomes of a batch (`pass`).
//!
//! A marker is needed as long as a batch of its transaction is there: without it a reader of committed records would wait,
//! and would not know what was taken back. Batches of an aborted transaction go in the pass that sees them; the marker is
//! spent in the next one, and then gets its delete horizon.
//!
//! Invariants
//! - I1 an entry is kept for the transaction index of what is written exactly if the walk saw a batch of its transaction.
//!
//! Source: requirements CMP-03, CMP-04; KIP-98, KIP-534.

use std::collections::{HashMap, HashSet};

use ottla_model::ProducerId;
use ottla_protocol::record::{BatchHeader, ControlKind};

use crate::txn_index::AbortedTransaction;

/// What a control batch means for what was walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// A batch of its transaction is there. `aborted`: the entry of the transaction index that goes with it.
    Needed { aborted: Option<AbortedTransaction> },
    /// Nothing of its transaction is left.
    Spent,
    /// It ends no transaction.
    Other,
}

/// The transactions of a walk, from its beginning on.
#[derive(Debug)]
pub(super) struct Transactions<'a> {
    /// By first offset; not reached yet.
    upcoming: &'a [AbortedTransaction],
    aborted: HashMap<ProducerId, Aborted>,
    /// Producers of which a batch was seen that nothing says was taken back.
    committed: HashSet<ProducerId>,
}

#[derive(Clone, Copy, Debug)]
struct Aborted {
    transaction: AbortedTransaction,
    was_seen: bool,
}

impl<'a> Transactions<'a> {
    /// `aborted`: the aborted transactions that reach into the walk, by first offset.
    pub(super) fn new(aborted: &'a [AbortedTransaction]) -> Transactions<'a> {
        Transactions { upcoming: aborted, aborted: HashMap::new(), committed: HashSet::new() }
    }

    /// A batch of data. Whether it was taken back.
    pub(super) fn on_data(&mut self, header: &BatchHeader) -> bool {
        self.reach(header);
        let Some(producer) = header.producer_id.filter(|_| header.attributes.is_transactional()) else {
            return false;
        };
        match self.aborted.get_mut(&producer) {
            Some(aborted) => {
                aborted.was_seen = true;
                true
            }
            None => {
                self.committed.insert(producer);
                false
            }
        }
    }

    /// A batch of control records. `kind`: of its first record; `None` where it has none any more.
    pub(super) fn on_control(&mut self, header: &BatchHeader, kind: Option<ControlKind>) -> Marker {
        self.reach(header);
        let (Some(kind), Some(producer)) = (kind, header.producer_id) else {
            return if kind.is_none() { Marker::Spent } else { Marker::Other };
        };
        match kind {
            ControlKind::Abort => match self.aborted.remove(&producer) {
                Some(Aborted { transaction, was_seen: true }) => {
                    Marker::Needed { aborted: Some(transaction) }
                }
                Some(_) | None => Marker::Spent,
            },
            ControlKind::Commit if self.committed.remove(&producer) => Marker::Needed { aborted: None },
            ControlKind::Commit => Marker::Spent,
            ControlKind::LeaderChange
            | ControlKind::SnapshotHeader
            | ControlKind::SnapshotFooter
            | ControlKind::KraftVersion
            | ControlKind::KraftVoters => Marker::Other,
        }
    }

    /// A transaction that ended before the walk began is none of its own.
    fn reach(&mut self, header: &BatchHeader) {
        while let Some((next, rest)) = self.upcoming.split_first()
            && next.first_offset <= header.last_offset()
        {
            self.upcoming = rest;
            if next.last_offset >= header.base_offset {
                self.aborted.entry(next.producer).or_insert(Aborted { transaction: *next, was_seen: false });
            }
        }
    }
}
