//! What a caller may do: the questions handlers ask, in their words.
//!
//! Owns: the wording of the questions and the bit fields of authorized operations.
//! Does not own: the decision (`security`).
//!
//! Source: requirements MD-09, SEC-36.

use std::sync::Arc;

use ottla_mutant::mutant;
use ottla_security::{Authorizer, Operation, Question, ResourceType};

use crate::caller::Caller;

/// The bit field of a request that did not ask for authorized operations.
pub const NOT_ASKED: i32 = i32::MIN;

/// The name of the only resource of type cluster.
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// Asks the node's authorizer.
#[derive(Clone, Debug)]
pub struct Access {
    authorizer: Arc<dyn Authorizer>,
}

impl Access {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Access {
        Access { authorizer }
    }

    pub fn may_topic(&self, caller: &Caller, operation: Operation, name: &str) -> bool {
        self.may(caller, operation, (ResourceType::Topic, name))
    }

    pub fn may_group(&self, caller: &Caller, operation: Operation, name: &str) -> bool {
        self.may(caller, operation, (ResourceType::Group, name))
    }

    pub fn may_cluster(&self, caller: &Caller, operation: Operation) -> bool {
        self.may(caller, operation, (ResourceType::Cluster, CLUSTER_NAME))
    }

    pub fn may_transactional_id(&self, caller: &Caller, operation: Operation, name: &str) -> bool {
        self.may(caller, operation, (ResourceType::TransactionalId, name))
    }

    /// A topic may be created by whoever may create anything in the cluster, or that topic.
    pub fn may_create_topic(&self, caller: &Caller, name: &str) -> bool {
        self.may_cluster(caller, Operation::Create) || self.may_topic(caller, Operation::Create, name)
    }

    /// An idempotent producer needs the permission of that name or to write to any topic (SEC-33).
    pub fn may_produce_idempotently(&self, caller: &Caller) -> bool {
        let question = question(caller, Operation::Write, (ResourceType::Topic, ""));
        self.may_cluster(caller, Operation::IdempotentWrite) || self.authorizer.is_allowed_on_any(&question)
    }

    /// One bit for each operation the caller may do, at the place of the operation's code (MD-09).
    pub fn authorized_operations(&self, caller: &Caller, kind: ResourceType, name: &str) -> i32 {
        let allowed =
            kind.operations().iter().filter(|operation| self.may(caller, **operation, (kind, name)));
        allowed.fold(0, |bits, operation| bits | 1 << operation.code())
    }

    /// The same for the cluster: who may not even describe it learns nothing of the rest.
    pub fn cluster_operations(&self, caller: &Caller) -> i32 {
        if self.may_cluster(caller, Operation::Describe) {
            self.authorized_operations(caller, ResourceType::Cluster, CLUSTER_NAME)
        } else {
            0
        }
    }

    fn may(&self, caller: &Caller, operation: Operation, resource: (ResourceType, &str)) -> bool {
        self.authorizer.is_allowed(&question(caller, operation, resource)) || mutant!(ignore_denial)
    }
}

fn question<'a>(
    caller: &'a Caller,
    operation: Operation,
    (kind, name): (ResourceType, &'a str),
) -> Question<'a> {
    Question { principal: &caller.principal, host: caller.host, operation, kind, name }
}
