//! A member of a consumer group that speaks frames, one connection each.
//!
//! Owns: its heartbeats, the epoch and the partitions it was told. Does not own: what the tests expect.
//!
//! Partitions are written `a-0`, by the names the member knows its topics under.

use std::collections::BTreeMap;

use ottla_model::Uuid;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, consumer_group_heartbeat_request as asked,
};
use ottla_server::RunningNode;

use crate::node::Client;
use crate::operator::name_of;

pub struct Consumer {
    pub client: Client,
    pub version: i16,
    pub group: String,
    pub id: String,
    pub instance: Option<String>,
    pub epoch: i32,
    pub names: Vec<String>,
    /// What it works on.
    pub has: Vec<String>,
    pub interval_ms: i32,
    ids: BTreeMap<String, Uuid>,
}

impl Consumer {
    /// Somebody who is about to join and knows these topics.
    pub async fn new(node: &RunningNode, id: &str, topics: &[(&str, Uuid)]) -> Consumer {
        Consumer {
            client: Client::connect(node).await,
            version: 1,
            group: "g".to_owned(),
            id: id.to_owned(),
            instance: None,
            epoch: 0,
            names: topics.iter().map(|(name, _)| (*name).to_owned()).collect(),
            has: Vec::new(),
            interval_ms: 0,
            ids: topics.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
        }
    }

    fn owned(&self) -> Vec<asked::TopicPartitions> {
        let rows = self.has.iter().map(|text| {
            let (name, partition) = text.rsplit_once('-').unwrap();
            asked::TopicPartitions { topic_id: self.ids[name], partitions: vec![partition.parse().unwrap()] }
        });
        rows.collect()
    }

    /// A heartbeat that says nothing but what has to be said.
    pub fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let joins = self.epoch == 0;
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: if joins { 10_000 } else { -1 },
            subscribed_topic_names: joins.then(|| self.names.clone()),
            topic_partitions: joins.then(Vec::new),
            ..Default::default()
        }
    }

    pub async fn send(&mut self, request: &ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        self.client.ask(ApiKey::ConsumerGroupHeartbeat, self.version, request).await
    }

    /// The epoch it is told and, if it is told, what it is to have; or the error.
    pub async fn tell(&mut self, request: &ConsumerGroupHeartbeatRequest) -> String {
        let answer = self.send(request).await;
        if answer.error_code != 0 {
            return name_of(answer.error_code).to_owned();
        }
        self.id = answer.member_id.unwrap();
        self.epoch = answer.member_epoch;
        self.interval_ms = answer.heartbeat_interval_ms;
        let mut said = self.epoch.to_string();
        if let Some(assignment) = answer.assignment {
            let name_of = |id: Uuid| {
                self.ids.iter().find(|(_, known)| **known == id).map_or("?", |(name, _)| name.as_str())
            };
            let rows = assignment.topic_partitions.iter().flat_map(|topic| {
                topic.partitions.iter().map(|index| format!("{}-{index}", name_of(topic.topic_id)))
            });
            self.has = rows.collect();
            self.has.sort();
            said += &format!(": {}", self.has.join(" "));
        }
        said
    }

    pub async fn beat(&mut self) -> String {
        let request = self.request();
        self.tell(&request).await
    }

    /// A heartbeat that tells what it works on.
    pub async fn beat_owning(&mut self) -> String {
        let request =
            ConsumerGroupHeartbeatRequest { topic_partitions: Some(self.owned()), ..self.request() };
        self.tell(&request).await
    }

    pub async fn leave(&mut self) -> String {
        self.epoch = -1;
        self.beat().await
    }

    /// Goes on until it has so many partitions, and its group knows that it gave up all others.
    pub async fn until_it_has(&mut self, count: usize) {
        let deadline = ottla_env::time::now() + std::time::Duration::from_secs(10);
        loop {
            let said = self.beat_owning().await;
            if self.has.len() == count && !said.contains(':') {
                return;
            }
            assert!(ottla_env::time::now() < deadline, "{} still has {:?}: {said}", self.id, self.has);
            ottla_env::task::yield_now().await;
        }
    }
}

/// One group as ConsumerGroupDescribe shows it: state, epochs, assignor, then its members.
pub async fn describe(client: &mut Client, version: i16, group: &str) -> String {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        include_authorized_operations: false,
    };
    let answer: ConsumerGroupDescribeResponse =
        client.ask(ApiKey::ConsumerGroupDescribe, version, &request).await;
    let row = &answer.groups[0];
    if row.error_code != 0 {
        let message = row.error_message.clone().unwrap_or_default();
        return format!("{}: {message}", name_of(row.error_code));
    }
    let members = row.members.iter().map(|member| {
        let partitions =
            member.assignment.topic_partitions.iter().flat_map(|topic| {
                topic.partitions.iter().map(|index| format!("{}-{index}", topic.topic_name))
            });
        let target: usize =
            member.target_assignment.topic_partitions.iter().map(|topic| topic.partitions.len()).sum();
        format!(
            "; {} {} {}{} {} [{}] {target} type {}",
            member.member_id,
            member.member_epoch,
            member.client_id,
            member.client_host,
            member.subscribed_topic_names.join("+"),
            partitions.collect::<Vec<_>>().join(" "),
            member.member_type
        )
    });
    let members: String = members.collect();
    format!("{} {}/{} {}{members}", row.group_state, row.group_epoch, row.assignment_epoch, row.assignor_name)
}
