//! Sets of persisted records: enums over the types of record that one log or topic can hold.
//!
//! Owns: the trait `RecordSet`, the macro that makes one, and the frames around a record: in the metadata log, and in
//! the keys and values of the coordinators' topics.
//! Does not own: record batches (`crate::record`), the sets themselves (generated into `crate::messages`).
//!
//! | where | bytes in front of the record's own |
//! |---|---|
//! | value in the metadata log, value of remote log metadata | varint frame version 1, varint type, varint version |
//! | key of a coordinator's record | int16 type (the key itself always is version 0) |
//! | value of a coordinator's record | int16 version (the type is that of the key) |
//!
//! Source: `__cluster_metadata-0`, `__consumer_offsets`, `__transaction_state` and `__share_group_state` of Kafka 4.3.1
//! (`tests/data/persisted.tsv`); KIP-631 for the metadata log.

use super::error::{DecodeError, EncodeError};
use super::reader::Reader;
use super::writer::Writer;

/// The only frame version of the metadata log.
const FRAME_VERSION: u32 = 1;

/// The only version of the keys of coordinators' records.
const KEY_VERSION: i16 = 0;

/// All record types of one log or topic; `key` is the number of a type.
pub trait RecordSet: Sized {
    /// What the set is called in errors.
    const NAME: &'static str;

    /// Reads a record of this type.
    fn decode(key: i16, r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;
    /// The number of the record's type.
    fn key(&self) -> i16;
    /// Kafka's name of the record's type, such as `TopicRecord`.
    fn name(&self) -> &'static str;
    /// Appends the bytes of a version; see [`super::Message::encode`].
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
    /// The record as JSON; see [`super::Message::to_json`].
    fn to_json(&self, version: i16) -> Result<String, EncodeError>;

    /// Reads a value of the metadata log: the record and its version.
    fn decode_framed(value: &[u8]) -> Result<(Self, i16), DecodeError> {
        let mut r = Reader::new(value);
        let frame = r.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::UnknownFrame { version: frame, known: FRAME_VERSION });
        }
        let key = r.unsigned_varint()?;
        let version = r.unsigned_varint()?;
        let unknown = DecodeError::UnknownRecord { set: Self::NAME, key: i64::from(key) };
        let key = i16::try_from(key).map_err(|_| unknown)?;
        // A version beyond int16 is beyond that of any record.
        let version = i16::try_from(version).unwrap_or(i16::MAX);
        let record = Self::decode(key, &mut r, version)?;
        match r.remaining() {
            0 => Ok((record, version)),
            left => Err(DecodeError::TrailingBytes { left }),
        }
    }

    /// A value of the metadata log.
    fn encode_framed(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.put_unsigned_varint(FRAME_VERSION);
        w.put_unsigned_varint(u32::from(self.key().cast_unsigned()));
        w.put_unsigned_varint(u32::from(version.cast_unsigned()));
        self.encode(&mut w, version)?;
        Ok(w.into_vec())
    }

    /// Reads the key of a coordinator's record.
    fn decode_key(key: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(key);
        let number = r.i16()?;
        Self::decode(number, &mut r, KEY_VERSION)
    }

    /// The key of a coordinator's record.
    fn encode_key(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.put_i16(self.key());
        self.encode(&mut w, KEY_VERSION)?;
        Ok(w.into_vec())
    }

    /// Reads the value of a coordinator's record whose key has the type `key`: the record and its version.
    fn decode_value(key: i16, value: &[u8]) -> Result<(Self, i16), DecodeError> {
        let mut r = Reader::new(value);
        let version = r.i16()?;
        Ok((Self::decode(key, &mut r, version)?, version))
    }

    /// The value of a coordinator's record.
    fn encode_value(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.put_i16(version);
        self.encode(&mut w, version)?;
        Ok(w.into_vec())
    }

    /// A value of the metadata log as `kafka-dump-log --cluster-metadata-decoder` prints it.
    fn framed_json(&self, version: i16) -> Result<String, EncodeError> {
        let data = self.to_json(version)?;
        Ok(format!("{{\"type\":\"{}\",\"version\":{version},\"data\":{data}}}", upper_snake(self.name())))
    }

    /// The key of a coordinator's record as `kafka-dump-log --offsets-decoder` prints it.
    fn key_json(&self) -> Result<String, EncodeError> {
        let data = self.to_json(KEY_VERSION)?;
        Ok(format!("{{\"type\":\"{}\",\"data\":{data}}}", self.key()))
    }

    /// The value of a coordinator's record as `kafka-dump-log --offsets-decoder` prints it.
    fn value_json(&self, version: i16) -> Result<String, EncodeError> {
        let data = self.to_json(version)?;
        Ok(format!("{{\"version\":\"{version}\",\"data\":{data}}}"))
    }
}

/// `NoOpRecord` → `NO_OP_RECORD`.
fn upper_snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (at, character) in name.chars().enumerate() {
        if at > 0 && character.is_uppercase() {
            text.push('_');
        }
        text.extend(character.to_uppercase());
    }
    text
}

/// Makes the enum of a set, and its `RecordSet`.
macro_rules! record_set {
    ($(#[$doc:meta])* $set:ident { $($key:literal => $variant:ident($message:ident),)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $set {
            $($variant($message),)*
        }

        impl $crate::codec::RecordSet for $set {
            const NAME: &'static str = stringify!($set);

            fn decode(
                key: i16,
                r: &mut $crate::Reader<'_>,
                version: i16,
            ) -> Result<Self, $crate::DecodeError> {
                use $crate::Message;
                match key {
                    $($key => $message::decode(r, version).map($set::$variant),)*
                    key => Err($crate::DecodeError::UnknownRecord { set: Self::NAME, key: i64::from(key) }),
                }
            }

            fn key(&self) -> i16 {
                match self {
                    $($set::$variant(_) => $key,)*
                }
            }

            fn name(&self) -> &'static str {
                match self {
                    $($set::$variant(_) => <$message as $crate::Message>::NAME,)*
                }
            }

            fn encode(&self, w: &mut $crate::Writer, version: i16) -> Result<(), $crate::EncodeError> {
                match self {
                    $($set::$variant(record) => $crate::Message::encode(record, w, version),)*
                }
            }

            fn to_json(&self, version: i16) -> Result<String, $crate::EncodeError> {
                match self {
                    $($set::$variant(record) => $crate::Message::to_json(record, version),)*
                }
            }
        }

        $(impl From<$message> for $set {
            fn from(record: $message) -> $set {
                $set::$variant(record)
            }
        })*
    };
}

pub(crate) use record_set;
