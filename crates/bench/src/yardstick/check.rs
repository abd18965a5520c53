//! The yardstick's look at a batch: the same that a node takes, for no broker can do with less.
//!
//! Owns: the rules of its one topic. Does not own: the pass itself (`ottla_protocol::record`).

use std::time::{SystemTime, UNIX_EPOCH};

use ottla_model::{PartitionIndex, Timestamp, TopicName, TopicPartition};
use ottla_protocol::record::{
    AppendRules, Arrival, TimestampType, TopicCompression, ValidationDepth, Validator, unpack_limits,
};

use crate::Fallible;
use crate::frames::TOPIC;

/// The largest batch; the driver's are smaller.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Version of the driver's Produce requests.
const PRODUCE_VERSION: i16 = 8;

/// The rules, and the codecs' memory of one connection.
pub struct Check {
    rules: AppendRules,
    partition: TopicPartition,
    validator: Validator,
}

impl Check {
    pub fn new(depth: ValidationDepth) -> Fallible<Check> {
        let rules = AppendRules {
            compression: TopicCompression::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: i64::MAX,
            timestamp_after_ms_max: i64::MAX,
            compacted: false,
            batch_bytes_max: BATCH_BYTES_MAX,
            depth,
            unpack: unpack_limits(BATCH_BYTES_MAX),
        };
        let index = PartitionIndex::new(0).ok_or("0 is no partition")?;
        let partition = TopicPartition::new(TopicName::new(TOPIC)?, index);
        Ok(Check { rules, partition, validator: Validator::new() })
    }

    /// How many records a good batch has.
    pub fn records_of(&mut self, batch: &mut [u8]) -> Fallible<i32> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = Timestamp::from_millis(i64::try_from(now.as_millis())?);
        let arrival = Arrival { partition: &self.partition, version: PRODUCE_VERSION, now };
        let checked =
            self.validator.validate(batch, &self.rules, arrival).map_err(|error| error.to_string())?;
        Ok(checked.header.record_count)
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::compression::{Compression, Encoding};

    use super::*;
    use crate::frames::Batch;

    #[test]
    fn a_batch_counts_its_records_unless_a_bit_is_wrong() {
        for encoding in [Encoding::None, Encoding::with_default_level(Compression::Lz4)] {
            for depth in [ValidationDepth::Full, ValidationDepth::Header] {
                let mut check = Check::new(depth).unwrap();
                let Batch { mut bytes, records, .. } = Batch::filled(100, 1_000, encoding).unwrap();
                assert_eq!(check.records_of(&mut bytes).unwrap(), i32::try_from(records).unwrap());
                *bytes.last_mut().unwrap() ^= 1;
                assert!(check.records_of(&mut bytes).unwrap_err().to_string().contains("checksum"));
            }
        }
    }
}
