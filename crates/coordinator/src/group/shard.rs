//! The shard of groups: routes commands to the groups and the offsets, and their outcomes into records and answers.
//!
//! Owns: the order in which the parts learn of an event, the images of the persisted groups.
//! Does not own: the rules (`join`, `rebalance`, `session`, `commit`, `expiry`).
//!
//! Replicated state are the images, the consumer groups and the offsets; the live classic groups in the table are
//! volatile and begin from the images when the shard was loaded.
//!
//! Source: architecture, "Coordinators"; requirements GRP-01…04, OFF-01…10.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use ottla_model::{GroupId, ProducerId, TopicName};
use ottla_protocol::EncodeError;

use super::answer::{
    CommitError, DescribeError, GroupAnswer, HeartbeatError, JoinError, JoinRefused, LeaveMemberError,
    LeftMember, SyncError,
};
use super::classic::{ClassicGroup, GroupState, GroupType, Remedy, Turn};
use super::command::{CommitOffsets, FetchOffsets, GroupCommand, Heartbeat, LeaveGroup, SyncGroup};
use super::consumer::{self, ClusterView, ConsumerRecord, ConsumerTable};
use super::join::Join;
use super::offsets::{OffsetStore, OffsetUndo};
use super::record::{GroupImage, GroupRecord};
use super::table::GroupTable;
use super::{commit, describe, record_bytes, refusal};
use crate::config::GroupConfig;
use crate::runtime::{
    Asked, EncodedRecord, FailedWrite, Now, Outbox, Reply, Shard, Skipped, TransactionOutcome, Unavailable,
};

/// The groups of one partition of `__consumer_offsets`.
pub struct GroupShard {
    pub(super) config: GroupConfig,
    images: BTreeMap<GroupId, Arc<GroupImage>>,
    pub(super) table: GroupTable,
    pub(super) consumers: ConsumerTable,
    pub(super) view: Arc<ClusterView>,
    pub(super) offsets: OffsetStore,
    /// When the next look for offsets that are too old is due.
    pub(super) next_sweep: Option<Instant>,
}

/// What takes a record back.
pub struct GroupUndo(Undo);

enum Undo {
    Offset(OffsetUndo),
    Group {
        group: GroupId,
        previous: Option<Arc<GroupImage>>,
    },
    /// The record that puts a fact of a consumer group back.
    Consumer(ConsumerRecord),
}

/// What sets a live group right when its record was not appended.
pub struct GroupRemedy {
    pub(super) group: GroupId,
    pub(super) remedy: Remedy,
}

impl GroupShard {
    pub fn new(config: GroupConfig) -> GroupShard {
        GroupShard {
            config,
            images: BTreeMap::new(),
            table: GroupTable::default(),
            consumers: ConsumerTable::default(),
            view: Arc::default(),
            offsets: OffsetStore::default(),
            next_sweep: None,
        }
    }

    /// The cluster as it was when this shard began; changes come as commands.
    #[must_use]
    pub fn with_view(self, view: Arc<ClusterView>) -> GroupShard {
        GroupShard { view, ..self }
    }

    /// Groups and committed offsets of the shard.
    pub fn counts(&self) -> (usize, usize) {
        (self.table.len() + self.consumers.iter().count(), self.offsets.len())
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
        let consumers = self.consumers.iter().flat_map(|(group, consumers)| {
            let record = |change| GroupRecord::Consumer(ConsumerRecord { group: group.clone(), change });
            consumers.records().into_iter().map(record).collect::<Vec<_>>()
        });
        groups.chain(consumers).chain(offsets).collect()
    }

    fn join(&mut self, join: Join<'_>, now: Now, outbox: &mut Outbox<GroupShard>) {
        if self.classic_join(join, now, outbox) {
            return;
        }
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
        if self.classic_sync(&asked, now, outbox) {
            return;
        }
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
        if let Some(left) = self.classic_leave(command, now, outbox) {
            return left;
        }
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
        let consumers = self.consumers.get(&command.group).map(|group| group.admit_commit(command));
        let is_consumer_group = consumers.is_some();
        let known = self.table.get_mut(&command.group);
        let admitted = match (consumers, known) {
            (Some(admitted), _) => admitted,
            (None, Some(group)) if command.transaction.is_some() => group.admit_transactional_commit(command),
            (None, Some(group)) => group.admit_commit(command, now.at),
            // Clients that assign themselves need no group: it comes into being with its first offset.
            (None, None) if command.generation.is_none() => Ok(()),
            (None, None) => Err(CommitError::UnknownGroup),
        };
        if let Err(error) = admitted {
            return GroupAnswer::CommitOffsets(Err(error));
        }
        let (records, topics) = commit::commit(command, self.config.offset_metadata_length_max, now);
        if !records.is_empty() && !is_consumer_group {
            let (_, is_new) = self.table.get_or_create(&command.group, now.wall);
            if is_new {
                outbox.guard(GroupRemedy { group: command.group.clone(), remedy: Remedy::Remove });
            }
        }
        self.table.ensure_alarm(&command.group);
        if let Some(author) = command.transaction {
            outbox.sign(author);
        }
        records.into_iter().for_each(|record| outbox.write(record));
        GroupAnswer::CommitOffsets(Ok(topics))
    }
}

impl GroupShard {
    fn fetch(&self, command: &FetchOffsets) -> GroupAnswer {
        let admitted = match self.consumers.get(&command.group) {
            Some(group) => group.admit_fetch(&command.asker),
            None => Ok(()),
        };
        GroupAnswer::FetchOffsets(admitted.map(|()| commit::fetch(&self.offsets, command)))
    }

    fn describe_consumers(&self, id: &GroupId) -> Result<consumer::DescribedConsumerGroup, DescribeError> {
        let Some(group) = self.consumers.get(id) else {
            return Err(match self.table.get(id) {
                Some(_) => DescribeError::OtherType { group: id.clone(), wanted: GroupType::Consumer },
                None => DescribeError::UnknownGroup { group: id.clone() },
            });
        };
        let default = self.config.consumer.assignors.first;
        Ok(consumer::describe(id, group, (self.view.topics.as_ref(), default)))
    }
}

/// Passes on what a group decided.
pub(super) fn finish(turn: Turn<'_>, group: &GroupId, outbox: &mut Outbox<GroupShard>) {
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

impl Shard for GroupShard {
    type Command = GroupCommand;
    type Answer = GroupAnswer;
    type Record = GroupRecord;
    type Undo = GroupUndo;
    type Remedy = GroupRemedy;
    type Effect = Infallible;

    fn precheck(&self, command: &GroupCommand) -> Result<(), GroupAnswer> {
        refusal::precheck(&self.config, command)
    }

    fn outlasts_loading(command: &GroupCommand) -> bool {
        refusal::outlasts_loading(command)
    }

    fn refuse(command: &GroupCommand, why: Unavailable) -> GroupAnswer {
        refusal::refuse(command, why)
    }

    fn fail(answer: GroupAnswer, why: Unavailable) -> GroupAnswer {
        answer.unavailable(why)
    }

    fn on_command(&mut self, asked: Asked<GroupCommand>, now: Now, outbox: &mut Outbox<GroupShard>) {
        let request = asked.request;
        let answer = match &asked.command {
            GroupCommand::Join(join) => return self.join(Join { request, command: join }, now, outbox),
            GroupCommand::Sync(sync) => return self.sync(Asked { request, command: sync }, now, outbox),
            GroupCommand::Heartbeat(heartbeat) => match self.classic_heartbeat(heartbeat, now) {
                Some(answer) => answer,
                None => GroupAnswer::Heartbeat(self.heartbeat(heartbeat, now)),
            },
            GroupCommand::Leave(leave) => GroupAnswer::Leave(Ok(self.leave(leave, now, outbox))),
            GroupCommand::CommitOffsets(commit) => self.commit(commit, now, outbox),
            GroupCommand::FetchOffsets(fetch) => self.fetch(fetch),
            GroupCommand::DeleteOffsets(delete) => {
                GroupAnswer::DeleteOffsets(self.delete_offsets(delete, outbox))
            }
            GroupCommand::DeleteGroup(group) => GroupAnswer::DeleteGroup(self.delete_group(group, outbox)),
            GroupCommand::Describe(group) => GroupAnswer::Describe(match self.table.get(group) {
                _ if self.consumers.get(group).is_some() => {
                    Err(DescribeError::OtherType { group: group.clone(), wanted: GroupType::Classic })
                }
                Some(group) => Ok(describe::describe(group)),
                None => Err(DescribeError::UnknownGroup { group: group.clone() }),
            }),
            GroupCommand::List(filter) => {
                GroupAnswer::List(Ok(describe::list(self.table.iter(), self.consumers.iter(), filter)))
            }
            GroupCommand::ForgetPartitions(gone) => {
                self.forget(gone, outbox);
                GroupAnswer::ForgetPartitions(Ok(()))
            }
            GroupCommand::ConsumerHeartbeat(heartbeat) => {
                GroupAnswer::ConsumerHeartbeat(self.consumer_heartbeat(heartbeat, now, outbox))
            }
            GroupCommand::DescribeConsumers(group) => {
                GroupAnswer::DescribeConsumers(self.describe_consumers(group))
            }
            GroupCommand::TakeFound(found) => {
                self.take_found(found, now, outbox);
                GroupAnswer::Noted(Ok(()))
            }
            GroupCommand::View(view) => {
                self.on_view(view);
                GroupAnswer::Noted(Ok(()))
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
        self.on_consumer_deadline(now, outbox);
        if self.next_sweep.is_some_and(|at| at <= now.at) {
            self.sweep(now, outbox);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.table.deadline(), self.consumers.deadline(), self.next_sweep].into_iter().flatten().min()
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
            GroupRecord::Consumer(record) => Undo::Consumer(self.consumers.apply(record)),
        })
    }

    fn undo(&mut self, undo: GroupUndo) {
        match undo.0 {
            Undo::Offset(undo) => self.offsets.undo(undo),
            Undo::Group { group, previous: Some(image) } => drop(self.images.insert(group, image)),
            Undo::Group { group, previous: None } => drop(self.images.remove(&group)),
            Undo::Consumer(record) => drop(self.consumers.apply(&record)),
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
            Remedy::LookAgain => self.consumers.set_metadata_due(&id, true),
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
        let is_classic = |id: &GroupId| self.consumers.get(id).is_none();
        for (id, image) in self.images.iter().filter(|(id, _)| is_classic(id)) {
            self.table.insert(ClassicGroup::from_image(id.clone(), image));
        }
        for id in self.offsets.groups().into_iter().filter(is_classic) {
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
        self.on_consumers_loaded(now);
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
