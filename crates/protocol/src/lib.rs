//! Kafka's wire messages, record batches and the pure connection machine.
//!
//! Owns: the form of bytes on the wire and in segments.
//! Does not own: sockets, files, state; what a request does (`server`).

pub mod codec;
pub mod compression;
pub mod connection;
mod error_code;
pub mod fetch;
pub mod messages;
pub mod produce;
pub mod record;
pub mod reply;

pub use codec::{DecodeError, EncodeError, Message, Reader, RecordSet, Writer};
pub use error_code::{ErrorCode, Retry};
pub use messages::ApiKey;
