//! The four codecs: what Kafka packed is read, what we pack is read by us (and was read by Kafka's classes), damage and
//! bombs are refused.
//!
//! Owns: framing, levels, caps. Does not own: batches (`record`, `validate`).

use ottla_protocol::compression::*;
use proptest::prelude::*;

const PACKED: &str = include_str!("../data/packed.tsv");

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// The text that `packed.tsv` holds.
fn lines() -> Vec<u8> {
    (0..20_000).flat_map(|index| format!("record {} of many\n", index / 100).into_bytes()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn pack(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(encoding).unwrap();
    let mut packed = Vec::new();
    compressor.write(plain, &mut packed).unwrap();
    compressor.finish(&mut packed).unwrap();
    packed
}

fn unpack_within(
    codec: Compression,
    packed: &[u8],
    limits: UnpackLimits,
) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    Decompressor::new().unpack_into((codec, packed), limits, &mut plain)?;
    Ok(plain)
}

fn unpack(codec: Compression, packed: &[u8]) -> Result<Vec<u8>, CompressionError> {
    unpack_within(codec, packed, UnpackLimits::bytes(16 << 20))
}

fn default_of(codec: Compression) -> Encoding {
    Encoding::with_default_level(codec)
}

/// REC-02: any level, several blocks.
#[test]
fn what_kafka_packed_is_read() {
    let lines = lines();
    let rows: Vec<Vec<&str>> = PACKED.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let codec = CODECS.into_iter().find(|codec| codec.name() == row[0]).unwrap();
        assert!(unpack(codec, &unhex(row[2])).unwrap() == lines, "{} level {}", row[0], row[1]);
    }
}

/// REC-02: clients that know no Xerial framing send one raw block.
#[test]
fn a_raw_snappy_block_is_read() {
    let raw = snap::raw::Encoder::new().compress_vec(&lines()).unwrap();
    assert!(unpack(Compression::Snappy, &raw).unwrap() == lines());
}

/// REC-02: streams that were put one behind the other are one stream.
#[test]
fn concatenated_streams_are_read_where_java_reads_them() {
    let twice = |codec: Compression| {
        let packed = pack(default_of(codec), b"once ");
        unpack(codec, &[packed.clone(), packed].concat()).unwrap()
    };
    assert_eq!(twice(Compression::Gzip), b"once once ");
    assert_eq!(twice(Compression::Snappy), b"once once ");
    assert_eq!(twice(Compression::Zstd), b"once once ");
    // Kafka reads one LZ4 frame only.
    assert_eq!(twice(Compression::Lz4), b"once ");
}

/// REC-02: members with name, comment, extra field and header checksum.
#[test]
fn all_optional_fields_of_gzip_are_passed_over() {
    let packed = pack(default_of(Compression::Gzip), b"plain");
    let mut header = packed[..10].to_vec();
    header[3] = 2 | 4 | 8 | 16;
    let optional = [&[3, 0, 1, 2, 3][..], b"name\0", b"comment\0", &[9, 9]].concat();
    let rich = [&header[..], &optional, &packed[10..]].concat();
    assert_eq!(unpack(Compression::Gzip, &rich).unwrap(), b"plain");
    for length in 0..rich.len() {
        assert_eq!(
            unpack(Compression::Gzip, &rich[..length]),
            Err(CompressionError::Truncated { codec: Compression::Gzip }),
            "{length}"
        );
    }
}

/// REC-02: what Kafka's reader of LZ4 frames insists on.
#[test]
fn lz4_frames_that_kafka_refuses_are_refused() {
    let good = pack(default_of(Compression::Lz4), b"plain plain plain plain");
    assert_eq!(good[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    for (at, byte, what) in [
        (0, 5, "no frame magic"),
        (4, 0x20, "an unknown version or flag"),
        (4, 0x61, "an unknown version or flag"),
        (4, 0x40, "dependent blocks"),
        (5, 0x30, "an unknown block size"),
        (5, 0xc0, "an unknown block size"),
        (6, 0x83, "the checksum of the header differs"),
        (9, 0xff, "a block is larger than the header says"),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(
            unpack(Compression::Lz4, &bad),
            Err(CompressionError::Malformed { codec: Compression::Lz4, what })
        );
    }
    let unchecked = UnpackLimits { lz4_header_checked: false, ..UnpackLimits::bytes(1000) };
    let mut old = good;
    old[6] = 0x83;
    assert!(unpack_within(Compression::Lz4, &old, unchecked).is_ok());
}

/// REC-02: blocks with checksums, as other clients write them.
#[test]
fn lz4_blocks_with_a_checksum_are_checked() {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(
        lz4_flex::frame::FrameInfo::new().block_checksums(true).content_checksum(true),
        Vec::new(),
    );
    std::io::Write::write_all(&mut encoder, &lines()).unwrap();
    let mut packed = encoder.finish().unwrap();
    assert!(unpack(Compression::Lz4, &packed).unwrap() == lines());
    packed[20] ^= 1;
    let refused = unpack(Compression::Lz4, &packed).unwrap_err();
    assert!(matches!(refused, CompressionError::Malformed { what: "the checksum of a block differs", .. }));
}

/// REC-02, TRAP-38: the length a snappy block claims is not believed.
#[test]
fn a_snappy_block_that_claims_gigabytes_allocates_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let refused = unpack_within(Compression::Snappy, &claim, UnpackLimits::bytes(u64::MAX)).unwrap_err();
    assert!(matches!(
        refused,
        CompressionError::Malformed { what: "a block claims more than it can hold", .. }
    ));
}

/// TRAP-38
#[test]
fn output_stops_at_the_cap() {
    let zeroes = vec![0; 8 << 20];
    for codec in CODECS {
        let packed = pack(default_of(codec), &zeroes);
        for limit in [0, 1, 100_000, (8 << 20) - 1] {
            assert_eq!(
                unpack_within(codec, &packed, UnpackLimits::bytes(limit)),
                Err(CompressionError::TooLarge { codec, limit })
            );
        }
        assert_eq!(unpack_within(codec, &packed, UnpackLimits::bytes(8 << 20)).unwrap().len(), 8 << 20);
    }
}

/// TRAP-38: the window that a frame asks for is bounded.
#[test]
fn a_zstd_frame_with_too_large_a_window_is_refused() {
    let packed = pack(Encoding::Zstd(ZstdLevel::new(22).unwrap()), &lines());
    let with = |zstd_window_log_max| UnpackLimits { zstd_window_log_max, ..UnpackLimits::bytes(1 << 20) };
    assert!(unpack_within(Compression::Zstd, &packed, with(27)).is_ok());
    assert!(matches!(
        unpack_within(Compression::Zstd, &packed, with(20)),
        Err(CompressionError::Malformed { codec: Compression::Zstd, .. })
    ));
}

/// REC-03: every level of every codec writes what can be read, and is another effort.
#[test]
fn levels_are_honoured() {
    let sizes: Vec<usize> =
        [1, 9].map(|level| pack(Encoding::Gzip(GzipLevel::new(level).unwrap()), &lines()).len()).into();
    assert!(sizes[1] < sizes[0]);
    let sizes: Vec<usize> =
        [-7, 19].map(|level| pack(Encoding::Zstd(ZstdLevel::new(level).unwrap()), &lines()).len()).into();
    assert!(sizes[1] < sizes[0]);
    for level in 1..=17 {
        let packed = pack(Encoding::Lz4(Lz4Level::new(level).unwrap()), &lines());
        assert!(unpack(Compression::Lz4, &packed).unwrap() == lines());
    }
}

/// Performance 4.7: contexts are used again, also after a failure.
#[test]
fn a_reader_and_a_writer_serve_stream_after_stream() {
    let mut reader = Decompressor::new();
    for codec in CODECS {
        let mut writer = Compressor::new(default_of(codec)).unwrap();
        for text in [b"first".as_slice(), b"", b"third"] {
            let mut packed = Vec::new();
            writer.write(text, &mut packed).unwrap();
            writer.finish(&mut packed).unwrap();
            let cut = (codec, &packed[..packed.len() / 2]);
            let mut plain = Vec::new();
            let limits = UnpackLimits::bytes(100);
            assert!(reader.unpack_into(cut, limits, &mut plain).is_err(), "{codec}");
            plain.clear();
            reader.unpack_into((codec, &packed), limits, &mut plain).unwrap();
            assert_eq!(plain, text, "{codec}");
        }
    }
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let unit = proptest::collection::vec(any::<u8>(), 0..300);
    (unit, 0..600_usize).prop_map(|(unit, times)| unit.repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// REC-02, REC-03
    #[test]
    fn whatever_is_packed_in_whatever_pieces_is_unpacked(
        plain in texts(),
        piece in 1..100_000_usize,
        codec in 0..4_usize,
    ) {
        let codec = CODECS[codec];
        let mut compressor = Compressor::new(default_of(codec)).unwrap();
        let mut packed = Vec::new();
        for piece in plain.chunks(piece) {
            compressor.write(piece, &mut packed).unwrap();
        }
        compressor.finish(&mut packed).unwrap();
        let unpacked = unpack_within(codec, &packed, UnpackLimits::bytes(plain.len() as u64)).unwrap();
        prop_assert!(unpacked == plain);
    }

    /// REC-02: damage ends in an error or in other bytes, never in a panic or beyond the cap.
    #[test]
    fn damaged_streams_never_panic(
        plain in texts(),
        codec in 0..4_usize,
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let codec = CODECS[codec];
        let mut packed = pack(default_of(codec), &plain);
        for (at, byte) in damages {
            let at = at.index(packed.len());
            packed[at] = byte;
        }
        if let Ok(unpacked) = unpack_within(codec, &packed, UnpackLimits::bytes(1 << 20)) {
            prop_assert!(unpacked.len() <= 1 << 20);
        }
    }
}
