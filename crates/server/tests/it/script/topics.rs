//! Commands about topics: create, delete, grow, delete records, describe page by page.
//!
//! ```text
//! create VERSION [validate] NAME|PARTITIONS|REPLICAS[|KEY=VALUE;…[|PARTITION:BROKER,…;…]]…
//! delete VERSION [NAME | id:TOPIC | both:TOPIC]…
//! grow VERSION [validate] NAME|COUNT[|BROKER,…;…]…
//! records VERSION NAME|PARTITION|OFFSET…
//! partitions VERSION LIMIT CURSOR [NAME]…      CURSOR: - or NAME|PARTITION
//! ```

use ottla_model::Uuid;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, create_partitions_request,
    create_topics_request, create_topics_response, delete_records_request, delete_topics_request,
    describe_topic_partitions_request, describe_topic_partitions_response,
};

use super::{Script, error_text, flag, numbers, value};

/// The source of a value that nobody set.
const DEFAULT: i8 = 5;

impl Script {
    pub(super) async fn about_topics(&mut self, name: &str, version: i16, args: &[&str]) -> Vec<String> {
        match name {
            "create" => self.create(version, args).await,
            "delete" => self.delete(version, args).await,
            "grow" => self.grow(version, args).await,
            "records" => self.records(version, args).await,
            _ => self.partitions(version, args).await,
        }
    }

    async fn create(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let validate_only = flag(&mut args, "validate");
        let topics = args.into_iter().map(new_topic).collect();
        let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only };
        let mut answer: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, version, &request).await;
        answer.topics.sort_by(|one, other| one.name.cmp(&other.name));
        let mut lines = Vec::new();
        for row in answer.topics {
            let id = self.created_id(&row, validate_only);
            lines.push(created_text(&row, &id));
        }
        lines
    }

    /// What is only validated has an id that means nothing.
    fn created_id(&mut self, row: &create_topics_response::CreatableTopicResult, validated: bool) -> String {
        match validated && !row.topic_id.is_zero() {
            true => "some".to_owned(),
            false => self.id_text(row.topic_id, Some(&row.name)),
        }
    }

    async fn delete(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut request = DeleteTopicsRequest { timeout_ms: 10_000, ..Default::default() };
        for arg in args {
            let (name, topic_id) = match arg.split_once(':') {
                Some(("id", id)) => (None, self.id_of(id)),
                Some(("both", topic)) => (Some(topic.to_owned()), self.id_of(topic)),
                _ => (Some((*arg).to_owned()), Uuid::ZERO),
            };
            if version < 6 {
                request.topic_names.extend(name);
            } else {
                request.topics.push(delete_topics_request::DeleteTopicState { name, topic_id });
            }
        }
        let mut answer: DeleteTopicsResponse = self.ask(ApiKey::DeleteTopics, version, &request).await;
        answer.responses.sort_by(|one, other| one.name.cmp(&other.name));
        let mut lines = Vec::new();
        for row in answer.responses {
            let id = self.id_text(row.topic_id, row.name.as_deref());
            let error = error_text(row.error_code, row.error_message.as_deref());
            lines.push(format!("{} id={id} {error}", row.name.as_deref().unwrap_or("~")));
        }
        lines
    }

    async fn grow(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let validate_only = flag(&mut args, "validate");
        let topic = |arg: &str| {
            let mut fields = arg.split('|');
            let name = fields.next().unwrap().to_owned();
            let count = fields.next().unwrap().parse().unwrap();
            let assignments = fields.next().map(|text| {
                let row = |text: &str| create_partitions_request::CreatePartitionsAssignment {
                    broker_ids: brokers(text),
                };
                text.split(';').filter(|text| !text.is_empty()).map(row).collect()
            });
            create_partitions_request::CreatePartitionsTopic { name, count, assignments }
        };
        let topics = args.into_iter().map(topic).collect();
        let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only };
        let mut answer: CreatePartitionsResponse =
            self.ask(ApiKey::CreatePartitions, version, &request).await;
        answer.results.sort_by(|one, other| one.name.cmp(&other.name));
        let row =
            |row: &ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult| {
                format!("{} {}", row.name, error_text(row.error_code, row.error_message.as_deref()))
            };
        answer.results.iter().map(row).collect()
    }

    async fn records(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let topic = |arg: &&str| {
            let [name, partition, offset] = arg.split('|').collect::<Vec<_>>().try_into().unwrap();
            let partition = delete_records_request::DeleteRecordsPartition {
                partition_index: partition.parse().unwrap(),
                offset: offset.parse().unwrap(),
            };
            delete_records_request::DeleteRecordsTopic { name: name.to_owned(), partitions: vec![partition] }
        };
        let request = DeleteRecordsRequest { topics: args.iter().map(topic).collect(), timeout_ms: 10_000 };
        let answer: DeleteRecordsResponse = self.ask(ApiKey::DeleteRecords, version, &request).await;
        let mut lines = Vec::new();
        for topic in &answer.topics {
            for row in &topic.partitions {
                let (index, error, low) = (row.partition_index, row.error_code, row.low_watermark);
                lines.push(format!("{}-{index} {error} low={low}", topic.name));
            }
        }
        lines.sort();
        lines
    }

    async fn partitions(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let [limit, cursor, names @ ..] = args else { panic!("limit and cursor are missing") };
        let cursor =
            cursor.split_once('|').map(|(topic, partition)| describe_topic_partitions_request::Cursor {
                topic_name: topic.to_owned(),
                partition_index: partition.parse().unwrap(),
            });
        let topic =
            |name: &&str| describe_topic_partitions_request::TopicRequest { name: (*name).to_owned() };
        let request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(topic).collect(),
            response_partition_limit: limit.parse().unwrap(),
            cursor,
        };
        let answer: DescribeTopicPartitionsResponse =
            self.ask(ApiKey::DescribeTopicPartitions, version, &request).await;
        let mut lines = Vec::new();
        for topic in answer.topics {
            let id = self.id_text(topic.topic_id, topic.name.as_deref());
            lines.push(format!(
                "{} {} id={id} internal={} operations={}",
                topic.name.as_deref().unwrap_or("~"),
                topic.error_code,
                topic.is_internal,
                topic.topic_authorized_operations
            ));
            lines.extend(topic.partitions.iter().map(page_row));
        }
        let next = answer.next_cursor;
        lines.extend(next.map(|next| format!("next {}|{}", next.topic_name, next.partition_index)));
        lines
    }
}

fn new_topic(spec: &str) -> create_topics_request::CreatableTopic {
    let mut fields = spec.split('|');
    let name = fields.next().unwrap().to_owned();
    let num_partitions = fields.next().unwrap().parse().unwrap();
    let replication_factor = fields.next().unwrap().parse().unwrap();
    let config = |pair: &str| {
        let (name, text) = pair.split_once('=').unwrap();
        create_topics_request::CreatableTopicConfig { name: name.to_owned(), value: value(text) }
    };
    let configs = fields.next().unwrap_or_default();
    let configs = configs.split(';').filter(|text| !text.is_empty()).map(config).collect();
    let assignment = |text: &str| {
        let (partition, ids) = text.split_once(':').unwrap();
        let partition_index = partition.parse().unwrap();
        create_topics_request::CreatableReplicaAssignment { partition_index, broker_ids: brokers(ids) }
    };
    let assignments = fields.next().unwrap_or_default();
    let assignments = assignments.split(';').filter(|text| !text.is_empty()).map(assignment).collect();
    create_topics_request::CreatableTopic { name, num_partitions, replication_factor, assignments, configs }
}

fn brokers(text: &str) -> Vec<i32> {
    text.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect()
}

fn created_text(row: &create_topics_response::CreatableTopicResult, id: &str) -> String {
    if row.error_code != 0 {
        let empty = row.configs.as_ref().is_some_and(Vec::is_empty);
        let details = if empty { "" } else { " with details" };
        let error = error_text(row.error_code, row.error_message.as_deref());
        return format!("{} {error}{details}", row.name);
    }
    let error = row.topic_config_error_code;
    let configs = match &row.configs {
        None => format!("configs=~ {error}"),
        Some(configs) if configs.is_empty() => format!("configs=0 {error}"),
        Some(configs) => {
            let mut text = format!("configs={}", configs.len());
            let mut set: Vec<String> = configs
                .iter()
                .filter(|config| config.config_source != DEFAULT)
                .map(|config| {
                    let value = config.value.as_deref().unwrap_or("~");
                    format!(" {}={value}({})", config.name, config.config_source)
                })
                .collect();
            set.sort();
            text.extend(set);
            text
        }
    };
    let (partitions, replicas) = (row.num_partitions, row.replication_factor);
    format!("{} 0 id={id} partitions={partitions} replicas={replicas} {configs}", row.name)
}

fn page_row(row: &describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition) -> String {
    let ids = |ids: &Option<Vec<i32>>| ids.as_ref().map_or("~".to_owned(), |ids| numbers(ids));
    format!(
        "  {} {} leader={}@{} replicas={} isr={} elr={} last={} offline={}",
        row.partition_index,
        row.error_code,
        row.leader_id,
        row.leader_epoch,
        numbers(&row.replica_nodes),
        numbers(&row.isr_nodes),
        ids(&row.eligible_leader_replicas),
        ids(&row.last_known_elr),
        numbers(&row.offline_replicas)
    )
}
