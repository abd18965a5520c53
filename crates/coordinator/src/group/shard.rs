//! The shard of groups: routes commands to the groups and the offsets, and their outcomes into records and answers.
//!
//! Owns: the order in which the parts learn of an event, the images of the persisted groups.
//! Does not own: the rules (`join`, `rebalance`, `session`, `commit`, `expiry`).
//!
//! Replicated state are the images and the offsets; the live groups in the table are volatile and begin from the
//! images when the shard was loaded.
//!
//! Source: architecture, "Coordinators"; requirements GRP-01…04, OFF-01…10.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ottla_model::{GroupId, MemberId, ProducerId, TopicName};
use ottla_protocol::EncodeError;

use super::answer::{
    CommitError, DeleteGroupError, DeleteOffsetsError, DeletedPartition, DeletedTopic, DescribeError,
    GroupAnswer, HeartbeatError, JoinError, JoinRefused, LeaveError, LeaveMemberError, LeftMember,
    OffsetSubscribed, SyncError,
};
use super::classic::{ClassicGroup, GroupState, Remedy, Turn};
use super::command::{
    CommitOffsets, DeleteOffsets, GroupCommand, Heartbeat, LeaveGroup, PartitionsOfTopic, SyncGroup,
};
use super::join::Join;
use super::offsets::{OffsetStore, OffsetUndo};
use super::record::{GroupImage, GroupRecord, OffsetKey};
use super::table::GroupTable;
use super::{commit, describe, expiry, protocols, record_bytes};
use crate::config::GroupConfig;
use crate::runtime::{
    Asked, EncodedRecord, FailedWrite, Now, Outbox, Reply, Shard, Skipped, TransactionOutcome, Unavailable,
};

/// Most tombstones that are appended together when offsets are removed in bulk: about 100 KiB.
const TOMBSTONES_PER_DRAFT_MAX: usize = 1000;

/// The groups of one partition of `__consumer_offsets`.
pub struct GroupShard {
    config: GroupConfig,
    images: BTreeMap<GroupId, Arc<GroupImage>>,
    table: GroupTable,
    offsets: OffsetStore,
    next_sweep: Option<Instant>,
}

/// What takes a record back.
pub struct GroupUndo(Undo);

enum Undo {
    Offset(OffsetUndo),
    Group { group: GroupId, previous: Option<Arc<GroupImage>> },
}

/// What sets a live group right when its record was not appended.
pub struct GroupRemedy {
    group: GroupId,
    remedy: Remedy,
}

/// Refuses what no group coordinator would accept, whichever broker it is on and whatever its state.
pub fn precheck(config: &GroupConfig, command: &GroupCommand) -> Result<(), GroupAnswer> {
    match command {
        GroupCommand::Join(join) => {
            let refused = |error| Err(GroupAnswer::Join(Err(JoinRefused::new(&join.member, error))));
            let (min, max) = (config.session_timeout_min, config.session_timeout_max);
            let got = join.session_timeout;
            if join.group.is_empty() {
                refused(JoinError::InvalidGroupId)
            } else if got < min || got > max {
                refused(JoinError::SessionTimeoutOutOfRange { got, min, max })
            } else {
                Ok(())
            }
        }
        GroupCommand::Sync(sync) if sync.group.is_empty() => {
            Err(GroupAnswer::Sync(Err(SyncError::InvalidGroupId)))
        }
        GroupCommand::Heartbeat(heartbeat) if heartbeat.group.is_empty() => {
            Err(GroupAnswer::Heartbeat(Err(HeartbeatError::InvalidGroupId)))
        }
        GroupCommand::Leave(leave) if leave.group.is_empty() => {
            Err(GroupAnswer::Leave(Err(LeaveError::InvalidGroupId)))
        }
        GroupCommand::DeleteOffsets(delete) if delete.group.is_empty() => {
            Err(GroupAnswer::DeleteOffsets(Err(DeleteOffsetsError::InvalidGroupId)))
        }
        GroupCommand::Sync(_)
        | GroupCommand::Heartbeat(_)
        | GroupCommand::Leave(_)
        | GroupCommand::DeleteOffsets(_)
        | GroupCommand::CommitOffsets(_)
        | GroupCommand::FetchOffsets(_)
        | GroupCommand::DeleteGroup(_)
        | GroupCommand::Describe(_)
        | GroupCommand::List(_)
        | GroupCommand::ForgetPartitions(_) => Ok(()),
    }
}

impl GroupShard {
    pub fn new(config: GroupConfig) -> GroupShard {
        GroupShard {
            config,
            images: BTreeMap::new(),
            table: GroupTable::default(),
            offsets: OffsetStore::default(),
            next_sweep: None,
        }
    }

    /// Groups and committed offsets of the shard.
    pub fn counts(&self) -> (usize, usize) {
        (self.table.len(), self.offsets.len())
    }

    /// Topics that any group has an offset of; those that do not exist any more are to be forgotten.
    pub fn topics_with_offsets(&self) -> BTreeSet<TopicName> {
        self.offsets.topics()
    }

    /// The group as it was persisted last.
    pub fn persisted(&self, group: &GroupId) -> Option<&GroupImage> {
        self.images.get(group).map(|image| &**image)
    }

    /// Whether the group has members that all know their assignment, or may.
    pub fn is_stable(&self, group: &GroupId) -> bool {
        self.table.get(group).is_some_and(|group| group.state() == GroupState::Stable)
    }

    /// The group as a record would hold it now.
    pub fn live(&self, group: &GroupId) -> Option<Arc<GroupImage>> {
        self.table.get(group).map(ClassicGroup::image)
    }

    /// Everything that is persisted, as the records that would make it so.
    pub fn replicated_state(&self) -> Vec<GroupRecord> {
        let groups = self
            .images
            .iter()
            .map(|(group, image)| GroupRecord::Group { group: group.clone(), image: Some(image.clone()) });
        let offsets = self.offsets.groups().into_iter().flat_map(|group| {
            let keys = self.offsets.all_keys(&group).into_iter();
            keys.filter_map(|key| {
                let value = self.offsets.get(&key)?.entry.clone();
                Some(GroupRecord::Offset { key, value: Some(value) })
            })
        });
        groups.chain(offsets).collect()
    }

    fn join(&mut self, join: Join<'_>, now: Now, outbox: &mut Outbox<GroupShard>) {
        let Join { request, command } = join;
        if !command.member.is_empty() && self.table.get(&command.group).is_none() {
            let refused = JoinRefused::new(&command.member, JoinError::UnknownMember);
            return outbox.reply(request, GroupAnswer::Join(Err(refused)));
        }
        let mut turn = Turn::new(now, &self.config);
        let (group, is_new) = self.table.get_or_create(&command.group, now.wall);
        group.join(join, &mut turn);
        if is_new && turn.write.is_none() {
            turn.write = Some(group.birth());
        }
        finish(turn, &command.group, outbox);
        self.table.rearm(&command.group);
    }

    fn sync(&mut self, asked: Asked<&SyncGroup>, now: Now, outbox: &mut Outbox<GroupShard>) {
        let Asked { request, command } = asked;
        let mut turn = Turn::new(now, &self.config);
        match self.table.get_mut(&command.group) {
            Some(group) => group.sync(request, command, &mut turn),
            None => turn.reply(request, GroupAnswer::Sync(Err(SyncError::UnknownMember))),
        }
        finish(turn, &command.group, outbox);
        self.table.rearm(&command.group);
    }

    /// The hot path: one look-up, no alarm to move unless the group had none.
    fn heartbeat(&mut self, command: &Heartbeat, now: Now) -> Result<(), HeartbeatError> {
        let group = self.table.get_mut(&command.group).ok_or(HeartbeatError::UnknownMember)?;
        let result = group.heartbeat(command, now.at);
        self.table.ensure_alarm(&command.group);
        result
    }

    fn leave(&mut self, command: &LeaveGroup, now: Now, outbox: &mut Outbox<GroupShard>) -> Vec<LeftMember> {
        let Some(group) = self.table.get_mut(&command.group) else {
            let left = command.members.iter().map(|leaving| LeftMember {
                member: leaving.member.clone(),
                instance: leaving.instance.clone(),
                result: Err(LeaveMemberError::UnknownMember),
            });
            return left.collect();
        };
        let mut turn = Turn::new(now, &self.config);
        let left = group.leave(&command.members, &mut turn);
        finish(turn, &command.group, outbox);
        self.table.rearm(&command.group);
        left
    }

    fn commit(&mut self, command: &CommitOffsets, now: Now, outbox: &mut Outbox<GroupShard>) -> GroupAnswer {
        let known = self.table.get_mut(&command.group);
        let admitted = match known {
            Some(group) => group.admit_commit(command, now.at),
            // Clients that assign themselves need no group: it comes into being with its first offset.
            None if command.generation.is_none() => Ok(()),
            None => Err(CommitError::UnknownGroup),
        };
        if let Err(error) = admitted {
            return GroupAnswer::CommitOffsets(Err(error));
        }
        let (records, topics) = commit::commit(command, self.config.offset_metadata_length_max, now);
        if !records.is_empty() {
            let (_, is_new) = self.table.get_or_create(&command.group, now.wall);
            if is_new {
                outbox.guard(GroupRemedy { group: command.group.clone(), remedy: Remedy::Remove });
            }
        }
        self.table.ensure_alarm(&command.group);
        records.into_iter().for_each(|record| outbox.write(record));
        GroupAnswer::CommitOffsets(Ok(topics))
    }

    fn delete_offsets(
        &self,
        command: &DeleteOffsets,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<Vec<DeletedTopic>, DeleteOffsetsError> {
        let group = self.table.get(&command.group).ok_or(DeleteOffsetsError::UnknownGroup)?;
        if !group.is_empty() && !protocols::is_consumer(group.protocol_type.as_ref()) {
            return Err(DeleteOffsetsError::GroupActive);
        }
        let deleted = command.topics.iter().map(|topic| {
            let subscribed = group.is_subscribed_to(topic.topic.as_str());
            let result = if subscribed { Err(OffsetSubscribed) } else { Ok(()) };
            let partitions = topic.partitions.iter().map(|partition| {
                let key =
                    OffsetKey { group: group.id.clone(), topic: topic.topic.clone(), partition: *partition };
                if let Some(tombstone) = commit::tombstone(&self.offsets, key).filter(|_| !subscribed) {
                    outbox.write(tombstone);
                }
                DeletedPartition { partition: *partition, result: result.clone() }
            });
            DeletedTopic { topic: topic.topic.clone(), partitions: partitions.collect() }
        });
        Ok(deleted.collect())
    }

    fn delete_group(
        &mut self,
        group: &GroupId,
        outbox: &mut Outbox<GroupShard>,
    ) -> Result<(), DeleteGroupError> {
        let known = self.table.get(group).ok_or(DeleteGroupError::UnknownGroup)?;
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
        if let Some(removed) = self.table.remove(group) {
            outbox.write(GroupRecord::Group { group: group.clone(), image: None });
            outbox.guard(GroupRemedy { group: group.clone(), remedy: Remedy::Revive(Box::new(removed)) });
        }
    }

    fn forget(&self, gone: &[PartitionsOfTopic], outbox: &mut Outbox<GroupShard>) {
        for record in commit::forget(&self.offsets, gone) {
            write_in_parts(record, outbox);
        }
    }

    /// Removes offsets that are too old, and groups that hold nothing any more (OFF-05, TRAP-19).
    fn sweep(&mut self, now: Now, outbox: &mut Outbox<GroupShard>) {
        let retention = self.config.offsets_retention;
        let swept: Vec<_> = self
            .table
            .iter()
            .map(|group| {
                (group.id.clone(), group.is_empty(), expiry::sweep(group, &self.offsets, retention, now.wall))
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

/// Passes on what a group decided.
fn finish(turn: Turn<'_>, group: &GroupId, outbox: &mut Outbox<GroupShard>) {
    for (request, answer) in turn.replies {
        outbox.reply(request, answer);
    }
    if let Some((image, remedy)) = turn.write {
        outbox.write(GroupRecord::Group { group: group.clone(), image: Some(image) });
        if let Some(remedy) = remedy {
            outbox.guard(GroupRemedy { group: group.clone(), remedy });
        }
    }
}

/// Tombstones of one removal need not stand or fall together: what is left is removed by the next attempt.
fn write_in_parts(record: GroupRecord, outbox: &mut Outbox<GroupShard>) {
    if outbox.open_records() >= TOMBSTONES_PER_DRAFT_MAX {
        outbox.cut();
    }
    outbox.write(record);
}

impl Shard for GroupShard {
    type Command = GroupCommand;
    type Answer = GroupAnswer;
    type Record = GroupRecord;
    type Undo = GroupUndo;
    type Remedy = GroupRemedy;

    fn precheck(&self, command: &GroupCommand) -> Result<(), GroupAnswer> {
        precheck(&self.config, command)
    }

    /// A heartbeat is believed while the group is being loaded: its sessions begin anew afterwards (GRP-01).
    fn refuse(command: &GroupCommand, why: Unavailable) -> GroupAnswer {
        match command {
            GroupCommand::Join(_) => GroupAnswer::Join(Err(JoinRefused::new(&MemberId::new(""), why.into()))),
            GroupCommand::Sync(_) => GroupAnswer::Sync(Err(why.into())),
            GroupCommand::Heartbeat(_) if why == Unavailable::Loading => GroupAnswer::Heartbeat(Ok(())),
            GroupCommand::Heartbeat(_) => GroupAnswer::Heartbeat(Err(why.into())),
            GroupCommand::Leave(_) => GroupAnswer::Leave(Err(why.into())),
            GroupCommand::CommitOffsets(_) => GroupAnswer::CommitOffsets(Err(why.into())),
            GroupCommand::FetchOffsets(_) => GroupAnswer::FetchOffsets(Err(why.into())),
            GroupCommand::DeleteOffsets(_) => GroupAnswer::DeleteOffsets(Err(why.into())),
            GroupCommand::DeleteGroup(_) => GroupAnswer::DeleteGroup(Err(why.into())),
            GroupCommand::Describe(_) => GroupAnswer::Describe(Err(why.into())),
            GroupCommand::List(_) => GroupAnswer::List(Err(why.into())),
            GroupCommand::ForgetPartitions(_) => GroupAnswer::ForgetPartitions(Err(why)),
        }
    }

    fn fail(answer: GroupAnswer, why: Unavailable) -> GroupAnswer {
        answer.unavailable(why)
    }

    fn on_command(&mut self, asked: Asked<GroupCommand>, now: Now, outbox: &mut Outbox<GroupShard>) {
        let request = asked.request;
        let answer = match &asked.command {
            GroupCommand::Join(join) => return self.join(Join { request, command: join }, now, outbox),
            GroupCommand::Sync(sync) => return self.sync(Asked { request, command: sync }, now, outbox),
            GroupCommand::Heartbeat(heartbeat) => GroupAnswer::Heartbeat(self.heartbeat(heartbeat, now)),
            GroupCommand::Leave(leave) => GroupAnswer::Leave(Ok(self.leave(leave, now, outbox))),
            GroupCommand::CommitOffsets(commit) => self.commit(commit, now, outbox),
            GroupCommand::FetchOffsets(fetch) => {
                GroupAnswer::FetchOffsets(Ok(commit::fetch(&self.offsets, fetch)))
            }
            GroupCommand::DeleteOffsets(delete) => {
                GroupAnswer::DeleteOffsets(self.delete_offsets(delete, outbox))
            }
            GroupCommand::DeleteGroup(group) => GroupAnswer::DeleteGroup(self.delete_group(group, outbox)),
            GroupCommand::Describe(group) => GroupAnswer::Describe(match self.table.get(group) {
                Some(group) => Ok(describe::describe(group)),
                None => Err(DescribeError::UnknownGroup { group: group.clone() }),
            }),
            GroupCommand::List(filter) => GroupAnswer::List(Ok(describe::list(self.table.iter(), filter))),
            GroupCommand::ForgetPartitions(gone) => {
                self.forget(gone, outbox);
                GroupAnswer::ForgetPartitions(Ok(()))
            }
        };
        outbox.reply(request, answer);
    }

    fn on_deadline(&mut self, now: Now, outbox: &mut Outbox<GroupShard>) {
        for id in self.table.due(now.at) {
            let mut turn = Turn::new(now, &self.config);
            if let Some(group) = self.table.get_mut(&id) {
                group.on_deadline(&mut turn);
            }
            finish(turn, &id, outbox);
            outbox.cut();
            self.table.rearm(&id);
        }
        if self.next_sweep.is_some_and(|at| at <= now.at) {
            self.sweep(now, outbox);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.table.deadline(), self.next_sweep].into_iter().flatten().min()
    }

    fn apply(&mut self, record: &GroupRecord, producer: Option<ProducerId>) -> GroupUndo {
        GroupUndo(match record {
            GroupRecord::Offset { key, value } => {
                Undo::Offset(self.offsets.apply(key, value.as_ref(), producer))
            }
            GroupRecord::Group { group, image: Some(image) } => {
                let previous = self.images.insert(group.clone(), image.clone());
                Undo::Group { group: group.clone(), previous }
            }
            GroupRecord::Group { group, image: None } => {
                Undo::Group { group: group.clone(), previous: self.images.remove(group) }
            }
        })
    }

    fn undo(&mut self, undo: GroupUndo) {
        match undo.0 {
            Undo::Offset(undo) => self.offsets.undo(undo),
            Undo::Group { group, previous: Some(image) } => drop(self.images.insert(group, image)),
            Undo::Group { group, previous: None } => drop(self.images.remove(&group)),
        }
    }

    fn remedy(&mut self, failed: FailedWrite<GroupRemedy>, now: Now, outbox: &mut Outbox<GroupShard>) {
        let GroupRemedy { group: id, remedy } = failed.remedy;
        let mut turn = Turn::new(now, &self.config);
        match remedy {
            Remedy::Remove => {
                let removed = self.table.remove(&id);
                turn.replies.extend(removed.iter().flat_map(|group| group.close(failed.why)));
            }
            Remedy::Revive(group) => self.table.insert(*group),
            Remedy::Unassign(generation) => {
                if let Some(group) = self.table.get_mut(&id) {
                    group.unassign(generation, &mut turn);
                }
            }
            Remedy::Restore { present, former } => {
                if let Some(group) = self.table.get_mut(&id) {
                    group.restore(&present, *former, &mut turn);
                }
            }
        }
        finish(turn, &id, outbox);
        self.table.rearm(&id);
    }

    fn on_transaction_marker(&mut self, producer: ProducerId, outcome: TransactionOutcome) {
        self.offsets.on_transaction_marker(producer, outcome);
    }

    fn on_loaded(&mut self, now: Now, outbox: &mut Outbox<GroupShard>) {
        for (id, image) in &self.images {
            self.table.insert(ClassicGroup::from_image(id.clone(), image));
        }
        for id in self.offsets.groups() {
            self.table.get_or_create(&id, now.wall);
        }
        let ids: Vec<GroupId> = self.images.keys().cloned().collect();
        for id in &ids {
            let mut turn = Turn::new(now, &self.config);
            if let Some(group) = self.table.get_mut(id) {
                group.on_loaded(&mut turn);
            }
            finish(turn, id, outbox);
            outbox.cut();
            self.table.rearm(id);
        }
        self.next_sweep = Some(now.at + self.config.offsets_retention_check_interval);
    }

    fn close(&mut self, why: Unavailable) -> Vec<Reply<GroupAnswer>> {
        let parked = self.table.iter().flat_map(|group| group.close(why));
        parked.map(|(request, answer)| Reply { request, answer }).collect()
    }

    fn encode(record: &GroupRecord) -> Result<EncodedRecord, EncodeError> {
        record_bytes::encode(record)
    }

    fn decode(record: &EncodedRecord) -> Result<GroupRecord, Skipped> {
        record_bytes::decode(record)
    }
}
