//! Reading packed records: one reusable reader for all codecs, pulled chunk by chunk.
//!
//! Owns: the pooled contexts and the output buffer, the cap on what comes out.
//! Does not own: the formats (`gzip`, `snappy`, `lz4`, `zstd` beside it), records.
//!
//! Invariants
//! - I1 the chunks handed out sum up to at most `UnpackLimits::bytes_max`;
//! - I2 a reader that failed stays usable: the next `open` starts afresh.
//!
//! Source: requirements REC-02, TRAP-38.

use ottla_mutant::mutant;

use super::{CHUNK_BYTES, Compression, CompressionError, gzip, lz4, snappy, zstd};

/// Largest output buffer that is kept for the next batch. LZ4 frames may have blocks of 4 MiB and snappy blocks may
/// be larger; most are 64 KiB.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// What unpacking may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Most bytes that may come out in all.
    pub bytes_max: u64,
    /// Largest Zstandard window as a power of two. Kafka accepts 27 (128 MiB, all levels up to 22).
    pub zstd_window_log_max: u32,
    /// Whether the header checksum of an LZ4 frame must be right. Kafka's first clients computed it over the wrong
    /// bytes, so it is not asked of batches of magic 0 (KIP-57).
    pub lz4_header_checked: bool,
}

impl UnpackLimits {
    /// Kafka's window and `bytes_max` bytes of output.
    pub const fn bytes(bytes_max: u64) -> UnpackLimits {
        UnpackLimits { bytes_max, zstd_window_log_max: zstd::WINDOW_LOG_MAX, lz4_header_checked: true }
    }
}

/// Reusable contexts and buffers of all codecs. A codec's context is made at its first use.
#[derive(Default)]
pub struct Decompressor {
    out: Vec<u8>,
    gzip: Option<gzip::Unpacker>,
    snappy: snappy::Unpacker,
    lz4: lz4::Unpacker,
    zstd: Option<zstd::Unpacker>,
}

impl Decompressor {
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// Begins to unpack `input`. Nothing is read before the first [`Unpacked::advance`].
    pub fn open<'a>(
        &'a mut self,
        codec: Compression,
        input: &'a [u8],
        limits: UnpackLimits,
    ) -> Result<Unpacked<'a>, CompressionError> {
        let state = match codec {
            Compression::None => State::Plain,
            Compression::Gzip => State::Gzip(self.gzip.get_or_insert_with(gzip::Unpacker::new).restarted()),
            Compression::Snappy => State::Snappy(self.snappy.restarted()),
            Compression::Lz4 => State::Lz4(self.lz4.restarted(limits.lz4_header_checked)),
            Compression::Zstd => {
                let context = match self.zstd.take() {
                    Some(context) => context,
                    None => zstd::Unpacker::new()?,
                };
                State::Zstd(self.zstd.insert(context).restarted(limits.zstd_window_log_max)?)
            }
        };
        self.out.truncate(KEPT_BYTES_MAX);
        self.out.shrink_to(KEPT_BYTES_MAX);
        let (produced, limit) = (0, if mutant!(unbounded_unpacking) { u64::MAX } else { limits.bytes_max });
        Ok(Unpacked { codec, state, input, out: &mut self.out, chunk: 0, produced, limit })
    }

    /// Unpacks all of `input` behind what `output` holds.
    pub fn unpack_into(
        &mut self,
        (codec, input): (Compression, &[u8]),
        limits: UnpackLimits,
        output: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        let mut unpacked = self.open(codec, input, limits)?;
        while unpacked.advance()? {
            output.extend_from_slice(unpacked.chunk());
        }
        Ok(())
    }
}

/// A stream of unpacked bytes. `chunk` is the piece at hand, `advance` moves to the next.
pub struct Unpacked<'a> {
    codec: Compression,
    state: State<'a>,
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    chunk: usize,
    produced: u64,
    limit: u64,
}

enum State<'a> {
    Plain,
    /// The one chunk of plain bytes was handed out.
    PlainDone(&'a [u8]),
    Gzip(&'a mut gzip::Unpacker),
    Snappy(&'a mut snappy::Unpacker),
    Lz4(&'a mut lz4::Unpacker),
    Zstd(&'a mut zstd::Unpacker),
}

impl Unpacked<'_> {
    /// Replaces the chunk by the next one; `false` at the end, and then the chunk is empty.
    pub fn advance(&mut self) -> Result<bool, CompressionError> {
        let room = usize::try_from(self.limit.saturating_sub(self.produced)).unwrap_or(usize::MAX);
        let codec = self.codec;
        let out = Output { bytes: self.out, room };
        self.chunk = 0;
        let got = match &mut self.state {
            State::Plain => {
                let plain = std::mem::take(&mut self.input);
                self.state = State::PlainDone(plain);
                plain.len()
            }
            State::PlainDone(plain) => {
                *plain = &[];
                0
            }
            State::Gzip(unpacker) => unpacker.unpack(&mut self.input, out)?,
            State::Snappy(unpacker) => unpacker.unpack(&mut self.input, out)?,
            State::Lz4(unpacker) => unpacker.unpack(&mut self.input, out)?,
            State::Zstd(unpacker) => unpacker.unpack(&mut self.input, out)?,
        };
        if got > room {
            return Err(CompressionError::TooLarge { codec, limit: self.limit });
        }
        self.chunk = got;
        self.produced = self.produced.saturating_add(u64::try_from(got).unwrap_or(u64::MAX));
        Ok(got > 0)
    }

    /// The piece of unpacked bytes at hand; empty before the first `advance` and at the end.
    pub fn chunk(&self) -> &[u8] {
        match &self.state {
            State::PlainDone(plain) => plain,
            State::Plain => &[],
            State::Gzip(_) | State::Snappy(_) | State::Lz4(_) | State::Zstd(_) => {
                self.out.get(..self.chunk).unwrap_or(&[])
            }
        }
    }
}

/// Where a codec puts its next piece, and how much the caller's cap still admits.
pub(super) struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    /// Bytes that may still come out. A codec may exceed it by less than one chunk; the caller then refuses.
    pub(super) room: usize,
}

impl Output<'_> {
    /// A buffer for the streaming codecs.
    pub(super) fn chunk(&mut self) -> &mut [u8] {
        if self.bytes.len() < CHUNK_BYTES {
            self.bytes.resize(CHUNK_BYTES, 0);
        }
        self.bytes.get_mut(..CHUNK_BYTES).unwrap_or(&mut [])
    }

    /// A buffer of `size` bytes, which the caller has bounded by the input.
    pub(super) fn block(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        self.bytes.get_mut(..size).unwrap_or(&mut [])
    }
}
