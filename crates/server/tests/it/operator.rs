//! A client of groups that is no member of any: what it asks in any version, and the answers as one line of text.
//!
//! Owns: requests about offsets and groups, their answers in words.
//! Does not own: what the tests expect.
//!
//! Partitions are written `t-0`, offsets `t-0=5` or, with metadata, `t-0=5~text`. From version 10 on topics are named by
//! their ids; a topic that was never learnt has an id that nobody knows.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_env::{task, time};
use ottla_model::Uuid;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, describe_groups_response, metadata_request,
    offset_commit_request, offset_delete_request, offset_fetch_request,
};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_server::RunningNode;

use crate::node::Client;

/// The id of a topic that does not exist.
const STRANGE_ID: [u8; 16] = [0x77; 16];

/// The name of a code.
pub fn name_of(code: i16) -> &'static str {
    ErrorCode::from_number(code).unwrap().name()
}

pub struct Operator {
    pub client: Client,
    ids: BTreeMap<String, Uuid>,
}

/// In whose name offsets are committed.
#[derive(Clone, Default)]
pub struct Committer<'a> {
    pub generation: i32,
    pub member: &'a str,
    pub instance: Option<&'a str>,
    pub retention_ms: Option<i64>,
}

/// Somebody who is no member.
pub const NOBODY: Committer<'static> =
    Committer { generation: -1, member: "", instance: None, retention_ms: None };

impl Operator {
    pub async fn connect(node: &RunningNode) -> Operator {
        Operator { client: Client::connect(node).await, ids: BTreeMap::new() }
    }

    /// On a node with topics of so many partitions and a coordinator that has loaded.
    pub async fn with_topics(node: &RunningNode, topics: &[(&str, i32)]) -> Operator {
        let mut operator = Operator::connect(node).await;
        for (name, partitions) in topics {
            operator.client.create_topic(name, *partitions).await;
            operator.learn(name).await;
        }
        operator.until_coordinated().await;
        operator
    }

    /// Asks for the id of a topic, until it is known.
    pub async fn learn(&mut self, name: &str) -> Uuid {
        let topic =
            metadata_request::MetadataRequestTopic { name: Some(name.to_owned()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let known = |answer: &MetadataResponse| answer.topics[0].error_code == 0;
        let answer = self.client.ask_until((ApiKey::Metadata, 12), &request, known).await;
        self.ids.insert(name.to_owned(), answer.topics[0].topic_id);
        answer.topics[0].topic_id
    }

    /// Has the topic of offsets created and waits until its coordinators answer.
    pub async fn until_coordinated(&mut self) {
        for group in ["a", "b", "c", "d"] {
            let request =
                FindCoordinatorRequest { coordinator_keys: vec![group.to_owned()], ..Default::default() };
            let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
            self.client.ask_until((ApiKey::FindCoordinator, 4), &request, found).await;
            let request = OffsetFetchRequest { group_id: group.to_owned(), ..Default::default() };
            let loaded = |answer: &OffsetFetchResponse| answer.error_code == 0;
            self.client.ask_until((ApiKey::OffsetFetch, 7), &request, loaded).await;
        }
    }

    fn id_of(&self, name: &str) -> Uuid {
        self.ids.get(name).copied().unwrap_or(Uuid::from_bytes(STRANGE_ID))
    }

    /// What stands for a topic in an answer: its name, or the name its id is known by.
    fn topic_text(&self, name: &str, id: Uuid) -> String {
        if id == Uuid::ZERO {
            return name.to_owned();
        }
        let known = self.ids.iter().find(|(_, known)| **known == id);
        known.map_or_else(|| "?".to_owned(), |(name, _)| name.clone())
    }

    pub async fn commit(
        &mut self,
        (version, group): (i16, &str),
        who: Committer<'_>,
        offsets: &str,
    ) -> String {
        let row = |(index, text): (i32, Option<&str>)| {
            let (offset, metadata) = text.unwrap().split_once('~').unzip();
            offset_commit_request::OffsetCommitRequestPartition {
                partition_index: index,
                committed_offset: offset.or(text).unwrap().parse().unwrap(),
                committed_metadata: metadata.map(str::to_owned),
                ..Default::default()
            }
        };
        let topics = by_topic(offsets).into_iter().map(|Asked { topic: name, partitions }| {
            offset_commit_request::OffsetCommitRequestTopic {
                name: if version < 10 { name.to_owned() } else { String::new() },
                topic_id: if version < 10 { Uuid::ZERO } else { self.id_of(name) },
                partitions: partitions.into_iter().map(row).collect(),
            }
        });
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            generation_id_or_member_epoch: who.generation,
            member_id: who.member.to_owned(),
            group_instance_id: who.instance.map(str::to_owned),
            retention_time_ms: who.retention_ms.unwrap_or(-1),
            topics: topics.collect(),
        };
        let answer: OffsetCommitResponse = self.client.ask(ApiKey::OffsetCommit, version, &request).await;
        let rows = answer.topics.iter().flat_map(|topic| {
            let name = self.topic_text(&topic.name, topic.topic_id);
            let rows = topic.partitions.iter();
            rows.map(move |row| format!("{name}-{} {}", row.partition_index, name_of(row.error_code)))
        });
        rows.collect::<Vec<_>>().join(", ")
    }

    /// What one group has committed; `None` asks for everything. Versions from 8 on are asked in the newer form.
    pub async fn fetch(&mut self, version: i16, group: &str, wanted: Option<&str>) -> String {
        let request = if version < 8 {
            OffsetFetchRequest {
                group_id: group.to_owned(),
                topics: wanted.map(|text| {
                    let topics = by_topic(text).into_iter();
                    let topics = topics.map(|Asked { topic: name, partitions }| {
                        offset_fetch_request::OffsetFetchRequestTopic {
                            name: name.to_owned(),
                            partition_indexes: partitions.into_iter().map(|(index, _)| index).collect(),
                        }
                    });
                    topics.collect()
                }),
                ..Default::default()
            }
        } else {
            OffsetFetchRequest { groups: vec![self.wanted_of(version, group, wanted)], ..Default::default() }
        };
        let answer = self.client.ask(ApiKey::OffsetFetch, version, &request).await;
        self.fetched_text(&answer)
    }

    /// One group of a request from version 8 on.
    pub fn wanted_of(
        &self,
        version: i16,
        group: &str,
        wanted: Option<&str>,
    ) -> offset_fetch_request::OffsetFetchRequestGroup {
        let topic =
            |Asked { topic: name, partitions }: Asked<'_>| offset_fetch_request::OffsetFetchRequestTopics {
                name: if version < 10 { name.to_owned() } else { String::new() },
                topic_id: if version < 10 { Uuid::ZERO } else { self.id_of(name) },
                partition_indexes: partitions.into_iter().map(|(index, _)| index).collect(),
            };
        offset_fetch_request::OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: wanted.map(|text| by_topic(text).into_iter().map(topic).collect()),
            ..Default::default()
        }
    }

    /// Group by group, divided by `;`. A group that is refused is its error.
    pub fn fetched_text(&self, answer: &OffsetFetchResponse) -> String {
        let entry = |topic: &str, row: (i32, i64, &Option<String>, i16)| {
            let (index, offset, metadata, error) = row;
            let metadata = metadata.as_deref().expect("metadata is never null");
            match (error, metadata) {
                (0, "") => format!("{topic}-{index}={offset}"),
                (0, metadata) => format!("{topic}-{index}={offset}~{metadata}"),
                (error, _) => format!("{topic}-{index} {}", name_of(error)),
            }
        };
        let mut groups = Vec::new();
        for group in &answer.groups {
            let rows = group.topics.iter().flat_map(|topic| {
                let name = self.topic_text(&topic.name, topic.topic_id);
                let rows = topic.partitions.iter();
                let row = move |row: &ottla_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                    entry(&name, (row.partition_index, row.committed_offset, &row.metadata, row.error_code))
                };
                rows.map(row).collect::<Vec<_>>()
            });
            groups.push(fetched_or(group.error_code, rows.collect()));
        }
        if !answer.groups.is_empty() {
            return groups.join("; ");
        }
        let rows = answer.topics.iter().flat_map(|topic| {
            let rows = topic.partitions.iter();
            let row =
                |row: &ottla_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
                    entry(
                        &topic.name,
                        (row.partition_index, row.committed_offset, &row.metadata, row.error_code),
                    )
                };
            rows.map(row).collect::<Vec<_>>()
        });
        fetched_or(answer.error_code, rows.collect())
    }

    /// OffsetDelete: the error of the whole, or that of each partition.
    pub async fn drop_offsets(&mut self, group: &str, partitions: &str) -> String {
        let topics = by_topic(partitions).into_iter().map(|Asked { topic: name, partitions }| {
            let partitions = partitions.into_iter().map(|(partition_index, _)| {
                offset_delete_request::OffsetDeleteRequestPartition { partition_index }
            });
            offset_delete_request::OffsetDeleteRequestTopic {
                name: name.to_owned(),
                partitions: partitions.collect(),
            }
        });
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics: topics.collect() };
        let answer: OffsetDeleteResponse = self.client.ask(ApiKey::OffsetDelete, 0, &request).await;
        let rows = answer.topics.iter().flat_map(|topic| {
            let rows = topic.partitions.iter();
            rows.map(|row| format!("{}-{} {}", topic.name, row.partition_index, name_of(row.error_code)))
        });
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() { name_of(answer.error_code).to_owned() } else { rows.join(", ") }
    }

    /// DeleteGroups: each group with its error, by name.
    pub async fn drop_groups(&mut self, version: i16, groups: &[&str]) -> String {
        let request =
            DeleteGroupsRequest { groups_names: groups.iter().map(|&group| group.to_owned()).collect() };
        let answer: DeleteGroupsResponse = self.client.ask(ApiKey::DeleteGroups, version, &request).await;
        let mut rows: Vec<_> = answer
            .results
            .iter()
            .map(|row| format!("{} {}", row.group_id, name_of(row.error_code)))
            .collect();
        rows.sort();
        rows.join(", ")
    }

    pub async fn describe(
        &mut self,
        version: i16,
        groups: &[&str],
    ) -> Vec<describe_groups_response::DescribedGroup> {
        let request = DescribeGroupsRequest {
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            include_authorized_operations: false,
        };
        let answer: DescribeGroupsResponse = self.client.ask(ApiKey::DescribeGroups, version, &request).await;
        answer.groups
    }

    /// State and number of members of a group.
    pub async fn look(&mut self, group: &str) -> (String, usize) {
        let described = self.describe(5, &[group]).await.remove(0);
        (described.group_state, described.members.len())
    }

    /// Asks until a group is in a state with so many members.
    pub async fn until(&mut self, group: &str, state: &str, members: usize) {
        let deadline = time::now() + Duration::from_secs(10);
        loop {
            let seen = self.look(group).await;
            if seen == (state.to_owned(), members) {
                return;
            }
            assert!(time::now() < deadline, "{group} is still {seen:?}, not {state} with {members}");
            task::yield_now().await;
        }
    }

    /// ListGroups: each group with what the version tells of it, by name.
    pub async fn list(&mut self, version: i16, states: &[&str], types: &[&str]) -> String {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let request = ListGroupsRequest { states_filter: texts(states), types_filter: texts(types) };
        let answer: ListGroupsResponse = self.client.ask(ApiKey::ListGroups, version, &request).await;
        assert_eq!(answer.error_code, 0);
        let mut rows: Vec<_> = answer
            .groups
            .iter()
            .map(|row| {
                let told = [&row.protocol_type, &row.group_state, &row.group_type];
                let told = told.map(|text| if text.is_empty() { "-" } else { text.as_str() });
                format!("{}:{}", row.group_id, told.join(":"))
            })
            .collect();
        rows.sort();
        rows.join(" ")
    }
}

fn fetched_or(error: i16, rows: Vec<String>) -> String {
    match (error, rows.is_empty()) {
        (0, true) => "nothing".to_owned(),
        (0, false) => rows.join(" "),
        (error, _) => name_of(error).to_owned(),
    }
}

/// Partitions of a topic, each with what is said about it.
struct Asked<'a> {
    topic: &'a str,
    partitions: Vec<(i32, Option<&'a str>)>,
}

/// Words `topic-partition` or `topic-partition=value`, by topic, in the order in which topics come first.
fn by_topic(text: &str) -> Vec<Asked<'_>> {
    let mut topics: Vec<Asked<'_>> = Vec::new();
    for word in text.split_whitespace() {
        let (place, value) = word.split_once('=').map_or((word, None), |(place, value)| (place, Some(value)));
        let (topic, partition) = place.split_once('-').unwrap();
        let partition = (partition.parse().unwrap(), value);
        match topics.iter_mut().find(|known| known.topic == topic) {
            Some(known) => known.partitions.push(partition),
            None => topics.push(Asked { topic, partitions: vec![partition] }),
        }
    }
    topics
}
