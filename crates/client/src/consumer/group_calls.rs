//! Membership on the wire: one request for each action of the member.
//!
//! Owns: JoinGroup, SyncGroup, Heartbeat, LeaveGroup as messages.
//! Does not own: when they are sent and what their answers mean (`member`).

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_env::time;
use ottla_model::{BrokerId, GenerationId, GroupInstanceId, MemberId, TopicName};
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use super::driver::Inner;
use super::member::{Action, Failure, Identity, Joined, Member, topics_in};
use crate::cluster::{CallOptions, CoordinatorError, CoordinatorKind, Deadline, Lane, Target};
use crate::config::GroupConfig;
use crate::connection::Request;
use crate::error::{CallError, ServerError};

/// The protocol type of groups of consumers.
const PROTOCOL_TYPE: &str = "consumer";
/// First version of LeaveGroup that names several members.
const LEAVE_MEMBERS_SINCE: i16 = 3;
/// Shown in the coordinator's log.
const REASON_LEAVE: &str = "the consumer is being closed";

/// Does what the member asked for, and tells it the outcome.
pub(super) async fn perform(inner: &Inner, action: Action) {
    let Some(group) = inner.config.group.clone() else { return };
    match action {
        Action::FindCoordinator => find_coordinator(inner, &group).await,
        Action::Join { coordinator, member, protocols } => {
            let answer = join(inner, &group, coordinator, (member, protocols)).await;
            tell(inner, |one, random| one.on_joined(answer, time::now(), random));
        }
        Action::CountPartitions { topics } => count_partitions(inner, topics).await,
        Action::Sync { coordinator, who, assignments } => {
            let answer = sync(inner, &group, coordinator, (&who, assignments)).await;
            tell(inner, |one, random| one.on_synced(answer, time::now(), random));
        }
        Action::Heartbeat { coordinator, who } => {
            let answer = heartbeat(inner, &group, coordinator, &who).await;
            tell(inner, |one, random| one.on_heartbeat(answer, time::now(), random));
        }
        Action::Leave { coordinator, member } => {
            if let Err(error) = leave(inner, &group, coordinator, &member).await {
                tracing::debug!(?error, group = %group.id, "the group was left without an answer");
            }
            tell(inner, |one, _| one.on_left());
        }
    }
}

fn tell(inner: &Inner, outcome: impl FnOnce(&mut Member, u64)) {
    let random = inner.cluster.random();
    inner.update(|machine| {
        if let Some(member) = &mut machine.member {
            outcome(member, random);
        }
    });
}

fn failure_of(error: CallError) -> Failure {
    tracing::debug!(%error, "the coordinator did not answer");
    Failure::NoAnswer
}

fn refused(code: i16) -> Result<(), Failure> {
    ServerError::check(code, None).map_err(Failure::Refused)
}

async fn find_coordinator(inner: &Inner, group: &GroupConfig) {
    let found = inner.cluster.find_coordinator(CoordinatorKind::Group, group.id.as_str()).await;
    let found = found.map_err(|error| match error {
        CoordinatorError::Call(error) => failure_of(error),
        CoordinatorError::Refused(error) => Failure::Refused(error),
    });
    tell(inner, |member, random| member.on_coordinator(found, time::now(), random));
}

/// Asks the coordinator on the connection that joins may block.
async fn ask<R: Request>(inner: &Inner, coordinator: BrokerId, request: &R) -> Result<R::Response, Failure> {
    let options = CallOptions { lane: Lane::Group, ..CallOptions::default() };
    inner.cluster.call(Target::Broker(coordinator), request, options).await.map_err(failure_of)
}

async fn join(
    inner: &Inner,
    group: &GroupConfig,
    coordinator: BrokerId,
    (member, protocols): (Option<MemberId>, Vec<(&'static str, Bytes)>),
) -> Result<Joined, (Failure, Option<MemberId>)> {
    let millis = |duration: std::time::Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let request = JoinGroupRequest {
        group_id: group.id.to_string(),
        session_timeout_ms: millis(group.session_timeout),
        rebalance_timeout_ms: millis(group.poll_interval_max),
        member_id: member.map(|id| id.to_string()).unwrap_or_default(),
        group_instance_id: instance_of(group),
        protocol_type: PROTOCOL_TYPE.to_owned(),
        protocols: protocols
            .into_iter()
            .map(|(name, metadata)| JoinGroupRequestProtocol { name: name.to_owned(), metadata })
            .collect(),
        reason: None,
    };
    let timeout = inner.machine.lock().member.as_ref().map(Member::join_timeout);
    let options = CallOptions { lane: Lane::Group, timeout, ..CallOptions::default() };
    let answer = inner.cluster.call(Target::Broker(coordinator), &request, options).await;
    let response = answer.map_err(|error| (failure_of(error), None))?;
    let id = Some(MemberId::new(&response.member_id)).filter(|id| !id.is_empty());
    refused(response.error_code).map_err(|failure| (failure, id))?;
    Ok(joined(response))
}

fn joined(response: JoinGroupResponse) -> Joined {
    let members = response.members.into_iter().map(|member| {
        let instance_id = member.group_instance_id.as_deref().map(GroupInstanceId::new);
        (MemberId::new(&member.member_id), instance_id, member.metadata)
    });
    Joined {
        is_leader: response.leader == response.member_id,
        member: MemberId::new(&response.member_id),
        generation: GenerationId::new(response.generation_id),
        protocol: response.protocol_name.unwrap_or_default(),
        skip_assignment: response.skip_assignment,
        members: members.collect(),
    }
}

/// Waits until every topic is known to exist or not, then counts.
async fn count_partitions(inner: &Inner, topics: BTreeSet<TopicName>) {
    for topic in &topics {
        inner.cluster.use_topic(topic);
    }
    let deadline = Deadline::after(inner.config.common.request_timeout, "countPartitions");
    let all_known = inner.cluster.wait_for(deadline, |image| {
        topics.iter().all(|topic| image.topics.contains_key(topic)).then_some(())
    });
    if let Err(error) = all_known.await {
        // What is not known now is left out, and assigned when it appears.
        tracing::debug!(%error, "not all topics of the group are known");
    }
    let known = topics_in(&topics, &inner.cluster.image());
    tell(inner, |member, _| member.on_counts(known));
}

async fn sync(
    inner: &Inner,
    group: &GroupConfig,
    coordinator: BrokerId,
    (who, assignments): (&Identity, Vec<(MemberId, Bytes)>),
) -> Result<Bytes, Failure> {
    let request = SyncGroupRequest {
        group_id: group.id.to_string(),
        generation_id: who.generation.value(),
        member_id: who.member.to_string(),
        group_instance_id: instance_of(group),
        protocol_type: Some(PROTOCOL_TYPE.to_owned()),
        protocol_name: Some(who.protocol.to_owned()),
        assignments: assignments
            .into_iter()
            .map(|(member, assignment)| SyncGroupRequestAssignment {
                member_id: member.to_string(),
                assignment,
            })
            .collect(),
    };
    let timeout = inner.machine.lock().member.as_ref().map(Member::join_timeout);
    let options = CallOptions { lane: Lane::Group, timeout, ..CallOptions::default() };
    let answer = inner.cluster.call(Target::Broker(coordinator), &request, options).await;
    let response = answer.map_err(failure_of)?;
    refused(response.error_code)?;
    Ok(response.assignment)
}

async fn heartbeat(
    inner: &Inner,
    group: &GroupConfig,
    coordinator: BrokerId,
    who: &Identity,
) -> Result<(), Failure> {
    let request = HeartbeatRequest {
        group_id: group.id.to_string(),
        generation_id: who.generation.value(),
        member_id: who.member.to_string(),
        group_instance_id: instance_of(group),
    };
    refused(ask(inner, coordinator, &request).await?.error_code)
}

async fn leave(
    inner: &Inner,
    group: &GroupConfig,
    coordinator: BrokerId,
    member: &MemberId,
) -> Result<(), Failure> {
    let connection =
        inner.cluster.connect(Target::Broker(coordinator), Lane::Group).await.map_err(failure_of)?;
    let version = connection.version_of::<LeaveGroupRequest>(i16::MAX).map_err(failure_of)?;
    let mut request = LeaveGroupRequest { group_id: group.id.to_string(), ..Default::default() };
    if version >= LEAVE_MEMBERS_SINCE {
        request.members = vec![MemberIdentity {
            member_id: member.to_string(),
            group_instance_id: None,
            reason: Some(REASON_LEAVE.to_owned()),
        }];
    } else {
        request.member_id = member.to_string();
    }
    let pending = connection.send(&request, version, None).map_err(failure_of)?;
    refused(pending.wait().await.map_err(failure_of)?.error_code)
}

fn instance_of(group: &GroupConfig) -> Option<String> {
    group.instance_id.as_ref().map(ToString::to_string)
}
