//! What a field of a message can hold, and the message itself.
//!
//! Owns: the traits `Field` and `Message`, and `Field` for the primitive element types of arrays.
//! Does not own: the messages (generated), bytes (`Reader`, `Writer`), JSON.
//!
//! Source: Kafka protocol guide, "Protocol Primitive Types".

use std::ops::RangeInclusive;

use ottla_model::Uuid;

use super::error::{DecodeError, EncodeError};
use super::json;
use super::reader::Reader;
use super::sink::Sink;
use super::writer::Writer;

/// A value that can stand in an array or be a struct of a message.
pub trait Field: Sized {
    /// Reads the value as it is in `version` of the message it belongs to.
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;

    /// Shows the value, under `name`, to a sink: the bytes of a version, or another view of them.
    fn walk(&self, w: &mut dyn Sink, name: &'static str, version: i16);
}

/// A message or persisted record of Kafka: one struct for all its versions.
pub trait Message: Field + Default + Clone + PartialEq + std::fmt::Debug {
    /// Kafka's name, such as `FetchRequest`.
    const NAME: &'static str;
    /// Number of the API or of the record type.
    const API_KEY: Option<i16>;
    /// Versions that can be read and written, unstable ones included.
    const VERSIONS: RangeInclusive<i16>;
    /// First version with compact forms and tagged fields.
    const FLEXIBLE: Option<i16>;

    /// Whether this version has compact forms and tagged fields.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE.is_some_and(|first| version >= first)
    }

    /// Reads a message. What follows it stays in the reader: trailing bytes are the caller's business.
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        r.set_flexible(Self::is_flexible(version));
        Self::read(r, version)
    }

    /// Appends the bytes of a version; on an error the writer is as it was before.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        w.set_flexible(Self::is_flexible(version));
        w.written(&mut |w| self.walk(w, "", version))
    }

    /// The message as JSON in the form of Kafka's tools, in the fields of `version`.
    fn to_json(&self, version: i16) -> Result<String, EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        json::view(json::Tags::NonDefault, &mut |w| self.walk(w, "", version))
    }
}

macro_rules! primitive {
    ($($type:ty, $read:ident, $show:ident;)*) => {$(
        impl Field for $type {
            fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
                r.$read()
            }

            fn walk(&self, w: &mut dyn Sink, name: &'static str, _version: i16) {
                w.$show(name, *self);
            }
        }
    )*};
}

primitive! {
    i8, i8, int8;
    i16, i16, int16;
    i32, i32, int32;
    i64, i64, int64;
    Uuid, uuid, uuid;
}

impl Field for String {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        r.string()
    }

    fn walk(&self, w: &mut dyn Sink, name: &'static str, _version: i16) {
        w.string(name, Some(self));
    }
}
