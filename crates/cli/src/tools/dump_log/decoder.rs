//! How the content of a record is shown.
//!
//! Owns: the decoders and their words for what they cannot read.
//! Does not own: the records (`ottla_protocol::messages`) and their JSON.
//!
//! Source: behaviour of `kafka-dump-log` of Kafka 4.3.1.

use ottla_protocol::codec::RecordSet;
use ottla_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupKey, GroupMetadataValue, GroupValue,
    MetadataRecord, ShareKey, ShareValue, TransactionKey, TransactionValue,
};
use ottla_protocol::record::Record;
use ottla_protocol::{DecodeError, EncodeError, Message, Reader};

use super::{of_option, remote};
use crate::jopt::Given;
use crate::tools::failure::Failure;

/// What is read from the bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// Key and value each by themselves.
    Plain { key: PlainDecoder, value: PlainDecoder },
    /// Records of `__consumer_offsets`.
    Offsets,
    /// Records of `__transaction_state`.
    Transactions,
    /// Records of `__cluster_metadata`.
    ClusterMetadata,
    /// Records of `__remote_log_metadata`.
    RemoteLogMetadata,
    /// Records of `__share_group_state`.
    ShareState,
}

/// What bytes without a format of their own are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainDecoder {
    Text,
    Integer,
    Long,
    /// As they are. Java shows an address here; these are the bytes in hexadecimal.
    Bytes,
}

/// A record as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub key: Option<String>,
    pub value: Option<String>,
}

/// The options that choose a decoder, the first of them wins.
const SETS: [(&str, Decoder); 5] = [
    ("offsets-decoder", Decoder::Offsets),
    ("transaction-log-decoder", Decoder::Transactions),
    ("cluster-metadata-decoder", Decoder::ClusterMetadata),
    ("remote-log-metadata-decoder", Decoder::RemoteLogMetadata),
    ("share-group-state-decoder", Decoder::ShareState),
];
const KEY_CLASS: &str = "key-decoder-class";
const VALUE_CLASS: &str = "value-decoder-class";

impl Decoder {
    /// Whether the command line chooses a decoder.
    pub fn is_given(given: &Given) -> bool {
        SETS.iter().any(|(name, _)| given.has(name)) || given.has(KEY_CLASS) || given.has(VALUE_CLASS)
    }

    /// The decoder that the command line chooses.
    pub fn of(given: &Given) -> Result<Decoder, Failure> {
        if let Some((_, decoder)) = SETS.iter().find(|(name, _)| given.has(name)) {
            return Ok(*decoder);
        }
        let plain = |name| match given.value(name) {
            Ok(Some(class)) => PlainDecoder::of_class(class),
            Ok(None) => Ok(PlainDecoder::Text),
            Err(error) => Err(of_option(&error)),
        };
        let value = plain(VALUE_CLASS)?;
        Ok(Decoder::Plain { key: plain(KEY_CLASS)?, value })
    }

    /// The record as it is shown.
    pub fn show(self, record: &Record<'_>) -> Result<Shown, Failure> {
        let value = record.value;
        match self {
            Decoder::Plain { key: key_decoder, value: value_decoder } => Ok(Shown {
                key: record.key.map(|bytes| key_decoder.show(bytes)).transpose()?,
                value: value.map(|bytes| value_decoder.show(bytes)).transpose()?,
            }),
            Decoder::Offsets => coordinator::<GroupKey>(record, |kind, bytes| {
                let (value, version) = GroupValue::decode_value(kind, bytes)?;
                let json = value.value_json(version)?;
                let GroupValue::GroupMetadata(group) = &value else { return Ok(json) };
                Ok(with_members_read(json, group))
            }),
            Decoder::Transactions => coordinator::<TransactionKey>(record, |kind, bytes| {
                let (value, version) = TransactionValue::decode_value(kind, bytes)?;
                Ok(value.value_json(version)?)
            }),
            Decoder::ShareState => coordinator::<ShareKey>(record, |kind, bytes| {
                let (value, version) = ShareValue::decode_value(kind, bytes)?;
                Ok(value.value_json(version)?)
            }),
            Decoder::ClusterMetadata => Ok(only_value(metadata(record), |reason| {
                format!("Error at {}, skipping. {reason}", record.offset)
            })),
            Decoder::RemoteLogMetadata => Ok(only_value(remote::show(value.unwrap_or_default()), |reason| {
                format!("Error at offset {}, skipping. {reason}", record.offset)
            })),
        }
    }
}

impl PlainDecoder {
    fn of_class(class: &str) -> Result<PlainDecoder, Failure> {
        match class.strip_prefix("org.apache.kafka.tools.api.") {
            Some("StringDecoder") => Ok(PlainDecoder::Text),
            Some("IntegerDecoder") => Ok(PlainDecoder::Integer),
            Some("LongDecoder") => Ok(PlainDecoder::Long),
            Some("DefaultDecoder") => Ok(PlainDecoder::Bytes),
            Some(_) | None => {
                let cause = Failure::new("java.lang.ClassNotFoundException", class);
                Err(cause.causing("java.lang.RuntimeException", "Failed to load decoder class"))
            }
        }
    }

    fn show(self, bytes: &[u8]) -> Result<String, Failure> {
        let too_short = || Failure::silent("java.nio.BufferUnderflowException");
        match self {
            PlainDecoder::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            PlainDecoder::Integer => {
                bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes).to_string()).ok_or_else(too_short)
            }
            PlainDecoder::Long => {
                bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes).to_string()).ok_or_else(too_short)
            }
            PlainDecoder::Bytes => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

/// Why a record of a set cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("{0}")]
    Words(&'static str),
}

fn only_value(shown: Result<String, Unreadable>, error: impl FnOnce(String) -> String) -> Shown {
    let value = shown.unwrap_or_else(|unreadable| error(words(&unreadable)));
    Shown { key: None, value: Some(value) }
}

fn words(unreadable: &Unreadable) -> String {
    match unreadable {
        Unreadable::Decode(DecodeError::UnknownFrame { version, known }) => format!(
            "Could not deserialize metadata record due to unknown frame version {version}(only frame version {known} \
             is supported)"
        ),
        Unreadable::Decode(_) | Unreadable::Encode(_) | Unreadable::Words(_) => unreadable.to_string(),
    }
}

fn metadata(record: &Record<'_>) -> Result<String, Unreadable> {
    let value = record.value.filter(|value| !value.is_empty());
    let value = value.ok_or(Unreadable::Words("Error while reading frame version"))?;
    let (record, version) = MetadataRecord::decode_framed(value)?;
    Ok(record.framed_json(version)?)
}

/// A record of a coordinator's topic; `show_value` is given the kind of the record and the bytes of its value.
fn coordinator<K: RecordSet>(
    record: &Record<'_>,
    show_value: impl FnOnce(i16, &[u8]) -> Result<String, Unreadable>,
) -> Result<Shown, Failure> {
    let offset = record.offset;
    let Some(key) = record.key else {
        return Err(Failure::runtime(format!(
            "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
        )));
    };
    let shown = || -> Result<Shown, Unreadable> {
        let key = K::decode_key(key)?;
        let value = match record.value {
            Some(value) => show_value(key.key(), value)?,
            None => "<DELETE>".to_owned(),
        };
        Ok(Shown { key: Some(key.key_json()?), value: Some(value) })
    };
    Ok(shown().unwrap_or_else(|unreadable| {
        let text = match &unreadable {
            Unreadable::Decode(DecodeError::UnknownRecord { key, .. }) => {
                format!("Unknown record type {key} at offset {offset}, skipping.")
            }
            Unreadable::Decode(_) | Unreadable::Encode(_) | Unreadable::Words(_) => {
                format!("Error at offset {offset}, skipping. {unreadable}")
            }
        };
        Shown { key: Some(text), value: None }
    }))
}

/// The JSON of a group of consumers with the subscription and assignment of each member as JSON, in place of bytes.
/// What cannot be read stays as it is.
fn with_members_read(json: String, group: &GroupMetadataValue) -> String {
    if group.protocol_type != "consumer" {
        return json;
    }
    let mut shown = String::with_capacity(json.len() * 2);
    let mut rest = json.as_str();
    for member in &group.members {
        let subscription = nested::<ConsumerProtocolSubscription>(&member.subscription);
        let assignment = nested::<ConsumerProtocolAssignment>(&member.assignment);
        // Quotes inside a text are escaped, so that these words can only be those of the fields.
        for (field, nested) in [("\"subscription\":", subscription), ("\"assignment\":", assignment)] {
            let Some((before, value)) = rest.split_once(field) else { return json };
            let Some(end) = value.get(1..).and_then(|value| value.find('"')) else { return json };
            let (bytes, behind) = value.split_at(end + 2);
            shown.push_str(before);
            shown.push_str(field);
            shown.push_str(nested.as_deref().unwrap_or(bytes));
            rest = behind;
        }
    }
    shown + rest
}

/// A message behind its version.
fn nested<M: Message>(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16().ok()?;
    M::decode(&mut reader, version).ok()?.to_json(version).ok()
}
