//! Commands and their answers.
//!
//! Owns: the list of what a controller can be asked, the way to the rules of each.
//! Does not own: the rules; wire codes of errors (`server`).

use std::time::Instant;

use ottla_model::{BrokerEpoch, BrokerId};

use super::brokers::{self, BrokerNotRegistered, RegisterBroker, RegisterController, RegisterError};
use super::configs::{self, AlterConfigError, AlterConfigs};
use super::directories::{self, AssignError, AssignRefused, AssignReplicas};
use super::elections::{self, ElectLeaders, TopicElections};
use super::features::{self, FeaturesUpdated, UpdateFeatures, UpdateFeaturesError};
use super::heartbeat::{self, Heartbeat, HeartbeatReply, StaleBrokerEpoch};
use super::in_sync::{self, AlterPartition, GrantedState, InSyncRefused};
use super::partitions::{self, CreatePartitions, CreatePartitionsError};
use super::producer_ids::{self, ProducerIdBlock, ProducerIdsError};
use super::reassignments::{self, Reassignments, TopicReassignments};
use super::sessions::Sessions;
use super::topics::{
    self, CreateTopicError, CreateTopics, CreatedTopic, DeleteOutcome, DeletionDisabled, TooMuch,
    TopicOutcome, TopicRef,
};
use super::view::{Decision, View};

/// What a controller can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    RegisterBroker(RegisterBroker),
    RegisterController(RegisterController),
    Heartbeat(Heartbeat),
    UnregisterBroker(BrokerId),
    CreateTopics(CreateTopics),
    DeleteTopics(Vec<TopicRef>),
    CreatePartitions(CreatePartitions),
    AlterConfigs(AlterConfigs),
    UpdateFeatures(UpdateFeatures),
    AllocateProducerIds { broker: BrokerId, epoch: i64 },
    AlterPartition(AlterPartition),
    AssignReplicas(AssignReplicas),
    ElectLeaders(ElectLeaders),
    Reassign(Reassignments),
}

/// The answer to the command of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    RegisterBroker(Result<BrokerEpoch, RegisterError>),
    RegisterController(Result<(), RegisterError>),
    Heartbeat(Result<HeartbeatReply, StaleBrokerEpoch>),
    UnregisterBroker(Result<(), BrokerNotRegistered>),
    CreateTopics(Result<Vec<TopicOutcome<CreatedTopic, CreateTopicError>>, TooMuch>),
    DeleteTopics(Result<Vec<DeleteOutcome>, DeletionDisabled>),
    CreatePartitions(Result<Vec<TopicOutcome<(), CreatePartitionsError>>, TooMuch>),
    AlterConfigs(Result<Vec<Result<(), AlterConfigError>>, TooMuch>),
    UpdateFeatures(Result<FeaturesUpdated, UpdateFeaturesError>),
    AllocateProducerIds(Result<ProducerIdBlock, ProducerIdsError>),
    AlterPartition(Result<Vec<Result<GrantedState, InSyncRefused>>, StaleBrokerEpoch>),
    AssignReplicas(Result<Vec<Result<(), AssignRefused>>, AssignError>),
    ElectLeaders(Vec<TopicElections>),
    Reassign(Result<Vec<TopicReassignments>, TooMuch>),
}

pub fn decide(view: &View<'_>, sessions: &Sessions, command: &Command, now: Instant) -> Decision<Answer> {
    match command {
        Command::RegisterBroker(request) => {
            of(brokers::register(view, sessions, request, now), Answer::RegisterBroker)
        }
        Command::RegisterController(request) => {
            of(brokers::register_controller(view, request), Answer::RegisterController)
        }
        Command::Heartbeat(beat) => of(heartbeat::decide(view, sessions, beat), Answer::Heartbeat),
        Command::UnregisterBroker(broker) => of(brokers::unregister(view, *broker), Answer::UnregisterBroker),
        Command::CreateTopics(request) => of(topics::create(view, request), Answer::CreateTopics),
        Command::DeleteTopics(topics) => of(topics::delete(view, topics), Answer::DeleteTopics),
        Command::CreatePartitions(request) => of(partitions::create(view, request), Answer::CreatePartitions),
        Command::AlterConfigs(request) => of(configs::alter(view, request), Answer::AlterConfigs),
        Command::UpdateFeatures(request) => of(features::update(view, request), Answer::UpdateFeatures),
        Command::AllocateProducerIds { broker, epoch } => {
            of(producer_ids::allocate(view, *broker, *epoch), Answer::AllocateProducerIds)
        }
        Command::AlterPartition(request) => of(in_sync::alter(view, request), Answer::AlterPartition),
        Command::AssignReplicas(request) => of(directories::assign(view, request), Answer::AssignReplicas),
        Command::ElectLeaders(request) => {
            let Decision { records, answer } = elections::elect(view, request);
            Decision { records, answer: Answer::ElectLeaders(answer) }
        }
        Command::Reassign(request) => of(reassignments::alter(view, request), Answer::Reassign),
    }
}

/// A refusal records nothing.
fn of<A, E>(
    decided: Result<Decision<A>, E>,
    answer: impl FnOnce(Result<A, E>) -> Answer,
) -> Decision<Answer> {
    match decided {
        Ok(decision) => Decision { records: decision.records, answer: answer(Ok(decision.answer)) },
        Err(refused) => Decision { records: Vec::new(), answer: answer(Err(refused)) },
    }
}
