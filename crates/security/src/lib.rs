//! Who may do what: principals, resources, operations and the question an authorizer answers.
//!
//! Owns: Kafka's codes of operations, resource and pattern types; the trait `Authorizer`.
//! Does not own: wire messages, where ACLs are kept, how a principal was authenticated.
//!
//! In reading order: `principal`, `resource`, `authorizer`.

mod authorizer;
mod principal;
mod resource;

pub use authorizer::{AllowAll, Authorizer, Question};
pub use principal::{Principal, PrincipalParseError};
pub use resource::{Operation, PatternType, PermissionType, ResourceType};
