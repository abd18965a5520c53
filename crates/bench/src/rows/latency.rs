//! Row 4: how long a record takes from its producer to a consumer that waits for it.
//!
//! Owns: the cases. Does not own: the way of a record (`driver::end_to_end`).

use ottla_protocol::compression::Encoding;

use super::{Bench, Case, quantiles};
use crate::Fallible;
use crate::driver::board::Timing;
use crate::driver::client::Client;
use crate::driver::closed::{self, IN_FLIGHT, Producers};
use crate::driver::end_to_end::{self, Way};
use crate::driver::paced::{self, Pace};
use crate::figures::Load;
use crate::frames::{Batch, ProduceFrame};
use crate::system::{Durability, Start, System, Validation};

/// Bytes of a batch of the load beside the records.
const LOAD_BATCH_BYTES: usize = 64 * 1024;

pub async fn run(bench: &mut Bench) -> Fallible<()> {
    let ways = [
        (1, Durability::PageCache, "acks=1"),
        (-1, Durability::PageCache, "acks=all"),
        (-1, Durability::Flushed, "flushed"),
    ];
    for rate in [1_000, 100, 10_000] {
        for (acks, durability, name) in ways {
            if bench.plan.quick && rate != 1_000 {
                continue;
            }
            let name = format!("{rate}/s, {name}");
            let way = Way { partition: 0, acks, rate: f64::from(rate) };
            measure(bench, &name, (way, durability, false)).await?;
        }
    }
    let way = Way { partition: 0, acks: 1, rate: 1_000.0 };
    measure(bench, "1000/s, acks=1, at half load", (way, Durability::PageCache, true)).await
}

async fn measure(
    bench: &mut Bench,
    name: &str,
    (way, durability, loaded): (Way, Durability, bool),
) -> Fallible<()> {
    let start = Start { durability, validation: Validation::Full, partitions: 2, retention_bytes: None };
    let timing = bench.plan.paced();
    let case = Case { row: 4, name, start, with_yardstick: true };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            let taken = match loaded {
                false => end_to_end::run(system, way, timing).await?,
                true => {
                    let pace = half_load(system, timing).await?;
                    let both =
                        tokio::join!(end_to_end::run(system, way, timing), paced::run(system, pace, timing));
                    both.1?;
                    both.0?
                }
            };
            let mut figures = quantiles(&taken.latencies);
            let records = way.rate * taken.usage.seconds;
            figures.push(("us/record", taken.usage.system_seconds * 1e6 / records));
            Ok((figures, Load::of(&taken.usage)))
        })
        .await
}

/// Half of what the system takes from one producer.
async fn half_load(system: &System, timing: Timing) -> Fallible<Pace> {
    let batch = Batch::filled(1024, LOAD_BATCH_BYTES, Encoding::None)?;
    let producers =
        Producers { connections: 1, partitions: 1, acks: 1, in_flight: IN_FLIGHT, batch, idempotent: false };
    // On a partition of its own: the records that are timed have the other one.
    let probe = Producers { partitions: 2, ..producers.clone() };
    let most = closed::produce_to(system, (&probe, 1), Timing { window: timing.warm_up, ..timing }).await?;
    let frames = vec![ProduceFrame::new(1, 1, &producers.batch)?];
    Ok(Pace { frames, connections: 1, rate: most.requests_per_second() / 2.0 })
}
