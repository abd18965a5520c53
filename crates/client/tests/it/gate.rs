//! A gate between clients and a broker, at which a test loses, holds and changes requests and answers.
//!
//! Owns: the doors (each poses as one broker of the cluster), the rule of the test, the addresses in answers.
//! Does not own: what a client makes of it (the tests).
//!
//! A client that bootstraps at the gate stays behind it: brokers in Metadata and FindCoordinator answers get the
//! gate's addresses. The first door is the broker itself, the others are brokers 1001, 1002 … that lead nothing until
//! a rule says so; whatever goes through any door reaches the one broker there is.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use bytes::Bytes;
use ottla_protocol::messages::metadata_response::MetadataResponseBroker;
use ottla_protocol::messages::{FindCoordinatorResponse, MetadataResponse, RequestHeader, ResponseHeader};
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{ApiKey, Message, Reader};

/// Id of the broker that the second door poses as; further doors count up.
pub const SECOND_BROKER: i32 = 1001;

/// A request at the gate.
pub struct Asked {
    /// Which door it came to.
    pub door: usize,
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    /// How many requests of this API came before it.
    pub number: usize,
    body: Bytes,
}

impl Asked {
    /// The request itself.
    pub fn body<M: Message>(&self) -> M {
        M::decode(&mut Reader::new(&self.body), self.version).unwrap()
    }

    /// An answer in place of the broker's.
    pub fn answer<M: Message>(&self, body: &M) -> Fate {
        Fate::Answer(self.head().frame(body).unwrap())
    }

    fn head(&self) -> ReplyHead {
        ReplyHead { api: self.api, version: self.version, correlation_id: self.correlation_id }
    }
}

/// What happens to a request.
pub enum Fate {
    Pass,
    /// It does not arrive: the connection is cut before.
    Lose,
    /// It arrives, and its answer does not; the connection stays. The next request of the connection must not pass.
    Swallow,
    /// It arrives, and the connection is cut before the answer.
    LoseAnswer,
    /// It arrives once the gate is opened.
    Hold,
    /// The broker does not see it.
    Answer(Bytes),
    /// The bytes of the answer are changed on their way.
    Edit(fn(&mut Vec<u8>)),
}

type Rule = Box<dyn FnMut(&Asked) -> Fate + Send>;

struct Shared {
    broker: String,
    ports: Vec<u16>,
    rule: Mutex<(Rule, HashMap<ApiKey, usize>)>,
    open: (Mutex<bool>, Condvar),
    /// One end of every connection, to be cut when the gate goes.
    cut: Mutex<Vec<TcpStream>>,
}

/// See the module.
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// A gate with some doors in front of a broker.
    pub fn new(broker: &str, doors: usize, rule: impl FnMut(&Asked) -> Fate + Send + 'static) -> Gate {
        let listeners: Vec<TcpListener> =
            (0..doors).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
        let shared = Arc::new(Shared {
            broker: broker.to_owned(),
            ports,
            rule: Mutex::new((Box::new(rule), HashMap::new())),
            open: (Mutex::new(false), Condvar::new()),
            cut: Mutex::new(Vec::new()),
        });
        for (door, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for client in listener.incoming() {
                    let (client, shared) = (client.unwrap(), Arc::clone(&shared));
                    thread::spawn(move || shared.serve(door, &client));
                }
            });
        }
        Gate { shared }
    }

    /// Where clients bootstrap.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.shared.ports[0])
    }

    /// The port of a door.
    pub fn port(&self, door: usize) -> u16 {
        self.shared.ports[door]
    }

    /// Lets pass what is held, now and from now on.
    pub fn open(&self) {
        *self.shared.open.0.lock().unwrap() = true;
        self.shared.open.1.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
        for one in self.shared.cut.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = one.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Serves one connection until either side ends it or the rule cuts it.
    fn serve(&self, door: usize, client: &TcpStream) {
        // However it ended, the client shall notice.
        let _ = self.pass_on(door, client);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn pass_on(&self, door: usize, mut client: &TcpStream) -> io::Result<()> {
        let mut broker = TcpStream::connect(&self.broker)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        self.cut.lock().unwrap().extend([client.try_clone()?, broker.try_clone()?]);
        loop {
            let frame = read_frame(&mut client)?;
            let (asked, fate) = self.judge(door, &frame);
            match &fate {
                Fate::Lose => return Ok(()),
                Fate::Answer(answer) => {
                    client.write_all(answer)?;
                    continue;
                }
                Fate::Hold => self.wait_until_open(),
                Fate::Pass | Fate::Swallow | Fate::LoseAnswer | Fate::Edit(_) => {}
            }
            write_frame(&mut broker, &frame)?;
            let mut answer = read_frame(&mut broker)?;
            match fate {
                Fate::LoseAnswer => return Ok(()),
                Fate::Swallow => continue,
                Fate::Edit(edit) => edit(&mut answer),
                Fate::Pass | Fate::Hold | Fate::Lose | Fate::Answer(_) => {}
            }
            client.write_all(&self.under_our_addresses(&asked, answer))?;
        }
    }

    fn judge(&self, door: usize, frame: &[u8]) -> (Asked, Fate) {
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (api, version) = (ApiKey::from_number(number(0)).unwrap(), number(2));
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader, api.request_header_version(version)).unwrap();
        let body = Bytes::copy_from_slice(&frame[frame.len() - reader.remaining()..]);
        let (rule, numbers) = &mut *self.rule.lock().unwrap();
        let next = numbers.entry(api).or_default();
        let correlation_id = header.correlation_id;
        let asked = Asked { door, api, version, correlation_id, number: *next, body };
        *next += 1;
        let fate = rule(&asked);
        (asked, fate)
    }

    fn wait_until_open(&self) {
        let (lock, condition) = &self.open;
        drop(condition.wait_while(lock.lock().unwrap(), |open| !*open).unwrap());
    }

    /// The whole frame of an answer, with the gate's addresses where the broker names its own.
    fn under_our_addresses(&self, asked: &Asked, answer: Vec<u8>) -> Vec<u8> {
        let head = asked.head();
        let mut reader = Reader::new(&answer);
        let header_version = asked.api.response_header_version(asked.version);
        ResponseHeader::decode(&mut reader, header_version).unwrap();
        let port = |door: usize| i32::from(self.ports[door]);
        let ours = || "127.0.0.1".to_owned();
        if asked.api == ApiKey::Metadata {
            let mut said = MetadataResponse::decode(&mut reader, asked.version).unwrap();
            for broker in &mut said.brokers {
                (broker.host, broker.port) = (ours(), port(0));
            }
            let others = (SECOND_BROKER..).zip(1..self.ports.len());
            said.brokers.extend(others.map(|(node_id, door)| MetadataResponseBroker {
                node_id,
                host: ours(),
                port: port(door),
                rack: None,
            }));
            // Below whatever epoch a rule may name with another leader.
            for partition in said.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.leader_epoch -= 1;
            }
            return head.frame(&said).unwrap().to_vec();
        }
        if asked.api == ApiKey::FindCoordinator {
            let mut said = FindCoordinatorResponse::decode(&mut reader, asked.version).unwrap();
            // Newer versions have a list, older ones a single coordinator.
            if !said.host.is_empty() {
                (said.host, said.port) = (ours(), port(0));
            }
            for coordinator in &mut said.coordinators {
                (coordinator.host, coordinator.port) = (ours(), port(0));
            }
            return head.frame(&said).unwrap().to_vec();
        }
        let mut frame = u32::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(answer);
        frame
    }
}

/// What stands behind the length.
fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(to: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    to.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())?;
    to.write_all(frame)
}
