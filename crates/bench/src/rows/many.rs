//! Rows 5, 6 and 14: many producers, a long run, and answers that wait for the disk.
//!
//! Owns: the cases. Does not own: the loads (`driver`).

use std::time::Duration;

use ottla_protocol::compression::Encoding;

use super::{Bench, Case, paced_figures, throughput};
use crate::Fallible;
use crate::driver::board::{Timing, micros};
use crate::driver::client::Client;
use crate::driver::closed::{self, IN_FLIGHT, Producers};
use crate::driver::paced::{self, Pace};
use crate::figures::Load;
use crate::frames::{Batch, ProduceFrame};
use crate::system::{Durability, Start, Validation};

/// Partitions of the topic that many producers share.
const SHARED_PARTITIONS: u32 = 100;
/// Requests per second of all of them together.
const SHARED_RATE: f64 = 4_000.0;
/// Frames with keys of their own: a multiple of every number of producers.
const SHARED_FRAMES: usize = 2_000;
const RECORDS_PER_REQUEST: u32 = 4;

/// Row 5: the same rate from few and from many, then as fast as they are answered.
pub async fn producers(bench: &mut Bench) -> Fallible<()> {
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions: SHARED_PARTITIONS,
        retention_bytes: None,
    };
    let timing = bench.plan.paced();
    for connections in [4, 100, 1_000] {
        let name = format!("{connections} producers, {SHARED_RATE} requests/s");
        let case = Case { row: 5, name: &name, start, with_yardstick: true };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                let pace = Pace { frames: keyed_frames()?, connections, rate: SHARED_RATE };
                let measured = paced::run(system, pace, timing).await?;
                Ok((paced_figures(&measured), Load::of(&measured.usage)))
            })
            .await?;
    }
    for connections in [4, 1_000] {
        let name = format!("{connections} producers, 1 in flight each, unpaced");
        let batch = Batch::keyed(100, RECORDS_PER_REQUEST, 0)?;
        let producers = Producers {
            connections,
            partitions: SHARED_PARTITIONS,
            acks: 1,
            in_flight: 1,
            batch,
            idempotent: false,
        };
        let timing = bench.plan.timing();
        let case = Case { row: 5, name: &name, start, with_yardstick: true };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                let measured = closed::produce(system, &producers, timing).await?;
                Ok((paced_figures(&measured), Load::of(&measured.usage)))
            })
            .await?;
    }
    Ok(())
}

/// Frames whose keys fall on partitions in no order.
fn keyed_frames() -> Fallible<Vec<ProduceFrame>> {
    (0..SHARED_FRAMES)
        .map(|number| {
            let batch = Batch::keyed(100, RECORDS_PER_REQUEST, number)?;
            let partition = (number * 7_919 + number / 100) % SHARED_PARTITIONS as usize;
            ProduceFrame::new(i32::try_from(partition)?, 1, &batch)
        })
        .collect()
}

/// Row 6: a steady load for an hour, with segments cleaned up beside it; quick: for two windows of ten seconds.
pub async fn long_run(bench: &mut Bench) -> Fallible<()> {
    let (windows, window) =
        if bench.plan.quick { (2, Duration::from_secs(10)) } else { (60, Duration::from_secs(60)) };
    let retention_bytes = Some(super::produce::RETENTION_BYTES);
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions: 4,
        retention_bytes,
    };
    let case = Case { row: 6, name: "40 MB/s in 64 KiB", start, with_yardstick: true };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            let batch = Batch::filled(1024, 64 * 1024, Encoding::None)?;
            let frames = (0..4)
                .map(|partition| ProduceFrame::new(partition, 1, &batch))
                .collect::<Fallible<Vec<_>>>()?;
            let rate = 40e6 / batch.bytes.len() as f64;
            let (mut each, mut load) = (Vec::new(), Load::default());
            for _ in 0..windows {
                let pace = Pace { frames: frames.clone(), connections: 4, rate };
                let timing = Timing { warm_up: Duration::from_millis(500), window };
                let measured = paced::run(system, pace, timing).await?;
                each.push(micros(&measured.latencies, 0.999));
                let now = Load::of(&measured.usage);
                load.foreign_percent = load.foreign_percent.max(now.foreign_percent);
                load.steal_percent = load.steal_percent.max(now.steal_percent);
            }
            let third = (each.len() / 3).max(1);
            let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
            let drift = mean(&each[each.len() - third..]) / mean(&each[..third]);
            let worst = each.iter().copied().fold(0.0, f64::max);
            Ok((
                vec![("p99.9 us, worst minute", worst), ("p99.9 us, mean", mean(&each)), ("drift", drift)],
                load,
            ))
        })
        .await
}

/// Row 14: answers after the sync.
pub async fn flushed(bench: &mut Bench) -> Fallible<()> {
    for (partitions, connections) in [(1, 1), (100, 100), (1_000, 100)] {
        let name = format!("{partitions} partitions, {connections} conn.");
        let start = Start {
            durability: Durability::Flushed,
            validation: Validation::Full,
            partitions,
            retention_bytes: None,
        };
        let batch = Batch::filled(100, 1, Encoding::None)?;
        let producers =
            Producers { connections, partitions, acks: -1, in_flight: IN_FLIGHT, batch, idempotent: false };
        let timing = bench.plan.timing();
        let case = Case { row: 14, name: &name, start, with_yardstick: true };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                let measured = closed::produce(system, &producers, timing).await?;
                let mut figures = throughput(&measured);
                figures.retain(|figure| {
                    figure.0 != "MB/s" && figure.0 != "records/s" && figure.0 != "broker s/GB"
                });
                Ok((figures, Load::of(&measured.usage)))
            })
            .await?;
    }
    Ok(())
}
