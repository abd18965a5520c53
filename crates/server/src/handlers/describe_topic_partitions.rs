//! DescribeTopicPartitions (API key 75): partitions of topics, page by page, with eligible leader replicas.
//!
//! Source: requirement TOP-08, KIP-966.

use std::collections::BTreeSet;

use ottla_metadata::image::{MetadataImage, Topic};
use ottla_model::{BrokerId, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ottla_security::{Operation, ResourceType};

use crate::caller::Caller;
use crate::node::Node;
use crate::topology::{self, Strictness};

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = node.image();
    // Kafka takes the empty name for the place where a page begins, and fails over it.
    if request.cursor.is_none() && request.topics.iter().any(|topic| topic.name.is_empty()) {
        let topics = request.topics.iter().map(|topic| unknown(&topic.name, ErrorCode::UnknownServerError));
        return DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() };
    }
    let Some(page) = Page::new(node, &request) else {
        // This API has no place for an error of the whole request, so each topic carries it.
        let topics = request.topics.iter().map(|topic| unknown(&topic.name, ErrorCode::InvalidRequest));
        return DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() };
    };
    let named: BTreeSet<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let all = named.is_empty();
    let names: BTreeSet<String> = if all {
        image.topics.from_name(&page.first_topic).map(|topic| topic.name.to_string()).collect()
    } else {
        named.into_iter().filter(|name| *name >= page.first_topic).collect()
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    let (mut refused, mut left) = (Vec::new(), page.limit);
    for name in names {
        if !node.access.may_topic(caller, Operation::Describe, &name) {
            if !all {
                refused.push(unknown(&name, ErrorCode::TopicAuthorizationFailed));
            }
            continue;
        }
        if left == 0 {
            response.next_cursor = Some(Cursor { topic_name: name, partition_index: 0 });
            break;
        }
        let topic_authorized_operations = operations(node, caller, &name);
        let Some(topic) = image.topics.by_name(&name) else {
            let legal = TopicName::new(&name).is_ok();
            let error =
                if legal { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            let row = unknown(&name, error);
            response.topics.push(DescribeTopicPartitionsResponseTopic { topic_authorized_operations, ..row });
            continue;
        };
        let from = if name == page.first_topic { page.first_partition } else { 0 };
        let rows = rows(&image, topic, caller, (from, left));
        left -= rows.len();
        let next = from + rows.len();
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.clone()),
            topic_id: topic.id.uuid(),
            is_internal: topic.name.is_internal(),
            partitions: rows,
            topic_authorized_operations,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if next < topic.partition_count() {
            let partition_index = i32::try_from(next).unwrap_or(i32::MAX);
            response.next_cursor = Some(Cursor { topic_name: name, partition_index });
            break;
        }
    }
    response.topics.extend(refused);
    response
}

fn operations(node: &Node, caller: &Caller, name: &str) -> i32 {
    node.access.authorized_operations(caller, ResourceType::Topic, name)
}

struct Page {
    first_topic: String,
    first_partition: usize,
    /// Most partitions of one answer.
    limit: usize,
}

impl Page {
    /// `None`: the cursor names a partition that cannot be, or a topic the request does not ask for.
    fn new(node: &Node, request: &DescribeTopicPartitionsRequest) -> Option<Page> {
        let most = node.settings().partitions_per_answer_max;
        let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
        let limit = asked.min(most).max(1);
        let Some(cursor) = &request.cursor else {
            return Some(Page { first_topic: String::new(), first_partition: 0, limit });
        };
        let first_partition = usize::try_from(cursor.partition_index).ok()?;
        let listed = request.topics.iter().any(|topic| topic.name == cursor.topic_name);
        if !request.topics.is_empty() && !listed {
            return None;
        }
        Some(Page { first_topic: cursor.topic_name.clone(), first_partition, limit })
    }
}

fn rows(
    image: &MetadataImage,
    topic: &Topic,
    caller: &Caller,
    (from, most): (usize, usize),
) -> Vec<DescribeTopicPartitionsResponsePartition> {
    let strictness = Strictness { missing_replicas: false, missing_listener: true };
    let ids = |brokers: &[BrokerId]| Some(brokers.iter().map(|id| id.value()).collect());
    let wanted = topic.partitions().skip(from).take(most);
    wanted
        .map(|(index, partition)| {
            let row = topology::partition_row(image, (index, partition), &caller.listener, strictness);
            DescribeTopicPartitionsResponsePartition {
                error_code: row.error.number(),
                partition_index: row.index,
                leader_id: row.leader,
                leader_epoch: row.leader_epoch,
                replica_nodes: row.replicas,
                isr_nodes: row.in_sync,
                eligible_leader_replicas: ids(&partition.eligible_leaders),
                last_known_elr: ids(&partition.last_known_leaders),
                offline_replicas: row.offline,
            }
        })
        .collect()
}

fn unknown(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.number(),
        name: Some(name.to_owned()),
        is_internal: TopicName::new(name).is_ok_and(|topic| topic.is_internal()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{caller, image};

    /// TOP-08: who may lead next is told with the partition.
    #[test]
    fn eligible_and_last_known_leaders_are_told() {
        let image = image();
        let topic = image.topics.by_name("t").unwrap();
        let rows = rows(&image, topic, &caller("IN"), (0, 10));
        let told = |index: usize| (&rows[index].eligible_leader_replicas, &rows[index].last_known_elr);
        assert_eq!(told(0), (&Some(Vec::new()), &Some(Vec::new())));
        assert_eq!(told(3), (&Some(vec![3]), &Some(vec![4])));
        assert_eq!((rows[3].leader_id, rows[3].error_code), (-1, ErrorCode::LeaderNotAvailable.number()));
    }
}
