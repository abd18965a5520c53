//! One of the two brokers: its connections, and what comes over them.
//!
//! Owns: sockets, correlation ids, from bytes to JSON. Does not own: what is asked (`script`), what may differ (`normal`).
//!
//! Invariants
//! - I1 `waiting` has the requests without an answer of its connection, oldest first.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ottla_protocol::codec::MessageInfo;
use ottla_protocol::codec::json::Tags;
use ottla_protocol::messages::ResponseHeader;
use ottla_protocol::{ApiKey, Message, Reader, Writer};
use serde_json::{Value, json};

use crate::batches;
use crate::encode;
use crate::schema;
use crate::script::{Request, Spoil};

/// How long an answer is awaited. Longer than any time a flow lets a broker wait.
const PATIENCE: Duration = Duration::from_secs(12);
/// Longest frame that is read: more than any flow makes.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answer(Value),
    /// The connection was closed.
    Closed,
    /// Nothing came.
    Silence,
    /// Nothing was to come.
    Nothing,
}

/// Where a broker is and what it is called in its answers.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: &'static str,
    pub port: u16,
    pub controller_port: u16,
    pub directory: String,
}

struct Waiting {
    key: i16,
    version: i16,
    correlation_id: i32,
}

struct Connection {
    stream: TcpStream,
    correlation_id: i32,
    waiting: VecDeque<Waiting>,
}

/// The connections to one broker during one sequence.
pub struct Broker<'a> {
    pub place: &'a Place,
    schemas: &'a BTreeMap<i16, schema::Request>,
    connections: BTreeMap<u8, Connection>,
}

impl<'a> Broker<'a> {
    pub fn new(place: &'a Place, schemas: &'a BTreeMap<i16, schema::Request>) -> Broker<'a> {
        Broker { place, schemas, connections: BTreeMap::new() }
    }

    fn connection(&mut self, on: u8) -> Result<&mut Connection, String> {
        if !self.connections.contains_key(&on) {
            let failed = |error| format!("cannot connect to {}: {error}", self.place.name);
            let stream = TcpStream::connect(("127.0.0.1", self.place.port)).map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let correlation_id = i32::from(on) * 1000;
            self.connections.insert(on, Connection { stream, correlation_id, waiting: VecDeque::new() });
        }
        self.connections.get_mut(&on).ok_or_else(|| "there is no connection".to_owned())
    }

    /// Sends a request whose names and kept values are filled in. That the broker closed the connection shows when the
    /// answer is awaited.
    pub fn send(&mut self, on: u8, request: &Request) -> Result<(), String> {
        let schema = self.schemas.get(&request.key);
        let flexible = schema.is_some_and(|schema| schema.flexible.contains(request.version));
        let mut body = match schema {
            Some(schema) => encode::body(schema, request.version, &request.body)?,
            None => Vec::new(),
        };
        spoil(&mut body, request.spoil);
        let connection = self.connection(on)?;
        connection.correlation_id += 1;
        let (key, version, correlation_id) = (request.key, request.version, connection.correlation_id);
        let frame = encode::frame(key, (version, flexible), correlation_id, &body);
        // A connection that the other side has closed is found out at the next receive.
        let _ = connection.stream.write_all(&frame);
        if !is_never_answered(request) {
            connection.waiting.push_back(Waiting { key, version, correlation_id });
        }
        Ok(())
    }

    /// The answer to the oldest request of a connection.
    pub fn receive(&mut self, on: u8) -> Result<Outcome, String> {
        let connection = self.connection(on)?;
        let Some(waiting) = connection.waiting.pop_front() else { return Ok(Outcome::Nothing) };
        let outcome = match read_frame(&mut connection.stream, PATIENCE) {
            Ok(frame) => Outcome::Answer(decode(&waiting, &frame)),
            Err(outcome) => outcome,
        };
        if !matches!(outcome, Outcome::Answer(_)) {
            self.connections.remove(&on);
        }
        Ok(outcome)
    }

    /// Sends bytes, and ends the connection after what comes back.
    pub fn raw(&mut self, on: u8, bytes: &[u8]) -> Result<Outcome, String> {
        let connection = self.connection(on)?;
        let _ = connection.stream.write_all(bytes);
        let outcome = match read_frame(&mut connection.stream, Duration::from_millis(300)) {
            Ok(frame) => Outcome::Answer(json!({ "hex": encode::hex(&frame) })),
            Err(outcome) => outcome,
        };
        self.connections.remove(&on);
        Ok(outcome)
    }

    pub fn close(&mut self, on: u8) {
        self.connections.remove(&on);
    }

    /// Sends a request on a connection of its own kind and gives its answer, for what is not compared.
    pub fn ask(&mut self, on: u8, (key, version): (ApiKey, i16), body: Value) -> Result<Value, String> {
        let request = Request { key: key.number(), version, body, spoil: None };
        self.send(on, &request)?;
        match self.receive(on)? {
            Outcome::Answer(answer) => Ok(answer),
            other @ (Outcome::Closed | Outcome::Silence | Outcome::Nothing) => {
                Err(format!("{} gave {other:?} to {}", self.place.name, key.name()))
            }
        }
    }
}

fn is_never_answered(request: &Request) -> bool {
    let acks = request.body.get("acks").and_then(Value::as_i64);
    request.key == ApiKey::Produce.number() && acks == Some(0) && request.spoil.is_none()
}

fn spoil(body: &mut Vec<u8>, spoil: Option<Spoil>) {
    match spoil {
        None => {}
        Some(Spoil::Cut(count)) => body.truncate(body.len().saturating_sub(count)),
        Some(Spoil::Extend(count)) => body.extend(vec![7; count]),
        Some(Spoil::Flip { at, with }) => {
            let length = body.len().max(1);
            if let Some(byte) = body.get_mut(at % length) {
                *byte ^= with;
            }
        }
    }
}

/// The payload of the next frame.
fn read_frame(stream: &mut TcpStream, patience: Duration) -> Result<Vec<u8>, Outcome> {
    let until = Instant::now() + patience;
    let mut length = [0; 4];
    read_exactly(stream, &mut length, until)?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let Some(length) = length else { return Err(Outcome::Answer(json!({ "badLength": true }))) };
    let mut payload = vec![0; length];
    read_exactly(stream, &mut payload, until)?;
    Ok(payload)
}

fn read_exactly(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> Result<(), Outcome> {
    let mut filled = 0;
    while filled < buffer.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(Outcome::Silence);
        }
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(Outcome::Closed),
            Ok(count) => filled += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Err(Outcome::Closed),
        }
    }
    Ok(())
}

/// An answer as JSON. What is wrong with its bytes becomes a field of it, so that it is compared too.
fn decode(waiting: &Waiting, frame: &[u8]) -> Value {
    let unreadable = |what: String| json!({ "unreadable": what, "hex": encode::hex(frame) });
    let Some(api) = ApiKey::from_number(waiting.key) else { return unreadable("no such API".to_owned()) };
    let Some(info) = MessageInfo::by_name(&format!("{}Response", api.name())) else {
        return unreadable("no such response".to_owned());
    };
    // ApiVersions of a version that the broker does not know is answered in version 0.
    let version = if info.versions().contains(&waiting.version) { waiting.version } else { 0 };
    let mut reader = Reader::new(frame);
    let header = match ResponseHeader::decode(&mut reader, api.response_header_version(version)) {
        Ok(header) => header,
        Err(error) => return unreadable(error.to_string()),
    };
    let body = reader.position();
    let message = match (info.decode)(&mut reader, version) {
        Ok(message) => message,
        Err(error) => return unreadable(error.to_string()),
    };
    let text = message.to_json(version, Tags::NonDefault).unwrap_or_default();
    let mut json: Value = serde_json::from_str(&text).unwrap_or_else(|error| json!(error.to_string()));
    let mut again = Writer::new();
    let is_same = message.encode(&mut again, version).is_ok() && Some(again.as_slice()) == frame.get(body..);
    if let Some(fields) = json.as_object_mut() {
        if header.correlation_id != waiting.correlation_id {
            fields.insert(
                "wrongCorrelationId".to_owned(),
                json!(header.correlation_id - waiting.correlation_id),
            );
        }
        if reader.remaining() > 0 {
            fields.insert("bytesLeft".to_owned(), json!(reader.remaining()));
        } else if !is_same {
            fields.insert("isWrittenOtherwise".to_owned(), json!(true));
        }
    }
    show_batches(&mut json);
    json
}

/// Records become batches that can be compared field by field.
fn show_batches(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "records" => *value = batches::view(&unbase64(text)),
                    Some(_) | None => show_batches(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(show_batches),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for character in text.bytes() {
        let Some(digit) = DIGITS.iter().position(|known| *known == character) else { break };
        bits = bits << 6 | u32::try_from(digit).unwrap_or(0);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    bytes
}
