//! Snapshots: everything the metadata log says up to an offset, in one file.
//!
//! Owns: the content of a snapshot, written and read; its name; when one is due and which ones may go.
//! Does not own: the files (the server), the image (`image`).
//!
//! A file `<end offset, 20 digits>-<epoch, 10 digits>.checkpoint` holds batches whose offsets count from 0:
//!
//! | batch   | kind    | records                                                                              |
//! |---------|---------|--------------------------------------------------------------------------------------|
//! | first   | control | SnapshotHeader; with voters in the log also KRaftVersion and KRaftVoters             |
//! | between | data    | features, brokers, controllers, topics with their partitions, configs, client quotas,|
//! |         |         | producer ids, access control entries, SCRAM credentials, delegation tokens           |
//! | last    | control | SnapshotFooter                                                                       |
//!
//! A file without its footer was never finished, so it is refused like one with a wrong checksum.
//!
//! Source: KIP-630, KIP-853; Kafka 4.3.1's snapshots; requirement KRF-07.

mod name;
mod policy;
mod write;

use ottla_model::{Offset, Timestamp};
use ottla_mutant::mutant;
use ottla_protocol::messages::SnapshotHeaderRecord;

use crate::image::{ApplyError, MetadataImage, Provenance, Replay};
use crate::quorum::{Voters, VotersError};
use crate::records::{BatchContent, BatchReadError, ControlContent, MetadataRecord, read_batches};

pub use name::SnapshotId;
pub use policy::{Retention, SnapshotFile, SnapshotPolicy, SnapshotTrigger};
pub use write::{VotersInLog, image_snapshot, records_snapshot};

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When the last record it stands for was written.
    pub last_timestamp: Timestamp,
    /// Level of `kraft.version`.
    pub kraft_version: i16,
    /// The voters, where they are kept in the log.
    pub voters: Option<Voters>,
    pub records: Vec<MetadataRecord>,
}

/// Why a file is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot has a damaged batch")]
    Batch(#[from] BatchReadError),
    #[error("the snapshot does not begin with its header")]
    NoHeader,
    #[error("the snapshot does not end with its footer")]
    NoFooter,
    #[error("the snapshot has a batch at offset {got}, expected {expected}")]
    Gap { got: Offset, expected: Offset },
    #[error("the snapshot has control records among its data")]
    ControlInside,
    #[error("the snapshot names invalid voters")]
    Voters(#[from] VotersError),
    #[error("the snapshot has a record that cannot be applied")]
    Apply(#[from] ApplyError),
}

impl Snapshot {
    /// Reads a whole file and checks it.
    pub fn read(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let batches = read_batches(bytes)?;
        let mut expected = Offset::ZERO;
        for batch in &batches {
            let got = batch.position.base_offset;
            if got != expected {
                return Err(SnapshotError::Gap { got, expected });
            }
            expected = batch.last_offset.next();
        }
        let contents: Vec<_> = batches.into_iter().map(|batch| batch.content).collect();
        let (first, rest) = contents.split_first().ok_or(SnapshotError::NoHeader)?;
        let mut snapshot = header(first)?;
        let (last, data) = rest.split_last().ok_or(SnapshotError::NoFooter)?;
        if !is_footer(last) && !mutant!(skip_metadata_snapshot_footer) {
            return Err(SnapshotError::NoFooter);
        }
        for batch in data {
            let BatchContent::Records(records) = batch else { return Err(SnapshotError::ControlInside) };
            snapshot.records.extend(records.iter().map(|(_, record)| record.record.clone()));
        }
        Ok(snapshot)
    }

    /// The image that the snapshot with this id stands for.
    pub fn image(&self, id: SnapshotId) -> Result<MetadataImage, SnapshotError> {
        let mut replay = Replay::default();
        // Records of a snapshot have no place in the log; what they say was known at its end at the latest.
        let last = id.end.previous();
        for record in &self.records {
            replay.apply(record, last.unwrap_or(Offset::ZERO))?;
        }
        if let Some(offset) = last {
            replay.advance(Provenance { offset, epoch: id.epoch, timestamp: self.last_timestamp });
        }
        Ok(replay.latest().clone())
    }
}

fn is_footer(batch: &BatchContent) -> bool {
    let BatchContent::Control(records) = batch else { return false };
    matches!(records.as_slice(), [(_, ControlContent::SnapshotFooter(_))])
}

fn header(batch: &BatchContent) -> Result<Snapshot, SnapshotError> {
    let BatchContent::Control(records) = batch else { return Err(SnapshotError::NoHeader) };
    let mut records = records.iter().map(|(_, record)| record);
    let Some(ControlContent::SnapshotHeader(SnapshotHeaderRecord { last_contained_log_timestamp, .. })) =
        records.next()
    else {
        return Err(SnapshotError::NoHeader);
    };
    let last_timestamp = Timestamp::from_millis(*last_contained_log_timestamp);
    let mut snapshot = Snapshot { last_timestamp, kraft_version: 0, voters: None, records: Vec::new() };
    for record in records {
        match record {
            ControlContent::KraftVersion(record) => snapshot.kraft_version = record.k_raft_version,
            ControlContent::Voters(record) => snapshot.voters = Some(Voters::from_record(record)?),
            ControlContent::LeaderChange(_)
            | ControlContent::SnapshotHeader(_)
            | ControlContent::SnapshotFooter(_) => return Err(SnapshotError::ControlInside),
        }
    }
    Ok(snapshot)
}
