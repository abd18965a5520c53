//! GZIP members around raw DEFLATE.
//!
//! Owns: header, trailer, the checks of both. Does not own: DEFLATE (the library), the cap (`reader`).
//!
//! ```text
//! 0 1f 8b   magic        3 flags: 1 text, 2 header crc, 4 extra, 8 name, 16 comment
//! 2 08      DEFLATE      4 time u32   8 extra flags   9 system
//! 10 …      optional fields, DEFLATE data, crc32 u32 LE, unpacked size mod 2³² u32 LE
//! ```
//!
//! Source: RFC 1952; Java's `GZIPInputStream` for what follows the first member; requirement REC-02.

use crc_fast::{CrcAlgorithm, Digest};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::reader::Output;
use super::{Compression, CompressionError, GzipLevel, take, take_array};

/// What Java writes: no time, no flags, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const FLAGS_RESERVED: u8 = 0xe0;

/// Room the encoder gets per call.
const ROOM_BYTES: usize = 16 * 1024;

const CODEC: Compression = Compression::Gzip;

/// Reads members one behind the other.
pub(super) struct Unpacker {
    inflate: Decompress,
    crc: Digest,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FirstHeader,
    Data,
    /// A whole member was read. Java takes what follows as a further member if it looks like one, else ignores it.
    Behind,
}

impl Unpacker {
    pub(super) fn new() -> Unpacker {
        let crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        Unpacker { inflate: Decompress::new(false), crc, place: Place::FirstHeader }
    }

    pub(super) fn restarted(&mut self) -> &mut Unpacker {
        self.place = Place::FirstHeader;
        self
    }

    pub(super) fn unpack(
        &mut self,
        input: &mut &[u8],
        mut out: Output<'_>,
    ) -> Result<usize, CompressionError> {
        loop {
            match self.place {
                Place::FirstHeader => {
                    read_header(input)?;
                    self.begin_member();
                }
                Place::Behind => {
                    if read_header(input).is_err() {
                        return Ok(0);
                    }
                    self.begin_member();
                }
                Place::Data => {
                    let written = self.inflate_some(input, out.chunk())?;
                    if written > 0 {
                        return Ok(written);
                    }
                }
            }
        }
    }

    fn begin_member(&mut self) {
        self.inflate.reset(false);
        self.crc.reset();
        self.place = Place::Data;
    }

    fn inflate_some(&mut self, input: &mut &[u8], chunk: &mut [u8]) -> Result<usize, CompressionError> {
        let (read_before, written_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, chunk, FlushDecompress::None)
            .map_err(|_| malformed("the DEFLATE data are corrupt"))?;
        let read = usize::try_from(self.inflate.total_in() - read_before).unwrap_or(usize::MAX);
        let written = usize::try_from(self.inflate.total_out() - written_before).unwrap_or(usize::MAX);
        *input = input.get(read..).unwrap_or(&[]);
        self.crc.update(chunk.get(..written).unwrap_or(&[]));
        match status {
            Status::StreamEnd => {
                self.check_trailer(input)?;
                self.place = Place::Behind;
            }
            Status::Ok | Status::BufError => {
                if written == 0 && (read == 0 || input.is_empty()) {
                    return Err(CompressionError::Truncated { codec: CODEC });
                }
            }
        }
        Ok(written)
    }

    fn check_trailer(&self, input: &mut &[u8]) -> Result<(), CompressionError> {
        let crc = take_array(input).map(u32::from_le_bytes);
        let size = take_array(input).map(u32::from_le_bytes);
        let (Some(crc), Some(size)) = (crc, size) else {
            return Err(CompressionError::Truncated { codec: CODEC });
        };
        if u64::from(crc) != self.crc.finalize() {
            return Err(malformed("the checksum of a member differs"));
        }
        if u64::from(size) != self.inflate.total_out() & 0xffff_ffff {
            return Err(malformed("the size of a member differs"));
        }
        Ok(())
    }
}

fn read_header(input: &mut &[u8]) -> Result<(), CompressionError> {
    let truncated = CompressionError::Truncated { codec: CODEC };
    let Some([0x1f, 0x8b, method, flags, _, _, _, _, _, _]) = take_array::<10>(input) else {
        return Err(if input.len() < HEADER.len() { truncated } else { malformed("no gzip header") });
    };
    if method != 8 || flags & FLAGS_RESERVED != 0 {
        return Err(malformed("an unknown method or flag in the header"));
    }
    if flags & FLAG_EXTRA != 0 {
        let length = take_array(input).map(u16::from_le_bytes).ok_or(truncated.clone())?;
        take(input, usize::from(length)).ok_or(truncated.clone())?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = input.iter().position(|byte| *byte == 0).ok_or(truncated.clone())?;
            take(input, end + 1).ok_or(truncated.clone())?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        take(input, 2).ok_or(truncated)?;
    }
    Ok(())
}

/// Writes one member.
pub(super) struct Packer {
    deflate: Compress,
    crc: Digest,
    begun: bool,
}

impl Packer {
    pub(super) fn new(level: GzipLevel) -> Packer {
        let level = u32::try_from(level.value())
            .map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
        let crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        Packer { deflate: Compress::new(level, false), crc, begun: false }
    }

    pub(super) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CompressionError> {
        self.begin(output);
        self.crc.update(input);
        let mut left = input;
        while !left.is_empty() {
            let read = self.deflate_some(left, output, FlushCompress::None)?.0;
            left = left.get(read..).unwrap_or(&[]);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        self.begin(output);
        while self.deflate_some(&[], output, FlushCompress::Finish)?.1 != Status::StreamEnd {}
        let crc = u32::try_from(self.crc.finalize()).unwrap_or(0);
        let size = u32::try_from(self.deflate.total_in() & 0xffff_ffff).unwrap_or(0);
        output.extend_from_slice(&crc.to_le_bytes());
        output.extend_from_slice(&size.to_le_bytes());
        self.deflate.reset();
        self.crc.reset();
        self.begun = false;
        Ok(())
    }

    fn begin(&mut self, output: &mut Vec<u8>) {
        if !self.begun {
            output.extend_from_slice(&HEADER);
            self.begun = true;
        }
    }

    fn deflate_some(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        flush: FlushCompress,
    ) -> Result<(usize, Status), CompressionError> {
        output.reserve(ROOM_BYTES);
        let before = self.deflate.total_in();
        let status = self
            .deflate
            .compress_vec(input, output, flush)
            .map_err(|_| CompressionError::Writer { codec: CODEC, what: "DEFLATE failed" })?;
        Ok((usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX), status))
    }
}

fn malformed(what: &'static str) -> CompressionError {
    CompressionError::Malformed { codec: CODEC, what }
}
