//! UpdateFeatures (API key 57): finalized levels go up or down.
//!
//! Source: requirement KRF-06, KIP-584, KIP-1022, SEC-36.

use ottla_metadata::controller::{Answer, Command, FeatureUpdate, UpdateFeatures, UpgradeType};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::update_features_request::UpdateFeaturesRequest;
use ottla_protocol::messages::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use ottla_security::Operation;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// First version with one outcome for all updates and none for each.
const FIRST_WITHOUT_ROWS: i16 = 2;

/// Serves one request. Either every feature changes or none.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    version: i16,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    if !node.access.may_cluster(caller, Operation::Alter) {
        let error = ErrorCode::ClusterAuthorizationFailed;
        return answered(version, Vec::new(), (error, Some(error.message().to_owned())));
    }
    let names: Vec<String> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
    let update = |update: ottla_protocol::messages::update_features_request::FeatureUpdateKey| {
        let upgrade_type = if version == 0 {
            if update.allow_downgrade { UpgradeType::SafeDowngrade } else { UpgradeType::Upgrade }
        } else {
            UpgradeType::from_code(update.upgrade_type)
        };
        FeatureUpdate { feature: update.feature, level: update.max_version_level, upgrade_type }
    };
    let command = UpdateFeatures {
        updates: request.feature_updates.into_iter().map(update).collect(),
        validate_only: request.validate_only,
    };
    let outcome = match node.controller.ask(Command::UpdateFeatures(command)).await {
        Ok(Answer::UpdateFeatures(Ok(_))) => (ErrorCode::None, None),
        Ok(Answer::UpdateFeatures(Err(error))) => {
            let message = format!(
                "The update failed for all features since the following feature had an error: {error}"
            );
            (error_code::of_update_features(&error), Some(message))
        }
        Ok(other) => unreachable!("an update of features was answered with {other:?}"),
        Err(unavailable) => (unavailable.code(), Some(unavailable.to_string())),
    };
    node.catch_up().await;
    answered(version, names, outcome)
}

fn answered(
    version: i16,
    names: Vec<String>,
    (error, error_message): (ErrorCode, Option<String>),
) -> UpdateFeaturesResponse {
    let rows = version < FIRST_WITHOUT_ROWS && error == ErrorCode::None;
    let names = if rows { names } else { Vec::new() };
    // Kafka says the name of the code where there is no error.
    let message = || Some("NONE".to_owned());
    let row = |feature| UpdatableFeatureResult { feature, error_code: 0, error_message: message() };
    UpdateFeaturesResponse {
        throttle_time_ms: 0,
        error_code: error.number(),
        error_message,
        results: names.into_iter().map(row).collect(),
    }
}
