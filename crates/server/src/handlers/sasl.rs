//! SaslHandshake (API key 17) and SaslAuthenticate (API key 36) on listeners without SASL.
//!
//! Listeners with SASL are refused when the node starts, so this is the only case there is.
//!
//! Source: requirement SEC-04.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use ottla_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

/// The connection stays usable.
pub fn handshake() -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.number(), mechanisms: Vec::new() }
}

/// The connection stays usable.
pub fn authenticate() -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.number(),
        error_message: Some("SaslAuthenticate request received after successful authentication".to_owned()),
        ..SaslAuthenticateResponse::default()
    }
}
