//! A batch written anew with fewer records, as compaction leaves it.
//!
//! Owns: which bytes of a batch stay, the new header, batches without records.
//! Does not own: which records stay and when a delete horizon is set (`storage`), the codecs (`compression`).
//!
//! What Kafka's cleaner keeps of a header is kept: both ends of the offsets, producer, sequence, leader epoch, codec, the
//! kind of time. The base timestamp becomes that of the first record that stays, or the delete horizon (KIP-534); the
//! largest timestamp that of the records that stay. A batch whose base timestamp stays is copied in runs of records.
//!
//! Messages of magic 0 and 1 become a batch of magic 2: only there is a place for a delete horizon.
//!
//! Invariants
//! - I1 nothing is allocated per record: buffers serve one batch after the other;
//! - I2 what is written has a right checksum, so a caller compares that of the source first.
//!
//! Source: requirements CMP-02, CMP-03; KIP-534.

use ottla_model::{Offset, Timestamp};

use super::batch::{Batch, BatchView, RecordBuffer};
use super::builder::{BATCH_BYTES_MAX, Deltas, body_size, encode_record};
use super::layout::{Attributes, BatchHeader, HEADER_BYTES, TimestampType};
use super::legacy::LegacyBatch;
use super::records::{Record, RecordError};
use super::{NewRecord, varint};
use crate::compression::{Compression, CompressionError, Compressor, Encoding, UnknownCodec, UnpackLimits};

/// Codecs a batch may name.
const CODECS: usize = 5;

/// Why a batch could not be read or written anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a batch with {bytes} bytes is larger than {BATCH_BYTES_MAX}")]
    TooLarge { bytes: usize },
}

impl From<UnknownCodec> for RewriteError {
    fn from(error: UnknownCodec) -> RewriteError {
        RewriteError::Compression(error.into())
    }
}

/// What of a batch stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Records that stay.
    pub kept: u32,
    /// Records that go.
    pub dropped: u32,
    /// One that stays has no value.
    pub has_tombstones: bool,
}

/// Where a record that stays lies among the unpacked records.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: usize,
    to: usize,
}

/// Writes batches anew, one after the other.
pub struct BatchRewriter {
    buffer: RecordBuffer,
    kept: Vec<Stretch>,
    /// Of magic 0 and 1, whose records have another form, in place of `kept`.
    kept_offsets: Vec<Offset>,
    first_timestamp: Timestamp,
    max_timestamp: Timestamp,
    scratch: Vec<u8>,
    compressors: [Option<Compressor>; CODECS],
}

impl BatchRewriter {
    /// Reads batches that unpack to no more than the limits say.
    pub fn new(limits: UnpackLimits) -> BatchRewriter {
        BatchRewriter {
            buffer: RecordBuffer::new(limits),
            kept: Vec::new(),
            kept_offsets: Vec::new(),
            first_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            scratch: Vec::new(),
            compressors: [const { None }; CODECS],
        }
    }

    /// Shows every record of a batch to `look`.
    pub fn each(
        &mut self,
        batch: &Batch<'_>,
        mut look: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<bool, RewriteError> {
        for record in batch.records(&mut self.buffer)? {
            if !look(&record?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks of every record whether it stays. What stays is written by [`BatchRewriter::write_selected`].
    pub fn select(
        &mut self,
        batch: &Batch<'_>,
        keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Selected, RewriteError> {
        self.kept.clear();
        self.kept_offsets.clear();
        (self.first_timestamp, self.max_timestamp) = (Timestamp::NONE, Timestamp::NONE);
        match batch {
            Batch::V2(view) => self.select_in(view, keep),
            Batch::Legacy(set) => self.select_old(set, keep),
        }
    }

    fn select_in(
        &mut self,
        view: &BatchView<'_>,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Selected, RewriteError> {
        let codec = view.header().attributes.compression()?;
        let unpacked = match codec {
            Compression::None => view.records_bytes(),
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                self.buffer.unpack(codec, view.records_bytes())?
            }
        };
        let mut selected = Selected { kept: 0, dropped: 0, has_tombstones: false };
        let mut records = view.records_in(unpacked);
        loop {
            let from = unpacked.len() - records.unread();
            let Some(record) = records.next() else { return Ok(selected) };
            let record = record?;
            if !keep(&record) {
                selected.dropped += 1;
                continue;
            }
            let to = unpacked.len() - records.unread();
            if selected.kept == 0 {
                self.first_timestamp = record.timestamp;
            }
            self.max_timestamp = self.max_timestamp.max(record.timestamp);
            selected.kept += 1;
            selected.has_tombstones |= record.value.is_none();
            match self.kept.last_mut() {
                Some(last) if last.to == from => last.to = to,
                Some(_) | None => self.kept.push(Stretch { from, to }),
            }
        }
    }

    fn select_old(
        &mut self,
        set: &LegacyBatch<'_>,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Selected, RewriteError> {
        let mut selected = Selected { kept: 0, dropped: 0, has_tombstones: false };
        for record in set.records(&mut self.buffer)? {
            let record = record?;
            if !keep(&record) {
                selected.dropped += 1;
                continue;
            }
            if selected.kept == 0 {
                self.first_timestamp = record.timestamp;
            }
            self.max_timestamp = self.max_timestamp.max(record.timestamp);
            selected.kept += 1;
            selected.has_tombstones |= record.value.is_none();
            self.kept_offsets.push(record.offset);
        }
        Ok(selected)
    }

    /// Appends to `output` the batch that was looked at last, with the records that were selected, of which there is one
    /// at least. `horizon`: the delete horizon it has or gets.
    pub fn write_selected(
        &mut self,
        batch: &Batch<'_>,
        horizon: Option<Timestamp>,
        output: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        assert!(self.kept.len() + self.kept_offsets.len() > 0, "a batch without records is written empty");
        let base_timestamp = horizon.unwrap_or(self.first_timestamp);
        self.scratch.clear();
        let (header, codec) = match batch {
            Batch::V2(view) => {
                let codec = view.header().attributes.compression()?;
                (self.gather(view, base_timestamp, codec)?, codec)
            }
            Batch::Legacy(set) => {
                let codec = set.attributes().compression()?;
                (self.convert(set, base_timestamp)?, codec)
            }
        };
        let mut attributes = header.attributes.with_compression(codec);
        if horizon.is_some() {
            attributes = attributes.delete_horizon();
        }
        let append_time = attributes.timestamp_type() == TimestampType::LogAppendTime;
        let max_timestamp = if append_time { header.max_timestamp } else { self.max_timestamp };
        let start = output.len();
        output.resize(start + HEADER_BYTES, 0);
        let packed = self.pack(codec, output);
        let bytes = output.len() - start;
        if packed.is_err() || bytes > BATCH_BYTES_MAX {
            output.truncate(start);
            return Err(packed.err().unwrap_or(RewriteError::TooLarge { bytes }));
        }
        let header = BatchHeader { attributes, base_timestamp, max_timestamp, ..header };
        header.seal(&mut output[start..]);
        Ok(())
    }

    /// Brings the records that stay into `scratch`. Returns the header, of which times and codec are still to be set.
    fn gather(
        &mut self,
        view: &BatchView<'_>,
        base_timestamp: Timestamp,
        codec: Compression,
    ) -> Result<BatchHeader, RewriteError> {
        let header = *view.header();
        let unpacked = match codec {
            Compression::None => view.records_bytes(),
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                self.buffer.unpacked()
            }
        };
        let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        let same_deltas = !append_time && base_timestamp == header.base_timestamp;
        let mut record_count: i32 = 0;
        for stretch in &self.kept {
            let mut rest = unpacked.get(stretch.from..stretch.to).unwrap_or(&[]);
            if same_deltas {
                self.scratch.extend_from_slice(rest);
            }
            while !rest.is_empty() {
                let length = usize::try_from(varint::read_i32(&mut rest)?).unwrap_or(0);
                let (body, behind) = rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
                rest = behind;
                record_count = record_count.saturating_add(1);
                if !same_deltas {
                    let created = (!append_time).then_some(header.base_timestamp);
                    shift((body, created), (base_timestamp, header.max_timestamp), &mut self.scratch)?;
                }
            }
        }
        let attributes = attributes_kept(header.attributes);
        Ok(BatchHeader { attributes, record_count, ..header })
    }

    /// As `gather`, for the records of an old format.
    fn convert(
        &mut self,
        set: &LegacyBatch<'_>,
        base_timestamp: Timestamp,
    ) -> Result<BatchHeader, RewriteError> {
        let base_offset = self.kept_offsets.first().copied().unwrap_or(set.last_offset());
        let mut wanted = self.kept_offsets.iter().copied().peekable();
        let mut record_count = 0;
        for record in set.records(&mut self.buffer)? {
            let record = record?;
            if wanted.next_if_eq(&record.offset).is_none() {
                continue;
            }
            let offset = record.offset.distance_from(base_offset);
            let deltas = Deltas {
                timestamp: record.timestamp.millis().wrapping_sub(base_timestamp.millis()),
                offset: i32::try_from(offset).map_err(|_| RecordError::OffsetDelta { got: i32::MAX })?,
            };
            let record =
                NewRecord { timestamp: record.timestamp, key: record.key, value: record.value, headers: &[] };
            encode_record((deltas, body_size(deltas, &record)), &record, &mut self.scratch);
            record_count += 1;
        }
        let timestamp_type = match set.magic() {
            0 => TimestampType::CreateTime,
            _ => set.attributes().timestamp_type(),
        };
        let last_offset_delta = set.last_offset().distance_from(base_offset);
        Ok(BatchHeader {
            base_offset,
            size: 0,
            leader_epoch: None,
            crc: 0,
            attributes: Attributes::default().with_timestamp_type(timestamp_type),
            last_offset_delta: i32::try_from(last_offset_delta).unwrap_or(i32::MAX),
            base_timestamp,
            max_timestamp: set.max_timestamp(),
            producer_id: None,
            producer_epoch: None,
            base_sequence: None,
            record_count,
        })
    }

    /// Packs `scratch` behind the output.
    fn pack(&mut self, codec: Compression, output: &mut Vec<u8>) -> Result<(), RewriteError> {
        let slot = self.compressors.get_mut(usize::from(codec.id()));
        let Some(slot) = slot.filter(|_| codec != Compression::None) else {
            output.extend_from_slice(&self.scratch);
            return Ok(());
        };
        // A compressor that failed in the middle of a stream is not used again.
        let mut compressor = match slot.take() {
            Some(compressor) => compressor,
            None => Compressor::new(Encoding::with_default_level(codec))?,
        };
        compressor.write(&self.scratch, output)?;
        compressor.finish(output)?;
        *slot = Some(compressor);
        Ok(())
    }
}

/// Appends to `output` what is left of a batch without its records: its place in the log and its producer's sequence.
pub fn write_emptied(header: &BatchHeader, output: &mut Vec<u8>) {
    let start = output.len();
    output.resize(start + HEADER_BYTES, 0);
    let emptied = BatchHeader {
        size: HEADER_BYTES,
        attributes: attributes_kept(header.attributes),
        base_timestamp: Timestamp::NONE,
        record_count: 0,
        ..*header
    };
    emptied.seal(&mut output[start..]);
}

/// Whose clock, transaction and control: the codec and the delete horizon are set anew.
fn attributes_kept(before: Attributes) -> Attributes {
    before.of_rebuilt().with_compression(Compression::None)
}

/// Appends a record whose time counts from another base. `created`: the base its time counts from; without one it has the
/// leader's time.
fn shift(
    (body, created): (&[u8], Option<Timestamp>),
    (base, append_time): (Timestamp, Timestamp),
    output: &mut Vec<u8>,
) -> Result<(), RewriteError> {
    let mut rest = body.get(1..).ok_or(RecordError::Truncated)?;
    let delta = varint::read_i64(&mut rest)?;
    let timestamp = match created {
        Some(created) => created.millis().wrapping_add(delta),
        None => append_time.millis(),
    };
    let delta = timestamp.wrapping_sub(base.millis());
    let length = 1 + varint::size_i64(delta) + rest.len();
    let length = i32::try_from(length).map_err(|_| RewriteError::TooLarge { bytes: length })?;
    varint::write_i32(output, length);
    output.push(0);
    varint::write_i64(output, delta);
    output.extend_from_slice(rest);
    Ok(())
}
