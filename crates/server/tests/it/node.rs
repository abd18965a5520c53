//! A node for one test, and a client that speaks frames.
//!
//! Owns: start, stop and restart of a node in a directory of its own; requests and answers by type.
//! Does not own: what the tests expect.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla_env::disk::{Disk, RealDisk};
use ottla_env::net::{SocketOptions, Stream};
use ottla_env::random::OsRandom;
use ottla_env::{task, time};
use ottla_metadata::config::{Layers, Properties};
use ottla_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, RequestHeader, ResponseHeader, create_topics_request,
};
use ottla_protocol::{ApiKey, Message, Reader, Writer};
use ottla_security::Authorizer;
use ottla_server::{RunningNode, StartError, StartOptions, loggers::Loggers};

/// A directory that is removed with the value.
pub struct Home(PathBuf);

static HOMES: AtomicU32 = AtomicU32::new(0);

impl Home {
    pub fn new() -> Home {
        let number = HOMES.fetch_add(1, Ordering::Relaxed);
        let name = format!("node-{}-{number}", std::process::id());
        Home(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Starts a node whose data lie in `home`; `more` are further lines of its properties.
pub async fn start(home: &Home, more: &str) -> Result<RunningNode, StartError> {
    start_with(&properties(home.path(), more), Parts::default()).await
}

/// The properties of a node whose data lie in `directory`; a later line takes the place of an earlier one.
pub fn properties(directory: &Path, more: &str) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n\
         controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n\
         log.dirs={}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=2\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=2\ngroup.initial.rebalance.delay.ms=0\n{more}",
        directory.display()
    )
}

/// What a node may have instead of the real things.
#[derive(Default)]
pub struct Parts {
    pub disk: Option<Arc<dyn Disk>>,
    pub authorizer: Option<Arc<dyn Authorizer>>,
    pub loggers: Loggers,
}

/// Starts a node with these properties.
pub async fn start_with(properties: &str, parts: Parts) -> Result<RunningNode, StartError> {
    let options = StartOptions {
        layers: Layers::new(Properties::parse(properties).unwrap().settings()),
        disk: parts.disk.unwrap_or_else(|| Arc::new(RealDisk)),
        random: Arc::new(OsRandom::new().unwrap()),
        loggers: parts.loggers,
        authorizer: parts.authorizer,
    };
    ottla_server::start(options).await
}

/// Runs a story on a runtime of its own.
pub fn run(story: impl Future<Output = ()>) {
    task::run(None, story).unwrap();
}

/// The address of the node's listener for clients.
pub fn address(node: &RunningNode) -> SocketAddr {
    address_of(node, "PLAINTEXT")
}

/// The address of the node's listener of this name.
pub fn address_of(node: &RunningNode, listener: &str) -> SocketAddr {
    node.addresses().iter().find(|(name, _)| name.as_str() == listener).unwrap().1
}

/// A connection that sends one request at a time.
pub struct Client {
    stream: Stream,
    correlation: i32,
}

impl Client {
    pub async fn connect(node: &RunningNode) -> Client {
        Client::connect_to(address(node)).await
    }

    /// A connection to some listener.
    pub async fn connect_to(address: SocketAddr) -> Client {
        let stream = Stream::connect(address, SocketOptions::default()).await.unwrap();
        Client { stream, correlation: 0 }
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&self, bytes: &[u8]) {
        self.stream.write_all(&[bytes]).await.unwrap();
    }

    /// One frame, without its size; `None` when the node closed the connection.
    pub async fn receive(&self) -> Option<Vec<u8>> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).await.ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame)
    }

    /// A whole request frame.
    pub fn frame<M: Message>(&mut self, api: ApiKey, version: i16, request: &M) -> Vec<u8> {
        self.correlation += 1;
        let header = RequestHeader {
            request_api_key: api.number(),
            request_api_version: version,
            correlation_id: self.correlation,
            client_id: Some("test".to_owned()),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer, api.request_header_version(version)).unwrap();
        request.encode(&mut writer, version).unwrap();
        let body = writer.into_vec();
        let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(body);
        frame
    }

    /// Sends a request and reads its answer.
    pub async fn ask<Q: Message, A: Message>(&mut self, api: ApiKey, version: i16, request: &Q) -> A {
        let frame = self.frame(api, version, request);
        self.send_raw(&frame).await;
        let answer = self.receive().await.expect("the node answers");
        self.read_answer((api, version), &answer)
    }

    /// The answer to the last request.
    pub fn read_answer<A: Message>(&self, (api, version): (ApiKey, i16), answer: &[u8]) -> A {
        let mut reader = Reader::new(answer);
        let header = ResponseHeader::decode(&mut reader, api.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation);
        A::decode(&mut reader, version).unwrap()
    }

    /// Creates a topic with so many partitions.
    pub async fn create_topic(&mut self, name: &str, partitions: i32) {
        let topic = create_topics_request::CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        let answer: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, 7, &request).await;
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }

    /// Asks until the answer is what the test waits for; gives up after ten seconds.
    pub async fn ask_until<Q: Message, A: Message>(
        &mut self,
        (api, version): (ApiKey, i16),
        request: &Q,
        wanted: impl Fn(&A) -> bool,
    ) -> A {
        let deadline = time::now() + Duration::from_secs(10);
        loop {
            let answer = self.ask(api, version, request).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(time::now() < deadline, "still {answer:?}");
            task::yield_now().await;
        }
    }
}
