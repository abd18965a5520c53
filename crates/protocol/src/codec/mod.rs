//! The runtime of the wire codec: what the generated messages call.
//!
//! Owns: reading and writing of primitive types, the walk over a message, its JSON view.
//! Does not own: the messages (`crate::messages`, generated from `crates/protocol/messages/`).

pub mod base64;
mod error;
mod field;
mod info;
pub mod json;
mod reader;
mod record_set;
mod sink;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use field::{Field, Message};
pub use info::{AnyMessage, ApiInfo, DecodeAny, Kind, Listener, MessageInfo};
pub use reader::{ALLOWANCE_BASE, ALLOWANCE_FACTOR, Reader, STRING_BYTES_MAX};
pub use record_set::RecordSet;
pub(crate) use record_set::record_set;
pub use sink::Sink;
pub use writer::Writer;

/// What every generated module needs.
pub(crate) mod prelude {
    pub use std::ops::RangeInclusive;

    pub use bytes::Bytes;
    pub use ottla_model::Uuid;

    pub use super::{DecodeError, Field, Message, Reader, Sink};
}
