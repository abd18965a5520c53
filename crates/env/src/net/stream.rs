//! One TCP connection.
//!
//! Owns: reading and writing as the data path needs them: try first, wait only when the system says so,
//! many buffers in one call, files sent without passing through this process.
//! Does not own: buffers, frames, deadlines.
//!
//! All methods take `&self`, so that one task may read and another one write through an `Arc`. There may be
//! one reader and one writer at a time; two writers would mix their bytes.
//!
//! Invariants
//! - I1 a write method either sent all its bytes or the connection is unusable: whoever drops such a future
//!   half-way must close the connection;
//! - I2 after at most [`BURST_BYTES_MAX`] of copying, other tasks of the thread get their turn.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

use crate::disk::File;
use crate::task::yield_now;

use super::{SocketOptions, size_of};

/// Most bytes sent in one go: about 0.15 ms of copying, after which the thread's other tasks run.
pub const BURST_BYTES_MAX: usize = 1024 * 1024;

/// Most buffers handed to the system in one call. More than a batch of pipelined answers has.
const SLICES_MAX: usize = 64;

/// Bytes read at a time where a file cannot be sent by descriptor. Stays in the processor's L2 cache.
const COPY_BYTES: usize = 64 * 1024;

/// One TCP connection.
#[derive(Debug)]
pub struct Stream {
    socket: StreamSocket,
    local: SocketAddr,
    peer: SocketAddr,
}

#[derive(Debug)]
enum StreamSocket {
    Tcp(TcpStream),
    #[cfg(feature = "sim")]
    Simulated(super::sim::Stream),
}

/// Whether more bytes follow at once, so that the system may wait with a packet that is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    Nothing,
    More,
}

impl Stream {
    /// Connects to an address.
    pub async fn connect(address: SocketAddr, options: SocketOptions) -> io::Result<Stream> {
        #[cfg(feature = "sim")]
        if turmoil::in_simulation() {
            return super::sim::Stream::connect(address).await.map(Stream::of_simulated);
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = options.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        Stream::of_tcp(socket.connect(address).await?, address, options)
    }

    /// Sets what Kafka sets: no delay, keep-alive, buffer sizes.
    pub(super) fn of_tcp(socket: TcpStream, peer: SocketAddr, options: SocketOptions) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        let reference = SockRef::from(&socket);
        reference.set_keepalive(true)?;
        if let Some(bytes) = options.send_buffer {
            reference.set_send_buffer_size(size_of(bytes))?;
        }
        let local = canonical(socket.local_addr()?);
        Ok(Stream { local, peer: canonical(peer), socket: StreamSocket::Tcp(socket) })
    }

    #[cfg(feature = "sim")]
    pub(super) fn of_simulated(socket: super::sim::Stream) -> Stream {
        let (local, peer) = (socket.local_addr(), socket.peer_addr());
        Stream { local, peer, socket: StreamSocket::Simulated(socket) }
    }

    /// The address of this end; an IPv4 connection to a dual socket shows its IPv4 address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address of the other end; an IPv4 connection to a dual socket shows its IPv4 address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until there may be something to read (or the end, or an error). May wake without cause.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.socket {
            StreamSocket::Tcp(socket) => socket.readable().await,
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.readable().await,
        }
    }

    /// Reads what is there; 0 means that the peer sends no more. `WouldBlock`: nothing is there yet.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.socket {
            StreamSocket::Tcp(socket) => socket.try_read(buffer),
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.try_read(buffer),
        }
    }

    /// As [`Stream::try_read`], into the room that the buffer has, without filling it with zeros first.
    pub fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        match &self.socket {
            StreamSocket::Tcp(socket) => socket.try_read_buf(buffer),
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => {
                let mut read = vec![0; buffer.chunk_mut().len()];
                let count = socket.try_read(&mut read)?;
                buffer.put_slice(&read[..count]);
                Ok(count)
            }
        }
    }

    /// Waits for bytes and reads them; 0 means that the peer sends no more. May be dropped while waiting.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable().await?,
                outcome => return outcome,
            }
        }
    }

    /// Fills the whole buffer; `UnexpectedEof` when the peer stops before.
    pub async fn read_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read(&mut buffer[done..]).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => done += got,
            }
        }
        Ok(())
    }

    /// Waits until there may be room to write (or an error). May wake without cause.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.socket {
            StreamSocket::Tcp(socket) => socket.writable().await,
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.writable().await,
        }
    }

    /// Writes as much of the slices as there is room for; `WouldBlock`: none.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_send(slices, Follow::Nothing)
    }

    /// Writes all buffers one behind the other.
    pub async fn write_all<B: AsRef<[u8]>>(&self, buffers: &[B]) -> io::Result<()> {
        self.send_all(buffers, Follow::Nothing).await
    }

    /// Like [`Stream::write_all`] for what [`Stream::send_file`] follows at once: the last bytes wait for it,
    /// so that header and body share a packet.
    pub async fn write_all_then_more<B: AsRef<[u8]>>(&self, buffers: &[B]) -> io::Result<()> {
        self.send_all(buffers, Follow::More).await
    }

    /// Sends `[position, position + len)` of a file, without a copy in this process where the system can.
    /// Bytes that are not in the page cache block the thread: ask [`File::is_resident`] before.
    /// `UnexpectedEof` when the file is shorter.
    pub async fn send_file(&self, file: &dyn File, position: u64, len: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        match (&self.socket, file.descriptor()) {
            (StreamSocket::Tcp(socket), Some(_)) => {
                return send_by_descriptor(socket, file, position, len).await;
            }
            (StreamSocket::Tcp(_), None) => {}
            #[cfg(feature = "sim")]
            (StreamSocket::Simulated(_), _) => {}
        }
        self.send_by_copy(file, position, len).await
    }

    /// Says that this end sends no more; what was written before still arrives.
    pub fn shutdown(&self) -> io::Result<()> {
        match &self.socket {
            StreamSocket::Tcp(socket) => SockRef::from(socket).shutdown(Shutdown::Write),
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.shutdown(),
        }
    }

    /// Gives the connection up: this end reads no more, and when the last holder drops it, unsent bytes are
    /// thrown away and the peer sees a reset.
    pub fn abort(&self) -> io::Result<()> {
        match &self.socket {
            StreamSocket::Tcp(socket) => {
                let reference = SockRef::from(socket);
                reference.set_linger(Some(Duration::ZERO))?;
                reference.shutdown(Shutdown::Read)
            }
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.abort(),
        }
    }

    fn try_send(&self, slices: &[IoSlice<'_>], follow: Follow) -> io::Result<usize> {
        match &self.socket {
            StreamSocket::Tcp(socket) => match follow {
                Follow::Nothing => socket.try_write_vectored(slices),
                Follow::More => socket.try_io(Interest::WRITABLE, || send_more(socket, slices)),
            },
            #[cfg(feature = "sim")]
            StreamSocket::Simulated(socket) => socket.try_write_vectored(slices),
        }
    }

    async fn send_all<B: AsRef<[u8]>>(&self, buffers: &[B], follow: Follow) -> io::Result<()> {
        let mut at = Cursor { buffer: 0, byte: 0 };
        let mut burst = 0;
        loop {
            let outcome = {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                match at.fill(buffers, &mut slices) {
                    0 => return Ok(()),
                    count => self.try_send(&slices[..count], follow),
                }
            };
            match outcome {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    at.advance(buffers, sent);
                    burst = rest_after(burst + sent).await;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable().await?;
                    burst = 0;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send_by_copy(&self, file: &dyn File, position: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(len).unwrap_or(COPY_BYTES))];
        let mut done = 0;
        while done < len {
            let wanted = usize::try_from(len - done).map_or(buffer.len(), |left| left.min(buffer.len()));
            let got = file.read_at(&mut buffer[..wanted], position + done)?;
            if got < wanted {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.send_all(&[&buffer[..got]], Follow::Nothing).await?;
            done += got as u64;
        }
        Ok(())
    }
}

/// Counts the bytes sent without a pause, and pauses.
async fn rest_after(burst: usize) -> usize {
    if burst < BURST_BYTES_MAX {
        return burst;
    }
    yield_now().await;
    0
}

fn send_more(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    return SockRef::from(socket).send_vectored_with_flags(slices, libc::MSG_MORE | libc::MSG_NOSIGNAL);
    #[cfg(not(target_os = "linux"))]
    SockRef::from(socket).send_vectored(slices)
}

#[cfg(target_os = "linux")]
async fn send_by_descriptor(socket: &TcpStream, file: &dyn File, position: u64, len: u64) -> io::Result<()> {
    let mut offset = position;
    let mut burst = 0;
    let end = position.checked_add(len).ok_or(ErrorKind::InvalidInput)?;
    while offset < end {
        let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(BURST_BYTES_MAX);
        let sent = socket.try_io(Interest::WRITABLE, || {
            let descriptor = file.descriptor().ok_or(ErrorKind::Unsupported)?;
            Ok(rustix::fs::sendfile(socket, descriptor, Some(&mut offset), wanted)?)
        });
        match sent {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(sent) => burst = rest_after(burst + sent).await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.writable().await?;
                burst = 0;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The first byte of a list of buffers that is not sent yet.
struct Cursor {
    buffer: usize,
    byte: usize,
}

impl Cursor {
    /// Puts what is left, empty buffers left out, into `slices`; returns how many were used.
    fn fill<'a, B: AsRef<[u8]>>(&self, buffers: &'a [B], slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (at, buffer) in buffers.iter().enumerate().skip(self.buffer) {
            let from = if at == self.buffer { self.byte } else { 0 };
            let rest = &buffer.as_ref()[from..];
            if rest.is_empty() {
                continue;
            }
            if used == slices.len() {
                break;
            }
            slices[used] = IoSlice::new(rest);
            used += 1;
        }
        used
    }

    fn advance<B: AsRef<[u8]>>(&mut self, buffers: &[B], sent: usize) {
        let mut left = sent;
        while let Some(buffer) = buffers.get(self.buffer) {
            let rest = buffer.as_ref().len() - self.byte;
            if left < rest {
                self.byte += left;
                return;
            }
            left -= rest;
            self.buffer += 1;
            self.byte = 0;
        }
        assert!(left == 0, "the system cannot send more than it was given");
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
