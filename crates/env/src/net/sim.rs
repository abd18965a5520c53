//! Turmoil's network under the interface of `net`.
//!
//! Owns: the translation.
//! Does not own: the network's behaviour: delay, loss and cuts are set at the simulation by the test (`testkit`).
//!
//! Turmoil's stream wants `&mut` for reading; a lock gives it for the length of one poll.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// Most bytes of one simulated segment, so that large writes are cut as on a real network.
const SEGMENT_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Listener(TcpListener);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<(Listener, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((Listener(listener), address))
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Stream::new(self.0.accept().await?.0)
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    socket: Mutex<TcpStream>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Stream {
    fn new(socket: TcpStream) -> io::Result<Stream> {
        let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
        Ok(Stream { socket: Mutex::new(socket), local, peer })
    }

    pub(super) async fn connect(address: SocketAddr) -> io::Result<Stream> {
        Stream::new(TcpStream::connect(address).await?)
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        let mut byte = [0];
        poll_fn(|context| {
            let mut peeked = ReadBuf::new(&mut byte);
            self.socket.lock().poll_peek(context, &mut peeked).map_ok(|_| ())
        })
        .await
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut context = Context::from_waker(Waker::noop());
        let mut filled = ReadBuf::new(buffer);
        let mut socket = self.socket.lock();
        match Pin::new(&mut *socket).poll_read(&mut context, &mut filled) {
            Poll::Ready(outcome) => outcome.map(|()| filled.filled().len()),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        // The future keeps nothing between polls, so a fresh one each time does.
        poll_fn(|context| pin!(self.socket.lock().writable()).poll(context)).await
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(first) = slices.iter().find(|slice| !slice.is_empty()) else { return Ok(0) };
        self.socket.lock().try_write(&first[..first.len().min(SEGMENT_BYTES_MAX)])
    }

    pub(super) fn shutdown(&self) -> io::Result<()> {
        let mut context = Context::from_waker(Waker::noop());
        let mut socket = self.socket.lock();
        match Pin::new(&mut *socket).poll_shutdown(&mut context) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Ok(()),
        }
    }

    /// Turmoil resets a connection only when bytes are left unread; otherwise the peer sees its end.
    pub(super) fn abort(&self) -> io::Result<()> {
        self.shutdown()
    }
}
