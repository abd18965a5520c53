//! Cutting the bytes of a connection into frames without copying them.
//!
//! Owns: the read buffer, its growth, the size field.
//! Does not own: what is in a frame (`header`), when reading pauses (`connection`).
//!
//! Invariants
//! - I1 memory is at most `GROWTH` times the bytes that arrived, or one `READ_BYTES`: a size field alone allocates
//!   nothing beyond it;
//! - I2 a frame is handed out once, whole, as a part of the buffer that can be changed in place;
//! - I3 a part of a frame of at most `PARKED_BYTES_MAX` that waits for the rest needs no read buffer.
//!
//! Source: Kafka protocol guide, "Network"; requirement WIRE-01; performance 4.2.

use bytes::BytesMut;

use ottla_mutant::mutant;

use crate::reply::SIZE_BYTES;

/// Size of a read buffer, and of the memory that a connection takes for a frame of unknown or lesser size. Reads of
/// this size cost least (performance 2.3).
pub const READ_BYTES: usize = 256 * 1024;

/// A larger frame gets so many times the bytes that arrived of it. 256 KiB become 1, 4, 16 … MiB.
const GROWTH: usize = 4;

/// Less room than this is not worth a read.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// A part of a frame up to this size is copied aside when the read buffer is given away. A larger one came from a client that
/// sends something, and its rest is most often already on its way: frames of a few KiB come in two parts again and again.
const PARKED_BYTES_MAX: usize = 64;

/// A size field that no frame can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSize {
    pub(super) got: i32,
}

/// The bytes that arrived and are not yet handed out.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Whether the buffer is no read buffer, but only holds a small part of a frame.
    is_parked: bool,
}

impl Frames {
    /// The buffer to append arriving bytes to, with room for them.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let have = self.buffer.len();
        let wanted = self.wanted().unwrap_or(have + ROOM_BYTES_MIN);
        if self.buffer.capacity() < wanted {
            self.buffer.reserve(wanted.max(READ_BYTES) - have);
            self.is_parked = false;
        }
        &mut self.buffer
    }

    /// The next whole frame, without its size field.
    pub(super) fn next(&mut self, bytes_max: u32) -> Result<Option<BytesMut>, BadSize> {
        let Some(field) = self.buffer.first_chunk::<SIZE_BYTES>() else {
            return Ok(None);
        };
        let got = i32::from_be_bytes(*field);
        if !u32::try_from(got).is_ok_and(|size| size <= bytes_max || mutant!(oversized_frame)) {
            return Err(BadSize { got });
        }
        let size = usize::try_from(got).map_err(|_| BadSize { got })?;
        if self.buffer.len() - SIZE_BYTES < size {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(SIZE_BYTES + size);
        let _ = frame.split_to(SIZE_BYTES);
        Ok(Some(frame))
    }

    /// Bytes of the frame at the front, size field included, once that field is there.
    pub(super) fn announced(&self) -> Option<usize> {
        let field = self.buffer.first_chunk::<SIZE_BYTES>()?;
        Some(SIZE_BYTES + usize::try_from(i32::from_be_bytes(*field)).ok()?)
    }

    /// Bytes the buffer will have for the rest of the frame at the front, as far as it is known: more, the more of it came.
    pub(super) fn wanted(&self) -> Option<usize> {
        let have = self.buffer.len();
        let total = self.announced().filter(|total| *total > have)?;
        Some(total.min(have.saturating_mul(GROWTH).max(READ_BYTES)))
    }

    /// Bytes that arrived and are not yet handed out.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Gives the buffer away while little or nothing is in it; what is in it stays.
    pub(super) fn take_buffer(&mut self) -> Option<BytesMut> {
        if self.buffer.is_empty() || mutant!(reuse_read_buffer) {
            return Some(std::mem::take(&mut self.buffer));
        }
        if self.is_parked || self.buffer.len() > PARKED_BYTES_MAX {
            return None;
        }
        self.is_parked = true;
        let parked = BytesMut::from(self.buffer.as_ref());
        let mut buffer = std::mem::replace(&mut self.buffer, parked);
        buffer.clear();
        Some(buffer)
    }

    /// Whether there is memory to read into.
    pub(super) fn has_buffer(&self) -> bool {
        self.buffer.capacity() > 0 && !self.is_parked
    }

    /// Takes a buffer to read into; one that is already there stays.
    pub(super) fn put_buffer(&mut self, mut buffer: BytesMut) {
        if self.has_buffer() {
            return;
        }
        if !mutant!(reuse_read_buffer) {
            buffer.clear();
        }
        buffer.extend_from_slice(&self.buffer);
        self.buffer = buffer;
        self.is_parked = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(size: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(size).unwrap().to_be_bytes().to_vec();
        bytes.resize(SIZE_BYTES + size, 7);
        bytes
    }

    /// WIRE-01
    #[test]
    fn a_size_field_alone_allocates_one_read_buffer() {
        let mut frames = Frames::default();
        frames.room().extend_from_slice(&100_000_000_u32.to_be_bytes());
        assert_eq!(frames.next(104_857_600), Ok(None));
        assert!(frames.room().capacity() <= 2 * READ_BYTES);
        let mut arrived = SIZE_BYTES;
        while arrived < 30_000_000 {
            let buffer = frames.room();
            let now = (buffer.capacity() - buffer.len()).min(100_000);
            assert!(now > 0);
            buffer.extend_from_slice(&vec![0; now]);
            arrived += now;
            assert!(buffer.capacity() <= (arrived * GROWTH).max(READ_BYTES) * 2);
        }
    }

    /// WIRE-01
    #[test]
    fn sizes_that_are_negative_or_too_large_are_refused() {
        for (got, legal) in
            [(-1, false), (i32::MIN, false), (i32::MAX, false), (101, false), (100, true), (0, true)]
        {
            let mut frames = Frames::default();
            frames.room().extend_from_slice(&got.to_be_bytes());
            assert_eq!(frames.next(100).is_ok(), legal, "{got}");
        }
    }

    /// Performance 4.2, 4.7
    #[test]
    fn the_buffer_is_used_again_once_the_frames_are_gone() {
        let mut frames = Frames::default();
        let first = frames.room().as_ptr();
        for _ in 0..100 {
            frames.room().extend_from_slice(&frame(16 * 1024));
            let whole = frames.next(u32::MAX).unwrap().unwrap();
            assert_eq!(whole.len(), 16 * 1024);
        }
        frames.room();
        let last = frames.buffer.as_ptr();
        assert!(last.addr().abs_diff(first.addr()) < READ_BYTES, "another buffer was allocated");
    }

    /// Performance 4.2
    #[test]
    fn a_small_part_of_a_frame_that_waits_keeps_no_read_buffer() {
        let (mut frames, bytes) = (Frames::default(), frame(10_000));
        frames.room().extend_from_slice(&bytes[..7]);
        let buffer = frames.take_buffer().unwrap();
        assert!(buffer.capacity() >= READ_BYTES && frames.buffer.capacity() < 64);
        assert!(frames.take_buffer().is_none() && !frames.has_buffer());
        assert_eq!((frames.len(), frames.announced()), (7, Some(10_004)));
        frames.put_buffer(buffer);
        assert!(frames.has_buffer() && frames.room().capacity() >= READ_BYTES);
        frames.room().extend_from_slice(&bytes[7..5_000]);
        assert!(frames.take_buffer().is_none(), "there is more than a small part");
        frames.room().extend_from_slice(&bytes[5_000..]);
        assert_eq!(frames.next(u32::MAX).unwrap().unwrap(), bytes[SIZE_BYTES..]);
    }

    proptest! {
        /// WIRE-01
        #[test]
        fn frames_come_whole_however_the_bytes_are_cut(
            sizes in proptest::collection::vec(0..70_000_usize, 1..6),
            cuts in proptest::collection::vec(1..50_000_usize, 1..20),
        ) {
            let stream: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
            let (mut frames, mut rest, mut got) = (Frames::default(), stream.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                frames.room().extend_from_slice(now);
                rest = later;
                while let Some(frame) = frames.next(u32::MAX).unwrap() {
                    got.push(frame.len());
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, sizes);
            prop_assert_eq!(frames.len(), 0);
        }
    }
}
