//! The group coordinator of this node: which shard serves which group.
//!
//! Owns: the shards of `__consumer_offsets` partitions this node leads, placement of groups on them.
//! Does not own: groups (`coordinator`).
//!
//! Source: requirements GRP-01, LSN-04, OFF-06, OFF-10.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_coordinator::GroupConfig;
use ottla_coordinator::group::{
    ClusterView, GroupAnswer, GroupCommand, GroupFilter, GroupShard, ListError, ListedGroup,
    PartitionsOfTopic, precheck,
};
use ottla_coordinator::runtime::{Runtime, Shard, Unavailable};
use ottla_env::sync::{mpsc, oneshot};
use ottla_env::task;
use ottla_model::{GroupId, PartitionIndex, coordinator_partition};
use ottla_protocol::compression::Encoding;

use super::loading::Loaders;
use super::shard_task::{COMMAND_QUEUE_LENGTH, Message, ShardParts, ShardTask};
use crate::partition::Partition;

type Sender = mpsc::Sender<Message<GroupShard>>;

#[derive(Clone, Debug, Default)]
struct Shards {
    by_partition: HashMap<PartitionIndex, Sender>,
    /// Partitions of the topic; 0 while it does not exist.
    partitions: u32,
    /// The node stops: clients look for a coordinator again later.
    is_stopping: bool,
}

/// All group shards of this node.
#[derive(Debug)]
pub struct Groups {
    config: GroupConfig,
    parts: ShardParts,
    shards: ArcSwap<Shards>,
    /// The cluster as all shards are told it is.
    view: ArcSwap<ClusterView>,
}

impl Groups {
    pub fn new(config: GroupConfig, encoding: Encoding) -> Groups {
        let parts = ShardParts { encoding, loaders: Loaders::default() };
        Groups { config, parts, shards: ArcSwap::default(), view: ArcSwap::default() }
    }

    /// Asks the coordinator of the command's group.
    pub async fn ask(&self, command: GroupCommand) -> GroupAnswer {
        if let Err(refused) = precheck(&self.config, &command) {
            return refused;
        }
        let sender = match group_of(&command) {
            Some(group) => self.shard_of(group),
            None => Err(Unavailable::NotCoordinator),
        };
        match sender {
            Ok(sender) => ask(&sender, command).await,
            Err(why) => GroupShard::refuse(&command, why),
        }
    }

    /// The groups of all shards that pass the filter.
    pub async fn list(&self, filter: GroupFilter) -> Result<Vec<ListedGroup>, ListError> {
        let senders: Vec<Sender> = self.shards.load().by_partition.values().cloned().collect();
        let mut groups = Vec::new();
        for sender in senders {
            let GroupAnswer::List(listed) = ask(&sender, GroupCommand::List(filter.clone())).await else {
                unreachable!("a listing is answered as one");
            };
            match listed {
                Ok(listed) => groups.extend(listed),
                // A shard that just stopped has moved to another broker, which is asked as well.
                Err(ListError::Unavailable(Unavailable::NotCoordinator)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(groups)
    }

    /// Topics are gone: their offsets go too (OFF-06). A shard that is being loaded sees to it later; nobody waits.
    pub fn forget(&self, topics: &[PartitionsOfTopic]) {
        for sender in self.shards.load().by_partition.values() {
            let sender = sender.clone();
            let command = GroupCommand::ForgetPartitions(topics.to_vec());
            drop(task::spawn(async move {
                if let GroupAnswer::ForgetPartitions(Err(why)) = ask(&sender, command).await {
                    tracing::debug!(%why, "offsets of deleted topics stay until they expire");
                }
            }));
        }
    }

    /// The cluster as all shards are told it is.
    pub fn view(&self) -> Arc<ClusterView> {
        self.view.load_full()
    }

    /// The cluster changed: every shard learns of it, in the order of the changes.
    pub async fn on_view(&self, view: ClusterView) {
        let view = Arc::new(view);
        self.view.store(Arc::clone(&view));
        let senders: Vec<Sender> = self.shards.load().by_partition.values().cloned().collect();
        for sender in senders {
            let (answer, _) = oneshot::channel();
            // A shard that ended needs to know no more.
            drop(sender.send(Message::Command(GroupCommand::View(Arc::clone(&view)), answer)).await);
        }
    }

    /// The topic has so many partitions now.
    pub fn on_partition_count(&self, partitions: u32) {
        let current = self.shards.load();
        self.shards.store(Arc::new(Shards { partitions, ..current.as_ref().clone() }));
    }

    /// This node leads a partition of the topic, in a new epoch.
    pub async fn on_lead(&self, partition: Arc<Partition>) {
        let index = partition.id().partition;
        self.on_lost(index, Unavailable::NotCoordinator).await;
        let shard = GroupShard::new(self.config).with_view(self.view());
        let runtime = Runtime::new(shard, self.config.runtime());
        let (sender, messages) = mpsc::channel(COMMAND_QUEUE_LENGTH);
        let shard = ShardTask::new(runtime, partition, &self.parts);
        drop(task::spawn(shard.run(messages)));
        let current = self.shards.load();
        let mut shards = current.as_ref().clone();
        shards.by_partition.insert(index, sender);
        self.shards.store(Arc::new(shards));
    }

    /// This node no longer leads a partition of the topic.
    pub async fn on_lost(&self, index: PartitionIndex, why: Unavailable) {
        let current = self.shards.load_full();
        let Some(sender) = current.by_partition.get(&index) else { return };
        let mut shards = current.as_ref().clone();
        shards.by_partition.remove(&index);
        self.shards.store(Arc::new(shards));
        // A shard that ended by itself has told everybody already.
        drop(sender.send(Message::Stop(why)).await);
    }

    /// The node stops.
    pub async fn stop(&self) {
        let current = self.shards.load_full();
        self.shards.store(Arc::new(Shards { is_stopping: true, ..current.as_ref().clone() }));
        let indexes: Vec<PartitionIndex> = current.by_partition.keys().copied().collect();
        for index in indexes {
            self.on_lost(index, Unavailable::ShuttingDown).await;
        }
    }

    fn shard_of(&self, group: &GroupId) -> Result<Sender, Unavailable> {
        let shards = self.shards.load();
        if shards.is_stopping {
            return Err(Unavailable::ShuttingDown);
        }
        // While the topic does not exist nobody coordinates: Kafka sends the client back to FindCoordinator, which
        // creates it.
        let index = coordinator_partition(group.as_str(), shards.partitions);
        index.and_then(|index| shards.by_partition.get(&index).cloned()).ok_or(Unavailable::NotCoordinator)
    }
}

async fn ask(sender: &Sender, command: GroupCommand) -> GroupAnswer {
    let (answer, answered) = oneshot::channel();
    let refused = GroupShard::refuse(&command, Unavailable::NotCoordinator);
    if sender.send(Message::Command(command, answer)).await.is_err() {
        return refused;
    }
    answered.await.unwrap_or(refused)
}

/// The group a command is about; listings and clean-ups concern all.
fn group_of(command: &GroupCommand) -> Option<&GroupId> {
    match command {
        GroupCommand::Join(join) => Some(&join.group),
        GroupCommand::Sync(sync) => Some(&sync.group),
        GroupCommand::Heartbeat(heartbeat) => Some(&heartbeat.group),
        GroupCommand::Leave(leave) => Some(&leave.group),
        GroupCommand::CommitOffsets(commit) => Some(&commit.group),
        GroupCommand::FetchOffsets(fetch) => Some(&fetch.group),
        GroupCommand::DeleteOffsets(delete) => Some(&delete.group),
        GroupCommand::ConsumerHeartbeat(heartbeat) => Some(&heartbeat.group),
        GroupCommand::TakeFound(found) => Some(&found.group),
        GroupCommand::DeleteGroup(group)
        | GroupCommand::Describe(group)
        | GroupCommand::DescribeConsumers(group) => Some(group),
        GroupCommand::List(_) | GroupCommand::ForgetPartitions(_) | GroupCommand::View(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use ottla_coordinator::group::DescribeError;

    use super::*;

    /// GRP-01: a client of a node that stops looks for the coordinator again, later.
    #[test]
    fn a_node_that_stops_is_no_coordinator_for_now() {
        task::block_on(async {
            let groups = Groups::new(GroupConfig::default(), Encoding::None);
            groups.on_partition_count(1);
            let describe = || groups.ask(GroupCommand::Describe(GroupId::new("g")));
            let unavailable = |why| GroupAnswer::Describe(Err(DescribeError::Unavailable(why)));
            assert_eq!(describe().await, unavailable(Unavailable::NotCoordinator));
            groups.stop().await;
            assert_eq!(describe().await, unavailable(Unavailable::ShuttingDown));
        })
        .unwrap();
    }
}
