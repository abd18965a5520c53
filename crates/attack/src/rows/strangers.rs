//! Clients that speak in the name of others, or of what is not there any more: members of a group that they are not, topics
//! that were deleted.
//!
//! Owns: what they send, what it must not change. Does not own: requests between nodes (`impostors`).

use std::time::Duration;

use ottla_model::Uuid;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, ProduceRequest, ProduceResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::Stage;
use super::requests::{content, end_of};
use crate::Fallible;
use crate::honest::{batch, create_topics};
use crate::report::Found;
use crate::wire::{Connection, Reply, answer_of, frame};

/// Error codes.
const NONE: i16 = 0;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const UNKNOWN_TOPIC_ID: i16 = 100;

const GROUP: &str = "members-only";
const TOPIC: &str = "strangers";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the member commits.
const COMMITTED: i64 = 5;

/// Who speaks.
struct Speaker<'a> {
    about: &'static str,
    generation: i32,
    member: &'a str,
    /// What it must be told.
    code: i16,
}

/// A group has one member. Others commit, send heartbeats, synchronize and leave in the name of somebody who is not, of nobody,
/// and of the member in a generation that is over or still to come.
pub async fn members(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    create_topics(stage.node.port, &[TOPIC]).await?;
    let mut client = Connection::open(stage.node.port).await?;
    let (generation, member) = join(&mut client).await?;
    let honest = Speaker { about: "the member", generation, member: &member, code: NONE };
    let code = commit(&mut client, &honest, COMMITTED).await?;
    found.must(code == NONE, || format!("a commit of the member got {code}"));
    let speaker = |about, generation, member, code| Speaker { about, generation, member, code };
    let strangers = [
        speaker("an earlier generation", generation - 1, &*member, ILLEGAL_GENERATION),
        speaker("a later generation", generation + 1, &*member, ILLEGAL_GENERATION),
        speaker("somebody who is no member", generation, "nobody-knows-me", UNKNOWN_MEMBER_ID),
        speaker("somebody outside of all generations", -1, "", UNKNOWN_MEMBER_ID),
    ];
    let mut intruder = Connection::open(stage.node.port).await?;
    for stranger in &strangers {
        let Speaker { about, code: wanted, .. } = *stranger;
        let code = commit(&mut intruder, stranger, 0).await?;
        found.must(code == wanted, || format!("a commit of {about} got {code}, not {wanted}"));
        let code = heartbeat(&mut intruder, stranger).await?;
        found.must(code == wanted, || format!("a heartbeat of {about} got {code}, not {wanted}"));
        let code = synchronize(&mut intruder, stranger, Vec::new()).await?;
        found.must(code == wanted, || format!("a sync of {about} got {code}, not {wanted}"));
    }
    let code = leave(&mut intruder, "nobody-knows-me").await?;
    found.must(code == UNKNOWN_MEMBER_ID, || format!("a stranger who leaves got {code}"));
    let offset = committed(&mut client).await?;
    found.must(offset == COMMITTED, || format!("{COMMITTED} was committed, and {offset} is told"));
    let code = heartbeat(&mut client, &honest).await?;
    found.must(code == NONE, || format!("a heartbeat of the member got {code}"));
    found.fact(format!("{} strangers in a group", strangers.len()));
    Ok(found)
}

/// Joins the group as its only member.
async fn join(client: &mut Connection) -> Fallible<(i32, String)> {
    let mut request = JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: bytes::Bytes::new() }],
        ..JoinGroupRequest::default()
    };
    let asked = FindCoordinatorRequest { key: GROUP.to_owned(), ..FindCoordinatorRequest::default() };
    // The first answers may be that there is no coordinator yet, and that a member needs an id.
    for _ in 0..500 {
        let _: FindCoordinatorResponse = client.ask((ApiKey::FindCoordinator, 1), &asked).await?;
        let answer: JoinGroupResponse = client.ask((ApiKey::JoinGroup, 5), &request).await?;
        if answer.error_code == NONE {
            let member = Speaker {
                about: "the member",
                generation: answer.generation_id,
                member: &answer.member_id,
                code: NONE,
            };
            let own = SyncGroupRequestAssignment {
                member_id: answer.member_id.clone(),
                assignment: bytes::Bytes::from_static(b"mine"),
            };
            return match synchronize(client, &member, vec![own]).await? {
                NONE => Ok((answer.generation_id, answer.member_id)),
                code => Err(format!("the member's sync got {code}").into()),
            };
        }
        request.member_id = answer.member_id;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("no member was taken".into())
}

async fn commit(client: &mut Connection, speaker: &Speaker<'_>, offset: i64) -> Fallible<i16> {
    let partition =
        OffsetCommitRequestPartition { committed_offset: offset, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.to_owned(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP.to_owned(),
        generation_id_or_member_epoch: speaker.generation,
        member_id: speaker.member.to_owned(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer: OffsetCommitResponse = client.ask((ApiKey::OffsetCommit, 5), &request).await?;
    let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    Ok(partition.ok_or("an answer without a partition")?.error_code)
}

async fn committed(client: &mut Connection) -> Fallible<i64> {
    let topic = OffsetFetchRequestTopic { name: TOPIC.to_owned(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    let answer: OffsetFetchResponse = client.ask((ApiKey::OffsetFetch, 5), &request).await?;
    let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    Ok(partition.ok_or("an answer without a partition")?.committed_offset)
}

async fn heartbeat(client: &mut Connection, speaker: &Speaker<'_>) -> Fallible<i16> {
    let request = HeartbeatRequest {
        group_id: GROUP.to_owned(),
        generation_id: speaker.generation,
        member_id: speaker.member.to_owned(),
        ..HeartbeatRequest::default()
    };
    let answer: HeartbeatResponse = client.ask((ApiKey::Heartbeat, 2), &request).await?;
    Ok(answer.error_code)
}

async fn synchronize(
    client: &mut Connection,
    speaker: &Speaker<'_>,
    assignments: Vec<SyncGroupRequestAssignment>,
) -> Fallible<i16> {
    let request = SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id: speaker.generation,
        member_id: speaker.member.to_owned(),
        assignments,
        ..SyncGroupRequest::default()
    };
    let answer: SyncGroupResponse = client.ask((ApiKey::SyncGroup, 2), &request).await?;
    Ok(answer.error_code)
}

async fn leave(client: &mut Connection, member: &str) -> Fallible<i16> {
    let request = LeaveGroupRequest {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        ..LeaveGroupRequest::default()
    };
    let answer: LeaveGroupResponse = client.ask((ApiKey::LeaveGroup, 2), &request).await?;
    Ok(answer.error_code)
}

/// A topic is deleted and made anew, again and again, while clients go on with the id of the one before: they are refused,
/// and nothing of theirs gets into the new one.
pub async fn reborn(stage: &Stage<'_>) -> Fallible<Found> {
    const TIMES: usize = 60;
    let mut found = Found::default();
    let mut client = Connection::open(stage.node.port).await?;
    let mut writer = Connection::open(stage.node.port).await?;
    create_topics(stage.node.port, &[TOPIC]).await?;
    let mut id = topic_id(&mut client).await?;
    for _ in 0..TIMES {
        // Nobody waits for the answers: some requests come while the topic goes, some when there is a new one.
        let remake = async {
            remake(&mut client).await?;
            topic_id(&mut client).await
        };
        let mut remake = std::pin::pin!(remake);
        let new = loop {
            tokio::select! {
                biased;
                code = produce(&mut writer, id) => {
                    code?;
                }
                new = &mut remake => break new?,
            }
            tokio::task::yield_now().await;
        };
        found.must(new != id, || format!("a topic that was made anew has the id {id:?} of its predecessor"));
        let mut writer = Connection::open(stage.node.port).await?;
        let code = produce(&mut writer, id).await?;
        found.must(code == UNKNOWN_TOPIC_ID, || format!("records for a topic that is gone got {code}"));
        let code = fetch(&mut writer, id).await?;
        found.must(code == UNKNOWN_TOPIC_ID, || format!("a fetch of a topic that is gone got {code}"));
        let end = end_of(&content(stage.node.port, TOPIC).await?);
        found.must(end == 0, || format!("a new topic ends at {end}, where nobody has written to it"));
        id = new;
    }
    found.fact(format!("a topic was made anew {TIMES} times"));
    Ok(found)
}

async fn topic_id(client: &mut Connection) -> Fallible<Uuid> {
    let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let answer: MetadataResponse = client.ask((ApiKey::Metadata, 10), &request).await?;
    Ok(answer.topics.first().ok_or("an answer without a topic")?.topic_id)
}

/// Deletes the topic and creates it without waiting in between, so that a node may learn of both at once.
async fn remake(client: &mut Connection) -> Fallible<()> {
    let delete = DeleteTopicsRequest {
        topic_names: vec![TOPIC.to_owned()],
        timeout_ms: 20_000,
        ..DeleteTopicsRequest::default()
    };
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let create =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..CreateTopicsRequest::default() };
    let both = [frame(ApiKey::DeleteTopics, 5, &delete)?, frame(ApiKey::CreateTopics, 4, &create)?].concat();
    client.send(&both).await?;
    let deleted: DeleteTopicsResponse = answer_of((ApiKey::DeleteTopics, 5), &answer(client).await?)?;
    let created: CreateTopicsResponse = answer_of((ApiKey::CreateTopics, 4), &answer(client).await?)?;
    let codes = deleted.responses.iter().map(|topic| topic.error_code);
    match codes.chain(created.topics.iter().map(|topic| topic.error_code)).find(|code| *code != NONE) {
        Some(code) => Err(format!("a topic cannot be made anew: {code}").into()),
        None => Ok(()),
    }
}

async fn answer(client: &mut Connection) -> Fallible<Vec<u8>> {
    match client.receive(PATIENCE).await {
        Reply::Answer(answer) => Ok(answer),
        other @ (Reply::Closed | Reply::Silent) => Err(format!("an answer was awaited: {other:?}").into()),
    }
}

/// Writes by the id of a topic.
async fn produce(client: &mut Connection, topic_id: Uuid) -> Fallible<i16> {
    let records = Some(bytes::Bytes::from(batch(1, 10)?));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let topic = TopicProduceData { topic_id, partition_data, ..TopicProduceData::default() };
    let request =
        ProduceRequest { acks: 1, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let answer: ProduceResponse = client.ask((ApiKey::Produce, 13), &request).await?;
    let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
    Ok(partition.ok_or("an answer without a partition")?.error_code)
}

/// Reads by the id of a topic.
async fn fetch(client: &mut Connection, topic_id: Uuid) -> Fallible<i16> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let answer: FetchResponse = client.ask((ApiKey::Fetch, 13), &request).await?;
    let partition = answer.responses.iter().flat_map(|topic| &topic.partitions).next();
    Ok(partition.map_or(answer.error_code, |partition| partition.error_code))
}
