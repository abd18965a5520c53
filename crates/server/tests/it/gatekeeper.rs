//! An authorizer for one test: only what is listed is allowed.
//!
//! Owns: the list, and a resource whose question makes the handler panic.
//! Does not own: what the tests expect.

use std::sync::Arc;

use ottla_security::{Authorizer, Operation, Question, ResourceType};

/// An operation on one resource.
pub type Permit = (Operation, ResourceType, &'static str);

/// May create topics.
pub const CREATE: Permit = (Operation::Create, ResourceType::Cluster, "kafka-cluster");

#[derive(Debug)]
pub struct Gatekeeper {
    permits: Vec<Permit>,
}

/// Asking about a resource of this name is a fault of the node.
pub const TRAPDOOR: &str = "trapdoor";

impl Gatekeeper {
    /// Allows these and nothing else.
    pub fn only(permits: &[Permit]) -> Option<Arc<dyn Authorizer>> {
        Some(Arc::new(Gatekeeper { permits: permits.to_vec() }))
    }
}

impl Authorizer for Gatekeeper {
    fn is_allowed(&self, question: &Question<'_>) -> bool {
        assert!(question.name != TRAPDOOR, "somebody asked about {TRAPDOOR}");
        self.permits.iter().any(|(operation, kind, name)| {
            *operation == question.operation && *kind == question.kind && *name == question.name
        })
    }

    fn is_allowed_on_any(&self, question: &Question<'_>) -> bool {
        self.permits
            .iter()
            .any(|(operation, kind, _)| *operation == question.operation && *kind == question.kind)
    }

    fn is_configured(&self) -> bool {
        true
    }
}
