//! A batch on its way from the first record to the answer.
//!
//! Owns: filling, sealing, stamping with a producer's identity, splitting one that was too large.
//! Does not own: the bytes of a batch (`protocol::record`), which batch is sent when (`machine`).

use std::time::Instant;

use bytes::Bytes;
use ottla_model::{ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::compression::{Encoding, UnpackLimits};
use ottla_protocol::record::{
    BatchBuilder, BatchMut, BatchOptions, BatchProducer, BatchView, BuildError, Header, NewRecord,
    RecordBuffer,
};

/// Most bytes that a batch of ours unpacks to; only those we built ourselves are ever split.
const SPLIT_BYTES_MAX: u64 = 1 << 31;

/// The id and epoch under which an idempotent producer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// Where an idempotent producer gets its identity from.
#[derive(Debug)]
pub(crate) enum IdentityState {
    NotNeeded,
    Wanted { not_before: Option<Instant> },
    Asked,
    Known(Identity),
}

/// An identity and the sequence of the first record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub identity: Identity,
    pub base_sequence: Sequence,
}

impl Stamp {
    fn producer(self) -> BatchProducer {
        let Identity { id, epoch } = self.identity;
        BatchProducer { id, epoch, base_sequence: Some(self.base_sequence) }
    }
}

/// Records for one partition. `T` says who waits for them.
pub(crate) struct Batch<T> {
    pub token: T,
    /// First of its places among the batches of its partition, and how many places it has.
    pub order: u64,
    pub span: u64,
    pub created: Instant,
    pub records: u32,
    /// Bytes of the buffer that its records hold.
    pub reserved: usize,
    pub attempts: u32,
    /// Not sent again before this moment.
    pub not_before: Option<Instant>,
    pub stamp: Option<Stamp>,
    /// Whether an attempt ended without telling whether the records were stored.
    pub maybe_stored: bool,
    body: Body,
}

enum Body {
    Open(Box<BatchBuilder>),
    Sealed(Bytes),
}

impl<T> Batch<T> {
    pub(crate) fn new(
        token: T,
        order: u64,
        created: Instant,
        encoding: Encoding,
    ) -> Result<Batch<T>, BuildError> {
        let builder = BatchBuilder::new(BatchOptions { encoding, ..BatchOptions::default() })?;
        Ok(Batch {
            token,
            order,
            span: super::queue::ORDER_SPAN,
            created,
            records: 0,
            reserved: 0,
            attempts: 0,
            not_before: None,
            stamp: None,
            maybe_stored: false,
            body: Body::Open(Box::new(builder)),
        })
    }

    /// Whether `record` fits into a batch of `bytes_max`; a batch without records takes any.
    pub(crate) fn has_room(&self, record: &NewRecord<'_>, bytes_max: usize) -> bool {
        match &self.body {
            Body::Open(builder) => self.records == 0 || builder.unpacked_bytes_with(record) <= bytes_max,
            Body::Sealed(_) => false,
        }
    }

    /// Adds a record; answers its number in the batch.
    pub(crate) fn append(&mut self, record: NewRecord<'_>, reserved: usize) -> Result<u32, BuildError> {
        let Body::Open(builder) = &mut self.body else { panic!("a sealed batch takes no records") };
        builder.append(record)?;
        let index = self.records;
        self.records += 1;
        self.reserved += reserved;
        Ok(index)
    }

    /// Bytes so far, before compression while the batch is open.
    pub(crate) fn bytes(&self) -> usize {
        match &self.body {
            Body::Open(builder) => builder.unpacked_bytes(),
            Body::Sealed(bytes) => bytes.len(),
        }
    }

    /// Ends the batch and stamps it with its present identity. Answers the bytes to send.
    pub(crate) fn seal(&mut self) -> Result<Bytes, BuildError> {
        let bytes = match std::mem::replace(&mut self.body, Body::Sealed(Bytes::new())) {
            Body::Open(mut builder) => {
                if let Some(stamp) = self.stamp {
                    builder.set_producer(stamp.producer());
                }
                Bytes::from(builder.finish()?)
            }
            Body::Sealed(bytes) => match self.stamp {
                Some(stamp) => stamped(bytes, stamp),
                None => bytes,
            },
        };
        self.body = Body::Sealed(bytes.clone());
        Ok(bytes)
    }

    /// Divides a sealed batch into two of about half the records. Answers `None` for a single record.
    pub(crate) fn split(&self, encoding: Encoding, mut token: impl FnMut() -> T) -> Option<[Batch<T>; 2]> {
        let Body::Sealed(bytes) = &self.body else { return None };
        if self.records < 2 || self.span < 2 {
            return None;
        }
        let half = self.records / 2;
        let mut buffer = RecordBuffer::new(UnpackLimits::bytes(SPLIT_BYTES_MAX));
        let view = BatchView::parse(bytes).ok()?;
        let mut parts = [
            Batch::new(token(), self.order, self.created, encoding).ok()?,
            Batch::new(token(), self.order, self.created, encoding).ok()?,
        ];
        let mut headers: Vec<Header<'_>> = Vec::new();
        for (record, number) in view.records(&mut buffer).ok()?.zip(0_u32..) {
            let record = record.ok()?;
            headers.clear();
            headers.extend(record.headers.iter());
            let copy = NewRecord {
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: &headers,
            };
            parts[usize::from(number >= half)].append(copy, 0).ok()?;
        }
        for part in &mut parts {
            part.attempts = self.attempts;
            part.seal().ok()?;
        }
        // The reserved bytes are given back with the parts, so that they sum up to what the whole held.
        parts[0].reserved = self.reserved / 2;
        parts[1].reserved = self.reserved - self.reserved / 2;
        Some(parts)
    }
}

/// The batch under another identity; bytes that already have it are not copied.
fn stamped(bytes: Bytes, stamp: Stamp) -> Bytes {
    let producer = stamp.producer();
    let has_it = BatchView::parse(&bytes).is_ok_and(|view| {
        let header = view.header();
        header.producer_id == Some(producer.id)
            && header.producer_epoch == Some(producer.epoch)
            && header.base_sequence == producer.base_sequence
    });
    if has_it {
        return bytes;
    }
    let mut copy = bytes.to_vec();
    BatchMut::parse(&mut copy).expect("the batch was built here").set_producer(producer);
    Bytes::from(copy)
}

#[cfg(test)]
mod tests {
    use ottla_model::Timestamp;

    use super::*;

    fn batch(encoding: Encoding, values: &[&[u8]]) -> Batch<u32> {
        let mut batch = Batch::new(1, 0, Instant::now(), encoding).unwrap();
        for value in values {
            let record = NewRecord {
                timestamp: Timestamp::from_millis(5),
                key: None,
                value: Some(value),
                headers: &[Header { key: b"h", value: None }],
            };
            batch.append(record, 10).unwrap();
        }
        batch
    }

    fn stamp(sequence: i32) -> Stamp {
        let identity = Identity { id: ProducerId::new(7).unwrap(), epoch: ProducerEpoch::ZERO };
        Stamp { identity, base_sequence: Sequence::new(sequence).unwrap() }
    }

    #[test]
    fn a_sealed_batch_carries_its_stamp_and_a_right_checksum_also_after_it_changes() {
        let mut batch = batch(Encoding::None, &[b"a", b"b"]);
        batch.stamp = Some(stamp(3));
        let bytes = batch.seal().unwrap();
        let view = BatchView::parse(&bytes).unwrap();
        assert_eq!(view.header().base_sequence, Sequence::new(3));
        view.check_crc().unwrap();
        assert_eq!(batch.seal().unwrap().as_ptr(), bytes.as_ptr(), "the same stamp needs no copy");
        batch.stamp = Some(stamp(0));
        let bytes = batch.seal().unwrap();
        let view = BatchView::parse(&bytes).unwrap();
        assert_eq!(view.header().base_sequence, Some(Sequence::ZERO));
        view.check_crc().unwrap();
    }

    #[test]
    fn a_batch_is_split_into_halves_with_all_records_in_order() {
        for compression in [Encoding::None, Encoding::Snappy] {
            let mut whole = batch(compression, &[b"a", b"b", b"c"]);
            assert!(whole.split(compression, || 0).is_none(), "an open batch was not refused by anybody");
            whole.seal().unwrap();
            let parts = whole.split(compression, || 9).unwrap();
            assert_eq!(parts.each_ref().map(|part| (part.records, part.reserved)), [(1, 15), (2, 15)]);
            let mut values = Vec::new();
            for mut part in parts {
                let bytes = part.seal().unwrap();
                let mut buffer = RecordBuffer::new(UnpackLimits::bytes(1000));
                let view = BatchView::parse(&bytes).unwrap();
                for record in view.records(&mut buffer).unwrap() {
                    let record = record.unwrap();
                    assert_eq!(record.headers.count(), 1);
                    values.extend_from_slice(record.value.unwrap());
                }
            }
            assert_eq!(values, b"abc");
        }
    }

    #[test]
    fn a_single_record_cannot_be_split() {
        let mut single = batch(Encoding::None, &[b"a"]);
        single.seal().unwrap();
        assert!(single.split(Encoding::None, || 0).is_none());
    }
}
