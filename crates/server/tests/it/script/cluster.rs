//! Commands about the cluster: metadata, brokers, the quorum, features.
//!
//! ```text
//! metadata VERSION [all] [auto] [operations] [NAME | id:TOPIC | both:TOPIC]…
//! cluster VERSION TYPE [fenced] [operations]
//! quorum VERSION [TOPIC|PARTITION]…
//! features VERSION [validate] [NAME|LEVEL|TYPE]…
//! ```

use ottla_model::Uuid;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    MetadataRequest, MetadataResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
    describe_quorum_request, describe_quorum_response, metadata_request, metadata_response,
    update_features_request,
};

use super::{Script, error_text, flag, numbers};

impl Script {
    pub(super) async fn about_cluster(&mut self, name: &str, version: i16, args: &[&str]) -> Vec<String> {
        match name {
            "metadata" => self.metadata(version, args).await,
            "cluster" => self.cluster(version, args).await,
            "quorum" => self.quorum(version, args).await,
            _ => self.features(version, args).await,
        }
    }

    async fn metadata(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let (all, auto) = (flag(&mut args, "all"), flag(&mut args, "auto"));
        let operations = flag(&mut args, "operations");
        let topic = |arg: &str| {
            let (name, topic_id) = match arg.split_once(':') {
                Some(("id", id)) => (None, self.id_of(id)),
                Some(("both", topic)) => (Some(topic.to_owned()), self.id_of(topic)),
                _ => (Some(arg.to_owned()), Uuid::ZERO),
            };
            metadata_request::MetadataRequestTopic { topic_id, name }
        };
        let request = MetadataRequest {
            topics: (!all).then(|| args.into_iter().map(topic).collect()),
            allow_auto_topic_creation: auto || version < 4,
            include_cluster_authorized_operations: operations && (8..=10).contains(&version),
            include_topic_authorized_operations: operations,
        };
        let mut answer: MetadataResponse = self.ask(ApiKey::Metadata, version, &request).await;
        let brokers = answer.brokers.iter().map(|broker| {
            let place = self.place(&broker.host, broker.port);
            format!("{} {place} rack={}", broker.node_id, broker.rack.as_deref().unwrap_or("~"))
        });
        let brokers: Vec<String> = brokers.collect();
        let id_length = answer.cluster_id.as_ref().map_or(0, String::len);
        let mut lines = vec![format!(
            "brokers [{}] cluster={id_length} controller={} operations={} {}",
            brokers.join(", "),
            answer.controller_id,
            answer.cluster_authorized_operations,
            answer.error_code
        )];
        answer.topics.sort_by(|one, other| (&one.name, one.error_code).cmp(&(&other.name, other.error_code)));
        for topic in answer.topics {
            let id = self.id_text(topic.topic_id, topic.name.as_deref());
            let name = topic.name.as_deref().unwrap_or("~");
            let (error, internal) = (topic.error_code, topic.is_internal);
            let operations = topic.topic_authorized_operations;
            lines.push(format!("{name} {error} id={id} internal={internal} operations={operations}"));
            lines.extend(topic.partitions.iter().map(partition_row));
        }
        lines
    }

    async fn cluster(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let include_fenced_brokers = flag(&mut args, "fenced");
        let include_cluster_authorized_operations = flag(&mut args, "operations");
        let endpoint_type = args[0].parse().unwrap();
        let request = DescribeClusterRequest {
            include_cluster_authorized_operations,
            endpoint_type,
            include_fenced_brokers,
        };
        let answer: DescribeClusterResponse = self.ask(ApiKey::DescribeCluster, version, &request).await;
        let error = error_text(answer.error_code, answer.error_message.as_deref());
        let mut lines = vec![format!(
            "{error} type={} cluster={} controller={} operations={}",
            answer.endpoint_type,
            answer.cluster_id.len(),
            answer.controller_id,
            answer.cluster_authorized_operations
        )];
        lines.extend(answer.brokers.iter().map(|broker| {
            let place = self.place(&broker.host, broker.port);
            let rack = broker.rack.as_deref().unwrap_or("~");
            format!("  {} {place} rack={rack} fenced={}", broker.broker_id, broker.is_fenced)
        }));
        lines
    }

    async fn quorum(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let topic = |arg: &&str| {
            let (name, partition) = arg.split_once('|').unwrap();
            let partition_index = partition.parse().unwrap();
            describe_quorum_request::TopicData {
                topic_name: name.to_owned(),
                partitions: vec![describe_quorum_request::PartitionData { partition_index }],
            }
        };
        let request = DescribeQuorumRequest { topics: args.iter().map(topic).collect() };
        let answer: DescribeQuorumResponse = self.ask(ApiKey::DescribeQuorum, version, &request).await;
        let mut lines = vec![error_text(answer.error_code, answer.error_message.as_deref())];
        for topic in &answer.topics {
            for row in &topic.partitions {
                lines.push(quorum_row(&topic.topic_name, row));
            }
        }
        for node in &answer.nodes {
            let listeners: Vec<&str> = node.listeners.iter().map(|listener| &*listener.name).collect();
            lines.push(format!("  node {} {}", node.node_id, listeners.join(",")));
        }
        lines
    }

    async fn features(&mut self, version: i16, args: &[&str]) -> Vec<String> {
        let mut args = args.to_vec();
        let validate_only = flag(&mut args, "validate");
        let update = |arg: &str| {
            let [name, level, kind] = arg.split('|').collect::<Vec<_>>().try_into().unwrap();
            let kind: i8 = kind.parse().unwrap();
            update_features_request::FeatureUpdateKey {
                feature: name.to_owned(),
                max_version_level: level.parse().unwrap(),
                allow_downgrade: version == 0 && kind > 1,
                upgrade_type: if version == 0 { 1 } else { kind },
            }
        };
        let feature_updates = args.into_iter().map(update).collect();
        let request = UpdateFeaturesRequest { timeout_ms: 10_000, feature_updates, validate_only };
        let answer: UpdateFeaturesResponse = self.ask(ApiKey::UpdateFeatures, version, &request).await;
        let mut lines = vec![error_text(answer.error_code, answer.error_message.as_deref())];
        let rows = answer.results.iter();
        lines.extend(rows.map(|row| {
            format!("  {} {}", row.feature, error_text(row.error_code, row.error_message.as_deref()))
        }));
        lines
    }

    fn place(&self, host: &str, port: i32) -> &'static str {
        let here = host == self.here.ip().to_string() && port == i32::from(self.here.port());
        if here { "here" } else { "elsewhere" }
    }
}

fn partition_row(row: &metadata_response::MetadataResponsePartition) -> String {
    format!(
        "  {} {} leader={}@{} replicas={} isr={} offline={}",
        row.partition_index,
        row.error_code,
        row.leader_id,
        row.leader_epoch,
        numbers(&row.replica_nodes),
        numbers(&row.isr_nodes),
        numbers(&row.offline_replicas)
    )
}

/// Offsets and times differ each time; what holds between them is shown.
fn quorum_row(topic: &str, row: &describe_quorum_response::PartitionData) -> String {
    let replica = |replica: &describe_quorum_response::ReplicaState| {
        format!(
            "{}:{} {} {} {}",
            replica.replica_id,
            if replica.replica_directory_id.is_zero() { "no-directory" } else { "directory" },
            if replica.log_end_offset >= row.high_watermark { "at-end" } else { "behind" },
            sign(replica.last_fetch_timestamp),
            sign(replica.last_caught_up_timestamp),
        )
    };
    let replicas = |all: &[describe_quorum_response::ReplicaState]| {
        all.iter().map(replica).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{topic}-{} {} leader={} epoch={} high-watermark={} voters=[{}] observers=[{}]",
        row.partition_index,
        error_text(row.error_code, row.error_message.as_deref()),
        row.leader_id,
        sign(row.leader_epoch.into()),
        sign(row.high_watermark),
        replicas(&row.current_voters),
        replicas(&row.observers)
    )
}

fn sign(number: i64) -> &'static str {
    match number {
        ..0 => "none",
        0 => "zero",
        _ => "some",
    }
}
