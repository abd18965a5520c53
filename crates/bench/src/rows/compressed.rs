//! Row 13: batches that arrive compressed.
//!
//! Owns: the cases. Does not own: the load (`driver::closed`).

use ottla_protocol::compression::{Compression, Encoding};

use super::produce::RETENTION_BYTES;
use super::{Bench, Case, throughput};
use crate::Fallible;
use crate::driver::client::Client;
use crate::driver::closed::{self, IN_FLIGHT, Producers};
use crate::figures::Load;
use crate::frames::Batch;
use crate::processor::float;
use crate::system::{Durability, Kind, Start, Validation};

/// Bytes of a batch before it is compressed.
const UNPACKED_BYTES: usize = 128 * 1024;

pub async fn run(bench: &mut Bench) -> Fallible<()> {
    let codecs = [
        (Encoding::None, "none"),
        (Encoding::with_default_level(Compression::Lz4), "lz4"),
        (Encoding::with_default_level(Compression::Zstd), "zstd"),
    ];
    for (encoding, codec) in codecs {
        for validation in [Validation::Full, Validation::Header] {
            let name = format!("{codec}, {} validation", validation.name());
            let batch = Batch::filled(1024, UNPACKED_BYTES, encoding)?;
            let packed = float(batch.bytes.len() as u64) / float(batch.unpacked_bytes as u64);
            let producers = Producers {
                connections: 1,
                partitions: 1,
                acks: 1,
                in_flight: IN_FLIGHT,
                batch,
                idempotent: false,
            };
            let start = Start {
                durability: Durability::PageCache,
                validation,
                partitions: 1,
                retention_bytes: Some(RETENTION_BYTES),
            };
            let timing = bench.plan.timing();
            let case = Case { row: 13, name: &name, start, with_yardstick: true };
            bench
                .case(case, async |system| {
                    // A setting that only a node has; the yardstick was told at its start.
                    let configs = [("ottla.record.validation", validation.name())];
                    let configs = if matches!(system.kind, Kind::Node(_)) { &configs[..] } else { &[] };
                    Client::create_topic(system, configs).await?;
                    let measured = closed::produce(system, &producers, timing).await?;
                    let mut figures = throughput(&measured);
                    figures.push(("broker s/GB unpacked", measured.seconds_per_gigabyte() * packed));
                    Ok((figures, Load::of(&measured.usage)))
                })
                .await?;
        }
    }
    Ok(())
}
