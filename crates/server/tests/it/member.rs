//! A member of a classic group that speaks frames, one connection each.
//!
//! Owns: its requests in the version it was made for, the id and generation it was told.
//! Does not own: what the tests expect, what it subscribes to beyond one topic.
//!
//! `begin_*` sends a request whose answer may be long in coming; the call of the other tense reads it.

use bytes::Bytes;
use ottla_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ResponseHeader, SyncGroupRequest, SyncGroupResponse, join_group_request,
    leave_group_request, sync_group_request,
};
use ottla_protocol::{ApiKey, Message, Reader};
use ottla_server::RunningNode;

use crate::node::Client;
use crate::operator::name_of;

/// A consumer's subscription, version 1: topics, no user data, no partitions owned.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.bytes());
    }
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    Bytes::from(bytes)
}

pub struct Member {
    pub client: Client,
    /// Of JoinGroup; the other calls are in their latest version.
    pub version: i16,
    pub group: String,
    pub id: String,
    pub instance: Option<String>,
    pub generation: i32,
    pub session_ms: i32,
    pub rebalance_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
}

impl Member {
    /// Somebody who is about to join a group of consumers of `t`.
    pub async fn new(node: &RunningNode, version: i16, group: &str) -> Member {
        Member {
            client: Client::connect(node).await,
            version,
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
            session_ms: 10_000,
            rebalance_ms: 10_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), subscription(&["t"]))],
        }
    }

    pub fn with_instance(self, instance: &str) -> Member {
        Member { instance: Some(instance.to_owned()), ..self }
    }

    pub fn join_request(&self) -> JoinGroupRequest {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            join_group_request::JoinGroupRequestProtocol { name: name.clone(), metadata: metadata.clone() }
        });
        JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: self.rebalance_ms,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: self.protocol_type.clone(),
            protocols: protocols.collect(),
            reason: None,
        }
    }

    /// Joins once and tells the answer; nothing is remembered.
    pub async fn try_join(&mut self) -> JoinGroupResponse {
        let request = self.join_request();
        self.client.ask(ApiKey::JoinGroup, self.version, &request).await
    }

    /// Fetches a member id where the version asks for one.
    pub async fn get_id(&mut self) {
        if self.version >= 4 && self.id.is_empty() && self.instance.is_none() {
            let answer = self.try_join().await;
            assert_eq!(name_of(answer.error_code), "MEMBER_ID_REQUIRED");
            self.id = answer.member_id;
        }
    }

    pub async fn begin_join(&mut self) {
        self.get_id().await;
        let request = self.join_request();
        let frame = self.client.frame(ApiKey::JoinGroup, self.version, &request);
        self.client.send_raw(&frame).await;
    }

    /// The answer to a join, which must be a success.
    pub async fn joined(&mut self) -> JoinGroupResponse {
        let answer: JoinGroupResponse = self.receive(ApiKey::JoinGroup, self.version).await;
        assert_eq!(name_of(answer.error_code), "NONE", "{answer:?}");
        self.id = answer.member_id.clone();
        self.generation = answer.generation_id;
        answer
    }

    pub async fn join(&mut self) -> JoinGroupResponse {
        self.begin_join().await;
        self.joined().await
    }

    pub fn sync_request(&self, parts: &[(&str, &'static str)]) -> SyncGroupRequest {
        let parts = parts.iter().map(|(member, part)| sync_group_request::SyncGroupRequestAssignment {
            member_id: (*member).to_owned(),
            assignment: Bytes::from_static(part.as_bytes()),
        });
        SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: Some(self.protocols[0].0.clone()),
            assignments: parts.collect(),
        }
    }

    pub async fn begin_sync(&mut self) {
        let request = self.sync_request(&[]);
        let frame = self.client.frame(ApiKey::SyncGroup, 5, &request);
        self.client.send_raw(&frame).await;
    }

    /// The part it was assigned, or the error.
    pub async fn synced(&mut self) -> String {
        part_or_error(self.receive(ApiKey::SyncGroup, 5).await)
    }

    /// Hands in parts, as the leader does, and tells its own.
    pub async fn sync(&mut self, parts: &[(&str, &'static str)]) -> String {
        let request = self.sync_request(parts);
        part_or_error(self.client.ask(ApiKey::SyncGroup, 5, &request).await)
    }

    pub async fn beat(&mut self) -> &'static str {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
        };
        let answer: HeartbeatResponse = self.client.ask(ApiKey::Heartbeat, 4, &request).await;
        name_of(answer.error_code)
    }

    /// Leaves by its id alone.
    pub async fn leave(&mut self) -> String {
        let who = [(self.id.clone(), None)];
        let group = self.group.clone();
        leave(&mut self.client, 5, &group, &who).await
    }

    async fn receive<A: Message>(&self, api: ApiKey, version: i16) -> A {
        let answer = self.client.receive().await.expect("the node answers");
        let mut reader = Reader::new(&answer);
        ResponseHeader::decode(&mut reader, api.response_header_version(version)).unwrap();
        A::decode(&mut reader, version).unwrap()
    }
}

fn part_or_error(answer: SyncGroupResponse) -> String {
    match answer.error_code {
        0 => String::from_utf8(answer.assignment.to_vec()).unwrap(),
        error => name_of(error).to_owned(),
    }
}

/// LeaveGroup by member id and instance id: the error of the whole, then that of each member.
pub async fn leave(
    client: &mut Client,
    version: i16,
    group: &str,
    members: &[(String, Option<&str>)],
) -> String {
    let identity = |(member, instance): &(String, Option<&str>)| leave_group_request::MemberIdentity {
        member_id: member.clone(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    };
    let mut request = LeaveGroupRequest { group_id: group.to_owned(), ..Default::default() };
    if version < 3 {
        request.member_id.clone_from(&members[0].0);
    } else {
        request.members = members.iter().map(identity).collect();
    }
    let answer: LeaveGroupResponse = client.ask(ApiKey::LeaveGroup, version, &request).await;
    let rows = answer.members.iter().map(|row| name_of(row.error_code));
    let all: Vec<_> = std::iter::once(name_of(answer.error_code)).chain(rows).collect();
    all.join(" ")
}

/// Two members of a group in its second generation, stable: the first leads and has part `A`, the other has `B`.
pub async fn pair(mut first: Member, mut second: Member) -> (Member, Member) {
    first.join().await;
    let id = first.id.clone();
    assert_eq!(first.sync(&[(&id, "A1")]).await, "A1");
    second.begin_join().await;
    while first.beat().await == "NONE" {
        ottla_env::task::yield_now().await;
    }
    first.join().await;
    second.joined().await;
    assert_eq!((first.generation, second.generation), (2, 2));
    let (one, other) = (first.id.clone(), second.id.clone());
    assert_eq!(first.sync(&[(&one, "A"), (&other, "B")]).await, "A");
    assert_eq!(second.sync(&[]).await, "B");
    (first, second)
}
