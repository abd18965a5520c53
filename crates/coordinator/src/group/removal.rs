//! Removing offsets and groups: by request, with their partitions, by age.
//!
//! Owns: what may be removed, the tombstones, the periodic look for what is too old.
//! Does not own: the age of an offset (`expiry`).
//!
//! Source: requirements OFF-05…08, TRAP-19; KIP-229, KIP-496.

use ottla_model::GroupId;

use super::answer::{DeleteGroupError, DeleteOffsetsError, DeletedPartition, DeletedTopic, OffsetSubscribed};
use super::classic::Remedy;
use super::command::{DeleteOffsets, PartitionsOfTopic};
use super::expiry::Owner;
use super::record::{GroupRecord, OffsetKey};
use super::shard::{GroupRemedy, GroupShard};
use super::{commit, expiry, protocols};
use crate::runtime::{Now, Outbox};

/// Most tombstones that are appended together when offsets are removed in bulk: about 100 KiB.
const TOMBSTONES_PER_DRAFT_MAX: usize = 1000;

impl GroupShard {
    pub(super) fn delete_offsets(
        &self,
        command: &DeleteOffsets,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<Vec<DeletedTopic>, DeleteOffsetsError> {
        let group = self.owner(&command.group).ok_or(DeleteOffsetsError::UnknownGroup)?;
        if let Owner::Classic(group) = group
            && !group.is_empty()
            && !protocols::is_consumer(group.protocol_type.as_ref())
        {
            return Err(DeleteOffsetsError::GroupActive);
        }
        let deleted = command.topics.iter().map(|topic| {
            let subscribed = group.is_subscribed_to(topic.topic.as_str());
            let result = if subscribed { Err(OffsetSubscribed) } else { Ok(()) };
            let partitions = topic.partitions.iter().map(|partition| {
                let key = OffsetKey {
                    group: command.group.clone(),
                    topic: topic.topic.clone(),
                    partition: *partition,
                };
                if let Some(tombstone) = commit::tombstone(&self.offsets, key).filter(|_| !subscribed) {
                    outbox.write(tombstone);
                }
                DeletedPartition { partition: *partition, result: result.clone() }
            });
            DeletedTopic { topic: topic.topic.clone(), partitions: partitions.collect() }
        });
        Ok(deleted.collect())
    }

    pub(super) fn delete_group(
        &mut self,
        group: &GroupId,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<(), DeleteGroupError> {
        let known = self.owner(group).ok_or(DeleteGroupError::UnknownGroup)?;
        if !known.is_empty() {
            return Err(DeleteGroupError::GroupActive);
        }
        for key in self.offsets.all_keys(group) {
            write_in_parts(GroupRecord::Offset { key, value: None }, outbox);
        }
        self.bury(group, outbox);
        Ok(())
    }

    /// Removes a group that has no members and, once what was written so far is applied, no offsets.
    fn bury(&mut self, group: &GroupId, outbox: &mut Outbox<GroupShard>) {
        self.bury_consumers(group, outbox);
        if let Some(removed) = self.table.remove(group) {
            outbox.write(GroupRecord::Group { group: group.clone(), image: None });
            outbox.guard(GroupRemedy { group: group.clone(), remedy: Remedy::Revive(Box::new(removed)) });
        }
    }

    /// The group, of whatever kind.
    fn owner<'a>(&'a self, id: &'a GroupId) -> Option<Owner<'a>> {
        let consumers = self.consumers.get(id).map(|group| Owner::Consumers(id, group));
        consumers.or_else(|| self.table.get(id).map(Owner::Classic))
    }

    pub(super) fn forget(&self, gone: &[PartitionsOfTopic], outbox: &mut Outbox<GroupShard>) {
        for record in commit::forget(&self.offsets, gone) {
            write_in_parts(record, outbox);
        }
    }

    /// Removes offsets that are too old, and groups that hold nothing any more (OFF-05, TRAP-19).
    pub(super) fn sweep(&mut self, now: Now, outbox: &mut Outbox<GroupShard>) {
        let retention = self.config.offsets_retention;
        let classic = self.table.iter().map(Owner::Classic);
        let consumers = self.consumers.iter().map(|(id, group)| Owner::Consumers(id, group));
        let swept: Vec<_> = classic
            .chain(consumers)
            .map(|group| {
                let sweep = expiry::sweep(group, &self.offsets, retention, now.wall);
                (group.id().clone(), group.is_empty(), sweep)
            })
            .collect();
        for (group, is_empty, sweep) in swept {
            for tombstone in sweep.tombstones {
                write_in_parts(tombstone, outbox);
            }
            if is_empty && sweep.is_bare {
                self.bury(&group, outbox);
            }
            outbox.cut();
        }
        self.next_sweep = Some(now.at + self.config.offsets_retention_check_interval);
    }
}

/// Tombstones of one removal need not stand or fall together: what is left is removed by the next attempt.
fn write_in_parts(record: GroupRecord, outbox: &mut Outbox<GroupShard>) {
    if outbox.open_records() >= TOMBSTONES_PER_DRAFT_MAX {
        outbox.cut();
    }
    outbox.write(record);
}
