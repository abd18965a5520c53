//! Produce (API key 0) without copies: requests as ranges of the read buffer, responses written in one go.
//!
//! Owns: the layout of both in versions 3 to 13.
//! Does not own: what is in the records (`record`), what an append answers (`storage`, `replication`).
//!
//! Ranges, not slices, because the leader patches the batches in the same buffer before it writes them to the log.
//!
//! | version | request                        | response                                                       |
//! |---------|--------------------------------|----------------------------------------------------------------|
//! | 3       | transactional id               | name, index, error, base offset, append time; throttle at the end |
//! | 5       |                                | log start offset                                               |
//! | 8       |                                | record errors, error message                                   |
//! | 9       | flexible                       | flexible                                                       |
//! | 10      |                                | current leader (tag 0), node endpoints (tag 0)                 |
//! | 13      | topic id in place of the name  | topic id in place of the name                                  |
//!
//! Source: Kafka protocol guide, Produce; KIP-98, KIP-467, KIP-516, KIP-951; requirements PRD-02, PRD-14, PRD-18,
//! TRAP-33.

use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use ottla_model::{LeaderEpoch, Offset, Timestamp, Uuid};

use crate::codec::{DecodeError, EncodeError, Reader, Sink, Writer};
use crate::error_code::ErrorCode;
use crate::record::{BatchHeader, RecordRefusal};
use crate::reply::{self, ReplyHead};

const FIRST_FLEXIBLE: i16 = 9;
const FIRST_WITH_TOPIC_ID: i16 = 13;

/// A Produce request as ranges of its frame. Reuse one per connection: its lists keep their memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceRequestView {
    transactional_id: Option<Range<u32>>,
    acks: i16,
    timeout_ms: i32,
    topics: Vec<Topic>,
    partitions: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    label: Label,
    /// Which of the request's partitions are its.
    partitions: Range<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    Name(Range<u32>),
    Id(Uuid),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Partition {
    index: i32,
    records: Option<Range<u32>>,
}

/// What a request or a response calls a topic: its name up to version 12, its id from version 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicLabel<'a> {
    Name(&'a str),
    Id(Uuid),
}

/// One topic of a request.
#[derive(Clone, Copy, Debug)]
pub struct ProduceTopic<'a> {
    pub label: TopicLabel<'a>,
    partitions: &'a [Partition],
}

/// One partition of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducePartition {
    /// As the client sent it; may be negative.
    pub index: i32,
    /// Where the batch lies in the frame; `None` is null.
    pub records: Option<Range<usize>>,
}

impl ProduceRequestView {
    /// Reads the body that begins at `body` in `frame`. Bytes behind the request are ignored (WIRE-11).
    pub fn decode(&mut self, frame: &[u8], body: usize, version: i16) -> Result<(), DecodeError> {
        self.topics.clear();
        self.partitions.clear();
        let mut reader = Reader::new(frame);
        reader.take(body)?;
        let r = &mut reader;
        r.set_flexible(version >= FIRST_FLEXIBLE);
        self.transactional_id = r.nullable_str()?.map(|text| range_before(r, text.len()));
        self.acks = r.i16()?;
        self.timeout_ms = r.i32()?;
        for _ in 0..r.count()? {
            self.read_topic(r, version)?;
        }
        r.skip_tags()
    }

    fn read_topic(&mut self, r: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
        let label = if version >= FIRST_WITH_TOPIC_ID {
            Label::Id(r.uuid()?)
        } else {
            let length = r.str()?.len();
            Label::Name(range_before(r, length))
        };
        let first = position(self.partitions.len());
        for _ in 0..r.count()? {
            let index = r.i32()?;
            let records = r.nullable_slice()?.map(<[u8]>::len).map(|length| range_before(r, length));
            r.skip_tags()?;
            // The lists may double as they grow.
            r.charge(2, size_of::<Partition>())?;
            self.partitions.push(Partition { index, records });
        }
        r.skip_tags()?;
        r.charge(2, size_of::<Topic>())?;
        self.topics.push(Topic { label, partitions: first..position(self.partitions.len()) });
        Ok(())
    }

    /// The transactional id, `None` where it is null.
    pub fn transactional_id<'a>(&self, frame: &'a [u8]) -> Option<&'a str> {
        text(frame, self.transactional_id.as_ref()?)
    }

    /// −1, 0 or 1 if the client is right (PRD-01).
    pub fn acks(&self) -> i16 {
        self.acks
    }

    /// How long the leader may wait for other replicas.
    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// How many topics the request has.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions the request has in all.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The topics in the order of the request. `frame` is what was decoded.
    pub fn topics<'a>(&'a self, frame: &'a [u8]) -> impl ExactSizeIterator<Item = ProduceTopic<'a>> {
        self.topics.iter().map(move |topic| ProduceTopic {
            label: match &topic.label {
                Label::Name(name) => TopicLabel::Name(text(frame, name).unwrap_or_default()),
                Label::Id(id) => TopicLabel::Id(*id),
            },
            partitions: self.partitions.get(wide(&topic.partitions)).unwrap_or(&[]),
        })
    }

    /// Who wrote the first batch of each partition: what decides about permissions (PRD-02). Bytes that are no batch
    /// have no writer.
    pub fn authorship(&self, frame: &[u8]) -> Authorship {
        let mut found = Authorship::default();
        for records in self.partitions.iter().filter_map(|partition| partition.records.as_ref()) {
            let records = frame.get(wide(records)).unwrap_or_default();
            found.shapeless = found.shapeless.or_else(|| shapeless(records));
            if let Ok(header) = BatchHeader::parse(records) {
                found.transactional |= header.attributes.is_transactional();
                found.idempotent |= header.producer_id.is_some();
            }
        }
        found
    }
}

impl<'a> ProduceTopic<'a> {
    /// The partitions in the order of the request.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = ProducePartition> + use<'a> {
        self.partitions.iter().map(|partition| ProducePartition {
            index: partition.index,
            records: partition.records.as_ref().map(wide),
        })
    }
}

/// What kinds of producers a request has batches of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authorship {
    pub transactional: bool,
    /// With a producer id; transactional batches have one too.
    pub idempotent: bool,
    /// The first batch that cannot be told from anything else.
    pub shapeless: Option<Shapeless>,
}

/// What no batch has: it cannot be told where such a one ends, or how to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shapeless {
    #[error("Record size {0} is less than the minimum record overhead ({COUNTED_BYTES_MIN})")]
    Length(i32),
    #[error("Invalid magic found in record: {0}")]
    Magic(i8),
}

/// Fewest bytes that a batch of any magic counts in its length.
const COUNTED_BYTES_MIN: i32 = 14;
/// Magics there are.
const MAGICS: RangeInclusive<i8> = 0..=2;

/// What is wrong with how bytes begin, if there are enough of them to tell.
fn shapeless(records: &[u8]) -> Option<Shapeless> {
    let length = i32::from_be_bytes(records.get(8..12)?.try_into().ok()?);
    if length < COUNTED_BYTES_MIN {
        return Some(Shapeless::Length(length));
    }
    let magic = records.get(16)?.cast_signed();
    (!MAGICS.contains(&magic)).then_some(Shapeless::Magic(magic))
}

/// The bytes that were read last.
fn range_before(r: &Reader<'_>, length: usize) -> Range<u32> {
    position(r.position() - length)..position(r.position())
}

/// Positions in a frame fit: its size is an i32.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn wide(range: &Range<u32>) -> Range<usize> {
    let usize_of = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    usize_of(range.start)..usize_of(range.end)
}

fn text<'a>(frame: &'a [u8], range: &Range<u32>) -> Option<&'a str> {
    std::str::from_utf8(frame.get(wide(range))?).ok()
}

/// What is answered for one partition.
#[derive(Clone, Copy, Debug)]
pub struct ProduceOutcome<'a> {
    pub index: i32,
    pub error: ErrorCode,
    /// Offset of the first record; `None` on errors.
    pub base_offset: Option<Offset>,
    /// The leader's clock, on topics of log append time.
    pub log_append_time: Option<Timestamp>,
    /// Where the log begins, if the log was asked.
    pub log_start: Option<Offset>,
    pub record_errors: &'a [RecordRefusal],
    pub error_message: Option<&'a str>,
    /// Who leads instead of us (KIP-951).
    pub current_leader: Option<CurrentLeader>,
}

impl ProduceOutcome<'_> {
    /// An error that needs no more words.
    pub fn refused(index: i32, error: ErrorCode) -> ProduceOutcome<'static> {
        ProduceOutcome {
            index,
            error,
            base_offset: None,
            log_append_time: None,
            log_start: None,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        }
    }
}

/// The leader of a partition, for clients that asked another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// −1 where there is none.
    pub leader_id: i32,
    /// `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Where to find a node that a response names as leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

/// Writes a Produce response topic by topic, in the order of the request.
pub struct ProduceResponseWriter {
    writer: Writer,
    version: i16,
    topics_left: usize,
    partitions_left: usize,
}

impl ProduceResponseWriter {
    /// Begins the response to `head` with so many topics.
    pub fn new(head: ReplyHead, topics: usize) -> ProduceResponseWriter {
        let mut writer = head.begin(topics.saturating_mul(80));
        writer.put_count("responses", Some(topics));
        ProduceResponseWriter { writer, version: head.version, topics_left: topics, partitions_left: 0 }
    }

    /// Begins a topic with so many partitions.
    pub fn topic(&mut self, label: TopicLabel<'_>, partitions: usize) {
        assert!(self.topics_left > 0 && self.partitions_left == 0, "topics and partitions as announced");
        self.topics_left -= 1;
        self.partitions_left = partitions;
        put_topic_label(&mut self.writer, label, self.version >= FIRST_WITH_TOPIC_ID);
        self.writer.put_count("partitionResponses", Some(partitions));
        if partitions == 0 {
            self.writer.put_no_tags();
        }
    }

    /// Writes the next partition of the topic.
    pub fn partition(&mut self, outcome: &ProduceOutcome<'_>) {
        assert!(self.partitions_left > 0, "partitions as announced");
        self.partitions_left -= 1;
        let w = &mut self.writer;
        w.put_i32(outcome.index);
        w.put_i16(outcome.error.number());
        w.put_i64(outcome.base_offset.map_or(-1, Offset::value));
        w.put_i64(outcome.log_append_time.map_or(-1, Timestamp::millis));
        if self.version >= 5 {
            w.put_i64(outcome.log_start.map_or(-1, Offset::value));
        }
        if self.version >= 8 {
            w.put_count("recordErrors", Some(outcome.record_errors.len()));
            for error in outcome.record_errors {
                w.put_i32(error.batch_index);
                w.put_str("batchIndexErrorMessage", Some(&error.message));
                w.put_no_tags();
            }
            w.put_str("errorMessage", outcome.error_message);
        }
        let leader = outcome.current_leader.filter(|leader| self.version >= 10 && leader.is_known());
        w.open_tags();
        if let Some(leader) = leader
            && w.open_tag(0, true)
        {
            leader.put(w);
            w.close_tag();
        }
        w.close_tags(&[]);
        if self.partitions_left == 0 {
            w.put_no_tags();
        }
    }

    /// Ends the response; the frame is ready to be sent. `endpoints` are left out before version 10.
    pub fn finish(mut self, throttle_ms: i32, endpoints: &[NodeEndpoint<'_>]) -> Result<Bytes, EncodeError> {
        assert!(self.topics_left == 0 && self.partitions_left == 0, "topics and partitions as announced");
        self.writer.put_i32(throttle_ms);
        put_endpoints(&mut self.writer, if self.version >= 10 { endpoints } else { &[] });
        self.writer.take_error()?;
        let mut frame = self.writer.into_vec();
        reply::seal(&mut frame, 0)?;
        Ok(Bytes::from(frame))
    }
}

impl CurrentLeader {
    /// Whether there is anything to say: unknown values are the field's default, which is not written.
    pub(crate) fn is_known(&self) -> bool {
        self.leader_id != -1 || self.leader_epoch.is_some()
    }

    pub(crate) fn put(self, w: &mut Writer) {
        w.put_i32(self.leader_id);
        w.put_i32(self.leader_epoch.map_or(-1, LeaderEpoch::value));
        w.put_no_tags();
    }
}

/// A topic's name or, where the version says so, its id. A label of the other kind is written as the empty value.
pub(crate) fn put_topic_label(w: &mut Writer, label: TopicLabel<'_>, by_id: bool) {
    match label {
        TopicLabel::Name(name) if !by_id => w.put_str("name", Some(name)),
        TopicLabel::Id(id) if by_id => w.put_uuid(id),
        TopicLabel::Name(_) => w.put_uuid(Uuid::ZERO),
        TopicLabel::Id(_) => w.put_str("name", Some("")),
    }
}

/// The tagged fields of a response: the endpoints under tag 0, if there are any.
pub(crate) fn put_endpoints(w: &mut Writer, endpoints: &[NodeEndpoint<'_>]) {
    w.open_tags();
    if w.open_tag(0, !endpoints.is_empty()) {
        w.put_count("nodeEndpoints", Some(endpoints.len()));
        for endpoint in endpoints {
            w.put_i32(endpoint.node_id);
            w.put_str("host", Some(endpoint.host));
            w.put_i32(endpoint.port);
            w.put_str("rack", endpoint.rack);
            w.put_no_tags();
        }
        w.close_tag();
    }
    w.close_tags(&[]);
}
