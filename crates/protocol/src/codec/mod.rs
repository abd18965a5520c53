//! The runtime of the wire codec: what the generated messages call.
//!
//! Owns: reading and writing of primitive types, the walk over a message, its JSON view.
//! Does not own: the messages (`crate::messages`, generated from `crates/protocol/messages/`).

mod error;
mod field;
pub mod json;
mod reader;
mod sink;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use field::{Field, Message};
pub use reader::{ALLOWANCE_BASE, ALLOWANCE_FACTOR, Reader, STRING_BYTES_MAX};
pub use sink::Sink;
pub use writer::Writer;
