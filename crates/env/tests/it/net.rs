//! The real network, over the loopback interface, on ports the system chooses.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use ottla_env::disk::{Disk, File, OpenMode, RealDisk};
use ottla_env::net::{BindError, ListenOptions, Listener, SocketOptions, Stream, resolve};
use ottla_env::task;

use crate::scratch::Scratch;

async fn pair() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1", 0, ListenOptions::default()).await.expect("a port is free");
    let connect = Stream::connect(listener.local_addr(), SocketOptions::default());
    let (near, far) = task::join!(connect, listener.accept());
    (near.expect("the listener is there"), far.expect("a client is there"))
}

async fn read_to_end(stream: &Stream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 50_000];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(all),
            got => all.extend_from_slice(&buffer[..got]),
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()
}

/// A file without a descriptor, as the simulated disk has.
#[derive(Debug)]
struct Undescribed(Arc<dyn File>);

impl File for Undescribed {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }
    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.0.write_all_vectored_at(slices, position)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.0.reserve(position, len)
    }
    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.0.start_writeback(position, len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.0.set_modified_ms(modified_ms)
    }
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

fn file_of(dir: &Scratch, bytes: &[u8]) -> Arc<dyn File> {
    let file = RealDisk.open(&dir.join("f"), OpenMode::Create).expect("the directory is writable");
    file.write_all_at(bytes, 0).expect("there is space");
    file
}

#[test]
fn many_buffers_far_larger_than_the_socket_s_arrive_in_order() {
    let body = pattern(8 << 20);
    let arrived = task::block_on(async {
        let (near, far) = pair().await;
        let mut buffers: Vec<&[u8]> = body[..20_000].chunks(100).collect();
        buffers.push(&[]);
        buffers.push(&body[20_000..]);
        let send = async {
            near.write_all(&buffers).await.unwrap();
            near.write_all::<&[u8]>(&[]).await.unwrap();
            near.shutdown().unwrap();
        };
        let (arrived, ()) = task::join!(read_to_end(&far), send);
        arrived.unwrap()
    });
    assert!(arrived.unwrap() == body);
}

#[test]
fn a_file_is_sent_behind_its_header_with_and_without_a_descriptor() {
    let dir = Scratch::new();
    let body = pattern(3 << 20);
    let file = file_of(&dir, &body);
    for file in [Arc::clone(&file), Arc::new(Undescribed(file))] {
        let arrived = task::block_on(async {
            let (near, far) = pair().await;
            let send = async {
                near.write_all_then_more(&[b"head"]).await.unwrap();
                near.send_file(&*file, 5, body.len() as u64 - 6).await.unwrap();
                near.send_file(&*file, 0, 0).await.unwrap();
                near.shutdown().unwrap();
            };
            let (arrived, ()) = task::join!(read_to_end(&far), send);
            arrived.unwrap()
        });
        let arrived = arrived.unwrap();
        assert_eq!(&arrived[..4], b"head");
        assert!(arrived[4..] == body[5..body.len() - 1]);
    }
}

#[test]
fn a_file_shorter_than_promised_is_an_error_and_not_a_wait() {
    let dir = Scratch::new();
    let file = file_of(&dir, b"short");
    for file in [Arc::clone(&file), Arc::new(Undescribed(file))] {
        let outcome = task::block_on(async {
            let (near, _far) = pair().await;
            near.send_file(&*file, 0, 6).await
        });
        assert_eq!(outcome.unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn an_idle_connection_has_nothing_to_read_and_room_to_write() {
    task::block_on(async {
        let (near, far) = pair().await;
        assert_eq!(far.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        near.writable().await.unwrap();
        assert_eq!(near.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).unwrap(), 3);
        far.readable().await.unwrap();
        let mut buffer = [0; 3];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"abc");
        near.shutdown().unwrap();
        assert_eq!(far.read_exact(&mut buffer).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    })
    .unwrap();
}

#[test]
fn an_aborted_connection_is_reset_at_the_peer() {
    let outcome = task::block_on(async {
        let (near, far) = pair().await;
        near.abort().unwrap();
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        drop(near);
        far.read(&mut [0; 1]).await
    });
    assert_eq!(outcome.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn writing_to_a_peer_that_is_gone_fails_and_does_not_end_the_process() {
    let outcome = task::block_on(async {
        let (near, far) = pair().await;
        drop(far);
        let chunk = vec![0; 100_000];
        loop {
            near.write_all(&[&chunk]).await?;
        }
    });
    let outcome: io::Result<()> = outcome.unwrap();
    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&outcome.unwrap_err().kind()));
}

#[test]
fn a_busy_port_is_named_in_the_error() {
    task::block_on(async {
        let options = ListenOptions::default();
        let first = Listener::bind("127.0.0.1", 0, options).await.unwrap();
        let port = first.local_addr().port();
        let error = Listener::bind("127.0.0.1", port, options).await.unwrap_err();
        assert!(matches!(error, BindError::Busy { .. }));
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}: address already in use"));
        drop(first);
        Listener::bind("127.0.0.1", port, options).await.unwrap();
    })
    .unwrap();
}

#[test]
fn an_address_of_another_machine_or_a_name_that_does_not_resolve_is_refused() {
    task::block_on(async {
        let options = ListenOptions::default();
        let error = Listener::bind("192.0.2.1", 0, options).await.unwrap_err();
        assert!(matches!(error, BindError::Foreign { .. }), "{error}");
        let error = Listener::bind("no such host", 9092, options).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on no such host:9092: the host name does not resolve");
    })
    .unwrap();
}

#[test]
fn an_empty_host_listens_on_every_address_and_shows_ipv4_peers_as_such() {
    task::block_on(async {
        let listener = Listener::bind("", 0, ListenOptions::default()).await.unwrap();
        assert!(listener.local_addr().ip().is_unspecified());
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().port()));
        let options = SocketOptions { send_buffer: Some(64 << 10), receive_buffer: Some(64 << 10) };
        let connect = Stream::connect(address, options);
        let (near, far) = task::join!(connect, listener.accept());
        let (near, far) = (near.unwrap(), far.unwrap());
        assert_eq!(far.peer_addr(), near.local_addr());
        assert!(far.peer_addr().is_ipv4());
        assert_eq!(near.peer_addr(), far.local_addr());
    })
    .unwrap();
}

#[test]
fn nobody_listening_is_a_refused_connection() {
    let outcome = task::block_on(async {
        let listener = Listener::bind("127.0.0.1", 0, ListenOptions::default()).await.unwrap();
        let address = listener.local_addr();
        drop(listener);
        Stream::connect(address, SocketOptions::default()).await.map(|_| ())
    });
    assert_eq!(outcome.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_ipv4_addresses_of_a_name_come_first() {
    let addresses = task::block_on(resolve("localhost", 1)).unwrap().unwrap();
    assert_eq!(addresses[0], SocketAddr::from(([127, 0, 0, 1], 1)));
}
