//! The question whether somebody may do something, and who answers it.
//!
//! Owns: the trait and the answer where no authorizer is configured: Kafka then allows everything.
//! Does not own: ACLs; an authorizer that keeps them implements the same trait.
//!
//! Source: requirements SEC-31, SEC-36, MD-09.

use std::fmt::Debug;
use std::net::IpAddr;

use crate::{Operation, Principal, ResourceType};

/// One question: may `principal`, connected from `host`, do `operation` to the resource?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub principal: &'a Principal,
    pub host: IpAddr,
    pub operation: Operation,
    pub kind: ResourceType,
    /// Name of the resource; `kafka-cluster` for the cluster.
    pub name: &'a str,
}

/// Decides about requests. Asked by every handler.
pub trait Authorizer: Send + Sync + Debug {
    fn is_allowed(&self, question: &Question<'_>) -> bool;

    /// Whether the principal may do the operation on at least one resource of the kind: what lets an idempotent
    /// producer in without a permission of its own (SEC-33).
    fn is_allowed_on_any(&self, question: &Question<'_>) -> bool;

    /// Whether permissions are kept at all. Without, the ACL calls answer SECURITY_DISABLED.
    fn is_configured(&self) -> bool;
}

/// No authorizer is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn is_allowed(&self, _question: &Question<'_>) -> bool {
        true
    }

    fn is_allowed_on_any(&self, _question: &Question<'_>) -> bool {
        true
    }

    fn is_configured(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// SEC-31: no authorizer configured.
    #[test]
    fn without_an_authorizer_everything_is_allowed_and_nothing_is_kept() {
        let principal = Principal::anonymous();
        for operation in Operation::ALL {
            for kind in ResourceType::ALL {
                let question = Question {
                    principal: &principal,
                    host: Ipv4Addr::LOCALHOST.into(),
                    operation: *operation,
                    kind: *kind,
                    name: "x",
                };
                assert!(AllowAll.is_allowed(&question) && AllowAll.is_allowed_on_any(&question));
            }
        }
        assert!(!AllowAll.is_configured());
    }
}
