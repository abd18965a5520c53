//! What goes into the producer's machine and what comes out of it.
//!
//! Owns: its settings, a record on its way in, a request on its way out, what the machine needs from outside.
//! Does not own: any decision (`machine`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ottla_env::random::Random;
use ottla_model::{BrokerId, PartitionIndex};
use ottla_protocol::record::NewRecord;

use super::batch::Batch;
use super::partitioner::Placement;
use super::queue::{Patience, Shape};

/// The settings of the machine, fixed for its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub shape: Shape,
    pub patience: Patience,
    pub placement: Placement,
    pub in_flight_max: u32,
    pub request_bytes_max: usize,
    pub idempotence: bool,
    pub availability_timeout: Option<Duration>,
}

/// Batches for one node, to be sent in one request.
pub(crate) struct Outbound<T> {
    pub node: BrokerId,
    pub batches: Vec<(QueueId, Batch<T>)>,
}

/// Which queue a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueId(pub(super) usize);

/// What must happen outside before more can be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Leaders that batches wait for and that are not connected.
    pub connections: BTreeSet<BrokerId>,
    /// A partition with batches has no known leader.
    pub metadata: bool,
    /// An id for the idempotent producer.
    pub identity: bool,
    /// When to look again.
    pub deadline: Option<Instant>,
}

impl Needs {
    pub(super) fn look_at(&mut self, at: Option<Instant>, now: Instant) {
        self.deadline = match (self.deadline, at.filter(|at| *at > now)) {
            (Some(known), Some(at)) => Some(known.min(at)),
            (known, at) => known.or(at),
        };
    }
}

/// A record and where it shall go.
pub(crate) struct Incoming<'a> {
    pub record: NewRecord<'a>,
    pub partition: Option<PartitionIndex>,
    /// Bytes of the buffer it holds.
    pub reserved: usize,
    pub random: &'a dyn Random,
}
