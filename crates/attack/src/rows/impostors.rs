//! Clients that say that they are brokers or controllers.
//!
//! Owns: requests that only nodes send, on both listeners; that nothing changes by them. Does not own: permissions, which a
//! node cannot be given yet.

use std::time::Duration;

use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::{
    ApiKey, DescribeQuorumRequest, DescribeQuorumResponse, FetchRequest, FetchResponse, MetadataRequest,
    MetadataResponse, describe_quorum_request,
};
use ottla_testkit::schema;
use ottla_testkit::spoiled::{self, Subject};

use super::{Stage, requests};
use crate::Fallible;
use crate::report::Found;
use crate::wire::{Connection, Reply, frame, framed};

/// Numbers of the APIs between nodes, those included that Kafka no longer has.
const BETWEEN_NODES: [i16; 26] =
    [4, 5, 6, 7, 27, 52, 53, 54, 56, 58, 59, 62, 63, 64, 67, 70, 73, 80, 81, 82, 83, 84, 85, 86, 87, 91];
const TOPIC: &str = "guarded";

/// Whatever they ask for, nothing changes, and they get no records as a replica.
pub async fn impostors(stage: &Stage<'_>) -> Fallible<Found> {
    let mut found = Found::default();
    requests::write_topic(stage.node.port, TOPIC).await?;
    let before = (leadership(stage).await?, requests::content(stage.node.port, TOPIC).await?);
    let schemas = schema::read_all(schema::directory())?;
    let subject = Subject { topic: TOPIC.to_owned(), topic_id: [0; 16], records: Vec::new() };
    let (mut tried, mut answered) = (0, Vec::new());
    for port in [stage.node.port, stage.node.controller_port] {
        for number in BETWEEN_NODES {
            let Some(request) = schemas.get(&number) else { continue };
            let Some(api) = ApiKey::from_number(number) else { continue };
            for version in api.versions() {
                let mut client = Connection::open(port).await?;
                client.send(&framed(api, version, &spoiled::plain(request, version, &subject))?).await?;
                tried += 1;
                match client.receive(Duration::from_secs(10)).await {
                    Reply::Closed => {}
                    Reply::Answer(_) => answered.push(format!("{} {version}", api.name())),
                    Reply::Silent => found.misses.push(format!("{} {version} is not answered", api.name())),
                }
            }
        }
    }
    replicas(stage, &mut found).await?;
    let after = (leadership(stage).await?, requests::content(stage.node.port, TOPIC).await?);
    found.must(after == before, || format!("{before:?} became {after:?}"));
    found.fact(format!("{tried} requests between nodes, answered: {}", answered.len()));
    found.skipped =
        Some("with an authorizer, as a node cannot be given one yet; in process: server tests".to_owned());
    Ok(found)
}

/// Who leads and who votes, without what only counts time.
async fn leadership(stage: &Stage<'_>) -> Fallible<String> {
    let mut client = Connection::open(stage.node.port).await?;
    let partition = describe_quorum_request::PartitionData { partition_index: 0 };
    let topics = vec![describe_quorum_request::TopicData {
        topic_name: "__cluster_metadata".to_owned(),
        partitions: vec![partition],
    }];
    let request = DescribeQuorumRequest { topics };
    let quorum: DescribeQuorumResponse = client.ask((ApiKey::DescribeQuorum, 0), &request).await?;
    let partition = quorum.topics.iter().flat_map(|topic| &topic.partitions).next().ok_or("no quorum")?;
    let voters: Vec<i32> = partition.current_voters.iter().map(|voter| voter.replica_id).collect();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let metadata: MetadataResponse = client.ask((ApiKey::Metadata, 9), &request).await?;
    Ok(format!("{} {} {voters:?} {metadata:?}", partition.leader_id, partition.leader_epoch))
}

/// Fetches of somebody who says that it is a replica.
async fn replicas(stage: &Stage<'_>, found: &mut Found) -> Fallible<()> {
    let mut client = Connection::open(stage.node.port).await?;
    for replica_id in [0, 1, 2, i32::MAX] {
        let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic =
            FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let request =
            FetchRequest { replica_id, max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
        client.send(&frame(ApiKey::Fetch, 11, &request)?).await?;
        let Reply::Answer(answer) = client.receive(Duration::from_secs(10)).await else {
            found.misses.push(format!("a fetch of replica {replica_id} is not answered"));
            client = Connection::open(stage.node.port).await?;
            continue;
        };
        let answer: FetchResponse = crate::wire::answer_of((ApiKey::Fetch, 11), &answer)?;
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let bytes = partition.records.as_ref().map_or(0, |records| records.len());
            found.must(partition.error_code != 0 && bytes == 0, || {
                format!("replica {replica_id} gets {bytes} bytes and code {}", partition.error_code)
            });
        }
    }
    Ok(())
}
