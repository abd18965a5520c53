//! ApiVersions (API key 18): what this listener speaks, and the cluster's features.
//!
//! Source: requirements WIRE-06, WIRE-07, WIRE-08, WIRE-15, WIRE-16, KRF-05.

use ottla_metadata::features::supported_features;
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Listener;
use ottla_protocol::messages::api_versions_request::ApiVersionsRequest;
use ottla_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use crate::apis;
use crate::caller::Caller;
use crate::node::Node;

/// First version whose readers know a feature with a least level of 0 (KAFKA-17011).
const FIRST_WITH_ZERO_LEVELS: i16 = 4;
/// First version that says which software is asking.
const FIRST_WITH_SOFTWARE: i16 = 3;

/// Serves one request.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    if version >= FIRST_WITH_SOFTWARE && !is_valid(&request) {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.number(),
            ..ApiVersionsResponse::default()
        };
    }
    let image = node.image();
    let supported = supported_features().into_iter();
    let supported = supported.filter(|known| version >= FIRST_WITH_ZERO_LEVELS || known.range.min > 0);
    let mut finalized: Vec<FinalizedFeatureKey> =
        image.features.levels().map(|(feature, level)| finalized_row(feature.name(), level)).collect();
    if image.features.has_metadata_version() {
        finalized.push(finalized_row("metadata.version", image.features.metadata_version().level()));
    }
    // The quorum keeps this level, not the image; 0 is a voter set that stands in the configuration.
    let kraft_version = node.controller.published().kraft_version;
    if kraft_version > 0 {
        finalized.push(finalized_row("kraft.version", kraft_version));
    }
    ApiVersionsResponse {
        error_code: 0,
        api_keys: api_keys(caller.door),
        throttle_time_ms: 0,
        supported_features: supported
            .map(|known| SupportedFeatureKey {
                name: known.name.to_owned(),
                min_version: known.range.min,
                max_version: known.range.max,
            })
            .collect(),
        finalized_features_epoch: image.features_epoch(),
        finalized_features: finalized,
        zk_migration_ready: false,
    }
}

/// The APIs of a listener as an answer names them.
pub fn api_keys(door: Listener) -> Vec<ApiVersion> {
    let range = |key| {
        let versions = apis::advertised(door, key)?;
        Some(ApiVersion {
            api_key: key.number(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        })
    };
    apis::offered(door).iter().filter_map(|key| range(*key)).collect()
}

fn finalized_row(name: &str, level: i16) -> FinalizedFeatureKey {
    FinalizedFeatureKey { name: name.to_owned(), max_version_level: level, min_version_level: level }
}

fn is_valid(request: &ApiVersionsRequest) -> bool {
    is_software_word(&request.client_software_name) && is_software_word(&request.client_software_version)
}

/// Letters and digits, with `-` and `.` between them (WIRE-07).
fn is_software_word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WIRE-07
    #[test]
    fn a_software_name_has_dots_and_dashes_only_inside() {
        for good in ["a", "apache-kafka-java", "4.3.1", "librdkafka", "a--b"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "ä", "."] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }
}
