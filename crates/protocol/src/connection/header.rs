//! The header in front of every request.
//!
//! Owns: reading it, `Request`. Does not own: the body.
//!
//! ```text
//! i16 api key   i16 version   i32 correlation id   i16-length client id, may be null   [tagged fields, if flexible]
//! ```
//! The client id keeps its classic form in flexible versions too (WIRE-02), and need not be UTF-8.
//!
//! Source: Kafka protocol guide, "Request Header"; requirements WIRE-02, WIRE-05; behaviour of Apache Kafka 4.3.1.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;

use super::replies::Ticket;
use crate::codec::{DecodeError, Reader};
use crate::messages::ApiKey;
use crate::reply::ReplyHead;

/// One request, to be answered under its ticket.
#[derive(Debug)]
pub struct Request {
    pub ticket: Ticket,
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    client_id: Range<usize>,
    /// Header and body, in a buffer that may be changed in place.
    pub frame: BytesMut,
    /// Where the body begins in `frame`.
    pub body: usize,
}

impl Request {
    /// What the client calls itself; empty for null.
    pub fn client_id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.frame.get(self.client_id.clone()).unwrap_or(&[]))
    }

    /// The bytes behind the header.
    pub fn body_bytes(&self) -> &[u8] {
        self.frame.get(self.body..).unwrap_or(&[])
    }

    /// What the response repeats.
    pub fn reply_head(&self) -> ReplyHead {
        ReplyHead { api: self.api, version: self.version, correlation_id: self.correlation_id }
    }
}

/// Why a frame is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    UnknownApi { key: i16 },
    Malformed(DecodeError),
}

impl From<DecodeError> for HeaderError {
    fn from(error: DecodeError) -> HeaderError {
        HeaderError::Malformed(error)
    }
}

/// A header and where its parts lie.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) client_id: Range<usize>,
    pub(super) body: usize,
}

impl Header {
    pub(super) fn read(frame: &[u8]) -> Result<Header, HeaderError> {
        let mut r = Reader::new(frame);
        let key = r.i16()?;
        let api = ApiKey::from_number(key).ok_or(HeaderError::UnknownApi { key })?;
        let version = r.i16()?;
        let correlation_id = r.i32()?;
        let length = usize::try_from(r.i16()?).unwrap_or(0);
        r.take(length)?;
        let client_id = r.position() - length..r.position();
        // The header's form follows from the version even where that is not supported.
        r.set_flexible(api.is_flexible(version));
        r.skip_tags()?;
        Ok(Header { api, version, correlation_id, client_id, body: r.position() })
    }

    pub(super) fn with(self, ticket: Ticket, frame: BytesMut) -> Request {
        let Header { api, version, correlation_id, client_id, body } = self;
        Request { ticket, api, version, correlation_id, client_id, frame, body }
    }
}
