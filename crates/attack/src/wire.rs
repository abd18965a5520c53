//! Connections that send what they like.
//!
//! Owns: one connection, frames, how an answer, an end and silence are told apart. Does not own: what is sent.

use std::net::SocketAddr;
use std::time::Duration;

use ottla_protocol::messages::{ApiKey, RequestHeader};
use ottla_protocol::{Message, Reader, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Fallible;

/// What hostile clients call themselves.
const CLIENT_ID: &str = "attack";
/// How long the system may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What came of waiting for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A whole frame, without its size.
    Answer(Vec<u8>),
    Closed,
    Silent,
}

/// One connection.
pub struct Connection {
    pub stream: TcpStream,
}

impl Connection {
    pub async fn open(port: u16) -> Fallible<Connection> {
        Connection::open_from(1, port).await
    }

    /// A connection from another address of this machine: 127.0.0.`host`.
    pub async fn open_from(host: u8, port: u16) -> Fallible<Connection> {
        let socket = TcpSocket::new_v4()?;
        if host != 1 {
            socket.bind(SocketAddr::from(([127, 0, 0, host], 0)))?;
        }
        let connecting = socket.connect(SocketAddr::from(([127, 0, 0, 1], port)));
        let stream = tokio::time::timeout(CONNECT_WITHIN, connecting).await??;
        stream.set_nodelay(true)?;
        Ok(Connection { stream })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Fallible<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Waits so long for a whole answer.
    pub async fn receive(&mut self, patience: Duration) -> Reply {
        let read = async {
            let mut size = [0; 4];
            self.stream.read_exact(&mut size).await.ok()?;
            let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).ok()?];
            self.stream.read_exact(&mut answer).await.ok()?;
            Some(answer)
        };
        match tokio::time::timeout(patience, read).await {
            Ok(Some(answer)) => Reply::Answer(answer),
            Ok(None) => Reply::Closed,
            Err(_) => Reply::Silent,
        }
    }

    /// Sends a request and reads its answer.
    pub async fn ask<Q: Message, A: Message>(
        &mut self,
        (api, version): (ApiKey, i16),
        request: &Q,
    ) -> Fallible<A> {
        self.send(&frame(api, version, request)?).await?;
        match self.receive(Duration::from_secs(30)).await {
            Reply::Answer(answer) => answer_of((api, version), &answer),
            other @ (Reply::Closed | Reply::Silent) => {
                Err(format!("{} {version} got {other:?}", api.name()).into())
            }
        }
    }
}

/// The message in an answer.
pub fn answer_of<A: Message>((api, version): (ApiKey, i16), answer: &[u8]) -> Fallible<A> {
    let header = if api.response_header_version(version) == 0 { 4 } else { 5 };
    let mut reader = Reader::new(answer.get(header..).unwrap_or_default());
    Ok(A::decode(&mut reader, version)?)
}

/// A request with its header and its size in front.
pub fn frame<M: Message>(api: ApiKey, version: i16, request: &M) -> Fallible<Vec<u8>> {
    let mut writer = Writer::new();
    request.encode(&mut writer, version)?;
    framed(api, version, &writer.into_vec())
}

/// A body with its header and its size in front.
pub fn framed(api: ApiKey, version: i16, body: &[u8]) -> Fallible<Vec<u8>> {
    let header = RequestHeader {
        request_api_key: api.number(),
        request_api_version: version,
        correlation_id: 77,
        client_id: Some(CLIENT_ID.to_owned()),
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, api.request_header_version(version))?;
    let head = writer.into_vec();
    let size = i32::try_from(head.len() + body.len())?;
    Ok([&size.to_be_bytes()[..], &head, body].concat())
}
