//! The group coordinator of this node: which shard serves which group.
//!
//! Owns: the shards of `__consumer_offsets` partitions this node leads, placement of groups on them.
//! Does not own: groups (`coordinator`).
//!
//! Source: requirements GRP-01, LSN-04, OFF-06, OFF-10.

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
use ottla_model::{GroupId, PartitionIndex};
use ottla_protocol::compression::Encoding;

use super::loading::Loaders;
use super::shard_task::{
    COMMAND_QUEUE_LENGTH, MarkerError, MarkerJob, Message, Outlet, ShardParts, ShardTask,
};
use super::shards::{ShardTable, ask, tell};
use crate::partition::{Awaited, Partition};

/// All group shards of this node.
#[derive(Debug)]
pub struct Groups {
    config: GroupConfig,
    parts: ShardParts,
    shards: ShardTable<GroupShard>,
    /// The cluster as all shards are told it is.
    view: ArcSwap<ClusterView>,
}

impl Groups {
    pub fn new(config: GroupConfig, encoding: Encoding) -> Groups {
        let parts = ShardParts { encoding, loaders: Loaders::default() };
        Groups { config, parts, shards: ShardTable::default(), view: ArcSwap::default() }
    }

    /// Asks the coordinator of the command's group.
    pub async fn ask(&self, command: GroupCommand) -> GroupAnswer {
        if let Err(refused) = precheck(&self.config, &command) {
            return refused;
        }
        let sender = match group_of(&command) {
            Some(group) => self.shards.of_key(group.as_str()),
            None => Err(Unavailable::NotCoordinator),
        };
        match sender {
            Ok(sender) => ask(&sender, command).await,
            Err(why) => GroupShard::refuse(&command, why),
        }
    }

    /// The partition of the topic that keeps the group; `None` while the topic does not exist.
    pub fn partition_of(&self, group: &GroupId) -> Option<PartitionIndex> {
        self.shards.place_of(group.as_str())
    }

    /// Whether the node stops.
    pub fn is_stopping(&self) -> bool {
        self.shards.is_stopping()
    }

    /// Appends a marker to a partition of the topic: the offsets of the transaction take effect, or vanish.
    pub async fn end_transaction(
        &self,
        index: PartitionIndex,
        job: MarkerJob,
    ) -> Result<Awaited, MarkerError> {
        let sender = self.shards.of_partition(index).ok_or(Unavailable::NotCoordinator)?;
        let (answer, answered) = oneshot::channel();
        if sender.send(Message::Marker(job, answer)).await.is_err() {
            return Err(Unavailable::NotCoordinator.into());
        }
        answered.await.unwrap_or_else(|_| Err(Unavailable::NotCoordinator.into()))
    }

    /// The groups of all shards that pass the filter.
    pub async fn list(&self, filter: GroupFilter) -> Result<Vec<ListedGroup>, ListError> {
        let mut groups = Vec::new();
        for sender in self.shards.all() {
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
        for sender in self.shards.all() {
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
        for sender in self.shards.all() {
            tell(&sender, GroupCommand::View(Arc::clone(&view))).await;
        }
    }

    /// The topic has so many partitions now.
    pub fn on_partition_count(&self, partitions: u32) {
        self.shards.on_partition_count(partitions);
    }

    /// This node leads a partition of the topic, in a new epoch.
    pub async fn on_lead(&self, partition: Arc<Partition>) {
        let index = partition.id().partition;
        self.on_lost(index, Unavailable::NotCoordinator).await;
        let shard = GroupShard::new(self.config).with_view(self.view());
        let runtime = Runtime::new(shard, self.config.runtime());
        let (sender, messages) = mpsc::channel(COMMAND_QUEUE_LENGTH);
        let outlet: Outlet<GroupShard> = Box::new(|never| match never {});
        let shard = ShardTask::new(runtime, partition, (&self.parts, outlet));
        drop(task::spawn(shard.run(messages)));
        self.shards.add(index, sender);
    }

    /// This node no longer leads a partition of the topic.
    pub async fn on_lost(&self, index: PartitionIndex, why: Unavailable) {
        self.shards.remove(index, why).await;
    }

    /// The node stops.
    pub async fn stop(&self) {
        self.shards.stop().await;
    }
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
