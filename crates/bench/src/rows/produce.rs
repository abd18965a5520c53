//! Row 1: producers as fast as they are answered.
//!
//! Owns: the cases. Does not own: the load (`driver::closed`).

use ottla_protocol::compression::Encoding;

use super::{Bench, Case, throughput};
use crate::Fallible;
use crate::driver::client::Client;
use crate::driver::closed::{self, IN_FLIGHT, Producers};
use crate::figures::Load;
use crate::frames::Batch;
use crate::system::{Durability, Start, Validation};

/// Retention of topics that are written as fast as it goes, so that the page cache is used again.
pub const RETENTION_BYTES: u64 = 512 * 1024 * 1024;

/// Bytes of a batch with the name that cases give them.
pub const BATCHES: [(usize, &str); 3] =
    [(16 * 1024, "16 KiB"), (64 * 1024, "64 KiB"), (1024 * 1024 - 1024, "1 MiB")];

pub async fn run(bench: &mut Bench) -> Fallible<()> {
    for (record_bytes, record) in [(1024, "1 KiB"), (100, "100 B")] {
        for (batch_bytes, batch_name) in BATCHES {
            for connections in [1, 4] {
                // A quick run looks at one of each.
                if bench.plan.quick
                    && (record_bytes != 1024 || (batch_bytes != 64 * 1024 && connections == 4))
                {
                    continue;
                }
                let name = format!("{record} in {batch_name}, {connections} conn.");
                let batch = Batch::filled(record_bytes, batch_bytes, Encoding::None)?;
                let producers = Producers {
                    connections,
                    partitions: connections,
                    acks: 1,
                    in_flight: IN_FLIGHT,
                    batch,
                    idempotent: false,
                };
                measure(bench, &name, &producers).await?;
            }
        }
    }
    Ok(())
}

/// Measures such producers on fresh systems.
async fn measure(bench: &mut Bench, name: &str, producers: &Producers) -> Fallible<()> {
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions: producers.partitions,
        retention_bytes: Some(RETENTION_BYTES),
    };
    let timing = bench.plan.timing();
    let case = Case { row: 1, name, start, with_yardstick: true };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            let measured = closed::produce(system, producers, timing).await?;
            Ok((throughput(&measured), Load::of(&measured.usage)))
        })
        .await
}
