//! Heartbeats that no coordinator would accept.
//!
//! Owns: the order of the checks that need no look at a group. Does not own: those that do (`heartbeat`).
//!
//! Source: requirements CGP-01, CGP-02; observed of Kafka 4.3.1.

use super::command::{ConsumerHeartbeat, ConsumerHeartbeatError, JOIN, LEAVE, LEAVE_FOR_NOW};
use crate::config::GroupConfig;

/// Refuses a heartbeat that contradicts itself, or asks for what there is not.
pub(in super::super) fn precheck(
    config: &GroupConfig,
    command: &ConsumerHeartbeat,
) -> Result<(), ConsumerHeartbeatError> {
    let refuse = |what| Err(ConsumerHeartbeatError::InvalidRequest(what));
    let is_empty = |text: Option<&str>| text.is_some_and(str::is_empty);
    let needs_id = command.names_itself || command.epoch > JOIN || command.epoch == LEAVE;
    if needs_id && command.member.is_empty() {
        return refuse("MemberId can't be empty.");
    }
    if command.group.is_empty() {
        return refuse("GroupId can't be empty.");
    }
    if is_empty(command.instance.as_ref().map(|instance| instance.as_str())) {
        return refuse("InstanceId can't be empty.");
    }
    if is_empty(command.rack.as_deref()) {
        return refuse("RackId can't be empty.");
    }
    if command.epoch == JOIN {
        check_join(command)?;
    } else if command.epoch == LEAVE_FOR_NOW && command.instance.is_none() {
        return refuse("InstanceId can't be null.");
    } else if command.epoch < LEAVE_FOR_NOW {
        return refuse("MemberEpoch is invalid.");
    }
    check_assignor(config, command)
}

fn check_join(command: &ConsumerHeartbeat) -> Result<(), ConsumerHeartbeatError> {
    let refuse = |what| Err(ConsumerHeartbeatError::InvalidRequest(what));
    if command.rebalance_timeout.is_none() {
        return refuse("RebalanceTimeoutMs must be provided in first request.");
    }
    if command.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return refuse("TopicPartitions must be empty when (re-)joining.");
    }
    if command.names.is_none() && command.regex.is_none() {
        return refuse(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        );
    }
    Ok(())
}

fn check_assignor(config: &GroupConfig, command: &ConsumerHeartbeat) -> Result<(), ConsumerHeartbeatError> {
    let Some(name) = &command.assignor else { return Ok(()) };
    let known: Vec<&str> = config.consumer.assignors.iter().map(|assignor| assignor.name()).collect();
    if known.contains(&name.as_str()) {
        return Ok(());
    }
    Err(ConsumerHeartbeatError::UnsupportedAssignor { name: name.clone(), known: known.join(", ") })
}
