//! The task that owns the socket of a connection.
//!
//! Owns: reading and writing, the idle clock, giving the connection up.
//! Does not own: the order of answers (`pipeline`).
//!
//! Every asker is answered: with the body, or with why the connection ended.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_env::net::Stream;
use ottla_env::sync::{mpsc, oneshot};
use ottla_env::{task, time};

use super::pipeline::{Expectation, Pipeline, PipelineError};
use crate::config::Endpoint;
use crate::error::CallError;

/// Requests written with one call of the system.
const BATCH_MAX: usize = 32;

/// A frame for the connection, and who wants to hear of it.
#[derive(Debug)]
pub(super) enum Outgoing {
    Answered {
        frame: Vec<u8>,
        answer: oneshot::Sender<Result<Bytes, CallError>>,
        call: &'static str,
        header_version: i16,
        /// The time allowed, and the moment at which it ends.
        timeout: (Duration, Instant),
    },
    /// The broker sends no answer; `written` hears when the bytes are in the socket.
    Unanswered { frame: Vec<u8>, written: oneshot::Sender<Result<(), CallError>> },
}

/// Who waits for an answer, and for the message when none comes.
#[derive(Debug)]
struct Asker {
    answer: oneshot::Sender<Result<Bytes, CallError>>,
    call: &'static str,
    after: Duration,
    deadline: Instant,
}

/// Why a connection ended.
enum End {
    /// Nobody holds a handle any more, or it was idle for too long.
    Unused,
    Overdue,
    Closed,
    Io(io::Error),
    Protocol(PipelineError),
}

/// Serves the connection until it ends.
pub(super) async fn run(
    stream: Stream,
    mut requests: mpsc::Receiver<Outgoing>,
    node: Endpoint,
    idle_max: Option<Duration>,
) {
    let mut pipeline = Pipeline::new();
    let end = serve(&stream, &mut requests, &mut pipeline, idle_max).await;
    // From here on `send` fails, so what is drained below is all there is.
    requests.close();
    let now = time::now();
    for asker in pipeline.into_waiting() {
        let overdue = matches!(end, End::Overdue) && asker.deadline <= now;
        let error = match overdue {
            true => CallError::TimedOut { call: asker.call, node: node.clone(), after: asker.after },
            false => lost(&node, &end),
        };
        // An asker that gave up is no error.
        let _ = asker.answer.send(Err(error));
    }
    while let Some(outgoing) = requests.recv().await {
        match outgoing {
            Outgoing::Answered { answer, .. } => drop(answer.send(Err(lost(&node, &end)))),
            Outgoing::Unanswered { written, .. } => drop(written.send(Err(lost(&node, &end)))),
        }
    }
}

fn lost(node: &Endpoint, end: &End) -> CallError {
    let reason = match end {
        End::Unused => "it was not used any more".to_owned(),
        End::Overdue => "an earlier request was not answered in time".to_owned(),
        End::Closed => "the node closed it".to_owned(),
        End::Io(error) => error.to_string(),
        End::Protocol(error) => error.to_string(),
    };
    CallError::Lost { node: node.clone(), reason }
}

async fn serve(
    stream: &Stream,
    requests: &mut mpsc::Receiver<Outgoing>,
    pipeline: &mut Pipeline<Asker>,
    idle_max: Option<Duration>,
) -> End {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut used = time::now();
    loop {
        let idle_at = idle_max.filter(|_| pipeline.in_flight() == 0).map(|idle| used + idle);
        task::select! {
            biased;
            count = requests.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return End::Unused;
                }
                if let Err(end) = write(stream, pipeline, &mut batch).await {
                    return end;
                }
            }
            ready = stream.readable() => {
                if let Err(end) = ready.map_err(End::Io).and_then(|()| read(stream, pipeline)) {
                    return end;
                }
            }
            () = time::sleep_until_some(pipeline.deadline()) => return End::Overdue,
            () = time::sleep_until_some(idle_at) => return End::Unused,
        }
        used = time::now();
    }
}

/// Takes what the socket has and hands out the answers in it.
fn read(stream: &Stream, pipeline: &mut Pipeline<Asker>) -> Result<(), End> {
    match stream.try_read_buf(pipeline.space()) {
        Ok(0) => return Err(End::Closed),
        Ok(_) => pipeline.on_read().map_err(End::Protocol)?,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(End::Io(error)),
    }
    while let Some((asker, body)) = pipeline.poll_answer() {
        let _ = asker.answer.send(Ok(body));
    }
    Ok(())
}

/// Writes the frames of `batch` with as few calls as the system allows, reading meanwhile: a node that writes to
/// us before it reads must not wait for ever.
async fn write(
    stream: &Stream,
    pipeline: &mut Pipeline<Asker>,
    batch: &mut Vec<Outgoing>,
) -> Result<(), End> {
    let mut frames = Vec::with_capacity(batch.len());
    let mut hearers = Vec::new();
    for outgoing in batch.drain(..) {
        match outgoing {
            Outgoing::Answered { mut frame, answer, call, header_version, timeout: (after, deadline) } => {
                let asker = Asker { answer, call, after, deadline };
                pipeline.on_request(&mut frame, Some((asker, Expectation { header_version, deadline })));
                frames.push(frame);
            }
            Outgoing::Unanswered { mut frame, written } => {
                pipeline.on_request(&mut frame, None);
                frames.push(frame);
                hearers.push(written);
            }
        }
    }
    let writing = stream.write_all(&frames);
    task::pin!(writing);
    loop {
        task::select! {
            biased;
            done = &mut writing => break done.map_err(End::Io)?,
            ready = stream.readable() => ready.map_err(End::Io).and_then(|()| read(stream, pipeline))?,
            () = time::sleep_until_some(pipeline.deadline()) => return Err(End::Overdue),
        }
    }
    for written in hearers {
        let _ = written.send(Ok(()));
    }
    Ok(())
}
