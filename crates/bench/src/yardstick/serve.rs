//! One connection of the yardstick: frames in, answers out in order.
//!
//! Owns: the buffer, which answers wait for a flush, sending from files. Does not own: files (`log`), bytes (`request`).
//!
//! Invariants
//! - I1 answers leave in the order of their requests;
//! - I2 a request that waits keeps later ones waiting, except Produce behind Produce: those share a flush.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use ottla_model::Offset;
use ottla_protocol::record::BatchMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::check::Check;
use super::log::{Logs, Place};
use super::request::{Fetched, Request, answer_fetch, answer_other, answer_produce};
use crate::Fallible;
use crate::system::Durability;

/// The buffer of a connection, unless a frame is larger.
const BUFFER_BYTES: usize = 256 * 1024;
/// Below so many bytes a copy is cheaper than `sendfile`.
const SENDFILE_FROM: u64 = 32 * 1024;
/// Bytes that one call sends before other connections have their turn.
const BURST_BYTES: u64 = 1024 * 1024;

pub struct Connection {
    stream: TcpStream,
    logs: Arc<Logs>,
    check: Check,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    /// Answers that wait until their partition is flushed beyond an offset.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    answer: Vec<u8>,
    flushed: watch::Receiver<i64>,
    next_offset: i64,
}

impl Connection {
    pub fn new(stream: TcpStream, logs: Arc<Logs>, check: Check) -> Connection {
        let (output, waiting) = (Vec::with_capacity(4096), VecDeque::new());
        Connection { stream, logs, check, input: Vec::new(), filled: 0, output, waiting }
    }

    /// Serves until the client goes.
    pub async fn run(mut self) -> Fallible<()> {
        loop {
            self.make_room();
            tokio::select! {
                biased;
                flushed = flushed(self.waiting.front_mut()) => {
                    flushed?;
                    self.answer_flushed().await?;
                }
                read = self.stream.read(&mut self.input[self.filled..]) => match read? {
                    0 => return Ok(()),
                    read => {
                        self.filled += read;
                        self.serve_frames().await?;
                    }
                }
            }
        }
    }

    /// Room for the rest of the frame that has begun.
    fn make_room(&mut self) {
        let begun = self.input.get(..self.filled.min(4)).and_then(|head| head.first_chunk::<4>());
        let size = begun.map_or(0, |size| usize::try_from(i32::from_be_bytes(*size)).unwrap_or(0) + 4);
        let wanted = size.max(BUFFER_BYTES);
        if self.input.len() < wanted {
            self.input.resize(wanted, 0);
        }
    }

    async fn serve_frames(&mut self) -> Fallible<()> {
        let mut at = 0;
        while let Some(size) = self.input[at..self.filled].first_chunk::<4>() {
            let end = at + 4 + usize::try_from(i32::from_be_bytes(*size))?;
            if end > self.filled {
                break;
            }
            self.serve(at + 4, end).await?;
            at = end;
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        self.send_output().await
    }

    async fn serve(&mut self, from: usize, to: usize) -> Fallible<()> {
        let frame = &mut self.input[from..to];
        match Request::read(frame)? {
            Request::Produce { correlation, topic, partition, batch, answered } => {
                let records = i64::from(self.check.records_of(&mut frame[batch.clone()])?);
                let stamp = |batch: &mut [u8], offset: i64| {
                    let offset = Offset::new(offset).ok_or("an offset is negative")?;
                    BatchMut::parse(batch)?.set_base_offset(offset);
                    Ok(())
                };
                let offset = self.logs.append(partition, (&mut frame[batch], records), stamp)?;
                if !answered {
                    return Ok(());
                }
                if self.logs.durability == Durability::PageCache {
                    answer_produce(&mut self.output, (correlation, &frame[topic]), partition, offset);
                    return Ok(());
                }
                let mut answer = Vec::with_capacity(64);
                answer_produce(&mut answer, (correlation, &frame[topic]), partition, offset);
                let flushed = self.logs.partition(partition)?.readable();
                self.waiting.push_back(Waiting { answer, flushed, next_offset: offset + records });
                Ok(())
            }
            Request::Fetch { correlation, topic, partition, wait_ms_max, offset, bytes_max } => {
                let topic = frame[topic].to_vec();
                let wait = Duration::from_millis(u64::try_from(wait_ms_max)?);
                let place = self.find(partition, (offset, bytes_max), wait).await?;
                let high_watermark = self.logs.partition(partition)?.next_offset();
                let records_bytes =
                    place.as_ref().map_or(0, |place| usize::try_from(place.length).unwrap_or(0));
                let fetched =
                    Fetched { correlation, topic: &topic, partition, high_watermark, records_bytes };
                answer_fetch(&mut self.output, &fetched);
                match place {
                    Some(place) => self.send_records(place).await,
                    None => Ok(()),
                }
            }
            Request::Other { correlation } => {
                answer_other(&mut self.output, correlation);
                Ok(())
            }
        }
    }

    async fn find(&self, partition: i32, what: (i64, u64), wait: Duration) -> Fallible<Option<Place>> {
        let partition = self.logs.partition(partition)?;
        let mut readable = partition.readable();
        if let Some(place) = partition.find(what.0, what.1)? {
            return Ok(Some(place));
        }
        // The time is over, or there is something; the look tells which.
        let _ = tokio::time::timeout(wait, readable.wait_for(|readable| *readable > what.0)).await;
        partition.find(what.0, what.1)
    }

    async fn send_records(&mut self, place: Place) -> Fallible<()> {
        if place.length < SENDFILE_FROM {
            let from = self.output.len();
            self.output.resize(from + usize::try_from(place.length)?, 0);
            place.file.read_exact_at(&mut self.output[from..], place.position)?;
            return self.send_output().await;
        }
        let mut sent = 0;
        while sent < self.output.len() {
            let rest = &self.output[sent..];
            sent += self
                .stream
                .async_io(Interest::WRITABLE, || {
                    SockRef::from(&self.stream).send_with_flags(rest, libc::MSG_MORE | libc::MSG_NOSIGNAL)
                })
                .await?;
        }
        self.output.clear();
        let (mut position, end) = (place.position, place.position + place.length);
        while position < end {
            let wanted = usize::try_from((end - position).min(BURST_BYTES))?;
            let send = || Ok(rustix::fs::sendfile(&self.stream, &place.file, Some(&mut position), wanted)?);
            if self.stream.async_io(Interest::WRITABLE, send).await? == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    async fn send_output(&mut self) -> Fallible<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// The oldest waiting answer may leave, and those behind it that have become ready too.
    async fn answer_flushed(&mut self) -> Fallible<()> {
        while let Some(front) = self.waiting.front() {
            if *front.flushed.borrow() < front.next_offset {
                break;
            }
            self.output.extend_from_slice(&front.answer);
            self.waiting.pop_front();
        }
        self.send_output().await
    }
}

/// Waits for the flush of the oldest answer; never ends while none waits.
async fn flushed(front: Option<&mut Waiting>) -> Fallible<()> {
    match front {
        Some(front) => {
            front.flushed.wait_for(|flushed| *flushed >= front.next_offset).await?;
            Ok(())
        }
        None => std::future::pending().await,
    }
}
