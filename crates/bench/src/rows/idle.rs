//! Rows 8, 9 and 10: what lies idle costs: connections, partitions, a node itself.
//!
//! Owns: the cases, how memory is told apart. Does not own: reading it (`processor`).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Bench, Case};
use crate::Fallible;
use crate::driver::board::{Timing, micros};
use crate::driver::client::{Client, PARTITIONS_PER_TOPIC, topic_name};
use crate::driver::paced::{self, Pace};
use crate::figures::{Load, mebibytes};
use crate::frames::{Batch, ProduceFrame};
use crate::processor::{float, kernel_memory, memory_of};
use crate::system::{Durability, Start, System, Validation, told};

/// How long a system is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(1);

/// How long until the allocator of a node has given back what nobody uses: ten seconds, and a little.
const GIVEN_BACK: Duration = Duration::from_secs(12);

/// Row 8: connections that were used once, and the latency of one that is in use beside them.
pub async fn connections(bench: &mut Bench) -> Fallible<()> {
    let counts: &[u32] = if bench.plan.quick { &[1_000] } else { &[10, 100, 1_000, 5_000, 8_000] };
    for count in counts {
        let name = format!("{count} connections");
        let start = Start {
            durability: Durability::PageCache,
            validation: Validation::Full,
            partitions: 1,
            retention_bytes: None,
        };
        let window = if bench.plan.quick { 2 } else { 5 };
        let timing = Timing { warm_up: Duration::from_millis(500), window: Duration::from_secs(window) };
        let case = Case { row: 8, name: &name, start, with_yardstick: true };
        bench
            .case(case, async |system| {
                Client::create_topic(system, &[]).await?;
                // What the first connections bring up in the system is not theirs.
                drop(idle_connections(system, 20).await?);
                tokio::time::sleep(SETTLE).await;
                let (before, kernel_before) = (memory_of(system.session())?.0, kernel_memory()?);
                let held = idle_connections(system, *count).await?;
                tokio::time::sleep(SETTLE).await;
                let (after, kernel_after) = (memory_of(system.session())?.0, kernel_memory()?);
                let each = |before: u64, after: u64| {
                    float(after.saturating_sub(before)) / 1024.0 / f64::from(*count)
                };
                let frames = vec![ProduceFrame::new(0, 1, &Batch::keyed(100, 1, 0)?)?];
                let measured =
                    paced::run(system, Pace { frames, connections: 1, rate: 1_000.0 }, timing).await?;
                drop(held);
                let figures = vec![
                    ("KiB each", each(before, after)),
                    ("kernel KiB each, both ends", each(kernel_before, kernel_after)),
                    ("p50 us of an active one", micros(&measured.latencies, 0.5)),
                    ("p99 us of an active one", micros(&measured.latencies, 0.99)),
                ];
                Ok((figures, Load::of(&measured.usage)))
            })
            .await?;
    }
    Ok(())
}

/// Connections that have asked one question, as clients do.
async fn idle_connections(system: &System, count: u32) -> Fallible<Vec<Client>> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(system.port).await?;
        client.ping().await?;
        held.push(client);
    }
    Ok(held)
}

/// Row 9: partitions that nobody uses.
pub async fn partitions(bench: &mut Bench) -> Fallible<()> {
    let counts: &[u32] = if bench.plan.quick { &[1_000, 10_000] } else { &[10, 1_000, 10_000, 100_000] };
    for count in counts {
        let name = format!("{count} partitions");
        let start = Start {
            durability: Durability::PageCache,
            validation: Validation::Full,
            partitions: *count,
            retention_bytes: None,
        };
        let case = Case { row: 9, name: &name, start, with_yardstick: false };
        bench
            .case(case, async |system| {
                tokio::time::sleep(SETTLE).await;
                let before = memory_of(system.session())?.0;
                let begin = Instant::now();
                Client::create_topic(system, &[]).await?;
                let created = begin.elapsed();
                let plain = plain_creation(&system.directory.join("plain"))?;
                tokio::time::sleep(GIVEN_BACK).await;
                let after = memory_of(system.session())?.0;
                let metadata = metadata_time(system, (*count).min(PARTITIONS_PER_TOPIC)).await?;
                system.stop().await?;
                system.start_again().await?;
                let ready = all_led(system, *count).await?;
                tokio::time::sleep(GIVEN_BACK).await;
                let again = memory_of(system.session())?.0;
                let each = float(after.saturating_sub(before)) / 1024.0 / f64::from(*count);
                let figures = vec![
                    ("KiB each", each),
                    ("MiB after a new start", mebibytes(again)),
                    ("create ms", created.as_secs_f64() * 1e3),
                    ("create us each", created.as_secs_f64() * 1e6 / f64::from(*count)),
                    ("files alone us each", plain),
                    ("metadata ms", metadata.as_secs_f64() * 1e3),
                    ("start again ms", system.started_in.as_secs_f64() * 1e3),
                    ("start to all led ms", ready.as_secs_f64() * 1e3),
                ];
                Ok((figures, Load::default()))
            })
            .await?;
    }
    Ok(())
}

/// Microseconds to make the files of a partition and nothing else, in the same file system. ext4 passes over inodes that were
/// freed in the last seconds or minutes one by one, so where much was deleted just before, as by an earlier case, this is
/// most of what a creation takes.
fn plain_creation(directory: &Path) -> Fallible<f64> {
    const COUNT: u32 = 2_000;
    let names = ["partition.metadata", "leader-epoch-checkpoint", "0.log", "0.index", "0.timeindex"];
    let begin = Instant::now();
    for at in 0..COUNT {
        let partition = directory.join(at.to_string());
        fs::create_dir_all(&partition).map_err(told("create", &partition))?;
        for name in names {
            let path = partition.join(name);
            fs::File::create_new(&path).map_err(told("create", &path))?;
        }
    }
    let each = begin.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT);
    fs::remove_dir_all(directory).map_err(told("remove", directory))?;
    Ok(each)
}

/// The shortest of several questions for a topic's partitions.
async fn metadata_time(system: &System, partitions: u32) -> Fallible<Duration> {
    let mut client = Client::connect(system.port).await?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let led = client.leaders(&topic_name(0)).await?;
        best = best.min(begin.elapsed());
        if led != partitions {
            return Err(format!("{led} of {partitions} partitions have a leader").into());
        }
    }
    Ok(best)
}

/// Waits until every partition has its leader; how long that is after the start.
async fn all_led(system: &System, partitions: u32) -> Fallible<Duration> {
    let mut client = Client::connect(system.port).await?;
    let (mut left, mut number) = (partitions, 0);
    while left > 0 {
        let count = left.min(PARTITIONS_PER_TOPIC);
        while client.leaders(&topic_name(number)).await? != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (left, number) = (left - count, number + 1);
    }
    Ok(system.spawned_at.elapsed())
}

/// Row 10: nothing at all.
pub async fn nothing(bench: &mut Bench) -> Fallible<()> {
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions: 0,
        retention_bytes: None,
    };
    let case = Case { row: 10, name: "empty", start, with_yardstick: true };
    bench
        .case(case, async |system| {
            let first = system.started_in;
            system.stop().await?;
            system.start_again().await?;
            tokio::time::sleep(SETTLE).await;
            let (anonymous, resident) = memory_of(system.session())?;
            let figures = vec![
                ("first start ms", first.as_secs_f64() * 1e3),
                ("start again ms", system.started_in.as_secs_f64() * 1e3),
                ("resident MiB", mebibytes(resident)),
                ("of it not from files MiB", mebibytes(anonymous)),
            ];
            Ok((figures, Load::default()))
        })
        .await
}
