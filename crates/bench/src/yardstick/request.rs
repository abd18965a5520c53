//! The two requests that the yardstick knows, at their fixed places, and its answers.
//!
//! Owns: reading of Produce version 8 and Fetch version 11 with one partition, the answers' bytes.
//! Does not own: the requests' building (`frames`), what is done for them (`serve`).

use std::ops::Range;

use crate::Fallible;
use crate::frames::fixed;

/// A request, its size not counted.
pub enum Request {
    Produce {
        correlation: i32,
        topic: Range<usize>,
        partition: i32,
        batch: Range<usize>,
        answered: bool,
    },
    Fetch {
        correlation: i32,
        topic: Range<usize>,
        partition: i32,
        wait_ms_max: i32,
        offset: i64,
        bytes_max: u64,
    },
    /// Anything else, such as the question that shows that the program is there.
    Other {
        correlation: i32,
    },
}

impl Request {
    pub fn read(frame: &[u8]) -> Fallible<Request> {
        let api = i16::from_be_bytes(fixed(frame, 0)?);
        let correlation = i32::from_be_bytes(fixed(frame, 4)?);
        let body = 10 + usize::from(u16::from_be_bytes(fixed(frame, 8)?));
        match api {
            0 => Request::read_produce(frame, correlation, body),
            1 => Request::read_fetch(frame, correlation, body),
            _ => Ok(Request::Other { correlation }),
        }
    }

    /// Null transactional id, acks, timeout, one topic, name, one partition, index, length, batch.
    fn read_produce(frame: &[u8], correlation: i32, body: usize) -> Fallible<Request> {
        let answered = i16::from_be_bytes(fixed(frame, body + 2)?) != 0;
        let topic = text_at(frame, body + 2 + 2 + 4 + 4)?;
        let at = topic.end + 4;
        let partition = i32::from_be_bytes(fixed(frame, at)?);
        let length = usize::try_from(i32::from_be_bytes(fixed(frame, at + 4)?))?;
        let batch = at + 8..at + 8 + length;
        if batch.end > frame.len() {
            return Err(format!("a batch of {length} bytes does not fit its frame of {}", frame.len()).into());
        }
        Ok(Request::Produce { correlation, topic, partition, batch, answered })
    }

    /// Replica, wait, least bytes, most bytes, isolation, session, its epoch, one topic, name, one partition, index,
    /// epoch, offset, log start, most bytes.
    fn read_fetch(frame: &[u8], correlation: i32, body: usize) -> Fallible<Request> {
        let wait_ms_max = i32::from_be_bytes(fixed(frame, body + 4)?);
        let topic = text_at(frame, body + 4 * 4 + 1 + 4 + 4 + 4)?;
        let at = topic.end + 4;
        let partition = i32::from_be_bytes(fixed(frame, at)?);
        let offset = i64::from_be_bytes(fixed(frame, at + 8)?);
        let bytes_max = u64::try_from(i32::from_be_bytes(fixed(frame, at + 24)?))?;
        Ok(Request::Fetch { correlation, topic, partition, wait_ms_max, offset, bytes_max })
    }
}

/// Where a text is whose length stands at `at`.
fn text_at(frame: &[u8], at: usize) -> Fallible<Range<usize>> {
    let length = usize::from(u16::from_be_bytes(fixed(frame, at)?));
    Ok(at + 2..at + 2 + length)
}

/// Bytes of an answer to Produce beside the topic's name.
const PRODUCED_BYTES: usize = 4 + 4 + 2 + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 2 + 4;
/// Bytes of an answer to Fetch, its size not counted, beside the topic's name and the records.
const FETCHED_BYTES: usize = 4 + 4 + 2 + 4 + 4 + 2 + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4;

/// Appends the answer to a Produce request.
pub fn answer_produce(output: &mut Vec<u8>, (correlation, topic): (i32, &[u8]), partition: i32, offset: i64) {
    put_front(output, PRODUCED_BYTES + topic.len(), correlation);
    put_topic(output, topic, partition);
    output.extend_from_slice(&offset.to_be_bytes());
    // No time of the leader, log start 0, no record errors, no message, no throttling.
    output.extend_from_slice(&(-1_i64).to_be_bytes());
    output.extend_from_slice(&[0; 8 + 4]);
    output.extend_from_slice(&(-1_i16).to_be_bytes());
    output.extend_from_slice(&[0; 4]);
}

/// What a fetch is answered.
pub struct Fetched<'a> {
    pub correlation: i32,
    pub topic: &'a [u8],
    pub partition: i32,
    pub high_watermark: i64,
    pub records_bytes: usize,
}

/// Appends the answer to a Fetch request up to its records.
pub fn answer_fetch(output: &mut Vec<u8>, fetched: &Fetched<'_>) {
    put_front(output, FETCHED_BYTES + fetched.topic.len() + fetched.records_bytes, fetched.correlation);
    // No throttling, no error, no session.
    output.extend_from_slice(&[0; 4 + 2 + 4]);
    put_topic(output, fetched.topic, fetched.partition);
    output.extend_from_slice(&fetched.high_watermark.to_be_bytes());
    output.extend_from_slice(&fetched.high_watermark.to_be_bytes());
    output.extend_from_slice(&[0; 8]);
    // No list of aborted transactions, no preferred replica.
    output.extend_from_slice(&(-1_i32).to_be_bytes());
    output.extend_from_slice(&(-1_i32).to_be_bytes());
    let bytes = i32::try_from(fetched.records_bytes).unwrap_or(i32::MAX);
    output.extend_from_slice(&bytes.to_be_bytes());
}

/// Appends the answer to anything else: an error code of 0 and an empty list.
pub fn answer_other(output: &mut Vec<u8>, correlation: i32) {
    put_front(output, 4 + 2 + 4, correlation);
    output.extend_from_slice(&[0; 2 + 4]);
}

fn put_front(output: &mut Vec<u8>, bytes: usize, correlation: i32) {
    output.extend_from_slice(&i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes());
    output.extend_from_slice(&correlation.to_be_bytes());
}

/// One topic with one partition that has no error.
fn put_topic(output: &mut Vec<u8>, topic: &[u8], partition: i32) {
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
    output.extend_from_slice(topic);
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&partition.to_be_bytes());
    output.extend_from_slice(&[0; 2]);
}

#[cfg(test)]
mod tests {
    use ottla_protocol::compression::Encoding;
    use ottla_protocol::messages::{FetchResponse, ProduceResponse};
    use ottla_protocol::{Message, Reader};

    use super::*;
    use crate::frames::{self, Batch, FETCH_ANSWER_HEAD, FetchFrame, FetchWish, ProduceFrame, TOPIC};

    #[test]
    fn the_drivers_frames_are_read_where_their_fields_are() {
        let batch = Batch::filled(100, 1_000, Encoding::None).unwrap();
        let frame = ProduceFrame::new(7, 1, &batch).unwrap();
        let Request::Produce { partition, batch: range, topic, answered, .. } =
            Request::read(&frame.bytes[4..]).unwrap()
        else {
            panic!("this is a Produce request");
        };
        assert_eq!((partition, answered, &frame.bytes[4..][topic]), (7, true, TOPIC.as_bytes()));
        assert_eq!(frame.bytes[4..][range], batch.bytes[..]);
        let mut frame =
            FetchFrame::new(FetchWish { partition: 3, wait_ms_max: 500, bytes_max: 9_000 }).unwrap();
        frame.set(5, 1_234);
        let Request::Fetch { correlation, partition, wait_ms_max, offset, bytes_max, .. } =
            Request::read(&frame.bytes[4..]).unwrap()
        else {
            panic!("this is a Fetch request");
        };
        assert_eq!((correlation, partition, wait_ms_max, offset, bytes_max), (5, 3, 500, 1_234, 9_000));
    }

    #[test]
    fn answers_are_what_the_protocol_says() {
        let mut output = Vec::new();
        answer_produce(&mut output, (9, TOPIC.as_bytes()), 7, 55);
        assert_eq!(
            usize::try_from(i32::from_be_bytes(fixed(&output, 0).unwrap())).unwrap(),
            output.len() - 4
        );
        let answer =
            ProduceResponse::decode(&mut Reader::new(&output[8..]), frames::PRODUCE_VERSION).unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, 55);
        assert_eq!(frames::produced(&output[4..]).unwrap(), 55);
        output.clear();
        let topic = TOPIC.as_bytes();
        let fetched = Fetched { correlation: 9, topic, partition: 3, high_watermark: 88, records_bytes: 3 };
        answer_fetch(&mut output, &fetched);
        assert_eq!(output.len() - 4, FETCH_ANSWER_HEAD);
        output.extend_from_slice(b"abc");
        let answer = FetchResponse::decode(&mut Reader::new(&output[8..]), frames::FETCH_VERSION).unwrap();
        assert_eq!(answer.responses[0].partitions[0].records.as_deref(), Some(&b"abc"[..]));
        assert_eq!(frames::fetched(&output[4..]).unwrap(), 3);
    }
}
