//! The first records of a controller that takes over.
//!
//! Owns: the start of an empty log, the end of a transaction that nobody finished.
//! Does not own: what a cluster begins with (`bootstrap`).
//!
//! Source: KIP-778, KIP-868, KIP-966; Kafka 4.3.1's `__cluster_metadata-0`.

use ottla_model::Offset;
use ottla_protocol::messages::{AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord};

use super::configs;
use super::view::View;
use crate::features::{Feature, MetadataVersion};
use crate::records::MetadataRecord;

/// What a controller finds when it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether the log holds no metadata yet, or only a start that was never finished.
    pub is_empty: bool,
    /// Where a transaction begins that was never finished.
    pub open_transaction: Option<Offset>,
}

/// The records to begin with, and whether they are one transaction or one batch.
pub fn records(view: &View<'_>, found: Found, bootstrap: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    if found.open_transaction.is_some() {
        records.push(AbortTransactionRecord { reason: Some("Controller failover".to_owned()) }.into());
    }
    if !found.is_empty {
        return records;
    }
    let in_transaction = level_of(bootstrap, MetadataVersion::FEATURE)
        .and_then(MetadataVersion::from_level)
        .is_some_and(MetadataVersion::has_transactions);
    if in_transaction {
        records.push(BeginTransactionRecord { name: Some("Bootstrap records".to_owned()) }.into());
    }
    records.extend_from_slice(bootstrap);
    if level_of(bootstrap, Feature::EligibleLeaderReplicas.name()).is_some_and(|level| level > 0) {
        records.extend(configs::records_of_eligible_leaders(view));
    }
    if in_transaction {
        records.push(EndTransactionRecord {}.into());
    }
    records
}

fn level_of(records: &[MetadataRecord], feature: &str) -> Option<i16> {
    records.iter().rev().find_map(|record| {
        let MetadataRecord::FeatureLevel(level) = record else { return None };
        (level.name == feature).then_some(level.feature_level)
    })
}
