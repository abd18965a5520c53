//! One user who makes as many things as it can: topics, groups, members, producers, fetch sessions.
//!
//! Owns: making them, what each costs. Does not own: how long they last.

use std::time::Duration;

use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, OffsetCommitResponse,
    offset_commit_request,
};
use ottla_testkit::spoiled::with_checksum;

use super::Stage;
use crate::Fallible;
use crate::honest::{batch, create_topics, produce_frame};
use crate::report::Found;
use crate::wire::{Connection, Reply, answer_of, frame};

const TOPIC: &str = "crowded";
/// `group.max.size` of this row.
const GROUP_SIZE_MAX: usize = 500;
/// Error codes: a member has to come again with its id; no more members are taken.
const MEMBER_ID_REQUIRED: i16 = 79;
const GROUP_IS_FULL: i16 = 81;
/// `max.incremental.fetch.session.cache.slots`.
const SESSIONS_MAX: usize = 1_000;

/// All of them, one kind after the other.
pub async fn state(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    create_topics(stage.node.port, &[TOPIC]).await?;
    let mut client = Connection::open(stage.node.port).await?;
    coordinator(&mut client).await?;
    topics(stage, &mut client, &mut found).await?;
    groups(stage, &mut client, &mut found).await?;
    members(stage, &mut client, &mut found).await?;
    producers(stage, &mut client, &mut found).await?;
    sessions(stage, &mut client, &mut found).await?;
    Ok(found)
}

/// Tells what one of so many things costs.
fn told(found: &mut Found, (count, what): (u64, &str), bytes: u64) {
    found.fact(format!("{count} {what}: {} bytes each", bytes / count.max(1)));
}

async fn coordinator(client: &mut Connection) -> Fallible<()> {
    let request = FindCoordinatorRequest { key: "crowd".to_owned(), ..FindCoordinatorRequest::default() };
    for _ in 0..500 {
        let answer: FindCoordinatorResponse = client.ask((ApiKey::FindCoordinator, 1), &request).await?;
        if answer.error_code == 0 && commit(client, "crowd").await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("no coordinator for groups".into())
}

async fn topics(stage: &Stage<'_>, client: &mut Connection, found: &mut Found) -> Fallible<()> {
    const COUNT: u64 = 1_000;
    const TOGETHER: u64 = 100;
    let before = stage.node.own_bytes()?;
    for first in (0..COUNT).step_by(100) {
        let topic = |number: u64| CreatableTopic {
            name: format!("crowd-{number}"),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let topics = (first..first + TOGETHER).map(topic).collect();
        let request = CreateTopicsRequest { topics, ..CreateTopicsRequest::default() };
        let answer: CreateTopicsResponse = client.ask((ApiKey::CreateTopics, 4), &request).await?;
        let refused = answer.topics.iter().find(|topic| topic.error_code != 0);
        found.must(refused.is_none(), || format!("a topic was refused: {refused:?}"));
    }
    told(found, (COUNT, "topics"), stage.node.own_bytes()?.saturating_sub(before));
    Ok(())
}

async fn groups(stage: &Stage<'_>, client: &mut Connection, found: &mut Found) -> Fallible<()> {
    const COUNT: u64 = 5_000;
    let before = stage.node.own_bytes()?;
    for number in 0..COUNT {
        let code = commit(client, &format!("crowd-{number}")).await?;
        found.must(code == 0, || format!("a commit of group {number} got {code}"));
    }
    told(found, (COUNT, "groups with an offset"), stage.node.own_bytes()?.saturating_sub(before));
    Ok(())
}

/// Commits an offset in the name of no member.
async fn commit(client: &mut Connection, group: &str) -> Fallible<i16> {
    let partition = offset_commit_request::OffsetCommitRequestPartition {
        committed_offset: 1,
        ..offset_commit_request::OffsetCommitRequestPartition::default()
    };
    let topic = offset_commit_request::OffsetCommitRequestTopic {
        name: TOPIC.to_owned(),
        partitions: vec![partition],
        ..offset_commit_request::OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer: OffsetCommitResponse = client.ask((ApiKey::OffsetCommit, 5), &request).await?;
    let partition = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
    Ok(partition.ok_or("an answer without a partition")?.error_code)
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".to_owned(), metadata: bytes::Bytes::new() }],
        ..JoinGroupRequest::default()
    }
}

/// Members who take an id and never come back: as in Kafka they count for nothing until they expire. Of those who do come,
/// a group has `group.max.size`.
async fn members(stage: &Stage<'_>, client: &mut Connection, found: &mut Found) -> Fallible<()> {
    const COUNT: u64 = 3_000;
    const BEYOND: usize = 20;
    let before = stage.node.own_bytes()?;
    for _ in 0..COUNT {
        let answer: JoinGroupResponse = client.ask((ApiKey::JoinGroup, 5), &join("crowd", "")).await?;
        found.must(answer.error_code == MEMBER_ID_REQUIRED, || format!("a join got {}", answer.error_code));
    }
    told(found, (COUNT, "member ids"), stage.node.own_bytes()?.saturating_sub(before));
    let (before, mut open) = (stage.node.own_bytes()?, Vec::new());
    for _ in 0..GROUP_SIZE_MAX + BEYOND {
        let mut member = Connection::open(stage.node.port).await?;
        let answer: JoinGroupResponse = member.ask((ApiKey::JoinGroup, 5), &join("full", "")).await?;
        // Where there is no room, not even an id is given.
        if answer.error_code == MEMBER_ID_REQUIRED {
            member.send(&frame(ApiKey::JoinGroup, 5, &join("full", &answer.member_id))?).await?;
            open.push(member);
        } else {
            found.must(answer.error_code == GROUP_IS_FULL, || format!("a join got {}", answer.error_code));
        }
    }
    let mut refused = GROUP_SIZE_MAX + BEYOND - open.len();
    for member in open.iter_mut().rev().take(BEYOND) {
        if let Reply::Answer(answer) = member.receive(Duration::from_millis(200)).await {
            let answer: JoinGroupResponse = answer_of((ApiKey::JoinGroup, 5), &answer)?;
            refused += usize::from(answer.error_code == GROUP_IS_FULL);
        }
    }
    // Whoever was first was answered at once and is no longer among those who wait.
    found.must(refused + 1 >= BEYOND, || format!("only {refused} of {BEYOND} members too many were refused"));
    let members = u64::try_from(GROUP_SIZE_MAX)?;
    told(found, (members, "members"), stage.node.own_bytes()?.saturating_sub(before));
    Ok(())
}

/// Batches of producers that nobody gave an id.
async fn producers(stage: &Stage<'_>, client: &mut Connection, found: &mut Found) -> Fallible<()> {
    const COUNT: u64 = 20_000;
    const TOGETHER: i64 = 100;
    let before = stage.node.own_bytes()?;
    let plain = batch(1, 10)?;
    let mut id = 1_000_i64;
    for _ in 0..COUNT / 100 {
        for _ in 0..TOGETHER {
            let mut batch = plain.clone();
            batch[43..51].copy_from_slice(&id.to_be_bytes());
            batch[51..53].copy_from_slice(&0_i16.to_be_bytes());
            batch[53..57].copy_from_slice(&0_i32.to_be_bytes());
            client.send(&produce_frame((TOPIC, 1), with_checksum(batch))?).await?;
            id += 1;
        }
        for _ in 0..TOGETHER {
            let reply = client.receive(Duration::from_secs(20)).await;
            let Reply::Answer(_) = reply else { return Err(format!("a producer got {reply:?}").into()) };
        }
    }
    told(found, (COUNT, "producers"), stage.node.own_bytes()?.saturating_sub(before));
    Ok(())
}

/// Fetch sessions: there are only so many.
async fn sessions(stage: &Stage<'_>, client: &mut Connection, found: &mut Found) -> Fallible<()> {
    const COUNT: u64 = 5_000;
    let before = stage.node.own_bytes()?;
    let partition = FetchPartition { partition_max_bytes: 1, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request =
        FetchRequest { max_bytes: 1, session_epoch: 0, topics: vec![topic], ..FetchRequest::default() };
    let mut given = 0;
    for _ in 0..COUNT {
        let answer: FetchResponse = client.ask((ApiKey::Fetch, 11), &request).await?;
        given += usize::from(answer.session_id != 0);
    }
    found.must(given <= SESSIONS_MAX, || {
        format!("{given} fetch sessions where there are {SESSIONS_MAX} places")
    });
    found.fact(format!("{given} of {COUNT} fetch sessions given"));
    told(found, (COUNT, "asked-for sessions"), stage.node.own_bytes()?.saturating_sub(before));
    Ok(())
}
