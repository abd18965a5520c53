//! The shards of one kind that this node serves, and which of them serves a key.
//!
//! Owns: their senders, placement of keys on them, their end. Does not own: what they do (`shard_task`).
//!
//! Source: requirements GRP-01, LSN-04.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_coordinator::runtime::{Shard, Unavailable};
use ottla_env::sync::{mpsc, oneshot};
use ottla_model::{PartitionIndex, coordinator_partition};

use super::shard_task::Message;

pub(super) type Sender<S> = mpsc::Sender<Message<S>>;

struct Shards<S: Shard> {
    by_partition: HashMap<PartitionIndex, Sender<S>>,
    /// Partitions of the topic; 0 while it does not exist.
    partitions: u32,
    /// The node stops: clients look for a coordinator again later.
    is_stopping: bool,
}

impl<S: Shard> Clone for Shards<S> {
    fn clone(&self) -> Shards<S> {
        let Shards { by_partition, partitions, is_stopping } = self;
        Shards { by_partition: by_partition.clone(), partitions: *partitions, is_stopping: *is_stopping }
    }
}

/// All shards of one internal topic on this node.
pub(super) struct ShardTable<S: Shard>(ArcSwap<Shards<S>>);

impl<S: Shard> Default for ShardTable<S> {
    fn default() -> ShardTable<S> {
        let none = Shards { by_partition: HashMap::new(), partitions: 0, is_stopping: false };
        ShardTable(ArcSwap::from_pointee(none))
    }
}

impl<S: Shard> fmt::Debug for ShardTable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.0.load();
        let mut served: Vec<i32> = shards.by_partition.keys().map(|index| index.value()).collect();
        served.sort_unstable();
        f.debug_struct("ShardTable").field("of", &shards.partitions).field("served", &served).finish()
    }
}

impl<S: Shard> ShardTable<S> {
    /// The shard that serves a key, if it is here.
    pub fn of_key(&self, key: &str) -> Result<Sender<S>, Unavailable> {
        let shards = self.0.load();
        if shards.is_stopping {
            return Err(Unavailable::ShuttingDown);
        }
        // While the topic does not exist nobody coordinates: Kafka sends the client back to FindCoordinator, which
        // creates it.
        let index = coordinator_partition(key, shards.partitions);
        index.and_then(|index| shards.by_partition.get(&index).cloned()).ok_or(Unavailable::NotCoordinator)
    }

    /// The partition of the topic that a key falls on; `None` while the topic does not exist.
    pub fn place_of(&self, key: &str) -> Option<PartitionIndex> {
        coordinator_partition(key, self.0.load().partitions)
    }

    /// The shard in a partition of the topic, if it is here.
    pub fn of_partition(&self, index: PartitionIndex) -> Option<Sender<S>> {
        self.0.load().by_partition.get(&index).cloned()
    }

    /// All shards that are here.
    pub fn all(&self) -> Vec<Sender<S>> {
        self.0.load().by_partition.values().cloned().collect()
    }

    /// The node stops, or has stopped.
    pub fn is_stopping(&self) -> bool {
        self.0.load().is_stopping
    }

    /// The topic has so many partitions now.
    pub fn on_partition_count(&self, partitions: u32) {
        let current = self.0.load();
        self.0.store(Arc::new(Shards { partitions, ..current.as_ref().clone() }));
    }

    /// A shard begins to serve.
    pub fn add(&self, index: PartitionIndex, sender: Sender<S>) {
        let mut shards = self.0.load().as_ref().clone();
        shards.by_partition.insert(index, sender);
        self.0.store(Arc::new(shards));
    }

    /// A shard serves no longer.
    pub async fn remove(&self, index: PartitionIndex, why: Unavailable) {
        let mut shards = self.0.load().as_ref().clone();
        let Some(sender) = shards.by_partition.remove(&index) else { return };
        self.0.store(Arc::new(shards));
        // A shard that ended by itself has told everybody already.
        drop(sender.send(Message::Stop(why)).await);
    }

    /// No shard serves any longer.
    pub async fn stop(&self) {
        let current = self.0.load_full();
        self.0.store(Arc::new(Shards { is_stopping: true, ..current.as_ref().clone() }));
        let indexes: Vec<PartitionIndex> = current.by_partition.keys().copied().collect();
        for index in indexes {
            self.remove(index, Unavailable::ShuttingDown).await;
        }
    }
}

/// Asks one shard.
pub(super) async fn ask<S: Shard>(sender: &Sender<S>, command: S::Command) -> S::Answer {
    let (answer, answered) = oneshot::channel();
    let refused = S::refuse(&command, Unavailable::NotCoordinator);
    if sender.send(Message::Command(command, answer)).await.is_err() {
        return refused;
    }
    answered.await.unwrap_or(refused)
}

/// Tells one shard something, and does not wait until it has heard. One that has ended has no use for it.
pub(super) async fn tell<S: Shard>(sender: &Sender<S>, command: S::Command) {
    drop(sender.send(Message::Command(command, oneshot::channel().0)).await);
}
