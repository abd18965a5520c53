//! What errors of idempotent producers and transactions mean.
//!
//! Owns: their texts. Does not own: how they are shown (`explain`).

use ottla_protocol::ErrorCode as Code;

use super::{Text, text};

pub const TEXTS: &[(Code, Text)] = &[
    (
        Code::OutOfOrderSequenceNumber,
        text(
            "The broker got a batch of an idempotent producer while one before it is missing.",
            "The batch before was lost or given up (delivery.timeout.ms), or the broker lost what it knew of the producer.",
            "Clients repair this by themselves where they can; else it is fatal: make a new producer, and check what was written last.",
        ),
    ),
    (
        Code::DuplicateSequenceNumber,
        text(
            "The broker has this batch of an idempotent producer already.",
            "The batch was sent again after its answer was lost.",
            "Nothing: the records are there once.",
        ),
    ),
    (
        Code::InvalidProducerEpoch,
        text(
            "A producer with an old epoch writes: a newer one has taken its place.",
            "Another program uses the same transactional.id, or the coordinator ended a transaction that took longer than transaction.timeout.ms.",
            "End this producer or begin a new transaction. Give every instance a transactional.id of its own.",
        ),
    ),
    (
        Code::InvalidTxnState,
        text(
            "This step does not fit the state of the transaction.",
            "A commit without a beginning, a write after the end, or the coordinator has ended the transaction in the meantime.",
            "Abort and begin anew. If it comes back, the program calls the steps in a wrong order.",
        ),
    ),
    (
        Code::InvalidProducerIdMapping,
        text(
            "The transactional id no longer belongs to this producer.",
            "It expired while it was not used (transactional.id.expiration.ms), or another producer took it.",
            "Make a new producer, which gets a new id.",
        ),
    ),
    (
        Code::InvalidTransactionTimeout,
        text(
            "The producer wants longer transactions than the brokers allow.",
            "transaction.timeout.ms of the producer is above transaction.max.timeout.ms of the brokers.",
            "Lower the one or raise the other.",
        ),
    ),
    (
        Code::ConcurrentTransactions,
        text(
            "The transaction before is still being ended.",
            "A new one was begun at once; its predecessor's end is still being written to all partitions.",
            "Nothing: clients try again after a short wait.",
        ),
    ),
    (
        Code::TransactionCoordinatorFenced,
        text(
            "A broker wanted to end a transaction that it no longer coordinates.",
            "The coordinator moved to another broker.",
            "Nothing: the new coordinator ends the transaction.",
        ),
    ),
    (
        Code::UnknownProducerId,
        text(
            "The partition does not know this producer any more.",
            "All its records were deleted by retention, or it was silent for longer than producer.id.expiration.ms.",
            "Clients begin a new sequence by themselves; old ones fail and need a new producer.",
        ),
    ),
    (
        Code::ProducerFenced,
        text(
            "Another producer with the same transactional.id has begun; this one may not write any more.",
            "Two instances share an id, or a replacement was started while this one was taken for dead.",
            "End this producer. Give every instance a transactional.id of its own.",
        ),
    ),
    (
        Code::TransactionalIdNotFound,
        text(
            "There is no such transactional id.",
            "It is misspelt, was never used or has expired.",
            "kafka-transactions list shows which there are.",
        ),
    ),
    (
        Code::TransactionAbortable,
        text(
            "Something went wrong in this transaction; the producer itself is well.",
            "A partition could not be verified or a write failed for good.",
            "Abort the transaction, begin a new one and send again.",
        ),
    ),
];
