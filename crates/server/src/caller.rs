//! Who sent a request, and by which door.
//!
//! Owns: `Caller`. Does not own: how the principal was found (`security`), what it may do (`access`).

use std::net::IpAddr;
use std::sync::Arc;

use ottla_model::ListenerName;
use ottla_protocol::codec::Listener;
use ottla_security::Principal;

/// The sender of a request. One per connection; the client id is the request's own.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Arc<Principal>,
    pub host: IpAddr,
    /// The listener on which the connection came in: answers name the endpoints of that listener (MD-02).
    pub listener: Arc<ListenerName>,
    /// What that listener serves.
    pub door: Listener,
    /// "" where the client sent none (WIRE-02).
    pub client_id: Arc<str>,
}

impl Caller {
    /// The host as Kafka writes it in group descriptions: a slash and the address (OUT-01).
    pub fn host_text(&self) -> String {
        format!("/{}", self.host)
    }
}
