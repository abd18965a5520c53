//! Requests that no client sends, made from the schemas: one field of a plain request spoiled at a time.
//!
//! Owns: plain values of fields, what is done to them, the bytes. Does not own: what a node must answer.
//!
//! | field | becomes |
//! |---|---|
//! | array | null, empty, the same element thrice, one that claims 2^31-1 elements |
//! | number | the ends of its type, and what often means something: -2, -1, 0, 1 |
//! | string | null, empty, 249 and 32 767 characters, paths, NUL, look-alikes, internal names, one that claims more than there is |
//! | bytes, records | null, empty, ones that claim 2^31-1 bytes |
//! | struct that may be null | null |
//! | tagged fields | 2^31-1 of them, unknown ones |
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482.

use crate::schema::{Field, Plain, Request, Type};

/// What plain requests are about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// A topic that is there.
    pub topic: String,
    pub topic_id: [u8; 16],
    /// A batch that may be written to it.
    pub records: Vec<u8>,
}

/// A request with one thing wrong.
#[derive(Clone, Debug)]
pub struct Spoiled {
    /// The field, and what was done to it.
    pub what: String,
    pub body: Vec<u8>,
}

/// What is done to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Edge {
    Null,
    Empty,
    /// So many times the same element.
    Times(u32),
    /// So many bytes or elements are claimed, and one is there.
    Claim(u32),
    Number(i64),
    Flag(bool),
    Text(String),
    Id([u8; 16]),
    /// Behind the last tagged field come so many unknown ones.
    UnknownTags(u32),
}

/// A place in a request where something can be done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Array,
    Plain(Plain),
    Struct,
    Tags,
}

/// Every plain request of this version with every edge of every field.
pub fn requests(request: &Request, version: i16, subject: &Subject) -> Vec<Spoiled> {
    let mut found = Vec::new();
    for lean in [false, true] {
        let plain = Writer::new((request, version), subject, lean).written();
        if lean && !plain.left_out {
            break;
        }
        for (number, (path, slot)) in plain.slots.iter().enumerate() {
            for edge in edges(*slot) {
                let mut writer = Writer::new((request, version), subject, lean);
                writer.group = format!("spoiled-{}-{version}-{number}-{}", request.name, found.len());
                writer.spoil = Some((number, edge.clone()));
                let written = writer.written();
                found.push(Spoiled { what: format!("{path}: {}", shown(&edge)), body: written.out });
            }
        }
    }
    found
}

/// For each array of this version a request in which its plain element stands so often that it has about `bytes`.
pub fn crowded(request: &Request, version: i16, (subject, bytes): (&Subject, usize)) -> Vec<Spoiled> {
    let written = |edge: Option<(usize, Edge)>| {
        let mut writer = Writer::new((request, version), subject, false);
        writer.spoil = edge;
        writer.written()
    };
    let plain = written(None);
    let arrays = plain.slots.iter().enumerate().filter(|(_, (_, slot))| *slot == Slot::Array);
    let crowd = |(number, (path, _)): (usize, &(String, Slot))| {
        let empty = written(Some((number, Edge::Empty))).out.len();
        let element = plain.out.len().saturating_sub(empty).max(1);
        let times = u32::try_from(bytes / element).unwrap_or(u32::MAX);
        let body = written(Some((number, Edge::Times(times)))).out;
        Spoiled { what: format!("{path}: {times} times"), body }
    };
    arrays.map(crowd).collect()
}

/// The plain request with so many unknown tagged fields at its end, each without bytes.
pub fn tagged(request: &Request, version: i16, (subject, count): (&Subject, u32)) -> Option<Spoiled> {
    let plain = Writer::new((request, version), subject, false).written();
    let last = plain.slots.iter().rposition(|(path, slot)| *slot == Slot::Tags && path == "tags")?;
    let mut writer = Writer::new((request, version), subject, false);
    writer.spoil = Some((last, Edge::UnknownTags(count)));
    Some(Spoiled { what: format!("{count} tagged fields"), body: writer.written().out })
}

/// The plain request itself.
pub fn plain(request: &Request, version: i16, subject: &Subject) -> Vec<u8> {
    Writer::new((request, version), subject, false).written().out
}

/// Longer texts are told by their length.
const SHOWN_LENGTH: usize = 40;

fn shown(edge: &Edge) -> String {
    if let Edge::Text(text) = edge
        && text.len() > SHOWN_LENGTH
    {
        return format!("{} characters", text.len());
    }
    format!("{edge:?}")
}

fn edges(slot: Slot) -> Vec<Edge> {
    const CLAIM: u32 = 0x7fff_ffff;
    match slot {
        Slot::Array => vec![Edge::Null, Edge::Empty, Edge::Times(3), Edge::Claim(CLAIM)],
        Slot::Struct => vec![Edge::Null],
        Slot::Tags => vec![Edge::Claim(CLAIM), Edge::UnknownTags(100)],
        Slot::Plain(Plain::Bool) => vec![Edge::Flag(false), Edge::Flag(true)],
        Slot::Plain(Plain::Int { bytes }) => numbers(bytes).into_iter().map(Edge::Number).collect(),
        Slot::Plain(Plain::Float64) => vec![Edge::Number(-1), Edge::Number(0)],
        Slot::Plain(Plain::Uuid) => vec![Edge::Id([0; 16]), Edge::Id([0xff; 16])],
        Slot::Plain(Plain::String) => {
            let texts = texts().into_iter().map(Edge::Text);
            [Edge::Null, Edge::Empty, Edge::Claim(CLAIM)].into_iter().chain(texts).collect()
        }
        Slot::Plain(Plain::Bytes | Plain::Records) => vec![Edge::Null, Edge::Empty, Edge::Claim(CLAIM)],
    }
}

/// The ends of a number of so many bytes, and what is next to them or often means something.
fn numbers(bytes: usize) -> Vec<i64> {
    let max = i64::MAX >> (64 - 8 * bytes);
    vec![-max - 1, -max, -2, -1, 0, 1, max - 1, max]
}

/// Names that are no names, or that mean something elsewhere.
pub fn texts() -> Vec<String> {
    let long = [249, 250, 32_767].map(|length| "x".repeat(length));
    let odd = [
        "..",
        ".",
        "../../etc/passwd",
        "a/b",
        "a\0b",
        "\u{0430}ttack",
        "__consumer_offsets",
        "a b",
        "%2e%2e",
    ];
    long.into_iter().chain(odd.map(str::to_owned)).collect()
}

/// A batch with one field of its header at an edge, and a checksum that says that it is right.
pub fn batches(valid: &[u8]) -> Vec<Spoiled> {
    const FIELDS: [(&str, usize, usize); 12] = [
        ("base offset", 0, 8),
        ("length", 8, 4),
        ("leader epoch", 12, 4),
        ("magic", 16, 1),
        ("attributes", 21, 2),
        ("last offset delta", 23, 4),
        ("base timestamp", 27, 8),
        ("max timestamp", 35, 8),
        ("producer id", 43, 8),
        ("producer epoch", 51, 2),
        ("base sequence", 53, 4),
        ("record count", 57, 4),
    ];
    let mut found = Vec::new();
    for (name, at, bytes) in FIELDS {
        for number in numbers(bytes) {
            // Of an idempotent producer or of none.
            for producer in [None, Some((7_i64, 0_i16, 0_i32))] {
                let mut batch = valid.to_vec();
                if let Some((id, epoch, sequence)) = producer {
                    put(&mut batch, 43, &id.to_be_bytes());
                    put(&mut batch, 51, &epoch.to_be_bytes());
                    put(&mut batch, 53, &sequence.to_be_bytes());
                }
                put(&mut batch, at, &number.to_be_bytes()[8 - bytes..]);
                let whose = producer.map_or("", |_| " of a producer");
                found.push(Spoiled { what: format!("{name}{whose}: {number}"), body: with_checksum(batch) });
            }
        }
    }
    found
}

/// The batch with the checksum of what stands in it.
pub fn with_checksum(mut batch: Vec<u8>) -> Vec<u8> {
    const CHECKSUM_AT: usize = 17;
    const COVERS_FROM: usize = 21;
    let covered = batch.get(COVERS_FROM..).unwrap_or_default();
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, covered);
    let sum = u32::try_from(sum).unwrap_or_default();
    put(&mut batch, CHECKSUM_AT, &sum.to_be_bytes());
    batch
}

fn put(batch: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = batch.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Plain numbers by field, where the default is not what a client would send.
const NUMBERS: &[(&str, i64)] = &[
    ("acks", -1),
    ("sessionTimeoutMs", 10_000),
    ("rebalanceTimeoutMs", 1_000),
    ("transactionTimeoutMs", 1_000),
    ("timeoutMs", 1_000),
    ("maxBytes", 100_000),
    ("partitionMaxBytes", 100_000),
    ("resourceType", 2),
    ("replicationFactor", 1),
    ("numPartitions", 1),
    ("count", 2),
    ("timestamp", -1),
    ("sessionEpoch", -1),
    ("generationId", -1),
    ("generationIdOrMemberEpoch", -1),
    ("endpointType", 1),
];

/// Plain texts by API ("" for any) and field.
const TEXTS: &[(&str, &str, &str)] = &[
    ("DeleteTopics", "name", "gone"),
    ("DeleteTopics", "topicNames", "gone"),
    ("AlterConfigs", "name", "retention.ms"),
    ("IncrementalAlterConfigs", "name", "retention.ms"),
    ("DescribeConfigs", "configurationKeys", "retention.ms"),
    ("JoinGroup", "name", "range"),
    ("UpdateFeatures", "feature", "metadata.version"),
    ("", "value", "1000"),
    ("", "protocolType", "consumer"),
    ("", "clientSoftwareName", "spoiled"),
    ("", "clientSoftwareVersion", "1.0"),
];

/// Fields that name a topic, and fields that name a group.
const TOPICS: [&str; 4] = ["topic", "name", "resourceName", "topicName"];
const GROUPS: [&str; 6] = ["groupId", "groups", "groupsNames", "coordinatorKeys", "key", "group"];

/// Arrays that change what the rest means: without them the other fields are looked at.
const OPTIONAL: [&str; 3] = ["assignments", "forgottenTopicsData", "configs"];

/// Writes one request, with something done to one of its slots.
struct Writer<'a> {
    request: &'a Request,
    version: i16,
    flexible: bool,
    subject: &'a Subject,
    lean: bool,
    /// Whether something was left out because the request is a lean one.
    left_out: bool,
    group: String,
    path: Vec<&'a str>,
    slots: Vec<(String, Slot)>,
    spoil: Option<(usize, Edge)>,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new((request, version): (&'a Request, i16), subject: &'a Subject, lean: bool) -> Writer<'a> {
        Writer {
            request,
            version,
            flexible: request.flexible.contains(version),
            subject,
            lean,
            left_out: false,
            group: "spoiled".to_owned(),
            path: Vec::new(),
            slots: Vec::new(),
            spoil: None,
            out: Vec::new(),
        }
    }

    fn written(mut self) -> Writer<'a> {
        let request = self.request;
        self.fields(&request.fields);
        self
    }

    /// What is done here, if it is here that something is done.
    fn slot(&mut self, slot: Slot) -> Option<Edge> {
        let number = self.slots.len();
        self.slots.push((self.path.join("."), slot));
        self.spoil.as_ref().filter(|(at, _)| *at == number).map(|(_, edge)| edge.clone())
    }

    fn fields(&mut self, fields: &'a [Field]) {
        let there = |field: &&Field| field.versions.contains(self.version);
        let all: Vec<&Field> = fields.iter().filter(there).collect();
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            all.into_iter().partition(|field| field.tag.is_some() && self.flexible);
        for field in plain.into_iter().filter(|field| field.tag.is_none()) {
            self.field(field);
        }
        if self.flexible {
            self.tags(tagged);
        }
    }

    fn tags(&mut self, mut tagged: Vec<&'a Field>) {
        self.path.push("tags");
        let edge = self.slot(Slot::Tags);
        self.path.pop();
        let unknown = if let Some(Edge::UnknownTags(count)) = edge { count } else { 0 };
        let known = u32::try_from(tagged.len()).unwrap_or(0);
        self.varint(if let Some(Edge::Claim(count)) = edge { count } else { known + unknown });
        tagged.sort_by_key(|field| field.tag);
        for field in tagged {
            self.varint(field.tag.unwrap_or(0));
            let before = std::mem::take(&mut self.out);
            self.field(field);
            let value = std::mem::replace(&mut self.out, before);
            self.varint(u32::try_from(value.len()).unwrap_or(0));
            self.out.extend(value);
        }
        for number in 0..unknown {
            self.varint(1_000 + number);
            self.varint(0);
        }
    }

    fn field(&mut self, field: &'a Field) {
        self.path.push(&field.name);
        if field.is_array {
            self.array(field);
        } else {
            self.element(field, field.nullable.contains(self.version));
        }
        self.path.pop();
    }

    fn array(&mut self, field: &'a Field) {
        let leave_out = self.lean && OPTIONAL.contains(&field.name.as_str());
        self.left_out |= leave_out;
        match self.slot(Slot::Array) {
            Some(Edge::Null) => self.count(None),
            Some(Edge::Empty) => self.count(Some(0)),
            Some(Edge::Times(times)) => {
                self.count(Some(times));
                let before = self.out.len();
                self.element(field, false);
                let element = self.out.get(before..).unwrap_or_default().to_vec();
                for _ in 1..times {
                    self.out.extend_from_slice(&element);
                }
            }
            Some(Edge::Claim(count)) => {
                self.count(Some(count));
                self.element(field, false);
            }
            _ if leave_out && field.nullable.contains(self.version) => self.count(None),
            _ if leave_out => self.count(Some(0)),
            _ => {
                self.count(Some(1));
                self.element(field, false);
            }
        }
    }

    fn element(&mut self, field: &'a Field, may_be_null: bool) {
        match &field.ty {
            Type::Plain(plain) => {
                let edge = self.slot(Slot::Plain(*plain));
                self.plain(field, *plain, edge);
            }
            Type::Struct(fields) => {
                if may_be_null {
                    let is_null = self.slot(Slot::Struct) == Some(Edge::Null);
                    self.out.push(if is_null { 0xff } else { 1 });
                    if is_null {
                        return;
                    }
                }
                self.fields(fields);
            }
        }
    }

    fn plain(&mut self, field: &Field, plain: Plain, edge: Option<Edge>) {
        match plain {
            Plain::Bool => {
                let plain = field.name == "validateOnly" || field.default.as_deref() == Some("true");
                let flag = if let Some(Edge::Flag(flag)) = edge { flag } else { plain };
                self.out.push(u8::from(flag));
            }
            Plain::Int { bytes } => {
                let number = if let Some(Edge::Number(number)) = edge { number } else { self.number(field) };
                self.out.extend(&number.to_be_bytes()[8 - bytes..]);
            }
            Plain::Float64 => self.out.extend([0; 8]),
            Plain::Uuid => {
                let named = if field.name == "topicId" { self.subject.topic_id } else { [0; 16] };
                self.out.extend(if let Some(Edge::Id(id)) = edge { id } else { named });
            }
            Plain::String => self.string(field, edge),
            Plain::Bytes | Plain::Records => {
                let records = if plain == Plain::Records { self.subject.records.clone() } else { Vec::new() };
                match edge {
                    Some(Edge::Null) => self.count(None),
                    Some(Edge::Empty) => self.count(Some(0)),
                    Some(Edge::Claim(count)) => self.count(Some(count)),
                    _ => {
                        self.count(u32::try_from(records.len()).ok());
                        self.out.extend(records);
                    }
                }
            }
        }
    }

    fn string(&mut self, field: &Field, edge: Option<Edge>) {
        let text = match edge {
            Some(Edge::Null) => None,
            Some(Edge::Empty) => Some(String::new()),
            Some(Edge::Text(text)) => Some(text),
            Some(Edge::Claim(_)) if !self.flexible => return self.out.extend(i16::MAX.to_be_bytes()),
            Some(Edge::Claim(count)) => return self.count(Some(count)),
            _ => self.text(field),
        };
        if self.flexible {
            self.count(text.as_ref().and_then(|text| u32::try_from(text.len()).ok()));
        } else {
            let length = text.as_ref().map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX));
            self.out.extend(length.to_be_bytes());
        }
        self.out.extend(text.unwrap_or_default().as_bytes());
    }

    /// The plain text of a field.
    fn text(&self, field: &Field) -> Option<String> {
        let name = field.name.as_str();
        let of_api = |(api, known, _): &&(&str, &str, &str)| {
            *known == name && (api.is_empty() || *api == self.request.name)
        };
        if let Some((.., text)) = TEXTS.iter().find(of_api) {
            return Some((*text).to_owned());
        }
        // Each topic that is made has a name of its own, as each group has.
        if GROUPS.contains(&name) || (self.request.name == "CreateTopics" && self.path == ["topics", "name"])
        {
            return Some(self.group.clone());
        }
        if TOPICS.contains(&name) {
            return Some(self.subject.topic.clone());
        }
        let may_be_null = field.nullable.contains(self.version);
        let default = field.default.as_deref().filter(|text| *text != "null");
        match default {
            None if may_be_null => None,
            text => Some(text.unwrap_or_default().to_owned()),
        }
    }

    /// The plain number of a field.
    fn number(&self, field: &Field) -> i64 {
        let known = NUMBERS.iter().find(|(name, _)| *name == field.name).map(|(_, number)| *number);
        let text = field.default.as_deref().unwrap_or("0");
        let default = match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        known.unwrap_or_else(|| default.unwrap_or(0))
    }

    fn count(&mut self, count: Option<u32>) {
        if self.flexible {
            self.varint(count.map_or(0, |count| count.saturating_add(1)));
        } else {
            let count = count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
            self.out.extend(count.to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.out.push(u8::try_from(value).unwrap_or(0));
    }
}
