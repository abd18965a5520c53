//! A member of a classic group.
//!
//! Owns: what is known of one member, and which of its requests is parked.
//! Does not own: the group it belongs to.
//!
//! Invariants
//! - M1 at most one join and at most one sync of a member are parked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_model::{GroupInstanceId, MemberId, ProtocolName};

use super::command::JoinGroup;
use super::record::MemberImage;
use crate::runtime::RequestId;

/// How long a join of a member that nobody has heard of before is parked. Its client may be gone, and no session
/// guards it yet: it cannot send heartbeats before it knows its id.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A strategy a member can take part in, with its subscription in that strategy's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: ProtocolName,
    pub metadata: Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub id: MemberId,
    pub instance: Option<GroupInstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout: Duration,
    pub session_timeout: Duration,
    /// By preference. Changed through [`super::members::Members`], which counts them.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Order of arrival: the leader's place goes to the longest-standing member.
    pub seat: u64,
    /// It has not completed a join phase yet, so its parked join guards nothing.
    pub is_new: bool,
    pub parked_join: Option<RequestId>,
    pub parked_sync: Option<RequestId>,
    /// It asked for its assignment in this generation.
    pub has_synced: bool,
    /// When it is removed unless it is heard of. `None` while a parked request guards it.
    pub session_until: Option<Instant>,
}

impl Member {
    pub fn joining(id: MemberId, command: &JoinGroup, request: RequestId, now: Instant) -> Member {
        Member {
            id,
            instance: command.instance.clone(),
            client_id: command.client_id.clone(),
            client_host: command.client_host.clone(),
            rebalance_timeout: command.rebalance_timeout,
            session_timeout: command.session_timeout,
            protocols: command.protocols.clone(),
            assignment: Bytes::new(),
            seat: 0,
            is_new: true,
            parked_join: Some(request),
            parked_sync: None,
            has_synced: false,
            session_until: Some(now + NEW_MEMBER_JOIN_TIMEOUT),
        }
    }

    /// A member as it was persisted with the group's protocol. Its session begins with [`Member::renew_session`].
    pub fn from_image(image: &MemberImage, protocol: ProtocolName) -> Member {
        Member {
            id: image.member.clone(),
            instance: image.instance.clone(),
            client_id: image.client_id.clone(),
            client_host: image.client_host.clone(),
            rebalance_timeout: image.rebalance_timeout,
            session_timeout: image.session_timeout,
            protocols: vec![Protocol { name: protocol, metadata: image.subscription.clone() }],
            assignment: image.assignment.clone(),
            seat: 0,
            is_new: false,
            parked_join: None,
            parked_sync: None,
            has_synced: true,
            session_until: None,
        }
    }

    pub fn image(&self, protocol: &ProtocolName) -> MemberImage {
        MemberImage {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout,
            session_timeout: self.session_timeout,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    /// What it said about a protocol; empty when it does not know it.
    pub fn metadata(&self, protocol: &ProtocolName) -> Bytes {
        let known = self.protocols.iter().find(|known| known.name == *protocol);
        known.map_or_else(Bytes::new, |known| known.metadata.clone())
    }

    pub fn is_static(&self) -> bool {
        self.instance.is_some()
    }

    pub fn renew_session(&mut self, now: Instant) {
        self.session_until = Some(now + self.session_timeout);
    }

    /// Its session ended. Tells whether it is dead: a parked request proves it alive, unless it is new.
    pub fn is_dead_at_expiry(&mut self) -> bool {
        let guarded = !self.is_new && (self.parked_join.is_some() || self.parked_sync.is_some());
        if guarded {
            self.session_until = None;
        }
        !guarded
    }
}
