//! Snappy as Java writes it (Xerial framing), and raw blocks as some clients send them.
//!
//! Owns: the framing. Does not own: the block format (the library), the cap (`reader`).
//!
//! ```text
//! 0  82 53 4e 41 50 50 59 00   "\x82SNAPPY\0"
//! 8  u32 BE version 1, u32 BE oldest compatible version 1
//! 16 blocks: u32 BE length, raw snappy block. The header may stand again between two blocks.
//! ```
//! Bytes that do not begin with the header are one raw block.
//!
//! Source: `SnappyOutputStream` of xerial snappy-java; google/snappy format description; requirement REC-02.

use super::reader::Output;
use super::{Compression, CompressionError, take, take_array};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Bytes of the header behind its first four, which stand where the length of a block would.
const HEADER_REST: usize = 12;
/// Unpacked bytes of one block, as Java writes them.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element of the format is a copy of 64 bytes in three bytes, so no block unpacks to more than 22 times
/// its size (REC-02, TRAP-38: the length that a block claims is not believed beyond that).
const EXPANSION_MAX: usize = 22;

const CODEC: Compression = Compression::Snappy;

/// Reads blocks.
#[derive(Default)]
pub(super) struct Unpacker {
    decoder: snap::raw::Decoder,
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Framed,
    End,
}

impl Unpacker {
    pub(super) fn restarted(&mut self) -> &mut Unpacker {
        self.place = Place::Start;
        self
    }

    pub(super) fn unpack(
        &mut self,
        input: &mut &[u8],
        mut out: Output<'_>,
    ) -> Result<usize, CompressionError> {
        loop {
            match self.place {
                Place::End => return Ok(0),
                Place::Start if input.starts_with(&MAGIC) => {
                    take(input, HEADER.len()).ok_or(CompressionError::Truncated { codec: CODEC })?;
                    self.place = Place::Framed;
                }
                Place::Start => {
                    self.place = Place::End;
                    return self.unpack_block(std::mem::take(input), &mut out);
                }
                Place::Framed => match next_block(input)? {
                    None => self.place = Place::End,
                    Some(block) => {
                        let written = self.unpack_block(block, &mut out)?;
                        if written > 0 {
                            return Ok(written);
                        }
                    }
                },
            }
        }
    }

    fn unpack_block(&mut self, block: &[u8], out: &mut Output<'_>) -> Result<usize, CompressionError> {
        if block.is_empty() {
            return Err(CompressionError::Truncated { codec: CODEC });
        }
        let size = snap::raw::decompress_len(block).map_err(|_| malformed("a block has no length"))?;
        if size > block.len().saturating_mul(EXPANSION_MAX) {
            return Err(malformed("a block claims more than it can hold"));
        }
        if size > out.room {
            // The caller refuses by this number; there is no need to unpack what it will not take.
            return Ok(size);
        }
        self.decoder.decompress(block, out.block(size)).map_err(|_| malformed("a block is corrupt"))
    }
}

/// The next block of a framed stream. Fewer than four bytes are the end, as for Java's stream.
fn next_block<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, CompressionError> {
    loop {
        let Some(word) = take_array::<4>(input) else {
            return Ok(None);
        };
        if MAGIC.starts_with(&word) {
            take(input, HEADER_REST).ok_or(CompressionError::Truncated { codec: CODEC })?;
            continue;
        }
        let length = usize::try_from(u32::from_be_bytes(word)).unwrap_or(usize::MAX);
        return take(input, length).map(Some).ok_or(CompressionError::Truncated { codec: CODEC });
    }
}

/// Writes the header and blocks of 32 KiB.
pub(super) struct Packer {
    encoder: snap::raw::Encoder,
    /// Bytes that wait for a whole block.
    waiting: Vec<u8>,
    begun: bool,
}

impl Packer {
    pub(super) fn new() -> Packer {
        Packer { encoder: snap::raw::Encoder::new(), waiting: Vec::new(), begun: false }
    }

    pub(super) fn write(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<(), CompressionError> {
        self.begin(output);
        while !input.is_empty() {
            let room = BLOCK_BYTES - self.waiting.len();
            let (now, later) = input.split_at(room.min(input.len()));
            self.waiting.extend_from_slice(now);
            input = later;
            if self.waiting.len() == BLOCK_BYTES {
                self.write_block(output)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        self.begin(output);
        if !self.waiting.is_empty() {
            self.write_block(output)?;
        }
        self.begun = false;
        Ok(())
    }

    fn begin(&mut self, output: &mut Vec<u8>) {
        if !self.begun {
            output.extend_from_slice(&HEADER);
            self.begun = true;
        }
    }

    fn write_block(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        let failed = |what| CompressionError::Writer { codec: CODEC, what };
        let length_at = output.len();
        let block_at = length_at + 4;
        output.resize(block_at + snap::raw::max_compress_len(self.waiting.len()), 0);
        let room = output.get_mut(block_at..).unwrap_or(&mut []);
        let length = self.encoder.compress(&self.waiting, room).map_err(|_| failed("a block failed"))?;
        let prefix = u32::try_from(length).map_err(|_| failed("a block is too large"))?.to_be_bytes();
        if let Some(place) = output.get_mut(length_at..block_at) {
            place.copy_from_slice(&prefix);
        }
        output.truncate(block_at + length);
        self.waiting.clear();
        Ok(())
    }
}

fn malformed(what: &'static str) -> CompressionError {
    CompressionError::Malformed { codec: CODEC, what }
}
