//! Writing a client's batch anew: with another codec, or with offset deltas 0, 1, ….
//!
//! Owns: the copy of the records, unpacked and packed again in pieces.
//! Does not own: whether it is needed (`validate`). The records were walked before, so they are well-formed.
//!
//! Source: requirements REC-03, PRD-17, TRAP-37.

use ottla_model::Timestamp;

use super::rules::{AppendRules, Refusal};
use super::scan::{Cursor, Packed, Plain, Source};
use crate::compression::{Compression, CompressionError, Compressor, Decompressor, Encoding};
use crate::record::batch::BatchView;
use crate::record::layout::{BatchHeader, HEADER_BYTES, TimestampType};
use crate::record::varint;

/// One batch to be written anew.
pub(super) struct Job<'a> {
    pub(super) original: &'a [u8],
    pub(super) codec: Compression,
    pub(super) target: Encoding,
    /// What the new header says, but for size, codec, base timestamp and checksum.
    pub(super) header: BatchHeader,
}

impl Job<'_> {
    pub(super) fn run(
        self,
        decompressor: &mut Decompressor,
        compressor: &mut Compressor,
        rules: &AppendRules,
    ) -> Result<Vec<u8>, Refusal> {
        let original = BatchView::parse(self.original).map_err(Refusal::Corrupt)?;
        let packed = original.records_bytes();
        let mut copy = Copy {
            times: Times::of(original.header()),
            compressor,
            output: vec![0; HEADER_BYTES],
            scratch: Vec::new(),
            bytes_max: rules.batch_bytes_max,
        };
        let count = self.header.record_count;
        let base_timestamp = if self.codec == Compression::None {
            copy.records(Plain(packed), count)?
        } else {
            let unpacked =
                decompressor.open(self.codec, packed, rules.unpack).map_err(Refusal::Compression)?;
            copy.records(Packed::new(unpacked), count)?
        };
        let mut output = copy.finish()?;
        let attributes = self.header.attributes.with_compression(self.target.compression());
        BatchHeader { base_timestamp, attributes, ..self.header }.seal(&mut output);
        Ok(output)
    }
}

/// Where the timestamps of the original's records come from.
#[derive(Clone, Copy)]
enum Times {
    FromBase(Timestamp),
    All(Timestamp),
}

impl Times {
    fn of(header: &BatchHeader) -> Times {
        match header.attributes.timestamp_type() {
            TimestampType::CreateTime => Times::FromBase(header.base_timestamp),
            TimestampType::LogAppendTime => Times::All(header.max_timestamp),
        }
    }

    fn timestamp(self, delta: i64) -> Timestamp {
        match self {
            Times::FromBase(base) => Timestamp::from_millis(base.millis().wrapping_add(delta)),
            Times::All(all) => all,
        }
    }
}

struct Copy<'a> {
    times: Times,
    compressor: &'a mut Compressor,
    output: Vec<u8>,
    /// The part of a record that changes, on its way to the codec.
    scratch: Vec<u8>,
    bytes_max: usize,
}

impl Copy<'_> {
    /// Copies all records; returns the new base timestamp, which is that of the first record.
    fn records(&mut self, source: impl Source, count: i32) -> Result<Timestamp, Refusal> {
        let mut cursor = Cursor::new(source);
        let mut base = None;
        for index in 0..count {
            let declared = cursor.begin_record()?;
            let timestamp = self.times.timestamp(cursor.begin_body()?);
            cursor.varint_i32()?;
            let base = *base.get_or_insert(timestamp);
            let rest = declared.saturating_sub(cursor.taken());
            self.head(timestamp.millis().wrapping_sub(base.millis()), index, rest)?;
            let Copy { compressor, output, .. } = self;
            cursor
                .copy_rest(declared, |piece| compressor.write(piece, output).map_err(Refusal::Compression))?;
            self.check_size()?;
        }
        Ok(base.unwrap_or(Timestamp::NONE))
    }

    /// Writes length, attributes and deltas of a record that goes on with `rest` copied bytes.
    fn head(&mut self, timestamp_delta: i64, offset_delta: i32, rest: u64) -> Result<(), Refusal> {
        let changed = 1 + varint::size_i64(timestamp_delta) + varint::size_i32(offset_delta);
        let length = u64::try_from(changed).unwrap_or(0).saturating_add(rest);
        let too_large = Refusal::TooLarge { size: self.output.len(), max: self.bytes_max };
        let length = i32::try_from(length).map_err(|_| too_large)?;
        self.scratch.clear();
        varint::write_i32(&mut self.scratch, length);
        self.scratch.push(0);
        varint::write_i64(&mut self.scratch, timestamp_delta);
        varint::write_i32(&mut self.scratch, offset_delta);
        self.compressor.write(&self.scratch, &mut self.output).map_err(Refusal::Compression)
    }

    fn finish(mut self) -> Result<Vec<u8>, Refusal> {
        let failed = |error: CompressionError| Refusal::Compression(error);
        self.compressor.finish(&mut self.output).map_err(failed)?;
        self.check_size()?;
        Ok(self.output)
    }

    /// The limit holds for the rebuilt batch too (PRD-09); what is too large already only grows.
    fn check_size(&self) -> Result<(), Refusal> {
        let (size, max) = (self.output.len(), self.bytes_max);
        if size > max { Err(Refusal::TooLarge { size, max }) } else { Ok(()) }
    }
}
