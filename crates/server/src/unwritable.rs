//! Answers that cannot be written: a text in them is longer than the wire can say.
//!
//! A message that repeats a name of 32 767 characters has no place for them all. Kafka finds out while it writes, and then
//! answers that the server failed: for each part of the request, without a word.
//!
//! Owns: what such an answer becomes. Does not own: writing (`dispatch`).
//!
//! Source: observed of Apache Kafka 4.3.1.

use ottla_protocol::messages::consumer_group_describe_response::DescribedGroup as DescribedConsumerGroup;
use ottla_protocol::messages::create_topics_response::CreatableTopicResult;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::{
    AlterConfigsResponse, AlterPartitionReassignmentsResponse, ConsumerGroupDescribeResponse,
    CreateTopicsResponse, DescribeConfigsResponse, DescribeGroupsResponse, DescribeProducersResponse,
    ElectLeadersResponse, IncrementalAlterConfigsResponse, JoinGroupResponse, UpdateFeaturesResponse,
};
use ottla_protocol::{ErrorCode, Message};

use crate::handlers::{elect_leaders, join_group};

/// What every part of such an answer says.
const FAILED: i16 = ErrorCode::UnknownServerError.number();

/// An answer that may be too long for the wire.
pub trait Unwritable: Message {
    /// It is: only that the server failed is left of it.
    fn fail(&mut self, version: i16);
}

impl Unwritable for CreateTopicsResponse {
    fn fail(&mut self, _: i16) {
        for topic in &mut self.topics {
            let (name, error_code) = (std::mem::take(&mut topic.name), FAILED);
            *topic = CreatableTopicResult {
                name,
                error_code,
                error_message: None,
                ..CreatableTopicResult::default()
            };
        }
    }
}

impl Unwritable for AlterConfigsResponse {
    fn fail(&mut self, _: i16) {
        for response in &mut self.responses {
            (response.error_code, response.error_message) = (FAILED, None);
        }
    }
}

impl Unwritable for IncrementalAlterConfigsResponse {
    fn fail(&mut self, _: i16) {
        for response in &mut self.responses {
            (response.error_code, response.error_message) = (FAILED, None);
        }
    }
}

impl Unwritable for ElectLeadersResponse {
    fn fail(&mut self, version: i16) {
        self.error_code = if version >= elect_leaders::FIRST_WITH_ERROR { FAILED } else { 0 };
        for partition in
            self.replica_election_results.iter_mut().flat_map(|topic| &mut topic.partition_result)
        {
            (partition.error_code, partition.error_message) = (FAILED, None);
        }
    }
}

impl Unwritable for AlterPartitionReassignmentsResponse {
    fn fail(&mut self, _: i16) {
        (self.error_code, self.error_message) = (FAILED, None);
        for partition in self.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            (partition.error_code, partition.error_message) = (FAILED, None);
        }
    }
}

impl Unwritable for DescribeConfigsResponse {
    fn fail(&mut self, _: i16) {
        for result in &mut self.results {
            result.error_code = FAILED;
            result.error_message = Some(ErrorCode::UnknownServerError.message().to_owned());
            result.configs.clear();
        }
    }
}

impl Unwritable for DescribeProducersResponse {
    fn fail(&mut self, _: i16) {
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            (partition.error_code, partition.error_message) = (FAILED, None);
            partition.active_producers.clear();
        }
    }
}

impl Unwritable for UpdateFeaturesResponse {
    fn fail(&mut self, _: i16) {
        *self = UpdateFeaturesResponse {
            error_code: FAILED,
            error_message: None,
            ..UpdateFeaturesResponse::default()
        };
    }
}

impl Unwritable for DescribeGroupsResponse {
    fn fail(&mut self, _: i16) {
        for group in &mut self.groups {
            let (group_id, error_code) = (std::mem::take(&mut group.group_id), FAILED);
            *group = DescribedGroup { group_id, error_code, ..DescribedGroup::default() };
        }
    }
}

impl Unwritable for ConsumerGroupDescribeResponse {
    fn fail(&mut self, _: i16) {
        for group in &mut self.groups {
            let (group_id, error_code) = (std::mem::take(&mut group.group_id), FAILED);
            *group = DescribedConsumerGroup { group_id, error_code, ..DescribedConsumerGroup::default() };
        }
    }
}

impl Unwritable for JoinGroupResponse {
    fn fail(&mut self, version: i16) {
        let protocol_name = (version < join_group::FIRST_WITH_NULL_PROTOCOL).then(String::new);
        *self = JoinGroupResponse {
            error_code: FAILED,
            generation_id: -1,
            protocol_name,
            ..JoinGroupResponse::default()
        };
    }
}
