//! Records of coordinators' topics as JSON: the formatters that Kafka's console consumer has for them.
//!
//! Owns: which records each of them prints, the JSON around key and value.
//! Does not own: the records and their JSON (`ottla_protocol`), the files of these topics (`dump_log`).
//!
//! Lines have no end: one document follows the other.
//!
//! Source: `kafka-console-consumer.sh --formatter` of Kafka 4.3.1.

use ottla_client::consumer::ConsumerRecord;
use ottla_protocol::codec::RecordSet;
use ottla_protocol::messages::{
    GroupKey, GroupValue, ShareKey, ShareValue, TransactionKey, TransactionValue,
};
use ottla_protocol::{DecodeError, EncodeError};

use super::super::failure::Failure;

/// The records that a formatter prints; it passes over the others of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorRecords {
    /// `OffsetsMessageFormatter`
    Offsets,
    /// `GroupMetadataMessageFormatter`
    Groups,
    /// `ShareGroupMessageFormatter`
    ShareGroups,
    /// `TransactionLogMessageFormatter`
    Transactions,
    /// `ShareGroupStateMessageFormatter`
    ShareState,
}

/// Keys have a type, but no version of their own.
const KEY_VERSION: i16 = 0;

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl CoordinatorRecords {
    /// Those of a formatter by its class within `org.apache.kafka.tools.consumer`.
    pub fn of_class(class: &str) -> Option<CoordinatorRecords> {
        match class {
            "OffsetsMessageFormatter" => Some(CoordinatorRecords::Offsets),
            "GroupMetadataMessageFormatter" => Some(CoordinatorRecords::Groups),
            "ShareGroupMessageFormatter" => Some(CoordinatorRecords::ShareGroups),
            "TransactionLogMessageFormatter" => Some(CoordinatorRecords::Transactions),
            "group.share.ShareGroupStateMessageFormatter" => Some(CoordinatorRecords::ShareState),
            _ => None,
        }
    }

    /// What is written for a record.
    pub fn write(self, record: &ConsumerRecord) -> Result<Vec<u8>, Failure> {
        let Some(key) = record.key.as_deref() else { return Ok(Vec::new()) };
        let document = (key, record.value.as_deref());
        let json = match self {
            CoordinatorRecords::Offsets | CoordinatorRecords::Groups | CoordinatorRecords::ShareGroups => {
                self.json::<GroupKey, GroupValue>(document)
            }
            CoordinatorRecords::Transactions => self.json::<TransactionKey, TransactionValue>(document),
            CoordinatorRecords::ShareState => self.json::<ShareKey, ShareValue>(document),
        };
        match json {
            Ok(json) => Ok(json.unwrap_or_default().into_bytes()),
            // A type of a later release.
            Err(Unreadable::Decode(DecodeError::UnknownRecord { .. })) => Ok(Vec::new()),
            Err(unreadable) => Err(Failure::runtime(format!(
                "Could not read record at offset {} due to: {unreadable}",
                record.offset
            ))),
        }
    }

    fn json<K: RecordSet, V: RecordSet>(
        self,
        (key, value): (&[u8], Option<&[u8]>),
    ) -> Result<Option<String>, Unreadable> {
        let key = K::decode_key(key)?;
        let kind = key.key();
        if !self.has(kind) {
            return Ok(None);
        }
        let value = match value {
            Some(bytes) => {
                let (value, version) = V::decode_value(kind, bytes)?;
                format!("{{\"version\":{version},\"data\":{}}}", value.to_json(version)?)
            }
            None => "null".to_owned(),
        };
        let key = key.to_json(KEY_VERSION)?;
        Ok(Some(format!("{{\"key\":{{\"type\":{kind},\"data\":{key}}},\"value\":{value}}}")))
    }

    /// Whether records of this type are printed.
    fn has(self, kind: i16) -> bool {
        match self {
            CoordinatorRecords::Offsets => kind <= 1,
            CoordinatorRecords::Groups => kind == 2,
            CoordinatorRecords::ShareGroups => (10..=15).contains(&kind),
            CoordinatorRecords::Transactions | CoordinatorRecords::ShareState => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_client::consumer::TimestampKind;
    use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};

    use super::*;

    /// Bytes as hexadecimal digits.
    fn bytes(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn printed(class: &str, key: Option<&str>, value: Option<&str>) -> Result<String, Failure> {
        let record = ConsumerRecord {
            topic: TopicName::new("__consumer_offsets").unwrap(),
            partition: PartitionIndex::default(),
            offset: Offset::new(7).unwrap(),
            leader_epoch: None,
            timestamp: Timestamp::from_millis(99),
            timestamp_kind: TimestampKind::CreateTime,
            key: key.map(|key| bytes(key).into()),
            value: value.map(|value| bytes(value).into()),
            headers: Vec::new(),
        };
        let line = CoordinatorRecords::of_class(class).unwrap().write(&record)?;
        Ok(String::from_utf8(line).unwrap())
    }

    /// `cgnew`, topic `c1`, partition 0: the first line of the transcript.
    const OFFSET_KEY: &str = "0001000563676e65770002633100000000";
    /// Version 2: offset 1, no metadata, time 1700000000000.
    const OFFSET_VALUE: &str = "0002000000000000000100000000018bcfe56800";

    #[test]
    fn offsets_are_one_document_each() {
        let key = "{\"key\":{\"type\":1,\"data\":{\"group\":\"cgnew\",\"topic\":\"c1\",\"partition\":0}}";
        assert_eq!(
            printed("OffsetsMessageFormatter", Some(OFFSET_KEY), None).unwrap(),
            format!("{key},\"value\":null}}")
        );
        assert_eq!(
            printed("OffsetsMessageFormatter", Some(OFFSET_KEY), Some(OFFSET_VALUE)).unwrap(),
            format!(
                "{key},\"value\":{{\"version\":2,\"data\":{{\"offset\":1,\"metadata\":\"\",\
                 \"commitTimestamp\":1700000000000}}}}}}"
            )
        );
    }

    #[test]
    fn each_formatter_prints_the_records_of_its_own_types() {
        let group = "0002000563676e6577";
        assert_eq!(
            printed("GroupMetadataMessageFormatter", Some(group), None).unwrap(),
            "{\"key\":{\"type\":2,\"data\":{\"group\":\"cgnew\"}},\"value\":null}"
        );
        assert_eq!(printed("OffsetsMessageFormatter", Some(group), None).unwrap(), "");
        assert_eq!(printed("GroupMetadataMessageFormatter", Some(OFFSET_KEY), None).unwrap(), "");
        assert_eq!(printed("GroupMetadataMessageFormatter", None, None).unwrap(), "");
        // A type that nobody knows.
        assert_eq!(printed("OffsetsMessageFormatter", Some("7fff"), None).unwrap(), "");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_offset() {
        let failure = printed("OffsetsMessageFormatter", Some("0001"), None).unwrap_err();
        assert!(failure.message().starts_with("Could not read record at offset 7 due to: "), "{failure}");
        assert_eq!(CoordinatorRecords::of_class("NoSuchFormatter"), None);
    }
}
