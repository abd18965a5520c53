//! WriteTxnMarkers (API key 27): a transaction coordinator, or an operator, ends transactions in partitions.
//!
//! Source: KIP-98, KIP-664; requirements TXN-09, TXN-13.

use std::collections::{BTreeMap, BTreeSet};

use ottla_coordinator::runtime::TransactionOutcome;
use ottla_model::{PartitionIndex, ProducerEpoch, ProducerId, TopicName, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WriteTxnMarkersRequest};
use ottla_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::node::Node;
use crate::partition::Marker;
use crate::transactions::markers;

/// First transaction version whose markers have a raised epoch.
const FIRST_WITH_RAISED_EPOCH: i8 = 2;
/// What Kafka calls a version that is not known; a coordinator has to know it.
const UNKNOWN_VERSION: i8 = -1;

/// What became of the markers of one producer, by topic and partition.
type Outcomes = BTreeMap<String, BTreeMap<i32, ErrorCode>>;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let may_write = node.access.may_cluster(caller, Operation::Alter)
        || node.access.may_cluster(caller, Operation::ClusterAction);
    // A producer that is named twice is answered once.
    let mut outcomes: BTreeMap<i64, Outcomes> = BTreeMap::new();
    let mut begun = Vec::with_capacity(request.markers.len());
    // A producer that cannot be is a fault of the request as a whole.
    let is_sound = request.markers.iter().all(|asked| marker(asked).is_some());
    for asked in &request.markers {
        let known = outcomes.entry(asked.producer_id).or_default();
        if !may_write {
            refuse(asked, ErrorCode::ClusterAuthorizationFailed, known);
            continue;
        }
        match marker(asked).filter(|_| is_sound) {
            Some(marker) if asked.transaction_version != UNKNOWN_VERSION => {
                // What cannot be the name of a partition is unknown, like one that is not here.
                refuse(asked, ErrorCode::UnknownTopicOrPartition, known);
                begun.push((asked.producer_id, markers::begin(node, marker, named(asked)).await));
            }
            Some(_) | None => refuse(asked, ErrorCode::UnknownServerError, known),
        }
    }
    for (producer, writing) in begun {
        let known = outcomes.entry(producer).or_default();
        for (partition, code) in writing.finish().await {
            let row = known.entry(partition.topic.as_str().to_owned()).or_default();
            row.insert(partition.partition.value(), code);
        }
    }
    outcomes.retain(|_, topics| !topics.is_empty());
    WriteTxnMarkersResponse { markers: outcomes.into_iter().map(row).collect() }
}

fn refuse(marker: &WritableTxnMarker, error: ErrorCode, outcomes: &mut Outcomes) {
    for topic in &marker.topics {
        let row = outcomes.entry(topic.name.clone()).or_default();
        row.extend(topic.partition_indexes.iter().map(|index| (*index, error)));
    }
}

/// `None` where there can be no such producer.
fn marker(asked: &WritableTxnMarker) -> Option<Marker> {
    Some(Marker {
        producer: ProducerId::new(asked.producer_id)?,
        epoch: ProducerEpoch::new(asked.producer_epoch)?,
        outcome: match asked.transaction_result {
            true => TransactionOutcome::Committed,
            false => TransactionOutcome::Aborted,
        },
        coordinator_epoch: asked.coordinator_epoch,
        epoch_was_raised: asked.transaction_version >= FIRST_WITH_RAISED_EPOCH,
    })
}

/// The partitions of a marker that there can be.
fn named(marker: &WritableTxnMarker) -> Vec<TopicPartition> {
    let mut partitions = BTreeSet::new();
    for topic in &marker.topics {
        let Ok(name) = TopicName::new(&topic.name) else { continue };
        let indexes = topic.partition_indexes.iter().filter_map(|index| PartitionIndex::new(*index));
        partitions.extend(indexes.map(|index| TopicPartition::new(name.clone(), index)));
    }
    // One that is named twice is written once.
    partitions.into_iter().collect()
}

fn row((producer_id, topics): (i64, Outcomes)) -> WritableTxnMarkerResult {
    let topics = topics.into_iter().map(|(name, partitions)| WritableTxnMarkerTopicResult {
        name,
        partitions: partitions
            .into_iter()
            .map(|(partition_index, error)| WritableTxnMarkerPartitionResult {
                partition_index,
                error_code: error.number(),
            })
            .collect(),
    });
    WritableTxnMarkerResult { producer_id, topics: topics.collect() }
}
