//! DescribeLogDirs (API key 35): what lies in which log directory, and how much.
//!
//! Source: requirement LOG-09, KIP-113, KIP-827, KIP-1066.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::log_directory::LogDirectory;
use crate::node::Node;

/// First version with an error for the request as a whole.
const FIRST_WITH_ERROR: i16 = 3;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if !node.access.may_cluster(caller, Operation::Describe) {
        let error = ErrorCode::ClusterAuthorizationFailed;
        let error_code = if version >= FIRST_WITH_ERROR { error.number() } else { 0 };
        return DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() };
    }
    let wanted: Option<HashMap<String, HashSet<i32>>> = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.topic, topic.partitions.into_iter().collect())).collect()
    });
    let known = node.data_directories().map(|directory| row(node, directory, wanted.as_ref()));
    let unusable = node.unusable.iter().map(|path| offline(path));
    DescribeLogDirsResponse { results: known.chain(unusable).collect(), ..DescribeLogDirsResponse::default() }
}

fn offline(path: &Path) -> DescribeLogDirsResult {
    DescribeLogDirsResult {
        error_code: ErrorCode::KafkaStorageError.number(),
        log_dir: path.display().to_string(),
        ..DescribeLogDirsResult::default()
    }
}

fn row(
    node: &Node,
    directory: &Arc<LogDirectory>,
    wanted: Option<&HashMap<String, HashSet<i32>>>,
) -> DescribeLogDirsResult {
    if !directory.is_online() {
        return offline(directory.path());
    }
    let log_dir = directory.path().display().to_string();
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in node.partitions.load().partitions() {
        let (name, index) = (partition.id().topic.as_str(), partition.id().partition.value());
        let is_wanted = wanted.is_none_or(|wanted| wanted.get(name).is_some_and(|set| set.contains(&index)));
        if !is_wanted || !Arc::ptr_eq(partition.directory(), directory) {
            continue;
        }
        let Some(positions) = partition.positions() else { continue };
        topics.entry(name.to_owned()).or_default().push(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(positions.size).unwrap_or(i64::MAX),
            // How far the log is behind what is committed: nothing, where this broker leads.
            offset_lag: (positions.high_watermark.value() - positions.log_end.value()).max(0),
            is_future_key: false,
        });
    }
    let space = node.disk.space(directory.path()).ok();
    let bytes = |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
    DescribeLogDirsResult {
        error_code: 0,
        log_dir,
        topics: topics
            .into_iter()
            .map(|(name, partitions)| DescribeLogDirsTopic { name, partitions })
            .collect(),
        total_bytes: bytes(space.map(|space| space.total)),
        usable_bytes: bytes(space.map(|space| space.usable)),
        is_cordoned: node.is_cordoned(directory),
    }
}
