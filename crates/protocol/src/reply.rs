//! The frame around a response, and responses whose record data stay in files.
//!
//! Owns: `ReplyHead` (size, correlation id, header tags), `Part` and `Reply`.
//! Does not own: the order of replies (`connection`), how file parts reach a socket (`env`).
//!
//! ```text
//! i32 size of what follows   i32 correlation id   [tagged fields: none, in flexible versions]   body
//! ```
//!
//! Invariants
//! - I1 the size field counts every byte of every part behind it.
//!
//! Source: Kafka protocol guide, "Common Request and Response Structure"; requirements WIRE-01, WIRE-03.

use bytes::Bytes;

use crate::codec::{EncodeError, Message, Writer};
use crate::messages::ApiKey;

/// Bytes of the size field in front of a frame.
pub const SIZE_BYTES: usize = 4;

/// What a response repeats of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

impl ReplyHead {
    /// The whole frame of a response that is one message.
    pub fn frame<M: Message>(self, body: &M) -> Result<Bytes, EncodeError> {
        let mut writer = self.begin(0);
        body.encode(&mut writer, self.version)?;
        let mut frame = writer.into_vec();
        seal(&mut frame, 0)?;
        Ok(Bytes::from(frame))
    }

    /// A writer with room for a body of so many bytes that holds the size, still zero, and the header.
    pub(crate) fn begin(self, body_bytes: usize) -> Writer {
        self.begin_in(Vec::with_capacity(SIZE_BYTES + 5 + body_bytes))
    }

    /// The same in memory of the caller.
    pub(crate) fn begin_in(self, memory: Vec<u8>) -> Writer {
        let mut writer = Writer::on(memory);
        writer.put_slice(&[0; SIZE_BYTES]);
        writer.put_i32(self.correlation_id);
        writer.set_flexible(self.api.response_header_version(self.version) > 0);
        writer.put_no_tags();
        writer.set_flexible(self.api.is_flexible(self.version));
        writer
    }
}

/// Writes the size of a frame whose parts elsewhere have `elsewhere` bytes.
pub(crate) fn seal(frame: &mut [u8], elsewhere: u64) -> Result<(), EncodeError> {
    let max = 0x7fff_ffff;
    let here = frame.len().saturating_sub(SIZE_BYTES);
    let length = usize::try_from(elsewhere).map_or(usize::MAX, |elsewhere| elsewhere.saturating_add(here));
    let too_long = EncodeError::TooLong { field: "size", length, max };
    let size = i32::try_from(length).map_err(|_| too_long)?;
    if let Some(field) = frame.first_chunk_mut::<SIZE_BYTES>() {
        *field = size.to_be_bytes();
    }
    Ok(())
}

/// A range of a file. The handle keeps the file readable, also when it is unlinked meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSlice<F> {
    pub file: F,
    /// First byte in the file.
    pub position: u64,
    /// Bytes, > 0.
    pub length: u64,
}

/// A piece of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<F> {
    Bytes(Bytes),
    File(FileSlice<F>),
}

impl<F> Part<F> {
    /// Bytes that the piece puts on the wire.
    pub fn length(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Part::File(slice) => slice.length,
        }
    }
}

/// A whole response frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<F> {
    Bytes(Bytes),
    /// To be sent one behind the other.
    Parts(Vec<Part<F>>),
}

impl<F> From<Bytes> for Reply<F> {
    fn from(frame: Bytes) -> Reply<F> {
        Reply::Bytes(frame)
    }
}

impl<F> Reply<F> {
    /// Bytes that the response puts on the wire, size field included.
    pub fn length(&self) -> u64 {
        match self {
            Reply::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Reply::Parts(parts) => parts.iter().map(Part::length).fold(0, u64::saturating_add),
        }
    }
}
