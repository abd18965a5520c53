//! One connection to one node.
//!
//! Owns: opening it, the handshake over ApiVersions, writing requests, handing out answers.
//! Does not own: which node, when to try again (`cluster`).
//!
//! A connection is a task of its own that owns the socket. Callers encode requests themselves, in the version that
//! the handshake agreed on, and send it whole frames over a bounded channel; requests leave in the order in which
//! they were queued.

mod driver;
mod frames;
mod handshake;
mod pipeline;
mod request;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_env::net::{self, SocketOptions, Stream};
use ottla_env::sync::{mpsc, oneshot};
use ottla_env::{task, time};
use ottla_protocol::{Message, Reader};

pub(crate) use request::Request;
pub use versions::{ApiVersions, FeatureRange};

use crate::config::Endpoint;
use crate::error::{CallError, api_name};
use driver::Outgoing;

/// Requests that may wait for the connection's task. More than any window of requests in flight of one client.
const QUEUE_MAX: usize = 1024;

/// How a connection is opened.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    pub client_id: String,
    pub setup_timeout: Duration,
    pub request_timeout: Duration,
    pub idle_max: Option<Duration>,
    pub socket: SocketOptions,
}

/// An open connection; its task ends when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    node: Endpoint,
    client_id: String,
    request_timeout: Duration,
    versions: ApiVersions,
    queue: mpsc::Sender<Outgoing>,
}

/// An answer on its way.
pub(crate) struct Pending<R> {
    call: &'static str,
    connection: Arc<Connection>,
    version: i16,
    answer: oneshot::Receiver<Result<Bytes, CallError>>,
    response: std::marker::PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects to the first address of the node that answers, and asks what it speaks.
    pub(crate) async fn open(
        node: &Endpoint,
        settings: &ConnectionSettings,
    ) -> Result<Arc<Connection>, CallError> {
        let deadline = time::now() + settings.setup_timeout;
        let failed = |reason: String| CallError::Connect { node: node.clone(), reason };
        let stream = match time::timeout_at(deadline, connect(node, settings.socket)).await {
            Ok(connected) => connected.map_err(|error| failed(error.to_string()))?,
            Err(time::Elapsed) => {
                return Err(failed(format!("no answer within {} ms", settings.setup_timeout.as_millis())));
            }
        };
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        task::spawn(driver::run(stream, requests, node.clone(), settings.idle_max));
        let mut connection = Connection {
            node: node.clone(),
            client_id: settings.client_id.clone(),
            request_timeout: settings.request_timeout,
            versions: ApiVersions::default(),
            queue,
        };
        connection.versions = handshake::negotiate(&connection).await?;
        Ok(Arc::new(connection))
    }

    /// What the node offers.
    pub(crate) fn versions(&self) -> &ApiVersions {
        &self.versions
    }

    /// The address this connection goes to.
    pub(crate) fn node(&self) -> &Endpoint {
        &self.node
    }

    /// Whether the connection's task has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// The version in which `R` is spoken here.
    pub(crate) fn version_of<R: Request>(&self, cap: i16) -> Result<i16, CallError> {
        let unsupported = || CallError::Unsupported { api: api_name(R::KEY) };
        self.versions.choose(R::KEY, cap).ok_or_else(unsupported)
    }

    /// Queues a request in `version` at once; the answer is waited for with [`Pending::wait`].
    pub(crate) fn send<R: Request>(
        self: &Arc<Self>,
        request: &R,
        version: i16,
        timeout: Option<Duration>,
    ) -> Result<Pending<R::Response>, CallError> {
        let timeout = timeout.unwrap_or(self.request_timeout);
        let answer = self.enqueue(request, version, timeout)?;
        let connection = Arc::clone(self);
        let call = R::KEY.name();
        Ok(Pending { call, connection, version, answer, response: std::marker::PhantomData })
    }

    /// Queues a request that the broker does not answer. The receiver hears when its bytes are in the socket.
    pub(crate) fn send_unanswered<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<oneshot::Receiver<Result<(), CallError>>, CallError> {
        let frame = self.frame(request, version)?;
        let (written, receiver) = oneshot::channel();
        self.push(Outgoing::Unanswered { frame, written })?;
        Ok(receiver)
    }

    fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<oneshot::Receiver<Result<Bytes, CallError>>, CallError> {
        let frame = self.frame(request, version)?;
        let (answer, receiver) = oneshot::channel();
        self.push(Outgoing::Answered {
            frame,
            answer,
            call: R::KEY.name(),
            header_version: R::KEY.response_header_version(version),
            timeout: (timeout, time::now() + timeout),
        })?;
        Ok(receiver)
    }

    fn frame<R: Request>(&self, request: &R, version: i16) -> Result<Vec<u8>, CallError> {
        request::frame_of(request, version, &self.client_id)
            .map_err(|error| CallError::Unwritable { api: api_name(R::KEY), reason: error.to_string() })
    }

    fn push(&self, outgoing: Outgoing) -> Result<(), CallError> {
        let node = self.node.clone();
        self.queue.try_send(outgoing).map_err(|refused| match refused {
            mpsc::TrySendError::Full(_) => {
                CallError::Lost { node, reason: format!("more than {QUEUE_MAX} requests wait for it") }
            }
            mpsc::TrySendError::Closed(_) => CallError::Lost { node, reason: "it is closed".to_owned() },
        })
    }
}

impl<R: Message> Pending<R> {
    /// The answer, or why there is none. The connection's task enforces the timeout.
    pub(crate) async fn wait(self) -> Result<R, CallError> {
        let Pending { call, connection, version, answer, .. } = self;
        let node = connection.node.clone();
        let body = match answer.await {
            Ok(body) => body?,
            Err(_) => return Err(CallError::Lost { node, reason: "its task ended".to_owned() }),
        };
        R::decode(&mut Reader::shared(&body), version).map_err(|error| CallError::Malformed {
            api: call.to_owned(),
            node,
            reason: error.to_string(),
        })
    }
}

/// Tries the addresses of a name in turn; the last failure counts.
async fn connect(node: &Endpoint, options: SocketOptions) -> std::io::Result<Stream> {
    let mut last = std::io::Error::other("the name has no address");
    for address in net::resolve(&node.host, node.port).await? {
        match Stream::connect(address, options).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
