//! Zstandard frames, with or without a content size.
//!
//! Owns: one decoding and one encoding context of the library. Does not own: the cap (`reader`).
//!
//! Source: RFC 8878; KIP-110; requirement REC-02, TRAP-38.

use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::{DCtx, DParameter, ResetDirective};

use super::reader::Output;
use super::{Compression, CompressionError, ZstdLevel};

/// Largest window that Kafka accepts, as a power of two: the library's default, which all levels up to 22 keep to.
pub(super) const WINDOW_LOG_MAX: u32 = 27;
/// The smallest limit that the library takes.
const WINDOW_LOG_MIN: u32 = 10;
/// Room the encoder gets per call; the library recommends one block of 128 KiB, but batches are mostly smaller.
const ROOM_BYTES: usize = 16 * 1024;

const CODEC: Compression = Compression::Zstd;

/// Largest decoding context that is kept for the next batch: a window of 8 MiB (levels up to 19) and its buffers. A
/// frame may claim 128 MiB, of which only the pages that it fills become real.
const KEPT_BYTES_MAX: usize = 9 * 1024 * 1024;

/// Reads frames one behind the other.
pub(super) struct Unpacker {
    context: DCtx<'static>,
    /// Whether the bytes so far end with a whole frame.
    between_frames: bool,
}

impl Unpacker {
    pub(super) fn new() -> Result<Unpacker, CompressionError> {
        Ok(Unpacker { context: context()?, between_frames: false })
    }

    pub(super) fn restarted(&mut self, window_log_max: u32) -> Result<&mut Unpacker, CompressionError> {
        self.release_if_large()?;
        self.context
            .reset(ResetDirective::SessionOnly)
            .map_err(|_| malformed("the context cannot be reset"))?;
        let window_log = window_log_max.clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
        let parameter = DParameter::WindowLogMax(window_log);
        self.context.set_parameter(parameter).map_err(|_| malformed("the window limit was refused"))?;
        // Java's stream refuses empty input, so it has to hold at least one frame.
        self.between_frames = false;
        Ok(self)
    }

    pub(super) fn unpack(
        &mut self,
        input: &mut &[u8],
        mut out: Output<'_>,
    ) -> Result<usize, CompressionError> {
        let chunk = out.chunk();
        loop {
            if input.is_empty() && self.between_frames {
                self.release_if_large()?;
                return Ok(0);
            }
            let mut source = InBuffer::around(input);
            let mut target = OutBuffer::around(&mut *chunk);
            let hint = self
                .context
                .decompress_stream(&mut target, &mut source)
                .map_err(|_| malformed("a frame is corrupt or its window is too large"))?;
            let (read, written) = (source.pos(), target.pos());
            *input = input.get(read..).unwrap_or(&[]);
            self.between_frames = hint == 0;
            if written > 0 {
                return Ok(written);
            }
            if read == 0 && !self.between_frames {
                return Err(CompressionError::Truncated { codec: CODEC });
            }
        }
    }

    fn release_if_large(&mut self) -> Result<(), CompressionError> {
        if self.context.sizeof() > KEPT_BYTES_MAX {
            self.context = context()?;
        }
        Ok(())
    }
}

fn context() -> Result<DCtx<'static>, CompressionError> {
    DCtx::try_create().ok_or_else(|| malformed("no memory for the context"))
}

/// Writes one frame.
pub(super) struct Packer {
    context: Encoder<'static>,
}

impl Packer {
    pub(super) fn new(level: ZstdLevel) -> Result<Packer, CompressionError> {
        let context = Encoder::new(level.value()).map_err(|_| writer_failed("no memory for the context"))?;
        Ok(Packer { context })
    }

    pub(super) fn write(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<(), CompressionError> {
        while !input.is_empty() {
            output.reserve(ROOM_BYTES);
            let mut source = InBuffer::around(input);
            let position = output.len();
            let mut target = OutBuffer::around_pos(output, position);
            self.context.run(&mut source, &mut target).map_err(|_| writer_failed("a block failed"))?;
            let read = source.pos();
            input = input.get(read..).unwrap_or(&[]);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        loop {
            output.reserve(ROOM_BYTES);
            let position = output.len();
            let mut target = OutBuffer::around_pos(output, position);
            let left = self.context.finish(&mut target, true).map_err(|_| writer_failed("the end failed"))?;
            if left == 0 {
                return self.context.reinit().map_err(|_| writer_failed("the context cannot be reset"));
            }
        }
    }
}

fn malformed(what: &'static str) -> CompressionError {
    CompressionError::Malformed { codec: CODEC, what }
}

fn writer_failed(what: &'static str) -> CompressionError {
    CompressionError::Writer { codec: CODEC, what }
}
