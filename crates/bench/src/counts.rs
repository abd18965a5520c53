//! `ottla-bench counts`: what one request costs in numbers that do not depend on the machine's speed or noise.
//!
//! Owns: the requests, the comparison with what is allowed. Does not own: counting (`tally`), starting systems (`system`).
//!
//! One connection sends one request at a time. Of allocations, two runs are compared that differ in their number of
//! requests only, so that what a start and an end allocate falls out. System calls are counted by `strace`; where it does
//! not work they are left out, and that is said.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use ottla_protocol::compression::Encoding;
use tokio::io::AsyncWriteExt;

use crate::Fallible;
use crate::driver::client::{Client, connect};
use crate::driver::closed::{self, read_fetched};
use crate::figures::Figure;
use crate::frames::{Batch, FetchFrame, FetchWish, ProduceFrame, produced};
use crate::plan::Plan;
use crate::processor::{Moment, float};
use crate::system::{Durability, Kind, Stage, Start, System, Validation, told};
use crate::tally;

/// Requests of the shorter run, and of the longer one.
const REQUESTS: [u32; 2] = [2_000, 12_000];

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// One batch of so many bytes, 100 bytes a record, by an idempotent producer.
    Produce { batch_bytes: usize, acks: i16 },
    /// So many batches of 16 KiB.
    Fetch { batches: usize },
    /// A topic's metadata.
    Metadata,
}

const CASES: [(&str, Ask, Durability); 7] = [
    ("produce 1 record", Ask::Produce { batch_bytes: 1, acks: 1 }, Durability::PageCache),
    ("produce 16 KiB", Ask::Produce { batch_bytes: 16 * 1024, acks: 1 }, Durability::PageCache),
    ("produce 512 KiB", Ask::Produce { batch_bytes: 512 * 1024, acks: 1 }, Durability::PageCache),
    ("produce 16 KiB flushed", Ask::Produce { batch_bytes: 16 * 1024, acks: -1 }, Durability::Flushed),
    ("fetch 16 KiB", Ask::Fetch { batches: 1 }, Durability::PageCache),
    ("fetch 128 KiB", Ask::Fetch { batches: 8 }, Durability::PageCache),
    ("metadata", Ask::Metadata, Durability::PageCache),
];

/// Counts, prints them, and fails where there are more than `--expected` allows.
pub async fn run(plan: &Plan) -> Fallible<()> {
    let allowed = match &plan.expected {
        Some(path) => Allowed::parse(&fs::read_to_string(path).map_err(told("read", path))?)?,
        None => Allowed::default(),
    };
    let stage = Stage { counting: true, ..plan.stage.clone() };
    let strace = tally::strace_works();
    if !strace {
        println!("*** NOT COUNTED: system calls, for strace does not work here");
    }
    let (mut table, mut beyond) = (String::new(), Vec::new());
    for kind in &plan.systems {
        for (name, ask, durability) in CASES {
            if *kind == Kind::Yardstick && matches!(ask, Ask::Metadata) {
                continue;
            }
            let start =
                Start { durability, validation: Validation::Full, partitions: 1, retention_bytes: None };
            let counted = count(&stage, kind, (ask, start, strace)).await?;
            for (count, value) in &counted {
                let _ = writeln!(table, "{}\t{name}\t{count}\t{value:.2}", kind.name());
                if matches!(kind, Kind::Node(_)) {
                    beyond.extend(allowed.beyond(name, (count, *value)));
                }
            }
        }
    }
    println!("system\trequest\tcount\tper request\n{table}");
    match beyond.is_empty() {
        true => Ok(()),
        false => Err(format!("more than allowed:\n{}", beyond.join("\n")).into()),
    }
}

/// Counts one kind of request on fresh systems.
async fn count(
    stage: &Stage,
    kind: &Kind,
    (ask, start, strace): (Ask, Start, bool),
) -> Fallible<Vec<Figure>> {
    let (mut counted, mut allocated) = (Vec::new(), Vec::new());
    for requests in REQUESTS {
        let mut system = System::start(stage, kind, start).await?;
        Client::create_topic(&system, &[]).await?;
        let mut asking = Asking::new(&system, ask).await?;
        asking.times(1_000).await?;
        let session = system.session();
        let begin = Moment::now(session)?;
        asking.times(requests).await?;
        let usage = begin.until(&Moment::now(session)?);
        if requests == REQUESTS[0] {
            // The first of both runs has the observers; both send the same beside that.
            counted.push(("context switches", usage.switches / f64::from(requests)));
            counted.push(("bytes written by file calls", usage.bytes_written / f64::from(requests)));
        }
        let trace = match strace {
            true => Some(tally::Trace::begin(session, &stage.work).await?),
            false => None,
        };
        asking.times(REQUESTS[0]).await?;
        if let Some(trace) = trace.filter(|_| requests == REQUESTS[0]) {
            let calls = trace.end().await?;
            counted.push(("system calls", float(calls.values().sum()) / f64::from(REQUESTS[0])));
            let often = |count: &u64| *count * 20 > u64::from(REQUESTS[0]);
            for (call, count) in calls.into_iter().filter(|(_, count)| often(count)) {
                counted.push((tally::static_name(&call), float(count) / f64::from(REQUESTS[0])));
            }
        }
        drop(asking);
        system.stop().await?;
        allocated.push(tally::allocations(&fs::read_to_string(system.log())?));
    }
    if let [Some(fewer), Some(more)] = &allocated[..] {
        let requests = f64::from(REQUESTS[1] - REQUESTS[0]);
        counted.push(("allocations", (more.all - fewer.all) / requests));
        counted.push(("allocations above 1 KiB", (more.large - fewer.large) / requests));
        counted.push(("bytes allocated", (more.bytes - fewer.bytes) / requests));
    }
    Ok(counted)
}

/// A connection that asks one thing again and again, and waits for each answer.
struct Asking {
    what: What,
}

enum What {
    Produce(Box<closed::OneByOne>),
    Fetch { stream: tokio::net::TcpStream, frame: FetchFrame, buffer: Vec<u8>, number: i32 },
    Metadata(Client),
}

impl Asking {
    async fn new(system: &System, ask: Ask) -> Fallible<Asking> {
        let what = match ask {
            Ask::Produce { batch_bytes, acks } => {
                let batch = Batch::filled(100, batch_bytes, Encoding::None)?;
                let frame = ProduceFrame::new(0, acks, &batch)?;
                What::Produce(Box::new(closed::OneByOne::new(system, frame).await?))
            }
            Ask::Fetch { batches } => {
                let batch = Batch::filled(100, 16 * 1024, Encoding::None)?;
                closed::fill(system, 0, &batch, batches as u64).await?;
                let bytes_max = i32::try_from(batch.bytes.len() * batches)?;
                let frame = FetchFrame::new(FetchWish { partition: 0, wait_ms_max: 100, bytes_max })?;
                let stream = connect(system.port).await?;
                What::Fetch { stream, frame, buffer: vec![0; 256 * 1024], number: 0 }
            }
            Ask::Metadata => What::Metadata(Client::connect(system.port).await?),
        };
        Ok(Asking { what })
    }

    async fn times(&mut self, count: u32) -> Fallible<()> {
        for _ in 0..count {
            match &mut self.what {
                What::Produce(one_by_one) => one_by_one.next(|answer| produced(answer).map(|_| ())).await?,
                What::Fetch { stream, frame, buffer, number } => {
                    frame.set(*number, 0);
                    *number += 1;
                    stream.write_all(&frame.bytes).await?;
                    if read_fetched(stream, buffer).await? == 0 {
                        return Err("a fetch brought nothing".into());
                    }
                }
                What::Metadata(client) => {
                    client.leaders(&crate::driver::client::topic_name(0)).await?;
                }
            }
        }
        Ok(())
    }
}

/// The most there may be, by request and count.
#[derive(Debug, Default)]
struct Allowed(BTreeMap<(String, String), f64>);

impl Allowed {
    /// Lines of request, count and the most per request, with tabs between them; `#` begins a comment.
    fn parse(text: &str) -> Fallible<Allowed> {
        let mut allowed = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [request, count, most] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("'{line}' is not request, count and most").into());
            };
            let most = most.parse().map_err(|_| format!("'{most}' is no number in '{line}'"))?;
            allowed.insert((request.to_owned(), count.to_owned()), most);
        }
        Ok(Allowed(allowed))
    }

    fn beyond(&self, request: &str, (count, value): (&str, f64)) -> Option<String> {
        let most = *self.0.get(&(request.to_owned(), count.to_owned()))?;
        (value > most).then(|| format!("{request}: {value:.2} {count}, allowed are {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_bound_is_told_and_what_has_none_is_not() {
        let allowed = Allowed::parse("# request\nproduce\tsystem calls\t4.1\n\n").unwrap();
        assert_eq!(allowed.beyond("produce", ("system calls", 4.1)), None);
        let told = allowed.beyond("produce", ("system calls", 5.0)).unwrap();
        assert_eq!(told, "produce: 5.00 system calls, allowed are 4.1");
        assert_eq!(allowed.beyond("fetch", ("system calls", 99.0)), None);
        assert!(Allowed::parse("produce 4").is_err());
    }
}
