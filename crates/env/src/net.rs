//! TCP.
//!
//! Owns: listening, accepting, connecting, names to addresses, and the options Kafka sets on sockets.
//! Does not own: bytes and frames (`protocol`), TLS, limits on connections, when to stop reading.
//!
//! With the feature `sim`, code that runs inside a simulation gets turmoil's network under the same types.
//!
//! Sources: Kafka's configuration of `listeners` and `socket.*`; Java SE `ServerSocket` (an empty host is the
//! wildcard address, of several addresses of a name the IPv4 ones come first).

#[cfg(feature = "sim")]
mod sim;
mod stream;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

pub use stream::Stream;

/// Options of one connection. `None` leaves the choice to the system (−1 in Kafka's configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes of the system's send buffer (`socket.send.buffer.bytes`, `send.buffer.bytes`).
    pub send_buffer: Option<u32>,
    /// Bytes of the system's receive buffer (`socket.receive.buffer.bytes`, `receive.buffer.bytes`).
    pub receive_buffer: Option<u32>,
}

/// Options of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted (`socket.listen.backlog.size`); the system may cut it.
    pub backlog: u32,
    /// Options that accepted connections get.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    /// Kafka's defaults: a backlog of 50 and the system's buffers.
    fn default() -> ListenOptions {
        ListenOptions { backlog: 50, socket: SocketOptions::default() }
    }
}

/// Why nothing listens on an address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {host}:{port}: the host name does not resolve")]
    Name {
        host: String,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {address}: address already in use")]
    Busy { address: SocketAddr },
    #[error("cannot listen on {address}: the address does not belong to this machine")]
    Foreign { address: SocketAddr },
    #[error("cannot listen on {address}: permission denied")]
    Denied { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    System { address: SocketAddr, source: io::Error },
}

impl BindError {
    fn of(address: SocketAddr, source: io::Error) -> BindError {
        if source.kind() == ErrorKind::AddrInUse {
            BindError::Busy { address }
        } else if source.kind() == ErrorKind::AddrNotAvailable {
            BindError::Foreign { address }
        } else if source.kind() == ErrorKind::PermissionDenied {
            BindError::Denied { address }
        } else {
            BindError::System { address, source }
        }
    }
}

/// The addresses of a host name, IPv4 first, otherwise in the resolver's order; never empty.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[cfg(feature = "sim")]
    if turmoil::in_simulation() {
        return Ok(vec![SocketAddr::new(turmoil::lookup(host), port)]);
    }
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    if addresses.is_empty() {
        return Err(io::Error::new(ErrorKind::NotFound, format!("host name '{host}' has no address")));
    }
    Ok(addresses)
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    address: SocketAddr,
    options: SocketOptions,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(tokio::net::TcpListener),
    #[cfg(feature = "sim")]
    Simulated(sim::Listener),
}

impl Listener {
    /// Listens on a host (empty: every address of the machine, IPv6 and IPv4) and port (0: any free one).
    pub async fn bind(host: &str, port: u16, options: ListenOptions) -> Result<Listener, BindError> {
        #[cfg(feature = "sim")]
        if turmoil::in_simulation() {
            let unspecified = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            let bound = sim::Listener::bind(unspecified).await;
            let (listener, address) = bound.map_err(|source| BindError::of(unspecified, source))?;
            let socket = ListenerSocket::Simulated(listener);
            return Ok(Listener { socket, address, options: options.socket });
        }
        if host.is_empty() {
            return Listener::bind_everywhere(port, options);
        }
        let found = resolve(host, port).await;
        let addresses = found.map_err(|source| BindError::Name { host: host.to_owned(), port, source })?;
        Listener::bind_address(addresses[0], options)
    }

    fn bind_everywhere(port: u16, options: ListenOptions) -> Result<Listener, BindError> {
        let dual = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        match Listener::bind_address(dual, options) {
            // A machine without IPv6.
            Err(BindError::System { .. } | BindError::Foreign { .. }) => {
                Listener::bind_address(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), options)
            }
            bound => bound,
        }
    }

    fn bind_address(address: SocketAddr, options: ListenOptions) -> Result<Listener, BindError> {
        let listen = || -> io::Result<Listener> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
                socket.set_only_v6(false)?;
            }
            // A restarted node gets its port while old connections are still in TIME_WAIT.
            socket.set_reuse_address(true)?;
            // Window scaling is agreed on in the handshake, so the size must be there before it.
            if let Some(bytes) = options.socket.receive_buffer {
                socket.set_recv_buffer_size(size_of(bytes))?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
            let listener = tokio::net::TcpListener::from_std(socket.into())?;
            let address = listener.local_addr()?;
            Ok(Listener { socket: ListenerSocket::Tcp(listener), address, options: options.socket })
        };
        listen().map_err(|source| BindError::of(address, source))
    }

    /// The address that is listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. A connection that died before it could be accepted is passed over. An error
    /// (mostly: no descriptor left) leaves the listener usable; the caller waits a little before the next call.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => loop {
                match listener.accept().await {
                    Ok((socket, peer)) => match Stream::of_tcp(socket, peer, self.options) {
                        Ok(stream) => return Ok(stream),
                        // Options cannot be set on a connection that is gone.
                        Err(_) => continue,
                    },
                    Err(error) if died_early(&error) => continue,
                    Err(error) => return Err(error),
                }
            },
            #[cfg(feature = "sim")]
            ListenerSocket::Simulated(listener) => listener.accept().await.map(Stream::of_simulated),
        }
    }
}

fn died_early(error: &io::Error) -> bool {
    [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted].contains(&error.kind())
}

fn size_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
