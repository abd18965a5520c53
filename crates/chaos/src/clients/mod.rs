//! Clients of a node that comes and goes: producers, readers, members of a group, a watcher. They write down all they see.
//!
//! Owns: the topic, what all clients have in common, ends and final reads. Does not own: the node.

mod foreign;
mod group;
mod producer;
mod reader;
mod watcher;

pub use foreign::{FOREIGN, kcat};
pub use producer::Probed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_client::admin::{Layout, NewTopic, OffsetSpec};
use ottla_client::config::{AdminConfig, ConsumerConfig, IsolationLevel, Properties};
use ottla_client::{Admin, Consumer};
use ottla_env::time;
use ottla_model::{PartitionIndex, TopicName, TopicPartition};
use ottla_testkit::history::{Event, Name};

use crate::Fallible;
use crate::notes::Notes;

/// Name of the one topic.
pub const TOPIC: &str = "chaos";
/// Name of the one group.
pub const GROUP: &str = "survivors";
/// Under this name a reader's progress is told.
pub const FOLLOWER: &str = "follower";
/// Under this name the progress of all members is told.
pub const MEMBERS: &str = "group";
/// A poll returns after this time, so that readers notice their end.
const POLL: Duration = Duration::from_millis(50);
/// For what has no reason to take long.
const CLOSE: Duration = Duration::from_secs(10);
/// A node that was started answers within this time.
const ANSWER: Duration = Duration::from_secs(60);

/// How much producers send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Records of one producer that may wait for their acknowledgement.
    pub in_flight: u32,
    /// Records of one producer in a second; `None`: as many as go.
    pub per_second: Option<u32>,
    /// Most bytes of filling in a record.
    pub filling_max: u64,
}

/// The cluster as clients know it.
#[derive(Clone, Debug)]
pub struct Cluster {
    bootstrap: String,
    run: Arc<str>,
    partitions: i32,
    load: Load,
    pub notes: Arc<Notes>,
    pub stop_writing: Arc<AtomicBool>,
    pub stop_reading: Arc<AtomicBool>,
}

fn topic() -> Fallible<TopicName> {
    Ok(TopicName::new(TOPIC)?)
}

/// A partition's name in the history.
pub fn name_of(partition: i32) -> Name {
    Name::from(format!("{TOPIC}-{partition}"))
}

impl Cluster {
    /// A topic with so many partitions on the node at `bootstrap`; `run` tells this run's records from others.
    pub fn new(bootstrap: String, run: &str, partitions: i32, load: Load) -> Cluster {
        Cluster {
            bootstrap,
            run: Arc::from(run),
            partitions,
            load,
            notes: Arc::new(Notes::new()),
            stop_writing: Arc::default(),
            stop_reading: Arc::default(),
        }
    }

    fn reading(&self) -> bool {
        !self.stop_reading.load(Ordering::Acquire)
    }

    fn writing(&self) -> bool {
        !self.stop_writing.load(Ordering::Acquire)
    }

    fn partitions(&self) -> Fallible<Vec<TopicPartition>> {
        let topic = topic()?;
        let all = (0..self.partitions).filter_map(PartitionIndex::new);
        Ok(all.map(|index| TopicPartition::new(topic.clone(), index)).collect())
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

    pub fn admin(&self) -> Fallible<Admin> {
        Ok(Admin::new(AdminConfig::from_properties(&self.properties(&[]))?)?)
    }

    fn consumer(&self, more: &[(&str, &str)]) -> Fallible<Consumer> {
        let common = [("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
        let more: Vec<_> = common.iter().chain(more).copied().collect();
        Ok(Consumer::new(ConsumerConfig::from_properties(&self.properties(&more))?)?)
    }

    /// Creates the topic with these settings.
    pub async fn create_topic(&self, configs: &[(&str, &str)]) -> Fallible<()> {
        let layout = Layout::Counts { partitions: Some(self.partitions), replication_factor: Some(1) };
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let topic = NewTopic { name: TOPIC.to_owned(), layout, configs };
        let created = self.admin()?.create_topics(&[topic], false).await?;
        for (_, outcome) in created {
            outcome?;
        }
        Ok(())
    }

    /// Where the partitions end. Asks until the node answers.
    pub async fn ends(&self) -> Fallible<BTreeMap<i32, i64>> {
        let admin = self.admin()?;
        let asked = async {
            loop {
                let spec = OffsetSpec::Latest;
                match self.offsets(&admin, spec, IsolationLevel::ReadUncommitted).await? {
                    Some(ends) => break Fallible::Ok(ends),
                    None => time::sleep(POLL).await,
                }
            }
        };
        let ends = time::timeout(ANSWER, asked).await;
        let ends =
            ends.map_err(|_| format!("the node does not tell where its logs end for {ANSWER:?}"))??;
        Ok(ends.into_iter().map(|(partition, (end, _))| (partition, end)).collect())
    }

    /// Offset and leader epoch of each partition; `None` while the node is away.
    async fn offsets(
        &self,
        admin: &Admin,
        spec: OffsetSpec,
        isolation: IsolationLevel,
    ) -> Fallible<Option<BTreeMap<i32, (i64, i32)>>> {
        let wanted = self.partitions()?.into_iter().map(|partition| (partition, spec)).collect();
        let Ok(listed) = admin.list_offsets(&wanted, isolation).await else { return Ok(None) };
        let mut offsets = BTreeMap::new();
        for (partition, listed) in listed {
            let Ok(Some(listed)) = listed else { return Ok(None) };
            let epoch = listed.leader_epoch.map_or(0, |epoch| epoch.value());
            offsets.insert(partition.partition.value(), (listed.offset.value(), epoch));
        }
        Ok(Some(offsets))
    }

    /// The group has read all up to these ends.
    pub fn note_drained(&self, ends: &BTreeMap<i32, i64>) {
        for (partition, end) in ends {
            let (group, partition) = (Name::from(GROUP), name_of(*partition));
            self.notes.add(Event::Drained { at: self.notes.now(), group, partition, start: 0, end: *end });
        }
    }
}
