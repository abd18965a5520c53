//! Blocks of producer ids for brokers.
//!
//! Owns: which ids were given out. Does not own: their use (`coordinator`, `server`).
//!
//! Source: KIP-730; requirement IDM-10.

use ottla_model::{BrokerId, ProducerId};
use ottla_protocol::messages::ProducerIdsRecord;

use super::heartbeat::{self, StaleBrokerEpoch};
use super::view::{Decision, View};

/// How many ids a broker gets at once.
pub const BLOCK_LENGTH: i32 = 1_000;

/// Ids that belong to one broker from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub length: i32,
}

/// Why there is no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerIdsError {
    #[error(transparent)]
    StaleEpoch(#[from] StaleBrokerEpoch),
    #[error("Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")]
    Exhausted,
}

/// Gives the next block to a broker.
pub fn allocate(
    view: &View<'_>,
    broker: BrokerId,
    epoch: i64,
) -> Result<Decision<ProducerIdBlock>, ProducerIdsError> {
    heartbeat::check_epoch(view, broker, epoch)?;
    let first = view.image.next_producer_id.map_or(0, ProducerId::value);
    let next = first.checked_add(BLOCK_LENGTH.into()).ok_or(ProducerIdsError::Exhausted)?;
    let record = ProducerIdsRecord { broker_id: broker.value(), broker_epoch: epoch, next_producer_id: next };
    let first = ProducerId::new(first).ok_or(ProducerIdsError::Exhausted)?;
    Ok(Decision { records: vec![record.into()], answer: ProducerIdBlock { first, length: BLOCK_LENGTH } })
}
