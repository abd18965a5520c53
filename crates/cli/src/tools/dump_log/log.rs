//! `.log` and `.checkpoint`: batches and their records.
//!
//! Owns: how batches, records and control records are shown.
//! Does not own: the content of records (`decoder`), where batches are (`batches`).
//!
//! Source: behaviour of `kafka-dump-log` of Kafka 4.3.1.

use std::path::Path;

use ottla_metadata::bootstrap::BOOTSTRAP_FILE;
use ottla_metadata::snapshot::SnapshotId;
use ottla_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::compression::{Compression, CompressionError, UnpackLimits};
use ottla_protocol::messages::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use ottla_protocol::record::{
    Attributes, Batch, BatchHeader, BatchView, ControlError, ControlKind, EndTransaction, LegacyBatch,
    Record, RecordBuffer, RecordError, TimestampType,
};
use ottla_protocol::{Message, Reader};

use super::batches::{BatchReader, RawBatch, of_batch};
use super::decoder::Decoder;
use super::findings::Findings;
use super::{BYTES_MAX, FileName};
use crate::terminal::Terminal;
use crate::tools::failure::Failure;

/// Most bytes that one batch may unpack to. Batches of a real topic stay far below; a bomb is told as one.
pub const UNPACKED_BYTES_MAX: u64 = 1 << 32;

/// How much is shown of each batch.
#[derive(Clone, Copy)]
pub struct Detail {
    /// Every record.
    pub records: bool,
    /// The content of records.
    pub content: bool,
    /// Offset, time and sizes of records; without them control records say nothing.
    pub metadata: bool,
}

/// How a file is shown.
pub struct Options {
    pub detail: Detail,
    pub decoder: Decoder,
    pub bytes_max: i32,
}

/// Shows a file of batches.
pub fn show(
    file: &FileName<'_>,
    options: &Options,
    (findings, terminal): (&mut Findings, &mut Terminal<'_>),
) -> Result<(), Failure> {
    terminal.out_line(title(file)?);
    let mut batches = BatchReader::new(file.open()?, Path::new(file.shown), (0, options.bytes_max))?;
    let mut position = 0;
    let mut last_offset = -1;
    while let Some(raw) = batches.next()? {
        let batch = raw.parse().map_err(|error| of_batch(&error))?;
        show_batch(&raw, &batch, (position, terminal))?;
        position += raw.size() as u64;
        if options.detail.records {
            let mut on_record = |record: &Record<'_>| {
                let offset = record.offset.value();
                if offset != last_offset + 1 {
                    findings.gap(file.absolute(), last_offset, offset);
                }
                last_offset = offset;
            };
            show_records(&batch, options, (&mut on_record, terminal))?;
        }
    }
    let left = batches.left();
    if left > 0 && options.bytes_max == BYTES_MAX {
        terminal.out_line(format_args!("Found {left} invalid bytes at the end of {}", file.name));
    }
    Ok(())
}

fn title(file: &FileName<'_>) -> Result<String, Failure> {
    if file.ending == ".log" {
        return Ok(format!("Log starting offset: {}", file.offset()?));
    }
    if file.name == BOOTSTRAP_FILE {
        return Ok("KRaft bootstrap snapshot".to_owned());
    }
    match SnapshotId::from_file_name(file.name) {
        Some(id) => Ok(format!("Snapshot end offset: {}, epoch: {}", id.end, id.epoch.value())),
        None => Err(Failure::illegal_argument(format!("{} is not the name of a snapshot", file.name))),
    }
}

fn show_batch(
    raw: &RawBatch,
    batch: &Batch<'_>,
    (position, terminal): (u64, &mut Terminal<'_>),
) -> Result<(), Failure> {
    let (attributes, crc) = match batch {
        Batch::V2(batch) => {
            terminal.out(header_fields(batch.header()));
            (batch.header().attributes, batch.header().crc)
        }
        Batch::Legacy(batch) => {
            terminal.out(format_args!("offset: {}", batch.last_offset()));
            (batch.attributes(), batch.crc())
        }
    };
    let codec = attributes.compression().map_err(|unknown| of_compression(&unknown.into()))?;
    terminal.out_line(format_args!(
        " position: {position} {}: {} size: {} magic: {} compresscodec: {} crc: {crc} isvalid: {}",
        timestamp_type(batch),
        batch.max_timestamp().millis(),
        raw.size(),
        raw.magic,
        Compression::name(codec),
        batch.check_crc().is_ok()
    ));
    Ok(())
}

fn header_fields(header: &BatchHeader) -> String {
    let BatchHeader { base_offset, last_offset_delta, record_count, attributes, .. } = header;
    let sequence = |sequence: Option<Sequence>| sequence.map_or(-1, Sequence::value);
    let delete_horizon = match attributes.has_delete_horizon() {
        true => format!("OptionalLong[{}]", header.base_timestamp.millis()),
        false => "OptionalLong.empty".to_owned(),
    };
    format!(
        "baseOffset: {base_offset} lastOffset: {} count: {record_count} baseSequence: {} lastSequence: {} producerId: \
         {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: \
         {delete_horizon}",
        base_offset.value() + i64::from(*last_offset_delta),
        sequence(header.base_sequence),
        sequence(header.last_sequence()),
        header.producer_id.map_or(-1, ProducerId::value),
        header.producer_epoch.map_or(-1, ProducerEpoch::value),
        header.leader_epoch.map_or(-1, LeaderEpoch::value),
        Attributes::is_transactional(*attributes),
        Attributes::is_control(*attributes),
    )
}

fn timestamp_type(batch: &Batch<'_>) -> &'static str {
    let attributes = match batch {
        Batch::V2(batch) => batch.header().attributes,
        Batch::Legacy(batch) if batch.magic() == 0 => return "NoTimestampType",
        Batch::Legacy(batch) => batch.attributes(),
    };
    match attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn show_records(
    batch: &Batch<'_>,
    options: &Options,
    (on_record, terminal): (&mut dyn FnMut(&Record<'_>), &mut Terminal<'_>),
) -> Result<(), Failure> {
    let mut buffer = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
    let time = timestamp_type(batch);
    match batch {
        Batch::V2(batch) => {
            let mut records = batch.records(&mut buffer).map_err(|error| of_compression(&error))?.peekable();
            while let Some(record) = records.next() {
                let record = record.map_err(|error| of_record(&error))?;
                // Kafka looks behind the last record before it gives it out.
                if let Some(Err(error @ RecordError::Trailing { .. })) = records.peek() {
                    return Err(of_record(error));
                }
                on_record(&record);
                let line = Line { record: &record, time, options };
                line.show(Format::Now(batch), terminal)?;
            }
        }
        Batch::Legacy(batch) => {
            let mut records = batch.records(&mut buffer).map_err(|error| of_compression(&error))?;
            while let Some(read) = records.next_message() {
                let (record, message) = read.map_err(|error| of_record(&error))?;
                on_record(&record);
                let line = Line { record: &record, time, options };
                line.show(Format::Old(&message), terminal)?;
            }
        }
    }
    Ok(())
}

/// What only records of one format have.
enum Format<'a> {
    Now(&'a BatchView<'a>),
    Old(&'a LegacyBatch<'a>),
}

/// One record as a line.
struct Line<'a> {
    record: &'a Record<'a>,
    time: &'static str,
    options: &'a Options,
}

impl Line<'_> {
    fn show(&self, format: Format<'_>, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let detail = self.options.detail;
        let is_control = match &format {
            Format::Now(batch) => batch.header().attributes.is_control(),
            Format::Old(_) => false,
        };
        if detail.metadata {
            terminal.out(self.metadata());
            terminal.out(match &format {
                Format::Now(batch) => self.sequence_and_headers(batch.header()),
                Format::Old(message) => {
                    format!(" isValid: {} crc: {}", message.check_crc().is_ok(), message.crc())
                }
            });
            if is_control {
                terminal.out(control(self.record)?);
            }
        }
        if detail.content && !is_control {
            let shown = self.options.decoder.show(self.record)?;
            let mut before = if detail.metadata { " " } else { "| " };
            if let Some(key) = shown.key {
                terminal.out(format_args!("{before}key: {key}"));
                before = " ";
            }
            if let Some(value) = shown.value {
                terminal.out(format_args!("{before}payload: {value}"));
            }
        }
        terminal.out_line("");
        Ok(())
    }

    fn metadata(&self) -> String {
        let Record { offset, timestamp, key, value, .. } = self.record;
        let size = |bytes: &Option<&[u8]>| bytes.map_or("-1".to_owned(), |bytes| bytes.len().to_string());
        let millis = timestamp.millis();
        format!(
            "| offset: {offset} {}: {millis} keySize: {} valueSize: {}",
            self.time,
            size(key),
            size(value)
        )
    }

    fn sequence_and_headers(&self, batch: &BatchHeader) -> String {
        let delta = u32::try_from(self.record.offset.value() - Offset::value(batch.base_offset)).unwrap_or(0);
        let sequence = batch.base_sequence.map_or(-1, |base| base.plus(delta).value());
        let keys = self.record.headers.iter().map(|header| String::from_utf8_lossy(header.key));
        format!(" sequence: {sequence} headerKeys: [{}]", keys.collect::<Vec<_>>().join(","))
    }
}

/// What a control record says.
pub fn control(record: &Record<'_>) -> Result<String, Failure> {
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    let kind = match ControlKind::of_key(key) {
        Ok(kind) => kind,
        Err(ControlError::Kind { got }) => return Ok(format!(" controlType: UNKNOWN({got})")),
        Err(
            error @ (ControlError::Key { .. } | ControlError::Version { .. } | ControlError::Value { .. }),
        ) => {
            return Err(invalid_record(&error.to_string()));
        }
    };
    let end = |name: &str| {
        let end = EndTransaction::of_value(value).map_err(|error| invalid_record(&error.to_string()))?;
        Ok(format!(" endTxnMarker: {name} coordinatorEpoch: {}", end.coordinator_epoch))
    };
    match kind {
        ControlKind::Abort => end("ABORT"),
        ControlKind::Commit => end("COMMIT"),
        ControlKind::LeaderChange => quorum::<LeaderChangeMessage>("LeaderChange:", value),
        ControlKind::SnapshotHeader => quorum::<SnapshotHeaderRecord>("SnapshotHeader", value),
        ControlKind::SnapshotFooter => quorum::<SnapshotFooterRecord>("SnapshotFooter", value),
        ControlKind::KraftVersion => quorum::<KRaftVersionRecord>("KRaftVersion", value),
        ControlKind::KraftVoters => quorum::<VotersRecord>("KRaftVoters", value),
    }
}

/// A control record of the quorum, whose first field is its version.
fn quorum<M: Message>(name: &str, value: &[u8]) -> Result<String, Failure> {
    let json = || -> Option<String> {
        let version = Reader::new(value).i16().ok()?;
        M::decode(&mut Reader::new(value), version).ok()?.to_json(version).ok()
    };
    match json() {
        Some(json) => Ok(format!(" {name} {json}")),
        None => Err(invalid_record(&format!("the control record {name} cannot be read"))),
    }
}

fn invalid_record(message: &str) -> Failure {
    Failure::new("org.apache.kafka.common.InvalidRecordException", message)
}

/// The exception for records that cannot be unpacked.
pub fn of_compression(error: &CompressionError) -> Failure {
    match error {
        CompressionError::UnknownCodec(unknown) => {
            Failure::illegal_argument(format!("Unknown compression type id: {}", unknown.id))
        }
        CompressionError::Truncated { .. }
        | CompressionError::Malformed { .. }
        | CompressionError::TooLarge { .. }
        | CompressionError::Writer { .. } => {
            Failure::new("org.apache.kafka.common.KafkaException", error.to_string())
        }
    }
}

/// The exception for records that are not what their batch declares.
pub fn of_record(error: &RecordError) -> Failure {
    match error {
        RecordError::Trailing { .. } => {
            invalid_record("Incorrect declared batch size, records still remaining in file")
        }
        RecordError::Missing { .. } => invalid_record("Incorrect declared batch size, premature EOF reached"),
        RecordError::Truncated
        | RecordError::VarintTooLong
        | RecordError::Length { .. }
        | RecordError::LengthMismatch { .. }
        | RecordError::HeaderCount { .. }
        | RecordError::HeaderKeyLength { .. }
        | RecordError::OffsetDelta { .. } => invalid_record(&error.to_string()),
    }
}
