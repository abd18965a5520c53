//! Row 15: the same work by a node and by Apache Kafka, with librdkafka's `rdkafka_performance` as client.
//!
//! Owns: the cases, what the client says. Does not own: starting the systems (`system`).
//!
//! Kafka was measured with these loads before there was a node (the project's `perf-kafka.json`); they stay what they were, so
//! that runs can be compared. Payload is what the records' values have; processor time is the broker's own.

use super::clients::{rate_in, said};
use super::{Bench, Case};
use crate::Fallible;
use crate::driver::client::Client;
use crate::figures::{Figure, Load, mebibytes};
use crate::processor::{Moment, float, memory_of};
use crate::system::{Durability, Start, System, Validation};

/// One line of the table.
struct Line {
    name: &'static str,
    durability: Durability,
    partitions: u32,
    record_bytes: u64,
    records: u64,
    /// What the producer is told beside size and count.
    producer: &'static str,
    consumes: bool,
}

/// Lets librdkafka fill its batches.
const LARGE_BATCHES: &str =
    "-p 0 -X linger.ms=5 -X batch.num.messages=10000 -X queue.buffering.max.messages=500000";

const LINES: [Line; 6] = [
    line("produce 100 B", 1, (100, 4_000_000), LARGE_BATCHES),
    line("produce 1 KiB", 1, (1024, 1_000_000), "-p 0 -X linger.ms=5"),
    line("produce 1 KiB lz4, 4 partitions", 4, (1024, 1_000_000), "-z lz4 -X linger.ms=5"),
    Line {
        durability: Durability::Flushed,
        ..line("produce 1 KiB, flushed", 1, (1024, 250_000), "-p 0 -X linger.ms=5")
    },
    Line { consumes: true, ..line("consume 100 B", 1, (100, 4_000_000), LARGE_BATCHES) },
    Line { consumes: true, ..line("consume 1 KiB", 1, (1024, 1_000_000), "-p 0 -X linger.ms=5") },
];

/// Records of the line for the latency.
const LATENCY_RECORDS: u64 = 5_000;

const fn line(
    name: &'static str,
    partitions: u32,
    (record_bytes, records): (u64, u64),
    producer: &'static str,
) -> Line {
    let durability = Durability::PageCache;
    Line { name, durability, partitions, record_bytes, records, producer, consumes: false }
}

pub async fn run(bench: &mut Bench) -> Fallible<()> {
    let program = bench.plan.performance.clone();
    let program =
        program.ok_or("row 15 needs --performance, the path of librdkafka's rdkafka_performance")?;
    for line in &LINES {
        let records = if bench.plan.quick { line.records / 2 } else { line.records };
        let case = Case { row: 15, name: line.name, start: start(line), with_yardstick: false };
        bench.case(case, async |system| measure(system, (&program, line), records).await).await?;
    }
    latency(bench).await
}

fn start(line: &Line) -> Start {
    let Line { durability, partitions, .. } = *line;
    Start { durability, validation: Validation::Full, partitions, retention_bytes: None }
}

async fn measure(
    system: &System,
    (program, line): (&str, &Line),
    records: u64,
) -> Fallible<(Vec<Figure>, Load)> {
    Client::create_topic(system, &[]).await?;
    let Line { record_bytes, producer, .. } = line;
    let common = format!("{program} -b {{bootstrap}} -t {{topic}} -c {records}");
    let produce = format!("{common} -P -s {record_bytes} -a -1 {producer}");
    let consume = format!("{common} -C -p 0 -o beginning");
    let measured = if line.consumes {
        said(&produce, system.port)?;
        consume
    } else {
        produce
    };
    let begin = Moment::now(system.session())?;
    let said = said(&measured, system.port)?;
    let usage = begin.until(&Moment::now(system.session())?);
    let rate = rate_in(&said).ok_or_else(|| format!("no rate in what it said: {said}"))?;
    let gigabytes = float(records * record_bytes) / 1e9;
    let figures = vec![
        ("broker s/GB", usage.system_seconds / gigabytes),
        ("records/s", rate),
        ("MB/s", rate * float(*record_bytes) / 1e6),
        ("resident MiB after", mebibytes(memory_of(system.session())?.1)),
    ];
    // The client's own work would look like that of strangers.
    Ok((figures, Load::default()))
}

/// From end to end, by a program that says it as Kafka's `kafka-e2e-latency` does.
async fn latency(bench: &mut Bench) -> Fallible<()> {
    let Some(program) = bench.plan.latency.clone() else { return Ok(()) };
    let command = format!(
        "{program} --bootstrap-server {{bootstrap}} --topic {{topic}} --num-records {LATENCY_RECORDS} \
         --producer-acks all --record-size 100"
    );
    let line = line("end to end", 1, (100, LATENCY_RECORDS), "");
    let case = Case { row: 15, name: line.name, start: start(&line), with_yardstick: false };
    bench
        .case(case, async |system| {
            Client::create_topic(system, &[]).await?;
            let said = said(&command, system.port)?;
            let told = |what: &str| {
                number_behind(&said, what).ok_or_else(|| format!("no '{what}' in what it said: {said}"))
            };
            let figures = vec![
                ("average ms", told("Avg latency:")?),
                ("p99 ms", told("99th =")?),
                ("p99.9 ms", told("99.9th =")?),
            ];
            Ok((figures, Load::default()))
        })
        .await
}

/// The number behind the last place of some words.
fn number_behind(text: &str, words: &str) -> Option<f64> {
    let behind = text[text.rfind(words)? + words.len()..].trim_start();
    let end = behind.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(behind.len());
    behind[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_as_kafkas_tool_tells_them() {
        let said = "0\t12.3\nAvg latency: 2.5910 ms\n\nPercentiles: 50th = 1, 99th = 13, 99.9th = 40\n";
        let told = ["Avg latency:", "99th =", "99.9th ="].map(|words| number_behind(said, words));
        assert_eq!(told, [Some(2.591), Some(13.0), Some(40.0)]);
        assert_eq!(number_behind("nothing", "99th ="), None);
    }
}
