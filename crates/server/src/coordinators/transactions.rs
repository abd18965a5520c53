//! The transaction coordinator of this node: which shard serves which transactional id.
//!
//! Owns: the shards of `__transaction_state` partitions this node leads, producer ids for those who need one.
//! Does not own: transactions (`coordinator`), their markers (`transactions`).
//!
//! Source: requirements TXN-01…05, TXN-13, TXN-14, LSN-04.

use std::sync::Arc;

use ottla_coordinator::TransactionConfig;
use ottla_coordinator::runtime::{Runtime, Shard, Unavailable};
use ottla_coordinator::transaction::{
    ListTransactionsError, ListedTransaction, TransactionAnswer, TransactionCommand, TransactionEffect,
    TransactionFilter, TransactionShard, precheck,
};
use ottla_env::sync::mpsc;
use ottla_env::task;
use ottla_model::{PartitionIndex, TransactionVersion};
use ottla_protocol::ErrorCode;
use ottla_protocol::compression::Encoding;

use super::loading::Loaders;
use super::shard_task::{COMMAND_QUEUE_LENGTH, ShardParts, ShardTask};
use super::shards::{ShardTable, ask, tell};
use crate::node::Node;
use crate::partition::Partition;
use crate::transactions;

/// All transaction shards of this node.
#[derive(Debug)]
pub struct Transactions {
    config: TransactionConfig,
    parts: ShardParts,
    shards: ShardTable<TransactionShard>,
}

impl Transactions {
    pub fn new(config: TransactionConfig) -> Transactions {
        // Whatever producers prefer, Kafka keeps this topic uncompressed.
        let parts = ShardParts { encoding: Encoding::None, loaders: Loaders::default() };
        Transactions { config, parts, shards: ShardTable::default() }
    }

    /// Asks the coordinator of the command's transactional id. A command that needs a producer id gets one.
    pub async fn ask(&self, node: &Node, command: TransactionCommand) -> TransactionAnswer {
        let answer = self.ask_once(command.clone()).await;
        if !answer.needs_producer_id() {
            return answer;
        }
        match node.producer_ids.next(node).await {
            Ok(fresh) => {
                let mut command = command;
                command.give_producer_id(fresh);
                self.ask_once(command).await
            }
            Err(ErrorCode::CoordinatorLoadInProgress) => {
                TransactionShard::refuse(&command, Unavailable::Loading)
            }
            Err(_) => TransactionShard::refuse(&command, Unavailable::WriteFailed),
        }
    }

    async fn ask_once(&self, command: TransactionCommand) -> TransactionAnswer {
        if let Err(refused) = precheck(&self.config, &command) {
            return refused;
        }
        let sender = match command.id() {
            Some(id) => self.shards.of_key(id.as_str()),
            None => Err(Unavailable::NotCoordinator),
        };
        match sender {
            Ok(sender) => ask(&sender, command).await,
            Err(why) => TransactionShard::refuse(&command, why),
        }
    }

    /// The transactions of all shards that pass the filter.
    pub async fn list(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<ListedTransaction>, ListTransactionsError> {
        if self.shards.is_stopping() {
            return Err(Unavailable::ShuttingDown.into());
        }
        let mut transactions = Vec::new();
        for sender in self.shards.all() {
            let answer = ask(&sender, TransactionCommand::List(filter.clone())).await;
            let TransactionAnswer::List(listed) = answer else {
                unreachable!("a listing is answered as one");
            };
            match listed {
                Ok(listed) => transactions.extend(listed),
                // A shard that just stopped has moved to another broker, which is asked as well.
                Err(ListTransactionsError::Unavailable(Unavailable::NotCoordinator)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(transactions)
    }

    /// Whether the node stops: work for a coordinator here is in vain.
    pub fn is_stopping(&self) -> bool {
        self.shards.is_stopping()
    }

    /// The topic has so many partitions now.
    pub fn on_partition_count(&self, partitions: u32) {
        self.shards.on_partition_count(partitions);
    }

    /// The cluster writes transactions in this version now.
    pub async fn on_version(&self, version: TransactionVersion) {
        for sender in self.shards.all() {
            tell(&sender, TransactionCommand::ClusterVersion(version)).await;
        }
    }

    /// This node leads a partition of the topic, in a new epoch.
    pub async fn on_lead(&self, node: &Arc<Node>, partition: Arc<Partition>, version: TransactionVersion) {
        let index = partition.id().partition;
        self.on_lost(index, Unavailable::NotCoordinator).await;
        let runtime = Runtime::new(TransactionShard::new(self.config, version), self.config.runtime());
        let (sender, messages) = mpsc::channel(COMMAND_QUEUE_LENGTH);
        let (node, coordinator) = (Arc::clone(node), Arc::clone(&partition));
        let outlet = Box::new(move |effect: TransactionEffect| {
            transactions::carry_out(&node, &coordinator, effect);
        });
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
