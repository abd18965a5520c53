//! The way of single records: from the moment they are sent until a consumer that waits has them.
//!
//! Owns: the sender, the consumer, the times in between. Does not own: what runs beside them.
//!
//! The sender reads its answers itself, before it sends the next record, so that one thread is woken by a record: the
//! consumer's. Both keep an array of times; a record's offset is its place in it.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ottla_protocol::compression::Encoding;

use super::board::{Timing, histogram, nanos};
use super::closed::Answers;
use super::paced::{wait_until, write_all};
use crate::Fallible;
use crate::frames::{
    Batch, FETCH_ANSWER_HEAD, FetchFrame, FetchWish, ProduceFrame, fetched_so_far, produced,
};
use crate::processor::{Moment, Usage};
use crate::system::System;

/// Bytes of a record's value.
const RECORD_BYTES: usize = 100;
/// Records that are told apart: the rest of a run would overwrite the first ones.
const RECORDS_MAX: usize = 1 << 20;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub partition: i32,
    pub acks: i16,
    /// Records per second.
    pub rate: f64,
}

/// What the records took.
pub struct Taken {
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
    pub usage: Usage,
    /// Records that the partition has now.
    pub records: u64,
}

/// Times in nanoseconds since a beginning, by offset.
struct Times {
    begin: Instant,
    sent: Vec<AtomicU64>,
    /// The first offset that is measured; none yet while it is the largest number.
    measured_from: AtomicU64,
    first: u64,
    next: AtomicU64,
    over: AtomicBool,
}

/// Sends records one by one to an empty partition and takes the time until they come back.
pub async fn run(system: &System, way: Way, timing: Timing) -> Fallible<Taken> {
    run_from(system, way, (timing, 0)).await
}

/// As [`run`], in a partition that has `first` records already, all of them such as these.
pub async fn run_from(system: &System, way: Way, (timing, first): (Timing, u64)) -> Fallible<Taken> {
    let times = Arc::new(Times {
        begin: Instant::now(),
        sent: (0..RECORDS_MAX).map(|_| AtomicU64::new(0)).collect(),
        measured_from: AtomicU64::new(u64::MAX),
        first,
        next: AtomicU64::new(first),
        over: AtomicBool::new(false),
    });
    let (port, sending, reading) = (system.port, Arc::clone(&times), Arc::clone(&times));
    let reader =
        std::thread::spawn(move || receive(port, way.partition, &reading).map_err(|error| error.to_string()));
    let sender = std::thread::spawn(move || send(port, way, &sending).map_err(|error| error.to_string()));
    tokio::time::sleep(timing.warm_up).await;
    times.measured_from.store(times.next.load(Ordering::Relaxed), Ordering::Relaxed);
    let begin = Moment::now(system.session())?;
    tokio::time::sleep(timing.window).await;
    let usage = begin.until(&Moment::now(system.session())?);
    times.over.store(true, Ordering::Relaxed);
    let panicked = |_| "a thread of the driver panicked".to_owned();
    sender.join().map_err(panicked)??;
    let latencies = reader.join().map_err(panicked)??;
    match latencies.len() {
        0 => Err("no record came back".into()),
        _ => Ok(Taken { latencies, usage, records: times.next.load(Ordering::Acquire) }),
    }
}

fn send(port: u16, way: Way, times: &Times) -> Fallible<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let batch = Batch::filled(RECORD_BYTES, 1, Encoding::None)?;
    let mut frame = ProduceFrame::new(way.partition, way.acks, &batch)?;
    let mut answers = Answers::default();
    let step = Duration::from_secs_f64(1.0 / way.rate);
    let mut due = Instant::now() + step;
    let mut number = times.first;
    while !times.over.load(Ordering::Relaxed) {
        let on_time = wait_until(due);
        let left = if on_time { Instant::now() } else { due };
        times.at(number).store(nanos(left - times.begin), Ordering::Relaxed);
        times.next.store(number + 1, Ordering::Release);
        frame.set_correlation(i32::try_from(number & 0x7fff_ffff)?);
        write_all(&stream, &frame.bytes, &times.over)?;
        let read = answers.read_with(|buffer| (&stream).read(buffer), |answer| produced(answer).map(|_| ()));
        if let Err(error) = read {
            let waits =
                error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::WouldBlock);
            if !waits {
                return Err(error);
            }
        }
        due += step;
        number += 1;
    }
    Ok(())
}

fn receive(port: u16, partition: i32, times: &Times) -> Fallible<Histogram<u64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut latencies = histogram()?;
    let mut frame = FetchFrame::new(FetchWish { partition, wait_ms_max: 100, bytes_max: 1024 * 1024 })?;
    let batch_bytes = Batch::filled(RECORD_BYTES, 1, Encoding::None)?.bytes.len();
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = times.first;
    while !times.over.load(Ordering::Relaxed) {
        frame.set(i32::try_from(offset & 0x7fff_ffff)?, i64::try_from(offset)?);
        std::io::Write::write_all(&mut stream, &frame.bytes)?;
        let bytes = read_answer(&mut stream, &mut buffer)?;
        let now = nanos(times.begin.elapsed());
        let end = offset + (bytes / batch_bytes) as u64;
        let measured_from = times.measured_from.load(Ordering::Relaxed);
        for record in offset.max(measured_from)..end {
            latencies.saturating_record(now.saturating_sub(times.at(record).load(Ordering::Relaxed)));
        }
        offset = end;
    }
    Ok(latencies)
}

/// Reads the answer to a fetch; how many bytes of records it has.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Fallible<usize> {
    let mut filled = 0;
    while filled < 4 + FETCH_ANSWER_HEAD {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err("the broker closed the connection".into()),
            read => filled += read,
        }
    }
    let (bytes, mut left) = fetched_so_far(&buffer[..filled])?;
    while left > 0 {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room])? {
            0 => return Err("the broker closed the connection".into()),
            read => left -= read,
        }
    }
    Ok(bytes)
}

impl Times {
    fn at(&self, record: u64) -> &AtomicU64 {
        let place = usize::try_from(record).unwrap_or(0) % RECORDS_MAX;
        &self.sent[place]
    }
}
