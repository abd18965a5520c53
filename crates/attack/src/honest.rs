//! Honest clients beside an attack: a producer that keeps a pace, a consumer behind it, and one with large requests.
//!
//! Owns: their thread, what they achieve in each half second. Does not own: what is asked of them (`report`).
//!
//! A record counts where its answer came within [`ON_TIME`] of the moment at which it was to be sent. The pace is a small part
//! of what a node can do, so that what is missing is the attack's doing and not the machine's.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_model::Timestamp;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, ProduceRequest,
    ProduceResponse,
};
use ottla_protocol::record::{BatchBuilder, BatchOptions, BatchView, NewRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Fallible;
use crate::wire::{Connection, answer_of, frame};

/// What they do is counted for so long a time.
pub const WINDOW: Duration = Duration::from_millis(500);
/// An answer that comes later counts for nothing.
const ON_TIME: Duration = Duration::from_secs(1);
/// Longer than any row lasts.
const WINDOWS: usize = 1_200;
/// 20 records every 10 ms: 2 000 records a second.
const RECORDS_PER_BATCH: u32 = 20;
const BATCH_EVERY: Duration = Duration::from_millis(10);
const RECORD_BYTES: usize = 100;
/// Batches that may wait for their answers.
const IN_FLIGHT_MAX: usize = 300;
/// A request that does not fit into the buffer of an ordinary read.
const LARGE_BYTES: usize = 600_000;
const LARGE_EVERY: Duration = Duration::from_millis(500);
/// Pause before a lost connection is opened again.
const AFTER_LOSS: Duration = Duration::from_millis(50);

/// Topics of honest clients.
pub const TOPIC: &str = "honest";
const LARGE_TOPIC: &str = "honest-large";

#[derive(Debug)]
struct Counts {
    began: Instant,
    stop: AtomicBool,
    /// Records of each window: answered in time, by the time at which they were due; received.
    produced: Vec<AtomicU32>,
    consumed: Vec<AtomicU32>,
    /// Connections that were lost.
    lost: AtomicU32,
    /// Milliseconds the slowest large request took.
    large_ms_max: AtomicU64,
}

/// The honest clients of a row.
pub struct Honest {
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

/// What was achieved between two windows.
#[derive(Clone, Debug, Default)]
pub struct Achieved {
    /// Records a second, in each window.
    pub produced: Vec<f64>,
    pub consumed: Vec<f64>,
}

impl Achieved {
    pub fn produced_per_second(&self) -> f64 {
        mean(&self.produced)
    }

    pub fn consumed_per_second(&self) -> f64 {
        mean(&self.consumed)
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(1).max(1);
    values.iter().sum::<f64>() / f64::from(count)
}

impl Honest {
    /// Makes their topics and starts them.
    pub async fn start(port: u16) -> Fallible<Honest> {
        create_topics(port, &[TOPIC, LARGE_TOPIC]).await?;
        let counters = || (0..WINDOWS).map(|_| AtomicU32::new(0)).collect();
        let counts = Arc::new(Counts {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            produced: counters(),
            consumed: counters(),
            lost: AtomicU32::new(0),
            large_ms_max: AtomicU64::new(0),
        });
        let shared = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("honest".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::join!(
                    again(&shared, || produce(port, &shared)),
                    again(&shared, || consume(port, &shared)),
                    again(&shared, || produce_large(port, &shared)),
                );
            });
        })?;
        Ok(Honest { counts, thread: Some(thread) })
    }

    /// The number of the window that is now.
    pub fn window(&self) -> usize {
        window_of(&self.counts, Instant::now())
    }

    /// What was achieved in these windows.
    pub fn achieved(&self, windows: std::ops::Range<usize>) -> Achieved {
        let per_second = |counts: &[AtomicU32]| {
            let counts = counts.get(windows.clone()).unwrap_or_default();
            let rate = |count: &AtomicU32| f64::from(count.load(Ordering::Relaxed)) / WINDOW.as_secs_f64();
            counts.iter().map(rate).collect()
        };
        Achieved { produced: per_second(&self.counts.produced), consumed: per_second(&self.counts.consumed) }
    }

    /// Connections that were lost so far.
    pub fn lost(&self) -> u32 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Forgets how long large requests took, and tells it.
    pub fn take_large_ms_max(&self) -> u64 {
        self.counts.large_ms_max.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed; the counts are what is judged.
            let _ = thread.join();
        }
    }
}

/// Creates topics of one partition; those that are there already stay.
pub async fn create_topics(port: u16, names: &[&str]) -> Fallible<()> {
    let topic = |name: &&str| CreatableTopic {
        name: (*name).to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: names.iter().map(topic).collect(), ..CreateTopicsRequest::default() };
    let answer: CreateTopicsResponse =
        Connection::open(port).await?.ask((ApiKey::CreateTopics, 4), &request).await?;
    match answer.topics.iter().find(|topic| topic.error_code != 0 && topic.error_code != 36) {
        Some(topic) => {
            Err(format!("topic {} was refused with error {}", topic.name, topic.error_code).into())
        }
        None => Ok(()),
    }
}

/// A Produce request (version 8) with one batch.
pub fn produce_frame((topic, acks): (&str, i16), batch: Vec<u8>) -> Fallible<Vec<u8>> {
    let records = Some(bytes::Bytes::from(batch));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let topic = TopicProduceData { name: topic.to_owned(), partition_data, ..TopicProduceData::default() };
    let request =
        ProduceRequest { transactional_id: None, acks, timeout_ms: 30_000, topic_data: vec![topic] };
    frame(ApiKey::Produce, 8, &request)
}

/// The code of the only partition in an answer to [`produce_frame`].
pub fn produce_code(answer: &[u8]) -> Fallible<i16> {
    let answer: ProduceResponse = answer_of((ApiKey::Produce, 8), answer)?;
    let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
    partition.map(|partition| partition.error_code).ok_or_else(|| "an answer without a partition".into())
}

/// A Fetch request (version 11, without a session) of partition 0.
pub fn fetch_frame(topic: &str, offset: i64, (wait_ms_max, bytes_max): (i32, i32)) -> Fallible<Vec<u8>> {
    let partition = FetchPartition {
        partition: 0,
        fetch_offset: offset,
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: wait_ms_max,
        min_bytes: 1,
        max_bytes: bytes_max,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(ApiKey::Fetch, 11, &request)
}

/// A batch of records of equal size.
pub fn batch(records: u32, bytes: usize) -> Fallible<Vec<u8>> {
    let mut builder = BatchBuilder::new(BatchOptions::default())?;
    let value = vec![b'x'; bytes];
    for _ in 0..records {
        builder.append(NewRecord { timestamp: wall_now(), key: None, value: Some(&value), headers: &[] })?;
    }
    Ok(builder.finish()?)
}

fn wall_now() -> Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn window_of(counts: &Counts, at: Instant) -> usize {
    let passed = at.saturating_duration_since(counts.began).as_millis() / WINDOW.as_millis();
    usize::try_from(passed).unwrap_or(usize::MAX)
}

fn count(counters: &[AtomicU32], window: usize, records: u32) {
    if let Some(counter) = counters.get(window) {
        counter.fetch_add(records, Ordering::Relaxed);
    }
}

fn is_over(counts: &Counts) -> bool {
    counts.stop.load(Ordering::Relaxed)
}

/// Runs a client until the end; one that lost its connection begins again.
async fn again<F: Future<Output = Fallible<()>>>(counts: &Counts, client: impl Fn() -> F) {
    while !is_over(counts) {
        if client().await.is_err() {
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(AFTER_LOSS).await;
    }
}

async fn produce(port: u16, counts: &Counts) -> Fallible<()> {
    let request = produce_frame((TOPIC, 1), batch(RECORDS_PER_BATCH, RECORD_BYTES)?)?;
    let (mut reader, mut writer) = Connection::open(port).await?.stream.into_split();
    let due: RefCell<VecDeque<Instant>> = RefCell::default();
    let sending = async {
        let mut next = Instant::now();
        while !is_over(counts) {
            tokio::time::sleep_until(next.into()).await;
            // What is not sent in its time is not made up for: it is missing.
            if due.borrow().len() < IN_FLIGHT_MAX {
                due.borrow_mut().push_back(next);
                writer.write_all(&request).await?;
            }
            next += BATCH_EVERY;
        }
        Fallible::Ok(())
    };
    let receiving = async {
        while !is_over(counts) {
            let mut size = [0; 4];
            reader.read_exact(&mut size).await?;
            let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size))?];
            reader.read_exact(&mut answer).await?;
            let at = due.borrow_mut().pop_front().ok_or("an answer to no request")?;
            if produce_code(&answer)? == 0 && at.elapsed() <= ON_TIME {
                count(&counts.produced, window_of(counts, at), RECORDS_PER_BATCH);
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = sending => ended,
        ended = receiving => ended,
    }
}

async fn consume(port: u16, counts: &Counts) -> Fallible<()> {
    const WAIT_MS: i32 = 100;
    const BYTES: i32 = 1 << 20;
    let mut client = Connection::open(port).await?;
    // A consumer that begins anew goes on at the end: it looks for it with an offset that is none.
    let mut offset = end_offset(&mut client).await?;
    while !is_over(counts) {
        client.send(&fetch_frame(TOPIC, offset, (WAIT_MS, BYTES))?).await?;
        let crate::wire::Reply::Answer(answer) = client.receive(Duration::from_secs(30)).await else {
            return Err("the consumer got no answer".into());
        };
        let answer: FetchResponse = answer_of((ApiKey::Fetch, 11), &answer)?;
        let partition = answer.responses.iter().flat_map(|topic| &topic.partitions).next();
        let mut rest = partition.and_then(|partition| partition.records.clone()).unwrap_or_default();
        let before = offset;
        while let Ok(batch) = BatchView::parse(&rest) {
            let (length, next) = (batch.bytes().len(), batch.header().next_offset());
            offset = next.value();
            rest = rest.slice(length..);
        }
        count(&counts.consumed, window_of(counts, Instant::now()), u32::try_from(offset - before)?);
    }
    Ok(())
}

/// Where the next record of the honest topic will stand.
pub async fn end_offset(client: &mut Connection) -> Fallible<i64> {
    use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
    let partition = ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp: -1 };
    let topics = vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let answer: ListOffsetsResponse = client.ask((ApiKey::ListOffsets, 5), &request).await?;
    let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    found.map(|partition| partition.offset).ok_or_else(|| "no offset was told".into())
}

async fn produce_large(port: u16, counts: &Counts) -> Fallible<()> {
    let request = produce_frame((LARGE_TOPIC, 1), batch(1, LARGE_BYTES)?)?;
    let mut client = Connection::open(port).await?;
    while !is_over(counts) {
        let begun = Instant::now();
        let exchange = async {
            client.send(&request).await?;
            Fallible::Ok(client.receive(Duration::from_secs(60)).await)
        };
        // One that is never answered is seen while it waits.
        let mut exchange = std::pin::pin!(exchange);
        let reply = loop {
            tokio::select! {
                reply = &mut exchange => break reply?,
                () = tokio::time::sleep(Duration::from_millis(100)) => note_large(counts, begun),
            }
            if is_over(counts) {
                return Ok(());
            }
        };
        note_large(counts, begun);
        if !matches!(reply, crate::wire::Reply::Answer(_)) {
            return Err("a large request got no answer".into());
        }
        tokio::time::sleep(LARGE_EVERY).await;
    }
    Ok(())
}

fn note_large(counts: &Counts, begun: Instant) {
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    counts.large_ms_max.fetch_max(took, Ordering::Relaxed);
}
