//! The server's end of one connection, without the socket: bytes in, requests out, replies in order.
//!
//! Owns: framing, request headers, which versions are let through, the order of replies, the bound on requests in
//! flight, when reading pauses and when the connection ends, and why.
//! Does not own: the socket, what a request does, authentication, the memory of all connections together.
//!
//! Use: `read_buffer` (append what the socket has), `on_read`, `poll_request` until `None`, `complete` each request,
//! `poll_reply` until `None`, `on_written`; sleep until `deadline`, then `on_time`. The connection is over when
//! `is_over`; what still had to be answered was.
//!
//! Invariants
//! - I1 replies leave in the order of the requests, one for each that expects one;
//! - I2 at most `requests_max` requests are in flight, and no further one is read while they hold `inflight_bytes_max`
//!   bytes or more;
//! - I3 once there is a reason to close, nothing more is read.
//!
//! Source: requirements WIRE-01 to WIRE-06, WIRE-12, WIRE-14, TRAP-01, TRAP-02, TRAP-24, TRAP-42; KIP-219, KIP-511.

mod frames;
mod header;
mod replies;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

pub use frames::READ_BYTES;
pub use header::Request;
pub use replies::{Completion, Ticket};

use crate::codec::DecodeError;
use crate::error_code::ErrorCode;
use crate::messages::ApiKey;
use crate::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use crate::reply::ReplyHead;
use frames::{BadSize, Frames};
use header::{Header, HeaderError};
use replies::{Released, Replies};

/// Default of [`ConnectionLimits::inflight_bytes_max`]. Equals the default of `socket.request.max.bytes`: a single
/// legal request must always fit.
pub const INFLIGHT_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// Default of [`ConnectionLimits::requests_max`]. Kafka itself serves one at a time; clients send 5 by default, and
/// what lies beyond waits in the socket.
pub const REQUESTS_MAX: usize = 128;

/// How long a frame that is larger than a read buffer may take whatever comes of it, and how much of it has to come in each
/// second from then on. Kafka has no such limit: there a few clients that announce much and send little may hold all of
/// `queued.max.request.bytes` for as long as they like.
pub const FRAME_GRACE: Duration = Duration::from_secs(30);
pub const FRAME_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// Versions of an API that the listener offers, `None` if it does not offer the API.
pub type Offered = fn(ApiKey) -> Option<RangeInclusive<i16>>;

/// What one connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Largest request in bytes: `socket.request.max.bytes`, during authentication `sasl.server.max.receive.size`.
    pub request_bytes_max: u32,
    /// Bytes of requests in flight from which on no further one is read.
    pub inflight_bytes_max: u64,
    /// Requests in flight.
    pub requests_max: usize,
    /// `connections.max.idle.ms`.
    pub idle_max: Duration,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("a request of {got} bytes; at most {max} are allowed")]
    Size { got: i32, max: u32 },
    #[error("unknown API key {key}")]
    UnknownApi { key: i16 },
    #[error("{api:?} version {version} is not offered here")]
    Version { api: ApiKey, version: i16 },
    #[error("the header of a request is malformed: {0}")]
    Header(DecodeError),
    #[error("idle for {idle_ms} ms")]
    Idle { idle_ms: u128 },
    #[error(
        "of a request of {size} bytes {got} have come, at less than {FRAME_BYTES_PER_SECOND_MIN} bytes a second"
    )]
    Slow { got: usize, size: usize },
    #[error("a request that expects no reply failed")]
    Failed,
    /// Decided outside: a body that cannot be read, failed authentication, shutdown.
    #[error("{why}")]
    Server { why: String },
}

/// What the client says it is, from ApiVersions (KIP-511).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSoftware {
    pub name: String,
    pub version: String,
}

impl fmt::Display for ClientSoftware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// The machine. `R` is the form in which replies are sent; those it makes itself are bytes.
#[derive(Debug)]
pub struct Connection<R> {
    limits: ConnectionLimits,
    offered: Offered,
    frames: Frames,
    replies: Replies<R>,
    /// Reading pauses until then (WIRE-14).
    muted_until: Option<Instant>,
    last_active: Instant,
    /// Since when a large frame arrives, and how much of it was there then.
    arriving: Option<(Instant, usize)>,
    software: Option<ClientSoftware>,
    closing: Option<CloseReason>,
}

impl<R: From<Bytes>> Connection<R> {
    pub fn new(limits: ConnectionLimits, offered: Offered, now: Instant) -> Connection<R> {
        Connection {
            limits,
            offered,
            frames: Frames::default(),
            replies: Replies::new(),
            muted_until: None,
            last_active: now,
            arriving: None,
            software: None,
            closing: None,
        }
    }

    /// Where to append what the socket has, with room for it; `None` while the socket must not be read.
    pub fn read_buffer(&mut self) -> Option<&mut BytesMut> {
        self.may_read().then(|| self.frames.room())
    }

    /// Bytes were appended to the read buffer.
    pub fn on_read(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// Bytes of replies were written to the socket.
    pub fn on_written(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// The next request, while there may be one more in flight.
    pub fn poll_request(&mut self) -> Option<Request> {
        while self.may_read() {
            let frame = match self.frames.next(self.limits.request_bytes_max) {
                Ok(frame) => {
                    let frame = frame?;
                    self.arriving = None;
                    frame
                }
                Err(BadSize { got }) => {
                    self.close(CloseReason::Size { got, max: self.limits.request_bytes_max });
                    return None;
                }
            };
            match Header::read(&frame) {
                Ok(header) if self.offers(header.api, header.version) => {
                    let ticket = self.replies.admit(frame.len());
                    return Some(header.with(ticket, frame));
                }
                Ok(header) if header.api == ApiKey::ApiVersions => self.answer_versions(&header, frame.len()),
                Ok(Header { api, version, .. }) => self.close(CloseReason::Version { api, version }),
                Err(HeaderError::UnknownApi { key }) => self.close(CloseReason::UnknownApi { key }),
                Err(HeaderError::Malformed(error)) => self.close(CloseReason::Header(error)),
            }
        }
        None
    }

    /// A request ended.
    pub fn complete(&mut self, ticket: Ticket, completion: Completion<R>) {
        self.replies.complete(ticket, completion);
    }

    /// The next reply to send, in order.
    pub fn poll_reply(&mut self) -> Option<R> {
        match self.replies.release()? {
            Released::Reply(reply) => Some(reply),
            Released::Close => {
                self.close(CloseReason::Failed);
                self.replies.clear();
                None
            }
        }
    }

    /// The client is over its quota: its reply goes out at once, but it is not read until `until` (WIRE-14).
    pub fn on_throttle(&mut self, until: Instant) {
        self.muted_until = self.muted_until.max(Some(until));
    }

    /// Time went by.
    pub fn on_time(&mut self, now: Instant) {
        self.muted_until = self.muted_until.filter(|until| now < *until);
        let idle = now.saturating_duration_since(self.last_active);
        if idle >= self.limits.idle_max {
            self.close(CloseReason::Idle { idle_ms: idle.as_millis() });
            self.replies.clear();
        }
        if self.late_at().is_some_and(|late_at| late_at <= now) {
            let (got, size) = (self.frames.len(), self.frames.announced().unwrap_or(0));
            self.close(CloseReason::Slow { got, size });
        }
    }

    /// To be told before each wait: whether the socket is read. A frame that is larger than a read buffer holds memory of the
    /// node, and has to come at some pace, once it is read.
    pub fn on_wait(&mut self, now: Instant, is_read: bool) {
        let have = self.frames.len();
        let is_large = self.frames.announced().is_some_and(|total| total > have && total > READ_BYTES);
        self.arriving = (is_large && is_read).then(|| self.arriving.unwrap_or((now, have)));
    }

    /// When the frame that arrives has come too slowly.
    fn late_at(&self) -> Option<Instant> {
        let (since, had) = self.arriving?;
        let came = u64::try_from(self.frames.len().saturating_sub(had)).unwrap_or(u64::MAX);
        since.checked_add(FRAME_GRACE + Duration::from_secs(came / FRAME_BYTES_PER_SECOND_MIN))
    }

    /// When `on_time` has something to do: the end of a pause, or of patience with an idle or slow client (WIRE-12).
    pub fn deadline(&self) -> Option<Instant> {
        let idle_at = self.last_active.checked_add(self.limits.idle_max);
        [self.muted_until, idle_at, self.late_at()].into_iter().flatten().min()
    }

    /// Ends the connection once what is in flight is answered. The first reason stays.
    pub fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// Why the connection ends, if it does.
    pub fn closing(&self) -> Option<&CloseReason> {
        self.closing.as_ref()
    }

    /// Whether the socket can be closed: there is a reason, and nothing is left to be answered.
    pub fn is_over(&self) -> bool {
        self.closing.is_some() && self.replies.is_empty()
    }

    /// The client said what it is.
    pub fn set_software(&mut self, software: ClientSoftware) {
        self.software = Some(software);
    }

    /// What the client said it is: belongs into the line that reports the end of the connection (TRAP-42).
    pub fn software(&self) -> Option<&ClientSoftware> {
        self.software.as_ref()
    }

    /// Changes the largest request: it is smaller during authentication (WIRE-01).
    pub fn set_request_bytes_max(&mut self, bytes: u32) {
        self.limits.request_bytes_max = bytes;
    }

    /// Requests that are not answered yet, and their bytes.
    pub fn inflight(&self) -> (usize, u64) {
        (self.replies.len(), self.replies.bytes())
    }

    /// Bytes that the request being read will have in all, once its size is known.
    pub fn announced_bytes(&self) -> Option<usize> {
        self.frames.announced().filter(|total| *total > self.frames.len())
    }

    /// Bytes of memory that reading on will take for it: what to ask of the memory that all connections share before. It
    /// follows what came, so that nobody gets much by announcing much.
    pub fn wanted_bytes(&self) -> Option<usize> {
        self.frames.wanted()
    }

    /// Gives the read buffer away while little or nothing is in it: an idle connection owns none (performance 4.2).
    pub fn take_buffer(&mut self) -> Option<BytesMut> {
        self.frames.take_buffer()
    }

    /// Whether there is a read buffer.
    pub fn has_buffer(&self) -> bool {
        self.frames.has_buffer()
    }

    /// Takes a buffer to read into.
    pub fn put_buffer(&mut self, buffer: BytesMut) {
        self.frames.put_buffer(buffer);
    }

    fn may_read(&self) -> bool {
        self.closing.is_none()
            && self.muted_until.is_none()
            && self.replies.len() < self.limits.requests_max
            && self.replies.bytes() < self.limits.inflight_bytes_max
    }

    fn offers(&self, api: ApiKey, version: i16) -> bool {
        (self.offered)(api).is_some_and(|versions| versions.contains(&version))
    }

    /// Answers ApiVersions of a version that is not offered so that the client can ask again: in version 0, with the
    /// versions of this API only (WIRE-06).
    fn answer_versions(&mut self, header: &Header, frame_bytes: usize) {
        let Some(versions) = (self.offered)(ApiKey::ApiVersions) else {
            self.close(CloseReason::Version { api: header.api, version: header.version });
            return;
        };
        let own = ApiVersion {
            api_key: ApiKey::ApiVersions.number(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        };
        let body = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.number(),
            api_keys: vec![own],
            ..ApiVersionsResponse::default()
        };
        let head = ReplyHead { api: ApiKey::ApiVersions, version: 0, correlation_id: header.correlation_id };
        let ticket = self.replies.admit(frame_bytes);
        match head.frame(&body) {
            Ok(frame) => self.complete(ticket, Completion::Reply(R::from(frame))),
            Err(_) => self.complete(ticket, Completion::Close),
        }
    }
}
