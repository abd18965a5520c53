//! `.snapshot` and `.txnindex`: the producers of a log, its aborted transactions.
//!
//! Owns: how their entries are shown.
//! Does not own: the formats (`ottla_storage::inspect`).
//!
//! Source: behaviour of `kafka-dump-log` of Kafka 4.3.1.

use std::path::Path;

use ottla_env::disk::RealDisk;
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_storage::{AbortedTransaction, ProducerEntry, SnapshotError, inspect, read_small_file};

use super::{FileName, of_file};
use crate::terminal::Terminal;
use crate::tools::failure::Failure;

/// Prints the entries of a transaction index.
pub fn show_aborted(file: &FileName<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    file.offset()?;
    let path = Path::new(file.shown);
    // A segment without aborted transactions has no such file.
    let content = read_small_file(&RealDisk, path).map_err(|error| of_file(path, &error))?;
    for entry in inspect::aborted_transactions(&content.unwrap_or_default()) {
        let AbortedTransaction { producer, first_offset, last_offset, last_stable_offset } = entry;
        terminal.out_line(format_args!(
            "version: 0 producerId: {} firstOffset: {first_offset} lastOffset: {last_offset} lastStableOffset: \
             {last_stable_offset}",
            producer.value()
        ));
    }
    Ok(())
}

/// Prints the entries of a snapshot of producer state.
pub fn show_producers(file: &FileName<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let path = Path::new(file.shown);
    let content = read_small_file(&RealDisk, path).map_err(|error| of_file(path, &error))?;
    let Some(content) = content else { return Err(of_file(path, &std::io::ErrorKind::NotFound.into())) };
    match inspect::producers(&content) {
        Ok(entries) => entries.iter().for_each(|(id, entry)| terminal.out_line(producer(*id, entry))),
        Err(error) => terminal.err_line(damage(&error)),
    }
    Ok(())
}

fn producer(id: ProducerId, entry: &ProducerEntry) -> String {
    let transaction = match entry.transaction_first_offset {
        Some(offset) => format!("OptionalLong[{offset}]"),
        None => "OptionalLong.empty".to_owned(),
    };
    let mut text = format!(
        "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {transaction} lastTimestamp: {}",
        id.value(),
        entry.epoch.map_or(-1, ProducerEpoch::value),
        entry.coordinator_epoch.unwrap_or(-1),
        entry.last_timestamp.millis()
    );
    // A producer whose last record ended a transaction has no batch.
    if let Some(batch) = entry.last_batch() {
        let number = |sequence: Option<Sequence>| sequence.map_or(-1, Sequence::value);
        text.push_str(&format!(
            " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
            number(batch.first_sequence()),
            number(batch.last_sequence),
            Offset::value(batch.last_offset),
            batch.offset_delta,
            batch.timestamp.millis()
        ));
    }
    text
}

fn damage(error: &SnapshotError) -> String {
    match error {
        SnapshotError::Version { got } => {
            format!("Snapshot failed schema validation: Snapshot contained an unknown file version {got}")
        }
        SnapshotError::Checksum { stated, computed } => {
            format!(
                "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stated}. Computed crc: {computed}"
            )
        }
        SnapshotError::Length { .. } | SnapshotError::Entry { .. } => {
            format!("Snapshot failed schema validation: {error}")
        }
    }
}
