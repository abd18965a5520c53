//! Records of `kafka-e2e-latency`: fields of one letter each.
//!
//! Owns: their sizes and letters, whether a record that was read is the one that was sent.
//! Does not own: sending and reading them.
//!
//! Letters are drawn as Java's `Random` draws them, from the same seed each time.
//!
//! Source: `java.util.Random` of Java 17.

use std::time::Duration;

use ottla_client::consumer::ConsumerRecord;

/// Bytes of each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub value: usize,
    /// 0 for no key.
    pub key: usize,
    pub headers: usize,
    pub header_key: usize,
    /// `None` for no value.
    pub header_value: Option<usize>,
}

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub value: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Sent {
    pub(super) fn new(sizes: &Sizes, letters: &mut Letters) -> Sent {
        let value = letters.field(sizes.value);
        let key = (sizes.key > 0).then(|| letters.field(sizes.key));
        let headers = (0..sizes.headers).map(|_| {
            let key = letters.field(sizes.header_key);
            (key, sizes.header_value.map(|bytes| letters.field(bytes)))
        });
        let headers = headers.collect();
        Sent { value, key, headers }
    }

    /// What is wrong with what was read, for at most `waited`.
    pub(super) fn difference(&self, read: &[ConsumerRecord], waited: Duration) -> Option<String> {
        let Some(first) = read.first() else {
            let waited = waited.as_millis();
            return Some(format!("poll() timed out before finding a result (timeout:[{waited}ms])"));
        };
        let value = first.value.as_deref().unwrap_or_default();
        if value != self.value {
            return Some(format!(
                "The message value read [{}] did not match the message value sent [{}]",
                text(value),
                text(&self.value)
            ));
        }
        let wrong =
            self.difference_of_key(first.key.as_deref()).or_else(|| self.difference_of_headers(first));
        wrong.or_else(|| match read.len() {
            1 => None,
            count => Some(format!("Only one result was expected during this test. We found [{count}]")),
        })
    }

    fn difference_of_key(&self, read: Option<&[u8]>) -> Option<String> {
        match (&self.key, read) {
            (Some(_), None) => Some("Expected message key but received null".to_owned()),
            (Some(key), Some(read)) => (key != read).then(|| {
                let (read, key) = (text(read), text(key));
                format!("The message key read [{read}] did not match the message key sent [{key}]")
            }),
            (None, Some(read)) => Some(format!("Expected null message key but received [{}]", text(read))),
            (None, None) => None,
        }
    }

    fn difference_of_headers(&self, read: &ConsumerRecord) -> Option<String> {
        if read.headers.is_empty() && !self.headers.is_empty() {
            return Some("Expected message headers but received none".to_owned());
        }
        let shown = |value: Option<&[u8]>| value.map_or("null".to_owned(), |bytes| format!("{bytes:?}"));
        for ((key, value), read) in self.headers.iter().zip(&read.headers) {
            if *key != read.key || value.as_deref() != read.value.as_deref() {
                return Some(format!(
                    "The message header read [{}:{}] did not match the message header sent [{}:{}]",
                    text(&read.key),
                    shown(read.value.as_deref()),
                    text(key),
                    shown(value.as_deref())
                ));
            }
        }
        let same_count = read.headers.len() == self.headers.len();
        (!same_count).then(|| "Header count mismatch between sent and received messages".to_owned())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Draws letters.
#[derive(Debug)]
pub(super) struct Letters {
    state: u64,
}

const MULTIPLIER: u64 = 0x5_deec_e66d;
const STATE_MASK: u64 = (1 << 48) - 1;
const LETTERS: u32 = 26;

impl Letters {
    pub(super) fn new() -> Letters {
        Letters { state: MULTIPLIER }
    }

    fn field(&mut self, bytes: usize) -> Vec<u8> {
        vec![b'A' + u8::try_from(self.below()).unwrap_or(0); bytes]
    }

    /// A number below the count of letters; those of the last, incomplete round are drawn again.
    fn below(&mut self) -> u32 {
        loop {
            self.state = (self.state.wrapping_mul(MULTIPLIER).wrapping_add(0xb)) & STATE_MASK;
            // The upper 31 of 48 bits.
            let drawn = u32::try_from(self.state >> 17).unwrap_or(0);
            let number = drawn % LETTERS;
            if i32::try_from(drawn - number + (LETTERS - 1)).is_ok() {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ottla_client::consumer::TimestampKind;
    use ottla_model::{Offset, PartitionIndex, Timestamp, TopicName};

    use super::*;

    /// What `new Random(0).nextInt(26)` of Java 17 drew.
    #[test]
    fn letters_are_those_of_java() {
        let mut letters = Letters::new();
        let drawn: Vec<u32> = (0..5).map(|_| letters.below()).collect();
        assert_eq!(drawn, [18, 18, 23, 21, 13]);
    }

    #[test]
    fn a_record_has_the_fields_that_were_asked_for() {
        let sizes = Sizes { value: 3, key: 0, headers: 2, header_key: 1, header_value: None };
        let sent = Sent::new(&sizes, &mut Letters::new());
        assert_eq!((sent.value.len(), sent.key, sent.headers.len()), (3, None, 2));
        assert!(sent.headers.iter().all(|(key, value)| key.len() == 1 && value.is_none()));
        let sizes = Sizes { value: 0, key: 2, header_value: Some(4), ..sizes };
        let sent = Sent::new(&sizes, &mut Letters::new());
        assert_eq!((sent.value.len(), sent.key.map(|key| key.len())), (0, Some(2)));
        assert!(sent.headers.iter().all(|(_, value)| value.as_ref().is_some_and(|value| value.len() == 4)));
    }

    fn read(value: &'static [u8], key: Option<&'static [u8]>) -> ConsumerRecord {
        ConsumerRecord {
            topic: TopicName::new("t").unwrap(),
            partition: PartitionIndex::default(),
            offset: Offset::ZERO,
            leader_epoch: None,
            timestamp: Timestamp::from_millis(0),
            timestamp_kind: TimestampKind::CreateTime,
            key: key.map(Bytes::from_static),
            value: Some(Bytes::from_static(value)),
            headers: Vec::new(),
        }
    }

    #[test]
    fn what_is_read_must_be_what_was_sent() {
        let sent = Sent { value: b"v".to_vec(), key: None, headers: Vec::new() };
        let keyed = Sent { key: Some(b"k".to_vec()), ..sent.clone() };
        let headed = Sent { headers: vec![(b"h".to_vec(), None)], ..sent.clone() };
        for (sent, read, expected) in [
            (&sent, vec![read(b"v", None)], ""),
            (&keyed, vec![read(b"v", Some(b"k"))], ""),
            (&sent, vec![], "poll() timed out before finding a result (timeout:[9ms])"),
            (
                &sent,
                vec![read(b"w", None)],
                "The message value read [w] did not match the message value sent [v]",
            ),
            (&keyed, vec![read(b"v", None)], "Expected message key but received null"),
            (
                &keyed,
                vec![read(b"v", Some(b"x"))],
                "The message key read [x] did not match the message key sent [k]",
            ),
            (&sent, vec![read(b"v", Some(b"x"))], "Expected null message key but received [x]"),
            (&headed, vec![read(b"v", None)], "Expected message headers but received none"),
            (
                &sent,
                vec![read(b"v", None), read(b"v", None)],
                "Only one result was expected during this test. We found [2]",
            ),
        ] {
            let found = sent.difference(&read, Duration::from_millis(9));
            assert_eq!(found.as_deref().unwrap_or(""), expected);
        }
    }
}
