//! Rows 7 and 11: much data: one who reads it from the disk beside others, and a start after a kill.
//!
//! Owns: the cases, dropping what the page cache holds. Does not own: the loads (`driver`).

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use ottla_protocol::compression::Encoding;
use rustix::fs::{Advice, fadvise};

use super::{Bench, Case};
use crate::Fallible;
use crate::driver::board::{Timing, micros};
use crate::driver::client::{Client, PARTITIONS_PER_TOPIC, connect};
use crate::driver::closed::{self, Consumers, read_fetched};
use crate::driver::end_to_end::{self, Way};
use crate::figures::Load;
use crate::frames::{Batch, FetchFrame, FetchWish};
use crate::processor::float;
use crate::system::{Durability, Start, System, Validation};

const GIGABYTE: u64 = 1_000_000_000;
/// How fast the disk of a small machine is read, in bytes per second: the window is made for it.
const DISK_RATE: f64 = 0.9e9;

/// Row 7.
pub async fn catch_up(bench: &mut Bench) -> Fallible<()> {
    let gigabytes = if bench.plan.quick { 1 } else { 8 };
    let batch = Batch::filled(1024, 64 * 1024, Encoding::None)?;
    let count = gigabytes * GIGABYTE / batch.bytes.len() as u64;
    let consumers = Consumers {
        connections: 1,
        bytes_max: i32::try_from(batch.bytes.len() * 16)?,
        batch: (batch.bytes.len(), batch.records),
        wrap_at: Some(i64::try_from(count * u64::from(batch.records))?),
    };
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions: 2,
        retention_bytes: None,
    };
    let alone = bench.plan.paced();
    let window = Duration::from_secs_f64(float(gigabytes * GIGABYTE) / DISK_RATE * 0.8);
    let beside = Timing { warm_up: Duration::from_millis(200), window };
    let way = Way { partition: 1, acks: 1, rate: 1_000.0 };
    let name = format!("{gigabytes} GB, cold");
    let case = Case { row: 7, name: &name, start, with_yardstick: true };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            closed::fill(system, 0, &batch, count).await?;
            let quiet = end_to_end::run(system, way, alone).await?;
            drop_cached(&system.directory)?;
            let way = Way { partition: 1, ..way };
            let tail = end_to_end::run_from(system, way, (beside, quiet.records));
            let both = tokio::join!(closed::consume(system, consumers, beside), tail);
            let (read, tail) = (both.0?, both.1?);
            let p99 = micros(&tail.latencies, 0.99);
            let figures = vec![
                ("MB/s of the catch-up", read.megabytes_per_second()),
                ("p99 us of the tail", p99),
                ("p99 us alone", micros(&quiet.latencies, 0.99)),
                ("p99 to that alone", p99 / micros(&quiet.latencies, 0.99)),
                ("broker s/GB", read.seconds_per_gigabyte()),
            ];
            Ok((figures, Load::of(&tail.usage)))
        })
        .await
}

/// Brings files to the disk and lets the page cache forget them.
fn drop_cached(directory: &Path) -> Fallible<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_cached(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let file = File::options().read(true).write(true).open(&path)?;
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Row 11.
pub async fn recovery(bench: &mut Bench) -> Fallible<()> {
    let sizes: &[u64] = if bench.plan.quick { &[1] } else { &[1, 10] };
    for gigabytes in sizes {
        let batch = Batch::filled(1024, 64 * 1024, Encoding::None)?;
        let count = gigabytes * GIGABYTE / batch.bytes.len() as u64;
        measure(bench, (&format!("{gigabytes} GB in 1 partition"), 1), (&batch, count)).await?;
    }
    let batch = Batch::filled(1024, 64 * 1024, Encoding::None)?;
    let count = 2 * GIGABYTE / 4 / batch.bytes.len() as u64;
    measure(bench, ("2 GB in 4 partitions", 4), (&batch, count)).await?;
    let batch = Batch::keyed(100, 4, 0)?;
    for partitions in if bench.plan.quick { [1_000].iter() } else { [1_000, PARTITIONS_PER_TOPIC].iter() } {
        measure(bench, (&format!("{partitions} partitions"), *partitions), (&batch, 2)).await?;
    }
    Ok(())
}

async fn measure(
    bench: &mut Bench,
    (name, partitions): (&str, u32),
    (batch, count): (&Batch, u64),
) -> Fallible<()> {
    let start = Start {
        durability: Durability::PageCache,
        validation: Validation::Full,
        partitions,
        retention_bytes: None,
    };
    let case = Case { row: 11, name, start, with_yardstick: false };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            for partition in 0..i32::try_from(partitions)? {
                closed::fill(system, partition, batch, count).await?;
            }
            system.kill().await?;
            system.start_again().await?;
            first_fetch(system).await?;
            let fetched = system.spawned_at.elapsed();
            let acked = i64::try_from(count * u64::from(batch.records))?;
            let mut client = Client::connect(system.port).await?;
            let mut lost = 0;
            for partition in 0..i32::try_from(partitions)? {
                lost += (acked - client.end_offset(partition).await?).max(0);
            }
            let figures = vec![
                ("ms to first fetch", fetched.as_secs_f64() * 1e3),
                ("ms to first answer", system.started_in.as_secs_f64() * 1e3),
                ("acked records lost", float(lost.unsigned_abs())),
            ];
            Ok((figures, Load::default()))
        })
        .await
}

/// Asks for the first batch of the first partition until it is there.
async fn first_fetch(system: &System) -> Fallible<()> {
    let until = Instant::now() + Duration::from_secs(120);
    let mut frame = FetchFrame::new(FetchWish { partition: 0, wait_ms_max: 100, bytes_max: 1024 })?;
    frame.set(0, 0);
    let mut stream = connect(system.port).await?;
    let mut buffer = vec![0; 256 * 1024];
    let mut last = None;
    while Instant::now() < until {
        tokio::io::AsyncWriteExt::write_all(&mut stream, &frame.bytes).await?;
        match read_fetched(&mut stream, &mut buffer).await {
            Ok(bytes) if bytes > 0 => return Ok(()),
            Ok(_) => {}
            // The partition has no leader yet: the rest of the answer is left unread with the connection.
            Err(error) => {
                last = Some(error);
                stream = connect(system.port).await?;
            }
        }
    }
    Err(format!("nothing was fetched after the kill: {last:?}").into())
}
