//! A producer of transactions, and the one who ends them, in frames.
//!
//! Owns: batches in a transaction with their sequences, markers, offsets of a transaction, answers as codes.
//! Does not own: what the tests expect.

use std::collections::BTreeMap;

use ottla_model::{ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, EndTxnRequest, EndTxnResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    ProduceRequest, TxnOffsetCommitRequest, TxnOffsetCommitResponse, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse, add_partitions_to_txn_request, describe_producers_request,
    describe_producers_response, txn_offset_commit_request, write_txn_markers_request,
};
use ottla_protocol::record::{BatchOptions, BatchProducer};

use crate::batches::{build, parts, request, rows};
use crate::node::Client;
use crate::operator::name_of;

/// Verification is off, so that transactions need no coordinator.
pub const UNVERIFIED: &str = "transaction.partition.verification.enable=false";

/// One broker keeps all transactions.
pub const COORDINATED: &str = "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                               transaction.state.log.num.partitions=2\noffsets.topic.num.partitions=1\n\
                               add.partitions.to.txn.retry.backoff.max.ms=60000\n";

/// A transactional producer.
#[derive(Clone, Debug)]
pub struct Transactor {
    pub id: String,
    pub producer: i64,
    pub epoch: i16,
    /// The next sequence by partition.
    sequences: BTreeMap<(String, i32), i32>,
}

impl Transactor {
    pub fn new(id: &str, producer: i64, epoch: i16) -> Transactor {
        Transactor { id: id.to_owned(), producer, epoch, sequences: BTreeMap::new() }
    }

    /// Finds the coordinator of the id and gets an identity from it.
    pub async fn begin(client: &mut Client, id: &str) -> Transactor {
        let mut producer = Transactor::new(id, 0, 0);
        producer.init(client).await;
        producer
    }

    /// Gets an identity, and has an open transaction of the id aborted.
    pub async fn init(&mut self, client: &mut Client) {
        let request = FindCoordinatorRequest { key: self.id.clone(), key_type: 1, ..Default::default() };
        let found = |answer: &FindCoordinatorResponse| answer.error_code == 0;
        client.ask_until((ApiKey::FindCoordinator, 3), &request, found).await;
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.clone()),
            transaction_timeout_ms: 600_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let given = |answer: &InitProducerIdResponse| answer.error_code == 0;
        let answer: InitProducerIdResponse =
            client.ask_until((ApiKey::InitProducerId, 4), &request, given).await;
        self.producer = answer.producer_id;
        self.enter_epoch(answer.producer_epoch);
    }

    /// Adds a partition as older clients do.
    pub async fn add(&self, client: &mut Client, topic: &str, partition: i32) {
        let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
        };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.clone(),
            v3_and_below_producer_id: self.producer,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        // The transaction before may still be ending.
        let added = |answer: &AddPartitionsToTxnResponse| {
            answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code == 0
        };
        let _: AddPartitionsToTxnResponse =
            client.ask_until((ApiKey::AddPartitionsToTxn, 3), &request, added).await;
    }

    /// Adds the offsets of a group as older clients do.
    pub async fn add_offsets(&self, client: &mut Client, group: &str) {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        let added = |answer: &AddOffsetsToTxnResponse| answer.error_code == 0;
        let _: AddOffsetsToTxnResponse =
            client.ask_until((ApiKey::AddOffsetsToTxn, 3), &request, added).await;
    }

    /// Ends the transaction; from version 5 on the next one has another epoch.
    pub async fn end(&mut self, client: &mut Client, version: i16, commits: bool) -> &'static str {
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            committed: commits,
        };
        let answer: EndTxnResponse = client.ask(ApiKey::EndTxn, version, &request).await;
        if version >= 5 && answer.error_code == 0 {
            self.producer = answer.producer_id;
            self.enter_epoch(answer.producer_epoch);
        }
        name_of(answer.error_code)
    }

    /// Sets the epoch; sequences begin anew with it.
    pub fn enter_epoch(&mut self, epoch: i16) {
        self.epoch = epoch;
        self.sequences.clear();
    }

    /// A batch that begins at a sequence.
    pub fn options(&self, sequence: i32) -> BatchOptions {
        let producer = BatchProducer {
            id: ProducerId::new(self.producer).unwrap(),
            epoch: ProducerEpoch::new(self.epoch).unwrap(),
            base_sequence: Sequence::new(sequence),
        };
        BatchOptions { producer: Some(producer), transactional: true, ..BatchOptions::default() }
    }

    /// A request with one record for each of the partitions.
    pub fn request(&self, records: &[(&str, i32, i32, &str)]) -> ProduceRequest {
        let batches: Vec<_> =
            records.iter().map(|(_, _, sequence, value)| build(self.options(*sequence), &[*value])).collect();
        let places = records.iter().zip(&batches);
        let all: Vec<_> = places.map(|((topic, index, ..), batch)| (*topic, *index, batch)).collect();
        ProduceRequest { transactional_id: Some(self.id.clone()), ..request(-1, &parts(&all)) }
    }

    /// Sends one record; what the partition says of it.
    pub async fn send_to(
        &mut self,
        client: &mut Client,
        version: i16,
        (topic, index, value): (&str, i32, &str),
    ) -> PartitionProduceResponse {
        let next = self.sequences.entry((topic.to_owned(), index)).or_default();
        let sequence = *next;
        let request = self.request(&[(topic, index, sequence, value)]);
        let row = rows(client.ask(ApiKey::Produce, version, &request).await).remove(0);
        if row.error_code == 0 {
            self.sequences.insert((topic.to_owned(), index), sequence + 1);
        }
        row
    }

    /// The same in a version: its offset, or the name of the error with the words that came with it.
    pub async fn try_send(
        &mut self,
        client: &mut Client,
        version: i16,
        (topic, value): (&str, &str),
    ) -> String {
        let row = self.send_to(client, version, (topic, 0, value)).await;
        match (row.error_code, row.error_message) {
            (0, _) => row.base_offset.to_string(),
            (code, None) => name_of(code).to_owned(),
            (code, Some(words)) => format!("{} {words}", name_of(code)),
        }
    }

    /// Sends one record to partition 0 of a topic: its offset, or the name of the error.
    pub async fn send(&mut self, client: &mut Client, topic: &str, value: &str) -> Result<i64, &'static str> {
        let row = self.send_to(client, 11, (topic, 0, value)).await;
        if row.error_code == 0 { Ok(row.base_offset) } else { Err(name_of(row.error_code)) }
    }

    /// The marker that commits or aborts in partition 0 of the topics.
    pub fn marker(&self, commits: bool, topics: &[&str]) -> Marker {
        Marker {
            producer: self.producer,
            epoch: self.epoch,
            coordinator_epoch: 0,
            version: 0,
            commits,
            topics: topics.iter().map(|topic| ((*topic).to_owned(), vec![0])).collect(),
        }
    }

    /// Commits an offset of a group in the transaction.
    pub async fn commit_offsets(&self, client: &mut Client, version: i16, who: Offsets<'_>) -> String {
        let topics = who.offsets.iter().map(|(topic, partition, offset)| {
            let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_metadata: who.metadata.map(str::to_owned),
                ..Default::default()
            };
            txn_offset_commit_request::TxnOffsetCommitRequestTopic {
                name: (*topic).to_owned(),
                partitions: vec![partition],
            }
        });
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id.clone(),
            group_id: who.group.to_owned(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            generation_id: who.generation,
            member_id: who.member.to_owned(),
            group_instance_id: None,
            topics: topics.collect(),
        };
        let answer: TxnOffsetCommitResponse = client.ask(ApiKey::TxnOffsetCommit, version, &request).await;
        let rows = answer.topics.iter().flat_map(|topic| {
            let rows = topic.partitions.iter();
            rows.map(|row| format!("{}-{} {}", topic.name, row.partition_index, name_of(row.error_code)))
        });
        rows.collect::<Vec<_>>().join(", ")
    }
}

/// Offsets of one group.
#[derive(Clone, Copy, Debug)]
pub struct Offsets<'a> {
    pub group: &'a str,
    pub generation: i32,
    pub member: &'a str,
    pub metadata: Option<&'a str>,
    pub offsets: &'a [(&'a str, i32, i64)],
}

impl<'a> Offsets<'a> {
    /// Of a client that does not say who it is.
    pub fn of(group: &'a str, offsets: &'a [(&'a str, i32, i64)]) -> Offsets<'a> {
        Offsets { group, generation: -1, member: "", metadata: None, offsets }
    }
}

/// One marker of a WriteTxnMarkers request.
#[derive(Clone, Debug)]
pub struct Marker {
    pub producer: i64,
    pub epoch: i16,
    pub coordinator_epoch: i32,
    /// The transaction version it follows.
    pub version: i8,
    pub commits: bool,
    pub topics: Vec<(String, Vec<i32>)>,
}

/// Writes markers; what became of each partition, producer by producer.
pub async fn write_markers(client: &mut Client, version: i16, markers: &[Marker]) -> String {
    let marker = |marker: &Marker| write_txn_markers_request::WritableTxnMarker {
        producer_id: marker.producer,
        producer_epoch: marker.epoch,
        transaction_result: marker.commits,
        coordinator_epoch: marker.coordinator_epoch,
        transaction_version: marker.version,
        topics: marker
            .topics
            .iter()
            .map(|(name, partitions)| write_txn_markers_request::WritableTxnMarkerTopic {
                name: name.clone(),
                partition_indexes: partitions.clone(),
            })
            .collect(),
    };
    let request = WriteTxnMarkersRequest { markers: markers.iter().map(marker).collect() };
    let answer: WriteTxnMarkersResponse = client.ask(ApiKey::WriteTxnMarkers, version, &request).await;
    let rows = answer.markers.iter().flat_map(|marker| {
        marker.topics.iter().flat_map(|topic| {
            let place = format!("{}:{}", marker.producer_id, topic.name);
            let rows = topic.partitions.iter();
            rows.map(move |row| format!("{place}-{} {}", row.partition_index, name_of(row.error_code)))
        })
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// The producers that partition 0 of a topic remembers, in the order of their ids.
pub async fn producers(client: &mut Client, topic: &str) -> Vec<describe_producers_response::ProducerState> {
    let topic =
        describe_producers_request::TopicRequest { name: topic.to_owned(), partition_indexes: vec![0] };
    let request = DescribeProducersRequest { topics: vec![topic] };
    let answer: DescribeProducersResponse = client.ask(ApiKey::DescribeProducers, 0, &request).await;
    let mut states = answer.topics[0].partitions[0].active_producers.clone();
    states.sort_by_key(|state| state.producer_id);
    states
}
