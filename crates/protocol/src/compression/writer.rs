//! Packing records that are written anew: one streaming writer for all codecs.
//!
//! Owns: which codec's context is in use. Does not own: the formats beside it, the batch (`record`).
//!
//! Source: requirement REC-03; KIP-390.

use super::{CompressionError, Encoding, gzip, lz4, snappy, zstd};

/// Packs one stream after the other with the same codec and level; contexts and buffers are kept between them.
pub struct Compressor {
    encoding: Encoding,
    state: State,
}

enum State {
    Plain,
    Gzip(Box<gzip::Packer>),
    Snappy(Box<snappy::Packer>),
    Lz4(Box<lz4::Packer>),
    Zstd(Box<zstd::Packer>),
}

impl Compressor {
    pub fn new(encoding: Encoding) -> Result<Compressor, CompressionError> {
        let state = match encoding {
            Encoding::None => State::Plain,
            Encoding::Gzip(level) => State::Gzip(Box::new(gzip::Packer::new(level))),
            Encoding::Snappy => State::Snappy(Box::new(snappy::Packer::new())),
            Encoding::Lz4(_) => State::Lz4(Box::new(lz4::Packer::new())),
            Encoding::Zstd(level) => State::Zstd(Box::new(zstd::Packer::new(level)?)),
        };
        Ok(Compressor { encoding, state })
    }

    /// The codec and level in use.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Packs `input` behind what `output` holds; some of it may wait inside until `finish`.
    pub fn write(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CompressionError> {
        match &mut self.state {
            State::Plain => {
                output.extend_from_slice(input);
                Ok(())
            }
            State::Gzip(packer) => packer.write(input, output),
            State::Snappy(packer) => packer.write(input, output),
            State::Lz4(packer) => packer.write(input, output),
            State::Zstd(packer) => packer.write(input, output),
        }
    }

    /// Writes what waits and the end of the stream. The next `write` begins another stream.
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        match &mut self.state {
            State::Plain => Ok(()),
            State::Gzip(packer) => packer.finish(output),
            State::Snappy(packer) => packer.finish(output),
            State::Lz4(packer) => packer.finish(output),
            State::Zstd(packer) => packer.finish(output),
        }
    }
}
