//! The checks of every record: structure, key, timestamp, offset delta.
//!
//! Owns: what is learned of the records, the errors of single ones and their wording.
//! Does not own: the walk over bytes (`scan`), the checks of the header (`validate`).
//!
//! Invariants
//! - I1 a fault of structure ends the walk at once and wins over errors of single records;
//! - I2 at most `RECORD_ERRORS_MAX` errors are kept, all are counted.
//!
//! Source: requirements PRD-11 to PRD-14, PRD-16, PRD-17; behaviour of Apache Kafka 4.3.1.

use ottla_model::{Timestamp, TopicPartition};

use super::rules::{AppendRules, Arrival, RECORD_ERRORS_MAX, RecordRefusal, RecordsFault, Refusal};
use super::scan::{Cursor, Scanned, Source};
use crate::compression::UnpackLimits;
use crate::record::layout::{BatchHeader, TimestampType};
use crate::record::records::RecordError;

/// Errors of records that the partition's message repeats.
const ERRORS_IN_MESSAGE: usize = 3;

/// What the records of a good batch told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalkSummary {
    pub(super) max_timestamp: Timestamp,
    pub(super) max_timestamp_delta: Option<u32>,
    /// Whether the offset deltas are 0, 1, ….
    pub(super) dense: bool,
}

/// The walk over one batch.
pub(super) struct Walk<'r> {
    rules: &'r AppendRules,
    partition: &'r TopicPartition,
    now: Timestamp,
    header: BatchHeader,
    /// The time of all records, where the client claims to be a leader.
    claimed_append_time: Option<Timestamp>,
    /// Whether Kafka would look at the records without their contents, which shows in one of its messages.
    partial: bool,
    summary: WalkSummary,
    errors: Vec<RecordRefusal>,
    error_count: u64,
    fault: RecordsFault,
}

impl<'r> Walk<'r> {
    pub(super) fn new(rules: &'r AppendRules, arrival: Arrival<'r>, header: &BatchHeader) -> Walk<'r> {
        let claimed_append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Walk {
            rules,
            partition: arrival.partition,
            now: arrival.now,
            header: *header,
            claimed_append_time,
            partial: false,
            summary: WalkSummary { max_timestamp: Timestamp::NONE, max_timestamp_delta: None, dense: true },
            errors: Vec::new(),
            error_count: 0,
            fault: RecordsFault::Record,
        }
    }

    /// Says whether the records stay packed, as far as is known before the walk.
    pub(super) fn partial(self, partial: bool) -> Walk<'r> {
        Walk { partial, ..self }
    }

    pub(super) fn unpack_limits(&self) -> UnpackLimits {
        self.rules.unpack
    }

    /// Walks over the records, which must be as many as the header says.
    pub(super) fn over(mut self, source: impl Source) -> Result<WalkSummary, Refusal> {
        let mut cursor = Cursor::new(source);
        for index in 0..self.header.record_count {
            if cursor.is_at_end()? {
                let missing = (self.header.record_count - index).unsigned_abs();
                return Err(Refusal::Malformed(RecordError::Missing { missing }));
            }
            // Two ways on, for a record that may come from either goes through memory, which costs as much as the rest.
            match cursor.scan_whole()? {
                Some(record) => self.on_record(index, record),
                None => self.on_record(index, cursor.scan_in_pieces()?),
            }
        }
        if !cursor.is_at_end()? {
            return Err(Refusal::Malformed(RecordError::Trailing { bytes: cursor.left_at_hand()? }));
        }
        self.outcome()
    }

    /// Takes the header's word for all records: their time is its largest timestamp.
    pub(super) fn header_only(mut self) -> Result<WalkSummary, Refusal> {
        let last = self.header.last_offset_delta;
        let record = Scanned { timestamp_delta: 0, offset_delta: last, key_length: -1, value_length: -1 };
        let max_timestamp = self.header.max_timestamp;
        self.check_timestamp(last, record, max_timestamp);
        self.summary = WalkSummary { max_timestamp, max_timestamp_delta: None, dense: true };
        self.outcome()
    }

    #[inline(always)]
    fn on_record(&mut self, index: i32, record: Scanned) {
        let timestamp = self.claimed_append_time.unwrap_or(Timestamp::from_millis(
            self.header.base_timestamp.millis().wrapping_add(record.timestamp_delta),
        ));
        if timestamp > self.summary.max_timestamp {
            self.summary.max_timestamp = timestamp;
            self.summary.max_timestamp_delta = u32::try_from(index).ok();
        }
        self.summary.dense &= record.offset_delta == index;
        if self.rules.compacted && record.key_length < 0 {
            self.refuse_key(index);
        } else {
            self.check_timestamp(index, record, timestamp);
        }
    }

    #[inline(always)]
    fn check_timestamp(&mut self, index: i32, record: Scanned, timestamp: Timestamp) {
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != Timestamp::NONE {
            // Kafka's arithmetic, overflow included: the defaults lie at the ends of the range.
            let age = self.now.millis().wrapping_sub(timestamp.millis());
            if age > self.rules.timestamp_before_ms_max
                || age.wrapping_neg() > self.rules.timestamp_after_ms_max
            {
                self.refuse_timestamp(index, record, timestamp);
            }
        } else if self.claimed_append_time.is_some() {
            self.refuse_claim(index, record, timestamp);
        }
    }

    #[cold]
    fn refuse_key(&mut self, index: i32) {
        let partition = self.partition;
        let message =
            format!("Compacted topic cannot accept message without key in topic partition {partition}");
        self.refuse(index, RecordsFault::Record, message);
    }

    #[cold]
    fn refuse_timestamp(&mut self, index: i32, record: Scanned, timestamp: Timestamp) {
        let earliest = self.now.millis().wrapping_sub(self.rules.timestamp_before_ms_max);
        let latest = self.now.millis().wrapping_add(self.rules.timestamp_after_ms_max);
        let message = format!(
            "Timestamp {timestamp} of message with offset {} is out of range. The timestamp should be within \
             [{earliest}, {latest}]",
            record.offset_delta
        );
        self.refuse(index, RecordsFault::Timestamp, message);
    }

    #[cold]
    fn refuse_claim(&mut self, index: i32, record: Scanned, timestamp: Timestamp) {
        let message = format!(
            "Invalid timestamp type in message {}. Producer should not set timestamp type to LogAppendTime.",
            self.described(record, timestamp)
        );
        self.refuse(index, RecordsFault::Timestamp, message);
    }

    /// A record as Kafka prints it; which class it has depends on how much of it Kafka has read.
    fn described(&self, record: Scanned, timestamp: Timestamp) -> String {
        let Scanned { offset_delta: offset, key_length, value_length, .. } = record;
        let (class, key, value) = if self.partial {
            ("PartialDefaultRecord", key_length, value_length)
        } else {
            ("DefaultRecord", key_length.max(0), value_length.max(0))
        };
        format!("{class}(offset={offset}, timestamp={timestamp}, key={key} bytes, value={value} bytes)")
    }

    fn refuse(&mut self, batch_index: i32, fault: RecordsFault, message: String) {
        self.error_count += 1;
        if fault == RecordsFault::Timestamp {
            self.fault = fault;
        }
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordRefusal { batch_index, message });
        }
    }

    fn outcome(self) -> Result<WalkSummary, Refusal> {
        if self.errors.is_empty() {
            return Ok(self.summary);
        }
        let message = match self.fault {
            RecordsFault::Timestamp => {
                "One or more records have been rejected due to invalid timestamp".to_owned()
            }
            RecordsFault::Record => {
                let shown: Vec<String> =
                    self.errors.iter().take(ERRORS_IN_MESSAGE).map(RecordRefusal::to_string).collect();
                format!(
                    "One or more records have been rejected due to {} record errors in total, and only showing \
                     the first three errors at most: [{}]",
                    self.error_count,
                    shown.join(", ")
                )
            }
        };
        Err(Refusal::Records { fault: self.fault, errors: self.errors, message })
    }
}
