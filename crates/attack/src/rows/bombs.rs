//! Batches that unpack to a thousand times their size and more.
//!
//! Owns: making them, sending them all at once. Does not own: the codecs (`ottla-protocol`).

use std::time::{Duration, Instant};

use ottla_protocol::compression::{Compression, Compressor, Encoding};
use ottla_testkit::spoiled::with_checksum;

use super::{Prepared, Stage};
use crate::Fallible;
use crate::honest::{batch, create_topics, produce_code, produce_frame};
use crate::report::Found;
use crate::wire::{Connection, Reply};

const TOPIC: &str = "bombed";
/// What a batch holds once it is unpacked. `max.message.bytes` is 1 MiB; lz4 cannot do more than 1:255 and snappy 1:21.
const CODECS: [(Compression, usize); 4] = [
    (Compression::Gzip, 1 << 30),
    (Compression::Zstd, 1 << 30),
    (Compression::Lz4, 200 << 20),
    (Compression::Snappy, 20 << 20),
];
/// Each bomb is thrown so often, by as many connections at once.
const TIMES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// The requests: each with one record of zeroes, in a batch that is right.
pub fn frames() -> Fallible<Vec<(String, Vec<u8>)>> {
    let frame = |(codec, bytes): (Compression, usize)| {
        Ok((codec.name().to_owned(), produce_frame((TOPIC, -1), bomb(codec, bytes)?)?))
    };
    CODECS.into_iter().map(frame).collect()
}

/// A batch of one record whose value is so many zeroes.
fn bomb(codec: Compression, bytes: usize) -> Fallible<Vec<u8>> {
    const HEADER_BYTES: usize = 61;
    const ATTRIBUTES_AT: usize = 22;
    let mut compressor = Compressor::new(Encoding::with_default_level(codec))?;
    let mut packed = Vec::new();
    // Attributes, time, offset and no key; then the value; then no headers.
    let mut front = vec![0, 0, 0];
    varint(&mut front, -1);
    varint(&mut front, i64::try_from(bytes)?);
    let mut length = Vec::new();
    varint(&mut length, i64::try_from(front.len() + bytes + 1)?);
    compressor.write(&[length, front].concat(), &mut packed)?;
    let zeroes = vec![0; 1 << 20];
    for _ in 0..bytes / zeroes.len() {
        compressor.write(&zeroes, &mut packed)?;
    }
    compressor.write(&[0], &mut packed)?;
    compressor.finish(&mut packed)?;
    let mut whole = batch(1, 1)?;
    whole.truncate(HEADER_BYTES);
    whole[ATTRIBUTES_AT] = codec.id();
    whole.extend(packed);
    let length = i32::try_from(whole.len() - 12)?;
    whole[8..12].copy_from_slice(&length.to_be_bytes());
    Ok(with_checksum(whole))
}

/// A number as records have it.
fn varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

/// All of them at once, several times.
pub async fn explode(stage: &Stage<'_>, prepared: Prepared) -> Fallible<Found> {
    create_topics(stage.node.port, &[TOPIC]).await?;
    let mut found = Found::default();
    let begun = Instant::now();
    let mut sent = Vec::new();
    for _ in 0..TIMES {
        for (name, frame) in &prepared.frames {
            let mut client = Connection::open(stage.node.port).await?;
            client.send(frame).await?;
            sent.push((name.clone(), client));
        }
    }
    let mut codes: Vec<String> = Vec::new();
    for (name, mut client) in sent {
        match client.receive(PATIENCE).await {
            Reply::Answer(answer) => {
                let code = produce_code(&answer)?;
                // As far as these two go, nobody may have unpacked it to its end.
                let must_be_refused =
                    [Compression::Gzip, Compression::Zstd].iter().any(|it| it.name() == name);
                found.must(code != 0 || !must_be_refused, || format!("a bomb of {name} was taken"));
                codes.push(format!("{name} {code}"));
            }
            other @ (Reply::Closed | Reply::Silent) => {
                found.misses.push(format!("a bomb of {name} got {other:?}"))
            }
        }
    }
    codes.sort();
    codes.dedup();
    let sizes: Vec<String> =
        prepared.frames.iter().map(|(name, frame)| format!("{name} {} bytes", frame.len())).collect();
    found.fact(sizes.join(", "));
    found.fact(format!("codes: {}; all answered after {} ms", codes.join(", "), begun.elapsed().as_millis()));
    Ok(found)
}
