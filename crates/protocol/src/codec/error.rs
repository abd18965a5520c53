//! Why bytes are not a message, and why a message has no bytes in some version.
//!
//! Owns: `DecodeError`, `EncodeError`.
//! Does not own: what a server answers to either; that is chosen where the error is consumed.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types"; KIP-482 for tagged fields.

/// Why bytes are not the message they claim to be. Positions count from the first byte the reader was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{needed} bytes are needed at byte {at}, {left} are left")]
    UnexpectedEnd { at: usize, needed: usize, left: usize },
    #[error("a count of {got} at byte {at} does not fit into the {left} bytes left")]
    CountOutOfRange { at: usize, got: u32, left: usize },
    #[error("a string of {got} bytes at byte {at} is longer than {max}")]
    StringTooLong { at: usize, got: usize, max: usize },
    #[error("the variable-length integer at byte {at} does not end within its {max} bytes")]
    VarintTooLong { at: usize, max: usize },
    #[error("the string at byte {at} is not UTF-8")]
    NotUtf8 { at: usize },
    #[error("null at byte {at} where a value is needed")]
    Null { at: usize },
    #[error("the values read until byte {at} would take more than {allowed} bytes of memory")]
    TooManyValues { at: usize, allowed: usize },
    #[error("tag {tag} before byte {at} is not valid for version {version}")]
    TagNotInVersion { at: usize, tag: u32, version: i16 },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("{set} has no type {key}")]
    UnknownRecord { set: &'static str, key: i64 },
    #[error("the record has frame version {version}; only {known} is known")]
    UnknownFrame { version: u32, known: u32 },
    #[error("{left} bytes follow the record")]
    TrailingBytes { left: usize },
}

/// Why a message cannot be written in the asked version. Fields bear Kafka's names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("attempted to write a non-default {field} at version {version}")]
    NotInVersion { field: &'static str, version: i16 },
    #[error("attempted to write null as {field} at version {version}")]
    Null { field: &'static str, version: i16 },
    #[error("{field} has {length} bytes or elements; at most {max} can be written")]
    TooLong { field: &'static str, length: usize, max: usize },
}
