//! The nouns of Ottla and their arithmetic and parsing.
//!
//! Owns: identifiers, positions and times that several crates speak of.
//! Does not own: bytes on the wire or on disk, input and output, rules of any one part.

mod broker;
pub mod calendar;
mod group;
mod java_hash;
mod listener;
mod position;
mod producer;
mod text_id;
mod time;
mod topic;
mod uuid;
mod verification;

pub use broker::{BrokerEpoch, BrokerId, ClusterId, DirectoryId, IncarnationId};
pub use group::{GenerationId, GroupId, GroupInstanceId, MemberId, ProtocolName, ProtocolType};
pub use java_hash::{coordinator_partition, java_string_hash};
pub use listener::{ListenerName, SecurityProtocol};
pub use position::{ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch};
pub use producer::{ProducerEpoch, ProducerId, Sequence, TransactionVersion, TransactionalId};
pub use time::Timestamp;
pub use topic::{PartitionIndex, TopicId, TopicName, TopicNameError, TopicPartition};
pub use uuid::{Uuid, UuidParseError};
pub use verification::{Verification, VerificationGuard};
