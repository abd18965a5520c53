//! Batches of the metadata log and of snapshots.
//!
//! Owns: writing record batches and control batches, reading them back with every check.
//! Does not own: the batch format (`ottla-protocol`), where batches are kept (the server's log).
//!
//! Source: KIP-595, KIP-630, KIP-853; Kafka 4.3.1's `__cluster_metadata-0`.

use ottla_model::{LeaderEpoch, Offset, Timestamp};
use ottla_mutant::mutant;
use ottla_protocol::codec::{DecodeError, EncodeError, Message, Reader, Writer};
use ottla_protocol::compression::{CompressionError, UnpackLimits};
use ottla_protocol::messages::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use ottla_protocol::record::{
    BatchBuilder, BatchError, BatchOptions, BatchView, BuildError, ControlError, ControlKind, NewRecord,
    RecordBuffer, RecordError as BatchRecordError,
};

use super::{MetadataRecord, RecordError, VersionedRecord};
use crate::features::MetadataVersion;

/// Where a batch stands in the log and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPosition {
    pub base_offset: Offset,
    pub epoch: LeaderEpoch,
    pub timestamp: Timestamp,
}

/// A batch of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataBatch {
    pub position: BatchPosition,
    pub last_offset: Offset,
    /// Bytes the batch takes in the log.
    pub size: usize,
    pub content: BatchContent,
}

/// What is in a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchContent {
    /// Records with their offsets.
    Records(Vec<(Offset, VersionedRecord)>),
    /// Control records with their offsets. Kinds that are not known are left out, as Kafka's readers do.
    Control(Vec<(Offset, ControlContent)>),
}

/// A control record of the quorum or of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlContent {
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KraftVersion(KRaftVersionRecord),
    Voters(VotersRecord),
}

/// Why bytes are not batches of a metadata log.
#[derive(Debug, thiserror::Error)]
pub enum BatchReadError {
    #[error("the batch at byte {at} is damaged")]
    Batch { at: usize, source: BatchError },
    #[error("the batch at offset {base} cannot be unpacked")]
    Compression { base: Offset, source: CompressionError },
    #[error("the batch at offset {base} has a damaged record")]
    Frame { base: Offset, source: BatchRecordError },
    #[error("the batch at offset {base} has no leader epoch")]
    NoEpoch { base: Offset },
    #[error("the batch at offset {base} has {records} records up to the offset {delta} behind its first")]
    OffsetDelta { base: Offset, records: i32, delta: i32 },
    #[error("the record at offset {at} has no value")]
    NoValue { at: Offset },
    #[error("the record at offset {at} is not a metadata record")]
    Record { at: Offset, source: RecordError },
    #[error("the control record at offset {at} has a damaged key")]
    ControlKey { at: Offset, source: ControlError },
    #[error("the control record at offset {at} has a damaged value")]
    ControlValue { at: Offset, source: DecodeError },
}

/// Why a batch cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BatchWriteError {
    #[error("a record cannot be encoded")]
    Encode(#[from] EncodeError),
    #[error("the batch cannot be built")]
    Build(#[from] BuildError),
}

/// Most bytes one batch of a metadata log may unpack to. Kafka writes at most 8 MiB; the rest is allowance.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes at which a batch of a snapshot is full: Kafka's limit of a batch in the metadata log.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A batch of metadata records, in the versions that a level of `metadata.version` asks for.
pub fn record_batch(
    position: BatchPosition,
    records: &[MetadataRecord],
    level: MetadataVersion,
) -> Result<Vec<u8>, BatchWriteError> {
    let mut builder = BatchBuilder::new(options(position, false))?;
    for record in records {
        let frame = record.to_frame(level)?;
        builder.append(NewRecord {
            timestamp: position.timestamp,
            key: None,
            value: Some(&frame),
            headers: &[],
        })?;
    }
    Ok(builder.finish()?)
}

/// Batches of metadata records, each about as large as Kafka makes them. Gives the offset behind the last record.
pub fn record_batches(
    position: BatchPosition,
    records: impl Iterator<Item = MetadataRecord>,
    level: MetadataVersion,
    output: &mut Vec<u8>,
) -> Result<Offset, BatchWriteError> {
    let mut next = position.base_offset;
    let at = |base_offset| options(BatchPosition { base_offset, ..position }, false);
    let mut builder = BatchBuilder::new(at(next))?;
    for record in records {
        let frame = record.to_frame(level)?;
        let record =
            NewRecord { timestamp: position.timestamp, key: None, value: Some(&frame), headers: &[] };
        if builder.record_count() > 0 && builder.unpacked_bytes_with(&record) > BATCH_BYTES_MAX {
            output.extend(builder.finish()?);
            builder = BatchBuilder::new(at(next))?;
        }
        builder.append(record)?;
        next = next.next();
    }
    if builder.record_count() > 0 {
        output.extend(builder.finish()?);
    }
    Ok(next)
}

/// A batch of control records.
pub fn control_batch(
    position: BatchPosition,
    records: &[ControlContent],
) -> Result<Vec<u8>, BatchWriteError> {
    let mut builder = BatchBuilder::new(options(position, true))?;
    for record in records {
        let (kind, value) = record.encode()?;
        builder.append_control(position.timestamp, kind, &value)?;
    }
    Ok(builder.finish()?)
}

fn options(position: BatchPosition, control: bool) -> BatchOptions {
    BatchOptions {
        base_offset: position.base_offset,
        leader_epoch: Some(position.epoch),
        control,
        ..BatchOptions::default()
    }
}

/// Reads all batches in `bytes`, which must end with a whole one.
pub fn read_batches(bytes: &[u8]) -> Result<Vec<MetadataBatch>, BatchReadError> {
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
    let mut batches = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let damaged = |source| BatchReadError::Batch { at, source };
        let view = BatchView::parse(rest).map_err(damaged)?;
        if !mutant!(skip_metadata_batch_crc) {
            view.check_crc().map_err(damaged)?;
        }
        batches.push(read_batch(&view, &mut buffer)?);
        at += view.bytes().len();
    }
    Ok(batches)
}

fn read_batch(view: &BatchView<'_>, buffer: &mut RecordBuffer) -> Result<MetadataBatch, BatchReadError> {
    let header = view.header();
    let base = header.base_offset;
    let position = BatchPosition {
        base_offset: base,
        epoch: header.leader_epoch.ok_or(BatchReadError::NoEpoch { base })?,
        timestamp: header.max_timestamp,
    };
    let control = header.attributes.is_control();
    // A metadata log is never compacted, so no batch has a gap.
    let (records, delta) = (header.record_count, header.last_offset_delta);
    let last = u32::try_from(delta).ok().filter(|_| delta.checked_add(1) == Some(records));
    let last_offset = base.plus(last.ok_or(BatchReadError::OffsetDelta { base, records, delta })?);
    let mut records = Vec::new();
    let mut controls = Vec::new();
    let unpacked = view.records(buffer).map_err(|source| BatchReadError::Compression { base, source })?;
    for record in unpacked {
        let record = record.map_err(|source| BatchReadError::Frame { base, source })?;
        let at = record.offset;
        let value = record.value.ok_or(BatchReadError::NoValue { at })?;
        if control {
            let key = record.key.unwrap_or_default();
            controls.extend(ControlContent::decode(at, key, value)?.map(|content| (at, content)));
        } else {
            let record =
                VersionedRecord::from_frame(value).map_err(|source| BatchReadError::Record { at, source })?;
            records.push((at, record));
        }
    }
    let content = if control { BatchContent::Control(controls) } else { BatchContent::Records(records) };
    Ok(MetadataBatch { position, last_offset, size: view.bytes().len(), content })
}

impl ControlContent {
    fn decode(at: Offset, key: &[u8], value: &[u8]) -> Result<Option<ControlContent>, BatchReadError> {
        let kind = match ControlKind::of_key(key) {
            Ok(kind) => kind,
            Err(ControlError::Kind { .. }) => return Ok(None),
            Err(source) => return Err(BatchReadError::ControlKey { at, source }),
        };
        let content = match kind {
            ControlKind::LeaderChange => decode(value).map(ControlContent::LeaderChange),
            ControlKind::SnapshotHeader => decode(value).map(ControlContent::SnapshotHeader),
            ControlKind::SnapshotFooter => decode(value).map(ControlContent::SnapshotFooter),
            ControlKind::KraftVersion => decode(value).map(ControlContent::KraftVersion),
            ControlKind::KraftVoters => decode(value).map(ControlContent::Voters),
            ControlKind::Abort | ControlKind::Commit => return Ok(None),
        };
        content.map(Some).map_err(|source| BatchReadError::ControlValue { at, source })
    }

    fn encode(&self) -> Result<(ControlKind, Vec<u8>), EncodeError> {
        Ok(match self {
            // Kafka writes version 0 as long as the quorum's voters have no directory ids in it.
            ControlContent::LeaderChange(message) => {
                (ControlKind::LeaderChange, encode(message, message.version)?)
            }
            ControlContent::SnapshotHeader(message) => (ControlKind::SnapshotHeader, encode(message, 0)?),
            ControlContent::SnapshotFooter(message) => (ControlKind::SnapshotFooter, encode(message, 0)?),
            ControlContent::KraftVersion(message) => (ControlKind::KraftVersion, encode(message, 0)?),
            ControlContent::Voters(message) => (ControlKind::KraftVoters, encode(message, 0)?),
        })
    }
}

/// Values of control records begin with their version, which is also the message's first field.
fn decode<M: Message>(value: &[u8]) -> Result<M, DecodeError> {
    let version = Reader::new(value).i16()?;
    // A later version begins with the same fields.
    M::decode(&mut Reader::new(value), version.min(*M::VERSIONS.end()))
}

fn encode<M: Message>(message: &M, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.into_vec())
}
