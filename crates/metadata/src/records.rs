//! Records of the metadata log.
//!
//! Owns: the kinds of records, their frames, which version of a record a `metadata.version` asks for.
//! Does not own: what a record does (`image`), batches (`batch`), the fields (generated in `ottla-protocol`).
//!
//! A record's value is a frame:
//!
//! | field         | type             |                                  |
//! |---------------|------------------|----------------------------------|
//! | frame version | unsigned varint  | 1                                |
//! | kind          | unsigned varint  | the record's API key             |
//! | version       | unsigned varint  | of the body                      |
//! | body          | bytes            | the message, to the frame's end  |
//!
//! Source: KIP-631, KIP-868; Kafka 4.3.1's `__cluster_metadata-0`.

mod batch;
pub(crate) mod code;

use ottla_protocol::codec::{DecodeError, EncodeError, Message, Reader, Writer};
use ottla_protocol::messages;

use crate::features::MetadataVersion;

pub use batch::{
    BatchContent, BatchPosition, BatchReadError, BatchWriteError, ControlContent, MetadataBatch,
    control_batch, read_batches, record_batch, record_batches,
};

/// The only frame version there is.
const FRAME_VERSION: u32 = 1;

/// Why a record's value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("metadata record has frame version {0}, known is {FRAME_VERSION}")]
    FrameVersion(u32),
    #[error("metadata record is of the unknown type {0}")]
    UnknownType(u32),
    #[error("metadata record of type {kind} has version {version}, which is out of range")]
    Version { kind: u32, version: u32 },
    #[error("metadata record has {0} bytes behind its end")]
    TrailingBytes(usize),
    #[error("metadata record cannot be decoded")]
    Body(#[from] DecodeError),
}

macro_rules! metadata_records {
    ($($(#[$doc:meta])* $name:ident($message:ident),)+) => {
        /// One record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $($(#[$doc])* $name(messages::$message),)+
        }

        impl MetadataRecord {
            fn decode_body(kind: u32, version: i16, reader: &mut Reader<'_>) -> Result<MetadataRecord, RecordError> {
                let key = i16::try_from(kind).ok();
                $(if key.is_some() && key == <messages::$message as Message>::API_KEY {
                    return Ok(MetadataRecord::$name(messages::$message::decode(reader, version)?));
                })+
                Err(RecordError::UnknownType(kind))
            }

            fn encode_body(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(MetadataRecord::$name(message) => message.encode(writer, version),)+
                }
            }

            /// Number of the record's kind.
            pub fn api_key(&self) -> i16 {
                let key = match self {
                    $(MetadataRecord::$name(_) => <messages::$message as Message>::API_KEY,)+
                };
                key.expect("every metadata record has an API key")
            }

            /// Kafka's name of the record's kind, such as `TopicRecord`.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(MetadataRecord::$name(_) => <messages::$message as Message>::NAME,)+
                }
            }

            /// The fields as JSON in the form of Kafka's tools.
            pub fn to_json(&self, version: i16) -> Result<String, EncodeError> {
                match self {
                    $(MetadataRecord::$name(message) => message.to_json(version),)+
                }
            }
        }

        $(impl From<messages::$message> for MetadataRecord {
            fn from(message: messages::$message) -> MetadataRecord {
                MetadataRecord::$name(message)
            }
        })+
    };
}

metadata_records! {
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    FenceBroker(FenceBrokerRecord),
    UnfenceBroker(UnfenceBrokerRecord),
    RemoveTopic(RemoveTopicRecord),
    DelegationToken(DelegationTokenRecord),
    UserScramCredential(UserScramCredentialRecord),
    FeatureLevel(FeatureLevelRecord),
    ClientQuota(ClientQuotaRecord),
    ProducerIds(ProducerIdsRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    AccessControlEntry(AccessControlEntryRecord),
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    NoOp(NoOpRecord),
    ZkMigrationState(ZkMigrationStateRecord),
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    RemoveDelegationToken(RemoveDelegationTokenRecord),
    RegisterController(RegisterControllerRecord),
    ClearElr(ClearElrRecord),
}

/// A record together with the version its bytes have or had.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionedRecord {
    pub version: i16,
    pub record: MetadataRecord,
}

impl MetadataRecord {
    /// The version in which the record is written at a level of `metadata.version`.
    pub fn version_at(&self, level: MetadataVersion) -> i16 {
        match self {
            MetadataRecord::RegisterBroker(_) => level.register_broker_record_version(),
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
                level.partition_record_version()
            }
            MetadataRecord::BrokerRegistrationChange(change) => registration_change_version(change),
            MetadataRecord::UnregisterBroker(_)
            | MetadataRecord::Topic(_)
            | MetadataRecord::Config(_)
            | MetadataRecord::FenceBroker(_)
            | MetadataRecord::UnfenceBroker(_)
            | MetadataRecord::RemoveTopic(_)
            | MetadataRecord::DelegationToken(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::FeatureLevel(_)
            | MetadataRecord::ClientQuota(_)
            | MetadataRecord::ProducerIds(_)
            | MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_)
            | MetadataRecord::RemoveDelegationToken(_)
            | MetadataRecord::RegisterController(_)
            | MetadataRecord::ClearElr(_) => 0,
        }
    }

    /// The frame of the record at a level of `metadata.version`.
    pub fn to_frame(&self, level: MetadataVersion) -> Result<Vec<u8>, EncodeError> {
        let version = self.version_at(level);
        let mut writer = Writer::new();
        writer.put_unsigned_varint(FRAME_VERSION);
        writer.put_unsigned_varint(u32::from(self.api_key().unsigned_abs()));
        writer.put_unsigned_varint(u32::from(version.unsigned_abs()));
        self.encode_body(&mut writer, version)?;
        Ok(writer.into_vec())
    }
}

impl VersionedRecord {
    /// Reads a frame, which must hold exactly one record of a known kind and version.
    pub fn from_frame(frame: &[u8]) -> Result<VersionedRecord, RecordError> {
        let mut reader = Reader::new(frame);
        match reader.unsigned_varint()? {
            FRAME_VERSION => {}
            other => return Err(RecordError::FrameVersion(other)),
        }
        let kind = reader.unsigned_varint()?;
        let raw_version = reader.unsigned_varint()?;
        let version =
            i16::try_from(raw_version).map_err(|_| RecordError::Version { kind, version: raw_version })?;
        let record = MetadataRecord::decode_body(kind, version, &mut reader)?;
        match reader.remaining() {
            0 => Ok(VersionedRecord { version, record }),
            rest => Err(RecordError::TrailingBytes(rest)),
        }
    }
}

/// The lowest version that can say what changed, as Kafka writes it.
fn registration_change_version(change: &messages::BrokerRegistrationChangeRecord) -> i16 {
    if change.cordoned_log_dirs.is_some() {
        3
    } else if !change.log_dirs.is_empty() {
        2
    } else if change.in_controlled_shutdown != 0 {
        1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// KRF-01: every kind of record that Kafka 4.3.1 wrote, the smallest and the largest of each.
    #[test]
    fn records_of_kafka_are_read_and_written_back_byte_for_byte() {
        let facts = include_str!("../tests/data/records-cluster-metadata.txt");
        let mut seen = std::collections::BTreeSet::new();
        let mut json = "";
        for line in facts.lines().skip_while(|line| !line.contains("ACCESS_CONTROL_ENTRY")) {
            if line.starts_with('{') {
                json = line;
            }
            let Some(hex) = line.strip_prefix("value bytes: ") else { continue };
            let frame = bytes(hex);
            let read = VersionedRecord::from_frame(&frame).unwrap();
            assert_eq!(read.version, read.record.version_at(MetadataVersion::LATEST), "{json}");
            assert_eq!(read.record.to_frame(MetadataVersion::LATEST).unwrap(), frame, "{json}");
            seen.insert(read.record.kind());
        }
        assert_eq!(seen.len(), 20, "{seen:?}");
    }

    #[test]
    fn a_frame_of_an_unknown_form_is_refused() {
        let refused = |hex| VersionedRecord::from_frame(&bytes(hex)).unwrap_err();
        assert_eq!(refused("02140000"), RecordError::FrameVersion(2));
        assert_eq!(refused("01060000"), RecordError::UnknownType(6));
        assert_eq!(refused("01ff7f0000"), RecordError::UnknownType(16383));
        assert_eq!(refused("0114ffff7f00"), RecordError::Version { kind: 20, version: 2_097_151 });
        assert_eq!(refused("0114000000"), RecordError::TrailingBytes(1));
        assert!(matches!(refused("01140100"), RecordError::Body(_)));
        assert!(matches!(refused("0102"), RecordError::Body(_)));
        assert!(matches!(refused(""), RecordError::Body(_)));
    }
}
