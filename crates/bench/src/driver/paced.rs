//! Open loops: requests leave at their times, whether earlier ones were answered or not.
//!
//! Owns: the thread that sends, the thread that reads answers, latencies from the time a request should have left.
//! Does not own: frames, phases' lengths.
//!
//! A request that leaves late because the one before it could not be written counts from when it should have left: what a
//! broker holds up is not left out. One that leaves late because this thread woke late counts from when it left.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::TcpStream as BlockingStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::board::{Board, Measured, Timing, first_failure};
use super::closed::Answers;
use crate::Fallible;
use crate::frames::{ProduceFrame, produced};
use crate::system::System;

/// Producers that send at a rate that they share.
pub struct Pace {
    /// One frame for each request of a round; they leave one after the other, again and again.
    pub frames: Vec<ProduceFrame>,
    /// Frame `n` leaves by connection `n` modulo this.
    pub connections: usize,
    /// Requests per second, of all connections.
    pub rate: f64,
}

/// When the requests of a connection left, oldest first.
type Left = Arc<Mutex<VecDeque<Instant>>>;

/// Runs a paced load for the time given, and measures it.
pub async fn run(system: &System, pace: Pace, timing: Timing) -> Fallible<Measured> {
    let board = Rc::new(Board::new()?);
    let load = Load::start(system.port, pace)?;
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for (stream, left) in load.readers()? {
        let (board, shape) = (Rc::clone(&board), load.shape);
        tasks.spawn_local_on(async move { read_answers(stream, left, (&board, shape)).await }, &local);
    }
    let usage = local
        .run_until(async {
            tokio::select! {
                usage = board.conduct(timing, system.session()) => usage,
                error = first_failure(&mut tasks) => Err(error),
            }
        })
        .await?;
    load.end()?;
    Ok(board.measured(usage))
}

/// A sender at work. Dropping it ends the thread.
pub struct Load {
    streams: Vec<(BlockingStream, Left)>,
    /// Records and bytes of a request.
    shape: (u32, usize),
    over: Arc<AtomicBool>,
    sender: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Load {
    /// Connects, and begins to send.
    pub fn start(port: u16, pace: Pace) -> Fallible<Load> {
        let shape = pace.frames.first().map(|frame| (frame.records, frame.batch_bytes));
        let shape = shape.ok_or("a paced load needs a frame")?;
        let mut streams = Vec::new();
        for _ in 0..pace.connections {
            let stream = BlockingStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            // One file description for both directions, so the sender waits by itself where there is no room.
            stream.set_nonblocking(true)?;
            streams.push((stream, Left::default()));
        }
        let senders: Vec<(BlockingStream, Left)> = streams
            .iter()
            .map(|(stream, left)| Ok((stream.try_clone()?, Arc::clone(left))))
            .collect::<std::io::Result<_>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let sender = std::thread::spawn(move || send(senders, pace, &ended));
        Ok(Load { streams, shape, over, sender: Some(sender) })
    }

    fn readers(&self) -> Fallible<Vec<(TcpStream, Left)>> {
        let reader = |(stream, left): &(BlockingStream, Left)| {
            Ok((TcpStream::from_std(stream.try_clone()?)?, Arc::clone(left)))
        };
        self.streams.iter().map(reader).collect()
    }

    /// Ends the sender; an error is what stopped it before.
    fn end(mut self) -> Fallible<()> {
        self.over.store(true, Ordering::Relaxed);
        match self.sender.take().map(std::thread::JoinHandle::join) {
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_)) => Err("the sender of a paced load panicked".into()),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn send(streams: Vec<(BlockingStream, Left)>, mut pace: Pace, over: &AtomicBool) -> Result<(), String> {
    let step = Duration::from_secs_f64(1.0 / pace.rate);
    let count = pace.frames.len();
    let mut due = Instant::now() + step;
    let mut number: usize = 0;
    while !over.load(Ordering::Relaxed) {
        let on_time = wait_until(due);
        let left = if on_time { Instant::now() } else { due };
        let frame = &mut pace.frames[number % count];
        frame.set_correlation(i32::try_from(number & 0x7fff_ffff).unwrap_or(0));
        let (stream, all_left) = &streams[(number % count) % streams.len()];
        all_left.lock().push_back(left);
        write_all(stream, &frame.bytes, over).map_err(|error| format!("cannot send: {error}"))?;
        due += step;
        number += 1;
    }
    Ok(())
}

/// Sleeps until a time; `false` if it had passed already.
pub fn wait_until(due: Instant) -> bool {
    let mut now = Instant::now();
    if now >= due {
        return false;
    }
    while now < due {
        std::thread::park_timeout(due - now);
        now = Instant::now();
    }
    true
}

/// Writes to a socket that does not block; waits for room a little at a time.
pub fn write_all(mut stream: &BlockingStream, mut bytes: &[u8], over: &AtomicBool) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                std::thread::park_timeout(Duration::from_micros(20));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_answers(
    mut stream: TcpStream,
    left: Left,
    (board, shape): (&Board, (u32, usize)),
) -> Fallible<()> {
    let mut answers = Answers::default();
    while !board.is_over() {
        let each = |answer: &[u8]| {
            produced(answer)?;
            let sent = left.lock().pop_front().ok_or("an answer without a request")?;
            board.count(sent, u64::from(shape.0), shape.1 as u64);
            Ok(())
        };
        answers.read(&mut stream, each).await?;
    }
    Ok(())
}
