//! Rows 2 and 3: consumers as fast as they are answered, alone and beside a producer.
//!
//! Owns: the cases, what lies in the partitions. Does not own: the loads (`driver::closed`).

use ottla_protocol::compression::Encoding;

use super::produce::BATCHES;
use super::{Bench, Case, throughput};
use crate::Fallible;
use crate::driver::board::micros;
use crate::driver::client::Client;
use crate::driver::closed::{self, Consumers, IN_FLIGHT, Producers};
use crate::figures::Load;
use crate::frames::Batch;
use crate::system::{Durability, Start, Validation};

/// Bytes that a consumer reads again and again; they stay in the page cache.
const FILLED_BYTES: u64 = 256 * 1024 * 1024;

/// Row 2.
pub async fn alone(bench: &mut Bench) -> Fallible<()> {
    for (batch_bytes, per_fetch, name) in [(16 * 1024, 4, "64 KiB"), (64 * 1024, 16, "1 MiB")] {
        for connections in [1, 4] {
            let batch = Batch::filled(1024, batch_bytes, Encoding::None)?;
            let count = FILLED_BYTES / batch.bytes.len() as u64;
            let name = format!("{name}, {connections} conn.");
            let start = Start {
                durability: Durability::PageCache,
                validation: Validation::Full,
                partitions: connections,
                retention_bytes: None,
            };
            let consumers = Consumers {
                connections,
                // Whole batches: what a broker cuts off at the limit would be sent in vain.
                bytes_max: i32::try_from(batch.bytes.len() * per_fetch)?,
                batch: (batch.bytes.len(), batch.records),
                wrap_at: Some(i64::try_from(count * u64::from(batch.records))?),
            };
            let timing = bench.plan.timing();
            let case = Case { row: 2, name: &name, start, with_yardstick: true };
            bench
                .case(case, async |system| {
                    Client::create_topic(system, &[]).await?;
                    for partition in 0..i32::try_from(connections)? {
                        closed::fill(system, partition, &batch, count).await?;
                    }
                    let measured = closed::consume(system, consumers, timing).await?;
                    Ok((throughput(&measured), Load::of(&measured.usage)))
                })
                .await?;
        }
    }
    Ok(())
}

/// Row 3.
pub async fn beside_producers(bench: &mut Bench) -> Fallible<()> {
    let (batch_bytes, batch_name) = BATCHES[1];
    for readers in [1, 3] {
        let batch = Batch::filled(1024, batch_bytes, Encoding::None)?;
        let name = format!("{batch_name} in by 1, out by {readers}");
        let consumers = Consumers {
            connections: readers,
            bytes_max: i32::try_from(batch.bytes.len() * 16)?,
            batch: (batch.bytes.len(), batch.records),
            wrap_at: None,
        };
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
            validation: Validation::Full,
            partitions: 1,
            retention_bytes: None,
        };
        let timing = bench.plan.timing();
        let case = Case { row: 3, name: &name, start, with_yardstick: true };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                let both = (Some(&producers), Some(consumers));
                let (sent, read) = closed::produce_and_consume(system, both, timing).await?;
                let (in_rate, out_rate) = (sent.megabytes_per_second(), read.megabytes_per_second());
                let gigabytes = (in_rate + out_rate) * sent.usage.seconds / 1e3;
                let figures = vec![
                    ("MB/s in and out", in_rate + out_rate),
                    ("MB/s in", in_rate),
                    ("MB/s out", out_rate),
                    ("broker s/GB", sent.usage.system_seconds / gigabytes),
                    ("p99 us in", micros(&sent.latencies, 0.99)),
                    ("p99 us out", micros(&read.latencies, 0.99)),
                ];
                Ok((figures, Load::of(&sent.usage)))
            })
            .await?;
    }
    Ok(())
}
