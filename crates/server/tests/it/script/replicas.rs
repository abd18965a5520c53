//! Commands about replicas: elections and reassignments.
//!
//! ```text
//! elect VERSION TYPE all|[TOPIC|PARTITION,…]…
//! reassign VERSION [same] [TOPIC|PARTITION=BROKER,…]…      `-` for the brokers: take back; `same`: no other number of them
//! reassignments VERSION all|[TOPIC|PARTITION,…]…
//! ```

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ElectLeadersRequest,
    ElectLeadersResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    alter_partition_reassignments_request, elect_leaders_request, list_partition_reassignments_request,
};

use super::{Script, error_text, flag, numbers};

impl Script {
    pub(super) async fn about_replicas(&mut self, name: &str, version: i16, args: &[&str]) -> Vec<String> {
        match name {
            "elect" => self.elect(version, args).await,
            "reassign" => self.reassign(version, args).await,
            _ => self.reassignments(version, args).await,
        }
    }

    async fn elect(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut topics = args[1..].to_vec();
        let all = flag(&mut topics, "all");
        let topic = |arg: &str| {
            let (topic, partitions) = named(arg);
            elect_leaders_request::TopicPartitions { topic, partitions }
        };
        let request = ElectLeadersRequest {
            election_type: args[0].parse().unwrap(),
            topic_partitions: (!all).then(|| topics.into_iter().map(topic).collect()),
            timeout_ms: 10_000,
        };
        let mut answer: ElectLeadersResponse = self.ask(ApiKey::ElectLeaders, version, &request).await;
        answer.replica_election_results.sort_by(|one, other| one.topic.cmp(&other.topic));
        let mut lines = vec![answer.error_code.to_string()];
        for topic in answer.replica_election_results {
            if topic.partition_result.is_empty() {
                lines.push(format!("{} -", topic.topic));
            }
            for row in topic.partition_result {
                let error = error_text(row.error_code, row.error_message.as_deref());
                lines.push(format!("{}-{} {error}", topic.topic, row.partition_id));
            }
        }
        lines
    }

    async fn reassign(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let same = flag(&mut args, "same");
        let topic = |arg: &str| {
            let (at, brokers) = arg.split_once('=').unwrap();
            let (name, partitions) = named(at);
            let replicas = (brokers != "-").then(|| parsed(brokers));
            let one = |partition_index| alter_partition_reassignments_request::ReassignablePartition {
                partition_index,
                replicas: replicas.clone(),
            };
            let partitions = partitions.into_iter().map(one).collect();
            alter_partition_reassignments_request::ReassignableTopic { name, partitions }
        };
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: 10_000,
            allow_replication_factor_change: !same,
            topics: args.into_iter().map(topic).collect(),
        };
        let api = ApiKey::AlterPartitionReassignments;
        let answer: AlterPartitionReassignmentsResponse = self.ask(api, version, &request).await;
        let error = error_text(answer.error_code, answer.error_message.as_deref());
        let mut lines = vec![format!("{error} other={}", answer.allow_replication_factor_change)];
        for topic in answer.responses {
            for row in topic.partitions {
                let error = error_text(row.error_code, row.error_message.as_deref());
                lines.push(format!("{}-{} {error}", topic.name, row.partition_index));
            }
        }
        lines
    }

    async fn reassignments(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let all = flag(&mut args, "all");
        let topic = |arg: &str| {
            let (name, partition_indexes) = named(arg);
            list_partition_reassignments_request::ListPartitionReassignmentsTopics { name, partition_indexes }
        };
        let request = ListPartitionReassignmentsRequest {
            timeout_ms: 10_000,
            topics: (!all).then(|| args.into_iter().map(topic).collect()),
        };
        let api = ApiKey::ListPartitionReassignments;
        let answer: ListPartitionReassignmentsResponse = self.ask(api, version, &request).await;
        let mut lines = vec![error_text(answer.error_code, answer.error_message.as_deref())];
        for topic in answer.topics {
            for row in topic.partitions {
                let (adding, removing) = (numbers(&row.adding_replicas), numbers(&row.removing_replicas));
                let (name, index, replicas) = (&topic.name, row.partition_index, numbers(&row.replicas));
                lines.push(format!("{name}-{index} [{replicas}] adding={adding} removing={removing}"));
            }
        }
        lines
    }
}

/// `TOPIC|PARTITION,…`
fn named(arg: &str) -> (String, Vec<i32>) {
    let (topic, partitions) = arg.split_once('|').unwrap();
    (topic.to_owned(), parsed(partitions))
}

fn parsed(text: &str) -> Vec<i32> {
    text.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().unwrap()).collect()
}
