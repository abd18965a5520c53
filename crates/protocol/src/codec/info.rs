//! What is known of messages and APIs without their types.
//!
//! Owns: `ApiInfo`, `MessageInfo` and the lookups over them.
//! Does not own: the tables (generated into `crate::messages`), which APIs a server offers.
//!
//! Source: Kafka protocol guide, "Api Keys".

use std::ops::RangeInclusive;

use super::error::{DecodeError, EncodeError};
use super::field::Message;
use super::json;
use super::reader::Reader;
use super::writer::Writer;
use crate::messages::{ApiKey, MESSAGES};

/// A kind of listener that serves an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Broker,
    Controller,
}

/// What the schemas say of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiInfo {
    pub number: i16,
    /// Kafka's name, such as `OffsetFetch`.
    pub name: &'static str,
    /// First valid version; above `last` if the API has none left.
    pub first: i16,
    pub last: i16,
    /// First flexible version.
    pub flexible: Option<i16>,
    pub listeners: &'static [Listener],
    /// Whether the last version is not yet stable; it must not be offered unless the operator asks for it.
    pub latest_unstable: bool,
}

impl ApiKey {
    /// The API of this number.
    pub fn from_number(number: i16) -> Option<ApiKey> {
        ApiKey::ALL.binary_search_by_key(&number, |key| key.number()).ok().map(|at| ApiKey::ALL[at])
    }

    /// The number on the wire.
    pub const fn number(self) -> i16 {
        self.info().number
    }

    /// Kafka's name, such as `OffsetFetch`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// All versions, also an unstable one; empty for APIs that Kafka 4 no longer has.
    pub const fn versions(self) -> RangeInclusive<i16> {
        self.info().first..=self.info().last
    }

    /// The versions that are stable.
    pub const fn stable_versions(self) -> RangeInclusive<i16> {
        let info = self.info();
        info.first..=if info.latest_unstable { info.last - 1 } else { info.last }
    }

    /// Whether this version has compact forms and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        self.info().flexible.is_some_and(|first| version >= first)
    }

    /// Version of the header in front of a request.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the header in front of a response. ApiVersions always has the oldest one: its reader does not yet
    /// know what the server speaks (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && self != ApiKey::ApiVersions { 1 } else { 0 }
    }

    /// Whether such a listener serves the API.
    pub fn is_served_by(self, listener: Listener) -> bool {
        self.info().listeners.contains(&listener)
    }
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    /// What stands in control records, snapshots, consumer subscriptions and single files.
    Data,
    /// A record of the metadata log or of the topic of remote log metadata.
    Metadata,
    /// The key of a record of a coordinator's topic.
    CoordinatorKey,
    /// The value of a record of a coordinator's topic.
    CoordinatorValue,
}

/// A message of any type.
pub trait AnyMessage: std::fmt::Debug {
    /// Appends the bytes of a version; see [`Message::encode`].
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
    /// The message as JSON; see [`Message::to_json`].
    fn to_json(&self, version: i16, tags: json::Tags) -> Result<String, EncodeError>;
}

impl<M: Message> AnyMessage for M {
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        Message::encode(self, w, version)
    }

    fn to_json(&self, version: i16, tags: json::Tags) -> Result<String, EncodeError> {
        json::view(tags, &mut |w| self.walk(w, "", version))
    }
}

/// Reads a message of a type known at run time only.
pub type DecodeAny = fn(&mut Reader<'_>, i16) -> Result<Box<dyn AnyMessage>, DecodeError>;

/// A message by name, for code that treats all alike: dump tools, tests, fuzzers.
#[derive(Clone, Copy, Debug)]
pub struct MessageInfo {
    pub name: &'static str,
    pub kind: Kind,
    /// Number of the API or of the record type.
    pub key: Option<i16>,
    pub first: i16,
    pub last: i16,
    /// Reads a message; see [`Message::decode`].
    pub decode: DecodeAny,
}

impl MessageInfo {
    pub(crate) const fn of<M: Message + 'static>(kind: Kind) -> MessageInfo {
        MessageInfo {
            name: M::NAME,
            kind,
            key: M::API_KEY,
            first: *M::VERSIONS.start(),
            last: *M::VERSIONS.end(),
            decode: |r, version| Ok(Box::new(M::decode(r, version)?)),
        }
    }

    /// The message of this name, if it has a version.
    pub fn by_name(name: &str) -> Option<&'static MessageInfo> {
        MESSAGES.binary_search_by_key(&name, |info| info.name).ok().map(|at| &MESSAGES[at])
    }

    /// Versions that can be read and written.
    pub const fn versions(&self) -> RangeInclusive<i16> {
        self.first..=self.last
    }
}
