//! LZ4 frames with independent blocks.
//!
//! Owns: the frame around the blocks, its checksums (xxHash-32). Does not own: the block format (the library), the
//! cap (`reader`).
//!
//! ```text
//! 0 04 22 4d 18  magic
//! 4 FLG          bits 7–6 version 01, 5 independent blocks, 4 block checksum, 3 content size, 2 content checksum, 0 dictionary
//! 5 BD           bits 6–4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
//! 6 [u64 LE content size] HC: second byte of xxHash-32 of the bytes from FLG
//!   blocks: u32 LE length (top bit: stored), data, [u32 LE xxHash-32]; length 0 ends the frame; [u32 content checksum]
//! ```
//! Like Kafka's reader this one refuses dependent blocks, does not check the content checksum, and ignores what
//! follows the frame. In batches of magic 0 HC is computed over the magic too, so it is not checked there.
//!
//! Source: LZ4 frame format 1.6.1; KIP-57; requirement REC-02.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use super::reader::Output;
use super::{Compression, CompressionError, take, take_array};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const VERSION_MASK: u8 = 0xc0;
const VERSION_1: u8 = 0x40;
const FLAG_INDEPENDENT: u8 = 0x20;
const FLAG_BLOCK_CHECKSUM: u8 = 0x10;
const FLAG_CONTENT_SIZE: u8 = 0x08;
const FLAGS_RESERVED: u8 = 0x03;
/// Block descriptor of 64 KiB blocks.
const DESCRIPTOR_64_KIB: u8 = 0x40;
const BLOCK_STORED: u32 = 0x8000_0000;
/// Unpacked bytes of one block that is written.
const BLOCK_BYTES: usize = 64 * 1024;
/// A run of 255 costs one byte, so no block unpacks to more than 255 times its size (and a little).
const EXPANSION_MAX: usize = 255;

const CODEC: Compression = Compression::Lz4;

/// Reads one frame.
#[derive(Default)]
pub(super) struct Unpacker {
    place: Place,
    header_checked: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Header,
    Blocks {
        block_bytes_max: usize,
        checksums: bool,
    },
    End,
}

impl Unpacker {
    pub(super) fn restarted(&mut self, header_checked: bool) -> &mut Unpacker {
        self.place = Place::Header;
        self.header_checked = header_checked;
        self
    }

    pub(super) fn unpack(
        &mut self,
        input: &mut &[u8],
        mut out: Output<'_>,
    ) -> Result<usize, CompressionError> {
        loop {
            match self.place {
                Place::Header => self.place = read_header(input, self.header_checked)?,
                Place::End => return Ok(0),
                Place::Blocks { block_bytes_max, checksums } => {
                    let word = u32::from_le_bytes(take_array(input).ok_or(TRUNCATED)?);
                    if word == 0 {
                        self.place = Place::End;
                        continue;
                    }
                    let length = usize::try_from(word & !BLOCK_STORED).unwrap_or(usize::MAX);
                    if length > block_bytes_max {
                        return Err(malformed("a block is larger than the header says"));
                    }
                    let block = take(input, length).ok_or(TRUNCATED)?;
                    if checksums {
                        let expected = u32::from_le_bytes(take_array(input).ok_or(TRUNCATED)?);
                        if xxhash32(block) != expected {
                            return Err(malformed("the checksum of a block differs"));
                        }
                    }
                    let written = unpack_block(block, word & BLOCK_STORED != 0, (&mut out, block_bytes_max))?;
                    if written > 0 {
                        return Ok(written);
                    }
                }
            }
        }
    }
}

fn unpack_block(
    block: &[u8],
    stored: bool,
    (out, block_bytes_max): (&mut Output<'_>, usize),
) -> Result<usize, CompressionError> {
    if stored {
        out.block(block.len()).copy_from_slice(block);
        return Ok(block.len());
    }
    let size_max = block_bytes_max.min(block.len().saturating_mul(EXPANSION_MAX).saturating_add(64));
    decompress_into(block, out.block(size_max)).map_err(|_| malformed("a block is corrupt"))
}

fn read_header(input: &mut &[u8], checked: bool) -> Result<Place, CompressionError> {
    let magic = take_array::<4>(input).ok_or(TRUNCATED)?;
    if magic != MAGIC {
        return Err(malformed("no frame magic"));
    }
    let descriptor = *input;
    let [flags, block_descriptor] = take_array(input).ok_or(TRUNCATED)?;
    if flags & VERSION_MASK != VERSION_1 || flags & FLAGS_RESERVED != 0 {
        return Err(malformed("an unknown version or flag"));
    }
    if flags & FLAG_INDEPENDENT == 0 {
        return Err(malformed("dependent blocks"));
    }
    let block_bytes_max = match block_descriptor {
        0x40 => 64 * 1024,
        0x50 => 256 * 1024,
        0x60 => 1024 * 1024,
        0x70 => 4 * 1024 * 1024,
        _ => return Err(malformed("an unknown block size")),
    };
    if flags & FLAG_CONTENT_SIZE != 0 {
        take(input, 8).ok_or(TRUNCATED)?;
    }
    let covered = descriptor.get(..descriptor.len() - input.len()).unwrap_or(&[]);
    let [checksum] = take_array(input).ok_or(TRUNCATED)?;
    if checked && checksum != header_checksum(covered) {
        return Err(malformed("the checksum of the header differs"));
    }
    Ok(Place::Blocks { block_bytes_max, checksums: flags & FLAG_BLOCK_CHECKSUM != 0 })
}

/// Writes one frame of 64 KiB blocks.
pub(super) struct Packer {
    table: CompressTable,
    /// Bytes that wait for a whole block.
    waiting: Vec<u8>,
    begun: bool,
}

impl Packer {
    pub(super) fn new() -> Packer {
        Packer { table: CompressTable::large(), waiting: Vec::new(), begun: false }
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
        output.extend_from_slice(&[0; 4]);
        self.begun = false;
        Ok(())
    }

    fn begin(&mut self, output: &mut Vec<u8>) {
        if !self.begun {
            let descriptor = [VERSION_1 | FLAG_INDEPENDENT, DESCRIPTOR_64_KIB];
            output.extend_from_slice(&MAGIC);
            output.extend_from_slice(&descriptor);
            output.push(header_checksum(&descriptor));
            self.begun = true;
        }
    }

    fn write_block(&mut self, output: &mut Vec<u8>) -> Result<(), CompressionError> {
        let failed = CompressionError::Writer { codec: CODEC, what: "a block failed" };
        let length_at = output.len();
        let block_at = length_at + 4;
        output.resize(block_at + get_maximum_output_size(self.waiting.len()), 0);
        let room = output.get_mut(block_at..).unwrap_or(&mut []);
        let packed =
            compress_into_with_table(&self.waiting, room, &mut self.table).map_err(|_| failed.clone())?;
        let (length, flag) =
            if packed < self.waiting.len() { (packed, 0) } else { (self.waiting.len(), BLOCK_STORED) };
        output.truncate(block_at + length);
        if flag == BLOCK_STORED
            && let Some(place) = output.get_mut(block_at..)
        {
            place.copy_from_slice(&self.waiting);
        }
        let word = u32::try_from(length).map_err(|_| failed)? | flag;
        if let Some(place) = output.get_mut(length_at..block_at) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.waiting.clear();
        Ok(())
    }
}

const TRUNCATED: CompressionError = CompressionError::Truncated { codec: CODEC };

fn malformed(what: &'static str) -> CompressionError {
    CompressionError::Malformed { codec: CODEC, what }
}

/// HC of the frame format.
fn header_checksum(descriptor: &[u8]) -> u8 {
    xxhash32(descriptor).to_be_bytes()[2]
}

const PRIME_1: u32 = 0x9e37_79b1;
const PRIME_2: u32 = 0x85eb_ca77;
const PRIME_3: u32 = 0xc2b2_ae3d;
const PRIME_4: u32 = 0x27d4_eb2f;
const PRIME_5: u32 = 0x1656_67b1;

/// xxHash-32 with seed 0.
fn xxhash32(bytes: &[u8]) -> u32 {
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        PRIME_5
    } else {
        let mut lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, 0_u32.wrapping_sub(PRIME_1)];
        for stripe in stripes {
            let (words, _) = stripe.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                let input = u32::from_le_bytes(*word).wrapping_mul(PRIME_2);
                *lane = lane.wrapping_add(input).rotate_left(13).wrapping_mul(PRIME_1);
            }
        }
        let [a, b, c, d] = lanes;
        [(b, 7), (c, 12), (d, 18)]
            .into_iter()
            .fold(a.rotate_left(1), |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)))
    };
    hash = hash.wrapping_add(u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or(0));
    let (words, tail) = rest.as_chunks::<4>();
    for word in words {
        let input = u32::from_le_bytes(*word).wrapping_mul(PRIME_3);
        hash = hash.wrapping_add(input).rotate_left(17).wrapping_mul(PRIME_4);
    }
    for byte in tail {
        hash =
            hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIME_5)).rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REC-02: vectors of the xxHash specification.
    #[test]
    fn the_hash_is_xxhash_32() {
        assert_eq!(xxhash32(b""), 0x02cc_5d05);
        assert_eq!(xxhash32(b"a"), 0x550d_7456);
        assert_eq!(xxhash32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxhash32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }
}
