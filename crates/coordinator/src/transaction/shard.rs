//! The shard of transactions: routes commands to the rules, and their outcomes into records, answers and effects.
//!
//! Owns: the images of the transactional ids, the order in which the parts learn of an event, when expiry is looked
//! for, which markers are out.
//! Does not own: the rules (`initialize`, `enlist`, `end`, `expiry`).
//!
//! Replicated state are the images. Which partitions have their marker is volatile: after a restart all of them get it
//! once more, and take it once.
//!
//! Invariants
//! - T1 markers are asked for only once the decision is committed, and after every load again until it is complete;
//! - T2 a decision is never taken back, and nothing begins under the same id before it is complete.
//!
//! Source: architecture, "Coordinators"; requirements TXN-01…05, TXN-10, TXN-11, TXN-14.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_model::{ProducerId, Timestamp, TopicPartition, TransactionVersion, TransactionalId};
use ottla_protocol::EncodeError;

use super::answer::{
    DescribeTransactionError, DescribedTransaction, EndError, EnlistError, InitializeError,
    ListedTransaction, TransactionAnswer,
};
use super::command::{
    EndTransaction, Enlist, Expire, Initialize, Marked, TransactionCommand, TransactionFilter,
};
use super::effect::{Marking, TransactionEffect};
use super::end::{Ended, Ending, NeedsProducerId};
use super::initialize::Initialized;
use super::record::{TransactionImage, TransactionRecord, TransactionState, ValueVersion};
use super::{end, enlist, expiry, initialize, record_bytes, refusal, view};
use crate::config::TransactionConfig;
use crate::runtime::{
    Asked, EncodedRecord, FailedWrite, Now, Outbox, Reply, Shard, Skipped, TransactionOutcome, Unavailable,
};

/// Pause before the end of a transaction is written again that could not be. It must not busy a log that is in trouble.
const COMPLETION_RETRY: Duration = Duration::from_millis(500);

/// The transactional ids of one partition of `__transaction_state`.
pub struct TransactionShard {
    config: TransactionConfig,
    /// The cluster's.
    version: TransactionVersion,
    images: BTreeMap<TransactionalId, Arc<TransactionImage>>,
    /// Those of the ids whose transaction is open.
    open: BTreeSet<TransactionalId>,
    /// Partitions that have their marker, of transactions that are not complete.
    marked: BTreeMap<TransactionalId, BTreeSet<TopicPartition>>,
    /// Transactions whose end could not be written, and when that is tried again.
    incomplete: BTreeSet<TransactionalId>,
    retry_at: Option<Instant>,
    next_abort_scan: Option<Instant>,
    next_removal_scan: Option<Instant>,
}

/// What takes a record back.
pub struct TransactionUndo {
    id: TransactionalId,
    previous: Option<Arc<TransactionImage>>,
}

/// The last step of this transaction is to be tried again if it was not appended.
pub struct TransactionRemedy(TransactionalId);

impl TransactionShard {
    pub fn new(config: TransactionConfig, version: TransactionVersion) -> TransactionShard {
        TransactionShard {
            config,
            version,
            images: BTreeMap::new(),
            open: BTreeSet::new(),
            marked: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            retry_at: None,
            next_abort_scan: None,
            next_removal_scan: None,
        }
    }

    /// The id as it stands.
    pub fn image(&self, id: &TransactionalId) -> Option<&TransactionImage> {
        self.images.get(id).map(|image| &**image)
    }

    /// All ids.
    pub fn images(&self) -> impl Iterator<Item = (&TransactionalId, &TransactionImage)> {
        self.images.iter().map(|(id, image)| (id, &**image))
    }

    fn put(
        &mut self,
        id: &TransactionalId,
        image: Option<Arc<TransactionImage>>,
    ) -> Option<Arc<TransactionImage>> {
        let is_open = image.as_ref().is_some_and(|image| image.state == TransactionState::Ongoing);
        if is_open {
            self.open.insert(id.clone());
        } else {
            self.open.remove(id);
        }
        if image.as_ref().is_none_or(|image| image.state.decided().is_none()) {
            self.marked.remove(id);
        }
        match image {
            Some(image) => self.images.insert(id.clone(), image),
            None => self.images.remove(id),
        }
    }

    /// Whether records have room for what a client of this version does (TXN-08).
    fn may_write(&self, version: TransactionVersion) -> bool {
        version == TransactionVersion::Zero || ValueVersion::from(self.version) != ValueVersion::Zero
    }

    fn write(&self, id: &TransactionalId, image: TransactionImage, outbox: &mut Outbox<TransactionShard>) {
        let layout = ValueVersion::from(self.version);
        outbox.write(TransactionRecord { id: id.clone(), image: Some(Arc::new(image)), layout });
    }

    fn initialize(
        &self,
        command: &Initialize,
        now: Now,
        outbox: &mut Outbox<TransactionShard>,
    ) -> TransactionAnswer {
        let current = self.image(&command.id);
        TransactionAnswer::Initialize(
            match initialize::initialize(current, command, (self.version, now.wall)) {
                Ok(Initialized::Ready(image)) => {
                    let producer = image.producer;
                    self.write(&command.id, image, outbox);
                    Ok(producer)
                }
                Ok(Initialized::Aborting(ending)) => {
                    self.finish(&command.id, ending, outbox);
                    Err(InitializeError::Concurrent)
                }
                Err(error) => Err(error),
            },
        )
    }

    fn enlist(&self, command: &Enlist, now: Now, outbox: &mut Outbox<TransactionShard>) -> TransactionAnswer {
        let enlisted = match enlist::enlist(self.image(&command.id), command, now.wall) {
            Ok(Some(_)) if !self.may_write(command.version) => Err(EnlistError::UnsupportedVersion),
            Ok(Some(image)) => {
                self.write(&command.id, image, outbox);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        TransactionAnswer::Enlist(enlisted)
    }

    fn end(
        &self,
        command: &EndTransaction,
        now: Now,
        outbox: &mut Outbox<TransactionShard>,
    ) -> TransactionAnswer {
        let current = self.image(&command.id);
        let producer = match end::end(current, command, now.wall) {
            Ok(Ended::Begun(_)) if !self.may_write(command.version) => Err(EndError::UnsupportedVersion),
            Ok(Ended::Begun(ending)) => {
                let producer = ending.identity(now.wall);
                self.finish(&command.id, *ending, outbox);
                Ok(Some(producer))
            }
            Ok(Ended::Before) => Ok(current.map(|image| image.producer)),
            Err(error) => Err(error),
        };
        let is_told = command.version.bumps_epochs();
        TransactionAnswer::End(producer.map(|producer| producer.filter(|_| is_told)))
    }

    /// Writes the decision, and has the partitions told once it is committed.
    fn finish(&self, id: &TransactionalId, ending: Ending, outbox: &mut Outbox<TransactionShard>) {
        let Ending { prepared, complete } = ending;
        if complete.is_none() {
            outbox.then(TransactionEffect::Mark(marking(id, &prepared)));
        }
        self.write(id, prepared, outbox);
        if let Some(complete) = complete {
            self.write(id, complete, outbox);
        }
    }

    fn on_marked(&mut self, command: Marked, now: Now, outbox: &mut Outbox<TransactionShard>) {
        let Some(image) = self.images.get(&command.id) else { return };
        // Late news of a transaction that is over.
        if image.state.decided().is_none() || image.producer != command.producer {
            return;
        }
        let marked = self.marked.entry(command.id.clone()).or_default();
        marked.extend(command.partitions);
        if image.partitions.is_subset(marked) {
            self.complete(&command.id, now, outbox);
        }
    }

    /// Every partition knows.
    fn complete(&self, id: &TransactionalId, now: Now, outbox: &mut Outbox<TransactionShard>) {
        let Some(image) = self.image(id).filter(|image| image.state.decided().is_some()) else { return };
        let image = end::complete(image, now.wall);
        self.write(id, image, outbox);
        outbox.guard(TransactionRemedy(id.clone()));
        outbox.cut();
    }

    fn expire(&self, command: &Expire, now: Now, outbox: &mut Outbox<TransactionShard>) {
        let current = self.image(&command.id);
        let same = current.filter(|image| image.producer == command.producer);
        if let Some(image) = same.filter(|image| expiry::is_over_time(image, now.wall)) {
            self.abort((&command.id, image), (Some(command.fresh), now.wall), outbox);
        }
    }

    /// Ends a transaction that ran out of time.
    fn abort(
        &self,
        (id, image): (&TransactionalId, &TransactionImage),
        (fresh, now): (Option<ProducerId>, Timestamp),
        outbox: &mut Outbox<TransactionShard>,
    ) {
        match end::fence(image, self.version, (fresh, now)) {
            Ok(ending) => self.finish(id, ending, outbox),
            Err(NeedsProducerId) => {
                let (id, producer) = (id.clone(), image.producer);
                outbox.then(TransactionEffect::FetchProducerId { id, producer });
            }
        }
        outbox.cut();
    }

    fn abort_those_over_time(&self, now: Timestamp, outbox: &mut Outbox<TransactionShard>) {
        for id in &self.open {
            if let Some(image) = self.image(id).filter(|image| expiry::is_over_time(image, now)) {
                self.abort((id, image), (None, now), outbox);
            }
        }
    }

    fn remove_unused(&self, now: Timestamp, outbox: &mut Outbox<TransactionShard>) {
        let layout = ValueVersion::from(self.version);
        for (id, image) in &self.images {
            if expiry::is_unused(image, self.config.id_expiration, now) {
                outbox.write(TransactionRecord { id: id.clone(), image: None, layout });
                outbox.cut();
            }
        }
    }

    fn describe(&self, id: &TransactionalId) -> Result<DescribedTransaction, DescribeTransactionError> {
        let image = self.image(id).ok_or(DescribeTransactionError::UnknownId)?;
        let mut described = view::describe(image);
        if let Some(marked) = self.marked.get(id) {
            described.partitions.retain(|partition| !marked.contains(partition));
        }
        Ok(described)
    }

    fn list(&self, filter: &TransactionFilter, now: Timestamp) -> Vec<ListedTransaction> {
        self.images.iter().filter_map(|(id, image)| view::row(id, image, (filter, now))).collect()
    }
}

fn marking(id: &TransactionalId, prepared: &TransactionImage) -> Marking {
    Marking {
        id: id.clone(),
        producer: prepared.producer,
        outcome: prepared.state.decided().unwrap_or(TransactionOutcome::Aborted),
        version: prepared.version,
        partitions: prepared.partitions.clone(),
    }
}

impl Shard for TransactionShard {
    type Command = TransactionCommand;
    type Answer = TransactionAnswer;
    type Record = TransactionRecord;
    type Undo = TransactionUndo;
    type Remedy = TransactionRemedy;
    type Effect = TransactionEffect;

    fn precheck(&self, command: &TransactionCommand) -> Result<(), TransactionAnswer> {
        refusal::precheck(&self.config, command)
    }

    fn outlasts_loading(command: &TransactionCommand) -> bool {
        refusal::outlasts_loading(command)
    }

    fn refuse(command: &TransactionCommand, why: Unavailable) -> TransactionAnswer {
        refusal::refuse(command, why)
    }

    fn fail(answer: TransactionAnswer, why: Unavailable) -> TransactionAnswer {
        answer.unavailable(why)
    }

    fn on_command(
        &mut self,
        asked: Asked<TransactionCommand>,
        now: Now,
        outbox: &mut Outbox<TransactionShard>,
    ) {
        let Asked { request, command } = asked;
        let answer = match command {
            TransactionCommand::Initialize(command) => self.initialize(&command, now, outbox),
            TransactionCommand::Enlist(command) => self.enlist(&command, now, outbox),
            TransactionCommand::Verify(command) => {
                TransactionAnswer::Verify(enlist::verify(self.image(&command.id), &command))
            }
            TransactionCommand::End(command) => self.end(&command, now, outbox),
            TransactionCommand::Describe(id) => TransactionAnswer::Describe(self.describe(&id)),
            TransactionCommand::List(filter) => TransactionAnswer::List(Ok(self.list(&filter, now.wall))),
            TransactionCommand::Marked(command) => {
                self.on_marked(command, now, outbox);
                TransactionAnswer::Noted(Ok(()))
            }
            TransactionCommand::Expire(command) => {
                self.expire(&command, now, outbox);
                TransactionAnswer::Noted(Ok(()))
            }
            TransactionCommand::ClusterVersion(version) => {
                self.version = version;
                TransactionAnswer::Noted(Ok(()))
            }
        };
        outbox.reply(request, answer);
    }

    fn on_deadline(&mut self, now: Now, outbox: &mut Outbox<TransactionShard>) {
        if self.retry_at.is_some_and(|at| at <= now.at) {
            self.retry_at = None;
            for id in std::mem::take(&mut self.incomplete) {
                self.complete(&id, now, outbox);
            }
        }
        if self.next_abort_scan.is_some_and(|at| at <= now.at) {
            self.next_abort_scan = Some(now.at + self.config.abort_scan_interval);
            self.abort_those_over_time(now.wall, outbox);
        }
        if self.next_removal_scan.is_some_and(|at| at <= now.at) {
            self.next_removal_scan = Some(now.at + self.config.removal_scan_interval);
            self.remove_unused(now.wall, outbox);
        }
    }

    /// Nothing is looked for where nothing is.
    fn deadline(&self) -> Option<Instant> {
        let abort_scan = self.next_abort_scan.filter(|_| !self.open.is_empty());
        let removal_scan = self.next_removal_scan.filter(|_| !self.images.is_empty());
        [self.retry_at, abort_scan, removal_scan].into_iter().flatten().min()
    }

    fn apply(&mut self, record: &TransactionRecord, _: Option<ProducerId>) -> TransactionUndo {
        let previous = self.put(&record.id, record.image.clone());
        TransactionUndo { id: record.id.clone(), previous }
    }

    fn undo(&mut self, undo: TransactionUndo) {
        self.put(&undo.id, undo.previous);
    }

    /// The partitions have their markers, so only the last step is left.
    fn remedy(&mut self, failed: FailedWrite<TransactionRemedy>, now: Now, _: &mut Outbox<TransactionShard>) {
        self.incomplete.insert(failed.remedy.0);
        self.retry_at.get_or_insert(now.at + COMPLETION_RETRY);
    }

    /// Nobody writes to `__transaction_state` in a transaction.
    fn on_transaction_marker(&mut self, _: ProducerId, _: TransactionOutcome) {}

    fn on_loaded(&mut self, now: Now, outbox: &mut Outbox<TransactionShard>) {
        self.next_abort_scan = Some(now.at + self.config.abort_scan_interval);
        self.next_removal_scan = Some(now.at + self.config.removal_scan_interval);
        for (id, image) in &self.images {
            if image.state.decided().is_none() {
                continue;
            }
            if image.partitions.is_empty() {
                self.complete(id, now, outbox);
            } else {
                outbox.then(TransactionEffect::Mark(marking(id, image)));
                outbox.cut();
            }
        }
    }

    fn close(&mut self, _: Unavailable) -> Vec<Reply<TransactionAnswer>> {
        Vec::new()
    }

    fn encode(record: &TransactionRecord) -> Result<EncodedRecord, EncodeError> {
        record_bytes::encode(record)
    }

    fn decode(record: &EncodedRecord) -> Result<TransactionRecord, Skipped> {
        record_bytes::decode(record)
    }
}
