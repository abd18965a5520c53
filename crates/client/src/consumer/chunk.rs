//! What one Fetch answer brought for one partition, and the records in it.
//!
//! Owns: walking over batches, unpacking, leaving out what a consumer does not see.
//! Does not own: the records of a batch (`open_batch`), where the partition stands (`positions`), what is fetched
//! next (`fetcher`).
//!
//! Invariants
//! - I1 records come in order, none below the offset that was asked for;
//! - I2 after the last record `end` is behind the last whole batch, also where compaction left holes or nothing.
//!
//! Source: requirements FET-12, FET-18, FET-19, FET-20; KIP-98 (aborted transactions).

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use ottla_model::{Offset, ProducerId, Timestamp, TopicPartition};
use ottla_protocol::compression::{Compression, CompressionError, Decompressor, UnpackLimits};
use ottla_protocol::record::{Batch, BatchError, BatchView, Batches, ControlKind, RecordBuffer, RecordError};

use super::open_batch::{OpenBatch, Wanted, record_of};
use super::record::{ConsumerRecord, TimestampKind};

/// Most bytes one batch may unpack to. Kafka has no such limit; this one keeps a hostile batch from taking all memory.
pub(crate) const BATCH_UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// A producer's transaction that was aborted, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub producer: ProducerId,
    pub first_offset: Offset,
}

/// How records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRules {
    pub check_crcs: bool,
    /// Leave out records of aborted transactions.
    pub committed_only: bool,
}

/// Why the records of a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The header of a batch or its checksum is wrong.
    #[error("Record batch for partition {partition} at offset {offset} is invalid, cause: {cause}")]
    Batch { partition: TopicPartition, offset: Offset, cause: BatchError },
    /// A batch cannot be unpacked.
    #[error("Record batch for partition {partition} at offset {offset} cannot be unpacked: {cause}")]
    Compression { partition: TopicPartition, offset: Offset, cause: CompressionError },
    /// A record in a batch is malformed.
    #[error("Record for partition {partition} at offset {offset} is invalid, cause: {cause}")]
    Record { partition: TopicPartition, offset: Offset, cause: RecordError },
}

/// Batches of one partition, on their way to the consumer.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub partition: TopicPartition,
    /// Which stay of the partition with this consumer it was fetched for.
    pub stay: u64,
    /// The offset that was asked for.
    pub start: Offset,
    /// Behind the last whole batch.
    pub end: Offset,
    bytes: Bytes,
    /// Bytes of the whole batches; what follows was cut off.
    whole: usize,
    /// Bytes of the batches that are opened or left out.
    read: usize,
    /// By first offset.
    aborted: VecDeque<Aborted>,
    /// Producers in whose aborted transaction the reader is now.
    in_aborted: HashSet<ProducerId>,
    /// The batch whose records are being handed out, and its first offset.
    open: Option<(Offset, OpenBatch)>,
}

/// Contexts and buffers that unpacking uses again and again.
#[derive(Default)]
pub(crate) struct Unpacker {
    decompressor: Decompressor,
    legacy: Option<RecordBuffer>,
}

impl Chunk {
    /// What an answer brought for `start`. `None` when there is no whole batch in it.
    pub(crate) fn new(
        (partition, stay): (TopicPartition, u64),
        start: Offset,
        bytes: Bytes,
        mut aborted: Vec<Aborted>,
    ) -> Option<Chunk> {
        let (whole, end) = extent_of(&bytes)?;
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Some(Chunk {
            partition,
            stay,
            start,
            end: end.max(start),
            bytes,
            whole,
            read: 0,
            aborted: aborted.into(),
            in_aborted: HashSet::new(),
            open: None,
        })
    }

    /// Bytes of the answer that this chunk keeps alive.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Hands out up to `count` records (at least one) into `output`. Answers where the consumer then stands, and whether
    /// there may be more. Records before a bad one are delivered first; reading on then fails, each time.
    pub(crate) fn read(
        &mut self,
        count: usize,
        (rules, unpacker): (ReadRules, &mut Unpacker),
        output: &mut Vec<ConsumerRecord>,
    ) -> Result<(Offset, bool), ReadError> {
        let before = output.len();
        let limit = before + count;
        loop {
            let step = match self.read_open(limit, output) {
                Ok(true) => Ok(()),
                Ok(false) if self.read == self.whole => return Ok((self.end, false)),
                Ok(false) if output.len() < limit => self.open_next(rules, unpacker),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            match (step, output[before..].last()) {
                (Ok(()), Some(last)) if output.len() == limit => return Ok((last.offset.next(), true)),
                (Ok(()), _) => {}
                (Err(_), Some(last)) => return Ok((last.offset.next(), true)),
                (Err(error), None) => return Err(error),
            }
        }
    }

    /// Hands out records of the open batch. Answers whether it may have more.
    fn read_open(&mut self, limit: usize, output: &mut Vec<ConsumerRecord>) -> Result<bool, ReadError> {
        let Some((base, batch)) = &mut self.open else { return Ok(false) };
        let wanted = Wanted { partition: &self.partition, start: self.start };
        match batch.read(wanted, limit, output) {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.open = None;
                Ok(false)
            }
            Err(cause) => {
                let (partition, offset) = (self.partition.clone(), *base);
                Err(ReadError::Record { partition, offset, cause })
            }
        }
    }

    /// Opens the next batch, or leaves it out.
    fn open_next(&mut self, rules: ReadRules, unpacker: &mut Unpacker) -> Result<(), ReadError> {
        let bytes = self.bytes.clone();
        let batch = Batch::parse(&bytes[self.read..]).map_err(|cause| self.bad_batch(self.start, cause))?;
        if batch.last_offset() >= self.start {
            if rules.check_crcs {
                batch.check_crc().map_err(|cause| self.bad_batch(batch.last_offset(), cause))?;
            }
            self.open = match &batch {
                Batch::V2(view) => self.open(view, rules, unpacker)?,
                Batch::Legacy(_) => Some(self.open_legacy(&batch, unpacker)?),
            };
        }
        self.read += batch.bytes().len();
        Ok(())
    }

    fn bad_batch(&self, offset: Offset, cause: BatchError) -> ReadError {
        ReadError::Batch { partition: self.partition.clone(), offset, cause }
    }

    fn bad_codec(&self, offset: Offset, cause: CompressionError) -> ReadError {
        ReadError::Compression { partition: self.partition.clone(), offset, cause }
    }

    fn open(
        &mut self,
        view: &BatchView<'_>,
        rules: ReadRules,
        unpacker: &mut Unpacker,
    ) -> Result<Option<(Offset, OpenBatch)>, ReadError> {
        let header = *view.header();
        let bad_codec = |cause| self.bad_codec(header.base_offset, cause);
        let codec = header.attributes.compression().map_err(|cause| bad_codec(cause.into()))?;
        let shared = match codec {
            Compression::None => self.bytes.slice_ref(view.records_bytes()),
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                let mut unpacked = Vec::new();
                let limits = UnpackLimits::bytes(BATCH_UNPACKED_BYTES_MAX);
                let packed = (codec, view.records_bytes());
                unpacker.decompressor.unpack_into(packed, limits, &mut unpacked).map_err(bad_codec)?;
                Bytes::from(unpacked)
            }
        };
        if header.attributes.is_control() {
            self.on_control(view, &shared)?;
            return Ok(None);
        }
        if rules.committed_only && header.attributes.is_transactional() && self.is_aborted(view) {
            return Ok(None);
        }
        Ok(Some((header.base_offset, OpenBatch::shared(view, shared))))
    }

    /// The end of a transaction: what this producer writes from here on is another one.
    fn on_control(&mut self, view: &BatchView<'_>, shared: &Bytes) -> Result<(), ReadError> {
        let header = view.header();
        let first = view.records_in(shared).next();
        let Some(record) = first else { return Ok(()) };
        let record = record.map_err(|cause| self.bad_record(header.base_offset, cause))?;
        // Kinds of control records that are not known yet are skipped.
        if let (Ok(ControlKind::Abort), Some(producer)) =
            (ControlKind::of_key(record.key.unwrap_or_default()), header.producer_id)
        {
            self.in_aborted.remove(&producer);
        }
        Ok(())
    }

    fn is_aborted(&mut self, view: &BatchView<'_>) -> bool {
        let header = view.header();
        while let Some(next) = self.aborted.pop_front_if(|next| next.first_offset <= header.last_offset()) {
            self.in_aborted.insert(next.producer);
        }
        header.producer_id.is_some_and(|producer| self.in_aborted.contains(&producer))
    }

    /// Messages of the time before batches.
    fn open_legacy(
        &self,
        batch: &Batch<'_>,
        unpacker: &mut Unpacker,
    ) -> Result<(Offset, OpenBatch), ReadError> {
        let fresh = || RecordBuffer::new(UnpackLimits::bytes(BATCH_UNPACKED_BYTES_MAX));
        let buffer = unpacker.legacy.get_or_insert_with(fresh);
        let records = batch.records(buffer).map_err(|cause| self.bad_codec(batch.last_offset(), cause))?;
        let mut copied = VecDeque::new();
        for record in records {
            let record = record.map_err(|cause| self.bad_record(batch.last_offset(), cause))?;
            if record.offset >= self.start {
                let kind = match record.timestamp {
                    Timestamp::NONE => TimestampKind::None,
                    _ => TimestampKind::CreateTime,
                };
                copied.push_back(record_of(&self.partition, (&record, (kind, None)), Bytes::copy_from_slice));
            }
        }
        Ok((batch.last_offset(), OpenBatch::Copied(copied)))
    }

    fn bad_record(&self, offset: Offset, cause: RecordError) -> ReadError {
        ReadError::Record { partition: self.partition.clone(), offset, cause }
    }
}

/// Bytes of the whole batches and the offset behind the last of them; `None` without one. A malformed batch counts
/// as the rest: reading up to it reports it.
fn extent_of(bytes: &[u8]) -> Option<(usize, Offset)> {
    let mut end = None;
    let mut whole = 0;
    for batch in Batches::new(bytes) {
        match batch {
            Ok(batch) => {
                end = Some(batch.last_offset().next());
                whole += batch.bytes().len();
            }
            Err(_) => return Some((bytes.len(), end.unwrap_or(Offset::ZERO))),
        }
    }
    Some((whole, end?))
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, ProducerEpoch, Sequence, TopicName};
    use ottla_protocol::compression::Encoding;
    use ottla_protocol::record::{
        BatchBuilder, BatchOptions, BatchProducer, EndTransaction, Header, NewRecord, end_transaction_batch,
    };

    use super::*;

    const RULES: ReadRules = ReadRules { check_crcs: true, committed_only: false };
    const COMMITTED: ReadRules = ReadRules { check_crcs: true, committed_only: true };

    fn partition() -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::default())
    }

    fn producer(id: i64) -> BatchProducer {
        BatchProducer {
            id: ProducerId::new(id).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: Sequence::new(0),
        }
    }

    /// A batch at `base` with one record per value.
    fn batch(base: i64, values: &[&str], options: BatchOptions) -> Vec<u8> {
        let options = BatchOptions { base_offset: Offset::new(base).unwrap(), ..options };
        let mut builder = BatchBuilder::new(options).unwrap();
        for value in values {
            let headers = [Header { key: b"h", value: Some(b"x") }];
            let timestamp = Timestamp::from_millis(5);
            let record = NewRecord { timestamp, key: None, value: Some(value.as_bytes()), headers: &headers };
            builder.append(record).unwrap();
        }
        builder.finish().unwrap()
    }

    fn plain(base: i64, values: &[&str]) -> Vec<u8> {
        batch(base, values, BatchOptions::default())
    }

    fn chunk(start: i64, bytes: Vec<u8>, aborted: Vec<Aborted>) -> Option<Chunk> {
        Chunk::new((partition(), 0), Offset::new(start).unwrap(), Bytes::from(bytes), aborted)
    }

    /// Reads everything, `step` records at a time; answers `offset:value` and where the consumer stands.
    fn read_all(mut chunk: Chunk, rules: ReadRules, step: usize) -> Result<(String, i64), ReadError> {
        let mut unpacker = Unpacker::default();
        let mut records = Vec::new();
        loop {
            let (position, more) = chunk.read(step, (rules, &mut unpacker), &mut records)?;
            if !more {
                let text = |record: &ConsumerRecord| {
                    let value = record.value.as_deref().unwrap_or_default();
                    format!("{}:{}", record.offset, std::str::from_utf8(value).unwrap())
                };
                let texts: Vec<String> = records.iter().map(text).collect();
                return Ok((texts.join(" "), position.value()));
            }
        }
    }

    /// FET-12: the answer begins with the batch that contains the offset, and may end inside a batch.
    #[test]
    fn records_below_the_offset_asked_for_and_a_batch_cut_off_are_left_out() {
        let mut bytes = [plain(0, &["a", "b", "c"]), plain(3, &["d"])].concat();
        bytes.extend_from_slice(&plain(4, &["e"])[..30]);
        for step in [1, 2, 10] {
            let read = read_all(chunk(1, bytes.clone(), vec![]).unwrap(), RULES, step).unwrap();
            assert_eq!(read, ("1:b 2:c 3:d".to_owned(), 4));
        }
        assert!(chunk(0, plain(0, &["a"])[..50].to_vec(), vec![]).is_none());
        assert!(chunk(0, Vec::new(), vec![]).is_none());
    }

    #[test]
    fn every_codec_is_read() {
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let encoding = Encoding::with_default_level(compression);
            let bytes = batch(7, &["x", "y"], BatchOptions { encoding, ..BatchOptions::default() });
            let read = read_all(chunk(7, bytes, vec![]).unwrap(), RULES, 10).unwrap();
            assert_eq!(read, ("7:x 8:y".to_owned(), 9), "{compression}");
        }
    }

    /// FET-20: a batch that compaction emptied keeps its place; the consumer steps over it.
    #[test]
    fn a_batch_without_records_moves_the_position_all_the_same() {
        let mut empty = plain(10, &["a", "b"]);
        empty.truncate(61);
        empty[8..12].copy_from_slice(&49_i32.to_be_bytes());
        empty[57..61].copy_from_slice(&0_i32.to_be_bytes());
        let no_crc = ReadRules { check_crcs: false, ..RULES };
        assert_eq!(read_all(chunk(10, empty, vec![]).unwrap(), no_crc, 10).unwrap(), (String::new(), 12));
    }

    /// FET-19
    #[test]
    fn control_records_are_never_seen() {
        let end = EndTransaction { coordinator_epoch: 0 };
        let marker = end_transaction_batch(
            BatchProducer { base_sequence: None, ..producer(1) },
            ControlKind::Commit,
            end,
            Timestamp::from_millis(1),
        );
        let mut marker = marker.unwrap();
        marker[..8].copy_from_slice(&1_i64.to_be_bytes());
        let bytes = [plain(0, &["a"]), marker, plain(2, &["b"])].concat();
        for rules in [RULES, COMMITTED] {
            let read = read_all(chunk(0, bytes.clone(), vec![]).unwrap(), rules, 10).unwrap();
            assert_eq!(read, ("0:a 2:b".to_owned(), 3));
        }
    }

    /// FET-18: aborted data are sent; the client leaves them out up to the marker.
    #[test]
    fn records_of_aborted_transactions_are_left_out_when_only_committed_ones_are_wanted() {
        let transactional = |id| BatchOptions {
            producer: Some(producer(id)),
            transactional: true,
            ..BatchOptions::default()
        };
        let marker = |base: i64, id, kind| {
            let end = EndTransaction { coordinator_epoch: 0 };
            let producer = BatchProducer { base_sequence: None, ..producer(id) };
            let mut bytes = end_transaction_batch(producer, kind, end, Timestamp::from_millis(1)).unwrap();
            bytes[..8].copy_from_slice(&base.to_be_bytes());
            bytes
        };
        let bytes = [
            batch(0, &["aborted"], transactional(1)),
            batch(1, &["kept"], transactional(2)),
            marker(2, 1, ControlKind::Abort),
            marker(3, 2, ControlKind::Commit),
            batch(4, &["later"], transactional(1)),
            marker(5, 1, ControlKind::Commit),
        ]
        .concat();
        let aborted = vec![Aborted { producer: ProducerId::new(1).unwrap(), first_offset: Offset::ZERO }];
        let committed = read_all(chunk(0, bytes.clone(), aborted.clone()).unwrap(), COMMITTED, 1).unwrap();
        assert_eq!(committed, ("1:kept 4:later".to_owned(), 6));
        let all = read_all(chunk(0, bytes, aborted).unwrap(), RULES, 10).unwrap();
        assert_eq!(all, ("0:aborted 1:kept 4:later".to_owned(), 6));
    }

    #[test]
    fn a_wrong_checksum_is_reported_unless_nobody_wants_to_know() {
        let mut bytes = plain(0, &["a"]);
        *bytes.last_mut().unwrap() ^= 1;
        let refused = read_all(chunk(0, bytes.clone(), vec![]).unwrap(), RULES, 10).unwrap_err();
        assert!(refused.to_string().starts_with("Record batch for partition t-0 at offset 0 is invalid"));
        let lenient = ReadRules { check_crcs: false, ..RULES };
        assert!(read_all(chunk(0, bytes, vec![]).unwrap(), lenient, 10).is_ok());
    }

    #[test]
    fn what_is_read_before_a_bad_batch_is_delivered() {
        let mut bad = plain(1, &["b"]);
        bad[16] = 9;
        let mut chunk = chunk(0, [plain(0, &["a"]), bad].concat(), vec![]).unwrap();
        let mut records = Vec::new();
        let mut unpacker = Unpacker::default();
        let first = chunk.read(9, (RULES, &mut unpacker), &mut records).unwrap();
        assert_eq!((records.len(), first), (1, (Offset::ZERO.next(), true)));
        for _ in 0..2 {
            assert!(chunk.read(9, (RULES, &mut unpacker), &mut records).is_err());
        }
    }

    /// As the Java client: what can be read is delivered, and reading on fails until somebody seeks.
    #[test]
    fn what_is_read_before_a_bad_record_is_delivered() {
        let mut bytes = plain(4, &["a", "b", "c"]);
        let last = bytes.len() - plain(0, &["c"]).len() + 61;
        bytes[last] = 9;
        let no_crc = ReadRules { check_crcs: false, ..RULES };
        for step in [1, 2, 9] {
            let mut chunk = chunk(4, bytes.clone(), vec![]).unwrap();
            let (mut records, mut unpacker) = (Vec::new(), Unpacker::default());
            while records.len() < 2 {
                let (position, more) = chunk.read(step, (no_crc, &mut unpacker), &mut records).unwrap();
                assert_eq!((position, more), (records.last().unwrap().offset.next(), true));
            }
            for _ in 0..2 {
                let refused = chunk.read(step, (no_crc, &mut unpacker), &mut records).unwrap_err();
                assert!(matches!(&refused, ReadError::Record { offset, .. } if offset.value() == 4));
            }
            assert_eq!(records.len(), 2);
        }
    }
}
