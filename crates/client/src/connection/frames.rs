//! Memory for large answers, used again once nobody holds the answer any more.
//!
//! Owns: which buffers were lent out, and how many are remembered.
//! Does not own: cutting answers out of the stream (`pipeline`).
//!
//! Records share the memory of the answer they came in, so it becomes free when the last of them is dropped. The
//! system takes such large pieces back at once and hands them out again page by page; a consumer would spend as much
//! time on that as on its records.
//!
//! Invariants
//! - I1 at most [`LENT_MAX`] buffers are remembered, together at most [`LENT_BYTES_MAX`];
//! - I2 a buffer is used again only when nobody else can see it.

use std::collections::VecDeque;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

/// Buffers that are remembered: of one that is received, one that waits, one that is read, and one whose records the
/// user still has.
const LENT_MAX: usize = 4;

/// Bytes that are remembered at most: four answers of one partition with the default `max.partition.fetch.bytes`, and
/// what answers have beside records.
const LENT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Answers below this come out of the allocator's own stock.
const LENT_BYTES_MIN: usize = 128 * 1024;

/// Sizes are rounded up to this, so that answers of about one size fit into each other's place.
const ROUNDED_TO: usize = 16 * 1024;

/// Buffers that were lent out, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Frames {
    lent: VecDeque<Lent>,
}

#[derive(Debug)]
struct Lent {
    frame: Bytes,
    /// Bytes of its memory, which may be more than the answer has.
    room: usize,
}

impl Frames {
    /// An empty buffer with room for exactly `length` bytes. Memory that is new is taken from the system only when
    /// bytes arrive, so a length that a peer claims costs nothing.
    pub(super) fn take(&mut self, length: usize) -> Limit<BytesMut> {
        let used = (length >= LENT_BYTES_MIN).then(|| self.take_used(length)).flatten();
        used.unwrap_or_else(|| BytesMut::with_capacity(room_for(length))).limit(length)
    }

    fn take_used(&mut self, length: usize) -> Option<BytesMut> {
        let place = self.lent.iter().position(|lent| lent.room >= length && lent.frame.is_unique())?;
        let mut frame = self.lent.remove(place)?.frame.try_into_mut().ok()?;
        frame.clear();
        (frame.capacity() >= length).then_some(frame)
    }

    /// A buffer is full and goes out.
    pub(super) fn lend(&mut self, frame: BytesMut) -> Bytes {
        let room = frame.capacity();
        let frame = frame.freeze();
        if (LENT_BYTES_MIN..=LENT_BYTES_MAX).contains(&room) {
            self.lent.push_back(Lent { frame: frame.clone(), room });
            while self.lent.len() > LENT_MAX || self.bytes() > LENT_BYTES_MAX {
                self.lent.pop_front();
            }
        }
        frame
    }

    fn bytes(&self) -> usize {
        self.lent.iter().map(|lent| lent.room).sum()
    }
}

fn room_for(length: usize) -> usize {
    if length < LENT_BYTES_MIN { length } else { length.next_multiple_of(ROUNDED_TO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 1024 * 1024;

    fn lent(frames: &mut Frames, length: usize, byte: u8) -> Bytes {
        let mut frame = frames.take(length);
        assert!(frame.get_ref().is_empty());
        frame.put_bytes(byte, length);
        assert!(!frame.has_remaining_mut(), "room for exactly the answer");
        frames.lend(frame.into_inner())
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_record_of_it_is_gone() {
        let mut frames = Frames::default();
        let first = lent(&mut frames, LENGTH, 1);
        let (place, record) = (first.as_ptr(), first.slice(10..20));
        drop(first);
        let second = lent(&mut frames, LENGTH, 2);
        assert_ne!(second.as_ptr(), place, "a record of it is still held");
        assert_eq!(&record[..], [1; 10]);
        drop(record);
        let third = lent(&mut frames, LENGTH - 1000, 3);
        assert_eq!(third.as_ptr(), place);
        assert_eq!((third.len(), third[0]), (LENGTH - 1000, 3));
        assert_eq!(second[0], 2);
    }

    #[test]
    fn a_buffer_grows_no_answer_beyond_its_room() {
        let mut frames = Frames::default();
        let small = lent(&mut frames, LENT_BYTES_MIN, 1);
        let place = small.as_ptr();
        drop(small);
        let large = lent(&mut frames, LENGTH, 2);
        assert_ne!(large.as_ptr(), place);
        assert_eq!(large.len(), LENGTH);
    }

    #[test]
    fn few_buffers_are_remembered_and_neither_small_nor_huge_ones() {
        let mut frames = Frames::default();
        for _ in 0..10 {
            drop(lent(&mut frames, 100, 1));
        }
        assert_eq!(frames.lent.len(), 0);
        drop(lent(&mut frames, LENT_BYTES_MAX + 1, 1));
        assert_eq!(frames.lent.len(), 0);
        let held: Vec<Bytes> = (0..10).map(|byte| lent(&mut frames, LENGTH, byte)).collect();
        assert_eq!(frames.lent.len(), LENT_MAX);
        assert!(frames.bytes() <= LENT_BYTES_MAX);
        drop(lent(&mut frames, LENT_BYTES_MAX - LENGTH, 1));
        assert!(frames.bytes() <= LENT_BYTES_MAX);
        drop(held);
    }
}
