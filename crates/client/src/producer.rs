//! The producer: records in, deliveries out.
//!
//! Owns: the handle, the buffer's bytes, waiting for metadata and room.
//! Does not own: batches and their order (`machine`, `queue`), the wire (`sender`).
//!
//! `send` appends to a batch in the caller's task, under a lock that is held for the time of one record: no queue
//! and no task switch lies between a record and its batch. One task sends batches as they become due.

mod batch;
mod error;
mod exchange;
mod hooks;
mod machine;
mod murmur2;
mod partitioner;
mod promise;
mod queue;
mod sender;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ottla_env::sync::Semaphore;
use ottla_env::{task, time};
use ottla_model::{PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::record::{HEADER_BYTES, NewRecord};

pub use error::{DeliveryError, ProduceError, SendError};
pub use hooks::{OutgoingRecord, Partitioner, ProducerBuilder, ProducerInterceptor, RecordView};
pub use murmur2::{murmur2, partition_of_key};
pub use ottla_protocol::record::Header;
pub use promise::{Delivery, RecordMetadata};

use crate::cluster::{Cluster, ClusterOptions, Deadline, TopicInfo};
use crate::config::ProducerConfig;
use crate::error::CallError;
use exchange::{Incoming, Settings};
use hooks::Hooks;
use machine::Machine;
use partitioner::Placement;
use queue::{Patience, Shape};
use sender::Inner;

/// Most bytes a record takes beside its key, value and headers: its length, attributes and deltas.
const RECORD_OVERHEAD_MAX: usize = 21;

/// A record to be sent. Bytes are borrowed: they are copied once, into the batch.
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecord<'a> {
    topic: &'a TopicName,
    partition: Option<PartitionIndex>,
    timestamp: Option<Timestamp>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [Header<'a>],
}

impl<'a> ProducerRecord<'a> {
    /// A record for `topic` with neither key nor value yet.
    pub fn to(topic: &'a TopicName) -> ProducerRecord<'a> {
        ProducerRecord { topic, partition: None, timestamp: None, key: None, value: None, headers: &[] }
    }

    /// The key; it also decides the partition unless one is given.
    #[must_use]
    pub fn key(self, key: &'a [u8]) -> ProducerRecord<'a> {
        ProducerRecord { key: Some(key), ..self }
    }

    /// The value; a record without one deletes its key in a compacted topic.
    #[must_use]
    pub fn value(self, value: &'a [u8]) -> ProducerRecord<'a> {
        ProducerRecord { value: Some(value), ..self }
    }

    /// The partition, chosen by the caller.
    #[must_use]
    pub fn partition(self, partition: PartitionIndex) -> ProducerRecord<'a> {
        ProducerRecord { partition: Some(partition), ..self }
    }

    /// The time of the record; the time of sending if none is given.
    #[must_use]
    pub fn timestamp(self, timestamp: Timestamp) -> ProducerRecord<'a> {
        ProducerRecord { timestamp: Some(timestamp), ..self }
    }

    /// Headers, in order; keys may repeat.
    #[must_use]
    pub fn headers(self, headers: &'a [Header<'a>]) -> ProducerRecord<'a> {
        ProducerRecord { headers, ..self }
    }

    /// Upper bound of the bytes the record takes in a batch, as Kafka's clients estimate it.
    fn bytes_max(&self) -> usize {
        let headers =
            self.headers.iter().map(|header| field_bytes(Some(header.key)) + field_bytes(header.value));
        let own = field_bytes(self.key) + field_bytes(self.value) + varint_bytes(self.headers.len());
        RECORD_OVERHEAD_MAX + own + headers.sum::<usize>()
    }
}

/// How long the sender of a record waits. Most never wait, so the clock is read by the first wait only.
struct Patient {
    block_max: Duration,
    deadline: Option<Instant>,
}

impl Patient {
    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| time::now() + self.block_max)
    }
}

/// Bytes of a field with the length before it.
fn field_bytes(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint_bytes(bytes.len()) + bytes.len())
}

/// Bytes of a length as a zig-zag varint.
fn varint_bytes(length: usize) -> usize {
    let significant = usize::BITS - length.leading_zeros() + 1;
    usize::try_from(significant.div_ceil(7)).unwrap_or(0)
}

/// Sends records to a cluster. Share it by reference or `Arc`: all methods take `&self`.
///
/// Dropping it gives up what was not sent; call [`Producer::close`] to send the rest first.
#[derive(Debug)]
pub struct Producer {
    cluster: Cluster,
    inner: Arc<Inner>,
    sender: task::AbortHandle,
    closed: AtomicBool,
    hooks: Arc<Hooks>,
}

impl Producer {
    /// Creates the producer; nothing is connected before the first record. Must be called on a runtime. Fails only
    /// if the system has no source of randomness.
    pub fn new(config: ProducerConfig) -> io::Result<Producer> {
        Producer::with_hooks(config, Hooks::default())
    }

    /// Begins a producer with a partitioner or interceptors of the user.
    pub fn builder(config: ProducerConfig) -> ProducerBuilder {
        ProducerBuilder { config, hooks: Hooks::default() }
    }

    fn with_hooks(config: ProducerConfig, hooks: Hooks) -> io::Result<Producer> {
        let options = ClusterOptions { allow_auto_create: true, idle_max: Some(config.metadata_max_idle) };
        let cluster = Cluster::new(config.common.clone(), options)?;
        let machine = Machine::new(settings_of(&config));
        let inner = Arc::new(Inner::new(config, machine, Arc::clone(cluster.shared())));
        let sender = task::spawn(sender::run(Arc::clone(&inner))).abort_handle();
        Ok(Producer { cluster, inner, sender, closed: AtomicBool::new(false), hooks: Arc::new(hooks) })
    }

    /// Puts a record into a batch. Waits, at most `max.block.ms`, for the topic to be known and for room in the
    /// buffer; then answers at once with the future delivery. Records sent one after the other to one partition
    /// arrive in this order.
    pub async fn send(&self, record: ProducerRecord<'_>) -> Result<Delivery, SendError> {
        if self.hooks.interceptors.is_empty() {
            return self.place(record).await;
        }
        let outgoing = self.hooks.on_send(&record);
        let headers = outgoing.wire_headers();
        match self.place(outgoing.with_headers(&headers)).await {
            Ok(delivery) => {
                let hooks = Arc::clone(&self.hooks);
                let partition = TopicPartition::new(outgoing.topic.clone(), delivery.partition());
                delivery.on_end(move |outcome| hooks.on_end(&partition, &outcome));
                Ok(delivery)
            }
            Err(error) => {
                self.hooks.on_refused(&outgoing.topic, &error);
                Err(error)
            }
        }
    }

    /// As [`Producer::send`], and calls `callback` with the outcome of the delivery; see [`Delivery::on_end`]. Where
    /// the record is not taken, the error is answered and the callback is not called.
    pub async fn send_with(
        &self,
        record: ProducerRecord<'_>,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) -> Result<(), SendError> {
        self.send(record).await?.end_with(callback);
        Ok(())
    }

    /// Sends a record and waits until it has arrived or failed. Other records may join its batch meanwhile, so it
    /// takes `linger.ms` longer than need be where they do not: for many records use [`Producer::send`].
    pub async fn deliver(&self, record: ProducerRecord<'_>) -> Result<RecordMetadata, ProduceError> {
        Ok(self.send(record).await?.await?)
    }

    /// Puts a record into a batch of the partition that it names or that is chosen for it.
    async fn place(&self, record: ProducerRecord<'_>) -> Result<Delivery, SendError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SendError::Closed);
        }
        let mut patience = Patient { block_max: self.inner.config().block_max, deadline: None };
        let topic = self.topic(&record, &mut patience).await?;
        let partition = self.chosen_partition(&record, &topic)?;
        let reserved = self.reserve(&record, &mut patience).await?;
        let timestamp = record.timestamp.unwrap_or_else(time::wall_now);
        let incoming = Incoming {
            record: NewRecord { timestamp, key: record.key, value: record.value, headers: record.headers },
            partition,
            reserved,
            random: self.cluster.shared().chance(),
        };
        match self.inner.append(&topic, &incoming) {
            Ok((partition, token, index)) => {
                Ok(Delivery::new((topic.name.clone(), partition), (token, index), timestamp))
            }
            Err(error) => {
                self.inner.release(reserved);
                Err(error.into())
            }
        }
    }

    /// The partition the record names, or the one that a partitioner of the user chooses.
    fn chosen_partition(
        &self,
        record: &ProducerRecord<'_>,
        topic: &TopicInfo,
    ) -> Result<Option<PartitionIndex>, SendError> {
        let (None, Some(partitioner)) = (record.partition, &self.hooks.partitioner) else {
            return Ok(record.partition);
        };
        let view = RecordView { key: record.key, value: record.value, headers: record.headers };
        let chosen = partitioner.partition_for(view, topic);
        match topic.partition(chosen) {
            Some(_) => Ok(Some(chosen)),
            None => Err(SendError::NoSuchPartition {
                topic: topic.name.clone(),
                partition: chosen.value(),
                count: topic.partition_count(),
            }),
        }
    }

    /// How many partitions a topic has; waits, at most `max.block.ms`, until that is known.
    pub async fn partition_count(&self, topic: &TopicName) -> Result<u32, SendError> {
        Ok(self.topic_info(topic).await?.partition_count())
    }

    /// A topic as the cluster describes it: partitions, leaders, replicas. Waits, at most `max.block.ms`, until it is
    /// known; may be as old as `metadata.max.age.ms`.
    pub async fn topic_info(&self, topic: &TopicName) -> Result<Arc<TopicInfo>, SendError> {
        let mut patience = Patient { block_max: self.inner.config().block_max, deadline: None };
        self.topic(&ProducerRecord::to(topic), &mut patience).await
    }

    /// Waits until every record that was sent before has arrived or failed, and its callbacks are done. Batches do not
    /// linger meanwhile.
    pub async fn flush(&self) {
        let _hurry = self.inner.hurry();
        for promise in self.inner.open_promises() {
            promise.settled().await;
        }
    }

    /// Takes no more records, sends what there is for at most `timeout`, and gives up the rest.
    pub async fn close(self, timeout: Duration) {
        self.closed.store(true, Ordering::Release);
        // Whether time was over does not matter: what is left fails when the producer is dropped.
        let _ = time::timeout(timeout, self.flush()).await;
    }

    /// The topic as it is known, asked for if need be.
    async fn topic(
        &self,
        record: &ProducerRecord<'_>,
        patience: &mut Patient,
    ) -> Result<Arc<TopicInfo>, SendError> {
        let shared = self.cluster.shared();
        let has_partition =
            |topic: &TopicInfo| record.partition.is_none_or(|partition| topic.partition(partition).is_some());
        if let Some(topic) = shared.image().topic(record.topic)
            && has_partition(topic)
            && topic.partition_count() > 0
        {
            return Ok(Arc::clone(topic));
        }
        shared.use_topic(record.topic);
        let deadline = Deadline { at: patience.deadline(), call: "metadata" };
        let known = shared.wait_for(deadline, |image| match image.topics.get(record.topic) {
            Some(Ok(topic)) if has_partition(topic) && topic.partition_count() > 0 => {
                Some(Ok(Arc::clone(topic)))
            }
            Some(Err(code)) if !code.is_retriable() => Some(Err(*code)),
            Some(Ok(_) | Err(_)) | None => None,
        });
        match known.await {
            Ok(Ok(topic)) => Ok(topic),
            Ok(Err(code)) => Err(SendError::TopicRefused { topic: record.topic.clone(), error: code.into() }),
            Err(CallError::NoNode { .. }) => Err(self.unknown(record)),
            Err(error) => Err(error.into()),
        }
    }

    /// Why the topic of a record is not known when time is over.
    fn unknown(&self, record: &ProducerRecord<'_>) -> SendError {
        let after = self.inner.config().block_max;
        let image = self.cluster.shared().image();
        match (image.topics.get(record.topic), record.partition) {
            (Some(Ok(topic)), Some(partition)) => SendError::PartitionUnknown {
                topic: record.topic.clone(),
                partition: partition.value(),
                count: topic.partition_count(),
                after,
            },
            (known, _) => {
                let reason = known.and_then(|known| known.as_ref().err().copied());
                SendError::TopicUnknown { topic: record.topic.clone(), after, reason }
            }
        }
    }

    /// Takes room for a record out of the buffer, waiting for it if need be.
    async fn reserve(&self, record: &ProducerRecord<'_>, patience: &mut Patient) -> Result<usize, SendError> {
        let config = self.inner.config();
        let bytes = record.bytes_max();
        let serialized = HEADER_BYTES + bytes;
        if serialized > config.request_bytes_max {
            return Err(SendError::TooLargeForRequest { bytes: serialized, max: config.request_bytes_max });
        }
        if u64::try_from(bytes).unwrap_or(u64::MAX) > config.buffer_bytes {
            return Err(SendError::TooLargeForBuffer { bytes: serialized });
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let buffer: &Semaphore = self.inner.buffer();
        if let Ok(room) = buffer.try_acquire_many(permits) {
            room.forget();
            return Ok(bytes);
        }
        // The buffer is full: what it holds goes out now.
        let _hurry = self.inner.hurry();
        match time::timeout_at(patience.deadline(), buffer.acquire_many(permits)).await {
            Ok(Ok(room)) => {
                room.forget();
                Ok(bytes)
            }
            Ok(Err(_)) => Err(SendError::Closed),
            Err(time::Elapsed) => Err(SendError::BufferFull { bytes, after: config.block_max }),
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender.abort();
        self.inner.give_up();
    }
}

fn settings_of(config: &ProducerConfig) -> Settings {
    Settings {
        shape: Shape { batch_bytes: config.batch_bytes, encoding: config.compression },
        patience: Patience {
            linger: config.linger,
            delivery_timeout: config.delivery_timeout,
            retries: config.retries,
        },
        placement: Placement {
            kind: config.partitioner,
            ignore_keys: config.ignore_keys,
            adaptive: config.adaptive_partitioning,
            sticky_bytes: config.batch_bytes,
        },
        in_flight_max: config.in_flight_max,
        request_bytes_max: config.request_bytes_max,
        idempotence: config.idempotence,
        availability_timeout: config.availability_timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of which Kafka's producer says "The message is … bytes when serialized", less the 61 of the batch.
    #[test]
    fn the_size_of_a_record_is_estimated_as_kafka_estimates_it() {
        let topic = TopicName::new("t").unwrap();
        let record = ProducerRecord::to(&topic);
        assert_eq!(record.bytes_max(), 24);
        assert_eq!(record.value(&[0; 63]).bytes_max(), 24 + 63);
        assert_eq!(record.value(&[0; 64]).bytes_max(), 24 + 65);
        assert_eq!(record.value(&[0; 2_000_000]).bytes_max(), 2_000_088 - HEADER_BYTES);
        let headers = [Header { key: b"k", value: None }, Header { key: b"key", value: Some(b"v") }];
        assert_eq!(record.key(b"a").headers(&headers).bytes_max(), 24 + 1 + 3 + 4 + 2);
    }
}
