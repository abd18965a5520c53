//! The hand-written Produce codec against the generated one.
//!
//! Owns: agreement on samples of Kafka, on made-up messages and on damage. Does not own: the meaning of fields.

use bytes::Bytes;
use ottla_model::{LeaderEpoch, Offset, Timestamp, Uuid};
use ottla_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_protocol::messages::produce_response::*;
use ottla_protocol::produce::{
    CurrentLeader, NodeEndpoint as Endpoint, ProduceOutcome, ProduceRequestView, ProduceResponseWriter,
    TopicLabel,
};
use ottla_protocol::record::RecordRefusal;
use ottla_protocol::reply::ReplyHead;
use ottla_protocol::{ApiKey, DecodeError, ErrorCode, Message, Reader, Writer};
use proptest::prelude::*;

use crate::raw::{RawBatch, records};
use crate::samples::{damaged, samples};

/// What stands before the body in these tests: a request header would.
const HEADER: &[u8] = b"header";

/// The request as the view shows it, in the generated form.
fn viewed(body: &[u8], version: i16) -> Result<ProduceRequest, DecodeError> {
    let frame = [HEADER, body].concat();
    let mut view = ProduceRequestView::default();
    view.decode(&frame, HEADER.len(), version)?;
    let topic_data: Vec<TopicProduceData> = view
        .topics(&frame)
        .map(|topic| {
            let (name, topic_id) = match topic.label {
                TopicLabel::Name(name) => (name.to_owned(), Uuid::ZERO),
                TopicLabel::Id(id) => (String::new(), id),
            };
            let partition_data = topic
                .partitions()
                .map(|partition| PartitionProduceData {
                    index: partition.index,
                    records: partition.records.map(|range| Bytes::copy_from_slice(&frame[range])),
                })
                .collect();
            TopicProduceData { name, topic_id, partition_data }
        })
        .collect();
    assert_eq!(view.topic_count(), topic_data.len());
    assert_eq!(
        view.partition_count(),
        topic_data.iter().map(|topic| topic.partition_data.len()).sum::<usize>()
    );
    let transactional_id = view.transactional_id(&frame).map(str::to_owned);
    Ok(ProduceRequest { transactional_id, acks: view.acks(), timeout_ms: view.timeout_ms(), topic_data })
}

fn generated(body: &[u8], version: i16) -> Result<ProduceRequest, DecodeError> {
    ProduceRequest::decode(&mut Reader::new(body), version)
}

/// What the typed response can say: unknown numbers are read as Kafka reads them, negative offsets are "none".
fn sayable(mut response: ProduceResponse) -> ProduceResponse {
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
        partition.error_code = ErrorCode::of_response(partition.error_code).number();
        partition.base_offset = partition.base_offset.max(-1);
        partition.log_start_offset = partition.log_start_offset.max(-1);
        partition.current_leader.leader_epoch = partition.current_leader.leader_epoch.max(-1);
        for error in &mut partition.record_errors {
            error.batch_index_error_message.get_or_insert_default();
        }
    }
    response
}

fn framed(head: ReplyHead, body: &ProduceResponse) -> Bytes {
    let mut writer = Writer::new();
    body.encode(&mut writer, head.version).unwrap();
    let header = if head.version >= 9 { [0, 0, 0, 9, 0].as_slice() } else { &[0, 0, 0, 9] };
    let size = u32::try_from(header.len() + writer.len()).unwrap();
    Bytes::from([&size.to_be_bytes(), header, writer.as_slice()].concat())
}

fn written(head: ReplyHead, response: &ProduceResponse) -> Bytes {
    let mut writer = ProduceResponseWriter::new(head, response.responses.len());
    for topic in &response.responses {
        let label =
            if head.version >= 13 { TopicLabel::Id(topic.topic_id) } else { TopicLabel::Name(&topic.name) };
        writer.topic(label, topic.partition_responses.len());
        for partition in &topic.partition_responses {
            let record_errors: Vec<RecordRefusal> = partition
                .record_errors
                .iter()
                .map(|error| RecordRefusal {
                    batch_index: error.batch_index,
                    message: error.batch_index_error_message.clone().unwrap(),
                })
                .collect();
            writer.partition(&ProduceOutcome {
                index: partition.index,
                error: ErrorCode::from_number(partition.error_code).unwrap(),
                base_offset: Offset::new(partition.base_offset),
                log_append_time: Some(Timestamp::from_millis(partition.log_append_time_ms)),
                log_start: Offset::new(partition.log_start_offset),
                record_errors: &record_errors,
                error_message: partition.error_message.as_deref(),
                current_leader: Some(CurrentLeader {
                    leader_id: partition.current_leader.leader_id,
                    leader_epoch: LeaderEpoch::new(partition.current_leader.leader_epoch),
                }),
            });
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
    writer.finish(response.throttle_time_ms, &endpoints).unwrap()
}

fn head(version: i16) -> ReplyHead {
    ReplyHead { api: ApiKey::Produce, version, correlation_id: 9 }
}

/// PRD-02, PRD-04: every version of Kafka's own samples.
#[test]
fn the_view_of_a_request_agrees_with_the_generated_codec() {
    for (version, body) in samples("ProduceRequest") {
        assert_eq!(viewed(&body, version), generated(&body, version), "version {version}");
    }
}

/// PRD-18, WIRE-03, TRAP-33: every version of Kafka's own samples.
#[test]
fn a_written_response_is_kafka_s_byte_for_byte() {
    for (version, body) in samples("ProduceResponse") {
        let response = ProduceResponse::decode(&mut Reader::new(&body), version).unwrap();
        let response = sayable(response);
        assert_eq!(written(head(version), &response), framed(head(version), &response), "version {version}");
    }
}

/// TRAP-33: what a version does not have is left out, not refused.
#[test]
fn fields_of_later_versions_are_not_written() {
    let full = |version: i16| {
        let mut writer = ProduceResponseWriter::new(head(version), 1);
        writer.topic(TopicLabel::Name("t"), 1);
        writer.partition(&ProduceOutcome {
            log_start: Some(Offset::ZERO),
            record_errors: &[RecordRefusal { batch_index: 0, message: "m".to_owned() }],
            error_message: Some("m"),
            current_leader: Some(CurrentLeader { leader_id: 1, leader_epoch: LeaderEpoch::new(1) }),
            ..ProduceOutcome::refused(0, ErrorCode::InvalidRecord)
        });
        let endpoint = Endpoint { node_id: 1, host: "h", port: 1, rack: None };
        let frame = writer.finish(0, &[endpoint]).unwrap();
        let header = if version >= 9 { 9 } else { 8 };
        let mut reader = Reader::new(&frame[header..]);
        let response = ProduceResponse::decode(&mut reader, version).unwrap();
        assert_eq!(reader.remaining(), 0, "version {version}");
        response
    };
    for version in 3..=12 {
        let response = full(version);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(partition.log_start_offset, if version >= 5 { 0 } else { -1 });
        assert_eq!(partition.record_errors.len(), usize::from(version >= 8));
        assert_eq!(partition.error_message.is_some(), version >= 8);
        assert_eq!(partition.current_leader.leader_id, if version >= 10 { 1 } else { -1 });
        assert_eq!(response.node_endpoints.len(), usize::from(version >= 10));
    }
}

/// PRD-02: who wrote decides about permissions.
#[test]
fn transactional_and_idempotent_batches_are_told_apart() {
    let authorship = |batch: Option<Vec<u8>>| {
        let plain = RawBatch::of(&records(1)).bytes();
        let data = [Some(plain), batch]
            .map(|records| PartitionProduceData { index: 0, records: records.map(Bytes::from) });
        let topic =
            TopicProduceData { name: "t".to_owned(), partition_data: data.to_vec(), ..Default::default() };
        let mut writer = Writer::new();
        ProduceRequest { topic_data: vec![topic], ..Default::default() }.encode(&mut writer, 9).unwrap();
        let mut view = ProduceRequestView::default();
        view.decode(writer.as_slice(), 0, 9).unwrap();
        let found = view.authorship(writer.as_slice());
        (found.idempotent, found.transactional)
    };
    let mut batch = RawBatch::of(&records(1));
    assert_eq!(authorship(None), (false, false));
    assert_eq!(authorship(Some(b"garbage".to_vec())), (false, false));
    assert_eq!(authorship(Some(vec![0xff; 16])), (false, false), "a length that no batch has");
    assert_eq!(authorship(Some(batch.bytes())), (false, false));
    (batch.producer_id, batch.producer_epoch, batch.base_sequence) = (7, 0, 0);
    assert_eq!(authorship(Some(batch.bytes())), (true, false));
    batch.attributes = 0x10;
    assert_eq!(authorship(Some(batch.bytes())), (true, true));
}

/// WIRE-11: what follows the request is ignored; the view's lists are reused.
#[test]
fn a_view_is_reused_for_request_after_request() {
    let mut view = ProduceRequestView::default();
    for (version, mut body) in samples("ProduceRequest") {
        body.extend(b"trailing");
        view.decode(&body, 0, version).unwrap();
        let mut fresh = ProduceRequestView::default();
        fresh.decode(&body, 0, version).unwrap();
        assert_eq!(view, fresh);
    }
}

proptest! {
    /// WIRE-05: the view refuses what the generated codec refuses, and reads what it reads.
    #[test]
    fn damaged_requests_are_judged_alike((version, body) in damaged("ProduceRequest")) {
        prop_assert_eq!(viewed(&body, version).ok(), generated(&body, version).ok());
    }

    /// PRD-18
    #[test]
    fn any_response_is_written_alike(
        version in 3..=13_i16,
        offsets in proptest::collection::vec((any::<i32>(), -1..134_i16, -1..i64::MAX, -1..i64::MAX), 0..5),
        leader in (any::<i32>(), -1..i32::MAX),
        texts in proptest::collection::vec("\\PC{0,20}", 0..4),
    ) {
        let partition_responses = offsets.iter().map(|(index, error_code, base_offset, log_start_offset)| {
            let record_errors = texts.iter().filter(|_| version >= 8).map(|text| BatchIndexAndErrorMessage {
                batch_index: *index, batch_index_error_message: Some(text.clone()),
            });
            PartitionProduceResponse {
                index: *index,
                error_code: *error_code,
                base_offset: *base_offset,
                log_append_time_ms: -1,
                log_start_offset: if version >= 5 { *log_start_offset } else { -1 },
                record_errors: record_errors.collect(),
                error_message: texts.first().filter(|_| version >= 8).cloned(),
                current_leader: if version >= 10 {
                    LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: leader.1 }
                } else {
                    LeaderIdAndEpoch::default()
                },
            }
        });
        let topic = TopicProduceResponse {
            name: if version <= 12 { "topic".to_owned() } else { String::new() },
            topic_id: if version >= 13 { Uuid::from_bytes([7; 16]) } else { Uuid::ZERO },
            partition_responses: partition_responses.collect(),
        };
        let node_endpoints = texts.iter().filter(|_| version >= 10).map(|text| NodeEndpoint {
            node_id: leader.0, host: text.clone(), port: 9092, rack: Some(text.clone()),
        });
        let response = ProduceResponse {
            responses: vec![topic.clone(), topic],
            throttle_time_ms: leader.1,
            node_endpoints: node_endpoints.collect(),
        };
        prop_assert_eq!(written(head(version), &response), framed(head(version), &response));
    }
}
