//! What a state machine must offer to be a shard, and what it is given.
//!
//! Owns: the contract between the runtime and its shards. Does not own: any state.
//!
//! The pattern: a request reads the state and leaves records and answers in the [`Outbox`]; only [`Shard::apply`]
//! changes replicated state, fresh or at replay. What a shard holds besides (timers, parked requests, members that
//! are about to join) is volatile: no record tells of it, a restart forgets it, and a [`Shard::Remedy`] sets it right
//! when the records that went with it were not appended.

use std::time::Instant;

use bytes::Bytes;
use ottla_model::{ProducerEpoch, ProducerId, Timestamp, Verification};
use ottla_protocol::EncodeError;

/// Both times at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub at: Instant,
    /// For what is written down and shown.
    pub wall: Timestamp,
}

/// Names one waiting request. The caller chooses it and finds its connection by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A command and the request that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<C> {
    pub request: RequestId,
    pub command: C,
}

/// Something decided that was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedWrite<R> {
    pub remedy: R,
    pub why: Unavailable,
}

/// An answer that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<A> {
    pub request: RequestId,
    pub answer: A,
}

/// Key and value of a record as they lie in the log; no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl EncodedRecord {
    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// The transaction that records are written in: they take effect when it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    /// What is known about the transaction in the coordinator's log.
    pub verification: Verification,
}

/// A transaction that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedTransaction {
    pub producer: ProducerId,
    pub outcome: TransactionOutcome,
}

/// Why a record of the log was left out. A newer version of the software, or another, may have written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("record type {0} is not known")]
    UnknownType(i16),
    #[error("record type {record_type} has unknown version {version}")]
    UnknownVersion { record_type: i16, version: i16 },
    #[error("record of type {record_type} cannot be read: {detail}")]
    Malformed { record_type: i16, detail: String },
    #[error("record has no key, or one without a type")]
    NoKey,
}

/// Why a coordinator does not do what it could do otherwise; a client tries again, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the coordinator is loading its state")]
    Loading,
    #[error("this broker is not the coordinator")]
    NotCoordinator,
    #[error("the coordinator is shutting down, or its topic does not exist")]
    ShuttingDown,
    /// Too few replicas, a timeout, or the topic is gone: nobody knows whether the write will last.
    #[error("the coordinator could not commit the change")]
    WriteFailed,
    /// The records exceed what the topic takes; trying again does not help.
    #[error("the coordinator's log refused the change")]
    WriteRefused,
    /// The records are a transaction's, and a later incarnation of its producer has been seen.
    #[error("the producer of the change is fenced")]
    ProducerFenced,
    /// The records are a transaction's that does not go on in the coordinator's log.
    #[error("the change is not part of an ongoing transaction")]
    NotInTransaction,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    Committed,
    Aborted,
}

/// A replicated state machine.
pub trait Shard: Sized {
    type Command;
    type Answer;
    type Record;
    /// What takes a record's change back.
    type Undo;
    /// What sets volatile state right when its records were not appended.
    type Remedy;
    /// What is to be done outside once the records it follows from are committed. What was not committed has none.
    type Effect;

    /// Refuses what no coordinator would accept, whatever its state. It comes before all other checks.
    fn precheck(&self, command: &Self::Command) -> Result<(), Self::Answer>;

    /// Whether a command that arrives while the log is read is carried out afterwards. Others are refused: their
    /// senders try again.
    fn outlasts_loading(command: &Self::Command) -> bool;

    /// The answer to a command that is not looked at.
    fn refuse(command: &Self::Command, why: Unavailable) -> Self::Answer;

    /// The answer of the same operation when its records were not committed.
    fn fail(answer: Self::Answer, why: Unavailable) -> Self::Answer;

    /// Decides. An answer may also come later, out of another call.
    fn on_command(&mut self, asked: Asked<Self::Command>, now: Now, outbox: &mut Outbox<Self>);

    /// Time went on.
    fn on_deadline(&mut self, now: Now, outbox: &mut Outbox<Self>);

    /// When [`Shard::on_deadline`] is due.
    fn deadline(&self) -> Option<Instant>;

    /// Changes replicated state. `producer` wrote the record in a transaction that is not decided yet.
    fn apply(&mut self, record: &Self::Record, producer: Option<ProducerId>) -> Self::Undo;

    /// Takes a change back, the youngest first.
    fn undo(&mut self, undo: Self::Undo);

    /// Sets volatile state right, the youngest first, after all changes were taken back.
    fn remedy(&mut self, failed: FailedWrite<Self::Remedy>, now: Now, outbox: &mut Outbox<Self>);

    /// A transaction was decided.
    fn on_transaction_marker(&mut self, producer: ProducerId, outcome: TransactionOutcome);

    /// All records were replayed; volatile state begins.
    fn on_loaded(&mut self, now: Now, outbox: &mut Outbox<Self>);

    /// Answers to all who wait for something other than the log.
    fn close(&mut self, why: Unavailable) -> Vec<Reply<Self::Answer>>;

    /// The bytes of a record, or why it has none (a text longer than its field can hold).
    fn encode(record: &Self::Record) -> Result<EncodedRecord, EncodeError>;

    fn decode(record: &EncodedRecord) -> Result<Self::Record, Skipped>;
}

/// Records and answers that belong together: they are appended in one batch, and the answers wait for it.
pub struct Draft<S: Shard> {
    pub author: Option<Author>,
    pub records: Vec<S::Record>,
    pub remedies: Vec<S::Remedy>,
    pub replies: Vec<Reply<S::Answer>>,
    pub effects: Vec<S::Effect>,
}

impl<S: Shard> Draft<S> {
    fn empty() -> Draft<S> {
        let (records, remedies) = (Vec::new(), Vec::new());
        Draft { author: None, records, remedies, replies: Vec::new(), effects: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.remedies.is_empty()
            && self.replies.is_empty()
            && self.effects.is_empty()
    }
}

/// What one call decided.
pub struct Outbox<S: Shard> {
    done: Vec<Draft<S>>,
    open: Draft<S>,
}

impl<S: Shard> Default for Outbox<S> {
    fn default() -> Outbox<S> {
        Outbox { done: Vec::new(), open: Draft::empty() }
    }
}

impl<S: Shard> Outbox<S> {
    /// A change of replicated state.
    pub fn write(&mut self, record: S::Record) {
        self.open.records.push(record);
    }

    /// The records of this draft belong to a transaction. They are appended alone, in its producer's name.
    pub fn sign(&mut self, author: Author) {
        self.open.author = Some(author);
    }

    /// What to do if the records of this draft are not appended.
    pub fn guard(&mut self, remedy: S::Remedy) {
        self.open.remedies.push(remedy);
    }

    /// An answer that may leave once the records of this draft are committed.
    pub fn reply(&mut self, request: RequestId, answer: S::Answer) {
        self.open.replies.push(Reply { request, answer });
    }

    /// What to do outside once the records of this draft are committed.
    pub fn then(&mut self, effect: S::Effect) {
        self.open.effects.push(effect);
    }

    /// What follows need not be appended together with what came before.
    pub fn cut(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::replace(&mut self.open, Draft::empty()));
        }
    }

    /// Records in the draft that is open.
    pub fn open_records(&self) -> usize {
        self.open.records.len()
    }

    pub(crate) fn into_drafts(mut self) -> Vec<Draft<S>> {
        self.cut();
        self.done
    }
}
