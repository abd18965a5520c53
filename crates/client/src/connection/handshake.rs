//! The first request of every connection: what does the node speak?
//!
//! Owns: asking over ApiVersions, and the step back to a version the node knows.
//! Does not own: the choice of versions afterwards (`versions`).
//!
//! Source: KIP-35, KIP-511; requirements WIRE-06, TRAP-02, TRAP-03.

use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, Message, Reader};

use super::versions::ApiVersions;
use super::{Connection, Request};
use crate::error::{CallError, ErrorCode, ServerError, api_name, error_of};

/// What this client calls itself; brokers show it in logs and metrics.
const SOFTWARE_NAME: &str = "ottla-client";

/// What to do with an answer to ApiVersions.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Done(ApiVersions),
    /// The node does not know the version; ask again in this one.
    Again(i16),
}

/// Asks until the node answers in a version that both sides know. At most two questions are needed.
pub(super) async fn negotiate(connection: &Connection) -> Result<ApiVersions, CallError> {
    let mut version = *ApiKey::ApiVersions.stable_versions().end();
    loop {
        let asked = connection.enqueue(&request(), version, connection.request_timeout)?;
        let lost = |_| CallError::Lost { node: connection.node.clone(), reason: "its task ended".to_owned() };
        let body = asked.await.map_err(lost)??;
        let malformed = |reason: String| CallError::Malformed {
            api: api_name(ApiVersionsRequest::KEY),
            node: connection.node.clone(),
            reason,
        };
        match step(&body, version).map_err(malformed)? {
            Step::Done(versions) => return Ok(versions),
            Step::Again(lower) => version = lower,
        }
    }
}

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: SOFTWARE_NAME.to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Reads an answer. A refusal of the version is written in version 0, whatever was asked.
fn step(body: &[u8], version: i16) -> Result<Step, String> {
    let code = Reader::new(body).i16().map_err(|error| error.to_string())?;
    let refused = error_of(code) == Some(ErrorCode::UnsupportedVersion);
    let written_in = if refused { 0 } else { version };
    let response = ApiVersionsResponse::decode(&mut Reader::new(body), written_in);
    let response = response.map_err(|error| error.to_string())?;
    if refused && version > 0 {
        let offered = ApiVersions::of(&response).choose(ApiKey::ApiVersions, version - 1);
        return Ok(Step::Again(offered.unwrap_or(0)));
    }
    ServerError::check(response.error_code, None).map_err(|error| error.code.to_string())?;
    Ok(Step::Done(ApiVersions::of(&response)))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::Writer;
    use ottla_protocol::messages::api_versions_response::ApiVersion;

    use super::*;

    fn answer(error_code: i16, max: Option<i16>, version: i16) -> Vec<u8> {
        let range = |max| ApiVersion { api_key: 18, min_version: 0, max_version: max };
        let api_keys = max.map(range).into_iter().collect();
        let response = ApiVersionsResponse { error_code, api_keys, ..Default::default() };
        let mut writer = Writer::new();
        response.encode(&mut writer, version).unwrap();
        writer.into_vec()
    }

    /// WIRE-06
    #[test]
    fn a_node_that_refuses_the_version_is_asked_again_in_one_it_names() {
        assert_eq!(step(&answer(35, Some(2), 0), 4), Ok(Step::Again(2)));
        assert_eq!(step(&answer(35, None, 0), 4), Ok(Step::Again(0)));
    }

    /// TRAP-02: a node that refuses every version must not be asked for ever.
    #[test]
    fn a_refusal_of_version_0_is_an_error() {
        assert_eq!(step(&answer(35, None, 0), 0), Err("UNSUPPORTED_VERSION".to_owned()));
        assert_eq!(step(&answer(42, None, 4), 4), Err("INVALID_REQUEST".to_owned()));
        assert!(step(&[0], 4).is_err());
    }

    #[test]
    fn an_answer_ends_the_question() {
        let Ok(Step::Done(versions)) = step(&answer(0, Some(4), 4), 4) else { panic!("no answer") };
        assert_eq!(versions.range(ApiKey::ApiVersions), Some(0..=4));
    }
}
