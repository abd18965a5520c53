//! The four codecs of record batches: streaming readers under a cap, streaming writers with levels.
//!
//! Owns: `Compression` (which codec), `Encoding` (codec and level), the framing that Kafka expects of each codec.
//! Does not own: the batch around the bytes (`record`), which codec a topic asks for (`metadata`).
//!
//! | codec  | bits | framing on the wire and on disk                                             |
//! |--------|------|-----------------------------------------------------------------------------|
//! | none   | 0    | –                                                                           |
//! | gzip   | 1    | RFC 1952, one or more members                                               |
//! | snappy | 2    | Xerial: 16-byte header, then length-prefixed raw blocks; raw blocks are read |
//! | lz4    | 3    | LZ4 frame, independent blocks                                               |
//! | zstd   | 4    | Zstandard frames, content size not needed                                   |
//!
//! Invariants
//! - I1 a reader holds one block or 64 KiB of unpacked data, never all of it, and stops at the caller's cap;
//! - I2 no buffer is sized by a number from the data alone: expansion per input byte bounds it too.
//!
//! Source: requirements REC-02, REC-03, TRAP-38; KIP-57, KIP-110, KIP-390.

mod gzip;
mod lz4;
mod reader;
mod snappy;
mod writer;
mod zstd;

use std::fmt;

pub use reader::{Decompressor, UnpackLimits, Unpacked};
pub use writer::Compressor;

/// Unpacked bytes that the streaming codecs produce at a time. As large as the blocks that Java clients write.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Which codec packed the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// The codec with this number (the low three attribute bits of a batch); 5 to 7 are none of Kafka's.
    pub const fn from_id(id: u8) -> Option<Compression> {
        match id {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The number in the attributes of a batch.
    pub const fn id(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// The name in `compression.type` and in tools.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! level {
    ($(#[$doc:meta])* $name:ident, $default:literal, $legal:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(i32);

        impl $name {
            /// A level, or `None` outside of the range.
            pub fn new(level: i32) -> Option<$name> {
                let legal: fn(i32) -> bool = $legal;
                legal(level).then_some($name(level))
            }

            /// The number as it stands in a configuration.
            pub const fn value(self) -> i32 {
                self.0
            }
        }

        impl Default for $name {
            /// Kafka's default.
            fn default() -> $name {
                $name($default)
            }
        }
    };
}

level! {
    /// `compression.gzip.level`: 1 to 9, or −1 for the library's own choice.
    GzipLevel, -1, |level| level == -1 || (1..=9).contains(&level)
}
level! {
    /// `compression.lz4.level`: 1 to 17. Every level writes with the same fast method: there is no slow one in Rust.
    Lz4Level, 9, |level| (1..=17).contains(&level)
}
level! {
    /// `compression.zstd.level`: −131072 to 22.
    ZstdLevel, 3, |level| (-131_072..=22).contains(&level)
}

/// How to pack records that are written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    None,
    Gzip(GzipLevel),
    Snappy,
    Lz4(Lz4Level),
    Zstd(ZstdLevel),
}

impl Encoding {
    /// The codec at Kafka's default level.
    pub fn with_default_level(compression: Compression) -> Encoding {
        match compression {
            Compression::None => Encoding::None,
            Compression::Gzip => Encoding::Gzip(GzipLevel::default()),
            Compression::Snappy => Encoding::Snappy,
            Compression::Lz4 => Encoding::Lz4(Lz4Level::default()),
            Compression::Zstd => Encoding::Zstd(ZstdLevel::default()),
        }
    }

    /// The codec without its level.
    pub const fn compression(self) -> Compression {
        match self {
            Encoding::None => Compression::None,
            Encoding::Gzip(_) => Compression::Gzip,
            Encoding::Snappy => Compression::Snappy,
            Encoding::Lz4(_) => Compression::Lz4,
            Encoding::Zstd(_) => Compression::Zstd,
        }
    }
}

/// The attributes of a batch name a codec that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression type id {id}")]
pub struct UnknownCodec {
    pub id: u8,
}

/// Why packed bytes could not be read, or records not be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    #[error("{codec} data end in the middle")]
    Truncated { codec: Compression },
    #[error("{codec} data are malformed: {what}")]
    Malformed { codec: Compression, what: &'static str },
    #[error("{codec} data unpack to more than {limit} bytes")]
    TooLarge { codec: Compression, limit: u64 },
    #[error("{codec} could not pack the records: {what}")]
    Writer { codec: Compression, what: &'static str },
}

/// Takes `count` bytes from the front of `input`, or `None` when it has fewer.
pub(crate) fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(count)?;
    *input = tail;
    Some(head)
}

/// Takes a fixed number of bytes from the front of `input`, or `None` when it has fewer.
pub(crate) fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = input.split_first_chunk::<N>()?;
    *input = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REC-02: codecs 5 to 7 do not exist.
    #[test]
    fn the_three_codec_bits_know_five_codecs() {
        for id in 0..=4 {
            assert_eq!(Compression::from_id(id).unwrap().id(), id);
        }
        for id in 5..=7 {
            assert_eq!(Compression::from_id(id), None);
        }
    }

    /// REC-03: the ranges of `compression.gzip.level`, `compression.lz4.level` and `compression.zstd.level`.
    #[test]
    fn levels_outside_of_kafka_s_ranges_are_refused() {
        assert!(GzipLevel::new(-1).is_some() && GzipLevel::new(9).is_some());
        assert!(GzipLevel::new(0).is_none() && GzipLevel::new(10).is_none());
        assert!(Lz4Level::new(1).is_some() && Lz4Level::new(17).is_some());
        assert!(Lz4Level::new(0).is_none() && Lz4Level::new(18).is_none());
        assert!(ZstdLevel::new(-131_072).is_some() && ZstdLevel::new(22).is_some());
        assert!(ZstdLevel::new(-131_073).is_none() && ZstdLevel::new(23).is_none());
    }
}
