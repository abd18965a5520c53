//! Frames that are built once and sent many times.
//!
//! Owns: batches of the benchmark's records, the Produce and Fetch frames around them, the places that change between
//! two sends, what is read of an answer. Does not own: the encoding of messages and batches (`ottla-protocol`), sockets.
//!
//! Produce goes out in version 8 and Fetch in version 11: the last ones without compact forms, so that the few fields
//! that change, or that are looked at in an answer, lie at fixed places.

use ottla_model::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::compression::Encoding;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{ApiKey, FetchRequest, ProduceRequest, RequestHeader};
use ottla_protocol::record::{BatchBuilder, BatchMut, BatchOptions, BatchProducer, NewRecord};
use ottla_protocol::{Message, Writer};

use crate::Fallible;

pub const PRODUCE_VERSION: i16 = 8;
pub const FETCH_VERSION: i16 = 11;

/// The topic that every load uses.
pub const TOPIC: &str = "bench";

/// What the driver calls itself.
const CLIENT_ID: &str = "ottla-bench";

/// Where the correlation id stands in a request: behind size, API key and version.
const CORRELATION_AT: usize = 8;

/// How long a leader may wait for its followers.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// Bytes between the front of a Produce answer (behind its size) and the topic's name: correlation id, count of topics,
/// length of the name.
const ANSWER_TO_NAME: usize = 4 + 4 + 2;

/// A batch as it is sent again and again.
#[derive(Clone, Debug)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub records: u32,
    /// Bytes of the batch, were it not compressed.
    pub unpacked_bytes: usize,
}

impl Batch {
    /// As many records with values of `record_bytes` as `batch_bytes` hold, at least one.
    pub fn filled(record_bytes: usize, batch_bytes: usize, encoding: Encoding) -> Fallible<Batch> {
        let mut builder = BatchBuilder::new(BatchOptions { encoding, ..BatchOptions::default() })?;
        let mut text = Text::default();
        loop {
            let value = text.value(record_bytes);
            let record = NewRecord { timestamp: wall_now(), key: None, value: Some(&value), headers: &[] };
            if builder.record_count() > 0 && builder.unpacked_bytes_with(&record) > batch_bytes {
                break;
            }
            builder.append(record)?;
        }
        Batch::of(builder)
    }

    /// `records` records, each with a key of its own.
    pub fn keyed(record_bytes: usize, records: u32, producer: usize) -> Fallible<Batch> {
        let mut builder = BatchBuilder::new(BatchOptions::default())?;
        let mut text = Text::default();
        for number in 0..records {
            let (key, value) = (format!("producer-{producer}-{number}"), text.value(record_bytes));
            let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
            builder.append(NewRecord { timestamp: wall_now(), key, value, headers: &[] })?;
        }
        Batch::of(builder)
    }

    fn of(builder: BatchBuilder) -> Fallible<Batch> {
        let (records, unpacked_bytes) = (builder.record_count(), builder.unpacked_bytes());
        Ok(Batch { bytes: builder.finish()?, records, unpacked_bytes })
    }
}

/// Values that look like the JSON of a log line: they compress as such do.
struct Text {
    state: u64,
    line: Vec<u8>,
}

impl Default for Text {
    fn default() -> Text {
        Text { state: 0x9e37_79b9_7f4a_7c15, line: Vec::new() }
    }
}

impl Text {
    fn value(&mut self, bytes: usize) -> Vec<u8> {
        while self.line.len() < bytes {
            let (user, took, path) = (self.next() % 100_000, self.next() % 5_000, self.next() % 40);
            let line = format!(
                "{{\"time\":\"2026-11-27T10:{:02}:{:02}Z\",\"level\":\"INFO\",\"user\":{user},\"took_us\":{took},\
                 \"path\":\"/api/v1/resource/{path}\"}}",
                self.next() % 60,
                self.next() % 60,
            );
            self.line.extend_from_slice(line.as_bytes());
        }
        self.line.drain(..bytes).collect()
    }

    /// Xorshift: the same values in every run.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

/// A Produce request with one batch for one partition.
#[derive(Clone, Debug)]
pub struct ProduceFrame {
    pub bytes: Vec<u8>,
    batch_at: usize,
    pub records: u32,
    pub batch_bytes: usize,
    sequence: u32,
}

impl ProduceFrame {
    pub fn new(partition: i32, acks: i16, batch: &Batch) -> Fallible<ProduceFrame> {
        let records = Some(bytes::Bytes::from(batch.bytes.clone()));
        let partition_data = vec![PartitionProduceData { index: partition, records }];
        let topic_data =
            vec![TopicProduceData { name: TOPIC.to_owned(), partition_data, ..TopicProduceData::default() }];
        let request =
            ProduceRequest { transactional_id: None, acks, timeout_ms: PRODUCE_TIMEOUT_MS, topic_data };
        let bytes = frame(ApiKey::Produce, PRODUCE_VERSION, &request)?;
        let batch_at = bytes.len() - batch.bytes.len();
        Ok(ProduceFrame {
            bytes,
            batch_at,
            records: batch.records,
            batch_bytes: batch.bytes.len(),
            sequence: 0,
        })
    }

    pub fn set_correlation(&mut self, correlation: i32) {
        set_correlation(&mut self.bytes, correlation);
    }

    /// Makes the batch the next one of an idempotent producer; the checksum is computed anew.
    pub fn set_next_sequence(&mut self, id: ProducerId, epoch: ProducerEpoch) -> Fallible<()> {
        let base_sequence = Sequence::new(i32::try_from(self.sequence)?);
        let mut batch = BatchMut::parse(&mut self.bytes[self.batch_at..])?;
        batch.set_producer(BatchProducer { id, epoch, base_sequence });
        self.sequence = self.sequence.wrapping_add(self.records) & 0x7fff_ffff;
        Ok(())
    }
}

/// A Fetch request of one partition, without a session.
#[derive(Clone, Debug)]
pub struct FetchFrame {
    pub bytes: Vec<u8>,
}

/// What a fetch asks for.
#[derive(Clone, Copy, Debug)]
pub struct FetchWish {
    pub partition: i32,
    pub wait_ms_max: i32,
    pub bytes_max: i32,
}

/// Bytes behind the offset in a Fetch request of version 11 with one partition: log start, bytes of the partition,
/// forgotten topics, rack.
const BEHIND_FETCH_OFFSET: usize = 8 + 4 + 4 + 2;

impl FetchFrame {
    pub fn new(wish: FetchWish) -> Fallible<FetchFrame> {
        let partitions = vec![FetchPartition {
            partition: wish.partition,
            partition_max_bytes: wish.bytes_max,
            ..FetchPartition::default()
        }];
        let topics = vec![FetchTopic { topic: TOPIC.to_owned(), partitions, ..FetchTopic::default() }];
        let request = FetchRequest {
            max_wait_ms: wish.wait_ms_max,
            min_bytes: 1,
            max_bytes: wish.bytes_max,
            topics,
            ..FetchRequest::default()
        };
        Ok(FetchFrame { bytes: frame(ApiKey::Fetch, FETCH_VERSION, &request)? })
    }

    pub fn set(&mut self, correlation: i32, offset: i64) {
        set_correlation(&mut self.bytes, correlation);
        let at = self.bytes.len() - BEHIND_FETCH_OFFSET - 8;
        self.bytes[at..at + 8].copy_from_slice(&offset.to_be_bytes());
    }
}

fn set_correlation(frame: &mut [u8], correlation: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
}

/// A request with its header and its size in front.
pub fn frame<M: Message>(api: ApiKey, version: i16, body: &M) -> Fallible<Vec<u8>> {
    let header = RequestHeader {
        request_api_key: api.number(),
        request_api_version: version,
        correlation_id: 0,
        client_id: Some(CLIENT_ID.to_owned()),
    };
    let mut writer = Writer::new();
    writer.put_i32(0);
    header.encode(&mut writer, api.request_header_version(version))?;
    body.encode(&mut writer, version)?;
    let mut bytes = writer.into_vec();
    let size = i32::try_from(bytes.len() - 4)?;
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    Ok(bytes)
}

/// The error code in an answer to a [`ProduceFrame`], and the offset of its batch. The size is not part of `answer`.
pub fn produced(answer: &[u8]) -> Fallible<i64> {
    let at = ANSWER_TO_NAME + TOPIC.len() + 4 + 4;
    let error = i16::from_be_bytes(fixed(answer, at)?);
    let offset = i64::from_be_bytes(fixed(answer, at + 2)?);
    if error == 0 { Ok(offset) } else { Err(format!("a batch was refused with error {error}").into()) }
}

/// Bytes in front of the records in an answer to a [`FetchFrame`], its size not counted, if it lists no aborted
/// transactions.
pub const FETCH_ANSWER_HEAD: usize = 4 + 4 + 2 + 4 + 4 + 2 + TOPIC.len() + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4;

/// Bytes of records in an answer to a [`FetchFrame`], of which `head` is the front.
pub fn fetched(head: &[u8]) -> Fallible<usize> {
    let request_error = i16::from_be_bytes(fixed(head, 8)?);
    let at = 4 + 4 + 2 + 4 + 4 + 2 + TOPIC.len() + 4 + 4;
    let error = i16::from_be_bytes(fixed(head, at)?);
    if request_error != 0 || error != 0 {
        return Err(format!("a fetch was refused with error {request_error} / {error}").into());
    }
    // Null for what was read uncommitted, or empty.
    let aborted = i32::from_be_bytes(fixed(head, at + 2 + 24)?);
    if aborted > 0 {
        return Err(format!("a fetch lists {aborted} aborted transactions where none were written").into());
    }
    let bytes = i32::from_be_bytes(fixed(head, at + 2 + 24 + 4 + 4)?);
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Bytes of records in an answer to a [`FetchFrame`], and bytes of the answer that are still to come. `start` is all that
/// has come, its size in front.
pub fn fetched_so_far(start: &[u8]) -> Fallible<(usize, usize)> {
    let size = i32::from_be_bytes(fixed(start, 0)?);
    let bytes = fetched(start.get(4..).unwrap_or_default())?;
    let left = (usize::try_from(size)? + 4).checked_sub(start.len()).ok_or("more was sent than asked for")?;
    Ok((bytes, left))
}

/// The `N` bytes of `bytes` at a place, or an error that says what is missing.
pub fn fixed<const N: usize>(bytes: &[u8], at: usize) -> Fallible<[u8; N]> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found
        .copied()
        .ok_or_else(|| format!("an answer of {} bytes ends before byte {}", bytes.len(), at + N).into())
}

/// The wall clock, which stamps records.
pub fn wall_now() -> Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::fetch::FetchRequestView;
    use ottla_protocol::produce::ProduceRequestView;
    use ottla_protocol::record::BatchView;

    use super::*;

    /// Bytes of a request's header in front of the body, size included.
    const HEAD: usize = 4 + 2 + 2 + 4 + 2 + CLIENT_ID.len();

    #[test]
    fn a_produce_frame_is_read_as_what_it_says_also_after_it_was_patched() {
        let batch = Batch::filled(100, 16_384, Encoding::None).unwrap();
        assert!(batch.bytes.len() <= 16_384 && batch.bytes.len() > 16_384 - 120, "{}", batch.bytes.len());
        let mut frame = ProduceFrame::new(3, -1, &batch).unwrap();
        frame.set_correlation(77);
        let (id, epoch) = (ProducerId::new(5).unwrap(), ProducerEpoch::new(0).unwrap());
        frame.set_next_sequence(id, epoch).unwrap();
        frame.set_next_sequence(id, epoch).unwrap();
        assert_eq!(frame.bytes[8..12], 77_i32.to_be_bytes());
        let mut view = ProduceRequestView::default();
        view.decode(&frame.bytes, HEAD, PRODUCE_VERSION).unwrap();
        let partition = view.topics(&frame.bytes).next().unwrap().partitions().next().unwrap();
        assert_eq!((view.acks(), partition.index), (-1, 3));
        let read = BatchView::parse(&frame.bytes[partition.records.unwrap()]).unwrap();
        read.check_crc().unwrap();
        let sequence = read.header().base_sequence.unwrap().value();
        assert_eq!(u32::try_from(sequence).unwrap(), batch.records);
    }

    #[test]
    fn a_fetch_frame_asks_for_the_offset_that_was_set() {
        let wish = FetchWish { partition: 2, wait_ms_max: 500, bytes_max: 65_536 };
        let mut frame = FetchFrame::new(wish).unwrap();
        frame.set(9, 1_234_567);
        let view = FetchRequestView::decode(&frame.bytes[HEAD..], FETCH_VERSION).unwrap();
        let partition = view.topics().next().unwrap().partitions().next().unwrap();
        assert_eq!((partition.index, partition.fetch_offset, partition.max_bytes), (2, 1_234_567, 65_536));
    }

    #[test]
    fn refusals_are_told_with_their_code() {
        let mut answer = vec![0; 80];
        answer[ANSWER_TO_NAME + TOPIC.len() + 8 + 1] = 6;
        assert_eq!(produced(&answer).unwrap_err().to_string(), "a batch was refused with error 6");
        assert!(produced(&answer[..10]).is_err());
    }
}
