//! Clients of a node that comes and goes: producers, readers, a group. They write down all they see.
//!
//! Owns: what is sent, and how it is told apart when it is read. Does not own: the node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_client::admin::{Layout, NewTopic, OffsetSpec};
use ottla_client::config::{AdminConfig, ConsumerConfig, IsolationLevel, ProducerConfig, Properties};
use ottla_client::consumer::ConsumerRecord;
use ottla_client::producer::ProducerRecord;
use ottla_client::{Admin, Consumer, Producer};
use ottla_env::sync::Semaphore;
use ottla_env::{task, time};
use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};
use ottla_testkit::history::{Event, Name, digest};

use super::notes::Notes;

/// Partitions of the topic.
pub const PARTITIONS: usize = 3;
const TOPIC: &str = "killed";
const GROUP: &str = "survivors";
/// Records of one producer that may wait for their acknowledgement.
const IN_FLIGHT: u32 = 200;
/// A poll returns after this time, so that readers notice their end.
const POLL: Duration = Duration::from_millis(50);
/// For what has no reason to take long.
const CLOSE: Duration = Duration::from_secs(10);

/// The cluster as clients know it.
#[derive(Clone)]
pub struct Cluster {
    bootstrap: String,
    notes: Arc<Notes>,
    pub stop_writing: Arc<AtomicBool>,
    pub stop_reading: Arc<AtomicBool>,
}

fn topic() -> TopicName {
    TopicName::new(TOPIC).unwrap()
}

fn partitions() -> impl Iterator<Item = TopicPartition> {
    (0..i32::try_from(PARTITIONS).unwrap())
        .map(|index| TopicPartition::new(topic(), PartitionIndex::new(index).unwrap()))
}

fn name_of(partition: i32) -> Name {
    Name::from(format!("{TOPIC}-{partition}"))
}

/// Offset and leader epoch of each partition; `None` while the node is away.
async fn offsets(
    admin: &Admin,
    spec: OffsetSpec,
    isolation: IsolationLevel,
) -> Option<BTreeMap<i32, (i64, i32)>> {
    let wanted = partitions().map(|partition| (partition, spec)).collect();
    let mut offsets = BTreeMap::new();
    for (partition, listed) in admin.list_offsets(&wanted, isolation).await.ok()? {
        let listed = listed.ok()??;
        let epoch = listed.leader_epoch.map_or(0, |epoch| epoch.value());
        offsets.insert(partition.partition.value(), (listed.offset.value(), epoch));
    }
    Some(offsets)
}

impl Cluster {
    pub fn new(bootstrap: String, notes: Arc<Notes>) -> Cluster {
        Cluster { bootstrap, notes, stop_writing: Arc::default(), stop_reading: Arc::default() }
    }

    /// Impatient clients: the node is away for milliseconds.
    fn properties(&self, more: &[(&str, &str)]) -> Properties {
        let common = [
            ("bootstrap.servers", self.bootstrap.as_str()),
            ("reconnect.backoff.ms", "5"),
            ("reconnect.backoff.max.ms", "50"),
            ("retry.backoff.ms", "5"),
            ("retry.backoff.max.ms", "50"),
        ];
        common.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn admin(&self) -> Admin {
        Admin::new(AdminConfig::from_properties(&self.properties(&[])).unwrap()).unwrap()
    }

    fn consumer(&self, more: &[(&str, &str)]) -> Consumer {
        let common = [("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
        let more: Vec<_> = common.iter().chain(more).copied().collect();
        Consumer::new(ConsumerConfig::from_properties(&self.properties(&more)).unwrap()).unwrap()
    }

    pub async fn create_topic(&self) {
        let partitions = i32::try_from(PARTITIONS).ok();
        let layout = Layout::Counts { partitions, replication_factor: Some(1) };
        let topic = NewTopic { name: TOPIC.to_owned(), layout, ..NewTopic::default() };
        self.admin().create_topics(&[topic], false).await.unwrap()[0].1.as_ref().unwrap();
    }

    /// Sends records, at most so many in flight, until it shall stop; ends when all are delivered.
    pub async fn write(self, number: u64) {
        let properties =
            self.properties(&[("acks", "all"), ("enable.idempotence", "true"), ("linger.ms", "1")]);
        let producer = Producer::new(ProducerConfig::from_properties(&properties).unwrap()).unwrap();
        let client = Name::from(format!("producer-{number}"));
        let room = Arc::new(Semaphore::new(usize::try_from(IN_FLIGHT).unwrap()));
        for seq in 0.. {
            if self.stop_writing.load(Ordering::Acquire) {
                break;
            }
            let permit = Arc::clone(&room).acquire_owned().await.unwrap();
            let index = i32::try_from(seq % u64::try_from(PARTITIONS).unwrap()).unwrap();
            let value = format!("{client} {seq} {}", "x".repeat(usize::try_from(seq % 300).unwrap()));
            self.notes.add(Event::Send {
                at: self.notes.now(),
                client: client.clone(),
                seq,
                partition: name_of(index),
                digest: digest(&[value.as_bytes()]),
                idempotent: true,
                durable: true,
            });
            let (topic, partition) = (topic(), PartitionIndex::new(index).unwrap());
            let record = ProducerRecord::to(&topic).partition(partition).value(value.as_bytes());
            let sent = producer.send(record).await;
            let (notes, client) = (Arc::clone(&self.notes), client.clone());
            task::spawn(async move {
                let outcome = match sent {
                    Ok(delivery) => delivery.await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let at = notes.now();
                notes.add(match outcome {
                    Ok(stored) => Event::SendOk { at, client, seq, offset: stored.offset.map(Offset::value) },
                    Err(_) => Event::SendInfo { at, client, seq },
                });
                drop(permit);
            });
        }
        // All permits are back when the last outcome is written down.
        drop(room.acquire_many(IN_FLIGHT).await.unwrap());
        producer.close(CLOSE).await;
    }

    fn note_read(&self, (client, group): (&Name, Option<&Name>), record: &ConsumerRecord) {
        let value = record.value.as_deref().unwrap();
        let text = std::str::from_utf8(value).unwrap();
        let mut words = text.split(' ');
        self.notes.add(Event::Read {
            at: self.notes.now(),
            client: client.clone(),
            group: group.cloned(),
            partition: name_of(record.partition.value()),
            offset: record.offset.value(),
            producer: Name::from(words.next().unwrap()),
            seq: words.next().unwrap().parse().unwrap(),
            digest: digest(&[value]),
        });
    }

    /// Reads all partitions as they grow.
    pub async fn follow(self) {
        let mut consumer = self.consumer(&[]);
        consumer.assign(partitions());
        let client = Name::from("follower");
        while !self.stop_reading.load(Ordering::Acquire) {
            for record in consumer.poll(POLL).await.unwrap() {
                self.note_read((&client, None), &record);
                self.notes.reached("follower", record.partition.value(), record.offset.value() + 1);
            }
        }
    }

    /// Reads all partitions as the only member of a group, and commits behind every poll.
    pub async fn follow_as_group(self) {
        let mut consumer = self.consumer(&[("group.id", GROUP), ("session.timeout.ms", "45000")]);
        consumer.subscribe([topic()]).unwrap();
        let (client, group) = (Name::from("member"), Name::from(GROUP));
        let mut attempts = 0;
        while !self.stop_reading.load(Ordering::Acquire) {
            let records = consumer.poll(POLL).await.unwrap();
            let mut next = BTreeMap::new();
            for record in &records {
                self.note_read((&client, Some(&group)), record);
                next.insert(record.partition.value(), record.offset.value() + 1);
            }
            if next.is_empty() {
                continue;
            }
            let ids = attempts..attempts + u64::try_from(next.len()).unwrap();
            attempts = ids.end;
            let begun = self.notes.now();
            for (id, (partition, offset)) in ids.clone().zip(&next) {
                let (partition, offset) = (name_of(*partition), *offset);
                let (client, group) = (client.clone(), group.clone());
                self.notes.add(Event::Commit {
                    at: begun,
                    client,
                    id,
                    group,
                    partition,
                    offset,
                    reset: false,
                });
            }
            let committed = consumer.handle().commit().await.is_ok();
            let at = self.notes.now();
            for id in ids {
                let client = client.clone();
                self.notes.add(match committed {
                    true => Event::CommitOk { at, client, id },
                    false => Event::CommitInfo { at, client, id },
                });
            }
            next.iter().for_each(|(partition, offset)| self.notes.reached("group", *partition, *offset));
        }
        for (partition, end) in self.ends().await {
            let (group, partition) = (group.clone(), name_of(partition));
            self.notes.add(Event::Drained { at: self.notes.now(), group, partition, start: 0, end });
        }
        consumer.close(CLOSE).await;
    }

    /// Where the partitions end.
    pub async fn ends(&self) -> BTreeMap<i32, i64> {
        let admin = self.admin();
        loop {
            let ends = offsets(&admin, OffsetSpec::Latest, IsolationLevel::ReadUncommitted).await;
            if let Some(ends) = ends {
                return ends.into_iter().map(|(partition, (end, _))| (partition, end)).collect();
            }
        }
    }

    /// Asks again and again how far the logs reach.
    pub async fn watch_bounds(self) {
        let admin = self.admin();
        while !self.stop_reading.load(Ordering::Acquire) {
            // Something shall have happened since the last look; at the end nothing does.
            let _ = time::timeout(POLL, self.notes.more_acks(50)).await;
            let since = self.notes.now();
            let start = offsets(&admin, OffsetSpec::Earliest, IsolationLevel::ReadUncommitted).await;
            let stable = offsets(&admin, OffsetSpec::Latest, IsolationLevel::ReadCommitted).await;
            let end = offsets(&admin, OffsetSpec::Latest, IsolationLevel::ReadUncommitted).await;
            let (Some(start), Some(stable), Some(end)) = (start, stable, end) else { continue };
            for (partition, (high_watermark, epoch)) in end {
                self.notes.add(Event::Bounds {
                    since,
                    at: self.notes.now(),
                    client: Name::from("watcher"),
                    partition: name_of(partition),
                    epoch,
                    log_start: start[&partition].0,
                    last_stable: stable[&partition].0,
                    high_watermark,
                    log_end: high_watermark,
                });
            }
        }
    }

    /// A final read of everything by a client of its own.
    pub async fn read_all(&self, client: &str, ends: &BTreeMap<i32, i64>) {
        let since = self.notes.now();
        let client = Name::from(client);
        let mut consumer = self.consumer(&[]);
        consumer.assign(partitions());
        let mut left: BTreeMap<i32, i64> =
            ends.iter().filter(|(_, end)| **end > 0).map(|(p, e)| (*p, *e)).collect();
        while !left.is_empty() {
            for record in consumer.poll(POLL).await.unwrap() {
                self.note_read((&client, None), &record);
                let partition = record.partition.value();
                if left.get(&partition).is_some_and(|end| record.offset.value() + 1 >= *end) {
                    left.remove(&partition);
                }
            }
        }
        for (partition, end) in ends {
            let (client, partition, at) = (client.clone(), name_of(*partition), self.notes.now());
            self.notes.add(Event::ReadAll { since, at, client, partition, start: 0, end: *end });
        }
    }
}
