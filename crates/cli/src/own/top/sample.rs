//! One look at a cluster: ends and sizes of all partitions, offsets of all groups.
//!
//! Owns: what is asked. Does not own: what it means (`view`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ottla_client::Admin;
use ottla_model::TopicPartition;

use super::super::cluster::all_topics;
use super::super::ends::Offsets;
use super::super::partitions::{latest, partitions_of};
use super::super::refusal::Refusal;
use crate::admin_refusal;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The brokers' own topics too.
    pub internal: bool,
}

/// A look at a cluster.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When it was taken, counted from the first one.
    pub at: Duration,
    /// Topics that are shown, and how many partitions they have.
    pub topics: BTreeMap<String, usize>,
    /// Ends of all partitions that have a leader.
    pub ends: Offsets,
    /// Bytes of the largest copy of a partition.
    pub sizes: BTreeMap<TopicPartition, i64>,
    pub groups: BTreeMap<String, GroupSample>,
}

/// A group in a sample.
#[derive(Clone, Debug, Default)]
pub struct GroupSample {
    /// Kafka's name, such as `Stable`.
    pub state: String,
    pub committed: Offsets,
}

/// Takes samples.
pub struct Sampler {
    admin: Admin,
    wanted: Wanted,
    began: Instant,
}

impl Sampler {
    pub fn new(admin: Admin, wanted: Wanted) -> Sampler {
        Sampler { admin, wanted, began: ottla_env::time::now() }
    }

    /// Looks at the cluster.
    pub async fn take(&self) -> Result<Sample, Refusal> {
        let described = all_topics(&self.admin).await?;
        let shown = described.iter().filter(|topic| self.wanted.internal || !topic.is_internal);
        let topics = shown.map(|topic| (topic.name.clone(), topic.partitions.len())).collect();
        let led = described.iter().flat_map(|topic| {
            let pairs = partitions_of(topic).into_iter().zip(&topic.partitions);
            pairs.filter(|(_, info)| info.leader.is_some()).map(|(partition, _)| partition)
        });
        let ends = latest(&self.admin, &led.collect::<Vec<_>>()).await?;
        let at = ottla_env::time::now().duration_since(self.began);
        let (sizes, groups) = (self.sizes(&described).await, self.groups().await?);
        Ok(Sample { at, topics, ends, sizes, groups })
    }

    /// Sizes as far as the brokers tell them.
    async fn sizes(&self, topics: &[ottla_client::admin::TopicDescription]) -> BTreeMap<TopicPartition, i64> {
        let replicas = topics.iter().flat_map(|topic| &topic.partitions).flat_map(|info| &info.replicas);
        let live = self.admin.nodes().await.unwrap_or_default();
        let live: BTreeSet<_> = live.into_iter().map(|node| node.id).collect();
        let brokers: BTreeSet<_> = replicas.copied().filter(|id| live.contains(id)).collect();
        let brokers: Vec<_> = brokers.into_iter().collect();
        let mut sizes: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        let described = self.admin.describe_log_dirs(&brokers).await;
        for directory in described.into_values().filter_map(Result::ok).flatten() {
            for (partition, replica) in directory.replicas.into_iter().filter(|(_, it)| !it.is_future) {
                let size = sizes.entry(partition).or_default();
                *size = replica.bytes.max(*size);
            }
        }
        sizes
    }

    async fn groups(&self) -> Result<BTreeMap<String, GroupSample>, Refusal> {
        let failed = |error: ottla_client::admin::ListGroupsError| {
            admin_refusal!(error, "the groups could not be listed")
        };
        let mut groups = BTreeMap::new();
        for group in self.admin.list_groups(&[], &[]).await.map_err(failed)? {
            // Groups without offsets, and those that went meanwhile, are shown without a lag.
            let offsets = self.admin.list_group_offsets(&group.id, None, false).await.unwrap_or_default();
            let committed = offsets.into_iter().filter_map(|(it, at)| Some((it, at.ok()?.offset))).collect();
            groups.insert(group.id, GroupSample { state: group.state, committed });
        }
        Ok(groups)
    }
}
