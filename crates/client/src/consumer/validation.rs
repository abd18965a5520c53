//! Whether a leader's log still has what was read before a position (KIP-320).
//!
//! Owns: OffsetForLeaderEpoch of a consumer.
//! Does not own: which positions are asked about, and what the answer means for them (`positions`).
//!
//! Source: KIP-320; Kafka protocol guide, OffsetForLeaderEpoch; requirement FET-32.

use std::collections::BTreeMap;

use ottla_env::time;
use ottla_model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::driver::Inner;
use super::positions::{EpochEnd, Validation};
use crate::cluster::{Lane, Shared, Target};
use crate::error::{CallError, ErrorCode, error_of};

/// First version that consumers may send without a right on the cluster. Older brokers are not asked.
const SINCE: i16 = 3;

/// An answer for each partition: the end of its epoch, or why there is none.
type Ends = BTreeMap<TopicPartition, Result<EpochEnd, ErrorCode>>;

/// Asks a leader about positions, once, and tells the machine.
pub(super) async fn validate(inner: &Inner, node: BrokerId, validations: Vec<Validation>) {
    let not_before = time::now() + inner.pause();
    let ends = match ask(&inner.cluster, node, &validations).await {
        Ok(ends) => ends,
        Err(error) => {
            tracing::debug!(%error, "the leader did not validate positions");
            Ends::new()
        }
    };
    let mut open = Vec::new();
    inner.update(|machine| {
        for Validation { partition, stay, .. } in validations {
            match ends.get(&partition) {
                Some(Ok(end)) => {
                    if let Some(truncation) = machine.positions.on_epoch_end(&partition, stay, *end) {
                        tracing::warn!(%partition, ?truncation, "the log was truncated below the position");
                    }
                }
                Some(Err(code)) => {
                    if *code == ErrorCode::TopicAuthorizationFailed {
                        machine.on_failed(partition.clone(), (*code).into());
                    }
                    open.push(partition);
                }
                None => open.push(partition),
            }
        }
        machine.positions.on_question_failed(&open, not_before);
    });
    if !open.is_empty() {
        inner.cluster.want_news();
    }
}

async fn ask(shared: &Shared, node: BrokerId, validations: &[Validation]) -> Result<Ends, CallError> {
    let connection = shared.connect(Target::Broker(node), Lane::Data).await?;
    let version = connection.version_of::<OffsetForLeaderEpochRequest>(i16::MAX);
    let Some(version) = version.ok().filter(|version| *version >= SINCE) else {
        let untold = validations.iter().map(|one| (one.partition.clone(), Ok(EpochEnd::Untold)));
        return Ok(untold.collect());
    };
    let response = connection.send(&question(validations), version, None)?.wait().await?;
    Ok(ends_in(&response))
}

fn question(validations: &[Validation]) -> OffsetForLeaderEpochRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
    for Validation { partition, leadership, read_epoch, .. } in validations {
        topics.entry(partition.topic.as_str()).or_default().push(OffsetForLeaderPartition {
            partition: partition.partition.value(),
            current_leader_epoch: leadership.epoch.map_or(-1, LeaderEpoch::value),
            leader_epoch: read_epoch.value(),
        });
    }
    let topic = |(topic, partitions): (&str, Vec<OffsetForLeaderPartition>)| OffsetForLeaderTopic {
        topic: topic.to_owned(),
        partitions,
    };
    OffsetForLeaderEpochRequest { replica_id: -1, topics: topics.into_iter().map(topic).collect() }
}

fn ends_in(response: &OffsetForLeaderEpochResponse) -> Ends {
    let mut ends = Ends::new();
    for topic in &response.topics {
        for said in &topic.partitions {
            let Some(partition) = TopicPartition::named(&topic.topic, said.partition) else { continue };
            let end = match (LeaderEpoch::new(said.leader_epoch), Offset::new(said.end_offset)) {
                (Some(epoch), Some(end)) => EpochEnd::At { epoch, end },
                _ => EpochEnd::Unknown,
            };
            ends.insert(partition, error_of(said.error_code).map_or(Ok(end), Err));
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use ottla_model::{PartitionIndex, TopicName};
    use ottla_protocol::messages::offset_for_leader_epoch_response::{
        EpochEndOffset, OffsetForLeaderTopicResult,
    };

    use super::super::positions::Leadership;
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex::new(index).unwrap())
    }

    #[test]
    fn the_question_names_the_epoch_that_was_read_and_the_one_that_leads() {
        let leadership = Leadership { leader: BrokerId::new(1).unwrap(), epoch: LeaderEpoch::new(7) };
        let read_epoch = LeaderEpoch::new(5).unwrap();
        let asked = question(&[Validation { partition: partition(3), stay: 1, leadership, read_epoch }]);
        let said = &asked.topics[0].partitions[0];
        assert_eq!((asked.replica_id, asked.topics[0].topic.as_str()), (-1, "t"));
        assert_eq!((said.partition, said.current_leader_epoch, said.leader_epoch), (3, 7, 5));
    }

    /// KIP-320
    #[test]
    fn an_end_is_unknown_without_an_epoch_or_without_an_offset() {
        let said = |partition, error_code, leader_epoch, end_offset| EpochEndOffset {
            partition,
            error_code,
            leader_epoch,
            end_offset,
        };
        let fenced = ErrorCode::FencedLeaderEpoch;
        let response = OffsetForLeaderEpochResponse {
            topics: vec![OffsetForLeaderTopicResult {
                topic: "t".to_owned(),
                partitions: vec![
                    said(0, 0, 4, 10),
                    said(1, 0, -1, -1),
                    said(2, 0, 4, -1),
                    said(3, fenced.number(), -1, -1),
                ],
            }],
            ..Default::default()
        };
        let (epoch, end) = (LeaderEpoch::new(4).unwrap(), Offset::new(10).unwrap());
        let expected =
            [Ok(EpochEnd::At { epoch, end }), Ok(EpochEnd::Unknown), Ok(EpochEnd::Unknown), Err(fenced)];
        assert_eq!(ends_in(&response), (0..).map(partition).zip(expected).collect());
    }
}
