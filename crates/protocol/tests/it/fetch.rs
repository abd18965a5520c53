//! The hand-written Fetch codec against the generated one.
//!
//! Owns: agreement on samples of Kafka and on damage, the order and lengths of parts. Does not own: what is fetched.

use bytes::Bytes;
use ottla_model::{BrokerId, LeaderEpoch, Offset, ProducerId, Uuid};
use ottla_protocol::fetch::{
    AbortedTransaction as Aborted, EpochEndOffset as Diverging, FetchOutcome, FetchRequestView,
    FetchResponseWriter, FetchShape, IsolationLevel, SnapshotEnd,
};
use ottla_protocol::messages::fetch_request::*;
use ottla_protocol::messages::fetch_response::*;
use ottla_protocol::produce::{CurrentLeader, NodeEndpoint as Endpoint, TopicLabel};
use ottla_protocol::reply::{FileSlice, Part, Reply, ReplyHead};
use ottla_protocol::{ApiKey, DecodeError, ErrorCode, Message, Reader, Writer};
use proptest::prelude::*;

use crate::samples::{damaged, samples};

/// How records are given to the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Copied,
    Room,
    /// In two ranges of a file, the first of which is copied.
    Files,
}

fn names(label: TopicLabel<'_>) -> (String, Uuid) {
    match label {
        TopicLabel::Name(name) => (name.to_owned(), Uuid::ZERO),
        TopicLabel::Id(id) => (String::new(), id),
    }
}

fn epoch(epoch: Option<LeaderEpoch>) -> i32 {
    epoch.map_or(-1, LeaderEpoch::value)
}

/// The request as the view shows it, in the generated form.
fn viewed(body: &[u8], version: i16) -> Result<FetchRequest, DecodeError> {
    let view = FetchRequestView::decode(body, version)?;
    let topics: Vec<FetchTopic> = view
        .topics()
        .map(|topic| {
            let (name, topic_id) = names(topic.label);
            let partitions: Vec<FetchPartition> = topic
                .partitions()
                .map(|partition| FetchPartition {
                    partition: partition.index,
                    current_leader_epoch: epoch(partition.current_leader_epoch),
                    fetch_offset: partition.fetch_offset,
                    last_fetched_epoch: epoch(partition.last_fetched_epoch),
                    log_start_offset: partition.log_start.map_or(-1, Offset::value),
                    partition_max_bytes: partition.max_bytes,
                    replica_directory_id: partition.replica_directory_id,
                    high_watermark: partition.high_watermark,
                })
                .collect();
            assert_eq!(partitions.len(), topic.partition_count());
            FetchTopic { topic: name, topic_id, partitions }
        })
        .collect();
    assert_eq!(topics.len(), view.topic_count());
    let forgotten = view.forgotten().map(|topic| {
        let (name, topic_id) = names(topic.label);
        ForgottenTopic { topic: name, topic_id, partitions: topic.partitions().collect() }
    });
    let state =
        ReplicaState { replica_id: view.replica.replica_id, replica_epoch: view.replica.replica_epoch };
    Ok(FetchRequest {
        cluster_id: view.cluster_id.map(str::to_owned),
        replica_id: if version <= 14 { state.replica_id } else { -1 },
        replica_state: if version >= 15 { state } else { ReplicaState::default() },
        max_wait_ms: view.max_wait_ms,
        min_bytes: view.min_bytes,
        max_bytes: view.max_bytes,
        isolation_level: view.isolation_level,
        session_id: view.session_id,
        session_epoch: view.session_epoch,
        topics,
        forgotten_topics_data: forgotten.collect(),
        rack_id: view.rack_id.to_owned(),
    })
}

/// The request as the typed view can say it: negative epochs and log starts are "none".
fn generated(body: &[u8], version: i16) -> Result<FetchRequest, DecodeError> {
    let mut request = FetchRequest::decode(&mut Reader::new(body), version)?;
    for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.current_leader_epoch = partition.current_leader_epoch.max(-1);
        partition.last_fetched_epoch = partition.last_fetched_epoch.max(-1);
        partition.log_start_offset = partition.log_start_offset.max(-1);
    }
    Ok(request)
}

/// What the typed response can say; record data are never null from a broker.
fn sayable(mut response: FetchResponse) -> FetchResponse {
    response.error_code = ErrorCode::of_response(response.error_code).number();
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.error_code = ErrorCode::of_response(partition.error_code).number();
        partition.high_watermark = partition.high_watermark.max(-1);
        partition.last_stable_offset = partition.last_stable_offset.max(-1);
        partition.log_start_offset = partition.log_start_offset.max(-1);
        partition.preferred_read_replica = partition.preferred_read_replica.max(-1);
        partition.diverging_epoch.epoch = partition.diverging_epoch.epoch.max(-1);
        partition.diverging_epoch.end_offset = partition.diverging_epoch.end_offset.max(-1);
        partition.current_leader.leader_epoch = partition.current_leader.leader_epoch.max(-1);
        if partition.snapshot_id.end_offset < 0 || partition.snapshot_id.epoch < 0 {
            partition.snapshot_id = SnapshotId::default();
        }
        for aborted in partition.aborted_transactions.iter_mut().flatten() {
            aborted.producer_id = aborted.producer_id.max(0);
            aborted.first_offset = aborted.first_offset.max(0);
        }
        partition.records.get_or_insert_default();
    }
    response
}

fn head(version: i16) -> ReplyHead {
    ReplyHead { api: ApiKey::Fetch, version, correlation_id: 9 }
}

fn framed(head: ReplyHead, body: &FetchResponse) -> Vec<u8> {
    let mut writer = Writer::new();
    body.encode(&mut writer, head.version).unwrap();
    let header = if head.version >= 12 { [0, 0, 0, 9, 0].as_slice() } else { &[0, 0, 0, 9] };
    let size = u32::try_from(header.len() + writer.len()).unwrap();
    [&size.to_be_bytes(), header, writer.as_slice()].concat()
}

/// A file's content, by its handle.
type Handle = Bytes;

/// What the reply puts on the wire.
fn sent(reply: &Reply<Handle>) -> Vec<u8> {
    let bytes = match reply {
        Reply::Bytes(bytes) => bytes.to_vec(),
        Reply::Parts(parts) => parts.iter().flat_map(part).collect(),
    };
    assert_eq!(reply.length(), bytes.len() as u64);
    bytes
}

fn part(part: &Part<Handle>) -> Vec<u8> {
    let bytes = match part {
        Part::Bytes(bytes) => bytes.to_vec(),
        Part::File(FileSlice { file, position, length }) => {
            let from = usize::try_from(*position).unwrap();
            file[from..from + usize::try_from(*length).unwrap()].to_vec()
        }
    };
    assert!(!bytes.is_empty());
    assert_eq!(part.length(), bytes.len() as u64);
    bytes
}

fn give(writer: &mut FetchResponseWriter<Handle>, records: &Bytes, way: Way) {
    match way {
        Way::Copied => writer.records(records),
        Way::Room => writer.records_room(records.len()).copy_from_slice(records),
        Way::Files => {
            let (copied, left) = (records.len() / 3, records.len() - records.len() / 3);
            writer.records(&records[..copied]);
            let file = Bytes::from([b"segment".as_slice(), &records[copied..]].concat());
            for (position, length) in [(7, left / 2), (7 + left / 2, left - left / 2)] {
                let (position, length) = (position as u64, length as u64);
                writer.records_file(FileSlice { file: file.clone(), position, length });
            }
        }
    }
}

fn written(head: ReplyHead, response: &FetchResponse, way: Way) -> Reply<Handle> {
    let shape = FetchShape {
        throttle_ms: response.throttle_time_ms,
        error: ErrorCode::from_number(response.error_code).unwrap(),
        session_id: response.session_id,
        topics: response.responses.len(),
    };
    let mut writer = FetchResponseWriter::new(head, shape, 100);
    for topic in &response.responses {
        let label =
            if head.version >= 13 { TopicLabel::Id(topic.topic_id) } else { TopicLabel::Name(&topic.topic) };
        writer.topic(label, topic.partitions.len());
        for partition in &topic.partitions {
            let records = partition.records.clone().unwrap();
            let aborted: Option<Vec<Aborted>> = partition.aborted_transactions.as_ref().map(|all| {
                all.iter()
                    .map(|aborted| Aborted {
                        producer_id: ProducerId::new(aborted.producer_id).unwrap(),
                        first_offset: Offset::new(aborted.first_offset).unwrap(),
                    })
                    .collect()
            });
            let snapshot = &partition.snapshot_id;
            writer.partition(&FetchOutcome {
                index: partition.partition_index,
                error: ErrorCode::from_number(partition.error_code).unwrap(),
                high_watermark: Offset::new(partition.high_watermark),
                last_stable_offset: Offset::new(partition.last_stable_offset),
                log_start: Offset::new(partition.log_start_offset),
                diverging_epoch: Some(Diverging {
                    epoch: LeaderEpoch::new(partition.diverging_epoch.epoch),
                    end_offset: Offset::new(partition.diverging_epoch.end_offset),
                }),
                current_leader: Some(CurrentLeader {
                    leader_id: partition.current_leader.leader_id,
                    leader_epoch: LeaderEpoch::new(partition.current_leader.leader_epoch),
                }),
                snapshot: Offset::new(snapshot.end_offset)
                    .zip(LeaderEpoch::new(snapshot.epoch))
                    .map(|(end_offset, epoch)| SnapshotEnd { end_offset, epoch }),
                aborted_transactions: aborted.as_deref(),
                preferred_read_replica: BrokerId::new(partition.preferred_read_replica),
                records_bytes: records.len(),
            });
            give(&mut writer, &records, way);
        }
    }
    let endpoints: Vec<Endpoint<'_>> = response
        .node_endpoints
        .iter()
        .map(|node| Endpoint {
            node_id: node.node_id,
            host: &node.host,
            port: node.port,
            rack: node.rack.as_deref(),
        })
        .collect();
    writer.finish(&endpoints).unwrap()
}

/// FET-01, FET-02, FET-30, FET-34: every version of Kafka's own samples.
#[test]
fn the_view_of_a_request_agrees_with_the_generated_codec() {
    for (version, body) in samples("FetchRequest") {
        assert_eq!(viewed(&body, version), generated(&body, version), "version {version}");
    }
}

/// FET-15, FET-16, FET-18, FET-22, WIRE-03, TRAP-33: every version of Kafka's own samples, records in files or not.
#[test]
fn a_written_response_is_kafka_s_byte_for_byte() {
    for (version, body) in samples("FetchResponse") {
        let response = FetchResponse::decode(&mut Reader::new(&body), version).unwrap();
        let response = sayable(response);
        for way in [Way::Copied, Way::Room, Way::Files] {
            let reply = written(head(version), &response, way);
            assert_eq!(sent(&reply), framed(head(version), &response), "version {version}, {way:?}");
        }
    }
}

fn with_records(records: &[usize]) -> FetchResponse {
    let partitions = (0..).zip(records).map(|(partition_index, length)| PartitionData {
        partition_index,
        records: Some(Bytes::from(vec![partition_index.to_be_bytes()[3]; *length])),
        ..PartitionData::default()
    });
    let topic = FetchableTopicResponse {
        topic: "t".to_owned(),
        partitions: partitions.collect(),
        ..Default::default()
    };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

/// Performance 4.3: nothing but the records lies in files, and all that lies between is one part.
#[test]
fn the_parts_of_a_response_alternate() {
    let reply = written(head(12), &with_records(&[100_000, 0, 1, 100_000]), Way::Files);
    let Reply::Parts(parts) = &reply else { panic!("{reply:?}") };
    let kinds: String = parts
        .iter()
        .map(|part| match part {
            Part::Bytes(_) => 'b',
            Part::File(_) => 'f',
        })
        .collect();
    assert_eq!(kinds, "bffbfbffb");
    let frame = sent(&reply);
    assert_eq!(u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize, frame.len() - 4);
    assert!(matches!(written(head(12), &with_records(&[100, 0]), Way::Copied), Reply::Bytes(_)));
}

/// TRAP-33: what a version does not have is left out, not refused.
#[test]
fn fields_of_later_versions_are_not_written() {
    for version in 4..=18 {
        let shape =
            FetchShape { throttle_ms: 1, error: ErrorCode::FetchSessionIdNotFound, session_id: 7, topics: 1 };
        let mut writer: FetchResponseWriter<Handle> = FetchResponseWriter::new(head(version), shape, 0);
        let label = if version >= 13 { TopicLabel::Id(Uuid::ZERO) } else { TopicLabel::Name("t") };
        writer.topic(label, 1);
        writer.partition(&FetchOutcome {
            log_start: Some(Offset::ZERO),
            preferred_read_replica: BrokerId::new(3),
            diverging_epoch: Some(Diverging { epoch: LeaderEpoch::new(1), end_offset: Some(Offset::ZERO) }),
            current_leader: Some(CurrentLeader { leader_id: 1, leader_epoch: LeaderEpoch::new(1) }),
            snapshot: Some(SnapshotEnd { end_offset: Offset::ZERO, epoch: LeaderEpoch::ZERO }),
            ..FetchOutcome::refused(0, ErrorCode::FencedLeaderEpoch)
        });
        let reply = writer.finish(&[Endpoint { node_id: 1, host: "h", port: 1, rack: Some("r") }]).unwrap();
        let frame = sent(&reply);
        let mut reader = Reader::new(&frame[if version >= 12 { 9 } else { 8 }..]);
        let response = FetchResponse::decode(&mut reader, version).unwrap();
        assert_eq!(reader.remaining(), 0, "version {version}");
        assert_eq!(response.session_id, if version >= 7 { 7 } else { 0 });
        assert_eq!(response.node_endpoints.len(), usize::from(version >= 16));
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.log_start_offset, if version >= 5 { 0 } else { -1 });
        assert_eq!(partition.preferred_read_replica, if version >= 11 { 3 } else { -1 });
        assert_eq!(partition.current_leader.leader_id, if version >= 12 { 1 } else { -1 });
        assert_eq!(partition.diverging_epoch.epoch, if version >= 12 { 1 } else { -1 });
        assert_eq!(partition.snapshot_id.epoch, if version >= 12 { 0 } else { -1 });
        // FET-18: null, not empty, where nothing was said.
        assert_eq!(partition.aborted_transactions, None);
    }
}

/// FET-17
#[test]
fn only_two_isolation_levels_exist() {
    let (version, body) = samples("FetchRequest").remove(0);
    let at = |level: u8| {
        let mut body = body.clone();
        body[16] = level;
        FetchRequestView::decode(&body, version).unwrap().isolation()
    };
    assert_eq!(version, 4);
    assert_eq!(at(0), Some(IsolationLevel::ReadUncommitted));
    assert_eq!(at(1), Some(IsolationLevel::ReadCommitted));
    assert_eq!(at(2), None);
}

#[test]
#[should_panic(expected = "1 bytes of records are missing")]
fn a_frame_with_fewer_records_than_announced_is_never_finished() {
    let mut writer: FetchResponseWriter<Handle> = FetchResponseWriter::new(
        head(12),
        FetchShape { throttle_ms: 0, error: ErrorCode::None, session_id: 0, topics: 1 },
        0,
    );
    writer.topic(TopicLabel::Name("t"), 1);
    writer.partition(&FetchOutcome { records_bytes: 4, ..FetchOutcome::refused(0, ErrorCode::None) });
    writer.records(b"abc");
    let _ = writer.finish(&[]);
}

proptest! {
    /// WIRE-05: the view refuses what the generated codec refuses, and reads what it reads.
    #[test]
    fn damaged_requests_are_judged_alike((version, body) in damaged("FetchRequest")) {
        prop_assert_eq!(viewed(&body, version).ok(), generated(&body, version).ok());
    }

    /// Performance 4.3
    #[test]
    fn any_split_between_bytes_and_files_gives_the_same_frame(
        version in 4..=12_i16,
        records in proptest::collection::vec(0..50_usize, 0..6),
    ) {
        let response = with_records(&records);
        for way in [Way::Copied, Way::Room, Way::Files] {
            prop_assert_eq!(sent(&written(head(version), &response, way)), framed(head(version), &response));
        }
    }
}
