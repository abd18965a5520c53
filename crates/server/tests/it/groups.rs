//! Groups and their offsets over a whole node, also after a restart.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    offset_commit_request, offset_fetch_request,
};

use crate::node::{Client, Home, run, start};

async fn find(client: &mut Client) -> FindCoordinatorResponse {
    let request =
        FindCoordinatorRequest { key_type: 0, coordinator_keys: vec!["g".to_owned()], ..Default::default() };
    let decided = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code != 15;
    client.ask_until((ApiKey::FindCoordinator, 4), &request, decided).await
}

fn commit(offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![offset_commit_request::OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: vec![offset_commit_request::OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("meta".to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// LSN-04, OFF-01, OFF-03, TRAP-39: a committed offset is fetched, before and after a restart.
#[test]
fn a_committed_offset_survives_a_restart() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 1).await;
        assert_eq!(find(&mut client).await.coordinators[0].node_id, 1);
        let stored = |answer: &OffsetCommitResponse| answer.topics[0].partitions[0].error_code == 0;
        client.ask_until((ApiKey::OffsetCommit, 8), &commit(5), stored).await;
        node.stop().await;
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let request = OffsetFetchRequest {
            group_id: "g".to_owned(),
            topics: Some(vec![offset_fetch_request::OffsetFetchRequestTopic {
                name: "t".to_owned(),
                partition_indexes: vec![0, 1],
            }]),
            ..Default::default()
        };
        let loaded = |answer: &OffsetFetchResponse| answer.error_code == 0;
        let answer = client.ask_until((ApiKey::OffsetFetch, 7), &request, loaded).await;
        let rows: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|row| (row.committed_offset, row.metadata.clone().unwrap(), row.error_code))
            .collect();
        assert_eq!(rows, [(5, "meta".to_owned(), 0), (-1, String::new(), 0)]);
        node.stop().await;
    });
}

/// IDM-10: every producer gets an id of its own, also after a restart.
#[test]
fn producer_ids_are_never_given_twice() {
    run(async {
        let home = Home::new();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let node = start(&home, "").await.unwrap();
            let mut client = Client::connect(&node).await;
            for _ in 0..3 {
                let request =
                    InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
                let request = InitProducerIdRequest { transactional_id: None, ..request };
                let answer: InitProducerIdResponse = client.ask(ApiKey::InitProducerId, 4, &request).await;
                assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
                assert!(!seen.contains(&answer.producer_id), "{} twice", answer.producer_id);
                seen.push(answer.producer_id);
            }
            node.stop().await;
        }
    });
}
