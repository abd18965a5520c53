//! Requests and the answers that belong to them.
//!
//! Owns: the pairing, and the frame of a request.
//! Does not own: the messages (`protocol`), correlation ids (`pipeline`).

use ottla_protocol::messages::*;
use ottla_protocol::{ApiKey, EncodeError, Message, Writer};

/// A message a client sends, with the message it gets back.
pub(crate) trait Request: Message {
    type Response: Message;
    const KEY: ApiKey;
}

macro_rules! requests {
    ($($key:ident: $request:ident => $response:ident;)*) => {$(
        impl Request for $request {
            type Response = $response;
            const KEY: ApiKey = ApiKey::$key;
        }
    )*};
}

requests! {
    Produce: ProduceRequest => ProduceResponse;
    Fetch: FetchRequest => FetchResponse;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse;
    Metadata: MetadataRequest => MetadataResponse;
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse;
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse;
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse;
    JoinGroup: JoinGroupRequest => JoinGroupResponse;
    Heartbeat: HeartbeatRequest => HeartbeatResponse;
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse;
    SyncGroup: SyncGroupRequest => SyncGroupResponse;
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse;
    ListGroups: ListGroupsRequest => ListGroupsResponse;
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse;
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse;
    DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse;
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse;
    DescribeLogDirs: DescribeLogDirsRequest => DescribeLogDirsResponse;
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse;
    DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse;
    ElectLeaders: ElectLeadersRequest => ElectLeadersResponse;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    ListPartitionReassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
    OffsetDelete: OffsetDeleteRequest => OffsetDeleteResponse;
    DescribeQuorum: DescribeQuorumRequest => DescribeQuorumResponse;
    UpdateFeatures: UpdateFeaturesRequest => UpdateFeaturesResponse;
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse;
    UnregisterBroker: UnregisterBrokerRequest => UnregisterBrokerResponse;
    AddRaftVoter: AddRaftVoterRequest => AddRaftVoterResponse;
    RemoveRaftVoter: RemoveRaftVoterRequest => RemoveRaftVoterResponse;
    DescribeProducers: DescribeProducersRequest => DescribeProducersResponse;
    ConsumerGroupDescribe: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
    ListConfigResources: ListConfigResourcesRequest => ListConfigResourcesResponse;
    DescribeTopicPartitions: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
}

/// Room for a header in front of most requests.
const HEADER_BYTES: usize = 64;

/// A request as it goes over the wire: length, header, body. The correlation id is left 0.
pub(crate) fn frame_of<R: Request>(
    request: &R,
    version: i16,
    client_id: &str,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::with_capacity(HEADER_BYTES);
    writer.put_i32(0);
    let header = RequestHeader {
        request_api_key: R::KEY.number(),
        request_api_version: version,
        correlation_id: 0,
        client_id: Some(client_id.to_owned()),
    };
    header.encode(&mut writer, R::KEY.request_header_version(version))?;
    request.encode(&mut writer, version)?;
    let mut frame = writer.into_vec();
    let length = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WIRE-02: the client id stays a plain nullable string in header version 2.
    #[test]
    fn a_request_has_its_length_and_the_header_of_its_version() {
        let classic = frame_of(&ApiVersionsRequest::default(), 0, "me").unwrap();
        assert_eq!(classic, b"\0\0\0\x0c\0\x12\0\0\0\0\0\0\0\x02me");
        let (client_software_name, client_software_version) = ("a".to_owned(), "1".to_owned());
        let request = ApiVersionsRequest { client_software_name, client_software_version };
        let flexible = frame_of(&request, 3, "me").unwrap();
        assert_eq!(flexible, b"\0\0\0\x12\0\x12\0\x03\0\0\0\0\0\x02me\0\x02a\x021\0");
    }
}
