//! What a leader checks in a batch from a client before it goes into the log.
//!
//! Owns: the order of the checks, the choice between the client's bytes and a rebuilt batch.
//! Does not own: producer state, offsets, the leader's epoch (`storage`); acknowledgement (`replication`).
//!
//! Invariants
//! - I1 a `Validated` batch has records 0, 1, … n−1 as its header says, a right checksum and a right largest timestamp
//!   (with `ValidationDepth::Header` only the header vouches for the records);
//! - I2 one pass over the records; nothing is allocated for a batch that is stored as it came.
//!
//! Source: requirements PRD-05, PRD-09 to PRD-17, REC-01 to REC-03, TRAP-10, TRAP-37, TRAP-38.

mod rebuild;
mod rules;
mod scan;
mod walk;

use ottla_model::Timestamp;
use ottla_mutant::mutant;

pub use rules::{
    AppendRules, Arrival, RECORD_ERRORS_MAX, RecordRefusal, RecordsFault, Refusal, TopicCompression,
    ValidBytes, Validated, ValidationDepth, unpack_limits,
};

use super::batch::{BatchError, BatchMut, BatchView};
use super::layout::{BatchHeader, BatchPrefix, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC, TimestampType};
use super::legacy;
use crate::compression::{Compression, Compressor, Decompressor};
use scan::{Packed, Plain};
use walk::{Walk, WalkSummary};

/// First version of Produce that may carry zstd (KIP-110).
const ZSTD_FROM_VERSION: i16 = 7;

/// Whether Kafka fails with the whole request over these records: in versions before zstd it asks for the codec of each
/// first batch before it looks at any partition, and there is none of that number.
pub fn fails_request(records: &[u8], version: i16) -> bool {
    let has_codec = |(header, _): (BatchHeader, i64)| header.attributes.compression().is_ok();
    version < ZSTD_FROM_VERSION && first_batch(records).is_ok_and(|found| !has_codec(found))
}

/// Reusable contexts for validation; one per thread that appends.
#[derive(Default)]
pub struct Validator {
    decompressor: Decompressor,
    compressor: Option<Compressor>,
}

impl Validator {
    pub fn new() -> Validator {
        Validator::default()
    }

    /// Checks what a client sent for one partition. On success at most its header was changed in place.
    pub fn validate<'a>(
        &mut self,
        records: &'a mut [u8],
        rules: &AppendRules,
        arrival: Arrival<'_>,
    ) -> Result<Validated<'a>, Refusal> {
        let (header, codec) = admit(records, rules, arrival.version)?;
        let batch = records.get_mut(..header.size).ok_or(Refusal::NoBatch)?;
        let target = rules.compression.target(codec);
        let same_codec = target.compression() == codec;
        let walked = rules.depth == ValidationDepth::Full || rules.compacted || !same_codec;
        let walk = Walk::new(rules, arrival, &header).partial(codec != Compression::None && same_codec);
        let summary = if walked { self.walk(walk, batch, codec)? } else { walk.header_only()? };
        let log_append_time = match rules.timestamp_type {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(arrival.now),
        };
        let max_timestamp = log_append_time.unwrap_or(summary.max_timestamp);
        let max_timestamp_delta = summary.max_timestamp_delta;
        if same_codec && summary.dense {
            let (header, bytes) = patched(batch, rules.timestamp_type, max_timestamp)?;
            return Ok(Validated { header, bytes, log_append_time, max_timestamp_delta });
        }
        let attributes = header.attributes.of_rebuilt().with_timestamp_type(rules.timestamp_type);
        let header = BatchHeader { attributes, max_timestamp, ..header };
        let bytes = self.rebuild(rebuild::Job { original: batch, codec, target, header }, rules)?;
        let header = BatchHeader::parse(&bytes).map_err(Refusal::Corrupt)?;
        Ok(Validated { header, bytes: ValidBytes::Rebuilt(bytes), log_append_time, max_timestamp_delta })
    }

    fn walk(&mut self, walk: Walk<'_>, batch: &[u8], codec: Compression) -> Result<WalkSummary, Refusal> {
        let records = BatchView::parse(batch).map_err(Refusal::Corrupt)?.records_bytes();
        if codec == Compression::None {
            return walk.over(Plain(records));
        }
        let limits = walk.unpack_limits();
        walk.over(Packed::new(self.decompressor.open(codec, records, limits).map_err(Refusal::Compression)?))
    }

    fn rebuild(&mut self, job: rebuild::Job<'_>, rules: &AppendRules) -> Result<Vec<u8>, Refusal> {
        let kept = self.compressor.take().filter(|kept| kept.encoding() == job.target);
        let mut compressor = match kept {
            Some(kept) => kept,
            None => Compressor::new(job.target).map_err(Refusal::Compression)?,
        };
        let rebuilt = job.run(&mut self.decompressor, &mut compressor, rules)?;
        // A compressor that failed half-way is dropped with what waits inside it.
        self.compressor = Some(compressor);
        Ok(rebuilt)
    }
}

/// The checks that need the header only, in Kafka's order.
fn admit(records: &[u8], rules: &AppendRules, version: i16) -> Result<(BatchHeader, Compression), Refusal> {
    let (header, base_offset) = first_batch(records)?;
    let codec = header.attributes.compression();
    if version < ZSTD_FROM_VERSION && codec == Ok(Compression::Zstd) {
        return Err(Refusal::ZstdTooEarly { version });
    }
    check_rest(records.get(header.size..).unwrap_or(&[]))?;
    if base_offset != 0 {
        return Err(Refusal::BaseOffset { got: base_offset });
    }
    if header.size > rules.batch_bytes_max {
        return Err(Refusal::TooLarge { size: header.size, max: rules.batch_bytes_max });
    }
    let batch = BatchView::parse(records).map_err(Refusal::Corrupt)?;
    if !mutant!(append_without_crc) {
        batch.check_crc().map_err(Refusal::Corrupt)?;
    }
    let codec = codec?;
    let BatchHeader { last_offset_delta, record_count, .. } = header;
    if record_count <= 0 || last_offset_delta != record_count - 1 {
        return Err(Refusal::Count { last_offset_delta, record_count });
    }
    if header.attributes.is_control() {
        return Err(Refusal::Control);
    }
    if header.producer_id.is_some() && header.base_sequence.is_none() {
        return Err(Refusal::NoSequence);
    }
    Ok((header, codec))
}

/// The header of the first batch in `records`, which is there as a whole, and the offset that it names. The header of
/// one that names a negative offset has offset 0.
fn first_batch(records: &[u8]) -> Result<(BatchHeader, i64), Refusal> {
    match whole_header(records, records.len()) {
        Ok(header) => Ok((header, header.base_offset.value())),
        Err(Refusal::BaseOffset { got }) => {
            let mut header = records.get(..HEADER_BYTES).ok_or(Refusal::NoBatch)?.to_vec();
            header[..size_of::<i64>()].fill(0);
            Ok((whole_header(&header, records.len())?, got))
        }
        Err(refusal) => Err(refusal),
    }
}

/// The header at the front of `bytes`, if `available` bytes hold its batch.
fn whole_header(bytes: &[u8], available: usize) -> Result<BatchHeader, Refusal> {
    let prefix = match BatchPrefix::parse(bytes) {
        Ok(prefix) => prefix,
        Err(BatchError::Truncated { .. }) => return Err(Refusal::NoBatch),
        Err(BatchError::Offset { got }) => return Err(Refusal::BaseOffset { got }),
        Err(error @ (BatchError::Length { .. } | BatchError::Magic { .. } | BatchError::Checksum { .. })) => {
            return Err(Refusal::Corrupt(error));
        }
    };
    if prefix.size > available {
        return Err(Refusal::NoBatch);
    }
    if prefix.magic != MAGIC {
        return Err(Refusal::Magic { got: prefix.magic });
    }
    BatchHeader::parse(bytes).map_err(Refusal::Corrupt)
}

/// Bytes behind the first batch: too few for another are no fault, a whole batch or nonsense is.
fn check_rest(rest: &[u8]) -> Result<(), Refusal> {
    if let Some(overhead) = rest.first_chunk::<LOG_OVERHEAD_BYTES>() {
        let [.., a, b, c, d] = *overhead;
        let got = i32::from_be_bytes([a, b, c, d]);
        let min = legacy::OVERHEAD_BYTES_V0;
        if let Ok(length) = usize::try_from(got)
            && length >= min
        {
            let is_whole = rest.len() - LOG_OVERHEAD_BYTES >= length;
            return match BatchPrefix::parse(rest) {
                // Whatever offset it names, it is one too many.
                Ok(_) | Err(BatchError::Offset { .. }) if is_whole => Err(Refusal::SeveralBatches),
                Ok(_) | Err(BatchError::Truncated { .. } | BatchError::Offset { .. }) => Ok(()),
                Err(error) => Err(Refusal::Corrupt(error)),
            };
        }
        return Err(Refusal::Corrupt(BatchError::Length { got, min }));
    }
    Ok(())
}

/// The client's own bytes with the flag and the largest timestamp that the log must have (PRD-15, PRD-16).
fn patched(
    batch: &mut [u8],
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) -> Result<(BatchHeader, ValidBytes<'_>), Refusal> {
    let mut patch = BatchMut::parse(&mut *batch).map_err(Refusal::Corrupt)?;
    patch.set_timestamps(timestamp_type, max_timestamp);
    let header = *patch.header();
    Ok((header, ValidBytes::AsSent(batch)))
}
