//! `.snapshot` files: the producer state of a log as of one offset.
//!
//! Owns: the bytes. Does not own: when a snapshot is taken, which of several is used.
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 2 | 1 |
//! | CRC-32C of all that follows | 4 | |
//! | number of entries | 4 | |
//! | per producer: id | 8 | |
//! | epoch | 2 | |
//! | last sequence | 4 | −1: its last batch had none, or is of an older epoch |
//! | last offset | 8 | −1: likewise |
//! | last offset − first offset | 4 | |
//! | last timestamp | 8 | |
//! | coordinator epoch | 4 | −1: it never ended a transaction |
//! | first offset of the open transaction | 8 | −1: none |
//!
//! All numbers are big endian. Only the last batch of each producer survives, so after a restart a
//! repetition of an older one is out of order, as in Kafka.
//!
//! Source: requirement 8.1; files that Kafka 4.3.1 wrote (`tests/data/hex-rolled.txt`, `hex-txn.txt`).

use crc_fast::{CrcAlgorithm, checksum};
use ottla_model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_mutant::mutant;

use super::entry::{AppendedBatch, ProducerEntry};

const VERSION: i16 = 1;
/// Version, checksum and count.
const HEADER_BYTES: usize = 10;
/// First byte that the checksum covers.
const CRC_COVERS_FROM: usize = 6;
const ENTRY_BYTES: usize = 46;

const _: () = {
    assert!(CRC_COVERS_FROM == 2 + 4);
    assert!(HEADER_BYTES == CRC_COVERS_FROM + 4);
    assert!(ENTRY_BYTES == 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8);
};

/// Why a snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("version {got} is unknown")]
    Version { got: i16 },
    #[error("it has {got} bytes, {stated} entries need {needed}")]
    Length { got: usize, stated: i32, needed: usize },
    #[error("the checksum is {stated:08x}, the content has {computed:08x}")]
    Checksum { stated: u32, computed: u32 },
    #[error("entry {entry} has a number that is out of range")]
    Entry { entry: usize },
}

/// The bytes of a snapshot with these producers, in this order.
pub(crate) fn encode<'a>(entries: impl IntoIterator<Item = (ProducerId, &'a ProducerEntry)>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    let mut count: i32 = 0;
    for (producer, entry) in entries {
        count += 1;
        encode_entry(producer, entry, &mut bytes);
    }
    bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
    bytes[CRC_COVERS_FROM..HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
    bytes[2..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_entry(producer: ProducerId, entry: &ProducerEntry, bytes: &mut Vec<u8>) {
    let last = entry.last_batch();
    let last_sequence = last.and_then(|batch| batch.last_sequence).map_or(-1, Sequence::value);
    let delta = last.and_then(|batch| i32::try_from(batch.offset_delta).ok()).unwrap_or(0);
    bytes.extend_from_slice(&producer.value().to_be_bytes());
    bytes.extend_from_slice(&entry.epoch.map_or(-1, ProducerEpoch::value).to_be_bytes());
    bytes.extend_from_slice(&last_sequence.to_be_bytes());
    bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset.value()).to_be_bytes());
    bytes.extend_from_slice(&delta.to_be_bytes());
    bytes.extend_from_slice(&entry.last_timestamp.millis().to_be_bytes());
    bytes.extend_from_slice(&entry.coordinator_epoch.unwrap_or(-1).to_be_bytes());
    bytes.extend_from_slice(&entry.transaction_first_offset.map_or(-1, Offset::value).to_be_bytes());
}

/// Reads a snapshot.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, SnapshotError> {
    let mut header = Numbers(bytes);
    let (Some(version), Some(crc), Some(stated)) = (header.i16(), header.i32(), header.i32()) else {
        return Err(SnapshotError::Length { got: bytes.len(), stated: 0, needed: HEADER_BYTES });
    };
    if version != VERSION {
        return Err(SnapshotError::Version { got: version });
    }
    let (crc, computed) = (u32::from_be_bytes(crc.to_be_bytes()), crc32c(&bytes[CRC_COVERS_FROM..]));
    if crc != computed && !mutant!(skip_snapshot_crc) {
        return Err(SnapshotError::Checksum { stated: crc, computed });
    }
    let needed =
        usize::try_from(stated).ok().and_then(|count| count.checked_mul(ENTRY_BYTES)).unwrap_or(usize::MAX);
    if header.0.len() != needed {
        let needed = needed.saturating_add(HEADER_BYTES);
        return Err(SnapshotError::Length { got: bytes.len(), stated, needed });
    }
    let entries = header.0.chunks_exact(ENTRY_BYTES).enumerate();
    entries.map(|(at, bytes)| decode_entry(bytes).ok_or(SnapshotError::Entry { entry: at })).collect()
}

fn decode_entry(bytes: &[u8]) -> Option<(ProducerId, ProducerEntry)> {
    let mut numbers = Numbers(bytes);
    let producer = ProducerId::new(numbers.i64()?)?;
    let epoch = ProducerEpoch::new(numbers.i16()?);
    let last_sequence = Sequence::new(numbers.i32()?);
    let last_offset = Offset::new(numbers.i64()?);
    let offset_delta = numbers.i32()?;
    let timestamp = Timestamp::from_millis(numbers.i64()?);
    let coordinator_epoch = Some(numbers.i32()?).filter(|epoch| *epoch >= 0);
    let transaction_first_offset = Offset::new(numbers.i64()?);
    let mut entry = ProducerEntry::new();
    if let (Some(epoch), Some(last_offset)) = (epoch, last_offset) {
        let offset_delta = u32::try_from(offset_delta).ok()?;
        entry.add(epoch, AppendedBatch { last_sequence, last_offset, offset_delta, timestamp });
    }
    entry.epoch = epoch;
    entry.last_timestamp = timestamp;
    entry.coordinator_epoch = coordinator_epoch;
    entry.transaction_first_offset = transaction_first_offset;
    Some((producer, entry))
}

fn crc32c(bytes: &[u8]) -> u32 {
    // The library returns every checksum in 64 bits; this one has 32.
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or(0)
}

/// Big-endian numbers, read from the front.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn i16(&mut self) -> Option<i16> {
        self.chunk().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.chunk().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOG-00
    #[test]
    fn a_snapshot_without_producers_is_kafkas_byte_for_byte() {
        let bytes = [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0];
        assert_eq!(encode([]), bytes);
        assert_eq!(decode(&bytes), Ok(Vec::new()));
    }

    /// IDM-09
    #[test]
    fn a_damaged_snapshot_is_refused() {
        let good = encode([(ProducerId::new(7).unwrap(), &ProducerEntry::new())]);
        assert!(decode(&good).is_ok());
        for cut in 0..good.len() {
            assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(decode(&bad).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_anything_is_reserved() {
        let mut bytes = encode([]);
        bytes[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decode(&bytes), Err(SnapshotError::Length { stated: i32::MAX, .. })));
    }
}
