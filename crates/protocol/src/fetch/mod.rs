//! Fetch (API key 1) without copies: requests as borrowed views, responses as parts that may lie in files.
//!
//! Owns: the layout of both in versions 4 to 18.
//! Does not own: sessions, waiting, sizes (`server`), record data (`storage`).
//!
//! Source: Kafka protocol guide, Fetch; requirements FET-01 to FET-34.

mod request;
mod response;

pub use request::{
    FetchPartition, FetchRequestView, FetchTopic, ForgottenTopic, IsolationLevel, ReplicaState,
};
pub use response::{
    AbortedTransaction, EpochEndOffset, FetchOutcome, FetchResponseWriter, FetchShape, SnapshotEnd,
};

const FIRST_FLEXIBLE: i16 = 12;
const FIRST_WITH_TOPIC_ID: i16 = 13;
