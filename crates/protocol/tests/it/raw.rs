//! Batches with any field wrong that a test wants wrong.
//!
//! Owns: encoding by hand, without the checks of the builder. Does not own: what is expected of them.

use crc_fast::{CrcAlgorithm, checksum};
use ottla_protocol::compression::{Compression, Compressor, Encoding};

/// A client's clock in the tests.
pub const NOW: i64 = 1_795_371_649_600;

/// The fields of a batch as they are written, right or wrong.
#[derive(Clone, Debug)]
pub struct RawBatch {
    pub base_offset: i64,
    pub length: Option<i32>,
    pub magic: u8,
    pub attributes: u16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
    pub crc_shift: u32,
    pub payload: Vec<u8>,
}

impl RawBatch {
    /// A right batch of these records, not compressed.
    pub fn of(records: &[Vec<u8>]) -> RawBatch {
        let count = i32::try_from(records.len()).unwrap();
        RawBatch {
            base_offset: 0,
            length: None,
            magic: 2,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: NOW,
            max_timestamp: NOW,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: count,
            crc_shift: 0,
            payload: records.concat(),
        }
    }

    /// The same with its payload packed.
    pub fn packed(mut self, codec: Compression) -> RawBatch {
        self.payload = pack(&self.payload, codec);
        self.attributes |= u16::from(codec.id());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut covered = Vec::new();
        covered.extend(self.attributes.to_be_bytes());
        covered.extend(self.last_offset_delta.to_be_bytes());
        covered.extend(self.base_timestamp.to_be_bytes());
        covered.extend(self.max_timestamp.to_be_bytes());
        covered.extend(self.producer_id.to_be_bytes());
        covered.extend(self.producer_epoch.to_be_bytes());
        covered.extend(self.base_sequence.to_be_bytes());
        covered.extend(self.record_count.to_be_bytes());
        covered.extend(&self.payload);
        let crc = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, &covered)).unwrap();
        let mut batch = self.base_offset.to_be_bytes().to_vec();
        let length = i32::try_from(covered.len() + 9).unwrap();
        batch.extend(self.length.unwrap_or(length).to_be_bytes());
        batch.extend((-1_i32).to_be_bytes());
        batch.push(self.magic);
        batch.extend(crc.wrapping_add(self.crc_shift).to_be_bytes());
        batch.extend(covered);
        batch
    }
}

pub fn pack(payload: &[u8], codec: Compression) -> Vec<u8> {
    let mut compressor = Compressor::new(Encoding::with_default_level(codec)).unwrap();
    let mut packed = Vec::new();
    compressor.write(payload, &mut packed).unwrap();
    compressor.finish(&mut packed).unwrap();
    packed
}

/// The fields of a record as they are written, right or wrong.
#[derive(Clone, Debug)]
pub struct RawRecord {
    pub offset_delta: i64,
    pub timestamp_delta: i64,
    pub key: Option<Vec<u8>>,
    pub header_count: i64,
    pub length_shift: i64,
    pub tail: Vec<u8>,
}

impl RawRecord {
    pub fn at(offset_delta: i64) -> RawRecord {
        RawRecord {
            offset_delta,
            timestamp_delta: 0,
            key: Some(b"k".to_vec()),
            header_count: 0,
            length_shift: 0,
            tail: Vec::new(),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = vec![0];
        body.extend(varint(self.timestamp_delta));
        body.extend(varint(self.offset_delta));
        match &self.key {
            Some(key) => {
                body.extend(varint(key.len() as i64));
                body.extend(key);
            }
            None => body.extend(varint(-1)),
        }
        body.extend(varint(1));
        body.extend(b"v");
        body.extend(varint(self.header_count));
        body.extend(&self.tail);
        let mut record = varint(body.len() as i64 + self.length_shift);
        record.extend(body);
        record
    }
}

/// Records 0, 1, … with a key.
pub fn records(count: i64) -> Vec<Vec<u8>> {
    (0..count).map(|index| RawRecord::at(index).bytes()).collect()
}

pub fn varint(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left as u8) | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}
