//! Offsets on the wire: what a group has committed, committing, and where partitions begin and end.
//!
//! Owns: OffsetFetch, OffsetCommit and ListOffsets of a consumer, one attempt and with retries.
//! Does not own: what an offset is for (`positions`), administration of groups (`admin`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_env::sync::{mpsc, oneshot};
use ottla_env::time;
use ottla_model::{BrokerId, Timestamp, TopicPartition};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};

use super::driver::Inner;
use super::error::{CommitError, OffsetError};
use super::machine::{OffsetQuestion, Subscription};
use super::positions::Position;
use crate::admin::{
    CommittedOffset, ListedOffset, NAMES_UNTIL, OffsetSpec, Question, commit_topics, committed_offsets,
    in_groups, offset_fetch_code, read_answer, without_groups,
};
use crate::cluster::{Attempt, CallOptions, CoordinatorError, CoordinatorKind, Deadline, Lane, Target};
use crate::config::{GroupConfig, OffsetReset};
use crate::error::{CallError, ErrorCode, ServerError, error_of, needs_fresh_metadata};

/// First version of OffsetFetch with several groups.
const FETCH_GROUPS_SINCE: i16 = 8;

/// What a group has committed, as far as it has.
pub(super) type Committed = BTreeMap<TopicPartition, CommittedOffset>;

impl From<CoordinatorError> for OffsetError {
    fn from(error: CoordinatorError) -> OffsetError {
        match error {
            CoordinatorError::Call(error) => error.into(),
            CoordinatorError::Refused(error) => OffsetError::Group(error),
        }
    }
}

impl From<CoordinatorError> for CommitError {
    fn from(error: CoordinatorError) -> CommitError {
        match error {
            CoordinatorError::Call(error) => error.into(),
            CoordinatorError::Refused(error) => CommitError::Group(error),
        }
    }
}

/// Finds the group's offsets for partitions without a position, once, and tells the machine.
pub(super) async fn ask_committed(inner: &Inner, partitions: Vec<TopicPartition>) {
    let Some(group) = &inner.config.group else { return };
    match fetch_committed(inner, group, &partitions).await {
        Attempt::Done(committed) => inner.update(|machine| {
            for partition in &partitions {
                machine.positions.on_committed(partition, committed.get(partition));
            }
        }),
        Attempt::Again(error) | Attempt::Failed(error) => {
            tracing::debug!(%error, group = %group.id, "the group's offsets are not known yet");
            let not_before = time::now() + inner.pause();
            inner.update(|machine| machine.positions.on_question_failed(&partitions, not_before));
        }
    }
}

/// The group's offsets, with retries until the deadline.
pub(super) async fn committed(
    inner: &Inner,
    partitions: &[TopicPartition],
    deadline: Deadline,
) -> Result<Committed, OffsetError> {
    let group = inner.config.group.as_ref().ok_or(OffsetError::NoGroup)?;
    let mut attempts = inner.cluster.attempts(deadline);
    loop {
        let attempt = fetch_committed(inner, group, partitions);
        if let Some(end) = attempts.make(attempt).await {
            return end;
        }
    }
}

async fn fetch_committed(
    inner: &Inner,
    group: &GroupConfig,
    partitions: &[TopicPartition],
) -> Attempt<Committed, OffsetError> {
    let coordinator = match coordinator(inner, group).await {
        Ok(coordinator) => coordinator,
        Err(error) => return attempt_of(error.into()),
    };
    let connection = match inner.cluster.connect(Target::Broker(coordinator), Lane::Control).await {
        Ok(connection) => connection,
        Err(error) => return attempt_of(lost(inner, error).into()),
    };
    let sent = connection.version_of::<OffsetFetchRequest>(NAMES_UNTIL).and_then(|version| {
        let request = match version >= FETCH_GROUPS_SINCE {
            true => in_groups(group.id.as_str(), Some(partitions), true),
            false => without_groups(group.id.as_str(), Some(partitions), true),
        };
        connection.send(&request, version, None)
    });
    let response = match sent {
        Ok(pending) => pending.wait().await,
        Err(error) => Err(error),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return attempt_of(lost(inner, error).into()),
    };
    if let Some(code) = error_of(offset_fetch_code(&response)) {
        on_group_code(inner, code);
        return attempt_of(OffsetError::Group(code.into()));
    }
    let mut committed = Committed::new();
    for (partition, outcome) in committed_offsets(group.id.as_str(), response) {
        match outcome {
            Ok(Some(offset)) => drop(committed.insert(partition, offset)),
            Ok(None) => {}
            Err(code) => return attempt_of(OffsetError::Refused { partition, error: code.into() }),
        }
    }
    Attempt::Done(committed)
}

fn attempt_of<T>(error: OffsetError) -> Attempt<T, OffsetError> {
    let again = match &error {
        OffsetError::Call(error) => error.is_retriable(),
        OffsetError::Group(error) | OffsetError::Refused { error, .. } => error.is_retriable(),
        OffsetError::NotAssigned { .. } | OffsetError::TimedOut { .. } | OffsetError::NoGroup => false,
    };
    if again { Attempt::Again(error) } else { Attempt::Failed(error) }
}

/// The coordinator as the member knows it, or asked for.
async fn coordinator(inner: &Inner, group: &GroupConfig) -> Result<BrokerId, CoordinatorError> {
    let known = inner.machine.lock().member.as_ref().and_then(|member| member.coordinator());
    match known {
        Some(known) => Ok(known),
        None => inner.cluster.find_coordinator(CoordinatorKind::Group, group.id.as_str()).await,
    }
}

/// The coordinator did not answer: it is looked for again.
fn lost(inner: &Inner, error: CallError) -> CallError {
    forget_coordinator(inner);
    error
}

fn on_group_code(inner: &Inner, code: ErrorCode) {
    if code == ErrorCode::NotCoordinator || code == ErrorCode::CoordinatorNotAvailable {
        forget_coordinator(inner);
    }
}

fn forget_coordinator(inner: &Inner) {
    inner.update(|machine| {
        if let Some(member) = &mut machine.member {
            member.on_coordinator_lost();
        }
    });
}

/// Offsets to be committed, and who wants to know the outcome.
#[derive(Debug)]
pub(super) struct Commit {
    pub offsets: Committed,
    pub deadline: Deadline,
    pub reply: Option<oneshot::Sender<Result<(), CommitError>>>,
}

/// Commits one after the other, so that a later commit never loses to an earlier one, until the queue is closed.
pub(super) async fn run_commits(inner: Arc<Inner>, mut commits: mpsc::Receiver<Commit>) {
    while let Some(commit) = commits.recv().await {
        let outcome = match commit.offsets.is_empty() {
            true => Ok(()),
            false => {
                let mut attempts = inner.cluster.attempts(commit.deadline);
                loop {
                    if let Some(end) = attempts.make(commit_once(&inner, &commit.offsets)).await {
                        break end;
                    }
                }
            }
        };
        match &outcome {
            Ok(()) => inner.hooks.on_commit(&commit.offsets),
            Err(error) => tracing::warn!(%error, "offsets were not committed"),
        }
        if let Some(reply) = commit.reply {
            // Whoever asked may be gone.
            let _ = reply.send(outcome);
        }
    }
}

async fn commit_once(inner: &Inner, offsets: &Committed) -> Attempt<(), CommitError> {
    let Some(group) = &inner.config.group else { return Attempt::Failed(CommitError::NoGroup) };
    let request = match commit_request(inner, group, offsets) {
        Ok(request) => request,
        Err(error) => return Attempt::Failed(error),
    };
    let coordinator = match coordinator(inner, group).await {
        Ok(coordinator) => coordinator,
        Err(error) => return commit_attempt(error.into()),
    };
    let options = CallOptions { version_cap: NAMES_UNTIL, ..CallOptions::default() };
    let response = match inner.cluster.call(Target::Broker(coordinator), &request, options).await {
        Ok(response) => response,
        Err(error) => return commit_attempt(lost(inner, error).into()),
    };
    let mut refused = BTreeMap::new();
    for topic in &response.topics {
        for said in &topic.partitions {
            if let (Err(error), Some(partition)) = (
                ServerError::check(said.error_code, None),
                TopicPartition::named(&topic.name, said.partition_index),
            ) {
                refused.insert(partition, error);
            }
        }
    }
    match refused.values().next().cloned() {
        None => Attempt::Done(()),
        Some(error) => on_commit_refused(inner, &error, refused),
    }
}

/// A commit names the member's generation; with partitions chosen by the user there is none.
fn commit_request(
    inner: &Inner,
    group: &GroupConfig,
    offsets: &Committed,
) -> Result<OffsetCommitRequest, CommitError> {
    let mut request = OffsetCommitRequest {
        group_id: group.id.to_string(),
        topics: commit_topics(offsets),
        ..Default::default()
    };
    let machine = inner.machine.lock();
    let Some(member) = &machine.member else { return Err(CommitError::NoGroup) };
    match machine.subscription() {
        Subscription::Nothing | Subscription::Assigned => Ok(request),
        Subscription::Topics(_) | Subscription::Pattern(_) => {
            let Some(who) = member.identity() else {
                let error = match member.is_rebalancing() {
                    true => CommitError::Rebalancing,
                    false => CommitError::NotMember,
                };
                return Err(error);
            };
            request.generation_id_or_member_epoch = who.generation.value();
            request.member_id = who.member.to_string();
            request.group_instance_id = group.instance_id.as_ref().map(ToString::to_string);
            Ok(request)
        }
    }
}

fn on_commit_refused(
    inner: &Inner,
    error: &ServerError,
    partitions: BTreeMap<TopicPartition, ServerError>,
) -> Attempt<(), CommitError> {
    let code = error.code;
    let random = inner.cluster.random();
    if code == ErrorCode::RebalanceInProgress
        || code == ErrorCode::IllegalGeneration
        || code == ErrorCode::UnknownMemberId
    {
        inner.update(|machine| {
            if let Some(member) = &mut machine.member {
                member.on_commit_refused(error, time::now(), random);
            }
        });
        let rebalancing = code == ErrorCode::RebalanceInProgress;
        return Attempt::Failed(if rebalancing { CommitError::Rebalancing } else { CommitError::NotMember });
    }
    on_group_code(inner, code);
    let refused = CommitError::Refused { partitions };
    if error.is_retriable() { Attempt::Again(refused) } else { Attempt::Failed(refused) }
}

fn commit_attempt(error: CommitError) -> Attempt<(), CommitError> {
    let again = match &error {
        CommitError::Call(error) => error.is_retriable(),
        CommitError::Group(error) => error.is_retriable(),
        CommitError::NoGroup
        | CommitError::Rebalancing
        | CommitError::NotMember
        | CommitError::Refused { .. }
        | CommitError::Closed => false,
    };
    if again { Attempt::Again(error) } else { Attempt::Failed(error) }
}

/// Asks a leader where its partitions begin or end, once, and tells the machine.
pub(super) async fn ask_offsets(inner: &Inner, question: OffsetQuestion) {
    let wanted: BTreeMap<TopicPartition, OffsetSpec> = question
        .partitions
        .iter()
        .map(|(partition, _, reset)| (partition.clone(), spec_of(*reset)))
        .collect();
    let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let asked = Question::new(&partitions, &wanted, inner.config.isolation);
    let not_before = time::now() + inner.pause();
    let answer = match asked.ask_once(&inner.cluster, question.node).await {
        Ok(answer) => read_answer(answer),
        Err(error) => {
            tracing::debug!(%error, "the leader did not tell its offsets");
            inner.update(|machine| machine.positions.on_question_failed(&partitions, not_before));
            inner.cluster.want_news();
            return;
        }
    };
    let mut open: Vec<TopicPartition> = partitions;
    let mut ends = Vec::new();
    inner.update(|machine| {
        for (partition, outcome) in answer {
            let asked = question.partitions.iter().find(|(one, _, _)| *one == partition);
            match (asked, outcome) {
                (Some((_, stay, _)), Ok(Some(found))) => {
                    machine.positions.on_reset(&partition, *stay, position_of(found));
                    open.retain(|one| *one != partition);
                }
                // No record is as young as that: what comes from now on is.
                (Some((_, _, OffsetReset::ByDuration(_))), Ok(None)) => ends.push(partition),
                (_, Ok(None) | Err(_)) | (None, _) => {}
            }
        }
        for partition in &ends {
            machine.positions.on_seek_to(partition, OffsetReset::Latest);
            open.retain(|one| one != partition);
        }
        machine.positions.on_question_failed(&open, not_before);
    });
    if !open.is_empty() {
        inner.cluster.want_news();
    }
}

fn spec_of(reset: OffsetReset) -> OffsetSpec {
    match reset {
        OffsetReset::Earliest => OffsetSpec::Earliest,
        OffsetReset::Latest | OffsetReset::None => OffsetSpec::Latest,
        OffsetReset::ByDuration(age) => {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            OffsetSpec::AtTime(Timestamp::from_millis(time::wall_now().millis().saturating_sub(age).max(0)))
        }
    }
}

fn position_of(found: ListedOffset) -> Position {
    Position { offset: found.offset, leader_epoch: found.leader_epoch }
}

/// Offsets of partitions, assigned or not, with retries until the deadline.
pub(super) async fn list_offsets(
    inner: &Inner,
    wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    deadline: Deadline,
) -> Result<BTreeMap<TopicPartition, Option<ListedOffset>>, OffsetError> {
    for partition in wanted.keys() {
        inner.cluster.use_topic(&partition.topic);
    }
    let mut found = BTreeMap::new();
    let mut open: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let mut attempts = inner.cluster.attempts(deadline);
    loop {
        let attempt = async {
            let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
            let image = inner.cluster.image();
            for partition in &open {
                let Some(leader) = image.leader_of(partition) else {
                    inner.cluster.want_news();
                    let error = ServerError::from(ErrorCode::LeaderNotAvailable);
                    return Attempt::Again(OffsetError::Refused { partition: partition.clone(), error });
                };
                by_leader.entry(leader.id).or_default().push(partition.clone());
            }
            for (leader, partitions) in by_leader {
                let question = Question::new(&partitions, wanted, inner.config.isolation);
                let answer = match question.ask_once(&inner.cluster, leader).await {
                    Ok(answer) => read_answer(answer),
                    Err(error) => {
                        inner.cluster.want_news();
                        return attempt_of(error.into());
                    }
                };
                for (partition, outcome) in answer {
                    match outcome {
                        Ok(offset) => {
                            open.retain(|one| *one != partition);
                            found.insert(partition, offset);
                        }
                        Err(error) => return refused_offset(inner, partition, error),
                    }
                }
            }
            Attempt::Done(())
        };
        if let Some(end) = attempts.make(attempt).await {
            end?;
            break;
        }
    }
    Ok(found)
}

fn refused_offset<T>(
    inner: &Inner,
    partition: TopicPartition,
    error: ServerError,
) -> Attempt<T, OffsetError> {
    if needs_fresh_metadata(error.code) {
        inner.cluster.want_news();
    }
    attempt_of(OffsetError::Refused { partition, error })
}
