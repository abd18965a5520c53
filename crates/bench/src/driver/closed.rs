//! Closed loops: every connection has a fixed number of requests in flight and sends the next when one is answered.
//!
//! Owns: the loops of producers and consumers on one thread. Does not own: when they end and what counts (`board`).

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use ottla_model::{ProducerEpoch, ProducerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::board::{Board, Measured, Timing, first_failure};
use super::client::{Client, connect};
use crate::Fallible;
use crate::frames::{
    Batch, FETCH_ANSWER_HEAD, FetchFrame, FetchWish, ProduceFrame, fetched_so_far, produced,
};
use crate::system::System;

/// Requests in flight per producer, as Java's client has.
pub const IN_FLIGHT: usize = 5;

/// Bytes that one read takes at most.
const READ_BYTES: usize = 256 * 1024;

/// Producers that send the same batch again and again.
#[derive(Clone, Debug)]
pub struct Producers {
    pub connections: u32,
    /// Producer `n` writes to the partitions `n`, `n + connections` … below this.
    pub partitions: u32,
    pub acks: i16,
    pub in_flight: usize,
    pub batch: Batch,
    /// With sequences, as clients send by default; the checksum is computed for every send.
    pub idempotent: bool,
}

/// Consumers that read their partition from the front again and again.
#[derive(Clone, Copy, Debug)]
pub struct Consumers {
    pub connections: u32,
    pub bytes_max: i32,
    /// Bytes and records of every batch that is there.
    pub batch: (usize, u32),
    /// Where a consumer begins anew; `None`: it waits for more.
    pub wrap_at: Option<i64>,
}

/// Produces for the time given.
pub async fn produce(system: &System, producers: &Producers, timing: Timing) -> Fallible<Measured> {
    let (measured, _) = produce_and_consume(system, (Some(producers), None), timing).await?;
    Ok(measured)
}

/// As [`produce`], to the partitions that a producer of number `number` has.
pub async fn produce_to(
    system: &System,
    (producers, number): (&Producers, u32),
    timing: Timing,
) -> Fallible<Measured> {
    let producer = Producer::new(system.port, producers, number).await?;
    let board = Board::new()?;
    tokio::select! {
        usage = board.conduct(timing, system.session()) => Ok(board.measured(usage?)),
        failed = producer.run(&board) => match failed {
            Ok(()) => Err("a producer ended before its time".into()),
            Err(error) => Err(error),
        },
    }
}

/// Consumes for the time given.
pub async fn consume(system: &System, consumers: Consumers, timing: Timing) -> Fallible<Measured> {
    let (_, measured) = produce_and_consume(system, (None, Some(consumers)), timing).await?;
    Ok(measured)
}

/// Runs producers and consumers beside each other; what each side did.
pub async fn produce_and_consume(
    system: &System,
    (producers, consumers): (Option<&Producers>, Option<Consumers>),
    timing: Timing,
) -> Fallible<(Measured, Measured)> {
    let (sent, read) = (Rc::new(Board::new()?), Rc::new(Board::new()?));
    let mut tasks = JoinSet::new();
    let local = LocalSet::new();
    for number in 0..producers.map_or(0, |producers| producers.connections) {
        let Some(producers) = producers else { break };
        let producer = Producer::new(system.port, producers, number).await?;
        let board = Rc::clone(&sent);
        tasks.spawn_local_on(async move { producer.run(&board).await }, &local);
    }
    for number in 0..consumers.map_or(0, |consumers| consumers.connections) {
        let Some(consumers) = consumers else { break };
        // Without producers every consumer has a partition; with them they share the first.
        let partition = if producers.is_some() { 0 } else { i32::try_from(number)? };
        let stream = connect(system.port).await?;
        let board = Rc::clone(&read);
        tasks.spawn_local_on(async move { follow(stream, partition, consumers, &board).await }, &local);
    }
    let conducted = local.run_until(async {
        let conductors = async {
            tokio::try_join!(sent.conduct(timing, system.session()), read.conduct(timing, system.session()))
        };
        tokio::select! {
            usages = conductors => usages,
            error = first_failure(&mut tasks) => Err(error),
        }
    });
    let (usage, other) = conducted.await?;
    drop(local);
    Ok((sent.measured(usage), read.measured(other)))
}

/// Writes so many batches to a partition.
pub async fn fill(system: &System, partition: i32, batch: &Batch, count: u64) -> Fallible<()> {
    let mut frame = ProduceFrame::new(partition, 1, batch)?;
    let mut stream = connect(system.port).await?;
    let mut answers = Answers::default();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        while sent < count && sent - answered < IN_FLIGHT as u64 {
            stream.write_all(&frame.bytes).await?;
            frame.set_correlation(i32::try_from(sent & 0x7fff_ffff)?);
            sent += 1;
        }
        answered += answers.read(&mut stream, |answer| produced(answer).map(|_| ())).await?;
    }
    Ok(())
}

/// A producer, idempotent where the system knows such, that waits for every answer.
pub struct OneByOne {
    stream: TcpStream,
    frame: ProduceFrame,
    identity: Option<(ProducerId, ProducerEpoch)>,
    answers: Answers,
    number: i32,
}

impl OneByOne {
    pub async fn new(system: &System, frame: ProduceFrame) -> Fallible<OneByOne> {
        let identity = if system.is_yardstick() { None } else { identity(system.port).await? };
        let stream = connect(system.port).await?;
        Ok(OneByOne { stream, frame, identity, answers: Answers::default(), number: 0 })
    }

    pub async fn next(&mut self, mut each: impl FnMut(&[u8]) -> Fallible<()>) -> Fallible<()> {
        self.number = self.number.wrapping_add(1) & 0x7fff_ffff;
        self.frame.set_correlation(self.number);
        if let Some((id, epoch)) = self.identity {
            self.frame.set_next_sequence(id, epoch)?;
        }
        self.stream.write_all(&self.frame.bytes).await?;
        while self.answers.read(&mut self.stream, &mut each).await? == 0 {}
        Ok(())
    }
}

async fn identity(port: u16) -> Fallible<Option<(ProducerId, ProducerEpoch)>> {
    let (id, epoch) = Client::connect(port).await?.producer_id().await?;
    Ok(ProducerId::new(id).zip(ProducerEpoch::new(epoch)))
}

struct Producer {
    stream: TcpStream,
    frames: Vec<ProduceFrame>,
    in_flight: usize,
    identity: Option<(ProducerId, ProducerEpoch)>,
}

impl Producer {
    async fn new(port: u16, producers: &Producers, number: u32) -> Fallible<Producer> {
        let partitions =
            (number..producers.partitions.max(number + 1)).step_by(producers.connections.max(1) as usize);
        let frames = partitions
            .map(|partition| {
                let partition = partition.min(producers.partitions - 1);
                ProduceFrame::new(i32::try_from(partition)?, producers.acks, &producers.batch)
            })
            .collect::<Fallible<Vec<ProduceFrame>>>()?;
        let identity = if producers.idempotent { identity(port).await? } else { None };
        Ok(Producer { stream: connect(port).await?, frames, in_flight: producers.in_flight, identity })
    }

    async fn run(mut self, board: &Board) -> Fallible<()> {
        let mut in_flight: VecDeque<Instant> = VecDeque::new();
        let mut answers = Answers::default();
        let (records, bytes) = self.frames.first().map_or((0, 0), |frame| (frame.records, frame.batch_bytes));
        let mut number: usize = 0;
        while !board.is_over() {
            while in_flight.len() < self.in_flight {
                let at = number % self.frames.len();
                let frame = &mut self.frames[at];
                frame.set_correlation(i32::try_from(number & 0x7fff_ffff)?);
                if let Some((id, epoch)) = self.identity {
                    frame.set_next_sequence(id, epoch)?;
                }
                in_flight.push_back(Instant::now());
                self.stream.write_all(&frame.bytes).await?;
                number += 1;
            }
            let answered = |answer: &[u8]| {
                produced(answer)?;
                let sent = in_flight.pop_front().ok_or("an answer without a request")?;
                board.count(sent, u64::from(records), bytes as u64);
                Ok(())
            };
            answers.read(&mut self.stream, answered).await?;
        }
        Ok(())
    }
}

/// Small answers, cut out of what a connection sends.
#[derive(Default)]
pub struct Answers {
    buffer: Vec<u8>,
    filled: usize,
}

/// Room for answers: many fit into it.
const ANSWERS_BYTES: usize = 16 * 1024;

impl Answers {
    /// Waits for bytes; hands every whole answer over, and says how many there were.
    pub async fn read(
        &mut self,
        stream: &mut TcpStream,
        each: impl FnMut(&[u8]) -> Fallible<()>,
    ) -> Fallible<u64> {
        self.buffer.resize(ANSWERS_BYTES, 0);
        let read = stream.read(&mut self.buffer[self.filled..]).await?;
        self.take(read, each)
    }

    /// As [`Answers::read`], from bytes that `read` puts behind those that are there.
    pub fn read_with(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
        each: impl FnMut(&[u8]) -> Fallible<()>,
    ) -> Fallible<u64> {
        self.buffer.resize(ANSWERS_BYTES, 0);
        let read = read(&mut self.buffer[self.filled..])?;
        self.take(read, each)
    }

    fn take(&mut self, read: usize, mut each: impl FnMut(&[u8]) -> Fallible<()>) -> Fallible<u64> {
        if read == 0 {
            return Err("the broker closed the connection".into());
        }
        self.filled += read;
        let (mut at, mut count) = (0, 0);
        while let Some(size) = self.buffer[at..self.filled].first_chunk::<4>() {
            let end = at + 4 + usize::try_from(i32::from_be_bytes(*size))?;
            if end > self.filled {
                break;
            }
            each(&self.buffer[at + 4..end])?;
            (at, count) = (end, count + 1);
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(count)
    }
}

/// Reads a partition, one request at a time, as clients do.
async fn follow(mut stream: TcpStream, partition: i32, consumers: Consumers, board: &Board) -> Fallible<()> {
    let wish = FetchWish { partition, wait_ms_max: 500, bytes_max: consumers.bytes_max };
    let mut frame = FetchFrame::new(wish)?;
    let mut buffer = vec![0; READ_BYTES];
    let (batch_bytes, batch_records) = consumers.batch;
    let (mut offset, mut number) = (0_i64, 0_i32);
    while !board.is_over() {
        frame.set(number, offset);
        let sent = Instant::now();
        stream.write_all(&frame.bytes).await?;
        let bytes = read_fetched(&mut stream, &mut buffer).await?;
        // A broker may cut the last batch off where the limit is.
        let batches = bytes / batch_bytes;
        let records = batches as u64 * u64::from(batch_records);
        board.count(sent, records, (batches * batch_bytes) as u64);
        offset += i64::try_from(records)?;
        if consumers.wrap_at.is_some_and(|end| offset >= end) {
            offset = 0;
        }
        number = number.wrapping_add(1) & 0x7fff_ffff;
    }
    Ok(())
}

/// Reads the answer to a fetch and throws the records away; how many bytes they had.
pub async fn read_fetched(stream: &mut TcpStream, buffer: &mut [u8]) -> Fallible<usize> {
    let mut filled = 0;
    while filled < 4 + FETCH_ANSWER_HEAD {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err("the broker closed the connection".into()),
            read => filled += read,
        }
    }
    let (bytes, mut left) = fetched_so_far(&buffer[..filled])?;
    while left > 0 {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room]).await? {
            0 => return Err("the broker closed the connection".into()),
            read => left -= read,
        }
    }
    Ok(bytes)
}
