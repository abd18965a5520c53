//! One client connection: bytes in, requests to handlers, answers out in order.
//!
//! Owns: the task of a connection, which requests may overlap, its buffers.
//! Does not own: framing and order (`protocol::connection`), what requests do (`handlers`).
//!
//! A request begins when every earlier one of the connection has been answered, as in Kafka; only Produce requests may
//! overlap each other, so that those who wait for the device share one flush.
//!
//! Invariants
//! - N1 a connection that waits for nothing owns no read buffer;
//! - N2 the socket is not read while a request that must not be overtaken is served and another one has begun to arrive;
//! - N3 a connection that always has something to do gives way to others and to the sockets, again and again.
//!
//! Source: requirements WIRE-01 to WIRE-14, TRAP-01, TRAP-42; performance design 4.2.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use ottla_env::net::Stream;
use ottla_env::sync::watch;
use ottla_env::task;
use ottla_env::time::{now, sleep_until_some};
use ottla_mutant::mutant;
use ottla_protocol::connection::{
    ClientSoftware, CloseReason, Completion, Connection, READ_BYTES, Request, Ticket,
};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest};
use ottla_protocol::produce::ProduceRequestView;
use ottla_protocol::reply::{Part, Reply};
use ottla_protocol::{Message, Reader};

use crate::caller::Caller;
use crate::dispatch::{self, Answering, DispatchError};
use crate::fetch::answer::FileReply;
use crate::handlers::fetch::{self, Fetched};
use crate::handlers::produce::{self, Begun, Produced};
use crate::memory_budget::Reserved;
use crate::node::Node;
use crate::transactions::admission::Question;
use crate::turn::{Turn, waited};

/// Replies that go out with one system call.
const REPLIES_PER_WRITE: usize = 64;
/// Read buffers one thread keeps for connections that become busy again.
const POOLED_BUFFERS: usize = 16;
/// A buffer that grew beyond this for a large request is not kept.
const POOLED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A request other than Produce has lists, and each element may become a larger one in the answer: the worst is
/// DescribeQuorum, whose five bytes for a partition become two hundred while the answer is made.
const SERVING_FACTOR: usize = 40;

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

type Reserving = Pin<Box<dyn Future<Output = Option<Reserved>> + Send>>;

/// A request whose answer is not there yet.
struct Pending {
    ticket: Ticket,
    answering: Answering,
    /// Whether later Produce requests may begin meanwhile.
    may_be_joined: bool,
}

/// What a connection waits for.
enum Event {
    Answer(Result<FileReply, DispatchError>),
    Memory(Option<Reserved>),
    Readable(io::Result<()>),
    Time,
    Stop,
}

/// The node will never have the memory that a request may take.
struct TooLarge;

/// The task of one connection.
pub struct ConnectionTask {
    node: Arc<Node>,
    caller: Caller,
    stream: Stream,
    machine: Connection<FileReply>,
    pending: VecDeque<Pending>,
    produce: ProduceRequestView,
    /// Memory for the frame that is being read, where it is larger than a read buffer.
    memory: Option<Reserved>,
    /// Waits for that memory; the socket is not read meanwhile.
    reserving: Option<Reserving>,
    /// A request that waits for its turn.
    next: Option<Request>,
    turn: Turn,
}

impl ConnectionTask {
    pub fn new(
        node: Arc<Node>,
        caller: Caller,
        stream: Stream,
        machine: Connection<FileReply>,
    ) -> ConnectionTask {
        ConnectionTask {
            node,
            caller,
            stream,
            machine,
            pending: VecDeque::new(),
            produce: ProduceRequestView::default(),
            memory: None,
            reserving: None,
            next: None,
            turn: Turn::default(),
        }
    }

    /// Serves until the client goes, something forbids to go on, or the node stops. Whoever waits for it holds the task in
    /// memory once; by value it would be there three times.
    pub async fn run(&mut self, stopping: &mut watch::Receiver<bool>) {
        if let Err(error) = self.serve(stopping).await {
            tracing::debug!(peer = %self.stream.peer_addr(), %error, "connection lost");
        }
        self.report();
        if let Some(buffer) = self.machine.take_buffer() {
            give_back(buffer);
        }
        // The peer may be gone already; the socket is closed in either case.
        drop(self.stream.shutdown());
    }

    async fn serve(&mut self, stopping: &mut watch::Receiver<bool>) -> io::Result<()> {
        loop {
            self.start_requests();
            let has_sent = self.send_replies().await?;
            if self.machine.is_over() {
                return Ok(());
            }
            if self.turn.is_over() {
                self.turn = Turn::default();
                task::yield_now().await;
                continue;
            }
            // Requests that wait behind too many others can begin now.
            if has_sent {
                continue;
            }
            self.release_buffer();
            self.ask_for_memory();
            let may_read = self.may_read() && self.reserving.is_none();
            if self.machine.announced_bytes().is_some() {
                self.machine.on_wait(now(), may_read);
            }
            let deadline = self.machine.deadline();
            let (front, reserving) = (self.pending.front_mut(), self.reserving.as_mut());
            let stream = &self.stream;
            let next = async {
                task::select! {
                    biased;
                    answer = answer_of(front) => Event::Answer(answer),
                    memory = reserved(reserving) => Event::Memory(memory),
                    readable = stream.readable(), if may_read => Event::Readable(readable),
                    () = sleep_until_some(deadline) => Event::Time,
                    _ = stopping.changed() => Event::Stop,
                }
            };
            let (event, has_waited) = waited(next).await;
            if has_waited {
                self.turn = Turn::default();
            }
            match event {
                Event::Answer(answer) => {
                    self.on_answer(answer);
                    self.take_ready_answers().await;
                }
                Event::Memory(memory) => (self.memory, self.reserving) = (memory, None),
                Event::Readable(readable) => {
                    readable?;
                    if !self.read()? {
                        return Ok(());
                    }
                }
                Event::Time => self.machine.on_time(now()),
                Event::Stop => {
                    self.machine.close(CloseReason::Server { why: "the node stops".to_owned() });
                }
            }
        }
    }

    /// Begins the requests that may begin.
    fn start_requests(&mut self) {
        while self.machine.closing().is_none() && !self.turn.is_over() {
            let Some(request) = self.next.take().or_else(|| self.machine.poll_request()) else { return };
            let joins =
                request.api == ApiKey::Produce && self.pending.iter().all(|pending| pending.may_be_joined);
            if !self.pending.is_empty() && !joins {
                self.next = Some(request);
                return;
            }
            self.start(request);
        }
    }

    fn start(&mut self, request: Request) {
        self.turn.requests += 1;
        self.note_client(&request);
        let (ticket, memory) = (request.ticket, self.memory.take());
        if request.api == ApiKey::Produce {
            return self.start_produce(request, memory);
        }
        let Ok(needed) = self.memory_to_serve(&request) else {
            return self.machine.complete(ticket, Completion::Close);
        };
        let answering: Answering = if request.api == ApiKey::Fetch {
            match self.begin_fetch(request) {
                Ok(Fetched::Answered(reply)) => return self.complete(ticket, Ok(reply)),
                Ok(Fetched::Waiting(waiting)) => Box::pin(async move {
                    let _memory = memory;
                    Ok(waiting.finish().await?)
                }),
                Err(error) => return self.complete(ticket, Err(error)),
            }
        } else {
            let (node, caller) = (Arc::clone(&self.node), self.caller.clone());
            match needed {
                None => dispatch::serve(node, caller, request),
                Some(needed) => Box::pin(async move {
                    let _memory = node.memory.reserve(memory, needed).await;
                    dispatch::serve(Arc::clone(&node), caller, request).await
                }),
            }
        };
        self.pending.push_back(Pending { ticket, answering, may_be_joined: false });
    }

    /// Memory that a request with its answer may take, where it is large; an error, and the connection ends, where the
    /// node will never have so much.
    fn memory_to_serve(&mut self, request: &Request) -> Result<Option<usize>, TooLarge> {
        let bytes = request.frame.len();
        if bytes <= READ_BYTES {
            return Ok(None);
        }
        let needed = bytes.saturating_mul(SERVING_FACTOR);
        let total = self.node.memory.total_bytes();
        if u64::try_from(needed).is_ok_and(|needed| needed <= total) {
            return Ok(Some(needed));
        }
        let api = request.api.name();
        let why =
            format!("{api} of {bytes} bytes may take {needed} bytes to serve, all requests have {total}");
        self.machine.close(CloseReason::Server { why });
        Err(TooLarge)
    }

    fn begin_fetch(&self, request: Request) -> Result<Fetched, DispatchError> {
        let (head, body) = (request.reply_head(), request.body_bytes());
        let wanted = fetch::decode(body, request.version)?;
        drop(request);
        Ok(fetch::begin(&self.node, &self.caller, head, wanted)?)
    }

    fn start_produce(&mut self, mut request: Request, memory: Option<Reserved>) {
        let (ticket, head) = (request.ticket, request.reply_head());
        let decoded = self.produce.decode(&request.frame, request.body, request.version);
        let produced = match decoded {
            Ok(()) => {
                let what = (&mut request.frame[..], &self.produce);
                produce::begin(&self.node, &self.caller, head, what).map_err(DispatchError::from)
            }
            Err(error) => Err(error.into()),
        };
        let produced = match produced {
            Ok(Begun::Produced(produced)) => produced,
            Ok(Begun::MustAsk(question)) => {
                let answering = self.ask_and_append(request, question, memory);
                // What comes behind it must not be appended before it.
                return self.pending.push_back(Pending { ticket, answering, may_be_joined: false });
            }
            Err(error) => return self.complete(ticket, Err(error)),
        };
        drop(request);
        match produced {
            Produced::Answered(frame) => self.complete(ticket, Ok(Reply::Bytes(frame))),
            Produced::Silent => self.complete(ticket, Err(DispatchError::NotWanted)),
            Produced::Failed => self.complete(ticket, Err(DispatchError::Unacknowledged)),
            Produced::Waiting(waiting) => {
                drop(memory);
                let answering: Answering = Box::pin(async move { Ok(Reply::Bytes(waiting.finish().await?)) });
                self.pending.push_back(Pending { ticket, answering, may_be_joined: true });
            }
        }
    }

    /// Serves a request whose transaction is looked up first.
    fn ask_and_append(
        &mut self,
        mut request: Request,
        question: Question,
        memory: Option<Reserved>,
    ) -> Answering {
        let (node, caller) = (Arc::clone(&self.node), self.caller.clone());
        let view = std::mem::take(&mut self.produce);
        Box::pin(async move {
            let head = request.reply_head();
            let what = (&mut request.frame[..], &view);
            let produced = produce::ask_and_append((&node, &caller), head, question, what).await?;
            drop((request, memory));
            match produced {
                Produced::Answered(frame) => Ok(Reply::Bytes(frame)),
                Produced::Silent => Err(DispatchError::NotWanted),
                Produced::Failed => Err(DispatchError::Unacknowledged),
                Produced::Waiting(waiting) => Ok(Reply::Bytes(waiting.finish().await?)),
            }
        })
    }

    fn on_answer(&mut self, answer: Result<FileReply, DispatchError>) {
        if let Some(pending) = self.pending.pop_front() {
            self.complete(pending.ticket, answer);
        }
    }

    /// Takes the answers that are there, too: one flush is the end of many requests, and their replies leave together.
    async fn take_ready_answers(&mut self) {
        while let Some(front) = self.pending.front_mut() {
            let ready = poll_fn(|context| match front.answering.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => Poll::Ready(None),
            });
            let Some(answer) = ready.await else { return };
            self.on_answer(answer);
        }
    }

    fn complete(&mut self, ticket: Ticket, answer: Result<FileReply, DispatchError>) {
        match answer {
            Ok(reply) => self.machine.complete(ticket, Completion::Reply(reply)),
            Err(DispatchError::NotWanted) => self.machine.complete(ticket, Completion::NoReply),
            Err(DispatchError::Unacknowledged) => {
                // What has been sent behind it is not served any more, as nobody will learn what became of it.
                self.machine.close(CloseReason::Failed);
                self.machine.complete(ticket, Completion::Close);
            }
            Err(error) => {
                self.machine.close(CloseReason::Server { why: error.to_string() });
                self.machine.complete(ticket, Completion::Close);
            }
        }
    }

    /// Remembers what the client calls itself.
    fn note_client(&mut self, request: &Request) {
        let client_id = request.client_id();
        if *client_id != *self.caller.client_id {
            self.caller.client_id = Arc::from(&*client_id);
        }
        if request.api == ApiKey::ApiVersions && request.version >= 3 {
            let mut reader = Reader::new(request.body_bytes());
            if let Ok(said) = ApiVersionsRequest::decode(&mut reader, request.version) {
                let (name, version) = (said.client_software_name, said.client_software_version);
                self.machine.set_software(ClientSoftware { name, version });
            }
        }
    }

    /// Sends what is ready, several replies at once. `true`: there was something.
    async fn send_replies(&mut self) -> io::Result<bool> {
        let (mut gathered, mut has_sent): (Vec<Bytes>, bool) = (Vec::new(), false);
        while let Some(reply) = self.machine.poll_reply() {
            has_sent = true;
            match reply {
                Reply::Bytes(bytes) => gathered.push(bytes),
                Reply::Parts(parts) => {
                    self.send_parts(std::mem::take(&mut gathered), parts).await?;
                }
            }
            if gathered.len() >= REPLIES_PER_WRITE {
                self.stream.write_all(&gathered).await?;
                gathered.clear();
            }
        }
        if !gathered.is_empty() {
            self.stream.write_all(&gathered).await?;
        }
        if has_sent {
            self.machine.on_written(now());
        }
        Ok(has_sent)
    }

    async fn send_parts(
        &mut self,
        mut before: Vec<Bytes>,
        parts: Vec<Part<Arc<dyn ottla_env::disk::File>>>,
    ) -> io::Result<()> {
        for part in parts {
            match part {
                Part::Bytes(bytes) => before.push(bytes),
                Part::File(slice) => {
                    self.stream.write_all_then_more(&before).await?;
                    before.clear();
                    self.stream.send_file(slice.file.as_ref(), slice.position, slice.length).await?;
                }
            }
        }
        if before.is_empty() { Ok(()) } else { self.stream.write_all(&before).await }
    }

    /// While an answer is awaited only the beginning of one further request is read: enough to see the client go.
    fn may_read(&self) -> bool {
        let overtakes_nothing =
            self.next.is_none() && self.pending.iter().all(|pending| pending.may_be_joined);
        self.machine.closing().is_none()
            && (overtakes_nothing || (self.next.is_none() && self.machine.announced_bytes().is_none()))
    }

    /// A frame that is larger than a read buffer needs memory of the node before it is read on, in steps.
    fn ask_for_memory(&mut self) {
        let large = self.machine.wanted_bytes().filter(|bytes| *bytes > READ_BYTES);
        if let Some(bytes) = large
            && !self.memory.as_ref().is_some_and(|memory| memory.covers(bytes))
            && self.reserving.is_none()
            && self.may_read()
        {
            let (budget, held) = (Arc::clone(&self.node.memory), self.memory.take());
            self.reserving = Some(Box::pin(async move { budget.reserve(held, bytes).await }));
        }
    }

    /// Reads what is there. `false`: the client sends no more.
    fn read(&mut self) -> io::Result<bool> {
        self.turn.reads += 1;
        if !self.machine.has_buffer() {
            self.machine.put_buffer(take_buffer());
        }
        let Some(buffer) = self.machine.read_buffer() else { return Ok(true) };
        match self.stream.try_read_buf(buffer) {
            Ok(0) => Ok(false),
            Ok(_) => {
                self.machine.on_read(now());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// An idle connection keeps no buffer, and one that waits for the rest of a small request a small one.
    fn release_buffer(&mut self) {
        if self.pending.is_empty()
            && self.next.is_none()
            && let Some(buffer) = self.machine.take_buffer()
        {
            give_back(buffer);
        }
    }

    fn report(&self) {
        let (peer, listener) = (self.stream.peer_addr(), self.caller.listener.as_str());
        let software = self.machine.software();
        let software = software.map_or_else(String::new, |known| format!("{} {}", known.name, known.version));
        match self.machine.closing() {
            None => tracing::debug!(%peer, listener, "the client closed its connection"),
            Some(reason @ (CloseReason::Idle { .. } | CloseReason::Failed)) => {
                tracing::debug!(%peer, listener, %reason, software, "connection closed");
            }
            Some(reason) => tracing::info!(
                %peer, listener, %reason, software, client_id = &*self.caller.client_id, "connection closed"
            ),
        }
    }
}

/// The answer of the oldest request, or never while there is none.
async fn answer_of(front: Option<&mut Pending>) -> Result<FileReply, DispatchError> {
    match front {
        Some(pending) => pending.answering.as_mut().await,
        None => std::future::pending().await,
    }
}

/// The memory that is waited for, or never while none is.
async fn reserved(reserving: Option<&mut Reserving>) -> Option<Reserved> {
    match reserving {
        Some(reserving) => reserving.as_mut().await,
        None => std::future::pending().await,
    }
}

fn take_buffer() -> BytesMut {
    POOL.with_borrow_mut(|pool| pool.pop()).unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES))
}

fn give_back(mut buffer: BytesMut) {
    if !mutant!(reuse_read_buffer) {
        buffer.clear();
    }
    // Too large, or its other half is still in use.
    if buffer.try_reclaim(POOLED_BYTES_MAX + 1) || !buffer.try_reclaim(READ_BYTES) {
        return;
    }
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOLED_BUFFERS {
            pool.push(buffer);
        }
    });
}
