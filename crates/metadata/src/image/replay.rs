//! Application of records in log order, transactions included.
//!
//! Owns: what is visible while a metadata transaction is open.
//! Does not own: what a single record does (`apply`), where records come from.
//!
//! Invariants
//! - I1 inside a transaction the visible image is the one before it;
//! - I2 an aborted transaction leaves the image it began with.
//!
//! Source: KIP-868.

use ottla_model::Offset;

use super::{ApplyError, MetadataImage, Provenance};
use crate::records::MetadataRecord;

/// An image that follows a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    latest: MetadataImage,
    transaction: Option<Transaction>,
}

#[derive(Clone, Debug, PartialEq)]
struct Transaction {
    began_at: Offset,
    before: MetadataImage,
}

impl Replay {
    /// Goes on from an image, such as that of a snapshot.
    pub fn from_image(image: MetadataImage) -> Replay {
        Replay { latest: image, transaction: None }
    }

    /// Everything applied so far, an open transaction included: what a controller decides on.
    pub fn latest(&self) -> &MetadataImage {
        &self.latest
    }

    /// What others may see: without the records of an open transaction.
    pub fn visible(&self) -> &MetadataImage {
        self.transaction.as_ref().map_or(&self.latest, |transaction| &transaction.before)
    }

    /// Where the open transaction begins.
    pub fn transaction_start(&self) -> Option<Offset> {
        self.transaction.as_ref().map(|transaction| transaction.began_at)
    }

    /// Applies the record at an offset.
    pub fn apply(&mut self, record: &MetadataRecord, at: Offset) -> Result<(), ApplyError> {
        if let MetadataRecord::BeginTransaction(_) = record {
            return self.begin(at);
        }
        if let MetadataRecord::EndTransaction(_) = record {
            return self.transaction.take().map(|_| ()).ok_or(ApplyError::NoTransaction { at });
        }
        if let MetadataRecord::AbortTransaction(_) = record {
            return self.abort(at);
        }
        self.latest.apply(record, at)
    }

    fn begin(&mut self, at: Offset) -> Result<(), ApplyError> {
        if let Some(open) = self.transaction_start() {
            return Err(ApplyError::TransactionOpen { at, open });
        }
        self.transaction = Some(Transaction { began_at: at, before: self.latest.clone() });
        Ok(())
    }

    fn abort(&mut self, at: Offset) -> Result<(), ApplyError> {
        let transaction = self.transaction.take().ok_or(ApplyError::NoTransaction { at })?;
        let provenance = self.latest.provenance;
        self.latest = MetadataImage { provenance, ..transaction.before };
        Ok(())
    }

    /// Notes the last record of a batch, also of one that carries no metadata.
    pub fn advance(&mut self, provenance: Provenance) {
        self.latest.provenance = Some(provenance);
    }
}
