//! The answer to a fetch: rows in the session's order, records inline or as ranges of files.
//!
//! Owns: which partitions are in the answer, what the session learns, how records travel.
//! Does not own: the bytes of the form (`protocol::fetch`), sending (`connection`).
//!
//! Source: requirements FET-01 to FET-04, FET-15 to FET-22; performance design 4.3.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ottla_env::disk::File;
use ottla_env::spare::{Spare, SpareLimits};
use ottla_env::time::wall_now;
use ottla_model::Offset;
use ottla_mutant::mutant;
use ottla_protocol::fetch::{
    AbortedTransaction, EpochEndOffset, FetchOutcome, FetchResponseWriter, FetchShape,
};
use ottla_protocol::produce::TopicLabel;
use ottla_protocol::reply::{FileSlice, Reply, ReplyHead};
use ottla_protocol::{EncodeError, ErrorCode};
use ottla_storage::ReadError;

use super::read::{Found, Target};
use super::session::{FetchContext, PartitionRef, Told, TopicRef};
use crate::caller::Caller;
use crate::error_code;
use crate::leaders::Leaders;
use crate::node::Node;
use crate::partition::{LookError, ReadOutcome};

/// Records up to this many bytes are copied behind the header and go out in one send; larger ones go by `sendfile`.
/// Measured: below, the copy is cheaper than a second system call.
pub const INLINE_BYTES_MAX: u32 = 32 * 1024;

/// First version whose readers are told who leads instead. The field is there before, but Kafka leaves it to followers.
const FIRST_WITH_LEADERS: i16 = 16;

/// First version in which topics go by ids.
const FIRST_WITH_IDS: i16 = 13;

/// A reply to a client: bytes and ranges of segment files.
pub type FileReply = Reply<Arc<dyn File>>;

/// Frames up to this size give their memory to the next answer of the thread.
const SPARE_BYTES_MAX: usize = 64 * 1024;
/// How many a thread keeps.
const SPARE_FRAMES_MAX: usize = 16;

thread_local! {
    static SPARE: Spare =
        const { Spare::new(SpareLimits { pieces_max: SPARE_FRAMES_MAX, piece_bytes_max: SPARE_BYTES_MAX }) };
}

/// An answer that was sent leaves its memory behind.
struct Frame(Vec<u8>);

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.0);
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| spare.give(memory));
    }
}

/// Empty memory for a frame of about so many bytes.
fn take_memory(bytes: usize) -> Vec<u8> {
    let mut memory = SPARE.with(Spare::take);
    memory.reserve(bytes);
    memory
}

/// Why an answer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("records could not be read")]
    Read(#[from] io::Error),
}

/// An answer without partitions: the session could not be used.
pub fn refused(head: ReplyHead, error: ErrorCode) -> Result<FileReply, AnswerError> {
    let shape = FetchShape { throttle_ms: 0, error, session_id: 0, topics: 0 };
    Ok(FetchResponseWriter::new(head, shape, 0).finish(&[])?)
}

/// An answer after a failure: before version 13 every partition that was asked for carries the error, too.
pub fn failed(head: ReplyHead, context: &FetchContext, error: ErrorCode) -> Result<FileReply, AnswerError> {
    if head.version >= FIRST_WITH_IDS {
        return refused(head, error);
    }
    let partitions = context.partitions();
    let groups = grouped(partitions, &(0..partitions.len()).collect::<Vec<_>>());
    let shape = FetchShape { throttle_ms: 0, error, session_id: 0, topics: groups.len() };
    let mut writer = FetchResponseWriter::new(head, shape, partitions.len() * 60);
    for group in groups {
        let rows: Vec<&PartitionRef> =
            group.iter().filter_map(|at| partitions.get(*at)).map(|(partition, _)| partition).collect();
        let Some(first) = rows.first() else { continue };
        writer.topic(label_of(&first.topic), rows.len());
        for row in rows {
            let outcome = FetchOutcome::refused(row.partition, error);
            writer.partition(&FetchOutcome { aborted_transactions: Some(&[]), ..outcome });
        }
    }
    Ok(writer.finish(&[])?)
}

/// The answer with what was found. `found` follows the context's order.
pub fn answer(
    (node, caller): (&Node, &Caller),
    head: ReplyHead,
    context: &FetchContext,
    (targets, found): (&[Target], &[Found]),
) -> Result<FileReply, AnswerError> {
    let version = head.version;
    let told: Vec<Told> = found.iter().map(told_of).collect();
    let (session_id, included) = settle_session(node, context, &told);
    let rows: Vec<usize> = (0..found.len()).filter(|at| included.get(*at).copied().unwrap_or(true)).collect();
    let groups = grouped(context.partitions(), &rows);
    let inline: usize = rows.len() * 60 + inline_bytes(&rows, found);
    let shape = FetchShape { throttle_ms: 0, error: ErrorCode::None, session_id, topics: groups.len() };
    let mut writer = FetchResponseWriter::new_in(take_memory(inline), head, shape);
    let mut leaders = Leaders::new(node, caller);
    for group in groups {
        let Some((first, _)) = group.first().and_then(|at| context.partitions().get(*at)) else { continue };
        writer.topic(label_of(&first.topic), group.len());
        for at in group {
            let (Some((wanted, _)), Some(target), Some(found)) =
                (context.partitions().get(at), targets.get(at), found.get(at))
            else {
                continue;
            };
            let helps = if version >= FIRST_WITH_LEADERS { Some(&mut leaders) } else { None };
            write_row(&mut writer, (wanted.partition, target, found), helps)?;
        }
    }
    Ok(writer.finish_with(&leaders.endpoints(), |frame| Bytes::from_owner(Frame(frame)))?)
}

/// What the session remembers, and which rows the client is told.
fn settle_session(node: &Node, context: &FetchContext, told: &[Told]) -> (i32, Vec<bool>) {
    match context {
        FetchContext::Sessionless { .. } => (0, Vec::new()),
        FetchContext::Full { .. } => {
            let fresh = i32::try_from(node.random.bits() >> 33).unwrap_or(1).max(1);
            let id = node.sessions.lock().on_full_answer(context, told, (wall_now().millis(), fresh));
            (id, Vec::new())
        }
        FetchContext::Incremental { session_id, .. } => {
            (*session_id, node.sessions.lock().on_incremental_answer(context, told))
        }
    }
}

fn told_of(found: &Found) -> Told {
    match found {
        Err(_) => Told {
            has_records: false,
            has_error: true,
            has_preferred_replica: false,
            has_diverging_epoch: false,
            high_watermark: -1,
            log_start_offset: -1,
        },
        Ok(outcome) => Told {
            has_records: outcome.read.bytes > 0,
            has_error: false,
            has_preferred_replica: false,
            has_diverging_epoch: outcome.diverging.is_some(),
            high_watermark: outcome.limits.high_watermark.value(),
            log_start_offset: outcome.limits.log_start.value(),
        },
    }
}

/// Rows of one topic that follow each other share its entry.
fn grouped(partitions: &[(PartitionRef, super::session::Wanted)], rows: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let topic = |at: usize| partitions.get(at).map(|(partition, _)| &partition.topic);
    for at in rows {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| topic(*last) == topic(*at)) => group.push(*at),
            Some(_) | None => groups.push(vec![*at]),
        }
    }
    groups
}

fn label_of(topic: &TopicRef) -> TopicLabel<'_> {
    match topic {
        TopicRef::Name(name) => TopicLabel::Name(name),
        TopicRef::Id(id) => TopicLabel::Id(*id),
    }
}

fn inline_bytes(rows: &[usize], found: &[Found]) -> usize {
    let bytes = |at: &usize| match found.get(*at) {
        Some(Ok(outcome)) if outcome.read.bytes <= INLINE_BYTES_MAX => outcome.read.bytes,
        Some(_) | None => 0,
    };
    rows.iter().map(bytes).map(|bytes| usize::try_from(bytes).unwrap_or(0)).sum()
}

fn write_row(
    writer: &mut FetchResponseWriter<Arc<dyn File>>,
    (index, target, found): (i32, &Target, &Found),
    leaders: Option<&mut Leaders>,
) -> Result<(), AnswerError> {
    let outcome = match found {
        Ok(outcome) => outcome,
        Err(error) => {
            let moved = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
            let current_leader = leaders.filter(|_| moved).zip(target.id.as_ref());
            let current_leader = current_leader.and_then(|(leaders, id)| leaders.of(id));
            // Kafka leaves the field at its default where it does not come as far as to the log.
            let unseen = matches!(
                error,
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::TopicAuthorizationFailed
            );
            writer.partition(&FetchOutcome {
                current_leader,
                aborted_transactions: unseen.then_some(&[]),
                ..FetchOutcome::refused(index, *error)
            });
            return Ok(());
        }
    };
    let aborted: Option<Vec<AbortedTransaction>> = outcome.aborted.as_ref().map(|aborted| {
        let row = |transaction: &ottla_storage::AbortedTransaction| AbortedTransaction {
            producer_id: transaction.producer,
            first_offset: transaction.first_offset,
        };
        aborted.iter().map(row).collect()
    });
    let diverging =
        outcome.diverging.map(|end| EpochEndOffset { epoch: Some(end.epoch), end_offset: Some(end.end) });
    writer.partition(&FetchOutcome {
        high_watermark: Some(outcome.limits.high_watermark),
        last_stable_offset: Some(outcome.limits.last_stable),
        log_start: Some(outcome.limits.log_start),
        diverging_epoch: diverging,
        aborted_transactions: aborted.as_deref(),
        records_bytes: usize::try_from(outcome.read.bytes).unwrap_or(0),
        ..FetchOutcome::refused(index, ErrorCode::None)
    });
    write_records(writer, outcome).inspect_err(|error| {
        // This answer cannot be given any more; the next one tells what became of the directory (LOG-07). A log that
        // was cut meanwhile is shorter than it was, not damaged.
        if let (AnswerError::Read(error), Ok(partition)) = (error, &target.partition)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            partition.failed(error);
        }
    })?;
    if let Err(error) = check_copied(writer, target, outcome) {
        tracing::error!(partition = ?target.id, %error, "records are damaged and are not given to a reader");
        writer.take_back_partition();
        let code = error_code::of_look(&LookError::Read(error));
        writer.partition(&FetchOutcome::refused(index, code));
    }
    Ok(())
}

/// What was copied is at hand and cheap to look at. What is sent from the file is checked by its reader, as in Kafka.
fn check_copied(
    writer: &FetchResponseWriter<Arc<dyn File>>,
    target: &Target,
    outcome: &ReadOutcome,
) -> Result<(), ReadError> {
    match Offset::new(target.wanted.fetch_offset) {
        Some(from) if outcome.read.bytes <= INLINE_BYTES_MAX && !mutant!(serve_unchecked_bytes) => {
            let bytes = usize::try_from(outcome.read.bytes).unwrap_or(0);
            outcome.read.check(from, writer.records_so_far(bytes))
        }
        Some(_) | None => Ok(()),
    }
}

fn write_records(
    writer: &mut FetchResponseWriter<Arc<dyn File>>,
    outcome: &ReadOutcome,
) -> Result<(), AnswerError> {
    let inline = outcome.read.bytes <= INLINE_BYTES_MAX;
    for slice in &outcome.read.slices {
        if inline {
            let room = writer.records_room(usize::try_from(slice.len).unwrap_or(0));
            let read = slice.file.read_at(room, slice.position)?;
            if read < room.len() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        } else {
            writer.records_file(FileSlice {
                file: Arc::clone(&slice.file),
                position: slice.position,
                length: u64::from(slice.len),
            });
        }
    }
    Ok(())
}
